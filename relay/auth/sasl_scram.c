/* sasl_scram: the server's side of SCRAM-SHA-256 and SCRAM-SHA-256-PLUS (RFC 5802, 7677). */
#include "auth/sasl_private.h"

#include <stdio.h>

/* The parts of a client's first message. */
struct first {
    struct span gs2;     /* with its last comma */
    struct span binding; /* of "p=" */
    char flag;           /* 'n', 'y' or 'p' */
    struct span authzid;
    struct span bare;
    struct span name;
    struct span nonce;
};

/* RFC 5802 7: gs2-cbind-flag "," [authzid] "," */
static bool parse_gs2(struct span message, struct first *first)
{
    struct span rest = message;

    if (scram_take(&rest, 'p', &first->binding)) {
        first->flag = 'p';
    } else {
        struct span flag = span_split(message, ',', &rest);
        if (!span_equal(flag, SPAN("n")) && !span_equal(flag, SPAN("y")))
            return false;
        first->flag = flag.ptr[0];
    }
    if (!scram_take(&rest, 'a', &first->authzid)) {
        if (rest.len == 0 || rest.ptr[0] != ',')
            return false;
        rest = span_from(rest, 1);
    }
    first->bare = rest;
    first->gs2 = span_head(message, message.len - rest.len);
    return true;
}

/* client-first-message-bare: a mandatory extension ("m=") is where the name should be, so that it
 * is refused, as RFC 5802 5.1 asks. Further attributes are let be. */
static bool parse_first(struct span message, struct first *first)
{
    struct span rest;

    *first = (struct first){0};
    if (message.len > SCRAM_FIRST_MAX || !parse_gs2(message, first))
        return false;
    rest = first->bare;
    return scram_take(&rest, 'n', &first->name) && scram_take(&rest, 'r', &first->nonce) &&
           scram_nonce_is_valid(first->nonce) && first->gs2.len <= SCRAM_GS2_MAX &&
           first->nonce.len + SCRAM_NONCE_TEXT <= SCRAM_NONCE_MAX;
}

static bool find_binding(const struct sasl_server *server, struct span name, enum sasl_binding *out)
{
    for (unsigned i = 0; i < SASL_BINDINGS; i++) {
        if (server->setting.bindings[i].len > 0 &&
            span_equal(name, span_cstr(sasl_binding_name((enum sasl_binding)i)))) {
            *out = (enum sasl_binding)i;
            return true;
        }
    }
    return false;
}

/* RFC 5802 6. "y" says that the client could bind but has not been offered to: where it has been,
 * somebody has taken that out of the list. */
static bool check_binding(struct sasl_server *server, const struct first *first)
{
    struct sasl_scram *scram = &server->scram;
    bool is_plus = server->mechanism == SASL_SCRAM_SHA_256_PLUS;
    bool offered = (server->setting.offered & 1u << SASL_SCRAM_SHA_256_PLUS) != 0;

    scram->is_bound = first->flag == 'p';
    if (scram->is_bound != is_plus || (first->flag == 'y' && offered))
        return false;
    return !is_plus || find_binding(server, first->binding, &scram->binding);
}

/* "=2C" and "=3D" undone, then prepared. */
static bool take_name(struct sasl_server *server, const struct first *first)
{
    char name[AUTH_NAME_MAX], authzid[AUTH_NAME_MAX];
    size_t name_len, authzid_len;

    return scram_name_decode(first->name, name, sizeof name, &name_len) &&
           scram_name_decode(first->authzid, authzid, sizeof authzid, &authzid_len) &&
           sasl_take_user(server, span_of(name, name_len)) &&
           sasl_is_own_identity(server, span_of(authzid, authzid_len));
}

/* For a name that has no keys: the same as long as the process lives, with a salt like others'. */
static struct scram_keys make_up_keys(const struct sasl_server *server)
{
    struct crypto_digest digest;
    struct span user = sasl_server_user(server);
    uint32_t number;

    crypto_secret_derive(server->setting.secret, "scram", user, &digest);
    memcpy(&number, digest.bytes, sizeof number);
    struct scram_keys keys = users_decoy_keys(server->setting.users, number);
    for (unsigned made = 0; made < keys.salt_len; made += CRYPTO_DIGEST) {
        unsigned left = keys.salt_len - made;
        crypto_secret_derive(server->setting.secret, made == 0 ? "salt" : "salt-more", user,
                             &digest);
        memcpy(keys.salt + made, digest.bytes, left < CRYPTO_DIGEST ? left : CRYPTO_DIGEST);
    }
    crypto_secret_derive(server->setting.secret, "stored", user, &keys.stored);
    crypto_secret_derive(server->setting.secret, "server", user, &keys.server);
    return keys;
}
_Static_assert(SCRAM_SALT_MAX <= 2 * CRYPTO_DIGEST, "a salt is made up of two digests at most");

static void choose_keys(struct sasl_server *server)
{
    struct scram_keys decoy = make_up_keys(server);
    const struct users_entry *entry = users_find(server->setting.users, sasl_server_user(server));

    server->scram.has_user = entry != NULL && entry->has_keys;
    server->scram.keys = server->scram.has_user ? entry->keys : decoy;
}

static void add_to_message(struct sasl_scram *scram, struct span part)
{
    memcpy(scram->message + scram->message_len, part.ptr, part.len);
    scram->message_len += part.len;
}

