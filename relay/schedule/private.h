/*
 * What the files of schedule/ share. Everything here lives on the owner's loop but for what
 * scheduler.c posts between loops.
 */
#ifndef SMARTHOP_SCHEDULE_PRIVATE_H
#define SMARTHOP_SCHEDULE_PRIVATE_H

#include "base/clock.h"
#include "base/log.h"
#include "deliver/deliver.h"
#include "proto/base32.h"
#include "report/report.h"
#include "route/route.h"
#include "schedule/schedule.h"

enum { TARGETS_MAX = 64, TABLE_BUCKETS = 4096 };

enum job_state {
    JOB_READY,    /* in its destination's line */
    JOB_ATTEMPT,  /* a connection has it */
    JOB_SETTLING, /* what became of it is being recorded */
};

struct load;
struct schedule_batch;
struct detour;

/* One group in memory. */
struct job {
    struct call call; /* brings it to its owner */
    struct list line; /* in destination->ready */
    struct job *next; /* in the scheduler's table */
    struct scheduler *owner;
    struct destination *destination;
    struct queue_message *message;
    struct queue_group *group; /* in message; ours to change */
    enum job_state state;
    bool loaded;       /* read from the store; the worker that took it in may be bringing it too */
    unsigned requeues; /* times that a lost connection put it back unharmed */

    /* The attempt. */
    struct arena arena; /* the statuses' texts */
    struct deliver_attempt attempt;
    uint32_t *sent;          /* indexes of the attempted recipients */
    struct status *statuses; /* theirs */
    struct detour *detour;   /* hosts that could not take it; NULL = none, in arena */

    /* The settling; see settle.c. */
    struct settling *settling;
};

/* One host address of a destination. */
struct target {
    char *host;
    struct sockaddr_storage address; /* an IP's or a Unix socket's, and zeros */
    uint64_t bad_until;              /* loop time; 0 = no failure known */
    struct ssl_session_st *resume;
};

struct destination {
    struct destination *next; /* in the scheduler's table */
    struct scheduler *owner;
    struct span key;
    struct span next_hop_text; /* empty until a job has brought it */
    struct route_next_hop next_hop;
    struct arena arena;

    struct list ready;
    unsigned ready_count;
    unsigned job_count;  /* in memory, in any state */
    struct list idle;    /* connections that wait for a job */
    struct list members; /* all connections */
    unsigned connections;
    unsigned opening;
    unsigned concurrency; /* connections that are allowed now; adapts */
    uint64_t full_until;  /* loop time before which it does not grow */

    /* Where its hosts are. */
    struct target *targets;
    unsigned target_count;
    uint64_t targets_expire; /* loop time */
    bool resolving;
    unsigned resolving_host; /* index in next_hop.hosts */
    struct resolver_query query;
    struct status resolve_failure;

    /* Back-off. */
    uint64_t back_off_until; /* loop time; 0 = none */
    uint32_t failures;
    struct status failure; /* why; texts in failure_arena */
    struct arena failure_arena;
    bool recorded; /* the store has a back-off record */

    /* The rest of its queue, in the store. */
    uint64_t store_due; /* steady wall ms of the earliest group that is not in memory;
                           UINT64_MAX = none */
    struct load *load;  /* under way; NULL = none */
    unsigned pending;   /* calls under way that point here */
    struct timer wake;
};

/* A group that cannot be read: passed over while this process lives. */
struct quarantined {
    struct quarantined *next;
    uint64_t id;
    uint32_t group;
};

struct scheduler {
    struct loop *loop;
    struct queue *queue;
    struct resolver *resolver;
    struct tls_client *tls;
    struct schedule_set *set;
    struct conf *conf;
    struct destination *destinations[TABLE_BUCKETS];
    struct job *jobs[TABLE_BUCKETS];
    struct quarantined *quarantine;
    unsigned quarantined_count;
    uint64_t random;
    unsigned settling; /* jobs whose outcome is being recorded */
    unsigned working;  /* other calls under way */
    struct timer sweep_timer;
    struct timer stop_timer;
    struct sweep *sweep;
    bool is_stopping;
    struct call *stopped;
    struct schedule_counters counters;
};

/* A connection to one target. */
struct connection {
    struct list link;   /* in destination->idle, or in no list */
    struct list member; /* in destination->members */
    struct destination *destination;
    struct deliver_session *session;
    struct job *job;
    struct job *detour; /* when this one has closed, or is ready: the only job it has */
    struct sockaddr_storage address; /* names its target, should the targets change meanwhile */
    bool ready;                      /* has been ready at least once */
    struct timer idle;
};

static inline void bump(_Atomic uint64_t *counter, int64_t by)
{
    atomic_fetch_add_explicit(counter, (uint64_t)by, memory_order_relaxed);
}

/* scheduler.c */
struct scheduler *schedule_owner(const struct schedule_set *set, struct span key);
struct destination *scheduler_destination(struct scheduler *s, struct span key);
void scheduler_forget_destination(struct destination *d);
struct job *scheduler_find_job(struct scheduler *s, uint64_t id, uint32_t group);
/* Up to, but not including, `below`. */
uint64_t scheduler_random(struct scheduler *s, uint64_t below);
void scheduler_check_stopped(struct scheduler *s);
/* first * 2^(n-1) up to retry_max, with up to a tenth of jitter; n from 1. */
uint64_t scheduler_retry_delay(struct scheduler *s, uint32_t n);

