#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "clinux.h"

#include <linux/sockios.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/wait.h>

_Static_assert(sizeof(struct limpet_ucred) == sizeof(struct ucred), "ucred");
_Static_assert(LIMPET_SPLICE_MOVE == SPLICE_F_MOVE && LIMPET_SPLICE_NONBLOCK == SPLICE_F_NONBLOCK, "splice flags");
_Static_assert(LIMPET_TCP_USER_TIMEOUT == TCP_USER_TIMEOUT, "TCP_USER_TIMEOUT");
_Static_assert(LIMPET_O_PATH == O_PATH && LIMPET_AT_EMPTY_PATH == AT_EMPTY_PATH, "path descriptors");
_Static_assert(LIMPET_SEEK_DATA == SEEK_DATA && LIMPET_SEEK_HOLE == SEEK_HOLE, "extents of a file");
#ifdef SO_PEERGROUPS
_Static_assert(LIMPET_SO_PEERGROUPS == SO_PEERGROUPS, "SO_PEERGROUPS");
#endif

int limpet_pipe_set_size(int fd, int bytes) { return fcntl(fd, F_SETPIPE_SZ, bytes); }

int limpet_pipe_get_size(int fd) { return fcntl(fd, F_GETPIPE_SZ); }

int limpet_unacknowledged(int fd) {
    int bytes = 0;
    return ioctl(fd, SIOCOUTQ, &bytes) < 0 ? -1 : bytes;
}

int limpet_signal_hand_on(pid_t process, int number) {
    return sigqueue(process, LIMPET_SIGNAL_HANDED_ON, (union sigval){.sival_int = number});
}

int limpet_signal_thread(pid_t process, pid_t thread, int number) { return tgkill(process, thread, number); }

int limpet_signal_wait(const sigset_t *set, int64_t nanoseconds, limpet_arrival *arrival) {
    siginfo_t info = {0};
    struct timespec limit = {nanoseconds / 1000000000, nanoseconds % 1000000000};
    int number = sigtimedwait(set, &info, nanoseconds < 0 ? NULL : &limit);
    if (number < 0) return -1;
    /* A signal of the kernel's has no sender; where the union holds one it is somebody's that has nothing to do with it. */
    int isSent = info.si_code == SI_USER || info.si_code == SI_QUEUE || info.si_code == SI_TKILL;
    arrival->number = number;
    arrival->sender = isSent ? info.si_pid : 0;
    arrival->value = info.si_code == SI_QUEUE ? info.si_value.sival_int : 0;
    return 0;
}

int limpet_duplicate(int fd) { return fcntl(fd, F_DUPFD_CLOEXEC, 0); }

int limpet_unread(int fd) {
    int bytes = 0;
    return ioctl(fd, FIONREAD, &bytes) < 0 ? -1 : bytes;
}

pid_t limpet_look_at_ended(pid_t child, int *status, int *is_signal) {
    siginfo_t ended = {.si_pid = 0};
    int result;
    do result = waitid(child ? P_PID : P_ALL, (id_t)child, &ended, WEXITED | WNOHANG | WNOWAIT);
    while (result != 0 && errno == EINTR);
    if (result != 0) return -1;
    *status = ended.si_status;
    *is_signal = ended.si_code != CLD_EXITED;
    return ended.si_pid;
}

int limpet_no_new_privileges(void) { return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); }

int limpet_is_no_new_privileges(void) { return prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0); }

int limpet_set_dumpable(int is_dumpable) { return prctl(PR_SET_DUMPABLE, is_dumpable, 0, 0, 0); }

int limpet_usable_processors(void) {
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) != 0) return 1;
    int count = CPU_COUNT(&set);
    return count > 0 ? count : 1;
}

int limpet_keep_capabilities(void) { return prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0); }

static int contains(const int *keep, int count, int capability) {
    for (int index = 0; index < count; index++)
        if (keep[index] == capability) return 1;
    return 0;
}

int limpet_bound_capabilities(const int *keep, int count) {
    for (int capability = 0; cap_get_bound(capability) >= 0; capability++)
        if (!contains(keep, count, capability) && cap_get_bound(capability) == 1 && cap_drop_bound(capability) != 0)
            return -1;
    return 0;
}

int limpet_reduce_capabilities(const int *keep, int count) {
    if (cap_reset_ambient() != 0 && errno != EINVAL) return -1;
    cap_t set = cap_init();
    if (!set) return -1;
    int result = 0;
    for (int index = 0; index < count && result == 0; index++) {
        cap_value_t value = keep[index];
        result = cap_set_flag(set, CAP_PERMITTED, 1, &value, CAP_SET) | cap_set_flag(set, CAP_EFFECTIVE, 1, &value, CAP_SET) |
                 cap_set_flag(set, CAP_INHERITABLE, 1, &value, CAP_SET);
    }
    if (result == 0) result = cap_set_proc(set);
    for (int index = 0; index < count && result == 0; index++) result = cap_set_ambient(keep[index], CAP_SET);
    int error = errno;
    cap_free(set);
    errno = error;
    return result == 0 ? 0 : -1;
}

int limpet_capabilities_are(const int *keep, int count) {
    static const cap_flag_t flags[] = {CAP_PERMITTED, CAP_EFFECTIVE, CAP_INHERITABLE};
    cap_t set = cap_get_proc();
    if (!set) return 0;
    int result = 1;
    for (int capability = 0; cap_get_bound(capability) >= 0; capability++) {
        int wanted = contains(keep, count, capability);
        for (unsigned index = 0; index < sizeof flags / sizeof *flags; index++) {
            cap_flag_value_t value = CAP_CLEAR;
            if (cap_get_flag(set, capability, flags[index], &value) == 0 && (value == CAP_SET) != wanted) result = 0;
        }
        if ((cap_get_ambient(capability) == CAP_SET) != wanted) result = 0;
    }
    cap_free(set);
    return result;
}

char *limpet_capability_name(int capability) { return cap_get_bound(capability) < 0 ? NULL : cap_to_name(capability); }

void limpet_capability_name_free(char *name) { cap_free(name); }

int limpet_has_capability(int capability) {
    cap_t set = cap_get_proc();
    if (!set) return 0;
    cap_flag_value_t value = CAP_CLEAR;
    cap_get_flag(set, capability, CAP_EFFECTIVE, &value);
    cap_free(set);
    return value == CAP_SET;
}
