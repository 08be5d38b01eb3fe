/* What the shared region says about the sandbox, and about an executable that the keeper is asked to look at. */
#ifndef LIMPET_SANDBOX_AREA_H
#define LIMPET_SANDBOX_AREA_H

#include <stdint.h>

/* What was configured. */
enum {
    LIMPET_SANDBOX_UNDECIDED = 0, /* by nobody: the daemon was started by a build that had no sandbox */
    LIMPET_SANDBOX_ON = 1,
    LIMPET_SANDBOX_OFF = 2
};

/* A system call that was refused, as often as it was at one place. Claimed by an atomic exchange of `state`. */
typedef struct {
    uint32_t state;  /* 0: free, 1: being filled, 2: it counts */
    uint32_t number; /* of the call */
    uint64_t place;  /* address behind the instruction, from the start of the program; outside of it: as it is */
    uint64_t argument[3];
    uint64_t count;
    uint64_t told; /* how often the log has told of; the control plane's own */
    uint64_t told_time; /* CLOCK_BOOTTIME ns, the same */
    char thread[16];
    uint64_t reserved[3];
} limpet_violation;

#define LIMPET_VIOLATIONS 32u
/* Paths of directories, one after the other, each with a NUL behind it, and in the end an empty one. */
#define LIMPET_SANDBOX_PATHS 4096u

/* A question of the engine's to the keeper: could the daemon become what lies at this path? */
typedef struct {
    uint32_t asked;    /* number of the upgrade that it is about; the engine writes it last, and then sends a signal */
    uint32_t answered; /* the same number: what follows the path is the answer; the keeper's, in the same way */
    uint32_t needs_way_back;
    uint32_t is_good;
    char path[4096];
    char version[32];
    char reason[2048]; /* why not */
    char digest[72];   /* SHA-256 of the executable, in hexadecimal */
} limpet_look;

typedef struct {
    uint32_t wanted;  /* LIMPET_SANDBOX_x */
    int32_t keeper;   /* its list of system calls: 1 in force, 0 not, else -errno: why not */
    int32_t engine;   /* the same of the engine's */
    int32_t landlock; /* the ABI that is in force; 0: the kernel has none; else -errno */
    uint32_t bound;   /* 1: the keeper has been an engine's clone once, and is bound by that engine's sandbox */
    uint32_t reserved_half;
    uint64_t violations; /* calls that were refused, ever */
    uint64_t lost;       /* of these, those that found no free entry */
    uint64_t reserved[8];
    limpet_violation violation[LIMPET_VIOLATIONS];
    char directories[LIMPET_SANDBOX_PATHS]; /* that files may be written in; as they were at the start */
    limpet_look look;
} limpet_sandbox;

static inline limpet_violation *_Nonnull limpet_violation_at(limpet_sandbox *_Nonnull sandbox, uint32_t index) {
    return &sandbox->violation[index % LIMPET_VIOLATIONS];
}
static inline const char *_Nonnull limpet_violation_thread(const limpet_violation *_Nonnull violation) {
    return violation->thread;
}
static inline const char *_Nonnull limpet_sandbox_directories(const limpet_sandbox *_Nonnull sandbox) {
    return sandbox->directories;
}
static inline const char *_Nonnull limpet_look_version(const limpet_look *_Nonnull look) { return look->version; }
static inline const char *_Nonnull limpet_look_reason(const limpet_look *_Nonnull look) { return look->reason; }
static inline const char *_Nonnull limpet_look_digest(const limpet_look *_Nonnull look) { return look->digest; }
static inline char *_Nonnull limpet_look_path(limpet_look *_Nonnull look) { return look->path; }

#endif
