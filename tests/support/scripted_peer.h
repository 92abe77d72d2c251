/*
 * scripted_peer: an SMTP server for unit tests that follows a script on a thread of its own, over a
 * loopback socket with a free port.
 *
 * A script is a list of lines that ends with NULL:
 *   "S:text"   sends it                "T:text"   sends it byte by byte, one system call each
 *   "C:text"   the client sends exactly this, in one write
 *   "P:text"   the same, where text is a pattern as a shell's
 *   "!body"    the client sends exactly peer->body
 *   "!tls"     a TLS handshake         "!broken-tls"  answers the client's hello with nonsense
 *   "!accept"  waits for the client to close, then takes its next connection
 *   "!hang-up" closes this connection; "!accept" may follow
 *   "!eof"     the client closes without another byte
 *   "!drain"   reads whatever comes until the client closes
 *   "!stall"   reads nothing until scripted_peer_join
 * The first connection is taken without being told; the script's end closes. What did not go by
 * the script is told by scripted_peer_join.
 */
#ifndef SMARTHOP_TESTS_SCRIPTED_PEER_H
#define SMARTHOP_TESTS_SCRIPTED_PEER_H

#include <fnmatch.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SCRIPTED_PEER_PATIENCE_S = 20 };

struct scripted_peer {
    const char *const *script;
    const char *body;
    size_t body_len;
    SSL_CTX *tls;
    int listener;
    int fd;
    int stall[2]; /* a pipe; its closing ends the stall */
    SSL *ssl;
    struct sockaddr_in address;
    pthread_t thread;
    char problem[1024];
};

static inline void scripted_peer_problem(struct scripted_peer *p, const char *line,
                                         const char *what, const char *got, size_t len)
{
    if (p->problem[0] == '\0')
        snprintf(p->problem, sizeof p->problem, "at \"%s\": %s \"%.*s\"", line, what, (int)len,
                 got);
}

static inline void scripted_peer_hang_up(struct scripted_peer *p)
{
    SSL_free(p->ssl);
    p->ssl = NULL;
    if (p->fd >= 0)
        close(p->fd);
    p->fd = -1;
}

static inline void scripted_peer_set_patience(int fd)
{
    const struct timeval patience = {.tv_sec = SCRIPTED_PEER_PATIENCE_S};

    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
}

