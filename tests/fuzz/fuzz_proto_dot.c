/* Decoding is the same however the input is cut, as it is or normalized; normalized it holds no
 * bare CR or LF and is otherwise what it was; encoding and decoding give the data back, and only at
 * the end of the wire bytes. */
#include "proto/dot.h"
#include "tests/support/fuzz.h"

enum { MAX_LINE = 80 };

/* Returns the bytes of `data` taken. */
static size_t decode(struct span data, uint32_t seed, bool whole, bool normalize,
                     struct dot_decoder *d, struct buf *out)
{
    size_t len = data.len;
    enum parse_result result = PARSE_MORE;

    dot_decoder_init(d, MAX_LINE, normalize);
    buf_init(out, 0);
    while (data.len > 0 && result == PARSE_MORE) {
        size_t piece_len = whole ? data.len : fuzz_piece(&seed, data.len);
        struct span piece = span_head(data, piece_len), run;
        while ((result = dot_decode(d, &piece, &run)) == PARSE_MORE && run.len > 0)
            buf_add(out, run);
        MUST(result == PARSE_DONE || piece.len == 0);
        data = span_from(data, piece_len - piece.len);
    }
    return len - data.len;
}

static void check_decoding(struct span data, uint32_t seed, bool normalize)
{
    struct dot_decoder a, b;
    struct buf whole, pieces;

    size_t taken = decode(data, seed, true, normalize, &a, &whole);
    MUST(decode(data, seed, false, normalize, &b, &pieces) == taken);
    MUST(span_equal(buf_span(&whole), buf_span(&pieces)));
    MUST(a.state == b.state && a.lines.faults == b.lines.faults && a.output == b.output);
    MUST(memcmp(a.lines.fault_at, b.lines.fault_at, sizeof a.lines.fault_at) == 0);
    if (a.state == DOT_STATE_END)
        MUST(a.lines.offset == taken && span_ends_nocase(span_head(data, taken), SPAN(".\r\n")));
    buf_fini(&whole);
    buf_fini(&pieces);
}

static void encode(struct span data, uint32_t seed, struct buf *wire)
{
    struct dot_encoder encoder;
    size_t max = 2 + seed;

    dot_encoder_init(&encoder);
    buf_init(wire, 0);
    while (data.len > 0) {
        struct span piece = span_head(data, fuzz_piece(&seed, data.len));
        data = span_from(data, piece.len);
        while (piece.len > 0)
            dot_encode(&encoder, &piece, wire, buf_len(wire) + max);
    }
    MUST(dot_encode_end(&encoder, wire));
}

static void check_round_trip(struct span data, uint32_t seed)
{
    struct dot_decoder decoder;
    struct buf wire, out;

    encode(data, seed, &wire);
    MUST(decode(buf_span(&wire), seed, true, false, &decoder, &out) == buf_len(&wire));
    MUST(decoder.state == DOT_STATE_END);
    MUST(span_equal(span_head(buf_span(&out), data.len), data));
    MUST(span_equal(span_from(buf_span(&out), data.len), SPAN("\r\n")) ||
         buf_len(&out) == data.len);
    buf_fini(&wire);
    buf_fini(&out);
}

static void check_lines(struct span data, uint32_t seed)
{
    struct line_checker whole, pieces;

    line_checker_init(&whole, MAX_LINE, false);
    line_checker_init(&pieces, MAX_LINE, false);
    line_checker_feed(&whole, data);
    while (data.len > 0) {
        struct span piece = span_head(data, fuzz_piece(&seed, data.len));
        line_checker_feed(&pieces, piece);
        data = span_from(data, piece.len);
    }
    MUST(line_checker_end(&whole) == line_checker_end(&pieces));
    MUST(memcmp(whole.fault_at, pieces.fault_at, sizeof whole.fault_at) == 0);
}

/* What normalizing has to give, written down without any regard to speed. */
static void mend(struct span data, struct buf *out)
{
    for (size_t i = 0; i < data.len; i++) {
        bool crlf = data.ptr[i] == '\r' && i + 1 < data.len && data.ptr[i + 1] == '\n';
        if (crlf || data.ptr[i] == '\n')
            buf_add(out, SPAN("\r\n"));
        else
            buf_add(out, data.ptr[i] == '\r' ? SPAN(" ") : span_of(data.ptr + i, 1));
        i += crlf;
    }
}

static void check_taking(struct span data, uint32_t seed)
{
    struct line_checker lines, seen, mended;
    struct buf out, expected;
    struct span run, rest = data;

    buf_init(&out, 0);
    buf_init(&expected, 0);
    line_checker_init(&lines, MAX_LINE, true);
    line_checker_init(&seen, 0, false);
    line_checker_init(&mended, MAX_LINE, false);
    mend(data, &expected);
    while (rest.len > 0) {
        struct span piece = span_head(rest, fuzz_piece(&seed, rest.len));
        rest = span_from(rest, piece.len);
        while (line_checker_take(&lines, &piece, &run))
            buf_add(&out, run);
    }
    buf_add(&out, line_checker_take_end(&lines));
    MUST(span_equal(buf_span(&out), buf_span(&expected)));
    line_checker_feed(&seen, data);
    line_checker_feed(&mended, buf_span(&out));
    MUST(lines.faults == (line_checker_end(&seen) | (line_checker_end(&mended) & BODY_LONG_LINE)));
    MUST((mended.faults & (BODY_BARE_CR | BODY_BARE_LF)) == 0 && lines.offset == data.len);
    buf_fini(&out);
    buf_fini(&expected);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span input = span_of((const char *)data, size);
    uint32_t seed = fuzz_seed(&input);

    check_decoding(input, seed, false);
    check_decoding(input, seed, true);
    check_round_trip(input, seed);
    check_lines(input, seed);
    check_taking(input, seed);
    return 0;
}
