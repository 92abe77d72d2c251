/* Where commands end, what becomes of literals, and what is refused without losing step. */
#include "support/imap_print.h"
#include "support/split.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { APPEND_MAX = 100 };

struct dialogue_case {
    const char *name;
    struct span input;
    struct span events;
};

#define CASE(name, input, events)                                                                  \
    {                                                                                              \
        name, {input, sizeof(input) - 1},                                                          \
        {                                                                                          \
            events, sizeof(events) - 1                                                             \
        }                                                                                          \
    }

static void check_way(const struct dialogue_case *c, size_t way, struct imap_dialogue dialogue)
{
    struct buf events;

    buf_init(&events, 0);
    dialogue.reader = imap_reader_create();
    imap_reader_set_append_max(dialogue.reader, APPEND_MAX);
    for (size_t at = 0, len; at < c->input.len; at += len) {
        len = split_piece(way, c->input.len, at);
        dialogue_feed(&dialogue, span_of(c->input.ptr + at, len), &events);
    }
    CHECK_SPAN(c->name, buf_span(&events), c->events);
    imap_reader_free(dialogue.reader);
    buf_fini(&events);
}

static void check_case(const struct dialogue_case *c, struct imap_dialogue dialogue)
{
    for (size_t way = 0; way < split_ways(c->input.len); way++)
        check_way(c, way, dialogue);
}

/* Behind the cases: what is set of struct imap_dialogue. */
#define CHECK_CASES(cases, ...)                                                                    \
    for (size_t i_ = 0; i_ < sizeof(cases) / sizeof(cases)[0]; i_++)                               \
    check_case(&(cases)[i_], (struct imap_dialogue){__VA_ARGS__})

#define NO_TAG  "* BAD A command begins with a tag and a verb\n"
#define NUL     "BAD There is a NUL in the command\n"
#define LITERAL "BAD There is a NUL in a literal\n"
#define CRLF    "BAD Lines end with CR and LF, which stand nowhere else\n"
#define BRACES  "BAD A literal is announced by its size in braces, at the line's end\n"

static void finds_the_ends_of_lines(void **state)
{
    static const struct dialogue_case cases[] = {
        CASE("nothing", "", ""),
        CASE("unfinished", "a NOOP\r", ""),
        CASE("pipelined", "a NOOP\r\nb.1 CHECK\r\n", "a NOOP\nb.1 CHECK\n"),
        CASE("empty line", "\r\na NOOP\r\n", NO_TAG "a NOOP\n"),
        CASE("a tag alone", "a\r\n", "a BAD Something is missing at the end\n"),
        CASE("leading space", " NOOP\r\n", NO_TAG),
        CASE("plus in the tag", "a+ NOOP\r\n", NO_TAG),
        CASE("8-bit tag", "\xc3\xa4 NOOP\r\n", NO_TAG),
        CASE("bare LF", "a NOOP\nb NOOP\r\nc NOOP\r\n", "a " CRLF "c NOOP\n"),
        CASE("bare CR", "a NOOP\rb\r\nc NOOP\r\n", "a " CRLF "c NOOP\n"),
        CASE("CR CR LF", "a NOOP\r\r\nc NOOP\r\n", "a " CRLF "c NOOP\n"),
        CASE("LF first", "\n\r\nc NOOP\r\n", "* " CRLF "c NOOP\n"),
        CASE("NUL", "a NO\0OP\r\nc NOOP\r\n", "a " NUL "c NOOP\n"),
        CASE("NUL in the tag", "a\0 NOOP\r\n", "* " NUL),
    };

    (void)state;
    CHECK_CASES(cases, .refuses_from = UINT_MAX);
}

