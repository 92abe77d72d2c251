/*
 * groups: next hops that stand for each other, "NAME: HOST[:PORT][*WEIGHT][@PRIORITY], ...", and
 * which domains go to which of them, "DOMAIN: NAME". Groups do not change once they are there.
 */
#ifndef SMARTHOP_FAILOVER_GROUPS_H
#define SMARTHOP_FAILOVER_GROUPS_H

#include "health.h"

struct group_member {
    struct smarthop_span name; /* without brackets, but for those behind "smtps:" */
    uint32_t host;             /* its number in the health of hosts */
    uint16_t port;             /* 0 = the usual one */
    uint16_t priority;         /* the lowest first; 0 where none is given */
    uint32_t weight;           /* among equals; 1 where none is given */
    uint64_t hash;
};

struct group {
    struct smarthop_span name;
    uint32_t count;
    struct group_member members[SMARTHOP_NEXT_HOPS_MAX]; /* by priority */
};

struct group_route {
    struct smarthop_span domain; /* ".example.org" is also for those below it, "*" for all */
    struct smarthop_span group;
};

/* Texts are pointed to. What is wrong, or NULL. */
const char *group_parse(struct smarthop_span text, struct health *health, struct group *group);
const char *group_route_parse(struct smarthop_span text, struct group_route *route);

bool group_route_suits(const struct group_route *route, struct smarthop_span domain);

uint64_t group_hash(uint64_t seed, struct smarthop_span text); /* in any case of letters */

/*
 * All of the group in the order in which they are to be tried: one of those of the best priority
 * that has a host that serves, by the weights, the same one for the same key as long as it does;
 * then the others that serve, and last those that are down. `next_hops` has room for all members.
 */
void group_order(const struct group *group, struct health *health, uint64_t key, uint64_t now,
                 struct smarthop_next_hop *next_hops);

#endif
