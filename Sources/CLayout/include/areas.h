/* What the shared region holds beside the structures that every build knows: areas, found by their number in one table.
 *
 * A build that knows more areas than the one before finds them missing in a region that it takes over, and works on a
 * copy that has them, empty (Continuity/Layouts). One that knows fewer leaves the others as they are. A structure that
 * changes its size begins empty, too; so it may only grow into words that are kept for that, if what it says is to stay. */
#ifndef LIMPET_AREAS_H
#define LIMPET_AREAS_H

#ifndef LIMPET_LAYOUT_H
#error "include layout.h"
#endif

#include "sandbox_area.h"

/* Numbers of areas; never used for anything else. */
enum {
    LIMPET_AREA_WORKERS = 0,   /* limpet_worker_metrics by worker */
    LIMPET_AREA_BACKENDS = 1,  /* limpet_backend_metrics by worker and slot */
    LIMPET_AREA_LISTENERS = 2, /* limpet_listener_metrics by worker and slot */
    LIMPET_AREA_ACCESS = 3,    /* limpet_access_ring by worker */
    LIMPET_AREA_LOG = 4,       /* limpet_log_state */
    LIMPET_AREA_CONTROL = 5,   /* limpet_control_counters */
    LIMPET_AREA_HISTORY = 6,   /* limpet_backend_history by slot */
    LIMPET_AREA_EVENTS = 7,    /* limpet_event[LIMPET_EVENTS] */
    LIMPET_AREA_PROXY = 8,     /* limpet_proxy by worker and record */
    LIMPET_AREA_AFFINITY = 9,  /* limpet_affinity_header, its sets, then a link by record, see affinity.h */
    LIMPET_AREA_SOURCES = 11,  /* limpet_source_row by slot of the backend */
    LIMPET_AREA_PIPED = 12,    /* limpet_piped by worker and record */
    LIMPET_AREA_UNIX_LISTENERS = 13, /* limpet_unix_listener by slot */
    LIMPET_AREA_SANDBOX = 14, /* limpet_sandbox, see sandbox_area.h */
    LIMPET_AREA_PROCESS = 15,  /* limpet_process */
    LIMPET_AREAS = 32
};

typedef struct {
    uint64_t offset; /* bytes from the start of the region; 0: there is none */
    uint64_t bytes;
} limpet_area;

typedef struct {
    limpet_area area[LIMPET_AREAS];
} limpet_areas;

/* A histogram: how often each bucket was met, the last being what is above all bounds, and the sum in microseconds. */
#define LIMPET_BUCKETS 15
typedef struct {
    uint64_t count[LIMPET_BUCKETS];
    uint64_t sum;
} limpet_histogram;

/* Reasons are EndReason.rawValue. */
#define LIMPET_END_REASONS 32

enum { LIMPET_SPLICE_MOVED = 0, LIMPET_SPLICE_AGAIN = 1, LIMPET_SPLICE_FAILED = 2, LIMPET_SPLICE_RESULTS = 3 };

/* Written by the worker alone. */
typedef struct {
    uint64_t closed[LIMPET_END_REASONS]; /* connections that have ended */
    limpet_histogram duration;           /* of these: how long they lasted */
    uint64_t splice[LIMPET_SPLICE_RESULTS];
    uint64_t lag; /* ns that the last command which asked for it waited in the mailbox */
    uint64_t reserved[12];
} limpet_worker_metrics;

typedef struct {
    limpet_histogram connect; /* from the start of the connect to its success */
} limpet_backend_metrics;

typedef struct {
    uint64_t refused[LIMPET_END_REASONS]; /* clients that were reset without having been given a backend, or
                                           * before it was given a byte of theirs (proxy-untrusted) */
} limpet_listener_metrics;

enum { LIMPET_ACCESS_START = 1, LIMPET_ACCESS_END = 2 };

/* A line of the access log, before it is written. Names are found by slot when it is. */
typedef struct {
    uint64_t id;
    uint64_t time;     /* CLOCK_BOOTTIME ns */
    uint64_t duration; /* ns; of a start: 0 */
    uint64_t bytes[2];
    limpet_address client;
    limpet_address peer;
    uint16_t service;
    uint16_t listener;
    uint16_t backend; /* UINT16_MAX: none */
    uint16_t home;
    uint8_t kind;        /* LIMPET_ACCESS_x */
    uint8_t end;         /* EndReason.rawValue */
    uint8_t attempt;     /* connects started */
    uint8_t away_reason; /* as in limpet_record */
    uint32_t connect;    /* microseconds from accept to backend; 0: none was reached */
    uint64_t reserved[3];
} limpet_access_entry;

#define LIMPET_ACCESS_ENTRIES 8192

/* The worker writes entries and `head`, the thread that writes the log `tail`. */
typedef struct {
    uint64_t head;    /* entries so far; the next lies at head % LIMPET_ACCESS_ENTRIES */
    uint64_t dropped; /* entries for which there was no room */
    uint64_t reserved_head[6];
    uint64_t tail; /* entries that were written out */
    uint64_t reserved_tail[7];
    limpet_access_entry entry[LIMPET_ACCESS_ENTRIES];
} limpet_access_ring;

enum { LIMPET_ACCESS_OFF = 0, LIMPET_ACCESS_ENDS = 1, LIMPET_ACCESS_BOTH = 2 };

