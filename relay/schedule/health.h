/*
 * health: which hosts of a next hop are passed over for now. A host that failed is left alone for
 * a time that doubles with each failure in a row; then one connection, of whichever worker, may
 * try it. Only hosts that failed are kept, so that a look costs next to nothing while all is well.
 *
 * Shared by the workers, with a lock of its own; any thread. Times are those of clock_mono_ms(),
 * given by the caller. `group` names those who share what is known of a host: a login that one next
 * hop lacks says nothing about another.
 */
#ifndef SMARTHOP_SCHEDULE_HEALTH_H
#define SMARTHOP_SCHEDULE_HEALTH_H

#include "base/span.h"

#include <sys/socket.h>

struct health;

struct health *health_create(void);
void health_free(struct health *health);

struct health_host {
    struct span group;
    const struct sockaddr_storage *address; /* zeros behind what its family has */
};

enum health_answer {
    HEALTH_GOOD,
    HEALTH_DUE,  /* it has failed; one connection may try it now */
    HEALTH_DOWN, /* it waits, or is being tried */
};
enum health_answer health_look(struct health *health, const struct health_host *host, uint64_t now);
/* The caller's connection is the one that tries it, where it is due: health_let_go then. */
bool health_try(struct health *health, const struct health_host *host, uint64_t now);
/* The try has ended, whatever has come of it. */
void health_let_go(struct health *health, const struct health_host *host);

/* It failed, and waits for `delay(context, failures)` ms; nothing changes while it does already.
 * True where it served
 * before. */
typedef uint64_t health_delay(void *context, uint32_t failures);
bool health_failed(struct health *health, const struct health_host *host, uint64_t now,
                   health_delay *delay, void *context);
/* It has waited enough, but is not known to serve. */
void health_forgive(struct health *health, const struct health_host *host);
/* It serves. True where it had failed before. */
bool health_answered(struct health *health, const struct health_host *host);

#endif
