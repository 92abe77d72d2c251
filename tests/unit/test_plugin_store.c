/* plugins/host: what a plugin keeps: its store, and its metrics. */
#include "support/plugin_rig.h"

#include "support/scratch.h"

#include <errno.h>
#include <pthread.h>

/* ---- stores ------------------------------------------------------------------------------- */

struct kept {
    unsigned times;
    int error;
};

static void on_kept(void *context, int error)
{
    struct kept *kept = context;

    kept->times++;
    kept->error = error;
}

static struct smarthop_span text_of(const char *text)
{
    return smarthop_span_of(text, strlen(text));
}

static void put(struct plugin_rig *rig, struct plugin_desk *desk, const char *key,
                struct smarthop_span value, int error)
{
    struct kept kept = {0};

    desk->host->kv_put(desk->self, 0, text_of(key), value, on_kept, &kept);
    assert_int_equal(kept.times, 0);
    TURN_UNTIL(rig->loop, kept.times == 1);
    assert_int_equal(kept.error, error);
}

static const char *get(struct plugin_desk *desk, const char *key, char room[64])
{
    int64_t len = desk->host->kv_get(desk->self, text_of(key), room, 63);

    if (len < 0)
        return NULL;
    room[len < 63 ? len : 63] = '\0';
    return room;
}

#define GET(desk, key) get((desk), (key), (char[64]){0})

static const char *store_section(char room[SECTION_ROOM], const char *folder,
                                 const struct plugin_desk *desk, const char *rest)
{
    snprintf(room, SECTION_ROOM,
             "plugin_store_path = \"%s/stores\"\n"
             "plugin \"a\" { file = \"" PLUGIN_FOLDER "/keeper.so\" desk = \"%p\" %s }\n",
             folder, (const void *)desk, rest);
    return room;
}

#define STORE(folder, desk, rest) store_section((char[SECTION_ROOM]){0}, folder, desk, rest)

static void put_last(struct plugin_desk *desk)
{
    desk->host->kv_put(desk->self, 0, text_of("last"), text_of("words"), NULL, NULL);
}

static void test_a_store_keeps_what_it_is_given(void **state)
{
    struct plugin_rig rig;
    struct plugin_desk desk = {.stop = put_last};
    char folder[SCRATCH_PATH], eight[8];

    (void)state;
    scratch_make(folder);
    plugin_rig_start(&rig);
    assert_true(plugin_rig_load(&rig, STORE(folder, &desk, "")));
    assert_null(GET(&desk, "one"));
    put(&rig, &desk, "one", text_of("first"), 0);
    put(&rig, &desk, "two", text_of("second value"), 0);
    assert_string_equal(GET(&desk, "one"), "first");
    assert_int_equal(desk.host->kv_get(desk.self, text_of("two"), eight, sizeof eight), 12);
    assert_memory_equal(eight, "second v", 8);
    assert_int_equal(desk.host->kv_get(desk.self, text_of("two"), NULL, 0), 12);
    put(&rig, &desk, "one", text_of(""), 0);
    put(&rig, &desk, "one", text_of(""), 0);
    assert_null(GET(&desk, "one"));
    plugin_rig_stop(&rig);
    plugin_rig_start(&rig); /* another life */
    assert_true(plugin_rig_load(&rig, STORE(folder, &desk, "")));
    assert_string_equal(GET(&desk, "two"), "second value");
    assert_string_equal(GET(&desk, "last"), "words");
    plugin_rig_stop(&rig);
    scratch_remove(folder);
}

static void test_a_new_plugin_has_the_old_ones_store(void **state)
{
    struct plugin_rig rig;
    struct plugin_desk old = {.ask = desk_promise}, new = {0};
    struct asking a;
    char folder[SCRATCH_PATH];

    (void)state;
    scratch_make(folder);
    plugin_rig_start(&rig);
    assert_true(plugin_rig_load(&rig, STORE(folder, &old, "")));
    asking_start(&rig, &a, SMARTHOP_ON_ROUTE);
    assert_true(plugin_rig_load(&rig, STORE(folder, &new, "")));
    put(&rig, &old, "key", text_of("old"), 0);
    assert_string_equal(GET(&new, "key"), "old");
    asking_cancel(&rig, &a);
    TURN_UNTIL(rig.loop, old.stops == 1);
    put(&rig, &new, "key", text_of("new"), 0);
    assert_string_equal(GET(&new, "key"), "new");
    plugin_rig_stop(&rig);
    scratch_remove(folder);
}

static void test_a_store_has_its_bounds(void **state)
{
    enum { PIECE = 60000 };
    struct plugin_rig rig;
    struct plugin_desk desk = {0};
    char folder[SCRATCH_PATH], key[402], *large = calloc(1, 2 << 20);
    struct kept kept = {0};

    (void)state;
    scratch_make(folder);
    plugin_rig_start(&rig);
    assert_true(plugin_rig_load(&rig, STORE(folder, &desk, "store_max = 1MiB")));
    memset(key, 'k', 401);
    key[401] = '\0';
    put(&rig, &desk, key, text_of("x"), EINVAL);
    put(&rig, &desk, "", text_of("x"), EINVAL);
    put(&rig, &desk, key + 1, text_of("x"), 0);
    put(&rig, &desk, "large", smarthop_span_of(large, 2 << 20), ENOSPC);
    for (unsigned i = 0; i < 40 && kept.error == 0; i++) {
        snprintf(key, sizeof key, "piece %u", i);
        kept.times = 0;
        desk.host->kv_put(desk.self, 0, text_of(key), smarthop_span_of(large, PIECE), on_kept,
                          &kept);
        TURN_UNTIL(rig.loop, kept.times == 1);
    }
    assert_int_equal(kept.error, ENOSPC);
    put(&rig, &desk, "piece 0", text_of(""), 0);
    plugin_rig_stop(&rig);
    scratch_remove(folder);
    free(large);
}

