/*
 * Removes what nothing refers to any more: the bytes of messages, and the entries of mailboxes that
 * were deleted. Each step takes the first row of the table garbage and does a bounded part of it;
 * what a crash leaves is gone on with after the next start.
 */
#include "plugins/drop/mailstore/mailstore_private.h"

#include "base/log.h"

enum {
    STEP_BUSY = 256,  /* rows that a step may remove while others wait */
    STEP_IDLE = 2048, /* while there is little to do */
    BUSY_FROM = 8,    /* operations between two steps */
    STAGED_A_STEP = 1000,
    BOXES_A_STEP = 100, /* looked at while tidying */
};

/* ---- one step ----------------------------------------------------------------------------- */

static struct err remove_rows(struct kv_txn *txn, enum store_table table, const struct key *prefix,
                              unsigned *budget)
{
    uint64_t before = kv_count(txn, table);
    bool more = false;
    struct err e = kv_delete_range(txn, table, key_span(prefix), key_span(prefix), *budget, &more);
    uint64_t removed = before - kv_count(txn, table);

    *budget = more ? 0 : *budget - (unsigned)removed;
    return e;
}

static struct err remove_message(struct kv_txn *txn, uint64_t id, unsigned *budget)
{
    struct key key = key_of(id);
    struct err e = remove_rows(txn, TABLE_BODY, &key, budget);

    if (!err_is(e) && *budget > 0)
        e = remove_rows(txn, TABLE_DIGEST, &key, budget);
    return e;
}

struct leaving {
    uint32_t box;
    unsigned count;
    unsigned most;
    uint64_t messages[STEP_IDLE]; /* 0 = of one that cannot be read: it goes nevertheless */
};

static bool visit_leaving(void *context, struct span key, struct span record)
{
    struct leaving *leaving = context;
    struct mailstore_entry entry;
    uint32_t box, uid;

    if (!key_read_entry(key, &box, &uid) || box != leaving->box || leaving->count == leaving->most)
        return false;
    bool is_good = !err_is(store_read_entry(record, box, uid, &entry));
    leaving->messages[leaving->count++] = is_good ? entry.message : 0;
    return true;
}

static struct err remove_entries(struct mailstore *store, struct kv_txn *txn, uint32_t box,
                                 unsigned *budget)
{
    struct leaving leaving = {.box = box, .most = *budget};
    struct key prefix = key_of_box(box);
    unsigned at_once = 0; /* their bytes have steps of their own */
    bool more;
    struct err e = kv_walk(txn, TABLE_ENTRY, key_span(&prefix), visit_leaving, &leaving);

    for (unsigned i = 0; i < leaving.count && !err_is(e); i++)
        if (leaving.messages[i] != 0)
            e = store_drop_reference(store, txn, leaving.messages[i], &at_once);
    if (!err_is(e) && leaving.count > 0)
        e = kv_delete_range(txn, TABLE_ENTRY, key_span(&prefix), key_span(&prefix), leaving.count,
                            &more);
    *budget -= leaving.count;
    return e;
}

static struct err remove_box(struct mailstore *store, struct kv_txn *txn, uint32_t box,
                             unsigned *budget)
{
    struct key prefix = key_of_box(box);
    struct err e = remove_entries(store, txn, box, budget);

    if (!err_is(e) && *budget > 0)
        e = remove_rows(txn, TABLE_CHANGE, &prefix, budget);
    if (!err_is(e) && *budget > 0)
        e = remove_rows(txn, TABLE_VANISHED, &prefix, budget);
    return e;
}

/* What is begun and not through has its row still. */
static struct err step(struct mailstore *store, struct kv_txn *txn, unsigned budget,
                       bool *through_out)
{
    struct span key, value;
    enum key_garbage kind;
    uint64_t id;

    *through_out = false;
    while (budget > 0) {
        struct err e = kv_seek(txn, TABLE_GARBAGE, SPAN_NONE, &key, &value);
        *through_out = e.kind == ERR_NOT_FOUND;
        if (err_is(e))
            return *through_out ? ERR_OK : e;
        if (!key_read_garbage(key, &kind, &id))
            return err_make(ERR_CORRUPT, "garbage record");
        if (kind == KEY_GARBAGE_MESSAGE)
            e = remove_message(txn, id, &budget);
        else
            e = remove_box(store, txn, (uint32_t)id, &budget);
        struct key row = key_of_garbage(kind, id);
        if (!err_is(e) && budget > 0)
            e = kv_delete(txn, TABLE_GARBAGE, key_span(&row));
        if (err_is(e))
            return e;
    }
    return ERR_OK;
}

/* ---- by itself ---------------------------------------------------------------------------- */

static struct err apply_step(struct kv_op *op, struct kv_txn *txn)
{
    struct store_sweep *sweep = container_of(op, struct store_sweep, op);
    bool is_busy = sweep->finished - sweep->seen >= BUSY_FROM;

    return step(sweep->store, txn, is_busy ? STEP_BUSY : STEP_IDLE, &sweep->is_through);
}

static void submit(struct store_sweep *sweep)
{
    if (sweep->is_submitted || !sweep->is_wanted || atomic_load(&sweep->is_closing))
        return;
    sweep->is_submitted = true;
    sweep->seen = sweep->finished;
    sweep->is_wanted = false;
    kv_submit(sweep->store->kv, &sweep->op);
}

