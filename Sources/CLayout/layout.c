/* Holds the layout to what version 1 promises. A change that trips one of these needs a new LIMPET_LAYOUT_VERSION. */
#include "layout.h"
#include "access.h"

#include <stddef.h>

_Static_assert(sizeof(limpet_address) == 24, "address");
_Static_assert(sizeof(limpet_direction) == 16, "direction");
_Static_assert(sizeof(limpet_record) == 256, "record: four cache lines");
_Static_assert(offsetof(limpet_record, delivered) == 64, "what recovery needs fits the first line");
_Static_assert(offsetof(limpet_record, client) == 128, "addresses have the last two lines");
_Static_assert(sizeof(limpet_worker) == 128, "worker");
_Static_assert(sizeof(limpet_listener_counters) == 32, "listener counters");
_Static_assert(sizeof(limpet_backend_counters) == 128, "backend counters");
_Static_assert(sizeof(limpet_backend_state) == 64, "backend state");
_Static_assert(sizeof(limpet_listener_state) == 320, "listener state");
_Static_assert(sizeof(limpet_shared_header) == 192, "header");
_Static_assert(sizeof(limpet_continuity) <= 4096, "continuity has one page");
_Static_assert(offsetof(limpet_continuity, upgrade) % 8 == 0, "words are aligned");
