#include "auth/users_edit.h"

#include "auth/password.h"
#include "auth/prepare.h"
#include "auth/users_private.h"
#include "base/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

#define HEADER "# Users of smarthopd: smarthop-users(5). smarthopctl user edits this file.\n"

struct editing {
    const struct users_edit *wanted;
    char *file;    /* what symbolic links lead to: they are to stay */
    int folder_fd; /* locked; -1 = not open */
    bool is_new;
    struct stat st; /* of the old file */
    struct buf old;
    struct buf next;
};

/* For the caller to free. */
static char *folder_of(const char *file)
{
    const char *slash = strrchr(file, '/');
    char *folder = mem_strdup(slash == NULL ? "." : file);

    if (slash != NULL)
        folder[slash == file ? 1 : slash - file] = '\0';
    return folder;
}

static struct err lock_folder(struct editing *edit)
{
    char *folder = folder_of(edit->file);

    edit->folder_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    free(folder);
    if (edit->folder_fd < 0)
        return err_system(errno, "open the folder of the users file");
    while (flock(edit->folder_fd, LOCK_EX) != 0)
        if (errno != EINTR)
            return err_system(errno, "lock the folder of the users file");
    return ERR_OK;
}

static struct err check(const struct editing *edit, const struct buf *text, struct buf *messages)
{
    struct users *users;
    struct err e = users_parse(buf_span(text), edit->file, messages, &users);

    if (!err_is(e))
        users_unref(users);
    return e;
}

/* Under the lock. */
static struct err read_old(struct editing *edit, struct buf *messages)
{
    if (edit->wanted->kind == USERS_ADD && access(edit->file, F_OK) != 0 && errno == ENOENT) {
        edit->is_new = true;
        buf_add(&edit->next, SPAN(HEADER));
        return ERR_OK;
    }
    struct err e = users_file_read(edit->file, &edit->old, &edit->st, messages);
    return err_is(e) ? e : check(edit, &edit->old, messages);
}

/* The fields of a line; each but the first has a comma before it. */
struct line {
    struct buf *out;
    struct span old; /* fields that the user's line had */
    bool has_fields;
};

static void begin_field(struct line *line)
{
    buf_add(line->out, line->has_fields ? SPAN(",") : SPAN(":"));
    line->has_fields = true;
}

static bool has_field(struct span fields, struct span wanted)
{
    while (fields.len > 0)
        if (span_equal(span_split(fields, ',', &fields), wanted))
            return true;
    return false;
}

/* Unless the user has it already. */
static void add_field(struct line *line, const char *key, struct span value)
{
    struct buf field;

    buf_init(&field, 0);
    buf_addf(&field, "%s=", key);
    for (size_t i = 0; i < value.len; i++) {
        bool plain = value.ptr[i] != '%' && value.ptr[i] != ',';
        buf_addf(&field, plain ? "%c" : "%%%02X", (unsigned char)value.ptr[i]);
    }
    if (!has_field(line->old, buf_span(&field))) {
        begin_field(line);
        buf_add(line->out, buf_span(&field));
    }
    buf_fini(&field);
}

/* Hash and keys of the new password. */
static void add_password(struct line *line, struct span password)
{
    char hash[PASSWORD_HASH_MAX], text[SCRAM_KEYS_TEXT_MAX];
    struct scram_keys keys;

    if (password.len == 0) {
        buf_add(line->out, SPAN("*"));
        return;
    }
    password_hash(password, hash);
    scram_keys_make(password, &keys);
    buf_add(line->out, span_cstr(hash));
    begin_field(line);
    buf_addf(line->out, USERS_FIELD_SCRAM "=%s", scram_keys_format(&keys, text));
    crypto_cleanse(&keys, sizeof keys);
    crypto_cleanse(text, sizeof text);
    crypto_cleanse(hash, sizeof hash);
}

/* The fields that the line had, but for the keys of a password that is replaced. */
static void keep_fields(struct line *line, bool with_keys)
{
    for (struct span rest = line->old; rest.len > 0;) {
        struct span value;
        struct span field = span_split(rest, ',', &rest);
        if (with_keys || !span_equal(span_split(field, '=', &value), SPAN(USERS_FIELD_SCRAM))) {
            begin_field(line);
            buf_add(line->out, field);
        }
    }
}

