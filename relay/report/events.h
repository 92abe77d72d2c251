/*
 * events: what becomes of mail, for programs: one JSON object a line in a file of its own. Each is
 * put together by the thread that it happens on, and written by a thread that does nothing else:
 * nobody waits for the file. What does not fit into the memory set aside is dropped, counted, and
 * told of in the log and in the file.
 *
 * OPERATING.md describes the fields.
 */
#ifndef SMARTHOP_REPORT_EVENTS_H
#define SMARTHOP_REPORT_EVENTS_H

#include "base/err.h"
#include "queue/queue.h"

enum { EVENTS_PENDING_MAX = 8 << 20 }; /* bytes that wait to be written */

struct events;

/* Opens the file to append to, and starts the writer. Blocks. Without a path *out is NULL, which
 * the functions below let be. */
struct err events_open(const char *path, struct events **out);
/* Any thread: the file is opened anew before anything further is written to it, for rotation. */
void events_reopen(struct events *events);
/* Writes what is pending. Nobody may be adding any more. */
void events_close(struct events *events);

struct event_time {
    const char *name;
    uint64_t ms;
};

/* Kept only during the call. NULL, 0 and empty: the field is left out. */
struct event {
    const char *name;
    const struct queue_message *message;
    const struct queue_group *group;
    const struct queue_recipient *recipient;
    const struct status *status;
    const char *klass;
    const char *tls;
    const struct event_time *times;
    unsigned time_count;
    uint64_t notification; /* id of the message by which its sender is told */
};

/* Any thread. */
void events_add(struct events *events, const struct event *event);
/* The same of each recipient of the message. */
void events_add_all(struct events *events, const char *name, const struct queue_message *message);

#endif
