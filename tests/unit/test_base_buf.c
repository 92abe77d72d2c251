/* base/buf: growth, bounds, consuming, and what is held when nothing is. */
#include "base/buf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

static void assert_holds(const struct buf *b, struct span expected)
{
    assert_int_equal(buf_len(b), expected.len);
    assert_true(span_equal(buf_span(b), expected));
}

static void test_append_and_consume(void **state)
{
    struct buf b;

    (void)state;
    buf_init(&b, 0);
    buf_add(&b, SPAN("abc"));
    buf_add(&b, SPAN("def"));
    assert_holds(&b, SPAN("abcdef"));
    buf_consume(&b, 2);
    assert_holds(&b, SPAN("cdef"));
    buf_add(&b, SPAN("g"));
    assert_holds(&b, SPAN("cdefg"));
    buf_consume(&b, 0);
    assert_holds(&b, SPAN("cdefg"));
    buf_fini(&b);
    assert_holds(&b, SPAN_NONE);
}

static void test_an_idle_buf_holds_no_memory(void **state)
{
    struct buf b;

    (void)state;
    buf_init(&b, 100);
    assert_null(b.data);
    buf_add(&b, SPAN("abc"));
    buf_consume(&b, 3);
    assert_null(b.data);
    buf_add(&b, SPAN("abc"));
    buf_consume(&b, 1000);
    assert_null(b.data);
    assert_int_equal(b.max, 100);
    buf_add(&b, SPAN_NONE);
    assert_null(b.data);
}

static void test_clear_keeps_the_memory(void **state)
{
    struct buf b;

    (void)state;
    buf_init(&b, 0);
    buf_add(&b, SPAN("abc"));
    char *data = b.data;
    buf_clear(&b);
    assert_int_equal(buf_len(&b), 0);
    buf_add(&b, SPAN("xy"));
    assert_ptr_equal(b.data, data);
    assert_holds(&b, SPAN("xy"));
    buf_fini(&b);
}

static void test_the_bound_is_exact(void **state)
{
    struct buf b;

    (void)state;
    buf_init(&b, 5);
    assert_true(buf_append(&b, SPAN("abc")));
    assert_false(buf_append(&b, SPAN("def")));
    assert_holds(&b, SPAN("abc"));
    assert_true(buf_append(&b, SPAN("de")));
    assert_false(buf_append(&b, SPAN("f")));
    assert_null(buf_reserve(&b, 1));
    assert_true(buf_append(&b, SPAN_NONE));
    buf_consume(&b, 1);
    assert_true(buf_append(&b, SPAN("f")));
    assert_holds(&b, SPAN("bcdef"));
    assert_null(buf_reserve(&b, SIZE_MAX));
    buf_fini(&b);
}

/* Texts on both sides of what append_formatted keeps on its stack, in a buf that just takes them.
 */
static void test_printf_up_to_the_bound(void **state)
{
    static const int lengths[] = {2, 511, 512, 513, 5000};

    (void)state;
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        struct buf b;
        size_t len = (size_t)lengths[i];
        buf_init(&b, len);
        assert_true(buf_printf(&b, "%*d", lengths[i], 7));
        assert_int_equal(buf_len(&b), len);
        assert_int_equal(buf_span(&b).ptr[len - 1], '7');
        assert_false(buf_printf(&b, "x"));
        buf_fini(&b);
        b.max = len - 1;
        assert_false(buf_printf(&b, "%*d", lengths[i], 7));
        assert_int_equal(buf_len(&b), 0);
        buf_fini(&b);
    }
}

static void test_addf(void **state)
{
    struct buf b;

    (void)state;
    buf_init(&b, 0);
    buf_addf(&b, "%s-%d", "x", 5);
    buf_addf(&b, "%s", "");
    assert_holds(&b, SPAN("x-5"));
    buf_fini(&b);
}

static void test_add_text_and_numbers(void **state)
{
    struct buf b;

    (void)state;
    buf_init(&b, 0);
    buf_add_text(&b, "x=");
    buf_add_u64(&b, 0);
    buf_add_text(&b, "");
    buf_add_u64(&b, UINT64_MAX);
    assert_holds(&b, SPAN("x=018446744073709551615"));
    buf_fini(&b);
}

static void test_truncate(void **state)
{
    struct buf b;

    (void)state;
    buf_init(&b, 0);
    buf_add(&b, SPAN("abcdef"));
    buf_consume(&b, 1);
    buf_truncate(&b, 6);
    assert_holds(&b, SPAN("bcdef"));
    buf_truncate(&b, 2);
    assert_holds(&b, SPAN("bc"));
    buf_add(&b, SPAN("x"));
    assert_holds(&b, SPAN("bcx"));
    buf_truncate(&b, 0);
    assert_null(b.data);
    assert_holds(&b, SPAN_NONE);
}

static void test_reserve_and_commit(void **state)
{
    struct buf b;

    (void)state;
    buf_init(&b, 0);
    memcpy(buf_reserve(&b, 1000), "abcdef", 6);
    buf_commit(&b, 3);
    assert_holds(&b, SPAN("abc"));
    buf_consume(&b, 2);
    char *room = buf_reserve(&b, b.cap); /* grows, and moves what is held */
    memcpy(room, "z", 1);
    buf_commit(&b, 1);
    assert_holds(&b, SPAN("cz"));
    buf_fini(&b);
}

/* Against a model: a queue of numbered bytes. */
static void test_long_run(void **state)
{
    struct buf b;
    uint32_t seed = 1;
    unsigned char in = 0, out = 0;
    size_t held = 0;

    (void)state;
    buf_init(&b, 3000);
    for (int round = 0; round < 20000; round++) {
        seed = seed * 1664525u + 1013904223u;
        size_t n = (seed >> 16) % 700;
        if (seed & 0x8000) {
            char bytes[700];
            for (size_t i = 0; i < n; i++)
                bytes[i] = (char)(in + i);
            bool fits = held + n <= 3000;
            assert_int_equal(buf_append(&b, span_of(bytes, n)), fits);
            in = (unsigned char)(fits ? in + n : in);
            held += fits ? n : 0;
        } else {
            n = n < held ? n : held;
            buf_consume(&b, n);
            out = (unsigned char)(out + n);
            held -= n;
        }
        assert_int_equal(buf_len(&b), held);
        for (size_t i = 0; i < held; i += held / 3 + 1)
            assert_int_equal((unsigned char)buf_span(&b).ptr[i], (unsigned char)(out + i));
        assert_true(b.cap <= 8192);
    }
    buf_fini(&b);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_append_and_consume),
        cmocka_unit_test(test_an_idle_buf_holds_no_memory),
        cmocka_unit_test(test_clear_keeps_the_memory),
        cmocka_unit_test(test_the_bound_is_exact),
        cmocka_unit_test(test_printf_up_to_the_bound),
        cmocka_unit_test(test_addf),
        cmocka_unit_test(test_add_text_and_numbers),
        cmocka_unit_test(test_truncate),
        cmocka_unit_test(test_reserve_and_commit),
        cmocka_unit_test(test_long_run),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
