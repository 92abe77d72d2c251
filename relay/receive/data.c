/* The message: from the 354 to the reply that the end of data gets. */
#include "receive/session.h"

#include "base/log.h"
#include "proto/base32.h"

#include <stdio.h>

static const struct span wanted_fields[] = {
    {"Message-ID", 10},
    {"Subject", 7},
    {"From", 4},
    {"Date", 4},
};

/* What was declared binary goes on byte for byte, or not at all. */
static bool normalizes(const struct transaction *tx)
{
    return tx->conf->bare_line_ends == CONF_BARE_NORMALIZE &&
           (tx->message->flags & QUEUE_BODY_BINARY) == 0;
}

static void scan_from_start(struct transaction *tx)
{
    header_scanner_init(&tx->header, &tx->message->arena, wanted_fields, DATA_FIELD_COUNT,
                        tx->conf->header_size_max, tx->conf->header_fields_max);
}

void data_prepare(struct transaction *tx)
{
    tx->keeps_head = plugin_worker_reads(tx->server->plugins);
    tx->headers_due = plugin_worker_wants(tx->server->plugins, SMARTHOP_ON_HEADERS);
    dot_decoder_init(&tx->dot, tx->conf->text_line_max, normalizes(tx));
    bdat_counter_init(&tx->chunks);
    scan_from_start(tx);
}

void data_begin(struct session *s)
{
    data_prepare(s->tx);
    session_reply(s, 354, ESC_NONE, "End data with <CR><LF>.<CR><LF>");
    session_enter(s, SESSION_DATA);
}

bool data_is_unfit(struct transaction *tx, struct status *status_out)
{
    struct arena *arena = &tx->message->arena;
    const struct line_checker *lines = &tx->dot.lines;
    unsigned bad = normalizes(tx) ? BODY_NUL : BODY_BARE_CR | BODY_BARE_LF | BODY_NUL;
    unsigned faults = lines->faults & bad;

    if (faults != 0) {
        enum body_fault first = (enum body_fault)(faults & -faults);
        *status_out = STATUS(554, 5, 6, 0, "");
        status_out->text = arena_printf(
            arena, "Message refused: %s at byte %llu; lines must end with CRLF and hold no NUL",
            body_fault_text(faults), (unsigned long long)line_checker_fault_at(lines, first));
    } else if (tx->too_large) {
        *status_out = STATUS(552, 5, 3, 4, "");
        status_out->text = arena_printf(arena, "Message is larger than %llu bytes",
                                        (unsigned long long)tx->conf->message_size_max);
    } else if (lines->faults & BODY_LONG_LINE) {
        *status_out = STATUS(554, 5, 6, 0, "");
        status_out->text = arena_printf(arena, "A line is longer than %llu bytes",
                                        (unsigned long long)tx->conf->text_line_max);
    } else if (tx->header.flags & (HEADER_TOO_LARGE | HEADER_TOO_MANY)) {
        *status_out = STATUS(554, 5, 6, 0, "The header is too large or has too many fields");
    } else if (tx->header.received > tx->conf->hops_max) {
        *status_out = STATUS(554, 5, 4, 6, "");
        status_out->text = arena_printf(arena, "Too many hops (%llu Received fields): mail loop",
                                        (unsigned long long)tx->header.received);
    } else {
        return false;
    }
    return true;
}

bool data_has_field(const struct transaction *tx, enum data_field field)
{
    struct span value;

    return header_value(&tx->header, field, &value);
}

static struct span field(const struct transaction *tx, enum data_field index)
{
    struct span value = SPAN_NONE;

    header_value(&tx->header, index, &value);
    return value;
}

/* ---- plugins ------------------------------------------------------------------------------ */

void data_scan_again(struct transaction *tx, struct span head)
{
    scan_from_start(tx);
    header_scan(&tx->header, head);
    header_scan_end(&tx->header);
}

static void on_message(struct session *s, const struct status *refusal)
{
    if (refusal == NULL && s->tx->content != NULL)
        content_take(s->tx->content);
    if (refusal != NULL)
        data_refuse(s, *refusal);
    else if (!s->tx->is_discarded && place_is_needed(s->tx))
        place_begin(s);
    else
        data_accept(s);
}

/* All of it that goes to the store piece by piece is there first: a plugin may read it. */
static void ask_message(struct session *s)
{
    struct transaction *tx = s->tx;
    bool is_for_plugins =
        tx->head_edited || plugin_worker_wants(s->server->plugins, SMARTHOP_ON_MESSAGE);

    if (is_for_plugins && tx->stages_busy > 0) {
        session_enter(s, SESSION_STAGE); /* data_staged comes here again */
        return;
    }
    if (is_for_plugins && tx->keeps_head && !tx->stage_failed)
        tx->content = content_create(tx);
    hooks_ask(s, SMARTHOP_ON_MESSAGE, on_message);
}

/* The header of a message that is here to its end. */
static void on_last_headers(struct session *s, const struct status *refusal)
{
    s->tx->is_whole = refusal == NULL;
    if (refusal != NULL)
        data_refuse(s, *refusal);
    else
        ask_message(s);
}

/* The client cannot be told before it has sent the rest. */
static void on_headers(struct session *s, const struct status *refusal)
{
    if (refusal != NULL)
        s->tx->refusal = status_dup(&s->tx->message->arena, refusal);
}

