/* What a hook is asked about, as bytes. */
#include "plugins/host/wire.h"

enum { TARGETS_MOST = UINT16_MAX, TARGET_LEAST = 16 };

/* Which of its parts an event has. */
enum { HAS_SESSION = 1, HAS_MESSAGE = 2, HAS_RECIPIENT = 4, HAS_ATTEMPT = 8 };

static void put_session(struct record_writer *w, const struct smarthop_session *s)
{
    record_put32(w, s->flags);
    record_put64(w, s->id);
    wire_put_span(w, s->address);
    wire_put_span(w, s->name);
    wire_put_span(w, s->helo);
    wire_put_span(w, s->user);
    wire_put_span(w, s->mechanism);
    wire_put_span(w, s->listener);
    record_put16(w, s->port);
}

static const struct smarthop_session *get_session(struct arena *arena, struct record_reader *r)
{
    struct smarthop_session *s = arena_alloc(arena, sizeof *s);

    s->size = sizeof *s;
    s->flags = record_get32(r);
    s->id = record_get64(r);
    s->address = wire_get_span(r);
    s->name = wire_get_span(r);
    s->helo = wire_get_span(r);
    s->user = wire_get_span(r);
    s->mechanism = wire_get_span(r);
    s->listener = wire_get_span(r);
    s->port = record_get16(r);
    return s;
}

static void put_message(struct record_writer *w, const struct smarthop_message *m)
{
    record_put32(w, m->flags);
    record_put64(w, m->id);
    wire_put_span(w, m->sender);
    wire_put_span(w, m->envid);
    wire_put_span(w, m->tenant);
    wire_put_span(w, m->header);
    record_put64(w, m->bytes);
    record_put64(w, m->arrival);
    record_put32(w, (uint32_t)m->priority);
    record_put32(w, m->recipients);
    wire_put_span(w, m->tags);
}

static const struct smarthop_message *get_message(struct arena *arena, struct record_reader *r)
{
    struct smarthop_message *m = arena_alloc(arena, sizeof *m);

    m->size = sizeof *m;
    m->flags = record_get32(r);
    m->id = record_get64(r);
    m->sender = wire_get_span(r);
    m->envid = wire_get_span(r);
    m->tenant = wire_get_span(r);
    m->header = wire_get_span(r);
    m->bytes = record_get64(r);
    m->arrival = record_get64(r);
    m->priority = (int32_t)record_get32(r);
    m->recipients = record_get32(r);
    m->tags = wire_get_span(r);
    return m;
}

static void put_recipient(struct record_writer *w, const struct smarthop_recipient *rcpt)
{
    record_put32(w, rcpt->tries);
    wire_put_span(w, rcpt->address);
    wire_put_span(w, rcpt->local);
    wire_put_span(w, rcpt->domain);
    wire_put_span(w, rcpt->orcpt);
    record_put32(w, rcpt->flags);
}

static const struct smarthop_recipient *get_recipient(struct arena *arena, struct record_reader *r)
{
    struct smarthop_recipient *rcpt = arena_alloc(arena, sizeof *rcpt);

    rcpt->size = sizeof *rcpt;
    rcpt->tries = record_get32(r);
    rcpt->address = wire_get_span(r);
    rcpt->local = wire_get_span(r);
    rcpt->domain = wire_get_span(r);
    rcpt->orcpt = wire_get_span(r);
    rcpt->flags = record_get32(r);
    return rcpt;
}

static void put_attempt(struct record_writer *w, const struct smarthop_attempt *a)
{
    record_put32(w, a->outcome);
    wire_put_span(w, a->next_hop);
    wire_put_span(w, a->host);
    wire_put_span(w, a->address);
    wire_put_span(w, a->tls);
    record_put16(w, a->code);
    record_put_bytes(w, a->enhanced, sizeof a->enhanced);
    record_put8(w, a->tls_verified);
    wire_put_span(w, a->reply);
    record_put64(w, a->connect_ms);
    record_put64(w, a->envelope_ms);
    record_put64(w, a->data_ms);
    record_put64(w, a->total_ms);
}

