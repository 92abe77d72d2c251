/* The end of a message: into which mailboxes it is put, and what each recipient is answered. A 250
 * is written here alone, once the message is durable. */
#include "plugins/drop/lmtp/private.h"

struct status lmtp_over_quota(const struct lmtp_session *s)
{
    return s->base.worker->settings->quota_permanent ? STATUS(552, 5, 2, 2, "The mailbox is full")
                                                     : STATUS(452, 4, 2, 2, "The mailbox is full");
}

static void answer(struct lmtp_session *s, const struct lmtp_recipient *recipient,
                   struct status why)
{
    struct span line = arena_printf(&s->message->arena, "<%.*s> %.*s", SPAN_ARG(recipient->address),
                                    SPAN_ARG(why.text));

    lmtp_reply(s, why.code, why.enhanced, line);
}

void lmtp_answer_all(struct lmtp_session *s, struct status why)
{
    for (unsigned i = 0; i < s->message->recipient_count; i++)
        answer(s, &s->message->recipients[i], why);
}

static struct status unfit(struct lmtp_session *s)
{
    struct lmtp_message *m = s->message;
    const struct line_checker *lines = &m->dot.lines;
    struct status why = {0};

    if (lines->faults != 0) {
        enum body_fault first = (enum body_fault)(lines->faults & -lines->faults);
        why = STATUS(554, 5, 6, 0, "");
        why.text = arena_printf(
            &m->arena, "Message refused: %s at byte %llu; lines must end with CRLF and hold no NUL",
            body_fault_text(lines->faults),
            (unsigned long long)line_checker_fault_at(lines, first));
    } else if (m->is_too_large) {
        why = STATUS(552, 5, 3, 4, "The message is larger than is taken here");
    } else if (m->hops.count > s->base.worker->settings->hops_max) {
        why = STATUS(554, 5, 4, 6, "Too many hops: mail loop");
    }
    return why;
}

/* ---- answers ------------------------------------------------------------------------------ */

static struct status status_of_refusal(const struct lmtp_session *s, enum mailstore_refusal refusal)
{
    switch (refusal) {
    case MAILSTORE_FINE:
        return STATUS(250, 2, 0, 0, "Delivered");
    case MAILSTORE_OVER_QUOTA:
        return lmtp_over_quota(s);
    case MAILSTORE_BAD_NAME:
    case MAILSTORE_EXISTS:
    case MAILSTORE_INBOX:
    case MAILSTORE_NO_BOX:
    case MAILSTORE_TOO_MANY:
        break;
    }
    return STATUS(450, 4, 2, 0, "The mailbox takes no message now, try again later");
}

static struct status status_of_failure(struct err e)
{
    return e.kind == ERR_NO_SPACE ? STATUS(452, 4, 3, 1, "No room to store mail, try again later")
                                  : STATUS(451, 4, 3, 0, "Mail cannot be stored, try again later");
}

/* What the first of its mailboxes that has refused it says. */
static struct status status_of(const struct lmtp_session *s, const struct lmtp_recipient *recipient)
{
    const struct lmtp_message *m = s->message;
    enum mailstore_refusal refusal = MAILSTORE_FINE;

    if (recipient->is_loop)
        return STATUS(554, 5, 4, 6, "The message has been delivered here before: mail loop");
    if (err_is(m->append.op.result))
        return status_of_failure(m->append.op.result);
    for (unsigned i = 0; i < recipient->target_count && refusal == MAILSTORE_FINE; i++) {
        const struct lmtp_target *target = &m->targets[recipient->targets[i]];
        refusal = m->append.targets[target->place].refusal;
    }
    return status_of_refusal(s, refusal);
}

