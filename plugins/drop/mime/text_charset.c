/* Charsets to UTF-8: by iconv, but for those that are UTF-8 already. */
#include "base/memory.h"
#include "plugins/drop/mime/text.h"
#include "proto/utf8.h"

#include <errno.h>
#include <iconv.h>
#include <stdlib.h>

enum {
    CHARSET_NAME_MAX = 40,
    CHARSET_HELD = 16, /* bytes of a character that is not whole yet */
    CHARSET_STEP = 4096,
};

enum charset_mode {
    CHARSET_UTF8,  /* as told: what is not, is unreadable */
    CHARSET_GUESS, /* what is not UTF-8 is Latin-1 */
    CHARSET_ICONV,
};

struct text_charset {
    enum charset_mode mode;
    iconv_t iconv;
    size_t held_len;
    char held[CHARSET_HELD];
};

static const struct span replacement = {"\xef\xbf\xbd", 3}; /* U+FFFD */

static bool is_guessed(struct span name)
{
    return name.len == 0 || span_equal_nocase(name, SPAN("us-ascii")) ||
           span_equal_nocase(name, SPAN("ascii"));
}

static bool is_utf8(struct span name)
{
    return span_equal_nocase(name, SPAN("utf-8")) || span_equal_nocase(name, SPAN("utf8"));
}

/* Many who say the one mean the other, which holds it. */
static struct span wider_charset(struct span name)
{
    static const struct {
        struct span name;
        struct span wider;
    } table[] = {
        {{"gb2312", 6}, {"GB18030", 7}},        {{"gbk", 3}, {"GB18030", 7}},
        {{"ks_c_5601-1987", 14}, {"CP949", 5}}, {{"euc-kr", 6}, {"CP949", 5}},
        {{"shift_jis", 9}, {"CP932", 5}},       {{"iso-8859-8-i", 12}, {"ISO-8859-8", 10}},
    };

    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        if (span_equal_nocase(name, table[i].name))
            return table[i].wider;
    return name;
}

/* It hides ASCII, and what glibc makes of broken UTF-7 depends on how it is cut. */
static bool is_utf7(struct span name)
{
    static const struct span names[] = {{"utf-7", 5}, {"utf7", 4}, {"utf-7-imap", 10}};

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (span_ends_nocase(name, names[i]))
            return true;
    return false;
}

/* Nothing in the name may mean more to iconv than a name: no "//TRANSLIT", no path. */
static iconv_t open_converter(struct span charset)
{
    char name[CHARSET_NAME_MAX + 1];

    charset = wider_charset(charset);
    if (charset.len == 0 || charset.len > CHARSET_NAME_MAX || is_utf7(charset))
        return (iconv_t)-1;
    for (size_t i = 0; i < charset.len; i++)
        if (!ascii_is_alnum(charset.ptr[i]) && span_index(SPAN("-_.:+"), charset.ptr[i]) == 5)
            return (iconv_t)-1;
    memcpy(name, charset.ptr, charset.len);
    name[charset.len] = '\0';
    return iconv_open("UTF-8", name);
}

struct text_charset *text_charset_create(struct span charset)
{
    struct text_charset *c = mem_zalloc(sizeof *c);

    charset = span_trim(charset);
    c->iconv = (iconv_t)-1;
    c->mode = CHARSET_GUESS;
    if (is_utf8(charset))
        c->mode = CHARSET_UTF8;
    else if (!is_guessed(charset))
        c->iconv = open_converter(charset);
    if (c->iconv != (iconv_t)-1)
        c->mode = CHARSET_ICONV;
    return c;
}

void text_charset_free(struct text_charset *c)
{
    if (c == NULL)
        return;
    if (c->iconv != (iconv_t)-1)
        iconv_close(c->iconv);
    free(c);
}

bool text_charset_is_known(struct span charset)
{
    charset = span_trim(charset);
    if (is_utf8(charset) || (is_guessed(charset) && charset.len > 0))
        return true;
    iconv_t iconv = open_converter(charset);
    if (iconv == (iconv_t)-1)
        return false;
    iconv_close(iconv);
    return true;
}

