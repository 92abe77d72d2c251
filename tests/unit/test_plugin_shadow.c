/* plugins/host: plugins that are asked without effect, and only compared. */
#include "support/plugin_rig.h"

static int hold(struct plugin_desk *desk, const struct smarthop_event *event,
                struct smarthop_verdict *verdict)
{
    (void)desk, (void)event;
    verdict->action = SMARTHOP_HOLD;
    return SMARTHOP_DONE;
}

static int send_to_mx(struct plugin_desk *desk, const struct smarthop_event *event,
                      struct smarthop_verdict *verdict)
{
    (void)event;
    verdict->action = SMARTHOP_SEND;
    verdict->mx = *(const struct smarthop_span *)desk->user;
    return SMARTHOP_DONE;
}

static int break_down(struct plugin_desk *desk, const struct smarthop_event *event,
                      struct smarthop_verdict *verdict)
{
    (void)desk, (void)event, (void)verdict;
    return SMARTHOP_BROKEN;
}

/* "real", then its shadow. */
static void load_two(struct plugin_rig *rig, struct plugin_desk *real, struct plugin_desk *shadow,
                     const char *rest)
{
    char text[2 * SECTION_ROOM], words[128];

    plugin_rig_start(rig);
    snprintf(words, sizeof words, "shadow = yes %s", rest);
    snprintf(text, sizeof text, "%s%s", SECTION(shadow, "shadow", words),
             SECTION(real, "real", ""));
    assert_true(plugin_rig_load(rig, text));
    assert_true(VIEW(rig, 0)->is_shadow);
}

static void complete(struct plugin_desk *desk, enum smarthop_action action)
{
    struct smarthop_verdict verdict = {.size = sizeof verdict, .action = action};

    desk->host->complete(desk->self, desk->token, &verdict);
}

static void test_a_shadow_has_no_effect(void **state)
{
    struct plugin_rig rig;
    struct plugin_desk real = {0}, shadow = {.ask = hold};

    (void)state;
    load_two(&rig, &real, &shadow, "");
    assert_int_equal(ask_once(&rig, SMARTHOP_ON_ROUTE), SMARTHOP_PASS);
    TURN_UNTIL(rig.loop, VIEW(&rig, 0)->differs == 1);
    assert_int_equal(shadow.asked, 1);
    assert_int_equal(VIEW(&rig, 0)->actions[SMARTHOP_HOLD], 1);
    plugin_rig_stop(&rig);
}

static void test_a_shadow_alone_is_asked(void **state)
{
    struct plugin_rig rig;
    struct plugin_desk shadow = {.ask = hold};

    (void)state;
    plugin_rig_start_one(&rig, &shadow, "shadow = yes");
    assert_true(plugin_worker_wants(rig.worker, SMARTHOP_ON_ROUTE));
    assert_int_equal(ask_once(&rig, SMARTHOP_ON_ROUTE), SMARTHOP_PASS);
    TURN_UNTIL(rig.loop, VIEW(&rig, 0)->differs == 1);
    plugin_rig_stop(&rig);
}

/* The same action to another place is another decision. */
static void test_only_what_differs_is_counted(void **state)
{
    struct plugin_rig rig;
    struct smarthop_span here = SMARTHOP_TEXT("here.example"),
                         there = SMARTHOP_TEXT("there.example");
    struct plugin_desk real = {.ask = send_to_mx, .user = &here};
    struct plugin_desk shadow = {.ask = send_to_mx, .user = &here};

    (void)state;
    load_two(&rig, &real, &shadow, "");
    ask_once(&rig, SMARTHOP_ON_ROUTE);
    TURN_UNTIL(rig.loop, shadow.asked == 1);
    shadow.user = &there;
    ask_once(&rig, SMARTHOP_ON_ROUTE);
    TURN_UNTIL(rig.loop, shadow.asked == 2 && VIEW(&rig, 0)->differs > 0);
    assert_int_equal(VIEW(&rig, 0)->differs, 1);
    assert_int_equal(VIEW(&rig, 1)->differs, 0);
    plugin_rig_stop(&rig);
}

