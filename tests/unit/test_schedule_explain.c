/* schedule/: why a message is still here, each gate once; what operators suspend; and that nothing
 * outlives its time, whatever it waits for. */
#include "support/schedule_rig.h"

/* ---- asking ------------------------------------------------------------------------------- */

struct answered {
    struct schedule_inquiry inquiry;
    bool done;
};

static void on_answered(struct call *call)
{
    container_of(call, struct answered, inquiry.call)->done = true;
}

/* The first group's explanation. */
static struct schedule_explanation ask(struct schedule_rig *rig, uint64_t id)
{
    struct answered asked = {.inquiry = {.home = rig->loop, .id = id}};

    list_init(&asked.inquiry.call.link);
    asked.inquiry.call.done = on_answered;
    schedule_explain(&rig->set, rig->queue, &asked.inquiry);
    assert_false(asked.done);
    TURN_UNTIL(rig->loop, asked.done);
    assert_false(err_is(asked.inquiry.result));
    struct schedule_explanation first = asked.inquiry.explanations[0];
    queue_message_unref(asked.inquiry.message);
    free(asked.inquiry.explanations);
    return first;
}

static void assert_says(const struct schedule_explanation *why, const char *part)
{
    assert_non_null(memmem(why->why, why->why_len, part, strlen(part)));
}

static void assert_gate(struct schedule_rig *rig, uint64_t id, enum schedule_gate gate,
                        const char *part)
{
    struct schedule_explanation why = ask(rig, id);

    assert_string_equal(schedule_gate_name(why.gate), schedule_gate_name(gate));
    assert_says(&why, part);
}

/* ---- gates -------------------------------------------------------------------------------- */

static void test_unknown(void **state)
{
    struct schedule_rig rig;

    (void)state;
    schedule_rig_open(&rig, "");
    struct answered asked = {.inquiry = {.home = rig.loop, .id = 77}};
    list_init(&asked.inquiry.call.link);
    asked.inquiry.call.done = on_answered;
    schedule_explain(&rig.set, rig.queue, &asked.inquiry);
    TURN_UNTIL(rig.loop, asked.done);
    assert_int_equal(asked.inquiry.result.kind, ERR_NOT_FOUND);
    assert_null(asked.inquiry.message);
    schedule_rig_close(&rig);
}

static void test_sending_and_line(void **state)
{
    struct schedule_rig rig;

    (void)state;
    schedule_rig_open_listening(&rig, "connections_per_destination = 1\npipeline_messages = no\n");
    rig.peer.final = "";
    uint64_t first = schedule_rig_send(&rig, schedule_rig_peer_hop(&rig), 1);
    TURN_UNTIL(rig.loop, rig.peer.transactions == 1);
    uint64_t second = schedule_rig_send(&rig, schedule_rig_peer_hop(&rig), 1);
    uint64_t third = schedule_rig_send(&rig, schedule_rig_peer_hop(&rig), 1);
    turn_once(rig.loop);
    struct schedule_explanation why = ask(&rig, first);
    assert_int_equal(why.gate, SCHEDULE_SENDING);
    assert_says(&why, "127.0.0.1 now; the dialogue is at: final");
    assert_true(why.since > 0 && why.since <= clock_steady_ms());
    assert_gate(&rig, second, SCHEDULE_CONNECTION, "number 1 of 2 in line; 1 of 1 connections");
    assert_gate(&rig, third, SCHEDULE_CONNECTION, "number 2 of 2");
    rig.peer.final = "250 ok";
    smtp_peer_answer(&rig.peer, "250 ok");
    TURN_UNTIL(rig.loop, schedule_rig_is_idle(&rig));
    schedule_rig_close(&rig);
}

static void test_recording(void **state)
{
    struct schedule_rig rig;

    (void)state;
    schedule_rig_open_listening(&rig, "");
    uint64_t id = schedule_rig_send(&rig, schedule_rig_peer_hop(&rig), 1);
    queue_memory_fail_next(rig.queue, err_make(ERR_NO_SPACE, "test"));
    TURN_UNTIL(rig.loop, rig.peer.messages == 1);
    TURN_UNTIL(rig.loop, ask(&rig, id).gate == SCHEDULE_RECORDING);
    TURN_UNTIL(rig.loop, schedule_rig_is_idle(&rig));
    schedule_rig_close(&rig);
}

