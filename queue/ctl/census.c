#include "queue/ctl/census.h"

#include "base/arena.h"
#include "base/hash.h"
#include "base/memory.h"

#include <stdlib.h>

enum { SLOTS_FIRST = 256, FIRST_AGE_MS = 300000 };

struct census {
    struct arena arena; /* of the keys */
    struct census_row *rows;
    unsigned count, room;
    uint32_t *slots;     /* index of a row + 1; 0 = free; twice as many as rows, or more */
    unsigned slot_count; /* a power of two */
    struct census_row rest;
};

struct census *census_create(void)
{
    struct census *census = mem_zalloc(sizeof *census);

    arena_init(&census->arena);
    census->slot_count = SLOTS_FIRST;
    census->slots = mem_zalloc(census->slot_count * sizeof *census->slots);
    return census;
}

void census_free(struct census *census)
{
    if (census == NULL)
        return;
    arena_fini(&census->arena);
    free(census->rows);
    free(census->slots);
    free(census);
}

/* The slot that holds the key, or the free one where it belongs. */
static uint32_t *find_slot(struct census *census, struct span key)
{
    unsigned at = (unsigned)hash64(key, 0);

    for (;; at++) {
        uint32_t *slot = &census->slots[at & (census->slot_count - 1)];
        if (*slot == 0 || span_equal(census->rows[*slot - 1].key, key))
            return slot;
    }
}

static void grow(struct census *census)
{
    census->room = census->room ? census->room * 2 : SLOTS_FIRST / 2;
    census->rows = mem_realloc(census->rows, census->room * sizeof *census->rows);
    free(census->slots);
    census->slot_count = census->room * 2;
    census->slots = mem_zalloc(census->slot_count * sizeof *census->slots);
    for (uint32_t i = 0; i < census->count; i++)
        *find_slot(census, census->rows[i].key) = i + 1;
}

static struct census_row *find_row(struct census *census, struct span key)
{
    uint32_t *slot = find_slot(census, key);

    if (*slot != 0)
        return &census->rows[*slot - 1];
    if (census->count == CENSUS_KEYS)
        return &census->rest;
    if (census->count == census->room) {
        grow(census);
        slot = find_slot(census, key);
    }
    struct census_row *row = &census->rows[census->count++];
    *slot = census->count;
    *row = (struct census_row){.key = arena_dup(&census->arena, key)};
    return row;
}

void census_add(struct census *census, struct span key, uint64_t id, uint64_t age_ms,
                uint64_t bytes, unsigned recipients)
{
    struct census_row *row = find_row(census, key);

    row->recipients += recipients;
    if (row->last_id == id)
        return;
    row->last_id = id;
    row->messages++;
    row->bytes += bytes;
    row->ages[census_age(age_ms)]++;
}

static int compare(const void *a, const void *b)
{
    const struct census_row *left = a, *right = b;
    size_t len = left->key.len < right->key.len ? left->key.len : right->key.len;

    if (left->messages != right->messages)
        return left->messages > right->messages ? -1 : 1;
    int order = len ? memcmp(left->key.ptr, right->key.ptr, len) : 0;
    return order != 0 ? order : (left->key.len > right->key.len) - (left->key.len < right->key.len);
}

const struct census_row *census_rows(struct census *census, unsigned *count_out)
{
    if (census->count > 0)
        qsort(census->rows, census->count, sizeof *census->rows, compare);
    *count_out = census->count;
    if (census->rest.messages > 0) {
        census->rows = mem_realloc(census->rows, (census->count + 1) * sizeof *census->rows);
        census->rows[census->count] = census->rest;
        ++*count_out;
    }
    return census->rows;
}

unsigned census_age(uint64_t ms)
{
    uint64_t bound = FIRST_AGE_MS;
    unsigned age = 0;

    while (age < CENSUS_AGES - 1 && ms >= bound) {
        bound *= 2;
        age++;
    }
    return age;
}

const char *census_age_name(unsigned age)
{
    static const char *const names[CENSUS_AGES] = {"5m",   "10m",  "20m",  "40m",   "80m",
                                                   "160m", "320m", "640m", "1280m", "1280m+"};

    return names[age];
}