static inline void scripted_peer_accept(struct scripted_peer *p)
{
    int on = 1;

    scripted_peer_hang_up(p);
    p->fd = accept(p->listener, NULL, NULL);
    scripted_peer_set_patience(p->fd);
    setsockopt(p->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

static inline ssize_t scripted_peer_read(struct scripted_peer *p, char *data, size_t size)
{
    return p->ssl != NULL ? SSL_read(p->ssl, data, (int)size) : recv(p->fd, data, size, 0);
}

static inline void scripted_peer_write(struct scripted_peer *p, const char *data, size_t len)
{
    if (p->ssl != NULL)
        (void)!SSL_write(p->ssl, data, (int)len);
    else
        (void)!send(p->fd, data, len, MSG_NOSIGNAL);
}

static inline void scripted_peer_expect(struct scripted_peer *p, const char *line)
{
    const char *text = line + 2;
    char got[8192];
    ssize_t len = scripted_peer_read(p, got, sizeof got);

    if (len != (ssize_t)strlen(text) || memcmp(got, text, (size_t)len) != 0)
        scripted_peer_problem(p, line, "got", got, len > 0 ? (size_t)len : 0);
}

static inline void scripted_peer_match(struct scripted_peer *p, const char *line)
{
    char got[8192];
    ssize_t len = scripted_peer_read(p, got, sizeof got - 1);

    got[len > 0 ? len : 0] = '\0';
    if (fnmatch(line + 2, got, 0) != 0)
        scripted_peer_problem(p, line, "got", got, strlen(got));
}

static inline void scripted_peer_expect_body(struct scripted_peer *p, const char *line)
{
    static const size_t piece = 65536;
    char *got = malloc(piece);
    size_t at = 0;

    while (at < p->body_len) {
        size_t want = p->body_len - at < piece ? p->body_len - at : piece;
        ssize_t len = scripted_peer_read(p, got, want);
        if (len <= 0 || memcmp(got, p->body + at, (size_t)len) != 0) {
            scripted_peer_problem(p, line, "got otherwise", got, 0);
            break;
        }
        at += (size_t)len;
    }
    free(got);
}

static inline void scripted_peer_expect_end(struct scripted_peer *p, const char *line, bool empty)
{
    char got[4096];
    ssize_t len;

    while ((len = scripted_peer_read(p, got, sizeof got)) > 0) {
        if (empty)
            scripted_peer_problem(p, line, "got", got, (size_t)len);
    }
}

static inline void scripted_peer_secure(struct scripted_peer *p)
{
    p->ssl = SSL_new(p->tls);
    SSL_set_fd(p->ssl, p->fd);
    SSL_accept(p->ssl); /* that it failed shows in what follows */
}

static inline void scripted_peer_step(struct scripted_peer *p, const char *line)
{
    if (line[0] == 'S') {
        scripted_peer_write(p, line + 2, strlen(line + 2));
    } else if (line[0] == 'T') {
        for (const char *byte = line + 2; *byte != '\0'; byte++)
            scripted_peer_write(p, byte, 1);
    } else if (line[0] == 'C') {
        scripted_peer_expect(p, line);
    } else if (line[0] == 'P') {
        scripted_peer_match(p, line);
    } else if (strcmp(line, "!body") == 0) {
        scripted_peer_expect_body(p, line);
    } else if (strcmp(line, "!tls") == 0) {
        scripted_peer_secure(p);
    } else if (strcmp(line, "!broken-tls") == 0) {
        (void)!scripted_peer_read(p, (char[4096]){0}, 4096);
        scripted_peer_write(p, "no TLS\r\n", 8);
    } else if (strcmp(line, "!stall") == 0) {
        (void)!read(p->stall[0], &(char){0}, 1);
    } else if (strcmp(line, "!hang-up") == 0) {
        scripted_peer_hang_up(p);
    } else if (strcmp(line, "!accept") == 0) {
        if (p->fd >= 0)
            scripted_peer_expect_end(p, line, false);
        scripted_peer_accept(p);
    } else {
        scripted_peer_expect_end(p, line, strcmp(line, "!eof") == 0);
    }
}

static inline void *scripted_peer_run(void *context)
{
    struct scripted_peer *p = context;

    scripted_peer_accept(p);
    for (const char *const *line = p->script; *line != NULL && p->problem[0] == '\0'; line++)
        scripted_peer_step(p, *line);
    scripted_peer_hang_up(p);
    return NULL;
}

/* Fill script, body and tls before. Without a script nobody listens: connecting is refused. */
static inline void scripted_peer_start(struct scripted_peer *p)
{
    socklen_t len = sizeof p->address;

    p->fd = -1;
    p->address = (struct sockaddr_in){.sin_family = AF_INET};
    p->address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    p->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(p->listener, (const struct sockaddr *)&p->address, sizeof p->address) != 0)
        abort();
    scripted_peer_set_patience(p->listener);
    getsockname(p->listener, (struct sockaddr *)&p->address, &len);
    if (p->script == NULL)
        return;
    if (pipe(p->stall) != 0 || listen(p->listener, 8) != 0 ||
        pthread_create(&p->thread, NULL, scripted_peer_run, p) != 0)
        abort();
}

/* What went wrong, or "". */
static inline const char *scripted_peer_join(struct scripted_peer *p)
{
    if (p->script != NULL) {
        close(p->stall[1]);
        pthread_join(p->thread, NULL);
        close(p->stall[0]);
    }
    close(p->listener);
    return p->problem;
}

#endif
