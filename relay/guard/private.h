/* What the files of guard/ share; nobody else includes it. */
#ifndef SMARTHOP_GUARD_PRIVATE_H
#define SMARTHOP_GUARD_PRIVATE_H

#include "base/arena.h"
#include "base/kv.h"
#include "guard/table.h"

#include <pthread.h>

struct guard {
    pthread_mutex_t lock;
    struct guard_table table; /* under lock */
    uint64_t save_ms;         /* under lock */
    unsigned saving;          /* under lock: batches that the environment's thread has */
    bool save_failed;         /* under lock: told in the log, and not made good since */
    struct kv *kv;            /* NULL = none; set once, on the main thread */
    struct loop *loop;        /* of the timer; NULL = none */
    struct timer timer;
};

/* ---- guard.c ------------------------------------------------------------------------------- */

/* The key itself, or where it is too long one made of it in `room`. */
struct span guard_fit_key(struct span key, char room[GUARD_KEY_MAX]);

/* ---- store.c: the environment and its rows -------------------------------------------------- */

enum guard_store_table { GUARD_STORE_META, GUARD_STORE_ENTRY, GUARD_STORE_COUNT };

enum { GUARD_STORE_RECORD = 1 + 3 * 8 + 2 * 4 + 8, GUARD_STORE_KEY_MAX = 511 /* kv.h */ };

/* Opens it and checks what it is; for writing, makes it where it is missing. */
struct err guard_store_open(const char *path, bool read_only, struct kv **out);

/* The key of an entry's row. */
struct span guard_store_key(enum guard_kind kind, struct span key, char room[GUARD_STORE_KEY_MAX]);
/* `row` is the row's key. */
void guard_store_write(const struct guard_entry *entry, struct span row,
                       char record[GUARD_STORE_RECORD]);
struct err guard_store_read(struct span row, struct span record, struct guard_entry *out);

/* Of all rows whose keys begin with `prefix`, in steps that each have a transaction of their own;
 * what `visit` gets is a copy. `visit` returns false to end it. */
typedef bool guard_store_visit(void *context, struct span row, struct span record);
struct err guard_store_walk(struct kv *kv, struct span prefix, guard_store_visit *visit,
                            void *context);

/* ---- save.c ------------------------------------------------------------------------------- */

/* All that waits to be saved goes to the environment's thread. Not under the lock. */
void guard_save_changes(struct guard *guard);

#endif
