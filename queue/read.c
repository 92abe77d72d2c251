/* The reads: each within a short read transaction, which is never held while a visitor runs. */
#include "queue/queue_private.h"

#include <stdlib.h>

enum {
    SCAN_BATCH = 256, /* messages or destinations that one view collects */
    GROUPS_FIRST = 4,
};

/* ---- messages --------------------------------------------------------------------------- */

struct group_walk {
    struct queue_message *message;
    unsigned room;
    bool damaged;
};

/* The place for one more group. Arrays that became too small stay in the arena. */
static struct queue_group *next_group(struct group_walk *walk)
{
    struct queue_message *message = walk->message;

    if (message->group_count == walk->room) {
        walk->room = walk->room ? walk->room * 2 : GROUPS_FIRST;
        struct queue_group *groups =
            arena_alloc(&message->arena, walk->room * sizeof *message->groups);
        if (message->group_count > 0)
            memcpy(groups, message->groups, message->group_count * sizeof *groups);
        message->groups = groups;
    }
    return &message->groups[message->group_count];
}

static void add_group(struct group_walk *walk, uint32_t number, struct span record)
{
    struct queue_group *group = next_group(walk);
    struct queue_message *message = walk->message;

    if (err_is(codec_read_group(record, message->id, number, &message->arena, group)))
        walk->damaged = true;
    else
        message->group_count++;
}

static bool visit_group(void *context, struct span key, struct span record)
{
    struct group_walk *walk = context;
    uint64_t id;
    uint32_t number;

    if (!key_read_part(key, &id, &number) || id != walk->message->id)
        return false;
    add_group(walk, number, record);
    return true;
}

/* All groups that can be read; ERR_CORRUPT where there are others. */
static struct err load_groups(struct kv_txn *txn, struct queue_message *message)
{
    struct group_walk walk = {.message = message};
    struct key from = key_of(message->id);
    struct err e = kv_walk(txn, TABLE_GROUP, key_span(&from), visit_group, &walk);

    return walk.damaged ? err_make(ERR_CORRUPT, "group record") : e;
}

static struct err load_group(struct kv_txn *txn, struct queue_message *message, uint32_t number)
{
    struct group_walk walk = {.message = message, .room = 1};
    struct key key = key_of_part(message->id, number);
    struct span record;
    struct err e = kv_get(txn, TABLE_GROUP, key_span(&key), &record);

    if (err_is(e))
        return e;
    message->groups = arena_alloc(&message->arena, sizeof *message->groups);
    add_group(&walk, number, record);
    return walk.damaged ? err_make(ERR_CORRUPT, "group record") : ERR_OK;
}

static struct err load(struct kv_txn *txn, uint64_t id, uint32_t group,
                       struct queue_message *message)
{
    struct key key = key_of(id);
    struct span record;
    struct err e = kv_get(txn, TABLE_MESSAGE, key_span(&key), &record);

    if (!err_is(e))
        e = codec_read_message(record, id, message);
    if (err_is(e))
        return e;
    return group == QUEUE_ALL_GROUPS ? load_groups(txn, message) : load_group(txn, message, group);
}

struct err queue_load(struct queue *queue, uint64_t id, uint32_t group, struct queue_message **out)
{
    struct kv_txn *txn;
    struct err e = kv_read_begin(queue->kv, &txn);

    *out = NULL;
    if (err_is(e))
        return e;
    struct queue_message *message = queue_message_create();
    e = load(txn, id, group, message);
    kv_read_end(txn);
    if (err_is(e))
        queue_message_unref(message);
    else
        *out = message;
    return e;
}

struct body_walk {
    uint64_t id;
    uint32_t next;
    uint32_t left;
    struct buf *out;
    struct err result;
};

static bool visit_chunk(void *context, struct span key, struct span record)
{
    struct body_walk *walk = context;
    uint64_t id;
    uint32_t number;
    struct span data;

    if (!key_read_part(key, &id, &number) || id != walk->id)
        return false;
    walk->result = number == walk->next ? codec_read_chunk(record, id, number, &data)
                                        : err_make(ERR_CORRUPT, "body chunk is missing");
    if (err_is(walk->result))
        return false;
    if (!buf_append(walk->out, data)) {
        walk->result = err_make(ERR_INVALID, "body is larger than its buffer");
        return false;
    }
    walk->next++;
    return --walk->left > 0;
}

struct err queue_read_body(struct queue *queue, uint64_t id, uint32_t first, uint32_t count,
                           struct buf *out)
{
    struct body_walk walk = {.id = id, .next = first, .left = count, .out = out};
    struct key from = key_of_part(id, first);
    struct kv_txn *txn;

    if (count == 0)
        return ERR_OK;
    struct err e = kv_read_begin(queue->kv, &txn);
    if (err_is(e))
        return e;
    e = kv_walk(txn, TABLE_BODY, key_span(&from), visit_chunk, &walk);
    kv_read_end(txn);
    return err_is(walk.result) ? walk.result : e;
}

