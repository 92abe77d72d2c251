/* schedule/ with deliver/ under it: from arrival to settlement, and all that comes between. */
#include "support/schedule_rig.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

/* ---- delivery ----------------------------------------------------------------------------- */

static void test_delivered_from_memory(void **state)
{
    struct schedule_rig rig;

    (void)state;
    schedule_rig_open_listening(&rig, "connection_idle_timeout = 20ms\n");
    schedule_rig_send(&rig, schedule_rig_peer_hop(&rig), 2);
    TURN_UNTIL(rig.loop, schedule_rig_is_idle(&rig));
    const struct schedule_counters *counters = schedule_counters(rig.scheduler);
    assert_int_equal(rig.peer.messages, 1);
    assert_int_equal(schedule_rig_counted(&counters->delivered), 2);
    assert_true(span_equal(buf_span(&rig.peer.recipients), SPAN("r0@rcpt.test\nr1@rcpt.test\n\n")));
    assert_true(span_equal(buf_span(&rig.peer.last_body),
                           SPAN("Received: by test\r\nSubject: x\r\n\r\nbody\r\n")));
    TURN_UNTIL(rig.loop, schedule_rig_counted(&counters->destinations) == 0); /* and is forgotten */
    TURN_UNTIL(rig.loop, schedule_rig_counted(&counters->connections) == 0);
    assert_int_equal(rig.peer.connections, 1);
    schedule_rig_close(&rig);
}

static void test_found_in_the_store_at_start(void **state)
{
    struct schedule_rig rig;

    (void)state;
    schedule_rig_open_listening(&rig, "");
    for (int i = 0; i < 3; i++)
        schedule_rig_add(&rig, schedule_rig_message(&rig, schedule_rig_peer_hop(&rig), 1), false);
    turn_for(rig.loop, 20);
    assert_int_equal(rig.peer.connections, 0);
    assert_false(err_is(schedule_restore(&rig.set, rig.queue)));
    TURN_UNTIL(rig.loop, schedule_rig_is_idle(&rig));
    assert_int_equal(rig.peer.messages, 3);
    assert_non_null(memmem(buf_span(&rig.peer.last_body).ptr, buf_len(&rig.peer.last_body),
                           "\r\n\r\nbody\r\n", 10));
    schedule_rig_close(&rig);
}

/* Whether it is idle; keeps the highest number of jobs that was seen. */
static bool is_idle_noting_jobs(struct schedule_rig *rig, uint64_t *most)
{
    uint64_t jobs = schedule_rig_counted(&schedule_counters(rig->scheduler)->jobs);

    *most = jobs > *most ? jobs : *most;
    return schedule_rig_is_idle(rig);
}

/* The peer greets nobody before all of them have come. */
static void test_more_than_the_window(void **state)
{
    enum { MESSAGES = 40 };
    struct schedule_rig rig;
    uint64_t jobs_most = 0;

    (void)state;
    schedule_rig_open_listening(&rig,
                                "window_per_destination = 4\nconnections_per_destination = 2\n");
    const char *greeting = rig.peer.greeting;
    rig.peer.greeting = "";
    for (int i = 0; i < MESSAGES; i++)
        schedule_rig_send(&rig, schedule_rig_peer_hop(&rig), 1);
    TURN_UNTIL(rig.loop, !is_idle_noting_jobs(&rig, &jobs_most) && rig.peer.open > 0);
    rig.peer.greeting = greeting;
    for (struct list *node = rig.peer.conns.next; node != &rig.peer.conns; node = node->next)
        smtp_peer_say(container_of(node, struct smtp_peer_conn, link), greeting);
    TURN_UNTIL(rig.loop, is_idle_noting_jobs(&rig, &jobs_most));
    assert_int_equal(rig.peer.messages, MESSAGES);
    assert_in_range(jobs_most, 4, 6); /* two for each connection, and half a window in line */
    assert_in_range(rig.peer.open_most, 1, 2);
    schedule_rig_close(&rig);
}

static void test_messages_per_connection(void **state)
{
    struct schedule_rig rig;

    (void)state;
    schedule_rig_open_listening(&rig,
                                "messages_per_connection = 2\nconnections_per_destination = 1\n");
    for (int i = 0; i < 5; i++)
        schedule_rig_send(&rig, schedule_rig_peer_hop(&rig), 1);
    TURN_UNTIL(rig.loop, schedule_rig_is_idle(&rig));
    assert_int_equal(rig.peer.messages, 5);
    assert_int_equal(rig.peer.connections, 3);
    assert_int_equal(rig.peer.open_most, 1);
    schedule_rig_close(&rig);
}

