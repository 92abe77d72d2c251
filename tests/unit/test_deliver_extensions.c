/* deliver/: what is passed on to a host that offers an extension, and what one that does not is
 * never given. */
#include "base/clock.h"
#include "support/deliver_rig.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

#define MAIL "MAIL FROM:<a@example.com>\r\n"
#define RCPT "RCPT TO:<r1@example.net>\r\n"
#define OK   "250 2.0.0 ok\r\n"
#define OKS  "S:" OK OK OK
#define HI   "S:220 hi\r\n", "C:EHLO me.example\r\n"
/* an offer with PIPELINING and CHUNKING, and one that has nothing else */
#define WITH(extensions) HI, "S:250-peer\r\n" extensions "250-PIPELINING\r\n250 CHUNKING\r\n"
#define ALONE(extension) HI, "S:250-peer\r\n250 " extension "\r\n"
#define REST             RCPT "BDAT 36 LAST\r\n" RIG_TRACE RIG_BODY
#define BYE              "C:QUIT\r\n", "S:221 bye\r\n", "!eof"

static const char relayed[] = "250 2.0.0 sent; closed";

static void with_priority(struct queue_message *m)
{
    m->priority = -3;
}

static void with_auth(struct queue_message *m)
{
    m->flags |= QUEUE_HAS_AUTH;
    m->auth = SPAN("a+b@example.com");
}

static void with_auth_unknown(struct queue_message *m)
{
    m->flags |= QUEUE_HAS_AUTH;
}

static void with_by(struct queue_message *m, enum esmtp_by by, int64_t seconds)
{
    m->by = by;
    m->deliver_by = (uint64_t)((int64_t)clock_steady_ms() + seconds * 1000 - 5500);
}

static void return_by(struct queue_message *m)
{
    with_by(m, ESMTP_BY_RETURN, 1000);
}

static void return_by_traced(struct queue_message *m)
{
    return_by(m);
    m->flags |= QUEUE_BY_TRACE;
}

static void return_too_late(struct queue_message *m)
{
    with_by(m, ESMTP_BY_RETURN, 0);
}

static void notify_by(struct queue_message *m)
{
    with_by(m, ESMTP_BY_NOTIFY, 1000);
}

static void notify_late(struct queue_message *m)
{
    with_by(m, ESMTP_BY_NOTIFY, -1000);
}

static void from_a_client(struct queue_message *m)
{
    m->client = SPAN("[IPv6:2001:db8::1]");
    m->client_name = SPAN("client.example");
    m->client_port = 4711;
    m->protocol = SPAN("ESMTPS");
    m->hello = SPAN("hello there");
}

static void from_this_machine(struct queue_message *m)
{
    m->client = SPAN("local");
}

#define XFORWARD                                                                                   \
    "XFORWARD NAME=client.example ADDR=IPV6:2001:db8::1 PORT=4711 PROTO=ESMTPS "                   \
    "HELO=hello+20there IDENT=0000000000001 SOURCE=REMOTE\r\n"
#define XFORWARD_OFFER "250-XFORWARD NAME ADDR PORT PROTO HELO IDENT SOURCE\r\n"

