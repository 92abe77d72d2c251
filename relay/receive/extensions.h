/*
 * extensions: which ESMTP extensions a session offers, in one table from which both the reply to
 * EHLO and what MAIL and RCPT take are made; and what those of MAIL mean for the message.
 */
#ifndef SMARTHOP_RECEIVE_EXTENSIONS_H
#define SMARTHOP_RECEIVE_EXTENSIONS_H

#include "receive/session.h"

/* Whether the next reply to EHLO would name it; false for a client that has said HELO. */
bool extensions_have(const struct session *s, enum smtp_extension extension);
/* Appends "\nKEYWORD parameters" for each, for the reply to EHLO. */
void extensions_list(const struct session *s, struct buf *out);
/* What the parameters of MAIL and RCPT are judged by. */
struct esmtp_offer extensions_offer(const struct session *s);

/* Gives the message of s->tx what MAIL has asked for; message->arrival is known. False, and said
 * so, where that contradicts itself. */
bool extensions_take_mail(struct session *s, const struct esmtp_mail *mail);

#endif
