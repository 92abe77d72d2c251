#include "proto/status.h"

struct status status_dup(struct arena *a, const struct status *s)
{
    struct status copy = *s;

    copy.text = arena_dup(a, s->text);
    copy.by = arena_dup(a, s->by);
    return copy;
}

void status_keep(struct arena *own, struct status *kept, const struct status *s)
{
    struct arena arena;

    arena_init(&arena);
    struct status copy = status_dup(&arena, s);
    arena_fini(own);
    *own = arena;
    *kept = copy;
}

/* RFC 3463 2: subject and detail are one to three digits; RFC 2034 4 wants no leading zeros.
 * Returns the digits taken, or 0. */
static size_t take_number(struct span s, uint16_t *out)
{
    uint16_t value = 0;
    size_t len = 0;

    while (len < s.len && len < 3 && ascii_is_digit(s.ptr[len])) {
        value = (uint16_t)(value * 10 + (s.ptr[len] - '0'));
        len++;
    }
    if (len > 1 && s.ptr[0] == '0')
        return 0;
    *out = value;
    return len;
}

size_t enhanced_code_parse(struct span s, struct enhanced_code *out)
{
    struct enhanced_code code = {0};

    if (s.len < 5 || s.ptr[1] != '.')
        return 0;
    if (s.ptr[0] != '2' && s.ptr[0] != '4' && s.ptr[0] != '5')
        return 0;
    code.klass = (uint8_t)(s.ptr[0] - '0');
    size_t at = 2;
    size_t len = take_number(span_from(s, at), &code.subject);
    at += len;
    if (len == 0 || at == s.len || s.ptr[at] != '.')
        return 0;
    at++;
    len = take_number(span_from(s, at), &code.detail);
    at += len;
    if (len == 0 || (at < s.len && s.ptr[at] != ' '))
        return 0;
    *out = code;
    return at < s.len ? at + 1 : at;
}

/* Three digits are all that RFC 3463 has; it also keeps a wild value inside the bound. */
static char *put_number(char *to, unsigned value)
{
    char digits[SPAN_U64_MAX];
    struct span text = span_format_u64(value % 1000, digits);

    memcpy(to, text.ptr, text.len);
    return to + text.len;
}

size_t enhanced_code_format(struct enhanced_code code, char text[ENHANCED_CODE_TEXT_MAX])
{
    char *end = text;

    if (code.klass > 0) {
        end = put_number(end, code.klass % 10);
        *end++ = '.';
        end = put_number(end, code.subject);
        *end++ = '.';
        end = put_number(end, code.detail);
    }
    *end = '\0';
    return (size_t)(end - text);
}

struct enhanced_code enhanced_code_for_reply(uint16_t reply_code)
{
    unsigned klass = reply_code / 100u;

    if (klass != 2 && klass != 4 && klass != 5)
        return (struct enhanced_code){0};
    return (struct enhanced_code){.klass = (uint8_t)klass};
}
