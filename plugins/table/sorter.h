/*
 * sorter: brings the entries of a table into the order of their hashes with bounded memory: what
 * does not fit goes, sorted, into a file that has no name, and is merged in the end.
 */
#ifndef SMARTHOP_TABLE_SORTER_H
#define SMARTHOP_TABLE_SORTER_H

#include "text.h"

enum { SORTER_MEMORY = 32 * 1024 * 1024 };

struct entry {
    uint64_t hash;
    uint32_t line; /* of equal hashes the lowest line comes first */
    struct smarthop_span value;
};

struct sorter; /* one thread */

/* `memory` for entries, at most; the file lies in `folder`. NULL = no memory. */
struct sorter *sorter_create(const char *folder, size_t memory);
/* False: errno says why; nothing more can be done with it. */
bool sorter_add(struct sorter *sorter, const struct entry *entry);
/* Behind the last add. */
bool sorter_sort(struct sorter *sorter);
/* 1: the next entry, whose value lasts until the next call; 0: there is none; -1: errno says why.
 */
int sorter_next(struct sorter *sorter, struct entry *out);
/* NULL is let be. */
void sorter_free(struct sorter *sorter);

#endif
