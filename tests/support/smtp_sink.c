/*
 * smtp_sink: takes mail by SMTP and counts it; slow, rude or broken where it is told to be.
 *
 * Each worker thread has its own epoll, its own listeners (SO_REUSEPORT) and its own counts; the
 * main thread only waits for signals. A connection belongs to one worker for its whole life. A
 * message is held whole in the connection's buffer until its end has come.
 */
#include "sink_session.h"
#include "stream.h"

#include <pthread.h>
#include <signal.h>

#define EVENTS_AT_ONCE  256
#define READ_ROOM       (16u << 10)
#define KEPT_BUFFER_MAX (256u << 10)
#define LISTEN_BACKLOG  4096

/* What an epoll event points to: a connection or, with `connection` NULL, a listener. */
struct source {
    struct connection *connection;
    int listener;
};

struct connection {
    struct source source;
    struct stream stream;
    struct session session;
    bool paused; /* in the worker's list, its reply is due later */
    uint64_t due_ns;
    struct connection *prev, *next;
};

struct worker {
    pthread_t thread;
    pthread_mutex_t lock; /* held while counts change */
    int epoll;
    struct source listeners[SINK_LISTENERS_MAX];
    struct connection *first_paused, *last_paused; /* in order of due time: the delay is constant */
    struct sink_counts counts;
};

static struct sink_options options;
static SSL_CTX *tls_context;
static struct worker workers[SINK_THREADS_MAX];

/* ---- replies that wait ---- */

static void pause_add(struct worker *w, struct connection *c)
{
    if (c->paused)
        return;
    c->paused = true;
    c->due_ns = rig_now_ns() + options.delay_ns;
    c->prev = w->last_paused;
    c->next = NULL;
    if (w->last_paused)
        w->last_paused->next = c;
    else
        w->first_paused = c;
    w->last_paused = c;
}

static void pause_remove(struct worker *w, struct connection *c)
{
    if (!c->paused)
        return;
    c->paused = false;
    if (c->prev)
        c->prev->next = c->next;
    else
        w->first_paused = c->next;
    if (c->next)
        c->next->prev = c->prev;
    else
        w->last_paused = c->prev;
}

/* ---- a connection's life ---- */

static void connection_free(struct worker *w, struct connection *c)
{
    pause_remove(w, c);
    w->counts.serving -= !c->session.turned_away;
    stream_close(&c->stream);
    session_fini(&c->session);
    free(c);
    w->counts.open_connections--;
}

/* False where the connection broke. */
static bool flush(struct connection *c)
{
    struct bytes *out = &c->session.out;

    while (bytes_len(out) > 0) {
        long count = stream_write(&c->stream, bytes_head(out), bytes_len(out), false);
        if (count == STREAM_AGAIN)
            return true;
        if (count <= 0)
            return false;
        bytes_consume(out, (size_t)count);
    }
    return true;
}

/* Sends what is due, then does what had to wait for that. False where the connection is gone. */
static bool send_replies(struct worker *w, struct connection *c)
{
    struct session *s = &c->session;

    if (!flush(c) || (s->phase == PHASE_CLOSING && bytes_len(&s->out) == 0)) {
        connection_free(w, c);
        return false;
    }
    if (s->phase == PHASE_TLS && !c->stream.ssl && bytes_len(&s->out) == 0)
        stream_start_tls(&c->stream, tls_context, true);
    if (bytes_len(&s->in) == 0 && s->in.cap > KEPT_BUFFER_MAX)
        bytes_free(&s->in);
    return true;
}

/* A reply may have to wait. True where it does. */
static bool pause_for_reply(struct worker *w, struct connection *c)
{
    if (c->session.replied && options.delay_ns > 0)
        pause_add(w, c);
    c->session.replied = false;
    return c->paused;
}

/* Works off what has been read until it must wait. False where the connection is gone. */
static bool proceed(struct worker *w, struct connection *c)
{
    while (!c->paused && session_step(&c->session))
        pause_for_reply(w, c);
    return c->paused || send_replies(w, c);
}

