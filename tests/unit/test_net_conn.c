/* net/conn: what is told, when, and how often; back-pressure; the ways to end. */
#include "support/conn_rig.h"

#include "net/conn_private.h"
#include "net/local.h"

#include <errno.h>
#include <sys/un.h>

enum { MUCH = 12 << 20 };

static char much[MUCH];

static void assert_got_much(const struct side *side)
{
    assert_int_equal(buf_len(&side->got), MUCH);
    assert_memory_equal(buf_span(&side->got).ptr, much, MUCH);
}

static void say(struct side *side, const char *text)
{
    SIDE_CALL(conn_write(side->conn, span_cstr(text)));
}

/* ---- connecting --------------------------------------------------------------------------- */

static void test_there_and_back(void **state)
{
    struct conn_rig rig;

    (void)state;
    conn_rig_open(&rig);
    conn_rig_connect_both(&rig);
    say(&rig.client, "ping");
    say(&rig.client, " pong");
    TURN_UNTIL(rig.loop, buf_len(&rig.server.got) == 9);
    assert_got(&rig.server, "ping pong");
    assert_int_equal(rig.server.count[CONN_INPUT], 1); /* one round, one write */
    say(&rig.server, "done");
    SIDE_CALL(conn_finish(rig.server.conn));
    TURN_UNTIL(rig.loop, rig.client.count[CONN_EOF] && rig.server.conn == NULL);
    assert_got(&rig.client, "done");
    assert_string_equal(rig.server.events, "input closed ");
    assert_string_equal(rig.client.events, "connected input eof ");
    conn_rig_close(&rig);
    assert_string_equal(rig.client.events, "connected input eof closed ");
}

static void test_addresses(void **state)
{
    struct conn_rig rig;

    (void)state;
    conn_rig_open(&rig);
    conn_rig_connect_both(&rig);
    assert_memory_equal(conn_peer(rig.client.conn), &rig.address, sizeof(struct sockaddr_in));
    assert_memory_equal(conn_local(rig.server.conn), &rig.address, sizeof(struct sockaddr_in));
    assert_memory_equal(conn_local(rig.client.conn), conn_peer(rig.server.conn),
                        sizeof(struct sockaddr_in));
    conn_rig_close(&rig);
}

static void test_refused(void **state)
{
    struct conn_rig rig;

    (void)state;
    conn_rig_open(&rig);
    listener_close(rig.listener);
    turn_once(rig.loop);
    conn_rig_connect(&rig);
    TURN_UNTIL(rig.loop, rig.client.count[CONN_FAILED] == 1);
    assert_int_equal(conn_error(rig.client.conn).sys, ECONNREFUSED);
    assert_string_equal(rig.client.failure, "connect: Connection refused");
    rig.listener = NULL;
    conn_rig_close(&rig);
    assert_string_equal(rig.client.events, "failed closed ");
}

/* A start that fails at once is told later, as every other failure is. */
static void test_a_bad_source_address(void **state)
{
    struct sockaddr_in source = {.sin_family = AF_INET,
                                 .sin_addr.s_addr = htonl(0xcb007101)}; /* 203.0.113.1 */
    struct conn_rig rig;
    struct conn_options options = {.handler = side_on_event, .owner = &rig.client};

    (void)state;
    conn_rig_open(&rig);
    SIDE_CALL(rig.client.conn = conn_connect(rig.loop, conn_rig_address(&rig),
                                             (struct sockaddr *)&source, &options));
    TURN_UNTIL(rig.loop, rig.client.count[CONN_FAILED] == 1);
    assert_int_equal(conn_error(rig.client.conn).sys, EADDRNOTAVAIL);
    conn_rig_close(&rig);
}

static void test_closed_before_it_connects(void **state)
{
    struct conn_rig rig;

    (void)state;
    conn_rig_open(&rig);
    conn_rig_connect(&rig);
    say(&rig.client, "lost");
    SIDE_CALL(conn_finish(rig.client.conn)); /* nothing to finish: the same as closing */
    TURN_UNTIL(rig.loop, rig.client.conn == NULL);
    assert_string_equal(rig.client.events, "closed ");
    conn_rig_close(&rig);
}

/* A rig whose server listens on a Unix socket of a folder of its own. */
struct unix_rig {
    struct conn_rig rig;
    struct sockaddr_un address;
    char folder[32];
};

