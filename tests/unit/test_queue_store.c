/* What only the store on disk has: reopening, recovery, damage, other processes, clocks. */
#include "base/clock.h"
#include "queue/queue_private.h"
#include "support/queue_rig.h"
#include "support/scratch.h"

#include <dlfcn.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <time.h>

#include <cmocka.h>

static struct fixture {
    char folder[SCRATCH_PATH];
    struct queue_options options;
    struct queue *queue;
} f;

static _Atomic int64_t clock_step; /* seconds that the wall clock was set by */

int clock_gettime(clockid_t which, struct timespec *out)
{
    static int (*next)(clockid_t, struct timespec *);

    if (next == NULL)
        next = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int rc = next(which, out);
    if (which == CLOCK_REALTIME)
        out->tv_sec += atomic_load(&clock_step);
    return rc;
}

static void open_queue(void)
{
    assert_false(err_is(queue_open(&f.options, &f.queue)));
}

static void close_queue(void)
{
    queue_close(f.queue);
    f.queue = NULL;
}

static void reopen(void)
{
    close_queue();
    open_queue();
}

static int setup(void **state)
{
    (void)state;
    scratch_make(f.folder);
    f.options = rig_queue_options(f.folder);
    rig_start();
    open_queue();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    atomic_store(&clock_step, 0);
    close_queue();
    rig_stop();
    scratch_remove(f.folder);
    return 0;
}

/* Operations that change nothing: each is one more turn of the writer, on which the sweep may go
 * on. */
static void turn_writer(unsigned turns)
{
    while (turns-- > 0)
        assert_int_equal(rig_discard(f.queue, 1), ERR_NONE);
}

static uint64_t count_rows(enum queue_table table)
{
    struct kv_txn *txn;

    assert_false(err_is(kv_read_begin(f.queue->kv, &txn)));
    uint64_t rows = kv_count(txn, table);
    kv_read_end(txn);
    return rows;
}

/* ---- reopening -------------------------------------------------------------------------- */

static void test_reopening_keeps_all(void **state)
{
    uint64_t ids[20];

    (void)state;
    for (unsigned i = 0; i < 20; i++)
        ids[i] = rig_insert_one(f.queue, i % 2 ? "a.example" : "b.example", 3000 * i);
    assert_int_equal(rig_deliver(f.queue, ids[3], 0, "a.example", NULL), ERR_NONE);
    reopen();
    for (unsigned i = 0; i < 20; i++) {
        assert_int_equal(rig_load(f.queue, ids[i]), i == 3 ? ERR_NOT_FOUND : ERR_NONE);
        assert_true(i == 3 || rig_body_is(f.queue, ids[i], 3000 * i));
    }
    turn_writer(100);
    assert_int_equal(count_rows(TABLE_MESSAGE), 19);
    assert_int_equal(count_rows(TABLE_DUE), 19);
}

static void test_ids_grow_where_the_clock_goes_back(void **state)
{
    uint64_t before = rig_insert_one(f.queue, "a.example", 1);

    (void)state;
    atomic_store(&clock_step, -7200);
    uint64_t same_process = queue_new_id(f.queue);
    reopen();
    uint64_t after = rig_insert_one(f.queue, "a.example", 1);
    assert_true(before < same_process && same_process < after);
    assert_int_equal(rig_load(f.queue, before), ERR_NONE);
}

static void test_restart_does_not_run_ahead_of_the_clock(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 5; i++) {
        rig_insert_one(f.queue, "a.example", 1);
        reopen();
    }
    assert_true(queue_id_time(queue_new_id(f.queue)) < clock_wall_ms() + 11000 * 5);
}

static void test_reader_beside_the_daemon(void **state)
{
    struct queue_options options = {.path = f.folder, .read_only = true};
    struct queue *reader;
    uint64_t id = rig_insert_one(f.queue, "a.example", 5000);

    (void)state;
    close_queue(); /* one process must not have the store open twice */
    assert_false(err_is(queue_open(&options, &reader)));
    assert_true(rig_body_is(reader, id, 5000));
    assert_int_equal(rig_load(reader, id), ERR_NONE);
    queue_close(reader);
    open_queue();
}

