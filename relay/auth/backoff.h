/*
 * backoff: how long to hold back who fails to log in, by client address and by user name.
 *
 * A few failures cost nothing; each further one doubles the wait, up to a bound. Failures are
 * forgotten by halves. Only digests are kept, in a table of fixed size: where it is full the least
 * of some neighbours goes. An address from which the user has lately logged in is not held back for
 * what others do to that user's name, so that guessing cannot lock a user out; the address's own
 * failures still count.
 *
 * One table a process, shared under a mutex. Any thread; nothing blocks for long.
 */
#ifndef SMARTHOP_AUTH_BACKOFF_H
#define SMARTHOP_AUTH_BACKOFF_H

#include "auth/crypto.h"

#include <sys/socket.h>

enum {
    AUTH_BACKOFF_FREE_USER = 5, /* failures that cost nothing */
    AUTH_BACKOFF_FREE_ADDRESS = 10,
    AUTH_BACKOFF_FIRST_MS = 1000,
    AUTH_BACKOFF_MAX_MS = 300000,
    AUTH_BACKOFF_HALF_MS = 600000, /* after which half of the failures are forgotten */
};

struct auth_backoff;

/* `secret` must outlive it. */
struct auth_backoff *auth_backoff_create(const struct crypto_secret *secret);
void auth_backoff_free(struct auth_backoff *backoff);

/* How many ms after `now` (clock_mono_ms) the next try may be: 0 = at once. `user` is a prepared
 * name, or empty where it is not known yet. Of an IPv6 address the first 64 bits count; a client
 * that is NULL or has another family has no address to be held back by. */
uint64_t auth_backoff_delay(struct auth_backoff *backoff, const struct sockaddr *client,
                            struct span user, uint64_t now);
/* Each try that came to an end, once. A success does not make good what the address has failed. */
void auth_backoff_note(struct auth_backoff *backoff, const struct sockaddr *client,
                       struct span user, bool succeeded, uint64_t now);

#endif
