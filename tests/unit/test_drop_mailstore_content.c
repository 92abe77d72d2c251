/* The promises of mailstore.h about the bytes of messages: staged, read, removed. */
#include "plugins/drop/mailstore/mailstore_private.h"
#include "support/loop_rig.h"
#include "support/mailstore_rig.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define ALL ((struct mailstore_range){0, 0})

enum { LARGE = 1000000, PIECE = 10000, MEMORY = 65536 };

static char folder[SCRATCH_PATH];
static struct mailstore *store;
static char large[LARGE];

static int setup(void **state)
{
    (void)state;
    for (size_t i = 0; i < LARGE; i++)
        large[i] = (char)(i * 2654435761u >> 13);
    scratch_make(folder);
    struct mailstore_options options = rig_options(folder);
    store = rig_open(&options);
    rig_start();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    rig_stop();
    mailstore_close(store);
    scratch_remove(folder);
    return 0;
}

static void reopen(void)
{
    struct mailstore_options options = rig_options(folder);

    mailstore_close(store);
    store = rig_open(&options);
}

static uint64_t rows(enum store_table table)
{
    uint64_t count = 0;

    RIG_READ(store, txn)
    count = kv_count(txn, table);
    return count;
}

static uint64_t message_of(const char *box, uint32_t uid)
{
    return rig_entry(store, rig_box(store, RIG_USER, box).id, uid).message;
}

static void expect_content(uint64_t message, uint64_t offset, uint64_t len, struct span expected)
{
    struct buf content = {0};

    assert_false(err_is(rig_content(store, message, offset, len, &content)));
    assert_true(span_equal(buf_span(&content), expected));
    buf_fini(&content);
}

/* ---- reading ------------------------------------------------------------------------------ */

static void put_bytes(struct span bytes)
{
    struct mailstore_target target = rig_target(RIG_USER, "INBOX");

    assert_int_equal(rig_append(store, &target, 1, false, bytes, NULL), ERR_NONE);
    assert_int_not_equal(target.uid, 0);
}

/* Every size around a chunk's and around what is held in memory. */
static void test_sizes(void **state)
{
    (void)state;
    static const size_t sizes[] = {0,
                                   1,
                                   CHUNK_BYTES - 1,
                                   CHUNK_BYTES,
                                   CHUNK_BYTES + 1,
                                   2 * CHUNK_BYTES,
                                   MEMORY - 1,
                                   MEMORY,
                                   MEMORY + 1,
                                   17 * CHUNK_BYTES - 1,
                                   17 * CHUNK_BYTES,
                                   17 * CHUNK_BYTES + 1,
                                   LARGE};
    uint64_t size;

    for (uint32_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        put_bytes(span_of(large, sizes[i]));
        uint64_t message = message_of("INBOX", i + 1);
        expect_content(message, 0, UINT64_MAX, span_of(large, sizes[i]));
        RIG_READ(store, txn)
        {
            assert_false(err_is(mailstore_message_size(txn, message, &size)));
            assert_true(mailstore_content_is_resident(txn, message, 0, UINT64_MAX));
        }
        assert_int_equal(size, sizes[i]);
    }
    assert_int_equal(rows(TABLE_STAGED), 0);
    assert_int_equal(rig_check(store), 0);
    reopen();
    expect_content(message_of("INBOX", 13), 0, UINT64_MAX, span_of(large, LARGE));
    assert_int_equal(rig_check(store), 0);
}

static void test_parts(void **state)
{
    (void)state;
    static const uint64_t at[] = {0,     1,        CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1,
                                  50000, LARGE - 1};
    static const uint64_t len[] = {1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 20000};

    put_bytes(span_of(large, LARGE));
    uint64_t message = message_of("INBOX", 1);
    for (unsigned i = 0; i < sizeof at / sizeof at[0]; i++)
        for (unsigned j = 0; j < sizeof len / sizeof len[0]; j++)
            expect_content(message, at[i], len[j],
                           span_head(span_of(large + at[i], LARGE - at[i]), len[j]));
    expect_content(message, LARGE, 1, SPAN_NONE);
    expect_content(message, LARGE + 1, 1, SPAN_NONE);
    expect_content(message, 0, 0, SPAN_NONE);
    RIG_READ(store, txn)
    assert_int_equal(mailstore_content_walk(txn, message + 1, 0, 1, rig_text_bytes, NULL).kind,
                     ERR_NOT_FOUND);
}

/* ---- drafts on a loop --------------------------------------------------------------------- */

struct writing {
    struct call call;
    struct mailstore_draft *draft;
    struct mailstore_append append;
    struct mailstore_target target;
    size_t written;
    unsigned drained;
    bool was_full;
};

static void on_appended(struct mailstore_op *op)
{
    struct writing *writing = container_of(op, struct writing, append.op);

    mailstore_draft_free(writing->draft);
    rig_on_done(&op->kv.call);
}

