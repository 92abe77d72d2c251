#include "net/conn_private.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum {
    INPUT_MAX = 65536,
    OUTPUT_HIGH = 65536,
    FINISH_MS = 5000, /* how long the last bytes may take to leave */
    LINGER_MS = 1000, /* how long what still arrives is read and dropped, so that our last reply
                         is not lost to a reset */
};

static void flush(struct conn *c);

void conn_tell(struct conn *c, enum conn_event event)
{
    if (!c->closing && !c->finishing && c->handler != NULL)
        c->handler(c, event, c->owner);
}

static void set_error(struct conn *c, struct err e, const char *text)
{
    c->error = e;
    free(c->error_text);
    c->error_text = mem_strdup(text);
}

void conn_fail(struct conn *c, struct err e, const char *text)
{
    if (c->closing || c->failed)
        return;
    c->failed = true;
    set_error(c, e, text);
    if (c->finishing)
        conn_close(c);
    else
        conn_tell(c, CONN_FAILED);
}

static void fail_uv(struct conn *c, int rc, const char *where)
{
    char text[ERR_TEXT_MAX];
    struct err e = err_system(-rc, where);

    conn_fail(c, e, err_text(e, text));
}

void conn_later(struct conn *c)
{
    if (!list_is_linked(&c->later.link) && !c->closing)
        loop_defer(c->loop, &c->later);
}

/* ---- reading ------------------------------------------------------------------------------ */

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    struct conn *c = handle->data;
    size_t room = c->input_max - buf_len(&c->in); /* some: a full conn does not read */

    (void)suggested;
    *buf = uv_buf_init(loop_scratch(c->loop),
                       (unsigned)(room < LOOP_SCRATCH && c->tls == NULL && c->squeeze == NULL
                                      ? room
                                      : LOOP_SCRATCH));
}

static void on_read(uv_stream_t *stream, ssize_t nread, const uv_buf_t *buf);

static void update_reading(struct conn *c)
{
    bool want = c->connected && !c->closing && !c->eof && !c->failed &&
                (c->lingering || (!c->paused && !c->full));

    if (want == c->reading)
        return;
    c->reading = want;
    if (want)
        uv_read_start((uv_stream_t *)&c->tcp, on_alloc, on_read);
    else
        uv_read_stop((uv_stream_t *)&c->tcp);
}

void conn_tell_input(struct conn *c, struct span fresh)
{
    if (c->squeeze != NULL)
        conn_squeeze_pump(c, fresh);
    else
        conn_tell_plain(c, fresh);
}

void conn_tell_plain(struct conn *c, struct span fresh)
{
    c->received += fresh.len;
    if (buf_len(&c->in) > 0)
        buf_add(&c->in, fresh);
    else
        c->view = fresh;
    conn_tell(c, CONN_INPUT);
    if (c->view.len > 0 && !c->closing)
        buf_add(&c->in, c->view);
    c->view = SPAN_NONE;
    c->full = buf_len(&c->in) >= c->input_max;
}

static void on_read(uv_stream_t *stream, ssize_t nread, const uv_buf_t *buf)
{
    struct conn *c = stream->data;

    if (nread == 0)
        return;
    if (c->lingering) {
        if (nread < 0)
            conn_close(c);
        return;
    }
    if (nread > 0) {
        struct span fresh = span_of(buf->base, (size_t)nread);
        if (c->tls != NULL)
            conn_tls_pump(c, fresh);
        else
            conn_tell_input(c, fresh);
    } else if (nread == UV_EOF) {
        c->eof = true;
        conn_tell(c, CONN_EOF);
    } else {
        fail_uv(c, (int)nread, "read");
    }
    update_reading(c);
}

struct span conn_input(const struct conn *c)
{
    return c->view.len > 0 ? c->view : buf_span(&c->in);
}

uint64_t conn_received(const struct conn *c)
{
    return c->received;
}

void conn_consume(struct conn *c, size_t len)
{
    if (c->view.len > 0) {
        c->view = span_from(c->view, len);
        return;
    }
    buf_consume(&c->in, len);
    if (c->full && buf_len(&c->in) < c->input_max) {
        c->full = false;
        conn_later(c);
    }
}

