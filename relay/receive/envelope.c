/* MAIL and RCPT: who sends the message and to whom, with what was asked for besides. */
#include "base/clock.h"
#include "receive/extensions.h"

#include <stdio.h>

enum { PATH_TEXT_MAX = 160 };

/* `syntax` is for a malformed address; RFC 3463 3.2 has one for senders and one for recipients. */
static struct status path_status(enum smtp_path_error error, enum address_error address,
                                 struct enhanced_code syntax, char text[PATH_TEXT_MAX])
{
    struct enhanced_code enhanced = ESC(5, 5, 4);
    uint16_t code = 501;

    snprintf(text, PATH_TEXT_MAX, "Syntax: %s%s%s", smtp_path_error_text(error),
             error == SMTP_PATH_ADDRESS ? ": " : "",
             error == SMTP_PATH_ADDRESS ? address_error_text(address) : "");
    if (error == SMTP_PATH_ADDRESS)
        enhanced = syntax;
    if (error == SMTP_PATH_NEEDS_SMTPUTF8 || address == ADDRESS_UTF8_REFUSED) {
        enhanced = ESC(5, 6, 7);
        code = 553; /* RFC 6531 3.5 */
    }
    return (struct status){.code = code, .enhanced = enhanced, .text = span_cstr(text)};
}

/* `to` is empty for a sender. */
static void refuse(struct session *s, struct span from, struct span to, struct status why)
{
    session_log_refused(s, from, to, &why);
    session_refuse_span(s, why.code, why.enhanced, why.text);
}

/* ---- MAIL --------------------------------------------------------------------------------- */

bool envelope_store_refuses(const struct session *s, struct status *why)
{
    if (!queue_refuses(s->server->queue))
        return false;
    *why = queue_is_broken(s->server->queue)
               ? STATUS(451, 4, 3, 0, "Mail cannot be stored, try again later")
               : STATUS(452, 4, 3, 1, "No room to store mail, try again later");
    return true;
}

bool envelope_store_takes_mail(struct session *s)
{
    struct status why;

    if (!envelope_store_refuses(s, &why))
        return true;
    session_reply_span(s, why.code, why.enhanced, why.text);
    return false;
}

/* False, and said so, where one of them is refused. */
static bool take_mail_params(struct session *s, const struct smtp_params *params)
{
    struct queue_message *message = s->tx->message;
    struct esmtp_offer offer = extensions_offer(s);
    struct esmtp_mail mail;
    struct status why = STATUS(552, 5, 3, 4, "");

    enum esmtp_error error = esmtp_parse_mail(params, &offer, &message->arena, &mail, NULL);
    if (error != ESMTP_OK) {
        refuse(s, message->reverse_path, SPAN_NONE, esmtp_error_status(error));
        return false;
    }
    if (mail.size > s->conf->message_size_max) {
        why.text = arena_printf(&message->arena, "Message is larger than %llu bytes",
                                (unsigned long long)s->conf->message_size_max);
        refuse(s, message->reverse_path, SPAN_NONE, why);
        return false;
    }
    return extensions_take_mail(s, &mail);
}

static void begin_message(struct session *s, const struct address *sender)
{
    struct queue_message *message = s->tx->message;

    message->id = queue_new_id(s->server->queue);
    message->arrival = clock_steady_ms();
    message->reverse_path = arena_dup(&message->arena, sender->text);
    message->tenant = arena_dup(&message->arena, s->tenant != NULL ? span_cstr(s->tenant)
                                                 : s->user != NULL ? span_cstr(s->user)
                                                                   : sender->domain);
    if (s->tags != NULL)
        message->tags = arena_dup(&message->arena, span_cstr(s->tags));
    if (s->wishes != NULL)
        route_wishes_parse(arena_dup(&message->arena, span_cstr(s->wishes)), &s->tx->wishes);
    message->client = arena_dup(&message->arena, span_cstr(s->client));
    message->client_name = arena_dup(&message->arena, span_cstr(screen_verified_name(s)));
    message->client_port = sockaddr_port(session_peer(s));
    message->hello = arena_dup(&message->arena, span_cstr(s->hello));
}

static void answer_mail(struct session *s, const struct status *refusal)
{
    if (refusal != NULL) {
        session_log_refused(s, s->tx->message->reverse_path, SPAN_NONE, refusal);
        transaction_drop(s->tx);
        hooks_refuse(s, refusal);
    } else if (s->tx->priority_lowered) /* RFC 6710 4.1 */
        session_reply(s, 250, ESC(2, 3, 6), "Sender OK; 0 is the priority of the message");
    else
        session_reply(s, 250, ESC(2, 1, 0), "Sender OK");
}

