/*
 * Makes the rows fit each other again where some of them are damaged: what cannot be read any more
 * is taken out of its mailbox as if it had been expunged, and what is counted is counted anew. A
 * mailbox whose own row is damaged is left alone, as are bytes. Nobody else has the store open.
 */
#include "plugins/drop/mailstore/mailstore_private.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

struct repair {
    struct mailstore *store;
    void (*tell)(void *context, const char *line);
    void *context;
    uint64_t repaired;
};

__attribute__((format(printf, 2, 3))) static void tell(struct repair *repair, const char *format,
                                                       ...)
{
    char line[1024];
    va_list args;

    repair->repaired++;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    repair->tell(repair->context, line);
}

/* ---- mailboxes ---------------------------------------------------------------------------- */

struct change {
    uint64_t modseq;
    uint32_t uid;
};

struct box_repair {
    struct kv_op op;
    uint32_t id;
    struct box_row row;
    struct mailstore_box found; /* counts of what can be read */
    uint32_t vanished;
    struct change *kept;
    size_t kept_room;
    uint32_t *lost;
    size_t lost_count, lost_room;
    uint32_t changes; /* rows that there are */
    bool is_repaired;
};

static void keep(struct box_repair *it, const struct mailstore_entry *entry)
{
    struct mailstore_box *box = &it->row.box;

    if (it->found.exists == it->kept_room) {
        it->kept_room = it->kept_room > 0 ? it->kept_room * 2 : 256;
        it->kept = mem_realloc(it->kept, it->kept_room * sizeof *it->kept);
    }
    it->kept[it->found.exists++] = (struct change){entry->modseq, entry->uid};
    it->found.bytes += entry->size;
    store_count_flags(&it->found, entry->flags, 1);
    if (entry->uid >= box->uid_next)
        box->uid_next = entry->uid + 1;
    if (entry->modseq > box->highest_modseq)
        box->highest_modseq = entry->modseq;
}

static bool visit_entry(void *context, struct span key, struct span record)
{
    struct box_repair *it = context;
    struct mailstore_entry entry;
    uint32_t box, uid;

    if (!key_read_entry(key, &box, &uid) || box != it->id)
        return false;
    if (!err_is(store_read_entry(record, box, uid, &entry))) {
        keep(it, &entry);
        return true;
    }
    if (it->lost_count == it->lost_room) {
        it->lost_room = it->lost_room > 0 ? it->lost_room * 2 : 16;
        it->lost = mem_realloc(it->lost, it->lost_room * sizeof *it->lost);
    }
    it->lost[it->lost_count++] = uid;
    return true;
}

struct row_count {
    uint32_t box;
    uint32_t rows;
};

static bool visit_row(void *context, struct span key, struct span value)
{
    struct row_count *count = context;
    uint64_t modseq;
    uint32_t box, uid;

    (void)value;
    if (!key_read_change(key, &box, &modseq, &uid) || box != count->box)
        return false;
    count->rows++;
    return true;
}

/* Of TABLE_CHANGE or TABLE_VANISHED, whose keys are alike. */
static struct err count_rows(struct kv_txn *txn, enum store_table table, uint32_t box,
                             uint32_t *out)
{
    struct key prefix = key_of_box(box);
    struct row_count count = {.box = box};
    struct err e = kv_walk(txn, table, key_span(&prefix), visit_row, &count);

    *out = count.rows;
    return e;
}

static struct err look(struct box_repair *it, struct kv_txn *txn)
{
    struct key prefix = key_of_box(it->id);
    struct err e = kv_walk(txn, TABLE_ENTRY, key_span(&prefix), visit_entry, it);

    if (!err_is(e))
        e = count_rows(txn, TABLE_CHANGE, it->id, &it->changes);
    if (!err_is(e))
        e = count_rows(txn, TABLE_VANISHED, it->id, &it->vanished);
    return e;
}

static bool has_all_changes(const struct box_repair *it, struct kv_txn *txn)
{
    bool has_all = it->changes == it->found.exists;
    struct span value;

    for (uint32_t i = 0; i < it->found.exists && has_all; i++) {
        struct key key = key_of_change(it->id, it->kept[i].modseq, it->kept[i].uid);
        has_all = !err_is(kv_get(txn, TABLE_CHANGE, key_span(&key), &value));
    }
    return has_all;
}

static bool is_sound(const struct box_repair *it, struct kv_txn *txn,
                     const struct mailstore_box *noted)
{
    const struct mailstore_box *box = &it->row.box;

    return it->lost_count == 0 && it->vanished == it->row.vanished &&
           it->found.exists == box->exists && it->found.unseen == box->unseen &&
           it->found.deleted == box->deleted && it->found.bytes == box->bytes &&
           noted->uid_next == box->uid_next && noted->highest_modseq == box->highest_modseq &&
           has_all_changes(it, txn);
}

