/*
 * fail_io: a library to be preloaded into the daemon. It makes writes and syncs of the store's
 * data file fail, records them so that a power cut can be played back, and shifts the wall clock.
 * All of it is told by files, which may come, change and go while the daemon runs.
 *
 *   FAIL_IO_SPEC    "write|fill|sync|meta|any WHAT FIRST EVERY": from the FIRSTth such call after
 *                   the file appeared or changed on, each EVERYth fails with WHAT, an errno; or the
 *                   process is killed, where WHAT is "kill" before the call, and where it is
 *                   "kill-after" behind it. No file, no faults. A fill is a write that only gives
 *                   the file room; any is all but that.
 *   FAIL_IO_HITS    a byte is appended here for each call that has failed.
 *   FAIL_IO_STORE   the name of a store's folder: only this one is meant, not all of the daemon's.
 *   FAIL_IO_RECORD  every write and sync of the data file is appended here, see struct record.
 *   FAIL_IO_CLOCK   seconds by which CLOCK_REALTIME is ahead.
 */
#include "support/fill.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum {
    SPEC_MAX = 128,
    KILL_AFTER = -1, /* in the place of an errno */
};

enum record_kind {
    RECORD_WRITE = 1,      /* in the page cache */
    RECORD_SYNC = 2,       /* all writes before are on the disk */
    RECORD_SYNC_WRITE = 3, /* this write is on the disk, through a descriptor with O_DSYNC */
};

/* Followed by `len` bytes. Written when the call has returned. */
struct record {
    uint64_t kind;
    uint64_t began_ns; /* CLOCK_MONOTONIC, before the call */
    uint64_t offset;
    uint64_t len;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char spec[SPEC_MAX]; /* under lock */
static long counted;        /* under lock: calls since the spec changed */

static void *next_of(const char *name)
{
    void *next = dlsym(RTLD_NEXT, name);

    if (next == NULL)
        abort();
    return next;
}

static int ends_with(const char *path, size_t len, const char *end)
{
    size_t tail = strlen(end);

    return len >= tail && memcmp(path + len - tail, end, tail) == 0;
}

/* By the name of the file, as LMDB has one descriptor for pages and one for its meta pages. At the
 * first start it is made under another name. */
static int is_data_file(int fd)
{
    char link[64], path[4096], file[512];
    const char *store = getenv("FAIL_IO_STORE");

    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    snprintf(file, sizeof file, "%s%s/data.mdb", store != NULL ? "/" : "",
             store != NULL ? store : "");
    ssize_t len = readlink(link, path, sizeof path);
    if (len > 4 && ends_with(path, (size_t)len, ".new"))
        len -= 4;
    return len > 0 && ends_with(path, (size_t)len, file);
}

static int is_synced_descriptor(int fd)
{
    return (fcntl(fd, F_GETFL) & O_DSYNC) != 0;
}

/* ---- faults ---- */

static size_t read_small(const char *variable, char *out, size_t room)
{
    const char *path = getenv(variable);
    int fd = path != NULL ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    ssize_t len = fd >= 0 ? read(fd, out, room - 1) : 0;

    if (fd >= 0)
        close(fd);
    out[len > 0 ? len : 0] = '\0';
    return len > 0 ? (size_t)len : 0;
}

static void die(void)
{
    kill(getpid(), SIGKILL);
    pause(); /* the kernel may let this thread go on for a moment */
}

static const char *kind_of(const struct iovec *pieces, int count, int is_synced)
{
    if (is_synced)
        return "meta";
    return count == 1 && is_fill(pieces->iov_base, pieces->iov_len) ? "fill" : "write";
}

static int is_meant(const char *wanted, const char *call)
{
    if (strcmp(wanted, "any") == 0)
        return strcmp(call, "fill") != 0;
    return strcmp(wanted, call) == 0;
}

static void note_hit(void)
{
    const char *path = getenv("FAIL_IO_HITS");
    int fd = path != NULL ? open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600) : -1;

    if (fd < 0)
        return;
    if (syscall(SYS_write, fd, "!", 1) != 1)
        abort();
    close(fd);
}