/* job.c */
struct job *job_create(struct scheduler *owner, struct queue_message *message,
                       struct queue_group *group);
/* In its destination's line and in the table. */
void job_enlist(struct job *job, struct destination *d);
/* Takes its place in the line again, before those of its priority. */
void job_line_up_first(struct job *job);
void job_free(struct job *job);
/* Frees a settled job, once no worker can bring its group any more, and notes when that is due
 * again; UINT64_MAX = it is not. */
void job_leave(struct job *job, uint64_t due);
void job_start(struct job *job, struct connection *c);
/* Back at the head of the line, as if it had not been taken. */
void job_requeue(struct job *job);
/* The attempt has its statuses. */
void job_finished(struct job *job, struct connection *c);
/* The same outcome for all of its recipients, without an attempt. */
void job_conclude(struct job *job, const struct status *status);
/* RFC 2852: it was to be delivered by now or not at all. */
bool job_is_late(const struct job *job);
/* Fails all recipients of such a job, which is out of its line; `batch` may be NULL. */
void job_give_up(struct job *job, struct schedule_batch *batch);

/* settle.c */
enum settle_fate {
    SETTLE_KEEP,
    SETTLE_DELIVERED, /* and what is told of it from here on is the next hop's to tell */
    SETTLE_RELAYED,   /* the next hop took it, but knows no notifications */
    SETTLE_FAILED,
    SETTLE_LATE, /* failed because deliver_by has passed (RFC 2852) */
    SETTLE_REMOVED,
};
struct settle_plan {
    const enum settle_fate *fates; /* one a recipient of the group */
    enum queue_group_state state;  /* of those that stay */
    uint64_t due;
    uint32_t tries;
    bool warn;              /* tell the sender that those that stay are late */
    bool tell_late;         /* the same because deliver_by has passed */
    struct span final_text; /* for the notification: why they are given up, where it is not the
                               last status; static */
    struct schedule_batch *batch; /* told when it is recorded; may be NULL */
};
/* Records what became of a job: removals, new state, notifications, in one transaction. The plan
 * is used at once. */
void settle_start(struct job *job, const struct settle_plan *plan);

/* destination.c */
/* Goes on with it: starts attempts, opens connections, loads, waits, or lets it go. */
void destination_run(struct destination *d);
void destination_back_off(struct destination *d, const struct status *why);
/* An answer has come from it, whatever it was. */
void destination_succeeded(struct destination *d);
void destination_lift_back_off(struct destination *d);
/* When a group with this stored due time is due. A time far ahead can only come from a clock that
 * has been set back since: such a group is due now, not kept waiting for hours (it was never to
 * wait longer than retry_max). What waits for a time of its sender's choice is no such group. */
uint64_t destination_due(const struct scheduler *s, const struct queue_due *stored, uint64_t now);
/* The store holds a group of it that is due then (only due and is_future count). */
void destination_note(struct destination *d, const struct queue_due *due);
/* The same for one that waits for no such time. */
void destination_note_due(struct destination *d, uint64_t due);
/* Where a restart finds it: `until` in steady wall ms. */
void destination_restore(struct destination *d, const struct queue_destination *stored);

/* target.c: where the destination's hosts are */
bool targets_are_fresh(const struct destination *d);
void targets_resolve(struct destination *d);
/* The first that is not known to be bad, or NULL. */
struct target *targets_choose(struct destination *d);
struct target *targets_find(struct destination *d, const struct sockaddr_storage *address);
bool target_is_at(const struct target *target, const struct sockaddr_storage *address);
void targets_clear(struct destination *d);

/* connection.c */
/* With a job it is for that one first (detour.c). */
void connection_open(struct destination *d, struct target *target, struct job *detour);
void connection_use(struct connection *c, struct job *job);
/* For the stop: ends every connection on which nothing is in doubt. Idle ones say QUIT; a second
 * call ends those that still wait for its answer. */
void connections_stop(struct destination *d);

/* detour.c */
/* The host has declined the attempt. False where no other is left to try: the statuses tell the
 * outcome then. */
bool detour_begin(struct job *job, struct connection *c);
/* The connection of its last host has gone. */
void detour_go_on(struct job *job);

/* load.c */
void load_start(struct destination *d);
/* A group leaves memory while a load of its destination is under way. */
void load_forget(struct load *load, uint64_t id, uint32_t group);

/* sweep.c */
/* A message has come that is to be delivered by then. On any loop. */
void sweep_note_deadline(const struct schedule_set *set, uint64_t deliver_by);

/* action.c */
/* Actions that are waited for together. */
struct schedule_batch {
    struct loop *home;
    struct call end; /* on `home`, when all have been told and whoever posts has let go */
    atomic_uint untold;
    _Atomic uint64_t affected;
    _Atomic uint64_t busy;
};
/* Held by whoever is going to post, until batch_release. */
void batch_begin(struct schedule_batch *batch, struct loop *home, void (*ended)(struct call *call));
void batch_release(struct schedule_batch *batch);
/* Does the verb to one group, on its owner's loop, and tells the batch. */
void action_post(const struct schedule_set *set, struct schedule_batch *batch,
                 enum schedule_verb verb, struct queue_message *message,
                 const struct queue_group *group);
/* One action of the batch is recorded (or could not be). */
void batch_told(struct schedule_batch *batch, bool done);

#endif
