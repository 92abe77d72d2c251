/* The promises of mailstore.h about names: making, renaming and removing mailboxes; and what is
 * refused. */
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
    options.box_max = 10;
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

static void test_valid_names(void **state)
{
    (void)state;
    static const char *const good[] = {
        "a",   "a/b", "Entw\xc3\xbcrfe",
        "a b", "%",   "1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16/17/18/19/20"};
    static const char *const bad[] = {"",
                                      "/",
                                      "/a",
                                      "a/",
                                      "a//b",
                                      "a\tb",
                                      "\x7f",
                                      "a\xff",
                                      "a\xc2\x85",
                                      "a\xe2\x80\xa8",
                                      "1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16/17/18/19/20/21"};
    char name[MAILSTORE_NAME_MAX + 2] = {0};

    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        assert_true(mailstore_name_is_valid(span_cstr(good[i])));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(mailstore_name_is_valid(span_cstr(bad[i])));
    assert_false(mailstore_name_is_valid(SPAN("a\0b")));
    memset(name, 'x', MAILSTORE_NAME_MAX);
    assert_true(mailstore_name_is_valid(span_cstr(name)));
    name[MAILSTORE_NAME_MAX] = 'x';
    assert_false(mailstore_name_is_valid(span_cstr(name)));
    assert_int_equal(rig_create(store, RIG_USER, name), MAILSTORE_BAD_NAME);
    assert_int_equal(rig_create(store, "", "x"), MAILSTORE_BAD_NAME);
}

static void test_create(void **state)
{
    (void)state;
    assert_int_equal(rig_create(store, RIG_USER, "a/b/c"), MAILSTORE_FINE);
    RIG_EXPECT(rig_boxes(store, RIG_USER), "INBOX a a/b a/b/c ");
    assert_int_equal(rig_create(store, RIG_USER, "a/b"), MAILSTORE_EXISTS);
    assert_int_equal(rig_create(store, RIG_USER, "iNbOx"), MAILSTORE_INBOX);
    assert_int_equal(rig_create(store, RIG_USER, "inbox/sub"), MAILSTORE_FINE);
    RIG_EXPECT(rig_boxes(store, RIG_USER), "INBOX INBOX/sub a a/b a/b/c ");
    assert_int_equal(rig_box(store, RIG_USER, "Inbox/sub").id,
                     rig_box(store, RIG_USER, "INBOX/sub").id);
    assert_int_equal(rig_box(store, RIG_USER, "INBOX/SUB").id, 0);
    assert_int_equal(rig_create(store, RIG_USER, "1/2/3/4/5/6"), MAILSTORE_TOO_MANY);
    RIG_EXPECT(rig_boxes(store, RIG_USER), "INBOX INBOX/sub a a/b a/b/c ");
    assert_int_equal(rig_create(store, RIG_USER, "1/2/3/4/5"), MAILSTORE_FINE);
    assert_int_equal(rig_create(store, RIG_USER, "6"), MAILSTORE_TOO_MANY);
    assert_int_equal(rig_user(store, RIG_USER).boxes, 10);

    /* The first that is asked for makes the user. */
    assert_int_equal(rig_create(store, "new@example.org", "INBOX"), MAILSTORE_FINE);
    RIG_EXPECT(rig_boxes(store, "new@example.org"), "INBOX ");
    /* Who is the beginning of another has only his own. */
    assert_int_equal(rig_create(store, "new", "x"), MAILSTORE_FINE);
    RIG_EXPECT(rig_boxes(store, "new"), "INBOX x ");
}

static void test_special_use(void **state)
{
    (void)state;
    struct mailstore_create create = {.op = {.kind = MAILSTORE_CREATE},
                                      .user = SPAN(RIG_USER),
                                      .name = SPAN("Mail/Sent"),
                                      .use = MAILSTORE_USE_SENT};
    mailstore_run(store, &create.op);
    assert_int_equal(rig_box(store, RIG_USER, "Mail/Sent").use, MAILSTORE_USE_SENT);
    assert_int_equal(rig_box(store, RIG_USER, "Mail").use, MAILSTORE_USE_NONE);
    assert_int_equal(create.uid_validity, rig_box(store, RIG_USER, "Mail/Sent").uid_validity);
}

