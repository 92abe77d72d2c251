/* Who is sent when: turns between tenants, priorities, bulk, rates, and sites that domains share.
 */
#include "support/schedule_rig.h"

#define COUNT(of) (sizeof(of) / sizeof((of)[0]))

static struct queue_message *message(struct schedule_rig *rig, const char *hop, const char *tenant,
                                     unsigned number)
{
    struct queue_message *m = schedule_rig_message(rig, hop, 1);

    m->tenant = arena_dup(&m->arena, span_cstr(tenant));
    m->groups[0].destination = route_destination(&m->arena, m->groups[0].next_hop, m->tenant);
    m->groups[0].recipients[0].address = arena_printf(&m->arena, "%s%u@rcpt.test", tenant, number);
    return m;
}

static void set_body(struct queue_message *m, size_t size)
{
    buf_clear(&m->body);
    buf_add(&m->body, SPAN("Subject: x\r\n\r\n"));
    while (buf_len(&m->body) < size)
        buf_add(&m->body, SPAN("a line of the body, and another, and so on, to its end\r\n"));
    m->size = buf_len(&m->body);
}

static void send_all(struct schedule_rig *rig, const char *tenant, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        schedule_rig_add(rig, message(rig, schedule_rig_peer_hop(rig), tenant, i), true);
}

/* The place of the line that begins with this text, from 0. */
static unsigned place_of(struct schedule_rig *rig, const char *text)
{
    struct span rest = buf_span(&rig->peer.recipients);
    unsigned place = 0;

    while (rest.len > 0) {
        struct span line = span_split(rest, '\n', &rest);
        if (span_starts_nocase(line, span_cstr(text)))
            return place;
        place += line.len > 0;
    }
    fail_msg("%s was not sent", text);
    return 0;
}

/* Until then the only connection waits for its greeting, and everything in memory for it: were
 * nobody there, the site would back off, and the order be that in which the store is read. */
static void greet(struct schedule_rig *rig)
{
    TURN_UNTIL(rig->loop, rig->peer.connections == 1);
    rig->peer.greeting = "220 peer";
    smtp_peer_say(container_of(rig->peer.conns.next, struct smtp_peer_conn, link),
                  rig->peer.greeting);
}

/* Many wait already when another tenant's few come: these need not wait for all of them. */
static void test_tenants_take_turns(void **state)
{
    struct schedule_rig rig;

    (void)state;
    schedule_rig_open_listening(&rig,
                                "connections_per_destination = 1\nwindow_per_destination = 8\n");
    rig.peer.greeting = "";
    send_all(&rig, "many", 60);
    send_all(&rig, "few", 5);
    turn_once(rig.loop); /* the last has arrived */
    greet(&rig);
    TURN_UNTIL(rig.loop, schedule_rig_is_idle(&rig));
    assert_int_equal(rig.peer.messages, 65);
    assert_in_range(place_of(&rig, "few4"), 4, 16);
    schedule_rig_close(&rig);
}

static void test_weights(void **state)
{
    struct schedule_rig rig;

    (void)state;
    schedule_rig_open_listening(
        &rig, "connections_per_destination = 1\ntenant \"heavy\" { weight = 4 }\n");
    rig.peer.greeting = "";
    send_all(&rig, "light", 20);
    send_all(&rig, "heavy", 20);
    turn_once(rig.loop); /* the last has arrived */
    greet(&rig);
    TURN_UNTIL(rig.loop, schedule_rig_is_idle(&rig));
    assert_in_range(place_of(&rig, "heavy19"), 19, 28);
    schedule_rig_close(&rig);
}

/* The second message's commands have gone along with the end of the first: what the host then says
 * of itself is a try of the first alone. */
static void test_what_goes_along_is_not_tried(void **state)
{
    struct schedule_rig rig;

    (void)state;
    schedule_rig_open_listening(&rig, "connections_per_destination = 1\n");
    const struct schedule_counters *counters = schedule_counters(rig.scheduler);
    rig.peer.final = "421 4.3.2 going down";
    send_all(&rig, "a", 2);
    TURN_UNTIL(rig.loop, rig.peer.transactions == 1);
    rig.peer.final = "250 ok";
    TURN_UNTIL(rig.loop, schedule_rig_is_idle(&rig));
    assert_int_equal(rig.peer.messages, 2);
    assert_int_equal(schedule_rig_counted(&counters->deferred), 1);
    schedule_rig_close(&rig);
}