/* Whether more bytes may make a character of them. */
static bool is_cut(struct span s)
{
    unsigned char first = (unsigned char)s.ptr[0];
    size_t needed = first >= 0xf0 && first <= 0xf4 ? 4 : first >= 0xe0 ? 3 : 2;

    if (first < 0xc2 || first > 0xf4 || s.len >= needed)
        return false;
    for (size_t i = 1; i < s.len; i++)
        if (((unsigned char)s.ptr[i] & 0xc0) != 0x80)
            return false;
    return true;
}

static void add_unreadable(const struct text_charset *c, unsigned char byte, struct buf *out)
{
    char latin[2] = {(char)(0xc0 | byte >> 6), (char)(0x80 | (byte & 0x3f))};

    buf_add(out, c->mode == CHARSET_GUESS ? span_of(latin, 2) : replacement);
}

/* How many words of ASCII alone there are, in bytes. */
static size_t ascii_len(struct span s)
{
    const uint64_t high = 0x8080808080808080u;
    uint64_t word;
    size_t len = 0;

    for (; len + sizeof word <= s.len; len += sizeof word) {
        memcpy(&word, s.ptr + len, sizeof word);
        if ((word & high) != 0)
            break;
    }
    return len;
}

/* Each returns how much was used; what is left is the begin of a character. */
static size_t convert_utf8(struct text_charset *c, struct span bytes, bool at_end, struct buf *out)
{
    size_t at = 0, done = 0;

    while ((at += ascii_len(span_from(bytes, at))) < bytes.len) {
        size_t len = utf8_length(span_from(bytes, at));
        if (len == 0 && !at_end && is_cut(span_from(bytes, at)))
            break;
        if (len == 0) {
            buf_add(out, span_of(bytes.ptr + done, at - done));
            add_unreadable(c, (unsigned char)bytes.ptr[at], out);
            done = at + 1;
        }
        at += len > 0 ? len : 1;
    }
    buf_add(out, span_of(bytes.ptr + done, at - done));
    return at;
}

static size_t convert_iconv(struct text_charset *c, struct span bytes, bool at_end, struct buf *out)
{
    char *in = (char *)bytes.ptr; /* iconv leaves it as it is */
    size_t left = bytes.len;

    while (left > 0) {
        char *begin = buf_reserve(out, CHARSET_STEP);
        char *to = begin;
        size_t room = CHARSET_STEP;
        size_t result = iconv(c->iconv, &in, &left, &to, &room);
        int why = errno;
        buf_commit(out, (size_t)(to - begin));
        if (result != (size_t)-1 || why == E2BIG)
            continue;
        if (why == EINVAL && !at_end && left < CHARSET_HELD)
            break;
        buf_add(out, replacement);
        in++;
        left--;
    }
    return bytes.len - left;
}

static size_t convert(struct text_charset *c, struct span bytes, bool at_end, struct buf *out)
{
    return c->mode == CHARSET_ICONV ? convert_iconv(c, bytes, at_end, out)
                                    : convert_utf8(c, bytes, at_end, out);
}

static void convert_held(struct text_charset *c, bool at_end, struct buf *out)
{
    size_t used = convert(c, span_of(c->held, c->held_len), at_end, out);

    c->held_len -= used;
    memmove(c->held, c->held + used, c->held_len);
}

void text_charset_feed(struct text_charset *c, struct span bytes, struct buf *out)
{
    while (c->held_len > 0 && bytes.len > 0) {
        c->held[c->held_len++] = bytes.ptr[0];
        bytes = span_from(bytes, 1);
        convert_held(c, false, out);
    }
    if (bytes.len == 0)
        return;
    struct span rest = span_from(bytes, convert(c, bytes, false, out));
    if (rest.len > 0)
        memcpy(c->held, rest.ptr, rest.len);
    c->held_len = rest.len;
}

void text_charset_end(struct text_charset *c, struct buf *out)
{
    if (c->held_len > 0)
        convert_held(c, true, out);
    if (c->mode != CHARSET_ICONV)
        return;
    char *begin = buf_reserve(out, CHARSET_STEP); /* some keep a character to join marks to it */
    char *to = begin;
    size_t room = CHARSET_STEP;
    iconv(c->iconv, NULL, NULL, &to, &room);
    buf_commit(out, (size_t)(to - begin));
}
