/* schedule/: what rules make of the replies of next hops. */
#include "support/schedule_rig.h"
#include "support/scratch.h"

/* A rig with a rules file of its own, and a second host behind its peer that does not listen. */
struct ruled {
    struct schedule_rig rig;
    struct smtp_peer second;
    char folder[SCRATCH_PATH];
    const char *next_hop;
};

static void ruled_open(struct ruled *r, const char *rules, const char *conf)
{
    char path[SCRATCH_PATH + 16], text[SCRATCH_PATH + 256];

    scratch_make(r->folder);
    snprintf(path, sizeof path, "%s/rules", r->folder);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(rules, file);
    fclose(file);
    snprintf(text, sizeof text, "response_rules = \"%s\"\n%s", path, conf);
    schedule_rig_open_listening(&r->rig, text);
    smtp_peer_open(&r->second, r->rig.loop);
    r->next_hop = arena_printf(&r->rig.arena, "hosts:[127.0.0.1]:%u,[127.0.0.1]:%u;tls=none",
                               r->rig.peer.port, r->second.port)
                      .ptr;
}

static void ruled_close(struct ruled *r)
{
    schedule_rig_free_scheduler(&r->rig);
    schedule_rig_make_scheduler(&r->rig);
    smtp_peer_close(&r->second);
    schedule_rig_close(&r->rig);
    scratch_remove(r->folder);
}

static uint64_t send_one(struct ruled *r)
{
    return schedule_rig_send(&r->rig, schedule_rig_peer_hop(&r->rig), 1);
}

static void test_bounce(void **state)
{
    struct ruled r;

    (void)state;
    ruled_open(&r, "* 4xx * *gone* bounce bad-mailbox\n", "");
    r.rig.peer.rcpt = "450 4.2.1 the user is gone";
    uint64_t id = send_one(&r);
    TURN_UNTIL(r.rig.loop, schedule_rig_is_gone(&r.rig, id));
    schedule_rig_assert_dsn(&r.rig, "Action: failed\r\nStatus: 4.2.1");
    ruled_close(&r);
}

/* A 421 says that the host serves nobody for now; a rule knows that it means the message. */
static void test_bounce_of_421(void **state)
{
    struct ruled r;

    (void)state;
    ruled_open(&r, "* 421 4.7.26 * bounce authentication\n", "");
    r.rig.peer.final = "421 4.7.26 not authenticated";
    uint64_t sent = send_one(&r);
    TURN_UNTIL(r.rig.loop, schedule_rig_is_gone(&r.rig, sent));
    r.rig.peer.mail = "421 4.7.26 not authenticated";
    uint64_t begun = send_one(&r);
    TURN_UNTIL(r.rig.loop, schedule_rig_is_gone(&r.rig, begun));
    ruled_close(&r);
}

static void test_retry(void **state)
{
    struct ruled r;

    (void)state;
    ruled_open(&r, "* 550 5.4.5 * retry quota\n", "");
    r.rig.peer.rcpt = "550 5.4.5 quota of the day is used up";
    uint64_t id = send_one(&r);
    TURN_UNTIL(r.rig.loop, schedule_rig_group(&r.rig, id)->tries == 2);
    assert_int_equal(schedule_rig_group(&r.rig, id)->recipients[0].last.code, 550);
    assert_int_equal(schedule_rig_counted(&schedule_counters(r.rig.scheduler)->failed), 0);
    r.rig.peer.rcpt = "250 ok";
    TURN_UNTIL(r.rig.loop, schedule_rig_is_idle(&r.rig));
    ruled_close(&r);
}

static void test_retry_ends(void **state)
{
    struct ruled r;

    (void)state;
    ruled_open(&r, "* 5xx * * retry quota\n", "expire_after = 100ms\n");
    r.rig.peer.rcpt = "550 5.4.5 quota of the day is used up";
    uint64_t id = send_one(&r);
    TURN_UNTIL(r.rig.loop, schedule_rig_is_gone(&r.rig, id));
    schedule_rig_assert_dsn(&r.rig, "Action: failed\r\nStatus: 5.4.5");
    ruled_close(&r);
}

/* The site is left alone for the time of the rule, and everything that is for it waits. */
static void test_back_off(void **state)
{
    struct ruled r;

    (void)state;
    ruled_open(&r, "* 4xx * *slow* back-off:1h throttled\n", "");
    r.rig.peer.final = "451 4.7.1 slow down";
    uint64_t id = send_one(&r), before = clock_steady_ms();
    TURN_UNTIL(r.rig.loop, schedule_rig_back_off(&r.rig).records == 1);
    TURN_UNTIL(r.rig.loop, schedule_rig_group(&r.rig, id)->tries == 1);
    assert_true(schedule_rig_back_off(&r.rig).until >= before + 3600000);
    assert_int_equal(schedule_rig_back_off(&r.rig).code, 451);
    r.rig.peer.final = "250 ok";
    uint64_t other = send_one(&r);
    schedule_rig_operate(&r.rig, SCHEDULE_RETRY, id); /* an operator's word ends it */
    TURN_UNTIL(r.rig.loop, schedule_rig_is_idle(&r.rig));
    assert_int_equal(r.rig.peer.messages, 2);
    assert_true(schedule_rig_is_gone(&r.rig, other));
    ruled_close(&r);
}

