/* deliver/: the next message's commands behind the end of data of the one before (RFC 2920 3.1). */
#include "support/deliver_rig.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

#define MAIL  "MAIL FROM:<a@example.com>\r\n"
#define RCPT1 "RCPT TO:<r1@example.net>\r\n"
#define RCPT2 "RCPT TO:<r2@example.net>\r\n"
#define ONE   MAIL RCPT1 "DATA\r\n"
#define TWO   MAIL RCPT1 RCPT2 "DATA\r\n"
#define TEXT  RIG_TRACE "Subject: x\r\n\r\n..dot\r\n.\r\n"
#define CHUNK "BDAT 36 LAST\r\n" RIG_TRACE RIG_BODY
#define OK    "250 2.0.0 ok\r\n"
#define GO    "354 go\r\n"
#define NO    "554 5.6.0 no\r\n"
#define LATER "451 4.3.0 later\r\n"
#define WHO   "550 5.1.1 who?\r\n"
#define HI    "S:220 hi\r\n", "C:EHLO me.example\r\n"
#define PIPED HI, "S:250-peer\r\n250 PIPELINING\r\n"
#define LMTP  "S:220 hi\r\n", "C:LHLO me.example\r\n", "S:250-peer\r\n250 PIPELINING\r\n"
#define BEGUN PIPED, "C:" ONE, "S:" OK OK GO
#define BYE   "C:QUIT\r\n", "S:221 bye\r\n", "!eof"

static const struct rig_case cases[] = {
    {"in one write, one round trip a message",
     {BEGUN, "C:" TEXT ONE, "S:" OK OK OK GO, "C:" TEXT ONE, "S:" OK OK OK GO, "C:" TEXT, "S:" OK,
      BYE},
     .want = "250 2.0.0 sent; 250 2.0.0 sent; 250 2.0.0 sent; closed",
     .messages = 3},
    {"replies byte by byte",
     {BEGUN, "C:" TEXT ONE, "T:" OK OK OK GO, "C:" TEXT, "T:" OK, BYE},
     .want = "250 2.0.0 sent; 250 2.0.0 sent; closed",
     .messages = 2},
    {"not without PIPELINING",
     {HI, "S:250 peer\r\n", "C:" MAIL, "S:" OK, "C:" RCPT1, "S:" OK, "C:DATA\r\n", "S:" GO,
      "C:" TEXT, "S:" OK, "C:" MAIL, "S:" OK, "C:" RCPT1, "S:" OK, "C:DATA\r\n", "S:" GO, "C:" TEXT,
      "S:" OK, BYE},
     .want = "250 2.0.0 sent; 250 2.0.0 sent; closed",
     .messages = 2},
    {"not beyond what the host wants of one connection",
     {HI, "S:250-peer\r\n250-LIMITS MAILMAX=1\r\n250 PIPELINING\r\n", "C:" ONE, "S:" OK OK GO,
      "C:" TEXT, "S:" OK, BYE},
     .want = "250 2.0.0 sent; closed",
     .messages = 2},
    {"data of a chunk waits for the envelope",
     {HI, "S:250-peer\r\n250-PIPELINING\r\n250 CHUNKING\r\n", "C:" MAIL RCPT1 CHUNK, "S:" OK OK OK,
      "C:" MAIL RCPT1 CHUNK, "S:" OK OK OK, BYE},
     .want = "250 2.0.0 sent; 250 2.0.0 sent; closed",
     .messages = 2},

    /* ---- each reply is its own message's ---- */
    {"the first refused",
     {BEGUN, "C:" TEXT ONE, "S:" NO OK OK GO, "C:" TEXT, "S:" OK, BYE},
     .want = "554 5.6.0 message sent; 250 2.0.0 sent; closed",
     .messages = 2},
    {"the second refused",
     {BEGUN, "C:" TEXT ONE, "S:" OK LATER NO NO, "C:RSET\r\n", "S:" OK, BYE},
     .want = "250 2.0.0 sent; 451 4.3.0 message; closed",
     .messages = 2},
    {"a recipient of each",
     {PIPED, "C:" TWO, "S:" OK OK WHO GO, "C:" TEXT TWO, "S:" OK OK WHO OK GO, "C:" TEXT,
      "S:" LATER, "C:RSET\r\n", "S:" OK, BYE},
     .want = "250 2.0.0, 550 5.1.1 sent; 550 5.1.1, 451 4.3.0 message sent; closed",
     .recipients = 2,
     .messages = 2},
    {"all of the second's recipients, and 354 all the same",
     {BEGUN, "C:" TEXT ONE, "S:" OK OK WHO GO, "C:.\r\n", "S:" NO, "C:RSET\r\n", "S:" OK, BYE},
     .want = "250 2.0.0 sent; 550 5.1.1; closed",
     .messages = 2},
    {"LMTP: as many replies as recipients were taken",
     {LMTP, "C:" TWO, "S:" OK OK OK GO, "C:" TEXT TWO, "S:" OK LATER, "S:" OK WHO OK GO, "C:" TEXT,
      "S:" OK, BYE},
     .want = "250 2.0.0, 451 4.3.0 sent; 550 5.1.1, 250 2.0.0 sent; closed",
     .recipients = 2,
     .messages = 2,
     .lmtp = true},

    /* ---- the connection ends ---- */
    {"421 to the first",
     {BEGUN, "C:" TEXT ONE, "S:421 4.3.2 down\r\n", "!eof"},
     .want = "421 4.3.2 host sent; 451 4.3.2 session untouched; closed 421 4.3.2 host",
     .messages = 2},
    {"dropped before the first's reply",
     {BEGUN, "C:" TEXT ONE, "!hang-up"},
     .want = "451 4.4.2 session sent; 451 4.3.2 session untouched; closed 451 4.4.2 session",
     .messages = 2},
    {"garbage for the first",
     {BEGUN, "C:" TEXT ONE, "S:what?\r\n", "!eof"},
     .want = "451 4.5.0 session sent; 451 4.3.2 session untouched; closed 451 4.5.0 session",
     .messages = 2},
    {"dropped behind the first's reply: the second is not in doubt",
     {BEGUN, "C:" TEXT ONE, "S:" OK, "!hang-up"},
     .want = "250 2.0.0 sent; 451 4.4.2 session; closed 451 4.4.2 session",
     .messages = 2},
    {"421 to the second",
     {BEGUN, "C:" TEXT ONE, "S:" OK "421 4.3.2 enough\r\n", "!eof"},
     .want = "250 2.0.0 sent; 421 4.3.2 session; closed 421 4.3.2 session",
     .messages = 2},
    {"LMTP: dropped between the first's replies",
     {LMTP, "C:" TWO, "S:" OK OK OK GO, "C:" TEXT TWO, "S:" OK, "!hang-up"},
     .want = "250 2.0.0, 451 4.4.2 session sent; "
             "451 4.3.2 session, 451 4.3.2 session untouched; closed 451 4.4.2 session",
     .recipients = 2,
     .messages = 2,
     .lmtp = true},
    {"ended, and its owner not told yet",
     {PIPED, "!eof"},
     .want = "451 4.3.2 session untouched; closed",
     .late = true},
    {"the first's deadline",
     {BEGUN, "C:" TEXT ONE, "!drain"},
     .want = "451 4.4.2 session sent; 451 4.3.2 session untouched; closed 451 4.4.2 session",
     .messages = 2,
     .tiny = RIG_TINY(data_final)},
};

