/* What the files of server/ share; nobody else includes it. */
#ifndef SMARTHOP_DROP_SERVER_PRIVATE_H
#define SMARTHOP_DROP_SERVER_PRIVATE_H

#include "base/follow.h"
#include "net/listener.h"
#include "plugins/drop/server/server.h"

#include <pthread.h>
#include <stdatomic.h>

/* Sessions by user and by address, of all workers. */
struct registry;
struct registry *registry_create(void);
void registry_free(struct registry *registry);
/* Any thread. False, with nothing counted, where `most` are there already. */
bool registry_enter(struct registry *registry, char kind, struct span name, uint64_t most);
void registry_leave(struct registry *registry, char kind, struct span name);

/* One listener of a worker. */
struct drop_seat {
    struct drop_member *member;
    enum drop_door door;
    struct listener *listener;
};

/* A worker with what is the server's own of it. */
struct drop_member {
    struct drop_worker worker;
    pthread_t thread;
    bool is_running;
    struct drop_seat *seats;
    unsigned seat_count;
    struct call stop;        /* posted to its loop */
    struct timer cut;        /* sessions that do not end are closed */
    struct timer poll_timer; /* of worker 0: looks at the files */
    bool is_polling;         /* they are being looked at */
    bool is_stopping;
};

struct drop_server {
    struct drop_settings settings;
    const struct drop_protocol *protocols[DROP_DOORS];
    char *texts[3]; /* of settings */
    char *certificate;
    char *key;
    char **domains;
    unsigned domain_count;
    char **sockets; /* local ones, removed at the end */
    unsigned socket_count;
    struct mailstore *store;
    struct auth *auth;
    pthread_mutex_t files_lock;
    struct tls_server *tls;      /* under files_lock */
    struct addresses *addresses; /* those without a file of aliases */
    struct follow *aliases;      /* snapshots are struct addresses */
    struct work poll;
    struct registry *registry;
    struct drop_member *members;
    unsigned member_count;
    _Atomic uint64_t sessions;
    _Atomic uint64_t next_id;
    _Atomic uint64_t counts[DROP_COUNTS];
};

/* The newest certificate, for the caller to unref; NULL = none. Any thread. */
struct tls_server *server_tls(struct drop_server *server);
/* A conn that a listener has accepted. */
void session_accept(struct drop_seat *seat, struct conn *conn);
/* On the loop: says goodbye to all. */
void session_shut_all(struct drop_member *member);
void session_close_all(struct drop_member *member);
/* The worker's last session may have gone. */
void server_check_stopped(struct drop_member *member);

#endif