static void unix_rig_open(struct unix_rig *local, bool listens)
{
    int fd;

    *local = (struct unix_rig){.rig.loop = turn_loop_create(), .folder = "/tmp/test-conn.XXXXXX"};
    assert_non_null(mkdtemp(local->folder));
    local->address.sun_family = AF_UNIX;
    snprintf(local->address.sun_path, sizeof local->address.sun_path, "%s/s", local->folder);
    if (!listens)
        return;
    assert_false(err_is(local_bind(local->address.sun_path, 0600, &fd)));
    assert_false(err_is(listener_create(local->rig.loop, fd, conn_rig_on_accept, &local->rig,
                                        &local->rig.listener)));
}

static void unix_rig_connect(struct unix_rig *local)
{
    struct conn_options options = {.handler = side_on_event, .owner = &local->rig.client};

    SIDE_CALL(local->rig.client.conn = conn_connect(
                  local->rig.loop, (const struct sockaddr *)&local->address, NULL, &options));
}

static void unix_rig_close(struct unix_rig *local)
{
    conn_rig_close(&local->rig);
    unlink(local->address.sun_path);
    assert_int_equal(rmdir(local->folder), 0);
}

static void test_a_unix_socket(void **state)
{
    struct unix_rig local;
    struct conn_rig *rig = &local.rig;

    (void)state;
    unix_rig_open(&local, true);
    unix_rig_connect(&local);
    TURN_UNTIL(rig->loop, rig->client.count[CONN_CONNECTED] == 1 && rig->server.conn != NULL);
    assert_int_equal(conn_peer(rig->client.conn)->sa_family, AF_UNIX);
    say(&rig->client, "ping");
    TURN_UNTIL(rig->loop, buf_len(&rig->server.got) == 4);
    say(&rig->server, "pong");
    SIDE_CALL(conn_finish(rig->server.conn));
    TURN_UNTIL(rig->loop, rig->client.count[CONN_EOF] == 1);
    assert_got(&rig->client, "pong");
    unix_rig_close(&local);
    assert_string_equal(rig->client.events, "connected input eof closed ");
}

static void test_no_unix_socket(void **state)
{
    struct unix_rig local;

    (void)state;
    unix_rig_open(&local, false);
    unix_rig_connect(&local);
    TURN_UNTIL(local.rig.loop, local.rig.client.count[CONN_FAILED] == 1);
    assert_int_equal(conn_error(local.rig.client.conn).sys, ENOENT);
    unix_rig_close(&local);
    assert_string_equal(local.rig.client.events, "failed closed ");
}

static void test_a_unix_socket_closed_at_once(void **state)
{
    struct unix_rig local;

    (void)state;
    unix_rig_open(&local, true);
    unix_rig_connect(&local);
    SIDE_CALL(conn_close(local.rig.client.conn));
    TURN_UNTIL(local.rig.loop, local.rig.client.conn == NULL);
    assert_string_equal(local.rig.client.events, "closed ");
    unix_rig_close(&local);
}

/* ---- reading ------------------------------------------------------------------------------ */

static void test_what_is_left_stays_in_front(void **state)
{
    struct conn_rig rig;

    (void)state;
    conn_rig_open(&rig);
    conn_rig_connect_both(&rig);
    rig.server.hold = true;
    say(&rig.client, "abc");
    TURN_UNTIL(rig.loop, rig.server.count[CONN_INPUT] == 1);
    conn_consume(rig.server.conn, 1);
    say(&rig.client, "def");
    TURN_UNTIL(rig.loop, rig.server.count[CONN_INPUT] == 2);
    assert_true(span_equal(conn_input(rig.server.conn), SPAN("bcdef")));
    conn_consume(rig.server.conn, 5);
    assert_int_equal(conn_input(rig.server.conn).len, 0);
    conn_rig_close(&rig);
}

static void test_an_idle_conn_holds_no_buffer(void **state)
{
    struct conn_rig rig;

    (void)state;
    conn_rig_open(&rig);
    conn_rig_connect_both(&rig);
    conn_rig_fill(much, MUCH);
    SIDE_CALL(conn_write(rig.client.conn, span_of(much, MUCH)));
    TURN_UNTIL(rig.loop, buf_len(&rig.server.got) == MUCH);
    TURN_UNTIL(rig.loop, conn_unsent(rig.client.conn) == 0);
    for (int i = 0; i < 2; i++) {
        const struct conn *c = i ? rig.client.conn : rig.server.conn;
        assert_true(c->in.data == NULL && c->out.data == NULL && c->wire.data == NULL);
        assert_null(c->pending);
    }
    conn_rig_close(&rig);
}

/* A reader that takes nothing is sent no more than its bound and what the kernel holds, and the
 * writer is told to stop; when the reader goes on, every byte comes. */
