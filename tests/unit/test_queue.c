/* queue.h as a contract: the same cases against the store and, built with QUEUE_TWIN, against the
 * twin in memory. */
#include "support/queue_rig.h"
#include "support/scratch.h"

#include <setjmp.h>
#include <stdarg.h>

#ifdef QUEUE_TWIN
#include "queue/queue_memory.h"
#endif

#include <cmocka.h>

static struct fixture {
    char folder[SCRATCH_PATH];
    struct queue *queue;
} f;

static const char *const three[] = {"a.example", "b.example", "c.example"};

static int setup(void **state)
{
    (void)state;
    scratch_make(f.folder);
    rig_start();
    struct queue_options options = rig_queue_options(f.folder);
    return err_is(queue_open(&options, &f.queue)) ? -1 : 0;
}

static int teardown(void **state)
{
    (void)state;
    queue_close(f.queue);
    rig_stop();
    scratch_remove(f.folder);
    return atomic_load(&loop_rig.astray) == 0 ? 0 : -1;
}

static struct queue_counts counts(void)
{
    struct queue_counts now;

    assert_false(err_is(queue_count(f.queue, &now)));
    return now;
}

static void assert_span(struct span got, struct span wanted)
{
    assert_int_equal(got.len, wanted.len);
    if (wanted.len > 0)
        assert_memory_equal(got.ptr, wanted.ptr, wanted.len);
}

static void assert_status(const struct status *got, const struct status *wanted)
{
    assert_int_equal(got->code, wanted->code);
    assert_memory_equal(&got->enhanced, &wanted->enhanced, sizeof wanted->enhanced);
    assert_int_equal(got->scope, wanted->scope);
    assert_span(got->text, wanted->text);
    assert_span(got->by, wanted->by);
}

static void assert_group(const struct queue_group *got, const struct queue_group *wanted)
{
    assert_int_equal(got->number, wanted->number);
    assert_int_equal(got->state, wanted->state);
    assert_int_equal(got->delay_warned, wanted->delay_warned);
    assert_int_equal(got->tries, wanted->tries);
    assert_int_equal(got->due, wanted->due);
    assert_span(got->destination, wanted->destination);
    assert_span(got->next_hop, wanted->next_hop);
    assert_int_equal(got->recipient_count, wanted->recipient_count);
    for (unsigned i = 0; i < wanted->recipient_count; i++) {
        assert_int_equal(got->recipients[i].index, wanted->recipients[i].index);
        assert_span(got->recipients[i].address, wanted->recipients[i].address);
        assert_status(&got->recipients[i].last, &wanted->recipients[i].last);
    }
}

static void assert_message(const struct queue_message *got, const struct queue_message *wanted)
{
    assert_int_equal(got->id, wanted->id);
    assert_int_equal(got->arrival, wanted->arrival);
    assert_int_equal(got->flags, wanted->flags);
    assert_int_equal(got->size, wanted->size);
    assert_int_equal(got->chunk_count, wanted->chunk_count);
    assert_span(got->reverse_path, wanted->reverse_path);
    assert_span(got->trace, wanted->trace);
    assert_span(got->client, wanted->client);
    assert_span(got->hello, wanted->hello);
    assert_span(got->tenant, wanted->tenant);
    assert_span(got->message_id, wanted->message_id);
    assert_span(got->subject, wanted->subject);
    assert_span(got->from, wanted->from);
    assert_int_equal(got->group_count, wanted->group_count);
    for (unsigned i = 0; i < wanted->group_count; i++)
        assert_group(&got->groups[i], &wanted->groups[i]);
}

/* ---- insert and load -------------------------------------------------------------------- */

