/* Owners, tables, and how groups reach them. */
#include "schedule/private.h"

#include <stdlib.h>

struct scheduler *schedule_owner(const struct schedule_set *set, struct span key)
{
    /* All tenants of a next hop have one owner: they share its connections. */
    uint64_t hash = span_hash(route_destination_place(key));

    return set->members[((hash ^ (hash >> 32)) >> 12) % set->count];
}

struct scheduler *schedule_create(const struct schedule_options *options)
{
    struct scheduler *s = mem_zalloc(sizeof *s);

    s->loop = options->loop;
    s->queue = options->queue;
    s->resolver = options->resolver;
    s->tls = options->tls;
    s->set = options->set;
    s->rules = options->rules;
    s->plugins = options->plugins;
    s->builtin = rules_builtin();
    s->random = options->seed | 1;
    list_init(&s->hungry);
    list_init(&s->hooks);
    list_init(&s->unfound);
    return s;
}

void schedule_configure(struct scheduler *s, struct conf *conf)
{
    conf_unref(s->conf);
    s->conf = conf_ref(conf);
    s->retry_longest = conf->retry_max;
    for (unsigned i = 0; i < conf->destination_count; i++)
        if (conf->destinations[i].retry_max > s->retry_longest)
            s->retry_longest = conf->destinations[i].retry_max;
    sites_reshape(s);
    for (size_t i = 0; i < TABLE_BUCKETS; i++)
        for (struct destination *d = s->destinations[i]; d != NULL; d = d->next) {
            d->site_expires = 0; /* its site may be another one now */
            d->weight = conf_tenant_weight(conf, d->tenant);
        }
}

uint64_t scheduler_random(struct scheduler *s, uint64_t below)
{
    s->random ^= s->random << 13;
    s->random ^= s->random >> 7;
    s->random ^= s->random << 17;
    return below ? s->random % below : 0;
}

uint64_t scheduler_retry_delay(struct scheduler *s, const struct shape *shape, uint32_t n)
{
    uint64_t delay = shape->retry_first;

    for (uint32_t i = 1; i < n && delay < shape->retry_max; i++)
        delay *= 2;
    if (delay > shape->retry_max)
        delay = shape->retry_max;
    return delay + scheduler_random(s, delay / 10 + 1);
}

uint64_t scheduler_wall(const struct scheduler *s, uint64_t at)
{
    uint64_t now = loop_now(s->loop), wall = clock_steady_ms();

    return at > now ? wall + (at - now) : wall - (now - at);
}

/* ---- tables ------------------------------------------------------------------------------- */

struct destination *scheduler_find_destination(const struct scheduler *s, struct span key)
{
    struct destination *d = s->destinations[span_hash(key) % TABLE_BUCKETS];

    while (d != NULL && !span_equal(d->key, key))
        d = d->next;
    return d;
}

struct destination *scheduler_destination(struct scheduler *s, struct span key)
{
    struct destination **at = &s->destinations[span_hash(key) % TABLE_BUCKETS];
    struct destination *d = scheduler_find_destination(s, key);

    if (d != NULL)
        return d;
    d = mem_zalloc(sizeof *d);
    d->owner = s;
    arena_init(&d->arena);
    arena_init(&d->failure_arena);
    d->key = arena_dup(&d->arena, key);
    line_init(&d->ready);
    list_init(&d->hungry);
    list_init(&d->unfound);
    d->weight = 1;
    d->store_due = UINT64_MAX;
    d->next = *at;
    *at = d;
    bump(&s->counters.destinations, 1);
    return d;
}

void scheduler_forget_destination(struct destination *d)
{
    struct scheduler *s = d->owner;
    struct destination **at = &s->destinations[span_hash(d->key) % TABLE_BUCKETS];

    while (*at != d)
        at = &(*at)->next;
    *at = d->next;
    timer_stop(s->loop, &d->wake);
    list_remove(&d->hungry);
    list_remove(&d->unfound);
    if (d->site != NULL)
        site_detach(d);
    targets_free(d->found, d->found_count);
    arena_fini(&d->failure_arena);
    arena_fini(&d->arena);
    free(d);
    bump(&s->counters.destinations, -1);
}

static size_t job_bucket(uint64_t id, uint32_t group)
{
    return ((id * 0x9e3779b97f4a7c15u) ^ group) >> 20 & (TABLE_BUCKETS - 1);
}

