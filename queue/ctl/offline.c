#include "queue/ctl/offline.h"

#include "base/clock.h"
#include "queue/ctl/backoffs.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>

enum { IN_FLIGHT = 512 }; /* enough for large commits, a bound for the memory */

/* The completions come on the store's writer thread. */
struct offline {
    struct queue *queue;
    enum offline_verb verb;
    uint64_t now;
    struct backoffs *backoffs; /* OFFLINE_RETRY */
    sem_t room;
    pthread_mutex_t lock;
    uint64_t affected;  /* under lock */
    struct err problem; /* under lock: the first */
};

struct change {
    struct offline *offline;
    struct queue_message *message;
    struct queue_group remaining;
    struct queue_settle settle;
};

struct lifting {
    struct offline *offline;
    struct queue_destination_update update;
};

static void wait_for_room(struct offline *offline)
{
    while (sem_wait(&offline->room) != 0)
        continue; /* a signal */
}

static void completed(struct offline *offline, struct err result, unsigned affected)
{
    pthread_mutex_lock(&offline->lock);
    if (!err_is(result))
        offline->affected += affected;
    else if (!err_is(offline->problem))
        offline->problem = result;
    pthread_mutex_unlock(&offline->lock);
    sem_post(&offline->room);
}

static void on_settled(struct call *call)
{
    struct change *change = container_of(call, struct change, settle.op.call);
    struct offline *offline = change->offline;
    struct err result = change->settle.op.result;

    queue_message_unref(change->message);
    free(change);
    completed(offline, result, 1);
}

/* What the verb makes of a group; false where it is so already. */
static bool change_fields(const struct offline *offline, struct queue_group *group)
{
    bool held = group->state == QUEUE_GROUP_HELD;

    switch (offline->verb) {
    case OFFLINE_RETRY:
        group->state = held ? QUEUE_GROUP_HELD : QUEUE_GROUP_WAITING;
        group->due = offline->now;
        return !held;
    case OFFLINE_HOLD:
        group->state = QUEUE_GROUP_HELD;
        return !held;
    case OFFLINE_RELEASE:
        group->state = QUEUE_GROUP_WAITING;
        group->due = offline->now;
        return held;
    case OFFLINE_REMOVE:
        break;
    }
    return true;
}

static void on_lifted(struct call *call)
{
    struct lifting *lifting = container_of(call, struct lifting, update.op.call);
    struct offline *offline = lifting->offline;
    struct err result = lifting->update.op.result;

    free(lifting);
    completed(offline, result, 0);
}

/* Without this the group would wait for its destination still. */
static void lift_backoff(struct offline *offline, struct span destination)
{
    const struct backoff *backoff = backoffs_find(offline->backoffs, destination);

    if (backoff == NULL)
        return;
    struct lifting *lifting = mem_zalloc(sizeof *lifting);
    lifting->offline = offline;
    lifting->update.op.call.done = on_lifted;
    lifting->update.destination = backoff->destination;
    list_init(&lifting->update.op.call.link);
    wait_for_room(offline);
    queue_destination_update(offline->queue, &lifting->update);
}

void offline_change(struct offline *offline, struct queue_message *message,
                    const struct queue_group *group)
{
    struct queue_group remaining = *group;

    if (!change_fields(offline, &remaining))
        return;
    if (offline->verb == OFFLINE_RETRY)
        lift_backoff(offline, group->destination);
    struct change *change = mem_zalloc(sizeof *change);
    change->offline = offline;
    change->message = queue_message_ref(message);
    change->remaining = remaining;
    change->settle = (struct queue_settle){
        .op.call.done = on_settled,
        .id = message->id,
        .group = group->number,
        .old_destination = group->destination,
        .old_due = group->due,
        .deliver_by = message->deliver_by,
        .remaining = offline->verb == OFFLINE_REMOVE ? NULL : &change->remaining,
    };
    list_init(&change->settle.op.call.link);
    wait_for_room(offline);
    queue_settle(offline->queue, &change->settle);
}

struct err offline_begin(struct queue *queue, enum offline_verb verb, struct offline **out)
{
    struct offline *offline = mem_zalloc(sizeof *offline);
    struct err e = ERR_OK;

    *out = NULL;
    offline->queue = queue;
    offline->verb = verb;
    offline->now = clock_wall_ms();
    if (verb == OFFLINE_RETRY)
        e = backoffs_load(queue, offline->now, &offline->backoffs);
    if (err_is(e)) {
        free(offline);
        return e;
    }
    sem_init(&offline->room, 0, IN_FLIGHT);
    pthread_mutex_init(&offline->lock, NULL);
    *out = offline;
    return ERR_OK;
}

struct err offline_end(struct offline *offline, uint64_t *affected_out)
{
    for (unsigned i = 0; i < IN_FLIGHT; i++)
        wait_for_room(offline); /* all are back */
    struct err problem = offline->problem;
    *affected_out = offline->affected;
    backoffs_free(offline->backoffs);
    sem_destroy(&offline->room);
    pthread_mutex_destroy(&offline->lock);
    free(offline);
    return problem;
}

struct err offline_change_message(struct queue *queue, enum offline_verb verb, uint64_t id,
                                  uint64_t *affected_out)
{
    struct queue_message *message;
    struct offline *offline;
    struct err e = queue_load(queue, id, QUEUE_ALL_GROUPS, &message);

    *affected_out = 0;
    if (err_is(e))
        return e;
    e = offline_begin(queue, verb, &offline);
    if (!err_is(e)) {
        for (unsigned i = 0; i < message->group_count; i++)
            offline_change(offline, message, &message->groups[i]);
        e = offline_end(offline, affected_out);
    }
    queue_message_unref(message);
    return e;
}
