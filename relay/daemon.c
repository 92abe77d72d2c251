#include "daemon.h"

#include "actions.h"
#include "base/clock.h"
#include "base/log.h"
#include "daemon_tls.h"
#include "guarding.h"
#include "net/local.h"
#include "process.h"
#include "proto/ip.h"
#include "report/events.h"
#include "sources.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { STOP_MOST_MS = 10000 }; /* what is not done by then is cut; nothing that was promised is */

enum { EXIT_OK = 0, EXIT_FAILED = 1 };

enum phase { PHASE_RUNNING, PHASE_STOP_RECEIVING, PHASE_STOP_DELIVERING, PHASE_STOPPED };

/* A bound socket that waits for its worker. */
struct bound {
    int fd;
    unsigned worker;
    struct receive_listener kind;
};

struct phase_call {
    struct call call;
    struct daemon *daemon;
};

struct daemon {
    struct conf *conf;
    struct loop *loop;
    struct actions actions;
    struct tls_server *tls;
    struct plugin_launcher *launcher; /* NULL = no plugin has a user of its own */
    struct plugin_chain *plugins;
    struct plugin_chain *former_plugins; /* before the latest reload; NULL = there was none */
    struct control *control;
    struct worker_shared shared;
    struct guarding guarding;
    struct schedule_set set;
    struct worker *workers;
    unsigned worker_count;
    struct bound *bound;
    unsigned bound_count;
    struct sources sources;

    enum phase phase;
    unsigned phase_left;
    struct phase_call *phase_calls; /* one a worker */
    struct timer stop_timer;
    bool cut;
    struct loop_signal term, interrupt, hangup, reopen;
};

static bool fail(const char *what, struct err e)
{
    char text[ERR_TEXT_MAX];

    fprintf(stderr, "smarthopd: %s: %s\n", what, err_text(e, text));
    return false;
}

/* ---- configuration ------------------------------------------------------------------------ */

static void log_lines(enum log_level level, const char *event, const struct buf *messages)
{
    struct span rest = buf_span(messages);
    struct log_line line;

    while (rest.len > 0) {
        struct span text = span_split(rest, '\n', &rest);
        if (text.len > 0 && log_begin(&line, level, event)) {
            log_span(&line, "text", text);
            log_end(&line);
        }
    }
}

/* Without a route our own Postmaster's mail goes to the MX hosts of our own name. Where these are
 * this relay it goes round until hops_max ends that. */
static void warn_of_postmaster(const struct conf *conf)
{
    const char *at = strrchr(conf->postmaster_address, '@');
    struct log_line line;

    if (strcasecmp(at + 1, conf->hostname) != 0 || conf_route_find(conf, span_cstr(at + 1)) != NULL)
        return;
    if (log_begin(&line, LOG_WARN, "postmaster-unrouted")) {
        log_text(&line, "address", conf->postmaster_address);
        log_text(&line, "text",
                 "there is no route for the hostname: mail for Postmaster goes to "
                 "its MX hosts; set postmaster_address or a route");
        log_end(&line);
    }
}

static void warn_of_certificates(const struct daemon *d)
{
    struct buf messages;

    buf_init(&messages, 0);
    daemon_tls_ended(d->conf, d->tls, &messages);
    log_lines(LOG_WARN, "certificate-ended", &messages);
    buf_fini(&messages);
}

static struct worker_settings settings_of(const struct daemon *d)
{
    return (struct worker_settings){.conf = d->conf, .tls = d->tls, .plugins = d->plugins};
}

static void settings_drop(struct worker_settings *settings)
{
    plugin_chain_unref(settings->plugins);
    tls_server_unref(settings->tls);
    conf_unref(settings->conf);
}

/* What can be loaded without an effect, before what cannot. */
static bool load_next(struct daemon *d, struct worker_settings *next, struct buf *messages)
{
    char problem[512];

    if (err_is(conf_load(d->conf->file, messages, &next->conf)))
        return false;
    if (!daemon_load_tls(next->conf, d->tls, problem, sizeof problem, &next->tls)) {
        buf_addf(messages, "%s\n", problem);
        return false;
    }
    return !err_is(plugin_chain_load(d->shared.plugins, next->conf, d->plugins, messages,
                                     &next->plugins)) &&
           !err_is(sources_reload(&d->sources, next->conf, messages)) &&
           !err_is(guarding_reload(&d->guarding, next->conf, messages));
}

