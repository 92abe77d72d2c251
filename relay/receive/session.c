/*
 * The session's states and what moves it between them. Commands are executed one after the other,
 * so replies leave in their order; while a command waits (for a route, for the disk) input stays
 * in the conn, which stops reading when it has enough.
 */
#include "receive/session.h"

#include "base/clock.h"
#include "base/log.h"
#include "proto/base32.h"
#include "proto/smtp_reply.h"
#include "proto/utf8.h"

#include <stdio.h>
#include <stdlib.h>

static bool is_in_message(const struct session *s)
{
    return s->state == SESSION_DATA || s->state == SESSION_CHUNK;
}

static uint64_t next_session_id(void)
{
    static _Atomic uint64_t last;

    return atomic_fetch_add_explicit(&last, 1, memory_order_relaxed) + 1;
}

static uint64_t deadline_of(const struct session *s, enum session_state state)
{
    switch (state) {
    case SESSION_PROXY:
    case SESSION_HANDSHAKE:
        return s->conf->tls_handshake_timeout;
    case SESSION_COMMAND:
    case SESSION_AUTH:
        return s->conf->command_timeout;
    case SESSION_SCREEN:
        return s->conf->greeting_delay;
    case SESSION_DATA:
    case SESSION_CHUNK:
        return s->conf->data_timeout;
    case SESSION_NEW:
    case SESSION_HOOK: /* plugins, the router, the pool and the store answer for themselves */
    case SESSION_ROUTE:
    case SESSION_VERIFY:
    case SESSION_STAGE:
    case SESSION_COMMIT:
    case SESSION_CLOSED:
        return 0;
    }
    return 0;
}

const char *session_state_text(enum session_state state)
{
    static const char *const texts[] = {
        [SESSION_NEW] = "new",
        [SESSION_PROXY] = "waiting for a PROXY header",
        [SESSION_HANDSHAKE] = "negotiating TLS",
        [SESSION_SCREEN] = "waiting for its greeting",
        [SESSION_HOOK] = "asking plugins",
        [SESSION_COMMAND] = "waiting for a command",
        [SESSION_ROUTE] = "asking for a route",
        [SESSION_AUTH] = "waiting for a log-in response",
        [SESSION_VERIFY] = "checking a password",
        [SESSION_DATA] = "receiving data",
        [SESSION_CHUNK] = "receiving a chunk",
        [SESSION_STAGE] = "waiting for room in the store",
        [SESSION_COMMIT] = "committing a message",
        [SESSION_CLOSED] = "closing",
    };

    return texts[state];
}

static void log_session(const struct session *s, enum log_level level, const char *event,
                        const char *key, const char *value)
{
    struct log_line line;

    if (!log_begin(&line, level, event))
        return;
    log_u64(&line, "sid", s->id);
    log_text(&line, "client", s->client);
    log_text(&line, key, value);
    log_end(&line);
}

/* The most that the present state may last while the process is under stress. */
static uint64_t hurried(const struct session *s, uint64_t ms)
{
    uint64_t most =
        is_in_message(s) ? s->conf->stress_data_timeout : s->conf->stress_command_timeout;

    if (!s->server->is_stressed || s->state == SESSION_SCREEN)
        return ms; /* that one does not wait for its client */
    return ms > most ? most : ms;
}

/* It has done nothing yet, and nothing is under way. */
static bool may_give_way(const struct session *s)
{
    bool waits =
        s->state == SESSION_COMMAND || s->state == SESSION_HANDSHAKE || s->state == SESSION_PROXY;

    return waits && s->tx == NULL && s->messages == 0 && s->user == NULL;
}

/* For whom the present state waits has its time from now. */
static void wait_anew(struct session *s)
{
    s->active = loop_now(s->server->loop);
    conn_deadline(s->conn, hurried(s, deadline_of(s, s->state)));
    list_remove(&s->idle);
    if (may_give_way(s))
        list_append(&s->server->idle, &s->idle);
}

