/*
 * What the files of schedule/ share. Everything here lives on the owner's loop but for what
 * scheduler.c posts between loops.
 */
#ifndef SMARTHOP_SCHEDULE_PRIVATE_H
#define SMARTHOP_SCHEDULE_PRIVATE_H

#include "base/clock.h"
#include "base/heap.h"
#include "base/log.h"
#include "deliver/deliver.h"
#include "proto/base32.h"
#include "report/report.h"
#include "route/route.h"
#include "rules/rules.h"
#include "schedule/budget.h"
#include "schedule/health.h"
#include "schedule/schedule.h"

enum { TABLE_BUCKETS = 4096 };

enum job_state {
    JOB_READY,    /* in its destination's line */
    JOB_ATTEMPT,  /* a connection has it */
    JOB_SETTLING, /* what became of it is being recorded */
    JOB_ASKED,    /* out of its line: plugins are asked whether it may be tried now */
    JOB_CLAIMED,  /* out of its line: an action that has waited for it comes next */
    JOB_ROUTING,  /* its recipients are being routed again */
};

struct load;
struct schedule_batch;
struct detour;
struct reroute;

/* One group in memory. */
struct job {
    struct call call;  /* brings it to its owner */
    struct list line;  /* in destination->ready */
    struct site *site; /* that has it under way; NULL = none */
    struct job *next;  /* in the scheduler's table */
    struct scheduler *owner;
    struct destination *destination;
    struct queue_message *message;
    struct queue_group *group; /* in message; ours to change */
    enum job_state state;
    bool fresh;        /* read from the store, never tried: who took it in may be bringing it too */
    bool is_cleared;   /* plugins have nothing against trying it */
    uint64_t put_off;  /* for how long one has put it off; 0 = as its destination has it */
    unsigned requeues; /* times that the end of a connection put it back unharmed */

    /* The attempt. */
    struct arena arena; /* the statuses' texts */
    struct deliver_attempt attempt;
    uint32_t *sent;          /* indexes of the attempted recipients */
    struct status *statuses; /* theirs */
    struct detour *detour;   /* hosts that could not take it; NULL = none, in arena */

    struct list waiting; /* actions, for the end of what is under way */
};

/* One host address of a site. */
struct target {
    char *host;
    struct sockaddr_storage address; /* an IP's or a Unix socket's, and zeros */
    bool implicit_tls;               /* from the first byte */
    uint16_t preference;             /* of the MX */
    unsigned weight; /* its share: TARGET_SHARE for each 1 of the host's, over its addresses */
    uint64_t spent;  /* likewise weighted: its own time in the site's turns */
    bool lags;       /* it did not take its turns: nobody waits for it until it has caught up */
    unsigned connections;
    struct ssl_session_st *resume;
};

enum { TARGETS_MAX = SCHEDULE_HOSTS_MAX, TARGET_SHARE = 1024 };

/* One of our addresses that a site's connections leave from. */
struct origin {
    struct sockaddr_storage address;
    unsigned weight;
    uint64_t spent;        /* its own time in the turns of the site's addresses */
    struct budget *budget; /* of all sites that use it; NULL = no bound */
};

/* What relay.conf says of a site. */
struct shape {
    struct budget_limits limits;
    unsigned messages_per_connection;
    unsigned recipients_per_transaction;
    uint64_t retry_first;
    uint64_t retry_max;
};

/*
 * Where mail goes: the hosts of a route, or those that are the MX of one or many domains. A site
 * holds this worker's connections there and gives each free one the next job, by turns between the
 * destinations that have some. Its budget is shared with the sites of the same key in the other
 * workers.
 */
struct site {
    struct site *next; /* in the scheduler's table */
    struct scheduler *owner;
    struct span key;
    struct arena arena;
    struct route_next_hop next_hop; /* of the destination that made it: what they have in common */
    struct span domain;             /* likewise */
    struct shape shape;
    struct budget *budget;
    struct target *targets;
    unsigned target_count;
    struct span group;        /* those that share what is known of the hosts: part of the key */
    uint64_t turn_of_targets; /* weighted: the time of the one served last */
    uint64_t held_since; /* weighted: jobs wait for a host's turn while others are idle; 0 = none */
    uint64_t look_at;    /* when to look next whether a host may be tried again; loop time */
    struct origin *origins; /* of next_hop.source; none = any address */
    unsigned origin_count;