/* A new snapshot is taken whole or not at all. */
static bool reload(struct daemon *d, struct buf *messages)
{
    struct worker_settings old = settings_of(d), next = {0};

    if (!load_next(d, &next, messages)) {
        log_lines(LOG_ERROR, "reload-refused", messages);
        settings_drop(&next);
        return false;
    }
    conf_restart_needed(d->conf, next.conf, messages);
    daemon_tls_ended(next.conf, next.tls, messages);
    log_lines(LOG_WARN, "reload-note", messages);
    for (unsigned i = 0; i < d->worker_count; i++)
        worker_reconfigure(&d->workers[i], &next);
    log_set_level(next.conf->log_level);
    d->conf = next.conf;
    d->tls = next.tls;
    d->plugins = next.plugins;
    plugin_chain_unref(d->former_plugins);
    d->former_plugins = plugin_chain_ref(old.plugins);
    settings_drop(&old);
    struct log_line line;
    if (log_begin(&line, LOG_INFO, "reloaded")) {
        log_text(&line, "file", next.conf->file);
        log_end(&line);
    }
    warn_of_postmaster(next.conf);
    return true;
}

/* ---- stopping ----------------------------------------------------------------------------- */

static void end(struct daemon *d)
{
    d->phase = PHASE_STOPPED;
    d->actions.is_over = true;
    timer_stop(d->loop, &d->stop_timer);
    sources_stop(&d->sources);
    control_close(d->control);
    d->control = NULL;
    if (d->conf->submission_socket != NULL)
        unlink(d->conf->submission_socket);
    if (d->conf->lmtp_socket != NULL)
        unlink(d->conf->lmtp_socket);
    loop_stop(d->loop);
}

static void next_phase(struct daemon *d);

static void on_phase_told(struct call *call)
{
    struct daemon *d = container_of(call, struct phase_call, call)->daemon;

    if (--d->phase_left == 0 && d->phase != PHASE_STOPPED)
        next_phase(d);
}

static void next_phase(struct daemon *d)
{
    d->phase++;
    if (d->phase == PHASE_STOPPED) {
        end(d);
        return;
    }
    d->phase_left = d->worker_count;
    for (unsigned i = 0; i < d->worker_count; i++) {
        struct phase_call *told = &d->phase_calls[i];
        list_init(&told->call.link);
        told->call.done = on_phase_told;
        told->daemon = d;
        if (d->phase == PHASE_STOP_RECEIVING)
            worker_stop_receiving(&d->workers[i], &told->call);
        else
            worker_stop_delivering(&d->workers[i], &told->call);
    }
}

static void on_stop_timer(struct timer *timer)
{
    struct daemon *d = container_of(timer, struct daemon, stop_timer);
    struct log_line line;

    if (log_begin(&line, LOG_WARN, "stop-cut")) {
        log_text(&line, "text", "sessions or deliveries were still busy and have been cut");
        log_end(&line);
    }
    d->cut = true;
    end(d);
}

static void stop(struct daemon *d)
{
    struct log_line line;

    if (d->phase != PHASE_RUNNING)
        return;
    if (log_begin(&line, LOG_INFO, "stopping"))
        log_end(&line);
    timer_start(d->loop, &d->stop_timer, STOP_MOST_MS, on_stop_timer);
    next_phase(d);
}

/* ---- control ------------------------------------------------------------------------------ */

static void reopen_logs(struct daemon *d)
{
    struct err e = log_reopen();
    if (err_is(e))
        log_failure(LOG_ERROR, "log-reopen-failed", e, NULL, NULL);
    events_reopen(d->set.events);
}

static struct daemon *daemon_of(void *context)
{
    return container_of(context, struct daemon, actions);
}

static bool do_forget(void *context, struct span kind, struct span key, uint64_t *count_out)
{
    return guarding_forget(&daemon_of(context)->guarding, kind, key, count_out);
}

static bool do_reload(void *context, struct buf *messages)
{
    return reload(daemon_of(context), messages);
}

static struct plugin_chain *do_plugins(void *context)
{
    return plugin_chain_ref(daemon_of(context)->plugins);
}