void session_hurry(struct session *s)
{
    uint64_t all = deadline_of(s, s->state), waited = loop_now(s->server->loop) - s->active;

    if (all > 0 && s->state != SESSION_SCREEN)
        conn_deadline(s->conn, hurried(s, all > waited ? all - waited : 1));
}

void session_enter(struct session *s, enum session_state state)
{
    if (s->state == SESSION_CLOSED)
        return;
    log_session(s, LOG_DEBUG, "session-state", "state", session_state_text(state));
    if (state != s->state)
        s->since = loop_now(s->server->loop);
    s->state = state;
    if (state != SESSION_CLOSED) {
        wait_anew(s);
    } else {
        list_remove(&s->idle);
        hooks_abandon(s);
    }
}

/* RFC 5321 4.2, RFC 6531 3.1: who has not said SMTPUTF8 is told ASCII. */
static struct span fit_for_client(const struct session *s, struct span text, struct arena *arena)
{
    bool takes_utf8 = s->tx != NULL && (s->tx->message->flags & QUEUE_SMTPUTF8) != 0;

    return takes_utf8 && utf8_is_valid(text) ? text : utf8_to_ascii(text, arena);
}

void session_reply_span(struct session *s, uint16_t code, struct enhanced_code enhanced,
                        struct span text)
{
    struct arena arena;

    if (s->state == SESSION_CLOSED)
        return;
    /* The output buffer has no bound of its own, so this cannot be refused; what a client can
     * make us gather is bounded by its being congested. */
    struct buf *out = conn_output(s->conn);
    size_t before = buf_len(out);
    arena_init(&arena);
    if (!smtp_reply_write(out, code, enhanced, fit_for_client(s, text, &arena)))
        abort();
    arena_fini(&arena);
    conn_written(s->conn);
    if (s->is_tapped)
        tapped_reply(s, span_from(buf_span(out), before));
    if (code >= 400 && code != 421) { /* why it closed is told by its reason */
        s->error_code = code;
        s->error_enhanced = enhanced;
    }
}

void session_reply(struct session *s, uint16_t code, struct enhanced_code enhanced,
                   const char *text)
{
    session_reply_span(s, code, enhanced, span_cstr(text));
}

void session_end(struct session *s, const char *reason)
{
    if (s->state == SESSION_CLOSED)
        return;
    s->close_reason = reason;
    session_enter(s, SESSION_CLOSED);
    conn_finish(s->conn);
}

void session_refuse_span(struct session *s, uint16_t code, struct enhanced_code enhanced,
                         struct span text)
{
    session_reply_span(s, code, enhanced, text);
    session_count_error(s);
}

void session_count_error(struct session *s)
{
    rates_note_error(s);
    if (++s->errors < s->conf->errors_max || s->state == SESSION_CLOSED)
        return;
    session_reply(s, 421, ESC(4, 7, 0), "Too many errors");
    session_end(s, "too many errors");
}

void session_refuse(struct session *s, uint16_t code, struct enhanced_code enhanced,
                    const char *text)
{
    session_refuse_span(s, code, enhanced, span_cstr(text));
}

static void on_let_in(struct session *s, const struct status *refusal)
{
    char text[320];

    /* Who did not wait while plugins thought. Behind XCLIENT others may. */
    if (s->listener.role == CONF_ROLE_RELAY && !s->is_proxied && conn_input(s->conn).len > 0)
        screen_take(s);
    if (s->state == SESSION_CLOSED)
        return;
    if (refusal != NULL) {
        count(&s->server->counters.rejected);
        session_reply_span(s, refusal->code, refusal->enhanced, refusal->text);
        session_end(s, "refused by a plugin");
        return;
    }
    snprintf(text, sizeof text, "%s %s Smarthop", s->conf->hostname,
             session_is_lmtp(s) ? "LMTP" : "ESMTP");
    session_reply(s, 220, ESC_NONE, text);
    session_enter(s, SESSION_COMMAND);
}

void session_greet(struct session *s)
{
    hooks_ask(s, SMARTHOP_ON_CONNECT, on_let_in);
}

