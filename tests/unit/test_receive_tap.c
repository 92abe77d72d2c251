/* receive/: taps: what they tell, what they keep to themselves, and their bounds. */
#include "support/receive_rig.h"
#include "support/receive_script.h"

#include <stdio.h>

#define FOLLOW(client, ...) talk_follow((client), (const char *const[]){__VA_ARGS__, NULL})

/* ---- the tap alone ------------------------------------------------------------------------ */

static void on_ready(void *context)
{
    ++*(unsigned *)context;
}

static struct tap *make_tap(struct loop *loop, const char *text, unsigned *ready)
{
    struct ip_network network;

    assert_int_equal(ip_network_parse(span_cstr(text), &network), IP_NETWORK_OK);
    return tap_create(&network, loop, on_ready, ready);
}

static void add(struct tap *tap, struct span text)
{
    tap_add(tap, &(struct tap_line){
                     .wall_ms = 1, .session = 2, .client = SPAN("[192.0.2.1]"), .text = text});
}

/* The texts of what has gathered, each with a line feed. */
static uint64_t take(struct tap *tap, struct buf *texts)
{
    struct tap_line line;
    struct buf lines;

    uint64_t lost = tap_take(tap, &lines);
    for (struct span rest = buf_span(&lines); tap_next(&rest, &line);) {
        buf_add(texts, line.text);
        buf_add(texts, SPAN("\n"));
    }
    buf_fini(&lines);
    return lost;
}

static void expect(struct tap *tap, const char *wanted, uint64_t lost)
{
    struct buf texts;

    buf_init(&texts, 0);
    assert_int_equal(take(tap, &texts), lost);
    if (!span_equal(buf_span(&texts), span_cstr(wanted)))
        fail_msg("wanted:\n%sgot:\n%.*s", wanted, SPAN_ARG(buf_span(&texts)));
    buf_fini(&texts);
}

static void test_lines_are_escaped(void **state)
{
    struct loop *loop = turn_loop_create();
    unsigned ready = 0;
    struct tap *tap = make_tap(loop, "192.0.2.0/24", &ready);
    struct tap_line line;
    struct buf lines;

    (void)state;
    add(tap, SPAN("C: a\x1b[31m\r\n\\ \xc3\xbc \x7f\0~"));
    assert_int_equal(tap_take(tap, &lines), 0);
    struct span rest = buf_span(&lines);
    assert_true(tap_next(&rest, &line));
    assert_int_equal(line.wall_ms, 1);
    assert_int_equal(line.session, 2);
    assert_true(span_equal(line.client, SPAN("[192.0.2.1]")));
    assert_true(span_equal(line.text, SPAN("C: a\\x1b[31m\\x0d\\x0a\\\\ \\xc3\\xbc \\x7f\\x00~")));
    assert_false(tap_next(&rest, &line));
    buf_fini(&lines);
    TURN_UNTIL(loop, ready == 1);
    tap_unref(tap);
    loop_free(loop);
}

static void test_a_long_line_is_cut(void **state)
{
    struct loop *loop = turn_loop_create();
    unsigned ready = 0;
    static char bytes[TAP_LINE_MAX + 7];

    (void)state;
    for (size_t len = TAP_LINE_MAX - 10; len < sizeof bytes; len++) {
        struct tap *tap = make_tap(loop, "192.0.2.0/24", &ready);
        struct buf texts;
        memset(bytes, 'x', len);
        bytes[len - 1] = '\x01';
        add(tap, span_of(bytes, len));
        buf_init(&texts, 0);
        take(tap, &texts);
        assert_true(buf_len(&texts) <= TAP_LINE_MAX + 1);
        bool whole = span_ends_nocase(buf_span(&texts), SPAN("xx\\x01\n"));
        assert_true(whole || span_ends_nocase(buf_span(&texts), SPAN("x...\n")));
        assert_true(whole == (len <= TAP_LINE_MAX - 6));
        buf_fini(&texts);
        tap_close(tap);
        tap_unref(tap);
    }
    turn_once(loop);
    loop_free(loop);
}

