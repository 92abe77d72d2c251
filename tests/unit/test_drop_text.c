/* What mail's encodings mean. */
#include "plugins/drop/mime/text.h"
#include "support/split.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

struct text_case {
    struct span input;
    struct span output;
    bool is_broken;
};

#define CASE(input, output)                                                                        \
    {                                                                                              \
        {input, sizeof(input) - 1}, {output, sizeof(output) - 1}, false                            \
    }
#define BROKEN(input, output)                                                                      \
    {                                                                                              \
        {input, sizeof(input) - 1}, {output, sizeof(output) - 1}, true                             \
    }
#define COUNT(cases) (sizeof(cases) / sizeof(cases)[0])

/* ---- transfer encodings ------------------------------------------------------------------- */

static void check_transfer(const struct text_case *c, enum mime_encoding encoding, size_t way)
{
    struct text_transfer transfer;
    struct buf out;
    bool is_fine = true;

    buf_init(&out, 0);
    text_transfer_init(&transfer, encoding);
    for (size_t at = 0, len; at < c->input.len; at += len) {
        len = split_piece(way, c->input.len, at);
        is_fine = text_transfer_feed(&transfer, span_of(c->input.ptr + at, len), &out);
        CHECK(c->input.ptr, is_fine || c->is_broken);
    }
    CHECK(c->input.ptr, text_transfer_end(&transfer, &out) == !c->is_broken);
    CHECK_SPAN(c->input.ptr, buf_span(&out), c->output);
    buf_fini(&out);
}

static void check_transfers(const struct text_case *cases, size_t count,
                            enum mime_encoding encoding)
{
    for (size_t i = 0; i < count; i++)
        for (size_t way = 0; way < split_ways(cases[i].input.len); way++)
            check_transfer(&cases[i], encoding, way);
}

static void base64(void **state)
{
    static const struct text_case cases[] = {
        CASE("", ""),
        CASE("aGVsbG8gd29ybGQ=", "hello world"),
        CASE("aGVsbG8gd29ybGQ=\r\n", "hello world"),
        CASE("aGVs\r\nbG8g d29y\r\nbGQ=\r\n", "hello world"),
        CASE("aGVsbG8gd29ybGQ", "hello world"),
        CASE("aA==", "h"),
        CASE("aA", "h"),
        CASE("AAD/+w==", "\0\0\xff\xfb"),
        BROKEN("aGVsbG8!gd29ybGQ=", "hello world"),
        BROKEN("a", ""),
        BROKEN("aGVsb", "hel"),
        BROKEN("aA==aGVs", "hhel"),
    };

    (void)state;
    check_transfers(cases, COUNT(cases), MIME_BASE64);
}

static void quoted_printable(void **state)
{
    static const struct text_case cases[] = {
        CASE("", ""),
        CASE("plain\r\ntext", "plain\r\ntext"),
        CASE("=C3=a4=3D", "\xc3\xa4="),
        CASE("a=00b", "a\0b"),
        CASE("soft=\r\nbreak=\nand", "softbreakand"),
        CASE("soft= \t\r\nbreak", "softbreak"),
        CASE("blanks \t \r\nat the end \t", "blanks\r\nat the end"),
        CASE("a \tb =20\r\n", "a \tb  \r\n"),
        CASE("ends=", "ends"),
        CASE("\xc3\xa4", "\xc3\xa4"),
        BROKEN("a=GH", "a=GH"),
        BROKEN("a=4", "a"),
        BROKEN("a=4G", "a=4G"),
        BROKEN("a= b", "a=b"),
        BROKEN("a=\rb", "a=\rb"),
        BROKEN("a==41", "a=A"),
    };

    (void)state;
    check_transfers(cases, COUNT(cases), MIME_QUOTED_PRINTABLE);
}

