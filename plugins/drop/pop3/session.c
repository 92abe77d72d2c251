/* The session's states and what moves it between them; which command may come when. */
#include "base/memory.h"
#include "plugins/drop/pop3/private.h"

#include <stdlib.h>

static const struct drop_settings *settings_of(const struct pop3_session *s)
{
    return s->base.worker->settings;
}

/* Until it has logged in a session has one deadline for all (set when it began). */
void pop3_enter(struct pop3_session *s, enum pop3_state state)
{
    if (s->state == POP3_CLOSED)
        return;
    s->state = state;
    if (s->base.conn == NULL || !pop3_is_logged_in(s))
        return;
    if (state == POP3_COMMAND)
        conn_deadline(s->base.conn, settings_of(s)->idle_timeout);
    else if (state == POP3_SEND)
        conn_deadline(s->base.conn, settings_of(s)->write_timeout);
    else if (state != POP3_CLOSED)
        conn_deadline(s->base.conn, 0);
}

void pop3_write(struct pop3_session *s, struct span bytes)
{
    if (s->state != POP3_CLOSED)
        conn_write(s->base.conn, bytes);
}

void pop3_say(struct pop3_session *s, const char *text)
{
    pop3_write(s, span_cstr(text));
    pop3_write(s, SPAN("\r\n"));
}

void pop3_refuse(struct pop3_session *s, const char *text)
{
    pop3_write(s, SPAN("-ERR "));
    pop3_say(s, text);
    if (++s->errors >= settings_of(s)->errors_max)
        pop3_end(s, "too many errors");
}

void pop3_end(struct pop3_session *s, const char *reason)
{
    if (s->state == POP3_CLOSED)
        return;
    s->base.closed = reason;
    pop3_enter(s, POP3_CLOSED);
    conn_finish(s->base.conn);
}

void pop3_cut(struct pop3_session *s, const char *reason)
{
    if (s->state != POP3_CLOSED) {
        s->base.closed = reason;
        pop3_enter(s, POP3_CLOSED);
    }
    if (s->base.conn != NULL)
        conn_close(s->base.conn);
}

/* ---- commands ----------------------------------------------------------------------------- */

static void do_capa(struct pop3_session *s, const struct pop3_command *command)
{
    const char *const always = "TOP\r\nUIDL\r\nRESP-CODES\r\nAUTH-RESP-CODE\r\nPIPELINING\r\n"
                               "EXPIRE NEVER\r\nLANG\r\nUTF8 USER\r\n";
    struct buf *out = conn_output(s->base.conn);

    (void)command;
    buf_add_text(out, "+OK Capabilities follow\r\n");
    buf_add_text(out, always);
    if (drop_session_may_log_in(&s->base))
        buf_add_text(out, "USER\r\n");
    if (drop_worker_has_tls(s->base.worker) && !s->base.is_tls && !pop3_is_logged_in(s))
        buf_add_text(out, "STLS\r\n");
    if (login_mechanisms(&s->base) != 0) {
        buf_add_text(out, "SASL");
        pop3_list_mechanisms(s, " ", "", out);
        buf_add_text(out, "\r\n");
    }
    buf_add_text(out, "IMPLEMENTATION Smarthop\r\n.\r\n");
    conn_written(s->base.conn);
}

/* RFC 2595 4: what was said before is forgotten. */
static void do_stls(struct pop3_session *s, const struct pop3_command *command)
{
    (void)command;
    if (s->base.is_tls || !drop_worker_has_tls(s->base.worker)) {
        pop3_refuse(s, s->base.is_tls ? "TLS is active already" : "TLS is not available");
        return;
    }
    if (s->is_followed) {
        pop3_say(s, "-ERR Commands were sent before the TLS handshake");
        pop3_end(s, "plain text behind STLS");
        return;
    }
    free(s->name);
    s->name = NULL;
    pop3_say(s, "+OK Begin TLS");
    pop3_enter(s, POP3_HANDSHAKE);
}

static void do_utf8(struct pop3_session *s, const struct pop3_command *command)
{
    (void)command;
    pop3_say(s, "+OK UTF8 enabled");
}