/* What waits already gets the new share too. */
static void test_weights_anew(void **state)
{
    struct schedule_rig rig;

    (void)state;
    schedule_rig_open_listening(&rig, "connections_per_destination = 1\n");
    rig.peer.greeting = "";
    send_all(&rig, "light", 20);
    send_all(&rig, "heavy", 20);
    struct conf *next = conf_from_text("connections_per_destination = 1\nretry_first = 40ms\n"
                                       "tenant \"heavy\" { weight = 4 }\n");
    schedule_configure(rig.scheduler, next);
    conf_unref(next);
    turn_once(rig.loop); /* the last has arrived */
    greet(&rig);
    TURN_UNTIL(rig.loop, schedule_rig_is_idle(&rig));
    assert_in_range(place_of(&rig, "heavy19"), 19, 28);
    schedule_rig_close(&rig);
}

static void test_priorities(void **state)
{
    static const int priorities[] = {0, -9, 3, 9, 0, 3};
    static const char *const order[] = {"t3", "t2", "t5", "t0", "t4", "t1"};
    struct schedule_rig rig;

    (void)state;
    schedule_rig_open_listening(&rig, "connections_per_destination = 1\n");
    rig.peer.greeting = "";
    for (unsigned i = 0; i < COUNT(priorities); i++) {
        struct queue_message *m = message(&rig, schedule_rig_peer_hop(&rig), "t", i);
        m->priority = priorities[i];
        schedule_rig_add(&rig, m, true);
    }
    turn_once(rig.loop); /* the last has arrived */
    greet(&rig);
    TURN_UNTIL(rig.loop, schedule_rig_is_idle(&rig));
    for (unsigned i = 1; i < COUNT(order); i++)
        assert_int_equal(place_of(&rig, order[i]) > place_of(&rig, order[i - 1]), 1);
    schedule_rig_close(&rig);
}

/* Bulk lets small ones pass, but not for ever. */
static void test_small_ones_pass(void **state)
{
    struct schedule_rig rig;

    (void)state;
    schedule_rig_open_listening(&rig, "connections_per_destination = 1\nbulk_size = 10KiB\n");
    rig.peer.greeting = "";
    for (unsigned i = 0; i < 16; i++) {
        struct queue_message *m =
            message(&rig, schedule_rig_peer_hop(&rig), i < 4 ? "bulk" : "small", i);
        m->tenant = SPAN("one");
        m->groups[0].destination = route_destination(&m->arena, m->groups[0].next_hop, m->tenant);
        if (i < 4)
            set_body(m, 20480);
        schedule_rig_add(&rig, m, true);
    }
    turn_once(rig.loop); /* the last has arrived */
    greet(&rig);
    TURN_UNTIL(rig.loop, schedule_rig_is_idle(&rig));
    assert_true(place_of(&rig, "small6") < place_of(&rig, "bulk0"));
    assert_true(place_of(&rig, "bulk0") < place_of(&rig, "small15"));
    assert_true(place_of(&rig, "bulk3") > place_of(&rig, "small14"));
    schedule_rig_close(&rig);
}

/* ---- shapes -------------------------------------------------------------------------------- */

static void test_a_rate(void **state)
{
    struct schedule_rig rig;

    (void)state;
    schedule_rig_open_listening(&rig, "destination \"127.0.0.1\" { messages_per_second = 20 }\n");
    uint64_t began = clock_mono_ms();
    for (unsigned i = 0; i < 11; i++)
        schedule_rig_send(&rig, schedule_rig_peer_hop(&rig), 1);
    TURN_UNTIL(rig.loop, schedule_rig_is_idle(&rig));
    assert_true(clock_mono_ms() - began >= 490); /* ten times 50 ms behind the first */
    assert_int_equal(rig.peer.messages, 11);
    assert_int_equal(schedule_rig_back_off(&rig).records, 0);
    schedule_rig_close(&rig);
}

