/* plugins/host: asking one after the other, answers that come later or never, and those that break.
 */
#include "support/plugin_rig.h"

#include "base/clock.h"

#include <pthread.h>

static const struct smarthop_next_hop one_hop = {SMARTHOP_TEXT_INIT("mail.example.net"), 2525, 1,
                                                 1};

static int send_to_hop(struct plugin_desk *desk, const struct smarthop_event *event,
                       struct smarthop_verdict *verdict)
{
    (void)desk, (void)event;
    verdict->action = SMARTHOP_SEND;
    verdict->next_hops = &one_hop;
    verdict->next_hop_count = 1;
    verdict->why = SMARTHOP_TEXT("because");
    return SMARTHOP_DONE;
}

static int reject(struct plugin_desk *desk, const struct smarthop_event *event,
                  struct smarthop_verdict *verdict)
{
    (void)desk, (void)event;
    verdict->action = SMARTHOP_REJECT;
    verdict->text = SMARTHOP_TEXT("no");
    verdict->code = 554;
    return SMARTHOP_DONE;
}

static int break_down(struct plugin_desk *desk, const struct smarthop_event *event,
                      struct smarthop_verdict *verdict)
{
    (void)desk, (void)event, (void)verdict;
    return SMARTHOP_BROKEN;
}

/* Longer than the smallest budget, 1 ms. */
static int dawdle(struct plugin_desk *desk, const struct smarthop_event *event,
                  struct smarthop_verdict *verdict)
{
    uint64_t until = clock_mono_ns() + 2000000;

    (void)desk, (void)event, (void)verdict;
    while (clock_mono_ns() < until)
        ;
    return SMARTHOP_DONE;
}

static void load_three(struct plugin_rig *rig, struct plugin_desk desks[3], const char *rest)
{
    char text[3 * SECTION_ROOM];

    plugin_rig_start(rig);
    snprintf(text, sizeof text, "%s%s%s", SECTION(&desks[0], "one", rest),
             SECTION(&desks[1], "two", rest), SECTION(&desks[2], "three", rest));
    assert_true(plugin_rig_load(rig, text));
}

/* ---- the chain ---------------------------------------------------------------------------- */

static void test_when_all_pass_relay_conf_decides(void **state)
{
    struct plugin_rig rig;
    struct plugin_desk desks[3] = {0};
    struct asking a;

    (void)state;
    load_three(&rig, desks, "");
    asking_start(&rig, &a, SMARTHOP_ON_ROUTE);
    TURN_UNTIL(rig.loop, a.completions > 0);
    assert_int_equal(a.run.verdict.action, SMARTHOP_PASS);
    assert_null(a.run.by);
    asking_end(&a);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(desks[i].asked, 1);
        assert_int_equal(VIEW(&rig, i)->actions[SMARTHOP_PASS], 1);
        assert_int_equal(VIEW(&rig, i)->asked, 1);
    }
    plugin_rig_stop(&rig);
}

static void test_the_first_that_decides_ends_it(void **state)
{
    struct plugin_rig rig;
    struct plugin_desk desks[3] = {[1] = {.ask = send_to_hop}, [2] = {.ask = reject}};
    struct asking a;

    (void)state;
    load_three(&rig, desks, "");
    asking_start(&rig, &a, SMARTHOP_ON_ROUTE);
    TURN_UNTIL(rig.loop, a.completions > 0);
    assert_int_equal(a.run.verdict.action, SMARTHOP_SEND);
    assert_int_equal(a.run.verdict.next_hop_count, 1);
    assert_true(a.run.verdict.next_hops != &one_hop);
    assert_span(a.run.verdict.next_hops[0].host, "mail.example.net");
    assert_int_equal(a.run.verdict.next_hops[0].port, 2525);
    assert_span(a.run.verdict.why, "because");
    assert_string_equal(a.run.by, "two");
    asking_end(&a);
    assert_int_equal(desks[0].asked, 1);
    assert_int_equal(desks[1].asked, 1);
    assert_int_equal(desks[2].asked, 0);
    plugin_rig_stop(&rig);
}

static int tag(struct plugin_desk *desk, const struct smarthop_event *event,
               struct smarthop_verdict *verdict)
{
    (void)event;
    verdict->tags = desk->user;
    verdict->tag_count = 1;
    verdict->tenant = *(struct smarthop_span *)desk->user;
    return SMARTHOP_DONE;
}

