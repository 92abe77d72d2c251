/* Opening and closing, and the way of an operation. */
#include "plugins/drop/mailstore/mailstore_private.h"

#include <semaphore.h>
#include <stdlib.h>

enum { FORMAT = 1 };

static const char *const table_names[TABLE_COUNT] = {
    [TABLE_META] = "meta",
    [TABLE_USER] = "user",
    [TABLE_BOX] = "box",
    [TABLE_NAME] = "name",
    [TABLE_ENTRY] = "entry",
    [TABLE_CHANGE] = "change",
    [TABLE_VANISHED] = "vanished",
    [TABLE_MESSAGE] = "message",
    [TABLE_DIGEST] = "digest",
    [TABLE_BODY] = "body",
    [TABLE_STAGED] = "staged",
    [TABLE_GARBAGE] = "garbage",
    [TABLE_SUBSCRIPTION] = "subscription",
};

/* ---- opening and closing ------------------------------------------------------------------ */

struct first_op {
    struct kv_op op;
    struct store_meta meta;
};

static struct err check_meta(struct kv_txn *txn, struct store_meta *out)
{
    struct err e = store_get_meta(txn, out);

    if (!err_is(e) && out->format != FORMAT)
        e = err_make(ERR_CORRUPT, "mailstore is of another format");
    return e;
}

static struct err apply_first(struct kv_op *op, struct kv_txn *txn)
{
    struct first_op *first = container_of(op, struct first_op, op);
    struct err e = check_meta(txn, &first->meta);

    if (e.kind != ERR_NOT_FOUND)
        return e;
    if (kv_count(txn, TABLE_BOX) > 0 || kv_count(txn, TABLE_BODY) > 0)
        return err_make(ERR_CORRUPT, "mailstore has mailboxes but no format");
    first->meta = (struct store_meta){.format = FORMAT};
    return store_put_meta(txn, &first->meta);
}

/* A store that exists is not written to: it can be opened on a full disk. */
static struct err write_meta(struct mailstore *store, struct store_meta *out)
{
    struct first_op first = {.op = {.kind = KV_SHRINK, .apply = apply_first}};
    struct err e = kv_run(store->kv, &first.op);

    *out = first.meta;
    return e;
}

static struct err read_meta(struct mailstore *store, struct store_meta *out)
{
    struct kv_txn *txn;
    struct err e = kv_read_begin(store->kv, &txn);

    if (err_is(e))
        return e;
    e = check_meta(txn, out);
    kv_read_end(txn);
    return e;
}

static struct err begin(struct mailstore *store, const struct mailstore_options *options)
{
    struct kv_options kv = {
        .path = options->path,
        .map_size = options->map_size,
        .low_water = options->low_water,
        .reserve = options->reserve,
        .gather_ms = options->gather_ms,
        .tables = table_names,
        .table_count = TABLE_COUNT,
        .read_only = options->read_only,
    };
    struct store_meta meta;
    struct err e = kv_open(&kv, &store->kv);

    if (!err_is(e))
        e = options->read_only ? read_meta(store, &meta) : write_meta(store, &meta);
    if (err_is(e))
        return e;
    atomic_init(&store->last_id, meta.ids_used);
    if (options->read_only)
        return ERR_OK;
    e = store_sweep_recover(store);
    if (!err_is(e))
        store_sweep_start(store);
    return e;
}

static void dispose(struct mailstore *store)
{
    kv_close(store->kv);
    watches_fini(&store->watches);
    recent_fini(&store->recent);
    free(store);
}

struct err mailstore_open(const struct mailstore_options *options, struct mailstore **out)
{
    struct mailstore *store = mem_zalloc(sizeof *store);

    *out = NULL;
    store->box_max = options->box_max;
    store->draft_memory = options->draft_memory;
    mailstore_set_quota(store, options->quota_bytes, options->quota_messages);
    watches_init(&store->watches);
    recent_init(&store->recent);
    struct err e = begin(store, options);
    if (err_is(e)) {
        dispose(store);
        return e;
    }
    *out = store;
    return ERR_OK;
}

struct err mailstore_compact(struct mailstore *store)
{
    store_sweep_stop(store);
    return kv_compact(store->kv);
}

void mailstore_close(struct mailstore *store)
{
    if (store == NULL)
        return;
    store_sweep_stop(store);
    dispose(store);
}

void mailstore_set_quota(struct mailstore *store, uint64_t bytes, uint64_t messages)
{
    atomic_store(&store->quota_bytes, bytes);
    atomic_store(&store->quota_messages, messages);
}

void mailstore_stats(struct mailstore *store, struct kv_stats *out)
{
    kv_stats(store->kv, out);
}

/* ---- after the commit ----------------------------------------------------------------------- */

#define OP_OF(kind, op) container_of(op, struct kind, op)

static void finish_append(struct mailstore_append *it, struct list *told)
{
    struct store_watches *watches = &it->op.store->watches;

    for (unsigned i = 0; i < it->target_count; i++) {
        const struct mailstore_target *target = &it->targets[i];
        if (target->refusal != MAILSTORE_FINE)
            continue;
        draft_is_stored(it->drafts[it->draft_count == 1 ? 0 : i]);
        watches_collect(watches, target->box, told);
    }
}

