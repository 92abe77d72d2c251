/* deliver/verdict.c: a case for every row of its tables. */
#include "deliver/verdict.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

#define IN(state) DELIVER_STATE_##state

static const char scopes[] = {
    [STATUS_SCOPE_RECIPIENT] = 'r',
    [STATUS_SCOPE_MESSAGE] = 'm',
    [STATUS_SCOPE_HOST] = 'h',
    [STATUS_SCOPE_SESSION] = 's',
};

/* "451 4.4.2 h text" */
static void describe(const struct status *status, char *text, size_t size)
{
    char enhanced[ENHANCED_CODE_TEXT_MAX];

    enhanced_code_format(status->enhanced, enhanced);
    snprintf(text, size, "%u %s %c %.*s", status->code, enhanced, scopes[status->scope],
             SPAN_ARG(status->text));
}

static const struct {
    enum deliver_state state;
    bool reused;
    const char *reply;
    const char *want;
} replies[] = {
    /* what is granted */
    {IN(GREETING), false, "220 hi", "220 2.0.0 r hi"},
    {IN(EHLO), false, "250 hi", "250 2.0.0 r hi"},
    {IN(HELO), false, "250 hi", "250 2.0.0 r hi"},
    {IN(STARTTLS), false, "220 go", "220 2.0.0 r go"},
    {IN(EHLO_TLS), false, "250 hi", "250 2.0.0 r hi"},
    {IN(MAIL), false, "250 2.1.0 ok", "250 2.1.0 r ok"},
    {IN(RCPT), false, "251 2.1.5 will forward", "251 2.1.5 r will forward"},
    {IN(FINAL), false, "250 2.0.0 queued", "250 2.0.0 r queued"},
    {IN(RSET), false, "250 ok", "250 2.0.0 r ok"},
    /* what may be refused without harm */
    {IN(XFORWARD), false, "250 ok", "250 2.0.0 r ok"},
    {IN(XFORWARD), false, "550 no", "550 5.0.0 r no"},
    {IN(XFORWARD), true, "421 bye", "421 4.4.2 s bye"},
    /* the host does not want us now */
    {IN(GREETING), false, "421 4.3.2 later", "421 4.3.2 h later"},
    {IN(MAIL), false, "421 bye", "421 4.3.2 h bye"},
    {IN(RCPT), true, "421 4.7.0 too fast", "421 4.7.0 h too fast"},
    {IN(FINAL), true, "421 bye", "421 4.3.2 h bye"},
    {IN(IDLE), false, "421 bye", "421 4.3.2 h bye"},
    /* the connection has been used up */
    {IN(READY), true, "421 bye", "421 4.4.2 s bye"},
    {IN(IDLE), true, "421 4.4.2 idle too long", "421 4.4.2 s idle too long"},
    {IN(MAIL), true, "421 bye", "421 4.4.2 s bye"},
    {IN(RSET), true, "421 bye", "421 4.4.2 s bye"},
    /* no 5yz before the message makes a bounce */
    {IN(GREETING), false, "450 busy", "450 4.0.0 h busy"},
    {IN(GREETING), false, "554 5.7.1 no",
     "454 4.7.1 h refused while waiting for the greeting: 554 no"},
    {IN(EHLO), false, "451 4.3.0 later", "451 4.3.0 h later"},
    {IN(HELO), false, "550 no", "450 4.0.0 h refused while waiting for the reply to HELO: 550 no"},
    {IN(EHLO_TLS), false, "502 no",
     "402 4.0.0 h refused while waiting for the reply to EHLO under TLS: 502 no"},
    {IN(STARTTLS), false, "454 no key", "454 4.7.4 h no key"},
    {IN(STARTTLS), false, "501 no",
     "401 4.7.4 h refused while waiting for the reply to STARTTLS: 501 no"},
    {IN(MAIL), false, "530 5.7.0 AUTH first",
     "430 4.7.0 h refused while waiting for the reply to MAIL: 530 AUTH first"},
    {IN(AUTH), false, "235 in", "235 2.0.0 r in"},
    {IN(AUTH), false, "535 no", "435 4.7.8 h refused while waiting for the reply to AUTH: 535 no"},
    {IN(AUTH), false, "454 4.7.0 later", "454 4.7.0 h later"},
    {IN(AUTH), false, "421 bye", "421 4.3.2 h bye"},
    /* the message */
    {IN(MAIL), false, "550 5.7.1 no", "550 5.7.1 m no"},
    {IN(MAIL), false, "452 4.3.1 full", "452 4.3.1 m full"},
    {IN(DATA), false, "554 no", "554 5.0.0 m no"},
    {IN(DATA), false, "451 later", "451 4.0.0 m later"},
    {IN(BODY), false, "552 5.3.4 too big", "552 5.3.4 m too big"},
    {IN(FINAL), false, "554 5.6.0 spam", "554 5.6.0 m spam"},
    {IN(FINAL), false, "452 4.3.1 full", "452 4.3.1 m full"},
    /* the recipient */
    {IN(RCPT), false, "550 5.1.1 who?", "550 5.1.1 r who?"},
    {IN(RCPT), false, "450 4.2.1 greylisted", "450 4.2.1 r greylisted"},
    {IN(RCPT), false, "552 too many",
     "452 4.5.3 r refused while waiting for the reply to RCPT: 552 too many"},
    {IN(RCPT), false, "552 5.5.3 too many",
     "452 4.5.3 r refused while waiting for the reply to RCPT: 552 too many"},
    {IN(RCPT), false, "552 5.2.2 mailbox full", "552 5.2.2 r mailbox full"},
    {IN(FINAL_EACH), false, "250 ok", "250 2.0.0 r ok"},
    {IN(FINAL_EACH), false, "552 5.2.2 full", "552 5.2.2 r full"},
    {IN(FINAL_EACH), false, "421 bye", "421 4.3.2 h bye"},
    /* the session */
    {IN(RSET), false, "500 what?",
     "400 4.0.0 s refused while waiting for the reply to RSET: 500 what?"},
    {IN(GREETING), false, "354 go",
     "451 4.5.0 h unexpected reply while waiting for the greeting: 354 go"},
    {IN(MAIL), false, "354 go",
     "451 4.5.0 s unexpected reply while waiting for the reply to MAIL: 354 go"},
    {IN(DATA), false, "250 ok",
     "451 4.5.0 s unexpected reply while waiting for the reply to DATA: 250 ok"},
    {IN(BODY), false, "250 ok", "451 4.5.0 s unexpected reply while sending the message: 250 ok"},
    {IN(IDLE), true, "550 no", "451 4.5.0 s unexpected reply while idle: 550 no"},
};

