/* What IMAP is told of a message's structure, and where its sections are found. */
#include "plugins/drop/mime/digest.h"
#include "support/mime_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

struct text_case {
    const char *name;
    struct span message;
    const char *text;
};

static void write_digest(struct span message, size_t way, struct buf *out)
{
    struct arena arena;

    arena_init(&arena);
    digest_write(mime_rig_scan(message, way, &arena), out);
    arena_fini(&arena);
}

typedef struct span part_of_digest(const struct digest *digest);

static struct span envelope_of(const struct digest *digest)
{
    return digest->envelope;
}

static struct span structure_of(const struct digest *digest)
{
    return digest->body_structure;
}

static struct span body_of(const struct digest *digest)
{
    return digest->body;
}

static void check_texts(const struct text_case *cases, size_t count, part_of_digest *part_of)
{
    struct digest digest;
    struct buf bytes;

    for (size_t i = 0; i < count; i++)
        for (size_t way = 0; way < split_ways(cases[i].message.len); way++) {
            buf_init(&bytes, 0);
            write_digest(cases[i].message, way, &bytes);
            CHECK(cases[i].name, digest_open(buf_span(&bytes), &digest));
            CHECK_SPAN(cases[i].name, part_of(&digest), span_cstr(cases[i].text));
            buf_fini(&bytes);
        }
}

#define CASE(name, input, text)                                                                    \
    {                                                                                              \
        name, {input, sizeof(input) - 1}, text                                                     \
    }
#define CHECK_CASES(cases, part_of) check_texts(cases, sizeof(cases) / sizeof(cases)[0], part_of)
#define AB                          "((NIL NIL \"a\" \"b\"))"

static void envelopes(void **state)
{
    static const struct text_case cases[] = {
        CASE("nothing", "", "(NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL)"),
        CASE("all of it",
             "Message-ID: <msg@id>\r\nIn-Reply-To: <reply@to.id>\r\n"
             "Date: Thu, 15 Feb 2007 01:02:03 +0200\r\nSubject: subject header\r\n"
             "From: F R <f@fd>\r\nTo: T <t@td>\r\nCc: C <c@cd>\r\nBcc: B <b@bd>\r\n"
             "Sender: S <s@sd>\r\nReply-To: R <r@rd>\r\n\r\nbody",
             "(\"Thu, 15 Feb 2007 01:02:03 +0200\" \"subject header\" ((\"F R\" NIL \"f\" \"fd\"))"
             " ((\"S\" NIL \"s\" \"sd\")) ((\"R\" NIL \"r\" \"rd\")) ((\"T\" NIL \"t\" \"td\"))"
             " ((\"C\" NIL \"c\" \"cd\")) ((\"B\" NIL \"b\" \"bd\"))"
             " \"<reply@to.id>\" \"<msg@id>\")"),
        CASE("defaults", "From: a@b\r\nSubject:\r\n\r\n",
             "(NIL \"\" " AB " " AB " " AB " NIL NIL NIL NIL NIL)"),
        CASE("empty ones count as missing", "From: a@b\r\nSender: \r\nReply-To:\r\nTo: \r\n\r\n",
             "(NIL NIL " AB " " AB " " AB " NIL NIL NIL NIL NIL)"),
        CASE("groups", "To: g: a@b, c@d;, h:;\r\n",
             "(NIL NIL NIL NIL NIL ((NIL NIL \"g\" NIL)(NIL NIL \"a\" \"b\")(NIL NIL \"c\" \"d\")"
             "(NIL NIL NIL NIL)(NIL NIL \"h\" NIL)(NIL NIL NIL NIL)) NIL NIL NIL NIL)"),
        CASE(
            "several fields of a kind", "To: a@b\r\nSubject: 1\r\nTo: c@d\r\nSubject: 2\r\n",
            "(NIL \"1\" NIL NIL NIL ((NIL NIL \"a\" \"b\")(NIL NIL \"c\" \"d\")) NIL NIL NIL NIL)"),
        CASE("broken addresses", "From: user\r\nTo: No One <>\r\n",
             "(NIL NIL ((NIL NIL \"user\" \"MISSING_DOMAIN\"))"
             " ((NIL NIL \"user\" \"MISSING_DOMAIN\")) ((NIL NIL \"user\" \"MISSING_DOMAIN\"))"
             " ((\"No One\" NIL \"MISSING_MAILBOX\" \"MISSING_DOMAIN\")) NIL NIL NIL NIL)"),
        CASE("quotes", "Subject: a \"b\" \\c\r\n",
             "(NIL \"a \\\"b\\\" \\\\c\" NIL NIL NIL NIL NIL NIL NIL NIL)"),
        CASE("folded", "Subject: a\r\n b\r\n\tc\r\n",
             "(NIL \"a b\tc\" NIL NIL NIL NIL NIL NIL NIL NIL)"),
        CASE("8-bit", "Subject: \xc3\xa4\r\n",
             "(NIL {2}\r\n\xc3\xa4 NIL NIL NIL NIL NIL NIL NIL NIL)"),
        CASE("line ends", "Subject: a\rb\nc\r\n",
             "(NIL {5}\r\na\rb\nc NIL NIL NIL NIL NIL NIL NIL NIL)"),
        CASE("NUL", "Subject: a\0\"b\0\r\n", "(NIL {3}\r\na\"b NIL NIL NIL NIL NIL NIL NIL NIL)"),
    };

    (void)state;
    CHECK_CASES(cases, envelope_of);
}