static void test_everything_comes_back(void **state)
{
    struct queue_message *message = rig_make_message(f.queue, 3, three, 5000);
    struct queue_message *loaded;

    (void)state;
    message->flags = QUEUE_BODY_8BIT | QUEUE_SMTPUTF8;
    message->reverse_path = SPAN_NONE;
    message->hello = SPAN("client\0with a NUL");
    message->tenant = SPAN("example.org");
    message->message_id = SPAN("<1@example.org>");
    message->subject = SPAN("=?utf-8?q?x?=");
    message->from = SPAN("\xc3\xa4@example.org");
    message->groups[1].state = QUEUE_GROUP_HELD;
    message->groups[1].delay_warned = true;
    message->groups[1].tries = 7;
    message->groups[1].recipients[1].last = STATUS(450, 4, 2, 999, "later");
    message->groups[1].recipients[1].last.by = SPAN("mx [192.0.2.2]:25");
    message->groups[1].recipients[1].last.scope = STATUS_SCOPE_HOST;
    assert_int_equal(rig_insert(f.queue, message, 0), ERR_NONE);
    assert_int_equal(message->chunk_count, 2);
    assert_false(err_is(queue_load(f.queue, message->id, QUEUE_ALL_GROUPS, &loaded)));
    assert_message(loaded, message);
    assert_false(loaded->body_in_memory);
    queue_message_unref(loaded);
    assert_false(err_is(queue_load(f.queue, message->id, 1, &loaded)));
    assert_int_equal(loaded->group_count, 1);
    assert_group(&loaded->groups[0], &message->groups[1]);
    queue_message_unref(loaded);
    assert_int_equal(queue_load(f.queue, message->id, 9, &loaded).kind, ERR_NOT_FOUND);
    assert_int_equal(queue_load(f.queue, message->id + 1, 0, &loaded).kind, ERR_NOT_FOUND);
    assert_null(loaded);
    queue_message_unref(message);
}

static void test_many_groups_and_recipients(void **state)
{
    enum { GROUPS = 37 };
    const char *names[GROUPS];
    struct queue_message *loaded;

    (void)state;
    for (unsigned i = 0; i < GROUPS; i++)
        names[i] = three[i % 3];
    struct queue_message *message = rig_make_message(f.queue, GROUPS, names, 10);
    struct queue_group *group = &message->groups[20];
    group->recipient_count = QUEUE_GROUP_MAX;
    group->recipients = arena_alloc(&message->arena, QUEUE_GROUP_MAX * sizeof *group->recipients);
    for (unsigned i = 0; i < QUEUE_GROUP_MAX; i++) {
        group->recipients[i].index = 1000 + i;
        group->recipients[i].address = arena_printf(&message->arena, "%0200u@a.example", i);
    }
    assert_int_equal(rig_insert(f.queue, message, 0), ERR_NONE);
    assert_false(err_is(queue_load(f.queue, message->id, QUEUE_ALL_GROUPS, &loaded)));
    assert_message(loaded, message);
    queue_message_unref(loaded);
    queue_message_unref(message);
}

static void test_invalid_is_refused(void **state)
{
    static const char long_text[300] = {'x'};
    struct queue_message *message = rig_make_message(f.queue, 1, three, 10);
    struct queue_group *group = &message->groups[0];
    struct span destination = group->destination;

    (void)state;
    message->group_count = 0;
    assert_int_equal(rig_insert(f.queue, message, 0), ERR_INVALID);
    message->group_count = 1;
    group->destination = span_of(long_text, 256);
    assert_int_equal(rig_insert(f.queue, message, 0), ERR_INVALID);
    group->destination = destination;
    group->recipient_count = QUEUE_GROUP_MAX + 1;
    assert_int_equal(rig_insert(f.queue, message, 0), ERR_INVALID);
    group->recipient_count = 0;
    assert_int_equal(rig_insert(f.queue, message, 0), ERR_INVALID);
    assert_int_equal(counts().messages, 0);
    queue_message_unref(message);
}

static void test_long_status_is_cut(void **state)
{
    static char long_text[2000];
    struct queue_message *message = rig_make_message(f.queue, 1, three, 10);
    struct queue_message *loaded;

    (void)state;
    memset(long_text, 'x', sizeof long_text);
    message->groups[0].recipients[0].last =
        (struct status){.code = 451, .text = span_of(long_text, sizeof long_text)};
    assert_int_equal(rig_insert(f.queue, message, 0), ERR_NONE);
    assert_false(err_is(queue_load(f.queue, message->id, 0, &loaded)));
    assert_int_equal(loaded->groups[0].recipients[0].last.text.len, 512);
    queue_message_unref(loaded);
    queue_message_unref(message);
}

