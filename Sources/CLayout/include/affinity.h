/* Area 9: which backend a client's key got, for the time after its last connection.
 *
 * Sets of eight entries; a client's key says which set, and the least recently used of a set makes way. Any worker writes any
 * entry, none waits for another: what changes hands is one word, by compare and exchange. An entry is taken by a word that
 * names no backend, then filled, and counts from the word that names one; whoever finds it in between finds nothing. The next
 * engine takes what a death has left so: it bears the number of a turn that is over.
 *
 * A word: version (16 bits, another with each client), turn of the engine (12), connections that its client has (20), slot of
 * the backend + 1 (16; 0: none). Connections count in the turn in which they were counted: a new engine counts anew. */
#ifndef LIMPET_AFFINITY_H
#define LIMPET_AFFINITY_H

#include "atomics.h"
#include "layout.h"

#define LIMPET_AFFINITY_WAYS 8
/* Entries that the area has room for. */
#define LIMPET_AFFINITY_MOST (1u << 20)

typedef struct {
    uint64_t key[LIMPET_AFFINITY_WAYS]; /* limpet_affinity_key; 0: none */
    uint64_t word[LIMPET_AFFINITY_WAYS];
    uint64_t time[LIMPET_AFFINITY_WAYS]; /* CLOCK_BOOTTIME ns of the last beginning or end of a connection */
    limpet_address client[LIMPET_AFFINITY_WAYS]; /* as much of it as is hashed; to be shown */
    uint16_t service[LIMPET_AFFINITY_WAYS];      /* slot */
    uint64_t reserved[6];
} limpet_affinity_set;

/* Counters of one worker. */
typedef struct {
    uint64_t hits;      /* connections that went to the backend that was remembered */
    uint64_t moves;     /* clients that were remembered and have another backend now */
    uint64_t evictions; /* clients that were forgotten before their time, for want of room */
    uint64_t reserved[5];
} limpet_affinity_worker;

typedef struct {
    uint32_t sets;  /* a power of two; 0: not settled yet */
    uint32_t epoch; /* turn of the engine, 1 ... 4095 */
    uint32_t used;  /* 1: some service has, or had, affinity */
    uint32_t reserved_half;
    uint64_t reserved[6];
    limpet_affinity_worker worker[LIMPET_MAXIMUM_WORKERS];
} limpet_affinity_header;

static inline uint16_t limpet_affinity_version(uint64_t word) { return (uint16_t)(word >> 48); }
static inline uint32_t limpet_affinity_epoch(uint64_t word) { return (uint32_t)(word >> 36) & 0xfff; }
static inline uint32_t limpet_affinity_count(uint64_t word) { return (uint32_t)(word >> 16) & 0xfffff; }
/* -1: none. */
static inline int32_t limpet_affinity_backend(uint64_t word) { return (int32_t)(word & 0xffff) - 1; }
static inline uint64_t limpet_affinity_word(uint16_t version, uint32_t epoch, uint32_t count, int32_t backend) {
    return (uint64_t)version << 48 | (uint64_t)(epoch & 0xfff) << 36 | (uint64_t)count << 16 | (uint16_t)(backend + 1);
}
/* Never 0. */
static inline uint64_t limpet_affinity_key(uint64_t source_key, uint16_t service) {
    uint64_t key = source_key ^ ((uint64_t)service + 1) * 0x9e3779b97f4a7c15ull;
    key = (key ^ key >> 30) * 0xbf58476d1ce4e5b9ull;
    key = (key ^ key >> 27) * 0x94d049bb133111ebull;
    key ^= key >> 31;
    return key ? key : 1;
}

