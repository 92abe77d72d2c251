/*
 * queue_rig: messages to put into a queue, and the queue's operations as functions that wait. Over
 * loop_rig: rig_start comes first.
 */
#ifndef SMARTHOP_TESTS_QUEUE_RIG_H
#define SMARTHOP_TESTS_QUEUE_RIG_H

#include "queue/queue.h"
#include "support/loop_rig.h"

#include <stdio.h>

enum { RIG_DUE = 1000, RIG_RECIPIENTS = 2 };

static inline struct queue_options rig_queue_options(const char *path)
{
    return (struct queue_options){.path = path, .map_size = 1u << 30};
}

/* Bytes that differ from place to place and from seed to seed. */
static inline void rig_fill(char *bytes, size_t len, uint64_t seed)
{
    uint64_t x = seed * 0x9e3779b97f4a7c15u + 1;

    for (size_t i = 0; i < len; i++) {
        x ^= x << 13, x ^= x >> 7, x ^= x << 17;
        bytes[i] = (char)x;
    }
}

static inline void rig_add_body(struct queue_message *message, size_t len)
{
    if (len > 0)
        rig_fill(buf_reserve(&message->body, len), len, message->id);
    buf_commit(&message->body, len);
    message->size += len;
}

static inline void rig_fill_group(struct queue_message *message, struct queue_group *group,
                                  const char *destination)
{
    struct arena *arena = &message->arena;

    group->state = QUEUE_GROUP_WAITING;
    group->due = RIG_DUE;
    group->destination = arena_dup(arena, span_cstr(destination));
    group->next_hop = arena_printf(arena, "mx %s", destination);
    group->wishes = arena_printf(arena, "source=%s", destination);
    group->recipient_count = RIG_RECIPIENTS;
    group->recipients = arena_alloc(arena, RIG_RECIPIENTS * sizeof *group->recipients);
    for (unsigned i = 0; i < RIG_RECIPIENTS; i++) {
        group->recipients[i].index = i;
        group->recipients[i].address = arena_printf(arena, "user%u@%s", i, destination);
    }
}

/* Groups 0, 1, ... each for one of the destinations, and a body in memory. */
static inline struct queue_message *rig_make_message(struct queue *queue, unsigned groups,
                                                     const char *const *destinations,
                                                     size_t body_len)
{
    struct queue_message *message = queue_message_create();

    message->id = queue_new_id(queue);
    message->arrival = queue_id_time(message->id);
    message->reverse_path = SPAN("sender@example.org");
    message->trace = SPAN("Received: from rig\r\n");
    message->client = SPAN("rig [192.0.2.1]");
    message->group_count = groups;
    message->groups = arena_alloc(&message->arena, groups * sizeof *message->groups);
    for (unsigned i = 0; i < groups; i++) {
        message->groups[i].number = i;
        rig_fill_group(message, &message->groups[i], destinations[i]);
    }
    message->body_in_memory = true;
    rig_add_body(message, body_len);
    return message;
}

static inline enum err_kind rig_run_insert(struct queue *queue, struct queue_insert *insert)
{
    rig_prepare_op(&insert->op);
    queue_insert(queue, insert);
    rig_wait(1);
    return insert->op.result.kind;
}

static inline enum err_kind rig_insert(struct queue *queue, struct queue_message *message,
                                       uint32_t staged)
{
    return rig_run_insert(queue,
                          &(struct queue_insert){.message = message, .staged_chunks = staged});
}

/* Makes, inserts and lets go of a message. Returns its id, or 0. */
static inline uint64_t rig_insert_one(struct queue *queue, const char *destination, size_t body_len)
{
    struct queue_message *message = rig_make_message(queue, 1, &destination, body_len);
    uint64_t id = message->id;
    enum err_kind result = rig_insert(queue, message, 0);

    queue_message_unref(message);
    return result == ERR_NONE ? id : 0;
}

static inline enum err_kind rig_settle(struct queue *queue, struct queue_settle *settle)
{
    rig_prepare_op(&settle->op);
    queue_settle(queue, settle);
    rig_wait(1);
    return settle->op.result.kind;
}

/* Settles a group of rig_make_message as delivered. */
static inline enum err_kind rig_deliver(struct queue *queue, uint64_t id, uint32_t group,
                                        const char *destination, bool *gone_out)
{
    struct queue_settle settle = {
        .id = id, .group = group, .old_destination = span_cstr(destination), .old_due = RIG_DUE};
    enum err_kind result = rig_settle(queue, &settle);

    if (gone_out != NULL)
        *gone_out = settle.message_gone;
    return result;
}

static inline enum err_kind rig_stage(struct queue *queue, uint64_t id, uint32_t first_chunk,
                                      struct span data)
{
    struct queue_stage stage = {.id = id, .first_chunk = first_chunk, .data = data};

    rig_prepare_op(&stage.op);
    queue_stage(queue, &stage);
    rig_wait(1);
    return stage.op.result.kind;
}

static inline enum err_kind rig_discard(struct queue *queue, uint64_t id)
{
    struct queue_discard discard = {.id = id};

    rig_prepare_op(&discard.op);
    queue_discard(queue, &discard);
    rig_wait(1);
    return discard.op.result.kind;
}

static inline enum err_kind rig_load(struct queue *queue, uint64_t id)
{
    struct queue_message *message;
    struct err e = queue_load(queue, id, QUEUE_ALL_GROUPS, &message);

    queue_message_unref(message);
    return e.kind;
}

/* Whether the stored body is what rig_add_body made for this id. */
static inline bool rig_body_is(struct queue *queue, uint64_t id, size_t len)
{
    struct buf body;
    char *expected = mem_alloc(len + 1);

    buf_init(&body, 0);
    rig_fill(expected, len, id);
    struct err e = queue_read_body(queue, id, 0, UINT32_MAX, &body);
    bool same = !err_is(e) && buf_len(&body) == len &&
                (len == 0 || memcmp(buf_span(&body).ptr, expected, len) == 0);
    free(expected);
    buf_fini(&body);
    return same;
}

/* Bytes of the body that are in the store. */
static inline size_t rig_body_len(struct queue *queue, uint64_t id, uint32_t first)
{
    struct buf body;

    buf_init(&body, 0);
    if (err_is(queue_read_body(queue, id, first, UINT32_MAX, &body)))
        abort();
    size_t len = buf_len(&body);
    buf_fini(&body);
    return len;
}

#endif
