/* The recipients file: what it may say, what is told of mistakes, what is found, following it. */
#include "recipients/recipients.h"

#include "recipients/table.h"
#include "support/scratch.h"
#include "support/split.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

/* NULL where the text is refused. The pieces are those of split.h. */
static struct recipients *read_text(struct span text, size_t way, struct buf *messages)
{
    struct recipients_reader *reader = recipients_reader_create("file", messages);
    struct recipients *recipients;

    for (size_t at = 0, len; at < text.len; at += len) {
        len = split_piece(way, text.len, at);
        recipients_reader_feed(reader, span_of(text.ptr + at, len));
    }
    struct err e = recipients_reader_end(reader, &recipients);
    assert_int_equal(err_is(e), recipients == NULL);
    assert_int_equal(err_is(e), buf_len(messages) > 0);
    return recipients;
}

static struct recipients *read_good(const char *text)
{
    struct buf messages;

    buf_init(&messages, 0);
    struct recipients *recipients = read_text(span_cstr(text), SPLIT_WHOLE, &messages);
    if (recipients == NULL)
        fail_msg("%.*s", SPAN_ARG(buf_span(&messages)));
    buf_fini(&messages);
    return recipients;
}

static enum recipients_answer ask(const struct recipients *recipients, const char *text,
                                  const char *delimiters)
{
    unsigned flags = ADDRESS_ALLOW_UTF8 | ADDRESS_ALLOW_UNDERSCORE | ADDRESS_ALLOW_LONG_LOCAL;
    struct address address;
    struct arena scratch;
    struct span domain;

    arena_init(&scratch);
    if (address_parse(span_cstr(text), flags, &address) != ADDRESS_OK)
        fail_msg("%s", text);
    if (address.literal)
        domain = address.domain;
    else
        assert_true(domain_to_ascii(address.domain, &scratch, &domain));
    enum recipients_answer answer =
        recipients_find(recipients, &address, domain, delimiters, &scratch);
    arena_fini(&scratch);
    return answer;
}

static const char sample[] = "# ours: a@b.test\n"
                             "\n"
                             "Alice@Example.com\n"
                             "  bob@example.com\t# the builder\n"
                             "bob@example.com\n"
                             "#hash@example.com\n"
                             "a#b@example.com #c\n"
                             "\"x y\"@example.com\n"
                             "\"a # \\\" b\"@example.com\n"
                             "\"plain\"@example.com\n"
                             "with+plus@example.com\n"
                             "@all.example\n"
                             "one@all.example\n"
                             "j\xC3\xB6rg@b\xC3\xBC"
                             "cher.example\n"
                             "@xn--bcher-kva.test\n"
                             "u@under_score.test";

static const struct {
    const char *address;
    const char *delimiters;
    enum recipients_answer answer;
} questions[] = {
    {"alice@example.com", NULL, RECIPIENTS_KNOWN},
    {"ALICE@EXAMPLE.COM", NULL, RECIPIENTS_KNOWN},
    {"\"alice\"@example.com", NULL, RECIPIENTS_KNOWN},
    {"\"al\\ice\"@example.com", NULL, RECIPIENTS_KNOWN},
    {"bob@example.com", NULL, RECIPIENTS_KNOWN},
    {"bo@example.com", NULL, RECIPIENTS_UNKNOWN},
    {"bobb@example.com", NULL, RECIPIENTS_UNKNOWN},
    {"carol@example.com", NULL, RECIPIENTS_UNKNOWN},
    {"#hash@example.com", NULL, RECIPIENTS_UNKNOWN},
    {"a#b@example.com", NULL, RECIPIENTS_KNOWN},
    {"a@b.test", NULL, RECIPIENTS_FOREIGN},
    {"\"x y\"@example.com", NULL, RECIPIENTS_KNOWN},
    {"\"X \\y\"@example.com", NULL, RECIPIENTS_KNOWN},
    {"\"a # \\\" b\"@example.com", NULL, RECIPIENTS_KNOWN},
    {"plain@example.com", NULL, RECIPIENTS_KNOWN},
    {"alice+x@example.com", NULL, RECIPIENTS_UNKNOWN},
    {"alice+x@example.com", "+", RECIPIENTS_KNOWN},
    {"alice+x+y@example.com", "+", RECIPIENTS_KNOWN},
    {"alice+@example.com", "+", RECIPIENTS_KNOWN},
    {"alice-x@example.com", "+", RECIPIENTS_UNKNOWN},
    {"alice-x@example.com", "+-", RECIPIENTS_KNOWN},
    {"+alice@example.com", "+", RECIPIENTS_UNKNOWN},
    {"carol+alice@example.com", "+", RECIPIENTS_UNKNOWN},
    {"with+plus@example.com", "+", RECIPIENTS_KNOWN},
    {"with@example.com", "+", RECIPIENTS_UNKNOWN},
    {"with+plus+x@example.com", "+", RECIPIENTS_UNKNOWN},
    {"\"x+ y\"@example.com", "+", RECIPIENTS_UNKNOWN},
    {"anybody@all.example", NULL, RECIPIENTS_KNOWN},
    {"\"any body\"@all.example", NULL, RECIPIENTS_KNOWN},
    {"anybody@sub.all.example", NULL, RECIPIENTS_FOREIGN},
    {"alice@sub.example.com", NULL, RECIPIENTS_FOREIGN},
    {"alice@[192.0.2.1]", NULL, RECIPIENTS_FOREIGN},
    {"alice@com", NULL, RECIPIENTS_FOREIGN},
    {"j\xC3\xB6rg@xn--bcher-kva.example", NULL, RECIPIENTS_KNOWN},
    {"j\xC3\xB6rg@B\xC3\x9C"
     "cher.example",
     NULL, RECIPIENTS_KNOWN},
    {"jorg@xn--bcher-kva.example", NULL, RECIPIENTS_UNKNOWN},
    {"any@b\xC3\xBC"
     "cher.test",
     NULL, RECIPIENTS_KNOWN},
    {"U@UNDER_score.test", NULL, RECIPIENTS_KNOWN},
};