    struct list idle;    /* connections that wait for a job */
    struct list near;    /* that wait for the reply to the end of data: one more job may go along */
    struct list members; /* all connections */
    unsigned connections;
    unsigned opening;
    unsigned trying; /* of these, those to hosts that had failed, while others serve */

    struct heap turns;     /* destinations with ready jobs, the next one first */
    uint64_t turn;         /* of the one served last */
    unsigned ready_count;  /* jobs of all of them */
    unsigned under_way;    /* jobs that connections have, or that are being recorded */
    unsigned destinations; /* that are attached */

    struct status failure; /* the latest; texts in failure_arena */
    struct arena failure_arena;
    struct budget_waiter waiter;
    bool waiting; /* the budget has the waiter, or its call is on its way */
    bool running; /* site_run is under way */
    struct timer wake;
};

/* Jobs in the order in which they are to be sent; see line.c. */
struct line {
    struct list small;
    struct list bulk;
    unsigned count;
    unsigned passed; /* small ones that have gone in front of waiting bulk */
};

/* What waits for one next hop on behalf of one tenant: the unit of the store's order. */
struct destination {
    struct destination *next; /* in the scheduler's table */
    struct scheduler *owner;
    struct span key;
    struct span next_hop_text; /* empty until a job has brought it */
    struct span tenant;        /* likewise */
    struct route_next_hop next_hop;
    struct arena arena;

    struct line ready;
    unsigned job_count; /* in memory, in any state */
    struct site *site;  /* NULL until it is known */
    struct heap_node turn;
    uint64_t spent; /* its own time in the site's turns */
    unsigned weight;

    /* Where its hosts are being looked up. */
    bool resolving;
    unsigned resolving_host; /* index in next_hop.hosts */
    struct target *found;
    unsigned found_count;
    struct resolver_query query;
    struct status resolve_failure;
    struct list unfound;   /* in scheduler->unfound: it backs off because they could not be found */
    bool is_unfound;       /* the latest look-up failed */
    bool is_probed;        /* it is tried before its time: that this fails is no news */
    uint64_t site_expires; /* loop time */

    /* Back-off: of its site, or because its hosts could not be found. */
    uint64_t back_off_until; /* loop time; 0 = none */
    uint32_t failures;       /* to find its hosts, in a row; at the start: those of its site */
    struct status failure;   /* why; texts in failure_arena */
    struct arena failure_arena;
    bool recorded; /* the store has a back-off record */

    /* The rest of its line, in the store. */
    uint64_t store_due; /* steady wall ms of the earliest group that is not in memory;
                           UINT64_MAX = none */
    struct load *load;  /* under way; NULL = none */
    unsigned loading;   /* groups that it may bring */
    unsigned appetite;  /* how many groups the next load may bring; adapts */
    uint64_t loaded_at; /* loop time of the latest load */
    struct list hungry; /* in scheduler->hungry: it may load once there is room */
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
    struct follow *rules; /* of the response_rules file; NULL = never one */
    struct plugin_worker *plugins;
    struct list hooks;     /* askings of plugins under way */
    struct rules *builtin; /* the table that comes with the program */
    struct conf *conf;
    struct destination *destinations[TABLE_BUCKETS];
    struct site *sites[TABLE_BUCKETS];
    struct job *jobs[TABLE_BUCKETS];
    unsigned job_count;              /* that have a destination */
    unsigned loading;                /* that loads under way may bring */
    struct list hungry;              /* destinations that wait for room to load */
    struct suspensions *suspensions; /* NULL = none */
    struct quarantined *quarantine;
    unsigned quarantined_count;
    uint64_t retry_longest; /* of all shapes */
    uint64_t random;
    unsigned settling;   /* jobs whose outcome is being recorded */
    unsigned working;    /* other calls under way */
    struct list unfound; /* destinations whose hosts could not be found, the oldest first */
    struct timer probe_timer;
    struct timer sweep_timer;
    struct timer stop_timer;
    struct sweep *sweep;
    bool is_stopping;
    struct call *stopped;
    struct schedule_counters counters;
};

/* A connection to one target. */
struct connection {
    struct list link;   /* in site->idle, or in no list */
    struct list near;   /* in site->near, or in no list */
    struct list member; /* in site->members */
    struct site *site;
    struct deliver_session *session;
    struct job *job;
    struct job *next;   /* whose commands have gone along with it; NULL = none */
    struct job *detour; /* when this one has closed, or is ready: the only job it has */
    struct sockaddr_storage address; /* names its target, should the targets change meanwhile */
    struct budget *origin;           /* of the address that it leaves from; NULL = no bound */
    bool ready;                      /* has been ready at least once */
    bool tries;                      /* whether its host serves again */
    bool is_aside;                   /* tries while others serve: no job waits for it */
    bool passed_over;                /* its host is: it takes no further job */
    struct timer idle;
};

