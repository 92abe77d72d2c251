/* MAIL and RCPT: who sends the message, and whose mailboxes it goes to. */
#include "base/memory.h"
#include "plugins/drop/lmtp/private.h"

#include <stdio.h>
#include <stdlib.h>

static void refuse_path(struct lmtp_session *s, enum smtp_path_error error,
                        enum address_error address)
{
    struct status why = {.code = 501, .enhanced = ESC(5, 5, 4)};
    bool is_address = error == SMTP_PATH_ADDRESS;
    char text[160];

    snprintf(text, sizeof text, "Syntax: %s%s%s", smtp_path_error_text(error),
             is_address ? ": " : "", is_address ? address_error_text(address) : "");
    if (is_address)
        why.enhanced = ESC(5, 1, 3);
    if (error == SMTP_PATH_NEEDS_SMTPUTF8 || address == ADDRESS_UTF8_REFUSED) {
        why.enhanced = ESC(5, 6, 7);
        why.code = 553; /* RFC 6531 3.5 */
    }
    why.text = span_cstr(text);
    lmtp_refuse(s, why);
}

/* ---- MAIL --------------------------------------------------------------------------------- */

void lmtp_message_drop(struct lmtp_session *s)
{
    struct lmtp_message *m = s->message;

    if (m == NULL)
        return;
    s->message = NULL;
    mailstore_draft_free(m->draft);
    addresses_unref(m->addresses);
    users_unref(m->users);
    free(m->recipients);
    free(m->targets);
    arena_fini(&m->arena);
    free(m);
}

static struct lmtp_message *message_create(struct lmtp_session *s, struct span reverse_path)
{
    struct lmtp_message *m = mem_zalloc(sizeof *m);
    struct drop_worker *worker = s->base.worker;

    arena_init(&m->arena);
    m->addresses = drop_worker_addresses(worker);
    m->users = worker->auth != NULL ? auth_users(worker->auth) : NULL;
    m->reverse_path = arena_dup(&m->arena, reverse_path);
    return m;
}

void lmtp_mail(struct lmtp_session *s, struct span text)
{
    static const struct esmtp_offer offer = {.extensions = LMTP_EXTENSIONS};
    struct smtp_mail_args args;
    struct esmtp_mail mail;

    if (s->message != NULL) {
        lmtp_refuse(s, STATUS(503, 5, 5, 1, "A transaction is under way"));
        return;
    }
    enum smtp_path_error error =
        smtp_parse_mail(text, SMTP_PATH_ALLOW_LONG_LOCAL | SMTP_PATH_ALLOW_UTF8, &args);
    if (error != SMTP_PATH_OK) {
        refuse_path(s, error, args.address_error);
        return;
    }
    s->message = message_create(s, args.path.text);
    enum esmtp_error fault =
        esmtp_parse_mail(&args.params, &offer, &s->message->arena, &mail, NULL);
    struct status why = esmtp_error_status(fault);
    if (fault == ESMTP_OK && mail.size > s->base.worker->settings->message_size_max)
        why = STATUS(552, 5, 3, 4, "The message is larger than is taken here");
    if (why.code != 0) {
        lmtp_message_drop(s);
        lmtp_refuse(s, why);
        return;
    }
    s->message->is_utf8 = mail.smtputf8;
    s->message->size = mail.size;
    lmtp_reply(s, 250, ESC(2, 1, 0), SPAN("Sender OK"));
}

/* ---- RCPT --------------------------------------------------------------------------------- */

/* What is found while a recipient is looked up, in one view of the store. */
struct lookup {
    struct kv_txn *txn;
    struct span wanted; /* a folder's name, in any case of its letters */
    struct span found;
    struct arena *arena;
};

static bool visit_box(void *context, const struct mailstore_box *box)
{
    struct lookup *lookup = context;

    if (!span_equal_nocase(box->name, lookup->wanted))
        return true;
    lookup->found = arena_dup(lookup->arena, box->name);
    return false;
}

/* As senders write it, in another case too; a folder that is not there is not made. */
static struct span find_folder(struct lookup *lookup, struct span user, struct span folder)
{
    static struct mailstore_box const none;
    struct mailstore_box box = none;

    if (span_equal(folder, SPAN("INBOX")))
        return folder;
    if (!err_is(mailstore_box_find(lookup->txn, user, folder, &box)))
        return folder;
    lookup->wanted = folder;
    lookup->found = SPAN_NONE;
    struct err e = mailstore_box_walk(lookup->txn, user, visit_box, lookup);
    return err_is(e) || lookup->found.len == 0 ? SPAN("INBOX") : lookup->found;
}

/* Told now where it can be seen already, and by the append in any case. */
static bool is_full(const struct lmtp_session *s, struct lookup *lookup, struct span user)
{
    struct mailstore_user usage;

    if (err_is(mailstore_user_get(s->base.worker->store, lookup->txn, user, &usage)))
        return false;
    return (usage.bytes_max > 0 && usage.bytes + s->message->size >= usage.bytes_max) ||
           (usage.messages_max > 0 && usage.messages >= usage.messages_max);
}

static bool are_full(const struct lmtp_session *s, struct lookup *lookup,
                     const struct address_result *results)
{
    for (; results != NULL; results = results->next)
        if (!is_full(s, lookup, results->user))
            return false;
    return true;
}

