/* receive/limits: handshakes of a client in a minute, and that clients are forgotten again. */
#include "receive/session.h"

#include <arpa/inet.h>
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum { T0 = 1000000, SECOND = 1000, NETWORKS = 200000 };

static struct conf_network exempt = {.bytes = {192, 0, 2}, .prefix = 24, .family = AF_INET};

static struct conf conf_of(unsigned handshakes)
{
    return (struct conf){
        .sessions_max = 10,
        .sessions_per_client = 10,
        .stress_threshold = 100,
        .client_handshakes_per_minute = handshakes,
        .limit_exempt_networks = {.items = &exempt, .count = 1},
    };
}

static struct sockaddr *v4(uint32_t address)
{
    static struct sockaddr_in in;

    in = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(address)};
    return (struct sockaddr *)&in;
}

static struct sockaddr *v6(const char *text)
{
    static struct sockaddr_in6 in6;

    in6 = (struct sockaddr_in6){.sin6_family = AF_INET6};
    assert_int_equal(inet_pton(AF_INET6, text, &in6.sin6_addr), 1);
    return (struct sockaddr *)&in6;
}

/* One connection of this client, with one handshake. */
static bool visit(struct receive_limits *limits, const struct conf *conf,
                  const struct sockaddr *client, uint64_t now)
{
    struct receive_seat seat;

    assert_int_equal(receive_limits_enter(limits, conf, client, &seat), LIMIT_OK);
    bool good = receive_limits_handshake(limits, conf, client, now);
    receive_limits_leave(limits, &seat);
    return good;
}

static void test_each_client_by_itself(void **state)
{
    struct conf conf = conf_of(3);
    struct receive_limits *limits = receive_limits_create();

    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        assert_true(visit(limits, &conf, v4(0x0a000001), T0 + i));
        assert_true(visit(limits, &conf, v6("2001:db8::1"), T0 + i));
    }
    assert_false(visit(limits, &conf, v4(0x0a000001), T0 + 3));
    assert_false(visit(limits, &conf, v6("2001:db8::ffff"), T0 + 3)); /* the same /64 */
    assert_true(visit(limits, &conf, v6("2001:db8:0:1::1"), T0 + 3));
    assert_true(visit(limits, &conf, v4(0x0a000002), T0 + 3));
    for (unsigned i = 0; i < 10; i++)
        assert_true(visit(limits, &conf, v4(0xc0000201), T0 + 3)); /* exempt */
    assert_false(visit(limits, &conf, v4(0x0a000001), T0 + 59 * SECOND));
    assert_false(visit(limits, &conf, v4(0x0a000001), T0 - 1)); /* another thread's clock */
    assert_true(visit(limits, &conf, v4(0x0a000001), T0 + 60 * SECOND));
    receive_limits_free(limits);
}

static void test_within_one_session(void **state)
{
    struct conf conf = conf_of(1);
    struct receive_limits *limits = receive_limits_create();
    struct sockaddr *client = v4(0x0a000001);
    struct receive_seat seat;

    (void)state;
    assert_int_equal(receive_limits_enter(limits, &conf, client, &seat), LIMIT_OK);
    assert_true(receive_limits_handshake(limits, &conf, client, T0));
    assert_false(receive_limits_handshake(limits, &conf, client, T0));
    assert_true(receive_limits_handshake(limits, &conf, client, T0 + 60 * SECOND));
    receive_limits_leave(limits, &seat);
    receive_limits_free(limits);
}

static void test_no_bound(void **state)
{
    struct conf conf = conf_of(0);
    struct receive_limits *limits = receive_limits_create();

    (void)state;
    for (unsigned i = 0; i < 10000; i++)
        assert_true(visit(limits, &conf, v4(0x0a000001), T0));
    receive_limits_free(limits);
}

/* Clients come from ever new networks: what is remembered of them stays within its bound, and goes
 * when their minute is over. */
static void test_memory_is_bounded(void **state)
{
    struct conf conf = conf_of(1);
    struct receive_limits *limits = receive_limits_create();
    size_t before = mallinfo2().uordblks;

    (void)state;
    for (unsigned i = 0; i < NETWORKS; i++)
        assert_true(visit(limits, &conf, v4(0x0b000000 + i), T0));
    assert_true(mallinfo2().uordblks - before < 65600 * 128);
    assert_false(visit(limits, &conf, v4(0x0b000000 + NETWORKS - 1), T0));
    assert_true(visit(limits, &conf, v4(0x0b000000), T0)); /* forgotten */
    for (unsigned i = 0; i < NETWORKS; i++)
        visit(limits, &conf, v4(0x0a000001), T0 + 60 * SECOND);
    assert_true(mallinfo2().uordblks - before < 1000);
    receive_limits_free(limits);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_client_by_itself),
        cmocka_unit_test(test_within_one_session),
        cmocka_unit_test(test_no_bound),
        cmocka_unit_test(test_memory_is_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