static inline void bump(_Atomic uint64_t *counter, int64_t by)
{
    atomic_fetch_add_explicit(counter, (uint64_t)by, memory_order_relaxed);
}

/* scheduler.c */
struct scheduler *schedule_owner(const struct schedule_set *set, struct span key);
struct destination *scheduler_destination(struct scheduler *s, struct span key);
/* NULL where it is not in memory. */
struct destination *scheduler_find_destination(const struct scheduler *s, struct span key);
void scheduler_forget_destination(struct destination *d);
struct job *scheduler_find_job(struct scheduler *s, uint64_t id, uint32_t group);
/* Up to, but not including, `below`. */
uint64_t scheduler_random(struct scheduler *s, uint64_t below);
/* Wall clock ms of a loop time. */
uint64_t scheduler_wall(const struct scheduler *s, uint64_t at);
void scheduler_check_stopped(struct scheduler *s);
/* first * 2^(n-1) up to the most, with up to a tenth of jitter; n from 1. */
uint64_t scheduler_retry_delay(struct scheduler *s, const struct shape *shape, uint32_t n);

/* job.c */
struct job *job_create(struct scheduler *owner, struct queue_message *message,
                       struct queue_group *group);
/* In its destination's line and in the table. */
void job_enlist(struct job *job, struct destination *d);
/* Out of its line. */
void job_unline(struct job *job);
void job_free(struct job *job);
/* Frees a settled job, once no worker can bring its group any more, and notes when that is due
 * again; UINT64_MAX = it is not. */
void job_leave(struct job *job, uint64_t due);
void job_start(struct job *job, struct connection *c);
/* Back at the head of the line, as if it had not been taken; put_back where the budget has its
 * message back already. */
void job_requeue(struct job *job);
void job_put_back(struct job *job);
/* The attempt has its statuses. */
void job_finished(struct job *job, struct connection *c);
/* The same outcome for all of its recipients, without an attempt. */
void job_conclude(struct job *job, const struct status *status);
/* RFC 2852: it was to be delivered by now or not at all. */
bool job_is_late(const struct job *job);
/* A recipient has failed without an attempt. */
void job_refuse(struct job *job, uint32_t index, const struct status *status);
/* Fails all recipients of such a job, which is out of its line; `batch` may be NULL. */
void job_give_up(struct job *job, struct schedule_batch *batch);

/* hooks.c: what plugins are asked. The functions return false where none is. */
/* d->found is theirs to choose from; targets_found or targets_refused follows. */
bool hook_targets(struct destination *d);
/* The job is out of its line; it is put back, or put off. */
bool hook_before(struct job *job);
/* As event_outcome; nothing waits for it. */
void hook_after(const struct job *job, const struct connection *c,
                const struct queue_recipient *recipient, const struct status *status,
                const char *event);
/* Likewise, of all that is ready to go: it came to no host. */
void hook_unreached(const struct destination *d, const struct status *why);
struct hook_bounce {
    void (*answered)(struct hook_bounce *bounce, bool is_wanted);
};
/* Whether the sender is to be told; of the first of the recipients that it would be told of. */
bool hook_bounce(const struct job *job, const struct queue_recipient *recipient,
                 struct hook_bounce *bounce);
/* Those that something waits for end soon, without an answer. */
void hooks_cancel(struct scheduler *s);

/* event.c: nothing where there is no event log. */
/* `c` is NULL where there was no attempt. */
void event_outcome(const struct job *job, const struct connection *c,
                   const struct queue_recipient *recipient, const struct status *status,
                   const char *klass, const char *name);
/* Of all recipients. */
void event_action(const struct job *job, const char *name);
/* Of the recipients of a group that is made of some of the job's. */
void event_moved(const struct job *job, const struct queue_group *moved, const char *name);
/* Of one of the job's recipients. */
void event_recipient(const struct job *job, const struct queue_recipient *recipient,
                     const char *name);
void event_notified(const struct job *job, const struct queue_message *notification);