/* Going back twice is going forth again. */
static bool do_plugins_back(void *context)
{
    struct daemon *d = daemon_of(context);
    struct plugin_chain *former = d->former_plugins;
    struct log_line line;

    if (former == NULL)
        return false;
    d->former_plugins = d->plugins;
    d->plugins = former;
    struct worker_settings settings = settings_of(d);
    for (unsigned i = 0; i < d->worker_count; i++)
        worker_reconfigure(&d->workers[i], &settings);
    if (log_begin(&line, LOG_WARN, "plugins-back")) {
        log_text(&line, "text", "the plugins are those of before the latest reload");
        log_end(&line);
    }
    return true;
}

static void do_reopen_log(void *context)
{
    reopen_logs(daemon_of(context));
}

static void do_stop(void *context)
{
    stop(daemon_of(context));
}

/* ---- signals ------------------------------------------------------------------------------ */

static void on_term(struct loop_signal *signal)
{
    stop(container_of(signal, struct daemon, term));
}

static void on_interrupt(struct loop_signal *signal)
{
    stop(container_of(signal, struct daemon, interrupt));
}

static void on_hangup(struct loop_signal *signal)
{
    struct daemon *d = container_of(signal, struct daemon, hangup);
    struct buf messages;

    buf_init(&messages, 0);
    reopen_logs(d);
    reload(d, &messages);
    buf_fini(&messages);
}

static void on_reopen(struct loop_signal *signal)
{
    reopen_logs(container_of(signal, struct daemon, reopen));
}

static bool catch_signals(struct daemon *d)
{
    d->term.caught = on_term;
    d->interrupt.caught = on_interrupt;
    d->hangup.caught = on_hangup;
    d->reopen.caught = on_reopen;
    signal(SIGPIPE, SIG_IGN);
    struct err e = loop_catch(d->loop, &d->term, SIGTERM);
    if (!err_is(e))
        e = loop_catch(d->loop, &d->interrupt, SIGINT);
    if (!err_is(e))
        e = loop_catch(d->loop, &d->hangup, SIGHUP);
    if (!err_is(e))
        e = loop_catch(d->loop, &d->reopen, SIGUSR1);
    return !err_is(e) || fail("signals", e);
}

/* ---- starting ----------------------------------------------------------------------------- */

static bool open_store(struct daemon *d)
{
    const struct conf *conf = d->conf;
    struct queue_options options = {
        .path = conf->store_path,
        .map_size = conf->store_map_size,
        .low_water = conf->store_low_water,
        .low_inodes = conf->store_low_inodes,
        .reserve = conf->store_reserve,
        .gather_ms = conf->store_gather,
    };
    struct err e = queue_open(&options, &d->shared.queue);

    if (err_is(e))
        return fail(conf->store_path, e);
    e = events_open(conf->event_log, &d->set.events);
    return !err_is(e) || fail(conf->event_log, e);
}

static bool open_guard(struct daemon *d)
{
    struct err e = guarding_start(&d->guarding, d->loop, d->shared.auth, d->conf);

    d->shared.guard = d->guarding.guard;
    return !err_is(e) || fail(d->conf->guard_path, e);
}

static void log_listening(const struct conf_listener *listener, int fd)
{
    struct sockaddr_storage address;
    char text[IP_PORT_TEXT_MAX];
    struct log_line line;

    if (err_is(listener_address(fd, &address)) || !log_begin(&line, LOG_INFO, "listening"))
        return;
    sockaddr_format((struct sockaddr *)&address, text);
    log_text(&line, "listener", listener->name);
    log_text(&line, "address", text);
    log_end(&line);
}

static bool fail_bind(const struct conf_listener *listener, const struct sockaddr *address,
                      struct err e)
{
    char what[IP_PORT_TEXT_MAX + 64], text[IP_PORT_TEXT_MAX];

    sockaddr_format(address, text);
    snprintf(what, sizeof what, "listener \"%.32s\" on %s", listener->name, text);
    return fail(what, e);
}

