/*
 * table: a set of short texts, made once and then only asked. It is made for millions: the texts
 * lie one behind the other in one block, and an index of 4-byte offsets finds them (open
 * addressing).
 *
 * An entry costs its text, 2 bytes for its length, and 5 to 11 bytes of the index.
 */
#ifndef SMARTHOP_RECIPIENTS_TABLE_H
#define SMARTHOP_RECIPIENTS_TABLE_H

#include "base/span.h"

struct table {
    char *text; /* the entries: a length of two bytes, then as many bytes */
    size_t text_len;
    size_t text_cap;
    uint32_t *slots; /* where an entry begins, and 1; 0 = free */
    size_t slot_count;
    size_t count;
};

enum { TABLE_ENTRY_MAX = 65535 };

enum table_result { TABLE_ADDED, TABLE_THERE, TABLE_FULL };

/* A zeroed table is an empty one. `entry` has at most TABLE_ENTRY_MAX bytes. TABLE_FULL: beyond
 * 4 GiB of text. */
enum table_result table_add(struct table *table, struct span entry);
/* Gives back what was kept for more entries. */
void table_trim(struct table *table);
void table_fini(struct table *table);

bool table_has(const struct table *table, struct span entry);
/* Bytes of memory. */
size_t table_size(const struct table *table);

#endif
