/* What a host cannot be given. Nothing is changed to make it fit: it goes to another host of the
 * next hop, or back to its sender. */
#include "deliver/session.h"

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

bool deliver_is_declined(struct deliver_session *s)
{
    const struct queue_message *message = s->attempt->message;
    bool takes_binary =
        deliver_is_offered(s, SMTP_EXT_CHUNKING) && deliver_is_offered(s, SMTP_EXT_BINARYMIME);

    if ((message->flags & QUEUE_REQUIRE_TLS) != 0 && lacks_tls(s))
        return true;
    if (message->by == ESMTP_BY_RETURN && lacks_time(s))
        return true;
    if ((message->flags & QUEUE_SMTPUTF8) != 0 && !deliver_is_offered(s, SMTP_EXT_SMTPUTF8))
        s->objection = VERDICT_NEEDS_SMTPUTF8;
    else if ((message->flags & QUEUE_BODY_BINARY) != 0 && !takes_binary)
        s->objection = VERDICT_NEEDS_BINARYMIME;
    else if (s->offer.size_max != 0 && deliver_wire_size(message) > s->offer.size_max)
        s->objection = VERDICT_TOO_LARGE;
    else
        return false;
    return true;
}
