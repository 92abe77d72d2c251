/* schedule/: what is done to mail from outside its destination's course: by operators, by age, and
 * by the end of the program. */
#include "support/schedule_rig.h"

/* ---- operations --------------------------------------------------------------------------- */

static void test_hold_and_release(void **state)
{
    struct schedule_rig rig;

    (void)state;
    schedule_rig_open(&rig, "");
    uint64_t id = schedule_rig_send(&rig, schedule_rig_peer_hop(&rig), 1);
    TURN_UNTIL(rig.loop, schedule_rig_back_off(&rig).records == 1);
    assert_int_equal(schedule_rig_operate(&rig, SCHEDULE_HOLD, id).affected, 1);
    assert_int_equal(schedule_rig_group(&rig, id)->state, QUEUE_GROUP_HELD);
    assert_int_equal(schedule_rig_operate(&rig, SCHEDULE_HOLD, id).result.kind, ERR_NOT_FOUND);
    smtp_peer_listen(&rig.peer);
    turn_for(rig.loop, 150);
    assert_int_equal(rig.peer.connections, 0);
    assert_int_equal(schedule_rig_operate(&rig, SCHEDULE_RELEASE, id).affected, 1);
    TURN_UNTIL(rig.loop, schedule_rig_is_idle(&rig));
    schedule_rig_close(&rig);
}

static void test_remove_and_bounce(void **state)
{
    struct schedule_rig rig;
    uint64_t ids[3];

    (void)state;
    schedule_rig_open(&rig, "");
    for (int i = 0; i < 3; i++)
        ids[i] = schedule_rig_send(&rig, schedule_rig_peer_hop(&rig), 1);
    TURN_UNTIL(rig.loop, schedule_rig_back_off(&rig).records == 1);
    assert_int_equal(schedule_rig_operate(&rig, SCHEDULE_REMOVE, ids[0]).affected, 1);
    assert_int_equal(queue_memory_rows(rig.queue), 2);
    assert_int_equal(schedule_rig_operate(&rig, SCHEDULE_REMOVE, ids[0]).result.kind,
                     ERR_NOT_FOUND);
    assert_int_equal(schedule_rig_operate(&rig, SCHEDULE_REMOVE, ids[1]).affected, 1);
    assert_int_equal(schedule_rig_operate(&rig, SCHEDULE_BOUNCE, ids[2]).affected, 1);
    schedule_rig_assert_only_a_dsn(&rig, ids[2]);
    schedule_rig_assert_dsn(&rig, "r0@rcpt.test");
    schedule_rig_close(&rig);
}

/* Those that are named and no others; what is gone is passed over. */
static void test_named_groups(void **state)
{
    struct schedule_rig rig;
    uint64_t ids[3];

    (void)state;
    schedule_rig_open(&rig, "");
    for (int i = 0; i < 3; i++)
        ids[i] = schedule_rig_send(&rig, schedule_rig_peer_hop(&rig), 1);
    TURN_UNTIL(rig.loop, schedule_rig_back_off(&rig).records == 1);
    const struct queue_group_name names[] = {{ids[2], 0}, {ids[0], 0}, {ids[0], 7}, {1, 0}};
    const struct schedule_operation hold = {
        .verb = SCHEDULE_HOLD, .groups = names, .group_count = 4};
    struct schedule_operation op = schedule_rig_run(&rig, &hold);
    assert_false(err_is(op.result));
    assert_int_equal(op.affected, 2);
    assert_int_equal(op.moot, 2);
    assert_int_equal(schedule_rig_group(&rig, ids[0])->state, QUEUE_GROUP_HELD);
    assert_int_equal(schedule_rig_group(&rig, ids[1])->state, QUEUE_GROUP_WAITING);
    assert_int_equal(schedule_rig_group(&rig, ids[2])->state, QUEUE_GROUP_HELD);
    op = schedule_rig_run(&rig, &hold); /* nothing is left to do: that is no error */
    assert_false(err_is(op.result));
    assert_int_equal(op.affected, 0);
    assert_int_equal(op.moot, 4);
    schedule_rig_close(&rig);
}

/* ---- what is being delivered -------------------------------------------------------------- */

