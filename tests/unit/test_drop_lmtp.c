/* LMTP in: dialogues by line and byte by byte, what is then in the mailboxes, and hops. */
#include "support/drop_talk.h"

#include "plugins/drop/lmtp/hops.h"
#include "support/io_faults.h"
#include "support/split.h"

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])
#define HELLO        "S:220 mx.test LMTP", "C:LHLO client.test", "S:250-mx.test", EXTENSIONS
#define EXTENSIONS                                                                                 \
    "=250-PIPELINING", "=250-SIZE 1048576", "=250-8BITMIME", "=250-ENHANCEDSTATUSCODES",           \
        "=250-SMTPUTF8", "=250 CHUNKING"
#define MAIL  "C:MAIL FROM:<from@sender.test>", "=250 2.1.0 Sender OK"
#define ALICE "C:RCPT TO:<alice@example.org>", "=250 2.1.5 Recipient OK"
#define DATA  "C:DATA", "S:354 "
#define BODY  "C:Subject: x\r\n\r\nhello\r\n."
#define BYE   "C:QUIT", "=221 2.0.0 Bye", "!eof"

static const char aliases[] = "team: alice, bob\nfar: far@elsewhere.test\n"
                              "mixed: alice, far@elsewhere.test\npostmaster: carol\n";

static int setup(void **state)
{
    (void)state;
    drop_rig_open(aliases);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    drop_rig_close();
    return 0;
}

/* Without the Received line, whose date is another each time. */
static void expect_box(const char *user, const char *box, const char *wanted)
{
    struct buf text, seen;

    buf_init(&text, 0);
    buf_init(&seen, 0);
    drop_rig_read(user, box, &text);
    for (struct span rest = buf_span(&text); rest.len > 0;) {
        size_t len = span_index(rest, '\n');
        struct span line = span_head(rest, len + (len < rest.len));
        rest = span_from(rest, line.len);
        bool is_trace = span_starts_nocase(line, SPAN("Received: from client.test ([127.0.0.1])"));
        if (!is_trace && (line.ptr[0] != '\t'))
            buf_add(&seen, line);
    }
    if (!span_equal(buf_span(&seen), span_cstr(wanted)))
        fail_msg("%s/%s: %.*s", user, box, SPAN_ARG(buf_span(&seen)));
    buf_fini(&text);
    buf_fini(&seen);
}

#define TRACE(address) "Return-Path: <from@sender.test>\r\nDelivered-To: " address "\r\n"
#define HELLO_MAIL     "Subject: x\r\n\r\nhello\r\n|"

static void by_line_and_byte(const char *const *script)
{
    drop_talk_whole(&drop_lmtp, script, DROP_BY_LINE);
    drop_talk_whole(&drop_lmtp, script, DROP_BY_BYTE);
}

static void delivers(void **state)
{
    static const char *const script[] = {
        HELLO, MAIL, ALICE, DATA, BODY, "=250 2.0.0 <alice@example.org> Delivered", BYE, NULL};

    (void)state;
    by_line_and_byte(script);
    expect_box("alice", "INBOX",
               TRACE("alice@example.org") HELLO_MAIL TRACE("alice@example.org") HELLO_MAIL);
}

