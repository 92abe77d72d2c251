/* Reading: users, mailboxes, entries, and what has changed. */
#include "plugins/drop/mailstore/mailstore_private.h"

struct err mailstore_read_begin(struct mailstore *store, struct kv_txn **out)
{
    return kv_read_begin(store->kv, out);
}

void mailstore_read_end(struct kv_txn *txn)
{
    kv_read_end(txn);
}

/* ---- users -------------------------------------------------------------------------------- */

struct err mailstore_user_get(struct mailstore *store, struct kv_txn *txn, struct span user,
                              struct mailstore_user *out)
{
    struct user_row row;

    *out = (struct mailstore_user){.bytes = 0};
    if (!store_user_is_valid(user))
        return err_make(ERR_NOT_FOUND, "user");
    struct err e = store_load_user(txn, user, &row);
    if (err_is(e))
        return e;
    store_resolve_quota(store, &row);
    *out = (struct mailstore_user){
        .bytes = row.bytes,
        .messages = row.messages,
        .boxes = row.boxes,
        .bytes_max = row.bytes_max,
        .messages_max = row.messages_max,
    };
    return ERR_OK;
}

struct user_visit {
    mailstore_visit_user *visit;
    void *context;
};

static bool visit_user(void *context, struct span key, struct span record)
{
    const struct user_visit *it = context;

    (void)record;
    return it->visit(it->context, key);
}

struct err mailstore_user_walk(struct kv_txn *txn, struct span from, mailstore_visit_user *visit,
                               void *context)
{
    struct user_visit it = {.visit = visit, .context = context};

    return kv_walk(txn, TABLE_USER, from, visit_user, &it);
}

/* ---- mailboxes ---------------------------------------------------------------------------- */

struct err mailstore_box_get(struct kv_txn *txn, uint32_t id, struct mailstore_box *out)
{
    struct key key = key_of_box(id);
    struct span record;
    uint32_t vanished;
    struct err e = kv_get(txn, TABLE_BOX, key_span(&key), &record);

    return err_is(e) ? e : store_read_box(record, id, out, &vanished);
}

struct err mailstore_box_find(struct kv_txn *txn, struct span user, struct span name,
                              struct mailstore_box *out)
{
    char room[MAILSTORE_NAME_MAX];
    uint32_t box;

    if (!store_user_is_valid(user) || !mailstore_name_is_valid(name))
        return err_make(ERR_NOT_FOUND, "mailbox");
    struct err e = store_find_box(txn, user, store_name(name, room), &box);
    return err_is(e) ? e : mailstore_box_get(txn, box, out);
}

struct name_visit {
    struct kv_txn *txn;
    struct span user;
    mailstore_visit_box *visit_box;
    mailstore_visit_name *visit_name;
    void *context;
    struct err error;
};

static bool visit_box(void *context, struct span key, struct span value)
{
    struct name_visit *it = context;
    struct mailstore_box box;
    struct span name;

    if (!key_read_name(key, it->user, &name))
        return false;
    if (value.len != sizeof(uint32_t))
        it->error = err_make(ERR_CORRUPT, "name record");
    else
        it->error = mailstore_box_get(it->txn, wire_get32(value.ptr), &box);
    return !err_is(it->error) && it->visit_box(it->context, &box);
}

static bool visit_name(void *context, struct span key, struct span value)
{
    const struct name_visit *it = context;
    struct span name;

    (void)value;
    return key_read_name(key, it->user, &name) && it->visit_name(it->context, name);
}

static struct err walk_names(struct name_visit *it, enum store_table table, kv_visit *visit)
{
    if (!store_user_is_valid(it->user))
        return ERR_OK;
    struct name_key from = key_of_name(it->user, SPAN_NONE);
    struct err e = kv_walk(it->txn, table, name_key_span(&from), visit, it);
    return err_is(e) ? e : it->error;
}

struct err mailstore_box_walk(struct kv_txn *txn, struct span user, mailstore_visit_box *visit,
                              void *context)
{
    struct name_visit it = {.txn = txn, .user = user, .visit_box = visit, .context = context};

    return walk_names(&it, TABLE_NAME, visit_box);
}

struct err mailstore_subscription_walk(struct kv_txn *txn, struct span user,
                                       mailstore_visit_name *visit, void *context)
{
    struct name_visit it = {.txn = txn, .user = user, .visit_name = visit, .context = context};

    return walk_names(&it, TABLE_SUBSCRIPTION, visit_name);
}

/* ---- entries ------------------------------------------------------------------------------ */

struct err mailstore_entry_get(struct kv_txn *txn, uint32_t box, uint32_t uid,
                               struct mailstore_entry *out)
{
    struct key key = key_of_entry(box, uid);
    struct span record;
    struct err e = kv_get(txn, TABLE_ENTRY, key_span(&key), &record);

