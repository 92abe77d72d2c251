/*
 * thread_references: the REFERENCES algorithm of RFC 5256 3, by its numbered steps. The first is
 * done message by message as they come; all that is kept of a message is its node.
 *
 * A link is refused where it would close a loop. To find that out by going up from the parent would
 * take as long as threads are deep, for each of their messages; so the forest keeps the trees'
 * roots.
 */
#include "plugins/drop/imap/thread_private.h"

#include "base/memory.h"

#include <stdlib.h>

/* ---- step 1: links ------------------------------------------------------------------------ */

static uint32_t references_add_node(struct threader *threader)
{
    forest_add(&threader->forest);
    return thread_add_node(threader);
}

static uint32_t references_node_of(struct threader *threader, struct span id)
{
    struct thread_name name = thread_name_of(threader, id);
    uint32_t *slot = thread_slot(threader, &threader->ids, THREAD_BY_ID, name);

    if (*slot == 0) {
        *slot = references_add_node(threader);
        threader->nodes[*slot].id = name;
    }
    return *slot;
}

/* The message's own node. One without an id, or with another one's, gets an id of its own. */
static uint32_t references_own_node(struct threader *threader, struct span message_id)
{
    char id[THREAD_ID_MAX];
    size_t len;

    if (thread_next_id(&message_id, id, &len)) {
        uint32_t node = references_node_of(threader, span_of(id, len));
        if (threader->nodes[node].index == UINT32_MAX)
            return node;
    }
    return references_add_node(threader);
}

static void references_link(struct threader *threader, uint32_t node, uint32_t parent)
{
    struct thread_node *nodes = threader->nodes;

    if (node == parent)
        return;
    /* `node` is a root: there is a loop if it is the parent's. */
    if (nodes[node].children > 0 && forest_root(&threader->forest, parent) == node)
        return;
    forest_link(&threader->forest, node, parent);
    nodes[node].parent = parent;
    nodes[parent].children++;
}

static void references_unlink(struct threader *threader, uint32_t node)
{
    struct thread_node *nodes = threader->nodes;

    if (nodes[node].parent == 0)
        return;
    forest_cut(&threader->forest, node);
    nodes[nodes[node].parent].children--;
    nodes[node].parent = 0;
}

/* The nodes of the ids in the field, the last THREAD_REFERENCES_MAX of them. */
static unsigned references_of(struct threader *threader, struct span field, unsigned most,
                              uint32_t found[THREAD_REFERENCES_MAX])
{
    char id[THREAD_ID_MAX];
    size_t len;
    unsigned all = 0;

    for (struct span rest = field; thread_next_id(&rest, id, &len);)
        all++;
    unsigned skipped = all > THREAD_REFERENCES_MAX ? all - THREAD_REFERENCES_MAX : 0;
    unsigned count = 0;
    for (struct span rest = field; count < most && thread_next_id(&rest, id, &len);)
        if (skipped > 0)
            skipped--;
        else
            found[count++] = references_node_of(threader, span_of(id, len));
    return count;
}

void thread_add_references(struct threader *threader, const struct thread_message *message)
{
    uint32_t found[THREAD_REFERENCES_MAX];
    uint32_t node = references_own_node(threader, message->message_id);
    unsigned count = references_of(threader, message->references, THREAD_REFERENCES_MAX, found);

    threader->nodes[node].index = message->index;
    threader->nodes[node].date = message->date;
    threader->nodes[node].subject = thread_name_of(threader, message->subject);
    threader->nodes[node].has_subject = message->subject.len > 0;
    threader->nodes[node].is_reply = message->is_reply;
    if (count == 0)
        count = references_of(threader, message->in_reply_to, 1, found);
    for (unsigned i = 1; i < count; i++) /* 1.A: links that there are stay */
        if (threader->nodes[found[i]].parent == 0)
            references_link(threader, found[i], found[i - 1]);
    references_unlink(threader, node); /* 1.B: what the message itself says is surer */
    if (count > 0)
        references_link(threader, node, found[count - 1]);
}

/* ---- steps 2 and 3: the messages that are there ------------------------------------------- */

static bool is_missing(const struct threader *threader, uint32_t node)
{
    return threader->nodes[node].index == UINT32_MAX;
}

/* Puts a list of siblings, from `first` to `last`, below `parent`. */
static void children_add(struct threader *threader, uint32_t parent, uint32_t first, uint32_t last)
{
    struct thread_node *to = &threader->nodes[parent];

    if (to->child == 0)
        to->child = first;
    else
        threader->nodes[to->last].next = first;
    to->last = last;
}

/* The node has all its children: it goes to its parent, or its children do in its place. Returns
 * whether it stays on top; then *top_out is what stays. */
static bool references_settle(struct threader *threader, uint32_t node, uint32_t *top_out)
{
    struct thread_node *n = &threader->nodes[node];
    bool is_gone = is_missing(threader, node);

    *top_out = node;
    if (is_gone && n->child == 0)
        return false;
    if (n->parent == 0) {
        if (is_gone && n->child == n->last)
            *top_out = n->child;
        return true;
    }
    if (is_gone)
        children_add(threader, n->parent, n->child, n->last);
    else
        children_add(threader, n->parent, node, node);
    return false;
}

