/* The promises of mailstore.h about mailboxes and what is in them. */
#include "plugins/drop/mime/digest.h"
#include "support/mailstore_rig.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define ALL ((struct mailstore_range){0, 0})

static char folder[SCRATCH_PATH];
static struct mailstore *store;

static int setup(void **state)
{
    (void)state;
    scratch_make(folder);
    struct mailstore_options options = rig_options(folder);
    store = rig_open(&options);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    assert_int_equal(rig_check(store), 0);
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

static struct mailstore_box inbox(void)
{
    return rig_box(store, RIG_USER, "INBOX");
}

static void test_digest(void **state)
{
    (void)state;
    struct digest digest;
    struct span bytes;

    rig_put(store, "INBOX", "Subject: the digest\r\n\r\nbody\r\n");
    uint64_t message = rig_entry(store, inbox().id, 1).message;
    RIG_READ(store, txn)
    {
        assert_false(err_is(mailstore_digest_get(txn, message, &bytes)));
        assert_true(digest_open(bytes, &digest));
        assert_int_equal(digest.header_len, 23);
        assert_non_null(memmem(digest.envelope.ptr, digest.envelope.len, "the digest", 10));
    }
}

/* ---- appending ---------------------------------------------------------------------------- */

static void test_append(void **state)
{
    (void)state;
    assert_int_equal(rig_user(store, RIG_USER).boxes, 0);
    assert_int_equal(rig_put(store, "inbox", "Subject: a\r\n\r\none"), 1);
    assert_int_equal(rig_put_flagged(store, RIG_USER, "INBOX", "two", MAILSTORE_SEEN), 2);

    struct mailstore_box box = inbox();
    assert_int_not_equal(box.uid_validity, 0);
    assert_int_equal(box.uid_next, 3);
    assert_int_equal(box.highest_modseq, 3);
    assert_int_equal(box.exists, 2);
    assert_int_equal(box.unseen, 1);
    assert_int_equal(box.deleted, 0);
    assert_int_equal(box.bytes, 20);
    struct mailstore_user user = rig_user(store, RIG_USER);
    assert_int_equal(user.bytes, 20);
    assert_int_equal(user.messages, 2);
    assert_int_equal(user.boxes, 1);
    RIG_EXPECT(rig_entries(store, box.id), "1/0 2/1 ");
    RIG_EXPECT(rig_changes(store, box.id, 0), "2:1 3:2 ");
    RIG_EXPECT(rig_changes(store, box.id, 2), "3:2 ");
}

static void test_append_to_several(void **state)
{
    (void)state;
    struct mailstore_target targets[] = {
        rig_target("a@example.org", "INBOX"),          rig_target("b@example.org", "INBOX"),
        rig_target("b@example.org", "Lists/smarthop"), rig_target("b@example.org", "Missing"),
        rig_target("c@example.org", "Missing"),
    };
    struct buf content = {0};
    enum mailstore_refusal refusal;

    targets[1].prefix = SPAN("Delivered-To: b@example.org\r\n");
    targets[2].is_created = true;
    assert_int_equal(rig_append(store, targets, 5, false, SPAN("shared"), &refusal), ERR_NONE);
    assert_int_equal(refusal, MAILSTORE_NO_BOX);
    assert_int_equal(targets[0].refusal, MAILSTORE_FINE);
    assert_int_equal(targets[2].refusal, MAILSTORE_FINE);
    assert_int_equal(targets[3].refusal, MAILSTORE_NO_BOX);
    assert_int_equal(targets[3].uid, 0);
    assert_int_equal(targets[4].refusal, MAILSTORE_NO_BOX);
    RIG_EXPECT(rig_boxes(store, "b@example.org"), "INBOX Lists Lists/smarthop ");
    RIG_EXPECT(rig_boxes(store, "c@example.org"), "");

    struct mailstore_entry first = rig_entry(store, targets[0].box, targets[0].uid);
    struct mailstore_entry second = rig_entry(store, targets[1].box, targets[1].uid);
    assert_int_equal(first.message, second.message);
    assert_int_equal(first.size, 6);
    assert_int_equal(second.size, 6 + 29);
    assert_int_equal(second.prefix.len, 29);
    assert_false(err_is(rig_content(store, first.message, 0, UINT64_MAX, &content)));
    assert_true(span_equal(buf_span(&content), SPAN("shared")));
    buf_fini(&content);
}

static void test_append_whole_or_not(void **state)
{
    (void)state;
    struct mailstore_target targets[] = {rig_target("a@example.org", "INBOX"),
                                         rig_target("a@example.org", "Missing")};
    enum mailstore_refusal refusal;

    assert_int_equal(rig_append(store, targets, 2, true, SPAN("body"), &refusal), ERR_NONE);
    assert_int_equal(refusal, MAILSTORE_NO_BOX);
    assert_int_equal(rig_box(store, "a@example.org", "INBOX").id, 0);

    /* One that only shows while it is done: the mailbox has room for no more keywords. */
    char words[MAILSTORE_KEYWORDS_MAX][8];
    struct span keywords[MAILSTORE_KEYWORDS_MAX];
    for (unsigned i = 0; i < MAILSTORE_KEYWORDS_MAX; i++) {
        snprintf(words[i], sizeof words[i], "k%u", i);
        keywords[i] = span_cstr(words[i]);
    }
    targets[0].keywords = keywords;
    targets[0].keyword_count = MAILSTORE_KEYWORDS_MAX;
    targets[1] = rig_target("a@example.org", "INBOX");
    struct span more = SPAN("more");
    targets[1].keywords = &more;
    targets[1].keyword_count = 1;
    assert_int_equal(rig_append(store, targets, 2, true, SPAN("body"), &refusal), ERR_NONE);
    assert_int_equal(refusal, MAILSTORE_TOO_MANY);
    assert_int_equal(rig_box(store, "a@example.org", "INBOX").exists, 0);
    assert_int_equal(rig_append(store, targets, 1, true, SPAN("body"), &refusal), ERR_NONE);
    assert_int_equal(refusal, MAILSTORE_FINE);
    assert_int_equal(rig_entry(store, targets[0].box, targets[0].uid).keywords, UINT64_MAX);
}

/* What IMAP's TRYCREATE is for. */
static void test_append_again(void **state)
{
    (void)state;
    struct mailstore_draft *draft = mailstore_draft_create(store, NULL, NULL);
    struct mailstore_target target = rig_target(RIG_USER, "Box");
    struct mailstore_append append = {.op = {.kind = MAILSTORE_APPEND},
                                      .drafts = &draft,
                                      .draft_count = 1,
                                      .targets = &target,
                                      .target_count = 1};

    mailstore_draft_add(draft, SPAN("body"));
    mailstore_run(store, &append.op);
    assert_int_equal(append.op.refusal, MAILSTORE_NO_BOX);
    rig_create(store, RIG_USER, "Box");
    mailstore_run(store, &append.op);
    assert_int_equal(append.op.refusal, MAILSTORE_FINE);
    assert_int_equal(target.uid, 1);
    mailstore_draft_free(draft);
    assert_int_equal(rig_entry(store, target.box, 1).size, 4);
}

/* Several messages, each to its own target. */
static void test_append_many_messages(void **state)
{
    (void)state;
    struct mailstore_draft *drafts[3];
    struct mailstore_target targets[3];
    struct mailstore_append append = {.op = {.kind = MAILSTORE_APPEND},
                                      .drafts = drafts,
                                      .draft_count = 3,
                                      .targets = targets,
                                      .target_count = 3,
                                      .is_whole = true};

    rig_create(store, RIG_USER, "Box");
    for (unsigned quota = 2; quota <= 3; quota++) {
        mailstore_set_quota(store, 0, quota);
        for (unsigned i = 0; i < 3; i++) {
            targets[i] = rig_target(RIG_USER, "Box");
            targets[i].flags = 1u << i;
            drafts[i] = mailstore_draft_create(store, NULL, NULL);
            mailstore_draft_add(drafts[i], span_of("12345", i + 1));
            assert_int_equal(mailstore_draft_size(drafts[i]), i + 1);
        }
        mailstore_run(store, &append.op);
        assert_false(err_is(append.op.result));
        assert_int_equal(append.op.refusal, quota < 3 ? MAILSTORE_OVER_QUOTA : MAILSTORE_FINE);
        assert_int_equal(rig_box(store, RIG_USER, "Box").exists, quota < 3 ? 0 : 3);
        for (unsigned i = 0; i < 3; i++)
            mailstore_draft_free(drafts[i]);
    }
    struct mailstore_box box = rig_box(store, RIG_USER, "Box");
    assert_int_equal(box.highest_modseq, 4);
    RIG_EXPECT(rig_entries(store, box.id), "1/1 2/2 3/4 ");
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(rig_entry(store, box.id, targets[i].uid).size, i + 1);
}

static void test_quota(void **state)
{
    (void)state;
    struct mailstore_target target = rig_target(RIG_USER, "INBOX");
    enum mailstore_refusal refusal;

    mailstore_set_quota(store, 10, 0);
    rig_append(store, &target, 1, false, SPAN("12345678901"), &refusal);
    assert_int_equal(refusal, MAILSTORE_OVER_QUOTA);
    rig_append(store, &target, 1, false, SPAN("1234567890"), &refusal);
    assert_int_equal(refusal, MAILSTORE_FINE);
    rig_append(store, &target, 1, false, SPAN("1"), &refusal);
    assert_int_equal(refusal, MAILSTORE_OVER_QUOTA);
    target.is_unbound = true;
    rig_append(store, &target, 1, false, SPAN("1"), &refusal);
    assert_int_equal(refusal, MAILSTORE_FINE);
    target.is_unbound = false;

    struct mailstore_set_quota own = {
        .op = {.kind = MAILSTORE_SET_QUOTA}, .user = SPAN(RIG_USER), .bytes = 0, .messages = 3};
    mailstore_run(store, &own.op);
    rig_append(store, &target, 1, false, SPAN("1"), &refusal);
    assert_int_equal(refusal, MAILSTORE_FINE);
    rig_append(store, &target, 1, false, SPAN("1"), &refusal);
    assert_int_equal(refusal, MAILSTORE_OVER_QUOTA);
    assert_int_equal(rig_user(store, RIG_USER).messages_max, 3);
    assert_int_equal(rig_user(store, RIG_USER).bytes_max, 0);

    /* A copy counts, a move does not. */
    rig_create(store, RIG_USER, "Other");
    struct mailstore_copy copy = rig_copy(store, inbox().id, ALL, RIG_USER, "Other", false);
    assert_int_equal(copy.op.refusal, MAILSTORE_OVER_QUOTA);
    assert_int_equal(copy.copied, 0);
    copy = rig_copy(store, inbox().id, ALL, RIG_USER, "Other", true);
    assert_int_equal(copy.op.refusal, MAILSTORE_FINE);
    assert_int_equal(copy.copied, 3);
    free(copy.from_uids);
    free(copy.to_uids);
    assert_int_equal(rig_user(store, RIG_USER).messages, 3);
}

/* ---- flags -------------------------------------------------------------------------------- */

static void test_flags(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 5; i++)
        rig_put(store, "INBOX", "x");
    uint32_t box = inbox().id;

    struct mailstore_store set =
        rig_flag(store, box, (struct mailstore_range){2, 4}, MAILSTORE_ADD, MAILSTORE_SEEN);
    assert_int_equal(set.changed, 3);
    assert_int_equal(set.modseq, 7);
    RIG_EXPECT(rig_entries(store, box), "1/0 2/1 3/1 4/1 5/0 ");
    RIG_EXPECT(rig_changes(store, box, 0), "2:1 6:5 7:2 7:3 7:4 ");
    assert_int_equal(inbox().unseen, 2);

    /* What is as it should be is not touched. */
    set = rig_flag(store, box, ALL, MAILSTORE_ADD, MAILSTORE_SEEN);
    assert_int_equal(set.changed, 2);
    set = rig_flag(store, box, ALL, MAILSTORE_ADD, MAILSTORE_SEEN);
    assert_int_equal(set.changed, 0);
    assert_int_equal(set.modseq, 0);
    assert_int_equal(inbox().highest_modseq, 8);
    set = rig_flag(store, box, (struct mailstore_range){1, 1}, MAILSTORE_REMOVE, MAILSTORE_SEEN);
    assert_int_equal(set.changed, 1);
    set = rig_flag(store, box, (struct mailstore_range){1, 2}, MAILSTORE_SET, MAILSTORE_DELETED);
    assert_int_equal(set.changed, 2);
    RIG_EXPECT(rig_entries(store, box), "1/8 2/8 3/1 4/1 5/1 ");
    assert_int_equal(inbox().deleted, 2);
    assert_int_equal(inbox().unseen, 2);
    assert_int_equal(rig_flag(store, 4711, ALL, MAILSTORE_ADD, 1).op.refusal, MAILSTORE_NO_BOX);
}

