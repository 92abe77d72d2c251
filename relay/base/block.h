/*
 * block: the memory of large buffers, a little of which is kept for the next one. Fresh memory of
 * such sizes comes from the kernel page by page, each one zeroed and mapped on its own: for the
 * body of a large message that costs more than its bytes do.
 *
 * Any thread. What is kept is bounded (BLOCK_KEPT_MAX); all else goes back when it is given.
 */
#ifndef SMARTHOP_BASE_BLOCK_H
#define SMARTHOP_BASE_BLOCK_H

#include <stddef.h>

enum {
    BLOCK_MIN = 128 * 1024,            /* up to here malloc serves as well */
    BLOCK_SMALL = 256 * 1024,          /* what waits to leave on a connection; a staged piece */
    BLOCK_LARGE = 2176 * 1024,         /* a body of 2 MiB, and what was read behind it */
    BLOCK_KEPT_MAX = 32 * 1024 * 1024, /* bytes, of all sizes together */
};

/* The size of the smallest block for `size` bytes, at most BLOCK_LARGE. */
size_t block_size(size_t size);
/* Of such a size, or any other, which malloc serves; never NULL, not zeroed. */
void *block_take(size_t size);
/* With the size it was taken with. NULL is ignored. */
void block_give(void *block, size_t size);

#endif
