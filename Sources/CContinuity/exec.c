#define _GNU_SOURCE
#include "exec.h"
#include "support.h"
#include "test_image.h"
#include "trust.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* In `safe`: the guard has taken over. */
enum { TAKEN_OVER = -1 };

/* REGION:KEEPER:ATTEMPT:DUMPABLE, in decimal. The keeper's id tells a text that was left in somebody's environment. */
static const char variable[] = "LIMPET_ADOPT=";

static char **arguments;

/* The C library calls constructors with what main gets. */
__attribute__((constructor)) static void keep_arguments(int count, char **vector) {
    (void)count;
    arguments = vector;
}

static int execute(limpet_continuity *continuity, int32_t executable, uint32_t attempt) {
    /* The engine shared the table of descriptors: what is no file that was looked at is not executed. */
    const char *trust = limpet_trust_variable(executable);
    if (!trust) {
        errno = ESTALE;
        return -1;
    }
    unsigned count = 0;
    while (environ[count]) count++;
    /* A page or two of the stack: there may be no allocator here. */
    char *environment[count + 3];
    char adoption[96] = "";
    limpet_append(adoption, sizeof adoption, variable);
    limpet_append_number(adoption, sizeof adoption, (uint64_t)continuity->region);
    limpet_append(adoption, sizeof adoption, ":");
    limpet_append_number(adoption, sizeof adoption, (uint64_t)getpid());
    limpet_append(adoption, sizeof adoption, ":");
    limpet_append_number(adoption, sizeof adoption, attempt);
    limpet_append(adoption, sizeof adoption, ":");
    limpet_append_number(adoption, sizeof adoption, (uint64_t)prctl(PR_GET_DUMPABLE));
    unsigned kept = 0;
    environment[kept++] = adoption;
    environment[kept++] = (char *)trust;
    for (unsigned index = 0; index < count; index++)
        if (strncmp(environ[index], variable, sizeof variable - 1) != 0 && strncmp(environ[index], "LIMPET_TRUST=", 13) != 0)
            environment[kept++] = environ[index];
    environment[kept] = NULL;
    return (int)syscall(SYS_execveat, executable, "", arguments, environment, AT_EMPTY_PATH);
}

/* Tells systemd, where it waits for such things (sd_notify(3)), that the unit's main process is another now. */
static void announce_main_process(void) {
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (!path || (path[0] != '/' && path[0] != '@') || strlen(path) >= sizeof address.sun_path) return;
    size_t length = strlen(path);
    memcpy(address.sun_path, path, length);
    if (path[0] == '@') address.sun_path[0] = 0;
    char text[32] = "MAINPID=";
    limpet_append_number(text, sizeof text, (uint64_t)getpid());
    int descriptor = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (descriptor < 0) return;
    sendto(descriptor, text, strlen(text), MSG_NOSIGNAL, (struct sockaddr *)&address,
           (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length));
    close(descriptor);
}

static void roll_upgrade_back(limpet_continuity *continuity, int32_t fallback, int was_late, uint32_t milliseconds) {
    limpet_upgrade *upgrade = &continuity->upgrade;
    continuity->executable = fallback;
    if (upgrade->state != LIMPET_UPGRADE_PARKED && upgrade->state != LIMPET_UPGRADE_STARTED) return;
    continuity->executable_previous = -1;
    continuity->executable_next = -1;
    upgrade->reason[0] = 0;
    if (was_late) {
        limpet_append(upgrade->reason, sizeof upgrade->reason, "the new version did not take over within ");
        limpet_append_number(upgrade->reason, sizeof upgrade->reason, milliseconds);
        limpet_append(upgrade->reason, sizeof upgrade->reason, " ms");
    } else {
        limpet_append(upgrade->reason, sizeof upgrade->reason, "the new version ended before it had taken over");
    }
    limpet_publish32(&upgrade->state, LIMPET_UPGRADE_ROLLED_BACK);
}

int limpet_end_is_asked(void) {
    sigset_t waiting;
    return sigpending(&waiting) == 0 && (sigismember(&waiting, SIGTERM) == 1 || sigismember(&waiting, SIGINT) == 1);
}

static int exec_guarded(limpet_shared_header *region, int32_t executable, int32_t fallback, uint32_t milliseconds,
                        uint32_t attempt);

