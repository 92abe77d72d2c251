/* What the mailstore makes of rows that are lost or damaged, and what its check finds. */
#include "plugins/drop/mailstore/mailstore_private.h"
#include "support/mailstore_rig.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static char folder[SCRATCH_PATH];
static struct mailstore *store;
static char large[100 * CHUNK_BYTES];

static int setup(void **state)
{
    (void)state;
    memset(large, 'x', sizeof large);
    scratch_make(folder);
    struct mailstore_options options = rig_options(folder);
    store = rig_open(&options);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    mailstore_close(store);
    scratch_remove(folder);
    return 0;
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

static void put_bytes(struct span bytes)
{
    struct mailstore_target target = rig_target(RIG_USER, "INBOX");

    assert_int_equal(rig_append(store, &target, 1, false, bytes, NULL), ERR_NONE);
    assert_int_not_equal(target.uid, 0);
}

/* ---- damage ------------------------------------------------------------------------------- */

struct damage {
    struct kv_op op;
    enum store_table table;
    struct span key;
    bool is_removed;
};

static struct err apply_damage(struct kv_op *op, struct kv_txn *txn)
{
    struct damage *damage = container_of(op, struct damage, op);
    struct span record;
    char copy[CHUNK_SIZE];
    struct err e = kv_get(txn, damage->table, damage->key, &record);

    if (err_is(e) || damage->is_removed)
        return err_is(e) ? e : kv_delete(txn, damage->table, damage->key);
    memcpy(copy, record.ptr, record.len);
    copy[record.len / 2] ^= 1;
    return kv_put(txn, damage->table, damage->key, span_of(copy, record.len));
}

static void damage_at(enum store_table table, struct span key, bool is_removed)
{
    struct damage damage = {.op = {.kind = KV_SHRINK, .apply = apply_damage},
                            .table = table,
                            .key = key,
                            .is_removed = is_removed};

    assert_false(err_is(kv_run(store->kv, &damage.op)));
}

static void do_damage(enum store_table table, struct key key, bool is_removed)
{
    damage_at(table, key_span(&key), is_removed);
}

static void expect_damage(uint64_t message, uint64_t offset, enum err_kind expected)
{
    struct buf content = {0};

    assert_int_equal(rig_content(store, message, offset, 1, &content).kind, expected);
    buf_fini(&content);
}

static void test_damaged_chunk(void **state)
{
    (void)state;
    put_bytes(span_of(large, 3 * CHUNK_BYTES));
    uint64_t message = message_of("INBOX", 1);
    do_damage(TABLE_BODY, key_of_part(message, 1), false);
    expect_damage(message, 0, ERR_NONE);
    expect_damage(message, CHUNK_BYTES, ERR_CORRUPT);
    expect_damage(message, 2 * CHUNK_BYTES, ERR_NONE);
    assert_int_equal(rig_check(store), 1);
    do_damage(TABLE_BODY, key_of_part(message, 2), true);
    expect_damage(message, 2 * CHUNK_BYTES, ERR_CORRUPT);
}

static void test_damaged_rows(void **state)
{
    (void)state;
    struct span digest;
    struct mailstore_entry entry;

    put_bytes(SPAN("one"));
    put_bytes(SPAN("two"));
    put_bytes(SPAN("three"));
    uint32_t box = rig_box(store, RIG_USER, "INBOX").id;
    uint64_t message = message_of("INBOX", 1);
    do_damage(TABLE_DIGEST, key_of(message), false);
    do_damage(TABLE_ENTRY, key_of_entry(box, 2), false);
    RIG_READ(store, txn)
    {
        assert_int_equal(mailstore_digest_get(txn, message, &digest).kind, ERR_CORRUPT);
        assert_int_equal(mailstore_entry_get(txn, box, 2, &entry).kind, ERR_CORRUPT);
    }
    /* The digest; the entry, its count, its size and its message's references. */
    assert_int_equal(rig_check(store), 1 + 1 + 2 + 1 + 1);
    do_damage(TABLE_CHANGE, key_of_change(box, 2, 1), true);
    do_damage(TABLE_MESSAGE, key_of(message), true);
    assert_true(rig_check(store) > 6);
    /* A mailbox with damage can be removed nevertheless. */
    rig_create(store, RIG_USER, "x");
    struct mailstore_remove_user it = {.op = {.kind = MAILSTORE_REMOVE_USER},
                                       .user = SPAN(RIG_USER)};
    mailstore_run(store, &it.op);
    assert_false(err_is(it.op.result));
    free(it.boxes);
    assert_false(err_is(mailstore_tidy(store, 0)));
    assert_int_equal(rows(TABLE_ENTRY), 0);
}

static void check_entries(uint32_t box, const char *expected)
{
    char *entries = rig_entries(store, box);

    assert_string_equal(entries, expected);
    free(entries);
}

/* What is damaged keeps nobody from the others. */
static void test_damaged_entry_is_passed_over(void **state)
{
    (void)state;
    const struct mailstore_range all = {0, 0};

    for (unsigned i = 0; i < 4; i++)
        put_bytes(SPAN("text"));
    uint32_t box = rig_box(store, RIG_USER, "INBOX").id;
    do_damage(TABLE_ENTRY, key_of_entry(box, 2), false);
    check_entries(box, "1/0 3/0 4/0 ");
    assert_int_equal(rig_flag(store, box, all, MAILSTORE_ADD, MAILSTORE_DELETED).changed, 3);
    rig_create(store, RIG_USER, "x");
    struct mailstore_copy copy = rig_copy(store, box, all, RIG_USER, "x", false);
    assert_int_equal(copy.copied, 3);
    free(copy.from_uids);
    free(copy.to_uids);
    assert_int_equal(rig_expunge(store, box, all, false).expunged, 3);
    char *vanished = rig_vanished(store, box, 0);
    assert_non_null(strstr(vanished, ":1-1 "));
    assert_non_null(strstr(vanished, ":3-4 "));
    free(vanished);
    put_bytes(SPAN("more"));
    check_entries(box, "5/0 ");
    check_entries(rig_box(store, RIG_USER, "x").id, "1/8 2/8 3/8 ");
}

/* ---- the repair --------------------------------------------------------------------------- */

static uint64_t repair(void)
{
    uint64_t repaired;

    assert_false(err_is(mailstore_repair(store, rig_tell, NULL, &repaired)));
    return repaired;
}

static void test_repair(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 4; i++)
        put_bytes(SPAN("text"));
    assert_int_equal(repair(), 0);
    uint32_t box = rig_box(store, RIG_USER, "INBOX").id;
    rig_create(store, RIG_USER, "x");
    do_damage(TABLE_ENTRY, key_of_entry(box, 2), false);
    do_damage(TABLE_ENTRY, key_of_entry(box, 3), true);
    do_damage(TABLE_CHANGE, key_of_change(box, 5, 4), true);
    assert_true(rig_check(store) > 0);
    /* An entry, its mailbox, the user, references. */
    assert_int_equal(repair(), 4);
    assert_int_equal(rig_check(store), 0);
    check_entries(box, "1/0 4/0 ");
    char *vanished = rig_vanished(store, box, 5);
    assert_string_equal(vanished, "6:2-2 ");
    free(vanished);
    assert_int_equal(rig_user(store, RIG_USER).messages, 2);
    assert_int_equal(repair(), 0);
    put_bytes(SPAN("more"));
    check_entries(box, "1/0 4/0 5/0 ");
    assert_int_equal(rig_check(store), 0);
}

