#include "auth/sasl_client.h"

#include "auth/prepare.h"
#include "base/memory.h"

#include <stdlib.h>

enum {
    RESPONSE_MAX = 2048,
    MESSAGE_MAX = 4096, /* the AuthMessage */
};
_Static_assert(RESPONSE_MAX > 3 * AUTH_NAME_MAX + SCRAM_NONCE_MAX + 512,
               "a name may become three times as long as it is");

enum state {
    STATE_NEW,
    STATE_LAST_SENT, /* all has been said; the next is the server's verdict */
    STATE_LOGIN_USER,
    STATE_LOGIN_PASSWORD,
    STATE_SCRAM_FIRST_SENT,
    STATE_SCRAM_DERIVE,
    STATE_SCRAM_FINAL_SENT,
    STATE_OVER
};

struct sasl_client {
    enum sasl_mechanism mechanism;
    enum state state;
    bool convinced;
    char user[AUTH_NAME_MAX];
    size_t user_len;
    char password[AUTH_PASSWORD_MAX];
    size_t password_len;
    char gs2[64]; /* the GS2 header, then the binding's data */
    size_t gs2_len;
    char binding[SASL_BINDING_MAX];
    size_t binding_len;
    char nonce[SCRAM_NONCE_MAX]; /* ours, then both sides' */
    size_t nonce_len;
    char salt[SCRAM_SALT_MAX];
    size_t salt_len;
    unsigned iterations;
    struct scram_secret secret;
    struct crypto_digest signature; /* what the server must show */
    struct buf message;             /* the AuthMessage, as far as it goes */
    struct buf response;
};

static size_t keep(struct span value, char *room)
{
    if (value.len > 0)
        memcpy(room, value.ptr, value.len);
    return value.len;
}

static bool is_sound(const struct sasl_client_setting *setting)
{
    char prepared[AUTH_NAME_MAX];
    bool needs_password = setting->mechanism != SASL_EXTERNAL;

    if (!auth_name_prepare(setting->user, prepared) ||
        (needs_password && !auth_password_is_valid(setting->password)))
        return false;
    return setting->mechanism != SASL_SCRAM_SHA_256_PLUS ||
           (setting->binding_data.len > 0 && setting->binding_data.len <= SASL_BINDING_MAX);
}

static void write_gs2(struct sasl_client *client, const struct sasl_client_setting *setting)
{
    struct buf gs2;

    buf_init(&gs2, 0);
    if (setting->mechanism == SASL_SCRAM_SHA_256_PLUS)
        buf_addf(&gs2, "p=%s,,", sasl_binding_name(setting->binding));
    else
        buf_addf(&gs2, "%c,,", setting->would_bind ? 'y' : 'n');
    client->gs2_len = keep(buf_span(&gs2), client->gs2);
    buf_fini(&gs2);
}

struct sasl_client *sasl_client_create(const struct sasl_client_setting *setting)
{
    if (!is_sound(setting))
        return NULL;
    struct sasl_client *client = mem_zalloc(sizeof *client);
    client->mechanism = setting->mechanism;
    client->user_len = keep(setting->user, client->user);
    if (setting->mechanism != SASL_EXTERNAL)
        client->password_len = keep(setting->password, client->password);
    if (setting->mechanism == SASL_SCRAM_SHA_256_PLUS)
        client->binding_len = keep(setting->binding_data, client->binding);
    client->nonce_len = keep(span_head(setting->nonce, SCRAM_NONCE_TEXT), client->nonce);
    write_gs2(client, setting);
    /* Room for all from the start: growing would leave copies behind. */
    buf_init(&client->message, MESSAGE_MAX);
    buf_init(&client->response, RESPONSE_MAX);
    buf_reserve(&client->message, MESSAGE_MAX);
    buf_reserve(&client->response, RESPONSE_MAX);
    return client;
}

void sasl_client_free(struct sasl_client *client)
{
    if (client == NULL)
        return;
    crypto_cleanse(client->response.data, client->response.cap);
    crypto_cleanse(client->message.data, client->message.cap);
    buf_fini(&client->response);
    buf_fini(&client->message);
    crypto_cleanse(client, sizeof *client);
    free(client);
}

static enum sasl_client_result fail(struct sasl_client *client)
{
    client->state = STATE_OVER;
    client->convinced = false;
    return SASL_CLIENT_FAILED;
}

static struct span name_of(const struct sasl_client *client)
{
    return span_of(client->user, client->user_len);
}

static struct span password_of(const struct sasl_client *client)
{
    return span_of(client->password, client->password_len);
}

/* The names of the settings are bounded: all that is written here fits. */
static void say(struct sasl_client *client, struct span text)
{
    if (!buf_append(&client->response, text))
        abort();
}

/* All that this side has to say; where nothing else is asked for, the server is believed. */
static enum sasl_client_result say_last(struct sasl_client *client, struct span text)
{
    say(client, text);
    client->state = STATE_LAST_SENT;
    client->convinced = true;
    return SASL_CLIENT_SEND;
}

static enum sasl_client_result start_plain(struct sasl_client *client)
{
    say(client, span_of("", 1));
    say(client, name_of(client));
    say(client, span_of("", 1));
    return say_last(client, password_of(client));
}

/* RFC 5802 5.1: the two characters that separate attributes. */
static void say_name(struct sasl_client *client)
{
    for (size_t i = 0; i < client->user_len; i++) {
        char c = client->user[i];
        say(client, c == ',' ? SPAN("=2C") : c == '=' ? SPAN("=3D") : span_of(&c, 1));
    }
}

