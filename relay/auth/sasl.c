#include "auth/sasl_private.h"

#include "base/memory.h"

#include <stdlib.h>

static const char *const mechanism_names[SASL_MECHANISMS] = {
    [SASL_PLAIN] = "PLAIN",
    [SASL_LOGIN] = "LOGIN",
    [SASL_SCRAM_SHA_256] = "SCRAM-SHA-256",
    [SASL_SCRAM_SHA_256_PLUS] = "SCRAM-SHA-256-PLUS",
    [SASL_EXTERNAL] = "EXTERNAL",
};

static const char *const binding_names[SASL_BINDINGS] = {
    [SASL_BINDING_TLS_EXPORTER] = "tls-exporter",
    [SASL_BINDING_TLS_UNIQUE] = "tls-unique",
};

const char *sasl_mechanism_name(enum sasl_mechanism mechanism)
{
    return mechanism_names[mechanism];
}

bool sasl_mechanism_find(struct span name, enum sasl_mechanism *out)
{
    for (unsigned i = 0; i < SASL_MECHANISMS; i++) {
        if (span_equal_nocase(name, span_cstr(mechanism_names[i]))) {
            *out = (enum sasl_mechanism)i;
            return true;
        }
    }
    return false;
}

const char *sasl_binding_name(enum sasl_binding binding)
{
    return binding_names[binding];
}

/* The span over a copy; empty where it would not fit, which no protocol's data is. */
static struct span keep(struct span value, char *room, size_t size)
{
    if (value.len == 0 || value.len > size)
        return SPAN_NONE;
    memcpy(room, value.ptr, value.len);
    return span_of(room, value.len);
}

struct sasl_server *sasl_server_create(const struct sasl_setting *setting)
{
    struct sasl_server *server = mem_zalloc(sizeof *server);

    server->setting = *setting;
    server->setting.identity = keep(setting->identity, server->identity, sizeof server->identity);
    for (unsigned i = 0; i < SASL_BINDINGS; i++)
        server->setting.bindings[i] =
            keep(setting->bindings[i], server->bindings[i], SASL_BINDING_MAX);
    return server;
}

void sasl_server_free(struct sasl_server *server)
{
    crypto_cleanse(server, server != NULL ? sizeof *server : 0);
    free(server);
}

enum sasl_result sasl_fail(struct sasl_server *server, enum sasl_failure failure)
{
    server->state = SASL_STATE_OVER;
    server->failure = failure;
    crypto_cleanse(server->password, sizeof server->password);
    server->password_len = 0;
    return SASL_FAILED;
}

enum sasl_result sasl_succeed(struct sasl_server *server)
{
    server->state = SASL_STATE_OVER;
    return SASL_DONE;
}

bool sasl_take_user(struct sasl_server *server, struct span name)
{
    if (!auth_name_prepare(name, server->user))
        return false;
    server->user_len = name.len;
    return true;
}

bool sasl_is_own_identity(const struct sasl_server *server, struct span authzid)
{
    char prepared[AUTH_NAME_MAX];

    return authzid.len == 0 ||
           (auth_name_prepare(authzid, prepared) &&
            span_equal(span_of(prepared, authzid.len), sasl_server_user(server)));
}

static enum sasl_result challenge(struct sasl_server *server, struct span text,
                                  enum sasl_state next)
{
    memcpy(server->challenge, text.ptr, text.len);
    server->challenge_len = text.len;
    server->state = next;
    return SASL_CHALLENGE;
}

/* Names and passwords that nobody can have are wrong, not malformed. */
static enum sasl_result take_password(struct sasl_server *server, struct span password)
{
    if (!auth_password_is_valid(password))
        return sasl_fail(server, SASL_FAIL_CREDENTIALS);
    memcpy(server->password, password.ptr, password.len);
    server->password_len = password.len;
    server->state = SASL_STATE_VERIFY;
    return SASL_VERIFY;
}

/* RFC 4616 2: [authzid] NUL authcid NUL passwd */
static enum sasl_result step_plain(struct sasl_server *server, struct span response)
{
    struct span rest, password;
    size_t first = span_index(response, '\0');
    struct span authzid = span_split(response, '\0', &rest);
    size_t second = span_index(rest, '\0');
    struct span authcid = span_split(rest, '\0', &password);

