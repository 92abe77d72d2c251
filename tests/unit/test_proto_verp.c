/* proto/verp: which reverse-path a recipient gets. */
#include "proto/verp.h"

#include "proto/address.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define FROM "list@example.org"

static const struct {
    const char *from, *to, *path;
} cases[] = {
    {FROM, "user@example.net", "list+user=example.net@example.org"},
    {"list-owner+x@a.b", "first.last+tag@c.d", "list-owner+x+first.last+tag=c.d@a.b"},
    {FROM, "a=b@example.net", "list+a=b=example.net@example.org"},
    {"list@[192.0.2.1]", "user@example.net", "list+user=example.net@[192.0.2.1]"},
    {FROM, "User@Example.NET", "list+User=example.net@example.org"},
    /* The domain in the local part is never converted on the way. */
    {FROM, "user@b\xc3\xbc.example", "list+user=xn--b-eha.example@example.org"},
    {FROM, "\xc3\xbc@example.net", "list+\xc3\xbc=example.net@example.org"},
    /* What cannot be written so stays. */
    {"", "user@example.net", ""},
    {FROM, "\"a b\"@example.net", FROM},
    {"\"a b\"@example.org", "user@example.net", "\"a b\"@example.org"},
    {FROM, "user@[192.0.2.1]", FROM},
    {FROM, "Postmaster", FROM},
    {FROM, "no address", FROM},
};

static void test_paths(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct arena arena;
        arena_init(&arena);
        struct span path =
            verp_reverse_path(span_cstr(cases[i].from), span_cstr(cases[i].to), &arena);
        if (!span_equal(path, span_cstr(cases[i].path)))
            fail_msg("%s to %s: %.*s", cases[i].from, cases[i].to, SPAN_ARG(path));
        arena_fini(&arena);
    }
}

/* A long one is itself an address that we take; one that would be too long is not made. */
static void test_lengths(void **state)
{
    char local[65] = "", label[61] = "";

    (void)state;
    memset(local, 'x', sizeof local - 1);
    memset(label, 'd', sizeof label - 1);
    for (unsigned labels = 1; labels <= 3; labels++) {
        struct address parsed;
        struct arena arena;
        arena_init(&arena);
        struct span to = arena_printf(&arena, "%s@%s%s%s.dd", local, label, labels > 1 ? "." : "",
                                      labels > 1 ? label : "");
        if (labels > 2)
            to = arena_printf(&arena, "%.*s.%s", SPAN_ARG(to), label);
        struct span path = verp_reverse_path(SPAN(FROM), to, &arena);
        bool fits = strlen(FROM) + 1 + to.len <= ADDRESS_TEXT_MAX;
        assert_int_equal(span_equal(path, SPAN(FROM)), !fits);
        assert_int_equal(address_parse(path, ADDRESS_ALLOW_LONG_LOCAL, &parsed), ADDRESS_OK);
        arena_fini(&arena);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_paths),
        cmocka_unit_test(test_lengths),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
