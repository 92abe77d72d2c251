/* A destination's life: what it holds in memory, and when it waits for a time, or is gone. */
#include "schedule/private.h"

#include <stdlib.h>

enum {
    WAKE_MOST_MS = 3600000,
    FEED_LEAST = 2,      /* groups that each may hold whatever the others do */
    APPETITE_LEAST = 16, /* groups of a load */
    HUNGRY_MS = 2000,    /* a load that is used up sooner was too small, */
    SATED_MS = 30000,    /* and one that lasts longer too large */
};

static void on_wake(struct timer *timer)
{
    destination_run(container_of(timer, struct destination, wake));
}

void destination_wake(struct destination *d)
{
    timer_start(d->owner->loop, &d->wake, 0, on_wake);
}

uint64_t destination_due(const struct destination *d, const struct queue_due *stored, uint64_t now)
{
    uint64_t longest = d->owner->retry_longest;

    if (stored->is_future || stored->due == UINT64_MAX || stored->due <= now ||
        stored->due - now <= longest + longest / 4)
        return stored->due;
    return now;
}

void destination_note(struct destination *d, const struct queue_due *stored)
{
    uint64_t due = destination_due(d, stored, clock_steady_ms());

    if (due < d->store_due)
        d->store_due = due;
}

void destination_note_due(struct destination *d, uint64_t due)
{
    destination_note(d, &(struct queue_due){.due = due});
}

static void record_back_off(struct destination *d, uint64_t until, uint32_t failures);

static void forget(struct destination *d)
{
    if (d->recorded)
        record_back_off(d, 0, 0); /* its mail was taken away meanwhile */
    scheduler_forget_destination(d);
}

/* When (loop time) a suspension ends that holds for it; 0 = there is none. */
static uint64_t suspended_until(const struct destination *d)
{
    const struct scheduler *s = d->owner;

    if (s->suspensions == NULL)
        return 0;
    struct span next_hop =
        d->next_hop_text.len > 0 ? d->next_hop_text : route_destination_place(d->key);
    const struct queue_suspension *found = suspensions_find(s->suspensions, next_hop, d->site);
    uint64_t wall = clock_steady_ms();
    return found != NULL && found->until > wall ? loop_now(s->loop) + (found->until - wall) : 0;
}

/* Until when (loop time) it is not tried at all. */
static uint64_t closed_until(const struct destination *d)
{
    uint64_t suspended = suspended_until(d);

    return suspended > d->back_off_until ? suspended : d->back_off_until;
}

/* Sleeps until there may be something to do, or lets the destination go. */
static void wait_or_go(struct destination *d)
{
    struct scheduler *s = d->owner;
    uint64_t now = loop_now(s->loop), wall = clock_steady_ms(), delay = WAKE_MOST_MS;

    uint64_t closed = closed_until(d);

    if (closed > now && (d->back_off_until > now || d->store_due != UINT64_MAX)) {
        delay = closed - now;
    } else if (list_is_linked(&d->hungry)) {
        return; /* it is woken when there is room */
    } else if (d->store_due != UINT64_MAX) {
        uint64_t due_in = d->store_due > wall ? d->store_due - wall : 0;
        delay = due_in < delay ? due_in : delay;
    } else if (d->job_count == 0 && d->pending == 0) {
        forget(d);
        return;
    } else {
        return; /* whatever it has under way comes here again */
    }
    timer_start(s->loop, &d->wake, delay + 1, on_wake);
}

/* While it backs off, or is suspended, its mail waits in the store, not in memory. */
static void drop_ready(struct destination *d)
{
    struct job *job;

    site_withdraw(d);
    list_remove(&d->hungry);
    while ((job = line_take(&d->ready)) != NULL) {
        destination_note_due(d, job->group->due);
        job_free(job);
    }
}

/* ---- loading ------------------------------------------------------------------------------ */

static unsigned room_for(const struct destination *d)
{
    const struct scheduler *s = d->owner;
    unsigned most = s->conf->queue_jobs_max / s->set->count, used = s->job_count + s->loading;
    unsigned least = d->job_count < FEED_LEAST ? FEED_LEAST - d->job_count : 0;
    unsigned left = most > used ? most - used : 0;

    return left > least ? left : least;
}

static void choose_appetite(struct destination *d)
{
    uint64_t now = loop_now(d->owner->loop), lasted = now - d->loaded_at;

    if (d->appetite == 0 || lasted > SATED_MS)
        d->appetite = APPETITE_LEAST;
    else if (lasted < HUNGRY_MS && d->appetite < d->owner->conf->window_per_destination)
        d->appetite *= 2;
    if (d->appetite > d->owner->conf->window_per_destination)
        d->appetite = d->owner->conf->window_per_destination;
    d->loaded_at = now;
}

