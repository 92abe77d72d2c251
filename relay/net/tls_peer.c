#include "net/tls_peer.h"

#include "base/memory.h"
#include "net/tls_name.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdlib.h>

static struct span span_of_string(const ASN1_STRING *string)
{
    return span_of((const char *)ASN1_STRING_get0_data(string), (size_t)ASN1_STRING_length(string));
}

static void take_names(struct tls_peer *peer, const GENERAL_NAMES *names)
{
    unsigned count = (unsigned)sk_GENERAL_NAME_num(names);

    peer->hosts = arena_alloc(&peer->arena, count * sizeof *peer->hosts);
    peer->mailboxes = arena_alloc(&peer->arena, count * sizeof *peer->mailboxes);
    for (unsigned i = 0; i < count; i++) {
        int type;
        const void *value = GENERAL_NAME_get0_value(sk_GENERAL_NAME_value(names, (int)i), &type);
        if (type == GEN_DNS)
            peer->hosts[peer->host_count++] = arena_dup(&peer->arena, span_of_string(value));
        else if (type == GEN_EMAIL)
            peer->mailboxes[peer->mailbox_count++] = arena_dup(&peer->arena, span_of_string(value));
    }
}

/* The last one: the most specific (RFC 6125 1.8). False where there is none. */
static bool take_common_name(struct tls_peer *peer, const X509_NAME *subject)
{
    unsigned char *utf8 = NULL;
    int at = -1;

    for (int i = -1; (i = X509_NAME_get_index_by_NID(subject, NID_commonName, i)) >= 0;)
        at = i;
    if (at < 0)
        return false;
    int len =
        ASN1_STRING_to_UTF8(&utf8, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
    if (len > 0)
        tls_name_clean(span_of((const char *)utf8, (size_t)len), peer->name, sizeof peer->name);
    OPENSSL_free(utf8);
    return len > 0;
}

struct tls_peer *tls_peer_create(const X509 *certificate, long verify_result)
{
    struct fingerprint fingerprint;

    if (X509_digest(certificate, EVP_sha256(), fingerprint.bytes, NULL) != 1) {
        ERR_clear_error();
        return NULL;
    }
    struct tls_peer *peer = mem_zalloc(sizeof *peer);
    arena_init(&peer->arena);
    peer->fingerprint = fingerprint;
    peer->verified = verify_result == X509_V_OK;
    peer->problem = X509_verify_cert_error_string(verify_result);
    GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
    if (names != NULL)
        take_names(peer, names);
    GENERAL_NAMES_free(names);
    if (!take_common_name(peer, X509_get_subject_name(certificate))) {
        struct span first = peer->host_count > 0      ? peer->hosts[0]
                            : peer->mailbox_count > 0 ? peer->mailboxes[0]
                                                      : SPAN_NONE;
        tls_name_clean(first, peer->name, sizeof peer->name);
    }
    ERR_clear_error();
    return peer;
}

void tls_peer_free(struct tls_peer *peer)
{
    if (peer == NULL)
        return;
    arena_fini(&peer->arena);
    free(peer);
}

bool tls_peer_has_host(const struct tls_peer *peer, struct span host)
{
    for (unsigned i = 0; i < peer->host_count; i++)
        if (span_equal_nocase(peer->hosts[i], host))
            return true;
    return false;
}
