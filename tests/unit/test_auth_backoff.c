/* How failures add up, are forgotten, and whom they concern. Times are the test's own. */
#include "auth/backoff.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static const struct crypto_secret secret = {"not very secret"};

struct peer {
    struct sockaddr_storage addr;
};

static struct peer peer_of(const char *text)
{
    struct peer peer = {0};
    struct sockaddr_in *in4 = (void *)&peer.addr;
    struct sockaddr_in6 *in6 = (void *)&peer.addr;

    if (inet_pton(AF_INET, text, &in4->sin_addr) == 1)
        in4->sin_family = AF_INET;
    else if (inet_pton(AF_INET6, text, &in6->sin6_addr) == 1)
        in6->sin6_family = AF_INET6;
    else
        fail_msg("%s", text);
    return peer;
}

static uint64_t delay(struct auth_backoff *backoff, const char *client, const char *user,
                      uint64_t now)
{
    struct peer peer = peer_of(client);

    return auth_backoff_delay(backoff, (void *)&peer.addr, span_cstr(user), now);
}

static void note(struct auth_backoff *backoff, const char *client, const char *user, bool succeeded,
                 unsigned times, uint64_t now)
{
    struct peer peer = peer_of(client);

    while (times-- > 0)
        auth_backoff_note(backoff, (void *)&peer.addr, span_cstr(user), succeeded, now);
}

static int make(void **state)
{
    *state = auth_backoff_create(&secret);
    return 0;
}

static int drop(void **state)
{
    auth_backoff_free(*state);
    auth_backoff_free(NULL);
    return 0;
}

static void waits_double(void **state)
{
    uint64_t expected = AUTH_BACKOFF_FIRST_MS;

    note(*state, "192.0.2.1", "", false, AUTH_BACKOFF_FREE_ADDRESS, 5);
    assert_int_equal(delay(*state, "192.0.2.1", "x", 5), 0);
    for (unsigned i = 0; i < 20; i++) {
        note(*state, "192.0.2.1", "", false, 1, 5);
        assert_int_equal(delay(*state, "192.0.2.1", "x", 5), expected);
        expected = expected * 2 < AUTH_BACKOFF_MAX_MS ? expected * 2 : AUTH_BACKOFF_MAX_MS;
    }
    assert_int_equal(delay(*state, "192.0.2.1", "", 5 + AUTH_BACKOFF_MAX_MS - 1), 1);
    assert_int_equal(delay(*state, "192.0.2.1", "", 5 + AUTH_BACKOFF_MAX_MS), 0);
}

static void forgets_by_halves(void **state)
{
    uint64_t later = 100 + 10ULL * AUTH_BACKOFF_HALF_MS;

    note(*state, "192.0.2.1", "", false, AUTH_BACKOFF_FREE_ADDRESS + 8, 100);
    note(*state, "192.0.2.1", "", false, 1, 100 + AUTH_BACKOFF_HALF_MS);
    assert_int_equal(delay(*state, "192.0.2.1", "", 100 + AUTH_BACKOFF_HALF_MS), 0);
    note(*state, "192.0.2.1", "", false, AUTH_BACKOFF_FREE_ADDRESS, later);
    assert_int_equal(delay(*state, "192.0.2.1", "", later), 0);
    note(*state, "192.0.2.1", "", false, 1, later + 1000ULL * AUTH_BACKOFF_HALF_MS);
    assert_int_equal(delay(*state, "192.0.2.1", "", later + 1000ULL * AUTH_BACKOFF_HALF_MS), 0);
}

static void addresses_are_networks(void **state)
{
    note(*state, "2001:db8::1", "", false, 2 * AUTH_BACKOFF_FREE_ADDRESS, 5);
    assert_true(delay(*state, "2001:db8::ffff:1", "", 5) > 0);
    assert_int_equal(delay(*state, "2001:db8:0:1::1", "", 5), 0);
    note(*state, "192.0.2.7", "", false, 2 * AUTH_BACKOFF_FREE_ADDRESS, 5);
    assert_true(delay(*state, "::ffff:192.0.2.7", "", 5) > 0);
    assert_int_equal(delay(*state, "192.0.2.8", "", 5), 0);
    assert_int_equal(auth_backoff_delay(*state, NULL, SPAN_NONE, 5), 0);
    auth_backoff_note(*state, NULL, SPAN_NONE, false, 5);
}

/* A user whom many addresses guess at is held back at new ones, and only there. */
static void guessing_locks_nobody_out(void **state)
{
    char client[32];

    note(*state, "198.51.100.1", "alice", true, 1, 5);
    for (unsigned i = 0; i < 4 * AUTH_BACKOFF_FREE_USER; i++) {
        snprintf(client, sizeof client, "192.0.2.%u", i + 1);
        note(*state, client, "alice", false, 1, 5);
    }
    assert_true(delay(*state, "203.0.113.1", "alice", 5) > 0);
    assert_int_equal(delay(*state, "203.0.113.1", "bob", 5), 0);
    assert_int_equal(delay(*state, "198.51.100.1", "alice", 5), 0);
    assert_true(auth_backoff_delay(*state, NULL, SPAN("alice"), 5) > 0);
    note(*state, "198.51.100.1", "alice", false, 2 * AUTH_BACKOFF_FREE_ADDRESS, 5);
    assert_true(delay(*state, "198.51.100.1", "alice", 5) > 0);
}

/* However many come, the one who fails most is not forgotten for them. */
static void the_table_is_bounded(void **state)
{
    char user[32];

    note(*state, "192.0.2.1", "", false, 4 * AUTH_BACKOFF_FREE_ADDRESS, 5);
    for (unsigned i = 0; i < 100000; i++) {
        int len = snprintf(user, sizeof user, "user%u", i);
        auth_backoff_note(*state, NULL, span_of(user, (size_t)len), false, 5);
    }
    assert_true(delay(*state, "192.0.2.1", "", 5) > 0);
}

#define WITH_TABLE(test) cmocka_unit_test_setup_teardown(test, make, drop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_TABLE(waits_double),           WITH_TABLE(forgets_by_halves),
        WITH_TABLE(addresses_are_networks), WITH_TABLE(guessing_locks_nobody_out),
        WITH_TABLE(the_table_is_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
