/* queue/ctl/census: counts, order, bounds and ages. */
#include "queue/ctl/census.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static void test_counts(void **state)
{
    struct census *census = census_create();
    unsigned count;

    (void)state;
    census_add(census, SPAN("b"), 1, 0, 10, 2);
    census_add(census, SPAN("a"), 1, 0, 10, 1); /* the same message with another key */
    census_add(census, SPAN("b"), 1, 0, 10, 1); /* and once more with the first */
    census_add(census, SPAN("b"), 2, 600000, 5, 1);
    census_add(census, SPAN("c"), 3, 0, 7, 1);
    const struct census_row *rows = census_rows(census, &count);
    assert_int_equal(count, 3);
    assert_true(span_equal(rows[0].key, SPAN("b")));
    assert_int_equal(rows[0].messages, 2);
    assert_int_equal(rows[0].recipients, 4);
    assert_int_equal(rows[0].bytes, 15);
    assert_int_equal(rows[0].ages[0], 1);
    assert_int_equal(rows[0].ages[2], 1);
    assert_true(span_equal(rows[1].key, SPAN("a")));
    assert_true(span_equal(rows[2].key, SPAN("c")));
    census_free(census);
}

static void test_bound(void **state)
{
    struct census *census = census_create();
    unsigned count;
    char key[16];

    (void)state;
    for (unsigned i = 0; i < CENSUS_KEYS + 5; i++) {
        int len = snprintf(key, sizeof key, "k%u", i);
        census_add(census, span_of(key, (size_t)len), i + 1, 0, 1, 1);
    }
    const struct census_row *rows = census_rows(census, &count);
    assert_int_equal(count, CENSUS_KEYS + 1);
    assert_int_equal(rows[CENSUS_KEYS].key.len, 0);
    assert_int_equal(rows[CENSUS_KEYS].messages, 5);
    census_free(census);
}

static void test_empty(void **state)
{
    struct census *census = census_create();
    unsigned count;

    (void)state;
    census_rows(census, &count);
    assert_int_equal(count, 0);
    census_free(census);
}

static void test_ages(void **state)
{
    (void)state;
    assert_int_equal(census_age(0), 0);
    assert_int_equal(census_age(299999), 0);
    assert_int_equal(census_age(300000), 1);
    assert_int_equal(census_age(1280 * 60000 - 1), 8);
    assert_int_equal(census_age(1280 * 60000), 9);
    assert_int_equal(census_age(UINT64_MAX), 9);
    assert_string_equal(census_age_name(8), "1280m");
    assert_string_equal(census_age_name(9), "1280m+");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_counts),
        cmocka_unit_test(test_bound),
        cmocka_unit_test(test_empty),
        cmocka_unit_test(test_ages),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