#define PLAIN "\"TEXT\" \"PLAIN\" (\"CHARSET\" \"us-ascii\") NIL NIL \"7BIT\""

static void structures(void **state)
{
    static const struct text_case cases[] = {
        CASE("nothing", "", "(" PLAIN " 0 0 NIL NIL NIL NIL)"),
        CASE("plain", "A: b\r\n\r\none\r\ntwo\r\n", "(" PLAIN " 10 2 NIL NIL NIL NIL)"),
        CASE("text/plain without a charset", "Content-Type: text/plain; format=flowed\r\n\r\na",
             "(\"text\" \"plain\" (\"format\" \"flowed\" \"CHARSET\" \"us-ascii\") NIL NIL \"7BIT\""
             " 1 0 NIL NIL NIL NIL)"),
        CASE("other text without a charset", "Content-Type: text/html\r\n\r\na",
             "(\"text\" \"html\" NIL NIL NIL \"7BIT\" 1 0 NIL NIL NIL NIL)"),
        CASE("all of it",
             "Content-Type: Text/X-Own; charset=UTF-8 (it is); Name=\"a \\\"b\\\"\"\r\n"
             "Content-Transfer-Encoding: Quoted-Printable\r\nContent-ID: <a@b>\r\n"
             "Content-Description: what it\r\n is\r\nContent-MD5: Q2hlY2s=\r\n"
             "Content-Disposition: attachment; filename=a;size=1\r\n"
             "Content-Language: en, de (too)\r\nContent-Location: http://a/b\r\n\r\nx\r\n",
             "(\"Text\" \"X-Own\" (\"charset\" \"UTF-8\" \"Name\" \"a \\\"b\\\"\") \"<a@b>\""
             " \"what it is\" \"Quoted-Printable\" 3 1 \"Q2hlY2s=\""
             " (\"attachment\" (\"filename\" \"a\" \"size\" \"1\")) (\"en\" \"de\")"
             " \"http://a/b\")"),
        CASE("bytes",
             "Content-Type: image/png\r\nContent-Transfer-Encoding: base64\r\n"
             "Content-Disposition: inline\r\n\r\nAAAA\r\n",
             "(\"image\" \"png\" NIL NIL NIL \"base64\" 6 NIL (\"inline\" NIL) NIL NIL)"),
        CASE("a multipart without parts", "Content-Type: multipart/mixed; boundary=x\r\n\r\n",
             "((" PLAIN " 0 0 NIL NIL NIL NIL) \"mixed\" (\"boundary\" \"x\") NIL NIL NIL)"),
        CASE("a message",
             "Content-Type: message/rfc822\r\n\r\nSubject: in\r\nFrom: a@b\r\n\r\nx\r\n",
             "(\"message\" \"rfc822\" NIL NIL NIL \"7BIT\" 29 (NIL \"in\" " AB " " AB " " AB
             " NIL NIL NIL NIL NIL) (" PLAIN " 3 1 NIL NIL NIL NIL) 4 NIL NIL NIL NIL)"),
        CASE(
            "in a digest",
            "Content-Type: multipart/digest; boundary=x\r\n\r\n--x\r\n\r\nSubject: in\r\n\r\n--x--",
            "((\"MESSAGE\" \"RFC822\" NIL NIL NIL \"7BIT\" 15 (NIL \"in\" NIL NIL NIL NIL NIL NIL"
            " NIL NIL) (" PLAIN " 0 0 NIL NIL NIL NIL) 2 NIL NIL NIL NIL) \"digest\""
            " (\"boundary\" \"x\") NIL NIL NIL)"),
        CASE("RFC 2231, encoded",
             "Content-Type: a/b; x*=utf-8'en'a%20b; y*=iso-8859-1''%e4; y=plain\r\n\r\n",
             "(\"a\" \"b\" (\"x\" \"a b\" \"y*\" \"utf-8''%C3%A4\") NIL NIL \"7BIT\" 0"
             " NIL NIL NIL NIL)"),
        CASE("RFC 2231, in pieces",
             "Content-Type: a/b; x*1=two; x*0=\"one \"; y*0*=utf-8''%c3; y*1*=%A4; y*2=%41;"
             " z*1=lost\r\n\r\n",
             "(\"a\" \"b\" (\"x\" \"one two\" \"y*\" \"utf-8''%C3%A4%2541\") NIL NIL \"7BIT\" 0"
             " NIL NIL NIL NIL)"),
        CASE("broken parameters",
             "Content-Type: a/b; ;x;y=;z = 1 2 ; =3; \"w;v=\"; u=\"open\r\n\r\n",
             "(\"a\" \"b\" (\"y\" \"\" \"z\" \"1 2\" \"u\" \"open\") NIL NIL \"7BIT\" 0 NIL"
             " NIL NIL NIL)"),
        CASE("8-bit parameters", "Content-Type: a/b; x=\"\xe4\"\r\n\r\n",
             "(\"a\" \"b\" (\"x\" {1}\r\n\xe4) NIL NIL \"7BIT\" 0 NIL NIL NIL NIL)"),
        CASE("the first holds",
             "Content-Type: a/b\r\nContent-Type: c/d\r\nContent-ID: 1\r\n"
             "Content-ID: 2\r\n\r\n",
             "(\"a\" \"b\" NIL \"1\" NIL \"7BIT\" 0 NIL NIL NIL NIL)"),
    };

    (void)state;
    CHECK_CASES(cases, structure_of);
}

