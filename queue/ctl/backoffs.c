#include "queue/ctl/backoffs.h"

#include "queue/ctl/output.h"
#include "queue/ctl/view.h"
#include "route/route.h"

#include <stdlib.h>

struct backoffs {
    struct arena arena;
    struct backoff *items; /* in the order of their keys */
    unsigned count;
    unsigned room;
    struct queue_suspension *suspensions;
    unsigned suspension_count;
    uint64_t now;
};

static struct span make_reason(struct backoffs *all, const struct queue_destination *destination)
{
    char status[VIEW_REASON_MAX];
    char until[OUTPUT_TIME_MAX];
    size_t len = view_format_status(&destination->status, status, sizeof status);

    output_time(destination->until, until);
    return arena_printf(&all->arena, "destination backs off until %s: %.*s (%u failure%s)", until,
                        (int)len, status, destination->failures,
                        destination->failures == 1 ? "" : "s");
}

static bool add(void *context, const struct queue_destination *destination)
{
    struct backoffs *all = context;

    if (destination->until <= all->now)
        return true;
    if (all->count == all->room) {
        all->room = all->room ? all->room * 2 : 16;
        all->items = mem_realloc(all->items, all->room * sizeof *all->items);
    }
    all->items[all->count++] = (struct backoff){
        .destination = arena_dup(&all->arena, destination->key),
        .until = destination->until,
        .reason = make_reason(all, destination),
    };
    return true;
}

static bool add_suspension(void *context, const struct queue_suspension *suspension)
{
    struct backoffs *all = context;

    if (suspension->until <= all->now)
        return true;
    all->suspensions =
        mem_realloc(all->suspensions, (all->suspension_count + 1) * sizeof *all->suspensions);
    all->suspensions[all->suspension_count++] = (struct queue_suspension){
        .pattern = arena_dup(&all->arena, suspension->pattern),
        .reason = arena_dup(&all->arena, suspension->reason),
        .since = suspension->since,
        .until = suspension->until,
    };
    return true;
}

static int compare_keys(struct span a, struct span b)
{
    size_t len = a.len < b.len ? a.len : b.len;
    int order = len ? memcmp(a.ptr, b.ptr, len) : 0;

    return order != 0 ? order : (a.len > b.len) - (a.len < b.len);
}

static int compare(const void *a, const void *b)
{
    const struct backoff *left = a;
    const struct backoff *right = b;

    return compare_keys(left->destination, right->destination);
}

struct err backoffs_load(struct queue *queue, uint64_t now, struct backoffs **out)
{
    struct backoffs *all = mem_zalloc(sizeof *all);

    *out = NULL;
    arena_init(&all->arena);
    all->now = now;
    struct err e = queue_destinations(queue, add, all);
    if (!err_is(e))
        e = queue_suspensions(queue, add_suspension, all);
    if (err_is(e)) {
        backoffs_free(all);
        return e;
    }
    if (all->count > 0)
        qsort(all->items, all->count, sizeof *all->items, compare);
    *out = all;
    return ERR_OK;
}

void backoffs_free(struct backoffs *backoffs)
{
    if (backoffs == NULL)
        return;
    free(backoffs->items);
    free(backoffs->suspensions);
    arena_fini(&backoffs->arena);
    free(backoffs);
}

const struct backoff *backoffs_find(const struct backoffs *backoffs, struct span destination)
{
    const struct backoff wanted = {.destination = destination};

    if (backoffs->count == 0)
        return NULL;
    return bsearch(&wanted, backoffs->items, backoffs->count, sizeof *backoffs->items, compare);
}

const struct queue_suspension *backoffs_suspension(const struct backoffs *backoffs,
                                                   const struct queue_group *group)
{
    const struct queue_suspension *found = NULL;

    for (unsigned i = 0; i < backoffs->suspension_count; i++) {
        const struct queue_suspension *item = &backoffs->suspensions[i];
        if ((found == NULL || item->until > found->until) &&
            route_next_hop_matches(group->next_hop, item->pattern))
            found = item;
    }
    return found;
}

unsigned backoffs_count(const struct backoffs *backoffs)
{
    return backoffs->count;
}
