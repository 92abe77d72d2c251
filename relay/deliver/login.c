#include "deliver/login.h"

#include "auth/sasl_client.h"
#include "base/log.h"
#include "deliver/session.h"

#include <stdlib.h>

enum { COMMAND_MAX = 512 /* RFC 4954 4: AUTH with its response is a command line like others */ };

struct deliver_login {
    struct deliver_session *session;
    struct deliver_credentials credentials;
    enum sasl_mechanism mechanism;
    struct sasl_client *client;
    bool holds_response; /* the first one: it goes behind the first 334 */
    bool deriving;
    struct work work;
};

static struct span copy(struct span text)
{
    return span_of(span_to_text(text), text.len);
}

struct deliver_login *deliver_login_create(struct deliver_session *session,
                                           const struct deliver_credentials *credentials)
{
    if (credentials == NULL)
        return NULL;
    struct deliver_login *login = mem_zalloc(sizeof *login);
    login->session = session;
    login->credentials = *credentials;
    login->credentials.name = copy(credentials->name);
    login->credentials.user = copy(credentials->user);
    login->credentials.password = copy(credentials->password);
    return login;
}

static void erase(struct span text)
{
    crypto_cleanse((char *)(uintptr_t)text.ptr, text.len);
    free((char *)(uintptr_t)text.ptr);
}

void deliver_login_free(struct deliver_login *login)
{
    if (login == NULL)
        return;
    sasl_client_free(login->client);
    erase(login->credentials.name);
    erase(login->credentials.user);
    erase(login->credentials.password);
    free(login);
}

bool deliver_login_is_deriving(const struct deliver_login *login)
{
    return login != NULL && login->deriving;
}

/* ---- the end ------------------------------------------------------------------------------- */

static void log_login(const struct deliver_session *s, const struct status *status)
{
    const struct deliver_login *login = s->login;
    bool good = status_is_success(status);
    struct log_line line;

    if (!log_begin(&line, good ? LOG_DEBUG : LOG_WARN,
                   good ? "next-hop-login" : "next-hop-login-failed"))
        return;
    log_span(&line, "host", s->by);
    log_span(&line, "credentials", login->credentials.name);
    log_text(&line, "mechanism",
             login->client != NULL ? sasl_mechanism_name(login->mechanism) : "");
    log_text(&line, "tls", s->tls);
    log_u64(&line, "code", status->code);
    log_span(&line, "text", status->text);
    log_end(&line);
}

/* The credentials are named, for those who will look for the reason in the queue. */
static void fail(struct deliver_session *s, struct status status)
{
    log_login(s, &status);
    status.text = arena_printf(&s->arena, "login with credentials \"%.*s\": %.*s",
                               SPAN_ARG(s->login->credentials.name), SPAN_ARG(status.text));
    deliver_fail(s, &status);
}

static void fail_own(struct deliver_session *s, enum verdict_own why)
{
    fail(s, verdict_of_own(why));
}

/* ---- the exchange -------------------------------------------------------------------------- */

static void send_response(struct deliver_session *s)
{
    struct buf *out = conn_output(s->conn);
    struct span response = sasl_client_response(s->login->client);
    char *room = buf_reserve(out, BASE64_TEXT_LEN(response.len));

    buf_commit(out, base64_encode(response, room));
    buf_add(out, SPAN("\r\n"));
    conn_written(s->conn);
    deliver_enter(s, DELIVER_STATE_AUTH);
}

static void go_on(struct deliver_session *s, enum sasl_client_result result);

static void run_derive(struct work *work)
{
    sasl_client_derive(container_of(work, struct deliver_login, work)->client);
}

static void on_derived(struct call *call)
{
    struct work *work = container_of(call, struct work, call);
    struct deliver_login *login = container_of(work, struct deliver_login, work);
    struct deliver_session *s = login->session;

    login->deriving = false;
    if (s->state == DELIVER_STATE_DERIVE)
        go_on(s, sasl_client_derived(login->client));
    else
        deliver_release_if_free(s);
}

static void start_derive(struct deliver_session *s)
{
    struct deliver_login *login = s->login;

    deliver_enter(s, DELIVER_STATE_DERIVE);
    login->deriving = true;
    login->work.run = run_derive;
    login->work.call.done = on_derived;
    list_init(&login->work.call.link);
    loop_work(s->options.loop, &login->work);
}

static void go_on(struct deliver_session *s, enum sasl_client_result result)
{
    switch (result) {
    case SASL_CLIENT_SEND:
        send_response(s);
        break;
    case SASL_CLIENT_DERIVE:
        start_derive(s);
        break;
    case SASL_CLIENT_WAIT:
    case SASL_CLIENT_FAILED:
        fail_own(s, VERDICT_LOGIN_NONSENSE);
        break;
    }
}

