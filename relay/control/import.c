/* Exported messages that come back, piece by piece. */
#include "control/private.h"

#include "auth/base64.h"

#include <stdlib.h>

struct request {
    struct local_peer *peer;
    struct control_import import;
    char bytes[]; /* of the piece */
};

static void on_imported(struct call *call)
{
    struct control_import *import = container_of(call, struct control_import, call);
    struct request *request = container_of(import, struct request, import);

    control_answer(request->peer, answer_import(import));
    free(request);
}

void control_import(struct control *control, struct local_peer *peer, const json_t *command)
{
    const json_t *number = json_object_get(command, "import");
    const json_t *data = json_object_get(command, "data");
    struct span text = span_of(json_string_value(data), json_string_length(data));
    size_t room = BASE64_BYTES_MAX(text.len);
    struct request *request = mem_zalloc(sizeof *request + room);
    struct control_import *import = &request->import;

    if (!json_is_string(data) || !base64_decode(text, request->bytes, room, &import->data.len) ||
        (number != NULL && json_integer_value(number) <= 0)) {
        control_answer(peer, answer_error("a piece has base64 as its \"data\", and from the second"
                                          " on the number of its \"import\""));
        free(request);
        return;
    }
    request->peer = peer;
    import->call.done = on_imported;
    list_init(&import->call.link);
    import->home = control->loop;
    import->data.ptr = request->bytes;
    import->import = number != NULL ? (uint64_t)json_integer_value(number) : 0;
    import->is_last = json_is_true(json_object_get(command, "last"));
    control->actions.import(control->actions.context, import);
}
