/*
 * Random operations on a mailstore and on a model of it: their answers, and then everything that
 * can be read, must be the same. Several operations go to a commit. [SEED] runs another course.
 */
#include "plugins/drop/mailstore/mailstore_private.h"
#include "support/loop_rig.h"
#include "support/mailstore_model.h"
#include "support/mailstore_rig.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum { ROUNDS = 150, AT_A_TIME = 8, RANGES = 3, TARGETS = 3, IDS = 4096, LONG = 20000 };

static const char *const users[MODEL_USERS] = {"anna", "ann"};
static const char *const names[] = {"INBOX", "a",          "a/b",   "a/b/c",     "b",
                                    "b/c",   "Drafts/old", "b/b/c", "INBOX/sub", "c"};
static const struct span words[] = {SPAN("$Junk"), SPAN("work"), SPAN("$Forwarded"), SPAN("x")};

static unsigned seed = 1;
static char folder[SCRATCH_PATH];
static struct mailstore *store;
static struct model model;
static bool is_used[IDS]; /* ids of mailboxes that were seen */
static char text[LONG];
static uint32_t last_validity;

static unsigned dice(unsigned sides)
{
    return (unsigned)rand_r(&seed) % sides;
}

static const char *any_name(void)
{
    return names[dice(sizeof names / sizeof names[0])];
}

static struct span body_of(unsigned number)
{
    return span_of(text + number % 100, number * 7919u % (number % 5 == 0 ? LONG - 100 : 300));
}

/* ---- one operation ------------------------------------------------------------------------ */

struct step {
    union {
        struct mailstore_op op;
        struct mailstore_append append;
        struct mailstore_copy copy;
        struct mailstore_store store;
        struct mailstore_expunge expunge;
        struct mailstore_create create;
        struct mailstore_delete delete;
        struct mailstore_rename rename;
        struct mailstore_claim_recent claim;
    } it;
    struct mailstore_draft *draft;
    struct mailstore_target targets[TARGETS];
    struct mailstore_range ranges[RANGES];
    struct span keywords[4];

    /* What must come of it. */
    enum mailstore_refusal refusal;
    enum mailstore_refusal target_refusals[TARGETS];
    uint32_t uids[TARGETS];
    unsigned count;
    unsigned modified;
    uint64_t modseq;
};

static void on_done(struct mailstore_op *op)
{
    rig_on_done(&op->kv.call);
}

static struct model_box *any_box(void)
{
    for (unsigned i = 0; i < 200; i++) {
        struct model_box *box = model.boxes[dice(MODEL_BOXES)];
        if (box != NULL && box->id != 0)
            return box;
    }
    return NULL;
}

/* In order and apart, some of them beyond what is there. */
static unsigned any_ranges(const struct model_box *box, struct mailstore_range *ranges)
{
    unsigned count = 1 + dice(RANGES);
    uint32_t at = 1 + dice(box->uid_next);

    for (unsigned i = 0; i < count; i++) {
        ranges[i].first = at;
        ranges[i].last = at + dice(dice(4) == 0 ? 20 : 3);
        at = ranges[i].last + 2 + dice(5);
    }
    if (dice(6) == 0)
        ranges[count - 1].last = UINT32_MAX;
    return count;
}

static unsigned any_keywords(struct step *step, uint32_t *words_out)
{
    unsigned count = 0;

    *words_out = dice(2) == 0 ? dice(16) : 0;
    for (unsigned i = 0; i < 4; i++)
        if (*words_out >> i & 1)
            step->keywords[count++] = words[i];
    return count;
}

