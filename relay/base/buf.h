/*
 * buf: the one growable byte buffer. It owns its bytes, has a maximum, and never grows past it.
 *
 * Not thread-safe; one owner. An idle buf holds no memory: consuming
 * the last byte gives the memory back.
 */
#ifndef SMARTHOP_BASE_BUF_H
#define SMARTHOP_BASE_BUF_H

#include "base/span.h"

struct buf {
    char *data;   /* the allocation */
    size_t start; /* first unconsumed byte */
    size_t end;   /* behind the last byte */
    size_t cap;
    size_t max; /* bytes held at most; 0 means no bound (only for data that we make ourselves) */
};

void buf_init(struct buf *b, size_t max);
/* Releases the memory; the buf is empty and usable again. */
void buf_fini(struct buf *b);

static inline size_t buf_len(const struct buf *b)
{
    return b->end - b->start;
}

/* Valid until the next call that changes the buf. */
static inline struct span buf_span(const struct buf *b)
{
    return span_of(b->data ? b->data + b->start : NULL, b->end - b->start);
}

/* Each returns false, with nothing appended, where the bound would be passed. */
__attribute__((warn_unused_result)) bool buf_append(struct buf *b, struct span s);
__attribute__((warn_unused_result, format(printf, 2, 3))) bool buf_printf(struct buf *b,
                                                                          const char *format, ...);

/* For unbounded buffers (max 0), which cannot refuse. */
void buf_add(struct buf *b, struct span s);
void buf_add_text(struct buf *b, const char *text);
void buf_add_u64(struct buf *b, uint64_t value); /* in decimal */
__attribute__((format(printf, 2, 3))) void buf_addf(struct buf *b, const char *format, ...);

/* Room for at least `len` bytes behind the end, to be filled by the caller and then committed.
 * NULL where the bound would be passed. */
char *buf_reserve(struct buf *b, size_t len);
void buf_commit(struct buf *b, size_t len);

/* Forgets the first `len` bytes (at most all of them). */
void buf_consume(struct buf *b, size_t len);
void buf_clear(struct buf *b);
/* Forgets what lies behind the first `len` bytes. */
void buf_truncate(struct buf *b, size_t len);

#endif
