/* Messages, bodies and settlements, as queue.h promises them: the same cases against the store and,
 * built with QUEUE_TWIN, against the twin in memory. */
#include "support/queue_fixture.h"

static void assert_group(const struct queue_group *got, const struct queue_group *wanted)
{
    assert_int_equal(got->number, wanted->number);
    assert_int_equal(got->state, wanted->state);
    assert_int_equal(got->delay_warned, wanted->delay_warned);
    assert_int_equal(got->late_told, wanted->late_told);
    assert_int_equal(got->tries, wanted->tries);
    assert_int_equal(got->due, wanted->due);
    assert_span(got->destination, wanted->destination);
    assert_span(got->next_hop, wanted->next_hop);
    assert_span(got->wishes, wanted->wishes);
    assert_int_equal(got->recipient_count, wanted->recipient_count);
    for (unsigned i = 0; i < wanted->recipient_count; i++) {
        assert_int_equal(got->recipients[i].index, wanted->recipients[i].index);
        assert_span(got->recipients[i].address, wanted->recipients[i].address);
        assert_int_equal(got->recipients[i].notify, wanted->recipients[i].notify);
        assert_span(got->recipients[i].original, wanted->recipients[i].original);
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
    assert_int_equal(got->ret, wanted->ret);
    assert_span(got->envelope_id, wanted->envelope_id);
    assert_int_equal(got->priority, wanted->priority);
    assert_int_equal(got->release, wanted->release);
    assert_int_equal(got->by, wanted->by);
    assert_int_equal(got->deliver_by, wanted->deliver_by);
    assert_span(got->auth, wanted->auth);
    assert_span(got->trace, wanted->trace);
    assert_span(got->client, wanted->client);
    assert_span(got->client_name, wanted->client_name);
    assert_int_equal(got->client_port, wanted->client_port);
    assert_span(got->protocol, wanted->protocol);
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
    message->ret = ESMTP_RET_HEADERS;
    message->envelope_id = SPAN("QQ 314159+1");
    message->priority = -ESMTP_PRIORITY_MAX;
    message->release = message->arrival + 1000;
    message->by = ESMTP_BY_NOTIFY;
    message->deliver_by = message->arrival + 5000;
    message->auth = SPAN("someone@example.org");
    message->client_name = SPAN("client.example.org");
    message->client_port = 65535;
    message->protocol = SPAN("ESMTPSA");
    message->hello = SPAN("client\0with a NUL");
    message->tenant = SPAN("example.org");
    message->message_id = SPAN("<1@example.org>");
    message->subject = SPAN("=?utf-8?q?x?=");
    message->from = SPAN("\xc3\xa4@example.org");
    message->groups[1].state = QUEUE_GROUP_HELD;
    message->groups[1].delay_warned = true;
    message->groups[2].late_told = true;
    message->groups[1].tries = 7;
    message->groups[2].state = QUEUE_GROUP_FUTURE;
    message->groups[1].recipients[0].notify = ESMTP_NOTIFY_SUCCESS | ESMTP_NOTIFY_DELAY;
    message->groups[1].recipients[0].original = SPAN("rfc822;Bob+2B1@example.com");
    message->groups[1].recipients[1].notify = ESMTP_NOTIFY_NEVER;
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

/* Under the id that it had: once it has left, and even while the rest of its large body goes. */
static void test_one_that_comes_back(void **state)
{
    enum { LARGE = 5000 * QUEUE_CHUNK, SMALL = 10 };
    uint64_t id = rig_insert_one(f.queue, three[0], LARGE);
    struct queue_message *message = rig_make_message(f.queue, 1, three, 0);
    struct queue_insert insert = {.message = message, .is_back = true};
    bool gone = false;

    (void)state;
    message->id = id;
    rig_add_body(message, SMALL);
    assert_int_equal(rig_run_insert(f.queue, &insert), ERR_CONFLICT);
    assert_true(rig_body_is(f.queue, id, LARGE));
    assert_int_equal(rig_deliver(f.queue, id, 0, three[0], &gone), ERR_NONE);
    assert_true(gone);
    insert = (struct queue_insert){.message = message, .is_back = true};
    assert_int_equal(rig_run_insert(f.queue, &insert), ERR_NONE);
    assert_int_equal(rig_insert_one(f.queue, three[1], SMALL) != 0, true); /* behind a sweep */
    assert_true(rig_body_is(f.queue, id, SMALL));
    assert_int_equal(counts().messages, 2);
    queue_message_unref(message);
}

static void test_invalid_is_refused(void **state)
{
    static const char long_text[ESMTP_ORCPT_MAX + 1] = {'x'};
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
    group->recipient_count = RIG_RECIPIENTS;
    group->recipients[1].original = span_of(long_text, ESMTP_ORCPT_MAX + 1);
    assert_int_equal(rig_insert(f.queue, message, 0), ERR_INVALID);
    group->recipients[1].original = SPAN_NONE;
    message->envelope_id = span_of(long_text, ESMTP_ENVID_MAX + 1);
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

/* All recipients leave for groups of their own, in one step. */
static void test_several_splits(void **state)
{
    struct queue_message *message = rig_make_message(f.queue, 1, three, 10);
    struct queue_message *loaded;
    struct queue_group splits[3];

    (void)state;
    assert_int_equal(rig_insert(f.queue, message, 0), ERR_NONE);
    unsigned count = message->groups[0].recipient_count;
    assert_in_range(count, 1, 3);
    for (unsigned i = 0; i < count; i++) {
        splits[i] = message->groups[0];
        splits[i].recipient_count = 1;
        splits[i].recipients += i;
        splits[i].due += i;
    }
    struct queue_settle settle = {.id = message->id,
                                  .old_destination = SPAN("a.example"),
                                  .old_due = RIG_DUE,
                                  .splits = splits,
                                  .split_count = count};
    assert_int_equal(rig_settle(f.queue, &settle), ERR_NONE);
    assert_false(settle.message_gone);
    assert_false(err_is(queue_load(f.queue, message->id, QUEUE_ALL_GROUPS, &loaded)));
    assert_int_equal(loaded->group_count, count);
    for (unsigned i = 0; i < count; i++) {
        assert_int_equal(splits[i].number, 1 + i);
        assert_group(&loaded->groups[i], &splits[i]);
    }
    /* One that cannot be stored stores none of them, and nothing goes. */
    splits[count - 1].recipient_count = 0;
    settle.group = 1;
    assert_int_equal(rig_settle(f.queue, &settle), ERR_INVALID);
    queue_message_unref(loaded);
    assert_false(err_is(queue_load(f.queue, message->id, QUEUE_ALL_GROUPS, &loaded)));
    assert_int_equal(loaded->group_count, count);
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
                                  .splits = &split,
                                  .split_count = 1};
    assert_int_equal(rig_settle(f.queue, &settle), ERR_NONE);
    assert_int_equal(split.number, 2);
    assert_int_equal(counts().groups, 3);
    assert_int_equal(list_due("c.example", due, 2), 1);
    assert_int_equal(due[0].group, 2);
    /* Only a split stays: the message does, too. */
    settle = (struct queue_settle){.id = message->id,
                                   .old_destination = SPAN("a.example"),
                                   .old_due = RIG_DUE,
                                   .splits = &split,
                                   .split_count = 1};
    assert_int_equal(rig_settle(f.queue, &settle), ERR_NONE);
    assert_false(settle.message_gone);
    assert_int_equal(split.number, 3);
    queue_message_unref(message);
}

static void test_bounce_replaces_the_message(void **state)
{
    struct queue_message *message = rig_make_message(f.queue, 1, three, 10);
    struct queue_message *dsn = rig_make_message(f.queue, 1, three + 1, 6000);
    struct queue_message *copy = rig_make_message(f.queue, 1, three + 1, 5000);
    uint64_t dsn_id = dsn->id, copy_id = copy->id;
    struct queue_settle settle = {.id = message->id,
                                  .old_destination = SPAN("a.example"),
                                  .old_due = RIG_DUE,
                                  .dsn = dsn,
                                  .dsn_copy = copy};

    (void)state;
    dsn->flags = QUEUE_DSN;
    assert_int_equal(rig_insert(f.queue, message, 0), ERR_NONE);
    rig_prepare_op(&settle.op);
    queue_settle(f.queue, &settle);
    queue_message_unref(dsn);
    queue_message_unref(copy);
    rig_wait(1);
    assert_true(!err_is(settle.op.result) && settle.message_gone);
    assert_int_equal(rig_load(f.queue, message->id), ERR_NOT_FOUND);
    assert_int_equal(rig_load(f.queue, dsn_id), ERR_NONE);
    assert_true(rig_body_is(f.queue, dsn_id, 6000));
    assert_int_equal(rig_load(f.queue, copy_id), ERR_NONE);
    assert_true(rig_body_is(f.queue, copy_id, 5000));
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
    settle.dsn_copy = dsn;
    assert_int_equal(rig_settle(f.queue, &settle), ERR_INVALID);
    settle.dsn_copy = NULL;
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        QUEUE_CASE(test_everything_comes_back),
        QUEUE_CASE(test_many_groups_and_recipients),
        QUEUE_CASE(test_one_that_comes_back),
        QUEUE_CASE(test_invalid_is_refused),
        QUEUE_CASE(test_long_status_is_cut),
        QUEUE_CASE(test_queue_keeps_the_message),
        QUEUE_CASE(test_body_lengths),
        QUEUE_CASE(test_body_in_parts),
        QUEUE_CASE(test_staged_body),
        QUEUE_CASE(test_discard),
        QUEUE_CASE(test_groups_go_in_any_order),
        QUEUE_CASE(test_deferral_moves_the_group),
        QUEUE_CASE(test_several_splits),
        QUEUE_CASE(test_split_gets_a_number),
        QUEUE_CASE(test_bounce_replaces_the_message),
        QUEUE_CASE(test_failed_settle_changes_nothing),
    };
    return cmocka_run_group_tests_name("queue", tests, NULL, NULL);
}
