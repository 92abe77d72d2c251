/*
 * sasl: the server's side of the SASL mechanisms (RFC 4422) as a state machine without I/O: the
 * protocol (SMTP, POP3, IMAP) hands in decoded responses and is told what to do next.
 *
 *   start, then step with each response:
 *     SASL_CHALLENGE  send sasl_server_challenge (may be empty), step with what comes back
 *     SASL_VERIFY     have sasl_server_user and _password checked, then tell sasl_server_verified
 *     SASL_DONE       sasl_server_user is logged in
 *     SASL_FAILED     sasl_server_failure says why
 *
 * Behind DONE and FAILED nothing more is stepped. PLAIN (RFC 4616), LOGIN (the expired draft that
 * clients go on using), SCRAM-SHA-256 and -PLUS (RFC 5802, 7677), EXTERNAL (RFC 4422 A). An
 * authorization identity must be empty or the user's own name. Not thread-safe; pure but for
 * random nonces; nothing in it takes long.
 */
#ifndef SMARTHOP_AUTH_SASL_H
#define SMARTHOP_AUTH_SASL_H

#include "auth/users.h"

enum {
    SASL_LINE_MAX = 12288, /* characters of a line of the exchange, with its CRLF: RFC 4954 4 */
    SASL_RESPONSE_MAX = BASE64_BYTES_MAX(SASL_LINE_MAX),
    SASL_CHALLENGE_MAX = 512, /* bytes, before base64 */
};

enum sasl_mechanism {
    SASL_PLAIN,
    SASL_LOGIN,
    SASL_SCRAM_SHA_256,
    SASL_SCRAM_SHA_256_PLUS,
    SASL_EXTERNAL,
    SASL_MECHANISMS
};

/* As it is in AUTH and in the list of EHLO. */
const char *sasl_mechanism_name(enum sasl_mechanism mechanism);
/* In any case; false where there is no such mechanism. */
bool sasl_mechanism_find(struct span name, enum sasl_mechanism *out);

enum sasl_binding {
    SASL_BINDING_TLS_EXPORTER, /* RFC 9266, for TLS 1.3 */
    SASL_BINDING_TLS_UNIQUE,   /* RFC 5929, for TLS 1.2 with the extended master secret */
    SASL_BINDINGS
};

/* The name in a SCRAM message. */
const char *sasl_binding_name(enum sasl_binding binding);

enum { SASL_BINDING_MAX = 64 }; /* bytes of channel binding data */

/* What the protocol knows of the connection. It and all that it points at must live as long as the
 * server does, but for `identity` and `bindings`, which are copied. */
struct sasl_setting {
    unsigned offered; /* 1u << SASL_X of what EHLO has listed */
    const struct users *users;
    const struct crypto_secret *secret;  /* auth_secret */
    struct span identity;                /* the verified client certificate's user; empty = none */
    struct span bindings[SASL_BINDINGS]; /* empty = this connection has none of the kind */
    struct span nonce;                   /* empty = a random one; for the vectors of the RFCs */
};

enum sasl_result { SASL_CHALLENGE, SASL_VERIFY, SASL_DONE, SASL_FAILED };

enum sasl_failure {
    SASL_FAIL_NONE,
    SASL_FAIL_UNSUPPORTED, /* not offered here: 504 5.5.4 */
    SASL_FAIL_MALFORMED,   /* the response breaks the mechanism's syntax: 501 5.5.2 */
    SASL_FAIL_CREDENTIALS, /* 535 5.7.8; count it */
    SASL_FAIL_BINDING,     /* another channel, or a downgrade: 535 5.7.8; count it */
};

struct sasl_server;

struct sasl_server *sasl_server_create(const struct sasl_setting *setting);
/* Erases what it knew. NULL is let be. */
void sasl_server_free(struct sasl_server *server);

/* Once. Without an initial response `has_initial` is false; an empty one ("=") is an empty span. */
enum sasl_result sasl_server_start(struct sasl_server *server, enum sasl_mechanism mechanism,
                                   bool has_initial, struct span initial);
/* Behind SASL_CHALLENGE only. */
enum sasl_result sasl_server_step(struct sasl_server *server, struct span response);
/* Behind SASL_VERIFY only. */
enum sasl_result sasl_server_verified(struct sasl_server *server, bool is_good);

/* These live until the next step. */
struct span sasl_server_challenge(const struct sasl_server *server);
/* Prepared; empty as long as no name has been told. For the log and the back-off it is there on
 * failures, too. */
struct span sasl_server_user(const struct sasl_server *server);
struct span sasl_server_password(const struct sasl_server *server);
enum sasl_failure sasl_server_failure(const struct sasl_server *server);

#endif
