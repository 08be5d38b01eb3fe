/* What keeper and engine may ask of the kernel (seccomp(2), landlock(7)), from their start on.
 *
 * The keeper has a small list of calls that are denied to it, as it is handed down to every image that comes after. The
 * engine has lists of what is allowed: one for its first thread, of whose clones comes a keeper should there be none any
 * more, with all that limpetd ever does; and for all its other threads one without the means to start programs or
 * processes. Files it may read where its user may, and write in the directories that the configuration names.
 *
 * What a thread of the engine is refused is written down, and the call fails with EPERM; nobody dies of it. The calls that
 * the other two lists refuse fail with EPERM as well. */
#ifndef LIMPET_SANDBOX_H
#define LIMPET_SANDBOX_H

#include "layout.h"

/* Where the region says so; NULL: it has no such area. */
limpet_sandbox *_Nullable limpet_sandbox_of(limpet_shared_header *_Nonnull region);

/* Decides about the sandbox, at the start of the daemon.
 * directories: paths in which files may be written, as limpet_sandbox.directories has them. */
void limpet_sandbox_decide(limpet_shared_header *_Nonnull region, uint32_t wanted, const char *_Nonnull directories,
                           uint32_t bytes);

/* Puts the keeper's list on the calling process, where the sandbox is wanted and the list is not there yet. For the keeper,
 * of each image: single-threaded, and with all done that needs rights. */
void limpet_sandbox_keeper(limpet_shared_header *_Nonnull region);

/* Puts the lists on the engine: the first on its only thread, before there is another, the second on the thread of which
 * all others come. */
void limpet_sandbox_engine(limpet_shared_header *_Nonnull region);
void limpet_sandbox_threads(limpet_shared_header *_Nonnull region);

/* The name of a system call of this architecture; NULL: none that is known. */
const char *_Nullable limpet_call_name(uint32_t number);
/* Its number; -1: there is no such call here. */
int32_t limpet_call_number(const char *_Nonnull name);

/* What this build needs, in any of its processes: the number of a call by its place in the list, from 0 up; -1 past the
 * last. */
int32_t limpet_call_needed(uint32_t index);
/* The same of what is denied to the keeper, whatever the arguments; -2: this one is denied with some alone. */
int32_t limpet_call_denied(uint32_t index);

/* Calls by number, as bits. */
#define LIMPET_CALL_WORDS 8u
typedef struct {
    uint64_t word[LIMPET_CALL_WORDS];
} limpet_calls;
static inline int limpet_calls_have(const limpet_calls *_Nonnull calls, uint32_t number) {
    return number < 64 * LIMPET_CALL_WORDS && (calls->word[number / 64] >> (number % 64) & 1) != 0;
}

/* For tests, in debug builds: a call that no list has; a file, outside of what may be written to; another file in the place
 * of the executables that the region names. 0, or -1 with errno. */
int limpet_sandbox_try_call(void);
int limpet_sandbox_try_file(const char *_Nonnull path);
int limpet_sandbox_try_swap(limpet_continuity *_Nonnull continuity, const char *_Nonnull path);

#endif