static const struct smarthop_attempt *get_attempt(struct arena *arena, struct record_reader *r)
{
    struct smarthop_attempt *a = arena_alloc(arena, sizeof *a);

    a->size = sizeof *a;
    a->outcome = record_get32(r);
    a->next_hop = wire_get_span(r);
    a->host = wire_get_span(r);
    a->address = wire_get_span(r);
    a->tls = wire_get_span(r);
    a->code = record_get16(r);
    for (size_t i = 0; i < sizeof a->enhanced; i++)
        a->enhanced[i] = (uint8_t)record_get8(r);
    a->tls_verified = (uint8_t)record_get8(r);
    a->reply = wire_get_span(r);
    a->connect_ms = record_get64(r);
    a->envelope_ms = record_get64(r);
    a->data_ms = record_get64(r);
    a->total_ms = record_get64(r);
    return a;
}

void wire_put_target(struct record_writer *w, const struct smarthop_target *target)
{
    wire_put_span(w, target->host);
    wire_put_span(w, target->address);
    record_put16(w, target->port);
    record_put16(w, target->preference);
    record_put32(w, target->weight);
}

const struct smarthop_target *wire_get_targets(struct arena *arena, struct record_reader *r,
                                               uint32_t *count_out)
{
    uint32_t count = record_get32(r);

    if (r->bad || count > TARGETS_MOST || count > r->rest.len / TARGET_LEAST) {
        r->bad = true;
        count = 0;
    }
    struct smarthop_target *targets =
        count > 0 ? arena_alloc(arena, count * sizeof *targets) : NULL;
    for (uint32_t i = 0; i < count; i++) {
        targets[i].host = wire_get_span(r);
        targets[i].address = wire_get_span(r);
        targets[i].port = record_get16(r);
        targets[i].preference = record_get16(r);
        targets[i].weight = record_get32(r);
    }
    *count_out = count;
    return targets;
}

void wire_write_event(struct record_writer *w, const void *object)
{
    const struct smarthop_event *event = object;

    record_put32(w, event->hook);
    record_put8(w, (event->session != NULL ? HAS_SESSION : 0u) |
                       (event->message != NULL ? HAS_MESSAGE : 0u) |
                       (event->recipient != NULL ? HAS_RECIPIENT : 0u) |
                       (event->attempt != NULL ? HAS_ATTEMPT : 0u));
    if (event->session != NULL)
        put_session(w, event->session);
    if (event->message != NULL)
        put_message(w, event->message);
    if (event->recipient != NULL)
        put_recipient(w, event->recipient);
    if (event->attempt != NULL)
        put_attempt(w, event->attempt);
    record_put32(w, event->target_count);
    for (uint32_t i = 0; i < event->target_count; i++)
        wire_put_target(w, &event->targets[i]);
}

bool wire_read_event(struct arena *arena, struct span body, struct smarthop_event *out)
{
    struct span copy = arena_dup(arena, body);
    struct record_reader r = wire_open(copy);

    *out = (struct smarthop_event){.size = sizeof *out,
                                   .target_stride = sizeof(struct smarthop_target)};
    out->hook = record_get32(&r);
    unsigned has = record_get_at_most(&r, HAS_SESSION | HAS_MESSAGE | HAS_RECIPIENT | HAS_ATTEMPT);
    if (has & HAS_SESSION)
        out->session = get_session(arena, &r);
    if (has & HAS_MESSAGE)
        out->message = get_message(arena, &r);
    if (has & HAS_RECIPIENT)
        out->recipient = get_recipient(arena, &r);
    if (has & HAS_ATTEMPT)
        out->attempt = get_attempt(arena, &r);
    out->targets = wire_get_targets(arena, &r, &out->target_count);
    return wire_close(&r) && out->hook < SMARTHOP_HOOKS;
}
