/* What has happened, as JSON objects, one a line. */
#include "plugins/kit/private.h"

#include "base/memory.h"

#include <jansson.h>
#include <string.h>

static void put(struct kit *kit, json_t *record)
{
    char *text = json_dumps(record, JSON_COMPACT | JSON_PRESERVE_ORDER);

    json_decref(record);
    if (text == NULL)
        abort();
    flockfile(kit->out);
    fputs(text, kit->out);
    putc('\n', kit->out);
    fflush(kit->out);
    funlockfile(kit->out);
    free(text);
}

/* Bytes that are no UTF-8 become "?". */
static json_t *text_of(const char *ptr, size_t len)
{
    json_t *text = json_stringn(ptr != NULL ? ptr : "", len);

    if (text != NULL)
        return text;
    char *plain = span_to_text(span_of(ptr, len));
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)plain[i] >= 0x80)
            plain[i] = '?';
    text = json_stringn(plain, len);
    free(plain);
    return text;
}

static void set_text(json_t *object, const char *name, struct smarthop_span text)
{
    if (text.len > 0)
        json_object_set_new(object, name, text_of(text.ptr, text.len));
}

static void set_cstr(json_t *object, const char *name, const char *text)
{
    json_object_set_new(object, name, text_of(text, strlen(text)));
}

static void set_number(json_t *object, const char *name, uint64_t number)
{
    json_object_set_new(object, name, json_integer((json_int_t)number));
}

static json_t *record_of(const char *kind)
{
    json_t *record = json_object();

    set_cstr(record, "record", kind);
    return record;
}

void record_plugin(struct kit *kit)
{
    const struct smarthop_plugin *plugin = &kit->self->plugin;
    json_t *record = record_of("plugin");
    json_t *hooks = json_array();

    set_cstr(record, "file", kit->self->file);
    set_cstr(record, "name", plugin->name);
    set_cstr(record, "version", plugin->version);
    set_cstr(record, "summary", plugin->summary);
    for (unsigned hook = 0; hook < SMARTHOP_HOOKS; hook++)
        if (plugin->hooks[hook] != NULL)
            json_array_append_new(hooks, json_string(plugin_hook_name(hook)));
    json_object_set_new(record, "hooks", hooks);
    put(kit, record);
}

void record_log(struct kit *kit, int level, const char *event, const char *text)
{
    static const char *const levels[] = {"debug", "info", "warn", "error"};
    json_t *record = record_of("log");

    if (level < SMARTHOP_DEBUG || level > SMARTHOP_ERROR)
        record_problem(kit, "it logs at a level that there is not");
    else
        set_cstr(record, "level", levels[level]);
    set_cstr(record, "event", event != NULL ? event : "");
    set_cstr(record, "text", text != NULL ? text : "");
    put(kit, record);
}

void record_problem(struct kit *kit, const char *text)
{
    json_t *record = record_of("problem");

    kit->is_misbehaving = true;
    set_cstr(record, "during", kit->shared->phase);
    set_cstr(record, "text", text);
    put(kit, record);
}

void record_race(struct kit *kit, enum smarthop_hook hook, const char *text)
{
    json_t *record = record_of("race");

    set_cstr(record, "hook", plugin_hook_name(hook));
    set_cstr(record, "text", text);
    put(kit, record);
}

void record_metric(struct kit *kit, const char *name, uint64_t count, uint64_t sum)
{
    json_t *record = record_of("metric");

    set_cstr(record, "name", name);
    set_number(record, "count", count);
    set_number(record, "sum", sum);
    put(kit, record);
}

void record_reload(struct kit *kit)
{
    put(kit, record_of("reload"));
}

void record_command(struct kit *kit, const char *words, int code, struct span output)
{
    json_t *record = record_of("command");

    set_cstr(record, "words", words);
    json_object_set_new(record, "code", json_integer(code));
    set_text(record, "output", plugin_text(output));
    put(kit, record);
}

void record_refusal(struct kit *kit, struct span messages)
{
    while (messages.len > 0) {
        struct span line = span_split(messages, '\n', &messages);
        json_t *record = record_of("refused");
        json_object_set_new(record, "text", text_of(line.ptr, line.len));
        put(kit, record);
    }
}

/* ---- verdicts ------------------------------------------------------------------------------ */

static void set_texts(json_t *object, const char *name, const struct smarthop_span *texts,
                      uint32_t count)
{
    json_t *list = json_array();

    for (uint32_t i = 0; i < count; i++)
        json_array_append_new(list, text_of(texts[i].ptr, texts[i].len));
    if (count > 0)
        json_object_set(object, name, list);
    json_decref(list);
}

