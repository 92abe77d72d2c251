/*
 * What changes messages: STORE (RFC 9051 6.4.6, RFC 7162 3.1.3), COPY and MOVE (RFC 4315, RFC
 * 6851), EXPUNGE.
 */
#include "plugins/drop/imap/session.h"
#include "plugins/drop/imap/write.h"

#include <stdlib.h>

enum { TELL_MOST = 100 /* lines of a step */ };

static bool refuses_changes(struct imap_session *s)
{
    if (s->view.is_read_only)
        imap_say_no(s, "READ-ONLY", "The mailbox is selected for reading only");
    return s->view.is_read_only;
}

/* ---- STORE -------------------------------------------------------------------------------- */

struct change {
    struct mailstore_range *uids;
    unsigned uid_count;
    unsigned at;        /* of the ranges */
    uint32_t next;      /* UID, within that */
    bool has_flags;     /* what is told of each */
    uint64_t modseq;    /* up to which the client had been told before */
    const char *ending; /* MODIFIED, and which */
};

static void store_over(struct imap_session *s)
{
    const struct change *job = s->job;

    imap_finish(s, IMAP_OK, job->ending, "Flags stored");
}

/* The lines of a set's messages; of those that are silent only what was changed now. */
static void tell_some(struct imap_session *s, struct kv_txn *txn, const struct mailstore_box *box)
{
    struct change *job = s->job;
    struct mailstore_entry entry;

    for (unsigned told = 0; told < TELL_MOST && job->at < job->uid_count;) {
        const struct mailstore_range *range = &job->uids[job->at];
        uint32_t i = view_seek(&s->view, job->next > range->first ? job->next : range->first);
        if (i == s->view.count || s->view.uids[i] > range->last) {
            job->at++;
            continue;
        }
        uint32_t uid = s->view.uids[i];
        job->next = uid + 1;
        told++;
        if (err_is(mailstore_entry_get(txn, box->id, uid, &entry)))
            continue;
        if (job->has_flags || entry.modseq == s->own_modseq)
            imap_tell_entry(s, i + 1, &entry, box, s->command->is_uid, job->has_flags);
    }
}

static void tell_step(struct imap_session *s)
{
    const struct change *job = s->job;
    struct mailstore_box box;
    struct kv_txn *txn;

    if (!imap_read_begin(s, &txn))
        return;
    if (imap_view_box(s, txn, &box))
        tell_some(s, txn, &box);
    mailstore_read_end(txn);
    if (job->at == job->uid_count)
        store_over(s);
}

static int by_uid(const void *a, const void *b)
{
    const uint32_t *x = a, *y = b;

    return *x < *y ? -1 : *x > *y;
}

/* RFC 7162 3.1.3: in sequence numbers, or UIDs of UID STORE. */
static const char *modified_code(struct imap_session *s, const struct mailstore_store *store)
{
    struct imap_set_writer set = {0};
    struct buf text;

    qsort(store->modified, store->modified_count, sizeof store->modified[0], by_uid);
    buf_init(&text, 0);
    buf_add(&text, SPAN("MODIFIED "));
    for (unsigned i = 0; i < store->modified_count; i++) {
        uint32_t uid = store->modified[i];
        uint32_t number = s->command->is_uid ? uid : view_find(&s->view, uid);
        if (number > 0)
            imap_set_add(&set, &text, number, number);
    }
    imap_set_end(&set, &text);
    const char *code = arena_dup(&s->arena, buf_span(&text)).ptr;
    buf_fini(&text);
    return code;
}

/*
 * A silent STORE tells no flags (with CONDSTORE only the new modification sequence), unless
 * somebody else has changed something since the client was told last: then its idea of the flags
 * may be wrong, and it is told of all.
 */
static void stored(struct imap_session *s)
{
    struct mailstore_store *store = &s->operation->store;
    struct change *job = s->job;

    if (!imap_is_done(s, &store->op, NULL))
        return;
    if (store->modified_count > 0)
        job->ending = modified_code(s, store);
    free(store->modified);
    bool is_alone = store->modseq == 0 || store->modseq == job->modseq + 1;
    job->has_flags = !s->command->store.is_silent;
    if (job->has_flags || is_alone)
        s->own_modseq = store->modseq;
    if (job->has_flags || (is_alone && imap_has_condstore(s) && store->modseq > 0))
        imap_write_on(s, tell_step);
    else
        store_over(s);
}