/* RFC 6856 3: there is one language. */
static void do_lang(struct pop3_session *s, const struct pop3_command *command)
{
    if (command->text.len == 0)
        pop3_say(s, "+OK Languages follow\r\nen English\r\ni-default English\r\n.");
    else if (span_equal(command->text, SPAN("*")) || span_equal_nocase(command->text, SPAN("en")) ||
             span_starts_nocase(command->text, SPAN("en-")) ||
             span_equal_nocase(command->text, SPAN("i-default")))
        pop3_say(s, "+OK en English");
    else
        pop3_refuse(s, "There is no such language here");
}

static void do_noop(struct pop3_session *s, const struct pop3_command *command)
{
    (void)command;
    pop3_say(s, "+OK");
}

enum { BEFORE_LOGIN = 1 << 0, BEHIND_LOGIN = 1 << 1 };

static const struct {
    void (*handler)(struct pop3_session *s, const struct pop3_command *command);
    unsigned when;
} table[POP3_VERBS] = {
    [POP3_CAPA] = {do_capa, BEFORE_LOGIN | BEHIND_LOGIN},
    [POP3_STLS] = {do_stls, BEFORE_LOGIN},
    [POP3_USER] = {pop3_user, BEFORE_LOGIN},
    [POP3_PASS] = {pop3_pass, BEFORE_LOGIN},
    [POP3_AUTH] = {pop3_auth, BEFORE_LOGIN},
    [POP3_UTF8] = {do_utf8, BEFORE_LOGIN},
    [POP3_LANG] = {do_lang, BEFORE_LOGIN | BEHIND_LOGIN},
    [POP3_STAT] = {pop3_stat, BEHIND_LOGIN},
    [POP3_LIST] = {pop3_list, BEHIND_LOGIN},
    [POP3_UIDL] = {pop3_list, BEHIND_LOGIN},
    [POP3_RETR] = {pop3_retr, BEHIND_LOGIN},
    [POP3_TOP] = {pop3_retr, BEHIND_LOGIN},
    [POP3_DELE] = {pop3_dele, BEHIND_LOGIN},
    [POP3_RSET] = {pop3_rset, BEHIND_LOGIN},
    [POP3_NOOP] = {do_noop, BEHIND_LOGIN},
    [POP3_QUIT] = {pop3_quit, BEFORE_LOGIN | BEHIND_LOGIN},
};

static void execute(struct pop3_session *s, struct span line)
{
    struct pop3_command command;

    pop3_parse(line, &command);
    unsigned when = table[command.verb].when;
    if (when == 0)
        pop3_refuse(s, "Unknown command");
    else if ((when & (pop3_is_logged_in(s) ? BEHIND_LOGIN : BEFORE_LOGIN)) == 0)
        pop3_refuse(s, pop3_is_logged_in(s) ? "You are logged in already" : "Log in first");
    else if (command.is_wrong)
        pop3_refuse(s, "This command does not take such arguments");
    else
        table[command.verb].handler(s, &command);
}

/* ---- input -------------------------------------------------------------------------------- */

/* Nothing behind a bare LF is to be trusted to be what the client meant. */
static void refuse_line(struct pop3_session *s, enum smtp_command_error error)
{
    if (error == SMTP_COMMAND_BARE_LF) {
        pop3_say(s, "-ERR Lines end with CRLF");
        pop3_end(s, "bare LF in a command");
    } else {
        pop3_refuse(s, error == SMTP_COMMAND_TOO_LONG ? "The line is too long"
                                                      : "There is a control character in the line");
    }
}

static bool take_line(struct pop3_session *s)
{
    struct smtp_command line;
    size_t consumed = 0;
    enum parse_result result =
        smtp_command_parse(&s->lines, conn_input(s->base.conn), &consumed, &line);

    if (result == PARSE_DONE) {
        s->is_followed = conn_input(s->base.conn).len > consumed;
        if (s->state == POP3_RESPONSE) /* a broken one gives the exchange up */
            pop3_response(s, line.error == SMTP_COMMAND_OK ? line.line : SPAN("*"));
        else if (line.error != SMTP_COMMAND_OK)
            refuse_line(s, line.error);
        else
            execute(s, line.line);
    }
    conn_consume(s->base.conn, consumed);
    if (result == PARSE_DONE && s->state == POP3_COMMAND)
        pop3_enter(s, POP3_COMMAND); /* the deadline starts anew */
    if (s->state == POP3_HANDSHAKE)
        drop_session_start_tls(&s->base);
    return result == PARSE_DONE;
}

