/*
 * client: SMTP's side that asks, over a local socket, one command at a time. It blocks; every wait
 * has a deadline.
 */
#ifndef SMARTHOP_SENDMAIL_CLIENT_H
#define SMARTHOP_SENDMAIL_CLIENT_H

#include "base/buf.h"
#include "proto/smtp_reply.h"

struct client {
    int fd;
    bool verbose;
    struct buf input;
    struct buf text;
    struct smtp_reply_parser parser;
    struct smtp_reply reply; /* the last one; lives until the next */
};

/* A connected socket, or -1 with *exit_out once it has been said why. */
int client_connect(const char *path, int *exit_out);

/* Connects and reads the greeting; EX_OK, or another exit status once it has been said why, as with
 * all functions here. To be closed in either case. */
int client_open(struct client *c, const char *path, bool verbose);
void client_close(struct client *c);

/* Sends bytes as they are. A server that has gone is told by the client_reply that follows, since
 * it may have left a reply that explains it. */
int client_send(struct client *c, struct span bytes);
/* Waits for the next reply. */
int client_reply(struct client *c);
/* Sends a line, to which CRLF is added, and waits for the reply. */
__attribute__((format(printf, 2, 3))) int client_command(struct client *c, const char *format, ...);

/* Takes leave, and does not wait long for the answer: nothing depends on it any more. */
void client_quit(struct client *c);

/* Where the reply's code is not of the hundred that is expected (2 or 3): says `what` and the
 * reply, and answers the exit status that goes with it. */
int client_expect(const struct client *c, unsigned hundred, const char *what);

#endif
