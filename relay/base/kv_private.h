/* What kv.c, kv_room.c and kv_txn.c share; nobody else includes it. */
#ifndef SMARTHOP_BASE_KV_PRIVATE_H
#define SMARTHOP_BASE_KV_PRIVATE_H

#include "base/kv.h"

#include <lmdb.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>

#define KV_DATA    "data.mdb"
#define KV_RESERVE "reserve"

struct kv {
    MDB_env *env;
    MDB_dbi tables[KV_TABLES_MAX];
    char *path;
    int folder;
    int lock_fd;
    uint64_t low_water;
    uint64_t low_inodes;
    uint64_t reserve;

    pthread_t thread;
    bool writing;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct list pending;    /* under lock */
    unsigned pending_count; /* under lock */
    unsigned wake_at;       /* under lock: the count at which the writer wants to be woken */
    bool closing;           /* under lock */

    /* The writer's own. */
    bool reserve_held;
    uint64_t reserve_tried; /* when it was last asked for or given up; 0 = never */
    uint64_t abandoned;     /* write transactions that came to nothing */
    uint64_t free_counted;  /* when; 0 = the count is stale */
    uint64_t free_bytes;    /* inside the file, as counted, less what was put since */
    uint64_t readers_checked;
    uint64_t gather_ms;
    bool gathering;
    uint64_t extended; /* the file has been given blocks up to here */
    struct statx file; /* which one was opened */

    _Atomic uint64_t commits;
    _Atomic uint64_t operations;
    _Atomic uint64_t failed_commits;
    _Atomic uint64_t map_used;
    _Atomic uint64_t disk_free;
    atomic_bool low;
    atomic_bool broken;
    atomic_bool detached; /* the data file is not the one in the folder any more */
};

struct kv_txn {
    struct kv *kv;
    MDB_txn *txn;
    bool touched; /* the operation that runs has changed something, or may have */
    size_t bytes; /* put so far */
};

struct err kv_error(int rc, const char *where);

/* ---- kv_create.c ---- */

/* Makes the data file where there is none; holding the owner's lock. */
struct err kv_create_data(const struct kv *kv);

/* ---- kv_room.c: on the writer thread ---- */

/* Brings kv->low up to date, and makes the reserve where it is missing. */
void kv_check_room(struct kv *kv);
/* Remembers which data file was opened, for kv_check_file. */
struct err kv_know_file(struct kv *kv);
/* Notices that the data file has been removed or replaced. */
void kv_check_file(struct kv *kv);
/* Takes over the reserve of a former process. */
void kv_reserve_find(struct kv *kv);
/* Gives the reserve's blocks back to the disk. False where there were none left. */
bool kv_reserve_give_up(struct kv *kv);
/* Gives the file blocks ahead of its need, and fills them, so that a commit seldom has to make
 * room: a file's size, and a block's first write where it was only reserved, are metadata, which
 * each sync writes and waits for apart from the data. Filled one by one, since pages that enter the
 * cache by one large write lie in large folios, and then each small change counts, and on some file
 * systems is written, as a whole folio. Behind kv_check_room: nothing that is in use is touched. */
void kv_extend(struct kv *kv);
/* Whether a file of that size could be made. */
struct err kv_probe_room(const struct kv *kv, uint64_t bytes);

#endif