static bool remember(struct sasl_client *client, struct span part)
{
    return buf_append(&client->message, part) && buf_append(&client->message, SPAN(","));
}

static enum sasl_client_result start_scram(struct sasl_client *client)
{
    if (client->nonce_len == 0) {
        scram_nonce_make(client->nonce);
        client->nonce_len = SCRAM_NONCE_TEXT;
    }
    say(client, span_of(client->gs2, client->gs2_len));
    say(client, SPAN("n="));
    say_name(client);
    say(client, SPAN(",r="));
    say(client, span_of(client->nonce, client->nonce_len));
    client->state = STATE_SCRAM_FIRST_SENT;
    return remember(client, span_from(buf_span(&client->response), client->gs2_len))
               ? SASL_CLIENT_SEND
               : fail(client);
}

enum sasl_client_result sasl_client_start(struct sasl_client *client)
{
    switch (client->mechanism) {
    case SASL_PLAIN:
        return start_plain(client);
    case SASL_LOGIN:
        client->state = STATE_LOGIN_USER;
        return SASL_CLIENT_WAIT;
    case SASL_SCRAM_SHA_256:
    case SASL_SCRAM_SHA_256_PLUS:
        return start_scram(client);
    case SASL_EXTERNAL:
        return say_last(client, name_of(client));
    case SASL_MECHANISMS:
        break;
    }
    return fail(client);
}

/* server-first-message. Both the nonce and the cost are checked: RFC 5802 5.1, 9. */
static enum sasl_client_result read_first(struct sasl_client *client, struct span challenge)
{
    struct span rest = challenge, nonce, salt, number;
    uint64_t iterations;

    if (!scram_take(&rest, 'r', &nonce) || !scram_take(&rest, 's', &salt) ||
        !scram_take(&rest, 'i', &number) || !span_parse_u64(number, &iterations) ||
        iterations < SCRAM_ITERATIONS_MIN || iterations > SCRAM_ITERATIONS_MAX)
        return fail(client);
    if (!scram_nonce_is_valid(nonce) || nonce.len <= client->nonce_len ||
        !span_equal(span_head(nonce, client->nonce_len), span_of(client->nonce, client->nonce_len)))
        return fail(client);
    if (!base64_decode(salt, client->salt, sizeof client->salt, &client->salt_len) ||
        client->salt_len == 0 || !remember(client, challenge))
        return fail(client);
    client->nonce_len = keep(nonce, client->nonce);
    client->iterations = (unsigned)iterations;
    client->state = STATE_SCRAM_DERIVE;
    return SASL_CLIENT_DERIVE;
}

void sasl_client_derive(struct sasl_client *client)
{
    scram_secret_derive(password_of(client), span_of(client->salt, client->salt_len),
                        client->iterations, &client->secret);
}

/* client-final-message */
enum sasl_client_result sasl_client_derived(struct sasl_client *client)
{
    char bound[sizeof client->gs2 + SASL_BINDING_MAX], text[BASE64_TEXT_LEN(sizeof bound)];
    char proof_text[SCRAM_PROOF_TEXT];
    struct crypto_digest proof;

    if (client->state != STATE_SCRAM_DERIVE)
        return fail(client);
    size_t len = keep(span_of(client->gs2, client->gs2_len), bound);
    len += keep(span_of(client->binding, client->binding_len), bound + len);
    buf_clear(&client->response);
    say(client, SPAN("c="));
    say(client, span_of(text, base64_encode(span_of(bound, len), text)));
    say(client, SPAN(",r="));
    say(client, span_of(client->nonce, client->nonce_len));
    if (!buf_append(&client->message, buf_span(&client->response)))
        return fail(client);
    scram_client_proof(&client->secret, buf_span(&client->message), &proof);
    scram_server_signature(&client->secret.server, buf_span(&client->message), &client->signature);
    say(client, SPAN(",p="));
    say(client, span_of(proof_text, base64_encode(crypto_span(&proof), proof_text)));
    client->state = STATE_SCRAM_FINAL_SENT;
    return SASL_CLIENT_SEND;
}

/* server-final-message; "e=" is there where it does not like the proof. */
static enum sasl_client_result read_final(struct sasl_client *client, struct span challenge)
{
    struct span text;
    struct crypto_digest signature;

    if (!scram_take(&challenge, 'v', &text) || !scram_digest_decode(text, &signature) ||
        !crypto_equal(crypto_span(&signature), crypto_span(&client->signature)))
        return fail(client);
    return say_last(client, SPAN_NONE);
}

enum sasl_client_result sasl_client_step(struct sasl_client *client, struct span challenge)
{
    buf_clear(&client->response);
    switch (client->state) {
    case STATE_LOGIN_USER: /* what LOGIN asks is words for people: the order is what counts */
        say(client, name_of(client));
        client->state = STATE_LOGIN_PASSWORD;
        return SASL_CLIENT_SEND;
    case STATE_LOGIN_PASSWORD:
        return say_last(client, password_of(client));
    case STATE_SCRAM_FIRST_SENT:
        return read_first(client, challenge);
    case STATE_SCRAM_FINAL_SENT:
        return read_final(client, challenge);
    case STATE_NEW:
    case STATE_LAST_SENT:
    case STATE_SCRAM_DERIVE:
    case STATE_OVER:
        break;
    }
    return fail(client);
}

struct span sasl_client_response(const struct sasl_client *client)
{
    return buf_span(&client->response);
}

bool sasl_client_is_convinced(const struct sasl_client *client)
{
    return client->convinced;
}
