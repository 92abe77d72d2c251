/*
 * tally: how often something has happened lately, counted in two buckets: the present period and
 * the one before it, which is taken to have been even. Pure.
 */
#ifndef SMARTHOP_GUARD_TALLY_H
#define SMARTHOP_GUARD_TALLY_H

#include <stdbool.h>
#include <stdint.h>

struct tally {
    uint64_t since; /* start of the present period, a multiple of its length */
    uint32_t count; /* in it */
    uint32_t before;
};

/* Moves on to the period that `now` lies in. First of all that follows. */
void tally_roll(struct tally *t, uint64_t length, uint64_t now);
void tally_add(struct tally *t);
void tally_give_back(struct tally *t);
/* What counts now, rounded up. */
uint64_t tally_sum(const struct tally *t, uint64_t length, uint64_t now);
/* Whether one more fits a limit that is not 0; else *wait_out tells how many ms later it would. */
bool tally_has_room(const struct tally *t, uint64_t length, uint64_t limit, uint64_t now,
                    uint64_t *wait_out);
/* From then on it is as if nothing had been counted. */
uint64_t tally_end(const struct tally *t, uint64_t length);

#endif
