#define _GNU_SOURCE
#include "process.h"
#include "atomics.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

void limpet_grow_descriptor_table(int32_t descriptors) {
    /* The table is as large as the highest number ever needed. Of our own numbers any will do to be copied. */
    int highest = dup2(STDERR_FILENO, descriptors - 1);
    if (highest >= 0) close(highest);
}

int limpet_name_keeper(limpet_continuity *continuity) {
    int pidfd = (int)syscall(SYS_pidfd_open, getpid(), 0);
    if (pidfd < 0) return -1;
    continuity->keeper_pidfd = pidfd;
    continuity->keeper = getpid();
    return 0;
}

typedef struct {
    void (*run)(void *);
    void *context;
} engine_start;

static void *engine_thread(void *argument) {
    engine_start *start = argument;
    start->run(start->context);
    _exit(1);
}

/* What the cloned thread does for the rest of its life. */
static void watch_keeper(limpet_continuity *continuity) {
    struct pollfd keeper = {.fd = continuity->keeper_pidfd, .events = POLLIN};
    while (poll(&keeper, 1, -1) < 1) {}
    limpet_store32((uint32_t *)&continuity->keeper, 0);
    for (;;) pause();
}

int32_t limpet_clone_engine(limpet_continuity *continuity, void (*run)(void *), void *context) {
    long child = syscall(SYS_clone, (long)(CLONE_FILES | SIGCHLD), 0L, 0L, 0L, 0L);
    if (child != 0) {
        if (child > 0) continuity->engine = (int32_t)child;
        return (int32_t)child;
    }
    continuity->engine = getpid();
    /* Lives as long as this function, which does not return here. */
    engine_start start = {run, context};
    pthread_t thread;
    if (pthread_create(&thread, NULL, engine_thread, &start) != 0) _exit(1);
    watch_keeper(continuity);
    _exit(1);
}
