/* A site's life: its connections, whose turn it is, and when it is left alone. */
#include "schedule/private.h"

#include <stdlib.h>

enum {
    CROWDED_MS = 100,   /* until the next look whether the process may connect again */
    LINGER_MS = 600000, /* what was learnt of a site is kept this long, */
    HOUR_MS = 3600000,  /* or until slow rates have filled up */
    DAY_MS = 86400000,
    COST = 65536, /* of a turn; a byte costs one more */
};

/* ---- the table ---------------------------------------------------------------------------- */

static struct site **find(struct scheduler *s, struct span key)
{
    struct site **at = &s->sites[span_hash(key) % TABLE_BUCKETS];

    while (*at != NULL && !span_equal((*at)->key, key))
        at = &(*at)->next;
    return at;
}

static void on_room(struct call *call)
{
    struct site *site = container_of(call, struct site, waiter.call);

    site->waiting = false;
    site_run(site);
}

static struct span first_host(const struct target *targets, unsigned count)
{
    return count > 0 ? span_cstr(targets[0].host) : SPAN("");
}

static struct site *create(struct destination *d, struct span key, size_t group_len,
                           const struct target *targets, unsigned count)
{
    struct scheduler *s = d->owner;
    struct site *site = mem_zalloc(sizeof *site);

    site->owner = s;
    arena_init(&site->arena);
    arena_init(&site->failure_arena);
    site->key = arena_dup(&site->arena, key);
    struct span text = arena_dup(&site->arena, d->next_hop_text);
    route_next_hop_parse(text, &site->next_hop);
    site->domain = site->next_hop.hosts[0].name;
    list_init(&site->idle);
    list_init(&site->near);
    list_init(&site->members);
    heap_init(&site->turns);
    list_init(&site->waiter.link);
    list_init(&site->waiter.call.link);
    site->waiter.loop = s->loop;
    site->waiter.call.done = on_room;
    shape_read(&site->shape, s->conf, first_host(targets, count), site->domain);
    site->budget = budget_get(s->set->budgets, site->key, &site->shape.limits);
    site->group = span_head(site->key, group_len);
    origins_read(site);
    *find(s, site->key) = site;
    return site;
}

static void forget(struct site *site)
{
    *find(site->owner, site->key) = site->next;
    timer_stop(site->owner->loop, &site->wake);
    if (site->waiting)
        budget_wait_cancel(site->budget, &site->waiter);
    targets_free(site->targets, site->target_count);
    origins_free(site);
    budget_unref(site->budget);
    heap_fini(&site->turns);
    arena_fini(&site->failure_arena);
    arena_fini(&site->arena);
    free(site);
}

void sites_forget(struct scheduler *s)
{
    for (size_t i = 0; i < TABLE_BUCKETS; i++)
        while (s->sites[i] != NULL)
            forget(s->sites[i]);
}

static bool is_needed(const struct site *site)
{
    return site->destinations > 0 || site->connections > 0 || site->under_way > 0 || site->waiting;
}

static uint64_t linger_ms(const struct site *site)
{
    const uint64_t *rates = site->shape.limits.rates;

    if (rates[BUDGET_DAY] || origins_are_bounded(site))
        return DAY_MS;
    return rates[BUDGET_HOUR] ? HOUR_MS : LINGER_MS;
}

/* Nobody needs it now; what is known of it still counts for a while. */
static void linger(struct site *site)
{
    if (site->destinations == 0 && site->waiting && budget_wait_cancel(site->budget, &site->waiter))
        site->waiting = false;
    if (!is_needed(site))
        timer_start(site->owner->loop, &site->wake, linger_ms(site), site_on_wake);
}

void site_on_wake(struct timer *timer)
{
    struct site *site = container_of(timer, struct site, wake);

    if (is_needed(site))
        site_run(site);
    else
        forget(site);
}

void sites_reshape(struct scheduler *s)
{
    for (size_t i = 0; i < TABLE_BUCKETS; i++) {
        for (struct site *site = s->sites[i]; site != NULL; site = site->next) {
            shape_read(&site->shape, s->conf, first_host(site->targets, site->target_count),
                       site->domain);
            budget_limit(site->budget, &site->shape.limits);
            origins_read(site);
        }
    }
}

