#include "deliver/session.h"

#include "base/log.h"

#include <stdlib.h>

enum {
    AT_ONCE_MAX = 65536, /* bytes of message data that leave together with the envelope */
    PUMP_STEP = 32768,
    BAD_LINES = BODY_BARE_CR | BODY_BARE_LF | BODY_NUL,
};

void deliver_transaction_prepare(struct deliver_session *s, struct deliver_attempt *attempt)
{
    s->attempt = attempt;
    s->transaction = (struct deliver_transaction){.by = arena_dup(attempt->arena, s->by)};
    for (unsigned i = 0; i < attempt->recipient_count; i++)
        attempt->statuses[i] = (struct status){0};
    s->transaction.utf8 =
        deliver_is_offered(s, SMTP_EXT_SMTPUTF8) &&
        ((attempt->message->flags & QUEUE_SMTPUTF8) != 0 || !deliver_envelope_is_ascii(s));
    attempt->scope = STATUS_SCOPE_RECIPIENT;
    attempt->sent = false;
    attempt->dsn_passed = deliver_is_offered(s, SMTP_EXT_DSN);
    attempt->damaged = false;
    attempt->declined = false;
    attempt->untouched = false;
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
    s->attempt->declined = why == VERDICT_NEEDS_8BITMIME;
    if (s->attempt->declined)
        status.by = s->transaction.by;
    deliver_transaction_settle(s, &status);
    deliver_end(s);
}

/* ---- sending ------------------------------------------------------------------------------- */

static void begin_body(struct deliver_session *s)
{
    dot_encoder_init(&s->transaction.encoder);
    if (s->transaction.downgrade != NULL)
        downgrade_init(s->transaction.downgrade, s->options.eight_bit == DELIVER_EIGHT_BIT_CONVERT);
    deliver_body_begin(&s->body, s->attempt->message);
    if (s->transaction.chunking)
        /* One chunk, whatever its size: that it is all or nothing is what counts. */
        buf_addf(conn_output(s->conn), "BDAT %llu LAST\r\n",
                 (unsigned long long)deliver_wire_size(s->attempt->message));
}