/* response.c */
/* What a reply means by the rules. */
struct response {
    enum rule_action action; /* RULE_DEFAULT where no rule fits */
    uint64_t duration_ms;    /* of RULE_BACK_OFF */
    char klass[RULES_CLASS_MAX + 1];
};
/* Of a host of that next hop. Success, and what no host has said, has no class. */
void response_read(const struct scheduler *s, struct span domain, const struct status *status,
                   struct response *out);
/* Those to all of a job's attempt, one a status, into `out`; and does what the rules want for the
 * site. Those of RULE_NEXT_HOST are so only where there is another host. */
void responses_heed(struct job *job, struct connection *c, struct response *out);
/* Whether a recipient that was not delivered has failed for good. */
bool response_is_final(const struct response *response, const struct status *status);
/* Whether a rule settles the outcome of an attempt that its host, not the message, made fail. */
bool responses_bounce(const struct job *job);

/* settle.c */
enum settle_fate {
    SETTLE_KEEP,
    SETTLE_PASSED_ON, /* what is told of it from here on is the next hop's to tell */
    SETTLE_RELAYED,   /* the next hop took it, but knows no notifications */
    SETTLE_DELIVERED, /* the same by LMTP, behind which is no other hop */
    SETTLE_FAILED,
    SETTLE_LATE, /* failed because deliver_by has passed (RFC 2852) */
    SETTLE_REMOVED,
    SETTLE_MOVED, /* into one of the splits */
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
    struct queue_group *splits;   /* with their recipients; in place until it is recorded */
    unsigned split_count;
    struct reroute *reroute; /* told likewise; may be NULL */
    struct span sender;      /* theirs from now on; empty = it stays */
};
/* Records what became of a job: removals, new state, notifications, in one transaction. The plan
 * is used at once. */
void settle_start(struct job *job, const struct settle_plan *plan);

/* line.c */
void line_init(struct line *line);
/* Behind those of its priority, or (again) in front of them. */
void line_append(struct line *line, struct job *job);
void line_prepend(struct line *line, struct job *job);
void line_remove(struct line *line, struct job *job);
/* The next one, taken out; NULL: there is none. */
struct job *line_take(struct line *line);

/* shape.c */
void shape_read(struct shape *shape, const struct conf *conf, struct span host, struct span domain);
/* Its site's, or where that is not known yet by its domain alone. */
void shape_of(struct shape *shape, const struct destination *d);
/* The title of the section that it comes from, "" for none. */
struct span shape_name(const struct conf *conf, struct span host, struct span domain);

/* destination.c */
/* Goes on with it: loads, offers what is ready to its site, waits, or lets it go. */
void destination_run(struct destination *d);
/* Its hosts cannot be found for now. */
void destination_back_off(struct destination *d, const struct status *why);
/* Its site is left alone until then (loop time). */
void destination_leave(struct destination *d, uint64_t until, uint32_t failures,
                       const struct status *why);
/* An answer has come from its site, whatever it was. */
void destination_succeeded(struct destination *d);
void destination_lift_back_off(struct destination *d);
/* Operators have suspended something, or let it go on. */
void destination_reconsider(struct destination *d);
/* A job of it has been taken. */
void destination_refill(struct destination *d);
/* Somewhere in memory there is room. */
void destinations_feed(struct scheduler *s);
/* When a group with this stored due time is due. A time far ahead can only come from a clock that
 * has been set back since: such a group is due now, not kept waiting for hours (it was never to
 * wait longer than retry_max). What waits for a time of its sender's choice is no such group. */
uint64_t destination_due(const struct destination *d, const struct queue_due *stored, uint64_t now);
/* The store holds a group of it that is due then (only due and is_future count). */
void destination_note(struct destination *d, const struct queue_due *due);
/* The same for one that waits for no such time. */
void destination_note_due(struct destination *d, uint64_t due);
/* Where a restart finds it: `until` in steady wall ms. */
void destination_restore(struct destination *d, const struct queue_destination *stored);

/* Runs it soon. */
void destination_wake(struct destination *d);

/* lookup.c: destinations whose hosts could not be found */
/* Whether a stored status says so. */
bool lookup_has_failed(const struct status *why);
/* It backs off since. */
void lookup_failed(struct destination *d);
void lookup_succeeded(struct destination *d);

/* ourselves.c */
enum { OURSELVES_NOWHERE = UINT16_MAX + 1 };
/* The best preference at which the answer has this relay itself, at `port`; OURSELVES_NOWHERE:
 * it is not among the hosts. */
