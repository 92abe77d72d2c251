/* Any split gives the same; what is possible is 7-bit; 7-bit messages without an 8bit label pass
 * byte for byte. */
#include "proto/downgrade.h"
#include "proto/utf8.h"
#include "tests/support/fuzz.h"

static bool run(struct downgrade *d, struct span data, uint32_t *seed, struct buf *out)
{
    downgrade_init(d, true);
    buf_init(out, 0);
    while (data.len > 0) {
        struct span piece = span_head(data, seed != NULL ? fuzz_piece(seed, data.len) : data.len);
        data = span_from(data, piece.len);
        size_t before = buf_len(out);
        downgrade_feed(d, piece, out);
        MUST(buf_len(out) - before <= 5 * piece.len + 2 * DOWNGRADE_FIELD_MAX);
    }
    return downgrade_end(d, out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct downgrade whole, pieces;
    struct span input = span_of((const char *)data, size);
    uint32_t seed = fuzz_seed(&input);
    struct buf a, b;

    bool possible = run(&whole, input, NULL, &a);
    MUST(run(&pieces, input, &seed, &b) == possible);
    MUST(span_equal(buf_span(&a), buf_span(&b)));
    MUST(whole.lines.faults == pieces.lines.faults && whole.depth == pieces.depth);
    if (possible)
        MUST(utf8_is_ascii(buf_span(&a)));
    if (memmem(input.ptr, input.len, "8", 1) == NULL)
        MUST(span_equal(buf_span(&a), input));
    buf_fini(&a);
    buf_fini(&b);
    return 0;
}
