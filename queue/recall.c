/* At opening: settles the groups that the last process has noted as delivered and did not get to
 * settle before it was killed. */
#include "base/log.h"
#include "queue/queue_private.h"

#include <stdlib.h>

struct recalled {
    struct queue_message *message; /* its destination's text lives here */
    struct queue_settle settle;
};

struct recall {
    struct kv_op op;
    struct recalled *groups;
    unsigned count;
    unsigned settled;
};

/* Most are gone; one that has been tried since is due at another time. */
static bool is_unsettled(struct queue *queue, const struct delivered_note *note,
                         struct recalled *out)
{
    struct queue_message *message;

    if (err_is(queue_load(queue, note->id, note->group, &message)))
        return false;
    if (message->groups[0].due != note->due) {
        queue_message_unref(message);
        return false;
    }
    out->message = message;
    out->settle = (struct queue_settle){
        .own = {.queue = queue},
        .id = note->id,
        .group = note->group,
        .old_destination = message->groups[0].destination,
        .old_due = note->due,
        .deliver_by = message->deliver_by,
    };
    return true;
}

/* All in one transaction; one that was noted twice is not there the second time. */
static struct err apply_recall(struct kv_op *op, struct kv_txn *txn)
{
    struct recall *recall = container_of(op, struct recall, op);

    recall->settled = 0;
    for (unsigned i = 0; i < recall->count; i++) {
        struct err e = change_settle(&recall->groups[i].settle, txn);
        if (err_is(e) && e.kind != ERR_NOT_FOUND)
            return e;
        recall->settled += !err_is(e);
    }
    return ERR_OK;
}

static void tell(const struct recall *recall)
{
    struct log_line line;

    if (err_is(recall->op.result)) {
        log_failure(LOG_WARN, "deliveries-recalled", recall->op.result, NULL, NULL);
    } else if (recall->settled > 0 && log_begin(&line, LOG_INFO, "deliveries-recalled")) {
        log_u64(&line, "groups", recall->settled);
        log_end(&line);
    }
}

void recall_delivered(struct queue *queue)
{
    struct recall recall = {.op = {.kind = KV_SHRINK, .apply = apply_recall}};
    struct delivered_note note;

    recall.groups = mem_alloc(DELIVERED_NOTES * sizeof *recall.groups);
    for (unsigned place = 0; place < DELIVERED_NOTES; place++)
        if (delivered_read(&queue->delivered, place, &note) &&
            is_unsettled(queue, &note, &recall.groups[recall.count]))
            recall.count++;
    if (recall.count > 0)
        kv_run(queue->kv, &recall.op);
    tell(&recall);
    for (unsigned i = 0; i < recall.count; i++)
        queue_message_unref(recall.groups[i].message);
    free(recall.groups);
}
