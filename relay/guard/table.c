#include "guard/table.h"

#include "base/hash.h"

#include <stdlib.h>

enum { EVICT_MOST = 4 }; /* at a time, while a bound that was lowered is above it */

void guard_table_init(struct guard_table *t, size_t max, uint64_t seed)
{
    *t = (struct guard_table){.max = max, .seed = seed};
    for (unsigned kind = 0; kind < GUARD_KINDS; kind++)
        list_init(&t->recent[kind]);
    list_init(&t->changed);
    list_init(&t->gone);
    heap_init(&t->expiry);
}

static void free_gone(struct guard_table *t)
{
    for (struct list *node; (node = list_pop(&t->gone)) != NULL;)
        free(container_of(node, struct guard_entry, changed));
}

void guard_table_fini(struct guard_table *t)
{
    for (size_t i = 0; i < t->bucket_count; i++) {
        for (struct guard_entry *entry = t->buckets[i], *next; entry != NULL; entry = next) {
            next = entry->next;
            heap_remove(&t->expiry, &entry->expiry);
            free(entry);
        }
    }
    free_gone(t);
    heap_fini(&t->expiry);
    free(t->buckets);
}

/* ---- finding ------------------------------------------------------------------------------ */

/* Where the entry hangs, or would. */
static struct guard_entry **place_of(struct guard_table *t, enum guard_kind kind, struct span key)
{
    uint64_t hash = hash64(key, t->seed + kind);
    struct guard_entry **at = &t->buckets[hash & (t->bucket_count - 1)];

    while (*at != NULL && ((*at)->kind != kind || !span_equal(guard_entry_key(*at), key)))
        at = &(*at)->next;
    return at;
}

static struct guard_entry *find_any(struct guard_table *t, enum guard_kind kind, struct span key)
{
    return t->count == 0 ? NULL : *place_of(t, kind, key);
}

void guard_table_use(struct guard_table *t, struct guard_entry *entry)
{
    list_remove(&entry->recent);
    list_append(&t->recent[entry->kind], &entry->recent);
}

struct guard_entry *guard_table_find(struct guard_table *t, enum guard_kind kind, struct span key,
                                     uint64_t now)
{
    struct guard_entry *entry = find_any(t, kind, key);

    if (entry == NULL || entry->expires <= now)
        return NULL;
    guard_table_use(t, entry);
    return entry;
}

/* ---- going -------------------------------------------------------------------------------- */

void guard_table_bury(struct guard_table *t, enum guard_kind kind, struct span key)
{
    struct guard_entry *entry = mem_zalloc(sizeof *entry + key.len);

    entry->kind = kind;
    entry->key_len = key.len;
    memcpy(entry->key, key.ptr, key.len);
    list_append(&t->gone, &entry->changed);
}

void guard_table_remove(struct guard_table *t, struct guard_entry *entry)
{
    *place_of(t, entry->kind, guard_entry_key(entry)) = entry->next;
    list_remove(&entry->recent);
    list_remove(&entry->changed);
    heap_remove(&t->expiry, &entry->expiry);
    t->count--;
    t->counts[entry->kind]--;
    if (entry->stored)
        list_append(&t->gone, &entry->changed);
    else
        free(entry);
}

/* The one that expires first, if it has; entries whose time was put off are sorted in again. */
static struct guard_entry *find_expired(struct guard_table *t, uint64_t now)
{
    for (struct heap_node *top; (top = heap_top(&t->expiry)) != NULL && top->key <= now;) {
        struct guard_entry *entry = container_of(top, struct guard_entry, expiry);
        if (entry->expires <= now)
            return entry;
        heap_move(&t->expiry, top, entry->expires);
    }
    return NULL;
}

bool guard_table_expire(struct guard_table *t, uint64_t now, unsigned most)
{
    struct guard_entry *entry;

    while (most-- > 0) {
        if ((entry = find_expired(t, now)) == NULL)
            return false;
        guard_table_remove(t, entry);
    }
    return true;
}

static struct guard_entry *find_victim(struct guard_table *t, uint64_t now)
{
    struct guard_entry *expired = find_expired(t, now);
    unsigned most = 0;

    if (expired != NULL)
        return expired;
    for (unsigned kind = 1; kind < GUARD_KINDS; kind++)
        if (t->counts[kind] > t->counts[most])
            most = kind;
    t->evicted++;
    return container_of(t->recent[most].next, struct guard_entry, recent);
}

