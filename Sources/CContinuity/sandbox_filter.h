#ifndef LIMPET_SANDBOX_FILTER_H
#define LIMPET_SANDBOX_FILTER_H

#include "sandbox.h"

/* Puts a list on the calling thread, and on all that come of it. Each answers 1, or -errno. */

/* What is denied to the keeper. denied: gets the calls that are, whatever their arguments. */
int limpet_filter_keeper(limpet_calls *denied);
/* What is allowed to the engine's first thread, and to what is cloned of it or executed by it. */
int limpet_filter_process(void);
/* What is allowed to the engine's other threads. What is not ends in SIGSYS, see limpet_trap_prepare. */
int limpet_filter_threads(void);

/* Adds what limpet_filter_process leaves out. */
void limpet_filter_deny_process(limpet_calls *denied);

/* Lets files be written below these directories alone, by the calling thread and all that come of it.
 * Returns the ABI that is in force, 0 where the kernel has none, or -errno. */
int limpet_landlock_restrict(const char *directories, uint32_t bytes);

/* Installs the handler that writes refused calls down in the region and lets them fail with EPERM. For the process. */
void limpet_trap_prepare(limpet_shared_header *region);

#endif
