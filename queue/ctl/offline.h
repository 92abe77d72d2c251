/*
 * offline: changes to the store while no daemon runs. The store is open for writing meanwhile, so
 * that none can start.
 */
#ifndef SMARTHOP_QUEUE_CTL_OFFLINE_H
#define SMARTHOP_QUEUE_CTL_OFFLINE_H

#include "queue/queue.h"

enum offline_verb { OFFLINE_RETRY, OFFLINE_REMOVE, OFFLINE_HOLD, OFFLINE_RELEASE };

/* All groups of one message, or (id 0) of all. When it returns, what it changed is durable. */
struct err offline_change(struct queue *queue, enum offline_verb verb, uint64_t id,
                          uint64_t *affected_out);

#endif
