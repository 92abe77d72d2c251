#include "proto/smtp_ehlo.h"
#include "proto/smtp_reply.h"
#include "support/split.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

/* One event a line: "250 2.1.0|text", or the error; a trailing "+" marks truncated text. */
static void note_reply(struct buf *events, const struct smtp_reply *reply)
{
    char enhanced[ENHANCED_CODE_TEXT_MAX];

    enhanced_code_format(reply->enhanced, enhanced);
    buf_addf(events, "%u %s|", reply->code, enhanced);
    buf_add(events, reply->text);
    buf_addf(events, reply->truncated ? "+\n" : "\n");
}

static void read_replies(struct smtp_reply_parser *p, struct span input, struct buf *events)
{
    struct smtp_reply reply;
    size_t consumed;

    for (;;) {
        enum parse_result result = smtp_reply_parse(p, input, &consumed, &reply);
        assert_true(consumed <= input.len);
        if (result == PARSE_BAD) {
            buf_addf(events, "!%s\n", smtp_reply_error_text(p->error));
            return;
        }
        input = span_from(input, consumed);
        if (result == PARSE_MORE) {
            assert_int_equal(input.len, 0);
            return;
        }
        note_reply(events, &reply);
    }
}

static void check_replies(const char *name, struct span input, unsigned flags, struct span expected)
{
    for (size_t way = 0; way < split_ways(input.len); way++) {
        struct smtp_reply_parser parser;
        struct buf text, events;

        buf_init(&text, SMTP_REPLY_TEXT_MAX);
        buf_init(&events, 0);
        smtp_reply_parser_init(&parser, &text, flags);
        for (size_t at = 0, len; at < input.len && parser.error == SMTP_REPLY_OK; at += len) {
            len = split_piece(way, input.len, at);
            read_replies(&parser, span_of(input.ptr + at, len), &events);
        }
        CHECK_SPAN(name, buf_span(&events), expected);
        buf_fini(&text);
        buf_fini(&events);
    }
}