/* After an error it waits for the next garbage, or for the next start: what it leaves takes room
 * but harms nothing. */
static void on_step(struct call *call)
{
    struct store_sweep *sweep = container_of(call, struct store_sweep, op.call);

    sweep->is_submitted = false;
    if (err_is(sweep->op.result)) {
        sweep->is_wanted = false; /* what the step itself had added is not there */
        log_failure(LOG_WARN, "mailstore-sweep-stopped", sweep->op.result, NULL, NULL);
        return;
    }
    if (!sweep->is_through)
        sweep->is_wanted = true;
    submit(sweep);
}

void store_sweep_start(struct mailstore *store)
{
    struct store_sweep *sweep = &store->sweep;

    sweep->store = store;
    sweep->op = (struct kv_op){.kind = KV_SHRINK, .apply = apply_step};
    sweep->op.call.done = on_step;
    sweep->is_wanted = true;
    submit(sweep);
}

void store_sweep_go_on(struct mailstore *store)
{
    store->sweep.finished++;
    submit(&store->sweep);
}

void store_sweep_stop(struct mailstore *store)
{
    atomic_store(&store->sweep.is_closing, true);
}

/* ---- at open ------------------------------------------------------------------------------ */

struct recovery {
    struct kv_op op;
    struct mailstore *store;
    bool is_through;
};

static struct err apply_recovery(struct kv_op *op, struct kv_txn *txn)
{
    struct recovery *recovery = container_of(op, struct recovery, op);
    struct span found, value;

    recovery->is_through = false;
    for (unsigned i = 0; i < STAGED_A_STEP; i++) {
        struct err e = kv_seek(txn, TABLE_STAGED, SPAN_NONE, &found, &value);
        recovery->is_through = e.kind == ERR_NOT_FOUND;
        if (err_is(e))
            return recovery->is_through ? ERR_OK : e;
        if (found.len != sizeof(uint64_t))
            return err_make(ERR_CORRUPT, "staged record");
        struct key key = key_of(wire_get64(found.ptr));
        e = store_put_garbage(recovery->store, txn, KEY_GARBAGE_MESSAGE, wire_get64(key.bytes));
        if (!err_is(e))
            e = kv_delete(txn, TABLE_STAGED, key_span(&key));
        if (err_is(e))
            return e;
    }
    return ERR_OK;
}

struct err store_sweep_recover(struct mailstore *store)
{
    struct recovery recovery = {.op = {.kind = KV_SHRINK, .apply = apply_recovery}, .store = store};
    struct err e;

    do
        e = kv_run(store->kv, &recovery.op);
    while (!err_is(e) && !recovery.is_through);
    return e;
}

/* ---- on request --------------------------------------------------------------------------- */

struct tidying {
    struct kv_op op;
    struct mailstore *store;
    uint64_t keep;
    uint64_t box;  /* the next one that is looked at */
    uint64_t next; /* of the step that runs */
    bool is_through;
};

static struct err apply_tidy(struct kv_op *op, struct kv_txn *txn)
{
    struct tidying *tidying = container_of(op, struct tidying, op);

    return step(tidying->store, txn, STEP_IDLE, &tidying->is_through);
}

/* A mailbox that cannot be read is left as it is. */
static struct err forget_some(struct tidying *tidying, struct kv_txn *txn, uint32_t box)
{
    struct box_row row;

    if (err_is(store_load_box(txn, box, &row)) || row.vanished <= tidying->keep)
        return ERR_OK;
    if (row.vanished - tidying->keep > STEP_IDLE)
        tidying->next = box;
    struct err e = removal_forget(txn, &row, tidying->keep, STEP_IDLE);
    return err_is(e) ? e : store_save_box(txn, &row);
}

static struct err apply_forget(struct kv_op *op, struct kv_txn *txn)
{
    struct tidying *tidying = container_of(op, struct tidying, op);
    struct span key, value;

    tidying->next = tidying->box;
    for (unsigned i = 0; i < BOXES_A_STEP; i++) {
        struct key from = key_of_box((uint32_t)tidying->next);
        struct err e = kv_seek(txn, TABLE_BOX, key_span(&from), &key, &value);
        tidying->is_through = e.kind == ERR_NOT_FOUND;
        if (err_is(e))
            return tidying->is_through ? ERR_OK : e;
        uint32_t box = wire_get32(key.ptr);
        tidying->next = (uint64_t)box + 1;
        e = forget_some(tidying, txn, box);
        if (err_is(e) || tidying->next == box)
            return e;
    }
    return ERR_OK;
}

struct err mailstore_tidy(struct mailstore *store, uint64_t keep)
{
    struct tidying tidying = {
        .op = {.kind = KV_SHRINK, .apply = apply_tidy}, .store = store, .keep = keep};
    struct err e;

    do
        e = kv_run(store->kv, &tidying.op);
    while (!err_is(e) && !tidying.is_through);
    tidying.op.apply = apply_forget;
    tidying.is_through = false;
    while (!err_is(e) && !tidying.is_through) {
        e = kv_run(store->kv, &tidying.op);
        tidying.box = tidying.next;
    }
    return e;
}
