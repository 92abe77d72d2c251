/* What the files of the store share: the handle, the tables, and the rows of one transaction. */
#ifndef SMARTHOP_QUEUE_PRIVATE_H
#define SMARTHOP_QUEUE_PRIVATE_H

#include "queue/codec.h"
#include "queue/delivered.h"
#include "queue/ids.h"
#include "queue/keys.h"
#include "queue/message.h"
#include "queue/queue.h"
#include "queue/sweep.h"

enum queue_table {
    TABLE_META,
    TABLE_MESSAGE,
    TABLE_GROUP,
    TABLE_BODY,
    TABLE_DUE,
    TABLE_DESTINATION,
    TABLE_DEADLINE,
    TABLE_SUSPENSION,
    TABLE_COUNT
};

enum { QUEUE_KNOWN = 4096 };

/* The writer thread's memory of rows that are there, so that they need not be looked up again. It
 * holds only while no transaction has been abandoned since. */
struct queue_known {
    uint64_t abandoned; /* kv_abandoned when the memory was begun */
    uint64_t ids_used;  /* as stored in meta; 0 = not looked up */
    struct {
        uint64_t number;
        uint64_t check; /* a second hash of the key; 0 = empty */
    } destinations[QUEUE_KNOWN];
};

struct queue {
    struct kv *kv;
    uint64_t seed; /* of destination numbers */
    struct ids ids;
    struct queue_known known; /* the writer's */
    struct sweep sweep;       /* the writer's */
    struct delivered delivered;
};

/* ---- change.c: within a write transaction, on the writer thread ---------------------------- */

/* The settlement itself. One that fails with ERR_NOT_FOUND or ERR_CONFLICT has changed nothing. */
struct err change_settle(struct queue_settle *settle, struct kv_txn *txn);

/* ---- recall.c: while the store is opened --------------------------------------------------- */

/* Settles what is noted as delivered. */
void recall_delivered(struct queue *queue);

/* ---- rows.c: within a write transaction, on the writer thread ------------------------------ */

/* First of every operation that uses what follows. */
void rows_begin(struct queue *queue, struct kv_txn *txn);
/* The destination's number; its row is made where there is none. ERR_CONFLICT: the number belongs
 * to another key. */
struct err rows_need_destination(struct queue *queue, struct kv_txn *txn, struct span key,
                                 uint64_t *number_out);
/* The row has been deleted. */
void rows_forget_destination(struct queue *queue, uint64_t number);
/* Makes sure that no later process gives this id again. */
struct err rows_use_id(struct queue *queue, struct kv_txn *txn, uint64_t id);
struct err rows_put_destination(struct kv_txn *txn, uint64_t number,
                                const struct queue_destination *destination);
struct err rows_put_meta(struct kv_txn *txn, const struct codec_meta *meta);
/* The group's record and its due row. */
struct err rows_put_group(struct queue *queue, struct kv_txn *txn, uint64_t id,
                          const struct queue_group *group);
/* The message's row, its groups, and its body behind the `staged` chunks. */
struct err rows_put_message(struct queue *queue, struct kv_txn *txn,
                            const struct queue_message *message, uint32_t staged);
/* ERR_NOT_FOUND where nothing waits for the destination. */
struct err rows_first_due(struct kv_txn *txn, uint64_t number, struct queue_due *out);

#endif
