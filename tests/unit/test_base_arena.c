/* base/arena: alignment, zeroing, copies, and the bytes it admits to. */
#include "base/arena.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void test_unused_holds_nothing(void **state)
{
    struct arena a;

    (void)state;
    arena_init(&a);
    assert_int_equal(a.allocated, 0);
    arena_fini(&a);
    arena_fini(&a);
}

static void test_aligned_and_zeroed(void **state)
{
    static const size_t sizes[] = {1, 3, 8, 17, 479, 480, 481, 16384, 100000, 5};
    struct arena a;

    (void)state;
    arena_init(&a);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        arena_dup(&a, SPAN("x")); /* puts what follows out of line */
        char *p = arena_alloc(&a, sizes[i]);
        assert_int_equal((uintptr_t)p % _Alignof(max_align_t), 0);
        for (size_t k = 0; k < sizes[i]; k++)
            assert_int_equal(p[k], 0);
        memset(p, 0xee, sizes[i]);
    }
    arena_fini(&a);
    assert_int_equal(a.allocated, 0);
}

static void test_pieces_do_not_overlap(void **state)
{
    enum { PIECES = 500 };
    static char *pieces[PIECES];
    struct arena a;

    (void)state;
    arena_init(&a);
    for (int i = 0; i < PIECES; i++) {
        pieces[i] = arena_alloc(&a, (size_t)(i * 7 % 90 + 1));
        memset(pieces[i], i, (size_t)(i * 7 % 90 + 1));
    }
    for (int i = 0; i < PIECES; i++)
        for (int k = 0; k < i * 7 % 90 + 1; k++)
            assert_int_equal((unsigned char)pieces[i][k], (unsigned char)i);
    assert_true(a.allocated < 90 * PIECES);
    arena_fini(&a);
}

static void test_dup(void **state)
{
    struct arena a;

    (void)state;
    arena_init(&a);
    char source[] = "a\0b";
    struct span copy = arena_dup(&a, span_of(source, 3));
    source[0] = 'z';
    assert_int_equal(copy.len, 3);
    assert_memory_equal(copy.ptr, "a\0b", 4); /* with the NUL that is not counted */
    struct span none = arena_dup(&a, SPAN_NONE);
    assert_int_equal(none.len, 0);
    assert_int_equal(none.ptr[0], '\0');
    arena_fini(&a);
}

static void test_printf_of_any_length(void **state)
{
    static const int lengths[] = {0, 1, 255, 256, 257, 5000};
    struct arena a;

    (void)state;
    arena_init(&a);
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        struct span s = arena_printf(&a, "%.*s", lengths[i], "");
        assert_int_equal(s.len, 0);
        s = arena_printf(&a, "%*d", lengths[i] + 1, 7);
        assert_int_equal(s.len, lengths[i] + 1);
        assert_int_equal(s.ptr[lengths[i]], '7');
        assert_int_equal(s.ptr[s.len], '\0');
    }
    arena_fini(&a);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_unused_holds_nothing),  cmocka_unit_test(test_aligned_and_zeroed),
        cmocka_unit_test(test_pieces_do_not_overlap), cmocka_unit_test(test_dup),
        cmocka_unit_test(test_printf_of_any_length),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
