/* A destination's life: ready, waiting for a time, backing off, or gone. */
#include "schedule/private.h"

#include <stdlib.h>

enum { WAKE_MOST_MS = 3600000 };

static void on_wake(struct timer *timer)
{
    destination_run(container_of(timer, struct destination, wake));
}

uint64_t destination_due(const struct scheduler *s, const struct queue_due *stored, uint64_t now)
{
    if (stored->is_future || stored->due == UINT64_MAX || stored->due <= now ||
        stored->due - now <= s->conf->retry_max + s->conf->retry_max / 4)
        return stored->due;
    return now;
}

void destination_note(struct destination *d, const struct queue_due *stored)
{
    uint64_t due = destination_due(d->owner, stored, clock_steady_ms());

    if (due < d->store_due)
        d->store_due = due;
}

void destination_note_due(struct destination *d, uint64_t due)
{
    destination_note(d, &(struct queue_due){.due = due});
}

static void record_back_off(struct destination *d, uint64_t until);

/* Sleeps until there may be something to do, or lets the destination go. */
static void wait_or_go(struct destination *d)
{
    struct scheduler *s = d->owner;
    uint64_t now = loop_now(s->loop), wall = clock_steady_ms(), delay = WAKE_MOST_MS;

    if (d->back_off_until > now) {
        delay = d->back_off_until - now;
    } else if (d->store_due != UINT64_MAX) {
        uint64_t due_in = d->store_due > wall ? d->store_due - wall : 0;
        delay = due_in < delay ? due_in : delay;
    } else if (d->job_count == 0 && d->connections == 0 && d->pending == 0) {
        if (d->recorded)
            record_back_off(d, 0); /* its mail was taken away meanwhile */
        scheduler_forget_destination(d);
        return;
    } else {
        return; /* whatever it has under way comes here again */
    }
    timer_start(s->loop, &d->wake, delay + 1, on_wake);
}

/* While it backs off its mail waits in the store, not in memory. */
static void drop_ready(struct destination *d)
{
    while (!list_is_empty(&d->ready)) {
        struct job *job = container_of(d->ready.next, struct job, line);
        destination_note_due(d, job->group->due);
        job_free(job);
    }
}

static struct job *take_job(struct destination *d)
{
    struct job *job = container_of(list_pop(&d->ready), struct job, line);

    d->ready_count--;
    return job;
}

/* For each connection one job may be on its way and one being recorded: what a kill can make be
 * sent twice is never more than that. */
static bool has_turn(const struct destination *d)
{
    return d->job_count - d->ready_count < 2 * d->owner->conf->connections_per_destination;
}

static void use_idle_connections(struct destination *d)
{
    while (!list_is_empty(&d->ready) && !list_is_empty(&d->idle) && has_turn(d)) {
        struct job *job = take_job(d);
        if (job_is_late(job)) {
            job_give_up(job, NULL);
            continue;
        }
        struct connection *c = container_of(list_pop(&d->idle), struct connection, link);
        connection_use(c, job);
    }
}

static const struct status unreachable = {
    .code = 451, .enhanced = {4, 4, 1}, .text = {"None of its hosts could be reached", 34}};

static void open_connections(struct destination *d)
{
    unsigned most = d->owner->conf->connections_per_destination;

    if (d->concurrency < most)
        most = d->concurrency;
    while (d->connections < most && d->opening < d->ready_count) {
        struct target *target = targets_choose(d);
        if (target == NULL) {
            if (d->connections == 0)
                destination_back_off(d, d->failure.code != 0 ? &d->failure : &unreachable);
            return;
        }
        connection_open(d, target, NULL);
    }
}

static bool wants_more(const struct destination *d)
{
    return d->load == NULL && d->store_due <= clock_steady_ms() &&
           d->ready_count < (d->owner->conf->window_per_destination + 1) / 2;
}

