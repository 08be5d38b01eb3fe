/* Files of a corpus, spoilt at random. */
#include "storm.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_FILES = 256, LARGEST = 8192, SKIPPED = 16, LONGEST = 24 * 1024 };

static struct {
    char bytes[LARGEST];
    size_t length;
} files[MOST_FILES];
static int file_count;
static const char *skipped[SKIPPED];
static int skipped_count;
static bool is_plain;
static uint64_t state;

void skip(const char *name) {
    if (skipped_count == SKIPPED) errno = E2BIG, die("--skip");
    skipped[skipped_count++] = name;
}

void has_plain_files(void) { is_plain = true; }

/* splitmix64, see G. Steele, D. Lea and C. Flood, OOPSLA 2014. */
static uint64_t next(void) {
    uint64_t z = state += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

uint64_t chance(uint64_t limit) { return next() % limit; }

static bool is_wanted(const char *name) {
    if (*name == '.') return false;
    for (int i = 0; i < skipped_count; i++)
        if (!strncmp(name, skipped[i], strlen(skipped[i]))) return false;
    return true;
}

void read_corpus(const char *directory, uint64_t seed) {
    struct dirent **names;
    int count = scandir(directory, &names, NULL, alphasort);
    if (count < 0) die(directory);
    state = seed;
    for (int i = 0; i < count; i++) {
        char path[4096];
        snprintf(path, sizeof path, "%s/%s", directory, names[i]->d_name);
        if (!is_wanted(names[i]->d_name) || file_count == MOST_FILES) continue;
        FILE *file = fopen(path, "r");
        if (!file) die(path);
        if (!is_plain) fgetc(file);
        files[file_count].length = fread(files[file_count].bytes, 1, LARGEST, file);
        fclose(file);
        file_count++;
    }
    if (!file_count) errno = ENOENT, die(directory);
}

static size_t insert(char *bytes, size_t length, size_t room, size_t at, const char *what, size_t count) {
    if (count > room - length) count = room - length;
    memmove(bytes + at + count, bytes + at, length - at);
    memcpy(bytes + at, what, count);
    return length + count;
}

/* One change. The new length. */
static size_t spoil(char *bytes, size_t length, size_t room) {
    static char noise[LONGEST];
    size_t at = chance(length + 1), count;
    switch (chance(10)) {
    case 0: /* a bit */
        if (at < length) bytes[at] ^= (char)(1 << chance(8));
        return length;
    case 1: /* a byte, of those that mean something rather often */
        if (at < length) bytes[at] = chance(2) ? (char)next() : "\r\n\0 :\"%/{}[]0\x7f\xff"[chance(16)];
        return length;
    case 2: /* some are missing */
        count = at < length ? 1 + chance(length - at < 32 ? length - at : 32) : 0;
        memmove(bytes + at, bytes + at + count, length - at - count);
        return length - count;
    case 3: /* the rest is missing */ return at;
    case 4: /* some are there twice */
        if (at == length) return length;
        count = 1 + chance(length - at < 64 ? length - at : 64);
        memcpy(noise, bytes + at, count);
        return insert(bytes, length, room, at, noise, count);
    case 5: /* noise in between */
        count = 1 + chance(chance(16) ? 16 : LONGEST - 1);
        for (size_t i = 0; i < count; i += 8) {
            uint64_t word = next();
            memcpy(noise + i, &word, count - i < 8 ? count - i : 8);
        }
        return insert(bytes, length, room, at, noise, count);
    case 6: /* one byte many times */
        count = 1 + chance(chance(8) ? 64 : LONGEST - 1);
        memset(noise, (int)next(), count);
        return insert(bytes, length, room, at, noise, count);
    case 7: /* a digit is another */
        for (size_t i = 0; i < length; i++)
            if (bytes[(at + i) % length] >= '0' && bytes[(at + i) % length] <= '9') {
                bytes[(at + i) % length] = (char)('0' + chance(10));
                break;
            }
        return length;
    case 8: { /* a piece of another file */
        int other = (int)chance((uint64_t)file_count);
        if (!files[other].length) return length;
        size_t from = chance(files[other].length);
        return insert(bytes, length, room, at, files[other].bytes + from, 1 + chance(files[other].length - from));
    }
    default: /* a number that is too large */
        return insert(bytes, length, room, at, "18446744073709551616", 1 + chance(20));
    }
}

size_t mutated(char *into, size_t room) {
    int chosen = (int)chance((uint64_t)file_count);
    size_t length = files[chosen].length < room ? files[chosen].length : room;
    memcpy(into, files[chosen].bytes, length);
    /* One in eight is whole, so that what is behind the parsers has work too. */
    uint64_t changes = chance(8) ? 1 + chance(4) : 0;
    for (uint64_t i = 0; i < changes; i++) length = spoil(into, length, room);
    return length;
}
