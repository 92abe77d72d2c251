/* receive/: rates of clients, and greylisting. What is counted holds for all of a rig's sessions.
 */
#include "support/receive_rig.h"
#include "support/receive_script.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

#define FOLLOW(client, ...) talk_follow((client), (const char *const[]){__VA_ARGS__, NULL})

/* The client is in none of these. */
#define BOUND    "limit_exempt_networks = \"192.0.2.0/24\"\n"
#define GREYLIST "greylist = yes\ngreylist_exempt_networks = \"192.0.2.0/24\"\n"

#define SEND    MAIL, RCPT, DATA, "R:" BODY, END, QUEUED
#define PUT_OFF "S:451 4.7.1 You are not known here yet; try again in "

enum { SESSIONS_MAX = 4, LINES_MAX = 40 };

/* Sessions of one client, one after the other. */
struct visits {
    const char *name;
    const char *conf;
    const char *scripts[SESSIONS_MAX][LINES_MAX];
    unsigned accepted;
};

static const struct visits all_visits[] = {
    {"nothing is bound by default",
     "",
     {{HELLO, SEND, SEND, SEND, BYE}, {HELLO, "C:XYZZY", "S:500 ", "C:XYZZY", "S:500 ", BYE}},
     3},
    {"messages",
     BOUND "client_messages_per_hour = 2\n",
     {{HELLO, SEND, SEND, "C:MAIL FROM:<a@sender.test>",
       "S:450 4.7.1 No more than 2 messages per hour; try again in ", "C:RCPT TO:<b@rcpt.test>",
       "S:503 ", BYE},
      {HELLO, "C:MAIL FROM:<>", "S:450 4.7.1", BYE}},
     2},
    {"a message that is refused does not count",
     BOUND "client_messages_per_hour = 1\nmessage_size_max = 1KiB\n",
     {{HELLO, MAIL, RCPT, "C:RSET", "S:250 ", MAIL, RCPT, DATA, "R:a\nb\r\n", END, "S:554 5.6.0",
       SEND, "C:MAIL FROM:<>", "S:450 4.7.1", BYE}},
     1},
    {"messages by BDAT",
     BOUND "client_messages_per_hour = 1\n",
     {{HELLO, MAIL, RCPT, "R:BDAT 4 LAST\r\nhi\r\n", QUEUED, "C:MAIL FROM:<>", "S:450 4.7.1", BYE}},
     1},
    {"recipients",
     BOUND "client_recipients_per_hour = 3\nroute \"no.test\" { reject = \"5.7.7 No\" }\n",
     {{HELLO, MAIL, "C:RCPT TO:<x@no.test>", "S:550 5.7.7", RCPT, RCPT, DATA, "R:" BODY, END,
       QUEUED, MAIL, RCPT, "C:RCPT TO:<b@rcpt.test>",
       "S:450 4.7.1 No more than 3 recipients per hour; try again in ", DATA, "R:" BODY, END,
       QUEUED, BYE}},
     2},
    {"sessions",
     BOUND "client_sessions_per_minute = 2\n",
     {{HELLO, "C:EHLO again", "S:250 ", BYE},
      {HELLO, BYE},
      {"S:421 4.7.0 No more than 2 sessions per minute; try again in ", "!eof"},
      {"S:421 4.7.0 ", "!eof"}},
     0},
    {"errors",
     BOUND "client_errors_per_hour = 2\n",
     {{HELLO, "C:XYZZY", "S:500 ", BYE},
      {HELLO, MAIL, "C:RCPT TO:<>", "S:501 ", RCPT, BYE}, /* this session goes on */
      {"S:421 4.7.0 No more than 2 errors per hour; try again in ", "!eof"}},
     0},
    {"who is exempt",
     "client_sessions_per_minute = 1\nclient_messages_per_hour = 1\n"
     "client_recipients_per_hour = 1\nclient_errors_per_hour = 1\n",
     {{HELLO, SEND, SEND, "C:XYZZY", "S:500 ", "C:XYZZY", "S:500 ", BYE}, {HELLO, SEND, BYE}},
     3},
    {"users' rates are not clients'",
     BOUND "user_messages_per_hour = 1\nuser_recipients_per_hour = 1\n",
     {{HELLO, SEND, SEND, BYE}},
     2},

    {"greylisting",
     GREYLIST "greylist_delay = 1h\n",
     {{HELLO, MAIL, "C:RCPT TO:<b@rcpt.test>", PUT_OFF "3600 seconds", "C:DATA", "S:554 5.5.1",
       BYE},
      {HELLO, MAIL, "C:RCPT TO:<b@rcpt.test>", PUT_OFF, BYE}},
     0},
    {"come back",
     GREYLIST "greylist_delay = 0\n",
     {{HELLO, MAIL, "C:RCPT TO:<b@rcpt.test>", PUT_OFF "0 seconds", BYE},
      {HELLO, SEND, MAIL, "C:RCPT TO:<B@RCPT.test>", "S:250 ", "C:RCPT TO:<c@rcpt.test>", PUT_OFF,
       "C:RSET", "S:250 ", "C:MAIL FROM:<>", "S:250 ", "C:RCPT TO:<b@rcpt.test>", PUT_OFF, RCPT,
       BYE}},
     1},
    {"known in the end",
     GREYLIST "greylist_delay = 0\ngreylist_known_after = 2\n",
     {{HELLO, MAIL, "C:RCPT TO:<b@rcpt.test>", PUT_OFF, "C:RCPT TO:<c@rcpt.test>", PUT_OFF, RCPT,
       "C:RCPT TO:<d@rcpt.test>", PUT_OFF, "C:RCPT TO:<c@rcpt.test>", "S:250 ",
       "C:RCPT TO:<e@rcpt.test>", "S:250 ", BYE}},
     0},
    {"postmaster",
     GREYLIST,
     {{HELLO, MAIL, "C:RCPT TO:<Postmaster@rcpt.test>", "S:250 ", "C:RCPT TO:<postmaster1@x.test>",
       PUT_OFF, BYE}},
     0},
    {"may not relay",
     GREYLIST "relay_networks = \"192.0.2.0/24\"\n",
     {{HELLO, MAIL, "C:RCPT TO:<b@rcpt.test>", "S:550 5.7.1", BYE}},
     0},
    {"relay_networks are not greylisted", "greylist = yes\n", {{HELLO, SEND, BYE}}, 1},
};