static void begin_append(struct step *step)
{
    static unsigned number;
    struct mailstore_append *append = &step->it.append;
    unsigned user[TARGETS], count = 1 + dice(TARGETS), whole = dice(4);
    uint32_t bits;
    unsigned keyword_count = any_keywords(step, &bits);

    number++;
    *append = (struct mailstore_append){.op.kind = MAILSTORE_APPEND,
                                        .drafts = &step->draft,
                                        .draft_count = 1,
                                        .targets = step->targets,
                                        .target_count = count,
                                        .is_whole = whole == 0};
    step->draft = mailstore_draft_create(store, NULL, NULL);
    mailstore_draft_add(step->draft, body_of(number));
    for (unsigned i = 0; i < count; i++) {
        user[i] = i > 0 ? user[i - 1] : dice(MODEL_USERS);
        step->targets[i] = rig_target(users[user[i]], any_name());
        step->targets[i].is_created = dice(3) == 0;
        step->targets[i].flags = dice(32);
        step->targets[i].keywords = step->keywords;
        step->targets[i].keyword_count = keyword_count;
        step->targets[i].prefix = span_of(text, dice(100));
        step->targets[i].internal_date = 1 + number;
        if (append->is_whole && step->refusal == MAILSTORE_FINE)
            step->refusal = model_check(&model, user[i], step->targets[i].name.ptr,
                                        step->targets[i].is_created, i);
    }
    if (step->refusal != MAILSTORE_FINE)
        return;
    struct model saved = model_save(&model);
    for (unsigned i = 0; i < count; i++) {
        struct model_entry *entry;
        step->target_refusals[i] = model_append(&model, user[i], step->targets[i].name.ptr,
                                                step->targets[i].is_created, &entry);
        if (step->refusal == MAILSTORE_FINE)
            step->refusal = step->target_refusals[i];
        if (entry == NULL)
            continue;
        step->uids[i] = entry->uid;
        entry->flags = step->targets[i].flags;
        entry->words = bits;
        entry->body = number;
        entry->prefix = step->targets[i].prefix.len;
    }
    if (append->is_whole && step->refusal != MAILSTORE_FINE) {
        memset(step->uids, 0, sizeof step->uids);
        struct model changed = model;
        model = saved;
        saved = changed;
    }
    model_clear(&saved);
}

static void begin_copy(struct step *step, struct model_box *box)
{
    unsigned user = dice(5) == 0 ? dice(MODEL_USERS) : box->user;

    step->it.copy = (struct mailstore_copy){.op.kind = MAILSTORE_COPY,
                                            .box = box->id,
                                            .uids = step->ranges,
                                            .uid_count = any_ranges(box, step->ranges),
                                            .user = span_cstr(users[user]),
                                            .name = span_cstr(any_name()),
                                            .is_move = dice(2) == 0};
    step->refusal = model_copy(&model, box, step->ranges, step->it.copy.uid_count, user,
                               step->it.copy.name.ptr, step->it.copy.is_move, &step->count);
    step->modseq = step->it.copy.is_move && step->count > 0 ? box->modseq : 0;
}

static void begin_store(struct step *step, struct model_box *box)
{
    uint32_t bits;

    step->it.store = (struct mailstore_store){.op.kind = MAILSTORE_STORE,
                                              .box = box->id,
                                              .uids = dice(5) == 0 ? NULL : step->ranges,
                                              .uid_count = any_ranges(box, step->ranges),
                                              .change = (enum mailstore_change)dice(3),
                                              .flags = dice(32),
                                              .keywords = step->keywords,
                                              .keyword_count = any_keywords(step, &bits),
                                              .unchanged_since = UINT64_MAX};
    if (dice(4) == 0)
        step->it.store.unchanged_since = box->modseq - dice(box->modseq > 8 ? 8 : 1);
    step->count =
        model_flag(box, step->it.store.uids, step->it.store.uid_count, step->it.store.change,
                   step->it.store.flags, bits, step->it.store.unchanged_since, &step->modified);
    step->modseq = step->count > 0 ? box->modseq : 0;
}

