/*
 * sasl_client: the client's side of PLAIN, LOGIN, SCRAM-SHA-256, SCRAM-SHA-256-PLUS and EXTERNAL,
 * as a state machine without I/O, for logging in at another server.
 *
 *   start, then step with each decoded challenge:
 *     SASL_CLIENT_SEND    send sasl_client_response (may be empty)
 *     SASL_CLIENT_WAIT    nothing to send with the command: a challenge will come
 *     SASL_CLIENT_DERIVE  have sasl_client_derive run on the pool, then call sasl_client_derived
 *     SASL_CLIENT_FAILED  give up (cancel with "*"); the server is not what it should be
 *
 * When the server says that it has worked, sasl_client_is_convinced tells whether to believe it: a
 * SCRAM server has to show that it knows the password, too. Which mechanisms may be used without
 * TLS is the caller's business. Not thread-safe.
 */
#ifndef SMARTHOP_AUTH_SASL_CLIENT_H
#define SMARTHOP_AUTH_SASL_CLIENT_H

#include "auth/sasl.h"

struct sasl_client_setting {
    enum sasl_mechanism mechanism;
    struct span user; /* sent as it is, like the password; 1 to AUTH_NAME_MAX bytes */
    struct span password;
    /* SCRAM-SHA-256-PLUS: what the channel is bound by, and its data. */
    enum sasl_binding binding;
    struct span binding_data;
    /* SCRAM-SHA-256: this side could bind the channel, but the server has not offered to. */
    bool would_bind;
    struct span nonce; /* empty = a random one; for the vectors of the RFCs */
};

enum sasl_client_result {
    SASL_CLIENT_SEND,
    SASL_CLIENT_WAIT,
    SASL_CLIENT_DERIVE,
    SASL_CLIENT_FAILED
};

struct sasl_client;

/* Copies the setting; NULL where a name or a password is out of the bounds of auth/prepare.h, or
 * the binding's data is missing. */
struct sasl_client *sasl_client_create(const struct sasl_client_setting *setting);
/* Erases what it knew. NULL is let be. */
void sasl_client_free(struct sasl_client *client);

enum sasl_client_result sasl_client_start(struct sasl_client *client);
enum sasl_client_result sasl_client_step(struct sasl_client *client, struct span challenge);
/* Takes long: on the pool, while nothing else is done with the client. */
void sasl_client_derive(struct sasl_client *client);
enum sasl_client_result sasl_client_derived(struct sasl_client *client);

/* Lives until the next step. */
struct span sasl_client_response(const struct sasl_client *client);
bool sasl_client_is_convinced(const struct sasl_client *client);

#endif
