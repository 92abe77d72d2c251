/*
 * FETCH (RFC 9051 6.4.5): which messages, and the command's course. What makes messages \Seen does
 * so before anything is told, so that the flags told are those of the store.
 */
#include "plugins/drop/imap/fetch.h"

#include "plugins/drop/imap/write.h"

#include <stdlib.h>

enum { MESSAGES_MOST = 50 /* of a step */ };

/* ---- the end ------------------------------------------------------------------------------ */

static void fetched(struct imap_session *s)
{
    const struct fetch *job = s->job;

    if (job->is_broken)
        imap_say_no(s, "SERVERBUG", "Some messages could not be read");
    else if (job->is_opaque)
        imap_say_no(s, "UNKNOWN-CTE", "The encoding of some parts is not known, or broken");
    else if (job->is_missing)
        imap_finish(s, IMAP_OK, "EXPUNGEISSUED", "Some messages are there no longer");
    else
        imap_say_ok(s, "Fetched");
}

/* ---- bytes from the disk ------------------------------------------------------------------ */

static bool on_touched(void *context, struct span bytes)
{
    (void)context;
    (void)bytes;
    return true;
}

static void bring(struct work *work)
{
    struct fetch *job = container_of(work, struct fetch, work);
    struct kv_txn *txn;

    if (err_is(mailstore_read_begin(job->session->drop.worker->store, &txn)))
        return;
    struct err e = mailstore_content_walk(txn, job->message, job->wanted.at,
                                          job->wanted.end - job->wanted.at, on_touched, NULL);
    mailstore_read_end(txn);
    (void)e; /* who reads them will see it, too */
}

static void fetch_step(struct imap_session *s);

static void on_brought(struct call *call)
{
    struct fetch *job = container_of(call, struct fetch, work.call);
    struct imap_session *s = job->session;

    s->pending--;
    if (s->state == IMAP_SESSION_CLOSED) {
        imap_release(s);
        return;
    }
    job->is_brought = true;
    imap_write_on(s, fetch_step);
    imap_run(s);
}

void fetch_bring(struct imap_session *s, uint64_t message, struct fetch_range wanted)
{
    struct fetch *job = s->job;

    job->message = message;
    job->wanted = wanted;
    job->work = (struct work){.run = bring, .call.done = on_brought};
    list_init(&job->work.call.link);
    s->pending++;
    imap_enter(s, IMAP_SESSION_DISK);
    loop_work(s->drop.worker->loop, &job->work);
}

/* ---- one message -------------------------------------------------------------------------- */

static bool is_changed_by_us(const struct imap_session *s, const struct mailstore_entry *entry)
{
    return s->own_modseq != 0 && entry->modseq == s->own_modseq;
}

static bool has_item(const struct imap_session *s, enum imap_item item)
{
    const struct imap_fetch *fetch = &s->command->fetch;

    for (unsigned i = 0; i < fetch->item_count; i++)
        if (fetch->items[i].item == item)
            return true;
    return false;
}

/* What belongs in front of the items though it was not asked for. */
static void begin_message(struct imap_session *s, struct fetch_message *m)
{
    const struct fetch *job = s->job;
    bool is_changed = is_changed_by_us(s, &m->entry);
    struct imap_fetch_item extra = {.item = IMAP_ITEM_UID};
    struct buf *out = imap_out(s);

    buf_addf(out, "* %u FETCH (", job->seq);
    size_t before = buf_len(out);
    if (job->needs_uid ||
        (is_changed && imap_has(s, IMAP_ENABLE_QRESYNC) && !has_item(s, IMAP_ITEM_UID)))
        fetch_item(s, m, &extra);
    if (is_changed && !has_item(s, IMAP_ITEM_FLAGS)) {
        extra.item = IMAP_ITEM_FLAGS;
        buf_add_text(out, buf_len(out) > before ? " " : "");
        fetch_item(s, m, &extra);
    }
    if (job->needs_modseq ||
        (is_changed && imap_has_condstore(s) && !has_item(s, IMAP_ITEM_MODSEQ))) {
        extra.item = IMAP_ITEM_MODSEQ;
        buf_add_text(out, buf_len(out) > before ? " " : "");
        fetch_item(s, m, &extra);
    }
    if (buf_len(out) > before)
        buf_add(out, SPAN(" "));
}

