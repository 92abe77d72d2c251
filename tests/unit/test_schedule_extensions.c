/* schedule/: what MT-PRIORITY, FUTURERELEASE and DELIVERBY make of a message in the queue. */
#include "support/schedule_rig.h"

enum { HOUR_MS = 3600000 };

static struct queue_message *make_message(struct schedule_rig *rig, const char *recipient)
{
    struct queue_message *m = schedule_rig_message(rig, schedule_rig_peer_hop(rig), 1);

    m->groups[0].recipients[0].address = span_cstr(recipient);
    return m;
}

/* Nothing is tried again by itself, and nothing is taken for a clock that was set back. */
static void be_patient(struct schedule_rig *rig)
{
    rig->conf->retry_first = rig->conf->retry_max = HOUR_MS;
    schedule_configure(rig->scheduler, rig->conf);
}

static void restart(struct schedule_rig *rig)
{
    schedule_rig_free_scheduler(rig);
    schedule_rig_make_scheduler(rig);
    assert_false(err_is(schedule_restore(&rig->set, rig->queue)));
    schedule_start_sweep(rig->scheduler);
}

static uint64_t jobs(const struct schedule_rig *rig)
{
    return schedule_rig_counted(&schedule_counters(rig->scheduler)->jobs);
}

/* ---- MT-PRIORITY -------------------------------------------------------------------------- */

static void send_with_priority(struct schedule_rig *rig, const char *recipient, int priority)
{
    struct queue_message *m = make_message(rig, recipient);

    m->priority = priority;
    schedule_rig_add(rig, m, true);
}

static void test_priority(void **state)
{
    struct schedule_rig rig;

    (void)state;
    schedule_rig_open_listening(&rig, "connections_per_destination = 1\npipeline_messages = no\n");
    rig.peer.final = "";
    send_with_priority(&rig, "first@x", -9);
    TURN_UNTIL(rig.loop, rig.peer.transactions == 1);
    send_with_priority(&rig, "plain1@x", 0);
    send_with_priority(&rig, "low@x", -1);
    send_with_priority(&rig, "high1@x", 5);
    send_with_priority(&rig, "plain2@x", 0);
    send_with_priority(&rig, "highest@x", 9);
    send_with_priority(&rig, "high2@x", 5);
    TURN_UNTIL(rig.loop, jobs(&rig) == 7);
    rig.peer.final = "250 ok";
    smtp_peer_answer(&rig.peer, "250 ok");
    TURN_UNTIL(rig.loop, schedule_rig_is_idle(&rig));
    assert_true(span_equal(buf_span(&rig.peer.recipients),
                           SPAN("first@x\n\nhighest@x\n\nhigh1@x\n\nhigh2@x\n\nplain1@x\n\n"
                                "plain2@x\n\nlow@x\n\n")));
    schedule_rig_close(&rig);
}

/* What a lost connection put back goes before those of its priority, and behind higher ones. */
static void test_priority_of_what_comes_back(void **state)
{
    struct schedule_rig rig;

    (void)state;
    schedule_rig_open_listening(&rig, "connections_per_destination = 1\n");
    send_with_priority(&rig, "warm@x", 0); /* so that the connection has been used before */
    TURN_UNTIL(rig.loop, schedule_rig_is_empty(&rig));
    rig.peer.mail = rig.peer.rcpt = rig.peer.data = "";
    send_with_priority(&rig, "back@x", 1);
    TURN_UNTIL(rig.loop, schedule_rig_counted(&schedule_counters(rig.scheduler)->jobs) == 1);
    send_with_priority(&rig, "same@x", 1);
    send_with_priority(&rig, "more@x", 2);
    send_with_priority(&rig, "less@x", 0);
    TURN_UNTIL(rig.loop, jobs(&rig) == 4);
    turn_for(rig.loop, 20);
    rig.peer.mail = rig.peer.rcpt = "250 ok";
    rig.peer.data = "354 go";
    smtp_peer_cut(&rig.peer);
    TURN_UNTIL(rig.loop, schedule_rig_is_idle(&rig));
    assert_true(span_equal(buf_span(&rig.peer.recipients),
                           SPAN("warm@x\n\nmore@x\n\nback@x\n\nsame@x\n\nless@x\n\n")));
    schedule_rig_close(&rig);
}

