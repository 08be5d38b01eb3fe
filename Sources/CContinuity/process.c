#define _GNU_SOURCE
#include "process.h"
#include "exec.h"
#include "look.h"
#include "sandbox.h"
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

void limpet_grow_descriptor_table(int32_t descriptors) {
    /* The table is as large as the highest number ever needed. Of our own numbers any will do to be copied. Not dup2: in a
     * table that was handed down a connection may have the last number. */
    int highest = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, descriptors - 1);
    if (highest >= 0) close(highest);
}

static int forget_object(struct dl_phdr_info *object, size_t size, void *context) {
    (void)size;
    uintptr_t page = (uintptr_t)*(long *)context;
    for (int index = 0; index < object->dlpi_phnum; index++) {
        const ElfW(Phdr) *segment = &object->dlpi_phdr[index];
        if (segment->p_type != PT_LOAD || (segment->p_flags & PF_W)) continue;
        uintptr_t first = (object->dlpi_addr + segment->p_vaddr) & ~(page - 1);
        uintptr_t last = object->dlpi_addr + segment->p_vaddr + segment->p_memsz;
        madvise((void *)first, last - first, MADV_DONTNEED);
    }
    return 0;
}

void limpet_forget_program(void) {
    long page = sysconf(_SC_PAGESIZE);
    dl_iterate_phdr(forget_object, &page);
}

int limpet_name_keeper(limpet_continuity *continuity) {
    int pidfd = (int)syscall(SYS_pidfd_open, getpid(), 0);
    if (pidfd < 0) return -1;
    continuity->keeper_pidfd = pidfd;
    limpet_pid_store(&continuity->keeper, getpid());
    return 0;
}

/* ---- The replacement of a keeper that has died: a clone of the engine, in which only C runs ---- */

static int32_t handed_to;

static void hand_on(int number) {
    int error = errno;
    sigqueue(handed_to, LIMPET_HANDED_ON, (union sigval){.sival_int = number});
    errno = error;
}

static volatile sig_atomic_t is_asked;

/* From the engine: a question about an executable. */
static void be_asked(int number, siginfo_t *info, void *context) {
    (void)number;
    (void)context;
    if (info->si_code == SI_QUEUE && info->si_pid == handed_to && info->si_value.sival_int == LIMPET_LOOK_ASKED) is_asked = 1;
}

/* The new version cannot be executed: the one before goes on. */
static void refuse_upgrade(limpet_continuity *continuity, int error) {
    limpet_upgrade *upgrade = &continuity->upgrade;
    continuity->executable_next = -1;
    upgrade->reason[0] = 0;
    limpet_append(upgrade->reason, sizeof upgrade->reason, "cannot execute the new version: error ");
    limpet_append_number(upgrade->reason, sizeof upgrade->reason, (uint64_t)error);
    limpet_publish32(&upgrade->state, LIMPET_UPGRADE_REFUSED);
}

__attribute__((noreturn)) static void replace_keeper(limpet_shared_header *region, int32_t engine) {
    limpet_continuity *continuity = limpet_continuity_of(region);
    static const int numbers[] = {SIGTERM, SIGINT, SIGHUP, SIGUSR2};
    struct sigaction action = {.sa_handler = hand_on};
    sigset_t blocked;
    prctl(PR_SET_NAME, "limpetd");
    handed_to = engine;
    sigprocmask(SIG_BLOCK, NULL, &blocked);
    for (unsigned index = 0; index < sizeof numbers / sizeof *numbers; index++) {
        sigaction(numbers[index], &action, NULL);
        sigdelset(&blocked, numbers[index]);
    }
    struct sigaction question = {.sa_sigaction = be_asked, .sa_flags = SA_SIGINFO};
    sigaction(LIMPET_HANDED_ON, &question, NULL);
    sigdelset(&blocked, LIMPET_HANDED_ON);
    struct pollfd process = {.fd = continuity->engine_pidfd, .events = POLLIN};
    static const struct timespec glance = {.tv_nsec = 20000000};
    int looks = 0;
    while (ppoll(&process, 1, looks ? &glance : NULL, &blocked) < 1) {
        if (is_asked) limpet_look_begin(region);
        is_asked = 0;
        looks = limpet_look_goes_on(region);
    }
    limpet_look_abandon();
    if (limpet_load32(&continuity->ending)) _exit(continuity->exit_status);
    limpet_pid_store(&continuity->engine, 0);
    int is_upgrade = limpet_load32(&continuity->upgrade.state) == LIMPET_UPGRADE_PARKED;
    if (!is_upgrade) limpet_store32(&continuity->unnoted, 1);
    for (;;) {
        limpet_mend_executable(continuity);
        int32_t next = is_upgrade ? limpet_open_next(region) : continuity->executable;
        if (is_upgrade) continuity->executable_next = next;
        limpet_exec_guarded(region, next, continuity->executable, is_upgrade ? limpet_upgrade_patience(continuity) : 0);
        int error = errno;
        if (limpet_end_is_asked()) _exit(1);
        if (is_upgrade) refuse_upgrade(continuity, error); else limpet_sleep(1000);
        is_upgrade = 0;
    }
}

