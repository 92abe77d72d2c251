/*
 * sync: what has become of the selected mailbox since the client was told last, read from the store
 * and told: EXPUNGE or VANISHED, EXISTS, RECENT, FLAGS, FETCH (RFC 9051 7, RFC 7162).
 *
 * All of it is gathered in one read transaction, and then told step by step, so that the numbers in
 * it are those of one state. Nothing else looks at the view in between.
 */
#include "plugins/drop/imap/session.h"
#include "plugins/drop/imap/write.h"

#include <stdlib.h>

enum { TELL_MOST = 100 /* lines of a step */ };

struct imap_scope imap_scope_of(const struct imap_session *s)
{
    return (struct imap_scope){.store = s->drop.worker->store,
                               .box = s->view.box,
                               .uids = s->view.uids,
                               .count = s->view.count,
                               .recent_from = s->view.recent_from,
                               .recent_end = s->view.recent_end,
                               .saved = s->saved,
                               .saved_count = s->saved_count};
}

bool imap_resolve(struct imap_session *s, const struct imap_set *set, struct mailstore_range **out,
                  unsigned *count_out)
{
    struct imap_scope scope = imap_scope_of(s);

    if (imap_set_resolve(set, s->command->is_uid, &scope, &s->arena, out, count_out))
        return true;
    imap_say_bad(s, "There is no message with such a number");
    return false;
}

void imap_tell_flags(struct imap_session *s, const struct mailstore_box *box)
{
    enum {
        ALL = MAILSTORE_SEEN | MAILSTORE_ANSWERED | MAILSTORE_FLAGGED | MAILSTORE_DELETED |
              MAILSTORE_DRAFT
    };
    struct buf *out = imap_out(s);

    buf_add(out, SPAN("* FLAGS ("));
    imap_write_flags(out, ALL, UINT64_MAX, box, false);
    buf_add(out, SPAN(")\r\n* OK [PERMANENTFLAGS ("));
    if (!s->view.is_read_only) {
        imap_write_flags(out, ALL, UINT64_MAX, box, false);
        if (box->keyword_count < MAILSTORE_KEYWORDS_MAX)
            buf_add(out, SPAN(" \\*"));
    }
    buf_add(out, SPAN(")] Flags that are kept\r\n"));
    imap_written(s);
    s->view.keywords_told = box->keyword_count;
}

bool imap_view_box(struct imap_session *s, struct kv_txn *txn, struct mailstore_box *out)
{
    struct err e = mailstore_box_get(txn, s->view.box, out);

    if (err_is(e)) {
        imap_bye(s,
                 e.kind == ERR_NOT_FOUND ? "The selected mailbox has been deleted"
                                         : "[UNAVAILABLE] The mailbox cannot be read",
                 "mailbox gone");
        return false;
    }
    if (out->keyword_count > s->view.keywords_told)
        imap_tell_flags(s, out);
    return true;
}

void imap_tell_entry(struct imap_session *s, uint32_t seq, const struct mailstore_entry *entry,
                     const struct mailstore_box *box, bool has_uid, bool has_flags)
{
    struct buf *out = imap_out(s);
    const char *between = "";

    buf_addf(out, "* %u FETCH (", seq);
    if (has_uid || imap_has(s, IMAP_ENABLE_QRESYNC) || imap_has(s, IMAP_ENABLE_REV2)) {
        buf_addf(out, "UID %u", entry->uid);
        between = " ";
    }
    if (has_flags) {
        buf_addf(out, "%sFLAGS (", between);
        imap_write_flags(out, entry->flags, entry->keywords, box,
                         view_is_recent(&s->view, entry->uid));
        buf_add(out, SPAN(")"));
        between = " ";
    }
    if (imap_has_condstore(s))
        buf_addf(out, "%sMODSEQ (%llu)", between, (unsigned long long)entry->modseq);
    buf_add(out, SPAN(")\r\n"));
    imap_written(s);
}

/* ---- gathering ---------------------------------------------------------------------------- */

static void *array_grow(void *array, unsigned count, unsigned *cap, size_t size)
{
    if (count < *cap)
        return array;
    *cap = *cap > 0 ? *cap * 2 : 16;
    return mem_realloc(array, *cap * size);
}

