/* Opening, closing and the state of the store over base/kv. */
#include "base/log.h"
#include "queue/queue_private.h"

#include <stdlib.h>
#include <sys/random.h>

enum { FORMAT = 4 };

static const char *const table_names[TABLE_COUNT] = {
    [TABLE_META] = "meta",         [TABLE_MESSAGE] = "message",
    [TABLE_GROUP] = "group",       [TABLE_BODY] = "body",
    [TABLE_DUE] = "due",           [TABLE_DESTINATION] = "destination",
    [TABLE_DEADLINE] = "deadline", [TABLE_SUSPENSION] = "suspension",
};

struct first_op {
    struct kv_op op;
    struct codec_meta meta;
};

static struct err check_meta(struct kv_txn *txn, struct codec_meta *out)
{
    struct span record;
    struct err e = kv_get(txn, TABLE_META, SPAN("queue"), &record);

    if (!err_is(e))
        e = codec_read_meta(record, out);
    if (!err_is(e) && out->format != FORMAT)
        e = err_make(ERR_CORRUPT, "store is of another format");
    return e;
}

static struct err make_meta(struct kv_txn *txn, struct codec_meta *out)
{
    struct span key, value;

    if (kv_last(txn, TABLE_MESSAGE, &key, &value).kind != ERR_NOT_FOUND)
        return err_make(ERR_CORRUPT, "store has messages but no format");
    *out = (struct codec_meta){.format = FORMAT};
    if (getrandom(&out->seed, sizeof out->seed, 0) != sizeof out->seed)
        return err_make(ERR_SYSTEM, "getrandom");
    return rows_put_meta(txn, out);
}

static struct err apply_first(struct kv_op *op, struct kv_txn *txn)
{
    struct first_op *first = container_of(op, struct first_op, op);
    struct err e = check_meta(txn, &first->meta);

    return e.kind == ERR_NOT_FOUND ? make_meta(txn, &first->meta) : e;
}

/* Checks the format, or makes a new store. A store that exists is not written to: it can be opened
 * on a full disk. */
static struct err write_meta(struct queue *queue, struct codec_meta *out)
{
    struct first_op first = {.op = {.kind = KV_SHRINK, .apply = apply_first}};
    struct err e = kv_run(queue->kv, &first.op);

    *out = first.meta;
    return e;
}

static struct err read_meta(struct queue *queue, struct codec_meta *out)
{
    struct kv_txn *txn;
    struct err e = kv_read_begin(queue->kv, &txn);

    if (err_is(e))
        return e;
    e = check_meta(txn, out);
    kv_read_end(txn);
    return e;
}

/* Without notes of deliveries a kill may have some sent twice: no reason to refuse mail. */
static void begin_changes(struct queue *queue, const char *path, uint64_t start)
{
    struct err e = delivered_open(&queue->delivered, path);

    if (err_is(e))
        log_failure(LOG_WARN, "deliveries-unnoted", e, "path", path);
    sweep_start(&queue->sweep, queue, start);
    recall_delivered(queue);
}

struct err queue_open(const struct queue_options *options, struct queue **out)
{
    struct queue *queue = mem_zalloc(sizeof *queue);
    struct kv_options store = {
        .path = options->path,
        .map_size = options->map_size,
        .low_water = options->low_water,
        .low_inodes = options->low_inodes,
        .reserve = options->reserve,
        .gather_ms = options->gather_ms,
        .tables = table_names,
        .table_count = TABLE_COUNT,
        .read_only = options->read_only,
    };
    struct codec_meta meta;

    *out = NULL;
    struct err e = kv_open(&store, &queue->kv);
    if (!err_is(e))
        e = options->read_only ? read_meta(queue, &meta) : write_meta(queue, &meta);
    if (err_is(e)) {
        kv_close(queue->kv);
        free(queue);
        return e;
    }
    queue->seed = meta.seed;
    uint64_t start = ids_start(&queue->ids, meta.ids_used);
    if (!options->read_only)
        begin_changes(queue, options->path, start);
    *out = queue;
    return ERR_OK;
}

void queue_close(struct queue *queue)
{
    if (queue == NULL)
        return;
    sweep_stop(&queue->sweep);
    kv_close(queue->kv);
    sweep_fini(&queue->sweep);
    delivered_close(&queue->delivered);
    free(queue);
}

uint64_t queue_new_id(struct queue *queue)
{
    return ids_next(&queue->ids);
}

bool queue_refuses(struct queue *queue)
{
    struct kv_stats stats;

    kv_stats(queue->kv, &stats);
    return stats.low || stats.broken;
}

bool queue_is_broken(struct queue *queue)
{
    struct kv_stats stats;

    kv_stats(queue->kv, &stats);
    return stats.broken;
}