static void bodies(void **state)
{
    static const struct text_case cases[] = {
        CASE("plain", "A: b\r\n\r\none\r\n", "(" PLAIN " 5 1)"),
        CASE("as imaptest has it",
             "Content-Type: multipart/mixed; boundary=\"foo\r\n bar\"\r\n\r\n--foo bar\r\n"
             "Content-Type: text/x-myown; charset=us-ascii\r\n\r\nhello\r\n\r\n--foo bar--\r\n",
             "((\"text\" \"x-myown\" (\"charset\" \"us-ascii\") NIL NIL \"7BIT\" 7 1) \"mixed\")"),
        CASE("two parts and a message",
             "Content-Type: multipart/mixed; boundary=x\r\nContent-Language: en\r\n\r\n"
             "--x\r\n\r\none\r\n--x\r\nContent-Type: message/rfc822\r\n\r\n"
             "Content-Type: multipart/alternative; boundary=y\r\n\r\n"
             "--y\r\n\r\ntwo\r\n--y--\r\n--x--\r\n",
             "((" PLAIN " 3 0)(\"message\" \"rfc822\" NIL NIL NIL \"7BIT\" 68 (NIL NIL NIL NIL NIL"
             " NIL NIL NIL NIL NIL) ((" PLAIN " 3 0) \"alternative\") 5) \"mixed\")"),
    };

    (void)state;
    CHECK_CASES(cases, body_of);
}

