/* One handler for each command, and the table that says when it is allowed. */
#include "plugins/drop/lmtp/private.h"

#include <stdlib.h>

static void bad_sequence(struct lmtp_session *s, const char *text)
{
    lmtp_refuse(s, (struct status){.code = 503, .enhanced = ESC(5, 5, 1), .text = span_cstr(text)});
}

static void do_lhlo(struct lmtp_session *s, struct span args)
{
    const struct drop_settings *settings = s->base.worker->settings;
    struct buf text;

    if (!hello_is_valid(args, true)) {
        lmtp_refuse(s, STATUS(501, 5, 5, 4, "Give your host's name or address literal"));
        return;
    }
    lmtp_message_drop(s);
    free(s->hello);
    s->hello = span_to_text(args);
    /* DSN's parameters are taken, but not offered: nothing is sent from here, so that who hands the
     * message over reports its success (RFC 3461 5.2.2). */
    buf_init(&text, 0);
    buf_add_text(&text, settings->host_name);
    buf_addf(&text, "\nPIPELINING\nSIZE %llu\n8BITMIME\nENHANCEDSTATUSCODES\nSMTPUTF8\nCHUNKING",
             (unsigned long long)settings->message_size_max);
    lmtp_reply(s, 250, ESC_NONE, buf_span(&text));
    buf_fini(&text);
}

static void do_hello(struct lmtp_session *s, struct span args)
{
    (void)args;
    lmtp_refuse(s, STATUS(500, 5, 5, 1, "This is LMTP: say LHLO"));
}

static void do_data(struct lmtp_session *s, struct span args)
{
    (void)args;
    /* RFC 2920 3.1: DATA ends a group. What is here already was not written by a client that waits
     * for the 354, and is not to be taken for a message (smuggling). */
    if (s->is_followed && s->message != NULL && s->message->recipient_count > 0) {
        lmtp_reply(s, 521, ESC(5, 5, 0), SPAN("Data sent before the 354 reply"));
        lmtp_end(s, "data before 354");
        return;
    }
    if (s->message == NULL || s->message->in_chunks)
        bad_sequence(s, s->message != NULL ? "BDAT has begun" : "MAIL first"); /* RFC 3030 2 */
    else if (s->message->recipient_count == 0)
        bad_sequence(s, "No valid recipients"); /* RFC 2033 4.2 */
    else
        lmtp_data_begin(s);
}

static void do_rset(struct lmtp_session *s, struct span args)
{
    (void)args;
    lmtp_message_drop(s);
    lmtp_reply(s, 250, ESC(2, 0, 0), SPAN("OK"));
}

static void do_noop(struct lmtp_session *s, struct span args)
{
    (void)args;
    lmtp_reply(s, 250, ESC(2, 0, 0), SPAN("OK"));
}

static void do_vrfy(struct lmtp_session *s, struct span args)
{
    if (args.len == 0)
        lmtp_refuse(s, STATUS(501, 5, 5, 4, "Whom?"));
    else
        lmtp_reply(s, 252, ESC(2, 5, 0), SPAN("Not verified; send mail and it will be tried"));
}

static void do_help(struct lmtp_session *s, struct span args)
{
    (void)args;
    lmtp_reply(s, 214, ESC(2, 0, 0),
               SPAN("Commands: LHLO MAIL RCPT DATA BDAT RSET NOOP VRFY HELP QUIT"));
}

static void do_quit(struct lmtp_session *s, struct span args)
{
    (void)args;
    lmtp_reply(s, 221, ESC(2, 0, 0), SPAN("Bye"));
    lmtp_end(s, "quit");
}

enum { NEEDS_HELLO = 1 << 0, TAKES_NOTHING = 1 << 1 };

static const struct {
    void (*handler)(struct lmtp_session *s, struct span args);
    unsigned flags;
} table[SMTP_VERB_COUNT] = {
    [SMTP_VERB_LHLO] = {do_lhlo, 0},
    [SMTP_VERB_EHLO] = {do_hello, 0},
    [SMTP_VERB_HELO] = {do_hello, 0},
    [SMTP_VERB_MAIL] = {lmtp_mail, NEEDS_HELLO},
    [SMTP_VERB_RCPT] = {lmtp_rcpt, NEEDS_HELLO},
    [SMTP_VERB_DATA] = {do_data, NEEDS_HELLO | TAKES_NOTHING},
    [SMTP_VERB_BDAT] = {lmtp_chunk_begin, 0}, /* whenever it comes, its chunk has to be taken */
    [SMTP_VERB_RSET] = {do_rset, TAKES_NOTHING},
    [SMTP_VERB_NOOP] = {do_noop, 0},
    [SMTP_VERB_VRFY] = {do_vrfy, 0},
    [SMTP_VERB_HELP] = {do_help, 0},
    [SMTP_VERB_QUIT] = {do_quit, TAKES_NOTHING},
};

void lmtp_execute(struct lmtp_session *s, const struct smtp_command *command)
{
    unsigned flags = table[command->verb].flags;

    if (table[command->verb].handler == NULL)
        lmtp_refuse(s, STATUS(500, 5, 5, 2, "Unknown command"));
    else if ((flags & NEEDS_HELLO) != 0 && s->hello == NULL)
        bad_sequence(s, "LHLO first");
    else if ((flags & TAKES_NOTHING) != 0 && command->args.len > 0)
        lmtp_refuse(s, STATUS(501, 5, 5, 4, "This command takes no argument"));
    else
        table[command->verb].handler(s, command->args);
}
