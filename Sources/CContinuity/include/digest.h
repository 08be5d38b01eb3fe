/* SHA-256 (FIPS 180-4), by which an executable is known again. */
#ifndef LIMPET_DIGEST_H
#define LIMPET_DIGEST_H

#include <stddef.h>
#include <stdint.h>

/* Of what a descriptor reads from its beginning. 0, or -1 with errno. */
int limpet_digest(int32_t descriptor, uint8_t *_Nonnull digest);
/* Of bytes; 32 of them come out.
 * is_plain: without the instructions that the processor may have for it. */
void limpet_digest_bytes(const void *_Nonnull bytes, size_t count, int is_plain, uint8_t *_Nonnull digest);

#endif