/* `stored`: what leaves, in any number of writes, of a body that is not in memory. */
static void run_case(const struct rig_case *test, const char *stored)
{
    struct rig_case following = *test;
    struct rig rig;

    print_message("%s\n", test->name);
    following.follow = true;
    rig_init(&rig, &following);
    rig_set_body(&rig, SPAN(RIG_BODY), stored == NULL);
    rig.peer.body = stored;
    rig.peer.body_len = stored != NULL ? strlen(stored) : 0;
    rig_run(&rig);
}

static void test_cases(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++)
        run_case(&cases[i], NULL);
}

/* Bodies that are read from the queue leave piece by piece, and BDAT behind the envelope. */
static void test_stored(void **state)
{
    static const struct {
        struct rig_case test;
        const char *sent;
    } stored[] = {
        {{"DATA",
          {BEGUN, "!body", "S:" OK OK WHO NO, "C:RSET\r\n", "S:" OK, BYE},
          .want = "250 2.0.0 sent; 550 5.1.1; closed",
          .messages = 2},
         TEXT ONE},
        {{"BDAT",
          {HI, "S:250-peer\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 CHUNKING\r\n", "C:" MAIL RCPT1,
           "S:" OK OK, "!body", "S:" OK OK WHO, "C:RSET\r\n", "S:" OK, BYE},
          .want = "250 2.0.0 sent; 550 5.1.1; closed",
          .messages = 2},
         CHUNK MAIL RCPT1},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(stored); i++)
        run_case(&stored[i].test, stored[i].sent);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cases),
        cmocka_unit_test(test_stored),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
