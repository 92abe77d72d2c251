#include "base/arena.h"

#include "base/memory.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

struct arena_block {
    struct arena_block *next;
    size_t size;
    _Alignas(max_align_t) char data[];
};

enum { ARENA_FIRST = 480, ARENA_MOST = 16384 };

void arena_init(struct arena *a)
{
    *a = (struct arena){0};
}

void arena_fini(struct arena *a)
{
    while (a->blocks != NULL) {
        struct arena_block *next = a->blocks->next;
        free(a->blocks);
        a->blocks = next;
    }
    arena_init(a);
}

static void add_block(struct arena *a, size_t at_least)
{
    size_t size = a->blocks ? a->blocks->size * 2 : ARENA_FIRST;

    if (size > ARENA_MOST)
        size = ARENA_MOST;
    if (size < at_least)
        size = at_least;
    struct arena_block *block = mem_alloc(sizeof *block + size);
    block->next = a->blocks;
    block->size = size;
    a->blocks = block;
    a->used = 0;
    a->allocated += sizeof *block + size;
}

static void *take(struct arena *a, size_t size, size_t align)
{
    a->used = (a->used + align - 1) & ~(align - 1);
    if (a->blocks == NULL || a->used > a->blocks->size || a->blocks->size - a->used < size)
        add_block(a, size);
    void *ptr = a->blocks->data + a->used;
    a->used += size;
    return ptr;
}

void *arena_alloc(struct arena *a, size_t size)
{
    return memset(take(a, size, _Alignof(max_align_t)), 0, size);
}

struct span arena_dup(struct arena *a, struct span s)
{
    char *copy = take(a, s.len + 1, 1);

    if (s.len > 0)
        memcpy(copy, s.ptr, s.len);
    copy[s.len] = '\0';
    return span_of(copy, s.len);
}

struct span arena_printf(struct arena *a, const char *format, ...)
{
    va_list args;
    char small[256];

    va_start(args, format);
    int len = vsnprintf(small, sizeof small, format, args);
    va_end(args);
    if (len < 0)
        abort();
    if ((size_t)len < sizeof small)
        return arena_dup(a, span_of(small, (size_t)len));
    char *copy = take(a, (size_t)len + 1, 1);
    va_start(args, format);
    vsnprintf(copy, (size_t)len + 1, format, args);
    va_end(args);
    return span_of(copy, (size_t)len);
}