static void begin_expunge(struct step *step, struct model_box *box)
{
    step->it.expunge = (struct mailstore_expunge){.op.kind = MAILSTORE_EXPUNGE,
                                                  .box = box->id,
                                                  .uids = dice(3) == 0 ? NULL : step->ranges,
                                                  .uid_count = any_ranges(box, step->ranges),
                                                  .is_any = dice(4) == 0};
    step->count = model_expunge(box, step->it.expunge.uids, step->it.expunge.uid_count,
                                step->it.expunge.is_any);
    step->modseq = step->count > 0 ? box->modseq : 0;
}

static void begin_claim(struct step *step, struct model_box *box)
{
    step->it.claim =
        (struct mailstore_claim_recent){.op.kind = MAILSTORE_CLAIM_RECENT, .box = box->id};
    step->uids[0] = box->recent_from;
    step->uids[1] = box->recent_from = box->uid_next;
}

static void begin_with_names(struct step *step, unsigned what)
{
    unsigned user = dice(MODEL_USERS);
    const char *name = any_name(), *other = any_name();

    if (what == 0) {
        step->it.create = (struct mailstore_create){
            .op.kind = MAILSTORE_CREATE, .user = span_cstr(users[user]), .name = span_cstr(name)};
        step->refusal = model_create(&model, user, name);
    } else if (what == 1) {
        step->it.delete = (struct mailstore_delete){
            .op.kind = MAILSTORE_DELETE, .user = span_cstr(users[user]), .name = span_cstr(name)};
        step->refusal = model_delete(&model, user, name);
    } else {
        step->it.rename = (struct mailstore_rename){.op.kind = MAILSTORE_RENAME,
                                                    .user = span_cstr(users[user]),
                                                    .from = span_cstr(name),
                                                    .to = span_cstr(other)};
        step->refusal = model_rename(&model, user, name, other);
    }
}

static void begin_step(struct step *step)
{
    struct model_box *box = any_box();
    unsigned what = dice(20);

    *step = (struct step){.refusal = MAILSTORE_FINE};
    if (box == NULL || what < 7)
        begin_append(step);
    else if (what < 10)
        begin_copy(step, box);
    else if (what < 14)
        begin_store(step, box);
    else if (what < 16)
        begin_expunge(step, box);
    else if (what < 17)
        begin_claim(step, box);
    else
        begin_with_names(step, what - 17);
    step->it.op.done = on_done;
    mailstore_submit(store, &step->it.op, loop_rig.loop);
}

static void end_append(struct step *step)
{
    const struct mailstore_append *append = &step->it.append;

    mailstore_draft_free(step->draft);
    for (unsigned i = 0; i < append->target_count; i++) {
        if (!append->is_whole)
            assert_int_equal(step->targets[i].refusal, step->target_refusals[i]);
        assert_int_equal(step->targets[i].uid, step->uids[i]);
    }
}

static void end_step(struct step *step)
{
    assert_false(err_is(step->it.op.result));
    assert_int_equal(step->it.op.refusal, step->refusal);
    switch (step->it.op.kind) {
    case MAILSTORE_APPEND:
        end_append(step);
        break;
    case MAILSTORE_COPY:
        assert_int_equal(step->it.copy.copied, step->count);
        assert_true(step->it.copy.modseq == step->modseq);
        free(step->it.copy.from_uids);
        free(step->it.copy.to_uids);
        break;
    case MAILSTORE_STORE:
        assert_int_equal(step->it.store.changed, step->count);
        assert_int_equal(step->it.store.modified_count, step->modified);
        assert_true(step->it.store.modseq == step->modseq);
        free(step->it.store.modified);
        break;
    case MAILSTORE_EXPUNGE:
        assert_int_equal(step->it.expunge.expunged, step->count);
        assert_true(step->it.expunge.modseq == step->modseq);
        break;
    case MAILSTORE_CLAIM_RECENT:
        assert_int_equal(step->it.claim.first, step->uids[0]);
        assert_int_equal(step->it.claim.end, step->uids[1]);
        break;
    default:
        break;
    }
}

