#include "base/buf.h"
#include "proto/proxy.h"
#include "support/split.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define SIG       "\r\n\r\n\0\r\nQUIT\n"
#define TCP4      "\xc0\x00\x02\x01\xc6\x33\x64\x07\x10\x00\x00\x19"
#define V6(last)  "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0" last
#define TCP6      V6("\x01") V6("\x02") "\x10\x00\x00\x19"
#define MAPPED(n) "\0\0\0\0\0\0\0\0\0\0\xff\xff\xc0\x00\x02" n
#define AUTHORITY "\x02\0\x04mx.a"
#define SSL       "\x20\0\x05\x07\0\0\0\0"

/* The header as it was understood, in one line. */
static void describe(const struct proxy_header *h, struct buf *out)
{
    char source[IP_TEXT_MAX], target[IP_TEXT_MAX];

    buf_addf(out, "v%u %s", h->version,
             h->kind == PROXY_LOCAL     ? "local"
             : h->kind == PROXY_UNKNOWN ? "unknown"
                                        : "tcp");
    if (h->kind != PROXY_TCP)
        return;
    ip_format(&h->source, source);
    ip_format(&h->target, target);
    buf_addf(out, " %s %u > %s %u", source, h->source_port, target, h->target_port);
    if (h->authority.len > 0)
        buf_addf(out, " for %.*s", SPAN_ARG(h->authority));
    buf_addf(out, "%s%s", h->tls ? " tls" : "", h->certificate_verified ? " verified" : "");
}

/* Feeds ever longer beginnings of the input, as a conn would; returns the bytes of the header. */
static size_t parse_grown(struct span input, size_t way, enum parse_result *result,
                          enum proxy_error *error, struct buf *described)
{
    struct proxy_header header;
    size_t consumed = 0, held = 0;

    *result = PARSE_MORE;
    while (held < input.len && *result == PARSE_MORE) {
        held += split_piece(way, input.len, held);
        *result = proxy_parse(span_head(input, held), &consumed, &header, error);
        assert_true(*result != PARSE_MORE || held < PROXY_HEADER_MAX);
    }
    if (*result == PARSE_DONE)
        describe(&header, described);
    return consumed;
}

static void check(struct span input, enum parse_result expected, enum proxy_error expected_error,
                  const char *meaning, size_t header_len)
{
    for (size_t way = 0; way < split_ways(input.len); way++) {
        enum parse_result result;
        enum proxy_error error;
        struct buf described;
        buf_init(&described, 0);
        size_t consumed = parse_grown(input, way, &result, &error, &described);
        CHECK(meaning, result == expected);
        CHECK(meaning, result != PARSE_BAD || error == expected_error);
        CHECK(meaning, consumed == (result == PARSE_DONE ? header_len : 0));
        if (result == PARSE_DONE)
            CHECK_SPAN(meaning, buf_span(&described), span_cstr(meaning));
        buf_fini(&described);
    }
}

static void reads_headers(void **state)
{
#define CASE(header, meaning)                                                                      \
    {                                                                                              \
        {header "EHLO x\r\n", sizeof(header) - 1 + 8}, sizeof(header) - 1, meaning                 \
    }
    static const struct {
        struct span input;
        size_t header_len;
        const char *meaning;
    } cases[] = {
        CASE("PROXY TCP4 192.0.2.1 198.51.100.7 4096 25\r\n",
             "v1 tcp 192.0.2.1 4096 > 198.51.100.7 25"),
        CASE("PROXY TCP6 2001:db8::1 2001:db8::2 65535 0\r\n",
             "v1 tcp 2001:db8::1 65535 > 2001:db8::2 0"),
        CASE("PROXY TCP6 ::ffff:192.0.2.1 ::ffff:192.0.2.2 1 2\r\n",
             "v1 tcp 192.0.2.1 1 > 192.0.2.2 2"),
        CASE("PROXY UNKNOWN\r\n", "v1 unknown"),
        CASE("PROXY UNKNOWN anything else\r\n", "v1 unknown"),
        CASE("PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
             "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n",
             "v1 unknown"),
        CASE(SIG "\x21\x11\0\x0c" TCP4, "v2 tcp 192.0.2.1 4096 > 198.51.100.7 25"),
        CASE(SIG "\x21\x21\0\x24" TCP6, "v2 tcp 2001:db8::1 4096 > 2001:db8::2 25"),
        CASE(SIG "\x21\x21\0\x24" MAPPED("\x01") MAPPED("\x02") "\0\x01\0\x02",
             "v2 tcp 192.0.2.1 1 > 192.0.2.2 2"),
        CASE(SIG "\x20\0\0\0", "v2 local"),
        CASE(SIG "\x20\x11\0\x0c" TCP4, "v2 local"),
        CASE(SIG "\x20\xff\0\x01?", "v2 local"),
        CASE(SIG "\x21\0\0\0", "v2 unknown"),
        CASE(SIG "\x21\0\0\x03xyz", "v2 unknown"),
        CASE(SIG "\x21\x12\0\x0c" TCP4, "v2 unknown"),
        CASE(SIG "\x21\x11\0\x13" TCP4 AUTHORITY,
             "v2 tcp 192.0.2.1 4096 > 198.51.100.7 25 for mx.a"),
        CASE(SIG "\x21\x11\0\x14" TCP4 SSL, "v2 tcp 192.0.2.1 4096 > 198.51.100.7 25 tls verified"),
        CASE(SIG "\x21\x11\0\x14" TCP4 "\x20\0\x05\x01\0\0\0\0",
             "v2 tcp 192.0.2.1 4096 > 198.51.100.7 25 tls"),
        CASE(SIG "\x21\x11\0\x14" TCP4 "\x20\0\x05\x03\0\0\0\x01",
             "v2 tcp 192.0.2.1 4096 > 198.51.100.7 25 tls"),
        CASE(SIG "\x21\x11\0\x14" TCP4 "\x20\0\x05\x06\0\0\0\0",
             "v2 tcp 192.0.2.1 4096 > 198.51.100.7 25"),
        CASE(SIG "\x21\x11\0\x1e" TCP4 "\xe0\0\0" SSL AUTHORITY,
             "v2 tcp 192.0.2.1 4096 > 198.51.100.7 25 for mx.a tls verified"),
    };
#undef CASE

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        check(cases[i].input, PARSE_DONE, PROXY_OK, cases[i].meaning, cases[i].header_len);
}