static void test_back_pressure(void **state)
{
    struct conn_rig rig;

    (void)state;
    conn_rig_open(&rig);
    conn_rig_connect_both(&rig);
    conn_rig_fill(much, MUCH);
    rig.server.hold = true;
    SIDE_CALL(conn_set_input_max(rig.server.conn, 10000));
    SIDE_CALL(conn_write(rig.client.conn, span_of(much, MUCH)));
    assert_true(conn_is_congested(rig.client.conn));
    TURN_UNTIL(rig.loop, conn_input(rig.server.conn).len == 10000);
    turn_for(rig.loop, 30);
    assert_int_equal(conn_input(rig.server.conn).len, 10000);
    assert_true(conn_is_congested(rig.client.conn));
    assert_int_equal(rig.client.count[CONN_DRAINED], 0);
    rig.server.hold = false;
    SIDE_CALL(side_take(&rig.server));
    TURN_UNTIL(rig.loop, buf_len(&rig.server.got) == MUCH);
    TURN_UNTIL(rig.loop, rig.client.count[CONN_DRAINED] == 1);
    assert_false(conn_is_congested(rig.client.conn));
    assert_got_much(&rig.server);
    conn_rig_close(&rig);
}

static void test_one_byte_of_room_is_room(void **state)
{
    struct conn_rig rig;

    (void)state;
    conn_rig_open(&rig);
    conn_rig_connect_both(&rig);
    rig.server.hold = true;
    SIDE_CALL(conn_set_input_max(rig.server.conn, 4));
    say(&rig.client, "abcdef");
    TURN_UNTIL(rig.loop, conn_input(rig.server.conn).len == 4);
    SIDE_CALL(conn_consume(rig.server.conn, 1));
    TURN_UNTIL(rig.loop, span_equal(conn_input(rig.server.conn), SPAN("bcde")));
    SIDE_CALL(conn_set_input_max(rig.server.conn, 5));
    TURN_UNTIL(rig.loop, span_equal(conn_input(rig.server.conn), SPAN("bcdef")));
    conn_rig_close(&rig);
}

static void test_a_bound_below_what_waits(void **state)
{
    struct conn_rig rig;

    (void)state;
    conn_rig_open(&rig);
    conn_rig_connect_both(&rig);
    rig.server.hold = true;
    say(&rig.client, "abcdef");
    TURN_UNTIL(rig.loop, conn_input(rig.server.conn).len == 6);
    SIDE_CALL(conn_set_input_max(rig.server.conn, 3));
    turn_once(rig.loop);
    say(&rig.client, "ghi");
    turn_for(rig.loop, 20);
    assert_int_equal(conn_input(rig.server.conn).len, 6);
    SIDE_CALL(conn_consume(rig.server.conn, 6));
    TURN_UNTIL(rig.loop, span_equal(conn_input(rig.server.conn), SPAN("ghi")));
    conn_rig_close(&rig);
}

static void test_pause_and_resume(void **state)
{
    struct conn_rig rig;

    (void)state;
    conn_rig_open(&rig);
    conn_rig_connect_both(&rig);
    SIDE_CALL(conn_pause(rig.server.conn));
    say(&rig.client, "abc");
    turn_for(rig.loop, 20);
    assert_int_equal(rig.server.count[CONN_INPUT], 0);
    SIDE_CALL(conn_resume(rig.server.conn));
    TURN_UNTIL(rig.loop, buf_len(&rig.server.got) == 3);
    rig.server.hold = true;
    say(&rig.client, "def");
    TURN_UNTIL(rig.loop, rig.server.count[CONN_INPUT] == 2);
    SIDE_CALL(conn_pause(rig.server.conn));
    SIDE_CALL(conn_resume(rig.server.conn));
    TURN_UNTIL(rig.loop, rig.server.count[CONN_INPUT] == 3); /* told anew */
    conn_rig_close(&rig);
}

static void pause_and_resume_once(struct side *side, enum conn_event event)
{
    if (event == CONN_INPUT && side->count[CONN_INPUT] == 1) {
        conn_pause(side->conn);
        conn_resume(side->conn);
    }
}

static void test_resumed_while_being_told(void **state)
{
    struct conn_rig rig;

    (void)state;
    conn_rig_open(&rig);
    conn_rig_connect_both(&rig);
    rig.server.hold = true;
    rig.server.then = pause_and_resume_once;
    say(&rig.client, "abc");
    TURN_UNTIL(rig.loop, rig.server.count[CONN_INPUT] == 2);
    assert_true(span_equal(conn_input(rig.server.conn), SPAN("abc")));
    conn_rig_close(&rig);
}

/* ---- deadlines ---------------------------------------------------------------------------- */

