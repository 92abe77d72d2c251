#include "net/listener.h"

#include "base/log.h"
#include "net/conn_private.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    BACKLOG = 4096,   /* the kernel bounds it by net.core.somaxconn */
    ACCEPT_MOST = 64, /* at a time, so that those who are here already have their turn */
    PAUSE_MS = 100,   /* where accepting fails and would fail again at once */
    ROOM_MS = 1,      /* until a descriptor that is given up is free */
    KEPT_FREE = 32,   /* descriptors that clients do not get: mail has to leave, too */
};

static const char busy[] = "421 4.3.2 Too many connections, try again later\r\n";

struct listener {
    uv_poll_t poll;
    struct loop *loop;
    listener_accept *accept;
    listener_make_room *make_room; /* NULL = nobody can */
    void *owner;
    int fd;
    int spare;   /* a descriptor to give up when none is left: accept, close, open again */
    int waiting; /* a connection that room is being made for, or -1 */
    struct timer pause;
};

static socklen_t address_len(const struct sockaddr *address)
{
    return address->sa_family == AF_INET6 ? sizeof(struct sockaddr_in6)
                                          : sizeof(struct sockaddr_in);
}

/* TCP_NODELAY is inherited by accepted sockets on Linux: one system call less for each. */
static int set_options(int fd, int family, bool is_shared)
{
    int on = 1, shared = is_shared;

    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &shared, sizeof shared) != 0 ||
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0)
        return -1;
    if (family == AF_INET6)
        return setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
    return 0;
}

static struct err bind_one(const struct sockaddr *address, bool is_shared, int *fd_out)
{
    int fd = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    *fd_out = -1;
    if (fd < 0)
        return err_system(errno, "socket");
    if (set_options(fd, address->sa_family, is_shared) != 0 ||
        bind(fd, address, address_len(address)) != 0) {
        int sys = errno;
        close(fd);
        return err_system(sys, "bind");
    }
    *fd_out = fd;
    return ERR_OK;
}

struct err listener_bind(const struct sockaddr *address, int *fd_out)
{
    return bind_one(address, true, fd_out);
}

struct err listener_probe(const struct sockaddr *address)
{
    int fd;
    struct err e = bind_one(address, false, &fd);

    if (fd >= 0)
        close(fd);
    return e;
}

struct err listener_address(int fd, struct sockaddr_storage *out)
{
    socklen_t len = sizeof *out;

    if (getsockname(fd, (struct sockaddr *)out, &len) != 0)
        return err_system(errno, "getsockname");
    return ERR_OK;
}

