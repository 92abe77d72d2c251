/* Entries from one mailbox into another, as copies or for good. */
#include "plugins/drop/mailstore/mailstore_private.h"

#include "base/clock.h"

#include <stdlib.h>

struct copying {
    struct mailstore_copy *op; /* NULL = all of a mailbox, and nobody is told of UIDs */
    struct kv_txn *txn;
    struct box_row *from;
    struct box_row *to; /* may be the same */
    bool is_move;
    int64_t now;
    unsigned char keyword[MAILSTORE_KEYWORDS_MAX]; /* the bit of each one of `from` in `to` */

    uint64_t count; /* of all, found out before the first is copied */
    uint64_t bytes;
    uint64_t keywords;
};

/* ---- before ------------------------------------------------------------------------------- */

static struct err add_up(struct copying *copying, struct entry_cursor cursor,
                         struct entry_batch *batch)
{
    struct err e;

    do {
        e = entry_cursor_next(&cursor, copying->txn, batch);
        for (unsigned i = 0; i < batch->count; i++) {
            copying->bytes += batch->entries[i].size;
            copying->keywords |= batch->entries[i].keywords;
        }
        copying->count += batch->count;
    } while (!err_is(e) && batch->count > 0);
    return e;
}

static enum mailstore_refusal map_keywords(struct copying *copying)
{
    const struct mailstore_box *from = &copying->from->box;

    for (unsigned i = 0; i < from->keyword_count; i++) {
        uint64_t bit;
        if ((copying->keywords >> i & 1) == 0)
            continue;
        if (store_find_keywords(copying->to, &from->keywords[i], 1, true, &bit) != MAILSTORE_FINE)
            return MAILSTORE_TOO_MANY;
        copying->keyword[i] = (unsigned char)__builtin_ctzll(bit);
    }
    return copying->count < UINT32_MAX - copying->to->box.uid_next ? MAILSTORE_FINE
                                                                   : MAILSTORE_TOO_MANY;
}

/* ---- one by one --------------------------------------------------------------------------- */

static uint64_t mapped(const struct copying *copying, uint64_t keywords)
{
    uint64_t bits = 0;

    for (; keywords != 0; keywords &= keywords - 1)
        bits |= UINT64_C(1) << copying->keyword[__builtin_ctzll(keywords)];
    return bits;
}

static struct err put_copy(struct copying *copying, const struct mailstore_entry *entry)
{
    struct mailstore_box *box = &copying->to->box;
    struct mailstore_entry copy = *entry;

    copy.uid = box->uid_next++;
    copy.modseq = box->highest_modseq;
    copy.keywords = mapped(copying, entry->keywords);
    copy.save_date = copying->now;
    box->exists++;
    store_count_flags(box, copy.flags, 1);
    box->bytes += copy.size;
    if (copying->op != NULL) {
        copying->op->from_uids[copying->op->copied] = entry->uid;
        copying->op->to_uids[copying->op->copied++] = copy.uid;
    }
    struct err e = store_put_entry(copying->txn, box->id, &copy);
    return err_is(e) || copying->is_move ? e : store_add_reference(copying->txn, entry->message);
}

static struct err copy_all(struct copying *copying, struct entry_cursor cursor,
                           struct entry_batch *batch)
{
    struct removal removal = {.txn = copying->txn, .row = copying->from};
    struct err e;

    copying->to->box.highest_modseq++;
    if (copying->is_move && copying->from != copying->to)
        copying->from->box.highest_modseq++;
    removal.modseq = copying->from->box.highest_modseq;
    do {
        e = entry_cursor_next(&cursor, copying->txn, batch);
        for (unsigned i = 0; i < batch->count && !err_is(e); i++) {
            e = put_copy(copying, &batch->entries[i]);
            if (!err_is(e) && copying->is_move)
                e = removal_take(&removal, &batch->entries[i], batch->adjacent[i]);
        }
    } while (!err_is(e) && batch->count > 0);
    if (!err_is(e) && copying->is_move)
        e = removal_end(&removal);
    if (!err_is(e) && copying->is_move && copying->from != copying->to)
        e = store_save_box(copying->txn, copying->from);
    return err_is(e) ? e : store_save_box(copying->txn, copying->to);
}

struct err copy_move_all(struct kv_txn *txn, struct box_row *from, struct box_row *to)
{
    struct copying copying = {.txn = txn,
                              .from = from,
                              .to = to,
                              .is_move = true,
                              .now = (int64_t)(clock_wall_ms() / 1000),
                              .keywords = UINT64_MAX};
    struct entry_batch *batch = entry_batch_create();
    struct entry_cursor cursor;
    struct err e = ERR_OK;

