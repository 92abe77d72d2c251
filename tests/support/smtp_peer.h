/*
 * smtp_peer: a next hop on the test's own loop. It takes mail from any number of connections and
 * answers as it is told to: the replies may be changed at any time, an empty one is no answer.
 */
#ifndef SMARTHOP_TESTS_SMTP_PEER_H
#define SMARTHOP_TESTS_SMTP_PEER_H

#include "base/buf.h"
#include "net/listener.h"
#include "support/loop_turn.h"

#include <arpa/inet.h>

struct smtp_peer {
    struct loop *loop;
    int fd; /* bound; nobody listens before smtp_peer_listen */
    uint16_t port;
    struct listener *listener;
    struct list conns;

    const char *greeting, *mail, *rcpt, *data, *final;
    /* Of one recipient, where it is not NULL. */
    const char *(*judge)(struct smtp_peer *peer, struct span address);
    const char *offers;   /* lines of its reply to EHLO: "250-DSN\r\n" */
    unsigned serves_most; /* connections; those beyond are greeted with 421; 0 = no bound */

    unsigned connections; /* so far */
    unsigned messages;    /* accepted */
    unsigned transactions;
    unsigned open, open_most;
    struct buf recipients; /* accepted ones, one a line, a blank line behind each transaction */
    struct buf last_body;
};

struct smtp_peer_conn {
    struct list link;
    struct smtp_peer *peer;
    struct conn *conn;
    bool in_data;
    bool turned_away;
};

static inline void smtp_peer_say(struct smtp_peer_conn *c, const char *reply)
{
    if (reply[0] == '\0')
        return;
    conn_write(c->conn, span_cstr(reply));
    conn_write(c->conn, SPAN("\r\n"));
    if (strncmp(reply, "421", 3) == 0)
        conn_finish(c->conn);
}

static inline void smtp_peer_end_data(struct smtp_peer_conn *c, struct span body)
{
    struct smtp_peer *peer = c->peer;

    buf_clear(&peer->last_body);
    buf_add(&peer->last_body, body);
    buf_add(&peer->recipients, SPAN("\n"));
    c->in_data = false;
    peer->transactions++;
    if (peer->final[0] == '2')
        peer->messages++;
    smtp_peer_say(c, peer->final);
}

static inline void smtp_peer_rcpt(struct smtp_peer_conn *c, struct span line)
{
    struct smtp_peer *peer = c->peer;
    struct span address = span_from(line, sizeof "RCPT TO:<" - 1);

    address.len = span_index(address, '>');
    const char *reply = peer->judge != NULL ? peer->judge(peer, address) : peer->rcpt;
    if (reply[0] == '2') {
        buf_add(&peer->recipients, address);
        buf_add(&peer->recipients, SPAN("\n"));
    }
    smtp_peer_say(c, reply);
}

static inline void smtp_peer_command(struct smtp_peer_conn *c, struct span line)
{
    struct smtp_peer *peer = c->peer;

    if (span_starts_nocase(line, SPAN("EHLO"))) {
        conn_write(c->conn, SPAN("250-peer\r\n"));
        conn_write(c->conn, span_cstr(peer->offers));
        smtp_peer_say(c, "250 PIPELINING");
    } else if (span_starts_nocase(line, SPAN("MAIL"))) {
        smtp_peer_say(c, peer->mail);
    } else if (span_starts_nocase(line, SPAN("RCPT"))) {
        smtp_peer_rcpt(c, line);
    } else if (span_starts_nocase(line, SPAN("DATA"))) {
        c->in_data = peer->data[0] == '3';
        smtp_peer_say(c, peer->data);
    } else if (span_starts_nocase(line, SPAN("QUIT"))) {
        smtp_peer_say(c, "221 bye");
        conn_finish(c->conn);
    } else {
        smtp_peer_say(c, "250 ok");
    }
}

/* Length of the data up to and with its end, or 0. An empty body is only its end. */
static inline size_t smtp_peer_data_end(struct span input)
{
    if (input.len == 0)
        return 0;
    const char *end = memmem(input.ptr, input.len, "\r\n.\r\n", 5);
    if (input.len >= 3 && memcmp(input.ptr, ".\r\n", 3) == 0)
        return 3;
    return end ? (size_t)(end - input.ptr) + 5 : 0;
}

