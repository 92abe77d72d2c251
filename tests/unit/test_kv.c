/* kv: batches, failures of single operations, lack of room, failing I/O, several processes' views.
 * I/O faults come from support/io_faults.h. */
#include "base/kv.h"
#include "support/io_faults.h"
#include "support/loop_rig.h"
#include "support/scratch.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum { TABLE_A, TABLE_B, OPS_MOST = 600, KIB = 1024, MIB = 1024 * 1024 };

static const char *const names[] = {"a", "b"};

/* ---- operations ------------------------------------------------------------------------- */

struct step {
    struct kv_op op;
    uint32_t number; /* key */
    size_t len;      /* of the value */
    bool remove;
    enum err_kind fail_before; /* changing anything */
    enum err_kind fail_after;
    unsigned applied;
};

static struct fixture {
    char folder[SCRATCH_PATH];
    struct kv_options options;
    struct kv *kv;
    struct step steps[OPS_MOST];
} f;

static struct span number_key(const uint32_t *number)
{
    return span_of((const char *)number, sizeof *number);
}

static struct err apply_step(struct kv_op *op, struct kv_txn *txn)
{
    struct step *step = container_of(op, struct step, op);
    char *room;

    step->applied++;
    if (step->fail_before != ERR_NONE)
        return err_make(step->fail_before, "test");
    if (step->remove)
        return kv_delete(txn, TABLE_A, number_key(&step->number));
    struct err e = kv_reserve(txn, TABLE_A, number_key(&step->number), step->len, &room);
    if (err_is(e))
        return e;
    memset(room, (int)step->number, step->len);
    return step->fail_after != ERR_NONE ? err_make(step->fail_after, "test") : ERR_OK;
}

static struct step *make_step(unsigned place, uint32_t number, size_t len)
{
    struct step *step = &f.steps[place];

    *step = (struct step){.number = number, .len = len, .op.apply = apply_step};
    rig_prepare_op(&step->op);
    return step;
}

static enum err_kind run(struct step *step)
{
    kv_submit(f.kv, &step->op);
    rig_wait(1);
    return step->op.result.kind;
}

static enum err_kind run_put(uint32_t number, size_t len)
{
    return run(make_step(0, number, len));
}

static enum err_kind run_remove(uint32_t number)
{
    struct step *step = make_step(0, number, 0);

    step->remove = true;
    step->op.kind = KV_SHRINK;
    return run(step);
}

/* Holds the writer inside a transaction, so that what is submitted meanwhile is one batch. */
static struct {
    struct kv_op op;
    sem_t entered, leave;
} gate;

static struct err apply_gate(struct kv_op *op, struct kv_txn *txn)
{
    (void)op, (void)txn;
    sem_post(&gate.entered);
    sem_wait(&gate.leave);
    return ERR_OK;
}

static void close_gate(void)
{
    sem_init(&gate.entered, 0, 0);
    sem_init(&gate.leave, 0, 0);
    gate.op = (struct kv_op){.apply = apply_gate};
    rig_prepare_op(&gate.op);
    kv_submit(f.kv, &gate.op);
    sem_wait(&gate.entered);
}

/* Lets the batch run and waits for it. */
static void open_gate(unsigned batch)
{
    sem_post(&gate.leave);
    rig_wait(batch + 1);
    sem_destroy(&gate.entered);
    sem_destroy(&gate.leave);
}

static bool has(uint32_t number)
{
    struct kv_txn *txn;
    struct span value;

    assert_false(err_is(kv_read_begin(f.kv, &txn)));
    struct err e = kv_get(txn, TABLE_A, number_key(&number), &value);
    kv_read_end(txn);
    assert_true(!err_is(e) || e.kind == ERR_NOT_FOUND);
    return !err_is(e);
}

static struct kv_stats stats(void)
{
    struct kv_stats now;

    kv_stats(f.kv, &now);
    return now;
}

static void open_store(void)
{
    assert_false(err_is(kv_open(&f.options, &f.kv)));
}

static void reopen(void)
{
    kv_close(f.kv);
    open_store();
}

