#include "base/heap.h"

#include "base/memory.h"

#include <stdlib.h>

void heap_init(struct heap *h)
{
    *h = (struct heap){0};
}

void heap_fini(struct heap *h)
{
    for (size_t i = 0; i < h->count; i++)
        h->nodes[i]->place = 0;
    free(h->nodes);
    heap_init(h);
}

static void put(struct heap *h, size_t at, struct heap_node *node)
{
    h->nodes[at] = node;
    node->place = at + 1;
}

static void sift_up(struct heap *h, size_t at)
{
    struct heap_node *node = h->nodes[at];

    while (at > 0 && h->nodes[(at - 1) / 2]->key > node->key) {
        put(h, at, h->nodes[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    put(h, at, node);
}

static void sift_down(struct heap *h, size_t at)
{
    struct heap_node *node = h->nodes[at];

    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= h->count)
            break;
        if (child + 1 < h->count && h->nodes[child + 1]->key < h->nodes[child]->key)
            child++;
        if (h->nodes[child]->key >= node->key)
            break;
        put(h, at, h->nodes[child]);
        at = child;
    }
    put(h, at, node);
}

void heap_insert(struct heap *h, struct heap_node *node, uint64_t key)
{
    if (h->count == h->cap) {
        h->cap = h->cap ? h->cap * 2 : 64;
        h->nodes = mem_realloc(h->nodes, h->cap * sizeof(struct heap_node *));
    }
    node->key = key;
    put(h, h->count++, node);
    sift_up(h, h->count - 1);
}

void heap_remove(struct heap *h, struct heap_node *node)
{
    size_t at = node->place - 1;
    struct heap_node *last = h->nodes[--h->count];

    node->place = 0;
    if (last == node)
        return;
    put(h, at, last);
    sift_up(h, at);
    sift_down(h, last->place - 1);
}

void heap_move(struct heap *h, struct heap_node *node, uint64_t key)
{
    node->key = key;
    sift_up(h, node->place - 1);
    sift_down(h, node->place - 1);
}
