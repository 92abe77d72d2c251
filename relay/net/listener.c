#include "net/listener.h"

#include "base/log.h"
#include "net/conn_private.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    BACKLOG = 4096, /* the kernel bounds it by net.core.somaxconn */
};

struct listener {
    uv_tcp_t tcp;
    struct loop *loop;
    listener_accept *accept;
    void *owner;
    int spare; /* a descriptor to give up when none is left: accept, close, open again */
};

static socklen_t address_len(const struct sockaddr *address)
{
    return address->sa_family == AF_INET6 ? sizeof(struct sockaddr_in6)
                                          : sizeof(struct sockaddr_in);
}

/* TCP_NODELAY is inherited by accepted sockets on Linux: one system call less for each. */
static int set_options(int fd, int family)
{
    int on = 1;

    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) != 0 ||
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0)
        return -1;
    if (family == AF_INET6)
        return setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
    return 0;
}

struct err listener_bind(const struct sockaddr *address, int *fd_out)
{
    int fd = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    *fd_out = -1;
    if (fd < 0)
        return err_system(errno, "socket");
    if (set_options(fd, address->sa_family) != 0 || bind(fd, address, address_len(address)) != 0) {
        int sys = errno;
        close(fd);
        return err_system(sys, "bind");
    }
    *fd_out = fd;
    return ERR_OK;
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

/* Out of descriptors: the connection at the head of the queue would be reported for ever and the
 * loop would spin. It is taken with the spare descriptor and closed; its client sees the close at
 * once rather than waiting. */
static void shed(struct listener *listener)
{
    uv_os_fd_t fd;

    if (listener->spare >= 0)
        close(listener->spare);
    listener->spare = -1;
    if (uv_fileno((uv_handle_t *)&listener->tcp, &fd) == 0) {
        int accepted = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (accepted >= 0) {
            static const char busy[] = "421 4.3.2 Too many connections, try again later\r\n";
            (void)!send(accepted, busy, sizeof busy - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
            close(accepted);
        }
    }
    listener->spare = open_spare();
}

static void on_connection(uv_stream_t *stream, int status)
{
    struct listener *listener = stream->data;

    if (status == UV_EMFILE || status == UV_ENFILE) {
        shed(listener);
        return;
    }
    if (status != 0) {
        log_failure(LOG_WARN, "accept-failed", err_system(-status, "accept"), NULL, NULL);
        return;
    }
    struct conn *conn = conn_accept(listener->loop, stream);
    if (conn != NULL)
        listener->accept(conn, listener->owner);
}

struct err listener_create(struct loop *loop, int fd, listener_accept *accept, void *owner,
                           struct listener **out)
{
    struct listener *listener = mem_zalloc(sizeof *listener);

    *out = NULL;
    listener->loop = loop;
    listener->accept = accept;
    listener->owner = owner;
    listener->spare = open_spare();
    uv_tcp_init(loop_uv(loop), &listener->tcp);
    listener->tcp.data = listener;
    int rc = uv_tcp_open(&listener->tcp, fd);
    if (rc == 0)
        rc = uv_listen((uv_stream_t *)&listener->tcp, BACKLOG, on_connection);
    if (rc != 0) {
        listener_close(listener);
        return err_system(-rc, "listen");
    }
    *out = listener;
    return ERR_OK;
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
    if (listener != NULL)
        uv_close((uv_handle_t *)&listener->tcp, on_closed);
}