static void on_challenge(struct deliver_session *s, const struct smtp_reply *reply)
{
    struct deliver_login *login = s->login;
    char *challenge = arena_alloc(&s->arena, reply->text.len + 1);
    size_t len;

    if (login->holds_response) {
        login->holds_response = false;
        send_response(s);
    } else if (reply->truncated ||
               !base64_decode(reply->text, challenge, reply->text.len + 1, &len)) {
        fail_own(s, VERDICT_LOGIN_NONSENSE);
    } else {
        go_on(s, sasl_client_step(login->client, span_of(challenge, len)));
    }
}

void deliver_on_auth_reply(struct deliver_session *s, const struct smtp_reply *reply)
{
    struct verdict_reply said = {.state = s->state, .reply = reply};

    if (reply->code == 334) {
        on_challenge(s, reply);
        return;
    }
    struct status status = verdict_of_reply(&said, &s->arena);
    if (!status_is_success(&status)) {
        fail(s, status);
    } else if (!sasl_client_is_convinced(s->login->client)) {
        fail_own(s, VERDICT_LOGIN_UNPROVED);
    } else {
        log_login(s, &status);
        deliver_login_free(s->login);
        s->login = NULL;
        deliver_enter(s, DELIVER_STATE_READY);
    }
}

/* ---- the beginning ------------------------------------------------------------------------- */

/* What binds the exchange to this TLS connection; empty where nothing does. */
static struct span find_binding(const struct deliver_session *s, char *room,
                                enum sasl_binding *kind_out)
{
    unsigned char *bytes = (unsigned char *)room;
    struct span data = conn_tls_binding(s->conn, CONN_BINDING_EXPORTER, bytes, SASL_BINDING_MAX);

    *kind_out = SASL_BINDING_TLS_EXPORTER;
    if (data.len == 0) {
        data = conn_tls_binding(s->conn, CONN_BINDING_UNIQUE, bytes, SASL_BINDING_MAX);
        *kind_out = SASL_BINDING_TLS_UNIQUE;
    }
    return data;
}

/* The best that both sides have; false where there is none. */
static bool choose_mechanism(unsigned offered, bool can_bind, enum sasl_mechanism *out)
{
    static const struct {
        unsigned bit;
        enum sasl_mechanism mechanism;
    } best_first[] = {
        {SMTP_AUTH_SCRAM_SHA_256_PLUS, SASL_SCRAM_SHA_256_PLUS},
        {SMTP_AUTH_SCRAM_SHA_256, SASL_SCRAM_SHA_256},
        {SMTP_AUTH_PLAIN, SASL_PLAIN},
        {SMTP_AUTH_LOGIN, SASL_LOGIN},
    };

    for (size_t i = 0; i < sizeof best_first / sizeof best_first[0]; i++) {
        bool binds = best_first[i].mechanism == SASL_SCRAM_SHA_256_PLUS;
        if ((offered & best_first[i].bit) == 0 || (binds && !can_bind))
            continue;
        *out = best_first[i].mechanism;
        return true;
    }
    return false;
}

static void say_auth(struct deliver_session *s)
{
    struct deliver_login *login = s->login;
    const char *name = sasl_mechanism_name(login->mechanism);
    enum sasl_client_result result = sasl_client_start(login->client);
    size_t len = strlen("AUTH  \r\n") + strlen(name) +
                 BASE64_TEXT_LEN(sasl_client_response(login->client).len);

    login->holds_response = result == SASL_CLIENT_SEND && len > COMMAND_MAX;
    buf_addf(conn_output(s->conn), "AUTH %s", name);
    if (result == SASL_CLIENT_SEND && !login->holds_response) {
        buf_add(conn_output(s->conn), SPAN(" "));
        send_response(s);
    } else {
        buf_add(conn_output(s->conn), SPAN("\r\n"));
        conn_written(s->conn);
        deliver_enter(s, DELIVER_STATE_AUTH);
    }
}

static void start_client(struct deliver_session *s)
{
    struct deliver_login *login = s->login;
    char room[SASL_BINDING_MAX];
    struct sasl_client_setting setting = {
        .user = login->credentials.user,
        .password = login->credentials.password,
    };

    setting.binding_data = find_binding(s, room, &setting.binding);
    setting.would_bind = setting.binding_data.len > 0;
    if (!choose_mechanism(s->offer.auth, setting.would_bind, &login->mechanism)) {
        fail_own(s, VERDICT_NO_MECHANISM);
        return;
    }
    setting.mechanism = login->mechanism;
    login->client = sasl_client_create(&setting);
    if (login->client == NULL)
        fail_own(s, VERDICT_BAD_CREDENTIALS);
    else
        say_auth(s);
}

void deliver_login_begin(struct deliver_session *s)
{
    const struct deliver_credentials *credentials = &s->login->credentials;

    if (credentials->user.len == 0)
        fail_own(s, VERDICT_NO_CREDENTIALS);
    else if (!credentials->without_tls && !(s->is_verified && s->options.is_told))
        fail_own(s, VERDICT_LOGIN_UNSAFE);
    else if (!deliver_is_offered(s, SMTP_EXT_AUTH))
        fail_own(s, VERDICT_NO_AUTH);
    else
        start_client(s);
}
