/* Files as mailboxes: many messages to a commit. */
#include "base/memory.h"
#include "plugins/drop/ctl/mailbox_ctl.h"
#include "plugins/drop/ctl/mbox.h"
#include "plugins/drop/ctl/names.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    AT_ONCE = 100,           /* messages of a commit */
    BYTES_AT_ONCE = 8 << 20, /* of them */
    READ_SIZE = 65536,
};

/* A message that waits for its commit. */
struct waiting {
    struct mailstore_draft *draft;
    uint32_t flags;
    int64_t date;
    int zone;
    char *keywords; /* apart by blanks; NULL = none */
    struct span names[MAILSTORE_KEYWORDS_MAX];
};

struct importing {
    struct mailbox_transfer *transfer;
    struct buf *problem;
    struct buf box;   /* the mailbox's name */
    const char *file; /* that is being read */
    struct waiting waiting[AT_ONCE];
    unsigned count;
    uint64_t bytes;
    bool is_broken;
};

static bool complain_of(struct importing *x, const char *path, const char *why)
{
    if (!x->is_broken)
        buf_addf(x->problem, "%s: %s", path, why);
    x->is_broken = true;
    return false;
}

/* ---- commits ------------------------------------------------------------------------------ */

static unsigned split_keywords(struct waiting *w)
{
    struct span rest = span_cstr(w->keywords);
    unsigned count = 0;

    while (rest.len > 0 && count < MAILSTORE_KEYWORDS_MAX) {
        struct span word = span_split(rest, ' ', &rest);

        if (word.len > 0 && word.len <= MAILSTORE_KEYWORD_MAX)
            w->names[count++] = word;
    }
    return count;
}

static void forget(struct importing *x)
{
    for (unsigned i = 0; i < x->count; i++) {
        mailstore_draft_free(x->waiting[i].draft);
        free(x->waiting[i].keywords);
    }
    x->count = 0;
    x->bytes = 0;
}

static bool tell_result(struct importing *x, const struct mailstore_append *append)
{
    char text[ERR_TEXT_MAX];

    if (err_is(append->op.result))
        return complain_of(x, "the store", err_text(append->op.result, text));
    if (append->op.refusal == MAILSTORE_TOO_MANY)
        return complain_of(x, x->file, "too many mailboxes, or keywords in one");
    if (append->op.refusal != MAILSTORE_FINE)
        return complain_of(x, x->file, "no mailbox can be called so");
    x->transfer->messages += x->count;
    if (x->transfer->progress != NULL)
        x->transfer->progress(x->transfer->context, x->transfer->messages, x->transfer->all);
    return true;
}

static bool commit(struct importing *x)
{
    struct mailstore_draft *drafts[AT_ONCE];
    struct mailstore_target targets[AT_ONCE];
    struct mailstore_append append = {.op = {.kind = MAILSTORE_APPEND},
                                      .drafts = drafts,
                                      .draft_count = x->count,
                                      .targets = targets,
                                      .target_count = x->count,
                                      .is_whole = true};

    if (x->is_broken)
        forget(x);
    if (x->count == 0)
        return !x->is_broken;
    for (unsigned i = 0; i < x->count; i++) {
        struct waiting *w = &x->waiting[i];

        drafts[i] = w->draft;
        targets[i] = (struct mailstore_target){.user = x->transfer->user,
                                               .name = buf_span(&x->box),
                                               .is_created = true,
                                               .is_unbound = true,
                                               .flags = w->flags,
                                               .keywords = w->names,
                                               .keyword_count = split_keywords(w),
                                               .internal_date = w->date,
                                               .internal_zone = (int16_t)w->zone};
    }
    mailstore_run(x->transfer->store, &append.op);
    bool done = tell_result(x, &append);
    forget(x);
    return done;
}

