/* Transfer encodings (RFC 2045 6.7, 6.8) to their content. */
#include "plugins/drop/mime/text.h"

enum { BASE64_PAD = 64, BASE64_SKIP = 65, BASE64_BAD = 66 };

/* Of quoted-printable. */
enum quoted_state {
    QUOTED_TEXT,
    QUOTED_EQUALS, /* behind '=' */
    QUOTED_HEX,    /* behind '=' and a digit, which is held */
    QUOTED_BLANKS, /* behind '=' and blanks: a line end should follow */
    QUOTED_CR,     /* behind '=' and CR */
};

void text_transfer_init(struct text_transfer *t, enum mime_encoding encoding)
{
    t->encoding = encoding;
    t->state = 0;
    t->held_len = 0;
    t->blank_count = 0;
    t->is_broken = encoding == MIME_OTHER;
}

/* ---- base64 ------------------------------------------------------------------------------- */

/* By byte: its six bits, or what else it is. */
/* clang-format off */
static const unsigned char base64_values[256] = {
    66, 66, 66, 66, 66, 66, 66, 66, 66, 65, 65, 66, 66, 65, 66, 66,
    66, 66, 66, 66, 66, 66, 66, 66, 66, 66, 66, 66, 66, 66, 66, 66,
    65, 66, 66, 66, 66, 66, 66, 66, 66, 66, 66, 62, 66, 66, 66, 63,
    52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 66, 66, 66, 64, 66, 66,
    66, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14,
    15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 66, 66, 66, 66, 66,
    66, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40,
    41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, 66, 66, 66, 66, 66,
    66, 66, 66, 66, 66, 66, 66, 66, 66, 66, 66, 66, 66, 66, 66, 66,
    66, 66, 66, 66, 66, 66, 66, 66, 66, 66, 66, 66, 66, 66, 66, 66,
    66, 66, 66, 66, 66, 66, 66, 66, 66, 66, 66, 66, 66, 66, 66, 66,
    66, 66, 66, 66, 66, 66, 66, 66, 66, 66, 66, 66, 66, 66, 66, 66,
    66, 66, 66, 66, 66, 66, 66, 66, 66, 66, 66, 66, 66, 66, 66, 66,
    66, 66, 66, 66, 66, 66, 66, 66, 66, 66, 66, 66, 66, 66, 66, 66,
    66, 66, 66, 66, 66, 66, 66, 66, 66, 66, 66, 66, 66, 66, 66, 66,
    66, 66, 66, 66, 66, 66, 66, 66, 66, 66, 66, 66, 66, 66, 66, 66,
};
/* clang-format on */

static unsigned base64_value(char c)
{
    return base64_values[(unsigned char)c];
}

/* Whole groups of plain letters, as nearly all are. Returns what it used. */
static size_t decode_groups(struct span bytes, struct buf *out)
{
    unsigned char *begin = (unsigned char *)buf_reserve(out, bytes.len / 4 * 3 + 1);
    unsigned char *to = begin;
    size_t at = 0;

    while (at + 4 <= bytes.len) {
        unsigned a = base64_value(bytes.ptr[at]), b = base64_value(bytes.ptr[at + 1]);
        unsigned c = base64_value(bytes.ptr[at + 2]), d = base64_value(bytes.ptr[at + 3]);
        if ((a | b | c | d) >= BASE64_PAD)
            break;
        *to++ = (unsigned char)(a << 2 | b >> 4);
        *to++ = (unsigned char)(b << 4 | c >> 2);
        *to++ = (unsigned char)(c << 6 | d);
        at += 4;
    }
    buf_commit(out, (size_t)(to - begin));
    return at;
}

/* What is held of a group, when it ends early or is whole. */
static void flush_group(struct text_transfer *t, struct buf *out)
{
    unsigned char v[4] = {0};
    char bytes[3];

    memcpy(v, t->held, t->held_len);
    bytes[0] = (char)(v[0] << 2 | v[1] >> 4);
    bytes[1] = (char)(v[1] << 4 | v[2] >> 2);
    bytes[2] = (char)(v[2] << 6 | v[3]);
    if (t->held_len > 1)
        buf_add(out, span_of(bytes, t->held_len - 1));
    t->is_broken |= t->held_len == 1;
    t->held_len = 0;
}

