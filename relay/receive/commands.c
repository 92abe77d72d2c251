/* One handler for each command, and the table that says when it is allowed. */
#include "receive/session.h"

#include "base/clock.h"
#include "base/log.h"

#include <stdio.h>
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

/* ---- EHLO, HELO --------------------------------------------------------------------------- */

static bool hello(struct session *s, const struct smtp_command *command)
{
    if (!hello_is_valid(command->args, true)) {
        session_refuse(s, 501, ESC(5, 5, 4), "Give your host's name or address literal");
        return false;
    }
    reset(s);
    free(s->hello);
    s->hello = mem_zalloc(command->args.len + 1);
    memcpy(s->hello, command->args.ptr, command->args.len);
    return true;
}

static void do_ehlo(struct session *s, const struct smtp_command *command)
{
    struct buf text;

    if (!hello(s, command))
        return;
    s->esmtp = true;
    buf_init(&text, 0);
    buf_addf(&text, "%s\nPIPELINING\nSIZE %llu\n8BITMIME\nENHANCEDSTATUSCODES\nSMTPUTF8\nCHUNKING",
             s->conf->hostname, (unsigned long long)s->conf->message_size_max);
    if (s->listener.tls == CONF_TLS_STARTTLS && !s->secured)
        buf_add(&text, SPAN("\nSTARTTLS"));
    if (xclient_is_trusted(s))
        xclient_list_attributes(&text);
    if (auth_is_offered(s))
        auth_list_mechanisms(s, &text);
    buf_add(&text, SPAN("\nHELP"));
    session_reply_span(s, 250, ESC_NONE, buf_span(&text));
    buf_fini(&text);
}

static void do_helo(struct session *s, const struct smtp_command *command)
{
    if (!hello(s, command))
        return;
    s->esmtp = false;
    session_reply(s, 250, ESC_NONE, s->conf->hostname);
}

/* ---- MAIL --------------------------------------------------------------------------------- */

static void refuse_path(struct session *s, enum smtp_path_error error, enum address_error address)
{
    char text[160];
    struct enhanced_code enhanced = ESC(5, 5, 4);
    uint16_t code = 501;

    snprintf(text, sizeof text, "Syntax: %s%s%s", smtp_path_error_text(error),
             error == SMTP_PATH_ADDRESS ? ": " : "",
             error == SMTP_PATH_ADDRESS ? address_error_text(address) : "");
    if (error == SMTP_PATH_ADDRESS)
        enhanced = ESC(5, 1, 3);
    if (error == SMTP_PATH_NEEDS_SMTPUTF8 || address == ADDRESS_UTF8_REFUSED) {
        enhanced = ESC(5, 6, 7);
        code = 553; /* RFC 6531 3.5 */
    }
    session_refuse(s, code, enhanced, text);
}

static bool take_size(struct session *s, struct span value)
{
    uint64_t size;

    if (!span_parse_u64(value, &size)) {
        session_refuse(s, 501, ESC(5, 5, 4), "SIZE is not a number");
        return false;
    }
    if (size > s->conf->message_size_max) {
        char text[96];
        snprintf(text, sizeof text, "Message is larger than %llu bytes",
                 (unsigned long long)s->conf->message_size_max);
        session_refuse(s, 552, ESC(5, 3, 4), text);
        return false;
    }
    s->tx->declared_size = size;
    return true;
}

static bool take_mail_param(struct session *s, const struct smtp_param *param)
{
    struct queue_message *message = s->tx->message;

    if (!s->esmtp) {
        session_refuse(s, 555, ESC(5, 5, 4), "Parameters need EHLO");
        return false;
    }
    if (span_equal_nocase(param->keyword, SPAN("SIZE")))
        return take_size(s, param->value);
    if (span_equal_nocase(param->keyword, SPAN("BODY"))) {
        if (span_equal_nocase(param->value, SPAN("8BITMIME")))
            message->flags |= QUEUE_BODY_8BIT;
        else if (!span_equal_nocase(param->value, SPAN("7BIT"))) {
            session_refuse(s, 501, ESC(5, 5, 4), "BODY is 7BIT or 8BITMIME");
            return false;
        }
        return true;
    }
    if (span_equal_nocase(param->keyword, SPAN("SMTPUTF8")) && !param->has_value) {
        message->flags |= QUEUE_SMTPUTF8;
        return true;
    }
    session_refuse(s, 555, ESC(5, 5, 4), "Unknown parameter");
    return false;
}