static void test_unchanged_since(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 4; i++)
        rig_put(store, "INBOX", "x"); /* modseq 2 to 5 */
    struct mailstore_store set = {.op = {.kind = MAILSTORE_STORE},
                                  .box = inbox().id,
                                  .change = MAILSTORE_ADD,
                                  .flags = MAILSTORE_FLAGGED,
                                  .unchanged_since = 3};
    mailstore_run(store, &set.op);
    assert_int_equal(set.changed, 2);
    assert_int_equal(set.modified_count, 2);
    assert_int_equal(set.modified[0], 3);
    assert_int_equal(set.modified[1], 4);
    free(set.modified);
    RIG_EXPECT(rig_entries(store, set.box), "1/4 2/4 3/0 4/0 ");
}

static void test_keywords(void **state)
{
    (void)state;
    struct span names[] = {SPAN("$Forwarded"), SPAN("work")};
    struct mailstore_store set = {.op = {.kind = MAILSTORE_STORE},
                                  .change = MAILSTORE_REMOVE,
                                  .keywords = names,
                                  .keyword_count = 2,
                                  .unchanged_since = UINT64_MAX};
    rig_put(store, "INBOX", "x");
    set.box = inbox().id;
    mailstore_run(store, &set.op);
    assert_int_equal(set.changed, 0);
    assert_int_equal(inbox().keyword_count, 0);
    set.change = MAILSTORE_ADD;
    mailstore_run(store, &set.op);
    assert_int_equal(set.changed, 1);
    assert_int_equal(inbox().keyword_count, 2);
    names[0] = SPAN("WORK");
    set.keyword_count = 1;
    set.change = MAILSTORE_REMOVE;
    mailstore_run(store, &set.op);
    assert_int_equal(rig_entry(store, set.box, 1).keywords, 1);
    RIG_READ(store, txn)
    {
        struct mailstore_box box;
        assert_false(err_is(mailstore_box_get(txn, set.box, &box)));
        assert_true(span_equal(box.keywords[0], SPAN("$Forwarded")));
        assert_true(span_equal(box.keywords[1], SPAN("work")));
    }
}

