/*
 * QUOTA (RFC 9208, RFC 2087): one root for all mailboxes of a user, whose bounds only an operator
 * changes.
 */
#include "plugins/drop/imap/session.h"
#include "plugins/drop/imap/write.h"

enum { KIB = 1024 };

static void tell_quota(struct imap_session *s, const struct mailstore_user *user)
{
    struct buf *out = imap_out(s);
    const char *between = "";

    buf_add(out, SPAN("* QUOTA \"\" ("));
    if (user->bytes_max > 0) {
        buf_addf(out, "STORAGE %llu %llu", (unsigned long long)((user->bytes + KIB - 1) / KIB),
                 (unsigned long long)(user->bytes_max / KIB));
        between = " ";
    }
    if (user->messages_max > 0)
        buf_addf(out, "%sMESSAGE %llu %llu", between, (unsigned long long)user->messages,
                 (unsigned long long)user->messages_max);
    buf_add(out, SPAN(")\r\n"));
    imap_written(s);
}

static struct err read_user(struct imap_session *s, struct span name, struct mailstore_user *user)
{
    struct mailstore *store = s->drop.worker->store;
    struct mailstore_box box;
    struct kv_txn *txn;
    struct err e = mailstore_read_begin(store, &txn);

    if (err_is(e))
        return e;
    e = mailstore_user_get(store, txn, imap_user(s), user);
    if (!err_is(e) && name.len > 0)
        e = mailstore_box_find(txn, imap_user(s), name, &box);
    mailstore_read_end(txn);
    return e;
}

void imap_do_getquota(struct imap_session *s)
{
    struct mailstore_user user;

    if (s->command->name.len > 0) {
        imap_say_no(s, "NONEXISTENT", "There is no such quota root");
        return;
    }
    struct err e = read_user(s, SPAN_NONE, &user);
    if (err_is(e)) {
        imap_fail(s, e);
        return;
    }
    tell_quota(s, &user);
    imap_say_ok(s, "Told");
}

void imap_do_getquotaroot(struct imap_session *s)
{
    struct mailstore_user user;
    struct err e = read_user(s, s->command->name, &user);

    if (err_is(e)) {
        imap_fail_to_find(s, e);
        return;
    }
    buf_add(imap_out(s), SPAN("* QUOTAROOT "));
    imap_write_mailbox(imap_out(s), s->command->name, imap_is_utf8(s));
    buf_add(imap_out(s), SPAN(" \"\"\r\n"));
    tell_quota(s, &user);
    imap_say_ok(s, "Told");
}

void imap_do_setquota(struct imap_session *s)
{
    imap_say_no(s, "NOPERM", "Quotas are set by the operator");
}