static void finds(void **state)
{
    struct recipients *recipients = read_good(sample);

    (void)state;
    assert_int_equal(recipients_count(recipients), 12);
    for (size_t i = 0; i < COUNT(questions); i++) {
        enum recipients_answer answer =
            ask(recipients, questions[i].address, questions[i].delimiters);
        if (answer != questions[i].answer)
            fail_msg("%s: %d", questions[i].address, answer);
    }
    assert_ptr_equal(recipients_ref(recipients), recipients);
    recipients_unref(recipients);
    recipients_unref(recipients);
    recipients_unref(NULL);
}

#define WRITE "; write one address, user@domain, or @domain for all of a domain\n"

static const struct {
    const char *text;
    const char *messages;
} mistakes[] = {
    {"", "file: there is no address in it, so all mail would be refused; write @domain to take all "
         "of a domain, or set no recipients_file\n"},
    {"# none\n\n \t\n", "file: there is no address in it, so all mail would be refused; write "
                        "@domain to take all of a domain, or set no recipients_file\n"},
    {"a@b.test\nbob\n", "file:2: \"bob\": domain missing" WRITE},
    {"postmaster\n", "file:1: \"postmaster\": domain missing" WRITE},
    {"a@b.test OK\n", "file:1: \"a@b.test OK\": malformed domain" WRITE},
    {"a@b.test#x\n", "file:1: \"a@b.test#x\": malformed domain" WRITE},
    {"a@b.test, c@d.test\n", "file:1: \"a@b.test, c@d.test\": malformed domain" WRITE},
    {"a b@c.test\n", "file:1: \"a b@c.test\": malformed local part" WRITE},
    {"<a@b.test>\n", "file:1: \"<a@b.test>\": malformed local part" WRITE},
    {"a@.b.test\n", "file:1: \"a@.b.test\": malformed domain" WRITE},
    {"@\n@.b.test\n@b.test.\n@*\n",
     "file:1: \"@\": malformed domain" WRITE "file:2: \"@.b.test\": malformed domain" WRITE
     "file:3: \"@b.test.\": malformed domain" WRITE "file:4: \"@*\": malformed domain" WRITE},
    {"a@[192.0.2.1]\n@[192.0.2.1]\n", "file:1: \"a@[192.0.2.1]\": domain missing" WRITE
                                      "file:2: \"@[192.0.2.1]\": malformed domain" WRITE},
    {"\"a@b.test\n", "file:1: \"\"a@b.test\": malformed quoted local part" WRITE},
    {"a@b.test\r\nb@b.test\n",
     "file:1: there is a control character in the line; write plain text whose lines end with a "
     "line feed alone\n"},
    {"\xFF@b.test\n", "file:1: \"\xFF@b.test\": malformed UTF-8 in address" WRITE},
};

static void tells_each_mistake(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(mistakes); i++) {
        struct buf messages;
        buf_init(&messages, 0);
        assert_null(read_text(span_cstr(mistakes[i].text), SPLIT_WHOLE, &messages));
        CHECK_SPAN(mistakes[i].text, buf_span(&messages), span_cstr(mistakes[i].messages));
        buf_fini(&messages);
    }
}

