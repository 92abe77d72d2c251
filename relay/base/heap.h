/*
 * heap: a binary min-heap of intrusive nodes, ordered by a 64-bit key. Not thread-safe.
 */
#ifndef SMARTHOP_BASE_HEAP_H
#define SMARTHOP_BASE_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct heap_node {
    uint64_t key;
    size_t place; /* 1-based index in the heap; 0 = in no heap */
};

struct heap {
    struct heap_node **nodes;
    size_t count;
    size_t cap;
};

void heap_init(struct heap *h);
/* The nodes belong to others, and still are in place: they are in no heap afterwards. */
void heap_fini(struct heap *h);

static inline struct heap_node *heap_top(const struct heap *h)
{
    return h->count ? h->nodes[0] : NULL;
}

static inline bool heap_is_linked(const struct heap_node *node)
{
    return node->place != 0;
}

void heap_insert(struct heap *h, struct heap_node *node, uint64_t key);
void heap_remove(struct heap *h, struct heap_node *node);
/* The node must be in the heap. */
void heap_move(struct heap *h, struct heap_node *node, uint64_t key);

#endif