static bool store_takes_mail(struct session *s)
{
    if (!queue_refuses(s->server->queue))
        return true;
    if (queue_is_broken(s->server->queue))
        session_reply(s, 451, ESC(4, 3, 0), "Mail cannot be stored, try again later");
    else
        session_reply(s, 452, ESC(4, 3, 1), "No room to store mail, try again later");
    return false;
}

static void do_mail(struct session *s, const struct smtp_command *command)
{
    struct smtp_mail_args args;

    if (s->tx != NULL) {
        bad_sequence(s, "A transaction is under way");
        return;
    }
    if (s->listener.role == CONF_ROLE_SUBMISSION && s->user == NULL) {
        session_refuse(s, 530, ESC(5, 7, 0), "Log in first");
        return;
    }
    if (!store_takes_mail(s))
        return;
    enum smtp_path_error error =
        smtp_parse_mail(command->args, SMTP_PATH_ALLOW_UTF8 | SMTP_PATH_ALLOW_LONG_LOCAL, &args);
    if (error != SMTP_PATH_OK) {
        refuse_path(s, error, args.address_error);
        return;
    }
    if (!auth_may_send_as(s, &args.path)) {
        session_refuse(s, 553, ESC(5, 7, 1), "This sender address is not yours to use");
        return;
    }
    s->tx = transaction_create(s);
    struct queue_message *message = s->tx->message;
    for (size_t i = 0; i < args.params.count; i++) {
        if (!take_mail_param(s, &args.params.list[i])) {
            reset(s);
            return;
        }
    }
    message->id = queue_new_id(s->server->queue);
    message->arrival = clock_steady_ms();
    message->reverse_path = arena_dup(&message->arena, args.path.text);
    message->tenant = arena_dup(&message->arena, args.path.domain);
    message->client = arena_dup(&message->arena, span_cstr(s->client));
    message->hello = arena_dup(&message->arena, span_cstr(s->hello));
    session_reply(s, 250, ESC(2, 1, 0), "Sender OK");
}

/* ---- RCPT --------------------------------------------------------------------------------- */

static void ask_route(struct session *s, const struct address *path)
{
    struct transaction *tx = s->tx;
    struct arena *arena = &tx->message->arena;
    struct route_query *query = &tx->route;
    struct span ascii = SPAN_NONE;

    if (path->literal)
        ascii = arena_dup(arena, path->domain);
    else if (path->domain.len > 0)
        domain_to_ascii(path->domain, arena, &ascii);
    *query = (struct route_query){
        .conf = tx->conf,
        .reverse_path = tx->message->reverse_path,
        .recipient = arena_dup(arena, path->text),
        .domain = ascii,
        .arena = arena,
    };
    session_enter(s, SESSION_ROUTE);
    transaction_route(tx);
}

static void do_rcpt(struct session *s, const struct smtp_command *command)
{
    struct smtp_rcpt_args args;

    if (s->tx == NULL || s->tx->in_chunks) {
        bad_sequence(s, s->tx ? "The message has begun" : "MAIL first");
        return;
    }
    unsigned flags = SMTP_PATH_ALLOW_LONG_LOCAL | SMTP_PATH_ALLOW_UNDERSCORE;
    if (s->tx->message->flags & QUEUE_SMTPUTF8)
        flags |= SMTP_PATH_ALLOW_UTF8;
    enum smtp_path_error error = smtp_parse_rcpt(command->args, flags, &args);
    if (error != SMTP_PATH_OK) {
        refuse_path(s, error, args.address_error);
        return;
    }
    if (args.params.count > 0) {
        session_refuse(s, 555, ESC(5, 5, 4), "Unknown parameter");
        return;
    }
    if (!s->may_relay) {
        count(&s->server->counters.rejected);
        session_refuse(s, 550, ESC(5, 7, 1), "Relaying is not permitted for your address");
        return;
    }
    if (s->tx->recipient_count >= s->conf->recipients_max) {
        session_reply(s, 452, ESC(4, 5, 3), "Too many recipients; send the rest separately");
        return;
    }
    ask_route(s, &args.path);
}

