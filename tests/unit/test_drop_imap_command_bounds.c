/* What is bounded: the most is taken, and one more is refused with the session in step. */
#include "support/imap_print.h"
#include "support/split.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

/* Some ways of cutting, for inputs that are long. */
enum { WAYS = 40 };

static void feed(struct imap_reader *reader, struct span input, size_t way, struct buf *events)
{
    struct imap_dialogue dialogue = {.reader = reader, .refuses_from = UINT_MAX};
    size_t cut_from_end = way <= SPLIT_BYTES || way > input.len ? way : input.len - way + SPLIT_CUT;

    for (size_t at = 0, len; at < input.len; at += len) {
        len = split_piece(cut_from_end, input.len, at);
        dialogue_feed(&dialogue, span_of(input.ptr + at, len), events);
    }
}

static bool has_refusal(struct span answer)
{
    return memmem(answer.ptr, answer.len, " BAD ", 5) != NULL ||
           memmem(answer.ptr, answer.len, " NO ", 4) != NULL;
}

/* Whether the command is taken; the one behind it always is. */
static bool is_taken(const struct buf *command, const char *refusal)
{
    bool taken = false;
    struct buf input;

    buf_init(&input, 0);
    buf_add(&input, buf_span(command));
    buf_add_text(&input, "z NOOP\r\n");
    for (size_t way = 0; way < WAYS; way++) {
        struct imap_reader *reader = imap_reader_create();
        struct buf events;
        buf_init(&events, 0);
        feed(reader, buf_span(&input), way, &events);
        CHECK(refusal, span_ends_nocase(buf_span(&events), SPAN("z NOOP\n")));
        struct span answer = span_head(buf_span(&events), buf_len(&events) - strlen("z NOOP\n"));
        bool was_taken = !span_ends_nocase(answer, span_cstr(refusal));
        if (!was_taken)
            answer.len -= strlen(refusal);
        CHECK(refusal, !has_refusal(answer));
        CHECK(refusal, way == 0 || was_taken == taken);
        taken = was_taken;
        buf_fini(&events);
        imap_reader_free(reader);
    }
    buf_fini(&input);
    return taken;
}

static void add_times(struct buf *out, const char *text, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        buf_add_text(out, text);
}

/* A command with so many of what is bounded. */
typedef void make_command(struct buf *out, unsigned count);

static void check_bound(make_command *make, unsigned most, const char *refusal)
{
    for (unsigned more = 0; more < 2; more++) {
        struct buf command;
        buf_init(&command, 0);
        make(&command, most + more);
        CHECK(refusal, is_taken(&command, refusal) == (more == 0));
        buf_fini(&command);
    }
}

static void make_ranges(struct buf *out, unsigned count)
{
    buf_add_text(out, "a COPY 1");
    add_times(out, ",2", count - 1);
    buf_add_text(out, " x\r\n");
}

static void make_items(struct buf *out, unsigned count)
{
    buf_add_text(out, "a FETCH 1 (UID UID");
    for (unsigned i = 1; i < count; i++)
        buf_addf(out, " BODY[%u]", i);
    buf_add_text(out, ")\r\n");
}

static void make_levels(struct buf *out, unsigned count)
{
    buf_add_text(out, "a FETCH 1 BODY[1");
    add_times(out, ".1", count - 1);
    buf_add_text(out, "]\r\n");
}

static void make_keywords(struct buf *out, unsigned count)
{
    buf_add_text(out, "a STORE 1 FLAGS (\\Seen");
    for (unsigned i = 0; i < count; i++)
        buf_addf(out, " k%u K%u", i, i);
    buf_add_text(out, ")\r\n");
}

static void make_keyword(struct buf *out, unsigned count)
{
    buf_add_text(out, "a STORE 1 FLAGS ");
    add_times(out, "k", count);
    buf_add_text(out, "\r\n");
}

static void make_patterns(struct buf *out, unsigned count)
{
    buf_add_text(out, "a LIST \"\" (*");
    add_times(out, " %", (count - 1) / 2);
    add_times(out, "*", (count - 1) % 2);
    buf_add_text(out, ")\r\n");
}

static void make_sort_keys(struct buf *out, unsigned count)
{
    buf_add_text(out, "a SORT (CC");
    add_times(out, " REVERSE TO", count - 1);
    buf_add_text(out, ") UTF-8 ALL\r\n");
}

static void make_pairs(struct buf *out, unsigned count)
{
    buf_add_text(out, "a ID (\"a\" \"b\"");
    add_times(out, " \"c\" NIL", count - 1);
    buf_add_text(out, ")\r\n");
}

static void make_tag(struct buf *out, unsigned count)
{
    add_times(out, "a", count);
    buf_add_text(out, " NOOP\r\n");
}

