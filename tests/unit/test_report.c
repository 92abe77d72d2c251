/* report: the bytes of a notification. The store is a stub that can lose its chunks. */
#include "proto/base32.h"
#include "report/report.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define NOW 1709633472000u /* 2024-03-05T10:11:12Z */

enum { HOUR = 3600000 };

/* ---- the store ------------------------------------------------------------------------------ */

static struct span stored;
static uint32_t first_bad_chunk;

struct err queue_read_body(struct queue *queue, uint64_t id, uint32_t first, uint32_t count,
                           struct buf *out)
{
    (void)queue;
    (void)id;
    for (uint32_t chunk = first; chunk < first + count; chunk++) {
        struct span rest = span_from(stored, (size_t)chunk * QUEUE_CHUNK);
        if (chunk >= first_bad_chunk)
            return err_make(ERR_CORRUPT, "body chunk");
        buf_add(out, span_head(rest, QUEUE_CHUNK));
    }
    return ERR_OK;
}

/* ---- one case ------------------------------------------------------------------------------- */

static char hostname[] = "mx.example.org";
static struct conf conf;
static struct queue_message *message;
static struct queue_recipient recipient;
static struct report_recipient reported;
static struct report_options options;
static struct queue_message *dsn;

static int setup(void **state)
{
    (void)state;
    conf = (struct conf){.hostname = hostname, .dsn_return_max = 1000000};
    message = queue_message_create();
    message->id = 0x123456789A;
    message->arrival = NOW - 5 * HOUR;
    message->reverse_path = SPAN("alice@example.com");
    message->trace = SPAN("Received: from a by b; now\r\n");
    message->message_id = SPAN("<m1@example.com>");
    message->subject = SPAN("Lunch");
    recipient = (struct queue_recipient){
        .address = SPAN("bob@example.net"),
        .last = STATUS(550, 5, 1, 1, "No such user here"),
    };
    recipient.last.by = SPAN("mail.example.net [192.0.2.1]:25");
    recipient.last.said = true;
    reported = (struct report_recipient){.recipient = &recipient, .action = REPORT_FAILED};
    options = (struct report_options){
        .conf = &conf,
        .id = 0x1234567ABC,
        .now = NOW,
        .message = message,
        .recipients = &reported,
        .recipient_count = 1,
        .retry_until = NOW + 115 * HOUR,
    };
    dsn = NULL;
    stored = SPAN_NONE;
    first_bad_chunk = UINT32_MAX;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    queue_message_unref(message);
    queue_message_unref(dsn);
    return 0;
}

static void body_is(struct span body)
{
    buf_add(&message->body, body);
    message->size = body.len;
    message->body_in_memory = true;
}

static void store_has(struct span body)
{
    stored = body;
    message->size = body.len;
    message->chunk_count = (uint32_t)((body.len + QUEUE_CHUNK - 1) / QUEUE_CHUNK);
}

static bool has(const char *text)
{
    struct span body = buf_span(&dsn->body);

    return memmem(body.ptr, body.len, text, strlen(text)) != NULL;
}

static void assert_has(const char *text)
{
    if (!has(text)) {
        print_message("%.*s", SPAN_ARG(buf_span(&dsn->body)));
        fail_msg("missing: %s", text);
    }
}

static void assert_has_not(const char *text)
{
    if (has(text)) {
        print_message("%.*s", SPAN_ARG(buf_span(&dsn->body)));
        fail_msg("should not be there: %s", text);
    }
}

/* CRLF alone ends lines, and none is longer than `max` (RFC 5322 2.1.1). */
static void assert_lines(size_t max)
{
    struct span body = buf_span(&dsn->body);
    size_t line = 0;

    for (size_t i = 0; i < body.len; i++) {
        assert_int_not_equal(body.ptr[i], 0);
        if (body.ptr[i] == '\r')
            assert_int_equal(body.ptr[i + 1], '\n');
        if (body.ptr[i] == '\n') {
            assert_int_equal(body.ptr[i - 1], '\r');
            assert_true(line - 1 <= max);
            line = 0;
        } else {
            line++;
        }
    }
    assert_int_equal(line, 0);
}

static void build(void)
{
    dsn = report_dsn(&options);
    assert_int_equal(dsn->size, buf_len(&dsn->body));
    assert_true(dsn->body_in_memory);
    assert_int_equal(dsn->reverse_path.len, 0);
    assert_int_equal(dsn->group_count, 0);
    assert_true(dsn->flags & QUEUE_DSN);
}