/* One message whose next hop has not answered to its content yet. */
static uint64_t open_stalled(struct schedule_rig *rig, const char *conf)
{
    schedule_rig_open_listening(rig, conf);
    rig->peer.final = "";
    uint64_t id = schedule_rig_send(rig, schedule_rig_peer_hop(rig), 1);
    TURN_UNTIL(rig->loop, rig->peer.transactions == 1);
    return id;
}

/* Begun, and as far as it comes while the attempt lasts. */
static void begin(struct schedule_rig *rig, struct schedule_rig_operation *op,
                  enum schedule_verb verb, uint64_t id)
{
    struct job *job = scheduler_find_job(rig->scheduler, id, 0);
    const struct list *before = job->waiting.prev;

    op->operation = (struct schedule_operation){.verb = verb, .id = id};
    schedule_rig_begin(rig, op);
    TURN_UNTIL(rig->loop, job->waiting.prev != before);
    assert_false(op->done);
}

static void test_an_operator_does_not_wait(void **state)
{
    struct schedule_rig rig;

    (void)state;
    uint64_t id = open_stalled(&rig, "queue_command_wait = 0\n");
    struct schedule_operation op = schedule_rig_operate(&rig, SCHEDULE_REMOVE, id);
    assert_int_equal(op.busy, 1);
    assert_int_equal(op.result.kind, ERR_CONFLICT);
    smtp_peer_answer(&rig.peer, "250 ok");
    TURN_UNTIL(rig.loop, schedule_rig_is_idle(&rig));
    schedule_rig_close(&rig);
}

static void test_an_operator_waits_long_enough(void **state)
{
    struct schedule_rig rig;

    (void)state;
    uint64_t id = open_stalled(&rig, "queue_command_wait = 50ms\n");
    struct schedule_operation op = schedule_rig_operate(&rig, SCHEDULE_HOLD, id);
    assert_int_equal(op.busy, 1);
    assert_int_equal(op.result.kind, ERR_CONFLICT);
    smtp_peer_answer(&rig.peer, "250 ok");
    TURN_UNTIL(rig.loop, schedule_rig_is_idle(&rig)); /* and nothing is held */
    schedule_rig_close(&rig);
}

static void test_hold_after_the_attempt(void **state)
{
    struct schedule_rig_operation op;
    struct schedule_rig rig;

    (void)state;
    uint64_t id = open_stalled(&rig, "");
    begin(&rig, &op, SCHEDULE_HOLD, id);
    smtp_peer_answer(&rig.peer, "451 4.3.0 later");
    TURN_UNTIL(rig.loop, op.done);
    assert_false(err_is(op.operation.result));
    assert_int_equal(op.operation.affected, 1);
    assert_int_equal(op.operation.busy, 0);
    assert_int_equal(schedule_rig_group(&rig, id)->state, QUEUE_GROUP_HELD);
    assert_int_equal(schedule_rig_group(&rig, id)->tries, 1);
    assert_int_equal(schedule_rig_group(&rig, id)->recipients[0].last.code, 451);
    schedule_rig_close(&rig);
}

static void test_what_the_attempt_has_delivered_is_gone(void **state)
{
    struct schedule_rig_operation op;
    struct schedule_rig rig;

    (void)state;
    uint64_t id = open_stalled(&rig, "");
    begin(&rig, &op, SCHEDULE_REMOVE, id);
    smtp_peer_answer(&rig.peer, "250 ok");
    TURN_UNTIL(rig.loop, op.done);
    assert_int_equal(op.operation.result.kind, ERR_NOT_FOUND);
    assert_int_equal(op.operation.moot, 1);
    assert_int_equal(op.operation.busy, 0);
    TURN_UNTIL(rig.loop, schedule_rig_is_idle(&rig));
    schedule_rig_close(&rig);
}

static const char *defer_the_second(struct smtp_peer *peer, struct span address)
{
    (void)peer;
    return span_starts_nocase(address, SPAN("r1@")) ? "451 4.2.0 busy" : "250 ok";
}