/* ---- expunging ---------------------------------------------------------------------------- */

static void test_expunge(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 8; i++)
        rig_put(store, "INBOX", "x");
    uint32_t box = inbox().id;
    assert_int_equal(rig_expunge(store, box, ALL, false).modseq, 0);
    rig_flag(store, box, (struct mailstore_range){2, 4}, MAILSTORE_ADD, MAILSTORE_DELETED); /* 10 */
    rig_flag(store, box, (struct mailstore_range){6, 6}, MAILSTORE_ADD, MAILSTORE_DELETED); /* 11 */

    struct mailstore_expunge gone = rig_expunge(store, box, (struct mailstore_range){3, 7}, false);
    assert_int_equal(gone.expunged, 3);
    assert_int_equal(gone.modseq, 12);
    RIG_EXPECT(rig_entries(store, box), "1/0 2/8 5/0 7/0 8/0 ");
    RIG_EXPECT(rig_vanished(store, box, 0), "12:3-4 12:6-6 ");
    RIG_EXPECT(rig_vanished(store, box, 12), "");
    RIG_EXPECT(rig_changes(store, box, 0), "2:1 6:5 8:7 9:8 10:2 ");
    assert_int_equal(inbox().deleted, 1);

    gone = rig_expunge(store, box, (struct mailstore_range){7, UINT32_MAX}, true);
    assert_int_equal(gone.expunged, 2);
    gone = rig_expunge(store, box, ALL, true);
    assert_int_equal(gone.expunged, 3);
    RIG_EXPECT(rig_entries(store, box), "");
    RIG_EXPECT(rig_changes(store, box, 0), "");
    RIG_EXPECT(rig_vanished(store, box, 12), "13:7-8 14:1-2 14:5-5 ");
    struct mailstore_box now = inbox();
    assert_int_equal(now.exists + now.unseen + now.deleted + now.bytes, 0);
    assert_int_equal(now.uid_next, 9);
    assert_int_equal(rig_user(store, RIG_USER).bytes, 0);
    assert_int_equal(rig_user(store, RIG_USER).messages, 0);
    assert_int_equal(rig_put(store, "INBOX", "x"), 9);
}

