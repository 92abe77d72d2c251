/* The promises of mailstore.h about being told, and about operations from several threads. */
#include "support/loop_rig.h"
#include "support/mailstore_rig.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define ALL ((struct mailstore_range){0, 0})

static char folder[SCRATCH_PATH];
static struct mailstore *store;

static int setup(void **state)
{
    (void)state;
    scratch_make(folder);
    struct mailstore_options options = rig_options(folder);
    store = rig_open(&options);
    rig_start();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    rig_stop();
    mailstore_close(store);
    scratch_remove(folder);
    return 0;
}

struct watcher {
    struct call call;
    struct mailstore_watch watch;
    uint32_t box;
    _Atomic uint64_t modseq; /* seen */
    sem_t seen;
    atomic_uint told;
};

static void look(struct watcher *watcher)
{
    struct mailstore_box box;

    RIG_READ(store, txn)
    {
        if (!err_is(mailstore_box_get(txn, watcher->box, &box)))
            atomic_store(&watcher->modseq, box.highest_modseq);
        else
            atomic_store(&watcher->modseq, 0);
    }
    sem_post(&watcher->seen);
}

static void on_changed(struct mailstore_watch *watch)
{
    struct watcher *watcher = container_of(watch, struct watcher, watch);

    atomic_fetch_add(&watcher->told, 1);
    look(watcher);
}

static void on_ended(struct mailstore_watch *watch)
{
    struct watcher *watcher = container_of(watch, struct watcher, watch);

    watcher->watch.store = NULL;
    rig_on_done(&watch->call);
}

static void on_watch(struct call *call)
{
    struct watcher *watcher = container_of(call, struct watcher, call);

    watcher->watch.changed = on_changed;
    mailstore_watch_start(store, &watcher->watch, loop_rig.loop, watcher->box);
    look(watcher);
}

static void on_unwatch(struct call *call)
{
    struct watcher *watcher = container_of(call, struct watcher, call);

    mailstore_watch_stop(&watcher->watch, on_ended);
}

static void start_watching(struct watcher *watcher, uint32_t box)
{
    *watcher = (struct watcher){.call.done = on_watch, .box = box};
    sem_init(&watcher->seen, 0, 0);
    loop_post(loop_rig.loop, &watcher->call);
    sem_wait(&watcher->seen);
}

static void stop_watching(struct watcher *watcher)
{
    watcher->call.done = on_unwatch;
    loop_post(loop_rig.loop, &watcher->call);
    rig_wait(1);
    assert_null(watcher->watch.store);
}

static uint64_t wait_for_change(struct watcher *watcher)
{
    while (sem_wait(&watcher->seen) != 0)
        continue;
    return atomic_load(&watcher->modseq);
}

static void test_each_change_is_told(void **state)
{
    (void)state;
    struct watcher watcher, other;

    rig_put(store, "INBOX", "x");
    rig_create(store, RIG_USER, "Other");
    uint32_t box = rig_box(store, RIG_USER, "INBOX").id;
    start_watching(&watcher, box);
    start_watching(&other, rig_box(store, RIG_USER, "Other").id);
    rig_put(store, "INBOX", "y");
    assert_int_equal(wait_for_change(&watcher), 3);
    rig_flag(store, box, ALL, MAILSTORE_ADD, MAILSTORE_SEEN);
    assert_int_equal(wait_for_change(&watcher), 4);
    rig_flag(store, box, ALL, MAILSTORE_ADD, MAILSTORE_SEEN); /* changes nothing */
    rig_expunge(store, box, (struct mailstore_range){1, 1}, true);
    assert_int_equal(wait_for_change(&watcher), 5);
    assert_int_equal(other.told, 0);
    struct mailstore_copy copy = rig_copy(store, box, ALL, RIG_USER, "Other", true);
    free(copy.from_uids);
    free(copy.to_uids);
    assert_int_equal(wait_for_change(&watcher), 6);
    assert_int_equal(wait_for_change(&other), 2);
    rig_rename(store, RIG_USER, "INBOX", "Empty"); /* there was nothing to move */
    rig_delete(store, RIG_USER, "Other");
    assert_int_equal(wait_for_change(&other), 0);
    struct mailstore_remove_user it = {.op = {.kind = MAILSTORE_REMOVE_USER},
                                       .user = SPAN(RIG_USER)};
    mailstore_run(store, &it.op);
    free(it.boxes);
    while (wait_for_change(&watcher) != 0)
        continue;
    stop_watching(&watcher);
    stop_watching(&other);
}

/* Ended while a call is under way, and from within it. */
static void test_stop_under_fire(void **state)
{
    (void)state;
    struct watcher watcher;

    rig_put(store, "INBOX", "x");
    uint32_t box = rig_box(store, RIG_USER, "INBOX").id;
    for (unsigned i = 0; i < 50; i++) {
        start_watching(&watcher, box);
        rig_flag(store, box, ALL, MAILSTORE_SET, i & 1 ? MAILSTORE_SEEN : MAILSTORE_FLAGGED);
        stop_watching(&watcher);
        unsigned told = watcher.told;
        rig_flag(store, box, ALL, MAILSTORE_SET, MAILSTORE_ANSWERED);
        assert_int_equal(told, watcher.told);
    }
}

/* ---- many at once ------------------------------------------------------------------------- */

enum { THREADS = 4, CHANGES = 200 };

struct worker {
    pthread_t thread;
    uint32_t box;
    unsigned number;
    uint32_t appended[CHANGES];
};

static void *work(void *arg)
{
    struct worker *worker = arg;

    for (unsigned i = 0; i < CHANGES; i++) {
        worker->appended[i] = rig_put(store, "INBOX", "body");
        rig_flag(store, worker->box, (struct mailstore_range){worker->appended[i], UINT32_MAX},
                 MAILSTORE_ADD, MAILSTORE_SEEN << worker->number);
        if (i % 2 == 0)
            rig_expunge(store, worker->box,
                        (struct mailstore_range){worker->appended[i], worker->appended[i]}, true);
    }
    return NULL;
}

static void test_threads(void **state)
{
    (void)state;
    static struct worker workers[THREADS];
    static unsigned char given[THREADS * CHANGES + 2];
    struct watcher watcher;

    rig_put(store, "INBOX", "first");
    uint32_t box = rig_box(store, RIG_USER, "INBOX").id;
    start_watching(&watcher, box);
    for (unsigned i = 0; i < THREADS; i++) {
        workers[i] = (struct worker){.box = box, .number = i};
        assert_int_equal(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
    }
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(workers[i].thread, NULL);
    for (unsigned i = 0; i < THREADS; i++)
        for (unsigned j = 0; j < CHANGES; j++)
            assert_int_equal(given[workers[i].appended[j]]++, 0);
    struct mailstore_box last = rig_box(store, RIG_USER, "INBOX");
    assert_int_equal(last.exists, 1 + THREADS * CHANGES / 2);
    assert_int_equal(last.uid_next, 2 + THREADS * CHANGES);
    while (wait_for_change(&watcher) != last.highest_modseq)
        continue;
    stop_watching(&watcher);
    assert_int_equal(rig_check(store), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_each_change_is_told),
        TEST(test_stop_under_fire),
        TEST(test_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
