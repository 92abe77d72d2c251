#include "plugins/drop/address/private.h"

#include "base/memory.h"
#include "plugins/drop/mailstore/mailstore.h"

#include <stdlib.h>

struct addresses *addresses_ref(struct addresses *addresses)
{
    atomic_fetch_add(&addresses->references, 1);
    return addresses;
}

void addresses_unref(struct addresses *addresses)
{
    if (addresses == NULL || atomic_fetch_sub(&addresses->references, 1) != 1)
        return;
    arena_fini(&addresses->arena);
    free(addresses->aliases);
    free(addresses);
}

unsigned addresses_alias_count(const struct addresses *addresses)
{
    return addresses->alias_count;
}

int address_compare(struct span a, struct span b)
{
    size_t shared = a.len < b.len ? a.len : b.len;
    int order = shared > 0 ? memcmp(a.ptr, b.ptr, shared) : 0;

    return order != 0 ? order : (a.len > b.len) - (a.len < b.len);
}

struct span address_lower(struct span text, struct arena *arena)
{
    char *room = arena_alloc(arena, text.len + 1);

    for (size_t i = 0; i < text.len; i++)
        room[i] = ascii_lower(text.ptr[i]);
    return span_of(room, text.len);
}

bool addresses_is_local(const struct addresses *addresses, struct span domain)
{
    for (unsigned i = 0; i < addresses->domain_count; i++)
        if (span_equal(addresses->domains[i], domain))
            return true;
    return false;
}

/* ---- look-up ------------------------------------------------------------------------------ */

struct opening {
    const struct alias *alias;
    bool is_done;
};

/* One question: what has been found, and which aliases have been opened for it. */
struct question {
    const struct addresses *addresses;
    const struct users *users;
    struct arena *arena;
    struct address_result **end; /* where the next result is linked */
    struct address_result *results;
    unsigned result_count;
    struct opening *openings; /* ADDRESS_RESULTS_MAX; NULL before the first */
    unsigned opening_count;
};

static const struct alias *find_alias(const struct question *q, struct span key)
{
    unsigned low = 0, high = q->addresses->alias_count;

    while (low < high) {
        unsigned middle = low + (high - low) / 2;
        int order = address_compare(key, q->addresses->aliases[middle].key);
        if (order == 0)
            return &q->addresses->aliases[middle];
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

static const struct opening *find_opening(const struct question *q, const struct alias *alias)
{
    for (unsigned i = 0; i < q->opening_count; i++)
        if (q->openings[i].alias == alias)
            return &q->openings[i];
    return NULL;
}

static bool is_same(const struct address_result *a, const struct address_result *b)
{
    return span_equal(a->user, b->user) && span_equal(a->folder, b->folder) &&
           span_equal(a->forward, b->forward);
}

static void add_result(struct question *q, struct address_result result)
{
    for (const struct address_result *r = q->results; r != NULL; r = r->next)
        if (is_same(r, &result))
            return;
    if (q->result_count == ADDRESS_RESULTS_MAX)
        return;
    q->result_count++;
    *q->end = arena_alloc(q->arena, sizeof **q->end);
    **q->end = result;
    q->end = &(*q->end)->next;
}

static struct span join(const struct question *q, struct span local, struct span domain)
{
    return arena_printf(q->arena, "%.*s@%.*s", SPAN_ARG(local), SPAN_ARG(domain));
}

static bool take_user(struct question *q, struct span name, struct span folder)
{
    if (q->users == NULL || name.len > MAILSTORE_USER_MAX || users_find(q->users, name) == NULL)
        return false;
    add_result(q, (struct address_result){.user = name, .folder = arena_dup(q->arena, folder)});
    return true;
}

static void find(struct question *q, struct span local, struct span domain, unsigned depth);

/* A target without a domain is one of `domain`. */
static void open_targets(struct question *q, const struct alias *alias, struct span domain,
                         unsigned depth)
{
    for (unsigned i = 0; i < alias->target_count; i++) {
        const struct alias_target *target = &alias->targets[i];
        if (target->domain.len > 0 && !addresses_is_local(q->addresses, target->domain)) {
            struct span address = join(q, target->local, target->domain);
            add_result(q, (struct address_result){.forward = address});
        } else {
            find(q, target->local, target->domain.len > 0 ? target->domain : domain, depth + 1);
        }
    }
}

/* One that is open stands for itself, the user of its name; what one that was open has said holds.
 */
static bool take_alias(struct question *q, struct span key, struct span domain, unsigned depth)
{
    const struct alias *alias = find_alias(q, key);
    const struct opening *before = alias != NULL ? find_opening(q, alias) : NULL;

    if (before != NULL)
        return before->is_done;
    if (alias == NULL || depth == ADDRESS_DEPTH_MAX || q->opening_count == ADDRESS_RESULTS_MAX)
        return false;
    if (q->openings == NULL)
        q->openings = arena_alloc(q->arena, ADDRESS_RESULTS_MAX * sizeof *q->openings);
    struct opening *opening = &q->openings[q->opening_count++];
    opening->alias = alias;
    open_targets(q, alias, domain, depth);
    opening->is_done = true;
    return true;
}

/* `name` is in lower case. */
static bool take_name(struct question *q, struct span name, struct span domain, struct span folder,
                      unsigned depth)
{
    struct span whole = join(q, name, domain);

    return take_alias(q, whole, domain, depth) || take_alias(q, name, domain, depth) ||
           take_user(q, whole, folder) || take_user(q, name, folder);
}

/* Where the separator stands: behind one character at least, outside quotes; or at the end. */
static size_t separator_at(const struct addresses *addresses, struct span local)
{
    size_t at = 1;

    if (local.len == 0 || local.ptr[0] == '"')
        return local.len;
    while (at < local.len &&
           span_index(addresses->separator, local.ptr[at]) == addresses->separator.len)
        at++;
    return at;
}

static void find(struct question *q, struct span local, struct span domain, unsigned depth)
{
    struct span name = address_lower(local, q->arena);
    size_t at = separator_at(q->addresses, local);
    struct span folder = span_from(local, at + 1);

    if (folder.len == 0 || span_equal_nocase(folder, SPAN("INBOX")))
        folder = SPAN("INBOX");
    if (take_name(q, name, domain, SPAN("INBOX"), depth))
        return;
    if (at < local.len && take_name(q, span_head(name, at), domain, folder, depth))
        return;
    take_alias(q, join(q, SPAN(""), domain), domain, depth);
}

enum address_answer addresses_find(const struct addresses *addresses, const struct users *users,
                                   struct span local, struct span domain, struct arena *arena,
                                   struct address_result **out)
{
    struct question q = {.addresses = addresses, .users = users, .arena = arena};

    q.end = &q.results;
    *out = NULL;
    if (domain.len == 0)
        domain = addresses->first_domain;
    if (!addresses_is_local(addresses, domain))
        return ADDRESS_FOREIGN;
    find(&q, local, domain, 0);
    *out = q.results;
    return q.results != NULL ? ADDRESS_KNOWN : ADDRESS_UNKNOWN;
}
