#include "queue/ctl/describe.h"

#include "proto/base32.h"
#include "queue/ctl/json.h"
#include "route/route.h"

static const char damaged_reason[] =
    "its record in the store is damaged: it cannot be delivered; `queue show` or a backup may help";

void describe_message(const struct backoffs *backoffs, const struct queue_message *message,
                      const struct queue_group *group, uint64_t now, struct view *out)
{
    if (group != NULL && !(message->flags & QUEUE_DAMAGED)) {
        view_group(backoffs, group, now, out);
        return;
    }
    out->state = VIEW_DAMAGED;
    out->next = 0;
    out->reason_len = sizeof damaged_reason - 1;
    memcpy(out->reason, damaged_reason, out->reason_len);
}

static void write_status(const struct status *status)
{
    char code[ENHANCED_CODE_TEXT_MAX];

    if (status->code == 0) {
        json_none("status");
        return;
    }
    size_t len = enhanced_code_format(status->enhanced, code);
    json_open("status", '{');
    json_number("code", status->code);
    json_text("enhanced", span_of(code, len));
    json_text("text", status->text);
    json_text("by", status->by);
    json_close('}');
}

static void write_recipients(const struct queue_group *group, enum view_state state, uint64_t next)
{
    char notify[ESMTP_NOTIFY_TEXT_MAX];

    for (unsigned i = 0; i < group->recipient_count; i++) {
        const struct queue_recipient *recipient = &group->recipients[i];
        json_open(NULL, '{');
        json_text("address", recipient->address);
        json_text("notify", span_of(notify, esmtp_notify_format(recipient->notify, notify)));
        json_text("orcpt", recipient->original);
        json_text("state", span_cstr(view_state_name(state)));
        json_text("destination", group->destination);
        json_text("next_hop", route_destination_place(group->destination));
        json_number("tries", group->tries);
        if (state == VIEW_HELD)
            json_none("next_try");
        else
            json_number("next_try", next);
        write_status(&recipient->last);
        json_close('}');
    }
}

const char *describe_body(const struct queue_message *message)
{
    if (message->flags & QUEUE_BODY_BINARY)
        return "BINARYMIME";
    return message->flags & QUEUE_BODY_8BIT ? "8BITMIME" : "7BIT";
}

static void write_time(const char *name, uint64_t wall_ms)
{
    if (wall_ms == 0)
        json_none(name);
    else
        json_number(name, wall_ms);
}

static void write_extensions(const struct queue_message *message)
{
    static const char *const modes[] = {
        [ESMTP_BY_NONE] = "", [ESMTP_BY_RETURN] = "return", [ESMTP_BY_NOTIFY] = "notify"};

    json_text("body", span_cstr(describe_body(message)));
    json_signed("priority", message->priority);
    write_time("release", message->release);
    write_time("deliver_by", message->deliver_by);
    json_text("deliver_by_mode", span_cstr(modes[message->by]));
    json_bool("deliver_by_trace", message->flags & QUEUE_BY_TRACE);
    json_bool("require_tls", message->flags & QUEUE_REQUIRE_TLS);
    if (message->flags & QUEUE_HAS_AUTH)
        json_text("auth", message->auth);
    else
        json_none("auth");
}

void describe_json(const struct backoffs *backoffs, const struct queue_message *message,
                   const struct view *view, uint64_t now)
{
    char id[ID_TEXT_SIZE];
    uint64_t next;

    json_text("id", span_of(id_format(message->id, id), ID_TEXT_LEN));
    json_number("arrival", message->arrival);
    json_number("size", message->size);
    json_text("sender", message->reverse_path);
    json_text("tenant", message->tenant);
    json_text("tags", message->tags);
    json_text("envid", message->envelope_id);
    json_text("ret", esmtp_ret_format(message->ret));
    write_extensions(message);
    json_open("recipients", '[');
    for (unsigned i = 0; i < message->group_count; i++) {
        const struct queue_group *group = &message->groups[i];
        enum view_state state = view_state_of(backoffs, group, now, &next);
        write_recipients(group, state, next);
    }
    json_close(']');
    json_text("reason", span_of(view->reason, view->reason_len));
}
