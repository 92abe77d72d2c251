/*
 * route: where each recipient goes. The one call that every router answers: today the routes of
 * relay.conf, with plugins in front of them later. Also the text form of a next hop, in which the
 * queue keeps it and people read it.
 */
#ifndef SMARTHOP_ROUTE_ROUTE_H
#define SMARTHOP_ROUTE_ROUTE_H

#include "base/arena.h"
#include "base/call.h"
#include "base/loop.h"
#include "conf/conf.h"
#include "proto/status.h"

enum route_verdict {
    ROUTE_SEND,    /* to next_hop */
    ROUTE_DEFER,   /* nothing is known for now; status tells why */
    ROUTE_REJECT,  /* status tells why */
    ROUTE_DISCARD, /* taken, and dropped without a word */
    ROUTE_HOLD,    /* to next_hop, once an operator releases it */
};

/* Embedded in its owner, which fills the upper part and sets call.done. */
struct route_query {
    struct call call;
    const struct conf *conf; /* stays in place until the completion */
    struct span reverse_path;
    struct span recipient; /* mailbox, without brackets */
    struct span domain;    /* its domain in ASCII form */
    struct span tenant;    /* on whose behalf; "" = nobody's in particular */
    struct arena *arena;   /* where the answer's texts go */

    enum route_verdict verdict;
    struct span next_hop;    /* text form; for ROUTE_SEND and ROUTE_HOLD */
    struct span destination; /* the scheduler's key, at most 255 bytes */
    struct status status;
    struct span route; /* the pattern of the route that decided; empty = there was none */
};

/* The domain of a mailbox in ASCII form, for a query; empty where it has none. */
struct span route_domain(struct arena *arena, struct span mailbox);

/* On the owner's loop; completes there. */
void route_recipient(struct loop *loop, struct route_query *query);

enum { ROUTE_HOSTS_MAX = 16, ROUTE_NEXT_HOP_MAX = 1024, ROUTE_DESTINATION_MAX = 255 };

struct route_host {
    struct span name; /* host name, address without brackets, or a socket's path */
    uint16_t port;    /* 0 for a path */
    bool is_address;
    bool is_path;
    unsigned weight; /* from 1 */
};

/* A next hop as it is acted on. Text form: "mx:DOMAIN:PORT;tls=WORD" or
 * "hosts:HOST:PORT,...;tls=WORD", addresses in brackets, sockets as "unix:/PATH", and behind it
 * what else is not as usual:
 * ";proto=lmtp", ";xforward=yes", ";auth=NAME", ";auth_without_tls=yes", ";source=NAME",
 * ";balance=WORD", ";for=DOMAIN". A host's weight, where it is not 1, follows it: "HOST:PORT*3".
 * Never a password. */
struct route_next_hop {
    bool use_mx; /* then hosts[0] names the domain and the port */
    unsigned host_count;
    struct route_host hosts[ROUTE_HOSTS_MAX];
    enum conf_route_tls tls;
    bool lmtp; /* RFC 2033, not SMTP */
    bool xforward;
    struct span credentials; /* name of those to log in with; empty = none */
    bool auth_without_tls;
    struct span source; /* name of the addresses to connect from; empty = any */
    enum conf_balance balance;
    struct span sticky; /* STICKY_DOMAIN: the recipients' domain, which keeps its host */
};

/* False where the text is none of ours. The spans point into `text`. */
bool route_next_hop_parse(struct span text, struct route_next_hop *out);
/* Whether an operator's pattern (conf/pattern.h) holds for its domain or its first host. "*" holds
 * for any text. */
bool route_next_hop_matches(struct span text, struct span pattern);
/* The age in ms at which mail from that reverse-path to that next hop (text form) is given up. */
uint64_t route_expire_after(const struct conf *conf, struct span reverse_path,
                            struct span next_hop);
/* The age at which its sender is told that it is late; 0 = never. */
uint64_t route_warning_after(const struct conf *conf, struct span next_hop);
struct span route_next_hop_format(struct arena *arena, const struct route_next_hop *hop);
/* The key of what waits for a next hop on behalf of a tenant: "NEXTHOP;tenant=NAME", so that each
 * tenant has a line of its own. Where either is too long its beginning with a hash of all of it. */
struct span route_destination(struct arena *arena, struct span next_hop, struct span tenant);
/* A key without its tenant. */
struct span route_destination_place(struct span destination);
/* The tenant of a key; empty where it has none. */
struct span route_destination_tenant(struct span destination);

#endif
