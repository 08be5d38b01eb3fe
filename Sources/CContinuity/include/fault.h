/* Why an engine died: written down by itself, to the shared region, in its last moment. */
#ifndef LIMPET_FAULT_H
#define LIMPET_FAULT_H

#include "layout.h"

/* Installs the handler for SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP and SIGABRT. Once per engine, on its first
 * thread, before the others. After it has written `death` and charged the fault to the connection in hand, the signal ends
 * the process as if there were no handler. */
void limpet_fault_prepare(limpet_shared_header *_Nonnull region);

/* The same for the keeper, of which nobody is left to tell where a service manager ends what is left of the unit: it writes
 * one line to standard error, by itself. Once per image, by its only thread; limpet_fault_thread is not needed. */
void limpet_fault_prepare_keeper(limpet_shared_header *_Nonnull region);

/* Gives the calling thread a stack for the handler, so that a stack that has run over can be told of, too, and says whose
 * thread it is. Every thread of the engine calls it once, first of all.
 * Does nothing in a process without the handler.
 * worker: its number, which is also noted in the region with the thread's id; -1: none. */
void limpet_fault_thread(int32_t worker);

/* Where the program lies in memory, and how many bytes of it: what a return address has to be held against; and which
 * program it is, by the linker's own count of it (build_id_length 0: it has none). */
typedef struct {
    uint64_t base;
    uint64_t size;
    uint32_t build_id_length;
    uint8_t build_id[LIMPET_BUILD_ID_BYTES];
} limpet_image;
limpet_image limpet_own_image(void);

/* Charges a fault to the connection that a worker has in hand, if it has one: the third in a row resets it. Whoever calls
 * it knows that the worker stands still: its own handler, or the keeper. */
void limpet_charge_fault(limpet_worker *_Nonnull worker);

#endif
