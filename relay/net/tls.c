#include "net/tls.h"

#include "base/memory.h"
#include "net/tls_clients.h"
#include "net/tls_io.h"
#include "net/tls_name.h"
#include "net/tls_tickets.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

struct tls_identity {
    char *server_name; /* NULL for the default */
    SSL_CTX *ctx;
};

/* What it asks of its clients. */
struct tls_asking {
    char *listener;
    struct tls_clients *clients;
};

struct tls_server {
    atomic_uint references;
    struct tls_tickets *tickets;
    struct tls_asking *asking;
    unsigned asking_count;
    unsigned count;
    struct tls_identity identities[];
};

struct tls_client {
    atomic_uint references;
    SSL_CTX *ctx;
};

/* The peer has begun with something else. */
static bool is_no_tls(unsigned long code)
{
    return ERR_GET_LIB(code) == ERR_LIB_SSL && ERR_GET_REASON(code) == SSL_R_WRONG_VERSION_NUMBER;
}

void tls_error_text(char *text, size_t size)
{
    unsigned long code = ERR_get_error();
    const char *reason = code ? ERR_reason_error_string(code) : NULL;
    char why[128];

    if (ERR_SYSTEM_ERROR(code))
        reason = strerror_r(ERR_GET_REASON(code), why, sizeof why);
    snprintf(text, size, "%s%s", reason ? reason : "TLS failure",
             is_no_tls(code) ? " (the peer does not speak TLS)" : "");
    ERR_clear_error();
}

/* ---- the BIO between OpenSSL and a conn --------------------------------------------------- */

static int io_read(BIO *bio, char *data, int len)
{
    struct tls_io *io = BIO_get_data(bio);
    size_t n = io->input.len < (size_t)len ? io->input.len : (size_t)len;

    BIO_clear_retry_flags(bio);
    if (n == 0) {
        BIO_set_retry_read(bio);
        return -1;
    }
    memcpy(data, io->input.ptr, n);
    io->input = span_from(io->input, n);
    return (int)n;
}

static int io_write(BIO *bio, const char *data, int len)
{
    struct tls_io *io = BIO_get_data(bio);

    BIO_clear_retry_flags(bio);
    buf_add(io->output, span_of(data, (size_t)len));
    return len;
}

static long io_ctrl(BIO *bio, int command, long number, void *ptr)
{
    (void)bio, (void)number, (void)ptr;
    return command == BIO_CTRL_FLUSH;
}

static BIO_METHOD *io_method;

static void make_io_method(void)
{
    io_method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "smarthop conn");
    if (io_method == NULL)
        abort();
    BIO_meth_set_read(io_method, io_read);
    BIO_meth_set_write(io_method, io_write);
    BIO_meth_set_ctrl(io_method, io_ctrl);
}

/* A module that this is linked into may be unloaded while the process goes on. */
__attribute__((destructor)) static void free_io_method(void)
{
    BIO_meth_free(io_method);
}

void tls_io_attach(SSL *ssl, struct tls_io *io)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, make_io_method);
    BIO *bio = BIO_new(io_method);
    if (bio == NULL)
        abort();
    BIO_set_data(bio, io);
    BIO_set_init(bio, 1);
    SSL_set_bio(ssl, bio, bio);
}

/* ---- server ------------------------------------------------------------------------------- */

static struct err make_ctx(const SSL_METHOD *method, SSL_CTX **out)
{
    SSL_CTX *ctx = SSL_CTX_new(method);

    *out = ctx;
    if (ctx == NULL)
        return err_make(ERR_TLS, "SSL_CTX_new");
    SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
    SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                 SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_IGNORE_UNEXPECTED_EOF);
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                              SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    return ERR_OK;
}

static struct err refuse(const char *what, char *problem, size_t problem_size)
{
    char why[TLS_ERROR_TEXT_SIZE];

    tls_error_text(why, sizeof why);
    snprintf(problem, problem_size, "%s: %s", what, why);
    return err_make(ERR_TLS, "make TLS context");
}

/* Nobody is there to type a pass phrase, and OpenSSL would wait for one at the terminal. */
static int no_pass_phrase(char *text, int size, int for_writing, void *asked)
{
    (void)text, (void)size, (void)for_writing;
    *(bool *)asked = true;
    return -1;
}

static bool is_about(int library, int reason)
{
    unsigned long code = ERR_peek_error();

    return ERR_GET_LIB(code) == library && ERR_GET_REASON(code) == reason;
}

static struct err refuse_certificate(const char *file, char *problem, size_t problem_size)
{
    if (!is_about(ERR_LIB_PEM, PEM_R_NO_START_LINE))
        return refuse(file, problem, problem_size);
    ERR_clear_error();
    snprintf(problem, problem_size, "%s: there is no certificate in it (PEM)", file);
    return err_make(ERR_TLS, "load certificate");
}

