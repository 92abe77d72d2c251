/*
 * mailstore_rig: a mailstore in a folder of the test's own, and its operations as functions that
 * wait. Texts are C strings. What a function hands out as a box or an entry is a copy whose spans
 * must not be looked at; RIG_READ is for what needs them.
 */
#ifndef SMARTHOP_TESTS_MAILSTORE_RIG_H
#define SMARTHOP_TESTS_MAILSTORE_RIG_H

#include "plugins/drop/mailstore/mailstore.h"
#include "support/scratch.h"

#include <stdlib.h>

#define RIG_USER "anna@example.org"

static inline struct mailstore_options rig_options(const char *path)
{
    return (struct mailstore_options){
        .path = path, .map_size = 1u << 30, .box_max = 1000, .draft_memory = 65536};
}

static inline struct mailstore *rig_open(const struct mailstore_options *options)
{
    struct mailstore *store;

    if (err_is(mailstore_open(options, &store)))
        abort();
    return store;
}

/* A read transaction as a block. */
#define RIG_READ(store, txn)                                                                       \
    for (struct kv_txn *txn = rig_read_begin(store), *once_ = txn; once_ != NULL;                  \
         mailstore_read_end(txn), once_ = NULL)

static inline struct kv_txn *rig_read_begin(struct mailstore *store)
{
    struct kv_txn *txn;

    if (err_is(mailstore_read_begin(store, &txn)))
        abort();
    return txn;
}

static inline struct mailstore_target rig_target(const char *user, const char *box)
{
    return (struct mailstore_target){.user = span_cstr(user), .name = span_cstr(box)};
}

static inline enum err_kind rig_append(struct mailstore *store, struct mailstore_target *targets,
                                       unsigned count, bool is_whole, struct span body,
                                       enum mailstore_refusal *refusal_out)
{
    struct mailstore_draft *draft = mailstore_draft_create(store, NULL, NULL);
    struct mailstore_append append = {.op = {.kind = MAILSTORE_APPEND},
                                      .drafts = &draft,
                                      .draft_count = 1,
                                      .targets = targets,
                                      .target_count = count,
                                      .is_whole = is_whole};

    mailstore_draft_add(draft, body);
    mailstore_run(store, &append.op);
    mailstore_draft_free(draft);
    if (refusal_out != NULL)
        *refusal_out = append.op.refusal;
    return append.op.result.kind;
}

/* The UID; 0 where it was not done. */
static inline uint32_t rig_put_flagged(struct mailstore *store, const char *user, const char *box,
                                       const char *body, uint32_t flags)
{
    struct mailstore_target target = rig_target(user, box);

    target.flags = flags;
    target.internal_date = 1000000;
    return rig_append(store, &target, 1, false, span_cstr(body), NULL) == ERR_NONE ? target.uid : 0;
}

static inline uint32_t rig_put(struct mailstore *store, const char *box, const char *body)
{
    return rig_put_flagged(store, RIG_USER, box, body, 0);
}

static inline struct mailstore_box rig_box(struct mailstore *store, const char *user,
                                           const char *name)
{
    struct mailstore_box box = {.id = 0};
    struct kv_txn *txn = rig_read_begin(store);

    if (err_is(mailstore_box_find(txn, span_cstr(user), span_cstr(name), &box)))
        box = (struct mailstore_box){.id = 0};
    mailstore_read_end(txn);
    return box;
}

static inline struct mailstore_entry rig_entry(struct mailstore *store, uint32_t box, uint32_t uid)
{
    struct mailstore_entry entry = {.uid = 0};
    struct kv_txn *txn = rig_read_begin(store);

    if (err_is(mailstore_entry_get(txn, box, uid, &entry)))
        entry = (struct mailstore_entry){.uid = 0};
    mailstore_read_end(txn);
    return entry;
}

static inline struct mailstore_user rig_user(struct mailstore *store, const char *name)
{
    struct mailstore_user user;
    struct kv_txn *txn = rig_read_begin(store);

    if (err_is(mailstore_user_get(store, txn, span_cstr(name), &user)))
        user = (struct mailstore_user){.boxes = 0};
    mailstore_read_end(txn);
    return user;
}

/* The store is well in these tests. */
static inline enum mailstore_refusal rig_refusal(const struct mailstore_op *op)
{
    if (err_is(op->result))
        abort();
    return op->refusal;
}

static inline enum mailstore_refusal rig_create(struct mailstore *store, const char *user,
                                                const char *name)
{
    struct mailstore_create create = {
        .op = {.kind = MAILSTORE_CREATE}, .user = span_cstr(user), .name = span_cstr(name)};

    mailstore_run(store, &create.op);
    return rig_refusal(&create.op);
}

static inline enum mailstore_refusal rig_delete(struct mailstore *store, const char *user,
                                                const char *name)
{
    struct mailstore_delete it = {
        .op = {.kind = MAILSTORE_DELETE}, .user = span_cstr(user), .name = span_cstr(name)};

    mailstore_run(store, &it.op);
    return rig_refusal(&it.op);
}

static inline enum mailstore_refusal rig_rename(struct mailstore *store, const char *user,
                                                const char *from, const char *to)
{
    struct mailstore_rename it = {.op = {.kind = MAILSTORE_RENAME},
                                  .user = span_cstr(user),
                                  .from = span_cstr(from),
                                  .to = span_cstr(to)};

    mailstore_run(store, &it.op);
    return rig_refusal(&it.op);
}

