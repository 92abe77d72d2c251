/*
 * The first start. LMDB writes the two pages at the head of a new data file without a sync, so a
 * power cut could leave a file that has its size but not its head, and that no later start can
 * open. So the file is made under another name and gets its own once it is on the disk whole: after
 * a cut data.mdb is either absent, as before the first start, or an empty environment.
 */
#include "base/kv_private.h"

#include "base/buf.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define UNFINISHED KV_DATA ".new"

/* What a cut has left of it is of no use. */
static struct err make_unfinished(const char *path)
{
    MDB_env *env;
    int rc = mdb_env_create(&env);

    if (rc != 0)
        return kv_error(rc, "create store");
    rc = unlink(path) != 0 && errno != ENOENT ? errno : 0;
    if (rc == 0)
        rc = mdb_env_open(env, path, MDB_NOSUBDIR | MDB_NOLOCK, 0600);
    if (rc == 0)
        rc = mdb_env_sync(env, 1);
    mdb_env_close(env);
    return kv_error(rc, "create store");
}

/* An empty one never had this name: somebody has cut it. To LMDB it would be a new one. A
 * compaction that was killed has left a copy, as large as the data maybe. */
static struct err take_found(const struct kv *kv, const struct stat *found)
{
    if (found->st_size == 0)
        return err_make(ERR_CORRUPT, KV_DATA " is empty");
    unlinkat(kv->folder, UNFINISHED, 0);
    return ERR_OK;
}

struct err kv_create_data(const struct kv *kv)
{
    struct buf path;
    struct stat found;

    if (fstatat(kv->folder, KV_DATA, &found, AT_SYMLINK_NOFOLLOW) == 0)
        return take_found(kv, &found);
    if (errno != ENOENT)
        return err_system(errno, "look for the store's data");
    buf_init(&path, 0);
    buf_addf(&path, "%s/" UNFINISHED "%c", kv->path, '\0');
    struct err e = make_unfinished(buf_span(&path).ptr);
    buf_fini(&path);
    if (!err_is(e) && renameat(kv->folder, UNFINISHED, kv->folder, KV_DATA) != 0)
        e = err_system(errno, "name the store's data");
    return e;
}

/* ---- compacting --------------------------------------------------------------------------- */

static struct err try_copy(const struct kv *kv)
{
    int fd = openat(kv->folder, UNFINISHED, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    if (fd < 0)
        return err_system(errno, "compact store");
    int rc = mdb_env_copyfd2(kv->env, fd, MDB_CP_COMPACT);
    if (rc == 0 && fsync(fd) != 0)
        rc = errno;
    close(fd);
    return kv_error(rc, "compact store");
}

/* Where the file itself has filled the disk the reserve's room may do for what is left in it; the
 * next start makes it anew. */
static struct err copy_data(const struct kv *kv)
{
    struct err e = try_copy(kv);

    if (e.kind == ERR_NO_SPACE && unlinkat(kv->folder, KV_RESERVE, 0) == 0)
        e = try_copy(kv);
    return e;
}

/* LMDB's own lock, as the first to open an environment takes it: nobody else has it open, and
 * whoever opens it now waits until we are gone, and finds the new file. */
static struct err be_alone(const struct kv *kv, int *lock_out)
{
    struct flock all = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 1};

    *lock_out = openat(kv->folder, "lock.mdb", O_RDWR | O_CLOEXEC);
    if (*lock_out < 0)
        return err_system(errno, "compact store");
    if (fcntl(*lock_out, F_SETLK, &all) == 0)
        return ERR_OK;
    return err_make(ERR_CONFLICT, "another program is reading the store");
}

struct err kv_compact(struct kv *kv)
{
    int lock = -1;
    struct err e = copy_data(kv);

    if (!err_is(e))
        e = be_alone(kv, &lock);
    if (!err_is(e))
        atomic_store(&kv->detached, true); /* the writer's idle look need not tell of it */
    if (!err_is(e) && renameat(kv->folder, UNFINISHED, kv->folder, KV_DATA) != 0)
        e = err_system(errno, "compact store");
    if (!err_is(e) && fsync(kv->folder) != 0)
        e = err_system(errno, "compact store");
    if (err_is(e))
        unlinkat(kv->folder, UNFINISHED, 0);
    if (lock >= 0)
        close(lock);
    return e;
}