/* ---- copying ------------------------------------------------------------------------------ */

static void test_copy(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 4; i++)
        rig_put(store, "INBOX", "x");
    uint32_t box = inbox().id;
    rig_flag(store, box, (struct mailstore_range){3, 3}, MAILSTORE_SET, MAILSTORE_FLAGGED);
    struct mailstore_copy copy =
        rig_copy(store, box, (struct mailstore_range){2, 3}, RIG_USER, "Other", false);
    assert_int_equal(copy.op.refusal, MAILSTORE_NO_BOX);
    rig_create(store, RIG_USER, "Other");
    copy = rig_copy(store, box, (struct mailstore_range){2, 3}, RIG_USER, "Other", false);
    assert_int_equal(copy.op.refusal, MAILSTORE_FINE);
    assert_int_equal(copy.copied, 2);
    assert_int_equal(copy.from_uids[1], 3);
    assert_int_equal(copy.to_uids[1], 2);
    free(copy.from_uids);
    free(copy.to_uids);
    RIG_EXPECT(rig_entries(store, copy.to), "1/0 2/4 ");
    RIG_EXPECT(rig_entries(store, box), "1/0 2/0 3/4 4/0 ");
    assert_int_equal(rig_entry(store, copy.to, 2).internal_date, 1000000);
    assert_int_equal(rig_entry(store, copy.to, 2).message, rig_entry(store, box, 3).message);

    copy = rig_copy(store, box, (struct mailstore_range){3, 9}, RIG_USER, "Other", true);
    assert_int_equal(copy.copied, 2);
    free(copy.from_uids);
    free(copy.to_uids);
    RIG_EXPECT(rig_entries(store, copy.to), "1/0 2/4 3/4 4/0 ");
    RIG_EXPECT(rig_entries(store, box), "1/0 2/0 ");
    assert_true(copy.modseq == inbox().highest_modseq);
    char expected[32];
    snprintf(expected, sizeof expected, "%llu:3-4 ", (unsigned long long)copy.modseq);
    RIG_EXPECT(rig_vanished(store, box, 0), expected);

    /* Into itself. */
    copy = rig_copy(store, box, ALL, RIG_USER, "INBOX", false);
    assert_int_equal(copy.copied, 2);
    free(copy.from_uids);
    free(copy.to_uids);
    RIG_EXPECT(rig_entries(store, box), "1/0 2/0 5/0 6/0 ");
    copy = rig_copy(store, box, (struct mailstore_range){1, 5}, RIG_USER, "INBOX", true);
    assert_int_equal(copy.copied, 3);
    free(copy.from_uids);
    free(copy.to_uids);
    RIG_EXPECT(rig_entries(store, box), "6/0 7/0 8/0 9/0 ");
    assert_int_equal(inbox().exists, 4);
    assert_int_equal(rig_user(store, RIG_USER).messages, 8);
}

