/*
 * conn_rig: a listener and conns on both sides of it, on one loop that the test turns. Each side
 * notes its events as text ("connected input closed "), repeats left out, and gathers what it
 * reads.
 */
#ifndef SMARTHOP_TESTS_CONN_RIG_H
#define SMARTHOP_TESTS_CONN_RIG_H

#include "base/buf.h"
#include "net/listener.h"
#include "support/loop_turn.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct side {
    struct conn *conn; /* NULL before and after */
    bool hold;         /* leaves what arrives in the conn */
    /* Called behind the noting, with the event. */
    void (*then)(struct side *side, enum conn_event event);
    struct tls_server *tls; /* for `then` */
    struct tls_client *tls_client;
    struct buf got;
    char events[512];
    unsigned count[CONN_CLOSED + 1];
    char failure[200];
};

struct conn_rig {
    struct loop *loop;
    struct listener *listener;
    struct sockaddr_storage address;
    struct side client, server;
    unsigned accepted;
    size_t input_max; /* of the client, 0 = usual */
};

/* Set while the test calls into net/: nothing may be told then. */
static bool conn_rig_inside;

static const char *const conn_event_names[] = {
    [CONN_CONNECTED] = "connected", [CONN_SECURED] = "secured", [CONN_INPUT] = "input",
    [CONN_DRAINED] = "drained",     [CONN_EOF] = "eof",         [CONN_DEADLINE] = "deadline",
    [CONN_FAILED] = "failed",       [CONN_CLOSED] = "closed",
};

static inline void side_note(struct side *side, enum conn_event event)
{
    char word[16];
    int len = snprintf(word, sizeof word, "%s ", conn_event_names[event]);
    size_t have = strlen(side->events);

    side->count[event]++;
    if (have >= (size_t)len && strcmp(side->events + have - len, word) == 0)
        return;
    assert_true(have + (size_t)len < sizeof side->events);
    memcpy(side->events + have, word, (size_t)len + 1);
}

static inline void side_take(struct side *side)
{
    struct span input = conn_input(side->conn);

    buf_add(&side->got, input);
    conn_consume(side->conn, input.len);
}

static inline void side_on_event(struct conn *conn, enum conn_event event, void *owner)
{
    struct side *side = owner;

    assert_false(conn_rig_inside);
    assert_ptr_equal(conn, side->conn);
    assert_int_equal(side->count[CONN_CLOSED], 0);
    side_note(side, event);
    if (event == CONN_INPUT && !side->hold)
        side_take(side);
    if (event == CONN_FAILED)
        snprintf(side->failure, sizeof side->failure, "%s", conn_error_text(conn));
    if (side->then != NULL)
        side->then(side, event);
    if (event == CONN_CLOSED)
        side->conn = NULL;
}

#define SIDE_CALL(call)                                                                            \
    do {                                                                                           \
        bool was_inside_ = conn_rig_inside;                                                        \
        conn_rig_inside = true;                                                                    \
        call;                                                                                      \
        conn_rig_inside = was_inside_;                                                             \
    } while (0)

static inline void conn_rig_on_accept(struct conn *conn, void *owner)
{
    struct conn_rig *rig = owner;

    rig->accepted++;
    if (rig->server.conn != NULL) { /* tests that want more than one only count */
        conn_close(conn);
        return;
    }
    rig->server.conn = conn;
    conn_set_owner(conn, side_on_event, &rig->server);
}

static inline const struct sockaddr *conn_rig_address(const struct conn_rig *rig)
{
    return (const struct sockaddr *)&rig->address;
}

static inline void conn_rig_open(struct conn_rig *rig)
{
    struct sockaddr_in loopback = {.sin_family = AF_INET,
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd;

    *rig = (struct conn_rig){.loop = turn_loop_create()};
    assert_false(err_is(listener_bind((struct sockaddr *)&loopback, &fd)));
    assert_false(err_is(listener_address(fd, &rig->address)));
    assert_false(err_is(listener_create(rig->loop, fd, conn_rig_on_accept, rig, &rig->listener)));
}

static inline void conn_rig_connect(struct conn_rig *rig)
{
    struct conn_options options = {
        .handler = side_on_event, .owner = &rig->client, .input_max = rig->input_max};

    SIDE_CALL(rig->client.conn = conn_connect(rig->loop, conn_rig_address(rig), NULL, &options));
}

/* Both sides are there. */
static inline void conn_rig_connect_both(struct conn_rig *rig)
{
    conn_rig_connect(rig);
    TURN_UNTIL(rig->loop, rig->client.count[CONN_CONNECTED] == 1 && rig->server.conn != NULL);
}

/* A client that is a plain non-blocking socket, for what a conn would not do. */
static inline int conn_rig_connect_raw(struct conn_rig *rig)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_int_equal(connect(fd, conn_rig_address(rig), sizeof(struct sockaddr_in)), 0);
    TURN_UNTIL(rig->loop, rig->server.conn != NULL);
    return fd;
}

static inline void conn_rig_close_side(struct side *side)
{
    if (side->conn != NULL)
        SIDE_CALL(conn_close(side->conn));
}

static inline void conn_rig_close(struct conn_rig *rig)
{
    conn_rig_close_side(&rig->client);
    conn_rig_close_side(&rig->server);
    TURN_UNTIL(rig->loop, rig->client.conn == NULL && rig->server.conn == NULL);
    listener_close(rig->listener);
    turn_once(rig->loop);
    loop_free(rig->loop);
    buf_fini(&rig->client.got);
    buf_fini(&rig->server.got);
}

/* Bytes that tell where they are. */
static inline void conn_rig_fill(char *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++)
        bytes[i] = (char)(i * 31 + i / 251);
}

static inline void assert_got(const struct side *side, const char *text)
{
    assert_int_equal(buf_len(&side->got), strlen(text));
    assert_memory_equal(buf_span(&side->got).ptr, text, strlen(text));
}

#endif