/* ---- tests ---------------------------------------------------------------------------------- */

static void test_header(void **state)
{
    static const char expected[] =
        "Date: Tue, 05 Mar 2024 10:11:12 +0000\r\n"
        "From: Mail Delivery System <MAILER-DAEMON@mx.example.org>\r\n"
        "To: <alice@example.com>\r\n"
        "Subject: Your message could not be delivered\r\n"
        "Message-ID: <0000028T5CYNW@mx.example.org>\r\n"
        "In-Reply-To: <m1@example.com>\r\n"
        "References: <m1@example.com>\r\n"
        "Auto-Submitted: auto-replied\r\n"
        "MIME-Version: 1.0\r\n"
        "Content-Type: multipart/report; report-type=delivery-status;\r\n"
        " boundary=\"=_0000028T5CYNW.0\"\r\n"
        "\r\n"
        "This is a delivery status notification in MIME format.\r\n"
        "\r\n"
        "--=_0000028T5CYNW.0\r\n"
        "Content-Type: text/plain; charset=us-ascii\r\n"
        "Content-Description: Notification\r\n"
        "\r\n"
        "This is the mail system at mx.example.org.\r\n";

    (void)state;
    body_is(SPAN("Subject: Lunch\r\n\r\nHello\r\n"));
    build();
    assert_int_equal(options.id, dsn->id);
    char text[ID_TEXT_SIZE];
    assert_string_equal(id_format(dsn->id, text), "0000028T5CYNW");
    assert_memory_equal(buf_span(&dsn->body).ptr, expected, sizeof expected - 1);
    assert_int_equal(dsn->flags, QUEUE_DSN);
    assert_int_equal(dsn->arrival, NOW);
    assert_lines(78);
}

static void test_failed_parts(void **state)
{
    (void)state;
    body_is(SPAN("Subject: Lunch\r\n\r\nHello\r\n"));
    build();
    assert_has("It was with us for 5 hours, and it will not be tried\r\nagain.\r\n");
    assert_has("<bob@example.net>\r\n"
               "    There is no mailbox of that name there.\r\n"
               "    mail.example.net [192.0.2.1]:25 said: 550 5.1.1 No such user here\r\n");
    assert_has("Content-Type: message/delivery-status\r\n"
               "Content-Description: Delivery report\r\n"
               "\r\n"
               "Reporting-MTA: dns; mx.example.org\r\n"
               "Arrival-Date: Tue, 05 Mar 2024 05:11:12 +0000\r\n"
               "\r\n"
               "Final-Recipient: rfc822; bob@example.net\r\n"
               "Action: failed\r\n"
               "Status: 5.1.1\r\n"
               "Remote-MTA: dns; mail.example.net\r\n"
               "Diagnostic-Code: smtp; 550 5.1.1 No such user here\r\n"
               "Last-Attempt-Date: Tue, 05 Mar 2024 10:11:12 +0000\r\n"
               "\r\n"
               "--=_0000028T5CYNW.0\r\n"
               "Content-Type: message/rfc822\r\n"
               "Content-Description: Undelivered message\r\n"
               "\r\n"
               "Received: from a by b; now\r\n"
               "Subject: Lunch\r\n\r\nHello\r\n"
               "\r\n--=_0000028T5CYNW.0--\r\n");
}

static void test_delayed(void **state)
{
    (void)state;
    reported.action = REPORT_DELAYED;
    recipient.last = STATUS(451, 4, 4, 1, "connection refused");
    body_is(SPAN("Subject: Lunch\r\n\r\nHello\r\n"));
    build();
    assert_has("Subject: Your message is delayed\r\n");
    assert_has("Action: delayed\r\nStatus: 4.4.1\r\n"
               "Diagnostic-Code: x-smarthop; 451 4.4.1 connection refused\r\n");
    assert_has("Will-Retry-Until: Sun, 10 Mar 2024 05:11:12 +0000\r\n");
    assert_has("In detail: connection refused (4.4.1)\r\n");
    assert_has("tried for\r\nanother 4 days, until Sun, 10 Mar 2024 05:11:12 +0000.\r\n");
    assert_has_not("Remote-MTA");
    assert_has("Content-Type: text/rfc822-headers\r\n");
    assert_has("\r\nSubject: Lunch\r\n\r\n--=_");
    assert_has_not("Hello");
}

