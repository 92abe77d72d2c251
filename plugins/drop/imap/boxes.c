/*
 * CREATE, DELETE, RENAME, SUBSCRIBE and UNSUBSCRIBE (RFC 9051 6.3.4 to 6.3.8, RFC 6154 5.4).
 */
#include "plugins/drop/imap/session.h"
#include "plugins/drop/imap/write.h"

/* "Work/" says that there will be mailboxes below it, which any may have. */
static struct span without_slash(struct span name)
{
    if (name.len > 1 && name.ptr[name.len - 1] == '/')
        name.len--;
    return name;
}

static void created(struct imap_session *s)
{
    const struct mailstore_create *create = &s->operation->create;

    if (imap_is_done(s, &create->op, NULL))
        imap_finish(s, IMAP_OK, arena_printf(&s->arena, "MAILBOXID (B%u)", create->box).ptr,
                    "Created");
}

void imap_do_create(struct imap_session *s)
{
    struct imap_operation *operation = imap_operation_create(s, MAILSTORE_CREATE);

    operation->create.user = imap_user(s);
    operation->create.name = without_slash(s->command->create.name);
    operation->create.use = s->command->create.use;
    imap_submit(s, operation, created);
}

/* RFC 9051 6.3.5: a name that only has others below it is no mailbox that could be deleted. */
static void deleted(struct imap_session *s)
{
    if (imap_is_done(s, &s->operation->op, "NONEXISTENT"))
        imap_say_ok(s, "Deleted");
}

static bool is_selected(struct imap_session *s, struct span name)
{
    struct mailstore_box box;
    struct kv_txn *txn;

    if (!imap_is_selected(s) || err_is(mailstore_read_begin(s->drop.worker->store, &txn)))
        return false;
    struct err e = mailstore_box_find(txn, imap_user(s), name, &box);
    mailstore_read_end(txn);
    return !err_is(e) && box.id == s->view.box;
}

void imap_do_delete(struct imap_session *s)
{
    struct imap_operation *operation = imap_operation_create(s, MAILSTORE_DELETE);

    if (is_selected(s, s->command->name) && !span_equal(s->command->name, SPAN("INBOX")))
        imap_unselect(s);
    operation->delete.user = imap_user(s);
    operation->delete.name = without_slash(s->command->name);
    imap_submit(s, operation, deleted);
}

static void renamed(struct imap_session *s)
{
    if (imap_is_done(s, &s->operation->op, "NONEXISTENT"))
        imap_say_ok(s, "Renamed");
}

void imap_do_rename(struct imap_session *s)
{
    struct imap_operation *operation = imap_operation_create(s, MAILSTORE_RENAME);

    operation->rename.user = imap_user(s);
    operation->rename.from = without_slash(s->command->rename.from);
    operation->rename.to = without_slash(s->command->rename.to);
    imap_submit(s, operation, renamed);
}

static void subscribed(struct imap_session *s)
{
    if (imap_is_done(s, &s->operation->op, "NONEXISTENT"))
        imap_say_ok(s, s->operation->subscribe.is_off ? "Unsubscribed" : "Subscribed");
}

void imap_do_subscribe(struct imap_session *s)
{
    struct imap_operation *operation = imap_operation_create(s, MAILSTORE_SUBSCRIBE);

    operation->subscribe.user = imap_user(s);
    operation->subscribe.name = without_slash(s->command->name);
    operation->subscribe.is_off = s->command->verb == IMAP_UNSUBSCRIBE;
    imap_submit(s, operation, subscribed);
}
