/* receive/: who may send to whom, the recipients that there are, and LMTP. */
#include "support/receive_rig.h"
#include "support/receive_script.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

#define FOLLOW(client, ...) talk_follow((client), (const char *const[]){__VA_ARGS__, NULL})

#define LHLO  "S:220 mx.test LMTP", "C:LHLO client.test", "S:250 "
#define RCPTS RCPT, "C:RCPT TO:<c@rcpt.test>", "S:250 2.1.5"

/* Loopback is a stranger with it. */
#define STRANGERS "relay_networks = none\n"

/* One client, connected. */
static void open_rig(struct receive_rig *rig, struct talk *client, enum conf_listener_role role,
                     const char *conf)
{
    receive_rig_open(rig, conf, NULL, CONF_TLS_STARTTLS);
    rig->kind.role = role;
    receive_rig_connect(rig, client);
}

static void close_rig(struct receive_rig *rig, struct talk *client)
{
    talk_close(client);
    receive_rig_close(rig);
}

/* ---- rights ------------------------------------------------------------------------------- */

static void test_relay_domains(void **state)
{
    struct receive_rig rig;
    struct talk client;

    (void)state;
    open_rig(&rig, &client, CONF_ROLE_RELAY,
             STRANGERS "relay_domains = {\"gate.test\", \".wide.test\"}\n");
    FOLLOW(&client, HELLO, MAIL, "C:RCPT TO:<a@gate.test>", "S:250 2.1.5",
           "C:RCPT TO:<a@x.wide.test>", "S:250 2.1.5", "C:RCPT TO:<a@x.gate.test>", "S:550 5.7.1",
           "C:RCPT TO:<a%b@gate.test>", "S:550 5.7.1", "C:RCPT TO:<b!a@gate.test>", "S:550 5.7.1",
           "C:RCPT TO:<\"a@b\"@gate.test>", "S:550 5.7.1", "C:RCPT TO:<\"a\\@b\"@gate.test>",
           "S:550 5.7.1", "C:RCPT TO:<a@else.test>", "S:550 5.7.1", DATA, "R:" BODY, END, QUEUED);
    assert_int_equal(rig.accepted_count, 1);
    assert_int_equal(atomic_load(&receive_server_counters(rig.server)->rejected), 6);
    close_rig(&rig, &client);
}

static void test_postmaster(void **state)
{
    struct receive_rig rig;
    struct talk client;

    (void)state;
    open_rig(&rig, &client, CONF_ROLE_RELAY,
             STRANGERS "relay_domains = gate.test\npostmaster_address = \"ops@else.test\"\n");
    FOLLOW(&client, HELLO, "C:MAIL FROM:<>", "S:250 ", "C:RCPT TO:<POSTmaster> NOTIFY=NEVER",
           "S:250 ", "C:RCPT TO:<\"postmaster\"@MX.test>", "S:250 ",
           "C:RCPT TO:<postmaster@gate.test>", "S:250 ", "C:RCPT TO:<postmaster@else.test>",
           "S:550 5.7.1", "C:RCPT TO:<ops@else.test>", "S:550 5.7.1", DATA, "R:" BODY, END, QUEUED);
    const struct queue_message *m = rig.accepted[0];
    assert_int_equal(m->group_count, 2);
    assert_int_equal(m->groups[0].recipient_count, 2);
    assert_true(span_equal(m->groups[0].recipients[0].address, SPAN("ops@else.test")));
    assert_int_equal(m->groups[0].recipients[0].notify, ESMTP_NOTIFY_NEVER);
    assert_true(span_equal(m->groups[1].recipients[0].address, SPAN("postmaster@gate.test")));
    close_rig(&rig, &client);
}

