#include "proto/address.h"
#include "support/split.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define LOCAL64 "aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffff1234"
#define LABEL63 "aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffff123"

enum { UTF8 = ADDRESS_ALLOW_UTF8, LONG_LOCAL = ADDRESS_ALLOW_LONG_LOCAL };

static const struct {
    const char *text;
    unsigned flags;
    enum address_error error;
} mailboxes[] = {
    {"a@b", 0, ADDRESS_OK},
    {"first.last@example.com", 0, ADDRESS_OK},
    {"!#$%&'*+-/=?^_`{|}~@example.com", 0, ADDRESS_OK},
    {"1@2", 0, ADDRESS_OK},
    {"\"\"@example.com", 0, ADDRESS_OK},
    {"\"a b\"@example.com", 0, ADDRESS_OK},
    {"\"a@b>c<\"@example.com", 0, ADDRESS_OK},
    {"\"a\\\"b\\\\\"@example.com", 0, ADDRESS_OK},
    {"Postmaster", 0, ADDRESS_OK},
    {"POSTMASTER", 0, ADDRESS_OK},
    {"a@[192.0.2.1]", 0, ADDRESS_OK},
    {"a@[IPv6:2001:db8::1]", 0, ADDRESS_OK},
    {LOCAL64 "@example.com", 0, ADDRESS_OK},
    {LOCAL64 "x@example.com", LONG_LOCAL, ADDRESS_OK},
    {"a_b@c_d.example", ADDRESS_ALLOW_UNDERSCORE, ADDRESS_OK},
    {"\xc3\xa4@example.com", UTF8, ADDRESS_OK},
    {"\"\xc3\xa4 b\"@example.com", UTF8, ADDRESS_OK},
    {"a@m\xc3\xbcnchen.example", UTF8, ADDRESS_OK},
    {"", 0, ADDRESS_LOCAL_SYNTAX},
    {"@", 0, ADDRESS_LOCAL_SYNTAX},
    {"@b", 0, ADDRESS_LOCAL_SYNTAX},
    {".a@b", 0, ADDRESS_LOCAL_SYNTAX},
    {"a.@b", 0, ADDRESS_LOCAL_SYNTAX},
    {"a..b@c", 0, ADDRESS_LOCAL_SYNTAX},
    {"a b@c", 0, ADDRESS_LOCAL_SYNTAX},
    {"a(b)@c", 0, ADDRESS_LOCAL_SYNTAX},
    {"a\"b\"@c", 0, ADDRESS_LOCAL_SYNTAX},
    {"a\\b@c", 0, ADDRESS_LOCAL_SYNTAX},
    {"a\x01@c", 0, ADDRESS_LOCAL_SYNTAX},
    {"a\x7f@c", 0, ADDRESS_LOCAL_SYNTAX},
    {"\"a@b", 0, ADDRESS_QUOTED_SYNTAX},
    {"\"", 0, ADDRESS_QUOTED_SYNTAX},
    {"\"\\", 0, ADDRESS_QUOTED_SYNTAX},
    {"\"a\\\"@b", 0, ADDRESS_QUOTED_SYNTAX},
    {"\"a\x01\"@b", 0, ADDRESS_QUOTED_SYNTAX},
    {"\"a\\\x01\"@b", 0, ADDRESS_QUOTED_SYNTAX},
    {"\"a\"b@c", 0, ADDRESS_QUOTED_SYNTAX},
    {"a", 0, ADDRESS_NO_DOMAIN},
    {"\"postmaster\"", 0, ADDRESS_NO_DOMAIN},
    {"a@", 0, ADDRESS_DOMAIN_SYNTAX},
    {"a@b@c", 0, ADDRESS_DOMAIN_SYNTAX},
    {"a@b.", 0, ADDRESS_DOMAIN_SYNTAX},
    {"a@-b", 0, ADDRESS_DOMAIN_SYNTAX},
    {"a@c_d.example", 0, ADDRESS_DOMAIN_SYNTAX},
    {"a@" LABEL63 "x", 0, ADDRESS_DOMAIN_SYNTAX},
    {"a@[192.0.2.1", 0, ADDRESS_LITERAL_SYNTAX},
    {"a@[192.0.2.1]x", 0, ADDRESS_LITERAL_SYNTAX},
    {"a@[2001:db8::1]", 0, ADDRESS_LITERAL_SYNTAX},
    {"a@[x400:abc]", 0, ADDRESS_LITERAL_SYNTAX},
    {LOCAL64 "x@example.com", 0, ADDRESS_LOCAL_TOO_LONG},
    {LOCAL64 "@" LABEL63 "." LABEL63 "." LABEL63, LONG_LOCAL, ADDRESS_TOO_LONG},
    {"\xc3\xa4@example.com", 0, ADDRESS_UTF8_REFUSED},
    {"a@m\xc3\xbcnchen.example", 0, ADDRESS_UTF8_REFUSED},
    {"\xc3@example.com", UTF8, ADDRESS_UTF8_SYNTAX},
    {"\"\\\xc3\xa4\"@example.com", UTF8, ADDRESS_QUOTED_SYNTAX},
};