/* ---- everything --------------------------------------------------------------------------- */

struct comparison {
    struct kv_txn *txn;
    struct model_box *box;
    const struct mailstore_box *found;
    unsigned at;
    uint64_t modseq;
    bool is_told[MODEL_UIDS];
};

static uint64_t bits_of(const struct mailstore_box *box, uint32_t model_words)
{
    uint64_t bits = 0;

    for (unsigned i = 0; i < 4; i++)
        for (unsigned j = 0; j < box->keyword_count && (model_words >> i & 1); j++)
            if (span_equal(box->keywords[j], words[i]))
                bits |= UINT64_C(1) << j;
    return bits;
}

static bool compare_entry(void *context, const struct mailstore_entry *entry)
{
    struct comparison *it = context;
    struct buf content = {0};

    assert_true(it->at < it->box->count);
    const struct model_entry *expected = &it->box->entries[it->at++];
    struct span body = body_of(expected->body);
    assert_int_equal(entry->uid, expected->uid);
    assert_int_equal(entry->flags, expected->flags);
    assert_true(entry->keywords == bits_of(it->found, expected->words));
    assert_true(entry->modseq == expected->modseq);
    assert_int_equal(entry->internal_date, 1 + expected->body);
    assert_true(span_equal(entry->prefix, span_of(text, expected->prefix)));
    assert_int_equal(entry->size, body.len + expected->prefix);
    assert_false(err_is(
        mailstore_content_walk(it->txn, entry->message, 0, UINT64_MAX, rig_text_bytes, &content)));
    assert_true(span_equal(buf_span(&content), body));
    buf_fini(&content);
    return true;
}

static bool take_change(void *context, uint64_t modseq, uint32_t uid)
{
    struct comparison *it = context;

    assert_true(modseq >= it->modseq && uid < MODEL_UIDS && !it->is_told[uid]);
    it->modseq = modseq;
    it->is_told[uid] = true;
    return true;
}

static void compare_changes(struct comparison *it, uint64_t since)
{
    memset(it->is_told, 0, sizeof it->is_told);
    it->modseq = since;
    assert_false(err_is(mailstore_change_walk(it->txn, it->box->id, since, take_change, it)));
    for (unsigned i = 0; i < it->box->count; i++) {
        const struct model_entry *entry = &it->box->entries[i];
        assert_int_equal(it->is_told[entry->uid], entry->modseq > since);
        it->is_told[entry->uid] = false;
    }
    for (unsigned i = 0; i < MODEL_UIDS; i++)
        assert_false(it->is_told[i]);
}

static bool take_vanished(void *context, uint64_t modseq, struct mailstore_range uids)
{
    struct comparison *it = context;

    assert_true(modseq >= it->modseq && uids.last < it->box->uid_next);
    it->modseq = modseq;
    for (uint32_t uid = uids.first; uid <= uids.last; uid++) {
        assert_false(it->is_told[uid]);
        it->is_told[uid] = true;
    }
    return true;
}

static void compare_vanished(struct comparison *it, uint64_t since)
{
    memset(it->is_told, 0, sizeof it->is_told);
    it->modseq = since;
    assert_false(err_is(mailstore_vanished_walk(it->txn, it->box->id, since, take_vanished, it)));
    for (uint32_t uid = 1; uid < it->box->uid_next; uid++)
        assert_int_equal(it->is_told[uid], it->box->gone[uid] > since);
}

static void learn_id(struct model_box *box, const struct mailstore_box *found)
{
    if (box->id != 0)
        return;
    assert_true(found->id < IDS && !is_used[found->id]);
    assert_true(found->uid_validity > last_validity);
    is_used[found->id] = true;
    box->id = found->id;
    box->uid_validity = found->uid_validity;
}

