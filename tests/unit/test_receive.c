/* receive/: a whole server over real connections: what it keeps, and what it does in trouble. */
#include "support/receive_rig.h"
#include "support/receive_script.h"
#include "support/tls_for_tests.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

#define FOLLOW(client, ...) talk_follow((client), (const char *const[]){__VA_ARGS__, NULL})

/* One client, connected. */
static void open_rig(struct receive_rig *rig, struct talk *client, const char *conf)
{
    receive_rig_open(rig, conf, NULL, CONF_TLS_STARTTLS);
    receive_rig_connect(rig, client);
}

static void close_rig(struct receive_rig *rig, struct talk *client)
{
    talk_close(client);
    receive_rig_close(rig);
}

/* ---- what is accepted --------------------------------------------------------------------- */

static void test_what_is_kept(void **state)
{
    struct receive_rig rig;
    struct talk client;

    (void)state;
    open_rig(&rig, &client, "route \"held.test\" { hold = \"Wait\" }\n");
    FOLLOW(&client, HELLO, "C:MAIL FROM:<A@Sender.test> BODY=8BITMIME", "S:250 ", RCPT,
           "C:RCPT TO:<c@other.test>", "S:250 ", "C:RCPT TO:<d@RCPT.test>", "S:250 ",
           "C:RCPT TO:<e@held.test>", "S:250 ", "C:RCPT TO:<f@[192.0.2.7]>", "S:250 ", DATA,
           "R:Message-ID: <1@x>\r\nSubject: one\r\n two\r\nFrom: A\r\n\r\n..x\r\n.\r\n", QUEUED);
    assert_int_equal(rig.accepted_count, 1);
    const struct queue_message *m = rig.accepted[0];
    assert_true(span_equal(m->reverse_path, SPAN("A@Sender.test")));
    assert_true(span_equal_nocase(m->tenant, SPAN("sender.test")));
    assert_true(span_equal(m->client, SPAN("[127.0.0.1]")));
    assert_true(span_equal(m->hello, SPAN("client.test")));
    assert_true(span_equal(m->message_id, SPAN("<1@x>")));
    assert_true(span_equal(m->from, SPAN("A")));
    assert_int_equal(m->flags, QUEUE_BODY_8BIT);
    assert_true(m->body_in_memory);
    assert_true(span_ends_nocase(buf_span(&m->body), SPAN("From: A\r\n\r\n.x\r\n")));
    assert_int_equal(m->size, buf_len(&m->body));
    assert_int_equal(m->group_count, 4);
    assert_int_equal(m->groups[0].recipient_count, 2);
    assert_true(span_equal(m->groups[0].recipients[1].address, SPAN("d@RCPT.test")));
    assert_int_equal(m->groups[0].recipients[1].index, 2);
    assert_int_equal(m->groups[2].state, QUEUE_GROUP_HELD);
    assert_int_equal(m->groups[2].recipients[0].last.code, 450);
    assert_true(span_equal(m->groups[3].next_hop, SPAN("hosts:[192.0.2.7]:25;tls=opportunistic")));
    close_rig(&rig, &client);
}

/* RFC 3461: with each recipient in whatever group, for as long as the message lives. */
static void test_dsn_is_kept(void **state)
{
    struct receive_rig rig;
    struct talk client;

    (void)state;
    open_rig(&rig, &client, "");
    FOLLOW(&client, HELLO, "C:MAIL FROM:<a@sender.test> RET=FULL ENVID=QQ+2B1", "S:250 ",
           "C:RCPT TO:<b@rcpt.test> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;B+2B1@x.test", "S:250 ",
           "C:RCPT TO:<c@other.test> NOTIFY=NEVER", "S:250 ", RCPT,
           "C:RCPT TO:<d@rcpt.test> ORCPT=rfc822;d", "S:250 ", DATA, "R:" BODY, END, QUEUED);
    const struct queue_message *m = rig.accepted[0];
    assert_int_equal(m->ret, ESMTP_RET_FULL);
    assert_true(span_equal(m->envelope_id, SPAN("QQ+1")));
    assert_int_equal(m->group_count, 2);
    const struct queue_recipient *first = m->groups[0].recipients;
    assert_int_equal(first[0].notify, ESMTP_NOTIFY_SUCCESS | ESMTP_NOTIFY_FAILURE);
    assert_true(span_equal(first[0].original, SPAN("rfc822;B+2B1@x.test")));
    assert_int_equal(first[1].notify, 0);
    assert_int_equal(first[1].original.len, 0);
    assert_true(span_equal(first[2].original, SPAN("rfc822;d")));
    assert_int_equal(m->groups[1].recipients[0].notify, ESMTP_NOTIFY_NEVER);
    close_rig(&rig, &client);
}