static void judges_mailboxes(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof mailboxes / sizeof mailboxes[0]; i++) {
        struct address address;
        enum address_error error =
            address_parse(span_cstr(mailboxes[i].text), mailboxes[i].flags, &address);
        if (error != mailboxes[i].error)
            fail_msg("%s: %s", mailboxes[i].text, address_error_text(error));
    }
}

static void refuses_nul(void **state)
{
    struct address address;

    (void)state;
    assert_int_equal(address_parse(SPAN("a\0@b"), 0, &address), ADDRESS_LOCAL_SYNTAX);
    assert_int_equal(address_parse(SPAN("\"a\0\"@b"), 0, &address), ADDRESS_QUOTED_SYNTAX);
    assert_int_equal(address_parse(SPAN("a@b\0"), 0, &address), ADDRESS_DOMAIN_SYNTAX);
    assert_int_equal(address_parse(SPAN("a@[192.0.2.1\0]"), 0, &address), ADDRESS_LITERAL_SYNTAX);
}

static void splits_a_mailbox(void **state)
{
    struct address address;

    (void)state;
    assert_int_equal(address_parse(SPAN("\"a@b\"@Example.com"), 0, &address), ADDRESS_OK);
    CHECK_SPAN("local", address.local, SPAN("\"a@b\""));
    CHECK_SPAN("domain", address.domain, SPAN("Example.com"));
    CHECK_SPAN("text", address.text, SPAN("\"a@b\"@Example.com"));
    assert_true(address.quoted);
    assert_false(address.utf8 || address.literal || address.source_route);
    assert_int_equal(address.kind, ADDRESS_MAILBOX);
    assert_int_equal(address_parse(SPAN("postmaster"), 0, &address), ADDRESS_OK);
    assert_int_equal(address.kind, ADDRESS_POSTMASTER);
    CHECK_SPAN("postmaster", address.local, SPAN("postmaster"));
    assert_int_equal(address.domain.len, 0);
}

static void reads_literals(void **state)
{
    struct address address;
    struct in6_addr in6;

    (void)state;
    assert_int_equal(address_parse(SPAN("a@[192.0.2.1]"), 0, &address), ADDRESS_OK);
    assert_true(address.literal);
    assert_int_equal(address.family, AF_INET);
    assert_int_equal(ntohl(address.in4.s_addr), 0xc0000201);
    assert_int_equal(address_parse(SPAN("a@[IPv6:2001:db8::1]"), 0, &address), ADDRESS_OK);
    assert_int_equal(address.family, AF_INET6);
    assert_int_equal(inet_pton(AF_INET6, "2001:db8::1", &in6), 1);
    assert_memory_equal(&address.in6, &in6, sizeof in6);
    CHECK_SPAN("domain", address.domain, SPAN("[IPv6:2001:db8::1]"));
}

