#include "receive/session.h"

#include "base/clock.h"
#include "proto/base32.h"

#include <time.h>

/* RFC 3848; RFC 6531 4.3 for the UTF8 forms. */
static const char *protocol_of(const struct session *s, const struct transaction *tx)
{
    static const char *const names[2][2][2][2] = {
        {{{"ESMTP", "ESMTPA"}, {"ESMTPS", "ESMTPSA"}},
         {{"UTF8SMTP", "UTF8SMTPA"}, {"UTF8SMTPS", "UTF8SMTPSA"}}},
        {{{"LMTP", "LMTPA"}, {"LMTPS", "LMTPSA"}},
         {{"UTF8LMTP", "UTF8LMTPA"}, {"UTF8LMTPS", "UTF8LMTPSA"}}},
    };
    bool lmtp = session_is_lmtp(s);
    bool utf8 = (tx->message->flags & QUEUE_SMTPUTF8) != 0;

    return s->esmtp ? names[lmtp][utf8][s->secured][s->user != NULL] : "SMTP";
}

static bool adds_fields(const struct session *s)
{
    return s->listener.role != CONF_ROLE_RELAY && s->listener.role != CONF_ROLE_LMTP;
}

/* Whether an empty line has to end what is put in front. A first line that begins with a space has
 * no field to continue, and ours it must not; behind fields that were added, text without a header
 * would be lost in them. Nothing else of a body is changed. */
static bool needs_end(const struct session *s, const struct transaction *tx)
{
    const struct header_scanner *header = &tx->header;
    bool has_none = header->fields == 0 && (header->flags & HEADER_MALFORMED) != 0;

    return (header->flags & HEADER_CONTINUES) != 0 || (has_none && adds_fields(s));
}

/* What a submitted message lacks of the fields that RFC 5322 3.6 asks for, as RFC 6409 section 8
 * lets a submission server add them. */
static struct span missing_fields(const struct session *s, const struct transaction *tx,
                                  const char *id, const char *date)
{
    struct arena *arena = &tx->message->arena;
    struct span sender = tx->message->reverse_path;
    struct span lines = SPAN("");
    bool has_none = needs_end(s, tx); /* whatever comes behind the empty line */

    if (!adds_fields(s))
        return lines;
    if (has_none || !data_has_field(tx, DATA_FIELD_DATE))
        lines = arena_printf(arena, "Date: %s\r\n", date);
    if (has_none || !data_has_field(tx, DATA_FIELD_MESSAGE_ID))
        lines = arena_printf(arena, "%.*sMessage-ID: <%s@%s>\r\n", SPAN_ARG(lines), id,
                             s->conf->hostname);
    if ((has_none || !data_has_field(tx, DATA_FIELD_FROM)) && sender.len > 0)
        lines = arena_printf(arena, "%.*sFrom: <%.*s>\r\n", SPAN_ARG(lines), SPAN_ARG(sender));
    return lines;
}

void trace_make(struct session *s, struct transaction *tx)
{
    struct queue_message *message = tx->message;
    char date[RFC5322_DATE_MAX], id[ID_TEXT_SIZE];
    struct conn_tls_info tls;
    struct span cipher = SPAN(""), certificate = SPAN(""), recipient = SPAN("");
    const char *name = screen_verified_name(s); /* nothing that was not checked stands in it */

    conn_tls_info(s->conn, &tls);
    if (tls.active)
        cipher = arena_printf(&message->arena, "\r\n\t(using %s with cipher %s (%d bits))",
                              tls.version, tls.cipher, tls.bits);
    /* Only what has been checked. The name holds nothing that would end the comment. */
    if (s->certificate != NULL && s->certificate->verified)
        certificate = arena_printf(&message->arena, "\r\n\t(client certificate \"%s\" verified)",
                                   s->certificate->name);
    /* With several recipients it would tell each of the others. */
    if (tx->recipient_count == 1)
        recipient =
            arena_printf(&message->arena, "\r\n\tfor <%.*s>", SPAN_ARG(tx->recipients[0].address));
    message->protocol = span_cstr(protocol_of(s, tx));
    rfc5322_date((time_t)(clock_wall_ms() / 1000), 0, date);
    id_format(message->id, id);
    struct span added = missing_fields(s, tx, id, date);
    const char *end = needs_end(s, tx) ? "\r\n" : "";
    message->trace = arena_printf(
        &message->arena,
        "Received: from %s (%s%s%s)\r\n\tby %s with %s id %s%.*s%.*s%.*s;\r\n\t%s\r\n%.*s%s",
        s->hello, name ? name : "", name ? " " : "", s->client, s->conf->hostname,
        message->protocol.ptr, id, SPAN_ARG(cipher), SPAN_ARG(certificate), SPAN_ARG(recipient),
        date, SPAN_ARG(added), end);
}