static void refuses_headers(void **state)
{
#define CASE(input, error)                                                                         \
    {                                                                                              \
        {input, sizeof(input) - 1}, error, #input                                                  \
    }
#define V1(rest) CASE("PROXY " rest "\r\n", PROXY_V1_SYNTAX)
    static const struct {
        struct span input;
        enum proxy_error error;
        const char *name;
    } cases[] = {
        CASE("EHLO x\r\n", PROXY_SIGNATURE),
        CASE("PROXY\r\n", PROXY_SIGNATURE),
        CASE("proxy UNKNOWN\r\n", PROXY_SIGNATURE),
        CASE("\r\nEHLO", PROXY_SIGNATURE),
        V1(""),
        V1("TCP5 192.0.2.1 192.0.2.2 1 2"),
        V1("TCP4 192.0.2.1 192.0.2.2 1"),
        V1("TCP4 192.0.2.1 192.0.2.2 1 2 3"),
        V1("TCP4  192.0.2.1 192.0.2.2 1 2"),
        V1("TCP4 192.0.2.1 192.0.2.2 1 2 "),
        V1("TCP4 192.0.2.1 192.0.2.2 1 65536"),
        V1("TCP4 192.0.2.1 192.0.2.2 1 02"),
        V1("TCP4 192.0.2.1 192.0.2.2 -1 2"),
        V1("TCP4 192.0.2 192.0.2.2 1 2"),
        V1("TCP4 ::1 ::2 1 2"),
        V1("TCP6 192.0.2.1 192.0.2.2 1 2"),
        V1("TCP6 ::1%lo ::2 1 2"),
        CASE("PROXY UNKNOWN\n", PROXY_V1_SYNTAX),
        CASE("PROXY UNKNOWN\rx\r\n", PROXY_V1_SYNTAX),
        CASE("PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
             "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 655356\r\n",
             PROXY_V1_SYNTAX),
        CASE(SIG "\x11\x11\0\x0c" TCP4, PROXY_V2_VERSION),
        CASE(SIG "\x22\x11\0\x0c" TCP4, PROXY_V2_VERSION),
        CASE(SIG "\x21\x41\0\x0c" TCP4, PROXY_V2_FAMILY),
        CASE(SIG "\x21\x13\0\x0c" TCP4, PROXY_V2_FAMILY),
        CASE(SIG "\x21\x11\x08\x01" TCP4, PROXY_V2_TOO_LONG),
        CASE(SIG "\x20\x11\xff\xff" TCP4, PROXY_V2_TOO_LONG),
        CASE(SIG "\x21\x11\0\x0b" TCP4, PROXY_V2_TOO_SHORT),
        CASE(SIG "\x21\x21\0\x0c" TCP4, PROXY_V2_TOO_SHORT),
        CASE(SIG "\x21\x11\0\x0e" TCP4 "\x02\0", PROXY_V2_TLV),
        CASE(SIG "\x21\x11\0\x10" TCP4 "\x02\0\x02x", PROXY_V2_TLV),
        CASE(SIG "\x21\x11\0\x13" TCP4 "\x20\0\x04\x01\0\0\0", PROXY_V2_TLV),
    };
#undef V1
#undef CASE

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        check(cases[i].input, PARSE_BAD, cases[i].error, cases[i].name, 0);
}

static void asks_for_more(void **state)
{
    static const struct span inputs[] = {
        {"", 0},         {"P", 1},  {"PROXY ", 6},          {"PROXY UNKNOWN\r", 14},
        {"\r\n\r\n", 4}, {SIG, 12}, {SIG "\x21\x11\0", 15}, {SIG "\x21\x11\0\x0c" TCP4, 27},
    };

    (void)state;
    for (size_t i = 0; i < sizeof inputs / sizeof inputs[0]; i++)
        check(inputs[i], PARSE_MORE, PROXY_OK, "more", 0);
}

static void names_the_errors(void **state)
{
    (void)state;
    for (int error = PROXY_OK; error <= PROXY_V2_TLV; error++)
        assert_string_not_equal(proxy_error_text((enum proxy_error)error), "unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_headers),
        cmocka_unit_test(refuses_headers),
        cmocka_unit_test(asks_for_more),
        cmocka_unit_test(names_the_errors),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
