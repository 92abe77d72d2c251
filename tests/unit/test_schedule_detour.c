/* schedule/: a message that one host of its next hop cannot take, and what the others say. */
#include "support/schedule_rig.h"

#define TAKES_UTF8 "250-SMTPUTF8\r\n"

/* A rig whose next hop is its peer and a second one behind it. */
struct two_hosts {
    struct schedule_rig rig;
    struct smtp_peer second;
    const char *next_hop;
};

/* Nobody listens on the second host yet. */
static void open_two(struct two_hosts *two)
{
    schedule_rig_open_listening(&two->rig, "");
    smtp_peer_open(&two->second, two->rig.loop);
    two->next_hop = arena_printf(&two->rig.arena, "hosts:[127.0.0.1]:%u,[127.0.0.1]:%u;tls=none",
                                 two->rig.peer.port, two->second.port)
                        .ptr;
}

static void close_two(struct two_hosts *two)
{
    schedule_rig_free_scheduler(&two->rig);
    schedule_rig_make_scheduler(&two->rig);
    smtp_peer_close(&two->second);
    schedule_rig_close(&two->rig);
}

static uint64_t send_utf8(struct two_hosts *two)
{
    struct queue_message *m = schedule_rig_message(&two->rig, two->next_hop, 2);

    m->flags |= QUEUE_SMTPUTF8;
    m->trace = SPAN("Received: by \xc3\xa4\r\n");
    return schedule_rig_add(&two->rig, m, true);
}

static void test_the_next_host_takes_it(void **state)
{
    struct two_hosts two;

    (void)state;
    open_two(&two);
    smtp_peer_listen(&two.second);
    two.second.offers = TAKES_UTF8;
    send_utf8(&two);
    schedule_rig_send(&two.rig, two.next_hop, 1); /* any host takes this one */
    TURN_UNTIL(two.rig.loop, schedule_rig_is_idle(&two.rig));
    assert_int_equal(two.rig.peer.messages + two.second.messages, 2);
    assert_non_null(memmem(buf_span(&two.second.recipients).ptr, buf_len(&two.second.recipients),
                           "r0@rcpt.test\nr1@rcpt.test\n\n", 27));
    assert_int_equal(schedule_rig_counted(&schedule_counters(two.rig.scheduler)->failed), 0);
    assert_int_equal(schedule_rig_back_off(&two.rig).records, 0);
    close_two(&two);
}

static void test_no_host_takes_it(void **state)
{
    struct two_hosts two;

    (void)state;
    open_two(&two);
    smtp_peer_listen(&two.second);
    uint64_t id = send_utf8(&two);
    TURN_UNTIL(two.rig.loop, schedule_rig_is_gone(&two.rig, id));
    assert_int_equal(two.rig.peer.connections, 1);
    assert_int_equal(two.second.connections, 1);
    schedule_rig_assert_dsn(&two.rig, "the host does not offer SMTPUTF8");
    close_two(&two);
}

/* The one that may take it is down: that is no reason to fail. */
static void test_the_other_is_down(void **state)
{
    struct two_hosts two;

    (void)state;
    open_two(&two);
    two.second.offers = TAKES_UTF8;
    uint64_t id = send_utf8(&two);
    TURN_UNTIL(two.rig.loop, schedule_rig_group(&two.rig, id)->tries == 1);
    const struct queue_group *group = schedule_rig_group(&two.rig, id);
    assert_int_equal(group->recipient_count, 2);
    assert_int_equal(group->recipients[0].last.code, 451);
    /* while it is known to be down, too */
    TURN_UNTIL(two.rig.loop, schedule_rig_group(&two.rig, id)->tries == 2);
    close_two(&two);
}

static void test_stopped_on_the_way(void **state)
{
    struct two_hosts two;

    (void)state;
    open_two(&two);
    two.second.greeting = "";
    smtp_peer_listen(&two.second);
    uint64_t id = send_utf8(&two);
    TURN_UNTIL(two.rig.loop, two.second.connections == 1);
    schedule_rig_stop(&two.rig);
    TURN_UNTIL(two.rig.loop, two.rig.has_stopped);
    const struct queue_group *group = schedule_rig_group(&two.rig, id);
    assert_int_equal(group->tries, 0);
    assert_int_equal(group->recipients[0].last.code, 0);
    close_two(&two);
}

static void test_one_connection_at_a_time(void **state)
{
    struct two_hosts two;

    (void)state;
    open_two(&two);
    two.rig.conf->connections_per_destination = 1;
    smtp_peer_listen(&two.second);
    two.second.offers = TAKES_UTF8;
    two.second.greeting = "";
    send_utf8(&two);
    TURN_UNTIL(two.rig.loop, two.second.connections == 1);
    assert_int_equal(schedule_rig_counted(&schedule_counters(two.rig.scheduler)->connections), 1);
    assert_int_equal(two.rig.peer.open, 0);
    smtp_peer_answer(&two.second, "220 peer");
    TURN_UNTIL(two.rig.loop, schedule_rig_is_idle(&two.rig));
    assert_int_equal(two.second.messages, 1);
    close_two(&two);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_next_host_takes_it),   cmocka_unit_test(test_no_host_takes_it),
        cmocka_unit_test(test_the_other_is_down),        cmocka_unit_test(test_stopped_on_the_way),
        cmocka_unit_test(test_one_connection_at_a_time),
    };

    return cmocka_run_group_tests(tests, NULL, schedule_rig_forget_loaded);
}
