/* guard: what is saved, what is found again, and what is made of damage and failing I/O. */
#include "base/clock.h"
#include "base/kv.h"
#include "base/log.h"
#include "guard/guard.h"
#include "support/io_faults.h"
#include "support/loop_turn.h"
#include "support/scratch.h"

#include <stdarg.h>
#include <sys/wait.h>

#include <cmocka.h>

#define ALICE SPAN("alice")

enum { MINUTE = 60000, HOUR = 60 * MINUTE, DAY = 24 * HOUR, MANY = 2600 };

static const uint64_t noon = 1700000000000u / DAY * DAY + 12 * HOUR;

static const struct guard_greylist policy = {
    .delay_ms = 5 * MINUTE, .window_ms = 2ull * DAY, .lifetime_ms = 36ull * DAY, .known_after = 2};

static struct fixture {
    char folder[SCRATCH_PATH];
    char path[SCRATCH_PATH + 8];
    char log[SCRATCH_PATH + 8];
    uint64_t entries_max;
    struct guard *guard;
} f;

static void create(uint64_t entries_max)
{
    f.guard = guard_create(&(struct guard_options){.entries_max = entries_max, .save_ms = 1});
}

static void open_at(uint64_t now)
{
    create(10000);
    assert_false(err_is(guard_open(f.guard, f.path, now)));
    assert_true(guard_is_open(f.guard));
}

static void close_at(uint64_t now)
{
    guard_close(f.guard, now);
    f.guard = NULL;
}

static void reopen_at(uint64_t now)
{
    close_at(now);
    open_at(now);
}

static int setup(void **state)
{
    (void)state;
    memset(&f, 0, sizeof f);
    scratch_make(f.folder);
    snprintf(f.path, sizeof f.path, "%s/guard", f.folder);
    snprintf(f.log, sizeof f.log, "%s/log", f.folder);
    assert_false(err_is(log_open(f.log, LOG_INFO)));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    faults_heal();
    guard_close(f.guard, noon);
    log_flush();
    assert_false(err_is(log_open("stderr", LOG_INFO)));
    scratch_remove(f.folder);
    return 0;
}

/* How often the log has it. */
static unsigned logged(const char *text)
{
    char line[4096];
    unsigned count = 0;

    log_flush();
    FILE *file = fopen(f.log, "r");
    assert_non_null(file);
    while (fgets(line, sizeof line, file) != NULL)
        count += strstr(line, text) != NULL;
    fclose(file);
    return count;
}

static unsigned take(enum guard_kind kind, struct span key, uint64_t limit, uint64_t now,
                     unsigned tries)
{
    unsigned taken = 0;
    uint64_t wait;

    while (tries-- > 0)
        taken += guard_take(f.guard, kind, key, limit, now, &wait);
    return taken;
}

static enum guard_verdict ask(const char *triplet, uint64_t now)
{
    uint64_t wait;

    return guard_greylist(f.guard, &policy, SPAN("n"), span_cstr(triplet), now, &wait);
}

/* ---- listing ------------------------------------------------------------------------------ */

struct seen {
    unsigned count;
    unsigned most; /* 0 = all */
    struct guard_view first;
    char key[64];
    char last[64];
};

static bool see(void *context, const struct guard_view *view)
{
    struct seen *seen = context;
    char text[64];

    snprintf(text, sizeof text, "%.*s", SPAN_ARG(view->key));
    if (seen->count++ == 0) {
        seen->first = *view;
        memcpy(seen->key, text, sizeof text);
    }
    memcpy(seen->last, text, sizeof text);
    return seen->most == 0 || seen->count < seen->most;
}

static uint64_t scan_damaged;

static struct seen scan(enum guard_kind kind, struct span prefix, uint64_t now)
{
    struct seen seen = {0};

    assert_false(err_is(guard_scan(f.path, kind, prefix, now, see, &seen, &scan_damaged)));
    return seen;
}

static unsigned rows(void)
{
    return scan(GUARD_KINDS, SPAN_NONE, 0).count;
}

/* ---- there and back ----------------------------------------------------------------------- */