static void test_copy_to_another_user(void **state)
{
    (void)state;
    struct span names[] = {SPAN("one"), SPAN("two"), SPAN("three")};
    struct mailstore_target target = rig_target("b@example.org", "INBOX");
    target.keywords = &names[1];
    target.keyword_count = 1;
    rig_append(store, &target, 1, false, SPAN("other"), NULL);
    target = rig_target(RIG_USER, "INBOX");
    target.keywords = names;
    target.keyword_count = 3;
    rig_append(store, &target, 1, false, SPAN("body"), NULL);

    struct mailstore_copy copy = rig_copy(store, target.box, ALL, "b@example.org", "INBOX", true);
    assert_int_equal(copy.copied, 1);
    free(copy.from_uids);
    free(copy.to_uids);
    assert_int_equal(rig_user(store, RIG_USER).bytes, 0);
    assert_int_equal(rig_user(store, "b@example.org").bytes, 9);
    assert_int_equal(rig_entry(store, copy.to, 2).keywords, 7);
    RIG_READ(store, txn)
    {
        struct mailstore_box box;
        assert_false(err_is(mailstore_box_get(txn, copy.to, &box)));
        assert_int_equal(box.keyword_count, 3);
        assert_true(span_equal(box.keywords[0], SPAN("two")));
    }
}