/* Only those that are left: what was delivered in the same attempt is neither returned nor lost. */
static void test_bounce_of_the_rest(void **state)
{
    struct schedule_rig_operation op;
    struct schedule_rig rig;

    (void)state;
    schedule_rig_open_listening(&rig, "");
    rig.peer.final = "";
    rig.peer.judge = defer_the_second;
    uint64_t id = schedule_rig_send(&rig, schedule_rig_peer_hop(&rig), 3);
    TURN_UNTIL(rig.loop, rig.peer.transactions == 1);
    begin(&rig, &op, SCHEDULE_BOUNCE, id);
    smtp_peer_answer(&rig.peer, "250 ok");
    TURN_UNTIL(rig.loop, op.done);
    assert_int_equal(op.operation.affected, 1);
    schedule_rig_assert_only_a_dsn(&rig, id);
    schedule_rig_assert_dsn(&rig, "r1@rcpt.test");
    schedule_rig_close(&rig);
}

static bool is_under_way(struct schedule_rig *rig, uint64_t id)
{
    const struct job *job = scheduler_find_job(rig->scheduler, id, 0);

    return job != NULL && job->state == JOB_ATTEMPT;
}

/* The attempt proves nothing about the message, which would be tried again. */
static void test_hold_after_a_lost_connection(void **state)
{
    struct schedule_rig_operation op;
    struct schedule_rig rig;

    (void)state;
    schedule_rig_open_listening(&rig, "connection_idle_timeout = 1m\n");
    schedule_rig_send(&rig, schedule_rig_peer_hop(&rig), 1);
    TURN_UNTIL(rig.loop, schedule_rig_is_idle(&rig));
    rig.peer.data = "";
    uint64_t id = schedule_rig_send(&rig, schedule_rig_peer_hop(&rig), 1);
    TURN_UNTIL(rig.loop, is_under_way(&rig, id));
    begin(&rig, &op, SCHEDULE_HOLD, id);
    smtp_peer_cut(&rig.peer);
    TURN_UNTIL(rig.loop, op.done);
    assert_int_equal(schedule_rig_group(&rig, id)->tries, 0);
    assert_int_equal(op.operation.affected, 1);
    assert_int_equal(schedule_rig_group(&rig, id)->state, QUEUE_GROUP_HELD);
    rig.peer.data = "354 go";
    assert_int_equal(schedule_rig_operate(&rig, SCHEDULE_RELEASE, id).affected, 1);
    TURN_UNTIL(rig.loop, schedule_rig_is_idle(&rig));
    schedule_rig_close(&rig);
}

/* One after the other, in the order in which they came. */
static void test_several_wait(void **state)
{
    static const enum schedule_verb verbs[] = {SCHEDULE_HOLD, SCHEDULE_RETRY, SCHEDULE_REMOVE,
                                               SCHEDULE_BOUNCE};
    struct schedule_rig_operation ops[4];
    struct schedule_rig rig;

    (void)state;
    uint64_t id = open_stalled(&rig, "");
    for (int i = 0; i < 4; i++)
        begin(&rig, &ops[i], verbs[i], id);
    smtp_peer_answer(&rig.peer, "451 4.3.0 later");
    for (int i = 0; i < 4; i++)
        TURN_UNTIL(rig.loop, ops[i].done);
    assert_int_equal(ops[0].operation.affected, 1);
    assert_int_equal(ops[1].operation.moot, 1); /* what is held is not tried */
    assert_int_equal(ops[2].operation.affected, 1);
    assert_int_equal(ops[3].operation.moot, 1);
    assert_int_equal(queue_memory_rows(rig.queue), 0);
    schedule_rig_close(&rig);
}

static void test_stop_while_an_operator_waits(void **state)
{
    struct schedule_rig_operation op;
    struct schedule_rig rig;

    (void)state;
    uint64_t id = open_stalled(&rig, "");
    begin(&rig, &op, SCHEDULE_HOLD, id);
    schedule_rig_stop(&rig);
    smtp_peer_answer(&rig.peer, "451 4.3.0 later");
    TURN_UNTIL(rig.loop, rig.has_stopped);
    TURN_UNTIL(rig.loop, op.done);
    assert_int_equal(op.operation.busy, 1);
    assert_int_equal(schedule_rig_group(&rig, id)->state, QUEUE_GROUP_WAITING);
    schedule_rig_close(&rig);
}

/* What an action has read may be old when it acts. */
struct late_batch {
    struct schedule_batch batch;
    bool has_ended;
};

static void on_late_batch(struct call *call)
{
    struct schedule_batch *batch = container_of(call, struct schedule_batch, end);

    container_of(batch, struct late_batch, batch)->has_ended = true;
}