/* ---- The engine ---- */

typedef struct {
    limpet_shared_header *region;
    void (*run)(void *);
    void *context;
} engine_start;

void limpet_await_guard(const limpet_continuity *continuity) {
    for (int32_t guard; (guard = limpet_pid_load(&continuity->guard)) != 0;) {
        struct timespec limit = {.tv_nsec = 100000000};
        syscall(SYS_futex, &continuity->guard, FUTEX_WAIT, guard, &limit, NULL, 0);
    }
}

static void *engine_thread(void *argument) {
    engine_start *start = argument;
    limpet_sandbox_threads(start->region);
    start->run(start->context);
    _exit(1);
}

/* What the cloned thread does for the rest of its life. */
__attribute__((noreturn)) static void watch_keeper(limpet_shared_header *region, int32_t keeper, int pidfd) {
    limpet_continuity *continuity = limpet_continuity_of(region);
    limpet_await_end(pidfd, -1);
    int32_t guard = limpet_pid_load(&continuity->guard);
    if (guard != 0) {
        /* The image died on the way. Either its guard takes over, with another engine, or it had just been let go. */
        if (limpet_pid_load(&continuity->safe) != keeper) _exit(1);
        limpet_dismiss_guard(continuity);
    }
    int32_t engine = getpid();
    for (uint64_t pause = 0;;) {
        /* From here on the engine takes signals from anybody. */
        limpet_pid_store(&continuity->keeper, 0);
        limpet_sleep(pause);
        uint64_t begun = limpet_milliseconds();
        long child = limpet_clone_sharing(&continuity->keeper);
        if (child == 0) replace_keeper(region, engine);
        if (child > 0)
            while (waitpid((pid_t)child, NULL, 0) < 0 && errno == EINTR) {}
        pause = limpet_replacement_pause(pause, limpet_milliseconds() - begun);
    }
}

uint64_t limpet_replacement_pause(uint64_t before, uint64_t lived) {
    if (lived >= 1000) return 0;
    uint64_t pause = before ? 2 * before : 10;
    return pause < 100 ? pause : 100;
}

int32_t limpet_clone_engine(limpet_shared_header *region, void (*run)(void *), void *context) {
    limpet_continuity *continuity = limpet_continuity_of(region);
    int32_t keeper = getpid();
    int pidfd = continuity->keeper_pidfd;
    long child = limpet_clone_sharing(&continuity->engine);
    if (child != 0) return (int32_t)child;
    /* Named before a second thread runs: what nothing names is closed by the engine's first steps. */
    prctl(PR_SET_NAME, "limpetd-engine");
    int before = continuity->engine_pidfd;
    int own = (int)syscall(SYS_pidfd_open, getpid(), 0);
    if (own < 0) _exit(1);
    continuity->engine_pidfd = own;
    if (before >= 0) close(before);
    limpet_sandbox_engine(region);
    /* Lives as long as this function, which does not return here. */
    engine_start start = {region, run, context};
    pthread_t thread;
    if (pthread_create(&thread, NULL, engine_thread, &start) != 0) _exit(1);
    watch_keeper(region, keeper, pidfd);
}
