/*
 * tls_peer: what the certificate of a client says of it. Read once, when the handshake is done;
 * does not change from then on, and belongs to who has asked for it. Not thread-safe.
 *
 * Names are as they stand in the certificate: whoever made that may have written any bytes, also
 * NULs. Only `name` is meant to be shown.
 */
#ifndef SMARTHOP_NET_TLS_PEER_H
#define SMARTHOP_NET_TLS_PEER_H

#include "base/arena.h"
#include "base/fingerprint.h"

struct x509_st;

enum { TLS_PEER_NAME_SIZE = 65 };

struct tls_peer {
    struct fingerprint fingerprint;
    bool verified;       /* it comes from one of the authorities that the listener knows */
    const char *problem; /* why it does not; static, "ok" where it does */
    /* The common name, or else the first alternative name, as tls_name_clean writes it. */
    char name[TLS_PEER_NAME_SIZE];
    struct span *hosts; /* the alternative names that are a dNSName */
    unsigned host_count;
    struct span *mailboxes; /* that are an rfc822Name */
    unsigned mailbox_count;
    struct arena arena;
};

/* Only reads the certificate; NULL where it has no encoding to be known by. What has been found of
 * its chain is told by `verify_result`, which is OpenSSL's X509_V_. */
struct tls_peer *tls_peer_create(const struct x509_st *certificate, long verify_result);
/* NULL is let be. */
void tls_peer_free(struct tls_peer *peer);

/* The certificate names this very host, in any case of letters. A wildcard in it names no host. */
bool tls_peer_has_host(const struct tls_peer *peer, struct span host);

#endif