/* ---- its destinations --------------------------------------------------------------------- */

/* What is known of a host whose address stays is kept. */
static void take_targets(struct site *site, struct target *targets, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        struct target *old = targets_find(site->targets, site->target_count, &targets[i].address);
        if (old == NULL)
            continue;
        targets[i].spent = old->spent;
        targets[i].connections = old->connections;
        targets[i].resume = old->resume;
        old->resume = NULL;
    }
    targets_free(site->targets, site->target_count);
    site->targets = targets;
    site->target_count = count;
}

void site_attach(struct destination *d, struct span key, size_t group_len, struct target *targets,
                 unsigned count)
{
    struct site *site = *find(d->owner, key);

    if (site == NULL)
        site = create(d, key, group_len, targets, count);
    take_targets(site, targets, count);
    if (d->site == site)
        return;
    if (d->site != NULL)
        site_detach(d);
    d->site = site;
    site->destinations++;
    budget_restore(site->budget, d->failures);
    d->failures = 0;
}

void site_detach(struct destination *d)
{
    struct site *site = d->site;

    site_withdraw(d);
    d->site = NULL;
    site->destinations--;
    linger(site);
}

void site_offer(struct destination *d)
{
    struct site *site = d->site;

    if (!heap_is_linked(&d->turn)) {
        /* Time in which it had nothing to send is not saved up. */
        if (d->spent < site->turn)
            d->spent = site->turn;
        heap_insert(&site->turns, &d->turn, d->spent);
        site->ready_count += d->ready.count;
    }
    site_run(site);
}

void site_withdraw(struct destination *d)
{
    if (d->site == NULL || !heap_is_linked(&d->turn))
        return;
    d->site->ready_count -= d->ready.count;
    heap_remove(&d->site->turns, &d->turn);
}

/* ---- running ------------------------------------------------------------------------------ */

/* For each connection one job may be on its way and one being recorded: what a kill can make be
 * sent twice is never more than that. */
bool site_has_turn(const struct site *site)
{
    return site->under_way < 2 * site->shape.limits.connections;
}

static uint64_t cost_of(const struct destination *d, const struct job *job)
{
    return (COST + job->message->size) / d->weight;
}

/* The next one of the destination whose turn it is. */
static struct job *take_next(struct site *site)
{
    struct destination *d = container_of(heap_top(&site->turns), struct destination, turn);
    struct job *job = line_take(&d->ready);

    site->turn = d->spent;
    d->spent += cost_of(d, job);
    site->ready_count--;
    site->under_way++;
    job->site = site;
    if (d->ready.count == 0)
        heap_remove(&site->turns, &d->turn);
    else
        heap_move(&site->turns, &d->turn, d->spent);
    return job;
}

static void refund(struct site *site, struct connection *c)
{
    budget_refund(site->budget);
    if (c->origin != NULL)
        budget_refund(c->origin);
}

static void give(struct site *site, struct connection *c)
{
    struct job *job = take_next(site);
    struct destination *d = job->destination;

    if (job_is_late(job)) {
        refund(site, c);
        job_give_up(job, NULL);
    } else if (hook_before(job)) {
        refund(site, c);
    } else {
        balance_charge(site, c);
        connection_use(c, job);
    }
    destination_refill(d);
}

/* `were_tried`: their jobs waited for a host that could not be reached. */
static void leave_all(struct site *site, uint64_t until, uint32_t failures, bool were_tried)
{
    static const struct status unreachable = {
        .code = 451, .enhanced = {4, 4, 1}, .text = {"None of its hosts could be reached", 34}};
    const struct status *why = site->failure.code != 0 ? &site->failure : &unreachable;
    struct heap_node *top;

    while ((top = heap_top(&site->turns)) != NULL) {
        struct destination *d = container_of(top, struct destination, turn);
        site_withdraw(d);
        if (were_tried)
            hook_unreached(d, why);
        destination_leave(d, until, failures, why);
    }
}