/* Makes the mailbox, so that an empty one is there, too. */
static bool enter_box(struct importing *x, struct span name)
{
    struct mailstore_create create = {
        .op = {.kind = MAILSTORE_CREATE}, .user = x->transfer->user, .name = name};
    char text[ERR_TEXT_MAX];

    buf_clear(&x->box);
    buf_add(&x->box, name);
    mailstore_run(x->transfer->store, &create.op);
    if (err_is(create.op.result))
        return complain_of(x, "the store", err_text(create.op.result, text));
    switch (create.op.refusal) {
    case MAILSTORE_FINE:
    case MAILSTORE_EXISTS:
    case MAILSTORE_INBOX:
        x->transfer->boxes++;
        return true;
    case MAILSTORE_TOO_MANY:
        return complain_of(x, x->file, "too many mailboxes");
    default:
        return complain_of(x, x->file, "no mailbox can be called so");
    }
}

static struct waiting *begin_message(struct importing *x, int64_t date, int zone)
{
    struct waiting *w = &x->waiting[x->count];

    *w = (struct waiting){.date = date, .zone = zone};
    w->draft = mailstore_draft_create(x->transfer->store, NULL, NULL);
    return w;
}

/* The message that was begun is whole. */
static bool end_message(struct importing *x, uint32_t flags, struct span keywords)
{
    struct waiting *w = &x->waiting[x->count++];

    w->flags = flags;
    w->keywords = keywords.len > 0 ? span_to_text(keywords) : NULL;
    x->bytes += mailstore_draft_size(w->draft);
    if (x->count == AT_ONCE || x->bytes >= BYTES_AT_ONCE)
        return commit(x);
    return true;
}

/* ---- mbox --------------------------------------------------------------------------------- */

static void on_mbox_begin(void *context, int64_t date, int zone)
{
    begin_message(context, date, zone);
}

static void on_mbox_bytes(void *context, struct span bytes)
{
    struct importing *x = context;

    mailstore_draft_add(x->waiting[x->count].draft, bytes);
}

static void on_mbox_end(void *context, uint32_t flags, struct span keywords)
{
    end_message(context, flags, keywords);
}

static bool read_mbox(struct importing *x, int fd)
{
    static const struct mbox_handler handler = {on_mbox_begin, on_mbox_bytes, on_mbox_end};
    struct mbox_reader reader;
    char *room = mem_alloc(READ_SIZE);
    bool done = true;
    ssize_t got = 1;

    mbox_reader_init(&reader, &handler, x);
    while (done && got > 0 && !x->is_broken) {
        got = read(fd, room, READ_SIZE);
        if (got < 0)
            complain_of(x, x->file, strerror(errno));
        else if (got > 0)
            done = mbox_reader_feed(&reader, span_of(room, (size_t)got));
    }
    done = mbox_reader_end(&reader) && done;
    mbox_reader_fini(&reader);
    free(room);
    if (!done)
        complain_of(x, x->file, "this is no mbox: it does not begin with a From line");
    return commit(x);
}

static bool import_mbox(struct importing *x, const char *path, struct span name)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    x->file = path;
    if (fd < 0)
        return complain_of(x, path, strerror(errno));
    bool done = enter_box(x, name) && read_mbox(x, fd);
    close(fd);
    return done;
}

/* ---- maildir ------------------------------------------------------------------------------ */

struct line_ends {
    bool is_known;
    bool are_lf; /* they become CRLF */
    bool had_cr;
};

static void add_with_mail_ends(struct mailstore_draft *draft, struct line_ends *ends,
                               struct span bytes)
{
    while (bytes.len > 0) {
        size_t end = span_index(bytes, '\n');
        bool had_cr = end > 0 ? bytes.ptr[end - 1] == '\r' : ends->had_cr;

        if (end == bytes.len) {
            mailstore_draft_add(draft, bytes);
            ends->had_cr = bytes.ptr[bytes.len - 1] == '\r';
            return;
        }
        if (!ends->is_known)
            ends->are_lf = !had_cr;
        ends->is_known = true;
        mailstore_draft_add(draft, span_head(bytes, end));
        mailstore_draft_add(draft, ends->are_lf && !had_cr ? SPAN("\r\n") : SPAN("\n"));
        ends->had_cr = false;
        bytes = span_from(bytes, end + 1);
    }
}