static void test_back_off_at_the_greeting(void **state)
{
    struct ruled r;

    (void)state;
    ruled_open(&r, "* 421 * * back-off:2h reputation\n", "");
    r.rig.peer.greeting = "421 4.7.1 not you";
    uint64_t id = send_one(&r), before = clock_steady_ms();
    TURN_UNTIL(r.rig.loop, schedule_rig_back_off(&r.rig).records == 1);
    assert_true(schedule_rig_back_off(&r.rig).until >= before + 7200000);
    assert_int_equal(schedule_rig_group(&r.rig, id)->tries, 0);
    ruled_close(&r);
}

static void test_next_host(void **state)
{
    struct ruled r;

    (void)state;
    ruled_open(&r, "* 5xx * *elsewhere* next-host policy\n", "connections_per_destination = 1\n");
    smtp_peer_listen(&r.second);
    r.rig.peer.rcpt = "550 5.7.1 go elsewhere";
    schedule_rig_send(&r.rig, r.next_hop, 2);
    TURN_UNTIL(r.rig.loop, schedule_rig_is_idle(&r.rig));
    assert_int_equal(r.rig.peer.connections, 1);
    assert_int_equal(r.second.messages, 1);
    schedule_rig_send(&r.rig, r.next_hop, 1); /* the host is still passed over */
    TURN_UNTIL(r.rig.loop, schedule_rig_is_idle(&r.rig));
    assert_int_equal(r.second.messages, 2);
    assert_int_equal(schedule_rig_counted(&schedule_counters(r.rig.scheduler)->failed), 0);
    ruled_close(&r);
}

static const char *elsewhere_for_r1(struct smtp_peer *peer, struct span address)
{
    (void)peer;
    return address.ptr[1] == '1' ? "450 4.7.1 go elsewhere" : "250 ok";
}

static void test_next_host_for_some(void **state)
{
    struct ruled r;

    (void)state;
    ruled_open(&r, "* * * *elsewhere* next-host policy\n", "");
    smtp_peer_listen(&r.second);
    r.rig.peer.judge = elsewhere_for_r1;
    schedule_rig_send(&r.rig, r.next_hop, 2);
    TURN_UNTIL(r.rig.loop, schedule_rig_is_idle(&r.rig));
    assert_int_equal(r.rig.peer.connections, 1);
    assert_true(span_equal(buf_span(&r.rig.peer.recipients), SPAN("r0@rcpt.test\n\n")));
    assert_true(span_equal(buf_span(&r.second.recipients), SPAN("r1@rcpt.test\n\n")));
    ruled_close(&r);
}

/* Each host says so in turn: behind the last one the reply means what it is. */
static void test_no_next_host(void **state)
{
    struct ruled r;

    (void)state;
    ruled_open(&r, "* * * *elsewhere* next-host policy\n", "");
    smtp_peer_listen(&r.second);
    r.rig.peer.rcpt = r.second.rcpt = "450 4.7.1 go elsewhere";
    uint64_t id = schedule_rig_send(&r.rig, r.next_hop, 1);
    TURN_UNTIL(r.rig.loop, schedule_rig_group(&r.rig, id)->tries == 1);
    assert_int_equal(r.rig.peer.connections, 1);
    assert_int_equal(r.second.connections, 1);
    r.second.rcpt = "550 5.7.1 go elsewhere";
    TURN_UNTIL(r.rig.loop, schedule_rig_is_gone(&r.rig, id));
    ruled_close(&r);
}

/* Of the next hop's domain, whatever its hosts are called; the first rule that fits holds. */
static void test_domain(void **state)
{
    struct ruled r;

    (void)state;
    ruled_open(&r, "other.test 450 * * bounce x\n.0.0.1 450 * * retry x\n* 450 * * bounce x\n", "");
    r.rig.peer.rcpt = "450 4.2.1 later";
    uint64_t id = send_one(&r);
    TURN_UNTIL(r.rig.loop, schedule_rig_group(&r.rig, id)->tries == 2);
    ruled_close(&r);
}

static void test_without_rules(void **state)
{
    struct schedule_rig rig;

    (void)state;
    schedule_rig_open_listening(&rig, "response_rules = none\n");
    rig.peer.rcpt = "450 4.7.1 rate limit exceeded"; /* the built-in table knows it */
    uint64_t id = schedule_rig_send(&rig, schedule_rig_peer_hop(&rig), 1);
    TURN_UNTIL(rig.loop, schedule_rig_group(&rig, id)->tries == 2);
    assert_int_equal(schedule_rig_back_off(&rig).records, 0);
    schedule_rig_close(&rig);
}

static void test_built_in_rules(void **state)
{
    struct schedule_rig rig;

    (void)state;
    schedule_rig_open_listening(&rig, "");
    rig.peer.rcpt = "450 4.7.1 rate limit exceeded";
    schedule_rig_send(&rig, schedule_rig_peer_hop(&rig), 1);
    TURN_UNTIL(rig.loop, schedule_rig_back_off(&rig).records == 1);
    schedule_rig_close(&rig);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bounce),        cmocka_unit_test(test_bounce_of_421),
        cmocka_unit_test(test_retry),         cmocka_unit_test(test_retry_ends),
        cmocka_unit_test(test_back_off),      cmocka_unit_test(test_back_off_at_the_greeting),
        cmocka_unit_test(test_next_host),     cmocka_unit_test(test_next_host_for_some),
        cmocka_unit_test(test_no_next_host),  cmocka_unit_test(test_domain),
        cmocka_unit_test(test_without_rules), cmocka_unit_test(test_built_in_rules),
    };

    return cmocka_run_group_tests(tests, NULL, schedule_rig_forget_loaded);
}