/* One socket for each worker. The first chooses the port where that is 0; the others take it. */
static bool bind_address(struct daemon *d, const struct conf_listener *listener,
                         const struct sockaddr *wanted)
{
    struct sockaddr_storage actual;
    struct err free_to_use = listener_probe(wanted);

    if (err_is(free_to_use))
        return fail_bind(listener, wanted, free_to_use);
    d->bound = mem_realloc(d->bound, (d->bound_count + d->worker_count) * sizeof *d->bound);
    for (unsigned i = 0; i < d->worker_count; i++) {
        struct bound *bound = &d->bound[d->bound_count];
        *bound = (struct bound){
            .worker = i,
            .kind = {.name = listener->name,
                     .tls = listener->tls,
                     .role = listener->role,
                     .auth = listener->auth,
                     .proxy = listener->proxy,
                     .client_certificates = listener->client_certificates},
        };
        struct err e = listener_bind(wanted, &bound->fd);
        if (err_is(e))
            return fail_bind(listener, wanted, e);
        d->bound_count++;
        if (i == 0) {
            log_listening(listener, bound->fd);
            e = listener_address(bound->fd, &actual);
            if (err_is(e))
                return fail_bind(listener, wanted, e);
            wanted = (struct sockaddr *)&actual;
        }
    }
    return true;
}

/* One worker serves it: local programs are few. */
static bool bind_local(struct daemon *d, const char *path, mode_t mode,
                       enum conf_listener_role role)
{
    if (path == NULL)
        return true;
    d->bound = mem_realloc(d->bound, (d->bound_count + 1) * sizeof *d->bound);
    struct bound *bound = &d->bound[d->bound_count];
    *bound = (struct bound){.kind = {.role = role}};
    struct err e = local_bind(path, mode, &bound->fd);
    if (err_is(e))
        return fail(path, e);
    d->bound_count++;
    return true;
}

static bool bind_all(struct daemon *d)
{
    for (unsigned i = 0; i < d->conf->listener_count; i++) {
        const struct conf_listener *listener = &d->conf->listeners[i];
        for (unsigned a = 0; a < listener->address_count; a++)
            if (!bind_address(d, listener, &listener->addresses[a].any))
                return false;
    }
    return bind_local(d, d->conf->submission_socket, 0666, CONF_ROLE_LOCAL);
}

/* As the user that the daemon has become, whose group is to be able to open it. */
static bool bind_lmtp(struct daemon *d)
{
    return bind_local(d, d->conf->lmtp_socket, 0660, CONF_ROLE_LMTP);
}

static bool load_sources(struct daemon *d)
{
    bool loaded = sources_open(&d->sources, d->loop, d->conf);

    d->shared.auth = d->sources.auth;
    d->shared.recipients = d->sources.recipients;
    d->shared.rules = d->sources.rules;
    return loaded;
}

static bool load_plugins(struct daemon *d)
{
    struct buf messages;

    buf_init(&messages, 0);
    d->shared.plugins = plugin_home_create(d->loop, d->worker_count);
    plugin_home_lend(d->shared.plugins, d->launcher);
    struct err e = plugin_chain_load(d->shared.plugins, d->conf, NULL, &messages, &d->plugins);
    fprintf(stderr, "%.*s", SPAN_ARG(buf_span(&messages)));
    buf_fini(&messages);
    return !err_is(e);
}

static bool start_launcher(struct daemon *d)
{
    struct err e = plugin_launcher_create(d->conf, NULL, &d->launcher);

    return !err_is(e) || fail("smarthop-plugin", e);
}

static bool listen_all(struct daemon *d)
{
    for (unsigned i = 0; i < d->bound_count; i++) {
        const struct bound *bound = &d->bound[i];
        struct err e = worker_listen(&d->workers[bound->worker], bound->fd, &bound->kind);
        if (err_is(e))
            return fail("listen", e);
    }
    return true;
}

static bool make_workers(struct daemon *d)
{
    d->workers = mem_zalloc(d->worker_count * sizeof *d->workers);
    d->phase_calls = mem_zalloc(d->worker_count * sizeof *d->phase_calls);
    d->set.count = d->worker_count;
    d->set.members = mem_zalloc(d->worker_count * sizeof(struct scheduler *));
    d->set.budgets = budgets_create();
    d->shared.set = &d->set;
    d->shared.main = d->loop;
    const struct worker_settings settings = settings_of(d);
    for (unsigned i = 0; i < d->worker_count; i++) {
        struct err e = worker_init(&d->workers[i], &d->shared, i, d->conf);
        if (err_is(e))
            return fail("worker", e);
        worker_configure(&d->workers[i], &settings);
    }
    return true;
}

static bool become_user(const struct conf *conf)
{
    struct err e = process_become(conf->user);
    char what[320];

    snprintf(what, sizeof what, "user \"%s\"", conf->user != NULL ? conf->user : "");
    return !err_is(e) || fail(what, e);
}

