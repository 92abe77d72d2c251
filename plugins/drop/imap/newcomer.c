/*
 * The mailboxes that a user finds when he logs in for the first time: INBOX, and the folders of the
 * settings, subscribed to, each with the use that its name tells (RFC 6154).
 */
#include "plugins/drop/imap/session.h"

struct newcomer {
    imap_step *then;
    struct span left; /* of settings->folders */
    struct span name; /* that is being made */
};

static enum mailstore_use use_of(struct span name)
{
    static const struct {
        const char *name;
        enum mailstore_use use;
    } uses[] = {
        {"Archive", MAILSTORE_USE_ARCHIVE}, {"Archives", MAILSTORE_USE_ARCHIVE},
        {"Drafts", MAILSTORE_USE_DRAFTS},   {"Junk", MAILSTORE_USE_JUNK},
        {"Spam", MAILSTORE_USE_JUNK},       {"Sent", MAILSTORE_USE_SENT},
        {"Trash", MAILSTORE_USE_TRASH},
    };

    for (size_t i = 0; i < sizeof uses / sizeof uses[0]; i++)
        if (span_equal_nocase(name, span_cstr(uses[i].name)))
            return uses[i].use;
    return MAILSTORE_USE_NONE;
}

static void make_next(struct imap_session *s);

/* What could not be made now is missing, and can be made by hand; the log-in is good. */
static void made(struct imap_session *s)
{
    struct newcomer *job = s->job;
    struct imap_operation *operation = imap_operation_create(s, MAILSTORE_SUBSCRIBE);

    operation->subscribe.user = imap_user(s);
    operation->subscribe.name = job->name;
    imap_submit(s, operation, make_next);
}

static void make_next(struct imap_session *s)
{
    struct newcomer *job = s->job;

    do {
        if (job->left.len == 0) {
            job->then(s);
            return;
        }
        job->name = span_split(job->left, ' ', &job->left);
    } while (job->name.len == 0);
    struct imap_operation *operation = imap_operation_create(s, MAILSTORE_CREATE);
    operation->create.user = imap_user(s);
    operation->create.name = job->name;
    operation->create.use = use_of(job->name);
    imap_submit(s, operation, made);
}

static bool on_subscription(void *context, struct span name)
{
    bool *has_any = context;

    (void)name;
    *has_any = true;
    return false;
}

/* Mail that came before has made INBOX at most; who has subscribed to something has been here. */
static bool is_new(struct imap_session *s)
{
    struct mailstore *store = s->drop.worker->store;
    struct mailstore_user user = {.boxes = 0};
    struct kv_txn *txn;
    bool has_subscribed = false;

    if (err_is(mailstore_read_begin(store, &txn)))
        return false;
    struct err e = mailstore_user_get(store, txn, imap_user(s), &user);
    if (!err_is(e))
        e = mailstore_subscription_walk(txn, imap_user(s), on_subscription, &has_subscribed);
    mailstore_read_end(txn);
    return e.kind == ERR_NOT_FOUND || (!err_is(e) && user.boxes <= 1 && !has_subscribed);
}

void imap_welcome(struct imap_session *s, imap_step *then)
{
    struct newcomer *job = arena_alloc(&s->arena, sizeof *job);

    if (!is_new(s)) {
        then(s);
        return;
    }
    job->then = then;
    job->left = span_cstr(s->drop.worker->settings->folders);
    job->name = SPAN("INBOX");
    s->job = job;
    struct imap_operation *operation = imap_operation_create(s, MAILSTORE_CREATE);
    operation->create.user = imap_user(s);
    operation->create.name = job->name;
    imap_submit(s, operation, made);
}
