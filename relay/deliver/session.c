#include "deliver/session.h"

#include "base/log.h"
#include "deliver/login.h"
#include "proto/ip.h"
#include "proto/xclient.h"

#include <stdio.h>
#include <stdlib.h>

static void on_greeting(struct deliver_session *s, const struct smtp_reply *reply);
static void on_ehlo_reply(struct deliver_session *s, const struct smtp_reply *reply);
static void on_starttls_reply(struct deliver_session *s, const struct smtp_reply *reply);
static void on_unasked_reply(struct deliver_session *s, const struct smtp_reply *reply);
static void on_rset_reply(struct deliver_session *s, const struct smtp_reply *reply);
static void on_quit_reply(struct deliver_session *s, const struct smtp_reply *reply);

typedef void reply_handler(struct deliver_session *s, const struct smtp_reply *reply);

#define NO_DEADLINE    SIZE_MAX
#define DEADLINE(name) offsetof(struct deliver_deadlines, name)

static const struct {
    const char *name;
    size_t deadline;
    reply_handler *on_reply;
} states[DELIVER_STATE_COUNT] = {
    [DELIVER_STATE_CONNECT] = {"connect", DEADLINE(connect), on_unasked_reply},
    [DELIVER_STATE_RECONNECT] = {"reconnect", NO_DEADLINE, on_unasked_reply},
    [DELIVER_STATE_GREETING] = {"greeting", DEADLINE(greeting), on_greeting},
    [DELIVER_STATE_EHLO] = {"ehlo", DEADLINE(hello), on_ehlo_reply},
    [DELIVER_STATE_HELO] = {"helo", DEADLINE(hello), on_ehlo_reply},
    [DELIVER_STATE_STARTTLS] = {"starttls", DEADLINE(hello), on_starttls_reply},
    [DELIVER_STATE_HANDSHAKE] = {"handshake", DEADLINE(hello), on_unasked_reply},
    [DELIVER_STATE_EHLO_TLS] = {"ehlo-tls", DEADLINE(hello), on_ehlo_reply},
    [DELIVER_STATE_AUTH] = {"auth", DEADLINE(hello), deliver_on_auth_reply},
    [DELIVER_STATE_DERIVE] = {"derive", NO_DEADLINE, on_unasked_reply},
    [DELIVER_STATE_READY] = {"ready", NO_DEADLINE, on_unasked_reply},
    [DELIVER_STATE_IDLE] = {"idle", NO_DEADLINE, on_unasked_reply},
    [DELIVER_STATE_DECLINED] = {"declined", NO_DEADLINE, on_unasked_reply},
    [DELIVER_STATE_XFORWARD] = {"xforward", DEADLINE(mail), deliver_on_xforward_reply},
    [DELIVER_STATE_MAIL] = {"mail", DEADLINE(mail), deliver_on_mail_reply},
    [DELIVER_STATE_RCPT] = {"rcpt", DEADLINE(rcpt), deliver_on_rcpt_reply},
    [DELIVER_STATE_DATA] = {"data", DEADLINE(data_init), deliver_on_data_reply},
    [DELIVER_STATE_BODY] = {"body", DEADLINE(data_block), deliver_on_early_reply},
    [DELIVER_STATE_FINAL] = {"final", DEADLINE(data_final), deliver_on_final_reply},
    [DELIVER_STATE_FINAL_EACH] = {"final-each", DEADLINE(data_final), deliver_on_final_each_reply},
    [DELIVER_STATE_RSET] = {"rset", DEADLINE(hello), on_rset_reply},
    [DELIVER_STATE_QUIT] = {"quit", DEADLINE(quit), on_quit_reply},
    [DELIVER_STATE_CLOSED] = {"closed", NO_DEADLINE, on_unasked_reply},
};

static void log_state(const struct deliver_session *s, enum deliver_state state)
{
    struct log_line line;

    if (!log_begin(&line, LOG_DEBUG, "deliver-state"))
        return;
    log_span(&line, "host", s->by);
    log_text(&line, "from", states[s->state].name);
    log_text(&line, "to", states[state].name);
    log_end(&line);
}

