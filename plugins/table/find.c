/* Looking addresses up. */
#include "table.h"

#include <sched.h>

/* Each thread begins at a place of its own, which is free but for odd cases. */
static struct place *take_place(struct table *table)
{
    uint64_t thread = (uint64_t)pthread_self();
    unsigned at = (unsigned)((thread >> 6) * 0x9e3779b97f4a7c15u >> 58);

    for (unsigned tries = 1;; tries++, at++) {
        struct place *place = &table->places[at % PLACES];
        if (!atomic_load_explicit(&place->is_taken, memory_order_relaxed) &&
            !atomic_exchange_explicit(&place->is_taken, true, memory_order_seq_cst))
            return place;
        if (tries % PLACES == 0)
            sched_yield();
    }
}

/* The generation is read while the place is held: who frees it passes through here. */
void look_begin(struct look *look)
{
    look->place = take_place(look->table);
    look->generation = atomic_load(&look->table->current);
}

void look_end(struct look *look)
{
    for (uint32_t i = 0; i < look->table->file_count; i++)
        store_reader_rest(&look->place->readers[i]);
    atomic_store_explicit(&look->place->is_taken, false, memory_order_release);
}

/* In all files of the use, in their order. `hint` is a hash that a file has where it has any key
 * like this one. */
static enum store_found find_hinted(struct look *look, enum use use, enum key_kind kind,
                                    struct smarthop_span key, uint64_t hint, struct hit *hit)
{
    const struct table *table = look->table;
    uint64_t hash = 0;

    for (uint32_t i = 0; i < table->file_count; i++) {
        const struct serving *serving = &look->generation->servings[i];
        if (!(table->files[i].uses & 1u << use) || !store_hint_may_have(&serving->hint, kind, hint))
            continue;
        if (hash == 0)
            hash = key_hash(key);
        if (!store_hint_may_have(&serving->hint, kind, hash))
            continue;
        enum store_found found = store_find(&look->place->readers[i], serving->store, key, hash,
                                            &hit->line, &hit->record);
        if (found == STORE_NONE)
            continue;
        hit->file = &table->files[i];
        hit->kind = kind;
        return found;
    }
    return STORE_NONE;
}

static enum store_found find_key(struct look *look, enum use use, enum key_kind kind,
                                 struct smarthop_span key, struct hit *hit)
{
    if (!(look->generation->kinds[use] & kind))
        return STORE_NONE;
    return find_hinted(look, use, kind, key, key_hash(key), hit);
}

/* The address, and without its extension. */
static enum store_found find_address(struct look *look, enum use use, const struct subject *subject,
                                     struct hit *hit)
{
    hit->is_base = false;
    if (!(look->generation->kinds[use] & KEY_ADDRESS))
        return STORE_NONE;
    uint64_t hint = key_hash(subject->catchall);
    enum store_found found = find_hinted(look, use, KEY_ADDRESS, subject->address, hint, hit);
    if (found != STORE_NONE || subject->base.len == 0)
        return found;
    found = find_hinted(look, use, KEY_ADDRESS, subject->base, hint, hit);
    hit->is_base = found == STORE_FOUND;
    return found;
}

/* ".example.org", ".org" of sub.example.org */
static enum store_found find_parents(struct look *look, struct smarthop_span domain,
                                     struct hit *hit)
{
    enum store_found found = STORE_NONE;

    if (!(look->generation->kinds[USE_ROUTES] & KEY_PARENT))
        return STORE_NONE;
    for (size_t dot; found == STORE_NONE && (dot = text_index(domain, '.')) < domain.len;) {
        found = find_key(look, USE_ROUTES, KEY_PARENT, text_from(domain, dot), hit);
        domain = text_from(domain, dot + 1);
    }
    return found;
}

enum store_found find_route(struct look *look, const struct subject *subject, struct hit *hit)
{
    enum store_found found = find_address(look, USE_ROUTES, subject, hit);

    if (found == STORE_NONE)
        found = find_key(look, USE_ROUTES, KEY_DOMAIN, subject->domain, hit);
    if (found == STORE_NONE)
        found = find_parents(look, subject->domain, hit);
    if (found == STORE_NONE)
        found = find_key(look, USE_ROUTES, KEY_ANY, SMARTHOP_TEXT("*"), hit);
    return found;
}

static bool is_local(const struct table *table, struct smarthop_span domain)
{
    for (uint32_t i = 0; i < table->local_count; i++)
        if (table->local_domains[i].len == domain.len &&
            strncasecmp(table->local_domains[i].ptr, domain.ptr, domain.len) == 0)
            return true;
    return false;
}

static enum store_found find_local(struct look *look, enum use use, const struct subject *subject,
                                   struct hit *hit)
{
    if (!(look->generation->kinds[use] & KEY_LOCAL) || !is_local(look->table, subject->domain))
        return STORE_NONE;
    enum store_found found = find_key(look, use, KEY_LOCAL, subject->local, hit);
    if (found != STORE_NONE || subject->base_local.len == 0)
        return found;
    found = find_key(look, use, KEY_LOCAL, subject->base_local, hit);
    hit->is_base = found == STORE_FOUND;
    return found;
}

enum store_found find_addresses(struct look *look, enum use use, const struct subject *subject,
                                struct hit *hit)
{
    enum store_found found = find_address(look, use, subject, hit);

    if (found == STORE_NONE)
        found = find_local(look, use, subject, hit);
    if (found == STORE_NONE)
        found = find_key(look, use, KEY_CATCHALL, subject->catchall, hit);
    if (found == STORE_NONE)
        found = find_key(look, use, KEY_DOMAIN, subject->domain, hit);
    return found;
}