static void other_encodings(void **state)
{
    static const struct text_case fine[] = {CASE("=41\0\xff \r\n", "=41\0\xff \r\n")};
    static const struct text_case broken[] = {BROKEN("=41", "=41")};

    (void)state;
    check_transfers(fine, 1, MIME_7BIT);
    check_transfers(fine, 1, MIME_8BIT);
    check_transfers(fine, 1, MIME_BINARY);
    check_transfers(broken, 1, MIME_OTHER);
}

static void many_blanks(void **state)
{
    struct text_transfer transfer;
    char blanks[1000];
    struct buf out;

    (void)state;
    memset(blanks, ' ', sizeof blanks);
    buf_init(&out, 0);
    text_transfer_init(&transfer, MIME_QUOTED_PRINTABLE);
    text_transfer_feed(&transfer, span_of(blanks, sizeof blanks), &out);
    text_transfer_feed(&transfer, SPAN("x"), &out);
    assert_true(text_transfer_end(&transfer, &out));
    assert_int_equal(buf_len(&out), sizeof blanks + 1);
    buf_fini(&out);
}

/* ---- charsets ----------------------------------------------------------------------------- */

struct charset_case {
    const char *charset;
    struct span input;
    struct span output;
};

static void check_charset(const struct charset_case *c, size_t way)
{
    struct text_charset *charset = text_charset_create(span_cstr(c->charset));
    struct buf out;

    buf_init(&out, 0);
    for (size_t at = 0, len; at < c->input.len; at += len) {
        len = split_piece(way, c->input.len, at);
        text_charset_feed(charset, span_of(c->input.ptr + at, len), &out);
    }
    text_charset_end(charset, &out);
    text_charset_free(charset);
    CHECK_SPAN(c->charset, buf_span(&out), c->output);
    buf_fini(&out);
}

#define CHARSET(name, input, output)                                                               \
    {                                                                                              \
        name, {input, sizeof(input) - 1},                                                          \
        {                                                                                          \
            output, sizeof(output) - 1                                                             \
        }                                                                                          \
    }

static void charsets(void **state)
{
    static const struct charset_case cases[] = {
        CHARSET("", "plain", "plain"),
        CHARSET("", "\xc3\xa4\xf0\x9f\x98\x80", "\xc3\xa4\xf0\x9f\x98\x80"),
        CHARSET("", "\xe4 \xc3\xa4 \xf0\x9f\x98", "\xc3\xa4 \xc3\xa4 \xc3\xb0\xc2\x9f\xc2\x98"),
        CHARSET("us-ascii", "\xe4", "\xc3\xa4"),
        CHARSET("x-unknown", "\xe4", "\xc3\xa4"),
        CHARSET("UTF-8", "\xe4 \xc3\xa4\xc3", "\xef\xbf\xbd \xc3\xa4\xef\xbf\xbd"),
        CHARSET("utf-8", "\xe0\x80\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"),
        CHARSET("utf-8", "a\0b", "a\0b"),
        CHARSET("iso-8859-1", "\xe4\x80", "\xc3\xa4\xc2\x80"),
        CHARSET("ISO-8859-15", "\xa4", "\xe2\x82\xac"),
        CHARSET(" windows-1252 ", "\x93x\x94", "\xe2\x80\x9cx\xe2\x80\x9d"),
        CHARSET("windows-1252", "a\x81z", "a\xef\xbf\xbdz"),
        CHARSET("koi8-r", "\xc1\xc2", "\xd0\xb0\xd0\xb1"),
        CHARSET("iso-2022-jp", "\x1b$B$\"\x1b(Bx", "\xe3\x81\x82x"),
        CHARSET("shift_jis", "\x82\xa0\x87\x40", "\xe3\x81\x82\xe2\x91\xa0"),
        CHARSET("gb2312", "\xc4\xe3\x81\x40", "\xe4\xbd\xa0\xe4\xb8\x82"),
        CHARSET("big5", "\xa7\x41\xa7", "\xe4\xbd\xa0\xef\xbf\xbd"),
        CHARSET("utf-16be", "\0a\xd8\x3d\xde\0", "a\xf0\x9f\x98\x80"),
        CHARSET("utf-7", "+AOQ-", "+AOQ-"),
        CHARSET("utf-8//TRANSLIT", "\xe4", "\xc3\xa4"),
        CHARSET("../../tmp/x", "\xe4", "\xc3\xa4"),
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++)
        for (size_t way = 0; way < split_ways(cases[i].input.len); way++)
            check_charset(&cases[i], way);
}