/* `state` is set behind the padding, where nothing more should come. */
static void feed_base64(struct text_transfer *t, struct span bytes, struct buf *out)
{
    while (bytes.len > 0) {
        if (t->held_len == 0 && t->state == 0) {
            bytes = span_from(bytes, decode_groups(bytes, out));
            if (bytes.len == 0)
                return;
        }
        unsigned value = base64_value(bytes.ptr[0]);
        bytes = span_from(bytes, 1);
        if (value < BASE64_PAD) {
            t->is_broken |= t->state != 0;
            t->held[t->held_len++] = (unsigned char)value;
            if (t->held_len == sizeof t->held)
                flush_group(t, out);
        } else if (value == BASE64_PAD) {
            flush_group(t, out);
            t->state = 1;
        } else {
            t->is_broken |= value == BASE64_BAD;
        }
    }
}

/* ---- quoted-printable --------------------------------------------------------------------- */

static void flush_blanks(struct text_transfer *t, struct buf *out)
{
    buf_add(out, span_of(t->blanks, t->blank_count));
    t->blank_count = 0;
}

/* Letters as far as the next byte that means something. Returns how many. */
static size_t pass_plain(struct text_transfer *t, struct span bytes, struct buf *out)
{
    size_t len = 0;

    while (len < bytes.len && (unsigned char)bytes.ptr[len] > ' ' && bytes.ptr[len] != '=')
        len++;
    if (len > 0) {
        flush_blanks(t, out);
        buf_add(out, span_head(bytes, len));
    }
    return len;
}

static void read_quoted_text(struct text_transfer *t, char c, struct buf *out)
{
    if (c == ' ' || c == '\t') {
        if (t->blank_count == sizeof t->blanks)
            flush_blanks(t, out);
        t->blanks[t->blank_count++] = c;
        return;
    }
    if (c == '\r' || c == '\n')
        t->blank_count = 0; /* RFC 2045 6.7 (3) */
    flush_blanks(t, out);
    if (c == '=')
        t->state = QUOTED_EQUALS;
    else
        buf_add(out, span_of(&c, 1));
}

/* It was no code: what was read stands for itself. */
static void give_up(struct text_transfer *t, char c, struct buf *out)
{
    t->is_broken = true;
    buf_add(out, SPAN("="));
    if (t->state == QUOTED_HEX)
        buf_add(out, span_of((const char *)t->held, 1));
    if (t->state == QUOTED_CR)
        buf_add(out, SPAN("\r"));
    t->state = QUOTED_TEXT;
    read_quoted_text(t, c, out);
}

static void read_quoted(struct text_transfer *t, char c, struct buf *out)
{
    bool is_blank = c == ' ' || c == '\t';

    if (t->state == QUOTED_TEXT) {
        read_quoted_text(t, c, out);
    } else if (t->state == QUOTED_EQUALS && ascii_hex_value(c) >= 0) {
        t->held[0] = (unsigned char)c;
        t->state = QUOTED_HEX;
    } else if (t->state == QUOTED_HEX && ascii_hex_value(c) >= 0) {
        char byte = (char)(ascii_hex_value((char)t->held[0]) << 4 | ascii_hex_value(c));
        buf_add(out, span_of(&byte, 1));
        t->state = QUOTED_TEXT;
    } else if (c == '\n' && t->state != QUOTED_HEX) {
        t->state = QUOTED_TEXT;
    } else if (c == '\r' && (t->state == QUOTED_EQUALS || t->state == QUOTED_BLANKS)) {
        t->state = QUOTED_CR;
    } else if (is_blank && (t->state == QUOTED_EQUALS || t->state == QUOTED_BLANKS)) {
        t->state = QUOTED_BLANKS;
    } else {
        give_up(t, c, out);
    }
}

static void feed_quoted(struct text_transfer *t, struct span bytes, struct buf *out)
{
    while (bytes.len > 0) {
        size_t len = t->state == QUOTED_TEXT ? pass_plain(t, bytes, out) : 0;
        if (len == 0) {
            read_quoted(t, bytes.ptr[0], out);
            len = 1;
        }
        bytes = span_from(bytes, len);
    }
}

/* ---- all ---------------------------------------------------------------------------------- */

bool text_transfer_feed(struct text_transfer *t, struct span bytes, struct buf *out)
{
    if (t->encoding == MIME_BASE64)
        feed_base64(t, bytes, out);
    else if (t->encoding == MIME_QUOTED_PRINTABLE)
        feed_quoted(t, bytes, out);
    else
        buf_add(out, bytes);
    return !t->is_broken;
}

bool text_transfer_end(struct text_transfer *t, struct buf *out)
{
    if (t->encoding == MIME_BASE64)
        flush_group(t, out);
    t->is_broken |= t->encoding == MIME_QUOTED_PRINTABLE && t->state == QUOTED_HEX;
    t->blank_count = 0;
    return !t->is_broken;
}