static void takes_literals(void **state)
{
    static const struct dialogue_case cases[] = {
        CASE("one", "a DELETE {3}\r\nabc\r\n", "+\na DELETE 'abc'\n"),
        CASE("two", "a LOGIN {1}\r\nu {2}\r\npw\r\nb NOOP\r\n", "+\n+\na LOGIN 'u' 'pw'\nb NOOP\n"),
        CASE("not synchronizing", "a LOGIN {1+}\r\nu {2+}\r\npw\r\n", "a LOGIN 'u' 'pw'\n"),
        CASE("empty", "a LOGIN {0}\r\n {0+}\r\n\r\n", "+\na LOGIN '' ''\n"),
        CASE("lines in it", "a LOGIN {4+}\r\n\r\n{} x\r\n", "a LOGIN '\r\n{}' 'x'\n"),
        CASE("an announcement in it", "a LOGIN {5+}\r\n{3}\r\n x\r\n", "a LOGIN '{3}\r\n' 'x'\n"),
        CASE("in a list", "a SEARCH (TEXT {1}\r\nx)\r\n", "+\na SEARCH (and (and (text 'x')))\n"),
        CASE("of fields", "a FETCH 1 BODY[HEADER.FIELDS ({1}\r\nx)]\r\n",
             "+\na FETCH 1 BODY[FIELDS 'x']\n"),
        CASE("behind a quoted one", "a LOGIN \"x\" {1}\r\ny\r\n", "+\na LOGIN 'x' 'y'\n"),
        CASE("8-bit", "a LOGIN x {1}\r\n\xe4\r\n", "+\na LOGIN 'x' '\xe4'\n"),
        CASE("name in UTF-7", "a SELECT {5}\r\n&AOQ-\r\n", "+\na SELECT '\xc3\xa4'\n"),
        CASE("NUL", "a LOGIN x {1}\r\n\0\r\nb NOOP\r\n", "+\na " LITERAL "b NOOP\n"),
        CASE("NUL before another", "a LOGIN {2+}\r\n\0x {2}\r\nb NOOP\r\n",
             "a " LITERAL "b NOOP\n"),
        CASE("NUL before one more", "a LOGIN {2+}\r\n\0x {8+}\r\nb NOOP\r\n\r\nc NOOP\r\n",
             "a " LITERAL "c NOOP\n"),
        CASE("no size", "a DELETE {}\r\n", "a " BRACES),
        CASE("minus", "a DELETE {3-}\r\n", "a " BRACES),
        CASE("no number", "a DELETE {x}\r\n", "a " BRACES),
        CASE("within a word", "a DELETE x{3}\r\n", "a BAD More than was expected\n"),
        CASE("beyond all numbers", "a DELETE {99999999999999999999+}\r\nb NOOP\r\n",
             "a " BRACES "b NOOP\n"),
        CASE("unknown command", "a FOO {3}\r\nb NOOP\r\n",
             "a BAD There is no such command\nb NOOP\n"),
        CASE("unknown command that goes on", "a FOO {3+}\r\nabc\r\nb NOOP\r\n",
             "a BAD There is no such command\nb NOOP\n"),
        CASE("more than is taken", "a NOOP {3}\r\nabc\r\n", "+\na BAD More than was expected\n"),
        CASE("literal8", "a DELETE ~{3}\r\nb NOOP\r\n",
             "a BAD A literal8 is for messages alone\nb NOOP\n"),
        CASE("too large", "a DELETE {262145}\r\nb NOOP\r\n",
             "a NO [LIMIT] A literal is too large\nb NOOP\n"),
    };

    (void)state;
    CHECK_CASES(cases, .refuses_from = UINT_MAX);
}

#define ARGUMENTS "BAD APPEND takes flags in parentheses, a date and time, and a literal\n"
#define DATE_TIME "BAD A date and time is written as in \" 1-Feb-1994 21:52:25 -0800\"\n"
#define HEAD      "a APPEND inbox "
#define DATE      "\" 1-Feb-1994 21:52:25 -0800\""