/* What was said before the first one that is asked holds, unless that one says otherwise. */
static void test_what_was_said_before_holds(void **state)
{
    static const struct smarthop_verdict before = {
        .action = SMARTHOP_REWRITE,
        .tenant = SMARTHOP_TEXT_INIT("before"),
        .source = SMARTHOP_TEXT_INIT("away"),
        .tls = SMARTHOP_TLS_REQUIRED,
    };
    struct plugin_rig rig;
    struct smarthop_span first = SMARTHOP_TEXT("first");
    struct plugin_desk desks[3] = {[1] = {.ask = tag, .user = &first}, [2] = {.ask = send_to_hop}};

    (void)state;
    load_three(&rig, desks, "");
    for (unsigned from = 1; from < 3; from++) {
        struct asking a;
        asking_init(&a, SMARTHOP_ON_ROUTE);
        a.run.from = from;
        a.run.said = &before;
        asking_begin(&rig, &a);
        TURN_UNTIL(rig.loop, a.completions > 0);
        assert_int_equal(a.run.verdict.action, SMARTHOP_SEND);
        assert_span(a.run.verdict.tenant, from == 1 ? "first" : "before");
        assert_span(a.run.verdict.source, "away");
        assert_int_equal(a.run.verdict.tls, SMARTHOP_TLS_REQUIRED);
        asking_end(&a);
    }
    assert_int_equal(desks[0].asked, 0);
    plugin_rig_stop(&rig);
}

static void test_what_is_said_beside_a_pass_is_kept(void **state)
{
    struct plugin_rig rig;
    struct smarthop_span first = SMARTHOP_TEXT("first"), second = SMARTHOP_TEXT("second");
    struct plugin_desk desks[3] = {
        {.ask = tag, .user = &first}, {.ask = tag, .user = &second}, {.ask = reject}};
    struct asking a;

    (void)state;
    load_three(&rig, desks, "");
    asking_start(&rig, &a, SMARTHOP_ON_RCPT);
    TURN_UNTIL(rig.loop, a.completions > 0);
    assert_int_equal(a.run.verdict.action, SMARTHOP_REJECT);
    assert_int_equal(a.run.verdict.code, 554);
    assert_int_equal(a.run.verdict.tag_count, 2);
    assert_span(a.run.verdict.tags[0], "first");
    assert_span(a.run.verdict.tags[1], "second");
    assert_span(a.run.verdict.tenant, "second");
    assert_string_equal(a.run.by, "three");
    asking_end(&a);
    plugin_rig_stop(&rig);
}

static void test_a_reader_of_headers_waits_for_the_message(void **state)
{
    struct plugin_rig rig;
    struct plugin_desk desks[2] = {[1] = {.ask = reject}};
    struct asking a = {.run = {.call.done = asking_on_done, .hook = SMARTHOP_ON_ROUTE}};
    char text[2 * SECTION_ROOM];

    (void)state;
    plugin_rig_start(&rig);
    snprintf(text, sizeof text, "%s%s", SECTION(&desks[0], "one", ""),
             SECTION_OF(&desks[1], "two", "reader", ""));
    assert_true(plugin_rig_load(&rig, text));
    list_init(&a.run.call.link);
    arena_init(&a.arena);
    a.run.arena = &a.arena;
    a.run.is_early = true;
    plugin_ask(rig.worker, &a.run);
    TURN_UNTIL(rig.loop, a.completions > 0);
    assert_true(a.run.is_postponed);
    asking_end(&a);
    assert_int_equal(desks[0].asked, 1);
    assert_int_equal(desks[1].asked, 0);
    assert_int_equal(ask_once(&rig, SMARTHOP_ON_ROUTE), SMARTHOP_REJECT);
    plugin_rig_stop(&rig);
}

/* ---- pending ------------------------------------------------------------------------------ */

static void *complete_elsewhere(void *context)
{
    struct plugin_desk *desk = context;
    struct smarthop_verdict verdict = {.size = sizeof verdict};

    send_to_hop(desk, NULL, &verdict);
    desk->host->complete(desk->self, desk->token, &verdict);
    memset(&verdict, 0xff, sizeof verdict); /* it has been copied */
    return NULL;
}

