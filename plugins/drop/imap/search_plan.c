/*
 * search_plan: a program made ready for one view: sets in terms of UIDs, texts folded, what is
 * cheap before what is not.
 */
#include "plugins/drop/imap/search_private.h"

#include "base/clock.h"

enum { SEARCH_SECONDS_MS = 1000 };

/* What looking at one message costs; only the order counts. */
static unsigned plan_cost(const struct search_node *node)
{
    unsigned cost = 0;

    switch (node->key) {
    case IMAP_KEY_AND:
    case IMAP_KEY_OR:
    case IMAP_KEY_NOT:
        for (const struct search_node *child = node->child; child != NULL; child = child->next)
            if (child->cost > cost)
                cost = child->cost;
        return cost;
    case IMAP_KEY_SENT_BEFORE:
    case IMAP_KEY_SENT_ON:
    case IMAP_KEY_SENT_SINCE:
    case IMAP_KEY_THREADID:
        return 10;
    case IMAP_KEY_HEADER:
        return 11;
    case IMAP_KEY_BODY:
        return 100;
    case IMAP_KEY_TEXT:
        return 101;
    default:
        return 1;
    }
}

/* Behind those that cost no more, so that equals stay in the program's order. */
static void plan_insert(struct search_node **list, struct search_node *node)
{
    while (*list != NULL && (*list)->cost <= node->cost)
        list = &(*list)->next;
    node->next = *list;
    *list = node;
}

static struct span plan_fold(struct span text, struct span charset, struct arena *arena)
{
    struct text_charset *from = text_charset_create(charset);
    struct buf utf8, folded;

    buf_init(&utf8, 0);
    buf_init(&folded, 0);
    text_charset_feed(from, text, &utf8);
    text_charset_end(from, &utf8);
    text_charset_free(from);
    text_fold(buf_span(&utf8), &folded);
    struct span out = arena_dup(arena, buf_span(&folded));
    buf_fini(&utf8);
    buf_fini(&folded);
    return out;
}

static bool is_address_field(struct span name)
{
    return span_equal_nocase(name, SPAN("from")) || span_equal_nocase(name, SPAN("to")) ||
           span_equal_nocase(name, SPAN("cc")) || span_equal_nocase(name, SPAN("bcc")) ||
           span_equal_nocase(name, SPAN("sender")) || span_equal_nocase(name, SPAN("reply-to"));
}

struct plan_context {
    const struct imap_search *program;
    const struct imap_scope *scope;
    struct arena *arena;
    uint64_t now; /* seconds since 1970 */
};

static void plan_fill(struct search_node *node, const struct imap_search_key *key,
                      const struct plan_context *c)
{
    switch (key->key) {
    case IMAP_KEY_SEQUENCE:
    case IMAP_KEY_UID:
        imap_set_resolve(&key->set, key->key == IMAP_KEY_UID, c->scope, c->arena, &node->ranges,
                         &node->range_count);
        break;
    case IMAP_KEY_HEADER:
        node->is_address = is_address_field(key->name);
        node->text = plan_fold(key->text, c->program->charset, c->arena);
        break;
    case IMAP_KEY_BODY:
    case IMAP_KEY_TEXT:
        node->text = plan_fold(key->text, c->program->charset, c->arena);
        break;
    case IMAP_KEY_OLDER:
    case IMAP_KEY_YOUNGER:
        node->number = c->now > key->number ? c->now - key->number : 0;
        break;
    default:
        break;
    }
}

/* Depth is the parser's to bound (IMAP_SEARCH_DEPTH_MAX). */
static struct search_node *plan_node(const struct imap_search_key *key,
                                     const struct plan_context *c)
{
    struct search_node *node = arena_alloc(c->arena, sizeof(*node));

    node->key = key->key;
    node->flag = key->flag;
    node->name = key->name;
    node->text = key->text;
    node->number = key->number;
    for (const struct imap_search_key *child = key->child; child != NULL; child = child->next)
        plan_insert(&node->child, plan_node(child, c));
    plan_fill(node, key, c);
    node->cost = plan_cost(node);
    return node;
}

/* ---- where to look ------------------------------------------------------------------------ */

static void plan_intersect(struct search_plan *plan, const struct search_node *set,
                           struct arena *arena)
{
    struct mailstore_range *both =
        arena_alloc(arena, (plan->range_count + set->range_count + 1) * sizeof(*both));
    unsigned count = 0;

    for (unsigned a = 0, b = 0; a < plan->range_count && b < set->range_count;) {
        struct mailstore_range x = plan->ranges[a], y = set->ranges[b];
        uint32_t first = x.first > y.first ? x.first : y.first;
        uint32_t last = x.last < y.last ? x.last : y.last;

        if (first <= last)
            both[count++] = (struct mailstore_range){first, last};
        if (x.last < y.last)
            a++;
        else
            b++;
    }
    plan->ranges = both;
    plan->range_count = count;
}

/* Sets that all must be in are not asked about message by message. */
static void plan_bound(struct search_plan *plan, const struct imap_scope *scope,
                       struct arena *arena)
{
    plan->ranges = arena_alloc(arena, sizeof(*plan->ranges));
    plan->range_count = scope->count > 0;
    if (scope->count > 0)
        *plan->ranges = (struct mailstore_range){scope->uids[0], scope->uids[scope->count - 1]};
    for (struct search_node **at = &plan->root->child; *at != NULL;) {
        struct search_node *node = *at;
        bool is_set = node->key == IMAP_KEY_SEQUENCE || node->key == IMAP_KEY_UID;

        if (is_set)
            plan_intersect(plan, node, arena);
        if (is_set || node->key == IMAP_KEY_ALL)
            *at = node->next;
        else
            at = &node->next;
    }
}

void search_plan_make(struct search_plan *plan, const struct imap_search *program,
                      const struct imap_scope *scope, struct arena *arena)
{
    struct plan_context context = {.program = program,
                                   .scope = scope,
                                   .arena = arena,
                                   .now = clock_wall_ms() / SEARCH_SECONDS_MS};
    struct imap_search_key root = {.key = IMAP_KEY_AND, .child = program->root};

    plan->root = plan_node(&root, &context);
    if (plan->root->child != NULL && plan->root->child->key == IMAP_KEY_AND &&
        plan->root->child->next == NULL)
        plan->root = plan->root->child;
    plan_bound(plan, scope, arena);
    plan->recent_from = scope->recent_from;
    plan->recent_end = scope->recent_end;
}

static void plan_name_node(struct search_node *node, const struct mailstore_box *box)
{
    for (struct search_node *child = node->child; child != NULL; child = child->next)
        plan_name_node(child, box);
    if (node->key != IMAP_KEY_KEYWORD)
        return;
    node->number = 0;
    for (unsigned i = 0; i < box->keyword_count; i++)
        if (span_equal_nocase(box->keywords[i], node->text))
            node->number |= UINT64_C(1) << i;
}

void search_plan_name(struct search_plan *plan, const struct mailstore_box *box)
{
    plan_name_node(plan->root, box);
}
