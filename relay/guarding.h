/*
 * guarding: the guard within the process. It is there from the start, in memory; its environment
 * is opened at start, at a reload or when the users file says so, whenever something first needs to
 * be remembered over a restart. The main thread's.
 */
#ifndef SMARTHOP_GUARDING_H
#define SMARTHOP_GUARDING_H

#include "base/buf.h"
#include "conf/conf.h"
#include "guard/guard.h"

struct auth;

struct guarding {
    struct guard *guard;
    struct auth *auth; /* whose users may have rates; NULL = none */
    struct loop *loop;
    char *path;
    struct timer timer; /* looks whether the users file has come to need it */
};

/* As the user that the daemon has become. On failure guarding_close is still to be called. */
struct err guarding_start(struct guarding *g, struct loop *loop, struct auth *auth,
                          const struct conf *conf);
/* A new snapshot; on failure nothing has changed, and `messages` has a line. */
struct err guarding_reload(struct guarding *g, const struct conf *conf, struct buf *messages);
/* For the control socket: `kind` may be empty, for all. False where there is no such kind. */
bool guarding_forget(struct guarding *g, struct span kind, struct span key, uint64_t *count_out);
/* Saves; after the last session, while the loop is still there. */
void guarding_close(struct guarding *g);

#endif