static void test_an_answer_may_come_from_another_thread(void **state)
{
    struct plugin_rig rig;
    struct plugin_desk desks[3] = {[1] = {.ask = desk_promise}, [2] = {.ask = reject}};
    struct asking a;
    pthread_t thread;

    (void)state;
    load_three(&rig, desks, "");
    asking_start(&rig, &a, SMARTHOP_ON_ROUTE);
    assert_int_equal(desks[1].asked, 1);
    assert_int_equal(pthread_create(&thread, NULL, complete_elsewhere, &desks[1]), 0);
    TURN_UNTIL(rig.loop, a.completions > 0);
    pthread_join(thread, NULL);
    assert_int_equal(a.run.verdict.action, SMARTHOP_SEND);
    assert_span(a.run.verdict.next_hops[0].host, "mail.example.net");
    assert_string_equal(a.run.by, "two");
    asking_end(&a);
    assert_int_equal(VIEW(&rig, 1)->pending, 1);
    assert_int_equal(desks[1].cancels, 0);
    plugin_rig_stop(&rig);
}

static int complete_within(struct plugin_desk *desk, const struct smarthop_event *event,
                           struct smarthop_verdict *verdict)
{
    desk->host->complete(desk->self, event->token, verdict);
    return SMARTHOP_PENDING;
}

static void test_behind_a_promised_pass_the_next_is_asked(void **state)
{
    struct plugin_rig rig;
    struct plugin_desk desks[3] = {
        {.ask = complete_within}, {.ask = complete_within}, {.ask = reject}};

    (void)state;
    load_three(&rig, desks, "");
    assert_int_equal(ask_once(&rig, SMARTHOP_ON_ROUTE), SMARTHOP_REJECT);
    assert_true(desks[0].token != desks[1].token);
    plugin_rig_stop(&rig);
}

static void complete_again(struct plugin_desk *desk)
{
    struct smarthop_verdict verdict = {.size = sizeof verdict, .action = SMARTHOP_DISCARD};

    desk->host->complete(desk->self, desk->token, &verdict);
}

static void test_a_second_answer_is_counted_and_does_nothing(void **state)
{
    struct plugin_rig rig;
    struct plugin_desk desk = {.ask = complete_within};
    struct asking a;

    (void)state;
    plugin_rig_start_one(&rig, &desk, "");
    asking_start(&rig, &a, SMARTHOP_ON_ROUTE);
    complete_again(&desk);
    TURN_UNTIL(rig.loop, a.completions > 0 && VIEW(&rig, 0)->twice == 1);
    assert_int_equal(a.run.verdict.action, SMARTHOP_PASS);
    asking_end(&a);
    plugin_rig_stop(&rig);
}

static void test_an_answer_for_a_token_that_never_was_is_late(void **state)
{
    static const uint64_t tokens[] = {UINT64_C(1) << 56 | 77, UINT64_C(1) << 56 | UINT64_C(9)
                                                                                      << 40};
    struct plugin_rig rig;
    struct plugin_desk desk = {0};
    struct smarthop_verdict verdict = {.size = sizeof verdict};

    (void)state;
    plugin_rig_start_one(&rig, &desk, "");
    ask_once(&rig, SMARTHOP_ON_ROUTE);
    for (unsigned i = 0; i < 2; i++)
        desk.host->complete(desk.self, tokens[i], &verdict);
    desk.host->complete(desk.self, UINT64_MAX, &verdict); /* no such worker */
    desk.host->complete(desk.self, 0, &verdict);
    TURN_UNTIL(rig.loop, VIEW(&rig, 0)->late == 2);
    plugin_rig_stop(&rig);
}

static void test_only_who_promised_can_answer(void **state)
{
    struct plugin_rig rig;
    struct plugin_desk desks[3] = {{.ask = desk_promise}};
    struct smarthop_verdict verdict = {.size = sizeof verdict, .action = SMARTHOP_DISCARD};
    struct asking a;

    (void)state;
    load_three(&rig, desks, "");
    asking_start(&rig, &a, SMARTHOP_ON_ROUTE);
    desks[1].host->complete(desks[1].self, desks[0].token, &verdict);
    TURN_UNTIL(rig.loop, VIEW(&rig, 1)->late == 1);
    assert_int_equal(a.completions, 0);
    verdict.action = SMARTHOP_HOLD;
    desks[0].host->complete(desks[0].self, desks[0].token, &verdict);
    TURN_UNTIL(rig.loop, a.completions > 0);
    assert_int_equal(a.run.verdict.action, SMARTHOP_HOLD);
    asking_end(&a);
    plugin_rig_stop(&rig);
}