static void test_given_up(void **state)
{
    (void)state;
    recipient.last = STATUS(451, 4, 4, 1, "connection refused");
    reported.final_text = SPAN("not delivered within 5 days");
    body_is(SPAN("\r\nHello\r\n"));
    build();
    assert_has("    Given up: not delivered within 5 days\r\n"
               "    What stood in the way at the last try:\r\n"
               "    The server did not answer.\r\n");
    assert_has("Action: failed\r\nStatus: 4.4.1\r\n");
    assert_has_not("Last-Attempt-Date");
}

static void test_never_tried(void **state)
{
    (void)state;
    recipient.last = (struct status){0};
    reported.final_text = SPAN("returned by the operator");
    body_is(SPAN("\r\nHello\r\n"));
    build();
    assert_has("    Given up: returned by the operator\r\n\r\n");
    assert_has("Action: failed\r\nStatus: 5.0.0\r\n");
    assert_has_not("Diagnostic-Code");
}

static void test_several_recipients(void **state)
{
    static struct queue_recipient second;
    struct report_recipient both[2];

    (void)state;
    second = (struct queue_recipient){.address = SPAN("carol@example.net"),
                                      .last = STATUS(552, 5, 2, 2, "Quota")};
    second.last.by = SPAN("[192.0.2.7]:25");
    second.last.said = true;
    both[0] = reported;
    both[1] = (struct report_recipient){.recipient = &second};
    options.recipients = both;
    options.recipient_count = 2;
    body_is(SPAN("\r\n"));
    build();
    assert_has("+0000\r\n\r\nFinal-Recipient: rfc822; carol@example.net\r\n");
    assert_has("Remote-MTA: dns; [192.0.2.7]\r\n");
    assert_has("    That mailbox is full.\r\n");
}

static void test_relayed(void **state)
{
    (void)state;
    reported.action = REPORT_RELAYED;
    recipient.last.code = 250;
    recipient.last.enhanced = (struct enhanced_code){2, 1, 5};
    recipient.last.text = SPAN("queued as 7");
    message->ret = ESMTP_RET_FULL;
    body_is(SPAN("Subject: Lunch\r\n\r\nHello\r\n"));
    build();
    assert_has("Subject: Your message has been passed on\r\n");
    assert_has("<bob@example.net>\r\n"
               "    The server has taken it.\r\n"
               "    mail.example.net [192.0.2.1]:25 said: 250 2.1.5 queued as 7\r\n");
    assert_has("Action: relayed\r\nStatus: 2.1.5\r\nRemote-MTA: dns; mail.example.net\r\n"
               "Diagnostic-Code: smtp; 250 2.1.5 queued as 7\r\n");
    assert_has_not("Will-Retry-Until");
    assert_has("Content-Type: text/rfc822-headers\r\n");
    assert_has_not("Hello");
}

static void test_delivered(void **state)
{
    (void)state;
    reported.action = REPORT_DELIVERED;
    recipient.last = STATUS(250, 2, 0, 0, "Delivered");
    body_is(SPAN("\r\nHello\r\n"));
    build();
    assert_has("Subject: Your message has been delivered\r\n");
    assert_has(" was delivered to the mailboxes\r\nof the recipients named below.");
    assert_has("Action: delivered\r\nStatus: 2.0.0\r\n");
}

/* RFC 3464 2.3: each recipient has its own action; people read them apart. */
static void test_mixed_actions(void **state)
{
    static struct queue_recipient second;
    struct report_recipient both[2];

    (void)state;
    second = (struct queue_recipient){.address = SPAN("carol@example.net"),
                                      .last = STATUS(250, 2, 0, 0, "taken")};
    both[0] = (struct report_recipient){.recipient = &second, .action = REPORT_RELAYED};
    both[1] = reported;
    options.recipients = both;
    options.recipient_count = 2;
    body_is(SPAN("\r\nHello\r\n"));
    build();
    assert_has("Subject: Your message could not be delivered to some recipients\r\n");
    assert_has("Final-Recipient: rfc822; carol@example.net\r\nAction: relayed\r\n"
               "Status: 2.0.0\r\n");
    assert_has("Final-Recipient: rfc822; bob@example.net\r\nAction: failed\r\nStatus: 5.1.1\r\n");
    assert_has("said: 550 5.1.1 No such user here\r\n\r\nYour message of ");
    assert_has("Hello");
}

