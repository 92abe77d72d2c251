/* Mailboxes as files. Each message is read in a transaction of its own, so that a long export pins
 * nothing in the store; what is expunged meanwhile is left out. */
#include "base/memory.h"
#include "plugins/drop/ctl/mailbox_ctl.h"
#include "plugins/drop/ctl/mbox.h"
#include "plugins/drop/ctl/names.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PROGRESS_EACH = 100, WRITE_AT = 1 << 20 };

struct exporting {
    struct mailbox_transfer *transfer;
    struct buf *problem;
    struct mailstore_box box; /* its spans are not looked at */
    char *keywords[MAILSTORE_KEYWORDS_MAX];
    struct buf path; /* of the mailbox: a folder, or a file; with a NUL behind it */
    int64_t latest;  /* date of those that were written: names sort as messages do */
    int fd;          /* of the mbox, or of the message */
    struct buf out;  /* what is to be written */
};

struct box_list {
    uint32_t *ids;
    size_t count;
    uint64_t messages;
    struct span only;
};

struct uid_list {
    uint32_t *uids;
    size_t count;
    size_t room;
};

static const char *path_of(const struct exporting *x)
{
    return buf_span(&x->path).ptr;
}

static bool complain_of(struct exporting *x, const char *path, int why)
{
    buf_addf(x->problem, "%s: %s", path, strerror(why));
    return false;
}

static bool complain_of_store(struct exporting *x, struct err e)
{
    char text[ERR_TEXT_MAX];

    buf_addf(x->problem, "the store: %s", err_text(e, text));
    return false;
}

/* ---- writing ------------------------------------------------------------------------------ */

static bool flush(struct exporting *x, const char *path)
{
    struct span rest = buf_span(&x->out);

    while (rest.len > 0) {
        ssize_t written = write(x->fd, rest.ptr, rest.len);

        if (written < 0 && errno != EINTR)
            return complain_of(x, path, errno);
        rest = span_from(rest, written > 0 ? (size_t)written : 0);
    }
    buf_clear(&x->out);
    return true;
}

static bool gather(void *context, struct span bytes)
{
    buf_add(context, bytes);
    return true;
}

/* Whether all of its lines end in CRLF, and nothing else has a CR or an LF: then it can be written
 * with the line ends of files, and be read back as it was. */
static bool is_regular(struct span content)
{
    char before = '\0';

    for (size_t i = 0; i < content.len; before = content.ptr[i++])
        if ((before == '\r') != (content.ptr[i] == '\n'))
            return false;
    return before != '\r';
}

static void add_with_file_ends(struct buf *out, struct span content)
{
    while (content.len > 0) {
        size_t end = span_index(content, '\r');

        buf_add(out, span_head(content, end));
        content = span_from(content, end + 1);
    }
}

/* ---- a message ---------------------------------------------------------------------------- */

static void sort_keywords(const struct exporting *x, uint64_t bits, struct span *names,
                          unsigned *count_out)
{
    *count_out = 0;
    for (unsigned i = 0; i < MAILSTORE_KEYWORDS_MAX; i++)
        if ((bits & UINT64_C(1) << i) != 0 && x->keywords[i] != NULL)
            names[(*count_out)++] = span_cstr(x->keywords[i]);
}

static bool write_to_mbox(struct exporting *x, const struct mailstore_entry *entry,
                          struct span content)
{
    struct span keywords[MAILSTORE_KEYWORDS_MAX];
    struct mbox_writer writer = {.had_cr = false};
    unsigned count;

    sort_keywords(x, entry->keywords, keywords, &count);
    mbox_write_head(entry->internal_date, entry->flags, keywords, count, &x->out);
    mbox_writer_feed(&writer, content, &x->out);
    mbox_writer_end(&writer, &x->out);
    return buf_len(&x->out) < WRITE_AT || flush(x, path_of(x));
}

static void write_name(struct exporting *x, const struct mailstore_entry *entry,
                       struct span content, struct buf *name)
{
    bool is_forwarded = false;

    for (unsigned i = 0; i < MAILSTORE_KEYWORDS_MAX; i++)
        if ((entry->keywords & UINT64_C(1) << i) != 0 && x->keywords[i] != NULL)
            is_forwarded |= span_equal_nocase(span_cstr(x->keywords[i]), SPAN(NAMES_FORWARDED));
    if (entry->internal_date > x->latest)
        x->latest = entry->internal_date;
    buf_addf(name, "%s/cur/%" PRId64 ".M%" PRIu32 "V%" PRIu32 ".smarthop,S=%zu", path_of(x),
             x->latest, entry->uid, x->box.uid_validity, content.len);
    names_write_flags(entry->flags, is_forwarded,
                      (uint32_t)(entry->keywords & ((1u << NAMES_KEYWORDS_MAX) - 1)), name);
    buf_add(name, SPAN("\0"));
}

