/* Why one message is still in the queue, recipient by recipient. */
#include "control/private.h"

#include "proto/base32.h"

#include <stdlib.h>

struct request {
    struct local_peer *peer;
    struct control_explanation explanation;
};

static json_t *reply_of(const struct status *status)
{
    char code[ENHANCED_CODE_TEXT_MAX];

    if (status->code == 0)
        return json_null();
    size_t len = enhanced_code_format(status->enhanced, code);
    return json_pack("{s:i, s:o, s:o, s:o}", "code", (int)status->code, "enhanced",
                     answer_text(span_of(code, len)), "text", answer_text(status->text), "by",
                     answer_text(status->by));
}

static const char *state_of(const struct queue_group *group)
{
    switch (group->state) {
    case QUEUE_GROUP_HELD:
        return "held";
    case QUEUE_GROUP_FUTURE:
        return "future";
    case QUEUE_GROUP_WAITING:
        break;
    }
    return "waiting";
}

static json_t *recipient_of(const struct queue_group *group, const struct control_gate *gate,
                            const struct queue_recipient *recipient)
{
    return json_pack("{s:o, s:o, s:o, s:s, s:s, s:o, s:o, s:o, s:i, s:o}", "address",
                     answer_text(recipient->address), "destination",
                     answer_text(group->destination), "routed_by", answer_text(group->routed_by),
                     "state", state_of(group), "gate", gate->name, "why", answer_text(gate->why),
                     "until", answer_time(gate->until), "since", answer_time(gate->since), "tries",
                     (int)group->tries, "status", reply_of(&recipient->last));
}

static json_t *describe(const struct control_explanation *explanation)
{
    const struct queue_message *message = explanation->message;
    json_t *answer = answer_ok(), *list = json_array();
    char id[ID_TEXT_SIZE];

    json_object_set_new(answer, "id", json_string(id_format(message->id, id)));
    json_object_set_new(answer, "sender", answer_text(message->reverse_path));
    json_object_set_new(answer, "tags", answer_text(message->tags));
    json_object_set_new(answer, "arrival", answer_time(message->arrival));
    json_object_set_new(answer, "now", answer_time(explanation->now));
    json_object_set_new(answer, "expires", answer_time(explanation->expires));
    json_object_set_new(answer, "expires_by",
                        json_string(explanation->by_deadline ? "deadline" : "age"));
    for (unsigned i = 0; i < message->group_count; i++)
        for (unsigned j = 0; j < message->groups[i].recipient_count; j++)
            json_array_append_new(list, recipient_of(&message->groups[i], &explanation->gates[i],
                                                     &message->groups[i].recipients[j]));
    json_object_set_new(answer, "recipients", list);
    return answer;
}

static json_t *answer_of(const struct control_explanation *explanation)
{
    char why[ERR_TEXT_MAX];

    switch (explanation->result.kind) {
    case ERR_NONE:
        return describe(explanation);
    case ERR_NOT_FOUND:
        return answer_error("there is no such message in the queue");
    case ERR_CORRUPT:
        return answer_error("its record in the store is damaged: it is not sent, and waits for an"
                            " operator");
    default:
        return answer_error(err_text(explanation->result, why));
    }
}

static void on_explained(struct call *call)
{
    struct control_explanation *explanation = container_of(call, struct control_explanation, call);
    struct request *request = container_of(explanation, struct request, explanation);

    control_answer(request->peer, answer_of(explanation));
    queue_message_unref(explanation->message);
    arena_fini(&explanation->arena);
    free(request);
}

void control_explain(struct control *control, struct local_peer *peer, const json_t *command)
{
    const json_t *id = json_object_get(command, "id");
    struct request *request = mem_zalloc(sizeof *request);
    struct control_explanation *explanation = &request->explanation;

    if (!id_parse(span_of(json_string_value(id), json_string_length(id)), &explanation->id)) {
        control_answer(peer, answer_error("that is not a message id"));
        free(request);
        return;
    }
    request->peer = peer;
    explanation->call.done = on_explained;
    explanation->home = control->loop;
    list_init(&explanation->call.link);
    arena_init(&explanation->arena);
    control->actions.explain(control->actions.context, explanation);
}
