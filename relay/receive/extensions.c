#include "receive/extensions.h"

#include "base/clock.h"
#include "proto/rfc3339.h"

struct extension {
    enum smtp_extension extension;
    enum conf_extension off; /* CONF_EXT_COUNT: extensions_off does not name it */
    const char *keyword;     /* NULL: `list` writes all of it */
    bool (*is_offered)(const struct session *s); /* NULL: to everybody */
    void (*list)(const struct session *s, struct buf *out);
};

static bool is_off(const struct session *s, enum conf_extension extension)
{
    return (s->conf->extensions_off & 1u << extension) != 0;
}

static bool takes_starttls(const struct session *s)
{
    return s->listener.tls == CONF_TLS_STARTTLS && !s->secured;
}

/* RFC 6531 3.1: it comes with 8BITMIME only. */
static bool takes_8bit(const struct session *s)
{
    return !is_off(s, CONF_EXT_8BITMIME);
}

static bool takes_chunks(const struct session *s)
{
    return !is_off(s, CONF_EXT_CHUNKING);
}

/* RFC 8689 2: only where the session itself is secured. */
static bool is_secured(const struct session *s)
{
    return s->secured;
}

/* RFC 4865 is for submission. */
static bool keeps_mail(const struct session *s)
{
    enum conf_listener_role role = s->listener.role;

    return (role == CONF_ROLE_SUBMISSION || role == CONF_ROLE_LOCAL) &&
           s->conf->future_release_max > 0;
}

static uint64_t seconds_up(uint64_t ms)
{
    return (ms + 999) / 1000;
}

static void list_size(const struct session *s, struct buf *out)
{
    buf_add(out, SPAN(" "));
    buf_add_u64(out, s->conf->message_size_max);
}

static void list_limits(const struct session *s, struct buf *out)
{
    buf_add(out, SPAN(" RCPTMAX="));
    buf_add_u64(out, s->conf->recipients_max);
}

static void list_future_release(const struct session *s, struct buf *out)
{
    struct esmtp_offer offer = extensions_offer(s);
    char date[RFC3339_MAX];

    rfc3339_format(offer.hold_until_max, date);
    buf_addf(out, " %llu %s", (unsigned long long)offer.hold_for_max, date);
}

static void list_deliver_by(const struct session *s, struct buf *out)
{
    if (s->conf->deliver_by_min > 0)
        buf_addf(out, " %llu", (unsigned long long)seconds_up(s->conf->deliver_by_min));
}

static void list_xclient(const struct session *s, struct buf *out)
{
    (void)s;
    xclient_list_attributes(out);
}

static const struct extension table[] = {
    {SMTP_EXT_PIPELINING, CONF_EXT_PIPELINING, "PIPELINING", NULL, NULL},
    {SMTP_EXT_SIZE, CONF_EXT_SIZE, "SIZE", NULL, list_size},
    {SMTP_EXT_8BITMIME, CONF_EXT_8BITMIME, "8BITMIME", NULL, NULL},
    {SMTP_EXT_ENHANCEDSTATUSCODES, CONF_EXT_COUNT, "ENHANCEDSTATUSCODES", NULL, NULL},
    {SMTP_EXT_SMTPUTF8, CONF_EXT_SMTPUTF8, "SMTPUTF8", takes_8bit, NULL},
    {SMTP_EXT_CHUNKING, CONF_EXT_CHUNKING, "CHUNKING", NULL, NULL},
    {SMTP_EXT_BINARYMIME, CONF_EXT_BINARYMIME, "BINARYMIME", takes_chunks, NULL},
    {SMTP_EXT_DSN, CONF_EXT_DSN, "DSN", NULL, NULL},
    {SMTP_EXT_LIMITS, CONF_EXT_LIMITS, "LIMITS", NULL, list_limits},
    {SMTP_EXT_MT_PRIORITY, CONF_EXT_MT_PRIORITY, "MT-PRIORITY", NULL, NULL},
    {SMTP_EXT_DELIVERBY, CONF_EXT_DELIVERBY, "DELIVERBY", NULL, list_deliver_by},
    {SMTP_EXT_FUTURERELEASE, CONF_EXT_FUTURERELEASE, "FUTURERELEASE", keeps_mail,
     list_future_release},
    {SMTP_EXT_STARTTLS, CONF_EXT_COUNT, "STARTTLS", takes_starttls, NULL},
    {SMTP_EXT_REQUIRETLS, CONF_EXT_REQUIRETLS, "REQUIRETLS", is_secured, NULL},
    {SMTP_EXT_XCLIENT, CONF_EXT_COUNT, NULL, xclient_is_trusted, list_xclient},
    {SMTP_EXT_AUTH, CONF_EXT_COUNT, NULL, auth_is_offered, auth_list_mechanisms},
};

