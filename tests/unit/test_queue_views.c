/* Due lists, destinations, scans and ids, as queue.h promises them: the same cases against the
 * store and, built with QUEUE_TWIN, against the twin in memory. */
#include "support/queue_fixture.h"

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

/* A due time that an ordinary wait could not have given is told from one that a sender asked for.
 */
static void test_future_groups(void **state)
{
    struct queue_message *message = rig_make_message(f.queue, 1, three, 1);
    struct queue_due due[2];

    (void)state;
    message->groups[0].state = QUEUE_GROUP_FUTURE;
    message->groups[0].due = 9 * RIG_DUE;
    assert_int_equal(rig_insert(f.queue, message, 0), ERR_NONE);
    rig_insert_one(f.queue, three[0], 1);
    assert_int_equal(list_due(three[0], due, 2), 2);
    assert_false(due[0].is_future);
    assert_true(due[1].is_future);
    struct queue_group remaining = message->groups[0];
    remaining.state = QUEUE_GROUP_WAITING;
    remaining.due = 2 * RIG_DUE;
    struct queue_settle settle = {.id = message->id,
                                  .old_destination = span_cstr(three[0]),
                                  .old_due = 9 * RIG_DUE,
                                  .remaining = &remaining};
    assert_int_equal(rig_settle(f.queue, &settle), ERR_NONE);
    assert_int_equal(list_due(three[0], due, 2), 2);
    assert_false(due[1].is_future);
    queue_message_unref(message);
}

static bool note_future(void *context, const struct queue_destination *destination)
{
    *(bool *)context = destination->first_is_future;
    return true;
}

static void test_future_first_of_its_destination(void **state)
{
    struct queue_message *message = rig_make_message(f.queue, 1, three, 1);
    bool is_future = false;

    (void)state;
    message->groups[0].state = QUEUE_GROUP_FUTURE;
    assert_int_equal(rig_insert(f.queue, message, 0), ERR_NONE);
    assert_false(err_is(queue_destinations(f.queue, note_future, &is_future)));
    assert_true(is_future);
    queue_message_unref(message);
}

/* ---- deadlines -------------------------------------------------------------------------- */

static uint64_t insert_by(uint64_t deliver_by)
{
    struct queue_message *message = rig_make_message(f.queue, 2, three, 1);
    uint64_t id = message->id;

    message->by = deliver_by ? ESMTP_BY_RETURN : ESMTP_BY_NONE;
    message->deliver_by = deliver_by;
    assert_int_equal(rig_insert(f.queue, message, 0), ERR_NONE);
    queue_message_unref(message);
    return id;
}

static enum err_kind deliver_by(uint64_t id, uint32_t group, uint64_t at)
{
    struct queue_settle settle = {.id = id,
                                  .group = group,
                                  .old_destination = span_cstr(three[group]),
                                  .old_due = RIG_DUE,
                                  .deliver_by = at};

    return rig_settle(f.queue, &settle);
}

static unsigned list_deadlines(const struct queue_deadline *after, struct queue_deadline *items,
                               unsigned most)
{
    unsigned count;

    assert_false(err_is(queue_deadline_list(f.queue, after, most, items, &count)));
    return count;
}