struct job *scheduler_find_job(struct scheduler *s, uint64_t id, uint32_t group)
{
    struct job *job = s->jobs[job_bucket(id, group)];

    while (job != NULL && (job->message->id != id || job->group->number != group))
        job = job->next;
    return job;
}

/* ---- jobs come and go --------------------------------------------------------------------- */

struct job *job_create(struct scheduler *owner, struct queue_message *message,
                       struct queue_group *group)
{
    struct job *job = mem_zalloc(sizeof *job);

    list_init(&job->call.link);
    list_init(&job->line);
    list_init(&job->waiting);
    arena_init(&job->arena);
    job->owner = owner;
    job->message = queue_message_ref(message);
    job->group = group;
    return job;
}

void job_enlist(struct job *job, struct destination *d)
{
    struct scheduler *s = job->owner;
    struct job **bucket = &s->jobs[job_bucket(job->message->id, job->group->number)];

    if (d->next_hop_text.len == 0) {
        d->next_hop_text = arena_dup(&d->arena, job->group->next_hop);
        d->tenant = arena_dup(&d->arena, job->message->tenant);
        d->weight = conf_tenant_weight(s->conf, d->tenant);
    }
    job->destination = d;
    job->next = *bucket;
    *bucket = job;
    d->job_count++;
    atomic_fetch_add(&s->set->body_bytes, buf_len(&job->message->body));
    bump(&s->counters.jobs, 1);
    s->job_count++;
    job->state = JOB_READY;
    line_append(&d->ready, job);
    if (heap_is_linked(&d->turn))
        d->site->ready_count++;
}

void job_unline(struct job *job)
{
    struct destination *d = job->destination;

    line_remove(&d->ready, job);
    if (!heap_is_linked(&d->turn))
        return;
    d->site->ready_count--;
    if (d->ready.count == 0)
        site_withdraw(d);
}

void job_free(struct job *job)
{
    struct scheduler *s = job->owner;
    struct destination *d = job->destination;

    if (d != NULL) {
        struct job **at = &s->jobs[job_bucket(job->message->id, job->group->number)];
        while (*at != job)
            at = &(*at)->next;
        *at = job->next;
        if (list_is_linked(&job->line))
            job_unline(job);
        d->job_count--;
        s->job_count--;
        if (d->load != NULL)
            load_forget(d->load, job->message->id, job->group->number);
        atomic_fetch_sub(&s->set->body_bytes, buf_len(&job->message->body));
        bump(&s->counters.jobs, -1);
    }
    queue_message_unref(job->message);
    arena_fini(&job->arena);
    free(job->sent);
    free(job->statuses);
    free(job);
    destinations_feed(s);
}

struct farewell {
    struct call call;
    struct job *job;
    uint64_t due;
    unsigned visited;
};

static void depart(struct job *job, uint64_t due)
{
    struct destination *d = job->destination;

    if (due != UINT64_MAX)
        destination_note_due(d, due);
    site_job_over(job);
    job_free(job);
    destination_run(d);
}

static void on_all_visited(struct call *call)
{
    struct farewell *farewell = container_of(call, struct farewell, call);
    struct scheduler *s = farewell->job->owner;

    s->working--;
    depart(farewell->job, farewell->due);
    free(farewell);
    scheduler_check_stopped(s);
}

/* On one worker's loop after the other. */
static void on_visit(struct call *call)
{
    struct farewell *farewell = container_of(call, struct farewell, call);
    struct scheduler *owner = farewell->job->owner;
    const struct schedule_set *set = owner->set;

    if (farewell->visited == set->count) {
        call->done = on_all_visited;
        loop_post(owner->loop, call);
    } else {
        loop_post(set->members[farewell->visited++]->loop, call);
    }
}

/* A load may see a fresh group before its arrival comes: the commit is read as soon as it is made,
 * and told to the worker that waits for it a little later. An arrival that found nothing in memory
 * would be sent again. What tells the settling comes behind what told the commit, so a call that
 * passes through all loops comes back behind the arrival. */
void job_leave(struct job *job, uint64_t due)
{
    if (!job->fresh) {
        depart(job, due);
        return;
    }
    struct farewell *farewell = mem_zalloc(sizeof *farewell);
    farewell->job = job;
    farewell->due = due;
    list_init(&farewell->call.link);
    farewell->call.done = on_visit;
    job->owner->working++;
    on_visit(&farewell->call);
}

