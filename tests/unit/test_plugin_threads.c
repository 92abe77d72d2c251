/* plugins/host: several workers, each on its thread, that ask the same plugins while those are
 * loaded anew. */
#include "support/plugin_rig.h"

#include <pthread.h>

enum { WORKERS = 2, EACH = 200, RELOADS = 20 };

struct own_loop {
    struct loop *loop;
    struct plugin_worker *worker;
    pthread_t thread;
    struct call begin;
    struct asking asking;
    unsigned left;           /* askings; 0 = until `ends` */
    const atomic_bool *ends; /* NULL = never */
};

static void ask_next(struct own_loop *w);

static void on_own_done(struct call *call)
{
    struct own_loop *w = container_of(call, struct own_loop, asking.run.call);

    arena_fini(&w->asking.arena);
    if (w->ends != NULL ? atomic_load(w->ends) : --w->left == 0)
        loop_stop(w->loop);
    else
        ask_next(w);
}

static void ask_next(struct own_loop *w)
{
    w->asking = (struct asking){.run = {.call.done = on_own_done, .hook = SMARTHOP_ON_ROUTE}};
    list_init(&w->asking.run.call.link);
    arena_init(&w->asking.arena);
    w->asking.run.arena = &w->asking.arena;
    plugin_ask(w->worker, &w->asking.run);
}

static void on_own_begin(struct call *call)
{
    ask_next(container_of(call, struct own_loop, begin));
}

static void *run_own_loop(void *context)
{
    loop_run(((struct own_loop *)context)->loop);
    return NULL;
}

struct crowd {
    struct plugin_rig rig; /* its loop is the main one; its worker the first */
    struct own_loop own[WORKERS];
    atomic_bool ends;
};

/* With the plugins of `text`; is_endless: until crowd_stop. */
static void crowd_start(struct crowd *c, const char *text, bool is_endless)
{
    *c = (struct crowd){.rig = {.loop = turn_loop_create()}};
    c->rig.home = plugin_home_create(c->rig.loop, WORKERS);
    buf_init(&c->rig.messages, 0);
    for (unsigned i = 0; i < WORKERS; i++) {
        struct own_loop *w = &c->own[i];
        w->loop = turn_loop_create();
        w->worker = plugin_worker_create(c->rig.home, i, w->loop, NULL);
        w->left = EACH;
        w->ends = is_endless ? &c->ends : NULL;
    }
    c->rig.worker = c->own[0].worker;
    assert_true(plugin_rig_load(&c->rig, text));
    plugin_worker_configure(c->own[1].worker, c->rig.chain);
    for (unsigned i = 0; i < WORKERS; i++) {
        struct own_loop *w = &c->own[i];
        list_init(&w->begin.link);
        w->begin.done = on_own_begin;
        loop_post(w->loop, &w->begin);
        assert_int_equal(pthread_create(&w->thread, NULL, run_own_loop, w), 0);
    }
}

static void crowd_stop(struct crowd *c)
{
    atomic_store(&c->ends, true);
    for (unsigned i = 0; i < WORKERS; i++)
        pthread_join(c->own[i].thread, NULL);
    plugin_home_stop(c->rig.home);
    plugin_chain_unref(c->rig.chain);
    for (unsigned i = 0; i < WORKERS; i++) {
        plugin_worker_free(c->own[i].worker);
        loop_free(c->own[i].loop);
    }
    loop_free(c->rig.loop);
    plugin_home_free(c->rig.home);
    buf_fini(&c->rig.messages);
}

/* How many calls of the plugin there were at the same time at most. */
static unsigned ask_on_threads(const char *file, struct plugin_desk *desk)
{
    struct crowd c;

    crowd_start(&c, SECTION_OF(desk, "a", file, ""), false);
    crowd_stop(&c);
    assert_int_equal(desk->asked, WORKERS * EACH);
    return desk->inside_most;
}

/* Not atomic on purpose: the host's lock is what protects it. */
static int count_unprotected(struct plugin_desk *desk, const struct smarthop_event *event,
                             struct smarthop_verdict *verdict)
{
    unsigned *count = desk->user;

    (void)event, (void)verdict;
    (*count)++;
    return SMARTHOP_DONE;
}

