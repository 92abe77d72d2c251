/* The operations that change the store. Each apply checks before it writes: an operation that fails
 * without having written costs the others of its batch nothing. */
#include "queue/queue_private.h"

#include <limits.h>

static void submit(struct queue *queue, struct kv_op *op, struct queue_own *own, enum kv_kind kind,
                   struct err (*apply)(struct kv_op *op, struct kv_txn *txn))
{
    own->queue = queue;
    op->kind = kind;
    op->apply = apply;
    kv_submit(queue->kv, op);
}

/* ---- bodies that are still arriving ------------------------------------------------------ */

static struct err apply_stage(struct kv_op *op, struct kv_txn *txn)
{
    struct queue_stage *stage = container_of(op, struct queue_stage, op);

    rows_begin(stage->own.queue, txn);
    struct err e = rows_use_id(stage->own.queue, txn, stage->id);
    return err_is(e) ? e
                     : chunk_put_all(txn, TABLE_BODY, stage->id, stage->first_chunk, stage->data);
}

void queue_stage(struct queue *queue, struct queue_stage *stage)
{
    submit(queue, &stage->op, &stage->own, KV_GROW, apply_stage);
}

static struct err apply_discard(struct kv_op *op, struct kv_txn *txn)
{
    struct queue_discard *discard = container_of(op, struct queue_discard, op);

    return sweep_body(&discard->own.queue->sweep, txn, discard->id);
}

void queue_discard(struct queue *queue, struct queue_discard *discard)
{
    submit(queue, &discard->op, &discard->own, KV_SHRINK, apply_discard);
}

/* ---- insert ----------------------------------------------------------------------------- */

/* What is left of the body that went with it may still be on its way out. */
static struct err make_way(const struct queue_message *message, struct kv_txn *txn)
{
    struct key key = key_of(message->id);
    struct span record;
    bool more;
    struct err e = kv_get(txn, TABLE_MESSAGE, key_span(&key), &record);

    if (!err_is(e))
        return err_make(ERR_CONFLICT, "it is in the queue");
    if (e.kind != ERR_NOT_FOUND)
        return e;
    return kv_delete_range(txn, TABLE_BODY, key_span(&key), key_span(&key), UINT_MAX, &more);
}

static struct err apply_insert(struct kv_op *op, struct kv_txn *txn)
{
    struct queue_insert *insert = container_of(op, struct queue_insert, op);

    struct err e = message_check(insert->message);
    if (err_is(e))
        return e;
    rows_begin(insert->own.queue, txn);
    if (insert->is_back)
        e = make_way(insert->message, txn);
    if (err_is(e))
        return e;
    return rows_put_message(insert->own.queue, txn, insert->message, insert->staged_chunks);
}

/* The caller's completion may free the operation: what is needed after it is read before. */
static void on_inserted(struct call *call)
{
    struct queue_insert *insert = container_of(call, struct queue_insert, op.call);
    struct queue_message *message = insert->message;

    call->done = insert->own.done;
    call->done(call);
    queue_message_unref(message);
}

void queue_insert(struct queue *queue, struct queue_insert *insert)
{
    queue_message_ref(insert->message);
    message_count_chunks(insert->message, insert->staged_chunks);
    insert->own.done = insert->op.call.done;
    insert->op.call.done = on_inserted;
    submit(queue, &insert->op, &insert->own, KV_GROW, apply_insert);
}

/* ---- settle ----------------------------------------------------------------------------- */

static struct err delete_group(const struct queue_settle *settle, struct kv_txn *txn)
{
    struct queue_due due = {.due = settle->old_due, .id = settle->id, .group = settle->group};
    struct key group_key = key_of_part(settle->id, settle->group);
    struct key due_key = key_of_due(
        codec_destination_number(settle->own.queue->seed, settle->old_destination), &due);
    struct span record;

