#include "auth/crypto.h"

#include "auth/prepare.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>

static void must(bool worked, const char *what)
{
    if (worked)
        return;
    fprintf(stderr, "smarthop: OpenSSL has no %s\n", what);
    abort();
}

void crypto_sha256(struct span data, struct crypto_digest *out)
{
    must(SHA256((const unsigned char *)data.ptr, data.len, out->bytes) != NULL, "SHA-256");
}

void crypto_hmac(struct span key, struct span data, struct crypto_digest *out)
{
    must(HMAC(EVP_sha256(), key.ptr, (int)key.len, (const unsigned char *)data.ptr, data.len,
              out->bytes, NULL) != NULL,
         "HMAC");
}

void crypto_pbkdf2(struct span password, struct span salt, unsigned iterations,
                   struct crypto_digest *out)
{
    must(PKCS5_PBKDF2_HMAC(password.ptr, (int)password.len, (const unsigned char *)salt.ptr,
                           (int)salt.len, (int)iterations, EVP_sha256(), CRYPTO_DIGEST,
                           out->bytes) == 1,
         "PBKDF2");
}

void crypto_random(void *bytes, size_t len)
{
    must(RAND_bytes(bytes, (int)len) == 1, "randomness");
}

bool crypto_equal(struct span a, struct span b)
{
    return a.len == b.len && (a.len == 0 || CRYPTO_memcmp(a.ptr, b.ptr, a.len) == 0);
}

void crypto_cleanse(void *bytes, size_t len)
{
    if (bytes != NULL)
        OPENSSL_cleanse(bytes, len);
}

void crypto_secret_derive(const struct crypto_secret *secret, const char *purpose, struct span name,
                          struct crypto_digest *out)
{
    char text[32 + AUTH_NAME_MAX];
    int len = snprintf(text, sizeof text, "%s:%.*s", purpose, SPAN_ARG(name));

    must(len > 0 && (size_t)len < sizeof text, "room for a name");
    crypto_hmac(span_of((const char *)secret->bytes, sizeof secret->bytes),
                span_of(text, (size_t)len), out);
}