static int setup(void **state)
{
    (void)state;
    memset(&f, 0, sizeof f);
    scratch_make(f.folder);
    f.options = (struct kv_options){
        .path = f.folder, .map_size = 64 * MIB, .tables = names, .table_count = 2};
    rig_start();
    open_store();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    faults_heal();
    kv_close(f.kv);
    rig_stop();
    scratch_remove(f.folder);
    return 0;
}

/* ---- tables ----------------------------------------------------------------------------- */

static struct err apply_tables(struct kv_op *op, struct kv_txn *txn)
{
    struct span key, value;
    bool more;
    char name[8];

    (void)op;
    for (int i = 0; i < 500; i++) {
        snprintf(name, sizeof name, "k%03d", i);
        assert_false(err_is(kv_append(txn, TABLE_B, span_cstr(name), span_cstr(name))));
    }
    assert_int_equal(kv_append(txn, TABLE_B, SPAN("k100"), SPAN("late")).kind, ERR_INVALID);
    assert_int_equal(kv_count(txn, TABLE_B), 500);
    assert_false(err_is(kv_seek(txn, TABLE_B, SPAN("k1005"), &key, &value)));
    assert_true(span_equal(key, SPAN("k101")) && span_equal(value, SPAN("k101")));
    assert_int_equal(kv_seek(txn, TABLE_B, SPAN("x"), &key, &value).kind, ERR_NOT_FOUND);
    assert_false(err_is(kv_last(txn, TABLE_B, &key, &value)));
    assert_true(span_equal(key, SPAN("k499")));
    assert_int_equal(kv_last(txn, TABLE_A, &key, &value).kind, ERR_NOT_FOUND);
    assert_int_equal(kv_delete(txn, TABLE_B, SPAN("none")).kind, ERR_NOT_FOUND);
    assert_false(err_is(kv_delete_range(txn, TABLE_B, SPAN("k2"), SPAN("k2"), 40, &more)));
    assert_true(more);
    assert_false(err_is(kv_delete_range(txn, TABLE_B, SPAN("k2"), SPAN("k2"), 60, &more)));
    assert_false(more);
    assert_int_equal(kv_count(txn, TABLE_B), 400);
    assert_false(err_is(kv_seek(txn, TABLE_B, SPAN("k2"), &key, &value)));
    assert_true(span_equal(key, SPAN("k300")));
    return ERR_OK;
}

static void test_tables(void **state)
{
    struct step *step = make_step(0, 0, 0);

    (void)state;
    step->op.apply = apply_tables;
    assert_int_equal(run(step), ERR_NONE);
}

static bool count_three(void *context, struct span key, struct span value)
{
    unsigned *count = context;

    (void)key, (void)value;
    return ++*count < 3;
}

static void test_walk_stops(void **state)
{
    struct kv_txn *txn;
    unsigned count = 0;

    (void)state;
    for (uint32_t i = 0; i < 5; i++)
        assert_int_equal(run_put(i, 10), ERR_NONE);
    assert_false(err_is(kv_read_begin(f.kv, &txn)));
    assert_false(err_is(kv_walk(txn, TABLE_A, SPAN_NONE, count_three, &count)));
    assert_int_equal(count, 3);
    count = 0;
    assert_false(err_is(kv_walk(txn, TABLE_B, SPAN_NONE, count_three, &count)));
    assert_int_equal(count, 0);
    kv_read_end(txn);
}

/* ---- batches ---------------------------------------------------------------------------- */

static void test_one_commit_for_a_batch(void **state)
{
    (void)state;
    close_gate();
    uint64_t before = stats().commits;
    for (unsigned i = 0; i < 500; i++)
        kv_submit(f.kv, &make_step(i, i, 100)->op);
    open_gate(500);
    assert_int_equal(stats().commits - before, 2); /* the gate's own and the batch's */
    for (unsigned i = 0; i < 500; i++)
        assert_true(!err_is(f.steps[i].op.result) && has(i));
    assert_int_equal(loop_rig.astray, 0);
}

