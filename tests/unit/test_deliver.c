/* deliver/: the dialogue, step by step, with a peer that answers in every way there is. */
#include "support/deliver_rig.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

/* what the client says */
#define MAIL  "MAIL FROM:<a@example.com>\r\n"
#define RCPT1 "RCPT TO:<r1@example.net>\r\n"
#define RCPT2 "RCPT TO:<r2@example.net>\r\n"
#define RCPT3 "RCPT TO:<r3@example.net>\r\n"
#define DATA  "DATA\r\n"
#define TEXT  "C:" RIG_TRACE "Subject: x\r\n\r\n..dot\r\n.\r\n"
#define CHUNK "BDAT 36 LAST\r\n" RIG_TRACE RIG_BODY
/* what the server says */
#define OK   "250 2.0.0 ok\r\n"
#define GO   "354 go\r\n"
#define WHO  "550 5.1.1 who?\r\n"
#define BAD  "503 5.5.1 no\r\n"
#define LATE "421 4.3.2 bye\r\n"
/* from the greeting to the reply to EHLO */
#define HI    "S:220 hi\r\n", "C:EHLO me.example\r\n"
#define PLAIN HI, "S:250 peer\r\n"
#define PIPED HI, "S:250-peer\r\n250 PIPELINING\r\n"
#define QUICK HI, "S:250-peer\r\n250-PIPELINING\r\n250 CHUNKING\r\n"
/* up to the command that a case is about, one at a time */
#define AT_MAIL  PLAIN, "C:" MAIL
#define AT_RCPT  AT_MAIL, "S:" OK, "C:" RCPT1
#define AT_DATA  AT_RCPT, "S:" OK, "C:" DATA
#define AT_FINAL AT_DATA, "S:" GO, TEXT
/* the end, when all is well */
#define RESET "C:RSET\r\n", "S:" OK
#define BYE   "C:QUIT\r\n", "S:221 bye\r\n", "!eof"