static void test_deadline(void **state)
{
    struct conn_rig rig;

    (void)state;
    conn_rig_open(&rig);
    conn_rig_connect_both(&rig);
    SIDE_CALL(conn_deadline(rig.client.conn, 1));
    SIDE_CALL(conn_deadline(rig.client.conn, 10));
    SIDE_CALL(conn_deadline(rig.server.conn, 1));
    SIDE_CALL(conn_deadline(rig.server.conn, 0));
    turn_for(rig.loop, 30);
    assert_int_equal(rig.client.count[CONN_DEADLINE], 1);
    assert_int_equal(rig.server.count[CONN_DEADLINE], 0);
    SIDE_CALL(conn_deadline(rig.client.conn, 1));
    SIDE_CALL(conn_close(rig.client.conn));
    SIDE_CALL(conn_deadline(rig.client.conn, 1));
    turn_for(rig.loop, 20);
    assert_string_equal(rig.client.events, "connected deadline closed ");
    conn_rig_close(&rig);
}

/* ---- ends --------------------------------------------------------------------------------- */

static void test_finish_sends_all(void **state)
{
    struct conn_rig rig;

    (void)state;
    conn_rig_open(&rig);
    conn_rig_connect_both(&rig);
    conn_rig_fill(much, MUCH);
    SIDE_CALL(conn_write(rig.client.conn, span_of(much, MUCH)));
    SIDE_CALL(conn_finish(rig.client.conn));
    SIDE_CALL(conn_finish(rig.client.conn));
    assert_true(conn_is_closing(rig.client.conn));
    TURN_UNTIL(rig.loop, rig.server.count[CONN_EOF] == 1);
    assert_got_much(&rig.server);
    TURN_UNTIL(rig.loop, rig.client.conn == NULL);
    assert_string_equal(rig.client.events, "connected closed "); /* a finished conn tells no more */
    conn_rig_close(&rig);
}

/* The peer has said more than was listened to: closing at once would have the kernel send a reset,
 * and the peer might lose the last reply. */
static void test_the_last_reply_is_not_lost_to_a_reset(void **state)
{
    struct conn_rig rig;

    (void)state;
    conn_rig_open(&rig);
    conn_rig_connect_both(&rig);
    conn_rig_fill(much, MUCH);
    rig.server.hold = true;
    SIDE_CALL(conn_set_input_max(rig.server.conn, 1000));
    SIDE_CALL(conn_write(rig.client.conn, span_of(much, MUCH / 4)));
    TURN_UNTIL(rig.loop, conn_input(rig.server.conn).len == 1000);
    say(&rig.server, "421 enough\r\n");
    SIDE_CALL(conn_finish(rig.server.conn));
    TURN_UNTIL(rig.loop, rig.client.count[CONN_EOF] == 1);
    assert_got(&rig.client, "421 enough\r\n");
    assert_int_equal(rig.client.count[CONN_FAILED], 0);
    conn_rig_close(&rig);
    assert_string_equal(rig.server.events, "input closed ");
}

static void test_reset(void **state)
{
    const struct linger hard = {.l_onoff = 1};
    struct conn_rig rig;

    (void)state;
    conn_rig_open(&rig);
    int fd = conn_rig_connect_raw(&rig);
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    close(fd);
    TURN_UNTIL(rig.loop, rig.server.count[CONN_FAILED] == 1);
    assert_int_equal(conn_error(rig.server.conn).sys, ECONNRESET);
    SIDE_CALL(conn_finish(rig.server.conn));
    conn_rig_close(&rig);
    assert_string_equal(rig.server.events, "failed closed ");
}

/* One that has shut down its sending side still gets what it waits for. */
static void test_half_closed(void **state)
{
    char reply[16] = "";
    struct conn_rig rig;

    (void)state;
    conn_rig_open(&rig);
    int fd = conn_rig_connect_raw(&rig);
    assert_int_equal(send(fd, "all", 3, MSG_NOSIGNAL), 3);
    shutdown(fd, SHUT_WR);
    TURN_UNTIL(rig.loop, rig.server.count[CONN_EOF] == 1);
    assert_string_equal(rig.server.events, "input eof ");
    say(&rig.server, "250");
    SIDE_CALL(conn_finish(rig.server.conn));
    TURN_UNTIL(rig.loop, rig.server.conn == NULL);
    assert_int_equal(recv(fd, reply, sizeof reply, MSG_DONTWAIT), 3);
    assert_string_equal(reply, "250");
    close(fd);
    conn_rig_close(&rig);
}

static void close_on(struct side *side, enum conn_event event, enum conn_event which)
{
    if (event == which && side->conn != NULL)
        conn_close(side->conn);
}

