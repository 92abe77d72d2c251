#include "control/answer.h"

#include "proto/base32.h"
#include "proto/utf8.h"

#include <stdlib.h>

static void set_integer(json_t *object, const char *name, uint64_t value)
{
    json_object_set_new(object, name, json_integer((json_int_t)value));
}

static void set_bool(json_t *object, const char *name, bool value)
{
    json_object_set_new(object, name, json_boolean(value));
}

json_t *answer_number(uint64_t value)
{
    return json_integer((json_int_t)value);
}

json_t *answer_time(uint64_t wall_ms)
{
    return wall_ms == 0 ? json_null() : answer_number(wall_ms);
}

json_t *answer_text(struct span bytes)
{
    if (utf8_is_valid(bytes) && span_index(bytes, '\0') == bytes.len)
        return json_stringn(bytes.ptr ? bytes.ptr : "", bytes.len);
    char *ascii = mem_alloc(bytes.len + 1);
    for (size_t i = 0; i < bytes.len; i++)
        ascii[i] = bytes.ptr[i] != '\0' && (unsigned char)bytes.ptr[i] < 0x80 ? bytes.ptr[i] : '?';
    json_t *string = json_stringn(ascii, bytes.len);
    free(ascii);
    return string;
}

json_t *answer_ok(void)
{
    json_t *answer = json_object();

    set_bool(answer, "ok", true);
    return answer;
}

json_t *answer_error(const char *why)
{
    json_t *answer = json_object();

    set_bool(answer, "ok", false);
    json_object_set_new(answer, "error", answer_text(span_cstr(why)));
    return answer;
}

static json_t *rerouted(const struct control_rerouted *row)
{
    json_t *object = json_pack("{s:o, s:o, s:s}", "from", answer_text(row->from), "to",
                               answer_text(row->to), "fate", row->fate);

    json_object_set_new(object, "route", row->route.len ? answer_text(row->route) : json_null());
    set_integer(object, "recipients", row->recipients);
    if (row->recipient.len > 0)
        json_object_set_new(object, "recipient", answer_text(row->recipient));
    return object;
}

static json_t *routes_of(const struct control_reroute *reroute)
{
    json_t *list = json_array();

    for (unsigned i = 0; i < reroute->row_count; i++)
        json_array_append_new(list, rerouted(&reroute->rows[i]));
    return list;
}

json_t *answer_operation(const struct control_operation *operation)
{
    char why[ERR_TEXT_MAX];

    bool tells = operation->reroute != NULL && operation->reroute->row_count > 0;

    switch (operation->result.kind) {
    case ERR_NONE:
        break;
    case ERR_NOT_FOUND:
        if (tells)
            break; /* nothing has changed, but why is in the rows */
        return answer_error(
            operation->moot > 0
                ? "there is nothing left to change: it has gone meanwhile, or is so already"
                : "there is no such message in the queue");
    case ERR_CONFLICT:
        return answer_error("it is being delivered at this moment; try again when that is over");
    default:
        return answer_error(err_text(operation->result, why));
    }
    json_t *answer = answer_ok();
    set_integer(answer, "affected", operation->affected);
    set_integer(answer, "busy", operation->busy);
    set_integer(answer, "moot", operation->moot);
    if (operation->reroute != NULL)
        json_object_set_new(answer, "routes", routes_of(operation->reroute));
    return answer;
}

json_t *answer_import(const struct control_import *import)
{
    char id[ID_TEXT_SIZE];
    json_t *answer;

    if (import->import == 0) {
        answer = json_pack("{s:b}", "ok", false);
        json_object_set_new(answer, "error", answer_text(span_cstr(import->why)));
        if (import->line != 0)
            set_integer(answer, "line", import->line);
        return answer;
    }
    answer = answer_ok();
    if (!import->is_stored) {
        set_integer(answer, "import", import->import);
        return answer;
    }
    json_object_set_new(answer, "id", json_string(id_format(import->id, id)));
    set_integer(answer, "recipients", import->recipients);
    return answer;
}

