#define _GNU_SOURCE
#include "inject.h"

#ifdef LIMPET_INJECT
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

uint32_t limpet_inject_armed;
static uint32_t rate, label, passes;
static uint32_t passed;
static enum { BY_KILL, BY_HANGING, BY_FAULT } manner;
static __thread uint64_t state;

void limpet_inject_prepare(uint32_t engine_generation) {
    const char *text = getenv("LIMPET_INJECT");
    if (!text) return;
    const char *colon = strchr(text, ':'), *slash = strchr(text, '/');
    if (slash) {
        label = (uint32_t)strtoul(text, 0, 10) + 1;
        rate = (uint32_t)strtoul(slash + 1, 0, 10);
    } else if (!colon) {
        rate = (uint32_t)strtoul(text, 0, 10);
    } else {
        if (strstr(colon, ":hang")) manner = BY_HANGING;
        if (strstr(colon, ":fault")) manner = BY_FAULT;
        if (engine_generation != 1 && manner != BY_FAULT) return;
        label = (uint32_t)strtoul(text, 0, 10) + 1;
        passes = (uint32_t)strtoul(colon + 1, 0, 10);
    }
    limpet_inject_armed = rate != 0 || label != 0;
}

static void die(uint32_t point) {
    char line[] = "injected death at point 00\n";
    line[24] = (char)('0' + point / 10 % 10);
    line[25] = (char)('0' + point % 10);
    if (write(2, line, sizeof line - 1) < 0) _exit(1);
    if (manner == BY_FAULT) *(volatile int *)(uintptr_t)0x2a = 1;
    if (manner == BY_KILL) kill(getpid(), SIGKILL);
    for (;;) pause();
}

void limpet_inject_here(uint32_t point) { limpet_inject(point); }

void limpet_inject_pass(uint32_t point) {
    if (label != 0 && point + 1 != label) return;
    if (rate == 0) {
        if (__atomic_add_fetch(&passed, 1, __ATOMIC_RELAXED) == passes) die(point);
        return;
    }
    if (state == 0) {
        struct timespec now;
        clock_gettime(CLOCK_MONOTONIC, &now);
        state = ((uint64_t)now.tv_nsec << 20) ^ (uint64_t)syscall(SYS_gettid) ^ 0x9e3779b97f4a7c15ull;
    }
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    if (state % rate == 0) die(point);
}
#else
void limpet_inject_prepare(uint32_t engine_generation) { (void)engine_generation; }
#endif