/* ---- FUTURERELEASE ------------------------------------------------------------------------ */

static uint64_t send_later(struct schedule_rig *rig, const char *recipient, uint64_t ms)
{
    struct queue_message *m = make_message(rig, recipient);

    m->release = m->groups[0].due = m->arrival + ms;
    m->groups[0].state = QUEUE_GROUP_FUTURE;
    return schedule_rig_add(rig, m, true);
}

static void test_release_time(void **state)
{
    struct schedule_rig rig;

    (void)state;
    schedule_rig_open_listening(&rig, "");
    rig.conf->retry_first = rig.conf->retry_max = 20; /* it lies further ahead than any retry */
    uint64_t release = clock_steady_ms() + 300;
    uint64_t id = send_later(&rig, "later@x", 300);
    schedule_rig_send(&rig, schedule_rig_peer_hop(&rig), 1); /* of now, to the same place */
    TURN_UNTIL(rig.loop, rig.peer.messages == 1 && jobs(&rig) == 0);
    assert_int_equal(schedule_rig_group(&rig, id)->state, QUEUE_GROUP_FUTURE);
    TURN_UNTIL(rig.loop, schedule_rig_is_idle(&rig));
    assert_true(clock_steady_ms() >= release);
    assert_int_equal(rig.peer.messages, 2);
    schedule_rig_close(&rig);
}

static void test_release_time_after_a_restart(void **state)
{
    struct schedule_rig rig;

    (void)state;
    schedule_rig_open_listening(&rig, "");
    rig.conf->retry_first = rig.conf->retry_max = 20;
    uint64_t release = clock_steady_ms() + 300;
    send_later(&rig, "later@x", 300);
    send_later(&rig, "never@x", HOUR_MS);
    restart(&rig);
    TURN_UNTIL(rig.loop, rig.peer.messages == 1);
    assert_true(clock_steady_ms() >= release);
    turn_for(rig.loop, 50);
    assert_int_equal(rig.peer.messages, 1);
    schedule_rig_close(&rig);
}

/* The rule for clocks that were set back still finds what it is for, even behind such mail. */
static void test_a_time_that_nobody_asked_for(void **state)
{
    struct schedule_rig rig;

    (void)state;
    schedule_rig_open_listening(&rig, "");
    send_later(&rig, "later@x", HOUR_MS);
    struct queue_message *m = make_message(&rig, "bogus@x");
    m->groups[0].due += 2 * HOUR_MS;
    schedule_rig_add(&rig, m, false);
    schedule_rig_send(&rig, schedule_rig_peer_hop(&rig), 1);
    m = make_message(&rig, "due@x");
    schedule_rig_add(&rig, m, false);
    restart(&rig);
    TURN_UNTIL(rig.loop, rig.peer.messages == 3);
    schedule_rig_close(&rig);
}

static void test_retry_before_the_release_time(void **state)
{
    struct schedule_rig rig;

    (void)state;
    schedule_rig_open_listening(&rig, "");
    uint64_t id = send_later(&rig, "later@x", HOUR_MS);
    assert_int_equal(schedule_rig_operate(&rig, SCHEDULE_RETRY, 0).affected, 0);
    assert_int_equal(schedule_rig_operate(&rig, SCHEDULE_WARN, id).affected, 0);
    turn_for(rig.loop, 20);
    assert_int_equal(rig.peer.messages, 0);
    assert_int_equal(schedule_rig_operate(&rig, SCHEDULE_RETRY, id).affected, 1);
    TURN_UNTIL(rig.loop, schedule_rig_is_idle(&rig));
    assert_int_equal(rig.peer.messages, 1);
    schedule_rig_close(&rig);
}

