/*
 * clock: the two clocks. Waits use the monotonic one; only what is stored or shown uses the wall
 * clock, so that a stepped clock neither floods nor starves the queue. Any thread.
 */
#ifndef SMARTHOP_BASE_CLOCK_H
#define SMARTHOP_BASE_CLOCK_H

#include <stdint.h>

uint64_t clock_mono_ms(void);
uint64_t clock_mono_ns(void);
/* Milliseconds since 1970-01-01 UTC. */
uint64_t clock_wall_ms(void);
/* The wall clock as it was when the process first asked, carried on by the monotonic one: what the
 * queue's times are measured by, so that a step of the wall clock moves no retry. */
uint64_t clock_steady_ms(void);

#endif
