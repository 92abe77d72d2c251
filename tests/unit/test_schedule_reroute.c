/* schedule/: queued recipients that are routed again. */
#include "support/schedule_rig.h"

static const char dead_hop[] = "hosts:[127.0.0.1]:1;tls=none";

/* The routes of one@, two@ and so on are those of their domains. */
static uint64_t add(struct schedule_rig *rig, const char *next_hop, const char *const *addresses,
                    unsigned count, bool submit)
{
    struct queue_message *m = schedule_rig_message(rig, next_hop, count);

    for (unsigned i = 0; i < count; i++)
        m->groups[0].recipients[i].address = span_cstr(addresses[i]);
    return schedule_rig_add(rig, m, submit);
}

struct asked {
    struct schedule_operation operation;
    struct schedule_reroute reroute;
};

static void reroute(struct schedule_rig *rig, struct asked *asked, uint64_t id)
{
    arena_init(&asked->reroute.arena);
    asked->reroute.rows = NULL;
    asked->reroute.row_count = 0;
    asked->operation =
        schedule_rig_run(rig, &(struct schedule_operation){
                                  .verb = SCHEDULE_REROUTE, .id = id, .reroute = &asked->reroute});
}

static void assert_row(const struct asked *asked, unsigned index, const char *fate, const char *to,
                       const char *route, uint64_t recipients)
{
    assert_true(index < asked->reroute.row_count);
    const struct schedule_rerouted *row = &asked->reroute.rows[index];
    assert_string_equal(row->fate, fate);
    assert_true(span_equal(row->from, span_cstr(dead_hop)));
    if (!span_equal(row->to, span_cstr(to)))
        fail_msg("it goes to %.*s", SPAN_ARG(row->to));
    assert_true(span_equal(row->route, span_cstr(route)));
    assert_int_equal(row->recipients, recipients);
}

static const char routes[] =
    "route \"a.test\" { hosts = {\"[127.0.0.1]:2\"}\n tls = \"none\" }\n"
    "route \"b.test\" { hosts = {\"[127.0.0.1]:3\"}\n tls = \"none\" }\n"
    "route \"same.test\" { hosts = {\"[127.0.0.1]:1\"}\n tls = \"none\" }\n"
    "route \"held.test\" { hold = \"look\" }\n"
    "route \"gone.test\" { reject = \"5.1.2 No more\" }\n"
    "route \"sink.test\" { discard = yes }\n";

static const char *const everybody[] = {"x@a.test",    "y@b.test",    "z@a.test",   "x@same.test",
                                        "x@held.test", "x@gone.test", "x@sink.test"};

static void assert_everybody(const struct asked *asked)
{
    assert_int_equal(asked->operation.affected, 1);
    assert_int_equal(asked->reroute.row_count, 6);
    assert_row(asked, 0, "moved", "hosts:[127.0.0.1]:2;tls=none", "a.test", 2);
    assert_row(asked, 1, "moved", "hosts:[127.0.0.1]:3;tls=none", "b.test", 1);
    assert_row(asked, 2, "same", dead_hop, "same.test", 1);
    assert_row(asked, 3, "held", "mx:held.test:25;tls=opportunistic", "held.test", 1);
    assert_row(asked, 4, "returned", "No more", "gone.test", 1);
    assert_row(asked, 5, "dropped", "", "sink.test", 1);
}

static const struct queue_group *group_to(const struct queue_message *message, const char *address)
{
    for (unsigned i = 0; i < message->group_count; i++)
        for (unsigned j = 0; j < message->groups[i].recipient_count; j++)
            if (span_equal(message->groups[i].recipients[j].address, span_cstr(address)))
                return &message->groups[i];
    return NULL;
}

static void test_each_verdict(void **state)
{
    struct schedule_rig rig;
    struct queue_message *m;
    struct asked asked = {.reroute.dry_run = true};

    (void)state;
    schedule_rig_open(&rig, routes);
    uint64_t id = add(&rig, dead_hop, everybody, 7, true);
    TURN_UNTIL(rig.loop, schedule_rig_back_off(&rig).records == 1);
    reroute(&rig, &asked, id);
    assert_everybody(&asked);
    arena_fini(&asked.reroute.arena);
    assert_int_equal(schedule_rig_group(&rig, id)->recipient_count, 7); /* it was only told */

    asked.reroute.dry_run = false;
    reroute(&rig, &asked, id);
    assert_everybody(&asked);
    arena_fini(&asked.reroute.arena);
    assert_false(err_is(queue_load(rig.queue, id, QUEUE_ALL_GROUPS, &m)));
    assert_int_equal(m->group_count, 4);
    assert_int_equal(group_to(m, "x@same.test")->number, 0);
    assert_ptr_equal(group_to(m, "x@a.test"), group_to(m, "z@a.test"));
    assert_int_equal(group_to(m, "x@a.test")->state, QUEUE_GROUP_WAITING);
    assert_int_equal(group_to(m, "x@held.test")->state, QUEUE_GROUP_HELD);
    assert_null(group_to(m, "x@gone.test"));
    assert_null(group_to(m, "x@sink.test"));
    queue_message_unref(m);
    schedule_rig_assert_dsn(&rig, "No more");
    schedule_rig_close(&rig);
}

