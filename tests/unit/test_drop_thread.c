/* drop/imap/thread: RFC 5256's two ways of making threads, and how their answer is written. */
#include "plugins/drop/imap/forest.h"
#include "plugins/drop/imap/thread.h"
#include "support/split.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

enum { MESSAGES_MAX = 12 };

struct mail {
    const char *id;
    const char *references;
    const char *in_reply_to;
    const char *subject;
    bool is_reply;
    int64_t date;
};

static struct span field(const char *text)
{
    return text != NULL ? span_cstr(text) : SPAN_NONE;
}

static void add(struct threader *threader, uint32_t index, const struct mail *mail)
{
    struct thread_message message = {.index = index,
                                     .date = mail->date,
                                     .message_id = field(mail->id),
                                     .references = field(mail->references),
                                     .in_reply_to = field(mail->in_reply_to),
                                     .subject = field(mail->subject),
                                     .is_reply = mail->is_reply};

    threader_add(threader, &message);
}

static void write_threads(enum imap_thread_algorithm algorithm, const struct mail *mails,
                          uint32_t count, struct buf *out)
{
    struct threader *threader = threader_create(algorithm);
    struct imap_scope scope = {0};
    struct arena arena;

    for (uint32_t i = 0; i < count; i++)
        add(threader, i, &mails[i]);
    arena_init(&arena);
    imap_thread_write(threader_end(threader, &arena), &scope, false, out);
    threader_free(threader);
    arena_fini(&arena);
    buf_add(out, SPAN("\0"));
}

static void check(const char *name, enum imap_thread_algorithm algorithm, const struct mail *mails,
                  uint32_t count, const char *expected)
{
    struct buf out;

    buf_init(&out, 0);
    write_threads(algorithm, mails, count, &out);
    const char *text = buf_span(&out).ptr;
    if (strcmp(text, expected) != 0)
        fail_msg("%s: \"%s\", not \"%s\"", name, text, expected);
    buf_fini(&out);
}

