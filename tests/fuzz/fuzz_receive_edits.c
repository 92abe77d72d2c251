#include "../support/fuzz.h"

#include "receive/edits.h"

enum { EDITS_MOST = 8 };

/* What plugins/host/verdict.c lets through; names and values of one letter are enough. */
static bool read_edit(struct span *input, struct smarthop_edit *out)
{
    if (input->len < 4)
        return false;
    const unsigned char *bytes = (const unsigned char *)input->ptr;
    static const char names[] = "abAB", values[] = "x\r\n\ty";
    *out = (struct smarthop_edit){
        .kind = bytes[0] % (SMARTHOP_REMOVE + 1),
        .nth = bytes[1] % 4,
        .name = smarthop_span_of(names + bytes[2] % 4, 1),
        .value = smarthop_span_of(values, bytes[3] % 2 ? strlen(values) : 1),
    };
    *input = span_from(*input, 4);
    return true;
}

/* Where the empty line begins, or the end. */
static size_t header_end(struct span text)
{
    size_t at = 0;

    while (at < text.len && text.ptr[at] != '\r' && text.ptr[at] != '\n') {
        do
            at += span_index(span_from(text, at), '\n') + 1;
        while (at < text.len && (text.ptr[at] == ' ' || text.ptr[at] == '\t'));
    }
    return at < text.len ? at : text.len;
}

static void check(struct span before, const struct smarthop_edit *edit, struct span after)
{
    struct span rest = span_from(before, header_end(before));
    size_t made = edit->name.len + 2 + edit->value.len + 2;

    MUST(span_equal(span_from(after, after.len - rest.len), rest));
    switch ((enum smarthop_edit_kind)edit->kind) {
    case SMARTHOP_PREPEND:
        MUST(after.len == before.len + made && span_equal(span_from(after, made), before));
        break;
    case SMARTHOP_APPEND:
        MUST(after.len == before.len + made || after.len == before.len + made + 2);
        MUST(span_equal(span_head(after, before.len - rest.len),
                        span_head(before, before.len - rest.len)));
        break;
    case SMARTHOP_REPLACE:
        MUST(after.len <= before.len + made);
        break;
    case SMARTHOP_REMOVE:
        MUST(after.len <= before.len);
        break;
    }
}

/* Twice is as once. */
static void remove_again(struct buf *head, const struct smarthop_edit *edit)
{
    size_t len = buf_len(head);

    if (edit->kind != SMARTHOP_REMOVE || edit->nth != 0)
        return;
    edits_apply(head, edit, 1);
    MUST(buf_len(head) == len);
}

/* A count of edits, the edits, and the header. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span input = span_of((const char *)data, size);
    struct smarthop_edit edits[EDITS_MOST];
    unsigned wanted = fuzz_seed(&input) % EDITS_MOST, count = 0;
    struct buf one_by_one, at_once, before;

    while (count < wanted && read_edit(&input, &edits[count]))
        count++;
    buf_init(&one_by_one, 0);
    buf_init(&at_once, 0);
    buf_add(&one_by_one, input);
    buf_add(&at_once, input);
    for (unsigned i = 0; i < count; i++) {
        buf_init(&before, 0);
        buf_add(&before, buf_span(&one_by_one));
        edits_apply(&one_by_one, &edits[i], 1);
        check(buf_span(&before), &edits[i], buf_span(&one_by_one));
        remove_again(&one_by_one, &edits[i]);
        buf_fini(&before);
    }
    edits_apply(&at_once, edits, count);
    MUST(span_equal(buf_span(&at_once), buf_span(&one_by_one)));
    buf_fini(&at_once);
    buf_fini(&one_by_one);
    return 0;
}