static void session_free(struct session *s)
{
    struct receive_server *server = s->server;

    session_log_close(s);
    if (s->is_tapped)
        tapped_close(s);
    timer_stop(server->loop, &s->lifetime);
    if (s->tx != NULL)
        transaction_drop(s->tx);
    receive_limits_leave(server->limits, &s->seat);
    auth_abandon(s);
    screen_abandon(s);
    certificate_forget(s);
    server_forget_session(s);
    conf_unref(s->conf);
    tls_server_unref(s->tls);
    free(s->hello);
    free(s->user);
    free(s->tenant);
    free(s->tags);
    free(s->wishes);
    free(s);
}

static void on_deadline(struct session *s)
{
    if (s->state == SESSION_HANDSHAKE || s->state == SESSION_PROXY) {
        bool tls = s->state == SESSION_HANDSHAKE;
        session_cut(s, tls ? "TLS handshake timed out" : "PROXY header timed out");
        return;
    }
    if (s->state == SESSION_SCREEN) {
        screen_on_deadline(s);
        return;
    }
    session_reply(s, 421, ESC(4, 4, 2), "Timed out waiting for you");
    session_end(s, is_in_message(s) ? "timed out in data" : "timed out between commands");
}

void session_cut(struct session *s, const char *reason)
{
    if (s->state != SESSION_CLOSED) {
        s->close_reason = reason;
        session_enter(s, SESSION_CLOSED);
    }
    conn_close(s->conn);
}

static void on_secured(struct session *s)
{
    s->secured = true;
    certificate_take(s);
    if (s->is_tapped)
        tapped_secured(s);
    if (s->listener.tls == CONF_TLS_IMPLICIT)
        screen_begin(s);
    else
        session_enter(s, SESSION_COMMAND); /* RFC 3207 4.2: everything is as at the start */
    session_run(s);
}

static void on_failed(struct session *s)
{
    bool tls = s->state == SESSION_HANDSHAKE;

    log_session(s, tls ? LOG_INFO : LOG_DEBUG, tls ? "tls-failed" : "session-lost", "error",
                conn_error_text(s->conn));
    session_cut(s, tls ? "TLS handshake failed" : "connection lost");
}

/* While plugins are asked about the last that it has said: nobody is left to be answered. One that
 * has only shut down its side did so before, or has said QUIT. */
static void on_client_gone(struct session *s)
{
    s->client_gone = true;
    if (conn_input(s->conn).len == 0 && hooks_are_awaited(s))
        session_end(s, "client left while plugins were asked");
    else
        session_run(s);
}

static void on_event(struct conn *conn, enum conn_event event, void *owner)
{
    struct session *s = owner;

    (void)conn;
    switch (event) {
    case CONN_INPUT:
    case CONN_DRAINED:
        session_run(s);
        break;
    case CONN_SECURED:
        on_secured(s);
        break;
    case CONN_EOF:
        on_client_gone(s);
        break;
    case CONN_DEADLINE:
        on_deadline(s);
        break;
    case CONN_FAILED:
        on_failed(s);
        break;
    case CONN_CLOSED:
        session_free(s);
        break;
    case CONN_CONNECTED:
        break;
    }
}

/* The client has sent its last byte. What it sent before is still answered: one that wrote all its
 * commands and shut down its side waits for the replies. */
static void leave_if_gone(struct session *s)
{
    switch (s->state) {
    case SESSION_HOOK: /* these come here again */
    case SESSION_ROUTE:
    case SESSION_VERIFY:
    case SESSION_STAGE:
    case SESSION_COMMIT:
    case SESSION_CLOSED:
        return;
    case SESSION_SCREEN:
        if (conn_input(s->conn).len > 0)
            return; /* to be answered when it has been greeted */
        break;
    case SESSION_NEW:
    case SESSION_PROXY:
    case SESSION_HANDSHAKE:
    case SESSION_COMMAND:
    case SESSION_AUTH:
    case SESSION_DATA:
    case SESSION_CHUNK:
        break;
    }
    if (s->client_gone)
        session_end(s, is_in_message(s) ? "client left in data" : "client left");
}