/* Nothing can be sent until then. */
static void hold(struct site *site, enum budget_answer why, uint64_t until)
{
    uint64_t now = loop_now(site->owner->loop);
    struct budget_state state;

    if (why == BUDGET_RATE) {
        timer_start(site->owner->loop, &site->wake, until > now ? until - now : 1, site_on_wake);
        return;
    }
    budget_state(site->budget, &state);
    leave_all(site, until, state.failures, false);
}

static void wait_for_room(struct site *site)
{
    /* With a connection of its own it comes here again anyway. */
    if (site->waiting || site->connections > 0)
        return;
    site->waiting = true;
    budget_wait(site->budget, &site->waiter);
}

static uint64_t delay_of(void *context, uint32_t failures)
{
    struct site *site = context;

    return scheduler_retry_delay(site->owner, &site->shape, failures);
}

static void log_back_off(const struct site *site, uint32_t failures, uint64_t until)
{
    struct log_line line;

    if (!log_begin(&line, LOG_WARN, "destination-backs-off"))
        return;
    log_span(&line, "destination", site->key);
    log_u64(&line, "failures", failures);
    log_u64(&line, "seconds", (until - loop_now(site->owner->loop) + 999) / 1000);
    log_span(&line, "by", site->failure.by);
    log_span(&line, "text", site->failure.text);
    log_end(&line);
}

static void back_off(struct site *site)
{
    uint64_t until;
    uint32_t failures =
        budget_back_off(site->budget, loop_now(site->owner->loop), delay_of, site, &until);

    for (unsigned i = 0; i < site->target_count; i++)
        balance_forgive(site, &site->targets[i]); /* the back-off stands for all of them */
    log_back_off(site, failures, until);
    leave_all(site, until, failures, true);
}

void site_lift(struct site *site)
{
    for (unsigned i = 0; i < site->target_count; i++)
        balance_forgive(site, &site->targets[i]);
    budget_lift(site->budget);
}

static bool has_rate(const struct site *site)
{
    for (unsigned i = 0; i < BUDGET_RATES; i++)
        if (site->shape.limits.rates[i] != 0)
            return true;
    return origins_are_bounded(site);
}

/* False where the process has as many connections as it may. */
static bool has_room(const struct site *site)
{
    const struct scheduler *s = site->owner;
    unsigned most = s->conf->connections_max;

    if (s->set->connections_most > 0 && s->set->connections_most < most)
        most = s->set->connections_most;
    return atomic_load(&s->counters.connections) < (most + s->set->count - 1) / s->set->count;
}

/* One more connection, where the budget has one. */
static enum budget_answer open_one(struct site *site, struct target *target, uint64_t *until_out)
{
    uint64_t now = loop_now(site->owner->loop);
    struct origin *origin;

    enum budget_answer answer = budget_look(site->budget, now, until_out);
    if (answer == BUDGET_YES)
        answer = origins_choose(site, target, &origin, until_out);
    if (answer == BUDGET_YES)
        answer = budget_connect(site->budget, now, until_out);
    if (answer == BUDGET_YES)
        connection_open(site, target, origin, NULL);
    return answer;
}

/* Hosts that no job waits for: those that failed are tried again, and with weights none is left
 * out because others have idle connections. */
static void open_aside(struct site *site)
{
    struct target *target = balance_due(site);
    uint64_t until;

    if (target == NULL)
        target = balance_missing(site);
    if (target != NULL && has_room(site))
        open_one(site, target, &until);
}

static const struct status no_address = {
    .code = 451,
    .enhanced = {4, 3, 5},
    .text = {"The source has no address of the family of any of its hosts", 59}};

static bool is_cut_off(const struct site *site)
{
    for (unsigned i = 0; i < site->target_count; i++)
        if (origins_serve(site, &site->targets[i]))
            return false;
    return true;
}