static bool open_control(struct daemon *d)
{
    struct control_actions actions = {
        .forget = do_forget,
        .reload = do_reload,
        .plugins = do_plugins,
        .plugins_back = do_plugins_back,
        .reopen_log = do_reopen_log,
        .stop = do_stop,
    };

    d->actions.loop = d->loop;
    d->actions.shared = &d->shared;
    d->actions.workers = d->workers;
    d->actions.worker_count = d->worker_count;
    d->actions.conf = &d->conf;
    actions_fill(&d->actions, &actions);
    struct err e = control_create(d->loop, d->conf->control_socket, &actions, &d->control);
    return !err_is(e) || fail(d->conf->control_socket, e);
}

static bool start_workers(struct daemon *d)
{
    struct err e = schedule_restore(&d->set, d->shared.queue);

    if (err_is(e))
        return fail("reading the queue", e);
    for (unsigned i = 0; i < d->worker_count; i++) {
        e = worker_start(&d->workers[i]);
        if (err_is(e))
            return fail("worker", e);
    }
    return true;
}

static bool make_tls(struct daemon *d)
{
    if (!daemon_load_first_tls(d->conf, &d->tls))
        return false;
    struct err e = tls_client_create(&d->shared.tls_client);
    return !err_is(e) || fail("TLS", e);
}

static unsigned count_of_workers(const struct conf *conf)
{
    long processors = sysconf(_SC_NPROCESSORS_ONLN);

    if (conf->workers > 0)
        return conf->workers;
    return processors > 0 ? (unsigned)processors : 1;
}

static bool start(struct daemon *d)
{
    struct err e = log_open(d->conf->log_target, d->conf->log_level);

    if (err_is(e))
        return fail(d->conf->log_target, e);
    e = loop_create(&d->loop);
    if (err_is(e))
        return fail("main loop", e);
    d->shared.limits = receive_limits_create();
    d->worker_count = count_of_workers(d->conf);
    /* Keys are read and ports bound while it may still be root; the store is opened after. */
    if (!make_tls(d) || !bind_all(d) || !start_launcher(d) || !become_user(d->conf) ||
        !bind_lmtp(d) || !load_sources(d) || !load_plugins(d) || !open_store(d) || !open_guard(d) ||
        !make_workers(d) || !listen_all(d) || !catch_signals(d) || !open_control(d) ||
        !start_workers(d))
        return false;
    struct log_line line;
    if (log_begin(&line, LOG_INFO, "started")) {
        log_text(&line, "version", SMARTHOP_VERSION);
        log_text(&line, "file", d->conf->file);
        log_u64(&line, "workers", d->worker_count);
        log_end(&line);
    }
    warn_of_postmaster(d->conf);
    warn_of_certificates(d);
    return true;
}

static void dispose(struct daemon *d)
{
    for (unsigned i = 0; d->workers != NULL && i < d->worker_count; i++)
        worker_join(&d->workers[i]);
    queue_close(d->shared.queue); /* commits what is pending */
    guarding_close(&d->guarding);
    events_close(d->set.events);
    if (d->cut) {
        log_flush();
        _exit(EXIT_OK); /* what still points into each other is left to the kernel */
    }
    plugin_home_stop(d->shared.plugins);
    plugin_chain_unref(d->former_plugins);
    for (unsigned i = 0; d->workers != NULL && i < d->worker_count; i++)
        worker_fini(&d->workers[i]);
    control_close(d->control);
    loop_free(d->loop); /* what operators have asked of plugins comes to its end */
    plugin_home_free(d->shared.plugins);
    plugin_launcher_free(d->launcher);
    sources_close(&d->sources);
    tls_server_unref(d->tls);
    tls_client_unref(d->shared.tls_client);
    receive_limits_free(d->shared.limits);
    free(d->set.members);
    budgets_free(d->set.budgets);
    free(d->phase_calls);
    free(d->bound);
    free(d->workers);
    conf_unref(d->conf);
}

int daemon_run(struct conf *conf)
{
    struct daemon d = {.conf = conf, .actions.started = clock_wall_ms()};

    umask(077);
    unsigned descriptors = process_raise_descriptors();
    d.set.connections_most = descriptors - descriptors / 4;
    clock_steady_ms(); /* fixes its base */
    bool started = start(&d);
    if (started)
        loop_run(d.loop);
    dispose(&d);
    return started ? EXIT_OK : EXIT_FAILED;
}