void destination_run(struct destination *d)
{
    struct scheduler *s = d->owner;

    if (s->is_stopping || queue_is_broken(s->queue))
        return;
    if (d->back_off_until > loop_now(s->loop)) {
        drop_ready(d);
        wait_or_go(d);
        return;
    }
    d->back_off_until = 0;
    if (wants_more(d))
        load_start(d);
    use_idle_connections(d);
    if (list_is_empty(&d->ready)) {
        wait_or_go(d);
        return;
    }
    if (d->resolving || !has_turn(d))
        return;
    if (!targets_are_fresh(d)) {
        targets_resolve(d); /* runs it again */
        return;
    }
    open_connections(d);
    if (d->back_off_until != 0) {
        drop_ready(d);
        wait_or_go(d);
    }
}

/* ---- back-off ----------------------------------------------------------------------------- */

struct record {
    struct queue_destination_update update;
    struct scheduler *owner;
    struct arena arena;
};

static void on_recorded(struct call *call)
{
    struct record *record = container_of(call, struct record, update.op.call);
    struct scheduler *s = record->owner;

    /* A record that could not be written only makes a listing say less. */
    arena_fini(&record->arena);
    free(record);
    s->working--;
    scheduler_check_stopped(s);
}

static void record_back_off(struct destination *d, uint64_t until)
{
    struct record *record = mem_zalloc(sizeof *record);

    arena_init(&record->arena);
    record->owner = d->owner;
    record->update.op.home = d->owner->loop;
    record->update.op.call.done = on_recorded;
    record->update.destination = arena_dup(&record->arena, d->key);
    record->update.until = until;
    record->update.failures = d->failures;
    record->update.status = status_dup(&record->arena, &d->failure);
    d->recorded = until != 0;
    d->owner->working++;
    queue_destination_update(d->owner->queue, &record->update);
}

static void keep_failure(struct destination *d, const struct status *why)
{
    struct arena arena;

    arena_init(&arena);
    struct status copy = status_dup(&arena, why); /* `why` may lie in the arena that goes */
    arena_fini(&d->failure_arena);
    d->failure_arena = arena;
    d->failure = copy;
}

void destination_back_off(struct destination *d, const struct status *why)
{
    struct scheduler *s = d->owner;
    struct log_line line;

    if (d->back_off_until > loop_now(s->loop))
        return;
    keep_failure(d, why);
    d->failures++;
    d->concurrency = 1;
    uint64_t delay = scheduler_retry_delay(s, d->failures);
    d->back_off_until = loop_now(s->loop) + delay;
    for (unsigned i = 0; i < d->target_count; i++)
        d->targets[i].bad_until = 0; /* the back-off stands for all of them */
    if (log_begin(&line, LOG_WARN, "destination-backs-off")) {
        log_span(&line, "destination", d->key);
        log_u64(&line, "failures", d->failures);
        log_u64(&line, "seconds", (delay + 999) / 1000);
        log_span(&line, "by", d->failure.by);
        log_span(&line, "text", d->failure.text);
        log_end(&line);
    }
    record_back_off(d, clock_steady_ms() + delay);
}

void destination_succeeded(struct destination *d)
{
    if (d->concurrency < d->owner->conf->connections_per_destination &&
        d->full_until <= loop_now(d->owner->loop))
        d->concurrency++;
    d->failures = 0;
    if (d->recorded)
        record_back_off(d, 0);
}

void destination_lift_back_off(struct destination *d)
{
    d->back_off_until = 0;
    d->failures = 0;
    d->targets_expire = 0; /* ask again where its hosts are */
    if (d->recorded)
        record_back_off(d, 0);
}

void destination_restore(struct destination *d, const struct queue_destination *stored)
{
    uint64_t wall = clock_steady_ms();
    uint64_t now = clock_mono_ms(); /* the loop does not run yet: its time is old */

    if (stored->has_due)
        destination_note(
            d, &(struct queue_due){.due = stored->first_due, .is_future = stored->first_is_future});
    d->failures = stored->failures;
    d->recorded = stored->until != 0;
    keep_failure(d, &stored->status);
    /* A clock that was set back must not make it wait longer than it ever would. */
    if (stored->until > wall) {
        uint64_t left = stored->until - wall;
        if (left > d->owner->conf->retry_max + d->owner->conf->retry_max / 10)
            left = 0;
        d->back_off_until = left ? now + left : 0;
    }
    timer_start(d->owner->loop, &d->wake, 0, on_wake);
}
