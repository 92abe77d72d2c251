/*
 * server: the drop's threads and doors. Each worker is a thread with a loop and listeners of its
 * own (SO_REUSEPORT); every worker serves any mailbox. A session lives on one worker. POP3, IMAP
 * and LMTP are built on what is here, and handed to it as struct drop_protocol.
 */
#ifndef SMARTHOP_DROP_SERVER_H
#define SMARTHOP_DROP_SERVER_H

#include "auth/verify.h"
#include "base/list.h"
#include "base/log.h"
#include "base/loop.h"
#include "net/conn.h"
#include "net/tls.h"
#include "plugins/drop/address/address.h"
#include "plugins/drop/mailstore/mailstore.h"

enum drop_door {
    DROP_LMTP,
    DROP_RELAY, /* LMTP too, by which the relay itself delivers */
    DROP_POP3,
    DROP_POP3S,
    DROP_IMAP,
    DROP_IMAPS,
    DROP_DOORS
};

/* The options of the plugin's section; immutable while the server runs. Times in milliseconds. */
struct drop_settings {
    const char *host_name;
    uint64_t message_size_max; /* bytes: LMTP SIZE, APPENDLIMIT */
    uint64_t login_timeout;    /* until a session has logged in */
    uint64_t idle_timeout;     /* of a session that has: at least 30 min (RFC 9051 5.4); POP3: at
                                  least 10 min (RFC 1939 3) */
    uint64_t write_timeout;    /* of a client that does not read what it is sent */
    uint64_t lmtp_timeout;     /* of an LMTP client between commands */
    uint64_t sessions_max;     /* of all workers */
    uint64_t sessions_per_user;
    uint64_t sessions_per_address;
    uint64_t recipients_max; /* of one LMTP transaction */
    uint64_t errors_max;     /* bad commands of a session before it is ended */
    bool plaintext_login;    /* passwords without TLS; otherwise from loopback addresses only */
    const char *folders;     /* made for a new user: "Drafts Sent Trash Junk Archive" */
    const char *separator;   /* between local part and folder: "+"; "" = none */
    uint64_t hops_max;       /* Received and Delivered-To fields before a loop is assumed */
    bool quota_permanent;    /* 552 5.2.2, not 452 4.2.2, for a full mailbox */
};

struct drop_server;
struct drop_session;

struct drop_worker {
    struct drop_server *server;
    const struct drop_settings *settings;
    struct loop *loop;
    unsigned index;
    struct mailstore *store;
    struct auth *auth;    /* NULL = no users file: nobody logs in */
    struct list sessions; /* struct drop_session.link */
};

/* Any thread. The newest snapshot, for the caller to unref. */
struct addresses *drop_worker_addresses(struct drop_worker *worker);
/* Whether there is a certificate: STARTTLS and STLS may be offered. */
bool drop_worker_has_tls(const struct drop_worker *worker);
/* Starts the handshake that STARTTLS or STLS asks for, as conn_start_tls_server does. */
void drop_session_start_tls(struct drop_session *session);

/*
 * What every session begins with. server.c makes the TLS handshake of the implicit doors first and
 * counts sessions; it calls the protocol's open function once the conn may speak. From then on the
 * conn's events are the protocol's; behind CONN_CLOSED (and once nothing of its own is pending) it
 * calls drop_session_end, which is the last that is done with the session, and frees its memory.
 */
struct drop_session {
    struct list link;
    struct drop_worker *worker;
    struct conn *conn; /* NULL once it is gone, where the session outlives it */
    enum drop_door door;
    bool is_tls;
    bool is_counted_user;   /* drop_session_login has counted it */
    bool is_claimed;        /* drop_session_claim has done so */
    struct tls_server *tls; /* it has to outlive the handshake */
    uint64_t id;            /* for the log */
    struct sockaddr_storage peer;
    char user[MAILSTORE_USER_MAX + 1];          /* logged in as; "" = not yet */
    const char *closed;                         /* why, for the log; static */
    uint64_t began;                             /* loop_now */
    void (*shut)(struct drop_session *session); /* the server stops: say goodbye, conn_finish */
};

/* What a protocol gives: the size of its session (which begins with struct drop_session), and what
 * is called on the worker's loop when a client is there. */
struct drop_protocol {
    const char *name; /* "imap" */
    size_t session_size;
    void (*open)(struct drop_session *session);
};

/* lmtp/, pop3/, imap/ */
extern const struct drop_protocol drop_lmtp;
extern const struct drop_protocol drop_pop3;
extern const struct drop_protocol drop_imap;

/* Whether the user may have one more session; counts it. False: say so and end. */
bool drop_session_login(struct drop_session *session, struct span user);
/* Takes the logged-in user's mailbox for this session alone (RFC 1939 8). False: another has it.
 * It is given back by the end of the session at the latest. */
bool drop_session_claim(struct drop_session *session);
void drop_session_unclaim(struct drop_session *session);
void drop_session_end(struct drop_session *session);
/* Begins a line of the log with what every line of a session has; as log_begin. */
bool drop_session_log(struct drop_session *session, struct log_line *line, enum log_level level,
                      const char *event);
/* What is counted, for metrics. */
enum drop_count {
    DROP_COUNT_SESSIONS, /* that have begun */
    DROP_COUNT_LOGINS,   /* that succeeded */
    DROP_COUNT_LOGINS_FAILED,
    DROP_COUNT_DELIVERED,     /* recipients by LMTP: taken */
    DROP_COUNT_NOT_DELIVERED, /* and refused */
    DROP_COUNTS
};
/* Any thread. */
void drop_session_count(const struct drop_session *session, enum drop_count count);
/* Whether passwords may come over this connection as it is. */
bool drop_session_may_log_in(const struct drop_session *session);

/* ---- the server --------------------------------------------------------------------------- */

struct drop_listen {
    enum drop_door door;
    const char *address; /* "127.0.0.1:143", "[::1]:993", "/path" of a socket (LMTP only) */
};

struct drop_options {
    const struct drop_protocol *protocols[DROP_DOORS];
    struct drop_settings settings; /* these texts are copied */
    struct mailstore_options store;
    const char *users_file; /* NULL = none */
    uint64_t login_recall;  /* auth_set_recall */
    const char *certificate;
    const char *key;
    const char *aliases_file; /* NULL = none: address.h */
    const char *const *domains;
    unsigned domain_count;
    const struct drop_listen *listens;
    unsigned listen_count;
    unsigned workers; /* 0 = as many as there are cores */
    log_sink *log;    /* where lines go; NULL = to this process's own log */
    void *log_context;
};

/* Blocks. Opens the store, binds, starts the threads. On failure `problem` says what and why. */
struct err drop_server_start(const struct drop_options *options, char *problem, size_t problem_size,
                             struct drop_server **out);
/* Blocks: sessions are told, and ended; what was begun in the store is finished. */
void drop_server_stop(struct drop_server *server);
/* Reads users, addresses and certificate again. Blocks. False: `problem` tells; the old ones stay.
 */
bool drop_server_reload(struct drop_server *server, char *problem, size_t problem_size);
struct mailstore *drop_server_store(struct drop_server *server);
const struct drop_settings *drop_server_settings(const struct drop_server *server);
/* Any thread. Since the start. */
uint64_t drop_server_count(const struct drop_server *server, enum drop_count count);
/* Any thread. The newest snapshots, for the caller to unref; users NULL = there is no file. */
struct addresses *drop_server_addresses(struct drop_server *server);
struct users *drop_server_users(struct drop_server *server);

#endif