void destination_refill(struct destination *d)
{
    if (d->load != NULL || d->store_due > clock_steady_ms() ||
        (d->appetite > 0 && d->ready.count >= (d->appetite + 1) / 2))
        return;
    unsigned room = room_for(d);
    if (room == 0) {
        if (!list_is_linked(&d->hungry))
            list_append(&d->owner->hungry, &d->hungry);
        return;
    }
    choose_appetite(d);
    load_start(d, room);
}

/* One a time: the room that a job leaves. */
void destinations_feed(struct scheduler *s)
{
    if (list_is_empty(&s->hungry) || s->is_stopping)
        return;
    struct destination *d = container_of(s->hungry.next, struct destination, hungry);
    if (room_for(d) == 0)
        return;
    list_remove(&d->hungry);
    destination_wake(d);
}

void destination_run(struct destination *d)
{
    struct scheduler *s = d->owner;

    if (s->is_stopping || queue_is_broken(s->queue))
        return;
    if (closed_until(d) > loop_now(s->loop)) {
        drop_ready(d);
        wait_or_go(d);
        return;
    }
    d->back_off_until = 0;
    destination_refill(d);
    if (d->ready.count == 0)
        wait_or_go(d);
    else if (d->site == NULL || d->site_expires <= loop_now(s->loop))
        targets_resolve(d); /* runs it again */
    else
        site_offer(d);
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

static void record_back_off(struct destination *d, uint64_t until, uint32_t failures)
{
    struct record *record = mem_zalloc(sizeof *record);

    arena_init(&record->arena);
    record->owner = d->owner;
    record->update.op.home = d->owner->loop;
    record->update.op.call.done = on_recorded;
    record->update.destination = arena_dup(&record->arena, d->key);
    record->update.until = until;
    record->update.failures = failures;
    record->update.status = status_dup(&record->arena, &d->failure);
    d->recorded = until != 0;
    d->owner->working++;
    queue_destination_update(d->owner->queue, &record->update);
}

void destination_leave(struct destination *d, uint64_t until, uint32_t failures,
                       const struct status *why)
{
    uint64_t now = loop_now(d->owner->loop);

    status_keep(&d->failure_arena, &d->failure, why);
    d->back_off_until = until;
    record_back_off(d, clock_steady_ms() + (until > now ? until - now : 0), failures);
    drop_ready(d);
    wait_or_go(d);
}

void destination_back_off(struct destination *d, const struct status *why)
{
    struct scheduler *s = d->owner;
    struct log_line line;
    struct shape shape;

    if (d->back_off_until > loop_now(s->loop))
        return;
    shape_of(&shape, d);
    uint64_t delay = scheduler_retry_delay(s, &shape, ++d->failures);
    if (!d->is_probed && log_begin(&line, LOG_WARN, "destination-backs-off")) {
        log_span(&line, "destination", d->key);
        log_u64(&line, "failures", d->failures);
        log_u64(&line, "seconds", (delay + 999) / 1000);
        log_span(&line, "text", why->text);
        log_end(&line);
    }
    hook_unreached(d, why);
    destination_leave(d, loop_now(s->loop) + delay, d->failures, why);
}

void destination_succeeded(struct destination *d)
{
    if (d->recorded)
        record_back_off(d, 0, 0);
}

void destination_reconsider(struct destination *d)
{
    if (suspended_until(d) > loop_now(d->owner->loop))
        drop_ready(d);
    destination_wake(d);
}

void destination_lift_back_off(struct destination *d)
{
    d->back_off_until = 0;
    d->failures = 0;
    d->site_expires = 0; /* ask again where its hosts are */
    if (d->site != NULL)
        site_lift(d->site);
    if (d->recorded)
        record_back_off(d, 0, 0);
}

void destination_restore(struct destination *d, const struct queue_destination *stored)
{
    uint64_t wall = clock_steady_ms(), longest = d->owner->retry_longest;
    uint64_t now = clock_mono_ms(); /* the loop does not run yet: its time is old */

    if (stored->has_due)
        destination_note(
            d, &(struct queue_due){.due = stored->first_due, .is_future = stored->first_is_future});
    d->failures = stored->failures;
    d->recorded = stored->until != 0;
    status_keep(&d->failure_arena, &d->failure, &stored->status);
    /* A clock that was set back must not make it wait longer than it ever would. */
    if (stored->until > wall) {
        uint64_t left = stored->until - wall;
        if (left > longest + longest / 10)
            left = 0;
        d->back_off_until = left ? now + left : 0;
        if (left > 0 && lookup_has_failed(&stored->status))
            lookup_failed(d);
    }
    destination_wake(d);
}