static void greet(struct worker *w, struct connection *c)
{
    session_greet(&c->session);
    if (!pause_for_reply(w, c))
        send_replies(w, c);
}

static void accept_connection(struct worker *w, int listener)
{
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

    if (fd < 0)
        return;
    struct connection *c = calloc(1, sizeof *c);
    if (!c)
        rig_die("out of memory");
    c->source.connection = c;
    c->stream.fd = fd;
    c->session.options = &options;
    c->session.counts = &w->counts;
    w->counts.connections++;
    w->counts.open_connections++;
    c->session.turned_away = options.serve_most > 0 && w->counts.serving >= options.serve_most;
    w->counts.serving += !c->session.turned_away;
    stream_watch(&c->stream, w->epoll, &c->source);
    if (options.tls == TLS_IMPLICIT)
        stream_start_tls(&c->stream, tls_context, true);
    else
        greet(w, c);
}

/* False where the handshake goes on or the connection is gone. */
static bool continue_handshake(struct worker *w, struct connection *c)
{
    long result = stream_handshake(&c->stream);

    if (result == STREAM_AGAIN)
        return false;
    if (result == STREAM_BROKEN) {
        connection_free(w, c);
        return false;
    }
    w->counts.tls_resumed += SSL_session_reused(c->stream.ssl) ? 1 : 0;
    session_secured(&c->session);
    if (options.tls == TLS_IMPLICIT)
        session_greet(&c->session);
    return pause_for_reply(w, c) || send_replies(w, c);
}

static bool reads_no_more(const struct connection *c)
{
    return c->session.phase == PHASE_STALLED || c->stream.handshaking;
}

/* Reads all there is. */
static void read_all(struct worker *w, struct connection *c, uint32_t events)
{
    struct bytes *in = &c->session.in;

    for (;;) {
        bytes_reserve(in, READ_ROOM);
        size_t room = in->cap - in->end;
        long count = stream_read(&c->stream, in->data + in->end, room);
        if (count == STREAM_AGAIN)
            return;
        if (count <= 0 || bytes_len(in) > SINK_MESSAGE_MAX) {
            connection_free(w, c);
            return;
        }
        in->end += (size_t)count;
        if (!proceed(w, c) || reads_no_more(c) || stream_drained(&c->stream, count, room, events))
            return;
    }
}

static void connection_event(struct worker *w, struct connection *c, uint32_t events)
{
    if (c->session.phase == PHASE_STALLED) {
        if (stream_hung_up(events))
            connection_free(w, c);
        return;
    }
    if (c->stream.handshaking && !continue_handshake(w, c))
        return;
    if (events == EPOLLOUT) {
        if (bytes_len(&c->session.out) > 0 && !c->paused)
            send_replies(w, c);
        return;
    }
    read_all(w, c, events);
}

/* ---- workers ---- */

static void release_paused(struct worker *w)
{
    uint64_t now = rig_now_ns();

    while (w->first_paused && w->first_paused->due_ns <= now) {
        struct connection *c = w->first_paused;
        pause_remove(w, c);
        if (send_replies(w, c))
            proceed(w, c);
    }
}

static int wait_ms(const struct worker *w)
{
    if (!w->first_paused)
        return -1;
    uint64_t now = rig_now_ns();
    uint64_t due = w->first_paused->due_ns;
    return due <= now ? 0 : (int)((due - now) / RIG_NS_PER_MILLISECOND + 1);
}

static void *worker_run(void *argument)
{
    struct worker *w = argument;
    struct epoll_event events[EVENTS_AT_ONCE];

    for (;;) {
        int count = epoll_wait(w->epoll, events, EVENTS_AT_ONCE, wait_ms(w));
        pthread_mutex_lock(&w->lock);
        for (int i = 0; i < count; i++) {
            struct source *source = events[i].data.ptr;
            if (source->connection)
                connection_event(w, source->connection, events[i].events);
            else
                accept_connection(w, source->listener);
        }
        release_paused(w);
        pthread_mutex_unlock(&w->lock);
    }
    return NULL;
}