static void write_on(struct writing *writing)
{
    while (writing->written < LARGE) {
        if (mailstore_draft_is_full(writing->draft)) {
            writing->was_full = true;
            return;
        }
        mailstore_draft_add(writing->draft, span_of(large + writing->written, PIECE));
        writing->written += PIECE;
    }
    writing->target = rig_target(RIG_USER, "INBOX");
    writing->append =
        (struct mailstore_append){.op = {.kind = MAILSTORE_APPEND, .done = on_appended},
                                  .drafts = &writing->draft,
                                  .draft_count = 1,
                                  .targets = &writing->target,
                                  .target_count = 1};
    mailstore_submit(store, &writing->append.op, loop_rig.loop);
}

static void on_drained(struct mailstore_draft *draft, void *owner)
{
    struct writing *writing = owner;

    assert_ptr_equal(draft, writing->draft);
    writing->drained++;
    write_on(writing);
}

static void on_write(struct call *call)
{
    struct writing *writing = container_of(call, struct writing, call);
    struct mailstore_draft_handler handler = {.drained = on_drained, .owner = writing};

    writing->draft = mailstore_draft_create(store, loop_rig.loop, &handler);
    write_on(writing);
}

static void test_back_pressure(void **state)
{
    (void)state;
    struct writing writing = {.call.done = on_write};

    loop_post(loop_rig.loop, &writing.call);
    rig_wait(1);
    assert_int_equal(loop_rig.astray, 0);
    assert_true(writing.was_full);
    assert_true(writing.drained > 0);
    assert_false(err_is(writing.append.op.result));
    expect_content(message_of("INBOX", 1), 0, UINT64_MAX, span_of(large, LARGE));
    assert_int_equal(rows(TABLE_STAGED), 0);
    assert_int_equal(rows(TABLE_BODY), (LARGE + CHUNK_BYTES - 1) / CHUNK_BYTES);
    assert_int_equal(rig_check(store), 0);
}

/* ---- what is given up --------------------------------------------------------------------- */

static void on_give_up(struct call *call)
{
    struct writing *writing = container_of(call, struct writing, call);

    writing->draft = mailstore_draft_create(store, loop_rig.loop, NULL);
    mailstore_draft_add(writing->draft, span_of(large, LARGE));
    mailstore_draft_free(writing->draft);
    rig_on_done(call);
}

static void wait_until_swept(void)
{
    while (rows(TABLE_GARBAGE) > 0 || rows(TABLE_STAGED) > 0)
        usleep(1000);
}

static void test_given_up_while_staging(void **state)
{
    (void)state;
    struct writing writing = {.call.done = on_give_up};

    loop_post(loop_rig.loop, &writing.call);
    rig_wait(1);
    /* The stage and then the removal are under way; the last is told by the row. */
    struct mailstore_draft *draft = mailstore_draft_create(store, NULL, NULL);
    mailstore_draft_add(draft, span_of(large, LARGE));
    assert_int_not_equal(rows(TABLE_STAGED), 0);
    mailstore_draft_free(draft);
    wait_until_swept();
    while (rows(TABLE_BODY) > 0)
        usleep(1000);
    assert_int_equal(rig_check(store), 0);
}

static void test_refused_leaves_nothing(void **state)
{
    (void)state;
    struct mailstore_target target = rig_target(RIG_USER, "Missing");
    enum mailstore_refusal refusal;

    assert_int_equal(rig_append(store, &target, 1, false, span_of(large, LARGE), &refusal),
                     ERR_NONE);
    assert_int_equal(refusal, MAILSTORE_NO_BOX);
    assert_false(err_is(mailstore_tidy(store, 0)));
    assert_int_equal(rows(TABLE_BODY) + rows(TABLE_MESSAGE) + rows(TABLE_STAGED), 0);
}

static void test_unfinished_at_open(void **state)
{
    (void)state;
    struct mailstore_draft *draft = mailstore_draft_create(store, NULL, NULL);

    put_bytes(SPAN("stays"));
    mailstore_draft_add(draft, span_of(large, LARGE));
    assert_int_equal(rows(TABLE_STAGED), 1);
    /* As a crash would leave it. */
    char copy[SCRATCH_PATH + 16], command[4 * SCRATCH_PATH];
    snprintf(copy, sizeof copy, "%s/copy", folder);
    snprintf(command, sizeof command, "mkdir %s && cp %s/data.mdb %s/", copy, folder, copy);
    assert_int_equal(system(command), 0);
    mailstore_draft_free(draft);
    mailstore_close(store);

    struct mailstore_options options = rig_options(copy);
    store = rig_open(&options);
    assert_int_equal(rows(TABLE_STAGED), 0);
    assert_false(err_is(mailstore_tidy(store, 0)));
    assert_int_equal(rows(TABLE_BODY), 1);
    expect_content(message_of("INBOX", 1), 0, UINT64_MAX, SPAN("stays"));
    put_bytes(SPAN("next"));
    assert_int_equal(rig_check(store), 0);
}

