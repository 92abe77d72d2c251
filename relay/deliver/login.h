/*
 * login: the session's AUTH at the host (RFC 4954), between EHLO and the first message. For
 * deliver/ only.
 *
 * The best mechanism that both sides have is used: SCRAM-SHA-256-PLUS, SCRAM-SHA-256, PLAIN,
 * LOGIN. A host that is not proved to be the one that was meant is told nothing. Whatever goes
 * wrong ends the connection and is the host's (STATUS_SCOPE_HOST), never the message's.
 */
#ifndef SMARTHOP_DELIVER_LOGIN_H
#define SMARTHOP_DELIVER_LOGIN_H

#include "deliver/deliver.h"
#include "proto/smtp_reply.h"

struct deliver_login;

/* Copies the credentials. */
struct deliver_login *deliver_login_create(struct deliver_session *session,
                                           const struct deliver_credentials *credentials);
/* Erases what it knew. NULL is let be. Not while it is deriving. */
void deliver_login_free(struct deliver_login *login);
/* The pool has it, and with it the session. NULL is not. */
bool deliver_login_is_deriving(const struct deliver_login *login);

/* Says AUTH, or ends the session. */
void deliver_login_begin(struct deliver_session *s);
void deliver_on_auth_reply(struct deliver_session *s, const struct smtp_reply *reply);

#endif