static void bounds_lists(void **state)
{
    (void)state;
    check_bound(make_ranges, IMAP_RANGES_MAX, "a NO [LIMIT] A set has too many ranges\n");
    check_bound(make_items, IMAP_FETCH_ITEMS_MAX, "a NO [LIMIT] Too many items to fetch\n");
    check_bound(make_levels, 100, "a NO [LIMIT] A section has too many levels\n");
    check_bound(make_keywords, MAILSTORE_KEYWORDS_MAX, "a NO [LIMIT] Too many keywords\n");
    check_bound(make_keyword, MAILSTORE_KEYWORD_MAX, "a NO [LIMIT] A keyword is too long\n");
    check_bound(make_patterns, IMAP_PATTERNS_MAX, "a NO [LIMIT] The patterns are too long\n");
    check_bound(make_sort_keys, IMAP_SORT_KEYS_MAX, "a NO [LIMIT] Too many sort keys\n");
    check_bound(make_pairs, 30, "a BAD ID takes no more than 30 pairs\n");
    check_bound(make_tag, IMAP_TAG_MAX, "* BAD A command begins with a tag and a verb\n");
}

/* ---- SEARCH ------------------------------------------------------------------------------- */

static void make_nots(struct buf *out, unsigned count)
{
    buf_add_text(out, "a SEARCH ");
    add_times(out, "NOT ", count - 1);
    buf_add_text(out, "1\r\n");
}

static void make_parentheses(struct buf *out, unsigned count)
{
    buf_add_text(out, "a SEARCH ");
    add_times(out, "(", count - 1);
    buf_add_text(out, "1");
    add_times(out, ")", count - 1);
    buf_add_text(out, "\r\n");
}

static void make_ors(struct buf *out, unsigned count)
{
    buf_add_text(out, "a SEARCH ");
    add_times(out, "OR 2 ", count - 1);
    buf_add_text(out, "1\r\n");
}

/* The program itself is one. */
static void make_keys(struct buf *out, unsigned count)
{
    buf_add_text(out, "a SEARCH");
    add_times(out, " ALL", count - 1);
    buf_add_text(out, "\r\n");
}

/* Each is two. */
static void make_negated(struct buf *out, unsigned count)
{
    buf_add_text(out, "a SEARCH ALL");
    add_times(out, " UNSEEN", (count - 1) / 2);
    buf_add_text(out, "\r\n");
}

static void bounds_search_programs(void **state)
{
    const char *deep = "a NO [LIMIT] Search keys are nested too deeply\n";
    const char *many = "a NO [LIMIT] Too many search keys\n";

    (void)state;
    check_bound(make_nots, IMAP_SEARCH_DEPTH_MAX, deep);
    check_bound(make_parentheses, IMAP_SEARCH_DEPTH_MAX, deep);
    check_bound(make_ors, IMAP_SEARCH_DEPTH_MAX, deep);
    check_bound(make_keys, IMAP_SEARCH_KEYS_MAX, many);
    check_bound(make_negated, IMAP_SEARCH_KEYS_MAX, many);
}

/* ---- bytes -------------------------------------------------------------------------------- */

static void make_line(struct buf *out, unsigned count)
{
    buf_add_text(out, "a LOGIN u ");
    add_times(out, "p", count - (unsigned)buf_len(out));
    buf_add_text(out, "\r\n");
}

/* Its lines count together. */
static void make_lines(struct buf *out, unsigned count)
{
    const unsigned first = 16; /* bytes of the first line */

    buf_add_text(out, "a LOGIN {1+}\r\nu ");
    add_times(out, "p", count - first + 1);
    buf_add_text(out, "\r\n");
}

/* The announcement's CRLF counts. */
static void make_announcement(struct buf *out, unsigned count)
{
    const char *end = " {8+}";

    buf_add_text(out, "a LOGIN \"");
    add_times(out, "u", count - (unsigned)(buf_len(out) + strlen(end) + 1));
    buf_addf(out, "\"%s\r\ny NOOP\r\n\r\n", end);
}

static void make_literal(struct buf *out, unsigned count)
{
    buf_addf(out, "a LOGIN u {%u+}\r\n", count);
    add_times(out, "p", count);
    buf_add_text(out, "\r\n");
}

/* They count together. */
static void make_literals(struct buf *out, unsigned count)
{
    buf_add_text(out, "a LOGIN {1+}\r\nu");
    buf_addf(out, " {%u+}\r\n", count - 1);
    add_times(out, "p", count - 1);
    buf_add_text(out, "\r\n");
}

static void make_messages(struct buf *out, unsigned count)
{
    buf_add_text(out, "a APPEND x");
    add_times(out, " {1+}\r\n.", count);
    buf_add_text(out, "\r\n");
}

