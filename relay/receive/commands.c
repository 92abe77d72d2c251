/* One handler for each command, and the table that says when it is allowed. */
#include "receive/extensions.h"

#include <stdlib.h>

static void bad_sequence(struct session *s, const char *text)
{
    session_refuse(s, 503, ESC(5, 5, 1), text);
}

static void reset(struct session *s)
{
    if (s->tx != NULL)
        transaction_drop(s->tx);
}

/* ---- EHLO, LHLO, HELO ---------------------------------------------------------------------------
 */

static bool hello(struct session *s, const struct smtp_command *command)
{
    if (!hello_is_valid(command->args, true)) {
        session_refuse(s, 501, ESC(5, 5, 4), "Give your host's name or address literal");
        return false;
    }
    reset(s);
    free(s->hello);
    s->hello = span_to_text(command->args);
    return true;
}

/* The client has to name itself again. */
static void forget_hello(struct session *s)
{
    free(s->hello);
    s->hello = NULL;
    s->esmtp = false;
}

static bool is_welcome(struct session *s, const struct status *refusal)
{
    if (refusal == NULL)
        return true;
    forget_hello(s);
    hooks_refuse(s, refusal);
    return false;
}

static void answer_ehlo(struct session *s, const struct status *refusal)
{
    struct buf text;

    if (!is_welcome(s, refusal))
        return;
    buf_init(&text, 0);
    buf_add(&text, span_cstr(s->conf->hostname));
    extensions_list(s, &text);
    buf_add(&text, SPAN("\nHELP"));
    session_reply_span(s, 250, ESC_NONE, buf_span(&text));
    buf_fini(&text);
}

static void do_ehlo(struct session *s, const struct smtp_command *command)
{
    if (!hello(s, command))
        return;
    s->esmtp = true;
    hooks_ask(s, SMARTHOP_ON_HELO, answer_ehlo);
}

static void answer_helo(struct session *s, const struct status *refusal)
{
    if (is_welcome(s, refusal))
        session_reply(s, 250, ESC_NONE, s->conf->hostname);
}

static void do_helo(struct session *s, const struct smtp_command *command)
{
    if (!hello(s, command))
        return;
    s->esmtp = false;
    hooks_ask(s, SMARTHOP_ON_HELO, answer_helo);
}

/* ---- MAIL, RCPT: envelope.c --------------------------------------------------------------- */

static void do_mail(struct session *s, const struct smtp_command *command)
{
    envelope_mail(s, command->args);
}

static void do_rcpt(struct session *s, const struct smtp_command *command)
{
    envelope_rcpt(s, command->args);
}

/* ---- DATA and the rest -------------------------------------------------------------------- */

static void do_data(struct session *s, const struct smtp_command *command)
{
    if (s->tx == NULL || s->tx->in_chunks) {
        bad_sequence(s, s->tx ? "BDAT has begun" : "MAIL first"); /* RFC 3030 2 */
        return;
    }
    if (s->tx->message->flags & QUEUE_BODY_BINARY) {
        bad_sequence(s, "BODY=BINARYMIME is sent by BDAT"); /* RFC 3030 3 */
        return;
    }
    if (s->tx->recipient_count == 0) {
        struct status none = lmtp_no_recipients(s);
        session_refuse_span(s, none.code, none.enhanced, none.text);
        return;
    }
    /* RFC 2920 3.1: DATA ends a group. What is here already was not written by a client that
     * waits for the 354, and is not to be taken for a message (smuggling). */
    if (conn_input(s->conn).len > command->line.len + 2) {
        session_reply(s, 521, ESC(5, 5, 0), "Data sent before the 354 reply");
        session_end(s, "data before 354");
        return;
    }
    if (envelope_store_takes_mail(s))
        data_begin(s);
}

static void do_bdat(struct session *s, const struct smtp_command *command)
{
    chunk_begin(s, command->args);
}

static void do_xclient(struct session *s, const struct smtp_command *command)
{
    xclient_execute(s, command->args);
}

static void do_auth(struct session *s, const struct smtp_command *command)
{
    auth_begin(s, command->args);
}

static void do_rset(struct session *s, const struct smtp_command *command)
{
    (void)command;
    reset(s);
    session_reply(s, 250, ESC(2, 0, 0), "OK");
}

static void do_noop(struct session *s, const struct smtp_command *command)
{
    (void)command;
    session_reply(s, 250, ESC(2, 0, 0), "OK");
}

static void do_vrfy(struct session *s, const struct smtp_command *command)
{
    if (command->args.len == 0)
        session_refuse(s, 501, ESC(5, 5, 4), "Whom?");
    else
        session_reply(s, 252, ESC(2, 5, 0), "Not verified; send mail and it will be tried");
}

static void do_expn(struct session *s, const struct smtp_command *command)
{
    (void)command;
    session_refuse(s, 502, ESC(5, 5, 1), "EXPN is not available");
}

#define COMMANDS " AUTH MAIL RCPT DATA BDAT RSET NOOP VRFY HELP QUIT STARTTLS"

