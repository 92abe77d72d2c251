/* proto/downgrade: what becomes of a message on its way to a host without 8BITMIME. */
#include "proto/downgrade.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "support/split.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

#define FROM    "From: a@b.test\r\n"
#define VERSION "MIME-Version: 1.0\r\n"
#define EIGHT   "Content-Transfer-Encoding: 8bit\r\n"
#define SEVEN   "Content-Transfer-Encoding: 7bit\r\n"
#define QUOTED  "Content-Transfer-Encoding: quoted-printable\r\n"
#define TEXT    "Content-Type: text/plain; charset=utf-8\r\n"
#define MIXED   "Content-Type: multipart/mixed;\r\n boundary=\"b\"\r\n"
#define SIGNED  "Content-Type: multipart/signed; boundary=s; micalg=x\r\n"
#define RFC822  "Content-Type: message/rfc822\r\n"
#define UMLAUT  "\xc3\xbc\r\n"
#define CODED   "=C3=BC\r\n"

struct downgrade_case {
    const char *name;
    const char *message;
    const char *want; /* NULL: as it is. "": it cannot be */
};

static const struct downgrade_case cases[] = {
    {"nothing in it", "", NULL},
    {"no header", "\r\nbody\r\n", NULL},
    {"7-bit", FROM VERSION TEXT SEVEN "\r\na=b \r\n--b\r\n.\r\n", NULL},
    {"7-bit, without a line end", FROM "\r\nbody", NULL},
    {"a header alone", FROM TEXT, NULL},
    {"base64", FROM VERSION "Content-Transfer-Encoding: base64\r\n\r\nw7w=\r\n", NULL},

    {"8bit text", FROM VERSION TEXT EIGHT "\r\n" UMLAUT, FROM VERSION TEXT QUOTED "\r\n" CODED},
    {"the label in front", EIGHT TEXT VERSION FROM "\r\n" UMLAUT,
     TEXT VERSION FROM QUOTED "\r\n" CODED},
    {"the label written otherwise",
     FROM VERSION "content-transfer-ENCODING :\r\n\t8BIT (that is it)\r\n" TEXT "\r\n" UMLAUT,
     FROM VERSION TEXT QUOTED "\r\n" CODED},
    {"8bit, but all of it is ASCII", FROM VERSION EIGHT "\r\na=b\r\n",
     FROM VERSION QUOTED "\r\na=3Db\r\n"},
    {"8bit, without MIME-Version", FROM EIGHT "\r\n" UMLAUT, FROM QUOTED VERSION "\r\n" CODED},
    {"8bit, a blank at the very end", FROM VERSION EIGHT "\r\n\xc3\xbc ",
     FROM VERSION QUOTED "\r\n=C3=BC=20"},

    {"parts",
     FROM VERSION MIXED EIGHT "\r\npreamble\r\n--b\r\n" TEXT EIGHT "\r\n" UMLAUT
                              "--b\r\n\r\nplain=\r\n--b--\r\nepilogue\r\n",
     FROM VERSION MIXED SEVEN "\r\npreamble\r\n--b\r\n" TEXT QUOTED "\r\n" CODED
                              "--b\r\n\r\nplain=\r\n--b--\r\nepilogue\r\n"},
    {"parts in parts",
     FROM VERSION MIXED "\r\n--b\r\nContent-Type: multipart/alternative; boundary=bb\r\n" EIGHT
                        "\r\n--bb\r\n" EIGHT "\r\n" UMLAUT "--bb--\r\n--b\r\n" EIGHT "\r\n" UMLAUT
                        "--b--\r\n",
     FROM VERSION MIXED "\r\n--b\r\nContent-Type: multipart/alternative; boundary=bb\r\n" SEVEN
                        "\r\n--bb\r\n" QUOTED "\r\n" CODED "--bb--\r\n--b\r\n" QUOTED "\r\n" CODED
                        "--b--\r\n"},
    {"an inner part that is not closed",
     VERSION MIXED "\r\n--b\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n--c\r\n" EIGHT
                   "\r\n" UMLAUT "--b\r\n" EIGHT "\r\n" UMLAUT "--b--",
     VERSION MIXED "\r\n--b\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n--c\r\n" QUOTED
                   "\r\n" CODED "--b\r\n" QUOTED "\r\n" CODED "--b--"},
    {"what only looks like a delimiter",
     VERSION MIXED "\r\n--b\r\n" EIGHT "\r\n--bc\r\n--\r\n-- \r\n-b\r\n" UMLAUT "--b \t\r\n\r\n"
                   "--b--\r\n",
     VERSION MIXED "\r\n--b\r\n" QUOTED "\r\n--bc\r\n--\r\n--=20\r\n-b\r\n" CODED "--b \t\r\n\r\n"
                   "--b--\r\n"},
    {"a part without a body", VERSION MIXED "\r\n--b\r\n" TEXT EIGHT "--b\r\n\r\nx\r\n--b--\r\n",
     NULL},
    {"a message in a message",
     FROM VERSION RFC822 EIGHT "\r\n" FROM VERSION TEXT EIGHT "\r\n" UMLAUT,
     FROM VERSION RFC822 SEVEN "\r\n" FROM VERSION TEXT QUOTED "\r\n" CODED},
    {"a digest",
     VERSION "Content-Type: multipart/digest; boundary=b\r\n\r\n--b\r\n\r\n" FROM EIGHT
             "\r\n" UMLAUT "--b--\r\n",
     VERSION "Content-Type: multipart/digest; boundary=b\r\n\r\n--b\r\n\r\n" FROM QUOTED VERSION
             "\r\n" CODED "--b--\r\n"},
    {"an encoded message is a leaf",
     VERSION RFC822 "Content-Transfer-Encoding: base64\r\n\r\n" EIGHT "\r\nx\r\n", NULL},

    {"signed, 7-bit",
     VERSION SIGNED EIGHT "\r\n--s\r\n" EIGHT "\r\nx =\r\n--s\r\n\r\nsig\r\n--s--\r\n",
     VERSION SIGNED EIGHT "\r\n--s\r\n" EIGHT "\r\nx =\r\n--s\r\n\r\nsig\r\n--s--\r\n"},
    {"signed, 8-bit", VERSION SIGNED "\r\n--s\r\n" EIGHT "\r\n" UMLAUT "--s--\r\n", ""},
    {"beside what is signed",
     VERSION MIXED "\r\n--b\r\n" SIGNED "\r\n--s\r\n" EIGHT "\r\nx=\r\n--s--\r\n--b\r\n" EIGHT
                   "\r\n" UMLAUT "--b--\r\n",
     VERSION MIXED "\r\n--b\r\n" SIGNED "\r\n--s\r\n" EIGHT "\r\nx=\r\n--s--\r\n--b\r\n" QUOTED
                   "\r\n" CODED "--b--\r\n"},
    {"behind what is signed and not closed",
     VERSION MIXED "\r\n--b\r\n" SIGNED "\r\n--s\r\n\r\nx\r\n--b\r\n" EIGHT "\r\n" UMLAUT "--b--",
     VERSION MIXED "\r\n--b\r\n" SIGNED "\r\n--s\r\n\r\nx\r\n--b\r\n" QUOTED "\r\n" CODED "--b--"},
    {"encrypted, 8-bit",
     VERSION "Content-Type: multipart/encrypted; boundary=s\r\n\r\n--s\r\n\r\n" UMLAUT "--s--\r\n",
     ""},

    {"not labelled", FROM VERSION TEXT "\r\n" UMLAUT, ""},
    {"labelled otherwise", FROM VERSION TEXT "Content-Transfer-Encoding: binary\r\n\r\n" UMLAUT,
     ""},
    {"labelled twice", FROM VERSION EIGHT "Content-Transfer-Encoding: base64\r\n\r\n" UMLAUT, ""},
    {"in a header", "Subject: " UMLAUT EIGHT "\r\nx\r\n", ""},
    {"in a preamble", VERSION MIXED "\r\n" UMLAUT "--b--\r\n", ""},
    {"a multipart without a boundary",
     VERSION "Content-Type: multipart/mixed\r\n" EIGHT "\r\n" UMLAUT, ""},
    {"another kind of message", VERSION "Content-Type: message/x\r\n" EIGHT "\r\n" UMLAUT, ""},
};

