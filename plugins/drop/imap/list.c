/*
 * LIST and LSUB (RFC 9051 6.3.9, RFC 3501 6.3.9), with RFC 5258 (LIST-EXTENDED), RFC 5819
 * (LIST-STATUS), RFC 6154 (SPECIAL-USE) and RFC 3348 (CHILDREN).
 *
 * All names of the user, bounded by the settings, are put in the order of a tree first: each before
 * those below it. Then they are told step by step.
 */
#include "plugins/drop/imap/session.h"
#include "plugins/drop/imap/write.h"

#include <stdlib.h>

enum { TELL_MOST = 50 /* names looked at in a step */ };

struct node {
    struct span name;
    enum mailstore_use use;
    bool exists;
    bool is_subscribed;
    struct node *before; /* in the order in which they were found */
};

struct listing {
    struct arena *arena;
    struct node *last;
    struct node *nodes; /* sorted, each once */
    unsigned count;
    unsigned at;
    struct span *patterns; /* with the reference */
};

/* ---- gathering ---------------------------------------------------------------------------- */

static struct node *add_node(struct listing *job, struct span name)
{
    struct node *node = arena_alloc(job->arena, sizeof *node);

    node->name = name;
    node->before = job->last;
    job->last = node;
    job->count++;
    return node;
}

/* Those above it are there as names at least. */
static struct node *add_path(struct listing *job, struct span name)
{
    struct span copy = arena_dup(job->arena, name);

    for (size_t i = 1; i < copy.len; i++)
        if (copy.ptr[i] == '/' && (job->last == NULL || job->last->name.len < i ||
                                   memcmp(job->last->name.ptr, copy.ptr, i) != 0))
            add_node(job, span_head(copy, i));
    return add_node(job, copy);
}

static bool on_box(void *context, const struct mailstore_box *box)
{
    struct node *node = add_path(context, box->name);

    node->exists = true;
    node->use = box->use;
    return true;
}

static bool on_subscription(void *context, struct span name)
{
    add_path(context, name)->is_subscribed = true;
    return true;
}

/* '/' before all others, so that nothing comes between a name and those below it. */
static int by_tree(const void *a, const void *b)
{
    const struct node *x = a, *y = b;
    size_t len = x->name.len < y->name.len ? x->name.len : y->name.len;

    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)x->name.ptr[i], d = (unsigned char)y->name.ptr[i];
        if (c != d)
            return (c == '/' ? 0 : c) < (d == '/' ? 0 : d) ? -1 : 1;
    }
    return x->name.len < y->name.len ? -1 : x->name.len > y->name.len;
}

static void sort(struct listing *job)
{
    unsigned kept = 0;
    struct node *nodes = arena_alloc(job->arena, (job->count + 1) * sizeof *nodes);

    for (unsigned i = 0; i < job->count; i++, job->last = job->last->before)
        nodes[i] = *job->last;
    qsort(nodes, job->count, sizeof *nodes, by_tree);
    for (unsigned i = 0; i < job->count; i++) {
        if (kept == 0 || !span_equal(nodes[kept - 1].name, nodes[i].name)) {
            nodes[kept++] = nodes[i];
            continue;
        }
        struct node *same = &nodes[kept - 1];
        same->exists |= nodes[i].exists;
        same->is_subscribed |= nodes[i].is_subscribed;
        if (nodes[i].use != MAILSTORE_USE_NONE)
            same->use = nodes[i].use;
    }
    job->nodes = nodes;
    job->count = kept;
}

static struct err gather(struct imap_session *s, struct listing *job)
{
    struct kv_txn *txn;
    struct err e = mailstore_read_begin(s->drop.worker->store, &txn);

    if (err_is(e))
        return e;
    e = mailstore_box_walk(txn, imap_user(s), on_box, job);
    if (!err_is(e))
        e = mailstore_subscription_walk(txn, imap_user(s), on_subscription, job);
    mailstore_read_end(txn);
    return e;
}

/* ---- what is told ------------------------------------------------------------------------- */

static bool wants(const struct imap_session *s, enum imap_list_option option)
{
    return (s->command->list.options & (unsigned)option) != 0;
}

static bool is_lsub(const struct imap_session *s)
{
    return s->command->verb == IMAP_LSUB;
}

static bool matches(const struct imap_session *s, struct span name)
{
    const struct listing *job = s->job;

    for (unsigned i = 0; i < s->command->list.pattern_count; i++)
        if (imap_pattern_matches(job->patterns[i], name))
            return true;
    return false;
}

static bool is_below(struct span name, struct span parent)
{
    return name.len > parent.len && name.ptr[parent.len] == '/' &&
           memcmp(name.ptr, parent.ptr, parent.len) == 0;
}

/* Whether it fits the selection options. */
static bool is_chosen(const struct imap_session *s, const struct node *node)
{
    if (is_lsub(s) || wants(s, IMAP_LIST_SUBSCRIBED)) {
        if (!node->is_subscribed)
            return false;
    } else if (!node->exists && !wants(s, IMAP_LIST_SPECIAL_USE)) {
        return false;
    }
    return !wants(s, IMAP_LIST_SPECIAL_USE) || node->use != MAILSTORE_USE_NONE;
}

