/*
 * route: where each recipient goes. The one call that every recipient passes: the plugins are asked
 * first, then the routes of relay.conf. Also the text form of a next hop, in which the queue keeps
 * it and people read it.
 */
#ifndef SMARTHOP_ROUTE_ROUTE_H
#define SMARTHOP_ROUTE_ROUTE_H

#include "base/arena.h"
#include "base/call.h"
#include "base/loop.h"
#include "conf/conf.h"
#include "plugins/host/host.h"
#include "proto/status.h"
#include "queue/queue.h"

enum route_verdict {
    ROUTE_SEND,    /* to next_hop */
    ROUTE_DEFER,   /* nothing is known for now; status tells why */
    ROUTE_REJECT,  /* status tells why */
    ROUTE_DISCARD, /* taken, and dropped without a word */
    ROUTE_HOLD,    /* to next_hop, once an operator releases it */
    ROUTE_LATER,   /* is_early: to be asked again once the message is there */
};

/*
 * What plugins ask for wherever a recipient goes. Of several the later counts, but for TLS, where
 * the strictest does; and what the route hook says of a recipient goes before what the others said,
 * whenever these were asked.
 */
struct route_wishes {
    enum smarthop_tls tls; /* at least this */
    struct span limits;    /* names, of sections of relay.conf; empty = none */
    struct span source;
    struct span credentials;
};

/* What the route hook itself has said of them, and of the tenant. */
enum route_told {
    ROUTE_TOLD_LIMITS = 1 << 0,
    ROUTE_TOLD_SOURCE = 1 << 1,
    ROUTE_TOLD_CREDENTIALS = 1 << 2,
    ROUTE_TOLD_TENANT = 1 << 3,
};

/* For one recipient. */
struct route_answer {
    struct route_answer *next; /* where one recipient has become several */
    enum route_verdict verdict;
    struct span recipient;
    struct span next_hop;     /* text form; for ROUTE_SEND and ROUTE_HOLD */
    struct span destination;  /* the scheduler's key, at most 255 bytes */
    struct span reverse_path; /* for this recipient alone; empty = the message's */
    struct status status;
    struct span by;    /* the plugin that decided; empty = relay.conf */
    struct span why;   /* what it said */
    struct span tags;  /* that plugins gave the message: "one,two" */
    struct span route; /* the pattern of the route that decided; empty = none did */
    unsigned told;     /* bits of enum route_told */
};

/* What one plugin said about a recipient. */
struct route_step {
    struct route_step *next;
    struct span recipient;
    const char *plugin;
    const char *said;
    struct span why;
    uint64_t ns;
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

    /* For plugins; NULL = none is asked. What is not known is NULL, and all stays in place until
     * the completion. */
    struct plugin_worker *plugins;
    const struct smarthop_session *session;
    const struct smarthop_message *message;
    struct span orcpt;
    struct route_wishes wishes; /* of plugins that were asked before */
    unsigned tries;
    bool is_early;  /* the message itself has not come yet */
    bool is_traced; /* tell what each plugin said */
    bool is_ours;   /* a notification, which must go somewhere: plugins may only send it */

    /* All recipients get the same verdict but for ROUTE_SEND, ROUTE_HOLD and ROUTE_DISCARD, which
     * may stand beside each other: one that is refused or deferred refuses or defers all. */
    struct route_answer answer;

    struct route_step *steps; /* is_traced: in order */

    struct route_asking *asking; /* route's own */
};

/* "NAME: why", of the plugin that decided; empty where none did. */
struct span route_decision(struct arena *arena, const struct route_answer *answer);
/* What plugins are told of a message; it keeps to the message's own texts, and has no header. */
struct smarthop_message *route_message_facts(const struct queue_message *message,
                                             struct arena *arena);
/* Likewise of a recipient; its domain in ASCII form. */
struct smarthop_recipient route_recipient_facts(struct arena *arena, struct span address,
                                                struct span domain, struct span orcpt);
/* `tags`, "one,two", with those of the verdict that it does not have; what is empty, has a comma or
 * goes beyond the bound is left out. */
enum { ROUTE_TAGS_MAX = 1000 };
struct span route_add_tags(struct arena *arena, struct span tags,
                           const struct smarthop_verdict *verdict);