static void write_command(struct deliver_session *s, unsigned position)
{
    struct buf *out = conn_output(s->conn);

    if (position == 0)
        deliver_write_mail(s, out);
    else if (position <= s->attempt->recipient_count)
        deliver_write_rcpt(s, position - 1, out);
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

    if (!deliver_is_offered(s, SMTP_EXT_PIPELINING))
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

/* With PIPELINING all of them leave, and the envelope with them; otherwise one at a time. */
static void send_xforward(struct deliver_session *s)
{
    struct span *unsent = &s->transaction.xforward;
    bool all = deliver_is_offered(s, SMTP_EXT_PIPELINING);
    size_t len = all ? unsent->len : span_index(*unsent, '\n') + 1;

    buf_add(conn_output(s->conn), span_head(*unsent, len));
    *unsent = span_from(*unsent, len);
    if (all)
        send_commands(s);
    else
        conn_written(s->conn);
}

static void choose_form(struct deliver_session *s)
{
    struct deliver_transaction *t = &s->transaction;

    if (deliver_has_to_downgrade(s))
        t->downgrade = arena_alloc(s->attempt->arena, sizeof *t->downgrade);
    t->chunking = deliver_is_offered(s, SMTP_EXT_CHUNKING) && t->downgrade == NULL;
}

void deliver_transaction_send_ahead(struct deliver_session *s)
{
    choose_form(s);
    send_commands(s);
}

void deliver_transaction_begin(struct deliver_session *s)
{
    struct deliver_transaction *t = &s->transaction;
    const struct queue_message *message = s->attempt->message;

    choose_form(s);
    t->at_once = t->chunking && deliver_is_offered(s, SMTP_EXT_PIPELINING) &&
                 message->body_in_memory && deliver_wire_size(message) <= AT_ONCE_MAX;
    t->xforward_replies = s->xforward != 0 ? deliver_write_xforward(s, &t->xforward) : 0;
    if (t->xforward_replies > 0) {
        deliver_enter(s, DELIVER_STATE_XFORWARD);
        send_xforward(s);
    } else {
        deliver_enter(s, DELIVER_STATE_MAIL);
        send_commands(s);
    }
    if (t->at_once)
        deliver_transaction_pump(s);
}

/* False, and why, where the message must not go on. */
static bool is_sound(const struct line_checker *lines, enum verdict_own *why_out)
{
    *why_out = VERDICT_DAMAGED;
    return (lines->faults & BAD_LINES) == 0;
}

static bool write_chunk(struct deliver_session *s, struct span run, enum verdict_own *why_out)
{
    struct line_checker *lines = &s->transaction.encoder.lines;
    struct span part = span_head(run, PUMP_STEP);

    if ((s->attempt->message->flags & QUEUE_BODY_BINARY) == 0) {
        line_checker_feed(lines, part);
        if (deliver_body_is_last(&s->body, part.len))
            line_checker_end(lines);
        if (!is_sound(lines, why_out))
            return false;
    }
    conn_write(s->conn, part);
    deliver_body_take(&s->body, part.len);
    return true;
}

static bool write_text(struct deliver_session *s, struct span run, enum verdict_own *why_out)
{
    struct buf *out = conn_output(s->conn);
    struct span rest = run;

    dot_encode(&s->transaction.encoder, &rest, out, buf_len(out) + PUMP_STEP);
    deliver_body_take(&s->body, run.len - rest.len);
    conn_written(s->conn);
    return is_sound(&s->transaction.encoder.lines, why_out);
}

/* Sends what has become of a part of the message. */
static bool write_downgraded(struct deliver_session *s, struct span plain, bool possible,
                             enum verdict_own *why_out)
{
    struct buf *out = conn_output(s->conn);

    if (!is_sound(&s->transaction.downgrade->lines, why_out))
        return false;
    *why_out = VERDICT_NEEDS_8BITMIME;
    if (!possible)
        return false;
    dot_encode(&s->transaction.encoder, &plain, out, SIZE_MAX);
    conn_written(s->conn);
    return true;
}

static bool downgrade_text(struct deliver_session *s, struct span run, enum verdict_own *why_out)
{
    struct span part = span_head(run, PUMP_STEP);
    struct buf plain;

    buf_init(&plain, 0);
    bool possible = downgrade_feed(s->transaction.downgrade, part, &plain);
    bool good = write_downgraded(s, buf_span(&plain), possible, why_out);
    buf_fini(&plain);
    deliver_body_take(&s->body, part.len);
    return good;
}

/* What was held back until the end is known. */
static bool end_downgrade(struct deliver_session *s, enum verdict_own *why_out)
{
    struct buf plain;

    buf_init(&plain, 0);
    bool possible = downgrade_end(s->transaction.downgrade, &plain);
    bool good = write_downgraded(s, buf_span(&plain), possible, why_out);
    buf_fini(&plain);
    return good;
}

static bool write_run(struct deliver_session *s, struct span run, enum verdict_own *why_out)
{
    if (s->transaction.chunking)
        return write_chunk(s, run, why_out);
    if (s->transaction.downgrade != NULL)
        return downgrade_text(s, run, why_out);
    return write_text(s, run, why_out);
}

/* RFC 2033 4.2: LMTP answers for each recipient that it has accepted; where there is none, once, as
 * SMTP does. */
static void enter_final(struct deliver_session *s)
{
    bool each = s->options.lmtp && s->transaction.accepted > 0;

    deliver_enter(s, each ? DELIVER_STATE_FINAL_EACH : DELIVER_STATE_FINAL);
}

static void end_body(struct deliver_session *s)
{
    struct deliver_transaction *t = &s->transaction;
    enum verdict_own why;

    if (!t->chunking) {
        bool whole = t->downgrade == NULL || end_downgrade(s, &why);
        line_checker_end(&t->encoder.lines);
        if (!whole || !is_sound(&t->encoder.lines, &why)) {
            abandon_body(s, why);
            return;
        }
        if (!dot_encode_end(&t->encoder, conn_output(s->conn)))
            abort();
        conn_written(s->conn);
    }
    s->attempt->sent = true;
    deliver_body_end(&s->body);
    if (s->state != DELIVER_STATE_BODY)
        return;
    enter_final(s);
    deliver_offer_turn(s);
}

/* At once, rather than step by step with a copy at each. */
static void make_room(struct deliver_session *s)
{
    enum { MOST = DELIVER_OUTPUT_HIGH + PUMP_STEP };

    if (s->body.left >= MOST || s->body.run.len >= MOST)
        buf_reserve(conn_output(s->conn), MOST);
}

void deliver_transaction_pump(struct deliver_session *s)
{
    struct span run;
    enum verdict_own why;

    make_room(s);
    while (!conn_is_congested(s->conn)) {
        switch (deliver_body_peek(&s->body, &run)) {
        case DELIVER_BODY_MORE:
            if (write_run(s, run, &why))
                continue;
            abandon_body(s, why);
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
        enter_final(s);
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

static void log_refused_xforward(const struct deliver_session *s, const struct status *status)
{
    struct log_line line;

    if (!log_begin(&line, LOG_WARN, "xforward-refused"))
        return;
    log_span(&line, "host", s->by);
    log_u64(&line, "code", status->code);
    log_span(&line, "text", status->text);
    log_end(&line);
}

void deliver_on_xforward_reply(struct deliver_session *s, const struct smtp_reply *reply)
{
    struct deliver_transaction *t = &s->transaction;
    struct status status = judge(s, reply);

    if (ends_session(&status)) {
        deliver_fail(s, &status);
        return;
    }
    if (!status_is_success(&status))
        log_refused_xforward(s, &status);
    t->xforward_replies--;
    if (t->xforward.len > 0) {
        send_xforward(s);
    } else if (t->xforward_replies == 0) {
        deliver_enter(s, DELIVER_STATE_MAIL);
        send_commands(s);
        return;
    }
    deliver_enter(s, DELIVER_STATE_XFORWARD);
}

void deliver_on_mail_reply(struct deliver_session *s, const struct smtp_reply *reply)
{
    struct status status = judge(s, reply);

    if (ends_session(&status)) {
        deliver_fail(s, &status);
        return;
    }
    s->attempt->granted = status_is_success(&status);
    if (!s->attempt->granted) {
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
    s->transaction.overtaken = conn_input(s->conn).len > 0;
    if (reply->code == 354 && s->transaction.accepted > 0) {
        begin_body(s);
        enter_body(s);
        return;
    }
    if (reply->code == 354 && s->options.lmtp) {
        deliver_end(s); /* the end of data would get no reply at all */
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

    if (s->transaction.overtaken && status_is_success(&status))
        status = verdict_of_trouble(s->state, VERDICT_GARBAGE, "it came before the message",
                                    s->attempt->arena);

    if (ends_session(&status)) {
        deliver_fail(s, &status);
        return;
    }
    deliver_transaction_settle(s, &status);
    deliver_conclude(s, s->transaction.accepted > 0 && status_is_success(&status));
}

void deliver_on_final_each_reply(struct deliver_session *s, const struct smtp_reply *reply)
{
    struct deliver_transaction *t = &s->transaction;
    struct deliver_attempt *attempt = s->attempt;
    struct status status = judge(s, reply);

    if (ends_session(&status)) {
        deliver_fail(s, &status);
        return;
    }
    while (attempt->statuses[t->answered].code != 0)
        t->answered++; /* refused before */
    settle_one(attempt, t->answered, &status);
    t->accepted--;
    if (t->accepted > 0)
        deliver_enter(s, DELIVER_STATE_FINAL_EACH);
    else
        deliver_conclude(s, true);
}
