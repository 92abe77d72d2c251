/*
 * tap: a live look at the sessions of the clients of one network, or of those of this machine that
 * come by its sockets. The servers of all workers write
 * lines into it, one reader on another loop takes them. It never holds a session up: lines for
 * which there is no room are counted as lost.
 *
 * Counted; whoever holds a reference may be on any thread.
 */
#ifndef SMARTHOP_RECEIVE_TAP_H
#define SMARTHOP_RECEIVE_TAP_H

#include "base/buf.h"
#include "base/loop.h"
#include "proto/ip.h"

enum {
    TAP_BYTES_MAX = 131072, /* of lines that the reader has not taken */
    TAP_LINE_MAX = 1024,    /* bytes of a line; longer ones are cut */
};

struct tap;

/* A network of family AF_UNIX stands for the clients of the local sockets. `ready` runs on `home`
 * when there are lines where there were none after the last tap_take. */
struct tap *tap_create(const struct ip_network *network, struct loop *home,
                       void (*ready)(void *context), void *context);
struct tap *tap_ref(struct tap *tap);
void tap_unref(struct tap *tap);
/* On home: `ready` does not run any more. */
void tap_close(struct tap *tap);

bool tap_matches(const struct tap *tap, const struct sockaddr *client);

struct tap_line {
    uint64_t wall_ms;
    uint64_t session;
    struct span client; /* "[192.0.2.1]" */
    struct span text;   /* printable ASCII; other bytes as \xHH, "\" as "\\" */
};

/* Any thread; what the line points to is copied, and its text escaped. */
void tap_add(struct tap *tap, const struct tap_line *line);
/* What has gathered, in a buffer for the caller to release; returns how many lines behind it were
 * lost. */
uint64_t tap_take(struct tap *tap, struct buf *out);
/* The next of the lines taken; its spans point into *rest, which moves on. */
bool tap_next(struct span *rest, struct tap_line *out);

#endif
