#include "deliver/session.h"

#include "proto/smtp_ehlo.h"
#include "proto/xtext.h"

#include <stdlib.h>

enum {
    AT_ONCE_MAX = 65536, /* bytes of message data that leave together with the envelope */
    PUMP_STEP = 32768,
    BAD_LINES = BODY_BARE_CR | BODY_BARE_LF | BODY_NUL,
};

static bool offers(const struct deliver_session *s, enum smtp_extension extension)
{
    return (s->extensions & (unsigned)extension) != 0;
}

/* RFC 1870 3: as transmitted, but without what transparency adds. */
static uint64_t wire_size(const struct queue_message *message)
{
    return message->size + message->trace.len;
}

bool deliver_transaction_is_declined(struct deliver_session *s)
{
    const struct queue_message *message = s->attempt->message;

    if ((message->flags & QUEUE_SMTPUTF8) != 0 && !offers(s, SMTP_EXT_SMTPUTF8))
        s->objection = VERDICT_NEEDS_SMTPUTF8;
    else if (s->size_max != 0 && wire_size(message) > s->size_max)
        s->objection = VERDICT_TOO_LARGE;
    else
        return false;
    return true;
}

void deliver_transaction_prepare(struct deliver_session *s, struct deliver_attempt *attempt)
{
    s->attempt = attempt;
    s->transaction = (struct deliver_transaction){.by = arena_dup(attempt->arena, s->by)};
    for (unsigned i = 0; i < attempt->recipient_count; i++)
        attempt->statuses[i] = (struct status){0};
    attempt->scope = STATUS_SCOPE_RECIPIENT;
    attempt->sent = false;
    attempt->dsn_passed = offers(s, SMTP_EXT_DSN);
    attempt->damaged = false;
    attempt->started_ms = loop_now(s->options.loop);
}

/* ---- outcomes ------------------------------------------------------------------------------ */

static struct status judge(const struct deliver_session *s, const struct smtp_reply *reply)
{
    struct verdict_reply said = {.state = s->state, .reused = s->messages > 0, .reply = reply};
    struct status status = verdict_of_reply(&said, s->attempt->arena);

    status.by = s->transaction.by;
    return status;
}

static bool ends_session(const struct status *status)
{
    return status->scope == STATUS_SCOPE_HOST || status->scope == STATUS_SCOPE_SESSION;
}

/* A status without a code means that none has been given. */
static void settle_one(struct deliver_attempt *attempt, unsigned i, const struct status *status)
{
    if (attempt->statuses[i].code != 0)
        return;
    attempt->statuses[i] = *status;
    if (status->scope > attempt->scope)
        attempt->scope = status->scope;
}

void deliver_transaction_settle(struct deliver_session *s, const struct status *status)
{
    for (unsigned i = 0; i < s->attempt->recipient_count; i++)
        settle_one(s->attempt, i, status);
}

/* The connection goes down before the end of data, so that the host cannot take what it has for
 * the message. */
static void abandon_body(struct deliver_session *s, enum verdict_own why)
{
    struct status status = verdict_of_own(why);

    s->attempt->damaged = why == VERDICT_DAMAGED;
    deliver_transaction_settle(s, &status);
    deliver_end(s);
}

/* ---- sending ------------------------------------------------------------------------------- */

static void write_param(struct buf *out, const char *keyword, struct span value)
{
    if (value.len > 0)
        buf_addf(out, " %s=%.*s", keyword, SPAN_ARG(value));
}

static void write_mail(struct deliver_session *s, struct buf *out)
{
    const struct queue_message *message = s->attempt->message;

    buf_add(out, SPAN("MAIL FROM:<"));
    buf_add(out, message->reverse_path);
    buf_add(out, SPAN(">"));
    if (offers(s, SMTP_EXT_SIZE))
        buf_addf(out, " SIZE=%llu", (unsigned long long)wire_size(message));
    /* To a server without 8BITMIME the body goes as it is: those that mind are long gone, and what
     * was signed stays whole. */
    if ((message->flags & QUEUE_BODY_8BIT) != 0 && offers(s, SMTP_EXT_8BITMIME))
        buf_add(out, SPAN(" BODY=8BITMIME"));
    if ((message->flags & QUEUE_SMTPUTF8) != 0)
        buf_add(out, SPAN(" SMTPUTF8"));
    if (s->attempt->dsn_passed) {
        write_param(out, "RET", esmtp_ret_format(message->ret));
        write_param(out, "ENVID", xtext_encode(message->envelope_id, s->attempt->arena));
    }
    buf_add(out, SPAN("\r\n"));
}

