/*
 * AUTH (RFC 4954): the dialogue around a SASL mechanism, and what a user who has logged in may use
 * as sender (RFC 6409 6.1).
 */
#include "receive/session.h"

#include "auth/sasl.h"
#include "auth/verify.h"
#include "base/log.h"

#include <stdlib.h>

/* One exchange under way. It outlives its session while a password is being checked. */
struct session_auth {
    struct session *session; /* NULL when the client has gone */
    struct receive_server *server;
    struct sasl_server *sasl;
    struct users *users;
    struct auth_verify verify;
    enum sasl_mechanism mechanism;
    bool verifying;
};

enum { CHALLENGE_TEXT_MAX = BASE64_TEXT_LEN(SASL_CHALLENGE_MAX) };

/* Their bits are used for each other. */
_Static_assert((int)CONF_MECHANISM_PLAIN == (int)SASL_PLAIN &&
                   (int)CONF_MECHANISM_LOGIN == (int)SASL_LOGIN &&
                   (int)CONF_MECHANISM_SCRAM_SHA_256 == (int)SASL_SCRAM_SHA_256 &&
                   (int)CONF_MECHANISM_SCRAM_SHA_256_PLUS == (int)SASL_SCRAM_SHA_256_PLUS &&
                   (int)CONF_MECHANISM_EXTERNAL == (int)SASL_EXTERNAL,
               "mechanisms have the same numbers");

/* Whether users can log in here at all, be it after STARTTLS. */
static bool takes_log_ins(const struct session *s)
{
    return s->server->auth != NULL &&
           (s->listener.auth || s->listener.role == CONF_ROLE_SUBMISSION);
}

/* Whether they can now. */
static bool may_log_in(const struct session *s)
{
    return takes_log_ins(s) && (s->secured || s->conf->auth_without_tls) &&
           !certificate_is_missing(s);
}

/* Whether the client's certificate is somebody's. */
static bool has_user(const struct session *s)
{
    struct users *users = auth_users(s->server->auth);
    bool found = certificate_user(s, users).len > 0;

    users_unref(users);
    return found;
}

static unsigned offered_mechanisms(const struct session *s)
{
    unsigned offered = 1u << SASL_PLAIN | 1u << SASL_LOGIN | 1u << SASL_SCRAM_SHA_256;

    if (s->secured)
        offered |= 1u << SASL_SCRAM_SHA_256_PLUS;
    if (s->certificate != NULL && has_user(s))
        offered |= 1u << SASL_EXTERNAL;
    return offered & ~s->conf->auth_mechanisms_off;
}

bool auth_is_offered(const struct session *s)
{
    return may_log_in(s) && offered_mechanisms(s) != 0;
}

void auth_list_mechanisms(const struct session *s, struct buf *out)
{
    unsigned offered = offered_mechanisms(s);

    buf_add(out, SPAN("\nAUTH"));
    for (unsigned i = 0; i < SASL_MECHANISMS; i++)
        if (offered & 1u << i)
            buf_addf(out, " %s", sasl_mechanism_name(i));
}

static void exchange_free(struct session_auth *x)
{
    sasl_server_free(x->sasl);
    users_unref(x->users);
    free(x);
}

/* Back to commands, whatever came of it. */
static void leave(struct session *s)
{
    struct session_auth *x = s->auth;

    s->auth = NULL;
    smtp_command_parser_set_max(&s->parser, s->conf->command_line_max);
    if (s->state == SESSION_AUTH || s->state == SESSION_VERIFY)
        session_enter(s, SESSION_COMMAND);
    exchange_free(x);
}

void auth_abandon(struct session *s)
{
    struct session_auth *x = s->auth;

    if (x == NULL)
        return;
    s->auth = NULL;
    x->session = NULL;
    if (!x->verifying) {
        exchange_free(x);
        return;
    }
    x->server->detached++;
    auth_verify_cancel(&x->verify);
}

static void log_auth(const struct session *s, bool good)
{
    struct log_line line;

    if (!log_begin(&line, good ? LOG_INFO : LOG_WARN, good ? "login" : "login-failed"))
        return;
    log_u64(&line, "sid", s->id);
    log_text(&line, "client", s->client);
    log_span(&line, "user", sasl_server_user(s->auth->sasl));
    log_text(&line, "mechanism", sasl_mechanism_name(s->auth->mechanism));
    log_end(&line);
}

/* Passwords that were hashed have been noted for the back-off already. */
static void note(const struct session *s, bool good)
{
    const struct session_auth *x = s->auth;

    if (x->mechanism != SASL_PLAIN && x->mechanism != SASL_LOGIN)
        auth_note(s->server->auth, session_peer(s), sasl_server_user(x->sasl), good);
}

static void on_let_in(struct session *s, const struct status *refusal)
{
    log_auth(s, refusal == NULL);
    if (refusal != NULL) {
        free(s->user);
        s->user = NULL;
        s->mechanism = NULL;
        session_judge_peer(s);
        hooks_refuse(s, refusal);
    } else {
        rates_log_in(s);
        session_reply(s, 235, ESC(2, 7, 0), "Logged in");
    }
    leave(s);
}