static void test_missing_store(void **state)
{
    char path[SCRATCH_PATH + 16];
    struct queue_options options = {.path = path, .read_only = true};
    struct queue *queue;

    (void)state;
    snprintf(path, sizeof path, "%s/missing", f.folder);
    assert_int_equal(queue_open(&options, &queue).kind, ERR_NOT_FOUND);
    assert_null(queue);
}

static struct err apply_newer_format(struct kv_op *op, struct kv_txn *txn)
{
    (void)op;
    return rows_put_meta(txn, &(struct codec_meta){.format = 99});
}

static enum err_kind run_op(struct err (*apply)(struct kv_op *op, struct kv_txn *txn))
{
    struct kv_op op = {.apply = apply};

    rig_prepare_op(&op);
    kv_submit(f.queue->kv, &op);
    rig_wait(1);
    return op.result.kind;
}

static void test_newer_format_is_refused(void **state)
{
    struct queue *queue;

    (void)state;
    assert_int_equal(run_op(apply_newer_format), ERR_NONE);
    close_queue();
    assert_int_equal(queue_open(&f.options, &queue).kind, ERR_CORRUPT);
    f.options.read_only = true;
    assert_int_equal(queue_open(&f.options, &queue).kind, ERR_CORRUPT);
}

/* ---- recovery --------------------------------------------------------------------------- */

static void test_unfinished_bodies_are_removed(void **state)
{
    enum { LARGE = 5000 * QUEUE_CHUNK, SMALL = 3 * QUEUE_CHUNK };
    char *bytes = mem_zalloc(LARGE);
    uint64_t kept = rig_insert_one(f.queue, "a.example", SMALL);
    uint64_t large = queue_new_id(f.queue);

    (void)state;
    assert_int_equal(rig_stage(f.queue, large, 0, span_of(bytes, LARGE)), ERR_NONE);
    for (unsigned i = 0; i < 150; i++)
        rig_stage(f.queue, queue_new_id(f.queue), 0, span_of(bytes, SMALL));
    reopen();
    uint64_t mine = queue_new_id(f.queue);
    assert_int_equal(rig_stage(f.queue, mine, 0, span_of(bytes, SMALL)), ERR_NONE);
    for (int tries = 0; tries < 1000 && count_rows(TABLE_BODY) > 6; tries++)
        turn_writer(1);
    turn_writer(100);
    assert_int_equal(count_rows(TABLE_BODY), 6);
    assert_int_equal(rig_body_len(f.queue, mine, 0), SMALL);
    assert_true(rig_body_is(f.queue, kept, SMALL));
    free(bytes);
}

static void test_unused_destinations_are_removed(void **state)
{
    char name[32];

    (void)state;
    for (unsigned i = 0; i < 200; i++) {
        snprintf(name, sizeof name, "%u.example", i);
        uint64_t id = rig_insert_one(f.queue, name, 1);
        if (i % 2 == 0)
            assert_int_equal(rig_deliver(f.queue, id, 0, name, NULL), ERR_NONE);
    }
    assert_int_equal(count_rows(TABLE_DESTINATION), 200);
    reopen();
    for (int tries = 0; tries < 1000 && count_rows(TABLE_DESTINATION) > 100; tries++)
        turn_writer(1);
    assert_int_equal(count_rows(TABLE_DESTINATION), 100);
    /* A swept destination is made again. */
    rig_insert_one(f.queue, "0.example", 1);
    assert_int_equal(count_rows(TABLE_DESTINATION), 101);
}

/* ---- deliveries that were noted and not settled ------------------------------------------- */

static void note(uint64_t id, uint64_t due)
{
    delivered_note(&f.queue->delivered, &(struct delivered_note){.id = id, .due = due});
}