/* A broken line: RFC 5321 2.3.8 and 4.1.1 allow no other line end. Nothing behind it is to be
 * trusted to be what the client meant, so a bare LF ends the session. */
static void refuse_line(struct session *s, const struct smtp_command *command)
{
    char text[96];

    snprintf(text, sizeof text, "Command refused: %s", smtp_command_error_text(command->error));
    if (command->error == SMTP_COMMAND_BARE_LF) {
        session_reply(s, 521, ESC(5, 5, 2), text);
        session_end(s, "bare LF in a command");
        return;
    }
    session_refuse(s, 500, ESC(5, 5, 2), text);
}

static void take_line(struct session *s, const struct smtp_command *command)
{
    bool in_auth = s->state == SESSION_AUTH;

    if (in_auth)
        auth_take_line(s, command);
    else if (command->error == SMTP_COMMAND_OK)
        command_execute(s, command);
    if (command->error != SMTP_COMMAND_OK && !(in_auth && command->error == SMTP_COMMAND_TOO_LONG))
        refuse_line(s, command);
}

static bool take_command(struct session *s)
{
    struct smtp_command command;
    size_t consumed = 0;

    enum parse_result result =
        smtp_command_parse(&s->parser, conn_input(s->conn), &consumed, &command);
    if (result == PARSE_DONE && s->is_tapped)
        tapped_command(s, &command);
    if (result == PARSE_DONE) {
        if (screen_is_premature(s, &command, conn_input(s->conn).len - consumed))
            screen_refuse_early(s, "Commands sent before PIPELINING was offered",
                                "pipelining before EHLO");
        else
            take_line(s, &command);
        if (s->state == SESSION_COMMAND)
            wait_anew(s); /* for each command */
    }
    /* A STARTTLS has dropped its input already. */
    if (s->state != SESSION_HANDSHAKE)
        conn_consume(s->conn, consumed);
    return result == PARSE_DONE;
}

/* Says 421 where something can be said. */
static void show_out(struct session *s, const char *text, const char *reason)
{
    if (s->state == SESSION_HANDSHAKE || s->state == SESSION_PROXY) {
        session_cut(s, reason);
        return;
    }
    session_reply(s, 421, ESC(4, 3, 2), text);
    session_end(s, reason);
}

void session_dismiss(struct session *s)
{
    s->dismissed = s->state == SESSION_COMMIT;
    if (!s->dismissed)
        show_out(s, "This session has been ended by the operator", "ended by the operator");
}

void session_give_way(struct session *s)
{
    receive_limits_leave(s->server->limits, &s->seat);
    show_out(s, "Too many sessions, and this one was idle", "made room");
}

static bool stop_here(struct session *s)
{
    if (s->dismissed && s->state == SESSION_COMMAND) {
        session_dismiss(s);
        return true;
    }
    if ((s->state == SESSION_HANDSHAKE || s->state == SESSION_PROXY) && s->server->is_stopping) {
        session_cut(s, "shutdown");
        return true;
    }
    if (!s->stopping ||
        (s->state != SESSION_SCREEN && s->state != SESSION_HOOK && s->state != SESSION_COMMAND &&
         s->state != SESSION_AUTH && !(s->state == SESSION_ROUTE && hooks_are_awaited(s))))
        return false;
    if (s->tx != NULL && !s->server->is_stopping)
        return false; /* only too old: its message may still come */
    if (s->server->is_stopping) {
        session_reply(s, 421, ESC(4, 3, 2), "The service is shutting down, try again later");
        session_end(s, "shutdown");
    } else {
        session_reply(s, 421, ESC(4, 4, 2), "This session has lasted too long");
        session_end(s, "session too long");
    }
    return true;
}