static const char *const dialogues[][64] = {
    /* what may come when */
    {"S:220 ",
     "C:MAIL FROM:<>",
     "=503 5.5.1 LHLO first",
     "C:EHLO x",
     "=500 5.5.1 This is LMTP: say LHLO",
     "C:HELO x",
     "=500 5.5.1 This is LMTP: say LHLO",
     "C:LHLO",
     "S:501 5.5.4",
     "C:XYZ",
     "S:500 5.5.2",
     "C:NOOP x",
     "=250 2.0.0 OK",
     "C:RSET x",
     "S:501 5.5.4",
     "C:HELP",
     "S:214 2.0.0",
     "C:VRFY alice",
     "S:252 2.5.0",
     "C:VRFY",
     "S:501 5.5.4",
     BYE,
     NULL},
    {HELLO, "C:RCPT TO:<alice@example.org>", "=503 5.5.1 MAIL first", "C:DATA",
     "=503 5.5.1 MAIL first", MAIL, "C:MAIL FROM:<>", "=503 5.5.1 A transaction is under way",
     "C:DATA", "=503 5.5.1 No valid recipients", "C:RSET", "S:250 ", "C:DATA", "S:503 5.5.1 MAIL",
     BYE, NULL},
    /* parameters */
    {HELLO, "C:MAIL FROM:<a@b.test> SIZE=1048577", "S:552 5.3.4",
     "C:MAIL FROM:<a@b.test> BODY=BINARYMIME", "S:501 5.5.4", "C:MAIL FROM:a@b.test", "S:501 5.5.4",
     "C:MAIL FROM:<\xC3\xA4@b.test>", "S:553 5.6.7",
     "C:MAIL FROM:<a@b.test> SIZE=100 BODY=8BITMIME RET=HDRS ENVID=x SMTPUTF8", "S:250 2.1.0",
     "C:RCPT TO:<alice@example.org> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;x@y.test", "S:250 2.1.5",
     "C:RCPT TO:<alice@example.org> X=1", "S:555 ", BYE, NULL},
    /* recipients */
    {HELLO,
     MAIL,
     "C:RCPT TO:<nobody@example.org>",
     "=550 5.1.1 No such user here",
     "C:RCPT TO:<alice@elsewhere.test>",
     "S:550 5.1.2",
     "C:RCPT TO:<alice@[127.0.0.1]>",
     "S:550 5.1.2",
     "C:RCPT TO:<far@example.org>",
     "S:550 5.1.6",
     "C:RCPT TO:<mixed@example.org>",
     "S:550 5.1.6",
     "C:RCPT TO:<>",
     "S:501 ",
     "C:RCPT TO:<Postmaster>",
     "S:250 2.1.5",
     "C:RCPT TO:<ALICE+x@EXAMPLE.org>",
     "S:250 2.1.5",
     DATA,
     BODY,
     "=250 2.0.0 <Postmaster> Delivered",
     "=250 2.0.0 <ALICE+x@EXAMPLE.org> Delivered",
     BYE,
     NULL},
    /* what is wrong with a message is told for each recipient, and the next one is taken */
    {HELLO,
     MAIL,
     ALICE,
     "C:RCPT TO:<bob@example.org>",
     "S:250 ",
     DATA,
     "R:a\nb\r\n.\r\n",
     "S:554 5.6.0 <alice@example.org> Message refused: bare LF at byte 1;",
     "S:554 5.6.0 <bob@example.org> Message refused: bare LF",
     MAIL,
     ALICE,
     DATA,
     "R:a\n.\nb\r\n.\r\n",
     "S:554 5.6.0",
     MAIL,
     ALICE,
     DATA,
     BODY,
     "S:250 2.0.0",
     BYE,
     NULL},
    /* dots, and a last line without an end of its own */
    {HELLO, MAIL, ALICE, DATA, "R:..a\r\n.b\r\n..\r\n.\r\n", "S:250 2.0.0", BYE, NULL},
    /* chunks */
    {HELLO, MAIL, ALICE, "R:BDAT 5\r\n.a\r\nb", "=250 2.0.0 5 bytes received", "R:BDAT 0\r\n",
     "=250 2.0.0 5 bytes received", "R:BDAT 5 LAST\r\n\r\n.\r\n",
     "=250 2.0.0 <alice@example.org> Delivered", BYE, NULL},
    {HELLO, "R:BDAT 3\r\nabc", "=503 5.5.1 MAIL first", MAIL, "R:BDAT 2 LAST\r\nxx",
     "=503 5.5.1 No valid recipients", MAIL, ALICE, "R:BDAT 1\r\nx", "S:250 ", "C:DATA",
     "=503 5.5.1 BDAT has begun", "C:RCPT TO:<bob@example.org>", "=503 5.5.1 The message has begun",
     "R:BDAT 1048576 LAST\r\n", NULL},
    {HELLO, MAIL, ALICE, "R:BDAT 2 LAST\r\nx\r", "S:554 5.6.0 <alice@example.org>", "C:BDAT x",
     "=501 5.5.4 Syntax: BDAT size [LAST]", "!eof", NULL},
    /* a client that breaks lines, one that only makes mistakes, and one that leaves */
    {HELLO, "R:NOOP\nNOOP\r\n", "S:521 5.5.2", "!eof", NULL},
    {HELLO,   "C:A",
     "S:500", "C:A",
     "S:500", "C:A",
     "S:500", "C:A",
     "S:500", "C:A",
     "S:500", "C:A",
     "S:500", "C:A",
     "S:500", "C:A",
     "S:500", "C:A",
     "S:500", "C:A",
     "S:500", "=421 4.7.0 Too many errors",
     "!eof",  NULL},
    {HELLO, MAIL, ALICE, DATA, "R:half", "!shut", "!eof", NULL},
    {HELLO, MAIL, "!shut", "!eof", NULL},
};

