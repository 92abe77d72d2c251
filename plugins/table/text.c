/* Bytes of table files and addresses. */
#include "text.h"

#include <stdarg.h>
#include <stdio.h>

size_t text_rindex(struct smarthop_span s, char byte)
{
    const char *at = s.len > 0 ? memrchr(s.ptr, byte, s.len) : NULL;

    return at != NULL ? (size_t)(at - s.ptr) : s.len;
}

struct smarthop_span text_trim(struct smarthop_span s)
{
    while (s.len > 0 && text_is_blank(s.ptr[0]))
        s = text_from(s, 1);
    while (s.len > 0 && text_is_blank(s.ptr[s.len - 1]))
        s.len--;
    return s;
}

struct smarthop_span text_word(struct smarthop_span *rest, bool comma)
{
    struct smarthop_span s = *rest;
    bool quoted = false;
    size_t end = 0;

    while (s.len > 0 && (text_is_blank(s.ptr[0]) || (comma && s.ptr[0] == ',')))
        s = text_from(s, 1);
    for (; end < s.len; end++) {
        char c = s.ptr[end];
        if (quoted && c == '\\' && end + 1 < s.len)
            end++;
        else if (c == '"')
            quoted = !quoted;
        else if (!quoted && (text_is_blank(c) || (comma && c == ',')))
            break;
    }
    *rest = text_from(s, end);
    return smarthop_span_of(s.ptr, end);
}

bool text_port(struct smarthop_span s, uint16_t *out)
{
    unsigned value = 0;

    for (size_t i = 0; i < s.len && value <= UINT16_MAX; i++) {
        if (s.ptr[i] < '0' || s.ptr[i] > '9')
            return false;
        value = value * 10 + (unsigned)(s.ptr[i] - '0');
    }
    *out = (uint16_t)value;
    return value > 0 && value <= UINT16_MAX;
}

static bool is_name_byte(char c)
{
    char low = text_lower(c);

    return (low >= 'a' && low <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

bool text_is_domain(struct smarthop_span s)
{
    bool is_label = false;

    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] == '.' ? !is_label : !is_name_byte(s.ptr[i]))
            return false;
        is_label = s.ptr[i] != '.';
    }
    return is_label && s.len <= 253;
}

/* What begins like a file, a command or a list is none, in quotes neither. */
static bool is_local(struct smarthop_span s)
{
    struct smarthop_span rest = s;
    bool quoted = s.len > 2 && s.ptr[0] == '"' && s.ptr[s.len - 1] == '"';

    if (s.len == 0 || text_word(&rest, true).len != s.len)
        return false;
    if (!quoted && (text_index(s, '"') < s.len || text_index(s, '@') < s.len))
        return false;
    return strchr("|/:", s.ptr[quoted]) == NULL;
}

static bool is_literal(struct smarthop_span s)
{
    return s.len > 2 && s.ptr[0] == '[' && text_index(s, ']') == s.len - 1;
}

bool text_is_address(struct smarthop_span s)
{
    size_t at = text_rindex(s, '@');

    if (at == s.len || !is_local(smarthop_span_of(s.ptr, at)))
        return false;
    struct smarthop_span domain = text_from(s, at + 1);
    return text_is_domain(domain) || is_literal(domain);
}

void problem_add(struct problems *problems, const char *file, unsigned line, const char *format,
                 ...)
{
    va_list args;

    if (problems->count++ >= PROBLEMS_MAX)
        return;
    char *text = problems->texts[problems->count - 1];
    int len = line != 0 ? snprintf(text, PROBLEM_ROOM, "%s:%u: ", file, line)
                        : snprintf(text, PROBLEM_ROOM, "%s: ", file);
    if (len < 0 || len >= PROBLEM_ROOM)
        return;
    va_start(args, format);
    vsnprintf(text + len, PROBLEM_ROOM - (size_t)len, format, args);
    va_end(args);
}
