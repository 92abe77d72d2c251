/* What listener.c needs of conn.c; nobody else includes it. */
#ifndef SMARTHOP_NET_CONN_PRIVATE_H
#define SMARTHOP_NET_CONN_PRIVATE_H

#include "net/conn.h"

#include <uv.h>

/* Accepts the connection that `server` has announced; NULL where it has gone again. */
struct conn *conn_accept(struct loop *loop, uv_stream_t *server);

#endif
