#include "plugins/drop/server/private.h"

#include "base/memory.h"
#include "net/local.h"
#include "proto/ip.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    POLL_MS = 1000, /* how soon a changed file is seen */
    CUT_MS = 5000,  /* for sessions to end by themselves when the server stops */
    WORKERS_MAX = 64,
    LOCAL_BACKLOG = 1024,
};

static const char *const door_names[DROP_DOORS] = {
    [DROP_RELAY] = "relay", [DROP_LMTP] = "lmtp", [DROP_POP3] = "pop3",
    [DROP_POP3S] = "pop3s", [DROP_IMAP] = "imap", [DROP_IMAPS] = "imaps",
};

static struct err say(char *problem, size_t size, struct err e, const char *what)
{
    char text[ERR_TEXT_MAX];

    snprintf(problem, size, "%s: %s", what, err_text(e, text));
    return e;
}

/* ---- files -------------------------------------------------------------------------------- */

struct addresses *drop_worker_addresses(struct drop_worker *worker)
{
    return drop_server_addresses(worker->server);
}

struct addresses *drop_server_addresses(struct drop_server *server)
{
    struct addresses *followed = follow_get(server->aliases);

    return followed != NULL ? followed : addresses_ref(server->addresses);
}

struct users *drop_server_users(struct drop_server *server)
{
    return server->auth != NULL ? auth_users(server->auth) : NULL;
}

struct tls_server *server_tls(struct drop_server *server)
{
    pthread_mutex_lock(&server->files_lock);
    struct tls_server *tls = server->tls != NULL ? tls_server_ref(server->tls) : NULL;
    pthread_mutex_unlock(&server->files_lock);
    return tls;
}

static struct err load_tls(struct drop_server *server, char *problem, size_t size)
{
    struct tls_certificate_files files = {.certificate = server->certificate, .key = server->key};
    struct tls_server_options options = {.files = &files, .count = 1, .old = server->tls};
    struct tls_server *tls, *old = server->tls;

    if (server->certificate == NULL)
        return ERR_OK;
    struct err e = tls_server_create(&options, problem, size, &tls);
    if (err_is(e))
        return e;
    pthread_mutex_lock(&server->files_lock);
    server->tls = tls;
    pthread_mutex_unlock(&server->files_lock);
    if (old != NULL)
        tls_server_unref(old);
    return ERR_OK;
}

static struct err load_file(const char *file, void *context, struct stat *st_out,
                            struct buf *messages, void **out)
{
    const struct drop_server *server = context;
    struct addresses *addresses;
    struct err e = addresses_load(file, (const char *const *)server->domains, server->domain_count,
                                  server->settings.separator, st_out, messages, &addresses);

    *out = addresses;
    return e;
}

static void ref_addresses(void *addresses)
{
    addresses_ref(addresses);
}

static void unref_addresses(void *addresses)
{
    addresses_unref(addresses);
}

static uint64_t count_of(const void *addresses)
{
    return addresses_alias_count(addresses);
}

/* The addresses that there are without a file, and those with it, which is followed. */
static struct err load_addresses(struct drop_server *server, const char *file, char *problem,
                                 size_t size)
{
    static const struct follow_kind kind = {
        .loaded = "aliases-loaded",
        .refused = "aliases-refused",
        .count = "aliases",
        .load = load_file,
        .ref = ref_addresses,
        .unref = unref_addresses,
        .count_of = count_of,
    };
    struct buf messages;
    struct stat st;
    void *addresses;

    server->aliases = follow_create(&kind, server);
    buf_init(&messages, 0);
    struct err e = load_file(NULL, server, &st, &messages, &addresses);
    server->addresses = addresses;
    if (!err_is(e))
        e = follow_set(server->aliases, file, &messages);
    if (err_is(e))
        snprintf(problem, size, "%.*s", SPAN_ARG(span_head(buf_span(&messages), size - 1)));
    buf_fini(&messages);
    return e;
}

bool drop_server_reload(struct drop_server *server, char *problem, size_t problem_size)
{
    return !err_is(load_tls(server, problem, problem_size));
}

/* Blocks, for as long as a changed file takes to be read. */
static void poll_files(struct work *work)
{
    struct drop_server *server = container_of(work, struct drop_server, poll);

    if (server->auth != NULL)
        auth_poll(server->auth);
    follow_poll(server->aliases);
}

