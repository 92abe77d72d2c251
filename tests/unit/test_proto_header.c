#include "base/buf.h"
#include "proto/header.h"
#include "support/split.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static const struct span wanted[] = {{"Message-ID", 10}, {"Subject", 7}, {"X-Empty", 7}};
enum { WANTED = 3, BYTES_MAX = 80, FIELDS_MAX = 4 };

struct header_case {
    const char *name;
    struct span input;
    enum parse_result result;
    uint64_t bytes;
    uint64_t fields;
    uint64_t received;
    unsigned flags;
    const char *values[WANTED]; /* NULL: not found */
};

static void check_scan(const struct header_case *c, size_t way)
{
    struct header_scanner h;
    struct arena arena;
    enum parse_result result = PARSE_MORE;

    arena_init(&arena);
    header_scanner_init(&h, &arena, wanted, WANTED, BYTES_MAX, FIELDS_MAX);
    for (size_t at = 0, len; at < c->input.len; at += len) {
        len = split_piece(way, c->input.len, at);
        result = header_scan(&h, span_of(c->input.ptr + at, len));
    }
    CHECK(c->name, result == c->result);
    header_scan_end(&h);
    CHECK(c->name, h.bytes == c->bytes);
    CHECK(c->name, h.fields == c->fields);
    CHECK(c->name, h.received == c->received);
    CHECK(c->name, h.flags == c->flags);
    for (size_t i = 0; i < WANTED; i++) {
        struct span value;
        CHECK(c->name, header_value(&h, i, &value) == (c->values[i] != NULL));
        CHECK_SPAN(c->name, value, span_cstr(c->values[i]));
    }
    arena_fini(&arena);
}

#define CASE(name, input, ...)                                                                     \
    {                                                                                              \
        name, {input, sizeof(input) - 1}, __VA_ARGS__                                              \
    }
static const struct header_case scan_cases[] = {
    CASE("nothing", "", PARSE_MORE, 0, 0, 0, 0, {NULL}),
    CASE("no header", "\r\nbody\r\n", PARSE_DONE, 2, 0, 0, 0, {NULL}),
    CASE("one field", "Subject: hi\r\n\r\nX: body\r\n", PARSE_DONE, 15, 1, 0, 0, {NULL, "hi"}),
    CASE("no empty line", "Subject: hi\r\n", PARSE_MORE, 13, 1, 0, 0, {NULL, "hi"}),
    CASE("ends inside a value", "Subject: hi", PARSE_MORE, 11, 1, 0, 0, {NULL, "hi"}),
    CASE("folded", "Subject: one\r\n two\r\n\tthree\r\n\r\n", PARSE_DONE, 30, 1, 0, 0,
         {NULL, "one two\tthree"}),
    CASE("folded before the text", "Subject:\r\n  \r\n text \r\n\r\n", PARSE_DONE, 24, 1, 0, 0,
         {NULL, "text"}),
    CASE("case", "mEsSaGe-Id:<a@b>\r\n\r\n", PARSE_DONE, 20, 1, 0, 0, {"<a@b>"}),
    CASE("space before the colon", "Subject \t: hi\r\n\r\n", PARSE_DONE, 17, 1, 0, 0, {NULL, "hi"}),
    CASE("the first holds", "Subject: 1\r\nSubject: 2\r\n\r\n", PARSE_DONE, 26, 2, 0, 0,
         {NULL, "1"}),
    CASE("empty value", "X-Empty:\r\nX-Empty: 2\r\n\r\n", PARSE_DONE, 24, 2, 0, 0,
         {NULL, NULL, ""}),
    CASE("hops", "Received: a\r\n b\r\nRECEIVED:c\r\nReceived-SPF: x\r\n\r\n", PARSE_DONE, 48, 3, 2,
         0, {NULL}),
    CASE("a name that goes on", "Subjects: 1\r\nSubjec: 2\r\n\r\n", PARSE_DONE, 26, 2, 0, 0,
         {NULL}),
    CASE("8-bit value", "Subject: \xc3\xa4\r\n\r\n", PARSE_DONE, 15, 1, 0, HEADER_8BIT,
         {NULL, "\xc3\xa4"}),
    CASE("8-bit name", "Subj\xc3\xa4: x\r\n\r\n", PARSE_DONE, 13, 0, 0,
         HEADER_8BIT | HEADER_MALFORMED, {NULL}),
    CASE("8-bit body", "A: b\r\n\r\n\xc3\xa4\r\n", PARSE_DONE, 8, 1, 0, 0, {NULL}),
    CASE("no colon", "hello\r\nSubject: x\r\n\r\n", PARSE_DONE, 21, 1, 0, HEADER_MALFORMED,
         {NULL, "x"}),
    CASE("mbox line", "From a@b Thu 1: x\r\nSubject: x\r\n\r\n", PARSE_DONE, 33, 1, 0,
         HEADER_MALFORMED, {NULL, "x"}),
    CASE("no name", ": x\r\n\r\n", PARSE_DONE, 7, 0, 0, HEADER_MALFORMED, {NULL}),
    CASE("continues nothing", " x\r\nSubject: x\r\n\r\n", PARSE_DONE, 18, 1, 0,
         HEADER_MALFORMED | HEADER_CONTINUES, {NULL, "x"}),
    CASE("begins with a tab", "\tx\r\n y\r\n\r\n", PARSE_DONE, 10, 0, 0,
         HEADER_MALFORMED | HEADER_CONTINUES, {NULL}),
    CASE("an empty line first", "\r\n x\r\n", PARSE_DONE, 2, 0, 0, 0, {NULL}),
    CASE("a fold behind a malformed line", "Subject: a\r\nbad\r\n b\r\n\r\n", PARSE_DONE, 23, 1, 0,
         HEADER_MALFORMED, {NULL, "a"}),
    CASE("bare LF ends no line", "Subject: a\nX: b\r\n\r\n", PARSE_DONE, 19, 1, 0, 0,
         {NULL, "a\nX: b"}),
    CASE("LF LF is not the end", "Subject: a\n\nb\r\n\r\n", PARSE_DONE, 17, 1, 0, 0,
         {NULL, "a\n\nb"}),
    CASE("bare CR", "Subject: a\rb\r\r\n\r\n", PARSE_DONE, 17, 1, 0, 0, {NULL, "a\rb\r"}),
    CASE("CR at the start of a line", "A: b\r\n\rSubject: x\r\n\r\n", PARSE_DONE, 21, 1, 0,
         HEADER_MALFORMED, {NULL}),
    CASE("CR CR LF", "A: b\r\n\r\r\n\r\n", PARSE_DONE, 11, 1, 0, HEADER_MALFORMED, {NULL}),
    CASE("ends inside a name", "A: b\r\nSubj", PARSE_MORE, 10, 1, 0, HEADER_MALFORMED, {NULL}),
    CASE("CR alone at the end", "A: b\r\n\r", PARSE_MORE, 7, 1, 0, HEADER_MALFORMED, {NULL}),
    CASE("NUL in a name", "Sub\0ject: x\r\n\r\n", PARSE_DONE, 15, 0, 0, HEADER_MALFORMED, {NULL}),
    CASE("too many", "A:1\r\nB:2\r\nC:3\r\nD:4\r\nSubject:5\r\n\r\n", PARSE_DONE, 33, 5, 0,
         HEADER_TOO_MANY, {NULL}),
    CASE("just enough", "A:1\r\nB:2\r\nC:3\r\nSubject:5\r\n\r\n", PARSE_DONE, 28, 4, 0, 0,
         {NULL, "5"}),
    CASE("too large",
         "A: 345678901234567890123456789012345678901234567890123456789012345678901234567890\r\n"
         "Subject: x\r\n\r\n",
         PARSE_DONE, 97, 2, 0, HEADER_TOO_LARGE, {NULL}),
    CASE("just small enough",
         "A: 34567890123456789012345678901234567890123456789012345678901234\r\n"
         "Subject:x\r\n\r\n",
         PARSE_DONE, 80, 2, 0, 0, {NULL, "x"}),
};
#undef CASE

