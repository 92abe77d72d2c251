/*
 * listener: accepts connections on one address for one worker. Each worker has a listener of its
 * own on the same address (SO_REUSEPORT), and the kernel spreads the connections.
 */
#ifndef SMARTHOP_NET_LISTENER_H
#define SMARTHOP_NET_LISTENER_H

#include "net/conn.h"

struct listener;

/* A new connection: the callee gives it a handler with conn_set_owner at once, or conn_close. */
typedef void listener_accept(struct conn *conn, void *owner);

/* No descriptor is left for a connection that has come. True where one will be at the end of this
 * round; otherwise it is turned away. */
typedef bool listener_make_room(void *owner);

/* A bound socket with SO_REUSEPORT, made before privileges are dropped; port 0 takes a free one.
 * `*fd_out` belongs to the caller until listener_create. */
struct err listener_bind(const struct sockaddr *address, int *fd_out);
/* Whether somebody listens there already (EADDRINUSE): another server of the same user would share
 * the port without a word, and take its part of the connections. Before the first listener_bind of
 * the address. */
struct err listener_probe(const struct sockaddr *address);
/* The address that a bound socket has. */
struct err listener_address(int fd, struct sockaddr_storage *out);

/* Takes over `fd` and begins to accept on `loop`. On its loop, or before that runs. */
struct err listener_create(struct loop *loop, int fd, listener_accept *accept, void *owner,
                           struct listener **out);
/* Without it none is asked. */
void listener_on_full(struct listener *listener, listener_make_room *make_room);
/* Stops accepting; frees itself when the loop has let go of the handle. */
void listener_close(struct listener *listener);

#endif
