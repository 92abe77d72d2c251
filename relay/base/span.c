#include "base/span.h"

#include "base/memory.h"

char *span_to_text(struct span s)
{
    char *text = mem_alloc(s.len + 1);

    if (s.len > 0)
        memcpy(text, s.ptr, s.len);
    text[s.len] = '\0';
    return text;
}

uint64_t span_hash(struct span s)
{
    uint64_t h = 0xcbf29ce484222325u;

    for (size_t i = 0; i < s.len; i++)
        h = (h ^ (unsigned char)s.ptr[i]) * 0x100000001b3u;
    return h;
}

bool span_equal_nocase(struct span a, struct span b)
{
    if (a.len != b.len)
        return false;
    for (size_t i = 0; i < a.len; i++)
        if (ascii_lower(a.ptr[i]) != ascii_lower(b.ptr[i]))
            return false;
    return true;
}

bool span_starts_nocase(struct span s, struct span prefix)
{
    return s.len >= prefix.len && span_equal_nocase(span_head(s, prefix.len), prefix);
}

bool span_ends_nocase(struct span s, struct span suffix)
{
    return s.len >= suffix.len && span_equal_nocase(span_from(s, s.len - suffix.len), suffix);
}

size_t span_rindex(struct span s, char byte)
{
    for (size_t i = s.len; i > 0; i--)
        if (s.ptr[i - 1] == byte)
            return i - 1;
    return s.len;
}

struct span span_trim(struct span s)
{
    while (s.len > 0 && (s.ptr[0] == ' ' || s.ptr[0] == '\t'))
        s = span_from(s, 1);
    while (s.len > 0 && (s.ptr[s.len - 1] == ' ' || s.ptr[s.len - 1] == '\t'))
        s.len--;
    return s;
}

struct span span_split(struct span s, char byte, struct span *rest_out)
{
    size_t at = span_index(s, byte);

    *rest_out = span_from(s, at < s.len ? at + 1 : at);
    return span_head(s, at);
}

bool span_parse_u64(struct span s, uint64_t *value_out)
{
    uint64_t value = 0;

    if (s.len == 0)
        return false;
    for (size_t i = 0; i < s.len; i++) {
        if (!ascii_is_digit(s.ptr[i]))
            return false;
        uint64_t digit = (uint64_t)(s.ptr[i] - '0');
        if (value > (UINT64_MAX - digit) / 10)
            return false;
        value = value * 10 + digit;
    }
    *value_out = value;
    return true;
}

struct span span_format_u64(uint64_t value, char text[SPAN_U64_MAX])
{
    size_t at = SPAN_U64_MAX;

    do {
        text[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    return span_of(text + at, SPAN_U64_MAX - at);
}

bool span_has_control(struct span s)
{
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        if ((c < ' ' && c != '\t') || c == 0x7f)
            return true;
    }
    return false;
}
