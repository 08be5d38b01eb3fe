/* What the keeper knows by itself, in memory that is its alone: who started the daemon, which executables it has looked
 * at, and how it is bound. The engine, which speaks to the network, shares its descriptors and the region and could write
 * anything into those. An exec hands it on in the environment. */
#ifndef LIMPET_TRUST_H
#define LIMPET_TRUST_H

#include "layout.h"
#include "sandbox.h"

/* A file that does not change unnoticed. */
typedef struct {
    uint64_t device;
    uint64_t inode;
    uint64_t size;
    int64_t modified; /* ns since 1970 */
    int64_t changed;  /* the same, of its inode too */
    uint32_t is_known;  /* 0: the rest says nothing */
    uint32_t is_hashed; /* 1: the digest counts */
    uint8_t digest[32]; /* SHA-256 */
} limpet_identity;

/* The list of denied calls that this build puts on a keeper; another list would be another number. */
enum { LIMPET_KEEPER_LIST = 1 };

typedef struct {
    uint32_t started_by; /* user id of whoever started the daemon; UINT32_MAX: not known */
    uint32_t wanted;     /* LIMPET_SANDBOX_x */
    uint32_t bound;      /* as in limpet_sandbox */
    uint32_t keeper_list; /* LIMPET_KEEPER_LIST of what was put on last; 0: nothing */
    limpet_calls denied; /* to whatever is executed here */
    limpet_identity own; /* the image that runs */
    limpet_identity previous; /* the one before, while the own is on probation */
    limpet_identity next;     /* the one that an upgrade was allowed for */
    uint32_t directory_bytes;
    uint32_t reserved;
    char directories[LIMPET_SANDBOX_PATHS];
} limpet_trust;

/* Of this process. For its only thread. */
limpet_trust *_Nonnull limpet_own_trust(void);

/* At the start of a daemon: who started it, and what runs. */
void limpet_trust_begin(uint32_t started_by);
/* In a new image: takes what was handed down out of the environment; was it handed down by nobody of ours, it counts for
 * nothing. */
void limpet_trust_take(int is_handed_down);
/* The variable for an exec of `executable`, which one of the identities must be; NULL: none is. */
const char *_Nullable limpet_trust_variable(int32_t executable);

/* What a descriptor names. 0, or -1 with errno. */
int limpet_identify(int32_t descriptor, limpet_identity *_Nonnull identity);
/* The same, and its content, where it may be read: by way of /proc, as the descriptor may be one of O_PATH. */
int limpet_identify_content(int32_t descriptor, limpet_identity *_Nonnull identity);
/* Whether a descriptor names an executable that is known here. */
int limpet_is_known(int32_t descriptor);

/* Opens what an upgrade was allowed for, by its path, if it is still the same. A descriptor that an exec leaves open, or
 * -1 with errno: ESTALE is another file, or one that was changed. */
int32_t limpet_open_next(limpet_shared_header *_Nonnull region);
/* Sees to it that `executable` of the region names the image that runs. 0: it does; 1: it did not, and does now; -1 with
 * errno. While there is no engine. */
int limpet_mend_executable(limpet_continuity *_Nonnull continuity);

#endif
