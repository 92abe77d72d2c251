/* plugins/host/wire: what passes between the server and a plugin's process, both ways. */
#include "plugins/host/wire.h"
#include "support/split.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define EQUAL(a, b) assert_true(smarthop_equal((a), (b)))

/* The body of the only frame. */
static struct span body_of(const struct buf *out, enum wire_kind kind, uint64_t token)
{
    struct wire_frame frame;
    size_t used;

    assert_int_equal(wire_next(buf_span(out), &frame, &used), WIRE_DONE);
    assert_int_equal(used, buf_len(out));
    assert_int_equal(frame.kind, kind);
    assert_true(frame.token == token);
    return frame.body;
}

static struct smarthop_event whole_event(void)
{
    static const struct smarthop_session session = {
        .size = sizeof session,
        .flags = SMARTHOP_SESSION_TLS,
        .id = UINT64_MAX,
        .address = SMARTHOP_TEXT_INIT("192.0.2.1"),
        .user = SMARTHOP_TEXT_INIT("ann"),
        .listener = SMARTHOP_TEXT_INIT("in"),
        .port = 65535,
    };
    static const struct smarthop_message message = {
        .size = sizeof message,
        .id = 7,
        .sender = SMARTHOP_TEXT_INIT("a@example.org"),
        .header = SMARTHOP_TEXT_INIT("Subject: \0 and more\r\n"),
        .bytes = 1ull << 40,
        .priority = -9,
        .recipients = 3,
        .tags = SMARTHOP_TEXT_INIT("bulk,eu"),
    };
    static const struct smarthop_recipient recipient = {
        .size = sizeof recipient,
        .tries = 2,
        .address = SMARTHOP_TEXT_INIT("b@example.net"),
        .domain = SMARTHOP_TEXT_INIT("example.net"),
    };
    static const struct smarthop_attempt attempt = {
        .size = sizeof attempt,
        .outcome = SMARTHOP_FAILED,
        .host = SMARTHOP_TEXT_INIT("mx.example.net"),
        .code = 550,
        .enhanced = {5, 1, 1},
        .reply = SMARTHOP_TEXT_INIT("550 nobody"),
        .total_ms = 12,
    };
    static const struct smarthop_target targets[] = {
        {SMARTHOP_TEXT_INIT("one"), SMARTHOP_TEXT_INIT("192.0.2.2"), 25, 10, 1},
        {SMARTHOP_TEXT_INIT("two"), SMARTHOP_TEXT_INIT(""), 26, 20, 2},
    };

    return (struct smarthop_event){.size = sizeof(struct smarthop_event),
                                   .hook = SMARTHOP_ON_AFTER_ATTEMPT,
                                   .session = &session,
                                   .message = &message,
                                   .recipient = &recipient,
                                   .attempt = &attempt,
                                   .targets = targets,
                                   .target_count = 2,
                                   .target_stride = sizeof targets[0]};
}

static void test_event(void **state)
{
    struct smarthop_event in = whole_event(), out;
    struct arena arena;
    struct buf bytes;

    (void)state;
    arena_init(&arena);
    buf_init(&bytes, 0);
    assert_true(wire_add(&bytes, WIRE_ASK, 42, wire_write_event, &in));
    assert_true(wire_read_event(&arena, body_of(&bytes, WIRE_ASK, 42), &out));
    buf_fini(&bytes); /* what was read does not need it */
    assert_int_equal(out.hook, SMARTHOP_ON_AFTER_ATTEMPT);
    assert_int_equal(out.session->flags, SMARTHOP_SESSION_TLS);
    assert_true(out.session->id == UINT64_MAX);
    assert_int_equal(out.session->size, sizeof *out.session);
    EQUAL(out.session->user, in.session->user);
    assert_int_equal(out.session->port, 65535);
    EQUAL(out.message->header, in.message->header);
    assert_int_equal(out.message->priority, -9);
    assert_true(out.message->bytes == 1ull << 40);
    EQUAL(out.message->tags, in.message->tags);
    EQUAL(out.recipient->domain, in.recipient->domain);
    assert_int_equal(out.recipient->tries, 2);
    assert_int_equal(out.attempt->code, 550);
    assert_int_equal(out.attempt->enhanced[1], 1);
    EQUAL(out.attempt->reply, in.attempt->reply);
    assert_int_equal(out.target_count, 2);
    EQUAL(out.targets[1].host, in.targets[1].host);
    assert_int_equal(out.targets[1].weight, 2);
    arena_fini(&arena);
}

static void test_bare_event(void **state)
{
    struct smarthop_event in = {.hook = SMARTHOP_ON_CONNECT}, out;
    struct arena arena;
    struct buf bytes;

    (void)state;
    arena_init(&arena);
    buf_init(&bytes, 0);
    assert_true(wire_add(&bytes, WIRE_ASK, 1, wire_write_event, &in));
    assert_true(wire_read_event(&arena, body_of(&bytes, WIRE_ASK, 1), &out));
    assert_null(out.session);
    assert_null(out.message);
    assert_null(out.recipient);
    assert_null(out.attempt);
    assert_int_equal(out.target_count, 0);
    buf_fini(&bytes);
    arena_fini(&arena);
}