static void judges_paths(void **state)
{
    static const struct {
        const char *input;
        enum address_error error;
        size_t consumed;
        const char *text;
        bool source_route;
    } cases[] = {
        {"<>", ADDRESS_OK, 2, "", false},
        {"<> SIZE=1", ADDRESS_OK, 2, "", false},
        {"<a@b>", ADDRESS_OK, 5, "a@b", false},
        {"<a@b>x>", ADDRESS_OK, 5, "a@b", false},
        {"<\"a>b\"@c> X", ADDRESS_OK, 9, "\"a>b\"@c", false},
        {"<\"a\\\">b\"@c> X", ADDRESS_OK, 11, "\"a\\\">b\"@c", false},
        {"<@a:b@c>", ADDRESS_OK, 8, "b@c", true},
        {"<@a.example,@b.example:c@d>", ADDRESS_OK, 27, "c@d", true},
        {"<@a:b@[IPv6:::1]>", ADDRESS_OK, 17, "b@[IPv6:::1]", true},
        {"<Postmaster>", ADDRESS_OK, 12, "Postmaster", false},
        {"", ADDRESS_PATH_SYNTAX, 0, NULL, false},
        {"a@b", ADDRESS_PATH_SYNTAX, 0, NULL, false},
        {"<a@b", ADDRESS_PATH_SYNTAX, 0, NULL, false},
        {"<\"a>@b", ADDRESS_PATH_SYNTAX, 0, NULL, false},
        {"<", ADDRESS_PATH_SYNTAX, 0, NULL, false},
        {"<@a>", ADDRESS_ROUTE_SYNTAX, 4, NULL, false},
        {"<@a,:b@c>", ADDRESS_ROUTE_SYNTAX, 9, NULL, false},
        {"<@a,b:c@d>", ADDRESS_ROUTE_SYNTAX, 10, NULL, false},
        {"<@:c@d>", ADDRESS_ROUTE_SYNTAX, 7, NULL, false},
        {"<@a,,@b:c@d>", ADDRESS_ROUTE_SYNTAX, 12, NULL, false},
        {"<@a:>", ADDRESS_LOCAL_SYNTAX, 5, NULL, false},
        {"<@a:postmaster>", ADDRESS_NO_DOMAIN, 15, NULL, false},
        {"< a@b>", ADDRESS_LOCAL_SYNTAX, 6, NULL, false},
        {"<a@b >", ADDRESS_DOMAIN_SYNTAX, 6, NULL, false},
        {"<<a@b>>", ADDRESS_LOCAL_SYNTAX, 6, NULL, false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct address address;
        size_t consumed;
        enum address_error error =
            address_parse_path(span_cstr(cases[i].input), 0, &address, &consumed);
        if (error != cases[i].error)
            fail_msg("%s: %s", cases[i].input, address_error_text(error));
        CHECK(cases[i].input, consumed == cases[i].consumed);
        if (error != ADDRESS_OK)
            continue;
        CHECK_SPAN(cases[i].input, address.text, span_cstr(cases[i].text));
        CHECK(cases[i].input, address.source_route == cases[i].source_route);
    }
}

static void bounds_the_path(void **state)
{
    char path[ADDRESS_PATH_MAX + 1];
    struct address address;
    size_t consumed;

    (void)state;
    for (size_t len = sizeof path - 1; len <= sizeof path; len++) {
        memset(path, 'a', sizeof path);
        path[0] = '<';
        memcpy(path + 60, "@", 1);
        for (size_t i = 120; i < len - 1; i += 60)
            path[i] = '.';
        path[len - 1] = '>';
        enum address_error expected = len > ADDRESS_PATH_MAX ? ADDRESS_TOO_LONG : ADDRESS_OK;
        assert_int_equal(address_parse_path(span_of(path, len), 0, &address, &consumed), expected);
    }
}

static void normalizes_local_parts(void **state)
{
    static const struct {
        const char *text;
        const char *canonical;
    } cases[] = {
        {"a.b@c", "a.b"},
        {"\"a.b\"@c", "a.b"},
        {"\"\\a\\b\"@c", "ab"},
        {"\"A\"@c", "A"},
        {"\"a b\"@c", "\"a b\""},
        {"\"a\\ b\"@c", "\"a b\""},
        {"\"a..b\"@c", "\"a..b\""},
        {"\".a\"@c", "\".a\""},
        {"\"\"@c", "\"\""},
        {"\"a\\\"b\"@c", "\"a\\\"b\""},
        {"\"a\\\\b\"@c", "\"a\\\\b\""},
        {"\"\xc3\xa4\"@c", "\xc3\xa4"},
    };
    struct arena arena;

    (void)state;
    arena_init(&arena);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct address address;
        assert_int_equal(address_parse(span_cstr(cases[i].text), UTF8, &address), ADDRESS_OK);
        struct span canonical = address_canonical_local(&address, &arena);
        CHECK_SPAN(cases[i].text, canonical, span_cstr(cases[i].canonical));
    }
    arena_fini(&arena);
}

