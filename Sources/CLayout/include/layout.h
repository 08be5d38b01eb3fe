/* The shared region's layout, version 2.
 *
 * Written in C because its offsets outlive the process that wrote them: another build of the daemon may have to read
 * them. Every structure is plain old data without pointers; things name each other by index and generation.
 *
 * Who writes what: each worker writes its own records and counters, nobody else's. The control plane writes
 * `limpet_backend_state` and `limpet_shared_header`. Everybody may read everything; fields that are read while another
 * thread writes them go through the accessors in atomics.h. A record is read under its `sequence` (odd: being
 * changed). */
#ifndef LIMPET_LAYOUT_H
#define LIMPET_LAYOUT_H

#include <stdint.h>

#define LIMPET_LAYOUT_MAGIC 0x314c545045504d4cULL

/* The layout of records that this build writes. A change of the record freezes the one before in a header of its own,
 * adds converters both ways (Continuity/Layouts) and a fixture of its bytes (Tests/ContinuityTests). LIMPET_LAYOUT=1 is
 * a build for tests: the same daemon as it was before the last change. All other structures are the same in both. */
#ifndef LIMPET_LAYOUT
#define LIMPET_LAYOUT 2
#endif
#if LIMPET_LAYOUT == 1
#define LIMPET_LAYOUT_VERSION 1u
#else
#define LIMPET_LAYOUT_VERSION 2u
#endif

/* Bytes of a worker's scratch buffer: one small transfer is at most this long. */
#define LIMPET_SCRATCH_BYTES 65536u

/* Both directions of a connection; also the index of the side that a direction reads from. */
enum { LIMPET_IN = 0, LIMPET_OUT = 1 };

/* An IP address and a port in 24 bytes. IPv4 sits in the first four bytes. */
typedef struct {
    uint8_t bytes[16]; /* network order */
    uint32_t scope;    /* interface index of a link-local IPv6 address, else 0 */
    uint16_t port;     /* host order */
    uint8_t family;    /* 4, 6, LIMPET_FAMILY_USER, LIMPET_FAMILY_PATH, or 0: none */
    uint8_t reserved;
} limpet_address;

/* A user of this machine, whose number is in the last four bytes; and a Unix socket: a backend's path lies in limpet_piped,
 * a listener's in limpet_unix_listener. */
#define LIMPET_FAMILY_USER 1
#define LIMPET_FAMILY_PATH 2

/* States of a record. */
enum {
    LIMPET_FREE = 0,
    LIMPET_CONNECTING = 1,
    LIMPET_OPEN = 2,
    LIMPET_HALF_CLOSED = 3,
    LIMPET_CLOSING = 4
};

/* Bits of limpet_direction.flags. */
enum limpet_direction_bit {
    LIMPET_DIRECTION_EOF = 1 << 0,     /* the reading side has sent FIN */
    LIMPET_DIRECTION_SHUT = 1 << 1,    /* our FIN was sent to the writing side */
    LIMPET_DIRECTION_BULK = 1 << 2,    /* splice instead of the scratch */
    LIMPET_DIRECTION_BLOCKED = 1 << 3, /* the writing side takes no more for now: waiting for EPOLLOUT */
    LIMPET_DIRECTION_DEAD = 1 << 4,    /* nothing more is carried this way */
    LIMPET_DIRECTION_DISCARD = 1 << 5, /* closing by order: what still arrives is read and dropped */
    LIMPET_DIRECTION_PATIENT = 1 << 6, /* the reading side's SO_RCVLOWAT may be raised */
    LIMPET_DIRECTION_HELD = 1 << 7,    /* in alone: the client's first bytes are to be looked at before any is taken */
    LIMPET_DIRECTION_PIPED = 1 << 8    /* one side is a Unix socket, which counts nothing: what is on its way is in a socket or in
                                        * the pipe, and limpet_piped is kept; the same for both directions */
};

/* Bits of limpet_record.flags. */
enum {
    LIMPET_RESET_CLIENT = 1 << 0,  /* the client is to get RST once what it is owed has gone out */
    LIMPET_RESET_BACKEND = 1 << 1, /* the same for the backend */
    LIMPET_ABSENT_CLIENT = 1 << 2, /* the client's descriptor is not in the epoll set */
    LIMPET_ABSENT_BACKEND = 1 << 3, /* the same for the backend's */
    LIMPET_FINISHING = 1 << 4,      /* it has ended: what it has is being closed */
    LIMPET_FINISH_RESET_CLIENT = 1 << 5, /* with it: the client gets RST */
    LIMPET_FINISH_RESET_BACKEND = 1 << 6, /* with it: the backend gets RST */
    LIMPET_PROXIED = 1 << 7 /* the client's bytes begin with a PROXY header: see limpet_proxy */
};

