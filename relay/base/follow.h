/*
 * follow: a file that is read anew when it changes, and the newest good snapshot of what it says.
 *
 * A snapshot is immutable and counts its references, so whoever holds one keeps it until it lets
 * go. A file that cannot be used is refused as a whole, told in the log once, and the old snapshot
 * stays.
 */
#ifndef SMARTHOP_BASE_FOLLOW_H
#define SMARTHOP_BASE_FOLLOW_H

#include "base/buf.h"
#include "base/err.h"

#include <sys/stat.h>

/* What is in the file. */
struct follow_kind {
    const char *loaded;  /* the log's event for a new snapshot, */
    const char *refused; /* and for a file that cannot be used */
    const char *count;   /* the key of what `count` answers */
    /* Reads and checks `file`; blocks. *st_out is of the very file that was read, and stays as it
     * was where there is none. On failure *out is NULL and `messages` has at least one line.
     * `context` is follow_create's. */
    struct err (*load)(const char *file, void *context, struct stat *st_out, struct buf *messages,
                       void **out);
    void (*ref)(void *snapshot);
    void (*unref)(void *snapshot);
    uint64_t (*count_of)(const void *snapshot);
};

struct follow;

/* Without a file yet: there is no snapshot. `kind` is kept by reference. */
struct follow *follow_create(const struct follow_kind *kind, void *context);
/* Nobody may be using it any more; snapshots live on. NULL is let be. */
void follow_free(struct follow *follow);

/* Any thread. A reference, for the caller to give back; NULL = there is no file. */
void *follow_get(struct follow *follow);

/* Any thread, one at a time with follow_poll. Loads another file (blocking) and follows that from
 * now on; NULL ends it. Where it fails all stays as it was. The file that is followed already is
 * let be. */
struct err follow_set(struct follow *follow, const char *file, struct buf *messages);

/* To be called every second or so: looks whether the file has been changed or replaced, which costs
 * one stat(2), and loads it where it has (blocking). True where there is a new snapshot. */
bool follow_poll(struct follow *follow);

#endif
