/* guard: rates, greylisting, the bound and several threads, in memory; times are made up. */
#include "guard/guard.h"
#include "guard/tally.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define ALICE   SPAN("alice")
#define NETWORK SPAN("192.0.2.0/24")

enum { MINUTE = 60000, HOUR = 60 * MINUTE, DAY = 24 * HOUR };

static const uint64_t noon = 1700000000000u / DAY * DAY + 12 * HOUR;

static struct guard *make(uint64_t entries_max)
{
    return guard_create(&(struct guard_options){.entries_max = entries_max, .save_ms = 1000});
}

/* How many of `tries` are let through. */
static unsigned take(struct guard *guard, enum guard_kind kind, struct span key, uint64_t limit,
                     uint64_t now, unsigned tries)
{
    unsigned taken = 0;
    uint64_t wait;

    while (tries-- > 0)
        taken += guard_take(guard, kind, key, limit, now, &wait);
    return taken;
}

static unsigned take_messages(struct guard *guard, struct span key, uint64_t limit, uint64_t now)
{
    return take(guard, GUARD_USER_MESSAGES, key, limit, now, 1000);
}

/* ---- rates -------------------------------------------------------------------------------- */

static void test_a_burst_and_a_trickle(void **state)
{
    struct guard *guard = make(100);

    (void)state;
    assert_int_equal(take_messages(guard, ALICE, 100, noon + HOUR - 1), 100);
    assert_int_equal(take_messages(guard, ALICE, 100, noon + HOUR), 0); /* no second burst */
    assert_int_equal(take_messages(guard, ALICE, 100, noon + HOUR + HOUR / 4), 25);
    assert_int_equal(take_messages(guard, ALICE, 100, noon + HOUR + HOUR / 2), 25);
    assert_int_equal(take_messages(guard, ALICE, 100, noon + 2 * HOUR), 50);
    assert_int_equal(take_messages(guard, ALICE, 100, noon + 5 * HOUR), 100);
    assert_int_equal(take_messages(guard, SPAN("bob"), 3, noon + 5 * HOUR), 3);
    assert_int_equal(take(guard, GUARD_USER_RECIPIENTS, ALICE, 7, noon + 5 * HOUR, 10), 7);
    guard_close(guard, noon);
}

static void test_no_limit(void **state)
{
    struct guard *guard = make(100);
    uint64_t wait = 1;

    (void)state;
    assert_int_equal(take_messages(guard, ALICE, 0, noon), 1000);
    assert_true(guard_has_room(guard, GUARD_USER_MESSAGES, ALICE, 0, noon, &wait));
    assert_int_equal(wait, 0);
    assert_int_equal(take_messages(guard, ALICE, 5, noon), 5); /* nothing was counted */
    guard_close(guard, noon);
}

static void test_a_minute(void **state)
{
    struct guard *guard = make(100);

    (void)state;
    assert_int_equal(take(guard, GUARD_CLIENT_SESSIONS, NETWORK, 10, noon, 99), 10);
    assert_int_equal(take(guard, GUARD_CLIENT_SESSIONS, NETWORK, 10, noon + MINUTE * 3 / 2, 99), 5);
    assert_int_equal(take(guard, GUARD_CLIENT_SESSIONS, NETWORK, 10, noon + 4 * MINUTE, 99), 10);
    guard_close(guard, noon);
}

static void test_looking_counts_nothing(void **state)
{
    struct guard *guard = make(100);
    uint64_t wait;

    (void)state;
    for (int i = 0; i < 10; i++)
        assert_true(guard_has_room(guard, GUARD_CLIENT_ERRORS, NETWORK, 2, noon, &wait));
    guard_note(guard, GUARD_CLIENT_ERRORS, NETWORK, noon);
    assert_true(guard_has_room(guard, GUARD_CLIENT_ERRORS, NETWORK, 2, noon, &wait));
    for (int i = 0; i < 9; i++)
        guard_note(guard, GUARD_CLIENT_ERRORS, NETWORK, noon);
    assert_false(guard_has_room(guard, GUARD_CLIENT_ERRORS, NETWORK, 10, noon, &wait));
    assert_true(guard_has_room(guard, GUARD_CLIENT_ERRORS, NETWORK, 11, noon, &wait));
    guard_close(guard, noon);
}

static void test_given_back(void **state)
{
    struct guard *guard = make(100);

    (void)state;
    assert_int_equal(take_messages(guard, ALICE, 3, noon + HOUR - 1), 3);
    guard_give_back(guard, GUARD_USER_MESSAGES, ALICE, noon + HOUR - 1);
    assert_int_equal(take_messages(guard, ALICE, 3, noon + HOUR - 1), 1);
    for (int i = 0; i < 4; i++) /* in the next hour: of what was counted in the one before */
        guard_give_back(guard, GUARD_USER_MESSAGES, ALICE, noon + HOUR);
    assert_int_equal(take_messages(guard, ALICE, 3, noon + HOUR), 3);
    guard_close(guard, noon);
}