/* The index of the mailbox among the message's, to which it is added where it is new. */
static unsigned take_target(struct lmtp_message *m, const struct lmtp_target *target)
{
    for (unsigned i = 0; i < m->target_count; i++) {
        struct lmtp_target *other = &m->targets[i];
        if (span_equal(other->user, target->user) && span_equal(other->folder, target->folder)) {
            other->is_shared |= target->is_shared;
            return i;
        }
    }
    if (m->target_count == m->target_cap) {
        m->target_cap = m->target_cap > 0 ? 2 * m->target_cap : 4;
        m->targets = mem_realloc(m->targets, m->target_cap * sizeof *m->targets);
    }
    m->targets[m->target_count] = *target;
    return m->target_count++;
}

static struct lmtp_recipient *add_recipient(struct lmtp_message *m)
{
    if (m->recipient_count == m->recipient_cap) {
        m->recipient_cap = m->recipient_cap > 0 ? 2 * m->recipient_cap : 4;
        m->recipients = mem_realloc(m->recipients, m->recipient_cap * sizeof *m->recipients);
    }
    m->recipients[m->recipient_count] = (struct lmtp_recipient){0};
    return &m->recipients[m->recipient_count++];
}

static struct status take_results(struct lmtp_session *s, struct span address,
                                  const struct address_result *results, unsigned count)
{
    struct lmtp_message *m = s->message;
    struct lookup lookup = {.arena = &m->arena};
    struct lmtp_recipient *recipient;
    struct status why = {0};

    if (m->target_count + count > MAILSTORE_TARGETS_MAX)
        return STATUS(452, 4, 5, 3, "Too many mailboxes; send the rest separately");
    if (err_is(mailstore_read_begin(s->base.worker->store, &lookup.txn)))
        return STATUS(451, 4, 3, 0, "Mailboxes cannot be read, try again later");
    if (are_full(s, &lookup, results)) {
        why = lmtp_over_quota(s);
    } else {
        recipient = add_recipient(m);
        recipient->address = arena_dup(&m->arena, address);
        recipient->targets = arena_alloc(&m->arena, count * sizeof *recipient->targets);
        for (const struct address_result *r = results; r != NULL; r = r->next) {
            struct lmtp_target target = {.user = r->user,
                                         .folder = find_folder(&lookup, r->user, r->folder),
                                         .address = recipient->address,
                                         .is_shared = count > 1};
            recipient->targets[recipient->target_count++] = take_target(m, &target);
        }
    }
    mailstore_read_end(lookup.txn);
    return why;
}

/* Keeps the mailboxes among the results. */
static unsigned keep_mailboxes(struct address_result **results, bool *is_elsewhere_out)
{
    unsigned count = 0;

    *is_elsewhere_out = false;
    while (*results != NULL) {
        if ((*results)->forward.len > 0) {
            *is_elsewhere_out = true;
            *results = (*results)->next;
        } else {
            results = &(*results)->next;
            count++;
        }
    }
    return count;
}

/* Code 0: it has become one of the message's. */
static struct status take_recipient(struct lmtp_session *s, const struct address *path)
{
    struct lmtp_message *m = s->message;
    struct span domain = SPAN_NONE; /* of Postmaster alone */
    struct address_result *results;
    bool is_elsewhere;

    if (path->literal ||
        (path->kind != ADDRESS_POSTMASTER && !domain_to_ascii(path->domain, &m->arena, &domain)))
        return STATUS(550, 5, 1, 2, "Mail for this domain is not delivered here");
    struct span local = path->kind == ADDRESS_POSTMASTER ? SPAN("postmaster")
                                                         : address_canonical_local(path, &m->arena);
    enum address_answer answer =
        addresses_find(m->addresses, m->users, local, domain, &m->arena, &results);
    if (answer == ADDRESS_FOREIGN)
        return STATUS(550, 5, 1, 2, "Mail for this domain is not delivered here");
    if (answer == ADDRESS_UNKNOWN)
        return STATUS(550, 5, 1, 1, "No such user here");
    unsigned count = keep_mailboxes(&results, &is_elsewhere);
    /* The relay has sent it there itself. */
    if (is_elsewhere && (s->base.door != DROP_RELAY || count == 0))
        return STATUS(550, 5, 1, 6,
                      "This alias leads to addresses elsewhere, where nothing is sent to from "
                      "here; such an alias belongs into the routing table");
    return take_results(s, path->text, results, count);
}

void lmtp_rcpt(struct lmtp_session *s, struct span text)
{
    static const struct esmtp_offer offer = {.extensions = LMTP_EXTENSIONS};
    unsigned flags = SMTP_PATH_ALLOW_LONG_LOCAL | SMTP_PATH_ALLOW_UNDERSCORE;
    struct smtp_rcpt_args args;
    struct esmtp_rcpt rcpt;

    if (s->message == NULL || s->message->in_chunks) {
        lmtp_refuse(s, s->message != NULL ? STATUS(503, 5, 5, 1, "The message has begun")
                                          : STATUS(503, 5, 5, 1, "MAIL first"));
        return;
    }
    if (s->message->is_utf8)
        flags |= SMTP_PATH_ALLOW_UTF8;
    enum smtp_path_error error = smtp_parse_rcpt(text, flags, &args);
    if (error != SMTP_PATH_OK) {
        refuse_path(s, error, args.address_error);
        return;
    }
    struct status why =
        esmtp_error_status(esmtp_parse_rcpt(&args.params, &offer, &s->message->arena, &rcpt, NULL));
    if (why.code != 0) {
        lmtp_refuse(s, why);
        return;
    }
    if (s->message->recipient_count >= s->base.worker->settings->recipients_max)
        why = STATUS(452, 4, 5, 3, "Too many recipients; send the rest separately");
    else
        why = take_recipient(s, &args.path);
    if (why.code == 0)
        why = STATUS(250, 2, 1, 5, "Recipient OK");
    /* That somebody is not there is no error of the server that asks for him. */
    lmtp_reply(s, why.code, why.enhanced, why.text);
}
