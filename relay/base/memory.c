#include "base/memory.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *must(void *ptr, size_t size)
{
    if (ptr == NULL && size != 0) {
        fprintf(stderr, "smarthop: out of memory (%zu bytes)\n", size);
        abort();
    }
    return ptr;
}

void *mem_zalloc(size_t size)
{
    return must(calloc(1, size), size);
}

void *mem_alloc(size_t size)
{
    return must(malloc(size), size);
}

void *mem_realloc(void *old, size_t size)
{
    return must(realloc(old, size), size);
}

char *mem_strdup(const char *text)
{
    size_t size = strlen(text) + 1;

    return memcpy(mem_alloc(size), text, size);
}

/* By itself malloc learns from the first large block that is freed to keep all that are as large:
 * one that is made while the store is created would have it keep the buffers of every body. */
void mem_give_back_large(void)
{
    enum { LARGE = 1024 * 1024 };

    mallopt(M_MMAP_THRESHOLD, LARGE);
    mallopt(M_TRIM_THRESHOLD, 2 * LARGE); /* the first one set, this is no longer adapted */
}
