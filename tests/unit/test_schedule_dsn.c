/* schedule/: which outcome is told to whom, by the parameters of RFC 3461. */
#include "support/schedule_rig.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

enum outcome {
    TAKEN,        /* by a next hop without DSN */
    TAKEN_BY_DSN, /* by one that tells itself what becomes of it */
    REFUSED,
    EXPIRED,
    WARNED,
};

static bool keep_dsn(void *context, struct queue_message *message)
{
    struct queue_message **kept = context;

    if ((message->flags & QUEUE_DSN) == 0)
        return true;
    assert_null(*kept);
    *kept = queue_message_ref(message);
    return true;
}

/* Appends the only notification there is; false where there is none. */
static bool read_dsn(struct schedule_rig *rig, struct buf *text)
{
    struct queue_message *dsn = NULL;

    assert_false(err_is(queue_scan(rig->queue, 0, keep_dsn, &dsn)));
    if (dsn == NULL)
        return false;
    assert_true(span_equal(dsn->groups[0].recipients[0].address, SPAN("a@sender.test")));
    assert_false(err_is(queue_read_body(rig->queue, dsn->id, 0, UINT32_MAX, text)));
    queue_message_unref(dsn);
    return true;
}

/* The recipients that it tells of, in its order: "r0 failed, r1 relayed". */
static void list_actions(struct span text, struct buf *out)
{
    static const char recipient[] = "\r\nFinal-Recipient: rfc822; ", action[] = "\r\nAction: ";
    const char *at;

    while (text.len > 0 &&
           (at = memmem(text.ptr, text.len, recipient, sizeof recipient - 1)) != NULL) {
        text = span_from(text, (size_t)(at - text.ptr) + sizeof recipient - 1);
        struct span who = span_head(text, span_index(text, '@'));
        at = memmem(text.ptr, text.len, action, sizeof action - 1);
        assert_non_null(at);
        text = span_from(text, (size_t)(at - text.ptr) + sizeof action - 1);
        struct span what = span_head(text, span_index(text, '\r'));
        buf_addf(out, "%s%.*s %.*s", buf_len(out) ? ", " : "", SPAN_ARG(who), SPAN_ARG(what));
    }
}

static void assert_told(struct schedule_rig *rig, const char *wanted)
{
    struct buf text, actions;

    buf_init(&text, 0);
    buf_init(&actions, 0);
    assert_int_equal(read_dsn(rig, &text), wanted[0] != '\0');
    list_actions(buf_span(&text), &actions);
    buf_add(&actions, span_of("", 1));
    assert_string_equal(buf_span(&actions).ptr, wanted);
    buf_fini(&text);
    buf_fini(&actions);
}

static void prepare_peer(struct schedule_rig *rig, enum outcome outcome)
{
    rig->peer.offers = outcome == TAKEN_BY_DSN ? "250-DSN\r\n" : "";
    if (outcome == REFUSED)
        rig->peer.rcpt = "550 5.1.1 nobody";
    if (outcome == EXPIRED || outcome == WARNED)
        rig->peer.rcpt = "450 4.2.0 later";
    smtp_peer_listen(&rig->peer);
}

/* Until it has had its outcome. */
static void run_message(struct schedule_rig *rig, struct queue_message *m, enum outcome outcome)
{
    if (outcome == EXPIRED)
        m->arrival -= rig->conf->expire_after + 1;
    uint64_t id = schedule_rig_add(rig, m, true);
    if (outcome == WARNED) {
        TURN_UNTIL(rig->loop, schedule_rig_group(rig, id)->tries == 1);
        assert_int_equal(schedule_rig_operate(rig, SCHEDULE_WARN, id).affected, 1);
        assert_true(schedule_rig_group(rig, id)->delay_warned);
    } else {
        TURN_UNTIL(rig->loop, schedule_rig_is_gone(rig, id));
    }
}