static struct err refuse_key(const struct tls_certificate_files *files, bool has_pass_phrase,
                             char *problem, size_t problem_size)
{
    if (has_pass_phrase)
        snprintf(problem, problem_size,
                 "%s: the key has a pass phrase; openssl pkey -in FILE -out FILE writes it without",
                 files->key);
    else if (is_about(ERR_LIB_X509, X509_R_KEY_VALUES_MISMATCH) ||
             is_about(ERR_LIB_X509, X509_R_KEY_TYPE_MISMATCH))
        snprintf(problem, problem_size, "%s: this key does not belong to %s", files->key,
                 files->certificate);
    else if (ERR_GET_REASON(ERR_peek_error()) == ERR_R_UNSUPPORTED)
        snprintf(problem, problem_size, "%s: there is no private key in it (PEM)", files->key);
    else
        return refuse(files->key, problem, problem_size);
    ERR_clear_error();
    return err_make(ERR_TLS, "load key");
}

static struct err load_pair(SSL_CTX *ctx, const struct tls_certificate_files *files, char *problem,
                            size_t problem_size)
{
    bool has_pass_phrase = false;
    struct err e = ERR_OK;

    SSL_CTX_set_default_passwd_cb(ctx, no_pass_phrase);
    SSL_CTX_set_default_passwd_cb_userdata(ctx, &has_pass_phrase);
    if (SSL_CTX_use_certificate_chain_file(ctx, files->certificate) != 1)
        e = refuse_certificate(files->certificate, problem, problem_size);
    else if (SSL_CTX_use_PrivateKey_file(ctx, files->key, SSL_FILETYPE_PEM) != 1 ||
             SSL_CTX_check_private_key(ctx) != 1)
        e = refuse_key(files, has_pass_phrase, problem, problem_size);
    SSL_CTX_set_default_passwd_cb_userdata(ctx, NULL);
    SSL_CTX_set_default_passwd_cb(ctx, NULL);
    return e;
}

static struct err load_identity(const struct tls_server_options *options, unsigned number,
                                char *problem, size_t problem_size, struct tls_identity *out)
{
    static const unsigned char context[] = "smarthop";
    const struct tls_certificate_files *files = &options->files[number];
    struct err e = make_ctx(TLS_server_method(), &out->ctx);

    if (err_is(e))
        return e;
    SSL_CTX_set_session_id_context(out->ctx, context, sizeof context - 1);
    SSL_CTX_set_num_tickets(out->ctx, 1);
    if (options->floor == TLS_FLOOR_1_3)
        SSL_CTX_set_min_proto_version(out->ctx, TLS1_3_VERSION);
    out->server_name = files->server_name ? mem_strdup(files->server_name) : NULL;
    if (options->ciphers != NULL && SSL_CTX_set_cipher_list(out->ctx, options->ciphers) != 1)
        return refuse("tls_ciphers", problem, problem_size);
    if (options->cipher_suites != NULL &&
        SSL_CTX_set_ciphersuites(out->ctx, options->cipher_suites) != 1)
        return refuse("tls_cipher_suites", problem, problem_size);
    return load_pair(out->ctx, files, problem, problem_size);
}

/* Another identity's context brings its own settings for certificates, so that clients have to be
 * asked anew. */
static void change_identity(SSL *ssl, const struct tls_identity *identity)
{
    const struct tls_clients *clients = SSL_get_app_data(ssl);

    SSL_set_SSL_CTX(ssl, identity->ctx);
    if (clients != NULL)
        tls_clients_ask(clients, ssl);
}

static int on_server_name(SSL *ssl, int *alert, void *arg)
{
    struct tls_server *server = arg;
    struct span name = span_cstr(SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name));

    (void)alert;
    for (unsigned i = 1; name.len > 0 && i < server->count; i++) {
        if (tls_name_matches(span_cstr(server->identities[i].server_name), name)) {
            change_identity(ssl, &server->identities[i]);
            break;
        }
    }
    return SSL_TLSEXT_ERR_OK;
}

/* All identities share one set of ticket keys, so that a resumed session fits whichever is first
 * asked. */
static void share_tickets(struct tls_server *server, const struct tls_server *old)
{
    server->tickets = old != NULL ? tls_tickets_ref(old->tickets) : tls_tickets_create();
    for (unsigned i = 0; i < server->count; i++)
        tls_tickets_use(server->tickets, server->identities[i].ctx);
}

static struct err load_identities(struct tls_server *server,
                                  const struct tls_server_options *options, char *problem,
                                  size_t problem_size)
{
    for (unsigned i = 0; i < options->count; i++) {
        struct err e = load_identity(options, i, problem, problem_size, &server->identities[i]);
        if (err_is(e))
            return e;
    }
    return ERR_OK;
}

static struct err load_asking(struct tls_server *server, const struct tls_server_options *options,
                              char *problem, size_t problem_size)
{
    server->asking = mem_zalloc(options->listener_count * sizeof *server->asking);
    for (unsigned i = 0; i < options->listener_count; i++) {
        const struct tls_listener *listener = &options->listeners[i];
        struct tls_asking *asking = &server->asking[server->asking_count];
        struct err e =
            tls_clients_create(listener->authorities, problem, problem_size, &asking->clients);
        if (err_is(e))
            return e;
        asking->listener = mem_strdup(listener->name);
        server->asking_count++;
    }
    return ERR_OK;
}