/* Bits of limpet_record.end_flags. */
enum {
    LIMPET_END_COUNTED = 1 << 0, /* its end is among the counters */
    LIMPET_END_LOGGED = 1 << 1,  /* its end is in the access log's ring */
    LIMPET_START_LOGGED = 1 << 2 /* so is its start */
};

/* One direction of a connection: what recovery must know about bytes on their way. */
typedef struct {
    int32_t pipe_read __attribute__((aligned(8))); /* the pipe that holds bytes on their way; -1: none */
    int32_t pipe_write;
    uint32_t pipe_bytes; /* bytes in the pipe */
    uint16_t flags;
    uint8_t calm;      /* short splices in a row, for the way back from bulk */
    uint8_t pipe_size; /* log2 of the bytes that the pipe takes */
} limpet_direction;

/* One connection. The first cache line is all that recovery needs to know whose it is and what to do with it. */
typedef struct {
    /* line 0 */
    uint32_t sequence;   /* odd while the worker changes what identifies the connection */
    uint32_t generation; /* 1 … 2^31−1, changes with each use of the slot; 0: never used */
    uint16_t service;    /* slots, stable while the configuration lives */
    uint16_t listener;
    uint16_t backend;
    uint16_t home;
    int32_t descriptor[2]; /* client, backend; -1: none */
    uint8_t state;
    uint8_t flags;
    uint8_t attempt;       /* connects started so far */
    uint8_t away_reason;   /* AwayReason.rawValue of the home backend at accept; 0: at home */
    uint8_t events[2];     /* what epoll watches for each side: bit 0 in, bit 1 out */
    uint8_t header;        /* bytes of the PROXY header that was queued ahead of the client's bytes; 0: none (yet); UINT8_MAX:
                            * see limpet_proxy */
    uint8_t header_left;   /* of these, bytes still in the pipe */
    limpet_direction direction[2]; /* in: client to backend; out: backend to client */
    /* line 1 */
    uint64_t delivered[2];   /* bytes handed to the receiving socket, per direction */
    uint64_t opened;         /* CLOCK_BOOTTIME ns of the accept */
    uint64_t active;         /* CLOCK_BOOTTIME ns of the last byte, or of the first FIN after it */
    uint64_t deadline;       /* CLOCK_BOOTTIME ns of the state's own time-out (connect, close, reset); of an open connection: when its
                              * backend's socket gets the options for what lasts; 0: none */
    uint64_t source_key;     /* the hashed key: where in the preference order the client stands can be told again */
    uint64_t id;             /* monotonic over all workers and never used again */
    uint32_t timer_next; /* links of the timer wheel: slot + 1; 0: end */
    uint32_t timer_previous;
    /* lines 2 and 3 */
    limpet_address client; /* who it is */
    limpet_address peer;   /* who is connected: another than the client behind a proxy */
    limpet_address client_local;
    limpet_address backend_address;
    limpet_address backend_local;
    uint32_t timer_slot; /* slot of the wheel + 1; 0: not armed */
    uint8_t end;           /* EndReason.rawValue: why it ends, from the moment at which that is known; 0: it does not */
    uint8_t end_flags;     /* LIMPET_END_x */
    uint16_t connect_time; /* limpet_pack_time of the time from accept to backend; 0: there is none yet */
} limpet_record_2;

#include "layout_1.h"

/* Code names fields and never offsets, so that it can be built for either. */
#if LIMPET_LAYOUT == 1
typedef limpet_record_1 limpet_record;
#else
typedef limpet_record_2 limpet_record;
#endif