static void on_poll(struct timer *timer)
{
    struct drop_member *member = container_of(timer, struct drop_member, poll_timer);

    loop_work(member->worker.loop, &member->worker.server->poll);
    member->is_polling = true;
}

static void on_polled(struct call *call)
{
    struct drop_server *server =
        container_of(container_of(call, struct work, call), struct drop_server, poll);
    struct drop_member *member = &server->members[0];

    member->is_polling = false;
    if (member->is_stopping)
        server_check_stopped(member);
    else
        timer_start(member->worker.loop, &member->poll_timer, POLL_MS, on_poll);
}

/* ---- doors -------------------------------------------------------------------------------- */

static void on_accept(struct conn *conn, void *owner)
{
    session_accept(owner, conn);
}

static struct err add_seat(struct drop_member *member, enum drop_door door, int fd)
{
    struct drop_seat *seat = &member->seats[member->seat_count];

    *seat = (struct drop_seat){.member = member, .door = door};
    struct err e = listener_create(member->worker.loop, fd, on_accept, seat, &seat->listener);
    if (err_is(e))
        close(fd);
    else
        member->seat_count++;
    return e;
}

/* A local socket is one for all workers; whoever is free first accepts. */
static struct err listen_local(struct drop_server *server, enum drop_door door, const char *path)
{
    int fd;
    struct err e = local_bind(path, S_IRUSR | S_IWUSR | S_IRGRP | S_IWGRP, &fd);

    for (unsigned i = 0; i < server->member_count && !err_is(e); i++) {
        int own = fcntl(fd, F_DUPFD_CLOEXEC, 0);
        e = own < 0 ? err_system(errno, "dup") : add_seat(&server->members[i], door, own);
    }
    if (fd >= 0)
        close(fd);
    return e;
}

static void log_listening(enum drop_door door, const char *address)
{
    struct log_line line;

    if (!log_begin(&line, LOG_INFO, "listening"))
        return;
    log_text(&line, "listener", door_names[door]);
    log_text(&line, "address", address);
    log_end(&line);
}

/* The first worker's socket chooses the port where that is 0; the others take it. */
static struct err listen_network(struct drop_server *server, enum drop_door door,
                                 const struct sockaddr *address)
{
    struct sockaddr_storage actual;
    char text[IP_PORT_TEXT_MAX];
    struct err e = listener_probe(address);
    int fd;

    for (unsigned i = 0; i < server->member_count && !err_is(e); i++) {
        e = listener_bind(address, &fd);
        if (!err_is(e) && i == 0) {
            e = listener_address(fd, &actual);
            address = (struct sockaddr *)&actual;
        }
        if (!err_is(e))
            e = add_seat(&server->members[i], door, fd);
    }
    if (!err_is(e)) {
        sockaddr_format(address, text);
        log_listening(door, text);
    }
    return e;
}

static bool parse_address(struct span text, struct sockaddr_storage *out)
{
    size_t colon = span_rindex(text, ':');
    struct span host = span_head(text, colon);
    struct ip_address ip;
    uint16_t port;

    if (colon == text.len || !ip_port_parse(span_from(text, colon + 1), &port))
        return false;
    if (host.len > 2 && host.ptr[0] == '[' && host.ptr[host.len - 1] == ']')
        host = span_of(host.ptr + 1, host.len - 2);
    if (!ip_parse(host, &ip))
        return false;
    ip_to_sockaddr(&ip, port, out);
    return true;
}

static struct err listen_on(struct drop_server *server, const struct drop_listen *listen)
{
    struct sockaddr_storage address;

    bool is_lmtp = listen->door == DROP_RELAY || listen->door == DROP_LMTP;

    if (is_lmtp && listen->address[0] == '/')
        return listen_local(server, listen->door, listen->address);
    if (!parse_address(span_cstr(listen->address), &address))
        return err_make(ERR_INVALID, "an address is 192.0.2.1:143 or [2001:db8::1]:143");
    return listen_network(server, listen->door, (struct sockaddr *)&address);
}

static struct err listen_all(struct drop_server *server, const struct drop_options *options,
                             char *problem, size_t size)
{
    for (unsigned i = 0; i < options->listen_count; i++) {
        const struct drop_listen *listen = &options->listens[i];
        struct err e = listen_on(server, listen);
        char what[256];

        snprintf(what, sizeof what, "%s on %s", door_names[listen->door], listen->address);
        if (err_is(e))
            return say(problem, size, e, what);
    }
    return ERR_OK;
}

