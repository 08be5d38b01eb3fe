#define _GNU_SOURCE
#include "include/clinux.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

static const int ends[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGABRT};
static const char opening[] = "\033[?1049h\033[?25l\033[H\033[2J";
static const char closing[] = "\033[?25h\033[?1049l";

static struct termios saved;
static volatile sig_atomic_t is_open;
static volatile sig_atomic_t has_changed;

static void say(const char *text, size_t length) {
    while (length > 0) {
        ssize_t count = write(STDOUT_FILENO, text, length);
        if (count < 0 && errno == EINTR) continue;
        if (count <= 0) return;
        text += count;
        length -= (size_t)count;
    }
}

static int take(void) {
    struct termios raw = saved;
    raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
    raw.c_cc[VMIN] = 0;
    raw.c_cc[VTIME] = 0;
    if (tcsetattr(STDIN_FILENO, TCSANOW, &raw) != 0) return -1;
    say(opening, sizeof opening - 1);
    is_open = 1;
    return 0;
}

/* Only what signal-safety(7) allows. */
void limpet_screen_close(void) {
    int error = errno;
    if (is_open) {
        is_open = 0;
        say(closing, sizeof closing - 1);
        tcsetattr(STDIN_FILENO, TCSANOW, &saved);
    }
    errno = error;
}

static void end(int number) {
    limpet_screen_close();
    signal(number, SIG_DFL);
    raise(number);
}

static void stop(int number) {
    int error = errno;
    (void)number;
    limpet_screen_close();
    raise(SIGSTOP);
    take();
    has_changed = 1;
    errno = error;
}

static void resize(int number) {
    (void)number;
    has_changed = 1;
}

int limpet_screen_open(void) {
    if (tcgetattr(STDIN_FILENO, &saved) != 0) return -1;
    struct sigaction action;
    memset(&action, 0, sizeof action);
    sigemptyset(&action.sa_mask);
    action.sa_handler = end;
    action.sa_flags = SA_NODEFER;
    for (size_t index = 0; index < sizeof ends / sizeof *ends; index++) sigaction(ends[index], &action, 0);
    action.sa_flags = 0;
    action.sa_handler = stop;
    sigaction(SIGTSTP, &action, 0);
    action.sa_handler = resize;
    sigaction(SIGWINCH, &action, 0);
    return take();
}

int limpet_screen_changed(void) {
    int changed = has_changed;
    has_changed = 0;
    return changed;
}
