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
#include "proto/ip.h"
#include "queue/queue.h"
#include "resolver/resolver.h"

#include <stdatomic.h>

struct scheduler;
struct suspend_run;
struct budgets;
struct events;

/* All schedulers of the process; made before the loops run, constant afterwards. */
struct schedule_set {
    unsigned count;
    unsigned connections_most; /* that there are descriptors for, apart from what clients and the
                                  store need; 0 = any number */
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
    struct plugin_worker *plugins; /* NULL = there are none */
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
/* The same of one with an id of old, which the sweep may have passed. */
void schedule_submit_old(const struct schedule_set *set, struct queue_message *message);

enum schedule_verb {
    SCHEDULE_RETRY,
    SCHEDULE_REMOVE,
    SCHEDULE_HOLD,
    SCHEDULE_RELEASE,
    SCHEDULE_BOUNCE,
    SCHEDULE_REROUTE, /* routed again, by the configuration as it is now */
    SCHEDULE_EXPIRE,  /* the sweep's: returned because it waited too long */
    SCHEDULE_WARN,    /* the sweep's: its sender is told that it is late */
    SCHEDULE_LATE, /* the sweep's: its time by DELIVERBY has passed; returned, or its sender told */
};

/* Recipients that were routed again, all with the same result. */
struct schedule_rerouted {
    struct span from;      /* next hop, as text */
    struct span to;        /* likewise, or why it goes nowhere */
    struct span route;     /* the pattern of the route that decided; empty = there was none */
    const char *fate;      /* "same", "moved", "held", "returned", "dropped" or "undecided"; of an
                              edit also "changed" and "added" */
    struct span recipient; /* where recipients are named */
    uint64_t recipients;
};

enum schedule_edit_kind {
    SCHEDULE_EDIT_NONE,
    SCHEDULE_EDIT_CHANGE, /* recipient becomes `to`; its ORCPT is the old address if it had none */
    SCHEDULE_EDIT_ADD,    /* `to` gets it, too */
    SCHEDULE_EDIT_DROP,   /* recipient does not, and nobody is told */
    SCHEDULE_EDIT_SENDER, /* is `to` from now on, for all who have not got it; no route changes */
};

/* One change of the envelope of one message. Addresses are compared without regard to case. */
struct schedule_edit {
    enum schedule_edit_kind kind;
    struct span recipient, to; /* in place until the completion */
    uint32_t group, index;     /* the scheduler's own: beside which group one is added */
};

/* How SCHEDULE_REROUTE does it. Recipients that go elsewhere now are made groups of their own, due
 * at once, with their tries; what is held or early stays so. What a route refuses or discards now
 * is returned or dropped; where none can be found for now it stays as it is. */
struct schedule_reroute {
    bool dry_run;
    bool names_recipients;          /* otherwise those with the same result are counted together */
    struct span next_hop;           /* for all of them, as text; empty = what the routes say */
    struct schedule_edit edit;      /* instead: only whom it concerns is routed; by id */
    struct arena arena;             /* of the rows; the caller's, empty at first */
    struct schedule_rerouted *rows; /* out */
    unsigned row_count;
};

/* An operator's word on the groups that are named, or without any on one message. For a group that
 * is being delivered it is carried out as soon as that attempt has ended and is recorded, unless
 * that takes longer than queue_command_wait. On any loop; completes there. */
struct schedule_operation {
    struct call call;
    struct loop *home;
    enum schedule_verb verb;
    uint64_t id;
    const struct queue_group_name *groups; /* until the completion; NULL = by `id` */
    unsigned group_count;
    struct schedule_reroute *reroute; /* of SCHEDULE_REROUTE; until the completion */
    uint64_t affected;                /* out: groups */
    uint64_t busy;                    /* out: groups that were being delivered, and still are */
    uint64_t moot; /* out: groups with nothing to do: they have gone, or are so already */
    struct err result;
};
void schedule_operate(const struct schedule_set *set, struct queue *queue,
                      struct schedule_operation *operation);

/* What has to happen before a group can leave. */
enum schedule_gate {
    SCHEDULE_SENDING,    /* it is being sent now */
    SCHEDULE_PLUGIN,     /* plugins are asked whether it may be tried */
    SCHEDULE_RECORDING,  /* what became of it is being recorded */
    SCHEDULE_LINE,       /* in its destination's line, those in front of it go first */
    SCHEDULE_CONNECTION, /* all connections that its site may have are in use */
    SCHEDULE_RATE,       /* its site has had as many messages as it may */
    SCHEDULE_BACK_OFF,   /* its site has failed for all messages */
    SCHEDULE_LOOKUP,     /* its hosts are being looked up */
    SCHEDULE_DNS,        /* they could not be found */
    SCHEDULE_RETRY_TIME, /* its own next try */
    SCHEDULE_RELEASE_TIME,
    SCHEDULE_HELD,
    SCHEDULE_SUSPENDED, /* by an operator, with all that goes to its next hop */
    SCHEDULE_MEMORY,    /* in the store, until there is room in memory */
    SCHEDULE_DAMAGED,   /* it cannot be read */
    SCHEDULE_STOPPED,   /* the process is stopping, or its store has failed */
    SCHEDULE_GATES,
};

enum { SCHEDULE_WHY_MAX = 768 };

struct schedule_explanation {
    enum schedule_gate gate;
    uint64_t until; /* wall clock ms at which the gate opens by itself; 0 = no time is known */
    uint64_t since; /* wall clock ms from which it is being sent; 0 otherwise */
    char why[SCHEDULE_WHY_MAX]; /* for people; may hold what a peer has said */
    size_t why_len;
};

/* "line" */
const char *schedule_gate_name(enum schedule_gate gate);

/* Why a message is still here. On any loop; completes there. */
struct schedule_inquiry {
    struct call call;
    struct loop *home;
    uint64_t id;
    struct err result;             /* out: ERR_NOT_FOUND, ERR_CORRUPT */
    struct queue_message *message; /* out: as the store has it; the caller's reference */
    struct schedule_explanation *explanations; /* out: one for each of its groups; to be freed */
};
void schedule_explain(const struct schedule_set *set, struct queue *queue,
                      struct schedule_inquiry *inquiry);

/* A host of a destination. */
struct schedule_host {
    const char *name;
    char address[IP_PORT_TEXT_MAX]; /* "" = a socket's path, which is its name */
    const char *health;   /* "good", "down", "due" (may be tried again), "unusable" (no address of
                             ours to reach it from) */
    unsigned connections; /* of this worker */
};

enum { SCHEDULE_HOSTS_MAX = 64, SCHEDULE_STEP = 64 };

/* What is in memory of a destination. All times are wall clock ms, 0 = none. */
struct schedule_destination {
    struct span key, next_hop, tenant;
    struct span site;  /* names the hosts that it is sent to; empty while they are not known */
    const char *state; /* "suspended", "backoff", "dns", "lookup", "rate", "connection", "sending",
                          "ready", "waiting" (in the store, for its time), "idle" */
    unsigned ready, under_way; /* groups in its line; being sent or recorded */
    uint64_t store_due;        /* of the earliest group that is in the store only */
    unsigned connections, connections_allowed, connections_most; /* of its site, in all workers */
    uint32_t failures;                                           /* in a row */
    uint64_t back_off_until, rate_until, suspended_until;
    char why[SCHEDULE_WHY_MAX]; /* for people: of what keeps it, or of the latest failure */
    struct schedule_host hosts[SCHEDULE_HOSTS_MAX];
    unsigned host_count;
};

/* On the scheduler's loop: tells of at most SCHEDULE_STEP destinations, in no order, from *place on
 * (0 = the first) and moves it; false when those were the last. What is told lives during the call;
 * what comes or goes between two calls may be missed. */
typedef void schedule_tell_destination(const struct schedule_destination *seen, void *context);
bool schedule_describe(const struct scheduler *scheduler, unsigned *place,
                       schedule_tell_destination *tell, void *context);

/* Records a suspension, or with `until` 0 its end (ERR_NOT_FOUND: there is none of that pattern),
 * and has every scheduler heed it: what goes to a next hop that it names is not tried and costs no
 * try; what is being sent is finished. On any loop; completes there. */
struct schedule_suspend {
    struct call call;
    struct loop *home;
    struct queue_suspend change; /* its suspension is the caller's, in place until the completion */
    struct suspend_run *run;     /* the scheduler's own */
    struct err result;           /* out */
};
void schedule_suspend(const struct schedule_set *set, struct queue *queue,
                      struct schedule_suspend *suspend);
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
    _Atomic uint64_t overdue;      /* messages that the last full sweep found behind their end */
    _Atomic uint64_t swept;        /* wall clock ms of that sweep; 0 = none yet */
};
const struct schedule_counters *schedule_counters(const struct scheduler *scheduler);

#endif
