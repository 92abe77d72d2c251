/*
 * resolver_rig: a loop, scripted name servers and a resolver that asks them, for cmocka tests.
 */
#ifndef SMARTHOP_TESTS_RESOLVER_RIG_H
#define SMARTHOP_TESTS_RESOLVER_RIG_H

#include "resolver/resolver.h"
#include "support/dns_server.h"

/* The time-out of one try. */
enum { RIG_TRY_MS = 120 };

/* Zeroed, perhaps with a second server, before it is opened. */
struct rig {
    struct loop *loop;
    struct dns_server *server;
    struct dns_server *second; /* where a test has two */
    struct resolver *resolver;
    unsigned done;
    struct timer alarm;
};

/* Zeroed, perhaps with `then`, before it is started. */
struct asked {
    struct resolver_query query;
    struct rig *rig;
    unsigned completions;
    void (*then)(struct asked *asked);
};

struct resolver_options rig_options(void);
void rig_open(struct rig *rig, const char *zone);
void rig_open_with(struct rig *rig, struct resolver_options options, const char *zone);
/* Closes the resolver too, unless it was set to NULL. */
void rig_close(struct rig *rig);

/* Turns the loop until so many queries have completed in all. */
void rig_wait_for(struct rig *rig, unsigned done);
void rig_pass_time(struct rig *rig, uint64_t ms);

void asked_start(struct rig *rig, struct asked *asked, const char *domain);
void asked_start_addresses(struct rig *rig, struct asked *asked, const char *host);
void asked_start_ipv4(struct rig *rig, struct asked *asked, const char *name);
void asked_start_text(struct rig *rig, struct asked *asked, const char *name);
/* An address in numbers; AF_UNSPEC for any other text. */
void rig_address(const char *text, union resolver_address *out);
/* `address` as rig_address has it. */
void asked_start_name(struct rig *rig, struct asked *asked, const char *address);
/* Checks that it completed once, and gives up the answer. */
void asked_let_go(struct asked *asked);

/* Asks for a domain's mail hosts and waits. */
enum resolver_outcome rig_ask(struct rig *rig, const char *domain);

#endif
