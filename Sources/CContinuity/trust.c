#define _GNU_SOURCE
#include "trust.h"
#include "digest.h"
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char variable[] = "LIMPET_TRUST=";
static limpet_trust own = {.started_by = UINT32_MAX};

limpet_trust *limpet_own_trust(void) { return &own; }

/* ---- Files ---- */

int limpet_identify(int32_t descriptor, limpet_identity *identity) {
    struct stat status;
    memset(identity, 0, sizeof *identity);
    if (fstat(descriptor, &status) != 0) return -1;
    identity->device = status.st_dev;
    identity->inode = status.st_ino;
    identity->size = (uint64_t)status.st_size;
    identity->modified = (int64_t)status.st_mtim.tv_sec * 1000000000 + status.st_mtim.tv_nsec;
    identity->changed = (int64_t)status.st_ctim.tv_sec * 1000000000 + status.st_ctim.tv_nsec;
    identity->is_known = 1;
    return 0;
}

int limpet_identify_content(int32_t descriptor, limpet_identity *identity) {
    if (limpet_identify(descriptor, identity) != 0) return -1;
    char path[32] = "/proc/self/fd/";
    limpet_append_number(path, sizeof path, (uint64_t)descriptor);
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) return -1;
    int result = limpet_digest(file, identity->digest);
    int error = errno;
    close(file);
    identity->is_hashed = result == 0;
    errno = error;
    return result;
}

static int is_same_file(const limpet_identity *one, const limpet_identity *other) {
    return one->is_known && other->is_known && one->device == other->device && one->inode == other->inode;
}

static int is_untouched(const limpet_identity *one, const limpet_identity *other) {
    return is_same_file(one, other) && one->size == other->size && one->modified == other->modified &&
           one->changed == other->changed;
}

/* A package that is upgraded takes the name of the old file away, which changes its inode: then its content decides. */
static int is(const limpet_identity *known, int32_t descriptor) {
    limpet_identity now;
    if (limpet_identify(descriptor, &now) != 0 || !is_same_file(known, &now)) return 0;
    if (is_untouched(known, &now)) return 1;
    return known->is_hashed && limpet_identify_content(descriptor, &now) == 0 &&
           memcmp(known->digest, now.digest, sizeof now.digest) == 0;
}

/* The image that runs cannot be written to: that it is the same file is enough, and /proc says which that is. */
static int is_own(int32_t descriptor) {
    limpet_identity now;
    return limpet_identify(descriptor, &now) == 0 && is_same_file(&own.own, &now);
}

int limpet_is_known(int32_t descriptor) {
    return is_own(descriptor) || is(&own.next, descriptor) || is(&own.previous, descriptor);
}

static void look_at_own(void) {
    limpet_identity now;
    int file = open("/proc/self/exe", O_PATH | O_CLOEXEC);
    if (file < 0) return;
    if (limpet_identify(file, &now) == 0) {
        /* What was known of its content stays known. */
        if (is_same_file(&own.own, &now) && own.own.is_hashed) {
            now.is_hashed = 1;
            memcpy(now.digest, own.own.digest, sizeof now.digest);
        }
        own.own = now;
    }
    close(file);
}

int32_t limpet_open_next(limpet_shared_header *region) {
    limpet_sandbox *sandbox = limpet_sandbox_of(region);
    char path[sizeof sandbox->look.path];
    if (!sandbox || !own.next.is_known) {
        errno = ESTALE;
        return -1;
    }
    memcpy(path, sandbox->look.path, sizeof path);
    path[sizeof path - 1] = 0;
    int32_t file = open(path, O_PATH);
    if (file < 0) return -1;
    if (is(&own.next, file)) return file;
    close(file);
    errno = ESTALE;
    return -1;
}

int limpet_mend_executable(limpet_continuity *continuity) {
    if (continuity->executable >= 0 && is_own(continuity->executable)) return 0;
    int file = open("/proc/self/exe", O_PATH);
    if (file < 0) return -1;
    /* What is there now belongs to nobody of ours, or is what the engine's first steps close. */
    continuity->executable = file;
    return 1;
}

/* ---- From image to image ---- */

static const char digits[] = "0123456789abcdef";

const char *limpet_trust_variable(int32_t executable) {
    static char text[sizeof variable + 2 * sizeof(limpet_trust)];
    static limpet_trust handed;
    handed = own;
    memset(&handed.next, 0, sizeof handed.next);
    if (is_own(executable)) {
    } else if (is(&own.next, executable)) {
        handed.own = own.next;
        handed.previous = own.own;
    } else if (is(&own.previous, executable)) {
        handed.own = own.previous;
        memset(&handed.previous, 0, sizeof handed.previous);
    } else {
        return NULL;
    }
    memcpy(text, variable, sizeof variable - 1);
    size_t at = sizeof variable - 1;
    const uint8_t *bytes = (const uint8_t *)&handed;
    for (size_t index = 0; index < offsetof(limpet_trust, directories) + handed.directory_bytes; index++) {
        text[at++] = digits[bytes[index] >> 4];
        text[at++] = digits[bytes[index] & 15];
    }
    text[at] = 0;
    return text;
}

static int value(char digit) {
    const char *found = digit ? strchr(digits, digit) : NULL;
    return found ? (int)(found - digits) : -1;
}

void limpet_trust_take(int is_handed_down) {
    const char *text = getenv("LIMPET_TRUST");
    size_t length = text ? strlen(text) : 0;
    static limpet_trust read;
    int is_whole = is_handed_down && length % 2 == 0 && length / 2 >= offsetof(limpet_trust, directories) &&
                   length / 2 <= sizeof read;
    for (size_t index = 0; is_whole && index < length / 2; index++) {
        int high = value(text[2 * index]), low = value(text[2 * index + 1]);
        if (high < 0 || low < 0) is_whole = 0; else ((uint8_t *)&read)[index] = (uint8_t)(high << 4 | low);
    }
    is_whole = is_whole && read.directory_bytes == length / 2 - offsetof(limpet_trust, directories);
    if (is_whole) own = read;
    if (text) unsetenv("LIMPET_TRUST");
    if (is_handed_down) look_at_own();
}

void limpet_trust_begin(uint32_t started_by) {
    own.started_by = started_by;
    look_at_own();
}