/* ---- garbage ------------------------------------------------------------------------------ */

static void test_shared_until_the_last(void **state)
{
    (void)state;
    struct mailstore_target targets[] = {rig_target("a", "INBOX"), rig_target("b", "INBOX")};

    rig_append(store, targets, 2, false, span_of(large, 5 * CHUNK_BYTES), NULL);
    uint64_t message = rig_entry(store, targets[0].box, 1).message;
    rig_expunge(store, targets[0].box, ALL, true);
    assert_false(err_is(mailstore_tidy(store, 0)));
    expect_content(message, 0, UINT64_MAX, span_of(large, 5 * CHUNK_BYTES));
    rig_expunge(store, targets[1].box, ALL, true);
    assert_false(err_is(mailstore_tidy(store, 0)));
    assert_int_equal(rows(TABLE_BODY) + rows(TABLE_DIGEST) + rows(TABLE_MESSAGE), 0);
    assert_int_equal(rig_check(store), 0);
}

static void test_removed_by_itself(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 10; i++)
        put_bytes(span_of(large, LARGE));
    rig_create(store, RIG_USER, "Box");
    struct mailstore_copy copy =
        rig_copy(store, rig_box(store, RIG_USER, "INBOX").id, ALL, RIG_USER, "Box", true);
    free(copy.from_uids);
    free(copy.to_uids);
    rig_delete(store, RIG_USER, "Box");
    wait_until_swept();
    assert_int_equal(rows(TABLE_BODY) + rows(TABLE_DIGEST) + rows(TABLE_MESSAGE), 0);
    assert_int_equal(rows(TABLE_ENTRY) + rows(TABLE_CHANGE), 0);
    assert_int_equal(rig_check(store), 0);
}

static void test_resumed_at_open(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 20; i++)
        put_bytes(span_of(large, LARGE));
    store_sweep_stop(store);
    rig_expunge(store, rig_box(store, RIG_USER, "INBOX").id, ALL, true);
    assert_int_equal(rows(TABLE_GARBAGE), 20);
    assert_int_equal(rig_check(store), 0);
    reopen();
    wait_until_swept();
    assert_int_equal(rows(TABLE_BODY), 0);
    assert_int_equal(rig_check(store), 0);
}

/* One small message leaves nothing to the sweep. */
static void test_small_ones_go_at_once(void **state)
{
    (void)state;
    store_sweep_stop(store);
    put_bytes(span_of(large, 3 * CHUNK_BYTES));
    put_bytes(SPAN(""));
    rig_expunge(store, rig_box(store, RIG_USER, "INBOX").id, ALL, true);
    assert_int_equal(rows(TABLE_GARBAGE) + rows(TABLE_BODY) + rows(TABLE_DIGEST), 0);
    assert_int_equal(rig_check(store), 0);
}

/* ---- no room ------------------------------------------------------------------------------ */

enum { SMALL_MAP = 16 << 20, LOW_WATER = 4 << 20 };

static enum err_kind append_large(void)
{
    struct mailstore_target target = rig_target(RIG_USER, "INBOX");

    return rig_append(store, &target, 1, false, span_of(large, LARGE), NULL);
}

static void test_full(void **state)
{
    (void)state;
    struct mailstore_options options = rig_options(folder);
    unsigned count = 0;

    mailstore_close(store);
    scratch_remove(folder);
    scratch_make(folder);
    options.path = folder;
    options.map_size = SMALL_MAP;
    options.low_water = LOW_WATER;
    store = rig_open(&options);
    assert_int_equal(rig_create(store, RIG_USER, "Trash"), MAILSTORE_FINE);
    while (append_large() == ERR_NONE)
        assert_true(++count < SMALL_MAP / LARGE);
    assert_true(count > 4);
    uint32_t box = rig_box(store, RIG_USER, "INBOX").id;
    assert_int_equal(rig_box(store, RIG_USER, "INBOX").exists, count);
    assert_int_equal(append_large(), ERR_NO_SPACE);
    struct writing writing = {.call.done = on_write};
    loop_post(loop_rig.loop, &writing.call);
    rig_wait(1);
    assert_int_equal(writing.append.op.result.kind, ERR_NO_SPACE);
    assert_int_equal(writing.target.uid, 0);

    /* What makes room is done, and what clients do on the way there; then there is some. */
    struct mailstore_copy moved =
        rig_copy(store, box, (struct mailstore_range){1, 1}, RIG_USER, "Trash", true);
    assert_int_equal(moved.copied, 1);
    free(moved.from_uids);
    free(moved.to_uids);
    uint32_t trash = rig_box(store, RIG_USER, "Trash").id;
    assert_int_equal(rig_expunge(store, trash, ALL, true).expunged, 1);
    count--;
    assert_int_equal(rig_flag(store, box, ALL, MAILSTORE_ADD, MAILSTORE_DELETED).changed, count);
    assert_int_equal(rig_expunge(store, box, ALL, false).expunged, count);
    assert_false(err_is(mailstore_tidy(store, UINT64_MAX)));
    for (unsigned tries = 0; append_large() != ERR_NONE; tries++) {
        assert_true(tries < 1000); /* its count of free pages is some time old */
        usleep(10000);
    }
    assert_int_equal(rows(TABLE_STAGED), 0);
    assert_int_equal(rig_check(store), 0);
}