static void formats_for_the_next_hop(void **state)
{
    static const struct {
        const char *text;
        bool ascii;
        const char *formatted; /* NULL: impossible */
    } cases[] = {
        {"A@Example.com", false, "A@Example.com"},
        {"A@Example.com", true, "A@Example.com"},
        {"a@m\xc3\xbcnchen.example", false, "a@m\xc3\xbcnchen.example"},
        {"a@m\xc3\xbcnchen.example", true, "a@xn--mnchen-3ya.example"},
        {"\xc3\xa4@example.com", false, "\xc3\xa4@example.com"},
        {"\xc3\xa4@example.com", true, NULL},
        {"postmaster", true, "postmaster"},
    };
    struct arena arena;

    (void)state;
    arena_init(&arena);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct address address;
        struct span formatted;
        assert_int_equal(address_parse(span_cstr(cases[i].text), UTF8, &address), ADDRESS_OK);
        bool good = address_format(&address, cases[i].ascii, &arena, &formatted);
        CHECK(cases[i].text, good == (cases[i].formatted != NULL));
        CHECK_SPAN(cases[i].text, formatted, span_cstr(cases[i].formatted));
    }
    arena_fini(&arena);
}

static void copies_addresses(void **state)
{
    char text[] = "\"a\"@[192.0.2.1]";
    struct address address;
    struct arena arena;

    (void)state;
    arena_init(&arena);
    assert_int_equal(address_parse(span_cstr(text), 0, &address), ADDRESS_OK);
    struct address copy = address_dup(&arena, &address);
    memset(text, 'x', sizeof text);
    CHECK_SPAN("text", copy.text, SPAN("\"a\"@[192.0.2.1]"));
    CHECK_SPAN("local", copy.local, SPAN("\"a\""));
    CHECK_SPAN("domain", copy.domain, SPAN("[192.0.2.1]"));
    assert_int_equal(copy.family, AF_INET);
    struct address null = {0};
    copy = address_dup(&arena, &null);
    assert_int_equal(copy.kind, ADDRESS_NULL);
    assert_int_equal(copy.text.len, 0);
    arena_fini(&arena);
}

static void names_the_errors(void **state)
{
    (void)state;
    assert_string_equal(address_error_text(ADDRESS_NO_DOMAIN), "domain missing");
    for (int error = ADDRESS_OK; error <= ADDRESS_UTF8_SYNTAX; error++)
        assert_string_not_equal(address_error_text((enum address_error)error), "unknown");
}

static void refuses_what_grows_too_long(void **state)
{
    struct address address;
    struct arena arena;
    struct span text = SPAN(LOCAL64 "@" LABEL63 "." LABEL63 "."
                                    "\xc3\xa4\xc3\xb6\xc3\xbc." LABEL63 "aaaa");
    struct span formatted;

    (void)state;
    text.len = ADDRESS_TEXT_MAX;
    arena_init(&arena);
    assert_int_equal(address_parse(text, UTF8, &address), ADDRESS_OK);
    assert_false(address_format(&address, true, &arena, &formatted));
    assert_null(formatted.ptr);
    arena_fini(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(judges_mailboxes),
        cmocka_unit_test(refuses_nul),
        cmocka_unit_test(splits_a_mailbox),
        cmocka_unit_test(reads_literals),
        cmocka_unit_test(judges_paths),
        cmocka_unit_test(bounds_the_path),
        cmocka_unit_test(normalizes_local_parts),
        cmocka_unit_test(formats_for_the_next_hop),
        cmocka_unit_test(copies_addresses),
        cmocka_unit_test(names_the_errors),
        cmocka_unit_test(refuses_what_grows_too_long),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
