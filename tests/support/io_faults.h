/*
 * io_faults: makes the calls by which LMDB writes fail; what only fills its file is let through. It
 * defines those calls for the whole program, so one file of a program includes it. Any thread may
 * set and clear faults.
 */
#ifndef SMARTHOP_TESTS_IO_FAULTS_H
#define SMARTHOP_TESTS_IO_FAULTS_H

#include "support/fill.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/uio.h>
#include <unistd.h>

static struct {
    _Atomic size_t write_most;   /* a longer writev fails with ENOSPC; 0 = off */
    _Atomic size_t short_most;   /* of a longer writev only the first piece is written; 0 = off */
    const char *_Atomic blocked; /* while this file exists, data writes fail with ENOSPC */
    atomic_int sync_error;       /* errno for fdatasync; 0 = off */
    atomic_int meta_error;       /* errno for the write of the meta page; 0 = off */
    atomic_int allocate_error;   /* errno for posix_fallocate; 0 = off */
    atomic_long countdown;       /* that many writes and syncs later one fails; 0 = off */
    atomic_int counted_error;    /* with this errno */
} faults;

enum { META_BYTES = 256 }; /* LMDB writes part of its meta page only; no data page is so short */

static inline void faults_heal(void)
{
    faults.write_most = faults.short_most = 0;
    faults.blocked = NULL;
    faults.sync_error = faults.meta_error = faults.allocate_error = 0;
    faults.countdown = 0;
}

/* Sets errno and says true where the call is to fail. */
static bool faults_hit(int error)
{
    const char *path = atomic_load(&faults.blocked);

    if (atomic_load(&faults.countdown) > 0 && atomic_fetch_sub(&faults.countdown, 1) == 1)
        error = atomic_load(&faults.counted_error);
    else if (path != NULL && access(path, F_OK) == 0)
        error = ENOSPC;
    errno = error;
    return error != 0;
}

ssize_t writev(int fd, const struct iovec *pieces, int count)
{
    static ssize_t (*next)(int, const struct iovec *, int);
    size_t total = 0, most = atomic_load(&faults.write_most);

    if (next == NULL)
        next = (ssize_t(*)(int, const struct iovec *, int))dlsym(RTLD_NEXT, "writev");
    for (int i = 0; i < count; i++)
        total += pieces[i].iov_len;
    if (faults_hit(most > 0 && total > most ? ENOSPC : 0))
        return -1;
    most = atomic_load(&faults.short_most);
    return most > 0 && total > most ? next(fd, pieces, 1) : next(fd, pieces, count);
}

ssize_t pwrite(int fd, const void *data, size_t len, off_t at)
{
    static ssize_t (*next)(int, const void *, size_t, off_t);

    if (next == NULL)
        next = (ssize_t(*)(int, const void *, size_t, off_t))dlsym(RTLD_NEXT, "pwrite");
    if (!is_fill(data, len) && faults_hit(len < META_BYTES ? atomic_load(&faults.meta_error) : 0))
        return -1;
    return next(fd, data, len, at);
}

int fdatasync(int fd)
{
    static int (*next)(int);

    if (next == NULL)
        next = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
    return faults_hit(atomic_load(&faults.sync_error)) ? -1 : next(fd);
}

int posix_fallocate(int fd, off_t at, off_t len)
{
    static int (*next)(int, off_t, off_t);
    int error = atomic_load(&faults.allocate_error);

    if (next == NULL)
        next = (int (*)(int, off_t, off_t))dlsym(RTLD_NEXT, "posix_fallocate");
    return error != 0 ? error : next(fd, at, len);
}

#endif