static inline uint64_t limpet_affinity_load(const limpet_affinity_set *_Nonnull set, int way) {
    return __atomic_load_n(&set->word[way], __ATOMIC_ACQUIRE);
}
static inline uint64_t limpet_affinity_key_of(const limpet_affinity_set *_Nonnull set, int way) {
    return __atomic_load_n(&set->key[way], __ATOMIC_ACQUIRE);
}
static inline uint64_t limpet_affinity_time(const limpet_affinity_set *_Nonnull set, int way) {
    return __atomic_load_n(&set->time[way], __ATOMIC_RELAXED);
}
static inline uint16_t limpet_affinity_service(const limpet_affinity_set *_Nonnull set, int way) {
    return __atomic_load_n(&set->service[way], __ATOMIC_RELAXED);
}
/* To be believed only where the word is the same afterwards. */
static inline limpet_address limpet_affinity_client(const limpet_affinity_set *_Nonnull set, int way) {
    return set->client[way];
}
static inline _Bool limpet_affinity_exchange(limpet_affinity_set *_Nonnull set, int way, uint64_t before, uint64_t after) {
    return __atomic_compare_exchange_n(&set->word[way], &before, after, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}
static inline void limpet_affinity_stamp(limpet_affinity_set *_Nonnull set, int way, uint64_t now) {
    __atomic_store_n(&set->time[way], now, __ATOMIC_RELEASE);
}

/* The entry of a key. Returns its way, and its word; -1: there is none. A client that came to two workers at the same moment
 * may have two: then the one with connections in this turn, else the one that was used last. */
static inline int limpet_affinity_find(const limpet_affinity_set *_Nonnull set, uint64_t key, uint32_t epoch,
                                       uint64_t *_Nonnull word) {
    int best = -1;
    _Bool is_connected = 0;
    for (int way = 0; way < LIMPET_AFFINITY_WAYS; way++) {
        if (limpet_affinity_key_of(set, way) != key) continue;
        uint64_t found = limpet_affinity_load(set, way);
        if (limpet_affinity_backend(found) < 0 || limpet_affinity_key_of(set, way) != key) continue;
        _Bool counts = limpet_affinity_epoch(found) == epoch && limpet_affinity_count(found) != 0;
        if (best >= 0 && (is_connected > counts ||
                          (is_connected == counts &&
                           limpet_affinity_time(set, best) >= limpet_affinity_time(set, way)))) continue;
        best = way;
        is_connected = counts;
        *word = found;
    }
    return best;
}

/* Takes an entry that has this word, to fill it. Returns whether nobody else has. */
static inline _Bool limpet_affinity_claim(limpet_affinity_set *_Nonnull set, int way, uint64_t word, uint32_t epoch) {
    return limpet_affinity_exchange(
        set, way, word, limpet_affinity_word((uint16_t)(limpet_affinity_version(word) + 1), epoch, 1, -1));
}
/* Fills an entry that was taken; it counts one connection. */
static inline void limpet_affinity_fill(limpet_affinity_set *_Nonnull set, int way, uint64_t key,
                                        const limpet_address *_Nonnull client, uint16_t service, int32_t backend,
                                        uint64_t now) {
    uint64_t word = limpet_affinity_load(set, way);
    __atomic_store_n(&set->key[way], 0, __ATOMIC_RELEASE);
    set->client[way] = *client;
    __atomic_store_n(&set->service[way], service, __ATOMIC_RELAXED);
    __atomic_store_n(&set->time[way], now, __ATOMIC_RELAXED);
    __atomic_store_n(&set->key[way], key, __ATOMIC_RELEASE);
    __atomic_store_n(&set->word[way],
                     limpet_affinity_word(limpet_affinity_version(word), limpet_affinity_epoch(word), 1, backend),
                     __ATOMIC_RELEASE);
}
/* Empties an entry that has this word. Returns whether it had. */
static inline _Bool limpet_affinity_forget(limpet_affinity_set *_Nonnull set, int way, uint64_t word, uint32_t epoch) {
    if (!limpet_affinity_claim(set, way, word, epoch)) return 0;
    uint16_t version = limpet_affinity_version(limpet_affinity_load(set, way));
    __atomic_store_n(&set->key[way], 0, __ATOMIC_RELEASE);
    __atomic_store_n(&set->word[way], limpet_affinity_word(version, 0, 0, -1), __ATOMIC_RELEASE);
    return 1;
}
static inline limpet_affinity_worker *_Nonnull limpet_affinity_counters(limpet_affinity_header *_Nonnull header, int worker) {
    return &header->worker[worker];
}
/* Hits, or moves. */
static inline uint64_t *_Nonnull limpet_affinity_outcome(limpet_affinity_worker *_Nonnull counters, _Bool is_hit) {
    return is_hit ? &counters->hits : &counters->moves;
}

#endif