static void compare_box(struct comparison *it)
{
    struct model_box *box = it->box;
    uint64_t since = box->modseq - dice(box->modseq > 20 ? 20 : 1);
    unsigned unseen = 0, deleted = 0;

    assert_int_equal(it->found->id, box->id);
    assert_int_equal(it->found->uid_validity, box->uid_validity);
    assert_int_equal(it->found->uid_next, box->uid_next);
    assert_true(it->found->highest_modseq == box->modseq);
    assert_int_equal(it->found->recent_from, box->recent_from);
    assert_int_equal(it->found->exists, box->count);
    for (unsigned i = 0; i < box->count; i++) {
        unseen += (box->entries[i].flags & MAILSTORE_SEEN) == 0;
        deleted += (box->entries[i].flags & MAILSTORE_DELETED) != 0;
    }
    assert_int_equal(it->found->unseen, unseen);
    assert_int_equal(it->found->deleted, deleted);
    it->at = 0;
    assert_false(err_is(mailstore_entry_walk(it->txn, box->id, 0, compare_entry, it)));
    assert_int_equal(it->at, box->count);
    compare_changes(it, since);
    compare_changes(it, 0);
    compare_vanished(it, since);
    compare_vanished(it, 0);
}

static void compare_all(void)
{
    static struct comparison it;
    struct mailstore_box found;
    uint32_t highest = last_validity;

    RIG_READ(store, txn)
    {
        it.txn = txn;
        for (unsigned i = 0; i < MODEL_BOXES; i++) {
            if (model.boxes[i] == NULL)
                continue;
            it.box = model.boxes[i];
            it.found = &found;
            struct err e = mailstore_box_find(txn, span_cstr(users[it.box->user]),
                                              span_cstr(it.box->name), &found);
            if (err_is(e))
                fail_msg("%s of %s: %s", it.box->name, users[it.box->user], e.where);
            learn_id(it.box, &found);
            if (found.uid_validity > highest)
                highest = found.uid_validity;
            compare_box(&it);
        }
    }
    last_validity = highest;
    for (unsigned i = 0; i < MODEL_USERS; i++) {
        struct mailstore_user user = rig_user(store, users[i]);
        assert_int_equal(user.boxes, model_count_boxes(&model, i));
        assert_int_equal(user.messages, model_count_messages(&model, i));
    }
}

/* ---- the course --------------------------------------------------------------------------- */

static void open_store(void)
{
    struct mailstore_options options = rig_options(folder);

    options.box_max = MODEL_BOX_MAX;
    options.quota_messages = MODEL_MESSAGES_MAX;
    options.draft_memory = 3 * CHUNK_BYTES;
    store = rig_open(&options);
}

static void test_course(void **state)
{
    static struct step steps[AT_A_TIME];

    (void)state;
    for (unsigned round = 0; round < ROUNDS; round++) {
        for (unsigned i = 0; i < AT_A_TIME; i++)
            begin_step(&steps[i]);
        rig_wait(AT_A_TIME);
        for (unsigned i = 0; i < AT_A_TIME; i++)
            end_step(&steps[i]);
        compare_all();
        if (round % 25 == 24) {
            mailstore_close(store);
            open_store();
            assert_int_equal(rig_check(store), 0);
        }
    }
    struct kv_txn *txn = rig_read_begin(store);
    uint64_t messages = kv_count(txn, TABLE_MESSAGE);
    mailstore_read_end(txn);
    assert_true(messages > 0);
    assert_false(err_is(mailstore_tidy(store, UINT64_MAX)));
    assert_int_equal(rig_check(store), 0);
}

static int setup(void **state)
{
    (void)state;
    for (unsigned i = 0; i < LONG; i++)
        text[i] = (char)('a' + i * i % 23);
    scratch_make(folder);
    rig_start();
    open_store();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    rig_stop();
    mailstore_close(store);
    model_clear(&model);
    scratch_remove(folder);
    return 0;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_course, setup, teardown)};

    if (argc > 1)
        seed = (unsigned)strtoul(argv[1], NULL, 10);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
