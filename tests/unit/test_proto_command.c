#include "base/buf.h"
#include "proto/smtp_command.h"
#include "support/split.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { MAX_LINE = 32 };

/* What a session would make of the input, one event a line: "VERB|verb text|args" or an error. */
static void note_command(struct buf *events, const struct smtp_command *command)
{
    if (command->error != SMTP_COMMAND_OK)
        buf_addf(events, "!%s|", smtp_command_error_text(command->error));
    else
        buf_addf(events, "%s|", smtp_verb_name(command->verb));
    buf_add(events, command->verb_text);
    buf_addf(events, "|");
    buf_add(events, command->args);
    buf_addf(events, "\n");
}

static void receive(struct smtp_command_parser *p, struct buf *input, struct buf *events)
{
    struct smtp_command command;
    size_t consumed;
    enum parse_result result;

    do {
        result = smtp_command_parse(p, buf_span(input), &consumed, &command);
        assert_int_not_equal(result, PARSE_BAD);
        assert_true(consumed <= buf_len(input));
        if (result == PARSE_DONE)
            note_command(events, &command);
        buf_consume(input, consumed);
        assert_true(result == PARSE_DONE || buf_len(input) < MAX_LINE);
    } while (result == PARSE_DONE);
}

static void check_events(const char *name, struct span input, struct span expected)
{
    for (size_t way = 0; way < split_ways(input.len); way++) {
        struct smtp_command_parser parser;
        struct buf received, events;

        smtp_command_parser_init(&parser, MAX_LINE);
        buf_init(&received, 0);
        buf_init(&events, 0);
        for (size_t at = 0, len; at < input.len; at += len) {
            len = split_piece(way, input.len, at);
            buf_add(&received, span_of(input.ptr + at, len));
            receive(&parser, &received, &events);
        }
        CHECK_SPAN(name, buf_span(&events), expected);
        buf_fini(&received);
        buf_fini(&events);
    }
}

#define X10 "xxxxxxxxxx"
#define X30 X10 X10 X10