/* ---- hosts -------------------------------------------------------------------------------- */

#define ZONE                                                                                       \
    "good.test MX 60 10 host.test\n"                                                               \
    "plain.test A 60 127.0.0.1\n"                                                                  \
    "host.test A 60 127.0.0.1\n"                                                                   \
    "null.test MX 60 0 .\n"                                                                        \
    "empty.test MX 60 10 nowhere.test\n"                                                           \
    "broken.test * !servfail\n"

static void test_mail_hosts(void **state)
{
    static const struct {
        const char *domain;
        bool delivered;
        uint16_t refused, backs_off;
    } cases[] = {
        {"good.test", true, 0, 0},       {"plain.test", true, 0, 0},
        {"unknown.test", false, 550, 0}, {"null.test", false, 556, 0},
        {"broken.test", false, 0, 451},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct schedule_rig rig;
        schedule_rig_open_listening(&rig, "");
        dns_server_set_zone(rig.dns, ZONE);
        uint64_t id = schedule_rig_send(&rig, schedule_rig_mx_hop(&rig, cases[i].domain), 1);
        TURN_UNTIL(rig.loop, schedule_rig_is_gone(&rig, id) || schedule_rig_back_off(&rig).records);
        assert_int_equal(rig.peer.messages, cases[i].delivered);
        assert_int_equal(schedule_rig_back_off(&rig).code, cases[i].backs_off);
        assert_int_equal(schedule_rig_is_gone(&rig, id), cases[i].backs_off == 0);
        assert_int_equal(queue_memory_rows(rig.queue), !cases[i].delivered); /* it, or its DSN */
        schedule_rig_close(&rig);
    }
}

/* Refused by the first host: the next one has it, and nothing backs off. */
static void test_the_next_host(void **state)
{
    struct schedule_rig rig;
    struct smtp_peer second;

    (void)state;
    schedule_rig_open(&rig, "");
    smtp_peer_open(&second, rig.loop);
    smtp_peer_listen(&second);
    schedule_rig_send(&rig,
                      arena_printf(&rig.arena, "hosts:[127.0.0.1]:%u,[127.0.0.1]:%u;tls=none",
                                   rig.peer.port, second.port)
                          .ptr,
                      1);
    TURN_UNTIL(rig.loop, schedule_rig_is_idle(&rig));
    assert_int_equal(second.messages, 1);
    assert_int_equal(schedule_rig_back_off(&rig).records, 0);
    schedule_rig_free_scheduler(&rig);
    schedule_rig_make_scheduler(&rig);
    smtp_peer_close(&second);
    schedule_rig_close(&rig);
}

static void test_a_next_hop_that_nobody_can_read(void **state)
{
    static const char *const hops[] = {"nonsense", "hosts:[not.an.address]:25;tls=none"};

    (void)state;
    for (size_t i = 0; i < COUNT(hops); i++) {
        struct schedule_rig rig;
        schedule_rig_open(&rig, "");
        uint64_t id = schedule_rig_send(&rig, hops[i], 1);
        TURN_UNTIL(rig.loop, schedule_rig_back_off(&rig).failures == 2); /* it goes on trying */
        assert_int_equal(schedule_rig_back_off(&rig).code, 451);
        assert_false(schedule_rig_is_gone(&rig, id));
        assert_int_equal(schedule_rig_counted(&schedule_counters(rig.scheduler)->jobs), 0);
        schedule_rig_close(&rig);
    }
}

/* ---- back-off ----------------------------------------------------------------------------- */

static void test_refused_then_recovered(void **state)
{
    struct schedule_rig rig;

    (void)state;
    schedule_rig_open(&rig, "");
    uint64_t id = schedule_rig_send(&rig, schedule_rig_peer_hop(&rig), 1);
    TURN_UNTIL(rig.loop, schedule_rig_back_off(&rig).failures == 2);
    struct schedule_rig_back_off found = schedule_rig_back_off(&rig);
    assert_int_equal(found.records, 1);
    assert_true(found.until > clock_steady_ms());
    assert_int_equal(found.code, 451);
    assert_int_equal(schedule_rig_group(&rig, id)->tries, 0); /* the message is not to blame */
    assert_int_equal(schedule_rig_counted(&schedule_counters(rig.scheduler)->jobs), 0);
    schedule_rig_send(&rig, schedule_rig_peer_hop(&rig), 1); /* waits in the store */
    smtp_peer_listen(&rig.peer);
    TURN_UNTIL(rig.loop, schedule_rig_is_idle(&rig) && schedule_rig_back_off(&rig).records == 0);
    assert_int_equal(rig.peer.messages, 2);
    schedule_rig_close(&rig);
}

