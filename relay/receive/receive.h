/*
 * receive: the SMTP server. One receive_server a worker; it owns the sessions of that worker's
 * listeners. A message is handed on only after its transaction is durable, and only then is the
 * 250 written.
 *
 * All functions run on the server's loop unless they say otherwise.
 */
#ifndef SMARTHOP_RECEIVE_RECEIVE_H
#define SMARTHOP_RECEIVE_RECEIVE_H

#include "conf/conf.h"
#include "net/conn.h"
#include "queue/queue.h"
#include "receive/tap.h"

#include <stdatomic.h>

struct receive_server;
struct receive_limits;

/* Session counts of the whole process, shared by the workers. Any thread. */
struct receive_limits *receive_limits_create(void);
void receive_limits_free(struct receive_limits *limits);
unsigned receive_limits_sessions(struct receive_limits *limits);
/* More of the sessions that may be are taken than stress_threshold allows. */
bool receive_limits_are_stressed(const struct receive_limits *limits);

struct auth;
struct resolver;
struct follow;
struct guard;

struct receive_options {
    struct loop *loop;
    struct queue *queue;
    struct receive_limits *limits;
    struct auth *auth;         /* shared by the workers; NULL = nobody can log in */
    struct guard *guard;       /* likewise; NULL = no rates, no greylisting */
    struct resolver *resolver; /* the worker's; NULL = nothing is looked up of clients */
    unsigned workers;          /* that share receive_memory_max */
    /* Of struct recipients (recipients.h), shared by the workers; NULL = recipients are not checked
     */
    struct follow *recipients;
    struct plugin_worker *plugins; /* NULL = there are none */
    /* Takes an inserted message over (it gets a reference of its own). */
    void (*accepted)(struct queue_message *message, void *context);
    /* Likewise one that was imported. */
    void (*imported)(struct queue_message *message, void *context);
    void *context;
};

/* Its first configuration comes by receive_server_configure, before the first connection. */
struct receive_server *receive_server_create(const struct receive_options *options);
/* New sessions use the new snapshot; running ones keep theirs. `tls` may be NULL. */
void receive_server_configure(struct receive_server *server, struct conf *conf,
                              struct tls_server *tls);
/* What a session has to know of the listener that it came by. */
struct receive_listener {
    const char
        *name; /* of its section in every configuration; stays in place. NULL = it has none */
    enum conf_listener_tls tls;
    enum conf_listener_role role;
    bool auth;
    bool proxy;
    enum conf_client_certificates client_certificates;
};

/* A connection from one of the listeners. */
void receive_server_accept(struct receive_server *server, struct conn *conn,
                           const struct receive_listener *listener);
/* Idle sessions get 421 now, busy ones after the command under way. `stopped` runs when the last
 * one has gone; messages being committed are completed first. */
void receive_server_stop(struct receive_server *server, struct call *stopped);
/* After it has stopped and its loop has ended. */
void receive_server_free(struct receive_server *server);

/* What an operator sees of a session. The texts live during the call; they are empty, not NULL,
 * where there is nothing to tell, and `hello` and `user` may hold any bytes. */
struct receive_session {
    uint64_t id;
    const char *listener;
    const char *client; /* the real one, behind a proxy: "[192.0.2.1]" */
    const char *hello;
    const char *user;
    const char *state; /* "receiving data" */
    const char *tls;   /* "TLSv1.3" */
    uint64_t state_ms, ms;
    uint64_t bytes; /* received */
    unsigned messages, recipients, errors;
};

/* Tells the next sessions from *place on, of which the first is 0: at most RECEIVE_STEP. False:
 * these were the last. Sessions that are there from the first step to the last are told once. */
enum { RECEIVE_STEP = 128 };
bool receive_server_describe(struct receive_server *server, unsigned *place,
                             void (*tell)(const struct receive_session *session, void *context),
                             void *context);
/* Ends this session with 421, in the middle of whatever it does except a commit; false where it is
 * not one of this server's. */
bool receive_server_end_session(struct receive_server *server, uint64_t id);

/* Taps the sessions of its clients, new ones and those under way. The caller sees to it that there
 * are not more than that. */
enum { RECEIVE_TAPS_MAX = 8 };
void receive_server_add_tap(struct receive_server *server, struct tap *tap);
void receive_server_remove_tap(struct receive_server *server, struct tap *tap);

/* Ends the session that has waited longest of those that have done nothing yet: no message, no
 * transaction, no log-in. False: none has waited for stress_idle_min. Its descriptor is free at the
 * end of this round. */
bool receive_server_make_room(struct receive_server *server);

/* A piece of an exported message (queue/eml.h) that comes back. It is judged as reception judges
 * messages, routed anew and stored with its id, arrival and marks; its completion with `is_stored`
 * means that it is on disk. All of it is in memory until then. One that breaks off is given up a
 * minute after its last piece. */
enum { RECEIVE_IMPORTS_MAX = 4, RECEIVE_WHY_MAX = 512 };
struct receive_import_piece {
    struct call call;
    uint64_t import; /* the caller's number of it; the same for all pieces */
    bool is_first;
    bool is_last;
    struct span data; /* in place until the completion */
    bool is_refused;  /* out: and it is given up */
    bool is_stored;   /* out: after the last */
    uint64_t id;      /* out, once it is stored */
    unsigned recipients;
    char why[RECEIVE_WHY_MAX]; /* out, where it is refused; may hold what a plugin has said */
    unsigned line;             /* out: of the envelope, where it is wrong; 0 = another reason */
};
void receive_server_import(struct receive_server *server, struct receive_import_piece *piece);

/* Any thread. */
struct receive_counters {
    _Atomic uint64_t sessions; /* opened since the start */
    _Atomic uint64_t gave_way; /* of them ended to make room */
    _Atomic uint64_t accepted; /* messages */
    _Atomic uint64_t rejected; /* messages and recipients refused for good */
};
const struct receive_counters *receive_server_counters(const struct receive_server *server);

#endif