/* However the text is cut, the same is found and told. */
static void any_pieces(void **state)
{
    static const char bad[] = "a@b.test\nnobody\n\"x\ty\"@b.test OK\n\n@\nlast";
    struct buf whole, messages;

    (void)state;
    buf_init(&whole, 0);
    buf_init(&messages, 0);
    assert_null(read_text(span_cstr(bad), SPLIT_WHOLE, &whole));
    for (size_t way = 0; way < split_ways(sizeof bad - 1); way++) {
        assert_null(read_text(span_cstr(bad), way, &messages));
        CHECK_SPAN("bad", buf_span(&messages), buf_span(&whole));
        buf_clear(&messages);
    }
    for (size_t way = 0; way < split_ways(sizeof sample - 1); way++) {
        struct recipients *recipients = read_text(span_cstr(sample), way, &messages);
        assert_int_equal(recipients_count(recipients), 12);
        for (size_t i = 0; i < COUNT(questions); i++)
            CHECK(questions[i].address, ask(recipients, questions[i].address,
                                            questions[i].delimiters) == questions[i].answer);
        recipients_unref(recipients);
    }
    buf_fini(&whole);
    buf_fini(&messages);
}

static void mistakes_are_bounded(void **state)
{
    struct buf text, messages;

    (void)state;
    buf_init(&text, 0);
    buf_init(&messages, 0);
    for (unsigned i = 0; i < 1000; i++)
        buf_addf(&text, "bad\n");
    assert_null(read_text(buf_span(&text), SPLIT_WHOLE, &messages));
    assert_true(span_ends_nocase(buf_span(&messages), SPAN("file: and 980 problems more\n")));
    buf_fini(&text);
    buf_fini(&messages);
}

/* A line of just the most, one byte more, and one without end; in pieces of every size. */
static void long_lines(void **state)
{
    static const size_t pieces[] = {1, 7, 1000, 1024, 1025, 5000};
    struct buf text, messages;

    (void)state;
    buf_init(&text, 0);
    buf_init(&messages, 0);
    buf_addf(&text, "a@b.test #%*s\n", RECIPIENTS_LINE_MAX - 10, "x");
    buf_addf(&text, "b@b.test #%*s\n", RECIPIENTS_LINE_MAX - 9, "x");
    buf_addf(&text, "%*s", 4 * RECIPIENTS_LINE_MAX, "x");
    for (size_t i = 0; i < COUNT(pieces); i++) {
        struct recipients_reader *reader = recipients_reader_create("file", &messages);
        struct recipients *recipients;
        for (struct span rest = buf_span(&text); rest.len > 0; rest = span_from(rest, pieces[i]))
            recipients_reader_feed(reader, span_head(rest, pieces[i]));
        assert_true(err_is(recipients_reader_end(reader, &recipients)));
        CHECK_SPAN("messages", buf_span(&messages),
                   SPAN("file:2: the line is too long; at most 1024 bytes are allowed\n"
                        "file:3: the line is too long; at most 1024 bytes are allowed\n"));
        buf_clear(&messages);
    }
    buf_fini(&text);
    buf_fini(&messages);
}

/* Each of many is found, none else, and the memory is what table.h says. */
static void many(void **state)
{
    enum { MANY = 100000 };
    struct buf text;
    char address[64];
    size_t bytes = 0;

    (void)state;
    buf_init(&text, 0);
    for (unsigned i = 0; i < MANY; i++) {
        buf_addf(&text, "user%u@example.com\n", i * 2);
        bytes += (size_t)snprintf(address, sizeof address, "user%u@example.com", i * 2);
    }
    buf_addf(&text, "%c", '\0');
    struct recipients *recipients = read_good(buf_span(&text).ptr);
    assert_int_equal(recipients_count(recipients), MANY);
    assert_in_range(recipients_size(recipients), bytes + MANY * 7, bytes + MANY * 13 + 1000);
    for (unsigned i = 0; i < 2 * MANY; i++) {
        snprintf(address, sizeof address, "user%u@example.com", i);
        if ((ask(recipients, address, NULL) == RECIPIENTS_KNOWN) != (i % 2 == 0))
            fail_msg("%s", address);
    }
    recipients_unref(recipients);
    buf_fini(&text);
}