static void test_an_answer_that_never_comes_is_given_up(void **state)
{
    struct plugin_rig rig;
    struct plugin_desk desk = {.ask = desk_promise};
    struct asking a;

    (void)state;
    plugin_rig_start_one(&rig, &desk, "timeout = 10ms");
    asking_start(&rig, &a, SMARTHOP_ON_ROUTE);
    TURN_UNTIL(rig.loop, a.completions > 0);
    assert_int_equal(a.run.verdict.action, SMARTHOP_DEFER);
    assert_int_equal(a.run.verdict.code, 451);
    assert_string_equal(a.run.by, "a");
    asking_end(&a);
    assert_int_equal(desk.cancels, 1);
    assert_int_equal(desk.cancelled, desk.token);
    complete_again(&desk);
    TURN_UNTIL(rig.loop, VIEW(&rig, 0)->late == 1);
    assert_int_equal(VIEW(&rig, 0)->timed_out, 1);
    plugin_rig_stop(&rig);
}

static void test_cancelling_completes_and_is_told(void **state)
{
    struct plugin_rig rig;
    struct plugin_desk desk = {.ask = desk_promise};
    struct asking a, next;

    (void)state;
    plugin_rig_start_one(&rig, &desk, "");
    asking_start(&rig, &a, SMARTHOP_ON_ROUTE);
    plugin_cancel(&a.run);
    assert_int_equal(a.completions, 0);
    TURN_UNTIL(rig.loop, a.completions > 0);
    assert_true(a.run.is_cancelled);
    assert_int_equal(desk.cancels, 1);
    complete_again(&desk); /* it cannot have known */
    asking_start(&rig, &next, SMARTHOP_ON_ROUTE);
    complete_again(&desk);
    TURN_UNTIL(rig.loop, next.completions > 0);
    asking_end(&next);
    asking_end(&a);
    assert_int_equal(VIEW(&rig, 0)->twice, 0);
    plugin_rig_stop(&rig);
}

static void test_cancelling_what_is_decided_changes_nothing(void **state)
{
    struct plugin_rig rig;
    struct plugin_desk desk = {.ask = reject};
    struct asking a;

    (void)state;
    plugin_rig_start_one(&rig, &desk, "");
    asking_start(&rig, &a, SMARTHOP_ON_ROUTE);
    plugin_cancel(&a.run);
    TURN_UNTIL(rig.loop, a.completions > 0);
    turn_once(rig.loop);
    assert_true(a.run.is_cancelled);
    asking_end(&a);
    assert_int_equal(desk.cancels, 0);
    plugin_rig_stop(&rig);
}

/* Slots are used again, and grow. */
static void test_many_may_be_pending_at_once(void **state)
{
    enum { MANY = 100 };
    struct plugin_rig rig;
    struct plugin_desk desk = {.ask = desk_promise};
    static struct asking askings[MANY];
    struct smarthop_verdict verdict = {.size = sizeof verdict, .action = SMARTHOP_HOLD};
    uint64_t tokens[MANY];
    unsigned done = 0;

    (void)state;
    plugin_rig_start_one(&rig, &desk, "");
    for (unsigned i = 0; i < MANY; i++) {
        asking_start(&rig, &askings[i], SMARTHOP_ON_ROUTE);
        tokens[i] = desk.token;
    }
    for (unsigned i = MANY; i-- > 0;)
        desk.host->complete(desk.self, tokens[i], &verdict);
    TURN_UNTIL(rig.loop, askings[0].completions > 0);
    for (unsigned i = 0; i < MANY; i++) {
        done += askings[i].run.verdict.action == SMARTHOP_HOLD;
        asking_end(&askings[i]);
    }
    assert_int_equal(done, MANY);
    plugin_rig_stop(&rig);
}

/* ---- what breaks -------------------------------------------------------------------------- */

