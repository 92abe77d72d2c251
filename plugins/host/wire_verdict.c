/* What a hook answers, as bytes. Lists are bounded here, so that they can be held; the rest of what
 * an answer may be is verdict_copy's to say. */
#include "plugins/host/wire.h"

void wire_put_spans(struct record_writer *w, const struct smarthop_span *spans, uint32_t count)
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

const struct smarthop_span *wire_get_spans(struct arena *arena, struct record_reader *r,
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

static void put_verdict(struct record_writer *w, const struct smarthop_verdict *v)
{
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
    wire_put_spans(w, v->recipients, v->recipient_count);
    wire_put_spans(w, v->tags, v->tag_count);
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
    v->recipients = wire_get_spans(arena, r, SMARTHOP_REWRITES_MAX, &v->recipient_count);
    v->tags = wire_get_spans(arena, r, SMARTHOP_TAGS_MAX, &v->tag_count);
    get_edits(arena, r, v);
    v->targets = wire_get_targets(arena, r, &v->target_count);
}

void wire_write_answer(struct record_writer *w, const void *object)
{
    const struct wire_answer *answer = object;

    record_put8(w, answer->verdict != NULL);
    if (answer->verdict != NULL)
        put_verdict(w, answer->verdict);
    else
        wire_put_span(w, answer->problem);
}

bool wire_read_answer(struct arena *arena, struct span body, struct wire_answer *out)
{
    struct record_reader r = wire_open(body);
    struct smarthop_verdict *verdict = arena_alloc(arena, sizeof *verdict);

    *verdict = (struct smarthop_verdict){.size = sizeof *verdict};
    *out = (struct wire_answer){.verdict = NULL};
    if (record_get_at_most(&r, 1)) {
        get_verdict(arena, &r, verdict);
        out->verdict = verdict;
    } else {
        out->problem = wire_get_span(&r);
    }
    return wire_close(&r);
}