static void speaks(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(dialogues); i++)
        by_line_and_byte(dialogues[i]);
    expect_box("carol", "INBOX", TRACE("Postmaster") HELLO_MAIL TRACE("Postmaster") HELLO_MAIL);
    struct mailstore_box box = rig_box(drop_rig.worker.store, "bob", "INBOX");
    assert_int_equal(box.id, 0);
}

/* All but the data may come at once, and the next message with the end of the one before. */
static void pipelines(void **state)
{
    static const char *const script[] = {
        "S:220 ",
        "R:LHLO c\r\nMAIL FROM:<from@sender.test>\r\nRCPT TO:<alice@example.org>\r\n"
        "RCPT TO:<x@example.org>\r\nDATA\r\n",
        "S:250-",
        EXTENSIONS,
        "S:250 2.1.0",
        "S:250 2.1.5",
        "S:550 5.1.1",
        "S:354 ",
        "R:one\r\n.\r\nMAIL FROM:<from@sender.test>\r\nRCPT TO:<bob@example.org>\r\n"
        "BDAT 5 LAST\r\ntwo\r\nMAIL FROM:<>\r\nRCPT TO:<bob@example.org>\r\nBDAT 7 LAST\r\n"
        "three\r\nQUIT\r\n",
        "=250 2.0.0 <alice@example.org> Delivered",
        "S:250 2.1.0",
        "S:250 2.1.5",
        "=250 2.0.0 <bob@example.org> Delivered",
        "S:250 2.1.0",
        "S:250 2.1.5",
        "=250 2.0.0 <bob@example.org> Delivered",
        "=221 2.0.0 Bye",
        "!eof",
        NULL};
    struct buf text;

    (void)state;
    drop_talk_whole(&drop_lmtp, script, DROP_BY_LINE);
    buf_init(&text, 0);
    drop_rig_read("bob", "INBOX", &text);
    assert_true(span_starts_nocase(buf_span(&text), SPAN(TRACE("bob@example.org"))));
    assert_true(span_ends_nocase(buf_span(&text), SPAN("\r\nthree\r\n|")));
    assert_non_null(memmem(text.data, buf_len(&text),
                           "Return-Path: <>\r\nDelivered-To: bob@example.org\r\n", 48));
    buf_fini(&text);
}

/* Nothing that comes before the 354 is a message. */
static void smuggles_nothing(void **state)
{
    static const char *const script[] = {
        HELLO,  MAIL, ALICE, "R:DATA\r\nx\r\n.\r\n", "=521 5.5.0 Data sent before the 354 reply",
        "!eof", NULL};

    (void)state;
    drop_talk_whole(&drop_lmtp, script, DROP_BY_LINE);
    assert_int_equal(rig_box(drop_rig.worker.store, "alice", "INBOX").exists, 0);
}

/* ---- whose mailboxes ---------------------------------------------------------------------- */

static void one_of_each(void **state)
{
    static const char *const script[] = {HELLO,
                                         MAIL,
                                         "C:RCPT TO:<team@example.org>",
                                         "S:250 ",
                                         ALICE,
                                         DATA,
                                         BODY,
                                         "=250 2.0.0 <team@example.org> Delivered",
                                         "=250 2.0.0 <alice@example.org> Delivered",
                                         BYE,
                                         NULL};

    (void)state;
    drop_talk_whole(&drop_lmtp, script, DROP_BY_LINE);
    expect_box("alice", "INBOX", TRACE("team@example.org") HELLO_MAIL);
    expect_box("bob", "INBOX", TRACE("team@example.org") HELLO_MAIL);
    struct mailstore_box alice = rig_box(drop_rig.worker.store, "alice", "INBOX");
    struct mailstore_box bob = rig_box(drop_rig.worker.store, "bob", "INBOX");
    assert_int_equal(rig_entry(drop_rig.worker.store, alice.id, 1).message,
                     rig_entry(drop_rig.worker.store, bob.id, 1).message);
}

