/*
 * select: the groups in the store that a filter lets pass, one after the other, in the order of
 * their messages. Memory does not grow with the queue.
 */
#ifndef SMARTHOP_QUEUE_CTL_SELECT_H
#define SMARTHOP_QUEUE_CTL_SELECT_H

#include "queue/ctl/filter.h"

struct selected {
    struct queue_message *message; /* lives during the visit */
    const struct queue_group *group;
    enum view_state state;
    uint64_t now;
    bool is_first; /* of this message */
};

/* False ends it. */
typedef bool select_visit(void *context, const struct selected *selected);
struct err select_groups(struct queue *queue, const struct filter *filter, select_visit *visit,
                         void *context);

#endif
