/*
 * message: what both implementations of queue.h share about what callers hand in. The checks give
 * ERR_INVALID where something is beyond the bounds of codec.h.
 */
#ifndef SMARTHOP_QUEUE_MESSAGE_H
#define SMARTHOP_QUEUE_MESSAGE_H

#include "queue/queue.h"

/* With its groups. */
struct err message_check(const struct queue_message *message);
/* With the groups and the message that it is to store. */
struct err message_check_settle(const struct queue_settle *settle);
struct err message_check_destination(const struct queue_destination_update *update);
struct err message_check_suspension(const struct queue_suspension *suspension);

/* Sets chunk_count: `staged` chunks and those that the body in memory will take. */
void message_count_chunks(struct queue_message *message, uint32_t staged);

#endif