static void test_who_does_not_ask_for_a_store_has_none(void **state)
{
    struct plugin_rig rig;
    struct plugin_desk desk = {0};

    (void)state;
    plugin_rig_start_one(&rig, &desk, "");
    put(&rig, &desk, "one", text_of("first"), EINVAL);
    assert_null(GET(&desk, "one"));
    plugin_rig_stop(&rig);
}

static void test_a_store_that_cannot_be_opened_is_told(void **state)
{
    struct plugin_rig rig;
    struct plugin_desk desk = {0};

    (void)state;
    plugin_rig_start(&rig);
    assert_false(plugin_rig_load(&rig, STORE("/proc/nowhere", &desk, "")));
    struct span told = buf_span(&rig.messages);
    assert_non_null(memmem(told.ptr, told.len, "the store of plugin \"a\" cannot be opened", 40));
    plugin_rig_stop(&rig);
    assert_int_equal(desk.starts, 0);
}

/* Written when the loop has ended, but the writer has not. */
static void test_the_end_waits_for_what_is_being_written(void **state)
{
    struct plugin_rig rig;
    struct plugin_desk desk = {0};
    struct kept kept = {0};
    char folder[SCRATCH_PATH];

    (void)state;
    scratch_make(folder);
    plugin_rig_start(&rig);
    assert_true(plugin_rig_load(&rig, STORE(folder, &desk, "")));
    desk.host->kv_put(desk.self, 0, text_of("one"), text_of("first"), on_kept, &kept);
    plugin_rig_stop(&rig);
    assert_int_equal(kept.times, 1);
    assert_int_equal(kept.error, 0);
    scratch_remove(folder);
}

/* ---- metrics ------------------------------------------------------------------------------ */

static uint32_t counter, histogram;

static int register_metrics(struct plugin_desk *desk)
{
    const struct smarthop_host *host = desk->host;
    char name[] = "sent_total";

    counter = host->metric(desk->self, SMARTHOP_COUNTER, name, "mail sent");
    memset(name, 'x', sizeof name - 1); /* it has been copied */
    histogram = host->metric(desk->self, SMARTHOP_HISTOGRAM, "bytes", "of each");
    assert_int_equal(counter, 1);
    assert_int_equal(histogram, 2);
    assert_int_equal(host->metric(desk->self, SMARTHOP_COUNTER, "sent_total", "again"), 1);
    assert_int_equal(host->metric(desk->self, SMARTHOP_COUNTER, "no good", "x"), 0);
    assert_int_equal(host->metric(desk->self, SMARTHOP_COUNTER, "", "x"), 0);
    return 0;
}

static void bring_up_to_date(struct plugin_desk *desk)
{
    desk->host->metric_add(desk->self, counter, 1000000);
}

static void *count_much(void *context)
{
    struct plugin_desk *desk = context;

    for (unsigned i = 0; i < 10000; i++)
        desk->host->metric_add(desk->self, counter, 2);
    return NULL;
}

static void keep_metric(void *context, const struct plugin_metric *metric)
{
    ((struct plugin_metric *)context)[metric->kind] = *metric;
}

static void test_metrics_add_up_over_threads(void **state)
{
    struct plugin_rig rig;
    struct plugin_desk desk = {.start = register_metrics, .metrics = bring_up_to_date};
    struct plugin_metric seen[2] = {0};
    pthread_t threads[2];

    (void)state;
    plugin_rig_start_one(&rig, &desk, "");
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, count_much, &desk), 0);
    for (uint64_t value = 0; value < 5; value++)
        desk.host->metric_add(desk.self, histogram, value);
    desk.host->metric_add(desk.self, histogram, UINT64_C(1) << 63);
    desk.host->metric_add(desk.self, 0, 1);
    desk.host->metric_add(desk.self, 3, 1);
    for (unsigned i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(desk.host->metric(desk.self, SMARTHOP_COUNTER, "late", "x"), 0);
    plugin_chain_metrics(rig.chain, keep_metric, seen);
    assert_string_equal(seen[0].plugin, "a");
    assert_string_equal(seen[0].name, "sent_total");
    assert_int_equal(seen[0].value, 1040000);
    assert_string_equal(seen[1].help, "of each");
    assert_int_equal(seen[1].count, 6);
    assert_int_equal(seen[1].steps[0], 1); /* 0 */
    assert_int_equal(seen[1].steps[1], 1); /* 1 */
    assert_int_equal(seen[1].steps[2], 2); /* 2, 3 */
    assert_int_equal(seen[1].steps[3], 1); /* 4 */
    assert_int_equal(seen[1].steps[64], 1);
    plugin_rig_stop(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_store_keeps_what_it_is_given),
        cmocka_unit_test(test_a_new_plugin_has_the_old_ones_store),
        cmocka_unit_test(test_a_store_has_its_bounds),
        cmocka_unit_test(test_who_does_not_ask_for_a_store_has_none),
        cmocka_unit_test(test_a_store_that_cannot_be_opened_is_told),
        cmocka_unit_test(test_the_end_waits_for_what_is_being_written),
        cmocka_unit_test(test_metrics_add_up_over_threads),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
