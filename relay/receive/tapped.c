/*
 * What a tap sees of a session: each line in both directions, without the content of messages and
 * without what proves who somebody is. A line that is not known to be harmless is not shown.
 */
#include "receive/session.h"

#include "auth/sasl.h"
#include "base/clock.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define MASK "****"

static void tell(struct session *s, struct span text)
{
    struct tap_line line = {
        .wall_ms = clock_wall_ms(),
        .session = s->id,
        .client = span_cstr(s->client),
        .text = text,
    };
    bool matched = false;

    for (unsigned i = 0; i < s->server->tap_count; i++) {
        struct tap *tap = s->server->taps[i];
        if (!tap_matches(tap, session_peer(s)))
            continue;
        tap_add(tap, &line);
        matched = true;
    }
    s->is_tapped = matched; /* its taps may have been taken away, or it is another client's now */
}

/* Our own words, and few of the client's: bounded. */
__attribute__((format(printf, 2, 3))) static void tellf(struct session *s, const char *format, ...)
{
    char text[512];
    va_list args;

    va_start(args, format);
    int len = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (len > 0)
        tell(s, span_head(span_of(text, (size_t)len), sizeof text - 1));
}

static void tell_line(struct session *s, const char *who, struct span line)
{
    char text[TAP_LINE_MAX];
    int len = snprintf(text, sizeof text, "%s: ", who);

    line = span_head(line, sizeof text - (size_t)len);
    memcpy(text + len, line.ptr, line.len);
    tell(s, span_of(text, (size_t)len + line.len));
}

/* ---- the client's lines ------------------------------------------------------------------- */

/* The mechanism, if it can be one, and no response. */
static void tell_auth(struct session *s, const struct smtp_command *command)
{
    struct span rest, mechanism = span_split(command->args, ' ', &rest);
    enum sasl_mechanism known;

    if (command->args.len == 0)
        tell_line(s, "C", SPAN("AUTH"));
    else if (!sasl_mechanism_find(mechanism, &known))
        tell_line(s, "C", SPAN("AUTH " MASK));
    else
        tellf(s, "C: AUTH %s%s", sasl_mechanism_name(known), rest.len > 0 ? " " MASK : "");
}

/* It may be a slip of AUTH, a response although the exchange was refused, or a line of a message
 * although DATA was refused. */
static void tell_unknown(struct session *s, const struct smtp_command *command)
{
    tellf(s, "C: " MASK " (%zu bytes, not a command)", command->line.len);
}

void tapped_command(struct session *s, const struct smtp_command *command)
{
    if (command->error != SMTP_COMMAND_OK)
        tellf(s, "C: " MASK " (%s)", smtp_command_error_text(command->error));
    else if (s->state == SESSION_AUTH)
        tell_line(s, "C", span_equal(command->line, SPAN("*")) ? SPAN("*") : SPAN(MASK));
    else if (command->verb == SMTP_VERB_AUTH)
        tell_auth(s, command);
    else if (command->verb == SMTP_VERB_UNKNOWN)
        tell_unknown(s, command);
    else
        tell_line(s, "C", command->line);
}

void tapped_data(struct session *s, size_t len, bool is_end)
{
    s->tapped_bytes += len;
    if (!is_end)
        return;
    tellf(s, "C: ... %llu bytes of data", (unsigned long long)s->tapped_bytes);
    s->tapped_bytes = 0;
}

/* ---- ours --------------------------------------------------------------------------------- */

void tapped_reply(struct session *s, struct span lines)
{
    while (lines.len > 0) {
        struct span line = span_split(lines, '\n', &lines);
        tell_line(s, "S", span_head(line, line.len > 0 ? line.len - 1 : 0));
    }
}

void tapped_challenge(struct session *s)
{
    tell_line(s, "S", SPAN("334 " MASK));
}

/* ---- what is no line ---------------------------------------------------------------------- */

void tapped_begin(struct session *s)
{
    if (s->listener.name != NULL)
        tellf(s, "* connected to \"%s\"", s->listener.name);
    else
        tellf(s, "* connected to a local socket");
}

void tapped_secured(struct session *s)
{
    struct conn_tls_info tls;

    conn_tls_info(s->conn, &tls);
    tellf(s, "* %s %s", tls.version, tls.cipher);
}

void tapped_close(struct session *s)
{
    if (s->tapped_bytes > 0)
        tapped_data(s, 0, true);
    tellf(s, "* closed: %s", s->close_reason ? s->close_reason : "by us");
}

/* ---- which sessions are tapped ------------------------------------------------------------ */

static bool is_wanted(const struct session *s)
{
    for (unsigned i = 0; i < s->server->tap_count; i++)
        if (tap_matches(s->server->taps[i], session_peer(s)))
            return true;
    return false;
}

void tapped_judge(struct session *s)
{
    s->is_tapped = is_wanted(s);
}

void tapped_join(struct session *s)
{
    if (s->is_tapped || s->state == SESSION_PROXY || s->state == SESSION_CLOSED)
        return; /* behind a PROXY header it will be judged anew */
    tapped_judge(s);
    if (s->is_tapped)
        tellf(s, "* under way: %s, %u message%s", session_state_text(s->state), s->messages,
              s->messages == 1 ? "" : "s");
}

void receive_server_add_tap(struct receive_server *server, struct tap *tap)
{
    if (server->tap_count == RECEIVE_TAPS_MAX)
        abort(); /* who adds them counts them */
    server->taps[server->tap_count++] = tap_ref(tap);
    patrol_start(server);
}

void receive_server_remove_tap(struct receive_server *server, struct tap *tap)
{
    for (unsigned i = 0; i < server->tap_count; i++) {
        if (server->taps[i] != tap)
            continue;
        server->taps[i] = server->taps[--server->tap_count];
        tap_unref(tap);
        return;
    }
}
