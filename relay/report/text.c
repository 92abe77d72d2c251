#include "report/text.h"

#include "proto/header.h"
#include "proto/utf8.h"

struct span text_clean(struct arena *arena, struct span foreign, bool utf8)
{
    bool keep_8bit = utf8 && utf8_is_valid(foreign);
    size_t len = foreign.len;

    if (len > TEXT_WORDS_MAX) {
        len = TEXT_WORDS_MAX;
        while (keep_8bit && len > 0 && ((unsigned char)foreign.ptr[len] & 0xC0) == 0x80)
            len--; /* not inside a character */
    }
    char *clean = arena_alloc(arena, len + 1);
    for (size_t i = 0; i < len; i++) {
        unsigned char byte = (unsigned char)foreign.ptr[i];
        if (byte < ' ' || byte == 0x7F)
            clean[i] = ' ';
        else if (byte >= 0x80 && !keep_8bit)
            clean[i] = '?';
        else
            clean[i] = foreign.ptr[i];
    }
    return span_trim(span_of(clean, len));
}

/* Up to the next space; with the spaces in front of it, which may stand in a quoted local part. */
static struct span take_word(struct span *text)
{
    size_t spaces = 0;

    while (spaces < text->len && text->ptr[spaces] == ' ')
        spaces++;
    size_t len = spaces + span_index(span_from(*text, spaces), ' ');
    struct span word = span_head(*text, len);
    *text = span_from(*text, len + 1);
    return word;
}

void text_wrap(struct buf *out, size_t column, const char *indent, struct span text)
{
    struct span word = take_word(&text);

    buf_add(out, word);
    column += word.len;
    while (text.len > 0) {
        word = take_word(&text);
        if (column + 1 + word.len > TEXT_COLUMNS) {
            buf_addf(out, "\r\n%s", indent);
            column = strlen(indent);
        } else {
            buf_add(out, SPAN(" "));
            column++;
        }
        buf_add(out, word);
        column += word.len;
    }
    buf_add(out, SPAN("\r\n"));
}

void text_field(struct buf *out, const char *name, struct span text)
{
    buf_addf(out, "%s: ", name);
    text_wrap(out, strlen(name) + 2, " ", text);
}

struct span text_date(struct arena *arena, uint64_t wall_ms)
{
    char date[RFC5322_DATE_MAX];
    size_t len = rfc5322_date((time_t)(wall_ms / 1000), 0, date);

    return arena_dup(arena, span_of(date, len));
}

struct span text_duration(struct arena *arena, uint64_t ms)
{
    static const struct {
        const char *name;
        uint64_t ms;
    } units[] = {{"day", 86400000}, {"hour", 3600000}, {"minute", 60000}};

    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        unsigned long long count = ms / units[i].ms;
        if (count > 0)
            return arena_printf(arena, "%llu %s%s", count, units[i].name, count == 1 ? "" : "s");
    }
    return SPAN("less than a minute");
}
