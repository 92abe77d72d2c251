#include "net/tls_clients.h"

#include "base/memory.h"
#include "net/tls.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>
#include <stdio.h>
#include <stdlib.h>

enum { CHAIN_MAX = 10 /* certificates between the client's and the one that is trusted */ };

struct tls_clients {
    X509_STORE *store;
};

static bool has_revocation_list(X509_STORE *store)
{
    const STACK_OF(X509_OBJECT) *objects = X509_STORE_get0_objects(store);

    for (int i = 0; i < sk_X509_OBJECT_num(objects); i++)
        if (X509_OBJECT_get_type(sk_X509_OBJECT_value(objects, i)) == X509_LU_CRL)
            return true;
    return false;
}

struct err tls_clients_create(const char *authorities, char *problem, size_t problem_size,
                              struct tls_clients **out)
{
    struct tls_clients *clients = mem_zalloc(sizeof *clients);
    char why[TLS_ERROR_TEXT_SIZE];

    *out = NULL;
    clients->store = X509_STORE_new();
    if (clients->store == NULL)
        abort();
    if (authorities != NULL && X509_STORE_load_file(clients->store, authorities) != 1) {
        tls_error_text(why, sizeof why);
        snprintf(problem, problem_size, "%s: %s", authorities, why);
        tls_clients_free(clients);
        return err_make(ERR_TLS, "load authorities");
    }
    unsigned long flags = X509_V_FLAG_PARTIAL_CHAIN;
    if (has_revocation_list(clients->store))
        flags |= X509_V_FLAG_CRL_CHECK;
    X509_STORE_set_flags(clients->store, flags);
    *out = clients;
    return ERR_OK;
}

void tls_clients_free(struct tls_clients *clients)
{
    if (clients == NULL)
        return;
    X509_STORE_free(clients->store);
    free(clients);
}

/* The result stays what was found, for tls_peer. */
static int go_on(int is_good, X509_STORE_CTX *context)
{
    (void)is_good, (void)context;
    return 1;
}

void tls_clients_ask(const struct tls_clients *clients, SSL *ssl)
{
    SSL_set_verify(ssl, SSL_VERIFY_PEER, go_on);
    SSL_set_verify_depth(ssl, CHAIN_MAX);
    SSL_set1_verify_cert_store(ssl, clients->store);
    SSL_set_options(ssl, SSL_OP_NO_TICKET);
    SSL_set_num_tickets(ssl, 0);
}
