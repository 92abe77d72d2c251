#include "base/buf.h"

#include "base/block.h"
#include "base/memory.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { BUF_FIRST = 256 };

void buf_init(struct buf *b, size_t max)
{
    *b = (struct buf){.max = max};
}

void buf_fini(struct buf *b)
{
    block_give(b->data, b->cap);
    buf_init(b, b->max);
}

static size_t grown(const struct buf *b, size_t needed)
{
    size_t cap = b->cap ? b->cap : BUF_FIRST;

    while (cap < needed)
        cap *= 2;
    return cap > BLOCK_MIN && needed <= BLOCK_LARGE ? block_size(needed) : cap;
}

char *buf_reserve(struct buf *b, size_t len)
{
    size_t held = buf_len(b);

    if (b->max != 0 && (len > b->max || held > b->max - len))
        return NULL;
    if (b->cap - b->end >= len && b->data != NULL)
        return b->data + b->end;
    if (b->start > 0 && b->cap >= held + len) {
        memmove(b->data, b->data + b->start, held);
    } else {
        size_t cap = grown(b, held + len);
        char *data = block_take(cap);
        if (held > 0)
            memcpy(data, b->data + b->start, held);
        block_give(b->data, b->cap);
        b->data = data;
        b->cap = cap;
    }
    b->start = 0;
    b->end = held;
    return b->data + held;
}

void buf_commit(struct buf *b, size_t len)
{
    b->end += len;
}

bool buf_append(struct buf *b, struct span s)
{
    if (s.len == 0)
        return true;
    char *room = buf_reserve(b, s.len);
    if (room == NULL)
        return false;
    memcpy(room, s.ptr, s.len);
    b->end += s.len;
    return true;
}

static bool append_formatted(struct buf *b, const char *format, va_list args)
{
    char small[512];
    va_list again;

    va_copy(again, args);
    int len = vsnprintf(small, sizeof small, format, args);
    bool done = false;
    if (len >= 0 && (size_t)len < sizeof small) {
        done = buf_append(b, span_of(small, (size_t)len));
    } else if (len >= 0) {
        char *text = mem_alloc((size_t)len + 1); /* its NUL might not fit into a bounded buf */
        vsnprintf(text, (size_t)len + 1, format, again);
        done = buf_append(b, span_of(text, (size_t)len));
        free(text);
    }
    va_end(again);
    return done;
}

bool buf_printf(struct buf *b, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    bool done = append_formatted(b, format, args);
    va_end(args);
    return done;
}

void buf_add(struct buf *b, struct span s)
{
    if (!buf_append(b, s))
        abort();
}

void buf_add_text(struct buf *b, const char *text)
{
    buf_add(b, span_cstr(text));
}

void buf_add_u64(struct buf *b, uint64_t value)
{
    char digits[SPAN_U64_MAX];

    buf_add(b, span_format_u64(value, digits));
}

void buf_addf(struct buf *b, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    bool done = append_formatted(b, format, args);
    va_end(args);
    if (!done)
        abort();
}

void buf_consume(struct buf *b, size_t len)
{
    size_t held = buf_len(b);

    if (len < held)
        b->start += len;
    else
        buf_fini(b);
}

void buf_clear(struct buf *b)
{
    b->start = b->end = 0;
}

void buf_truncate(struct buf *b, size_t len)
{
    if (len == 0)
        buf_fini(b);
    else if (len < buf_len(b))
        b->end = b->start + len;
}
