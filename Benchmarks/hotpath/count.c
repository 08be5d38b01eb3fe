/* Counts calls of the allocator and of Swift's reference counting, made by the forwarding threads of a dynamically linked
 * limpetd. Loaded with LD_PRELOAD; writes its totals to the file that HOTPATH_COUNTS names when it gets SIGUSR1.
 *
 * Calls that libswiftCore makes of itself do not pass through here, but those of our own code do, and the allocator's all
 * do; that the counters work is shown by a control (see hotpath.py). */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

enum { RETAIN, RELEASE, ALLOC_OBJECT, BEGIN_ACCESS, MALLOC, COUNTERS };
static const char *const names[COUNTERS] = {"swift_retain", "swift_release", "swift_allocObject", "swift_beginAccess",
                                            "malloc"};
static atomic_ulong totals[COUNTERS];

/* 0: not looked yet; 1: no worker; 2: a worker. */
static __thread int kind;

static int counted(void) {
    if (kind == 0) {
        char name[16] = "";
        prctl(PR_GET_NAME, name);
        /* A thread gets its name after its first allocations: until then look again. */
        if (strncmp(name, "worker-", 7) == 0) kind = 2;
        else if (strncmp(name, "limpetd", 7) != 0) kind = 1;
    }
    return kind == 2;
}

static void count(int which) {
    if (counted()) atomic_fetch_add_explicit(&totals[which], 1, memory_order_relaxed);
}

static void *next(const char *name) { return dlsym(RTLD_NEXT, name); }

#define FORWARD(type, function, parameters, arguments, which)          \
    type function parameters {                                         \
        static type(*real) parameters;                                 \
        if (!real) real = (type(*) parameters)next(#function);         \
        count(which);                                                  \
        return real arguments;                                         \
    }

FORWARD(void *, swift_retain, (void *object), (object), RETAIN)
FORWARD(void *, swift_retain_n, (void *object, unsigned n), (object, n), RETAIN)
FORWARD(void *, swift_bridgeObjectRetain, (void *object), (object), RETAIN)
FORWARD(void, swift_release, (void *object), (object), RELEASE)
FORWARD(void, swift_release_n, (void *object, unsigned n), (object, n), RELEASE)
FORWARD(void, swift_bridgeObjectRelease, (void *object), (object), RELEASE)
FORWARD(void *, swift_allocObject, (void *metadata, size_t size, size_t mask), (metadata, size, mask), ALLOC_OBJECT)
FORWARD(void, swift_beginAccess, (void *pointer, void *buffer, unsigned long flags, void *pc), (pointer, buffer, flags, pc),
        BEGIN_ACCESS)

/* The C library's own names behind malloc: dlsym allocates, so the real one cannot be looked up from inside. */
extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);

void *malloc(size_t size) {
    count(MALLOC);
    return __libc_malloc(size);
}
void *calloc(size_t number, size_t size) {
    count(MALLOC);
    return __libc_calloc(number, size);
}
void *realloc(void *block, size_t size) {
    count(MALLOC);
    return __libc_realloc(block, size);
}
void *aligned_alloc(size_t alignment, size_t size) {
    count(MALLOC);
    return __libc_memalign(alignment, size);
}
int posix_memalign(void **block, size_t alignment, size_t size) {
    count(MALLOC);
    *block = __libc_memalign(alignment, size);
    return *block ? 0 : 12;
}

static void write_totals(int signal) {
    (void)signal;
    const char *path = getenv("HOTPATH_COUNTS");
    if (!path) return;
    char partial[512];
    snprintf(partial, sizeof partial, "%s.part", path);
    int file = open(partial, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    for (int which = 0; which < COUNTERS; which++) dprintf(file, "%s %lu\n", names[which], totals[which]);
    close(file);
    rename(partial, path);
}

__attribute__((constructor)) static void start(void) { signal(SIGUSR1, write_totals); }