static void test_an_action_that_comes_late(void **state)
{
    struct late_batch late = {.has_ended = false};
    struct schedule_rig rig;
    struct queue_message *old;

    (void)state;
    schedule_rig_open_listening(&rig, "");
    rig.peer.final = "451 4.3.0 later";
    uint64_t id = schedule_rig_send(&rig, schedule_rig_peer_hop(&rig), 1);
    assert_false(err_is(queue_load(rig.queue, id, QUEUE_ALL_GROUPS, &old)));
    TURN_UNTIL(rig.loop, schedule_rig_group(&rig, id)->tries == 1);
    TURN_UNTIL(rig.loop, schedule_rig_counted(&schedule_counters(rig.scheduler)->jobs) == 0);
    rig.peer.final = "250 ok";
    batch_begin(&late.batch, rig.loop, on_late_batch);
    action_post(&rig.set, &late.batch, SCHEDULE_HOLD, old, &old->groups[0]);
    batch_release(&late.batch);
    queue_message_unref(old);
    TURN_UNTIL(rig.loop, late.has_ended);
    assert_int_equal(atomic_load(&late.batch.busy), 1);
    TURN_UNTIL(rig.loop, schedule_rig_is_idle(&rig)); /* it is not held, and not stuck either */
    schedule_rig_close(&rig);
}

/* ---- age ---------------------------------------------------------------------------------- */

static void test_expiry(void **state)
{
    struct schedule_rig rig;

    (void)state;
    schedule_rig_open(&rig, "");
    rig.conf->delay_warning_after = 4000; /* the shortest age says how often it looks */
    struct queue_message *m = schedule_rig_message(&rig, schedule_rig_peer_hop(&rig), 1);
    m->arrival -= rig.conf->expire_after + 1;
    m->groups[0].state = QUEUE_GROUP_HELD; /* not even these stay for ever */
    uint64_t held = schedule_rig_add(&rig, m, false);
    m = schedule_rig_message(&rig, schedule_rig_peer_hop(&rig), 1);
    m->arrival -= rig.conf->bounce_expire_after + 1;
    m->reverse_path = SPAN_NONE;
    uint64_t bounce = schedule_rig_add(&rig, m, true);
    uint64_t fresh = schedule_rig_send(&rig, schedule_rig_peer_hop(&rig), 1);
    schedule_start_sweep(rig.scheduler);
    TURN_UNTIL(rig.loop, schedule_rig_is_gone(&rig, held) && schedule_rig_is_gone(&rig, bounce));
    assert_false(schedule_rig_is_gone(&rig, fresh));
    assert_int_equal(queue_memory_rows(rig.queue), 2); /* it, and one notification */
    assert_int_equal(schedule_rig_operate(&rig, SCHEDULE_REMOVE, fresh).affected, 1);
    schedule_rig_assert_dsn(&rig, "given up");
    schedule_rig_close(&rig);
}

static void test_a_warning_once(void **state)
{
    struct schedule_rig rig;

    (void)state;
    schedule_rig_open(&rig, "");
    rig.conf->delay_warning_after = 1000;
    struct queue_message *m = schedule_rig_message(&rig, schedule_rig_peer_hop(&rig), 1);
    m->arrival -= 2000;
    uint64_t id = schedule_rig_add(&rig, m, true);
    schedule_start_sweep(rig.scheduler);
    TURN_UNTIL(rig.loop, schedule_rig_group(&rig, id)->delay_warned);
    assert_int_equal(queue_memory_rows(rig.queue), 2);
    schedule_rig_free_scheduler(&rig);
    schedule_rig_make_scheduler(&rig);
    schedule_start_sweep(rig.scheduler); /* and looks at everything anew */
    turn_for(rig.loop, 250);
    assert_int_equal(queue_memory_rows(rig.queue), 2);
    schedule_rig_close(&rig);
}

static void test_too_old_when_it_is_deferred(void **state)
{
    struct schedule_rig rig;

    (void)state;
    schedule_rig_open_listening(&rig, "");
    rig.peer.final = "451 4.3.0 later";
    struct queue_message *m = schedule_rig_message(&rig, schedule_rig_peer_hop(&rig), 1);
    m->arrival -= rig.conf->expire_after + 1;
    uint64_t id = schedule_rig_add(&rig, m, true);
    TURN_UNTIL(rig.loop, schedule_rig_is_gone(&rig, id));
    schedule_rig_assert_only_a_dsn(&rig, id);
    schedule_rig_close(&rig);
}