static void test_the_trace(void **state)
{
    struct receive_rig rig;
    struct talk client;

    (void)state;
    open_rig(&rig, &client, "");
    FOLLOW(&client, ENVELOPE, "R:" BODY, END, QUEUED, MAIL, RCPT, RCPT, DATA, "R:" BODY, END,
           QUEUED);
    struct span trace = rig.accepted[0]->trace;
    assert_true(span_starts_nocase(trace, SPAN("Received: from client.test ([127.0.0.1])\r\n")));
    assert_true(span_ends_nocase(trace, SPAN(" +0000\r\n")));
    assert_non_null(memmem(trace.ptr, trace.len, "by mx.test with ESMTP id ", 25));
    assert_non_null(memmem(trace.ptr, trace.len, "\r\n\tfor <b@rcpt.test>;", 21));
    trace = rig.accepted[1]->trace; /* several recipients are not told of each other */
    assert_null(memmem(trace.ptr, trace.len, "for <", 5));
    close_rig(&rig, &client);
}

static void test_more_recipients_than_a_group_holds(void **state)
{
    struct receive_rig rig;
    struct talk client;
    struct buf lines;

    (void)state;
    buf_init(&lines, 0);
    open_rig(&rig, &client, "recipients_max = 250\n");
    FOLLOW(&client, HELLO, MAIL);
    for (int i = 0; i < 252; i++)
        buf_addf(&lines, "RCPT TO:<r%d@rcpt.test>\r\n", i);
    talk_send(&client, buf_span(&lines));
    for (int i = 0; i < 252; i++)
        talk_expect(&client, i < 250 ? "250 2.1.5" : "452 4.5.3");
    FOLLOW(&client, DATA, "R:" BODY, END, QUEUED);
    assert_int_equal(rig.accepted[0]->group_count, 3);
    assert_int_equal(rig.accepted[0]->groups[0].recipient_count, QUEUE_GROUP_MAX);
    assert_int_equal(rig.accepted[0]->groups[2].recipient_count, 50);
    buf_fini(&lines);
    close_rig(&rig, &client);
}

/* Bytes of a message with 100 recipients, behind which a client tried some more. */
static size_t bytes_behind_refused(unsigned refused)
{
    struct receive_rig rig;
    struct talk client;
    struct buf lines;

    buf_init(&lines, 0);
    open_rig(&rig, &client, "recipients_max = 100\n");
    FOLLOW(&client, HELLO, MAIL);
    for (unsigned i = 0; i < 100 + refused; i++)
        buf_addf(&lines, "RCPT TO:<r%u@rcpt.test> ORCPT=rfc822;%0200u@rcpt.test\r\n", i, i);
    talk_send(&client, buf_span(&lines));
    for (unsigned i = 0; i < 100 + refused; i++)
        talk_expect(&client, i < 100 ? "250 2.1.5" : "452 4.5.3");
    FOLLOW(&client, DATA, "R:" BODY, END, QUEUED);
    size_t bytes = rig.accepted[0]->arena.allocated;
    buf_fini(&lines);
    close_rig(&rig, &client);
    return bytes;
}

static void test_refused_recipients_leave_nothing(void **state)
{
    (void)state;
    assert_int_equal(bytes_behind_refused(500), bytes_behind_refused(0));
}

/* ---- bodies beyond memory ----------------------------------------------------------------- */

static void make_body(struct buf *body, size_t len)
{
    buf_init(body, 0);
    buf_add(body, SPAN("Subject: much\r\n\r\n"));
    for (unsigned i = 0; buf_len(body) < len; i++)
        buf_addf(body, "%08u 0123456789 abcdefghijklmnopqrstuvwxyz\r\n", i);
}

static void test_a_large_body_goes_to_the_store(void **state)
{
    static const size_t sizes[] = {4000, 4096, 8144, 8192, 100000, 2000000};

    (void)state;
    for (size_t i = 0; i < COUNT(sizes); i++) {
        struct receive_rig rig;
        struct talk client;
        struct buf body, stored;
        make_body(&body, sizes[i]);
        buf_init(&stored, 0);
        open_rig(&rig, &client, "memory_body_max = 4KiB\n");
        FOLLOW(&client, ENVELOPE);
        talk_send(&client, buf_span(&body));
        FOLLOW(&client, END, QUEUED);
        const struct queue_message *m = rig.accepted[0];
        assert_int_equal(m->size, buf_len(&body));
        assert_false(err_is(queue_read_body(rig.queue, m->id, 0, UINT32_MAX, &stored)));
        assert_true(span_equal(buf_span(&stored), buf_span(&body)));
        buf_fini(&body);
        buf_fini(&stored);
        close_rig(&rig, &client);
    }
}