/* RFC 3464 2.2.1, 2.3.1: decoded; nothing where the sender gave nothing. */
static void test_sender_parameters(void **state)
{
    (void)state;
    body_is(SPAN("\r\n"));
    build();
    assert_has_not("Original-");
    queue_message_unref(dsn);
    message->envelope_id = SPAN("QQ 314+159");
    recipient.original = SPAN("rfc822;Bob+2Blist@example.org");
    build();
    assert_has("\r\n\r\nOriginal-Envelope-Id: QQ 314+159\r\nReporting-MTA: dns; ");
    assert_has("\r\n\r\nOriginal-Recipient: rfc822; Bob+list@example.org\r\n"
               "Final-Recipient: rfc822; bob@example.net\r\n");
    queue_message_unref(dsn);
    recipient.original = SPAN("utf-8;\xce\xb2@example.org");
    build();
    assert_has("Content-Type: message/global-delivery-status\r\n");
    assert_has("Original-Recipient: utf-8; \xce\xb2@example.org\r\n");
}

static void test_what_is_returned(void **state)
{
    static const struct {
        enum esmtp_ret ret;
        bool headers_only, small, whole;
    } cases[] = {
        {ESMTP_RET_NONE, false, true, true},     {ESMTP_RET_NONE, true, true, false},
        {ESMTP_RET_FULL, true, true, true},      {ESMTP_RET_FULL, false, false, false},
        {ESMTP_RET_HEADERS, false, true, false},
    };

    (void)state;
    body_is(SPAN("Subject: x\r\n\r\nHello\r\n"));
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        message->ret = cases[i].ret;
        conf.dsn_return_headers_only = cases[i].headers_only;
        conf.dsn_return_max = cases[i].small ? 1000 : 10;
        queue_message_unref(dsn);
        build();
        assert_int_equal(has("Hello"), cases[i].whole);
        assert_true(has("Subject: x"));
    }
}

/* Content that may not leave as a notification does, whatever RET says. */
static void test_what_is_never_returned(void **state)
{
    static const unsigned flags[] = {QUEUE_BODY_BINARY, QUEUE_REQUIRE_TLS};

    (void)state;
    message->ret = ESMTP_RET_FULL;
    body_is(SPAN("Subject: x\r\n\r\nHello\n\0.\r\n"));
    for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++) {
        message->flags = flags[i];
        queue_message_unref(dsn);
        build();
        assert_has("Subject: x\r\n\r\n--=_");
        assert_has_not("Hello");
        assert_int_equal(dsn->flags, QUEUE_DSN);
    }
}

static void test_times_asked_for(void **state)
{
    (void)state;
    body_is(SPAN("\r\nHello\r\n"));
    build();
    assert_has_not("Deliver-By-Date");
    assert_has_not("Future-Release-Request");
    queue_message_unref(dsn);
    message->release = NOW - HOUR;
    message->by = ESMTP_BY_RETURN;
    message->deliver_by = NOW;
    reported.is_late = true;
    reported.final_text = SPAN("too late");
    build();
    assert_has("\r\nFuture-Release-Request: until;2024-03-05T09:11:12Z\r\n"
               "Deliver-By-Date: Tue, 05 Mar 2024 10:11:12 +0000\r\n\r\n");
    assert_has("    Given up: too late\r\n");
    assert_has("Action: failed\r\nStatus: 5.4.7\r\n"); /* not 5.1.1, which stood in the way */
    assert_has("Diagnostic-Code: smtp; 550 5.1.1 No such user here\r\n");
}

static void test_late_but_tried_on(void **state)
{
    (void)state;
    message->by = ESMTP_BY_NOTIFY;
    message->deliver_by = NOW - 1000;
    reported.action = REPORT_DELAYED;
    reported.is_late = true;
    recipient.last = (struct status){0};
    body_is(SPAN("\r\nHello\r\n"));
    build();
    assert_has("    The time by which it was to be delivered has passed.\r\n");
    assert_has("Action: delayed\r\nStatus: 4.4.7\r\nWill-Retry-Until: ");
}

static void test_each_step_is_told(void **state)
{
    (void)state;
    message->flags = QUEUE_BY_TRACE;
    message->by = ESMTP_BY_NOTIFY;
    message->deliver_by = NOW + HOUR;
    reported.action = REPORT_RELAYED;
    body_is(SPAN("\r\nHello\r\n"));
    build();
    assert_has("You asked to be told of each such step.");
    assert_has("Action: relayed\r\n");
}

