#include "queue/ctl/select.h"

#include "base/clock.h"
#include "queue/ctl/backoffs.h"

struct walk {
    const struct filter *filter;
    struct backoffs *backoffs;
    uint64_t now;
    select_visit *visit;
    void *context;
};

static bool visit_message(void *context, struct queue_message *message)
{
    struct walk *walk = context;
    struct selected selected = {.message = message, .now = walk->now, .is_first = true};
    uint64_t next;

    if (!filter_message(walk->filter, message, walk->now))
        return true;
    for (unsigned i = 0; i < message->group_count; i++) {
        selected.group = &message->groups[i];
        selected.state = view_state_of(walk->backoffs, selected.group, walk->now, &next);
        if (filter_group(walk->filter, selected.group, selected.state, walk->now) == NULL)
            continue;
        if (!walk->visit(walk->context, &selected))
            return false;
        selected.is_first = false;
    }
    return true;
}

/* Ids are in the order of time, so that those that are named bound the walk. */
static uint64_t first_id(const struct filter *filter)
{
    uint64_t first = filter->id_count > 0 ? UINT64_MAX : 0;

    for (unsigned i = 0; i < filter->id_count; i++)
        if (filter->ids[i] < first)
            first = filter->ids[i];
    return first;
}

struct err select_groups(struct queue *queue, const struct filter *filter, select_visit *visit,
                         void *context)
{
    struct walk walk = {
        .filter = filter, .now = clock_wall_ms(), .visit = visit, .context = context};
    struct err e = backoffs_load(queue, walk.now, &walk.backoffs);

    if (!err_is(e))
        e = queue_scan(queue, first_id(filter), visit_message, &walk);
    backoffs_free(walk.backoffs);
    return e;
}
