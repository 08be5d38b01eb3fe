/* Holds the layouts to what they promise. A change that trips one of these needs a new LIMPET_LAYOUT_VERSION. */
#include "layout.h"
#include "access.h"
#include "affinity.h"
#include "histogram.h"

#include <stddef.h>

_Static_assert(sizeof(limpet_address) == 24, "address");
_Static_assert(sizeof(limpet_direction) == 16, "direction");
_Static_assert(offsetof(limpet_address, scope) == 16 && offsetof(limpet_address, port) == 20 &&
                   offsetof(limpet_address, family) == 22, "address");
_Static_assert(offsetof(limpet_direction, pipe_read) == 0 && offsetof(limpet_direction, pipe_write) == 4 &&
                   offsetof(limpet_direction, pipe_bytes) == 8 && offsetof(limpet_direction, flags) == 12 &&
                   offsetof(limpet_direction, calm) == 14 && offsetof(limpet_direction, pipe_size) == 15, "direction");

_Static_assert(offsetof(limpet_record, generation) == 4 && LIMPET_FREE == 0, "what limpet_record_clear keeps and leaves");

_Static_assert(sizeof(limpet_record_1) == 256, "record 1: four cache lines");
_Static_assert(offsetof(limpet_record_1, id) == 8 && offsetof(limpet_record_1, descriptor) == 16 &&
                   offsetof(limpet_record_1, state) == 24 && offsetof(limpet_record_1, events) == 28, "record 1, line 0");
_Static_assert(offsetof(limpet_record_1, direction) == 32 && offsetof(limpet_record_1, delivered) == 64, "record 1");
_Static_assert(offsetof(limpet_record_1, source_key) == 104 && offsetof(limpet_record_1, service) == 112 &&
                   offsetof(limpet_record_1, timer_next) == 120, "record 1, line 1");
_Static_assert(offsetof(limpet_record_1, client) == 128 && offsetof(limpet_record_1, timer_slot) == 248 &&
                   offsetof(limpet_record_1, header) == 252, "record 1, lines 2 and 3");

_Static_assert(sizeof(limpet_record_2) == 256, "record 2: four cache lines");
_Static_assert(offsetof(limpet_record_2, service) == 8 && offsetof(limpet_record_2, descriptor) == 16 &&
                   offsetof(limpet_record_2, state) == 24 && offsetof(limpet_record_2, header) == 30, "record 2, line 0");
_Static_assert(offsetof(limpet_record_2, direction) == 32 && offsetof(limpet_record_2, delivered) == 64, "record 2");
_Static_assert(offsetof(limpet_record_2, id) == 112 && offsetof(limpet_record_2, timer_next) == 120, "record 2, line 1");
_Static_assert(offsetof(limpet_record_2, client) == 128 && offsetof(limpet_record_2, timer_slot) == 248, "record 2");

/* Told apart by their version alone, these must lie the same in all layouts. */
_Static_assert(offsetof(limpet_shared_header, version) == 8 && offsetof(limpet_shared_header, record_bytes) == 12 &&
                   offsetof(limpet_shared_header, size) == 72 && offsetof(limpet_shared_header, record_offset) == 136,
               "header");
_Static_assert(sizeof(limpet_worker) == 128, "worker");
_Static_assert(sizeof(limpet_listener_counters) == 32, "listener counters");
_Static_assert(sizeof(limpet_backend_counters) == 128, "backend counters");
_Static_assert(sizeof(limpet_backend_state) == 64, "backend state");
_Static_assert(sizeof(limpet_listener_state) == 320, "listener state");
_Static_assert(sizeof(limpet_shared_header) == 192, "header");
_Static_assert(offsetof(limpet_record_1, end) == 30 && offsetof(limpet_record_1, connect_time) == 254 &&
                   offsetof(limpet_record_2, end) == 252 && offsetof(limpet_record_2, connect_time) == 254, "ends");
_Static_assert(offsetof(limpet_shared_header, areas_offset) == 144, "header");
_Static_assert(sizeof(limpet_areas) == 512, "areas");
_Static_assert(sizeof(limpet_worker_metrics) == 512, "worker metrics");
_Static_assert(sizeof(limpet_backend_metrics) == 128, "backend metrics");
_Static_assert(sizeof(limpet_listener_metrics) == 256, "listener metrics");
_Static_assert(sizeof(limpet_access_entry) == 128, "access entry");
_Static_assert(offsetof(limpet_access_ring, tail) == 64 && offsetof(limpet_access_ring, entry) == 128, "access ring");
_Static_assert(sizeof(limpet_log_state) == 128, "log state");
_Static_assert(sizeof(limpet_control_counters) == 256, "control counters");
_Static_assert(sizeof(limpet_backend_history) == 128, "backend history");
_Static_assert(sizeof(limpet_violation) == 104, "violation");
_Static_assert(sizeof(limpet_sandbox) % 8 == 0, "sandbox");
_Static_assert(sizeof(limpet_event) == LIMPET_EVENT_BYTES, "event");
_Static_assert(sizeof(limpet_process) == 512, "process");
_Static_assert(sizeof(limpet_continuity) <= 4096, "continuity has one page");
_Static_assert(offsetof(limpet_continuity, upgrade) % 8 == 0, "words are aligned");
_Static_assert(sizeof(limpet_affinity_set) == 448, "affinity: seven cache lines");
_Static_assert(sizeof(limpet_affinity_header) == 64 + 64 * LIMPET_MAXIMUM_WORKERS, "affinity");