/* The wait that is told is exact, whatever has come before; and no hour has more than the limit. */
static void test_the_wait(void **state)
{
    uint32_t seed = 7;

    (void)state;
    for (uint64_t limit = 1; limit < 400; limit = limit * 3 + 1) {
        struct guard *guard = make(100);
        uint64_t now = noon, wait, hour = 0, in_hour = 0, refused = 0;
        for (int i = 0; i < 5000; i++) {
            seed = seed * 1664525u + 1013904223u;
            now += (seed >> 8) % (2 * HOUR / limit);
            if (now / HOUR != hour)
                in_hour = 0;
            hour = now / HOUR;
            if (guard_take(guard, GUARD_USER_MESSAGES, ALICE, limit, now, &wait)) {
                assert_int_equal(wait, 0);
                assert_true(++in_hour <= limit);
                continue;
            }
            refused++;
            assert_true(wait > 0 && wait <= 2 * HOUR);
            if (i % 2 == 0)
                continue;
            now += wait; /* time goes on to just before that, and to it */
            assert_false(guard_has_room(guard, GUARD_USER_MESSAGES, ALICE, limit, now - 1, &wait));
            assert_int_equal(wait, 1);
            assert_true(guard_has_room(guard, GUARD_USER_MESSAGES, ALICE, limit, now, &wait));
        }
        assert_true(refused > 50);
        guard_close(guard, now);
    }
}

static void test_the_clock_goes_back(void **state)
{
    struct guard *guard = make(100);

    (void)state;
    assert_int_equal(take_messages(guard, ALICE, 10, noon + 3 * HOUR), 10);
    assert_int_equal(take_messages(guard, ALICE, 10, noon), 0);
    assert_int_equal(take_messages(guard, ALICE, 10, noon + 2 * HOUR), 10);
    guard_close(guard, noon);
}

static void test_the_sum(void **state)
{
    struct tally t = {.since = noon};

    (void)state;
    t.count = UINT32_MAX - 1;
    tally_add(&t);
    tally_add(&t);
    assert_int_equal(t.count, UINT32_MAX);
    assert_int_equal(tally_sum(&t, HOUR, noon), UINT32_MAX);
    t = (struct tally){.since = noon, .count = 10};
    tally_roll(&t, HOUR, noon + HOUR + HOUR / 2);
    assert_int_equal(tally_sum(&t, HOUR, noon + HOUR + HOUR / 2), 5);
    assert_int_equal(tally_sum(&t, HOUR, noon + HOUR + HOUR / 2 + 1), 5); /* rounded up */
    assert_int_equal(tally_sum(&t, HOUR, noon + 2 * HOUR - 1), 1);
    assert_int_equal(tally_end(&t, HOUR), noon + 3 * HOUR);
    tally_roll(&t, HOUR, noon + 3 * HOUR);
    assert_int_equal(tally_sum(&t, HOUR, noon + 3 * HOUR), 0);
}

/* ---- keys --------------------------------------------------------------------------------- */

static void test_long_keys(void **state)
{
    struct guard *guard = make(100);
    char text[2 * GUARD_KEY_MAX];
    struct span one = span_of(text, sizeof text), other = span_head(one, sizeof text - 1);

    (void)state;
    memset(text, 'x', sizeof text);
    assert_int_equal(take_messages(guard, one, 2, noon), 2);
    assert_int_equal(take_messages(guard, other, 2, noon), 2);
    assert_int_equal(take_messages(guard, span_head(one, GUARD_KEY_MAX), 2, noon), 2);
    assert_int_equal(guard_forget(guard, GUARD_KINDS, one, noon), 1);
    assert_int_equal(take_messages(guard, one, 2, noon), 2);
    assert_int_equal(take_messages(guard, other, 2, noon), 0);
    guard_close(guard, noon);
}

static void test_forget(void **state)
{
    struct guard *guard = make(100);

    (void)state;
    take_messages(guard, ALICE, 2, noon);
    take(guard, GUARD_USER_RECIPIENTS, ALICE, 2, noon, 9);
    take_messages(guard, SPAN("alice2"), 2, noon);
    assert_int_equal(guard_forget(guard, GUARD_CLIENT_ERRORS, ALICE, noon), 0);
    assert_int_equal(guard_forget(guard, GUARD_USER_RECIPIENTS, ALICE, noon), 1);
    assert_int_equal(take_messages(guard, ALICE, 2, noon), 0);
    assert_int_equal(take(guard, GUARD_USER_RECIPIENTS, ALICE, 2, noon, 9), 2);
    assert_int_equal(guard_forget(guard, GUARD_KINDS, ALICE, noon), 2);
    assert_int_equal(guard_forget(guard, GUARD_KINDS, ALICE, noon), 0);
    assert_int_equal(take_messages(guard, SPAN("alice2"), 2, noon), 0);
    guard_close(guard, noon);
}