/* What a worker has in its hands: after a crash this says whose bytes lie in the scratch. */
typedef struct {
    uint64_t heartbeat;          /* turns of the loop: a count, which cannot be mistaken after a suspend */
    uint32_t hand_slot;          /* breadcrumb: record being worked on; UINT32_MAX: none */
    uint32_t hand_generation;
    uint32_t scratch_slot;       /* owner of the scratch's contents; UINT32_MAX: empty */
    uint32_t scratch_generation;
    uint32_t scratch_direction;  /* LIMPET_IN or LIMPET_OUT; with LIMPET_PEEKED the bytes are still in the socket, too */
    uint32_t scratch_length;     /* bytes read into it; 0 also while a read is under way */
    uint64_t scratch_base;       /* delivered[direction] before its first byte went out */
    uint64_t open;               /* connections on this worker */
    uint64_t pipes;              /* pipes that exist on this worker */
    uint64_t pipes_held;         /* of these, with bytes in them */
    uint64_t pipes_refused;      /* times that the kernel gave none */
    uint64_t local_failures;     /* sockets that could not be had for a local reason */
    uint64_t descriptor_failures; /* accepts that found no descriptor */
    int32_t poller;              /* its epoll set; -1: none yet. Survives the engine with all that is in it */
    int32_t wake_up;             /* its mailbox's eventfd; -1: none yet */
    uint32_t fault_slot;         /* connection that was in hand at the last fault; UINT32_MAX: none */
    uint32_t fault_generation;
    uint32_t fault_count;        /* faults in a row with that very connection in hand */
    int32_t highest;             /* the highest descriptor that this worker ever had */
    uint32_t thread;             /* its thread's id while an engine runs; 0: not yet */
    uint32_t reserved_half;
    uint64_t reserved;
} limpet_worker;

/* Bit of limpet_worker.scratch_direction. */
enum { LIMPET_PEEKED = 2 };

/* Counters of one listener on one worker. */
typedef struct {
    uint64_t accepted;
    uint64_t refused; /* reset without having been given a backend */
    uint64_t open;
    uint64_t reserved;
} limpet_listener_counters;

/* Why a connect failed; index into limpet_backend_counters.failures. */
enum {
    LIMPET_FAILURE_REFUSED = 0,
    LIMPET_FAILURE_UNREACHABLE = 1,
    LIMPET_FAILURE_TIMEOUT = 2,
    LIMPET_FAILURE_RESET = 3,
    LIMPET_FAILURE_LOCAL = 4,
    LIMPET_FAILURE_OTHER = 5,
    LIMPET_FAILURES = 6
};

/* Counters of one backend on one worker. */
typedef struct {
    uint64_t open;       /* past connect */
    uint64_t connecting;
    uint64_t away;       /* of `open`: clients whose home is elsewhere */
    uint64_t total;      /* connects that succeeded */
    uint64_t bytes[2];
    uint64_t fallbacks;  /* clients that went on to their next choice because this backend could not be reached */
    uint64_t failures[LIMPET_FAILURES];
    uint64_t slow_start; /* of worker 0's alone, and written by the control plane: see SharedRegion.slowStart; 0: none */
    uint64_t drain; /* of worker 0's alone, and written by the control plane: DrainPace.word, counts while the intent is not ready */
    uint64_t agent; /* of worker 0's alone, and written by the control plane: AgentStanding.word; 0: nothing was asked for */
} limpet_backend_counters;

/* What the control plane has decided about a backend; workers read it at each accept. */
typedef struct {
    uint8_t intent; /* Intent.rawValue */
    uint8_t health; /* Health.rawValue */
    uint8_t used;   /* LIMPET_SLOT_x */
    uint8_t state;  /* BackendState.rawValue that was last seen, see `since`; 0: the slot has not been given its intent yet */
    uint16_t weight; /* set at run time, 1 to 256; 0: the configuration's counts */
    uint16_t weight_base; /* what the configuration said when `weight` was set: another word of the file beats it */
    uint64_t load;  /* connections and connects on all workers: the one number that a limit is held against */
    uint64_t limit; /* 0: none */
    uint64_t since; /* wall-clock ns since 1970 of the last change of state */
    uint64_t intent_since; /* wall-clock ns since 1970 of the last change of intent by an operator; 0: none */
    uint64_t drain_deadline; /* CLOCK_BOOTTIME ns at which what a drained or disabled backend has left is closed; 0: never */
    uint64_t removed_deadline; /* retired: CLOCK_BOOTTIME ns at which what is left is closed; 0: never */
    uint64_t weight_since; /* wall-clock ns since 1970 at which an operator set `weight` */
} limpet_backend_state;

/* What a slot of a backend, listener or service is used for. Slots are given once and never again while the region lives. */
enum {
    LIMPET_SLOT_FREE = 0,
    LIMPET_SLOT_LIVE = 1,
    LIMPET_SLOT_RETIRED = 2 /* gone from the configuration; connections of it may be open */
};

