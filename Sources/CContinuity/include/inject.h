/* Deaths on purpose, for tests: debug builds end the process by SIGKILL at a labelled point when they were told to; in
 * release builds nothing of it is left.
 *
 * LIMPET_INJECT=RATE in the environment ends the process at one in RATE of all points that are passed;
 * LIMPET_INJECT=POINT/RATE at one in RATE passes of one point;
 * LIMPET_INJECT=POINT:N at the Nth pass of one point, given by its number, in the first engine alone; with :hang behind it
 * the thread stands still there for ever, and with :fault it writes where no memory is, in every engine. */
#ifndef LIMPET_INJECT_H
#define LIMPET_INJECT_H

#include <stdint.h>

/* The points: what has just been done when the process dies there. In the order of a connection's life, which is no
 * contract: tests take the names. */
enum {
    /* Taking a client in. */
    LIMPET_AT_ACCEPTED,         /* accept(2) gave a socket that nothing names */
    LIMPET_AT_RECORD_WRITTEN,   /* the record is filled in, and still counts as free */
    LIMPET_AT_CLIENT_NAMED,     /* the client's socket is named in it */
    LIMPET_AT_ADMITTED,         /* it counts */
    LIMPET_AT_CLIENT_WATCHED,   /* epoll watches the client */
    /* Connecting to a backend. */
    LIMPET_AT_PLACE_TAKEN,      /* under the backend's limit */
    LIMPET_AT_SOCKET_OPENED,    /* nothing names it */
    LIMPET_AT_BACKEND_NAMED,
    LIMPET_AT_CONNECT_STARTED,
    LIMPET_AT_BACKEND_WATCHED,
    LIMPET_AT_CONNECT_TOLD,     /* the outcome was taken out of the socket */
    LIMPET_AT_CONNECT_UNNAMED,  /* it failed and is not closed yet */
    LIMPET_AT_CONNECT_CLOSED,
    LIMPET_AT_HEADER_NAMED,     /* the pipe of the PROXY header */
    LIMPET_AT_HEADER_WRITTEN,
    LIMPET_AT_HEADER_FLAGGED,
    LIMPET_AT_ESTABLISHED,      /* the record says so */
    LIMPET_AT_ESTABLISHED_COUNTED,
    /* Moving bytes through the scratch. */
    LIMPET_AT_SCRATCH_CLAIMED,
    LIMPET_AT_RECEIVED,
    LIMPET_AT_RECEIVED_COUNTED,
    LIMPET_AT_SENT,
    LIMPET_AT_SENT_COUNTED,
    LIMPET_AT_SPILL_NAMED,
    LIMPET_AT_SPILLED,
    LIMPET_AT_SPILLED_COUNTED,
    LIMPET_AT_SCRATCH_RELEASED,
    LIMPET_AT_PEEKED,
    LIMPET_AT_PEEKED_SENT,
    LIMPET_AT_PEEKED_DISCARDED,
    /* Moving bytes through a pipe. */
    LIMPET_AT_PIPE_NAMED,
    LIMPET_AT_SPLICED_IN,
    LIMPET_AT_SPLICED_IN_COUNTED,
    LIMPET_AT_SPLICED_OUT,
    LIMPET_AT_SPLICED_OUT_COUNTED,
    LIMPET_AT_PIPE_UNNAMED,
    /* Ends. */
    LIMPET_AT_EOF_READ,
    LIMPET_AT_EOF_FLAGGED,
    LIMPET_AT_SHUT,
    LIMPET_AT_SHUT_FLAGGED,
    LIMPET_AT_HALF_CLOSED,
    LIMPET_AT_RESET_READ,
    LIMPET_AT_RESET_FLAGGED,
    LIMPET_AT_RESET_DROPPED,
    LIMPET_AT_UNWATCHED,
    LIMPET_AT_INTEREST_CHANGED,
    LIMPET_AT_ORDERED,          /* closing by order has begun */
    LIMPET_AT_DISCARDED,
    LIMPET_AT_FINISHING,
    LIMPET_AT_FINISH_DROPPED,   /* the pipes */
    LIMPET_AT_FINISH_DOOMED,    /* the kernel knows how each socket is to end */
    LIMPET_AT_FINISH_UNNAMED,
    LIMPET_AT_FINISH_FREE,
    LIMPET_AT_FINISH_CLOSED,    /* the client's socket */
    /* In the engine after. */
    LIMPET_AT_RECOVERING,
    LIMPET_AT_REST_SENT,
    LIMPET_AT_REST_SPILLED,
    LIMPET_AT_RECOVERED,
    LIMPET_AT_ADOPTED,
    /* In a reload, on the control plane's thread. */
    LIMPET_AT_RELOAD_BOUND,     /* new listeners are named; the old configuration counts */
    LIMPET_AT_RELOAD_PUBLISHED, /* the new configuration counts, and nothing else has changed yet */
    LIMPET_AT_RELOAD_SETTLED,   /* the region says so too; the workers have not been told */
    /* What is written down of a start and an end. */
    LIMPET_AT_START_LOGGED,     /* the line is in the ring, and the record does not say so yet */
    LIMPET_AT_END_FLAGGED,      /* the record says that its end is counted, and it is not yet */
    LIMPET_AT_END_COUNTED,
    LIMPET_AT_END_LOGGED,       /* as with the start */
    /* A PROXY header from the client. */
    LIMPET_AT_PROXY_AWAITED,    /* epoll tells when more of it is there */
    LIMPET_AT_PROXY_WHOLE,      /* it was read, and the record does not say so yet */
    LIMPET_AT_PROXY_NOTED,      /* it does; the socket is still watched */
    LIMPET_AT_PROXY_UNWATCHED,  /* no more */
    LIMPET_AT_PROXY_TAKEN,      /* it is out of the socket, and the record does not say so yet */
    LIMPET_AT_PROXY_RELEASED,   /* the client's bytes can be taken */
    /* Where a connection to a backend comes from. */
    LIMPET_AT_SOURCE_BOUND,     /* its address is chosen; nothing was sent */
    /* What is remembered of a client. */
    LIMPET_AT_AFFINITY_CLAIMED, /* an entry is taken and not filled */
    LIMPET_AT_AFFINITY_JOINED,  /* it counts the connection, and the record does not say so yet */
    LIMPET_AT_AFFINITY_LINKED,
    LIMPET_AT_AFFINITY_LEFT,    /* it counts the connection no more, and the record still says so */
    LIMPET_POINTS
};

/* Reads the environment; once per engine, before the workers. Does nothing in release builds. */
void limpet_inject_prepare(uint32_t engine_generation);
/* What Swift calls, in debug builds alone: its importer does not know how the C was compiled. */
void limpet_inject_here(uint32_t point);

#ifdef LIMPET_INJECT
extern uint32_t limpet_inject_armed;
void limpet_inject_pass(uint32_t point);
static inline void limpet_inject(uint32_t point) {
    if (__builtin_expect(limpet_inject_armed, 0)) limpet_inject_pass(point);
}
#else
static inline void limpet_inject(uint32_t point) { (void)point; }
#endif

#endif