/* A reader that does not come in time loses what comes behind what there is room for. */
static void test_a_slow_reader(void **state)
{
    enum { LINES = 5000 };
    struct loop *loop = turn_loop_create();
    unsigned ready = 0, kept = 0;
    struct tap *tap = make_tap(loop, "192.0.2.0/24", &ready);
    struct buf texts;
    char text[100];

    (void)state;
    for (unsigned i = 0; i < LINES; i++)
        add(tap, span_of(text, (size_t)snprintf(text, sizeof text, "%080u", i)));
    buf_init(&texts, 0);
    uint64_t lost = take(tap, &texts);
    assert_in_range(lost, 1, LINES - 100);
    for (struct span rest = buf_span(&texts); rest.len > 0; kept++) {
        struct span line = span_split(rest, '\n', &rest);
        snprintf(text, sizeof text, "%080u", kept);
        assert_true(span_equal(line, span_cstr(text)));
    }
    assert_int_equal(kept + lost, LINES);
    buf_fini(&texts);
    add(tap, SPAN("again"));
    expect(tap, "again\n", 0);
    expect(tap, "", 0);
    TURN_UNTIL(loop, ready > 0); /* one call for them all: nobody was there to take them */
    assert_int_equal(ready, 1);
    tap_unref(tap);
    loop_free(loop);
}

/* ---- what sessions tell ------------------------------------------------------------------- */

struct tapped {
    struct receive_rig rig;
    struct talk client;
    struct tap *tap;
    unsigned ready;
};

static void open_tapped(struct tapped *t, const char *conf, const char *network)
{
    receive_rig_open(&t->rig, conf, NULL, CONF_TLS_NONE);
    t->rig.kind.name = "t";
    t->ready = 0;
    t->tap = make_tap(t->rig.loop, network, &t->ready);
    receive_server_add_tap(t->rig.server, t->tap);
    receive_rig_connect(&t->rig, &t->client);
}

static void close_tapped(struct tapped *t)
{
    talk_close(&t->client);
    receive_rig_close(&t->rig);
    tap_unref(t->tap);
}

#define BEGIN "* connected to \"t\"\nS: 220 mx.test ESMTP Smarthop\n"

static void test_a_session_is_told(void **state)
{
    struct tapped t;

    (void)state;
    open_tapped(&t, "refuse_early_talkers = no\n", "127.0.0.0/8");
    FOLLOW(&t.client, "S:220 ", "C:EHLO x.test", "S:250 ",
           "R:MAIL FROM:<a@b.test>\r\nRCPT TO:", "R:<b@rcpt.test>\r\n", "S:250 ", "S:250 ", DATA,
           "R:Subject: secret\r\n", "R:\r\nbody\r\n", END, QUEUED, MAIL, RCPT, "R:BDAT 4\r\nbody",
           "S:250 ", "R:BDAT 2 LAST\r\n\r\n", QUEUED, "R:BDAT 3\r\nabc", "S:503 ", BYE);
    TURN_UNTIL(t.rig.loop, receive_limits_sessions(t.rig.limits) == 0);
    struct buf texts;
    buf_init(&texts, 0);
    assert_int_equal(take(t.tap, &texts), 0);
    static const char *const wanted[] = {
        BEGIN "C: EHLO x.test\nS: 250-mx.test\nS: 250-PIPELINING\n",
        "\nS: 250 HELP\nC: MAIL FROM:<a@b.test>\nS: 250 2.1.0 Sender OK\n"
        "C: RCPT TO:<b@rcpt.test>\nS: 250 2.1.5 Recipient OK\nC: DATA\n"
        "S: 354 End data with <CR><LF>.<CR><LF>\nC: ... 28 bytes of data\nS: 250 2.0.0 OK",
        "C: BDAT 4\nC: ... 4 bytes of data\nS: 250 2.0.0 4 bytes received\nC: BDAT 2 LAST\n"
        "C: ... 2 bytes of data\nS: 250 2.0.0 OK queued as ",
        "C: BDAT 3\nC: ... 3 bytes of data\nS: 503 5.5.1 MAIL first\nC: QUIT\nS: 221 2.0.0 Bye\n"
        "* closed: quit\n",
    };
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++)
        if (memmem(buf_span(&texts).ptr, buf_len(&texts), wanted[i], strlen(wanted[i])) == NULL)
            fail_msg("wanted:\n%s\ngot:\n%.*s", wanted[i], SPAN_ARG(buf_span(&texts)));
    assert_null(memmem(buf_span(&texts).ptr, buf_len(&texts), "secret", 6));
    buf_fini(&texts);
    close_tapped(&t);
}

