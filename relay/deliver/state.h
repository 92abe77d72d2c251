/* The states of a client session; for deliver/ only. */
#ifndef SMARTHOP_DELIVER_STATE_H
#define SMARTHOP_DELIVER_STATE_H

/* From CONNECT to DERIVE the host has not yet shown that it takes mail. From MAIL to FINAL_EACH the
 * state is what the next reply will answer: with PIPELINING what has been sent may be far ahead. */
enum deliver_state {
    DELIVER_STATE_CONNECT,
    DELIVER_STATE_RECONNECT, /* closing, to come back in plain text */
    DELIVER_STATE_GREETING,
    DELIVER_STATE_EHLO,
    DELIVER_STATE_HELO,
    DELIVER_STATE_STARTTLS,
    DELIVER_STATE_HANDSHAKE,
    DELIVER_STATE_EHLO_TLS,
    DELIVER_STATE_AUTH,
    DELIVER_STATE_DERIVE,   /* the pool works out what AUTH goes on with */
    DELIVER_STATE_READY,    /* can take an attempt; the owner has not been told yet */
    DELIVER_STATE_IDLE,     /* the owner has been told */
    DELIVER_STATE_DECLINED, /* has an attempt that this host cannot be given */
    DELIVER_STATE_XFORWARD,
    DELIVER_STATE_MAIL,
    DELIVER_STATE_RCPT,
    DELIVER_STATE_DATA,
    DELIVER_STATE_BODY, /* message data is leaving; no reply is expected */
    DELIVER_STATE_FINAL,
    DELIVER_STATE_FINAL_EACH, /* LMTP: for one accepted recipient after the other */
    DELIVER_STATE_RSET,
    DELIVER_STATE_QUIT,
    DELIVER_STATE_CLOSED, /* waits for the connection and the pool to let go */
    DELIVER_STATE_COUNT,
};

#endif