static void test_deadlines(void **state)
{
    struct queue_deadline items[4];

    (void)state;
    assert_int_equal(list_deadlines(NULL, items, 4), 0);
    uint64_t late = insert_by(3000), plain = insert_by(0), early = insert_by(1000),
             second = insert_by(1000);
    assert_int_equal(list_deadlines(NULL, items, 4), 3);
    assert_true(items[0].at == 1000 && items[0].id == early);
    assert_true(items[1].at == 1000 && items[1].id == second);
    assert_true(items[2].at == 3000 && items[2].id == late);
    assert_int_equal(list_deadlines(&items[0], items + 1, 1), 1);
    assert_int_equal(items[1].id, second);
    assert_int_equal(list_deadlines(NULL, items, 0), 0);
    assert_int_equal(deliver_by(early, 0, 1000), ERR_NONE); /* another group is left */
    assert_int_equal(list_deadlines(NULL, items, 4), 3);
    assert_int_equal(deliver_by(early, 1, 1000), ERR_NONE);
    assert_int_equal(list_deadlines(NULL, items, 4), 2);
    assert_int_equal(items[0].id, second);
    assert_int_equal(deliver_by(plain, 0, 0), ERR_NONE);
    assert_int_equal(deliver_by(plain, 1, 0), ERR_NONE);
    assert_int_equal(list_deadlines(NULL, items, 4), 2);
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

/* ---- suspensions ------------------------------------------------------------------------ */

static enum err_kind suspend(const char *pattern, uint64_t since, uint64_t until)
{
    struct queue_suspend change = {
        .suspension = {
            .pattern = span_cstr(pattern), .since = since, .until = until, .reason = SPAN("why")}};

    rig_prepare_op(&change.op);
    queue_suspend(f.queue, &change);
    rig_wait(1);
    return change.op.result.kind;
}

static bool note_suspension(void *context, const struct queue_suspension *suspension)
{
    buf_addf(context, "%.*s %u-%u %.*s;", SPAN_ARG(suspension->pattern),
             (unsigned)suspension->since, (unsigned)suspension->until,
             SPAN_ARG(suspension->reason));
    return !span_equal(suspension->pattern, SPAN("stop.test"));
}

static void assert_suspended(const char *wanted)
{
    struct buf seen;

    buf_init(&seen, 0);
    assert_false(err_is(queue_suspensions(f.queue, note_suspension, &seen)));
    assert_true(span_equal(buf_span(&seen), span_cstr(wanted)));
    buf_fini(&seen);
}

static void test_suspensions(void **state)
{
    char longest[257];

    (void)state;
    assert_suspended("");
    assert_int_equal(suspend("b.test", 10, 100), ERR_NONE);
    assert_int_equal(suspend(".a.test", 11, 50), ERR_NONE);
    assert_suspended(".a.test 11-50 why;b.test 10-100 why;");
    assert_int_equal(suspend("b.test", 12, 90), ERR_NONE); /* in the place of the first */
    assert_suspended(".a.test 11-50 why;b.test 12-90 why;");
    assert_int_equal(suspend("*", 50, 200), ERR_NONE); /* one has ended by then */
    assert_suspended("* 50-200 why;b.test 12-90 why;");
    assert_int_equal(suspend(".a.test", 0, 0), ERR_NOT_FOUND);
    assert_int_equal(suspend("*", 0, 0), ERR_NONE);
    assert_suspended("b.test 12-90 why;");
    assert_int_equal(suspend("stop.test", 13, 90), ERR_NONE);
    assert_int_equal(suspend("z.test", 13, 90), ERR_NONE);
    assert_suspended("b.test 12-90 why;stop.test 13-90 why;");
    memset(longest, 'a', sizeof longest);
    longest[256] = '\0';
    assert_int_equal(suspend(longest, 1, 200), ERR_INVALID);
    assert_int_equal(suspend("", 1, 200), ERR_INVALID);
    longest[255] = '\0';
    assert_int_equal(suspend(longest, 1, 200), ERR_NONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        QUEUE_CASE(test_due_order),
        QUEUE_CASE(test_future_groups),
        QUEUE_CASE(test_future_first_of_its_destination),
        QUEUE_CASE(test_deadlines),
        QUEUE_CASE(test_thousand_destinations),
        QUEUE_CASE(test_backoff_record),
        QUEUE_CASE(test_backoff_deleted),
        QUEUE_CASE(test_scan),
        QUEUE_CASE(test_ids),
        QUEUE_CASE(test_suspensions),
#ifdef QUEUE_TWIN
        QUEUE_CASE(test_next_operation_fails),
        QUEUE_CASE(test_low),
#endif
    };
    return cmocka_run_group_tests_name("queue_views", tests, NULL, NULL);
}