#define CLOSE_ON(name, which)                                                                      \
    static void name(struct side *side, enum conn_event event)                                     \
    {                                                                                              \
        close_on(side, event, which);                                                              \
    }
CLOSE_ON(close_on_connected, CONN_CONNECTED)
CLOSE_ON(close_on_input, CONN_INPUT)
CLOSE_ON(close_on_drained, CONN_DRAINED)
CLOSE_ON(close_on_eof, CONN_EOF)
CLOSE_ON(close_on_deadline, CONN_DEADLINE)

/* The client closes while it is told of each event: CLOSED comes once, and is the last. */
static void test_closing_while_being_told(void **state)
{
    static const struct {
        void (*then)(struct side *side, enum conn_event event);
        const char *events;
    } cases[] = {
        {close_on_connected, "connected closed "},
        {close_on_input, "connected input closed "},
        {close_on_drained, "connected drained closed "},
        {close_on_eof, "connected eof closed "},
        {close_on_deadline, "connected deadline closed "},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct conn_rig rig;
        conn_rig_open(&rig);
        rig.client.then = cases[i].then;
        conn_rig_connect(&rig);
        TURN_UNTIL(rig.loop, rig.server.conn != NULL && rig.client.events[0] != '\0');
        if (cases[i].then == close_on_input)
            say(&rig.server, "x");
        else if (cases[i].then == close_on_eof)
            SIDE_CALL(conn_finish(rig.server.conn));
        else if (cases[i].then == close_on_deadline)
            SIDE_CALL(conn_deadline(rig.client.conn, 1));
        else if (cases[i].then == close_on_drained)
            SIDE_CALL(conn_write(rig.client.conn, span_of(much, MUCH)));
        TURN_UNTIL(rig.loop, rig.client.conn == NULL);
        assert_string_equal(rig.client.events, cases[i].events);
        conn_rig_close(&rig);
    }
}

static void test_another_owner(void **state)
{
    struct side heir = {0};
    struct conn_rig rig;

    (void)state;
    conn_rig_open(&rig);
    conn_rig_connect_both(&rig);
    heir.conn = rig.client.conn;
    SIDE_CALL(conn_set_owner(rig.client.conn, side_on_event, &heir));
    rig.client.conn = NULL;
    say(&rig.server, "abc");
    TURN_UNTIL(rig.loop, buf_len(&heir.got) == 3);
    SIDE_CALL(conn_close(heir.conn));
    TURN_UNTIL(rig.loop, heir.conn == NULL);
    assert_string_equal(heir.events, "input closed ");
    assert_string_equal(rig.client.events, "connected ");
    buf_fini(&heir.got);
    conn_rig_close(&rig);
}

/* Nobody to tell: it sends its line and goes. */
static void test_without_an_owner(void **state)
{
    struct conn_rig rig;

    (void)state;
    conn_rig_open(&rig);
    conn_rig_connect_both(&rig);
    struct conn *server = rig.server.conn;
    SIDE_CALL(conn_set_owner(server, NULL, NULL));
    rig.server.conn = NULL;
    SIDE_CALL(conn_write(server, SPAN("421 busy\r\n")));
    SIDE_CALL(conn_finish(server));
    TURN_UNTIL(rig.loop, rig.client.count[CONN_EOF] == 1);
    assert_got(&rig.client, "421 busy\r\n");
    conn_rig_close(&rig);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_there_and_back),
        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_a_bad_source_address),
        cmocka_unit_test(test_closed_before_it_connects),
        cmocka_unit_test(test_a_unix_socket),
        cmocka_unit_test(test_no_unix_socket),
        cmocka_unit_test(test_a_unix_socket_closed_at_once),
        cmocka_unit_test(test_what_is_left_stays_in_front),
        cmocka_unit_test(test_an_idle_conn_holds_no_buffer),
        cmocka_unit_test(test_back_pressure),
        cmocka_unit_test(test_one_byte_of_room_is_room),
        cmocka_unit_test(test_a_bound_below_what_waits),
        cmocka_unit_test(test_pause_and_resume),
        cmocka_unit_test(test_resumed_while_being_told),
        cmocka_unit_test(test_deadline),
        cmocka_unit_test(test_finish_sends_all),
        cmocka_unit_test(test_the_last_reply_is_not_lost_to_a_reset),
        cmocka_unit_test(test_reset),
        cmocka_unit_test(test_half_closed),
        cmocka_unit_test(test_closing_while_being_told),
        cmocka_unit_test(test_another_owner),
        cmocka_unit_test(test_without_an_owner),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
