/*
 * Looks for mail that has waited too long, whatever its destination is doing. Ids are ordered by
 * time, so what has passed an age lies in front of it: each threshold keeps a cursor and sees each
 * message once, when it comes of that age. Now and then all cursors go back to the start, for what
 * was busy when its time came.
 */
#include "schedule/private.h"

#include <stdlib.h>

enum {
    SWEEP_LONGEST_MS = 60000,
    SWEEP_SHORTEST_MS = 100,
    SWEEP_HITS_MOST = 512, /* messages acted on in one go */
    SWEEP_ANEW_MS = 600 * 1000,
};

enum threshold { THRESHOLD_WARN, THRESHOLD_BOUNCES, THRESHOLD_ALL, THRESHOLD_COUNT };

struct sweep {
    struct work work;
    struct schedule_batch batch; /* of one go: the next begins when it is done */
    struct scheduler *owner;
    uint64_t cursor[THRESHOLD_COUNT]; /* ids below have been seen */
    uint64_t began;                   /* loop time at which the cursors last stood at the start */
    uint64_t ages[THRESHOLD_COUNT];   /* as configured when this go began */
    uint64_t now;
    enum threshold current;
    unsigned hits;
    bool more;
};

static enum schedule_verb verb_of(enum threshold threshold)
{
    return threshold == THRESHOLD_WARN ? SCHEDULE_WARN : SCHEDULE_EXPIRE;
}

static bool concerns(const struct sweep *sweep, const struct queue_message *message)
{
    bool bounce = message->reverse_path.len == 0;

    return bounce ? sweep->current == THRESHOLD_BOUNCES : sweep->current != THRESHOLD_BOUNCES;
}

static bool visit(void *context, struct queue_message *message)
{
    struct sweep *sweep = context;
    uint64_t age = sweep->ages[sweep->current];

    if (message->arrival > sweep->now || sweep->now - message->arrival <= age)
        return false;
    if (sweep->hits >= SWEEP_HITS_MOST) {
        sweep->more = true;
        return false;
    }
    sweep->cursor[sweep->current] = message->id + 1;
    if (!concerns(sweep, message))
        return true;
    for (unsigned i = 0; i < message->group_count; i++) {
        const struct queue_group *group = &message->groups[i];
        if (sweep->current == THRESHOLD_WARN &&
            (group->delay_warned || group->state == QUEUE_GROUP_HELD))
            continue;
        action_post(sweep->owner->set, &sweep->batch, verb_of(sweep->current), message, group);
        sweep->hits++;
    }
    return true;
}

static void look(struct work *work)
{
    struct sweep *sweep = container_of(work, struct sweep, work);

    /* The oldest first, so that nobody is told that a message is late and then that it is lost. */
    for (int i = THRESHOLD_ALL; i >= THRESHOLD_WARN; i--) {
        sweep->current = (enum threshold)i;
        if (sweep->ages[i] == 0)
            continue;
        struct err e = queue_scan(sweep->owner->queue, sweep->cursor[i], visit, sweep);
        if (err_is(e))
            log_failure(LOG_WARN, "sweep-failed", e, NULL, NULL);
    }
}

static void on_timer(struct timer *timer);

static uint64_t interval(const struct conf *conf)
{
    uint64_t shortest = conf->expire_after;

    if (conf->bounce_expire_after < shortest)
        shortest = conf->bounce_expire_after;
    if (conf->delay_warning_after > 0 && conf->delay_warning_after < shortest)
        shortest = conf->delay_warning_after;
    shortest /= 10;
    if (shortest < SWEEP_SHORTEST_MS)
        shortest = SWEEP_SHORTEST_MS;
    return shortest < SWEEP_LONGEST_MS ? shortest : SWEEP_LONGEST_MS;
}

static void on_looked(struct call *call)
{
    batch_release(&container_of(call, struct sweep, work.call)->batch);
}

static void on_swept(struct call *call)
{
    struct schedule_batch *batch = container_of(call, struct schedule_batch, end);
    struct sweep *sweep = container_of(batch, struct sweep, batch);
    struct scheduler *s = sweep->owner;

    s->working--;
    if (!s->is_stopping)
        timer_start(s->loop, &s->sweep_timer, sweep->more ? 0 : interval(s->conf), on_timer);
    scheduler_check_stopped(s);
}

static void on_timer(struct timer *timer)
{
    struct scheduler *s = container_of(timer, struct scheduler, sweep_timer);
    struct sweep *sweep = s->sweep;

    if (loop_now(s->loop) - sweep->began > SWEEP_ANEW_MS) {
        memset(sweep->cursor, 0, sizeof sweep->cursor);
        sweep->began = loop_now(s->loop);
    }
    sweep->ages[THRESHOLD_WARN] = s->conf->delay_warning_after;
    sweep->ages[THRESHOLD_BOUNCES] = s->conf->bounce_expire_after;
    sweep->ages[THRESHOLD_ALL] = s->conf->expire_after;
    sweep->now = clock_steady_ms();
    sweep->hits = 0;
    sweep->more = false;
    batch_begin(&sweep->batch, s->loop, on_swept);
    s->working++;
    loop_work(s->loop, &sweep->work);
}

void schedule_start_sweep(struct scheduler *s)
{
    s->sweep = mem_zalloc(sizeof *s->sweep);
    s->sweep->owner = s;
    s->sweep->work.run = look;
    s->sweep->work.call.done = on_looked;
    list_init(&s->sweep->work.call.link);
    s->sweep->began = loop_now(s->loop);
    timer_start(s->loop, &s->sweep_timer, interval(s->conf), on_timer);
}
