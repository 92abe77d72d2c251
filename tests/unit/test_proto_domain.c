#include "proto/domain.h"
#include "support/split.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define LABEL63 "aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffff123"
#define DOMAIN253                                                                                  \
    LABEL63 "." LABEL63 "." LABEL63 "."                                                            \
            "aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffff1"

static void judges_domains(void **state)
{
    static const struct {
        const char *text;
        unsigned flags;
        bool valid;
    } cases[] = {
        {"example.com", 0, true},
        {"localhost", 0, true},
        {"a", 0, true},
        {"1.2.3.4", 0, true},
        {"a-b.c--d.example", 0, true},
        {"xn--mnchen-3ya.example", 0, true},
        {LABEL63 ".example", 0, true},
        {DOMAIN253, 0, true},
        {DOMAIN253 ".a", 0, true},
        {DOMAIN253 ".aa", 0, false},
        {LABEL63 "x.example", 0, false},
        {"", 0, false},
        {".", 0, false},
        {"example.", 0, false},
        {".example", 0, false},
        {"a..b", 0, false},
        {"-a.example", 0, false},
        {"a-.example", 0, false},
        {"a_b.example", 0, false},
        {"a_b.example", DOMAIN_ALLOW_UNDERSCORE, true},
        {"a b", DOMAIN_ALLOW_UNDERSCORE, false},
        {"a@b", 0, false},
        {"[192.0.2.1]", 0, false},
        {"m\xc3\xbcnchen.example", 0, false},
        {"m\xc3\xbcnchen.example", DOMAIN_ALLOW_UTF8, true},
        {"m\xc3\xbcnchen..example", DOMAIN_ALLOW_UTF8, false},
        {"m\xc3\xbcnchen_1.example", DOMAIN_ALLOW_UTF8, false},
        {"m\xc3\xbcnchen_1.example", DOMAIN_ALLOW_UTF8 | DOMAIN_ALLOW_UNDERSCORE, true},
        {"m\xc3.example", DOMAIN_ALLOW_UTF8, false},
        {"\xe2\x98\x83\xef\xbc\x8c.example", DOMAIN_ALLOW_UTF8, false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        CHECK(cases[i].text,
              domain_is_valid_with(span_cstr(cases[i].text), cases[i].flags) == cases[i].valid);
    assert_false(domain_is_valid(SPAN("a\0b")));
    assert_false(domain_is_valid_with(SPAN("\xc3\xbc\0.example"), DOMAIN_ALLOW_UTF8));
    assert_false(domain_is_valid(SPAN_NONE));
}

static void judges_hello_names(void **state)
{
    static const struct {
        const char *text;
        bool strict;
        bool lenient;
    } cases[] = {
        {"mail.example.com", true, true},
        {"localhost", true, true},
        {"[192.0.2.1]", true, true},
        {"[IPv6:2001:db8::1]", true, true},
        {"192.0.2.1", true, true},
        {"my_pc", false, true},
        {"host.", false, true},
        {"-", false, true},
        {"2001:db8::1", false, true},
        {"[2001:db8::1]", false, true},
        {"", false, false},
        {"a b", false, false},
        {"a\r", false, false},
        {"a@b", false, false},
        {"m\xc3\xbcnchen", false, false},
        {DOMAIN253 "_abc", false, false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct span text = span_cstr(cases[i].text);
        CHECK(cases[i].text, hello_is_valid(text, false) == cases[i].strict);
        CHECK(cases[i].text, hello_is_valid(text, true) == cases[i].lenient);
    }
    assert_false(hello_is_valid(SPAN("a\0"), true));
}

static void converts_to_ascii(void **state)
{
    static const struct {
        const char *text;
        const char *ascii; /* NULL: none */
    } cases[] = {
        {"Example.COM", "example.com"},
        {"_dmarc.Example.com", "_dmarc.example.com"},
        {"m\xc3\xbcnchen.example", "xn--mnchen-3ya.example"},
        {"M\xc3\x9cNCHEN.Example", "xn--mnchen-3ya.example"},
        {"fa\xc3\x9f.example", "xn--fa-hia.example"},
        {"XN--MNCHEN-3YA.example", "xn--mnchen-3ya.example"},
        {"a\xe3\x80\x82"
         "b",
         "a.b"},
        {"", NULL},
        {"a..b", NULL},
        {"example.", NULL},
        {"\xc3", NULL},
        {"\xe2\x80\x8b", NULL},
    };
    struct arena arena;

    (void)state;
    arena_init(&arena);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct span ascii;
        bool good = domain_to_ascii(span_cstr(cases[i].text), &arena, &ascii);
        CHECK(cases[i].text, good == (cases[i].ascii != NULL));
        CHECK_SPAN(cases[i].text, ascii, span_cstr(cases[i].ascii));
    }
    arena_fini(&arena);
}

static void refuses_what_grows_too_long(void **state)
{
    char text[DOMAIN_MAX];
    struct span ascii;
    struct arena arena;

    (void)state;
    arena_init(&arena);
    /* 2 bytes of UTF-8 each, one label: more than 63 as an A-label. */
    for (size_t i = 0; i + 1 < sizeof text; i += 2)
        memcpy(text + i, "\xc3\xa4", 2);
    assert_false(domain_to_ascii(span_of(text, sizeof text - 1), &arena, &ascii));
    arena_fini(&arena);
}

static void compares_domains(void **state)
{
    static const struct {
        const char *a;
        const char *b;
        bool equal;
    } cases[] = {
        {"example.com", "EXAMPLE.com", true},
        {"example.com", "example.org", false},
        {"m\xc3\xbcnchen.example", "xn--mnchen-3ya.example", true},
        {"M\xc3\x9cNCHEN.example", "XN--MNCHEN-3ya.EXAMPLE", true},
        {"m\xc3\xbcnchen.example", "munchen.example", false},
        {"\xc3.example", "\xc3.example", true},
        {"\xc3.example", "\xff.example", false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        CHECK(cases[i].a,
              domain_equal(span_cstr(cases[i].a), span_cstr(cases[i].b)) == cases[i].equal);
        CHECK(cases[i].a,
              domain_equal(span_cstr(cases[i].b), span_cstr(cases[i].a)) == cases[i].equal);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(judges_domains),    cmocka_unit_test(judges_hello_names),
        cmocka_unit_test(converts_to_ascii), cmocka_unit_test(refuses_what_grows_too_long),
        cmocka_unit_test(compares_domains),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
