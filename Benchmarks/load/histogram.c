#include "load.h"

#include <stdlib.h>
#include <string.h>

/* Values below 2^FINE have a bucket each; above, each power of two has 2^FINE of them. */
enum { FINE = 7, PER_POWER = 1 << FINE, POWERS = 40, BUCKETS = POWERS * PER_POWER };

struct histogram {
    uint64_t total;
    uint64_t counts[BUCKETS];
};

struct histogram *histogram_new(void) {
    struct histogram *histogram = calloc(1, sizeof *histogram);
    if (!histogram) die("calloc");
    return histogram;
}

void histogram_clear(struct histogram *histogram) { memset(histogram, 0, sizeof *histogram); }

static unsigned bucket(uint64_t value) {
    if (value < PER_POWER) return (unsigned)value;
    unsigned shift = 63 - (unsigned)__builtin_clzll(value) - FINE;
    unsigned index = ((shift + 1) << FINE) + (unsigned)(value >> shift) - PER_POWER;
    return index < BUCKETS ? index : BUCKETS - 1;
}

static double middle(unsigned index) {
    if (index < PER_POWER) return index;
    unsigned shift = (index >> FINE) - 1;
    uint64_t low = (uint64_t)((index & (PER_POWER - 1)) + PER_POWER) << shift;
    return (double)low + (double)((uint64_t)1 << shift) / 2;
}

void histogram_add(struct histogram *histogram, uint64_t value) {
    histogram->total++;
    histogram->counts[bucket(value)]++;
}

double histogram_quantile(const struct histogram *histogram, double share) {
    if (!histogram->total) return 0;
    uint64_t wanted = (uint64_t)((double)histogram->total * share), seen = 0;
    for (unsigned i = 0; i < BUCKETS; i++) {
        seen += histogram->counts[i];
        if (seen > wanted) return middle(i);
    }
    return middle(BUCKETS - 1);
}
