/*
 * LOGIN and AUTHENTICATE (RFC 9051 6.2).
 */
#include "plugins/drop/imap/session.h"

#include "auth/sasl.h"

#include <stdlib.h>

struct imap_login {
    struct login login;
    struct imap_session *session;
};

static void login_over(struct imap_session *s)
{
    free(s->login);
    s->login = NULL;
}

static void on_ended(struct login *login)
{
    struct imap_session *s = container_of(login, struct imap_login, login)->session;

    s->pending--;
    login_over(s);
    imap_release(s);
}

void imap_login_free(struct imap_session *s)
{
    if (s->login == NULL)
        return;
    if (login_end(&s->login->login, on_ended))
        login_over(s);
    else
        s->pending++;
}

static void challenge(struct imap_session *s)
{
    struct buf *out = imap_out(s);

    buf_add(out, SPAN("+ "));
    login_challenge(&s->login->login, out);
    buf_add(out, SPAN("\r\n"));
    imap_written(s);
    imap_enter(s, IMAP_SESSION_AUTH);
}

/* A message that is too large is still read where it is not much too large: its client hears why it
 * was refused, and does not try again and again. */
static void widen_bounds(struct imap_session *s)
{
    uint64_t message_max = s->drop.worker->settings->message_size_max;

    imap_reader_set_bounds(s->reader, IMAP_LINE_MAX, IMAP_LITERALS_MAX);
    imap_reader_set_append_max(s->reader, message_max);
    imap_reader_set_skip_max(s->reader, IMAP_LITERALS_MAX + 2 * message_max);
}

static void welcomed(struct imap_session *s)
{
    struct buf text;

    widen_bounds(s);
    buf_init(&text, 0);
    buf_add(&text, SPAN("CAPABILITY "));
    imap_write_capabilities(s, &text);
    s->outcome = IMAP_OK;
    s->code = arena_dup(&s->arena, buf_span(&text)).ptr;
    s->text = "Logged in";
    buf_fini(&text);
    imap_answer(s);
}

static void refuse(struct imap_session *s, enum login_event event)
{
    switch (event) {
    case LOGIN_LATER:
        imap_say_no(s, "UNAVAILABLE", "Try again later");
        break;
    case LOGIN_TOO_MANY:
        imap_say_no(s, "LIMIT", "You have too many sessions");
        break;
    case LOGIN_MALFORMED:
        imap_say_bad(s, "The log-in was given up or malformed");
        break;
    case LOGIN_UNSUPPORTED:
        imap_say_no(s, "CANNOT", "There is no such mechanism here");
        break;
    case LOGIN_INSECURE:
        imap_say_no(s, "PRIVACYREQUIRED", "Not without TLS");
        break;
    case LOGIN_BAD:
    case LOGIN_CHALLENGE:
    case LOGIN_GOOD:
        if (++s->errors < s->drop.worker->settings->errors_max)
            imap_say_no(s, "AUTHENTICATIONFAILED", "User or password is wrong");
        else
            imap_bye(s, "Too many log-ins that failed", "too many errors");
        break;
    }
}

static void told(struct login *login, enum login_event event)
{
    struct imap_session *s = container_of(login, struct imap_login, login)->session;

    if (event == LOGIN_CHALLENGE) {
        challenge(s);
    } else {
        imap_login_free(s);
        if (event == LOGIN_GOOD)
            imap_welcome(s, welcomed);
        else
            refuse(s, event);
    }
    imap_run(s);
}

static struct login *begin(struct imap_session *s)
{
    s->login = mem_zalloc(sizeof *s->login);
    s->login->session = s;
    s->login->login.told = told;
    imap_enter(s, IMAP_SESSION_LOGIN);
    return &s->login->login;
}

void imap_do_login(struct imap_session *s)
{
    const struct imap_command *command = s->command;

    if (!drop_session_may_log_in(&s->drop)) {
        refuse(s, LOGIN_INSECURE);
        return;
    }
    login_password(begin(s), &s->drop, command->login.user, command->login.password);
}

void imap_do_authenticate(struct imap_session *s)
{
    const struct imap_command *command = s->command;

    login_start(begin(s), &s->drop, command->authenticate.mechanism,
                command->authenticate.has_initial, command->authenticate.initial);
}

bool imap_take_response(struct imap_session *s)
{
    struct span input = conn_input(s->drop.conn);
    size_t len = span_index(input, '\n');

    if (len == input.len && len < SASL_LINE_MAX)
        return false;
    if (len >= SASL_LINE_MAX) {
        imap_bye(s, "The line is too long", "log-in line too long");
        return false;
    }
    struct span line = span_head(input, len);
    if (line.len > 0 && line.ptr[line.len - 1] == '\r')
        line.len--;
    imap_enter(s, IMAP_SESSION_LOGIN);
    login_response(&s->login->login, line);
    conn_consume(s->drop.conn, len + 1);
    return true;
}
