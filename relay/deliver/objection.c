/* What a host cannot be given. Nothing is changed to make it fit: it goes to another host of the
 * next hop, or back to its sender. */
#include "deliver/session.h"

#include "proto/utf8.h"

/* RFC 8689 4.2.1. A name that plain DNS has given proves nothing. */
static bool lacks_tls(struct deliver_session *s)
{
    if (s->tls[0] == '\0')
        s->objection = s->plain_only ? VERDICT_TLS_FAILED : VERDICT_NEEDS_TLS;
    else if (!s->is_verified || !s->options.is_told)
        s->objection = VERDICT_NEEDS_PROOF;
    else if (!deliver_is_offered(s, SMTP_EXT_REQUIRETLS))
        s->objection = VERDICT_NEEDS_REQUIRETLS;
    else
        return false;
    return true;
}

/* RFC 2852 4.1.3: "R" goes only to hosts that will return what they cannot deliver in time. */
static bool lacks_time(struct deliver_session *s)
{
    int64_t left = deliver_seconds_left(s->attempt->message);

    if (left <= 0)
        s->objection = VERDICT_TOO_LATE;
    else if (!deliver_is_offered(s, SMTP_EXT_DELIVERBY))
        s->objection = VERDICT_NEEDS_DELIVERBY;
    else if ((uint64_t)left < s->offer.deliverby_min)
        s->objection = VERDICT_TOO_SOON;
    else
        return false;
    return true;
}

/* The header section of a body in memory; without the empty line all of it. */
static struct span header_of(const struct queue_message *message)
{
    struct span body = buf_span(&message->body);
    const char *end = body.len > 0 ? memmem(body.ptr, body.len, "\r\n\r\n", 4) : NULL;

    return end != NULL ? span_head(body, (size_t)(end - body.ptr)) : body;
}

/* RFC 6531 3.2: a message that needs nothing of SMTPUTF8 may go to a host without it. What is not
 * in memory is not known. A rewritten address may need it though the message never did. */
static bool needs_smtputf8(const struct deliver_session *s)
{
    const struct queue_message *message = s->attempt->message;

    if (!deliver_envelope_is_ascii(s))
        return true;
    return (message->flags & QUEUE_SMTPUTF8) != 0 &&
           (!message->body_in_memory || !utf8_is_ascii(message->trace) ||
            !utf8_is_ascii(header_of(message)));
}

/* Whether 8-bit bytes are in it, or may be. */
static bool may_be_8bit(const struct queue_message *message)
{
    return (message->flags & QUEUE_BODY_8BIT) != 0 || !message->body_in_memory ||
           !utf8_is_ascii(buf_span(&message->body));
}

/* A host with SMTPUTF8 has 8BITMIME, whatever it lists (RFC 6531 3.1). A notification may return
 * what cannot be converted: better that it goes as it is than that nobody is told. */
bool deliver_has_to_downgrade(const struct deliver_session *s)
{
    return s->options.eight_bit != DELIVER_EIGHT_BIT_SEND &&
           !deliver_is_offered(s, SMTP_EXT_8BITMIME) && !deliver_is_offered(s, SMTP_EXT_SMTPUTF8) &&
           (s->attempt->message->flags & (QUEUE_BODY_BINARY | QUEUE_DSN)) == 0 &&
           may_be_8bit(s->attempt->message);
}

/* Only in memory can it be seen now; of what is stored the end is not reached. */
static bool is_8bit_unwelcome(const struct deliver_session *s)
{
    return s->options.eight_bit == DELIVER_EIGHT_BIT_DECLINE && deliver_has_to_downgrade(s) &&
           s->attempt->message->body_in_memory &&
           !utf8_is_ascii(buf_span(&s->attempt->message->body));
}

bool deliver_is_declined(struct deliver_session *s)
{
    const struct queue_message *message = s->attempt->message;
    bool takes_binary =
        deliver_is_offered(s, SMTP_EXT_CHUNKING) && deliver_is_offered(s, SMTP_EXT_BINARYMIME);

    if ((message->flags & QUEUE_REQUIRE_TLS) != 0 && lacks_tls(s))
        return true;
    if (message->by == ESMTP_BY_RETURN && lacks_time(s))
        return true;
    if (!deliver_is_offered(s, SMTP_EXT_SMTPUTF8) && needs_smtputf8(s))
        s->objection = VERDICT_NEEDS_SMTPUTF8;
    else if (is_8bit_unwelcome(s))
        s->objection = VERDICT_NEEDS_8BITMIME;
    else if ((message->flags & QUEUE_BODY_BINARY) != 0 && !takes_binary)
        s->objection = VERDICT_NEEDS_BINARYMIME;
    else if (s->offer.size_max != 0 && deliver_wire_size(message) > s->offer.size_max)
        s->objection = VERDICT_TOO_LARGE;
    else
        return false;
    return true;
}
