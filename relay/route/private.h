/*
 * What the files of route/ share.
 */
#ifndef SMARTHOP_ROUTE_PRIVATE_H
#define SMARTHOP_ROUTE_PRIVATE_H

#include "route/route.h"

/* One recipient of a query, on its way to an answer. */
struct routing {
    struct route_query *query;
    struct span domain; /* in ASCII form */
    struct route_answer *answer;
    const struct smarthop_verdict *verdict; /* of plugins; NULL = they were not asked */
};

/* wishes.c */
void wishes_apply(const struct route_wishes *wishes, struct route_next_hop *hop);
/* Bits of enum route_told. */
unsigned wishes_told(const struct smarthop_verdict *verdict);

/* route.c */
void routing_by_conf(struct routing *r);
/* To this hop, with all wishes added. */
void routing_send(struct routing *r, struct route_next_hop *hop);
/* As the domain's own MX would have it, once released. */
void routing_hold(struct routing *r, struct status status);
/* Wishes that relay.conf does not have: told, and the answer is to try again later. */
void routing_refuse_wishes(struct routing *r, const char *by);

/* plugins.c */
void route_ask_plugins(struct loop *loop, struct route_query *query);

#endif
