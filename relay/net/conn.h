/*
 * conn: one TCP or TLS stream on a loop, with bounded buffers, water marks and a deadline.
 *
 * Everything that happens is told to one handler, as an event. All functions run on the conn's
 * loop. Nothing is told from within a conn_* call: events come later, from the loop.
 *
 * Reading: bytes that have arrived are seen through conn_input and taken by conn_consume. An idle
 * conn holds no buffer: bytes are read into the loop's scratch buffer, and only what the handler
 * leaves is kept. When `input_max` bytes wait, reading stops until some are consumed.
 *
 * Writing: conn_write gathers; everything gathered within one round of the loop leaves in one
 * system call (or one TLS record run) at its end. Past `output_high` bytes conn_is_congested is
 * true and the owner should stop producing; CONN_DRAINED tells when it has fallen to a quarter.
 *
 * A conn is always ended by conn_close (or conn_finish); CONN_CLOSED then comes exactly once, is
 * the last event, and the conn's memory is gone when its handler returns.
 */
#ifndef SMARTHOP_NET_CONN_H
#define SMARTHOP_NET_CONN_H

#include "base/err.h"
#include "base/loop.h"
#include "base/span.h"
#include "net/tls.h"
#include "net/tls_peer.h"

#include <netinet/in.h>

struct conn;

enum conn_event {
    CONN_CONNECTED, /* conn_connect succeeded */
    CONN_SECURED,   /* a TLS handshake is done */
    CONN_INPUT,     /* conn_input has (more) bytes */
    CONN_DRAINED,   /* output has fallen below the low-water mark after congestion */
    CONN_EOF,       /* the peer will send no more; what it sent before was told */
    CONN_DEADLINE,  /* the deadline has passed; it is disarmed */
    CONN_FAILED,    /* connecting, reading, writing or TLS failed: conn_error says how */
    CONN_CLOSED,    /* the end */
};

typedef void conn_handler(struct conn *conn, enum conn_event event, void *owner);

struct conn_options {
    size_t input_max;   /* bytes waiting to be consumed; 0 = 64 KiB */
    size_t output_high; /* bytes waiting to be written; 0 = 64 KiB */
    conn_handler *handler;
    void *owner;
};

/* Starts connecting to an IP address or a Unix socket. `local` (NULL = any) is the source address.
 * CONN_CONNECTED or CONN_FAILED follows, unless a deadline is set and passes first. */
struct conn *conn_connect(struct loop *loop, const struct sockaddr *peer,
                          const struct sockaddr *local, const struct conn_options *options);

/* Changes who is told, e.g. when an idle connection is taken from a pool. */
void conn_set_owner(struct conn *conn, conn_handler *handler, void *owner);

struct span conn_input(const struct conn *conn);
void conn_consume(struct conn *conn, size_t len);
/* Bytes told so far, of plain text. */
uint64_t conn_received(const struct conn *conn);
/* The most that conn_input can hold; it may grow only before a large read is expected. */
void conn_set_input_max(struct conn *conn, size_t max);
/* Stops and resumes reading from the socket, for back-pressure. Resuming tells CONN_INPUT anew
 * when bytes are waiting. */
void conn_pause(struct conn *conn);
void conn_resume(struct conn *conn);

void conn_write(struct conn *conn, struct span bytes);
/* The buffer that conn_write appends to, for writers that format in place; call conn_written
 * after adding to it. */
struct buf *conn_output(struct conn *conn);
void conn_written(struct conn *conn);
size_t conn_unsent(const struct conn *conn);
bool conn_is_congested(const struct conn *conn);

/* One deadline a conn: CONN_DEADLINE in `ms` unless it is moved or disarmed (0) before. */
void conn_deadline(struct conn *conn, uint64_t ms);

/* Starts a TLS handshake; CONN_SECURED or CONN_FAILED follows. What was received in plain text and
 * not consumed is discarded: it must not be taken for something said under TLS (CVE-2011-0411).
 * Returns how many such bytes there were. Output gathered before leaves in plain text first. The
 * client is asked for a certificate where `clients` is not NULL. */
size_t conn_start_tls_server(struct conn *conn, struct tls_server *server,
                             const struct tls_clients *clients);
/* The same at the very start of a connection, where what has been received is the beginning of the
 * handshake. */
void conn_continue_tls_server(struct conn *conn, struct tls_server *server,
                              const struct tls_clients *clients);
size_t conn_start_tls_client(struct conn *conn, struct tls_client *client, const char *host,
                             enum tls_verify verify, struct ssl_session_st *resume);

/* From here on all is compressed, both ways (raw DEFLATE, RFC 4978): what was gathered leaves as it
 * is, and what was received and not consumed is taken for compressed. Once; costs some 100 KiB. */
void conn_compress(struct conn *conn);

/* Closes at once; unsent output is lost. */
void conn_close(struct conn *conn);
/* Sends what was gathered (bounded by a few seconds), shuts down, closes. */
void conn_finish(struct conn *conn);

bool conn_is_closing(const struct conn *conn);
struct err conn_error(const struct conn *conn);
/* For CONN_FAILED: one line for people, also for TLS failures; never NULL. */
const char *conn_error_text(const struct conn *conn);
/* Of a Unix socket only the family. */
const struct sockaddr *conn_peer(const struct conn *conn);
const struct sockaddr *conn_local(const struct conn *conn);

struct conn_tls_info {
    bool active;
    bool resumed;
    const char *version; /* "TLSv1.3" */
    const char *cipher;
    int bits;
    bool verified;           /* client side: chain and name are good */
    const char *server_name; /* server side: SNI as it came; NULL = none */
};
void conn_tls_info(const struct conn *conn, struct conn_tls_info *out);
/* While CONN_SECURED is told: whether the peer has sent more behind its handshake. False without
 * TLS. */
bool conn_tls_has_more(const struct conn *conn);
/* The certificate that the peer has shown, for the caller to free; NULL = none, or no TLS yet. */
struct tls_peer *conn_tls_peer(const struct conn *conn);
enum conn_binding {
    CONN_BINDING_EXPORTER, /* RFC 9266; TLS 1.3 */
    CONN_BINDING_UNIQUE,   /* RFC 5929; TLS 1.2 with the extended master secret */
};
/* Channel binding data in `room`, which the span returned lies in; empty where this connection has
 * none of the kind. */
struct span conn_tls_binding(const struct conn *conn, enum conn_binding kind, unsigned char *room,
                             size_t size);
/* A client's session for resumption, or NULL; the caller owns it. */
struct ssl_session_st *conn_tls_session(const struct conn *conn);

#endif