static void do_help(struct session *s, const struct smtp_command *command)
{
    (void)command;
    session_reply(s, 214, ESC(2, 0, 0),
                  session_is_lmtp(s) ? "Commands: LHLO" COMMANDS : "Commands: EHLO HELO" COMMANDS);
}

static void do_quit(struct session *s, const struct smtp_command *command)
{
    (void)command;
    session_reply(s, 221, ESC(2, 0, 0), "Bye");
    session_end(s, "quit");
}

/* RFC 3207 4.2: what was said before is forgotten, by both sides. */
static void do_starttls(struct session *s, const struct smtp_command *command)
{
    if (s->listener.tls != CONF_TLS_STARTTLS) {
        session_refuse(s, 502, ESC(5, 5, 1), "STARTTLS is not available");
        return;
    }
    if (s->secured) {
        bad_sequence(s, "TLS is active already");
        return;
    }
    if (s->user != NULL) {
        bad_sequence(s, "You are logged in already"); /* it would have to be forgotten */
        return;
    }
    if (conn_input(s->conn).len > command->line.len + 2) {
        session_reply(s, 521, ESC(5, 5, 0), "Commands sent before the TLS handshake");
        session_end(s, "plain text behind STARTTLS");
        return;
    }
    if (!session_may_handshake(s)) {
        session_reply(s, 454, ESC(4, 7, 0), "Too many TLS handshakes, try again later");
        return;
    }
    reset(s);
    forget_hello(s);
    session_reply(s, 220, ESC(2, 0, 0), "Go ahead");
    session_enter(s, SESSION_HANDSHAKE);
    conn_start_tls_server(s->conn, s->tls, certificate_clients(s));
}

/* ---- dispatch ----------------------------------------------------------------------------- */

enum {
    NEEDS_HELLO = 1 << 0,
    COUNTS_AS_IDLE = 1 << 1,
    TAKES_NOTHING = 1 << 2,
    SMTP_ONLY = 1 << 3,
    LMTP_ONLY = 1 << 4,
};

static const struct {
    void (*handler)(struct session *s, const struct smtp_command *command);
    unsigned flags;
} table[SMTP_VERB_COUNT] = {
    [SMTP_VERB_EHLO] = {do_ehlo, COUNTS_AS_IDLE | SMTP_ONLY},
    [SMTP_VERB_HELO] = {do_helo, COUNTS_AS_IDLE | SMTP_ONLY},
    [SMTP_VERB_LHLO] = {do_ehlo, COUNTS_AS_IDLE | LMTP_ONLY},
    [SMTP_VERB_MAIL] = {do_mail, NEEDS_HELLO | COUNTS_AS_IDLE},
    [SMTP_VERB_RCPT] = {do_rcpt, NEEDS_HELLO},
    [SMTP_VERB_DATA] = {do_data, NEEDS_HELLO | TAKES_NOTHING},
    [SMTP_VERB_BDAT] = {do_bdat, 0}, /* whenever it comes, its chunk has to be taken */
    [SMTP_VERB_XCLIENT] = {do_xclient, 0},
    [SMTP_VERB_AUTH] = {do_auth, NEEDS_HELLO | COUNTS_AS_IDLE},
    [SMTP_VERB_RSET] = {do_rset, COUNTS_AS_IDLE | TAKES_NOTHING},
    [SMTP_VERB_NOOP] = {do_noop, COUNTS_AS_IDLE},
    [SMTP_VERB_VRFY] = {do_vrfy, COUNTS_AS_IDLE},
    [SMTP_VERB_EXPN] = {do_expn, COUNTS_AS_IDLE},
    [SMTP_VERB_HELP] = {do_help, COUNTS_AS_IDLE},
    [SMTP_VERB_QUIT] = {do_quit, TAKES_NOTHING},
    [SMTP_VERB_STARTTLS] = {do_starttls, NEEDS_HELLO | COUNTS_AS_IDLE | TAKES_NOTHING},
};

void command_execute(struct session *s, const struct smtp_command *command)
{
    unsigned flags = table[command->verb].flags;

    if (table[command->verb].handler == NULL) {
        session_refuse(s, 500, ESC(5, 5, 2), "Unknown command");
        return;
    }
    if (flags & (session_is_lmtp(s) ? SMTP_ONLY : LMTP_ONLY)) {
        session_refuse(s, 500, ESC(5, 5, 1),
                       session_is_lmtp(s) ? "This is LMTP: say LHLO" : "This is SMTP: say EHLO");
        return;
    }
    if ((flags & COUNTS_AS_IDLE) && ++s->idle_commands > s->conf->commands_without_mail_max) {
        session_reply(s, 421, ESC(4, 7, 0), "Too many commands without mail");
        session_end(s, "too many commands without mail");
        return;
    }
    if ((flags & NEEDS_HELLO) && s->hello == NULL) {
        bad_sequence(s, session_is_lmtp(s) ? "LHLO first" : "EHLO first");
        return;
    }
    if ((flags & TAKES_NOTHING) && command->args.len > 0) {
        session_refuse(s, 501, ESC(5, 5, 4), "This command takes no argument");
        return;
    }
    table[command->verb].handler(s, command);
}