static void test_large_batch_is_cut(void **state)
{
    (void)state;
    close_gate();
    uint64_t before = stats().commits;
    for (unsigned i = 0; i < 40; i++)
        kv_submit(f.kv, &make_step(i, i, MIB)->op);
    open_gate(40);
    assert_int_equal(stats().commits - before, 4); /* 16 MiB each, and the gate's */
    assert_true(has(0) && has(39));
}

static void fail_one_of_five(enum err_kind before, enum err_kind after, unsigned replays)
{
    close_gate();
    for (unsigned i = 0; i < 5; i++) {
        struct step *step = make_step(i, i, 100);
        step->fail_before = i == 2 ? before : ERR_NONE;
        step->fail_after = i == 2 ? after : ERR_NONE;
        kv_submit(f.kv, &step->op);
    }
    open_gate(5);
    for (unsigned i = 0; i < 5; i++) {
        assert_int_equal(err_is(f.steps[i].op.result), i == 2);
        assert_int_equal(has(i), i != 2);
    }
    assert_int_equal(f.steps[0].applied, 1 + replays);
    assert_int_equal(f.steps[2].applied, 1);
    assert_int_equal(f.steps[2].op.result.kind, before != ERR_NONE ? before : after);
}

static void test_culprit_alone_fails(void **state)
{
    (void)state;
    fail_one_of_five(ERR_NONE, ERR_INVALID, 1);
}

static void test_failure_without_change_replays_nothing(void **state)
{
    (void)state;
    fail_one_of_five(ERR_NOT_FOUND, ERR_NONE, 0);
}

static void test_close_commits_what_was_submitted(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 200; i++)
        kv_submit(f.kv, &make_step(i, i, 4000)->op);
    reopen();
    rig_wait(200);
    for (unsigned i = 0; i < 200; i++)
        assert_true(!err_is(f.steps[i].op.result) && has(i));
}

/* A gathering that is not ended by its batch being large enough, or by closing, takes an hour. */
static void test_gathering_ends_early(void **state)
{
    (void)state;
    f.options.gather_ms = 3600 * 1000;
    reopen();
    close_gate();
    for (unsigned i = 0; i < 3; i++)
        kv_submit(f.kv, &make_step(i, i, 100)->op);
    open_gate(3);
    uint64_t before = stats().commits;
    for (unsigned i = 0; i < 64; i++)
        kv_submit(f.kv, &make_step(i, i, 100)->op);
    rig_wait(64);
    assert_int_equal(stats().commits - before, 1);
    kv_submit(f.kv, &make_step(0, 100, 100)->op);
    f.options.gather_ms = 0;
    reopen();
    rig_wait(1);
    assert_true(has(63) && has(100));
    assert_int_equal(run_put(101, 100), ERR_NONE); /* a lone one never waits */
}

static void on_writer_done(struct call *call)
{
    (void)call;
    sem_post(&loop_rig.done);
}

static void test_completion_without_home(void **state)
{
    struct step *step = make_step(0, 1, 10);

    (void)state;
    step->op.home = NULL;
    step->op.call.done = on_writer_done;
    assert_int_equal(run(step), ERR_NONE);
}

/* ---- room ------------------------------------------------------------------------------- */

static void test_map_full(void **state)
{
    uint32_t stored = 0;

    (void)state;
    kv_close(f.kv);
    scratch_remove(f.folder);
    f.options.map_size = MIB;
    f.options.low_water = 256 * KIB;
    open_store();
    while (run_put(stored, 4000) == ERR_NONE)
        stored++;
    assert_int_equal(f.steps[0].op.result.kind, ERR_NO_SPACE);
    assert_true(stored > 50 && stats().low);
    assert_int_equal(run_put(0, 5 * KIB), ERR_NO_SPACE);
    for (uint32_t i = 0; i < stored; i++)
        assert_int_equal(run_remove(i), ERR_NONE);
    struct step *wait = make_step(0, 0, 4000);
    for (int tries = 0; tries < 1000000 && run(wait) != ERR_NONE; tries++)
        continue; /* the free list is counted again after a while */
    assert_int_equal(wait->op.result.kind, ERR_NONE);
    assert_false(stats().low || stats().broken);
}

