/*
 * resolver: where mail for a domain goes, and what the DNS knows of a client's address, asked
 * through c-ares on the loop.
 *
 * One resolver a worker. Answers are cached by their TTL (negative ones too, bounded) and asked
 * for once however many wait (single flight). RFC 5321 section 5.1 (MX, implicit MX, preference
 * order with a random choice among equals), RFC 7505 (null MX), RFC 2308 (negative caching).
 * All functions run on the resolver's loop.
 *
 * Only the DNS is asked: there are no search domains and no hosts file, and "localhost" is a name
 * like any other. It never decides what an outcome means for mail.
 */
#ifndef SMARTHOP_RESOLVER_RESOLVER_H
#define SMARTHOP_RESOLVER_RESOLVER_H

#include "base/arena.h"
#include "base/call.h"
#include "base/err.h"
#include "base/loop.h"
#include "base/span.h"

#include <netinet/in.h>

struct resolver;

enum resolver_preference { RESOLVER_ANY, RESOLVER_IPV4, RESOLVER_IPV6 };

struct resolver_options {
    const struct sockaddr *const *servers; /* none = those of resolv.conf */
    unsigned server_count;
    uint64_t timeout_ms; /* of one try */
    unsigned tries;      /* of each server; one that says no is not asked again */
    unsigned cache_max;  /* names */
    uint64_t ttl_max_ms;
    uint64_t negative_ttl_max_ms;
    enum resolver_preference preference; /* which addresses of a host come first */
    uint64_t seed;                       /* of all random choices */
};

struct err resolver_create(struct loop *loop, const struct resolver_options *options,
                           struct resolver **out);
/* While the loop runs. Open queries complete with RESOLVER_TEMPFAIL in the same round; the resolver
 * frees itself when the loop has let go of its handles. */
void resolver_close(struct resolver *resolver);

enum resolver_outcome {
    RESOLVER_OK,
    RESOLVER_NO_DOMAIN,  /* NXDOMAIN: permanent, 5.1.2 */
    RESOLVER_NO_ADDRESS, /* the name exists, but has no MX and no address: permanent, 5.4.4 */
    RESOLVER_NULL_MX,    /* RFC 7505: permanent, 5.1.10 */
    RESOLVER_TEMPFAIL,   /* time-out, SERVFAIL, REFUSED, broken answers: 4.4.3 */
    RESOLVER_BAD_NAME,   /* not a name that can be asked for: permanent, 5.1.2 */
    RESOLVER_NO_DATA,    /* the name exists, but has no record of the kind asked for */
    RESOLVER_FORGED,     /* an address's name that does not have the address */
};

/* Port 0: the caller fills it in. */
union resolver_address {
    struct sockaddr any;
    struct sockaddr_in in4;
    struct sockaddr_in6 in6;
};

/* What one domain may take of us, whatever its zone holds. */
enum {
    RESOLVER_HOSTS_MAX = 20,
    RESOLVER_ADDRESSES_MAX = 20, /* of a host, each family */
    RESOLVER_NAMES_MAX = 4,      /* of an address that are confirmed; more are ignored */
    RESOLVER_TEXT_MAX = 1024,    /* of a TXT record; what is longer is cut */
    RESOLVER_NAME_SIZE = 254,    /* any name as text, with its NUL */
};

struct resolver_mx {
    const char *host;
    uint16_t preference;
};

struct resolver_target {
    const char *host; /* the MX name, or the name asked for */
    uint16_t preference;
    union resolver_address address;
};

/* Immutable and reference-counted within its loop. */
struct resolver_answer {
    enum resolver_outcome outcome;
    const char *text;   /* for people: "example.com: MX look-up: server failure"; never NULL */
    bool implicit_mx;   /* the domain has no MX: its own addresses were taken */
    const char *name;   /* of resolver_name: lower case, without a final dot; else NULL */
    struct span *texts; /* of resolver_text: any bytes; else none */
    unsigned text_count;
    struct resolver_mx *mx; /* of resolver_mx, by preference; else none */
    unsigned mx_count;
    uint64_t expires;     /* loop_now() time up to which it may be used */
    unsigned refs;        /* the resolver's */
    struct arena strings; /* the resolver's */
    unsigned target_count;
    struct resolver_target targets[]; /* in the order in which they are to be tried */
};

