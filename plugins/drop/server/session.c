/*
 * session: what the sessions of all protocols have in common: how one begins, is counted, is told
 * to go, and ends.
 */
#include "base/memory.h"
#include "plugins/drop/server/private.h"
#include "proto/ip.h"

#include <stdio.h>
#include <stdlib.h>

enum { BY_USER = 'u', BY_ADDRESS = 'a', BY_CLAIM = 'c' };

static const char *const busy[DROP_DOORS] = {
    [DROP_RELAY] = "421 4.3.2 Too many sessions, try again later\r\n",
    [DROP_LMTP] = "421 4.3.2 Too many sessions, try again later\r\n",
    [DROP_POP3] = "-ERR [SYS/TEMP] Too many sessions, try again later\r\n",
    [DROP_IMAP] = "* BYE [UNAVAILABLE] Too many sessions, try again later\r\n",
    [DROP_POP3S] = NULL, /* nothing can be said before the handshake */
    [DROP_IMAPS] = NULL,
};

static bool is_implicit(enum drop_door door)
{
    return door == DROP_POP3S || door == DROP_IMAPS;
}

static const struct drop_protocol *protocol_of(const struct drop_session *session)
{
    return session->worker->server->protocols[session->door];
}

static void on_refused(struct conn *conn, enum conn_event event, void *owner)
{
    (void)owner;
    if (event == CONN_FAILED || event == CONN_DEADLINE)
        conn_close(conn);
}

static void turn_away(struct conn *conn, enum drop_door door)
{
    conn_set_owner(conn, on_refused, NULL);
    if (busy[door] == NULL) {
        conn_close(conn);
        return;
    }
    conn_write(conn, span_cstr(busy[door]));
    conn_finish(conn);
}

/* A local socket's peers are told apart by nothing, and not counted by address. */
static struct span address_of(const struct drop_session *session, char text[IP_TEXT_MAX])
{
    struct ip_address ip;

    if (!ip_from_sockaddr((const struct sockaddr *)&session->peer, &ip))
        return SPAN_NONE;
    return span_of(text, ip_format(&ip, text));
}

static void on_securing(struct conn *conn, enum conn_event event, void *owner)
{
    struct drop_session *session = owner;

    switch (event) {
    case CONN_SECURED:
        session->is_tls = true;
        protocol_of(session)->open(session);
        break;
    case CONN_DEADLINE:
        session->closed = "no TLS handshake in time";
        conn_close(conn);
        break;
    case CONN_FAILED:
    case CONN_EOF:
        session->closed = "TLS handshake failed";
        conn_close(conn);
        break;
    case CONN_CLOSED:
        drop_session_end(session);
        break;
    default:
        break;
    }
}

static void shut_securing(struct drop_session *session)
{
    session->closed = "server stops";
    conn_close(session->conn);
}

static bool take_seat(struct drop_session *session)
{
    struct drop_server *server = session->worker->server;
    char text[IP_TEXT_MAX];
    struct span address = address_of(session, text);

    if (atomic_load(&server->sessions) >= server->settings.sessions_max ||
        (address.len > 0 && !registry_enter(server->registry, BY_ADDRESS, address,
                                            server->settings.sessions_per_address)))
        return false;
    atomic_fetch_add(&server->sessions, 1);
    return true;
}

void session_accept(struct drop_seat *seat, struct conn *conn)
{
    struct drop_worker *worker = &seat->member->worker;
    struct drop_session *session = mem_zalloc(worker->server->protocols[seat->door]->session_size);

    session->worker = worker;
    session->conn = conn;
    session->door = seat->door;
    session->began = loop_now(worker->loop);
    session->shut = shut_securing;
    const struct sockaddr *peer = conn_peer(conn);
    if (peer->sa_family == AF_UNIX) /* of which only the family is there */
        session->peer.ss_family = AF_UNIX;
    else
        memcpy(&session->peer, peer, sockaddr_size(peer));
    list_init(&session->link);
    if (seat->member->is_stopping || !take_seat(session)) {
        free(session);
        turn_away(conn, seat->door);
        return;
    }
    drop_session_count(session, DROP_COUNT_SESSIONS);
    session->id = atomic_fetch_add(&worker->server->next_id, 1) + 1;
    list_append(&worker->sessions, &session->link);
    if (!is_implicit(seat->door)) {
        protocol_of(session)->open(session);
        return;
    }
    conn_set_owner(conn, on_securing, session);
    conn_deadline(conn, worker->settings->login_timeout);
    drop_session_start_tls(session);
}

