/*
 * receive_rig: an SMTP server of ours on a loop that the test turns, over real loopback sockets and
 * the queue's twin in memory. What it accepts is kept in order.
 */
#ifndef SMARTHOP_TESTS_RECEIVE_RIG_H
#define SMARTHOP_TESTS_RECEIVE_RIG_H

#include "guard/guard.h"
#include "net/listener.h"
#include "queue/queue_memory.h"
#include "receive/receive.h"
#include "recipients/recipients.h"
#include "resolver/resolver.h"
#include "support/conf_text.h"
#include "support/smtp_talk.h"

#include <arpa/inet.h>

enum { RECEIVE_RIG_MOST = 64 };

struct receive_rig {
    struct loop *loop;
    struct queue *queue;
    struct receive_limits *limits;
    struct resolver *resolver; /* NULL where there is no name server */
    struct follow *recipients; /* follows no file unless the test has it do so */
    struct guard *guard;
    struct receive_server *server;
    struct conf *conf;
    struct tls_server *tls;
    struct receive_listener kind;
    struct listener *listener;
    struct sockaddr_storage address;
    struct queue_message *accepted[RECEIVE_RIG_MOST];
    unsigned accepted_count;
    struct call stopped;
    bool has_stopped;
};

static inline void receive_rig_on_accepted(struct queue_message *message, void *context)
{
    struct receive_rig *rig = context;

    assert_true(rig->accepted_count < RECEIVE_RIG_MOST);
    rig->accepted[rig->accepted_count++] = queue_message_ref(message);
}

static inline void receive_rig_on_accept(struct conn *conn, void *owner)
{
    struct receive_rig *rig = owner;

    receive_server_accept(rig->server, conn, &rig->kind);
}

static inline void receive_rig_on_stopped(struct call *call)
{
    container_of(call, struct receive_rig, stopped)->has_stopped = true;
}

static inline void receive_rig_make_resolver(struct receive_rig *rig,
                                             const struct sockaddr *name_server)
{
    struct resolver_options options = {.servers = &name_server,
                                       .server_count = 1,
                                       .timeout_ms = 2000,
                                       .tries = 1,
                                       .cache_max = 100,
                                       .ttl_max_ms = 60000,
                                       .negative_ttl_max_ms = 60000};

    if (name_server != NULL)
        assert_false(err_is(resolver_create(rig->loop, &options, &rig->resolver)));
}

/* `tls` may be NULL; it stays the caller's. So may `name_server`: then nothing is looked up. */
static inline void receive_rig_open_with(struct receive_rig *rig, const char *conf_text,
                                         struct tls_server *tls, enum conf_listener_tls mode,
                                         const struct sockaddr *name_server)
{
    struct sockaddr_in loopback = {.sin_family = AF_INET,
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd;

    *rig = (struct receive_rig){.loop = turn_loop_create(), .kind = {.tls = mode}, .tls = tls};
    list_init(&rig->stopped.link);
    rig->stopped.done = receive_rig_on_stopped;
    rig->conf = conf_from_text(conf_text);
    receive_rig_make_resolver(rig, name_server);
    rig->limits = receive_limits_create();
    rig->guard = guard_create(&(struct guard_options){.entries_max = 1000});
    assert_false(err_is(queue_open(&(struct queue_options){.path = "twin"}, &rig->queue)));
    rig->recipients = recipients_follow();
    rig->server =
        receive_server_create(&(struct receive_options){.loop = rig->loop,
                                                        .queue = rig->queue,
                                                        .limits = rig->limits,
                                                        .resolver = rig->resolver,
                                                        .recipients = rig->recipients,
                                                        .guard = rig->guard,
                                                        .accepted = receive_rig_on_accepted,
                                                        .context = rig});
    receive_server_configure(rig->server, rig->conf, tls);
    assert_false(err_is(listener_bind((struct sockaddr *)&loopback, &fd)));
    assert_false(err_is(listener_address(fd, &rig->address)));
    assert_false(
        err_is(listener_create(rig->loop, fd, receive_rig_on_accept, rig, &rig->listener)));
}

static inline void receive_rig_open(struct receive_rig *rig, const char *conf_text,
                                    struct tls_server *tls, enum conf_listener_tls mode)
{
    receive_rig_open_with(rig, conf_text, tls, mode, NULL);
}

static inline void receive_rig_stop(struct receive_rig *rig)
{
    receive_server_stop(rig->server, &rig->stopped);
    assert_false(rig->has_stopped);
}

/* Stops the server, unless that was done: every session ends, and nothing may be left. */
static inline void receive_rig_close(struct receive_rig *rig)
{
    listener_close(rig->listener);
    if (!rig->has_stopped) {
        receive_rig_stop(rig);
        TURN_UNTIL(rig->loop, rig->has_stopped);
    }
    assert_int_equal(receive_limits_sessions(rig->limits), 0);
    if (rig->resolver != NULL)
        resolver_close(rig->resolver);
    turn_once(rig->loop);
    for (unsigned i = 0; i < rig->accepted_count; i++)
        queue_message_unref(rig->accepted[i]);
    loop_free(rig->loop);
    receive_server_free(rig->server);
    follow_free(rig->recipients);
    receive_limits_free(rig->limits);
    guard_close(rig->guard, 0);
    queue_close(rig->queue);
    conf_unref(rig->conf);
}

static inline void receive_rig_connect(struct receive_rig *rig, struct talk *t)
{
    talk_connect(t, rig->loop, (const struct sockaddr *)&rig->address);
}

#endif
