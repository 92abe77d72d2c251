/*
 * The environment, its writer thread and the way a batch is committed. The operations within a
 * transaction are in kv_txn.c, the watch over free room is in kv_room.c, the first start in
 * kv_create.c.
 */
#include "base/kv_private.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <semaphore.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    BATCH_MOST = 1024,       /* operations taken at a time */
    BATCH_BYTES = 16 << 20,  /* put in one transaction: they are in memory until its commit */
    IDLE_CHECK_MS = 1000,    /* without load, to notice that room has come back */
    READER_CHECK_MS = 60000, /* how often slots of killed readers are cleared */
    READERS_MAX = 512,
    GATHER_ON = 3,      /* operations in one unhurried batch from which gathering begins */
    GATHER_LEAST = 4,   /* operations that a gathered batch must have for it to go on */
    GATHER_ENOUGH = 64, /* operations that end the gathering early */
    PROBE_SLACK = 1 << 20,
};

struct err kv_error(int rc, const char *where)
{
    switch (rc) {
    case 0:
        return ERR_OK;
    case MDB_NOTFOUND:
        return err_make(ERR_NOT_FOUND, where);
    case MDB_MAP_FULL:
        return err_make(ERR_NO_SPACE, where);
    case MDB_CORRUPTED:
    case MDB_PAGE_NOTFOUND:
    case MDB_INVALID:
    case MDB_VERSION_MISMATCH:
        return (struct err){ERR_CORRUPT, rc, where};
    default:
        return rc > 0 ? err_system(rc, where) : (struct err){ERR_STORE, rc, where};
    }
}

/* ---- batches ---------------------------------------------------------------------------- */

static void complete(struct kv_op *op)
{
    if (op->home != NULL)
        loop_post(op->home, &op->call);
    else
        op->call.done(&op->call);
}

/* Each with the result that it has. */
static void complete_all(struct list *ops)
{
    for (struct list *node; (node = list_pop(ops)) != NULL;)
        complete(container_of(node, struct kv_op, call.link));
}

static void fail_all(struct list *ops, struct err result)
{
    for (struct list *node = ops->next; node != ops; node = node->next)
        container_of(node, struct kv_op, call.link)->result = result;
    complete_all(ops);
}

/* After a failed sync the kernel may have dropped the pages and marked them clean: a retry would
 * "succeed" without them. So nothing is promised any more until a new process has read what the
 * disk really holds. */
static struct err go_broken(struct kv *kv, int rc)
{
    struct err e = kv_error(rc, "commit");

    if (!atomic_exchange(&kv->broken, true))
        log_failure(LOG_ERROR, "store-broken", e, "path", kv->path);
    return e;
}

/* LMDB calls a short write EIO, and a disk or quota that fills up gives a short write first. Such a
 * transaction may be tried again: nothing of it is referred to, and the next one writes each of its
 * pages anew. */
static bool was_short_write(const struct kv *kv, int rc, size_t bytes)
{
    if (rc != EIO)
        return false;
    return kv_probe_room(kv, 2 * bytes + PROBE_SLACK).kind == ERR_NO_SPACE;
}

/* A transaction is closed early enough that the next look at the room still finds some. */
static size_t batch_bytes(const struct kv *kv)
{
    uint64_t most = kv->low_water / 2;

    return most > 0 && most < BATCH_BYTES ? (size_t)most : BATCH_BYTES;
}

/* Runs operations and moves them to `applied`, until none is left or the transaction is large
 * enough. One that fails without having changed anything keeps its error and its place. Returns
 * the one that failed after a change, which spoils the transaction, or NULL. */
static struct kv_op *apply_some(struct kv_txn *txn, struct list *ops, struct list *applied)
{
    size_t most = batch_bytes(txn->kv);

    for (struct list *node; txn->bytes < most && (node = list_pop(ops)) != NULL;) {
        struct kv_op *op = container_of(node, struct kv_op, call.link);
        txn->touched = false;
        op->result = op->apply(op, txn);
        list_append(applied, node);
        if (err_is(op->result) && txn->touched)
            return op;
    }
    return NULL;
}

/* The reserve helps where the disk is full, not where the map is: LMDB's own code has no errno. */
static bool may_use_reserve(struct kv *kv, const struct kv_op *op, struct err e)
{
    return e.kind == ERR_NO_SPACE && e.sys != 0 && op->kind == KV_SHRINK && kv_reserve_give_up(kv);
}

