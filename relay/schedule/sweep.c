/*
 * Looks for mail that has waited too long, whatever its destination is doing. Ids are ordered by
 * time, so what has passed an age lies in front of it: each threshold keeps a cursor and sees each
 * message once, when it comes of that age. There is a threshold for each age that is configured,
 * for all mail or for some destinations. Now and then all cursors go back to the start, for what
 * was busy when its time came, and for what counts its age from a later time than its id's.
 *
 * The times of DELIVERBY (RFC 2852) lie in an index of their own, and are looked at when they come.
 */
#include "schedule/private.h"

#include <stdlib.h>

enum {
    SWEEP_LONGEST_MS = 60000,
    SWEEP_SHORTEST_MS = 100,
    SWEEP_HITS_MOST = 512, /* messages acted on in one go */
    SWEEP_ANEW = 10,       /* goes, about, from one full sweep to the next */
    SWEEP_GRACE_MS = 5000,
    SWEEP_BUSY_MS = 1000, /* until what was busy at its deadline is looked at again */
    DEADLINES_AT_ONCE = 64,
};

enum kind { KIND_EXPIRE, KIND_BOUNCE, KIND_WARN };

/* Groups whose configured age is this one are acted on when they come of it. */
struct threshold {
    enum kind kind;
    uint64_t age;
    uint64_t cursor; /* ids below have been seen */
};

struct sweep {
    struct work work;
    struct schedule_batch batch; /* of one go: the next begins when it is done */
    struct scheduler *owner;
    struct conf *conf;            /* of the thresholds; NULL = there are none yet */
    struct threshold *thresholds; /* what ends mail before what warns of it */
    unsigned threshold_count;
    uint64_t interval; /* by conf */
    uint64_t began;    /* loop time at which the cursors last stood at the start */
    uint64_t now;
    struct threshold *current;
    unsigned hits;
    bool more;
    bool is_full;     /* it began at the start, and has come by all since */
    uint64_t overdue; /* met since the last full one */

    struct queue_deadline seen;   /* deadlines up to this one are done with */
    struct queue_deadline before; /* what `seen` was when this go began */
    uint64_t found;               /* by this go: the next deadline; UINT64_MAX = none */
    uint64_t noted;               /* told of since it began */
    uint64_t wake;                /* loop time of the next go, while none is under way */
    bool is_looking;
    bool wants_all; /* mail of old has come: the next go begins at the start */
    bool is_first;  /* go: it looks at deadlines alone */
};

/* Told from any loop. */
struct note {
    struct call call;
    struct scheduler *owner;
    bool is_old; /* mail has come whose id the cursors may have passed */
    uint64_t deliver_by;
};

/* ---- thresholds --------------------------------------------------------------------------- */

/* An age of 0 is none. */
static void add_threshold(struct sweep *sweep, enum kind kind, uint64_t age)
{
    for (unsigned i = 0; i < sweep->threshold_count; i++)
        if (sweep->thresholds[i].kind == kind && sweep->thresholds[i].age == age)
            return;
    if (age > 0)
        sweep->thresholds[sweep->threshold_count++] = (struct threshold){.kind = kind, .age = age};
}

static uint64_t choose_interval(const struct sweep *sweep)
{
    uint64_t shortest = UINT64_MAX;

    for (unsigned i = 0; i < sweep->threshold_count; i++)
        if (sweep->thresholds[i].age < shortest)
            shortest = sweep->thresholds[i].age;
    shortest /= 10;
    if (shortest < SWEEP_SHORTEST_MS)
        shortest = SWEEP_SHORTEST_MS;
    return shortest < SWEEP_LONGEST_MS ? shortest : SWEEP_LONGEST_MS;
}

/* The cursors begin anew where the configuration is another one. */
static void read_thresholds(struct sweep *sweep)
{
    const struct conf *conf = sweep->owner->conf;

    if (sweep->conf == conf)
        return;
    conf_unref(sweep->conf);
    sweep->conf = conf_ref(sweep->owner->conf); /* the pool's thread reads it */
    free(sweep->thresholds);
    sweep->thresholds = mem_alloc((2 * conf->destination_count + 3) * sizeof *sweep->thresholds);
    sweep->threshold_count = 0;
    add_threshold(sweep, KIND_EXPIRE, conf->expire_after);
    for (unsigned i = 0; i < conf->destination_count; i++)
        add_threshold(sweep, KIND_EXPIRE, conf->destinations[i].expire_after);
    add_threshold(sweep, KIND_BOUNCE, conf->bounce_expire_after);
    add_threshold(sweep, KIND_WARN, conf->delay_warning_after);
    for (unsigned i = 0; i < conf->destination_count; i++)
        add_threshold(sweep, KIND_WARN, conf->destinations[i].delay_warning_after);
    sweep->interval = choose_interval(sweep);
}

