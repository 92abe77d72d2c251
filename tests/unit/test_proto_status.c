#include "proto/status.h"
#include "support/split.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void parses_enhanced_codes(void **state)
{
    static const struct {
        const char *text;
        size_t taken;
        struct enhanced_code code;
    } cases[] = {
        {"2.0.0 ok", 6, {2, 0, 0}},
        {"5.1.1", 5, {5, 1, 1}},
        {"4.123.999 x", 10, {4, 123, 999}},
        {"5.7.10  two spaces", 7, {5, 7, 10}},
        {"", 0, {0}},
        {"3.0.0 no such class", 0, {0}},
        {"2.01.0 leading zero", 0, {0}},
        {"2.1.00", 0, {0}},
        {"2.1234.0", 0, {0}},
        {"2.1.1234", 0, {0}},
        {"2.1", 0, {0}},
        {"2.1.", 0, {0}},
        {"2..1", 0, {0}},
        {"2.1.1x", 0, {0}},
        {"2.1.1\t", 0, {0}},
        {"2x1.1", 0, {0}},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct enhanced_code code = {0};
        size_t taken = enhanced_code_parse(span_cstr(cases[i].text), &code);
        CHECK(cases[i].text, taken == cases[i].taken);
        CHECK(cases[i].text, code.klass == cases[i].code.klass);
        CHECK(cases[i].text, code.subject == cases[i].code.subject);
        CHECK(cases[i].text, code.detail == cases[i].code.detail);
    }
}

static void formats_enhanced_codes(void **state)
{
    char text[ENHANCED_CODE_TEXT_MAX];

    (void)state;
    assert_int_equal(enhanced_code_format((struct enhanced_code){5, 7, 125}, text), 7);
    assert_string_equal(text, "5.7.125");
    assert_int_equal(enhanced_code_format((struct enhanced_code){0}, text), 0);
    assert_string_equal(text, "");
    enhanced_code_format((struct enhanced_code){255, 65535, 65535}, text);
    assert_string_equal(text, "5.535.535");
}

static void names_the_generic_code(void **state)
{
    (void)state;
    assert_int_equal(enhanced_code_for_reply(250).klass, 2);
    assert_int_equal(enhanced_code_for_reply(421).klass, 4);
    assert_int_equal(enhanced_code_for_reply(554).klass, 5);
    assert_int_equal(enhanced_code_for_reply(354).klass, 0);
    assert_int_equal(enhanced_code_for_reply(0).klass, 0);
}

static void copies_a_status(void **state)
{
    struct status said = STATUS(451, 4, 3, 0, "later");
    struct arena arena;

    (void)state;
    said.by = SPAN("mx.example [192.0.2.1]:25");
    arena_init(&arena);
    struct status copy = status_dup(&arena, &said);
    assert_int_equal(copy.code, 451);
    assert_ptr_not_equal(copy.text.ptr, said.text.ptr);
    CHECK_SPAN("dup", copy.text, said.text);
    CHECK_SPAN("dup", copy.by, said.by);
    assert_false(status_is_success(&copy));
    assert_false(status_is_permanent(&copy));
    arena_fini(&arena);
}

static void keeps_a_status_in_place_of_another(void **state)
{
    struct status kept = {0}, part;
    struct arena own;

    (void)state;
    arena_init(&own);
    status_keep(&own, &kept, &STATUS(451, 4, 3, 0, "long, and of which a part is kept"));
    part = kept;
    part.text = span_from(kept.text, 6);
    status_keep(&own, &kept, &part); /* lies in what is given up */
    CHECK_SPAN("keep", kept.text, SPAN("and of which a part is kept"));
    assert_int_equal(kept.code, 451);
    arena_fini(&own);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parses_enhanced_codes),
        cmocka_unit_test(formats_enhanced_codes),
        cmocka_unit_test(names_the_generic_code),
        cmocka_unit_test(copies_a_status),
        cmocka_unit_test(keeps_a_status_in_place_of_another),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
