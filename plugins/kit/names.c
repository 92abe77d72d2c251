/* The DNS script. */
#include "plugins/kit/private.h"

#include "base/memory.h"
#include "conf/schema.h"
#include "conf/value.h"

#include <strings.h>

static bool take_type(struct span word, enum smarthop_record *out)
{
    static const struct {
        const char *word;
        enum smarthop_record record;
    } types[] = {
        {"a", SMARTHOP_DNS_ADDRESS}, {"aaaa", SMARTHOP_DNS_ADDRESS}, {"mx", SMARTHOP_DNS_MX},
        {"txt", SMARTHOP_DNS_TXT},   {"ptr", SMARTHOP_DNS_PTR},
    };

    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        if (span_equal_nocase(word, span_cstr(types[i].word))) {
            *out = types[i].record;
            return true;
        }
    }
    return false;
}

static struct span next_word(struct span *rest)
{
    struct span word = span_split(span_trim(*rest), ' ', rest);

    *rest = span_trim(*rest);
    return word;
}

static bool take_delay(struct span text, uint64_t *out, struct buf *why)
{
    static const struct conf_key key = {
        .name = "delay", .type = CONF_DURATION, .width = sizeof(uint64_t), .max = 86400000};

    return conf_value_add(&key, out, text, NULL, why);
}

/* Words between the name and the value. */
static bool take_attributes(struct name_row *row, struct span *rest, struct buf *why)
{
    static const char delay[] = "delay=";

    for (;;) {
        struct span behind = *rest;
        struct span word = next_word(&behind);
        if (span_equal_nocase(word, SPAN("secure"))) {
            row->is_secure = true;
        } else if (span_starts_nocase(word, SPAN("delay="))) {
            if (!take_delay(span_from(word, sizeof delay - 1), &row->delay, why))
                return false;
        } else {
            return true;
        }
        *rest = behind;
    }
}

static bool take_value(struct name_row *row, struct span text, struct buf *why)
{
    if (span_equal_nocase(text, SPAN("none"))) {
        row->result = SMARTHOP_DNS_NONE;
        return true;
    }
    if (span_equal_nocase(text, SPAN("retry"))) {
        row->result = SMARTHOP_DNS_RETRY;
        return true;
    }
    if (row->record == SMARTHOP_DNS_MX) {
        uint64_t preference;
        struct span word = next_word(&text);
        if (!span_parse_u64(word, &preference) || preference > UINT16_MAX) {
            buf_addf(why, "an mx is \"mx NAME PREFERENCE HOST\"");
            return false;
        }
        row->preference = (uint16_t)preference;
    }
    if (text.len == 0) {
        buf_addf(why, "there is no value: none, retry or a record");
        return false;
    }
    row->value = span_to_text(text);
    return true;
}

bool names_add(struct names *names, const char *text, struct buf *why)
{
    struct name_row row = {.result = SMARTHOP_DNS_OK};
    struct span rest = span_cstr(text);

    if (!take_type(next_word(&rest), &row.record)) {
        buf_addf(why, "the first word is a, aaaa, mx, txt or ptr");
        return false;
    }
    struct span name = next_word(&rest);
    if (!take_attributes(&row, &rest, why) || !take_value(&row, rest, why))
        return false;
    row.name = span_to_text(name);
    names->rows = mem_realloc(names->rows, (names->count + 1) * sizeof *names->rows);
    names->rows[names->count++] = row;
    return true;
}

void names_fini(struct names *names)
{
    for (unsigned i = 0; i < names->count; i++) {
        free(names->rows[i].name);
        free(names->rows[i].value);
    }
    free(names->rows);
}
