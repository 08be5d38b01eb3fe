#define _GNU_SOURCE
#include "sandbox.h"
#include "sandbox_filter.h"
#include "trust.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

limpet_sandbox *limpet_sandbox_of(limpet_shared_header *region) {
    if (region->areas_offset == 0) return NULL;
    const limpet_areas *areas = (const limpet_areas *)((char *)region + region->areas_offset);
    const limpet_area *area = &areas->area[LIMPET_AREA_SANDBOX];
    return area->offset && area->bytes == sizeof(limpet_sandbox) ? (limpet_sandbox *)((char *)region + area->offset) : NULL;
}

void limpet_sandbox_decide(limpet_shared_header *region, uint32_t wanted, const char *directories, uint32_t bytes) {
    limpet_trust *trust = limpet_own_trust();
    limpet_sandbox *sandbox = limpet_sandbox_of(region);
    if (!sandbox) return;
    trust->wanted = wanted;
    trust->directory_bytes = bytes < sizeof trust->directories ? bytes : sizeof trust->directories;
    memcpy(trust->directories, directories, trust->directory_bytes);
    sandbox->wanted = wanted;
    memcpy(sandbox->directories, directories, trust->directory_bytes);
}

/* The wish as the keeper remembers it, not as the engine may have written it. */
static limpet_sandbox *if_wanted(limpet_shared_header *region) {
    return limpet_own_trust()->wanted == LIMPET_SANDBOX_ON ? limpet_sandbox_of(region) : NULL;
}

void limpet_sandbox_keeper(limpet_shared_header *region) {
    limpet_trust *trust = limpet_own_trust();
    limpet_sandbox *sandbox = limpet_sandbox_of(region);
    if (!sandbox) return;
    sandbox->wanted = trust->wanted;
    sandbox->bound = trust->bound;
    if (trust->wanted != LIMPET_SANDBOX_ON) return;
    if (trust->keeper_list != LIMPET_KEEPER_LIST) {
        int result = prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 ? limpet_filter_keeper(&trust->denied) : -errno;
        if (result == 1) trust->keeper_list = LIMPET_KEEPER_LIST;
        sandbox->keeper = result;
    } else {
        sandbox->keeper = 1;
    }
}

void limpet_sandbox_engine(limpet_shared_header *region) {
    limpet_sandbox *sandbox = if_wanted(region);
    if (!sandbox) return;
    limpet_trap_prepare(region);
    limpet_trust *trust = limpet_own_trust();
    /* Of a keeper that is bound the engine's sandbox is there already, and another layer of it would do nothing. */
    if (trust->bound) return;
    sandbox->landlock = limpet_landlock_restrict(trust->directories, trust->directory_bytes);
    int result = limpet_filter_process();
    if (result != 1) sandbox->engine = result;
    if (result == 1 || sandbox->landlock > 0) {
        trust->bound = 1;
        if (result == 1) limpet_filter_deny_process(&trust->denied);
    }
}

void limpet_sandbox_threads(limpet_shared_header *region) {
    limpet_sandbox *sandbox = if_wanted(region);
    if (sandbox) sandbox->engine = limpet_filter_threads();
}

#ifdef LIMPET_INJECT
int limpet_sandbox_try_call(void) { return (int)syscall(SYS_ptrace, 0, 0, 0, 0); }

int limpet_sandbox_try_file(const char *path) {
    int file = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (file < 0) return -1;
    close(file);
    return 0;
}

int limpet_sandbox_try_swap(limpet_continuity *continuity, const char *path) {
    int file = open(path, O_PATH | O_CLOEXEC);
    if (file < 0) return -1;
    const int32_t numbers[] = {continuity->executable, continuity->executable_previous};
    for (unsigned index = 0; index < 2; index++)
        if (numbers[index] >= 0) dup2(file, numbers[index]);
    close(file);
    return 0;
}
#else
static int never(void) {
    errno = ENOSYS;
    return -1;
}
int limpet_sandbox_try_call(void) { return never(); }
int limpet_sandbox_try_file(const char *path) {
    (void)path;
    return never();
}
int limpet_sandbox_try_swap(limpet_continuity *continuity, const char *path) {
    (void)continuity;
    (void)path;
    return never();
}
#endif
