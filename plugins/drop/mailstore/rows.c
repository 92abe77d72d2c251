#include "plugins/drop/mailstore/mailstore_private.h"

#include "base/log.h"

#include <stdio.h>

/* How far ahead of the numbers in use meta promises them, so that it is not written with each
 * message. */
enum { IDS_AHEAD = 10000 };

#define META_KEY SPAN("mailstore")

struct err store_delete_if_there(struct kv_txn *txn, enum store_table table, const struct key *key)
{
    struct err e = kv_delete(txn, table, key_span(key));

    return e.kind == ERR_NOT_FOUND ? ERR_OK : e;
}

/* ---- meta --------------------------------------------------------------------------------- */

struct err store_get_meta(struct kv_txn *txn, struct store_meta *out)
{
    struct span record;
    struct err e = kv_get(txn, TABLE_META, META_KEY, &record);

    return err_is(e) ? e : store_read_meta(record, out);
}

struct err store_put_meta(struct kv_txn *txn, const struct store_meta *meta)
{
    char *room;
    struct err e = kv_reserve(txn, TABLE_META, META_KEY, store_write_meta(meta, NULL), &room);

    if (!err_is(e))
        store_write_meta(meta, room);
    return e;
}

struct err store_use_id(struct mailstore *store, struct kv_txn *txn, uint64_t id)
{
    struct store_known *known = &store->known;
    uint64_t abandoned = kv_abandoned(txn);
    struct store_meta meta;

    if (known->abandoned != abandoned)
        *known = (struct store_known){.abandoned = abandoned};
    if (id <= known->ids_used)
        return ERR_OK;
    struct err e = store_get_meta(txn, &meta);
    if (!err_is(e) && id > meta.ids_used) {
        meta.ids_used = id + IDS_AHEAD;
        e = store_put_meta(txn, &meta);
    }
    if (!err_is(e))
        known->ids_used = meta.ids_used;
    return e;
}

/* ---- users -------------------------------------------------------------------------------- */

struct err store_load_user(struct kv_txn *txn, struct span user, struct user_row *out)
{
    struct span record;
    struct err e = kv_get(txn, TABLE_USER, user, &record);

    return err_is(e) ? e : store_read_user(record, user, out);
}

struct err store_save_user(struct kv_txn *txn, struct span user, const struct user_row *row)
{
    char *room;
    struct err e = kv_reserve(txn, TABLE_USER, user, store_write_user(user, row, NULL), &room);

    if (!err_is(e))
        store_write_user(user, row, room);
    return e;
}

static bool visit_own_box(void *context, const struct mailstore_box *box)
{
    struct user_row *sum = context;

    sum->boxes++;
    sum->bytes += box->bytes;
    sum->messages += box->exists;
    return true;
}

struct err store_sum_user(struct kv_txn *txn, struct span user, struct user_row *out)
{
    *out = (struct user_row){0};
    return mailstore_box_walk(txn, user, visit_own_box, out);
}

void store_resolve_quota(struct mailstore *store, struct user_row *row)
{
    if (row->bytes_max == UINT64_MAX)
        row->bytes_max = atomic_load(&store->quota_bytes);
    if (row->messages_max == UINT64_MAX)
        row->messages_max = atomic_load(&store->quota_messages);
}

static bool is_over(uint64_t has, uint64_t more, uint64_t most)
{
    return most > 0 && more > 0 && (has > most || more > most - has);
}

bool store_is_over_quota(struct mailstore *store, const struct user_row *row, uint64_t bytes,
                         uint64_t messages)
{
    struct user_row now = *row;

    store_resolve_quota(store, &now);
    return is_over(now.bytes, bytes, now.bytes_max) ||
           is_over(now.messages, messages, now.messages_max);
}

/* ---- mailboxes ---------------------------------------------------------------------------- */

struct err store_find_box(struct kv_txn *txn, struct span user, struct span name, uint32_t *box_out)
{
    struct name_key key = key_of_name(user, name);
    struct span value;
    struct err e = kv_get(txn, TABLE_NAME, name_key_span(&key), &value);

    if (err_is(e))
        return e;
    if (value.len != sizeof *box_out)
        return err_make(ERR_CORRUPT, "name record");
    *box_out = wire_get32(value.ptr);
    return ERR_OK;
}

struct err store_load_box(struct kv_txn *txn, uint32_t box, struct box_row *out)
{
    struct key key = key_of_box(box);
    struct span record;
    struct err e = kv_get(txn, TABLE_BOX, key_span(&key), &record);

    if (err_is(e))
        return e;
    if (record.len > sizeof out->bytes)
        return err_make(ERR_CORRUPT, "mailbox record");
    memcpy(out->bytes, record.ptr, record.len);
    return store_read_box(span_of(out->bytes, record.len), box, &out->box, &out->vanished);
}

struct err store_save_box(struct kv_txn *txn, const struct box_row *row)
{
    struct key key = key_of_box(row->box.id);
    size_t len = store_write_box(&row->box, row->vanished, NULL);
    char *room;
    struct err e = kv_reserve(txn, TABLE_BOX, key_span(&key), len, &room);

    if (!err_is(e))
        store_write_box(&row->box, row->vanished, room);
    return e;
}

