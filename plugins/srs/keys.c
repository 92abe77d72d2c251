/* Secrets and signatures: HMAC-SHA1 of OpenSSL, set up once for each secret. */
#include "keys.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>

#include <ctype.h>
#include <stdlib.h>
#include <strings.h>

enum { SHA1_BYTES = 20 };

struct keys {
    unsigned count;
    EVP_MAC_CTX *macs[KEYS_MAX];
};

static EVP_MAC_CTX *make(struct smarthop_span secret)
{
    EVP_MAC *mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    EVP_MAC_CTX *context = mac != NULL ? EVP_MAC_CTX_new(mac) : NULL;
    char digest[] = "SHA1";
    OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
                           OSSL_PARAM_construct_end()};

    EVP_MAC_free(mac);
    if (context == NULL ||
        EVP_MAC_init(context, (const unsigned char *)secret.ptr, secret.len, params) != 1)
        abort();
    return context;
}

static struct smarthop_span line_of(struct smarthop_span text)
{
    const char *end = memchr(text.ptr, '\n', text.len);

    return smarthop_span_of(text.ptr, end != NULL ? (size_t)(end - text.ptr) : text.len);
}

static struct smarthop_span trim(struct smarthop_span line)
{
    while (line.len > 0 && isspace((unsigned char)line.ptr[0]))
        line = smarthop_span_of(line.ptr + 1, line.len - 1);
    while (line.len > 0 && isspace((unsigned char)line.ptr[line.len - 1]))
        line.len--;
    return line;
}

struct keys *keys_parse(struct smarthop_span text)
{
    struct keys *keys = calloc(1, sizeof *keys);

    if (keys == NULL)
        abort();
    while (text.len > 0) {
        struct smarthop_span line = line_of(text), secret = trim(line);
        size_t past = line.len < text.len ? line.len + 1 : line.len;
        text = smarthop_span_of(text.ptr + past, text.len - past);
        if (secret.len == 0 || secret.ptr[0] == '#')
            continue;
        if (keys->count == KEYS_MAX) {
            keys_free(keys);
            return NULL;
        }
        keys->macs[keys->count++] = make(secret);
    }
    if (keys->count > 0)
        return keys;
    keys_free(keys);
    return NULL;
}

void keys_free(struct keys *keys)
{
    if (keys == NULL)
        return;
    for (unsigned i = 0; i < keys->count; i++)
        EVP_MAC_CTX_free(keys->macs[i]);
    free(keys);
}

static void add_lower(EVP_MAC_CTX *context, struct smarthop_span text)
{
    unsigned char piece[256];

    for (size_t at = 0; at < text.len;) {
        size_t len = 0;
        for (; len < sizeof piece && at < text.len; at++) {
            char c = text.ptr[at];
            piece[len++] = (unsigned char)(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
        }
        if (EVP_MAC_update(context, piece, len) != 1)
            abort();
    }
}

static void sign_with(EVP_MAC_CTX *mac, struct smarthop_span text, char *hash, size_t len)
{
    EVP_MAC_CTX *context = EVP_MAC_CTX_dup(mac);
    unsigned char digest[SHA1_BYTES];
    unsigned char base64[4 * (SHA1_BYTES + 2) / 3 + 1];
    size_t digest_len;

    if (context == NULL)
        abort();
    add_lower(context, text);
    if (EVP_MAC_final(context, digest, &digest_len, sizeof digest) != 1)
        abort();
    EVP_MAC_CTX_free(context);
    EVP_EncodeBlock(base64, digest, sizeof digest);
    memcpy(hash, base64, len);
}

void keys_sign(const struct keys *keys, struct smarthop_span text, char *hash, size_t len)
{
    sign_with(keys->macs[0], text, hash, len);
}

bool keys_check(const struct keys *keys, struct smarthop_span text, struct smarthop_span hash)
{
    char right[KEYS_HASH_MAX];

    if (hash.len > KEYS_HASH_MAX)
        return false;
    for (unsigned i = 0; i < keys->count; i++) {
        sign_with(keys->macs[i], text, right, hash.len);
        if (strncasecmp(right, hash.ptr, hash.len) == 0)
            return true;
    }
    return false;
}
