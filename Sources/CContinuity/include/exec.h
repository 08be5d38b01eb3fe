/* One image of the keeper makes way for another: all descriptors are inherited, and if the new one fails the old one
 * comes back. */
#ifndef LIMPET_EXEC_H
#define LIMPET_EXEC_H

#include "layout.h"

/* How long a new image may take until it is safe, where nothing else is said. */
#define LIMPET_SAFE_MILLISECONDS 5000
/* … and at an upgrade, counted from the moment at which the workers were told to stop, … */
#define LIMPET_UPGRADE_MILLISECONDS 230
/* … of which this is left to it in any case. */
#define LIMPET_UPGRADE_LEAST_MILLISECONDS 80

/* Executes `executable` (a descriptor, see execveat(2)) in place of the calling process, which must be single-threaded,
 * must be the keeper, and may have no engine; with the arguments that this process was started with, and LIMPET_ADOPT in
 * the environment.
 *
 * Before that a guard is cloned: a process that holds the descriptor table until the new image has said that it is safe
 * (limpet_claim_safety). If that image dies before, or needs longer than `milliseconds` (0: LIMPET_SAFE_MILLISECONDS),
 * the guard ends it, becomes the keeper and executes `fallback`, in the same way.
 *
 * Where an upgrade is under way (upgrade.state PARKED, STARTED), the guard that takes over sets it to ROLLED_BACK with
 * the reason, and names `fallback` as the executable again.
 *
 * Both must be executables that are known here (limpet_is_known).
 *
 * Returns only where nothing has happened: -1 with errno; ESTALE where one is not known. */
int limpet_exec_guarded(limpet_shared_header *_Nonnull region, int32_t executable, int32_t fallback,
                        uint32_t milliseconds);

/* How long the new version of an upgrade under way has until it is safe. */
uint32_t limpet_upgrade_patience(const limpet_continuity *_Nonnull continuity);

/* What LIMPET_ADOPT says. */
typedef struct {
    int32_t region;   /* its memfd */
    uint32_t attempt; /* images that failed before this one, in a row */
    int dumpable;     /* what PR_SET_DUMPABLE was: an exec forgets it */
    int32_t oom_adjustment; /* the process's own oom_score_adj, opened while it could be; -1: it could not */
} limpet_adoption;

/* Whether an end is asked for that nobody has taken note of: SIGTERM or SIGINT is blocked and waits. */
int limpet_end_is_asked(void);

/* Whether this process was made by limpet_exec_guarded. Takes LIMPET_ADOPT out of the environment, whatever it says, and
 * gives the process back what an exec takes away: its name, and that nobody may look into it. Call it before all else. */
int limpet_take_adoption(limpet_adoption *_Nonnull adoption);

/* In the new image, once it could serve: says that it is safe, in `safe` of the region that was handed down. 0: the
 * guard has lost patience; the process must end. */
int limpet_claim_safety(int32_t *_Nonnull safe);

/* After that: ends the guard and waits until it has let go of its table, then lets the engine go on that has been
 * cloned meanwhile. */
void limpet_dismiss_guard(limpet_continuity *_Nonnull continuity);

#endif
