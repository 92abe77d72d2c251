/* What a site takes of us: rates in virtual time, connections, the breaker, waiting for room. */
#include "support/loop_turn.h"
#include "support/rig.h"

#include "schedule/budget.h"
#include "schedule/schedule.h"

#define COUNT(of) (sizeof(of) / sizeof((of)[0]))

enum { START = 1000000 };

static struct budgets *all;

static int make(void **state)
{
    (void)state;
    all = budgets_create();
    return 0;
}

static int drop(void **state)
{
    (void)state;
    budgets_free(all);
    return 0;
}

static struct budget *get(const char *site, struct budget_limits limits)
{
    if (limits.connections == 0)
        limits.connections = 10;
    return budget_get(all, span_cstr(site), &limits);
}

/* Sends as soon as it may, for so long; looks every `step` ms. */
static unsigned spend_for(struct budget *b, uint64_t from, uint64_t ms, uint64_t step)
{
    unsigned sent = 0;
    uint64_t until;

    for (uint64_t now = from; now < from + ms; now += step)
        while (budget_spend(b, now, &until) == BUDGET_YES)
            sent++;
    return sent;
}

/* ---- rates -------------------------------------------------------------------------------- */

static void test_rates_hold(void **state)
{
    static const struct {
        enum budget_rate period;
        uint64_t rate, ms, wanted;
    } cases[] = {
        {BUDGET_SECOND, 100, 60000, 6000},      {BUDGET_SECOND, 1, 60000, 60},
        {BUDGET_MINUTE, 600, 60000, 600},       {BUDGET_MINUTE, 60, 600000, 600},
        {BUDGET_HOUR, 36000, 60000, 600},       {BUDGET_HOUR, 1000, 3600000, 1000},
        {BUDGET_DAY, 10000, 86400000, 10000},   {BUDGET_DAY, 864000, 600000, 6000},
        {BUDGET_MINUTE, 1000000, 6000, 100000},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct budget_limits limits = {0};
        limits.rates[cases[i].period] = cases[i].rate;
        struct budget *b = get("rate", limits);
        uint64_t step = cases[i].ms / 6000;
        spend_for(b, START, 120000, step ? step : 1); /* what was saved up is gone */
        unsigned sent = spend_for(b, START + 120000, cases[i].ms, step ? step : 1);
        assert_in_range(sent, cases[i].wanted - cases[i].wanted / 50 - 1,
                        cases[i].wanted + cases[i].wanted / 50 + 1);
        budget_unref(b);
    }
}

/* Who looks only now and then, because the machine is busy, still has the rate. */
static void test_late_looks(void **state)
{
    struct budget *b = get("late", (struct budget_limits){.rates = {[BUDGET_SECOND] = 100}});

    (void)state;
    assert_in_range(spend_for(b, START, 60000, 80), 5880, 6010);
    budget_unref(b);
}

/* A quiet time is not saved up beyond a sixtieth. */
static void test_no_burst(void **state)
{
    struct budget *b = get("burst", (struct budget_limits){.rates = {[BUDGET_MINUTE] = 600}});
    uint64_t until;

    (void)state;
    assert_int_equal(budget_spend(b, START, &until), BUDGET_YES);
    assert_in_range(spend_for(b, START + 3600000, 1, 1), 10, 11);
    assert_int_equal(budget_spend(b, START + 3600001, &until), BUDGET_RATE);
    assert_in_range(until, START + 3600002, START + 3600102);
    budget_unref(b);
}

static void test_told_when(void **state)
{
    struct budget *b = get("when", (struct budget_limits){.rates = {[BUDGET_HOUR] = 10}});
    uint64_t until;

    (void)state;
    assert_int_equal(budget_spend(b, START, &until), BUDGET_YES); /* the first at once */
    assert_int_equal(budget_spend(b, START, &until), BUDGET_RATE);
    assert_int_equal(until, START + 360000);
    assert_int_equal(budget_look(b, until - 1, &until), BUDGET_RATE);
    assert_int_equal(budget_look(b, START + 360000, &until), BUDGET_YES);
    assert_int_equal(budget_spend(b, START + 360000, &until), BUDGET_YES);
    budget_refund(b);
    assert_int_equal(budget_spend(b, START + 360000, &until), BUDGET_YES);
    assert_int_equal(budget_spend(b, START + 360000, &until), BUDGET_RATE);
    budget_unref(b);
}

static void test_the_slowest_counts(void **state)
{
    struct budget *b = get(
        "both", (struct budget_limits){.rates = {[BUDGET_SECOND] = 1000, [BUDGET_MINUTE] = 60}});

    (void)state;
    spend_for(b, START, 60000, 10);
    assert_in_range(spend_for(b, START + 60000, 60000, 10), 59, 61);
    budget_unref(b);
}

/* ---- connections -------------------------------------------------------------------------- */

