#include "base/block.h"

#include "base/memory.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

/* A block that nobody uses begins with a link to the next one. */
struct kept {
    struct kept *next;
};

#if defined(__SANITIZE_ADDRESS__)
enum { KEPT_MAX = 0 }; /* use after free is to be seen */
#else
enum { KEPT_MAX = BLOCK_KEPT_MAX };
#endif

/* As malloc's own, it belongs to the process. */
static struct {
    pthread_mutex_t lock;
    struct kept *small, *large;
    size_t bytes;
} keeper = {.lock = PTHREAD_MUTEX_INITIALIZER};

size_t block_size(size_t size)
{
    return size <= BLOCK_SMALL ? BLOCK_SMALL : BLOCK_LARGE;
}

static struct kept **list_of(size_t size)
{
    if (size == BLOCK_SMALL)
        return &keeper.small;
    return size == BLOCK_LARGE ? &keeper.large : NULL;
}

void *block_take(size_t size)
{
    struct kept **list = list_of(size), *block = NULL;

    if (list != NULL) {
        pthread_mutex_lock(&keeper.lock);
        block = *list;
        if (block != NULL) {
            *list = block->next;
            keeper.bytes -= size;
        }
        pthread_mutex_unlock(&keeper.lock);
    }
    return block != NULL ? block : mem_alloc(size);
}

void block_give(void *memory, size_t size)
{
    struct kept **list = list_of(size), *block = memory;
    bool keep = false;

    if (list != NULL && block != NULL) {
        pthread_mutex_lock(&keeper.lock);
        keep = keeper.bytes + size <= KEPT_MAX;
        if (keep) {
            block->next = *list;
            *list = block;
            keeper.bytes += size;
        }
        pthread_mutex_unlock(&keeper.lock);
    }
    if (!keep)
        free(block);
}
