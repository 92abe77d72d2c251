#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

static struct err tell(struct buf *messages, const char *file, struct err e)
{
    char text[ERR_TEXT_MAX];

    buf_addf(messages, "%s: %s\n", file, err_text(e, text));
    return e;
}

static struct err refuse(struct buf *messages, const char *file, const char *why)
{
    buf_addf(messages, "%s: %s\n", file, why);
    return err_make(ERR_INVALID, "open file");
}

static struct err check(int fd, const char *file, uint64_t size_max, struct stat *st_out,
                        struct buf *messages)
{
    if (fstat(fd, st_out) != 0)
        return tell(messages, file, err_system(errno, "stat file"));
    if (!S_ISREG(st_out->st_mode))
        return refuse(messages, file, "this is not a file");
    if ((uint64_t)st_out->st_size > size_max)
        return refuse(messages, file, "the file is too large");
    return ERR_OK;
}

struct err file_open(const char *file, uint64_t size_max, int *fd_out, struct stat *st_out,
                     struct buf *messages)
{
    int fd = open(file, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

    *fd_out = -1;
    if (fd < 0)
        return tell(messages, file, err_system(errno, "open file"));
    struct err e = check(fd, file, size_max, st_out, messages);
    if (err_is(e))
        close(fd);
    else
        *fd_out = fd;
    return e;
}

struct err file_read(int fd, char *room, size_t size, size_t *len_out)
{
    ssize_t n;

    do
        n = read(fd, room, size);
    while (n < 0 && errno == EINTR);
    *len_out = n > 0 ? (size_t)n : 0;
    return n < 0 ? err_system(errno, "read file") : ERR_OK;
}

/* One that has grown meanwhile is as large as it may be, too. */
static struct err read_up_to(int fd, uint64_t size_max, struct buf *out)
{
    enum { PIECE = 65536 };
    size_t before = buf_len(out), len;

    do {
        struct err e = file_read(fd, buf_reserve(out, PIECE), PIECE, &len);
        if (err_is(e))
            return e;
        buf_commit(out, len);
        if (buf_len(out) - before > size_max)
            return err_make(ERR_INVALID, "the file is too large");
    } while (len > 0);
    return ERR_OK;
}

struct err file_read_all(const char *file, uint64_t size_max, struct stat *st_out,
                         struct buf *messages, struct buf *out)
{
    int fd;
    struct err e = file_open(file, size_max, &fd, st_out, messages);

    if (err_is(e))
        return e;
    e = read_up_to(fd, size_max, out);
    close(fd);
    return err_is(e) ? tell(messages, file, e) : ERR_OK;
}

struct err file_make_folder(const char *path)
{
    struct span above = span_head(span_cstr(path), span_rindex(span_cstr(path), '/'));
    int rc = mkdir(path, 0700);

    if (rc != 0 && errno == ENOENT && above.len > 0 && above.len < strlen(path)) {
        char *parent = span_to_text(above);
        rc = mkdir(parent, 0700);
        free(parent);
        if (rc == 0)
            rc = mkdir(path, 0700);
    }
    return rc == 0 || errno == EEXIST ? ERR_OK : err_system(errno, "make the folder");
}
