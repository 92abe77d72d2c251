/* Chunks end where they say, however the input is cut: "10 LAST\n" and the bytes behind it. */
#include "base/buf.h"
#include "proto/bdat.h"
#include "tests/support/fuzz.h"

static size_t run(const struct bdat_args *args, struct span input, uint32_t seed, bool whole)
{
    struct bdat_counter counter;
    struct span run;
    size_t taken = 0;

    bdat_counter_init(&counter);
    bdat_begin(&counter, args);
    enum parse_result result = args->size == 0 ? PARSE_DONE : PARSE_MORE;
    while (result == PARSE_MORE && input.len > 0) {
        size_t len = whole ? input.len : fuzz_piece(&seed, input.len);
        struct span piece = span_head(input, len);
        result = bdat_take(&counter, &piece, &run);
        MUST(fuzz_is_inside(run, input) && run.len + piece.len == len);
        MUST(result == PARSE_DONE || piece.len == 0);
        taken += run.len;
        input = span_from(input, len - piece.len);
    }
    MUST(taken <= args->size && counter.left == args->size - taken);
    MUST((result == PARSE_DONE) == (counter.left == 0));
    bdat_begin(&counter, args);
    MUST(counter.total >= args->size);
    return taken;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span input = span_of((const char *)data, size);
    uint32_t seed = fuzz_seed(&input);
    struct bdat_args args;

    struct span text = span_split(input, '\n', &input);
    if (bdat_parse(text, &args))
        MUST(run(&args, input, seed, true) == run(&args, input, seed, false));
    return 0;
}
