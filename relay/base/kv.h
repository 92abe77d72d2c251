/*
 * kv: a durable key-value store over LMDB with a group-commit writer thread.
 *
 * Every change is an operation: a function that runs inside a write transaction on the writer
 * thread. The writer takes everything that is pending, runs it in one transaction, commits once
 * (durably), and then posts each operation's completion to the loop that submitted it. While one
 * commit syncs, the next batch gathers; while many come, a batch waits up to gather_ms for more.
 *
 * An operation that fails harms only itself: if it had changed something the transaction is
 * abandoned and the others run again, so `apply` must be repeatable. A commit that fails for want
 * of room is retried one operation at a time. A full disk and a full map are ERR_NO_SPACE.
 * Operations that only give room back (KV_SHRINK) are allowed to use the reserve; others are
 * refused below the low-water mark, and where the data file was removed or replaced.
 *
 * Reading is blocking (a page may have to come from disk) and may be done by any thread; loops
 * leave it to loop_work. No read transaction may live across a return to a loop.
 */
#ifndef SMARTHOP_BASE_KV_H
#define SMARTHOP_BASE_KV_H

#include "base/call.h"
#include "base/err.h"
#include "base/loop.h"
#include "base/span.h"

struct kv;
struct kv_txn;

enum { KV_TABLES_MAX = 16 };

struct kv_options {
    const char *path;    /* a folder, made with mode 0700 where it is missing */
    uint64_t map_size;   /* bytes of address space; the file grows as it is used */
    uint64_t low_water;  /* bytes still to be had (of the map and of the disk, and free inside the
                            file) below which KV_GROW is refused: a few times what the largest
                            operation puts */
    uint64_t low_inodes; /* likewise for inodes; 0 = do not look */
    uint64_t reserve;    /* bytes of the reserve file that is given up to drain a full disk */
    uint64_t gather_ms;  /* how long a batch may wait for more while many come; 0 = never */
    const char *const *tables; /* names, in the order of the numbers used below */
    unsigned table_count;
    bool read_only; /* for other processes: no writer thread, no reserve, no recovery */
};

/* Opens (and where needed makes) the environment. One process at a time may open it for writing:
 * a second gets ERR_CONFLICT. */
struct err kv_open(const struct kv_options *options, struct kv **out);
/* Any thread, after the last submission: what was submitted is committed and completed first. */
void kv_close(struct kv *kv);

/* Puts a copy without unused pages in the place of the data file; blocks. Nothing may be submitted
 * any more, and behind a success the kv is only to be closed. A full disk costs the reserve.
 * ERR_CONFLICT: another process is reading. On failure, and after a power cut at any moment, the
 * file is as it was or whole and new.
 */
struct err kv_compact(struct kv *kv);

enum kv_kind {
    KV_GROW,   /* takes room: refused with ERR_NO_SPACE below the low-water mark */
    KV_SHRINK, /* gives room back, or must not fail: may use the reserve */
};

struct kv_op {
    struct call call; /* done runs on `home`; for a NULL home, on the writer thread */
    struct loop *home;
    enum kv_kind kind;
    /* On the writer thread, maybe more than once; must have no effect but through the txn and on
     * fields that a second run overwrites. */
    struct err (*apply)(struct kv_op *op, struct kv_txn *txn);
    struct err result; /* set before done */
};

/* Any thread. The op belongs to the store until its completion. */
void kv_submit(struct kv *kv, struct kv_op *op);
/* The same, waiting for it (home and call are not used): never on a loop that serves. */
struct err kv_run(struct kv *kv, struct kv_op *op);

/* Operations within a transaction. Keys are 1 to 511 bytes. Spans that are handed out are valid
 * until the next change or the end of the transaction. */
struct err kv_get(struct kv_txn *txn, unsigned table, struct span key, struct span *value_out);
struct err kv_put(struct kv_txn *txn, unsigned table, struct span key, struct span value);
/* For keys that come in order: behind the last one of the table. ERR_INVALID where it is not. */
struct err kv_append(struct kv_txn *txn, unsigned table, struct span key, struct span value);
/* Room for a value of `len` bytes that the caller fills before its next call. */
struct err kv_reserve(struct kv_txn *txn, unsigned table, struct span key, size_t len,
                      char **room_out);
struct err kv_delete(struct kv_txn *txn, unsigned table, struct span key);

/* Walks from the first key >= `from`; stops when `visit` returns false or at the end. `visit` must
 * not change the table. */
typedef bool kv_visit(void *context, struct span key, struct span value);
struct err kv_walk(struct kv_txn *txn, unsigned table, struct span from, kv_visit *visit,
                   void *context);
/* The first key >= `from`, or ERR_NOT_FOUND. */
struct err kv_seek(struct kv_txn *txn, unsigned table, struct span from, struct span *key_out,
                   struct span *value_out);
/* The last key of the table, or ERR_NOT_FOUND. */
struct err kv_last(struct kv_txn *txn, unsigned table, struct span *key_out,
                   struct span *value_out);
/* Deletes from the first key >= `from` while the key starts with `prefix`, at most `most` rows;
 * *more_out tells whether some are left. */
struct err kv_delete_range(struct kv_txn *txn, unsigned table, struct span from, struct span prefix,
                           unsigned most, bool *more_out);

/* How many write transactions have come to nothing so far; for apply functions. What one remembers
 * of its writes outside the store is true only while this number stays the same. */
uint64_t kv_abandoned(const struct kv_txn *txn);

/* A read transaction: a consistent view, any thread. Keep it short: it pins every page that is
 * freed meanwhile. */
struct err kv_read_begin(struct kv *kv, struct kv_txn **out);
void kv_read_end(struct kv_txn *txn);

struct kv_stats {
    uint64_t commits;
    uint64_t operations;
    uint64_t failed_commits;
    uint64_t map_used; /* bytes */
    uint64_t map_size;
    uint64_t disk_free;
    bool low;    /* below a low-water mark: growth is refused now */
    bool broken; /* a sync has failed, or the data file was removed or replaced; nothing is promised
                    until the environment is open again */
};
/* Any thread. */
void kv_stats(struct kv *kv, struct kv_stats *out);

/* Number of rows. */
uint64_t kv_count(struct kv_txn *txn, unsigned table);

#endif
