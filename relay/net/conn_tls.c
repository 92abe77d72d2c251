/* The TLS side of a conn: OpenSSL between the socket's bytes and the owner's. */
#include "net/conn_private.h"

#include <openssl/err.h>
#include <stdlib.h>

enum { PLAIN_MAX = 16384 /* one TLS record */ };

static void fail_tls(struct conn *c)
{
    char text[TLS_ERROR_TEXT_SIZE];

    tls_error_text(text, sizeof text);
    /* The alert tells the peer why; it is only worth one try. */
    if (buf_len(&c->wire) > 0 && c->pending == NULL) {
        uv_buf_t alert = {.base = c->wire.data + c->wire.start, .len = buf_len(&c->wire)};
        (void)!uv_try_write((uv_stream_t *)&c->tcp, &alert, 1);
    }
    buf_fini(&c->wire);
    conn_fail(c, err_make(ERR_TLS, "TLS"), text);
}

static bool handshake(struct conn *c)
{
    struct conn_tls *tls = c->tls;

    if (tls->secured)
        return true;
    ERR_clear_error();
    int rc = SSL_do_handshake(tls->ssl);
    if (rc == 1) {
        tls->secured = true;
        conn_later(c); /* our last flight */
        conn_tell(c, CONN_SECURED);
        return !c->closing;
    }
    int why = SSL_get_error(tls->ssl, rc);
    if (why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE)
        conn_later(c);
    else
        fail_tls(c);
    return false;
}

/* One record to the owner. False when there is no more for now. */
static bool read_record(struct conn *c)
{
    char plain[PLAIN_MAX];

    ERR_clear_error();
    int n = SSL_read(c->tls->ssl, plain, sizeof plain);
    if (n > 0) {
        conn_tell_input(c, span_of(plain, (size_t)n));
        return !c->closing;
    }
    int why = SSL_get_error(c->tls->ssl, n);
    if (why == SSL_ERROR_ZERO_RETURN) {
        c->eof = true;
        conn_tell(c, CONN_EOF);
    } else if (why != SSL_ERROR_WANT_READ && why != SSL_ERROR_WANT_WRITE) {
        fail_tls(c);
    } else if (buf_len(&c->wire) > 0) {
        conn_later(c); /* an answer to something like a key update */
    }
    return false;
}

void conn_tls_pump(struct conn *c, struct span ciphertext)
{
    struct conn_tls *tls = c->tls;
    bool from_kept = buf_len(&tls->kept) > 0;

    if (from_kept) {
        buf_add(&tls->kept, ciphertext);
        ciphertext = buf_span(&tls->kept);
    }
    tls->io.input = ciphertext;
    if (handshake(c)) {
        while (!c->paused && !c->full && !c->eof && !c->failed && read_record(c))
            ;
    }
    struct span rest = tls->io.input;
    tls->io.input = SPAN_NONE;
    if (from_kept)
        buf_consume(&tls->kept, ciphertext.len - rest.len);
    else
        buf_add(&tls->kept, rest);
}

static size_t start_tls(struct conn *c, SSL *ssl)
{
    size_t discarded = conn_input(c).len;

    /* What was gathered before belongs in plain text before the handshake. */
    buf_add(&c->wire, buf_span(&c->out));
    buf_fini(&c->out);
    c->view = SPAN_NONE;
    buf_fini(&c->in);
    c->tls = mem_zalloc(sizeof *c->tls);
    c->tls->ssl = ssl;
    buf_init(&c->tls->kept, 0);
    c->tls->io.output = &c->wire;
    tls_io_attach(ssl, &c->tls->io);
    c->full = false;
    return discarded;
}

size_t conn_start_tls_server(struct conn *c, struct tls_server *server,
                             const struct tls_clients *clients)
{
    size_t discarded = start_tls(c, tls_server_new_ssl(server, clients));

    conn_later(c);
    return discarded;
}

void conn_continue_tls_server(struct conn *c, struct tls_server *server,
                              const struct tls_clients *clients)
{
    struct buf early;

    buf_init(&early, 0);
    buf_add(&early, conn_input(c));
    start_tls(c, tls_server_new_ssl(server, clients));
    c->tls->kept = early;
    conn_later(c);
}

size_t conn_start_tls_client(struct conn *c, struct tls_client *client, const char *host,
                             enum tls_verify verify, SSL_SESSION *resume)
{
    size_t discarded = start_tls(c, tls_client_new_ssl(client, host, verify, resume));

