/* How OpenSSL reads and writes a conn's bytes; for net/ only. */
#ifndef SMARTHOP_NET_TLS_IO_H
#define SMARTHOP_NET_TLS_IO_H

#include "base/buf.h"

#include <openssl/ssl.h>

struct tls_io {
    struct span input;  /* ciphertext to be read; what was read is taken off its front */
    struct buf *output; /* ciphertext to be sent is appended here */
};

/* The io must outlive the SSL object. */
void tls_io_attach(SSL *ssl, struct tls_io *io);

#endif
