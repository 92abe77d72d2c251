#include "plugins/host/wire.h"

enum { FRAME_REST = WIRE_HEAD - 4 }; /* of the head, counted in the length */

enum wire_result wire_next(struct span bytes, struct wire_frame *out, size_t *used_out)
{
    if (bytes.len < WIRE_HEAD)
        return WIRE_MORE;
    size_t len = wire_get32(bytes.ptr);
    unsigned kind = (unsigned char)bytes.ptr[4];
    if (len < FRAME_REST || len - FRAME_REST > WIRE_MOST || kind >= WIRE_KINDS)
        return WIRE_BAD;
    if (bytes.len - 4 < len)
        return WIRE_MORE;
    out->kind = (enum wire_kind)kind;
    out->token = wire_get64(bytes.ptr + 5);
    out->body = span_of(bytes.ptr + WIRE_HEAD, len - FRAME_REST);
    *used_out = 4 + len;
    return WIRE_DONE;
}

bool wire_add(struct buf *out, enum wire_kind kind, uint64_t token, wire_writer *write,
              const void *object)
{
    struct record_writer w = {.room = NULL};

    if (write != NULL)
        write(&w, object);
    size_t len = w.len;
    char *room = len <= WIRE_MOST ? buf_reserve(out, WIRE_HEAD + len) : NULL;
    if (room == NULL)
        return false;
    wire_put32(room, (uint32_t)(FRAME_REST + len));
    room[4] = (char)kind;
    wire_put64(room + 5, token);
    w = (struct record_writer){.room = room + WIRE_HEAD};
    if (write != NULL)
        write(&w, object);
    buf_commit(out, WIRE_HEAD + len);
    return true;
}

void wire_put_span(struct record_writer *w, struct smarthop_span text)
{
    record_put32(w, (uint32_t)text.len);
    record_put_bytes(w, text.ptr, text.len);
}

struct smarthop_span wire_get_span(struct record_reader *r)
{
    size_t len = record_get32(r);

    if (r->bad || len > r->rest.len) {
        r->bad = true;
        return smarthop_span_of(NULL, 0);
    }
    struct smarthop_span text = smarthop_span_of(len > 0 ? r->rest.ptr : NULL, len);
    r->rest = span_from(r->rest, len);
    return text;
}

/* ---- the start ---------------------------------------------------------------------------- */

static void put_text(struct record_writer *w, const char *text)
{
    wire_put_span(w, smarthop_span_of(text, text != NULL ? strlen(text) : 0));
}

static char *get_text(struct arena *arena, struct record_reader *r)
{
    struct smarthop_span text = wire_get_span(r);

    r->bad |= text.len > 0 && memchr(text.ptr, '\0', text.len) != NULL;
    return (char *)arena_dup(arena, span_of(text.ptr, text.len)).ptr;
}

/* A list, of which each item takes at least `least` bytes. */
static uint32_t get_count(struct record_reader *r, size_t least)
{
    uint32_t count = record_get32(r);

    if (!r->bad && count <= r->rest.len / least)
        return count;
    r->bad = true;
    return 0;
}

static void put_option(struct record_writer *w, const struct conf_option *option)
{
    put_text(w, option->name);
    record_put32(w, option->count);
    for (unsigned i = 0; i < option->count; i++) {
        record_put32(w, option->lines[i]);
        put_text(w, option->values[i]);
    }
}

static void get_option(struct arena *arena, struct record_reader *r, struct conf_option *option)
{
    option->name = get_text(arena, r);
    option->count = get_count(r, 8);
    option->values = arena_alloc(arena, (option->count + 1) * sizeof *option->values);
    option->lines = arena_alloc(arena, (option->count + 1) * sizeof *option->lines);
    for (unsigned i = 0; i < option->count; i++) {
        option->lines[i] = record_get32(r);
        option->values[i] = get_text(arena, r);
    }
}

void wire_write_setup(struct record_writer *w, const void *object)
{
    const struct wire_setup *setup = object;
    const struct conf_plugin *section = setup->section;

    wire_put_span(w, setup->version);
    wire_put_span(w, setup->file);
    wire_put_span(w, setup->conf_file);
    record_put32(w, setup->channels);
    record_put8(w, setup->is_check);
    put_text(w, section->name);
    put_text(w, section->user);
    put_text(w, section->process_writes);
    record_put8(w, section->network);
    record_put64(w, section->memory_max);
    record_put32(w, section->option_count);
    for (unsigned i = 0; i < section->option_count; i++)
        put_option(w, &section->options[i]);
}

bool wire_read_setup(struct arena *arena, struct span body, struct wire_setup *out)
{
    struct record_reader r = wire_open(body);
    struct conf_plugin *section = arena_alloc(arena, sizeof *section);

    out->version = wire_get_span(&r);
    out->file = wire_get_span(&r);
    out->conf_file = wire_get_span(&r);
    out->channels = record_get32(&r);
    out->is_check = record_get_at_most(&r, 1);
    section->name = get_text(arena, &r);
    section->user = get_text(arena, &r);
    section->process_writes = get_text(arena, &r);
    section->network = record_get_at_most(&r, 1);
    section->memory_max = record_get64(&r);
    section->option_count = get_count(&r, 8);
    section->options = arena_alloc(arena, (section->option_count + 1) * sizeof *section->options);
    for (unsigned i = 0; i < section->option_count; i++)
        get_option(arena, &r, &section->options[i]);
    out->section = section;
    return wire_close(&r);
}