static void test_hold_before_the_release_time(void **state)
{
    struct schedule_rig rig;

    (void)state;
    schedule_rig_open_listening(&rig, "");
    uint64_t id = send_later(&rig, "later@x", 100);
    assert_int_equal(schedule_rig_operate(&rig, SCHEDULE_HOLD, id).affected, 1);
    turn_for(rig.loop, 200);
    assert_int_equal(rig.peer.messages, 0);
    assert_int_equal(schedule_rig_operate(&rig, SCHEDULE_RELEASE, id).affected, 1);
    TURN_UNTIL(rig.loop, schedule_rig_is_idle(&rig));
    schedule_rig_close(&rig);
}

/* Old by its arrival, young by its release. */
static void test_age_counts_from_the_release(void **state)
{
    struct schedule_rig rig;

    (void)state;
    schedule_rig_open_listening(&rig, "");
    be_patient(&rig);
    rig.conf->delay_warning_after = 1000; /* and the sweep looks often */
    rig.peer.final = "451 4.3.0 later";
    struct queue_message *m = make_message(&rig, "old@x");
    m->release = m->groups[0].due = m->arrival;
    m->groups[0].state = QUEUE_GROUP_FUTURE;
    m->arrival -= rig.conf->expire_after + HOUR_MS;
    uint64_t id = schedule_rig_add(&rig, m, true);
    schedule_start_sweep(rig.scheduler);
    TURN_UNTIL(rig.loop, schedule_rig_group(&rig, id)->tries == 1);
    turn_for(rig.loop, 250);
    assert_int_equal(schedule_rig_group(&rig, id)->state, QUEUE_GROUP_WAITING);
    assert_int_equal(queue_memory_rows(rig.queue), 1); /* and nobody has been told anything */
    schedule_rig_close(&rig);
}

/* ---- DELIVERBY ---------------------------------------------------------------------------- */

static struct queue_message *make_urgent(struct schedule_rig *rig, enum esmtp_by by, int ms)
{
    struct queue_message *m = make_message(rig, "r0@rcpt.test");

    m->by = by;
    m->deliver_by = m->arrival + (uint64_t)(int64_t)ms;
    return m;
}

static void assert_returned_in_time(struct schedule_rig *rig, uint64_t id, uint64_t deliver_by)
{
    TURN_UNTIL(rig->loop, schedule_rig_is_gone(rig, id));
    assert_in_range(clock_steady_ms(), deliver_by, deliver_by + 20000); /* the sweep's wait: 60 s */
    schedule_rig_assert_only_a_dsn(rig, id);
    schedule_rig_assert_dsn(rig, "\r\nAction: failed\r\nStatus: 5.4.7\r\n");
    schedule_rig_assert_dsn(rig, "\r\nDeliver-By-Date: ");
}

/* Whatever the group waits for. */
static void test_returned_at_its_time(void **state)
{
    enum { BACKED_OFF, DEFERRED, HELD, WAYS };

    (void)state;
    for (int way = BACKED_OFF; way < WAYS; way++) {
        struct schedule_rig rig;
        schedule_rig_open(&rig, "");
        be_patient(&rig);
        rig.peer.final = "451 4.3.0 later";
        rig.peer.offers = "250-DELIVERBY\r\n";
        if (way == DEFERRED)
            smtp_peer_listen(&rig.peer);
        schedule_start_sweep(rig.scheduler);
        turn_for(rig.loop, 20); /* it has looked, and found that there is nothing to wait for */
        struct queue_message *m = make_urgent(&rig, ESMTP_BY_RETURN, 1300);
        uint64_t deliver_by = m->deliver_by;
        if (way == HELD)
            m->groups[0].state = QUEUE_GROUP_HELD;
        uint64_t id = schedule_rig_add(&rig, m, true);
        assert_returned_in_time(&rig, id, deliver_by);
        if (way == DEFERRED)
            schedule_rig_assert_dsn(&rig, "451 4.3.0 later");
        schedule_rig_close(&rig);
    }
}

