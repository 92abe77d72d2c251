/*
 * file: regular files that an administrator writes and we read, with messages for people; and the
 * folders that are ours.
 *
 * Any thread; all of it blocks.
 */
#ifndef SMARTHOP_BASE_FILE_H
#define SMARTHOP_BASE_FILE_H

#include "base/buf.h"
#include "base/err.h"

#include <sys/stat.h>

/* Opens it for reading; refuses what is no regular file or has more than `size_max` bytes. *st_out
 * is of the very file that was opened, and stays as it was where there is none. On failure
 * `messages` has a line, "file: why". */
struct err file_open(const char *file, uint64_t size_max, int *fd_out, struct stat *st_out,
                     struct buf *messages);

/* At most `size` bytes; *len_out is 0 at the end of the file only. */
struct err file_read(int fd, char *room, size_t size, size_t *len_out);

/* All of a file that file_open would open, appended to `out`, of which nothing is taken back on
 * failure. */
struct err file_read_all(const char *file, uint64_t size_max, struct stat *st_out,
                         struct buf *messages, struct buf *out);

/* A folder for us alone, and the one that it lies in where that is missing, so that a first start
 * needs no preparation. ERR_OK where it is there. */
struct err file_make_folder(const char *path);

#endif