struct resolver_answer *resolver_answer_ref(struct resolver_answer *answer);
void resolver_answer_unref(struct resolver_answer *answer);

/* Embedded in its owner; `call.done`, and nothing else, is set by the owner before starting. */
struct resolver_query {
    struct call call;
    struct resolver_answer *answer; /* set before done; the owner unrefs it */
    struct list waiting;            /* the resolver's: in its lists until done runs */
    struct job *job;                /* the resolver's: what is still to be found out */
};

/*
 * The targets for mail to `domain` (ASCII form): its MX hosts' addresses in RFC 5321 order, equal
 * preferences, and the addresses of a host within a family, shuffled anew for each query. Where
 * any family will do they alternate, IPv6 first. A CNAME in place of the domain or of an MX host
 * is followed. An MX host that is no host name, or has no address, is left out and named in the
 * text; if none is left because look-ups failed for the moment, the outcome is RESOLVER_TEMPFAIL.
 */
void resolver_mail_hosts(struct resolver *resolver, struct resolver_query *query,
                         struct span domain);

/* The MX records of a name alone, those that are host names; nothing is known of their addresses.
 * RESOLVER_NO_DATA where it has none. */
void resolver_mx(struct resolver *resolver, struct resolver_query *query, struct span domain);

/* The addresses of one host name, A and AAAA. A numeric address is its own answer. */
void resolver_addresses(struct resolver *resolver, struct resolver_query *query, struct span host);

/* The IPv4 addresses of one name, by an A query alone: what a DNS block list is asked. */
void resolver_ipv4(struct resolver *resolver, struct resolver_query *query, struct span name);

/* The TXT records of a name, as they were sent, each with its strings joined; at least one where
 * the outcome is RESOLVER_OK, and at most RESOLVER_HOSTS_MAX. */
void resolver_text(struct resolver *resolver, struct resolver_query *query, struct span name);

/*
 * The name of an address, confirmed both ways: by PTR, and then by the addresses of the names found
 * there (the first RESOLVER_NAMES_MAX). RESOLVER_OK: `name` has the address. RESOLVER_FORGED: none
 * has it; `name` is the first, as a fact about the address only. RESOLVER_NO_DOMAIN and
 * RESOLVER_NO_DATA: there is no PTR, or none that holds a host name. RESOLVER_TEMPFAIL: asking for
 * the name failed, or for what would confirm it; then `name` is the first.
 */
void resolver_name(struct resolver *resolver, struct resolver_query *query,
                   const struct sockaddr *address);

/* "1.2.0.192.ZONE" for 192.0.2.1, and an IPv6 address by its nibbles (RFC 1035 section 3.5, RFC
 * 3596 section 2.5, RFC 5782 section 2). An IPv4 address mapped into IPv6 is IPv4. False for other
 * families, and where it would be too long. Pure; any thread. */
bool resolver_reverse(const struct sockaddr *address, struct span zone,
                      char name_out[RESOLVER_NAME_SIZE]);

/* The query completes soon with RESOLVER_TEMPFAIL unless it has completed. Its look-ups go on for
 * the cache's sake. */
void resolver_cancel(struct resolver *resolver, struct resolver_query *query);

/* Forgets everything, e.g. on an operator's word. */
void resolver_flush(struct resolver *resolver);

struct resolver_stats {
    uint64_t queries;  /* asked of us */
    uint64_t hits;     /* answered from the cache */
    uint64_t shared;   /* joined a look-up that was under way */
    uint64_t lookups;  /* names and types that the DNS was asked for */
    uint64_t failures; /* of those: no usable answer from any server */
};
void resolver_stats(const struct resolver *resolver, struct resolver_stats *out);

#endif
