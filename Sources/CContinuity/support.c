#define _GNU_SOURCE
#include "support.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

uint64_t limpet_milliseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

void limpet_sleep(uint64_t milliseconds) {
    struct timespec rest = {(time_t)(milliseconds / 1000), (long)(milliseconds % 1000) * 1000000};
    while (nanosleep(&rest, &rest) != 0 && errno == EINTR) {}
}

long limpet_clone_sharing(int32_t *pid) {
    /* The kernel writes the id: the order of the last two arguments differs by architecture, that of these does not. */
    return syscall(SYS_clone, (long)(CLONE_FILES | CLONE_PARENT_SETTID | SIGCHLD), 0L, pid, 0L, 0L);
}

int limpet_await_end(int pidfd, int milliseconds) {
    struct pollfd process = {.fd = pidfd, .events = POLLIN};
    int count;
    do count = poll(&process, 1, milliseconds);
    while (count < 0 && errno == EINTR);
    return count > 0;
}

void limpet_end_process(int32_t pid) {
    int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (pidfd < 0) return;
    syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, 0L, 0);
    limpet_await_end(pidfd, -1);
    close(pidfd);
    waitpid(pid, NULL, WNOHANG);
}

void limpet_append(char *text, unsigned long size, const char *more) {
    unsigned long length = 0;
    while (length < size && text[length]) length++;
    while (length + 1 < size && *more) text[length++] = *more++;
    if (length < size) text[length] = 0;
}

void limpet_append_number(char *text, unsigned long size, uint64_t number) {
    char digits[24];
    int at = sizeof digits;
    digits[--at] = 0;
    do digits[--at] = (char)('0' + number % 10);
    while ((number /= 10) > 0);
    limpet_append(text, size, digits + at);
}
