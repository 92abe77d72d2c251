/* Changes to the entries of one mailbox: flags, expunging, \Recent. */
#include "plugins/drop/mailstore/mailstore_private.h"

#include <stdlib.h>

enum {
    FLAGS_ALL = 0x1f,
    GONE_AT_ONCE = 64, /* rows of messages that an expunge removes by itself; more are left to the
                          sweep, which costs a commit */
};

/* ---- flags -------------------------------------------------------------------------------- */

struct flagging {
    struct mailstore_store *op;
    struct kv_txn *txn;
    struct box_row row;
    uint64_t keywords;
    uint64_t modseq;
    unsigned modified_room;
};

static void note_modified(struct flagging *flagging, uint32_t uid)
{
    struct mailstore_store *op = flagging->op;

    if (op->modified_count == flagging->modified_room) {
        flagging->modified_room = flagging->modified_room ? flagging->modified_room * 2 : 16;
        op->modified = mem_realloc(op->modified, flagging->modified_room * sizeof *op->modified);
    }
    op->modified[op->modified_count++] = uid;
}

static void change_bits(const struct flagging *flagging, struct mailstore_entry *entry)
{
    uint32_t flags = flagging->op->flags & FLAGS_ALL;

    switch (flagging->op->change) {
    case MAILSTORE_SET:
        entry->flags = flags;
        entry->keywords = flagging->keywords;
        break;
    case MAILSTORE_ADD:
        entry->flags |= flags;
        entry->keywords |= flagging->keywords;
        break;
    case MAILSTORE_REMOVE:
        entry->flags &= ~flags;
        entry->keywords &= ~flagging->keywords;
        break;
    }
}

static struct err flag_entry(struct flagging *flagging, struct mailstore_entry *entry)
{
    struct mailstore_box *box = &flagging->row.box;
    struct mailstore_entry old = *entry;

    if (entry->modseq > flagging->op->unchanged_since) {
        note_modified(flagging, entry->uid);
        return ERR_OK;
    }
    change_bits(flagging, entry);
    if (entry->flags == old.flags && entry->keywords == old.keywords)
        return ERR_OK;
    store_count_flags(box, old.flags, -1);
    store_count_flags(box, entry->flags, 1);
    entry->modseq = flagging->modseq;
    flagging->op->changed++;
    struct err e = store_delete_change(flagging->txn, box->id, old.modseq, old.uid);
    return err_is(e) ? e : store_put_entry(flagging->txn, box->id, entry);
}

static struct err flag_all(struct flagging *flagging)
{
    struct entry_batch *batch = entry_batch_create();
    struct entry_cursor cursor;
    struct err e;

    entry_cursor_init(&cursor, &flagging->row.box, flagging->op->uids, flagging->op->uid_count);
    do {
        e = entry_cursor_next(&cursor, flagging->txn, batch);
        for (unsigned i = 0; i < batch->count && !err_is(e); i++)
            e = flag_entry(flagging, &batch->entries[i]);
    } while (!err_is(e) && batch->count > 0);
    entry_batch_free(batch);
    return e;
}

struct err flags_apply(struct kv_op *op, struct kv_txn *txn)
{
    struct mailstore_store *it = container_of(op, struct mailstore_store, op.kv);
    struct flagging flagging = {.op = it, .txn = txn};

    free(it->modified);
    it->modified = NULL;
    it->modified_count = it->changed = 0;
    it->modseq = 0;
    it->op.refusal = MAILSTORE_FINE;
    struct err e = store_load_box(txn, it->box, &flagging.row);
    if (e.kind == ERR_NOT_FOUND) {
        it->op.refusal = MAILSTORE_NO_BOX;
        return ERR_OK;
    }
    if (err_is(e))
        return e;
    it->op.refusal = store_find_keywords(&flagging.row, it->keywords, it->keyword_count,
                                         it->change != MAILSTORE_REMOVE, &flagging.keywords);
    if (it->op.refusal != MAILSTORE_FINE)
        return ERR_OK;
    flagging.modseq = flagging.row.box.highest_modseq + 1;
    e = flag_all(&flagging);
    if (err_is(e) || it->changed == 0)
        return e;
    it->modseq = flagging.row.box.highest_modseq = flagging.modseq;
    return store_save_box(txn, &flagging.row);
}