void deliver_enter(struct deliver_session *s, enum deliver_state state)
{
    const char *deadlines = (const char *)&s->options.deadlines;
    uint64_t ms = 0;

    log_state(s, state);
    deliver_phase_end(s);
    s->state = state;
    if (states[state].deadline != NO_DEADLINE)
        memcpy(&ms, deadlines + states[state].deadline, sizeof ms);
    conn_deadline(s->conn, ms);
}

void deliver_tell(struct deliver_session *s, enum deliver_event event,
                  struct deliver_attempt *attempt)
{
    s->handler(s, event, attempt, s->owner);
}

/* ---- the end ------------------------------------------------------------------------------- */

static void release(struct deliver_session *s)
{
    deliver_turns_end(s);
    deliver_tell(s, DELIVER_CLOSED, NULL);
    deliver_login_free(s->login);
    tls_client_unref(s->options.tls_client);
    tls_session_free(s->options.resume);
    buf_fini(&s->reply_text);
    arena_fini(&s->arena);
    free(s);
}

void deliver_release_if_free(struct deliver_session *s)
{
    if (s->state == DELIVER_STATE_CLOSED && s->conn == NULL && !s->body.reading && !s->declining &&
        !deliver_login_is_deriving(s->login))
        release(s);
}

void deliver_end(struct deliver_session *s)
{
    s->follow = false;
    deliver_race_end(s);
    deliver_body_end(&s->body);
    deliver_enter(s, DELIVER_STATE_CLOSED);
    conn_close(s->conn);
}

static void log_failure_of(const struct deliver_session *s)
{
    struct log_line line;

    if (!log_begin(&line, LOG_DEBUG, "deliver-failure"))
        return;
    log_span(&line, "host", s->by);
    log_u64(&line, "code", s->failure.code);
    log_span(&line, "text", s->failure.text);
    log_end(&line);
}

void deliver_fail(struct deliver_session *s, const struct status *why)
{
    s->failure = status_dup(&s->arena, why);
    s->failure.by = s->by;
    log_failure_of(s);
    if (s->attempt != NULL) {
        struct status status = status_dup(s->attempt->arena, why);
        status.by = s->transaction.by;
        deliver_transaction_settle(s, &status);
    }
    deliver_end(s);
}

void deliver_quit(struct deliver_session *s)
{
    conn_write(s->conn, SPAN("QUIT\r\n"));
    deliver_enter(s, DELIVER_STATE_QUIT);
}

static void on_quit_reply(struct deliver_session *s, const struct smtp_reply *reply)
{
    (void)reply;
    deliver_enter(s, DELIVER_STATE_CLOSED);
    conn_finish(s->conn); /* for the close_notify of TLS */
}

void deliver_close(struct deliver_session *s)
{
    switch (s->state) {
    case DELIVER_STATE_CLOSED:
        return;
    case DELIVER_STATE_QUIT:
        deliver_end(s); /* asked twice: its answer is not waited for any more */
        return;
    case DELIVER_STATE_READY:
    case DELIVER_STATE_IDLE:
        deliver_quit(s);
        return;
    default:
        if (s->attempt != NULL) {
            struct status status = verdict_of_own(VERDICT_CANCELLED);
            deliver_transaction_settle(s, &status);
        }
        deliver_end(s);
    }
}

/* ---- opening ------------------------------------------------------------------------------- */

static void on_conn(struct conn *conn, enum conn_event event, void *owner);

struct conn *deliver_connect(struct deliver_session *s, const struct sockaddr *peer)
{
    struct conn_options options = {
        .output_high = DELIVER_OUTPUT_HIGH,
        .handler = on_conn,
        .owner = s,
    };

    return conn_connect(s->options.loop, peer, s->options.local, &options);
}

static void connect_to_peer(struct deliver_session *s)
{
    buf_clear(&s->reply_text);
    smtp_reply_parser_init(&s->parser, &s->reply_text, SMTP_REPLY_ALLOW_BARE_LF);
    s->conn = deliver_connect(s, s->options.peer);
    deliver_enter(s, DELIVER_STATE_CONNECT);
}

static struct status judge(struct deliver_session *s, const struct smtp_reply *reply)
{
    struct verdict_reply said = {.state = s->state, .reused = s->messages > 0, .reply = reply};

