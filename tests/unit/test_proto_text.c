/* The small ones: base32, xtext, utf8. */
#include "proto/base32.h"
#include "proto/utf8.h"
#include "proto/xtext.h"
#include "support/split.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void formats_ids(void **state)
{
    static const struct {
        uint64_t id;
        const char *text;
    } cases[] = {
        {0, "0000000000000"},
        {1, "0000000000001"},
        {31, "000000000000Z"},
        {32, "0000000000010"},
        {0x0123456789abcdefu, "028T5CY4TQKFF"},
        {UINT64_MAX, "FZZZZZZZZZZZZ"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[ID_TEXT_SIZE];
        uint64_t back = ~cases[i].id;
        assert_string_equal(id_format(cases[i].id, text), cases[i].text);
        assert_true(id_parse(span_cstr(text), &back));
        assert_true(back == cases[i].id);
    }
}

static void sorts_as_the_number(void **state)
{
    char last[ID_TEXT_SIZE];
    char text[ID_TEXT_SIZE];

    (void)state;
    id_format(0, last);
    for (unsigned shift = 0; shift < 64; shift++) {
        id_format((uint64_t)1 << shift, text);
        assert_true(strcmp(last, text) < 0);
        memcpy(last, text, sizeof last);
    }
}

static void parses_ids(void **state)
{
    uint64_t id;

    (void)state;
    assert_true(id_parse(SPAN("fzzzzzzzzzzzz"), &id));
    assert_true(id == UINT64_MAX);
    assert_true(id_parse(SPAN("00000000000lO"), &id));
    assert_true(id == 32);
    assert_true(id_parse(SPAN("00000000000Io"), &id));
    assert_true(id == 32);
    assert_false(id_parse(SPAN("G000000000000"), &id));
    assert_false(id_parse(SPAN("000000000000"), &id));
    assert_false(id_parse(SPAN("00000000000000"), &id));
    assert_false(id_parse(SPAN("000000000000U"), &id));
    assert_false(id_parse(SPAN("000000000000-"), &id));
    assert_false(id_parse(SPAN("000000000000\0"), &id));
    assert_false(id_parse(SPAN_NONE, &id));
}

static void decodes_xtext(void **state)
{
    static const struct {
        struct span text;
        bool good;
        struct span plain;
    } cases[] = {
        {{"", 0}, true, {"", 0}},
        {{"abc", 3}, true, {"abc", 3}},
        {{"a+2Bb+3D", 8}, true, {"a+b=", 4}},
        {{"+00+FF", 6}, true, {"\0\xff", 2}},
        {{"a+2b", 4}, false, {NULL, 0}},
        {{"a+2", 3}, false, {NULL, 0}},
        {{"a+", 2}, false, {NULL, 0}},
        {{"a=b", 3}, false, {NULL, 0}},
        {{"a b", 3}, false, {NULL, 0}},
        {{"\xc3\xa4", 2}, false, {NULL, 0}},
    };
    struct arena arena;

    (void)state;
    arena_init(&arena);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct span plain;
        CHECK(cases[i].text.ptr, xtext_decode(cases[i].text, &arena, &plain) == cases[i].good);
        CHECK_SPAN(cases[i].text.ptr, plain, cases[i].plain);
    }
    arena_fini(&arena);
}

static void encodes_every_byte_as_xtext(void **state)
{
    char bytes[256];
    struct span plain;
    struct arena arena;

    (void)state;
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (char)i;
    arena_init(&arena);
    struct span text = xtext_encode(span_of(bytes, sizeof bytes), &arena);
    assert_true(xtext_decode(text, &arena, &plain));
    CHECK_SPAN("all bytes", plain, span_of(bytes, sizeof bytes));
    CHECK_SPAN("plus", xtext_encode(SPAN("a+b"), &arena), SPAN("a+2Bb"));
    arena_fini(&arena);
}

static void judges_utf8(void **state)
{
    static const struct {
        const char *text;
        bool valid;
    } cases[] = {
        {"", true},
        {"plain", true},
        {"\xc3\xa4", true},
        {"\xe2\x82\xac", true},
        {"\xf0\x9f\x93\xa7", true},
        {"\xf4\x8f\xbf\xbf", true},
        {"\xed\x9f\xbf", true},
        {"\xc3", false},
        {"\xa4", false},
        {"\xc0\x80", false},
        {"\xc1\xbf", false},
        {"\xe0\x9f\xbf", false},
        {"\xed\xa0\x80", false},
        {"\xf0\x8f\xbf\xbf", false},
        {"\xf4\x90\x80\x80", false},
        {"\xf5\x80\x80\x80", false},
        {"\xe2\x82", false},
        {"\xe2\x82x", false},
        {"\xff", false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        CHECK(cases[i].text, utf8_is_valid(span_cstr(cases[i].text)) == cases[i].valid);
}

static void finds_a_high_byte_anywhere(void **state)
{
    char text[40];

    (void)state;
    memset(text, 'x', sizeof text);
    for (size_t len = 0; len <= sizeof text; len++) {
        assert_true(utf8_is_ascii(span_of(text, len)));
        for (size_t at = 0; at < len; at++) {
            text[at] = (char)0x80;
            assert_false(utf8_is_ascii(span_of(text, len)));
            text[at] = 'x';
        }
    }
}

static void tells_ascii_readers_what_it_can(void **state)
{
    static const char *const cases[][2] = {
        {"", ""},      {"plain ~", "plain ~"}, {"n\xc3\xa4h", "n?h"}, {"\xf0\x9f\x93\xa7", "?"},
        {"\xc3", "?"}, {"\xff\xfe.", "??."},   {"\xe2\x82x", "??x"},  {"\xc3\xa4\xa4", "??"},
    };
    struct arena arena;

    (void)state;
    arena_init(&arena);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        CHECK(cases[i][1],
              span_equal(utf8_to_ascii(span_cstr(cases[i][0]), &arena), span_cstr(cases[i][1])));
    arena_fini(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(formats_ids),
        cmocka_unit_test(sorts_as_the_number),
        cmocka_unit_test(parses_ids),
        cmocka_unit_test(decodes_xtext),
        cmocka_unit_test(encodes_every_byte_as_xtext),
        cmocka_unit_test(judges_utf8),
        cmocka_unit_test(finds_a_high_byte_anywhere),
        cmocka_unit_test(tells_ascii_readers_what_it_can),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
