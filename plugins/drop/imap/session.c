/*
 * The session's states and what moves it between them. Commands are executed one after the other,
 * so their answers leave in order; while one waits or is answered, input stays in the conn, which
 * stops reading when it has enough.
 */
#include "plugins/drop/imap/session.h"

#include "base/clock.h"

#include <stdlib.h>

enum {
    SLICE_NS = 4000000,       /* of one session in a round of the loop */
    UNKNOWN_LINE_MAX = 40960, /* of a client that has not logged in: ID may have 30 values of 1024
                                 bytes (RFC 2971 3.3) */
    UNKNOWN_LITERALS_MAX = 4096,
    UNKNOWN_SKIP_MAX = 65536,
};

static const char *state_text(enum imap_session_state state)
{
    static const char *const texts[] = {
        [IMAP_SESSION_COMMAND] = "waiting for a command",
        [IMAP_SESSION_AUTH] = "waiting for a log-in response",
        [IMAP_SESSION_LOGIN] = "checking a log-in",
        [IMAP_SESSION_HANDSHAKE] = "negotiating TLS",
        [IMAP_SESSION_APPEND] = "receiving a message",
        [IMAP_SESSION_ROOM] = "waiting for room in the store",
        [IMAP_SESSION_STORE] = "waiting for the store",
        [IMAP_SESSION_DISK] = "reading from disk",
        [IMAP_SESSION_SEARCH] = "searching",
        [IMAP_SESSION_OUTPUT] = "answering",
        [IMAP_SESSION_IDLE] = "idling",
        [IMAP_SESSION_CLOSED] = "closing",
    };

    return texts[state];
}

/* However many commands come until then. */
static uint64_t left_to_log_in(const struct imap_session *s)
{
    uint64_t all = s->drop.worker->settings->login_timeout;
    uint64_t gone = loop_now(s->drop.worker->loop) - s->drop.began;

    return gone < all ? all - gone : 1;
}

/* For whom the session waits: its client, who is to speak or to read, or somebody of ours. */
static uint64_t deadline_of(const struct imap_session *s)
{
    const struct drop_settings *settings = s->drop.worker->settings;

    if (conn_is_congested(s->drop.conn))
        return settings->write_timeout;
    switch (s->state) {
    case IMAP_SESSION_COMMAND:
    case IMAP_SESSION_AUTH:
    case IMAP_SESSION_HANDSHAKE:
    case IMAP_SESSION_APPEND:
    case IMAP_SESSION_IDLE:
        return imap_is_logged_in(s) ? settings->idle_timeout : left_to_log_in(s);
    case IMAP_SESSION_OUTPUT:
    case IMAP_SESSION_LOGIN:
    case IMAP_SESSION_ROOM:
    case IMAP_SESSION_STORE:
    case IMAP_SESSION_DISK:
    case IMAP_SESSION_SEARCH:
    case IMAP_SESSION_CLOSED:
        return 0;
    }
    return 0;
}

void imap_enter(struct imap_session *s, enum imap_session_state state)
{
    struct log_line line;

    if (s->state == IMAP_SESSION_CLOSED)
        return;
    if (state != s->state && drop_session_log(&s->drop, &line, LOG_DEBUG, "imap-state")) {
        log_text(&line, "state", state_text(state));
        log_end(&line);
    }
    s->state = state;
    if (state != IMAP_SESSION_CLOSED)
        conn_deadline(s->drop.conn, deadline_of(s));
}

void imap_write_on(struct imap_session *s, imap_step *step)
{
    s->step = step;
    imap_enter(s, IMAP_SESSION_OUTPUT);
}

struct buf *imap_out(struct imap_session *s)
{
    return conn_output(s->drop.conn);
}

void imap_written(struct imap_session *s)
{
    conn_written(s->drop.conn);
}

void imap_untagged(struct imap_session *s, const char *text)
{
    if (s->state == IMAP_SESSION_CLOSED)
        return;
    buf_addf(imap_out(s), "* %s\r\n", text);
    imap_written(s);
}

/* ---- the end ------------------------------------------------------------------------------ */

static void leave(struct imap_session *s, const char *reason)
{
    s->drop.closed = reason;
    imap_enter(s, IMAP_SESSION_CLOSED);
    imap_search_abandon(s);
    imap_watch_end(s);
    imap_login_free(s);
}

void imap_hang_up(struct imap_session *s, const char *reason)
{
    if (s->state == IMAP_SESSION_CLOSED)
        return;
    leave(s, reason);
    conn_finish(s->drop.conn);
}

void imap_bye(struct imap_session *s, const char *text, const char *reason)
{
    if (s->state == IMAP_SESSION_CLOSED)
        return;
    buf_addf(imap_out(s), "* BYE %s\r\n", text);
    imap_written(s);
    imap_hang_up(s, reason);
}