unsigned ourselves_preference(const struct conf *conf, const struct resolver_answer *answer,
                              uint16_t port);

/* target.c: where a destination's hosts are */
/* Finds its site, and runs it again. */
void targets_resolve(struct destination *d);
/* The hosts in d->found are those to use; or there are none to use for now. */
void targets_found(struct destination *d);
void targets_refused(struct destination *d, const struct status *why);
void targets_free(struct target *targets, unsigned count);
struct target *targets_find(struct target *targets, unsigned count,
                            const struct sockaddr_storage *address);
bool target_is_at(const struct target *target, const struct sockaddr_storage *address);

/* site.c */
/* The site with these targets, which it takes over, for the destination to be attached to. Sites
 * whose keys begin with the same `group_len` bytes share what is known of the hosts. */
void site_attach(struct destination *d, struct span key, size_t group_len, struct target *targets,
                 unsigned count);
void site_detach(struct destination *d);
/* The destination has ready jobs. */
void site_offer(struct destination *d);
/* It has none any more, or is not to send them. */
void site_withdraw(struct destination *d);
/* Goes on with it: gives jobs to connections, opens some, or waits. May end destinations and
 * itself, but not while a call of it is on the stack. */
void site_run(struct site *site);
/* What site->wake does: the same, once it is time. */
void site_on_wake(struct timer *timer);
/* It may have one more job under way. */
bool site_has_turn(const struct site *site);
/* A job that it has had under way is over: recorded, or back in its line. */
void site_job_over(struct job *job);
/* A rule of an answer asks for it: nothing goes there for so long, and this is why. `d` is the
 * destination that got the answer, where it was one. */
void site_leave(struct site *site, struct destination *d, uint64_t ms, const struct status *why);
/* This host is passed over for a while. False where no other one is left to try, and then it is
 * not. */
bool site_pass_over(struct site *site, const struct sockaddr_storage *address,
                    const struct status *why);
/* A connection that has been opened is served no more, and this is why. */
void site_failed(struct site *site, const struct sockaddr_storage *address,
                 const struct status *why);
/* An operator's word: it and its hosts are tried at once. */
void site_lift(struct site *site);
/* A new configuration. */
void sites_reshape(struct scheduler *s);
/* At the end, when their connections have gone. */
void sites_forget(struct scheduler *s);

/* balance.c: which of a site's hosts serves next */
/* The host for one more connection; NULL: none may be used now. */
struct target *balance_choose(const struct site *site);
/* A host that failed, to be tried again by one connection while others serve; NULL: none. */
struct target *balance_due(struct site *site);
/* Weighted: the host whose turn it is, where it has no connection; NULL: it has some. */
struct target *balance_missing(const struct site *site);
bool balance_may_use(const struct site *site, const struct target *target);
/* Another address of the target's host, of the other IP family, that serves; NULL: there is none.
 */
const struct target *balance_other_family(const struct site *site, const struct target *target);
/* The idle connection for the next job; NULL: there is none, or it is another host's turn. */
struct connection *balance_idle(struct site *site);
/* Weighted: whether the next job may be its host's. */
bool balance_may_take(const struct site *site, const struct connection *c);
/* The connection's host gets a job. */
void balance_charge(struct site *site, const struct connection *c);
/* Whether another host of its site serves, or another connection is there. */
bool balance_has_others(const struct site *site, const struct connection *c);
/* Whether it stands in for a host that serves again. */
bool balance_is_stand_in(const struct site *site, const struct connection *c);
/* Sticky: brings the destination's own host to the front, and names it in the key of its site. */
void balance_arrange(struct destination *d, struct buf *key);
/* What is told of hosts. */
void balance_failed(struct site *site, const struct target *target, const struct status *why);
/* Whether the connection is one that tries its host. */
void balance_opened(struct connection *c);
void balance_answered(struct connection *c);
void balance_let_go(struct connection *c);
/* The wait of every host is over: the site's own has begun. */
void balance_forgive(struct site *site, const struct target *target);

/* origin.c: the addresses that connections leave from */
void origins_read(struct site *site);
void origins_free(struct site *site);
/* Whether there is one of the target's family. */
bool origins_serve(const struct site *site, const struct target *target);
bool origins_are_bounded(const struct site *site);
/* The one for the next connection, NULL for any. Only where origins_serve; where all that fit are
 * spent the answer is BUDGET_RATE, and *until_out. */
