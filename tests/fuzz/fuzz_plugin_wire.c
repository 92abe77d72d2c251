/*
 * What a plugin's process and the server tell each other, both ways. Whatever is read is written
 * again: it must come out as the same bytes. A verdict that is read is judged as any other.
 */
#include "plugins/host/self.h"
#include "plugins/host/wire.h"
#include "tests/support/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void need_same(const struct wire_frame *frame, wire_writer *write, const void *object)
{
    struct wire_frame again;
    struct buf out;
    size_t used;

    buf_init(&out, 0);
    MUST(wire_add(&out, frame->kind, frame->token, write, object));
    MUST(wire_next(buf_span(&out), &again, &used) == WIRE_DONE && used == buf_len(&out));
    MUST(again.token == frame->token && span_equal(again.body, frame->body));
    buf_fini(&out);
}

static void try_start(struct arena *arena, const struct wire_frame *frame)
{
    struct wire_setup setup;
    struct wire_ready ready;

    if (frame->kind == WIRE_SETUP && wire_read_setup(arena, frame->body, &setup))
        need_same(frame, wire_write_setup, &setup);
    if (frame->kind == WIRE_READY && wire_read_ready(arena, frame->body, &ready))
        need_same(frame, wire_write_ready, &ready);
}

static void try_asking(struct arena *arena, const struct wire_frame *frame)
{
    struct smarthop_event event;
    struct smarthop_verdict copy;
    struct wire_answer answer;

    if (frame->kind == WIRE_ASK && wire_read_event(arena, frame->body, &event))
        need_same(frame, wire_write_event, &event);
    if (frame->kind != WIRE_ANSWER || !wire_read_answer(arena, frame->body, &answer))
        return;
    need_same(frame, wire_write_answer, &answer);
    if (answer.verdict != NULL)
        verdict_copy(arena, answer.verdict, &copy);
}

static void try_parcels(struct arena *arena, const struct wire_frame *frame)
{
    struct wire_parcel parcel;
    struct wire_order order;

    if (frame->kind >= WIRE_READ && wire_read_parcel(frame->body, &parcel))
        need_same(frame, wire_write_parcel, &parcel);
    if (frame->kind == WIRE_ORDER && wire_read_order(arena, frame->body, &order))
        need_same(frame, wire_write_order, &order);
}

static void try_services(struct arena *arena, const struct wire_frame *frame)
{
    struct smarthop_dns_answer found;
    struct wire_lookup lookup;
    struct wire_count count;
    struct wire_log log;

    if (frame->kind == WIRE_FOUND && wire_read_found(arena, frame->body, &found))
        need_same(frame, wire_write_found, &found);
    if (frame->kind == WIRE_LOOKUP && wire_read_lookup(frame->body, &lookup))
        need_same(frame, wire_write_lookup, &lookup);
    if (frame->kind == WIRE_COUNT && wire_read_count(frame->body, &count))
        need_same(frame, wire_write_count, &count);
    if (frame->kind == WIRE_LOG && wire_read_log(frame->body, &log))
        need_same(frame, wire_write_log, &log);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span rest = span_of((const char *)data, size);
    struct wire_frame frame;
    struct arena arena;
    size_t used;

    arena_init(&arena);
    while (wire_next(rest, &frame, &used) == WIRE_DONE) {
        MUST(used <= rest.len && frame.body.len <= WIRE_MOST);
        try_start(&arena, &frame);
        try_asking(&arena, &frame);
        try_services(&arena, &frame);
        try_parcels(&arena, &frame);
        rest = span_from(rest, used);
    }
    arena_fini(&arena);
    return 0;
}
