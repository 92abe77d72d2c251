/*
 * arena: bump allocation for things that die together (a session, a transaction, an attempt).
 *
 * Not thread-safe. Nothing is freed singly; arena_fini releases all of it. An arena that was never
 * used holds no memory.
 */
#ifndef SMARTHOP_BASE_ARENA_H
#define SMARTHOP_BASE_ARENA_H

#include "base/span.h"

struct arena_block;

struct arena {
    struct arena_block *blocks;
    size_t used;      /* in the newest block */
    size_t allocated; /* bytes of all blocks, for bounds and metrics */
};

void arena_init(struct arena *a);
void arena_fini(struct arena *a);

/* Zeroed and aligned for any type; never NULL. Sizes that a peer chose are bounded by the caller.
 */
void *arena_alloc(struct arena *a, size_t size);

/* A copy that lives as long as the arena; it is followed by a NUL that is not counted. */
struct span arena_dup(struct arena *a, struct span s);
__attribute__((format(printf, 2, 3))) struct span arena_printf(struct arena *a, const char *format,
                                                               ...);

#endif
