/*
 * backoffs: the destinations that are not tried for now, and what operators have suspended, read
 * once, since a listing asks for each group. In memory they are as many as there are of them.
 */
#ifndef SMARTHOP_QUEUE_CTL_BACKOFFS_H
#define SMARTHOP_QUEUE_CTL_BACKOFFS_H

#include "queue/queue.h"

struct backoff {
    struct span destination;
    uint64_t until;     /* wall clock ms */
    struct span reason; /* for people */
};

struct backoffs;

struct err backoffs_load(struct queue *queue, uint64_t now, struct backoffs **out);
void backoffs_free(struct backoffs *backoffs);
/* NULL where there is none. */
const struct backoff *backoffs_find(const struct backoffs *backoffs, struct span destination);
/* NULL where none holds for the group. Those of an MX host are known to the daemon alone. */
const struct queue_suspension *backoffs_suspension(const struct backoffs *backoffs,
                                                   const struct queue_group *group);
unsigned backoffs_count(const struct backoffs *backoffs);

#endif
