/* memory_suspensions: the suspensions of the twin in memory, as records in the order of their
 * patterns. Zeroed at the start. */
#ifndef SMARTHOP_QUEUE_MEMORY_SUSPENSIONS_H
#define SMARTHOP_QUEUE_MEMORY_SUSPENSIONS_H

#include "queue/queue.h"

struct memory_suspension;

struct memory_suspensions {
    struct memory_suspension *items;
    size_t count;
};

void memory_suspensions_put(struct memory_suspensions *all,
                            const struct queue_suspension *suspension);
struct err memory_suspensions_remove(struct memory_suspensions *all, struct span pattern);
void memory_suspensions_visit(const struct memory_suspensions *all, queue_visit_suspension *visit,
                              void *context);
void memory_suspensions_fini(struct memory_suspensions *all);

#endif