    struct err e = kv_delete(txn, TABLE_DUE, key_span(&due_key));
    if (e.kind == ERR_NOT_FOUND && !err_is(kv_get(txn, TABLE_GROUP, key_span(&group_key), &record)))
        return err_make(ERR_CONFLICT, "group is due elsewhere");
    return err_is(e) ? e : kv_delete(txn, TABLE_GROUP, key_span(&group_key));
}

struct highest {
    uint64_t id;
    uint32_t number;
};

static bool visit_highest(void *context, struct span key, struct span value)
{
    struct highest *highest = context;
    uint64_t id;
    uint32_t number;

    (void)value;
    if (!key_read_part(key, &id, &number) || id != highest->id)
        return false;
    if (number > highest->number)
        highest->number = number;
    return true;
}

static struct err put_splits(const struct queue_settle *settle, struct kv_txn *txn)
{
    struct highest highest = {.id = settle->id, .number = settle->group};
    struct key from = key_of(settle->id);
    struct err e = kv_walk(txn, TABLE_GROUP, key_span(&from), visit_highest, &highest);

    for (unsigned i = 0; i < settle->split_count && !err_is(e); i++) {
        settle->splits[i].number = highest.number + 1 + i;
        e = rows_put_group(settle->own.queue, txn, settle->id, &settle->splits[i]);
    }
    return e;
}

static struct err delete_if_there(struct kv_txn *txn, enum queue_table table, const struct key *key)
{
    struct err e = kv_delete(txn, table, key_span(key));

    return e.kind == ERR_NOT_FOUND ? ERR_OK : e;
}

static struct err delete_message_if_done(struct queue_settle *settle, struct kv_txn *txn)
{
    struct key key_from = key_of(settle->id);
    struct span key, value;
    struct err e = kv_seek(txn, TABLE_GROUP, key_span(&key_from), &key, &value);

    if (!err_is(e) && key_is_of(key, settle->id))
        return ERR_OK;
    if (err_is(e) && e.kind != ERR_NOT_FOUND)
        return e;
    settle->message_gone = true;
    e = delete_if_there(txn, TABLE_MESSAGE, &key_from);
    if (!err_is(e) && settle->deliver_by != 0) {
        struct queue_deadline deadline = {.at = settle->deliver_by, .id = settle->id};
        struct key deadline_key = key_of_deadline(&deadline);
        e = delete_if_there(txn, TABLE_DEADLINE, &deadline_key);
    }
    return err_is(e) ? e : sweep_body(&settle->own.queue->sweep, txn, settle->id);
}

struct err change_settle(struct queue_settle *settle, struct kv_txn *txn)
{
    struct queue *queue = settle->own.queue;
    struct err e = message_check_settle(settle);

    settle->message_gone = false;
    rows_begin(queue, txn);
    if (!err_is(e))
        e = delete_group(settle, txn);
    if (!err_is(e) && settle->remaining != NULL)
        e = rows_put_group(queue, txn, settle->id, settle->remaining);
    if (!err_is(e) && settle->split_count > 0)
        e = put_splits(settle, txn);
    if (!err_is(e) && settle->dsn != NULL)
        e = rows_put_message(queue, txn, settle->dsn, 0);
    if (!err_is(e) && settle->dsn_copy != NULL)
        e = rows_put_message(queue, txn, settle->dsn_copy, 0);
    if (!err_is(e) && settle->remaining == NULL && settle->split_count == 0)
        e = delete_message_if_done(settle, txn);
    return e;
}

static struct err apply_settle(struct kv_op *op, struct kv_txn *txn)
{
    return change_settle(container_of(op, struct queue_settle, op), txn);
}

static void on_settled(struct call *call)
{
    struct queue_settle *settle = container_of(call, struct queue_settle, op.call);
    struct queue_message *dsn = settle->dsn, *copy = settle->dsn_copy;

    call->done = settle->own.done;
    call->done(call);
    queue_message_unref(dsn);
    queue_message_unref(copy);
}

static void take_notification(struct queue_message *dsn)
{
    if (dsn == NULL)
        return;
    queue_message_ref(dsn);
    message_count_chunks(dsn, 0);
}

