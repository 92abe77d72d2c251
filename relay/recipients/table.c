#include "recipients/table.h"

#include "base/memory.h"

#include <stdlib.h>

enum { SLOTS_FIRST = 16, TEXT_FIRST = 512, LENGTH_SIZE = 2 };

static struct span entry_at(const struct table *table, uint32_t offset)
{
    const unsigned char *at = (const unsigned char *)table->text + offset;

    return span_of((const char *)at + LENGTH_SIZE, (size_t)at[0] << 8 | at[1]);
}

/* The slot of an entry, or the free one where it would be. */
static uint32_t *slot_of(const struct table *table, struct span entry)
{
    uint64_t hash = span_hash(entry);

    for (size_t i = hash ^ hash >> 32;; i++) {
        uint32_t *slot = &table->slots[i & (table->slot_count - 1)];
        if (*slot == 0 || span_equal(entry_at(table, *slot - 1), entry))
            return slot;
    }
}

/* A quarter of the slots is always free. */
static void make_slots(struct table *table)
{
    size_t old_count = table->slot_count;
    uint32_t *old = table->slots;

    if ((table->count + 1) * 4 <= old_count * 3)
        return;
    table->slot_count = old_count > 0 ? old_count * 2 : SLOTS_FIRST;
    table->slots = mem_zalloc(table->slot_count * sizeof *table->slots);
    for (size_t i = 0; i < old_count; i++) {
        if (old[i] != 0)
            *slot_of(table, entry_at(table, old[i] - 1)) = old[i];
    }
    free(old);
}

static void make_room(struct table *table, size_t len)
{
    if (table->text_cap - table->text_len >= len)
        return;
    table->text_cap = table->text_cap > 0 ? table->text_cap * 2 : TEXT_FIRST;
    if (table->text_cap - table->text_len < len)
        table->text_cap = table->text_len + len;
    table->text = mem_realloc(table->text, table->text_cap);
}

enum table_result table_add(struct table *table, struct span entry)
{
    size_t len = LENGTH_SIZE + entry.len;

    if (table->text_len + len >= UINT32_MAX)
        return TABLE_FULL;
    make_slots(table);
    uint32_t *slot = slot_of(table, entry);
    if (*slot != 0)
        return TABLE_THERE;
    make_room(table, len);
    char *at = table->text + table->text_len;
    at[0] = (char)(entry.len >> 8);
    at[1] = (char)entry.len;
    memcpy(at + LENGTH_SIZE, entry.ptr, entry.len);
    *slot = (uint32_t)table->text_len + 1;
    table->text_len += len;
    table->count++;
    return TABLE_ADDED;
}

void table_trim(struct table *table)
{
    if (table->text_len == 0)
        return;
    table->text = mem_realloc(table->text, table->text_len);
    table->text_cap = table->text_len;
}

void table_fini(struct table *table)
{
    free(table->text);
    free(table->slots);
}

bool table_has(const struct table *table, struct span entry)
{
    return table->count > 0 && *slot_of(table, entry) != 0;
}

size_t table_size(const struct table *table)
{
    return table->text_cap + table->slot_count * sizeof *table->slots;
}
