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
    const struct smarthop_verdict *wishes; /* of plugins; NULL = none */
};

/* route.c */
void routing_by_conf(struct routing *r);
/* To this hop, with the wishes added. */
void routing_send(struct routing *r, struct route_next_hop *hop);
/* As the domain's own MX would have it, once released. */
void routing_hold(struct routing *r, struct status status);

/* plugins.c */
void route_ask_plugins(struct loop *loop, struct route_query *query);

#endif
