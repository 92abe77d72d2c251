/* deliver/: AUTH at the next hop; SCRAM is in tests/integration/test_smarthost.py. */
#include "support/deliver_rig.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

#define OK               "250 2.0.0 ok\r\n"
#define HI               "S:220 hi\r\n", "C:EHLO me.example\r\n"
#define OFFER(extension) HI, "S:250-peer\r\n250 " extension "\r\n"
#define PLAIN_SENT       "C:AUTH PLAIN AHVzZXIAc2VjcmV0\r\n"
#define LOGGED_IN        "S:235 2.7.0 welcome\r\n"
/* what shows that mail would go on */
#define MESSAGE                                                                                    \
    "C:MAIL FROM:<a@example.com>\r\n", "S:550 5.7.1 no\r\n", "C:RSET\r\n", "S:" OK, "C:QUIT\r\n",  \
        "S:221 bye\r\n", "!eof"

#define LOGIN .user = "user", .password = "secret", .login_anyway = true

static const char judged[] = "550 5.7.1 message; closed";

static const struct rig_case cases[] = {
    {"PLAIN", {OFFER("AUTH PLAIN"), PLAIN_SENT, LOGGED_IN, MESSAGE}, .want = judged, LOGIN},
    {"LOGIN",
     {OFFER("AUTH LOGIN"), "C:AUTH LOGIN\r\n", "S:334 VXNlcm5hbWU6\r\n", "C:dXNlcg==\r\n",
      "S:334 UGFzc3dvcmQ6\r\n", "C:c2VjcmV0\r\n", LOGGED_IN, MESSAGE},
     .want = judged,
     LOGIN},
    {"the better one, whatever their order",
     {OFFER("AUTH CRAM-MD5 LOGIN XOAUTH2 PLAIN"), PLAIN_SENT, LOGGED_IN, MESSAGE},
     .want = judged,
     LOGIN},
    {"SCRAM-PLUS cannot be without TLS",
     {OFFER("AUTH SCRAM-SHA-256-PLUS PLAIN"), PLAIN_SENT, LOGGED_IN, MESSAGE},
     .want = judged,
     LOGIN},
    {"SCRAM before PLAIN",
     {OFFER("AUTH PLAIN SCRAM-SHA-256"), "P:AUTH SCRAM-SHA-256 biwsbj11c2VyLHI9*\r\n",
      "S:535 5.7.8 no\r\n", "!eof"},
     .want = "closed 435 4.7.8 host",
     LOGIN},
    {"once a session, not once a message",
     {OFFER("AUTH PLAIN"), PLAIN_SENT, LOGGED_IN, "C:MAIL FROM:<a@example.com>\r\n",
      "S:550 5.7.1 no\r\n", "C:RSET\r\n", "S:" OK, MESSAGE},
     .want = "550 5.7.1 message; 550 5.7.1 message; closed",
     .messages = 2,
     LOGIN},

    /* ---- what the host says ---- */
    {"refused",
     {OFFER("AUTH PLAIN"), PLAIN_SENT, "S:535 5.7.8 who?\r\n", "!eof"},
     .want = "closed 435 4.7.8 host",
     LOGIN},
    {"refused for now",
     {OFFER("AUTH PLAIN"), PLAIN_SENT, "S:454 4.7.0 later\r\n", "!eof"},
     .want = "closed 454 4.7.0 host",
     LOGIN},
    {"LOGIN, refused half-way",
     {OFFER("AUTH LOGIN"), "C:AUTH LOGIN\r\n", "S:334 VXNlcm5hbWU6\r\n", "C:dXNlcg==\r\n",
      "S:501 5.5.2 no\r\n", "!eof"},
     .want = "closed 401 4.5.2 host",
     LOGIN},
    {"421",
     {OFFER("AUTH PLAIN"), PLAIN_SENT, "S:421 4.3.2 bye\r\n", "!eof"},
     .want = "closed 421 4.3.2 host",
     LOGIN},
    {"a challenge that PLAIN does not have",
     {OFFER("AUTH PLAIN"), PLAIN_SENT, "S:334 eA==\r\n", "!eof"},
     .want = "closed 451 4.5.0 host",
     LOGIN},
    {"a challenge that is no base64",
     {OFFER("AUTH SCRAM-SHA-256"), "P:AUTH SCRAM*", "S:334 r=x\r\n", "!eof"},
     .want = "closed 451 4.5.0 host",
     LOGIN},
    {"SCRAM: another's nonce",
     {OFFER("AUTH SCRAM-SHA-256"), "P:AUTH SCRAM*", "S:334 cj14LHM9QUFBQSxpPTQwOTY=\r\n", "!eof"},
     .want = "closed 451 4.5.0 host",
     LOGIN},
    {"SCRAM: 235 without a proof",
     {OFFER("AUTH SCRAM-SHA-256"), "P:AUTH SCRAM*", LOGGED_IN, "!eof"},
     .want = "closed 451 4.7.8 host",
     LOGIN},
    {"lost", {OFFER("AUTH PLAIN"), PLAIN_SENT}, .want = "closed 451 4.4.2 host", LOGIN},
    {"silence",
     {OFFER("AUTH PLAIN"), PLAIN_SENT, "!eof"},
     .want = "closed 451 4.4.2 host",
     LOGIN,
     .tiny = RIG_TINY(hello)},

    /* ---- what keeps the password here ---- */
    {"no AUTH", {OFFER("SIZE"), "!eof"}, .want = "closed 451 4.7.0 host", LOGIN},
    {"no EHLO",
     {HI, "S:500 what?\r\n", "C:HELO me.example\r\n", "S:250 peer\r\n", "!eof"},
     .want = "closed 451 4.7.0 host",
     LOGIN},
    {"no mechanism",
     {OFFER("AUTH GSSAPI CRAM-MD5"), "!eof"},
     .want = "closed 451 4.7.4 host",
     LOGIN},
    {"no TLS",
     {OFFER("AUTH PLAIN"), "!eof"},
     .want = "closed 451 4.7.5 host",
     .user = "user",
     .password = "secret",
     .told = true},
    {"credentials that are gone",
     {OFFER("AUTH PLAIN"), "!eof"},
     .want = "closed 451 4.7.0 host",
     .user = "",
     .password = "",
     .login_anyway = true},
    {"credentials that cannot be",
     {OFFER("AUTH PLAIN"), "!eof"},
     .want = "closed 451 4.7.8 host",
     .user = "user",
     .password = "\xff",
     .login_anyway = true},
    {"none asked for", {OFFER("AUTH PLAIN"), MESSAGE}, .want = judged},
};