/* ---- scanning --------------------------------------------------------------------------- */

struct scan {
    struct kv_txn *txn;
    uint64_t next; /* id to go on with */
    bool finished;
    unsigned count;
    struct queue_message *messages[SCAN_BATCH];
};

static bool visit_message(void *context, struct span key, struct span record)
{
    struct scan *scan = context;

    if (key.len != sizeof(uint64_t))
        return true;
    uint64_t id = wire_get64(key.ptr);
    struct queue_message *message = queue_message_create();
    struct err envelope = codec_read_message(record, id, message);
    struct err groups = load_groups(scan->txn, message);
    if (err_is(envelope) || err_is(groups))
        message->flags |= QUEUE_DAMAGED;
    scan->messages[scan->count++] = message;
    scan->next = id + 1;
    scan->finished = id == UINT64_MAX;
    return scan->count < SCAN_BATCH && !scan->finished;
}

static struct err scan_batch(struct queue *queue, struct scan *scan)
{
    struct key from = key_of(scan->next);
    struct err e = kv_read_begin(queue->kv, &scan->txn);

    scan->count = 0;
    if (err_is(e))
        return e;
    e = kv_walk(scan->txn, TABLE_MESSAGE, key_span(&from), visit_message, scan);
    kv_read_end(scan->txn);
    if (scan->count < SCAN_BATCH)
        scan->finished = true;
    return e;
}

struct err queue_scan(struct queue *queue, uint64_t from, queue_visit_message *visit, void *context)
{
    struct scan scan = {.next = from};
    struct err e = ERR_OK;
    bool wanted = true;

    while (wanted && !scan.finished && !err_is(e)) {
        e = scan_batch(queue, &scan);
        for (unsigned i = 0; i < scan.count; i++) {
            wanted = wanted && visit(context, scan.messages[i]);
            queue_message_unref(scan.messages[i]);
        }
    }
    return e;
}

/* ---- destinations ----------------------------------------------------------------------- */

struct due_walk {
    uint64_t destination;
    const struct queue_due *after;
    unsigned most;
    unsigned count;
    struct queue_due *items;
};

static bool is_same_due(const struct queue_due *a, const struct queue_due *b)
{
    return a->due == b->due && a->id == b->id && a->group == b->group;
}

static bool visit_due(void *context, struct span key, struct span value)
{
    struct due_walk *walk = context;
    struct queue_due due;

    if (!key_is_of(key, walk->destination) || !key_read_due(key, value, &due))
        return false;
    if (walk->after == NULL || !is_same_due(&due, walk->after))
        walk->items[walk->count++] = due;
    return walk->count < walk->most;
}

struct err queue_due_list(struct queue *queue, struct span destination,
                          const struct queue_due *after, unsigned most, struct queue_due *items_out,
                          unsigned *count_out)
{
    struct due_walk walk = {.after = after, .most = most, .items = items_out};
    struct kv_txn *txn;

    *count_out = 0;
    if (most == 0)
        return ERR_OK;
    struct err e = kv_read_begin(queue->kv, &txn);
    if (err_is(e))
        return e;
    walk.destination = codec_destination_number(queue->seed, destination);
    struct key from = after ? key_of_due(walk.destination, after) : key_of(walk.destination);
    e = kv_walk(txn, TABLE_DUE, key_span(&from), visit_due, &walk);
    kv_read_end(txn);
    *count_out = walk.count;
    return e;
}

struct deadline_walk {
    const struct queue_deadline *after;
    unsigned most;
    unsigned count;
    struct queue_deadline *items;
};

static bool visit_deadline(void *context, struct span key, struct span value)
{
    struct deadline_walk *walk = context;
    struct queue_deadline deadline;

    (void)value;
    if (!key_read_deadline(key, &deadline))
        return false;
    if (walk->after == NULL || deadline.at != walk->after->at || deadline.id != walk->after->id)
        walk->items[walk->count++] = deadline;
    return walk->count < walk->most;
}

struct err queue_deadline_list(struct queue *queue, const struct queue_deadline *after,
                               unsigned most, struct queue_deadline *items_out, unsigned *count_out)
{
    struct deadline_walk walk = {.after = after, .most = most, .items = items_out};
    struct key from = after ? key_of_deadline(after) : (struct key){.len = 0};
    struct kv_txn *txn;

    *count_out = 0;
    if (most == 0)
        return ERR_OK;
    struct err e = kv_read_begin(queue->kv, &txn);
    if (err_is(e))
        return e;
    e = kv_walk(txn, TABLE_DEADLINE, key_span(&from), visit_deadline, &walk);
    kv_read_end(txn);
    *count_out = walk.count;
    return e;
}