/* Result fields are in *it; uids {0, 0} means all there are. */
static inline struct mailstore_store rig_flag(struct mailstore *store, uint32_t box,
                                              struct mailstore_range uids,
                                              enum mailstore_change change, uint32_t flags)
{
    struct mailstore_store it = {.op = {.kind = MAILSTORE_STORE},
                                 .box = box,
                                 .uids = uids.first != 0 ? &uids : NULL,
                                 .uid_count = 1,
                                 .change = change,
                                 .flags = flags,
                                 .unchanged_since = UINT64_MAX};

    mailstore_run(store, &it.op);
    if (err_is(it.op.result))
        abort();
    return it;
}

static inline struct mailstore_expunge rig_expunge(struct mailstore *store, uint32_t box,
                                                   struct mailstore_range uids, bool is_any)
{
    struct mailstore_expunge it = {.op = {.kind = MAILSTORE_EXPUNGE},
                                   .box = box,
                                   .uids = uids.first != 0 ? &uids : NULL,
                                   .uid_count = 1,
                                   .is_any = is_any};

    mailstore_run(store, &it.op);
    if (err_is(it.op.result))
        abort();
    return it;
}

/* from_uids and to_uids are the caller's to free. */
static inline struct mailstore_copy rig_copy(struct mailstore *store, uint32_t box,
                                             struct mailstore_range uids, const char *user,
                                             const char *to, bool is_move)
{
    struct mailstore_copy it = {.op = {.kind = MAILSTORE_COPY},
                                .box = box,
                                .uids = uids.first != 0 ? &uids : NULL,
                                .uid_count = 1,
                                .user = span_cstr(user),
                                .name = span_cstr(to),
                                .is_move = is_move};

    mailstore_run(store, &it.op);
    if (err_is(it.op.result))
        abort();
    return it;
}

static inline void rig_tell(void *context, const char *line)
{
    (void)context;
    fprintf(stderr, "%s\n", line);
}

/* Problems that a check finds. */
static inline uint64_t rig_check(struct mailstore *store)
{
    struct mailstore_check check;

    if (err_is(mailstore_check(store, rig_tell, NULL, NULL, &check)))
        abort();
    return check.problems;
}

/* ---- walks, as text: what a test compares ---- */

static inline bool rig_text_entry(void *context, const struct mailstore_entry *entry)
{
    buf_addf(context, "%u/%x ", entry->uid, entry->flags);
    return true;
}

static inline bool rig_text_change(void *context, uint64_t modseq, uint32_t uid)
{
    buf_addf(context, "%llu:%u ", (unsigned long long)modseq, uid);
    return true;
}

static inline bool rig_text_vanished(void *context, uint64_t modseq, struct mailstore_range uids)
{
    buf_addf(context, "%llu:%u-%u ", (unsigned long long)modseq, uids.first, uids.last);
    return true;
}

static inline bool rig_text_name(void *context, struct span name)
{
    buf_addf(context, "%.*s ", SPAN_ARG(name));
    return true;
}

static inline bool rig_text_box(void *context, const struct mailstore_box *box)
{
    return rig_text_name(context, box->name);
}

static inline bool rig_text_bytes(void *context, struct span bytes)
{
    buf_add(context, bytes);
    return true;
}

/* On the heap. */
static inline char *rig_end_text(struct buf *text, struct err e)
{
    if (err_is(e))
        abort();
    char *out = span_to_text(buf_span(text));
    buf_fini(text);
    return out;
}

static inline char *rig_entries(struct mailstore *store, uint32_t box)
{
    struct buf text = {0};
    struct err e = ERR_OK;

    RIG_READ(store, txn)
    e = mailstore_entry_walk(txn, box, 0, rig_text_entry, &text);
    return rig_end_text(&text, e);
}

static inline char *rig_changes(struct mailstore *store, uint32_t box, uint64_t modseq)
{
    struct buf text = {0};
    struct err e = ERR_OK;

    RIG_READ(store, txn)
    e = mailstore_change_walk(txn, box, modseq, rig_text_change, &text);
    return rig_end_text(&text, e);
}

static inline char *rig_vanished(struct mailstore *store, uint32_t box, uint64_t modseq)
{
    struct buf text = {0};
    struct err e = ERR_OK;

    RIG_READ(store, txn)
    e = mailstore_vanished_walk(txn, box, modseq, rig_text_vanished, &text);
    return rig_end_text(&text, e);
}

static inline char *rig_boxes(struct mailstore *store, const char *user)
{
    struct buf text = {0};
    struct err e = ERR_OK;

    RIG_READ(store, txn)
    e = mailstore_box_walk(txn, span_cstr(user), rig_text_box, &text);
    return rig_end_text(&text, e);
}

static inline char *rig_subscriptions(struct mailstore *store, const char *user)
{
    struct buf text = {0};
    struct err e = ERR_OK;

    RIG_READ(store, txn)
    e = mailstore_subscription_walk(txn, span_cstr(user), rig_text_name, &text);
    return rig_end_text(&text, e);
}

static inline struct err rig_content(struct mailstore *store, uint64_t message, uint64_t offset,
                                     uint64_t len, struct buf *out)
{
    struct err e = ERR_OK;

    RIG_READ(store, txn)
    e = mailstore_content_walk(txn, message, offset, len, rig_text_bytes, out);
    return e;
}

/* Checks that the text is as it should be, and frees it. */
#define RIG_EXPECT(text, expected)                                                                 \
    do {                                                                                           \
        char *text_ = (text);                                                                      \
        assert_string_equal(text_, expected);                                                      \
        free(text_);                                                                               \
    } while (0)

#endif
