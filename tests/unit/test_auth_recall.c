/* Passwords that need not be hashed again: whose, for how long, and what makes them forgotten. */
#include "auth/recall.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define USER     SPAN("alice")
#define HASH     SPAN("$y$hash")
#define PASSWORD SPAN("wonder land")

enum { NOW = 1000000, LONG = 60000, MANY = 40000 };

static struct auth_recall *recall;

static int enter(void **state)
{
    (void)state;
    recall = auth_recall_create();
    auth_recall_set(recall, LONG);
    return 0;
}

static int leave(void **state)
{
    (void)state;
    auth_recall_free(recall);
    return 0;
}

static void what_was_right_is_known(void **state)
{
    (void)state;
    assert_false(auth_recall_knows(recall, USER, HASH, PASSWORD, NOW));
    auth_recall_note(recall, USER, HASH, PASSWORD, NOW);
    assert_true(auth_recall_knows(recall, USER, HASH, PASSWORD, NOW));
    assert_true(auth_recall_knows(recall, USER, HASH, PASSWORD, NOW + LONG - 1));
    assert_false(auth_recall_knows(recall, USER, HASH, PASSWORD, NOW + LONG));
}

/* Nor do a name, a hash and a password run into each other. */
static void nothing_else_is(void **state)
{
    (void)state;
    auth_recall_note(recall, USER, HASH, PASSWORD, NOW);
    assert_false(auth_recall_knows(recall, SPAN("bob"), HASH, PASSWORD, NOW));
    assert_false(auth_recall_knows(recall, USER, SPAN("$y$other"), PASSWORD, NOW));
    assert_false(auth_recall_knows(recall, USER, HASH, SPAN("wonder lan"), NOW));
    assert_false(auth_recall_knows(recall, USER, SPAN("$y$has"), SPAN("hwonder land"), NOW));
    assert_false(auth_recall_knows(recall, SPAN("alic"), SPAN("e$y$hash"), PASSWORD, NOW));
}

static void hashing_again_starts_anew(void **state)
{
    (void)state;
    auth_recall_note(recall, USER, HASH, PASSWORD, NOW);
    auth_recall_note(recall, USER, HASH, PASSWORD, NOW + LONG);
    assert_true(auth_recall_knows(recall, USER, HASH, PASSWORD, NOW + LONG + 1));
}

static void off_means_forgotten(void **state)
{
    (void)state;
    auth_recall_note(recall, USER, HASH, PASSWORD, NOW);
    auth_recall_set(recall, 0);
    assert_false(auth_recall_knows(recall, USER, HASH, PASSWORD, NOW));
    auth_recall_note(recall, USER, HASH, PASSWORD, NOW);
    auth_recall_set(recall, LONG);
    assert_false(auth_recall_knows(recall, USER, HASH, PASSWORD, NOW));
}

static void the_latest_of_many_stay(void **state)
{
    char text[16];

    (void)state;
    for (int i = 0; i < MANY; i++) {
        int len = snprintf(text, sizeof text, "user-%d", i);
        auth_recall_note(recall, span_of(text, (size_t)len), HASH, PASSWORD, NOW + (uint64_t)i);
        assert_true(auth_recall_knows(recall, span_of(text, (size_t)len), HASH, PASSWORD,
                                      NOW + (uint64_t)i));
    }
}

int main(void)
{
#define RECALL(test) cmocka_unit_test_setup_teardown(test, enter, leave)
    static const struct CMUnitTest tests[] = {
        RECALL(what_was_right_is_known),   RECALL(nothing_else_is),
        RECALL(hashing_again_starts_anew), RECALL(off_means_forgotten),
        RECALL(the_latest_of_many_stay),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
