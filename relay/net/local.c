#include "net/local.h"

#include "base/buf.h"
#include "base/log.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <uv.h>

enum { BACKLOG = 16 };

struct local_server {
    uv_pipe_t pipe;
    struct loop *loop;
    struct local_options options;
    char *path;
    struct list peers;
    unsigned peer_count;
    bool closing;
    bool closed; /* the handle is */
};

struct local_peer {
    uv_pipe_t pipe;
    struct local_server *server;
    struct list link; /* in server->peers */
    struct timer idle;
    struct buf in;
    struct buf answer;
    struct local_stream *stream; /* the answer under way is one */
    uv_write_t write;
    bool waiting; /* for the owner's answer */
    bool writing;
    bool ending; /* to be closed behind the answer */
    bool closed; /* the handle is */
};

static void free_server_if_done(struct local_server *server)
{
    if (!server->closed || server->peer_count > 0)
        return;
    if (server->options.closed != NULL)
        server->options.closed(server->options.owner);
    free(server->path);
    free(server);
}

static void free_peer_if_done(struct local_peer *peer)
{
    struct local_server *server = peer->server;

    if (!peer->closed || peer->waiting)
        return;
    list_remove(&peer->link);
    server->peer_count--;
    buf_fini(&peer->in);
    buf_fini(&peer->answer);
    free(peer);
    free_server_if_done(server);
}

static void on_peer_closed(uv_handle_t *handle)
{
    struct local_peer *peer = handle->data;

    peer->closed = true;
    if (peer->stream != NULL)
        peer->stream->gone(peer->stream); /* it answers, now or later, and that frees the peer */
    else
        free_peer_if_done(peer);
}

static void close_peer(struct local_peer *peer)
{
    timer_stop(peer->server->loop, &peer->idle);
    if (!uv_is_closing((uv_handle_t *)&peer->pipe))
        uv_close((uv_handle_t *)&peer->pipe, on_peer_closed);
}

static void on_idle(struct timer *timer)
{
    close_peer(container_of(timer, struct local_peer, idle));
}

static void expect_progress(struct local_peer *peer)
{
    timer_start(peer->server->loop, &peer->idle, peer->server->options.idle_ms, on_idle);
}

/* ---- answering ------------------------------------------------------------------------------ */

static void read_on(struct local_peer *peer);

static void on_written(uv_write_t *write, int status)
{
    struct local_peer *peer = write->data;

    peer->writing = false;
    buf_clear(&peer->answer);
    if (uv_is_closing((uv_handle_t *)&peer->pipe))
        return; /* what had left before is told all the same */
    if (status != 0 || peer->ending) {
        close_peer(peer);
    } else if (peer->stream != NULL) {
        timer_stop(peer->server->loop, &peer->idle);
        peer->stream->drained(peer->stream);
    } else {
        read_on(peer);
    }
}

static void write_out(struct local_peer *peer, struct span bytes)
{
    buf_add(&peer->answer, bytes);
    struct span all = buf_span(&peer->answer);
    uv_buf_t vector = {.base = peer->answer.data + peer->answer.start, .len = all.len};
    peer->write.data = peer;
    peer->writing = true;
    expect_progress(peer);
    if (uv_write(&peer->write, (uv_stream_t *)&peer->pipe, &vector, 1, on_written) != 0) {
        peer->writing = false;
        close_peer(peer);
    }
}

void local_write(struct local_peer *peer, struct span bytes)
{
    if (!uv_is_closing((uv_handle_t *)&peer->pipe))
        write_out(peer, bytes);
}

void local_answer(struct local_peer *peer, struct span bytes)
{
    peer->waiting = false;
    peer->stream = NULL;
    if (!uv_is_closing((uv_handle_t *)&peer->pipe))
        write_out(peer, bytes);
    else
        free_peer_if_done(peer);
}

/* ---- reading -------------------------------------------------------------------------------- */

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *vector)
{
    struct local_peer *peer = handle->data;

    (void)suggested;
    vector->len = LOCAL_LINE_MAX - buf_len(&peer->in);
    vector->base = buf_reserve(&peer->in, vector->len);
}

/* Tells the first line that is there, if there is one. */
static void take_line(struct local_peer *peer)
{
    struct local_server *server = peer->server;
    struct span input = buf_span(&peer->in);
    size_t len = span_index(input, '\n');

    if (len == input.len && len == LOCAL_LINE_MAX) {
        peer->ending = true;
        uv_read_stop((uv_stream_t *)&peer->pipe);
        write_out(peer, server->options.too_long);
    }
    if (len == input.len)
        return;
    struct span line = span_head(input, len > 0 && input.ptr[len - 1] == '\r' ? len - 1 : len);
    peer->waiting = true;
    uv_read_stop((uv_stream_t *)&peer->pipe);
    timer_stop(server->loop, &peer->idle);
    server->options.line(peer, line, server->options.owner);
    buf_consume(&peer->in, len + 1);
}