typedef struct {
    uint8_t access; /* LIMPET_ACCESS_x: which lines workers are to make */
    uint8_t reserved_bytes[3];
    uint32_t asleep;      /* 1: whoever writes the log waits to be woken */
    uint64_t access_told; /* of the entries that were dropped, how many the log has told of */
    uint64_t log_dropped; /* lines of the log itself that nobody read in time */
    uint64_t log_waiting; /* lines that wait in the memory of the engine: lost, should it die */
    uint64_t reserved[12];
} limpet_log_state;

/* Written by the control plane alone. */
typedef struct {
    uint64_t reloads[2];  /* succeeded, refused or failed */
    uint64_t upgrades[3]; /* served, refused, rolled back */
    uint64_t events_dropped;
    uint64_t events;      /* number of the last event that was begun to be written */
    uint64_t resolutions[3]; /* questions about names: answered, empty, failed */
    uint64_t reserved[22];
} limpet_control_counters;

/* The same. */
typedef struct {
    uint64_t state_changes[8]; /* by BackendState.rawValue: how often it came to that */
    uint64_t reserved[8];
} limpet_backend_history;

/* Which local addresses had no port left for connections to a backend, for a second or so: the kernel's search through ports
 * that are all taken is long, and the workers share what one of them has found. Each word is a time, CLOCK_BOOTTIME in
 * milliseconds, above 16 bits that say what it is about; what it was about before a reload it is not about any more. 0 or
 * past: nothing is known. Any worker writes any word, and every one of them is true by itself. */
#define LIMPET_SOURCES 64u
#define LIMPET_SOURCE_TARGETS 8u
typedef struct {
    uint64_t all[LIMPET_SOURCE_TARGETS]; /* no address of the service's list has one; by the backend's address */
    uint64_t source[LIMPET_SOURCES];     /* by position in the list; of a transparent service: by the client's address */
} limpet_source_row;

/* The last events as they are told, a ring by number: so many, each of so many bytes. Written by the control event loop. */
#define LIMPET_EVENTS 1024u
#define LIMPET_EVENT_BYTES 1024u

typedef struct {
    uint64_t number; /* from 1 on; 0: none, or being written */
    uint32_t length;
    char text[LIMPET_EVENT_BYTES - 12];
} limpet_event;

/* The path or the abstract name of a Unix socket. */
typedef struct {
    uint8_t length; /* 0: none */
    uint8_t is_abstract;
    uint8_t bytes[110];
} limpet_path;

/* What a record has no room for of a connection with a side that is a Unix socket. Its worker writes it; says something where
 * LIMPET_DIRECTION_PIPED is set. */
typedef struct {
    uint64_t entered[2]; /* bytes of the reading side that ever entered the pipe, per direction: delivered, and what it holds */
    limpet_path backend; /* where the backend is; counts where the record's backend_address has LIMPET_FAMILY_PATH */
} limpet_piped;

/* What a listener's state has no room for where it is a Unix socket; counts where its address has LIMPET_FAMILY_PATH. */
typedef struct {
    limpet_path path;
    uint64_t device; /* of the file that is ours to remove */
    uint64_t inode;  /* 0: there is none */
    uint64_t modified;
    uint64_t reserved[3];
} limpet_unix_listener;

/* What a record has no room for of the PROXY protocol. The worker writes it, before the record's flag or byte that sends
 * there; without one of these it says nothing. */
typedef struct {
    uint16_t received;    /* LIMPET_PROXIED: bytes of the header that the client's bytes begin with; 0: not whole yet. They are
                           * taken out of the socket once LIMPET_DIRECTION_HELD is gone, and not before the state is open */
    uint16_t header;      /* limpet_record.header is UINT8_MAX: what it would be */
    uint16_t header_left; /* and what limpet_record.header_left would be */
    uint16_t reserved_half;
    uint64_t reserved;
} limpet_proxy;

/* How far the daemon is, as its service manager has it. */
enum { LIMPET_PHASE_STARTING = 0, LIMPET_PHASE_READY = 1, LIMPET_PHASE_STOPPING = 2 };

#define LIMPET_STATUS_BYTES 256u
#define LIMPET_BUILD_ID_BYTES 32u

/* What engine and keeper have to say to each other for the service manager, and of the last death what limpet_death has no
 * room for. */
typedef struct {
    /* Written by the keeper, while there is no engine. Descriptors: 0 or -1: none. */
    int32_t notify_socket;  /* unconnected, for datagrams to $NOTIFY_SOCKET */
    int32_t oom_adjustment; /* oom_score_adj of the keeper, see proc(5) */
    int32_t oom_base;       /* what stood in it when the daemon was started; counts where oom_is_known */
    uint32_t oom_is_known;
    uint64_t watchdog;      /* us within which the service manager wants to hear from the keeper; 0: it does not */
    /* Written by the engine's control plane. */
    uint32_t phase;           /* LIMPET_PHASE_x */
    uint32_t status_sequence; /* odd: `status` is being written; another with each text */
    uint64_t reloads_begun;
    uint64_t reloads_ended;
    uint64_t reload_moment; /* CLOCK_MONOTONIC us at which the last one began */
    uint64_t capabilities;  /* that the configuration needs, a bit for each of capabilities(7), and bit 63; 0: not known */
    char status[LIMPET_STATUS_BYTES]; /* in words */
    /* Of the last death, written before limpet_death.time: the program that died. */
    uint64_t death_image_bytes; /* from limpet_death.load_base on; 0: not known */
    uint32_t death_build_id_length;
    uint32_t reserved_half;
    uint8_t death_build_id[LIMPET_BUILD_ID_BYTES];
    uint64_t reserved[18];
} limpet_process;

#endif
