/* net/conn_squeeze: compressed conns (RFC 4978), with back-pressure and with broken input. */
#include "net/conn_private.h"
#include "support/conn_rig.h"

#include <zlib.h>

enum { MUCH = 3 << 20, ZEROES = 64 << 20, PACKED_MAX = 1 << 20 };

static char much[MUCH];

static void say(struct side *side, const char *text)
{
    SIDE_CALL(conn_write(side->conn, span_cstr(text)));
}

static void open_compressed(struct conn_rig *rig)
{
    conn_rig_open(rig);
    conn_rig_connect_both(rig);
    SIDE_CALL(conn_compress(rig->client.conn));
    SIDE_CALL(conn_compress(rig->server.conn));
}

static void test_there_and_back(void **state)
{
    struct conn_rig rig;

    (void)state;
    open_compressed(&rig);
    say(&rig.client, "ping");
    TURN_UNTIL(rig.loop, buf_len(&rig.server.got) == 4);
    say(&rig.server, "pong");
    TURN_UNTIL(rig.loop, buf_len(&rig.client.got) == 4);
    say(&rig.client, " again");
    say(&rig.server, "bye");
    SIDE_CALL(conn_finish(rig.server.conn));
    TURN_UNTIL(rig.loop, rig.client.count[CONN_EOF] == 1);
    assert_got(&rig.client, "pongbye");
    conn_rig_close(&rig);
}

/* What was gathered before is not compressed. */
static void test_what_came_before(void **state)
{
    struct conn_rig rig;
    char bytes[64];

    (void)state;
    conn_rig_open(&rig);
    int fd = conn_rig_connect_raw(&rig);
    say(&rig.server, "OK\r\n");
    SIDE_CALL(conn_compress(rig.server.conn));
    say(&rig.server, "compressed");
    turn_once(rig.loop);
    turn_once(rig.loop);
    ssize_t len = recv(fd, bytes, sizeof bytes, 0);
    assert_true(len > 4);
    assert_memory_equal(bytes, "OK\r\n", 4);
    assert_int_not_equal(bytes[4], 'c');
    close(fd);
    conn_rig_close(&rig);
}

static void test_much_against_a_slow_owner(void **state)
{
    struct conn_rig rig;

    (void)state;
    open_compressed(&rig);
    conn_rig_fill(much, sizeof much);
    rig.server.hold = true;
    SIDE_CALL(conn_write(rig.client.conn, span_of(much, sizeof much)));
    while (buf_len(&rig.server.got) < sizeof much) {
        TURN_UNTIL(rig.loop, conn_input(rig.server.conn).len > 0);
        assert_true(conn_input(rig.server.conn).len <= 2 * 65536);
        SIDE_CALL(conn_pause(rig.server.conn));
        turn_once(rig.loop);
        side_take(&rig.server);
        SIDE_CALL(conn_resume(rig.server.conn));
        turn_once(rig.loop);
    }
    assert_memory_equal(buf_span(&rig.server.got).ptr, much, sizeof much);
    conn_rig_close(&rig);
}

static void test_broken_input_fails(void **state)
{
    struct conn_rig rig;

    (void)state;
    conn_rig_open(&rig);
    int fd = conn_rig_connect_raw(&rig);
    SIDE_CALL(conn_compress(rig.server.conn));
    assert_int_equal(send(fd, "\xff\xff\xff\xff", 4, 0), 4);
    TURN_UNTIL(rig.loop, rig.server.count[CONN_FAILED] == 1);
    assert_string_equal(rig.server.failure, "compressed input: broken");
    close(fd);
    conn_rig_close(&rig);
}

/* However much is inside: no more of it is held than of other input. */
static void test_a_bomb_is_held_back(void **state)
{
    static char packed[PACKED_MAX], zeroes[1 << 16];
    struct conn_rig rig;
    z_stream z = {0};

    (void)state;
    assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY), Z_OK);
    z.next_out = (Bytef *)packed;
    z.avail_out = sizeof packed;
    for (size_t done = 0; done < ZEROES; done += sizeof zeroes) {
        z.next_in = (Bytef *)zeroes;
        z.avail_in = sizeof zeroes;
        assert_int_equal(deflate(&z, Z_NO_FLUSH), Z_OK);
    }
    deflate(&z, Z_SYNC_FLUSH);
    size_t len = sizeof packed - z.avail_out;
    deflateEnd(&z);
    conn_rig_open(&rig);
    int fd = conn_rig_connect_raw(&rig);
    rig.server.hold = true;
    SIDE_CALL(conn_compress(rig.server.conn));
    assert_int_equal(send(fd, packed, len, 0), (ssize_t)len);
    for (int i = 0; i < 50; i++)
        turn_once(rig.loop);
    assert_true(conn_input(rig.server.conn).len <= 2 * 65536);
    close(fd);
    conn_rig_close(&rig);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_there_and_back),
        cmocka_unit_test(test_what_came_before),
        cmocka_unit_test(test_much_against_a_slow_owner),
        cmocka_unit_test(test_broken_input_fails),
        cmocka_unit_test(test_a_bomb_is_held_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