static void known_charsets(void **state)
{
    (void)state;
    assert_true(text_charset_is_known(SPAN("utf-8")));
    assert_true(text_charset_is_known(SPAN("US-ASCII")));
    assert_true(text_charset_is_known(SPAN("iso-8859-1")));
    assert_true(text_charset_is_known(SPAN("ISO-8859-15")));
    assert_false(text_charset_is_known(SPAN("")));
    assert_false(text_charset_is_known(SPAN("x-unknown")));
    assert_false(text_charset_is_known(SPAN("iso-8859-15//IGNORE")));
    assert_false(text_charset_is_known(span_of("iso-8859-15\0x", 13)));
}

/* ---- whole texts -------------------------------------------------------------------------- */

typedef void change_text(struct span text, struct buf *out);

static void check_texts(const struct text_case *cases, size_t count, change_text *change)
{
    struct buf out;

    for (size_t i = 0; i < count; i++) {
        buf_init(&out, 0);
        change(cases[i].input, &out);
        CHECK_SPAN(cases[i].input.ptr, buf_span(&out), cases[i].output);
        buf_fini(&out);
    }
}

static void words(void **state)
{
    static const struct text_case cases[] = {
        CASE("", ""),
        CASE("plain text", "plain text"),
        CASE("folded\r\n text", "folded text"),
        CASE("=?utf-8?q?=C3=A4_b?=", "\xc3\xa4 b"),
        CASE("=?ISO-8859-1?Q?a=E4?= x", "a\xc3\xa4 x"),
        CASE("=?utf-8?B?w6Q=?=", "\xc3\xa4"),
        CASE("=?utf-8*de?b?w6Q?=", "\xc3\xa4"),
        CASE("a =?utf-8?q?b?= c", "a b c"),
        CASE("=?utf-8?q?a?= =?utf-8?q?b?=", "ab"),
        CASE("=?utf-8?q?a?=\r\n =?iso-8859-1?b?YQ==?=  x", "aa  x"),
        CASE("=?utf-8?q?=C3?= =?utf-8?q?=A4?=", "\xc3\xa4"),
        CASE("=?utf-8?q?=C3?= x", "\xef\xbf\xbd x"),
        CASE("(=?utf-8?q?a?=)", "(a)"),
        CASE("=?utf-8?q?a b?=", "a b"),
        CASE("=?utf-8?q?"
             "?=",
             ""),
        CASE("\xe4 \xc3\xa4", "\xc3\xa4 \xc3\xa4"),
        CASE("=?utf-8?x?a?=", "=?utf-8?x?a?="),
        CASE("=?utf-8?q?a?", "=?utf-8?q?a?"),
        CASE("=?utf-8?q?a", "=?utf-8?q?a"),
        CASE("=?utf-8?q", "=?utf-8?q"),
        CASE("=?"
             "?q?a?=",
             "=?"
             "?q?a?="),
        CASE("=?", "=?"),
        CASE("=?=?utf-8?q?a?=", "=?a"),
        CASE("=?utf-8?q?=4?=", "=4"),
        CASE("=?utf-8?q?=zz?=", "=zz"),
    };

    (void)state;
    check_texts(cases, COUNT(cases), text_words);
}

