/*
 * channel: questions to one name server over one transport, by c-ares on the loop.
 *
 * One channel a server and transport, so that a broken TCP connection, for which c-ares fails
 * every query of the channel, harms no question asked over UDP, and so that we see which server
 * said what. A question is sent once; asking again is the look-up's business.
 */
#ifndef SMARTHOP_RESOLVER_CHANNEL_H
#define SMARTHOP_RESOLVER_CHANNEL_H

#include "base/loop.h"
#include "base/span.h"

struct ares_addr_port_node;
struct channel;

enum channel_transport { CHANNEL_UDP, CHANNEL_TCP };

enum question_result {
    QUESTION_REPLIED, /* there is a packet that answers the question, whatever it says */
    QUESTION_TIMED_OUT,
    QUESTION_UNREACHABLE,
    QUESTION_NEVER_ASKED, /* a name of which the DNS must not learn (RFC 7686) */
    QUESTION_ABANDONED,   /* the channel was closed */
};

/* Embedded in its owner, which sets `replied` and keeps it until then. */
struct question {
    struct list link; /* the channel's */
    uint64_t due;     /* the channel's */
    struct channel *channel;
    /* May run before channel_ask has returned, and runs inside c-ares: it may only note what was
     * said and defer the rest. The packet is valid during the call. */
    void (*replied)(struct question *question, enum question_result result, struct span packet);
};

/* `closed(owner)` runs when the channel has gone, perhaps inside channel_close. */
struct err channel_create(struct loop *loop, const struct ares_addr_port_node *server,
                          enum channel_transport transport, uint64_t timeout_ms,
                          void (*closed)(void *owner), void *owner, struct channel **out);
/* Not from inside `replied`. Open questions are replied to (QUESTION_ABANDONED) before it returns;
 * the channel frees itself when the loop has let go of its handles. */
void channel_close(struct channel *channel);

/* `type` is that of the record, class IN. */
void channel_ask(struct channel *channel, struct question *question, const char *name, int type);

#endif
