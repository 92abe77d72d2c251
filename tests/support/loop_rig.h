/*
 * loop_rig: a loop on a thread of its own, for tests that start operations and wait for them.
 *
 * One rig a program. Operations prepared by rig_prepare_op count themselves on completion, and
 * tell whether they came on the loop's thread.
 */
#ifndef SMARTHOP_TESTS_LOOP_RIG_H
#define SMARTHOP_TESTS_LOOP_RIG_H

#include "base/kv.h"
#include "base/loop.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdlib.h>

struct loop_rig {
    struct loop *loop;
    pthread_t thread;
    sem_t done;
    atomic_uint astray; /* completions on another thread */
};

static struct loop_rig loop_rig;

static inline void *rig_run_loop(void *unused)
{
    (void)unused;
    loop_run(loop_rig.loop);
    return NULL;
}

static inline void rig_start(void)
{
    if (err_is(loop_create(&loop_rig.loop)))
        abort();
    sem_init(&loop_rig.done, 0, 0);
    if (pthread_create(&loop_rig.thread, NULL, rig_run_loop, NULL) != 0)
        abort();
}

static inline void rig_stop(void)
{
    loop_stop(loop_rig.loop);
    pthread_join(loop_rig.thread, NULL);
    loop_free(loop_rig.loop);
    sem_destroy(&loop_rig.done);
}

static inline void rig_on_done(struct call *call)
{
    (void)call;
    if (!pthread_equal(pthread_self(), loop_rig.thread))
        atomic_fetch_add(&loop_rig.astray, 1);
    sem_post(&loop_rig.done);
}

static inline void rig_prepare_op(struct kv_op *op)
{
    op->home = loop_rig.loop;
    op->call.done = rig_on_done;
}

static inline void rig_wait(unsigned completions)
{
    while (completions > 0)
        if (sem_wait(&loop_rig.done) == 0)
            completions--;
}

#endif
