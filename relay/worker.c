#include "worker.h"

#include "base/clock.h"
#include "base/log.h"
#include "report/events.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

static enum resolver_preference preference_of(const struct conf *conf)
{
    if (strcmp(conf->ip_preference, "ipv4") == 0)
        return RESOLVER_IPV4;
    return strcmp(conf->ip_preference, "ipv6") == 0 ? RESOLVER_IPV6 : RESOLVER_ANY;
}

static uint64_t seed(void)
{
    uint64_t value;

    if (getrandom(&value, sizeof value, 0) != sizeof value)
        value = clock_mono_ns();
    return value;
}

static struct err make_resolver(struct worker *worker, const struct conf *conf)
{
    const struct sockaddr **servers =
        mem_zalloc((conf->dns_server_count + 1) * sizeof(struct sockaddr *));

    for (unsigned i = 0; i < conf->dns_server_count; i++)
        servers[i] = &conf->dns_servers[i].any;
    struct resolver_options options = {
        .servers = servers,
        .server_count = conf->dns_server_count,
        .timeout_ms = conf->dns_timeout,
        .tries = conf->dns_tries,
        .cache_max = conf->dns_cache_max,
        .ttl_max_ms = conf->dns_ttl_max,
        .negative_ttl_max_ms = conf->dns_negative_ttl_max,
        .preference = preference_of(conf),
        .seed = seed(),
    };
    struct err e = resolver_create(worker->loop, &options, &worker->resolver);
    free(servers);
    return e;
}

static void on_accepted(struct queue_message *message, void *context)
{
    struct worker *worker = context;

    events_add_all(worker->shared->set->events, "accepted", message);
    schedule_submit(worker->shared->set, message);
}

static void on_imported(struct queue_message *message, void *context)
{
    struct worker *worker = context;

    events_add_all(worker->shared->set->events, "imported", message);
    schedule_submit_old(worker->shared->set, message);
}

struct err worker_init(struct worker *worker, const struct worker_shared *shared, unsigned index,
                       const struct conf *conf)
{
    *worker = (struct worker){.shared = shared, .index = index};
    snprintf(worker->name, sizeof worker->name, "worker-%u", index);
    struct err e = loop_create(&worker->loop);
    if (err_is(e))
        return e;
    e = make_resolver(worker, conf);
    if (err_is(e))
        return e;
    plugin_dns_init(&worker->plugin_dns, worker->loop, worker->resolver);
    worker->plugins =
        plugin_worker_create(shared->plugins, index, worker->loop, &worker->plugin_dns.backend);
    worker->receive = receive_server_create(&(struct receive_options){
        .loop = worker->loop,
        .queue = shared->queue,
        .limits = shared->limits,
        .auth = shared->auth,
        .resolver = worker->resolver,
        .recipients = shared->recipients,
        .plugins = worker->plugins,
        .guard = shared->guard,
        .workers = shared->set->count,
        .accepted = on_accepted,
        .imported = on_imported,
        .context = worker,
    });
    worker->scheduler = schedule_create(&(struct schedule_options){
        .loop = worker->loop,
        .queue = shared->queue,
        .resolver = worker->resolver,
        .tls = shared->tls_client,
        .set = shared->set,
        .rules = shared->rules,
        .plugins = worker->plugins,
        .seed = seed(),
    });
    shared->set->members[index] = worker->scheduler;
    return ERR_OK;
}

static void on_accept(struct conn *conn, void *owner)
{
    struct worker_listener *listener = owner;

    receive_server_accept(listener->worker->receive, conn, &listener->kind);
}

static bool on_full(void *owner)
{
    struct worker_listener *listener = owner;

    return receive_server_make_room(listener->worker->receive);
}

struct err worker_listen(struct worker *worker, int fd, const struct receive_listener *kind)
{
    struct worker_listener *listener = mem_zalloc(sizeof *listener);

    listener->worker = worker;
    listener->kind = *kind;
    listener->name = kind->name != NULL ? mem_strdup(kind->name) : NULL;
    listener->kind.name = listener->name;
    struct err e = listener_create(worker->loop, fd, on_accept, listener, &listener->listener);
    if (err_is(e)) {
        free(listener->name);
        free(listener);
        return e;
    }
    listener_on_full(listener->listener, on_full);
    listener->next = worker->listeners;
    worker->listeners = listener;
    return ERR_OK;
}

