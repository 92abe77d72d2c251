/* kv: what becomes of the data file behind the store's back, what is found beside it, and that it
 * has its name for good only once it is on the disk. */
#include "base/kv.h"
#include "support/scratch.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static const char *const names[] = {"a"};
static char folder[SCRATCH_PATH];
static struct kv *kv;

/* ---- what is made durable, in which order --------------------------------------------------- */

enum { TRACE_MOST = 64 };

static struct {
    char calls[TRACE_MOST + 1]; /* S: a file is synced; F: a folder; R: a name is given */
    atomic_uint count;
} trace;

static void note(char call)
{
    unsigned at = atomic_fetch_add(&trace.count, 1);

    if (at < TRACE_MOST)
        trace.calls[at] = call;
}

static const char *traced(void)
{
    unsigned count = atomic_load(&trace.count);

    trace.calls[count < TRACE_MOST ? count : TRACE_MOST] = '\0';
    return trace.calls;
}

static int sync_by(const char *name, int fd)
{
    int (*next)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
    struct stat st;

    note(fstat(fd, &st) == 0 && S_ISDIR(st.st_mode) ? 'F' : 'S');
    return next(fd);
}

int fsync(int fd)
{
    return sync_by("fsync", fd);
}

int fdatasync(int fd)
{
    return sync_by("fdatasync", fd);
}

int renameat(int from, const char *old, int to, const char *new)
{
    int (*next)(int, const char *, int, const char *) =
        (int (*)(int, const char *, int, const char *))dlsym(RTLD_NEXT, "renameat");

    note('R');
    return next(from, old, to, new);
}

/* ---- the store ------------------------------------------------------------------------------ */

static const char *path_of(const char *name)
{
    static char path[SCRATCH_PATH + 32];

    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static struct err try_open(void)
{
    struct kv_options options = {
        .path = folder, .map_size = 16 << 20, .tables = names, .table_count = 1};

    return kv_open(&options, &kv);
}

static struct err put(struct kv_op *op, struct kv_txn *txn)
{
    (void)op;
    return kv_put(txn, 0, SPAN("key"), SPAN("value"));
}

static struct err delete_key(struct kv_op *op, struct kv_txn *txn)
{
    (void)op;
    return kv_delete(txn, 0, SPAN("key"));
}

static enum err_kind run(enum kv_kind kind, struct err (*apply)(struct kv_op *, struct kv_txn *))
{
    struct kv_op op = {.kind = kind, .apply = apply};

    return kv_run(kv, &op).kind;
}

static bool is_broken(void)
{
    struct kv_stats stats;

    kv_stats(kv, &stats);
    return stats.broken;
}

static void make_file(const char *name, off_t size)
{
    int fd = open(path_of(name), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, size), 0);
    close(fd);
}

static int enter(void **state)
{
    (void)state;
    scratch_make(folder);
    assert_false(err_is(try_open()));
    assert_int_equal(run(KV_GROW, put), ERR_NONE);
    return 0;
}

static int leave(void **state)
{
    (void)state;
    kv_close(kv);
    scratch_remove(folder);
    return 0;
}

/* What would be promised now would be gone with the process; what is known can still leave. */
static void assert_only_drains(void)
{
    assert_int_equal(run(KV_GROW, put), ERR_STORE);
    assert_true(is_broken());
    assert_int_equal(run(KV_SHRINK, delete_key), ERR_NONE);
    assert_int_equal(run(KV_GROW, put), ERR_STORE);
}

static void nothing_is_added_to_a_removed_file(void **state)
{
    (void)state;
    assert_false(is_broken());
    assert_int_equal(unlink(path_of("data.mdb")), 0);
    assert_only_drains();
}

static void nothing_is_added_to_a_replaced_file(void **state)
{
    char other[SCRATCH_PATH + 32];

    (void)state;
    make_file("other", 8192);
    snprintf(other, sizeof other, "%s", path_of("other"));
    assert_int_equal(rename(other, path_of("data.mdb")), 0);
    assert_only_drains();
}

/* The file gets its name when it is whole (kv_create.c), so somebody has emptied it; to begin anew
 * would be to forget in silence what it held. */
static void an_emptied_file_is_refused(void **state)
{
    (void)state;
    kv_close(kv);
    assert_int_equal(truncate(path_of("data.mdb"), 0), 0);
    assert_int_equal(try_open().kind, ERR_CORRUPT);
    assert_null(kv);
}

static void what_a_compaction_has_left_is_removed(void **state)
{
    (void)state;
    kv_close(kv);
    make_file("data.mdb.new", 65536);
    assert_false(err_is(try_open()));
    assert_int_not_equal(access(path_of("data.mdb.new"), F_OK), 0);
    assert_int_equal(run(KV_SHRINK, delete_key), ERR_NONE);
}

static void a_new_file_is_on_the_disk_before_it_has_its_name(void **state)
{
    (void)state;
    kv_close(kv);
    assert_int_equal(unlink(path_of("data.mdb")), 0);
    atomic_store(&trace.count, 0);
    assert_false(err_is(try_open()));
    assert_memory_equal(traced(), "SRF", 3);
}

static void a_compacted_file_is_on_the_disk_before_it_has_its_name(void **state)
{
    (void)state;
    atomic_store(&trace.count, 0);
    assert_false(err_is(kv_compact(kv)));
    assert_string_equal(traced(), "SRF");
}

int main(void)
{
#define CASE(test) cmocka_unit_test_setup_teardown(test, enter, leave)
    static const struct CMUnitTest tests[] = {
        CASE(nothing_is_added_to_a_removed_file),
        CASE(nothing_is_added_to_a_replaced_file),
        CASE(an_emptied_file_is_refused),
        CASE(what_a_compaction_has_left_is_removed),
        CASE(a_new_file_is_on_the_disk_before_it_has_its_name),
        CASE(a_compacted_file_is_on_the_disk_before_it_has_its_name),
    };

    return cmocka_run_group_tests_name("kv_file", tests, NULL, NULL);
}