/* A peer's reply must not become header fields, parts or control sequences. */
static void test_hostile_texts(void **state)
{
    (void)state;
    recipient.last.text = SPAN("no\r\nFinal-Recipient: rfc822; evil@example.org\r\n"
                               "--=_0000028T5CYNW.0\r\n\x1b[2J\xff\0.");
    recipient.last.by = SPAN("h\r\nX-Evil: yes [192.0.2.1]:25");
    recipient.last.said = true;
    message->message_id = SPAN("<a@b>\r\nBcc: <evil@example.org>");
    message->subject = SPAN("a\r\nb\x01");
    body_is(SPAN("\r\nHello\r\n"));
    build();
    assert_has("Remote-MTA: dns; h\r\n");
    assert_has("Diagnostic-Code: smtp; 550 5.1.1 no  Final-Recipient: rfc822; evil@example.org\r\n"
               "  --=_0000028T5CYNW.0   [2J? .\r\n");
    assert_has("Its subject was: a  b\r\n");
    assert_has_not("\r\nX-Evil");
    assert_has_not("Bcc");
    assert_has_not("In-Reply-To");
    assert_has("boundary=\"=_0000028T5CYNW.1\"");
    assert_lines(78);
}

static void test_long_words(void **state)
{
    static char word[5000];

    (void)state;
    memset(word, 'x', sizeof word);
    recipient.last.text = span_of(word, sizeof word);
    body_is(SPAN("\r\nHello\r\n"));
    build();
    assert_lines(998);
}

static void test_boundary_in_content(void **state)
{
    (void)state;
    body_is(SPAN("\r\n--=_0000028T5CYNW.0\r\n--=_0000028T5CYNW.1--\r\n"));
    build();
    assert_has("boundary=\"=_0000028T5CYNW.2\"");
    assert_has("\r\n--=_0000028T5CYNW.2--\r\n");
}

static void test_8bit(void **state)
{
    (void)state;
    body_is(SPAN("Subject: x\r\n\r\nGr\xc3\xbc\xc3\x9f"
                 "e\r\n"));
    build();
    assert_int_equal(dsn->flags, QUEUE_DSN | QUEUE_BODY_8BIT);
    assert_has("boundary=\"=_0000028T5CYNW.0\"\r\nContent-Transfer-Encoding: 8bit\r\n\r\n");
    assert_has("Content-Description: Undelivered message\r\n"
               "Content-Transfer-Encoding: 8bit\r\n\r\nReceived:");
    assert_has("Content-Type: message/delivery-status\r\n"
               "Content-Description: Delivery report\r\n\r\n");
    assert_has("Gr\xc3\xbc\xc3\x9f"
               "e\r\n");
}

/* 8-bit replies: people see UTF-8, the machine's part stays ASCII (RFC 3464 2.1). */
static void test_8bit_reply(void **state)
{
    (void)state;
    recipient.last.text = SPAN("gel\xc3\xb6scht");
    body_is(SPAN("\r\nHello\r\n"));
    build();
    assert_int_equal(dsn->flags, QUEUE_DSN | QUEUE_BODY_8BIT);
    assert_has("Content-Type: text/plain; charset=utf-8\r\n");
    assert_has("said: 550 5.1.1 gel\xc3\xb6scht\r\n");
    assert_has("Diagnostic-Code: smtp; 550 5.1.1 gel??scht\r\n");
}

static void test_smtputf8(void **state)
{
    (void)state;
    message->flags = QUEUE_SMTPUTF8;
    message->reverse_path = SPAN("\xce\xb1@example.com");
    recipient.address = SPAN("\xce\xb2@example.net");
    body_is(SPAN("Subject: \xce\xb3\r\n\r\nHello\r\n"));
    build();
    assert_int_equal(dsn->flags, QUEUE_DSN | QUEUE_BODY_8BIT | QUEUE_SMTPUTF8);
    assert_has("To: <\xce\xb1@example.com>\r\n");
    assert_has("Content-Type: message/global-delivery-status\r\n");
    assert_has("Final-Recipient: utf-8; \xce\xb2@example.net\r\n");
    assert_has("Content-Type: message/global\r\n");
    queue_message_unref(dsn);
    conf.dsn_return_headers_only = true;
    build();
    assert_has("Content-Type: message/global-headers\r\n");
}

static void test_too_large_to_return(void **state)
{
    (void)state;
    body_is(SPAN("Subject: Lunch\r\n\r\nHello\r\n"));
    conf.dsn_return_max = message->trace.len + message->size;
    build();
    assert_has("Hello");
    queue_message_unref(dsn);
    conf.dsn_return_max--;
    build();
    assert_has_not("Hello");
    assert_has("Content-Type: text/rfc822-headers\r\nContent-Description: Header of the message\r\n"
               "\r\nReceived: from a by b; now\r\nSubject: Lunch\r\n\r\n--=_");
    assert_has("Its header is attached.\r\n");
}

