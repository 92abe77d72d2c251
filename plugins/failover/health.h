/*
 * health: which hosts serve, as the outcomes of attempts tell. After some failures in a row a host
 * is down and rests; behind each rest one message may try it, and each time that fails the rest
 * gets longer. One host is one name, whatever its ports and groups. Hosts are added before anything
 * is asked; then all of it may be called on any thread.
 */
#ifndef SMARTHOP_FAILOVER_HEALTH_H
#define SMARTHOP_FAILOVER_HEALTH_H

#include <smarthop_plugin.h>

struct health;

struct health_limits {
    uint32_t failures; /* in a row until a host is down */
    uint64_t rest;     /* milliseconds, the first time */
    uint64_t rest_max;
};

enum health_state {
    HEALTH_GOOD,
    HEALTH_DUE,  /* down, but one message may try it */
    HEALTH_DOWN, /* not before its rest is over */
};

struct health *health_create(struct health_limits limits);
void health_free(struct health *health);

/* Its number; `name` has to stay. In any case of letters it is the same host. */
uint32_t health_add(struct health *health, struct smarthop_span name);
uint32_t health_count(const struct health *health);
struct smarthop_span health_name(const struct health *health, uint32_t host);

enum health_state health_look(struct health *health, uint32_t host, uint64_t now);
/* True for one caller: its message is the one that tries a host that is due. */
bool health_claim(struct health *health, uint32_t host, uint64_t now);

/* What has come of an attempt; true where the host is up again, or down from now on. The recipients
 * of one message are one attempt. */
bool health_succeeded(struct health *health, uint32_t host);
bool health_failed(struct health *health, uint32_t host, uint64_t message, uint64_t now);

#endif
