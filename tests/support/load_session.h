/*
 * load_session: one SMTP client session of the load generator, from connect to QUIT, and the
 * messages that it takes from the common store.
 *
 * A session only ever sends what its state allows and never retries. When it can do no more it is
 * parked, for the loop to use again.
 */
#ifndef SMARTHOP_TESTS_LOAD_SESSION_H
#define SMARTHOP_TESTS_LOAD_SESSION_H

#include "load.h"
#include "stream.h"

enum state {
    STATE_FREE,      /* no connection */
    STATE_HANDSHAKE, /* TLS is being set up */
    STATE_GREETING,
    STATE_EHLO,
    STATE_STARTTLS,
    STATE_READY, /* greeted, waiting for the next message to fall due */
    STATE_MAIL,
    STATE_RCPT,
    STATE_DATA,
    STATE_FINAL, /* the message is sent, its fate is not known */
    STATE_RSET,
    STATE_QUIT,
    STATE_HELD, /* an idle session that stays open */
};

struct session {
    struct stream stream;
    enum state state;
    struct bytes in;
    struct bytes out;
    const char *tail; /* rest of a large body, sent behind `out`, shared by all sessions */
    size_t tail_len;
    uint64_t id; /* of the current message */
    uint64_t connect_ns;
    uint64_t mail_ns;
    unsigned sent;       /* messages begun on this connection */
    unsigned rcpt_left;  /* recipients without a reply */
    unsigned finals;     /* LMTP: replies behind the data so far */
    unsigned rcpt_taken; /* recipients accepted */
    bool owes_message;   /* a message was taken for this session and has no fate yet */
    bool owes_next;      /* the group of a further message is behind the current body */
    uint64_t next_id;
    uint64_t next_mail_ns;
    bool transaction_refused; /* MAIL was refused; the group's other replies still come */
    bool parked;
    bool opening; /* counted in load.opening */
};

struct load {
    struct load_options opt;
    int epoll;
    SSL_CTX *tls;
    SSL_SESSION *ticket; /* the latest, for --resume */
    struct session *sessions;
    unsigned *parked; /* indices of free and ready sessions, used as a stack */
    unsigned parked_count;
    unsigned open_sessions;
    unsigned held_sessions;
    unsigned opening;
    char *body; /* the body lines with the end-of-data line */
    size_t body_len;
    FILE *acked;
    int signals; /* signalfd */
    bool stopping;

    uint64_t started;
    struct load_stats stats;
};

/* Builds the body that all messages share. */
void load_body_build(struct load *l);
/* How many messages may have been started by now. */
uint64_t load_messages_due(const struct load *l);
void load_park(struct load *l, struct session *s);

/* Connects a free session. */
void session_start(struct load *l, struct session *s);
/* Gives a free or greeted session its next message, QUIT, or a place among the parked. */
void session_next(struct load *l, struct session *s);
void session_quit(struct session *s);
/* Writes what is pending. False where the connection broke: session_lost is due. */
bool session_flush(struct session *s);
/* The connection has ended unasked; its messages have failed. */
void session_lost(struct load *l, struct session *s);
/* What epoll reports for this session. */
void session_event(struct load *l, struct session *s, uint32_t events);

#endif