static void tell_outcome(struct lmtp_session *s, const struct lmtp_recipient *recipient,
                         const struct status *why)
{
    const struct lmtp_message *m = s->message;
    bool is_good = status_is_success(why);
    struct log_line line;

    drop_session_count(&s->base, is_good ? DROP_COUNT_DELIVERED : DROP_COUNT_NOT_DELIVERED);
    if (!drop_session_log(&s->base, &line, LOG_INFO, is_good ? "delivered" : "not-delivered"))
        return;
    log_span(&line, "from", m->reverse_path);
    log_span(&line, "to", recipient->address);
    if (is_good) {
        const struct lmtp_target *target = &m->targets[recipient->targets[0]];
        const struct mailstore_target *put = &m->append.targets[target->place];
        log_span(&line, "owner", put->user);
        log_span(&line, "folder", put->name);
        log_u64(&line, "uid", put->uid);
    } else {
        log_u64(&line, "code", why->code);
        log_span(&line, "text", why->text);
    }
    log_u64(&line, "size", m->size_taken);
    log_end(&line);
}

/* The message has been put into its mailboxes, or it is known why not. */
static void finish(struct lmtp_session *s)
{
    for (unsigned i = 0; i < s->message->recipient_count; i++) {
        const struct lmtp_recipient *recipient = &s->message->recipients[i];
        struct status why = status_of(s, recipient);
        tell_outcome(s, recipient, &why);
        if (s->state == LMTP_APPEND)
            answer(s, recipient, why);
    }
    lmtp_message_drop(s);
    lmtp_enter(s, LMTP_COMMAND);
}

static void on_appended(struct mailstore_op *op)
{
    struct mailstore_append *append = container_of(op, struct mailstore_append, op);
    struct lmtp_session *s = container_of(append, struct lmtp_message, append)->session;

    if (err_is(op->result) && op->result.kind != ERR_NO_SPACE)
        log_failure(LOG_ERROR, "append-failed", op->result, NULL, NULL);
    s->is_appending = false;
    finish(s);
    if (s->base.conn != NULL)
        lmtp_run(s);
    else
        lmtp_release(s);
}

/* ---- mailboxes ---------------------------------------------------------------------------- */

static struct span prefix_of(struct lmtp_message *m, const struct lmtp_target *target)
{
    return arena_printf(&m->arena, "Return-Path: <%.*s>\r\nDelivered-To: %.*s\r\n",
                        SPAN_ARG(m->reverse_path), SPAN_ARG(target->address));
}

static void want_targets(struct lmtp_message *m)
{
    for (unsigned i = 0; i < m->recipient_count; i++) {
        struct lmtp_recipient *recipient = &m->recipients[i];
        recipient->is_loop = hops_has(&m->hops, recipient->address);
        for (unsigned k = 0; k < recipient->target_count && !recipient->is_loop; k++)
            m->targets[recipient->targets[k]].is_wanted = true;
    }
}

static void make_targets(struct lmtp_message *m)
{
    struct mailstore_append *append = &m->append;

    append->targets = arena_alloc(&m->arena, m->target_count * sizeof *append->targets);
    for (unsigned i = 0; i < m->target_count; i++) {
        struct lmtp_target *target = &m->targets[i];
        if (!target->is_wanted)
            continue;
        target->place = append->target_count++;
        append->targets[target->place] =
            (struct mailstore_target){.user = target->user,
                                      .name = target->folder,
                                      .is_created = true, /* a folder that went meanwhile */
                                      .is_unbound = target->is_shared,
                                      .prefix = prefix_of(m, target)};
    }
}

void lmtp_deliver(struct lmtp_session *s)
{
    struct lmtp_message *m = s->message;
    struct status why = unfit(s);

    if (why.code != 0) {
        lmtp_answer_all(s, why);
        lmtp_message_drop(s);
        lmtp_enter(s, LMTP_COMMAND);
        return;
    }
    want_targets(m);
    make_targets(m);
    lmtp_enter(s, LMTP_APPEND);
    if (m->append.target_count == 0) {
        finish(s);
        return;
    }
    m->session = s;
    m->append.op.kind = MAILSTORE_APPEND;
    m->append.op.done = on_appended;
    m->append.drafts = &m->draft;
    m->append.draft_count = 1;
    s->is_appending = true;
    mailstore_submit(s->base.worker->store, &m->append.op, s->base.worker->loop);
}