/* The errno with which this call is to fail, KILL_AFTER, or 0. */
static int fault_for(const char *call)
{
    char now[SPEC_MAX], wanted[16], what[16];
    int due = 0;
    long first = 1, every = 1;

    pthread_mutex_lock(&lock);
    read_small("FAIL_IO_SPEC", now, sizeof now);
    if (strcmp(now, spec) != 0) {
        memcpy(spec, now, sizeof spec);
        counted = 0;
    }
    if (sscanf(spec, "%15s %15s %ld %ld", wanted, what, &first, &every) == 4 &&
        is_meant(wanted, call)) {
        counted++;
        due = counted >= first && (counted - first) % every == 0;
    }
    pthread_mutex_unlock(&lock);
    if (!due)
        return 0;
    note_hit();
    if (strcmp(what, "kill") == 0)
        die();
    return strcmp(what, "kill-after") == 0 ? KILL_AFTER : (int)strtol(what, NULL, 10);
}

/* ---- the record ---- */

static uint64_t monotonic_ns(void)
{
    struct timespec now;

    syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static int record_fd(void)
{
    static int fd = -1;
    const char *path = getenv("FAIL_IO_RECORD");

    if (fd < 0 && path != NULL)
        fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    return fd;
}

static void put(int fd, const void *data, size_t len)
{
    if (syscall(SYS_write, fd, data, len) != (long)len)
        abort(); /* a record with a hole would accuse the daemon */
}

static void record(enum record_kind kind, uint64_t began_ns, off_t offset,
                   const struct iovec *pieces, int count, ssize_t written)
{
    pthread_mutex_lock(&lock);
    int fd = record_fd();
    if (fd >= 0) {
        struct record head = {kind, began_ns, (uint64_t)offset, (uint64_t)written};
        put(fd, &head, sizeof head);
        for (int i = 0; i < count && written > 0; i++) {
            size_t len = pieces[i].iov_len;
            len = len < (size_t)written ? len : (size_t)written;
            put(fd, pieces[i].iov_base, len);
            written -= (ssize_t)len;
        }
    }
    pthread_mutex_unlock(&lock);
}

/* ---- the calls ---- */

static ssize_t write_at(int fd, const struct iovec *pieces, int count, off_t offset, int seeks)
{
    static ssize_t (*next)(int, const struct iovec *, int);
    static ssize_t (*next_at)(int, const struct iovec *, int, off_t);

    if (next == NULL) {
        next_at = (ssize_t(*)(int, const struct iovec *, int, off_t))next_of("pwritev");
        next = (ssize_t(*)(int, const struct iovec *, int))next_of("writev");
    }
    if (!is_data_file(fd))
        return seeks ? next(fd, pieces, count) : next_at(fd, pieces, count, offset);
    int synced = is_synced_descriptor(fd), error = fault_for(kind_of(pieces, count, synced));
    if (error > 0) {
        errno = error;
        return -1;
    }
    uint64_t began = monotonic_ns();
    if (seeks)
        offset = lseek(fd, 0, SEEK_CUR);
    ssize_t written = seeks ? next(fd, pieces, count) : next_at(fd, pieces, count, offset);
    if (error == KILL_AFTER)
        die();
    if (written > 0)
        record(synced ? RECORD_SYNC_WRITE : RECORD_WRITE, began, offset, pieces, count, written);
    return written;
}

ssize_t pwrite(int fd, const void *data, size_t len, off_t offset)
{
    struct iovec piece = {(void *)(uintptr_t)data, len};

    return write_at(fd, &piece, 1, offset, 0);
}

ssize_t pwrite64(int fd, const void *data, size_t len, off_t offset)
{
    return pwrite(fd, data, len, offset);
}

ssize_t writev(int fd, const struct iovec *pieces, int count)
{
    return write_at(fd, pieces, count, 0, 1);
}

static int sync_data(int fd, const char *name)
{
    int (*next)(int) = (int (*)(int))next_of(name);

    if (!is_data_file(fd))
        return next(fd);
    int error = fault_for("sync");
    if (error > 0) {
        errno = error;
        return -1;
    }
    uint64_t began = monotonic_ns();
    int rc = next(fd);
    if (error == KILL_AFTER)
        die();
    if (rc == 0)
        record(RECORD_SYNC, began, 0, NULL, 0, 0);
    return rc;
}

int fdatasync(int fd)
{
    return sync_data(fd, "fdatasync");
}

int fsync(int fd)
{
    return sync_data(fd, "fsync");
}

int clock_gettime(clockid_t which, struct timespec *out)
{
    static int (*next)(clockid_t, struct timespec *);
    char text[SPEC_MAX];

    if (next == NULL)
        next = (int (*)(clockid_t, struct timespec *))next_of("clock_gettime");
    int rc = next(which, out);
    if (rc == 0 && which == CLOCK_REALTIME && read_small("FAIL_IO_CLOCK", text, sizeof text) > 0)
        out->tv_sec += atol(text);
    return rc;
}
