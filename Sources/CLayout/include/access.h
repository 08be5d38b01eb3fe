/* Indexed access to what Swift would import as tuples. */
#ifndef LIMPET_ACCESS_H
#define LIMPET_ACCESS_H

#include "atomics.h"
#include "layout.h"

static inline int32_t *_Nonnull limpet_descriptor(limpet_record *_Nonnull record, int side) {
    return &record->descriptor[side];
}
static inline limpet_direction *_Nonnull limpet_direction_of(limpet_record *_Nonnull record, int direction) {
    return &record->direction[direction];
}
static inline limpet_area *_Nonnull limpet_area_of(limpet_areas *_Nonnull areas, int number) {
    return &areas->area[number];
}
static inline uint64_t *_Nonnull limpet_bucket(limpet_histogram *_Nonnull histogram, int bucket) {
    return &histogram->count[bucket];
}
static inline uint64_t *_Nonnull limpet_closed(limpet_worker_metrics *_Nonnull metrics, int reason) {
    return &metrics->closed[reason];
}
static inline uint64_t *_Nonnull limpet_splice_calls(limpet_worker_metrics *_Nonnull metrics, int result) {
    return &metrics->splice[result];
}
static inline uint64_t *_Nonnull limpet_refused(limpet_listener_metrics *_Nonnull metrics, int reason) {
    return &metrics->refused[reason];
}
static inline limpet_access_entry *_Nonnull limpet_entry(limpet_access_ring *_Nonnull ring, uint64_t number) {
    return &ring->entry[number % LIMPET_ACCESS_ENTRIES];
}
static inline uint64_t *_Nonnull limpet_state_changes(limpet_backend_history *_Nonnull history, int state) {
    return &history->state_changes[state];
}
/* Microseconds in 16 bits: 11 of the number, 5 of the power of two that it is to be multiplied with. Exact to a part in
 * 1,000 and up to an hour; not 0, which says that there is none. */
