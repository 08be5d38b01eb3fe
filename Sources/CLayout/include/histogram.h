/* Histograms of times in the shared region: their bounds, and how a time is put in. */
#ifndef LIMPET_HISTOGRAM_H
#define LIMPET_HISTOGRAM_H

#include "atomics.h"
#include "layout.h"

#define LIMPET_BOUNDS (LIMPET_BUCKETS - 1)

/* Upper bounds of all buckets but the last, in microseconds: of connects, 0.1 ms to 30 s … */
static inline uint64_t limpet_connect_bound(int bucket) {
    static const uint64_t bounds[LIMPET_BOUNDS] = {100,   250,   500,    1000,   2500,    5000,    10000,
                                                   25000, 50000, 100000, 250000, 1000000, 5000000, 30000000};
    return bounds[bucket];
}
/* … and of connections, 10 ms to a week. */
static inline uint64_t limpet_duration_bound(int bucket) {
    static const uint64_t bounds[LIMPET_BOUNDS] = {
        10000,      100000,     1000000,     5000000,     15000000,    60000000,     300000000,
        1800000000, 3600000000, 14400000000, 43200000000, 86400000000, 259200000000, 604800000000};
    return bounds[bucket];
}

/* For the one writer of the histogram. */
static inline void limpet_observe(limpet_histogram *_Nonnull histogram, uint64_t (*_Nonnull bound)(int),
                                  uint64_t microseconds) {
    int bucket = 0;
    while (bucket < LIMPET_BOUNDS && microseconds > bound(bucket)) bucket++;
    limpet_bump64(&histogram->count[bucket], 1);
    limpet_bump64(&histogram->sum, microseconds);
}
static inline void limpet_observe_connect(limpet_histogram *_Nonnull histogram, uint64_t microseconds) {
    limpet_observe(histogram, limpet_connect_bound, microseconds);
}
static inline void limpet_observe_duration(limpet_histogram *_Nonnull histogram, uint64_t microseconds) {
    limpet_observe(histogram, limpet_duration_bound, microseconds);
}

#endif