static void test_rate(void **state)
{
    struct schedule_rig rig;

    (void)state;
    schedule_rig_open_listening(&rig, "destination \"*\" { messages_per_day = 1 }\n");
    schedule_rig_send(&rig, schedule_rig_peer_hop(&rig), 1);
    TURN_UNTIL(rig.loop, schedule_rig_is_idle(&rig));
    uint64_t id = schedule_rig_send(&rig, schedule_rig_peer_hop(&rig), 1);
    TURN_UNTIL(rig.loop, ask(&rig, id).gate == SCHEDULE_RATE);
    struct schedule_explanation why = ask(&rig, id);
    assert_true(why.until > clock_steady_ms() + 80000000);
    assert_int_equal(schedule_rig_operate(&rig, SCHEDULE_REMOVE, id).affected, 1);
    schedule_rig_close(&rig);
}

static void test_back_off(void **state)
{
    struct schedule_rig rig;

    (void)state;
    schedule_rig_open(&rig, "");
    rig.conf->retry_first = 10000;
    schedule_configure(rig.scheduler, rig.conf);
    uint64_t id = schedule_rig_send(&rig, schedule_rig_peer_hop(&rig), 1);
    TURN_UNTIL(rig.loop, schedule_rig_back_off(&rig).records == 1);
    struct schedule_explanation why = ask(&rig, id);
    assert_int_equal(why.gate, SCHEDULE_BACK_OFF);
    assert_says(&why, "(1 failure in a row): 4");
    assert_true(why.until > clock_steady_ms());
    schedule_rig_close(&rig);
}

static void test_dns(void **state)
{
    struct schedule_rig rig;

    (void)state;
    schedule_rig_open(&rig, "");
    rig.conf->retry_first = 10000;
    schedule_configure(rig.scheduler, rig.conf);
    dns_server_set_zone(rig.dns, "silent.test * !silent\n");
    uint64_t id = schedule_rig_send(&rig, schedule_rig_mx_hop(&rig, "silent.test"), 1);
    TURN_UNTIL(rig.loop, ask(&rig, id).gate == SCHEDULE_LOOKUP);
    TURN_UNTIL(rig.loop, ask(&rig, id).gate == SCHEDULE_DNS);
    assert_gate(&rig, id, SCHEDULE_DNS, "could not be found (1 failure in a row): 451");
    schedule_rig_close(&rig);
}

static void test_times_and_held(void **state)
{
    struct schedule_rig rig;

    (void)state;
    schedule_rig_open_listening(&rig, "");
    rig.conf->retry_first = 10000;
    schedule_configure(rig.scheduler, rig.conf);
    rig.peer.rcpt = "450 4.2.1 later";
    uint64_t late = schedule_rig_send(&rig, schedule_rig_peer_hop(&rig), 1);
    TURN_UNTIL(rig.loop, schedule_rig_group(&rig, late)->tries == 1);
    TURN_UNTIL(rig.loop, ask(&rig, late).gate == SCHEDULE_RETRY_TIME);
    assert_int_equal(ask(&rig, late).until, schedule_rig_group(&rig, late)->due);
    struct queue_message *m = schedule_rig_message(&rig, schedule_rig_peer_hop(&rig), 1);
    m->release = m->groups[0].due = m->arrival + 60000;
    m->groups[0].state = QUEUE_GROUP_FUTURE;
    uint64_t release = m->release, future = schedule_rig_add(&rig, m, true);
    assert_gate(&rig, future, SCHEDULE_RELEASE_TIME, "its sender asked");
    assert_int_equal(ask(&rig, future).until, release);
    assert_int_equal(schedule_rig_operate(&rig, SCHEDULE_HOLD, late).affected, 1);
    assert_gate(&rig, late, SCHEDULE_HELD, "until an operator releases it");
    schedule_rig_close(&rig);
}

static void test_memory(void **state)
{
    struct schedule_rig rig;
    uint64_t id = 0;

    (void)state;
    schedule_rig_open_listening(&rig, "connections_per_destination = 1\n");
    rig.conf->window_per_destination = 2;
    rig.peer.final = "";
    for (int i = 0; i < 6; i++)
        id = schedule_rig_send(&rig, schedule_rig_peer_hop(&rig), 1);
    TURN_UNTIL(rig.loop, rig.peer.transactions == 1);
    TURN_UNTIL(rig.loop, ask(&rig, id).gate == SCHEDULE_MEMORY);
    assert_gate(&rig, id, SCHEDULE_MEMORY, "in memory");
    rig.peer.final = "250 ok";
    smtp_peer_answer(&rig.peer, "250 ok");
    TURN_UNTIL(rig.loop, schedule_rig_is_idle(&rig));
    schedule_rig_close(&rig);
}