static void test_a_restart(void **state)
{
    struct stat st;

    (void)state;
    open_at(noon);
    assert_int_equal(stat(f.path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    assert_int_equal(take(GUARD_USER_MESSAGES, ALICE, 10, noon, 7), 7);
    assert_int_equal(take(GUARD_CLIENT_SESSIONS, SPAN("192.0.2.1"), 10, noon, 4), 4);
    assert_int_equal(ask("n a b", noon), GUARD_DEFER_FIRST);
    assert_int_equal(ask("n a c", noon - HOUR), GUARD_DEFER_FIRST);
    assert_int_equal(ask("n a c", noon), GUARD_PASS_FIRST);
    reopen_at(noon + 30 * MINUTE);
    assert_int_equal(take(GUARD_USER_MESSAGES, ALICE, 10, noon + 30 * MINUTE, 10), 3);
    assert_int_equal(take(GUARD_CLIENT_SESSIONS, SPAN("192.0.2.1"), 10, noon + 30 * MINUTE, 99),
                     10); /* its minute is over */
    assert_int_equal(ask("n a c", noon + 30 * MINUTE), GUARD_PASS);
    reopen_at(noon + HOUR + 30 * MINUTE);
    assert_int_equal(take(GUARD_USER_MESSAGES, ALICE, 10, noon + HOUR + 30 * MINUTE, 10), 5);
    assert_int_equal(ask("n a b", noon + HOUR + 30 * MINUTE), GUARD_PASS_FIRST);
    assert_int_equal(ask("n a d", noon + HOUR + 30 * MINUTE),
                     GUARD_PASS); /* the network is known */
}

/* A process that is killed forgets what it has not saved, and no more. */
static void test_a_kill_between_saves(void **state)
{
    (void)state;
    pid_t child = fork();
    if (child == 0) {
        open_at(noon);
        take(GUARD_USER_MESSAGES, ALICE, 10, noon, 4);
        reopen_at(noon);
        take(GUARD_USER_MESSAGES, ALICE, 10, noon, 3);
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    open_at(noon);
    assert_int_equal(take(GUARD_USER_MESSAGES, ALICE, 10, noon, 20), 6);
}

static void test_the_timer_saves(void **state)
{
    struct loop *loop = turn_loop_create();

    (void)state;
    open_at(noon);
    guard_start(f.guard, loop);
    uint64_t now = clock_steady_ms();
    take(GUARD_USER_MESSAGES, ALICE, 10, now, 2);
    TURN_UNTIL(loop, scan(GUARD_KINDS, SPAN_NONE, now).count == 1);
    take(GUARD_USER_MESSAGES, ALICE, 10, now, 2);
    TURN_UNTIL(loop, scan(GUARD_KINDS, SPAN_NONE, now).first.count == 4);
    close_at(now);
    loop_free(loop);
}

static void test_expired_rows_go(void **state)
{
    (void)state;
    open_at(noon);
    take(GUARD_USER_MESSAGES, ALICE, 10, noon, 1);
    take(GUARD_USER_MESSAGES, SPAN("bob"), 10, noon + HOUR, 1);
    reopen_at(noon + HOUR);
    assert_int_equal(rows(), 2);
    close_at(noon + 2 * HOUR); /* dropped while it is open */
    assert_int_equal(rows(), 1);
    open_at(noon + 3 * HOUR); /* dropped while it is read */
    close_at(noon + 3 * HOUR);
    assert_int_equal(rows(), 0);
}

static void test_forgotten_rows_go(void **state)
{
    (void)state;
    open_at(noon);
    take(GUARD_USER_MESSAGES, ALICE, 10, noon, 9);
    reopen_at(noon);
    assert_int_equal(guard_forget(f.guard, GUARD_KINDS, ALICE, noon), 1);
    take(GUARD_USER_MESSAGES, ALICE, 10, noon, 2); /* back before that is saved */
    reopen_at(noon);
    assert_int_equal(take(GUARD_USER_MESSAGES, ALICE, 10, noon, 20), 8);
    guard_forget(f.guard, GUARD_USER_MESSAGES, ALICE, noon);
    close_at(noon);
    assert_int_equal(rows(), 0);
}

/* More than a batch and more than a step of reading; and what does not fit any more. */
static void test_many(void **state)
{
    char text[32];

    (void)state;
    open_at(noon);
    for (unsigned i = 0; i < MANY; i++)
        take(GUARD_USER_MESSAGES, span_of(text, (size_t)snprintf(text, sizeof text, "u%04u", i)),
             10, noon + i, 3);
    close_at(noon + MANY);
    struct seen seen = scan(GUARD_KINDS, SPAN_NONE, noon + MANY);
    assert_int_equal(seen.count, MANY);
    assert_string_equal(seen.key, "u0000");
    assert_string_equal(seen.last, "u2599");
    assert_int_equal(scan(GUARD_USER_MESSAGES, SPAN("u01"), noon + MANY).count, 100);
    create(MANY / 2);
    assert_false(err_is(guard_open(f.guard, f.path, noon + MANY)));
    close_at(noon + MANY);
    seen = scan(GUARD_KINDS, SPAN_NONE, noon + MANY); /* those that were used last are left */
    assert_int_equal(seen.count, MANY / 2);
    assert_string_equal(seen.key, "u1300");
}

/* What came before it was open counts, rather than what was saved. */
static void test_opened_late(void **state)
{
    (void)state;
    open_at(noon);
    take(GUARD_USER_MESSAGES, ALICE, 10, noon, 9);
    take(GUARD_USER_MESSAGES, SPAN("bob"), 10, noon, 9);
    close_at(noon);
    create(1000);
    take(GUARD_USER_MESSAGES, ALICE, 10, noon, 1);
    assert_false(guard_is_open(f.guard));
    assert_false(err_is(guard_open(f.guard, f.path, noon)));
    assert_int_equal(take(GUARD_USER_MESSAGES, SPAN("bob"), 10, noon, 20), 1);
    reopen_at(noon);
    assert_int_equal(take(GUARD_USER_MESSAGES, ALICE, 10, noon, 20), 9);
}

static void test_a_clock_that_was_ahead(void **state)
{
    (void)state;
    open_at(noon + 400ull * DAY);
    take(GUARD_USER_MESSAGES, ALICE, 10, noon + 400ull * DAY, 9);
    ask("n a b", noon + 400ull * DAY);
    reopen_at(noon);
    assert_int_equal(take(GUARD_USER_MESSAGES, ALICE, 10, noon, 20), 1);
    assert_int_equal(take(GUARD_USER_MESSAGES, ALICE, 10, noon + 2 * HOUR, 20), 10);
    assert_int_equal(ask("n a b", noon + 5 * MINUTE), GUARD_PASS_FIRST);
}

/* ---- listing ------------------------------------------------------------------------------ */

static void test_what_is_shown(void **state)
{
    struct seen seen = {.most = 1};

    (void)state;
    open_at(noon);
    take(GUARD_USER_MESSAGES, ALICE, 10, noon, 8);
    take(GUARD_CLIENT_ERRORS, SPAN("192.0.2.1"), 10, noon, 2);
    take(GUARD_CLIENT_ERRORS, SPAN("192.0.2.9"), 10, noon, 2);
    ask("n a b", noon);
    ask("n a b", noon + HOUR);
    close_at(noon + HOUR);
    assert_int_equal(scan(GUARD_KINDS, SPAN_NONE, noon + HOUR).count, 5);
    assert_int_equal(scan(GUARD_CLIENT_ERRORS, SPAN_NONE, noon).count, 2);
    assert_int_equal(scan(GUARD_KINDS, SPAN("192.0.2.1"), noon).count, 1);
    assert_int_equal(scan(GUARD_KINDS, SPAN("192.0.2.12"), noon).count, 0);
    struct guard_view view = scan(GUARD_USER_MESSAGES, ALICE, noon + HOUR + HOUR / 2).first;
    assert_int_equal(view.kind, GUARD_USER_MESSAGES);
    assert_int_equal(view.count, 4); /* half an hour on, half of it */
    assert_int_equal(view.first, noon + HOUR);
    assert_int_equal(view.last, noon);
    assert_int_equal(view.expires, noon + 2 * HOUR);
    assert_int_equal(scan(GUARD_USER_MESSAGES, ALICE, noon + 2 * HOUR).count, 0);
    view = scan(GUARD_TRIPLET, SPAN("n a"), noon + HOUR).first;
    assert_int_equal(view.count, 1);
    assert_int_equal(view.first, noon);
    assert_int_equal(view.expires, noon + HOUR + policy.lifetime_ms);
    assert_int_equal(scan(GUARD_KNOWN, SPAN("n"), noon + HOUR).first.count, 1);
    assert_false(
        err_is(guard_scan(f.path, GUARD_KINDS, SPAN_NONE, noon, see, &seen, &scan_damaged)));
    assert_int_equal(seen.count, 1);
}

/* ---- damage ------------------------------------------------------------------------------- */

static const char *const tables[] = {"meta", "entry"};

struct spoil {
    struct kv_op op;
    struct span key, value;
    unsigned table;
};

static struct err apply_spoil(struct kv_op *op, struct kv_txn *txn)
{
    struct spoil *spoil = container_of(op, struct spoil, op);

    return kv_put(txn, spoil->table, spoil->key, spoil->value);
}

/* Beside the guard, which is closed: what a row holds now. */
static void spoil(unsigned table, struct span key, struct span value)
{
    struct kv_options options = {
        .path = f.path, .map_size = 64 << 20, .tables = tables, .table_count = 2};
    struct spoil op = {.op.apply = apply_spoil, .key = key, .value = value, .table = table};
    struct kv *kv;

    assert_false(err_is(kv_open(&options, &kv)));
    assert_false(err_is(kv_run(kv, &op.op)));
    kv_close(kv);
}

/* The record of a row, of the closed guard. */
static struct span record_of(struct span key, char room[64])
{
    struct kv_options options = {
        .path = f.path, .tables = tables, .table_count = 2, .read_only = true};
    struct kv_txn *txn;
    struct span value;
    struct kv *kv;

    assert_false(err_is(kv_open(&options, &kv)));
    assert_false(err_is(kv_read_begin(kv, &txn)));
    assert_false(err_is(kv_get(txn, 1, key, &value)));
    assert_true(value.len > 0 && value.len <= 64);
    memcpy(room, value.ptr, value.len);
    kv_read_end(txn);
    kv_close(kv);
    return span_of(room, value.len);
}

static void expect_dropped(unsigned records)
{
    scan(GUARD_KINDS, SPAN_NONE, noon);
    assert_int_equal(scan_damaged, records);
    open_at(noon);
    assert_int_equal(logged("guard-damaged"), records);
    assert_int_equal(take(GUARD_USER_MESSAGES, SPAN("bob"), 10, noon, 20), 5); /* all else stays */
    close_at(noon);
    open_at(noon);
    assert_int_equal(logged("guard-damaged"), records); /* they are gone */
    close_at(noon);
}

static void write_two(void)
{
    open_at(noon);
    take(GUARD_USER_MESSAGES, ALICE, 10, noon, 9);
    take(GUARD_USER_MESSAGES, SPAN("bob"), 10, noon, 5);
    close_at(noon);
}

/* Any byte of a record. */
static void test_a_damaged_record(void **state)
{
    char room[64], bad[64];
    struct seen seen;

    (void)state;
    write_two();
    struct span good = record_of(SPAN("\0alice"), room);
    for (size_t i = 0; i < good.len; i++) {
        memcpy(bad, room, good.len);
        bad[i] = (char)(bad[i] ^ 0x10);
        spoil(1, SPAN("\0alice"), span_of(bad, good.len));
        seen = scan(GUARD_KINDS, SPAN_NONE, noon);
        assert_int_equal(seen.count, 1);
        assert_int_equal(scan_damaged, 1);
    }
    for (size_t len = 1; len < good.len; len++) {
        spoil(1, SPAN("\0alice"), span_head(good, len));
        scan(GUARD_KINDS, SPAN_NONE, noon);
        assert_int_equal(scan_damaged, 1);
    }
    expect_dropped(1);
}

/* A good record under another key, a kind that there is not, and a key of any length. */
static void test_damaged_keys(void **state)
{
    char room[64], key[511];

    (void)state;
    write_two();
    struct span good = record_of(SPAN("\0alice"), room);
    memset(key, 0, sizeof key);
    spoil(1, SPAN("\0carol"), good);
    spoil(1, span_of(key, sizeof key), good);
    scan(GUARD_KINDS, SPAN_NONE, noon);
    assert_int_equal(scan_damaged, 2);
    open_at(noon);
    assert_int_equal(logged("guard-damaged"), 2);
    close_at(noon);
    spoil(1,
          SPAN("\x7f"
               "x"),
          good);
    spoil(1, SPAN("\0"), good);
    open_at(noon);
    assert_int_equal(logged("guard-damaged"), 4);
    assert_int_equal(take(GUARD_USER_MESSAGES, ALICE, 10, noon, 20), 1);
    reopen_at(noon);
    assert_int_equal(logged("guard-damaged"), 4);
}

static enum err_kind try_open(void)
{
    create(100);
    struct err e = guard_open(f.guard, f.path, noon);
    assert_false(guard_is_open(f.guard));
    close_at(noon);
    return e.kind;
}

static void test_no_store_of_ours(void **state)
{
    char path[sizeof f.path + 16];

    (void)state;
    assert_int_equal(mkdir(f.path, 0700), 0);
    spoil(0, SPAN("queue"), SPAN("its own record")); /* another one's meta */
    assert_int_equal(try_open(), ERR_CORRUPT);
    snprintf(path, sizeof path, "%s/data.mdb", f.path);
    assert_int_equal(unlink(path), 0);
    spoil(1, SPAN("x"), SPAN("y")); /* entries of nobody */
    assert_int_equal(try_open(), ERR_CORRUPT);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    for (int i = 0; i < 10000; i++)
        fputs("no store", file);
    fclose(file);
    assert_int_equal(try_open(), ERR_CORRUPT);
}

static void test_a_format_to_come(void **state)
{
    (void)state;
    write_two();
    spoil(0, SPAN("guard"), SPAN("\1\0\0\0\2........"));
    assert_int_equal(try_open(), ERR_CORRUPT);
}

static void test_one_process(void **state)
{
    (void)state;
    open_at(noon);
    struct guard *first = f.guard;
    assert_int_equal(try_open(), ERR_CONFLICT);
    f.guard = first;
}

static void test_nothing_to_scan(void **state)
{
    struct seen seen;

    (void)state;
    assert_int_equal(
        guard_scan(f.path, GUARD_KINDS, SPAN_NONE, noon, see, &seen, &scan_damaged).kind,
        ERR_NOT_FOUND);
}

/* ---- failing I/O -------------------------------------------------------------------------- */

static void test_a_full_disk(void **state)
{
    struct loop *loop = turn_loop_create();

    (void)state;
    open_at(noon);
    take(GUARD_USER_MESSAGES, SPAN("old"), 10, noon, 3);
    reopen_at(noon);
    faults.write_most = 1;
    take(GUARD_USER_MESSAGES, ALICE, 10, noon, 3);
    guard_forget(f.guard, GUARD_KINDS, SPAN("old"), noon);
    TURN_UNTIL(loop, logged("guard-save-failed") == 1);
    take(GUARD_USER_MESSAGES, ALICE, 10, noon, 3);
    faults_heal();
    reopen_at(noon);
    assert_int_equal(take(GUARD_USER_MESSAGES, ALICE, 10, noon, 20), 4);
    assert_int_equal(take(GUARD_USER_MESSAGES, SPAN("old"), 10, noon, 20), 10);
    assert_int_equal(logged("guard-save-failed"), 1);
    loop_free(loop);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_a_restart),         TEST(test_a_kill_between_saves),
        TEST(test_the_timer_saves),   TEST(test_expired_rows_go),
        TEST(test_forgotten_rows_go), TEST(test_many),
        TEST(test_opened_late),       TEST(test_a_clock_that_was_ahead),
        TEST(test_what_is_shown),     TEST(test_a_damaged_record),
        TEST(test_damaged_keys),      TEST(test_no_store_of_ours),
        TEST(test_a_format_to_come),  TEST(test_one_process),
        TEST(test_nothing_to_scan),   TEST(test_a_full_disk),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