static void test_references(void **state)
{
    static const struct {
        const char *name;
        struct mail mails[MESSAGES_MAX];
        const char *expected;
    } cases[] = {
        {"none", {{.id = NULL}}, ""},
        {"a line",
         {{.id = "<a@x>"},
          {.id = "<b@x>", .references = "<a@x>"},
          {.id = "<c@x>", .references = "<a@x> <b@x>"}},
         " (1 2 3)"},
        {"out of order",
         {{.id = "<c@x>", .references = "<a@x> <b@x>"},
          {.id = "<b@x>", .references = "<a@x>"},
          {.id = "<a@x>"}},
         " (3 2 1)"},
        {"two answers",
         {{.id = "<a@x>"},
          {.id = "<b@x>", .references = "<a@x>", .date = 9},
          {.id = "<c@x>", .references = "<a@x>", .date = 5}},
         " (1 (3)(2))"},
        {"equal dates go by number",
         {{.id = "<a@x>"},
          {.id = "<b@x>", .references = "<a@x>"},
          {.id = "<c@x>", .references = "<a@x>"},
          {.id = "<d@x>", .references = "<c@x>"}},
         " (1 (2)(3 4))"},
        {"by In-Reply-To where References has none",
         {{.id = "<a@x>"},
          {.id = "<b@x>", .references = "nothing", .in_reply_to = "yours <a@x> <c@x>"},
          {.id = "<c@x>"}},
         " (1 2)(3)"},
        {"References before In-Reply-To",
         {{.id = "<a@x>"},
          {.id = "<b@x>"},
          {.id = "<c@x>", .references = "<a@x>", .in_reply_to = "<b@x>"}},
         " (1 3)(2)"},
        {"a missing one with one answer is not told",
         {{.id = "<b@x>", .references = "<a@x>"}, {.id = "<c@x>", .references = "<b@x>"}},
         " (1 2)"},
        {"a missing one keeps its answers together",
         {{.id = "<b@x>", .references = "<a@x>"},
          {.id = "<c@x>", .references = "<a@x>"},
          {.id = "<d@x>"}},
         " ((1)(2))(3)"},
        {"missing ones in a row",
         {{.id = "<z@x>", .references = "<a@x> <b@x> <c@x>"},
          {.id = "<y@x>", .references = "<a@x> <b@x>"}},
         " ((1)(2))"},
        {"a missing one within is left out",
         {{.id = "<a@x>"},
          {.id = "<c@x>", .references = "<a@x> <b@x>"},
          {.id = "<d@x>", .references = "<a@x> <b@x>"}},
         " (1 (2)(3))"},
        {"the same id twice",
         {{.id = "<a@x>"}, {.id = "<a@x>"}, {.id = "<b@x>", .references = "<a@x>"}},
         " (1 3)(2)"},
        {"no id",
         {{.id = NULL}, {.id = "nonsense"}, {.id = "<a@x>", .references = "<b@x>"}},
         " (1)(2)(3)"},
        {"itself",
         {{.id = "<a@x>", .references = "<a@x>"}, {.id = "<b@x>", .references = "<a@x> <b@x>"}},
         " (1)(2)"},
        {"a ring",
         {{.id = "<a@x>", .references = "<c@x>"},
          {.id = "<b@x>", .references = "<a@x>"},
          {.id = "<c@x>", .references = "<b@x>"}},
         " (3 1 2)"},
        {"a ring in one field", {{.id = "<m@x>", .references = "<a@x> <b@x> <a@x>"}}, " (1)"},
        {"what was linked first stays",
         {{.id = "<a@x>"},
          {.id = "<b@x>"},
          {.id = "<m@x>", .references = "<a@x> <c@x>"},
          {.id = "<n@x>", .references = "<b@x> <c@x>"}},
         " (1 (3)(4))(2)"},
        {"but not against the message itself",
         {{.id = "<a@x>"},
          {.id = "<b@x>"},
          {.id = "<m@x>", .references = "<a@x> <c@x>"},
          {.id = "<c@x>", .references = "<b@x>"}},
         " (1)(2 4 3)"},
        {"quotes are no part of an id",
         {{.id = "<\"a\"@x>"},
          {.id = "<b@x>", .references = "<a@x>"},
          {.id = "<c@x>", .references = "<\"a\"@x>"},
          {.id = "<d@x>", .references = "< b @ x >"}},
         " (1 (2 4)(3))"},
        {"case is", {{.id = "<a@x>"}, {.id = "<b@x>", .references = "<A@x>"}}, " (1)(2)"},
        {"broken ids",
         {{.id = "<a@x>"},
          {.id = "<b@x>", .references = "<> <@> <a> <a@> <@x> <<<a@x>"},
          {.id = "<c@x>", .references = "<a@x"}},
         " (1 2)(3)"},
        {"same subject: an answer joins",
         {{.id = "<a@x>", .subject = "s"}, {.id = "<b@x>", .subject = "s", .is_reply = true}},
         " (1 2)"},
        {"same subject: the answer came first",
         {{.id = "<b@x>", .subject = "s", .is_reply = true},
          {.id = "<a@x>", .subject = "s", .date = 1}},
         " (2 1)"},
        {"same subject: neither is an answer",
         {{.id = "<a@x>", .subject = "s"},
          {.id = "<b@x>", .subject = "s"},
          {.id = "<c@x>", .subject = "s"}},
         " ((1)(2)(3))"},
        {"same subject: both are answers",
         {{.id = "<a@x>", .subject = "s", .is_reply = true},
          {.id = "<b@x>", .subject = "s", .is_reply = true}},
         " ((1)(2))"},
        {"same subject: a missing one takes it in",
         {{.id = "<a@x>", .references = "<z@x>", .subject = "s", .is_reply = true},
          {.id = "<b@x>", .references = "<z@x>", .subject = "s", .is_reply = true},
          {.id = "<c@x>", .subject = "s", .date = 7}},
         " ((1)(2)(3))"},
        {"same subject: two missing ones become one",
         {{.id = "<a@x>", .references = "<y@x>", .subject = "s"},
          {.id = "<b@x>", .references = "<y@x>", .subject = "s"},
          {.id = "<c@x>", .references = "<z@x>", .subject = "s", .date = 7},
          {.id = "<d@x>", .references = "<z@x>", .subject = "s", .date = 8}},
         " ((1)(2)(3)(4))"},
        {"a missing one's subject is its first child's",
         {{.id = "<a@x>", .references = "<y@x>", .subject = "other", .date = 5},
          {.id = "<b@x>", .references = "<y@x>", .subject = "s", .date = 4},
          {.id = "<c@x>", .subject = "s", .date = 9}},
         " ((2)(1)(3))"},
        {"no subject joins nothing",
         {{.id = "<a@x>", .subject = ""}, {.id = "<b@x>", .subject = "", .is_reply = true}},
         " (1)(2)"},
        {"threads go by date",
         {{.id = "<a@x>", .date = 9},
          {.id = "<b@x>", .date = 3},
          {.id = "<c@x>", .references = "<a@x>", .date = 1}},
         " (2)(1 3)"},
        {"of a missing one by its first child",
         {{.id = "<a@x>", .references = "<z@x>", .date = 9},
          {.id = "<b@x>", .references = "<z@x>", .date = 2},
          {.id = "<c@x>", .date = 3}},
         " ((2)(1))(3)"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        uint32_t count = 0;

        while (count < MESSAGES_MAX &&
               (cases[i].mails[count].id != NULL || cases[i].mails[count + 1].id != NULL))
            count++;
        check(cases[i].name, IMAP_THREAD_REFERENCES, cases[i].mails, count, cases[i].expected);
    }
}

static void test_ordered_subject(void **state)
{
    static const struct mail mails[] = {
        {.subject = "b", .date = 20}, {.subject = "a", .date = 30}, {.subject = "b", .date = 10},
        {.subject = "c", .date = 10}, {.subject = "b", .date = 20}, {.subject = "", .date = 1},
        {.subject = "", .date = 2},
    };

    (void)state;
    check("some", IMAP_THREAD_ORDEREDSUBJECT, mails, COUNT(mails), " (6 7)(3 (1)(5))(4)(2)");
    check("none", IMAP_THREAD_ORDEREDSUBJECT, mails, 0, "");
}

/* The answer of RFC 5256 4's grammar, by UID. */
static void test_write(void **state)
{
    static const uint32_t uids[] = {2, 3, 6, 4, 23, 44, 7, 96};
    struct imap_scope scope = {.uids = uids, .count = COUNT(uids)};
    struct imap_thread t[8];
    struct buf out;

    (void)state;
    for (uint32_t i = 0; i < COUNT(t); i++)
        t[i] = (struct imap_thread){.index = i};
    t[0].next = &t[1];
    t[1].child = &t[2];
    t[2].child = &t[3];
    t[3].child = &t[4];
    t[3].next = &t[5];
    t[5].child = &t[6];
    t[6].child = &t[7];
    buf_init(&out, 0);
    imap_thread_write(&t[0], &scope, true, &out);
    assert_true(span_equal(buf_span(&out), SPAN(" (2)(3 6 (4 23)(44 7 96))")));
    buf_fini(&out);
}

/* Depth and number must neither recurse nor take the square of their time. */
static void test_deep(void **state)
{
    enum { DEEP = 100000 };
    struct threader *threader = threader_create(IMAP_THREAD_REFERENCES);
    struct imap_scope scope = {0};
    struct arena arena;
    struct buf out;
    char id[40], references[80];

    (void)state;
    /* Each has two answers: the next one, and a leaf; told twice, so that links are cut again. */
    for (uint32_t i = 0; i < DEEP; i++) {
        snprintf(id, sizeof(id), "<%u@x>", DEEP - i);
        snprintf(references, sizeof(references), "<%u@y> <%u@x>", i, DEEP - i - (i + 1 < DEEP));
        add(threader, 2 * i, &(struct mail){.id = id, .references = references});
        snprintf(references, sizeof(references), "<%u@y> <%u@x>", i, DEEP - i);
        add(threader, 2 * i + 1, &(struct mail){.references = references});
    }
    arena_init(&arena);
    buf_init(&out, 0);
    struct imap_thread *first = threader_end(threader, &arena);
    imap_thread_write(first, &scope, false, &out);
    struct span text = buf_span(&out);
    size_t open = 0;
    for (size_t i = 0; i < text.len; i++)
        open += text.ptr[i] == '(';
    assert_int_equal(open, 2 * DEEP - 1);
    threader_free(threader);
    arena_fini(&arena);
    buf_fini(&out);
}

/* Against a table of parents that is gone up by hand. */
static void test_forest(void **state)
{
    enum { NODES = 60, STEPS = 20000 };
    struct forest forest = {0};
    uint32_t parent[NODES + 1] = {0};

    (void)state;
    srand(2);
    for (uint32_t i = 1; i <= NODES; i++)
        assert_int_equal(forest_add(&forest), i);
    for (unsigned step = 0; step < STEPS; step++) {
        uint32_t node = 1 + (uint32_t)rand() % NODES, other = 1 + (uint32_t)rand() % NODES;
        uint32_t root = other;

        while (parent[root] != 0)
            root = parent[root];
        assert_int_equal(forest_root(&forest, other), root);
        if (parent[node] != 0 && rand() % 3 == 0) {
            forest_cut(&forest, node);
            parent[node] = 0;
        } else if (parent[node] == 0 && root != node) {
            forest_link(&forest, node, other);
            parent[node] = other;
        }
    }
    forest_fini(&forest);
}

/* RFC 8474: all of a conversation have one name, others have others. */
static void test_names(void **state)
{
    static const struct {
        const char *name;
        const char *header;
        unsigned thread;
    } cases[] = {
        {"the first", "Subject: a\r\nMessage-ID: <1@x>\r\n\r\n", 1},
        {"folded, quoted", "message-id:\r\n <\"1\" @x>\r\n\r\n", 1},
        {"a reply", "Message-ID: <2@x>\r\nIn-Reply-To: <1@x>\r\n\r\n", 1},
        {"to a reply", "In-Reply-To: <2@x>\r\nReferences: junk <1@x>\r\n <2@x>\r\n\r\n", 1},
        {"empty references", "References: \r\nMessage-ID: <3@x>\r\nIn-Reply-To: <1@x>\r\n\r\n", 1},
        {"another", "Message-ID: <2@x>\r\n\r\n", 2},
        {"in the body", "Message-ID: <4@x>\r\n\r\nReferences: <1@x>\r\n", 3},
        {"none", "Subject: 1@x\r\n\r\n", 4},
        {"none at all", "", 5},
    };
    char texts[COUNT(cases)][IMAP_THREAD_ID_MAX], email[IMAP_EMAIL_ID_MAX];
    struct span names[COUNT(cases)];

    (void)state;
    for (unsigned i = 0; i < COUNT(cases); i++) {
        names[i] = imap_thread_id(span_cstr(cases[i].header), i, texts[i]);
        CHECK(cases[i].name, names[i].ptr[0] == 'T');
        CHECK(cases[i].name, !span_equal(names[i], imap_email_id(i, email)));
        for (unsigned j = 0; j < i; j++)
            CHECK(cases[i].name,
                  span_equal(names[i], names[j]) == (cases[i].thread == cases[j].thread));
    }
    /* They may be kept by clients for years. */
    CHECK_SPAN("name", names[0], SPAN("T6db3cb6e3e4a555c"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_references), cmocka_unit_test(test_ordered_subject),
        cmocka_unit_test(test_write),      cmocka_unit_test(test_deep),
        cmocka_unit_test(test_forest),     cmocka_unit_test(test_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
