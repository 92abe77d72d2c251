/* Header fields and the lexical elements of their values (RFC 5322 2.2, 3.2). */
#include "plugins/drop/mime/mime_private.h"

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static bool is_white(char c)
{
    return is_blank(c) || c == '\r' || c == '\n';
}

/* Behind the line end of the field that begins here. */
static size_t field_len(struct span rest)
{
    size_t at = 0;

    while (at < rest.len) {
        const char *lf = memchr(rest.ptr + at, '\n', rest.len - at);
        if (lf == NULL)
            return rest.len;
        at = (size_t)(lf - rest.ptr) + 1;
        bool is_end = at > 1 && lf[-1] == '\r';
        if (is_end && (at == rest.len || !is_blank(rest.ptr[at])))
            return at;
    }
    return rest.len;
}

static bool is_name(struct span name)
{
    for (size_t i = 0; i < name.len; i++)
        if (name.ptr[i] <= ' ' || (unsigned char)name.ptr[i] >= 0x7f)
            return false;
    return name.len > 0;
}

bool mime_next_field(struct span *rest_inout, struct span *field_out, struct span *name_out,
                     struct span *value_out)
{
    struct span rest = *rest_inout;

    if (rest.len == 0 || (rest.len >= 2 && rest.ptr[0] == '\r' && rest.ptr[1] == '\n'))
        return false;
    struct span field = span_head(rest, field_len(rest));
    *rest_inout = span_from(rest, field.len);
    *field_out = field;
    size_t colon = span_index(field, ':');
    struct span name = span_head(field, colon);
    while (name.len > 0 && is_blank(name.ptr[name.len - 1]))
        name.len--;
    bool is_field = colon < field.len && is_name(name);
    *name_out = is_field ? name : span_head(field, 0);
    *value_out = span_from(field, is_field ? colon + 1 : 0);
    return true;
}

struct span mime_unfold(struct span value, struct arena *arena)
{
    while (value.len > 0 && is_white(value.ptr[value.len - 1]))
        value.len--;
    while (value.len > 0 && is_white(value.ptr[0]))
        value = span_from(value, 1);
    struct span copy = arena_dup(arena, value);
    char *at = memchr(copy.ptr, '\r', copy.len);
    if (at == NULL)
        return copy;
    char *to = at;
    const char *end = copy.ptr + copy.len;
    while (at < end)
        if (*at == '\r' && at + 1 < end && at[1] == '\n')
            at += 2;
        else
            *to++ = *at++;
    copy.len = (size_t)(to - copy.ptr);
    return copy;
}

struct span mime_field(struct span header, struct span name, unsigned nth, struct arena *arena)
{
    struct span field, found, value;

    while (mime_next_field(&header, &field, &found, &value))
        if (span_equal_nocase(found, name) && nth-- == 0)
            return mime_unfold(value, arena);
    return SPAN_NONE;
}

size_t mime_quoted_len(struct span text, struct span *inner_out)
{
    size_t at = 1;

    while (at < text.len && text.ptr[at] != '"')
        at += text.ptr[at] == '\\' && at + 1 < text.len ? 2 : 1;
    *inner_out = span_of(text.ptr + 1, at - 1);
    return at < text.len ? at + 1 : at;
}

size_t mime_comment_len(struct span text, struct span *inner_out)
{
    size_t depth = 1;
    size_t at = 1;

    while (at < text.len && depth > 0) {
        char c = text.ptr[at];
        if (c == '\\' && at + 1 < text.len)
            at++;
        else if (c == '(')
            depth++;
        else if (c == ')')
            depth--;
        at++;
    }
    *inner_out = span_of(text.ptr + 1, depth == 0 ? at - 2 : at - 1);
    return at;
}

struct span mime_unquote(struct span text, char *room)
{
    size_t len = 0;

    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] == '\\' && i + 1 < text.len)
            i++;
        else if (text.ptr[i] == '\r' && i + 1 < text.len && text.ptr[i + 1] == '\n')
            continue;
        else if (text.ptr[i] == '\n' && i > 0 && text.ptr[i - 1] == '\r')
            continue;
        room[len++] = text.ptr[i];
    }
    return span_of(room, len);
}

struct span mime_skip_blanks(struct span text)
{
    struct span inner;

    while (text.len > 0)
        if (is_white(text.ptr[0]))
            text = span_from(text, 1);
        else if (text.ptr[0] == '(')
            text = span_from(text, mime_comment_len(text, &inner));
        else
            break;
    return text;
}

static bool is_token(char c)
{
    switch (c) {
    case '(':
    case ')':
    case '<':
    case '>':
    case '@':
    case ',':
    case ';':
    case ':':
    case '\\':
    case '"':
    case '/':
    case '[':
    case ']':
    case '?':
    case '=':
        return false;
    default:
        return c > ' ' && (unsigned char)c < 0x7f;
    }
}

struct span mime_take_token(struct span *text_inout)
{
    struct span text = *text_inout;
    size_t len = 0;

    while (len < text.len && is_token(text.ptr[len]))
        len++;
    *text_inout = span_from(text, len);
    return span_head(text, len);
}