static void folded(void **state)
{
    static const struct text_case cases[] = {
        CASE("", ""),
        CASE("Hello, WORLD 123 [\\]^_`{|}", "hello, world 123 [\\]^_`{|}"),
        CASE("\xc3\x84\xc3\x96\xc3\x9c\xc3\x9f", "\xc3\xa4\xc3\xb6\xc3\xbc\xc3\x9f"),
        CASE("\xd0\x90\xd0\xaf\xd0\x81", "\xd0\xb0\xd1\x8f\xd1\x91"),
        CASE("\xce\xa3\xcf\x82\xcf\x83", "\xcf\x83\xcf\x83\xcf\x83"),
        CASE("\xe1\xba\x9e \xe2\x84\xaa", "\xc3\x9f k"),
        CASE("\xc8\xba", "\xe2\xb1\xa5"),
        CASE("\xf0\x90\x90\x80", "\xf0\x90\x90\xa8"),
        CASE("\xe4\xbd\xa0\xff\xc3", "\xe4\xbd\xa0\xff\xc3"),
        CASE("\0A", "\0a"),
        CASE("A\xcc\x88o\xcc\x88", "\xc3\xa4\xc3\xb6"),
        CASE("E\xcc\x82\xcc\x81", "\xe1\xba\xbf"),
        CASE("\xc3\x8a\xcc\x81", "\xe1\xba\xbf"),
        CASE("\xcc\x88x\xcc\x88y", "\xcc\x88\xe1\xba\x8dy"),
        CASE("q\xcc\x88", "q\xcc\x88"),
        CASE("\xff\xcc\x88", "\xff\xcc\x88"),
        CASE("\xc3\xa4\xa4\xcc\x84", "\xc3\xa4\xa4\xcc\x84"),
    };

    (void)state;
    check_texts(cases, COUNT(cases), text_fold);
}

static void fold_of_long_texts(void **state)
{
    struct buf text, expected, out;

    (void)state;
    for (size_t shift = 0; shift < 9; shift++) {
        buf_init(&text, 0);
        buf_init(&expected, 0);
        buf_init(&out, 0);
        buf_add(&text, span_head(SPAN("XXXXXXXXX"), shift));
        buf_add(&expected, span_head(SPAN("xxxxxxxxx"), shift));
        for (int i = 0; i < 5000; i++) {
            buf_add(&text, SPAN("\xf0\x90\x90\x80\xc8\xba"
                                "A\xcc\x88"));
            buf_add(&expected, SPAN("\xf0\x90\x90\xa8\xe2\xb1\xa5\xc3\xa4"));
        }
        text_fold(buf_span(&text), &out);
        assert_true(span_equal(buf_span(&out), buf_span(&expected)));
        buf_fini(&text);
        buf_fini(&expected);
        buf_fini(&out);
    }
}

static void contains(void **state)
{
    (void)state;
    assert_true(text_contains(SPAN("abc"), SPAN("")));
    assert_true(text_contains(SPAN(""), SPAN("")));
    assert_true(text_contains(SPAN_NONE, SPAN_NONE));
    assert_true(text_contains(SPAN("abc"), SPAN("bc")));
    assert_true(text_contains(SPAN("abc"), SPAN("abc")));
    assert_false(text_contains(SPAN("abc"), SPAN("abcd")));
    assert_false(text_contains(SPAN("abc"), SPAN("ac")));
    assert_false(text_contains(SPAN_NONE, SPAN("a")));
    assert_true(text_contains(span_of("a\0b", 3), span_of("\0b", 2)));
}

