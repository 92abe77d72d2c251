/*
 * search_message: what one message has, brought from the store when it is first asked for. On a
 * loop nothing is read that might wait for the disk, and no more at once than a slice has time for.
 */
#include "plugins/drop/imap/search_private.h"

enum { SEARCH_LOOP_MAX = 256 << 10 }; /* bytes of one message that are looked at on a loop */

void search_message_init(struct search_message *m)
{
    *m = (struct search_message){0};
    buf_init(&m->header, 0);
    buf_init(&m->content, 0);
    buf_init(&m->utf8, 0);
    buf_init(&m->held, 0);
    buf_init(&m->window, 0);
}

void search_message_fini(struct search_message *m)
{
    buf_fini(&m->header);
    buf_fini(&m->content);
    buf_fini(&m->utf8);
    buf_fini(&m->held);
    buf_fini(&m->window);
}

void search_message_begin(struct search_message *m, struct kv_txn *txn,
                          const struct mailstore_entry *entry)
{
    m->txn = txn;
    m->entry = entry;
    m->error = ERR_OK;
    m->has_digest = m->has_header = false;
}

/* What cannot be read, or has gone, has no text; only a store that is ill ends the search. */
static enum search_answer message_answer(struct search_message *m, struct err e)
{
    if (!err_is(e))
        return SEARCH_YES;
    if (e.kind == ERR_CORRUPT || e.kind == ERR_NOT_FOUND)
        return SEARCH_NO;
    m->error = e;
    return SEARCH_FAILED;
}

enum search_answer search_message_digest(struct search_message *m)
{
    struct span bytes;

    if (m->has_digest)
        return SEARCH_YES;
    enum search_answer answer =
        message_answer(m, mailstore_digest_get(m->txn, m->entry->message, &bytes));
    if (answer != SEARCH_YES)
        return answer;
    m->has_digest = digest_open(bytes, &m->digest);
    return m->has_digest ? SEARCH_YES : SEARCH_NO;
}

enum search_answer search_message_walk(struct search_message *m, uint64_t at, uint64_t len,
                                       mailstore_visit_bytes *visit, void *context)
{
    if (len == 0)
        return SEARCH_YES;
    if (m->is_cancelled != NULL && atomic_load(m->is_cancelled))
        return message_answer(m, err_make(ERR_CANCELLED, "search"));
    if (!m->may_block && (len > SEARCH_LOOP_MAX ||
                          !mailstore_content_is_resident(m->txn, m->entry->message, at, len)))
        return SEARCH_WAITS;
    return message_answer(
        m, mailstore_content_walk(m->txn, m->entry->message, at, len, visit, context));
}

static bool message_on_bytes(void *context, struct span bytes)
{
    buf_add(context, bytes);
    return true;
}

enum search_answer search_message_gather(struct search_message *m, uint64_t at, uint64_t len,
                                         struct buf *out)
{
    uint64_t most = len < MIME_HEADER_MAX ? len : MIME_HEADER_MAX;

    return search_message_walk(m, at, most, message_on_bytes, out);
}

enum search_answer search_message_header(struct search_message *m)
{
    if (m->has_header)
        return SEARCH_YES;
    enum search_answer answer = search_message_digest(m);
    if (answer != SEARCH_YES)
        return answer;
    buf_clear(&m->header);
    buf_add(&m->header, m->entry->prefix);
    answer = search_message_gather(m, 0, m->digest.header_len, &m->header);
    m->has_header = answer == SEARCH_YES;
    return answer;
}

enum search_answer search_message_header_or_none(struct search_message *m)
{
    enum search_answer answer = search_message_header(m);

    if (answer != SEARCH_NO)
        return answer;
    buf_clear(&m->header);
    m->has_header = true;
    return SEARCH_YES;
}

struct span search_message_field(struct search_message *m, struct span name)
{
    struct span rest = buf_span(&m->header);
    struct span field, found, value;

    while (mime_next_field(&rest, &field, &found, &value)) {
        if (!span_equal_nocase(found, name))
            continue;
        buf_clear(&m->content);
        search_unfold(value, &m->content);
        struct span text = buf_span(&m->content);
        return text.len > 0 ? text : SPAN("");
    }
    return SPAN_NONE;
}

bool search_message_sent(struct search_message *m, int64_t *seconds_out, int *zone_out)
{
    struct span date = search_message_field(m, SPAN("Date"));

    return date.ptr != NULL && mime_date(date, seconds_out, zone_out);
}

int64_t search_message_sent_or_received(struct search_message *m)
{
    int64_t seconds;
    int zone;

    return search_message_sent(m, &seconds, &zone) ? seconds : m->entry->internal_date;
}
