#define _GNU_SOURCE
#include "fault.h"
#include "sandbox_filter.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#ifndef SYS_SECCOMP
#define SYS_SECCOMP 1
#endif

static limpet_sandbox *sandbox;
static limpet_image image;

static void arguments(const ucontext_t *context, uint64_t argument[3]) {
#if defined(__x86_64__)
    argument[0] = (uint64_t)context->uc_mcontext.gregs[REG_RDI];
    argument[1] = (uint64_t)context->uc_mcontext.gregs[REG_RSI];
    argument[2] = (uint64_t)context->uc_mcontext.gregs[REG_RDX];
#elif defined(__aarch64__)
    for (int index = 0; index < 3; index++) argument[index] = context->uc_mcontext.regs[index];
#endif
}

static void fail(ucontext_t *context, int error) {
#if defined(__x86_64__)
    context->uc_mcontext.gregs[REG_RAX] = -error;
#elif defined(__aarch64__)
    context->uc_mcontext.regs[0] = (uint64_t)-(int64_t)error;
#endif
}

static void note(uint32_t number, uint64_t address, const ucontext_t *context) {
    uint64_t place = address - image.base < image.size ? address - image.base : address;
    __atomic_add_fetch(&sandbox->violations, 1, __ATOMIC_RELAXED);
    for (unsigned index = 0; index < LIMPET_VIOLATIONS; index++) {
        limpet_violation *entry = &sandbox->violation[index];
        uint32_t state = __atomic_load_n(&entry->state, __ATOMIC_ACQUIRE);
        if (state == 2 && entry->number == number && entry->place == place) {
            __atomic_add_fetch(&entry->count, 1, __ATOMIC_RELAXED);
            return;
        }
        uint32_t free = 0;
        if (state != 0 || !__atomic_compare_exchange_n(&entry->state, &free, 1, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
            continue;
        entry->number = number;
        entry->place = place;
        arguments(context, entry->argument);
        entry->count = 1;
        if (prctl(PR_GET_NAME, entry->thread) != 0) entry->thread[0] = 0;
        __atomic_store_n(&entry->state, 2, __ATOMIC_RELEASE);
        return;
    }
    __atomic_add_fetch(&sandbox->lost, 1, __ATOMIC_RELAXED);
}

static void on_refusal(int number, siginfo_t *info, void *context) {
    if (info->si_code != SYS_SECCOMP) {
        /* Somebody has sent it: it ends the process, as it would without us. */
        signal(number, SIG_DFL);
        syscall(SYS_tgkill, getpid(), (pid_t)syscall(SYS_gettid), number);
        return;
    }
    note((uint32_t)info->si_syscall, (uint64_t)(uintptr_t)info->si_call_addr, context);
    fail(context, EPERM);
}

void limpet_trap_prepare(limpet_shared_header *region) {
    sandbox = limpet_sandbox_of(region);
    image = limpet_own_image();
    struct sigaction action = {.sa_sigaction = on_refusal, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART};
    sigemptyset(&action.sa_mask);
    if (sandbox) sigaction(SIGSYS, &action, NULL);
}
