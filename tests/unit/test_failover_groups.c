/* plugins/failover: whose turn it is, and which hosts serve. Time is made up. */
#include "failover/groups.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

enum { REST = 100, REST_MAX = 300, FAILURES = 3, DRAWS = 20000 };

struct rig {
    struct health *health;
    struct group group;
};

static struct smarthop_span text_of(const char *text)
{
    return smarthop_span_of(text, strlen(text));
}

static void rig_start(struct rig *rig, const char *text)
{
    struct health_limits limits = {FAILURES, REST, REST_MAX};

    rig->health = health_create(limits);
    assert_null(group_parse(text_of(text), rig->health, &rig->group));
}

static void rig_stop(struct rig *rig)
{
    health_free(rig->health);
}

/* The hosts in their order, with a blank between them. */
static const char *order(struct rig *rig, uint64_t key, uint64_t now)
{
    static char text[512];
    struct smarthop_next_hop hops[SMARTHOP_NEXT_HOPS_MAX];
    size_t len = 0;

    group_order(&rig->group, rig->health, key, now, hops);
    for (uint32_t i = 0; i < rig->group.count; i++) {
        assert_int_equal(hops[i].priority, i);
        len += (size_t)snprintf(text + len, sizeof text - len, "%s%.*s", i > 0 ? " " : "",
                                (int)hops[i].host.len, hops[i].host.ptr);
    }
    return text;
}

static void fail_host(struct rig *rig, uint32_t host, unsigned times, uint64_t now)
{
    for (unsigned i = 0; i < times; i++)
        health_failed(rig->health, host, 0, now);
}

static void test_reading(void **state)
{
    struct rig rig;

    (void)state;
    rig_start(&rig, " two : b.test:2525*3@9,[2001:db8::1]:26 , 192.0.2.1@2, [::2] ,A.test*2,"
                    "smtps:c.test:4465@10,SMTPS:[::3]@10,smtps:465@10");
    static const struct {
        const char *name;
        uint16_t port, priority;
        uint32_t weight;
    } members[] = {{"2001:db8::1", 26, 0, 1}, {"::2", 0, 0, 1},       {"A.test", 0, 0, 2},
                   {"192.0.2.1", 0, 2, 1},    {"b.test", 2525, 9, 3}, {"smtps:c.test", 4465, 10, 1},
                   {"SMTPS:[::3]", 0, 10, 1}, {"smtps", 465, 10, 1}};
    assert_true(smarthop_equal(rig.group.name, text_of("two")));
    assert_int_equal(rig.group.count, 8);
    for (unsigned i = 0; i < 8; i++) {
        const struct group_member *member = &rig.group.members[i];
        assert_true(smarthop_equal(member->name, text_of(members[i].name)));
        assert_int_equal(member->port, members[i].port);
        assert_int_equal(member->priority, members[i].priority);
        assert_int_equal(member->weight, members[i].weight);
    }
    assert_int_equal(health_add(rig.health, text_of("a.TEST")), 4);
    assert_int_equal(health_add(rig.health, text_of("c.test")), 5);
    assert_int_equal(health_add(rig.health, text_of("::3")), 6);
    rig_stop(&rig);
}

static void test_what_is_wrong(void **state)
{
    static const char *const texts[] = {
        "",
        "a.test",
        ": a.test",
        "g:",
        "g: a.test,",
        "g: ,a.test",
        "g: a:0",
        "g: a:",
        "g: a:65536",
        "g: a:x",
        "g: a*0",
        "g: a*",
        "g: a@",
        "g: a@-1",
        "g: a@70000",
        "g: [::1",
        "g: ::1]",
        "g: []",
        "g: a b",
        "g: :25",
        "g: *2",
        "g: [::1]x:25",
        "g: smtps:",
        "g: smtps: a",
        "g: smtps: a:25",
        "g: smtps::25",
        "g: smtps:[a",
        "g: a:1:99999999",
        "g: 1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17",
    };
    struct group_route route;

    (void)state;
    for (unsigned i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct health *health = health_create((struct health_limits){1, 1, 1});
        struct group group;
        if (group_parse(text_of(texts[i]), health, &group) == NULL)
            fail_msg("%s is taken", texts[i]);
        health_free(health);
    }
    assert_non_null(group_route_parse(text_of("a.test"), &route));
    assert_non_null(group_route_parse(text_of(": g"), &route));
    assert_non_null(group_route_parse(text_of("a.test:"), &route));
}

static void test_routes(void **state)
{
    static const struct {
        const char *route, *domain;
        bool suits;
    } cases[] = {
        {"*: g", "a.test", true},         {"A.test: g", "a.test", true},
        {"a.test: g", "b.a.test", false}, {".a.test: g", "a.test", true},
        {".a.test: g", "b.a.test", true}, {".a.test: g", "ba.test", false},
        {".a.test: g", "", false},        {"a.test: g", "", false},
    };
    struct group_route route;

    (void)state;
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_null(group_route_parse(text_of(cases[i].route), &route));
        assert_true(smarthop_equal(route.group, text_of("g")));
        if (group_route_suits(&route, text_of(cases[i].domain)) != cases[i].suits)
            fail_msg("%s %s", cases[i].route, cases[i].domain);
    }
}

static void test_priorities(void **state)
{
    struct rig rig;

    (void)state;
    rig_start(&rig, "g: c@2, a, b@1");
    assert_string_equal(order(&rig, 1, 0), "a b c");
    fail_host(&rig, 1, FAILURES, 0);
    assert_string_equal(order(&rig, 1, 0), "b c a");
    fail_host(&rig, 2, FAILURES, 0);
    assert_string_equal(order(&rig, 1, 0), "c a b");
    fail_host(&rig, 0, FAILURES, 0);
    assert_string_equal(order(&rig, 1, 0), "a b c"); /* all of them are down */
    rig_stop(&rig);
}