#define LIMPET_MAXIMUM_WORKERS 64

/* What becomes of clients that arrive at a listener. */
enum {
    LIMPET_ADMISSION_OPEN = 0,
    LIMPET_ADMISSION_PAUSED = 1,  /* they wait in the kernel's queue */
    LIMPET_ADMISSION_REFUSING = 2 /* they are reset */
};

/* Bits of limpet_listener_state.flags. */
enum {
    LIMPET_LISTENER_DUAL = 1 << 0,     /* [::], and it takes IPv4 clients as well */
    LIMPET_LISTENER_SHARED = 1 << 1,   /* one socket for all workers: their descriptors are duplicates of one */
    LIMPET_LISTENER_INTERCEPT = 1 << 2, /* it may take clients that were on their way to another address */
    LIMPET_LISTENER_INHERITED = 1 << 4 /* the socket was passed to the daemon when it was started */
};

/* A listening address and its sockets. */
typedef struct {
    int32_t descriptor[LIMPET_MAXIMUM_WORKERS]; /* by worker; -1: none */
    uint8_t used;     /* LIMPET_SLOT_x */
    uint8_t admission; /* LIMPET_ADMISSION_x: what an operator wants of who arrives */
    uint16_t service;
    uint8_t flags;    /* LIMPET_LISTENER_x */
    uint8_t reserved_bytes[3];
    uint64_t removed_deadline; /* retired: as of a backend; UINT64_MAX: another slot has this listener now */
    limpet_address address;
    char device[16]; /* the interface that it is bound to, with a NUL behind it; all zero: none */
    uint64_t reserved_word;
} limpet_listener_state;

/* Start of the region. */
typedef struct {
    uint64_t magic;
    uint32_t version;
    uint32_t record_bytes;
    uint32_t workers;
    uint32_t records_per_worker;
    uint32_t backends;  /* slots */
    uint32_t listeners; /* slots */
    uint64_t next_id;
    uint64_t open;  /* connections on all workers */
    uint64_t limit; /* of `open` */
    uint64_t started; /* wall-clock ns since 1970 */
    uint64_t waiting; /* bit per worker that has paused accepting at the limit */
    /* Bytes from the start of the region: where another build finds the rest. */
    uint64_t size;
    uint64_t continuity_offset;
    uint64_t worker_offset;
    uint64_t backend_state_offset;
    uint64_t listener_state_offset;
    uint64_t backend_counter_offset;
    uint64_t listener_counter_offset;
    uint64_t scratch_offset;
    uint64_t record_offset;
    uint64_t areas_offset; /* limpet_areas: what else there is; 0: nothing, an older build has made the region */
    uint64_t reserved[5];
} limpet_shared_header;

#define LIMPET_RETURN_ADDRESSES 32

/* Who writes the death down. */
enum {
    LIMPET_DEATH_UNCLAIMED = 0,
    LIMPET_DEATH_CLAIMED = 1, /* a thread is at it, or has done it */
    LIMPET_DEATH_ORDERED = 2  /* nobody yet; the keeper has ordered it, because the engine stood still */
};

/* Why the last engine died, written by its fault handler or, for what the handler cannot see, by the keeper. */
typedef struct {
    uint32_t claimed;    /* LIMPET_DEATH_x; taken with an atomic exchange, freed by the keeper */
    int32_t signal;      /* 0: the process exited by itself */
    int32_t code;        /* si_code, or the exit status where signal is 0 */
    int32_t worker;      /* whose thread; -1: none */
    uint32_t slot;       /* the connection in hand; UINT32_MAX: none */
    uint32_t generation;
    uint64_t connection; /* its id */
    uint64_t address;    /* si_addr */
    uint64_t load_base;  /* where the program lies: subtract it from the return addresses for addr2line(1) */
    uint64_t time;       /* wall-clock ns since 1970; 0: no engine has died */
    uint32_t watchdog;   /* 1: the keeper ended it because it stood still */
    uint32_t returns;    /* how many of the addresses below count */
    uint64_t return_address[LIMPET_RETURN_ADDRESSES];
} limpet_death;