void wire_write_ready(struct record_writer *w, const void *object)
{
    const struct wire_ready *ready = object;

    record_put32(w, ready->flags);
    record_put32(w, ready->fail_mode);
    record_put32(w, ready->hooks);
    record_put8(w, ready->has_reload);
    record_put8(w, ready->has_command);
    wire_put_span(w, ready->name);
    wire_put_span(w, ready->version);
    wire_put_span(w, ready->summary);
    record_put32(w, ready->metric_count);
    for (uint32_t i = 0; i < ready->metric_count; i++) {
        record_put32(w, ready->metrics[i].kind);
        wire_put_span(w, ready->metrics[i].name);
        wire_put_span(w, ready->metrics[i].help);
    }
}

bool wire_read_ready(struct arena *arena, struct span body, struct wire_ready *out)
{
    struct span copy = arena_dup(arena, body);
    struct record_reader r = wire_open(copy);

    out->flags = record_get32(&r);
    out->fail_mode = record_get32(&r);
    out->hooks = record_get32(&r);
    out->has_reload = record_get_at_most(&r, 1);
    out->has_command = record_get_at_most(&r, 1);
    out->name = wire_get_span(&r);
    out->version = wire_get_span(&r);
    out->summary = wire_get_span(&r);
    out->metric_count = record_get32(&r);
    if (out->metric_count > WIRE_METRICS_MOST)
        return false;
    for (uint32_t i = 0; i < out->metric_count; i++) {
        out->metrics[i].kind = record_get32(&r);
        out->metrics[i].name = wire_get_span(&r);
        out->metrics[i].help = wire_get_span(&r);
    }
    return wire_close(&r);
}

/* ---- services ----------------------------------------------------------------------------- */

void wire_write_log(struct record_writer *w, const void *object)
{
    const struct wire_log *log = object;

    record_put32(w, log->level);
    wire_put_span(w, log->event);
    wire_put_span(w, log->text);
}

bool wire_read_log(struct span body, struct wire_log *out)
{
    struct record_reader r = wire_open(body);

    out->level = record_get32(&r);
    out->event = wire_get_span(&r);
    out->text = wire_get_span(&r);
    return wire_close(&r);
}

void wire_write_count(struct record_writer *w, const void *object)
{
    const struct wire_count *count = object;

    record_put32(w, count->metric);
    record_put64(w, count->value);
}

bool wire_read_count(struct span body, struct wire_count *out)
{
    struct record_reader r = wire_open(body);

    out->metric = record_get32(&r);
    out->value = record_get64(&r);
    return wire_close(&r);
}

void wire_write_lookup(struct record_writer *w, const void *object)
{
    const struct wire_lookup *lookup = object;

    record_put32(w, lookup->record);
    wire_put_span(w, lookup->name);
}

bool wire_read_lookup(struct span body, struct wire_lookup *out)
{
    struct record_reader r = wire_open(body);

    out->record = record_get32(&r);
    out->name = wire_get_span(&r);
    return wire_close(&r) && out->record <= SMARTHOP_DNS_MX_ONLY;
}

void wire_write_found(struct record_writer *w, const void *object)
{
    const struct smarthop_dns_answer *answer = object;

    record_put32(w, answer->result);
    record_put32(w, answer->ttl_s);
    record_put32(w, answer->authenticated);
    record_put32(w, answer->count);
    record_put8(w, answer->preferences != NULL);
    for (uint32_t i = 0; i < answer->count; i++) {
        wire_put_span(w, answer->records[i]);
        if (answer->preferences != NULL)
            record_put16(w, answer->preferences[i]);
    }
}

bool wire_read_found(struct arena *arena, struct span body, struct smarthop_dns_answer *out)
{
    struct span copy = arena_dup(arena, body);
    struct record_reader r = wire_open(copy);

    *out = (struct smarthop_dns_answer){.size = sizeof *out};
    out->result = record_get32(&r);
    out->ttl_s = record_get32(&r);
    out->authenticated = record_get32(&r);
    uint32_t count = get_count(&r, 1);
    bool has_preferences = record_get_at_most(&r, 1);
    struct smarthop_span *records = arena_alloc(arena, (count + 1) * sizeof *records);
    uint16_t *preferences = arena_alloc(arena, (count + 1) * sizeof *preferences);
    for (uint32_t i = 0; i < count; i++) {
        records[i] = wire_get_span(&r);
        preferences[i] = has_preferences ? record_get16(&r) : 0;
    }
    out->count = count;
    out->records = records;
    out->preferences = has_preferences ? preferences : NULL;
    return wire_close(&r) && out->result <= SMARTHOP_DNS_RETRY;
}

/* ---- contents, stores, commands ----------------------------------------------------------- */

void wire_write_parcel(struct record_writer *w, const void *object)
{
    const struct wire_parcel *parcel = object;

    record_put64(w, parcel->id);
    record_put64(w, (uint64_t)parcel->number);
    record_put32(w, parcel->len);
    wire_put_span(w, parcel->key);
    wire_put_span(w, parcel->bytes);
}

bool wire_read_parcel(struct span body, struct wire_parcel *out)
{
    struct record_reader r = wire_open(body);

    out->id = record_get64(&r);
    out->number = (int64_t)record_get64(&r);
    out->len = record_get32(&r);
    out->key = wire_get_span(&r);
    out->bytes = wire_get_span(&r);
    return wire_close(&r);
}

void wire_write_order(struct record_writer *w, const void *object)
{
    const struct wire_order *order = object;

    wire_put_spans(w, order->words, order->count);
}

bool wire_read_order(struct arena *arena, struct span body, struct wire_order *out)
{
    struct span copy = arena_dup(arena, body);
    struct record_reader r = wire_open(copy);

    out->words = wire_get_spans(arena, &r, WIRE_WORDS_MOST, &out->count);
    return wire_close(&r);
}
