/*
 * local: a server on a Unix-domain socket, for programs of this machine. The peer writes a line,
 * the owner answers it, and only when the answer has left is the next line told: what a peer can
 * make us hold is one line and one answer. Idle peers and peers that do not read are closed.
 *
 * A long answer goes out in pieces, a stream: the next is written when the last has left.
 *
 * All functions are for the loop's thread.
 */
#ifndef SMARTHOP_NET_LOCAL_H
#define SMARTHOP_NET_LOCAL_H

#include "base/err.h"
#include "base/loop.h"
#include "base/span.h"

#include <sys/types.h>

enum {
    LOCAL_LINE_MAX = 65536, /* with its LF */
    LOCAL_PEERS_MAX = 64,
};

struct local_server;
struct local_peer;

struct local_options {
    /* A line, without its end; it lives during the call. Must be answered once, at once or later,
     * also when the peer or the server has been closed meanwhile. */
    void (*line)(struct local_peer *peer, struct span line, void *owner);
    /* After local_close: the last call, when every line has been answered. */
    void (*closed)(void *owner);
    struct span too_long; /* what a peer is told before it is closed for a line without end */
    uint64_t idle_ms;     /* without a line, or without reading its answer */
    void *owner;
};

/* A bound stream socket at `path`. It is made with mode 0600 and then given `mode`. A socket that
 * nobody answers on is replaced. Errors as of local_listen. */
struct err local_bind(const char *path, mode_t mode, int *fd_out);

/* Binds with mode 0600 and listens. A socket that nobody answers on is replaced. ERR_CONFLICT:
 * somebody does answer, or `path` is no socket; ERR_INVALID: it is too long for one. */
struct err local_listen(struct loop *loop, const char *path, const struct local_options *options,
                        struct local_server **out);
/* Removes the socket and closes the peers; frees itself behind options.closed. */
void local_close(struct local_server *server);

/* The peer is not the caller's any more. Ends a stream, too: then not while a piece is leaving. */
void local_answer(struct local_peer *peer, struct span bytes);

/* An answer in pieces, embedded in its owner. Both are told from the loop. */
struct local_stream {
    /* The piece that was written has left. */
    void (*drained)(struct local_stream *stream);
    /* The peer is closed: nothing more is drained, and local_answer is all that is left to do. */
    void (*gone)(struct local_stream *stream);
    bool is_endless; /* a peer that sends no more wants no more */
};
/* Instead of answering: begins. */
void local_stream(struct local_peer *peer, struct local_stream *stream);
/* Not while a piece is leaving. */
void local_write(struct local_peer *peer, struct span bytes);

#endif