static void test_a_serial_plugin_is_called_one_thread_at_a_time(void **state)
{
    unsigned count = 0;
    struct plugin_desk desk = {.ask = count_unprotected, .user = &count};

    (void)state;
    assert_int_equal(ask_on_threads("serial", &desk), 1);
    assert_int_equal(count, WORKERS * EACH);
}

/* Each call waits until the other worker's is there too. */
static int meet(struct plugin_desk *desk, const struct smarthop_event *event,
                struct smarthop_verdict *verdict)
{
    (void)event, (void)verdict;
    while (atomic_load(&desk->inside_most) < WORKERS)
        ;
    return SMARTHOP_DONE;
}

static void test_others_are_called_on_all_threads(void **state)
{
    struct plugin_desk desk = {.ask = meet};

    (void)state;
    assert_int_equal(ask_on_threads("probe", &desk), WORKERS);
}

/* ---- reload ------------------------------------------------------------------------------- */

struct promised {
    struct plugin_desk *desk;
    uint64_t token;
};

static void do_nothing(void *context)
{
    (void)context;
}

static void keep_promise(void *context)
{
    struct promised *promised = context;
    struct smarthop_verdict verdict = {.size = sizeof verdict, .action = SMARTHOP_PASS};

    assert_int_equal(promised->desk->stops, 0);
    promised->desk->host->complete(promised->desk->self, promised->token, &verdict);
    free(promised);
}

/* Answers from the pool, by way of all that can be pending. */
static int work_on_it(struct plugin_desk *desk, const struct smarthop_event *event,
                      struct smarthop_verdict *verdict)
{
    struct promised *promised = malloc(sizeof *promised);

    (void)verdict;
    assert_int_equal(desk->stops, 0);
    *promised = (struct promised){desk, event->token};
    desk->host->timer_start(desk->self, event->token, 1, do_nothing, NULL);
    desk->host->timer_start(desk->self, 0, 1, do_nothing, NULL);
    desk->host->work(desk->self, event->token, do_nothing, keep_promise, promised);
    return SMARTHOP_PENDING;
}

struct change {
    struct call call;
    struct plugin_worker *worker;
    struct plugin_chain *chain;
};

static void on_change(struct call *call)
{
    struct change *change = container_of(call, struct change, call);

    plugin_worker_configure(change->worker, change->chain);
    plugin_chain_unref(change->chain);
    free(change);
}

/* As the daemon does it. */
static void reload(struct crowd *c, const char *text)
{
    struct conf *conf = conf_from_text(text);
    struct plugin_chain *chain;

    assert_false(
        err_is(plugin_chain_load(c->rig.home, conf, c->rig.chain, &c->rig.messages, &chain)));
    conf_unref(conf);
    for (unsigned i = 0; i < WORKERS; i++) {
        struct change *change = mem_zalloc(sizeof *change);
        list_init(&change->call.link);
        change->call.done = on_change;
        change->worker = c->own[i].worker;
        change->chain = plugin_chain_ref(chain);
        loop_post(c->own[i].loop, &change->call);
    }
    plugin_chain_unref(c->rig.chain);
    c->rig.chain = chain;
}

/* Each of a desk of its own, so that a call after its stop would be seen. */
static void test_plugins_change_while_they_are_asked(void **state)
{
    static struct plugin_desk desks[RELOADS + 1];
    struct crowd c;

    (void)state;
    for (unsigned i = 0; i <= RELOADS; i++)
        desks[i].ask = work_on_it;
    crowd_start(&c, SECTION(&desks[0], "a", ""), true);
    for (unsigned i = 0; i < RELOADS; i++) {
        TURN_UNTIL(c.rig.loop, desks[i].asked > 2 * WORKERS);
        reload(&c, SECTION(&desks[i + 1], "a", ""));
        TURN_UNTIL(c.rig.loop, desks[i].stops == 1);
    }
    crowd_stop(&c);
    for (unsigned i = 0; i <= RELOADS; i++) {
        assert_int_equal(desks[i].starts, 1);
        assert_int_equal(desks[i].stops, 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_serial_plugin_is_called_one_thread_at_a_time),
        cmocka_unit_test(test_others_are_called_on_all_threads),
        cmocka_unit_test(test_plugins_change_while_they_are_asked),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
