/* deliver/: LMTP (RFC 2033), where each recipient gets an answer of its own. */
#include "support/deliver_rig.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

#define MAIL  "MAIL FROM:<a@example.com>\r\n"
#define RCPT1 "RCPT TO:<r1@example.net>\r\n"
#define RCPT2 "RCPT TO:<r2@example.net>\r\n"
#define RCPT3 "RCPT TO:<r3@example.net>\r\n"
#define DATA  "DATA\r\n"
#define TEXT  "C:" RIG_TRACE "Subject: x\r\n\r\n..dot\r\n.\r\n"
#define CHUNK "BDAT 36 LAST\r\n" RIG_TRACE RIG_BODY
#define OK    "250 2.0.0 ok\r\n"
#define GO    "354 go\r\n"
#define WHO   "550 5.1.1 who?\r\n"
#define FULL  "452 4.2.2 full\r\n"
#define HI    "S:220 hi\r\n", "C:LHLO me.example\r\n"
#define PIPED HI, "S:250-peer\r\n250 PIPELINING\r\n"
#define QUICK HI, "S:250-peer\r\n250-PIPELINING\r\n250 CHUNKING\r\n"
#define THREE PIPED, "C:" MAIL RCPT1 RCPT2 RCPT3 DATA
#define BYE   "C:QUIT\r\n", "S:221 bye\r\n", "!eof"

static const struct rig_case cases[] = {
    {"one",
     {PIPED, "C:" MAIL RCPT1 DATA, "S:" OK OK GO, TEXT, "S:" OK, BYE},
     .want = "250 2.0.0 sent; closed"},
    {"each its own",
     {THREE, "S:" OK OK OK OK GO, TEXT, "S:" OK FULL WHO, BYE},
     .want = "250 2.0.0, 452 4.2.2, 550 5.1.1 sent; closed",
     .recipients = 3},
    {"one after the other",
     {THREE, "S:" OK OK OK OK GO, TEXT, "S:" OK, "T:" FULL, "S:" OK, BYE},
     .want = "250 2.0.0, 452 4.2.2, 250 2.0.0 sent; closed",
     .recipients = 3},
    {"no reply for those refused before",
     {THREE, "S:" OK WHO OK WHO GO, TEXT, "S:" FULL, BYE},
     .want = "550 5.1.1, 452 4.2.2, 550 5.1.1 sent; closed",
     .recipients = 3},
    {"BDAT",
     {QUICK, "C:" MAIL RCPT1 RCPT2 RCPT3 CHUNK, "S:" OK OK WHO OK FULL OK, BYE},
     .want = "452 4.2.2, 550 5.1.1, 250 2.0.0 sent; closed",
     .recipients = 3},
    {"the next message",
     {PIPED, "C:" MAIL RCPT1 RCPT2 DATA, "S:" OK OK OK GO, TEXT, "S:" OK FULL,
      "C:" MAIL RCPT1 RCPT2 DATA, "S:" OK OK OK GO, TEXT, "S:" WHO OK, BYE},
     .want = "250 2.0.0, 452 4.2.2 sent; 550 5.1.1, 250 2.0.0 sent; closed",
     .recipients = 2,
     .messages = 2},
    {"one reply too many",
     {PIPED, "C:" MAIL RCPT1 DATA, "S:" OK OK GO, TEXT, "S:" OK OK, "!eof"},
     .want = "250 2.0.0 sent; closed 451 4.5.0 session"},

    /* ---- nobody is left ---- */
    {"all refused, DATA too",
     {PIPED, "C:" MAIL RCPT1 DATA, "S:" OK WHO "503 5.5.1 none\r\n", "C:RSET\r\n", "S:" OK, BYE},
     .want = "550 5.1.1; closed"},
    {"all refused, 354 all the same",
     {PIPED, "C:" MAIL RCPT1 DATA, "S:" OK WHO GO, "!eof"},
     .want = "550 5.1.1; closed"},
    {"all refused, BDAT",
     {QUICK, "C:" MAIL RCPT1 RCPT2 CHUNK, "S:" OK WHO WHO "503 5.5.1 none\r\n", "C:RSET\r\n",
      "S:" OK, BYE},
     .want = "550 5.1.1, 550 5.1.1 sent; closed",
     .recipients = 2},

    /* ---- half-way: what was answered stays ---- */
    {"lost between the replies",
     {THREE, "S:" OK OK OK OK GO, TEXT, "S:" OK WHO},
     .want = "250 2.0.0, 550 5.1.1, 451 4.4.2 session sent; closed 451 4.4.2 session",
     .recipients = 3},
    {"421 between the replies",
     {THREE, "S:" OK OK WHO OK GO, TEXT, "S:" OK "421 4.3.2 bye\r\n", "!eof"},
     .want = "250 2.0.0, 550 5.1.1, 421 4.3.2 host sent; closed 421 4.3.2 host",
     .recipients = 3},
    {"garbage between the replies",
     {THREE, "S:" OK OK OK OK GO, TEXT, "S:" OK "ok\r\n", "!eof"},
     .want = "250 2.0.0, 451 4.5.0 session, 451 4.5.0 session sent; closed 451 4.5.0 session",
     .recipients = 3},
    {"silence between the replies",
     {THREE, "S:" OK OK OK OK GO, TEXT, "S:" OK, "!eof"},
     .want = "250 2.0.0, 451 4.4.2 session, 451 4.4.2 session sent; closed 451 4.4.2 session",
     .recipients = 3,
     .tiny = RIG_TINY(data_final)},

    /* ---- before ---- */
    {"no LHLO: HELO is none of it",
     {HI, "S:500 5.5.1 what?\r\n", "!eof"},
     .want = "closed 400 4.5.1 host"},
};

static void test_dialogue(void **state)
{
    struct rig_case test = *(const struct rig_case *)*state;
    struct rig rig;

    test.lmtp = true;
    rig_init(&rig, &test);
    rig_set_body(&rig, SPAN(RIG_BODY), true);
    rig_run(&rig);
}

int main(void)
{
    struct CMUnitTest tests[COUNT(cases)];

    for (size_t i = 0; i < COUNT(cases); i++)
        tests[i] = (struct CMUnitTest){.name = cases[i].name,
                                       .test_func = test_dialogue,
                                       .initial_state = (void *)(uintptr_t)&cases[i]};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
