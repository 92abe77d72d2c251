/*
 * sweep: removes what no message needs any more, in bounded steps that mix with the ordinary
 * operations: the rest of large bodies, bodies that never got their message row before the last
 * process ended, and destinations that nothing waits for. Everything here is the writer thread's.
 */
#ifndef SMARTHOP_QUEUE_SWEEP_H
#define SMARTHOP_QUEUE_SWEEP_H

#include "base/kv.h"

#include <stdatomic.h>

struct queue;

enum sweep_phase {
    SWEEP_BODIES,       /* of former processes: chunks without a message row */
    SWEEP_DESTINATIONS, /* with nothing due and no back-off */
    SWEEP_RESTING,      /* recovery is through; only large bodies are left to come */
};

struct sweep {
    struct kv_op op;
    struct queue *queue;
    atomic_bool closing;
    bool submitted;
    enum sweep_phase phase;
    uint64_t position;     /* id or destination number to look at next */
    uint64_t id_end;       /* ids up to here are of former processes */
    uint64_t bodies_found; /* without their message, so far */
    uint64_t *garbage;     /* ids whose bodies are to go */
    size_t garbage_count;
    size_t garbage_room;
    struct sweep_step {
        uint64_t garbage; /* the id worked on; 0 = this step was recovery's */
        uint64_t position;
        bool finished; /* the id, or the phase */
        unsigned bodies_found;
    } step; /* of the last apply: counts once it is committed */
};

/* Begins recovery. After everything else of the queue is ready. */
void sweep_start(struct sweep *sweep, struct queue *queue, uint64_t id_end);
/* Within an operation: removes a first part of the body, and sees to the rest later. The message's
 * row must be gone or never have been there. */
struct err sweep_body(struct sweep *sweep, struct kv_txn *txn, uint64_t id);
/* Before the store is closed: no further steps. */
void sweep_stop(struct sweep *sweep);
/* After the store is closed. */
void sweep_fini(struct sweep *sweep);

#endif
