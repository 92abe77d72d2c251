#include "support/resolver_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <uv.h>

#include <cmocka.h>

enum { QUERIES_MAX = 8 };

/* ---- sharing and the cache ---- */

static void asks_once_however_many_wait(void **state)
{
    struct rig rig = {0};
    struct asked asked[QUERIES_MAX] = {0};
    struct resolver_stats stats;

    (void)state;
    rig_open(&rig, "d.test MX 60 1 a.test\nd.test * !delay 20\na.test A 60 192.0.2.1");
    for (int i = 0; i < QUERIES_MAX; i++)
        asked_start(&rig, &asked[i], "d.test");
    rig_wait_for(&rig, QUERIES_MAX);
    assert_int_equal(dns_server_count(rig.server, NULL, NULL), 3);
    assert_int_equal(rig_ask(&rig, "d.test"), RESOLVER_OK);
    resolver_stats(rig.resolver, &stats);
    assert_int_equal(stats.queries, QUERIES_MAX + 1);
    assert_int_equal(stats.shared, QUERIES_MAX - 1);
    assert_int_equal(stats.hits, 1);
    assert_int_equal(stats.lookups, 3);
    assert_int_equal(stats.failures, 0);
    for (int i = 0; i < QUERIES_MAX; i++) {
        assert_int_equal(asked[i].query.answer->outcome, RESOLVER_OK);
        asked_let_go(&asked[i]);
    }
    rig_close(&rig);
}

struct keeping_case {
    const char *name;
    const char *zone;
    uint64_t ttl_max_ms;
    uint64_t negative_ttl_max_ms;
    uint64_t pause_ms;
    unsigned mx_asked; /* after two queries with the pause between them */
};

static void keeps_answers_for_their_time(void **state)
{
    static const struct keeping_case cases[] = {
        {"kept", "d.test MX 60 1 a.test\na.test A 60 192.0.2.1", 60000, 60000, 20, 1},
        {"ttl over", "d.test MX 1 1 a.test\na.test A 60 192.0.2.1", 60000, 60000, 1050, 2},
        {"bounded", "d.test MX 60 1 a.test\na.test A 60 192.0.2.1", 20, 60000, 30, 2},
        {"ttl zero", "d.test MX 0 1 a.test\na.test A 60 192.0.2.1", 60000, 60000, 2, 2},
        {"absurd ttl is zero", "d.test MX 4000000000 1 a.test\na.test A 60 192.0.2.1", 60000, 60000,
         2, 2},
        {"cname's ttl counts",
         "d.test CNAME 0 e.test\ne.test MX 60 1 a.test\na.test A 60 192.0.2.1", 60000, 60000, 2, 2},
        {"negative kept", "x.test A 1 192.0.2.1", 60000, 60000, 20, 1},
        {"negative, soa minimum over", "d.test * !nxdomain 1", 60000, 60000, 1050, 2},
        {"negative bounded", "x.test A 1 192.0.2.1", 60000, 20, 30, 2},
        {"failure kept a moment", "d.test * !servfail", 60000, 60000, 30, 1},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct rig rig = {0};
        struct resolver_options options = rig_options();
        options.ttl_max_ms = cases[i].ttl_max_ms;
        options.negative_ttl_max_ms = cases[i].negative_ttl_max_ms;
        rig_open_with(&rig, options, cases[i].zone);
        rig_ask(&rig, "d.test");
        rig_pass_time(&rig, cases[i].pause_ms);
        rig_ask(&rig, "d.test");
        unsigned asked = dns_server_count(rig.server, "d.test", "MX");
        if (asked != cases[i].mx_asked)
            fail_msg("%s: asked %u times", cases[i].name, asked);
        rig_close(&rig);
    }
}

static void answers_say_how_long_they_hold(void **state)
{
    struct rig rig = {0};
    struct asked asked = {0};

    (void)state;
    rig_open(&rig, "d.test MX 60 1 a.test\na.test A 7 192.0.2.1\na.test AAAA !nodata 600");
    asked_start(&rig, &asked, "d.test");
    rig_wait_for(&rig, 1);
    assert_in_range(asked.query.answer->expires, loop_now(rig.loop) + 6900,
                    loop_now(rig.loop) + 7000);
    asked_let_go(&asked);
    rig_close(&rig);
}

static void forgets_the_least_used(void **state)
{
    struct rig rig = {0};
    struct resolver_options options = rig_options();

    (void)state;
    options.cache_max = 2;
    rig_open_with(&rig, options, "x.test A 1 192.0.2.1");
    rig_ask(&rig, "a.test");
    rig_ask(&rig, "b.test");
    rig_ask(&rig, "a.test");
    rig_ask(&rig, "c.test");
    rig_ask(&rig, "a.test");
    assert_int_equal(dns_server_count(rig.server, "a.test", NULL), 1);
    rig_ask(&rig, "b.test");
    assert_int_equal(dns_server_count(rig.server, "b.test", NULL), 2);
    rig_close(&rig);
}