/* As an expunge would, for who knows them. */
static struct err take_lost(struct box_repair *it, struct kv_txn *txn)
{
    uint64_t modseq = it->row.box.highest_modseq + 1;
    struct err e = ERR_OK;
    char last[sizeof(uint32_t)];

    for (size_t i = 0; i < it->lost_count && !err_is(e); i++) {
        struct key entry = key_of_entry(it->id, it->lost[i]);
        struct key gone = key_of_change(it->id, modseq, it->lost[i]);
        e = kv_delete(txn, TABLE_ENTRY, key_span(&entry));
        wire_put32(last, it->lost[i]);
        if (!err_is(e))
            e = kv_put(txn, TABLE_VANISHED, key_span(&gone), span_of(last, sizeof last));
        if (it->lost[i] >= it->row.box.uid_next)
            it->row.box.uid_next = it->lost[i] + 1;
    }
    if (it->lost_count > 0)
        it->row.box.highest_modseq = modseq;
    it->row.vanished = it->vanished + (uint32_t)it->lost_count;
    return e;
}

static struct err put_changes(struct box_repair *it, struct kv_txn *txn)
{
    struct key prefix = key_of_box(it->id);
    bool more;
    struct err e =
        kv_delete_range(txn, TABLE_CHANGE, key_span(&prefix), key_span(&prefix), UINT32_MAX, &more);

    for (uint32_t i = 0; i < it->found.exists && !err_is(e); i++) {
        struct key key = key_of_change(it->id, it->kept[i].modseq, it->kept[i].uid);
        e = kv_put(txn, TABLE_CHANGE, key_span(&key), SPAN_NONE);
    }
    return e;
}

static struct err apply_box(struct kv_op *op, struct kv_txn *txn)
{
    struct box_repair *it = container_of(op, struct box_repair, op);
    struct mailstore_box *box = &it->row.box;

    it->found = (struct mailstore_box){0};
    it->lost_count = 0;
    it->is_repaired = false;
    struct err e = store_load_box(txn, it->id, &it->row);
    if (err_is(e))
        return e.kind == ERR_CORRUPT ? ERR_OK : e;
    struct mailstore_box noted = *box;
    e = look(it, txn);
    if (err_is(e) || is_sound(it, txn, &noted))
        return e;
    it->is_repaired = true;
    e = take_lost(it, txn);
    if (!err_is(e))
        e = put_changes(it, txn);
    box->exists = it->found.exists;
    box->unseen = it->found.unseen;
    box->deleted = it->found.deleted;
    box->bytes = it->found.bytes;
    return err_is(e) ? e : store_save_box(txn, &it->row);
}

static struct err repair_box(struct repair *repair, uint32_t id)
{
    struct box_repair it = {.op = {.kind = KV_SHRINK, .apply = apply_box}, .id = id};
    struct err e = kv_run(repair->store->kv, &it.op);

    for (size_t i = 0; i < it.lost_count && !err_is(e); i++)
        tell(repair, "mailbox %u: entry %u is removed", id, it.lost[i]);
    if (!err_is(e) && it.is_repaired)
        tell(repair, "mailbox %u: %u entries are counted", id, it.found.exists);
    free(it.kept);
    free(it.lost);
    return e;
}

static struct err repair_boxes(struct repair *repair)
{
    struct span key, value;
    struct err e = ERR_OK;

    for (uint64_t next = 0; next <= UINT32_MAX && !err_is(e);) {
        struct key from = key_of_box((uint32_t)next);
        struct kv_txn *txn;
        e = mailstore_read_begin(repair->store, &txn);
        if (err_is(e))
            return e;
        e = kv_seek(txn, TABLE_BOX, key_span(&from), &key, &value);
        uint32_t id = err_is(e) ? 0 : wire_get32(key.ptr);
        mailstore_read_end(txn);
        if (e.kind == ERR_NOT_FOUND)
            return ERR_OK;
        next = (uint64_t)id + 1;
        if (!err_is(e))
            e = repair_box(repair, id);
    }
    return e;
}

/* ---- users -------------------------------------------------------------------------------- */

struct user_repair {
    struct kv_op op;
    struct span user;
    struct user_row sum;
    bool is_repaired;
};

/* One whose row, or a mailbox of whose, cannot be read is left as he is. */
static struct err apply_user(struct kv_op *op, struct kv_txn *txn)
{
    struct user_repair *it = container_of(op, struct user_repair, op);
    struct user_row row;