static struct smarthop_verdict whole_verdict(void)
{
    static const struct smarthop_next_hop hops[] = {{SMARTHOP_TEXT_INIT("one"), 25, 1, 2}};
    static const struct smarthop_span texts[] = {SMARTHOP_TEXT_INIT("x"), SMARTHOP_TEXT_INIT("y")};
    static const struct smarthop_edit edits[] = {
        {SMARTHOP_REPLACE, 2, SMARTHOP_TEXT_INIT("Subject"), SMARTHOP_TEXT_INIT("new")}};
    static const struct smarthop_target targets[] = {
        {SMARTHOP_TEXT_INIT("t"), SMARTHOP_TEXT_INIT("192.0.2.9"), 25, 1, 1}};

    return (struct smarthop_verdict){.size = sizeof(struct smarthop_verdict),
                                     .action = SMARTHOP_SEND,
                                     .code = 250,
                                     .enhanced = {2, 0, 0},
                                     .transport = SMARTHOP_LMTP,
                                     .tls = SMARTHOP_TLS_REQUIRED,
                                     .delay = 1ull << 33,
                                     .why = SMARTHOP_TEXT("because"),
                                     .mx = SMARTHOP_TEXT("example.net"),
                                     .next_hops = hops,
                                     .next_hop_count = 1,
                                     .recipients = texts,
                                     .recipient_count = 2,
                                     .tags = texts,
                                     .tag_count = 1,
                                     .edits = edits,
                                     .edit_count = 1,
                                     .targets = targets,
                                     .target_count = 1,
                                     .replace_body = 1};
}

static void test_answer(void **state)
{
    struct smarthop_verdict in = whole_verdict();
    struct wire_answer answer = {.verdict = &in}, out;
    struct arena arena;
    struct buf bytes;

    (void)state;
    arena_init(&arena);
    buf_init(&bytes, 0);
    assert_true(wire_add(&bytes, WIRE_ANSWER, 5, wire_write_answer, &answer));
    assert_true(wire_read_answer(&arena, body_of(&bytes, WIRE_ANSWER, 5), &out));
    const struct smarthop_verdict *v = out.verdict;
    assert_non_null(v);
    assert_int_equal(v->action, SMARTHOP_SEND);
    assert_int_equal(v->transport, SMARTHOP_LMTP);
    assert_int_equal(v->tls, SMARTHOP_TLS_REQUIRED);
    assert_true(v->delay == 1ull << 33);
    EQUAL(v->why, in.why);
    EQUAL(v->mx, in.mx);
    EQUAL(v->next_hops[0].host, in.next_hops[0].host);
    assert_int_equal(v->next_hops[0].weight, 2);
    assert_int_equal(v->recipient_count, 2);
    EQUAL(v->recipients[1], in.recipients[1]);
    assert_int_equal(v->tag_count, 1);
    EQUAL(v->edits[0].value, in.edits[0].value);
    assert_int_equal(v->edits[0].nth, 2);
    EQUAL(v->targets[0].address, in.targets[0].address);
    assert_int_equal(v->replace_body, 1);
    buf_clear(&bytes);
    answer = (struct wire_answer){.problem = SMARTHOP_TEXT("no")};
    assert_true(wire_add(&bytes, WIRE_ANSWER, 5, wire_write_answer, &answer));
    assert_true(wire_read_answer(&arena, body_of(&bytes, WIRE_ANSWER, 5), &out));
    assert_null(out.verdict);
    EQUAL(out.problem, SMARTHOP_TEXT("no"));
    buf_fini(&bytes);
    arena_fini(&arena);
}

static void test_parcel(void **state)
{
    struct wire_parcel in = {UINT64_MAX, -1, 4096, SMARTHOP_TEXT("key"), SMARTHOP_TEXT("a\0b")};
    struct wire_parcel out;
    struct buf bytes;

    (void)state;
    buf_init(&bytes, 0);
    assert_true(wire_add(&bytes, WIRE_PUT, 6, wire_write_parcel, &in));
    struct span body = body_of(&bytes, WIRE_PUT, 6);
    assert_true(wire_read_parcel(body, &out));
    assert_true(out.id == UINT64_MAX && out.number == -1 && out.len == 4096);
    EQUAL(out.key, in.key);
    EQUAL(out.bytes, in.bytes);
    for (size_t len = 0; len < body.len; len++)
        assert_false(wire_read_parcel(span_head(body, len), &out));
    buf_fini(&bytes);
}