static void test_too_large_for_the_map_fails_alone(void **state)
{
    (void)state;
    close_gate();
    kv_submit(f.kv, &make_step(0, 0, 100)->op);
    kv_submit(f.kv, &make_step(1, 1, 80 * MIB)->op);
    kv_submit(f.kv, &make_step(2, 2, 100)->op);
    open_gate(3);
    assert_int_equal(f.steps[1].op.result.kind, ERR_NO_SPACE);
    assert_true(has(0) && !has(1) && has(2));
}

static void test_no_space_in_commit_fails_alone(void **state)
{
    (void)state;
    close_gate();
    kv_submit(f.kv, &make_step(0, 0, 100)->op);
    kv_submit(f.kv, &make_step(1, 1, 200 * KIB)->op);
    kv_submit(f.kv, &make_step(2, 2, 100)->op);
    faults.write_most = 100 * KIB;
    open_gate(3);
    assert_int_equal(f.steps[1].op.result.kind, ERR_NO_SPACE);
    assert_true(has(0) && !has(1) && has(2));
    faults_heal();
    assert_false(stats().broken);
    assert_int_equal(run_put(1, 200 * KIB), ERR_NONE);
}

static void test_short_write_on_full_disk(void **state)
{
    (void)state;
    faults.short_most = 100 * KIB;
    faults.allocate_error = ENOSPC;
    assert_int_equal(run_put(1, 200 * KIB), ERR_NO_SPACE);
    assert_int_equal(run_put(2, 100), ERR_NONE);
    faults_heal();
    assert_false(stats().broken);
    assert_int_equal(run_put(1, 200 * KIB), ERR_NONE);
}

static void test_shrink_uses_the_reserve(void **state)
{
    char reserve[SCRATCH_PATH + 16];

    (void)state;
    f.options.reserve = MIB;
    reopen();
    assert_int_equal(run_put(1, 4000), ERR_NONE);
    snprintf(reserve, sizeof reserve, "%s/reserve", f.folder);
    assert_int_equal(access(reserve, F_OK), 0);
    faults.allocate_error = ENOSPC; /* nobody makes a new reserve meanwhile */
    faults.blocked = reserve;
    assert_int_equal(run_put(2, 4000), ERR_NO_SPACE);
    assert_int_equal(access(reserve, F_OK), 0);
    assert_int_equal(run_remove(1), ERR_NONE);
    assert_int_not_equal(access(reserve, F_OK), 0);
    faults_heal();
    for (int tries = 0; tries < 1000000 && access(reserve, F_OK) != 0; tries++)
        assert_int_equal(run_put(2, 4000), ERR_NONE); /* it is asked for again after a while */
    assert_int_equal(access(reserve, F_OK), 0);
    assert_false(has(1) || stats().broken);
}

static void test_low_disk_refuses_growth_only(void **state)
{
    (void)state;
    assert_int_equal(run_put(1, 100), ERR_NONE);
    f.options.low_water = UINT64_MAX / 4;
    reopen();
    assert_true(stats().low);
    assert_int_equal(run_put(2, 100), ERR_NO_SPACE);
    assert_int_equal(f.steps[0].applied, 0);
    assert_int_equal(run_remove(1), ERR_NONE);
    assert_false(has(1));
}

/* ---- broken ----------------------------------------------------------------------------- */

static void check_broken(void)
{
    assert_true(stats().broken);
    faults_heal();
    assert_int_equal(run_put(3, 100), ERR_STORE);
    assert_int_equal(run_remove(1), ERR_STORE);
    reopen();
    assert_true(has(1) && !has(3) && !stats().broken);
    assert_int_equal(run_put(3, 100), ERR_NONE);
}

static void test_failed_sync_breaks(void **state)
{
    (void)state;
    assert_int_equal(run_put(1, 100), ERR_NONE);
    faults.sync_error = EIO;
    assert_int_equal(run_put(2, 100), ERR_SYSTEM);
    check_broken();
}

