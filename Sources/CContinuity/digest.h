#ifndef LIMPET_DIGEST_H
#define LIMPET_DIGEST_H

#include <stddef.h>
#include <stdint.h>

/* SHA-256 (FIPS 180-4) of what a descriptor reads from its beginning. 0, or -1 with errno. */
int limpet_digest(int32_t descriptor, uint8_t digest[32]);
/* … of bytes. */
void limpet_digest_bytes(const void *bytes, size_t count, uint8_t digest[32]);

#endif