static void test_kinds_have_names(void **state)
{
    enum guard_kind found;

    (void)state;
    for (unsigned kind = 0; kind < GUARD_KINDS; kind++) {
        assert_true(guard_kind_find(span_cstr(guard_kind_name(kind)), &found));
        assert_int_equal(found, kind);
    }
    assert_false(guard_kind_find(SPAN("user"), &found));
}

/* ---- greylisting -------------------------------------------------------------------------- */

static const struct guard_greylist policy = {
    .delay_ms = 5 * MINUTE, .window_ms = 2ull * DAY, .lifetime_ms = 36ull * DAY, .known_after = 2};

static const struct visit {
    uint64_t after; /* noon */
    const char *network;
    const char *triplet;
    enum guard_verdict verdict;
    uint64_t wait;
} visits[] = {
    {0, "n1", "n1 a b", GUARD_DEFER_FIRST, 5 * MINUTE},
    {0, "n1", "n1 a b", GUARD_DEFER, 5 * MINUTE},
    {5 * MINUTE - 1, "n1", "n1 a b", GUARD_DEFER, 1},
    {5 * MINUTE, "n1", "n1 a b", GUARD_PASS_FIRST, 0},
    {5 * MINUTE, "n1", "n1 a b", GUARD_PASS, 0},
    {5 * MINUTE, "n1", "n1 a c", GUARD_DEFER_FIRST, 5 * MINUTE}, /* one is not enough */
    {10 * MINUTE, "n1", "n1 a c", GUARD_PASS_FIRST, 0},
    {10 * MINUTE, "n1", "n1 a d", GUARD_PASS, 0}, /* now the network is known */
    {10 * MINUTE, "n2", "n2 a b", GUARD_DEFER_FIRST, 5 * MINUTE},
    {2ull * DAY + 10 * MINUTE, "n2", "n2 a b", GUARD_DEFER_FIRST, 5 * MINUTE}, /* too late */
    {2ull * DAY + 15 * MINUTE, "n2", "n2 a b", GUARD_PASS_FIRST, 0},
    /* what is used stays: from each last time on */
    {30ull * DAY, "n1", "n1 x y", GUARD_PASS, 0},
    {60ull * DAY, "n1", "n1 x z", GUARD_PASS, 0},
    {60ull * DAY, "n2", "n2 a b", GUARD_DEFER_FIRST, 5 * MINUTE},
    {96ull * DAY, "n1", "n1 x z", GUARD_DEFER_FIRST, 5 * MINUTE},
};

static void test_greylisting(void **state)
{
    struct guard *guard = make(100);

    (void)state;
    for (size_t i = 0; i < sizeof visits / sizeof *visits; i++) {
        const struct visit *visit = &visits[i];
        uint64_t wait = 1;
        enum guard_verdict verdict =
            guard_greylist(guard, &policy, span_cstr(visit->network), span_cstr(visit->triplet),
                           noon + visit->after, &wait);
        if (verdict != visit->verdict || wait != visit->wait)
            fail_msg("visit %zu: verdict %d, wait %llu", i, verdict, (unsigned long long)wait);
    }
    guard_close(guard, noon);
}

static void test_no_network_is_known(void **state)
{
    struct guard_greylist strict = policy;
    struct guard *guard = make(1000);
    uint64_t wait;
    char text[32];

    (void)state;
    strict.known_after = 0;
    for (int i = 0; i < 50; i++) {
        struct span triplet = span_of(text, (size_t)snprintf(text, sizeof text, "n a %d", i));
        assert_int_equal(guard_greylist(guard, &strict, SPAN("n"), triplet, noon, &wait),
                         GUARD_DEFER_FIRST);
        assert_int_equal(guard_greylist(guard, &strict, SPAN("n"), triplet, noon + HOUR, &wait),
                         GUARD_PASS_FIRST);
    }
    guard_close(guard, noon);
}

/* ---- the bound ---------------------------------------------------------------------------- */

static void flood(struct guard *guard, unsigned from, unsigned to, uint64_t now)
{
    uint64_t wait;
    char text[32];

    for (unsigned i = from; i < to; i++) {
        struct span triplet = span_of(text, (size_t)snprintf(text, sizeof text, "n a %u", i));
        guard_greylist(guard, &policy, SPAN("n"), triplet, now, &wait);
    }
}

static enum guard_verdict ask(struct guard *guard, unsigned number, uint64_t now)
{
    uint64_t wait;
    char text[32];
    struct span triplet = span_of(text, (size_t)snprintf(text, sizeof text, "n a %u", number));

