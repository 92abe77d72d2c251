/*
 * view: what a listing says of a group: its state, when it is tried next, and why it waits.
 */
#ifndef SMARTHOP_QUEUE_CTL_VIEW_H
#define SMARTHOP_QUEUE_CTL_VIEW_H

#include "queue/queue.h"

enum view_state {
    VIEW_READY,     /* due: it is being delivered or is about to be */
    VIEW_WAITING,   /* for its own next try */
    VIEW_BACKOFF,   /* for its destination, which is not tried before */
    VIEW_SUSPENDED, /* for an operator, with all that goes to its next hop */
    VIEW_HELD,      /* for an operator */
    VIEW_DAMAGED,   /* its record cannot be read */
    VIEW_STATES,
};

enum { VIEW_REASON_MAX = 1024 };

struct view {
    enum view_state state;
    uint64_t next; /* wall clock ms; not for VIEW_HELD and VIEW_DAMAGED */
    char reason[VIEW_REASON_MAX];
    size_t reason_len;
};

struct backoffs;

/* "waiting" */
const char *view_state_name(enum view_state state);
/* The same, but of VIEW_WAITING "deferred" where it has failed before, and "future" where its
 * sender asked for that. */
const char *view_state_detail(enum view_state state, const struct queue_group *group, uint64_t now);
/* Behind its last "@"; empty where there is none. */
struct span view_domain(struct span address);

/* The state alone, without the cost of telling why. */
enum view_state view_state_of(const struct backoffs *backoffs, const struct queue_group *group,
                              uint64_t now, uint64_t *next_out);
void view_group(const struct backoffs *backoffs, const struct queue_group *group, uint64_t now,
                struct view *out);
/* The first status of its recipients that says something, or NULL. */
const struct status *view_status(const struct queue_group *group);
/* "450 4.2.0 text (host [address]:port)"; returns its length. */
size_t view_format_status(const struct status *status, char *text, size_t size);

#endif