/* `hash` and `fields` are those of the user's old line. */
static void add_line(struct editing *edit, struct span name, struct span hash, struct span fields)
{
    const struct users_edit *wanted = edit->wanted;
    struct line line = {.out = &edit->next, .old = fields};
    char text[FINGERPRINT_TEXT_SIZE];
    bool keeps_password = wanted->kind == USERS_ALLOW;

    buf_addf(&edit->next, "%.*s:", SPAN_ARG(name));
    if (keeps_password)
        buf_add(&edit->next, hash);
    else
        add_password(&line, wanted->password);
    keep_fields(&line, keeps_password);
    for (unsigned i = 0; i < wanted->send_as_count; i++)
        add_field(&line, USERS_FIELD_SEND_AS, wanted->send_as[i]);
    for (unsigned i = 0; i < wanted->certificate_count; i++)
        add_field(&line, USERS_FIELD_CERTIFICATE,
                  span_cstr(fingerprint_format(&wanted->certificates[i], text)));
    buf_add(&edit->next, SPAN("\n"));
}

static bool is_line_of(struct span line, struct span name)
{
    struct span found, hash, fields;
    char prepared[AUTH_NAME_MAX];

    return !users_line_is_comment(line) && users_line_split(line, &found, &hash, &fields) &&
           auth_name_prepare(found, prepared) && span_equal(span_of(prepared, found.len), name);
}

/* The new text, from the old one's lines. */
static struct err compose(struct editing *edit)
{
    const struct users_edit *wanted = edit->wanted;
    bool found = false;

    for (struct span rest = buf_span(&edit->old); rest.len > 0;) {
        struct span line = span_split(rest, '\n', &rest);
        struct span written, hash, fields;
        if (!is_line_of(line, wanted->name)) {
            buf_add(&edit->next, line);
            buf_add(&edit->next, SPAN("\n"));
            continue;
        }
        found = true;
        users_line_split(line, &written, &hash, &fields);
        if (wanted->kind != USERS_ADD && wanted->kind != USERS_REMOVE)
            add_line(edit, written, hash, fields);
    }
    if (found != (wanted->kind != USERS_ADD))
        return err_make(found ? ERR_CONFLICT : ERR_NOT_FOUND, "user");
    if (wanted->kind == USERS_ADD)
        add_line(edit, wanted->name, SPAN_NONE, SPAN_NONE);
    return ERR_OK;
}

static struct err write_all(int fd, struct span text)
{
    while (text.len > 0) {
        ssize_t n = write(fd, text.ptr, text.len);
        if (n < 0 && errno != EINTR)
            return err_system(errno, "write users file");
        if (n > 0)
            text = span_from(text, (size_t)n);
    }
    return ERR_OK;
}

/* Whoever runs the daemon reads the file, whoever edits it. */
static struct err keep_owner(const struct editing *edit, int fd)
{
    mode_t mode = edit->is_new ? 0600 : (edit->st.st_mode & 0040) | 0600;

    if (!edit->is_new && fchown(fd, edit->st.st_uid, edit->st.st_gid) != 0)
        return err_system(errno, "keep the owner of the users file");
    return fchmod(fd, mode) == 0 ? ERR_OK : err_system(errno, "chmod users file");
}

static struct err write_temporary(const struct editing *edit, int fd)
{
    struct err e = keep_owner(edit, fd);

    if (!err_is(e))
        e = write_all(fd, buf_span(&edit->next));
    if (!err_is(e) && fsync(fd) != 0)
        e = err_system(errno, "fsync users file");
    return e;
}

static struct err replace(struct editing *edit)
{
    struct buf path;

    buf_init(&path, 0);
    buf_addf(&path, "%s.XXXXXX%c", edit->file, '\0');
    int fd = mkostemp(path.data, O_CLOEXEC);
    if (fd < 0) {
        buf_fini(&path);
        return err_system(errno, "create users file");
    }
    struct err e = write_temporary(edit, fd);
    if (close(fd) != 0 && !err_is(e))
        e = err_system(errno, "close users file");
    if (!err_is(e) && rename(path.data, edit->file) != 0)
        e = err_system(errno, "rename users file");
    if (err_is(e))
        unlink(path.data);
    else if (fsync(edit->folder_fd) != 0)
        e = err_system(errno, "fsync the folder of the users file");
    buf_fini(&path);
    return e;
}

struct err users_edit(const char *file, const struct users_edit *wanted, struct buf *messages)
{
    struct editing edit = {.wanted = wanted, .file = realpath(file, NULL), .folder_fd = -1};

    if (edit.file == NULL)
        edit.file = mem_strdup(file);
    buf_init(&edit.old, 0);
    buf_init(&edit.next, 0);
    struct err e = lock_folder(&edit);
    if (!err_is(e))
        e = read_old(&edit, messages);
    if (!err_is(e))
        e = compose(&edit);
    if (!err_is(e))
        e = check(&edit, &edit.next, messages);
    if (!err_is(e))
        e = replace(&edit);
    if (edit.folder_fd >= 0)
        close(edit.folder_fd);
    users_file_forget(&edit.next);
    users_file_forget(&edit.old);
    free(edit.file);
    return e;
}
