#include "base/buf.h"
#include "proto/bdat.h"
#include "support/split.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void parses_arguments(void **state)
{
    static const struct {
        const char *args;
        bool good;
        uint64_t size;
        bool last;
    } cases[] = {
        {"0", true, 0, false},
        {"1000", true, 1000, false},
        {"0 LAST", true, 0, true},
        {"86 last", true, 86, true},
        {"86  LAST", true, 86, true},
        {"007", true, 7, false},
        {"18446744073709551615 LAST", true, UINT64_MAX, true},
        {"18446744073709551616", false, 0, false},
        {"99999999999999999999999999", false, 0, false},
        {"", false, 0, false},
        {"LAST", false, 0, false},
        {"-1", false, 0, false},
        {"+1", false, 0, false},
        {"0x10", false, 0, false},
        {"10\tLAST", false, 0, false},
        {"10 ", false, 0, false},
        {" 10", false, 0, false},
        {"10 LASTLY", false, 0, false},
        {"10 LAST LAST", false, 0, false},
        {"10 20", false, 0, false},
        {"10LAST", false, 0, false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct bdat_args args;
        bool good = bdat_parse(span_cstr(cases[i].args), &args);
        CHECK(cases[i].args, good == cases[i].good);
        CHECK(cases[i].args, !good || (args.size == cases[i].size && args.last == cases[i].last));
    }
}

/* Two chunks and what follows them: "hello" "" "world" and commands. */
static void counts_chunks(void **state)
{
    static const struct bdat_args chunks[] = {{5, false}, {0, false}, {5, true}};
    struct span input = SPAN("helloworldQUIT\r\n");

    (void)state;
    for (size_t way = 0; way < split_ways(input.len); way++) {
        struct bdat_counter counter;
        struct buf data;
        size_t at = 0, chunk = 0;
        buf_init(&data, 0);
        bdat_counter_init(&counter);
        bdat_begin(&counter, &chunks[0]);
        while (chunk < 3) {
            size_t len = split_piece(way, input.len, at);
            struct span piece = span_of(input.ptr + at, len), run;
            enum parse_result result = bdat_take(&counter, &piece, &run);
            buf_add(&data, run);
            at += len - piece.len;
            assert_true(result == PARSE_DONE || piece.len == 0);
            if (result == PARSE_DONE && ++chunk < 3)
                bdat_begin(&counter, &chunks[chunk]);
        }
        CHECK_SPAN("data", buf_span(&data), SPAN("helloworld"));
        assert_int_equal(at, 10);
        assert_true(counter.last);
        assert_int_equal(counter.total, 10);
        buf_fini(&data);
    }
}

static void an_empty_chunk_takes_nothing(void **state)
{
    struct bdat_counter counter;
    struct span input = SPAN("RSET\r\n"), run;

    (void)state;
    bdat_counter_init(&counter);
    bdat_begin(&counter, &(struct bdat_args){0, true});
    assert_int_equal(bdat_take(&counter, &input, &run), PARSE_DONE);
    assert_int_equal(run.len, 0);
    assert_int_equal(input.len, 6);
}

static void the_total_does_not_wrap(void **state)
{
    struct bdat_counter counter;

    (void)state;
    bdat_counter_init(&counter);
    bdat_begin(&counter, &(struct bdat_args){UINT64_MAX - 1, false});
    assert_int_equal(counter.total, UINT64_MAX - 1);
    bdat_begin(&counter, &(struct bdat_args){1, false});
    assert_int_equal(counter.total, UINT64_MAX);
    bdat_begin(&counter, &(struct bdat_args){UINT64_MAX, false});
    assert_int_equal(counter.total, UINT64_MAX);
    assert_int_equal(counter.left, UINT64_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parses_arguments),
        cmocka_unit_test(counts_chunks),
        cmocka_unit_test(an_empty_chunk_takes_nothing),
        cmocka_unit_test(the_total_does_not_wrap),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
