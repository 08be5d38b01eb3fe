#include "ccares.h"

#include <stddef.h>

enum { HEADER = 12, FIXED = 10, CNAME = 5 };

static unsigned int word(const unsigned char *at) { return (unsigned int)at[0] << 8 | at[1]; }

/* Where a name ends that begins at `position` (RFC 1035, 4.1.4); 0: outside the message. */
static size_t name_end(const unsigned char *message, size_t length, size_t position) {
    while (position < length) {
        unsigned int label = message[position];
        if (label == 0) return position + 1;
        if ((label & 0xc0) == 0xc0) return position + 2 <= length ? position + 2 : 0;
        if (label & 0xc0) return 0;
        position += 1 + label;
    }
    return 0;
}

int64_t limpet_srv_ttl(const unsigned char *message, int signed_length) {
    if (signed_length < HEADER) return -1;
    size_t length = (size_t)signed_length;
    unsigned int questions = word(message + 4), answers = word(message + 6);
    size_t position = HEADER;
    for (; questions > 0; questions--) {
        position = name_end(message, length, position);
        if (position == 0 || length - position < 4) return -1;
        position += 4;
    }
    int64_t least = -1;
    for (; answers > 0; answers--) {
        position = name_end(message, length, position);
        if (position == 0 || length - position < FIXED) return -1;
        unsigned int type = word(message + position);
        int64_t ttl = (int64_t)word(message + position + 4) << 16 | word(message + position + 6);
        /* RFC 2181, 8: with the highest bit set it counts as zero. */
        if (ttl > INT32_MAX) ttl = 0;
        size_t data = word(message + position + 8);
        position += FIXED;
        if (length - position < data) return -1;
        position += data;
        if ((type == CNAME || type == LIMPET_RECORD_SRV) && (least < 0 || ttl < least)) least = ttl;
    }
    return least;
}