/* Opening a charset takes time: beyond a number of them a message's parameters are UTF-8. */
static void many_charsets(void **state)
{
    struct buf message, bytes;
    struct digest digest;
    size_t read = 0, all = 0;

    (void)state;
    buf_init(&message, 0);
    buf_init(&bytes, 0);
    buf_add(&message, SPAN("Content-Type: multipart/mixed; boundary=x\r\n\r\n"));
    for (int i = 0; i < 300; i++)
        buf_add(&message, SPAN("--x\r\nContent-Type: a/b; y*=koi8-r''%C1\r\n\r\n"));
    write_digest(buf_span(&message), SPLIT_WHOLE, &bytes);
    assert_true(digest_open(buf_span(&bytes), &digest));
    for (struct span rest = digest.body; rest.len > 0; rest = span_from(rest, 1)) {
        read += span_equal(span_head(rest, 13), SPAN("utf-8''%D0%B0"));
        all += span_equal(span_head(rest, 8), SPAN("utf-8''%"));
    }
    assert_int_equal(read, 100);
    assert_int_equal(all, 300);
    buf_fini(&message);
    buf_fini(&bytes);
}

/* ---- sections ----------------------------------------------------------------------------- */

#define RFC822 "Content-Type: message/rfc822\r\n\r\n"

static const struct span nested = {
    "Content-Type: multipart/mixed; boundary=x\r\n\r\n"
    "--x\r\nContent-Type: text/html; charset=utf-8\r\n\r\none\r\n"
    "--x\r\n" RFC822 "Content-Type: multipart/mixed; boundary=y\r\n\r\n"
    "--y\r\nContent-Transfer-Encoding: base64\r\n\r\ntwo\r\n"
    "--y\r\n" RFC822 "Subject: deep\r\n\r\nthree\r\n--y--\r\n"
    "--x\r\nContent-Type: multipart/mixed; boundary=z\r\n\r\n--z\r\n\r\nfour\r\n--z--\r\n"
    "--x--\r\n",
    0};

static struct span cut(struct span message, uint64_t at, uint64_t len)
{
    return span_head(span_from(message, at), len);
}

struct section_case {
    uint32_t path[5];
    unsigned depth;
    const char *header; /* how it begins; NULL = there is none */
    const char *body;
    const char *within; /* how its header begins; NULL = it holds no message */
};

static void check_section(struct span message, const struct digest *digest,
                          const struct section_case *c)
{
    struct digest_part part, within;
    bool is_found = digest_find(digest, c->path, c->depth, &part, &within);

    assert_int_equal(is_found, c->header != NULL);
    if (c->within == NULL)
        assert_true(within.kind == MIME_LEAF && within.body_len == 0 && within.header_len == 0);
    if (!is_found)
        return;
    struct span header = cut(message, part.header_at, part.header_len);
    struct span body = cut(message, part.body_at, part.body_len);
    CHECK_SPAN("header", span_head(header, strlen(c->header)), span_cstr(c->header));
    CHECK_SPAN("body", span_head(body, strlen(c->body)), span_cstr(c->body));
    if (c->within == NULL)
        return;
    header = cut(message, within.header_at, within.header_len);
    CHECK_SPAN("within", span_head(header, strlen(c->within)), span_cstr(c->within));
}

static void check_sections(struct span message, const struct section_case *cases, size_t count)
{
    struct digest digest;
    struct buf bytes;

    buf_init(&bytes, 0);
    write_digest(message, SPLIT_WHOLE, &bytes);
    assert_true(digest_open(buf_span(&bytes), &digest));
    for (size_t i = 0; i < count; i++)
        check_section(message, &digest, &cases[i]);
    buf_fini(&bytes);
}

static void sections(void **state)
{
    static const struct section_case cases[] = {
        {{0}, 0, "Content-Type: multipart/mixed; boundary=x", "--x\r\n", NULL},
        {{1}, 1, "Content-Type: text/html", "one", NULL},
        {{2},
         1,
         "Content-Type: message",
         "Content-Type: multipart/mixed; boundary=y",
         "Content-Type: multipart/mixed; boundary=y"},
        {{2, 1}, 2, "Content-Transfer-Encoding", "two", NULL},
        {{2, 2}, 2, "Content-Type: message", "Subject: deep", "Subject: deep"},
        {{2, 2, 1}, 3, "Subject: deep", "three", NULL},
        {{3}, 1, "Content-Type: multipart/mixed; boundary=z", "--z", NULL},
        {{3, 1}, 2, "\r\n", "four", NULL},
        {{0}, 1, NULL, NULL, NULL},
        {{4}, 1, NULL, NULL, NULL},
        {{1, 1}, 2, NULL, NULL, NULL},
        {{2, 3}, 2, NULL, NULL, NULL},
        {{2, 2, 2}, 3, NULL, NULL, NULL},
        {{2, 2, 1, 1}, 4, NULL, NULL, NULL},
        {{UINT32_MAX}, 1, NULL, NULL, NULL},
    };

    (void)state;
    check_sections(span_cstr(nested.ptr), cases, sizeof cases / sizeof cases[0]);
}