enum budget_answer origins_choose(struct site *site, const struct target *target,
                                  struct origin **out, uint64_t *until_out);
/* A connection leaves from it. */
void origin_charge(struct origin *origin);

/* suspend.c */
/* What operators have suspended; immutable, shared by the schedulers. */
struct suspensions {
    atomic_uint references;
    struct arena arena;
    unsigned count;
    struct queue_suspension *items;
};
/* Before the loops run. */
struct err suspensions_restore(const struct schedule_set *set, struct queue *queue);
void suspensions_unref(struct suspensions *all); /* NULL is allowed */
/* The one that ends last of those that hold now for this next hop (text form), or for the hosts of
 * the site, which may be NULL. NULL = there is none. */
const struct queue_suspension *suspensions_find(const struct suspensions *all, struct span next_hop,
                                                const struct site *site);

/* connection.c */
/* For a connection that the budget has granted. With a job it is for that one first (detour.c). */
void connection_open(struct site *site, struct target *target, struct origin *origin,
                     struct job *detour);
/* Says QUIT on an idle one. */
void connection_retire(struct connection *c);
void connection_use(struct connection *c, struct job *job);
/* For the stop: ends every connection on which nothing is in doubt. Idle ones say QUIT; a second
 * call ends those that still wait for its answer. */
void connections_stop(struct site *site);

/* follow.c: one job behind the end of data of another, on the same connection */
/* The end of data of its job has left. */
void follow_begin(struct connection *c);
/* The connection for the next job, where each has one that waits; NULL: there is none. */
struct connection *follow_choose(const struct site *site);

/* detour.c */
/* The host has declined the attempt. False where no other is left to try: the statuses tell the
 * outcome then. */
bool detour_begin(struct job *job, struct connection *c);
/* The connection of its last host has gone. */
void detour_go_on(struct job *job);

/* load.c */
/* It could not be read, and is passed over. */
bool load_is_quarantined(const struct scheduler *s, uint64_t id, uint32_t group);
/* At most `room` of them. */
void load_start(struct destination *d, unsigned room);
/* A group leaves memory while a load of its destination is under way. */
void load_forget(struct load *load, uint64_t id, uint32_t group);

/* sweep.c */
void sweep_free(struct scheduler *s);
/* A message has come that is to be delivered by then. On any loop. */
void sweep_note_deadline(const struct schedule_set *set, uint64_t deliver_by);

/* batch.c */
/* Actions that are waited for together. */
struct schedule_batch {
    struct loop *home;
    struct call end; /* on `home`, when all have been told and whoever posts has let go */
    bool is_patient; /* its actions wait for attempts that are under way (queue_command_wait) */
    struct schedule_reroute *reroute; /* of SCHEDULE_REROUTE; changed on `home` only */
    atomic_uint untold;
    _Atomic uint64_t affected;
    _Atomic uint64_t busy;
    _Atomic uint64_t moot;
};
/* Held by whoever is going to post, until batch_release. */
void batch_begin(struct schedule_batch *batch, struct loop *home, void (*ended)(struct call *call));
void batch_release(struct schedule_batch *batch);
/* One action of the batch is recorded (or could not be). */
void batch_told(struct schedule_batch *batch, bool done);
/* One action had nothing to do: the group has gone meanwhile, or was so already. */
void batch_told_moot(struct schedule_batch *batch);

/* action.c */
/* Whether the verb means anything for a group in that state. */
bool action_applies(const struct queue_group *group, enum schedule_verb verb);
/* Does the verb to one group, on its owner's loop, and tells the batch. */
void action_post(const struct schedule_set *set, struct schedule_batch *batch,
                 enum schedule_verb verb, struct queue_message *message,
                 const struct queue_group *group);
/* What the job had under way is over, its group is in memory as the store has it, and it is in no
 * line. True where an action has waited for that: the job is its from now on. */
bool actions_claim(struct job *job);
/* The group has gone, or what became of it is not known: for those that still wait. */
void actions_give_up(struct job *job, bool has_gone);
/* The action that has had it leaves it as it is. */
void action_release(struct job *job);

/* reroute.c */
/* Routes a group again for a batch, which is told. With its job, which is in no line, it is changed
 * too; `job` NULL: it is only told what would be. */
void reroute_start(struct schedule_batch *batch, struct scheduler *s, struct queue_message *message,
                   const struct queue_group *group, struct job *job);
void reroute_recorded(struct reroute *r, bool recorded);

#endif