/* ---- what is said besides ------------------------------------------------------------------- */

static int say_so(struct plugin_desk *desk, const struct smarthop_event *event,
                  struct smarthop_verdict *verdict)
{
    (void)event;
    *verdict = *(const struct smarthop_verdict *)desk->user;
    return SMARTHOP_DONE;
}

static const struct smarthop_span others[] = {SMARTHOP_TEXT_INIT("a"), SMARTHOP_TEXT_INIT("b"),
                                              SMARTHOP_TEXT_INIT("c@d.test")};
static const struct smarthop_edit edits[] = {
    {SMARTHOP_PREPEND, 0, SMARTHOP_TEXT_INIT("X-A"), SMARTHOP_TEXT_INIT("1")},
    {SMARTHOP_PREPEND, 0, SMARTHOP_TEXT_INIT("X-A"), SMARTHOP_TEXT_INIT("2")}};

#define SAYS(...)                                                                                  \
    {                                                                                              \
        .size = sizeof(struct smarthop_verdict), __VA_ARGS__                                       \
    }

/* Each differs from all others. */
static struct smarthop_verdict sayings[] = {
    SAYS(0),
    SAYS(.tenant = SMARTHOP_TEXT_INIT("t")),
    SAYS(.tenant = SMARTHOP_TEXT_INIT("u")),
    SAYS(.limits = SMARTHOP_TEXT_INIT("t")),
    SAYS(.source = SMARTHOP_TEXT_INIT("t")),
    SAYS(.credentials = SMARTHOP_TEXT_INIT("t")),
    SAYS(.tls = SMARTHOP_TLS_OPPORTUNISTIC),
    SAYS(.tls = SMARTHOP_TLS_REQUIRED),
    SAYS(.tags = others, .tag_count = 1),
    SAYS(.tags = others, .tag_count = 2),
    SAYS(.edits = edits, .edit_count = 1),
    SAYS(.edits = edits + 1, .edit_count = 1),
    SAYS(.action = SMARTHOP_DEFER, .limits = SMARTHOP_TEXT_INIT("t")),
};

enum { SAYINGS = sizeof sayings / sizeof sayings[0] };

static void ask_both(struct plugin_rig *rig, struct plugin_desk *real,
                     struct smarthop_verdict *real_says, struct plugin_desk *shadow,
                     struct smarthop_verdict *shadow_says)
{
    unsigned asked = shadow->asked;

    real->user = real_says;
    shadow->user = shadow_says;
    ask_once(rig, SMARTHOP_ON_ROUTE);
    TURN_UNTIL(rig->loop, shadow->asked > asked);
}

static void test_what_is_said_besides_is_compared(void **state)
{
    struct plugin_rig rig;
    struct plugin_desk real = {.ask = say_so}, shadow = {.ask = say_so};
    unsigned asked = 0;
    uint64_t differs = 0;

    (void)state;
    load_two(&rig, &real, &shadow, "");
    for (unsigned i = 0; i < SAYINGS; i++) {
        for (unsigned k = 0; k < SAYINGS; k++) {
            differs += i != k;
            ask_both(&rig, &real, &sayings[i], &shadow, &sayings[k]);
            assert_int_equal(shadow.asked, ++asked);
            /* One that differs anyway comes behind it. */
            ask_both(&rig, &real, &sayings[0], &shadow, &sayings[1]);
            asked++;
            differs++;
            TURN_UNTIL(rig.loop, VIEW(&rig, 0)->differs >= differs);
            assert_int_equal(VIEW(&rig, 0)->differs, differs);
        }
    }
    plugin_rig_stop(&rig);
}