/* Plugins see the user as one who has logged in. */
static void succeed(struct session *s)
{
    note(s, true);
    s->user = span_to_text(sasl_server_user(s->auth->sasl));
    s->mechanism = sasl_mechanism_name(s->auth->mechanism);
    s->may_relay = true;
    hooks_ask(s, SMARTHOP_ON_AUTH, on_let_in);
}

static void fail(struct session *s)
{
    enum sasl_failure why = sasl_server_failure(s->auth->sasl);

    switch (why) {
    case SASL_FAIL_UNSUPPORTED:
        session_refuse(s, 504, ESC(5, 5, 4), "This mechanism is not offered");
        break;
    case SASL_FAIL_MALFORMED:
        session_refuse(s, 501, ESC(5, 5, 2), "This response does not fit the mechanism");
        break;
    case SASL_FAIL_NONE:
    case SASL_FAIL_CREDENTIALS:
    case SASL_FAIL_BINDING:
        log_auth(s, false);
        note(s, false);
        count(&s->server->counters.rejected);
        session_refuse(s, 535, ESC(5, 7, 8), "User name or password is not right");
        break;
    }
    leave(s);
}

static void go_on(struct session *s, enum sasl_result result);

static void on_verified(struct call *call)
{
    struct auth_verify *verify = container_of(call, struct auth_verify, call);
    struct session_auth *x = container_of(verify, struct session_auth, verify);
    struct session *s = x->session;

    x->verifying = false;
    if (s == NULL) {
        x->server->detached--;
        server_check_stopped(x->server);
        exchange_free(x);
        return;
    }
    if (verify->result == AUTH_LATER) {
        session_reply(s, 454, ESC(4, 7, 0), "Too many log-ins for now, try again later");
        leave(s);
    } else {
        go_on(s, sasl_server_verified(x->sasl, verify->result == AUTH_GOOD));
    }
    session_run(s);
}

static void verify(struct session *s)
{
    struct session_auth *x = s->auth;

    session_enter(s, SESSION_VERIFY);
    x->verifying = true;
    x->verify = (struct auth_verify){.call.done = on_verified};
    list_init(&x->verify.call.link);
    auth_verify_start(&x->verify, s->server->auth, s->server->loop, session_peer(s),
                      sasl_server_user(x->sasl), sasl_server_password(x->sasl));
}

static void challenge(struct session *s)
{
    char text[CHALLENGE_TEXT_MAX];
    size_t len = base64_encode(sasl_server_challenge(s->auth->sasl), text);

    buf_addf(conn_output(s->conn), "334 %.*s\r\n", (int)len, text);
    conn_written(s->conn);
    if (s->is_tapped)
        tapped_challenge(s);
    smtp_command_parser_set_max(&s->parser, SASL_LINE_MAX);
    session_enter(s, SESSION_AUTH);
}

/* SCRAM has named its user now; guesses at one user from many addresses are held back as well. */
static bool is_held_back(struct session *s)
{
    struct span user = sasl_server_user(s->auth->sasl);

    if (user.len == 0 || auth_delay(s->server->auth, session_peer(s), user) == 0)
        return false;
    session_reply(s, 454, ESC(4, 7, 0), "Too many failed log-ins, try again later");
    leave(s);
    return true;
}

static void go_on(struct session *s, enum sasl_result result)
{
    switch (result) {
    case SASL_CHALLENGE:
        if (!is_held_back(s))
            challenge(s);
        break;
    case SASL_VERIFY:
        verify(s);
        break;
    case SASL_DONE:
        succeed(s);
        break;
    case SASL_FAILED:
        fail(s);
        break;
    }
}

static bool decode(struct span text, char *room, size_t size, struct span *out)
{
    size_t len = 0;

    if (!base64_decode(text, room, size, &len))
        return false;
    *out = span_of(room, len);
    return true;
}

/* RFC 4954 4: "=" stands for an initial response that is empty. */
static bool decode_initial(struct span text, char *room, size_t size, struct span *out)
{
    return decode(span_equal(text, SPAN("=")) ? SPAN_NONE : text, room, size, out);
}

static void create_exchange(struct session *s, enum sasl_mechanism mechanism)
{
    struct session_auth *x = mem_zalloc(sizeof *x);
    unsigned char exporter[SASL_BINDING_MAX], unique[SASL_BINDING_MAX];
    struct sasl_setting setting = {.offered = offered_mechanisms(s),
                                   .secret = auth_secret(s->server->auth)};

    x->session = s;
    x->server = s->server;
    x->mechanism = mechanism;
    x->users = auth_users(s->server->auth);
    setting.users = x->users;
    setting.identity = certificate_user(s, x->users);
    setting.bindings[SASL_BINDING_TLS_EXPORTER] =
        conn_tls_binding(s->conn, CONN_BINDING_EXPORTER, exporter, sizeof exporter);
    setting.bindings[SASL_BINDING_TLS_UNIQUE] =
        conn_tls_binding(s->conn, CONN_BINDING_UNIQUE, unique, sizeof unique);
    x->sasl = sasl_server_create(&setting);
    s->auth = x;
}