static void test_failed_meta_write_breaks(void **state)
{
    (void)state;
    assert_int_equal(run_put(1, 100), ERR_NONE);
    faults.meta_error = EIO;
    assert_int_equal(run_put(2, 100), ERR_SYSTEM);
    check_broken();
}

static void test_failed_sync_fails_the_whole_batch(void **state)
{
    (void)state;
    close_gate();
    for (unsigned i = 0; i < 5; i++)
        kv_submit(f.kv, &make_step(i, i, 100)->op);
    faults.sync_error = EIO;
    open_gate(5);
    for (unsigned i = 0; i < 5; i++)
        assert_true(err_is(f.steps[i].op.result));
    faults_heal();
    reopen();
    for (unsigned i = 0; i < 5; i++)
        assert_false(has(i));
}

/* ---- the first start -------------------------------------------------------------------- */

/* A cut while the file is being made leaves it under its other name, whatever is in it. */
static void test_unfinished_data_is_made_anew(void **state)
{
    char data[SCRATCH_PATH + 16], unfinished[SCRATCH_PATH + 16];

    (void)state;
    snprintf(data, sizeof data, "%s/data.mdb", f.folder);
    snprintf(unfinished, sizeof unfinished, "%s/data.mdb.new", f.folder);
    kv_close(f.kv);
    assert_int_equal(unlink(data), 0);
    int fd = open(unfinished, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, 8192), 0); /* its size is there, its head is not */
    close(fd);
    open_store();
    assert_int_equal(run_put(1, 100), ERR_NONE);
    assert_int_not_equal(access(unfinished, F_OK), 0);
}

/* ---- who may open ----------------------------------------------------------------------- */

static void test_second_writer_is_refused(void **state)
{
    struct kv *second;

    (void)state;
    assert_int_equal(kv_open(&f.options, &second).kind, ERR_CONFLICT);
    assert_null(second);
}

static void test_missing_store_is_not_made_by_a_reader(void **state)
{
    struct kv_options options = f.options;
    char missing[SCRATCH_PATH + 16];
    struct kv *reader;

    (void)state;
    snprintf(missing, sizeof missing, "%s/missing", f.folder);
    options.path = missing;
    options.read_only = true;
    assert_int_equal(kv_open(&options, &reader).kind, ERR_NOT_FOUND);
    assert_int_not_equal(access(missing, F_OK), 0);
    assert_int_equal(mkdir(missing, 0700), 0);
    assert_int_equal(kv_open(&options, &reader).kind, ERR_NOT_FOUND);
}

static void test_reader_when_no_writer_is_there(void **state)
{
    (void)state;
    assert_int_equal(run_put(7, 100), ERR_NONE);
    f.options.read_only = true;
    f.options.map_size = 0;
    reopen();
    assert_true(has(7));
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(test_tables),
        CASE(test_walk_stops),
        CASE(test_one_commit_for_a_batch),
        CASE(test_large_batch_is_cut),
        CASE(test_culprit_alone_fails),
        CASE(test_failure_without_change_replays_nothing),
        CASE(test_close_commits_what_was_submitted),
        CASE(test_gathering_ends_early),
        CASE(test_completion_without_home),
        CASE(test_map_full),
        CASE(test_too_large_for_the_map_fails_alone),
        CASE(test_no_space_in_commit_fails_alone),
        CASE(test_short_write_on_full_disk),
        CASE(test_shrink_uses_the_reserve),
        CASE(test_low_disk_refuses_growth_only),
        CASE(test_failed_sync_breaks),
        CASE(test_failed_meta_write_breaks),
        CASE(test_failed_sync_fails_the_whole_batch),
        CASE(test_unfinished_data_is_made_anew),
        CASE(test_second_writer_is_refused),
        CASE(test_missing_store_is_not_made_by_a_reader),
        CASE(test_reader_when_no_writer_is_there),
    };
    return cmocka_run_group_tests_name("kv", tests, NULL, NULL);
}