static const struct rig_case cases[] = {
    /* ---- BINARYMIME ---- */
    {"binary, but no BINARYMIME",
     {WITH("250-8BITMIME\r\n"), BYE},
     .want = "554 5.6.3 message declined; closed",
     .flags = QUEUE_BODY_BINARY},
    {"binary, but no CHUNKING",
     {HI, "S:250-peer\r\n250-BINARYMIME\r\n250 PIPELINING\r\n", BYE},
     .want = "554 5.6.3 message declined; closed",
     .flags = QUEUE_BODY_BINARY},

    /* ---- MT-PRIORITY, AUTH ---- */
    {"MT-PRIORITY",
     {WITH("250-MT-PRIORITY\r\n"), "C:MAIL FROM:<a@example.com> MT-PRIORITY=-3\r\n" REST, OKS, BYE},
     .want = relayed,
     .prepare = with_priority},
    {"MT-PRIORITY is not offered",
     {WITH(""), "C:" MAIL REST, OKS, BYE},
     .want = relayed,
     .prepare = with_priority},
    {"MT-PRIORITY, but nothing was asked for",
     {WITH("250-MT-PRIORITY\r\n"), "C:" MAIL REST, OKS, BYE},
     .want = relayed},
    {"AUTH=",
     {WITH("250-AUTH PLAIN\r\n"), "C:MAIL FROM:<a@example.com> AUTH=a+2Bb@example.com\r\n" REST,
      OKS, BYE},
     .want = relayed,
     .prepare = with_auth},
    {"AUTH=<>",
     {WITH("250-AUTH PLAIN\r\n"), "C:MAIL FROM:<a@example.com> AUTH=<>\r\n" REST, OKS, BYE},
     .want = relayed,
     .prepare = with_auth_unknown},
    {"AUTH is not offered",
     {WITH(""), "C:" MAIL REST, OKS, BYE},
     .want = relayed,
     .prepare = with_auth},
    {"AUTH, but nothing was said to us",
     {WITH("250-AUTH PLAIN\r\n"), "C:" MAIL REST, OKS, BYE},
     .want = relayed},

    /* ---- BY ---- */
    {"BY, to be returned",
     {WITH("250-DELIVERBY 60\r\n"), "P:MAIL FROM:<a@example.com> BY=9[0-9][0-9];RT\r\nRCPT*", OKS,
      BYE},
     .want = relayed,
     .prepare = return_by_traced},
    {"BY, to be returned, is not offered",
     {WITH(""), BYE},
     .want = "554 5.3.3 message declined; closed",
     .prepare = return_by},
    {"BY, to be returned, sooner than the host promises",
     {WITH("250-DELIVERBY 1001\r\n"), BYE},
     .want = "554 5.4.7 message declined; closed",
     .prepare = return_by},
    {"BY, to be returned, has passed",
     {WITH("250-DELIVERBY\r\n"), BYE},
     .want = "554 5.4.7 message declined; closed",
     .prepare = return_too_late},
    {"BY, to be told of",
     {WITH("250-DELIVERBY 5000\r\n"), "P:MAIL FROM:<a@example.com> BY=9[0-9][0-9];N\r\nRCPT*", OKS,
      BYE},
     .want = relayed,
     .prepare = notify_by},
    {"BY, to be told of, has passed",
     {WITH("250-DELIVERBY\r\n"), "P:MAIL FROM:<a@example.com> BY=-10[0-9][0-9];N\r\nRCPT*", OKS,
      BYE},
     .want = relayed,
     .prepare = notify_late},
    {"BY, to be told of, is not offered",
     {WITH(""), "C:" MAIL REST, OKS, BYE},
     .want = relayed,
     .prepare = notify_by},

    /* ---- XFORWARD ---- */
    {"XFORWARD, pipelined",
     {WITH(XFORWARD_OFFER), "C:" XFORWARD MAIL REST, "S:" OK OK OK OK, "C:" XFORWARD MAIL REST,
      "S:" OK OK OK OK, BYE},
     .want = "250 2.0.0 sent; 250 2.0.0 sent; closed",
     .messages = 2,
     .prepare = from_a_client,
     .xforward = true},
    {"XFORWARD, some attributes",
     {WITH("250-XFORWARD ADDR SOURCE FUTURE\r\n"),
      "C:XFORWARD ADDR=[UNAVAILABLE] SOURCE=LOCAL\r\n" MAIL REST, "S:" OK OK OK OK, BYE},
     .want = relayed,
     .prepare = from_this_machine,
     .xforward = true},
    {"XFORWARD, one at a time",
     {ALONE("XFORWARD NAME"), "C:XFORWARD NAME=client.example\r\n", "S:" OK, "C:" MAIL,
      "S:550 5.7.1 no\r\n", "C:RSET\r\n", "S:" OK, BYE},
     .want = "550 5.7.1 message; closed",
     .prepare = from_a_client,
     .xforward = true},
    {"XFORWARD, refused",
     {WITH("250-XFORWARD NAME\r\n"), "C:XFORWARD NAME=client.example\r\n" MAIL REST,
      "S:550 5.7.1 not from you\r\n" OK OK OK, BYE},
     .want = relayed,
     .prepare = from_a_client,
     .xforward = true},
    {"XFORWARD, but the route does not say so",
     {WITH(XFORWARD_OFFER), "C:" MAIL REST, OKS, BYE},
     .want = relayed,
     .prepare = from_a_client},
    {"XFORWARD is not offered",
     {WITH(""), "C:" MAIL REST, OKS, BYE},
     .want = relayed,
     .prepare = from_a_client,
     .xforward = true},
    {"XFORWARD 421",
     {ALONE("XFORWARD NAME"), "C:XFORWARD NAME=client.example\r\n", "S:421 4.3.2 bye\r\n", "!eof"},
     .want = "421 4.3.2 host; closed 421 4.3.2 host",
     .prepare = from_a_client,
     .xforward = true},
    {"XFORWARD lost",
     {ALONE("XFORWARD NAME"), "C:XFORWARD NAME=client.example\r\n"},
     .want = "451 4.4.2 session; closed 451 4.4.2 session",
     .prepare = from_a_client,
     .xforward = true},
    {"XFORWARD silence",
     {ALONE("XFORWARD NAME"), "C:XFORWARD NAME=client.example\r\n", "!eof"},
     .want = "451 4.4.2 session; closed 451 4.4.2 session",
     .prepare = from_a_client,
     .xforward = true,
     .tiny = RIG_TINY(mail)},
};

