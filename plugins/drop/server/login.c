#include "plugins/drop/server/login.h"

#include "auth/base64.h"
#include "auth/prepare.h"
#include "base/memory.h"

#include <stdlib.h>

static struct auth *auth_of(const struct login *login)
{
    return login->session->worker->auth;
}

static const struct sockaddr *peer_of(const struct login *login)
{
    return (const struct sockaddr *)&login->session->peer;
}

unsigned login_mechanisms(const struct drop_session *session)
{
    unsigned mechanisms = 1u << SASL_SCRAM_SHA_256;

    if (session->worker->auth == NULL || session->user[0] != '\0')
        return 0;
    if (drop_session_may_log_in(session))
        mechanisms |= 1u << SASL_PLAIN | 1u << SASL_LOGIN;
    if (session->is_tls)
        mechanisms |= 1u << SASL_SCRAM_SHA_256_PLUS;
    return mechanisms;
}

/* The exchange is over, or waits for the client; told from the loop. */
static void tell(struct login *login, enum login_event event)
{
    login->event = event;
    login->is_telling = true;
    loop_defer(login->session->worker->loop, &login->tell);
}

static void forget(struct login *login)
{
    sasl_server_free(login->sasl);
    users_unref(login->users);
    free(login->name);
    login->sasl = NULL;
    login->name = NULL;
    login->users = NULL;
}

static void on_tell(struct call *call)
{
    struct login *login = container_of(call, struct login, tell);

    login->is_telling = false;
    if (login->is_gone || login->event != LOGIN_CHALLENGE)
        forget(login);
    if (login->is_gone)
        login->ended(login);
    else
        login->told(login, login->event);
}

static void log_login(struct login *login, struct span user, bool is_good)
{
    struct log_line line;

    if (!drop_session_log(login->session, &line, is_good ? LOG_INFO : LOG_WARN,
                          is_good ? "login" : "login-failed"))
        return;
    if (!is_good)
        log_span(&line, "user", user);
    log_text(&line, "mechanism", login->mechanism);
    log_end(&line);
}

static void succeed(struct login *login, struct span user)
{
    if (!drop_session_login(login->session, user)) {
        tell(login, LOGIN_TOO_MANY);
        return;
    }
    log_login(login, user, true);
    drop_session_count(login->session, DROP_COUNT_LOGINS);
    tell(login, LOGIN_GOOD);
}

static void fail(struct login *login, struct span user)
{
    log_login(login, user, false);
    drop_session_count(login->session, DROP_COUNT_LOGINS_FAILED);
    tell(login, LOGIN_BAD);
}

static void go_on(struct login *login, enum sasl_result result);

/* A password that was hashed has been noted for the back-off already. */
static void on_verified(struct call *call)
{
    struct auth_verify *verify = container_of(call, struct auth_verify, call);
    struct login *login = container_of(verify, struct login, verify);

    login->is_hashing = false;
    if (login->is_gone || verify->result == AUTH_LATER) {
        tell(login, LOGIN_LATER);
        return;
    }
    if (login->sasl != NULL)
        go_on(login, sasl_server_verified(login->sasl, verify->result == AUTH_GOOD));
    else if (verify->result == AUTH_GOOD)
        succeed(login, span_cstr(login->name));
    else
        fail(login, span_cstr(login->name));
}

/* Clients like to send the whole address: alice@example.org is alice where there is no user of that
 * name, and the domain is local. */
static struct span own_name(const struct login *login, struct span name)
{
    size_t at = span_rindex(name, '@');

    if (at == name.len)
        return name;
    struct users *users = auth_users(auth_of(login));
    struct addresses *addresses = drop_worker_addresses(login->session->worker);
    bool is_short = users_find(users, name) == NULL &&
                    users_find(users, span_head(name, at)) != NULL &&
                    addresses_is_local(addresses, span_from(name, at + 1));
    addresses_unref(addresses);
    users_unref(users);
    return is_short ? span_head(name, at) : name;
}

static void verify(struct login *login, struct span user, struct span password)
{
    user = own_name(login, user);
    login->name = span_to_text(user);
    login->verify = (struct auth_verify){.call.done = on_verified};
    list_init(&login->verify.call.link);
    login->is_hashing = true;
    login->is_hashed = true;
    auth_verify_start(&login->verify, auth_of(login), login->session->worker->loop, peer_of(login),
                      user, password);
}

static void note(struct login *login, bool is_good)
{
    if (login->is_hashed)
        return;
    auth_note(auth_of(login), peer_of(login), sasl_server_user(login->sasl), is_good);
}

static void on_failed(struct login *login)
{
    switch (sasl_server_failure(login->sasl)) {
    case SASL_FAIL_UNSUPPORTED:
        tell(login, LOGIN_UNSUPPORTED);
        break;
    case SASL_FAIL_MALFORMED:
        tell(login, LOGIN_MALFORMED);
        break;
    default:
        note(login, false);
        fail(login, sasl_server_user(login->sasl));
        break;
    }
}

