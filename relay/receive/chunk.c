/* BDAT (RFC 3030): chunks of a message, each told by its size. */
#include "receive/extensions.h"

#include <stdio.h>

/* What keeps a chunk from being taken; its bytes come all the same. */
static bool is_refused(struct session *s, const struct bdat_args *args, struct status *why)
{
    struct transaction *tx = s->tx;

    if (tx == NULL)
        *why = STATUS(503, 5, 5, 1, "MAIL first");
    else if (!extensions_have(s, SMTP_EXT_CHUNKING))
        *why = STATUS(502, 5, 5, 1, "BDAT is not offered to you");
    else if (tx->recipient_count == 0)
        *why = lmtp_no_recipients(s);
    else if (args->size > s->conf->message_size_max ||
             tx->chunks.total > s->conf->message_size_max - args->size)
        *why = STATUS(552, 5, 3, 4, "Message is larger than the server takes");
    else
        return envelope_store_refuses(s, why);
    return true;
}

void chunk_begin(struct session *s, struct span args)
{
    struct bdat_args parsed;

    if (!bdat_parse(args, &parsed)) {
        session_reply(s, 501, ESC(5, 5, 4), "Syntax: BDAT size [LAST]");
        session_end(s, "BDAT without a size");
        return;
    }
    if (is_refused(s, &parsed, &s->chunk_refusal)) {
        s->chunk_left = parsed.size;
        s->chunk_last = parsed.last;
    } else {
        s->chunk_refusal = (struct status){0};
        if (!s->tx->in_chunks)
            data_prepare(s->tx);
        s->tx->in_chunks = true;
        bdat_begin(&s->tx->chunks, &parsed);
    }
    session_enter(s, SESSION_CHUNK);
}

/* A refused chunk has arrived. */
static void answer_refused(struct session *s)
{
    const struct status *why = &s->chunk_refusal;

    /* RFC 2033 4.3: only the last one is answered for each recipient, if there are any. */
    if (s->tx != NULL && s->tx->recipient_count > 0)
        session_log_refused(s, s->tx->message->reverse_path, s->tx->recipients[0].address, why);
    if (s->chunk_last && s->tx != NULL && s->tx->recipient_count > 0)
        lmtp_answer(s, s->tx, why->code, why->enhanced, why->text);
    else
        session_reply_span(s, why->code, why->enhanced, why->text);
    if (s->tx != NULL)
        transaction_drop(s->tx);
    session_count_error(s);
}

static bool discard(struct session *s)
{
    size_t here = conn_input(s->conn).len;

    if (here > s->chunk_left)
        here = (size_t)s->chunk_left;
    conn_consume(s->conn, here);
    s->chunk_left -= here;
    if (s->is_tapped)
        tapped_data(s, here, s->chunk_left == 0);
    if (s->chunk_left > 0) {
        session_enter(s, SESSION_CHUNK);
        return false;
    }
    session_enter(s, SESSION_COMMAND);
    answer_refused(s);
    return true;
}

static void take_content(struct transaction *tx, struct span run)
{
    header_scan(&tx->header, run);
    transaction_append(tx, run);
}

static void chunk_done(struct session *s)
{
    char text[64];

    if (s->tx->chunks.last) {
        take_content(s->tx, line_checker_take_end(&s->tx->dot.lines));
        data_end(s);
        return;
    }
    snprintf(text, sizeof text, "%llu bytes received", (unsigned long long)s->tx->chunks.total);
    session_enter(s, SESSION_COMMAND);
    session_reply(s, 250, ESC(2, 0, 0), text);
}

/* RFC 3030 3: behind the header section of a BINARYMIME message any byte may come. */
static void take_binary(struct transaction *tx, struct span data)
{
    uint64_t header_before = tx->header.bytes;

    take_content(tx, data);
    line_checker_feed(&tx->dot.lines, span_head(data, tx->header.bytes - header_before));
}

static void take_lines(struct transaction *tx, struct span data)
{
    struct span run;

    while (line_checker_take(&tx->dot.lines, &data, &run))
        take_content(tx, run);
}

bool chunk_take(struct session *s)
{
    if (s->chunk_refusal.code != 0)
        return discard(s);
    struct transaction *tx = s->tx;
    struct span input = conn_input(s->conn), data;
    size_t before = input.len;
    enum parse_result result = bdat_take(&tx->chunks, &input, &data);

    if ((tx->message->flags & QUEUE_BODY_BINARY) != 0)
        take_binary(tx, data);
    else
        take_lines(tx, data);
    conn_consume(s->conn, before - input.len);
    if (s->is_tapped)
        tapped_data(s, before - input.len, result == PARSE_DONE);
    if (result != PARSE_DONE && data_asks_headers(s))
        return false;
    /* Small chunks, too: with none of them would the body wait in between. */
    if (transaction_must_wait(tx)) {
        session_enter(s, SESSION_STAGE);
        return false;
    }
    if (result == PARSE_DONE) {
        chunk_done(s);
        return true;
    }
    session_enter(s, SESSION_CHUNK);
    return false;
}