    return guard_greylist(guard, &policy, SPAN("n"), triplet, now, &wait);
}

static void test_a_flood_of_one_kind(void **state)
{
    struct guard *guard = make(100);

    (void)state;
    assert_int_equal(take_messages(guard, ALICE, 5, noon), 5);
    flood(guard, 0, 10000, noon);
    assert_int_equal(take_messages(guard, ALICE, 5, noon), 0); /* not forgotten */
    assert_int_equal(ask(guard, 9999, noon), GUARD_DEFER);     /* the newest are there */
    assert_int_equal(ask(guard, 9910, noon), GUARD_DEFER);
    assert_int_equal(ask(guard, 9000, noon), GUARD_DEFER_FIRST);
    guard_close(guard, noon);
}

static void test_what_is_used_stays(void **state)
{
    struct guard *guard = make(100);

    (void)state;
    flood(guard, 0, 99, noon);
    assert_int_equal(ask(guard, 0, noon + HOUR), GUARD_PASS_FIRST);
    flood(guard, 1000, 1090, noon + HOUR);
    assert_int_equal(ask(guard, 0, noon + HOUR), GUARD_PASS);
    assert_int_equal(ask(guard, 1, noon + HOUR), GUARD_DEFER_FIRST);
    guard_close(guard, noon);
}

/* Of 100 places 50 hold what has expired; as many others, the network's among them, have room. */
static void test_expired_go_first(void **state)
{
    struct guard *guard = make(100);
    char text[32];

    (void)state;
    flood(guard, 0, 50, noon);
    for (unsigned i = 0; i < 50; i++)
        take(guard, GUARD_CLIENT_SESSIONS,
             span_of(text, (size_t)snprintf(text, sizeof text, "%u", i)), 9, noon, 1);
    flood(guard, 1000, 1049, noon + HOUR);
    for (unsigned i = 0; i < 50; i++)
        assert_int_equal(ask(guard, i, noon + HOUR), i < 2 ? GUARD_PASS_FIRST : GUARD_PASS);
    guard_close(guard, noon);
}

static void test_a_lower_bound(void **state)
{
    struct guard *guard = make(1000);

    (void)state;
    flood(guard, 0, 1000, noon);
    guard_configure(guard, &(struct guard_options){.entries_max = 100, .save_ms = 1000});
    flood(guard, 1000, 1400, noon);
    assert_int_equal(ask(guard, 1399, noon), GUARD_DEFER);
    assert_int_equal(ask(guard, 1310, noon), GUARD_DEFER);
    assert_int_equal(ask(guard, 1290, noon), GUARD_DEFER_FIRST);
    guard_close(guard, noon);
}

/* ---- threads ------------------------------------------------------------------------------ */

enum { THREADS = 4, TRIES = 5000, LIMIT = 7000 };

struct crew {
    struct guard *guard;
    atomic_uint taken;
};

static void *take_much(void *context)
{
    struct crew *crew = context;
    uint64_t wait;
    char text[32];

    for (unsigned i = 0; i < TRIES; i++) {
        struct span key = span_of(text, (size_t)snprintf(text, sizeof text, "%u", i % 300));
        if (guard_take(crew->guard, GUARD_USER_MESSAGES, ALICE, LIMIT, noon, &wait))
            atomic_fetch_add(&crew->taken, 1);
        guard_note(crew->guard, GUARD_CLIENT_ERRORS, key, noon);
        guard_greylist(crew->guard, &policy, NETWORK, key, noon + i % 2 * HOUR, &wait);
        if (i % 100 == 0)
            guard_forget(crew->guard, GUARD_CLIENT_ERRORS, key, noon);
    }
    return NULL;
}

static void test_threads(void **state)
{
    struct crew crew = {.guard = make(200)};
    pthread_t threads[THREADS];

    (void)state;
    for (unsigned i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, take_much, &crew), 0);
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(crew.taken, LIMIT);
    guard_close(crew.guard, noon);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_burst_and_a_trickle),
        cmocka_unit_test(test_no_limit),
        cmocka_unit_test(test_a_minute),
        cmocka_unit_test(test_looking_counts_nothing),
        cmocka_unit_test(test_given_back),
        cmocka_unit_test(test_the_wait),
        cmocka_unit_test(test_the_clock_goes_back),
        cmocka_unit_test(test_the_sum),
        cmocka_unit_test(test_long_keys),
        cmocka_unit_test(test_forget),
        cmocka_unit_test(test_kinds_have_names),
        cmocka_unit_test(test_greylisting),
        cmocka_unit_test(test_no_network_is_known),
        cmocka_unit_test(test_a_flood_of_one_kind),
        cmocka_unit_test(test_what_is_used_stays),
        cmocka_unit_test(test_expired_go_first),
        cmocka_unit_test(test_a_lower_bound),
        cmocka_unit_test(test_threads),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