static void finish_failed(struct kv_op *op, struct err e)
{
    list_remove(&op->call.link);
    op->result = e;
    complete(op);
}

static void put_back(struct list *ops, struct list *applied)
{
    list_splice(applied, ops);
    list_splice(ops, applied);
}

static void abandon(struct kv *kv)
{
    kv->abandoned++;
    kv->free_counted = 0;
}

static void commit_ops(struct kv *kv, struct list *ops);

/* The commit found no room. Which operation took too much cannot be told, so each runs alone. */
static void commit_singly(struct kv *kv, struct list *ops)
{
    struct list single;

    list_init(&single);
    for (struct list *node; (node = list_pop(ops)) != NULL;) {
        list_append(&single, node);
        commit_ops(kv, &single);
    }
}

/* All of `applied` were in the transaction that could not be committed. */
static void take_failed_commit(struct kv *kv, int rc, size_t bytes, struct list *ops,
                               struct list *applied)
{
    struct err e = kv_error(rc, "commit");

    abandon(kv);
    atomic_fetch_add(&kv->failed_commits, 1);
    if (was_short_write(kv, rc, bytes))
        e = err_system(ENOSPC, "commit");
    if (rc == ENOMEM) { /* told before anything is written: the store is as it was */
        fail_all(applied, e);
        return;
    }
    if (e.kind != ERR_NO_SPACE) {
        fail_all(applied, go_broken(kv, rc));
        return;
    }
    struct kv_op *first = container_of(applied->next, struct kv_op, call.link);
    if (applied->next->next != applied)
        commit_singly(kv, applied);
    else if (may_use_reserve(kv, first, e))
        put_back(ops, applied);
    else
        finish_failed(first, e);
}

static void commit_some(struct kv *kv, struct list *ops)
{
    struct kv_txn txn = {.kv = kv};
    struct list applied;

    list_init(&applied);
    int rc = mdb_txn_begin(kv->env, NULL, 0, &txn.txn);
    if (rc != 0) {
        fail_all(ops, rc == ENOMEM ? kv_error(rc, "begin") : go_broken(kv, rc));
        return;
    }
    struct kv_op *failed = apply_some(&txn, ops, &applied);
    if (failed != NULL) {
        mdb_txn_abort(txn.txn);
        abandon(kv);
        if (!may_use_reserve(kv, failed, failed->result))
            finish_failed(failed, failed->result);
        put_back(ops, &applied);
        return;
    }
    rc = mdb_txn_commit(txn.txn);
    if (rc != 0) {
        take_failed_commit(kv, rc, txn.bytes, ops, &applied);
        return;
    }
    kv->free_bytes -= txn.bytes < kv->free_bytes ? txn.bytes : kv->free_bytes;
    atomic_fetch_add(&kv->commits, 1);
    complete_all(&applied);
}

static struct err why_refused(bool broken, bool detached)
{
    if (broken)
        return err_make(ERR_STORE, "store is broken");
    if (detached)
        return err_make(ERR_STORE, "store's file is gone");
    return err_make(ERR_NO_SPACE, "below low water");
}

/* Takes out what must not be tried: everything in a broken store; growth below the low water, and
 * where the data file will not be found again: what is known can still leave. */
static void refuse(struct kv *kv, struct list *ops)
{
    bool broken = atomic_load(&kv->broken);
    bool detached = atomic_load(&kv->detached);
    bool drains = detached || atomic_load(&kv->low);
    struct err why = why_refused(broken, detached);

    for (struct list *node = ops->next, *next; node != ops; node = next) {
        next = node->next;
        struct kv_op *op = container_of(node, struct kv_op, call.link);
        if (broken || (drains && op->kind == KV_GROW))
            finish_failed(op, why);
    }
}

static void commit_ops(struct kv *kv, struct list *ops)
{
    for (;;) {
        kv_check_room(kv);
        kv_check_file(kv);
        refuse(kv, ops);
        if (list_is_empty(ops))
            return;
        kv_extend(kv);
        commit_some(kv, ops);
    }
}

static unsigned take_batch(struct kv *kv, struct list *batch)
{
    unsigned taken = 0;

    for (struct list *node; taken < BATCH_MOST && (node = list_pop(&kv->pending)) != NULL; taken++)
        list_append(batch, node);
    kv->pending_count -= taken;
    atomic_fetch_add(&kv->operations, taken);
    return taken;
}

