/*
 * turns: how much of what an SMTP client has written may go to the server now. Programs write a
 * whole dialogue in one piece; what is behind DATA has to wait for the 354, since servers refuse
 * what comes before it (RFC 2920 3.1: DATA ends a group).
 *
 * Where the first line of the client ends by LF alone, its LFs become CRLF, but in a chunk of BDAT.
 */
#ifndef SMARTHOP_SENDMAIL_TURNS_H
#define SMARTHOP_SENDMAIL_TURNS_H

#include "base/buf.h"

enum turns_state {
    TURNS_COMMANDS = 0,
    TURNS_WAIT,  /* DATA has gone: its reply is awaited */
    TURNS_TEXT,  /* a message, up to the lone dot */
    TURNS_CHUNK, /* of BDAT */
};

enum { TURNS_LINE_MAX = 64 }; /* DATA and BDAT fit; longer lines are something else */

struct turns {
    enum turns_state state;
    bool knows_ends; /* the first line has come */
    bool ends_by_lf; /* and ended by LF alone */
    bool cr_last;
    char line[TURNS_LINE_MAX];
    size_t line_len; /* of the open line; TURNS_LINE_MAX + 1 for any longer one */
    uint64_t chunk_left;
    uint64_t replies_due; /* of what has gone, with the greeting */
    char reply[4];        /* the beginning of the open line of a reply */
    size_t reply_len;     /* at most that much */
};

void turns_init(struct turns *t);

/* Appends to `out` what may go, and takes it from *input. What is left waits for replies. */
void turns_client(struct turns *t, struct span *input, struct buf *out);

/* What the server has said. */
void turns_server(struct turns *t, struct span replies);

#endif
