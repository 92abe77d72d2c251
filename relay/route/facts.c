/* What plugins are told of a message that has been taken, or is being taken. */
#include "route/private.h"

static uint32_t flags_of(const struct queue_message *message)
{
    uint32_t flags = 0;

    flags |= message->flags & QUEUE_BODY_8BIT ? SMARTHOP_MESSAGE_8BIT : 0;
    flags |= message->flags & QUEUE_SMTPUTF8 ? SMARTHOP_MESSAGE_SMTPUTF8 : 0;
    flags |= message->flags & QUEUE_BODY_BINARY ? SMARTHOP_MESSAGE_BINARY : 0;
    flags |= message->flags & QUEUE_REQUIRE_TLS ? SMARTHOP_MESSAGE_REQUIRETLS : 0;
    return flags;
}

struct smarthop_message *route_message_facts(const struct queue_message *message,
                                             struct arena *arena)
{
    struct smarthop_message *facts = arena_alloc(arena, sizeof *facts);
    unsigned recipients = 0;

    for (unsigned i = 0; i < message->group_count; i++)
        recipients += message->groups[i].recipient_count;
    *facts = (struct smarthop_message){
        .size = sizeof *facts,
        .flags = flags_of(message),
        .id = message->id,
        .sender = routing_text(message->reverse_path),
        .envid = routing_text(message->envelope_id),
        .tenant = routing_text(message->tenant),
        .bytes = message->size,
        .arrival = message->arrival,
        .priority = message->priority,
        .recipients = recipients,
    };
    return facts;
}

struct span route_decision(struct arena *arena, const struct route_answer *answer)
{
    if (answer->by.len == 0)
        return SPAN_NONE;
    return arena_printf(arena, "%.*s%s%.*s", SPAN_ARG(answer->by), answer->why.len > 0 ? ": " : "",
                        SPAN_ARG(answer->why));
}
