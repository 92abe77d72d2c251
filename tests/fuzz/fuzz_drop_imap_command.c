/* Commands come out the same however the input is cut, without a NUL; names come back from modified
 * UTF-7. */
#include "plugins/drop/imap/command.h"
#include "proto/utf8.h"
#include "tests/support/fuzz.h"
#include "tests/support/imap_print.h"

enum { APPEND_MAX = 50, LINES_MAX = 300, LITERALS_MAX = 200, SKIP_MAX = 100 };

static void set_up(struct imap_dialogue *dialogue, uint32_t seed)
{
    *dialogue = (struct imap_dialogue){.reader = imap_reader_create()};
    dialogue->refuses_from = (seed & 1) != 0 ? 1 : UINT_MAX;
    dialogue->drops = (seed & 2) != 0;
    imap_reader_set_utf8(dialogue->reader, (seed & 4) != 0);
    imap_reader_set_append_max(dialogue->reader, APPEND_MAX);
    if ((seed & 8) != 0) {
        imap_reader_set_bounds(dialogue->reader, LINES_MAX, LITERALS_MAX);
        imap_reader_set_skip_max(dialogue->reader, SKIP_MAX);
    }
}

static void run(struct span data, uint32_t seed, bool whole, struct buf *events)
{
    struct imap_dialogue dialogue;

    set_up(&dialogue, seed);
    buf_init(events, 0);
    while (data.len > 0) {
        size_t len = whole ? data.len : fuzz_piece(&seed, data.len);
        dialogue_feed(&dialogue, span_head(data, len), events);
        data = span_from(data, len);
    }
    imap_reader_free(dialogue.reader);
}

/* What a name is in UTF-8 comes back from modified UTF-7. */
static void check_names(struct span name)
{
    struct buf decoded, encoded;

    buf_init(&decoded, 0);
    buf_init(&encoded, 0);
    if (imap_utf7_decode(name, &decoded)) {
        MUST(utf8_is_valid(buf_span(&decoded)));
        imap_utf7_encode(buf_span(&decoded), &encoded);
        MUST(span_equal(buf_span(&encoded), name));
    }
    imap_utf7_encode(name, &encoded);
    struct span rest;
    struct span pattern = span_split(name, '\n', &rest);
    imap_pattern_matches(pattern, rest);
    MUST(imap_pattern_matches(SPAN("*"), name));
    buf_fini(&decoded);
    buf_fini(&encoded);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span input = span_of((const char *)data, size);
    uint32_t seed = fuzz_seed(&input);
    struct buf whole, pieces;

    run(input, seed, true, &whole);
    run(input, seed, false, &pieces);
    MUST(span_equal(buf_span(&whole), buf_span(&pieces)));
    MUST(span_index(buf_span(&whole), '\0') == buf_len(&whole));
    buf_fini(&whole);
    buf_fini(&pieces);
    check_names(span_head(input, MAILSTORE_NAME_MAX));
    return 0;
}
