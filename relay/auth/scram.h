/*
 * scram: what both sides of SCRAM-SHA-256 (RFC 5802, 7677) share: the keys, the proofs, and the
 * notation of messages. Pure.
 */
#ifndef SMARTHOP_AUTH_SCRAM_H
#define SMARTHOP_AUTH_SCRAM_H

#include "auth/base64.h"
#include "auth/crypto.h"

enum {
    SCRAM_SALT = 16, /* of new keys */
    SCRAM_SALT_MAX = 64,
    SCRAM_ITERATIONS = 65536,    /* of new keys: the most that clients by Cyrus SASL compute */
    SCRAM_ITERATIONS_MIN = 4096, /* RFC 7677 4 */
    SCRAM_ITERATIONS_MAX = 1000000,
    SCRAM_NONCE = 24, /* random bytes of one side */
    SCRAM_NONCE_TEXT = BASE64_TEXT_LEN(SCRAM_NONCE),
    SCRAM_NONCE_MAX = 256, /* characters, of both sides together */
    SCRAM_PROOF_TEXT = BASE64_TEXT_LEN(CRYPTO_DIGEST),
    /* "SCRAM-SHA-256$" iterations ":" salt "$" key ":" key, and a NUL */
    SCRAM_KEYS_TEXT_MAX = 32 + BASE64_TEXT_LEN(SCRAM_SALT_MAX) + 2 * SCRAM_PROOF_TEXT,
};

/* What a server keeps of a password. It does not let anybody log in; guesses can be tried on it. */
struct scram_keys {
    unsigned iterations;
    unsigned salt_len;
    char salt[SCRAM_SALT_MAX];
    struct crypto_digest stored; /* StoredKey */
    struct crypto_digest server; /* ServerKey */
};

/* What a client makes of a password and the server's salt; as good as the password. */
struct scram_secret {
    struct crypto_digest client; /* ClientKey */
    struct crypto_digest server; /* ServerKey */
};

/* These three take long: never on a loop. Any thread. */
void scram_secret_derive(struct span password, struct span salt, unsigned iterations,
                         struct scram_secret *out);
void scram_keys_make(struct span password, struct scram_keys *out);
bool scram_keys_match(const struct scram_keys *keys, struct span password);

/* As RFC 5803 writes them: "SCRAM-SHA-256$iterations:salt$StoredKey:ServerKey", all but the number
 * in base64. False where the text is anything else, or out of the bounds above. */
bool scram_keys_parse(struct span text, struct scram_keys *out);
/* NUL-terminated; returns `text`. */
const char *scram_keys_format(const struct scram_keys *keys, char text[SCRAM_KEYS_TEXT_MAX]);

/* RFC 5802 3: ClientProof and ServerSignature over the AuthMessage. */
void scram_client_proof(const struct scram_secret *secret, struct span message,
                        struct crypto_digest *out);
bool scram_proof_is_good(const struct scram_keys *keys, struct span message,
                         const struct crypto_digest *proof);
void scram_server_signature(const struct crypto_digest *server_key, struct span message,
                            struct crypto_digest *out);

/* Takes "name=value" and the comma behind it from the front of *rest; false, with nothing taken,
 * where another attribute or none is there. */
bool scram_take(struct span *rest, char name, struct span *value_out);

/* A nonce: printable ASCII without commas (RFC 5802 7), at least one character. */
bool scram_nonce_is_valid(struct span nonce);
void scram_nonce_make(char text[SCRAM_NONCE_TEXT]);

/* Undoes "=2C" and "=3D" (RFC 5802 5.1); false for any other "=" and where `room` is too small. */
bool scram_name_decode(struct span text, char *name, size_t room, size_t *len_out);

/* Decodes exactly a digest. */
bool scram_digest_decode(struct span text, struct crypto_digest *out);

#endif
