/* kv_compact: what is there stays, what is not used goes, and nobody who reads is disturbed. */
#include "base/kv.h"
#include "support/scratch.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { ROWS = 400, KEPT_EVERY = 40, LEN = 8000, MAP = 64 << 20 };

static const char *const names[] = {"a"};
static char folder[SCRATCH_PATH], data[SCRATCH_PATH + 16], lock[SCRATCH_PATH + 16];

static struct kv *open_kv(void)
{
    struct kv_options options = {
        .path = folder, .map_size = MAP, .tables = names, .table_count = 1};
    struct kv *kv;

    assert_false(err_is(kv_open(&options, &kv)));
    return kv;
}

static struct span key_of_row(const uint32_t *row)
{
    return span_of((const char *)row, sizeof *row);
}

static struct err put_all(struct kv_op *op, struct kv_txn *txn)
{
    struct err e = ERR_OK;
    char *room;

    (void)op;
    for (uint32_t i = 0; i < ROWS && !err_is(e); i++) {
        e = kv_reserve(txn, 0, key_of_row(&i), LEN, &room);
        if (!err_is(e))
            memset(room, (int)i, LEN);
    }
    return e;
}

static struct err remove_most(struct kv_op *op, struct kv_txn *txn)
{
    struct err e = ERR_OK;

    (void)op;
    for (uint32_t i = 0; i < ROWS && !err_is(e); i++)
        if (i % KEPT_EVERY != 0)
            e = kv_delete(txn, 0, key_of_row(&i));
    return e;
}

static void run(struct kv *kv, struct err (*apply)(struct kv_op *op, struct kv_txn *txn))
{
    struct kv_op op = {.apply = apply};

    assert_false(err_is(kv_run(kv, &op)));
}

static void assert_rows(struct kv *kv)
{
    struct kv_txn *txn;
    struct span value;

    assert_false(err_is(kv_read_begin(kv, &txn)));
    assert_int_equal(kv_count(txn, 0), ROWS / KEPT_EVERY);
    for (uint32_t i = 0; i < ROWS; i += KEPT_EVERY) {
        assert_false(err_is(kv_get(txn, 0, key_of_row(&i), &value)));
        assert_int_equal(value.len, LEN);
        assert_int_equal((unsigned char)value.ptr[LEN - 1], i % 256);
    }
    kv_read_end(txn);
}

static off_t size_of_data(void)
{
    struct stat st;

    assert_int_equal(stat(data, &st), 0);
    return st.st_size;
}

static int enter(void **state)
{
    (void)state;
    scratch_make(folder);
    snprintf(data, sizeof data, "%s/data.mdb", folder);
    snprintf(lock, sizeof lock, "%s/lock.mdb", folder);
    struct kv *kv = open_kv();
    run(kv, put_all);
    run(kv, remove_most);
    kv_close(kv);
    return 0;
}

static int leave(void **state)
{
    (void)state;
    scratch_remove(folder);
    return 0;
}

static void the_file_becomes_smaller(void **state)
{
    (void)state;
    off_t before = size_of_data();
    struct kv *kv = open_kv();
    assert_false(err_is(kv_compact(kv)));
    assert_true(size_of_data() < before / 4);
    kv_close(kv);
    kv = open_kv();
    assert_rows(kv);
    run(kv, put_all);
    run(kv, remove_most);
    assert_rows(kv);
    kv_close(kv);
}

/* As a process that has the environment open holds it. */
static pid_t start_reader(int *until)
{
    int ready[2], end[2];
    char byte;

    assert_int_equal(pipe(ready), 0);
    assert_int_equal(pipe(end), 0);
    pid_t pid = fork();
    if (pid == 0) {
        struct flock shared = {.l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 1};
        int fd = open(lock, O_RDWR);
        close(end[1]);
        if (fcntl(fd, F_SETLK, &shared) != 0 || write(ready[1], "r", 1) != 1)
            _exit(1);
        _exit(read(end[0], &byte, 1) == 0 ? 0 : 1);
    }
    close(ready[1]);
    close(end[0]);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    *until = end[1];
    return pid;
}

static void not_while_another_process_reads(void **state)
{
    int until, status;

    (void)state;
    struct kv *kv = open_kv();
    off_t before = size_of_data();
    pid_t reader = start_reader(&until);
    assert_int_equal(kv_compact(kv).kind, ERR_CONFLICT);
    assert_true(size_of_data() == before);
    close(until);
    assert_int_equal(waitpid(reader, &status, 0), reader);
    assert_int_equal(status, 0);
    kv_close(kv);
    kv = open_kv();
    assert_rows(kv);
    kv_close(kv);
}

int main(void)
{
#define COMPACT(test) cmocka_unit_test_setup_teardown(test, enter, leave)
    static const struct CMUnitTest tests[] = {
        COMPACT(the_file_becomes_smaller),
        COMPACT(not_while_another_process_reads),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