static void test_dialogue(void **state)
{
    struct rig rig;

    rig_init(&rig, *state);
    rig_set_body(&rig, SPAN(RIG_BODY), true);
    rig_run(&rig);
}

/* RFC 4954 4: AUTH with its response must fit a command line. */
static void test_a_long_response(void **state)
{
    static const struct rig_case test = {"long",
                                         {OFFER("AUTH PLAIN"), "C:AUTH PLAIN\r\n", "S:334 \r\n",
                                          "P:AHVzZXIAeHh4*eHh4eA==\r\n", LOGGED_IN, MESSAGE},
                                         .want = judged,
                                         LOGIN};
    static char password[500];
    struct rig_case longer = test;

    (void)state;
    memset(password, 'x', sizeof password - 1);
    longer.password = password;
    struct rig rig;
    rig_init(&rig, &longer);
    rig_set_body(&rig, SPAN(RIG_BODY), true);
    rig_run(&rig);
}

/* The reason is what an operator will look for. */
static void test_the_reason(void **state)
{
    static const struct rig_case test = {
        "reason",
        {OFFER("AUTH PLAIN"), PLAIN_SENT, "S:535 5.7.8 who?\r\n", "!eof"},
        .want = "closed 435 4.7.8 host",
        LOGIN};
    struct rig rig;

    (void)state;
    rig_init(&rig, &test);
    rig_run(&rig);
    assert_string_equal(rig.failure, "login with credentials \"provider\": refused while waiting "
                                     "for the reply to AUTH: 535 who?");
}

int main(void)
{
    struct CMUnitTest tests[COUNT(cases) + 2] = {cmocka_unit_test(test_a_long_response),
                                                 cmocka_unit_test(test_the_reason)};

    for (size_t i = 0; i < COUNT(cases); i++)
        tests[i + 2] = (struct CMUnitTest){.name = cases[i].name,
                                           .test_func = test_dialogue,
                                           .initial_state = (void *)(uintptr_t)&cases[i]};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
