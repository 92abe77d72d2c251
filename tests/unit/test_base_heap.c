/* base/heap: order under random change, against a plain search. */
#include "base/heap.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

enum { NODES = 300, ROUNDS = 20000 };

static uint64_t random_key(void)
{
    static uint64_t x = 88172645463325252u;

    x ^= x << 13, x ^= x >> 7, x ^= x << 17;
    return x % 1000; /* few enough for many to be alike */
}

static void assert_in_order(const struct heap *h, const struct heap_node *nodes)
{
    size_t linked = 0;
    uint64_t least = UINT64_MAX;

    for (size_t i = 0; i < NODES; i++) {
        if (!heap_is_linked(&nodes[i]))
            continue;
        linked++;
        least = nodes[i].key < least ? nodes[i].key : least;
        assert_ptr_equal(h->nodes[nodes[i].place - 1], &nodes[i]);
    }
    assert_int_equal(h->count, linked);
    if (linked == 0)
        assert_null(heap_top(h));
    else
        assert_true(heap_top(h)->key == least);
}

static void test_random_changes(void **state)
{
    static struct heap_node nodes[NODES];
    struct heap h;

    (void)state;
    heap_init(&h);
    for (int round = 0; round < ROUNDS; round++) {
        struct heap_node *node = &nodes[random_key() * NODES / 1000];
        if (!heap_is_linked(node))
            heap_insert(&h, node, random_key());
        else if (random_key() < 500)
            heap_move(&h, node, random_key());
        else
            heap_remove(&h, node);
        if (round % 16 == 0)
            assert_in_order(&h, nodes);
    }
    for (uint64_t last = 0; heap_top(&h) != NULL;) {
        struct heap_node *top = heap_top(&h);
        assert_true(top->key >= last);
        last = top->key;
        heap_remove(&h, top);
        assert_false(heap_is_linked(top));
    }
    heap_fini(&h);
}

static void test_the_end_unlinks_what_is_left(void **state)
{
    struct heap_node nodes[3] = {0};
    struct heap h;

    (void)state;
    heap_init(&h);
    for (size_t i = 0; i < 3; i++)
        heap_insert(&h, &nodes[i], 3 - i);
    heap_fini(&h);
    for (size_t i = 0; i < 3; i++)
        assert_false(heap_is_linked(&nodes[i]));
    assert_null(heap_top(&h));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_changes),
        cmocka_unit_test(test_the_end_unlinks_what_is_left),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
