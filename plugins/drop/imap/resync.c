/*
 * What a client missed while it was away (RFC 7162 3.2): VANISHED (EARLIER), for SELECT with
 * QRESYNC and for UID FETCH with VANISHED.
 */
#include "plugins/drop/imap/session.h"
#include "plugins/drop/imap/write.h"

#include <stdlib.h>

struct ranges {
    struct mailstore_range *at; /* on the heap */
    unsigned count;
    unsigned cap;
    uint64_t until; /* what vanished later is told as any change is */
};

static void add(struct ranges *ranges, struct mailstore_range range)
{
    if (ranges->count == ranges->cap) {
        ranges->cap = ranges->cap > 0 ? ranges->cap * 2 : 16;
        ranges->at = mem_realloc(ranges->at, ranges->cap * sizeof ranges->at[0]);
    }
    ranges->at[ranges->count++] = range;
}

static bool on_vanished(void *context, uint64_t modseq, struct mailstore_range uids)
{
    struct ranges *ranges = context;

    if (modseq <= ranges->until)
        add(ranges, uids);
    return true;
}

/* All that there were and that are no more: where it is not known since when. */
static void add_missing(const struct imap_session *s, struct ranges *gone)
{
    uint32_t next = 1;

    for (uint32_t i = 0; i < s->view.count; i++) {
        uint32_t uid = s->view.uids[i];
        if (uid > next)
            add(gone, (struct mailstore_range){next, uid - 1});
        next = uid + 1;
    }
    if (next < s->view.uid_next)
        add(gone, (struct mailstore_range){next, s->view.uid_next - 1});
}

static struct err find_gone(struct imap_session *s, uint64_t since, struct ranges *gone)
{
    struct mailstore_box box;
    struct kv_txn *txn;
    struct err e = mailstore_read_begin(s->drop.worker->store, &txn);

    if (err_is(e))
        return e;
    e = mailstore_box_get(txn, s->view.box, &box);
    if (!err_is(e) && since < box.vanished_from)
        add_missing(s, gone);
    else if (!err_is(e))
        e = mailstore_vanished_walk(txn, s->view.box, since, on_vanished, gone);
    mailstore_read_end(txn);
    return e;
}

static int by_first(const void *a, const void *b)
{
    const struct mailstore_range *x = a, *y = b;

    return x->first < y->first ? -1 : x->first > y->first;
}

/* In the order of UIDs; "*" is the last one that there can be. */
static struct ranges put_in_order(const struct imap_session *s, const struct imap_set *set)
{
    struct ranges known = {.count = 0};
    uint32_t star = s->view.uid_next > 1 ? s->view.uid_next - 1 : 1;

    if (set->count == 0 && !set->is_saved)
        add(&known, (struct mailstore_range){1, star});
    for (unsigned i = 0; i < (set->is_saved ? s->saved_count : set->count); i++) {
        struct mailstore_range range = set->is_saved ? s->saved[i] : set->ranges[i];
        uint32_t a = range.first == UINT32_MAX ? star : range.first;
        uint32_t b = range.last == UINT32_MAX ? star : range.last;
        add(&known, a < b ? (struct mailstore_range){a, b} : (struct mailstore_range){b, a});
    }
    qsort(known.at, known.count, sizeof known.at[0], by_first);
    return known;
}

/* What is in both, each UID once. */
static bool write_common(const struct ranges *gone, const struct ranges *known, struct buf *out)
{
    struct imap_set_writer set = {0};
    uint32_t next = 1;
    bool has_any = false;

    for (unsigned g = 0, k = 0; g < gone->count && k < known->count;) {
        const struct mailstore_range *a = &gone->at[g], *b = &known->at[k];
        uint32_t first = a->first > b->first ? a->first : b->first;
        uint32_t last = a->last < b->last ? a->last : b->last;
        if (first < next)
            first = next;
        if (first <= last) {
            imap_set_add(&set, out, first, last);
            has_any = true;
            next = last + 1;
        }
        if (a->last < b->last)
            g++;
        else
            k++;
    }
    imap_set_end(&set, out);
    return has_any;
}

void imap_tell_vanished(struct imap_session *s, uint64_t since, const struct imap_set *set)
{
    struct ranges gone = {.until = s->view.vanished};
    struct ranges known = put_in_order(s, set);
    struct err e = find_gone(s, since, &gone);
    struct buf uids;

    if (err_is(e))
        log_failure(LOG_ERROR, "imap-resync-failed", e, "user", s->drop.user);
    if (gone.count > 1)
        qsort(gone.at, gone.count, sizeof gone.at[0], by_first);
    buf_init(&uids, 0);
    if (write_common(&gone, &known, &uids)) {
        struct buf *out = imap_out(s);
        buf_add(out, SPAN("* VANISHED (EARLIER) "));
        buf_add(out, buf_span(&uids));
        buf_add(out, SPAN("\r\n"));
        imap_written(s);
    }
    buf_fini(&uids);
    free(gone.at);
    free(known.at);
}

/* Flags that have changed since are told as any change is, with the end of the command. */
void imap_resync(struct imap_session *s)
{
    const struct imap_select *wanted = &s->command->select;

    if (wanted->uid_validity != s->view.uid_validity || wanted->modseq >= s->view.changed)
        return;
    imap_tell_vanished(s, wanted->modseq, &wanted->known_uids);
    s->view.changed = wanted->modseq;
}