static void reads_replies(void **state)
{
    static const struct {
        const char *name;
        struct span input;
        unsigned flags;
        struct span events;
    } cases[] = {
#define CASE(name, input, flags, events)                                                           \
    {                                                                                              \
        name, {input, sizeof(input) - 1}, flags,                                                   \
        {                                                                                          \
            events, sizeof(events) - 1                                                             \
        }                                                                                          \
    }
        CASE("one line", "250 ok\r\n", 0, "250 |ok\n"),
        CASE("code alone", "250\r\n", 0, "250 |\n"),
        CASE("code and space", "250 \r\n", 0, "250 |\n"),
        CASE("unfinished", "250 ok\r", 0, ""),
        CASE("enhanced", "250 2.1.0 ok\r\n", 0, "250 2.1.0|ok\n"),
        CASE("enhanced alone", "250 2.1.0\r\n", 0, "250 2.1.0|\n"),
        CASE("enhanced of another class", "250 5.1.0 ok\r\n", 0, "250 |5.1.0 ok\n"),
        CASE("several lines", "550-5.1.1 no\r\n550-5.1.1 such\r\n550 5.1.1 user\r\n", 0,
             "550 5.1.1|no\nsuch\nuser\n"),
        CASE("the first enhanced code holds", "550-a\r\n550-5.1.1 b\r\n550 5.2.2 c\r\n", 0,
             "550 5.1.1|a\nb\nc\n"),
        CASE("empty lines inside", "250-\r\n250-\r\n250 x\r\n", 0, "250 |\n\nx\n"),
        CASE("ends with the bare code", "250-a\r\n250\r\n", 0, "250 |a\n\n"),
        CASE("pipelined", "250 a\r\n550 5.1.1 b\r\n354 c\r\n", 0, "250 |a\n550 5.1.1|b\n354 |c\n"),
        CASE("control bytes", "250 a\0b\tc\x1b[0m\x7f\r\n", 0, "250 |a b c [0m \n"),
        CASE("bare CR", "250 a\rb\r\r\n", 0, "250 |a b \n"),
        CASE("8-bit", "250 \xc3\xa4\r\n", 0, "250 |\xc3\xa4\n"),
        CASE("LF refused", "250 a\n", 0, "!bare LF in reply\n"),
        CASE("LF tolerated", "250-a\n250 b\r\n", SMTP_REPLY_ALLOW_BARE_LF, "250 |a\nb\n"),
        CASE("mismatch", "250-a\r\n251 b\r\n", 0, "!reply lines with different codes\n"),
        CASE("no code", "hello\r\n", 0, "!no reply code\n"),
        CASE("empty", "\r\n", 0, "!no reply code\n"),
        CASE("two digits", "25 ok\r\n", 0, "!no reply code\n"),
        CASE("four digits", "2500 ok\r\n", 0, "!no reply code\n"),
        CASE("1yz", "150 ok\r\n", 0, "!no reply code\n"),
        CASE("6yz", "650 ok\r\n", 0, "!no reply code\n"),
        CASE("letters", "2x0 ok\r\n", 0, "!no reply code\n"),
        CASE("highest", "599 x\r\n", 0, "599 |x\n"),
        CASE("odd separator", "250+ok\r\n", 0, "!no reply code\n"),
        CASE("nothing is read behind a fault", "x\r\n250 ok\r\n", 0, "!no reply code\n"),
#undef CASE
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        check_replies(cases[i].name, cases[i].input, cases[i].flags, cases[i].events);
}

static void cuts_long_lines(void **state)
{
    struct buf input, expected;

    (void)state;
    for (size_t len = 505; len <= 507; len++) {
        buf_init(&input, 0);
        buf_init(&expected, 0);
        buf_addf(&input, "250-%0*d\r\n250 end\r\n", (int)len, 0);
        bool cut = len > SMTP_REPLY_LINE_MAX - 6;
        buf_addf(&expected, "250 |%0*d\nend%s\n", cut ? SMTP_REPLY_LINE_MAX - 6 : (int)len, 0,
                 cut ? "+" : "");
        check_replies("long line", buf_span(&input), 0, buf_span(&expected));
        buf_fini(&input);
        buf_fini(&expected);
    }
}

static void refuses_endless_lines(void **state)
{
    struct buf input;

    (void)state;
    for (size_t total = SMTP_REPLY_LINE_REFUSE; total <= SMTP_REPLY_LINE_REFUSE + 1; total++) {
        struct smtp_reply_parser parser;
        struct smtp_reply reply;
        struct buf text;
        size_t consumed;

        buf_init(&input, 0);
        buf_init(&text, SMTP_REPLY_TEXT_MAX);
        buf_addf(&input, "250 %0*d\r\n", (int)total - 6, 0);
        smtp_reply_parser_init(&parser, &text, 0);
        enum parse_result result = smtp_reply_parse(&parser, buf_span(&input), &consumed, &reply);
        assert_int_equal(result, total > SMTP_REPLY_LINE_REFUSE ? PARSE_BAD : PARSE_DONE);
        buf_fini(&text);
        buf_fini(&input);
    }
}

/* `lines` lines of `len` bytes of text and a last one. */
static enum parse_result read_many(struct smtp_reply_parser *p, struct buf *text, size_t lines,
                                   size_t len, struct smtp_reply *out)
{
    struct buf input;
    size_t consumed;

    buf_init(&input, 0);
    for (size_t i = 0; i < lines; i++)
        buf_addf(&input, "250-%0*d\r\n", (int)len, 0);
    buf_addf(&input, "250 end\r\n");
    smtp_reply_parser_init(p, text, 0);
    enum parse_result result = smtp_reply_parse(p, buf_span(&input), &consumed, out);
    buf_fini(&input);
    return result;
}

static void bounds_the_whole_reply(void **state)
{
    struct smtp_reply_parser parser;
    struct smtp_reply reply;
    struct buf text;

    (void)state;
    buf_init(&text, 0);
    assert_int_equal(read_many(&parser, &text, 127, 1, &reply), PARSE_DONE);
    assert_false(reply.truncated);
    assert_int_equal(read_many(&parser, &text, 128, 1, &reply), PARSE_BAD);
    assert_int_equal(parser.error, SMTP_REPLY_TOO_MANY_LINES);
    assert_int_equal(read_many(&parser, &text, 100, 400, &reply), PARSE_DONE);
    assert_true(reply.truncated);
    assert_in_range(reply.text.len, 1, SMTP_REPLY_TEXT_MAX);
    buf_fini(&text);

    buf_init(&text, 10);
    assert_int_equal(read_many(&parser, &text, 3, 4, &reply), PARSE_DONE);
    assert_true(reply.truncated);
    CHECK_SPAN("the buffer's own bound", reply.text, SPAN("0000\n0000"));
    buf_fini(&text);
}

static void becomes_a_status(void **state)
{
    struct smtp_reply reply = {.code = 452, .text = SPAN("too\nmany\nrecipients")};
    struct arena arena;

    (void)state;
    arena_init(&arena);
    struct status status = smtp_reply_status(&reply, &arena);
    assert_int_equal(status.code, 452);
    assert_int_equal(status.enhanced.klass, 4);
    CHECK_SPAN("joined", status.text, SPAN("too many recipients"));
    arena_fini(&arena);
}

static void writes_replies(void **state)
{
    static const struct {
        uint16_t code;
        struct enhanced_code enhanced;
        struct span text;
        const char *written;
    } cases[] = {
        {250, {2, 0, 0}, {"ok", 2}, "250 2.0.0 ok\r\n"},
        {354, {0}, {"go on", 5}, "354 go on\r\n"},
        {250, {0}, {"", 0}, "250 \r\n"},
        {250, {0}, {"a\nb\nc", 5}, "250-a\r\n250-b\r\n250 c\r\n"},
        {250, {2, 1, 5}, {"a\n\nc", 4}, "250-2.1.5 a\r\n250-2.1.5 \r\n250 2.1.5 c\r\n"},
        {250, {0}, {"a\n", 2}, "250 a\r\n"},
        {250,
         {0},
         {"a\r\nb\0\x1b\x7f"
          "c",
          8},
         "250-a\r\n250 bc\r\n"},
        {250, {0}, {"\xc3\xa4", 2}, "250 \xc3\xa4\r\n"},
    };
    struct buf out;

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        buf_init(&out, 0);
        assert_true(smtp_reply_write(&out, cases[i].code, cases[i].enhanced, cases[i].text));
        CHECK_SPAN(cases[i].written, buf_span(&out), span_cstr(cases[i].written));
        buf_fini(&out);
    }
}

