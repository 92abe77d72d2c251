/*
 * The bytes of a message and of its parts (RFC 9051 6.4.5.1), written as the client reads them. The
 * length of a literal is known before its first byte, and what has been announced is sent.
 */
#include "plugins/drop/imap/fetch.h"
#include "plugins/drop/imap/write.h"

enum {
    PIECE = 32 << 10,     /* bytes of a stream written at once */
    AHEAD = 1 << 20,      /* bytes that are brought to memory at once */
    FIELDS_MAX = 1 << 20, /* bytes of a header whose fields are looked at */
};

/* ---- where a section lies ----------------------------------------------------------------- */

struct fetch_range fetch_range_of(const struct fetch_message *m, uint64_t at, uint64_t len)
{
    uint64_t from = m->entry.prefix.len + at;
    struct fetch_range range = {from, from + len};

    if (range.end > m->entry.size || range.end < from)
        range.end = m->entry.size;
    if (range.at > range.end)
        range.at = range.end;
    return range;
}

static bool find_whole(struct fetch_message *m, enum imap_section section, struct fetch_range *out)
{
    if (section == IMAP_SECTION_ALL) {
        *out = (struct fetch_range){0, m->entry.size};
        return true;
    }
    if (!fetch_digest(m))
        return false;
    *out = fetch_range_of(m, 0, m->digest.header_len);
    if (section == IMAP_SECTION_TEXT)
        *out = (struct fetch_range){out->end, m->entry.size};
    else
        out->at = 0; /* his own lines are header, too */
    return true;
}

/* False: there is no such part, or nothing of the kind in it. */
static bool find_section(struct fetch_message *m, const struct imap_fetch_item *item,
                         struct fetch_range *out, enum mime_encoding *encoding_out)
{
    struct digest_part part, within = {0};

    *encoding_out = MIME_BINARY;
    if (item->depth == 0)
        return find_whole(m, item->section, out);
    if (!fetch_digest(m) || !digest_find(&m->digest, item->path, item->depth, &part, &within))
        return false;
    switch (item->section) {
    case IMAP_SECTION_ALL:
        *out = fetch_range_of(m, part.body_at, part.body_len);
        *encoding_out = part.kind == MIME_LEAF ? part.encoding : MIME_BINARY;
        return true;
    case IMAP_SECTION_MIME:
        *out = fetch_range_of(m, part.header_at, part.header_len);
        return true;
    case IMAP_SECTION_TEXT:
        *out = fetch_range_of(m, within.body_at, within.body_len);
        break;
    case IMAP_SECTION_HEADER:
    case IMAP_SECTION_FIELDS:
    case IMAP_SECTION_FIELDS_NOT:
        *out = fetch_range_of(m, within.header_at, within.header_len);
        break;
    }
    return part.kind == MIME_MESSAGE;
}

void fetch_cut_partial(const struct imap_fetch_item *item, struct fetch_range *range)
{
    uint64_t len = range->end - range->at;
    uint64_t from = item->from < len ? item->from : len;

    if (!item->is_partial)
        return;
    len -= from;
    range->at += from;
    range->end = range->at + (item->len < len ? item->len : len);
}

/* ---- its bytes ---------------------------------------------------------------------------- */

static bool on_bytes(void *context, struct span bytes)
{
    buf_add(context, bytes);
    return true;
}

bool fetch_is_at_hand(struct imap_session *s, const struct fetch_message *m,
                      struct fetch_range range, uint64_t ahead)
{
    struct fetch *job = s->job;
    uint64_t prefix = m->entry.prefix.len;
    struct fetch_range shared = {range.at > prefix ? range.at - prefix : 0,
                                 range.end > prefix ? range.end - prefix : 0};

    if (job->is_brought || shared.end == 0 ||
        mailstore_content_is_resident(m->txn, m->entry.message, shared.at,
                                      shared.end - shared.at)) {
        job->is_brought = false;
        return true;
    }
    shared.end = ahead > prefix ? ahead - prefix : 0;
    fetch_bring(s, m->entry.message, shared);
    return false;
}