/* ---- suspending --------------------------------------------------------------------------- */

struct suspended {
    struct schedule_suspend suspend;
    bool done;
};

static void on_suspended(struct call *call)
{
    container_of(call, struct suspended, suspend.call)->done = true;
}

/* 0 = it goes on. */
static struct err suspend(struct schedule_rig *rig, const char *pattern, uint64_t for_ms)
{
    uint64_t now = clock_steady_ms();
    struct suspended change = {.suspend = {.home = rig->loop}};

    list_init(&change.suspend.call.link);
    change.suspend.call.done = on_suspended;
    change.suspend.change.suspension = (struct queue_suspension){
        .pattern = span_cstr(pattern),
        .reason = SPAN("works on the line"),
        .since = now,
        .until = for_ms ? now + for_ms : 0,
    };
    schedule_suspend(&rig->set, rig->queue, &change.suspend);
    assert_false(change.done);
    TURN_UNTIL(rig->loop, change.done);
    return change.suspend.result;
}

static void test_suspend_and_resume(void **state)
{
    struct schedule_rig rig;

    (void)state;
    schedule_rig_open_listening(&rig, "");
    assert_false(err_is(suspend(&rig, "127.0.0.1", 60000)));
    uint64_t id = schedule_rig_send(&rig, schedule_rig_peer_hop(&rig), 1);
    turn_for(rig.loop, 100);
    struct schedule_explanation why = ask(&rig, id);
    assert_int_equal(why.gate, SCHEDULE_SUSPENDED);
    assert_says(&why, "suspended \"127.0.0.1\": works on the line");
    assert_int_equal(rig.peer.connections, 0);
    assert_int_equal(schedule_rig_counted(&schedule_counters(rig.scheduler)->jobs), 0);
    assert_int_equal(schedule_rig_group(&rig, id)->tries, 0);
    assert_false(err_is(suspend(&rig, "127.0.0.1", 0)));
    TURN_UNTIL(rig.loop, schedule_rig_is_idle(&rig));
    assert_int_equal(suspend(&rig, "127.0.0.1", 0).kind, ERR_NOT_FOUND);
    schedule_rig_close(&rig);
}

static void test_a_suspension_ends_by_itself(void **state)
{
    struct schedule_rig rig;

    (void)state;
    schedule_rig_open_listening(&rig, "");
    assert_false(err_is(suspend(&rig, "*", 300)));
    schedule_rig_send(&rig, schedule_rig_peer_hop(&rig), 1);
    turn_for(rig.loop, 50);
    assert_int_equal(rig.peer.connections, 0);
    TURN_UNTIL(rig.loop, schedule_rig_is_idle(&rig));
    schedule_rig_close(&rig);
}

/* What is in line already is not sent either, and a restart changes nothing. */
static void test_suspended_in_line_and_over_a_restart(void **state)
{
    struct schedule_rig rig;

    (void)state;
    schedule_rig_open_listening(&rig, "connections_per_destination = 1\npipeline_messages = no\n");
    rig.peer.final = "";
    schedule_rig_send(&rig, schedule_rig_peer_hop(&rig), 1);
    TURN_UNTIL(rig.loop, rig.peer.transactions == 1);
    uint64_t id = schedule_rig_send(&rig, schedule_rig_peer_hop(&rig), 1);
    turn_once(rig.loop);
    assert_false(err_is(suspend(&rig, "127.0.0.1", 60000)));
    smtp_peer_answer(&rig.peer, "250 ok"); /* what is being sent is finished */
    TURN_UNTIL(rig.loop, queue_memory_rows(rig.queue) == 1);
    schedule_rig_free_scheduler(&rig);
    rig.peer.final = "250 ok";
    schedule_rig_make_scheduler(&rig);
    assert_false(err_is(schedule_restore(&rig.set, rig.queue)));
    turn_for(rig.loop, 100);
    assert_int_equal(rig.peer.messages, 0);
    assert_gate(&rig, id, SCHEDULE_SUSPENDED, "works on the line");
    assert_false(err_is(suspend(&rig, "127.0.0.1", 0)));
    TURN_UNTIL(rig.loop, schedule_rig_is_idle(&rig));
    schedule_rig_close(&rig);
}