    return err_is(e) ? e : store_read_entry(record, box, uid, out);
}

struct row_visit {
    uint32_t box;
    mailstore_visit_entry *entry;
    mailstore_visit_change *change;
    mailstore_visit_vanished *vanished;
    void *context;
    struct err error;
};

static bool visit_entry(void *context, struct span key, struct span record)
{
    struct row_visit *it = context;
    struct mailstore_entry entry;
    uint32_t box, uid;

    if (!key_read_entry(key, &box, &uid) || box != it->box)
        return false;
    return !store_take_entry(record, box, uid, &entry) || it->entry(it->context, &entry);
}

static struct err walk_rows(struct kv_txn *txn, enum store_table table, const struct key *from,
                            kv_visit *visit, struct row_visit *it)
{
    struct err e = kv_walk(txn, table, key_span(from), visit, it);

    return err_is(e) ? e : it->error;
}

struct err mailstore_entry_walk(struct kv_txn *txn, uint32_t box, uint32_t from,
                                mailstore_visit_entry *visit, void *context)
{
    struct row_visit it = {.box = box, .entry = visit, .context = context};
    struct key key = key_of_entry(box, from);

    return walk_rows(txn, TABLE_ENTRY, &key, visit_entry, &it);
}

static bool visit_change(void *context, struct span key, struct span value)
{
    const struct row_visit *it = context;
    uint32_t box, uid;
    uint64_t modseq;

    (void)value;
    return key_read_change(key, &box, &modseq, &uid) && box == it->box &&
           it->change(it->context, modseq, uid);
}

/* The first row behind a modification sequence; none is behind the last. */
static struct err walk_behind(struct kv_txn *txn, enum store_table table, uint64_t modseq,
                              kv_visit *visit, struct row_visit *it)
{
    if (modseq == UINT64_MAX)
        return ERR_OK;
    struct key from = key_of_change(it->box, modseq + 1, 0);
    return walk_rows(txn, table, &from, visit, it);
}

struct err mailstore_change_walk(struct kv_txn *txn, uint32_t box, uint64_t modseq,
                                 mailstore_visit_change *visit, void *context)
{
    struct row_visit it = {.box = box, .change = visit, .context = context};

    return walk_behind(txn, TABLE_CHANGE, modseq, visit_change, &it);
}

static bool visit_vanished(void *context, struct span key, struct span value)
{
    struct row_visit *it = context;
    struct mailstore_range uids;
    uint32_t box;
    uint64_t modseq;

    if (!key_read_change(key, &box, &modseq, &uids.first) || box != it->box)
        return false;
    if (value.len != sizeof uids.last || wire_get32(value.ptr) < uids.first) {
        it->error = err_make(ERR_CORRUPT, "vanished record");
        return false;
    }
    uids.last = wire_get32(value.ptr);
    return it->vanished(it->context, modseq, uids);
}

/* What lies between the entries. */
struct gaps {
    const struct mailstore_box *box;
    mailstore_visit_vanished *visit;
    void *context;
    uint32_t next;
    bool is_stopped;
};

static void tell_gap(struct gaps *gaps, uint32_t uid)
{
    struct mailstore_range gap = {.first = gaps->next, .last = uid - 1};

    gaps->next = uid + 1;
    if (gap.first < uid)
        gaps->is_stopped = !gaps->visit(gaps->context, gaps->box->highest_modseq, gap);
}

static bool visit_neighbour(void *context, const struct mailstore_entry *entry)
{
    struct gaps *gaps = context;

    tell_gap(gaps, entry->uid);
    return !gaps->is_stopped;
}

static struct err walk_gaps(struct kv_txn *txn, const struct mailstore_box *box,
                            mailstore_visit_vanished *visit, void *context)
{
    struct gaps gaps = {.box = box, .visit = visit, .context = context, .next = 1};
    struct err e = mailstore_entry_walk(txn, box->id, 0, visit_neighbour, &gaps);

    if (!err_is(e) && !gaps.is_stopped)
        tell_gap(&gaps, box->uid_next);
    return e;
}

struct err mailstore_vanished_walk(struct kv_txn *txn, uint32_t box, uint64_t modseq,
                                   mailstore_visit_vanished *visit, void *context)
{
    struct row_visit it = {.box = box, .vanished = visit, .context = context};
    struct mailstore_box row;

    if (!err_is(mailstore_box_get(txn, box, &row)) && row.vanished_from > 1 &&
        modseq < row.vanished_from - 1)
        return walk_gaps(txn, &row, visit, context);
    return walk_behind(txn, TABLE_VANISHED, modseq, visit_vanished, &it);
}