static void tables(void **state)
{
    static char longest[TABLE_ENTRY_MAX];
    struct table table = {0};

    (void)state;
    assert_false(table_has(&table, SPAN("a")));
    assert_int_equal(table_add(&table, SPAN("a")), TABLE_ADDED);
    assert_int_equal(table_add(&table, SPAN("a")), TABLE_THERE);
    assert_int_equal(table_add(&table, SPAN("a\0b")), TABLE_ADDED);
    assert_int_equal(table_add(&table, SPAN("")), TABLE_ADDED);
    memset(longest, 'x', sizeof longest);
    assert_int_equal(table_add(&table, span_of(longest, sizeof longest)), TABLE_ADDED);
    table_trim(&table);
    assert_int_equal(table.count, 4);
    assert_true(table_has(&table, SPAN("a\0b")) && table_has(&table, SPAN("")));
    assert_true(table_has(&table, span_of(longest, sizeof longest)));
    assert_false(table_has(&table, span_of(longest, sizeof longest - 1)));
    assert_int_equal(table_add(&table, SPAN("after")), TABLE_ADDED);
    assert_true(table_has(&table, SPAN("after")) && table_has(&table, SPAN("a")));
    table_fini(&table);
}

/* ---- following ---------------------------------------------------------------------------- */

static char folder[SCRATCH_PATH];

static int enter(void **state)
{
    (void)state;
    scratch_make(folder);
    return chdir(folder);
}

static int leave(void **state)
{
    (void)state;
    scratch_remove(folder);
    return chdir("/");
}

static void write_file(const char *name, const char *text)
{
    FILE *file = fopen("new", "w");

    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    fclose(file);
    assert_int_equal(rename("new", name), 0);
}

static uint64_t count_now(struct follow *follow)
{
    struct recipients *recipients = follow_get(follow);
    uint64_t count = recipients != NULL ? recipients_count(recipients) : 0;

    recipients_unref(recipients);
    return count;
}

static void follows_a_file(void **state)
{
    struct follow *follow = recipients_follow();
    struct buf messages;

    (void)state;
    buf_init(&messages, 0);
    assert_null(follow_get(follow));
    assert_false(follow_poll(follow));
    assert_true(err_is(follow_set(follow, "list", &messages)));
    assert_true(span_starts_nocase(buf_span(&messages), SPAN("list: ")));
    write_file("list", "a@b.test\n");
    assert_false(err_is(follow_set(follow, "list", &messages)));
    assert_false(follow_poll(follow));
    struct recipients *first = follow_get(follow);
    write_file("list", "a@b.test\nb@b.test\n");
    assert_true(follow_poll(follow));
    assert_int_equal(count_now(follow), 2);
    assert_int_equal(recipients_count(first), 1);
    recipients_unref(first);
    write_file("list", "");
    assert_false(follow_poll(follow));
    unlink("list");
    assert_false(follow_poll(follow));
    assert_int_equal(count_now(follow), 2);

    write_file("other", "broken\n");
    assert_true(err_is(follow_set(follow, "other", &messages)));
    assert_int_equal(count_now(follow), 2);
    write_file("list", "a@b.test\n");
    assert_true(follow_poll(follow)); /* it is still the one that is followed */
    write_file("other", "a@b.test\nb@b.test\nc@b.test\n");
    assert_false(err_is(follow_set(follow, "other", &messages)));
    assert_int_equal(count_now(follow), 3);
    write_file("list", "@b.test\n@c.test\n");
    assert_false(follow_poll(follow));
    assert_false(err_is(follow_set(follow, NULL, &messages)));
    assert_null(follow_get(follow));
    assert_false(follow_poll(follow));
    follow_free(follow);
    follow_free(NULL);
    buf_fini(&messages);
}

static void loads_a_file(void **state)
{
    struct recipients *recipients;
    struct buf messages;

    (void)state;
    buf_init(&messages, 0);
    assert_int_equal(recipients_load("missing", &messages, &recipients).kind, ERR_NOT_FOUND);
    assert_true(err_is(recipients_load(".", &messages, &recipients)));
    assert_null(recipients);
    write_file("list", sample);
    assert_false(err_is(recipients_load("list", &messages, &recipients)));
    assert_int_equal(recipients_count(recipients), 12);
    recipients_unref(recipients);
    buf_fini(&messages);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds),
        cmocka_unit_test(tells_each_mistake),
        cmocka_unit_test(any_pieces),
        cmocka_unit_test(mistakes_are_bounded),
        cmocka_unit_test(long_lines),
        cmocka_unit_test(many),
        cmocka_unit_test(tables),
        cmocka_unit_test_setup_teardown(follows_a_file, enter, leave),
        cmocka_unit_test_setup_teardown(loads_a_file, enter, leave),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
