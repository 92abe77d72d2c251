/* What MAIL, RCPT and XFORWARD say. A parameter goes only to a host that offers its extension. */
#include "deliver/session.h"

#include "base/clock.h"
#include "proto/address.h"
#include "proto/base32.h"
#include "proto/utf8.h"
#include "proto/verp.h"
#include "proto/xclient.h"
#include "proto/xtext.h"

static void write_param(struct buf *out, const char *keyword, struct span value)
{
    if (value.len == 0)
        return;
    buf_add(out, SPAN(" "));
    buf_add_text(out, keyword);
    buf_add(out, SPAN("="));
    buf_add(out, value);
}

static struct span body_type(const struct deliver_session *s)
{
    unsigned flags = s->attempt->message->flags;

    if ((flags & QUEUE_BODY_BINARY) != 0)
        return SPAN("BINARYMIME");
    if ((flags & QUEUE_BODY_8BIT) != 0 && deliver_is_offered(s, SMTP_EXT_8BITMIME))
        return SPAN("8BITMIME");
    return SPAN_NONE;
}

bool deliver_address(const struct deliver_session *s, struct span address, struct span *out)
{
    enum { FLAGS = ADDRESS_ALLOW_UTF8 | ADDRESS_ALLOW_UNDERSCORE };
    struct address parsed;
    struct span ascii;

    *out = address;
    if (s->transaction.utf8 || utf8_is_ascii(address))
        return true;
    if (address_parse(address, FLAGS, &parsed) != ADDRESS_OK ||
        !address_format(&parsed, true, s->attempt->arena, &ascii))
        return false;
    *out = ascii;
    return true;
}

bool deliver_envelope_is_ascii(const struct deliver_session *s)
{
    const struct deliver_attempt *attempt = s->attempt;
    struct span address;

    if (!deliver_address(s, deliver_reverse_path(attempt), &address))
        return false;
    for (unsigned i = 0; i < attempt->recipient_count; i++) {
        struct span recipient = attempt->group->recipients[attempt->recipients[i]].address;
        if (!deliver_address(s, recipient, &address))
            return false;
    }
    return true;
}

/* What needs SMTPUTF8 has been declined before. */
static void write_address(const struct deliver_session *s, const char *command, struct span address,
                          struct buf *out)
{
    deliver_address(s, address, &address);
    buf_add_text(out, command);
    buf_add(out, address);
    buf_add(out, SPAN(">"));
}

int64_t deliver_seconds_left(const struct queue_message *message)
{
    int64_t left = (int64_t)message->deliver_by - (int64_t)clock_steady_ms();

    return left / 1000 + (left % 1000 > 0);
}

/* RFC 2852 4: what is left of the time. */
static void write_by(const struct queue_message *message, struct buf *out)
{
    buf_addf(out, " BY=%lld;%c%s", (long long)deliver_seconds_left(message),
             message->by == ESMTP_BY_RETURN ? 'R' : 'N',
             (message->flags & QUEUE_BY_TRACE) != 0 ? "T" : "");
}

/* RFC 4954 5 */
static void write_auth(const struct deliver_session *s, struct buf *out)
{
    struct span auth = s->attempt->message->auth;

    write_param(out, "AUTH", auth.len > 0 ? xtext_encode(auth, s->attempt->arena) : SPAN("<>"));
}

struct span deliver_reverse_path(const struct deliver_attempt *attempt)
{
    const struct queue_message *message = attempt->message;
    struct span own = attempt->group->reverse_path;

    if (own.len > 0)
        return own;
    if ((message->flags & QUEUE_VERP) == 0)
        return message->reverse_path;
    return verp_reverse_path(message->reverse_path,
                             attempt->group->recipients[attempt->recipients[0]].address,
                             attempt->arena);
}

void deliver_write_mail(const struct deliver_session *s, struct buf *out)
{
    const struct queue_message *message = s->attempt->message;

    write_address(s, "MAIL FROM:<", deliver_reverse_path(s->attempt), out);
    /* What is converted has a size that nobody knows yet. */
    if (deliver_is_offered(s, SMTP_EXT_SIZE) && s->transaction.downgrade == NULL) {
        buf_add(out, SPAN(" SIZE="));
        buf_add_u64(out, deliver_wire_size(message));
    }
    write_param(out, "BODY", body_type(s));
    if (s->transaction.utf8)
        buf_add(out, SPAN(" SMTPUTF8"));
    if (s->attempt->dsn_passed) {
        write_param(out, "RET", esmtp_ret_format(message->ret));
        write_param(out, "ENVID", xtext_encode(message->envelope_id, s->attempt->arena));
    }
    if ((message->flags & QUEUE_HAS_AUTH) != 0 && deliver_is_offered(s, SMTP_EXT_AUTH))
        write_auth(s, out);
    if ((message->flags & QUEUE_REQUIRE_TLS) != 0)
        buf_add(out, SPAN(" REQUIRETLS"));
    if (message->priority != 0 && deliver_is_offered(s, SMTP_EXT_MT_PRIORITY))
        buf_addf(out, " MT-PRIORITY=%d", message->priority);
    if (message->by != ESMTP_BY_NONE && deliver_is_offered(s, SMTP_EXT_DELIVERBY))
        write_by(message, out);
    buf_add(out, SPAN("\r\n"));
}

/* RFC 3461 5.2.1: what was not said to us is not said to the next hop. */
void deliver_write_rcpt(const struct deliver_session *s, unsigned i, struct buf *out)
{
    const struct deliver_attempt *attempt = s->attempt;
    const struct queue_recipient *recipient = &attempt->group->recipients[attempt->recipients[i]];
    char notify[ESMTP_NOTIFY_TEXT_MAX];

    write_address(s, "RCPT TO:<", recipient->address, out);
    if (attempt->dsn_passed) {
        size_t len = esmtp_notify_format(recipient->notify, notify);
        write_param(out, "NOTIFY", span_of(notify, len));
        write_param(out, "ORCPT", recipient->original);
    }
    buf_add(out, SPAN("\r\n"));
}

unsigned deliver_write_xforward(const struct deliver_session *s, struct span *out)
{
    const struct queue_message *message = s->attempt->message;
    struct ip_address address;
    char id[ID_TEXT_SIZE];
    struct buf lines;
    bool has_address = ip_parse_literal(message->client, &address);
    struct xforward x = {
        .name = message->client_name,
        .address = has_address ? &address : NULL,
        .port = message->client_port,
        .protocol = message->protocol,
        .hello = message->hello,
        .ident = span_cstr(id_format(message->id, id)),
        .local = !has_address,
    };

    buf_init(&lines, 0);
    unsigned count = xforward_write(&x, s->xforward, s->attempt->arena, &lines);
    *out = arena_dup(s->attempt->arena, buf_span(&lines));
    buf_fini(&lines);
    return count;
}