static void flush_forgets_also_what_is_under_way(void **state)
{
    struct rig rig = {0};
    struct asked asked = {0};

    (void)state;
    rig_open(&rig, "x.test A 1 192.0.2.1\nd.test * !delay 20\nd.test * !nxdomain");
    rig_ask(&rig, "a.test");
    asked_start(&rig, &asked, "d.test");
    resolver_flush(rig.resolver);
    rig_wait_for(&rig, 2);
    rig_ask(&rig, "a.test");
    rig_ask(&rig, "d.test");
    assert_int_equal(dns_server_count(rig.server, "a.test", NULL), 2);
    assert_int_equal(dns_server_count(rig.server, "d.test", NULL), 2);
    asked_let_go(&asked);
    rig_close(&rig);
}

/* ---- dead servers ---- */

static void second_server_answers(const char *first_zone, unsigned first_asked)
{
    struct rig rig = {.second = dns_server_start()};

    dns_server_set_zone(rig.second, "d.test MX 60 1 a.test\na.test A 60 192.0.2.1");
    rig_open(&rig, first_zone);
    assert_int_equal(rig_ask(&rig, "d.test"), RESOLVER_OK);
    assert_int_equal(dns_server_count(rig.server, NULL, NULL), first_asked);
    rig_close(&rig);
}

static void tries_the_next_server(void **state)
{
    (void)state;
    /* One that is silent is left aside: the addresses are asked of the other at once. */
    second_server_answers("d.test * !silent\na.test * !silent", 1);
    second_server_answers("d.test * !servfail\na.test * !servfail", 3);
    second_server_answers("d.test * !refused\na.test * !refused", 3);
    second_server_answers("d.test MX 9 1 a.test\nd.test * !malformed\na.test * !servfail", 3);
}

static void leaves_a_closed_port(void **state)
{
    struct rig rig = {0};
    const struct sockaddr *servers[2];
    struct resolver_options options = rig_options();
    struct dns_server *gone = dns_server_start();
    struct sockaddr_in closed = *(const struct sockaddr_in *)(const void *)dns_server_address(gone);

    (void)state;
    dns_server_stop(gone);
    rig_open(&rig, "d.test MX 60 1 a.test\na.test A 60 192.0.2.1");
    resolver_close(rig.resolver);
    servers[0] = (const struct sockaddr *)&closed;
    servers[1] = dns_server_address(rig.server);
    options.servers = servers;
    options.server_count = 2;
    assert_false(err_is(resolver_create(rig.loop, &options, &rig.resolver)));
    uint64_t before = loop_now(rig.loop);
    assert_int_equal(rig_ask(&rig, "d.test"), RESOLVER_OK);
    assert_in_range(loop_now(rig.loop) - before, 0, RIG_TRY_MS - 1);
    rig_close(&rig);
}

static void a_dead_name_delays_no_other(void **state)
{
    struct rig rig = {0};
    struct asked dead = {0};
    struct asked cut = {0};
    struct asked alive = {0};

    (void)state;
    rig_open(&rig, "dead.test * !silent\ncut.test * !truncated\ncut.test * !silent\n"
                   "d.test MX 60 1 a.test\na.test A 60 192.0.2.1");
    asked_start(&rig, &dead, "dead.test");
    asked_start(&rig, &cut, "cut.test");
    asked_start(&rig, &alive, "d.test");
    rig_wait_for(&rig, 1);
    assert_int_equal(alive.completions, 1);
    assert_int_equal(alive.query.answer->outcome, RESOLVER_OK);
    rig_wait_for(&rig, 3);
    assert_int_equal(dead.query.answer->outcome, RESOLVER_TEMPFAIL);
    assert_int_equal(dns_server_count(rig.server, "dead.test", "MX"), 2);
    asked_let_go(&dead);
    asked_let_go(&cut);
    asked_let_go(&alive);
    rig_close(&rig);
}

/* ---- cancelling and closing ---- */

static void wait_until_asked(struct rig *rig, const char *name)
{
    while (dns_server_count(rig->server, name, NULL) == 0)
        rig_pass_time(rig, 1);
}

static void expect_tempfail(struct asked *asked, const char *text)
{
    assert_int_equal(asked->query.answer->outcome, RESOLVER_TEMPFAIL);
    assert_non_null(strstr(asked->query.answer->text, text));
    asked_let_go(asked);
}

