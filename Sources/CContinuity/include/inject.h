/* Deaths on purpose, for tests: debug builds end the process by SIGKILL at a labelled point when they were told to; in
 * release builds nothing of it is left.
 *
 * LIMPET_INJECT=RATE in the environment ends the process at one in RATE of all points that are passed;
 * LIMPET_INJECT=LABEL:N at the Nth pass of one point, in the first engine alone. */
#ifndef LIMPET_INJECT_H
#define LIMPET_INJECT_H

#include <stdint.h>

/* The points, in the order of a connection's life. Appended to, never renumbered. */
enum {
    LIMPET_POINTS = 64
};

#ifdef LIMPET_INJECT
/* Reads the environment; once per engine, before the workers. */
void limpet_inject_prepare(uint32_t engine_generation);
extern uint32_t limpet_inject_armed;
void limpet_inject_pass(uint32_t point);
static inline void limpet_inject(uint32_t point) {
    if (__builtin_expect(limpet_inject_armed, 0)) limpet_inject_pass(point);
}
#else
static inline void limpet_inject_prepare(uint32_t engine_generation) { (void)engine_generation; }
static inline void limpet_inject(uint32_t point) { (void)point; }
#endif

#endif