void command_routed(struct session *s)
{
    const struct route_query *query = &s->tx->route;

    session_enter(s, SESSION_COMMAND);
    if (query->verdict == ROUTE_REJECT) {
        count(&s->server->counters.rejected);
        session_refuse_span(s, query->status.code, query->status.enhanced, query->status.text);
    } else if (query->verdict == ROUTE_DEFER) {
        session_reply_span(s, query->status.code, query->status.enhanced, query->status.text);
    } else {
        *transaction_add_recipient(s->tx) = (struct tx_recipient){
            .address = query->recipient,
            .destination = query->destination,
            .next_hop = query->next_hop,
            .verdict = query->verdict,
            .status = query->status,
        };
        s->recipients_total++;
        session_reply(s, 250, ESC(2, 1, 5), "Recipient OK");
    }
    session_run(s);
}

/* ---- DATA and the rest -------------------------------------------------------------------- */

static void do_data(struct session *s, const struct smtp_command *command)
{
    if (s->tx == NULL || s->tx->in_chunks) {
        bad_sequence(s, s->tx ? "BDAT has begun" : "MAIL first"); /* RFC 3030 2 */
        return;
    }
    if (s->tx->recipient_count == 0) {
        session_refuse(s, 554, ESC(5, 5, 1), "No valid recipients");
        return;
    }
    /* RFC 2920 3.1: DATA ends a group. What is here already was not written by a client that
     * waits for the 354, and is not to be taken for a message (smuggling). */
    if (conn_input(s->conn).len > command->line.len + 2) {
        session_reply(s, 521, ESC(5, 5, 0), "Data sent before the 354 reply");
        session_end(s, "data before 354");
        return;
    }
    if (store_takes_mail(s))
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

static void do_help(struct session *s, const struct smtp_command *command)
{
    (void)command;
    session_reply(s, 214, ESC(2, 0, 0),
                  "Commands: EHLO HELO AUTH MAIL RCPT DATA BDAT RSET NOOP VRFY HELP QUIT STARTTLS");
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
    reset(s);
    free(s->hello);
    s->hello = NULL;
    session_reply(s, 220, ESC(2, 0, 0), "Go ahead");
    session_enter(s, SESSION_HANDSHAKE);
    conn_start_tls_server(s->conn, s->tls);
}

/* ---- dispatch ----------------------------------------------------------------------------- */

enum { NEEDS_HELLO = 1 << 0, COUNTS_AS_IDLE = 1 << 1, TAKES_NOTHING = 1 << 2 };

static const struct {
    void (*handler)(struct session *s, const struct smtp_command *command);
    unsigned flags;
} table[SMTP_VERB_COUNT] = {
    [SMTP_VERB_EHLO] = {do_ehlo, COUNTS_AS_IDLE},
    [SMTP_VERB_HELO] = {do_helo, COUNTS_AS_IDLE},
    [SMTP_VERB_MAIL] = {do_mail, NEEDS_HELLO | COUNTS_AS_IDLE},
    [SMTP_VERB_RCPT] = {do_rcpt, NEEDS_HELLO},
    [SMTP_VERB_DATA] = {do_data, NEEDS_HELLO | TAKES_NOTHING},
    [SMTP_VERB_BDAT] = {do_bdat, NEEDS_HELLO},
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
    if ((flags & COUNTS_AS_IDLE) && ++s->idle_commands > s->conf->commands_without_mail_max) {
        session_reply(s, 421, ESC(4, 7, 0), "Too many commands without mail");
        session_end(s, "too many commands without mail");
        return;
    }
    if ((flags & NEEDS_HELLO) && s->hello == NULL) {
        bad_sequence(s, "EHLO first");
        return;
    }
    if ((flags & TAKES_NOTHING) && command->args.len > 0) {
        session_refuse(s, 501, ESC(5, 5, 4), "This command takes no argument");
        return;
    }
    table[command->verb].handler(s, command);
}
