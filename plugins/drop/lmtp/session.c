/*
 * The session's states and what moves it between them. Commands are executed one after the other,
 * so replies leave in their order; while the store is waited for input stays in the conn, which
 * stops reading when it has enough.
 */
#include "base/memory.h"
#include "plugins/drop/lmtp/private.h"
#include "proto/smtp_reply.h"

#include <stdio.h>
#include <stdlib.h>

static const struct drop_settings *settings_of(const struct lmtp_session *s)
{
    return s->base.worker->settings;
}

void lmtp_enter(struct lmtp_session *s, enum lmtp_state state)
{
    if (s->state == LMTP_CLOSED)
        return;
    bool waits_for_client = state == LMTP_COMMAND || state == LMTP_DATA || state == LMTP_CHUNK;
    s->state = state;
    if (state != LMTP_CLOSED && s->base.conn != NULL)
        conn_deadline(s->base.conn, waits_for_client ? settings_of(s)->lmtp_timeout : 0);
}

void lmtp_reply(struct lmtp_session *s, uint16_t code, struct enhanced_code enhanced,
                struct span text)
{
    if (s->state == LMTP_CLOSED)
        return;
    if (!smtp_reply_write(conn_output(s->base.conn), code, enhanced, text))
        abort(); /* the output has no bound of its own */
    conn_written(s->base.conn);
}

void lmtp_refuse(struct lmtp_session *s, struct status why)
{
    lmtp_reply(s, why.code, why.enhanced, why.text);
    if (why.code < 500 || ++s->errors < settings_of(s)->errors_max || s->state == LMTP_CLOSED)
        return;
    lmtp_reply(s, 421, ESC(4, 7, 0), SPAN("Too many errors"));
    lmtp_end(s, "too many errors");
}

void lmtp_end(struct lmtp_session *s, const char *reason)
{
    if (s->state == LMTP_CLOSED)
        return;
    s->base.closed = reason;
    lmtp_enter(s, LMTP_CLOSED);
    conn_finish(s->base.conn);
}

static void cut(struct lmtp_session *s, const char *reason)
{
    if (s->state != LMTP_CLOSED) {
        s->base.closed = reason;
        lmtp_enter(s, LMTP_CLOSED);
    }
    conn_close(s->base.conn);
}

/* ---- input -------------------------------------------------------------------------------- */

/* A broken line: RFC 5321 2.3.8 allows no other line end. Nothing behind it is to be trusted to be
 * what the client meant, so a bare LF ends the session. */
static void refuse_line(struct lmtp_session *s, const struct smtp_command *command)
{
    char text[96];
    int len =
        snprintf(text, sizeof text, "Command refused: %s", smtp_command_error_text(command->error));
    struct span said = span_of(text, (size_t)len);

    if (command->error == SMTP_COMMAND_BARE_LF) {
        lmtp_reply(s, 521, ESC(5, 5, 2), said);
        lmtp_end(s, "bare LF in a command");
        return;
    }
    lmtp_refuse(s, (struct status){.code = 500, .enhanced = ESC(5, 5, 2), .text = said});
}

static bool take_command(struct lmtp_session *s)
{
    struct smtp_command command;
    size_t consumed = 0;

    enum parse_result result =
        smtp_command_parse(&s->parser, conn_input(s->base.conn), &consumed, &command);
    if (result == PARSE_DONE) {
        s->is_followed = conn_input(s->base.conn).len > consumed;
        if (command.error == SMTP_COMMAND_OK)
            lmtp_execute(s, &command);
        else
            refuse_line(s, &command);
        if (s->state == LMTP_COMMAND)
            lmtp_enter(s, LMTP_COMMAND); /* the deadline starts anew */
    }
    conn_consume(s->base.conn, consumed);
    return result == PARSE_DONE;
}

static bool is_in_message(const struct lmtp_session *s)
{
    return s->state == LMTP_DATA || s->state == LMTP_CHUNK;
}

/* The client has sent its last byte. What it sent before is still answered. */
static void leave_if_gone(struct lmtp_session *s)
{
    if (s->client_gone && (s->state == LMTP_COMMAND || is_in_message(s)))
        lmtp_end(s, is_in_message(s) ? "client left in data" : "client left");
}

void lmtp_run(struct lmtp_session *s)
{
    bool went_on = true;

    while (went_on && s->state != LMTP_CLOSED) {
        if (s->is_stopping && s->state != LMTP_APPEND) {
            lmtp_reply(s, 421, ESC(4, 3, 2), SPAN("The service is shutting down, try again later"));
            lmtp_end(s, "server stops");
            return;
        }
        if (conn_is_congested(s->base.conn)) {
            conn_deadline(s->base.conn, settings_of(s)->write_timeout);
            return; /* a client that does not read gets no further replies to read */
        }
        bool has_input = conn_input(s->base.conn).len > 0;
        if (s->state == LMTP_COMMAND)
            went_on = has_input && take_command(s);
        else if (s->state == LMTP_DATA)
            went_on = has_input && lmtp_data_take(s);
        else if (s->state == LMTP_CHUNK)
            went_on = lmtp_chunk_take(s); /* a chunk may be empty */
        else
            went_on = false;
    }
    leave_if_gone(s);
}

/* ---- events ------------------------------------------------------------------------------- */

static void on_deadline(struct lmtp_session *s)
{
    if (conn_is_congested(s->base.conn)) {
        cut(s, "client does not read");
        return;
    }
    lmtp_reply(s, 421, ESC(4, 4, 2), SPAN("Timed out waiting for you"));
    lmtp_end(s, is_in_message(s) ? "timed out in data" : "timed out between commands");
}

void lmtp_release(struct lmtp_session *s)
{
    if (s->base.conn != NULL || s->is_appending)
        return;
    lmtp_message_drop(s);
    free(s->hello);
    drop_session_end(&s->base);
}

static void on_event(struct conn *conn, enum conn_event event, void *owner)
{
    struct lmtp_session *s = owner;

    (void)conn;
    switch (event) {
    case CONN_DRAINED:
        lmtp_enter(s, s->state); /* it is no more the client's reading that is waited for */
        lmtp_run(s);
        break;
    case CONN_INPUT:
        lmtp_run(s);
        break;
    case CONN_EOF:
        s->client_gone = true;
        lmtp_run(s);
        break;
    case CONN_DEADLINE:
        on_deadline(s);
        break;
    case CONN_FAILED:
        cut(s, "connection lost");
        break;
    case CONN_CLOSED:
        s->base.conn = NULL;
        lmtp_enter(s, LMTP_CLOSED);
        lmtp_release(s);
        break;
    case CONN_CONNECTED:
    case CONN_SECURED:
        break;
    }
}

static void on_shut(struct drop_session *session)
{
    struct lmtp_session *s = container_of(session, struct lmtp_session, base);

    s->is_stopping = true;
    if (s->base.conn != NULL)
        lmtp_run(s);
}

static void open_session(struct drop_session *session)
{
    struct lmtp_session *s = container_of(session, struct lmtp_session, base);
    char text[320];

    session->shut = on_shut;
    conn_set_owner(session->conn, on_event, s);
    smtp_command_parser_init(&s->parser, SMTP_COMMAND_LINE_MAX);
    int len = snprintf(text, sizeof text, "%.255s LMTP Smarthop", settings_of(s)->host_name);
    lmtp_reply(s, 220, ESC_NONE, span_of(text, (size_t)len));
    lmtp_enter(s, LMTP_COMMAND);
}

const struct drop_protocol drop_lmtp = {
    .name = "lmtp",
    .session_size = sizeof(struct lmtp_session),
    .open = open_session,
};
