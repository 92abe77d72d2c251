/* The recipients file: cut in any way it says the same; each address of it is known. The first byte
 * says how it is cut. */
#include "recipients/recipients.h"
#include "tests/support/fuzz.h"

/* The lines that are nothing but an address must be found. */
static void check_line(const struct recipients *recipients, struct span line)
{
    unsigned flags = ADDRESS_ALLOW_UTF8 | ADDRESS_ALLOW_UNDERSCORE | ADDRESS_ALLOW_LONG_LOCAL;
    struct address address;
    struct arena scratch;
    struct span domain;

    arena_init(&scratch);
    if (line.len > 0 && line.ptr[0] != '#' && address_parse(line, flags, &address) == ADDRESS_OK &&
        domain_to_ascii(address.domain, &scratch, &domain))
        MUST(recipients_find(recipients, &address, domain, "+", &scratch) == RECIPIENTS_KNOWN);
    arena_fini(&scratch);
}

static struct recipients *read_pieces(uint32_t seed, struct span text, struct buf *messages)
{
    struct recipients_reader *reader = recipients_reader_create("file", messages);
    struct recipients *recipients;

    while (text.len > 0) {
        size_t len = fuzz_piece(&seed, text.len);
        recipients_reader_feed(reader, span_head(text, len));
        text = span_from(text, len);
    }
    struct err e = recipients_reader_end(reader, &recipients);
    MUST(err_is(e) == (recipients == NULL) && err_is(e) == (buf_len(messages) > 0));
    return recipients;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span text = span_of((const char *)data, size);
    uint32_t seed = fuzz_seed(&text);
    struct buf bytes, pieces;

    buf_init(&bytes, 0);
    buf_init(&pieces, 0);
    struct recipients *one = read_pieces(0, text, &bytes);
    struct recipients *other = read_pieces(seed, text, &pieces);
    MUST(span_equal(buf_span(&bytes), buf_span(&pieces)));
    if (one != NULL) {
        MUST(recipients_count(one) > 0 && recipients_count(one) == recipients_count(other));
        MUST(recipients_size(one) == recipients_size(other));
        while (text.len > 0)
            check_line(other, span_split(text, '\n', &text));
    }
    recipients_unref(one);
    recipients_unref(other);
    buf_fini(&bytes);
    buf_fini(&pieces);
    return 0;
}