static uint64_t add_old(struct schedule_rig *rig, const char *next_hop, uint64_t age)
{
    struct queue_message *m = schedule_rig_message(rig, next_hop, 1);

    m->arrival -= age;
    return schedule_rig_add(rig, m, false);
}

/* Mail for a destination with ages of its own is told of, and ended, by these; also after a reload
 * that has brought them. */
static void test_ages_of_a_destination(void **state)
{
    enum { MINUTE = 60000, HOUR = 60 * MINUTE };
    static const char common[] = "retry_first = 40ms\ndelay_warning_after = 2s\n"
                                 "route \"sender.test\" { hold = \"for the test\" }\n";
    static const char own[] = "destination \"127.0.0.1\" { expire_after = 1h }\n"
                              "destination \"quiet.test\" { delay_warning_after = 30m }\n";
    struct schedule_rig rig;
    char text[1024];

    (void)state;
    schedule_rig_open(&rig, "");
    dns_server_set_zone(rig.dns, "other.test * !servfail\nquiet.test * !servfail\n");
    uint64_t ended = add_old(&rig, schedule_rig_peer_hop(&rig), 2ULL * HOUR);
    uint64_t younger = add_old(&rig, schedule_rig_peer_hop(&rig), 40ULL * MINUTE);
    uint64_t other = add_old(&rig, schedule_rig_mx_hop(&rig, "other.test"), 2ULL * HOUR);
    uint64_t told = add_old(&rig, schedule_rig_mx_hop(&rig, "quiet.test"), 40ULL * MINUTE);
    uint64_t quiet = add_old(&rig, schedule_rig_mx_hop(&rig, "quiet.test"), 20ULL * MINUTE);
    snprintf(text, sizeof text, "%s%s", common, own);
    struct conf *next = conf_from_text(text);
    schedule_configure(rig.scheduler, next);
    conf_unref(next);
    schedule_start_sweep(rig.scheduler);
    TURN_UNTIL(rig.loop, schedule_rig_is_gone(&rig, ended));
    TURN_UNTIL(rig.loop, schedule_rig_group(&rig, other)->delay_warned);
    TURN_UNTIL(rig.loop, schedule_rig_group(&rig, younger)->delay_warned);
    TURN_UNTIL(rig.loop, schedule_rig_group(&rig, told)->delay_warned);
    const struct schedule_counters *counters = schedule_counters(rig.scheduler);
    TURN_UNTIL(rig.loop, schedule_rig_counted(&counters->swept) != 0);
    assert_false(schedule_rig_group(&rig, quiet)->delay_warned);
    next = conf_from_text(common);
    schedule_configure(rig.scheduler, next);
    conf_unref(next);
    TURN_UNTIL(rig.loop, schedule_rig_group(&rig, quiet)->delay_warned);
    assert_false(schedule_rig_is_gone(&rig, younger));
    assert_false(schedule_rig_is_gone(&rig, other));
    schedule_rig_close(&rig);
}

static void test_too_old_for_its_destination(void **state)
{
    struct schedule_rig rig;

    (void)state;
    schedule_rig_open_listening(&rig, "destination \"127.0.0.1\" { expire_after = 1h }\n");
    rig.peer.final = "451 4.3.0 later";
    struct queue_message *m = schedule_rig_message(&rig, schedule_rig_peer_hop(&rig), 1);
    m->arrival -= 2ULL * 3600000;
    uint64_t id = schedule_rig_add(&rig, m, true);
    TURN_UNTIL(rig.loop, schedule_rig_is_gone(&rig, id));
    schedule_rig_assert_only_a_dsn(&rig, id);
    schedule_rig_close(&rig);
}

/* Its hosts cannot be found: its own schedule holds all the same. */
static void test_own_waits_without_hosts(void **state)
{
    struct schedule_rig rig;

    (void)state;
    schedule_rig_open(&rig, "destination \"lost.test\" { retry_first = 1h retry_max = 2h }\n");
    dns_server_set_zone(rig.dns, "lost.test * !servfail\n");
    schedule_rig_send(&rig, schedule_rig_mx_hop(&rig, "lost.test"), 1);
    TURN_UNTIL(rig.loop, schedule_rig_back_off(&rig).records == 1);
    uint64_t now = clock_steady_ms();
    assert_in_range(schedule_rig_back_off(&rig).until, now + 3500000, now + 3600000 * 11 / 10);
    schedule_rig_close(&rig);
}