/* By the domain, or by the first host of its MX, which is looked up for it; others go on. */
static void test_suspended_by_name(void **state)
{
    struct schedule_rig rig;

    (void)state;
    schedule_rig_open_listening(&rig, "");
    dns_server_set_zone(rig.dns, "a.test MX 60 10 mx.provider.test\n"
                                 "mx.provider.test A 60 127.0.0.1\n");
    assert_false(err_is(suspend(&rig, ".provider.test", 60000)));
    uint64_t id = schedule_rig_send(&rig, schedule_rig_mx_hop(&rig, "a.test"), 1);
    TURN_UNTIL(rig.loop, ask(&rig, id).gate == SCHEDULE_SUSPENDED);
    assert_int_equal(rig.peer.connections, 0);
    schedule_rig_send(&rig, schedule_rig_peer_hop(&rig), 1);
    TURN_UNTIL(rig.loop, rig.peer.messages == 1);
    assert_false(err_is(suspend(&rig, "a.test", 60000)));
    assert_false(err_is(suspend(&rig, ".provider.test", 0)));
    turn_for(rig.loop, 50);
    assert_gate(&rig, id, SCHEDULE_SUSPENDED, "\"a.test\"");
    assert_false(err_is(suspend(&rig, "a.test", 0)));
    TURN_UNTIL(rig.loop, schedule_rig_is_idle(&rig));
    schedule_rig_close(&rig);
}

/* ---- nothing outlives its time ------------------------------------------------------------ */

static void shorten_times(struct schedule_rig *rig)
{
    uint64_t *timeouts[] = {&rig->conf->connect_timeout,    &rig->conf->greeting_timeout,
                            &rig->conf->hello_timeout,      &rig->conf->mail_timeout,
                            &rig->conf->rcpt_timeout,       &rig->conf->data_init_timeout,
                            &rig->conf->data_block_timeout, &rig->conf->data_final_timeout};

    for (size_t i = 0; i < sizeof timeouts / sizeof timeouts[0]; i++)
        *timeouts[i] = 300;
    rig->conf->expire_after = 1500;
    rig->conf->bounce_expire_after = 1500;
    rig->conf->delay_warning_after = 0;
    schedule_configure(rig->scheduler, rig->conf);
}

/* It is explained at every moment, and then it is given up: a notification takes its place. */
static void assert_ends(struct schedule_rig *rig, uint64_t id, enum schedule_gate gate)
{
    bool was_seen = false;

    schedule_start_sweep(rig->scheduler);
    while (!schedule_rig_is_gone(rig, id)) {
        struct answered asked = {.inquiry = {.home = rig->loop, .id = id}};
        list_init(&asked.inquiry.call.link);
        asked.inquiry.call.done = on_answered;
        schedule_explain(&rig->set, rig->queue, &asked.inquiry);
        TURN_UNTIL(rig->loop, asked.done);
        if (!err_is(asked.inquiry.result)) {
            assert_true(asked.inquiry.explanations[0].why_len > 0);
            was_seen = was_seen || asked.inquiry.explanations[0].gate == gate;
        }
        queue_message_unref(asked.inquiry.message);
        free(asked.inquiry.explanations);
        turn_for(rig->loop, 10);
    }
    assert_true(was_seen);
    schedule_rig_assert_dsn(rig, "r0@rcpt.test");
    rig->conf->expire_after = rig->conf->bounce_expire_after = 3600000;
}

static void test_stalls_end(void **state)
{
    (void)state;
    for (unsigned stall = 0; stall < 5; stall++) {
        struct schedule_rig rig;
        schedule_rig_open_listening(&rig, "");
        const char **words[] = {&rig.peer.greeting, &rig.peer.mail, &rig.peer.rcpt, &rig.peer.data,
                                &rig.peer.final};
        for (unsigned i = stall; i < 5;
             i++) /* what is pipelined behind it is not answered either */
            *words[i] = "";
        shorten_times(&rig);
        uint64_t id = schedule_rig_send(&rig, schedule_rig_peer_hop(&rig), 1);
        assert_ends(&rig, id, stall == 0 ? SCHEDULE_BACK_OFF : SCHEDULE_SENDING);
        schedule_rig_close(&rig);
    }
}