static void make_nonce(struct sasl_server *server, struct span client)
{
    struct sasl_scram *scram = &server->scram;
    char own[SCRAM_NONCE_TEXT];
    struct span nonce = span_head(server->setting.nonce, SCRAM_NONCE_TEXT);

    if (nonce.len == 0) {
        scram_nonce_make(own);
        nonce = span_of(own, sizeof own);
    }
    memcpy(scram->nonce, client.ptr, client.len);
    memcpy(scram->nonce + client.len, nonce.ptr, nonce.len);
    scram->nonce_len = client.len + nonce.len;
}

/* server-first-message */
static void write_first(struct sasl_server *server)
{
    struct sasl_scram *scram = &server->scram;
    char salt[BASE64_TEXT_LEN(SCRAM_SALT_MAX)];
    size_t salt_len = base64_encode(span_of(scram->keys.salt, scram->keys.salt_len), salt);
    int len =
        snprintf(server->challenge, sizeof server->challenge, "r=%.*s,s=%.*s,i=%u",
                 (int)scram->nonce_len, scram->nonce, (int)salt_len, salt, scram->keys.iterations);

    server->challenge_len = (size_t)len;
}
_Static_assert(SASL_CHALLENGE_MAX > SCRAM_NONCE_MAX + BASE64_TEXT_LEN(SCRAM_SALT_MAX) + 32,
               "room for the server's first message");

enum sasl_result sasl_scram_first(struct sasl_server *server, struct span response)
{
    struct sasl_scram *scram = &server->scram;
    struct first first;

    if (!parse_first(response, &first))
        return sasl_fail(server, SASL_FAIL_MALFORMED);
    if (!take_name(server, &first))
        return sasl_fail(server, SASL_FAIL_CREDENTIALS);
    if (!check_binding(server, &first))
        return sasl_fail(server, SASL_FAIL_BINDING);
    memcpy(scram->gs2, first.gs2.ptr, first.gs2.len);
    scram->gs2_len = first.gs2.len;
    choose_keys(server);
    make_nonce(server, first.nonce);
    write_first(server);
    add_to_message(scram, first.bare);
    add_to_message(scram, SPAN(","));
    add_to_message(scram, sasl_server_challenge(server));
    add_to_message(scram, SPAN(","));
    server->state = SASL_STATE_SCRAM_FINAL;
    return SASL_CHALLENGE;
}

/* "c=" is the GS2 header as it came, with the channel's data where the client bound itself. */
static bool is_bound_here(const struct sasl_server *server, struct span text)
{
    const struct sasl_scram *scram = &server->scram;
    char got[SCRAM_GS2_MAX + SASL_BINDING_MAX], expected[sizeof got];
    size_t got_len, expected_len = scram->gs2_len;

    memcpy(expected, scram->gs2, scram->gs2_len);
    if (scram->is_bound) {
        struct span data = server->setting.bindings[scram->binding];
        memcpy(expected + expected_len, data.ptr, data.len);
        expected_len += data.len;
    }
    return base64_decode(text, got, sizeof got, &got_len) &&
           crypto_equal(span_of(got, got_len), span_of(expected, expected_len));
}

/* client-final-message: channel-binding "," nonce ["," extensions] "," proof */
static bool parse_final(struct span message, struct span *binding, struct span *nonce,
                        struct span *without_proof, struct crypto_digest *proof)
{
    struct span rest = message;
    size_t comma = span_rindex(message, ',');
    struct span last = span_from(message, comma + 1);
    struct span text;

    if (!scram_take(&rest, 'c', binding) || !scram_take(&rest, 'r', nonce) ||
        !scram_take(&last, 'p', &text) || comma > SCRAM_FINAL_WITHOUT_PROOF_MAX)
        return false;
    *without_proof = span_head(message, comma);
    return scram_digest_decode(text, proof);
}

/* server-final-message */
static enum sasl_result sign(struct sasl_server *server, struct span message)
{
    struct crypto_digest signature;

    scram_server_signature(&server->scram.keys.server, message, &signature);
    memcpy(server->challenge, "v=", 2);
    server->challenge_len = 2 + base64_encode(crypto_span(&signature), server->challenge + 2);
    server->state = SASL_STATE_SCRAM_EMPTY;
    return SASL_CHALLENGE;
}

enum sasl_result sasl_scram_final(struct sasl_server *server, struct span response)
{
    struct sasl_scram *scram = &server->scram;
    struct span binding, nonce, without_proof;
    struct crypto_digest proof;

    if (!parse_final(response, &binding, &nonce, &without_proof, &proof))
        return sasl_fail(server, SASL_FAIL_MALFORMED);
    if (!span_equal(nonce, span_of(scram->nonce, scram->nonce_len)))
        return sasl_fail(server, SASL_FAIL_CREDENTIALS);
    if (!is_bound_here(server, binding))
        return sasl_fail(server, SASL_FAIL_BINDING);
    add_to_message(scram, without_proof);
    struct span message = span_of(scram->message, scram->message_len);
    bool is_good = scram_proof_is_good(&scram->keys, message, &proof);
    if (!is_good || !scram->has_user)
        return sasl_fail(server, SASL_FAIL_CREDENTIALS);
    return sign(server, message);
}