/* ---- more than is worked on at a time ------------------------------------------------------- */

static void test_many(void **state)
{
    (void)state;
    enum { MANY = 1400 };
    struct mailstore_target *targets = mem_zalloc(MANY * sizeof *targets);
    const struct mailstore_range parts[] = {{500, 530}, {532, 532}, {1000, 1100}, {9999, 9999}};
    struct mailstore_expunge it = {
        .op = {.kind = MAILSTORE_EXPUNGE}, .uids = parts, .uid_count = 4, .is_any = true};

    for (unsigned i = 0; i < MANY; i++)
        targets[i] = rig_target(RIG_USER, "INBOX");
    rig_append(store, targets, MANY, false, SPAN("x"), NULL);
    free(targets);
    uint32_t box = it.box = inbox().id;
    assert_int_equal(inbox().exists, MANY);
    rig_create(store, RIG_USER, "Box");
    struct mailstore_copy copy = rig_copy(store, box, ALL, RIG_USER, "Box", false);
    assert_int_equal(copy.copied, MANY);
    for (unsigned i = 0; i < MANY; i++)
        assert_int_equal(copy.from_uids[i], copy.to_uids[i]);
    free(copy.from_uids);
    free(copy.to_uids);
    assert_int_equal(rig_flag(store, box, ALL, MAILSTORE_ADD, MAILSTORE_SEEN).changed, MANY);
    uint64_t before = inbox().highest_modseq;
    mailstore_run(store, &it.op);
    assert_int_equal(it.expunged, 31 + 1 + 101);
    char expected[100];
    snprintf(expected, sizeof expected, "%llu:500-530 %llu:532-532 %llu:1000-1100 ",
             (unsigned long long)it.modseq, (unsigned long long)it.modseq,
             (unsigned long long)it.modseq);
    RIG_EXPECT(rig_vanished(store, box, before), expected);
    assert_int_equal(inbox().exists, MANY - it.expunged);

    /* What had gone before is not told again. */
    rig_expunge(store, box, (struct mailstore_range){400, 700}, true);
    unsigned long long modseq = it.modseq + 1;
    snprintf(expected, sizeof expected, "%llu:400-499 %llu:531-531 %llu:533-700 ", modseq, modseq,
             modseq);
    RIG_EXPECT(rig_vanished(store, box, it.modseq), expected);
}

