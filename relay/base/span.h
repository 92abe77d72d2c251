/*
 * span: a length-counted view of bytes that somebody else owns.
 *
 * Mail data is always a span, never a C string: it may hold NULs and is not terminated. A span
 * never owns memory; the function that hands one out says how long it lives. Everything here is
 * pure and may be called from any thread.
 */
#ifndef SMARTHOP_BASE_SPAN_H
#define SMARTHOP_BASE_SPAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct span {
    const char *ptr;
    size_t len;
};

/* A span over a string literal. */
#define SPAN(literal) ((struct span){"" literal, sizeof(literal) - 1})
#define SPAN_NONE     ((struct span){NULL, 0})
/* For printf's "%.*s"; only for text that is already known to be printable and short. */
#define SPAN_ARG(s) (int)(s).len, (s).ptr

static inline struct span span_of(const char *ptr, size_t len)
{
    return (struct span){ptr, len};
}

/* NULL gives the empty span. */
static inline struct span span_cstr(const char *text)
{
    return (struct span){text, text ? strlen(text) : 0};
}

/* The bytes from `from` (bounded by the span's end) to the end. */
static inline struct span span_from(struct span s, size_t from)
{
    if (from > s.len)
        from = s.len;
    return (struct span){s.ptr ? s.ptr + from : NULL, s.len - from};
}

/* At most `count` leading bytes. */
static inline struct span span_head(struct span s, size_t count)
{
    return (struct span){s.ptr, s.len < count ? s.len : count};
}

static inline bool span_equal(struct span a, struct span b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

/* ASCII letters compare without case; all other bytes, UTF-8 among them, exactly. */
bool span_equal_nocase(struct span a, struct span b);
bool span_starts_nocase(struct span s, struct span prefix);
bool span_ends_nocase(struct span s, struct span suffix);

/* A copy on the heap with a NUL behind it, for the caller to free; never NULL. */
char *span_to_text(struct span s);

/* Index of the first such byte, or s.len. */
static inline size_t span_index(struct span s, char byte)
{
    const char *at = s.len ? memchr(s.ptr, (unsigned char)byte, s.len) : NULL;
    return at ? (size_t)(at - s.ptr) : s.len;
}

/* Index of the last such byte, or s.len. */
size_t span_rindex(struct span s, char byte);

/* Whether one of its bytes is a control character other than the tab. */
bool span_has_control(struct span s);

/* Without leading and trailing spaces and tabs. */
struct span span_trim(struct span s);

/* Splits at the first `byte`: returns what is before it, leaves in *rest what is behind it
 * (the empty span where there is none). */
struct span span_split(struct span s, char byte, struct span *rest_out);

/* FNV-1a: for tables and keys; whoever chooses the bytes can make them collide. */
uint64_t span_hash(struct span s);

/* Unsigned decimal, all digits, no sign; false on overflow, on emptiness or on any other byte. */
bool span_parse_u64(struct span s, uint64_t *value_out);

enum { SPAN_U64_MAX = 20 };
/* The other way. The digits lie in `text`; no NUL stands behind them. */
struct span span_format_u64(uint64_t value, char text[SPAN_U64_MAX]);

static inline char ascii_lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

static inline bool ascii_is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static inline bool ascii_is_alpha(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static inline bool ascii_is_alnum(char c)
{
    return ascii_is_alpha(c) || ascii_is_digit(c);
}

/* Of a hexadecimal digit in either case; -1 where it is none. */
static inline int ascii_hex_value(char c)
{
    c = ascii_lower(c);
    if (ascii_is_digit(c))
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

#endif
