/* What is different in LMTP (RFC 2033): the end of a message is answered for each recipient. */
#include "receive/session.h"

struct status lmtp_no_recipients(const struct session *s)
{
    struct status status = STATUS(554, 5, 5, 1, "No valid recipients");

    if (session_is_lmtp(s))
        status.code = 503; /* RFC 2033 4.2, 4.3 */
    return status;
}

void lmtp_answer(struct session *s, struct transaction *tx, uint16_t code,
                 struct enhanced_code enhanced, struct span text)
{
    if (!session_is_lmtp(s)) {
        session_reply_span(s, code, enhanced, text);
        return;
    }
    for (unsigned i = 0; i < tx->recipient_count; i++) {
        struct span line = arena_printf(&tx->message->arena, "<%.*s> %.*s",
                                        SPAN_ARG(tx->recipients[i].address), SPAN_ARG(text));
        session_reply_span(s, code, enhanced, line);
    }
}