static void tell_boxes(struct mailstore_op *op, struct list *told)
{
    struct store_watches *watches = &op->store->watches;

    switch (op->kind) {
    case MAILSTORE_APPEND:
        finish_append(OP_OF(mailstore_append, op), told);
        break;
    case MAILSTORE_COPY:
        if (OP_OF(mailstore_copy, op)->copied > 0) {
            watches_collect(watches, OP_OF(mailstore_copy, op)->to, told);
            if (OP_OF(mailstore_copy, op)->is_move)
                watches_collect(watches, OP_OF(mailstore_copy, op)->box, told);
        }
        break;
    case MAILSTORE_STORE:
        if (OP_OF(mailstore_store, op)->changed > 0)
            watches_collect(watches, OP_OF(mailstore_store, op)->box, told);
        break;
    case MAILSTORE_EXPUNGE:
        if (OP_OF(mailstore_expunge, op)->expunged > 0)
            watches_collect(watches, OP_OF(mailstore_expunge, op)->box, told);
        break;
    case MAILSTORE_DELETE:
        watches_collect(watches, OP_OF(mailstore_delete, op)->box, told);
        break;
    case MAILSTORE_RENAME:
        watches_collect(watches, OP_OF(mailstore_rename, op)->inbox, told);
        break;
    case MAILSTORE_REMOVE_USER:
        for (unsigned i = 0; i < OP_OF(mailstore_remove_user, op)->box_count; i++)
            watches_collect(watches, OP_OF(mailstore_remove_user, op)->boxes[i], told);
        break;
    default:
        break;
    }
}

/* What is told of it where nothing was done. */
static void clear_results(struct mailstore_op *op)
{
    switch (op->kind) {
    case MAILSTORE_APPEND:
        for (unsigned i = 0; i < OP_OF(mailstore_append, op)->target_count; i++)
            OP_OF(mailstore_append, op)->targets[i].uid = 0;
        break;
    case MAILSTORE_COPY:
        OP_OF(mailstore_copy, op)->copied = 0;
        OP_OF(mailstore_copy, op)->modseq = 0;
        break;
    case MAILSTORE_STORE:
        OP_OF(mailstore_store, op)->changed = OP_OF(mailstore_store, op)->modified_count = 0;
        OP_OF(mailstore_store, op)->modseq = 0;
        break;
    case MAILSTORE_EXPUNGE:
        OP_OF(mailstore_expunge, op)->expunged = 0;
        OP_OF(mailstore_expunge, op)->modseq = 0;
        break;
    default:
        break;
    }
}

/* An append of all or nothing that was refused half way is an error only to kv. */
static void take_result(struct mailstore_op *op)
{
    op->result = op->kv.result;
    if (!err_is(op->result))
        return;
    clear_results(op);
    if (op->kind == MAILSTORE_APPEND && op->result.kind == ERR_CONFLICT &&
        op->refusal != MAILSTORE_FINE)
        op->result = ERR_OK;
    else
        op->refusal = MAILSTORE_FINE;
}

/* ---- the way of an operation ---------------------------------------------------------------- */

static const struct {
    struct err (*apply)(struct kv_op *op, struct kv_txn *txn);
    enum kv_kind kind; /* what makes room, or what a user must be able to do to make some */
} kinds[MAILSTORE_KINDS] = {
    [MAILSTORE_APPEND] = {append_apply, KV_GROW},
    [MAILSTORE_COPY] = {copy_apply, KV_GROW},
    [MAILSTORE_STORE] = {flags_apply, KV_SHRINK},
    [MAILSTORE_EXPUNGE] = {expunge_apply, KV_SHRINK},
    [MAILSTORE_CREATE] = {create_apply, KV_GROW},
    [MAILSTORE_DELETE] = {delete_apply, KV_SHRINK},
    [MAILSTORE_RENAME] = {rename_apply, KV_GROW},
    [MAILSTORE_SUBSCRIBE] = {subscribe_apply, KV_GROW},
    [MAILSTORE_CLAIM_RECENT] = {claim_recent_apply, KV_SHRINK},
    [MAILSTORE_SET_QUOTA] = {set_quota_apply, KV_GROW},
    [MAILSTORE_REMOVE_USER] = {remove_user_apply, KV_SHRINK},
};

static void on_home(struct call *call)
{
    struct mailstore_op *op = container_of(call, struct mailstore_op, kv.call);

    op->done(op);
}

/* On the writer thread. Who did it is told first, and then owns the operation again. */
static void on_committed(struct call *call)
{
    struct mailstore_op *op = container_of(call, struct mailstore_op, kv.call);
    struct mailstore *store = op->store;
    struct list told;

    list_init(&told);
    take_result(op);
    if (!err_is(op->result))
        tell_boxes(op, &told);
    if (op->home == NULL) {
        sem_post(op->waiter);
    } else {
        op->kv.call.done = on_home;
        loop_post(op->home, &op->kv.call);
    }
    watches_post(&told);
    store_sweep_go_on(store);
}

static void start(struct mailstore *store, struct mailstore_op *op)
{
    if (op->kind == MAILSTORE_APPEND)
        for (unsigned i = 0; i < OP_OF(mailstore_append, op)->draft_count; i++)
            draft_seal(OP_OF(mailstore_append, op)->drafts[i]);
    op->store = store;
    op->refusal = MAILSTORE_FINE;
    op->kv = (struct kv_op){.kind = kinds[op->kind].kind, .apply = kinds[op->kind].apply};
    if (op->kind == MAILSTORE_COPY && OP_OF(mailstore_copy, op)->is_move)
        op->kv.kind = KV_SHRINK;
    op->kv.call.done = on_committed;
    kv_submit(store->kv, &op->kv);
}

void mailstore_submit(struct mailstore *store, struct mailstore_op *op, struct loop *home)
{
    op->home = home;
    start(store, op);
}

void mailstore_run(struct mailstore *store, struct mailstore_op *op)
{
    sem_t done;

    sem_init(&done, 0, 0);
    op->home = NULL;
    op->waiter = &done;
    start(store, op);
    while (sem_wait(&done) != 0)
        continue; /* a signal */
    sem_destroy(&done);
}