static bool on_vanished(void *context, uint64_t modseq, struct mailstore_range uids)
{
    struct imap_session *s = context;
    struct imap_sync *sync = s->sync;

    (void)modseq;
    uint32_t at = view_seek(&s->view, uids.first);
    if (at == s->view.count || s->view.uids[at] > uids.last)
        return true; /* it came and went without our telling of it */
    sync->vanished =
        array_grow(sync->vanished, sync->vanished_count, &sync->vanished_cap, sizeof uids);
    sync->vanished[sync->vanished_count++] = uids;
    return true;
}

static int by_uid_descending(const void *a, const void *b)
{
    const struct mailstore_range *x = a, *y = b;

    return x->last < y->last ? 1 : x->last > y->last ? -1 : 0;
}

/* In descending order, apart from each other: what vanished at one time may lie around what did at
 * another. */
static void put_in_order(struct imap_sync *sync)
{
    unsigned kept = 0;

    if (sync->vanished_count == 0)
        return;
    qsort(sync->vanished, sync->vanished_count, sizeof sync->vanished[0], by_uid_descending);
    for (unsigned i = 1; i < sync->vanished_count; i++) {
        struct mailstore_range *last = &sync->vanished[kept];
        struct mailstore_range range = sync->vanished[i];
        if (range.last < last->first) {
            sync->vanished[++kept] = range;
            continue;
        }
        if (range.first < last->first)
            last->first = range.first;
    }
    sync->vanished_count = kept + 1;
}

static bool on_changed(void *context, uint64_t modseq, uint32_t uid)
{
    struct imap_session *s = context;
    struct imap_sync *sync = s->sync;

    if (modseq == s->own_modseq || uid >= s->view.uid_next)
        return true;
    sync->changed = array_grow(sync->changed, sync->changed_count, &sync->changed_cap, sizeof uid);
    sync->changed[sync->changed_count++] = uid;
    return true;
}

static bool on_new(void *context, const struct mailstore_entry *entry)
{
    struct imap_session *s = context;

    view_add(&s->view, entry->uid);
    s->sync->is_growing = true;
    return true;
}

static struct err gather(struct imap_session *s, struct kv_txn *txn,
                         const struct mailstore_box *box)
{
    struct imap_sync *sync = s->sync;
    struct err e = mailstore_change_walk(txn, s->view.box, s->view.changed, on_changed, s);

    if (!err_is(e) && sync->has_expunges && s->view.vanished < sync->modseq)
        e = mailstore_vanished_walk(txn, s->view.box, s->view.vanished, on_vanished, s);
    if (!err_is(e) && sync->uid_next > s->view.uid_next)
        e = mailstore_entry_walk(txn, s->view.box, s->view.uid_next, on_new, s);
    if (err_is(e))
        return e;
    put_in_order(sync);
    if (sync->uid_next > s->view.uid_next)
        imap_take_recent(s, box);
    s->view.uid_next = sync->uid_next;
    s->view.changed = sync->modseq;
    if (sync->has_expunges)
        s->view.vanished = sync->modseq;
    return ERR_OK;
}

/* ---- telling ------------------------------------------------------------------------------ */

static void sync_free(struct imap_session *s)
{
    free(s->sync->vanished);
    free(s->sync->changed);
    s->sync = NULL;
}

void imap_sync_abandon(struct imap_session *s)
{
    if (s->sync != NULL)
        sync_free(s);
}

static void tell_vanished(struct imap_session *s)
{
    struct imap_set_writer set = {0};
    struct imap_sync *sync = s->sync;
    struct buf *out = imap_out(s);

    buf_add(out, SPAN("* VANISHED "));
    for (unsigned i = sync->vanished_count; i-- > 0;) {
        uint32_t at = view_seek(&s->view, sync->vanished[i].first);
        for (; at < s->view.count && s->view.uids[at] <= sync->vanished[i].last; at++)
            imap_set_add(&set, out, s->view.uids[at], s->view.uids[at]);
    }
    imap_set_end(&set, out);
    buf_add(out, SPAN("\r\n"));
    imap_written(s);
    sync->vanished_at = sync->vanished_count;
}

