/*
 * What session.c (the connection) and transaction.c (one attempt over it) share; nobody else
 * includes it.
 */
#ifndef SMARTHOP_DELIVER_SESSION_H
#define SMARTHOP_DELIVER_SESSION_H

#include "deliver/body.h"
#include "deliver/deliver.h"
#include "deliver/state.h"
#include "deliver/verdict.h"
#include "proto/dot.h"
#include "proto/downgrade.h"
#include "proto/smtp_ehlo.h"

/* What may wait to leave: then message data stops until most of it is gone. */
enum { DELIVER_OUTPUT_HIGH = 131072 };

/* Two cursors over MAIL, one RCPT a recipient, then DATA or BDAT: 0, 1 .. n, n + 1. Before these
 * may go XFORWARD commands. */
struct deliver_transaction {
    struct span xforward;        /* commands that have not left yet, each with its CRLF */
    unsigned xforward_replies;   /* that are to come */
    unsigned sent;               /* commands that have left */
    unsigned received;           /* replies that have come */
    unsigned accepted;           /* recipients */
    unsigned answered;           /* LMTP: recipients up to here have their final status */
    bool chunking;               /* BDAT, not DATA */
    bool at_once;                /* BDAT and all of the message leave together with the envelope */
    struct downgrade *downgrade; /* makes the data 7-bit; NULL = it goes as it is */
    bool utf8;                   /* SMTPUTF8 is said */
    bool overtaken;              /* more had come with the 354: a 250 is not for the message */
    struct span by;              /* in the attempt's arena */
    struct dot_encoder encoder;  /* with BDAT only its line checker is used, if any */
};

/* The attempt at a host's second address, see race.c. */
struct deliver_race {
    struct sockaddr_storage address;
    struct timer delay;
    struct conn *conn; /* NULL = it has not begun, or has failed */
    bool is_open;      /* no address is connected yet */
    bool is_begun;
};

struct deliver_session {
    struct deliver_options options; /* what it points to is ours, but for queue and loop */
    struct sockaddr_storage peer;
    struct sockaddr_storage local;
    deliver_handler *handler;
    void *owner;
    struct arena arena;
    struct conn *conn; /* NULL when it is gone */
    struct deliver_race race;
    enum deliver_state state;
    uint64_t entered_ms; /* into the state */
    uint64_t phases[DELIVER_PHASE_COUNT];
    bool plain_only; /* a handshake has failed before */
    struct buf reply_text;
    struct smtp_reply_parser parser;
    struct smtp_ehlo offer; /* of the latest EHLO; without its texts */
    unsigned xforward;      /* bits of enum xforward_attribute, where they are to be told */
    struct span by;
    char tls[64];
    struct deliver_login *login; /* NULL = there is none, or it is done */
    bool is_verified;            /* under TLS, with a certificate for the host's name */
    struct status failure;
    unsigned messages; /* transactions that are over */

    struct deliver_attempt *attempt;
    struct deliver_transaction transaction;
    struct deliver_attempt *next;         /* waits for the end of that one; NULL = none */
    struct deliver_transaction following; /* its; nothing has been sent where it has to wait */
    bool follow;                          /* one may be given to go along */
    struct deliver_body body;
    enum verdict_own objection; /* in state DECLINED */
    struct call decline;
    bool declining; /* the call is pending */
};

/* The one way into a state: logs it and arms its deadline. */
void deliver_enter(struct deliver_session *s, enum deliver_state state);
/* phase.c: a state is left. */
void deliver_phase_end(struct deliver_session *s);
/* An attempt begins. */
void deliver_phases_begin(struct deliver_session *s);
/* Ends the connection for this reason, which becomes the outcome of recipients without one. */
void deliver_fail(struct deliver_session *s, const struct status *why);
/* The last of the connection, the pool and the deferred call to let go takes the session along. */
void deliver_release_if_free(struct deliver_session *s);
/* Ends the connection; it is not the host's fault. The attempt has its statuses. */
void deliver_end(struct deliver_session *s);
/* turn.c: the attempt has its statuses. `clean`: the next one may follow without RSET. */
void deliver_conclude(struct deliver_session *s, bool clean);
/* Ends a connection on which nothing is under way. */
void deliver_quit(struct deliver_session *s);
void deliver_tell(struct deliver_session *s, enum deliver_event event,
                  struct deliver_attempt *attempt);

