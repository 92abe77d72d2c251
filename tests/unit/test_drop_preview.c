/* What is shown of a message in a list. */
#include "plugins/drop/mime/preview.h"
#include "support/mime_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void preview_of(struct span message, struct buf *out)
{
    struct digest_part part;
    struct digest digest;
    struct arena arena;
    struct buf bytes;

    arena_init(&arena);
    buf_init(&bytes, 0);
    digest_write(mime_rig_scan(message, SPLIT_WHOLE, &arena), &bytes);
    assert_true(digest_open(buf_span(&bytes), &digest));
    if (preview_part(&digest, &part))
        preview_write(&part, span_head(span_from(message, part.body_at), part.body_len), out);
    buf_fini(&bytes);
    arena_fini(&arena);
}

#define M(boundary) "Content-Type: multipart/mixed; boundary=" boundary "\r\n\r\n"
#define HTML        "Content-Type: text/html\r\n\r\n"
#define CASE(input, output)                                                                        \
    {                                                                                              \
        {input, sizeof(input) - 1}, output                                                         \
    }

static void previews(void **state)
{
    static const struct {
        struct span message;
        const char *preview;
    } cases[] = {
        CASE("", ""),
        CASE("A: b\r\n\r\n", ""),
        CASE("A: b\r\n\r\n  One \r\n\r\n\ttwo. \r\n", "One two."),
        CASE("\r\na\0b\x07\x7f"
             "c\xc2\x85"
             "d\xc2\xa0"
             "e",
             "a b c d e"),
        CASE("\r\n> quoted\r\n> more\r\nanswer\r\n>> end\r\nx > y", "answer x > y"),
        CASE("\r\n> quoted\r\n> more\r\n", "> quoted > more"),
        CASE(HTML "<html><style>p {}</style><p>&gt; One</p>\r\n<p>two</p>", "> One two"),
        CASE("Content-Type: text/plain; charset=iso-8859-15\r\n"
             "Content-Transfer-Encoding: quoted-printable\r\n\r\n=A4 =\r\n1",
             "\xe2\x82\xac 1"),
        CASE("Content-Transfer-Encoding: base64\r\n\r\naGVsbG8=\r\n", "hello"),
        CASE("Content-Type: image/png\r\n\r\nAAAA", ""),
        CASE(M("x") "pre\r\n--x\r\nContent-Type: "
                    "image/png\r\n\r\nAAAA\r\n--x\r\n\r\n\r\n--x\r\n" HTML "<b>a</b>\r\n--x--\r\n",
             "a"),
        CASE(M("x") "--x\r\nContent-Type: message/rfc822\r\n\r\n" M(
                 "y") "--y\r\n\r\nwithin\r\n--y--\r\n--x\r\n\r\nbeside\r\n--x--\r\n",
             "beside"),
        CASE("Content-Type: message/rfc822\r\n\r\nA: b\r\n\r\nwithin", ""),
    };
    struct buf out;

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        buf_init(&out, 0);
        preview_of(cases[i].message, &out);
        CHECK_SPAN(cases[i].message.ptr, buf_span(&out), span_cstr(cases[i].preview));
        buf_fini(&out);
    }
}

/* Characters are counted, not bytes, and a blank is one that does not end it. */
static void long_texts(void **state)
{
    struct buf message, out, expected;

    (void)state;
    for (int words = 99; words <= 101; words++) {
        buf_init(&message, 0);
        buf_init(&out, 0);
        buf_init(&expected, 0);
        buf_add(&message, SPAN("\r\n"));
        for (int i = 0; i < words; i++) {
            buf_add(&message, SPAN("\xc3\xa4 \r\n"));
            if (i < 100)
                buf_addf(&expected, "%s\xc3\xa4", i > 0 ? " " : "");
        }
        preview_of(buf_span(&message), &out);
        CHECK_SPAN("words", buf_span(&out), buf_span(&expected));
        buf_fini(&message);
        buf_fini(&out);
        buf_fini(&expected);
    }
}

/* The begin of a part is enough; where it was cut a character is not told as broken. */
static void begin_of_a_part(void **state)
{
    struct digest_part part = {.body_len = 1000, .is_text = true};
    struct buf out;

    (void)state;
    buf_init(&out, 0);
    preview_write(&part, SPAN("abc\xc3"), &out);
    CHECK_SPAN("cut", buf_span(&out), SPAN("abc"));
    buf_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(previews),
        cmocka_unit_test(long_texts),
        cmocka_unit_test(begin_of_a_part),
    };
    return cmocka_run_group_tests_name("drop_preview", tests, NULL, NULL);
}