static void on_read(uv_stream_t *stream, ssize_t nread, const uv_buf_t *vector)
{
    struct local_peer *peer = stream->data;

    (void)vector;
    if (nread < 0) {
        close_peer(peer);
    } else if (nread > 0) {
        buf_commit(&peer->in, (size_t)nread);
        if (!peer->waiting)
            take_line(peer);
    }
}

static void read_on(struct local_peer *peer)
{
    expect_progress(peer);
    take_line(peer);
    if (!peer->waiting && !peer->writing && !uv_is_closing((uv_handle_t *)&peer->pipe))
        uv_read_start((uv_stream_t *)&peer->pipe, on_alloc, on_read);
}

void local_stream(struct local_peer *peer, struct local_stream *stream)
{
    peer->stream = stream;
    if (stream->is_endless && !uv_is_closing((uv_handle_t *)&peer->pipe))
        uv_read_start((uv_stream_t *)&peer->pipe, on_alloc, on_read);
}

/* ---- listening ------------------------------------------------------------------------------ */

static void on_connection(uv_stream_t *stream, int status)
{
    struct local_server *server = stream->data;

    if (status != 0) {
        log_failure(LOG_WARN, "accept-failed", err_system(-status, "accept"), "path", server->path);
        return;
    }
    struct local_peer *peer = mem_zalloc(sizeof *peer);
    uv_pipe_init(loop_uv(server->loop), &peer->pipe, 0);
    peer->pipe.data = peer;
    peer->server = server;
    buf_init(&peer->in, LOCAL_LINE_MAX);
    buf_init(&peer->answer, 0);
    list_append(&server->peers, &peer->link);
    server->peer_count++;
    if (uv_accept(stream, (uv_stream_t *)&peer->pipe) != 0 || server->peer_count > LOCAL_PEERS_MAX)
        close_peer(peer);
    else
        read_on(peer);
}

/* Makes way for a new socket: nothing is there, or one that was left by a process now gone. */
static struct err remove_stale(const struct sockaddr_un *address)
{
    struct stat file;

    if (lstat(address->sun_path, &file) != 0)
        return errno == ENOENT ? ERR_OK : err_system(errno, "local socket");
    if (!S_ISSOCK(file.st_mode))
        return err_make(ERR_CONFLICT, "local socket: another file is there");
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return err_system(errno, "socket");
    int rc = connect(fd, (const struct sockaddr *)address, sizeof *address);
    int sys = errno;
    close(fd);
    if (rc == 0 || sys != ECONNREFUSED)
        return err_make(ERR_CONFLICT, "local socket: another process listens there");
    return unlink(address->sun_path) == 0 ? ERR_OK : err_system(errno, "local socket");
}

struct err local_bind(const char *path, mode_t mode, int *fd_out)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    *fd_out = -1;
    if (strlen(path) >= sizeof address.sun_path)
        return err_make(ERR_INVALID, "local socket: its path is too long");
    memcpy(address.sun_path, path, strlen(path));
    struct err e = remove_stale(&address);
    if (err_is(e))
        return e;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return err_system(errno, "socket");
    /* Linux gives the new file the socket's own mode: there is no moment at which others may
     * connect, and no umask is changed under the feet of other threads. */
    bool bound = fchmod(fd, S_IRUSR | S_IWUSR) == 0 &&
                 bind(fd, (struct sockaddr *)&address, sizeof address) == 0;
    if (!bound || chmod(path, mode) != 0) {
        int sys = errno;
        close(fd);
        return err_system(sys, sys == ENOENT ? "local socket: its folder" : "local socket");
    }
    *fd_out = fd;
    return ERR_OK;
}

struct err local_listen(struct loop *loop, const char *path, const struct local_options *options,
                        struct local_server **out)
{
    int fd;

    *out = NULL;
    struct err e = local_bind(path, S_IRUSR | S_IWUSR, &fd);
    if (err_is(e))
        return e;
    struct local_server *server = mem_zalloc(sizeof *server);
    server->loop = loop;
    server->options = *options;
    server->path = mem_strdup(path);
    list_init(&server->peers);
    uv_pipe_init(loop_uv(loop), &server->pipe, 0);
    server->pipe.data = server;
    int rc = uv_pipe_open(&server->pipe, fd);
    if (rc != 0)
        close(fd);
    if (rc == 0)
        rc = uv_listen((uv_stream_t *)&server->pipe, BACKLOG, on_connection);
    if (rc != 0) {
        server->options.closed = NULL; /* the owner is told by the result */
        local_close(server);
        return err_system(-rc, "listen");
    }
    *out = server;
    return ERR_OK;
}

static void on_server_closed(uv_handle_t *handle)
{
    struct local_server *server = handle->data;

    server->closed = true;
    free_server_if_done(server);
}

void local_close(struct local_server *server)
{
    if (server->closing)
        return;
    server->closing = true;
    unlink(server->path);
    uv_close((uv_handle_t *)&server->pipe, on_server_closed);
    for (struct list *at = server->peers.next; at != &server->peers; at = at->next)
        close_peer(container_of(at, struct local_peer, link));
}
