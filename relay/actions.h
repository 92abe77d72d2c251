/*
 * actions: what the control socket asks for, carried to the threads that know it or can do it, and
 * back. All functions and all completions are for the main thread.
 */
#ifndef SMARTHOP_ACTIONS_H
#define SMARTHOP_ACTIONS_H

#include "control/control.h"
#include "worker.h"

/* Embedded in the daemon; zeroed, and filled in before the first action. */
struct actions {
    struct loop *loop;                  /* main's */
    const struct worker_shared *shared; /* with all of its members */
    struct worker *workers;
    unsigned worker_count;
    struct conf *const *conf; /* the present one */
    uint64_t started;         /* wall clock ms */
    uint64_t import_count;    /* begun so far: their numbers */
    unsigned trace_count;
    bool is_over; /* the workers' loops have ended: nothing is posted to them any more */
};

/* Those that look at workers and the store; the others are the caller's, as is the context, in
 * which `actions` must be what container_of finds: it is the context that these are called with. */
void actions_fill(struct actions *actions, struct control_actions *out);

#endif