    ERR_clear_error();
    SSL_do_handshake(c->tls->ssl); /* only writes the first flight; failures show when read */
    conn_later(c);
    return discarded;
}

void conn_tls_info(const struct conn *c, struct conn_tls_info *out)
{
    *out = (struct conn_tls_info){.version = "", .cipher = ""};
    if (c->tls == NULL || !c->tls->secured)
        return;
    SSL *ssl = c->tls->ssl;
    out->active = true;
    out->resumed = SSL_session_reused(ssl) == 1;
    out->version = SSL_get_version(ssl);
    out->cipher = SSL_get_cipher_name(ssl);
    out->bits = SSL_get_cipher_bits(ssl, NULL);
    /* Without a certificate the result is good, too. */
    out->verified = !SSL_is_server(ssl) && SSL_get0_peer_certificate(ssl) != NULL &&
                    SSL_get_verify_result(ssl) == X509_V_OK;
    out->server_name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
}

struct tls_peer *conn_tls_peer(const struct conn *c)
{
    const X509 *certificate =
        c->tls != NULL && c->tls->secured ? SSL_get0_peer_certificate(c->tls->ssl) : NULL;

    return certificate != NULL ? tls_peer_create(certificate, SSL_get_verify_result(c->tls->ssl))
                               : NULL;
}

SSL_SESSION *conn_tls_session(const struct conn *c)
{
    if (c->tls == NULL || !c->tls->secured)
        return NULL;
    SSL_SESSION *session = SSL_get1_session(c->tls->ssl);
    if (session != NULL && !SSL_SESSION_is_resumable(session)) {
        SSL_SESSION_free(session);
        return NULL;
    }
    return session;
}

bool conn_tls_has_more(const struct conn *c)
{
    return c->tls != NULL && c->tls->io.input.len > 0;
}

void conn_tls_encrypt(struct conn *c)
{
    while (buf_len(&c->out) > 0) {
        struct span plain = buf_span(&c->out);
        ERR_clear_error();
        int n =
            SSL_write(c->tls->ssl, plain.ptr, (int)(plain.len < INT32_MAX ? plain.len : INT32_MAX));
        if (n <= 0) {
            fail_tls(c);
            return;
        }
        buf_consume(&c->out, (size_t)n);
    }
}

bool conn_tls_has_waiting(const struct conn *c)
{
    return buf_len(&c->tls->kept) > 0 || SSL_pending(c->tls->ssl) > 0;
}

void conn_tls_finish(struct conn *c)
{
    if (!c->tls->secured)
        return;
    conn_tls_encrypt(c);
    SSL_shutdown(c->tls->ssl); /* appends close_notify to the wire */
    ERR_clear_error();
}

void conn_tls_free(struct conn *c)
{
    if (c->tls == NULL)
        return;
    /* Otherwise OpenSSL would spoil the session of a conn that was closed at once, which TLS has
     * not asked for since version 1.1: it is good for the next connection (RFC 5246 7.2.1). */
    if (!c->failed)
        SSL_set_shutdown(c->tls->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    SSL_free(c->tls->ssl);
    buf_fini(&c->tls->kept);
    free(c->tls);
}

/* The first Finished message of the handshake: the client's, or of a resumed session the server's.
 */
static size_t first_finished(SSL *ssl, unsigned char *room, size_t size)
{
    bool ours = (SSL_is_server(ssl) != 0) == (SSL_session_reused(ssl) != 0);

    return ours ? SSL_get_finished(ssl, room, size) : SSL_get_peer_finished(ssl, room, size);
}

struct span conn_tls_binding(const struct conn *c, enum conn_binding kind, unsigned char *room,
                             size_t size)
{
    enum { EXPORTED = 32 };
    static const char label[] = "EXPORTER-Channel-Binding";
    size_t len = 0;

    if (c->tls == NULL || !c->tls->secured)
        return SPAN_NONE;
    SSL *ssl = c->tls->ssl;
    bool is_13 = SSL_version(ssl) == TLS1_3_VERSION;
    if (kind == CONN_BINDING_EXPORTER && is_13 && size >= EXPORTED) {
        if (SSL_export_keying_material(ssl, room, EXPORTED, label, sizeof label - 1, NULL, 0, 0) ==
            1)
            len = EXPORTED;
    } else if (kind == CONN_BINDING_UNIQUE && !is_13 && SSL_get_extms_support(ssl) == 1) {
        len = first_finished(ssl, room, size);
        len = len <= size ? len : 0;
    }
    return span_of((const char *)room, len);
}