/* The guard's whole life. */
__attribute__((noreturn)) static void guard(limpet_shared_header *region, int32_t keeper, int pidfd, int32_t fallback,
                                            uint32_t milliseconds, uint32_t attempt) {
    limpet_continuity *continuity = limpet_continuity_of(region);
    prctl(PR_SET_NAME, "limpetd-guard");
    uint64_t begun = limpet_milliseconds();
    int has_ended = 0;
    for (;;) {
        has_ended = limpet_await_end(pidfd, 1);
        if (limpet_pid_load(&continuity->safe) == keeper) _exit(0);
        if (!has_ended && limpet_milliseconds() - begun <= milliseconds) continue;
        int32_t nobody = 0;
        if (__atomic_compare_exchange_n(&continuity->safe, &nobody, TAKEN_OVER, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
            break;
    }
    syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, 0L, 0);
    limpet_await_end(pidfd, -1);
    close(pidfd);
    /* An engine that it has cloned waits for the guard to let it go, and shares a table that is none of ours. */
    int32_t engine = limpet_pid_load(&continuity->engine);
    if (engine > 0) limpet_end_process(engine);
    limpet_pid_store(&continuity->engine, 0);
    limpet_pid_store(&continuity->keeper, getpid());
    limpet_pid_store(&continuity->guard, 0);
    roll_upgrade_back(continuity, fallback, !has_ended, milliseconds);
    prctl(PR_SET_NAME, "limpetd");
    announce_main_process();
    for (;;) {
        uint64_t pause = attempt < 5 ? 10ull << (2 * attempt) : 5000;
        if (attempt > 0) limpet_sleep(pause < 5000 ? pause : 5000);
        attempt++;
        exec_guarded(region, fallback, fallback, LIMPET_SAFE_MILLISECONDS, attempt);
        if (limpet_end_is_asked()) _exit(1);
    }
}

static int exec_guarded(limpet_shared_header *region, int32_t executable, int32_t fallback, uint32_t milliseconds,
                        uint32_t attempt) {
    limpet_continuity *continuity = limpet_continuity_of(region);
    int32_t keeper = getpid();
    limpet_pid_store(&continuity->safe, 0);
    limpet_pid_store(&continuity->engine, 0);
    int pidfd = (int)syscall(SYS_pidfd_open, keeper, 0);
    if (pidfd < 0) return -1;
    long child = limpet_clone_sharing(&continuity->guard);
    if (child == 0) guard(region, keeper, pidfd, fallback, milliseconds, attempt);
    if (child > 0) execute(continuity, executable, attempt);
    int error = errno;
    if (child > 0) {
        kill((pid_t)child, SIGKILL);
        while (waitpid((pid_t)child, NULL, 0) < 0 && errno == EINTR) {}
        limpet_pid_store(&continuity->guard, 0);
    }
    close(pidfd);
    errno = error;
    return -1;
}

int limpet_exec_guarded(limpet_shared_header *region, int32_t executable, int32_t fallback, uint32_t milliseconds) {
    if (!limpet_is_known(executable) || !limpet_is_known(fallback)) {
        errno = ESTALE;
        return -1;
    }
    return exec_guarded(region, executable, fallback, milliseconds ? milliseconds : LIMPET_SAFE_MILLISECONDS, 0);
}

uint32_t limpet_upgrade_patience(const limpet_continuity *continuity) {
#ifdef LIMPET_INJECT
    /* Tests share a machine with others, and most of them are not about time. */
    const char *text = getenv("LIMPET_UPGRADE_PATIENCE");
    if (text) return (uint32_t)strtoul(text, NULL, 10);
#endif
    struct timespec now;
    clock_gettime(CLOCK_BOOTTIME, &now);
    uint64_t begun = continuity->upgrade.parked / 1000000;
    uint64_t over = (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000 - begun;
    return over + LIMPET_UPGRADE_LEAST_MILLISECONDS < LIMPET_UPGRADE_MILLISECONDS
               ? LIMPET_UPGRADE_MILLISECONDS - (uint32_t)over
               : LIMPET_UPGRADE_LEAST_MILLISECONDS;
}

/* ---- In the new image ---- */

#ifdef LIMPET_INJECT
/* For tests: LIMPET_FAIL_ADOPTION=die:N or hang:N has the first N images in a row fail before they are safe. */
static void fail_on_purpose(uint32_t attempt) {
    char image[16] = "";
    limpet_test_image("image", image, sizeof image);
    if (strcmp(image, "dies") == 0) kill(getpid(), SIGKILL);
    if (strcmp(image, "exits") == 0) _exit(1);
    for (; strcmp(image, "hangs") == 0;) pause();
    const char *text = getenv("LIMPET_FAIL_ADOPTION");
    const char *colon = text ? strchr(text, ':') : NULL;
    if (!colon || attempt >= strtoul(colon + 1, NULL, 10)) return;
    if (strncmp(text, "die", 3) == 0) kill(getpid(), SIGKILL);
    for (;;) pause();
}
#else
static void fail_on_purpose(uint32_t attempt) { (void)attempt; }
#endif

int limpet_take_adoption(limpet_adoption *adoption) {
    const char *text = getenv("LIMPET_ADOPT");
    if (!text) {
        limpet_trust_take(0);
        return 0;
    }
    long number[4] = {0};
    const char *at = text;
    int count = 0;
    for (; count < 4; count++) {
        char *end;
        if (*at < '0' || *at > '9') break;
        number[count] = strtol(at, &end, 10);
        at = *end == ':' ? end + 1 : end;
    }
    int is_ours = count == 4 && *at == 0 && number[1] == getpid();
    unsetenv("LIMPET_ADOPT");
    limpet_trust_take(is_ours);
    if (!is_ours) return 0;
    adoption->region = (int32_t)number[0];
    adoption->attempt = (uint32_t)number[2];
    adoption->dumpable = (int)number[3];
    prctl(PR_SET_NAME, "limpetd");
    /* Afterwards it is root's, and there is no other way to it. */
    adoption->oom_adjustment = open("/proc/self/oom_score_adj", O_RDWR | O_CLOEXEC);
    if (adoption->dumpable != 1) prctl(PR_SET_DUMPABLE, 0);
    fail_on_purpose(adoption->attempt);
    return 1;
}

int limpet_claim_safety(int32_t *safe) {
    int32_t nobody = 0;
    return __atomic_compare_exchange_n(safe, &nobody, getpid(), 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

void limpet_dismiss_guard(limpet_continuity *continuity) {
    int32_t guard = limpet_pid_load(&continuity->guard);
    if (guard > 0) limpet_end_process(guard);
    limpet_pid_store(&continuity->guard, 0);
    syscall(SYS_futex, &continuity->guard, FUTEX_WAKE, 1, NULL, NULL, 0);
}
