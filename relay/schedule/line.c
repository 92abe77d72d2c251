/*
 * A destination's jobs in the order in which they are to be sent: by priority (RFC 6710), and
 * within one first come, first served, but that small messages pass bulk ones, for every fourth
 * turn that bulk gets all the same.
 */
#include "schedule/private.h"

enum { PASSED_MOST = 3 };

void line_init(struct line *line)
{
    *line = (struct line){0};
    list_init(&line->small);
    list_init(&line->bulk);
}

static int priority_of(const struct list *node)
{
    return container_of(node, struct job, line)->message->priority;
}

static struct list *list_of(struct line *line, const struct job *job)
{
    return job->message->size > job->owner->conf->bulk_size ? &line->bulk : &line->small;
}

/* From the end: nearly all are of one priority. */
void line_append(struct line *line, struct job *job)
{
    struct list *all = list_of(line, job), *at = all;

    while (at->prev != all && priority_of(at->prev) < job->message->priority)
        at = at->prev;
    list_insert_before(at, &job->line);
    line->count++;
}

void line_prepend(struct line *line, struct job *job)
{
    struct list *all = list_of(line, job), *at = all->next;

    while (at != all && priority_of(at) > job->message->priority)
        at = at->next;
    list_insert_before(at, &job->line);
    line->count++;
}

void line_remove(struct line *line, struct job *job)
{
    list_remove(&job->line);
    line->count--;
}

static struct list *choose(struct line *line)
{
    if (list_is_empty(&line->bulk))
        return &line->small;
    if (list_is_empty(&line->small))
        return &line->bulk;
    int small = priority_of(line->small.next), bulk = priority_of(line->bulk.next);
    if (small != bulk)
        return small > bulk ? &line->small : &line->bulk;
    return line->passed < PASSED_MOST ? &line->small : &line->bulk;
}

struct job *line_take(struct line *line)
{
    struct list *from = choose(line);
    struct list *node = list_pop(from);

    if (node == NULL)
        return NULL;
    line->passed = from == &line->small && !list_is_empty(&line->bulk) ? line->passed + 1 : 0;
    line->count--;
    return container_of(node, struct job, line);
}
