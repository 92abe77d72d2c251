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

#include <stdatomic.h>

struct receive_server;
struct receive_limits;

/* Session counts of the whole process, shared by the workers. Any thread. */
struct receive_limits *receive_limits_create(void);
void receive_limits_free(struct receive_limits *limits);
unsigned receive_limits_sessions(struct receive_limits *limits);

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
    /* Takes an inserted message over (it gets a reference of its own). */
    void (*accepted)(struct queue_message *message, void *context);
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

/* Any thread. */
struct receive_counters {
    _Atomic uint64_t sessions; /* opened since the start */
    _Atomic uint64_t accepted; /* messages */
    _Atomic uint64_t rejected; /* messages and recipients refused for good */
};
const struct receive_counters *receive_server_counters(const struct receive_server *server);

#endif
