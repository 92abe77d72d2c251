/*
 * deliver: the SMTP client. A session is one connection to one host of a next hop; it carries one
 * transaction after another, each for one group of recipients of one message.
 *
 * The owner (schedule/) opens a session, gives it an attempt when it is ready, and gets every
 * recipient's status back. deliver/ never decides about retries: verdict.c says how far a failure
 * reaches (recipient, message, host, session) and the owner acts on that. Everything runs on the
 * loop of the owner.
 */
#ifndef SMARTHOP_DELIVER_DELIVER_H
#define SMARTHOP_DELIVER_DELIVER_H

#include "base/loop.h"
#include "net/conn.h"
#include "proto/status.h"
#include "queue/queue.h"

enum deliver_tls {
    DELIVER_TLS_NONE,
    DELIVER_TLS_OPPORTUNISTIC, /* where offered; a failed handshake is tried again without */
    DELIVER_TLS_REQUIRED,      /* verified, or the host is not used */
};

/* What becomes of an 8-bit message where the host does not offer 8BITMIME (RFC 6152 3). */
enum deliver_eight_bit {
    DELIVER_EIGHT_BIT_CONVERT, /* as proto/downgrade.h does, or it is declined */
    DELIVER_EIGHT_BIT_DECLINE,
    DELIVER_EIGHT_BIT_SEND,
};

/* Deadlines in milliseconds, RFC 5321 section 4.5.3.2. */
struct deliver_deadlines {
    uint64_t connect, greeting, hello, mail, rcpt, data_init, data_block, data_final, quit;
};

/* With which to log in. They are copied. */
struct deliver_credentials {
    struct span name; /* by which the configuration knows them; for texts */
    struct span user; /* empty = there are none of that name any more */
    struct span password;
    bool without_tls; /* also where nothing proves who is there */
};

struct deliver_options {
    struct loop *loop;
    struct queue *queue; /* bodies that are not in memory are read through it, on the pool */
    const char *hello;   /* our host name */
    const struct sockaddr *peer;
    const struct sockaddr *second; /* another address of the same host; NULL = none. It is connected
                                      to, too, when `peer` has failed, or has not been connected
                                      for `second_after` ms (0 = never); the first one is taken */
    uint64_t second_after;
    const struct sockaddr *local; /* from which to connect, of the peer's family; NULL = any */
    const char *host; /* name of the peer, for TLS and for statuses; an address where it has none */
    bool is_told;     /* `host` comes from the operator, not from DNS: a certificate for it proves
                         who is there (RFC 8689 4.2.1) */
    bool lmtp;        /* RFC 2033, not SMTP */
    bool xforward;    /* tell it of our client, where it lists XFORWARD */
    const struct deliver_credentials *credentials; /* NULL = nobody logs in */
    enum deliver_eight_bit eight_bit;
    enum deliver_tls tls;
    bool implicit_tls; /* TLS from the first byte (RFC 8314 3.3), whatever `tls` says: that tells
                          only whether the certificate has to be right */
    struct tls_client *tls_client;
    struct ssl_session_st *resume; /* NULL = none; referenced while it is needed */
    struct deliver_deadlines deadlines;
};

struct deliver_session;

/* One transaction. Embedded in its owner, which fills the upper part. */
struct deliver_attempt {
    struct queue_message *message;
    const struct queue_group *group;
    const uint32_t *recipients; /* indexes into group->recipients: those to send */
    unsigned recipient_count;

    struct status *statuses; /* one a recipient, the owner's array; filled at the end */
    struct arena *arena;     /* where the statuses' texts go */
    enum status_scope scope; /* how far the worst failure reaches; RECIPIENT where none does */
    bool granted;            /* MAIL was: a 421 from then on may be about this message alone */
    bool sent;               /* the end of data has left: a lost reply may mean a duplicate */
    bool dsn_passed;         /* notifications are the next hop's to send from here on: RFC 3461 */
    bool damaged;            /* the stored body is not what was accepted: hold it for an operator */
    bool declined;  /* this host cannot take the message, and has not got it; another one may */
    bool untouched; /* the connection ended before its turn came: nothing was said of it */
    uint64_t started_ms, finished_ms; /* loop time */
};

enum deliver_event {
    DELIVER_READY,    /* the session can take an attempt */
    DELIVER_FOLLOW,   /* the end of data has left, its reply has not come: the next attempt may be
                         given now, whose commands go along (RFC 2920 3.1) */
    DELIVER_FINISHED, /* the attempt has its statuses; where another one was given it goes on with
                         that, otherwise DELIVER_READY or DELIVER_CLOSED follows */
    DELIVER_CLOSED,   /* the session is gone; deliver_session_failure says why */
};
typedef void deliver_handler(struct deliver_session *session, enum deliver_event event,
                             struct deliver_attempt *attempt, void *owner);

/* Connects, greets, secures, logs in. DELIVER_READY or DELIVER_CLOSED follows; never from within.
 */
struct deliver_session *deliver_open(const struct deliver_options *options,
                                     deliver_handler *handler, void *owner);
/* Only when the last event was DELIVER_READY, or as long as deliver_can_follow. The attempt is the
 * session's until DELIVER_FINISHED, which comes exactly once, in the order of the attempts. Where
 * the connection has ended meanwhile it is untouched, and DELIVER_CLOSED follows. */
void deliver_send(struct deliver_session *session, struct deliver_attempt *attempt);
/* From DELIVER_FOLLOW until that attempt has finished or the next one has been given. */
bool deliver_can_follow(const struct deliver_session *session);
/* Ends an idle session with QUIT, any other (and one that has been told so before) at once;
 * DELIVER_CLOSED follows, after DELIVER_FINISHED for an attempt under way. */
void deliver_close(struct deliver_session *session);

/* During DELIVER_CLOSED: why the session ended, with its scope (HOST: try another host of the next
 * hop, or later; SESSION: this connection only). code 0 = it was closed in the normal way. */
const struct status *deliver_session_failure(const struct deliver_session *session);
/* Where it leads, in the form in which `peer` was given: there, or to `second`. */
const struct sockaddr_storage *deliver_session_peer(const struct deliver_session *session);
enum deliver_phase {
    DELIVER_PHASE_NONE, /* idle, ending */
    DELIVER_PHASE_CONNECT,
    DELIVER_PHASE_HELLO,
    DELIVER_PHASE_TLS,
    DELIVER_PHASE_LOGIN,
    DELIVER_PHASE_ENVELOPE, /* from MAIL to the leave to send data; this and those below are of the
                               latest attempt */
    DELIVER_PHASE_DATA,
    DELIVER_PHASE_FINAL, /* from the end of data to its last reply */
    DELIVER_PHASE_COUNT,
};
/* What each has taken, in milliseconds: DELIVER_PHASE_COUNT of them, the session's. */
const uint64_t *deliver_session_phases(const struct deliver_session *session);
/* TLS for the log: "TLSv1.3 cipher", or "" */
const char *deliver_session_tls(const struct deliver_session *session);
/* A TLS session for the next connection to this host, or NULL; the caller's. */
struct ssl_session_st *deliver_session_resume(const struct deliver_session *session);
unsigned deliver_session_messages(const struct deliver_session *session);
/* What it does or waits for, in a word: "connect", "mail", "final". */
const char *deliver_session_state(const struct deliver_session *session);

/* What one transaction may have (RFC 9422); UINT64_MAX where the host names no limit. */
struct deliver_limits {
    uint64_t recipients;
    uint64_t domains; /* of the recipients */
};
struct deliver_limits deliver_session_limits(const struct deliver_session *session);

#endif
