#define _GNU_SOURCE
#include "digest.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#ifdef __x86_64__
#include <cpuid.h>
#include <immintrin.h>
#endif

static const uint32_t K[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static inline uint32_t rotate(uint32_t word, int count) { return word >> count | word << (32 - count); }

static void blocks_plain(uint32_t state[8], const uint8_t *bytes, size_t count) {
    for (; count > 0; count--, bytes += 64) {
        uint32_t w[64], s[8];
        for (int index = 0; index < 16; index++) {
            uint32_t word;
            memcpy(&word, bytes + 4 * index, 4);
            w[index] = __builtin_bswap32(word);
        }
        for (int index = 16; index < 64; index++) {
            uint32_t a = w[index - 15], b = w[index - 2];
            w[index] = w[index - 16] + w[index - 7] + (rotate(a, 7) ^ rotate(a, 18) ^ a >> 3) +
                       (rotate(b, 17) ^ rotate(b, 19) ^ b >> 10);
        }
        memcpy(s, state, sizeof s);
        for (int index = 0; index < 64; index++) {
            uint32_t one = s[7] + (rotate(s[4], 6) ^ rotate(s[4], 11) ^ rotate(s[4], 25)) +
                           ((s[4] & s[5]) ^ (~s[4] & s[6])) + K[index] + w[index];
            uint32_t two = (rotate(s[0], 2) ^ rotate(s[0], 13) ^ rotate(s[0], 22)) +
                           ((s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]));
            memmove(s + 1, s, 7 * sizeof *s);
            s[4] += one;
            s[0] = one + two;
        }
        for (int index = 0; index < 8; index++) state[index] += s[index];
    }
}

#ifdef __x86_64__
static int has_instructions(void) {
    unsigned a, b, c, d;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || !(b & 1u << 29)) return 0;
    return __get_cpuid(1, &a, &b, &c, &d) && c & 1u << 19;
}

/* By the processor's own instructions for it: an executable has tens of megabytes. */
__attribute__((target("sha,sse4.1"))) static void blocks_fast(uint32_t state[8], const uint8_t *bytes, size_t count) {
    const __m128i swap = _mm_set_epi64x(0x0c0d0e0f08090a0bLL, 0x0405060700010203LL);
    __m128i low = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)(const void *)state), 0xb1);
    __m128i high = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)(const void *)(state + 4)), 0x1b);
    __m128i abef = _mm_alignr_epi8(low, high, 8), cdgh = _mm_blend_epi16(high, low, 0xf0);
    for (; count > 0; count--, bytes += 64) {
        __m128i before[2] = {abef, cdgh}, w[4];
        for (int index = 0; index < 4; index++)
            w[index] = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)(const void *)(bytes + 16 * index)), swap);
        for (int round = 0; round < 16; round++) {
            __m128i now = w[round % 4];
            __m128i sum = _mm_add_epi32(now, _mm_loadu_si128((const __m128i *)(const void *)(K + 4 * round)));
            cdgh = _mm_sha256rnds2_epu32(cdgh, abef, sum);
            abef = _mm_sha256rnds2_epu32(abef, cdgh, _mm_shuffle_epi32(sum, 0x0e));
            __m128i last = w[(round + 3) % 4];
            __m128i next = _mm_sha256msg1_epu32(now, w[(round + 1) % 4]);
            next = _mm_add_epi32(next, _mm_alignr_epi8(last, w[(round + 2) % 4], 4));
            w[round % 4] = _mm_sha256msg2_epu32(next, last);
        }
        abef = _mm_add_epi32(abef, before[0]);
        cdgh = _mm_add_epi32(cdgh, before[1]);
    }
    low = _mm_shuffle_epi32(abef, 0x1b);
    high = _mm_shuffle_epi32(cdgh, 0xb1);
    _mm_storeu_si128((__m128i *)(void *)state, _mm_blend_epi16(low, high, 0xf0));
    _mm_storeu_si128((__m128i *)(void *)(state + 4), _mm_alignr_epi8(high, low, 8));
}
#else
static int has_instructions(void) { return 0; }
static void blocks_fast(uint32_t state[8], const uint8_t *bytes, size_t count) { blocks_plain(state, bytes, count); }
#endif

typedef struct {
    uint32_t state[8];
    uint64_t total;
    int is_fast;
} hash;

static hash begin(void) {
    return (hash){{0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19},
                  0, has_instructions()};
}

static void blocks(hash *hash, const uint8_t *bytes, size_t count) {
    hash->total += 64 * count;
    if (hash->is_fast) blocks_fast(hash->state, bytes, count); else blocks_plain(hash->state, bytes, count);
}

/* What is left, less than a block. */
static void finish(hash *hash, const uint8_t *bytes, size_t count, uint8_t *digest) {
    uint8_t last[128] = {0};
    uint64_t bits = __builtin_bswap64(8 * (hash->total + count));
    size_t length = count < 56 ? 64 : 128;
    memcpy(last, bytes, count);
    last[count] = 0x80;
    memcpy(last + length - 8, &bits, 8);
    blocks(hash, last, length / 64);
    for (int index = 0; index < 8; index++) {
        uint32_t word = __builtin_bswap32(hash->state[index]);
        memcpy(digest + 4 * index, &word, 4);
    }
}

void limpet_digest_bytes(const void *bytes, size_t count, int is_plain, uint8_t *digest) {
    hash hash = begin();
    if (is_plain) hash.is_fast = 0;
    blocks(&hash, bytes, count / 64);
    finish(&hash, (const uint8_t *)bytes + count / 64 * 64, count % 64, digest);
}

int limpet_digest(int32_t descriptor, uint8_t *digest) {
    static uint8_t buffer[65536];
    hash hash = begin();
    size_t left = 0;
    for (off_t at = 0;;) {
        ssize_t count = pread(descriptor, buffer + left, sizeof buffer - left, at);
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) return -1;
        if (count == 0) break;
        at += count;
        left += (size_t)count;
        size_t whole = left / 64;
        blocks(&hash, buffer, whole);
        left -= 64 * whole;
        memmove(buffer, buffer + 64 * whole, left);
    }
    finish(&hash, buffer, left, digest);
    return 0;
}