static void remove_all(struct schedule_rig *rig)
{
    while (!schedule_rig_is_empty(rig)) {
        struct queue_message *newest = NULL;
        assert_false(err_is(queue_scan(rig->queue, 0, schedule_rig_keep_message, &newest)));
        schedule_rig_operate(rig, SCHEDULE_REMOVE, newest->id);
        queue_message_unref(newest);
    }
}

/* One message with one recipient. */
static void run_one(struct schedule_rig *rig, unsigned notify, enum outcome outcome)
{
    struct queue_message *m = schedule_rig_message(rig, schedule_rig_peer_hop(rig), 1);

    m->groups[0].recipients[0].notify = notify;
    run_message(rig, m, outcome);
}

static void test_notify(void **state)
{
    enum { S = ESMTP_NOTIFY_SUCCESS, F = ESMTP_NOTIFY_FAILURE, D = ESMTP_NOTIFY_DELAY };
    static const unsigned choices[] = {0, ESMTP_NOTIFY_NEVER, S, F, D, S | F, F | D, S | F | D};
    static const struct {
        enum outcome outcome;
        unsigned bit;
        bool unless_said; /* told where NOTIFY is absent */
        const char *told;
    } cases[] = {
        {TAKEN, S, false, "r0 relayed"}, {TAKEN_BY_DSN, 0, false, ""},
        {REFUSED, F, true, "r0 failed"}, {EXPIRED, F, true, "r0 failed"},
        {WARNED, D, true, "r0 delayed"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct schedule_rig rig;
        schedule_rig_open(&rig, "");
        rig.conf->retry_first = rig.conf->retry_max; /* once is enough */
        prepare_peer(&rig, cases[i].outcome);
        for (size_t choice = 0; choice < COUNT(choices); choice++) {
            unsigned notify = choices[choice];
            bool told = notify == 0 ? cases[i].unless_said : (notify & cases[i].bit) != 0;
            run_one(&rig, notify, cases[i].outcome);
            assert_told(&rig, told ? cases[i].told : "");
            remove_all(&rig);
        }
        schedule_rig_close(&rig);
    }
}

static const char *refuse_odd(struct smtp_peer *peer, struct span address)
{
    (void)peer;
    return (address.ptr[1] - '0') % 2 ? "550 5.1.1 nobody" : "250 2.1.5 ok";
}

/* One notification of all that one settling has to tell. */
static void test_mixed(void **state)
{
    struct schedule_rig rig;

    (void)state;
    schedule_rig_open(&rig, "");
    rig.peer.judge = refuse_odd;
    smtp_peer_listen(&rig.peer);
    struct queue_message *m = schedule_rig_message(&rig, schedule_rig_peer_hop(&rig), 6);
    struct queue_recipient *recipients = m->groups[0].recipients;
    recipients[2].notify = ESMTP_NOTIFY_SUCCESS;
    recipients[3].notify = ESMTP_NOTIFY_NEVER;
    recipients[4].notify = ESMTP_NOTIFY_FAILURE;
    recipients[5].notify = ESMTP_NOTIFY_SUCCESS | ESMTP_NOTIFY_FAILURE;
    uint64_t id = schedule_rig_add(&rig, m, true);
    TURN_UNTIL(rig.loop, schedule_rig_is_gone(&rig, id));
    assert_told(&rig, "r1 failed, r2 relayed, r5 failed");
    schedule_rig_close(&rig);
}

/* RFC 5321 6.1: whatever was asked for. */
static void test_null_sender(void **state)
{
    static const enum outcome outcomes[] = {TAKEN, REFUSED, EXPIRED};

    (void)state;
    for (size_t i = 0; i < COUNT(outcomes); i++) {
        struct schedule_rig rig;
        schedule_rig_open(&rig, "");
        prepare_peer(&rig, outcomes[i]);
        struct queue_message *m = schedule_rig_message(&rig, schedule_rig_peer_hop(&rig), 1);
        m->reverse_path = SPAN_NONE;
        m->groups[0].recipients[0].notify = ESMTP_NOTIFY_SUCCESS | ESMTP_NOTIFY_FAILURE;
        if (outcomes[i] == EXPIRED)
            m->arrival -= rig.conf->bounce_expire_after + 1;
        schedule_rig_add(&rig, m, true);
        TURN_UNTIL(rig.loop, schedule_rig_is_empty(&rig));
        schedule_rig_close(&rig);
    }
}

struct found {
    struct queue_message *own, *copy;
    unsigned count;
};

static bool sort_notice(void *context, struct queue_message *message)
{
    struct found *found = context;
    struct span to = message->groups[0].recipients[0].address;

    if ((message->flags & QUEUE_DSN) == 0)
        return true;
    found->count++;
    if (span_equal(to, SPAN("a@sender.test")))
        found->own = queue_message_ref(message);
    else if (span_equal(to, SPAN("boss@sender.test")))
        found->copy = queue_message_ref(message);
    return true;
}

#define COPIES "dsn_postmaster_copy = \"boss@sender.test\"\n"

/* What a sender is told of a failure the postmaster is told too: in the same transaction, with the
 * header alone. */
static void test_copies(void **state)
{
    struct schedule_rig rig;
    struct found found = {0};
    struct buf text;

    (void)state;
    schedule_rig_open(&rig, COPIES);
    prepare_peer(&rig, REFUSED);
    run_one(&rig, 0, REFUSED);
    assert_false(err_is(queue_scan(rig.queue, 0, sort_notice, &found)));
    assert_int_equal(found.count, 2);
    assert_non_null(found.own);
    assert_non_null(found.copy);
    assert_int_equal(found.copy->reverse_path.len, 0);
    buf_init(&text, 0);
    assert_false(err_is(queue_read_body(rig.queue, found.copy->id, 0, UINT32_MAX, &text)));
    buf_add(&text, span_of("", 1));
    assert_non_null(strstr(buf_span(&text).ptr, "\r\nTo: <boss@sender.test>\r\n"));
    assert_non_null(strstr(buf_span(&text).ptr, "what <a@sender.test> is"));
    assert_non_null(strstr(buf_span(&text).ptr, "\r\nContent-Type: text/rfc822-headers\r\n"));
    assert_null(strstr(buf_span(&text).ptr, "\r\nbody\r\n"));
    buf_fini(&text);
    queue_message_unref(found.own);
    queue_message_unref(found.copy);
    schedule_rig_close(&rig);
}

/* Not of what else is told, of what nobody is told of, and not to somebody who is told anyway. */
static void test_no_copies(void **state)
{
    static const struct {
        const char *sender;
        unsigned notify;
        enum outcome outcome;
        unsigned notices;
    } cases[] = {
        {"a@sender.test", 0, WARNED, 1},
        {"a@sender.test", ESMTP_NOTIFY_SUCCESS, TAKEN, 1},
        {"a@sender.test", ESMTP_NOTIFY_NEVER, REFUSED, 0},
        {"BOSS@sender.test", 0, REFUSED, 1},
        {"", 0, REFUSED, 0},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct schedule_rig rig;
        struct found found = {0};
        schedule_rig_open(&rig, COPIES);
        prepare_peer(&rig, cases[i].outcome);
        struct queue_message *m = schedule_rig_message(&rig, schedule_rig_peer_hop(&rig), 1);
        m->reverse_path = span_cstr(cases[i].sender);
        m->groups[0].recipients[0].notify = cases[i].notify;
        run_message(&rig, m, cases[i].outcome);
        assert_false(err_is(queue_scan(rig.queue, 0, sort_notice, &found)));
        assert_int_equal(found.count, cases[i].notices);
        queue_message_unref(found.own);
        queue_message_unref(found.copy);
        schedule_rig_close(&rig);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_notify),      cmocka_unit_test(test_mixed),
        cmocka_unit_test(test_null_sender), cmocka_unit_test(test_copies),
        cmocka_unit_test(test_no_copies),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
