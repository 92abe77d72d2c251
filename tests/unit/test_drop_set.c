/* drop/imap/set: what sets of numbers mean in a view. */
#include "plugins/drop/imap/search.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])
#define STAR         UINT32_MAX

enum { RANGES = 6 };

static const uint32_t view[] = {3, 4, 9, 10, 20, 21, 22, 40};
static const struct mailstore_range saved[] = {{1, 3}, {9, 20}, {39, 50}};

static void print(const struct mailstore_range *ranges, unsigned count, char *text, size_t size)
{
    size_t len = 0;

    text[0] = '\0';
    for (unsigned i = 0; i < count; i++)
        len += (size_t)snprintf(text + len, size - len, "%s%u:%u", i ? "," : "", ranges[i].first,
                                ranges[i].last);
}

static void test_table(void **state)
{
    static const struct {
        const char *name;
        struct mailstore_range ranges[RANGES];
        unsigned count;
        bool is_uid;
        bool is_empty; /* the mailbox */
        const char *expected;
        bool fits;
    } cases[] = {
        {"one", {{3, 3}}, 1, false, false, "9:9", true},
        {"a gap between is none of the view's", {{2, 5}}, 1, false, false, "4:20", true},
        {"all", {{1, STAR}}, 1, false, false, "3:40", true},
        {"backwards", {{STAR, 7}}, 1, false, false, "22:40", true},
        {"star", {{STAR, STAR}}, 1, false, false, "40:40", true},
        {"behind the end", {{9, STAR}}, 1, false, false, "40:40", true},
        {"no such", {{9, 9}}, 1, false, false, "", false},
        {"partly no such", {{7, 9}}, 1, false, false, "22:40", false},
        {"in order, joined", {{5, 6}, {1, 1}, {2, 3}, {5, 5}}, 4, false, false, "3:9,20:21", true},
        {"within another", {{1, 8}, {2, 3}, {8, 8}}, 3, false, false, "3:40", true},
        {"star of none", {{1, STAR}}, 1, false, true, "", false},
        {"nothing", {{0, 0}}, 0, false, false, "", true},
        {"uid", {{9, 9}}, 1, true, false, "9:9", true},
        {"uid that is not there", {{5, 8}}, 1, true, false, "5:8", true},
        {"uids from a number", {{21, STAR}}, 1, true, false, "21:40", true},
        {"uids behind the end", {{41, STAR}}, 1, true, false, "40:40", true},
        {"uids beyond", {{41, 99}}, 1, true, false, "", true},
        {"uids before", {{1, 2}}, 1, true, false, "", true},
        {"uids around", {{1, 99}}, 1, true, false, "3:40", true},
        {"touching uids", {{10, 10}, {9, 9}}, 2, true, false, "9:10", true},
        {"uids of none", {{1, STAR}}, 1, true, true, "", true},
        {"the largest", {{STAR - 1, STAR - 1}, {4, 4}}, 2, true, false, "4:4", true},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct imap_scope scope = {.uids = view, .count = COUNT(view)};
        struct mailstore_range ranges[RANGES];
        struct imap_set set = {ranges, cases[i].count, false};
        struct mailstore_range *found;
        unsigned count;
        struct arena arena;
        char text[200];

        memcpy(ranges, cases[i].ranges, sizeof(ranges));
        if (cases[i].is_empty)
            scope.count = 0;
        arena_init(&arena);
        bool fits = imap_set_resolve(&set, cases[i].is_uid, &scope, &arena, &found, &count);
        print(found, count, text, sizeof(text));
        if (fits != cases[i].fits || strcmp(text, cases[i].expected) != 0)
            fail_msg("%s: %d \"%s\"", cases[i].name, fits, text);
        arena_fini(&arena);
    }
}

static void test_saved(void **state)
{
    struct imap_scope scope = {
        .uids = view, .count = COUNT(view), .saved = saved, .saved_count = COUNT(saved)};
    struct imap_set set = {.is_saved = true};
    struct mailstore_range *found;
    unsigned count;
    struct arena arena;
    char text[200];

    (void)state;
    arena_init(&arena);
    for (int is_uid = 0; is_uid < 2; is_uid++) {
        assert_true(imap_set_resolve(&set, is_uid, &scope, &arena, &found, &count));
        print(found, count, text, sizeof(text));
        assert_string_equal(text, "3:3,9:20,39:40");
    }
    scope.saved_count = 0;
    assert_true(imap_set_resolve(&set, false, &scope, &arena, &found, &count));
    assert_int_equal(count, 0);
    scope = (struct imap_scope){.saved = saved, .saved_count = COUNT(saved)};
    assert_true(imap_set_resolve(&set, true, &scope, &arena, &found, &count));
    assert_int_equal(count, 0);
    arena_fini(&arena);
}

/* Against the plain meaning, message by message. */
static void test_random(void **state)
{
    (void)state;
    srand(1);
    for (unsigned round = 0; round < 2000; round++) {
        struct imap_scope scope = {.uids = view, .count = COUNT(view)};
        struct mailstore_range ranges[RANGES], *found;
        struct imap_set set = {ranges, (unsigned)rand() % (RANGES + 1), false};
        bool is_uid = rand() % 2;
        uint32_t most = is_uid ? 45 : COUNT(view);
        unsigned count;
        struct arena arena;

        for (unsigned i = 0; i < set.count; i++)
            ranges[i] =
                (struct mailstore_range){1 + (uint32_t)rand() % most, 1 + (uint32_t)rand() % most};
        arena_init(&arena);
        assert_true(imap_set_resolve(&set, is_uid, &scope, &arena, &found, &count));
        for (uint32_t n = 0; n < scope.count; n++) {
            bool asked = false, told = false;
            uint32_t number = is_uid ? view[n] : n + 1;

            for (unsigned i = 0; i < set.count; i++)
                asked |= (ranges[i].first <= number && number <= ranges[i].last) ||
                         (ranges[i].last <= number && number <= ranges[i].first);
            for (unsigned i = 0; i < count; i++)
                told |= found[i].first <= view[n] && view[n] <= found[i].last;
            assert_int_equal(asked, told);
        }
        for (unsigned i = 1; i < count; i++)
            assert_true(found[i - 1].last + 1 < found[i].first);
        arena_fini(&arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_saved),
        cmocka_unit_test(test_random),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
