/*
 * What the files of host/ share.
 */
#ifndef SMARTHOP_PLUGINS_HOST_PRIVATE_H
#define SMARTHOP_PLUGINS_HOST_PRIVATE_H

#include "base/list.h"
#include "plugins/host/self.h"

#include <stdlib.h>

/* Counted by each worker for itself, so that they do not share cache lines. */
struct tally {
    _Alignas(64) _Atomic uint64_t asked;
    _Atomic uint64_t actions[SMARTHOP_ACTIONS];
    _Atomic uint64_t pending, timed_out, late, twice, broken, invalid, slow, bypassed;
    _Atomic uint64_t latencies[PLUGIN_LATENCIES];
};

static inline void tally(_Atomic uint64_t *counter)
{
    atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

struct link {
    struct smarthop_self *self;
    smarthop_hook_function ask;
};

struct plugin_chain {
    atomic_uint references;
    struct plugin_home *home;
    struct list among; /* home's chains */
    struct call dispose;
    struct smarthop_self **plugins;
    unsigned count;
    struct link *links[SMARTHOP_HOOKS]; /* those that have the hook, in order */
    unsigned link_count[SMARTHOP_HOOKS];
    struct link *shadows[SMARTHOP_HOOKS];
    unsigned shadow_count[SMARTHOP_HOOKS];
};

struct plugin_home {
    struct loop *main; /* where plugins are stopped; NULL = it has ended */
    struct plugin_worker **workers;
    unsigned worker_count;
    pthread_mutex_t lock; /* of chains */
    struct list chains;
    _Atomic uint64_t next_task;
};

/* How the last asking of a slot's former generation ended. */
enum slot_end { SLOT_ANSWERED, SLOT_TIMED_OUT, SLOT_CANCELLED };

struct slot {
    struct plugin_run *run; /* NULL = free */
    uint32_t generation;    /* of the present asking, or the last: a part of its token */
    bool is_over;           /* it has been answered, or given up, as `end` tells */
    enum slot_end end;
    struct list tasks; /* what plugins asked to be done, while it is going on */
    unsigned next_free;
};

struct plugin_worker {
    struct plugin_home *home;
    struct loop *loop;
    unsigned index;
    struct plugin_chain *chain;
    struct slot **slots;
    unsigned slot_count;
    unsigned free;     /* the first free slot; slot_count = none */
    struct list tasks; /* of no event */
};

/* A token is 8 bits of worker + 1, 24 of slot, 32 of generation. */
enum { TOKEN_SLOT_BITS = 24, SLOTS_MAX = 1 << TOKEN_SLOT_BITS };

/* token.c; all but the last on the worker's thread. */
void slot_take(struct plugin_run *run);
void slot_release(struct plugin_run *run);
/* Names a new asking of the run. */
uint64_t token_begin(struct plugin_run *run);
void token_end(struct plugin_run *run, enum slot_end how);
/* The slot that is or was its; NULL = there never was such a token. */
struct slot *token_slot(struct plugin_worker *worker, uint64_t token);
static inline uint32_t token_generation(uint64_t token)
{
    return (uint32_t)token;
}
/* NULL = there is no such worker. */
struct plugin_worker *token_worker(struct plugin_home *home, uint64_t token);

/* complete.c */
void service_complete(struct smarthop_self *self, uint64_t token,
                      const struct smarthop_verdict *verdict);

/* ask.c, on the worker's thread: a promised answer has come. `problem`: it cannot be used. */
void run_answer(struct plugin_run *run, const struct smarthop_verdict *verdict,
                const char *problem);

/* breaker.c */
bool breaker_lets_through(struct smarthop_self *self, uint64_t now);
void breaker_note(struct smarthop_self *self, bool is_good, uint64_t now);

/* tasks.c */
void tasks_drop(struct slot *slot);
uint64_t service_timer_start(struct smarthop_self *self, uint64_t token, uint64_t delay,
                             void (*fire)(void *context), void *context);
void service_timer_stop(struct smarthop_self *self, uint64_t id);

/* services.c */
extern const struct smarthop_host host_services;

#endif