static bool write_to_maildir(struct exporting *x, const struct mailstore_entry *entry,
                             struct span content)
{
    struct timespec times[2] = {{.tv_sec = (time_t)entry->internal_date},
                                {.tv_sec = (time_t)entry->internal_date}};
    struct buf name;

    if (is_regular(content))
        add_with_file_ends(&x->out, content);
    else
        buf_add(&x->out, content);
    buf_init(&name, 0);
    write_name(x, entry, buf_span(&x->out), &name);
    const char *path = buf_span(&name).ptr;
    x->fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    bool done = x->fd >= 0 || complain_of(x, path, errno);
    done = done && flush(x, path);
    if (done && futimens(x->fd, times) != 0)
        done = complain_of(x, path, errno);
    if (x->fd >= 0 && close(x->fd) != 0 && done)
        done = complain_of(x, path, errno);
    buf_clear(&x->out);
    buf_fini(&name);
    return done;
}

static void tell_progress(const struct exporting *x)
{
    const struct mailbox_transfer *t = x->transfer;

    if (t->progress != NULL && t->messages % PROGRESS_EACH == 0)
        t->progress(t->context, t->messages, t->all);
}

static bool write_message(struct exporting *x, uint32_t uid)
{
    struct mailbox_transfer *t = x->transfer;
    struct mailstore_entry entry;
    struct kv_txn *txn;
    struct buf content;
    struct err e = mailstore_read_begin(t->store, &txn);

    if (err_is(e))
        return complain_of_store(x, e);
    buf_init(&content, 0);
    e = mailstore_entry_get(txn, x->box.id, uid, &entry);
    if (!err_is(e)) {
        buf_add(&content, entry.prefix);
        e = mailstore_content_walk(txn, entry.message, 0, UINT64_MAX, gather, &content);
    }
    mailstore_read_end(txn);
    bool done = true;
    if (!err_is(e)) {
        bool is_mbox = t->format == MAILBOX_MBOX;
        done = is_mbox ? write_to_mbox(x, &entry, buf_span(&content))
                       : write_to_maildir(x, &entry, buf_span(&content));
        t->messages += done;
        tell_progress(x);
    } else if (e.kind != ERR_NOT_FOUND) {
        done = complain_of_store(x, e);
    }
    buf_fini(&content);
    return done;
}

/* ---- a mailbox ---------------------------------------------------------------------------- */

static bool make_folder(struct exporting *x, const char *path)
{
    return mkdir(path, 0700) == 0 || errno == EEXIST || complain_of(x, path, errno);
}

static bool make_maildir(struct exporting *x)
{
    static const char *const parts[] = {"", "/cur", "/new", "/tmp"};
    struct buf path;
    bool done = true;

    for (size_t i = 0; i < sizeof parts / sizeof parts[0] && done; i++) {
        buf_init(&path, 0);
        buf_addf(&path, "%s%s", path_of(x), parts[i]);
        buf_add(&path, SPAN("\0"));
        done = make_folder(x, buf_span(&path).ptr);
        buf_fini(&path);
    }
    return done;
}