static void folders(void **state)
{
    static const char *const script[] = {HELLO,
                                         MAIL,
                                         "C:RCPT TO:<alice+lists@example.org>",
                                         "S:250 ",
                                         "C:RCPT TO:<alice+nothing@example.org>",
                                         "S:250 ",
                                         DATA,
                                         BODY,
                                         "S:250 ",
                                         "S:250 ",
                                         BYE,
                                         NULL};

    (void)state;
    assert_int_equal(rig_create(drop_rig.worker.store, "alice", "Lists"), MAILSTORE_FINE);
    drop_talk_whole(&drop_lmtp, script, DROP_BY_LINE);
    expect_box("alice", "Lists", TRACE("alice+lists@example.org") HELLO_MAIL);
    expect_box("alice", "INBOX", TRACE("alice+nothing@example.org") HELLO_MAIL);
    RIG_EXPECT(rig_boxes(drop_rig.worker.store, "alice"), "INBOX Lists ");
}

/* ---- bounds ------------------------------------------------------------------------------- */

static void quota(void **state)
{
    static const char *const late[] = {HELLO,
                                       MAIL,
                                       ALICE,
                                       "C:RCPT TO:<bob@example.org>",
                                       "S:250 ",
                                       DATA,
                                       BODY,
                                       "=250 2.0.0 <alice@example.org> Delivered",
                                       "=250 2.0.0 <bob@example.org> Delivered",
                                       MAIL,
                                       ALICE,
                                       NULL};
    static const char *const late_end[] = {
        DATA, BODY, "=452 4.2.2 <alice@example.org> The mailbox is full", NULL};
    static const char *const early[] = {MAIL,
                                        "C:RCPT TO:<bob@example.org>",
                                        "=452 4.2.2 The mailbox is full",
                                        "C:RCPT TO:<team@example.org>",
                                        "=452 4.2.2 The mailbox is full",
                                        NULL};
    static const char *const permanent[] = {ALICE, "C:RCPT TO:<bob@example.org>",
                                            "=552 5.2.2 The mailbox is full", BYE, NULL};
    struct drop_talk t;

    (void)state;
    drop_talk_open(&t, &drop_lmtp);
    drop_talk_follow(&t, late, DROP_BY_LINE);
    mailstore_set_quota(drop_rig.worker.store, 0, 1);
    drop_talk_follow(&t, late_end, DROP_BY_LINE);
    drop_talk_follow(&t, early, DROP_BY_LINE);
    drop_rig.settings.quota_permanent = true;
    mailstore_set_quota(drop_rig.worker.store, 0, 2);
    rig_put_flagged(drop_rig.worker.store, "bob", "INBOX", "x", 0);
    drop_talk_follow(&t, permanent, DROP_BY_LINE);
    drop_talk_close(&t);
    TURN_UNTIL(drop_rig.loop, drop_rig.sessions == 0);
}

static void sizes(void **state)
{
    static const char *const before[] = {HELLO, MAIL, ALICE, DATA, NULL};
    static const char *const again[] = {MAIL, ALICE, DATA, NULL};
    static const char *const behind[] = {
        "=552 5.3.4 <alice@example.org> The message is larger than is taken here",
        MAIL,
        ALICE,
        DATA,
        BODY,
        "S:250 2.0.0",
        BYE,
        NULL};
    struct drop_talk t;
    struct buf text;

    (void)state;
    buf_init(&text, 0);
    for (unsigned i = 0; i < drop_rig.settings.message_size_max / 64; i++)
        buf_add_text(&text, "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcd\r\n");
    drop_talk_open(&t, &drop_lmtp);
    drop_talk_follow(&t, before, DROP_BY_LINE);
    drop_talk_send(&t, buf_span(&text), DROP_BY_LINE);
    drop_talk_send(&t, SPAN(".\r\n"), DROP_BY_LINE);
    drop_talk_expect(&t, "250 2.0.0", false);
    drop_talk_follow(&t, again, DROP_BY_LINE);
    drop_talk_send(&t, buf_span(&text), DROP_BY_LINE);
    drop_talk_send(&t, SPAN("x\r\n.\r\n"), DROP_BY_LINE);
    drop_talk_follow(&t, behind, DROP_BY_LINE);
    drop_talk_close(&t);
    TURN_UNTIL(drop_rig.loop, drop_rig.sessions == 0);
    buf_clear(&text);
    drop_rig_read("alice", "INBOX", &text);
    assert_int_equal(rig_box(drop_rig.worker.store, "alice", "INBOX").exists, 2);
    buf_fini(&text);
}

