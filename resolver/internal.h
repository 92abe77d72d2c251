/*
 * internal: what the files of the resolver share.
 *
 *   resolver.c  the public functions, and the one place where completions run
 *   job.c       one query: which entries it needs, and what they come to
 *   flight.c    the look-ups that fill one entry
 *   answer.c    answers, their order and their text
 */
#ifndef SMARTHOP_RESOLVER_INTERNAL_H
#define SMARTHOP_RESOLVER_INTERNAL_H

#include "cache.h"
#include "lookup.h"

struct resolver {
    struct loop *loop;
    struct servers servers;
    struct cache cache;
    uint64_t ttl_max_ms;
    uint64_t negative_ttl_max_ms;
    enum resolver_preference preference;
    uint64_t random;
    struct resolver_stats stats;
    struct list flights;
    struct list jobs;
    struct list landed;   /* our own calls, of look-ups that have heard something */
    struct list finished; /* queries that have their answer */
    struct call wake;
    bool is_waking;
    bool is_closing;
    bool has_servers;
};

/* ---- resolver.c ---- */

/* Gives the query its answer (the reference goes with it) and completes it soon. */
void resolver_finish(struct resolver *resolver, struct resolver_query *query,
                     struct resolver_answer *answer);
void resolver_defer(struct resolver *resolver, struct call *call);

/* ---- job.c ---- */

/* Each sees to it that the query finishes. `name` is normalized. */
void job_start_mail(struct resolver *resolver, struct resolver_query *query, const char *name);
void job_start_mx(struct resolver *resolver, struct resolver_query *query, const char *name);
void job_start_addresses(struct resolver *resolver, struct resolver_query *query, const char *name);
void job_start_ipv4(struct resolver *resolver, struct resolver_query *query, const char *name);
void job_start_text(struct resolver *resolver, struct resolver_query *query, const char *name);
/* `name` is that of the PTR; `address` is IPv4 where it can be. */
void job_start_name(struct resolver *resolver, struct resolver_query *query,
                    const union resolver_address *address, const char *name);
/* Gives up; the query finishes with RESOLVER_TEMPFAIL and this text. */
void job_abort(struct job *job, const char *text);
void jobs_abort_all(struct resolver *resolver, const char *text);

/* ---- flight.c ---- */

void flight_start(struct resolver *resolver, struct entry *entry);
/* After the servers were closed. Nobody may wait for the entries any more. */
void flights_abandon(struct resolver *resolver);

/* ---- answer.c ---- */

/* What the addresses of one host add to an answer. */
struct answer_host {
    uint16_t preference;
    const struct entry *entry;
};

/* One without targets, mostly a failure. */
struct resolver_answer *answer_bare(enum resolver_outcome outcome, const char *text);

/* From at least one host with addresses. `notes` says what was left out; "" for nothing. */
struct resolver_answer *answer_compose(struct resolver *resolver, const char *name,
                                       const struct answer_host *hosts, unsigned host_count,
                                       const char *notes);

/* One target; `address` is one that name_is_address. */
struct resolver_answer *answer_literal(struct span address);

#endif