/* The caller lets go at once: the queue has a reference of its own. */
static void test_queue_keeps_the_message(void **state)
{
    struct queue_message *message = rig_make_message(f.queue, 1, three, 100000);
    struct queue_insert insert = {.message = message};
    uint64_t id = message->id;

    (void)state;
    rig_prepare_op(&insert.op);
    queue_insert(f.queue, &insert);
    queue_message_unref(message);
    rig_wait(1);
    assert_true(rig_body_is(f.queue, id, 100000));
}

/* ---- bodies ----------------------------------------------------------------------------- */

static void test_body_lengths(void **state)
{
    static const size_t lengths[] = {
        0, 1, QUEUE_CHUNK - 1, QUEUE_CHUNK, QUEUE_CHUNK + 1, 2 * QUEUE_CHUNK, 100000};

    (void)state;
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        uint64_t id = rig_insert_one(f.queue, "a.example", lengths[i]);
        assert_int_not_equal(id, 0);
        assert_true(rig_body_is(f.queue, id, lengths[i]));
    }
}

static void test_body_in_parts(void **state)
{
    uint64_t id = rig_insert_one(f.queue, "a.example", 10 * QUEUE_CHUNK + 7);
    struct buf body;

    (void)state;
    buf_init(&body, 0);
    assert_false(err_is(queue_read_body(f.queue, id, 3, 2, &body)));
    assert_int_equal(buf_len(&body), 2 * QUEUE_CHUNK);
    assert_false(err_is(queue_read_body(f.queue, id, 5, 0, &body)));
    assert_int_equal(buf_len(&body), 2 * QUEUE_CHUNK);
    assert_false(err_is(queue_read_body(f.queue, id, 10, 5, &body)));
    assert_int_equal(buf_len(&body), 2 * QUEUE_CHUNK + 7);
    assert_false(err_is(queue_read_body(f.queue, id, 11, 5, &body)));
    assert_int_equal(buf_len(&body), 2 * QUEUE_CHUNK + 7);
    buf_fini(&body);
    buf_init(&body, QUEUE_CHUNK);
    assert_int_equal(queue_read_body(f.queue, id, 0, 2, &body).kind, ERR_INVALID);
    buf_fini(&body);
}

enum { PIECE_CHUNKS = 64, BIG = 50 << 20 };

/* Stages all whole pieces; the rest becomes the message's body in memory. Returns their chunks. */
static uint32_t stage_body(struct queue_message *message, size_t len)
{
    const size_t piece = PIECE_CHUNKS * QUEUE_CHUNK;
    char *bytes = mem_alloc(len);
    uint32_t chunk = 0;
    size_t at = 0;

    rig_fill(bytes, len, message->id);
    for (; len - at >= piece; at += piece, chunk += PIECE_CHUNKS)
        assert_int_equal(rig_stage(f.queue, message->id, chunk, span_of(bytes + at, piece)),
                         ERR_NONE);
    buf_add(&message->body, span_of(bytes + at, len - at));
    message->size = len;
    free(bytes);
    return chunk;
}

static void test_staged_body(void **state)
{
    struct queue_message *message = rig_make_message(f.queue, 1, three, 0);
    bool gone;

    (void)state;
    uint32_t staged = stage_body(message, BIG);
    assert_int_equal(rig_load(f.queue, message->id), ERR_NOT_FOUND);
    assert_int_equal(counts().messages, 0);
    assert_int_equal(rig_insert(f.queue, message, staged), ERR_NONE);
    assert_int_equal(message->chunk_count, (BIG + QUEUE_CHUNK - 1) / QUEUE_CHUNK);
    assert_true(rig_body_is(f.queue, message->id, BIG));
    assert_int_equal(rig_deliver(f.queue, message->id, 0, three[0], &gone), ERR_NONE);
    assert_true(gone);
    assert_int_equal(rig_load(f.queue, message->id), ERR_NOT_FOUND);
    /* The rest goes in steps, each of which has a chance to run with any other operation. */
    uint32_t last = message->chunk_count - 1;
    for (int tries = 0; tries < 1000 && rig_body_len(f.queue, message->id, last) > 0; tries++)
        rig_discard(f.queue, 1);
    assert_int_equal(rig_body_len(f.queue, message->id, last), 0);
    queue_message_unref(message);
}

