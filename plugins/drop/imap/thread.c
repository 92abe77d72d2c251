/*
 * thread: what both algorithms share, and ORDEREDSUBJECT (RFC 5256 3).
 */
#include "plugins/drop/imap/thread_private.h"

#include "base/clock.h"
#include "base/hash.h"
#include "base/memory.h"

#include <stdlib.h>

struct threader *threader_create(enum imap_thread_algorithm algorithm)
{
    struct threader *threader = mem_zalloc(sizeof(*threader));

    threader->algorithm = algorithm;
    threader->seed = clock_mono_ns() ^ (uint64_t)(uintptr_t)threader;
    return threader;
}

void threader_free(struct threader *threader)
{
    if (threader == NULL)
        return;
    forest_fini(&threader->forest);
    free(threader->ids.slots);
    free(threader->nodes);
    free(threader);
}

struct thread_name thread_name_of(const struct threader *threader, struct span text)
{
    return (struct thread_name){hash64(text, threader->seed), hash64(text, ~threader->seed)};
}

bool thread_is_same(struct thread_name a, struct thread_name b)
{
    return a.a == b.a && a.b == b.b;
}

uint32_t thread_add_node(struct threader *threader)
{
    if (threader->count + 1 >= threader->cap) {
        threader->cap = threader->cap > 0 ? threader->cap * 2 : 256;
        threader->nodes = mem_realloc(threader->nodes, threader->cap * sizeof(*threader->nodes));
    }
    threader->nodes[++threader->count] = (struct thread_node){.index = UINT32_MAX};
    return threader->count;
}

/* ---- names -------------------------------------------------------------------------------- */

static struct thread_name table_name(const struct threader *threader, enum thread_key key,
                                     uint32_t node)
{
    return key == THREAD_BY_ID ? threader->nodes[node].id : threader->nodes[node].subject;
}

static uint32_t *table_find(const struct threader *threader, const struct thread_table *table,
                            enum thread_key key, struct thread_name name)
{
    uint32_t at = (uint32_t)name.a & (table->size - 1);

    while (table->slots[at] != 0 &&
           !thread_is_same(table_name(threader, key, table->slots[at]), name))
        at = (at + 1) & (table->size - 1);
    return &table->slots[at];
}

static void table_grow(const struct threader *threader, struct thread_table *table,
                       enum thread_key key)
{
    struct thread_table old = *table;

    table->size = old.size > 0 ? old.size * 2 : 256;
    table->slots = mem_zalloc(table->size * sizeof(*table->slots));
    for (uint32_t i = 0; i < old.size; i++)
        if (old.slots[i] != 0)
            *table_find(threader, table, key, table_name(threader, key, old.slots[i])) =
                old.slots[i];
    free(old.slots);
}

uint32_t *thread_slot(struct threader *threader, struct thread_table *table, enum thread_key key,
                      struct thread_name name)
{
    if (table->used >= table->size / 2)
        table_grow(threader, table, key);
    uint32_t *slot = table_find(threader, table, key, name);
    table->used += *slot == 0; /* whoever asks fills it */
    return slot;
}

/* ---- order -------------------------------------------------------------------------------- */

static const struct thread_node *thread_visible(const struct threader *threader, uint32_t node)
{
    const struct thread_node *n = &threader->nodes[node];

    return n->index == UINT32_MAX && n->child != 0 ? &threader->nodes[n->child] : n;
}

static int thread_compare(const struct thread_node *a, const struct thread_node *b)
{
    if (a->date != b->date)
        return a->date < b->date ? -1 : 1;
    return a->index < b->index ? -1 : a->index > b->index;
}

static int thread_order(const void *a, const void *b, void *threader)
{
    return thread_compare(thread_visible(threader, *(const uint32_t *)a),
                          thread_visible(threader, *(const uint32_t *)b));
}

void thread_sort(const struct threader *threader, uint32_t *nodes, uint32_t count)
{
    qsort_r(nodes, count, sizeof(*nodes), thread_order, (void *)(uintptr_t)threader);
}

uint32_t thread_chain(struct threader *threader, const uint32_t *nodes, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        threader->nodes[nodes[i]].next = i + 1 < count ? nodes[i + 1] : 0;
    return count > 0 ? nodes[0] : 0;
}

/* ---- ORDEREDSUBJECT ----------------------------------------------------------------------- */

static int subject_order(const void *a, const void *b, void *threader_of)
{
    const struct threader *threader = threader_of;
    const struct thread_node *x = &threader->nodes[*(const uint32_t *)a];
    const struct thread_node *y = &threader->nodes[*(const uint32_t *)b];

    if (x->subject.a != y->subject.a)
        return x->subject.a < y->subject.a ? -1 : 1;
    if (x->subject.b != y->subject.b)
        return x->subject.b < y->subject.b ? -1 : 1;
    return thread_compare(x, y);
}

/* The first message of each subject stands for its thread; the others are its children. */
static uint32_t thread_by_subject(struct threader *threader)
{
    uint32_t *nodes = mem_alloc((threader->count + 1) * sizeof(*nodes));
    uint32_t threads = 0;

    for (uint32_t i = 0; i < threader->count; i++)
        nodes[i] = i + 1;
    qsort_r(nodes, threader->count, sizeof(*nodes), subject_order, threader);
    for (uint32_t from = 0, to; from < threader->count; from = to) {
        struct thread_node *first = &threader->nodes[nodes[from]];

        for (to = from + 1; to < threader->count; to++)
            if (!thread_is_same(threader->nodes[nodes[to]].subject, first->subject))
                break;
        first->child = thread_chain(threader, nodes + from + 1, to - from - 1);
        nodes[threads++] = nodes[from];
    }
    thread_sort(threader, nodes, threads);
    uint32_t first = thread_chain(threader, nodes, threads);
    free(nodes);
    return first;
}

/* ---- the two ways ------------------------------------------------------------------------- */

void threader_add(struct threader *threader, const struct thread_message *message)
{
    if (threader->algorithm == IMAP_THREAD_REFERENCES) {
        thread_add_references(threader, message);
        return;
    }
    uint32_t number = thread_add_node(threader);
    struct thread_node *node = &threader->nodes[number];
    node->index = message->index;
    node->date = message->date;
    node->subject = thread_name_of(threader, message->subject);
}

struct imap_thread *threader_end(struct threader *threader, struct arena *arena)
{
    bool by_references = threader->algorithm == IMAP_THREAD_REFERENCES;
    uint32_t first = by_references ? thread_by_references(threader) : thread_by_subject(threader);
    struct imap_thread *threads = arena_alloc(arena, (threader->count + 1) * sizeof(*threads));

    for (uint32_t i = 1; i <= threader->count; i++) {
        const struct thread_node *node = &threader->nodes[i];

        threads[i].index = node->index;
        threads[i].child = node->child != 0 ? &threads[node->child] : NULL;
        threads[i].next = node->next != 0 ? &threads[node->next] : NULL;
    }
    return first != 0 ? &threads[first] : NULL;
}
