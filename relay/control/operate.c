/* What is done to messages: by an id, or by the names of groups. */
#include "control/private.h"

#include "proto/address.h"
#include "proto/base32.h"
#include "route/route.h"

#include <stdlib.h>

static const struct {
    const char *name;
    enum control_verb verb;
} operations[] = {
    {"retry", CONTROL_RETRY},     {"remove", CONTROL_REMOVE}, {"hold", CONTROL_HOLD},
    {"release", CONTROL_RELEASE}, {"bounce", CONTROL_BOUNCE}, {"reroute", CONTROL_REROUTE},
    {"edit", CONTROL_REROUTE},
};

enum {
    ADDRESS_FLAGS = ADDRESS_ALLOW_UTF8 | ADDRESS_ALLOW_UNDERSCORE | ADDRESS_ALLOW_LONG_LOCAL,
};

struct request {
    struct local_peer *peer;
    struct queue_group_name *groups; /* or NULL */
    struct control_reroute reroute;
    struct control_operation operation;
};

static void dispose(struct request *request)
{
    arena_fini(&request->reroute.arena);
    free(request->groups);
    free(request);
}

static void on_operated(struct call *call)
{
    struct control_operation *operation = container_of(call, struct control_operation, call);
    struct request *request = container_of(operation, struct request, operation);

    control_answer(request->peer, answer_operation(operation));
    dispose(request);
}

static const char *read_id(const json_t *command, uint64_t *id_out)
{
    const json_t *id = json_object_get(command, "id");

    if (id == NULL)
        return "an \"id\" or \"groups\" are needed";
    if (!json_is_string(id) ||
        !id_parse(span_of(json_string_value(id), json_string_length(id)), id_out) || *id_out == 0)
        return "that is not a message id";
    return NULL;
}

/* NULL, or what is wrong. */
static const char *read_targets(const json_t *command, struct request *request)
{
    struct control_operation *operation = &request->operation;
    const json_t *names = json_object_get(command, "groups");

    if (names == NULL)
        return read_id(command, &operation->id);
    if (json_object_get(command, "id") != NULL)
        return "\"groups\" go alone";
    request->groups = control_read_groups(names, &operation->group_count);
    operation->groups = request->groups;
    return request->groups ? NULL : "\"groups\" are 1 to 1000 names like 0SA50SNSW0001/0";
}

static const char *read_next_hop(const json_t *command, struct control_reroute *reroute)
{
    const json_t *text = json_object_get(command, "next_hop");
    struct route_next_hop hop;

    if (text == NULL)
        return NULL;
    if (!json_is_string(text) ||
        !route_next_hop_parse(span_of(json_string_value(text), json_string_length(text)), &hop))
        return "a \"next_hop\" is written as in hosts:mx.example.net:25;tls=opportunistic";
    reroute->next_hop = route_next_hop_format(&reroute->arena, &hop);
    return NULL;
}

static const char *read_reroute(const json_t *command, struct request *request)
{
    struct control_reroute *reroute = &request->reroute;

    request->operation.reroute = reroute;
    reroute->dry_run = json_is_true(json_object_get(command, "dry_run"));
    reroute->names_recipients = json_is_true(json_object_get(command, "recipients"));
    return read_next_hop(command, reroute);
}

/* NULL, or what is wrong. */
static const char *read_address(const json_t *command, const char *name, struct arena *arena,
                                struct span *out)
{
    const json_t *text = json_object_get(command, name);
    struct address address;

    if (!json_is_string(text) ||
        address_parse(span_of(json_string_value(text), json_string_length(text)), ADDRESS_FLAGS,
                      &address) != ADDRESS_OK)
        return "an edit has a \"recipient\" and its new address as \"to\", or \"add\","
               " \"drop\" or \"sender\" with an address";
    *out = arena_dup(arena, address.text);
    return NULL;
}

static const char *read_edit(const json_t *command, struct request *request)
{
    static const struct {
        const char *name;
        enum control_edit edit;
    } edits[] = {{"add", CONTROL_ADD}, {"drop", CONTROL_DROP}, {"sender", CONTROL_SENDER}};
    struct control_reroute *reroute = &request->reroute;

    if (request->groups != NULL)
        return "an edit is of one \"id\"";
    request->operation.reroute = reroute;
    reroute->names_recipients = true;
    for (size_t i = 0; i < sizeof edits / sizeof edits[0]; i++) {
        if (json_object_get(command, edits[i].name) == NULL)
            continue;
        reroute->edit = edits[i].edit;
        return read_address(command, edits[i].name, &reroute->arena,
                            edits[i].edit == CONTROL_DROP ? &reroute->recipient : &reroute->to);
    }
    reroute->edit = CONTROL_CHANGE;
    const char *problem = read_address(command, "recipient", &reroute->arena, &reroute->recipient);
    return problem != NULL ? problem : read_address(command, "to", &reroute->arena, &reroute->to);
}

static void operate(struct control *control, struct local_peer *peer, const json_t *command,
                    enum control_verb verb, const char *name)
{
    struct request *request = mem_zalloc(sizeof *request);

    arena_init(&request->reroute.arena);
    const char *problem = read_targets(command, request);
    if (problem == NULL && strcmp(name, "edit") == 0)
        problem = read_edit(command, request);
    else if (problem == NULL && verb == CONTROL_REROUTE)
        problem = read_reroute(command, request);
    if (problem != NULL) {
        control_answer(peer, answer_error(problem));
        dispose(request);
        return;
    }
    request->peer = peer;
    request->operation.call.done = on_operated;
    request->operation.home = control->loop;
    request->operation.verb = verb;
    list_init(&request->operation.call.link);
    control->actions.operate(control->actions.context, &request->operation);
}

bool control_operate(struct control *control, struct local_peer *peer, const char *name,
                     const json_t *command)
{
    for (size_t i = 0; i < sizeof operations / sizeof operations[0]; i++) {
        if (strcmp(name, operations[i].name) == 0) {
            operate(control, peer, command, operations[i].verb, name);
            return true;
        }
    }
    return false;
}
