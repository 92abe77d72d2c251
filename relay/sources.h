/*
 * sources: the files that the daemon reads anew when they change: the users file, the recipients
 * file and the response rules. They are looked at by a timer of the main loop and loaded on libuv's
 * pool.
 */
#ifndef SMARTHOP_SOURCES_H
#define SMARTHOP_SOURCES_H

#include "base/follow.h"
#include "base/loop.h"
#include "conf/conf.h"

struct auth;

struct sources {
    struct loop *loop;
    struct auth *auth;         /* NULL = nobody can log in */
    struct follow *recipients; /* always there; follows no file where recipients are not checked */
    struct follow *rules;      /* likewise; no file where the table is built in, or none */
    struct timer timer;
    struct work work; /* one look at all of them */
    bool is_polling;
    bool is_stopped;
};

/* Whether those that a configuration names can be used; if not, stderr says why. */
bool sources_check(const struct conf *conf);

/* Zeroed. Loads them; on failure stderr says why. */
bool sources_open(struct sources *sources, struct loop *loop, const struct conf *conf);
/* A new configuration: takes recipients and rules files that are others now (blocking), and
 * looks at the rest soon. On failure all is as before and `messages` tells why. */
struct err sources_reload(struct sources *sources, const struct conf *conf, struct buf *messages);
/* They are not looked at any more. */
void sources_stop(struct sources *sources);
/* After the loop has ended and nobody uses them any more. */
void sources_close(struct sources *sources);

#endif
