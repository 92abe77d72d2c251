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
#include <unistd.h>

#define DATA       "data.mdb"
#define UNFINISHED DATA ".new"

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

struct err kv_create_data(const struct kv *kv)
{
    struct buf path;

    if (faccessat(kv->folder, DATA, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
        return ERR_OK;
    if (errno != ENOENT)
        return err_system(errno, "look for the store's data");
    buf_init(&path, 0);
    buf_addf(&path, "%s/" UNFINISHED "%c", kv->path, '\0');
    struct err e = make_unfinished(buf_span(&path).ptr);
    buf_fini(&path);
    if (!err_is(e) && renameat(kv->folder, UNFINISHED, kv->folder, DATA) != 0)
        e = err_system(errno, "name the store's data");
    return e;
}
