#include "control/private.h"

#include <stdlib.h>

enum { IDLE_MS = 60000 };

/* A command whose answer comes later. The server is not gone before it is answered. */
struct request {
    struct local_peer *peer;
    union {
        struct control_status status;
        struct control_ending ending;
    };
};

static void send_line(struct local_peer *peer, json_t *object,
                      void (*send)(struct local_peer *peer, struct span bytes))
{
    char *text = json_dumps(object, JSON_COMPACT);
    struct buf line;

    buf_init(&line, 0);
    buf_add(&line, span_cstr(text));
    buf_add(&line, SPAN("\n"));
    send(peer, buf_span(&line));
    buf_fini(&line);
    free(text);
    json_decref(object);
}

void control_answer(struct local_peer *peer, json_t *object)
{
    send_line(peer, object, local_answer);
}

void control_write(struct local_peer *peer, json_t *object)
{
    send_line(peer, object, local_write);
}

/* ---- the others ------------------------------------------------------------------------------ */

static void on_status(struct call *call)
{
    struct control_status *status = container_of(call, struct control_status, call);
    struct request *request = container_of(status, struct request, status);

    control_answer(request->peer, answer_status(status));
    free(request);
}

static void do_status(struct control *control, struct local_peer *peer, const json_t *command)
{
    struct request *request = mem_zalloc(sizeof *request);

    (void)command;
    request->peer = peer;
    request->status.home = control->loop;
    request->status.call.done = on_status;
    list_init(&request->status.call.link);
    control->actions.status(control->actions.context, &request->status);
}

static struct span text_of(const json_t *command, const char *name)
{
    const json_t *text = json_object_get(command, name);

    return span_of(json_string_value(text), json_string_length(text));
}

static void do_forget(struct control *control, struct local_peer *peer, const json_t *command)
{
    struct span key = text_of(command, "key"), kind = text_of(command, "kind");
    bool all = json_object_get(command, "kind") == NULL;
    uint64_t count = 0;

    if (key.len == 0)
        control_answer(peer, answer_error("a \"key\" is needed"));
    else if ((all || kind.len > 0) &&
             control->actions.forget(control->actions.context, kind, key, &count))
        control_answer(peer, answer_forgotten(count));
    else
        control_answer(peer, answer_error("there is no such kind"));
}

static void on_session_ended(struct call *call)
{
    struct control_ending *ending = container_of(call, struct control_ending, call);
    struct request *request = container_of(ending, struct request, ending);

    control_answer(request->peer,
                   ending->found ? answer_ok() : answer_error("there is no such session"));
    free(request);
}

static void do_end_session(struct control *control, struct local_peer *peer, const json_t *command)
{
    const json_t *id = json_object_get(command, "session");

    if (!json_is_integer(id) || json_integer_value(id) <= 0) {
        control_answer(peer, answer_error("that is not the number of a session"));
        return;
    }
    struct request *request = mem_zalloc(sizeof *request);
    request->peer = peer;
    request->ending = (struct control_ending){.call.done = on_session_ended,
                                              .home = control->loop,
                                              .session = (uint64_t)json_integer_value(id)};
    list_init(&request->ending.call.link);
    control->actions.end_session(control->actions.context, &request->ending);
}

static void do_reload(struct control *control, struct local_peer *peer, const json_t *command)
{
    struct buf messages;

    (void)command;
    buf_init(&messages, 0);
    bool accepted = control->actions.reload(control->actions.context, &messages);
    control_answer(peer, answer_reload(accepted, buf_span(&messages)));
    buf_fini(&messages);
}

static void do_reopen_log(struct control *control, struct local_peer *peer, const json_t *command)
{
    (void)command;
    control->actions.reopen_log(control->actions.context);
    control_answer(peer, answer_ok());
}

static void do_stop(struct control *control, struct local_peer *peer, const json_t *command)
{
    (void)command;
    control_answer(peer, answer_ok()); /* first: stopping closes the peer */
    control->actions.stop(control->actions.context);
}

static void do_ping(struct control *control, struct local_peer *peer, const json_t *command)
{
    (void)control;
    (void)command;
    control_answer(peer, answer_ok());
}

/* ---- lines ------------------------------------------------------------------------------------
 */

static const struct {
    const char *name;
    void (*run)(struct control *control, struct local_peer *peer, const json_t *command);
} commands[] = {
    {"status", do_status},
    {"explain", control_explain},
    {"import", control_import},
    {"suspend", control_suspend},
    {"resume", control_resume},
    {"sessions", control_list_sessions},
    {"destinations", control_list_destinations},
    {"end-session", do_end_session},
    {"trace", control_trace_sessions},
    {"forget", do_forget},
    {"plugins", control_list_plugins},
    {"plugins-back", control_plugins_back},
    {"plugin-command", control_command_plugin},
    {"route", control_route},
    {"reload", do_reload},
    {"reopen-log", do_reopen_log},
    {"stop", do_stop},
    {"ping", do_ping},
};

static void run(struct control *control, struct local_peer *peer, const json_t *command)
{
    const char *name = json_string_value(json_object_get(command, "command"));

    if (name == NULL) {
        control_answer(peer, answer_error("an object with a \"command\" is needed"));
        return;
    }
    if (control_operate(control, peer, name, command))
        return;
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        if (strcmp(name, commands[i].name) == 0) {
            commands[i].run(control, peer, command);
            return;
        }
    }
    control_answer(peer, answer_error("there is no such command"));
}

static void on_line(struct local_peer *peer, struct span line, void *owner)
{
    json_error_t problem;
    json_t *command = json_loadb(line.ptr, line.len, JSON_REJECT_DUPLICATES, &problem);

    if (command == NULL)
        control_answer(peer, answer_error(problem.text));
    else
        run(owner, peer, command);
    json_decref(command);
}

static void on_server_closed(void *owner)
{
    free(owner);
}

struct err control_create(struct loop *loop, const char *path,
                          const struct control_actions *actions, struct control **out)
{
    struct control *control = mem_zalloc(sizeof *control);
    struct local_options options = {
        .line = on_line,
        .closed = on_server_closed,
        .too_long = SPAN("{\"ok\":false,\"error\":\"the line is too long\"}\n"),
        .idle_ms = IDLE_MS,
        .owner = control,
    };

    *out = NULL;
    control->loop = loop;
    control->actions = *actions;
    struct err e = local_listen(loop, path, &options, &control->server);
    if (err_is(e)) {
        free(control);
        return e;
    }
    *out = control;
    return ERR_OK;
}

void control_close(struct control *control)
{
    if (control != NULL)
        local_close(control->server);
}