static void test_delete(void **state)
{
    (void)state;
    rig_create(store, RIG_USER, "a/b");
    assert_int_not_equal(rig_put(store, "a", "body"), 0);
    assert_int_not_equal(rig_put(store, "INBOX", "body"), 0);
    uint32_t validity = rig_box(store, RIG_USER, "a").uid_validity;
    uint32_t id = rig_box(store, RIG_USER, "a").id;
    assert_int_equal(rig_delete(store, RIG_USER, "a"), MAILSTORE_FINE);
    RIG_EXPECT(rig_boxes(store, RIG_USER), "INBOX a/b ");
    assert_int_equal(rig_user(store, RIG_USER).messages, 1);
    assert_int_equal(rig_user(store, RIG_USER).bytes, 4);
    assert_int_equal(rig_user(store, RIG_USER).boxes, 2);
    assert_int_equal(rig_delete(store, RIG_USER, "a"), MAILSTORE_NO_BOX);
    assert_int_equal(rig_delete(store, RIG_USER, "inbox"), MAILSTORE_INBOX);
    assert_int_equal(rig_delete(store, "nobody", "a"), MAILSTORE_NO_BOX);
    assert_int_equal(rig_flag(store, id, ALL, MAILSTORE_ADD, 1).op.refusal, MAILSTORE_NO_BOX);

    /* The same name is another mailbox. */
    assert_int_equal(rig_create(store, RIG_USER, "a"), MAILSTORE_FINE);
    struct mailstore_box box = rig_box(store, RIG_USER, "a");
    assert_true(box.uid_validity > validity);
    assert_int_not_equal(box.id, id);
    assert_int_equal(box.exists, 0);
}

static void test_rename(void **state)
{
    (void)state;
    rig_create(store, RIG_USER, "a/b/c");
    rig_create(store, RIG_USER, "ab");
    rig_put(store, "a/b", "body");
    struct mailstore_box before = rig_box(store, RIG_USER, "a/b");

    assert_int_equal(rig_rename(store, RIG_USER, "a/b", "x/y"), MAILSTORE_FINE);
    RIG_EXPECT(rig_boxes(store, RIG_USER), "INBOX a ab x x/y x/y/c ");
    struct mailstore_box after = rig_box(store, RIG_USER, "x/y");
    assert_int_equal(after.id, before.id);
    assert_int_equal(after.uid_validity, before.uid_validity);
    assert_int_equal(after.uid_next, before.uid_next);
    RIG_EXPECT(rig_entries(store, after.id), "1/0 ");
    assert_int_equal(rig_user(store, RIG_USER).boxes, 6);

    assert_int_equal(rig_rename(store, RIG_USER, "none", "z"), MAILSTORE_NO_BOX);
    assert_int_equal(rig_rename(store, RIG_USER, "a", "ab"), MAILSTORE_EXISTS);
    assert_int_equal(rig_rename(store, RIG_USER, "a", "a"), MAILSTORE_EXISTS);
    assert_int_equal(rig_rename(store, RIG_USER, "a", "inbox"), MAILSTORE_EXISTS);
    assert_int_equal(rig_rename(store, RIG_USER, "x", "x/y/z"), MAILSTORE_BAD_NAME);
    assert_int_equal(rig_rename(store, RIG_USER, "a", "b//c"), MAILSTORE_BAD_NAME);
    assert_int_equal(
        rig_rename(store, RIG_USER, "x", "1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16/17/18/19"),
        MAILSTORE_BAD_NAME);
    assert_int_equal(rig_rename(store, RIG_USER, "x", "1/2/3/4/5/6/7"), MAILSTORE_TOO_MANY);
    RIG_EXPECT(rig_boxes(store, RIG_USER), "INBOX a ab x x/y x/y/c ");

    /* What is below a name that is no mailbox moves, too; and where one of those would stand. */
    assert_int_equal(rig_delete(store, RIG_USER, "x/y"), MAILSTORE_FINE);
    assert_int_equal(rig_rename(store, RIG_USER, "x/y", "a/y"), MAILSTORE_FINE);
    RIG_EXPECT(rig_boxes(store, RIG_USER), "INBOX a a/y/c ab x ");
    rig_create(store, RIG_USER, "b/c");
    rig_delete(store, RIG_USER, "b");
    assert_int_equal(rig_rename(store, RIG_USER, "a/y", "b"), MAILSTORE_EXISTS);
}