static void test_noted_deliveries_are_settled(void **state)
{
    uint64_t noted = rig_insert_one(f.queue, "a.example", 5000);
    uint64_t other = rig_insert_one(f.queue, "a.example", 5000);
    uint64_t tried_since = rig_insert_one(f.queue, "a.example", 5000);

    (void)state;
    note(noted, RIG_DUE);
    note(noted, RIG_DUE);
    note(tried_since, RIG_DUE - 1);
    note(queue_new_id(f.queue), RIG_DUE);
    reopen();
    assert_int_equal(rig_load(f.queue, noted), ERR_NOT_FOUND);
    assert_int_equal(rig_load(f.queue, other), ERR_NONE);
    assert_int_equal(rig_load(f.queue, tried_since), ERR_NONE);
    assert_int_equal(count_rows(TABLE_MESSAGE), 2);
    assert_int_equal(count_rows(TABLE_DUE), 2);
    assert_int_equal(count_rows(TABLE_BODY), 4);
}

static void test_a_torn_note_is_none(void **state)
{
    uint64_t id = rig_insert_one(f.queue, "a.example", 1);

    (void)state;
    note(id, RIG_DUE);
    f.queue->delivered.map[3] ^= 1;
    note(id, RIG_DUE);
    f.queue->delivered.map[32 + 16] ^= 1;
    reopen();
    assert_int_equal(rig_load(f.queue, id), ERR_NONE);
}

/* A settlement that reaches the disk is all there is to it: its note stays, and means nothing. */
static void test_old_notes_mean_nothing(void **state)
{
    (void)state;
    for (unsigned i = 0; i < DELIVERED_NOTES + 100; i++)
        note(queue_new_id(f.queue), RIG_DUE);
    uint64_t id = rig_insert_one(f.queue, "a.example", 1);
    note(id, RIG_DUE);
    reopen();
    assert_int_equal(rig_load(f.queue, id), ERR_NOT_FOUND);
    id = rig_insert_one(f.queue, "a.example", 1);
    reopen();
    assert_int_equal(rig_load(f.queue, id), ERR_NONE);
}

static void test_notes_that_cannot_be_opened(void **state)
{
    char path[SCRATCH_PATH + 16];

    (void)state;
    snprintf(path, sizeof path, "%s/delivered", f.folder);
    close_queue();
    assert_int_equal(unlink(path), 0);
    assert_int_equal(symlink("/dev/null", path), 0);
    open_queue();
    assert_null(f.queue->delivered.map);
    note(1, RIG_DUE);
    rig_insert_one(f.queue, "a.example", 1);
    reopen();
    assert_int_equal(count_rows(TABLE_MESSAGE), 1);
}

/* ---- collisions and abandoned transactions ------------------------------------------------ */

static uint64_t destination_number(const char *key)
{
    return codec_destination_number(f.queue->seed, span_cstr(key));
}

static struct err apply_collision(struct kv_op *op, struct kv_txn *txn)
{
    (void)op;
    return rows_put_destination(txn, destination_number("a.example"),
                                &(struct queue_destination){.key = SPAN("other.example")});
}

static sem_t gate_entered, gate_leave;

static struct err apply_gate(struct kv_op *op, struct kv_txn *txn)
{
    (void)op, (void)txn;
    sem_post(&gate_entered);
    sem_wait(&gate_leave);
    return ERR_OK;
}

/* The destination's row must not be taken for written when the transaction that wrote it was
 * abandoned because of its neighbour. */