static void recipients(void **state)
{
    static const char *const script[] = {HELLO,         MAIL,
                                         ALICE,         "C:RCPT TO:<bob@example.org>",
                                         "S:250 ",      "C:RCPT TO:<carol@example.org>",
                                         "S:452 4.5.3", BYE,
                                         NULL};

    (void)state;
    drop_rig.settings.recipients_max = 2;
    drop_talk_whole(&drop_lmtp, script, DROP_BY_LINE);
}

/* A server hands over the mail of many: who is not there does not end its session. */
static void strangers(void **state)
{
    static const char *const before[] = {HELLO, MAIL, NULL};
    static const char *const stranger[] = {"C:RCPT TO:<x@example.org>", "S:550 5.1.1", NULL};
    static const char *const behind[] = {ALICE, DATA, BODY, "S:250 2.0.0", BYE, NULL};
    struct drop_talk t;

    (void)state;
    drop_talk_open(&t, &drop_lmtp);
    drop_talk_follow(&t, before, DROP_BY_LINE);
    for (unsigned i = 0; i < 2 * drop_rig.settings.errors_max; i++)
        drop_talk_follow(&t, stranger, DROP_BY_LINE);
    drop_talk_follow(&t, behind, DROP_BY_LINE);
    drop_talk_close(&t);
    TURN_UNTIL(drop_rig.loop, drop_rig.sessions == 0);
}

static void loops(void **state)
{
    static const char *const script[] = {
        HELLO,
        MAIL,
        ALICE,
        "C:RCPT TO:<bob@example.org>",
        "S:250 ",
        DATA,
        "C:Received: x\r\ndelivered-to: <ALICE@example.org>\r\n\r\nDelivered-To: "
        "bob@example.org\r\n.",
        "S:554 5.4.6 <alice@example.org>",
        "=250 2.0.0 <bob@example.org> Delivered",
        MAIL,
        ALICE,
        DATA,
        "C:Delivered-To: alice@example.org\r\n.",
        "S:554 5.4.6",
        MAIL,
        ALICE,
        DATA,
        "C:Received: 1\r\nReceived: 2\r\nReceived: 3\r\nReceived: 4\r\nDelivered-To: x\r\n"
        "Received: 6\r\n\r\n.",
        "=554 5.4.6 <alice@example.org> Too many hops: mail loop",
        BYE,
        NULL};

    (void)state;
    by_line_and_byte(script);
    assert_int_equal(rig_box(drop_rig.worker.store, "alice", "INBOX").exists, 0);
    assert_int_equal(rig_box(drop_rig.worker.store, "bob", "INBOX").exists, 2);
}

/* Nothing is promised that is not on the disk, and the next message is. */
static void disk_full(void **state)
{
    static const char *const before[] = {HELLO, MAIL, ALICE, DATA, NULL};
    static const char *const behind[] = {
        BODY, "=452 4.3.1 <alice@example.org> No room to store mail, try again later", NULL};
    static const char *const healed[] = {
        MAIL, ALICE, DATA, BODY, "=250 2.0.0 <alice@example.org> Delivered", BYE, NULL};
    struct drop_talk t;

    (void)state;
    drop_talk_open(&t, &drop_lmtp);
    drop_talk_follow(&t, before, DROP_BY_LINE);
    faults.write_most = 1;
    drop_talk_follow(&t, behind, DROP_BY_LINE);
    faults_heal();
    assert_int_equal(rig_box(drop_rig.worker.store, "alice", "INBOX").exists, 0);
    drop_talk_follow(&t, healed, DROP_BY_LINE);
    drop_talk_close(&t);
    TURN_UNTIL(drop_rig.loop, drop_rig.sessions == 0);
    expect_box("alice", "INBOX", TRACE("alice@example.org") HELLO_MAIL);
}