static enum fetch_result tell_message(struct imap_session *s, struct fetch_message *m)
{
    const struct imap_fetch *fetch = &s->command->fetch;
    struct fetch *job = s->job;
    struct buf *out = imap_out(s);

    if (!job->is_within)
        begin_message(s, m);
    job->is_within = true;
    while (job->item < fetch->item_count) {
        enum fetch_result result = fetch_item(s, m, &fetch->items[job->item]);
        if (result == FETCH_BROKEN)
            job->is_broken = true;
        else if (result != FETCH_DONE)
            return result;
        buf_add_text(out, ++job->item < fetch->item_count ? " " : ")\r\n");
    }
    job->is_within = false;
    job->item = 0;
    imap_written(s);
    return FETCH_DONE;
}

/* What of a message is told later is told of it as it was, though it may be gone by then. */
static void hold(struct fetch *job, const struct mailstore_entry *entry)
{
    if (entry == &job->held)
        return;
    job->held = *entry;
    job->held.prefix = span_of(job->prefix, entry->prefix.len);
    memcpy(job->prefix, entry->prefix.ptr, entry->prefix.len);
}

/* ---- one after the other ------------------------------------------------------------------ */

/* The next one of the set that is in the view; false at the end. */
static bool find_next(struct imap_session *s)
{
    struct fetch *job = s->job;

    for (; job->range < job->uid_count; job->range++) {
        const struct mailstore_range *range = &job->uids[job->range];
        uint32_t from = job->next > range->first ? job->next : range->first;
        uint32_t i = view_seek(&s->view, from);
        if (i < s->view.count && s->view.uids[i] <= range->last) {
            job->uid = s->view.uids[i];
            job->seq = i + 1;
            job->next = job->uid + 1;
            return true;
        }
    }
    return false;
}

static bool is_wanted(const struct imap_session *s, const struct mailstore_entry *entry)
{
    uint64_t since = s->command->fetch.changed_since;

    return since == UINT64_MAX || entry->modseq > since;
}

/* False where the step is over: at the end, or where something has to come first. */
static bool fetch_next(struct imap_session *s, struct kv_txn *txn, const struct mailstore_box *box)
{
    struct fetch *job = s->job;
    struct fetch_message m = {.txn = txn, .box = box};

    if (job->is_within) {
        m.entry = job->held;
    } else if (!find_next(s)) {
        job->is_over = true;
        return false;
    } else if (err_is(mailstore_entry_get(txn, box->id, job->uid, &m.entry))) {
        job->is_missing = true;
        return true;
    } else if (!is_wanted(s, &m.entry)) {
        return true;
    }
    switch (tell_message(s, &m)) {
    case FETCH_DONE:
    case FETCH_BROKEN:
        return !conn_is_congested(s->drop.conn);
    case FETCH_ROOM:
    case FETCH_DISK:
        hold(job, &m.entry);
        return false;
    case FETCH_CUT:
        imap_cut(s, "message unreadable");
        return false;
    }
    return false;
}

static void fetch_step(struct imap_session *s)
{
    const struct fetch *job = s->job;
    struct mailstore_box box;
    struct kv_txn *txn;
    struct err e = mailstore_read_begin(s->drop.worker->store, &txn);

    if (err_is(e)) {
        if (job->is_within)
            imap_cut(s, "message unreadable");
        else
            imap_fail(s, e);
        return;
    }
    /* Nothing may come between the pieces of one message. */
    bool is_there = job->is_within ? !err_is(mailstore_box_get(txn, s->view.box, &box))
                                   : imap_view_box(s, txn, &box);
    for (unsigned i = 0; is_there && i < MESSAGES_MOST; i++)
        if (!fetch_next(s, txn, &box))
            break;
    mailstore_read_end(txn);
    if (!is_there)
        imap_cut(s, "mailbox gone");
    else if (job->is_over && s->state != IMAP_SESSION_CLOSED)
        fetched(s);
}

/* ---- \Seen -------------------------------------------------------------------------------- */