json_t *answer_forgotten(uint64_t count)
{
    json_t *answer = answer_ok();

    set_integer(answer, "forgotten", count);
    return answer;
}

json_t *answer_status(const struct control_status *status)
{
    const struct {
        const char *name;
        uint64_t value;
    } numbers[] = {
        {"started", status->started_wall_ms},
        {"workers", status->workers},
        {"messages", status->messages},
        {"groups", status->groups},
        {"sessions", status->sessions},
        {"gave_way", status->gave_way},
        {"accepted", status->accepted},
        {"rejected", status->rejected},
        {"delivered", status->delivered},
        {"deferred", status->deferred},
        {"failed", status->failed},
        {"destinations", status->destinations},
        {"connections", status->connections},
        {"commits", status->commits},
        {"store_operations", status->store_operations},
        {"map_used", status->map_used},
        {"map_size", status->map_size},
        {"disk_free", status->disk_free},
        {"oldest", status->oldest},
        {"overdue", status->overdue},
        {"swept", status->swept},
        {"suspensions", status->suspensions},
    };
    json_t *answer = answer_ok();
    size_t len = strnlen(status->configuration, sizeof status->configuration);

    json_object_set_new(answer, "version", json_string(SMARTHOP_VERSION));
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        set_integer(answer, numbers[i].name, numbers[i].value);
    set_bool(answer, "stress", status->stress);
    set_bool(answer, "store_low", status->store_low);
    set_bool(answer, "store_broken", status->store_broken);
    json_object_set_new(answer, "configuration", answer_text(span_of(status->configuration, len)));
    return answer;
}

static json_t *session(const struct control_session *s)
{
    const struct {
        const char *name;
        struct span value;
    } texts[] = {
        {"listener", s->listener}, {"client", s->client}, {"hello", s->hello},
        {"user", s->user},         {"state", s->state},   {"tls", s->tls},
    };
    const struct {
        const char *name;
        uint64_t value;
    } numbers[] = {
        {"state_ms", s->state_ms},     {"ms", s->ms},         {"messages", s->messages},
        {"recipients", s->recipients}, {"errors", s->errors}, {"bytes", s->bytes},
    };
    json_t *object = json_object();

    set_integer(object, "session", s->id);
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        json_object_set_new(object, texts[i].name, answer_text(texts[i].value));
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        set_integer(object, numbers[i].name, numbers[i].value);
    return object;
}

json_t *answer_sessions(const struct control_page *page)
{
    json_t *answer = answer_ok();
    json_t *list = json_array();

    for (unsigned i = 0; i < page->count; i++)
        json_array_append_new(list, session(&page->sessions[i]));
    json_object_set_new(answer, "sessions", list);
    set_bool(answer, "more", page->more);
    return answer;
}

json_t *answer_trace(void)
{
    json_t *answer = answer_ok();

    json_object_set_new(answer, "lines", json_array());
    return answer;
}

void answer_trace_line(json_t *answer, const struct control_trace_line *line)
{
    json_t *object = json_object();

    set_integer(object, "time", line->wall_ms);
    set_integer(object, "session", line->session);
    json_object_set_new(object, "client", answer_text(line->client));
    json_object_set_new(object, "text", answer_text(line->text));
    json_array_append_new(json_object_get(answer, "lines"), object);
}

void answer_trace_lost(json_t *answer, uint64_t lost)
{
    if (lost > 0)
        set_integer(answer, "lost", lost);
}

json_t *answer_reload(bool accepted, struct span messages)
{
    json_t *answer = accepted ? answer_ok()
                              : answer_error("the new configuration is refused; the old one stays");
    json_t *lines = json_array();

    while (messages.len > 0) {
        struct span line = span_split(messages, '\n', &messages);
        if (line.len > 0)
            json_array_append_new(lines, answer_text(line));
    }
    json_object_set_new(answer, "messages", lines);
    return answer;
}