/* What another plugin may have said is not missed; what the shadow says has to be what holds. */
static void test_others_may_say_more(void **state)
{
    static struct smarthop_verdict all =
        SAYS(.tenant = SMARTHOP_TEXT_INIT("t"), .tags = others, .tag_count = 2, .edits = edits,
             .edit_count = 1, .tls = SMARTHOP_TLS_REQUIRED);
    static struct smarthop_verdict part =
        SAYS(.tenant = SMARTHOP_TEXT_INIT("t"), .tags = others + 1, .tag_count = 1);
    static struct smarthop_verdict more =
        SAYS(.tenant = SMARTHOP_TEXT_INIT("t"), .tags = others, .tag_count = 3);
    struct plugin_rig rig;
    struct plugin_desk desks[3] = {{.ask = say_so, .user = &all}, {0}, {.ask = say_so}};
    char text[3 * SECTION_ROOM];

    (void)state;
    plugin_rig_start(&rig);
    snprintf(text, sizeof text, "%s%s%s", SECTION(&desks[2], "shadow", "shadow = yes"),
             SECTION(&desks[0], "one", ""), SECTION(&desks[1], "two", ""));
    assert_true(plugin_rig_load(&rig, text));
    ask_both(&rig, &desks[0], &all, &desks[2], &part);
    ask_both(&rig, &desks[0], &all, &desks[2], &more);
    TURN_UNTIL(rig.loop, VIEW(&rig, 0)->differs > 0);
    assert_int_equal(VIEW(&rig, 0)->differs, 1);
    plugin_rig_stop(&rig);
}

static void test_a_shadow_that_breaks_is_not_compared(void **state)
{
    struct plugin_rig rig;
    struct plugin_desk real = {.ask = hold}, shadow = {.ask = break_down};

    (void)state;
    load_two(&rig, &real, &shadow, "strikes = 3 rest = 1h timeout = 10ms");
    ask_once(&rig, SMARTHOP_ON_ROUTE);
    TURN_UNTIL(rig.loop, VIEW(&rig, 0)->broken == 1);
    shadow.ask = desk_promise;
    ask_once(&rig, SMARTHOP_ON_ROUTE);
    TURN_UNTIL(rig.loop, VIEW(&rig, 0)->timed_out == 1);
    shadow.ask = break_down;
    ask_once(&rig, SMARTHOP_ON_ROUTE);
    ask_once(&rig, SMARTHOP_ON_ROUTE);
    TURN_UNTIL(rig.loop, VIEW(&rig, 0)->bypassed == 1);
    assert_int_equal(VIEW(&rig, 0)->differs, 0);
    assert_int_equal(shadow.asked, 3);
    plugin_rig_stop(&rig);
}

/* Keeps what it was asked about, and looks at it when all of it is gone but for the copies. */
static int keep_event(struct plugin_desk *desk, const struct smarthop_event *event,
                      struct smarthop_verdict *verdict)
{
    (void)verdict;
    desk->user = (void *)event;
    return SMARTHOP_PENDING;
}

static void fill(struct asking *a, struct arena *arena)
{
    struct smarthop_session *session = arena_alloc(arena, sizeof *session);
    struct smarthop_message *message = arena_alloc(arena, sizeof *message);
    struct smarthop_recipient *recipient = arena_alloc(arena, sizeof *recipient);
    struct span text = arena_dup(arena, span_cstr("user@example.org"));

    recipient->address = message->sender = session->helo = smarthop_span_of(text.ptr, text.len);
    session->id = 7;
    a->run.event.session = session;
    a->run.event.message = message;
    a->run.event.recipient = recipient;
}

static void test_a_shadow_sees_copies_and_may_take_its_time(void **state)
{
    struct plugin_rig rig;
    struct plugin_desk real = {.ask = hold}, shadow = {.ask = keep_event};
    struct asking *a = calloc(1, sizeof *a);
    struct arena facts;

    (void)state;
    load_two(&rig, &real, &shadow, "");
    arena_init(&facts);
    a->run.call.done = asking_on_done;
    a->run.hook = SMARTHOP_ON_ROUTE;
    list_init(&a->run.call.link);
    arena_init(&a->arena);
    a->run.arena = &a->arena;
    fill(a, &facts);
    plugin_ask(rig.worker, &a->run);
    assert_int_equal(shadow.asked, 0); /* not on the way of who asks */
    TURN_UNTIL(rig.loop, a->completions > 0 && shadow.asked == 1);
    asking_end(a);
    free(a);
    arena_fini(&facts);
    const struct smarthop_event *event = shadow.user;
    assert_int_equal(event->session->id, 7);
    assert_span(event->session->helo, "user@example.org");
    assert_span(event->message->sender, "user@example.org");
    assert_span(event->recipient->address, "user@example.org");
    assert_null(event->attempt);
    complete(&shadow, SMARTHOP_DISCARD);
    TURN_UNTIL(rig.loop, VIEW(&rig, 0)->differs == 1);
    plugin_rig_stop(&rig);
}

