#include "base/memory.h"

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