void imap_cut(struct imap_session *s, const char *reason)
{
    if (s->state != IMAP_SESSION_CLOSED)
        leave(s, reason);
    conn_close(s->drop.conn);
}

void imap_release(struct imap_session *s)
{
    if (!s->is_conn_gone || s->pending > 0)
        return;
    imap_append_abandon(s);
    imap_pipeline_abandon(s);
    imap_sync_abandon(s);
    arena_fini(&s->arena);
    imap_reader_free(s->reader);
    view_fini(&s->view);
    free(s->saved);
    drop_session_end(&s->drop);
}

/* ---- the store ---------------------------------------------------------------------------- */

struct imap_operation *imap_operation_create(struct imap_session *s, enum mailstore_kind kind)
{
    struct imap_operation *operation = arena_alloc(&s->arena, sizeof *operation);

    operation->session = s;
    operation->op.kind = kind;
    return operation;
}

/* What it has given on the heap, which nobody will look at. */
static void forget(struct imap_operation *operation)
{
    if (operation->op.kind == MAILSTORE_STORE) {
        free(operation->store.modified);
    } else if (operation->op.kind == MAILSTORE_COPY) {
        free(operation->copy.from_uids);
        free(operation->copy.to_uids);
    }
}

static void on_done(struct mailstore_op *op)
{
    struct imap_operation *operation = container_of(op, struct imap_operation, op);
    struct imap_session *s = operation->session;

    s->pending--;
    if (s->state == IMAP_SESSION_CLOSED) {
        forget(operation);
        imap_release(s);
        return;
    }
    operation->then(s);
    imap_run(s);
}

void imap_submit(struct imap_session *s, struct imap_operation *operation, imap_step *then)
{
    operation->then = then;
    operation->op.done = on_done;
    s->operation = operation;
    s->pending++;
    imap_enter(s, IMAP_SESSION_STORE);
    mailstore_submit(s->drop.worker->store, &operation->op, s->drop.worker->loop);
}

/* ---- input -------------------------------------------------------------------------------- */

static void begin_command(struct imap_session *s, struct imap_command *command)
{
    s->command = command;
    imap_enter(s, IMAP_SESSION_OUTPUT); /* it is to leave it itself */
    bool may_overtake = command->verb == IMAP_APPEND && imap_append_is_ready(s);
    if (may_overtake || !imap_pipeline_holds(s, imap_execute))
        imap_execute(s);
}

static bool take_command(struct imap_session *s)
{
    struct span input = conn_input(s->drop.conn);
    size_t len = input.len;
    struct imap_command *command = NULL;
    struct imap_append_literal *literal = NULL;

    if (imap_pipeline_is_full(s))
        return false;
    enum imap_read result = imap_read(s->reader, &input, &command, &literal);

    conn_consume(s->drop.conn, len - input.len);
    switch (result) {
    case IMAP_READ_MORE:
        return false;
    case IMAP_READ_CONTINUE:
        buf_add(imap_out(s), SPAN("+ OK\r\n"));
        imap_written(s);
        break;
    case IMAP_READ_APPEND:
        imap_append_begin(s, literal);
        break;
    case IMAP_READ_COMMAND:
        begin_command(s, command);
        break;
    }
    return true;
}

/* One more piece; false where something has to come first. */
static bool go_on(struct imap_session *s)
{
    switch (s->state) {
    case IMAP_SESSION_COMMAND:
        return take_command(s);
    case IMAP_SESSION_AUTH:
        return imap_take_response(s);
    case IMAP_SESSION_APPEND:
        return imap_append_take(s);
    case IMAP_SESSION_IDLE:
        return imap_idle_take(s);
    case IMAP_SESSION_OUTPUT:
        s->step(s);
        return true;
    case IMAP_SESSION_LOGIN:
    case IMAP_SESSION_HANDSHAKE:
    case IMAP_SESSION_ROOM:
    case IMAP_SESSION_STORE:
    case IMAP_SESSION_DISK:
    case IMAP_SESSION_SEARCH:
    case IMAP_SESSION_CLOSED:
        return false;
    }
    return false;
}

static bool waits_for_client(const struct imap_session *s)
{
    return s->state == IMAP_SESSION_COMMAND || s->state == IMAP_SESSION_AUTH ||
           s->state == IMAP_SESSION_APPEND || s->state == IMAP_SESSION_IDLE;
}

static void on_again(struct call *call)
{
    struct imap_session *s = container_of(call, struct imap_session, again);

    s->is_again = false;
    s->pending--;
    if (s->state == IMAP_SESSION_CLOSED)
        imap_release(s);
    else
        imap_run(s);
}