static void test_collision_fails_alone(void **state)
{
    const char *const good[] = {"good.example"}, *const bad[] = {"b.example", "a.example"};
    struct queue_insert inserts[2] = {
        {.message = rig_make_message(f.queue, 1, good, 10)},
        {.message = rig_make_message(f.queue, 2, bad, 10)},
    };
    struct kv_op gate = {.apply = apply_gate};

    (void)state;
    turn_writer(10); /* until recovery is through: it would take the row away */
    assert_int_equal(run_op(apply_collision), ERR_NONE);
    sem_init(&gate_entered, 0, 0);
    sem_init(&gate_leave, 0, 0);
    rig_prepare_op(&gate);
    kv_submit(f.queue->kv, &gate);
    sem_wait(&gate_entered);
    for (unsigned i = 0; i < 2; i++) {
        rig_prepare_op(&inserts[i].op);
        queue_insert(f.queue, &inserts[i]);
    }
    sem_post(&gate_leave);
    rig_wait(3);
    assert_int_equal(inserts[0].op.result.kind, ERR_NONE);
    assert_int_equal(inserts[1].op.result.kind, ERR_CONFLICT);
    assert_int_equal(rig_load(f.queue, inserts[0].message->id), ERR_NONE);
    assert_int_equal(rig_load(f.queue, inserts[1].message->id), ERR_NOT_FOUND);
    assert_int_equal(count_rows(TABLE_DESTINATION), 2); /* good.example and the planted one */
    assert_int_not_equal(rig_insert_one(f.queue, "b.example", 1), 0);
    assert_int_equal(count_rows(TABLE_DESTINATION), 3);
    for (unsigned i = 0; i < 2; i++)
        queue_message_unref(inserts[i].message);
}

/* ---- damage ----------------------------------------------------------------------------- */

/* Flips a bit at the n-th place where data.mdb has the marker. False where there is none. */
static bool flip(const char *marker, unsigned nth)
{
    char path[SCRATCH_PATH + 16];
    struct stat st;
    char *at = NULL;

    snprintf(path, sizeof path, "%s/data.mdb", f.folder);
    int fd = open(path, O_RDWR);
    assert_true(fd >= 0 && fstat(fd, &st) == 0);
    size_t len = (size_t)st.st_size;
    char *file = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    assert_true(file != MAP_FAILED);
    for (char *from = file; nth > 0 && from != NULL; nth--) {
        at = memmem(from, len - (size_t)(from - file), marker, strlen(marker));
        from = at ? at + 1 : NULL;
    }
    if (at != NULL)
        *at ^= 0x20;
    munmap(file, len);
    close(fd);
    return at != NULL;
}

/* Another message that must stay readable whatever happens to the first. */
static uint64_t insert_witness(void)
{
    uint64_t id = rig_insert_one(f.queue, "witness.example", 20000);

    assert_int_not_equal(id, 0);
    return id;
}

static void test_damaged_chunk(void **state)
{
    struct queue_message *message = rig_make_message(f.queue, 1, (const char *[]){"a.example"}, 0);
    uint64_t witness = insert_witness(), id = message->id;
    struct buf body;

    (void)state;
    rig_add_body(message, 2 * QUEUE_CHUNK);
    buf_add(&message->body, SPAN("marked in the third chunk"));
    assert_int_equal(rig_insert(f.queue, message, 0), ERR_NONE);
    queue_message_unref(message);
    close_queue();
    assert_true(flip("marked in the third chunk", 1));
    open_queue();
    buf_init(&body, 0);
    assert_int_equal(queue_read_body(f.queue, id, 0, 3, &body).kind, ERR_CORRUPT);
    assert_int_equal(buf_len(&body), 2 * QUEUE_CHUNK);
    buf_fini(&body);
    assert_true(rig_body_is(f.queue, witness, 20000));
    assert_int_equal(rig_load(f.queue, id), ERR_NONE);
    assert_int_equal(rig_deliver(f.queue, id, 0, "a.example", NULL), ERR_NONE);
}

static void test_missing_chunk(void **state)
{
    static const char bytes[QUEUE_CHUNK];
    uint64_t id = queue_new_id(f.queue);
    struct buf body;

    (void)state;
    assert_int_equal(rig_stage(f.queue, id, 0, span_of(bytes, sizeof bytes)), ERR_NONE);
    assert_int_equal(rig_stage(f.queue, id, 2, span_of(bytes, sizeof bytes)), ERR_NONE);
    buf_init(&body, 0);
    assert_int_equal(queue_read_body(f.queue, id, 0, 9, &body).kind, ERR_CORRUPT);
    assert_int_equal(buf_len(&body), QUEUE_CHUNK);
    buf_fini(&body);
}

