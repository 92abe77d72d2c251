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
        .sender = plugin_text(message->reverse_path),
        .envid = plugin_text(message->envelope_id),
        .tenant = plugin_text(message->tenant),
        .bytes = message->size,
        .arrival = message->arrival,
        .priority = message->priority,
        .recipients = recipients,
        .tags = plugin_text(message->tags),
    };
    return facts;
}

/* In lower case, as the header of plugins promises: routing tables are looked up by it. */
static struct smarthop_span lowered(struct arena *arena, struct span domain)
{
    char *copy = arena_alloc(arena, domain.len + 1);

    for (size_t i = 0; i < domain.len; i++)
        copy[i] = ascii_lower(domain.ptr[i]);
    return smarthop_span_of(copy, domain.len);
}

struct smarthop_recipient route_recipient_facts(struct arena *arena, struct span address,
                                                struct span domain, struct span orcpt)
{
    return (struct smarthop_recipient){
        .size = sizeof(struct smarthop_recipient),
        .address = plugin_text(address),
        .local = plugin_text(span_head(address, span_rindex(address, '@'))),
        .domain = lowered(arena, domain),
        .orcpt = plugin_text(orcpt),
    };
}

static bool has_tag(struct span tags, struct span tag)
{
    struct span rest = tags;

    while (rest.len > 0)
        if (span_equal(span_split(rest, ',', &rest), tag))
            return true;
    return false;
}

static struct span add_tag(struct arena *arena, struct span tags, struct span tag)
{
    bool fits =
        tag.len > 0 && span_index(tag, ',') == tag.len && tags.len + 1 + tag.len <= ROUTE_TAGS_MAX;

    if (!fits || has_tag(tags, tag))
        return tags;
    return arena_printf(arena, "%.*s%s%.*s", SPAN_ARG(tags), tags.len > 0 ? "," : "",
                        SPAN_ARG(tag));
}

struct span route_join_tags(struct arena *arena, struct span tags, struct span others)
{
    while (others.len > 0)
        tags = add_tag(arena, tags, span_split(others, ',', &others));
    return tags;
}

struct span route_add_tags(struct arena *arena, struct span tags,
                           const struct smarthop_verdict *verdict)
{
    for (uint32_t i = 0; i < verdict->tag_count; i++)
        tags = add_tag(arena, tags, plugin_span(verdict->tags[i]));
    return tags;
}

struct status route_verdict_status(const struct smarthop_verdict *verdict, struct status usual)
{
    const uint8_t *enhanced = verdict->enhanced;

    if (verdict->code != 0)
        usual.code = verdict->code;
    if (enhanced[0] != 0)
        usual.enhanced = (struct enhanced_code){enhanced[0], enhanced[1], enhanced[2]};
    if (verdict->text.len > 0)
        usual.text = plugin_span(verdict->text);
    return usual;
}

struct span route_decision(struct arena *arena, const struct route_answer *answer)
{
    if (answer->by.len == 0)
        return SPAN_NONE;
    return arena_printf(arena, "%.*s%s%.*s", SPAN_ARG(answer->by), answer->why.len > 0 ? ": " : "",
                        SPAN_ARG(answer->why));
}