/* Replaces a port of 0 by the one the system chose, for the other workers. */
static int listener_open(struct sockaddr_in *address)
{
    int on = 1;
    socklen_t len = sizeof *address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (options.threads > 1)
        setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
    stream_no_delay(fd);
    if (bind(fd, (struct sockaddr *)address, len) < 0 || listen(fd, LISTEN_BACKLOG) < 0)
        rig_die("port %u: %s", ntohs(address->sin_port), strerror(errno));
    getsockname(fd, (struct sockaddr *)address, &len);
    return fd;
}

static void worker_prepare(struct worker *w)
{
    pthread_mutex_init(&w->lock, NULL);
    w->epoll = epoll_create1(EPOLL_CLOEXEC);
    for (unsigned i = 0; i < options.listen_count; i++) {
        struct source *source = &w->listeners[i];
        source->listener = listener_open(&options.listen[i]);
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = source};
        epoll_ctl(w->epoll, EPOLL_CTL_ADD, source->listener, &event);
    }
}

static void announce(void)
{
    char host[INET_ADDRSTRLEN];

    for (unsigned i = 0; i < options.listen_count; i++) {
        inet_ntop(AF_INET, &options.listen[i].sin_addr, host, sizeof host);
        printf("listening %s:%u\n", host, ntohs(options.listen[i].sin_port));
    }
    fflush(stdout);
}

static void write_stats(void)
{
    static struct sink_counts sum;

    sum = (struct sink_counts){0};
    for (unsigned i = 0; i < options.threads; i++) {
        pthread_mutex_lock(&workers[i].lock);
        sink_counts_merge(&sum, &workers[i].counts);
        pthread_mutex_unlock(&workers[i].lock);
    }
    sink_stats_write(&options, &sum);
}

/* So that a warm-up leaves no trace. Open connections stay counted. */
static void forget_stats(void)
{
    for (unsigned i = 0; i < options.threads; i++) {
        pthread_mutex_lock(&workers[i].lock);
        uint64_t open = workers[i].counts.open_connections, serving = workers[i].counts.serving;
        workers[i].counts = (struct sink_counts){.open_connections = open, .serving = serving};
        pthread_mutex_unlock(&workers[i].lock);
    }
    sink_seen_forget();
}

static void tls_prepare(void)
{
    if (options.tls == TLS_NONE)
        return;
    tls_context = SSL_CTX_new(TLS_server_method());
    stream_tls_modes(tls_context);
    SSL_CTX_set_num_tickets(tls_context, 1);
    SSL_CTX_set_session_id_context(tls_context, (const unsigned char *)"sink", 4);
    if (SSL_CTX_use_certificate_chain_file(tls_context, options.cert) != 1 ||
        SSL_CTX_use_PrivateKey_file(tls_context, options.key, SSL_FILETYPE_PEM) != 1)
        rig_die("%s or %s cannot be used", options.cert, options.key);
}

int main(int argc, char **argv)
{
    sigset_t signals;

    options = sink_parse_arguments(argc, argv);
    tls_prepare();
    sigemptyset(&signals);
    sigaddset(&signals, SIGUSR1);
    sigaddset(&signals, SIGUSR2);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    signal(SIGPIPE, SIG_IGN);
    for (unsigned i = 0; i < options.threads; i++)
        worker_prepare(&workers[i]);
    for (unsigned i = 0; i < options.threads; i++)
        pthread_create(&workers[i].thread, NULL, worker_run, &workers[i]);
    announce();
    for (int number; sigwait(&signals, &number) == 0;) {
        if (number == SIGUSR2)
            forget_stats();
        write_stats();
        if (number == SIGTERM || number == SIGINT)
            _exit(0); /* workers still run, and only epoll knows the open connections */
    }
    return 1;
}
