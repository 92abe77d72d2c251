/* deliver/: 8-bit messages and internationalized ones, to hosts that do not take such. */
#include "support/deliver_rig.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

#define MAIL  "MAIL FROM:<a@example.com>\r\n"
#define RCPT  "RCPT TO:<r1@example.net>\r\n"
#define OK    "250 2.0.0 ok\r\n"
#define GO    "354 go\r\n"
#define HI    "S:220 hi\r\n", "C:EHLO me.example\r\n"
#define OLD   HI, "S:250-peer\r\n250-SIZE\r\n250-CHUNKING\r\n250 PIPELINING\r\n"
#define BYE   "C:QUIT\r\n", "S:221 bye\r\n", "!eof"
#define DATA  "C:" MAIL RCPT "DATA\r\n", "S:" OK OK GO
#define EIGHT "MIME-Version: 1.0\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"

#define LABELLED EIGHT ".gr\xc3\xbc\xc3\x9f\x65\r\n"
#define CODED                                                                                      \
    RIG_TRACE "MIME-Version: 1.0\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"           \
              "..gr=C3=BC=C3=9Fe\r\n.\r\n"
#define UNLABELLED "Subject: x\r\n\r\ngr\xc3\xbc\xc3\x9f\x65\r\n"
#define SEVEN      "Subject: x\r\n\r\nx = y\r\n"

static const char relayed[] = "250 2.0.0 sent; closed";
static const char declined[] = "554 5.6.3 message declined; closed";

struct eight_bit_case {
    struct rig_case dialogue;
    const char *body;
    bool stored;
};

static void from_umlaut(struct queue_message *m)
{
    m->reverse_path = SPAN("\xc3\xa4@example.com");
}

static void from_umlaut_domain(struct queue_message *m)
{
    m->reverse_path = SPAN("a@b\xc3\xbc\x63her.example");
    m->groups[0].recipients[0].address = SPAN("r1@m\xc3\xbcnchen.example");
}

static void to_umlaut(struct queue_message *m)
{
    m->groups[0].recipients[1].address = SPAN("\xc3\xa4@example.net");
}

static void with_trace(struct queue_message *m)
{
    m->trace = SPAN("Received: for <\xc3\xa4@b>\r\n");
}