/* ---- expunging ---------------------------------------------------------------------------- */

struct expunging {
    struct mailstore_expunge *op;
    struct kv_txn *txn;
    struct box_row row;
    struct removal removal;
    bool is_behind_removed; /* the entry before was removed */
    unsigned budget;
};

static struct err expunge_entry(struct expunging *expunging, const struct mailstore_entry *entry,
                                bool is_adjacent)
{
    bool was_removed = expunging->is_behind_removed;

    expunging->is_behind_removed = expunging->op->is_any || (entry->flags & MAILSTORE_DELETED) != 0;
    if (!expunging->is_behind_removed)
        return ERR_OK;
    struct err e = removal_take(&expunging->removal, entry, is_adjacent && was_removed);
    return err_is(e) ? e
                     : store_drop_reference(expunging->op->op.store, expunging->txn, entry->message,
                                            &expunging->budget);
}

static struct err expunge_all(struct expunging *expunging)
{
    struct entry_batch *batch = entry_batch_create();
    struct entry_cursor cursor;
    struct err e;

    entry_cursor_init(&cursor, &expunging->row.box, expunging->op->uids, expunging->op->uid_count);
    do {
        e = entry_cursor_next(&cursor, expunging->txn, batch);
        for (unsigned i = 0; i < batch->count && !err_is(e); i++)
            e = expunge_entry(expunging, &batch->entries[i], batch->adjacent[i]);
    } while (!err_is(e) && batch->count > 0);
    entry_batch_free(batch);
    return err_is(e) ? e : removal_end(&expunging->removal);
}

static struct err give_back(struct kv_txn *txn, struct span user, uint64_t bytes, uint64_t messages)
{
    struct user_row row;
    struct err e = store_load_user(txn, user, &row);

    if (err_is(e))
        return e;
    row.bytes -= bytes;
    row.messages -= messages;
    return store_save_user(txn, user, &row);
}

struct err expunge_apply(struct kv_op *op, struct kv_txn *txn)
{
    struct mailstore_expunge *it = container_of(op, struct mailstore_expunge, op.kv);
    struct expunging expunging = {.op = it, .txn = txn, .budget = GONE_AT_ONCE};
    struct mailstore_box *box = &expunging.row.box;

    it->modseq = 0;
    it->expunged = 0;
    it->op.refusal = MAILSTORE_FINE;
    struct err e = store_load_box(txn, it->box, &expunging.row);
    if (e.kind == ERR_NOT_FOUND) {
        it->op.refusal = MAILSTORE_NO_BOX;
        return ERR_OK;
    }
    if (err_is(e) || (!it->is_any && box->deleted == 0))
        return e;
    uint64_t bytes = box->bytes;
    expunging.removal = (struct removal){
        .txn = txn,
        .row = &expunging.row,
        .modseq = box->highest_modseq + 1,
        .is_whole = it->uids == NULL && (it->is_any || box->deleted == box->exists),
    };
    e = expunge_all(&expunging);
    it->expunged = expunging.removal.removed;
    if (err_is(e) || it->expunged == 0)
        return e;
    it->modseq = box->highest_modseq = expunging.removal.modseq;
    e = give_back(txn, box->user, bytes - box->bytes, it->expunged);
    return err_is(e) ? e : store_save_box(txn, &expunging.row);
}

/* ---- \Recent ------------------------------------------------------------------------------ */

struct err claim_recent_apply(struct kv_op *op, struct kv_txn *txn)
{
    struct mailstore_claim_recent *it = container_of(op, struct mailstore_claim_recent, op.kv);
    struct box_row row;

    it->first = it->end = 0;
    it->op.refusal = MAILSTORE_FINE;
    struct err e = store_load_box(txn, it->box, &row);
    if (e.kind == ERR_NOT_FOUND) {
        it->op.refusal = MAILSTORE_NO_BOX;
        return ERR_OK;
    }
    if (err_is(e))
        return e;
    it->first = row.box.recent_from;
    it->end = row.box.uid_next;
    if (it->first == it->end)
        return ERR_OK;
    row.box.recent_from = row.box.uid_next;
    return store_save_box(txn, &row);
}
