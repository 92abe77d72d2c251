/*
 * loop_turn: turns a loop on the test's own thread until something has come about. Nothing sleeps:
 * the loop waits for its sockets and timers; what does not come in time fails the test.
 */
#ifndef SMARTHOP_TESTS_LOOP_TURN_H
#define SMARTHOP_TESTS_LOOP_TURN_H

#include "base/loop.h"

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <uv.h>

#include <cmocka.h>

enum { TURN_PATIENCE_MS = 20000 };

struct turn_alarm {
    struct timer timer;
    bool rang;
};

static inline void turn_on_alarm(struct timer *timer)
{
    container_of(timer, struct turn_alarm, timer)->rang = true;
}

/* A round, and a wait for the next one's reason. Not UV_RUN_ONCE: that blocks behind the deferred
 * calls of its round, which may have been what was waited for. What the round has started to watch
 * is only known to the kernel after the next, so the wait is short. */
static inline void turn_once(struct loop *loop)
{
    enum { WAIT_MOST_MS = 2 };
    struct pollfd ready = {.fd = uv_backend_fd(loop_uv(loop)), .events = POLLIN};

    uv_run(loop_uv(loop), UV_RUN_NOWAIT);
    int wait = uv_backend_timeout(loop_uv(loop));
    if (wait != 0)
        poll(&ready, 1, wait > 0 && wait < WAIT_MOST_MS ? wait : WAIT_MOST_MS);
}

/* Until `condition`, which is evaluated between rounds. */
#define TURN_UNTIL(loop, condition)                                                                \
    do {                                                                                           \
        struct turn_alarm patience_ = {.rang = false};                                             \
        turn_once(loop); /* its clock may be old */                                                \
        timer_start((loop), &patience_.timer, TURN_PATIENCE_MS, turn_on_alarm);                    \
        while (!(condition)) {                                                                     \
            if (patience_.rang)                                                                    \
                fail_msg("never came: %s", #condition);                                            \
            turn_once(loop);                                                                       \
        }                                                                                          \
        timer_stop((loop), &patience_.timer);                                                      \
    } while (0)

/* For so long, e.g. to see that nothing happens. */
static inline void turn_for(struct loop *loop, uint64_t ms)
{
    struct turn_alarm alarm = {.rang = false};

    timer_start(loop, &alarm.timer, ms, turn_on_alarm);
    while (!alarm.rang)
        turn_once(loop);
}

static inline struct loop *turn_loop_create(void)
{
    struct loop *loop;

    assert_false(err_is(loop_create(&loop)));
    return loop;
}

#endif