static void test_discard(void **state)
{
    struct queue_message *message = rig_make_message(f.queue, 1, three, 0);
    uint64_t other = rig_insert_one(f.queue, three[0], 9000);

    (void)state;
    stage_body(message, 3 * PIECE_CHUNKS * QUEUE_CHUNK);
    assert_int_equal(rig_body_len(f.queue, message->id, 0), 3 * PIECE_CHUNKS * QUEUE_CHUNK);
    assert_int_equal(rig_discard(f.queue, message->id), ERR_NONE);
    assert_int_equal(rig_body_len(f.queue, message->id, 0), 0);
    assert_int_equal(rig_discard(f.queue, message->id), ERR_NONE);
    assert_true(rig_body_is(f.queue, other, 9000));
    queue_message_unref(message);
}

/* ---- settle ----------------------------------------------------------------------------- */

static void test_groups_go_in_any_order(void **state)
{
    static const uint32_t order[] = {0, 2, 1};
    struct queue_message *message = rig_make_message(f.queue, 3, three, 5000);

    (void)state;
    assert_int_equal(rig_insert(f.queue, message, 0), ERR_NONE);
    for (unsigned i = 0; i < 3; i++) {
        bool gone;
        assert_true(rig_body_is(f.queue, message->id, 5000));
        assert_int_equal(rig_deliver(f.queue, message->id, order[i], three[order[i]], &gone),
                         ERR_NONE);
        assert_int_equal(gone, i == 2);
        assert_int_equal(counts().groups, 2 - i);
    }
    assert_int_equal(counts().messages, 0);
    assert_int_equal(rig_body_len(f.queue, message->id, 0), 0);
    queue_message_unref(message);
}

static unsigned list_due(const char *destination, struct queue_due *items, unsigned most)
{
    unsigned count;

    assert_false(
        err_is(queue_due_list(f.queue, span_cstr(destination), NULL, most, items, &count)));
    return count;
}

static void test_deferral_moves_the_group(void **state)
{
    struct queue_message *message = rig_make_message(f.queue, 1, three, 10);
    struct queue_message *loaded;
    struct queue_due due[2];

    (void)state;
    assert_int_equal(rig_insert(f.queue, message, 0), ERR_NONE);
    struct queue_group remaining = message->groups[0];
    remaining.recipient_count = 1;
    remaining.recipients++;
    remaining.recipients[0].last = STATUS(451, 4, 7, 1, "greylisted");
    remaining.tries = 1;
    remaining.due = 2 * RIG_DUE;
    remaining.destination = SPAN("b.example");
    struct queue_settle settle = {.id = message->id,
                                  .old_destination = SPAN("a.example"),
                                  .old_due = RIG_DUE,
                                  .remaining = &remaining};
    assert_int_equal(rig_settle(f.queue, &settle), ERR_NONE);
    assert_false(settle.message_gone);
    assert_int_equal(list_due("a.example", due, 2), 0);
    assert_int_equal(list_due("b.example", due, 2), 1);
    assert_true(due[0].due == 2 * RIG_DUE && due[0].id == message->id && due[0].group == 0);
    assert_false(err_is(queue_load(f.queue, message->id, 0, &loaded)));
    assert_group(&loaded->groups[0], &remaining);
    queue_message_unref(loaded);
    queue_message_unref(message);
}

static void test_split_gets_a_number(void **state)
{
    struct queue_message *message = rig_make_message(f.queue, 2, three, 10);
    struct queue_due due[2];

    (void)state;
    assert_int_equal(rig_insert(f.queue, message, 0), ERR_NONE);
    struct queue_group remaining = message->groups[0];
    struct queue_group split = message->groups[0];
    remaining.recipient_count = split.recipient_count = 1;
    split.recipients++;
    split.destination = SPAN("c.example");
    struct queue_settle settle = {.id = message->id,
                                  .old_destination = SPAN("a.example"),
                                  .old_due = RIG_DUE,
                                  .remaining = &remaining,
                                  .split = &split};
    assert_int_equal(rig_settle(f.queue, &settle), ERR_NONE);
    assert_int_equal(split.number, 2);
    assert_int_equal(counts().groups, 3);
    assert_int_equal(list_due("c.example", due, 2), 1);
    assert_int_equal(due[0].group, 2);
    /* Only a split stays: the message does, too. */
    settle = (struct queue_settle){.id = message->id,
                                   .old_destination = SPAN("a.example"),
                                   .old_due = RIG_DUE,
                                   .split = &split};
    assert_int_equal(rig_settle(f.queue, &settle), ERR_NONE);
    assert_false(settle.message_gone);
    assert_int_equal(split.number, 3);
    queue_message_unref(message);
}