/* RFC 3461 5.2.1: what was not said to us is not said to the next hop. */
static void write_rcpt(const struct deliver_attempt *attempt, unsigned i, struct buf *out)
{
    const struct queue_recipient *recipient = &attempt->group->recipients[attempt->recipients[i]];
    char notify[ESMTP_NOTIFY_TEXT_MAX];

    buf_add(out, SPAN("RCPT TO:<"));
    buf_add(out, recipient->address);
    buf_add(out, SPAN(">"));
    if (attempt->dsn_passed) {
        size_t len = esmtp_notify_format(recipient->notify, notify);
        write_param(out, "NOTIFY", span_of(notify, len));
        write_param(out, "ORCPT", recipient->original);
    }
    buf_add(out, SPAN("\r\n"));
}

static void begin_body(struct deliver_session *s)
{
    dot_encoder_init(&s->transaction.encoder);
    deliver_body_begin(&s->body, s->attempt->message);
    if (s->transaction.chunking)
        /* One chunk, whatever its size: that it is all or nothing is what counts. */
        buf_addf(conn_output(s->conn), "BDAT %llu LAST\r\n",
                 (unsigned long long)wire_size(s->attempt->message));
}

static void write_command(struct deliver_session *s, unsigned position)
{
    struct deliver_attempt *attempt = s->attempt;
    struct buf *out = conn_output(s->conn);

    if (position == 0)
        write_mail(s, out);
    else if (position <= attempt->recipient_count)
        write_rcpt(attempt, position - 1, out);
    else if (s->transaction.chunking)
        begin_body(s);
    else
        buf_add(out, SPAN("DATA\r\n"));
}

/* Without PIPELINING one command is under way at a time. Message data waits until a recipient is
 * accepted, unless it leaves at once with the rest. */
static unsigned send_limit(const struct deliver_session *s)
{
    const struct deliver_transaction *t = &s->transaction;
    unsigned envelope = 1 + s->attempt->recipient_count;
    bool with_data = !t->chunking || t->at_once || (t->received == envelope && t->accepted > 0);

    if (!offers(s, SMTP_EXT_PIPELINING))
        return t->received + 1;
    return with_data ? envelope + 1 : envelope;
}

static void send_commands(struct deliver_session *s)
{
    struct deliver_transaction *t = &s->transaction;
    unsigned limit = send_limit(s);

    if (t->sent >= limit)
        return;
    while (t->sent < limit)
        write_command(s, t->sent++);
    conn_written(s->conn);
}

void deliver_transaction_begin(struct deliver_session *s)
{
    struct deliver_transaction *t = &s->transaction;
    const struct queue_message *message = s->attempt->message;

    t->chunking = offers(s, SMTP_EXT_CHUNKING);
    t->at_once = t->chunking && offers(s, SMTP_EXT_PIPELINING) && message->body_in_memory &&
                 wire_size(message) <= AT_ONCE_MAX;
    deliver_enter(s, DELIVER_STATE_MAIL);
    send_commands(s);
    if (t->at_once)
        deliver_transaction_pump(s);
}

static bool has_bad_lines(struct deliver_session *s)
{
    return (s->transaction.encoder.lines.faults & BAD_LINES) != 0;
}

/* False where the message must not go on. */
static bool write_chunk(struct deliver_session *s, struct span run)
{
    struct line_checker *lines = &s->transaction.encoder.lines;
    struct span part = span_head(run, PUMP_STEP);

    line_checker_feed(lines, part);
    if (deliver_body_is_last(&s->body, part.len))
        line_checker_end(lines);
    if (has_bad_lines(s))
        return false;
    conn_write(s->conn, part);
    deliver_body_take(&s->body, part.len);
    return true;
}

static bool write_text(struct deliver_session *s, struct span run)
{
    struct buf *out = conn_output(s->conn);
    struct span rest = run;

    dot_encode(&s->transaction.encoder, &rest, out, buf_len(out) + PUMP_STEP);
    deliver_body_take(&s->body, run.len - rest.len);
    conn_written(s->conn);
    return !has_bad_lines(s);
}