static void test_waits_end(void **state)
{
    enum { DEAD_DNS, BACK_OFF, RATE, SUSPENDED, HELD, FUTURE_PAST, FULL, WAITS };
    static const enum schedule_gate gates[WAITS] = {
        [DEAD_DNS] = SCHEDULE_LOOKUP, [BACK_OFF] = SCHEDULE_BACK_OFF,
        [RATE] = SCHEDULE_RATE,       [SUSPENDED] = SCHEDULE_SUSPENDED,
        [HELD] = SCHEDULE_HELD,       [FUTURE_PAST] = SCHEDULE_RELEASE_TIME,
        [FULL] = SCHEDULE_MEMORY,
    };

    (void)state;
    for (unsigned wait = 0; wait < WAITS; wait++) {
        struct schedule_rig rig;
        schedule_rig_open(&rig, wait == RATE ? "destination \"*\" { messages_per_day = 1 }\n" : "");
        const char *hop = schedule_rig_peer_hop(&rig);
        shorten_times(&rig);
        if (wait == DEAD_DNS) {
            dns_server_set_zone(rig.dns, "silent.test * !silent\n");
            hop = schedule_rig_mx_hop(&rig, "silent.test");
        }
        if (wait == RATE || wait == FULL)
            smtp_peer_listen(&rig.peer);
        if (wait == RATE) {
            schedule_rig_send(&rig, hop, 1);
            TURN_UNTIL(rig.loop, schedule_rig_is_idle(&rig));
        }
        if (wait == FULL) {
            rig.conf->window_per_destination = 1;
            rig.conf->data_final_timeout = 60000;
            rig.conf->pipeline_messages = false;
            schedule_configure(rig.scheduler, rig.conf);
            rig.peer.final = "";
            schedule_rig_send(&rig, hop, 1);
            TURN_UNTIL(rig.loop, rig.peer.transactions == 1);
        }
        if (wait == SUSPENDED)
            assert_false(err_is(suspend(&rig, "*", 3600000)));
        struct queue_message *m = schedule_rig_message(&rig, hop, 1);
        if (wait == HELD)
            m->groups[0].state = QUEUE_GROUP_HELD;
        if (wait == FUTURE_PAST) {
            m->release = m->groups[0].due = m->arrival + 500;
            m->groups[0].state = QUEUE_GROUP_FUTURE;
        }
        assert_ends(&rig, schedule_rig_add(&rig, m, wait != HELD), gates[wait]);
        if (wait == FULL)
            smtp_peer_answer(&rig.peer, "250 ok");
        schedule_rig_close(&rig);
    }
}

/* The sweep tells what it has found behind its end; mail that can be ended is never there. */
static void test_overdue_is_counted(void **state)
{
    struct schedule_rig rig;

    (void)state;
    schedule_rig_open(&rig, "");
    shorten_times(&rig);
    const struct schedule_counters *counters = schedule_counters(rig.scheduler);
    schedule_start_sweep(rig.scheduler);
    TURN_UNTIL(rig.loop, schedule_rig_counted(&counters->swept) != 0);
    assert_int_equal(schedule_rig_counted(&counters->overdue), 0);
    struct queue_message *m = schedule_rig_message(&rig, schedule_rig_peer_hop(&rig), 1);
    m->arrival -= 60000; /* it was not found when its time came */
    m->reverse_path = SPAN_NONE;
    uint64_t id = schedule_rig_add(&rig, m, false);
    TURN_UNTIL(rig.loop, schedule_rig_counted(&counters->overdue) == 1);
    assert_true(schedule_rig_is_gone(&rig, id)); /* found late, but ended */
    TURN_UNTIL(rig.loop, schedule_rig_counted(&counters->overdue) == 0);
    schedule_rig_close(&rig);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_unknown),
        cmocka_unit_test(test_sending_and_line),
        cmocka_unit_test(test_recording),
        cmocka_unit_test(test_rate),
        cmocka_unit_test(test_back_off),
        cmocka_unit_test(test_dns),
        cmocka_unit_test(test_times_and_held),
        cmocka_unit_test(test_memory),
        cmocka_unit_test(test_suspend_and_resume),
        cmocka_unit_test(test_a_suspension_ends_by_itself),
        cmocka_unit_test(test_suspended_in_line_and_over_a_restart),
        cmocka_unit_test(test_suspended_by_name),
        cmocka_unit_test(test_stalls_end),
        cmocka_unit_test(test_waits_end),
        cmocka_unit_test(test_overdue_is_counted),
    };

    return cmocka_run_group_tests(tests, NULL, schedule_rig_forget_loaded);
}