static void takes_messages(void **state)
{
    static const struct dialogue_case cases[] = {
        CASE("one", HEAD "{3}\r\nabc\r\n", "message 0 of 3 'INBOX' ( ) sync\na APPEND 'INBOX' 1\n"),
        CASE("not synchronizing", HEAD "{3+}\r\n\0\r\n\r\nb NOOP\r\n",
             "message 0 of 3 'INBOX' ( )\na APPEND 'INBOX' 1\nb NOOP\n"),
        CASE("flags", HEAD "(\\Seen a) {1}\r\nx\r\n",
             "message 0 of 1 'INBOX' ( \\Seen a ) sync\na APPEND 'INBOX' 1\n"),
        CASE("date", HEAD DATE " {1}\r\nx\r\n",
             "message 0 of 1 'INBOX' ( ) date 760168345 -480 sync\na APPEND 'INBOX' 1\n"),
        CASE("flags and date", HEAD "() " DATE " ~{1}\r\nx\r\n",
             "message 0 of 1 'INBOX' ( ) date 760168345 -480 utf8 sync\na APPEND 'INBOX' 1\n"),
        CASE("two digits", HEAD "\"01-Mar-2000 00:00:00 +0530\" {1+}\r\nx\r\n",
             "message 0 of 1 'INBOX' ( ) date 951849000 330\na APPEND 'INBOX' 1\n"),
        CASE("leap second", HEAD "\"31-Dec-1998 23:59:60 +0000\" {1+}\r\nx\r\n",
             "message 0 of 1 'INBOX' ( ) date 915148800 0\na APPEND 'INBOX' 1\n"),
        CASE("UTF8", HEAD "utf8 (~{1+}\r\nx)\r\n",
             "message 0 of 1 'INBOX' ( ) utf8\na APPEND 'INBOX' 1\n"),
        CASE("the name is a literal", "a APPEND {1}\r\nx {2}\r\nab\r\n",
             "+\nmessage 0 of 2 'x' ( ) sync\na APPEND 'x' 1\n"),
        CASE("several", HEAD "{1}\r\nx (\\Seen) {2+}\r\nab UTF8 (~{1}\r\ny) {1}\r\nz\r\nb NOOP\r\n",
             "message 0 of 1 'INBOX' ( ) sync\nmessage 1 of 2 'INBOX' ( \\Seen )\n"
             "message 2 of 1 'INBOX' ( ) utf8 sync\nmessage 3 of 1 'INBOX' ( ) sync\n"
             "a APPEND 'INBOX' 4\nb NOOP\n"),
        CASE("none", HEAD "\r\n", "a BAD APPEND ends with a message, as a literal\n"),
        CASE("too large", HEAD "{101}\r\nb NOOP\r\n",
             "a NO [TOOBIG] The message is too large\nb NOOP\n"),
        CASE("too large, skipped",
             HEAD "{101+}\r\n"
                  "0123456789012345678901234567890123456789012345678901234567890123456789"
                  "0123456789012345678901234567890\r\nb NOOP\r\n",
             "a NO [TOOBIG] The message is too large\nb NOOP\n"),
        CASE("empty", HEAD "{0}\r\nb NOOP\r\n", "a NO A message has at least one byte\nb NOOP\n"),
        CASE("a bad flag", HEAD "(\\Foo) {3}\r\nb NOOP\r\n",
             "a BAD There is no such system flag\nb NOOP\n"),
        CASE("a bad date, skipped", HEAD "\"x\" {3+}\r\nabc\r\nb NOOP\r\n",
             "a " DATE_TIME "b NOOP\n"),
        CASE("something else", HEAD "FOO {3}\r\nb NOOP\r\n", "a " ARGUMENTS "b NOOP\n"),
        CASE("flags behind the date", HEAD DATE " () {3}\r\nb NOOP\r\n", "a " ARGUMENTS "b NOOP\n"),
        CASE("no space before it", HEAD "()\"x\" {3}\r\nb NOOP\r\n",
             "a BAD A space was expected\nb NOOP\n"),
        CASE("a date that is none", HEAD "\"31-Feb-1994 21:52:25 -0800\" {3}\r\n", "a " DATE_TIME),
        CASE("an hour that is none", HEAD "\"01-Feb-1994 24:52:25 -0800\" {3}\r\n", "a " DATE_TIME),
        CASE("a zone that is none", HEAD "\"01-Feb-1994 21:52:25 PST\" {3}\r\n", "a " DATE_TIME),
        CASE("a month that is none", HEAD "\"01-Foo-1994 21:52:25 -0800\" {3}\r\n", "a " DATE_TIME),
        CASE("no name", "a APPEND (\\Seen) {3}\r\nb NOOP\r\n",
             "a BAD A string was expected\nb NOOP\n"),
        CASE("no valid name", "a APPEND a&b {3}\r\nb NOOP\r\n",
             "a NO [CANNOT] The mailbox name is not modified UTF-7\nb NOOP\n"),
        CASE("the name is too large", "a APPEND {262145}\r\nb NOOP\r\n",
             "a NO [LIMIT] A literal is too large\nb NOOP\n"),
        CASE("no space before the second", HEAD "{1}\r\nx{1}\r\ny",
             "message 0 of 1 'INBOX' ( ) sync\na BAD More than was expected\n"),
        CASE("UTF8 without end before the second", HEAD "UTF8 (~{1+}\r\nx {1}\r\nb NOOP\r\n",
             "message 0 of 1 'INBOX' ( ) utf8\na BAD One space too many\nb NOOP\n"),
        CASE("a bad end", HEAD "{1}\r\nxy\r\nb NOOP\r\n",
             "message 0 of 1 'INBOX' ( ) sync\na BAD More than was expected\nb NOOP\n"),
        CASE("UTF8 without end", HEAD "UTF8 (~{1+}\r\nx\r\n",
             "message 0 of 1 'INBOX' ( ) utf8\na BAD Something is missing at the end\n"),
        CASE("the second is bad", HEAD "{1}\r\nx (\\Foo) {2}\r\nb NOOP\r\n",
             "message 0 of 1 'INBOX' ( ) sync\na BAD There is no such system flag\nb NOOP\n"),
        CASE("the second is empty", HEAD "{1}\r\nx {0}\r\nb NOOP\r\n",
             "message 0 of 1 'INBOX' ( ) sync\na NO A message has at least one byte\nb NOOP\n"),
    };

    (void)state;
    CHECK_CASES(cases, .refuses_from = UINT_MAX);
}