static void test_bounce_replaces_the_message(void **state)
{
    struct queue_message *message = rig_make_message(f.queue, 1, three, 10);
    struct queue_message *dsn = rig_make_message(f.queue, 1, three + 1, 6000);
    uint64_t dsn_id = dsn->id;
    struct queue_settle settle = {
        .id = message->id, .old_destination = SPAN("a.example"), .old_due = RIG_DUE, .dsn = dsn};

    (void)state;
    dsn->flags = QUEUE_DSN;
    assert_int_equal(rig_insert(f.queue, message, 0), ERR_NONE);
    rig_prepare_op(&settle.op);
    queue_settle(f.queue, &settle);
    queue_message_unref(dsn);
    rig_wait(1);
    assert_true(!err_is(settle.op.result) && settle.message_gone);
    assert_int_equal(rig_load(f.queue, message->id), ERR_NOT_FOUND);
    assert_int_equal(rig_load(f.queue, dsn_id), ERR_NONE);
    assert_true(rig_body_is(f.queue, dsn_id, 6000));
    queue_message_unref(message);
}

static void test_failed_settle_changes_nothing(void **state)
{
    struct queue_message *message = rig_make_message(f.queue, 1, three, 10);
    struct queue_message *dsn = rig_make_message(f.queue, 1, three, 10);
    struct queue_due due[2];

    (void)state;
    dsn->group_count = 0;
    assert_int_equal(rig_insert(f.queue, message, 0), ERR_NONE);
    struct queue_settle settle = {
        .id = message->id, .old_destination = SPAN("a.example"), .old_due = RIG_DUE, .dsn = dsn};
    assert_int_equal(rig_settle(f.queue, &settle), ERR_INVALID);
    settle.dsn = NULL;
    settle.old_due++;
    assert_int_equal(rig_settle(f.queue, &settle), ERR_CONFLICT);
    settle.old_due = RIG_DUE;
    settle.old_destination = SPAN("b.example");
    assert_int_equal(rig_settle(f.queue, &settle), ERR_CONFLICT);
    settle.group = 1;
    assert_int_equal(rig_settle(f.queue, &settle), ERR_NOT_FOUND);
    assert_int_equal(rig_load(f.queue, message->id), ERR_NONE);
    assert_int_equal(list_due("a.example", due, 2), 1);
    assert_int_equal(rig_deliver(f.queue, message->id, 0, three[0], NULL), ERR_NONE);
    assert_int_equal(rig_deliver(f.queue, message->id, 0, three[0], NULL), ERR_NOT_FOUND);
    queue_message_unref(dsn);
    queue_message_unref(message);
}

/* ---- destinations ----------------------------------------------------------------------- */

static void test_due_order(void **state)
{
    enum { COUNT = 50 };
    struct queue_due all[COUNT + 1], part[7], *after = NULL;
    unsigned count, seen = 0;

    (void)state;
    for (unsigned i = 0; i < COUNT; i++) {
        struct queue_message *message = rig_make_message(f.queue, 1, three, 1);
        message->groups[0].due = (i * 17) % 10;
        assert_int_equal(rig_insert(f.queue, message, 0), ERR_NONE);
        queue_message_unref(message);
        rig_insert_one(f.queue, "b.example", 1);
    }
    assert_int_equal(list_due("a.example", all, COUNT + 1), COUNT);
    for (unsigned i = 1; i < COUNT; i++)
        assert_true(all[i - 1].due < all[i].due ||
                    (all[i - 1].due == all[i].due && all[i - 1].id < all[i].id));
    do {
        assert_false(err_is(queue_due_list(f.queue, SPAN("a.example"), after, 7, part, &count)));
        for (unsigned i = 0; i < count; i++)
            assert_int_equal(part[i].id, all[seen++].id);
        after = &all[seen - 1];
    } while (count > 0);
    assert_int_equal(seen, COUNT);
}

