/* plugins/host: what a reload keeps, and that a plugin is stopped once, when nothing of it goes on.
 */
#include "support/plugin_rig.h"

#include "base/log.h"
#include "support/scratch.h"

#include <pthread.h>

static int hold(struct plugin_desk *desk, const struct smarthop_event *event,
                struct smarthop_verdict *verdict)
{
    (void)desk, (void)event;
    verdict->action = SMARTHOP_HOLD;
    return SMARTHOP_DONE;
}

static void complete(struct plugin_desk *desk, enum smarthop_action action)
{
    struct smarthop_verdict verdict = {.size = sizeof verdict, .action = action};

    desk->host->complete(desk->self, desk->token, &verdict);
}

/* ---- reload ------------------------------------------------------------------------------- */

static void test_a_reload_keeps_what_is_as_it_was(void **state)
{
    struct plugin_rig rig;
    struct plugin_desk same = {.reload = 1}, other = {0};
    char text[2 * SECTION_ROOM];

    (void)state;
    plugin_rig_start(&rig);
    snprintf(text, sizeof text, "%s%s", SECTION(&same, "a", ""), SECTION(&other, "b", ""));
    assert_true(plugin_rig_load(&rig, text));
    ask_once(&rig, SMARTHOP_ON_ROUTE);
    snprintf(text, sizeof text, "%s%s", SECTION(&other, "b", "number = 9"),
             SECTION(&same, "a", ""));
    assert_true(plugin_rig_load(&rig, text));
    TURN_UNTIL(rig.loop, other.stops == 1);
    assert_int_equal(same.starts, 1);
    assert_int_equal(same.reloads, 1);
    assert_int_equal(same.stops, 0);
    assert_int_equal(other.starts, 2);
    assert_int_equal(other.reloads, 0);
    assert_string_equal(VIEW(&rig, 0)->name, "b"); /* the order is the new one */
    assert_int_equal(VIEW(&rig, 0)->asked, 0);
    assert_int_equal(VIEW(&rig, 1)->asked, 1);
    plugin_rig_stop(&rig);
    assert_int_equal(same.stops, 1);
    assert_int_equal(other.stops, 2);
}

static void test_a_reload_that_fails_changes_nothing(void **state)
{
    struct plugin_rig rig;
    struct plugin_desk first = {.ask = hold}, second = {0};
    char text[2 * SECTION_ROOM];

    (void)state;
    plugin_rig_start_one(&rig, &first, "");
    snprintf(text, sizeof text, "%s%s%s", SECTION(&first, "a", ""), SECTION(&second, "b", ""),
             SECTION_OF(&second, "c", "wrong_magic", ""));
    assert_false(plugin_rig_load(&rig, text));
    TURN_UNTIL(rig.loop, second.stops == 1);
    assert_int_equal(ask_once(&rig, SMARTHOP_ON_ROUTE), SMARTHOP_HOLD);
    assert_int_equal(first.starts, 1);
    assert_int_equal(first.reloads + first.stops, 0);
    plugin_rig_stop(&rig);
    assert_int_equal(first.stops, 1);
    assert_int_equal(second.stops, 1);
}

static void copy_file(const char *from, const char *to)
{
    char piece[65536];
    size_t len;
    FILE *in = fopen(from, "rb"), *out = fopen(to, "wb");

    assert_non_null(in);
    assert_non_null(out);
    while ((len = fread(piece, 1, sizeof piece, in)) > 0)
        assert_int_equal(fwrite(piece, 1, len, out), len);
    fclose(in);
    fclose(out);
}

/* While the old one still owes an answer; it gives it, and is stopped behind that. The new file
 * has the old one's place, even its inode. */
