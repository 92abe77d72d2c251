/*
 * sink_session: the server's side of one SMTP session over bytes that somebody else moves.
 *
 * It knows no socket: the owner fills `in`, calls session_step until it returns false, and sends
 * `out`. Messages are counted and recorded here.
 */
#ifndef SMARTHOP_TESTS_SINK_SESSION_H
#define SMARTHOP_TESTS_SINK_SESSION_H

#include "sink.h"

#define SINK_MESSAGE_MAX (256u << 20)

enum phase {
    PHASE_COMMAND,
    PHASE_DATA,
    PHASE_BDAT,
    PHASE_TLS,     /* TLS starts as soon as `out` is sent */
    PHASE_STALLED, /* never answers again */
    PHASE_CLOSING, /* closes when `out` is sent */
};

struct session {
    const struct sink_options *options;
    struct sink_counts *counts;
    enum phase phase;
    bool in_tls;
    bool turned_away; /* too many are served */
    bool replied;     /* set with each reply; the owner clears it */
    struct bytes in;
    struct bytes out;
    struct bytes body;   /* chunks before the last one */
    struct bytes mail;   /* arguments of MAIL FROM */
    struct bytes rcpts;  /* lines: arguments of RCPT TO */
    struct bytes sender; /* the address alone */
    unsigned rcpt_count;
    size_t scanned; /* bytes of the message already searched for its end */
    size_t chunk_len;
    bool chunk_last;
    bool body_started;
};

void session_fini(struct session *s);
/* Puts the banner out, or what stands in its place. */
void session_greet(struct session *s);
/* Handles one command or one message of `in`. False where it needs more bytes or has stopped. */
bool session_step(struct session *s);
/* The TLS handshake is done. */
void session_secured(struct session *s);

#endif
