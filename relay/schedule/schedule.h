/*
 * schedule: what is tried next. One scheduler a worker; each destination belongs to one of them,
 * by the hash of its key, which holds its queue, its connections and its back-off. A group that is
 * in memory is a job. Only a bounded number of jobs is; the rest waits in the store and is loaded
 * when there is room.
 *
 * A failure to reach a destination backs off the destination, not its messages: they keep their
 * tries, and go when it answers again. Only replies to a message count as tries.
 */
#ifndef SMARTHOP_SCHEDULE_SCHEDULE_H
#define SMARTHOP_SCHEDULE_SCHEDULE_H

#include "base/follow.h"
#include "conf/conf.h"
#include "net/tls.h"
#include "queue/queue.h"
#include "resolver/resolver.h"

#include <stdatomic.h>

struct scheduler;
struct budgets;
struct events;

/* All schedulers of the process; made before the loops run, constant afterwards. */
struct schedule_set {
    unsigned count;
    struct scheduler **members;
    struct budgets *budgets;     /* what each site takes of all of them together */
    struct events *events;       /* the event log; NULL = there is none */
    _Atomic uint64_t body_bytes; /* of all jobs in memory */
};

struct schedule_options {
    struct loop *loop;
    struct queue *queue;
    struct resolver *resolver;
    struct tls_client *tls;
    struct schedule_set *set;
    struct follow *rules; /* of struct rules: the response_rules file; NULL = there is none */
    uint64_t seed;
};

struct budgets *budgets_create(void);
void budgets_free(struct budgets *all);

/* Before its loop runs; its configuration comes by schedule_configure. */
struct scheduler *schedule_create(const struct schedule_options *options);
/* On its loop, or before that runs. */
void schedule_configure(struct scheduler *scheduler, struct conf *conf);
/* Takes up what is in the store: makes each destination known to its owner. Before the loops run;
 * its cost is the number of destinations. */
struct err schedule_restore(const struct schedule_set *set, struct queue *queue);
/* The first member looks for mail that has waited too long, every now and then. On its loop. */
void schedule_start_sweep(struct scheduler *scheduler);

/* On any loop: hands each group of a message that is in the store to the owner of its
 * destination. Takes references of its own. */
void schedule_submit(const struct schedule_set *set, struct queue_message *message);

enum schedule_verb {
    SCHEDULE_RETRY,
    SCHEDULE_REMOVE,
    SCHEDULE_HOLD,
    SCHEDULE_RELEASE,
    SCHEDULE_BOUNCE,
    SCHEDULE_EXPIRE, /* the sweep's: returned because it waited too long */
    SCHEDULE_WARN,   /* the sweep's: its sender is told that it is late */
    SCHEDULE_LATE, /* the sweep's: its time by DELIVERBY has passed; returned, or its sender told */
};

/* An operator's word on the groups that are named (those that are gone are passed over), or without
 * any on one message, or (id 0) on all. On any loop; completes there. */
struct schedule_operation {
    struct call call;
    struct loop *home;
    enum schedule_verb verb;
    uint64_t id;
    const struct queue_group_name *groups; /* until the completion; NULL = by `id` */
    unsigned group_count;
    uint64_t affected; /* out: groups */
    uint64_t busy;     /* out: groups that were being delivered at that moment */
    struct err result;
};
void schedule_operate(const struct schedule_set *set, struct queue *queue,
                      struct schedule_operation *operation);

/* No new attempts; those under way are finished; `stopped` runs when nothing is left. */
void schedule_stop(struct scheduler *scheduler, struct call *stopped);
/* After it has stopped and its loop has ended. */
void schedule_free(struct scheduler *scheduler);

/* Any thread. */
struct schedule_counters {
    _Atomic uint64_t delivered; /* recipients */
    _Atomic uint64_t deferred;
    _Atomic uint64_t failed;
    _Atomic uint64_t destinations; /* in memory now */
    _Atomic uint64_t connections;  /* open now */
    _Atomic uint64_t jobs;         /* in memory now */
};
const struct schedule_counters *schedule_counters(const struct scheduler *scheduler);

#endif
