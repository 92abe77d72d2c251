#include "queue/queue_private.h"

#include "base/log.h"

/* How far ahead of the ids in use meta promises them, so that it is not written with each message.
 * A restart may begin that much ahead of the clock. */
enum { IDS_AHEAD_MS = 10000 };

static uint64_t check_of(const struct queue *queue, struct span key)
{
    return codec_destination_number(~queue->seed, key) | 1;
}

void rows_begin(struct queue *queue, struct kv_txn *txn)
{
    uint64_t abandoned = kv_abandoned(txn);

    if (abandoned == queue->known.abandoned)
        return;
    queue->known = (struct queue_known){.abandoned = abandoned};
}

struct err rows_put_destination(struct kv_txn *txn, uint64_t number,
                                const struct queue_destination *destination)
{
    struct key key = key_of(number);
    size_t len = codec_write_destination(number, destination, NULL);
    char *room;
    struct err e = kv_reserve(txn, TABLE_DESTINATION, key_span(&key), len, &room);

    if (!err_is(e))
        codec_write_destination(number, destination, room);
    return e;
}

/* Looks the row up, and makes it where there is none. One that cannot be read is made anew. */
static struct err find_destination(struct kv_txn *txn, uint64_t number, struct span text)
{
    struct queue_destination found;
    struct key key = key_of(number);
    struct span record;
    struct err e = kv_get(txn, TABLE_DESTINATION, key_span(&key), &record);

    if (!err_is(e))
        e = codec_read_destination(record, number, &found);
    if (!err_is(e) && !span_equal(found.key, text))
        return err_make(ERR_CONFLICT, "destination numbers collide");
    if (e.kind == ERR_NOT_FOUND || e.kind == ERR_CORRUPT)
        e = rows_put_destination(txn, number, &(struct queue_destination){.key = text});
    return e;
}

struct err rows_need_destination(struct queue *queue, struct kv_txn *txn, struct span key,
                                 uint64_t *number_out)
{
    uint64_t number = codec_destination_number(queue->seed, key);
    uint64_t check = check_of(queue, key);
    size_t slot = number % QUEUE_KNOWN;

    *number_out = number;
    if (queue->known.destinations[slot].number == number &&
        queue->known.destinations[slot].check == check)
        return ERR_OK;
    struct err e = find_destination(txn, number, key);
    if (!err_is(e)) {
        queue->known.destinations[slot].number = number;
        queue->known.destinations[slot].check = check;
    }
    return e;
}

void rows_forget_destination(struct queue *queue, uint64_t number)
{
    size_t slot = number % QUEUE_KNOWN;

    if (queue->known.destinations[slot].number == number)
        queue->known.destinations[slot].check = 0;
}

struct err rows_put_meta(struct kv_txn *txn, const struct codec_meta *meta)
{
    size_t len = codec_write_meta(meta, NULL);
    char *room;
    struct err e = kv_reserve(txn, TABLE_META, SPAN("queue"), len, &room);

    if (!err_is(e))
        codec_write_meta(meta, room);
    return e;
}

struct err rows_use_id(struct queue *queue, struct kv_txn *txn, uint64_t id)
{
    struct codec_meta meta;
    struct span record;

    if (id <= queue->known.ids_used)
        return ERR_OK;
    struct err e = kv_get(txn, TABLE_META, SPAN("queue"), &record);
    if (!err_is(e))
        e = codec_read_meta(record, &meta);
    if (err_is(e))
        return e;
    if (id > meta.ids_used) {
        meta.ids_used = queue_id_at(queue_id_time(id) + IDS_AHEAD_MS);
        e = rows_put_meta(txn, &meta);
    }
    if (!err_is(e))
        queue->known.ids_used = meta.ids_used;
    return e;
}

struct err rows_put_group(struct queue *queue, struct kv_txn *txn, uint64_t id,
                          const struct queue_group *group)
{
    struct queue_due due = {.due = group->due, .id = id, .group = group->number};
    struct key key = key_of_part(id, group->number);
    uint64_t destination;
    char *room;
    struct err e = rows_need_destination(queue, txn, group->destination, &destination);

    if (err_is(e))
        return e;
    e = kv_reserve(txn, TABLE_GROUP, key_span(&key), codec_write_group(id, group, NULL), &room);
    if (err_is(e))
        return e;
    codec_write_group(id, group, room);
    key = key_of_due(destination, &due);
    return kv_put(txn, TABLE_DUE, key_span(&key),
                  group->state == QUEUE_GROUP_FUTURE ? KEY_FUTURE : SPAN_NONE);
}

static struct err put_deadline(struct kv_txn *txn, const struct queue_message *message)
{
    struct queue_deadline deadline = {.at = message->deliver_by, .id = message->id};
    struct key key = key_of_deadline(&deadline);

    return deadline.at == 0 ? ERR_OK : kv_put(txn, TABLE_DEADLINE, key_span(&key), SPAN_NONE);
}

struct err rows_put_message(struct queue *queue, struct kv_txn *txn,
                            const struct queue_message *message, uint32_t staged)
{
    struct key key = key_of(message->id);
    char *room;
    struct err e = rows_use_id(queue, txn, message->id);

    if (!err_is(e))
        e = kv_reserve(txn, TABLE_MESSAGE, key_span(&key), codec_write_message(message, NULL),
                       &room);
    if (err_is(e))
        return e;
    codec_write_message(message, room);
    e = put_deadline(txn, message);
    if (!err_is(e))
        e = chunk_put_all(txn, TABLE_BODY, message->id, staged, buf_span(&message->body));
    for (unsigned i = 0; i < message->group_count && !err_is(e); i++)
        e = rows_put_group(queue, txn, message->id, &message->groups[i]);
    return e;
}

struct err rows_first_due(struct kv_txn *txn, uint64_t number, struct queue_due *out)
{
    struct key from = key_of(number);
    struct span key, value;
    struct err e = kv_seek(txn, TABLE_DUE, key_span(&from), &key, &value);

    if (err_is(e))
        return e;
    if (!key_is_of(key, number) || !key_read_due(key, value, out))
        return err_make(ERR_NOT_FOUND, "nothing due");
    return ERR_OK;
}