/* Whether some name below it exists, or is chosen though no pattern finds it. */
static bool has_below(const struct imap_session *s, unsigned at, bool is_hidden)
{
    const struct listing *job = s->job;

    for (unsigned i = at + 1; i < job->count && is_below(job->nodes[i].name, job->nodes[at].name);
         i++)
        if (is_hidden ? is_chosen(s, &job->nodes[i]) && !matches(s, job->nodes[i].name)
                      : job->nodes[i].exists)
            return true;
    return false;
}

/* \NonExistent implies \Noselect (RFC 5258 3), which older clients look for where there is
 * something below. */
static const char *absence_of(const struct imap_session *s, bool has_children)
{
    if (is_lsub(s))
        return "\\Noselect ";
    return has_children ? "\\NonExistent \\Noselect " : "\\NonExistent ";
}

static void write_attributes(struct imap_session *s, struct buf *out, const struct node *node,
                             bool has_children)
{
    bool tells_subscribed = wants(s, IMAP_LIST_SUBSCRIBED) || wants(s, IMAP_LIST_RETURN_SUBSCRIBED);

    if (!node->exists)
        buf_add_text(out, absence_of(s, has_children));
    buf_add_text(out, has_children ? "\\HasChildren" : "\\HasNoChildren");
    if (node->is_subscribed && tells_subscribed)
        buf_add(out, SPAN(" \\Subscribed"));
    if (node->use != MAILSTORE_USE_NONE)
        buf_addf(out, " %s", imap_use_text(node->use));
}

static void tell_status(struct imap_session *s, const struct node *node, struct kv_txn *txn)
{
    struct mailstore_box box;

    if (node->exists && wants(s, IMAP_LIST_RETURN_STATUS) &&
        !err_is(mailstore_box_find(txn, imap_user(s), node->name, &box)))
        imap_write_status(s, txn, &box, s->command->list.status);
}

/* A name that is not chosen itself is told for what is below it: by LSUB where a "%" does not reach
 * down to that (RFC 3501 6.3.9), by LIST with RECURSIVEMATCH, and as a parent that is no more. */
static bool is_told(const struct imap_session *s, unsigned at, bool *is_parent_out)
{
    const struct listing *job = s->job;
    const struct node *node = &job->nodes[at];

    *is_parent_out = false;
    if (!matches(s, node->name))
        return false;
    if (is_lsub(s) || wants(s, IMAP_LIST_RECURSIVEMATCH))
        *is_parent_out = has_below(s, at, true);
    if (is_chosen(s, node) || *is_parent_out)
        return true;
    return !is_lsub(s) && !node->exists &&
           !wants(s, IMAP_LIST_SUBSCRIBED | IMAP_LIST_SPECIAL_USE) && has_below(s, at, false);
}

static void tell(struct imap_session *s, unsigned at, struct kv_txn *txn)
{
    const struct listing *job = s->job;
    struct node node = job->nodes[at];
    struct buf *out = imap_out(s);
    bool is_parent;

    if (!is_told(s, at, &is_parent))
        return;
    if (is_lsub(s))
        node.exists = node.is_subscribed; /* a parent that is told for its children alone */
    buf_addf(out, "* %s (", is_lsub(s) ? "LSUB" : "LIST");
    write_attributes(s, out, &node, has_below(s, at, false));
    buf_add(out, SPAN(") \"/\" "));
    imap_write_mailbox(out, node.name, imap_is_utf8(s));
    if (is_parent && wants(s, IMAP_LIST_RECURSIVEMATCH))
        buf_add(out, SPAN(" (CHILDINFO (\"SUBSCRIBED\"))"));
    buf_add(out, SPAN("\r\n"));
    tell_status(s, &node, txn);
    imap_written(s);
}

static void tell_step(struct imap_session *s)
{
    struct listing *job = s->job;
    struct kv_txn *txn;
    struct err e = mailstore_read_begin(s->drop.worker->store, &txn);

    if (err_is(e)) {
        imap_fail(s, e);
        return;
    }
    for (unsigned i = 0; i < TELL_MOST && job->at < job->count; i++)
        tell(s, job->at++, txn);
    mailstore_read_end(txn);
    if (job->at == job->count)
        imap_say_ok(s, "Listed");
}

static void join_patterns(struct imap_session *s, struct listing *job)
{
    const struct imap_list *list = &s->command->list;

    job->patterns = arena_alloc(&s->arena, (list->pattern_count + 1) * sizeof job->patterns[0]);
    for (unsigned i = 0; i < list->pattern_count; i++)
        job->patterns[i] = arena_printf(&s->arena, "%.*s%.*s", SPAN_ARG(list->reference),
                                        SPAN_ARG(list->patterns[i]));
}

void imap_do_list(struct imap_session *s)
{
    const struct imap_list *list = &s->command->list;
    struct listing *job = arena_alloc(&s->arena, sizeof *job);

    if (list->pattern_count == 1 && list->patterns[0].len == 0 && !list->is_extended) {
        imap_untagged(s,
                      is_lsub(s) ? "LSUB (\\Noselect) \"/\" \"\"" : "LIST (\\Noselect) \"/\" \"\"");
        imap_say_ok(s, "Listed");
        return;
    }
    job->arena = &s->arena;
    s->job = job;
    struct err e = gather(s, job);
    if (err_is(e)) {
        imap_fail(s, e);
        return;
    }
    sort(job);
    join_patterns(s, job);
    imap_write_on(s, tell_step);
}