static void scans(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof scan_cases / sizeof scan_cases[0]; i++)
        for (size_t way = 0; way < split_ways(scan_cases[i].input.len); way++)
            check_scan(&scan_cases[i], way);
}

static void cuts_long_values(void **state)
{
    (void)state;
    for (int len = HEADER_VALUE_MAX; len <= HEADER_VALUE_MAX + 1; len++) {
        struct header_scanner h;
        struct arena arena;
        struct buf input;
        struct span value;

        arena_init(&arena);
        buf_init(&input, 0);
        buf_addf(&input, "Subject: %0*d\r\n\r\n", len, 0);
        header_scanner_init(&h, &arena, wanted, WANTED, 0, 0);
        assert_int_equal(header_scan(&h, buf_span(&input)), PARSE_DONE);
        assert_true(header_value(&h, 1, &value));
        assert_int_equal(value.len, HEADER_VALUE_MAX);
        assert_int_equal(h.values[1].truncated, len > HEADER_VALUE_MAX);
        buf_fini(&input);
        arena_fini(&arena);
    }
}

static void passes_over_long_names(void **state)
{
    struct header_scanner h;
    struct arena arena;
    struct buf input;
    char name[HEADER_NAME_MAX];
    struct span value;

    (void)state;
    memset(name, 'n', sizeof name);
    const struct span names[] = {span_of(name, sizeof name)};
    for (int extra = 0; extra < 3; extra++) {
        arena_init(&arena);
        buf_init(&input, 0);
        buf_add(&input, names[0]);
        buf_addf(&input, "%.*s: v\r\n\r\n", extra, "nn");
        header_scanner_init(&h, &arena, names, 1, 0, 0);
        assert_int_equal(header_scan(&h, buf_span(&input)), PARSE_DONE);
        assert_int_equal(h.fields, 1);
        assert_int_equal(h.flags, 0);
        assert_int_equal(header_value(&h, 0, &value), extra == 0);
        buf_fini(&input);
        arena_fini(&arena);
    }
}

static void writes_dates(void **state)
{
    static const struct {
        time_t utc;
        int offset;
        const char *text;
    } cases[] = {
        {0, 0, "Thu, 01 Jan 1970 00:00:00 +0000"},
        {1709633472, 60, "Tue, 05 Mar 2024 11:11:12 +0100"},
        {1709633472, -570, "Tue, 05 Mar 2024 00:41:12 -0930"},
        {1709166600, 330, "Thu, 29 Feb 2024 06:00:00 +0530"},
        {4102444799, 0, "Thu, 31 Dec 2099 23:59:59 +0000"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[RFC5322_DATE_MAX];
        size_t len = rfc5322_date(cases[i].utc, cases[i].offset, text);
        assert_string_equal(text, cases[i].text);
        assert_int_equal(len, strlen(text));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scans),
        cmocka_unit_test(cuts_long_values),
        cmocka_unit_test(passes_over_long_names),
        cmocka_unit_test(writes_dates),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
