/* Header fields, addresses and dates. */
#include "base/buf.h"
#include "plugins/drop/mime/mime.h"
#include "support/split.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

/* ---- fields ------------------------------------------------------------------------------- */

static void fields(void **state)
{
    static const struct {
        struct span name, value;
        size_t len;
    } expected[] = {
        {{"A", 1}, {" b\r\n", 4}, 6},
        {{"Long", 4}, {"x\r\n y\r\n\tz\r\n", 11}, 16},
        {{"", 0}, {"no field\r\n", 10}, 10},
        {{"", 0}, {": no name\r\n", 11}, 11},
        {{"", 0}, {"a b: no name\r\n", 14}, 14},
        {{"B", 1}, {"\r\n", 2}, 6},
        {{"C", 1}, {"last\nc:d", 8}, 10},
    };
    struct span rest =
        SPAN("A: b\r\nLong:x\r\n y\r\n\tz\r\nno field\r\n: no name\r\na b: no name\r\n"
             "B \t:\r\nC:last\nc:d");
    struct span field, name, value;

    (void)state;
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        assert_true(mime_next_field(&rest, &field, &name, &value));
        CHECK_SPAN("name", name, expected[i].name);
        CHECK_SPAN("value", value, expected[i].value);
        assert_int_equal(field.len, expected[i].len);
    }
    assert_false(mime_next_field(&rest, &field, &name, &value));
    rest = SPAN("\r\nA: b\r\n");
    assert_false(mime_next_field(&rest, &field, &name, &value));
    assert_int_equal(rest.len, 8);
}

static void field_by_name(void **state)
{
    struct span header =
        SPAN("A:  one\r\n\r\n two \r\nB:\r\na: two\r\nA:\r\n x\r\n\ty\r\n\r\nA: body\r\n");
    struct arena arena;

    (void)state;
    arena_init(&arena);
    CHECK_SPAN("ends", mime_field(header, SPAN("a"), 0, &arena), SPAN("one"));
    assert_null(mime_field(header, SPAN("a"), 1, &arena).ptr);
    header = SPAN("A:  one\r\n two \r\nB:\r\na: two\r\nA:\r\n x\r\n\ty\r\n\r\nA: body\r\n");
    CHECK_SPAN("folded", mime_field(header, SPAN("a"), 0, &arena), SPAN("one two"));
    CHECK_SPAN("the next", mime_field(header, SPAN("A"), 1, &arena), SPAN("two"));
    CHECK_SPAN("folded first", mime_field(header, SPAN("A"), 2, &arena), SPAN("x\ty"));
    assert_null(mime_field(header, SPAN("A"), 3, &arena).ptr);
    assert_non_null(mime_field(header, SPAN("B"), 0, &arena).ptr);
    assert_int_equal(mime_field(header, SPAN("B"), 0, &arena).len, 0);
    assert_null(mime_field(header, SPAN("C"), 0, &arena).ptr);
    arena_fini(&arena);
}

/* ---- addresses ---------------------------------------------------------------------------- */

static void put_text(struct span text, struct buf *out)
{
    buf_addf(out, "%.*s", text.ptr == NULL ? 3 : (int)text.len,
             text.ptr == NULL ? "NIL" : text.ptr);
}

/* "name|route|local|domain;" each. */
static void put_list(const struct mime_address *list, struct buf *out)
{
    for (; list != NULL; list = list->next) {
        put_text(list->name, out);
        buf_add(out, SPAN("|"));
        put_text(list->route, out);
        buf_add(out, SPAN("|"));
        put_text(list->local, out);
        buf_add(out, SPAN("|"));
        put_text(list->domain, out);
        buf_add(out, SPAN(";"));
    }
}