/* A listener by its name in the configuration of the moment. */
static void test_listeners_by_name(void **state)
{
    static const struct {
        const char *name, *reply;
    } cases[] = {
        {"open", "S:250 2.1.5"},
        {"t", "S:550 5.7.1"},
        {"gone", "S:451 4.3.5"},
        {NULL, "S:550 5.7.1"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct receive_rig rig;
        struct talk client;
        receive_rig_open(&rig,
                         STRANGERS
                         "listener open { address = \"127.0.0.1:26\" relay_domains = rcpt.test }\n",
                         NULL, CONF_TLS_NONE);
        rig.kind.name = cases[i].name;
        receive_rig_connect(&rig, &client);
        FOLLOW(&client, HELLO, MAIL, "C:RCPT TO:<b@rcpt.test>", cases[i].reply, BYE);
        close_rig(&rig, &client);
    }
}

/* ---- recipients --------------------------------------------------------------------------- */

static void set_recipients(struct receive_rig *rig, const char *text)
{
    char path[] = "/tmp/smarthop-recipients-XXXXXX";
    struct buf messages;
    FILE *file = fdopen(mkstemp(path), "w");

    assert_non_null(file);
    fputs(text, file);
    fclose(file);
    buf_init(&messages, 0);
    assert_false(err_is(follow_set(rig->recipients, path, &messages)));
    buf_fini(&messages);
    unlink(path);
}

static void test_recipients(void **state)
{
    struct receive_rig rig;
    struct talk client;

    (void)state;
    open_rig(&rig, &client, CONF_ROLE_RELAY,
             "relay_domains = gate.test\nrecipients_file = there\nrecipient_delimiter = \"+\"\n");
    FOLLOW(&client, HELLO, MAIL, "C:RCPT TO:<x@gate.test>", "S:250 2.1.5");
    set_recipients(&rig, "a@gate.test\nb@file.test\n");
    FOLLOW(&client, "C:RCPT TO:<x@gate.test>", "S:550 5.1.1 No such user here",
           "C:RCPT TO:<A+x@gate.test>", "S:250 2.1.5", "C:RCPT TO:<x@file.test>", "S:550 5.1.1",
           "C:RCPT TO:<b@file.test>", "S:250 2.1.5", "C:RCPT TO:<x@else.test>", "S:250 2.1.5",
           "C:RCPT TO:<postmaster@file.test>", "S:250 2.1.5");
    set_recipients(&rig, "x@gate.test\n");
    FOLLOW(&client, "C:RCPT TO:<x@gate.test>", "S:250 2.1.5", "C:RCPT TO:<a@gate.test>",
           "S:550 5.1.1", "C:RCPT TO:<x@file.test>", "S:250 2.1.5", BYE);
    close_rig(&rig, &client);
}

static void test_guessing_ends(void **state)
{
    struct receive_rig rig;
    struct talk client;

    (void)state;
    open_rig(&rig, &client, CONF_ROLE_RELAY,
             STRANGERS "errors_max = 3\nrelay_domains = gate.test\nrecipients_file = there\n");
    set_recipients(&rig, "a@gate.test\n");
    FOLLOW(&client, HELLO, MAIL,
           "R:RCPT TO:<x@gate.test>\r\nRCPT TO:<y@gate.test>\r\nRCPT TO:<z@gate.test>\r\n"
           "RCPT TO:<a@gate.test>\r\n",
           "S:550 5.1.1", "S:550 5.1.1", "S:550 5.1.1", "S:421 4.7.0", "!eof");
    close_rig(&rig, &client);
}

/* ---- LMTP --------------------------------------------------------------------------------- */

#define FOR(address, text) "S:250 2.0.0 <" address "> " text

static void test_lmtp(void **state)
{
    struct receive_rig rig;
    struct talk client;

    (void)state;
    open_rig(&rig, &client, CONF_ROLE_LMTP, "");
    FOLLOW(&client, "S:220 mx.test LMTP", "C:EHLO c.test", "S:500 5.5.1", "C:HELO c.test",
           "S:500 5.5.1", "C:LHLO c.test", "S:250 ", MAIL, RCPTS, DATA, "R:" BODY, END,
           FOR("b@rcpt.test", "OK queued as "), FOR("c@rcpt.test", "OK queued as "), "C:NOOP",
           "S:250 2.0.0", BYE);
    assert_int_equal(rig.accepted_count, 1);
    struct span trace = rig.accepted[0]->trace;
    assert_non_null(memmem(trace.ptr, trace.len, "by mx.test with LMTP id ", 24));
    assert_null(memmem(trace.ptr, trace.len, "Date:", 5));
    close_rig(&rig, &client);
}

/* Whatever becomes of the message, as many replies as recipients. */
static void test_lmtp_in_trouble(void **state)
{
    struct receive_rig rig;
    struct talk client;

    (void)state;
    open_rig(&rig, &client, CONF_ROLE_LMTP,
             "message_size_max = 1KiB\nroute \"no.test\" { reject = "
             "\"5.7.1 no\" }\n");
    FOLLOW(&client, LHLO, MAIL, RCPTS, DATA);
    queue_memory_fail_next(rig.queue, err_make(ERR_STORE, "test"));
    FOLLOW(&client, "R:" BODY, END, "S:451 4.3.0 <b@rcpt.test> Mail", "S:451 4.3.0 <c@rcpt.test>",
           MAIL, RCPTS, DATA);
    queue_memory_fail_next(rig.queue, err_make(ERR_NO_SPACE, "test"));
    FOLLOW(&client, "R:" BODY, END, "S:452 4.3.1 <b@rcpt.test> No", "S:452 4.3.1 <c@rcpt.test>",
           MAIL, RCPTS, DATA, "R:a\nb\r\n", END, "S:554 5.6.0 <b@rcpt.test> Message",
           "S:554 5.6.0 <c@rcpt.test>", MAIL, RCPTS, "R:BDAT 5 LAST\r\na\nb\r\n",
           "S:554 5.6.0 <b@rcpt.test>", "S:554 5.6.0 <c@rcpt.test>", MAIL, RCPTS);
    queue_memory_set_low(rig.queue, true);
    FOLLOW(&client, "C:DATA", "S:452 4.3.1 No room", "R:BDAT 3\r\na\r\n", "S:452 4.3.1 No room");
    queue_memory_set_low(rig.queue, false);
    FOLLOW(&client, "C:BDAT 0 LAST", "S:503 5.5.1 MAIL", MAIL, RCPTS);
    queue_memory_set_low(rig.queue, true);
    FOLLOW(&client, "R:BDAT 3 LAST\r\na\r\n", "S:452 4.3.1 <b@rcpt.test>",
           "S:452 4.3.1 <c@rcpt.test>");
    queue_memory_set_low(rig.queue, false);
    FOLLOW(&client, MAIL, "C:RCPT TO:<a@no.test>", "S:550 ", "C:DATA", "S:503 5.5.1",
           "R:BDAT 3 LAST\r\na\r\n", "S:503 5.5.1 No", BYE);
    TURN_UNTIL(rig.loop, queue_memory_rows(rig.queue) == 0);
    assert_int_equal(rig.accepted_count, 0);
    close_rig(&rig, &client);
}

static void test_smtp_takes_no_lhlo(void **state)
{
    struct receive_rig rig;
    struct talk client;

    (void)state;
    open_rig(&rig, &client, CONF_ROLE_RELAY, "");
    FOLLOW(&client, "S:220 mx.test ESMTP", "C:LHLO c.test", "S:500 5.5.1", "C:MAIL FROM:<>",
           "S:503 5.5.1", BYE);
    close_rig(&rig, &client);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_relay_domains),     cmocka_unit_test(test_postmaster),
        cmocka_unit_test(test_listeners_by_name), cmocka_unit_test(test_recipients),
        cmocka_unit_test(test_guessing_ends),     cmocka_unit_test(test_lmtp),
        cmocka_unit_test(test_lmtp_in_trouble),   cmocka_unit_test(test_smtp_takes_no_lhlo),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