struct seen_destinations {
    unsigned count, stop_at, with_backoff;
    bool seen[1000];
};

static bool visit_destination(void *context, const struct queue_destination *destination)
{
    struct seen_destinations *seen = context;
    uint64_t number;
    struct span rest;

    assert_true(span_parse_u64(span_split(destination->key, '.', &rest), &number));
    assert_false(seen->seen[number]);
    seen->seen[number] = true;
    seen->with_backoff += destination->until != 0;
    assert_true(destination->has_due || destination->until != 0);
    if (destination->has_due)
        assert_int_equal(destination->first_due, RIG_DUE);
    return ++seen->count != seen->stop_at;
}

static void test_thousand_destinations(void **state)
{
    struct seen_destinations seen = {0};
    char name[32];

    (void)state;
    for (unsigned i = 0; i < 1000; i++) {
        snprintf(name, sizeof name, "%u.example", i);
        uint64_t id = rig_insert_one(f.queue, name, 1);
        if (i % 4 == 0) /* nothing is left of every fourth */
            assert_int_equal(rig_deliver(f.queue, id, 0, name, NULL), ERR_NONE);
    }
    assert_false(err_is(queue_destinations(f.queue, visit_destination, &seen)));
    assert_int_equal(seen.count, 750);
    assert_true(!seen.seen[0] && seen.seen[1]);
    seen = (struct seen_destinations){.stop_at = 10};
    assert_false(err_is(queue_destinations(f.queue, visit_destination, &seen)));
    assert_int_equal(seen.count, 10);
}

/* A back-off that has lapsed may be swept away. */
#define FAR_AWAY (UINT64_C(1) << 60)

static enum err_kind update_destination(struct span key, uint64_t until)
{
    struct queue_destination_update update = {.destination = key,
                                              .until = until,
                                              .failures = 3,
                                              .status = STATUS(421, 4, 4, 1, "no answer")};

    rig_prepare_op(&update.op);
    queue_destination_update(f.queue, &update);
    rig_wait(1);
    return update.op.result.kind;
}

static bool visit_backoff(void *context, const struct queue_destination *destination)
{
    struct queue_destination *out = context;

    *out = *destination;
    assert_span(destination->key, SPAN("1.example"));
    if (destination->until != 0)
        assert_status(&destination->status, &STATUS(421, 4, 4, 1, "no answer"));
    return true;
}

static void test_backoff_record(void **state)
{
    struct queue_destination found = {0};

    (void)state;
    assert_int_equal(update_destination(SPAN("1.example"), FAR_AWAY), ERR_NONE);
    assert_false(err_is(queue_destinations(f.queue, visit_backoff, &found)));
    assert_true(found.until == FAR_AWAY && found.failures == 3 && !found.has_due);
    rig_insert_one(f.queue, "1.example", 1);
    assert_int_equal(update_destination(SPAN("1.example"), 0), ERR_NONE);
    assert_false(err_is(queue_destinations(f.queue, visit_backoff, &found)));
    assert_true(found.until == 0 && found.failures == 0 && found.has_due);
}

static void test_backoff_deleted(void **state)
{
    struct seen_destinations seen = {0};

    (void)state;
    assert_int_equal(update_destination(SPAN("1.example"), FAR_AWAY), ERR_NONE);
    assert_int_equal(update_destination(SPAN("1.example"), 0), ERR_NONE);
    assert_false(err_is(queue_destinations(f.queue, visit_destination, &seen)));
    assert_int_equal(seen.count, 0);
    rig_insert_one(f.queue, "1.example", 1);
    assert_false(err_is(queue_destinations(f.queue, visit_destination, &seen)));
    assert_int_equal(seen.count, 1);
}

/* ---- scan ------------------------------------------------------------------------------- */

struct scanned {
    unsigned count, stop_at;
    uint64_t last;
    struct queue_message *kept;
};

static bool visit_message(void *context, struct queue_message *message)
{
    struct scanned *scanned = context;

    assert_true(message->id > scanned->last);
    assert_int_equal(message->group_count, 3);
    assert_int_equal(message->flags & QUEUE_DAMAGED, 0);
    scanned->last = message->id;
    if (scanned->count == 0)
        scanned->kept = queue_message_ref(message);
    return ++scanned->count != scanned->stop_at;
}