static void test_the_fail_mode_answers_for_what_broke(void **state)
{
    struct plugin_rig rig;
    struct plugin_desk desk = {.ask = break_down};

    (void)state;
    plugin_rig_start_one(&rig, &desk, "");
    assert_int_equal(ask_once(&rig, SMARTHOP_ON_RCPT), SMARTHOP_DEFER);
    assert_int_equal(ask_once(&rig, SMARTHOP_ON_AFTER_ATTEMPT), SMARTHOP_PASS);
    assert_int_equal(VIEW(&rig, 0)->broken, 2);
    assert_true(plugin_rig_load(&rig, SECTION(&desk, "a", "fail = open")));
    assert_int_equal(ask_once(&rig, SMARTHOP_ON_RCPT), SMARTHOP_PASS);
    assert_int_equal(VIEW(&rig, 0)->fail_mode, SMARTHOP_FAIL_OPEN);
    plugin_rig_stop(&rig);
}

/* Promises, and then cannot find out either. */
static int break_down_later(struct plugin_desk *desk, const struct smarthop_event *event,
                            struct smarthop_verdict *verdict)
{
    (void)verdict;
    desk->host->complete(desk->self, event->token, NULL);
    return SMARTHOP_PENDING;
}

static void test_what_breaks_later_is_broken_too(void **state)
{
    struct plugin_rig rig;
    struct plugin_desk desk = {.ask = break_down_later};

    (void)state;
    plugin_rig_start_one(&rig, &desk, "");
    assert_int_equal(ask_once(&rig, SMARTHOP_ON_RCPT), SMARTHOP_DEFER);
    assert_int_equal(VIEW(&rig, 0)->broken, 1);
    assert_true(plugin_rig_load(&rig, SECTION(&desk, "a", "fail = open")));
    assert_int_equal(ask_once(&rig, SMARTHOP_ON_RCPT), SMARTHOP_PASS);
    plugin_rig_stop(&rig);
}

static void test_an_unknown_answer_is_a_broken_one(void **state)
{
    struct plugin_rig rig;
    struct plugin_desk desks[3] = {{.ask = break_down}, {0}, {.ask = reject}};

    (void)state;
    load_three(&rig, desks, "fail = open");
    assert_int_equal(ask_once(&rig, SMARTHOP_ON_RCPT), SMARTHOP_REJECT);
    assert_int_equal(desks[1].asked, 1);
    plugin_rig_stop(&rig);
}

static void test_what_breaks_again_and_again_is_left_out(void **state)
{
    struct plugin_rig rig;
    struct plugin_desk desk = {.ask = break_down};

    (void)state;
    plugin_rig_start_one(&rig, &desk, "strikes = 3 rest = 1h");
    for (unsigned i = 0; i < 5; i++)
        assert_int_equal(ask_once(&rig, SMARTHOP_ON_RCPT), SMARTHOP_DEFER);
    assert_int_equal(desk.asked, 3);
    assert_int_equal(VIEW(&rig, 0)->bypassed, 2);
    assert_true(VIEW(&rig, 0)->is_bypassed);
    plugin_rig_stop(&rig);
}

static void test_a_good_answer_in_between_starts_the_count_anew(void **state)
{
    struct plugin_rig rig;
    struct plugin_desk desk = {0};

    (void)state;
    plugin_rig_start_one(&rig, &desk, "strikes = 2 rest = 1h");
    for (unsigned i = 0; i < 6; i++) {
        desk.ask = i % 2 ? NULL : break_down;
        ask_once(&rig, SMARTHOP_ON_RCPT);
    }
    assert_int_equal(desk.asked, 6);
    plugin_rig_stop(&rig);
}

/* While it is left out it is asked once a rest, however many are waiting, and comes back with the
 * first good answer. */
static void test_after_its_rest_it_is_tried_and_comes_back(void **state)
{
    struct plugin_rig rig;
    struct plugin_desk desk = {.ask = break_down};

    (void)state;
    plugin_rig_start_one(&rig, &desk, "strikes = 2 rest = 10ms");
    while (desk.asked < 4)
        assert_int_equal(ask_once(&rig, SMARTHOP_ON_RCPT), SMARTHOP_DEFER);
    desk.ask = NULL;
    while (ask_once(&rig, SMARTHOP_ON_RCPT) != SMARTHOP_PASS)
        ;
    assert_false(VIEW(&rig, 0)->is_bypassed);
    assert_int_equal(desk.asked, 5);
    assert_int_equal(ask_once(&rig, SMARTHOP_ON_RCPT), SMARTHOP_PASS);
    assert_int_equal(desk.asked, 6);
    plugin_rig_stop(&rig);
}

