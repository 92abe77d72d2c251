/*
 * smtp_talk: an SMTP client for tests of our server, on the loop that the server runs on. It
 * follows a script, a list of lines that ends with NULL: "C:text"  sends text and CRLF "R:text"
 * sends text as it is "S:text"  the next whole reply's last line begins with text
 *   "!tls"    a TLS handshake          "!shut"   sends no more, but reads
 *   "!eof"    the server closes, without a further byte
 *   "!close"  closes
 */
#ifndef SMARTHOP_TESTS_SMTP_TALK_H
#define SMARTHOP_TESTS_SMTP_TALK_H

#include "base/buf.h"
#include "support/loop_turn.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <unistd.h>

struct talk {
    struct loop *loop;
    int fd;
    SSL *ssl;
    struct buf in;
    bool eof;
};

static inline void talk_connect(struct talk *t, struct loop *loop, const struct sockaddr *address)
{
    *t = (struct talk){.loop = loop, .fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    buf_init(&t->in, 0);
    assert_int_equal(connect(t->fd, address, sizeof(struct sockaddr_in)), 0);
    fcntl(t->fd, F_SETFL, O_NONBLOCK);
}

static inline void talk_close(struct talk *t)
{
    SSL_free(t->ssl);
    t->ssl = NULL;
    if (t->fd >= 0)
        close(t->fd);
    t->fd = -1;
    buf_fini(&t->in);
}

/* Takes what has come. Always true, to stand in a condition. */
static inline bool talk_pull(struct talk *t)
{
    char bytes[65536];
    ssize_t len;

    while (!t->eof) {
        len = t->ssl ? SSL_read(t->ssl, bytes, sizeof bytes) : recv(t->fd, bytes, sizeof bytes, 0);
        if (len > 0) {
            buf_add(&t->in, span_of(bytes, (size_t)len));
            continue;
        }
        bool again = t->ssl ? SSL_get_error(t->ssl, (int)len) == SSL_ERROR_WANT_READ
                            : len < 0 && (errno == EAGAIN || errno == EINTR);
        t->eof = !again;
        break;
    }
    return true;
}

static inline bool talk_push(struct talk *t, struct span *rest)
{
    ssize_t len;

    len = t->ssl ? SSL_write(t->ssl, rest->ptr, (int)rest->len)
                 : send(t->fd, rest->ptr, rest->len, MSG_NOSIGNAL);
    if (len > 0)
        *rest = span_from(*rest, (size_t)len);
    return rest->len == 0 || (len < 0 && !t->ssl && errno != EAGAIN);
}

static inline void talk_send(struct talk *t, struct span bytes)
{
    if (bytes.len > 0)
        TURN_UNTIL(t->loop, talk_push(t, &bytes));
}

/* Length of the whole reply in front, 0 where there is none yet; *last_out is its last line. */
static inline size_t talk_reply(const struct talk *t, struct span *last_out)
{
    struct span all = buf_span(&t->in), rest = all;

    while (span_index(rest, '\n') < rest.len) {
        struct span line = span_split(rest, '\n', &rest);
        *last_out = span_head(line, line.len - 1);
        if (line.len >= 4 && line.ptr[3] == ' ')
            return all.len - rest.len;
    }
    return 0;
}

/* Waits for one reply; `text_out`, if not NULL, gets all of it. */
static inline void talk_expect_all(struct talk *t, const char *begins, struct buf *text_out)
{
    struct span last = SPAN_NONE;
    size_t len;

    TURN_UNTIL(t->loop, talk_pull(t) && ((len = talk_reply(t, &last)) > 0 || t->eof));
    if (len == 0 || !span_starts_nocase(last, span_cstr(begins)))
        fail_msg("wanted \"%s\", got \"%.*s\"%s", begins, (int)buf_len(&t->in),
                 buf_span(&t->in).ptr, t->eof ? " and the end" : "");
    if (text_out != NULL)
        buf_add(text_out, span_head(buf_span(&t->in), len));
    buf_consume(&t->in, len);
}

static inline void talk_expect(struct talk *t, const char *begins)
{
    talk_expect_all(t, begins, NULL);
}

static inline void talk_expect_end(struct talk *t)
{
    TURN_UNTIL(t->loop, talk_pull(t) && t->eof);
    if (buf_len(&t->in) > 0)
        fail_msg("wanted the end, got \"%.*s\"", (int)buf_len(&t->in), buf_span(&t->in).ptr);
}

static inline bool talk_handshake(struct talk *t)
{
    return SSL_do_handshake(t->ssl) == 1;
}

static inline void talk_secure(struct talk *t)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());

    t->ssl = SSL_new(ctx);
    SSL_CTX_free(ctx);
    SSL_set_fd(t->ssl, t->fd);
    SSL_set_connect_state(t->ssl);
    TURN_UNTIL(t->loop, talk_handshake(t));
}

static inline void talk_step(struct talk *t, const char *line)
{
    if (line[0] == 'C') {
        struct buf text;
        buf_init(&text, 0);
        buf_addf(&text, "%s\r\n", line + 2);
        talk_send(t, buf_span(&text));
        buf_fini(&text);
    } else if (line[0] == 'R') {
        talk_send(t, span_cstr(line + 2));
    } else if (line[0] == 'S') {
        talk_expect(t, line + 2);
    } else if (strcmp(line, "!tls") == 0) {
        talk_secure(t);
    } else if (strcmp(line, "!shut") == 0) {
        shutdown(t->fd, SHUT_WR);
    } else if (strcmp(line, "!eof") == 0) {
        talk_expect_end(t);
    } else if (strcmp(line, "!close") == 0) {
        talk_close(t);
    } else {
        fail_msg("\"%s\" is no line of a script", line);
    }
}

static inline void talk_follow(struct talk *t, const char *const *script)
{
    for (; *script != NULL; script++)
        talk_step(t, *script);
}

#endif
