/* Hosts of one next hop: shares, hosts that are kept, hosts that fail and come back, and the
 * addresses that connections leave from. */
#include "schedule/health.h"
#include "support/schedule_rig.h"

enum { PEERS = 3 };

/* The rig, with hosts of its own. */
struct group {
    struct schedule_rig rig;
    struct smtp_peer peers[PEERS];
};

static void open_group(struct group *group, const char *conf)
{
    schedule_rig_open(&group->rig, conf);
    for (unsigned i = 0; i < PEERS; i++)
        smtp_peer_open(&group->peers[i], group->rig.loop);
}

static void listen_all(struct group *group)
{
    for (unsigned i = 0; i < PEERS; i++)
        smtp_peer_listen(&group->peers[i]);
}

static void close_group(struct group *group)
{
    schedule_rig_stop(&group->rig);
    TURN_UNTIL(group->rig.loop, group->rig.has_stopped);
    for (unsigned i = 0; i < PEERS; i++)
        smtp_peer_close(&group->peers[i]);
    schedule_rig_close(&group->rig);
}

/* The peers with these weights. */
static const char *hop(struct group *group, const unsigned weights[PEERS], const char *options)
{
    return arena_printf(&group->rig.arena,
                        "hosts:[127.0.0.1]:%u*%u,[127.0.0.1]:%u*%u,[127.0.0.1]:%u*%u;tls=none%s",
                        group->peers[0].port, weights[0], group->peers[1].port, weights[1],
                        group->peers[2].port, weights[2], options)
        .ptr;
}

static const unsigned even[PEERS] = {1, 1, 1};

static void send_for(struct group *group, const char *next_hop, const char *tenant)
{
    struct queue_message *m = schedule_rig_message(&group->rig, next_hop, 1);

    m->tenant = arena_dup(&m->arena, span_cstr(tenant));
    m->groups[0].destination = route_destination(&m->arena, m->groups[0].next_hop, m->tenant);
    schedule_rig_add(&group->rig, m, true);
}

static void send_one(struct group *group, const char *next_hop)
{
    schedule_rig_send(&group->rig, next_hop, 1);
    TURN_UNTIL(group->rig.loop, schedule_rig_is_idle(&group->rig));
}

static unsigned taken(const struct group *group)
{
    unsigned sum = 0;

    for (unsigned i = 0; i < PEERS; i++)
        sum += group->peers[i].messages;
    return sum;
}

/* ---- shares ------------------------------------------------------------------------------- */

static void assert_shares(const struct group *group, const unsigned weights[PEERS])
{
    unsigned all = taken(group), sum = weights[0] + weights[1] + weights[2];

    for (unsigned i = 0; i < PEERS; i++) {
        unsigned share = all * weights[i] / sum;
        assert_in_range(group->peers[i].messages, share - share / 10 - 1, share + share / 10 + 1);
    }
}

static void test_weights_one_at_a_time(void **state)
{
    static const unsigned weights[PEERS] = {3, 1, 2};
    struct group group;

    (void)state;
    open_group(&group, "");
    listen_all(&group);
    for (unsigned i = 0; i < 240; i++)
        send_one(&group, hop(&group, weights, ";balance=weighted"));
    assert_shares(&group, weights);
    close_group(&group);
}

/* It holds what it has; the others do not wait for its turns for ever. */
static void test_weights_of_a_host_that_hangs(void **state)
{
    static const unsigned weights[PEERS] = {3, 1, 2};
    struct group group;
    unsigned all = 60;

    (void)state;
    open_group(&group, "connections_per_destination = 6\npipeline_messages = no\n");
    listen_all(&group);
    for (unsigned i = 0; i < all; i++) /* until there are connections to all */
        send_one(&group, hop(&group, weights, ";balance=weighted"));
    unsigned before = taken(&group), done = group.peers[0].transactions;
    group.peers[0].final = "";
    for (unsigned i = 0; i < all; i++)
        schedule_rig_send(&group.rig, hop(&group, weights, ";balance=weighted"), 1);
    TURN_UNTIL(group.rig.loop, taken(&group) - before + group.peers[0].transactions - done == all);
    assert_in_range(group.peers[0].transactions - done, 1, 6);
    group.peers[0].final = "250 2.0.0 taken";
    smtp_peer_answer(&group.peers[0], group.peers[0].final);
    TURN_UNTIL(group.rig.loop, schedule_rig_is_idle(&group.rig));
    close_group(&group);
}

