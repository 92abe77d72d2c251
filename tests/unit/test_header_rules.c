/* plugins/header: what rules say, and which of them holds. */
#include "header/rules.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { ALLOCATIONS_MAX = 64 };

static const struct pattern_limits limits = {.steps = 10000, .depth = 100};

/* ---- a host that has memory and a clock ----------------------------------------------------- */

static void *allocations[ALLOCATIONS_MAX];
static unsigned allocation_count;
static uint64_t wall_ms;

static void *host_alloc(struct smarthop_self *self, uint64_t token, size_t size)
{
    (void)self, (void)token;
    assert_true(allocation_count < ALLOCATIONS_MAX);
    return allocations[allocation_count++] = malloc(size);
}

static uint64_t host_wall_time(struct smarthop_self *self)
{
    (void)self;
    return wall_ms;
}

static const struct smarthop_host host = {
    .size = sizeof host, .alloc = host_alloc, .wall_time = host_wall_time};

static void forget(void)
{
    while (allocation_count > 0)
        free(allocations[--allocation_count]);
}

static struct smarthop_span text_of(const char *text)
{
    return smarthop_span_of(text, strlen(text));
}

/* ---- what is asked about -------------------------------------------------------------------- */

static const char header[] = "Subject: [spam] Buy\r\n now\r\n"
                             "X-Empty:\r\n"
                             "List-Id: <a.list.test>\r\n"
                             "X-Twice: one\r\n"
                             "x-twice : two \r\n"
                             "X-Long: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!\r\n"
                             "Last: end";

static struct rules *parse(const char *text)
{
    char problem[RULES_PROBLEM_MAX] = "";
    struct rules *rules = rules_parse(text, strlen(text), "f", &limits, problem);

    if (rules == NULL)
        fail_msg("%s: %s", text, problem);
    return rules;
}

/* `gave_up_out` may be NULL. The answer is good until `forget`. */
static bool ask_with(const struct rules *rules, bool has_session, struct smarthop_verdict *verdict,
                     unsigned *gave_up_out)
{
    struct smarthop_session session = {.size = sizeof session};
    struct smarthop_message message = {.size = sizeof message};
    struct smarthop_recipient recipient = {.size = sizeof recipient};
    struct smarthop_event event = {
        .size = sizeof event, .token = 1, .message = &message, .recipient = &recipient};
    struct rules_asking asking = {.host = &host, .event = &event, .is_utc = true};

    session.address = text_of("192.0.2.17");
    session.user = text_of("ann");
    session.helo = text_of("client.test");
    session.name = text_of("host.client.test");
    session.listener = text_of("main");
    event.session = has_session ? &session : NULL;
    message.sender = text_of("Bo@sub.Sender.test");
    message.tenant = text_of("blue");
    message.header = smarthop_span_of(header, sizeof header - 1);
    message.bytes = 2048;
    recipient.address = text_of("cy@a.test");
    recipient.domain = text_of("a.test");
    *verdict = (struct smarthop_verdict){.size = sizeof *verdict};
    bool holds = rules_match(rules, &asking, verdict);
    if (gave_up_out != NULL)
        *gave_up_out = asking.gave_up;
    return holds;
}

static bool holds_with(const char *condition, bool has_session)
{
    char text[256];
    struct smarthop_verdict verdict;

    snprintf(text, sizeof text, "%s -> hold", condition);
    struct rules *rules = parse(text);
    bool holds = ask_with(rules, has_session, &verdict, NULL);
    assert_int_equal(verdict.action, holds ? SMARTHOP_HOLD : SMARTHOP_PASS);
    forget();
    rules_unref(rules);
    return holds;
}

static void assert_text(struct smarthop_span span, const char *text)
{
    assert_int_equal(span.len, strlen(text));
    assert_memory_equal(span.ptr, text, span.len);
}

