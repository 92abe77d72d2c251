/*
 * STATUS (RFC 9051 6.3.11), with what RFC 7162, RFC 7889, RFC 8438, RFC 8474 and RFC 9208 add.
 */
#include "plugins/drop/imap/session.h"
#include "plugins/drop/imap/write.h"

struct tally {
    uint32_t recent;
    uint64_t deleted_bytes;
};

static bool on_recent(void *context, const struct mailstore_entry *entry)
{
    struct tally *tally = context;

    (void)entry;
    tally->recent++;
    return true;
}

static bool on_entry(void *context, const struct mailstore_entry *entry)
{
    struct tally *tally = context;

    if (entry->flags & MAILSTORE_DELETED)
        tally->deleted_bytes += entry->size;
    return true;
}

static void count(struct mailstore *store, struct kv_txn *txn, const struct mailstore_box *box,
                  unsigned items, struct tally *tally)
{
    struct err e = ERR_OK;

    if (items & IMAP_STATUS_RECENT)
        e = mailstore_entry_walk(txn, box->id, mailstore_recent_from(store, box), on_recent, tally);
    if (!err_is(e) && (items & IMAP_STATUS_DELETED_STORAGE) && box->deleted > 0)
        e = mailstore_entry_walk(txn, box->id, 1, on_entry, tally);
    if (err_is(e))
        log_failure(LOG_ERROR, "imap-status-failed", e, NULL, NULL);
}

static void write_item(struct buf *out, const char **between, const char *name, uint64_t value)
{
    buf_addf(out, "%s%s %llu", *between, name, (unsigned long long)value);
    *between = " ";
}

void imap_write_status(struct imap_session *s, struct kv_txn *txn, const struct mailstore_box *box,
                       unsigned items)
{
    struct tally tally = {0};
    const struct {
        enum imap_status_item item;
        const char *name;
        const uint64_t value;
    } plain[] = {
        {IMAP_STATUS_MESSAGES, "MESSAGES", box->exists},
        {IMAP_STATUS_UIDNEXT, "UIDNEXT", box->uid_next},
        {IMAP_STATUS_UIDVALIDITY, "UIDVALIDITY", box->uid_validity},
        {IMAP_STATUS_UNSEEN, "UNSEEN", box->unseen},
        {IMAP_STATUS_DELETED, "DELETED", box->deleted},
        {IMAP_STATUS_SIZE, "SIZE", box->bytes},
        {IMAP_STATUS_HIGHESTMODSEQ, "HIGHESTMODSEQ", box->highest_modseq},
        {IMAP_STATUS_APPENDLIMIT, "APPENDLIMIT", s->drop.worker->settings->message_size_max},
    };
    struct buf *out = imap_out(s);
    const char *between = "";

    count(s->drop.worker->store, txn, box, items, &tally);
    buf_add(out, SPAN("* STATUS "));
    imap_write_mailbox(out, box->name, imap_is_utf8(s));
    buf_add(out, SPAN(" ("));
    for (size_t i = 0; i < sizeof plain / sizeof plain[0]; i++)
        if (items & plain[i].item)
            write_item(out, &between, plain[i].name, plain[i].value);
    if (items & IMAP_STATUS_RECENT)
        write_item(out, &between, "RECENT", tally.recent);
    if (items & IMAP_STATUS_DELETED_STORAGE)
        write_item(out, &between, "DELETED-STORAGE", tally.deleted_bytes);
    if (items & IMAP_STATUS_MAILBOXID)
        buf_addf(out, "%sMAILBOXID (B%u)", between, box->id);
    buf_add(out, SPAN(")\r\n"));
    imap_written(s);
}

void imap_do_status(struct imap_session *s)
{
    struct mailstore_box box;
    struct kv_txn *txn;
    struct err e = mailstore_read_begin(s->drop.worker->store, &txn);

    if (!err_is(e)) {
        e = mailstore_box_find(txn, imap_user(s), s->command->status.name, &box);
        if (!err_is(e))
            imap_write_status(s, txn, &box, s->command->status.items);
        mailstore_read_end(txn);
    }
    if (err_is(e)) {
        imap_fail_to_find(s, e);
    } else {
        if (s->command->status.items & IMAP_STATUS_HIGHESTMODSEQ)
            imap_use_condstore(s);
        imap_say_ok(s, "Told");
    }
}
