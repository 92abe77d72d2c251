/*
 * submit: hands one message over to the server, in as many transactions as its bound on recipients
 * needs.
 */
#ifndef SMARTHOP_SENDMAIL_SUBMIT_H
#define SMARTHOP_SENDMAIL_SUBMIT_H

#include "sendmail/message.h"
#include "sendmail/options.h"

struct submission {
    const struct options *options;
    const char *socket;
    const char *hostname;
    struct span sender; /* empty: the null reverse-path */
    bool sender_utf8;
    struct address_list recipients; /* at least one */
    struct message message;
};

/* EX_OK once the server has taken responsibility for all recipients. Otherwise it has been said
 * why, and the server has the message for no recipient, or for those that are told. */
int submit(struct submission *s);

#endif