/* How an upgrade stands. */
enum {
    LIMPET_UPGRADE_NONE = 0,
    LIMPET_UPGRADE_CANARY = 1,      /* the new executable is being asked */
    LIMPET_UPGRADE_PARKING = 2,     /* the workers are being stopped */
    LIMPET_UPGRADE_PARKED = 3,      /* the engine has ended for it: the keeper is to exec `executable_next` */
    LIMPET_UPGRADE_STARTED = 4,     /* the new image runs */
    LIMPET_UPGRADE_SERVING = 5,     /* done */
    LIMPET_UPGRADE_REFUSED = 6,     /* nothing has changed; see `reason` */
    LIMPET_UPGRADE_ROLLED_BACK = 7  /* the new version failed and the old one serves again; see `reason` */
};

typedef struct {
    uint64_t id;         /* of the last request; 0: none */
    uint32_t state;
    uint32_t no_rollback;
    uint64_t asked;      /* CLOCK_BOOTTIME ns */
    uint64_t parked;     /* of the moment at which the first worker was told to stop */
    uint64_t serving;    /* of the moment at which the last worker served again */
    uint64_t connections; /* kept */
    uint32_t deaths;     /* of engines of the new version, since it took over */
    uint32_t old_layout; /* of the region, when the old version worked on it */
    char old_version[32];
    char new_version[32];
    char reason[512];
    uint32_t told;       /* 1: its outcome has been logged */
    uint32_t reserved;
} limpet_upgrade;

/* Processes and descriptors: what is found again after a process has died or another image has taken over. A
 * descriptor is named here (or in limpet_worker, limpet_listener_state, limpet_record) after it was opened and un-named
 * before it is closed; what nothing names is closed when the next engine starts. */
typedef struct {
    int32_t keeper;  /* process ids; 0: none */
    int32_t engine;
    int32_t guard;   /* holds the table during an exec */
    int32_t safe;    /* keeper's id once its image needs no guard any more */
    uint32_t generation; /* engines so far */
    uint32_t ending; /* 1: the next end of the engine is the end of the daemon, with `exit_status` */
    int32_t exit_status;
    uint32_t serving; /* 1: the engine's workers serve */
    int32_t region;  /* descriptors; -1: none */
    int32_t document[2];
    int32_t lock;    /* of the state directory */
    int32_t control; /* listening socket of the control plane */
    int32_t executable; /* of the running image */
    int32_t executable_previous; /* to roll back to */
    int32_t executable_next; /* of an upgrade under way */
    int32_t keeper_pidfd;
    int32_t engine_pidfd;
    uint32_t document_current; /* 0 or 1: which of the two counts */
    uint32_t document_length[2];
    uint32_t deaths; /* engines that died, not counting ends for an upgrade */
    uint64_t died;    /* CLOCK_BOOTTIME ns of the last death, as the keeper saw it */
    uint64_t resumed; /* CLOCK_BOOTTIME ns at which the workers served again after it */
    uint64_t engine_started; /* CLOCK_BOOTTIME ns of the last clone */
    uint64_t control_heartbeat; /* turns of the control loop's own timer: a count, not a time */
    uint64_t recent_death[5]; /* CLOCK_BOOTTIME ns of the last deaths, newest first */
    uint64_t started; /* CLOCK_BOOTTIME ns of the daemon's first start */
    uint64_t reexecuted; /* CLOCK_BOOTTIME ns at which the keeper last executed itself anew for the number of deaths */
    uint32_t backoff; /* deaths in a row that came too fast: each makes the next start wait longer */
    uint32_t unnoted; /* 1: an engine has died, and no keeper has taken note of it yet */
    uint64_t shutdown_deadline; /* CLOCK_BOOTTIME ns: the daemon is to end, and what is left then is closed; 0: it is not */
    uint8_t log_level;  /* for keeper and engine alike: 0 trace … 6 critical */
    uint8_t log_format; /* 0 text, 1 json */
    uint8_t options_due; /* 1: listeners may have socket options of a configuration that no longer counts */
    uint8_t log_set; /* 1: an operator has set log_level; until the next reload */
    uint8_t reserved_bytes[4];
    int32_t metrics; /* listening socket of the metrics; 0 or -1: none */
    uint32_t reserved_half;
    uint64_t reserved[3];
    uint64_t shutdown_stop; /* of a daemon that is to end: CLOCK_BOOTTIME ns at which it stops accepting; 0: at once */
    limpet_death death;
    limpet_upgrade upgrade;
} limpet_continuity;

#include "areas.h"

#endif