/* Which letter is which keyword, as Dovecot has it. */
static bool write_keywords(struct exporting *x)
{
    struct buf path;

    for (unsigned i = 0; i < NAMES_KEYWORDS_MAX; i++)
        if (x->keywords[i] != NULL)
            buf_addf(&x->out, "%u %s\n", i, x->keywords[i]);
    if (buf_len(&x->out) == 0)
        return true;
    buf_init(&path, 0);
    buf_addf(&path, "%s/dovecot-keywords", path_of(x));
    buf_add(&path, SPAN("\0"));
    x->fd = open(buf_span(&path).ptr, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    bool done = x->fd >= 0 || complain_of(x, buf_span(&path).ptr, errno);
    done = done && flush(x, buf_span(&path).ptr);
    if (x->fd >= 0)
        close(x->fd);
    buf_clear(&x->out);
    buf_fini(&path);
    return done;
}

static bool open_place(struct exporting *x)
{
    if (x->transfer->format == MAILBOX_MAILDIR)
        return make_maildir(x) && write_keywords(x);
    x->fd = open(path_of(x), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    return x->fd >= 0 || complain_of(x, path_of(x), errno);
}

static bool close_place(struct exporting *x, bool done)
{
    if (x->transfer->format == MAILBOX_MAILDIR || x->fd < 0)
        return done;
    done = done && flush(x, path_of(x));
    if (close(x->fd) != 0 && done)
        done = complain_of(x, path_of(x), errno);
    buf_clear(&x->out);
    return done;
}

static void name_place(struct exporting *x, struct span name)
{
    bool is_inbox = span_equal(name, SPAN("INBOX"));
    bool is_mbox = x->transfer->format == MAILBOX_MBOX;

    buf_clear(&x->path);
    buf_add_text(&x->path, x->transfer->path);
    if (is_mbox || !is_inbox) {
        buf_add_text(&x->path, is_mbox ? "/" : "/.");
        names_encode(name, &x->path);
        buf_add_text(&x->path, is_mbox ? ".mbox" : "");
    }
    buf_add(&x->path, SPAN("\0"));
}

static bool take_uid(void *context, const struct mailstore_entry *entry)
{
    struct uid_list *list = context;

    if (list->count == list->room) {
        list->room = list->room > 0 ? 2 * list->room : 256;
        list->uids = mem_realloc(list->uids, list->room * sizeof *list->uids);
    }
    list->uids[list->count++] = entry->uid;
    return true;
}

/* What the mailbox has, and where it goes. */
static bool look_at_box(struct exporting *x, uint32_t id, struct uid_list *list)
{
    struct kv_txn *txn;
    struct err e = mailstore_read_begin(x->transfer->store, &txn);

    if (err_is(e))
        return complain_of_store(x, e);
    e = mailstore_box_get(txn, id, &x->box);
    if (!err_is(e)) {
        name_place(x, x->box.name);
        for (unsigned i = 0; i < x->box.keyword_count; i++)
            x->keywords[i] = span_to_text(x->box.keywords[i]);
        e = mailstore_entry_walk(txn, id, 0, take_uid, list);
    }
    mailstore_read_end(txn);
    return !err_is(e) || complain_of_store(x, e);
}

static bool export_box(struct exporting *x, uint32_t id)
{
    struct uid_list list = {.count = 0};

    x->fd = -1;
    x->latest = 0;
    memset(x->keywords, 0, sizeof x->keywords);
    bool done = look_at_box(x, id, &list) && open_place(x);
    for (size_t i = 0; i < list.count && done; i++)
        done = write_message(x, list.uids[i]);
    done = close_place(x, done);
    x->transfer->boxes += done;
    for (unsigned i = 0; i < MAILSTORE_KEYWORDS_MAX; i++)
        free(x->keywords[i]);
    free(list.uids);
    return done;
}

/* ---- all of a user ------------------------------------------------------------------------ */

static bool take_box(void *context, const struct mailstore_box *box)
{
    struct box_list *list = context;

    if (list->only.len > 0 && !span_equal(list->only, box->name))
        return true;
    list->ids = mem_realloc(list->ids, (list->count + 1) * sizeof *list->ids);
    list->ids[list->count++] = box->id;
    list->messages += box->exists;
    return true;
}

static bool list_boxes(struct exporting *x, struct box_list *list)
{
    struct kv_txn *txn;
    struct err e = mailstore_read_begin(x->transfer->store, &txn);

    if (err_is(e))
        return complain_of_store(x, e);
    e = mailstore_box_walk(txn, x->transfer->user, take_box, list);
    mailstore_read_end(txn);
    if (err_is(e))
        return complain_of_store(x, e);
    if (list->count == 0)
        buf_addf(x->problem, "%.*s: has no %s", SPAN_ARG(x->transfer->user),
                 list->only.len > 0 ? "such mailbox" : "mailboxes");
    return list->count > 0;
}

bool mailbox_export(struct mailbox_transfer *transfer, struct buf *problem)
{
    struct exporting x = {.transfer = transfer, .problem = problem};
    struct box_list list = {.only = transfer->name};

    buf_init(&x.path, 0);
    buf_init(&x.out, 0);
    transfer->messages = transfer->boxes = 0;
    bool done = list_boxes(&x, &list) && make_folder(&x, transfer->path);
    transfer->all = list.messages;
    for (size_t i = 0; i < list.count && done; i++)
        done = export_box(&x, list.ids[i]);
    free(list.ids);
    buf_fini(&x.path);
    buf_fini(&x.out);
    return done;
}