static const struct eight_bit_case cases[] = {
    /* ---- 8BITMIME ---- */
    {{"declared, and offered",
      {HI, "S:250-peer\r\n250-8BITMIME\r\n250 PIPELINING\r\n",
       "C:MAIL FROM:<a@example.com> BODY=8BITMIME\r\n" RCPT "DATA\r\n", "S:" OK OK GO,
       "C:" RIG_TRACE EIGHT "..gr\xc3\xbc\xc3\x9f\x65\r\n.\r\n", "S:" OK, BYE},
      .want = relayed,
      .flags = QUEUE_BODY_8BIT},
     .body = LABELLED},
    {{"declared: converted, by DATA and without its size",
      {OLD, DATA, "C:" CODED, "S:" OK, BYE},
      .want = relayed,
      .flags = QUEUE_BODY_8BIT},
     .body = LABELLED},
    {{"the same from the store",
      {OLD, DATA, "!body", "S:" OK, BYE},
      .want = relayed,
      .flags = QUEUE_BODY_8BIT},
     .body = LABELLED,
     .stored = true},
    {{"found", {OLD, DATA, "C:" CODED, "S:" OK, BYE}, .want = relayed}, .body = LABELLED},
    {{"found in the store", {OLD, DATA, "!body", "S:" OK, BYE}, .want = relayed},
     .body = LABELLED,
     .stored = true},
    {{"declared, but 7-bit: as it is",
      {OLD, DATA, "C:" RIG_TRACE SEVEN ".\r\n", "S:" OK, BYE},
      .want = relayed,
      .flags = QUEUE_BODY_8BIT},
     .body = SEVEN},
    {{"neither: as always",
      {OLD, "C:MAIL FROM:<a@example.com> SIZE=37\r\n" RCPT "BDAT 37 LAST\r\n" RIG_TRACE SEVEN,
       "S:" OK OK OK, BYE},
      .want = relayed},
     .body = SEVEN},
    {{"not to be converted: the connection goes down before its end",
      {OLD, DATA, "!drain"},
      .want = declined},
     .body = UNLABELLED},
    {{"not to be converted, from the store", {OLD, DATA, "!drain"}, .want = declined},
     .body = UNLABELLED,
     .stored = true},
    {{"damaged: conversion does not hide it",
      {OLD, DATA, "!drain"},
      .want = "451 4.3.0 message damaged; closed"},
     .body = EIGHT "\xc3\xbc\n.\r\n"},
    {{"a notification goes as it is",
      {OLD, "C:MAIL FROM:<a@example.com> SIZE=39\r\n" RCPT "BDAT 39 LAST\r\n" RIG_TRACE UNLABELLED,
       "S:" OK OK OK, BYE},
      .want = relayed,
      .flags = QUEUE_BODY_8BIT | QUEUE_DSN},
     .body = UNLABELLED},
    {{"bounce", {OLD, BYE}, .want = declined, .eight_bit = DELIVER_EIGHT_BIT_DECLINE},
     .body = LABELLED},
    {{"bounce, from the store",
      {OLD, DATA, "!drain"},
      .want = declined,
      .eight_bit = DELIVER_EIGHT_BIT_DECLINE},
     .body = LABELLED,
     .stored = true},
    {{"bounce, but 7-bit",
      {OLD, DATA, "C:" RIG_TRACE EIGHT "x=\r\n.\r\n", "S:" OK, BYE},
      .want = relayed,
      .flags = QUEUE_BODY_8BIT,
      .eight_bit = DELIVER_EIGHT_BIT_DECLINE},
     .body = EIGHT "x=\r\n"},
    {{"send",
      {OLD, "C:MAIL FROM:<a@example.com> SIZE=39\r\n" RCPT "BDAT 39 LAST\r\n" RIG_TRACE UNLABELLED,
       "S:" OK OK OK, BYE},
      .want = relayed,
      .flags = QUEUE_BODY_8BIT,
      .eight_bit = DELIVER_EIGHT_BIT_SEND},
     .body = UNLABELLED},

    /* ---- SMTPUTF8 ---- */
    {{"SMTPUTF8 for nothing: it is not said",
      {OLD, DATA, "C:" CODED, "S:" OK, BYE},
      .want = relayed,
      .flags = QUEUE_SMTPUTF8},
     .body = LABELLED},
    {{"SMTPUTF8 for domains: A-labels",
      {OLD,
       "C:MAIL FROM:<a@xn--bcher-kva.example> SIZE=37\r\nRCPT TO:<r1@xn--mnchen-3ya.example>\r\n"
       "BDAT 37 LAST\r\n" RIG_TRACE SEVEN,
       "S:" OK OK OK, BYE},
      .want = relayed,
      .prepare = from_umlaut_domain,
      .flags = QUEUE_SMTPUTF8},
     .body = SEVEN},
    {{"SMTPUTF8 for the sender",
      {OLD, BYE},
      .want = "550 5.6.7 message declined; closed",
      .prepare = from_umlaut,
      .flags = QUEUE_SMTPUTF8},
     .body = SEVEN},
    {{"SMTPUTF8 for a recipient",
      {OLD, BYE},
      .want = "550 5.6.7 message, 550 5.6.7 message declined; closed",
      .recipients = 2,
      .prepare = to_umlaut,
      .flags = QUEUE_SMTPUTF8},
     .body = SEVEN},
    {{"SMTPUTF8 for a header",
      {OLD, BYE},
      .want = "550 5.6.7 message declined; closed",
      .flags = QUEUE_SMTPUTF8},
     .body = "Subject: \xc3\xbc\r\n\r\nx\r\n"},
    {{"SMTPUTF8 for our own field",
      {OLD, BYE},
      .want = "550 5.6.7 message declined; closed",
      .prepare = with_trace,
      .flags = QUEUE_SMTPUTF8},
     .body = SEVEN},
    {{"SMTPUTF8, in the store: nobody has looked",
      {OLD, BYE},
      .want = "550 5.6.7 message declined; closed",
      .flags = QUEUE_SMTPUTF8},
     .body = SEVEN,
     .stored = true},
    {{"SMTPUTF8 for an address that was rewritten: nobody has said it",
      {OLD, BYE},
      .want = "550 5.6.7 message declined; closed",
      .prepare = from_umlaut},
     .body = SEVEN},
    {{"SMTPUTF8 is offered for an address that was rewritten",
      {HI, "S:250-peer\r\n250-SMTPUTF8\r\n250 PIPELINING\r\n",
       "C:MAIL FROM:<\xc3\xa4@example.com> SMTPUTF8\r\n" RCPT "DATA\r\n", "S:" OK OK GO,
       "C:" RIG_TRACE SEVEN ".\r\n", "S:" OK, BYE},
      .want = relayed,
      .prepare = from_umlaut},
     .body = SEVEN},
    {{"SMTPUTF8 is offered",
      {HI, "S:250-peer\r\n250-SMTPUTF8\r\n250 PIPELINING\r\n",
       "C:MAIL FROM:<\xc3\xa4@example.com> SMTPUTF8\r\n" RCPT "DATA\r\n", "S:" OK OK GO,
       "C:" RIG_TRACE UNLABELLED ".\r\n", "S:" OK, BYE},
      .want = relayed,
      .prepare = from_umlaut,
      .flags = QUEUE_SMTPUTF8},
     .body = UNLABELLED},
};

static void test_dialogue(void **state)
{
    const struct eight_bit_case *test = *state;
    struct rig rig;

    rig_init(&rig, &test->dialogue);
    rig_set_body(&rig, span_cstr(test->body), !test->stored);
    rig.peer.body = CODED; /* of the store, the trace field leaves by itself */
    rig.peer.body_len = strlen(CODED);
    rig_run(&rig);
    if (!rig.attempts[0].damaged)
        assert_memory_equal(rig.by, "peer.example ", 13); /* who takes it, or cannot */
}

int main(void)
{
    struct CMUnitTest tests[COUNT(cases)];

    for (size_t i = 0; i < COUNT(cases); i++)
        tests[i] = (struct CMUnitTest){.name = cases[i].dialogue.name,
                                       .test_func = test_dialogue,
                                       .initial_state = (void *)(uintptr_t)&cases[i]};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
