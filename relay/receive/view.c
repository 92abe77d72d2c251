/* A session as an operator sees it: while it lives, and in the line that it leaves in the log. */
#include "receive/session.h"

#include "base/log.h"

static const char *or_empty(const char *text)
{
    return text ? text : "";
}

static uint64_t ms_since(const struct session *s, uint64_t then)
{
    return loop_now(s->server->loop) - then;
}

bool receive_server_describe(struct receive_server *server, unsigned *place,
                             void (*tell)(const struct receive_session *session, void *context),
                             void *context)
{
    unsigned end = *place + RECEIVE_STEP;
    struct conn_tls_info tls;

    for (struct session *s; (s = roster_next(&server->sessions, place, end)) != NULL;) {
        conn_tls_info(s->conn, &tls);
        struct receive_session seen = {
            .id = s->id,
            .listener = or_empty(s->listener.name),
            .client = s->client,
            .hello = or_empty(s->hello),
            .user = or_empty(s->user),
            .state = session_state_text(s->state),
            .tls = tls.version,
            .state_ms = ms_since(s, s->state == SESSION_COMMAND ? s->active : s->since),
            .ms = ms_since(s, s->began),
            .bytes = conn_received(s->conn),
            .messages = s->messages,
            .recipients = s->recipients_total,
            .errors = s->errors,
        };
        tell(&seen, context);
    }
    return *place < server->sessions.place_count;
}

bool receive_server_end_session(struct receive_server *server, uint64_t id)
{
    struct session *s = roster_find(&server->sessions, id);

    if (s == NULL || s->state == SESSION_CLOSED)
        return false;
    session_dismiss(s);
    return true;
}

/* ---- the log ------------------------------------------------------------------------------ */

static void log_given(struct log_line *line, const char *key, const char *value)
{
    if (value != NULL && value[0] != '\0')
        log_text(line, key, value);
}

static void log_some(struct log_line *line, const char *key, uint64_t value)
{
    if (value > 0)
        log_u64(line, key, value);
}

static void log_last_error(struct log_line *line, const struct session *s)
{
    char text[ENHANCED_CODE_TEXT_MAX];

    if (s->error_code == 0)
        return;
    enhanced_code_format(s->error_enhanced, text);
    log_u64(line, "code", s->error_code);
    log_given(line, "dsn", text);
}

void session_log_refused(struct session *s, struct span from, struct span to,
                         const struct status *why)
{
    char text[ENHANCED_CODE_TEXT_MAX];
    struct log_line line;

    if (s->refusals_told >= s->conf->errors_max || !log_begin(&line, LOG_INFO, "refused"))
        return;
    s->refusals_told++;
    enhanced_code_format(why->enhanced, text);
    log_u64(&line, "sid", s->id);
    log_text(&line, "client", s->client);
    log_given(&line, "user", s->user);
    log_span(&line, "from", from);
    if (to.len > 0)
        log_span(&line, "to", to);
    log_u64(&line, "code", why->code);
    log_given(&line, "dsn", text);
    log_span(&line, "text", why->text);
    log_end(&line);
}

void session_log_close(const struct session *s)
{
    struct log_line line;
    struct conn_tls_info tls;

    if (!log_begin(&line, LOG_INFO, "session"))
        return;
    conn_tls_info(s->conn, &tls);
    log_u64(&line, "sid", s->id);
    log_given(&line, "listener", s->listener.name);
    log_text(&line, "client", s->client);
    if (s->facts.name_state == SCREEN_NAME_VERIFIED || s->facts.name_state == SCREEN_NAME_TOLD)
        log_given(&line, "name", s->facts.name);
    log_given(&line, "hello", s->hello);
    log_given(&line, "user", s->user);
    log_given(&line, "mechanism", s->mechanism);
    log_given(&line, "tls", tls.version);
    log_given(&line, "cipher", tls.cipher);
    if (s->certificate != NULL)
        certificate_log(s->certificate, &line);
    log_u64(&line, "messages", s->messages);
    log_u64(&line, "recipients", s->recipients_total);
    log_some(&line, "refused", s->recipients_refused);
    log_some(&line, "errors", s->errors);
    log_last_error(&line, s);
    log_u64(&line, "bytes", conn_received(s->conn));
    log_u64(&line, "ms", ms_since(s, s->began));
    log_text(&line, "closed", s->close_reason ? s->close_reason : "by us");
    log_end(&line);
}
