/* Logging in: USER and PASS, and AUTH (RFC 5034). */
#include "base/memory.h"
#include "plugins/drop/pop3/private.h"

#include <stdlib.h>

static const char *text_of(enum login_event event)
{
    switch (event) {
    case LOGIN_BAD:
        return "[AUTH] Name or password are not right";
    case LOGIN_LATER:
        return "[SYS/TEMP] Logging in is held back, try again later";
    case LOGIN_TOO_MANY:
        return "[IN-USE] You have too many sessions";
    case LOGIN_MALFORMED:
        return "The exchange is malformed, or was given up";
    case LOGIN_UNSUPPORTED:
        return "There is no such way to log in here";
    case LOGIN_INSECURE:
        return "Passwords are taken under TLS only: STLS first";
    case LOGIN_CHALLENGE:
    case LOGIN_GOOD:
        break;
    }
    return "";
}

/* An exchange that is over is kept no longer than that. */
static void forget(struct pop3_session *s)
{
    free(s->login);
    s->login = NULL;
    free(s->name);
    s->name = NULL;
}

static void challenge(struct pop3_session *s)
{
    struct buf *out = conn_output(s->base.conn);

    buf_add(out, SPAN("+ "));
    login_challenge(s->login, out);
    buf_add(out, SPAN("\r\n"));
    conn_written(s->base.conn);
    pop3_enter(s, POP3_RESPONSE);
}

static void on_told(struct login *login, enum login_event event)
{
    struct pop3_session *s = container_of(login->session, struct pop3_session, base);

    if (s->state == POP3_CLOSED)
        return; /* its conn is about to go, and ends the exchange */
    if (event == LOGIN_CHALLENGE) {
        challenge(s);
    } else if (event == LOGIN_GOOD) {
        forget(s);
        smtp_command_parser_set_max(&s->lines, POP3_LINE_MAX);
        pop3_open(s);
    } else {
        forget(s);
        pop3_enter(s, POP3_COMMAND);
        pop3_refuse(s, text_of(event));
    }
    pop3_run(s);
}

void pop3_list_mechanisms(const struct pop3_session *s, const char *before, const char *behind,
                          struct buf *out)
{
    unsigned mechanisms = login_mechanisms(&s->base);

    for (unsigned i = 0; i < SASL_MECHANISMS; i++)
        if ((mechanisms & 1u << i) != 0)
            buf_addf(out, "%s%s%s", before, sasl_mechanism_name((enum sasl_mechanism)i), behind);
}

static struct login *begin(struct pop3_session *s)
{
    s->login = mem_zalloc(sizeof *s->login);
    s->login->told = on_told;
    pop3_enter(s, POP3_LOGIN);
    return s->login;
}

void pop3_user(struct pop3_session *s, const struct pop3_command *command)
{
    if (!drop_session_may_log_in(&s->base)) {
        pop3_refuse(s, text_of(LOGIN_INSECURE));
        return;
    }
    free(s->name);
    s->name = span_to_text(span_trim(command->text));
    pop3_say(s, "+OK");
}

void pop3_pass(struct pop3_session *s, const struct pop3_command *command)
{
    if (s->name == NULL)
        pop3_refuse(s, "USER first");
    else
        login_password(begin(s), &s->base, span_cstr(s->name), command->text);
}

void pop3_auth(struct pop3_session *s, const struct pop3_command *command)
{
    if (command->method.len == 0) {
        pop3_say(s, "+OK Mechanisms follow");
        pop3_list_mechanisms(s, "", "\r\n", conn_output(s->base.conn));
        pop3_say(s, ".");
        return;
    }
    login_start(begin(s), &s->base, command->method, command->has_initial, command->initial);
}

void pop3_response(struct pop3_session *s, struct span line)
{
    pop3_enter(s, POP3_LOGIN);
    login_response(s->login, line);
}

static void on_ended(struct login *login)
{
    struct pop3_session *s = container_of(login->session, struct pop3_session, base);

    s->pending--;
    pop3_release(s);
}

void pop3_login_end(struct pop3_session *s)
{
    if (s->login != NULL && !login_end(s->login, on_ended))
        s->pending++;
}