    entry_cursor_init(&cursor, &from->box, NULL, 0);
    map_keywords(&copying);
    if (from->box.exists > 0)
        e = copy_all(&copying, cursor, batch);
    entry_batch_free(batch);
    return e;
}

/* ---- the operation ------------------------------------------------------------------------ */

struct accounts {
    struct user_row from;
    struct user_row to;
    bool are_one;
};

static struct err load_accounts(struct copying *copying, struct accounts *accounts)
{
    struct span from = copying->from->box.user, to = copying->to->box.user;
    struct err e = store_load_user(copying->txn, to, &accounts->to);

    accounts->are_one = span_equal(from, to);
    if (!err_is(e) && !accounts->are_one)
        e = store_load_user(copying->txn, from, &accounts->from);
    return e;
}

static struct err settle_accounts(struct copying *copying, struct accounts *accounts)
{
    struct err e = ERR_OK;

    if (copying->is_move && accounts->are_one)
        return ERR_OK;
    accounts->to.bytes += copying->bytes;
    accounts->to.messages += copying->count;
    if (copying->is_move) {
        accounts->from.bytes -= copying->bytes;
        accounts->from.messages -= copying->count;
        e = store_save_user(copying->txn, copying->from->box.user, &accounts->from);
    }
    return err_is(e) ? e : store_save_user(copying->txn, copying->to->box.user, &accounts->to);
}

static struct err copy(struct copying *copying, struct entry_batch *batch)
{
    struct mailstore_copy *op = copying->op;
    struct entry_cursor cursor;
    struct accounts accounts;

    entry_cursor_init(&cursor, &copying->from->box, op->uids, op->uid_count);
    struct err e = add_up(copying, cursor, batch);
    if (!err_is(e))
        e = load_accounts(copying, &accounts);
    if (err_is(e) || copying->count == 0)
        return e;
    op->op.refusal = map_keywords(copying);
    if (!(copying->is_move && accounts.are_one) &&
        store_is_over_quota(op->op.store, &accounts.to, copying->bytes, copying->count))
        op->op.refusal = MAILSTORE_OVER_QUOTA;
    if (op->op.refusal != MAILSTORE_FINE)
        return ERR_OK;
    op->from_uids = mem_alloc(copying->count * sizeof *op->from_uids);
    op->to_uids = mem_alloc(copying->count * sizeof *op->to_uids);
    e = copy_all(copying, cursor, batch);
    if (copying->is_move)
        op->modseq = copying->from->box.highest_modseq;
    return err_is(e) ? e : settle_accounts(copying, &accounts);
}

static struct err load_boxes(struct mailstore_copy *op, struct kv_txn *txn, struct box_row *from,
                             struct box_row *to)
{
    char room[MAILSTORE_NAME_MAX];
    struct err e = store_load_box(txn, op->box, from);

    if (err_is(e))
        return e;
    if (!store_user_is_valid(op->user) || !mailstore_name_is_valid(op->name))
        return err_make(ERR_NOT_FOUND, "mailbox");
    e = store_find_box(txn, op->user, store_name(op->name, room), &op->to);
    return err_is(e) ? e : store_load_box(txn, op->to, to);
}

struct err copy_apply(struct kv_op *op, struct kv_txn *txn)
{
    struct mailstore_copy *it = container_of(op, struct mailstore_copy, op.kv);
    struct box_row from, to;

    free(it->from_uids);
    free(it->to_uids);
    it->from_uids = it->to_uids = NULL;
    it->op.refusal = MAILSTORE_FINE;
    it->copied = 0;
    it->modseq = 0;
    it->to = it->uid_validity = 0;
    struct err e = load_boxes(it, txn, &from, &to);
    if (e.kind == ERR_NOT_FOUND) {
        it->op.refusal = MAILSTORE_NO_BOX;
        return ERR_OK;
    }
    if (err_is(e))
        return e;
    it->uid_validity = to.box.uid_validity;
    struct copying copying = {.op = it,
                              .txn = txn,
                              .from = &from,
                              .to = it->to == it->box ? &from : &to,
                              .is_move = it->is_move,
                              .now = (int64_t)(clock_wall_ms() / 1000)};
    struct entry_batch *batch = entry_batch_create();
    e = copy(&copying, batch);
    entry_batch_free(batch);
    return e;
}