struct err tls_server_create(const struct tls_server_options *options, char *problem,
                             size_t problem_size, struct tls_server **out)
{
    struct tls_server *server =
        mem_zalloc(sizeof *server + options->count * sizeof(struct tls_identity));

    *out = NULL;
    atomic_init(&server->references, 1);
    server->count = options->count;
    struct err e = load_identities(server, options, problem, problem_size);
    if (!err_is(e))
        e = load_asking(server, options, problem, problem_size);
    if (err_is(e)) {
        tls_server_unref(server);
        return e;
    }
    share_tickets(server, options->old);
    SSL_CTX_set_tlsext_servername_callback(server->identities[0].ctx, on_server_name);
    SSL_CTX_set_tlsext_servername_arg(server->identities[0].ctx, server);
    *out = server;
    return ERR_OK;
}

struct tls_server *tls_server_ref(struct tls_server *server)
{
    if (server != NULL)
        atomic_fetch_add(&server->references, 1);
    return server;
}

void tls_server_unref(struct tls_server *server)
{
    if (server == NULL || atomic_fetch_sub(&server->references, 1) != 1)
        return;
    for (unsigned i = 0; i < server->count; i++) {
        SSL_CTX_free(server->identities[i].ctx);
        free(server->identities[i].server_name);
    }
    for (unsigned i = 0; i < server->asking_count; i++) {
        tls_clients_free(server->asking[i].clients);
        free(server->asking[i].listener);
    }
    tls_tickets_unref(server->tickets);
    free(server->asking);
    free(server);
}

const struct tls_clients *tls_server_clients(const struct tls_server *server, const char *listener)
{
    for (unsigned i = 0; i < server->asking_count; i++)
        if (strcmp(server->asking[i].listener, listener) == 0)
            return server->asking[i].clients;
    return NULL;
}

uint64_t tls_server_expires(const struct tls_server *server, unsigned number)
{
    const X509 *certificate = SSL_CTX_get0_certificate(server->identities[number].ctx);
    struct tm end;

    if (ASN1_TIME_to_tm(X509_get0_notAfter(certificate), &end) != 1)
        return UINT64_MAX;
    time_t seconds = timegm(&end);
    return seconds > 0 ? (uint64_t)seconds * 1000 : 0;
}

SSL *tls_server_new_ssl(struct tls_server *server, const struct tls_clients *clients)
{
    SSL *ssl = SSL_new(server->identities[0].ctx);

    if (ssl == NULL)
        abort();
    SSL_set_accept_state(ssl);
    if (clients != NULL) {
        SSL_set_app_data(ssl, (void *)(uintptr_t)clients);
        tls_clients_ask(clients, ssl);
    }
    return ssl;
}

/* ---- client ------------------------------------------------------------------------------- */

struct err tls_client_create(struct tls_client **out)
{
    struct tls_client *client = mem_zalloc(sizeof *client);
    struct err e = make_ctx(TLS_client_method(), &client->ctx);

    *out = NULL;
    if (err_is(e)) {
        free(client);
        return e;
    }
    atomic_init(&client->references, 1);
    SSL_CTX_set_default_verify_paths(client->ctx);
    ERR_clear_error(); /* a host without root certificates can still do opportunistic TLS */
    *out = client;
    return ERR_OK;
}

struct tls_client *tls_client_ref(struct tls_client *client)
{
    if (client != NULL)
        atomic_fetch_add(&client->references, 1);
    return client;
}

void tls_client_unref(struct tls_client *client)
{
    if (client == NULL || atomic_fetch_sub(&client->references, 1) != 1)
        return;
    SSL_CTX_free(client->ctx);
    free(client);
}

static bool is_address(const char *host)
{
    unsigned char bytes[16];

    return inet_pton(AF_INET, host, bytes) == 1 || inet_pton(AF_INET6, host, bytes) == 1;
}

SSL *tls_client_new_ssl(struct tls_client *client, const char *host, enum tls_verify verify,
                        SSL_SESSION *resume)
{
    SSL *ssl = SSL_new(client->ctx);

    if (ssl == NULL)
        abort();
    SSL_set_connect_state(ssl);
    if (is_address(host)) {
        X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host);
    } else {
        SSL_set_tlsext_host_name(ssl, host);
        SSL_set1_host(ssl, host);
    }
    if (verify == TLS_VERIFY_NAME)
        SSL_set_verify(ssl, SSL_VERIFY_PEER, NULL);
    if (resume != NULL)
        SSL_set_session(ssl, resume);
    return ssl;
}

SSL_SESSION *tls_session_ref(SSL_SESSION *session)
{
    if (session != NULL)
        SSL_SESSION_up_ref(session);
    return session;
}

void tls_session_free(SSL_SESSION *session)
{
    SSL_SESSION_free(session);
}