static void test_replies(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(replies); i++) {
        struct smtp_reply_parser parser;
        struct smtp_reply reply;
        struct buf text;
        struct arena arena;
        char wire[256];
        char got[512];
        size_t used;

        buf_init(&text, 0);
        arena_init(&arena);
        smtp_reply_parser_init(&parser, &text, 0);
        snprintf(wire, sizeof wire, "%s\r\n", replies[i].reply);
        assert_int_equal(smtp_reply_parse(&parser, span_cstr(wire), &used, &reply), PARSE_DONE);
        struct verdict_reply said = {replies[i].state, replies[i].reused, &reply};
        struct status status = verdict_of_reply(&said, &arena);
        describe(&status, got, sizeof got);
        assert_string_equal(got, replies[i].want);
        if (status.said) /* word for word */
            assert_true(status.code == reply.code && span_equal(status.text, reply.text));
        else
            assert_int_not_equal(status.code, reply.code);
        arena_fini(&arena);
        buf_fini(&text);
    }
}

static const struct {
    enum deliver_state state;
    enum verdict_trouble trouble;
    const char *detail;
    const char *want;
} troubles[] = {
    {IN(CONNECT), VERDICT_BROKEN, "connection refused",
     "451 4.4.1 h connection failed while connecting: connection refused"},
    {IN(CONNECT), VERDICT_TIMEOUT, NULL, "451 4.4.1 h timed out while connecting"},
    {IN(HANDSHAKE), VERDICT_BROKEN, "bad certificate",
     "451 4.7.5 h connection failed while in the TLS handshake: bad certificate"},
    {IN(HANDSHAKE), VERDICT_TIMEOUT, NULL, "451 4.7.5 h timed out while in the TLS handshake"},
    {IN(GREETING), VERDICT_LOST, NULL,
     "451 4.4.2 h connection lost while waiting for the greeting"},
    {IN(GREETING), VERDICT_GARBAGE, "no reply code",
     "451 4.5.0 h no SMTP reply while waiting for the greeting: no reply code"},
    {IN(EHLO), VERDICT_TIMEOUT, NULL, "451 4.4.2 h timed out while waiting for the reply to EHLO"},
    {IN(IDLE), VERDICT_LOST, NULL, "451 4.4.2 s connection lost while idle"},
    {IN(MAIL), VERDICT_LOST, NULL,
     "451 4.4.2 s connection lost while waiting for the reply to MAIL"},
    {IN(RCPT), VERDICT_TIMEOUT, NULL, "451 4.4.2 s timed out while waiting for the reply to RCPT"},
    {IN(BODY), VERDICT_BROKEN, "reset",
     "451 4.4.2 s connection failed while sending the message: reset"},
    {IN(FINAL), VERDICT_LOST, NULL,
     "451 4.4.2 s connection lost while waiting for the reply to the end of data"},
    {IN(FINAL), VERDICT_GARBAGE, "reply line too long",
     "451 4.5.0 s no SMTP reply while waiting for the reply to the end of data: reply line too "
     "long"},
};

static void test_troubles(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(troubles); i++) {
        struct arena arena;
        char got[512];

        arena_init(&arena);
        struct status status =
            verdict_of_trouble(troubles[i].state, troubles[i].trouble, troubles[i].detail, &arena);
        describe(&status, got, sizeof got);
        assert_string_equal(got, troubles[i].want);
        arena_fini(&arena);
    }
}

