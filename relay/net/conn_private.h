/* What the files of net/ share about a conn; nobody else includes it. */
#ifndef SMARTHOP_NET_CONN_PRIVATE_H
#define SMARTHOP_NET_CONN_PRIVATE_H

#include "base/buf.h"
#include "net/conn.h"
#include "net/tls_io.h"

#include <uv.h>

/* A write that the socket did not take at once. */
struct pending_write {
    uv_write_t req;
    struct buf data;
};

struct conn_tls {
    SSL *ssl;
    struct tls_io io;
    struct buf kept; /* ciphertext that arrived while the owner had paused */
    bool secured;
};

struct conn_squeeze;

struct conn {
    uv_tcp_t tcp;
    struct loop *loop;
    conn_handler *handler;
    void *owner;
    struct span view; /* bytes just read, in a buffer that is about to be reused */
    struct buf in;    /* what the owner left of them */
    struct buf out;   /* gathered plain text */
    struct buf wire;  /* bytes for the socket, in order */
    struct pending_write *pending;
    struct conn_tls *tls;
    struct conn_squeeze *squeeze; /* NULL = nothing is compressed */
    struct timer deadline;
    struct call later; /* flush, and tell again, at the end of the round */
    size_t input_max;
    size_t output_high;
    uint64_t received;              /* plain text */
    struct sockaddr_storage *local; /* asked for once, when wanted */
    struct sockaddr_in6 peer;       /* large enough for both families */
    struct err error;
    char *error_text;
    bool connected;
    bool reading;
    bool paused;
    bool full;   /* reading stopped because the input buffer is */
    bool retell; /* CONN_INPUT is owed */
    bool congested;
    bool eof;
    bool finishing;
    bool lingering;
    bool failed;
    bool closing;
};

/* conn.c. Takes over an accepted connection; NULL where it has gone again. */
struct conn *conn_accept(struct loop *loop, int fd);
void conn_tell(struct conn *c, enum conn_event event);
/* Bytes that have arrived, without TLS, in a buffer about to be reused. */
void conn_tell_input(struct conn *c, struct span fresh);
/* Shows the owner what is in them, and keeps what it leaves. */
void conn_tell_plain(struct conn *c, struct span fresh);
/* Told once. A conn that is finishing has an owner that no longer cares: it just closes. */
void conn_fail(struct conn *c, struct err e, const char *text);
/* Flushes, and goes on with what waits, at the end of the round. */
void conn_later(struct conn *c);

/* conn_tls.c. Feeds ciphertext to OpenSSL and hands on what comes out, as far as the owner takes
 * it. What is left when it pauses waits, and goes on with an empty span. */
void conn_tls_pump(struct conn *c, struct span ciphertext);
bool conn_tls_has_waiting(const struct conn *c);
/* Gathered plain text becomes ciphertext for the wire. */
void conn_tls_encrypt(struct conn *c);
/* Says goodbye behind what was gathered. */
void conn_tls_finish(struct conn *c);
void conn_tls_free(struct conn *c);

/* conn_squeeze.c, likewise: compressed bytes to the owner; what was gathered, compressed. */
void conn_squeeze_pump(struct conn *c, struct span packed);
bool conn_squeeze_has_waiting(const struct conn *c);
void conn_squeeze_output(struct conn *c);
void conn_squeeze_free(struct conn *c);

#endif
