/* Programs that misbehave, for tests of the upgrade: a copy of a debug build with a line
 *
 *     LIMPET-TEST-IMAGE key=value key=value …
 *
 * behind its last byte is another version, or one that fails at a certain point. A release build does not look. */
#ifndef LIMPET_TEST_IMAGE_H
#define LIMPET_TEST_IMAGE_H

#include <stdint.h>

/* Reads the value of a key from the end of the running executable. 1: there is one, and it is in `value`; 0: none. */
int32_t limpet_test_image(const char *_Nonnull key, char *_Nonnull value, uint32_t size);

#endif