void envelope_mail(struct session *s, struct span text)
{
    struct smtp_mail_args args;
    char why[PATH_TEXT_MAX];

    if (s->tx != NULL) {
        session_refuse(s, 503, ESC(5, 5, 1), "A transaction is under way");
        return;
    }
    if (!certificate_lets_in(s))
        return;
    if (s->listener.role == CONF_ROLE_SUBMISSION && s->user == NULL) {
        session_refuse(s, 530, ESC(5, 7, 0), "Log in first");
        return;
    }
    if (!envelope_store_takes_mail(s) || !rates_allow_message(s))
        return;
    unsigned flags = SMTP_PATH_ALLOW_LONG_LOCAL;
    if (extensions_have(s, SMTP_EXT_SMTPUTF8))
        flags |= SMTP_PATH_ALLOW_UTF8;
    enum smtp_path_error error = smtp_parse_mail(text, flags, &args);
    if (error != SMTP_PATH_OK) {
        refuse(s, text, SPAN_NONE, path_status(error, args.address_error, ESC(5, 1, 7), why));
        return;
    }
    if (!auth_may_send_as(s, &args.path)) {
        refuse(s, args.path.text, SPAN_NONE,
               STATUS(553, 5, 7, 1, "This sender address is not yours to use"));
        return;
    }
    s->tx = transaction_create(s);
    begin_message(s, &args.path);
    if (take_mail_params(s, &args.params))
        hooks_ask(s, SMARTHOP_ON_MAIL, answer_mail);
    else
        transaction_drop(s->tx);
}

/* ---- RCPT --------------------------------------------------------------------------------- */

/* Into tx->asked; false, and said so, where one of them is refused. */
static bool take_rcpt_params(struct session *s, const struct smtp_rcpt_args *args)
{
    struct arena *arena = &s->tx->asking;
    struct esmtp_rcpt *rcpt = &s->tx->asked;
    struct esmtp_offer offer = extensions_offer(s);

    arena_fini(arena); /* of the one before */
    enum esmtp_error error = esmtp_parse_rcpt(&args->params, &offer, arena, rcpt, NULL);
    if (error != ESMTP_OK) {
        refuse(s, s->tx->message->reverse_path, args->path.text, esmtp_error_status(error));
        return false;
    }
    rcpt->orcpt = arena_dup(arena, rcpt->orcpt);
    return true;
}

static void answer_rcpt(struct session *s, const struct status *refusal)
{
    struct transaction *tx = s->tx;

    if (refusal != NULL) {
        recipient_refuse(s, tx->route.recipient, *refusal);
        return;
    }
    tx->route.tenant = tx->message->tenant;
    facts_add(s, &tx->route);
    session_enter(s, SESSION_ROUTE);
    transaction_route(tx);
}

/* tx->route is what is asked about it. */
static void ask_about(struct session *s, const struct address *path)
{
    struct transaction *tx = s->tx;
    struct arena *arena = &tx->asking;
    struct route_query *query = &tx->route;
    struct span ascii = SPAN_NONE;

    if (path->literal)
        ascii = arena_dup(arena, path->domain);
    else
        domain_to_ascii(path->domain, arena, &ascii);
    *query = (struct route_query){
        .conf = tx->conf,
        .reverse_path = tx->message->reverse_path,
        .recipient = arena_dup(arena, path->text),
        .domain = ascii,
        .arena = arena,
        .orcpt = tx->asked.orcpt,
        .wishes = tx->wishes,
        .is_early = true,
    };
    hooks_ask_recipient(s, answer_rcpt);
}

void envelope_rcpt(struct session *s, struct span text)
{
    struct smtp_rcpt_args args;
    char why[PATH_TEXT_MAX];

    if (s->tx == NULL || s->tx->in_chunks) {
        session_refuse(s, 503, ESC(5, 5, 1), s->tx ? "The message has begun" : "MAIL first");
        return;
    }
    unsigned flags = SMTP_PATH_ALLOW_LONG_LOCAL | SMTP_PATH_ALLOW_UNDERSCORE;
    if (s->tx->message->flags & QUEUE_SMTPUTF8)
        flags |= SMTP_PATH_ALLOW_UTF8;
    enum smtp_path_error error = smtp_parse_rcpt(text, flags, &args);
    if (error != SMTP_PATH_OK) {
        refuse(s, s->tx->message->reverse_path, text,
               path_status(error, args.address_error, ESC(5, 1, 3), why));
        return;
    }
    if (!take_rcpt_params(s, &args))
        return;
    bool is_postmaster = recipient_is_postmaster(&args.path); /* it may be admitted as another */
    if (screen_refuses(s, &args.path) || !recipient_admit(s, &args.path))
        return;
    if (s->tx->recipient_count >= s->conf->recipients_max) {
        session_reply(s, 452, ESC(4, 5, 3), "Too many recipients; send the rest separately");
        return;
    }
    if (!is_postmaster && greylist_defers(s, &args.path))
        return;
    ask_about(s, &args.path);
}

void envelope_routed(struct session *s)
{
    struct transaction *tx = s->tx;
    const struct route_answer *answer = &tx->route.answer;

    session_enter(s, SESSION_COMMAND);
    if (answer->verdict == ROUTE_REJECT || answer->verdict == ROUTE_DEFER) {
        recipient_refuse(s, tx->route.recipient, answer->status);
    } else if (rates_take_recipient(s)) {
        transaction_add_recipients(tx, tx->asked.notify, tx->asked.orcpt);
        s->recipients_total++;
        session_reply(s, 250, ESC(2, 1, 5), "Recipient OK");
    }
    session_run(s);
}
