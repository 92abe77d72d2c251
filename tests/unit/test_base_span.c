/* base/span: comparing, cutting and reading numbers. */
#include "base/span.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static void assert_span(struct span s, const char *text)
{
    assert_int_equal(s.len, strlen(text));
    assert_memory_equal(s.len ? s.ptr : "", text, s.len);
}

static void test_parts(void **state)
{
    struct span s = SPAN("abcdef");

    (void)state;
    assert_span(span_head(s, 2), "ab");
    assert_span(span_head(s, 99), "abcdef");
    assert_span(span_from(s, 4), "ef");
    assert_span(span_from(s, 6), "");
    assert_span(span_from(s, 99), "");
    assert_span(span_from(SPAN_NONE, 3), "");
    assert_span(span_head(SPAN_NONE, 3), "");
    assert_span(span_cstr(NULL), "");
    assert_span(span_cstr("xy"), "xy");
}

static void test_equal(void **state)
{
    static const struct {
        struct span a, b;
        bool exact, nocase;
    } cases[] = {
        {{"", 0}, {NULL, 0}, true, true},
        {{"a", 1}, {"a", 1}, true, true},
        {{"a", 1}, {"A", 1}, false, true},
        {{"a", 1}, {"ab", 2}, false, false},
        {{"a\0b", 3}, {"a\0c", 3}, false, false},
        {{"a\0B", 3}, {"A\0b", 3}, false, true},
        {{"[", 1}, {"{", 1}, false, false},
        {{"@", 1}, {"`", 1}, false, false},
        {{"\xc3\x84", 2}, {"\xc3\xa4", 2}, false, false},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        assert_int_equal(span_equal(cases[i].a, cases[i].b), cases[i].exact);
        assert_int_equal(span_equal_nocase(cases[i].a, cases[i].b), cases[i].nocase);
        assert_int_equal(span_starts_nocase(cases[i].a, cases[i].b), cases[i].nocase);
        assert_int_equal(span_ends_nocase(cases[i].a, cases[i].b), cases[i].nocase);
    }
}

static void test_starts_and_ends(void **state)
{
    struct span s = SPAN("Mail.Example");

    (void)state;
    assert_true(span_starts_nocase(s, SPAN("mail.")));
    assert_true(span_ends_nocase(s, SPAN(".EXAMPLE")));
    assert_true(span_starts_nocase(s, SPAN_NONE) && span_ends_nocase(s, SPAN_NONE));
    assert_false(span_starts_nocase(s, SPAN("mail.example.")));
    assert_false(span_ends_nocase(s, SPAN("x.mail.example")));
    assert_false(span_starts_nocase(s, SPAN("ail")) || span_ends_nocase(s, SPAN("Exampl")));
}

static void test_index(void **state)
{
    (void)state;
    assert_int_equal(span_index(SPAN("a.b.c"), '.'), 1);
    assert_int_equal(span_rindex(SPAN("a.b.c"), '.'), 3);
    assert_int_equal(span_index(SPAN("abc"), '.'), 3);
    assert_int_equal(span_rindex(SPAN("abc"), '.'), 3);
    assert_int_equal(span_index(SPAN_NONE, '.'), 0);
    assert_int_equal(span_rindex(SPAN_NONE, '.'), 0);
    assert_int_equal(span_index(SPAN("a\0b"), '\0'), 1);
    assert_int_equal(span_index(SPAN("a\xff"), '\xff'), 1);
    assert_int_equal(span_rindex(SPAN(".abc"), '.'), 0);
}

static void test_trim(void **state)
{
    static const char *const cases[][2] = {
        {"", ""},          {" ", ""},           {" \t ", ""},          {"a", "a"},
        {"\ta b ", "a b"}, {" a\r\n", "a\r\n"}, {"  \va\v ", "\va\v"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++)
        assert_span(span_trim(span_cstr(cases[i][0])), cases[i][1]);
}

static void test_split(void **state)
{
    static const struct {
        const char *text, *head, *rest;
    } cases[] = {
        {"a:b:c", "a", "b:c"}, {"a", "a", ""}, {"a:", "a", ""}, {":a", "", "a"}, {"", "", ""},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct span rest;
        assert_span(span_split(span_cstr(cases[i].text), ':', &rest), cases[i].head);
        assert_span(rest, cases[i].rest);
    }
}

static void test_split_in_place(void **state)
{
    struct span rest = SPAN("x,yy,"), first = span_split(rest, ',', &rest);

    (void)state;
    assert_span(first, "x");
    assert_span(span_split(rest, ',', &rest), "yy");
    assert_int_equal(rest.len, 0);
}

static void test_numbers(void **state)
{
    static const struct {
        const char *text;
        uint64_t value;
    } good[] = {
        {"0", 0},
        {"007", 7},
        {"18446744073709551615", UINT64_MAX},
        {"00000000000000000000000000000001", 1},
    };
    static const char *const bad[] = {"",
                                      " 1",
                                      "1 ",
                                      "+1",
                                      "-1",
                                      "1a",
                                      "0x1",
                                      "1.0",
                                      "18446744073709551616",
                                      "99999999999999999999"};
    uint64_t value;

    (void)state;
    for (size_t i = 0; i < COUNT(good); i++) {
        assert_true(span_parse_u64(span_cstr(good[i].text), &value));
        assert_true(value == good[i].value);
    }
    for (size_t i = 0; i < COUNT(bad); i++)
        assert_false(span_parse_u64(span_cstr(bad[i]), &value));
    assert_false(span_parse_u64(SPAN("1\0"), &value));
}

static void test_numbers_as_text(void **state)
{
    static const struct {
        uint64_t value;
        const char *text;
    } cases[] = {
        {0, "0"}, {9, "9"}, {10, "10"}, {1000000, "1000000"}, {UINT64_MAX, "18446744073709551615"},
    };
    char text[SPAN_U64_MAX];

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++)
        assert_true(span_equal(span_format_u64(cases[i].value, text), span_cstr(cases[i].text)));
}

static void test_ascii(void **state)
{
    (void)state;
    for (int c = 0; c < 256; c++) {
        bool upper = c >= 'A' && c <= 'Z', lower = c >= 'a' && c <= 'z';
        bool digit = c >= '0' && c <= '9';
        assert_int_equal(ascii_is_alpha((char)c), upper || lower);
        assert_int_equal(ascii_is_digit((char)c), digit);
        assert_int_equal(ascii_is_alnum((char)c), upper || lower || digit);
        assert_int_equal(ascii_lower((char)c), (char)(upper ? c + 32 : c));
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parts),
        cmocka_unit_test(test_equal),
        cmocka_unit_test(test_starts_and_ends),
        cmocka_unit_test(test_index),
        cmocka_unit_test(test_trim),
        cmocka_unit_test(test_split),
        cmocka_unit_test(test_split_in_place),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_numbers_as_text),
        cmocka_unit_test(test_ascii),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