static const struct rig_case cases[] = {
    /* ---- what the server offers ---- */
    {"plain", {AT_FINAL, "S:" OK, BYE}, .want = "250 2.0.0 sent; closed"},
    {"pipelining",
     {PIPED, "C:" MAIL RCPT1 DATA, "S:" OK OK GO, TEXT, "S:" OK, BYE},
     .want = "250 2.0.0 sent; closed"},
    {"chunking: one write",
     {QUICK, "C:" MAIL RCPT1 CHUNK, "S:" OK OK OK, BYE},
     .want = "250 2.0.0 sent; closed"},
    {"chunking without pipelining",
     {HI, "S:250-peer\r\n250 CHUNKING\r\n", "C:" MAIL, "S:" OK, "C:" RCPT1, "S:" OK, "C:" CHUNK,
      "S:" OK, BYE},
     .want = "250 2.0.0 sent; closed"},
    {"HELO",
     {HI, "S:502 5.5.1 what?\r\n", "C:HELO me.example\r\n", "S:250 peer\r\n", "C:" MAIL, "S:" OK,
      "C:" RCPT1, "S:" OK, "C:" DATA, "S:" GO, TEXT, "S:" OK, BYE},
     .want = "250 2.0.0 sent; closed"},
    {"parameters",
     {HI, "S:250-peer\r\n250-SIZE 36\r\n250-8BITMIME\r\n250 SMTPUTF8\r\n",
      "C:MAIL FROM:<a@example.com> SIZE=36 BODY=8BITMIME SMTPUTF8\r\n", "S:" OK, "C:" RCPT1,
      "S:" OK, "C:" DATA, "S:" GO, TEXT, "S:" OK, BYE},
     .want = "250 2.0.0 sent; closed",
     .flags = QUEUE_BODY_8BIT | QUEUE_SMTPUTF8},
    {"DSN",
     {HI, "S:250-peer\r\n250-DSN\r\n250 PIPELINING\r\n",
      "C:MAIL FROM:<a@example.com> RET=HDRS ENVID=a+2Bb+20c\r\n"
      "RCPT TO:<r1@example.net> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;R+2B1@example.org\r\n" RCPT2 DATA,
      "S:" OK OK OK GO, TEXT, "S:" OK, BYE},
     .want = "250 2.0.0, 250 2.0.0 sent dsn; closed",
     .recipients = 2,
     .dsn = true},
    {"DSN, but nothing was asked for",
     {HI, "S:250-peer\r\n250 DSN\r\n", "C:" MAIL, "S:" OK, "C:" RCPT1, "S:" OK, "C:" DATA, "S:" GO,
      TEXT, "S:" OK, BYE},
     .want = "250 2.0.0 sent dsn; closed"},
    {"DSN is not offered", {AT_FINAL, "S:" OK, BYE}, .want = "250 2.0.0 sent; closed", .dsn = true},
    {"too large",
     {HI, "S:250-peer\r\n250 SIZE 35\r\n", BYE},
     .want = "552 5.3.4 message declined; closed"},
    {"replies byte by byte",
     {"T:220-hi\r\n220 there\r\n", "C:EHLO me.example\r\n",
      "T:250-peer\r\n250-SIZE 100\r\n250 PIPELINING\r\n",
      "C:MAIL FROM:<a@example.com> SIZE=36\r\n" RCPT1 DATA,
      "T:" OK "250-2.1.5 a\r\n250 2.1.5 b\r\n", "T:" GO, TEXT, "T:250-2.0.0 a\r\n250 2.0.0 b\r\n",
      BYE},
     .want = "250 2.0.0 sent; closed"},
    {"three messages, none in between",
     {QUICK, "C:" MAIL RCPT1 CHUNK, "S:" OK OK OK, "C:" MAIL RCPT1 CHUNK, "S:" OK OK OK,
      "C:" MAIL RCPT1 CHUNK, "S:" OK OK OK, BYE},
     .want = "250 2.0.0 sent; 250 2.0.0 sent; 250 2.0.0 sent; closed",
     .messages = 3},
    {"RSET behind a failure",
     {QUICK, "C:" MAIL RCPT1 CHUNK, "S:" OK OK "554 5.6.0 no\r\n", RESET, "C:" MAIL RCPT1 CHUNK,
      "S:" OK OK OK, BYE},
     .want = "554 5.6.0 message sent; 250 2.0.0 sent; closed",
     .messages = 2},
    {"LIMITS MAILMAX",
     {HI, "S:250-peer\r\n250 LIMITS MAILMAX=1\r\n", "C:" MAIL, "S:" OK, "C:" RCPT1, "S:" OK,
      "C:" DATA, "S:" GO, TEXT, "S:" OK, BYE},
     .want = "250 2.0.0 sent; closed",
     .messages = 2},

    /* ---- before the first message ---- */
    {"refused connection", {NULL}, .want = "closed 451 4.4.1 host"},
    {"greeting 4yz", {"S:450 busy\r\n", "!eof"}, .want = "closed 450 4.0.0 host"},
    {"greeting 5yz", {"S:554 5.7.1 no\r\n", "!eof"}, .want = "closed 454 4.7.1 host"},
    {"greeting 421", {"S:" LATE, "!eof"}, .want = "closed 421 4.3.2 host"},
    {"greeting garbage", {"S:SSH-2.0-x\r\n", "!eof"}, .want = "closed 451 4.5.0 host"},
    {"greeting silence", {"!eof"}, .want = "closed 451 4.4.2 host", .tiny = RIG_TINY(greeting)},
    {"greeting endless",
     {"S:220-a\r\n220-b\r\n", "!eof"},
     .want = "closed 451 4.4.2 host",
     .tiny = RIG_TINY(greeting)},
    {"EHLO 4yz", {HI, "S:451 4.3.0 no\r\n", "!eof"}, .want = "closed 451 4.3.0 host"},
    {"EHLO 421", {HI, "S:" LATE, "!eof"}, .want = "closed 421 4.3.2 host"},
    {"EHLO lost", {HI}, .want = "closed 451 4.4.2 host"},
    {"EHLO silence", {HI, "!eof"}, .want = "closed 451 4.4.2 host", .tiny = RIG_TINY(hello)},
    {"HELO 5yz",
     {HI, "S:500 what?\r\n", "C:HELO me.example\r\n", "S:550 5.7.1 no\r\n", "!eof"},
     .want = "closed 450 4.7.1 host"},

    /* ---- MAIL ---- */
    {"MAIL 4yz",
     {AT_MAIL, "S:452 4.3.1 full\r\n", RESET, BYE},
     .want = "452 4.3.1 message; closed"},
    {"MAIL 5yz, pipelined",
     {PIPED, "C:" MAIL RCPT1 RCPT2 DATA, "S:550 5.7.1 no\r\n" BAD BAD BAD, RESET, BYE},
     .want = "550 5.7.1 message, 550 5.7.1 message; closed",
     .recipients = 2},
    {"MAIL 530",
     {AT_MAIL, "S:530 5.7.0 AUTH\r\n", "!eof"},
     .want = "430 4.7.0 host; closed 430 4.7.0 host"},
    {"MAIL 421", {AT_MAIL, "S:" LATE, "!eof"}, .want = "421 4.3.2 host; closed 421 4.3.2 host"},
    {"MAIL 421 on a used connection",
     {AT_FINAL, "S:" OK, "C:" MAIL, "S:421 idle\r\n", "!eof"},
     .want = "250 2.0.0 sent; 421 4.4.2 session; closed 421 4.4.2 session",
     .messages = 2},
    {"MAIL garbage",
     {AT_MAIL, "S:ok\r\n", "!eof"},
     .want = "451 4.5.0 session; closed 451 4.5.0 session"},
    {"MAIL lost", {AT_MAIL}, .want = "451 4.4.2 session; closed 451 4.4.2 session"},
    {"MAIL silence",
     {AT_MAIL, "!eof"},
     .want = "451 4.4.2 session; closed 451 4.4.2 session",
     .tiny = RIG_TINY(mail)},

    /* ---- RCPT ---- */
    {"some recipients",
     {PIPED, "C:" MAIL RCPT1 RCPT2 RCPT3 DATA, "S:" OK WHO OK "450 4.2.1 grey\r\n" GO, TEXT,
      "S:" OK, BYE},
     .want = "550 5.1.1, 250 2.0.0, 450 4.2.1 sent; closed",
     .recipients = 3},
    {"some recipients, one at a time",
     {AT_RCPT, "S:" WHO, "C:" RCPT2, "S:" OK, "C:" DATA, "S:" GO, TEXT, "S:" OK, BYE},
     .want = "550 5.1.1, 250 2.0.0 sent; closed",
     .recipients = 2},
    {"too many recipients, the old way",
     {AT_RCPT, "S:" OK, "C:" RCPT2, "S:552 too many\r\n", "C:" DATA, "S:" GO, TEXT, "S:" OK, BYE},
     .want = "250 2.0.0, 452 4.5.3 sent; closed",
     .recipients = 2},
    {"all refused, one at a time", {AT_RCPT, "S:" WHO, RESET, BYE}, .want = "550 5.1.1; closed"},
    {"all refused, DATA too",
     {PIPED, "C:" MAIL RCPT1 DATA, "S:" OK WHO "554 5.5.1 none\r\n", RESET, BYE},
     .want = "550 5.1.1; closed"},
    {"all refused, 354 all the same",
     {PIPED, "C:" MAIL RCPT1 DATA, "S:" OK WHO GO, "C:.\r\n", "S:554 5.5.1 none\r\n", RESET, BYE},
     .want = "550 5.1.1; closed"},
    {"all refused, an empty message accepted",
     {PIPED, "C:" MAIL RCPT1 DATA, "S:" OK WHO GO, "C:.\r\n", "S:" OK, RESET, BYE},
     .want = "550 5.1.1; closed"},
    {"all refused, BDAT too",
     {QUICK, "C:" MAIL RCPT1 CHUNK, "S:" OK WHO BAD, RESET, BYE},
     .want = "550 5.1.1 sent; closed"},
    {"RCPT 421 behind a refusal",
     {AT_RCPT, "S:" WHO, "C:" RCPT2, "S:" LATE, "!eof"},
     .want = "550 5.1.1, 421 4.3.2 host; closed 421 4.3.2 host",
     .recipients = 2},
    {"RCPT garbage",
     {AT_RCPT, "S:2x0\r\n", "!eof"},
     .want = "451 4.5.0 session; closed 451 4.5.0 session"},
    {"RCPT lost", {AT_RCPT}, .want = "451 4.4.2 session; closed 451 4.4.2 session"},
    {"RCPT silence",
     {AT_RCPT, "!eof"},
     .want = "451 4.4.2 session; closed 451 4.4.2 session",
     .tiny = RIG_TINY(rcpt)},

    /* ---- DATA ---- */
    {"DATA 4yz", {AT_DATA, "S:451 4.3.0 no\r\n", RESET, BYE}, .want = "451 4.3.0 message; closed"},
    {"DATA 5yz", {AT_DATA, "S:554 5.7.1 no\r\n", RESET, BYE}, .want = "554 5.7.1 message; closed"},
    {"DATA 421", {AT_DATA, "S:" LATE, "!eof"}, .want = "421 4.3.2 host; closed 421 4.3.2 host"},
    {"DATA 250", {AT_DATA, "S:" OK, "!eof"}, .want = "451 4.5.0 session; closed 451 4.5.0 session"},
    {"DATA garbage",
     {AT_DATA, "S:\r\n", "!eof"},
     .want = "451 4.5.0 session; closed 451 4.5.0 session"},
    {"DATA: the reply to the message has come before it",
     {AT_DATA, "S:" GO OK, "!drain"},
     .want = "451 4.5.0 session sent; closed 451 4.5.0 session"},
    {"DATA: likewise with PIPELINING",
     {PIPED, "C:" MAIL RCPT1 DATA, "S:" OK OK GO OK, "!drain"},
     .want = "451 4.5.0 session sent; closed 451 4.5.0 session"},
    {"DATA lost", {AT_DATA}, .want = "451 4.4.2 session; closed 451 4.4.2 session"},
    {"DATA silence",
     {AT_DATA, "!eof"},
     .want = "451 4.4.2 session; closed 451 4.4.2 session",
     .tiny = RIG_TINY(data_init)},

    /* ---- the end of data ---- */
    {"final 4yz",
     {AT_FINAL, "S:452 4.3.1 full\r\n", RESET, BYE},
     .want = "452 4.3.1 message sent; closed"},
    {"final 5yz",
     {AT_FINAL, "S:554 5.6.0 no\r\n", RESET, BYE},
     .want = "554 5.6.0 message sent; closed"},
    {"final 421",
     {AT_FINAL, "S:" LATE, "!eof"},
     .want = "421 4.3.2 host sent; closed 421 4.3.2 host"},
    {"final garbage",
     {AT_FINAL, "S:250-a\r\n251 b\r\n", "!eof"},
     .want = "451 4.5.0 session sent; closed 451 4.5.0 session"},
    {"final lost", {AT_FINAL}, .want = "451 4.4.2 session sent; closed 451 4.4.2 session"},
    {"final silence",
     {AT_FINAL, "!eof"},
     .want = "451 4.4.2 session sent; closed 451 4.4.2 session",
     .tiny = RIG_TINY(data_final)},
    {"one write, lost before any reply",
     {QUICK, "C:" MAIL RCPT1 CHUNK},
     .want = "451 4.4.2 session sent; closed 451 4.4.2 session"},

    /* ---- between and after messages ---- */
    {"RSET refused",
     {AT_MAIL, "S:550 5.7.1 no\r\n", "C:RSET\r\n", "S:500 what?\r\n", "!eof"},
     .want = "550 5.7.1 message; closed 400 4.0.0 session"},
    {"421 right behind the end",
     {AT_FINAL, "S:" OK "421 4.4.2 enough\r\n", "!eof"},
     .want = "250 2.0.0 sent; closed 421 4.4.2 session"},
    {"a reply that nobody asked for",
     {AT_FINAL, "S:" OK OK, "!eof"},
     .want = "250 2.0.0 sent; closed 451 4.5.0 session"},
    {"lost while idle",
     {AT_FINAL, "S:" OK},
     .want = "250 2.0.0 sent; closed 451 4.4.2 session",
     .linger = true},
    {"421 while idle",
     {PLAIN, "S:" LATE, "!eof"},
     .want = "closed 421 4.3.2 host",
     .messages = RIG_NO_MESSAGES,
     .linger = true},
    {"QUIT unanswered",
     {AT_FINAL, "S:" OK, "C:QUIT\r\n", "!eof"},
     .want = "250 2.0.0 sent; closed",
     .tiny = RIG_TINY(quit)},
    {"QUIT answered by closing",
     {AT_FINAL, "S:" OK, "C:QUIT\r\n"},
     .want = "250 2.0.0 sent; closed"},
    {"cancelled", {PLAIN, "!drain"}, .want = "451 4.3.2 session; closed", .cancel = true},
    {"cancelled while it is declined",
     {HI, "S:250-peer\r\n250 SIZE 35\r\n", "!eof"},
     .want = "451 4.3.2 session; closed",
     .cancel = true},
};