/* ---- ends --------------------------------------------------------------------------------- */

/* A message whose end has come is delivered, whether somebody waits for it or not. */
static void goes_on_alone(void **state)
{
    static const char *const script[] = {HELLO, MAIL, ALICE, DATA, BODY, "!close", NULL};

    (void)state;
    drop_talk_whole(&drop_lmtp, script, DROP_BY_LINE);
    expect_box("alice", "INBOX", TRACE("alice@example.org") HELLO_MAIL);
}

static void shut_all(void)
{
    for (struct list *l = drop_rig.worker.sessions.next; l != &drop_rig.worker.sessions;
         l = l->next) {
        struct drop_session *session = container_of(l, struct drop_session, link);
        session->shut(session);
    }
}

static void stops(void **state)
{
    static const char *const idle[] = {HELLO, MAIL, ALICE, NULL};
    static const char *const bye[] = {"S:421 4.3.2", "!eof", NULL};
    struct drop_talk t;

    (void)state;
    drop_talk_open(&t, &drop_lmtp);
    drop_talk_follow(&t, idle, DROP_BY_LINE);
    shut_all();
    drop_talk_follow(&t, bye, DROP_BY_LINE);
    drop_talk_close(&t);
    TURN_UNTIL(drop_rig.loop, drop_rig.sessions == 0);
}

static void times_out(void **state)
{
    static const char *const script[] = {"S:220 ", "=421 4.4.2 Timed out waiting for you", "!eof",
                                         NULL};

    (void)state;
    drop_rig.settings.lmtp_timeout = 1;
    drop_talk_whole(&drop_lmtp, script, DROP_BY_LINE);
}

/* ---- hops --------------------------------------------------------------------------------- */

static const struct {
    const char *text;
    unsigned count;
    const char *addresses;
    bool is_over;
} headers[] = {
    {"", 0, "", false},
    {"\r\nReceived: x\r\n", 0, "", true},
    {"Received: a\r\n\tDelivered-To: b\r\nReceivedX: c\r\nreceived: d\r\n\r\n", 2, "", true},
    {"Delivered-To: a@b\r\nDELIVERED-TO:<c@d>\r\nDelivered-To:\r\n\r\n", 3, "a@b c@d  ", true},
    {"Delivered-To: a@b", 1, "", false},
    {"x\r\ny\r\n\r\nDelivered-To: a@b\r\n", 0, "", true},
    {"a very long line that is no field at all\r\nReceived: x\r\n", 1, "", false},
    {"Received:", 0, "", false},
    {"\n\r\n", 0, "", true},
};

static void tells_hops(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(headers); i++) {
        struct span text = span_cstr(headers[i].text);
        for (size_t way = 0; way < split_ways(text.len); way++) {
            struct arena arena;
            struct hops hops;
            struct buf seen;

            arena_init(&arena);
            buf_init(&seen, 0);
            hops_init(&hops, &arena);
            bool is_over = false;
            for (size_t at = 0, len; at < text.len; at += len) {
                len = split_piece(way, text.len, at);
                is_over = hops_scan(&hops, span_of(text.ptr + at, len));
            }
            for (unsigned k = 0; k < hops.address_count; k++)
                buf_addf(&seen, "%.*s ", SPAN_ARG(hops.addresses[k]));
            CHECK(headers[i].text, hops.count == headers[i].count);
            CHECK(headers[i].text, is_over == headers[i].is_over);
            CHECK_SPAN(headers[i].text, buf_span(&seen), span_cstr(headers[i].addresses));
            buf_fini(&seen);
            arena_fini(&arena);
        }
    }
}

int main(void)
{
    log_set_level(LOG_ERROR);
#define RUN(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        RUN(delivers),      RUN(speaks),    RUN(pipelines), RUN(smuggles_nothing),
        RUN(one_of_each),   RUN(folders),   RUN(quota),     RUN(sizes),
        RUN(recipients),    RUN(strangers), RUN(loops),     RUN(disk_full),
        RUN(goes_on_alone), RUN(stops),     RUN(times_out), cmocka_unit_test(tells_hops),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