/* Responses to an AUTH that was refused come as commands. */
static void test_what_may_be_secret_is_not_told(void **state)
{
    struct tapped t;

    (void)state;
    open_tapped(&t, "errors_max = 100\nrefuse_early_talkers = no\n", "127.0.0.1");
    FOLLOW(&t.client, "S:220 ",
           "R:AUTH PLAIN AGEAc2VjcmV0\r\nauth   login c2VjcmV0\r\nAUTH LOGIN\r\n",
           "R:c2VjcmV0\r\nSECRET\r\nAUTH\r\nAUTH c2VjcmV0\r\n AUTH PLAIN c2VjcmV0\r\n",
           "R:AUHT PLAIN c2VjcmV0\r\nAUTH\tPLAIN\tc2VjcmV0\r\nAUTH=LOGIN c2VjcmV0\r\n",
           "R:AUTH PLAIN c2VjcmV0\001\r\nAUTH PLAIN c2Vj\rcmV0\r\nQUIT\r\n");
    for (int i = 0; i < 13; i++)
        FOLLOW(&t.client, "S:50");
    FOLLOW(&t.client, "S:221 ", "!eof");
    TURN_UNTIL(t.rig.loop, receive_limits_sessions(t.rig.limits) == 0);
    struct buf texts;
    buf_init(&texts, 0);
    take(t.tap, &texts);
    struct span all = buf_span(&texts);
    for (size_t i = 0; i < all.len; i++)
        if (span_starts_nocase(span_from(all, i), SPAN("c2Vj")) ||
            span_starts_nocase(span_from(all, i), SPAN("secret")))
            fail_msg("told:\n%.*s", SPAN_ARG(all));
    assert_non_null(memmem(all.ptr, all.len, "C: AUTH PLAIN ****\n", 19));
    assert_non_null(memmem(all.ptr, all.len, "C: AUTH LOGIN\n", 14));
    assert_non_null(memmem(all.ptr, all.len, "C: **** (6 bytes, not a command)\n", 33));
    buf_fini(&texts);
    close_tapped(&t);
}

static void test_others_are_not_told(void **state)
{
    struct tapped t;

    (void)state;
    open_tapped(&t, "xclient_networks = \"127.0.0.0/8\"\n", "192.0.2.0/24");
    FOLLOW(&t.client, HELLO);
    expect(t.tap, "", 0);
    /* The real client counts, and only while it is that one's. */
    FOLLOW(&t.client, "C:XCLIENT ADDR=192.0.2.9", "S:220 ");
    expect(t.tap, BEGIN, 0);
    FOLLOW(&t.client, "C:NOOP", "S:250 ");
    expect(t.tap, "C: NOOP\nS: 250 2.0.0 OK\n", 0);
    FOLLOW(&t.client, "C:XCLIENT ADDR=198.51.100.1", "S:220 ", "C:NOOP", "S:250 ");
    expect(t.tap, "C: XCLIENT ADDR=198.51.100.1\n", 0);
    close_tapped(&t);
}

static void test_sessions_under_way_join(void **state)
{
    struct tapped t;
    struct tap *second;
    unsigned ready = 0;

    (void)state;
    receive_rig_open(&t.rig, "", NULL, CONF_TLS_NONE);
    t.tap = make_tap(t.rig.loop, "127.0.0.1", &t.ready);
    receive_rig_connect(&t.rig, &t.client);
    FOLLOW(&t.client, ENVELOPE, "R:abc");
    t.ready = 0;
    receive_server_add_tap(t.rig.server, t.tap);
    TURN_UNTIL(t.rig.loop, t.ready > 0);
    expect(t.tap, "* under way: receiving data, 0 messages\n", 0);
    second = make_tap(t.rig.loop, "127.0.0.0/8", &ready);
    receive_server_add_tap(t.rig.server, second);
    receive_server_remove_tap(t.rig.server, t.tap);
    FOLLOW(&t.client, "R:\r\n.\r\n", QUEUED, "C:NOOP", "S:250 ");
    expect(t.tap, "", 0);
    receive_server_remove_tap(t.rig.server, second);
    FOLLOW(&t.client, "C:RSET", "S:250 ");
    struct buf texts;
    buf_init(&texts, 0);
    take(second, &texts);
    assert_true(span_ends_nocase(buf_span(&texts), SPAN("C: NOOP\nS: 250 2.0.0 OK\n")));
    buf_fini(&texts);
    tap_unref(second);
    close_tapped(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines_are_escaped),
        cmocka_unit_test(test_a_long_line_is_cut),
        cmocka_unit_test(test_a_slow_reader),
        cmocka_unit_test(test_a_session_is_told),
        cmocka_unit_test(test_what_may_be_secret_is_not_told),
        cmocka_unit_test(test_others_are_not_told),
        cmocka_unit_test(test_sessions_under_way_join),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