static void test_conditions(void **state)
{
    static const struct {
        const char *condition;
        bool holds;
    } cases[] = {
        {"any", true},
        {"not any", false},
        {"header Subject", true},
        {"header SUBJECT", true},
        {"header Subjec", false},
        {"header X-Empty", true},
        {"header X-Empty \"\"", true},
        {"not header X-None", true},
        {"header X-None \"\"", false},
        {"header Subject \"[SPAM] buy now\"", true},
        {"header Subject /^\\[spam\\] Buy now$/", true},
        {"header Subject /buy/", false},
        {"header Subject /buy/i", true},
        {"header X-Twice \"one\"", true},
        {"header X-Twice \"two\"", true},
        {"header X-Twice /three/", false},
        {"not header X-Twice \"two\"", false},
        {"header Last \"end\"", true},
        {"header List-Id /a\\/b|<a\\.list/u", true},
        {"sender bo@SUB.sender.test", true},
        {"sender @sub.sender.test", true},
        {"sender @sender.test", false},
        {"sender @.sender.test", true},
        {"sender @.sub.sender.test", true},
        {"sender @.ender.test", false},
        {"sender @.a.much.longer.name.than.sender.test", false},
        {"sender <>", false},
        {"sender /^Bo@/", true},
        {"recipient cy@a.test", true},
        {"recipient @a.test", true},
        {"recipient /x/", false},
        {"user ann", true},
        {"user \"\"", false},
        {"tenant BLUE", true},
        {"helo client.test", true},
        {"client-name /\\.client\\.test$/", true},
        {"listener main", true},
        {"client 192.0.2.0/24", true},
        {"client 192.0.2.16/28", true},
        {"client 192.0.2.32/28", false},
        {"client 192.0.2.17", true},
        {"client 0.0.0.0/0", true},
        {"client ::/0", false},
        {"size > 2047", true},
        {"size > 2KiB", false},
        {"size < 2048", false},
        {"size < 1GiB", true},
        {"any and any and not header Subject", false},
        {"any and not header X-None and size > 1KiB", true},
    };

    (void)state;
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++)
        if (holds_with(cases[i].condition, true) != cases[i].holds)
            fail_msg("%s", cases[i].condition);
}

/* Saturday 2000-01-01, 23:30 UTC. */
static void test_times(void **state)
{
    static const struct {
        const char *condition;
        bool holds;
    } cases[] = {
        {"time 23:00-24:00", true}, {"time 23:30-23:31", true},  {"time 23:00-23:30", false},
        {"time 22:00-06:00", true}, {"time 06:00-22:00", false}, {"time 23:31-23:30", false},
        {"time 0:0-24:00", true},   {"days sat", true},          {"days mon-fri", false},
        {"days Fri-Mon", true},     {"days mon,tue,sat", true},  {"days sun-fri", false},
        {"days mon-sun", true},     {"days sun", false},
    };

    (void)state;
    wall_ms = UINT64_C(946769400) * 1000;
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++)
        if (holds_with(cases[i].condition, true) != cases[i].holds)
            fail_msg("%s", cases[i].condition);
}

static void test_without_a_session(void **state)
{
    (void)state;
    assert_false(holds_with("user ann", false));
    assert_false(holds_with("client 0.0.0.0/0", false));
    assert_true(holds_with("sender @sub.sender.test", false));
}

static void test_the_first_rule_that_holds(void **state)
{
    static const char text[] =
        "# a comment\n"
        "header X-None -> reject\n"
        "\n"
        "size > 1 # another\n"
        "  and any\n"
        "\n"
        "  # and one in between\n"
        "\t-> send hub.test:2525,[2001:db8::1]:26,[192.0.2.1],back.test,smtps:a.test,"
        "smtps:[::2]:4465,smtps:25\r\n"
        "  tag a tag \"b c\" tenant t limits l source s credentials c tls required\n"
        "any -> discard\n";
    struct smarthop_verdict verdict;
    struct rules *rules = parse(text);

    (void)state;
    assert_true(ask_with(rules, true, &verdict, NULL));
    rules_unref(rules); /* the answer is a copy */
    assert_int_equal(verdict.action, SMARTHOP_SEND);
    assert_text(verdict.why, "the rule in line 4");
    assert_int_equal(verdict.next_hop_count, 7);
    assert_text(verdict.next_hops[0].host, "hub.test");
    assert_int_equal(verdict.next_hops[0].port, 2525);
    assert_text(verdict.next_hops[1].host, "2001:db8::1");
    assert_int_equal(verdict.next_hops[1].port, 26);
    assert_text(verdict.next_hops[2].host, "192.0.2.1");
    assert_int_equal(verdict.next_hops[3].priority, 3);
    assert_text(verdict.next_hops[4].host, "smtps:a.test");
    assert_int_equal(verdict.next_hops[4].port, 0);
    assert_text(verdict.next_hops[5].host, "smtps:[::2]");
    assert_int_equal(verdict.next_hops[5].port, 4465);
    assert_text(verdict.next_hops[6].host, "smtps");
    assert_int_equal(verdict.next_hops[6].port, 25);
    assert_int_equal(verdict.tag_count, 2);
    assert_text(verdict.tags[1], "b c");
    assert_text(verdict.tenant, "t");
    assert_text(verdict.limits, "l");
    assert_text(verdict.source, "s");
    assert_text(verdict.credentials, "c");
    assert_int_equal(verdict.tls, SMARTHOP_TLS_REQUIRED);
    forget();
}