static void test_rename_inbox(void **state)
{
    (void)state;
    rig_create(store, RIG_USER, "INBOX/sub");
    rig_put(store, "INBOX", "one");
    rig_put_flagged(store, RIG_USER, "INBOX", "two", MAILSTORE_SEEN);
    struct mailstore_box before = rig_box(store, RIG_USER, "INBOX");

    assert_int_equal(rig_rename(store, RIG_USER, "inbox", "INBOX/old"), MAILSTORE_FINE);
    RIG_EXPECT(rig_boxes(store, RIG_USER), "INBOX INBOX/old INBOX/sub ");
    struct mailstore_box after = rig_box(store, RIG_USER, "INBOX");
    assert_int_equal(after.id, before.id);
    assert_int_equal(after.exists, 0);
    assert_int_equal(after.uid_next, 3);
    RIG_EXPECT(rig_vanished(store, after.id, before.highest_modseq), "4:1-2 ");
    RIG_EXPECT(rig_entries(store, rig_box(store, RIG_USER, "INBOX/old").id), "1/0 2/1 ");
    assert_int_equal(rig_user(store, RIG_USER).messages, 2);
    assert_int_equal(rig_rename(store, RIG_USER, "INBOX", "Empty"), MAILSTORE_FINE);
    assert_int_equal(rig_rename(store, "nobody", "INBOX", "Empty"), MAILSTORE_NO_BOX);
}

static void subscribe(const char *name, bool is_off, enum mailstore_refusal expected)
{
    struct mailstore_subscribe it = {.op = {.kind = MAILSTORE_SUBSCRIBE},
                                     .user = SPAN(RIG_USER),
                                     .name = span_cstr(name),
                                     .is_off = is_off};

    mailstore_run(store, &it.op);
    assert_false(err_is(it.op.result));
    assert_int_equal(it.op.refusal, expected);
}

static void test_subscriptions(void **state)
{
    (void)state;
    subscribe("b", false, MAILSTORE_FINE);
    subscribe("inbox", false, MAILSTORE_FINE);
    subscribe("a/x", false, MAILSTORE_FINE);
    subscribe("b", false, MAILSTORE_FINE);
    subscribe("none", true, MAILSTORE_FINE);
    subscribe("a//x", false, MAILSTORE_BAD_NAME);
    RIG_EXPECT(rig_subscriptions(store, RIG_USER), "INBOX a/x b ");
    subscribe("INBOX", true, MAILSTORE_FINE);
    RIG_EXPECT(rig_subscriptions(store, RIG_USER), "a/x b ");
}

static bool count_user(void *context, struct span user)
{
    (void)user;
    ++*(unsigned *)context;
    return true;
}

static void test_remove_user(void **state)
{
    (void)state;
    struct mailstore_remove_user it = {.op = {.kind = MAILSTORE_REMOVE_USER},
                                       .user = SPAN(RIG_USER)};
    unsigned users = 0;

    rig_create(store, RIG_USER, "a/b");
    rig_put(store, "a", "body");
    subscribe("a", false, MAILSTORE_FINE);
    rig_put_flagged(store, "annabel", "INBOX", "body", 0);
    uint32_t id = rig_box(store, RIG_USER, "a").id;
    mailstore_run(store, &it.op);
    assert_int_equal(it.op.refusal, MAILSTORE_FINE);
    assert_int_equal(it.box_count, 3);
    assert_int_equal(it.boxes[1], id);
    RIG_EXPECT(rig_boxes(store, RIG_USER), "");
    RIG_EXPECT(rig_subscriptions(store, RIG_USER), "");
    RIG_READ(store, txn)
    assert_false(err_is(mailstore_user_walk(txn, SPAN_NONE, count_user, &users)));
    assert_int_equal(users, 1);
    mailstore_run(store, &it.op);
    assert_int_equal(it.op.refusal, MAILSTORE_NO_BOX);
    assert_null(it.boxes);
    assert_int_equal(rig_put(store, "INBOX", "again"), 1);
}

/* ---- what is refused ---------------------------------------------------------------------- */