static int keyword_bit(const struct mailstore_box *box, struct span name)
{
    for (unsigned i = 0; i < box->keyword_count; i++)
        if (span_equal_nocase(box->keywords[i], name))
            return (int)i;
    return -1;
}

enum mailstore_refusal store_find_keywords(struct box_row *row, const struct span *names,
                                           unsigned count, bool is_added, uint64_t *bits_out)
{
    struct mailstore_box *box = &row->box;

    *bits_out = 0;
    for (unsigned i = 0; i < count; i++) {
        int bit = keyword_bit(box, names[i]);
        if (bit < 0 && !is_added)
            continue;
        if (bit < 0) {
            if (box->keyword_count == MAILSTORE_KEYWORDS_MAX ||
                names[i].len > MAILSTORE_KEYWORD_MAX)
                return MAILSTORE_TOO_MANY;
            bit = (int)box->keyword_count++;
            box->keywords[bit] = names[i];
        }
        *bits_out |= UINT64_C(1) << bit;
    }
    return MAILSTORE_FINE;
}

/* ---- entries ------------------------------------------------------------------------------ */

bool store_take_entry(struct span record, uint32_t box, uint32_t uid, struct mailstore_entry *out)
{
    struct err e = store_read_entry(record, box, uid, out);
    char which[40];

    if (!err_is(e))
        return true;
    snprintf(which, sizeof which, "%u/%u", box, uid);
    log_failure(LOG_ERROR, "mailstore-entry-damaged", e, "mailbox_uid", which);
    return false;
}

struct err store_put_entry(struct kv_txn *txn, uint32_t box, const struct mailstore_entry *entry)
{
    struct key key = key_of_entry(box, entry->uid);
    char *room;
    struct err e =
        kv_reserve(txn, TABLE_ENTRY, key_span(&key), store_write_entry(box, entry, NULL), &room);

    if (err_is(e))
        return e;
    store_write_entry(box, entry, room);
    key = key_of_change(box, entry->modseq, entry->uid);
    return kv_put(txn, TABLE_CHANGE, key_span(&key), SPAN_NONE);
}

struct err store_delete_change(struct kv_txn *txn, uint32_t box, uint64_t modseq, uint32_t uid)
{
    struct key key = key_of_change(box, modseq, uid);

    return store_delete_if_there(txn, TABLE_CHANGE, &key);
}

void store_count_flags(struct mailstore_box *box, uint32_t flags, int count)
{
    if ((flags & MAILSTORE_SEEN) == 0)
        box->unseen += (uint32_t)count;
    if ((flags & MAILSTORE_DELETED) != 0)
        box->deleted += (uint32_t)count;
}

/* ---- messages ----------------------------------------------------------------------------- */

struct err store_load_message(struct kv_txn *txn, uint64_t id, struct message_row *out)
{
    struct key key = key_of(id);
    struct span record;
    struct err e = kv_get(txn, TABLE_MESSAGE, key_span(&key), &record);

    return err_is(e) ? e : store_read_message(record, id, out);
}

struct err store_put_message(struct kv_txn *txn, uint64_t id, const struct message_row *row)
{
    struct key key = key_of(id);
    char *room;
    struct err e =
        kv_reserve(txn, TABLE_MESSAGE, key_span(&key), store_write_message(id, row, NULL), &room);

    if (!err_is(e))
        store_write_message(id, row, room);
    return e;
}

struct err store_add_reference(struct kv_txn *txn, uint64_t id)
{
    struct message_row row;
    struct err e = store_load_message(txn, id, &row);

    if (err_is(e))
        return e;
    row.references++;
    return store_put_message(txn, id, &row);
}

struct err store_put_garbage(struct mailstore *store, struct kv_txn *txn, enum key_garbage kind,
                             uint64_t id)
{
    struct key key = key_of_garbage(kind, id);

    store->sweep.is_wanted = true;
    return kv_put(txn, TABLE_GARBAGE, key_span(&key), SPAN_NONE);
}

/* Its bytes at once where there are few of them; true where they are gone. */
static struct err remove_bytes(struct kv_txn *txn, uint64_t id, uint32_t chunks, bool *gone_out)
{
    struct key key = key_of(id);
    bool more;
    struct err e = kv_delete_range(txn, TABLE_BODY, key_span(&key), key_span(&key), chunks, &more);

    *gone_out = !more;
    return err_is(e) || more ? e : store_delete_if_there(txn, TABLE_DIGEST, &key);
}

/* A row that is lost or damaged must not keep its entries from going. */
struct err store_drop_reference(struct mailstore *store, struct kv_txn *txn, uint64_t id,
                                unsigned *budget)
{
    struct key key = key_of(id);
    struct message_row row;
    bool is_gone = false;
    struct err e = store_load_message(txn, id, &row);

    if (e.kind == ERR_NOT_FOUND || e.kind == ERR_CORRUPT)
        return ERR_OK;
    if (err_is(e))
        return e;
    if (row.references > 1) {
        row.references--;
        return store_put_message(txn, id, &row);
    }
    e = kv_delete(txn, TABLE_MESSAGE, key_span(&key));
    if (!err_is(e) && row.chunks < *budget) {
        *budget -= row.chunks + 1;
        e = remove_bytes(txn, id, row.chunks, &is_gone);
    }
    return err_is(e) || is_gone ? e : store_put_garbage(store, txn, KEY_GARBAGE_MESSAGE, id);
}