static void test_dialogue(void **state)
{
    struct rig rig;

    rig_init(&rig, *state);
    rig_set_body(&rig, SPAN(RIG_BODY), true);
    rig_run(&rig);
}

static void test_statuses_name_the_host(void **state)
{
    static const struct rig_case test = {
        "names",
        {AT_RCPT, "S:550-5.1.1 no\r\n550 5.1.1 such \001user\r\n", RESET, BYE},
        .want = "550 5.1.1; closed"};
    char by[64];
    struct rig rig;

    (void)state;
    rig_init(&rig, &test);
    rig_set_body(&rig, SPAN(RIG_BODY), true);
    rig_run(&rig);
    snprintf(by, sizeof by, "peer.example [127.0.0.1]:%u", ntohs(rig.peer.address.sin_port));
    assert_string_equal(rig.by, by);
    assert_string_equal(rig.text, "no such  user");
}

int main(void)
{
    struct CMUnitTest tests[COUNT(cases) + 1] = {cmocka_unit_test(test_statuses_name_the_host)};

    for (size_t i = 0; i < COUNT(cases); i++)
        tests[i + 1] = (struct CMUnitTest){.name = cases[i].name,
                                           .test_func = test_dialogue,
                                           .initial_state = (void *)(uintptr_t)&cases[i]};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