static bool read_message(struct importing *x, int fd, struct mailstore_draft *draft)
{
    struct line_ends ends = {.is_known = false};
    char *room = mem_alloc(READ_SIZE);
    ssize_t got;

    while ((got = read(fd, room, READ_SIZE)) > 0)
        add_with_mail_ends(draft, &ends, span_of(room, (size_t)got));
    free(room);
    return got == 0 || complain_of(x, x->file, strerror(errno));
}

/* The names of a folder's keywords by their letters. */
struct letters {
    char *names[NAMES_KEYWORDS_MAX];
};

static void read_letters(const char *folder, struct letters *out)
{
    char path[4096], line[256], name[200];
    unsigned number;

    *out = (struct letters){.names = {NULL}};
    snprintf(path, sizeof path, "%s/dovecot-keywords", folder);
    FILE *file = fopen(path, "re");
    while (file != NULL && fgets(line, sizeof line, file) != NULL)
        if (sscanf(line, "%u %199s", &number, name) == 2 && number < NAMES_KEYWORDS_MAX &&
            out->names[number] == NULL)
            out->names[number] = mem_strdup(name);
    if (file != NULL)
        fclose(file);
}

static void write_words(const struct letters *letters, uint32_t bits, bool is_forwarded,
                        struct buf *out)
{
    bool is_named = false;

    for (unsigned i = 0; i < NAMES_KEYWORDS_MAX; i++)
        if ((bits & 1u << i) != 0 && letters->names[i] != NULL) {
            buf_addf(out, "%s ", letters->names[i]);
            is_named |= strcasecmp(letters->names[i], NAMES_FORWARDED) == 0;
        }
    if (is_forwarded && !is_named)
        buf_add_text(out, NAMES_FORWARDED);
}

static bool import_file(struct importing *x, const char *path, const char *name,
                        const struct letters *letters)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    uint32_t flags, bits;
    bool is_forwarded;
    struct stat st;
    struct buf words;

    x->file = path;
    if (fd < 0 || fstat(fd, &st) != 0) {
        int why = errno;
        if (fd >= 0)
            close(fd);
        return why == ENOENT || complain_of(x, path, strerror(why)); /* moved to cur, or gone */
    }
    names_read_flags(span_cstr(name), &flags, &is_forwarded, &bits);
    buf_init(&words, 0);
    write_words(letters, bits, is_forwarded, &words);
    struct waiting *w = begin_message(x, st.st_mtim.tv_sec, 0);
    bool done = read_message(x, fd, w->draft);
    done = end_message(x, flags, span_trim(buf_span(&words))) && done;
    buf_fini(&words);
    close(fd);
    return done;
}

