/*
 * list: an intrusive doubly linked ring. A node that is in no list points at itself, so that
 * list_remove is safe at any time. Not thread-safe.
 */
#ifndef SMARTHOP_BASE_LIST_H
#define SMARTHOP_BASE_LIST_H

#include "base/memory.h"

#include <stdbool.h>

struct list {
    struct list *next;
    struct list *prev;
};

static inline void list_init(struct list *l)
{
    l->next = l->prev = l;
}

static inline bool list_is_empty(const struct list *l)
{
    return l->next == l;
}

static inline bool list_is_linked(const struct list *node)
{
    return node->next != node;
}

static inline void list_insert_before(struct list *at, struct list *node)
{
    node->prev = at->prev;
    node->next = at;
    at->prev->next = node;
    at->prev = node;
}

static inline void list_append(struct list *l, struct list *node)
{
    list_insert_before(l, node);
}

static inline void list_prepend(struct list *l, struct list *node)
{
    list_insert_before(l->next, node);
}

static inline void list_remove(struct list *node)
{
    node->prev->next = node->next;
    node->next->prev = node->prev;
    list_init(node);
}

/* The first node taken out, or NULL. */
static inline struct list *list_pop(struct list *l)
{
    if (list_is_empty(l))
        return NULL;
    struct list *first = l->next;
    list_remove(first);
    return first;
}

/* Moves every node of `from` to the end of `to`. */
static inline void list_splice(struct list *to, struct list *from)
{
    if (list_is_empty(from))
        return;
    from->next->prev = to->prev;
    to->prev->next = from->next;
    from->prev->next = to;
    to->prev = from->prev;
    list_init(from);
}

#endif