/* From the last to the first, so that each leaves the numbers of the next ones as they are. */
static void tell_expunged(struct imap_session *s)
{
    struct imap_sync *sync = s->sync;
    struct buf *out = imap_out(s);

    for (unsigned told = 0; told < TELL_MOST && sync->vanished_at < sync->vanished_count;) {
        const struct mailstore_range *range = &sync->vanished[sync->vanished_at];
        if (sync->at == 0 && range->last < UINT32_MAX)
            sync->at = view_seek(&s->view, range->last + 1);
        if (sync->at == 0 || s->view.uids[sync->at - 1] < range->first) {
            sync->vanished_at++;
            sync->at = 0;
            continue;
        }
        buf_addf(out, "* %u EXPUNGE\r\n", sync->at--);
        told++;
        if (sync->at == 0)
            sync->vanished_at = sync->vanished_count;
    }
    imap_written(s);
}

static void tell_growth(struct imap_session *s)
{
    struct buf *out = imap_out(s);
    uint32_t recent = view_recent(&s->view);

    if (s->sync->is_growing)
        buf_addf(out, "* %u EXISTS\r\n", s->view.count);
    if (recent != s->view.recent_told && !imap_has(s, IMAP_ENABLE_REV2))
        buf_addf(out, "* %u RECENT\r\n", recent);
    s->view.recent_told = recent;
    s->sync->is_growing = false;
    imap_written(s);
}

static void tell_changed(struct imap_session *s)
{
    struct imap_sync *sync = s->sync;
    bool has_uid = s->command != NULL && s->command->is_uid;
    struct mailstore_box box;
    struct mailstore_entry entry;
    struct kv_txn *txn;

    if (err_is(mailstore_read_begin(s->drop.worker->store, &txn))) {
        sync->changed_at = sync->changed_count;
        return;
    }
    if (imap_view_box(s, txn, &box))
        for (unsigned i = 0; i < TELL_MOST && sync->changed_at < sync->changed_count; i++) {
            uint32_t uid = sync->changed[sync->changed_at++];
            uint32_t seq = view_find(&s->view, uid);
            if (seq > 0 && !err_is(mailstore_entry_get(txn, box.id, uid, &entry)))
                imap_tell_entry(s, seq, &entry, &box, has_uid, true);
        }
    mailstore_read_end(txn);
}

static void sync_step(struct imap_session *s)
{
    struct imap_sync *sync = s->sync;

    if (sync->vanished_at < sync->vanished_count) {
        if (imap_has(s, IMAP_ENABLE_QRESYNC))
            tell_vanished(s);
        else
            tell_expunged(s);
        if (sync->vanished_at < sync->vanished_count)
            return;
        view_remove(&s->view, sync->vanished, sync->vanished_count);
    } else if (sync->is_growing || view_recent(&s->view) != s->view.recent_told) {
        tell_growth(s);
    } else if (sync->changed_at < sync->changed_count) {
        tell_changed(s);
    } else {
        sync_free(s);
        imap_synced(s);
    }
}

/* ---- starting ----------------------------------------------------------------------------- */

static void sync_gather(struct imap_session *s)
{
    struct mailstore_box box;
    struct kv_txn *txn;
    struct err e = mailstore_read_begin(s->drop.worker->store, &txn);

    if (!err_is(e)) {
        if (imap_view_box(s, txn, &box)) {
            s->sync->modseq = box.highest_modseq;
            s->sync->uid_next = box.uid_next;
            e = gather(s, txn, &box);
        }
        mailstore_read_end(txn);
    }
    if (err_is(e))
        log_failure(LOG_ERROR, "imap-sync-failed", e, "user", s->drop.user);
    imap_write_on(s, sync_step);
}

static bool is_news(const struct imap_session *s, const struct mailstore_box *box)
{
    return box->uid_next > s->view.uid_next || box->highest_modseq > s->view.changed ||
           (s->sync->has_expunges && box->highest_modseq > s->view.vanished);
}

void imap_sync_start(struct imap_session *s, bool has_expunges)
{
    struct mailstore_box box;
    struct kv_txn *txn;

    if (!imap_is_selected(s) || err_is(mailstore_read_begin(s->drop.worker->store, &txn))) {
        imap_synced(s);
        return;
    }
    bool is_there = imap_view_box(s, txn, &box);
    mailstore_read_end(txn);
    if (!is_there)
        return;
    s->sync = arena_alloc(&s->arena, sizeof *s->sync);
    s->sync->has_expunges = has_expunges;
    if (!is_news(s, &box)) {
        sync_free(s);
        imap_synced(s);
    } else {
        sync_gather(s);
    }
}