static bool on_maybe_unseen(void *context, const struct mailstore_entry *entry)
{
    struct fetch *job = context;
    const struct mailstore_range *range = &job->uids[job->range];

    if (entry->uid > range->last)
        return false;
    if ((entry->flags & MAILSTORE_SEEN) != 0 || !is_wanted(job->session, entry))
        return true;
    struct mailstore_range *last =
        job->unseen_count > 0 ? &job->unseen[job->unseen_count - 1] : NULL;
    if (last != NULL && last->last == entry->uid - 1) {
        last->last = entry->uid;
        return true;
    }
    if (job->unseen_count == job->unseen_cap) {
        job->unseen_cap = job->unseen_cap > 0 ? job->unseen_cap * 2 : 8;
        job->unseen = mem_realloc(job->unseen, job->unseen_cap * sizeof *job->unseen);
    }
    job->unseen[job->unseen_count++] = (struct mailstore_range){entry->uid, entry->uid};
    return true;
}

static struct err find_unseen(struct imap_session *s)
{
    struct fetch *job = s->job;
    struct kv_txn *txn;
    struct err e = mailstore_read_begin(s->drop.worker->store, &txn);

    if (err_is(e))
        return e;
    for (job->range = 0; job->range < job->uid_count && !err_is(e); job->range++)
        e = mailstore_entry_walk(txn, s->view.box, job->uids[job->range].first, on_maybe_unseen,
                                 job);
    job->range = 0;
    mailstore_read_end(txn);
    return e;
}

/* Where that could not be stored the messages are told all the same. */
static void on_seen(struct imap_session *s)
{
    struct fetch *job = s->job;
    const struct mailstore_store *store = &s->operation->store;

    if (!err_is(store->op.result) && store->op.refusal == MAILSTORE_FINE)
        s->own_modseq = store->modseq;
    free(store->modified);
    free(job->unseen);
    job->unseen = NULL;
    imap_write_on(s, fetch_step);
}

static void set_seen(struct imap_session *s)
{
    struct fetch *job = s->job;
    struct err e = find_unseen(s);

    if (err_is(e) || job->unseen_count == 0) {
        free(job->unseen);
        job->unseen = NULL;
        imap_write_on(s, fetch_step);
        return;
    }
    struct imap_operation *operation = imap_operation_create(s, MAILSTORE_STORE);
    operation->store.box = s->view.box;
    operation->store.uids = job->unseen;
    operation->store.uid_count = job->unseen_count;
    operation->store.change = MAILSTORE_ADD;
    operation->store.flags = MAILSTORE_SEEN;
    operation->store.unchanged_since = UINT64_MAX;
    imap_submit(s, operation, on_seen);
}

/* ---- the command -------------------------------------------------------------------------- */

static bool sets_seen(const struct imap_session *s)
{
    const struct imap_fetch *fetch = &s->command->fetch;

    for (unsigned i = 0; i < fetch->item_count && !s->view.is_read_only; i++)
        if (fetch->items[i].item == IMAP_ITEM_SECTION && !fetch->items[i].is_peek &&
            fetch->items[i].form != IMAP_FORM_BINARY_SIZE)
            return true;
    return false;
}

void imap_do_fetch(struct imap_session *s)
{
    const struct imap_fetch *fetch = &s->command->fetch;
    struct fetch *job = arena_alloc(&s->arena, sizeof *job);

    if (fetch->vanished && (!imap_has(s, IMAP_ENABLE_QRESYNC) || !s->command->is_uid)) {
        imap_say_bad(s, "VANISHED is for UID FETCH, with QRESYNC enabled");
        return;
    }
    if (!imap_resolve(s, &fetch->set, &job->uids, &job->uid_count))
        return;
    s->job = job;
    job->session = s;
    job->needs_uid = s->command->is_uid && !has_item(s, IMAP_ITEM_UID);
    if (fetch->changed_since != UINT64_MAX || has_item(s, IMAP_ITEM_MODSEQ)) {
        imap_use_condstore(s);
        job->needs_modseq = !has_item(s, IMAP_ITEM_MODSEQ);
    }
    if (fetch->vanished)
        imap_tell_vanished(s, fetch->changed_since, &fetch->set);
    if (sets_seen(s))
        set_seen(s);
    else
        imap_write_on(s, fetch_step);
}
