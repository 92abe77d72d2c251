/*
 * worker: one thread with one loop, and on it a resolver, an SMTP server with its listeners, and a
 * scheduler. Created, configured and freed by the main thread while the loop does not run; in
 * between the two speak by posted calls.
 */
#ifndef SMARTHOP_WORKER_H
#define SMARTHOP_WORKER_H

#include "conf/conf.h"
#include "net/listener.h"
#include "plugin_dns.h"
#include "plugins/host/host.h"
#include "receive/receive.h"
#include "schedule/schedule.h"

#include <pthread.h>

struct worker_listener {
    struct worker_listener *next;
    struct worker *worker;
    struct listener *listener;
    struct receive_listener kind; /* with a copy of the name */
    char *name;
};

/* What is the same for all workers. */
struct worker_shared {
    struct queue *queue;
    struct receive_limits *limits;
    struct tls_client *tls_client;
    struct auth *auth;         /* NULL = nobody can log in */
    struct follow *recipients; /* of struct recipients */
    struct follow *rules;      /* of struct rules */
    struct guard *guard;
    struct plugin_home *plugins; /* NULL = there are none */
    struct schedule_set *set;
    struct loop *main; /* where phases are told */
};

struct worker {
    const struct worker_shared *shared;
    unsigned index;
    char name[16];
    pthread_t thread;
    bool running;
    struct loop *loop;
    struct resolver *resolver;
    struct receive_server *receive;
    struct scheduler *scheduler;
    struct plugin_dns plugin_dns;
    struct plugin_worker *plugins;
    struct worker_listener *listeners;

    /* Stopping, in two phases: no new mail, then no deliveries. */
    struct call stop_receiving, receiving_stopped;
    struct call stop_delivering, delivering_stopped;
    struct call *told; /* posted to the main loop at the end of each phase */
};

/* What a reload changes; each counts its references. */
struct worker_settings {
    struct conf *conf;
    struct tls_server *tls;
    struct plugin_chain *plugins;
};

struct err worker_init(struct worker *worker, const struct worker_shared *shared, unsigned index,
                       const struct conf *conf);
/* Before the loop runs: takes over a bound socket; `kind` is copied. */
struct err worker_listen(struct worker *worker, int fd, const struct receive_listener *kind);
/* Before the loop runs. */
void worker_configure(struct worker *worker, const struct worker_settings *settings);
/* Any thread, while the loop runs: the same, on the worker's loop. */
void worker_reconfigure(struct worker *worker, const struct worker_settings *settings);
struct err worker_start(struct worker *worker);

/* Posts `told` to the main loop when it is done. One phase at a time. */
void worker_stop_receiving(struct worker *worker, struct call *told);
void worker_stop_delivering(struct worker *worker, struct call *told);
/* Ends the loop and waits for the thread. */
void worker_join(struct worker *worker);
void worker_fini(struct worker *worker);

#endif