/* ---- stopping ----------------------------------------------------------------------------- */

static void test_stop_while_busy(void **state)
{
    struct schedule_rig rig;

    (void)state;
    schedule_rig_open_listening(&rig, "connections_per_destination = 1\npipeline_messages = no\n");
    rig.peer.final = "";
    schedule_rig_send(&rig, schedule_rig_peer_hop(&rig), 1);
    uint64_t waiting = schedule_rig_send(&rig, schedule_rig_peer_hop(&rig), 1);
    TURN_UNTIL(rig.loop, rig.peer.transactions == 1);
    schedule_rig_stop(&rig);
    turn_for(rig.loop, 20);
    assert_false(rig.has_stopped);
    smtp_peer_answer(&rig.peer, "250 ok");
    TURN_UNTIL(rig.loop, rig.has_stopped);
    assert_int_equal(queue_memory_rows(rig.queue), 1); /* settled; the other was not begun */
    assert_false(schedule_rig_is_gone(&rig, waiting));
    schedule_rig_close(&rig);
}

static void test_stop_with_idle_connections(void **state)
{
    struct schedule_rig rig;

    (void)state;
    schedule_rig_open_listening(&rig, "connection_idle_timeout = 1m\n");
    schedule_rig_send(&rig, schedule_rig_peer_hop(&rig), 1);
    TURN_UNTIL(rig.loop, schedule_rig_is_idle(&rig));
    assert_int_equal(schedule_rig_counted(&schedule_counters(rig.scheduler)->connections), 1);
    schedule_rig_stop(&rig);
    TURN_UNTIL(rig.loop, rig.has_stopped);
    schedule_rig_close(&rig);
}

static void test_stop_while_it_resolves_and_backs_off(void **state)
{
    struct schedule_rig rig;

    (void)state;
    schedule_rig_open(&rig, "");
    dns_server_set_zone(rig.dns, "slow.test * !delay 100\n");
    schedule_rig_send(&rig, schedule_rig_peer_hop(&rig), 1);
    TURN_UNTIL(rig.loop, schedule_rig_back_off(&rig).records == 1);
    schedule_rig_send(&rig, schedule_rig_mx_hop(&rig, "slow.test"), 1);
    schedule_start_sweep(rig.scheduler);
    TURN_UNTIL(rig.loop, dns_server_count(rig.dns, "slow.test", NULL) > 0);
    schedule_rig_stop(&rig);
    TURN_UNTIL(rig.loop, rig.has_stopped);
    assert_int_equal(queue_memory_rows(rig.queue), 2);
    schedule_rig_close(&rig);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hold_and_release),
        cmocka_unit_test(test_remove_and_bounce),
        cmocka_unit_test(test_an_operator_does_not_wait),
        cmocka_unit_test(test_an_operator_waits_long_enough),
        cmocka_unit_test(test_hold_after_the_attempt),
        cmocka_unit_test(test_what_the_attempt_has_delivered_is_gone),
        cmocka_unit_test(test_bounce_of_the_rest),
        cmocka_unit_test(test_hold_after_a_lost_connection),
        cmocka_unit_test(test_several_wait),
        cmocka_unit_test(test_stop_while_an_operator_waits),
        cmocka_unit_test(test_named_groups),
        cmocka_unit_test(test_an_action_that_comes_late),
        cmocka_unit_test(test_expiry),
        cmocka_unit_test(test_a_warning_once),
        cmocka_unit_test(test_too_old_when_it_is_deferred),
        cmocka_unit_test(test_ages_of_a_destination),
        cmocka_unit_test(test_too_old_for_its_destination),
        cmocka_unit_test(test_own_waits_without_hosts),
        cmocka_unit_test(test_stop_while_busy),
        cmocka_unit_test(test_stop_with_idle_connections),
        cmocka_unit_test(test_stop_while_it_resolves_and_backs_off),
    };

    return cmocka_run_group_tests(tests, NULL, schedule_rig_forget_loaded);
}