static void test_dialogue(void **state)
{
    struct rig rig;

    rig_init(&rig, *state);
    rig_set_body(&rig, SPAN(RIG_BODY), true);
    rig_run(&rig);
}

/* Not a byte of it is looked at or changed, in memory or from the queue. */
static void test_a_binary_body(void **state)
{
#define BINARY_MAIL "MAIL FROM:<a@example.com> BODY=BINARYMIME\r\n"
    static const char body[] = "Subject: x\r\n\r\n.\n\r\0.\r\n\xff\n.\r\n\r";
    static const struct {
        struct rig_case dialogue;
        const char *before; /* in one write with the body */
        bool in_memory;
    } binary[] = {
        {{"at once",
          {WITH("250-BINARYMIME\r\n"), "!body", OKS, BYE},
          .want = relayed,
          .flags = QUEUE_BODY_BINARY},
         .before = BINARY_MAIL RCPT,
         .in_memory = true},
        {{"stored",
          {WITH("250-BINARYMIME\r\n"), "C:" BINARY_MAIL RCPT, "S:" OK OK, "!body", "S:" OK, BYE},
          .want = relayed,
          .flags = QUEUE_BODY_BINARY},
         .before = ""},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(binary); i++) {
        struct buf wire;
        struct rig rig;
        buf_init(&wire, 0);
        buf_addf(&wire, "%sBDAT %zu LAST\r\n%s", binary[i].before,
                 strlen(RIG_TRACE) + sizeof body - 1, RIG_TRACE);
        buf_add(&wire, span_of(body, sizeof body - 1));
        rig_init(&rig, &binary[i].dialogue);
        rig_set_body(&rig, span_of(body, sizeof body - 1), binary[i].in_memory);
        rig.peer.body = buf_span(&wire).ptr;
        rig.peer.body_len = buf_len(&wire);
        rig_run(&rig);
        buf_fini(&wire);
    }
}

int main(void)
{
    struct CMUnitTest tests[COUNT(cases) + 1] = {cmocka_unit_test(test_a_binary_body)};

    for (size_t i = 0; i < COUNT(cases); i++)
        tests[i + 1] = (struct CMUnitTest){.name = cases[i].name,
                                           .test_func = test_dialogue,
                                           .initial_state = (void *)(uintptr_t)&cases[i]};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