static void set_next_hops(json_t *object, const struct smarthop_verdict *verdict)
{
    json_t *list = json_array();

    for (uint32_t i = 0; i < verdict->next_hop_count; i++) {
        const struct smarthop_next_hop *from = &verdict->next_hops[i];
        json_t *hop = json_object();
        set_text(hop, "host", from->host);
        set_number(hop, "port", from->port);
        set_number(hop, "priority", from->priority);
        set_number(hop, "weight", from->weight);
        json_array_append_new(list, hop);
    }
    if (verdict->next_hop_count > 0)
        json_object_set(object, "next_hops", list);
    json_decref(list);
}

static void set_targets(json_t *object, const struct smarthop_verdict *verdict)
{
    json_t *list = json_array();

    for (uint32_t i = 0; i < verdict->target_count; i++) {
        const struct smarthop_target *from = &verdict->targets[i];
        json_t *target = json_object();
        set_text(target, "host", from->host);
        set_text(target, "address", from->address);
        set_number(target, "port", from->port);
        set_number(target, "preference", from->preference);
        set_number(target, "weight", from->weight);
        json_array_append_new(list, target);
    }
    if (verdict->target_count > 0)
        json_object_set(object, "targets", list);
    json_decref(list);
}

static void set_edits(json_t *object, const struct smarthop_verdict *verdict)
{
    static const char *const kinds[] = {"prepend", "append", "replace", "remove"};
    json_t *list = json_array();

    for (uint32_t i = 0; i < verdict->edit_count; i++) {
        const struct smarthop_edit *from = &verdict->edits[i];
        json_t *edit = json_object();
        set_cstr(edit, "kind", kinds[from->kind]);
        set_number(edit, "nth", from->nth);
        set_text(edit, "name", from->name);
        set_text(edit, "value", from->value);
        json_array_append_new(list, edit);
    }
    if (verdict->edit_count > 0)
        json_object_set(object, "edits", list);
    json_decref(list);
}

static void set_codes(json_t *record, const struct smarthop_verdict *verdict)
{
    static const char *const transports[] = {"smtp", "lmtp", "drop"};
    static const char *const tls[] = {"", "none", "opportunistic", "required"};
    char enhanced[16];

    snprintf(enhanced, sizeof enhanced, "%u.%u.%u", verdict->enhanced[0], verdict->enhanced[1],
             verdict->enhanced[2]);
    if (verdict->code != 0)
        set_number(record, "code", verdict->code);
    if (verdict->enhanced[0] != 0)
        set_cstr(record, "enhanced", enhanced);
    if (verdict->action == SMARTHOP_SEND && verdict->transport <= SMARTHOP_DROP)
        set_cstr(record, "transport", transports[verdict->transport]);
    if (verdict->tls > SMARTHOP_TLS_UNSET && verdict->tls <= SMARTHOP_TLS_REQUIRED)
        set_cstr(record, "tls", tls[verdict->tls]);
    if (verdict->delay != 0)
        set_number(record, "delay_ms", verdict->delay);
}

static void set_verdict(json_t *record, const struct smarthop_verdict *verdict)
{
    set_cstr(record, "action", plugin_action_name(verdict->action));
    set_text(record, "why", verdict->why);
    set_text(record, "text", verdict->text);
    set_codes(record, verdict);
    set_text(record, "mx", verdict->mx);
    set_next_hops(record, verdict);
    set_texts(record, "recipients", verdict->recipients, verdict->recipient_count);
    set_text(record, "sender", verdict->sender);
    set_text(record, "limits", verdict->limits);
    set_text(record, "tenant", verdict->tenant);
    set_text(record, "source", verdict->source);
    set_text(record, "credentials", verdict->credentials);
    set_texts(record, "tags", verdict->tags, verdict->tag_count);
    set_edits(record, verdict);
    set_targets(record, verdict);
}

void record_decision(struct kit *kit, const struct asking *asking, const struct scene *scene,
                     const char *answer, uint64_t after, const struct smarthop_verdict *verdict)
{
    json_t *record = record_of("decision");

    set_cstr(record, "hook", plugin_hook_name(asking->hook));
    if (scene->recipient != NULL)
        set_text(record, "recipient", scene->recipient->address);
    set_cstr(record, "answer", answer);
    set_number(record, "after_ms", after);
    set_verdict(record, verdict);
    if (verdict->replace_body != 0)
        json_object_set_new(record, "body",
                            text_of(buf_span(&asking->body).ptr, buf_len(&asking->body)));
    put(kit, record);
}
