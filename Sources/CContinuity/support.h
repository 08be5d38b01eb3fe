/* What the parts of this module share. All of it may be called where only system calls may: no locks, no allocation. */
#ifndef LIMPET_SUPPORT_H
#define LIMPET_SUPPORT_H

#include "atomics.h"
#include "layout.h"

static inline limpet_continuity *limpet_continuity_of(limpet_shared_header *region) {
    return (limpet_continuity *)((char *)region + region->continuity_offset);
}

/* Process ids in the region: changed by one process, read by others. */
static inline int32_t limpet_pid_load(const int32_t *word) { return __atomic_load_n(word, __ATOMIC_SEQ_CST); }
static inline void limpet_pid_store(int32_t *word, int32_t value) { __atomic_store_n(word, value, __ATOMIC_SEQ_CST); }

/* CLOCK_MONOTONIC: what a machine sleeps through does not count. */
uint64_t limpet_milliseconds(void);
void limpet_sleep(uint64_t milliseconds);

/* clone(CLONE_FILES | SIGCHLD); the child's id is in `pid` before it runs, and before this process can be ended. */
long limpet_clone_sharing(int32_t *pid);

/* Waits until a process has ended: -1: for ever. 1: it has. */
int limpet_await_end(int pidfd, int milliseconds);

/* Ends the process and waits until it has let go of its descriptors, whoever's child it is. */
void limpet_end_process(int32_t pid);

/* Appends to a text of `size` bytes that ends with zero. */
void limpet_append(char *text, unsigned long size, const char *more);
void limpet_append_number(char *text, unsigned long size, uint64_t number);

#endif