static void bounds_bytes(void **state)
{
    const char *line = "a BAD The command is too long\n";
    const char *literal = "a NO [LIMIT] A literal is too large\n";

    (void)state;
    check_bound(make_line, IMAP_LINE_MAX, line);
    check_bound(make_lines, IMAP_LINE_MAX, line);
    check_bound(make_announcement, IMAP_LINE_MAX - 2, line);
    check_bound(make_literal, IMAP_LITERALS_MAX, literal);
    check_bound(make_literals, IMAP_LITERALS_MAX, literal);
    check_bound(make_messages, IMAP_MESSAGES_MAX, "a NO [LIMIT] Too many messages at once\n");
}

/* The end of a line that is too long is looked at all the same. */
static void skips_literals_behind_long_lines(void **state)
{
    (void)state;
    for (unsigned more = 1; more < 100; more += 7) {
        struct buf command;
        buf_init(&command, 0);
        make_announcement(&command, IMAP_LINE_MAX + more);
        assert_false(is_taken(&command, "a BAD The command is too long\n"));
        buf_fini(&command);
    }
}

/* What a client may send that nobody knows. */
static void can_be_bounded_further(void **state)
{
    struct imap_reader *reader = imap_reader_create();
    struct buf events;

    (void)state;
    buf_init(&events, 0);
    imap_reader_set_bounds(reader, 22, 5);
    feed(reader, SPAN("a LOGIN 234567 0123456\r\n"), SPLIT_WHOLE, &events);
    feed(reader, SPAN("b LOGIN 234567 01234567\r\n"), SPLIT_WHOLE, &events);
    feed(reader, SPAN("c LOGIN {2+}\r\nuu {3+}\r\nppp\r\n"), SPLIT_WHOLE, &events);
    feed(reader, SPAN("d LOGIN {2+}\r\nuu {4}\r\n"), SPLIT_WHOLE, &events);
    CHECK_SPAN("events", buf_span(&events),
               SPAN("a LOGIN '234567' '0123456'\nb BAD The command is too long\n"
                    "c LOGIN 'uu' 'ppp'\nd NO [LIMIT] A literal is too large\n"));
    imap_reader_free(reader);
    buf_fini(&events);
}

/* Of what is refused only so much is thrown away. Whatever is cut where, the command that goes on
 * and on is the last one. */
static void does_not_skip_without_end(void **state)
{
    static const struct {
        const char *name;
        struct span input;
        const char *events;
    } cases[] = {
        {"as much as may be", SPAN("a APPEND x {101+}\r\n"), ""},
        {"one more", SPAN("a APPEND x {102+}\r\n"),
         "a NO [TOOBIG] The message is too large (endless)\n"},
        {"the largest number", SPAN("a APPEND x {9223372036854775807+}\r\n"),
         "a NO [TOOBIG] The message is too large (endless)\n"},
        {"a name", SPAN("a SELECT {102+}\r\n"), "a NO [LIMIT] A literal is too large (endless)\n"},
        {"two that are small",
         SPAN("a LOGIN {51+}\r\n012345678901234567890123456789012345678901234"
              "567890 {52+}\r\n"),
         "a NO [LIMIT] A literal is too large (endless)\n"},
        {"one whose client waits", SPAN("a APPEND x {102}\r\nb NOOP\r\n"),
         "a NO [TOOBIG] The message is too large\nb NOOP\n"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        for (size_t way = 0; way < split_ways(cases[i].input.len); way++) {
            struct imap_reader *reader = imap_reader_create();
            struct buf events;
            buf_init(&events, 0);
            imap_reader_set_append_max(reader, 50);
            imap_reader_set_bounds(reader, 40, 30);
            imap_reader_set_skip_max(reader, 101);
            feed(reader, cases[i].input, way, &events);
            CHECK_SPAN(cases[i].name, buf_span(&events), span_cstr(cases[i].events));
            buf_fini(&events);
            imap_reader_free(reader);
        }
}

/* Its end may be far off, or never come: behind each piece it may be over. */
static void does_not_skip_a_line_without_end(void **state)
{
    struct imap_reader *reader = imap_reader_create();
    struct buf input, events;

    (void)state;
    buf_init(&input, 0);
    buf_init(&events, 0);
    imap_reader_set_bounds(reader, 40, 30);
    imap_reader_set_skip_max(reader, 1000);
    add_times(&input, "a ", 1000);
    feed(reader, span_head(buf_span(&input), 1042), SPLIT_BYTES, &events);
    assert_int_equal(buf_len(&events), 0);
    feed(reader, SPAN("a"), SPLIT_WHOLE, &events);
    CHECK_SPAN("events", buf_span(&events), SPAN("a BAD The command is too long (endless)\n"));
    imap_reader_free(reader);
    buf_fini(&input);
    buf_fini(&events);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bounds_lists),
        cmocka_unit_test(bounds_search_programs),
        cmocka_unit_test(bounds_bytes),
        cmocka_unit_test(skips_literals_behind_long_lines),
        cmocka_unit_test(can_be_bounded_further),
        cmocka_unit_test(does_not_skip_without_end),
        cmocka_unit_test(does_not_skip_a_line_without_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