static int open_spare(void)
{
    return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static void turn_away(int fd)
{
    (void)!send(fd, busy, sizeof busy - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
    close(fd);
}

/* The lowest free number is given out, so a high one tells that few are left. */
static bool is_among_the_last(int fd)
{
    struct rlimit limit;

    return getrlimit(RLIMIT_NOFILE, &limit) == 0 && (rlim_t)fd + KEPT_FREE >= limit.rlim_cur;
}

/* Out of descriptors: the connection at the head of the queue would be reported for ever and the
 * loop would spin. It is taken with the spare descriptor and closed; its client sees the close at
 * once rather than waiting. False where another thread was quicker to take the spare one. */
static bool shed(struct listener *listener)
{
    if (listener->spare >= 0)
        close(listener->spare);
    int accepted = accept4(listener->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (accepted >= 0)
        turn_away(accepted);
    listener->spare = open_spare();
    return accepted >= 0 && listener->spare >= 0;
}

static void on_readable(uv_poll_t *poll, int status, int events);

static void hand_over(struct listener *listener, int fd)
{
    struct conn *conn = conn_accept(listener->loop, fd);

    if (conn != NULL)
        listener->accept(conn, listener->owner);
}

/* One that room was made for takes a number that others have given up: otherwise it would have one
 * of those that clients do not get. */
static void take_waiting(struct listener *listener)
{
    int fd = fcntl(listener->waiting, F_DUPFD_CLOEXEC, 0);

    if (fd >= 0 && !is_among_the_last(fd)) {
        close(listener->waiting);
        hand_over(listener, fd);
    } else {
        if (fd >= 0)
            close(fd);
        turn_away(listener->waiting);
    }
    listener->waiting = -1;
}

static void on_pause_over(struct timer *timer)
{
    struct listener *listener = container_of(timer, struct listener, pause);

    if (listener->spare < 0)
        listener->spare = open_spare();
    if (listener->waiting >= 0)
        take_waiting(listener);
    uv_poll_start(&listener->poll, UV_READABLE, on_readable);
}

static void pause_accepting(struct listener *listener, uint64_t ms)
{
    uv_poll_stop(&listener->poll);
    timer_start(listener->loop, &listener->pause, ms, on_pause_over);
}

/* False: to be continued when there is room. */
static bool take_last(struct listener *listener, int fd)
{
    if (listener->make_room == NULL || !listener->make_room(listener->owner)) {
        turn_away(fd);
        return true;
    }
    listener->waiting = fd;
    pause_accepting(listener, ROOM_MS);
    return false;
}

/* False where there is no more to be done now. */
static bool take_one(struct listener *listener)
{
    int fd = accept4(listener->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

    if (fd >= 0 && is_among_the_last(fd))
        return take_last(listener, fd);
    if (fd >= 0) {
        hand_over(listener, fd);
        return true;
    }
    switch (errno) {
    case EAGAIN:
        return false;
    case EINTR:
    case ECONNABORTED:
        return true;
    case EMFILE:
    case ENFILE:
        if (shed(listener))
            return true;
        break;
    default:
        log_failure(LOG_WARN, "accept-failed", err_system(errno, "accept"), NULL, NULL);
        break;
    }
    pause_accepting(listener, PAUSE_MS);
    return false;
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    struct listener *listener = poll->data;

    (void)events;
    if (status != 0) {
        log_failure(LOG_WARN, "accept-failed", err_system(-status, "poll"), NULL, NULL);
        pause_accepting(listener, PAUSE_MS);
        return;
    }
    for (int i = 0; i < ACCEPT_MOST && take_one(listener); i++)
        continue;
}

struct err listener_create(struct loop *loop, int fd, listener_accept *accept, void *owner,
                           struct listener **out)
{
    struct listener *listener = mem_zalloc(sizeof *listener);

    *out = NULL;
    listener->loop = loop;
    listener->accept = accept;
    listener->owner = owner;
    listener->fd = fd;
    listener->spare = open_spare();
    listener->waiting = -1;
    int rc = uv_poll_init(loop_uv(loop), &listener->poll, fd);
    if (rc != 0) {
        close(fd);
        close(listener->spare);
        free(listener);
        return err_system(-rc, "watch listener");
    }
    listener->poll.data = listener;
    rc = listen(fd, BACKLOG) == 0 ? 0 : -errno;
    if (rc == 0)
        rc = uv_poll_start(&listener->poll, UV_READABLE, on_readable);
    if (rc != 0) {
        listener_close(listener);
        return err_system(-rc, "listen");
    }
    *out = listener;
    return ERR_OK;
}

void listener_on_full(struct listener *listener, listener_make_room *make_room)
{
    listener->make_room = make_room;
}

static void on_closed(uv_handle_t *handle)
{
    struct listener *listener = handle->data;

    if (listener->spare >= 0)
        close(listener->spare);
    free(listener);
}

void listener_close(struct listener *listener)
{
    if (listener == NULL)
        return;
    timer_stop(listener->loop, &listener->pause);
    uv_poll_stop(&listener->poll);
    if (listener->waiting >= 0)
        turn_away(listener->waiting);
    close(listener->fd); /* now: a client must not be queued for one that never accepts */
    uv_close((uv_handle_t *)&listener->poll, on_closed);
}