static bool has(const struct session *s, const struct extension *row)
{
    bool off = row->off < CONF_EXT_COUNT && is_off(s, row->off);

    return s->esmtp && !off && (row->is_offered == NULL || row->is_offered(s));
}

bool extensions_have(const struct session *s, enum smtp_extension extension)
{
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        if (table[i].extension == extension)
            return has(s, &table[i]);
    return false;
}

void extensions_list(const struct session *s, struct buf *out)
{
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        const struct extension *row = &table[i];
        if (!has(s, row))
            continue;
        if (row->keyword != NULL) {
            buf_add(out, SPAN("\n"));
            buf_add_text(out, row->keyword);
        }
        if (row->list != NULL)
            row->list(s, out);
    }
}

struct esmtp_offer extensions_offer(const struct session *s)
{
    struct esmtp_offer offer = {.deliver_by_min = seconds_up(s->conf->deliver_by_min)};

    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        if (has(s, &table[i]))
            offer.extensions |= (unsigned)table[i].extension;
    offer.hold_for_max = s->conf->future_release_max / 1000;
    offer.hold_until_max = clock_steady_ms() / 1000 + offer.hold_for_max;
    return offer;
}

/* ---- MAIL --------------------------------------------------------------------------------- */

/* RFC 6710 5: whoever may not send through us everywhere has no call on our haste. */
static void take_priority(const struct session *s, const struct esmtp_mail *mail)
{
    bool lowered = mail->priority > 0 && !s->may_relay;

    s->tx->priority_lowered = lowered;
    s->tx->message->priority = lowered ? 0 : mail->priority;
}

static void take_release(struct queue_message *message, const struct esmtp_mail *mail)
{
    uint64_t release = mail->hold_value * 1000;

    if (mail->hold == ESMTP_HOLD_SECONDS)
        release += message->arrival;
    if (mail->hold != ESMTP_HOLD_NONE && release > message->arrival)
        message->release = release;
}

static void take_deliver_by(struct queue_message *message, const struct esmtp_mail *mail)
{
    if (mail->by == ESMTP_BY_NONE)
        return;
    int64_t at = (int64_t)message->arrival + mail->by_seconds * (int64_t)1000;
    message->by = mail->by;
    message->deliver_by = at > 0 ? (uint64_t)at : 1;
    if (mail->by_trace)
        message->flags |= QUEUE_BY_TRACE;
}

/* RFC 4954 5: of one that is not trusted it counts as AUTH=<>. */
static void take_auth(const struct session *s, const struct esmtp_mail *mail)
{
    struct queue_message *message = s->tx->message;

    if (!mail->has_auth)
        return;
    message->flags |= QUEUE_HAS_AUTH;
    if (s->may_relay)
        message->auth = mail->auth;
}

static void take_flags(struct queue_message *message, const struct esmtp_mail *mail)
{
    if (mail->body == ESMTP_BODY_8BITMIME)
        message->flags |= QUEUE_BODY_8BIT;
    if (mail->body == ESMTP_BODY_BINARYMIME)
        message->flags |= QUEUE_BODY_BINARY;
    if (mail->smtputf8)
        message->flags |= QUEUE_SMTPUTF8;
    if (mail->require_tls)
        message->flags |= QUEUE_REQUIRE_TLS;
}

bool extensions_take_mail(struct session *s, const struct esmtp_mail *mail)
{
    struct queue_message *message = s->tx->message;

    s->tx->declared_size = mail->size;
    message->ret = mail->ret;
    message->envelope_id = mail->envid;
    take_flags(message, mail);
    take_priority(s, mail);
    take_release(message, mail);
    take_deliver_by(message, mail);
    take_auth(s, mail);
    if (message->release == 0 || message->by == ESMTP_BY_NONE ||
        message->deliver_by > message->release)
        return true;
    session_refuse(s, 501, ESC(5, 5, 4), "BY ends before the message may be sent");
    return false;
}