/* Every line is within the bound, and reading gives the words back. */
static void check_wrapped(struct span text, char gap)
{
    struct smtp_reply_parser parser;
    struct smtp_reply reply;
    struct buf wire, read;
    size_t consumed;

    buf_init(&wire, 0);
    buf_init(&read, 0);
    assert_true(smtp_reply_write(&wire, 550, (struct enhanced_code){5, 7, 1}, text));
    for (struct span rest = buf_span(&wire); rest.len > 0;) {
        size_t lf = span_index(rest, '\n');
        assert_in_range(lf, 1, SMTP_REPLY_LINE_MAX - 1);
        rest = span_from(rest, lf + 1);
    }
    smtp_reply_parser_init(&parser, &read, 0);
    assert_int_equal(smtp_reply_parse(&parser, buf_span(&wire), &consumed, &reply), PARSE_DONE);
    assert_int_equal(consumed, buf_len(&wire));
    size_t at = 0;
    for (size_t i = 0; i < reply.text.len; i++) {
        if (reply.text.ptr[i] == '\n' && gap == '\0')
            continue;
        char expected = reply.text.ptr[i] == '\n' ? gap : reply.text.ptr[i];
        assert_int_equal(text.ptr[at], expected);
        at++;
    }
    assert_int_equal(at, text.len);
    buf_fini(&wire);
    buf_fini(&read);
}

static void wraps_long_lines(void **state)
{
    char text[3000];

    (void)state;
    for (size_t len = 480; len < sizeof text; len += len < 520 ? 1 : 97) {
        for (size_t i = 0; i < len; i++)
            text[i] = i % 8 == 7 ? ' ' : 'x';
        text[len - 1] = 'x';
        check_wrapped(span_of(text, len), ' ');
        memset(text, 'x', len);
        check_wrapped(span_of(text, len), '\0');
    }
}

static void wraps_between_characters(void **state)
{
    char text[1200];
    struct smtp_reply reply;
    struct smtp_reply_parser parser;
    struct buf wire, read;
    struct span line;
    size_t consumed;

    (void)state;
    for (size_t i = 0; i < sizeof text; i += 3)
        memcpy(text + i, "\xe2\x82\xac", 3);
    buf_init(&wire, 0);
    buf_init(&read, 0);
    assert_true(
        smtp_reply_write(&wire, 550, (struct enhanced_code){0}, span_of(text, sizeof text)));
    smtp_reply_parser_init(&parser, &read, 0);
    assert_int_equal(smtp_reply_parse(&parser, buf_span(&wire), &consumed, &reply), PARSE_DONE);
    for (struct smtp_reply_lines lines = smtp_reply_lines(&reply);
         smtp_reply_lines_next(&lines, &line);)
        assert_int_equal(line.len % 3, 0);
    buf_fini(&wire);
    buf_fini(&read);
}

