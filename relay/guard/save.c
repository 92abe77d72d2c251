/* Saving: what has changed, and what is gone, as rows of batches. */
#include "guard/private.h"

#include "base/log.h"

#include <stdlib.h>

enum { BATCH_ROWS = 500 }; /* gathered at a time under the lock */

struct saved_row {
    enum guard_kind kind;
    bool gone;
    struct span key;
    char record[GUARD_STORE_RECORD];
};

struct batch {
    struct kv_op op;
    struct guard *guard;
    struct arena arena;
    unsigned count;
    struct saved_row rows[BATCH_ROWS];
};

/* ---- gathering, under the lock ------------------------------------------------------------ */

static struct saved_row *add_row(struct batch *batch, struct guard_entry *entry)
{
    struct saved_row *row = &batch->rows[batch->count++];

    list_remove(&entry->changed);
    row->kind = entry->kind;
    row->key = arena_dup(&batch->arena, guard_entry_key(entry));
    return row;
}

/* What is gone leads: its key may have come back since. */
static void gather(struct guard_table *table, struct batch *batch)
{
    char room[GUARD_STORE_KEY_MAX];

    while (batch->count < BATCH_ROWS && !list_is_empty(&table->gone)) {
        struct guard_entry *entry = container_of(table->gone.next, struct guard_entry, changed);
        add_row(batch, entry)->gone = true;
        free(entry);
    }
    while (batch->count < BATCH_ROWS && !list_is_empty(&table->changed)) {
        struct guard_entry *entry = container_of(table->changed.next, struct guard_entry, changed);
        struct saved_row *row = add_row(batch, entry);
        entry->stored = true;
        guard_store_write(entry, guard_store_key(row->kind, row->key, room), row->record);
    }
}

/* ---- writing, on the environment's thread ------------------------------------------------- */

static struct err apply_batch(struct kv_op *op, struct kv_txn *txn)
{
    struct batch *batch = container_of(op, struct batch, op);
    struct err e = ERR_OK;
    char room[GUARD_STORE_KEY_MAX];

    for (unsigned i = 0; i < batch->count && !err_is(e); i++) {
        const struct saved_row *row = &batch->rows[i];
        struct span key = guard_store_key(row->kind, row->key, room);
        if (row->gone)
            e = kv_delete(txn, GUARD_STORE_ENTRY, key);
        else
            e = kv_put(txn, GUARD_STORE_ENTRY, key, span_of(row->record, sizeof row->record));
        if (e.kind == ERR_NOT_FOUND)
            e = ERR_OK;
    }
    return e;
}

/* Under the lock: the rows are to be written once more, as they are by now. */
static void put_back(struct guard_table *table, const struct batch *batch)
{
    for (unsigned i = 0; i < batch->count; i++) {
        const struct saved_row *row = &batch->rows[i];
        if (!guard_table_mark(table, row->kind, row->key) && row->gone)
            guard_table_bury(table, row->kind, row->key);
    }
}

static void on_saved(struct call *call)
{
    struct batch *batch = container_of(call, struct batch, op.call);
    struct guard *guard = batch->guard;
    bool failed = err_is(batch->op.result);

    pthread_mutex_lock(&guard->lock);
    bool tell = failed && !guard->save_failed;
    guard->save_failed = failed;
    guard->saving--;
    if (failed)
        put_back(&guard->table, batch);
    pthread_mutex_unlock(&guard->lock);
    if (tell)
        log_failure(LOG_WARN, "guard-save-failed", batch->op.result, "text",
                    "rates and greylisting go on in memory; saving is tried again");
    arena_fini(&batch->arena);
    free(batch);
}

void guard_save_changes(struct guard *guard)
{
    bool more;

    do {
        struct batch *batch = mem_zalloc(sizeof *batch);
        arena_init(&batch->arena);
        pthread_mutex_lock(&guard->lock);
        gather(&guard->table, batch);
        more = batch->count == BATCH_ROWS;
        guard->saving += batch->count > 0;
        pthread_mutex_unlock(&guard->lock);
        if (batch->count == 0) {
            free(batch);
            break;
        }
        batch->guard = guard;
        batch->op.kind = KV_SHRINK;
        batch->op.apply = apply_batch;
        batch->op.call.done = on_saved;
        list_init(&batch->op.call.link);
        kv_submit(guard->kv, &batch->op);
    } while (more);
}
