/* base/block: sizes, what is kept and given again, and buffers that grow through all sizes. */
#include "base/block.h"
#include "base/buf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

static void test_sizes(void **state)
{
    (void)state;
    assert_int_equal(block_size(BLOCK_MIN), BLOCK_SMALL);
    assert_int_equal(block_size(BLOCK_SMALL), BLOCK_SMALL);
    assert_int_equal(block_size(BLOCK_SMALL + 1), BLOCK_LARGE);
    assert_int_equal(block_size(BLOCK_LARGE), BLOCK_LARGE);
}

/* More than is kept; each is whole, and nobody else's. */
static void test_each_has_its_own(void **state)
{
    enum { COUNT = BLOCK_KEPT_MAX / BLOCK_LARGE + 3 };
    char *blocks[2 * COUNT];

    (void)state;
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned i = 0; i < 2 * COUNT; i++) {
            size_t size = i % 2 ? BLOCK_SMALL : BLOCK_LARGE;
            blocks[i] = block_take(size);
            memset(blocks[i], (int)i, size);
        }
        for (unsigned i = 0; i < 2 * COUNT; i++) {
            size_t size = i % 2 ? BLOCK_SMALL : BLOCK_LARGE;
            for (size_t at = 0; at < size; at += 4096)
                assert_int_equal(blocks[i][at], (char)i);
            assert_int_equal(blocks[i][size - 1], (char)i);
            block_give(blocks[i], size);
        }
    }
    block_give(NULL, BLOCK_LARGE);
    block_give(NULL, 0);
}

static void test_other_sizes_are_served(void **state)
{
    (void)state;
    for (size_t size = 1; size < 4 * (size_t)BLOCK_LARGE; size = size * 3 + 1) {
        char *block = block_take(size);
        memset(block, 1, size);
        block_give(block, size);
    }
}

static void test_a_buffer_grows(void **state)
{
    enum { MOST = 3 * BLOCK_LARGE };
    uint64_t first = 0, next = 0;
    struct buf b;

    (void)state;
    buf_init(&b, 0);
    while (buf_len(&b) < MOST) {
        for (unsigned i = 0; i < 6001; i++, next++)
            buf_add(&b, span_of((const char *)&next, sizeof next));
        buf_consume(&b, sizeof first); /* so that it moves what it holds, too */
        first++;
    }
    for (struct span rest = buf_span(&b); rest.len > 0;
         rest = span_from(rest, sizeof first), first++)
        assert_memory_equal(rest.ptr, &first, sizeof first);
    assert_int_equal(first, next);
    buf_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_each_has_its_own),
        cmocka_unit_test(test_other_sizes_are_served),
        cmocka_unit_test(test_a_buffer_grows),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
