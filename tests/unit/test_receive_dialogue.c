/* receive/: dialogues as scripts, each with a server of its own over a real connection. */
#include "support/receive_rig.h"
#include "support/receive_script.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

/* 640 bytes */
#define TEN  "0123456789"
#define MANY TEN TEN TEN TEN TEN TEN TEN TEN
#define LONG MANY MANY MANY MANY MANY MANY MANY MANY

enum { SCRIPT_MAX = 40 };

struct dialogue {
    const char *name;
    const char *conf;
    const char *script[SCRIPT_MAX];
    unsigned accepted;
};

static const struct dialogue dialogues[] = {
    {"a message", "", {ENVELOPE, "R:" BODY, END, QUEUED, BYE}, 1},
    {"two messages",
     "",
     {ENVELOPE, "R:" BODY, END, QUEUED, MAIL, RCPT, DATA, "R:" BODY, END, QUEUED, BYE},
     2},
    {"pipelined",
     "",
     {HELLO,
      "R:RSET\r\nMAIL FROM:<a@sender.test>\r\nRCPT TO:<b@rcpt.test>\r\nRCPT "
      "TO:<c@rcpt.test>\r\nDATA\r\n",
      "S:250 2.0.0", "S:250 2.1.0", "S:250 2.1.5", "S:250 2.1.5", "S:354 ",
      "R:" BODY ".\r\nMAIL FROM:<>\r\nQUIT\r\n", QUEUED, "S:250 2.1.0", "S:221 ", "!eof"},
     1},
    {"HELO",
     "",
     {"S:220 ", "C:HELO client.test", "S:250 mx.test", MAIL, RCPT, DATA, "R:" BODY, END, QUEUED,
      BYE},
     1},

    /* ---- order ---- */
    {"MAIL before EHLO", "", {"S:220 ", "C:MAIL FROM:<a@b.test>", "S:503 5.5.1 EHLO", BYE}, 0},
    {"RCPT before MAIL", "", {HELLO, "C:RCPT TO:<a@b.test>", "S:503 5.5.1 MAIL", BYE}, 0},
    {"DATA before MAIL", "", {HELLO, "C:DATA", "S:503 5.5.1 MAIL", BYE}, 0},
    {"MAIL twice", "", {HELLO, MAIL, "C:MAIL FROM:<>", "S:503 5.5.1", RCPT, BYE}, 0},
    {"DATA without recipients", "", {HELLO, MAIL, "C:DATA", "S:554 5.5.1", BYE}, 0},
    {"RSET forgets", "", {HELLO, MAIL, RCPT, "C:RSET", "S:250 ", "C:DATA", "S:503 ", BYE}, 0},
    {"EHLO forgets",
     "",
     {HELLO, MAIL, RCPT, "C:EHLO x.test", "S:250 ", "C:DATA", "S:503 ", BYE},
     0},
    {"EHLO without a name",
     "",
     {"S:220 ", "C:EHLO", "S:501 5.5.4", "C:EHLO a b", "S:501 ", BYE},
     0},
    {"the small ones",
     "",
     {"S:220 ", "C:NOOP x", "S:250 2.0.0", "C:HELP", "S:214 2.0.0", "C:VRFY x", "S:252 2.5.0",
      "C:VRFY", "S:501 ", "C:EXPN x", "S:502 5.5.1", "C:XYZZY", "S:500 5.5.2", "C:", "S:500 5.5.2",
      BYE},
     0},
    {"arguments where there are none",
     "",
     {HELLO, "C:RSET x", "S:501 5.5.4", "C:QUIT x", "S:501 5.5.4", BYE},
     0},

    /* ---- MAIL and RCPT ---- */
    {"SIZE",
     "message_size_max = 10KiB\n",
     {HELLO, "C:MAIL FROM:<> SIZE=10241", "S:552 5.3.4", "C:MAIL FROM:<> SIZE=1x", "S:501 5.5.4",
      "C:MAIL FROM:<> SIZE=10240 BODY=8BITMIME SMTPUTF8", "S:250 2.1.0", BYE},
     0},
    {"unknown parameters",
     "",
     {HELLO, "C:MAIL FROM:<> FOO=1", "S:555 5.5.4", MAIL, "C:RCPT TO:<a@b.test> FOO", "S:555 5.5.4",
      BYE},
     0},
    {"DSN parameters",
     "",
     {HELLO, "C:MAIL FROM:<a@sender.test> RET=HDRS ENVID=a+2Bb", "S:250 2.1.0",
      "C:RCPT TO:<b@rcpt.test> NOTIFY=success,DELAY ORCPT=rfc822;b+2B@x.test", "S:250 2.1.5",
      "C:RCPT TO:<c@rcpt.test> NOTIFY=NEVER", "S:250 2.1.5", DATA, "R:" BODY, END, QUEUED, BYE},
     1},
    {"bad DSN parameters of MAIL",
     "",
     {HELLO, "C:MAIL FROM:<> RET=SOME", "S:501 5.5.4", "C:MAIL FROM:<> RET", "S:501 5.5.4",
      "C:MAIL FROM:<> ENVID=a+2b", "S:501 5.5.4", "C:MAIL FROM:<> ENVID=a+00", "S:501 5.5.4",
      "C:MAIL FROM:<> NOTIFY=NEVER", "S:555 5.5.4", "C:MAIL FROM:<> ENVID=a", "S:250 2.1.0", BYE},
     0},
    {"bad DSN parameters of RCPT",
     "",
     {HELLO, MAIL, "C:RCPT TO:<b@rcpt.test> NOTIFY=NEVER,DELAY", "S:501 5.5.4",
      "C:RCPT TO:<b@rcpt.test> NOTIFY=ALWAYS", "S:501 5.5.4",
      "C:RCPT TO:<b@rcpt.test> ORCPT=b@rcpt.test", "S:501 5.5.4",
      "C:RCPT TO:<b@rcpt.test> RET=FULL", "S:555 5.5.4", RCPT, BYE},
     0},
    {"DSN parameters need EHLO",
     "",
     {"S:220 ", "C:HELO c.test", "S:250 ", "C:MAIL FROM:<> RET=FULL", "S:555 5.5.4", MAIL,
      "C:RCPT TO:<b@rcpt.test> NOTIFY=NEVER", "S:555 5.5.4", RCPT, BYE},
     0},
    {"AUTH= where AUTH is not offered",
     "",
     {HELLO, "C:MAIL FROM:<a@sender.test> AUTH=<>", "S:555 5.5.4", BYE},
     0},
    {"parameters need EHLO",
     "",
     {"S:220 ", "C:HELO c.test", "S:250 ", "C:MAIL FROM:<> SIZE=1", "S:555 5.5.4", BYE},
     0},
    {"broken paths",
     "",
     {HELLO, "C:MAIL FROM:a@b.test", "S:501 ", "C:MAIL FROM:<a@>", "S:501 5.1.7", MAIL,
      "C:RCPT TO:<b>", "S:501 5.1.3", "C:RCPT TO:<>", "S:501 ", RCPT, BYE},
     0},
    {"UTF-8 without SMTPUTF8",
     "",
     {HELLO, MAIL, "C:RCPT TO:<b\xc3\xa4@rcpt.test>", "S:553 5.6.7", BYE},
     0},
    {"UTF-8 with SMTPUTF8",
     "",
     {HELLO, "C:MAIL FROM:<a@sender.test> SMTPUTF8", "S:250 ",
      "C:RCPT TO:<b\xc3\xa4@b\xc3\xbc.test>", "S:250 ", DATA, "R:" BODY, END, QUEUED, BYE},
     1},
    {"no relaying",
     "relay_networks = \"192.0.2.0/24\"\n",
     {HELLO, MAIL, "C:RCPT TO:<b@rcpt.test>", "S:550 5.7.1", "C:DATA", "S:554 5.5.1", BYE},
     0},
    {"a reject route",
     "route \"no.test\" { reject = \"5.7.7 Not here\" }\n",
     {HELLO, MAIL, "C:RCPT TO:<b@no.test>", "S:550 5.7.7 Not here", RCPT, DATA, "R:" BODY, END,
      QUEUED, BYE},
     1},
    {"a discard route",
     "route \"gone.test\" { discard = yes }\n",
     {HELLO, MAIL, "C:RCPT TO:<b@gone.test>", "S:250 2.1.5", DATA, "R:" BODY, END, QUEUED, BYE},
     0},

    /* ---- BDAT ---- */
    {"BDAT",
     "",
     {HELLO, MAIL, RCPT, "R:BDAT 14\r\nSubject: x\r\n\r\n", "S:250 2.0.0",
      "R:BDAT 4 LAST\r\nhi\r\n", QUEUED, BYE},
     1},
    {"BDAT, pipelined",
     "",
     {HELLO,
      "R:MAIL FROM:<a@sender.test>\r\nRCPT TO:<b@rcpt.test>\r\nBDAT 14\r\nSubject: x\r\n\r\n"
      "BDAT 0 LAST\r\nQUIT\r\n",
      "S:250 2.1.0", "S:250 2.1.5", "S:250 2.0.0", QUEUED, "S:221 ", "!eof"},
     1},
    {"an empty message", "", {HELLO, MAIL, RCPT, "C:BDAT 0 LAST", QUEUED, BYE}, 1},
    {"a refused chunk is not taken for commands",
     "",
     {HELLO, "R:BDAT 6\r\nQUIT\r\n", "S:503 5.5.1", MAIL, "R:BDAT 6 LAST\r\nQUIT\r\n", "S:554 ",
      BYE},
     0},
    {"a chunk too much",
     "message_size_max = 1KiB\n",
     {HELLO, MAIL, RCPT, "R:BDAT 6\r\nTo: x\n", "S:250 ", "R:BDAT 1280\r\n" LONG LONG,
      "S:552 5.3.4", "C:DATA", "S:503 ", BYE},
     0},
    {"nothing between the chunks",
     "",
     {HELLO, MAIL, RCPT, "R:BDAT 2\r\n\r\n", "S:250 ", "C:DATA", "S:503 ", "C:RCPT TO:<a@b.test>",
      "S:503 ", "C:RSET", "S:250 ", MAIL, RCPT, DATA, "R:" BODY, END, QUEUED, BYE},
     1},
    {"BDAT without a size", "", {HELLO, MAIL, RCPT, "C:BDAT LAST", "S:501 5.5.4", "!eof"}, 0},
    {"a bare LF in a chunk",
     "",
     {HELLO, MAIL, RCPT, "R:BDAT 5 LAST\r\na\nb\r\n", "S:554 5.6.0", BYE},
     0},
    {"left in a chunk", "", {HELLO, MAIL, RCPT, "R:BDAT 500 LAST\r\nSubj", "!close"}, 0},

    /* ---- broken lines ---- */
    {"a bare LF ends the session", "", {HELLO, "R:NOOP\nRSET\r\n", "S:521 5.5.2", "!eof"}, 0},
    {"a NUL and a bare CR", "", {HELLO, "R:NO\rOP\r\n", "S:500 5.5.2", BYE}, 0},
    {"a line too long",
     "command_line_max = 512\n",
     {HELLO, "R:NOOP " LONG "\r\nNOOP\r\n", "S:500 5.5.2", "S:250 ", BYE},
     0},
    {"data before the 354",
     "",
     {HELLO, MAIL, RCPT, "R:DATA\r\nSubject: x\r\n", "S:521 5.5.0", "!eof"},
     0},

    /* ---- bodies that are refused, behind which the session goes on ---- */
    {"a bare LF in the body",
     "",
     {ENVELOPE, "R:Subject: x\n\r\n.\r\n", "S:554 5.6.0", MAIL, RCPT, DATA, "R:" BODY, END, QUEUED,
      BYE},
     1},
    {"smuggling",
     "",
     {ENVELOPE, "R:x\r\n\n.\r\nMAIL FROM:<evil@x.test>\r\n.\r\n", "S:554 5.6.0", BYE},
     0},
    {"too large",
     "message_size_max = 1KiB\ntext_line_max = 2000\n",
     {ENVELOPE, "R:" LONG "\r\n" LONG "\r\n", END, "S:552 5.3.4", BYE},
     0},
    {"too many hops",
     "hops_max = 2\n",
     {ENVELOPE, "R:Received: a\r\nReceived: b\r\nReceived: c\r\n\r\n", END, "S:554 5.4.6", BYE},
     0},

    /* ---- patience ---- */
    {"too many errors",
     "errors_max = 2\n",
     {"S:220 ", "C:FOO", "S:500 ", "C:BAR", "S:500 ", "S:421 4.7.0", "!eof"},
     0},
    {"too many errors, pipelined",
     "errors_max = 2\n",
     {HELLO, "R:FOO\r\nBAR\r\nBAZ\r\nQUIT\r\n", "S:500 ", "S:500 ", "S:421 4.7.0", "!eof"},
     0},
    {"too many commands",
     "commands_without_mail_max = 2\n",
     {"S:220 ", "C:NOOP", "S:250 ", "C:NOOP", "S:250 ", "C:NOOP", "S:421 4.7.0", "!eof"},
     0},
    {"no command", "command_timeout = 30ms\n", {"S:220 ", "S:421 4.4.2", "!eof"}, 0},
    {"no data", "data_timeout = 30ms\n", {ENVELOPE, "R:Subject", "S:421 4.4.2", "!eof"}, 0},
    {"too long a session", "session_timeout = 30ms\n", {"S:220 ", "S:421 4.4.2", "!eof"}, 0},

    /* ---- clients that leave ---- */
    {"left at once", "", {"!close"}, 0},
    {"left in data", "", {ENVELOPE, "R:Subject: x\r\n", "!close"}, 0},
    {"left before the 250", "", {ENVELOPE, "R:" BODY ".\r\n", "!close"}, 1},
    {"left behind the reset", "", {HELLO, "R:RCPT TO:<x@y.test>\r\n", "!close"}, 0},
    {"shut, and all is answered",
     "",
     {ENVELOPE, "R:" BODY ".\r\nMAIL FROM:<>\r\nRCPT TO:<a@b.test>\r\nNOOP\r\n", "!shut", QUEUED,
      "S:250 2.1.0", "S:250 2.1.5", "S:250 2.0.0", "!eof"},
     1},
    {"shut in data", "", {ENVELOPE, "R:" BODY, "!shut", "!eof"}, 0},
    {"shut at once", "", {"S:220 ", "!shut", "!eof"}, 0},
};

static bool all_accepted(const struct receive_rig *rig, unsigned wanted)
{
    return rig->accepted_count == wanted && receive_limits_sessions(rig->limits) == 0;
}

static void test_dialogue(void **state)
{
    const struct dialogue *d = *state;
    struct receive_rig rig;
    struct talk client;

    receive_rig_open(&rig, d->conf, NULL, CONF_TLS_STARTTLS);
    receive_rig_connect(&rig, &client);
    talk_follow(&client, d->script);
    talk_close(&client);
    TURN_UNTIL(rig.loop, all_accepted(&rig, d->accepted));
    assert_int_equal(queue_memory_rows(rig.queue), d->accepted);
    receive_rig_close(&rig);
}

int main(void)
{
    struct CMUnitTest tests[COUNT(dialogues)];

    for (size_t i = 0; i < COUNT(dialogues); i++)
        tests[i] = (struct CMUnitTest){.name = dialogues[i].name,
                                       .test_func = test_dialogue,
                                       .initial_state = (void *)(uintptr_t)&dialogues[i]};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