static void test_a_back_off_survives_a_restart(void **state)
{
    struct schedule_rig rig;

    (void)state;
    schedule_rig_open(&rig, "");
    schedule_rig_send(&rig, schedule_rig_peer_hop(&rig), 1);
    TURN_UNTIL(rig.loop, schedule_rig_back_off(&rig).failures == 3);
    uint64_t until = schedule_rig_back_off(&rig).until;
    schedule_rig_free_scheduler(&rig);
    schedule_rig_make_scheduler(&rig);
    smtp_peer_listen(&rig.peer);
    assert_false(err_is(schedule_restore(&rig.set, rig.queue)));
    TURN_UNTIL(rig.loop, schedule_rig_is_idle(&rig));
    assert_true(clock_steady_ms() >= until);
    TURN_UNTIL(rig.loop, schedule_rig_back_off(&rig).records == 0);
    schedule_rig_close(&rig);
}

static void test_retry_lifts_a_back_off(void **state)
{
    struct schedule_rig rig;

    (void)state;
    schedule_rig_open(&rig, "");
    rig.conf->retry_first = rig.conf->retry_max = 3600000;
    uint64_t id = schedule_rig_send(&rig, schedule_rig_peer_hop(&rig), 1);
    TURN_UNTIL(rig.loop, schedule_rig_back_off(&rig).records == 1);
    smtp_peer_listen(&rig.peer);
    struct schedule_operation op = schedule_rig_operate(&rig, SCHEDULE_RETRY, id);
    assert_int_equal(op.affected, 1);
    TURN_UNTIL(rig.loop, schedule_rig_is_idle(&rig) && schedule_rig_back_off(&rig).records == 0);
    assert_int_equal(rig.peer.messages, 1);
    schedule_rig_close(&rig);
}

static void test_retry_records_nothing_of_what_is_due(void **state)
{
    struct schedule_rig rig;

    (void)state;
    schedule_rig_open(&rig, "");
    rig.conf->retry_first = rig.conf->retry_max = 3600000;
    uint64_t id = schedule_rig_send(&rig, schedule_rig_peer_hop(&rig), 1);
    uint64_t due = schedule_rig_group(&rig, id)->due;
    TURN_UNTIL(rig.loop, schedule_rig_back_off(&rig).records == 1 && clock_steady_ms() > due);
    assert_int_equal(schedule_rig_operate(&rig, SCHEDULE_RETRY, id).affected, 1);
    assert_int_equal(schedule_rig_group(&rig, id)->due, due);
    schedule_rig_close(&rig);
}

static void test_the_record_goes_with_the_last_message(void **state)
{
    struct schedule_rig rig;

    (void)state;
    schedule_rig_open(&rig, "");
    uint64_t id = schedule_rig_send(&rig, schedule_rig_peer_hop(&rig), 1);
    TURN_UNTIL(rig.loop, schedule_rig_back_off(&rig).records == 1);
    assert_int_equal(schedule_rig_operate(&rig, SCHEDULE_REMOVE, id).affected, 1);
    assert_true(schedule_rig_is_empty(&rig));
    TURN_UNTIL(rig.loop, schedule_rig_back_off(&rig).records == 0);
    TURN_UNTIL(rig.loop,
               schedule_rig_counted(&schedule_counters(rig.scheduler)->destinations) == 0);
    schedule_rig_close(&rig);
}

/* A host that serves one connection is not taken for one that is down. */
static void test_one_connection_is_enough(void **state)
{
    struct schedule_rig rig;

    (void)state;
    schedule_rig_open_listening(&rig, "connections_per_destination = 8\n");
    rig.conf->retry_first = rig.conf->retry_max = 3600000;
    rig.peer.serves_most = 1;
    for (int i = 0; i < 30; i++)
        schedule_rig_send(&rig, schedule_rig_peer_hop(&rig), 1);
    TURN_UNTIL(rig.loop, schedule_rig_is_idle(&rig));
    assert_int_equal(rig.peer.messages, 30);
    assert_int_equal(schedule_rig_back_off(&rig).records, 0);
    assert_in_range(rig.peer.connections, 2, 12); /* nor is it asked again and again */
    schedule_rig_close(&rig);
}