static void test_connections_of_a_shape(void **state)
{
    struct schedule_rig rig;

    (void)state;
    schedule_rig_open_listening(&rig, "destination \"*\" { connections = 2 }\n");
    for (unsigned i = 0; i < 40; i++)
        schedule_rig_send(&rig, schedule_rig_peer_hop(&rig), 1);
    TURN_UNTIL(rig.loop, schedule_rig_is_idle(&rig));
    assert_in_range(rig.peer.open_most, 1, 2);
    schedule_rig_close(&rig);
}

/* However many the configuration allows, clients and the store keep their descriptors. */
static void test_connections_have_descriptors(void **state)
{
    struct schedule_rig rig;

    (void)state;
    schedule_rig_open(&rig, "connections_per_destination = 8\n");
    rig.set.connections_most = 2;
    smtp_peer_listen(&rig.peer);
    for (unsigned i = 0; i < 40; i++)
        schedule_rig_send(&rig, schedule_rig_peer_hop(&rig), 1);
    TURN_UNTIL(rig.loop, schedule_rig_is_idle(&rig));
    assert_int_equal(rig.peer.messages, 40);
    assert_int_equal(rig.peer.open_most, 2);
    schedule_rig_close(&rig);
}

#define ZONE                                                                                       \
    "one.test MX 60 10 mx1.test\none.test MX 60 10 mx2.test\n"                                     \
    "two.test MX 60 20 mx2.test\ntwo.test MX 60 10 mx1.test\n"                                     \
    "three.test MX 60 10 mx1.test\n"                                                               \
    "mx1.test A 60 127.0.0.1\nmx2.test A 60 127.0.0.1\n"

static unsigned sites(const struct schedule_rig *rig)
{
    unsigned count = 0;

    for (size_t i = 0; i < TABLE_BUCKETS; i++)
        for (const struct site *site = rig->scheduler->sites[i]; site != NULL; site = site->next)
            count++;
    return count;
}

/* Destinations that wait because their hosts were not found. */
static unsigned unfound(const struct schedule_rig *rig)
{
    const struct list *all = &rig->scheduler->unfound;
    unsigned count = 0;

    for (const struct list *node = all->next; node != all; node = node->next)
        count++;
    return count;
}

/* Domains with the same MX hosts, in whatever order, share their connections. */
static void test_domains_share_a_site(void **state)
{
    struct schedule_rig rig;

    (void)state;
    schedule_rig_open_listening(&rig, "connections_per_destination = 1\n");
    dns_server_set_zone(rig.dns, ZONE);
    schedule_rig_send(&rig, schedule_rig_mx_hop(&rig, "one.test"), 1);
    schedule_rig_send(&rig, schedule_rig_mx_hop(&rig, "two.test"), 1);
    TURN_UNTIL(rig.loop, schedule_rig_is_idle(&rig));
    assert_int_equal(rig.peer.messages, 2);
    assert_int_equal(rig.peer.connections, 1);
    assert_int_equal(sites(&rig), 1);
    schedule_rig_send(&rig, schedule_rig_mx_hop(&rig, "three.test"), 1);
    TURN_UNTIL(rig.loop, schedule_rig_is_idle(&rig));
    assert_int_equal(sites(&rig), 2);
    schedule_rig_close(&rig);
}

/* However long each is to wait for its own next try: when their name server is well again, they go.
 */