bool drop_worker_has_tls(const struct drop_worker *worker)
{
    return worker->server->certificate != NULL;
}

void drop_session_start_tls(struct drop_session *session)
{
    session->tls = server_tls(session->worker->server);
    conn_start_tls_server(session->conn, session->tls, NULL);
}

void drop_session_count(const struct drop_session *session, enum drop_count count)
{
    atomic_fetch_add_explicit(&session->worker->server->counts[count], 1, memory_order_relaxed);
}

bool drop_session_login(struct drop_session *session, struct span user)
{
    struct drop_server *server = session->worker->server;

    if (user.len > MAILSTORE_USER_MAX ||
        !registry_enter(server->registry, BY_USER, user, server->settings.sessions_per_user))
        return false;
    memcpy(session->user, user.ptr, user.len);
    session->is_counted_user = true;
    return true;
}

bool drop_session_claim(struct drop_session *session)
{
    session->is_claimed =
        registry_enter(session->worker->server->registry, BY_CLAIM, span_cstr(session->user), 1);
    return session->is_claimed;
}

void drop_session_unclaim(struct drop_session *session)
{
    if (session->is_claimed)
        registry_leave(session->worker->server->registry, BY_CLAIM, span_cstr(session->user));
    session->is_claimed = false;
}

static void log_end_of(struct drop_session *session)
{
    struct log_line line;

    if (!drop_session_log(session, &line, LOG_INFO, "mailbox-session"))
        return;
    log_u64(&line, "ms", loop_now(session->worker->loop) - session->began);
    log_text(&line, "closed", session->closed != NULL ? session->closed : "client left");
    log_end(&line);
}

void drop_session_end(struct drop_session *session)
{
    struct drop_member *member = container_of(session->worker, struct drop_member, worker);
    struct drop_server *server = session->worker->server;
    char text[IP_TEXT_MAX];
    struct span address = address_of(session, text);

    log_end_of(session);
    drop_session_unclaim(session);
    if (session->is_counted_user)
        registry_leave(server->registry, BY_USER, span_cstr(session->user));
    if (address.len > 0)
        registry_leave(server->registry, BY_ADDRESS, address);
    atomic_fetch_sub(&server->sessions, 1);
    list_remove(&session->link);
    tls_server_unref(session->tls);
    free(session);
    server_check_stopped(member);
}

bool drop_session_log(struct drop_session *session, struct log_line *line, enum log_level level,
                      const char *event)
{
    char text[IP_TEXT_MAX];

    if (!log_begin(line, level, event))
        return false;
    log_u64(line, "sid", session->id);
    log_text(line, "protocol", protocol_of(session)->name);
    struct span address = address_of(session, text);
    log_span(line, "client", address.len > 0 ? address : SPAN("local"));
    if (session->user[0] != '\0')
        log_text(line, "user", session->user);
    return true;
}

/* Nobody listens on the way. */
static bool is_loopback(const struct sockaddr *peer)
{
    static const struct ip_network v4 = {AF_INET, 8, {127}};
    static const struct ip_network v6 = {
        AF_INET6, 128, {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}};

    return ip_network_contains(&v4, peer) || ip_network_contains(&v6, peer);
}

bool drop_session_may_log_in(const struct drop_session *session)
{
    return session->is_tls || session->worker->settings->plaintext_login ||
           is_loopback((const struct sockaddr *)&session->peer);
}

void session_shut_all(struct drop_member *member)
{
    for (struct list *l = member->worker.sessions.next; l != &member->worker.sessions;
         l = l->next) {
        struct drop_session *session = container_of(l, struct drop_session, link);
        session->shut(session);
    }
}

void session_close_all(struct drop_member *member)
{
    for (struct list *l = member->worker.sessions.next; l != &member->worker.sessions;
         l = l->next) {
        struct drop_session *session = container_of(l, struct drop_session, link);
        session->closed = "server stops";
        if (session->conn != NULL)
            conn_close(session->conn);
    }
}
