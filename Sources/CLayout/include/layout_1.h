/* The record of layout 1, frozen: daemons of this layout are upgraded from, and rolled back to. What it says is said in
 * layout.h; what changed in layout 2: the slots and the PROXY header's length came into the first line, the id left it. */
#ifndef LIMPET_LAYOUT_1_H
#define LIMPET_LAYOUT_1_H

#ifndef LIMPET_LAYOUT_H
#error "include layout.h"
#endif

typedef struct {
    /* line 0 */
    uint32_t sequence;   /* odd while the worker changes what identifies the connection */
    uint32_t generation; /* 1 … 2^31−1, changes with each use of the slot; 0: never used */
    uint64_t id;         /* monotonic over all workers and never used again */
    int32_t descriptor[2]; /* client, backend; -1: none */
    uint8_t state;
    uint8_t flags;
    uint8_t attempt;       /* connects started so far */
    uint8_t away_reason;   /* AwayReason.rawValue of the home backend at accept; 0: at home */
    uint8_t events[2];     /* what epoll watches for each side: bit 0 in, bit 1 out */
    uint8_t end;           /* these and connect_time as in layout 2: words that were kept for later, and always 0 */
    uint8_t end_flags;
    limpet_direction direction[2]; /* in: client to backend; out: backend to client */
    /* line 1 */
    uint64_t delivered[2];   /* bytes handed to the receiving socket, per direction */
    uint64_t opened;         /* CLOCK_BOOTTIME ns of the accept */
    uint64_t active;         /* CLOCK_BOOTTIME ns of the last byte, or of the first FIN after it */
    uint64_t deadline;       /* CLOCK_BOOTTIME ns of the state's own time-out (connect, half-close, reset); 0: none */
    uint64_t source_key;     /* the hashed key: where in the preference order the client stands can be told again */
    uint16_t service;        /* slots, stable while the configuration lives */
    uint16_t listener;
    uint16_t backend;
    uint16_t home;
    uint32_t timer_next; /* links of the timer wheel: slot + 1; 0: end */
    uint32_t timer_previous;
    /* lines 2 and 3 */
    limpet_address client; /* who it is */
    limpet_address peer;   /* who is connected: another than the client behind a proxy */
    limpet_address client_local;
    limpet_address backend_address;
    limpet_address backend_local;
    uint32_t timer_slot; /* slot of the wheel + 1; 0: not armed */
    uint8_t header;      /* PROXY header, as in layout 2 */
    uint8_t header_left;
    uint16_t connect_time;
} limpet_record_1;

#endif
