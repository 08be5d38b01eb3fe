/* Accessors for words that one thread writes while others read them. They compile to plain moves; what they buy is that
 * no load or store is torn, repeated or moved by the compiler. */
#ifndef LIMPET_ATOMICS_H
#define LIMPET_ATOMICS_H

#include <stdint.h>

static inline uint64_t limpet_load64(const uint64_t *_Nonnull word) { return __atomic_load_n(word, __ATOMIC_RELAXED); }
static inline void limpet_store64(uint64_t *_Nonnull word, uint64_t value) {
    __atomic_store_n(word, value, __ATOMIC_RELAXED);
}
/* For a word with one writer: an addition without a locked instruction. */
static inline void limpet_bump64(uint64_t *_Nonnull word, uint64_t by) {
    __atomic_store_n(word, __atomic_load_n(word, __ATOMIC_RELAXED) + by, __ATOMIC_RELAXED);
}
/* For a word with many writers. Returns the value before. */
static inline uint64_t limpet_fetch_add64(uint64_t *_Nonnull word, uint64_t by) {
    return __atomic_fetch_add(word, by, __ATOMIC_SEQ_CST);
}
static inline uint64_t limpet_fetch_or64(uint64_t *_Nonnull word, uint64_t bits) {
    return __atomic_fetch_or(word, bits, __ATOMIC_SEQ_CST);
}
static inline uint64_t limpet_fetch_and64(uint64_t *_Nonnull word, uint64_t bits) {
    return __atomic_fetch_and(word, bits, __ATOMIC_SEQ_CST);
}
/* For "I changed mine, now what is yours": of two threads that each change one word and then read the other's with this,
 * at least one sees the other's change. */
static inline uint64_t limpet_load64_ordered(const uint64_t *_Nonnull word) {
    return __atomic_load_n(word, __ATOMIC_SEQ_CST);
}
/* Adds one unless the word has reached the limit. Returns whether it did. */
static inline _Bool limpet_take(uint64_t *_Nonnull word, uint64_t limit) {
    uint64_t now = __atomic_load_n(word, __ATOMIC_SEQ_CST);
    while (now < limit)
        if (__atomic_compare_exchange_n(word, &now, now + 1, 1, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) return 1;
    return 0;
}
static inline uint32_t limpet_load32(const uint32_t *_Nonnull word) { return __atomic_load_n(word, __ATOMIC_RELAXED); }
static inline int32_t limpet_load_signed32(const int32_t *_Nonnull word) {
    return __atomic_load_n(word, __ATOMIC_RELAXED);
}
static inline void limpet_store_signed32(int32_t *_Nonnull word, int32_t value) {
    __atomic_store_n(word, value, __ATOMIC_RELAXED);
}
static inline void limpet_store32(uint32_t *_Nonnull word, uint32_t value) {
    __atomic_store_n(word, value, __ATOMIC_RELAXED);
}
static inline uint8_t limpet_load8(const uint8_t *_Nonnull byte) { return __atomic_load_n(byte, __ATOMIC_RELAXED); }
static inline void limpet_store8(uint8_t *_Nonnull byte, uint8_t value) {
    __atomic_store_n(byte, value, __ATOMIC_RELAXED);
}
static inline uint16_t limpet_load16(const uint16_t *_Nonnull word) { return __atomic_load_n(word, __ATOMIC_RELAXED); }
static inline void limpet_store16(uint16_t *_Nonnull word, uint16_t value) {
    __atomic_store_n(word, value, __ATOMIC_RELAXED);
}
/* Stores that no earlier store of this thread may be moved behind, by the compiler: whoever dies after it has made all of
 * them. (The processor needs no telling: memory survives the death of a process in program order.) */
static inline void limpet_publish8(uint8_t *_Nonnull byte, uint8_t value) {
    __atomic_store_n(byte, value, __ATOMIC_RELEASE);
}
static inline void limpet_publish16(uint16_t *_Nonnull word, uint16_t value) {
    __atomic_store_n(word, value, __ATOMIC_RELEASE);
}
static inline void limpet_publish32(uint32_t *_Nonnull word, uint32_t value) {
    __atomic_store_n(word, value, __ATOMIC_RELEASE);
}
static inline void limpet_publish64(uint64_t *_Nonnull word, uint64_t value) {
    __atomic_store_n(word, value, __ATOMIC_RELEASE);
}
/* Makes all that was stored before visible before anything after it is read. */
static inline void limpet_fence(void) { __atomic_thread_fence(__ATOMIC_SEQ_CST); }
/* Keeps the compiler from moving any store over this point, either way. */
static inline void limpet_order(void) { __atomic_signal_fence(__ATOMIC_SEQ_CST); }
/* Takes a word from 0 to 1. Returns whether it was this caller that did. */
static inline _Bool limpet_claim(uint32_t *_Nonnull word) {
    return __atomic_exchange_n(word, 1, __ATOMIC_SEQ_CST) == 0;
}
/* The writer's half of a sequence lock: begin makes it odd, end makes it even again. */
static inline void limpet_write_begin(uint32_t *_Nonnull sequence) {
    __atomic_store_n(sequence, __atomic_load_n(sequence, __ATOMIC_RELAXED) + 1, __ATOMIC_RELAXED);
    __atomic_thread_fence(__ATOMIC_RELEASE);
}
static inline void limpet_write_end(uint32_t *_Nonnull sequence) {
    __atomic_store_n(sequence, __atomic_load_n(sequence, __ATOMIC_RELAXED) + 1, __ATOMIC_RELEASE);
}
/* The reader's half: what was copied between read_begin and a read_valid of the same value belongs together. */
static inline uint32_t limpet_read_begin(const uint32_t *_Nonnull sequence) {
    return __atomic_load_n(sequence, __ATOMIC_ACQUIRE);
}
static inline _Bool limpet_read_valid(const uint32_t *_Nonnull sequence, uint32_t begun) {
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    return (begun & 1) == 0 && __atomic_load_n(sequence, __ATOMIC_RELAXED) == begun;
}

#endif
