#include "proto/dot.h"
#include "support/split.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

enum { MAX_LINE = 12 };

struct decoded {
    struct dot_decoder decoder;
    struct buf output;
    bool done;
    struct span rest; /* behind the end of data */
};

static void decode_piece(struct decoded *d, struct span piece)
{
    struct span run;
    enum parse_result result;

    while ((result = dot_decode(&d->decoder, &piece, &run)) == PARSE_MORE && run.len > 0)
        buf_add(&d->output, run);
    assert_int_equal(run.len, 0);
    d->done = result == PARSE_DONE;
    d->rest = piece;
    assert_true(d->done || piece.len == 0);
}

static void decode(struct decoded *d, struct span input, bool normalize, size_t way)
{
    *d = (struct decoded){.rest = SPAN_NONE};
    dot_decoder_init(&d->decoder, MAX_LINE, normalize);
    buf_init(&d->output, 0);
    for (size_t at = 0, len; at < input.len && !d->done; at += len) {
        len = split_piece(way, input.len, at);
        decode_piece(d, span_of(input.ptr + at, len));
        if (d->done)
            d->rest.len += input.len - at - len;
    }
}

struct decode_case {
    const char *name;
    struct span input;
    struct span output;
    bool done;
    size_t rest; /* bytes behind the end */
    unsigned faults;
    uint64_t first; /* position of the lowest fault */
};

static void check_decode(const struct decode_case *c, bool normalize)
{
    for (size_t way = 0; way < split_ways(c->input.len); way++) {
        struct decoded d;
        decode(&d, c->input, normalize, way);
        CHECK_SPAN(c->name, buf_span(&d.output), c->output);
        CHECK(c->name, d.done == c->done);
        CHECK(c->name, d.rest.len == c->rest);
        CHECK(c->name, d.decoder.lines.faults == c->faults);
        CHECK(c->name, d.decoder.output == c->output.len);
        unsigned lowest = c->faults & -c->faults;
        if (lowest != 0)
            CHECK(c->name,
                  line_checker_fault_at(&d.decoder.lines, (enum body_fault)lowest) == c->first);
        buf_fini(&d.output);
    }
}

#define CASE(name, input, output, done, rest, faults, first)                                       \
    {                                                                                              \
        name, {input, sizeof(input) - 1}, {output, sizeof(output) - 1}, done, rest, faults, first  \
    }