struct scanned {
    unsigned good, damaged;
    uint64_t damaged_id;
};

static bool visit_message(void *context, struct queue_message *message)
{
    struct scanned *scanned = context;

    if (message->flags & QUEUE_DAMAGED) {
        scanned->damaged++;
        scanned->damaged_id = message->id;
    } else {
        scanned->good++;
    }
    return true;
}

/* `marker` stands in one record of the first message only. */
static void check_damaged_record(const char *marker)
{
    struct queue_message *message =
        rig_make_message(f.queue, 1, (const char *[]){"a.example"}, 100);
    uint64_t witness = insert_witness(), id = message->id;
    struct scanned scanned = {0};

    message->subject = SPAN("marked envelope");
    message->groups[0].next_hop = SPAN("marked group");
    assert_int_equal(rig_insert(f.queue, message, 0), ERR_NONE);
    queue_message_unref(message);
    close_queue();
    for (unsigned nth = 1; flip(marker, nth); nth++)
        continue; /* older copies of the page, too */
    open_queue();
    assert_int_equal(rig_load(f.queue, id), ERR_CORRUPT);
    assert_int_equal(rig_load(f.queue, witness), ERR_NONE);
    assert_true(rig_body_is(f.queue, witness, 20000));
    assert_false(err_is(queue_scan(f.queue, 0, visit_message, &scanned)));
    assert_true(scanned.good == 1 && scanned.damaged == 1 && scanned.damaged_id == id);
    /* It is still listed as due, and an operator can be rid of it. */
    bool gone;
    assert_int_equal(rig_deliver(f.queue, id, 0, "a.example", &gone), ERR_NONE);
    assert_true(gone);
    assert_int_equal(rig_load(f.queue, id), ERR_NOT_FOUND);
}

static void test_damaged_envelope(void **state)
{
    (void)state;
    check_damaged_record("marked envelope");
}

static void test_damaged_group(void **state)
{
    (void)state;
    check_damaged_record("marked group");
}

static bool visit_destination(void *context, const struct queue_destination *destination)
{
    unsigned *found = context;

    *found += span_equal(destination->key, SPAN("witness.example"));
    return true;
}

static struct err apply_damaged_destination(struct kv_op *op, struct kv_txn *txn)
{
    struct key key = key_of(destination_number("witness.example"));

    (void)op;
    return kv_put(txn, TABLE_DESTINATION, key_span(&key), SPAN("damaged"));
}

static void test_damaged_destination_is_still_found(void **state)
{
    unsigned found = 0;

    (void)state;
    insert_witness();
    assert_int_equal(run_op(apply_damaged_destination), ERR_NONE);
    assert_false(err_is(queue_destinations(f.queue, visit_destination, &found)));
    assert_int_equal(found, 1);
    reopen();
    insert_witness();
    assert_false(err_is(queue_destinations(f.queue, visit_destination, &found)));
    assert_int_equal(found, 2);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(test_reopening_keeps_all),
        CASE(test_ids_grow_where_the_clock_goes_back),
        CASE(test_restart_does_not_run_ahead_of_the_clock),
        CASE(test_reader_beside_the_daemon),
        CASE(test_missing_store),
        CASE(test_newer_format_is_refused),
        CASE(test_unfinished_bodies_are_removed),
        CASE(test_unused_destinations_are_removed),
        CASE(test_noted_deliveries_are_settled),
        CASE(test_a_torn_note_is_none),
        CASE(test_old_notes_mean_nothing),
        CASE(test_notes_that_cannot_be_opened),
        CASE(test_collision_fails_alone),
        CASE(test_damaged_chunk),
        CASE(test_missing_chunk),
        CASE(test_damaged_envelope),
        CASE(test_damaged_group),
        CASE(test_damaged_destination_is_still_found),
    };
    return cmocka_run_group_tests_name("queue_store", tests, NULL, NULL);
}