/* ---- \Recent ------------------------------------------------------------------------------ */

static void test_recent(void **state)
{
    (void)state;
    rig_put(store, "INBOX", "x");
    rig_put(store, "INBOX", "x");
    struct mailstore_claim_recent claim = {.op = {.kind = MAILSTORE_CLAIM_RECENT},
                                           .box = inbox().id};
    mailstore_run(store, &claim.op);
    assert_int_equal(claim.first, 1);
    assert_int_equal(claim.end, 3);
    mailstore_run(store, &claim.op);
    assert_int_equal(claim.first, claim.end);
    assert_int_equal(inbox().recent_from, 3);
}

/* ---- checking ----------------------------------------------------------------------------- */

static void on_progress(void *context, uint64_t done, uint64_t all)
{
    assert_true(done <= all);
    *(uint64_t *)context = done;
}

static void test_check(void **state)
{
    (void)state;
    struct mailstore_target targets[] = {rig_target("a", "INBOX"), rig_target("b", "INBOX")};
    struct mailstore_check check;
    uint64_t done = 0;

    rig_append(store, targets, 2, false, SPAN("four"), NULL);
    rig_put(store, "INBOX", "seven77");
    rig_create(store, RIG_USER, "x/y");
    assert_false(err_is(mailstore_check(store, NULL, on_progress, &done, &check)));
    assert_int_equal(check.users, 3);
    assert_int_equal(check.boxes, 5);
    assert_int_equal(check.entries, 3);
    assert_int_equal(check.messages, 2);
    assert_int_equal(check.bytes, 11);
    assert_int_equal(check.problems, 0);
    assert_int_equal(done, 2);
}

/* ---- what stays --------------------------------------------------------------------------- */

static void test_reopen(void **state)
{
    (void)state;
    rig_put(store, "INBOX", "x");
    rig_put(store, "INBOX", "y");
    rig_expunge(store, inbox().id, (struct mailstore_range){2, 2}, true);
    struct mailstore_box before = inbox();
    uint64_t message = rig_entry(store, before.id, 1).message;
    reopen();
    struct mailstore_box after = inbox();
    assert_int_equal(before.id, after.id);
    assert_int_equal(before.uid_validity, after.uid_validity);
    assert_int_equal(before.uid_next, after.uid_next);
    assert_true(before.highest_modseq == after.highest_modseq);
    assert_int_equal(rig_put(store, "INBOX", "z"), 3);
    assert_true(rig_entry(store, after.id, 3).message > message + 1);
}

/* Before its row says so: each message is told to one. */
static void test_recent_at_once(void **state)
{
    (void)state;
    rig_put(store, "INBOX", "1");
    rig_put(store, "INBOX", "2");
    struct mailstore_box box = inbox();
    assert_int_equal(mailstore_recent_from(store, &box), 1);
    assert_int_equal(mailstore_recent_take(store, &box), 1);
    assert_int_equal(mailstore_recent_take(store, &box), 3);
    assert_int_equal(mailstore_recent_from(store, &box), 3);
    rig_put(store, "INBOX", "3");
    box = inbox();
    assert_int_equal(box.recent_from, 1);
    assert_int_equal(mailstore_recent_take(store, &box), 3);
    assert_int_equal(mailstore_recent_take(store, &box), 4);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_append),
        TEST(test_digest),
        TEST(test_append_to_several),
        TEST(test_append_whole_or_not),
        TEST(test_append_again),
        TEST(test_append_many_messages),
        TEST(test_quota),
        TEST(test_flags),
        TEST(test_unchanged_since),
        TEST(test_keywords),
        TEST(test_expunge),
        TEST(test_copy),
        TEST(test_copy_to_another_user),
        TEST(test_many),
        TEST(test_recent),
        TEST(test_recent_at_once),
        TEST(test_check),
        TEST(test_reopen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