/* SCRAM has named its user; guesses at one user from many addresses are held back as well. */
static bool is_held_back(const struct login *login)
{
    struct span user = sasl_server_user(login->sasl);

    return user.len > 0 && auth_delay(auth_of(login), peer_of(login), user) > 0;
}

static void go_on(struct login *login, enum sasl_result result)
{
    switch (result) {
    case SASL_CHALLENGE:
        tell(login, is_held_back(login) ? LOGIN_LATER : LOGIN_CHALLENGE);
        break;
    case SASL_VERIFY:
        verify(login, sasl_server_user(login->sasl), sasl_server_password(login->sasl));
        break;
    case SASL_DONE:
        note(login, true);
        succeed(login,
                login->name != NULL ? span_cstr(login->name) : sasl_server_user(login->sasl));
        break;
    case SASL_FAILED:
        on_failed(login);
        break;
    }
}

/* False where it ends here. */
static bool begin(struct login *login, struct drop_session *session)
{
    login->session = session;
    login->is_hashed = false;
    list_init(&login->tell.link);
    login->tell.done = on_tell;
    if (session->worker->auth == NULL) {
        tell(login, LOGIN_UNSUPPORTED);
        return false;
    }
    if (auth_delay(session->worker->auth, peer_of(login), SPAN_NONE) > 0) {
        tell(login, LOGIN_LATER);
        return false;
    }
    return true;
}

static void create_exchange(struct login *login, unsigned offered)
{
    unsigned char exporter[SASL_BINDING_MAX], unique[SASL_BINDING_MAX];
    const struct conn *conn = login->session->conn;

    login->users = auth_users(auth_of(login));
    struct sasl_setting setting = {
        .offered = offered,
        .users = login->users,
        .secret = auth_secret(auth_of(login)),
    };
    setting.bindings[SASL_BINDING_TLS_EXPORTER] =
        conn_tls_binding(conn, CONN_BINDING_EXPORTER, exporter, sizeof exporter);
    setting.bindings[SASL_BINDING_TLS_UNIQUE] =
        conn_tls_binding(conn, CONN_BINDING_UNIQUE, unique, sizeof unique);
    login->sasl = sasl_server_create(&setting);
}

/* What they send is a password. */
static bool is_plain(enum sasl_mechanism mechanism)
{
    return mechanism == SASL_PLAIN || mechanism == SASL_LOGIN;
}

void login_start(struct login *login, struct drop_session *session, struct span mechanism,
                 bool has_initial, struct span initial)
{
    unsigned offered = login_mechanisms(session);
    enum sasl_mechanism found;
    char room[SASL_RESPONSE_MAX];
    size_t len = 0;

    login->mechanism = "";
    if (!begin(login, session))
        return;
    bool is_known = sasl_mechanism_find(mechanism, &found);
    if (is_known && is_plain(found) && !drop_session_may_log_in(session)) {
        tell(login, LOGIN_INSECURE);
        return;
    }
    if (!is_known || !(offered & 1u << found)) {
        tell(login, LOGIN_UNSUPPORTED);
        return;
    }
    login->mechanism = sasl_mechanism_name(found);
    if (span_equal(initial, SPAN("=")))
        initial = SPAN_NONE;
    if (has_initial && !base64_decode(initial, room, sizeof room, &len)) {
        tell(login, LOGIN_MALFORMED);
        return;
    }
    create_exchange(login, offered);
    go_on(login, sasl_server_start(login->sasl, found, has_initial, span_of(room, len)));
    crypto_cleanse(room, len);
}

void login_password(struct login *login, struct drop_session *session, struct span user,
                    struct span password)
{
    char name[AUTH_NAME_MAX];

    login->mechanism = "password";
    if (!begin(login, session))
        return;
    if (!drop_session_may_log_in(session)) {
        tell(login, LOGIN_INSECURE);
        return;
    }
    if (!auth_name_prepare(user, name)) {
        auth_note(session->worker->auth, peer_of(login), SPAN_NONE, false);
        fail(login, user);
        return;
    }
    verify(login, span_of(name, user.len), password);
}

void login_response(struct login *login, struct span line)
{
    char room[SASL_RESPONSE_MAX];
    size_t len;

    if (span_equal(line, SPAN("*")) || !base64_decode(line, room, sizeof room, &len)) {
        tell(login, LOGIN_MALFORMED);
        return;
    }
    go_on(login, sasl_server_step(login->sasl, span_of(room, len)));
    crypto_cleanse(room, len);
}

void login_challenge(struct login *login, struct buf *out)
{
    char text[BASE64_TEXT_LEN(SASL_CHALLENGE_MAX)];
    size_t len = base64_encode(sasl_server_challenge(login->sasl), text);

    buf_add(out, span_of(text, len));
}

bool login_end(struct login *login, void (*ended)(struct login *login))
{
    login->is_gone = true;
    login->ended = ended;
    if (login->is_hashing)
        auth_verify_cancel(&login->verify);
    if (login->is_hashing || login->is_telling)
        return false;
    forget(login);
    return true;
}