static void test_a_new_library_serves_beside_the_old_one(void **state)
{
    struct plugin_rig rig;
    struct plugin_desk desk = {.ask = desk_promise};
    struct asking old, new;
    char folder[SCRATCH_PATH], file[SCRATCH_PATH + 8], text[2 * SCRATCH_PATH];

    (void)state;
    scratch_make(folder);
    snprintf(file, sizeof file, "%s/x.so", folder);
    snprintf(text, sizeof text, "plugin \"x\" { file = \"%s\" desk = \"%p\" }\n", file,
             (void *)&desk);
    copy_file(PLUGIN_FOLDER "/probe.so", file);
    plugin_rig_start(&rig);
    assert_true(plugin_rig_load(&rig, text));
    const struct plugin_chain *first = rig.chain;
    asking_start(&rig, &old, SMARTHOP_ON_ROUTE);
    uint64_t token = desk.token;
    struct smarthop_self *self = desk.self;
    copy_file(PLUGIN_FOLDER "/newer.so", file);
    assert_true(plugin_rig_load(&rig, text));
    assert_true(rig.chain != first);
    assert_string_equal(VIEW(&rig, 0)->version, "2.0");
    assert_int_equal(desk.starts, 2);
    desk.ask = hold;
    asking_start(&rig, &new, SMARTHOP_ON_ROUTE);
    TURN_UNTIL(rig.loop, new.completions > 0);
    assert_int_equal(new.run.verdict.action, SMARTHOP_HOLD);
    assert_int_equal(old.completions, 0);
    assert_int_equal(desk.stops, 0);
    struct smarthop_verdict verdict = {.size = sizeof verdict, .action = SMARTHOP_DISCARD};
    desk.host->complete(self, token, &verdict);
    TURN_UNTIL(rig.loop, old.completions > 0 && desk.stops == 1);
    assert_int_equal(old.run.verdict.action, SMARTHOP_DISCARD);
    assert_string_equal(old.run.by, "x");
    asking_end(&old);
    asking_end(&new);
    plugin_rig_stop(&rig);
    assert_int_equal(desk.stops, 2);
    scratch_remove(folder);
}

static bool is_mapped(const char *name)
{
    char line[512];
    bool found = false;
    FILE *maps = fopen("/proc/self/maps", "r");

    assert_non_null(maps);
    while (fgets(line, sizeof line, maps) != NULL)
        found |= strstr(line, name) != NULL;
    fclose(maps);
    return found;
}

static void test_what_is_not_used_any_more_is_unloaded(void **state)
{
    struct plugin_rig rig;
    struct plugin_desk desk = {0};

    (void)state;
    plugin_rig_start(&rig);
    assert_true(plugin_rig_load(&rig, SECTION(&desk, "gone-afterwards", "")));
    assert_true(is_mapped("memfd:gone-afterwards"));
    assert_true(plugin_rig_load(&rig, ""));
    TURN_UNTIL(rig.loop, desk.stops == 1);
    TURN_UNTIL(rig.loop, !is_mapped("memfd:gone-afterwards"));
    plugin_rig_stop(&rig);
    assert_int_equal(desk.stops, 1);
}

/* ---- timers ------------------------------------------------------------------------------- */

static void count_user(void *context)
{
    struct plugin_desk *desk = context;

    assert_int_equal(desk->stops, 0);
    ++*(unsigned *)desk->user;
}

static int start_timer(struct plugin_desk *desk)
{
    assert_true(desk->host->timer_start(desk->self, 0, 0, count_user, desk) != 0);
    return 0;
}

static void test_a_timer_of_start_fires_once(void **state)
{
    unsigned fired = 0;
    struct plugin_rig rig;
    struct plugin_desk desk = {.start = start_timer, .user = &fired};

    (void)state;
    plugin_rig_start_one(&rig, &desk, "");
    assert_int_equal(fired, 0);
    TURN_UNTIL(rig.loop, fired > 0);
    turn_for(rig.loop, 5);
    assert_int_equal(fired, 1);
    plugin_rig_stop(&rig);
}

static void test_a_stopped_timer_does_not_fire(void **state)
{
    unsigned fired = 0;
    struct plugin_rig rig;
    struct plugin_desk desk = {.user = &fired};

    (void)state;
    plugin_rig_start_one(&rig, &desk, "");
    uint64_t early = desk.host->timer_start(desk.self, 0, 1, count_user, &desk);
    desk.host->timer_stop(desk.self, early);
    ask_once(&rig, SMARTHOP_ON_ROUTE); /* now it is known which thread this is */
    uint64_t late = desk.host->timer_start(desk.self, 0, 0, count_user, &desk);
    assert_true(late != 0 && late != early);
    desk.host->timer_stop(desk.self, late);
    desk.host->timer_stop(desk.self, late);
    desk.host->timer_stop(desk.self, 0);
    desk.host->timer_stop(desk.self, UINT64_MAX);
    turn_for(rig.loop, 10);
    assert_int_equal(fired, 0);
    plugin_rig_stop(&rig);
}