void conn_set_input_max(struct conn *c, size_t max)
{
    bool full = buf_len(&c->in) >= max;

    c->input_max = max;
    if (full != c->full) {
        c->full = full;
        conn_later(c);
    }
}

void conn_pause(struct conn *c)
{
    c->paused = true;
    if (c->view.len == 0)
        update_reading(c);
}

void conn_resume(struct conn *c)
{
    if (!c->paused)
        return;
    c->paused = false;
    c->retell = true;
    conn_later(c);
}

/* ---- writing ------------------------------------------------------------------------------ */

/* Moves gathered plain text to where the socket takes it from. */
static void prepare_wire(struct conn *c)
{
    if (c->squeeze != NULL)
        conn_squeeze_output(c);
    if (c->tls != NULL) {
        if (c->tls->secured)
            conn_tls_encrypt(c);
        return;
    }
    if (buf_len(&c->wire) == 0) {
        struct buf empty = c->wire;
        c->wire = c->out;
        c->out = empty;
    } else {
        buf_add(&c->wire, buf_span(&c->out));
        buf_fini(&c->out);
    }
}

static void after_sending(struct conn *c)
{
    if (c->finishing && conn_unsent(c) == 0) {
        bool unread = conn_input(c).len > 0 || c->paused || c->full;
        uv_os_fd_t fd;
        if (!unread || c->eof || uv_fileno((uv_handle_t *)&c->tcp, &fd) != 0) {
            conn_close(c);
            return;
        }
        shutdown(fd, SHUT_WR);
        c->lingering = true;
        conn_deadline(c, LINGER_MS);
        update_reading(c);
        return;
    }
    if (c->congested && conn_unsent(c) <= c->output_high / 4) {
        c->congested = false;
        conn_tell(c, CONN_DRAINED);
    }
}

static void on_written(uv_write_t *req, int status)
{
    struct pending_write *pending = container_of(req, struct pending_write, req);
    struct conn *c = req->data;

    buf_fini(&pending->data);
    free(pending);
    c->pending = NULL;
    if (c->closing)
        return;
    if (status != 0) {
        fail_uv(c, status, "write");
        return;
    }
    flush(c);
}

static void write_rest(struct conn *c)
{
    struct pending_write *pending = mem_zalloc(sizeof *pending);

    pending->data = c->wire;
    buf_init(&c->wire, 0);
    pending->req.data = c;
    c->pending = pending;
    struct span rest = buf_span(&pending->data);
    uv_buf_t chunk = {.base = pending->data.data + pending->data.start, .len = rest.len};
    int rc = uv_write(&pending->req, (uv_stream_t *)&c->tcp, &chunk, 1, on_written);
    if (rc != 0) {
        buf_fini(&pending->data);
        free(pending);
        c->pending = NULL;
        fail_uv(c, rc, "write");
    }
}

static void flush(struct conn *c)
{
    if (c->closing || c->failed || c->pending != NULL || !c->connected)
        return;
    prepare_wire(c);
    if (c->failed || c->closing)
        return;
    if (buf_len(&c->wire) > 0) {
        uv_buf_t chunk = {.base = c->wire.data + c->wire.start, .len = buf_len(&c->wire)};
        int n = uv_try_write((uv_stream_t *)&c->tcp, &chunk, 1);
        if (n < 0 && n != UV_EAGAIN) {
            fail_uv(c, n, "write");
            return;
        }
        if (n > 0)
            buf_consume(&c->wire, (size_t)n);
        if (buf_len(&c->wire) > 0) {
            write_rest(c);
            return;
        }
    }
    after_sending(c);
}

