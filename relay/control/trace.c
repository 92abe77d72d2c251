/* A trace: what has gathered goes to the peer when what went before has left; meanwhile it gathers
 * where it comes about, within bounds. */
#include "control/private.h"

#include <stdlib.h>

struct trace_stream {
    struct local_stream stream;
    struct control_trace trace;
    struct control *control;
    struct local_peer *peer;
    bool writing;
};

static void write_piece(struct trace_stream *follow, json_t *object)
{
    follow->writing = true;
    control_write(follow->peer, object);
}

static void add_line(const struct control_trace_line *line, void *context)
{
    answer_trace_line(context, line);
}

static void send_lines(struct trace_stream *follow)
{
    const struct control_actions *actions = &follow->control->actions;
    json_t *piece = answer_trace();

    uint64_t lost = actions->trace_take(actions->context, &follow->trace, add_line, piece);
    answer_trace_lost(piece, lost);
    if (lost > 0 || json_array_size(json_object_get(piece, "lines")) > 0)
        write_piece(follow, piece);
    else
        json_decref(piece);
}

static void on_begun(struct control_trace *trace)
{
    struct trace_stream *follow = container_of(trace, struct trace_stream, trace);

    write_piece(follow, answer_ok());
}

static void on_ready(struct control_trace *trace)
{
    struct trace_stream *follow = container_of(trace, struct trace_stream, trace);

    if (!follow->writing)
        send_lines(follow);
}

static void on_drained(struct local_stream *stream)
{
    struct trace_stream *follow = container_of(stream, struct trace_stream, stream);

    follow->writing = false;
    send_lines(follow);
}

static void on_gone(struct local_stream *stream)
{
    struct trace_stream *follow = container_of(stream, struct trace_stream, stream);
    const struct control_actions *actions = &follow->control->actions;

    actions->trace_end(actions->context, &follow->trace);
    local_answer(follow->peer, SPAN_NONE);
    free(follow);
}

static const char *start(struct trace_stream *follow, const json_t *command, struct buf *why)
{
    const struct control_actions *actions = &follow->control->actions;
    const json_t *network = json_object_get(command, "network");

    if (!json_is_string(network))
        return "an address or a network is needed";
    struct span text = span_of(json_string_value(network), json_string_length(network));
    if (actions->trace(actions->context, text, &follow->trace, why))
        return NULL;
    buf_add(why, span_of("", 1));
    return buf_span(why).ptr;
}

void control_trace_sessions(struct control *control, struct local_peer *peer, const json_t *command)
{
    struct trace_stream *follow = mem_zalloc(sizeof *follow);
    struct buf why;

    follow->stream =
        (struct local_stream){.drained = on_drained, .gone = on_gone, .is_endless = true};
    follow->trace = (struct control_trace){.begun = on_begun, .ready = on_ready};
    follow->control = control;
    follow->peer = peer;
    follow->writing = true; /* that it has begun comes first */
    buf_init(&why, 0);
    const char *problem = start(follow, command, &why);
    if (problem == NULL) {
        local_stream(peer, &follow->stream);
    } else {
        control_answer(peer, answer_error(problem));
        free(follow);
    }
    buf_fini(&why);
}