static void end_body(struct deliver_session *s)
{
    struct deliver_transaction *t = &s->transaction;

    if (!t->chunking) {
        line_checker_end(&t->encoder.lines);
        if (has_bad_lines(s)) {
            abandon_body(s, VERDICT_DAMAGED);
            return;
        }
        if (!dot_encode_end(&t->encoder, conn_output(s->conn)))
            abort();
        conn_written(s->conn);
    }
    s->attempt->sent = true;
    deliver_body_end(&s->body);
    if (s->state == DELIVER_STATE_BODY)
        deliver_enter(s, DELIVER_STATE_FINAL);
}

void deliver_transaction_pump(struct deliver_session *s)
{
    struct span run;

    while (!conn_is_congested(s->conn)) {
        switch (deliver_body_peek(&s->body, &run)) {
        case DELIVER_BODY_MORE:
            if (s->transaction.chunking ? write_chunk(s, run) : write_text(s, run))
                continue;
            abandon_body(s, VERDICT_DAMAGED);
            return;
        case DELIVER_BODY_WAIT:
            return;
        case DELIVER_BODY_END:
            end_body(s);
            return;
        case DELIVER_BODY_FAILED:
            abandon_body(s,
                         s->body.error.kind == ERR_CORRUPT ? VERDICT_DAMAGED : VERDICT_UNREADABLE);
            return;
        }
    }
}

/* ---- replies ------------------------------------------------------------------------------- */

static void enter_body(struct deliver_session *s)
{
    deliver_enter(s, DELIVER_STATE_BODY);
    deliver_transaction_pump(s);
}

/* The whole envelope has been answered. */
static void end_envelope(struct deliver_session *s)
{
    struct deliver_transaction *t = &s->transaction;

    if (t->sent == t->received && t->accepted == 0) {
        deliver_conclude(s, false);
        return;
    }
    send_commands(s);
    if (!t->chunking)
        deliver_enter(s, DELIVER_STATE_DATA);
    else if (t->at_once)
        deliver_enter(s, DELIVER_STATE_FINAL);
    else
        enter_body(s);
}

static void next_command(struct deliver_session *s)
{
    struct deliver_transaction *t = &s->transaction;

    t->received++;
    if (t->received > s->attempt->recipient_count) {
        end_envelope(s);
        return;
    }
    send_commands(s);
    deliver_enter(s, DELIVER_STATE_RCPT);
}

void deliver_on_mail_reply(struct deliver_session *s, const struct smtp_reply *reply)
{
    struct status status = judge(s, reply);

    if (ends_session(&status)) {
        deliver_fail(s, &status);
        return;
    }
    if (!status_is_success(&status)) {
        deliver_transaction_settle(s, &status);
        if (s->transaction.sent == 1) {
            deliver_conclude(s, false);
            return;
        }
    }
    next_command(s);
}

void deliver_on_rcpt_reply(struct deliver_session *s, const struct smtp_reply *reply)
{
    struct deliver_transaction *t = &s->transaction;
    struct status status = judge(s, reply);
    unsigned i = t->received - 1;

    if (ends_session(&status)) {
        deliver_fail(s, &status);
        return;
    }
    if (!status_is_success(&status))
        settle_one(s->attempt, i, &status);
    else if (s->attempt->statuses[i].code == 0)
        t->accepted++;
    next_command(s);
}

void deliver_on_data_reply(struct deliver_session *s, const struct smtp_reply *reply)
{
    if (reply->code == 354 && s->transaction.accepted > 0) {
        begin_body(s);
        enter_body(s);
        return;
    }
    if (reply->code == 354) {
        /* RFC 2920 3.1: DATA had left before every recipient was refused. */
        conn_write(s->conn, SPAN(".\r\n"));
        deliver_enter(s, DELIVER_STATE_FINAL);
        return;
    }
    struct status status = judge(s, reply);
    if (ends_session(&status)) {
        deliver_fail(s, &status);
        return;
    }
    deliver_transaction_settle(s, &status);
    deliver_conclude(s, false);
}

/* While data is still leaving: whatever it says, the stream is out of step. */
void deliver_on_early_reply(struct deliver_session *s, const struct smtp_reply *reply)
{
    struct status status = judge(s, reply);

    if (ends_session(&status)) {
        deliver_fail(s, &status);
        return;
    }
    deliver_transaction_settle(s, &status);
    deliver_end(s);
}

void deliver_on_final_reply(struct deliver_session *s, const struct smtp_reply *reply)
{
    struct status status = judge(s, reply);

    if (ends_session(&status)) {
        deliver_fail(s, &status);
        return;
    }
    deliver_transaction_settle(s, &status);
    deliver_conclude(s, s->transaction.accepted > 0 && status_is_success(&status));
}
