/*
 * crypto: the few primitives that authentication is made of, over OpenSSL.
 *
 * They cannot fail in a process that has SHA-256 and a source of randomness; one that has not
 * stops. Any thread.
 */
#ifndef SMARTHOP_AUTH_CRYPTO_H
#define SMARTHOP_AUTH_CRYPTO_H

#include "base/span.h"

enum { CRYPTO_DIGEST = 32, CRYPTO_SECRET = 32 };

struct crypto_digest {
    unsigned char bytes[CRYPTO_DIGEST];
};

void crypto_sha256(struct span data, struct crypto_digest *out);
void crypto_hmac(struct span key, struct span data, struct crypto_digest *out);
/* PBKDF2-HMAC-SHA-256 of one block: RFC 5802's Hi(). Takes long: never on a loop. */
void crypto_pbkdf2(struct span password, struct span salt, unsigned iterations,
                   struct crypto_digest *out);
void crypto_random(void *bytes, size_t len);

/* Takes as long whatever the bytes are; only lengths show. */
bool crypto_equal(struct span a, struct span b);
/* Overwrites what must not stay in memory. NULL is let be. */
void crypto_cleanse(void *bytes, size_t len);

static inline struct span crypto_span(const struct crypto_digest *digest)
{
    return span_of((const char *)digest->bytes, CRYPTO_DIGEST);
}

/* Random bytes of this process, from which it answers for users that do not exist. */
struct crypto_secret {
    unsigned char bytes[CRYPTO_SECRET];
};

/* The same for the same name as long as the secret lives, and different for each `purpose` (static
 * text). `name` is AUTH_NAME_MAX bytes at most. */
void crypto_secret_derive(const struct crypto_secret *secret, const char *purpose, struct span name,
                          struct crypto_digest *out);

#endif
