/* plugins/host and plugins/process: a plugin in a process of its own, good and bad. */
#include "support/plugin_rig.h"
#include "support/scratch.h"

/* What is asked about one recipient of example.net. */
struct question {
    struct asking asking;
    struct smarthop_recipient recipient;
    char address[64];
};

static void start_with(struct plugin_rig *rig, const struct plugin_backend *backend,
                       const char *rest)
{
    char section[SECTION_ROOM];

    plugin_rig_start_with(rig, backend);
    plugin_home_use(rig->home, HELPER);
    snprintf(section, sizeof section,
             "plugin \"outlaw\" { file = \"%s/outlaw.so\" process = yes next_hop = \"mx.test\" %s "
             "}\n",
             PLUGIN_FOLDER, rest);
    if (!plugin_rig_load(rig, section))
        fail_msg("%.*s", SPAN_ARG(buf_span(&rig->messages)));
}

static void start(struct plugin_rig *rig, const char *rest)
{
    start_with(rig, NULL, rest);
}

static void ask(struct plugin_rig *rig, struct question *q, const char *how)
{
    struct asking *a = &q->asking;

    snprintf(q->address, sizeof q->address, "%s@example.net", how);
    q->recipient = (struct smarthop_recipient){
        .size = sizeof q->recipient,
        .address = smarthop_span_of(q->address, strlen(q->address)),
        .local = smarthop_span_of(q->address, strlen(how)),
        .domain = SMARTHOP_TEXT("example.net"),
    };
    *a = (struct asking){.run = {.call.done = asking_on_done, .hook = SMARTHOP_ON_ROUTE}};
    a->run.event.recipient = &q->recipient;
    list_init(&a->run.call.link);
    arena_init(&a->arena);
    a->run.arena = &a->arena;
    plugin_ask(rig->worker, &a->run);
    assert_int_equal(a->completions, 0);
}

static enum smarthop_action answer_to(struct plugin_rig *rig, struct question *q)
{
    TURN_UNTIL(rig->loop, q->asking.completions > 0);
    enum smarthop_action action = q->asking.run.verdict.action;
    asking_end(&q->asking);
    return action;
}

static enum smarthop_action once(struct plugin_rig *rig, const char *how)
{
    struct question q;

    ask(rig, &q, how);
    return answer_to(rig, &q);
}

static void test_answers(void **state)
{
    struct plugin_rig rig;
    struct question q;
    struct plugin_view view;

    (void)state;
    start(&rig, "");
    ask(&rig, &q, "send");
    TURN_UNTIL(rig.loop, q.asking.completions > 0);
    assert_int_equal(q.asking.run.verdict.action, SMARTHOP_SEND);
    assert_int_equal(q.asking.run.verdict.next_hop_count, 1);
    assert_span(q.asking.run.verdict.next_hops[0].host, "mx.test");
    assert_string_equal(q.asking.run.by, "outlaw");
    asking_end(&q.asking);
    assert_int_equal(once(&rig, "late"), SMARTHOP_SEND);
    assert_int_equal(once(&rig, "thread"), SMARTHOP_SEND);
    plugin_rig_view(&rig, 0, &view);
    assert_true(view.is_process);
    assert_string_equal(view.version, "1");
    assert_int_equal(view.hooks, 1u << SMARTHOP_ON_ROUTE);
    assert_int_equal(view.actions[SMARTHOP_SEND], 3);
    plugin_rig_stop(&rig);
}

/* What makes no sense, or is too much, is the plugin's own affair: the process goes on. */
static void test_bad_answers(void **state)
{
    static const struct {
        const char *how;
        enum smarthop_action action;
    } cases[] = {{"broken", SMARTHOP_DEFER}, {"action", SMARTHOP_DEFER}, {"twice", SMARTHOP_SEND},
                 {"say", SMARTHOP_SEND},     {"write", SMARTHOP_DEFER},  {"read", SMARTHOP_SEND}};
    struct plugin_rig rig;

    (void)state;
    start(&rig, "");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_int_equal(once(&rig, cases[i].how), cases[i].action);
    assert_int_equal(once(&rig, "send"), SMARTHOP_SEND);
    plugin_rig_stop(&rig);
}

