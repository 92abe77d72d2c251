/* A message into mailboxes. */
#include "plugins/drop/mailstore/mailstore_private.h"

#include "base/clock.h"

struct appending {
    struct mailstore_append *op;
    struct mailstore *store;
    struct kv_txn *txn;
    int64_t now;
};

static struct mailstore_draft *draft_of(const struct mailstore_append *op, unsigned target)
{
    return op->drafts[op->draft_count == 1 ? 0 : target];
}

/* ---- whether all can be done ---------------------------------------------------------------- */

/* What the targets before this one put into the same user's mailboxes counts, as far as they stand
 * next to each other; for others the append itself finds out. */
static struct err check_target(struct appending *appending, unsigned index, struct user_row *row)
{
    struct mailstore_target *target = &appending->op->targets[index];
    struct draft_parts parts;
    char room[MAILSTORE_NAME_MAX];
    uint32_t box;
    struct err e = ERR_OK;

    if (!store_user_is_valid(target->user) || !mailstore_name_is_valid(target->name)) {
        target->refusal = MAILSTORE_BAD_NAME;
        return ERR_OK;
    }
    if (index == 0 || !span_equal(target->user, target[-1].user)) {
        *row = (struct user_row){.bytes_max = UINT64_MAX, .messages_max = UINT64_MAX};
        e = store_load_user(appending->txn, target->user, row);
    }
    if (!err_is(e) || e.kind == ERR_NOT_FOUND)
        e = store_find_box(appending->txn, target->user, store_name(target->name, room), &box);
    if (err_is(e) && e.kind != ERR_NOT_FOUND)
        return e;
    if (err_is(e) && !target->is_created && !store_is_inbox(target->name))
        target->refusal = MAILSTORE_NO_BOX;
    draft_parts(draft_of(appending->op, index), &parts);
    if (!target->is_unbound &&
        store_is_over_quota(appending->store, row, parts.size + target->prefix.len, 1))
        target->refusal = MAILSTORE_OVER_QUOTA;
    row->bytes += parts.size + target->prefix.len;
    row->messages++;
    return ERR_OK;
}

static struct err check_all(struct appending *appending)
{
    struct mailstore_append *op = appending->op;
    struct user_row row = {.bytes = 0};
    struct err e = ERR_OK;

    for (unsigned i = 0; i < op->target_count && !err_is(e); i++) {
        e = check_target(appending, i, &row);
        if (op->op.refusal == MAILSTORE_FINE)
            op->op.refusal = op->targets[i].refusal;
    }
    return e;
}

/* ---- doing it ----------------------------------------------------------------------------- */

/* Loads the target's mailbox, which is made where that is wanted; the user's row is the caller's to
 * save. */
static struct err find_box(struct appending *appending, struct mailstore_target *target,
                           uint64_t size, struct user_row *user, struct box_row *box)
{
    struct kv_txn *txn = appending->txn;
    char room[MAILSTORE_NAME_MAX];
    struct span name = store_name(target->name, room);
    struct err e = store_load_user(txn, target->user, user);
    bool is_known = !err_is(e);

    if (err_is(e) && e.kind != ERR_NOT_FOUND)
        return e;
    if (!is_known)
        *user = (struct user_row){.bytes_max = UINT64_MAX, .messages_max = UINT64_MAX};
    if (!target->is_unbound && store_is_over_quota(appending->store, user, size, 1)) {
        target->refusal = MAILSTORE_OVER_QUOTA;
        return ERR_OK;
    }
    if (!is_known && (target->is_created || store_is_inbox(target->name)))
        e = store_need_user(txn, target->user, user);
    if (!err_is(e))
        e = store_find_box(txn, target->user, name, &target->box);
    if (e.kind == ERR_NOT_FOUND && target->is_created)
        e = store_make_box(appending->store, txn, user, target->user, name, MAILSTORE_USE_NONE,
                           &target->box, &target->refusal);
    if (e.kind == ERR_NOT_FOUND) {
        target->refusal = MAILSTORE_NO_BOX;
        return ERR_OK;
    }
    return err_is(e) || target->refusal != MAILSTORE_FINE ? e
                                                          : store_load_box(txn, target->box, box);
}

static struct err put_entry(struct appending *appending, struct mailstore_target *target,
                            const struct draft_parts *parts, struct box_row *row)
{
    struct mailstore_box *box = &row->box;
    struct mailstore_entry entry = {
        .uid = box->uid_next,
        .flags = target->flags & 0x1f,
        .modseq = box->highest_modseq + 1,
        .message = parts->id,
        .size = parts->size + target->prefix.len,
        .internal_date = target->internal_date != 0 ? target->internal_date : appending->now,
        .save_date = appending->now,
        .internal_zone = target->internal_zone,
        .prefix = target->prefix,
    };

    target->refusal =
        store_find_keywords(row, target->keywords, target->keyword_count, true, &entry.keywords);
    if (box->uid_next == UINT32_MAX)
        target->refusal = MAILSTORE_TOO_MANY;
    if (target->refusal != MAILSTORE_FINE)
        return ERR_OK;
    target->uid = entry.uid;
    target->uid_validity = box->uid_validity;
    box->uid_next++;
    box->highest_modseq++;
    box->exists++;
    store_count_flags(box, entry.flags, 1);
    box->bytes += entry.size;
    struct err e = store_put_entry(appending->txn, box->id, &entry);
    return err_is(e) ? e : store_save_box(appending->txn, row);
}