static void test_returned_after_a_restart(void **state)
{
    static const int times[] = {-1000, 300}; /* while no process ran, and soon after its start */

    (void)state;
    for (int i = 0; i < 2; i++) {
        struct schedule_rig rig;
        schedule_rig_open(&rig, "");
        be_patient(&rig);
        struct queue_message *m = make_urgent(&rig, ESMTP_BY_RETURN, times[i]);
        uint64_t deliver_by = m->deliver_by;
        uint64_t id = schedule_rig_add(&rig, m, false);
        restart(&rig);
        assert_returned_in_time(&rig, id, deliver_by);
        schedule_rig_close(&rig);
    }
}

/* In a line that nobody has looked at since. */
static void test_late_mail_is_not_sent(void **state)
{
    struct schedule_rig rig;

    (void)state;
    schedule_rig_open_listening(&rig, "");
    uint64_t id = schedule_rig_add(&rig, make_urgent(&rig, ESMTP_BY_RETURN, -1), true);
    TURN_UNTIL(rig.loop, schedule_rig_is_gone(&rig, id));
    assert_int_equal(rig.peer.transactions, 0);
    schedule_rig_assert_only_a_dsn(&rig, id);
    schedule_rig_assert_dsn(&rig, "\r\nStatus: 5.4.7\r\n");
    schedule_rig_close(&rig);
}

/* Its time passes while the next hop thinks. */
static void test_busy_at_its_time(void **state)
{
    static const struct {
        const char *answer;
        bool delivered;
    } cases[] = {{"250 ok", true}, {"451 4.3.0 later", false}};

    (void)state;
    for (int i = 0; i < 2; i++) {
        struct schedule_rig rig;
        schedule_rig_open_listening(&rig, "");
        be_patient(&rig);
        rig.peer.final = "";
        rig.peer.offers = "250-DELIVERBY\r\n";
        schedule_start_sweep(rig.scheduler);
        uint64_t id = schedule_rig_add(&rig, make_urgent(&rig, ESMTP_BY_RETURN, 1500), true);
        TURN_UNTIL(rig.loop, rig.peer.transactions == 1);
        turn_for(rig.loop, 1600);
        assert_false(schedule_rig_is_gone(&rig, id));
        smtp_peer_answer(&rig.peer, cases[i].answer);
        TURN_UNTIL(rig.loop, schedule_rig_is_gone(&rig, id));
        if (cases[i].delivered)
            assert_true(schedule_rig_is_empty(&rig));
        else
            schedule_rig_assert_dsn(&rig, "\r\nStatus: 5.4.7\r\n");
        schedule_rig_close(&rig);
    }
}

/* What was being recorded when its time came is looked at again. */
static void test_busy_and_kept(void **state)
{
    struct schedule_rig rig;

    (void)state;
    schedule_rig_open_listening(&rig, "");
    be_patient(&rig);
    rig.peer.final = "";
    schedule_start_sweep(rig.scheduler);
    uint64_t id = schedule_rig_add(&rig, make_urgent(&rig, ESMTP_BY_NOTIFY, 200), true);
    TURN_UNTIL(rig.loop, rig.peer.transactions == 1);
    turn_for(rig.loop, 300);
    assert_false(schedule_rig_group(&rig, id)->late_told);
    smtp_peer_answer(&rig.peer, "451 4.3.0 later");
    TURN_UNTIL(rig.loop, schedule_rig_group(&rig, id)->late_told);
    assert_int_equal(schedule_rig_group(&rig, id)->tries, 1);
    schedule_rig_close(&rig);
}

static void test_told_at_its_time(void **state)
{
    struct schedule_rig rig;

    (void)state;
    schedule_rig_open(&rig, "");
    be_patient(&rig);
    rig.conf->delay_warning_after = 500; /* once is enough */
    schedule_start_sweep(rig.scheduler);
    uint64_t id = schedule_rig_add(&rig, make_urgent(&rig, ESMTP_BY_NOTIFY, 200), true);
    TURN_UNTIL(rig.loop, schedule_rig_group(&rig, id)->late_told);
    assert_int_equal(queue_memory_rows(rig.queue), 2);
    schedule_rig_assert_dsn(&rig, "\r\nAction: delayed\r\nStatus: 4.4.7\r\n");
    restart(&rig);
    turn_for(rig.loop, 700);
    assert_int_equal(queue_memory_rows(rig.queue), 2);
    smtp_peer_listen(&rig.peer); /* and it is delivered, late as it is */
    assert_int_equal(schedule_rig_operate(&rig, SCHEDULE_RETRY, id).affected, 1);
    TURN_UNTIL(rig.loop, rig.peer.messages == 1 && schedule_rig_is_gone(&rig, id));
    schedule_rig_close(&rig);
}