/* What ends the process takes only what it held with it; what is asked next waits for a new one. */
static void test_ends(void **state)
{
    static const char *const ways[] = {"crash", "exit", "exec", "socket", "garbage", "close"};

    (void)state;
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
        struct plugin_rig rig;
        struct question held, bad;
        start(&rig, "");
        ask(&rig, &held, "never");
        ask(&rig, &bad, ways[i]);
        assert_int_equal(answer_to(&rig, &bad), SMARTHOP_DEFER);
        assert_int_equal(answer_to(&rig, &held), SMARTHOP_DEFER);
        assert_int_equal(once(&rig, "send"), SMARTHOP_SEND);
        assert_int_equal(VIEW(&rig, 0)->broken, 2);
        plugin_rig_stop(&rig);
    }
}

static void test_fail_open(void **state)
{
    struct plugin_rig rig;

    (void)state;
    start(&rig, "fail = open");
    assert_int_equal(once(&rig, "crash"), SMARTHOP_PASS);
    assert_int_equal(once(&rig, "send"), SMARTHOP_SEND);
    plugin_rig_stop(&rig);
}

static void test_never(void **state)
{
    struct plugin_rig rig;

    (void)state;
    start(&rig, "timeout = 50ms");
    assert_int_equal(once(&rig, "never"), SMARTHOP_DEFER);
    assert_int_equal(VIEW(&rig, 0)->timed_out, 1);
    plugin_rig_stop(&rig);
}

/* It does not come back to its loop, and is killed once it has had its time twice. */
static void test_hangs(void **state)
{
    static const char *const ways[] = {"loop", "sleep"};

    (void)state;
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
        struct plugin_rig rig;
        start(&rig, "timeout = 200ms");
        assert_int_equal(once(&rig, ways[i]), SMARTHOP_DEFER);
        /* As long as it hangs all time out. */
        while (once(&rig, "send") != SMARTHOP_SEND)
            continue;
        assert_true(VIEW(&rig, 0)->timed_out > 0);
        plugin_rig_stop(&rig);
    }
}

static void test_leak(void **state)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    skip(); /* memory is not bounded there */
#endif
    struct plugin_rig rig;

    (void)state;
    start(&rig, "memory_max = 64MiB");
    assert_int_equal(once(&rig, "leak"), SMARTHOP_DEFER);
    plugin_rig_stop(&rig);
}

static void test_cancel(void **state)
{
    struct plugin_rig rig;
    struct question q;

    (void)state;
    start(&rig, "");
    ask(&rig, &q, "never");
    asking_cancel(&rig, &q.asking);
    assert_int_equal(once(&rig, "send"), SMARTHOP_SEND);
    /* Before anything was sent. */
    ask(&rig, &q, "crash");
    assert_int_equal(answer_to(&rig, &q), SMARTHOP_DEFER);
    ask(&rig, &q, "never");
    asking_cancel(&rig, &q.asking);
    assert_int_equal(once(&rig, "send"), SMARTHOP_SEND);
    plugin_rig_stop(&rig);
}

/* Stopped with what it holds, and while it is down. */
static void test_stop(void **state)
{
    struct plugin_rig rig;
    struct question q;

    (void)state;
    start(&rig, "");
    ask(&rig, &q, "never");
    turn_once(rig.loop);
    asking_cancel(&rig, &q.asking);
    plugin_rig_stop(&rig);
    start(&rig, "");
    assert_int_equal(once(&rig, "crash"), SMARTHOP_DEFER);
    plugin_rig_stop(&rig);
}