/* A fresh group stays in memory if it may be sent now, and its destination has room and is not
 * backing off; otherwise it is found again in the store. */
static void on_arrival(struct call *call)
{
    struct job *job = container_of(call, struct job, call);
    struct scheduler *s = job->owner;
    bool is_future = job->group->state == QUEUE_GROUP_FUTURE;

    if (scheduler_find_job(s, job->message->id, job->group->number) != NULL) {
        job_free(job); /* a load was faster */
        return;
    }
    struct destination *d = scheduler_destination(s, job->group->destination);
    bool room = d->job_count + d->loading < s->conf->window_per_destination &&
                s->job_count < s->conf->queue_jobs_max / s->set->count &&
                atomic_load(&s->set->body_bytes) < s->conf->queue_memory_max;
    bool in_turn = d->store_due == UINT64_MAX || d->store_due > clock_steady_ms();

    if (room && in_turn && !is_future && d->back_off_until == 0 && !s->is_stopping) {
        job_enlist(job, d);
    } else {
        destination_note(d, &(struct queue_due){.due = job->group->due, .is_future = is_future});
        job_free(job);
    }
    destination_run(d);
}

void schedule_submit(const struct schedule_set *set, struct queue_message *message)
{
    if (message->by != ESMTP_BY_NONE)
        sweep_note_deadline(set, message->deliver_by);
    for (unsigned i = 0; i < message->group_count; i++) {
        struct queue_group *group = &message->groups[i];
        if (group->state == QUEUE_GROUP_HELD)
            continue;
        struct scheduler *owner = schedule_owner(set, group->destination);
        struct job *job = job_create(owner, message, group);
        job->call.done = on_arrival;
        loop_post(owner->loop, &job->call);
    }
}

/* ---- start and stop ----------------------------------------------------------------------- */

static bool restore_one(void *context, const struct queue_destination *stored)
{
    const struct schedule_set *set = context;
    struct scheduler *owner = schedule_owner(set, stored->key);

    destination_restore(scheduler_destination(owner, stored->key), stored);
    return true;
}

struct err schedule_restore(const struct schedule_set *set, struct queue *queue)
{
    struct err e = suspensions_restore(set, queue);

    return err_is(e) ? e : queue_destinations(queue, restore_one, (void *)(uintptr_t)set);
}

void scheduler_check_stopped(struct scheduler *s)
{
    if (s->stopped == NULL || s->settling > 0 || s->working > 0 ||
        atomic_load(&s->counters.connections) > 0)
        return;
    struct call *stopped = s->stopped;
    s->stopped = NULL;
    timer_stop(s->loop, &s->stop_timer);
    loop_defer(s->loop, stopped);
}

static void stop_connections(struct scheduler *s)
{
    for (size_t i = 0; i < TABLE_BUCKETS; i++)
        for (struct site *site = s->sites[i]; site != NULL; site = site->next)
            connections_stop(site);
}

static void on_stop_timer(struct timer *timer)
{
    stop_connections(container_of(timer, struct scheduler, stop_timer));
}

void schedule_stop(struct scheduler *s, struct call *stopped)
{
    enum { QUIT_MS = 1000 };

    s->is_stopping = true;
    s->stopped = stopped;
    timer_stop(s->loop, &s->sweep_timer);
    timer_stop(s->loop, &s->probe_timer);
    stop_connections(s);
    hooks_cancel(s);
    timer_start(s->loop, &s->stop_timer, QUIT_MS, on_stop_timer);
    scheduler_check_stopped(s);
}

void schedule_free(struct scheduler *s)
{
    if (s == NULL)
        return;
    for (size_t i = 0; i < TABLE_BUCKETS; i++)
        while (s->jobs[i] != NULL)
            job_free(s->jobs[i]);
    for (size_t i = 0; i < TABLE_BUCKETS; i++)
        while (s->destinations[i] != NULL)
            scheduler_forget_destination(s->destinations[i]);
    sites_forget(s);
    for (struct quarantined *q = s->quarantine, *next; q != NULL; q = next) {
        next = q->next;
        free(q);
    }
    sweep_free(s);
    rules_unref(s->builtin);
    suspensions_unref(s->suspensions);
    conf_unref(s->conf);
    free(s);
}

const struct schedule_counters *schedule_counters(const struct scheduler *s)
{
    return &s->counters;
}
