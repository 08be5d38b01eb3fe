#define _GNU_SOURCE
#include "sandbox_filter.h"
#include "sandbox_calls.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/netlink.h>
#include <linux/seccomp.h>
#include <linux/sock_diag.h>
#include <linux/sockios.h>
#include <sched.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__x86_64__)
#define ARCHITECTURE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCHITECTURE AUDIT_ARCH_AARCH64
#else
#error "the sandbox does not know this architecture"
#endif

/* Numbers of another ABI of the same architecture begin here. */
enum { FOREIGN = 0x40000000 };

#ifndef SECCOMP_FILTER_FLAG_SPEC_ALLOW
#define SECCOMP_FILTER_FLAG_SPEC_ALLOW 4
#endif
#ifndef PR_SET_VMA
#define PR_SET_VMA 0x53564d41
#endif

/* The program under way. One at a time: filters are put on by the only thread that there is. */
static struct sock_filter program[1024];
static unsigned short length;

static void add(unsigned short code, unsigned char when_true, unsigned char when_false, uint32_t value) {
    if (length < sizeof program / sizeof *program)
        program[length] = (struct sock_filter){code, when_true, when_false, value};
    length++;
}
static void load(unsigned offset) { add(BPF_LD | BPF_W | BPF_ABS, 0, 0, offset); }
/* The lower half of an argument: the upper counts for nothing in those that are looked at. */
static void load_argument(unsigned index) {
    load((unsigned)offsetof(struct seccomp_data, args) + 8 * index + (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ ? 4 : 0));
}
static void answer(uint32_t value) { add(BPF_RET | BPF_K, 0, 0, value); }
/* Answers at once if the value is this one. */
static void answer_if(uint32_t value, uint32_t action) {
    add(BPF_JMP | BPF_JEQ | BPF_K, 0, 1, value);
    answer(action);
}
static void mask(uint32_t bits) { add(BPF_ALU | BPF_AND | BPF_K, 0, 0, bits); }

static const uint32_t ALLOW = SECCOMP_RET_ALLOW;

static void sockets(uint32_t refusal) {
    load_argument(0);
    answer_if(AF_UNIX, ALLOW);
    /* Of AF_NETLINK: what interfaces and addresses there are, and whose sockets. */
    add(BPF_JMP | BPF_JEQ | BPF_K, 0, 6, AF_NETLINK);
    load_argument(2);
    answer_if(NETLINK_ROUTE, ALLOW);
    answer_if(NETLINK_SOCK_DIAG, ALLOW);
    answer(refusal);
    add(BPF_JMP | BPF_JEQ | BPF_K, 2, 0, AF_INET);
    add(BPF_JMP | BPF_JEQ | BPF_K, 1, 0, AF_INET6);
    answer(refusal);
    load_argument(1);
    mask(0xf);
    answer_if(SOCK_STREAM, ALLOW);
    answer_if(SOCK_DGRAM, ALLOW);
    answer(refusal);
}

static void one_of(unsigned argument, const uint32_t *values, unsigned count, uint32_t refusal) {
    load_argument(argument);
    for (unsigned index = 0; index < count; index++) answer_if(values[index], ALLOW);
    answer(refusal);
}

static const uint32_t requests[] = {FIONREAD, SIOCOUTQ, FIONBIO, FIOCLEX, FIONCLEX, TCGETS, SIOCGIFINDEX, SIOCGIFNAME};
static const uint32_t options[] = {
    PR_SET_NAME,    PR_GET_NAME,    PR_SET_PDEATHSIG, PR_GET_DUMPABLE, PR_SET_DUMPABLE,     PR_GET_NO_NEW_PRIVS,
    PR_CAPBSET_READ, PR_CAPBSET_DROP, PR_CAP_AMBIENT, PR_SET_VMA,      PR_SET_TIMERSLACK,  PR_GET_SECCOMP,
};

/* Namespaces, by the bits that clone(2) takes. */
static const uint32_t namespaces =
    CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET;

/* What follows once it is known which call it is: ends in an answer in any case.
 * allowed, refusal: the answers. */