static inline uint16_t limpet_pack_time(uint64_t microseconds) {
    uint64_t number = microseconds ? microseconds : 1;
    unsigned power = 0;
    while (number > 0x7ff) {
        number >>= 1;
        power++;
    }
    return power > 31 ? 0xffff : (uint16_t)(power << 11 | number);
}
static inline uint64_t limpet_unpack_time(uint16_t packed) { return (uint64_t)(packed & 0x7ff) << (packed >> 11); }
static inline uint8_t *_Nonnull limpet_log_level(limpet_continuity *_Nonnull continuity) { return &continuity->log_level; }
static inline uint8_t *_Nonnull limpet_log_format(limpet_continuity *_Nonnull continuity) {
    return &continuity->log_format;
}
/* Names both ends of a pipe, or with -1 un-names them, by one store: there is no moment at which one end is named. */
typedef uint64_t __attribute__((may_alias)) limpet_pipe_name;
static inline void limpet_name_pipe(limpet_direction *_Nonnull direction, int32_t read, int32_t write) {
    union {
        int32_t ends[2];
        uint64_t both;
    } name = {{read, write}};
    __atomic_store_n((limpet_pipe_name *)&direction->pipe_read, name.both, __ATOMIC_RELEASE);
}
static inline uint64_t *_Nonnull limpet_delivered(limpet_record *_Nonnull record, int direction) {
    return &record->delivered[direction];
}
static inline uint8_t *_Nonnull limpet_events(limpet_record *_Nonnull record, int side) { return &record->events[side]; }
static inline uint64_t *_Nonnull limpet_backend_bytes(limpet_backend_counters *_Nonnull counters, int direction) {
    return &counters->bytes[direction];
}
static inline uint64_t *_Nonnull limpet_backend_failures(limpet_backend_counters *_Nonnull counters, int class_) {
    return &counters->failures[class_];
}
static inline int32_t *_Nonnull limpet_listener_descriptor(limpet_listener_state *_Nonnull listener, int worker) {
    return &listener->descriptor[worker];
}
static inline uint64_t *_Nonnull limpet_source_word(limpet_source_row *_Nonnull row, uint32_t position) {
    return &row->source[position % LIMPET_SOURCES];
}
static inline uint64_t *_Nonnull limpet_source_all(limpet_source_row *_Nonnull row, uint32_t target) {
    return &row->all[target % LIMPET_SOURCE_TARGETS];
}
static inline char *_Nonnull limpet_event_text(limpet_event *_Nonnull event) { return event->text; }
/* Cut to what there is room for. */
static inline void limpet_text_set(char *_Nonnull place, unsigned long size, const char *_Nonnull text) {
    unsigned long length = 0;
    for (; text[length] && length + 1 < size; length++) place[length] = text[length];
    place[length] = 0;
}
/* The texts of an upgrade; why it was refused or taken back among them. */
static inline void limpet_upgrade_set_reason(limpet_upgrade *_Nonnull upgrade, const char *_Nonnull text) {
    limpet_text_set(upgrade->reason, sizeof upgrade->reason, text);
}
static inline void limpet_upgrade_set_old_version(limpet_upgrade *_Nonnull upgrade, const char *_Nonnull text) {
    limpet_text_set(upgrade->old_version, sizeof upgrade->old_version, text);
}
static inline void limpet_upgrade_set_new_version(limpet_upgrade *_Nonnull upgrade, const char *_Nonnull text) {
    limpet_text_set(upgrade->new_version, sizeof upgrade->new_version, text);
}
static inline const char *_Nonnull limpet_upgrade_reason(const limpet_upgrade *_Nonnull upgrade) {
    return upgrade->reason;
}
static inline const char *_Nonnull limpet_upgrade_old_version(const limpet_upgrade *_Nonnull upgrade) {
    return upgrade->old_version;
}
static inline const char *_Nonnull limpet_upgrade_new_version(const limpet_upgrade *_Nonnull upgrade) {
    return upgrade->new_version;
}
/* The words for the service manager; their writer brackets this with the sequence. */
static inline void limpet_status_set(limpet_process *_Nonnull process, const char *_Nonnull text) {
    limpet_text_set(process->status, sizeof process->status, text);
}
/* Copies them; whether the copy belongs together the sequence tells. */
static inline void limpet_status_copy(const limpet_process *_Nonnull process, char *_Nonnull text) {
    for (unsigned index = 0; index < LIMPET_STATUS_BYTES; index++)
        text[index] = __atomic_load_n(&process->status[index], __ATOMIC_RELAXED);
    text[LIMPET_STATUS_BYTES - 1] = 0;
}
static inline const uint8_t *_Nonnull limpet_death_build_id(const limpet_process *_Nonnull process) {
    return process->death_build_id;
}
static inline uint64_t *_Nonnull limpet_entered(limpet_piped *_Nonnull piped, int direction) {
    return &piped->entered[direction];
}
static inline const uint8_t *_Nonnull limpet_path_bytes(const limpet_path *_Nonnull path) { return path->bytes; }
/* Copies a path that its worker may be changing: whether the copy belongs together the record's sequence tells. */
__attribute__((no_sanitize("thread"))) static inline limpet_path limpet_path_copy(const limpet_path *_Nonnull from) {
    limpet_path to;
    const uint8_t *source = (const uint8_t *)from;
    uint8_t *target = (uint8_t *)&to;
    for (unsigned index = 0; index < sizeof to; index++)
        target[index] = __atomic_load_n(&source[index], __ATOMIC_RELAXED);
    if (to.length > sizeof to.bytes) to.length = 0;
    return to;
}
/* Cut to what there is room for, which is more than a socket's address can have. */
static inline void limpet_path_set(limpet_path *_Nonnull path, const void *_Nonnull bytes, unsigned length,
                                   _Bool is_abstract) {
    if (length > sizeof path->bytes) length = sizeof path->bytes;
    __builtin_memcpy(path->bytes, bytes, length);
    path->is_abstract = is_abstract;
    path->length = (uint8_t)length;
}
static inline void limpet_address_set(limpet_address *_Nonnull address, uint8_t family, uint64_t high, uint64_t low,
                                      uint16_t port) {
    uint64_t words[2] = {__builtin_bswap64(high), __builtin_bswap64(low)};
    if (family == 4) {
        words[0] = __builtin_bswap32((uint32_t)low);
        words[1] = 0;
    }
    __builtin_memcpy(address->bytes, words, 16);
    address->scope = 0;
    address->port = port;
    address->family = family;
    address->reserved = 0;
}
static inline uint64_t limpet_address_high(const limpet_address *_Nonnull address) {
    uint64_t word;
    __builtin_memcpy(&word, address->bytes, 8);
    return address->family == 4 ? 0 : __builtin_bswap64(word);
}
static inline uint64_t limpet_address_low(const limpet_address *_Nonnull address) {
    uint64_t word;
    if (address->family == 4) {
        uint32_t half;
        __builtin_memcpy(&half, address->bytes, 4);
        return __builtin_bswap32(half);
    }
    __builtin_memcpy(&word, address->bytes + 8, 8);
    return __builtin_bswap64(word);
}
/* Makes a free record blank, with another generation. That word is never zero in between: a slot of generation 0 says that
 * none after it was ever used. */
static inline void limpet_record_clear(limpet_record *_Nonnull record, uint32_t generation) {
    const unsigned kept = __builtin_offsetof(limpet_record, generation) + sizeof generation;
    __atomic_store_n(&record->generation, generation, __ATOMIC_RELAXED);
    __builtin_memset((char *)record + kept, 0, sizeof *record - kept);
    for (int index = 0; index < 2; index++) {
        record->descriptor[index] = -1;
        limpet_name_pipe(&record->direction[index], -1, -1);
    }
}
/* Copies a record that its worker may be changing. Returns whether the copy belongs together. What it reads while the
 * worker writes is thrown away by the check at the end, which a race detector cannot know. */
__attribute__((no_sanitize("thread"))) static inline _Bool limpet_record_copy(limpet_record *_Nonnull to, const limpet_record *_Nonnull from) {
    uint32_t begun = limpet_read_begin(&from->sequence);
    if (begun & 1) return 0;
    const uint64_t *source = (const uint64_t *)from;
    uint64_t *target = (uint64_t *)to;
    for (unsigned word = 0; word < sizeof *to / sizeof *source; word++)
        target[word] = __atomic_load_n(&source[word], __ATOMIC_RELAXED);
    return limpet_read_valid(&from->sequence, begun);
}

/* Begins to fetch a record into the cache. */
static inline void limpet_record_prefetch(const limpet_record *_Nonnull record) {
    const char *line = (const char *)record;
    for (unsigned offset = 0; offset < sizeof *record; offset += 64) __builtin_prefetch(line + offset, 1);
}

#endif
