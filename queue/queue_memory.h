/*
 * queue_memory: what a test may do to the twin of the store in memory (library
 * smarthop_queue_memory, which implements queue.h). Operations are done at once under a lock and
 * complete on op.home, which must not be NULL here. The path in queue_options is not looked at.
 */
#ifndef SMARTHOP_QUEUE_MEMORY_H
#define SMARTHOP_QUEUE_MEMORY_H

#include "queue/queue.h"

/* The next operation fails with this and changes nothing. Any thread. */
void queue_memory_fail_next(struct queue *queue, struct err error);
/* What queue_refuses answers; meanwhile inserts and stages fail with ERR_NO_SPACE. Any thread. */
void queue_memory_set_low(struct queue *queue, bool low);
/* Messages, and bodies that are only staged. Any thread. */
size_t queue_memory_rows(struct queue *queue);

#endif
