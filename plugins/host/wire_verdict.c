/* What a hook answers, as bytes. Lists are bounded here, so that they can be held; the rest of what
 * an answer may be is verdict_copy's to say. */
#include "plugins/host/wire.h"

static void put_spans(struct record_writer *w, const struct smarthop_span *spans, uint32_t count)
{
    record_put32(w, count);
    for (uint32_t i = 0; i < count; i++)
        wire_put_span(w, spans[i]);
}

/* Room for a list; *count_out 0 = it is empty, or does not fit. */
static void *get_room(struct arena *arena, struct record_reader *r, uint32_t most, size_t size,
                      uint32_t *count_out)
{
    uint32_t count = record_get32(r);

    if (r->bad || count > most) {
        r->bad = true;
        count = 0;
    }
    *count_out = count;
    return count > 0 ? arena_alloc(arena, count * size) : NULL;
}

static const struct smarthop_span *get_spans(struct arena *arena, struct record_reader *r,
                                             uint32_t most, uint32_t *count_out)
{
    struct smarthop_span *spans = get_room(arena, r, most, sizeof *spans, count_out);

    for (uint32_t i = 0; i < *count_out; i++)
        spans[i] = wire_get_span(r);
    return spans;
}

static void put_hops(struct record_writer *w, const struct smarthop_verdict *v)
{
    record_put32(w, v->next_hop_count);
    for (uint32_t i = 0; i < v->next_hop_count; i++) {
        wire_put_span(w, v->next_hops[i].host);
        record_put16(w, v->next_hops[i].port);
        record_put16(w, v->next_hops[i].priority);
        record_put32(w, v->next_hops[i].weight);
    }
}

static void get_hops(struct arena *arena, struct record_reader *r, struct smarthop_verdict *v)
{
    struct smarthop_next_hop *hops =
        get_room(arena, r, SMARTHOP_NEXT_HOPS_MAX, sizeof *hops, &v->next_hop_count);

    for (uint32_t i = 0; i < v->next_hop_count; i++) {
        hops[i].host = wire_get_span(r);
        hops[i].port = record_get16(r);
        hops[i].priority = record_get16(r);
        hops[i].weight = record_get32(r);
    }
    v->next_hops = hops;
}

static void put_edits(struct record_writer *w, const struct smarthop_verdict *v)
{
    record_put32(w, v->edit_count);
    for (uint32_t i = 0; i < v->edit_count; i++) {
        record_put32(w, v->edits[i].kind);
        record_put32(w, v->edits[i].nth);
        wire_put_span(w, v->edits[i].name);
        wire_put_span(w, v->edits[i].value);
    }
}

static void get_edits(struct arena *arena, struct record_reader *r, struct smarthop_verdict *v)
{
    struct smarthop_edit *edits =
        get_room(arena, r, SMARTHOP_EDITS_MAX, sizeof *edits, &v->edit_count);

    for (uint32_t i = 0; i < v->edit_count; i++) {
        edits[i].kind = record_get32(r);
        edits[i].nth = record_get32(r);
        edits[i].name = wire_get_span(r);
        edits[i].value = wire_get_span(r);
    }
    v->edits = edits;
}

void wire_write_verdict(struct record_writer *w, const void *object)
{
    const struct smarthop_verdict *v = object;

    record_put8(w, v == NULL);
    if (v == NULL)
        return;
    record_put32(w, v->action);
    record_put16(w, v->code);
    record_put_bytes(w, v->enhanced, sizeof v->enhanced);
    record_put8(w, v->transport);
    record_put32(w, v->tls);
    record_put64(w, v->delay);
    record_put32(w, v->replace_body);
    wire_put_span(w, v->why);
    wire_put_span(w, v->text);
    wire_put_span(w, v->mx);
    wire_put_span(w, v->sender);
    wire_put_span(w, v->limits);
    wire_put_span(w, v->tenant);
    wire_put_span(w, v->source);
    wire_put_span(w, v->credentials);
    put_hops(w, v);
    put_spans(w, v->recipients, v->recipient_count);
    put_spans(w, v->tags, v->tag_count);
    put_edits(w, v);
    record_put32(w, v->target_count);
    for (uint32_t i = 0; i < v->target_count; i++)
        wire_put_target(w, &v->targets[i]);
}

static void get_verdict(struct arena *arena, struct record_reader *r, struct smarthop_verdict *v)
{
    v->action = record_get32(r);
    v->code = record_get16(r);
    for (size_t i = 0; i < sizeof v->enhanced; i++)
        v->enhanced[i] = (uint8_t)record_get8(r);
    v->transport = (uint8_t)record_get8(r);
    v->tls = record_get32(r);
    v->delay = record_get64(r);
    v->replace_body = record_get32(r);
    v->why = wire_get_span(r);
    v->text = wire_get_span(r);
    v->mx = wire_get_span(r);
    v->sender = wire_get_span(r);
    v->limits = wire_get_span(r);
    v->tenant = wire_get_span(r);
    v->source = wire_get_span(r);
    v->credentials = wire_get_span(r);
    get_hops(arena, r, v);
    v->recipients = get_spans(arena, r, SMARTHOP_REWRITES_MAX, &v->recipient_count);
    v->tags = get_spans(arena, r, SMARTHOP_TAGS_MAX, &v->tag_count);
    get_edits(arena, r, v);
    v->targets = wire_get_targets(arena, r, &v->target_count);
}

bool wire_read_verdict(struct arena *arena, struct span body, struct smarthop_verdict *out,
                       bool *is_broken_out)
{
    struct record_reader r = wire_open(body);

    *out = (struct smarthop_verdict){.size = sizeof *out};
    *is_broken_out = record_get_at_most(&r, 1);
    if (!*is_broken_out)
        get_verdict(arena, &r, out);
    return wire_close(&r);
}