static void test_visits(void **state)
{
    const struct visits *visits = *state;
    struct receive_rig rig;
    struct talk client;

    receive_rig_open(&rig, visits->conf, NULL, CONF_TLS_NONE);
    for (unsigned i = 0; i < SESSIONS_MAX && visits->scripts[i][0] != NULL; i++) {
        receive_rig_connect(&rig, &client);
        talk_follow(&client, visits->scripts[i]);
        talk_close(&client);
    }
    TURN_UNTIL(rig.loop, receive_limits_sessions(rig.limits) == 0);
    assert_int_equal(rig.accepted_count, visits->accepted);
    receive_rig_close(&rig);
}

/* Both were allowed at MAIL; the limit is one. */
static void test_messages_at_the_same_time(void **state)
{
    struct receive_rig rig;
    struct talk clients[2];

    (void)state;
    receive_rig_open(&rig, BOUND "client_messages_per_hour = 1\n", NULL, CONF_TLS_NONE);
    for (int i = 0; i < 2; i++) {
        receive_rig_connect(&rig, &clients[i]);
        FOLLOW(&clients[i], ENVELOPE, "R:" BODY);
    }
    FOLLOW(&clients[0], END, QUEUED);
    FOLLOW(&clients[1], END, "S:450 4.7.1 No more than 1 messages per hour", "C:NOOP", "S:250 ");
    assert_int_equal(rig.accepted_count, 1);
    talk_close(&clients[0]);
    talk_close(&clients[1]);
    receive_rig_close(&rig);
}

/* LMTP answers for each recipient (RFC 2033 4.2). */
static void test_a_message_too_many_by_lmtp(void **state)
{
    struct receive_rig rig;
    struct talk clients[2];

    (void)state;
    receive_rig_open(&rig, BOUND "client_messages_per_hour = 1\n", NULL, CONF_TLS_NONE);
    rig.kind.role = CONF_ROLE_LMTP;
    for (int i = 0; i < 2; i++) {
        receive_rig_connect(&rig, &clients[i]);
        FOLLOW(&clients[i], "S:220 ", "C:LHLO client.test", "S:250 ", MAIL, RCPT,
               "C:RCPT TO:<c@rcpt.test>", "S:250 ", DATA, "R:" BODY);
    }
    FOLLOW(&clients[0], END, "S:250 2.0.0 <b@rcpt.test> OK", "S:250 2.0.0 <c@rcpt.test> OK");
    FOLLOW(&clients[1], END, "S:450 4.7.1 <b@rcpt.test> No more than 1 messages per hour",
           "S:450 4.7.1 <c@rcpt.test> No more", "C:NOOP", "S:250 ");
    talk_close(&clients[0]);
    talk_close(&clients[1]);
    receive_rig_close(&rig);
}

static void test_what_is_not_stored_does_not_count(void **state)
{
    struct receive_rig rig;
    struct talk client;

    (void)state;
    receive_rig_open(&rig, BOUND "client_messages_per_hour = 1\n", NULL, CONF_TLS_NONE);
    receive_rig_connect(&rig, &client);
    FOLLOW(&client, ENVELOPE, "R:" BODY);
    queue_memory_fail_next(rig.queue, err_make(ERR_STORE, "test"));
    FOLLOW(&client, END, "S:451 4.3.0", SEND, "C:MAIL FROM:<>", "S:450 4.7.1");
    talk_close(&client);
    receive_rig_close(&rig);
}

static void test_only_servers_are_greylisted(void **state)
{
    struct receive_rig rig;
    struct talk client;

    (void)state;
    receive_rig_open(&rig, GREYLIST, NULL, CONF_TLS_NONE);
    rig.kind.role = CONF_ROLE_LOCAL;
    receive_rig_connect(&rig, &client);
    FOLLOW(&client, HELLO, SEND);
    talk_close(&client);
    receive_rig_close(&rig);
}

int main(void)
{
    struct CMUnitTest tests[COUNT(all_visits)];
    const struct CMUnitTest others[] = {
        cmocka_unit_test(test_messages_at_the_same_time),
        cmocka_unit_test(test_a_message_too_many_by_lmtp),
        cmocka_unit_test(test_what_is_not_stored_does_not_count),
        cmocka_unit_test(test_only_servers_are_greylisted),
    };

    for (size_t i = 0; i < COUNT(all_visits); i++)
        tests[i] = (struct CMUnitTest){.name = all_visits[i].name,
                                       .test_func = test_visits,
                                       .initial_state = (void *)(uintptr_t)&all_visits[i]};
    int failed = cmocka_run_group_tests_name("visits", tests, NULL, NULL);
    return failed + cmocka_run_group_tests_name("rates", others, NULL, NULL);
}