/* From the leaves up, so that nothing recurses: the tops, in `tops` (room for all nodes). */
static uint32_t references_gather(struct threader *threader, uint32_t *tops)
{
    uint32_t *ready = mem_alloc((threader->count + 1) * sizeof(*ready));
    uint32_t count = 0, done = 0, top_count = 0;

    for (uint32_t i = 1; i <= threader->count; i++)
        if (threader->nodes[i].children == 0)
            ready[count++] = i;
    while (done < count) {
        uint32_t node = ready[done++];
        uint32_t parent = threader->nodes[node].parent;
        uint32_t top;

        if (references_settle(threader, node, &top))
            tops[top_count++] = top;
        if (parent != 0 && --threader->nodes[parent].children == 0)
            ready[count++] = parent;
    }
    free(ready);
    return top_count;
}

/* ---- steps 4 and 6: order ----------------------------------------------------------------- */

static void children_sort(struct threader *threader, uint32_t node, uint32_t *room)
{
    uint32_t count = 0;

    for (uint32_t at = threader->nodes[node].child; at != 0; at = threader->nodes[at].next)
        room[count++] = at;
    if (count < 2)
        return;
    thread_sort(threader, room, count);
    threader->nodes[node].child = thread_chain(threader, room, count);
    threader->nodes[node].last = room[count - 1];
}

/* ---- step 5: subjects --------------------------------------------------------------------- */

/* Whose subject the thread has. */
static const struct thread_node *subject_bearer(const struct threader *threader, uint32_t node)
{
    const struct thread_node *n = &threader->nodes[node];

    return is_missing(threader, node) ? &threader->nodes[n->child] : n;
}

/* 5.B: `subject` of a missing message becomes that of its first child, so that it can be looked up
 * by it. */
static void subjects_note(struct threader *threader, struct thread_table *table, uint32_t node)
{
    const struct thread_node *bearer = subject_bearer(threader, node);

    threader->nodes[node].subject = bearer->subject;
    threader->nodes[node].has_subject = bearer->has_subject;
    if (!bearer->has_subject)
        return;
    uint32_t *slot = thread_slot(threader, table, THREAD_BY_SUBJECT, bearer->subject);
    bool takes_over = *slot != 0 && !is_missing(threader, *slot) &&
                      (is_missing(threader, node) ||
                       (threader->nodes[*slot].is_reply && !threader->nodes[node].is_reply));
    if (*slot == 0 || takes_over)
        *slot = node;
}

/* 5.C: whether the thread has gone to another one. */
static bool subjects_merge(struct threader *threader, struct thread_table *table, uint32_t node)
{
    if (!threader->nodes[node].has_subject)
        return false;
    uint32_t *slot = thread_slot(threader, table, THREAD_BY_SUBJECT, threader->nodes[node].subject);
    uint32_t other = *slot;

    if (other == node)
        return false;
    threader->nodes[node].next = 0;
    if (is_missing(threader, node)) { /* then the other one is, too */
        children_add(threader, other, threader->nodes[node].child, threader->nodes[node].last);
    } else if (is_missing(threader, other) ||
               (threader->nodes[node].is_reply && !threader->nodes[other].is_reply)) {
        children_add(threader, other, node, node);
    } else {
        uint32_t both = thread_add_node(threader);

        threader->nodes[both].subject = threader->nodes[node].subject;
        children_add(threader, both, other, other);
        children_add(threader, both, node, node);
        *slot = both;
    }
    return true;
}

/* The threads that are left, in `tops`. */
static uint32_t subjects_gather(struct threader *threader, uint32_t *tops, uint32_t count)
{
    struct thread_table table = {0};
    uint32_t kept = 0;

    for (uint32_t i = 0; i < count; i++)
        subjects_note(threader, &table, tops[i]);
    for (uint32_t i = 0; i < count; i++)
        if (!subjects_merge(threader, &table, tops[i]))
            tops[kept++] = tops[i];
    /* A message that was joined with another one under a new top is no top any more. */
    for (uint32_t i = 0; i < kept; i++) {
        const struct thread_node *n = &threader->nodes[tops[i]];

        if (n->has_subject)
            tops[i] = *thread_slot(threader, &table, THREAD_BY_SUBJECT, n->subject);
    }
    free(table.slots);
    return kept;
}

uint32_t thread_by_references(struct threader *threader)
{
    uint32_t *tops = mem_alloc((threader->count + 1) * sizeof(*tops));
    uint32_t *room = mem_alloc((threader->count + 1) * sizeof(*room));
    uint32_t count = references_gather(threader, tops);

    for (uint32_t i = 0; i < count; i++)
        if (is_missing(threader, tops[i]))
            children_sort(threader, tops[i], room);
    thread_sort(threader, tops, count);
    count = subjects_gather(threader, tops, count);
    for (uint32_t i = 1; i <= threader->count; i++)
        children_sort(threader, i, room);
    thread_sort(threader, tops, count);
    uint32_t first = thread_chain(threader, tops, count);
    free(tops);
    free(room);
    return first;
}
