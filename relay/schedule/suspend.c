/*
 * Destinations that an operator has suspended. The store has the list; the schedulers share a copy
 * of it, which is made anew after each change and handed to one after the other.
 */
#include "schedule/private.h"

#include "conf/pattern.h"

#include <stdlib.h>

static struct suspensions *suspensions_ref(struct suspensions *all)
{
    if (all != NULL)
        atomic_fetch_add(&all->references, 1);
    return all;
}

void suspensions_unref(struct suspensions *all)
{
    if (all == NULL || atomic_fetch_sub(&all->references, 1) != 1)
        return;
    free(all->items);
    arena_fini(&all->arena);
    free(all);
}

static bool names_host(const struct site *site, struct span pattern)
{
    return site != NULL && site->target_count > 0 &&
           conf_pattern_matches(pattern, span_cstr(site->targets[0].host));
}

const struct queue_suspension *suspensions_find(const struct suspensions *all, struct span next_hop,
                                                const struct site *site)
{
    const struct queue_suspension *found = NULL;
    uint64_t now = clock_steady_ms();

    for (unsigned i = 0; all != NULL && i < all->count; i++) {
        const struct queue_suspension *item = &all->items[i];
        if (item->until > now && (found == NULL || item->until > found->until) &&
            (route_next_hop_matches(next_hop, item->pattern) || names_host(site, item->pattern)))
            found = item;
    }
    return found;
}

/* ---- the list ----------------------------------------------------------------------------- */

static bool add(void *context, const struct queue_suspension *suspension)
{
    struct suspensions *all = context;

    if (suspension->until <= clock_steady_ms())
        return true;
    all->items = mem_realloc(all->items, (all->count + 1) * sizeof *all->items);
    all->items[all->count++] = (struct queue_suspension){
        .pattern = arena_dup(&all->arena, suspension->pattern),
        .reason = arena_dup(&all->arena, suspension->reason),
        .since = suspension->since,
        .until = suspension->until,
    };
    return true;
}

/* NULL where there are none. */
static struct err read_list(struct queue *queue, struct suspensions **out)
{
    struct suspensions *all = mem_zalloc(sizeof *all);

    *out = NULL;
    atomic_init(&all->references, 1);
    arena_init(&all->arena);
    struct err e = queue_suspensions(queue, add, all);
    if (err_is(e) || all->count == 0)
        suspensions_unref(all);
    else
        *out = all;
    return e;
}

struct err suspensions_restore(const struct schedule_set *set, struct queue *queue)
{
    struct suspensions *all;
    struct err e = read_list(queue, &all);

    for (unsigned i = 0; i < set->count; i++)
        set->members[i]->suspensions = suspensions_ref(all);
    suspensions_unref(all);
    return e;
}

/* ---- a change ----------------------------------------------------------------------------- */

struct suspend_run {
    struct schedule_suspend *suspend;
    const struct schedule_set *set;
    struct queue *queue;
    struct work work; /* reading the list, on the pool */
    struct suspensions *list;
    struct call call; /* from loop to loop */
    unsigned visited;
};

static void finish(struct suspend_run *run)
{
    struct schedule_suspend *suspend = run->suspend;

    suspensions_unref(run->list);
    free(run);
    suspend->call.done(&suspend->call);
}

static void on_all_visited(struct call *call)
{
    finish(container_of(call, struct suspend_run, call));
}

static void take_list(struct scheduler *s, struct suspensions *list)
{
    suspensions_unref(s->suspensions);
    s->suspensions = suspensions_ref(list);
    if (s->is_stopping)
        return;
    for (size_t i = 0; i < TABLE_BUCKETS; i++)
        for (struct destination *d = s->destinations[i]; d != NULL; d = d->next)
            destination_reconsider(d);
}

static void visit_next(struct suspend_run *run);

static void on_visit(struct call *call)
{
    struct suspend_run *run = container_of(call, struct suspend_run, call);

    take_list(run->set->members[run->visited++], run->list);
    visit_next(run);
}

static void visit_next(struct suspend_run *run)
{
    bool is_done = run->visited == run->set->count;

    run->call.done = is_done ? on_all_visited : on_visit;
    loop_post(is_done ? run->suspend->home : run->set->members[run->visited]->loop, &run->call);
}

static void read_work(struct work *work)
{
    struct suspend_run *run = container_of(work, struct suspend_run, work);

    run->suspend->result = read_list(run->queue, &run->list);
}

static void on_read(struct call *call)
{
    struct suspend_run *run = container_of(call, struct suspend_run, work.call);

    if (err_is(run->suspend->result))
        finish(run);
    else
        visit_next(run);
}

static void log_change(const struct queue_suspension *suspension)
{
    bool ends = suspension->until == 0;
    struct log_line line;

    if (!log_begin(&line, LOG_WARN, ends ? "destination-resumed" : "destination-suspended"))
        return;
    log_span(&line, "pattern", suspension->pattern);
    if (!ends) {
        log_u64(&line, "seconds", (suspension->until - suspension->since + 999) / 1000);
        log_span(&line, "text", suspension->reason);
    }
    log_end(&line);
}

static void on_recorded(struct call *call)
{
    struct queue_suspend *change = container_of(call, struct queue_suspend, op.call);
    struct schedule_suspend *suspend = container_of(change, struct schedule_suspend, change);
    struct suspend_run *run = suspend->run;

    suspend->result = change->op.result;
    if (err_is(suspend->result)) {
        finish(run);
        return;
    }
    log_change(&change->suspension);
    loop_work(suspend->home, &run->work);
}

void schedule_suspend(const struct schedule_set *set, struct queue *queue,
                      struct schedule_suspend *suspend)
{
    struct suspend_run *run = mem_zalloc(sizeof *run);

    run->suspend = suspend;
    run->set = set;
    run->queue = queue;
    run->work.run = read_work;
    run->work.call.done = on_read;
    list_init(&run->work.call.link);
    list_init(&run->call.link);
    suspend->run = run;
    suspend->change.op = (struct kv_op){.home = suspend->home, .call.done = on_recorded};
    list_init(&suspend->change.op.call.link);
    queue_suspend(queue, &suspend->change);
}
