/*
 * tls: OpenSSL contexts for both sides. A context is made once per configuration snapshot, is
 * immutable and reference-counted, and may be used by every worker at the same time.
 *
 * TLS 1.2 is the lowest floor. Renegotiation and compression are off. Server sessions are resumed
 * by tickets only; their keys change every few hours (net/tls_tickets.h), but not with a reload
 * (tls_server_create takes them over from the old context).
 */
#ifndef SMARTHOP_NET_TLS_H
#define SMARTHOP_NET_TLS_H

#include "base/err.h"
#include "base/span.h"

struct ssl_ctx_st;
struct ssl_st;
struct ssl_session_st;

struct tls_certificate_files {
    const char *server_name; /* exact, or "*.domain"; NULL = for all others */
    const char *certificate; /* PEM, with its chain */
    const char *key;         /* PEM */
};

struct tls_clients;

/* That a listener asks its clients for certificates: net/tls_clients.h. */
struct tls_listener {
    const char *name;
    const char *authorities; /* PEM; NULL = none */
};

enum tls_floor { TLS_FLOOR_1_2, TLS_FLOOR_1_3 };

struct tls_server;

/* NULL and 0 stand for OpenSSL's own choice, or for nothing. */
struct tls_server_options {
    const struct tls_certificate_files *files; /* the first is the default certificate */
    unsigned count;
    const struct tls_listener *listeners; /* that ask for certificates */
    unsigned listener_count;
    enum tls_floor floor;
    const char *ciphers;          /* of TLS 1.2, in OpenSSL's notation */
    const char *cipher_suites;    /* of TLS 1.3, likewise */
    const struct tls_server *old; /* its tickets go on being taken */
};

/* On failure `problem` (a few hundred bytes at most) says which file or key it is, and why. */
struct err tls_server_create(const struct tls_server_options *options, char *problem,
                             size_t problem_size, struct tls_server **out);
struct tls_server *tls_server_ref(struct tls_server *server);
void tls_server_unref(struct tls_server *server);
/* NULL: this listener does not ask for certificates. Lives as long as the server. */
const struct tls_clients *tls_server_clients(const struct tls_server *server, const char *listener);

/* When the certificate `files[number]` ends, in milliseconds since 1970; UINT64_MAX = not known. */
uint64_t tls_server_expires(const struct tls_server *server, unsigned number);

enum tls_verify {
    TLS_VERIFY_NONE, /* opportunistic: any certificate will do; what it is worth is told */
    TLS_VERIFY_NAME, /* a valid chain to a known root, and the host's name in the certificate */
};

struct tls_client;

struct err tls_client_create(struct tls_client **out);
struct tls_client *tls_client_ref(struct tls_client *client);
void tls_client_unref(struct tls_client *client);

/* For net/conn.c: one connection's SSL object. */
struct ssl_st *tls_server_new_ssl(struct tls_server *server, const struct tls_clients *clients);
struct ssl_st *tls_client_new_ssl(struct tls_client *client, const char *host,
                                  enum tls_verify verify, struct ssl_session_st *resume);

/* A session to resume later, kept by whoever owns the destination; counted. NULL is allowed. */
struct ssl_session_st *tls_session_ref(struct ssl_session_st *session);
void tls_session_free(struct ssl_session_st *session);

enum { TLS_ERROR_TEXT_SIZE = 160 };
/* Takes OpenSSL's error queue apart into one line; leaves the queue empty. */
void tls_error_text(char *text, size_t size);

#endif