static void test_only_one_asking_tries_after_the_rest(void **state)
{
    struct plugin_rig rig;
    struct plugin_desk desk = {.ask = break_down};
    struct asking probe;

    (void)state;
    plugin_rig_start_one(&rig, &desk, "strikes = 1 rest = 300ms timeout = 10m");
    ask_once(&rig, SMARTHOP_ON_RCPT);
    desk.ask = desk_promise;
    for (unsigned asked = desk.asked; desk.asked == asked;) {
        asking_start(&rig, &probe, SMARTHOP_ON_RCPT);
        if (desk.asked != asked)
            break;
        TURN_UNTIL(rig.loop, probe.completions > 0);
        asking_end(&probe);
    }
    uint64_t tried = clock_mono_ms();
    unsigned asked = desk.asked;
    enum smarthop_action second = ask_once(&rig, SMARTHOP_ON_RCPT);
    if (clock_mono_ms() - tried < 150) { /* else the machine was busy, and the rest is over */
        assert_int_equal(second, SMARTHOP_DEFER);
        assert_int_equal(desk.asked, asked);
    }
    plugin_cancel(&probe.run);
    TURN_UNTIL(rig.loop, probe.completions > 0);
    asking_end(&probe);
    plugin_rig_stop(&rig);
}

static void test_a_slow_one_is_left_out_although_it_answers(void **state)
{
    struct plugin_rig rig;
    struct plugin_desk desk = {.ask = dawdle};

    (void)state;
    plugin_rig_start_one(&rig, &desk, "budget = 1ms strikes = 2 rest = 1h");
    assert_int_equal(ask_once(&rig, SMARTHOP_ON_RCPT), SMARTHOP_PASS);
    assert_int_equal(ask_once(&rig, SMARTHOP_ON_RCPT), SMARTHOP_PASS);
    assert_int_equal(ask_once(&rig, SMARTHOP_ON_RCPT), SMARTHOP_DEFER);
    assert_int_equal(desk.asked, 2);
    assert_int_equal(VIEW(&rig, 0)->slow, 2);
    assert_int_equal(VIEW(&rig, 0)->latencies[0], 0);
    plugin_rig_stop(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_when_all_pass_relay_conf_decides),
        cmocka_unit_test(test_the_first_that_decides_ends_it),
        cmocka_unit_test(test_what_is_said_beside_a_pass_is_kept),
        cmocka_unit_test(test_what_was_said_before_holds),
        cmocka_unit_test(test_a_reader_of_headers_waits_for_the_message),
        cmocka_unit_test(test_an_answer_may_come_from_another_thread),
        cmocka_unit_test(test_behind_a_promised_pass_the_next_is_asked),
        cmocka_unit_test(test_a_second_answer_is_counted_and_does_nothing),
        cmocka_unit_test(test_an_answer_for_a_token_that_never_was_is_late),
        cmocka_unit_test(test_only_who_promised_can_answer),
        cmocka_unit_test(test_an_answer_that_never_comes_is_given_up),
        cmocka_unit_test(test_cancelling_completes_and_is_told),
        cmocka_unit_test(test_cancelling_what_is_decided_changes_nothing),
        cmocka_unit_test(test_many_may_be_pending_at_once),
        cmocka_unit_test(test_the_fail_mode_answers_for_what_broke),
        cmocka_unit_test(test_what_breaks_later_is_broken_too),
        cmocka_unit_test(test_an_unknown_answer_is_a_broken_one),
        cmocka_unit_test(test_what_breaks_again_and_again_is_left_out),
        cmocka_unit_test(test_a_good_answer_in_between_starts_the_count_anew),
        cmocka_unit_test(test_after_its_rest_it_is_tried_and_comes_back),
        cmocka_unit_test(test_only_one_asking_tries_after_the_rest),
        cmocka_unit_test(test_a_slow_one_is_left_out_although_it_answers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