    return verdict_of_reply(&said, &s->arena);
}

static void fail_own(struct deliver_session *s, enum verdict_own why)
{
    struct status status = verdict_of_own(why);

    deliver_fail(s, &status);
}

static void send_hello(struct deliver_session *s, const char *verb, enum deliver_state state)
{
    buf_addf(conn_output(s->conn), "%s %s\r\n", verb, s->options.hello);
    conn_written(s->conn);
    deliver_enter(s, state);
}

static void send_extended_hello(struct deliver_session *s, enum deliver_state state)
{
    send_hello(s, s->options.lmtp ? "LHLO" : "EHLO", state);
}

/* Returns how many bytes of plain text had come already. */
static size_t shake_hands(struct deliver_session *s)
{
    bool required = s->options.tls == DELIVER_TLS_REQUIRED;

    deliver_enter(s, DELIVER_STATE_HANDSHAKE);
    return conn_start_tls_client(s->conn, s->options.tls_client, s->options.host,
                                 required ? TLS_VERIFY_NAME : TLS_VERIFY_NONE, s->options.resume);
}

static void on_greeting(struct deliver_session *s, const struct smtp_reply *reply)
{
    struct status status = judge(s, reply);

    if (status_is_success(&status))
        send_extended_hello(s, DELIVER_STATE_EHLO);
    else
        deliver_fail(s, &status);
}

static bool is_secured(const struct deliver_session *s)
{
    return s->tls[0] != '\0';
}

static void note_extensions(struct deliver_session *s, const struct smtp_reply *reply)
{
    struct smtp_ehlo ehlo = {0};

    if (s->state != DELIVER_STATE_HELO)
        smtp_ehlo_parse(reply, &ehlo);
    s->xforward = s->options.xforward ? xforward_attributes(ehlo.xforward) : 0;
    /* The texts lie in the reply. */
    ehlo.domain = ehlo.auth_text = ehlo.xclient = ehlo.xforward = SPAN_NONE;
    s->offer = ehlo;
}

/* What secures the connection is settled. */
static void log_in(struct deliver_session *s)
{
    if (s->login != NULL)
        deliver_login_begin(s);
    else
        deliver_enter(s, DELIVER_STATE_READY);
}

static void on_ehlo_reply(struct deliver_session *s, const struct smtp_reply *reply)
{
    struct status status = judge(s, reply);

    /* RFC 5321 3.2: a server that does not know EHLO may know HELO. */
    if (s->state == DELIVER_STATE_EHLO && reply->code >= 500 && !s->options.lmtp) {
        send_hello(s, "HELO", DELIVER_STATE_HELO);
        return;
    }
    if (!status_is_success(&status)) {
        deliver_fail(s, &status);
        return;
    }
    note_extensions(s, reply);
    bool offered = deliver_is_offered(s, SMTP_EXT_STARTTLS) && !s->plain_only;
    if (s->options.tls == DELIVER_TLS_NONE || is_secured(s)) {
        log_in(s);
    } else if (offered) {
        conn_write(s->conn, SPAN("STARTTLS\r\n"));
        deliver_enter(s, DELIVER_STATE_STARTTLS);
    } else if (s->options.tls == DELIVER_TLS_REQUIRED) {
        fail_own(s, VERDICT_NO_STARTTLS);
    } else {
        log_in(s);
    }
}

static void on_starttls_reply(struct deliver_session *s, const struct smtp_reply *reply)
{
    struct status status = judge(s, reply);

    if (!status_is_success(&status)) {
        /* RFC 3207 4: refused, the session goes on in plain text. */
        if (s->options.tls == DELIVER_TLS_REQUIRED || reply->code == 421 || reply->code < 400)
            deliver_fail(s, &status);
        else
            log_in(s);
        return;
    }
    if (shake_hands(s) > 0)
        fail_own(s, VERDICT_INJECTED);
}

static void on_secured(struct deliver_session *s)
{
    struct conn_tls_info info;

    conn_tls_info(s->conn, &info);
    snprintf(s->tls, sizeof s->tls, "%s %s", info.version, info.cipher);
    s->is_verified = info.verified;
    /* A resumed session is not verified again: the one it came from may never have been. */
    if (s->options.tls == DELIVER_TLS_REQUIRED && !info.verified)
        fail_own(s, VERDICT_UNVERIFIED);
    else if (s->options.implicit_tls)
        deliver_enter(s, DELIVER_STATE_GREETING);
    else
        send_extended_hello(s, DELIVER_STATE_EHLO_TLS);
}