static const struct {
    enum verdict_own why;
    const char *want;
} owns[] = {
    {VERDICT_NO_STARTTLS, "451 4.7.4 h TLS is required but is not offered"},
    {VERDICT_UNVERIFIED, "451 4.7.5 h the host's certificate is not verified"},
    {VERDICT_INJECTED, "451 4.7.5 h plain text behind the reply to STARTTLS"},
    {VERDICT_NO_CREDENTIALS, "451 4.7.0 h the configuration has none of that name any more"},
    {VERDICT_BAD_CREDENTIALS, "451 4.7.8 h its user or its password is not valid UTF-8, or has "
                              "blanks or control characters"},
    {VERDICT_LOGIN_UNSAFE, "451 4.7.5 h the host is not proved to be the right one, so that the "
                           "password is kept from it"},
    {VERDICT_NO_AUTH, "451 4.7.0 h the host offers no AUTH"},
    {VERDICT_NO_MECHANISM, "451 4.7.4 h the host offers no mechanism of AUTH that is known here"},
    {VERDICT_LOGIN_NONSENSE, "451 4.5.0 h the host's part of AUTH makes no sense"},
    {VERDICT_LOGIN_UNPROVED, "451 4.7.8 h the host has not proved that it knows the password"},
    {VERDICT_TOO_LARGE, "552 5.3.4 m larger than the host accepts"},
    {VERDICT_NEEDS_SMTPUTF8, "550 5.6.7 m the host does not offer SMTPUTF8"},
    {VERDICT_NEEDS_8BITMIME, "554 5.6.3 m the message is 8-bit and cannot be converted, and the "
                             "host does not offer 8BITMIME"},
    {VERDICT_NEEDS_BINARYMIME,
     "554 5.6.3 m the message is BINARYMIME, which the host does not offer"},
    {VERDICT_NEEDS_TLS, "550 5.7.10 m REQUIRETLS: there is no TLS with the host"},
    {VERDICT_TLS_FAILED, "451 4.7.5 m REQUIRETLS: TLS with the host has failed"},
    {VERDICT_NEEDS_PROOF,
     "550 5.7.10 m REQUIRETLS: it is not proved that the host is the right one"},
    {VERDICT_NEEDS_REQUIRETLS, "550 5.7.30 m REQUIRETLS: the host does not offer REQUIRETLS"},
    {VERDICT_NEEDS_DELIVERBY, "554 5.3.3 m the host does not offer DELIVERBY, so that it cannot "
                              "return the message in time"},
    {VERDICT_TOO_SOON,
     "554 5.4.7 m the host does not promise delivery within the time that is left"},
    {VERDICT_TOO_LATE, "554 5.4.7 m the time in which it was to be delivered has passed"},
    {VERDICT_DAMAGED, "451 4.3.0 m the stored message is damaged"},
    {VERDICT_UNREADABLE, "451 4.3.0 m the stored message could not be read"},
    {VERDICT_CANCELLED, "451 4.3.2 s the delivery was cancelled"},
};

static void test_owns(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(owns); i++) {
        struct status status = verdict_of_own(owns[i].why);
        char got[256];

        describe(&status, got, sizeof got);
        assert_string_equal(got, owns[i].want);
    }
}

/* Every state and every code of a reply has a verdict, and none of them lets a failure through as
 * a success. */
static void test_every_reply_is_judged(void **unused)
{
    (void)unused;
    for (int state = 0; state < DELIVER_STATE_COUNT; state++) {
        for (uint16_t code = 200; code < 600; code++) {
            struct smtp_reply reply = {.code = code};
            struct verdict_reply said = {(enum deliver_state)state, false, &reply};
            struct arena arena;

            arena_init(&arena);
            struct status status = verdict_of_reply(&said, &arena);
            assert_in_range(status.code, 200, 599);
            assert_int_equal(status.code / 100, status.enhanced.klass);
            if (code >= 300)
                assert_false(status_is_success(&status));
            arena_fini(&arena);
        }
    }
}

static void test_text_is_bounded(void **state)
{
    char text[VERDICT_TEXT_MAX + 2] = {0};
    struct arena arena;
    struct smtp_reply reply = {.code = 550, .text = span_of(text, sizeof text)};
    struct verdict_reply said = {DELIVER_STATE_RCPT, false, &reply};

    (void)state;
    memset(text, 'x', sizeof text);
    memcpy(text + VERDICT_TEXT_MAX - 1, "\xe2\x82\xac", 3); /* astride the bound */
    arena_init(&arena);
    struct status status = verdict_of_reply(&said, &arena);
    assert_int_equal(status.text.len, VERDICT_TEXT_MAX - 1);
    arena_fini(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_replies),
        cmocka_unit_test(test_troubles),
        cmocka_unit_test(test_owns),
        cmocka_unit_test(test_every_reply_is_judged),
        cmocka_unit_test(test_text_is_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