static void open_connections(struct site *site)
{
    uint64_t until;
    /* Where a rate holds, each connection waits for leave: one more is enough at a time. */
    unsigned most = has_rate(site) ? 1 : site->ready_count;

    while (site->opening - site->trying < most) {
        struct target *target = balance_choose(site);
        if (target == NULL) {
            if (is_cut_off(site))
                status_keep(&site->failure_arena, &site->failure, &no_address);
            if (site->connections == 0)
                back_off(site);
            return;
        }
        if (!has_room(site)) {
            timer_start(site->owner->loop, &site->wake, CROWDED_MS, site_on_wake);
            return;
        }
        enum budget_answer answer = open_one(site, target, &until);
        if (answer == BUDGET_FULL)
            wait_for_room(site);
        else if (answer != BUDGET_YES)
            hold(site, answer, until);
        if (answer != BUDGET_YES)
            return;
    }
}

/* An idle connection whose address may send one more; the others are of no use. */
static struct connection *take_idle(struct site *site)
{
    uint64_t now = loop_now(site->owner->loop), until;
    struct connection *c;

    while ((c = balance_idle(site)) != NULL) {
        if (c->origin == NULL || budget_spend(c->origin, now, &until) == BUDGET_YES)
            return c;
        connection_retire(c);
    }
    return NULL;
}

static struct connection *take_free(struct site *site)
{
    struct connection *c = take_idle(site);

    return c != NULL ? c : follow_choose(site);
}

static void serve(struct site *site)
{
    struct connection *c;
    uint64_t until;

    if (site->ready_count > 0 && site->target_count > 1)
        open_aside(site);
    while (site->ready_count > 0 && site_has_turn(site) && (c = take_free(site)) != NULL) {
        enum budget_answer answer = budget_spend(site->budget, loop_now(site->owner->loop), &until);
        if (answer != BUDGET_YES) {
            if (c->origin != NULL)
                budget_refund(c->origin);
            hold(site, answer, until);
            return;
        }
        give(site, c);
    }
    if (site->ready_count > 0 && site_has_turn(site))
        open_connections(site);
}

void site_run(struct site *site)
{
    struct scheduler *s = site->owner;

    if (site->running || s->is_stopping || queue_is_broken(s->queue))
        return;
    site->running = true;
    serve(site);
    site->running = false;
    linger(site);
}

/* ---- what comes of it --------------------------------------------------------------------- */

void site_job_over(struct job *job)
{
    struct site *site = job->site;

    if (site == NULL)
        return;
    job->site = NULL;
    site->under_way--;
    site_run(site);
}

void site_leave(struct site *site, struct destination *d, uint64_t ms, const struct status *why)
{
    struct budget_state state;
    uint64_t until;

    status_keep(&site->failure_arena, &site->failure, why);
    bool is_new = budget_leave(site->budget, loop_now(site->owner->loop), ms, &until);
    budget_state(site->budget, &state);
    if (is_new)
        log_back_off(site, state.failures, until);
    leave_all(site, until, state.failures, false);
    if (d != NULL && d->back_off_until != until)
        destination_leave(d, until, state.failures, why);
}

bool site_pass_over(struct site *site, const struct sockaddr_storage *address,
                    const struct status *why)
{
    struct target *target = targets_find(site->targets, site->target_count, address);
    bool has_other = false;

    for (unsigned i = 0; i < site->target_count; i++)
        has_other =
            has_other || (&site->targets[i] != target && balance_may_use(site, &site->targets[i]));
    if (has_other && target != NULL)
        balance_failed(site, target, why);
    return has_other;
}

/* The host was not reached, or serves nobody for now. While other connections are served it only
 * takes no more than these; otherwise the next host is tried, and behind the last one it waits. */
void site_failed(struct site *site, const struct sockaddr_storage *address,
                 const struct status *why)
{
    struct target *target = targets_find(site->targets, site->target_count, address);
    struct budget_state state;
    struct response response;

    response_read(site->owner, site->domain, why, &response);
    if (response.action == RULE_BACK_OFF) {
        site_leave(site, NULL, response.duration_ms, why);
        return;
    }
    if (target != NULL)
        balance_failed(site, target, why);
    status_keep(&site->failure_arena, &site->failure, why);
    if (site->target_count > 1 && balance_choose(site) != NULL)
        return;
    budget_state(site->budget, &state);
    if (state.connections <= site->opening) {
        back_off(site);
    } else if (target != NULL) {
        balance_forgive(site, target);
        budget_narrow(site->budget, loop_now(site->owner->loop), state.connections - site->opening);
    }
}