/* False where it cannot be. */
static bool run(struct downgrade *d, struct span message, size_t way, struct buf *out)
{
    bool good = true;

    downgrade_init(d, true);
    for (size_t at = 0, len; at < message.len; at += len) {
        len = split_piece(way, message.len, at);
        good = downgrade_feed(d, span_of(message.ptr + at, len), out);
    }
    return downgrade_end(d, out) && good;
}

static void test_cases(void **state)
{
    struct downgrade *d = malloc(sizeof *d);

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct span message = span_cstr(cases[i].message);
        const char *want = cases[i].want != NULL ? cases[i].want : cases[i].message;
        bool possible = cases[i].want == NULL || want[0] != '\0';
        for (size_t way = 0; way < split_ways(message.len); way++) {
            struct buf out;
            buf_init(&out, 0);
            CHECK(cases[i].name, run(d, message, way, &out) == possible);
            if (possible)
                CHECK_SPAN(cases[i].name, buf_span(&out), span_cstr(want));
            buf_fini(&out);
        }
    }
    free(d);
}

static void repeat(struct buf *b, const char *text, unsigned times)
{
    for (unsigned i = 0; i < times; i++)
        buf_add(b, span_cstr(text));
}

/* What is too long or too deep is not understood, and then not changed. */
static void test_bounds(void **state)
{
    static const struct {
        const char *name, *begin, *repeated;
        unsigned times;
        const char *end;
        bool possible;
    } bounds[] = {
        {"a header line", VERSION EIGHT "X: ", "x", DOWNGRADE_LINE_MAX - 5, "\r\n\r\n" UMLAUT,
         true},
        {"a longer header line", VERSION EIGHT "X: ", "x", DOWNGRADE_LINE_MAX - 4,
         "\r\n\r\n" UMLAUT, false},
        {"a field", VERSION EIGHT "Content-Type: text/plain;\r\n", " x=y;\r\n", 500,
         " z=1\r\n\r\n" UMLAUT, true},
        {"a longer field", VERSION EIGHT "Content-Type: text/plain;\r\n", " x=y;\r\n", 600,
         " z=1\r\n\r\n" UMLAUT, false},
        {"a longer label", VERSION "Content-Transfer-Encoding: 8bit\r\n", " (x)\r\n", 700,
         "\r\n" UMLAUT, false},
        {"a line of a body", VERSION MIXED "\r\n--b\r\n" EIGHT "\r\n--", "-\xc3\xbc", 2000,
         "\r\n--b--\r\n", true},
        {"as deep as it goes", VERSION MIXED "\r\n", "--b\r\n" MIXED "\r\n",
         DOWNGRADE_DEPTH_MAX - 1, "--b\r\n" EIGHT "\r\n" UMLAUT, true},
    };
    struct downgrade *d = malloc(sizeof *d);

    (void)state;
    for (size_t i = 0; i < COUNT(bounds); i++) {
        struct buf message, first;
        buf_init(&message, 0);
        buf_init(&first, 0);
        buf_add(&message, span_cstr(bounds[i].begin));
        repeat(&message, bounds[i].repeated, bounds[i].times);
        buf_add(&message, span_cstr(bounds[i].end));
        for (size_t way = 0; way < split_ways(buf_len(&message)); way++) {
            struct buf out;
            buf_init(&out, 0);
            CHECK(bounds[i].name, run(d, buf_span(&message), way, &out) == bounds[i].possible);
            if (way == 0)
                buf_add(&first, buf_span(&out));
            CHECK_SPAN(bounds[i].name, buf_span(&out), buf_span(&first));
            buf_fini(&out);
        }
        buf_fini(&message);
        buf_fini(&first);
    }
    free(d);
}

