/* plugins/example, loaded and asked as the daemon does it. */
#include "plugins/host/host.h"

#include "support/conf_text.h"
#include "support/loop_turn.h"

struct rig {
    struct loop *loop;
    struct plugin_home *home;
    struct plugin_worker *worker;
    struct conf *conf;
    struct plugin_chain *chain;
    struct buf messages;
};

static void rig_start(struct rig *rig, const char *options)
{
    char text[1024];

    snprintf(text, sizeof text, "plugin example { file = \"%s\"\n%s }\n", PLUGIN_FILE, options);
    rig->loop = turn_loop_create();
    rig->home = plugin_home_create(rig->loop, 1);
    rig->worker = plugin_worker_create(rig->home, 0, rig->loop, NULL);
    rig->conf = conf_from_text(text);
    buf_init(&rig->messages, 0);
    if (!err_is(plugin_chain_load(rig->home, rig->conf, NULL, &rig->messages, &rig->chain)))
        plugin_worker_configure(rig->worker, rig->chain);
}

static void rig_stop(struct rig *rig)
{
    plugin_home_stop(rig->home);
    plugin_worker_free(rig->worker);
    plugin_home_free(rig->home);
    conf_unref(rig->conf);
    buf_fini(&rig->messages);
    loop_free(rig->loop);
}

struct asking {
    struct plugin_run run;
    struct arena arena;
    bool is_done;
};

static void on_answer(struct call *call)
{
    container_of(call, struct asking, run.call)->is_done = true;
}

static void ask(struct rig *rig, const char *domain, struct asking *asking)
{
    struct smarthop_recipient recipient = {.size = sizeof recipient};

    recipient.domain = smarthop_span_of(domain, strlen(domain));
    *asking = (struct asking){.run.hook = SMARTHOP_ON_ROUTE};
    arena_init(&asking->arena);
    asking->run.arena = &asking->arena;
    asking->run.event.recipient = &recipient;
    asking->run.call.done = on_answer;
    list_init(&asking->run.call.link);
    plugin_ask(rig->worker, &asking->run);
    TURN_UNTIL(rig->loop, asking->is_done);
}

static void test_its_domains_go_to_its_next_hop(void **state)
{
    struct rig rig;
    struct asking asking;

    (void)state;
    rig_start(&rig, "domains = { \"a.test\", \"B.test\" }\nnext_hop = \"hub.test\"\nport = 2525\n");
    ask(&rig, "b.test", &asking);
    assert_int_equal(asking.run.verdict.action, SMARTHOP_SEND);
    assert_string_equal(asking.run.by, "example");
    assert_int_equal(asking.run.verdict.next_hop_count, 1);
    const struct smarthop_next_hop *hop = asking.run.verdict.next_hops;
    assert_true(smarthop_equal(hop->host, SMARTHOP_TEXT("hub.test")));
    assert_int_equal(hop->port, 2525);
    arena_fini(&asking.arena);
    rig_stop(&rig);
}

static void test_of_others_it_has_no_opinion(void **state)
{
    static const char *const domains[] = {"c.test", "x.a.test", "a.tes", ""};
    struct rig rig;
    struct asking asking;

    (void)state;
    rig_start(&rig, "domains = { \"a.test\" }\nnext_hop = \"hub.test\"\n");
    for (unsigned i = 0; i < sizeof domains / sizeof domains[0]; i++) {
        ask(&rig, domains[i], &asking);
        assert_int_equal(asking.run.verdict.action, SMARTHOP_PASS);
        assert_null(asking.run.by);
        arena_fini(&asking.arena);
    }
    rig_stop(&rig);
}

static void test_a_next_hop_is_needed(void **state)
{
    struct rig rig;

    (void)state;
    rig_start(&rig, "domains = { \"a.test\" }\n");
    assert_null(rig.chain);
    buf_add(&rig.messages, span_of("", 1));
    assert_non_null(strstr(buf_span(&rig.messages).ptr, "\"example\": next_hop: is needed\n"));
    rig_stop(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_its_domains_go_to_its_next_hop),
        cmocka_unit_test(test_of_others_it_has_no_opinion),
        cmocka_unit_test(test_a_next_hop_is_needed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
