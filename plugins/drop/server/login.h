/*
 * login: a user logs in, by a SASL mechanism (RFC 4422) or by name and password, for POP3 and IMAP
 * alike: the exchange, the check off the loop, the back-off, and how it ended. One at a time a
 * session; embedded in it, zeroed.
 */
#ifndef SMARTHOP_DROP_LOGIN_H
#define SMARTHOP_DROP_LOGIN_H

#include "auth/sasl.h"
#include "plugins/drop/server/server.h"

enum login_event {
    LOGIN_CHALLENGE,   /* send login_challenge in base64 as a continuation; hand in what comes */
    LOGIN_GOOD,        /* session->user is set, and counted */
    LOGIN_BAD,         /* AUTHENTICATIONFAILED, [AUTH] */
    LOGIN_LATER,       /* held back, or too busy: UNAVAILABLE, [SYS/TEMP] */
    LOGIN_TOO_MANY,    /* the user has too many sessions: LIMIT, [IN-USE] */
    LOGIN_MALFORMED,   /* the exchange breaks its syntax, or was given up with "*": BAD */
    LOGIN_UNSUPPORTED, /* no such mechanism here: NO, -ERR */
    LOGIN_INSECURE,    /* not without TLS: PRIVACYREQUIRED */
};

struct login {
    /* The owner's: told from the loop, never from within login_start or login_response. Each start
     * ends with one event other than LOGIN_CHALLENGE. */
    void (*told)(struct login *login, enum login_event event);

    /* login.c's own. */
    struct drop_session *session;
    struct sasl_server *sasl;
    struct users *users;
    struct auth_verify verify;
    struct call tell;
    enum login_event event;
    char *name;            /* whose password is checked; NULL = nobody's yet */
    const char *mechanism; /* for the log */
    bool is_telling;       /* `tell` is on its way */
    bool is_hashing;       /* `verify` is */
    bool is_hashed;        /* the back-off knows how it ended */
    bool is_gone;
    void (*ended)(struct login *login);
};

/* The mechanisms that may be offered on this connection now, as bits 1u << enum sasl_mechanism. */
unsigned login_mechanisms(const struct drop_session *session);

/* By SASL; `initial` is in base64 as it came ("=" is the empty one). */
void login_start(struct login *login, struct drop_session *session, struct span mechanism,
                 bool has_initial, struct span initial);
/* By name and password: LOGIN, USER and PASS. */
void login_password(struct login *login, struct drop_session *session, struct span user,
                    struct span password);
/* Behind LOGIN_CHALLENGE: the client's line, in base64, or "*". */
void login_response(struct login *login, struct span line);
/* In base64; lives until login_response. */
void login_challenge(struct login *login, struct buf *out);

/* The session ends: nothing is told any more. True: nothing is under way; otherwise `ended` comes
 * later, from the loop, and the memory must stay until then. */
bool login_end(struct login *login, void (*ended)(struct login *login));

#endif