static void addresses(void **state)
{
    static const struct {
        const char *value;
        const char *list;
    } cases[] = {
        {"", ""},
        {" \r\n ", ""},
        {",, ,", ""},
        {"(only a comment)", ""},
        {"a@b", "NIL|NIL|a|b;"},
        {"a@b.example,c@d", "NIL|NIL|a|b.example;NIL|NIL|c|d;"},
        {"<a@b>", "NIL|NIL|a|b;"},
        {"Name <a@b>", "Name|NIL|a|b;"},
        {"A  long\r\n Name<a@b>", "A long Name|NIL|a|b;"},
        {"John Q. Public <a@b>", "John Q. Public|NIL|a|b;"},
        {"\"Public, John \\\"Q\\\"\" <a@b>", "Public, John \"Q\"|NIL|a|b;"},
        {"\"\" <a@b>", "NIL|NIL|a|b;"},
        {"\"a\" b \"c\"<a@b>", "a b c|NIL|a|b;"},
        {"=?utf-8?q?=C3=A4?= <a@b>", "=?utf-8?q?=C3=A4?=|NIL|a|b;"},
        {"a@b (Name (nested) \\) one)", "Name (nested) ) one|NIL|a|b;"},
        {"<a@b> (Name)", "Name|NIL|a|b;"},
        {"Name <a@b> (other)", "Name|NIL|a|b;"},
        {"a (x) @ (y) b . c (z)", "z|NIL|a|b.c;"},
        {"<a (x)@ (y) b.c>", "y|NIL|a|b.c;"},
        {"\"a b\"@c", "NIL|NIL|a b|c;"},
        {"\"a@b\"@c", "NIL|NIL|a@b|c;"},
        {"a@[127.0.0.1]", "NIL|NIL|a|[127.0.0.1];"},
        {"a@b@c", "NIL|NIL|a@b|c;"},
        {"<@route:a@b>", "NIL|@route|a|b;"},
        {"Name <@r1,@r2:a@b>, c@d", "Name|@r1,@r2|a|b;NIL|NIL|c|d;"},
        {"a@b <c@d>", "a@b|NIL|c|d;"},
        {"group: a@b, Name <c@d>;, e@f",
         "NIL|NIL|group|NIL;NIL|NIL|a|b;Name|NIL|c|d;NIL|NIL|NIL|NIL;NIL|NIL|e|f;"},
        {"group:;", "NIL|NIL|group|NIL;NIL|NIL|NIL|NIL;"},
        {"group: (foo) ;", "NIL|NIL|group|NIL;NIL|NIL|NIL|NIL;"},
        {"A \"big\" group:a@b", "NIL|NIL|A big group|NIL;NIL|NIL|a|b;NIL|NIL|NIL|NIL;"},
        {":a@b;", "NIL|NIL||NIL;NIL|NIL|a|b;NIL|NIL|NIL|NIL;"},
        {"a@b; c@d", "NIL|NIL|a|b;NIL|NIL|c|d;"},
        {"user", "NIL|NIL|user|MISSING_DOMAIN;"},
        {"Only A Name", "Only A Name|NIL|MISSING_MAILBOX|MISSING_DOMAIN;"},
        {"Name <user>", "Name|NIL|user|MISSING_DOMAIN;"},
        {"Name <>", "Name|NIL|MISSING_MAILBOX|MISSING_DOMAIN;"},
        {"<>", "NIL|NIL|MISSING_MAILBOX|MISSING_DOMAIN;"},
        {"a@", "NIL|NIL|a|MISSING_DOMAIN;"},
        {"@b", "NIL|NIL|MISSING_MAILBOX|b;"},
        {"<@b>", "NIL|NIL|MISSING_MAILBOX|b;"},
        {"Name <a@b", "Name|NIL|a|b;"},
        {"Name <a@b, c@d", "Name|NIL|a|b;NIL|NIL|c|d;"},
        {"a@b> c", "NIL|NIL|a|b c;"},
        {"Name <a@b> junk, c@d", "Name|NIL|a|b;NIL|NIL|c|d;"},
        {"\"open <a@b>", "open <a@b>|NIL|MISSING_MAILBOX|MISSING_DOMAIN;"},
        {"a@b (open", "open|NIL|a|b;"},
        {"<a@b> <c@d>", "NIL|NIL|a|b;"},
        {"\xc3\xa4 <\xc3\xb6@\xc3\xbc>", "\xc3\xa4|NIL|\xc3\xb6|\xc3\xbc;"},
    };
    struct arena arena;
    struct buf text;

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        arena_init(&arena);
        buf_init(&text, 0);
        put_list(mime_addresses(span_cstr(cases[i].value), &arena), &text);
        CHECK_SPAN(cases[i].value, buf_span(&text), span_cstr(cases[i].list));
        buf_fini(&text);
        arena_fini(&arena);
    }
}

static void many_addresses(void **state)
{
    struct arena arena;
    struct buf text;
    unsigned count = 0;

    (void)state;
    buf_init(&text, 0);
    for (int i = 0; i < 2 * MIME_ADDRESSES_MAX; i++)
        buf_add(&text, SPAN("a@b,"));
    arena_init(&arena);
    for (struct mime_address *a = mime_addresses(buf_span(&text), &arena); a != NULL; a = a->next)
        count++;
    assert_int_equal(count, MIME_ADDRESSES_MAX);
    arena_fini(&arena);
    buf_fini(&text);
}

/* ---- dates -------------------------------------------------------------------------------- */

static void dates(void **state)
{
    static const struct {
        const char *value;
        int64_t seconds;
        int zone;
    } cases[] = {
        {"Thu, 1 Jan 1970 00:00:00 +0000", 0, 0},
        {"Thu, 15 Feb 2007 01:02:03 +0200", 1171494123, 120},
        {"15 Feb 2007 01:02 +0200", 1171494120, 120},
        {" Mon ,\r\n 7 (the 7th) Feb 1994 21:52:25 -0800 (PST)", 760686745, -480},
        {"Mon, 7 Feb 94 21:52:25 PST", 760686745, -480},
        {"Mon, 7 Feb 094 21:52:25 EDT", 760672345, -240},
        {"1 Mar 00 00:00:00 GMT", 951868800, 0},
        {"29 Feb 2000 23:59:60 Z", 951868800, 0},
        {"07-Feb-1994 21:52:25 +0530", 760638145, 330},
        {"1 Jan 2024 10:00:00", 1704103200, 0},
        {"1 January 2024 10:00:00 nonsense", 1704103200, 0},
        {"31 Dec 1969 23:59:59 +0000", -1, 0},
    };
    static const char *const bad[] = {
        "",
        "Mon",
        "Mon, 7",
        "Mon, 7 Foo 1994 21:52:25 +0000",
        "7 Feb 1994",
        "7 Feb 1994 24:00:00 +0000",
        "7 Feb 1994 10:60 +0000",
        "29 Feb 1900 10:00 +0000",
        "0 Feb 2000 10:00 +0000",
        "32 Jan 2000 10:00 +0000",
        "7 Feb 19940 10:00 +0000",
        "7 Feb 4 10:00 +0000",
        "999999999999999999999 Feb 1994 10:00 +0000",
    };
    int64_t seconds;
    int zone;

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        CHECK(cases[i].value, mime_date(span_cstr(cases[i].value), &seconds, &zone));
        CHECK(cases[i].value, seconds == cases[i].seconds && zone == cases[i].zone);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        CHECK(bad[i], !mime_date(span_cstr(bad[i]), &seconds, &zone));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fields),    cmocka_unit_test(field_by_name),
        cmocka_unit_test(addresses), cmocka_unit_test(many_addresses),
        cmocka_unit_test(dates),
    };
    return cmocka_run_group_tests_name("drop_mime_fields", tests, NULL, NULL);
}