static void test_vanished_are_bounded(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 10; i++) {
        put_bytes(SPAN("x"));
        rig_expunge(store, rig_box(store, RIG_USER, "INBOX").id, ALL, true);
    }
    uint32_t box = rig_box(store, RIG_USER, "INBOX").id;
    assert_false(err_is(mailstore_tidy(store, 3)));
    RIG_EXPECT(rig_vanished(store, box, 15), "17:8-8 19:9-9 21:10-10 ");
    RIG_EXPECT(rig_vanished(store, box, 19), "21:10-10 ");
    RIG_EXPECT(rig_vanished(store, box, 14), "21:1-10 ");
    for (unsigned i = 0; i < 3; i++)
        put_bytes(SPAN("x"));
    rig_expunge(store, box, (struct mailstore_range){12, 12}, true);
    RIG_EXPECT(rig_vanished(store, box, 0), "25:1-10 25:12-12 ");
    RIG_EXPECT(rig_vanished(store, box, 15), "17:8-8 19:9-9 21:10-10 25:12-12 ");
    assert_false(err_is(mailstore_tidy(store, 4)));
    assert_int_equal(rig_box(store, RIG_USER, "INBOX").vanished_from, 16);
    assert_false(err_is(mailstore_tidy(store, 4)));
    assert_int_equal(rig_box(store, RIG_USER, "INBOX").vanished_from, 16);
    assert_int_equal(rig_check(store), 0);
}

/* By itself, where there are too many: every second one of many goes, one row each. */
static void test_vanished_are_forgotten(void **state)
{
    (void)state;
    enum { MANY = 2 * STORE_VANISHED_MOST + 10, STEP = 1000 };
    struct mailstore_range *every = mem_alloc((MANY / 2) * sizeof *every);
    struct mailstore_target *targets = mem_zalloc(STEP * sizeof *targets);

    for (unsigned i = 0; i < STEP; i++)
        targets[i] = rig_target(RIG_USER, "INBOX");
    for (unsigned left = MANY; left > 0; left -= left < STEP ? left : STEP)
        rig_append(store, targets, left < STEP ? left : STEP, false, SPAN("x"), NULL);
    for (unsigned i = 0; i < MANY / 2; i++)
        every[i] = (struct mailstore_range){2 * i + 1, 2 * i + 1};
    struct mailstore_expunge it = {.op = {.kind = MAILSTORE_EXPUNGE},
                                   .box = rig_box(store, RIG_USER, "INBOX").id,
                                   .uids = every,
                                   .uid_count = MANY / 2,
                                   .is_any = true};
    mailstore_run(store, &it.op);
    assert_int_equal(it.expunged, MANY / 2);
    assert_int_equal(rows(TABLE_VANISHED), STORE_VANISHED_KEPT);
    assert_true(rig_box(store, RIG_USER, "INBOX").vanished_from == it.modseq + 1);
    assert_int_equal(rig_check(store), 0);
    free(targets);
    free(every);
}

/* ---- beside another process ----------------------------------------------------------------- */

static void test_read_only(void **state)
{
    (void)state;
    struct mailstore_options options = rig_options(folder);
    struct mailstore *reader, *writer = store;

    put_bytes(SPAN("x"));
    assert_int_equal(mailstore_open(&options, &reader).kind, ERR_CONFLICT);
    mailstore_close(writer); /* one process may not have it open twice */
    options.read_only = true;
    store = rig_open(&options);
    assert_int_equal(rig_box(store, RIG_USER, "INBOX").exists, 1);
    assert_int_equal(rig_check(store), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_sizes),
        TEST(test_parts),
        TEST(test_back_pressure),
        TEST(test_given_up_while_staging),
        TEST(test_refused_leaves_nothing),
        TEST(test_unfinished_at_open),
        TEST(test_shared_until_the_last),
        TEST(test_removed_by_itself),
        TEST(test_resumed_at_open),
        TEST(test_small_ones_go_at_once),
        TEST(test_full),
        TEST(test_vanished_are_bounded),
        TEST(test_vanished_are_forgotten),
        TEST(test_read_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