static void decodes(void **state)
{
    static const struct decode_case cases[] = {
        CASE("nothing", "", "", false, 0, 0, 0),
        CASE("empty message", ".\r\n", "", true, 0, 0, 0),
        CASE("one line", "a\r\n.\r\n", "a\r\n", true, 0, 0, 0),
        CASE("commands behind", "a\r\n.\r\nQUIT\r\n", "a\r\n", true, 6, 0, 0),
        CASE("a second end is not ours", ".\r\n.\r\n", "", true, 3, 0, 0),
        CASE("unfinished", "a\r\n.\r", "a\r\n", false, 0, 0, 0),
        CASE("stuffed dot", "..\r\n.\r\n", ".\r\n", true, 0, 0, 0),
        CASE("stuffed line", "..a\r\n...b\r\n.\r\n", ".a\r\n..b\r\n", true, 0, 0, 0),
        CASE("unstuffed dot", ".a\r\n.\r\n", "a\r\n", true, 0, 0, 0),
        CASE("inner dots", "a.b\r\na.\r\n.\r\n", "a.b\r\na.\r\n", true, 0, 0, 0),
        CASE("empty lines", "\r\n\r\n.\r\n", "\r\n\r\n", true, 0, 0, 0),
        CASE("LF . LF", "a\n.\nb\r\n.\r\n", "a\n.\nb\r\n", true, 0, BODY_BARE_LF, 1),
        CASE("LF . CRLF", "a\n.\r\nb\r\n.\r\n", "a\n.\r\nb\r\n", true, 0, BODY_BARE_LF, 1),
        CASE("CRLF . LF", "a\r\n.\nb\r\n.\r\n", "a\r\n\nb\r\n", true, 0, BODY_BARE_LF, 4),
        CASE("CRLF . CR", "a\r\n.\rb\r\n.\r\n", "a\r\n\rb\r\n", true, 0, BODY_BARE_CR, 4),
        CASE("CRLF . CR CR LF", ".\r\r\n.\r\n", "\r\r\n", true, 0, BODY_BARE_CR, 1),
        CASE("CRLF . CR . CRLF", ".\r.\r\n.\r\n", "\r.\r\n", true, 0, BODY_BARE_CR, 1),
        CASE("CR . CR", "a\r.\rb\r\n.\r\n", "a\r.\rb\r\n", true, 0, BODY_BARE_CR, 1),
        CASE("CR . CRLF", "a\r.\r\nb\r\n.\r\n", "a\r.\r\nb\r\n", true, 0, BODY_BARE_CR, 1),
        CASE("LF CR . CRLF", "\n\r.\r\n.\r\n", "\n\r.\r\n", true, 0, BODY_BARE_CR | BODY_BARE_LF,
             1),
        CASE("CR CR LF", "a\r\r\n.\r\n", "a\r\r\n", true, 0, BODY_BARE_CR, 1),
        CASE("both", "a\nb\rc\r\n.\r\n", "a\nb\rc\r\n", true, 0, BODY_BARE_CR | BODY_BARE_LF, 3),
        CASE("NUL", "..ab\0c\0\r\n.\r\n", ".ab\0c\0\r\n", true, 0, BODY_NUL, 4),
        CASE("NUL . CRLF", "a\r\n\0.\r\n.\r\n", "a\r\n\0.\r\n", true, 0, BODY_NUL, 3),
        CASE("longest line", "1234567890\r\n.\r\n", "1234567890\r\n", true, 0, 0, 0),
        CASE("longest stuffed line", "..234567890\r\n.\r\n", ".234567890\r\n", true, 0, 0, 0),
        CASE("line too long", "a\r\n12345678901\r\n.\r\n", "a\r\n12345678901\r\n", true, 0,
             BODY_LONG_LINE, 15),
        CASE("only the first is told", "1234567890123\r\n1234567890123\r\n.\r\n",
             "1234567890123\r\n1234567890123\r\n", true, 0, BODY_LONG_LINE, 12),
        CASE("8-bit", "\xff\x80\r\n.\r\n", "\xff\x80\r\n", true, 0, 0, 0),
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        check_decode(&cases[i], false);
}

static void normalizes(void **state)
{
    static const struct decode_case cases[] = {
        CASE("nothing", "", "", false, 0, 0, 0),
        CASE("empty message", ".\r\n", "", true, 0, 0, 0),
        CASE("lines", "a\r\n\r\n..b\r\n.\r\nQUIT\r\n", "a\r\n\r\n.b\r\n", true, 6, 0, 0),
        CASE("unfinished", "a\r\n.\r", "a\r\n", false, 0, 0, 0),
        CASE("LF", "a\nb\n\nc\r\n.\r\n", "a\r\nb\r\n\r\nc\r\n", true, 0, BODY_BARE_LF, 1),
        CASE("LF first", "\na\r\n.\r\n", "\r\na\r\n", true, 0, BODY_BARE_LF, 0),
        CASE("CR", "a\rb\r\n.\r\n", "a b\r\n", true, 0, BODY_BARE_CR, 1),
        CASE("CR first", "\ra\r\n.\r\n", " a\r\n", true, 0, BODY_BARE_CR, 0),
        CASE("CR CR LF", "a\r\r\n.\r\n", "a \r\n", true, 0, BODY_BARE_CR, 1),
        CASE("LF CR", "\n\r.\r\n.\r\n", "\r\n .\r\n", true, 0, BODY_BARE_CR | BODY_BARE_LF, 1),
        CASE("LF CRLF", "a\n\r\n.\r\n", "a\r\n\r\n", true, 0, BODY_BARE_LF, 1),
        CASE("LF . LF", "a\n.\nb\r\n.\r\n", "a\r\n.\r\nb\r\n", true, 0, BODY_BARE_LF, 1),
        CASE("LF . CRLF", "a\n.\r\nb\r\n.\r\n", "a\r\n.\r\nb\r\n", true, 0, BODY_BARE_LF, 1),
        CASE("LF .. LF", "a\n..\nb\r\n.\r\n", "a\r\n..\r\nb\r\n", true, 0, BODY_BARE_LF, 1),
        CASE("LF . CRLF . CRLF", "a\n.\r\n.\r\n", "a\r\n.\r\n", true, 0, BODY_BARE_LF, 1),
        CASE("CRLF . LF", "a\r\n.\nb\r\n.\r\n", "a\r\n\r\nb\r\n", true, 0, BODY_BARE_LF, 4),
        CASE("CRLF . CR", "a\r\n.\rb\r\n.\r\n", "a\r\n b\r\n", true, 0, BODY_BARE_CR, 4),
        CASE("CRLF . CR CR LF", ".\r\r\n.\r\n", " \r\n", true, 0, BODY_BARE_CR, 1),
        CASE("CRLF . CR . CRLF", ".\r.\r\n.\r\n", " .\r\n", true, 0, BODY_BARE_CR, 1),
        CASE("CR . CR", "a\r.\rb\r\n.\r\n", "a . b\r\n", true, 0, BODY_BARE_CR, 1),
        CASE("CR . CRLF", "a\r.\r\nb\r\n.\r\n", "a .\r\nb\r\n", true, 0, BODY_BARE_CR, 1),
        CASE("LF . LF at the end", "a\n.\n", "a\r\n.\r\n", false, 0, BODY_BARE_LF, 1),
        CASE("NUL", "a\n\0\r\n.\r\n", "a\r\n\0\r\n", true, 0, BODY_BARE_LF | BODY_NUL, 1),
        CASE("NUL alone", "a\r\nb\0\r\n.\r\n", "a\r\nb\0\r\n", true, 0, BODY_NUL, 4),
        CASE("lines end by LF", "1234567890\n1234567890\n.\r\n.\r\n",
             "1234567890\r\n1234567890\r\n.\r\n", true, 0, BODY_BARE_LF, 10),
        CASE("long line", "a\r\n12345678901\r\n.\r\n", "a\r\n12345678901\r\n", true, 0,
             BODY_LONG_LINE, 15),
        CASE("long by what is added", "12345678901\n.\r\n.\r\n", "12345678901\r\n.\r\n", true, 0,
             BODY_BARE_LF | BODY_LONG_LINE, 11),
        CASE("long by a space", "12345678901\r\r\n.\r\n", "12345678901 \r\n", true, 0,
             BODY_BARE_CR | BODY_LONG_LINE, 11),
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        check_decode(&cases[i], true);
}

static void counts_long_lines_as_handed_out(void **state)
{
    static const struct {
        const char *input;
        uint64_t first;
    } cases[] = {
        {"a\n1234567890\n1234567890123\n", 25},
        {"123456789012\n", 12},
        {"12345678901\n", 11},
        {"1234\r678901\r3\r\n", 12},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct span input = span_cstr(cases[i].input);
        for (size_t way = 0; way < split_ways(input.len); way++) {
            struct decoded d;
            decode(&d, input, true, way);
            CHECK(cases[i].input, (d.decoder.lines.faults & BODY_LONG_LINE) != 0);
            CHECK(cases[i].input,
                  line_checker_fault_at(&d.decoder.lines, BODY_LONG_LINE) == cases[i].first);
            buf_fini(&d.output);
        }
    }
}

static void hands_out_parts_of_the_input(void **state)
{
    struct span input = SPAN("one\r\ntwo\r\n..three\r\n.\r\n");
    const char *start = input.ptr;
    struct dot_decoder decoder;
    struct span run;

    (void)state;
    dot_decoder_init(&decoder, DOT_LINE_MAX, false);
    assert_int_equal(dot_decode(&decoder, &input, &run), PARSE_MORE);
    assert_ptr_equal(run.ptr, start);
    CHECK_SPAN("up to the stuffed line", run, SPAN("one\r\ntwo\r\n"));
    assert_int_equal(dot_decode(&decoder, &input, &run), PARSE_MORE);
    CHECK_SPAN("up to the end", run, SPAN(".three\r\n"));
    assert_int_equal(dot_decode(&decoder, &input, &run), PARSE_DONE);
    assert_int_equal(dot_decode(&decoder, &input, &run), PARSE_DONE);
    assert_int_equal(run.len, 0);
}

static void encode(struct span input, size_t way, size_t max, struct buf *wire)
{
    struct dot_encoder encoder;
    struct buf out;

    dot_encoder_init(&encoder);
    buf_init(&out, 0);
    for (size_t at = 0, len; at < input.len; at += len) {
        len = split_piece(way, input.len, at);
        for (struct span piece = span_of(input.ptr + at, len); piece.len > 0;) {
            size_t before = piece.len;
            dot_encode(&encoder, &piece, &out, max);
            assert_true(buf_len(&out) <= max);
            assert_true(piece.len < before);
            buf_add(wire, buf_span(&out));
            buf_clear(&out);
        }
    }
    assert_true(dot_encode_end(&encoder, wire));
    buf_fini(&out);
}

static void encodes(void **state)
{
    static const struct {
        const char *input;
        const char *wire;
    } cases[] = {
        {"", ".\r\n"},
        {"a\r\n", "a\r\n.\r\n"},
        {"a", "a\r\n.\r\n"},
        {".", "..\r\n.\r\n"},
        {".\r\n", "..\r\n.\r\n"},
        {"..\r\n.\r\n", "...\r\n..\r\n.\r\n"},
        {"a\r\n.b\r\nc.\r\n", "a\r\n..b\r\nc.\r\n.\r\n"},
        {"a.b", "a.b\r\n.\r\n"},
        {"\r\n.\r\n", "\r\n..\r\n.\r\n"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct span input = span_cstr(cases[i].input);
        for (size_t way = 0; way < split_ways(input.len); way++)
            for (size_t max = 2; max < 12; max++) {
                struct buf wire;
                buf_init(&wire, 0);
                encode(input, way, max, &wire);
                CHECK_SPAN(cases[i].input, buf_span(&wire), span_cstr(cases[i].wire));
                buf_fini(&wire);
            }
    }
}

static void stops_at_the_bound(void **state)
{
    struct dot_encoder encoder;
    struct span input = SPAN("12345\r\n.6\r\n");
    struct buf out;

    (void)state;
    dot_encoder_init(&encoder);
    buf_init(&out, 8);
    dot_encode(&encoder, &input, &out, 100);
    CHECK_SPAN("no room for a dot and its line", buf_span(&out), SPAN("12345\r\n"));
    CHECK_SPAN("left", input, SPAN(".6\r\n"));
    dot_encode(&encoder, &input, &out, 100);
    assert_int_equal(input.len, 4);
    assert_false(dot_encode_end(&encoder, &out));
    buf_clear(&out);
    dot_encode(&encoder, &input, &out, 100);
    CHECK_SPAN("rest", buf_span(&out), SPAN("..6\r\n"));
    buf_fini(&out);
}

static void notes_what_must_not_be_sent(void **state)
{
    struct dot_encoder encoder;
    struct span input = SPAN("a\n.\r\n\0");
    struct buf out;

    (void)state;
    dot_encoder_init(&encoder);
    buf_init(&out, 0);
    dot_encode(&encoder, &input, &out, 100);
    assert_int_equal(line_checker_end(&encoder.lines), BODY_BARE_LF | BODY_NUL);
    buf_fini(&out);
}

static void checks_lines(void **state)
{
    static const struct {
        const char *name;
        struct span input;
        unsigned faults;
    } cases[] = {
        {"empty", {"", 0}, 0},
        {"lines", {"a\r\n\r\n.\r\n..\r\n", 12}, 0},
        {"no line end at the end", {"a", 1}, 0},
        {"CR at the end", {"a\r", 2}, BODY_BARE_CR},
        {"LF at the start", {"\na", 2}, BODY_BARE_LF},
        {"CR at the start", {"\ra", 2}, BODY_BARE_CR},
        {"CR CR", {"\r\r", 2}, BODY_BARE_CR},
        {"LF CR", {"a\n\r", 3}, BODY_BARE_LF | BODY_BARE_CR},
        {"NUL", {"\0", 1}, BODY_NUL},
        {"long", {"123456789012345", 15}, BODY_LONG_LINE},
        {"all",
         {"\0\r\n\n\r1234567890123", 18},
         BODY_NUL | BODY_BARE_LF | BODY_BARE_CR | BODY_LONG_LINE},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct span input = cases[i].input;
        for (size_t way = 0; way < split_ways(input.len); way++) {
            struct line_checker checker;
            line_checker_init(&checker, MAX_LINE, false);
            for (size_t at = 0, len; at < input.len; at += len) {
                len = split_piece(way, input.len, at);
                line_checker_feed(&checker, span_of(input.ptr + at, len));
            }
            CHECK(cases[i].name, line_checker_end(&checker) == cases[i].faults);
            CHECK(cases[i].name, checker.offset == input.len);
        }
    }
}

static void take(struct span input, bool normalize, size_t way, struct line_checker *checker,
                 struct buf *out)
{
    struct span run;

    line_checker_init(checker, 0, normalize);
    buf_init(out, 0);
    for (size_t at = 0, len; at < input.len; at += len) {
        len = split_piece(way, input.len, at);
        struct span piece = span_of(input.ptr + at, len);
        while (line_checker_take(checker, &piece, &run))
            buf_add(out, run);
        assert_int_equal(piece.len + run.len, 0);
    }
    buf_add(out, line_checker_take_end(checker));
}

static void takes_lines(void **state)
{
    static const struct {
        const char *input;
        const char *kept;
        unsigned faults;
    } cases[] = {
        {"", "", 0},
        {"a\r\n.\r\n..\r\nb", "a\r\n.\r\n..\r\nb", 0},
        {"\r\n\r\n", "\r\n\r\n", 0},
        {"a\n.\n\r\n", "a\r\n.\r\n\r\n", BODY_BARE_LF},
        {"\r", " ", BODY_BARE_CR},
        {"a\r\r", "a  ", BODY_BARE_CR},
        {"a\r\r\n\r", "a \r\n ", BODY_BARE_CR},
        {"\n\r", "\r\n ", BODY_BARE_CR | BODY_BARE_LF},
        {"\r.\r\n", " .\r\n", BODY_BARE_CR},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct span input = span_cstr(cases[i].input);
        for (size_t way = 0; way < split_ways(input.len); way++)
            for (int normalize = 0; normalize < 2; normalize++) {
                struct line_checker checker;
                struct buf out;
                take(input, normalize, way, &checker, &out);
                CHECK_SPAN(cases[i].input, buf_span(&out),
                           normalize ? span_cstr(cases[i].kept) : input);
                CHECK(cases[i].input, checker.faults == cases[i].faults);
                CHECK(cases[i].input, checker.offset == input.len);
                buf_fini(&out);
            }
    }
}

/* A line that is only a dot once its ends are mended must not end the data at the next hop. */
static void what_is_mended_goes_out_stuffed(void **state)
{
    struct span input = SPAN("a\n.\nQUIT\n.\r\n.\r\n");
    struct decoded d;
    struct buf wire;

    (void)state;
    decode(&d, input, true, SPLIT_WHOLE);
    assert_true(d.done);
    for (size_t way = 0; way < split_ways(buf_len(&d.output)); way++) {
        buf_init(&wire, 0);
        encode(buf_span(&d.output), way, 1000, &wire);
        CHECK_SPAN("wire", buf_span(&wire), SPAN("a\r\n..\r\nQUIT\r\n..\r\n.\r\n"));
        buf_fini(&wire);
    }
    buf_fini(&d.output);
}

struct seen {
    struct dot_decoder decoder;
    struct buf output;
    bool done;
};

static void look_through(struct span input, size_t step, size_t max_line, bool normalize,
                         struct seen *out)
{
    struct span run;

    *out = (struct seen){0};
    dot_decoder_init(&out->decoder, max_line, normalize);
    buf_init(&out->output, 0);
    for (size_t at = 0; at < input.len && !out->done; at += step) {
        struct span piece = span_head(span_from(input, at), step);
        while (piece.len > 0 && !out->done) {
            out->done = dot_decode(&out->decoder, &piece, &run) == PARSE_DONE;
            buf_add(&out->output, run);
        }
    }
}

static void check_alike(const char *name, const struct seen *a, const struct seen *b)
{
    const struct line_checker *one = &a->decoder.lines, *other = &b->decoder.lines;

    CHECK_SPAN(name, buf_span(&a->output), buf_span(&b->output));
    CHECK(name, a->done == b->done && a->decoder.state == b->decoder.state);
    CHECK(name, one->faults == other->faults && one->offset == other->offset);
    CHECK(name, memcmp(one->fault_at, other->fault_at, sizeof one->fault_at) == 0);
    CHECK(name, one->line_len == other->line_len && one->line_start == other->line_start);
    CHECK(name, one->cr_last == other->cr_last);
}

/* Long runs are looked through by blocks, single bytes never. */
static void blocks_are_as_bytes(const char *name, struct span input)
{
    static const size_t longest[] = {0, 12, 64, 66, 100};
    static const size_t steps[] = {64, 65, 191, 4096};

    for (size_t i = 0; i < 2 * sizeof longest / sizeof longest[0]; i++) {
        struct seen bytes, blocks;
        look_through(input, 1, longest[i / 2], i % 2, &bytes);
        for (size_t j = 0; j < sizeof steps / sizeof steps[0]; j++) {
            look_through(input, steps[j], longest[i / 2], i % 2, &blocks);
            check_alike(name, &bytes, &blocks);
            buf_fini(&blocks.output);
        }
        buf_fini(&bytes.output);
    }
}

static void looks_through_blocks(void **state)
{
    static const struct span odd[] = {
        {"", 0},      {"\r", 1},     {"\n", 1},    {"\0", 1},         {"\r\n", 2},
        {"\r\n.", 3}, {"\r\r\n", 3}, {"\n.\n", 3}, {"\r\n.\r\nX", 6},
    };
    static const size_t lines[] = {1, 30, 62, 63, 64, 98, 300};

    (void)state;
    for (size_t o = 0; o < sizeof odd / sizeof odd[0]; o++)
        for (size_t l = 0; l < sizeof lines / sizeof lines[0]; l++)
            for (size_t at = 0; at < 140; at++) {
                struct buf input;
                buf_init(&input, 0);
                for (size_t i = 0; i < 280; i++) {
                    if (i == at)
                        buf_add(&input, odd[o]);
                    buf_add(&input, i % (lines[l] + 1) == lines[l] ? SPAN("\r\n") : SPAN("x"));
                }
                blocks_are_as_bytes("odd in a block", buf_span(&input));
                buf_fini(&input);
            }
}

static void names_the_faults(void **state)
{
    (void)state;
    assert_string_equal(body_fault_text(0), "none");
    assert_string_equal(body_fault_text(BODY_BARE_LF | BODY_NUL), "bare LF");
    assert_string_equal(body_fault_text(BODY_BARE_CR), "bare CR");
    assert_string_equal(body_fault_text(BODY_NUL), "NUL");
    assert_string_equal(body_fault_text(BODY_LONG_LINE), "line too long");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decodes),
        cmocka_unit_test(normalizes),
        cmocka_unit_test(counts_long_lines_as_handed_out),
        cmocka_unit_test(hands_out_parts_of_the_input),
        cmocka_unit_test(encodes),
        cmocka_unit_test(stops_at_the_bound),
        cmocka_unit_test(notes_what_must_not_be_sent),
        cmocka_unit_test(checks_lines),
        cmocka_unit_test(takes_lines),
        cmocka_unit_test(what_is_mended_goes_out_stuffed),
        cmocka_unit_test(looks_through_blocks),
        cmocka_unit_test(names_the_faults),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