void imap_do_store(struct imap_session *s)
{
    const struct imap_store *wanted = &s->command->store;
    struct change *job = arena_alloc(&s->arena, sizeof *job);

    if (refuses_changes(s) || !imap_resolve(s, &wanted->set, &job->uids, &job->uid_count))
        return;
    if (wanted->unchanged_since != UINT64_MAX)
        imap_use_condstore(s);
    s->job = job;
    job->modseq = s->view.changed;
    struct imap_operation *operation = imap_operation_create(s, MAILSTORE_STORE);
    operation->store.box = s->view.box;
    operation->store.uids = job->uids;
    operation->store.uid_count = job->uid_count;
    operation->store.change = wanted->change;
    operation->store.flags = wanted->flags.flags;
    operation->store.keywords = wanted->flags.keywords;
    operation->store.keyword_count = wanted->flags.keyword_count;
    operation->store.unchanged_since = wanted->unchanged_since;
    imap_submit(s, operation, stored);
}

/* ---- COPY and MOVE ------------------------------------------------------------------------ */

static void write_uids(struct buf *out, const uint32_t *uids, unsigned count)
{
    struct imap_set_writer set = {0};

    for (unsigned i = 0; i < count; i++)
        imap_set_add(&set, out, uids[i], uids[i]);
    imap_set_end(&set, out);
}

static void write_copyuid(struct buf *out, const struct mailstore_copy *copy)
{
    buf_addf(out, "COPYUID %u ", copy->uid_validity);
    write_uids(out, copy->from_uids, copy->copied);
    buf_add(out, SPAN(" "));
    write_uids(out, copy->to_uids, copy->copied);
}

/* RFC 6851 4.3: of a MOVE it is told before the EXPUNGEs. */
static void copied(struct imap_session *s)
{
    struct mailstore_copy *copy = &s->operation->copy;
    struct buf code;

    if (!imap_is_done(s, &copy->op, "TRYCREATE"))
        return;
    buf_init(&code, 0);
    if (copy->copied > 0)
        write_copyuid(&code, copy);
    free(copy->from_uids);
    free(copy->to_uids);
    if (copy->copied == 0) {
        imap_say_ok(s, "There was nothing to copy");
    } else if (copy->is_move) {
        buf_addf(imap_out(s), "* OK [%.*s] Moved\r\n", SPAN_ARG(buf_span(&code)));
        imap_written(s);
        imap_say_ok(s, "Moved");
    } else {
        imap_finish(s, IMAP_OK, arena_dup(&s->arena, buf_span(&code)).ptr, "Copied");
    }
    buf_fini(&code);
}

void imap_do_copy(struct imap_session *s)
{
    struct imap_operation *operation = imap_operation_create(s, MAILSTORE_COPY);
    struct mailstore_copy *copy = &operation->copy;
    struct mailstore_range *uids;

    copy->is_move = s->command->verb == IMAP_MOVE;
    if ((copy->is_move && refuses_changes(s)) ||
        !imap_resolve(s, &s->command->copy.set, &uids, &copy->uid_count))
        return;
    copy->box = s->view.box;
    copy->uids = uids;
    copy->user = imap_user(s);
    copy->name = s->command->copy.name;
    imap_submit(s, operation, copied);
}

/* ---- EXPUNGE ------------------------------------------------------------------------------ */

static void expunged(struct imap_session *s)
{
    const struct mailstore_expunge *expunge = &s->operation->expunge;

    if (!imap_is_done(s, &expunge->op, NULL))
        return;
    if (imap_has(s, IMAP_ENABLE_QRESYNC) && expunge->modseq > 0)
        imap_finish(
            s, IMAP_OK,
            arena_printf(&s->arena, "HIGHESTMODSEQ %llu", (unsigned long long)expunge->modseq).ptr,
            "Expunged");
    else
        imap_say_ok(s, "Expunged");
}

void imap_do_expunge(struct imap_session *s)
{
    struct imap_operation *operation = imap_operation_create(s, MAILSTORE_EXPUNGE);
    struct mailstore_range *uids = NULL;

    if (refuses_changes(s) ||
        (s->command->is_uid &&
         !imap_resolve(s, &s->command->expunge.set, &uids, &operation->expunge.uid_count)))
        return;
    operation->expunge.box = s->view.box;
    operation->expunge.uids = uids;
    imap_submit(s, operation, expunged);
}
