#include "cache.h"

#include <stdlib.h>

enum { BUCKETS_LEAST = 64 };

void cache_init(struct cache *cache, unsigned max, uint64_t seed)
{
    *cache = (struct cache){.max = max, .seed = seed, .bucket_count = BUCKETS_LEAST};
    while (cache->bucket_count < max)
        cache->bucket_count *= 2;
    cache->buckets = mem_zalloc(cache->bucket_count * sizeof(struct entry *));
    list_init(&cache->recent);
}

/* Names come from strangers: the seed keeps them from choosing buckets. */
static uint64_t hash_of(const struct cache *cache, enum entry_kind kind, const char *name)
{
    uint64_t hash = cache->seed ^ (uint64_t)kind;

    for (; *name != '\0'; name++) {
        hash = (hash ^ (unsigned char)*name) * 0x9e3779b97f4a7c15u;
        hash ^= hash >> 32;
    }
    return hash;
}

static struct entry **bucket_of(struct cache *cache, uint64_t hash)
{
    return &cache->buckets[hash & (cache->bucket_count - 1)];
}

void entry_unref(struct entry *entry)
{
    if (entry == NULL || --entry->refs > 0)
        return;
    arena_fini(&entry->arena);
    free(entry);
}

static void drop(struct cache *cache, struct entry *entry)
{
    struct entry **place = bucket_of(cache, entry->hash);

    while (*place != entry)
        place = &(*place)->chain;
    *place = entry->chain;
    list_remove(&entry->recent);
    entry->is_cached = false;
    if (entry->is_filled)
        cache->filled--;
    entry_unref(entry);
}

static struct entry *add(struct cache *cache, enum entry_kind kind, const char *name, uint64_t hash)
{
    struct entry *entry = mem_zalloc(sizeof *entry);
    struct entry **bucket = bucket_of(cache, hash);

    arena_init(&entry->arena);
    entry->kind = kind;
    entry->hash = hash;
    entry->name = arena_dup(&entry->arena, span_cstr(name)).ptr;
    entry->text = "";
    list_init(&entry->recent);
    list_init(&entry->waiting);
    entry->is_cached = true;
    entry->refs = 2; /* the cache's and the filler's */
    entry->chain = *bucket;
    *bucket = entry;
    return entry;
}

struct entry *cache_get(struct cache *cache, enum entry_kind kind, const char *name, uint64_t now,
                        bool *is_new_out)
{
    uint64_t hash = hash_of(cache, kind, name);
    struct entry *entry = *bucket_of(cache, hash);

    while (entry != NULL &&
           (entry->hash != hash || entry->kind != kind || strcmp(entry->name, name) != 0))
        entry = entry->chain;
    if (entry != NULL && entry->is_filled && entry->expires <= now) {
        drop(cache, entry);
        entry = NULL;
    }
    *is_new_out = entry == NULL;
    if (entry == NULL)
        entry = add(cache, kind, name, hash);
    if (entry->is_filled) {
        list_remove(&entry->recent);
        list_append(&cache->recent, &entry->recent);
    }
    entry->refs++;
    return entry;
}

void cache_fill(struct cache *cache, struct entry *entry)
{
    struct list woken;

    entry->is_filled = true;
    if (entry->is_cached) {
        cache->filled++;
        list_append(&cache->recent, &entry->recent);
    }
    while (cache->filled > cache->max)
        drop(cache, container_of(cache->recent.next, struct entry, recent));
    list_init(&woken);
    list_splice(&woken, &entry->waiting);
    for (struct list *node; (node = list_pop(&woken)) != NULL;) {
        struct entry_wait *wait = container_of(node, struct entry_wait, link);
        wait->ready(wait);
    }
    entry_unref(entry);
}

void cache_flush(struct cache *cache)
{
    for (size_t i = 0; i < cache->bucket_count; i++)
        while (cache->buckets[i] != NULL)
            drop(cache, cache->buckets[i]);
}

void cache_fini(struct cache *cache)
{
    cache_flush(cache);
    free(cache->buckets);
}