/* ---- replies outside transactions ---------------------------------------------------------- */

static void on_unasked_reply(struct deliver_session *s, const struct smtp_reply *reply)
{
    struct status status = judge(s, reply);

    deliver_fail(s, &status);
}

static void on_rset_reply(struct deliver_session *s, const struct smtp_reply *reply)
{
    struct status status = judge(s, reply);

    if (status_is_success(&status))
        deliver_enter(s, DELIVER_STATE_READY);
    else
        deliver_fail(s, &status);
}

/* ---- events -------------------------------------------------------------------------------- */

/* Opportunistic: what STARTTLS spoiled is tried again without it, from the command on. A server's
 * alert may come only after our side of the handshake is done. */
static bool tls_is_to_blame(const struct deliver_session *s)
{
    return s->options.tls == DELIVER_TLS_OPPORTUNISTIC && !s->options.implicit_tls &&
           (s->state == DELIVER_STATE_STARTTLS || s->state == DELIVER_STATE_HANDSHAKE ||
            s->state == DELIVER_STATE_EHLO_TLS);
}

static void on_trouble(struct deliver_session *s, enum verdict_trouble trouble, const char *detail)
{
    struct arena *arena = s->attempt != NULL ? s->attempt->arena : &s->arena;

    if (s->state == DELIVER_STATE_QUIT) {
        deliver_end(s);
    } else if (tls_is_to_blame(s)) {
        s->plain_only = true;
        s->tls[0] = '\0';
        s->is_verified = false;
        deliver_enter(s, DELIVER_STATE_RECONNECT);
        conn_close(s->conn);
    } else {
        struct status status = verdict_of_trouble(s->state, trouble, detail, arena);
        deliver_fail(s, &status);
    }
}

static bool listens(const struct deliver_session *s)
{
    return s->state != DELIVER_STATE_CLOSED && s->state != DELIVER_STATE_RECONNECT;
}

static void on_input(struct deliver_session *s)
{
    struct span input;
    struct smtp_reply reply;
    size_t used;

    while (listens(s) && (input = conn_input(s->conn)).len > 0) {
        enum parse_result result = smtp_reply_parse(&s->parser, input, &used, &reply);
        conn_consume(s->conn, used);
        if (result == PARSE_DONE)
            states[s->state].on_reply(s, &reply);
        else if (result == PARSE_BAD)
            on_trouble(s, VERDICT_GARBAGE, smtp_reply_error_text(s->parser.error));
    }
    deliver_announce_ready(s);
}

static void on_conn_closed(struct deliver_session *s)
{
    s->conn = NULL;
    if (s->state == DELIVER_STATE_RECONNECT)
        connect_to_peer(s);
    else
        deliver_release_if_free(s);
}

/* While the race is open all of them are failures to connect. */
static bool is_end_of_attempt(enum conn_event event)
{
    return event == CONN_FAILED || event == CONN_DEADLINE || event == CONN_EOF;
}

static void on_conn(struct conn *conn, enum conn_event event, void *owner)
{
    struct deliver_session *s = owner;
    bool is_second = conn != s->conn;

    if (is_second ? !deliver_race_is_won(s, event)
                  : is_end_of_attempt(event) && deliver_race_goes_on(s))
        return;
    switch (event) {
    case CONN_CONNECTED:
        deliver_race_end(s);
        if (s->options.implicit_tls)
            shake_hands(s);
        else
            deliver_enter(s, DELIVER_STATE_GREETING);
        break;
    case CONN_SECURED:
        on_secured(s);
        break;
    case CONN_INPUT:
        on_input(s);
        break;
    case CONN_DRAINED:
        if (s->state == DELIVER_STATE_BODY) {
            deliver_enter(s, DELIVER_STATE_BODY); /* progress: a new deadline */
            deliver_transaction_pump(s);
        }
        break;
    case CONN_EOF:
        on_trouble(s, VERDICT_LOST, NULL);
        break;
    case CONN_DEADLINE:
        on_trouble(s, VERDICT_TIMEOUT, NULL);
        break;
    case CONN_FAILED:
        on_trouble(s, VERDICT_BROKEN, conn_error_text(conn));
        break;
    case CONN_CLOSED:
        on_conn_closed(s);
        break;
    }
}