static bool concerns(const struct sweep *sweep, const struct queue_message *message,
                     const struct queue_group *group)
{
    const struct threshold *threshold = sweep->current;
    bool is_bounce = message->reverse_path.len == 0;

    switch (threshold->kind) {
    case KIND_BOUNCE:
        return is_bounce;
    case KIND_EXPIRE:
        return !is_bounce && route_expire_after(sweep->conf, message->reverse_path,
                                                group->next_hop) == threshold->age;
    case KIND_WARN:
        break;
    }
    return !is_bounce && !group->delay_warned && group->state != QUEUE_GROUP_HELD &&
           route_warning_after(sweep->conf, group->next_hop) == threshold->age;
}

/* ---- a go --------------------------------------------------------------------------------- */

/* The go that came when it was of age should have ended it: what is met here now was missed, was
 * busy ever since, or cannot be read. Of the first sweep nothing can be said: no process may have
 * run when its time came. */
static void note_overdue(struct sweep *sweep, const struct queue_message *message)
{
    uint64_t end = queue_message_start(message) + sweep->current->age;

    if (sweep->current->kind != KIND_WARN && atomic_load(&sweep->owner->counters.swept) != 0 &&
        end + 2 * sweep->interval + SWEEP_GRACE_MS < sweep->now)
        sweep->overdue++;
}

static void post_groups(struct sweep *sweep, struct queue_message *message)
{
    enum schedule_verb verb = sweep->current->kind == KIND_WARN ? SCHEDULE_WARN : SCHEDULE_EXPIRE;
    bool any = false;

    for (unsigned i = 0; i < message->group_count; i++) {
        if (!concerns(sweep, message, &message->groups[i]))
            continue;
        action_post(sweep->owner->set, &sweep->batch, verb, message, &message->groups[i]);
        sweep->hits++;
        any = true;
    }
    if (any)
        note_overdue(sweep, message);
}

static bool visit(void *context, struct queue_message *message)
{
    struct sweep *sweep = context;
    uint64_t age = sweep->current->age;

    if (message->arrival > sweep->now || sweep->now - message->arrival <= age)
        return false;
    if (sweep->hits >= SWEEP_HITS_MOST) {
        sweep->more = true;
        return false;
    }
    sweep->current->cursor = message->id + 1;
    if (queue_message_start(message) + age < sweep->now)
        post_groups(sweep, message);
    return true;
}

/* One that cannot be loaded has gone, or waits for an operator. */
static void post_late(struct sweep *sweep, uint64_t id)
{
    struct queue_message *message;

    if (err_is(queue_load(sweep->owner->queue, id, QUEUE_ALL_GROUPS, &message)))
        return;
    for (unsigned i = 0; i < message->group_count; i++) {
        if (message->groups[i].late_told)
            continue;
        action_post(sweep->owner->set, &sweep->batch, SCHEDULE_LATE, message, &message->groups[i]);
        sweep->hits++;
    }
    queue_message_unref(message);
}

/* False where there is no need to list any further. */
static bool take_deadlines(struct sweep *sweep, const struct queue_deadline *items, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        if (items[i].at > sweep->now) {
            sweep->found = items[i].at;
            return false;
        }
        if (sweep->hits >= SWEEP_HITS_MOST) {
            sweep->more = true;
            return false;
        }
        sweep->seen = items[i];
        post_late(sweep, items[i].id);
    }
    return count == DEADLINES_AT_ONCE;
}

static void look_for_late(struct sweep *sweep)
{
    struct queue_deadline items[DEADLINES_AT_ONCE];
    unsigned count;

    do {
        struct err e = queue_deadline_list(sweep->owner->queue, &sweep->seen, DEADLINES_AT_ONCE,
                                           items, &count);
        if (err_is(e)) {
            log_failure(LOG_WARN, "sweep-failed", e, NULL, NULL);
            return;
        }
    } while (take_deadlines(sweep, items, count));
}

static void look(struct work *work)
{
    struct sweep *sweep = container_of(work, struct sweep, work);

    look_for_late(sweep);
    /* In their order, so that nobody is told that a message is late and then that it is lost. */
    for (unsigned i = 0; !sweep->is_first && i < sweep->threshold_count; i++) {
        sweep->current = &sweep->thresholds[i];
        struct err e = queue_scan(sweep->owner->queue, sweep->current->cursor, visit, sweep);
        if (err_is(e))
            log_failure(LOG_WARN, "sweep-failed", e, NULL, NULL);
    }
}

static void on_timer(struct timer *timer);

static void on_looked(struct call *call)
{
    batch_release(&container_of(call, struct sweep, work.call)->batch);
}

static void wake_in(struct sweep *sweep, uint64_t delay)
{
    struct loop *loop = sweep->owner->loop;

    sweep->wake = loop_now(loop) + delay;
    timer_start(loop, &sweep->owner->sweep_timer, delay, on_timer);
}

static uint64_t until(uint64_t deadline)
{
    uint64_t now = clock_steady_ms();

    return deadline > now ? deadline - now : 0;
}

