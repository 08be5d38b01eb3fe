/* What the parts of storm share. */
#ifndef STORM_H
#define STORM_H
#define _GNU_SOURCE
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Ends the program: "storm: WHAT: REASON". */
_Noreturn void die(const char *what);

/* ---- mutate.c ---- */

/* To be called before the corpus is read. */
void skip(const char *name);
void has_plain_files(void);
/* Reads all files of a directory. */
void read_corpus(const char *directory, uint64_t seed);
/* A number below `limit`, which is not 0. */
uint64_t chance(uint64_t limit);
/* Writes a file of the corpus, spoilt or, now and then, whole. The number of its bytes, at most `room`. */
size_t mutated(char *into, size_t room);

#endif
