/* Mail to some next hops is suspended, or goes on. */
#include "control/private.h"

#include "conf/pattern.h"

#include <stdlib.h>

enum { PATTERN_MAX = 255 };

struct request {
    struct local_peer *peer;
    struct control_suspension suspension;
    struct arena arena;
};

static void on_suspended(struct call *call)
{
    struct control_suspension *suspension = container_of(call, struct control_suspension, call);
    struct request *request = container_of(suspension, struct request, suspension);
    char why[ERR_TEXT_MAX];

    if (!err_is(suspension->result))
        control_answer(request->peer, answer_ok());
    else if (suspension->result.kind == ERR_NOT_FOUND)
        control_answer(request->peer, answer_error("it is not suspended"));
    else
        control_answer(request->peer, answer_error(err_text(suspension->result, why)));
    arena_fini(&request->arena);
    free(request);
}

static struct span text_of(const json_t *command, const char *name)
{
    const json_t *text = json_object_get(command, name);

    return span_of(json_string_value(text), json_string_length(text));
}

static void begin(struct control *control, struct local_peer *peer, const json_t *command,
                  uint64_t until)
{
    struct span pattern = text_of(command, "pattern");
    struct request *request;

    if (pattern.len == 0 || pattern.len > PATTERN_MAX ||
        (!span_equal(pattern, SPAN("*")) && !conf_is_pattern(pattern))) {
        control_answer(peer, answer_error("a \"pattern\" is a host or domain, maybe behind a dot,"
                                          " or *"));
        return;
    }
    request = mem_zalloc(sizeof *request);
    arena_init(&request->arena);
    request->peer = peer;
    request->suspension = (struct control_suspension){
        .call.done = on_suspended,
        .home = control->loop,
        .pattern = arena_dup(&request->arena, pattern),
        .reason = arena_dup(&request->arena, text_of(command, "reason")),
        .until = until,
    };
    list_init(&request->suspension.call.link);
    control->actions.suspend(control->actions.context, &request->suspension);
}

void control_suspend(struct control *control, struct local_peer *peer, const json_t *command)
{
    const json_t *until = json_object_get(command, "until");

    if (!json_is_integer(until) || json_integer_value(until) <= 0)
        control_answer(peer, answer_error("a time \"until\" is needed"));
    else
        begin(control, peer, command, (uint64_t)json_integer_value(until));
}

void control_resume(struct control *control, struct local_peer *peer, const json_t *command)
{
    begin(control, peer, command, 0);
}
