/*
 * forest: a node's way to its root is split into paths; each path is a splay tree by depth, whose
 * top hangs at the node above the path. Only the links among tops and their trees are kept here.
 */
#include "plugins/drop/imap/forest.h"

#include "base/memory.h"

#include <stdlib.h>

struct forest_node {
    uint32_t up;      /* in the splay tree; of its top: the node above the path; 0 = none */
    uint32_t side[2]; /* nearer to the root, farther from it; 0 = none */
};

void forest_fini(struct forest *forest)
{
    free(forest->nodes);
    *forest = (struct forest){0};
}

uint32_t forest_add(struct forest *forest)
{
    if (forest->count + 1 >= forest->cap) {
        forest->cap = forest->cap > 0 ? forest->cap * 2 : 64;
        forest->nodes = mem_realloc(forest->nodes, forest->cap * sizeof(*forest->nodes));
    }
    uint32_t node = ++forest->count;
    forest->nodes[node] = (struct forest_node){0};
    return node;
}

/* Which side of the one above; -1 for the top of a splay tree. */
static int forest_side(const struct forest_node *nodes, uint32_t node)
{
    uint32_t up = nodes[node].up;

    if (up != 0 && nodes[up].side[0] == node)
        return 0;
    return up != 0 && nodes[up].side[1] == node ? 1 : -1;
}

static void forest_rotate(struct forest_node *nodes, uint32_t node)
{
    uint32_t parent = nodes[node].up;
    int side = forest_side(nodes, node);
    int parent_side = forest_side(nodes, parent);
    uint32_t inner = nodes[node].side[!side];

    nodes[node].up = nodes[parent].up;
    if (parent_side >= 0)
        nodes[nodes[parent].up].side[parent_side] = node;
    nodes[parent].side[side] = inner;
    if (inner != 0)
        nodes[inner].up = parent;
    nodes[node].side[!side] = parent;
    nodes[parent].up = node;
}

static void forest_splay(struct forest_node *nodes, uint32_t node)
{
    for (int side; (side = forest_side(nodes, node)) >= 0;) {
        uint32_t parent = nodes[node].up;
        int parent_side = forest_side(nodes, parent);

        if (parent_side >= 0)
            forest_rotate(nodes, parent_side == side ? parent : node);
        forest_rotate(nodes, node);
    }
}

/* Makes the way from `node` to its root one path, with `node` on top and nothing below it. */
static void forest_expose(struct forest_node *nodes, uint32_t node)
{
    for (uint32_t at = node, below = 0; at != 0; below = at, at = nodes[at].up) {
        forest_splay(nodes, at);
        nodes[at].side[1] = below;
    }
    forest_splay(nodes, node);
}

uint32_t forest_root(struct forest *forest, uint32_t node)
{
    struct forest_node *nodes = forest->nodes;

    forest_expose(nodes, node);
    while (nodes[node].side[0] != 0)
        node = nodes[node].side[0];
    forest_splay(nodes, node);
    return node;
}

void forest_link(struct forest *forest, uint32_t node, uint32_t parent)
{
    forest_expose(forest->nodes, parent); /* or the bound on the time would not hold */
    forest_expose(forest->nodes, node);
    forest->nodes[node].up = parent;
}

void forest_cut(struct forest *forest, uint32_t node)
{
    struct forest_node *nodes = forest->nodes;

    forest_expose(nodes, node);
    nodes[nodes[node].side[0]].up = 0;
    nodes[node].side[0] = 0;
}
