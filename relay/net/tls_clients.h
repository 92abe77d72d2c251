/*
 * tls_clients: how a listener asks its clients for certificates. Made with a tls_server, which owns
 * it; immutable, for every worker at the same time.
 *
 * No handshake fails for what a client shows or does not show: who uses the connection decides what
 * that is worth (tls_peer.h). That the client has the key of the certificate is proven in any case.
 * Sessions are not resumed at such a listener: each connection shows its certificate, and it is
 * verified, anew.
 */
#ifndef SMARTHOP_NET_TLS_CLIENTS_H
#define SMARTHOP_NET_TLS_CLIENTS_H

#include "base/err.h"

#include <stddef.h>

struct ssl_st;
struct tls_clients;

/* `authorities` is a PEM file: each certificate in it is one to trust, be it a root or not; where
 * it has revocation lists, certificates must be covered by one. NULL: none is trusted. On failure
 * `problem` tells the file and why, as tls_server_create does. */
struct err tls_clients_create(const char *authorities, char *problem, size_t problem_size,
                              struct tls_clients **out);
/* NULL is let be. */
void tls_clients_free(struct tls_clients *clients);

/* For net/tls.c: before the handshake, and again when that has changed the SSL's context. */
void tls_clients_ask(const struct tls_clients *clients, struct ssl_st *ssl);

#endif
