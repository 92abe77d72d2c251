/* Modified UTF-7 (RFC 3501 5.1.3), in its one canonical form. */
#include "plugins/drop/imap/command.h"

enum {
    HIGH_FIRST = 0xD800, /* surrogates */
    LOW_FIRST = 0xDC00,
    LOW_LAST = 0xDFFF,
    BEYOND = 0x10000,
};

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,";

static bool is_direct(uint32_t c)
{
    return c >= ' ' && c <= '~';
}

/* ---- decoding ------------------------------------------------------------------------------ */

static void add_utf8(struct buf *out, uint32_t c)
{
    char bytes[4];
    size_t len = c < 0x80 ? 1 : c < 0x800 ? 2 : c < BEYOND ? 3 : 4;
    static const unsigned char leads[] = {0, 0, 0xC0, 0xE0, 0xF0};

    for (size_t i = len - 1; i > 0; i--) {
        bytes[i] = (char)(0x80 | (c & 0x3F));
        c >>= 6;
    }
    bytes[0] = (char)(leads[len] | c);
    buf_add(out, span_of(bytes, len));
}

/* One unit of UTF-16. `*high`: a surrogate that waits for its other half; 0 = none. */
static bool add_unit(struct buf *out, uint32_t unit, uint32_t *high)
{
    bool is_low = unit >= LOW_FIRST && unit <= LOW_LAST;

    if (is_low != (*high != 0))
        return false;
    if (is_low) {
        add_utf8(out, BEYOND + ((*high - HIGH_FIRST) << 10) + (unit - LOW_FIRST));
        *high = 0;
    } else if (unit >= HIGH_FIRST && unit < LOW_FIRST) {
        *high = unit;
    } else if (unit < ' ' || is_direct(unit) || unit == 0x7F) {
        return false; /* controls have no place in names; the others stand for themselves */
    } else {
        add_utf8(out, unit);
    }
    return true;
}

/* What stands between '&' and '-'. */
static bool decode_shifted(struct span text, struct buf *out)
{
    uint32_t bits = 0;
    unsigned count = 0;
    uint32_t high = 0;

    for (size_t i = 0; i < text.len; i++) {
        const char *at = memchr(alphabet, text.ptr[i], sizeof alphabet - 1);
        if (at == NULL)
            return false;
        bits = bits << 6 | (uint32_t)(at - alphabet);
        count += 6;
        if (count < 16)
            continue;
        count -= 16;
        if (!add_unit(out, bits >> count & 0xFFFF, &high))
            return false;
        bits &= (1u << count) - 1;
    }
    return high == 0 && count < 6 && bits == 0;
}

bool imap_utf7_decode(struct span name, struct buf *out)
{
    bool was_shifted = false; /* two shifts that touch are written as one */

    while (name.len > 0) {
        size_t plain = span_index(name, '&');
        for (size_t i = 0; i < plain; i++)
            if (!is_direct((unsigned char)name.ptr[i]))
                return false;
        buf_add(out, span_head(name, plain));
        if (plain == name.len)
            break;
        name = span_from(name, plain + 1);
        size_t len = span_index(name, '-');
        if (len == name.len || (len > 0 && plain == 0 && was_shifted))
            return false;
        if (len == 0)
            buf_add(out, SPAN("&"));
        else if (!decode_shifted(span_head(name, len), out))
            return false;
        was_shifted = len > 0;
        name = span_from(name, len + 1);
    }
    return true;
}

/* ---- encoding ------------------------------------------------------------------------------ */

/* Bits that wait to become characters. */
struct shift {
    struct buf *out;
    uint32_t bits;
    unsigned count;
    bool is_open;
};

static void put_unit(struct shift *s, uint32_t unit)
{
    if (!s->is_open)
        buf_add(s->out, SPAN("&"));
    s->is_open = true;
    s->bits = s->bits << 16 | unit;
    s->count += 16;
    while (s->count >= 6) {
        s->count -= 6;
        buf_add(s->out, span_of(&alphabet[s->bits >> s->count & 0x3F], 1));
    }
    s->bits &= (1u << s->count) - 1;
}

static void close_shift(struct shift *s)
{
    if (!s->is_open)
        return;
    if (s->count > 0)
        buf_add(s->out, span_of(&alphabet[s->bits << (6 - s->count) & 0x3F], 1));
    buf_add(s->out, SPAN("-"));
    *s = (struct shift){.out = s->out};
}

/* The character at the start of UTF-8; its length. */
static size_t next_character(struct span text, uint32_t *out)
{
    unsigned char lead = (unsigned char)text.ptr[0];
    size_t len = lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;

    len = len < text.len ? len : text.len;
    *out = len == 1 ? lead : lead & (0x7Fu >> len);
    for (size_t i = 1; i < len; i++)
        *out = *out << 6 | ((unsigned char)text.ptr[i] & 0x3F);
    return len;
}

void imap_utf7_encode(struct span name, struct buf *out)
{
    struct shift s = {.out = out};
    uint32_t c;

    for (size_t len; name.len > 0; name = span_from(name, len)) {
        len = next_character(name, &c);
        if (c >= BEYOND) {
            put_unit(&s, HIGH_FIRST + ((c - BEYOND) >> 10 & 0x3FF));
            put_unit(&s, LOW_FIRST + (c & 0x3FF));
        } else if (!is_direct(c)) {
            put_unit(&s, c);
        } else {
            close_shift(&s);
            buf_add(out, c == '&' ? SPAN("&-") : span_head(name, 1));
        }
    }
    close_shift(&s);
}
