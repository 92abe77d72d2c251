/* The fields of a header that rules ask for. */
#include "private.h"

#include <strings.h>

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static struct smarthop_span trim(struct smarthop_span text)
{
    while (text.len > 0 && is_blank(text.ptr[0]))
        text = smarthop_span_of(text.ptr + 1, text.len - 1);
    while (text.len > 0 && is_blank(text.ptr[text.len - 1]))
        text.len--;
    return text;
}

/* One field with its further lines, which begin with blanks (RFC 5322, section 2.2.3). */
static size_t field_len(const char *ptr, const char *end)
{
    const char *at = ptr;

    do {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        if (newline == NULL)
            return (size_t)(end - ptr);
        at = newline + 1;
    } while (at < end && (*at == ' ' || *at == '\t'));
    return (size_t)(at - ptr);
}

static uint32_t find_name(const struct rules *rules, struct smarthop_span name)
{
    uint32_t i = 0;

    while (i < rules->name_count && (rules->names[i].len != name.len ||
                                     strncasecmp(rules->names[i].ptr, name.ptr, name.len) != 0))
        i++;
    return i;
}

/* Without its line ends; copied only where there are some. */
static bool unfold(struct rules_asking *asking, struct smarthop_span *value)
{
    if (value->len == 0 || memchr(value->ptr, '\n', value->len) == NULL)
        return true;
    char *copy = asking->host->alloc(asking->self, asking->event->token, value->len);
    size_t len = 0;

    if (copy == NULL)
        return false;
    for (size_t i = 0; i < value->len; i++)
        if (value->ptr[i] != '\r' && value->ptr[i] != '\n')
            copy[len++] = value->ptr[i];
    *value = smarthop_span_of(copy, len);
    return true;
}

/* NULL where no rule asks for it. */
static struct field *make(const struct rules *rules, struct rules_asking *asking,
                          struct smarthop_span text)
{
    const char *colon = memchr(text.ptr, ':', text.len);

    if (colon == NULL)
        return NULL;
    size_t len = (size_t)(colon - text.ptr);
    uint32_t name = find_name(rules, trim(smarthop_span_of(text.ptr, len)));
    struct smarthop_span value = trim(smarthop_span_of(colon + 1, text.len - len - 1));
    if (name == rules->name_count || !unfold(asking, &value))
        return NULL;
    struct field *field = asking->host->alloc(asking->self, asking->event->token, sizeof *field);
    if (field != NULL)
        *field = (struct field){.name = name, .value = value};
    return field;
}

struct field *fields_find(const struct rules *rules, struct rules_asking *asking,
                          struct smarthop_span header)
{
    struct field *first = NULL, **last = &first;

    if (header.len == 0)
        return NULL;
    const char *end = header.ptr + header.len;
    for (const char *at = header.ptr; at < end;) {
        size_t len = field_len(at, end);
        struct field *field = make(rules, asking, smarthop_span_of(at, len));
        if (field != NULL) {
            *last = field;
            last = &field->next;
        }
        at += len;
    }
    return first;
}
