#include "queue/sweep.h"

#include "base/clock.h"
#include "base/log.h"
#include "queue/queue_private.h"

#include <stdlib.h>

enum {
    ROWS_A_STEP = 64,     /* looked at */
    CHUNKS_A_STEP = 2000, /* removed: 8 MiB */
};

static struct err remove_chunks(struct kv_txn *txn, uint64_t id, bool *more_out)
{
    struct key prefix = key_of(id);

    return kv_delete_range(txn, TABLE_BODY, key_span(&prefix), key_span(&prefix), CHUNKS_A_STEP,
                           more_out);
}

static struct err find_message(struct kv_txn *txn, uint64_t id)
{
    struct key key = key_of(id);
    struct span record;

    return kv_get(txn, TABLE_MESSAGE, key_span(&key), &record);
}

/* ---- steps ------------------------------------------------------------------------------ */

/* The operation that left this body behind may have been abandoned after all, so the message's row
 * is asked for first. */
static struct err step_garbage(struct kv_txn *txn, struct sweep_step *step)
{
    bool more = false;
    struct err e = find_message(txn, step->garbage);

    if (e.kind == ERR_NOT_FOUND)
        e = remove_chunks(txn, step->garbage, &more);
    step->finished = !more;
    return e;
}

/* Jumps from body to body, not from chunk to chunk. Ends at the first one without a message. */
static struct err step_bodies(const struct sweep *sweep, struct kv_txn *txn,
                              struct sweep_step *step)
{
    struct span key, value;
    bool more = false;

    for (unsigned looked = 0; looked < ROWS_A_STEP; looked++) {
        struct key from = key_of(step->position);
        struct err e = kv_seek(txn, TABLE_BODY, key_span(&from), &key, &value);
        if (err_is(e) || key.len < sizeof(uint64_t) || wire_get64(key.ptr) > sweep->id_end) {
            step->finished = true;
            return e.kind == ERR_NOT_FOUND ? ERR_OK : e;
        }
        uint64_t id = wire_get64(key.ptr);
        step->position = id + 1;
        e = find_message(txn, id);
        if (!err_is(e))
            continue;
        if (e.kind != ERR_NOT_FOUND)
            return e;
        e = remove_chunks(txn, id, &more);
        step->position = more ? id : id + 1;
        step->bodies_found = !more;
        return e;
    }
    return ERR_OK;
}

static bool is_idle(struct kv_txn *txn, uint64_t number, struct span record)
{
    struct queue_destination destination;
    struct queue_due due;

    if (rows_first_due(txn, number, &due).kind != ERR_NOT_FOUND)
        return false;
    return err_is(codec_read_destination(record, number, &destination)) ||
           destination.until <= clock_wall_ms();
}

static struct err step_destinations(struct queue *queue, struct kv_txn *txn,
                                    struct sweep_step *step)
{
    struct span key, record;

    for (unsigned looked = 0; looked < ROWS_A_STEP && !step->finished; looked++) {
        struct key from = key_of(step->position);
        struct err e = kv_seek(txn, TABLE_DESTINATION, key_span(&from), &key, &record);
        if (err_is(e) || key.len != sizeof(uint64_t)) {
            step->finished = true;
            return e.kind == ERR_NOT_FOUND ? ERR_OK : e;
        }
        uint64_t number = wire_get64(key.ptr);
        step->position = number + 1;
        step->finished = number == UINT64_MAX;
        if (!is_idle(txn, number, record))
            continue;
        from = key_of(number);
        e = kv_delete(txn, TABLE_DESTINATION, key_span(&from));
        if (err_is(e))
            return e;
        rows_forget_destination(queue, number);
    }
    return ERR_OK;
}

static struct err apply_step(struct kv_op *op, struct kv_txn *txn)
{
    struct sweep *sweep = container_of(op, struct sweep, op);

    rows_begin(sweep->queue, txn);
    sweep->step = (struct sweep_step){.position = sweep->position};
    if (sweep->garbage_count > 0) {
        sweep->step.garbage = sweep->garbage[0];
        return step_garbage(txn, &sweep->step);
    }
    switch (sweep->phase) {
    case SWEEP_BODIES:
        return step_bodies(sweep, txn, &sweep->step);
    case SWEEP_DESTINATIONS:
        return step_destinations(sweep->queue, txn, &sweep->step);
    case SWEEP_RESTING:
        break;
    }
    return ERR_OK;
}

/* ---- progress --------------------------------------------------------------------------- */

static void forget_garbage(struct sweep *sweep, uint64_t id)
{
    for (size_t i = 0; i < sweep->garbage_count; i++) {
        if (sweep->garbage[i] == id) {
            sweep->garbage[i] = sweep->garbage[--sweep->garbage_count];
            return;
        }
    }
}

static void report_bodies(const struct sweep *sweep)
{
    struct log_line line;

    if (sweep->bodies_found == 0 || !log_begin(&line, LOG_INFO, "queue-recovered"))
        return;
    log_u64(&line, "unfinished_bodies", sweep->bodies_found);
    log_end(&line);
}

static void take_step(struct sweep *sweep)
{
    const struct sweep_step *step = &sweep->step;

    if (step->garbage != 0) {
        if (step->finished)
            forget_garbage(sweep, step->garbage);
        return;
    }
    sweep->position = step->position;
    sweep->bodies_found += step->bodies_found;
    if (!step->finished || sweep->phase == SWEEP_RESTING)
        return;
    if (sweep->phase == SWEEP_BODIES)
        report_bodies(sweep);
    sweep->phase++;
    sweep->position = 0;
}

static void go_on(struct sweep *sweep)
{
    bool wanted = sweep->phase != SWEEP_RESTING || sweep->garbage_count > 0;

    if (sweep->submitted || !wanted || atomic_load(&sweep->closing))
        return;
    sweep->submitted = true;
    kv_submit(sweep->queue->kv, &sweep->op);
}

/* After an error the sweep waits for the next body to be added, or for the next start: what it
 * leaves takes room but harms nothing. */
static void on_step(struct call *call)
{
    struct sweep *sweep = container_of(call, struct sweep, op.call);

    sweep->submitted = false;
    if (err_is(sweep->op.result)) {
        log_failure(LOG_WARN, "queue-sweep-stopped", sweep->op.result, NULL, NULL);
        return;
    }
    take_step(sweep);
    go_on(sweep);
}

void sweep_start(struct sweep *sweep, struct queue *queue, uint64_t id_end)
{
    sweep->queue = queue;
    sweep->id_end = id_end;
    sweep->op.kind = KV_SHRINK;
    sweep->op.apply = apply_step;
    sweep->op.call.done = on_step;
    go_on(sweep);
}

static void add_garbage(struct sweep *sweep, uint64_t id)
{
    if (sweep->garbage_count == sweep->garbage_room) {
        sweep->garbage_room = sweep->garbage_room ? sweep->garbage_room * 2 : 16;
        sweep->garbage = mem_realloc(sweep->garbage, sweep->garbage_room * sizeof *sweep->garbage);
    }
    sweep->garbage[sweep->garbage_count++] = id;
    go_on(sweep);
}

struct err sweep_body(struct sweep *sweep, struct kv_txn *txn, uint64_t id)
{
    bool more;
    struct err e = remove_chunks(txn, id, &more);

    if (!err_is(e) && more)
        add_garbage(sweep, id);
    return e;
}

void sweep_stop(struct sweep *sweep)
{
    atomic_store(&sweep->closing, true);
}

void sweep_fini(struct sweep *sweep)
{
    free(sweep->garbage);
}