/* False where more has to come first. */
static inline bool smtp_peer_step(struct smtp_peer_conn *c)
{
    struct span input = conn_input(c->conn);
    size_t taken;

    if (c->in_data) {
        taken = smtp_peer_data_end(input);
        if (taken > 0)
            smtp_peer_end_data(c, span_head(input, taken - 3));
    } else {
        size_t end = span_index(input, '\n');
        taken = end < input.len ? end + 1 : 0;
        if (taken > 0)
            smtp_peer_command(c, span_head(input, end));
    }
    if (taken > 0)
        conn_consume(c->conn, taken);
    return taken > 0 && !conn_is_closing(c->conn);
}

static inline void smtp_peer_forget(struct smtp_peer_conn *c)
{
    if (!c->turned_away)
        c->peer->open--;
    list_remove(&c->link);
    free(c);
}

static inline void smtp_peer_on_event(struct conn *conn, enum conn_event event, void *owner)
{
    struct smtp_peer_conn *c = owner;

    switch (event) {
    case CONN_INPUT:
        while (smtp_peer_step(c))
            ;
        break;
    case CONN_EOF:
    case CONN_FAILED:
        conn_close(conn);
        break;
    case CONN_CLOSED:
        smtp_peer_forget(c);
        break;
    default:
        break;
    }
}

static inline void smtp_peer_on_accept(struct conn *conn, void *owner)
{
    struct smtp_peer *peer = owner;
    struct smtp_peer_conn *c = mem_zalloc(sizeof *c);

    c->peer = peer;
    c->conn = conn;
    list_append(&peer->conns, &c->link);
    conn_set_owner(conn, smtp_peer_on_event, c);
    conn_set_input_max(conn, 1 << 24); /* a whole body */
    peer->connections++;
    c->turned_away = peer->serves_most > 0 && peer->open == peer->serves_most;
    if (c->turned_away) {
        smtp_peer_say(c, "421 4.7.0 too many of you");
        return;
    }
    peer->open++;
    peer->open_most = peer->open > peer->open_most ? peer->open : peer->open_most;
    smtp_peer_say(c, peer->greeting);
}

/* Bound to a free port where connecting is still refused. */
static inline void smtp_peer_open(struct smtp_peer *peer, struct loop *loop)
{
    struct sockaddr_in loopback = {.sin_family = AF_INET,
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr_storage bound;

    *peer = (struct smtp_peer){.loop = loop,
                               .greeting = "220 peer",
                               .offers = "",
                               .mail = "250 2.1.0 ok",
                               .rcpt = "250 2.1.5 ok",
                               .data = "354 go",
                               .final = "250 2.0.0 taken"};
    list_init(&peer->conns);
    buf_init(&peer->recipients, 0);
    buf_init(&peer->last_body, 0);
    assert_false(err_is(listener_bind((struct sockaddr *)&loopback, &peer->fd)));
    assert_false(err_is(listener_address(peer->fd, &bound)));
    peer->port = ntohs(((struct sockaddr_in *)&bound)->sin_port);
}

static inline void smtp_peer_listen(struct smtp_peer *peer)
{
    assert_false(
        err_is(listener_create(peer->loop, peer->fd, smtp_peer_on_accept, peer, &peer->listener)));
    peer->fd = -1;
}

/* Answers on every connection that waits for one, e.g. for a `final` that was empty. */
static inline void smtp_peer_answer(struct smtp_peer *peer, const char *reply)
{
    for (struct list *at = peer->conns.next; at != &peer->conns; at = at->next)
        smtp_peer_say(container_of(at, struct smtp_peer_conn, link), reply);
}

static inline void smtp_peer_cut(struct smtp_peer *peer)
{
    for (struct list *at = peer->conns.next; at != &peer->conns; at = at->next)
        conn_close(container_of(at, struct smtp_peer_conn, link)->conn);
}

static inline void smtp_peer_close(struct smtp_peer *peer)
{
    listener_close(peer->listener);
    if (peer->fd >= 0)
        close(peer->fd);
    smtp_peer_cut(peer);
    TURN_UNTIL(peer->loop, list_is_empty(&peer->conns));
    turn_once(peer->loop);
    buf_fini(&peer->recipients);
    buf_fini(&peer->last_body);
}

#endif
