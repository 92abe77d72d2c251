#include "plugins/drop/mailstore/codec.h"

#include "base/hash.h"
#include "base/record.h"

/* The part of a mailbox's own record, which no UID is. */
enum { RECORD_VERSION = 1, BOX_SEED = 0 };

/* ---- meta ------------------------------------------------------------------------------- */

size_t store_write_meta(const struct store_meta *meta, char *room)
{
    struct record_writer w = record_begin(room, RECORD_VERSION);

    record_put32(&w, meta->format);
    record_put64(&w, meta->ids_used);
    record_put32(&w, meta->boxes_used);
    record_put32(&w, meta->uid_validity);
    return record_seal(&w, 0);
}

struct err store_read_meta(struct span record, struct store_meta *out)
{
    struct record_reader r = record_open(record, RECORD_VERSION, 0);

    out->format = record_get32(&r);
    out->ids_used = record_get64(&r);
    out->boxes_used = record_get32(&r);
    out->uid_validity = record_get32(&r);
    return record_close(&r, "mailstore's meta record");
}

/* ---- user ------------------------------------------------------------------------------- */

size_t store_write_user(struct span user, const struct user_row *row, char *room)
{
    struct record_writer w = record_begin(room, RECORD_VERSION);

    record_put64(&w, row->bytes);
    record_put64(&w, row->messages);
    record_put64(&w, row->boxes);
    record_put64(&w, row->bytes_max);
    record_put64(&w, row->messages_max);
    return record_seal(&w, span_hash(user));
}

struct err store_read_user(struct span record, struct span user, struct user_row *out)
{
    struct record_reader r = record_open(record, RECORD_VERSION, span_hash(user));

    out->bytes = record_get64(&r);
    out->messages = record_get64(&r);
    out->boxes = record_get64(&r);
    out->bytes_max = record_get64(&r);
    out->messages_max = record_get64(&r);
    return record_close(&r, "user record");
}

/* ---- mailbox ---------------------------------------------------------------------------- */

size_t store_write_box(const struct mailstore_box *box, uint32_t vanished, char *room)
{
    struct record_writer w = record_begin(room, RECORD_VERSION);

    record_put_text(&w, box->user, MAILSTORE_USER_MAX);
    record_put_text(&w, box->name, MAILSTORE_NAME_MAX);
    record_put32(&w, box->uid_validity);
    record_put32(&w, box->uid_next);
    record_put64(&w, box->highest_modseq);
    record_put32(&w, box->exists);
    record_put32(&w, box->unseen);
    record_put32(&w, box->deleted);
    record_put32(&w, box->recent_from);
    record_put64(&w, box->bytes);
    record_put64(&w, box->vanished_from);
    record_put32(&w, vanished);
    record_put8(&w, box->use);
    record_put8(&w, box->keyword_count);
    for (unsigned i = 0; i < box->keyword_count; i++)
        record_put_text(&w, box->keywords[i], MAILSTORE_KEYWORD_MAX);
    return record_seal(&w, record_seed(box->id, BOX_SEED));
}

struct err store_read_box(struct span record, uint32_t id, struct mailstore_box *out,
                          uint32_t *vanished_out)
{
    struct record_reader r = record_open(record, RECORD_VERSION, record_seed(id, BOX_SEED));

    out->id = id;
    out->user = record_get_text(&r, MAILSTORE_USER_MAX);
    out->name = record_get_text(&r, MAILSTORE_NAME_MAX);
    out->uid_validity = record_get32(&r);
    out->uid_next = record_get32(&r);
    out->highest_modseq = record_get64(&r);
    out->exists = record_get32(&r);
    out->unseen = record_get32(&r);
    out->deleted = record_get32(&r);
    out->recent_from = record_get32(&r);
    out->bytes = record_get64(&r);
    out->vanished_from = record_get64(&r);
    *vanished_out = record_get32(&r);
    out->use = (enum mailstore_use)record_get_at_most(&r, MAILSTORE_USE_TRASH);
    out->keyword_count = record_get_at_most(&r, MAILSTORE_KEYWORDS_MAX);
    for (unsigned i = 0; i < out->keyword_count && !r.bad; i++)
        out->keywords[i] = record_get_text(&r, MAILSTORE_KEYWORD_MAX);
    return record_close(&r, "mailbox record");
}

/* ---- entry ------------------------------------------------------------------------------ */

size_t store_write_entry(uint32_t box, const struct mailstore_entry *entry, char *room)
{
    struct record_writer w = record_begin(room, RECORD_VERSION);

    record_put8(&w, entry->flags);
    record_put64(&w, entry->keywords);
    record_put64(&w, entry->modseq);
    record_put64(&w, entry->message);
    record_put64(&w, entry->size);
    record_put64(&w, (uint64_t)entry->internal_date);
    record_put64(&w, (uint64_t)entry->save_date);
    record_put16(&w, (uint16_t)entry->internal_zone);
    record_put_text(&w, entry->prefix, MAILSTORE_PREFIX_MAX);
    return record_seal(&w, record_seed(box, entry->uid));
}

struct err store_read_entry(struct span record, uint32_t box, uint32_t uid,
                            struct mailstore_entry *out)
{
    struct record_reader r = record_open(record, RECORD_VERSION, record_seed(box, uid));

    out->uid = uid;
    out->flags = record_get8(&r);
    out->keywords = record_get64(&r);
    out->modseq = record_get64(&r);
    out->message = record_get64(&r);
    out->size = record_get64(&r);
    out->internal_date = (int64_t)record_get64(&r);
    out->save_date = (int64_t)record_get64(&r);
    out->internal_zone = (int16_t)record_get16(&r);
    out->prefix = record_get_text(&r, MAILSTORE_PREFIX_MAX);
    return record_close(&r, "entry record");
}

/* ---- message ---------------------------------------------------------------------------- */

size_t store_write_message(uint64_t id, const struct message_row *row, char *room)
{
    struct record_writer w = record_begin(room, RECORD_VERSION);

    record_put32(&w, row->references);
    record_put32(&w, row->chunks);
    record_put64(&w, row->size);
    return record_seal(&w, record_seed(id, 0));
}

struct err store_read_message(struct span record, uint64_t id, struct message_row *out)
{
    struct record_reader r = record_open(record, RECORD_VERSION, record_seed(id, 0));

    out->references = record_get32(&r);
    out->chunks = record_get32(&r);
    out->size = record_get64(&r);
    return record_close(&r, "message record");
}