void queue_settle(struct queue *queue, struct queue_settle *settle)
{
    if (settle->delivered && settle->remaining == NULL && settle->split_count == 0 &&
        settle->dsn == NULL && settle->dsn_copy == NULL)
        delivered_note(&queue->delivered,
                       &(struct delivered_note){settle->id, settle->old_due, settle->group});
    take_notification(settle->dsn);
    take_notification(settle->dsn_copy);
    settle->own.done = settle->op.call.done;
    settle->op.call.done = on_settled;
    submit(queue, &settle->op, &settle->own, KV_SHRINK, apply_settle);
}

/* ---- destinations ----------------------------------------------------------------------- */

static struct err delete_destination(struct queue *queue, struct kv_txn *txn, uint64_t number)
{
    struct key key = key_of(number);

    rows_forget_destination(queue, number);
    return kv_delete(txn, TABLE_DESTINATION, key_span(&key));
}

static struct err apply_destination(struct kv_op *op, struct kv_txn *txn)
{
    struct queue_destination_update *update = container_of(op, struct queue_destination_update, op);
    struct queue *queue = update->own.queue;
    struct queue_due due;
    uint64_t number;

    struct err e = message_check_destination(update);
    if (err_is(e))
        return e;
    rows_begin(queue, txn);
    e = rows_need_destination(queue, txn, update->destination, &number);
    if (err_is(e))
        return e;
    if (update->until == 0 && rows_first_due(txn, number, &due).kind == ERR_NOT_FOUND)
        return delete_destination(queue, txn, number);
    struct queue_destination row = {.key = update->destination};
    if (update->until != 0) {
        row.until = update->until;
        row.failures = update->failures;
        row.status = update->status;
    }
    return rows_put_destination(txn, number, &row);
}

void queue_destination_update(struct queue *queue, struct queue_destination_update *update)
{
    submit(queue, &update->op, &update->own, KV_SHRINK, apply_destination);
}

/* ---- suspensions ------------------------------------------------------------------------ */

struct ended {
    uint64_t now;
    char pattern[CODEC_PATTERN_MAX]; /* of the first that has ended */
    size_t len;                      /* 0 = none has */
};

static bool visit_ended(void *context, struct span key, struct span record)
{
    struct ended *ended = context;
    struct queue_suspension suspension;

    if (key.len > sizeof ended->pattern ||
        err_is(codec_read_suspension(record, key, &suspension)) || suspension.until > ended->now)
        return true;
    memcpy(ended->pattern, key.ptr, key.len);
    ended->len = key.len;
    return false;
}

static struct err remove_ended(struct kv_txn *txn, uint64_t now)
{
    struct ended ended = {.now = now};
    struct err e;

    do {
        ended.len = 0;
        e = kv_walk(txn, TABLE_SUSPENSION, SPAN_NONE, visit_ended, &ended);
        if (!err_is(e) && ended.len > 0)
            e = kv_delete(txn, TABLE_SUSPENSION, span_of(ended.pattern, ended.len));
    } while (!err_is(e) && ended.len > 0);
    return e;
}

static struct err apply_suspend(struct kv_op *op, struct kv_txn *txn)
{
    struct queue_suspend *suspend = container_of(op, struct queue_suspend, op);
    const struct queue_suspension *suspension = &suspend->suspension;
    struct err e = message_check_suspension(suspension);
    char *room;

    if (err_is(e))
        return e;
    rows_begin(suspend->own.queue, txn);
    if (suspension->until == 0)
        return kv_delete(txn, TABLE_SUSPENSION, suspension->pattern);
    e = remove_ended(txn, suspension->since);
    if (!err_is(e))
        e = kv_reserve(txn, TABLE_SUSPENSION, suspension->pattern,
                       codec_write_suspension(suspension, NULL), &room);
    if (!err_is(e))
        codec_write_suspension(suspension, room);
    return e;
}

void queue_suspend(struct queue *queue, struct queue_suspend *suspend)
{
    submit(queue, &suspend->op, &suspend->own, KV_SHRINK, apply_suspend);
}