static bool may_begin(struct session *s)
{
    if (!takes_log_ins(s)) {
        session_refuse(s, 502, ESC(5, 5, 1), "AUTH is not available here");
    } else if (!certificate_lets_in(s)) {
        return false;
    } else if (!may_log_in(s)) {
        session_refuse(s, 538, ESC(5, 7, 11), "TLS first: log-ins in plain text are not taken");
    } else if (!s->esmtp) {
        session_refuse(s, 503, ESC(5, 5, 1), "EHLO first");
    } else if (s->user != NULL) {
        session_refuse(s, 503, ESC(5, 5, 1), "You are logged in already");
    } else if (s->tx != NULL) {
        session_refuse(s, 503, ESC(5, 5, 1), "A transaction is under way");
    } else if (auth_delay(s->server->auth, session_peer(s), SPAN_NONE) > 0) {
        session_reply(s, 454, ESC(4, 7, 0), "Too many failed log-ins, try again later");
    } else {
        return true;
    }
    return false;
}

void auth_begin(struct session *s, struct span args)
{
    struct span rest, initial = SPAN_NONE;
    struct span name = span_split(args, ' ', &rest);
    char room[SASL_RESPONSE_MAX];
    enum sasl_mechanism mechanism;

    if (!may_begin(s))
        return;
    if (name.len == 0) {
        session_refuse(s, 501, ESC(5, 5, 4), "Syntax: AUTH mechanism [initial-response]");
        return;
    }
    if (!sasl_mechanism_find(name, &mechanism) || !(offered_mechanisms(s) & 1u << mechanism)) {
        session_refuse(s, 504, ESC(5, 5, 4), "This mechanism is not offered");
        return;
    }
    rest = span_trim(rest);
    if (rest.len > 0 && !decode_initial(rest, room, sizeof room, &initial)) {
        session_refuse(s, 501, ESC(5, 5, 2), "The initial response is not base64");
        return;
    }
    create_exchange(s, mechanism);
    enum sasl_result result = sasl_server_start(s->auth->sasl, mechanism, rest.len > 0, initial);
    explicit_bzero(room, sizeof room); /* it may hold a password */
    go_on(s, result);
}

void auth_take_line(struct session *s, const struct smtp_command *command)
{
    char room[SASL_RESPONSE_MAX];
    struct span response;

    if (command->error == SMTP_COMMAND_TOO_LONG) {
        session_refuse(s, 500, ESC(5, 5, 6), "The response is too long");
        leave(s);
    } else if (span_equal(command->line, SPAN("*"))) {
        session_reply(s, 501, ESC(5, 7, 0), "Log-in cancelled");
        leave(s);
    } else if (command->error != SMTP_COMMAND_OK) {
        leave(s); /* a broken line is answered as such */
    } else if (!decode(command->line, room, sizeof room, &response)) {
        session_refuse(s, 501, ESC(5, 5, 2), "The response is not base64");
        leave(s);
    } else {
        enum sasl_result result = sasl_server_step(s->auth->sasl, response);
        explicit_bzero(room, sizeof room);
        go_on(s, result);
    }
}

/* ---- senders ------------------------------------------------------------------------------ */

/* "a@b", "@b" for all of a domain, or "*". */
static bool covers(struct span allowed, const struct address *sender)
{
    if (span_equal(allowed, SPAN("*")))
        return true;
    if (allowed.len > 0 && allowed.ptr[0] == '@')
        return domain_equal(span_from(allowed, 1), sender->domain);
    size_t at = span_rindex(allowed, '@');
    return span_equal_nocase(span_head(allowed, at), sender->local) &&
           domain_equal(span_from(allowed, at + 1), sender->domain);
}

bool auth_may_send_as(const struct session *s, const struct address *sender)
{
    if (s->user == NULL || !s->conf->sender_must_match || sender->kind == ADDRESS_NULL)
        return true;
    struct span name = span_cstr(s->user);
    bool is_address = span_index(name, '@') < name.len;
    if (is_address && covers(name, sender))
        return true;
    if (!is_address && span_equal_nocase(name, sender->local) &&
        domain_equal(span_cstr(s->conf->hostname), sender->domain))
        return true;
    if (s->server->auth == NULL)
        return false; /* XCLIENT has told of a log-in; here nobody knows any users */
    struct users *users = auth_users(s->server->auth);
    const struct users_entry *entry = users_find(users, name);
    bool allowed = false;
    for (unsigned i = 0; entry != NULL && i < entry->send_as_count; i++)
        allowed = allowed || covers(entry->send_as[i], sender);
    users_unref(users);
    return allowed;
}