/* ---- threads ------------------------------------------------------------------------------ */

static void *thread_main(void *arg)
{
    struct drop_member *member = arg;

    if (member->worker.index == 0)
        timer_start(member->worker.loop, &member->poll_timer, POLL_MS, on_poll);
    loop_run(member->worker.loop);
    log_flush();
    return NULL;
}

static struct err make_members(struct drop_server *server, const struct drop_options *options)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    unsigned count = options->workers != 0 ? options->workers : cores > 0 ? (unsigned)cores : 1;

    if (count > WORKERS_MAX)
        count = WORKERS_MAX;
    server->members = mem_zalloc(count * sizeof *server->members);
    for (unsigned i = 0; i < count; i++) {
        struct drop_member *member = &server->members[i];
        member->worker = (struct drop_worker){
            .server = server,
            .settings = &server->settings,
            .index = i,
            .store = server->store,
            .auth = server->auth,
        };
        list_init(&member->worker.sessions);
        member->seats = mem_zalloc((options->listen_count + 1) * sizeof *member->seats);
        struct err e = loop_create(&member->worker.loop);
        if (err_is(e))
            return e;
        server->member_count++;
    }
    return ERR_OK;
}

static struct err start_members(struct drop_server *server)
{
    for (unsigned i = 0; i < server->member_count; i++) {
        struct drop_member *member = &server->members[i];
        char name[16];
        int rc = pthread_create(&member->thread, NULL, thread_main, member);
        if (rc != 0)
            return err_system(rc, "start a thread");
        member->is_running = true;
        snprintf(name, sizeof name, "drop-%u", i);
        pthread_setname_np(member->thread, name);
    }
    return ERR_OK;
}

/* ---- stopping ----------------------------------------------------------------------------- */

void server_check_stopped(struct drop_member *member)
{
    if (!member->is_stopping || member->is_polling || !list_is_empty(&member->worker.sessions))
        return;
    timer_stop(member->worker.loop, &member->cut);
    loop_stop(member->worker.loop);
}

static void on_cut(struct timer *timer)
{
    session_close_all(container_of(timer, struct drop_member, cut));
}

static void on_stop(struct call *call)
{
    struct drop_member *member = container_of(call, struct drop_member, stop);

    member->is_stopping = true;
    timer_stop(member->worker.loop, &member->poll_timer);
    for (unsigned i = 0; i < member->seat_count; i++)
        listener_close(member->seats[i].listener);
    member->seat_count = 0;
    session_shut_all(member);
    timer_start(member->worker.loop, &member->cut, CUT_MS, on_cut);
    server_check_stopped(member);
}

static void stop_members(struct drop_server *server)
{
    for (unsigned i = 0; i < server->member_count; i++) {
        struct drop_member *member = &server->members[i];
        list_init(&member->stop.link);
        member->stop.done = on_stop;
        if (member->is_running)
            loop_post(member->worker.loop, &member->stop);
    }
    for (unsigned i = 0; i < server->member_count; i++)
        if (server->members[i].is_running)
            pthread_join(server->members[i].thread, NULL);
}

static void free_members(struct drop_server *server)
{
    for (unsigned i = 0; i < server->member_count; i++) {
        struct drop_member *member = &server->members[i];
        for (unsigned k = 0; k < member->seat_count; k++) /* it never ran */
            listener_close(member->seats[k].listener);
        loop_free(member->worker.loop);
        free(member->seats);
    }
    free(server->members);
}

void drop_server_stop(struct drop_server *server)
{
    if (server == NULL)
        return;
    stop_members(server);
    if (server->store != NULL)
        mailstore_close(server->store);
    free_members(server);
    auth_free(server->auth);
    follow_free(server->aliases);
    addresses_unref(server->addresses);
    if (server->tls != NULL)
        tls_server_unref(server->tls);
    registry_free(server->registry);
    for (unsigned i = 0; i < server->domain_count; i++)
        free(server->domains[i]);
    for (unsigned i = 0; i < server->socket_count; i++) {
        unlink(server->sockets[i]);
        free(server->sockets[i]);
    }
    free(server->sockets);
    free(server->domains);
    free(server->certificate);
    free(server->key);
    free(server->texts[0]);
    free(server->texts[1]);
    free(server->texts[2]);
    pthread_mutex_destroy(&server->files_lock);
    free(server);
}