void worker_configure(struct worker *worker, const struct worker_settings *settings)
{
    plugin_worker_configure(worker->plugins, settings->plugins);
    receive_server_configure(worker->receive, settings->conf, settings->tls);
    schedule_configure(worker->scheduler, settings->conf);
}

struct reconfiguration {
    struct call call;
    struct worker *worker;
    struct worker_settings settings;
};

static void on_reconfigure(struct call *call)
{
    struct reconfiguration *r = container_of(call, struct reconfiguration, call);

    worker_configure(r->worker, &r->settings);
    conf_unref(r->settings.conf);
    tls_server_unref(r->settings.tls);
    plugin_chain_unref(r->settings.plugins);
    free(r);
}

void worker_reconfigure(struct worker *worker, const struct worker_settings *settings)
{
    struct reconfiguration *r = mem_zalloc(sizeof *r);

    list_init(&r->call.link);
    r->call.done = on_reconfigure;
    r->worker = worker;
    r->settings = (struct worker_settings){
        .conf = conf_ref(settings->conf),
        .tls = tls_server_ref(settings->tls),
        .plugins = plugin_chain_ref(settings->plugins),
    };
    loop_post(worker->loop, &r->call);
}

static void *thread_main(void *arg)
{
    struct worker *worker = arg;

    if (worker->index == 0)
        schedule_start_sweep(worker->scheduler);
    loop_run(worker->loop);
    return NULL;
}

struct err worker_start(struct worker *worker)
{
    int rc = pthread_create(&worker->thread, NULL, thread_main, worker);

    if (rc != 0)
        return err_system(rc, "start worker");
    worker->running = true;
    pthread_setname_np(worker->thread, worker->name);
    return ERR_OK;
}

/* ---- stopping ----------------------------------------------------------------------------- */

static void on_receiving_stopped(struct call *call)
{
    struct worker *worker = container_of(call, struct worker, receiving_stopped);

    loop_post(worker->shared->main, worker->told);
}

static void on_stop_receiving(struct call *call)
{
    struct worker *worker = container_of(call, struct worker, stop_receiving);

    for (struct worker_listener *l = worker->listeners; l != NULL; l = l->next) {
        listener_close(l->listener);
        l->listener = NULL;
    }
    receive_server_stop(worker->receive, &worker->receiving_stopped);
}

void worker_stop_receiving(struct worker *worker, struct call *told)
{
    worker->told = told;
    list_init(&worker->receiving_stopped.link);
    worker->receiving_stopped.done = on_receiving_stopped;
    list_init(&worker->stop_receiving.link);
    worker->stop_receiving.done = on_stop_receiving;
    loop_post(worker->loop, &worker->stop_receiving);
}

static void on_delivering_stopped(struct call *call)
{
    struct worker *worker = container_of(call, struct worker, delivering_stopped);

    loop_post(worker->shared->main, worker->told);
}

static void on_stop_delivering(struct call *call)
{
    struct worker *worker = container_of(call, struct worker, stop_delivering);

    schedule_stop(worker->scheduler, &worker->delivering_stopped);
}

void worker_stop_delivering(struct worker *worker, struct call *told)
{
    worker->told = told;
    list_init(&worker->delivering_stopped.link);
    worker->delivering_stopped.done = on_delivering_stopped;
    list_init(&worker->stop_delivering.link);
    worker->stop_delivering.done = on_stop_delivering;
    loop_post(worker->loop, &worker->stop_delivering);
}

void worker_join(struct worker *worker)
{
    if (!worker->running)
        return;
    loop_stop(worker->loop);
    pthread_join(worker->thread, NULL);
    worker->running = false;
}

/* What holds timers goes before the loop that they are on. */
void worker_fini(struct worker *worker)
{
    for (struct worker_listener *l = worker->listeners; l != NULL; l = l->next)
        listener_close(l->listener);
    schedule_free(worker->scheduler);
    receive_server_free(worker->receive);
    if (worker->resolver != NULL)
        resolver_close(worker->resolver);
    plugin_worker_free(worker->plugins);
    loop_free(worker->loop);
    for (struct worker_listener *l = worker->listeners, *next; l != NULL; l = next) {
        next = l->next;
        free(l->name);
        free(l);
    }
}