static struct smarthop_verdict answer_of(const char *action)
{
    struct smarthop_verdict verdict;
    char text[256];

    snprintf(text, sizeof text, "any -> %s", action);
    struct rules *rules = parse(text);
    assert_true(ask_with(rules, true, &verdict, NULL));
    rules_unref(rules);
    return verdict;
}

static void test_actions(void **state)
{
    struct smarthop_verdict verdict = answer_of("reject \"5.7.1 \\\"no\\\"\"");

    (void)state;
    assert_int_equal(verdict.action, SMARTHOP_REJECT);
    assert_text(verdict.text, "\"no\"");
    assert_memory_equal(verdict.enhanced, ((uint8_t[]){5, 7, 1}), 3);
    verdict = answer_of("reject \"4.7.1 kept\"");
    assert_text(verdict.text, "4.7.1 kept");
    assert_int_equal(verdict.enhanced[0], 0);
    verdict = answer_of("defer for 15m \"4.3.0 later\" tag x");
    assert_int_equal(verdict.action, SMARTHOP_DEFER);
    assert_int_equal(verdict.delay, 15 * 60 * 1000);
    assert_text(verdict.text, "later");
    verdict = answer_of("hold \"why\"");
    assert_int_equal(verdict.action, SMARTHOP_HOLD);
    verdict = answer_of("discard");
    assert_int_equal(verdict.action, SMARTHOP_DISCARD);
    verdict = answer_of("mx other.test");
    assert_int_equal(verdict.action, SMARTHOP_SEND);
    assert_text(verdict.mx, "other.test");
    verdict = answer_of("lmtp \"/run/lmtp\"");
    assert_int_equal(verdict.transport, SMARTHOP_LMTP);
    assert_text(verdict.next_hops[0].host, "/run/lmtp");
    verdict = answer_of("pass tag seen");
    assert_int_equal(verdict.action, SMARTHOP_PASS);
    assert_int_equal(verdict.tag_count, 1);
    forget();
}

