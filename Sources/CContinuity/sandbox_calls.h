#ifndef LIMPET_SANDBOX_CALLS_H
#define LIMPET_SANDBOX_CALLS_H

#include <stdint.h>

/* Of whom a call is expected. */
enum { LIMPET_BY_THREADS = 1, LIMPET_BY_PROCESS = 2, LIMPET_BY_ALL = 3 };

/* What about its arguments. */
enum {
    LIMPET_ANYHOW,
    LIMPET_ABSENT,         /* answered with ENOSYS: the C library has another way */
    LIMPET_SOME_SOCKETS,   /* socket(2): the families that we use */
    LIMPET_THREADS_ONLY,   /* clone(2): threads of the same process */
    LIMPET_NO_NAMESPACES,  /* clone(2): in the namespaces of the caller */
    LIMPET_SOME_REQUESTS,  /* ioctl(2): questions to sockets, pipes and terminals */
    LIMPET_SOME_OPTIONS,   /* prctl(2) */
    LIMPET_NEVER_BOTH,     /* mmap(2), mprotect(2): nothing that can be written to and executed */
    LIMPET_NO_CODE         /* mprotect(2): nothing that can be executed */
};

typedef struct {
    uint16_t number;
    uint8_t by;     /* LIMPET_BY_x */
    uint8_t manner; /* LIMPET_ANYHOW, … */
} limpet_call;

/* What limpetd does. Those that are made all the time come first, for kernels that go through the list. */
extern const limpet_call limpet_allowed[];
extern const unsigned limpet_allowed_count;
/* What no version of it ever has to do. */
extern const limpet_call limpet_denied[];
extern const unsigned limpet_denied_count;

#endif
