/*
 * census: what is queued, counted by a key. It holds CENSUS_KEYS keys at most; what comes with
 * others then is counted together, so that memory is bounded whatever senders invent.
 */
#ifndef SMARTHOP_QUEUE_CTL_CENSUS_H
#define SMARTHOP_QUEUE_CTL_CENSUS_H

#include "base/span.h"

enum { CENSUS_KEYS = 100000, CENSUS_AGES = 10 };

struct census_row {
    struct span key; /* empty: those that were counted together */
    uint64_t messages;
    uint64_t recipients;
    uint64_t bytes;             /* of the messages */
    uint64_t ages[CENSUS_AGES]; /* messages by age, as census_age gives it */
    uint64_t last_id;           /* census's own */
};

struct census;

struct census *census_create(void);
void census_free(struct census *census);
/* Counts recipients of a message; those of one message come one after the other. */
void census_add(struct census *census, struct span key, uint64_t id, uint64_t age_ms,
                uint64_t bytes, unsigned recipients);
/* The most messages first, then by key; the rest that was counted together is the last. They live
 * as long as the census, to which nothing is added any more. */
const struct census_row *census_rows(struct census *census, unsigned *count_out);

/* Below 5 minutes 0, below 10 minutes 1, each twice the one before; the last has no end. */
unsigned census_age(uint64_t ms);
/* "5m" ... "1280m", "1280m+" */
const char *census_age_name(unsigned age);

#endif