/* A part too deep is a body without a label. */
static void test_too_deep(void **state)
{
    struct downgrade *d = malloc(sizeof *d);
    struct buf message, out;

    (void)state;
    buf_init(&message, 0);
    buf_init(&out, 0);
    for (unsigned i = 0; i <= DOWNGRADE_DEPTH_MAX; i++)
        buf_addf(&message, "Content-Type: multipart/mixed; boundary=b%u\r\n\r\n--b%u\r\n", i, i);
    buf_add(&message, SPAN(EIGHT "\r\n" UMLAUT));
    assert_false(run(d, buf_span(&message), SPLIT_WHOLE, &out));
    buf_fini(&message);
    buf_fini(&out);
    free(d);
}

/* Encoding would hide that lines do not end as they must. */
static void test_damage_is_told(void **state)
{
    static const struct span message = {EIGHT "\r\na\nb", sizeof EIGHT "\r\na\nb" - 1};
    struct downgrade *d = malloc(sizeof *d);
    struct buf out;

    (void)state;
    buf_init(&out, 0);
    assert_true(run(d, message, SPLIT_WHOLE, &out));
    assert_int_equal(d->lines.faults, BODY_BARE_LF);
    buf_fini(&out);
    free(d);
}

static void test_nothing_may_change(void **state)
{
    struct downgrade *d = malloc(sizeof *d);
    struct buf out;

    (void)state;
    buf_init(&out, 0);
    downgrade_init(d, false);
    assert_true(downgrade_feed(d, SPAN(VERSION EIGHT "\r\na=b\r\n"), &out));
    CHECK_SPAN("7-bit", buf_span(&out), SPAN(VERSION EIGHT "\r\na=b\r\n"));
    assert_false(downgrade_feed(d, SPAN(UMLAUT), &out));
    assert_false(downgrade_end(d, &out));
    buf_fini(&out);
    free(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cases),          cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_too_deep),       cmocka_unit_test(test_nothing_may_change),
        cmocka_unit_test(test_damage_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