static void test_order(void **state)
{
    static const struct smarthop_span words[] = {SMARTHOP_TEXT_INIT("look"),
                                                 SMARTHOP_TEXT_INIT("a b")};
    struct wire_order in = {words, 2}, out;
    struct arena arena;
    struct buf bytes;

    (void)state;
    arena_init(&arena);
    buf_init(&bytes, 0);
    assert_true(wire_add(&bytes, WIRE_ORDER, 6, wire_write_order, &in));
    struct span body = body_of(&bytes, WIRE_ORDER, 6);
    for (size_t len = 0; len < body.len; len++)
        assert_false(wire_read_order(&arena, span_head(body, len), &out));
    assert_true(wire_read_order(&arena, body, &out));
    buf_fini(&bytes); /* what was read does not need it */
    assert_int_equal(out.count, 2);
    EQUAL(out.words[1], words[1]);
    in.count = 0;
    buf_init(&bytes, 0);
    assert_true(wire_add(&bytes, WIRE_ORDER, 6, wire_write_order, &in));
    assert_true(wire_read_order(&arena, body_of(&bytes, WIRE_ORDER, 6), &out));
    assert_int_equal(out.count, 0);
    buf_fini(&bytes);
    arena_fini(&arena);
}

/* A body that is cut anywhere, or has more than it should, is refused as a whole. */
static void test_cut_bodies(void **state)
{
    struct smarthop_event event = whole_event(), event_out;
    struct smarthop_verdict verdict = whole_verdict();
    struct wire_answer answer = {.verdict = &verdict}, answer_out;
    struct arena arena;
    struct buf bytes;

    (void)state;
    arena_init(&arena);
    buf_init(&bytes, 0);
    assert_true(wire_add(&bytes, WIRE_ASK, 1, wire_write_event, &event));
    struct span body = body_of(&bytes, WIRE_ASK, 1);
    for (size_t len = 0; len < body.len; len++)
        assert_false(wire_read_event(&arena, span_head(body, len), &event_out));
    buf_clear(&bytes);
    assert_true(wire_add(&bytes, WIRE_ANSWER, 1, wire_write_answer, &answer));
    body = body_of(&bytes, WIRE_ANSWER, 1);
    for (size_t len = 0; len < body.len; len++)
        assert_false(wire_read_answer(&arena, span_head(body, len), &answer_out));
    char *longer = malloc(body.len + 1);
    memcpy(longer, body.ptr, body.len);
    longer[body.len] = 0;
    assert_false(wire_read_answer(&arena, span_of(longer, body.len + 1), &answer_out));
    free(longer);
    buf_fini(&bytes);
    arena_fini(&arena);
}

/* Frames come out the same however they arrive. */
static void test_splits(void **state)
{
    struct smarthop_event event = whole_event();
    struct buf bytes;

    (void)state;
    buf_init(&bytes, 0);
    assert_true(wire_add(&bytes, WIRE_CANCEL, 3, NULL, NULL));
    assert_true(wire_add(&bytes, WIRE_ASK, 4, wire_write_event, &event));
    struct span input = buf_span(&bytes);
    for (size_t way = 0; way < split_ways(input.len); way++) {
        struct buf in;
        struct wire_frame frame;
        uint64_t expected = 3;
        size_t used;
        buf_init(&in, 0);
        for (size_t at = 0, len; at < input.len; at += len) {
            len = split_piece(way, input.len, at);
            buf_add(&in, span_of(input.ptr + at, len));
            while (wire_next(buf_span(&in), &frame, &used) == WIRE_DONE) {
                assert_true(frame.token == expected++);
                buf_consume(&in, used);
            }
        }
        assert_true(expected == 5);
        assert_int_equal(buf_len(&in), 0);
        buf_fini(&in);
    }
    buf_fini(&bytes);
}

static void test_bad_frames(void **state)
{
    static const char too_long[] = "\377\377\377\377\001........";
    static const char too_short[] = "\0\0\0\001\001........";
    static const char unknown[] = "\0\0\0\011\377........";
    struct wire_frame frame;
    size_t used;

    (void)state;
    assert_int_equal(wire_next(SPAN_NONE, &frame, &used), WIRE_MORE);
    assert_int_equal(wire_next(span_of(too_long, WIRE_HEAD - 1), &frame, &used), WIRE_MORE);
    assert_int_equal(wire_next(span_of(too_long, WIRE_HEAD), &frame, &used), WIRE_BAD);
    assert_int_equal(wire_next(span_of(too_short, WIRE_HEAD), &frame, &used), WIRE_BAD);
    assert_int_equal(wire_next(span_of(unknown, WIRE_HEAD), &frame, &used), WIRE_BAD);
}

/* What does not fit is not appended. */
static void test_room(void **state)
{
    struct smarthop_event event = whole_event();
    struct buf bytes;

    (void)state;
    buf_init(&bytes, 64);
    assert_false(wire_add(&bytes, WIRE_ASK, 1, wire_write_event, &event));
    assert_int_equal(buf_len(&bytes), 0);
    buf_fini(&bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_event),  cmocka_unit_test(test_bare_event),
        cmocka_unit_test(test_answer), cmocka_unit_test(test_parcel),
        cmocka_unit_test(test_order),  cmocka_unit_test(test_cut_bodies),
        cmocka_unit_test(test_splits), cmocka_unit_test(test_bad_frames),
        cmocka_unit_test(test_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
