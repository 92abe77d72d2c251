/* receive/edits: what plugins change of a header section. */
#include "receive/edits.h"

#include "support/split.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])
#define HEAD         "A: 1\r\nB: 2\r\n\tfolded\r\nA : 3\r\n\r\n"

enum { EDITS_MOST = 3 };

#define EDIT(kind, nth, name, value)                                                               \
    {                                                                                              \
        SMARTHOP_##kind, nth, SMARTHOP_TEXT_INIT(name), SMARTHOP_TEXT_INIT(value)                  \
    }

static const struct {
    const char *name, *head, *want;
    uint32_t count;
    struct smarthop_edit edits[EDITS_MOST];
} cases[] = {
    {"nothing", HEAD, HEAD, 0, {{0}}},
    {"one before", HEAD, "C: x\r\n" HEAD, 1, {EDIT(PREPEND, 0, "C", "x")}},
    {"one behind", "A: 1\r\n\r\n", "A: 1\r\nC: x\r\n\r\n", 1, {EDIT(APPEND, 0, "C", "x")}},
    {"an empty value", "A: 1\r\n\r\n", "A: 1\r\nC: \r\n\r\n", 1, {EDIT(APPEND, 0, "C", "")}},
    {"folded", "\r\n", "C: x\r\n\ty\r\n\r\n", 1, {EDIT(PREPEND, 0, "C", "x\r\n\ty")}},
    {"the first of that name",
     HEAD,
     "a: x\r\nB: 2\r\n\tfolded\r\nA : 3\r\n\r\n",
     1,
     {EDIT(REPLACE, 1, "a", "x")}},
    {"no number is the first",
     HEAD,
     "a: x\r\nB: 2\r\n\tfolded\r\nA : 3\r\n\r\n",
     1,
     {EDIT(REPLACE, 0, "a", "x")}},
    {"the second, with a blank",
     HEAD,
     "A: 1\r\nB: 2\r\n\tfolded\r\nA: x\r\n\r\n",
     1,
     {EDIT(REPLACE, 2, "A", "x")}},
    {"a third that is not there", HEAD, HEAD, 1, {EDIT(REPLACE, 3, "A", "x")}},
    {"a folded one", HEAD, "A: 1\r\nB: x\r\nA : 3\r\n\r\n", 1, {EDIT(REPLACE, 1, "B", "x")}},
    {"one away", HEAD, "A: 1\r\nB: 2\r\n\tfolded\r\n\r\n", 1, {EDIT(REMOVE, 2, "A", "")}},
    {"all away", HEAD, "B: 2\r\n\tfolded\r\n\r\n", 1, {EDIT(REMOVE, 0, "A", "")}},
    {"a folded one away", HEAD, "A: 1\r\nA : 3\r\n\r\n", 1, {EDIT(REMOVE, 0, "b", "")}},
    {"none of that name", HEAD, HEAD, 1, {EDIT(REMOVE, 0, "C", "")}},
    {"a longer name", "AB: 1\r\n\r\n", "AB: 1\r\n\r\n", 1, {EDIT(REMOVE, 0, "A", "")}},
    {"a shorter name", "A: 1\r\n\r\n", "A: 1\r\n\r\n", 1, {EDIT(REMOVE, 0, "AB", "")}},
    {"a line that is no field", "A\r\nA: 1\r\n\r\n", "A\r\n\r\n", 1, {EDIT(REMOVE, 0, "A", "")}},
    {"what was made is there for the next",
     HEAD,
     "B: 2\r\n\tfolded\r\nC: z\r\n\r\n",
     3,
     {EDIT(REMOVE, 0, "A", ""), EDIT(APPEND, 0, "C", "x"), EDIT(REPLACE, 1, "C", "z")}},
    {"each before the one before",
     "\r\n",
     "B: 2\r\nA: 1\r\n\r\n",
     2,
     {EDIT(PREPEND, 0, "A", "1"), EDIT(PREPEND, 0, "B", "2")}},
    {"each behind the one before",
     "\r\n",
     "A: 1\r\nB: 2\r\n\r\n",
     2,
     {EDIT(APPEND, 0, "A", "1"), EDIT(APPEND, 0, "B", "2")}},
    {"no header", "", "A: 1\r\n", 1, {EDIT(APPEND, 0, "A", "1")}},
    {"no empty line", "A: 1\r\n", "A: 1\r\nB: 2\r\n", 1, {EDIT(APPEND, 0, "B", "2")}},
    {"no line end", "A: 1", "A: 1\r\nB: 2\r\n", 1, {EDIT(APPEND, 0, "B", "2")}},
    {"no line end, and before", "A: 1", "B: 2\r\nA: 1", 1, {EDIT(PREPEND, 0, "B", "2")}},
    {"no line end, and instead", "A: 1", "A: 2\r\n", 1, {EDIT(REPLACE, 1, "A", "2")}},
    {"behind the empty line is none",
     "A: 1\r\n\r\nA: 2\r\n",
     "\r\nA: 2\r\n",
     1,
     {EDIT(REMOVE, 0, "A", "")}},
};

static void test_edits(void **state)
{
    struct buf head;

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        buf_init(&head, 0);
        buf_add(&head, span_cstr(cases[i].head));
        edits_apply(&head, cases[i].edits, cases[i].count);
        CHECK_SPAN(cases[i].name, buf_span(&head), span_cstr(cases[i].want));
        buf_fini(&head);
    }
}

/* As many as there may be, of a header as large as it may be. */
static void test_many(void **state)
{
    struct smarthop_edit edits[SMARTHOP_EDITS_MAX];
    struct buf head;

    (void)state;
    buf_init(&head, 0);
    for (unsigned i = 0; i < 2000; i++)
        buf_addf(&head, "X-%u: %0100u\r\n", i % 500, i);
    buf_add(&head, SPAN("\r\n"));
    size_t before = buf_len(&head);
    for (unsigned i = 0; i < SMARTHOP_EDITS_MAX; i++)
        edits[i] =
            (struct smarthop_edit){SMARTHOP_REMOVE, 1, SMARTHOP_TEXT("X-7"), SMARTHOP_TEXT("")};
    edits_apply(&head, edits, SMARTHOP_EDITS_MAX); /* of which there are four */
    assert_int_equal(buf_len(&head), before - 4 * strlen("X-7: \r\n") - 4 * 100);
    buf_fini(&head);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_edits),
        cmocka_unit_test(test_many),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
