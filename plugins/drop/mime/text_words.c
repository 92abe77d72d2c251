/* Encoded words (RFC 2047, with RFC 2231 5) in a field's value. */
#include "plugins/drop/mime/text.h"

enum {
    WORD_CHARSET_MAX = 60,
    WORD_CHARSETS_MAX = 32, /* changes of charset in one value: opening one is not cheap */
};

struct word {
    struct span charset;
    bool is_base64;
    struct span text;
    size_t len; /* of all of it */
};

struct word_writer {
    struct buf *out;
    struct text_charset *charset; /* of the words before; a character may go over several */
    struct span charset_name;
    unsigned charsets;
    struct buf content;
};

/* Of text that begins with "=?". */
static bool read_word(struct span text, struct word *out)
{
    struct span rest = span_from(text, 2);
    size_t end = span_index(span_head(rest, WORD_CHARSET_MAX), '?');

    if (end == 0 || end + 2 >= rest.len || rest.ptr[end] != '?' || rest.ptr[end + 2] != '?')
        return false;
    struct span language;
    char encoding = ascii_lower(rest.ptr[end + 1]);
    out->charset = span_split(span_head(rest, end), '*', &language);
    out->is_base64 = encoding == 'b';
    if (encoding != 'b' && encoding != 'q')
        return false;
    rest = span_from(rest, end + 3);
    end = span_index(rest, '?');
    if (end + 1 >= rest.len || rest.ptr[end + 1] != '=')
        return false;
    out->text = span_head(rest, end);
    out->len = (size_t)(rest.ptr - text.ptr) + end + 2;
    return true;
}

static void end_words(struct word_writer *w)
{
    if (w->charset == NULL)
        return;
    text_charset_end(w->charset, w->out);
    text_charset_free(w->charset);
    w->charset = NULL;
}

static void decode_q(struct span text, struct buf *out)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i] == '_' ? ' ' : text.ptr[i];
        if (c == '=' && i + 2 < text.len && ascii_hex_value(text.ptr[i + 1]) >= 0 &&
            ascii_hex_value(text.ptr[i + 2]) >= 0) {
            c = (char)(ascii_hex_value(text.ptr[i + 1]) << 4 | ascii_hex_value(text.ptr[i + 2]));
            i += 2;
        }
        buf_add(out, span_of(&c, 1));
    }
}

static void decode_b(struct span text, struct buf *out)
{
    struct text_transfer transfer;

    text_transfer_init(&transfer, MIME_BASE64);
    text_transfer_feed(&transfer, text, out);
    text_transfer_end(&transfer, out);
}

static void put_word(struct word_writer *w, const struct word *word)
{
    if (w->charset != NULL && !span_equal_nocase(w->charset_name, word->charset))
        end_words(w);
    if (w->charset == NULL) {
        bool is_known = w->charsets++ < WORD_CHARSETS_MAX;
        w->charset = text_charset_create(is_known ? word->charset : SPAN_NONE);
        w->charset_name = word->charset;
    }
    buf_clear(&w->content);
    if (word->is_base64)
        decode_b(word->text, &w->content);
    else
        decode_q(word->text, &w->content);
    text_charset_feed(w->charset, buf_span(&w->content), w->out);
}

static bool is_white(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* What is in no encoded word: without its folding, and what is not UTF-8 as Latin-1. */
static void put_plain(struct word_writer *w, struct span text)
{
    end_words(w);
    struct text_charset *charset = text_charset_create(SPAN_NONE);
    while (text.len > 0) {
        size_t len = span_index(text, '\r');
        bool is_fold = len + 1 < text.len && text.ptr[len + 1] == '\n';
        text_charset_feed(charset, span_head(text, len + !is_fold), w->out);
        text = span_from(text, len + (is_fold ? 2 : 1));
    }
    text_charset_end(charset, w->out);
    text_charset_free(charset);
}

/* The next "=?", or the end. */
static size_t find_mark(struct span text, size_t from)
{
    while (from < text.len) {
        from += span_index(span_from(text, from), '=');
        if (from + 1 < text.len && text.ptr[from + 1] == '?')
            return from;
        from++;
    }
    return text.len;
}

static bool is_blank(struct span text)
{
    for (size_t i = 0; i < text.len; i++)
        if (!is_white(text.ptr[i]))
            return false;
    return true;
}

void text_words(struct span value, struct buf *out)
{
    struct word_writer w = {.out = out};
    struct word word;
    size_t plain = 0; /* where what is not written yet begins */

    buf_init(&w.content, 0);
    for (size_t at = find_mark(value, 0); at < value.len;) {
        if (!read_word(span_from(value, at), &word)) {
            at = find_mark(value, at + 1);
            continue;
        }
        struct span between = span_of(value.ptr + plain, at - plain);
        if (between.len > 0 && !(w.charset != NULL && is_blank(between)))
            put_plain(&w, between);
        put_word(&w, &word);
        plain = at + word.len;
        at = find_mark(value, plain);
    }
    if (plain < value.len)
        put_plain(&w, span_from(value, plain));
    end_words(&w);
    buf_fini(&w.content);
}