/* What it cannot put right it leaves alone. */
static void test_repair_of_what_cannot_be_read(void **state)
{
    (void)state;
    put_bytes(SPAN("one"));
    put_bytes(SPAN("two"));
    uint64_t message = message_of("INBOX", 1);
    uint32_t box = rig_box(store, RIG_USER, "INBOX").id;
    do_damage(TABLE_BODY, key_of_part(message, 0), false);
    assert_int_equal(repair(), 0);
    do_damage(TABLE_MESSAGE, key_of(message), false);
    assert_int_equal(repair(), 0);
    do_damage(TABLE_BOX, key_of_box(box), false);
    assert_int_equal(repair(), 0);
    check_entries(box, "1/0 2/0 ");
}

/* ---- the check ---------------------------------------------------------------------------- */

/* Each kind of row, damaged and lost, is noticed. */
static void test_every_damage_is_found(void **state)
{
    (void)state;
    struct name_key name = key_of_name(SPAN(RIG_USER), SPAN("INBOX"));
    struct mailstore_options options = rig_options(folder);

    for (unsigned i = 0; i < 2 * TABLE_COUNT; i++) {
        bool is_removed = i % 2 == 0;
        put_bytes(SPAN("one"));
        put_bytes(SPAN("two"));
        struct mailstore_box box = rig_box(store, RIG_USER, "INBOX");
        rig_expunge(store, box.id, (struct mailstore_range){1, 1}, true);
        uint64_t message = message_of("INBOX", 2);
        struct key keys[TABLE_COUNT] = {
            [TABLE_BOX] = key_of_box(box.id),
            [TABLE_ENTRY] = key_of_entry(box.id, 2),
            [TABLE_CHANGE] = key_of_change(box.id, 3, 2),
            [TABLE_VANISHED] = key_of_change(box.id, 4, 1),
            [TABLE_MESSAGE] = key_of(message),
            [TABLE_DIGEST] = key_of(message),
            [TABLE_BODY] = key_of_part(message, 0),
        };
        assert_int_equal(rig_check(store), 0);
        bool is_done = true;
        if (i / 2 == TABLE_USER)
            damage_at(TABLE_USER, SPAN(RIG_USER), is_removed);
        else if (i / 2 == TABLE_NAME)
            damage_at(TABLE_NAME, name_key_span(&name), is_removed);
        else if (keys[i / 2].len > 0 && (is_removed || i / 2 != TABLE_CHANGE)) /* has no value */
            do_damage((enum store_table)(i / 2), keys[i / 2], is_removed);
        else
            is_done = false;
        if (is_done)
            assert_int_not_equal(rig_check(store), 0);
        mailstore_close(store);
        scratch_remove(folder);
        scratch_make(folder);
        options.path = folder;
        store = rig_open(&options);
    }
}