static void test_a_cancelled_asking_has_no_shadow(void **state)
{
    struct plugin_rig rig;
    struct plugin_desk real = {.ask = desk_promise}, shadow = {.ask = hold};
    struct asking a;

    (void)state;
    load_two(&rig, &real, &shadow, "");
    asking_start(&rig, &a, SMARTHOP_ON_ROUTE);
    asking_cancel(&rig, &a);
    turn_once(rig.loop);
    assert_int_equal(shadow.asked, 0);
    plugin_rig_stop(&rig);
}

static void test_a_shadow_that_is_asked_is_not_stopped(void **state)
{
    struct plugin_rig rig;
    struct plugin_desk real = {.ask = hold}, shadow = {.ask = desk_promise};

    (void)state;
    load_two(&rig, &real, &shadow, "");
    ask_once(&rig, SMARTHOP_ON_ROUTE);
    TURN_UNTIL(rig.loop, shadow.asked == 1);
    assert_true(plugin_rig_load(&rig, ""));
    turn_for(rig.loop, 5);
    assert_int_equal(shadow.stops, 0);
    complete(&shadow, SMARTHOP_PASS);
    TURN_UNTIL(rig.loop, shadow.stops == 1 && real.stops == 1);
    plugin_rig_stop(&rig);
}

/* One has promised an answer, one has not begun. */
static void test_the_end_lets_go_of_shadows(void **state)
{
    struct plugin_rig rig;
    struct plugin_desk real = {.ask = hold}, shadow = {.ask = desk_promise};
    struct asking a;

    (void)state;
    load_two(&rig, &real, &shadow, "");
    ask_once(&rig, SMARTHOP_ON_ROUTE);
    TURN_UNTIL(rig.loop, shadow.asked == 1);
    asking_start(&rig, &a, SMARTHOP_ON_ROUTE);
    plugin_rig_stop(&rig);
    asking_end(&a);
    assert_int_equal(shadow.asked, 1);
    assert_int_equal(shadow.cancels, 1);
    assert_int_equal(shadow.stops, 1);
}

static void test_slow_shadows_are_bounded(void **state)
{
    enum { MANY = 1005 };
    struct plugin_rig rig;
    struct plugin_desk real = {.ask = hold}, shadow = {.ask = desk_promise};

    (void)state;
    load_two(&rig, &real, &shadow, "budget = 10s timeout = 10m");
    for (unsigned i = 0; i < MANY; i++)
        ask_once(&rig, SMARTHOP_ON_ROUTE);
    TURN_UNTIL(rig.loop, shadow.asked == 1000);
    assert_int_equal(VIEW(&rig, 0)->bypassed, 5);
    plugin_rig_stop(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_shadow_has_no_effect),
        cmocka_unit_test(test_a_shadow_alone_is_asked),
        cmocka_unit_test(test_only_what_differs_is_counted),
        cmocka_unit_test(test_what_is_said_besides_is_compared),
        cmocka_unit_test(test_others_may_say_more),
        cmocka_unit_test(test_a_shadow_that_breaks_is_not_compared),
        cmocka_unit_test(test_a_shadow_sees_copies_and_may_take_its_time),
        cmocka_unit_test(test_a_cancelled_asking_has_no_shadow),
        cmocka_unit_test(test_a_shadow_that_is_asked_is_not_stopped),
        cmocka_unit_test(test_the_end_lets_go_of_shadows),
        cmocka_unit_test(test_slow_shadows_are_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