static void test_turned_away(void **state)
{
    struct schedule_rig rig;

    (void)state;
    schedule_rig_open_listening(&rig, "");
    rig.peer.greeting = "421 4.3.2 busy";
    uint64_t id = schedule_rig_send(&rig, schedule_rig_peer_hop(&rig), 1);
    TURN_UNTIL(rig.loop, schedule_rig_back_off(&rig).failures == 2);
    assert_int_equal(schedule_rig_back_off(&rig).code, 421);
    rig.peer.greeting = "220 peer";
    rig.peer.mail = "421 4.3.2 too busy"; /* the message is not to blame either */
    TURN_UNTIL(rig.loop, schedule_rig_back_off(&rig).failures == 3);
    assert_int_equal(schedule_rig_group(&rig, id)->tries, 0);
    rig.peer.mail = "250 ok";
    TURN_UNTIL(rig.loop, schedule_rig_is_idle(&rig));
    assert_int_equal(rig.peer.messages, 1);
    schedule_rig_close(&rig);
}

static const char *turn_away_third(struct smtp_peer *peer, struct span address)
{
    (void)peer;
    return address.ptr[1] == '2' ? "421 4.7.0 not you" : "250 ok";
}

/* The others do not wait behind the one for which the host ends each connection. */
static void test_one_that_is_turned_away(void **state)
{
    struct schedule_rig rig;

    (void)state;
    schedule_rig_open_listening(&rig, "");
    rig.peer.judge = turn_away_third;
    uint64_t first = schedule_rig_send(&rig, schedule_rig_peer_hop(&rig), 3);
    TURN_UNTIL(rig.loop, rig.peer.connections > 0);
    uint64_t second = schedule_rig_send(&rig, schedule_rig_peer_hop(&rig), 1);
    TURN_UNTIL(rig.loop, schedule_rig_is_gone(&rig, second));
    TURN_UNTIL(rig.loop, schedule_rig_group(&rig, first)->tries == 2);
    assert_int_equal(schedule_rig_group(&rig, first)->recipients[2].last.code, 421);
    rig.peer.judge = NULL;
    TURN_UNTIL(rig.loop, schedule_rig_is_idle(&rig));
    assert_int_equal(rig.peer.messages, 2);
    schedule_rig_close(&rig);
}

/* ---- outcomes ----------------------------------------------------------------------------- */

static const char *refuse_second(struct smtp_peer *peer, struct span address)
{
    (void)peer;
    return address.ptr[1] == '1' ? "550 5.1.1 nobody" : "250 ok";
}

static void test_refused_for_good(void **state)
{
    struct schedule_rig rig;

    (void)state;
    schedule_rig_open_listening(&rig, "");
    rig.peer.judge = refuse_second;
    uint64_t id = schedule_rig_send(&rig, schedule_rig_peer_hop(&rig), 3);
    TURN_UNTIL(rig.loop, schedule_rig_is_gone(&rig, id));
    schedule_rig_assert_only_a_dsn(&rig, id);
    schedule_rig_assert_dsn(&rig, "Final-Recipient: rfc822; r1@rcpt.test\r\n");
    const struct schedule_counters *counters = schedule_counters(rig.scheduler);
    assert_int_equal(schedule_rig_counted(&counters->delivered), 2);
    assert_int_equal(schedule_rig_counted(&counters->failed), 1);
    schedule_rig_close(&rig);
}

static void test_no_dsn_about_a_dsn(void **state)
{
    struct schedule_rig rig;

    (void)state;
    schedule_rig_open_listening(&rig, "");
    rig.peer.final = "554 5.6.0 no";
    struct queue_message *m = schedule_rig_message(&rig, schedule_rig_peer_hop(&rig), 1);
    m->reverse_path = SPAN_NONE;
    schedule_rig_add(&rig, m, true);
    TURN_UNTIL(rig.loop, schedule_rig_is_idle(&rig));
    schedule_rig_close(&rig);
}

