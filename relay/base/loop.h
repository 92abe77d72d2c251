/*
 * loop: one thread's event loop over libuv, with what every module needs on it: deferred calls,
 * calls from other threads, deadlines, and a way to have blocking work done elsewhere.
 *
 * All functions are for the loop's own thread unless they say otherwise.
 */
#ifndef SMARTHOP_BASE_LOOP_H
#define SMARTHOP_BASE_LOOP_H

#include "base/call.h"
#include "base/err.h"
#include "base/heap.h"

struct loop;
struct uv_loop_s;

/* Before its thread starts. */
struct err loop_create(struct loop **out);
/* Runs until loop_stop. The calling thread becomes the loop's thread. */
void loop_run(struct loop *loop);
/* Any thread, once: the loop returns after the present round. */
void loop_stop(struct loop *loop);
/* After loop_run has returned and every handle on it is closed or given up. Timers that are still
 * armed are stopped; their owners are still there. */
void loop_free(struct loop *loop);

/* For net/ and resolver/ only, which own libuv handles. */
struct uv_loop_s *loop_uv(struct loop *loop);

/* Monotonic milliseconds, read once a round. */
uint64_t loop_now(const struct loop *loop);

/* Runs call->done in this round, after the present callback has returned. The call must not be
 * pending already. */
void loop_defer(struct loop *loop, struct call *call);

/* Any thread: runs call->done on the loop's thread. */
void loop_post(struct loop *loop, struct call *call);
/* After the loop has ended: what was posted and has not run is the caller's again. */
void loop_take_back(struct loop *loop, struct call *call);

/* A buffer for reading from a socket, shared by everything on the loop: its contents are gone
 * when the callback that filled it returns. */
enum { LOOP_SCRATCH = 65536 };
char *loop_scratch(struct loop *loop);

/*
 * A deadline. Embedded in its owner, zeroed before first use. Moving it to a later time costs
 * nothing, so that every step of a dialogue may do it.
 */
struct timer {
    struct heap_node node;
    uint64_t due; /* monotonic ms; may lie behind node.key, then the node is re-sorted on firing */
    void (*fire)(struct timer *timer);
};

/* (Re)arms: fires once, `delay` ms from now, unless stopped or started again. */
void timer_start(struct loop *loop, struct timer *timer, uint64_t delay,
                 void (*fire)(struct timer *timer));
void timer_stop(struct loop *loop, struct timer *timer);
static inline bool timer_is_active(const struct timer *timer)
{
    return heap_is_linked(&timer->node);
}

/* Blocking work: `run` on a pool thread, then call.done on the loop. Owned by the caller, which
 * keeps it until then. */
struct work {
    struct call call;
    void (*run)(struct work *work);
};
void loop_work(struct loop *loop, struct work *work);

/* A descriptor that the owner has of others and watches here: sockets and pipes. Embedded in its
 * owner; stopped before the loop is freed. */
enum loop_watched { LOOP_READABLE = 1, LOOP_WRITABLE = 2 };
struct loop_watch {
    void (*ready)(struct loop_watch *watch, int events);
    void *handle; /* NULL = it is not watched */
};
/* From now on `ready` is told whenever the descriptor is so (a broken one is all that was asked
 * for), never from within. The descriptor becomes non-blocking, and is watched once at a time. */
struct err loop_watch_start(struct loop *loop, struct loop_watch *watch, int fd, int events);
/* Also from within `ready`. Then the descriptor may be closed, and the owner freed. */
void loop_watch_stop(struct loop_watch *watch);

/* A process signal, told on this loop. Embedded in its owner, which keeps it as long as the loop.
 */
struct loop_signal {
    void (*caught)(struct loop_signal *signal);
    void *handle;
};
struct err loop_catch(struct loop *loop, struct loop_signal *signal, int number);

#endif