static void test_a_plugin_cannot_stop_another_ones_timer(void **state)
{
    unsigned fired = 0;
    struct plugin_rig rig;
    struct plugin_desk desk = {.user = &fired}, other = {0};
    char text[2 * SECTION_ROOM];

    (void)state;
    plugin_rig_start(&rig);
    snprintf(text, sizeof text, "%s%s", SECTION(&desk, "a", ""), SECTION(&other, "b", ""));
    assert_true(plugin_rig_load(&rig, text));
    uint64_t id = desk.host->timer_start(desk.self, 0, 1, count_user, &desk);
    other.host->timer_stop(other.self, id);
    TURN_UNTIL(rig.loop, fired == 1);
    plugin_rig_stop(&rig);
}

static int promise_with_timer(struct plugin_desk *desk, const struct smarthop_event *event,
                              struct smarthop_verdict *verdict)
{
    (void)verdict;
    assert_true(desk->host->timer_start(desk->self, event->token, 1, count_user, desk) != 0);
    return SMARTHOP_PENDING;
}

static void test_a_timer_goes_with_its_event(void **state)
{
    unsigned fired = 0;
    struct plugin_rig rig;
    struct plugin_desk desk = {.ask = promise_with_timer, .user = &fired};
    struct asking a;

    (void)state;
    plugin_rig_start_one(&rig, &desk, "");
    asking_start(&rig, &a, SMARTHOP_ON_ROUTE);
    TURN_UNTIL(rig.loop, fired == 1); /* while it is pending */
    complete(&desk, SMARTHOP_HOLD);
    TURN_UNTIL(rig.loop, a.completions > 0);
    asking_end(&a);
    assert_int_equal(desk.host->timer_start(desk.self, desk.token, 1, count_user, &desk), 0);
    asking_start(&rig, &a, SMARTHOP_ON_ROUTE);
    plugin_cancel(&a.run);
    TURN_UNTIL(rig.loop, a.completions > 0);
    turn_for(rig.loop, 5);
    asking_end(&a);
    assert_int_equal(fired, 1);
    plugin_rig_stop(&rig);
}

static void test_a_timer_does_not_outlive_its_plugin(void **state)
{
    unsigned fired = 0;
    struct plugin_rig rig;
    struct plugin_desk desk = {.user = &fired};

    (void)state;
    plugin_rig_start_one(&rig, &desk, "");
    for (unsigned delay = 0; delay < 8; delay++)
        desk.host->timer_start(desk.self, 0, delay, count_user, &desk);
    assert_true(plugin_rig_load(&rig, ""));
    TURN_UNTIL(rig.loop, desk.stops == 1);
    unsigned before = fired;
    turn_for(rig.loop, 15);
    assert_int_equal(fired, before);
    plugin_rig_stop(&rig);
}

static void again(void *context)
{
    struct plugin_desk *desk = context;

    assert_int_equal(desk->stops, 0);
    ++*(unsigned *)desk->user;
    desk->host->timer_start(desk->self, 0, 0, again, desk);
}

static void test_what_goes_on_for_ever_does_not_keep_it_from_being_stopped(void **state)
{
    unsigned fired = 0;
    struct plugin_rig rig;
    struct plugin_desk desk = {.user = &fired};

    (void)state;
    plugin_rig_start_one(&rig, &desk, "");
    desk.host->timer_start(desk.self, 0, 0, again, &desk);
    TURN_UNTIL(rig.loop, fired > 2);
    assert_true(plugin_rig_load(&rig, ""));
    TURN_UNTIL(rig.loop, desk.stops == 1);
    plugin_rig_stop(&rig);
}

/* ---- the end ------------------------------------------------------------------------------ */

static void start_in_vain(struct plugin_desk *desk)
{
    assert_int_equal(desk->host->timer_start(desk->self, 0, 0, count_user, desk), 0);
    complete(desk, SMARTHOP_HOLD);
}