static void leaves_messages_that_the_session_refuses(void **state)
{
    static const struct dialogue_case cases[] = {
        CASE("synchronizing", HEAD "{1}\r\nx {7}\r\nb NOOP\r\n",
             "message 0 of 1 'INBOX' ( ) sync\nmessage 1 of 7 'INBOX' ( ) sync\n"
             "a APPEND 'INBOX' 1\nb NOOP\n"),
        CASE(
            "not synchronizing", HEAD "{1+}\r\nx {2+}\r\nab {3+}\r\ncde\r\nb NOOP\r\n",
            "message 0 of 1 'INBOX' ( )\nmessage 1 of 2 'INBOX' ( )\na APPEND 'INBOX' 1\nb NOOP\n"),
        CASE(
            "then synchronizing", HEAD "{1+}\r\nx {2+}\r\nab {3}\r\nb NOOP\r\n",
            "message 0 of 1 'INBOX' ( )\nmessage 1 of 2 'INBOX' ( )\na APPEND 'INBOX' 1\nb NOOP\n"),
    };

    (void)state;
    CHECK_CASES(cases, .refuses_from = 1);
}

static void skips_what_follows_a_message_that_was_thrown_away(void **state)
{
    static const struct dialogue_case cases[] = {
        CASE("synchronizing", HEAD "{2}\r\nab\r\nb NOOP\r\n",
             "message 0 of 2 'INBOX' ( ) sync\na APPEND 'INBOX' 0\nb NOOP\n"),
        CASE("with another", HEAD "{2}\r\nab {3+}\r\ncde (\r\nb NOOP\r\n",
             "message 0 of 2 'INBOX' ( ) sync\na APPEND 'INBOX' 0\nb NOOP\n"),
        CASE("with another that waits", HEAD "{2+}\r\nab {3}\r\nb NOOP\r\n",
             "message 0 of 2 'INBOX' ( )\na APPEND 'INBOX' 0\nb NOOP\n"),
    };

    (void)state;
    CHECK_CASES(cases, .refuses_from = 0, .drops = true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_the_ends_of_lines),
        cmocka_unit_test(takes_literals),
        cmocka_unit_test(takes_messages),
        cmocka_unit_test(leaves_messages_that_the_session_refuses),
        cmocka_unit_test(skips_what_follows_a_message_that_was_thrown_away),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
