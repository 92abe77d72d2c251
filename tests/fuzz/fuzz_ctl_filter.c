/* The filter of the queue's commands: any value is taken or refused with a reason, and what is
 * taken can be asked. The first byte is the term, the second the length of the value; behind that
 * is the text that it is compared with. */
#include "queue/ctl/filter.h"
#include "tests/support/fuzz.h"

#include <stdlib.h>

enum { NOW = 1000000000 };

static void ask(const struct filter *filter, struct span text)
{
    struct queue_recipient recipient = {.address = text,
                                        .last = {.code = 450, .text = text, .by = text}};
    struct queue_group group = {.state = QUEUE_GROUP_WAITING,
                                .destination = text,
                                .recipient_count = 1,
                                .recipients = &recipient};
    struct queue_message message = {
        .id = 1, .reverse_path = text, .tenant = text, .size = text.len};

    filter_message(filter, &message, NOW);
    const struct queue_recipient *found = filter_group(filter, &group, VIEW_WAITING, NOW);
    MUST(found == NULL || found == &recipient);
    MUST(found == NULL || filter_recipient(filter, found));
}

/* A text lets itself pass, where it is no pattern. */
static void check_itself(enum filter_term term, const char *value)
{
    struct filter filter = {0};
    struct buf why;

    buf_init(&why, 0);
    if (value[0] != '\0' && strpbrk(value, "*?") == NULL && strcmp(value, "<>") != 0 &&
        filter_take(&filter, term, value, &why)) {
        const struct queue_message message = {.reverse_path = span_cstr(value)};
        const struct queue_recipient recipient = {.address = span_cstr(value)};
        MUST(term != FILTER_SENDER || filter_message(&filter, &message, NOW));
        MUST(term != FILTER_RECIPIENT || filter_recipient(&filter, &recipient));
    }
    buf_fini(&why);
    filter_fini(&filter);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct filter filter = {0};
    struct buf why;

    if (size < 2)
        return 0;
    struct span rest = span_of((const char *)data + 2, size - 2);
    enum filter_term term = data[0] % FILTER_TERMS;
    char *value = span_to_text(span_head(rest, data[1]));
    buf_init(&why, 0);
    bool taken = filter_take(&filter, term, value, &why);
    MUST(taken == (buf_len(&why) == 0) && taken == filter_has(&filter, term));
    ask(&filter, span_from(rest, data[1]));
    check_itself(term, value);
    buf_fini(&why);
    filter_fini(&filter);
    free(value);
    return 0;
}