    if (first == response.len || second == rest.len || authcid.len == 0 || password.len == 0 ||
        span_index(password, '\0') < password.len)
        return sasl_fail(server, SASL_FAIL_MALFORMED);
    if (!sasl_take_user(server, authcid) || !sasl_is_own_identity(server, authzid))
        return sasl_fail(server, SASL_FAIL_CREDENTIALS);
    return take_password(server, password);
}

static enum sasl_result step_login_user(struct sasl_server *server, struct span response)
{
    if (response.len == 0)
        return sasl_fail(server, SASL_FAIL_MALFORMED);
    if (!sasl_take_user(server, response))
        return sasl_fail(server, SASL_FAIL_CREDENTIALS);
    return challenge(server, SPAN("Password:"), SASL_STATE_LOGIN_PASSWORD);
}

/* RFC 4422 A: the response is the authorization identity or empty; the certificate is the proof. */
static enum sasl_result step_external(struct sasl_server *server, struct span response)
{
    if (!sasl_take_user(server, server->setting.identity) ||
        users_find(server->setting.users, sasl_server_user(server)) == NULL ||
        !sasl_is_own_identity(server, response))
        return sasl_fail(server, SASL_FAIL_CREDENTIALS);
    return sasl_succeed(server);
}

static enum sasl_result step_initial(struct sasl_server *server, struct span response)
{
    switch (server->mechanism) {
    case SASL_PLAIN:
        return step_plain(server, response);
    case SASL_LOGIN:
        return step_login_user(server, response);
    case SASL_SCRAM_SHA_256:
    case SASL_SCRAM_SHA_256_PLUS:
        return sasl_scram_first(server, response);
    case SASL_EXTERNAL:
        return step_external(server, response);
    case SASL_MECHANISMS:
        break;
    }
    return sasl_fail(server, SASL_FAIL_UNSUPPORTED);
}

enum sasl_result sasl_server_start(struct sasl_server *server, enum sasl_mechanism mechanism,
                                   bool has_initial, struct span initial)
{
    server->mechanism = mechanism;
    if (server->state != SASL_STATE_NEW || (server->setting.offered & 1u << mechanism) == 0)
        return sasl_fail(server, SASL_FAIL_UNSUPPORTED);
    server->state = SASL_STATE_INITIAL;
    if (has_initial)
        return sasl_server_step(server, initial);
    return challenge(server, mechanism == SASL_LOGIN ? SPAN("Username:") : SPAN(""),
                     SASL_STATE_INITIAL);
}

enum sasl_result sasl_server_step(struct sasl_server *server, struct span response)
{
    server->challenge_len = 0;
    if (response.len > SASL_RESPONSE_MAX)
        return sasl_fail(server, SASL_FAIL_MALFORMED);
    switch (server->state) {
    case SASL_STATE_INITIAL:
        return step_initial(server, response);
    case SASL_STATE_LOGIN_PASSWORD:
        return take_password(server, response);
    case SASL_STATE_SCRAM_FINAL:
        return sasl_scram_final(server, response);
    case SASL_STATE_SCRAM_EMPTY:
        return response.len == 0 ? sasl_succeed(server) : sasl_fail(server, SASL_FAIL_MALFORMED);
    case SASL_STATE_NEW:
    case SASL_STATE_VERIFY:
    case SASL_STATE_OVER:
        break;
    }
    return sasl_fail(server, SASL_FAIL_MALFORMED);
}

enum sasl_result sasl_server_verified(struct sasl_server *server, bool is_good)
{
    if (server->state != SASL_STATE_VERIFY || !is_good)
        return sasl_fail(server, SASL_FAIL_CREDENTIALS);
    crypto_cleanse(server->password, sizeof server->password);
    server->password_len = 0;
    return sasl_succeed(server);
}

struct span sasl_server_challenge(const struct sasl_server *server)
{
    return span_of(server->challenge, server->challenge_len);
}

struct span sasl_server_user(const struct sasl_server *server)
{
    return span_of(server->user, server->user_len);
}

struct span sasl_server_password(const struct sasl_server *server)
{
    return span_of(server->password, server->password_len);
}

enum sasl_failure sasl_server_failure(const struct sasl_server *server)
{
    return server->failure;
}
