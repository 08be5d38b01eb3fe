/* The engine as a process: a clone that shares the keeper's descriptor table and nothing else. */
#ifndef LIMPET_PROCESS_H
#define LIMPET_PROCESS_H

#include "layout.h"

/* Makes the shared descriptor table large enough for `descriptors` numbers. To be called while nobody shares it: a shared
 * table grows only after an RCU grace period, which holds up whoever needed the number for milliseconds. */
void limpet_grow_descriptor_table(int32_t descriptors);

/* Lets go of what this process has mapped of the program and its libraries and has not written to. It comes back page by
 * page, out of the page cache, as it is needed: a keeper that waits needs next to nothing of what its start has touched. */
void limpet_forget_program(void);

/* Names the calling process in the region as the keeper: its id and a pidfd of it. Once per image, before the first
 * engine. 0, or -1 with errno. */
int limpet_name_keeper(limpet_continuity *_Nonnull continuity);

/* Clones an engine. In the clone one fresh thread calls `run(context)`, which is not to return. The cloned thread itself runs nothing but C: what it inherits from the keeper's
 * thread (the thread id, kept in thread-local storage, that locks are held under) is wrong there. All that it does is wait
 * for the end of the keeper; then it clones a replacement, which hands signals on, and when the engine has ended executes
 * the program anew, as the keeper.
 *
 * To be called by a single-threaded process alone. Returns the engine's process id, or -1 with errno. */
int32_t limpet_clone_engine(limpet_shared_header *_Nonnull region, void (*_Nonnull run)(void *_Nonnull),
                            void *_Nonnull context);

/* Waits until no guard holds another table (limpet_exec_guarded). For an engine, before it opens, closes or watches
 * anything: while a guard lives, what is closed here is still open there and reports. */
void limpet_await_guard(const limpet_continuity *_Nonnull continuity);

/* Milliseconds until another replacement is cloned, after one that has lived for so many: none, unless they die as soon as
 * they are there. Never long: while there is no keeper, the death of the engine is the end.
 * before: the last pause. */
uint64_t limpet_replacement_pause(uint64_t before, uint64_t lived);

/* The signal that hands others on from the keeper to the engine, see Signals.handedOn. */
enum { LIMPET_HANDED_ON = 40 };

#endif