uint64_t guard_table_take_evicted(struct guard_table *t)
{
    uint64_t evicted = t->evicted;

    t->evicted = 0;
    return evicted;
}

/* ---- coming ------------------------------------------------------------------------------- */

static void make_buckets(struct guard_table *t)
{
    size_t count = 1;

    while (count < t->max)
        count *= 2;
    t->bucket_count = count;
    t->buckets = mem_zalloc(count * sizeof(struct guard_entry *));
}

static struct guard_entry *add(struct guard_table *t, enum guard_kind kind, struct span key)
{
    struct guard_entry *entry = mem_zalloc(sizeof *entry + key.len);

    if (t->buckets == NULL)
        make_buckets(t);
    entry->kind = kind;
    entry->key_len = key.len;
    memcpy(entry->key, key.ptr, key.len);
    list_init(&entry->changed);
    *place_of(t, kind, key) = entry;
    list_append(&t->recent[kind], &entry->recent);
    heap_insert(&t->expiry, &entry->expiry, 0);
    t->count++;
    t->counts[kind]++;
    return entry;
}

struct guard_entry *guard_table_need(struct guard_table *t, enum guard_kind kind, struct span key,
                                     uint64_t now)
{
    struct guard_entry *entry = find_any(t, kind, key);

    if (entry != NULL) {
        if (entry->expires <= now) {
            entry->tally = (struct tally){0};
            entry->expires = 0;
        }
        return entry;
    }
    for (unsigned i = 0; i < EVICT_MOST && t->count >= t->max; i++)
        guard_table_remove(t, find_victim(t, now));
    return add(t, kind, key);
}

/* The key of the heap may stay too early, which costs a second look when it comes up. */
static void set_expiry(struct guard_table *t, struct guard_entry *entry, uint64_t expires)
{
    entry->expires = expires;
    if (entry->expiry.key == 0 || entry->expiry.key > expires)
        heap_move(&t->expiry, &entry->expiry, expires);
}

static void mark(struct guard_table *t, struct guard_entry *entry)
{
    if (!list_is_linked(&entry->changed))
        list_append(&t->changed, &entry->changed);
}

bool guard_table_mark(struct guard_table *t, enum guard_kind kind, struct span key)
{
    struct guard_entry *entry = find_any(t, kind, key);

    if (entry != NULL)
        mark(t, entry);
    return entry != NULL;
}

void guard_table_change(struct guard_table *t, struct guard_entry *entry, uint64_t expires,
                        uint64_t now)
{
    guard_table_use(t, entry);
    entry->last = now;
    set_expiry(t, entry, expires);
    mark(t, entry);
}

/* ---- loading ------------------------------------------------------------------------------ */

bool guard_table_load(struct guard_table *t, const struct guard_entry *like, struct span key)
{
    struct guard_entry *entry = find_any(t, like->kind, key);

    if (entry != NULL) {
        entry->stored = true;
        return false;
    }
    entry = add(t, like->kind, key);
    entry->tally = like->tally;
    entry->last = like->last;
    entry->stored = true;
    set_expiry(t, entry, like->expires);
    return true;
}

static int compare_use(const void *a, const void *b)
{
    const struct guard_entry *one = *(struct guard_entry *const *)a,
                             *other = *(struct guard_entry *const *)b;

    return (one->last > other->last) - (one->last < other->last);
}

static void sort_recent(struct guard_table *t, enum guard_kind kind)
{
    struct guard_entry **all = mem_zalloc((t->counts[kind] + 1) * sizeof(struct guard_entry *));
    size_t count = 0;

    for (struct list *node; (node = list_pop(&t->recent[kind])) != NULL;)
        all[count++] = container_of(node, struct guard_entry, recent);
    qsort(all, count, sizeof(struct guard_entry *), compare_use);
    for (size_t i = 0; i < count; i++)
        list_append(&t->recent[kind], &all[i]->recent);
    free(all);
}

void guard_table_settle(struct guard_table *t, uint64_t now)
{
    for (unsigned kind = 0; kind < GUARD_KINDS; kind++)
        sort_recent(t, kind);
    while (t->count > t->max)
        guard_table_remove(t, find_victim(t, now));
}
