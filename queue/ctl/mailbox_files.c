/* mailbox: export and import, check and compact. */
#include "queue/ctl/json.h"
#include "queue/ctl/mailbox.h"
#include "queue/ctl/output.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

enum { VANISHED_KEPT = 1000 }; /* ranges of a mailbox, for clients that come back (RFC 7162) */

void mailbox_progress(void *context, uint64_t done, uint64_t all)
{
    const char *what = context;

    if (all > 0)
        fprintf(stderr, "\r%" PRIu64 " of %" PRIu64 " %s ", done, all, what);
    else
        fprintf(stderr, "\r%" PRIu64 " %s ", done, what);
}

void mailbox_progress_end(void)
{
    if (isatty(STDERR_FILENO))
        fputs("\r\033[K", stderr);
}

static void set_progress(struct mailbox_transfer *transfer)
{
    static char what[] = "messages";

    transfer->context = what;
    if (isatty(STDERR_FILENO))
        transfer->progress = mailbox_progress;
}

static enum ctl_exit tell_transfer(const struct ctl *ctl, const struct mailbox_transfer *t,
                                   bool done, struct span problem)
{
    mailbox_progress_end();
    if (ctl->json) {
        json_open(NULL, '{');
        json_bool("ok", done);
        json_number("messages", t->messages);
        json_number("mailboxes", t->boxes);
        json_close('}');
        json_end_line();
    } else {
        printf("%" PRIu64 " message%s in %" PRIu64 " mailbox%s %sed\n", t->messages,
               t->messages == 1 ? "" : "s", t->boxes, t->boxes == 1 ? "" : "es", ctl->verb);
    }
    if (done)
        return CTL_OK;
    ctl_complain("%.*s", SPAN_ARG(problem));
    return CTL_FAILED;
}

static enum ctl_exit transfer(const struct ctl *ctl, struct mailbox_transfer *t, bool read_only,
                              bool (*run)(struct mailbox_transfer *t, struct buf *problem))
{
    enum ctl_exit opened = mailbox_open(ctl, read_only, &t->store);
    struct buf problem;

    if (opened != CTL_OK)
        return opened;
    buf_init(&problem, 0);
    set_progress(t);
    bool done = run(t, &problem);
    mailstore_close(t->store);
    enum ctl_exit result = tell_transfer(ctl, t, done, buf_span(&problem));
    buf_fini(&problem);
    return result;
}

enum ctl_exit ctl_mailbox_export(struct ctl *ctl)
{
    const char *format = ctl->options & CTL_FORMAT ? ctl->format : "maildir";
    bool is_mbox = strcmp(format, "mbox") == 0;

    if (ctl->to.count != 1) {
        ctl_complain("--to DIR says where the files go");
        return CTL_USAGE;
    }
    if (!is_mbox && strcmp(format, "maildir") != 0) {
        ctl_complain("--format takes maildir or mbox, not \"%s\"", format);
        return CTL_USAGE;
    }
    struct mailbox_transfer t = {
        .user = span_cstr(ctl->operands[0]),
        .name = ctl->operand_count > 1 ? span_cstr(ctl->operands[1]) : SPAN_NONE,
        .path = ctl->to.items[0],
        .format = is_mbox ? MAILBOX_MBOX : MAILBOX_MAILDIR,
    };
    return transfer(ctl, &t, true, mailbox_export);
}

enum ctl_exit ctl_mailbox_import(struct ctl *ctl)
{
    struct mailbox_transfer t = {
        .user = span_cstr(ctl->operands[0]),
        .name = ctl->operand_count > 2 ? span_cstr(ctl->operands[2]) : SPAN_NONE,
        .path = ctl->operands[1],
    };

    return transfer(ctl, &t, false, mailbox_import);
}

/* ---- check, repair and compact
 * -------------------------------------------------------------------- */

static void tell_problem(void *context, const char *line)
{
    (void)context;
    mailbox_progress_end();
    ctl_complain("%s", line);
}

static void check_progress(void *context, uint64_t done, uint64_t all)
{
    static char what[] = "messages";

    (void)context;
    mailbox_progress(what, done, all);
}

static void print_check(const struct ctl *ctl, const struct mailstore_check *check)
{
    if (!ctl->json) {
        printf("%" PRIu64 " users, %" PRIu64 " mailboxes, %" PRIu64 " entries, %" PRIu64
               " messages of %" PRIu64 " bytes: %" PRIu64 " problem%s\n",
               check->users, check->boxes, check->entries, check->messages, check->bytes,
               check->problems, check->problems == 1 ? "" : "s");
        return;
    }
    json_open(NULL, '{');
    json_bool("ok", check->problems == 0);
    json_number("users", check->users);
    json_number("mailboxes", check->boxes);
    json_number("entries", check->entries);
    json_number("messages", check->messages);
    json_number("bytes", check->bytes);
    json_number("problems", check->problems);
    json_close('}');
    json_end_line();
}

enum ctl_exit ctl_mailbox_check(struct ctl *ctl)
{
    struct mailstore_check check;
    struct mailstore *store;
    enum ctl_exit opened = mailbox_open(ctl, true, &store);

    if (opened != CTL_OK)
        return opened;
    struct err e = mailstore_check(store, tell_problem,
                                   isatty(STDERR_FILENO) ? check_progress : NULL, NULL, &check);
    mailstore_close(store);
    mailbox_progress_end();
    if (err_is(e))
        return mailbox_store_failed(e);
    print_check(ctl, &check);
    return check.problems == 0 ? CTL_OK : CTL_FAILED;
}

static void tell_repair(void *context, const char *line)
{
    const struct ctl *ctl = context;

    if (!ctl->json)
        printf("%s\n", line);
}

enum ctl_exit ctl_mailbox_repair(struct ctl *ctl)
{
    struct mailstore *store;
    uint64_t repaired;
    enum ctl_exit opened = mailbox_open(ctl, false, &store);

    if (opened != CTL_OK)
        return opened;
    struct err e = mailstore_repair(store, tell_repair, ctl, &repaired);
    mailstore_close(store);
    if (err_is(e))
        return mailbox_store_failed(e);
    if (ctl->json) {
        json_open(NULL, '{');
        json_bool("ok", true);
        json_number("repairs", repaired);
        json_close('}');
        json_end_line();
    } else if (repaired == 0) {
        printf("nothing to repair\n");
    }
    return CTL_OK;
}

enum ctl_exit ctl_mailbox_compact(struct ctl *ctl)
{
    struct kv_stats before, after;
    struct mailstore *store;
    enum ctl_exit opened = mailbox_open(ctl, false, &store);

    if (opened != CTL_OK)
        return opened;
    mailstore_stats(store, &before);
    struct err e = mailstore_tidy(store, VANISHED_KEPT);
    if (!err_is(e))
        e = mailstore_compact(store);
    mailstore_close(store);
    if (err_is(e))
        return mailbox_store_failed(e);
    opened = mailbox_open(ctl, false, &store);
    if (opened != CTL_OK)
        return opened;
    mailstore_stats(store, &after);
    mailstore_close(store);
    uint64_t given = before.map_used > after.map_used ? before.map_used - after.map_used : 0;
    if (ctl->json) {
        json_open(NULL, '{');
        json_bool("ok", true);
        json_number("bytes_used", after.map_used);
        json_number("bytes_given_back", given);
        json_close('}');
        json_end_line();
    } else {
        printf("%" PRIu64 " bytes in use, %" PRIu64 " given back\n", after.map_used, given);
    }
    return CTL_OK;
}