static void clear_dead_readers(struct kv *kv)
{
    uint64_t now = clock_mono_ms();
    int dead;

    if (now - kv->readers_checked < READER_CHECK_MS)
        return;
    kv->readers_checked = now;
    mdb_reader_check(kv->env, &dead);
}

static void wait_until(struct kv *kv, unsigned count, uint64_t ms)
{
    struct timespec until;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += (time_t)(ms / 1000);
    until.tv_nsec += (long)(ms % 1000) * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_nsec -= 1000000000;
        until.tv_sec++;
    }
    kv->wake_at = count;
    while (kv->pending_count < count && !kv->closing &&
           pthread_cond_timedwait(&kv->wake, &kv->lock, &until) == 0)
        ;
}

/* While operations come thick a commit that waits a few milliseconds for more of them costs the
 * disk and the processor a fraction of many small ones. A lone operation never waits. */
static void gather(struct kv *kv)
{
    if (kv->gathering && !list_is_empty(&kv->pending))
        wait_until(kv, GATHER_ENOUGH, kv->gather_ms);
}

static void judge_gathering(struct kv *kv, unsigned taken)
{
    if (taken > 0)
        kv->gathering = kv->gather_ms > 0 && taken >= (kv->gathering ? GATHER_LEAST : GATHER_ON);
}

static void *writer_main(void *arg)
{
    struct kv *kv = arg;
    struct list batch;

    list_init(&batch);
    pthread_mutex_lock(&kv->lock);
    for (;;) {
        if (list_is_empty(&kv->pending) && !kv->closing)
            wait_until(kv, 1, IDLE_CHECK_MS);
        gather(kv);
        if (list_is_empty(&kv->pending) && kv->closing)
            break;
        judge_gathering(kv, take_batch(kv, &batch));
        pthread_mutex_unlock(&kv->lock);
        clear_dead_readers(kv);
        commit_ops(kv, &batch);
        log_flush();
        pthread_mutex_lock(&kv->lock);
    }
    pthread_mutex_unlock(&kv->lock);
    return NULL;
}

void kv_submit(struct kv *kv, struct kv_op *op)
{
    pthread_mutex_lock(&kv->lock);
    list_append(&kv->pending, &op->call.link);
    bool wake = ++kv->pending_count == kv->wake_at;
    pthread_mutex_unlock(&kv->lock);
    if (wake)
        pthread_cond_signal(&kv->wake);
}

struct run {
    struct kv_op op;
    struct kv_op *inner;
    sem_t done;
};

static struct err apply_run(struct kv_op *op, struct kv_txn *txn)
{
    struct kv_op *inner = container_of(op, struct run, op)->inner;

    return inner->apply(inner, txn);
}

static void on_run(struct call *call)
{
    sem_post(&container_of(call, struct run, op.call)->done);
}

struct err kv_run(struct kv *kv, struct kv_op *op)
{
    struct run run = {.op = {.kind = op->kind, .apply = apply_run, .call.done = on_run},
                      .inner = op};

    sem_init(&run.done, 0, 0);
    kv_submit(kv, &run.op);
    while (sem_wait(&run.done) != 0)
        continue; /* a signal */
    sem_destroy(&run.done);
    op->result = run.op.result;
    return op->result;
}

/* ---- opening and closing ---------------------------------------------------------------- */

static struct err open_folder(struct kv *kv, bool read_only)
{
    struct err e = read_only ? ERR_OK : file_make_folder(kv->path);

    if (err_is(e))
        return e;
    kv->folder = open(kv->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return kv->folder < 0 ? err_system(errno, "open store folder") : ERR_OK;
}

/* LMDB allows several processes; we allow one that writes at will. */
static struct err lock_folder(struct kv *kv)
{
    kv->lock_fd = openat(kv->folder, "owner.lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (kv->lock_fd < 0)
        return err_system(errno, "open owner.lock");
    if (flock(kv->lock_fd, LOCK_EX | LOCK_NB) != 0)
        return err_make(ERR_CONFLICT, "store is in use by another process");
    return ERR_OK;
}

static struct err open_tables(struct kv *kv, const struct kv_options *options)
{
    MDB_txn *txn;
    unsigned flags = options->read_only ? 0 : MDB_CREATE;
    int rc = mdb_txn_begin(kv->env, NULL, options->read_only ? MDB_RDONLY : 0, &txn);