static void on_later(struct call *call)
{
    struct conn *c = container_of(call, struct conn, later);

    if (c->closing)
        return;
    if (c->tls != NULL && !c->paused && !c->full && !c->failed && conn_tls_has_waiting(c))
        conn_tls_pump(c, SPAN_NONE);
    if (c->squeeze != NULL && !c->closing && !c->paused && !c->full && !c->failed &&
        conn_squeeze_has_waiting(c))
        conn_squeeze_pump(c, SPAN_NONE);
    if (c->closing)
        return;
    if (c->retell && !c->paused) {
        c->retell = false;
        if (buf_len(&c->in) > 0)
            conn_tell(c, CONN_INPUT);
        c->full = buf_len(&c->in) >= c->input_max;
    }
    if (c->closing)
        return;
    update_reading(c);
    flush(c);
}

void conn_write(struct conn *c, struct span bytes)
{
    buf_add(&c->out, bytes);
    conn_written(c);
}

struct buf *conn_output(struct conn *c)
{
    return &c->out;
}

void conn_written(struct conn *c)
{
    if (conn_unsent(c) > c->output_high)
        c->congested = true;
    conn_later(c);
}

size_t conn_unsent(const struct conn *c)
{
    return buf_len(&c->out) + buf_len(&c->wire) + (c->pending ? buf_len(&c->pending->data) : 0);
}

bool conn_is_congested(const struct conn *c)
{
    return c->congested;
}

/* ---- making and ending -------------------------------------------------------------------- */

static void on_deadline(struct timer *timer)
{
    struct conn *c = container_of(timer, struct conn, deadline);

    if (c->finishing)
        conn_close(c);
    else
        conn_tell(c, CONN_DEADLINE);
}

void conn_deadline(struct conn *c, uint64_t ms)
{
    if (ms == 0)
        timer_stop(c->loop, &c->deadline);
    else if (!c->closing)
        timer_start(c->loop, &c->deadline, ms, on_deadline);
}

static struct conn *conn_new(struct loop *loop)
{
    struct conn *c = mem_zalloc(sizeof *c);

    c->loop = loop;
    c->input_max = INPUT_MAX;
    c->output_high = OUTPUT_HIGH;
    buf_init(&c->in, 0);
    buf_init(&c->out, 0);
    buf_init(&c->wire, 0);
    list_init(&c->later.link);
    c->later.done = on_later;
    uv_tcp_init(loop_uv(loop), &c->tcp);
    c->tcp.data = c;
    return c;
}

struct conn *conn_accept(struct loop *loop, int fd)
{
    struct conn *c = conn_new(loop);
    struct sockaddr_storage peer = {0}; /* of a Unix socket only the family is told */
    int len = sizeof peer;

    if (uv_tcp_open(&c->tcp, fd) != 0) {
        close(fd);
        conn_close(c);
        return NULL;
    }
    if (uv_tcp_getpeername(&c->tcp, (struct sockaddr *)&peer, &len) != 0) {
        conn_close(c);
        return NULL;
    }
    memcpy(&c->peer, &peer, sizeof c->peer);
    c->connected = true;
    conn_later(c); /* begins to read once the owner is known */
    return c;
}

static void establish(struct conn *c)
{
    c->connected = true;
    conn_tell(c, CONN_CONNECTED);
    conn_later(c);
}

struct connect_request {
    uv_connect_t req;
    struct conn *conn;
};

static void on_connected(uv_connect_t *req, int status)
{
    struct connect_request *request = container_of(req, struct connect_request, req);
    struct conn *c = request->conn;

    free(request);
    if (c->closing)
        return;
    if (status != 0) {
        fail_uv(c, status, "connect");
        return;
    }
    uv_tcp_nodelay(&c->tcp, 1);
    establish(c);
}

/* A Unix socket connects at once, or not at all. */
static void on_connected_at_once(struct call *call)
{
    struct conn *c = container_of(call, struct conn, later);

    c->later.done = on_later;
    if (!c->closing)
        establish(c);
}

static int connect_unix(struct conn *c, const struct sockaddr *peer)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int rc = 0;

    if (fd < 0)
        return -errno;
    if (connect(fd, peer, sizeof(struct sockaddr_un)) != 0)
        rc = -errno;
    if (rc == 0)
        rc = uv_tcp_open(&c->tcp, fd);
    if (rc != 0) {
        close(fd);
        return rc;
    }
    c->later.done = on_connected_at_once;
    loop_defer(c->loop, &c->later);
    return 0;
}

