/*
 * SELECT and EXAMINE (RFC 9051 6.3.2), with what QRESYNC adds (RFC 7162 3.2.5); CLOSE and UNSELECT.
 *
 * The view is read in steps, as far as the mailbox went at the first of them. What changes
 * meanwhile is told behind, as any change is.
 */
#include "plugins/drop/imap/session.h"
#include "plugins/drop/imap/write.h"

#include <stdlib.h>

enum { ENTRIES_MOST = 5000 /* of a step */ };

struct select {
    struct imap_session *session;
    uint32_t next;   /* UID */
    uint32_t left;   /* entries of this step */
    uint32_t unseen; /* sequence number of the first; 0 = none */
};

static struct span wanted_name(const struct imap_session *s)
{
    return s->command->select.name;
}

/* ---- telling ------------------------------------------------------------------------------ */

static void tell_counts(struct imap_session *s, const struct mailstore_box *box)
{
    const struct select *job = s->job;
    struct buf *out = imap_out(s);

    buf_addf(out, "* %u EXISTS\r\n", s->view.count);
    s->view.recent_told = view_recent(&s->view);
    if (!imap_has(s, IMAP_ENABLE_REV2)) {
        buf_addf(out, "* %u RECENT\r\n", s->view.recent_told);
        if (job->unseen > 0)
            buf_addf(out, "* OK [UNSEEN %u] First unseen\r\n", job->unseen);
    }
    buf_addf(out, "* OK [UIDVALIDITY %u] UIDs are valid\r\n", s->view.uid_validity);
    buf_addf(out, "* OK [UIDNEXT %u] Predicted next UID\r\n", s->view.uid_next);
    buf_addf(out, "* OK [HIGHESTMODSEQ %llu] Highest\r\n", (unsigned long long)s->view.changed);
    buf_addf(out, "* OK [MAILBOXID (B%u)] Id of the mailbox\r\n", box->id);
    if (imap_has(s, IMAP_ENABLE_REV2)) {
        buf_add(out, SPAN("* LIST () \"/\" "));
        imap_write_mailbox(out, box->name, true);
        buf_add(out, SPAN("\r\n"));
    }
    imap_written(s);
}

static void selected(struct imap_session *s)
{
    struct mailstore_box box;
    struct kv_txn *txn;

    if (!imap_read_begin(s, &txn))
        return;
    bool is_there = imap_view_box(s, txn, &box);
    if (is_there) {
        imap_tell_flags(s, &box);
        tell_counts(s, &box);
    }
    mailstore_read_end(txn);
    if (!is_there)
        return;
    if (s->command->select.has_qresync)
        imap_resync(s);
    imap_finish(s, IMAP_OK, s->view.is_read_only ? "READ-ONLY" : "READ-WRITE", "Selected");
}

/* ---- reading ------------------------------------------------------------------------------ */

static bool on_entry(void *context, const struct mailstore_entry *entry)
{
    struct select *job = context;

    struct imap_view *view = &job->session->view;

    if (entry->uid >= view->uid_next)
        return false;
    view_add(view, entry->uid);
    job->next = entry->uid + 1;
    if (job->unseen == 0 && (entry->flags & MAILSTORE_SEEN) == 0)
        job->unseen = view->count;
    return --job->left > 0;
}

/* The view is whole. */
static void take_view(struct imap_session *s)
{
    s->view.keywords_told = MAILSTORE_KEYWORDS_MAX; /* they are told at once */
    if (s->command->select.condstore || s->command->select.has_qresync)
        s->enabled |= IMAP_ENABLE_CONDSTORE;
    selected(s);
}

static void read_step(struct imap_session *s)
{
    struct select *job = s->job;
    struct kv_txn *txn;
    struct err e = mailstore_read_begin(s->drop.worker->store, &txn);

    job->left = ENTRIES_MOST;
    if (!err_is(e)) {
        e = mailstore_entry_walk(txn, s->view.box, job->next, on_entry, job);
        mailstore_read_end(txn);
    }
    if (err_is(e)) {
        view_fini(&s->view);
        imap_fail(s, e);
    } else if (job->left > 0) {
        take_view(s);
    }
}

static struct err find(struct imap_session *s, struct mailstore_box *box)
{
    struct kv_txn *txn;
    struct err e = mailstore_read_begin(s->drop.worker->store, &txn);

    if (err_is(e))
        return e;
    e = mailstore_box_find(txn, imap_user(s), wanted_name(s), box);
    mailstore_read_end(txn);
    return e;
}

void imap_do_select(struct imap_session *s)
{
    struct select *job = arena_alloc(&s->arena, sizeof *job);
    struct mailstore_box box;

    if (s->command->select.has_qresync && !imap_has(s, IMAP_ENABLE_QRESYNC)) {
        imap_say_bad(s, "Enable QRESYNC first");
        return;
    }
    imap_unselect(s); /* also where this one fails (RFC 9051 6.3.2) */
    struct err e = find(s, &box);
    if (err_is(e)) {
        imap_fail_to_find(s, e);
        return;
    }
    s->job = job;
    job->session = s;
    job->next = 1;
    bool is_read_only = s->command->verb == IMAP_EXAMINE;
    s->view = (struct imap_view){.box = box.id,
                                 .is_read_only = is_read_only,
                                 .uid_validity = box.uid_validity,
                                 .uid_next = box.uid_next,
                                 .changed = box.highest_modseq,
                                 .vanished = box.highest_modseq,
                                 .recent_from = mailstore_recent_from(s->drop.worker->store, &box),
                                 .recent_end = is_read_only ? box.uid_next : 0};
    imap_take_recent(s, &box);
    imap_write_on(s, read_step);
}

void imap_unselect(struct imap_session *s)
{
    if (!imap_is_selected(s))
        return;
    imap_watch_end(s);
    view_fini(&s->view);
    free(s->saved);
    s->saved = NULL;
    s->saved_count = 0;
    if ((s->command->verb == IMAP_SELECT || s->command->verb == IMAP_EXAMINE) &&
        (imap_has(s, IMAP_ENABLE_QRESYNC) || imap_has(s, IMAP_ENABLE_REV2)))
        imap_untagged(s, "OK [CLOSED] The mailbox before is closed");
}

void imap_do_unselect(struct imap_session *s)
{
    imap_unselect(s);
    imap_say_ok(s, "Unselected");
}

/* ---- CLOSE -------------------------------------------------------------------------------- */

static void closed(struct imap_session *s)
{
    if (!imap_is_done(s, &s->operation->op, NULL))
        return;
    imap_unselect(s);
    imap_say_ok(s, "Closed");
}

void imap_do_close(struct imap_session *s)
{
    if (s->view.is_read_only) {
        imap_unselect(s);
        imap_say_ok(s, "Closed");
        return;
    }
    struct imap_operation *operation = imap_operation_create(s, MAILSTORE_EXPUNGE);
    operation->expunge.box = s->view.box;
    imap_submit(s, operation, closed);
}