static void test_weights_when_busy(void **state)
{
    static const unsigned weights[PEERS] = {3, 1, 2};
    struct group group;

    (void)state;
    open_group(&group, "connections_per_destination = 6\n");
    listen_all(&group);
    for (unsigned i = 0; i < 600; i++)
        schedule_rig_send(&group.rig, hop(&group, weights, ";balance=weighted"), 1);
    TURN_UNTIL(group.rig.loop, schedule_rig_is_idle(&group.rig));
    assert_shares(&group, weights);
    close_group(&group);
}

static void test_order(void **state)
{
    struct group group;

    (void)state;
    open_group(&group, "");
    listen_all(&group);
    for (unsigned i = 0; i < 40; i++)
        schedule_rig_send(&group.rig, hop(&group, even, ""), 1);
    TURN_UNTIL(group.rig.loop, schedule_rig_is_idle(&group.rig));
    assert_int_equal(group.peers[0].messages, 40);
    close_group(&group);
}

/* ---- hosts that are kept ------------------------------------------------------------------ */

static const char *tenant_hop(struct group *group)
{
    return hop(group, even, ";balance=sticky-tenant");
}

/* The one that got what was sent for the tenant. */
static unsigned host_of(struct group *group, const char *tenant)
{
    unsigned before[PEERS];

    for (unsigned i = 0; i < PEERS; i++)
        before[i] = group->peers[i].messages;
    send_for(group, tenant_hop(group), tenant);
    TURN_UNTIL(group->rig.loop, schedule_rig_is_idle(&group->rig));
    for (unsigned i = 0; i < PEERS; i++)
        if (group->peers[i].messages > before[i])
            return i;
    fail();
    return 0;
}

static const char *name_of(struct group *group, unsigned tenant)
{
    return arena_printf(&group->rig.arena, "tenant-%u.test", tenant).ptr;
}

enum { TENANTS = 30 };

static void test_tenants_keep_their_hosts(void **state)
{
    unsigned hosts[TENANTS], count[PEERS] = {0};
    struct group group;

    (void)state;
    open_group(&group, "");
    listen_all(&group);
    for (unsigned i = 0; i < TENANTS; i++) {
        hosts[i] = host_of(&group, name_of(&group, i));
        count[hosts[i]]++;
    }
    for (unsigned i = 0; i < PEERS; i++)
        assert_in_range(count[i], TENANTS / 10, TENANTS * 7 / 10);
    for (unsigned i = 0; i < TENANTS; i++)
        assert_int_equal(host_of(&group, name_of(&group, i)), hosts[i]);
    close_group(&group);
}

/* Those of a host that fails move, the others do not; and they come back. */
static void test_a_kept_host_fails(void **state)
{
    unsigned hosts[TENANTS];
    struct group group;

    (void)state;
    open_group(&group, "host_retry_first = 10ms\nhost_retry_max = 50ms\n");
    listen_all(&group);
    for (unsigned i = 0; i < TENANTS; i++)
        hosts[i] = host_of(&group, name_of(&group, i));
    group.peers[0].greeting = "421 4.3.2 not now";
    smtp_peer_cut(&group.peers[0]);
    turn_for(group.rig.loop, 20);
    for (unsigned i = 0; i < TENANTS; i++) {
        unsigned host = host_of(&group, name_of(&group, i));
        if (hosts[i] == 0)
            assert_int_not_equal(host, 0);
        else
            assert_int_equal(host, hosts[i]);
    }
    group.peers[0].greeting = "220 peer";
    for (unsigned i = 0; i < TENANTS; i++)
        while (host_of(&group, name_of(&group, i)) != hosts[i])
            turn_for(group.rig.loop, 5);
    close_group(&group);
}

static void test_domains_share_the_sites_of_their_hosts(void **state)
{
    unsigned sites = 0;
    struct group group;

    (void)state;
    open_group(&group, "");
    listen_all(&group);
    for (unsigned round = 0; round < 2; round++) {
        for (unsigned i = 0; i < TENANTS; i++) {
            const char *options =
                arena_printf(&group.rig.arena, ";balance=sticky-domain;for=d%u.test", i).ptr;
            send_one(&group, hop(&group, even, options));
        }
        for (unsigned i = 0; round == 0 && i < PEERS; i++)
            assert_in_range(group.peers[i].messages, 1, TENANTS - 2);
    }
    for (unsigned i = 0; i < PEERS; i++)
        assert_int_equal(group.peers[i].messages % 2, 0); /* both rounds went the same way */
    for (size_t i = 0; i < TABLE_BUCKETS; i++)
        for (const struct site *s = group.rig.scheduler->sites[i]; s != NULL; s = s->next)
            sites++;
    assert_int_equal(sites, PEERS);
    close_group(&group);
}

