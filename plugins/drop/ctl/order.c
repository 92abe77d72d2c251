/* What is changed without files: mailboxes and quotas. */
#include "plugins/drop/ctl/mailbox_ctl.h"

#include <inttypes.h>
#include <stdlib.h>

enum { DONE = 0, FAILED = 1, USAGE = 2 };

static int tell_failure(struct buf *out, struct err e)
{
    char text[ERR_TEXT_MAX];

    buf_addf(out, "%s\n", err_text(e, text));
    return FAILED;
}

static int tell_refusal(struct buf *out, struct span name, enum mailstore_refusal refusal)
{
    static const char *const texts[] = {
        [MAILSTORE_NO_BOX] = "there is no such mailbox",
        [MAILSTORE_EXISTS] = "there is one already",
        [MAILSTORE_BAD_NAME] = "no mailbox can be called so",
        [MAILSTORE_INBOX] = "INBOX is always there, as long as its user has mailboxes",
        [MAILSTORE_OVER_QUOTA] = "the quota is used up",
        [MAILSTORE_TOO_MANY] = "that would be too many mailboxes",
    };

    buf_addf(out, "%.*s: %s\n", SPAN_ARG(name), texts[refusal]);
    return FAILED;
}

static int run_order(struct mailstore *store, struct mailstore_op *op, struct span name,
                     struct buf *out)
{
    mailstore_run(store, op);
    if (err_is(op->result))
        return tell_failure(out, op->result);
    return op->refusal == MAILSTORE_FINE ? DONE : tell_refusal(out, name, op->refusal);
}

static int order_create(struct mailstore *store, struct span user, struct span name,
                        struct buf *out)
{
    struct mailstore_create create = {.op = {.kind = MAILSTORE_CREATE}, .user = user, .name = name};
    int code = run_order(store, &create.op, name, out);

    if (code == DONE)
        buf_addf(out, "%.*s: created, UIDVALIDITY %" PRIu32 "\n", SPAN_ARG(name),
                 create.uid_validity);
    return code;
}

static int order_delete(struct mailstore *store, struct span user, struct span name,
                        struct buf *out)
{
    struct mailstore_delete it = {.op = {.kind = MAILSTORE_DELETE}, .user = user, .name = name};
    int code = run_order(store, &it.op, name, out);

    if (code == DONE)
        buf_addf(out, "%.*s: deleted\n", SPAN_ARG(name));
    return code;
}

/* DONE, or what has been told of why not. */
static int find_user(struct mailstore *store, struct span user, struct mailstore_user *found,
                     struct buf *out)
{
    struct kv_txn *txn;
    struct err e = mailstore_read_begin(store, &txn);

    if (!err_is(e)) {
        e = mailstore_user_get(store, txn, user, found);
        mailstore_read_end(txn);
    }
    if (e.kind == ERR_NOT_FOUND) {
        buf_addf(out, "%.*s: has no mailboxes\n", SPAN_ARG(user));
        return FAILED;
    }
    return err_is(e) ? tell_failure(out, e) : DONE;
}

static int order_delete_all(struct mailstore *store, struct span user, struct buf *out)
{
    struct mailstore_remove_user it = {.op = {.kind = MAILSTORE_REMOVE_USER}, .user = user};
    struct mailstore_user found;
    int code = find_user(store, user, &found, out);

    if (code != DONE)
        return code;
    code = run_order(store, &it.op, user, out);
    free(it.boxes);
    if (code == DONE)
        buf_addf(out, "%.*s: %" PRIu64 " mailboxes with %" PRIu64 " messages deleted\n",
                 SPAN_ARG(user), found.boxes, found.messages);
    return code;
}

/* ---- quota -------------------------------------------------------------------------------- */

static bool read_bound(struct span word, uint64_t *out)
{
    *out = 0;
    if (span_equal(word, SPAN("none")))
        return true;
    if (!span_equal(word, SPAN("default")))
        return span_parse_u64(word, out) && *out > 0 && *out < UINT64_MAX;
    *out = UINT64_MAX;
    return true;
}

static void tell_bound(struct buf *out, uint64_t used, uint64_t most, const char *what)
{
    if (most > 0)
        buf_addf(out, "%" PRIu64 " of %" PRIu64 " %s", used, most, what);
    else
        buf_addf(out, "%" PRIu64 " %s, no bound", used, what);
}

static int tell_quota(struct mailstore *store, struct span user, struct buf *out)
{
    struct mailstore_user found;
    int code = find_user(store, user, &found, out);

    if (code != DONE)
        return code;
    buf_addf(out, "%.*s: ", SPAN_ARG(user));
    tell_bound(out, found.bytes, found.bytes_max, "bytes");
    buf_add(out, SPAN("; "));
    tell_bound(out, found.messages, found.messages_max, "messages");
    buf_add(out, SPAN("\n"));
    return DONE;
}

static int order_quota(struct mailstore *store, const struct span *words, unsigned count,
                       struct buf *out)
{
    struct mailstore_set_quota set = {
        .op = {.kind = MAILSTORE_SET_QUOTA}, .user = words[0], .messages = UINT64_MAX};

    if (count > 1) {
        if (!read_bound(words[1], &set.bytes) ||
            (count > 2 && !read_bound(words[2], &set.messages))) {
            buf_add(out, SPAN("a bound is a number above 0, \"none\", or \"default\"\n"));
            return USAGE;
        }
        int code = run_order(store, &set.op, words[0], out);
        if (code != DONE)
            return code;
    }
    return tell_quota(store, words[0], out);
}

/* ------------------------------------------------------------------------------------------- */

int mailbox_order(struct mailstore *store, const struct span *words, unsigned count,
                  struct buf *out)
{
    if (count == 3 && span_equal(words[0], SPAN("create")))
        return order_create(store, words[1], words[2], out);
    if (count == 3 && span_equal(words[0], SPAN("delete")))
        return order_delete(store, words[1], words[2], out);
    if (count == 2 && span_equal(words[0], SPAN("delete")))
        return order_delete_all(store, words[1], out);
    if (count >= 2 && count <= 4 && span_equal(words[0], SPAN("quota")))
        return order_quota(store, words + 1, count - 1, out);
    buf_add(out, SPAN("create USER NAME, delete USER [NAME], or quota USER [BYTES [MESSAGES]]\n"));
    return USAGE;
}
