/*
 * stream: a non-blocking TCP socket that may speak TLS, for edge-triggered epoll.
 *
 * Used by the load generator and the sink. It buffers nothing: callers keep what a short write
 * leaves over.
 */
#ifndef SMARTHOP_TESTS_STREAM_H
#define SMARTHOP_TESTS_STREAM_H

#include <errno.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

/* Results below zero; zero is the end of the stream. */
#define STREAM_AGAIN  (-1)
#define STREAM_BROKEN (-2)

#define STREAM_EVENTS (EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET)

struct stream {
    int fd;
    SSL *ssl;         /* NULL while plain */
    bool handshaking; /* nothing but stream_handshake may be called */
};

static inline bool stream_hung_up(uint32_t events)
{
    return events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR);
}

static inline void stream_no_delay(int fd)
{
    int on = 1;

    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

static inline void stream_watch(const struct stream *s, int epoll, void *owner)
{
    struct epoll_event event = {.events = STREAM_EVENTS, .data.ptr = owner};

    epoll_ctl(epoll, EPOLL_CTL_ADD, s->fd, &event);
}

static inline long stream_tls_result(struct stream *s, int result)
{
    int error = SSL_get_error(s->ssl, result);

    if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE)
        return STREAM_AGAIN;
    ERR_clear_error();
    return error == SSL_ERROR_ZERO_RETURN ? 0 : STREAM_BROKEN;
}

static inline void stream_start_tls(struct stream *s, SSL_CTX *context, bool accepting)
{
    s->ssl = SSL_new(context);
    SSL_set_fd(s->ssl, s->fd);
    if (accepting)
        SSL_set_accept_state(s->ssl);
    else
        SSL_set_connect_state(s->ssl);
    s->handshaking = true;
}

/* 1 done, STREAM_AGAIN or STREAM_BROKEN. */
static inline long stream_handshake(struct stream *s)
{
    int result = SSL_do_handshake(s->ssl);

    if (result == 1) {
        s->handshaking = false;
        return 1;
    }
    return stream_tls_result(s, result) == STREAM_AGAIN ? STREAM_AGAIN : STREAM_BROKEN;
}

static inline long stream_read(struct stream *s, char *data, size_t room)
{
    if (s->ssl) {
        int count = SSL_read(s->ssl, data, (int)room);
        return count > 0 ? count : stream_tls_result(s, count);
    }
    ssize_t count = recv(s->fd, data, room, 0);
    if (count >= 0)
        return count;
    return errno == EAGAIN || errno == EINTR ? STREAM_AGAIN : STREAM_BROKEN;
}

/* A plain socket that gave less than asked for has no more for now, and will report again; one
 * that has hung up will not. This saves the read that would only say EAGAIN. */
static inline bool stream_drained(const struct stream *s, long count, size_t room, uint32_t events)
{
    return !s->ssl && (size_t)count < room && !stream_hung_up(events);
}

/* `more`: further bytes follow at once, so that the kernel need not send what it has. */
static inline long stream_write(struct stream *s, const char *data, size_t len, bool more)
{
    if (s->ssl) {
        int count = SSL_write(s->ssl, data, (int)(len < INT32_MAX ? len : INT32_MAX));
        return count > 0 ? count : stream_tls_result(s, count);
    }
    ssize_t count = send(s->fd, data, len, MSG_NOSIGNAL | (more ? MSG_MORE : 0));
    if (count >= 0)
        return count;
    return errno == EAGAIN || errno == EINTR ? STREAM_AGAIN : STREAM_BROKEN;
}

static inline void stream_close(struct stream *s)
{
    if (s->ssl) {
        /* A session that was not shut down may not be resumed. */
        SSL_set_shutdown(s->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
        SSL_free(s->ssl);
    }
    if (s->fd >= 0)
        close(s->fd);
    *s = (struct stream){.fd = -1};
}

static inline void stream_tls_modes(SSL_CTX *context)
{
    SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                  SSL_MODE_RELEASE_BUFFERS);
}

#endif