struct misstating {
    struct kv_op op;
    uint32_t box;
};

/* A row that is well in itself, but wrong. */
static struct err apply_misstating(struct kv_op *op, struct kv_txn *txn)
{
    struct misstating *misstating = container_of(op, struct misstating, op);
    struct user_row user;
    struct box_row row;
    struct err e = store_load_box(txn, misstating->box, &row);

    if (!err_is(e))
        e = store_load_user(txn, row.box.user, &user);
    row.box.uid_next = 2;
    user.bytes++;
    if (!err_is(e))
        e = store_save_box(txn, &row);
    return err_is(e) ? e : store_save_user(txn, SPAN(RIG_USER), &user);
}

static void test_misstatements(void **state)
{
    (void)state;
    struct misstating misstating = {.op = {.kind = KV_GROW, .apply = apply_misstating}};

    put_bytes(SPAN("one"));
    put_bytes(SPAN("two"));
    put_bytes(SPAN("three"));
    misstating.box = rig_box(store, RIG_USER, "INBOX").id;
    rig_expunge(store, misstating.box, (struct mailstore_range){3, 3}, true);
    assert_false(err_is(kv_run(store->kv, &misstating.op)));
    assert_int_equal(rig_check(store), 3); /* entry 2, what has vanished, the user's bytes */
}

/* ---- what cannot be gone on with ------------------------------------------------------------ */

static void test_staged_chunks_are_lost(void **state)
{
    (void)state;
    struct mailstore_draft *draft = mailstore_draft_create(store, NULL, NULL);
    struct mailstore_target target = rig_target(RIG_USER, "INBOX");
    struct mailstore_append append = {.op = {.kind = MAILSTORE_APPEND},
                                      .drafts = &draft,
                                      .draft_count = 1,
                                      .targets = &target,
                                      .target_count = 1};

    mailstore_draft_add(draft, span_of(large, sizeof large));
    assert_int_equal(rows(TABLE_STAGED), 1);
    do_damage(TABLE_STAGED, key_of(atomic_load(&store->last_id)), true);
    mailstore_run(store, &append.op);
    assert_int_equal(append.op.result.kind, ERR_NO_SPACE);
    assert_int_equal(target.uid, 0);
    assert_int_equal(rows(TABLE_ENTRY) + rows(TABLE_MESSAGE), 0);
    mailstore_draft_free(draft);
}

static struct err apply_format(struct kv_op *op, struct kv_txn *txn)
{
    struct store_meta meta;
    struct err e = store_get_meta(txn, &meta);

    (void)op;
    meta.format++;
    return err_is(e) ? e : store_put_meta(txn, &meta);
}

static void test_other_format(void **state)
{
    (void)state;
    struct kv_op op = {.kind = KV_GROW, .apply = apply_format};
    struct mailstore_options options = rig_options(folder);
    struct mailstore *other;

    assert_false(err_is(kv_run(store->kv, &op)));
    mailstore_close(store);
    assert_int_equal(mailstore_open(&options, &other).kind, ERR_CORRUPT);
    assert_null(other);
    options.read_only = true;
    assert_int_equal(mailstore_open(&options, &other).kind, ERR_CORRUPT);
    scratch_remove(folder);
    options.read_only = false;
    store = rig_open(&options);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_damaged_chunk),
        TEST(test_damaged_rows),
        TEST(test_every_damage_is_found),
        TEST(test_misstatements),
        TEST(test_staged_chunks_are_lost),
        TEST(test_other_format),
        TEST(test_damaged_entry_is_passed_over),
        TEST(test_repair),
        TEST(test_repair_of_what_cannot_be_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
