/* proto/: Content-Type, and quoted-printable. */
#include "proto/content_type.h"
#include "proto/quoted_printable.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "support/split.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

#define SEVENTY "123456789-123456789-123456789-123456789-123456789-123456789-123456789-"

static void test_content_types(void **state)
{
    static const struct {
        const char *value;
        enum content_kind kind;
        const char *boundary;
        bool is_digest;
    } cases[] = {
        {"text/plain; charset=utf-8", CONTENT_LEAF, "", false},
        {" text/plain; boundary=x", CONTENT_LEAF, "", false},
        {"multipart/mixed; boundary=b", CONTENT_MULTIPART, "b", false},
        {"Multipart/MIXED;\r\n\tcharset=x;\r\n BOUNDARY=\"b 1\"\r\n", CONTENT_MULTIPART, "b 1",
         false},
        {"multipart/mixed; boundary=\"a\\\"b\"; x=y", CONTENT_MULTIPART, "a\"b", false},
        {"multipart/mixed; boundary=----=_Part_1.2:3; type=x", CONTENT_MULTIPART,
         "----=_Part_1.2:3", false},
        {"multipart (a (nested\\) comment) b) / mixed (c) ; (d) boundary (e) = (f) b (g)",
         CONTENT_MULTIPART, "b", false},
        {"multipart/mixed; x=\"; boundary=no\"; boundary=yes", CONTENT_MULTIPART, "yes", false},
        {"multipart/mixed; boundary=one; boundary=two", CONTENT_MULTIPART, "one", false},
        {"multipart/mixed; boundary=" SEVENTY, CONTENT_MULTIPART, SEVENTY, false},
        {"multipart/mixed; boundary=" SEVENTY "x", CONTENT_OPAQUE, "", false},
        {"multipart/mixed; boundary=\"" SEVENTY "x\"", CONTENT_OPAQUE, "", false},
        {"multipart/mixed", CONTENT_OPAQUE, "", false},
        {"multipart/mixed; boundary=\"\"", CONTENT_OPAQUE, "", false},
        {"multipart/mixed; boundary", CONTENT_OPAQUE, "", false},
        {"multipart/mixed; boundary=\"open", CONTENT_MULTIPART, "open", false},
        {"multipart/digest; boundary=b", CONTENT_MULTIPART, "b", true},
        {"multipart/signed; boundary=b; micalg=x", CONTENT_SEALED, "b", false},
        {"multipart/encrypted; boundary=b", CONTENT_SEALED, "b", false},
        {"message/rfc822", CONTENT_MESSAGE, "", false},
        {"message/global; x=y", CONTENT_MESSAGE, "", false},
        {"message/delivery-status", CONTENT_OPAQUE, "", false},
        {"text", CONTENT_LEAF, "", false},
        {"", CONTENT_LEAF, "", false},
        {"(", CONTENT_LEAF, "", false},
        {"multipart; boundary=b", CONTENT_LEAF, "", false},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct content_type type;
        content_type_parse(span_cstr(cases[i].value), &type);
        CHECK(cases[i].value, type.kind == cases[i].kind);
        CHECK(cases[i].value, type.is_digest == cases[i].is_digest);
        CHECK_SPAN(cases[i].value,
                   type.kind == CONTENT_LEAF ? SPAN_NONE
                                             : span_of(type.boundary, type.boundary_len),
                   span_cstr(cases[i].boundary));
    }
}

#define FIFTY "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define MOST  FIFTY "aaaaaaaaaaaaaaaaaaaaaaaaa" /* of a line: 75 */

static void test_quoted_printable(void **state)
{
    static const struct {
        const char *plain, *encoded;
    } cases[] = {
        {"", ""},
        {"abc\r\n", "abc\r\n"},
        {"a=b\r\n", "a=3Db\r\n"},
        {"gr\xc3\xbc\xc3\x9f\x65\r\n", "gr=C3=BC=C3=9Fe\r\n"},
        {"a b \t\r\n \r\n", "a b =09\r\n=20\r\n"},
        {"a \t", "a =09"},
        {"a\r\n\r\nb", "a\r\n\r\nb"},
        {"\x01\x7f\r\n", "=01=7F\r\n"},
        {"a\rb\nc\r", "a=0Db=0Ac=0D"},
        {"a \rb", "a=20=0Db"},
        {MOST "\r\n", MOST "\r\n"},
        {MOST "a\r\n", MOST "=\r\na\r\n"},
        {MOST " \r\n", MOST "=\r\n=20\r\n"},
        {FIFTY "aaaaaaaaaaaaaaaaaaaaaaa\xc3\xbc\r\n",
         FIFTY "aaaaaaaaaaaaaaaaaaaaaaa=\r\n=C3=BC\r\n"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct span plain = span_cstr(cases[i].plain);
        for (size_t way = 0; way < split_ways(plain.len); way++) {
            struct qp_encoder encoder = {0};
            struct buf out;
            buf_init(&out, 0);
            for (size_t at = 0, len; at < plain.len; at += len) {
                len = split_piece(way, plain.len, at);
                qp_encode(&encoder, span_of(plain.ptr + at, len), &out);
            }
            qp_encode_end(&encoder, &out);
            CHECK_SPAN(cases[i].plain, buf_span(&out), span_cstr(cases[i].encoded));
            buf_fini(&out);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_content_types),
        cmocka_unit_test(test_quoted_printable),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