static void writes_all_or_nothing(void **state)
{
    struct buf out;

    (void)state;
    buf_init(&out, 20);
    assert_false(smtp_reply_write(&out, 250, (struct enhanced_code){0}, SPAN("1234\n12345")));
    assert_null(out.data);
    assert_true(smtp_reply_write(&out, 250, (struct enhanced_code){0}, SPAN("12345")));
    assert_false(smtp_reply_write(&out, 250, (struct enhanced_code){0}, SPAN("1234")));
    assert_int_equal(buf_len(&out), 11);
    assert_true(smtp_reply_write(&out, 250, (struct enhanced_code){0}, SPAN("123")));
    assert_int_equal(buf_len(&out), 20);
    buf_fini(&out);
}

static void reads_ehlo(void **state)
{
    static const char text[] = "mx.example greets you\nPIPELINING\nsize 1000000\n8BITMIME\n"
                               "SMTPUTF8\nSTARTTLS\nCHUNKING\nBINARYMIME\nDSN\n"
                               "ENHANCEDSTATUSCODES\nAUTH PLAIN login  X-OTHER SCRAM-SHA-256\n"
                               "AUTH=PLAIN\nLIMITS RCPTMAX=100 X=1 MAILMAX=5 RCPTDOMAINMAX=1\n"
                               "REQUIRETLS\nMT-PRIORITY MIXER\nDELIVERBY 60\n"
                               "FUTURERELEASE 86400 2026-01-01T00:00:00Z\nETRN\n"
                               "XCLIENT NAME ADDR\nXFORWARD NAME\nX-UNKNOWN\nSIZE 1";
    struct smtp_reply reply = {.code = 250};
    struct smtp_ehlo ehlo;

    (void)state;
    reply.text = span_cstr(text);
    smtp_ehlo_parse(&reply, &ehlo);
    CHECK_SPAN("domain", ehlo.domain, SPAN("mx.example"));
    assert_int_equal(ehlo.extensions, (SMTP_EXT_XFORWARD << 1) - 1);
    assert_int_equal(ehlo.size_max, 1000000);
    assert_int_equal(ehlo.auth, SMTP_AUTH_PLAIN | SMTP_AUTH_LOGIN | SMTP_AUTH_SCRAM_SHA_256);
    CHECK_SPAN("auth", ehlo.auth_text, SPAN("PLAIN login  X-OTHER SCRAM-SHA-256"));
    assert_int_equal(ehlo.rcpt_max, 100);
    assert_int_equal(ehlo.mail_max, 5);
    assert_int_equal(ehlo.rcpt_domain_max, 1);
    assert_int_equal(ehlo.deliverby_min, 60);
    assert_int_equal(ehlo.hold_for_max, 86400);
    CHECK_SPAN("xclient", ehlo.xclient, SPAN("NAME ADDR"));
    CHECK_SPAN("xforward", ehlo.xforward, SPAN("NAME"));
    assert_true(smtp_ehlo_has(&ehlo, SMTP_EXT_STARTTLS));
}

static void reads_odd_ehlo(void **state)
{
    struct smtp_reply reply = {.code = 250};
    struct smtp_ehlo ehlo;

    (void)state;
    smtp_ehlo_parse(&reply, &ehlo);
    assert_int_equal(ehlo.extensions, 0);
    reply.text = SPAN("\nSIZE\nAUTH\nLIMITS RCPTMAX=x MAILMAX\nPIPELININGX\n\n 8BITMIME ");
    smtp_ehlo_parse(&reply, &ehlo);
    assert_int_equal(ehlo.extensions,
                     SMTP_EXT_SIZE | SMTP_EXT_AUTH | SMTP_EXT_LIMITS | SMTP_EXT_8BITMIME);
    assert_int_equal(ehlo.size_max, 0);
    assert_int_equal(ehlo.rcpt_max, 0);
    reply.text = SPAN("x\nAUTH=LOGIN PLAIN\nSIZE 99999999999999999999");
    smtp_ehlo_parse(&reply, &ehlo);
    assert_int_equal(ehlo.auth, SMTP_AUTH_LOGIN | SMTP_AUTH_PLAIN);
    assert_int_equal(ehlo.size_max, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_replies),         cmocka_unit_test(cuts_long_lines),
        cmocka_unit_test(refuses_endless_lines), cmocka_unit_test(bounds_the_whole_reply),
        cmocka_unit_test(becomes_a_status),      cmocka_unit_test(writes_replies),
        cmocka_unit_test(wraps_long_lines),      cmocka_unit_test(wraps_between_characters),
        cmocka_unit_test(writes_all_or_nothing), cmocka_unit_test(reads_ehlo),
        cmocka_unit_test(reads_odd_ehlo),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