void session_run(struct session *s)
{
    while (!stop_here(s)) {
        if (conn_is_congested(s->conn))
            return; /* a client that does not read gets no further replies to read */
        bool went_on = false, has_input = conn_input(s->conn).len > 0;
        if (s->state == SESSION_PROXY && has_input)
            went_on = proxy_take(s);
        else if (s->state == SESSION_SCREEN && has_input)
            went_on = screen_take(s);
        else if ((s->state == SESSION_COMMAND || s->state == SESSION_AUTH) && has_input)
            went_on = take_command(s);
        else if (s->state == SESSION_DATA && has_input)
            went_on = data_take(s);
        else if (s->state == SESSION_CHUNK)
            went_on = chunk_take(s); /* a chunk may be empty */
        if (!went_on)
            break;
    }
    leave_if_gone(s);
}

/* A session that has lasted too long ends between two messages; one that is busy with a message
 * gets the time of one more data deadline for it. */
static void on_lifetime(struct timer *timer)
{
    struct session *s = container_of(timer, struct session, lifetime);
    bool waits_for_client =
        s->state == SESSION_COMMAND || s->state == SESSION_AUTH || is_in_message(s);

    s->stopping = true;
    session_run(s);
    if (s->overdue && waits_for_client && s->state != SESSION_CLOSED) {
        session_reply(s, 421, ESC(4, 4, 2), "This session has lasted too long");
        session_end(s, "session too long");
    }
    s->overdue = true;
    if (s->state != SESSION_CLOSED)
        timer_start(s->server->loop, &s->lifetime, s->conf->data_timeout, on_lifetime);
}

bool session_may_handshake(struct session *s)
{
    return receive_limits_handshake(s->server->limits, s->conf, session_peer(s), clock_mono_ms());
}

void session_begin(struct session *s)
{
    s->may_xclient = conf_networks_contain(&s->conf->xclient_networks, session_peer(s));
    if (s->is_tapped)
        tapped_begin(s);
    if (!s->may_xclient && !rates_admit(s))
        return; /* whom a proxy stands for is judged when it tells */
    if (s->listener.tls != CONF_TLS_IMPLICIT) {
        screen_begin(s);
    } else if (!session_may_handshake(s)) {
        session_cut(s, "too many TLS handshakes");
    } else {
        session_enter(s, SESSION_HANDSHAKE);
        /* Behind a PROXY header the handshake may have begun to arrive with it. */
        conn_continue_tls_server(s->conn, s->tls, certificate_clients(s));
    }
}

const struct sockaddr *session_peer(const struct session *s)
{
    return (const struct sockaddr *)&s->peer;
}

void session_set_peer(struct session *s, const struct sockaddr *peer)
{
    bool local = peer->sa_family == AF_UNIX;

    memcpy(&s->peer, peer,
           peer->sa_family == AF_INET6 ? sizeof s->peer : sizeof(struct sockaddr_in));
    session_judge_peer(s);
    if (local)
        memcpy(s->client, "local", sizeof "local");
    else if (peer->sa_family == AF_UNSPEC)
        memcpy(s->client, "unknown", sizeof "unknown");
    else
        sockaddr_format_literal(peer, s->client);
    tapped_judge(s);
}

void session_start(struct receive_server *server, struct conn *conn,
                   const struct receive_listener *listener, const struct receive_seat *seat)
{
    struct session *s = mem_zalloc(sizeof *s);

    s->server = server;
    s->conn = conn;
    s->conf = conf_ref(server->conf);
    s->tls = tls_server_ref(server->tls);
    s->listener = *listener;
    if (s->tls == NULL)
        s->listener.tls = CONF_TLS_NONE;
    s->id = next_session_id();
    s->began = s->since = s->active = loop_now(server->loop);
    session_find_rights(s);
    session_set_peer(s, conn_peer(conn));
    s->seat = *seat;
    list_init(&s->idle);
    smtp_command_parser_init(&s->parser, s->conf->command_line_max);
    server_add_session(s);
    count(&server->counters.sessions);
    conn_set_owner(conn, on_event, s);
    if (s->conf->session_timeout > 0)
        timer_start(server->loop, &s->lifetime, s->conf->session_timeout, on_lifetime);
    if (!s->listener.proxy)
        session_begin(s);
    else if (proxy_is_trusted(s))
        session_enter(s, SESSION_PROXY);
    else
        session_cut(s, "not a trusted proxy");
}
