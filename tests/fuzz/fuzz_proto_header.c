/* The scan is the same however the input is cut. */
#include "proto/header.h"
#include "tests/support/fuzz.h"

static const struct span wanted[] = {{"Subject", 7}, {"Message-ID", 10}, {"A", 1}};
enum { WANTED = 3, BYTES_MAX = 600, FIELDS_MAX = 12 };

static void scan(struct span data, uint32_t seed, bool whole, struct arena *arena,
                 struct header_scanner *h)
{
    uint64_t before = 0;

    header_scanner_init(h, arena, wanted, WANTED, BYTES_MAX, FIELDS_MAX);
    while (data.len > 0) {
        struct span piece = span_head(data, whole ? data.len : fuzz_piece(&seed, data.len));
        enum parse_result result = header_scan(h, piece);
        MUST(result != PARSE_MORE || h->bytes == before + piece.len);
        before = h->bytes;
        data = span_from(data, piece.len);
    }
    header_scan_end(h);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span input = span_of((const char *)data, size);
    uint32_t seed = fuzz_seed(&input);
    struct header_scanner whole, pieces;
    struct span a, b;
    struct arena arena;

    arena_init(&arena);
    scan(input, seed, true, &arena, &whole);
    scan(input, seed, false, &arena, &pieces);
    MUST(whole.bytes == pieces.bytes && whole.bytes <= input.len);
    MUST(whole.fields == pieces.fields && whole.received == pieces.received);
    MUST(whole.flags == pieces.flags && whole.received <= whole.fields);
    for (size_t i = 0; i < WANTED; i++) {
        MUST(header_value(&whole, i, &a) == header_value(&pieces, i, &b));
        MUST(span_equal(a, b) && a.len <= HEADER_VALUE_MAX);
        MUST(whole.values[i].truncated == pieces.values[i].truncated);
    }
    arena_fini(&arena);
    return 0;
}
