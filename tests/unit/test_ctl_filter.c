/* queue/ctl/filter: what each term lets pass, alone and with others. */
#include "proto/base32.h"
#include "queue/ctl/filter.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

enum { NOW = 1000000000, HOUR = 3600000 };

/* One message, an hour old, for two recipients, of whom the second has failed. */
struct sample {
    struct queue_recipient recipients[2];
    struct queue_group group;
    struct queue_message message;
};

static void fill(struct sample *s)
{
    *s = (struct sample){
        .recipients = {{.address = SPAN("ann@one.example")},
                       {.address = SPAN("Bob@two.example"),
                        .last = STATUS(450, 4, 2, 0, "Mailbox busy")}},
        .group = {.state = QUEUE_GROUP_WAITING,
                  .due = NOW + HOUR,
                  .tries = 3,
                  .destination = SPAN("hosts:relay.example:25;tls=none;tenant=acme"),
                  .recipient_count = 2},
        .message = {.id = 0x1234567ABC,
                    .arrival = NOW - HOUR,
                    .reverse_path = SPAN("News@lists.example"),
                    .tenant = SPAN("acme"),
                    .size = 20480},
    };
    s->group.recipients = s->recipients;
}

static bool passes(const struct filter *filter, const struct sample *s)
{
    return filter_message(filter, &s->message, NOW) &&
           filter_group(filter, &s->group, VIEW_WAITING, NOW) != NULL;
}

static bool take(struct filter *filter, enum filter_term term, const char *value)
{
    struct buf why;

    buf_init(&why, 0);
    bool taken = filter_take(filter, term, value, &why);
    assert_int_equal(buf_len(&why) == 0, taken); /* a refusal is explained */
    buf_fini(&why);
    return taken;
}