/* ---- hosts that fail ---------------------------------------------------------------------- */

/* It is tried by one connection at a time, others serve meanwhile, and then it has its share. */
static void test_a_host_comes_back(void **state)
{
    struct group group;

    (void)state;
    open_group(&group, "host_retry_first = 20ms\nhost_retry_max = 40ms\n");
    listen_all(&group);
    group.peers[0].greeting = "421 4.3.2 not now";
    const char *to = hop(&group, even, "");
    uint64_t begun = loop_now(group.rig.loop);
    for (unsigned i = 0; i < 50; i++) {
        send_one(&group, to);
        turn_for(group.rig.loop, 2);
    }
    assert_int_equal(group.peers[0].messages, 0);
    assert_int_equal(group.peers[1].messages, 50);
    /* One each time a wait is over, not one a message. */
    assert_in_range(group.peers[0].connections, 2, 2 + (loop_now(group.rig.loop) - begun) / 10);
    assert_int_equal(schedule_rig_back_off(&group.rig).records, 0);
    group.peers[0].greeting = "220 peer";
    /* Its try gets the next message, not only a free one: all the others have hosts. */
    TURN_UNTIL(group.rig.loop, (send_one(&group, to), group.peers[0].messages > 0));
    unsigned before = group.peers[1].messages;
    for (unsigned i = 0; i < 20; i++)
        send_one(&group, to);
    assert_in_range(group.peers[1].messages, before, before + 2);
    close_group(&group);
}

/* A job does not wait for a host that never answers while it is tried. */
static void test_a_try_holds_nobody_up(void **state)
{
    struct group group;

    (void)state;
    open_group(&group, "host_retry_first = 10ms\nhost_retry_max = 10ms\ngreeting_timeout = 1s\n"
                       "connection_idle_timeout = 10ms\n");
    listen_all(&group);
    group.peers[0].greeting = "421 4.3.2 not now";
    send_one(&group, hop(&group, even, ""));
    group.peers[0].greeting = ""; /* and says nothing from now on */
    for (unsigned i = 0; i < 10; i++) {
        turn_for(group.rig.loop, 40);
        send_one(&group, hop(&group, even, ""));
    }
    assert_int_equal(group.peers[1].messages, 11);
    assert_in_range(group.peers[0].open_most, 0, 1);
    close_group(&group);
}

static void test_all_fail(void **state)
{
    struct group group;

    (void)state;
    open_group(&group, "");
    schedule_rig_send(&group.rig, hop(&group, even, ""), 1);
    TURN_UNTIL(group.rig.loop, schedule_rig_back_off(&group.rig).records == 1);
    listen_all(&group);
    TURN_UNTIL(group.rig.loop, schedule_rig_is_idle(&group.rig));
    assert_int_equal(taken(&group), 1);
    close_group(&group);
}

static uint64_t ten_times(void *context, uint32_t failures)
{
    (void)context;
    return 10u * failures;
}

static void test_health(void **state)
{
    struct health *health = health_create();
    struct sockaddr_storage address = {.ss_family = AF_INET}, other = {.ss_family = AF_INET6};
    struct health_host host = {SPAN("group"), &address};

    (void)state;
    assert_int_equal(health_look(health, &host, 100), HEALTH_GOOD);
    assert_false(health_try(health, &host, 100));
    assert_true(health_failed(health, &host, 100, ten_times, NULL));
    assert_false(health_failed(health, &host, 105, ten_times, NULL)); /* it waits already */
    assert_int_equal(health_look(health, &host, 109), HEALTH_DOWN);
    assert_int_equal(health_look(health, &(struct health_host){SPAN("group"), &other}, 109),
                     HEALTH_GOOD);
    assert_int_equal(health_look(health, &(struct health_host){SPAN("other"), &address}, 109),
                     HEALTH_GOOD);
    assert_int_equal(health_look(health, &host, 110), HEALTH_DUE);
    assert_true(health_try(health, &host, 110));
    assert_false(health_try(health, &host, 110)); /* one a time */
    assert_int_equal(health_look(health, &host, 110), HEALTH_DOWN);
    health_let_go(health, &host);
    assert_false(health_failed(health, &host, 110, ten_times, NULL));
    assert_int_equal(health_look(health, &host, 129), HEALTH_DOWN); /* twice as long */
    assert_int_equal(health_look(health, &host, 130), HEALTH_DUE);
    assert_false(health_failed(health, &host, 130, ten_times, NULL));
    health_forgive(health, &host);
    assert_int_equal(health_look(health, &host, 131), HEALTH_DUE);
    assert_true(health_answered(health, &host));
    assert_false(health_answered(health, &host));
    assert_int_equal(health_look(health, &host, 131), HEALTH_GOOD);
    assert_true(health_failed(health, &host, 140, ten_times, NULL));
    health_free(health);
}