    it->is_repaired = false;
    struct err e = store_load_user(txn, it->user, &row);
    if (!err_is(e))
        e = store_sum_user(txn, it->user, &it->sum);
    if (err_is(e))
        return e.kind == ERR_CORRUPT || e.kind == ERR_NOT_FOUND ? ERR_OK : e;
    if (row.boxes == it->sum.boxes && row.bytes == it->sum.bytes &&
        row.messages == it->sum.messages)
        return ERR_OK;
    it->is_repaired = true;
    row.boxes = it->sum.boxes;
    row.bytes = it->sum.bytes;
    row.messages = it->sum.messages;
    return store_save_user(txn, it->user, &row);
}

/* Each name stands behind its length. */
static bool visit_user(void *context, struct span user)
{
    struct buf *names = context;
    char len[sizeof(uint32_t)];

    wire_put32(len, (uint32_t)user.len);
    buf_add(names, span_of(len, sizeof len));
    buf_add(names, user);
    return true;
}

static struct err repair_users(struct repair *repair)
{
    struct kv_txn *txn;
    struct buf names;
    struct err e = mailstore_read_begin(repair->store, &txn);

    if (err_is(e))
        return e;
    buf_init(&names, 0);
    e = mailstore_user_walk(txn, SPAN_NONE, visit_user, &names);
    mailstore_read_end(txn);
    for (struct span rest = buf_span(&names); rest.len > 0 && !err_is(e);) {
        struct user_repair it = {.op = {.kind = KV_SHRINK, .apply = apply_user}};
        it.user = span_head(span_from(rest, sizeof(uint32_t)), wire_get32(rest.ptr));
        rest = span_from(rest, sizeof(uint32_t) + it.user.len);
        e = kv_run(repair->store->kv, &it.op);
        if (!err_is(e) && it.is_repaired)
            tell(repair, "user %.*s: %llu messages of %llu bytes are counted", SPAN_ARG(it.user),
                 (unsigned long long)it.sum.messages, (unsigned long long)it.sum.bytes);
    }
    buf_fini(&names);
    return e;
}

/* ---- messages ----------------------------------------------------------------------------- */

struct message_repair {
    struct kv_op op;
    struct mailstore *store;
    struct references references;
    uint64_t repaired;
};

static bool visit_reference(void *context, struct span key, struct span record)
{
    struct mailstore_entry entry;
    uint32_t box, uid;

    if (key_read_entry(key, &box, &uid) && !err_is(store_read_entry(record, box, uid, &entry)))
        references_add(context, entry.message);
    return true;
}

static struct err set_references(struct message_repair *it, struct kv_txn *txn, uint64_t id,
                                 uint32_t references)
{
    struct key key = key_of(id);
    struct message_row row;
    struct err e = store_load_message(txn, id, &row);

    if (err_is(e) || row.references == references)
        return e.kind == ERR_CORRUPT ? ERR_OK : e;
    it->repaired++;
    row.references = references;
    if (references > 0)
        return store_put_message(txn, id, &row);
    e = kv_delete(txn, TABLE_MESSAGE, key_span(&key));
    return err_is(e) ? e : store_put_garbage(it->store, txn, KEY_GARBAGE_MESSAGE, id);
}

static struct err apply_messages(struct kv_op *op, struct kv_txn *txn)
{
    struct message_repair *it = container_of(op, struct message_repair, op);
    struct err e = ERR_OK;
    struct span found, value;

    it->repaired = 0;
    it->references.at = 0;
    for (uint64_t next = 0; !err_is(e);) {
        struct key from = key_of(next);
        e = kv_seek(txn, TABLE_MESSAGE, key_span(&from), &found, &value);
        if (err_is(e))
            return e.kind == ERR_NOT_FOUND ? ERR_OK : e;
        uint64_t id = wire_get64(found.ptr);
        e = set_references(it, txn, id, references_take(&it->references, id, NULL, NULL));
        next = id + 1;
    }
    return e;
}

static struct err repair_messages(struct repair *repair)
{
    struct message_repair it = {.op = {.kind = KV_SHRINK, .apply = apply_messages},
                                .store = repair->store};
    struct kv_txn *txn;
    struct err e = mailstore_read_begin(repair->store, &txn);

    if (err_is(e))
        return e;
    e = kv_walk(txn, TABLE_ENTRY, SPAN_NONE, visit_reference, &it.references);
    mailstore_read_end(txn);
    references_sort(&it.references);
    if (!err_is(e))
        e = kv_run(repair->store->kv, &it.op);
    if (!err_is(e) && it.repaired > 0)
        tell(repair, "the references of %llu messages are counted",
             (unsigned long long)it.repaired);
    references_fini(&it.references);
    return e;
}

struct err mailstore_repair(struct mailstore *store, void (*told)(void *context, const char *line),
                            void *context, uint64_t *repaired_out)
{
    struct repair repair = {.store = store, .tell = told, .context = context};
    struct err e = repair_boxes(&repair);

    if (!err_is(e))
        e = repair_users(&repair);
    if (!err_is(e))
        e = repair_messages(&repair);
    *repaired_out = repair.repaired;
    return e;
}