static void test_refused(void **state)
{
    static const struct {
        const char *rest, *text;
    } cases[] = {
        {"at_start = refuse", "at_start: it was told not to"},
        {"at_start = crash", "does not start in its process"},
        {"nonsense = 1", "unknown key nonsense"},
        {"user = \"nobody-of-that-name\"", "its user"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct plugin_rig rig;
        char section[SECTION_ROOM];
        plugin_rig_start(&rig);
        plugin_home_use(rig.home, HELPER);
        snprintf(section, sizeof section,
                 "plugin \"outlaw\" { file = \"%s/outlaw.so\" process = yes %s }\n", PLUGIN_FOLDER,
                 cases[i].rest);
        assert_false(plugin_rig_load(&rig, section));
        char *text = span_to_text(buf_span(&rig.messages));
        if (strstr(text, cases[i].text) == NULL)
            fail_msg("%s: %s", cases[i].rest, text);
        free(text);
        plugin_rig_stop(&rig);
    }
}

static void test_no_helper(void **state)
{
    struct plugin_rig rig;
    char section[SECTION_ROOM];

    (void)state;
    plugin_rig_start(&rig);
    plugin_home_use(rig.home, "/nowhere/smarthop-plugin");
    snprintf(section, sizeof section,
             "plugin \"outlaw\" { file = \"%s/outlaw.so\" process = yes }\n", PLUGIN_FOLDER);
    assert_false(plugin_rig_load(&rig, section));
    plugin_rig_stop(&rig);
}

/* A new section is a new process beside the old one, which goes on with what it holds. */
static void test_reload(void **state)
{
    struct plugin_rig rig;
    struct question held;
    char section[SECTION_ROOM];

    (void)state;
    start(&rig, "");
    ask(&rig, &held, "never");
    snprintf(section, sizeof section,
             "plugin \"outlaw\" { file = \"%s/outlaw.so\" process = yes next_hop = \"other.test\" "
             "}\n",
             PLUGIN_FOLDER);
    assert_true(plugin_rig_load(&rig, section));
    struct question q;
    ask(&rig, &q, "send");
    TURN_UNTIL(rig.loop, q.asking.completions > 0);
    assert_span(q.asking.run.verdict.next_hops[0].host, "other.test");
    asking_end(&q.asking);
    assert_int_equal(held.asking.completions, 0);
    asking_cancel(&rig, &held.asking);
    plugin_rig_stop(&rig);
}

/* ---- services ----------------------------------------------------------------------------- */

struct names {
    struct loop *loop;
    enum smarthop_dns_result result;
};

static void find(void *context, struct plugin_lookup *lookup)
{
    struct names *names = context;
    struct smarthop_span *record = arena_alloc(lookup->arena, sizeof *record);
    uint16_t *preference = arena_alloc(lookup->arena, sizeof *preference);

    *record = SMARTHOP_TEXT("mx.example.net");
    lookup->answer.result = names->result;
    lookup->answer.records = record;
    lookup->answer.preferences = preference;
    lookup->answer.count = 1;
    loop_defer(names->loop, &lookup->call);
}

static void cancel_nothing(void *context, struct plugin_lookup *lookup)
{
    (void)context, (void)lookup;
}

static void test_dns(void **state)
{
    struct names names = {.result = SMARTHOP_DNS_OK};
    struct plugin_backend backend = {&names, find, cancel_nothing};
    struct plugin_rig rig;

    (void)state;
    start_with(&rig, &backend, "");
    names.loop = rig.loop;
    assert_int_equal(once(&rig, "dns"), SMARTHOP_SEND);
    names.result = SMARTHOP_DNS_NONE;
    assert_int_equal(once(&rig, "dns"), SMARTHOP_REJECT);
    names.result = SMARTHOP_DNS_RETRY;
    assert_int_equal(once(&rig, "dns"), SMARTHOP_DEFER);
    plugin_rig_stop(&rig);
}

struct wanted {
    const char *name;
    uint64_t value;
};

static void look_at(void *context, const struct plugin_metric *metric)
{
    struct wanted *wanted = context;

    if (strcmp(metric->name, wanted->name) == 0)
        wanted->value = metric->value;
}

static uint64_t value_of(struct plugin_rig *rig, const char *name)
{
    struct wanted wanted = {.name = name};

    plugin_chain_metrics(rig->chain, look_at, &wanted);
    return wanted.value;
}

static void test_metrics(void **state)
{
    struct plugin_rig rig;

    (void)state;
    start(&rig, "");
    once(&rig, "send");
    once(&rig, "send");
    TURN_UNTIL(rig.loop, value_of(&rig, "asked") == 2);
    once(&rig, "crash");
    once(&rig, "send"); /* by a new process, to the same counter */
    TURN_UNTIL(rig.loop, value_of(&rig, "asked") >= 3);
    plugin_rig_stop(&rig);
}

static void start_hoarder(struct plugin_rig *rig, const char *folder)
{
    char section[SECTION_ROOM];

    plugin_rig_start(rig);
    plugin_home_use(rig->home, HELPER);
    snprintf(section, sizeof section,
             "plugin_store_path = \"%s\" plugin \"a\" { file = \"%s/hoarder.so\" process = yes }\n",
             folder, PLUGIN_FOLDER);
    if (!plugin_rig_load(rig, section))
        fail_msg("%.*s", SPAN_ARG(buf_span(&rig->messages)));
}

/* The store is the server's: read in hooks and in `start`, written also by `stop`, and kept over
 * processes and servers. */
static void test_store(void **state)
{
    struct plugin_rig rig;
    char folder[SCRATCH_PATH];

    (void)state;
    scratch_make(folder);
    start_hoarder(&rig, folder);
    assert_int_equal(once(&rig, "restarted"), SMARTHOP_DEFER);
    assert_int_equal(once(&rig, "has-key"), SMARTHOP_DEFER);
    assert_int_equal(once(&rig, "put"), SMARTHOP_SEND);
    assert_int_equal(once(&rig, "has-key"), SMARTHOP_SEND);
    assert_int_equal(once(&rig, "has-stopped"), SMARTHOP_DEFER);
    assert_int_equal(once(&rig, "crash"), SMARTHOP_DEFER);
    assert_int_equal(once(&rig, "restarted"), SMARTHOP_SEND);
    assert_int_equal(once(&rig, "has-key"), SMARTHOP_SEND);
    plugin_rig_stop(&rig);
    start_hoarder(&rig, folder);
    assert_int_equal(once(&rig, "has-stopped"), SMARTHOP_SEND);
    plugin_rig_stop(&rig);
    scratch_remove(folder);
}

/* It says in its descriptor that it keeps none. */
static void test_without_store(void **state)
{
    struct plugin_rig rig;

    (void)state;
    start(&rig, "");
    assert_int_equal(once(&rig, "put"), SMARTHOP_DEFER);
    assert_int_equal(once(&rig, "has-key"), SMARTHOP_DEFER);
    plugin_rig_stop(&rig);
}

/* ---- counts ------------------------------------------------------------------------------- */

static void test_counts(void **state)
{
    struct plugin_rig rig;

    (void)state;
    start(&rig, "");
    assert_int_equal(once(&rig, "action"), SMARTHOP_DEFER);
    assert_int_equal(VIEW(&rig, 0)->invalid, 1);
    assert_int_equal(once(&rig, "twice"), SMARTHOP_SEND);
    TURN_UNTIL(rig.loop, VIEW(&rig, 0)->twice == 1);
    assert_int_equal(once(&rig, "both"), SMARTHOP_SEND);
    TURN_UNTIL(rig.loop, VIEW(&rig, 0)->twice == 2);
    assert_int_equal(VIEW(&rig, 0)->broken, 0);
    plugin_rig_stop(&rig);
    start(&rig, "timeout = 100ms");
    assert_int_equal(once(&rig, "tardy"), SMARTHOP_DEFER);
    TURN_UNTIL(rig.loop, VIEW(&rig, 0)->late == 1);
    assert_int_equal(VIEW(&rig, 0)->timed_out, 1);
    plugin_rig_stop(&rig);
}

static void test_own_metrics(void **state)
{
    struct plugin_rig rig;

    (void)state;
    start(&rig, "");
    TURN_UNTIL(rig.loop, value_of(&rig, "looked") > 0);
    plugin_rig_stop(&rig);
}

/* ---- commands ----------------------------------------------------------------------------- */

struct order {
    struct work work;
    struct plugin_rig *rig;
    const char *words[3];
    struct buf output;
    int code;
    bool is_done;
};

static void run_order(struct work *work)
{
    struct order *order = container_of(work, struct order, work);
    struct smarthop_span words[3];
    unsigned count = 0;

    for (; count < 3 && order->words[count] != NULL; count++)
        words[count] = smarthop_span_of(order->words[count], strlen(order->words[count]));
    order->code = plugin_chain_command(order->rig->chain, "outlaw", words, count, &order->output);
}

static void on_ordered(struct call *call)
{
    container_of(call, struct order, work.call)->is_done = true;
}

static void begin_order(struct plugin_rig *rig, struct order *order)
{
    order->rig = rig;
    order->work.run = run_order;
    order->work.call.done = on_ordered;
    list_init(&order->work.call.link);
    buf_init(&order->output, 0);
    loop_work(rig->loop, &order->work);
}

/* Its exit code, and what it has written. */
static int carry_out(struct plugin_rig *rig, const char *first, const char *second, char **out)
{
    struct order order = {.words = {first, second, NULL}};

    begin_order(rig, &order);
    TURN_UNTIL(rig->loop, order.is_done);
    *out = span_to_text(buf_span(&order.output));
    buf_fini(&order.output);
    return order.code;
}

static void need_order(struct plugin_rig *rig, const char *first, const char *second, int code,
                       const char *text)
{
    char *out;

    assert_int_equal(carry_out(rig, first, second, &out), code);
    if (strstr(out, text) == NULL)
        fail_msg("%s: %s", first, out);
    free(out);
}

static void test_command(void **state)
{
    struct plugin_rig rig;
    char *out;

    (void)state;
    start(&rig, "process_command_max = 2s process_rest_min = 1h process_rest_max = 1h");
    need_order(&rig, "2", "again ", 0, "again again ");
    need_order(&rig, NULL, NULL, 3, "");
    assert_int_equal(carry_out(&rig, "300000", "12345678", &out), 0);
    assert_int_equal(strlen(out), PLUGIN_OUTPUT_MAX);
    free(out);
    need_order(&rig, "sleep", NULL, 1, "it takes too long");
    assert_int_equal(once(&rig, "send"), SMARTHOP_SEND);
    need_order(&rig, "crash", NULL, 1, "its process has ended");
    need_order(&rig, "1", "x", 1, "its process is being started again");
    plugin_rig_stop(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answers),   cmocka_unit_test(test_bad_answers),
        cmocka_unit_test(test_ends),      cmocka_unit_test(test_fail_open),
        cmocka_unit_test(test_never),     cmocka_unit_test(test_hangs),
        cmocka_unit_test(test_leak),      cmocka_unit_test(test_cancel),
        cmocka_unit_test(test_stop),      cmocka_unit_test(test_refused),
        cmocka_unit_test(test_no_helper), cmocka_unit_test(test_store),
        cmocka_unit_test(test_reload),    cmocka_unit_test(test_dns),
        cmocka_unit_test(test_metrics),   cmocka_unit_test(test_without_store),
        cmocka_unit_test(test_counts),    cmocka_unit_test(test_own_metrics),
        cmocka_unit_test(test_command),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