    if (rc != 0)
        return kv_error(rc, "begin");
    for (unsigned i = 0; i < options->table_count; i++) {
        rc = mdb_dbi_open(txn, options->tables[i], flags, &kv->tables[i]);
        if (rc != 0) {
            mdb_txn_abort(txn);
            return kv_error(rc, "open table");
        }
    }
    return kv_error(mdb_txn_commit(txn), "open tables");
}

static struct err open_env(struct kv *kv, const struct kv_options *options)
{
    int rc = mdb_env_create(&kv->env);

    if (rc == 0)
        rc = mdb_env_set_maxdbs(kv->env, KV_TABLES_MAX);
    if (rc == 0)
        rc = mdb_env_set_maxreaders(kv->env, READERS_MAX);
    if (rc == 0 && options->map_size > 0)
        rc = mdb_env_set_mapsize(kv->env, options->map_size);
    if (rc == 0)
        rc = mdb_env_open(kv->env, kv->path,
                          MDB_NOTLS | MDB_NORDAHEAD | (options->read_only ? MDB_RDONLY : 0), 0600);
    if (rc != 0)
        return kv_error(rc, "open store");
    /* The names data.mdb and lock.mdb are durable only once their folder is. */
    if (!options->read_only && fsync(kv->folder) != 0)
        return err_system(errno, "sync store folder");
    int dead;
    mdb_reader_check(kv->env, &dead);
    return open_tables(kv, options);
}

static void dispose(struct kv *kv)
{
    if (kv->env != NULL)
        mdb_env_close(kv->env);
    if (kv->lock_fd >= 0)
        close(kv->lock_fd);
    if (kv->folder >= 0)
        close(kv->folder);
    pthread_cond_destroy(&kv->wake);
    pthread_mutex_destroy(&kv->lock);
    free(kv->path);
    free(kv);
}

static struct err start_writer(struct kv *kv)
{
    struct err e = kv_know_file(kv);

    if (err_is(e))
        return e;
    kv_reserve_find(kv);
    kv_check_room(kv);
    kv->readers_checked = clock_mono_ms();
    int rc = pthread_create(&kv->thread, NULL, writer_main, kv);
    if (rc != 0)
        return err_system(rc, "start writer");
    kv->writing = true;
    pthread_setname_np(kv->thread, "kv-writer");
    return ERR_OK;
}

struct err kv_open(const struct kv_options *options, struct kv **out)
{
    struct kv *kv = mem_zalloc(sizeof *kv);
    pthread_condattr_t attr;

    *out = NULL;
    kv->path = mem_strdup(options->path);
    kv->folder = kv->lock_fd = -1;
    kv->low_water = options->low_water;
    kv->low_inodes = options->low_inodes;
    kv->reserve = options->reserve;
    kv->gather_ms = options->gather_ms;
    list_init(&kv->pending);
    pthread_mutex_init(&kv->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&kv->wake, &attr);
    pthread_condattr_destroy(&attr);

    struct err e = open_folder(kv, options->read_only);
    if (!err_is(e) && !options->read_only)
        e = lock_folder(kv);
    if (!err_is(e) && !options->read_only)
        e = kv_create_data(kv);
    if (!err_is(e))
        e = open_env(kv, options);
    if (!err_is(e) && !options->read_only)
        e = start_writer(kv);
    if (err_is(e)) {
        dispose(kv);
        return e;
    }
    *out = kv;
    return ERR_OK;
}

void kv_close(struct kv *kv)
{
    if (kv == NULL)
        return;
    if (kv->writing) {
        pthread_mutex_lock(&kv->lock);
        kv->closing = true;
        pthread_mutex_unlock(&kv->lock);
        pthread_cond_signal(&kv->wake);
        pthread_join(kv->thread, NULL);
    }
    dispose(kv);
}

void kv_stats(struct kv *kv, struct kv_stats *out)
{
    MDB_envinfo info;

    mdb_env_info(kv->env, &info);
    *out = (struct kv_stats){
        .commits = atomic_load(&kv->commits),
        .operations = atomic_load(&kv->operations),
        .failed_commits = atomic_load(&kv->failed_commits),
        .map_used = atomic_load(&kv->map_used),
        .map_size = info.me_mapsize,
        .disk_free = atomic_load(&kv->disk_free),
        .low = atomic_load(&kv->low),
        .broken = atomic_load(&kv->broken) || atomic_load(&kv->detached),
    };
}