/* turn.c */
/* Only when all that has arrived was looked at: a reply that nobody asked for must not be taken for
 * the answer to the next MAIL. */
void deliver_announce_ready(struct deliver_session *s);
/* The end of data has left: the owner may have another attempt to go along. */
void deliver_offer_turn(struct deliver_session *s);
/* The connection is gone: attempts that it still has are given back. */
void deliver_turns_end(struct deliver_session *s);

static inline bool deliver_is_offered(const struct deliver_session *s,
                                      enum smtp_extension extension)
{
    return smtp_ehlo_has(&s->offer, extension);
}

/* RFC 1870 3: as transmitted, but without what transparency adds. */
static inline uint64_t deliver_wire_size(const struct queue_message *message)
{
    return message->size + message->trace.len;
}

/* objection.c: true, and why in s->objection, where this host cannot take the attempt's message. */
bool deliver_is_declined(struct deliver_session *s);
/* True where its data has to be looked at, and maybe changed, while it leaves. */
bool deliver_has_to_downgrade(const struct deliver_session *s);

/* envelope.c: what the commands of the attempt say */
/* The group's own, or the message's. */
struct span deliver_reverse_path(const struct deliver_attempt *attempt);
void deliver_write_mail(const struct deliver_session *s, struct buf *out);
void deliver_write_rcpt(const struct deliver_session *s, unsigned i, struct buf *out);
/* Returns the number of commands; the text lives in the attempt's arena. */
unsigned deliver_write_xforward(const struct deliver_session *s, struct span *out);
/* A mailbox as it stands in a command to this host: its domain in A-labels where SMTPUTF8 is not
 * said. False, and the mailbox as it is, where that is not possible. Lives as long as the attempt.
 */
bool deliver_address(const struct deliver_session *s, struct span address, struct span *out);
/* Whether all of the attempt's mailboxes can be written so. */
bool deliver_envelope_is_ascii(const struct deliver_session *s);
/* Seconds that are left until message->deliver_by, begun ones too; 0 or less when it has passed. */
int64_t deliver_seconds_left(const struct queue_message *message);

void deliver_transaction_prepare(struct deliver_session *s, struct deliver_attempt *attempt);
/* What leaves behind the data of another transaction: commands, and no message data. */
void deliver_transaction_send_ahead(struct deliver_session *s);
void deliver_transaction_begin(struct deliver_session *s);
/* Gives the status to every recipient of the attempt that has none. */
void deliver_transaction_settle(struct deliver_session *s, const struct status *status);
/* Goes on sending message data, as far as the connection takes it. */
void deliver_transaction_pump(struct deliver_session *s);

void deliver_on_xforward_reply(struct deliver_session *s, const struct smtp_reply *reply);
void deliver_on_mail_reply(struct deliver_session *s, const struct smtp_reply *reply);
void deliver_on_rcpt_reply(struct deliver_session *s, const struct smtp_reply *reply);
void deliver_on_data_reply(struct deliver_session *s, const struct smtp_reply *reply);
void deliver_on_early_reply(struct deliver_session *s, const struct smtp_reply *reply);
void deliver_on_final_reply(struct deliver_session *s, const struct smtp_reply *reply);
void deliver_on_final_each_reply(struct deliver_session *s, const struct smtp_reply *reply);

/* session.c. Starts a connection whose events are the session's. */
struct conn *deliver_connect(struct deliver_session *s, const struct sockaddr *peer);
/* The session's connection leads there. */
void deliver_set_peer(struct deliver_session *s, const struct sockaddr_storage *peer);

/* race.c */
void deliver_race_begin(struct deliver_session *s);
/* The session's connection could not be made. True where the second address is what it waits for
 * now. */
bool deliver_race_goes_on(struct deliver_session *s);
/* An event of the second address's connection. True where that is the session's now: connected. */
bool deliver_race_is_won(struct deliver_session *s, enum conn_event event);
/* One is connected, or the session ends. */
void deliver_race_end(struct deliver_session *s);

#endif