static void test_deferred_with_growing_waits(void **state)
{
    struct schedule_rig rig;
    uint64_t due = 0, wait = 0;

    (void)state;
    schedule_rig_open_listening(&rig, "");
    rig.peer.final = "451 4.3.0 later";
    uint64_t id = schedule_rig_send(&rig, schedule_rig_peer_hop(&rig), 1);
    for (uint32_t tries = 1; tries <= 3; tries++) {
        TURN_UNTIL(rig.loop, schedule_rig_group(&rig, id)->tries == tries);
        const struct queue_group *group = schedule_rig_group(&rig, id);
        uint64_t next = group->due - clock_steady_ms();
        assert_true(group->due > due && next > wait);
        assert_int_equal(group->recipients[0].last.code, 451);
        due = group->due;
        wait = next;
    }
    assert_int_equal(schedule_rig_back_off(&rig).records, 0);
    rig.peer.final = "250 ok";
    TURN_UNTIL(rig.loop, schedule_rig_is_idle(&rig));
    assert_true(clock_steady_ms() >= due);
    assert_int_equal(rig.peer.transactions, 4);
    schedule_rig_close(&rig);
}

static void test_lost_before_it_was_judged(void **state)
{
    struct schedule_rig rig;

    (void)state;
    schedule_rig_open_listening(&rig, "");
    rig.peer.final = "";
    uint64_t id = schedule_rig_send(&rig, schedule_rig_peer_hop(&rig), 1);
    TURN_UNTIL(rig.loop, rig.peer.transactions == 1);
    smtp_peer_cut(&rig.peer); /* it may have been taken: a try like any other */
    TURN_UNTIL(rig.loop, schedule_rig_group(&rig, id)->tries == 1);
    rig.peer.final = "250 ok";
    TURN_UNTIL(rig.loop, schedule_rig_is_idle(&rig));
    schedule_rig_close(&rig);
}

/* What was delivered is never sent again while its settlement waits for the store. */
static void test_a_store_that_will_not_settle(void **state)
{
    struct schedule_rig rig;

    (void)state;
    schedule_rig_open_listening(&rig, "queue_command_wait = 0\n");
    rig.peer.final = "";
    uint64_t id = schedule_rig_send(&rig, schedule_rig_peer_hop(&rig), 1);
    TURN_UNTIL(rig.loop, rig.peer.transactions == 1);
    queue_memory_fail_next(rig.queue, err_make(ERR_NO_SPACE, "test"));
    smtp_peer_answer(&rig.peer, "250 ok");
    TURN_UNTIL(rig.loop, schedule_rig_counted(&schedule_counters(rig.scheduler)->delivered) == 1);
    turn_once(rig.loop);
    assert_false(schedule_rig_is_gone(&rig, id));
    assert_int_equal(schedule_rig_operate(&rig, SCHEDULE_RETRY, id).busy, 1);
    TURN_UNTIL(rig.loop, schedule_rig_is_idle(&rig));
    assert_int_equal(rig.peer.transactions, 1);
    schedule_rig_close(&rig);
}

/* ---- more recipients than a transaction takes --------------------------------------------- */

static void test_in_several_transactions(void **state)
{
    struct schedule_rig rig;

    (void)state;
    schedule_rig_open_listening(&rig, "recipients_per_transaction = 2\n");
    schedule_rig_send(&rig, schedule_rig_peer_hop(&rig), 5);
    TURN_UNTIL(rig.loop, schedule_rig_is_idle(&rig));
    assert_int_equal(rig.peer.messages, 3);
    assert_true(span_equal(buf_span(&rig.peer.recipients),
                           SPAN("r0@rcpt.test\nr1@rcpt.test\n\nr2@rcpt.test\nr3@rcpt.test\n\n"
                                "r4@rcpt.test\n\n")));
    schedule_rig_close(&rig);
}

static const char *const domains[] = {"r0@a.test", "r1@b.test", "r2@A.test", "r3@c.test"};

