#include "queue/message.h"

#include "queue/codec.h"

#include <stdlib.h>

struct queue_message *queue_message_create(void)
{
    struct queue_message *message = mem_zalloc(sizeof *message);

    atomic_init(&message->references, 1);
    arena_init(&message->arena);
    buf_init(&message->body, 0);
    return message;
}

struct queue_message *queue_message_ref(struct queue_message *message)
{
    atomic_fetch_add_explicit(&message->references, 1, memory_order_relaxed);
    return message;
}

void queue_message_unref(struct queue_message *message)
{
    if (message == NULL ||
        atomic_fetch_sub_explicit(&message->references, 1, memory_order_acq_rel) > 1)
        return;
    buf_fini(&message->body);
    arena_fini(&message->arena);
    free(message);
}

static struct err check_envelope(const struct queue_message *m)
{
    const struct span texts[] = {m->reverse_path, m->trace, m->client, m->client_name,
                                 m->protocol,     m->hello, m->tenant, m->message_id,
                                 m->subject,      m->from};

    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (texts[i].len > CODEC_TEXT_MAX)
            return err_make(ERR_INVALID, "envelope text too long");
    if (m->tags.len > CODEC_TAGS_MAX)
        return err_make(ERR_INVALID, "tags too long");
    if (m->envelope_id.len > ESMTP_ENVID_MAX)
        return err_make(ERR_INVALID, "envelope id too long");
    if (m->auth.len > ESMTP_AUTH_MAX)
        return err_make(ERR_INVALID, "AUTH= too long");
    if (m->priority < -ESMTP_PRIORITY_MAX || m->priority > ESMTP_PRIORITY_MAX)
        return err_make(ERR_INVALID, "priority");
    return ERR_OK;
}

static struct err check_group(const struct queue_group *group)
{
    if (group->destination.len > CODEC_DESTINATION_MAX)
        return err_make(ERR_INVALID, "destination key too long");
    if (group->next_hop.len > CODEC_NEXT_HOP_MAX)
        return err_make(ERR_INVALID, "next hop too long");
    if (group->reverse_path.len > CODEC_ADDRESS_MAX || group->routed_by.len > CODEC_REASON_MAX)
        return err_make(ERR_INVALID, "reverse path or reason of a group too long");
    if (group->wishes.len > CODEC_WISHES_MAX)
        return err_make(ERR_INVALID, "wishes of a group too long");
    if (group->recipient_count == 0 || group->recipient_count > QUEUE_GROUP_MAX)
        return err_make(ERR_INVALID, "number of recipients in a group");
    for (unsigned i = 0; i < group->recipient_count; i++)
        if (group->recipients[i].address.len > CODEC_ADDRESS_MAX ||
            group->recipients[i].original.len > ESMTP_ORCPT_MAX)
            return err_make(ERR_INVALID, "address too long");
    return ERR_OK;
}

struct err message_check(const struct queue_message *message)
{
    struct err e = check_envelope(message);

    if (message->group_count == 0)
        return err_make(ERR_INVALID, "message without recipients");
    for (unsigned i = 0; i < message->group_count && !err_is(e); i++)
        e = check_group(&message->groups[i]);
    return e;
}

struct err message_check_settle(const struct queue_settle *settle)
{
    struct err e = ERR_OK;

    if (settle->remaining != NULL && settle->remaining->number != settle->group)
        return err_make(ERR_INVALID, "remaining group has another number");
    if (settle->remaining != NULL)
        e = check_group(settle->remaining);
    for (unsigned i = 0; i < settle->split_count && !err_is(e); i++)
        e = check_group(&settle->splits[i]);
    if (!err_is(e) && settle->dsn != NULL)
        e = message_check(settle->dsn);
    if (!err_is(e) && settle->dsn_copy != NULL)
        e = message_check(settle->dsn_copy);
    return e;
}

struct err message_check_destination(const struct queue_destination_update *update)
{
    return update->destination.len > CODEC_DESTINATION_MAX
               ? err_make(ERR_INVALID, "destination key too long")
               : ERR_OK;
}

struct err message_check_suspension(const struct queue_suspension *suspension)
{
    return suspension->pattern.len == 0 || suspension->pattern.len > CODEC_PATTERN_MAX
               ? err_make(ERR_INVALID, "pattern's length")
               : ERR_OK;
}

void message_count_chunks(struct queue_message *message, uint32_t staged)
{
    size_t chunks = (buf_len(&message->body) + QUEUE_CHUNK - 1) / QUEUE_CHUNK;

    message->chunk_count = staged + (uint32_t)chunks;
}