/* It goes at once where it is led to; what was known of it stays. */
static void test_moved_mail_is_sent(void **state)
{
    struct schedule_rig rig;
    struct asked asked = {0};

    (void)state;
    schedule_rig_open_listening(&rig, "");
    struct queue_message *m = schedule_rig_message(&rig, dead_hop, 2);
    m->groups[0].tries = 3;
    m->groups[0].due = clock_steady_ms() + 600000;
    uint64_t id = schedule_rig_add(&rig, m, true);
    asked.reroute.next_hop = span_cstr(schedule_rig_peer_hop(&rig));
    rig.peer.final = "451 4.3.0 later";
    reroute(&rig, &asked, id);
    assert_int_equal(asked.operation.affected, 1);
    assert_row(&asked, 0, "moved", schedule_rig_peer_hop(&rig), "", 2);
    arena_fini(&asked.reroute.arena);
    TURN_UNTIL(rig.loop, schedule_rig_group(&rig, id)->tries == 4);
    reroute(&rig, &asked, id);
    assert_int_equal(asked.operation.affected, 0);
    assert_int_equal(asked.operation.moot, 1); /* it is on its way there already */
    arena_fini(&asked.reroute.arena);
    schedule_rig_close(&rig);
}

static void test_what_is_held_or_early_stays_so(void **state)
{
    static const enum queue_group_state states[] = {QUEUE_GROUP_HELD, QUEUE_GROUP_FUTURE};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct asked asked = {.reroute.next_hop = SPAN("hosts:[127.0.0.1]:2;tls=none")};
        struct schedule_rig rig;
        struct queue_message *m;

        schedule_rig_open(&rig, "");
        m = schedule_rig_message(&rig, dead_hop, 1);
        m->groups[0].state = states[i];
        m->release = m->groups[0].due = clock_steady_ms() + 86400000;
        uint64_t due = m->groups[0].due, id = schedule_rig_add(&rig, m, true);
        reroute(&rig, &asked, id);
        assert_int_equal(asked.operation.affected, 1);
        arena_fini(&asked.reroute.arena);
        assert_false(err_is(queue_load(rig.queue, id, QUEUE_ALL_GROUPS, &m)));
        assert_int_equal(m->group_count, 1);
        assert_int_equal(m->groups[0].state, states[i]);
        if (states[i] == QUEUE_GROUP_FUTURE)
            assert_int_equal(m->groups[0].due, due);
        assert_true(span_equal(m->groups[0].next_hop, asked.reroute.next_hop));
        queue_message_unref(m);
        schedule_rig_close(&rig);
    }
}

/* A new group may get the number of one that was delivered, but then not its due time: a note of
 * the delivery must not be taken for one of it. */
static void test_no_group_is_taken_for_a_delivered_one(void **state)
{
    struct schedule_rig rig;
    struct asked asked = {.reroute.next_hop = SPAN("hosts:[127.0.0.1]:2;tls=none")};

    (void)state;
    schedule_rig_open(&rig, "");
    struct queue_message *m = schedule_rig_message(&rig, dead_hop, 1);
    m->groups[0].state = QUEUE_GROUP_HELD;
    uint64_t due = m->groups[0].due, id = schedule_rig_add(&rig, m, true);
    reroute(&rig, &asked, id);
    arena_fini(&asked.reroute.arena);
    assert_int_equal(schedule_rig_group(&rig, id)->number, 1);
    assert_true(schedule_rig_group(&rig, id)->due > due);
    schedule_rig_close(&rig);
}

/* Each recipient by name, where that is asked for. */
static void test_names(void **state)
{
    struct schedule_rig rig;
    struct asked asked = {.reroute = {.dry_run = true, .names_recipients = true}};

    (void)state;
    schedule_rig_open(&rig, routes);
    uint64_t id = add(&rig, dead_hop, everybody, 7, false);
    reroute(&rig, &asked, id);
    assert_int_equal(asked.reroute.row_count, 7);
    for (unsigned i = 0; i < 7; i++)
        assert_true(span_equal(asked.reroute.rows[i].recipient, span_cstr(everybody[i])));
    arena_fini(&asked.reroute.arena);
    schedule_rig_close(&rig);
}

/* A store that fails has moved nothing, and nothing is lost. */
static void test_a_store_that_refuses(void **state)
{
    struct schedule_rig rig;
    struct asked asked = {.reroute.next_hop = SPAN("hosts:[127.0.0.1]:2;tls=none")};

    (void)state;
    schedule_rig_open(&rig, "");
    uint64_t id = schedule_rig_send(&rig, dead_hop, 2);
    TURN_UNTIL(rig.loop, schedule_rig_back_off(&rig).records == 1);
    queue_memory_fail_next(rig.queue, err_make(ERR_NOT_FOUND, "test"));
    reroute(&rig, &asked, id);
    assert_int_equal(asked.operation.affected, 0);
    assert_int_equal(asked.operation.busy, 1);
    arena_fini(&asked.reroute.arena);
    assert_true(span_equal(schedule_rig_group(&rig, id)->next_hop, span_cstr(dead_hop)));
    reroute(&rig, &asked, id);
    assert_int_equal(asked.operation.affected, 1);
    arena_fini(&asked.reroute.arena);
    schedule_rig_close(&rig);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_verdict),
        cmocka_unit_test(test_moved_mail_is_sent),
        cmocka_unit_test(test_what_is_held_or_early_stays_so),
        cmocka_unit_test(test_no_group_is_taken_for_a_delivered_one),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_a_store_that_refuses),
    };

    return cmocka_run_group_tests(tests, NULL, schedule_rig_forget_loaded);
}
