/*
 * offline: changes to the store while no daemon runs. The store is open for writing meanwhile, so
 * that none can start.
 */
#ifndef SMARTHOP_QUEUE_CTL_OFFLINE_H
#define SMARTHOP_QUEUE_CTL_OFFLINE_H

#include "queue/queue.h"

enum offline_verb { OFFLINE_RETRY, OFFLINE_REMOVE, OFFLINE_HOLD, OFFLINE_RELEASE };

struct offline;

/* What is changed between these two is durable when the second returns; the bound on what is under
 * way makes the changes wait. The queue stays the caller's; the first problem is told at the end.
 */
struct err offline_begin(struct queue *queue, enum offline_verb verb, struct offline **out);
void offline_change(struct offline *offline, struct queue_message *message,
                    const struct queue_group *group);
struct err offline_end(struct offline *offline, uint64_t *affected_out);

/* All groups of one message. When it returns, what it changed is durable. */
struct err offline_change_message(struct queue *queue, enum offline_verb verb, uint64_t id,
                                  uint64_t *affected_out);

#endif