static void go_on_later(struct imap_session *s)
{
    if (s->is_again)
        return;
    s->is_again = true;
    s->pending++;
    loop_post(s->drop.worker->loop, &s->again);
}

void imap_run(struct imap_session *s)
{
    uint64_t until = clock_mono_ns() + SLICE_NS;
    bool went_on = true;

    while (went_on && s->state != IMAP_SESSION_CLOSED) {
        if (conn_is_congested(s->drop.conn)) { /* who does not read gets no more to read */
            conn_deadline(s->drop.conn, s->drop.worker->settings->write_timeout);
            return;
        }
        if (clock_mono_ns() > until) {
            go_on_later(s);
            return;
        }
        went_on = go_on(s);
    }
    if (!waits_for_client(s) || !list_is_empty(&s->commits))
        return;
    if (s->is_stopping)
        imap_bye(s, "[UNAVAILABLE] The service is shutting down", "shutdown");
    else if (s->is_eof)
        imap_hang_up(s, "client left");
}

/* ---- events ------------------------------------------------------------------------------- */

static void on_deadline(struct imap_session *s)
{
    if (s->state == IMAP_SESSION_HANDSHAKE)
        imap_cut(s, "TLS handshake timed out");
    else if (conn_is_congested(s->drop.conn))
        imap_cut(s, "client does not read");
    else if (imap_is_logged_in(s))
        imap_bye(s, "Disconnected for inactivity", "timed out");
    else
        imap_bye(s, "Timed out waiting for you to log in", "timed out before log-in");
}

static void on_failed(struct imap_session *s)
{
    struct log_line line;
    bool tls = s->state == IMAP_SESSION_HANDSHAKE;

    if (drop_session_log(&s->drop, &line, tls ? LOG_INFO : LOG_DEBUG,
                         tls ? "tls-failed" : "session-lost")) {
        log_text(&line, "error", conn_error_text(s->drop.conn));
        log_end(&line);
    }
    imap_cut(s, tls ? "TLS handshake failed" : "connection lost");
}

static void on_event(struct conn *conn, enum conn_event event, void *owner)
{
    struct imap_session *s = owner;

    (void)conn;
    switch (event) {
    case CONN_INPUT:
        if (waits_for_client(s))
            conn_deadline(s->drop.conn, deadline_of(s));
        imap_run(s);
        break;
    case CONN_DRAINED:
        if (s->state != IMAP_SESSION_CLOSED)
            conn_deadline(s->drop.conn, deadline_of(s));
        imap_run(s);
        break;
    case CONN_SECURED:
        s->drop.is_tls = true;
        imap_enter(s, IMAP_SESSION_COMMAND);
        imap_run(s);
        break;
    case CONN_EOF:
        s->is_eof = true;
        imap_run(s);
        break;
    case CONN_DEADLINE:
        on_deadline(s);
        break;
    case CONN_FAILED:
        on_failed(s);
        break;
    case CONN_CLOSED:
        if (s->state != IMAP_SESSION_CLOSED)
            leave(s, "server stops");
        s->is_conn_gone = true;
        s->drop.conn = NULL;
        imap_release(s);
        break;
    case CONN_CONNECTED:
        break;
    }
}

/* What is being executed is answered first. */
static void on_shut(struct drop_session *session)
{
    struct imap_session *s = imap_session_of(session);

    s->is_stopping = true;
    if (s->state == IMAP_SESSION_HANDSHAKE)
        imap_cut(s, "shutdown");
    else
        imap_run(s);
}

static void imap_open(struct drop_session *session)
{
    struct imap_session *s = imap_session_of(session);
    struct buf *out = conn_output(session->conn);

    session->shut = on_shut;
    s->reader = imap_reader_create();
    imap_reader_set_append_max(s->reader, UNKNOWN_LITERALS_MAX);
    imap_reader_set_bounds(s->reader, UNKNOWN_LINE_MAX, UNKNOWN_LITERALS_MAX);
    imap_reader_set_skip_max(s->reader, UNKNOWN_SKIP_MAX);
    arena_init(&s->arena);
    list_init(&s->commits);
    list_init(&s->again.link);
    s->again.done = on_again;
    conn_set_owner(session->conn, on_event, s);
    buf_add(out, SPAN("* OK [CAPABILITY "));
    imap_write_capabilities(s, out);
    buf_addf(out, "] %s Smarthop IMAP\r\n", session->worker->settings->host_name);
    imap_written(s);
    imap_enter(s, IMAP_SESSION_COMMAND);
    imap_run(s);
}

const struct drop_protocol drop_imap = {
    .name = "imap", .session_size = sizeof(struct imap_session), .open = imap_open};