static void cancels_in_each_phase(void **state)
{
    static const char *const phases[] = {"at once", "d.test", "a.test"};

    (void)state;
    for (size_t i = 0; i < sizeof phases / sizeof phases[0]; i++) {
        struct rig rig = {0};
        struct asked asked = {0};
        struct asked other = {0};
        rig_open(&rig, "d.test MX 60 1 a.test\na.test A 60 192.0.2.1\n"
                       "d.test * !delay 15\na.test * !delay 15");
        asked_start(&rig, &asked, "d.test");
        asked_start(&rig, &other, "d.test");
        if (i > 0)
            wait_until_asked(&rig, phases[i]);
        resolver_cancel(rig.resolver, &asked.query);
        resolver_cancel(rig.resolver, &asked.query);
        assert_int_equal(asked.completions, 0);
        rig_wait_for(&rig, 2);
        expect_tempfail(&asked, "cancelled");
        resolver_cancel(rig.resolver, &asked.query);
        assert_int_equal(other.query.answer->outcome, RESOLVER_OK);
        asked_let_go(&other);
        rig_close(&rig);
    }
}

static void cancels_what_was_about_to_complete(void **state)
{
    struct rig rig = {0};
    struct asked asked = {0};

    (void)state;
    rig_open(&rig, "x.test A 60 192.0.2.1");
    asked_start(&rig, &asked, "not a name");
    resolver_cancel(rig.resolver, &asked.query);
    rig_wait_for(&rig, 1);
    expect_tempfail(&asked, "cancelled");
    rig_close(&rig);
}

static void closes_with_open_queries(void **state)
{
    static const char *const phases[] = {"at once", "d.test", "cut.test"};

    (void)state;
    for (size_t i = 0; i < sizeof phases / sizeof phases[0]; i++) {
        struct rig rig = {0};
        struct asked asked[4] = {0};
        rig_open(&rig, "d.test * !silent\ncut.test * !truncated\ncut.test MX 60 1 a.test");
        asked_start(&rig, &asked[0], "d.test");
        asked_start(&rig, &asked[1], "d.test");
        asked_start(&rig, &asked[2], "cut.test");
        asked_start(&rig, &asked[3], "bad name");
        if (i > 0)
            wait_until_asked(&rig, phases[i]);
        resolver_close(rig.resolver);
        rig.resolver = NULL;
        rig_wait_for(&rig, 4);
        expect_tempfail(&asked[0], "closed");
        expect_tempfail(&asked[1], "closed");
        asked_let_go(&asked[2]);
        assert_int_equal(asked[3].query.answer->outcome, RESOLVER_BAD_NAME);
        asked_let_go(&asked[3]);
        rig_close(&rig);
    }
}

static void close_and_ask_again(struct asked *asked)
{
    asked->then = NULL;
    asked->completions = 0;
    resolver_answer_unref(asked->query.answer);
    resolver_close(asked->rig->resolver);
    asked_start(asked->rig, asked, "d.test");
}

static void closes_from_a_completion(void **state)
{
    struct rig rig = {0};
    struct asked first = {.then = close_and_ask_again};
    struct asked other = {0};

    (void)state;
    rig_open(&rig, "d.test * !nxdomain\nother.test * !silent");
    asked_start(&rig, &other, "other.test");
    asked_start(&rig, &first, "d.test");
    rig_wait_for(&rig, 3);
    rig.resolver = NULL;
    expect_tempfail(&first, "closed");
    expect_tempfail(&other, "closed");
    rig_close(&rig);
}

static void answers_outlive_the_resolver(void **state)
{
    struct rig rig = {0};
    struct asked asked = {0};

    (void)state;
    rig_open(&rig, "d.test MX 60 1 a.test\na.test A 60 192.0.2.1");
    asked_start(&rig, &asked, "d.test");
    rig_wait_for(&rig, 1);
    struct resolver_answer *answer = resolver_answer_ref(asked.query.answer);
    asked_let_go(&asked);
    rig_close(&rig);
    assert_string_equal(answer->targets[0].host, "a.test");
    resolver_answer_unref(answer);
}

static void takes_the_systems_servers(void **state)
{
    struct loop *loop;
    struct resolver *resolver;
    struct resolver_options options = rig_options();

    (void)state;
    assert_false(err_is(loop_create(&loop)));
    assert_false(err_is(resolver_create(loop, &options, &resolver)));
    resolver_close(resolver);
    uv_run(loop_uv(loop), UV_RUN_NOWAIT);
    loop_free(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(asks_once_however_many_wait),
        cmocka_unit_test(keeps_answers_for_their_time),
        cmocka_unit_test(answers_say_how_long_they_hold),
        cmocka_unit_test(forgets_the_least_used),
        cmocka_unit_test(flush_forgets_also_what_is_under_way),
        cmocka_unit_test(tries_the_next_server),
        cmocka_unit_test(leaves_a_closed_port),
        cmocka_unit_test(a_dead_name_delays_no_other),
        cmocka_unit_test(cancels_in_each_phase),
        cmocka_unit_test(cancels_what_was_about_to_complete),
        cmocka_unit_test(closes_with_open_queries),
        cmocka_unit_test(closes_from_a_completion),
        cmocka_unit_test(answers_outlive_the_resolver),
        cmocka_unit_test(takes_the_systems_servers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
