#include "net/tls_tickets.h"

#include "base/clock.h"
#include "base/memory.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

struct kept {
    bool is_there;
    uint64_t made;
    struct tls_ticket_key key;
};

struct tls_tickets {
    atomic_uint references;
    pthread_mutex_t lock;
    struct kept newest; /* under lock */
    struct kept former; /* likewise */
};

struct tls_tickets *tls_tickets_create(void)
{
    struct tls_tickets *tickets = mem_zalloc(sizeof *tickets);

    atomic_init(&tickets->references, 1);
    pthread_mutex_init(&tickets->lock, NULL);
    return tickets;
}

struct tls_tickets *tls_tickets_ref(struct tls_tickets *tickets)
{
    atomic_fetch_add(&tickets->references, 1);
    return tickets;
}

void tls_tickets_unref(struct tls_tickets *tickets)
{
    if (tickets == NULL || atomic_fetch_sub(&tickets->references, 1) != 1)
        return;
    pthread_mutex_destroy(&tickets->lock);
    OPENSSL_cleanse(tickets, sizeof *tickets);
    free(tickets);
}

/* ---- keys --------------------------------------------------------------------------------- */

static bool makes_tickets(const struct kept *kept, uint64_t now)
{
    return kept->is_there && now - kept->made < TLS_TICKETS_KEY_MS;
}

static void drop_if_old(struct kept *kept, uint64_t now)
{
    if (kept->is_there && now - kept->made >= 2 * TLS_TICKETS_KEY_MS)
        OPENSSL_cleanse(kept, sizeof *kept);
}

static void make_newest(struct tls_tickets *tickets, uint64_t now)
{
    tickets->former = tickets->newest;
    unsigned char *bytes = (unsigned char *)&tickets->newest.key;
    tickets->newest.made = now;
    tickets->newest.is_there = RAND_priv_bytes(bytes, sizeof tickets->newest.key) == 1;
}

bool tls_tickets_present(struct tls_tickets *tickets, uint64_t now, struct tls_ticket_key *out)
{
    pthread_mutex_lock(&tickets->lock);
    if (!makes_tickets(&tickets->newest, now))
        make_newest(tickets, now);
    drop_if_old(&tickets->former, now);
    bool is_there = tickets->newest.is_there;
    *out = tickets->newest.key;
    pthread_mutex_unlock(&tickets->lock);
    return is_there;
}

static bool is_named(const struct kept *kept, const unsigned char *name)
{
    return kept->is_there && memcmp(kept->key.name, name, TLS_TICKETS_NAME) == 0;
}

enum tls_tickets_found tls_tickets_find(struct tls_tickets *tickets, uint64_t now,
                                        const unsigned char name[TLS_TICKETS_NAME],
                                        struct tls_ticket_key *out)
{
    enum tls_tickets_found found = TLS_TICKETS_NONE;

    pthread_mutex_lock(&tickets->lock);
    drop_if_old(&tickets->newest, now);
    drop_if_old(&tickets->former, now);
    const struct kept *kept = is_named(&tickets->newest, name)   ? &tickets->newest
                              : is_named(&tickets->former, name) ? &tickets->former
                                                                 : NULL;
    if (kept != NULL) {
        found = makes_tickets(kept, now) ? TLS_TICKETS_PRESENT : TLS_TICKETS_FORMER;
        *out = kept->key;
    }
    pthread_mutex_unlock(&tickets->lock);
    return found;
}

/* ---- OpenSSL ------------------------------------------------------------------------------ */

static bool set_mac(EVP_MAC_CTX *mac, struct tls_ticket_key *key)
{
    char digest[] = "SHA256";
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, key->mac, sizeof key->mac),
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_end(),
    };

    return EVP_MAC_CTX_set_params(mac, params) == 1;
}

static int seal(struct tls_tickets *tickets, unsigned char *name, unsigned char *iv,
                EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac)
{
    const EVP_CIPHER *method = EVP_aes_256_cbc();
    struct tls_ticket_key key;
    int rc = -1;

    if (tls_tickets_present(tickets, clock_mono_ms(), &key) &&
        RAND_bytes(iv, EVP_CIPHER_get_iv_length(method)) == 1 &&
        EVP_EncryptInit_ex(cipher, method, NULL, key.cipher, iv) == 1 && set_mac(mac, &key)) {
        memcpy(name, key.name, sizeof key.name);
        rc = 1;
    }
    OPENSSL_cleanse(&key, sizeof key);
    return rc;
}

/* 0: the session begins afresh; 2: it is resumed and gets a new ticket, as each does in TLS 1.3. */
static int open_sealed(struct tls_tickets *tickets, const SSL *ssl, const unsigned char *name,
                       const unsigned char *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac)
{
    struct tls_ticket_key key;
    enum tls_tickets_found found = tls_tickets_find(tickets, clock_mono_ms(), name, &key);

    if (found == TLS_TICKETS_NONE)
        return 0;
    bool is_ready = EVP_DecryptInit_ex(cipher, EVP_aes_256_cbc(), NULL, key.cipher, iv) == 1 &&
                    set_mac(mac, &key);
    OPENSSL_cleanse(&key, sizeof key);
    if (!is_ready)
        return -1;
    return found == TLS_TICKETS_FORMER || SSL_version(ssl) >= TLS1_3_VERSION ? 2 : 1;
}

static int on_ticket(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher,
                     EVP_MAC_CTX *mac, int seals)
{
    struct tls_tickets *tickets = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));

    return seals ? seal(tickets, name, iv, cipher, mac)
                 : open_sealed(tickets, ssl, name, iv, cipher, mac);
}

void tls_tickets_use(struct tls_tickets *tickets, SSL_CTX *ctx)
{
    SSL_CTX_set_app_data(ctx, tickets);
    SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx, on_ticket);
}
