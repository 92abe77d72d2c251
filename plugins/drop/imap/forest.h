/*
 * forest: which tree a node is in, while trees are joined and cut, in logarithmic time however deep
 * they are (link-cut trees of Sleator and Tarjan). Nodes are numbers from 1. Pure.
 */
#ifndef SMARTHOP_DROP_IMAP_FOREST_H
#define SMARTHOP_DROP_IMAP_FOREST_H

#include <stdint.h>

struct forest_node;

struct forest {
    struct forest_node *nodes;
    uint32_t count;
    uint32_t cap;
};

/* A zeroed forest is empty. */
void forest_fini(struct forest *forest);
/* A new node, a tree of its own: its number. */
uint32_t forest_add(struct forest *forest);
uint32_t forest_root(struct forest *forest, uint32_t node);
/* `node` is a root, and not that of `parent`. */
void forest_link(struct forest *forest, uint32_t node, uint32_t parent);
/* `node` has a parent; it becomes a root with all below it. */
void forest_cut(struct forest *forest, uint32_t node);

#endif