static void html(void **state)
{
    static const struct text_case cases[] = {
        CASE("", ""),
        CASE("plain  text\r\nand more ", "plain text and more"),
        CASE("<p>one</p><p>two</p>", "one two"),
        CASE("<b>o</b>ne<BR/>two<Span class='x'>x</span>", "one twox"),
        CASE("<a title=\"a > b\" href='c>d'>e</a>", "e"),
        CASE("<a b='>c", ""),
        CASE("a <!-- <b>x</b> --> b<!---->c<!-- d", "a bc"),
        CASE("<html><head><TITLE>t</title><style>p{a<b}</style></head><body>x", "x"),
        CASE("<script>if (a</b) x</script>y<script>z", "y"),
        CASE("<!DOCTYPE html><?xml?>x", "x"),
        CASE("1 < 2 <3 a<b", "1 < 2 <3 a"),
        CASE("&lt;b&gt; &amp;amp; &quot;&apos;&nbsp;&nbsp;x&copy;", "<b> &amp; \"' x\xc2\xa9"),
        CASE("&#65;&#x42;&#X43;&#8364;&#x1f600;", "ABC\xe2\x82\xac\xf0\x9f\x98\x80"),
        CASE("&#0;&#xd800;&#x110000;", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"),
        CASE("& &; &x &unknown; &#; &#x; &#12a;", "& &; &x &unknown; &#; &#x; &#12a;"),
        CASE("a&zwnj;&#8203;&shy;b\xe2\x80\x8b\xc2\xa0 c", "ab c"),
        CASE("\xc3\xa0 \xe4 b", "\xc3\xa0 \xe4 b"),
        CASE("<", "<"),
        CASE("a</", "a"),
    };

    (void)state;
    check_texts(cases, COUNT(cases), text_of_html);
}

static void base_subjects(void **state)
{
    static const struct {
        const char *subject;
        const char *base;
        bool is_reply;
    } cases[] = {
        {"", "", false},
        {"a", "a", false},
        {"  A \t b\r\n c ", "a b c", false},
        {"Re: a", "a", true},
        {"re : a", "a", true},
        {"FWD: a", "a", true},
        {"fw: RE: Fwd: a", "a", true},
        {"Re[2]: a", "a", true},
        {"Re [list] : a", "a", true},
        {"[list] a", "a", false},
        {"[list] Re: [list] a", "a", true},
        {"[a] [b] [c] d", "d", false},
        {"[xyz]", "[xyz]", false},
        {"[a][b]", "[b]", false},
        {"Re: [xyz]", "[xyz]", true},
        {"a (fwd) (FWD)  ", "a", true},
        {"[foo] Fwd: [bar] Re: fw: b (fWd)  (fwd)", "b", true},
        {"b (a)", "b (a)", false},
        {"Re: [FWD: c]", "c", true},
        {"re: [fwd: [fwd: re: [fwd: babylon]]]", "babylon", true},
        {"[fwd: a (fwd)]", "a", true},
        {"[fwd: a", "[fwd: a", false},
        {"Re: =?utf-8?q?b?=", "b", true},
        {"=?iso-8859-1?q?RE:_C?=", "c", true},
        {"=?us-ascii?b?UmU6IGM=?=", "c", true},
        {"=?iso-8859-1?q?_?=", "", false},
        {"_", "_", false},
        {"Ad: Re: Ad: Re: Ad: x", "ad: re: ad: re: ad: x", false},
        {"Re", "re", false},
        {"Re:", "", true},
        {"Research: a", "research: a", false},
        {"[a [b] c", "[a [b] c", false},
        {"\xc3\x84", "\xc3\xa4", false},
    };
    struct buf out;

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        buf_init(&out, 0);
        bool is_reply = text_base_subject(span_cstr(cases[i].subject), &out);
        CHECK_SPAN(cases[i].subject, buf_span(&out), span_cstr(cases[i].base));
        CHECK(cases[i].subject, is_reply == cases[i].is_reply);
        buf_fini(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(base64),
        cmocka_unit_test(quoted_printable),
        cmocka_unit_test(other_encodings),
        cmocka_unit_test(many_blanks),
        cmocka_unit_test(charsets),
        cmocka_unit_test(known_charsets),
        cmocka_unit_test(words),
        cmocka_unit_test(folded),
        cmocka_unit_test(fold_of_long_texts),
        cmocka_unit_test(contains),
        cmocka_unit_test(html),
        cmocka_unit_test(base_subjects),
    };
    return cmocka_run_group_tests_name("drop_text", tests, NULL, NULL);
}