static void on_body_arrived(struct deliver_body *body)
{
    struct deliver_session *s = container_of(body, struct deliver_session, body);

    if (s->state == DELIVER_STATE_BODY)
        deliver_transaction_pump(s);
    else
        deliver_release_if_free(s);
}

/* "host [address]:port", or the path of a socket. */
static void name_peer(struct deliver_session *s)
{
    char literal[IP_LITERAL_MAX];
    const struct sockaddr *peer = s->options.peer;

    if (peer->sa_family == AF_UNIX) {
        s->by = arena_printf(&s->arena, "unix:%s", s->options.host);
        return;
    }
    in_port_t port = peer->sa_family == AF_INET6 ? ((const struct sockaddr_in6 *)peer)->sin6_port
                                                 : ((const struct sockaddr_in *)peer)->sin_port;
    sockaddr_format_literal(peer, literal);
    bool has_name =
        memmem(literal, strlen(literal), s->options.host, strlen(s->options.host)) == NULL;
    s->by = arena_printf(&s->arena, "%s%s%s:%u", has_name ? s->options.host : "",
                         has_name ? " " : "", literal, ntohs(port));
}

void deliver_set_peer(struct deliver_session *s, const struct sockaddr_storage *peer)
{
    s->peer = *peer;
    name_peer(s);
}

struct deliver_session *deliver_open(const struct deliver_options *options,
                                     deliver_handler *handler, void *owner)
{
    struct deliver_session *s = mem_zalloc(sizeof *s);

    s->options = *options;
    s->handler = handler;
    s->owner = owner;
    s->entered_ms = loop_now(options->loop);
    arena_init(&s->arena);
    memcpy(&s->peer, options->peer, sockaddr_size(options->peer));
    s->options.peer = (const struct sockaddr *)&s->peer;
    if (options->local != NULL) {
        memcpy(&s->local, options->local, sockaddr_size(options->local));
        s->options.local = (const struct sockaddr *)&s->local;
    }
    if (options->second != NULL)
        memcpy(&s->race.address, options->second, sockaddr_size(options->second));
    s->options.second = NULL;
    s->options.hello = arena_dup(&s->arena, span_cstr(options->hello)).ptr;
    s->options.host = arena_dup(&s->arena, span_cstr(options->host)).ptr;
    s->options.tls_client = tls_client_ref(options->tls_client);
    s->options.resume = tls_session_ref(options->resume);
    s->login = deliver_login_create(s, options->credentials);
    s->options.credentials = NULL;
    name_peer(s);
    buf_init(&s->reply_text, SMTP_REPLY_TEXT_MAX);
    deliver_body_init(&s->body, options->loop, options->queue, on_body_arrived);
    connect_to_peer(s);
    if (options->second != NULL)
        deliver_race_begin(s);
    return s;
}

const struct status *deliver_session_failure(const struct deliver_session *s)
{
    return &s->failure;
}

const struct sockaddr_storage *deliver_session_peer(const struct deliver_session *s)
{
    return &s->peer;
}

const char *deliver_session_tls(const struct deliver_session *s)
{
    return s->tls;
}

struct ssl_session_st *deliver_session_resume(const struct deliver_session *s)
{
    return s->conn != NULL ? conn_tls_session(s->conn) : NULL;
}

unsigned deliver_session_messages(const struct deliver_session *s)
{
    return s->messages;
}

const char *deliver_session_state(const struct deliver_session *s)
{
    return states[s->state].name;
}

static uint64_t limit_or_none(uint64_t limit)
{
    return limit != 0 ? limit : UINT64_MAX;
}

struct deliver_limits deliver_session_limits(const struct deliver_session *s)
{
    return (struct deliver_limits){.recipients = limit_or_none(s->offer.rcpt_max),
                                   .domains = limit_or_none(s->offer.rcpt_domain_max)};
}