static bool stops_here(struct pop3_session *s)
{
    if (!s->is_stopping || s->state == POP3_UPDATE)
        return false;
    if (s->state == POP3_COMMAND)
        pop3_say(s, "-ERR [SYS/TEMP] The service is shutting down, try again later");
    pop3_end(s, "server stops");
    return true;
}

void pop3_run(struct pop3_session *s)
{
    bool went_on = true;

    while (went_on && s->state != POP3_CLOSED && !stops_here(s)) {
        if (conn_is_congested(s->base.conn)) {
            conn_deadline(s->base.conn, settings_of(s)->write_timeout);
            return; /* a client that does not read gets no further answers to read */
        }
        bool has_input = conn_input(s->base.conn).len > 0;
        if (s->state == POP3_COMMAND || s->state == POP3_RESPONSE)
            went_on = has_input && take_line(s);
        else
            went_on = s->state == POP3_SEND && pop3_send(s);
    }
    if (s->client_gone &&
        (s->state == POP3_COMMAND || s->state == POP3_RESPONSE || s->state == POP3_HANDSHAKE))
        pop3_end(s, "client left");
}

/* ---- events ------------------------------------------------------------------------------- */

void pop3_release(struct pop3_session *s)
{
    if (s->base.conn != NULL || s->pending > 0)
        return;
    free(s->name);
    free(s->login);
    free(s->drop.entries);
    free(s->answer);
    drop_session_end(&s->base);
}

/* RFC 1939 3: without a word, and nothing is removed. */
static void on_deadline(struct pop3_session *s)
{
    if (conn_is_congested(s->base.conn))
        pop3_cut(s, "client does not read");
    else
        pop3_cut(s, pop3_is_logged_in(s) ? "timed out" : "timed out before logging in");
}

static void on_event(struct conn *conn, enum conn_event event, void *owner)
{
    struct pop3_session *s = owner;

    (void)conn;
    switch (event) {
    case CONN_DRAINED:
        pop3_enter(s, s->state); /* it is no more the client's reading that is waited for */
        pop3_run(s);
        break;
    case CONN_INPUT:
        pop3_run(s);
        break;
    case CONN_SECURED:
        s->base.is_tls = true;
        pop3_enter(s, POP3_COMMAND);
        pop3_run(s);
        break;
    case CONN_EOF:
        s->client_gone = true;
        pop3_run(s);
        break;
    case CONN_DEADLINE:
        on_deadline(s);
        break;
    case CONN_FAILED:
        pop3_cut(s, s->state == POP3_HANDSHAKE ? "TLS handshake failed" : "connection lost");
        break;
    case CONN_CLOSED:
        s->base.conn = NULL;
        pop3_enter(s, POP3_CLOSED);
        pop3_login_end(s);
        pop3_release(s);
        break;
    case CONN_CONNECTED:
        break;
    }
}

static void on_shut(struct drop_session *session)
{
    struct pop3_session *s = container_of(session, struct pop3_session, base);

    s->is_stopping = true;
    if (s->base.conn != NULL)
        pop3_run(s);
}

static void open_session(struct drop_session *session)
{
    struct pop3_session *s = container_of(session, struct pop3_session, base);

    session->shut = on_shut;
    conn_set_owner(session->conn, on_event, s);
    smtp_command_parser_init(&s->lines, SASL_LINE_MAX);
    conn_deadline(session->conn, settings_of(s)->login_timeout);
    pop3_say(s, "+OK Smarthop ready");
}

const struct drop_protocol drop_pop3 = {
    .name = "pop3",
    .session_size = sizeof(struct pop3_session),
    .open = open_session,
};