static void test_what_is_wrong(void **state)
{
    static const struct {
        const char *text;
        const char *problem;
    } cases[] = {
        {"any", "f:1: `and` or `->` is expected here"},
        {"any -> hold\nsize > 5 hold", "f:2: `and` or `->` is expected here"},
        {"\n\nany\n ->", "f:4: an action is expected here"},
        {"none -> hold", "f:1: there is no condition none"},
        {"any -> fly", "f:1: there is no action fly"},
        {"any -> hold tag", "f:1: a tag is expected here"},
        {"any -> hold twice", "f:1: there is no modifier twice"},
        {"any -> hold tls maybe", "f:1: none, opportunistic or required is expected here"},
        {"any -> send a.test:0", "f:1: a.test:0 is no host, or HOST:PORT"},
        {"any -> send a.test,,b", "f:1:  is no host, or HOST:PORT"},
        {"any -> send smtps:", "f:1: smtps: is no host, or HOST:PORT"},
        {"any -> send smtps::25", "f:1: smtps::25 is no host, or HOST:PORT"},
        {"any -> send smtps:a:0", "f:1: smtps:a:0 is no host, or HOST:PORT"},
        {"any -> defer for 5", "f:1: 5 is no duration, such as 15m"},
        {"any -> hold \"x\nany -> hold", "f:1: a quote that does not end"},
        {"header Subject /x -> hold", "f:1: `and` or `->` is expected here"},
        {"sender /x -> hold", "f:1: a pattern that does not end"},
        {"sender /(/ -> hold", "f:1: missing closing parenthesis, at character 2 of the pattern"},
        {"sender /a/x -> hold", "f:1: the flags of a pattern are i and u"},
        {"sender /\\C/ -> hold",
         "f:1: using \\C is disabled by the application, at character 3 of the pattern"},
        {"header a:b -> hold", "f:1: a:b is no name of a field"},
        {"header", "f:1: the name of a field is expected here"},
        {"client 10.0.0.1/8 -> hold", "f:1: 10.0.0.1/8 is no address or network"},
        {"client 10.0.0.0/33 -> hold", "f:1: 10.0.0.0/33 is no address or network"},
        {"client x -> hold", "f:1: x is no address or network"},
        {"size = 5 -> hold", "f:1: < or > is expected here"},
        {"size < 0 -> hold", "f:1: 0 is no size, such as 10MiB"},
        {"size > 5MB -> hold", "f:1: 5MB is no size, such as 10MiB"},
        {"time 8-9 -> hold", "f:1: 8-9 is no time of day, such as 08:00-17:30"},
        {"time 08:00-24:01 -> hold", "f:1: 08:00-24:01 is no time of day, such as 08:00-17:30"},
        {"days mon- -> hold", "f:1: mon- are no days, such as mon-fri,sun"},
        {"days noon -> hold", "f:1: noon are no days, such as mon-fri,sun"},
        {"not -> hold", "f:1: there is no condition ->"},
    };

    (void)state;
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char problem[RULES_PROBLEM_MAX] = "";
        struct rules *rules =
            rules_parse(cases[i].text, strlen(cases[i].text), "f", &limits, problem);
        if (rules != NULL)
            fail_msg("%s: is taken", cases[i].text);
        assert_string_equal(problem, cases[i].problem);
    }
}

/* Cut anywhere, a file is read up to there or told to be wrong in one of its lines. */
static void test_every_cut(void **state)
{
    static const char text[] = "header Subject /a\\/b/iu and not size > 5KiB\n"
                               "  and days mon-fri and time 08:00-09:00 and client ::/0 # x\n"
                               "  -> send a.test:25,[::1] tag \"b \\\"c\" tls none\n"
                               "sender @.a.test -> defer for 5m \"4.0.0 later\" limits x\n";
    unsigned taken = 0;

    (void)state;
    for (size_t len = 0; len < sizeof text; len++) {
        char problem[RULES_PROBLEM_MAX] = "";
        char *copy = malloc(len + 1);
        memcpy(copy, text, len);
        struct rules *rules = rules_parse(copy, len, "f", &limits, problem);
        free(copy);
        assert_int_equal(rules == NULL, problem[0] != '\0');
        taken += rules != NULL;
        rules_unref(rules);
    }
    assert_true(taken > 10 && taken < 100);
}

static void test_a_pattern_that_would_take_for_ever(void **state)
{
    static const char *const files[] = {"header X-Long /^(a+)+$/ -> hold",
                                        "not header X-Long /^(a+)+$/ -> hold"};
    struct smarthop_verdict verdict;
    unsigned gave_up;

    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        struct rules *rules = parse(files[i]);
        assert_false(ask_with(rules, true, &verdict, &gave_up));
        assert_int_equal(gave_up, 1);
        rules_unref(rules);
    }
    forget();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_conditions),
        cmocka_unit_test(test_times),
        cmocka_unit_test(test_without_a_session),
        cmocka_unit_test(test_the_first_rule_that_holds),
        cmocka_unit_test(test_actions),
        cmocka_unit_test(test_what_is_wrong),
        cmocka_unit_test(test_every_cut),
        cmocka_unit_test(test_a_pattern_that_would_take_for_ever),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