static void send_large(struct talk *client)
{
    struct buf body;

    make_body(&body, 300000);
    talk_send(client, buf_span(&body));
    buf_fini(&body);
}

/* Whatever ends a staged message, nothing of it stays in the store. */
static void test_staged_pieces_do_not_stay(void **state)
{
    static const char conf[] = "memory_body_max = 4KiB\nmessage_size_max = 200KiB\n";
    static const char roomy[] = "memory_body_max = 4KiB\nroute \"*\" { discard = yes }\n";
    struct receive_rig rig;
    struct talk client;

    (void)state;
    open_rig(&rig, &client, conf);
    FOLLOW(&client, ENVELOPE);
    send_large(&client);
    FOLLOW(&client, END, "S:552 5.3.4");
    TURN_UNTIL(rig.loop, queue_memory_rows(rig.queue) == 0);
    close_rig(&rig, &client);
    open_rig(&rig, &client, roomy);
    FOLLOW(&client, ENVELOPE);
    send_large(&client);
    FOLLOW(&client, END, QUEUED);
    TURN_UNTIL(rig.loop, queue_memory_rows(rig.queue) == 0);
    FOLLOW(&client, MAIL, RCPT, DATA);
    send_large(&client);
    TURN_UNTIL(rig.loop, queue_memory_rows(rig.queue) == 1);
    talk_close(&client);
    TURN_UNTIL(rig.loop, queue_memory_rows(rig.queue) == 0);
    receive_rig_close(&rig);
}

/* ---- a store in trouble ------------------------------------------------------------------- */

static void test_a_store_that_refuses(void **state)
{
    struct receive_rig rig;
    struct talk client;

    (void)state;
    open_rig(&rig, &client, "memory_body_max = 4KiB\n");
    FOLLOW(&client, HELLO);
    queue_memory_set_low(rig.queue, true);
    FOLLOW(&client, "C:MAIL FROM:<>", "S:452 4.3.1");
    queue_memory_set_low(rig.queue, false);
    FOLLOW(&client, MAIL, RCPT, DATA);
    queue_memory_set_low(rig.queue, true);
    FOLLOW(&client, "R:" BODY, END, "S:452 4.3.1");
    queue_memory_set_low(rig.queue, false);
    FOLLOW(&client, MAIL, RCPT, DATA, "R:" BODY);
    queue_memory_fail_next(rig.queue, err_make(ERR_STORE, "test"));
    FOLLOW(&client, END, "S:451 4.3.0", MAIL, RCPT, DATA);
    queue_memory_fail_next(rig.queue, err_make(ERR_NO_SPACE, "test")); /* of the first piece */
    send_large(&client);
    FOLLOW(&client, END, "S:452 4.3.1");
    TURN_UNTIL(rig.loop, queue_memory_rows(rig.queue) == 0);
    FOLLOW(&client, MAIL, RCPT, DATA, "R:" BODY, END, QUEUED, BYE);
    assert_int_equal(rig.accepted_count, 1);
    close_rig(&rig, &client);
}

/* ---- time --------------------------------------------------------------------------------- */

static void test_each_command_has_its_own_time(void **state)
{
    struct receive_rig rig;
    struct talk client;

    (void)state;
    open_rig(&rig, &client, "command_timeout = 150ms\n");
    FOLLOW(&client, HELLO);
    for (int i = 0; i < 4; i++) {
        turn_for(rig.loop, 60);
        FOLLOW(&client, "C:NOOP", "S:250 ");
    }
    FOLLOW(&client, "R:NOO"); /* a piece of one is none */
    FOLLOW(&client, "S:421 4.4.2", "!eof");
    close_rig(&rig, &client);
}

static void test_dripping_does_not_last_for_ever(void **state)
{
    struct receive_rig rig;
    struct talk client;

    (void)state;
    open_rig(&rig, &client, "session_timeout = 50ms\ndata_timeout = 300ms\n");
    FOLLOW(&client, ENVELOPE);
    for (int i = 0; i < 100 && buf_len(&client.in) == 0; i++) {
        FOLLOW(&client, "R:x");
        turn_for(rig.loop, 10);
        talk_pull(&client);
    }
    FOLLOW(&client, "S:421 4.4.2 This session has lasted too long", "!eof");
    close_rig(&rig, &client);
}

/* A client that writes without reading is not read from for ever, and gets every reply once it
 * reads. */