bool fetch_read_range(struct fetch_message *m, struct fetch_range range, struct buf *out)
{
    size_t before = buf_len(out);
    uint64_t prefix = m->entry.prefix.len;
    uint64_t all = range.end - range.at;

    if (range.at < prefix)
        buf_add(out, span_head(span_from(m->entry.prefix, (size_t)range.at),
                               (size_t)(range.end - range.at)));
    uint64_t from = range.at > prefix ? range.at - prefix : 0;
    uint64_t left = all - (buf_len(out) - before);
    struct err e = left > 0
                       ? mailstore_content_walk(m->txn, m->entry.message, from, left, on_bytes, out)
                       : ERR_OK;
    if (!err_is(e) && buf_len(out) - before == all)
        return true;
    if (err_is(e))
        log_failure(LOG_ERROR, "imap-message-unreadable", e, NULL, NULL);
    buf_truncate(out, before);
    return false;
}

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static enum fetch_result go_on(struct imap_session *s, struct fetch_message *m)
{
    struct fetch *job = s->job;

    while (job->stream.at < job->stream.end) {
        struct fetch_range piece = {job->stream.at, least(job->stream.at + PIECE, job->stream.end)};
        if (conn_is_congested(s->drop.conn))
            return FETCH_ROOM;
        if (!fetch_is_at_hand(s, m, piece, least(piece.at + AHEAD, job->stream.end)))
            return FETCH_DISK;
        if (!fetch_read_range(m, piece, imap_out(s)))
            return FETCH_CUT;
        imap_written(s);
        job->stream.at = piece.end;
    }
    job->is_streaming = false;
    return FETCH_DONE;
}

/* ---- fields ------------------------------------------------------------------------------- */

static bool is_named(const struct imap_fetch_item *item, struct span name)
{
    for (unsigned i = 0; i < item->field_count; i++)
        if (span_equal_nocase(item->fields[i], name))
            return true;
    return false;
}

static void select_fields(const struct imap_fetch_item *item, struct span header, struct buf *out)
{
    bool is_not = item->section == IMAP_SECTION_FIELDS_NOT;
    struct span field, name, value;

    while (mime_next_field(&header, &field, &name, &value))
        if (name.len > 0 && is_named(item, name) != is_not)
            buf_add(out, field);
    buf_add(out, SPAN("\r\n"));
}

static enum fetch_result write_fields(struct imap_session *s, struct fetch_message *m,
                                      const struct imap_fetch_item *item, struct fetch_range range)
{
    struct buf header, fields;

    range.end = least(range.end, range.at + FIELDS_MAX);
    if (!fetch_is_at_hand(s, m, range, range.end))
        return FETCH_DISK;
    buf_init(&header, 0);
    buf_init(&fields, 0);
    bool is_read = fetch_read_range(m, range, &header);
    select_fields(item, buf_span(&header), &fields);
    struct fetch_range part = {0, buf_len(&fields)};
    fetch_cut_partial(item, &part);
    struct buf *out = imap_out(s);
    fetch_write_name(out, item);
    buf_addf(out, " {%llu}\r\n", (unsigned long long)(part.end - part.at));
    buf_add(out,
            span_head(span_from(buf_span(&fields), (size_t)part.at), (size_t)(part.end - part.at)));
    buf_fini(&header);
    buf_fini(&fields);
    return is_read ? FETCH_DONE : FETCH_BROKEN;
}

enum fetch_result fetch_section(struct imap_session *s, struct fetch_message *m,
                                const struct imap_fetch_item *item)
{
    struct fetch *job = s->job;
    bool is_binary = item->form == IMAP_FORM_BINARY || item->form == IMAP_FORM_BINARY_SIZE;
    enum mime_encoding encoding;
    struct fetch_range range;
    struct buf *out = imap_out(s);

    if (job->is_streaming && !is_binary)
        return go_on(s, m);
    if (!find_section(m, item, &range, &encoding)) {
        fetch_write_name(out, item);
        buf_add_text(out, item->form == IMAP_FORM_BINARY_SIZE ? " 0" : " NIL");
        return FETCH_DONE;
    }
    if (is_binary)
        return fetch_binary(s, m, item, range, encoding);
    if (item->section == IMAP_SECTION_FIELDS || item->section == IMAP_SECTION_FIELDS_NOT)
        return write_fields(s, m, item, range);
    fetch_cut_partial(item, &range);
    struct fetch_range first = {range.at, least(range.at + PIECE, range.end)};
    if (!fetch_is_at_hand(s, m, first, least(range.at + AHEAD, range.end)))
        return FETCH_DISK;
    fetch_write_name(out, item);
    buf_addf(out, " {%llu}\r\n", (unsigned long long)(range.end - range.at));
    job->is_streaming = true;
    job->is_brought = true; /* the first piece */
    job->stream = range;
    return go_on(s, m);
}