static int is_message(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

static bool import_part(struct importing *x, const char *folder, const char *part,
                        const struct letters *letters)
{
    struct dirent **entries = NULL;
    char path[4096];
    bool done = true;

    snprintf(path, sizeof path, "%s/%s", folder, part);
    int count = scandir(path, &entries, is_message, versionsort); /* by the dates in front */
    if (count < 0)
        return errno == ENOENT || complain_of(x, path, strerror(errno));
    for (int i = 0; i < count; i++) {
        int len = snprintf(path, sizeof path, "%s/%s/%s", folder, part, entries[i]->d_name);
        if (len < 0 || (size_t)len >= sizeof path)
            done = complain_of(x, folder, strerror(ENAMETOOLONG));
        else
            done = done && import_file(x, path, entries[i]->d_name, letters);
        free(entries[i]);
    }
    free(entries);
    return done;
}

static bool import_maildir(struct importing *x, const char *folder, struct span name)
{
    struct letters letters;

    x->file = folder;
    if (!enter_box(x, name))
        return false;
    read_letters(folder, &letters);
    bool done = import_part(x, folder, "cur", &letters) &&
                import_part(x, folder, "new", &letters) && commit(x);
    for (unsigned i = 0; i < NAMES_KEYWORDS_MAX; i++)
        free(letters.names[i]);
    return done;
}

/* ---- what the path is --------------------------------------------------------------------- */

static bool is_folder(const char *folder, const char *part)
{
    char path[4096];
    struct stat st;
    int len = snprintf(path, sizeof path, "%s/%s", folder, part);

    return len > 0 && (size_t)len < sizeof path && stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* Below the one that the import goes into; INBOX is that itself. */
static bool name_box(struct importing *x, struct span file, struct buf *name)
{
    struct span into = x->transfer->name;
    struct buf found;

    buf_init(&found, 0);
    bool is_good = names_decode(file, &found);
    buf_add(name, into);
    if (into.len == 0 || !span_equal(buf_span(&found), SPAN("INBOX"))) {
        buf_add_text(name, into.len > 0 ? "/" : "");
        buf_add(name, buf_span(&found));
    }
    buf_fini(&found);
    return is_good || complain_of(x, x->file, "no mailbox can be called so");
}

static int is_wanted(const struct dirent *entry)
{
    return strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
}

/* One thing in a folder: ".Name" of a maildir, or NAME.mbox of others. */
static bool import_entry(struct importing *x, const char *folder, const char *entry,
                         bool is_of_maildir)
{
    struct span file = span_cstr(entry);
    char path[4096];
    struct buf name;
    bool done = true;
    int len = snprintf(path, sizeof path, "%s/%s", folder, entry);

    if (len < 0 || (size_t)len >= sizeof path)
        return complain_of(x, folder, strerror(ENAMETOOLONG));
    bool is_one = is_of_maildir ? entry[0] == '.' && is_folder(path, "cur")
                                : span_ends_nocase(file, SPAN(".mbox"));
    if (!is_one)
        return true;
    x->file = path;
    buf_init(&name, 0);
    if (is_of_maildir)
        done = name_box(x, span_from(file, 1), &name) && import_maildir(x, path, buf_span(&name));
    else
        done = name_box(x, span_head(file, file.len - 5), &name) &&
               import_mbox(x, path, buf_span(&name));
    buf_fini(&name);
    return done;
}

static bool import_folder(struct importing *x, const char *folder)
{
    bool is_of_maildir = is_folder(folder, "cur");
    struct span into = x->transfer->name;
    struct dirent **entries = NULL;
    bool done = true;

    if (is_of_maildir)
        done = import_maildir(x, folder, into.len > 0 ? into : SPAN("INBOX"));
    int count = scandir(folder, &entries, is_wanted, versionsort);
    if (count < 0)
        return complain_of(x, folder, strerror(errno));
    for (int i = 0; i < count; i++) {
        done = done && import_entry(x, folder, entries[i]->d_name, is_of_maildir);
        free(entries[i]);
    }
    free(entries);
    x->file = folder;
    if (done && x->transfer->boxes == 0)
        return complain_of(x, folder, "neither a maildir nor a folder of files NAME.mbox");
    return done;
}

bool mailbox_import(struct mailbox_transfer *transfer, struct buf *problem)
{
    struct importing *x = mem_zalloc(sizeof *x);
    struct span into = transfer->name;
    struct stat st;
    bool done;

    *x = (struct importing){.transfer = transfer, .problem = problem, .file = transfer->path};
    buf_init(&x->box, 0);
    transfer->messages = transfer->boxes = transfer->all = 0;
    if (stat(transfer->path, &st) != 0)
        done = complain_of(x, transfer->path, strerror(errno));
    else if (S_ISDIR(st.st_mode))
        done = import_folder(x, transfer->path);
    else
        done = import_mbox(x, transfer->path, into.len > 0 ? into : SPAN("INBOX"));
    forget(x);
    buf_fini(&x->box);
    free(x);
    return done;
}