/* RFC 9422: what the peer says of itself bounds a transaction, too. */
static void test_limits_of_the_peer(void **state)
{
    static const struct {
        const char *offers, *want;
    } cases[] = {
        {"250-LIMITS RCPTMAX=3\r\n", "r0@a.test\nr1@b.test\nr2@A.test\n\nr3@c.test\n\n"},
        {"250-LIMITS RCPTDOMAINMAX=1\r\n", "r0@a.test\nr2@A.test\n\nr1@b.test\n\nr3@c.test\n\n"},
        {"250-LIMITS RCPTDOMAINMAX=2 RCPTMAX=2\r\n",
         "r0@a.test\nr1@b.test\n\nr2@A.test\nr3@c.test\n\n"},
        {"250-LIMITS RCPTDOMAINMAX=2\r\n", "r0@a.test\nr1@b.test\nr2@A.test\n\nr3@c.test\n\n"},
        {"250-LIMITS RCPTMAX=0 RCPTDOMAINMAX=0\r\n",
         "r0@a.test\nr1@b.test\nr2@A.test\nr3@c.test\n\n"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct schedule_rig rig;
        schedule_rig_open_listening(&rig, "");
        rig.peer.offers = cases[i].offers;
        struct queue_message *m =
            schedule_rig_message(&rig, schedule_rig_peer_hop(&rig), COUNT(domains));
        for (size_t to = 0; to < COUNT(domains); to++)
            m->groups[0].recipients[to].address = span_cstr(domains[to]);
        schedule_rig_add(&rig, m, true);
        TURN_UNTIL(rig.loop, schedule_rig_is_idle(&rig));
        buf_add(&rig.peer.recipients, span_of("", 1));
        assert_string_equal(buf_span(&rig.peer.recipients).ptr, cases[i].want);
        schedule_rig_close(&rig);
    }
}

static const char *defer_early_ones(struct smtp_peer *peer, struct span address)
{
    (void)peer;
    return address.ptr[1] < '4' ? "450 4.2.0 not now" : "250 ok";
}

/* Those that are deferred neither make the others wait nor take their turns. */
static void test_deferred_ones_do_not_hold_the_others(void **state)
{
    struct schedule_rig rig;

    (void)state;
    schedule_rig_open_listening(&rig, "recipients_per_transaction = 2\n");
    rig.conf->retry_first = rig.conf->retry_max = 3600000;
    rig.peer.judge = defer_early_ones;
    uint64_t id = schedule_rig_send(&rig, schedule_rig_peer_hop(&rig), 6);
    TURN_UNTIL(rig.loop, rig.peer.messages == 1);
    TURN_UNTIL(rig.loop, schedule_rig_group(&rig, id)->tries == 1);
    assert_int_equal(schedule_rig_group(&rig, id)->recipient_count, 4);
    schedule_rig_close(&rig);
    schedule_rig_open(&rig, "recipients_per_transaction = 2\n");
    rig.conf->retry_first = rig.conf->retry_max = 20;
    smtp_peer_listen(&rig.peer);
    rig.peer.rcpt = "450 4.2.0 not now";
    id = schedule_rig_send(&rig, schedule_rig_peer_hop(&rig), 6);
    TURN_UNTIL(rig.loop, schedule_rig_group(&rig, id)->tries == 1);
    rig.peer.judge = defer_early_ones; /* from now on only the last two are taken */
    TURN_UNTIL(rig.loop, schedule_rig_group(&rig, id)->recipient_count == 4);
    schedule_rig_close(&rig);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_delivered_from_memory),
        cmocka_unit_test(test_limits_of_the_peer),
        cmocka_unit_test(test_found_in_the_store_at_start),
        cmocka_unit_test(test_more_than_the_window),
        cmocka_unit_test(test_messages_per_connection),
        cmocka_unit_test(test_mail_hosts),
        cmocka_unit_test(test_the_next_host),
        cmocka_unit_test(test_a_next_hop_that_nobody_can_read),
        cmocka_unit_test(test_refused_then_recovered),
        cmocka_unit_test(test_a_back_off_survives_a_restart),
        cmocka_unit_test(test_retry_lifts_a_back_off),
        cmocka_unit_test(test_retry_records_nothing_of_what_is_due),
        cmocka_unit_test(test_the_record_goes_with_the_last_message),
        cmocka_unit_test(test_one_connection_is_enough),
        cmocka_unit_test(test_turned_away),
        cmocka_unit_test(test_one_that_is_turned_away),
        cmocka_unit_test(test_refused_for_good),
        cmocka_unit_test(test_no_dsn_about_a_dsn),
        cmocka_unit_test(test_deferred_with_growing_waits),
        cmocka_unit_test(test_lost_before_it_was_judged),
        cmocka_unit_test(test_a_store_that_will_not_settle),
        cmocka_unit_test(test_in_several_transactions),
        cmocka_unit_test(test_deferred_ones_do_not_hold_the_others),
    };

    return cmocka_run_group_tests(tests, NULL, schedule_rig_forget_loaded);
}
