/* The twin of the store in memory. Records go through the same codec, so that the twin keeps
 * copies, has the same bounds, and loses what the store would lose. */
#include "queue/queue_memory.h"

#include "queue/codec.h"
#include "queue/ids.h"
#include "queue/memory_suspensions.h"
#include "queue/message.h"

#include <pthread.h>
#include <stdlib.h>

struct row_group {
    uint32_t number;
    uint64_t due;
    bool is_future;
    struct buf destination;
    struct buf record;
};

struct row_message {
    uint64_t id;
    uint64_t deliver_by; /* 0 = not asked for */
    struct buf record;   /* empty while only a body is staged */
    struct buf body;
    unsigned group_count;
    struct row_group *groups;
};

struct row_destination {
    struct buf key;
    struct buf record;
};

struct queue {
    pthread_mutex_t lock; /* of all that follows, but for ids */
    struct memory_suspensions suspensions;
    struct row_message **messages;
    size_t message_count;
    struct row_destination *destinations;
    size_t destination_count;
    struct err fail_next;
    bool low;
    struct ids ids;
};

/* ---- rows ------------------------------------------------------------------------------- */

/* Index of the first message with an id >= `id`. */
static size_t find_place(const struct queue *queue, uint64_t id)
{
    size_t low = 0, high = queue->message_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (queue->messages[middle]->id < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static struct row_message *find_message(const struct queue *queue, uint64_t id)
{
    size_t place = find_place(queue, id);

    if (place < queue->message_count && queue->messages[place]->id == id)
        return queue->messages[place];
    return NULL;
}

static struct row_message *need_message(struct queue *queue, uint64_t id)
{
    size_t place = find_place(queue, id);

    if (place < queue->message_count && queue->messages[place]->id == id)
        return queue->messages[place];
    queue->messages =
        mem_realloc(queue->messages, (queue->message_count + 1) * sizeof *queue->messages);
    memmove(queue->messages + place + 1, queue->messages + place,
            (queue->message_count - place) * sizeof *queue->messages);
    queue->message_count++;
    queue->messages[place] = mem_zalloc(sizeof **queue->messages);
    queue->messages[place]->id = id;
    return queue->messages[place];
}

static struct row_group *find_group(const struct row_message *row, uint32_t number)
{
    for (unsigned i = 0; row != NULL && i < row->group_count; i++)
        if (row->groups[i].number == number)
            return &row->groups[i];
    return NULL;
}

static void free_group(struct row_message *row, struct row_group *group)
{
    size_t behind = (size_t)(row->groups + row->group_count - (group + 1));

    buf_fini(&group->destination);
    buf_fini(&group->record);
    memmove(group, group + 1, behind * sizeof *group);
    row->group_count--;
}

static void free_message(struct row_message *row)
{
    while (row->group_count > 0)
        free_group(row, &row->groups[row->group_count - 1]);
    free(row->groups);
    buf_fini(&row->record);
    buf_fini(&row->body);
    free(row);
}

static void delete_message(struct queue *queue, uint64_t id)
{
    size_t place = find_place(queue, id);

    if (place == queue->message_count || queue->messages[place]->id != id)
        return;
    free_message(queue->messages[place]);
    queue->message_count--;
    memmove(queue->messages + place, queue->messages + place + 1,
            (queue->message_count - place) * sizeof *queue->messages);
}

static struct row_destination *find_destination(const struct queue *queue, struct span key)
{
    for (size_t i = 0; i < queue->destination_count; i++)
        if (span_equal(buf_span(&queue->destinations[i].key), key))
            return &queue->destinations[i];
    return NULL;
}

static void put_destination(struct queue *queue, const struct queue_destination *destination)
{
    struct row_destination *row = find_destination(queue, destination->key);

    if (row == NULL) {
        queue->destinations = mem_realloc(queue->destinations, (queue->destination_count + 1) *
                                                                   sizeof *queue->destinations);
        row = &queue->destinations[queue->destination_count++];
        *row = (struct row_destination){0};
        buf_add(&row->key, destination->key);
    }
    size_t len = codec_write_destination(0, destination, NULL);
    buf_clear(&row->record);
    codec_write_destination(0, destination, buf_reserve(&row->record, len));
    buf_commit(&row->record, len);
}

static void put_group(struct queue *queue, struct row_message *row, const struct queue_group *group)
{
    size_t len = codec_write_group(row->id, group, NULL);

    row->groups = mem_realloc(row->groups, (row->group_count + 1) * sizeof *row->groups);
    struct row_group *place = &row->groups[row->group_count];
    while (place > row->groups && place[-1].number > group->number) {
        *place = place[-1];
        place--;
    }
    row->group_count++;
    *place = (struct row_group){.number = group->number,
                                .due = group->due,
                                .is_future = group->state == QUEUE_GROUP_FUTURE};
    buf_add(&place->destination, group->destination);
    codec_write_group(row->id, group, buf_reserve(&place->record, len));
    buf_commit(&place->record, len);
    if (find_destination(queue, group->destination) == NULL)
        put_destination(queue, &(struct queue_destination){.key = group->destination});
}

static void put_body(struct row_message *row, uint32_t first_chunk, struct span data)
{
    size_t start = (size_t)first_chunk * QUEUE_CHUNK;

    if (start + data.len > buf_len(&row->body)) {
        size_t more = start + data.len - buf_len(&row->body);
        memset(buf_reserve(&row->body, more), 0, more);
        buf_commit(&row->body, more);
    }
    if (data.len > 0)
        memcpy(row->body.data + row->body.start + start, data.ptr, data.len);
}

static void put_message(struct queue *queue, const struct queue_message *message, uint32_t staged)
{
    struct row_message *row = need_message(queue, message->id);
    size_t len = codec_write_message(message, NULL);

    codec_write_message(message, buf_reserve(&row->record, len));
    buf_commit(&row->record, len);
    row->deliver_by = message->deliver_by;
    put_body(row, staged, buf_span(&message->body));
    for (unsigned i = 0; i < message->group_count; i++)
        put_group(queue, row, &message->groups[i]);
}

/* ---- changes ---------------------------------------------------------------------------- */

static void submit(struct queue *queue, struct kv_op *op, enum kv_kind kind,
                   struct err (*apply)(struct queue *queue, struct kv_op *op))
{
    pthread_mutex_lock(&queue->lock);
    op->kind = kind;
    op->result = queue->fail_next;
    queue->fail_next = ERR_OK;
    if (!err_is(op->result) && queue->low && kind == KV_GROW)
        op->result = err_make(ERR_NO_SPACE, "below low water");
    if (!err_is(op->result))
        op->result = apply(queue, op);
    pthread_mutex_unlock(&queue->lock);
    loop_post(op->home, &op->call);
}

static struct err apply_stage(struct queue *queue, struct kv_op *op)
{
    struct queue_stage *stage = container_of(op, struct queue_stage, op);

    put_body(need_message(queue, stage->id), stage->first_chunk, stage->data);
    return ERR_OK;
}

void queue_stage(struct queue *queue, struct queue_stage *stage)
{
    submit(queue, &stage->op, KV_GROW, apply_stage);
}

static struct err apply_discard(struct queue *queue, struct kv_op *op)
{
    delete_message(queue, container_of(op, struct queue_discard, op)->id);
    return ERR_OK;
}

void queue_discard(struct queue *queue, struct queue_discard *discard)
{
    submit(queue, &discard->op, KV_SHRINK, apply_discard);
}

static struct err apply_insert(struct queue *queue, struct kv_op *op)
{
    struct queue_insert *insert = container_of(op, struct queue_insert, op);
    struct err e = message_check(insert->message);

    if (!err_is(e) && insert->is_back && find_message(queue, insert->message->id) != NULL)
        e = err_make(ERR_CONFLICT, "it is in the queue");
    if (!err_is(e))
        put_message(queue, insert->message, insert->staged_chunks);
    return e;
}

void queue_insert(struct queue *queue, struct queue_insert *insert)
{
    message_count_chunks(insert->message, insert->staged_chunks);
    submit(queue, &insert->op, KV_GROW, apply_insert);
}

static uint32_t free_number(const struct row_message *row, uint32_t settled)
{
    uint32_t highest = settled;

    if (row->group_count > 0 && row->groups[row->group_count - 1].number > highest)
        highest = row->groups[row->group_count - 1].number;
    return highest + 1;
}

static struct err apply_settle(struct queue *queue, struct kv_op *op)
{
    struct queue_settle *settle = container_of(op, struct queue_settle, op);
    struct row_message *row = find_message(queue, settle->id);
    struct row_group *group = find_group(row, settle->group);
    struct err e = message_check_settle(settle);

    settle->message_gone = false;
    if (err_is(e))
        return e;
    if (group == NULL)
        return err_make(ERR_NOT_FOUND, "group");
    if (group->due != settle->old_due ||
        !span_equal(buf_span(&group->destination), settle->old_destination))
        return err_make(ERR_CONFLICT, "group is due elsewhere");
    free_group(row, group);
    if (settle->remaining != NULL)
        put_group(queue, row, settle->remaining);
    uint32_t number = free_number(row, settle->group);
    for (unsigned i = 0; i < settle->split_count; i++) {
        settle->splits[i].number = number + i;
        put_group(queue, row, &settle->splits[i]);
    }
    settle->message_gone = row->group_count == 0;
    if (settle->message_gone)
        delete_message(queue, settle->id);
    if (settle->dsn != NULL)
        put_message(queue, settle->dsn, 0);
    if (settle->dsn_copy != NULL)
        put_message(queue, settle->dsn_copy, 0);
    return ERR_OK;
}

void queue_settle(struct queue *queue, struct queue_settle *settle)
{
    if (settle->dsn != NULL)
        message_count_chunks(settle->dsn, 0);
    if (settle->dsn_copy != NULL)
        message_count_chunks(settle->dsn_copy, 0);
    submit(queue, &settle->op, KV_SHRINK, apply_settle);
}

static struct err apply_destination(struct queue *queue, struct kv_op *op)
{
    struct queue_destination_update *update = container_of(op, struct queue_destination_update, op);
    struct queue_destination row = {.key = update->destination};
    struct err e = message_check_destination(update);

    if (err_is(e))
        return e;
    if (update->until != 0) {
        row.until = update->until;
        row.failures = update->failures;
        row.status = update->status;
    }
    put_destination(queue, &row);
    return ERR_OK;
}

void queue_destination_update(struct queue *queue, struct queue_destination_update *update)
{
    submit(queue, &update->op, KV_SHRINK, apply_destination);
}

/* ---- suspensions ------------------------------------------------------------------------ */

static struct err apply_suspend(struct queue *queue, struct kv_op *op)
{
    const struct queue_suspend *suspend = container_of(op, struct queue_suspend, op);
    const struct queue_suspension *suspension = &suspend->suspension;
    struct err e = message_check_suspension(suspension);

    if (err_is(e))
        return e;
    if (suspension->until == 0)
        return memory_suspensions_remove(&queue->suspensions, suspension->pattern);
    memory_suspensions_put(&queue->suspensions, suspension);
    return ERR_OK;
}

void queue_suspend(struct queue *queue, struct queue_suspend *suspend)
{
    submit(queue, &suspend->op, KV_SHRINK, apply_suspend);
}

struct err queue_suspensions(struct queue *queue, queue_visit_suspension *visit, void *context)
{
    pthread_mutex_lock(&queue->lock);
    memory_suspensions_visit(&queue->suspensions, visit, context);
    pthread_mutex_unlock(&queue->lock);
    return ERR_OK;
}

/* ---- reads ------------------------------------------------------------------------------ */

static struct queue_message *copy_message(const struct row_message *row, uint32_t group)
{
    struct queue_message *message = queue_message_create();
    struct err e = codec_read_message(buf_span(&row->record), row->id, message);

    message->groups =
        arena_alloc(&message->arena, (row->group_count + 1) * sizeof *message->groups);
    for (unsigned i = 0; i < row->group_count && !err_is(e); i++) {
        const struct row_group *from = &row->groups[i];
        if (group == QUEUE_ALL_GROUPS || group == from->number)
            e = codec_read_group(buf_span(&from->record), row->id, from->number, &message->arena,
                                 &message->groups[message->group_count++]);
    }
    if (err_is(e))
        abort(); /* what the codec wrote it reads */
    return message;
}

struct err queue_load(struct queue *queue, uint64_t id, uint32_t group, struct queue_message **out)
{
    struct err e = ERR_OK;

    *out = NULL;
    pthread_mutex_lock(&queue->lock);
    struct row_message *row = find_message(queue, id);
    if (row == NULL || buf_len(&row->record) == 0)
        e = err_make(ERR_NOT_FOUND, "message");
    else if (group != QUEUE_ALL_GROUPS && find_group(row, group) == NULL)
        e = err_make(ERR_NOT_FOUND, "group");
    else
        *out = copy_message(row, group);
    pthread_mutex_unlock(&queue->lock);
    return e;
}

struct err queue_read_body(struct queue *queue, uint64_t id, uint32_t first, uint32_t count,
                           struct buf *out)
{
    bool fits = true;

    pthread_mutex_lock(&queue->lock);
    struct row_message *row = find_message(queue, id);
    if (row != NULL) {
        struct span rest = span_from(buf_span(&row->body), (size_t)first * QUEUE_CHUNK);
        fits = buf_append(out, span_head(rest, (size_t)count * QUEUE_CHUNK));
    }
    pthread_mutex_unlock(&queue->lock);
    return fits ? ERR_OK : err_make(ERR_INVALID, "body is larger than its buffer");
}

static int compare_u64(uint64_t a, uint64_t b)
{
    return (a > b) - (a < b);
}

static int compare_due(const void *left, const void *right)
{
    const struct queue_due *a = left, *b = right;
    int order = compare_u64(a->due, b->due);

    if (order == 0)
        order = compare_u64(a->id, b->id);
    return order != 0 ? order : compare_u64(a->group, b->group);
}

/* All of them, sorted; the caller frees. */
static struct queue_due *collect_due(const struct queue *queue, struct span destination,
                                     size_t *count_out)
{
    struct queue_due *items = NULL;
    size_t count = 0;

    for (size_t m = 0; m < queue->message_count; m++) {
        const struct row_message *row = queue->messages[m];
        for (unsigned g = 0; g < row->group_count; g++) {
            if (!span_equal(buf_span(&row->groups[g].destination), destination))
                continue;
            items = mem_realloc(items, (count + 1) * sizeof *items);
            items[count++] = (struct queue_due){.due = row->groups[g].due,
                                                .id = row->id,
                                                .group = row->groups[g].number,
                                                .is_future = row->groups[g].is_future};
        }
    }
    if (count > 0)
        qsort(items, count, sizeof *items, compare_due);
    *count_out = count;
    return items;
}

struct err queue_due_list(struct queue *queue, struct span destination,
                          const struct queue_due *after, unsigned most, struct queue_due *items_out,
                          unsigned *count_out)
{
    size_t count;

    *count_out = 0;
    pthread_mutex_lock(&queue->lock);
    struct queue_due *items = collect_due(queue, destination, &count);
    pthread_mutex_unlock(&queue->lock);
    for (size_t i = 0; i < count && *count_out < most; i++)
        if (after == NULL || compare_due(&items[i], after) > 0)
            items_out[(*count_out)++] = items[i];
    free(items);
    return ERR_OK;
}

static int compare_deadline(const void *left, const void *right)
{
    const struct queue_deadline *a = left, *b = right;
    int order = compare_u64(a->at, b->at);

    return order != 0 ? order : compare_u64(a->id, b->id);
}

struct err queue_deadline_list(struct queue *queue, const struct queue_deadline *after,
                               unsigned most, struct queue_deadline *items_out, unsigned *count_out)
{
    struct queue_deadline *all = NULL;
    size_t count = 0;

    *count_out = 0;
    pthread_mutex_lock(&queue->lock);
    for (size_t i = 0; i < queue->message_count; i++) {
        const struct row_message *row = queue->messages[i];
        if (row->deliver_by == 0)
            continue;
        all = mem_realloc(all, (count + 1) * sizeof *all);
        all[count++] = (struct queue_deadline){.at = row->deliver_by, .id = row->id};
    }
    pthread_mutex_unlock(&queue->lock);
    if (count > 0)
        qsort(all, count, sizeof *all, compare_deadline);
    for (size_t i = 0; i < count && *count_out < most; i++)
        if (after == NULL || compare_deadline(&all[i], after) > 0)
            items_out[(*count_out)++] = all[i];
    free(all);
    return ERR_OK;
}

static bool copy_destination(const struct queue *queue, size_t place, struct arena *arena,
                             struct queue_destination *out)
{
    struct span record = arena_dup(arena, buf_span(&queue->destinations[place].record));
    size_t count;

    if (err_is(codec_read_destination(record, 0, out)))
        abort(); /* what the codec wrote it reads */
    struct queue_due *items = collect_due(queue, out->key, &count);
    out->has_due = count > 0;
    out->first_due = count > 0 ? items[0].due : 0;
    out->first_is_future = count > 0 && items[0].is_future;
    free(items);
    return out->has_due || out->until > 0;
}

struct err queue_destinations(struct queue *queue, queue_visit_destination *visit, void *context)
{
    bool wanted = true;

    for (size_t place = 0; wanted; place++) {
        struct arena arena;
        struct queue_destination destination;
        bool found = false;

        arena_init(&arena);
        pthread_mutex_lock(&queue->lock);
        bool more = place < queue->destination_count;
        if (more)
            found = copy_destination(queue, place, &arena, &destination);
        pthread_mutex_unlock(&queue->lock);
        wanted = more && (!found || visit(context, &destination));
        arena_fini(&arena);
    }
    return ERR_OK;
}

/* The first message with an id >= `from`, or NULL. */
static struct queue_message *copy_next(struct queue *queue, uint64_t from)
{
    struct queue_message *message = NULL;

    pthread_mutex_lock(&queue->lock);
    for (size_t i = find_place(queue, from); i < queue->message_count && message == NULL; i++)
        if (buf_len(&queue->messages[i]->record) > 0)
            message = copy_message(queue->messages[i], QUEUE_ALL_GROUPS);
    pthread_mutex_unlock(&queue->lock);
    return message;
}

struct err queue_scan(struct queue *queue, uint64_t from, queue_visit_message *visit, void *context)
{
    struct queue_message *message;
    bool wanted = true;

    while (wanted && (message = copy_next(queue, from)) != NULL) {
        from = message->id + 1;
        wanted = visit(context, message);
        queue_message_unref(message);
    }
    return ERR_OK;
}

struct err queue_count(struct queue *queue, struct queue_counts *out)
{
    *out = (struct queue_counts){0};
    pthread_mutex_lock(&queue->lock);
    for (size_t i = 0; i < queue->message_count; i++) {
        out->messages += buf_len(&queue->messages[i]->record) > 0;
        out->groups += queue->messages[i]->group_count;
    }
    pthread_mutex_unlock(&queue->lock);
    return ERR_OK;
}

/* ---- life ------------------------------------------------------------------------------- */

struct err queue_open(const struct queue_options *options, struct queue **out)
{
    struct queue *queue = mem_zalloc(sizeof *queue);

    (void)options;
    pthread_mutex_init(&queue->lock, NULL);
    ids_start(&queue->ids, 0);
    *out = queue;
    return ERR_OK;
}

void queue_close(struct queue *queue)
{
    if (queue == NULL)
        return;
    for (size_t i = 0; i < queue->message_count; i++)
        free_message(queue->messages[i]);
    for (size_t i = 0; i < queue->destination_count; i++) {
        buf_fini(&queue->destinations[i].key);
        buf_fini(&queue->destinations[i].record);
    }
    memory_suspensions_fini(&queue->suspensions);
    free(queue->messages);
    free(queue->destinations);
    pthread_mutex_destroy(&queue->lock);
    free(queue);
}

uint64_t queue_new_id(struct queue *queue)
{
    return ids_next(&queue->ids);
}

bool queue_refuses(struct queue *queue)
{
    pthread_mutex_lock(&queue->lock);
    bool low = queue->low;
    pthread_mutex_unlock(&queue->lock);
    return low;
}

bool queue_is_broken(struct queue *queue)
{
    (void)queue;
    return false;
}

void queue_memory_fail_next(struct queue *queue, struct err error)
{
    pthread_mutex_lock(&queue->lock);
    queue->fail_next = error;
    pthread_mutex_unlock(&queue->lock);
}

size_t queue_memory_rows(struct queue *queue)
{
    pthread_mutex_lock(&queue->lock);
    size_t rows = queue->message_count;
    pthread_mutex_unlock(&queue->lock);
    return rows;
}

void queue_memory_set_low(struct queue *queue, bool low)
{
    pthread_mutex_lock(&queue->lock);
    queue->low = low;
    pthread_mutex_unlock(&queue->lock);
}
