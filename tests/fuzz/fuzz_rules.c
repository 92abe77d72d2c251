#include "../support/fuzz.h"

#include "rules/rules.h"

/* A table, and behind an empty line the text of a reply. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span text = span_of((const char *)data, size);
    const char *gap = size ? memmem(data, size, "\n\n", 2) : NULL;
    struct span table = gap ? span_head(text, (size_t)(gap - text.ptr)) : text;
    struct status status = {.code = 450, .enhanced = {4, 7, 1}, .said = true};
    struct buf messages;

    buf_init(&messages, 0);
    struct rules *rules = rules_parse(table, "fuzz", &messages);
    MUST((rules == NULL) == (buf_len(&messages) > 0));
    if (rules != NULL) {
        status.text = gap ? span_from(text, table.len + 2) : SPAN("none");
        rules_match(rules, SPAN("mx.a.test"), SPAN("a.test"), &status);
        rules_unref(rules);
    }
    buf_fini(&messages);
    return 0;
}