/* A start that failed at once is told later, as every other failure. */
static void on_connect_failed(struct call *call)
{
    struct conn *c = container_of(call, struct conn, later);

    c->later.done = on_later;
    if (c->closing)
        return;
    struct err e = c->error;
    char text[ERR_TEXT_MAX];
    conn_fail(c, e, err_text(e, text));
}

static int connect_tcp(struct conn *c, const struct sockaddr *peer, const struct sockaddr *local)
{
    struct connect_request *request = mem_zalloc(sizeof *request);
    int rc = 0;

    memcpy(&c->peer, peer,
           peer->sa_family == AF_INET6 ? sizeof c->peer : sizeof(struct sockaddr_in));
    request->conn = c;
    if (local != NULL)
        rc = uv_tcp_bind(&c->tcp, local, 0);
    if (rc != 0)
        c->error = err_system(-rc, "bind to the source address");
    else
        rc = uv_tcp_connect(&request->req, &c->tcp, peer, on_connected);
    if (rc != 0)
        free(request);
    return rc;
}

struct conn *conn_connect(struct loop *loop, const struct sockaddr *peer,
                          const struct sockaddr *local, const struct conn_options *options)
{
    struct conn *c = conn_new(loop);

    c->handler = options->handler;
    c->owner = options->owner;
    if (options->input_max != 0)
        c->input_max = options->input_max;
    if (options->output_high != 0)
        c->output_high = options->output_high;
    c->peer.sin6_family = peer->sa_family;
    int rc = peer->sa_family == AF_UNIX ? connect_unix(c, peer) : connect_tcp(c, peer, local);
    if (rc != 0) {
        if (!err_is(c->error))
            c->error = err_system(-rc, "connect");
        c->later.done = on_connect_failed;
        loop_defer(loop, &c->later);
    }
    return c;
}

void conn_set_owner(struct conn *c, conn_handler *handler, void *owner)
{
    c->handler = handler;
    c->owner = owner;
}

static void on_closed(uv_handle_t *handle)
{
    struct conn *c = handle->data;

    if (c->handler != NULL)
        c->handler(c, CONN_CLOSED, c->owner);
    conn_tls_free(c);
    conn_squeeze_free(c);
    buf_fini(&c->in);
    buf_fini(&c->out);
    buf_fini(&c->wire);
    free(c->error_text);
    free(c->local);
    free(c);
}

void conn_close(struct conn *c)
{
    if (c->closing)
        return;
    c->closing = true;
    timer_stop(c->loop, &c->deadline);
    list_remove(&c->later.link);
    uv_close((uv_handle_t *)&c->tcp, on_closed);
}

void conn_finish(struct conn *c)
{
    if (c->closing || c->finishing)
        return;
    if (!c->connected || c->failed) {
        conn_close(c);
        return;
    }
    c->finishing = true;
    if (c->tls != NULL && c->squeeze != NULL)
        conn_squeeze_output(c);
    if (c->tls != NULL)
        conn_tls_finish(c);
    if (c->closing)
        return;
    conn_deadline(c, FINISH_MS);
    conn_later(c);
}

bool conn_is_closing(const struct conn *c)
{
    return c->closing || c->finishing;
}

struct err conn_error(const struct conn *c)
{
    return c->error;
}

const char *conn_error_text(const struct conn *c)
{
    return c->error_text ? c->error_text : "";
}

const struct sockaddr *conn_peer(const struct conn *c)
{
    return (const struct sockaddr *)&c->peer;
}

const struct sockaddr *conn_local(const struct conn *c)
{
    struct conn *mutable = (struct conn *)(uintptr_t)c;
    int len = sizeof *c->local;

    if (mutable->local == NULL) {
        mutable->local = mem_zalloc(sizeof *mutable->local);
        uv_tcp_getsockname(&c->tcp, (struct sockaddr *)mutable->local, &len);
    }
    return (const struct sockaddr *)mutable->local;
}