static void cuts_lines(void **state)
{
    static const struct {
        const char *name;
        struct span input;
        struct span events;
    } cases[] = {
#define CASE(name, input, events)                                                                  \
    {                                                                                              \
        name, {input, sizeof(input) - 1},                                                          \
        {                                                                                          \
            events, sizeof(events) - 1                                                             \
        }                                                                                          \
    }
        CASE("nothing", "", ""),
        CASE("one", "NOOP\r\n", "NOOP|NOOP|\n"),
        CASE("unfinished", "NOOP\r", ""),
        CASE("lower case", "mail FROM:<a@b>\r\n", "MAIL|mail|FROM:<a@b>\n"),
        CASE("pipelined", "RSET\r\nMAIL FROM:<>\r\nRCPT TO:<a>\r\nDATA\r\n",
             "RSET|RSET|\nMAIL|MAIL|FROM:<>\nRCPT|RCPT|TO:<a>\nDATA|DATA|\n"),
        CASE("spaces", "EHLO \t a.b \t \r\n", "EHLO|EHLO|a.b\n"),
        CASE("tab", "HELO\ta\r\n", "HELO|HELO|a\n"),
        CASE("leading space", " NOOP\r\n", "UNKNOWN||NOOP\n"),
        CASE("empty line", "\r\n", "UNKNOWN||\n"),
        CASE("unknown", "FOO bar\r\n", "UNKNOWN|FOO|bar\n"),
        CASE("verb with a tail", "DATAX\r\n", "UNKNOWN|DATAX|\n"),
        CASE("8-bit", "VRFY \xc3\xa4\r\n", "VRFY|VRFY|\xc3\xa4\n"),
        CASE("longest line", X30 "\r\nNOOP\r\n", "UNKNOWN|" X30 "|\nNOOP|NOOP|\n"),
        CASE("one too long", X30 "x\r\nNOOP\r\n", "!line too long||\nNOOP|NOOP|\n"),
        CASE("far too long", X30 X30 X30 X30 "\r\nNOOP\r\n", "!line too long||\nNOOP|NOOP|\n"),
        CASE("too long, a CR at the limit", X30 "x\rx\r\nNOOP\r\n",
             "!line too long||\nNOOP|NOOP|\n"),
        CASE("too long with LF", X30 X30 "\nQUIT\r\nNOOP\r\n", "!line too long||\nNOOP|NOOP|\n"),
        CASE("too long with NUL", X30 "\0" X30 "\r\nNOOP\r\n", "!line too long||\nNOOP|NOOP|\n"),
        CASE("bare LF", "NOOP\n", "!bare LF||\n"),
        CASE("nothing behind a bare LF", "NOOP\nDATA\nQUIT\r\nRSET\r\n",
             "!bare LF||\nRSET|RSET|\n"),
        CASE("LF first", "\nDATA\r\nRSET\r\n", "!bare LF||\nRSET|RSET|\n"),
        CASE("LF CR LF", "NOOP\n\r\nRSET\r\n", "!bare LF||\nRSET|RSET|\n"),
        CASE("long tail behind a bare LF", "NOOP\n" X30 X30 "\n" X30 "\r\nRSET\r\n",
             "!bare LF||\nRSET|RSET|\n"),
        CASE("bare CR", "NOOP\rDATA\r\nRSET\r\n", "!bare CR||\nRSET|RSET|\n"),
        CASE("CR CR LF", "NOOP\r\r\nRSET\r\n", "!bare CR||\nRSET|RSET|\n"),
        CASE("NUL", "NO\0OP\r\nRSET\r\n", "!NUL in line||\nRSET|RSET|\n"),
        CASE("NUL before CR", "NO\0OP\ra\r\nRSET\r\n", "!NUL in line||\nRSET|RSET|\n"),
        CASE("NUL and bare LF", "NO\0OP\na\r\nRSET\r\n", "!NUL in line||\nRSET|RSET|\n"),
#undef CASE
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        check_events(cases[i].name, cases[i].input, cases[i].events);
}

static void knows_every_verb(void **state)
{
    (void)state;
    for (int verb = SMTP_VERB_UNKNOWN + 1; verb < SMTP_VERB_COUNT; verb++) {
        struct smtp_command_parser parser;
        struct smtp_command command;
        struct buf line;
        size_t consumed;

        buf_init(&line, 0);
        buf_addf(&line, "%s\r\n", smtp_verb_name((enum smtp_verb)verb));
        smtp_command_parser_init(&parser, SMTP_COMMAND_LINE_MAX);
        assert_int_equal(smtp_command_parse(&parser, buf_span(&line), &consumed, &command),
                         PARSE_DONE);
        assert_int_equal(command.verb, verb);
        buf_fini(&line);
    }
}

static void gives_the_whole_line(void **state)
{
    struct smtp_command_parser parser;
    struct smtp_command command;
    size_t consumed;

    (void)state;
    smtp_command_parser_init(&parser, MAX_LINE);
    assert_int_equal(smtp_command_parse(&parser, SPAN(" dGVzdA== \r\n"), &consumed, &command),
                     PARSE_DONE);
    CHECK_SPAN("line", command.line, SPAN(" dGVzdA== "));
    assert_int_equal(consumed, 12);
}

static void takes_longer_lines_on_request(void **state)
{
    struct smtp_command_parser parser;
    struct smtp_command command;
    struct span line = SPAN(X30 X30 "\r\n");
    size_t consumed;

    (void)state;
    smtp_command_parser_init(&parser, MAX_LINE);
    smtp_command_parser_set_max(&parser, SMTP_AUTH_LINE_MAX);
    smtp_command_parse(&parser, line, &consumed, &command);
    assert_int_equal(command.error, SMTP_COMMAND_OK);
    smtp_command_parser_set_max(&parser, MAX_LINE);
    smtp_command_parse(&parser, line, &consumed, &command);
    assert_int_equal(command.error, SMTP_COMMAND_TOO_LONG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cuts_lines),
        cmocka_unit_test(knows_every_verb),
        cmocka_unit_test(gives_the_whole_line),
        cmocka_unit_test(takes_longer_lines_on_request),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