static void test_terms(void **state)
{
    static const struct {
        enum filter_term term;
        const char *value;
        bool passes;
    } cases[] = {
        {FILTER_SENDER, "news@", true},
        {FILTER_SENDER, "NEWS@LISTS.EXAMPLE", true},
        {FILTER_SENDER, "other", false},
        {FILTER_SENDER, "*@lists.example", true},
        {FILTER_SENDER, "*@lists", false},
        {FILTER_SENDER, "n?ws@*", true},
        {FILTER_SENDER, "n?s@*", false},
        {FILTER_SENDER, "*", true},
        {FILTER_SENDER, "*s*s*e*", true},
        {FILTER_SENDER, "*s*s*z*", false},
        {FILTER_SENDER, "news@lists.example?", false},
        {FILTER_SENDER, "<>", false},
        {FILTER_RECIPIENT, "bob", true},
        {FILTER_RECIPIENT, "*@one.example", true},
        {FILTER_RECIPIENT, "carol", false},
        {FILTER_DOMAIN, "TWO.example", true},
        {FILTER_DOMAIN, "two", false},
        {FILTER_DOMAIN, "*.example", true},
        {FILTER_DESTINATION, "relay.example", true},
        {FILTER_DESTINATION, "acme", false}, /* that is the tenant */
        {FILTER_DESTINATION, "hosts:*;tls=none", true},
        {FILTER_TENANT, "acme", true},
        {FILTER_TENANT, "acm", false},
        {FILTER_TENANT, "ac*", true},
        {FILTER_STATE, "waiting", true},
        {FILTER_STATE, "deferred", true},
        {FILTER_STATE, "ready", false},
        {FILTER_STATE, "future", false},
        {FILTER_STATE, "backing-off", false},
        {FILTER_STATE, "held", false},
        {FILTER_OLDER, "59m", true},
        {FILTER_OLDER, "1h", false},
        {FILTER_NEWER, "61m", true},
        {FILTER_NEWER, "1h", false},
        {FILTER_LARGER, "19KiB", true},
        {FILTER_LARGER, "20480", false},
        {FILTER_SMALLER, "21KiB", true},
        {FILTER_SMALLER, "20KiB", false},
        {FILTER_TRIES, "3", true},
        {FILTER_TRIES, "4", false},
        {FILTER_STATUS, "mailbox BUSY", true},
        {FILTER_STATUS, "450 4.2.0*", true},
        {FILTER_STATUS, "refused", false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct filter filter = {0};
        struct sample sample;
        fill(&sample);
        assert_true(take(&filter, cases[i].term, cases[i].value));
        if (passes(&filter, &sample) != cases[i].passes)
            fail_msg("--%s %s", filter_name(cases[i].term), cases[i].value);
        filter_fini(&filter);
    }
}

static void test_null_sender(void **state)
{
    struct filter filter = {0};
    struct sample sample;

    (void)state;
    fill(&sample);
    sample.message.reverse_path = SPAN_NONE;
    assert_true(take(&filter, FILTER_SENDER, "<>"));
    assert_true(passes(&filter, &sample));
    filter_fini(&filter);
}

/* The terms of recipients hold for the same one, and it is the one that is told. */
static void test_terms_together(void **state)
{
    struct filter filter = {0};
    struct sample sample;

    (void)state;
    fill(&sample);
    assert_ptr_equal(filter_group(&filter, &sample.group, VIEW_WAITING, NOW),
                     &sample.recipients[0]);
    assert_true(take(&filter, FILTER_STATUS, "busy"));
    assert_ptr_equal(filter_group(&filter, &sample.group, VIEW_WAITING, NOW),
                     &sample.recipients[1]);
    assert_true(take(&filter, FILTER_DOMAIN, "one.example"));
    assert_null(filter_group(&filter, &sample.group, VIEW_WAITING, NOW));
    assert_true(take(&filter, FILTER_DOMAIN, "two.example"));
    assert_true(take(&filter, FILTER_SENDER, "news"));
    assert_true(passes(&filter, &sample));
    assert_true(take(&filter, FILTER_TRIES, "9"));
    assert_false(passes(&filter, &sample));
    filter_fini(&filter);
}

static void test_ids(void **state)
{
    struct filter filter = {0};
    struct sample sample;
    char own[ID_TEXT_SIZE];

    (void)state;
    fill(&sample);
    assert_true(take(&filter, FILTER_ID, "0000000000001"));
    assert_false(passes(&filter, &sample));
    assert_true(take(&filter, FILTER_ID, id_format(sample.message.id, own)));
    assert_true(passes(&filter, &sample));
    filter_fini(&filter);
}

static void test_future(void **state)
{
    struct filter filter = {0};
    struct sample sample;

    (void)state;
    fill(&sample);
    sample.group.state = QUEUE_GROUP_FUTURE;
    assert_true(take(&filter, FILTER_STATE, "future"));
    assert_true(passes(&filter, &sample));
    sample.group.due = NOW; /* its time has come */
    assert_false(passes(&filter, &sample));
    filter_fini(&filter);
}

static void test_damaged(void **state)
{
    struct filter filter = {0};

    (void)state;
    assert_true(filter_damaged(&filter));
    assert_true(take(&filter, FILTER_SENDER, "news"));
    assert_true(filter_damaged(&filter));
    assert_true(take(&filter, FILTER_STATE, "held"));
    assert_false(filter_damaged(&filter));
    assert_true(take(&filter, FILTER_STATE, "damaged"));
    assert_true(filter_damaged(&filter));
    assert_true(take(&filter, FILTER_DOMAIN, "one.example"));
    assert_false(filter_damaged(&filter));
    filter_fini(&filter);
}

static void test_refused(void **state)
{
    static const struct {
        enum filter_term term;
        const char *value;
    } cases[] = {
        {FILTER_SENDER, ""},        {FILTER_STATE, "asleep"}, {FILTER_STATE, ""},
        {FILTER_OLDER, "long"},     {FILTER_OLDER, ""},       {FILTER_NEWER, "-1h"},
        {FILTER_LARGER, "10 pigs"}, {FILTER_SMALLER, ""},     {FILTER_TRIES, "many"},
        {FILTER_ID, "nonsense"},    {FILTER_ID, ""},          {FILTER_ID, "0000000000000"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct filter filter = {0};
        assert_false(take(&filter, cases[i].term, cases[i].value));
        assert_int_equal(filter.terms, 0);
        filter_fini(&filter);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_terms),   cmocka_unit_test(test_null_sender),
        cmocka_unit_test(test_ids),     cmocka_unit_test(test_terms_together),
        cmocka_unit_test(test_future),  cmocka_unit_test(test_damaged),
        cmocka_unit_test(test_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