static void test_told_before_it_came(void **state)
{
    struct schedule_rig rig;

    (void)state;
    schedule_rig_open(&rig, "");
    be_patient(&rig);
    schedule_start_sweep(rig.scheduler);
    struct queue_message *m = make_urgent(&rig, ESMTP_BY_NOTIFY, -1000);
    m->groups[0].late_told = true;
    schedule_rig_add(&rig, m, true);
    turn_for(rig.loop, 200);
    assert_int_equal(queue_memory_rows(rig.queue), 1);
    schedule_rig_close(&rig);
}

/* Each message once, more of them than one look takes. */
static void test_many_at_the_same_time(void **state)
{
    enum { MESSAGES = 600 };
    struct schedule_rig rig;

    (void)state;
    schedule_rig_open(&rig, "");
    be_patient(&rig);
    for (int i = 0; i < MESSAGES; i++)
        schedule_rig_add(&rig, make_urgent(&rig, ESMTP_BY_NOTIFY, -1000), false);
    restart(&rig);
    TURN_UNTIL(rig.loop, queue_memory_rows(rig.queue) == (size_t)(2 * MESSAGES));
    turn_for(rig.loop, 100);
    assert_int_equal(queue_memory_rows(rig.queue), 2 * MESSAGES);
    schedule_rig_close(&rig);
}

static void test_by_trace(void **state)
{
    static const struct {
        bool dsn_passed;
        unsigned notify;
        bool told;
    } cases[] = {
        {false, 0, true},
        {true, 0, true},
        {true, ESMTP_NOTIFY_FAILURE, true},
        {true, ESMTP_NOTIFY_NEVER, false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct schedule_rig rig;
        schedule_rig_open(&rig, "");
        rig.peer.offers = cases[i].dsn_passed ? "250-DSN\r\n" : "";
        smtp_peer_listen(&rig.peer);
        struct queue_message *m = make_urgent(&rig, ESMTP_BY_NOTIFY, HOUR_MS);
        m->flags |= QUEUE_BY_TRACE;
        m->groups[0].recipients[0].notify = cases[i].notify;
        uint64_t id = schedule_rig_add(&rig, m, true);
        TURN_UNTIL(rig.loop, schedule_rig_is_gone(&rig, id));
        if (cases[i].told)
            schedule_rig_assert_dsn(&rig, "\r\nAction: relayed\r\n");
        else
            assert_true(schedule_rig_is_empty(&rig));
        schedule_rig_close(&rig);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_priority),
        cmocka_unit_test(test_priority_of_what_comes_back),
        cmocka_unit_test(test_release_time),
        cmocka_unit_test(test_release_time_after_a_restart),
        cmocka_unit_test(test_a_time_that_nobody_asked_for),
        cmocka_unit_test(test_retry_before_the_release_time),
        cmocka_unit_test(test_hold_before_the_release_time),
        cmocka_unit_test(test_age_counts_from_the_release),
        cmocka_unit_test(test_returned_at_its_time),
        cmocka_unit_test(test_returned_after_a_restart),
        cmocka_unit_test(test_late_mail_is_not_sent),
        cmocka_unit_test(test_busy_at_its_time),
        cmocka_unit_test(test_busy_and_kept),
        cmocka_unit_test(test_told_at_its_time),
        cmocka_unit_test(test_told_before_it_came),
        cmocka_unit_test(test_many_at_the_same_time),
        cmocka_unit_test(test_by_trace),
    };

    return cmocka_run_group_tests(tests, NULL, schedule_rig_forget_loaded);
}