static void test_scan(void **state)
{
    enum { COUNT = 600 };
    struct queue_message *message = NULL;
    uint64_t middle = 0;

    (void)state;
    for (unsigned i = 0; i < COUNT; i++) {
        queue_message_unref(message);
        message = rig_make_message(f.queue, 3, three, 1);
        assert_int_equal(rig_insert(f.queue, message, 0), ERR_NONE);
        if (i == COUNT / 2)
            middle = message->id;
    }
    struct scanned scanned = {0};
    assert_false(err_is(queue_scan(f.queue, 0, visit_message, &scanned)));
    assert_int_equal(scanned.count, COUNT);
    assert_int_equal(scanned.last, message->id);
    assert_span(scanned.kept->groups[2].destination, SPAN("c.example"));
    queue_message_unref(scanned.kept);
    scanned = (struct scanned){.stop_at = 7};
    assert_false(err_is(queue_scan(f.queue, middle, visit_message, &scanned)));
    assert_int_equal(scanned.count, 7);
    assert_int_equal(scanned.kept->id, middle);
    queue_message_unref(scanned.kept);
    queue_message_unref(message);
}

/* ---- ids -------------------------------------------------------------------------------- */

enum { THREADS = 4, IDS = 20000 };

static uint64_t made[THREADS][IDS];

static void *make_ids(void *arg)
{
    uint64_t *ids = arg;

    for (unsigned i = 0; i < IDS; i++)
        ids[i] = queue_new_id(f.queue);
    return NULL;
}

static int compare_ids(const void *left, const void *right)
{
    uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;

    return (a > b) - (a < b);
}

static void test_ids(void **state)
{
    pthread_t threads[THREADS];
    uint64_t *all = made[0];

    (void)state;
    for (unsigned i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, make_ids, made[i]), 0);
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    qsort(all, THREADS * IDS, sizeof *all, compare_ids);
    for (unsigned i = 1; i < THREADS * IDS; i++)
        assert_true(all[i - 1] < all[i]);
    uint64_t time = queue_id_time(all[0]);
    assert_true(queue_id_at(time) <= all[0] && queue_id_at(time + 1) > all[0]);
    assert_int_equal(queue_id_at(0), 0);
}

#ifdef QUEUE_TWIN
static void test_next_operation_fails(void **state)
{
    (void)state;
    queue_memory_fail_next(f.queue, err_make(ERR_NO_SPACE, "test"));
    assert_int_equal(rig_insert_one(f.queue, "a.example", 1), 0);
    assert_int_not_equal(rig_insert_one(f.queue, "a.example", 1), 0);
    assert_int_equal(counts().messages, 1);
}

static void test_low(void **state)
{
    uint64_t id = rig_insert_one(f.queue, "a.example", 1);

    (void)state;
    queue_memory_set_low(f.queue, true);
    assert_true(queue_refuses(f.queue));
    assert_int_equal(rig_insert_one(f.queue, "a.example", 1), 0);
    assert_int_equal(rig_deliver(f.queue, id, 0, "a.example", NULL), ERR_NONE);
    queue_memory_set_low(f.queue, false);
    assert_int_not_equal(rig_insert_one(f.queue, "a.example", 1), 0);
}
#endif

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(test_everything_comes_back),
        CASE(test_many_groups_and_recipients),
        CASE(test_invalid_is_refused),
        CASE(test_long_status_is_cut),
        CASE(test_queue_keeps_the_message),
        CASE(test_body_lengths),
        CASE(test_body_in_parts),
        CASE(test_staged_body),
        CASE(test_discard),
        CASE(test_groups_go_in_any_order),
        CASE(test_deferral_moves_the_group),
        CASE(test_split_gets_a_number),
        CASE(test_bounce_replaces_the_message),
        CASE(test_failed_settle_changes_nothing),
        CASE(test_due_order),
        CASE(test_thousand_destinations),
        CASE(test_backoff_record),
        CASE(test_backoff_deleted),
        CASE(test_scan),
        CASE(test_ids),
#ifdef QUEUE_TWIN
        CASE(test_next_operation_fails),
        CASE(test_low),
#endif
    };
    return cmocka_run_group_tests_name("queue", tests, NULL, NULL);
}