static void judge(unsigned manner, uint32_t allowed, uint32_t refusal) {
    switch (manner) {
    case LIMPET_ABSENT: answer(SECCOMP_RET_ERRNO | ENOSYS); break;
    case LIMPET_SOME_SOCKETS: sockets(refusal); break;
    case LIMPET_SOME_REQUESTS: one_of(1, requests, sizeof requests / sizeof *requests, refusal); break;
    case LIMPET_SOME_OPTIONS: one_of(0, options, sizeof options / sizeof *options, refusal); break;
    case LIMPET_THREADS_ONLY:
        load_argument(0);
        mask(CLONE_THREAD | namespaces);
        answer_if(CLONE_THREAD, ALLOW);
        answer(refusal);
        break;
    case LIMPET_NO_NAMESPACES:
        load_argument(0);
        mask(namespaces);
        answer_if(0, ALLOW);
        answer(refusal);
        break;
    case LIMPET_NEVER_BOTH:
        load_argument(2);
        mask(PROT_WRITE | PROT_EXEC);
        answer_if(PROT_WRITE | PROT_EXEC, refusal);
        answer(ALLOW);
        break;
    case LIMPET_NO_CODE:
        load_argument(2);
        mask(PROT_EXEC);
        answer_if(PROT_EXEC, refusal);
        answer(ALLOW);
        break;
    default: answer(allowed); break;
    }
}

/* The program of a list.
 * by: whose calls of it; listed: the answer to those; otherwise: to all others; refusal: to what their arguments exclude. */
static void build(const limpet_call *calls, unsigned count, unsigned by, uint32_t listed, uint32_t otherwise,
                  uint32_t refusal) {
    length = 0;
    load(offsetof(struct seccomp_data, arch));
    add(BPF_JMP | BPF_JEQ | BPF_K, 1, 0, ARCHITECTURE);
    answer(refusal);
    load(offsetof(struct seccomp_data, nr));
#ifdef __x86_64__
    add(BPF_JMP | BPF_JGE | BPF_K, 0, 1, FOREIGN);
    answer(refusal);
#endif
    for (unsigned index = 0; index < count; index++) {
        if (!(calls[index].by & by)) continue;
        unsigned short jump = length;
        add(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, calls[index].number);
        judge(calls[index].manner, listed, refusal);
        if (jump < sizeof program / sizeof *program) program[jump].jf = (unsigned char)(length - jump - 1);
    }
    answer(otherwise);
}

static int install(unsigned flags) {
    if (length > sizeof program / sizeof *program) return -E2BIG;
    struct sock_fprog filter = {length, program};
    /* It is ours for good, and nobody of ours plays tricks with the processor's guesses: no mitigation is wanted that costs
     * every load. */
    if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags | SECCOMP_FILTER_FLAG_SPEC_ALLOW, &filter) == 0) return 1;
    /* An older kernel, or somebody's filter that knows this way alone. */
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0) return 1;
    return -errno;
}

int limpet_filter_keeper(limpet_calls *denied) {
    const uint32_t refusal = SECCOMP_RET_ERRNO | EPERM;
    build(limpet_denied, limpet_denied_count, LIMPET_BY_ALL, refusal, ALLOW, refusal);
    int result = install(SECCOMP_FILTER_FLAG_LOG);
    for (unsigned index = 0; index < limpet_denied_count && result == 1; index++) {
        uint16_t number = limpet_denied[index].number;
        if (limpet_denied[index].manner == LIMPET_ANYHOW && number < 64 * LIMPET_CALL_WORDS)
            denied->word[number / 64] |= 1ull << (number % 64);
    }
    return result;
}

int limpet_filter_process(void) {
    const uint32_t refusal = SECCOMP_RET_ERRNO | EPERM;
    build(limpet_allowed, limpet_allowed_count, LIMPET_BY_PROCESS, ALLOW, refusal, refusal);
    return install(0);
}

int limpet_filter_threads(void) {
    build(limpet_allowed, limpet_allowed_count, LIMPET_BY_THREADS, ALLOW, SECCOMP_RET_TRAP, SECCOMP_RET_TRAP);
    return install(0);
}

void limpet_filter_deny_process(limpet_calls *denied) {
    limpet_calls allowed = {0};
    for (unsigned index = 0; index < limpet_allowed_count; index++) {
        uint16_t number = limpet_allowed[index].number;
        if (limpet_allowed[index].by & LIMPET_BY_PROCESS && number < 64 * LIMPET_CALL_WORDS)
            allowed.word[number / 64] |= 1ull << (number % 64);
    }
    for (unsigned word = 0; word < LIMPET_CALL_WORDS; word++) denied->word[word] |= ~allowed.word[word];
}
