/* The message: from the 354, or the first BDAT, to its last byte. */
#include "base/clock.h"
#include "plugins/drop/lmtp/private.h"
#include "proto/header.h"
#include "proto/ip.h"

#include <stdio.h>

static uint64_t size_max(const struct lmtp_session *s)
{
    return s->base.worker->settings->message_size_max;
}

static void on_drained(struct mailstore_draft *draft, void *owner)
{
    struct lmtp_session *s = owner;

    (void)draft;
    if (s->state != LMTP_ROOM)
        return;
    lmtp_enter(s, s->message->in_chunks ? LMTP_CHUNK : LMTP_DATA);
    lmtp_run(s);
}

/* RFC 5321 4.4, RFC 3848: it belongs to the bytes that all recipients share. */
static void add_trace(struct lmtp_session *s)
{
    const struct sockaddr *peer = (const struct sockaddr *)&s->base.peer;
    char text[1024], client[IP_LITERAL_MAX] = "local", date[RFC5322_DATE_MAX];

    if (peer->sa_family != AF_UNIX)
        sockaddr_format_literal(peer, client);
    rfc5322_date((time_t)(clock_wall_ms() / 1000), 0, date);
    int len = snprintf(text, sizeof text,
                       "Received: from %.255s (%s)\r\n\tby %.255s with %s;\r\n\t%s\r\n", s->hello,
                       client, s->base.worker->settings->host_name,
                       s->message->is_utf8 ? "UTF8LMTP" : "LMTP", date);
    mailstore_draft_add(s->message->draft, span_of(text, (size_t)len));
}

static void begin_message(struct lmtp_session *s)
{
    struct mailstore_draft_handler handler = {.drained = on_drained, .owner = s};
    struct lmtp_message *m = s->message;

    dot_decoder_init(&m->dot, 0, false);
    bdat_counter_init(&m->chunks);
    hops_init(&m->hops, &m->arena);
    m->draft = mailstore_draft_create(s->base.worker->store, s->base.worker->loop, &handler);
    add_trace(s);
}

/* Of what is not going to be stored nothing more is kept; its end is waited for. */
static void take_content(struct lmtp_session *s, struct span run)
{
    struct lmtp_message *m = s->message;

    if (run.len == 0 || m->is_too_large || m->dot.lines.faults != 0)
        return;
    if (run.len > size_max(s) || m->size_taken > size_max(s) - run.len) {
        m->is_too_large = true;
        return;
    }
    m->size_taken += run.len;
    hops_scan(&m->hops, run);
    mailstore_draft_add(m->draft, run);
}

/* True where the session waits for the store. */
static bool waits_for_room(struct lmtp_session *s)
{
    bool is_full = mailstore_draft_is_full(s->message->draft);

    if (is_full)
        lmtp_enter(s, LMTP_ROOM);
    return is_full;
}

/* ---- DATA --------------------------------------------------------------------------------- */

void lmtp_data_begin(struct lmtp_session *s)
{
    begin_message(s);
    lmtp_reply(s, 354, ESC_NONE, SPAN("End data with <CR><LF>.<CR><LF>"));
    lmtp_enter(s, LMTP_DATA);
}

bool lmtp_data_take(struct lmtp_session *s)
{
    struct lmtp_message *m = s->message;
    struct span input = conn_input(s->base.conn), run;
    size_t before = input.len;
    enum parse_result result;

    while ((result = dot_decode(&m->dot, &input, &run)) == PARSE_MORE && run.len > 0)
        take_content(s, run);
    conn_consume(s->base.conn, before - input.len);
    if (result == PARSE_DONE) {
        lmtp_deliver(s);
        return true;
    }
    if (!waits_for_room(s))
        lmtp_enter(s, LMTP_DATA); /* the deadline starts anew */
    return false;
}

/* ---- BDAT --------------------------------------------------------------------------------- */

/* What keeps a chunk from being taken; its bytes come all the same. */
static struct status refusal_of(const struct lmtp_session *s, const struct bdat_args *args)
{
    const struct lmtp_message *m = s->message;

    if (m == NULL)
        return STATUS(503, 5, 5, 1, "MAIL first");
    if (m->recipient_count == 0)
        return STATUS(503, 5, 5, 1, "No valid recipients"); /* RFC 2033 4.3 */
    if (args->size > size_max(s) || m->chunks.total > size_max(s) - args->size)
        return STATUS(552, 5, 3, 4, "The message is larger than is taken here");
    return (struct status){0};
}

void lmtp_chunk_begin(struct lmtp_session *s, struct span args)
{
    struct bdat_args parsed;

    if (!bdat_parse(args, &parsed)) {
        lmtp_reply(s, 501, ESC(5, 5, 4), SPAN("Syntax: BDAT size [LAST]"));
        lmtp_end(s, "BDAT without a size");
        return;
    }
    s->chunk_refusal = refusal_of(s, &parsed);
    s->chunk_left = parsed.size;
    s->chunk_last = parsed.last;
    if (s->chunk_refusal.code == 0) {
        if (!s->message->in_chunks)
            begin_message(s);
        s->message->in_chunks = true;
        bdat_begin(&s->message->chunks, &parsed);
    }
    lmtp_enter(s, LMTP_CHUNK);
}

/* A refused chunk has arrived. */
static void answer_refused(struct lmtp_session *s)
{
    /* RFC 2033 4.3: only the last one is answered for each recipient, if there are any. */
    if (s->chunk_last && s->message != NULL && s->message->recipient_count > 0)
        lmtp_answer_all(s, s->chunk_refusal);
    else
        lmtp_refuse(s, s->chunk_refusal);
    lmtp_message_drop(s);
}

static bool discard(struct lmtp_session *s)
{
    size_t here = conn_input(s->base.conn).len;

    if (here > s->chunk_left)
        here = (size_t)s->chunk_left;
    conn_consume(s->base.conn, here);
    s->chunk_left -= here;
    lmtp_enter(s, s->chunk_left > 0 ? LMTP_CHUNK : LMTP_COMMAND);
    if (s->chunk_left > 0)
        return false;
    answer_refused(s);
    return true;
}

static void chunk_done(struct lmtp_session *s)
{
    struct lmtp_message *m = s->message;
    char text[64];

    if (m->chunks.last) {
        take_content(s, line_checker_take_end(&m->dot.lines));
        lmtp_deliver(s);
        return;
    }
    int len =
        snprintf(text, sizeof text, "%llu bytes received", (unsigned long long)m->chunks.total);
    lmtp_enter(s, LMTP_COMMAND);
    lmtp_reply(s, 250, ESC(2, 0, 0), span_of(text, (size_t)len));
}

bool lmtp_chunk_take(struct lmtp_session *s)
{
    struct lmtp_message *m = s->message;
    struct span input = conn_input(s->base.conn), data, run;
    size_t before = input.len;

    if (s->chunk_refusal.code != 0)
        return discard(s);
    enum parse_result result = bdat_take(&m->chunks, &input, &data);
    while (line_checker_take(&m->dot.lines, &data, &run))
        take_content(s, run);
    conn_consume(s->base.conn, before - input.len);
    if (waits_for_room(s))
        return false; /* the end of the chunk is seen when it goes on */
    if (result == PARSE_DONE) {
        chunk_done(s);
        return true;
    }
    lmtp_enter(s, LMTP_CHUNK);
    return false;
}