bool data_asks_headers(struct session *s)
{
    struct transaction *tx = s->tx;

    if (!tx->headers_due || tx->header.state != HEADER_STATE_BODY ||
        (tx->header.flags & HEADER_TOO_LARGE) != 0)
        return false;
    tx->headers_due = false;
    hooks_ask(s, SMARTHOP_ON_HEADERS, on_headers);
    return s->state == SESSION_HOOK;
}

/* What they have said of it over what was found for its recipients. */
static void apply_fate(struct transaction *tx)
{
    for (unsigned i = 0; i < tx->recipient_count; i++) {
        struct tx_recipient *recipient = &tx->recipients[i];
        if (tx->is_discarded)
            recipient->verdict = ROUTE_DISCARD;
        if (tx->held.code == 0 || recipient->verdict != ROUTE_SEND)
            continue;
        recipient->verdict = ROUTE_HOLD;
        recipient->status = tx->held;
    }
}

void data_summarize(struct transaction *tx)
{
    tx->message->message_id = field(tx, DATA_FIELD_MESSAGE_ID);
    tx->message->subject = field(tx, DATA_FIELD_SUBJECT);
    tx->message->from = field(tx, DATA_FIELD_FROM);
}

/* ---- the end ------------------------------------------------------------------------------ */

void data_end(struct session *s)
{
    struct transaction *tx = s->tx;
    struct status status;

    header_scan_end(&tx->header);
    if (data_is_unfit(tx, &status))
        data_refuse(s, status);
    else if (tx->refusal.code != 0)
        data_refuse(s, tx->refusal);
    else if (tx->headers_due)
        hooks_ask(s, SMARTHOP_ON_HEADERS, on_last_headers);
    else
        on_last_headers(s, NULL);
}

void data_refuse(struct session *s, struct status why)
{
    session_log_refused(s, s->tx->message->reverse_path, s->tx->recipients[0].address, &why);
    lmtp_answer(s, s->tx, why.code, why.enhanced, why.text);
    if (why.code >= 500) {
        count(&s->server->counters.rejected);
        session_count_error(s);
    }
    transaction_drop(s->tx);
    session_enter(s, SESSION_COMMAND);
    if (why.code == 421)
        session_end(s, "refused by a plugin");
}

void data_accept(struct session *s)
{
    struct transaction *tx = s->tx;
    struct status status;

    if (!rates_take_message(s, &status)) { /* others have used it up since MAIL */
        data_refuse(s, status);
        return;
    }
    data_summarize(tx);
    apply_fate(tx);
    trace_make(s, tx);
    transaction_make_groups(tx);
    session_enter(s, SESSION_COMMIT);
    transaction_commit(tx);
}

bool data_take(struct session *s)
{
    struct transaction *tx = s->tx;
    struct span input = conn_input(s->conn), run;
    size_t before = input.len;
    enum parse_result result;

    while ((result = dot_decode(&tx->dot, &input, &run)) == PARSE_MORE && run.len > 0) {
        header_scan(&tx->header, run);
        transaction_append(tx, run);
    }
    conn_consume(s->conn, before - input.len);
    if (s->is_tapped)
        tapped_data(s, before - input.len, result == PARSE_DONE);
    if (result == PARSE_DONE) {
        data_end(s);
        return true;
    }
    if (data_asks_headers(s))
        return false;
    bool wait = transaction_must_wait(tx);
    session_enter(s, wait ? SESSION_STAGE : SESSION_DATA); /* the deadline starts anew */
    return false;
}

void data_staged(struct session *s)
{
    if (s->state != SESSION_STAGE)
        return;
    if (s->tx->is_whole) {
        ask_message(s);
        session_run(s);
        return;
    }
    session_enter(s, s->tx->in_chunks ? SESSION_CHUNK : SESSION_DATA);
    session_run(s);
}

void data_log_accepted(const struct transaction *tx)
{
    struct log_line line;
    char id[ID_TEXT_SIZE];

    if (!log_begin(&line, LOG_INFO, "accepted"))
        return;
    log_text(&line, "id", id_format(tx->message->id, id));
    log_u64(&line, "sid", tx->sid);
    log_span(&line, "client", tx->message->client);
    log_span(&line, "from", tx->message->reverse_path);
    log_span(&line, "to", tx->recipients[0].address);
    log_u64(&line, "recipients", tx->recipient_count);
    log_span(&line, "destination", tx->recipients[0].destination);
    log_u64(&line, "size", tx->message->size);
    log_span(&line, "message_id", tx->message->message_id);
    if (tx->dot.lines.faults & (BODY_BARE_CR | BODY_BARE_LF))
        log_text(&line, "normalized", body_fault_text(tx->dot.lines.faults));
    log_end(&line);
}

void data_committed(struct session *s, struct transaction *tx)
{
    char text[64], id[ID_TEXT_SIZE];
    struct err e = tx->insert.op.result;

    if (err_is(e))
        rates_give_back_message(s);
    if (!err_is(e)) {
        snprintf(text, sizeof text, "OK queued as %s", id_format(tx->message->id, id));
        lmtp_answer(s, tx, 250, ESC(2, 0, 0), span_cstr(text));
        s->messages++;
        s->idle_commands = 0;
    } else if (e.kind == ERR_NO_SPACE) {
        lmtp_answer(s, tx, 452, ESC(4, 3, 1), SPAN("No room to store mail, try again later"));
    } else {
        log_failure(LOG_ERROR, "insert-failed", e, "client", s->client);
        lmtp_answer(s, tx, 451, ESC(4, 3, 0), SPAN("Mail cannot be stored, try again later"));
    }
    tx->complete = false;
    transaction_drop(tx);
    session_enter(s, SESSION_COMMAND);
    session_run(s);
}
