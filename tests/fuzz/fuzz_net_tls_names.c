/* Names in TLS. A first line is what a server is configured for, a second what a client asks for;
 * what follows is a client's certificate (DER). No name matches what it is not, and what is shown
 * of a certificate is clean. */
#include "net/tls_name.h"
#include "net/tls_peer.h"
#include "tests/support/fuzz.h"

#include <openssl/x509.h>

static void check_clean(const char *text, size_t size)
{
    MUST(memchr(text, '\0', size) != NULL);
    for (; *text != '\0'; text++)
        MUST(*text >= ' ' && *text < 0x7f && strchr("\"\\()<>;", *text) == NULL);
}

static void check_names(struct span pattern, struct span name)
{
    char text[64];
    bool matches = tls_name_matches(pattern, name);

    if (pattern.len > 1 && pattern.ptr[0] == '*')
        MUST(!matches || (span_ends_nocase(name, span_from(pattern, 1)) && name.ptr[0] != '.'));
    else
        MUST(matches == span_equal_nocase(pattern, name));
    tls_name_clean(name, text, sizeof text);
    check_clean(text, sizeof text);
    MUST(strlen(text) == (name.len < sizeof text ? name.len : sizeof text - 1));
}

static void check_certificate(struct span der, struct span name)
{
    const unsigned char *at = (const unsigned char *)der.ptr;
    X509 *certificate = d2i_X509(NULL, &at, (long)der.len);

    if (certificate == NULL)
        return;
    struct tls_peer *peer = tls_peer_create(certificate, X509_V_OK);
    MUST(peer != NULL);
    check_clean(peer->name, sizeof peer->name);
    for (unsigned i = 0; i < peer->host_count; i++)
        MUST(tls_peer_has_host(peer, peer->hosts[i]) && peer->hosts[i].len <= der.len);
    for (unsigned i = 0; i < peer->mailbox_count; i++)
        MUST(peer->mailboxes[i].len <= der.len);
    bool found = false;
    for (unsigned i = 0; i < peer->host_count; i++)
        found = found || span_equal_nocase(peer->hosts[i], name);
    MUST(tls_peer_has_host(peer, name) == found);
    tls_peer_free(peer);
    X509_free(certificate);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span rest;
    struct span pattern = span_split(span_of((const char *)data, size), '\n', &rest);
    struct span name = span_split(rest, '\n', &rest);

    check_names(pattern, name);
    check_certificate(rest, name);
    return 0;
}
