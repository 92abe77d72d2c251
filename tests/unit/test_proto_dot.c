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

static void decode(struct decoded *d, struct span input, size_t way)
{
    *d = (struct decoded){.rest = SPAN_NONE};
    dot_decoder_init(&d->decoder, MAX_LINE);
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

static void check_decode(const struct decode_case *c)
{
    for (size_t way = 0; way < split_ways(c->input.len); way++) {
        struct decoded d;
        decode(&d, c->input, way);
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

static void decodes(void **state)
{
#define CASE(name, input, output, done, rest, faults, first)                                       \
    {                                                                                              \
        name, {input, sizeof(input) - 1}, {output, sizeof(output) - 1}, done, rest, faults, first  \
    }
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
#undef CASE

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        check_decode(&cases[i]);
}

static void hands_out_parts_of_the_input(void **state)
{
    struct span input = SPAN("one\r\ntwo\r\n..three\r\n.\r\n");
    const char *start = input.ptr;
    struct dot_decoder decoder;
    struct span run;

    (void)state;
    dot_decoder_init(&decoder, DOT_LINE_MAX);
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
            line_checker_init(&checker, MAX_LINE);
            for (size_t at = 0, len; at < input.len; at += len) {
                len = split_piece(way, input.len, at);
                line_checker_feed(&checker, span_of(input.ptr + at, len));
            }
            CHECK(cases[i].name, line_checker_end(&checker) == cases[i].faults);
            CHECK(cases[i].name, checker.offset == input.len);
        }
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
        cmocka_unit_test(hands_out_parts_of_the_input),
        cmocka_unit_test(encodes),
        cmocka_unit_test(stops_at_the_bound),
        cmocka_unit_test(notes_what_must_not_be_sent),
        cmocka_unit_test(checks_lines),
        cmocka_unit_test(names_the_faults),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