static void sections_of_messages(void **state)
{
    static const struct section_case cases[] = {
        {{1}, 1, "Content-Type: message", "Content-Type: message", "Content-Type: message"},
        {{1, 1}, 2, "Content-Type: message", "Subject: deep", "Subject: deep"},
        {{1, 1, 1}, 3, "Subject: deep", "x", NULL},
        {{1, 1, 1, 1}, 4, NULL, NULL, NULL},
        {{2}, 1, NULL, NULL, NULL},
        {{1, 2}, 2, NULL, NULL, NULL},
    };
    static const struct section_case plain[] = {
        {{0}, 0, "A: b", "x", NULL},
        {{1}, 1, "A: b", "x", NULL},
        {{1, 1}, 2, NULL, NULL, NULL},
    };

    (void)state;
    check_sections(SPAN(RFC822 RFC822 "Subject: deep\r\n\r\nx"), cases,
                   sizeof cases / sizeof cases[0]);
    check_sections(SPAN("A: b\r\n\r\nx"), plain, sizeof plain / sizeof plain[0]);
}

static void parts(void **state)
{
    struct span message = span_cstr(nested.ptr);
    struct digest_part part;
    struct digest digest;
    struct buf bytes;

    (void)state;
    buf_init(&bytes, 0);
    write_digest(message, SPLIT_WHOLE, &bytes);
    assert_true(digest_open(buf_span(&bytes), &digest));
    assert_int_equal(digest.part_count, 9);
    assert_int_equal(digest.header_len, 45);
    assert_true(digest_part_at(&digest, 1, &part));
    assert_true(part.is_text && part.is_html && part.depth == 1 && part.index == 1);
    CHECK_SPAN("charset", part.charset, SPAN("utf-8"));
    assert_true(digest_part_at(&digest, 4, &part));
    assert_true(part.is_text && !part.is_html && part.encoding == MIME_BASE64 && part.depth == 3);
    assert_int_equal(part.charset.len, 0);
    assert_false(digest_part_at(&digest, 9, &part));
    buf_fini(&bytes);
}

/* ---- broken digests ----------------------------------------------------------------------- */

static void try_all(struct span bytes)
{
    struct digest digest;
    struct digest_part part, within;
    uint32_t path[2] = {2, 1};

    if (!digest_open(bytes, &digest))
        return;
    for (unsigned i = 0; i < digest.part_count; i++)
        digest_part_at(&digest, i, &part);
    digest_find(&digest, path, 2, &part, &within);
}

static void damaged(void **state)
{
    struct span message = span_cstr(nested.ptr);
    struct digest digest;
    struct buf bytes;

    (void)state;
    buf_init(&bytes, 0);
    write_digest(message, SPLIT_WHOLE, &bytes);
    struct span whole = buf_span(&bytes);
    for (size_t len = 0; len < whole.len; len++)
        assert_false(digest_open(span_head(whole, len), &digest));
    for (size_t i = 0; i < whole.len; i++)
        for (int bit = 0; bit < 8; bit++) {
            bytes.data[bytes.start + i] ^= (char)(1 << bit);
            try_all(whole);
            bytes.data[bytes.start + i] ^= (char)(1 << bit);
        }
    assert_true(digest_open(whole, &digest));
    buf_fini(&bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(envelopes), cmocka_unit_test(structures),
        cmocka_unit_test(bodies),    cmocka_unit_test(many_charsets),
        cmocka_unit_test(sections),  cmocka_unit_test(sections_of_messages),
        cmocka_unit_test(parts),     cmocka_unit_test(damaged),
    };
    return cmocka_run_group_tests_name("drop_digest", tests, NULL, NULL);
}