/* Both, each tag once. */
struct span route_join_tags(struct arena *arena, struct span tags, struct span others);
/* What a plugin that defers, rejects or holds has said, over what is usual. It points into both. */
struct status route_verdict_status(const struct smarthop_verdict *verdict, struct status usual);
bool route_wishes_exist(const struct route_wishes *wishes);
/* The wishes of an answer; they point into it. */
struct route_wishes route_wishes_of(const struct smarthop_verdict *verdict);
void route_wishes_add(struct route_wishes *into, const struct route_wishes *next);
/* Whether relay.conf has what they name. Limits may be for a section to come. */
bool route_wishes_are_sound(const struct route_wishes *wishes, const struct conf *conf);
/* Where they are not: tells so in the log, and returns what is answered. */
struct status route_wishes_refuse(const struct route_wishes *wishes, const char *plugin,
                                  struct span recipient);
/* The text form, in which the queue keeps them: "tls=required;auth=NAME;source=NAME;limits=NAME";
 * empty where there are none. Those that are sound fit. */
enum { ROUTE_WISHES_MAX = 1024 };
struct span route_wishes_format(struct arena *arena, const struct route_wishes *wishes);
/* False where the text is none of ours. The spans point into it. */
bool route_wishes_parse(struct span text, struct route_wishes *out);
/* The domain of a mailbox in ASCII form, for a query; empty where it has none. */
struct span route_domain(struct arena *arena, struct span mailbox);

/* On the owner's loop; completes there. */
void route_recipient(struct loop *loop, struct route_query *query);
/* Nobody wants the answer any more: the completion comes soon, with any answer. */
void route_cancel(struct route_query *query);
/* Whether a plugin takes its time. */
bool route_is_awaited(const struct route_query *query);

enum { ROUTE_HOSTS_MAX = 16, ROUTE_NEXT_HOP_MAX = 1024, ROUTE_DESTINATION_MAX = 255 };

struct route_host {
    struct span name; /* host name, address without brackets, or a socket's path */
    uint16_t port;    /* 0 for a path */
    bool is_address;
    bool is_path;
    bool implicit_tls; /* from the first byte (RFC 8314 3.3) */
    unsigned weight;   /* from 1 */
};

/* A next hop as it is acted on. Text form: "mx:DOMAIN:PORT;tls=WORD" or
 * "hosts:HOST:PORT,...;tls=WORD", addresses in brackets, sockets as "unix:/PATH", hosts with
 * TLS from the first byte as "smtps:HOST:PORT" (then tls=WORD tells only whether the certificate
 * has to be right), and behind it what else is not as usual:
 * ";proto=lmtp", ";xforward=yes", ";auth=NAME", ";auth_without_tls=yes", ";source=NAME",
 * ";limits=NAME", ";balance=WORD", ";for=DOMAIN". A host's weight, where it is not 1, follows it:
 * "HOST:PORT*3". Never a password. "refused:550 5.7.1 TEXT" is for a recipient that was refused
 * when its client could not be told any more: it fails so at once. */
struct route_next_hop {
    struct span refusal; /* "550 5.7.1 TEXT"; then nothing else is set */
    bool use_mx;         /* then hosts[0] names the domain and the port */
    unsigned host_count;
    struct route_host hosts[ROUTE_HOSTS_MAX];
    enum conf_route_tls tls;
    bool lmtp; /* RFC 2033, not SMTP */
    bool xforward;
    struct span credentials; /* name of those to log in with; empty = none */
    bool auth_without_tls;
    struct span source; /* name of the addresses to connect from; empty = any */
    struct span limits; /* name of the destination section that holds; empty = found by host */
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
/* The text of a next hop with wishes that came behind it, but for what was told already. Empty
 * where that is too long. */
struct span route_next_hop_with(struct arena *arena, struct span text,
                                const struct route_wishes *wishes, unsigned told);
/* Makes of an answer that refuses one whose next hop does so. */
void route_refuse_later(const struct route_query *query, struct route_answer *answer);
/* The status of a refusal; its text points into it. */
struct status route_refusal_status(struct span refusal);
/* The key of what waits for a next hop on behalf of a tenant: "NEXTHOP;tenant=NAME", so that each
 * tenant has a line of its own. Where either is too long its beginning with a hash of all of it. */
struct span route_destination(struct arena *arena, struct span next_hop, struct span tenant);
/* A key without its tenant. */
struct span route_destination_place(struct span destination);
/* The tenant of a key; empty where it has none. */
struct span route_destination_tenant(struct span destination);

#endif
