/*
 * guard: what is remembered of clients and users across sessions and restarts: how much they have
 * done lately, and who has come back after a greylisting.
 *
 * One a process. All of it is in memory, under one mutex that is held for some look-ups and never
 * across a disk access; unless said otherwise any thread may call. Where an environment is open
 * (guard_open) what changes is written there every save_ms, in batches, by the environment's own
 * thread, and read back at the next start: a kill loses what was counted since. Without one it is
 * all forgotten at the end.
 *
 * Rates slide by two buckets: periods begin with the clock's hour or minute, none holds more than
 * the limit, and what was counted in the one before still weighs on the present one, less and less
 * as it goes on. So a burst is followed by a trickle, never by a second burst at the turn of the
 * hour. A low limit is on the strict side: with a limit of 1 the next one fits at the turn after
 * the next at the latest.
 *
 * Times are milliseconds since 1970 (clock_steady_ms), given by the caller.
 */
#ifndef SMARTHOP_GUARD_GUARD_H
#define SMARTHOP_GUARD_GUARD_H

#include "base/err.h"
#include "base/loop.h"
#include "base/span.h"

/* The numbers are in the store. */
enum guard_kind {
    GUARD_USER_MESSAGES,     /* in an hour; the key is the user's name */
    GUARD_USER_RECIPIENTS,   /* likewise */
    GUARD_CLIENT_SESSIONS,   /* in a minute; the key is the client network, as text */
    GUARD_CLIENT_MESSAGES,   /* in an hour */
    GUARD_CLIENT_RECIPIENTS, /* likewise */
    GUARD_CLIENT_ERRORS,     /* likewise */
    GUARD_TRIPLET,           /* "network sender recipient" that has come, or has come back */
    GUARD_KNOWN,             /* a client network of which triplets have come back */
    GUARD_KINDS
};

/* "user-messages" */
const char *guard_kind_name(enum guard_kind kind);
bool guard_kind_find(struct span name, enum guard_kind *out);

enum {
    GUARD_KEY_MAX = 384, /* bytes; of a longer key the end becomes a hash */
    GUARD_ENTRIES_LEAST = 16,
};

struct guard;

struct guard_options {
    uint64_t entries_max; /* held at a time, at least GUARD_ENTRIES_LEAST. Beyond it, what has
                             expired goes first, then what was used least lately of the kind that
                             there is most of: a flood of one kind leaves the others alone. */
    uint64_t save_ms;
};

struct guard *guard_create(const struct guard_options *options);
/* Other bounds; they hold from now on. */
void guard_configure(struct guard *guard, const struct guard_options *options);

/* Opens, and where needed makes, the environment in the folder `path` and takes over what it has;
 * what is in memory already wins. Blocks. Records that are damaged are dropped and told in the log
 * (guard-damaged); an environment that is none of a guard's is ERR_CORRUPT, one that another
 * process has is ERR_CONFLICT. Once. */
struct err guard_open(struct guard *guard, const char *path, uint64_t now);
bool guard_is_open(const struct guard *guard);
/* Saves on that loop's timer from now on. On the loop's thread; the loop outlives the guard. */
void guard_start(struct guard *guard, struct loop *loop);
/* Hands what has changed to the environment's thread. Nothing where the last lot is still there. */
void guard_save(struct guard *guard, uint64_t now);
/* On the thread of its loop, after the last use: saves what is left, waiting for it. NULL is let
 * be. */
void guard_close(struct guard *guard, uint64_t now);

/* ---- rates ---- */

/* Counts one more if it fits the limit, or tells in *wait_out how many ms later it would. A limit
 * of 0 is none: true, and nothing is counted. */
bool guard_take(struct guard *guard, enum guard_kind kind, struct span key, uint64_t limit,
                uint64_t now, uint64_t *wait_out);
/* Whether guard_take would say yes now. */
bool guard_has_room(struct guard *guard, enum guard_kind kind, struct span key, uint64_t limit,
                    uint64_t now, uint64_t *wait_out);
/* Counts one more without a limit. */
void guard_note(struct guard *guard, enum guard_kind kind, struct span key, uint64_t now);
/* What was taken has come to nothing. */
void guard_give_back(struct guard *guard, enum guard_kind kind, struct span key, uint64_t now);

/* ---- greylisting ---- */

struct guard_greylist {
    uint64_t delay_ms;    /* a triplet that is new may not pass before */
    uint64_t window_ms;   /* and must be back before, or it is new again */
    uint64_t lifetime_ms; /* how long one that has passed does so again, from its last time on */
    unsigned known_after; /* triplets that must have passed for their network to be known, so that
                             all of its triplets pass at once; 0 = none is ever */
};

enum guard_verdict {
    GUARD_PASS,        /* it has passed before, or its network is known */
    GUARD_PASS_FIRST,  /* it has come back */
    GUARD_DEFER_FIRST, /* it is new */
    GUARD_DEFER,       /* it has come back too early */
};

/* `network` and `triplet` are keys of GUARD_KNOWN and GUARD_TRIPLET. *wait_out: how many ms later
 * it would pass; 0 where it does. */
enum guard_verdict guard_greylist(struct guard *guard, const struct guard_greylist *policy,
                                  struct span network, struct span triplet, uint64_t now,
                                  uint64_t *wait_out);

/* ---- for operators ---- */

/* Forgets what is kept under exactly this key, of one kind or (GUARD_KINDS) of all, and begins to
 * save that. Returns how many entries there were. */
unsigned guard_forget(struct guard *guard, enum guard_kind kind, struct span key, uint64_t now);

struct guard_view {
    enum guard_kind kind;
    struct span key;
    uint64_t count;   /* a rate: what counts now. A triplet: how often it has passed. A network: how
                         many of its triplets have */
    uint64_t first;   /* a triplet or network: when it came first; a rate: when the present period
                         began */
    uint64_t last;    /* when it was changed last */
    uint64_t expires; /* when it is forgotten, if nothing happens until then */
};

/* Reads the environment of another process, read-only, as it was saved last: of one kind or
 * (GUARD_KINDS) of all, the keys that begin with `prefix`, in their order, and not what has
 * expired. Blocks. `visit` returns false to end it. *damaged_out: records that cannot be read. */
typedef bool guard_visit(void *context, const struct guard_view *view);
struct err guard_scan(const char *path, enum guard_kind kind, struct span prefix, uint64_t now,
                      guard_visit *visit, void *context, uint64_t *damaged_out);

#endif
