/*
 * queue_fixture: an open queue for each case, for the tests that run against the store and, built
 * with QUEUE_TWIN, against the twin in memory. For programs over cmocka.
 */
#ifndef SMARTHOP_TESTS_QUEUE_FIXTURE_H
#define SMARTHOP_TESTS_QUEUE_FIXTURE_H

#include "support/queue_rig.h"
#include "support/scratch.h"

#include <setjmp.h>
#include <stdarg.h>

#ifdef QUEUE_TWIN
#include "queue/queue_memory.h"
#endif

#include <cmocka.h>

static struct fixture {
    char folder[SCRATCH_PATH];
    struct queue *queue;
} f;

static const char *const three[] = {"a.example", "b.example", "c.example"};

static inline int setup(void **state)
{
    (void)state;
    scratch_make(f.folder);
    rig_start();
    struct queue_options options = rig_queue_options(f.folder);
    return err_is(queue_open(&options, &f.queue)) ? -1 : 0;
}

static inline int teardown(void **state)
{
    (void)state;
    queue_close(f.queue);
    rig_stop();
    scratch_remove(f.folder);
    return atomic_load(&loop_rig.astray) == 0 ? 0 : -1;
}

static inline struct queue_counts counts(void)
{
    struct queue_counts now;

    assert_false(err_is(queue_count(f.queue, &now)));
    return now;
}

static inline void assert_span(struct span got, struct span wanted)
{
    assert_int_equal(got.len, wanted.len);
    if (wanted.len > 0)
        assert_memory_equal(got.ptr, wanted.ptr, wanted.len);
}

static inline void assert_status(const struct status *got, const struct status *wanted)
{
    assert_int_equal(got->code, wanted->code);
    assert_memory_equal(&got->enhanced, &wanted->enhanced, sizeof wanted->enhanced);
    assert_int_equal(got->scope, wanted->scope);
    assert_span(got->text, wanted->text);
    assert_span(got->by, wanted->by);
}

static inline unsigned list_due(const char *destination, struct queue_due *items, unsigned most)
{
    unsigned count;

    assert_false(
        err_is(queue_due_list(f.queue, span_cstr(destination), NULL, most, items, &count)));
    return count;
}

#define QUEUE_CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

#endif