static void test_it_grows_and_narrows(void **state)
{
    struct budget *b = get("grow", (struct budget_limits){.connections = 3});
    struct budget *same = get("grow", (struct budget_limits){.connections = 3});
    uint64_t until;

    (void)state;
    assert_ptr_equal(b, same);
    budget_unref(same);
    assert_int_equal(budget_connect(b, START, &until), BUDGET_YES);
    assert_int_equal(budget_connect(b, START, &until), BUDGET_FULL);
    for (int i = 0; i < 5; i++)
        budget_succeeded(b, START);
    assert_int_equal(budget_connect(b, START, &until), BUDGET_YES);
    assert_int_equal(budget_connect(b, START, &until), BUDGET_YES);
    assert_int_equal(budget_connect(b, START, &until), BUDGET_FULL);
    budget_release(b);
    budget_narrow(b, START, 2);
    budget_succeeded(b, START + 1000);
    assert_int_equal(budget_connect(b, START, &until), BUDGET_FULL);
    budget_succeeded(b, START + 60000);
    assert_int_equal(budget_connect(b, START + 60000, &until), BUDGET_YES);
    budget_unref(b);
}

static uint64_t tenfold(void *context, uint32_t failures)
{
    (void)context;
    return failures * 10;
}

static void test_breaker(void **state)
{
    struct budget *b = get("breaker", (struct budget_limits){.connections = 5});
    uint64_t until;

    (void)state;
    for (int i = 0; i < 5; i++)
        budget_succeeded(b, START);
    assert_int_equal(budget_back_off(b, START, tenfold, NULL, &until), 1);
    assert_int_equal(until, START + 10);
    assert_int_equal(budget_back_off(b, START + 5, tenfold, NULL, &until), 1); /* already */
    assert_int_equal(budget_connect(b, START + 9, &until), BUDGET_BACK_OFF);
    assert_int_equal(budget_spend(b, START + 9, &until), BUDGET_BACK_OFF);
    assert_int_equal(budget_connect(b, START + 10, &until), BUDGET_YES); /* one try */
    assert_int_equal(budget_connect(b, START + 10, &until), BUDGET_FULL);
    budget_release(b);
    assert_int_equal(budget_back_off(b, START + 11, tenfold, NULL, &until), 2);
    assert_int_equal(until, START + 31);
    budget_lift(b);
    assert_int_equal(budget_connect(b, START + 12, &until), BUDGET_YES);
    assert_int_equal(budget_back_off(b, START + 13, tenfold, NULL, &until), 1);
    budget_unref(b);
}

static void test_left_alone(void **state)
{
    struct budget *b = get("left", (struct budget_limits){.connections = 5});
    uint64_t until;

    (void)state;
    for (int i = 0; i < 5; i++)
        budget_succeeded(b, START);
    assert_true(budget_leave(b, START, 1000, &until));
    assert_int_equal(until, START + 1000);
    assert_false(budget_leave(b, START + 90, 1000, &until)); /* the same one */
    assert_false(budget_leave(b, START + 90, 10, &until));
    assert_int_equal(until, START + 1000);
    assert_int_equal(budget_spend(b, START + 999, &until), BUDGET_BACK_OFF);
    assert_true(budget_leave(b, START + 999, 5000, &until)); /* a longer one counts */
    assert_int_equal(budget_connect(b, START + 5998, &until), BUDGET_BACK_OFF);
    assert_int_equal(budget_connect(b, START + 5999, &until), BUDGET_YES);
    assert_int_equal(budget_connect(b, START + 5999, &until), BUDGET_FULL); /* one at first */
    budget_release(b);
    budget_unref(b);
}

/* ---- waiting for room ---------------------------------------------------------------------- */

struct waiting {
    struct budget_waiter waiter;
    unsigned told;
};

static void on_told(struct call *call)
{
    container_of(call, struct waiting, waiter.call)->told++;
}

static void wait_init(struct waiting *w, struct loop *loop)
{
    *w = (struct waiting){.waiter.loop = loop, .waiter.call.done = on_told};
    list_init(&w->waiter.link);
    list_init(&w->waiter.call.link);
}

static void test_waiters(void **state)
{
    struct loop *loop = turn_loop_create();
    struct budget *b = get("wait", (struct budget_limits){.connections = 1});
    struct waiting first, second;
    uint64_t until;

    (void)state;
    wait_init(&first, loop);
    wait_init(&second, loop);
    assert_int_equal(budget_connect(b, START, &until), BUDGET_YES);
    budget_wait(b, &first.waiter);
    budget_wait(b, &second.waiter);
    turn_once(loop);
    assert_int_equal(first.told + second.told, 0);
    budget_release(b);
    TURN_UNTIL(loop, first.told == 1);
    assert_int_equal(second.told, 0);
    assert_false(budget_wait_cancel(b, &first.waiter));
    assert_true(budget_wait_cancel(b, &second.waiter));
    budget_wait(b, &second.waiter); /* there is room: at once */
    TURN_UNTIL(loop, second.told == 1);
    budget_unref(b);
    loop_free(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rates_hold),
        cmocka_unit_test(test_late_looks),
        cmocka_unit_test(test_no_burst),
        cmocka_unit_test(test_told_when),
        cmocka_unit_test(test_the_slowest_counts),
        cmocka_unit_test(test_it_grows_and_narrows),
        cmocka_unit_test(test_breaker),
        cmocka_unit_test(test_left_alone),
        cmocka_unit_test(test_waiters),
    };

    return cmocka_run_group_tests(tests, make, drop);
}