static void test_bad_names(void **state)
{
    (void)state;
    struct mailstore_target target = rig_target("", "INBOX");
    struct mailstore_set_quota quota = {.op = {.kind = MAILSTORE_SET_QUOTA}};
    enum mailstore_refusal refusal;
    char long_user[MAILSTORE_USER_MAX + 2] = {0};

    memset(long_user, 'u', MAILSTORE_USER_MAX + 1);
    rig_append(store, &target, 1, false, SPAN("x"), &refusal);
    assert_int_equal(refusal, MAILSTORE_BAD_NAME);
    target = rig_target(RIG_USER, "a//b");
    target.is_created = true;
    rig_append(store, &target, 1, true, SPAN("x"), &refusal);
    assert_int_equal(refusal, MAILSTORE_BAD_NAME);
    target = rig_target(long_user, "INBOX");
    rig_append(store, &target, 1, false, SPAN("x"), &refusal);
    assert_int_equal(refusal, MAILSTORE_BAD_NAME);
    mailstore_run(store, &quota.op);
    assert_int_equal(quota.op.refusal, MAILSTORE_BAD_NAME);
    assert_int_equal(rig_box(store, "", "INBOX").id, 0);
    assert_int_equal(rig_user(store, long_user).boxes, 0);
    RIG_EXPECT(rig_boxes(store, long_user), "");
    assert_int_equal(rig_delete(store, RIG_USER, "/"), MAILSTORE_NO_BOX);
    assert_int_equal(rig_rename(store, RIG_USER, "/", "a"), MAILSTORE_NO_BOX);

    long_user[MAILSTORE_USER_MAX] = '\0';
    assert_int_equal(rig_put_flagged(store, long_user, "INBOX", "x", 0), 1);
    char prefix[MAILSTORE_PREFIX_MAX + 1] = {0};
    target = rig_target(RIG_USER, "INBOX");
    target.prefix = span_of(prefix, sizeof prefix);
    assert_int_equal(rig_append(store, &target, 1, false, SPAN("x"), NULL), ERR_INVALID);
}

static void test_no_such_mailbox(void **state)
{
    (void)state;
    struct mailstore_claim_recent claim = {.op = {.kind = MAILSTORE_CLAIM_RECENT}, .box = 7};

    assert_int_equal(rig_expunge(store, 7, ALL, true).op.refusal, MAILSTORE_NO_BOX);
    assert_int_equal(rig_copy(store, 7, ALL, RIG_USER, "INBOX", false).op.refusal,
                     MAILSTORE_NO_BOX);
    mailstore_run(store, &claim.op);
    assert_int_equal(claim.op.refusal, MAILSTORE_NO_BOX);
    rig_put(store, "INBOX", "x");
    assert_int_equal(
        rig_copy(store, rig_box(store, RIG_USER, "INBOX").id, ALL, RIG_USER, "a//b", false)
            .op.refusal,
        MAILSTORE_NO_BOX);
}

/* Both mailboxes have room for their own, but not for the other's. */
static void test_too_many_keywords(void **state)
{
    (void)state;
    char words[MAILSTORE_KEYWORDS_MAX][8];
    struct span keywords[MAILSTORE_KEYWORDS_MAX];
    struct mailstore_target target = rig_target(RIG_USER, "INBOX");
    struct span other = SPAN("other");
    char long_word[MAILSTORE_KEYWORD_MAX + 1];

    memset(long_word, 'w', sizeof long_word);
    for (unsigned i = 0; i < MAILSTORE_KEYWORDS_MAX; i++) {
        snprintf(words[i], sizeof words[i], "k%u", i);
        keywords[i] = span_cstr(words[i]);
    }
    target.keywords = keywords;
    target.keyword_count = MAILSTORE_KEYWORDS_MAX;
    rig_append(store, &target, 1, false, SPAN("x"), NULL);
    rig_create(store, RIG_USER, "Box");
    target = rig_target(RIG_USER, "Box");
    target.keywords = &other;
    target.keyword_count = 1;
    rig_append(store, &target, 1, false, SPAN("x"), NULL);
    struct mailstore_copy copy = rig_copy(store, target.box, ALL, RIG_USER, "INBOX", true);
    assert_int_equal(copy.op.refusal, MAILSTORE_TOO_MANY);
    assert_int_equal(copy.copied, 0);
    assert_int_equal(rig_box(store, RIG_USER, "Box").exists, 1);

    struct mailstore_store set = {.op = {.kind = MAILSTORE_STORE},
                                  .box = rig_box(store, RIG_USER, "INBOX").id,
                                  .change = MAILSTORE_ADD,
                                  .keywords = &other,
                                  .keyword_count = 1,
                                  .unchanged_since = UINT64_MAX};
    mailstore_run(store, &set.op);
    assert_int_equal(set.op.refusal, MAILSTORE_TOO_MANY);
    set.box = target.box;
    other = span_of(long_word, sizeof long_word);
    mailstore_run(store, &set.op);
    assert_int_equal(set.op.refusal, MAILSTORE_TOO_MANY);
    assert_int_equal(rig_box(store, RIG_USER, "Box").keyword_count, 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_valid_names),
        TEST(test_create),
        TEST(test_special_use),
        TEST(test_delete),
        TEST(test_rename),
        TEST(test_rename_inbox),
        TEST(test_subscriptions),
        TEST(test_remove_user),
        TEST(test_bad_names),
        TEST(test_no_such_mailbox),
        TEST(test_too_many_keywords),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
