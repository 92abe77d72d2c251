/*
 * The watch over free room in the disk and in the map, and the reserve file. All of it is the
 * writer thread's.
 */
#include "base/kv_private.h"

#include "base/clock.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum {
    FREE_COUNT_MS = 200,     /* how often the free list is counted while room is short */
    RESERVE_RETRY_MS = 1000, /* how often a reserve that is missing is asked for */
    EXTEND_LEAST = 1 << 20,  /* bytes by which the file grows in one step */
    EXTEND_MOST = 4 << 20,   /* more, written at once, would be felt by who waits for a commit */
};

/* Takes the blocks of a new file, or leaves none of it. */
static int fill_file(const struct kv *kv, const char *name, uint64_t size)
{
    int fd = openat(kv->folder, name, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

    if (fd < 0)
        return errno;
    int rc = posix_fallocate(fd, 0, (off_t)size);
    close(fd);
    if (rc != 0)
        unlinkat(kv->folder, name, 0);
    return rc;
}

void kv_reserve_find(struct kv *kv)
{
    struct stat st;

    kv->reserve_held = kv->reserve > 0 &&
                       fstatat(kv->folder, KV_RESERVE, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
                       (uint64_t)st.st_size >= kv->reserve;
}

static void reserve_make(struct kv *kv, uint64_t now, uint64_t disk_free)
{
    if (kv->reserve == 0 || kv->reserve_held || disk_free <= kv->low_water + kv->reserve)
        return;
    if (kv->reserve_tried != 0 && now - kv->reserve_tried < RESERVE_RETRY_MS)
        return;
    kv->reserve_tried = now;
    kv->reserve_held = fill_file(kv, KV_RESERVE, kv->reserve) == 0;
}

bool kv_reserve_give_up(struct kv *kv)
{
    if (!kv->reserve_held)
        return false;
    kv->reserve_held = false;
    kv->reserve_tried = clock_mono_ms();
    log_failure(LOG_ERROR, "store-reserve-used", err_make(ERR_NO_SPACE, "disk"), "path", kv->path);
    return unlinkat(kv->folder, KV_RESERVE, 0) == 0;
}

/* Free pages inside the file, which new data may take. Walks LMDB's own free list, so it is asked
 * only when the map is nearly used up. */
static uint64_t free_pages(struct kv *kv)
{
    MDB_txn *txn;
    MDB_cursor *cursor;
    MDB_val key, value;
    uint64_t pages = 0;

    if (mdb_txn_begin(kv->env, NULL, MDB_RDONLY, &txn) != 0)
        return 0;
    if (mdb_cursor_open(txn, 0, &cursor) == 0) {
        while (mdb_cursor_get(cursor, &key, &value, MDB_NEXT) == 0) {
            size_t count;
            memcpy(&count, value.mv_data, sizeof count);
            pages += count;
        }
        mdb_cursor_close(cursor);
    }
    mdb_txn_abort(txn);
    return pages;
}

/* What the file can take without growing; counted anew only now and then. */
static uint64_t free_inside(struct kv *kv, uint64_t now, uint64_t page_size)
{
    if (kv->free_counted == 0 || now - kv->free_counted >= FREE_COUNT_MS) {
        kv->free_counted = now;
        kv->free_bytes = free_pages(kv) * page_size;
    }
    return kv->free_bytes;
}

/* Blocks that the file has been given ahead of its need are its own to fill. Asked only where that
 * decides: behind a stat of a file its next write changes the inode, which a sync then writes. */
static uint64_t blocks_ahead(struct kv *kv, uint64_t used)
{
    struct stat st;
    int fd;

    if (mdb_env_get_fd(kv->env, &fd) != 0 || fstat(fd, &st) != 0)
        return 0;
    uint64_t blocks = (uint64_t)st.st_blocks * 512;
    return blocks > used ? blocks - used : 0;
}

/* What is still to be had is what the file may grow by, in the map and on the disk, and what is
 * free inside it: it never shrinks, so after a full disk the latter may be all there is. */
static bool is_low(struct kv *kv, uint64_t now)
{
    struct statvfs fs = {0};
    MDB_envinfo info;
    MDB_stat stat;

    mdb_env_info(kv->env, &info);
    mdb_env_stat(kv->env, &stat);
    uint64_t used = (uint64_t)(info.me_last_pgno + 1) * stat.ms_psize;
    uint64_t left = used < info.me_mapsize ? info.me_mapsize - used : 0;
    atomic_store(&kv->map_used, used);
    if (fstatvfs(kv->folder, &fs) == 0) {
        uint64_t disk = (uint64_t)fs.f_bavail * fs.f_frsize;
        atomic_store(&kv->disk_free, disk);
        reserve_make(kv, now, disk);
        if (disk < kv->low_water)
            disk += blocks_ahead(kv, used);
        if (disk < left)
            left = disk;
    }
    if (kv->low_inodes > 0 && fs.f_files > 0 && fs.f_favail < kv->low_inodes)
        return true;
    return left < kv->low_water && left + free_inside(kv, now, stat.ms_psize) < kv->low_water;
}

void kv_check_room(struct kv *kv)
{
    struct log_line line;
    bool low = is_low(kv, clock_mono_ms());

    if (low == atomic_exchange(&kv->low, low))
        return;
    if (log_begin(&line, low ? LOG_ERROR : LOG_INFO, low ? "store-low" : "store-room")) {
        log_text(&line, "path", kv->path);
        log_u64(&line, "disk_free", atomic_load(&kv->disk_free));
        log_u64(&line, "map_used", atomic_load(&kv->map_used));
        log_u64(&line, "low_water", kv->low_water);
        log_text(&line, "text",
                 low ? "nothing is added until there is room" : "there is room again");
        log_end(&line);
    }
}

struct err kv_probe_room(const struct kv *kv, uint64_t bytes)
{
    int rc = fill_file(kv, "probe", bytes);

    if (rc == 0)
        unlinkat(kv->folder, "probe", 0);
    return rc == 0 ? ERR_OK : err_system(rc, "probe");
}

/* ---- the file's name ---------------------------------------------------------------------- */

struct err kv_know_file(struct kv *kv)
{
    int fd;
    int rc = mdb_env_get_fd(kv->env, &fd);

    if (rc == 0 && statx(fd, "", AT_EMPTY_PATH, STATX_INO, &kv->file) != 0)
        rc = errno;
    return kv_error(rc, "look at the store's data");
}

/* No times are asked for: behind that a file's next write changes the inode, which the sync then
 * has to write as well. */
static bool has_its_file(const struct kv *kv)
{
    struct statx named;

    if (statx(kv->folder, KV_DATA, AT_SYMLINK_NOFOLLOW, STATX_INO, &named) != 0)
        return errno != ENOENT;
    return named.stx_ino == kv->file.stx_ino && named.stx_dev_major == kv->file.stx_dev_major &&
           named.stx_dev_minor == kv->file.stx_dev_minor;
}

void kv_check_file(struct kv *kv)
{
    if (has_its_file(kv) || atomic_exchange(&kv->detached, true))
        return;
    log_failure(LOG_ERROR, "store-gone", err_make(ERR_NOT_FOUND, KV_DATA), "path", kv->path);
}

/* ---- the file's growth -------------------------------------------------------------------- */

static uint64_t next_size(const struct kv *kv, uint64_t used, uint64_t map_size)
{
    uint64_t step = used / 8;

    if (step < EXTEND_LEAST)
        step = EXTEND_LEAST;
    if (step > EXTEND_MOST)
        step = EXTEND_MOST;
    uint64_t size = (kv->extended > used ? kv->extended : used) + step;
    return size < map_size ? size : map_size;
}

void kv_extend(struct kv *kv)
{
    uint64_t used = atomic_load(&kv->map_used);
    MDB_envinfo info;
    MDB_stat stat;
    char page[65536];
    int fd;

    if (used + EXTEND_LEAST / 2 <= kv->extended || atomic_load(&kv->low))
        return;
    mdb_env_info(kv->env, &info);
    mdb_env_stat(kv->env, &stat);
    uint64_t from = kv->extended > used ? kv->extended : used;
    kv->extended = next_size(kv, used, info.me_mapsize);
    if (mdb_env_get_fd(kv->env, &fd) != 0 || stat.ms_psize > sizeof page ||
        fallocate(fd, 0, 0, (off_t)kv->extended) != 0)
        return; /* LMDB grows the file itself then */
    memset(page, 0, stat.ms_psize);
    for (uint64_t at = from; at < kv->extended; at += stat.ms_psize)
        if (pwrite(fd, page, stat.ms_psize, (off_t)at) <= 0)
            break;
}
