#include "proto/xclient.h"
#include "support/split.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define X10(text)  text text text text text text text text text text
#define X100(text) X10(X10(text))

static const char *const state_texts[] = {"", "", "?", "??"};

/* "NAME=value ADDR=?": what was understood, in the order of the attributes. */
static void describe(const struct xclient *x, struct buf *out)
{
    char text[IP_TEXT_MAX];

    for (unsigned i = 0; i < XCLIENT_ATTRIBUTE_COUNT; i++) {
        const struct xclient_value *value = &x->values[i];
        if (value->state == XCLIENT_ABSENT)
            continue;
        buf_addf(out, "%s=%s%.*s ", xclient_attribute_name((enum xclient_attribute)i),
                 state_texts[value->state], SPAN_ARG(value->text));
    }
    if (x->values[XCLIENT_ADDR].state == XCLIENT_GIVEN) {
        ip_format(&x->address, text);
        buf_addf(out, "from %s %u ", text, x->port);
    }
    if (x->values[XCLIENT_DESTADDR].state == XCLIENT_GIVEN) {
        ip_format(&x->target, text);
        buf_addf(out, "to %s %u ", text, x->target_port);
    }
}

static void understands_xclient(void **state)
{
    static const struct {
        const char *args;
        const char *meaning;
    } cases[] = {
        {"NAME=mx.example.org", "NAME=mx.example.org"},
        {"name=[UNAVAILABLE] Addr=[unavailable]", "NAME=? ADDR=?"},
        {"NAME=[TEMPUNAVAIL]", "NAME=??"},
        {"ADDR=192.0.2.1 PORT=4711", "ADDR=192.0.2.1 PORT=4711 from 192.0.2.1 4711"},
        {"ADDR=IPV6:2001:db8::1", "ADDR=IPV6:2001:db8::1 from 2001:db8::1 0"},
        {"ADDR=ipv6:::ffff:192.0.2.1", "ADDR=ipv6:::ffff:192.0.2.1 from 192.0.2.1 0"},
        {"PROTO=ESMTP  HELO=a.b", "PROTO=ESMTP HELO=a.b"},
        {"HELO=+5B192.0.2.1+5D", "HELO=[192.0.2.1]"},
        {"LOGIN=joe+2Btag@example.org", "LOGIN=joe+tag@example.org"},
        {"LOGIN=J+C3+B6rg", "LOGIN=J\xc3\xb6rg"},
        {"DESTADDR=198.51.100.7 DESTPORT=25",
         "DESTADDR=198.51.100.7 DESTPORT=25 to 198.51.100.7 25"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct arena arena;
        struct xclient x;
        struct buf described;
        arena_init(&arena);
        buf_init(&described, 0);
        enum xclient_error error = xclient_parse(span_cstr(cases[i].args), &arena, &x);
        if (error != XCLIENT_OK)
            fail_msg("%s: %s", cases[i].args, xclient_error_text(error));
        describe(&x, &described);
        CHECK_SPAN(cases[i].args, span_trim(buf_span(&described)), span_cstr(cases[i].meaning));
        buf_fini(&described);
        arena_fini(&arena);
    }
}

static void tells_the_protocol(void **state)
{
    struct arena arena;
    struct xclient x;

    (void)state;
    arena_init(&arena);
    assert_int_equal(xclient_parse(SPAN("PROTO=esmtp"), &arena, &x), XCLIENT_OK);
    assert_true(x.esmtp);
    assert_int_equal(xclient_parse(SPAN("PROTO=SMTP"), &arena, &x), XCLIENT_OK);
    assert_false(x.esmtp);
    arena_fini(&arena);
}

static void refuses_xclient(void **state)
{
    static const struct {
        const char *args;
        enum xclient_error error;
    } cases[] = {
        {"", XCLIENT_EMPTY},
        {"NAME", XCLIENT_SYNTAX},
        {"=x", XCLIENT_SYNTAX},
        {"NAME=a=b", XCLIENT_SYNTAX},
        {"NAME=a+2", XCLIENT_SYNTAX},
        {"NAME=a\tADDR=b", XCLIENT_SYNTAX},
        {"IDENT=1", XCLIENT_UNKNOWN},
        {"NAME=a NAME=b", XCLIENT_REPEATED},
        {"NAME=[UNAVAILABLE] name=b", XCLIENT_REPEATED},
        {"NAME=", XCLIENT_VALUE},
        {"NAME=a+20b", XCLIENT_VALUE},
        {"NAME=a+0D+0Ab", XCLIENT_VALUE},
        {"ADDR=mx.example.org", XCLIENT_VALUE},
        {"ADDR=2001:db8::1", XCLIENT_VALUE},
        {"ADDR=IPV6:192.0.2.1", XCLIENT_VALUE},
        {"ADDR=+5B192.0.2.1+5D", XCLIENT_VALUE},
        {"PORT=65536", XCLIENT_VALUE},
        {"PROTO=LMTP", XCLIENT_VALUE},
        {"HELO=a+20b", XCLIENT_VALUE},
        {"HELO=a+0Ab", XCLIENT_VALUE},
        {"LOGIN=a+0Ab", XCLIENT_VALUE},
        {"LOGIN=a+7F", XCLIENT_VALUE},
        {"LOGIN=" X100("xxx"), XCLIENT_VALUE},
        {"DESTADDR=x", XCLIENT_VALUE},
        {"DESTPORT=x", XCLIENT_VALUE},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct arena arena;
        struct xclient x;
        arena_init(&arena);
        enum xclient_error error = xclient_parse(span_cstr(cases[i].args), &arena, &x);
        if (error != cases[i].error)
            fail_msg("%s: %s", cases[i].args, xclient_error_text(error));
        arena_fini(&arena);
    }
}

static void reads_what_xforward_offers(void **state)
{
    (void)state;
    assert_int_equal(xforward_attributes(SPAN("")), 0);
    assert_int_equal(xforward_attributes(SPAN("NAME addr  TTL")), XFORWARD_NAME | XFORWARD_ADDR);
    assert_int_equal(xforward_attributes(SPAN("NAME ADDR PORT PROTO HELO IDENT SOURCE")), 0x7f);
}

static void writes_xforward(void **state)
{
    struct ip_address v4, v6;
    struct arena arena;
    struct buf out;

    (void)state;
    arena_init(&arena);
    buf_init(&out, 0);
    assert_true(ip_parse(SPAN("192.0.2.1"), &v4) && ip_parse(SPAN("2001:db8::1"), &v6));
    struct xforward x = {.name = SPAN("mx.a"),
                         .address = &v4,
                         .port = 4711,
                         .protocol = SPAN("ESMTP"),
                         .hello = SPAN("[192.0.2.1]\r\nRSET"),
                         .ident = SPAN("1+1=2")};
    assert_int_equal(xforward_write(&x, ~0u, &arena, &out), 1);
    CHECK_SPAN("all", buf_span(&out),
               SPAN("XFORWARD NAME=mx.a ADDR=192.0.2.1 PORT=4711 PROTO=ESMTP "
                    "HELO=[192.0.2.1]+0D+0ARSET IDENT=1+2B1+3D2 SOURCE=REMOTE\r\n"));
    buf_clear(&out);
    x = (struct xforward){.address = &v6, .local = true};
    unsigned offered = XFORWARD_NAME | XFORWARD_ADDR | XFORWARD_PORT | XFORWARD_SOURCE;
    assert_int_equal(xforward_write(&x, offered, &arena, &out), 1);
    CHECK_SPAN("little", buf_span(&out),
               SPAN("XFORWARD NAME=[UNAVAILABLE] ADDR=IPV6:2001:db8::1 PORT=[UNAVAILABLE] "
                    "SOURCE=LOCAL\r\n"));
    buf_clear(&out);
    assert_int_equal(xforward_write(&x, 0, &arena, &out), 0);
    assert_int_equal(buf_len(&out), 0);
    buf_fini(&out);
    arena_fini(&arena);
}

static void bounds_the_lines_of_xforward(void **state)
{
    static const char bytes[] = X100("xxx");
    struct arena arena;
    struct buf out, small;

    (void)state;
    arena_init(&arena);
    buf_init(&out, 0);
    buf_init(&small, 500);
    for (size_t len = 0; len < sizeof bytes; len++) {
        struct span value = span_of(bytes, len);
        struct xforward x = {.name = value, .hello = value, .ident = value};
        unsigned count = xforward_write(&x, ~0u, &arena, &out);
        unsigned lines = 0;
        for (struct span rest = buf_span(&out); rest.len > 0; lines++) {
            size_t end = span_index(rest, '\n');
            assert_true(end + 1 <= XFORWARD_LINE_MAX && rest.ptr[end - 1] == '\r');
            rest = span_from(rest, end + 1);
        }
        assert_int_equal(lines, count);
        bool fits = buf_len(&out) <= 500;
        assert_int_equal(xforward_write(&x, ~0u, &arena, &small), fits ? count : 0);
        assert_int_equal(buf_len(&small), fits ? buf_len(&out) : 0);
        buf_clear(&out);
        buf_clear(&small);
    }
    struct xforward wide = {.name = SPAN(X100("++"))};
    assert_int_equal(xforward_write(&wide, XFORWARD_NAME, &arena, &out), 1);
    CHECK_SPAN("too wide", buf_span(&out), SPAN("XFORWARD NAME=[UNAVAILABLE]\r\n"));
    buf_fini(&out);
    buf_fini(&small);
    arena_fini(&arena);
}

static void names_the_errors(void **state)
{
    (void)state;
    for (int error = XCLIENT_OK; error <= XCLIENT_VALUE; error++)
        assert_string_not_equal(xclient_error_text((enum xclient_error)error), "unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(understands_xclient), cmocka_unit_test(tells_the_protocol),
        cmocka_unit_test(refuses_xclient),     cmocka_unit_test(reads_what_xforward_offers),
        cmocka_unit_test(writes_xforward),     cmocka_unit_test(bounds_the_lines_of_xforward),
        cmocka_unit_test(names_the_errors),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
