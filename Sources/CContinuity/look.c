#define _GNU_SOURCE
#include "look.h"
#include "process.h"
#include "spawn.h"
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* How long all of it may take. The canary has a limit of its own, which is shorter. */
enum { PATIENCE = 20000 };

static const char variable[] = "LIMPET_LOOK=";

/* Of the one that is under way: the child, the memory that it alone shares, and the upgrade that it is about. */
static pid_t child;
static limpet_look_result *page;
static uint32_t asked;

/* ---- In the process with descriptors of its own ---- */

/* PIPE:DOCUMENT:LENGTH:USER:WAY BACK:WORD:…, in decimal. */
static void describe(char *text, unsigned long size, const limpet_look_task *task) {
    const uint64_t number[] = {(uint64_t)task->pipe, (uint64_t)task->document, task->document_length, task->started_by,
                               task->needs_way_back};
    limpet_append(text, size, variable);
    for (unsigned index = 0; index < 5 + LIMPET_CALL_WORDS; index++) {
        if (index > 0) limpet_append(text, size, ":");
        limpet_append_number(text, size, index < 5 ? number[index] : task->denied.word[index - 5]);
    }
}

static void give_up(const char *reason, int error) {
    page->magic = LIMPET_LOOK_MAGIC;
    page->is_good = 0;
    page->reason[0] = 0;
    limpet_append(page->reason, sizeof page->reason, reason);
    if (error) {
        limpet_append(page->reason, sizeof page->reason, ": error ");
        limpet_append_number(page->reason, sizeof page->reason, (uint64_t)error);
    }
}

/* Reads what the program says until its end. 1: all of it came. */
static int read_result(int pipe, limpet_look_result *result) {
    uint64_t end = limpet_milliseconds() + PATIENCE;
    size_t count = 0;
    while (count < sizeof *result) {
        uint64_t now = limpet_milliseconds();
        if (now >= end || !limpet_await_end(pipe, (int)(end - now))) return 0;
        ssize_t got = read(pipe, (char *)result + count, sizeof *result - count);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return 0;
        count += (size_t)got;
    }
    return result->magic == LIMPET_LOOK_MAGIC;
}

__attribute__((noreturn)) static void look(const limpet_continuity *continuity, const char *path, uint32_t needs_way_back,
                                           pid_t keeper) {
    prctl(PR_SET_NAME, "limpetd-look");
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != keeper) _exit(1);
    const limpet_trust *trust = limpet_own_trust();
    uint32_t current = limpet_load32(&continuity->document_current) & 1;
    int ends[2], own = open("/proc/self/exe", O_PATH | O_CLOEXEC), nothing = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (own < 0 || nothing < 0 || pipe2(ends, O_CLOEXEC) != 0) {
        give_up("the keeper cannot look at it: it cannot open /proc/self/exe, /dev/null or a pipe", errno);
        _exit(0);
    }
    limpet_look_task task = {.pipe = 4, .document = 5, .document_length = continuity->document_length[current],
                             .started_by = trust->started_by, .needs_way_back = needs_way_back, .denied = trust->denied};
    char text[400] = "";
    describe(text, sizeof text, &task);
    unsigned count = 0;
    while (environ[count]) count++;
    char *environment[count + 2];
    memcpy(environment, environ, count * sizeof *environ);
    environment[count] = text;
    environment[count + 1] = NULL;
    char *arguments[] = {"limpetd", (char *)path, NULL};
    int32_t descriptors[] = {nothing, ends[1], continuity->document[current]};
    int32_t program = limpet_spawn(own, descriptors, 3, arguments, environment);
    if (program < 0) {
        give_up("the keeper cannot execute this program to look at it", errno);
        _exit(0);
    }
    close(ends[1]);
    static limpet_look_result result;
    if (read_result(ends[0], &result)) {
        memcpy(page, &result, sizeof result);
        page->reason[sizeof page->reason - 1] = 0;
        page->version[sizeof page->version - 1] = 0;
    } else {
        give_up("the program that looks at it has not come to an end", 0);
        kill(program, SIGKILL);
    }
    while (waitpid(program, NULL, 0) < 0 && errno == EINTR) {}
    _exit(0);
}

/* ---- In the keeper ---- */

void limpet_look_abandon(void) {
    /* Those that it has started end with it, see limpet_spawn. */
    if (child > 0) {
        kill(child, SIGKILL);
        while (waitpid(child, NULL, 0) < 0 && errno == EINTR) {}
    }
    child = 0;
    asked = 0;
}