static char long_body[20 * QUEUE_CHUNK];

/* A header of `fields` lines of 64 bytes, then text to the end. */
static struct span make_body(size_t fields)
{
    memset(long_body, 'b', sizeof long_body);
    for (size_t i = 0; i < fields; i++) {
        memset(long_body + i * 64, 'h', 64);
        memcpy(long_body + i * 64, "X:", 2);
        memcpy(long_body + i * 64 + 62, "\r\n", 2);
    }
    memcpy(long_body + fields * 64, "\r\n", 2);
    memcpy(long_body + sizeof long_body - 2, "\r\n", 2);
    return span_of(long_body, sizeof long_body);
}

static void test_from_store(void **state)
{
    (void)state;
    struct span body = make_body(10);
    store_has(body);
    build();
    const char *at = memmem(buf_span(&dsn->body).ptr, dsn->size, body.ptr, body.len);
    assert_non_null(at);
    assert_memory_equal(at + body.len, "\r\n--=_", 6);
}

static void test_header_from_store(void **state)
{
    (void)state;
    conf.dsn_return_headers_only = true;
    store_has(make_body(100)); /* ends in the second chunk */
    build();
    assert_has_not("bb");
    assert_has("hh\r\n\r\n--=_");
    assert_true(dsn->size > 6400 && dsn->size < 8400);
}

static void test_header_too_long(void **state)
{
    (void)state;
    conf.dsn_return_headers_only = true;
    store_has(make_body(1200));
    build();
    assert_has("The beginning of its header is attached.\r\n");
    assert_has("hh\r\n\r\n--=_");
    assert_true(dsn->size > 65000 && dsn->size < 68000);
    assert_lines(78);
}

static void test_unreadable(void **state)
{
    (void)state;
    first_bad_chunk = 1;
    store_has(make_body(10));
    build();
    assert_has("The message could not be read back in full;");
    assert_has("Content-Type: text/rfc822-headers\r\n");
    assert_has("hh\r\n\r\n--=_");
    queue_message_unref(dsn);
    first_bad_chunk = 0;
    build();
    assert_has("Received: from a by b; now\r\n\r\n--=_");
    queue_message_unref(dsn);
    first_bad_chunk = 1;
    store_has(make_body(100)); /* the header goes on behind what is left */
    build();
    assert_has("hh\r\n\r\n--=_");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_header, setup, teardown),
        cmocka_unit_test_setup_teardown(test_failed_parts, setup, teardown),
        cmocka_unit_test_setup_teardown(test_delayed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_given_up, setup, teardown),
        cmocka_unit_test_setup_teardown(test_never_tried, setup, teardown),
        cmocka_unit_test_setup_teardown(test_several_recipients, setup, teardown),
        cmocka_unit_test_setup_teardown(test_relayed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_delivered, setup, teardown),
        cmocka_unit_test_setup_teardown(test_mixed_actions, setup, teardown),
        cmocka_unit_test_setup_teardown(test_sender_parameters, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_is_returned, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_is_never_returned, setup, teardown),
        cmocka_unit_test_setup_teardown(test_times_asked_for, setup, teardown),
        cmocka_unit_test_setup_teardown(test_late_but_tried_on, setup, teardown),
        cmocka_unit_test_setup_teardown(test_each_step_is_told, setup, teardown),
        cmocka_unit_test_setup_teardown(test_hostile_texts, setup, teardown),
        cmocka_unit_test_setup_teardown(test_long_words, setup, teardown),
        cmocka_unit_test_setup_teardown(test_boundary_in_content, setup, teardown),
        cmocka_unit_test_setup_teardown(test_8bit, setup, teardown),
        cmocka_unit_test_setup_teardown(test_8bit_reply, setup, teardown),
        cmocka_unit_test_setup_teardown(test_smtputf8, setup, teardown),
        cmocka_unit_test_setup_teardown(test_too_large_to_return, setup, teardown),
        cmocka_unit_test_setup_teardown(test_from_store, setup, teardown),
        cmocka_unit_test_setup_teardown(test_header_from_store, setup, teardown),
        cmocka_unit_test_setup_teardown(test_header_too_long, setup, teardown),
        cmocka_unit_test_setup_teardown(test_unreadable, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