/* ---- starting ----------------------------------------------------------------------------- */

static char *copy(const char *text)
{
    return text != NULL ? mem_strdup(text) : NULL;
}

static struct drop_server *make(const struct drop_options *options)
{
    struct drop_server *server = mem_zalloc(sizeof *server);

    pthread_mutex_init(&server->files_lock, NULL);
    server->registry = registry_create();
    server->settings = options->settings;
    memcpy(server->protocols, options->protocols, sizeof server->protocols);
    server->settings.host_name = server->texts[0] = copy(options->settings.host_name);
    server->settings.folders = server->texts[1] = copy(options->settings.folders);
    server->settings.separator = server->texts[2] = copy(options->settings.separator);
    server->poll.run = poll_files;
    server->poll.call.done = on_polled;
    list_init(&server->poll.call.link);
    server->certificate = copy(options->certificate);
    server->key = copy(options->key);
    server->domains = mem_zalloc((options->domain_count + 1) * sizeof *server->domains);
    for (unsigned i = 0; i < options->domain_count; i++)
        server->domains[server->domain_count++] = copy(options->domains[i]);
    server->sockets = mem_zalloc((options->listen_count + 1) * sizeof *server->sockets);
    for (unsigned i = 0; i < options->listen_count; i++)
        if (options->listens[i].address[0] == '/')
            server->sockets[server->socket_count++] = copy(options->listens[i].address);
    return server;
}

static struct err load_users(struct drop_server *server, const struct drop_options *asked,
                             char *problem, size_t size)
{
    struct auth_options options = {.users_file = asked->users_file};
    struct buf messages;

    if (asked->users_file == NULL)
        return ERR_OK;
    buf_init(&messages, 0);
    struct err e = auth_create(&options, &messages, &server->auth);
    if (!err_is(e))
        auth_set_recall(server->auth, asked->login_recall);
    snprintf(problem, size, "%.*s", SPAN_ARG(span_head(buf_span(&messages), size - 1)));
    buf_fini(&messages);
    return e;
}

static bool needs_tls(const struct drop_options *options)
{
    for (unsigned i = 0; i < options->listen_count; i++)
        if (options->listens[i].door == DROP_IMAPS || options->listens[i].door == DROP_POP3S)
            return true;
    return false;
}

static struct err start(struct drop_server *server, const struct drop_options *options,
                        char *problem, size_t size)
{
    struct err e = ERR_OK;

    if (needs_tls(options) && options->certificate == NULL) {
        e = err_make(ERR_INVALID, "imaps and pop3s");
        snprintf(problem, size, "imaps and pop3s need a certificate and its key");
    }
    if (!err_is(e))
        e = load_tls(server, problem, size);
    if (!err_is(e))
        e = load_users(server, options, problem, size);
    if (!err_is(e))
        e = load_addresses(server, options->aliases_file, problem, size);
    if (!err_is(e)) {
        e = mailstore_open(&options->store, &server->store);
        if (err_is(e))
            say(problem, size, e, options->store.path);
        else if (options->log != NULL) /* the store can be open once: no other server is here */
            log_forward(options->log, options->log_context);
    }
    if (!err_is(e)) {
        e = make_members(server, options);
        if (err_is(e))
            say(problem, size, e, "threads");
    }
    if (!err_is(e))
        e = listen_all(server, options, problem, size);
    if (!err_is(e)) {
        e = start_members(server);
        if (err_is(e))
            say(problem, size, e, "threads");
    }
    return e;
}

struct err drop_server_start(const struct drop_options *options, char *problem, size_t problem_size,
                             struct drop_server **out)
{
    struct drop_server *server = make(options);
    struct err e = start(server, options, problem, problem_size);

    if (err_is(e)) {
        drop_server_stop(server);
        server = NULL;
    }
    *out = server;
    return e;
}

struct mailstore *drop_server_store(struct drop_server *server)
{
    return server->store;
}

uint64_t drop_server_count(const struct drop_server *server, enum drop_count count)
{
    return atomic_load_explicit(&server->counts[count], memory_order_relaxed);
}

const struct drop_settings *drop_server_settings(const struct drop_server *server)
{
    return &server->settings;
}