static struct err put_target(struct appending *appending, struct mailstore_target *target,
                             const struct draft_parts *parts)
{
    uint64_t size = parts->size + target->prefix.len;
    struct user_row user;
    struct box_row box;

    if (!store_user_is_valid(target->user) || !mailstore_name_is_valid(target->name)) {
        target->refusal = MAILSTORE_BAD_NAME;
        return ERR_OK;
    }
    if (target->prefix.len > MAILSTORE_PREFIX_MAX)
        return err_make(ERR_INVALID, "prefix is too long");
    struct err e = find_box(appending, target, size, &user, &box);
    if (!err_is(e) && target->refusal == MAILSTORE_FINE)
        e = put_entry(appending, target, parts, &box);
    if (err_is(e) || target->refusal != MAILSTORE_FINE)
        return e;
    user.bytes += size;
    user.messages++;
    return store_save_user(appending->txn, target->user, &user);
}

static struct err put_digest(struct kv_txn *txn, const struct draft_parts *parts)
{
    struct key key = key_of(parts->id);
    char *room;
    struct err e =
        kv_reserve(txn, TABLE_DIGEST, key_span(&key), parts->digest.len + CHUNK_CHECKSUM, &room);

    if (!err_is(e))
        chunk_write(parts->id, STORE_DIGEST, parts->digest, room);
    return e;
}

static struct err put_message(struct appending *appending, const struct draft_parts *parts,
                              uint32_t references)
{
    struct kv_txn *txn = appending->txn;
    struct key key = key_of(parts->id);
    size_t chunks = parts->staged + (parts->rest.len + CHUNK_BYTES - 1) / CHUNK_BYTES;
    struct message_row row = {
        .references = references, .chunks = (uint32_t)chunks, .size = parts->size};
    struct err e = store_use_id(appending->store, txn, parts->id);

    if (!err_is(e))
        e = draft_check_staged(txn, parts);
    if (!err_is(e) && parts->staged > 0)
        e = kv_delete(txn, TABLE_STAGED, key_span(&key));
    if (!err_is(e))
        e = chunk_put_all(txn, TABLE_BODY, parts->id, parts->staged, parts->rest);
    if (!err_is(e))
        e = put_digest(txn, parts);
    return err_is(e) ? e : store_put_message(txn, parts->id, &row);
}

/* The targets of one draft, and its message where one of them has taken it. */
static struct err put_draft(struct appending *appending, unsigned first, unsigned count)
{
    struct mailstore_append *op = appending->op;
    struct draft_parts parts;
    uint32_t references = 0;
    struct err e = ERR_OK;

    draft_parts(draft_of(op, first), &parts);
    for (unsigned i = first; i < first + count && !err_is(e); i++) {
        struct mailstore_target *target = &op->targets[i];
        e = put_target(appending, target, &parts);
        if (target->refusal == MAILSTORE_FINE)
            references++;
        else if (op->op.refusal == MAILSTORE_FINE)
            op->op.refusal = target->refusal;
    }
    if (!err_is(e) && references > 0)
        e = put_message(appending, &parts, references);
    return e;
}

struct err append_apply(struct kv_op *op, struct kv_txn *txn)
{
    struct mailstore_append *it = container_of(op, struct mailstore_append, op.kv);
    struct appending appending = {
        .op = it,
        .store = it->op.store,
        .txn = txn,
        .now = (int64_t)(clock_wall_ms() / 1000),
    };
    struct err e = ERR_OK;

    it->op.refusal = MAILSTORE_FINE;
    for (unsigned i = 0; i < it->target_count; i++) {
        it->targets[i].refusal = MAILSTORE_FINE;
        it->targets[i].box = it->targets[i].uid = it->targets[i].uid_validity = 0;
    }
    if (it->is_whole)
        e = check_all(&appending);
    if (err_is(e) || it->op.refusal != MAILSTORE_FINE)
        return e;
    if (it->draft_count == 1)
        e = put_draft(&appending, 0, it->target_count);
    for (unsigned i = 0; it->draft_count > 1 && i < it->target_count && !err_is(e); i++)
        e = put_draft(&appending, i, 1);
    /* What the check could not foresee: then the transaction goes on without this operation. */
    if (!err_is(e) && it->is_whole && it->op.refusal != MAILSTORE_FINE)
        e = err_make(ERR_CONFLICT, "append");
    return e;
}