/* ---- addresses ---------------------------------------------------------------------------- */

#define SOURCE "source \"out\" { addresses = {\"127.0.0.2\", \"127.0.0.3\"} "

static void test_a_day_of_an_address(void **state)
{
    struct group group;

    (void)state;
    open_group(&group, SOURCE "messages_per_day = 10 }\n");
    listen_all(&group);
    for (unsigned i = 0; i < 6; i++)
        schedule_rig_send(&group.rig, hop(&group, even, ";source=out"), 1);
    TURN_UNTIL(group.rig.loop, taken(&group) == 2); /* one by each address */
    turn_for(group.rig.loop, 50);
    assert_int_equal(taken(&group), 2);
    assert_int_equal(schedule_rig_back_off(&group.rig).records, 0);
    struct conf *next = conf_from_text(SOURCE "}\n");
    schedule_configure(group.rig.scheduler, next);
    conf_unref(next);
    schedule_rig_send(&group.rig, hop(&group, even, ";source=out"), 1);
    TURN_UNTIL(group.rig.loop, schedule_rig_is_idle(&group.rig));
    assert_int_equal(taken(&group), 7);
    close_group(&group);
}

/* Of two hosts only the one of its family is tried. */
static void test_a_family_without_an_address(void **state)
{
    struct group group;

    (void)state;
    open_group(&group, SOURCE "}\nsource \"six\" { addresses = \"2001:db8::1\" }\n");
    listen_all(&group);
    send_one(&group,
             arena_printf(&group.rig.arena, "hosts:[::1]:%u,[127.0.0.1]:%u;tls=none;source=out",
                          group.peers[0].port, group.peers[1].port)
                 .ptr);
    assert_int_equal(group.peers[1].messages, 1);
    uint64_t id = schedule_rig_send(&group.rig, hop(&group, even, ";source=six"), 1);
    TURN_UNTIL(group.rig.loop, schedule_rig_back_off(&group.rig).records == 1);
    assert_false(schedule_rig_is_gone(&group.rig, id));
    assert_int_equal(schedule_rig_back_off(&group.rig).code, 451);
    assert_int_equal(taken(&group), 1);
    schedule_rig_operate(&group.rig, SCHEDULE_REMOVE, id);
    close_group(&group);
}

/* 192.0.2.1 is no address of this machine. */
static void test_an_address_that_is_not_ours(void **state)
{
    struct group group;

    (void)state;
    open_group(&group, "source \"far\" { addresses = \"192.0.2.1\" }\n");
    listen_all(&group);
    uint64_t id = schedule_rig_send(&group.rig, hop(&group, even, ";source=far"), 1);
    TURN_UNTIL(group.rig.loop, schedule_rig_back_off(&group.rig).records == 1);
    assert_int_equal(taken(&group), 0);
    schedule_rig_operate(&group.rig, SCHEDULE_REMOVE, id);
    close_group(&group);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_weights_one_at_a_time),
        cmocka_unit_test(test_weights_of_a_host_that_hangs),
        cmocka_unit_test(test_weights_when_busy),
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_tenants_keep_their_hosts),
        cmocka_unit_test(test_a_kept_host_fails),
        cmocka_unit_test(test_domains_share_the_sites_of_their_hosts),
        cmocka_unit_test(test_a_host_comes_back),
        cmocka_unit_test(test_a_try_holds_nobody_up),
        cmocka_unit_test(test_all_fail),
        cmocka_unit_test(test_health),
        cmocka_unit_test(test_a_day_of_an_address),
        cmocka_unit_test(test_a_family_without_an_address),
        cmocka_unit_test(test_an_address_that_is_not_ours),
    };

    return cmocka_run_group_tests(tests, NULL, schedule_rig_forget_loaded);
}