/* How long to wait for the next go. */
static uint64_t pause(struct sweep *sweep, bool was_busy)
{
    uint64_t delay = sweep->interval;
    uint64_t next = sweep->found < sweep->noted ? sweep->found : sweep->noted;

    if (was_busy)
        return delay < SWEEP_BUSY_MS ? delay : SWEEP_BUSY_MS;
    if (sweep->more)
        return 0;
    if (next != UINT64_MAX && until(next) < delay)
        delay = until(next);
    return delay;
}

static void log_overdue(uint64_t count)
{
    struct log_line line;

    if (!log_begin(&line, LOG_WARN, "messages-overdue"))
        return;
    log_u64(&line, "messages", count);
    log_end(&line);
}

static void end_full(struct sweep *sweep)
{
    struct schedule_counters *counters = &sweep->owner->counters;

    if (!sweep->is_full || sweep->more)
        return;
    sweep->is_full = false;
    atomic_store(&counters->overdue, sweep->overdue);
    atomic_store(&counters->swept, clock_steady_ms());
    if (sweep->overdue > 0)
        log_overdue(sweep->overdue);
    sweep->overdue = 0;
}

static void on_swept(struct call *call)
{
    struct schedule_batch *batch = container_of(call, struct schedule_batch, end);
    struct sweep *sweep = container_of(batch, struct sweep, batch);
    struct scheduler *s = sweep->owner;
    bool has_late = sweep->seen.at != sweep->before.at || sweep->seen.id != sweep->before.id;
    bool was_busy = has_late && atomic_load(&batch->busy) > 0;

    s->working--;
    sweep->is_looking = false;
    end_full(sweep);
    if (was_busy)
        sweep->seen = sweep->before;
    if (!s->is_stopping)
        wake_in(sweep, pause(sweep, was_busy));
    scheduler_check_stopped(s);
}

static void begin(struct sweep *sweep)
{
    struct scheduler *s = sweep->owner;

    sweep->now = clock_steady_ms();
    sweep->hits = 0;
    sweep->more = false;
    sweep->before = sweep->seen;
    sweep->found = sweep->noted = UINT64_MAX;
    sweep->is_looking = true;
    batch_begin(&sweep->batch, s->loop, on_swept);
    s->working++;
    loop_work(s->loop, &sweep->work);
}

static void on_timer(struct timer *timer)
{
    struct scheduler *s = container_of(timer, struct scheduler, sweep_timer);
    struct sweep *sweep = s->sweep;

    sweep->is_first = false;
    read_thresholds(sweep);
    if (sweep->wants_all || loop_now(s->loop) - sweep->began > SWEEP_ANEW * sweep->interval) {
        sweep->wants_all = false;
        for (unsigned i = 0; i < sweep->threshold_count; i++)
            sweep->thresholds[i].cursor = 0;
        sweep->seen = (struct queue_deadline){0};
        sweep->began = loop_now(s->loop);
        sweep->is_full = true;
    }
    begin(sweep);
}

/* At once, but only for deadlines: some may have passed while no process ran. */
static void on_start(struct timer *timer)
{
    begin(container_of(timer, struct scheduler, sweep_timer)->sweep);
}

void sweep_free(struct scheduler *s)
{
    if (s->sweep == NULL)
        return;
    conf_unref(s->sweep->conf);
    free(s->sweep->thresholds);
    free(s->sweep);
}

void schedule_start_sweep(struct scheduler *s)
{
    s->sweep = mem_zalloc(sizeof *s->sweep);
    s->sweep->owner = s;
    s->sweep->is_first = true;
    read_thresholds(s->sweep);
    s->sweep->work.run = look;
    s->sweep->work.call.done = on_looked;
    list_init(&s->sweep->work.call.link);
    s->sweep->began = loop_now(s->loop);
    timer_start(s->loop, &s->sweep_timer, 0, on_start);
}

/* ---- deadlines of fresh mail -------------------------------------------------------------- */

static void on_note(struct call *call)
{
    struct note *note = container_of(call, struct note, call);
    struct scheduler *s = note->owner;
    struct sweep *sweep = s->sweep;
    uint64_t delay = until(note->deliver_by);

    if (sweep != NULL && note->is_old) {
        sweep->wants_all = true;
    } else if (sweep != NULL && !s->is_stopping) {
        if (note->deliver_by < sweep->noted)
            sweep->noted = note->deliver_by;
        if (!sweep->is_looking && loop_now(s->loop) + delay < sweep->wake)
            wake_in(sweep, delay);
    }
    free(note);
}

static void post_note(const struct schedule_set *set, const struct note *what)
{
    struct note *note = mem_zalloc(sizeof *note);

    *note = *what;
    list_init(&note->call.link);
    note->call.done = on_note;
    note->owner = set->members[0];
    loop_post(note->owner->loop, &note->call);
}

void sweep_note_deadline(const struct schedule_set *set, uint64_t deliver_by)
{
    post_note(set, &(struct note){.deliver_by = deliver_by});
}

void schedule_submit_old(const struct schedule_set *set, struct queue_message *message)
{
    schedule_submit(set, message);
    post_note(set, &(struct note){.is_old = true});
}
