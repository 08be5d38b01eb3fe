#define _GNU_SOURCE
#include "spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* Runs in the memory of the caller, which waits: system calls and the caller's variables, nothing else. Returns where it
 * fails. */
static void become(int executable, const int *descriptors, int count, char *const *arguments, char *const *environment) {
    int first_free = 3 + count + 1;
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) return;
    /* First out of the way of their new numbers, then to these. */
    int moved = fcntl(executable, F_DUPFD, first_free);
    if (moved < 0) return;
    int source[8];
    for (int index = 0; index < count; index++) {
        source[index] = fcntl(descriptors[index], F_DUPFD, first_free);
        if (source[index] < 0) return;
    }
    for (int index = 0; index < count; index++)
        if (dup2(source[index], 3 + index) < 0) return;
    if (dup3(moved, 3 + count, O_CLOEXEC) < 0) return;
    int nothing = open("/dev/null", O_RDWR);
    if (nothing < 0 || dup2(nothing, 0) < 0 || dup2(nothing, 1) < 0 || dup2(3, 2) < 0) return;
    if (syscall(SYS_close_range, first_free, ~0u, 0) != 0) return;
    syscall(SYS_execveat, 3 + count, "", arguments, environment, AT_EMPTY_PATH);
}

int32_t limpet_spawn(int32_t executable, const int32_t *descriptors, int32_t count, char *const *arguments,
                     char *const *environment) {
    if (count < 1 || count > 8) {
        errno = EINVAL;
        return -1;
    }
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    volatile int failure = 0;
    pid_t child = vfork();
    if (child == 0) {
        become(executable, descriptors, count, arguments, environment);
        failure = errno;
        _exit(127);
    }
    if (child < 0) failure = errno;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failure == 0) return child;
    if (child > 0)
        while (waitpid(child, NULL, 0) < 0 && errno == EINTR) {}
    errno = failure;
    return -1;
}
