/* A child that inherits nothing but what it is given (rule 14 of the continuity study: every child does close_range). */
#ifndef LIMPET_SPAWN_H
#define LIMPET_SPAWN_H

#include <stdint.h>

/* Executes the program behind a descriptor (as open(2) gives it, with O_PATH too) in a new process.
 *
 * The child has /dev/null as 0 and 1, `descriptors` as 3 and up in their order, the first of them as 2 too, and no other.
 * All signals are blocked in it, as they are in what this was called from for as long as it takes; it is killed when the
 * calling thread ends. A program that needs an interpreter is refused: its descriptor is gone by the time that the
 * interpreter would look for it.
 *
 * Returns the process id, or -1 with errno, which is then fork(2)'s or, where there is a child no more, execve(2)'s. */
int32_t limpet_spawn(int32_t executable, const int32_t *_Nonnull descriptors, int32_t count,
                     char *_Nullable const *_Nonnull arguments, char *_Nullable const *_Nonnull environment);

#endif