struct destination_walk {
    struct kv_txn *txn;
    struct arena arena; /* what the batch points to */
    uint64_t next;
    bool finished;
    unsigned count;
    struct queue_destination items[SCAN_BATCH];
};

/* A destination whose own record is damaged still has its key in the records of its groups: its
 * mail must not wait for ever. */
static bool recover_key(struct destination_walk *walk, const struct queue_due *due,
                        struct queue_destination *out)
{
    struct key key = key_of_part(due->id, due->group);
    struct queue_group group;
    struct span record;

    *out = (struct queue_destination){.key = SPAN_NONE};
    if (err_is(kv_get(walk->txn, TABLE_GROUP, key_span(&key), &record)) ||
        err_is(codec_read_group(record, due->id, due->group, &walk->arena, &group)))
        return false;
    out->key = group.destination;
    return true;
}

static void add_destination(struct destination_walk *walk, uint64_t number, struct span record)
{
    struct queue_destination *item = &walk->items[walk->count];
    struct queue_due due = {0};
    bool has_due = !err_is(rows_first_due(walk->txn, number, &due));
    struct err e = codec_read_destination(record, number, item);

    if (err_is(e) && !(has_due && recover_key(walk, &due, item)))
        return;
    item->has_due = has_due;
    item->first_due = due.due;
    item->first_is_future = due.is_future;
    if (!has_due && item->until == 0)
        return;
    item->key = arena_dup(&walk->arena, item->key);
    item->status = status_dup(&walk->arena, &item->status);
    walk->count++;
}

static bool visit_destination(void *context, struct span key, struct span record)
{
    struct destination_walk *walk = context;

    if (key.len != sizeof(uint64_t))
        return true;
    uint64_t number = wire_get64(key.ptr);
    add_destination(walk, number, record);
    walk->next = number + 1;
    walk->finished = number == UINT64_MAX;
    return walk->count < SCAN_BATCH && !walk->finished;
}

static struct err collect_destinations(struct queue *queue, struct destination_walk *walk)
{
    struct key from = key_of(walk->next);
    struct err e = kv_read_begin(queue->kv, &walk->txn);

    walk->count = 0;
    if (err_is(e))
        return e;
    e = kv_walk(walk->txn, TABLE_DESTINATION, key_span(&from), visit_destination, walk);
    kv_read_end(walk->txn);
    if (walk->count < SCAN_BATCH)
        walk->finished = true;
    return e;
}

struct err queue_destinations(struct queue *queue, queue_visit_destination *visit, void *context)
{
    struct destination_walk walk = {.next = 0};
    struct err e = ERR_OK;
    bool wanted = true;

    while (wanted && !walk.finished && !err_is(e)) {
        arena_init(&walk.arena);
        e = collect_destinations(queue, &walk);
        for (unsigned i = 0; i < walk.count && wanted; i++)
            wanted = visit(context, &walk.items[i]);
        arena_fini(&walk.arena);
    }
    return e;
}

/* ---- suspensions ------------------------------------------------------------------------ */

struct suspension_walk {
    struct arena arena; /* of what the items point to */
    struct queue_suspension *items;
    unsigned count;
};

/* One that cannot be read holds nothing up. */
static bool visit_suspension(void *context, struct span key, struct span record)
{
    struct suspension_walk *walk = context;
    struct queue_suspension found;

    if (err_is(codec_read_suspension(record, key, &found)))
        return true;
    walk->items = mem_realloc(walk->items, (walk->count + 1) * sizeof *walk->items);
    found.pattern = arena_dup(&walk->arena, found.pattern);
    found.reason = arena_dup(&walk->arena, found.reason);
    walk->items[walk->count++] = found;
    return true;
}

struct err queue_suspensions(struct queue *queue, queue_visit_suspension *visit, void *context)
{
    struct suspension_walk walk = {.count = 0};
    struct kv_txn *txn;
    struct err e = kv_read_begin(queue->kv, &txn);

    if (err_is(e))
        return e;
    arena_init(&walk.arena);
    e = kv_walk(txn, TABLE_SUSPENSION, SPAN_NONE, visit_suspension, &walk);
    kv_read_end(txn);
    for (unsigned i = 0; i < walk.count && !err_is(e); i++)
        if (!visit(context, &walk.items[i]))
            break;
    free(walk.items);
    arena_fini(&walk.arena);
    return e;
}

struct err queue_count(struct queue *queue, struct queue_counts *out)
{
    struct kv_txn *txn;
    struct err e = kv_read_begin(queue->kv, &txn);

    *out = (struct queue_counts){0};
    if (err_is(e))
        return e;
    out->messages = kv_count(txn, TABLE_MESSAGE);
    out->groups = kv_count(txn, TABLE_GROUP);
    kv_read_end(txn);
    kv_stats(queue->kv, &out->store);
    return ERR_OK;
}