static void test_a_client_that_does_not_read(void **state)
{
    enum { COMMANDS = 300000 };
    struct receive_rig rig;
    struct talk client;
    struct buf commands;
    struct span rest;
    unsigned replies = 0;

    (void)state;
    buf_init(&commands, 0);
    for (int i = 0; i < COMMANDS; i++)
        buf_add(&commands, SPAN("NOOP\r\n"));
    buf_add(&commands, SPAN("QUIT\r\n"));
    open_rig(&rig, &client, "commands_without_mail_max = 1000000\n");
    FOLLOW(&client, HELLO);
    rest = buf_span(&commands);
    for (int i = 0; i < 200; i++) {
        if (rest.len > 0)
            talk_push(&client, &rest);
        turn_once(rig.loop);
    }
    TURN_UNTIL(rig.loop,
               talk_pull(&client) && (rest.len == 0 || talk_push(&client, &rest)) && client.eof);
    for (struct span in = buf_span(&client.in); in.len > 0; replies++)
        span_split(in, '\n', &in);
    assert_int_equal(replies, COMMANDS + 1);
    buf_fini(&commands);
    close_rig(&rig, &client);
}

/* ---- limits ------------------------------------------------------------------------------- */

static void test_limits_of_sessions(void **state)
{
    static const struct {
        const char *conf, *reply;
    } cases[] = {
        {"sessions_max = 2\n", "S:421 4.3.2"},
        {"sessions_per_client = 2\nlimit_exempt_networks = \"192.0.2.0/24\"\n", "S:421 4.7.0"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct receive_rig rig;
        struct talk clients[3];
        receive_rig_open(&rig, cases[i].conf, NULL, CONF_TLS_NONE);
        for (int k = 0; k < 3; k++) {
            receive_rig_connect(&rig, &clients[k]);
            FOLLOW(&clients[k], k < 2 ? "S:220 " : cases[i].reply);
        }
        FOLLOW(&clients[2], "!eof", "!close");
        FOLLOW(&clients[0], BYE, "!close");
        TURN_UNTIL(rig.loop, receive_limits_sessions(rig.limits) == 1);
        receive_rig_connect(&rig, &clients[0]);
        FOLLOW(&clients[0], "S:220 ", "!close");
        close_rig(&rig, &clients[1]);
    }
}

static void test_a_new_configuration(void **state)
{
    struct receive_rig rig;
    struct talk before, after;

    (void)state;
    open_rig(&rig, &before, "message_size_max = 1MiB\n");
    FOLLOW(&before, HELLO);
    struct conf *conf = conf_from_text("message_size_max = 2KiB\n");
    receive_server_configure(rig.server, conf, NULL);
    conf_unref(conf);
    receive_rig_connect(&rig, &after);
    FOLLOW(&before, "C:MAIL FROM:<> SIZE=10000", "S:250 ");
    FOLLOW(&after, HELLO, "C:MAIL FROM:<> SIZE=10000", "S:552 ");
    talk_close(&before);
    close_rig(&rig, &after);
}

/* ---- stopping ----------------------------------------------------------------------------- */

static void test_stop(void **state)
{
    struct receive_rig rig;
    struct talk idle, busy;

    (void)state;
    open_rig(&rig, &idle, "");
    receive_rig_connect(&rig, &busy);
    FOLLOW(&idle, HELLO);
    FOLLOW(&busy, ENVELOPE);
    receive_rig_stop(&rig);
    FOLLOW(&idle, "S:421 4.3.2", "!eof");
    FOLLOW(&busy, "R:" BODY, END, QUEUED, "S:421 4.3.2", "!eof");
    TURN_UNTIL(rig.loop, rig.has_stopped);
    talk_close(&idle);
    receive_rig_connect(&rig, &idle); /* the listener is still there */
    FOLLOW(&idle, "S:421 4.3.2", "!eof");
    assert_int_equal(rig.accepted_count, 1);
    talk_close(&idle);
    close_rig(&rig, &busy);
}

static void test_stop_with_a_commit_under_way(void **state)
{
    struct receive_rig rig;
    struct talk client;

    (void)state;
    open_rig(&rig, &client, "");
    FOLLOW(&client, ENVELOPE, "R:" BODY ".\r\n");
    talk_close(&client);
    receive_rig_stop(&rig);
    TURN_UNTIL(rig.loop, rig.has_stopped);
    assert_int_equal(queue_memory_rows(rig.queue), rig.accepted_count);
    receive_rig_close(&rig);
}

/* ---- TLS ---------------------------------------------------------------------------------- */

static struct tls_server *tls;

static int make_tls(void **state)
{
    (void)state;
    tls = tls_server_for_tests("mx.test");
    return 0;
}

static int free_tls(void **state)
{
    (void)state;
    tls_server_unref(tls);
    return 0;
}

static void assert_trace_holds(const struct receive_rig *rig, const char *text)
{
    struct span trace = rig->accepted[0]->trace;

    assert_non_null(memmem(trace.ptr, trace.len, text, strlen(text)));
}

static void test_starttls(void **state)
{
    struct receive_rig rig;
    struct talk client;
    struct buf reply;

    (void)state;
    receive_rig_open(&rig, "", tls, CONF_TLS_STARTTLS);
    receive_rig_connect(&rig, &client);
    buf_init(&reply, 0);
    FOLLOW(&client, "S:220 ", "C:EHLO client.test");
    talk_expect_all(&client, "250 ", &reply);
    assert_non_null(memmem(buf_span(&reply).ptr, buf_len(&reply), "STARTTLS\r\n", 10));
    buf_clear(&reply);
    FOLLOW(&client, MAIL, "C:STARTTLS x", "S:501 ", "C:STARTTLS", "S:220 2.0.0", "!tls",
           "C:MAIL FROM:<>", "S:503 5.5.1 EHLO", "C:EHLO client.test");
    talk_expect_all(&client, "250 ", &reply);
    assert_null(memmem(buf_span(&reply).ptr, buf_len(&reply), "STARTTLS", 8));
    FOLLOW(&client, "C:STARTTLS", "S:503 ", MAIL, RCPT, DATA, "R:" BODY, END, QUEUED, BYE);
    assert_trace_holds(&rig, "with ESMTPS id ");
    assert_trace_holds(&rig, "(using TLSv1.3 with cipher ");
    buf_fini(&reply);
    close_rig(&rig, &client);
}

static void test_plain_text_behind_starttls(void **state)
{
    struct receive_rig rig;
    struct talk client;

    (void)state;
    receive_rig_open(&rig, "", tls, CONF_TLS_STARTTLS);
    receive_rig_connect(&rig, &client);
    FOLLOW(&client, HELLO, "R:STARTTLS\r\nMAIL FROM:<evil@x.test>\r\n", "S:521 5.5.0", "!eof");
    close_rig(&rig, &client);
}

static void test_implicit_tls(void **state)
{
    struct receive_rig rig;
    struct talk client, mute;

    (void)state;
    receive_rig_open(&rig, "tls_handshake_timeout = 1s\n", tls, CONF_TLS_IMPLICIT);
    receive_rig_connect(&rig, &client);
    receive_rig_connect(&rig, &mute);
    FOLLOW(&client, "!tls", ENVELOPE, "R:" BODY, END, QUEUED, BYE);
    assert_trace_holds(&rig, "with ESMTPS id ");
    FOLLOW(&mute, "!eof"); /* it never began its handshake */
    talk_close(&mute);
    close_rig(&rig, &client);
}

static void test_stop_during_a_handshake(void **state)
{
    struct receive_rig rig;
    struct talk client;

    (void)state;
    receive_rig_open(&rig, "", tls, CONF_TLS_IMPLICIT);
    receive_rig_connect(&rig, &client);
    TURN_UNTIL(rig.loop, receive_limits_sessions(rig.limits) == 1);
    receive_rig_stop(&rig);
    TURN_UNTIL(rig.loop, rig.has_stopped);
    FOLLOW(&client, "!eof");
    close_rig(&rig, &client);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_kept),
        cmocka_unit_test(test_dsn_is_kept),
        cmocka_unit_test(test_the_trace),
        cmocka_unit_test(test_more_recipients_than_a_group_holds),
        cmocka_unit_test(test_refused_recipients_leave_nothing),
        cmocka_unit_test(test_a_large_body_goes_to_the_store),
        cmocka_unit_test(test_staged_pieces_do_not_stay),
        cmocka_unit_test(test_a_store_that_refuses),
        cmocka_unit_test(test_each_command_has_its_own_time),
        cmocka_unit_test(test_dripping_does_not_last_for_ever),
        cmocka_unit_test(test_a_client_that_does_not_read),
        cmocka_unit_test(test_limits_of_sessions),
        cmocka_unit_test(test_a_new_configuration),
        cmocka_unit_test(test_stop),
        cmocka_unit_test(test_stop_with_a_commit_under_way),
        cmocka_unit_test(test_starttls),
        cmocka_unit_test(test_plain_text_behind_starttls),
        cmocka_unit_test(test_implicit_tls),
        cmocka_unit_test(test_stop_during_a_handshake),
    };
    return cmocka_run_group_tests(tests, make_tls, free_tls);
}
