#include "proto/content_type.h"

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* The length of a comment at the start, which may hold others; all of the text where it has no
 * end. */
static size_t comment_length(struct span text)
{
    unsigned depth = 0;

    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] == '\\')
            i++;
        else if (text.ptr[i] == '(')
            depth++;
        else if (text.ptr[i] == ')' && --depth == 0)
            return i + 1;
    }
    return text.len;
}

static void skip_blanks(struct span *text)
{
    for (;;) {
        size_t len = 0;
        while (len < text->len && is_space(text->ptr[len]))
            len++;
        if (len < text->len && text->ptr[len] == '(')
            len += comment_length(span_from(*text, len));
        if (len == 0)
            return;
        *text = span_from(*text, len);
    }
}

/* Up to a blank or one of `ends`: wider than the grammar, as many boundaries are without the quotes
 * that they need. */
static struct span take_word(struct span *text, const char *ends)
{
    size_t len = 0;

    skip_blanks(text);
    while (len < text->len && !is_space(text->ptr[len]) && strchr(ends, text->ptr[len]) == NULL)
        len++;
    struct span word = span_head(*text, len);
    *text = span_from(*text, len);
    skip_blanks(text);
    return word;
}

static bool take_char(struct span *text, char c)
{
    if (text->len == 0 || text->ptr[0] != c)
        return false;
    *text = span_from(*text, 1);
    return true;
}

/* Into out->boundary where `keep`; what is longer is no boundary. */
static void take_value(struct span *text, bool keep, struct content_type *out)
{
    char value[CONTENT_BOUNDARY_MAX];
    size_t len = 0;

    skip_blanks(text);
    if (take_char(text, '"')) {
        while (text->len > 0 && !take_char(text, '"')) {
            take_char(text, '\\');
            if (text->len > 0 && len < sizeof value)
                value[len] = text->ptr[0];
            len++;
            *text = span_from(*text, 1);
        }
        skip_blanks(text);
    } else {
        struct span word = take_word(text, ";");
        len = word.len;
        if (len > 0 && len <= sizeof value)
            memcpy(value, word.ptr, len);
    }
    if (!keep || len == 0 || len > sizeof value)
        return;
    memcpy(out->boundary, value, len);
    out->boundary_len = len;
}

static void take_params(struct span text, struct content_type *out)
{
    while (take_char(&text, ';')) {
        struct span name = take_word(&text, "=;");
        if (!take_char(&text, '='))
            continue;
        take_value(&text, span_equal_nocase(name, SPAN("boundary")) && out->boundary_len == 0, out);
        text = span_from(text, span_index(text, ';'));
    }
}

void content_type_parse(struct span value, struct content_type *out)
{
    *out = (struct content_type){0};
    struct span type = take_word(&value, "/;");
    if (!take_char(&value, '/'))
        return;
    struct span subtype = take_word(&value, ";");
    if (span_equal_nocase(type, SPAN("message"))) {
        bool is_whole = span_equal_nocase(subtype, SPAN("rfc822")) ||
                        span_equal_nocase(subtype, SPAN("global"));
        out->kind = is_whole ? CONTENT_MESSAGE : CONTENT_OPAQUE;
    } else if (span_equal_nocase(type, SPAN("multipart"))) {
        bool is_sealed = span_equal_nocase(subtype, SPAN("signed")) ||
                         span_equal_nocase(subtype, SPAN("encrypted"));
        take_params(value, out);
        out->is_digest = span_equal_nocase(subtype, SPAN("digest"));
        out->kind = is_sealed ? CONTENT_SEALED : CONTENT_MULTIPART;
        if (out->boundary_len == 0)
            out->kind = CONTENT_OPAQUE;
    }
}
