/*
 * table: the guard's entries: found by kind and key, in the order of their last use within their
 * kind, in the order of their expiry, and those that have changed since they were saved. Bounded.
 * No lock, no I/O: guard.c has the lock.
 */
#ifndef SMARTHOP_GUARD_TABLE_H
#define SMARTHOP_GUARD_TABLE_H

#include "base/heap.h"
#include "base/list.h"
#include "guard/guard.h"
#include "guard/tally.h"

struct guard_entry {
    struct guard_entry *next; /* in its bucket */
    struct list recent;       /* of its kind, that used last at the end */
    struct list changed;      /* in table.changed, or (it is gone) in table.gone */
    struct heap_node expiry;  /* by a time that is not later than `expires` */
    struct tally tally;       /* greylisting: when it came first, and how often it has passed */
    uint64_t last;            /* changed last */
    uint64_t expires;
    enum guard_kind kind;
    bool stored; /* there may be a row of it */
    size_t key_len;
    char key[];
};

struct guard_table {
    struct guard_entry **buckets; /* made with the first entry */
    size_t bucket_count;          /* a power of two */
    uint64_t seed;
    size_t max;
    size_t count;
    size_t counts[GUARD_KINDS];
    struct list recent[GUARD_KINDS];
    struct list changed;
    struct list gone; /* no longer in the table; their rows are still to be deleted */
    struct heap expiry;
    uint64_t evicted; /* before their time, since guard_table_take_evicted */
};

void guard_table_init(struct guard_table *t, size_t max, uint64_t seed);
void guard_table_fini(struct guard_table *t);

static inline struct span guard_entry_key(const struct guard_entry *entry)
{
    return span_of(entry->key, entry->key_len);
}

/* NULL where there is none, or it has expired. The key has at most GUARD_KEY_MAX bytes. */
struct guard_entry *guard_table_find(struct guard_table *t, enum guard_kind kind, struct span key,
                                     uint64_t now);
/* The same, made where there is none, which may cost others their place: `expires` is 0 then. It
 * is to be changed at once. */
struct guard_entry *guard_table_need(struct guard_table *t, enum guard_kind kind, struct span key,
                                     uint64_t now);
/* It has been used. */
void guard_table_use(struct guard_table *t, struct guard_entry *entry);
/* It has been used and changed, and is to be saved. */
void guard_table_change(struct guard_table *t, struct guard_entry *entry, uint64_t expires,
                        uint64_t now);
void guard_table_remove(struct guard_table *t, struct guard_entry *entry);
/* At most `most` of those that have expired; true where more may be left. */
bool guard_table_expire(struct guard_table *t, uint64_t now, unsigned most);

/* Its row could not be saved: it counts as changed. False where there is no such entry. */
bool guard_table_mark(struct guard_table *t, enum guard_kind kind, struct span key);

/* For loading: one that is in the store; false where the key is there already, and stays. */
bool guard_table_load(struct guard_table *t, const struct guard_entry *like, struct span key);
/* After loading: brings the order of use about, and the bound. */
void guard_table_settle(struct guard_table *t, uint64_t now);
/* A row that is not wanted is to be deleted. */
void guard_table_bury(struct guard_table *t, enum guard_kind kind, struct span key);

/* How many have lost their place since the last call. */
uint64_t guard_table_take_evicted(struct guard_table *t);

#endif
