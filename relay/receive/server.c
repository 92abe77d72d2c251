#include "receive/session.h"

#include <limits.h>
#include <stdlib.h>

struct receive_server *receive_server_create(const struct receive_options *options)
{
    struct receive_server *server = mem_zalloc(sizeof *server);

    server->loop = options->loop;
    server->queue = options->queue;
    server->limits = options->limits;
    server->auth = options->auth;
    server->resolver = options->resolver;
    server->recipients = options->recipients;
    server->plugins = options->plugins;
    server->guard = options->guard;
    server->workers = options->workers ? options->workers : 1;
    server->accepted = options->accepted;
    server->imported = options->imported;
    server->context = options->context;
    list_init(&server->idle);
    list_init(&server->imports);
    return server;
}

void receive_server_configure(struct receive_server *server, struct conf *conf,
                              struct tls_server *tls)
{
    conf_unref(server->conf);
    tls_server_unref(server->tls);
    server->conf = conf_ref(conf);
    server->lists_warned = 0;
    server->tls = tls_server_ref(tls);
}

static void turn_away(struct conn *conn, const char *reply)
{
    conn_set_owner(conn, NULL, NULL);
    conn_write(conn, span_cstr(reply));
    conn_finish(conn);
}

static enum limit_result take_seat(struct receive_server *server, const struct sockaddr *peer,
                                   struct receive_seat *seat)
{
    enum limit_result result = receive_limits_enter(server->limits, server->conf, peer, seat);

    if (result == LIMIT_SESSIONS && receive_server_make_room(server))
        result = receive_limits_enter(server->limits, server->conf, peer, seat);
    stress_notice(server);
    return result;
}

void receive_server_accept(struct receive_server *server, struct conn *conn,
                           const struct receive_listener *listener)
{
    struct receive_seat seat;

    if (server->is_stopping) {
        turn_away(conn, "421 4.3.2 The service is shutting down, try again later\r\n");
        return;
    }
    switch (take_seat(server, conn_peer(conn), &seat)) {
    case LIMIT_OK:
        session_start(server, conn, listener, &seat);
        break;
    case LIMIT_SESSIONS:
        turn_away(conn, "421 4.3.2 Too many sessions, try again later\r\n");
        break;
    case LIMIT_CLIENT:
        turn_away(conn, "421 4.7.0 Too many sessions from your address\r\n");
        break;
    }
}

void server_add_session(struct session *s)
{
    s->place = roster_add(&s->server->sessions, s, s->id);
    stress_watch(s->server);
}

void server_forget_session(struct session *s)
{
    roster_remove(&s->server->sessions, s->place);
    server_check_stopped(s->server);
}

void server_check_stopped(struct receive_server *server)
{
    if (server->stopped == NULL || server->sessions.count > 0 || server->detached > 0)
        return;
    struct call *stopped = server->stopped;
    server->stopped = NULL;
    loop_defer(server->loop, stopped);
}

void receive_server_stop(struct receive_server *server, struct call *stopped)
{
    server->is_stopping = true;
    server->stopped = stopped;
    imports_stop(server);
    unsigned place = 0;
    for (struct session *s; (s = roster_next(&server->sessions, &place, UINT_MAX)) != NULL;) {
        s->stopping = true;
        session_run(s);
    }
    server_check_stopped(server);
}

void receive_server_free(struct receive_server *server)
{
    if (server == NULL)
        return;
    conf_unref(server->conf);
    tls_server_unref(server->tls);
    timer_stop(server->loop, &server->watch);
    timer_stop(server->loop, &server->patrol);
    roster_fini(&server->sessions);
    while (server->tap_count > 0)
        tap_unref(server->taps[--server->tap_count]);
    free(server);
}

const struct receive_counters *receive_server_counters(const struct receive_server *server)
{
    return &server->counters;
}
