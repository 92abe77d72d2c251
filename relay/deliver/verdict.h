/*
 * verdict: the one place that decides what a reply or a failure means: its codes, and how far it
 * reaches (recipient, message, host, session). Pure; texts go into the arena. `by` is left for the
 * caller.
 */
#ifndef SMARTHOP_DELIVER_VERDICT_H
#define SMARTHOP_DELIVER_VERDICT_H

#include "deliver/state.h"
#include "proto/smtp_reply.h"

enum { VERDICT_TEXT_MAX = 1000 }; /* kept of a reply's text: it is stored with each recipient */

struct verdict_reply {
    enum deliver_state state; /* in which the reply came */
    bool reused;              /* the connection has carried a transaction before */
    const struct smtp_reply *reply;
};
/* A status of success, scope RECIPIENT, where the reply grants what was asked for. 354 is not for
 * it. */
struct status verdict_of_reply(const struct verdict_reply *said, struct arena *arena);

enum verdict_trouble {
    VERDICT_LOST,    /* the peer has closed the connection */
    VERDICT_BROKEN,  /* connecting, reading, writing or TLS failed */
    VERDICT_TIMEOUT, /* the state's deadline has passed */
    VERDICT_GARBAGE, /* what came is not SMTP */
};
/* `detail`: what the system or the parser says, or NULL. */
struct status verdict_of_trouble(enum deliver_state state, enum verdict_trouble trouble,
                                 const char *detail, struct arena *arena);

enum verdict_own {
    VERDICT_NO_STARTTLS,
    VERDICT_UNVERIFIED,
    VERDICT_INJECTED, /* plain text behind the reply to STARTTLS (CVE-2011-0411) */
    VERDICT_NO_CREDENTIALS,
    VERDICT_BAD_CREDENTIALS,
    VERDICT_LOGIN_UNSAFE, /* nothing proves who would get the password */
    VERDICT_NO_AUTH,
    VERDICT_NO_MECHANISM,
    VERDICT_LOGIN_NONSENSE, /* a challenge that the mechanism does not have */
    VERDICT_LOGIN_UNPROVED, /* SCRAM: the host does not know the password */
    VERDICT_TOO_LARGE,
    VERDICT_NEEDS_SMTPUTF8,
    VERDICT_NEEDS_8BITMIME,
    VERDICT_NEEDS_BINARYMIME,
    VERDICT_NEEDS_TLS,   /* for REQUIRETLS, like the next three */
    VERDICT_TLS_FAILED,  /* maybe only for now */
    VERDICT_NEEDS_PROOF, /* of who is there */
    VERDICT_NEEDS_REQUIRETLS,
    VERDICT_NEEDS_DELIVERBY,
    VERDICT_TOO_SOON, /* the host does not promise delivery in that little time */
    VERDICT_TOO_LATE, /* BY has passed */
    VERDICT_DAMAGED,
    VERDICT_UNREADABLE,
    VERDICT_CANCELLED,
};
/* Static text; needs no arena. */
struct status verdict_of_own(enum verdict_own why);

#endif
