/*
 * cache: what is known, or being found out, about names. It knows nothing of the DNS: entries go
 * in empty, are filled by somebody, and wake who waits for them.
 *
 * Entries are counted: the cache, whoever fills one and each user hold a reference. One that falls
 * out of the cache lives on for those. Not thread-safe.
 */
#ifndef SMARTHOP_RESOLVER_CACHE_H
#define SMARTHOP_RESOLVER_CACHE_H

#include "resolver.h"

enum entry_kind {
    ENTRY_MX,
    ENTRY_ADDRESSES,
    ENTRY_IPV4,
    ENTRY_NAMES, /* PTR */
    ENTRY_TEXT,  /* TXT */
};

/* One host of an MX, held by preference, or of a PTR, held as sent. */
struct entry_host {
    uint16_t preference;
    const char *name; /* normalized */
};

struct entry {
    struct entry *chain;
    struct list recent; /* filled ones in the cache, the last used at the end */
    bool is_cached;
    bool is_filled;
    unsigned refs;
    uint64_t hash;
    enum entry_kind kind;
    struct arena arena; /* of all the texts below */
    const char *name;
    struct list waiting; /* struct entry_wait */

    /* Once filled; then constant. */
    enum resolver_outcome outcome;
    const char *text; /* never NULL; "" where there is nothing to say */
    uint64_t expires;
    unsigned count;
    union {
        struct entry_host *hosts; /* RESOLVER_OK and count 0: the name has no MX */
        union resolver_address *addresses;
        struct span *texts;
    };
};

struct entry_wait {
    struct list link; /* initialized by its owner; list_remove ends the waiting */
    void (*ready)(struct entry_wait *wait);
};

struct cache {
    struct entry **buckets;
    size_t bucket_count; /* a power of two */
    unsigned max;        /* filled entries kept */
    unsigned filled;
    uint64_t seed;
    struct list recent;
};

void cache_init(struct cache *cache, unsigned max, uint64_t seed);
/* The entries must be filled or orphaned. */
void cache_fini(struct cache *cache);

/* A reference to what is known at `now` or being found out; where that is nothing, to a new entry
 * that the caller fills (`*is_new_out`). */
struct entry *cache_get(struct cache *cache, enum entry_kind kind, const char *name, uint64_t now,
                        bool *is_new_out);

/* The filler's last act after setting the entry's values: keeps it for others, wakes who waits,
 * and gives up the filler's reference. */
void cache_fill(struct cache *cache, struct entry *entry);

void entry_unref(struct entry *entry);

/* Forgets all entries; those being filled will not be kept. */
void cache_flush(struct cache *cache);

#endif