/* Nothing turns the loop any more: what was posted is let go of, and nothing leaks. */
static void test_stopping_after_the_loops_have_ended(void **state)
{
    unsigned fired = 0;
    struct plugin_rig rig;
    struct plugin_desk desk = {.start = start_timer, .ask = desk_promise, .stop = start_in_vain};
    struct asking a;

    (void)state;
    desk.user = &fired;
    plugin_rig_start_one(&rig, &desk, "");
    asking_start(&rig, &a, SMARTHOP_ON_ROUTE);
    complete(&desk, SMARTHOP_HOLD);
    desk.host->timer_start(desk.self, 0, 0, count_user, &desk);
    plugin_rig_stop(&rig);
    assert_int_equal(desk.stops, 1);
    assert_int_equal(fired, 0);
    assert_int_equal(a.completions, 0);
    arena_fini(&a.arena);
}

static void test_a_stop_under_way_when_the_loops_end_is_finished(void **state)
{
    struct plugin_rig rig;
    struct plugin_desk desk = {0};

    (void)state;
    plugin_rig_start_one(&rig, &desk, "");
    assert_true(plugin_rig_load(&rig, ""));
    assert_int_equal(desk.stops, 0);
    plugin_rig_stop(&rig);
    assert_int_equal(desk.stops, 1);
}

/* A plugin's own thread, which goes on until it is stopped. */
struct busy {
    pthread_t thread;
    atomic_bool ends;
};

/* It may come before the stop does. */
static void do_nothing(void *context)
{
    (void)context;
}

static void *keep_busy(void *context)
{
    struct plugin_desk *desk = context;
    struct busy *busy = desk->user;

    while (!atomic_load(&busy->ends)) {
        uint64_t id = desk->host->timer_start(desk->self, desk->token, 1, do_nothing, NULL);
        desk->host->timer_stop(desk->self, id);
        complete(desk, SMARTHOP_PASS);
        desk->host->log(desk->self, desk->token, SMARTHOP_DEBUG, "busy", "is busy");
        assert_null(desk->host->alloc(desk->self, desk->token, 8));
    }
    return NULL;
}

static int start_thread(struct plugin_desk *desk)
{
    struct busy *busy = desk->user;

    atomic_store(&desk->token, UINT64_C(1) << 56 | 1);
    return pthread_create(&busy->thread, NULL, keep_busy, desk);
}

static void stop_thread(struct plugin_desk *desk)
{
    struct busy *busy = desk->user;

    atomic_store(&busy->ends, true);
    pthread_join(busy->thread, NULL);
}

static void test_a_thread_of_its_own_may_call_until_stop_returns(void **state)
{
    enum { TIMES = 20 };
    struct plugin_rig rig;
    struct busy busy;
    struct plugin_desk desk = {
        .start = start_thread, .stop = stop_thread, .ask = desk_promise, .user = &busy};

    (void)state;
    log_set_level(LOG_ERROR);
    plugin_rig_start(&rig);
    for (unsigned i = 0; i < TIMES; i++) {
        atomic_init(&busy.ends, false);
        assert_true(plugin_rig_load(&rig, SECTION(&desk, "a", "")));
        ask_once(&rig, SMARTHOP_ON_ROUTE);
        assert_true(plugin_rig_load(&rig, ""));
        TURN_UNTIL(rig.loop, desk.stops == i + 1);
    }
    atomic_init(&busy.ends, false);
    assert_true(plugin_rig_load(&rig, SECTION(&desk, "a", "")));
    plugin_rig_stop(&rig);
    assert_int_equal(desk.stops, TIMES + 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_reload_keeps_what_is_as_it_was),
        cmocka_unit_test(test_a_reload_that_fails_changes_nothing),
        cmocka_unit_test(test_a_new_library_serves_beside_the_old_one),
        cmocka_unit_test(test_what_is_not_used_any_more_is_unloaded),
        cmocka_unit_test(test_a_timer_of_start_fires_once),
        cmocka_unit_test(test_a_stopped_timer_does_not_fire),
        cmocka_unit_test(test_a_plugin_cannot_stop_another_ones_timer),
        cmocka_unit_test(test_a_timer_goes_with_its_event),
        cmocka_unit_test(test_a_timer_does_not_outlive_its_plugin),
        cmocka_unit_test(test_what_goes_on_for_ever_does_not_keep_it_from_being_stopped),
        cmocka_unit_test(test_stopping_after_the_loops_have_ended),
        cmocka_unit_test(test_a_stop_under_way_when_the_loops_end_is_finished),
        cmocka_unit_test(test_a_thread_of_its_own_may_call_until_stop_returns),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
