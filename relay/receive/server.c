#include "receive/session.h"

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
    server->guard = options->guard;
    server->workers = options->workers ? options->workers : 1;
    server->accepted = options->accepted;
    server->context = options->context;
    list_init(&server->sessions);
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

void receive_server_accept(struct receive_server *server, struct conn *conn,
                           const struct receive_listener *listener)
{
    if (server->is_stopping) {
        turn_away(conn, "421 4.3.2 The service is shutting down, try again later\r\n");
        return;
    }
    switch (receive_limits_enter(server->limits, server->conf, conn_peer(conn))) {
    case LIMIT_OK:
        session_start(server, conn, listener);
        break;
    case LIMIT_SESSIONS:
        turn_away(conn, "421 4.3.2 Too many sessions, try again later\r\n");
        break;
    case LIMIT_CLIENT:
        turn_away(conn, "421 4.7.0 Too many sessions from your address\r\n");
        break;
    }
}

void server_forget_session(struct session *s)
{
    list_remove(&s->link);
    server_check_stopped(s->server);
}

void server_check_stopped(struct receive_server *server)
{
    if (server->stopped == NULL || !list_is_empty(&server->sessions) || server->detached > 0)
        return;
    struct call *stopped = server->stopped;
    server->stopped = NULL;
    loop_defer(server->loop, stopped);
}

void receive_server_stop(struct receive_server *server, struct call *stopped)
{
    server->is_stopping = true;
    server->stopped = stopped;
    for (struct list *node = server->sessions.next, *next; node != &server->sessions; node = next) {
        struct session *s = container_of(node, struct session, link);
        next = node->next;
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
    free(server);
}

const struct receive_counters *receive_server_counters(const struct receive_server *server)
{
    return &server->counters;
}
