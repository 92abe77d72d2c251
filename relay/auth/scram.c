#include "auth/scram.h"

#include <stdio.h>

static const struct span scheme = {"SCRAM-SHA-256", sizeof "SCRAM-SHA-256" - 1};

void scram_secret_derive(struct span password, struct span salt, unsigned iterations,
                         struct scram_secret *out)
{
    struct crypto_digest salted;

    crypto_pbkdf2(password, salt, iterations, &salted);
    crypto_hmac(crypto_span(&salted), SPAN("Client Key"), &out->client);
    crypto_hmac(crypto_span(&salted), SPAN("Server Key"), &out->server);
    crypto_cleanse(&salted, sizeof salted);
}

void scram_keys_make(struct span password, struct scram_keys *out)
{
    struct scram_secret secret;

    *out = (struct scram_keys){.iterations = SCRAM_ITERATIONS, .salt_len = SCRAM_SALT};
    crypto_random(out->salt, out->salt_len);
    scram_secret_derive(password, span_of(out->salt, out->salt_len), out->iterations, &secret);
    crypto_sha256(crypto_span(&secret.client), &out->stored);
    out->server = secret.server;
    crypto_cleanse(&secret, sizeof secret);
}

bool scram_keys_match(const struct scram_keys *keys, struct span password)
{
    struct scram_secret secret;
    struct crypto_digest stored;

    scram_secret_derive(password, span_of(keys->salt, keys->salt_len), keys->iterations, &secret);
    crypto_sha256(crypto_span(&secret.client), &stored);
    bool same = crypto_equal(crypto_span(&stored), crypto_span(&keys->stored)) &&
                crypto_equal(crypto_span(&secret.server), crypto_span(&keys->server));
    crypto_cleanse(&secret, sizeof secret);
    return same;
}

bool scram_digest_decode(struct span text, struct crypto_digest *out)
{
    size_t len;

    return base64_decode(text, (char *)out->bytes, CRYPTO_DIGEST, &len) && len == CRYPTO_DIGEST;
}

bool scram_keys_parse(struct span text, struct scram_keys *out)
{
    struct span rest, keys, server;
    struct span name = span_split(text, '$', &rest);
    struct span cost = span_split(rest, '$', &keys);
    struct span salt;
    struct span number = span_split(cost, ':', &salt);
    struct span stored = span_split(keys, ':', &server);
    uint64_t iterations;
    size_t salt_len;

    if (!span_equal(name, scheme) || !span_parse_u64(number, &iterations) ||
        iterations < SCRAM_ITERATIONS_MIN || iterations > SCRAM_ITERATIONS_MAX ||
        !base64_decode(salt, out->salt, sizeof out->salt, &salt_len) || salt_len == 0)
        return false;
    out->iterations = (unsigned)iterations;
    out->salt_len = (unsigned)salt_len;
    return scram_digest_decode(stored, &out->stored) && scram_digest_decode(server, &out->server);
}

const char *scram_keys_format(const struct scram_keys *keys, char text[SCRAM_KEYS_TEXT_MAX])
{
    char salt[BASE64_TEXT_LEN(SCRAM_SALT_MAX)];
    char stored[SCRAM_PROOF_TEXT], server[SCRAM_PROOF_TEXT];
    size_t salt_len = base64_encode(span_of(keys->salt, keys->salt_len), salt);

    base64_encode(crypto_span(&keys->stored), stored);
    base64_encode(crypto_span(&keys->server), server);
    snprintf(text, SCRAM_KEYS_TEXT_MAX, "%.*s$%u:%.*s$%.*s:%.*s", SPAN_ARG(scheme),
             keys->iterations, (int)salt_len, salt, SCRAM_PROOF_TEXT, stored, SCRAM_PROOF_TEXT,
             server);
    return text;
}

static void exclusive_or(struct crypto_digest *into, const struct crypto_digest *with)
{
    for (unsigned i = 0; i < CRYPTO_DIGEST; i++)
        into->bytes[i] ^= with->bytes[i];
}

void scram_client_proof(const struct scram_secret *secret, struct span message,
                        struct crypto_digest *out)
{
    struct crypto_digest stored;

    crypto_sha256(crypto_span(&secret->client), &stored);
    crypto_hmac(crypto_span(&stored), message, out);
    exclusive_or(out, &secret->client);
}

bool scram_proof_is_good(const struct scram_keys *keys, struct span message,
                         const struct crypto_digest *proof)
{
    struct crypto_digest client, hashed;

    crypto_hmac(crypto_span(&keys->stored), message, &client);
    exclusive_or(&client, proof);
    crypto_sha256(crypto_span(&client), &hashed);
    crypto_cleanse(&client, sizeof client);
    return crypto_equal(crypto_span(&hashed), crypto_span(&keys->stored));
}

void scram_server_signature(const struct crypto_digest *server_key, struct span message,
                            struct crypto_digest *out)
{
    crypto_hmac(crypto_span(server_key), message, out);
}

bool scram_take(struct span *rest, char name, struct span *value_out)
{
    if (rest->len < 2 || rest->ptr[0] != name || rest->ptr[1] != '=')
        return false;
    *value_out = span_split(span_from(*rest, 2), ',', rest);
    return true;
}

bool scram_nonce_is_valid(struct span nonce)
{
    for (size_t i = 0; i < nonce.len; i++)
        if (nonce.ptr[i] <= ' ' || nonce.ptr[i] > '~' || nonce.ptr[i] == ',')
            return false;
    return nonce.len > 0 && nonce.len <= SCRAM_NONCE_MAX;
}

void scram_nonce_make(char text[SCRAM_NONCE_TEXT])
{
    char bytes[SCRAM_NONCE];

    crypto_random(bytes, sizeof bytes);
    base64_encode(span_of(bytes, sizeof bytes), text);
}

bool scram_name_decode(struct span text, char *name, size_t room, size_t *len_out)
{
    size_t len = 0;

    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (len == room)
            return false;
        if (c == '=') {
            struct span code = span_head(span_from(text, i + 1), 2);
            if (span_equal(code, SPAN("2C")))
                c = ',';
            else if (!span_equal(code, SPAN("3D")))
                return false;
            i += 2;
        }
        name[len++] = c;
    }
    *len_out = len;
    return true;
}