static void test_hosts_that_are_found_again(void **state)
{
    enum { DOMAINS = 40 };
    struct schedule_rig rig;
    struct buf ill, well;

    (void)state;
    buf_init(&ill, 0);
    buf_init(&well, 0);
    buf_addf(&well, "mx.test A 60 127.0.0.1\n");
    schedule_rig_open_listening(&rig, "destination \"*\" { retry_first = 1h\nretry_max = 1h }\n");
    for (unsigned i = 0; i < DOMAINS; i++) {
        buf_addf(&ill, "d%u.test * !servfail\n", i);
        buf_addf(&well, "d%u.test MX 60 10 mx.test\n", i);
    }
    buf_addf(&ill, "%c", '\0');
    buf_addf(&well, "%c", '\0');
    dns_server_set_zone(rig.dns, buf_span(&ill).ptr);
    for (unsigned i = 0; i < DOMAINS; i++) {
        char name[16];
        snprintf(name, sizeof name, "d%u.test", i);
        schedule_rig_send(&rig, schedule_rig_mx_hop(&rig, name), 1);
    }
    TURN_UNTIL(rig.loop, unfound(&rig) == DOMAINS);
    assert_int_equal(rig.peer.messages, 0);
    dns_server_set_zone(rig.dns, buf_span(&well).ptr);
    TURN_UNTIL(rig.loop, rig.peer.messages == DOMAINS);
    TURN_UNTIL(rig.loop, schedule_rig_is_idle(&rig));
    assert_int_equal(unfound(&rig), 0);
    schedule_rig_close(&rig);
    buf_fini(&ill);
    buf_fini(&well);
}

/* What is known of a site survives a reload; its limits are the new ones. */
static void test_a_reload(void **state)
{
    struct schedule_rig rig;

    (void)state;
    schedule_rig_open_listening(&rig, "destination \"127.0.0.1\" { messages_per_hour = 1 }\n");
    schedule_rig_send(&rig, schedule_rig_peer_hop(&rig), 1);
    schedule_rig_send(&rig, schedule_rig_peer_hop(&rig), 1);
    TURN_UNTIL(rig.loop, rig.peer.messages == 1);
    turn_for(rig.loop, 50);
    assert_int_equal(rig.peer.messages, 1);
    struct conf *next =
        conf_from_text("destination \"127.0.0.1\" { messages_per_hour = 360000 }\n");
    schedule_configure(rig.scheduler, next);
    conf_unref(next);
    TURN_UNTIL(rig.loop, rig.peer.messages == 2);
    assert_int_equal(sites(&rig), 1);
    TURN_UNTIL(rig.loop, schedule_rig_is_idle(&rig));
    schedule_rig_close(&rig);
}

/* ---- memory -------------------------------------------------------------------------------- */

/* However many destinations have mail, only so many of it are in memory. */
static void test_jobs_in_memory(void **state)
{
    struct schedule_rig rig;
    uint64_t jobs_most = 0;

    (void)state;
    schedule_rig_open(&rig, "queue_jobs_max = 100\nconnections_per_destination = 1\n");
    for (unsigned tenant = 0; tenant < 10; tenant++) {
        char name[8];
        snprintf(name, sizeof name, "t%u-", tenant);
        for (unsigned i = 0; i < 40; i++)
            schedule_rig_add(&rig, message(&rig, schedule_rig_peer_hop(&rig), name, i), false);
    }
    smtp_peer_listen(&rig.peer);
    assert_false(err_is(schedule_restore(&rig.set, rig.queue)));
    while (rig.peer.messages < 400) {
        unsigned before = rig.peer.messages;
        TURN_UNTIL(rig.loop, rig.peer.messages > before);
        uint64_t jobs = schedule_rig_counted(&schedule_counters(rig.scheduler)->jobs);
        jobs_most = jobs > jobs_most ? jobs : jobs_most;
    }
    TURN_UNTIL(rig.loop, schedule_rig_is_idle(&rig));
    assert_in_range(jobs_most, 20, 100 + 10 * 2);
    schedule_rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tenants_take_turns),
        cmocka_unit_test(test_weights),
        cmocka_unit_test(test_what_goes_along_is_not_tried),
        cmocka_unit_test(test_weights_anew),
        cmocka_unit_test(test_priorities),
        cmocka_unit_test(test_small_ones_pass),
        cmocka_unit_test(test_a_rate),
        cmocka_unit_test(test_connections_of_a_shape),
        cmocka_unit_test(test_connections_have_descriptors),
        cmocka_unit_test(test_domains_share_a_site),
        cmocka_unit_test(test_hosts_that_are_found_again),
        cmocka_unit_test(test_a_reload),
        cmocka_unit_test(test_jobs_in_memory),
    };

    return cmocka_run_group_tests(tests, NULL, schedule_rig_forget_loaded);
}