static void test_a_host_that_goes_down_and_comes_back(void **state)
{
    struct rig rig;

    (void)state;
    rig_start(&rig, "g: a, b@1");
    fail_host(&rig, 0, FAILURES - 1, 0);
    assert_false(health_succeeded(rig.health, 0));
    fail_host(&rig, 0, FAILURES - 1, 0);
    assert_string_equal(order(&rig, 1, 0), "a b");
    assert_true(health_failed(rig.health, 0, 0, 0));
    assert_string_equal(order(&rig, 1, REST - 1), "b a");
    assert_string_equal(order(&rig, 1, REST), "a b");     /* one tries it, ... */
    assert_string_equal(order(&rig, 1, REST), "b a");     /* ... and no other */
    assert_string_equal(order(&rig, 1, 2 * REST), "a b"); /* nothing has been heard of that one */
    assert_false(health_failed(rig.health, 0, 0, 2 * REST));
    assert_false(health_failed(rig.health, 0, 0, 3 * REST)); /* that was on its way before */
    assert_string_equal(order(&rig, 1, 4 * REST - 1), "b a");
    assert_string_equal(order(&rig, 1, 4 * REST), "a b");
    health_failed(rig.health, 0, 0, 4 * REST);
    assert_string_equal(order(&rig, 1, 4 * REST + REST_MAX - 1), "b a");
    assert_string_equal(order(&rig, 1, 4 * REST + REST_MAX), "a b");
    assert_true(health_succeeded(rig.health, 0));
    assert_string_equal(order(&rig, 1, 4 * REST + REST_MAX), "a b");
    assert_string_equal(order(&rig, 1, 4 * REST + REST_MAX), "a b");
    rig_stop(&rig);
}

static void test_recipients_of_one_message_are_one_failure(void **state)
{
    struct rig rig;

    (void)state;
    rig_start(&rig, "g: a");
    for (unsigned i = 0; i < 100; i++)
        assert_false(health_failed(rig.health, 0, 7, 1000));
    assert_false(health_failed(rig.health, 0, 7, 3000));
    assert_true(health_failed(rig.health, 0, 8, 3000));
    rig_stop(&rig);
}

/* How often each of a, b, c is the first one. */
static void count(struct rig *rig, unsigned counts[3])
{
    memset(counts, 0, 3 * sizeof *counts);
    for (uint64_t key = 0; key < DRAWS; key++)
        counts[order(rig, key, 0)[0] - 'a']++;
}

static void test_weights(void **state)
{
    struct rig rig;
    unsigned counts[3];

    (void)state;
    rig_start(&rig, "g: a*6, b*3, c");
    count(&rig, counts);
    assert_in_range(counts[0], DRAWS * 58 / 100, DRAWS * 62 / 100);
    assert_in_range(counts[1], DRAWS * 28 / 100, DRAWS * 32 / 100);
    assert_in_range(counts[2], DRAWS * 8 / 100, DRAWS * 12 / 100);
    fail_host(&rig, 0, FAILURES, 0);
    count(&rig, counts);
    assert_int_equal(counts[0], 0);
    assert_in_range(counts[1], DRAWS * 73 / 100, DRAWS * 77 / 100);
    rig_stop(&rig);
}

/* Only the keys of a host that has gone move. */
static void test_keys_stay(void **state)
{
    struct rig rig;
    char before[DRAWS / 10];
    unsigned moved = 0;

    (void)state;
    rig_start(&rig, "g: a, b, c");
    for (unsigned key = 0; key < sizeof before; key++)
        before[key] = order(&rig, key, 0)[0];
    fail_host(&rig, 1, FAILURES, 0);
    for (unsigned key = 0; key < sizeof before; key++) {
        char after = order(&rig, key, 0)[0];
        assert_true(before[key] == 'b' ? after != 'b' : after == before[key]);
        moved += after == 'c' && before[key] == 'b';
    }
    assert_in_range(moved, sizeof before / 10, sizeof before / 4);
    rig_stop(&rig);
}

static void *use(void *context)
{
    struct rig *rig = context;
    struct smarthop_next_hop hops[SMARTHOP_NEXT_HOPS_MAX];

    for (uint64_t i = 0; i < DRAWS; i++) {
        group_order(&rig->group, rig->health, i, i, hops);
        if (i % 3 == 0)
            health_succeeded(rig->health, (uint32_t)(i % 2));
        else
            health_failed(rig->health, (uint32_t)(i % 2), i, i);
    }
    return NULL;
}

static void test_threads(void **state)
{
    struct rig rig;
    pthread_t threads[3];

    (void)state;
    rig_start(&rig, "g: a, b, c@1");
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, use, &rig), 0);
    for (unsigned i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    health_succeeded(rig.health, 0);
    assert_int_equal(health_look(rig.health, 0, 0), HEALTH_GOOD);
    rig_stop(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reading),
        cmocka_unit_test(test_what_is_wrong),
        cmocka_unit_test(test_routes),
        cmocka_unit_test(test_priorities),
        cmocka_unit_test(test_a_host_that_goes_down_and_comes_back),
        cmocka_unit_test(test_recipients_of_one_message_are_one_failure),
        cmocka_unit_test(test_weights),
        cmocka_unit_test(test_keys_stay),
        cmocka_unit_test(test_threads),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
