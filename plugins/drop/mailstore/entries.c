#include "plugins/drop/mailstore/mailstore_private.h"

#include <stdlib.h>

/* Entries that are passed over before a new seek is cheaper. */
enum { PASSED_MOST = 16 };

/* ---- walking ------------------------------------------------------------------------------ */

void entry_cursor_init(struct entry_cursor *cursor, const struct mailstore_box *box,
                       const struct mailstore_range *ranges, unsigned count)
{
    *cursor = (struct entry_cursor){
        .box = box->id,
        .below = box->uid_next,
        .ranges = ranges,
        .count = count,
        .all = {.first = 1, .last = UINT32_MAX},
    };
    if (ranges == NULL) {
        cursor->ranges = &cursor->all;
        cursor->count = 1;
    }
}

struct entry_batch *entry_batch_create(void)
{
    struct entry_batch *batch = mem_alloc(sizeof *batch);

    arena_init(&batch->arena);
    batch->count = 0;
    return batch;
}

void entry_batch_free(struct entry_batch *batch)
{
    arena_fini(&batch->arena);
    free(batch);
}

struct filling {
    struct entry_cursor *cursor;
    struct entry_batch *batch;
    unsigned passed;
    bool is_stopped; /* by the visit, not by the table's end */
};

static bool take_entry(struct filling *filling, uint32_t uid, struct span record)
{
    struct entry_cursor *cursor = filling->cursor;
    struct entry_batch *batch = filling->batch;
    struct mailstore_entry *entry = &batch->entries[batch->count];

    if (!store_take_entry(record, cursor->box, uid, entry)) {
        cursor->is_adjacent = false;
        cursor->next = uid + 1;
        return true;
    }
    entry->prefix = arena_dup(&batch->arena, entry->prefix);
    batch->adjacent[batch->count++] = cursor->is_adjacent;
    cursor->is_adjacent = true;
    cursor->next = uid + 1;
    filling->passed = 0;
    return batch->count < STORE_BATCH;
}

static bool pass_entry(struct filling *filling, uint32_t next)
{
    struct entry_cursor *cursor = filling->cursor;

    cursor->is_adjacent = false;
    cursor->next = next;
    return ++filling->passed < PASSED_MOST;
}

static bool visit_record(void *context, struct span key, struct span record)
{
    struct filling *filling = context;
    struct entry_cursor *cursor = filling->cursor;
    uint32_t box, uid;
    bool goes_on = false;

    if (!key_read_entry(key, &box, &uid) || box != cursor->box || uid >= cursor->below)
        return false;
    while (cursor->at < cursor->count && cursor->ranges[cursor->at].last < uid)
        cursor->at++;
    if (cursor->at < cursor->count) {
        uint32_t first = cursor->ranges[cursor->at].first;
        goes_on = uid < first ? pass_entry(filling, first) : take_entry(filling, uid, record);
    }
    filling->is_stopped = !goes_on;
    return goes_on;
}

struct err entry_cursor_next(struct entry_cursor *cursor, struct kv_txn *txn,
                             struct entry_batch *batch)
{
    batch->count = 0;
    arena_fini(&batch->arena);
    while (cursor->at < cursor->count && batch->count < STORE_BATCH) {
        struct filling filling = {.cursor = cursor, .batch = batch};
        struct key from = key_of_entry(cursor->box, cursor->next);
        struct err e = kv_walk(txn, TABLE_ENTRY, key_span(&from), visit_record, &filling);
        if (err_is(e))
            return e;
        if (!filling.is_stopped)
            cursor->at = cursor->count;
    }
    return ERR_OK;
}

/* ---- removing ----------------------------------------------------------------------------- */

/* The rows of entries that lie side by side, in one go. */
static struct err end_run(struct removal *removal)
{
    uint32_t box = removal->row->box.id;
    struct key from = key_of_entry(box, removal->run_first), prefix = key_of_box(box);
    unsigned count = removal->run_count;
    bool more;

    removal->run_count = 0;
    if (count == 0)
        return ERR_OK;
    return kv_delete_range(removal->txn, TABLE_ENTRY, key_span(&from), key_span(&prefix), count,
                           &more);
}

/* Only UIDs that go now: no UID is in two ranges. */
static struct err end_range(struct removal *removal)
{
    struct key key = key_of_change(removal->row->box.id, removal->modseq, removal->range.first);
    char last[sizeof(uint32_t)];

    if (removal->range.first == 0)
        return ERR_OK;
    wire_put32(last, removal->range.last);
    removal->range.first = 0;
    removal->row->vanished++;
    return kv_put(removal->txn, TABLE_VANISHED, key_span(&key), span_of(last, sizeof last));
}

struct err removal_take(struct removal *removal, const struct mailstore_entry *entry,
                        bool is_adjacent)
{
    struct mailstore_box *box = &removal->row->box;
    struct err e = is_adjacent ? ERR_OK : end_run(removal);

    if (!err_is(e) && entry->uid != removal->range.last + 1)
        e = end_range(removal);
    if (!err_is(e) && !removal->is_whole)
        e = store_delete_change(removal->txn, box->id, entry->modseq, entry->uid);
    if (removal->run_count++ == 0)
        removal->run_first = entry->uid;
    if (removal->range.first == 0)
        removal->range.first = entry->uid;
    removal->range.last = entry->uid;
    removal->removed++;
    box->exists--;
    store_count_flags(box, entry->flags, -1);
    box->bytes -= entry->size;
    return e;
}

struct forgetting {
    uint32_t box;
    unsigned count;  /* rows to pass */
    uint64_t modseq; /* of the last one passed */
};

static bool visit_forgotten(void *context, struct span key, struct span value)
{
    struct forgetting *forgetting = context;
    uint32_t box, uid;

    (void)value;
    return forgetting->count-- > 0 && key_read_change(key, &box, &forgetting->modseq, &uid) &&
           box == forgetting->box;
}

struct err removal_forget(struct kv_txn *txn, struct box_row *row, uint64_t most, unsigned step)
{
    struct key from = key_of_box(row->box.id);
    bool more;

    if (row->vanished <= most)
        return ERR_OK;
    uint64_t surplus = row->vanished - most;
    unsigned count = surplus < step ? (unsigned)surplus : step;
    struct forgetting forgetting = {.box = row->box.id, .count = count};
    struct err e = kv_walk(txn, TABLE_VANISHED, key_span(&from), visit_forgotten, &forgetting);
    if (!err_is(e))
        e = kv_delete_range(txn, TABLE_VANISHED, key_span(&from), key_span(&from), count, &more);
    row->vanished -= count;
    row->box.vanished_from = forgetting.modseq + 1;
    return e;
}

struct err removal_end(struct removal *removal)
{
    struct key prefix = key_of_box(removal->row->box.id);
    struct box_row *row = removal->row;
    bool more = false;
    struct err e = end_run(removal);

    if (!err_is(e))
        e = end_range(removal);
    if (!err_is(e) && removal->is_whole)
        e = kv_delete_range(removal->txn, TABLE_CHANGE, key_span(&prefix), key_span(&prefix),
                            UINT32_MAX, &more);
    if (!err_is(e) && row->vanished > STORE_VANISHED_MOST)
        e = removal_forget(removal->txn, row, STORE_VANISHED_KEPT,
                           row->vanished - STORE_VANISHED_KEPT);
    return e;
}