void limpet_look_begin(limpet_shared_header *region) {
    limpet_sandbox *sandbox = limpet_sandbox_of(region);
    if (!sandbox) return;
    limpet_look_abandon();
    static char path[sizeof sandbox->look.path];
    asked = __atomic_load_n(&sandbox->look.asked, __ATOMIC_ACQUIRE);
    memcpy(path, sandbox->look.path, sizeof path);
    path[sizeof path - 1] = 0;
    if (!page) {
        page = mmap(NULL, sizeof *page, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        if (page == MAP_FAILED) page = NULL;
    }
    if (!page) return;
    memset(page, 0, sizeof *page);
    memset(&limpet_own_trust()->next, 0, sizeof limpet_own_trust()->next);
    pid_t keeper = getpid();
    /* Not CLONE_FILES: a copy of the table. */
    child = (pid_t)syscall(SYS_clone, (long)SIGCHLD, 0L, 0L, 0L, 0L);
    if (child == 0) look(limpet_continuity_of(region), path, sandbox->look.needs_way_back, keeper);
    if (child < 0) {
        give_up("the keeper cannot start a process to look at it", errno);
        child = 0;
    }
}

static void publish(limpet_shared_header *region) {
    limpet_sandbox *sandbox = limpet_sandbox_of(region);
    limpet_trust *trust = limpet_own_trust();
    if (page->magic != LIMPET_LOOK_MAGIC) give_up("whoever looked at it for the keeper has died", 0);
    int is_good = page->is_good && page->next.is_known;
    if (is_good) {
        trust->next = page->next;
        /* Which file runs /proc has said; what it holds, those who looked. */
        if (page->own.is_hashed && page->own.inode == trust->own.inode && page->own.device == trust->own.device) {
            memcpy(trust->own.digest, page->own.digest, sizeof trust->own.digest);
            trust->own.is_hashed = 1;
        }
    }
    if (sandbox) {
        limpet_look *look = &sandbox->look;
        look->is_good = (uint32_t)is_good;
        memcpy(look->version, page->version, sizeof look->version);
        memcpy(look->reason, page->reason, sizeof look->reason);
        look->digest[0] = 0;
        for (unsigned index = 0; is_good && page->next.is_hashed && index < 32; index++) {
            static const char digits[] = "0123456789abcdef";
            look->digest[2 * index] = digits[page->next.digest[index] >> 4];
            look->digest[2 * index + 1] = digits[page->next.digest[index] & 15];
            look->digest[2 * index + 2] = 0;
        }
        __atomic_store_n(&look->answered, asked, __ATOMIC_RELEASE);
    }
    asked = 0;
    sigqueue(limpet_pid_load(&limpet_continuity_of(region)->engine), LIMPET_HANDED_ON,
             (union sigval){.sival_int = LIMPET_LOOK_ANSWERED});
}

int limpet_look_goes_on(limpet_shared_header *region) {
    if (!page || asked == 0) return 0;
    if (child > 0) {
        pid_t ended;
        do ended = waitpid(child, NULL, WNOHANG);
        while (ended < 0 && errno == EINTR);
        if (ended == 0) return 1;
        child = 0;
    }
    publish(region);
    return 0;
}

/* ---- In the program that looks ---- */

int limpet_look_take(limpet_look_task *task) {
    const char *text = getenv("LIMPET_LOOK");
    uint64_t number[5 + LIMPET_CALL_WORDS];
    unsigned count = 0;
    if (!text) return 0;
    for (char *end; count < 5 + LIMPET_CALL_WORDS && *text >= '0' && *text <= '9'; count++) {
        number[count] = strtoull(text, &end, 10);
        text = *end == ':' ? end + 1 : end;
    }
    int is_whole = count == 5 + LIMPET_CALL_WORDS && *text == 0;
    unsetenv("LIMPET_LOOK");
    if (!is_whole) return 0;
    task->pipe = (int32_t)number[0];
    task->document = (int32_t)number[1];
    task->document_length = (uint32_t)number[2];
    task->started_by = (uint32_t)number[3];
    task->needs_way_back = (uint32_t)number[4];
    memcpy(task->denied.word, number + 5, sizeof task->denied.word);
    return 1;
}

void limpet_look_set_version(limpet_look_result *result, const char *text) {
    result->version[0] = 0;
    limpet_append(result->version, sizeof result->version, text);
}

void limpet_look_set_reason(limpet_look_result *result, const char *text) {
    result->reason[0] = 0;
    limpet_append(result->reason, sizeof result->reason, text);
}
