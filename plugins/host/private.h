/*
 * What the files of host/ share.
 */
#ifndef SMARTHOP_PLUGINS_HOST_PRIVATE_H
#define SMARTHOP_PLUGINS_HOST_PRIVATE_H

#include "base/list.h"
#include "base/log.h"
#include "plugins/host/self.h"

#include <stdlib.h>

/* ---- threads ------------------------------------------------------------------------------ */

/* What other threads want done on a loop. Its calls wait here and not in the loop's own mailbox, so
 * that those the loop has not got to when it ends can still be run, or let go of. */
struct inbox {
    pthread_mutex_t lock;
    struct plugin_home *home;
    struct loop *loop;  /* under lock; NULL = it is not there yet, or has ended */
    struct list posted; /* under lock */
    bool is_waking;     /* under lock: `wake` is on its way */
    struct call wake;
};

/* ---- a plugin ----------------------------------------------------------------------------- */

/* Counted by each worker for itself, so that they do not share cache lines. */
struct tally {
    _Alignas(64) _Atomic uint64_t asked;
    _Atomic uint64_t actions[SMARTHOP_ACTIONS];
    _Atomic uint64_t pending, timed_out, late, twice, broken, invalid, slow, bypassed, differs;
    _Atomic uint64_t latencies[PLUGIN_LATENCIES];
};

/* On the worker's thread: nobody else writes it. */
static inline void tally(_Atomic uint64_t *counter)
{
    uint64_t count = atomic_load_explicit(counter, memory_order_relaxed);

    atomic_store_explicit(counter, count + 1, memory_order_relaxed);
}

struct plugin_link {
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
    struct plugin_link *links[SMARTHOP_HOOKS]; /* those that have the hook, in order */
    unsigned link_count[SMARTHOP_HOOKS];
    struct plugin_link *shadows[SMARTHOP_HOOKS];
    unsigned shadow_count[SMARTHOP_HOOKS];
    bool reads; /* headers or messages */
};

/* Answers that nobody waits for. */
enum stray {
    STRAY_LATE,
    STRAY_TWICE,
    STRAY_NEVER,   /* there never was such a token */
    STRAY_NOWHERE, /* there cannot be */
    STRAYS
};

struct plugin_home {
    struct inbox inbox; /* of the main loop, where plugins are stopped */
    struct loop *main;
    char *helper;                         /* runs plugins in processes of their own */
    struct plugin_launcher *launcher;     /* NULL = there is none */
    const struct smarthop_host *services; /* that plugins are given */
    void *process; /* where this is such a process: its own; plugins then keep their stores in the
                      server */
    void (*on_stray)(struct smarthop_self *self, uint64_t token, enum stray kind); /* likewise */
    bool is_over; /* the loops have ended */
    struct plugin_worker *workers;
    unsigned worker_count;
    pthread_mutex_t lock; /* of chains, news and the workers' contents */
    struct list chains;
    bool has_news; /* something was posted to a loop that has ended */
    pthread_cond_t news;
    struct list plugins;
    struct list stores; /* main thread */
    _Atomic uint64_t next_task;
    struct timer look; /* hang.c; main thread */
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

enum { TASK_LISTS = 64 };

struct plugin_worker {
    struct plugin_home *home;
    struct inbox inbox;
    struct loop *loop;
    unsigned index;
    const struct plugin_backend *backend;
    _Atomic(pthread_t) thread; /* of the loop; 0 = not known yet */
    struct plugin_chain *chain;
    struct slot **slots;
    unsigned slot_count;
    unsigned free;                       /* the first free slot; slot_count = none */
    struct list tasks;                   /* of no event */
    struct list tasks_by_id[TASK_LISTS]; /* all */
    struct list shadows;                 /* that are being asked */
    unsigned shadow_count;
    struct list jobs;     /* blocking work under way */
    struct list contents; /* under home's lock: runs whose message can be read and written */
    /* The plugin whose hook is being called; NULL = none. Since when, and which, is set before. */
    _Atomic(const struct smarthop_self *) inside;
    _Atomic uint64_t inside_since; /* ns */
    _Atomic uint32_t inside_hook;
    uint64_t told_since; /* main thread: the one that has been told of */
};

/* A token is 8 bits of worker + 1, 24 of slot, 32 of generation. */
enum { TOKEN_SLOT_BITS = 24, SLOTS_MAX = 1 << TOKEN_SLOT_BITS };

/* Something that plugin_home_stop may wait for has come about. Any thread. */
void home_tell_news(struct plugin_home *home);

/* inbox.c */
void inbox_init(struct inbox *inbox, struct plugin_home *home);
void inbox_fini(struct inbox *inbox);
/* The loop is there. */
void inbox_open(struct inbox *inbox, struct loop *loop);
/* The loop has ended: what is posted waits for inbox_run. */
void inbox_close(struct inbox *inbox);
/* Any thread; in the order of each. */
void inbox_post(struct inbox *inbox, struct call *call);
void inbox_run(struct inbox *inbox);

/* stop.c */
/* Main thread: its `start` is about to be called, or it has gone wrong. */
void self_begin(struct smarthop_self *self);
/* Main thread: no chain has it any more, or none will. Nothing new is begun for it; once nothing of
 * it is going on any more it is stopped. */
void self_retire(struct smarthop_self *self);
/* A chain has it, or has it no longer: main thread. */
void self_join(struct smarthop_self *self);
void self_leave(struct smarthop_self *self);
/* Any thread: keeps it from being stopped. False = it is being stopped. */
bool self_hold(struct smarthop_self *self);
void self_release(struct smarthop_self *self);

/* worker.c */
void plugin_worker_init(struct plugin_worker *worker, struct plugin_home *home, unsigned index);
/* Whether this is its thread. */
static inline bool worker_is_here(struct plugin_worker *worker)
{
    return pthread_equal(atomic_load_explicit(&worker->thread, memory_order_relaxed),
                         pthread_self());
}
static inline void worker_note_thread(struct plugin_worker *worker)
{
    if (atomic_load_explicit(&worker->thread, memory_order_relaxed) == 0)
        atomic_store_explicit(&worker->thread, pthread_self(), memory_order_relaxed);
}

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
/* Any thread; of token 0 the first one. NULL = there is no such worker. */
struct plugin_worker *token_worker(struct plugin_home *home, uint64_t token);
/* The slot, on the worker's thread only, and only while the event is going on; else NULL. */
struct slot *token_living(struct plugin_worker *worker, uint64_t token);

/* complete.c */
void service_complete(struct smarthop_self *self, uint64_t token,
                      const struct smarthop_verdict *verdict);
/* On the worker's thread: whether an answer to this token, which is not living, is one to tell of:
 * what was cancelled the plugin cannot have known. */
bool stray_is(struct plugin_worker *worker, uint64_t token, enum stray *out);
/* Counts it and tells of it; on the worker's thread, but for STRAY_NOWHERE. */
void stray_note(struct smarthop_self *self, struct plugin_worker *worker, uint64_t token,
                enum stray kind);

/* compare.c */
/* A deep copy of what is compared of a sound answer. */
void verdict_dup(struct arena *arena, const struct smarthop_verdict *in,
                 struct smarthop_verdict *out);
/* Whether they differ, and both as texts. `is_whole`: also in what only `did` says besides, which
 * else may be of another plugin. */
bool verdict_differs(struct arena *arena, const struct smarthop_verdict *would,
                     const struct smarthop_verdict *did, bool is_whole, struct span *would_out,
                     struct span *did_out);

/* shadow.c, on the worker's thread */
/* The asking is at its end: the shadows are asked likewise, in a moment. */
void shadows_ask(const struct plugin_run *run);
/* After the loop has ended. */
void shadows_drop(struct plugin_worker *worker);

/* ask.c */
/* Asks run->links. The worker and the chain are set. */
void run_begin(struct plugin_run *run);
/* What an event is about, for a line of the log. */
void event_log(struct log_line *line, const struct smarthop_event *event);
/* On the worker's thread: whether an answer of this plugin's is waited for. */
bool run_awaits(const struct plugin_run *run, const struct smarthop_self *self);
/* It has come; NULL = it could not find out. `problem`: it cannot be used. */
void run_answer(struct plugin_run *run, const struct smarthop_verdict *verdict,
                const char *problem);
/* As plugin_cancel, for this reason. */
void run_cancel(struct plugin_run *run, enum slot_end why);

/* hang.c, on the main thread */
/* From now on hooks that do not return are told of, where the chain has plugins in this process. */
void hangs_watch(const struct plugin_chain *chain);
void hangs_forget(struct plugin_home *home);
/* Around the call of a hook, on the worker's thread. */
static inline void hang_may_begin(struct plugin_worker *worker, const struct smarthop_self *self,
                                  enum smarthop_hook hook, uint64_t now)
{
    atomic_store_explicit(&worker->inside_since, now, memory_order_relaxed);
    atomic_store_explicit(&worker->inside_hook, hook, memory_order_relaxed);
    atomic_store_explicit(&worker->inside, self, memory_order_release);
}
static inline void hang_is_over(struct plugin_worker *worker)
{
    atomic_store_explicit(&worker->inside, NULL, memory_order_relaxed);
}

/* proxy_load.c, in place of self_open: starts a process that has the plugin. Blocks until it
 * serves. */
bool proxy_open(struct smarthop_self *self, const struct conf *conf,
                const struct conf_plugin *section, struct buf *messages);
/* Likewise, but the process only looks whether it can load the plugin, and ends: none of its code
 * runs in this process. */
bool proxy_check(struct smarthop_self *self, const struct conf *conf,
                 const struct conf_plugin *section, struct buf *messages);
/* On the worker's thread, or after its loop has ended: nothing is asked any more. */
void proxy_sweep(struct smarthop_self *self, const struct plugin_worker *worker);

/* breaker.c */
bool breaker_lets_through(struct smarthop_self *self, uint64_t now);
void breaker_note(struct smarthop_self *self, bool is_good, uint64_t now);

/* tasks.c: what is asked to be done later on a loop. A task belongs to an event, and goes with it,
 * or with token 0 to the first worker; and it goes before its plugin is stopped. */
struct task {
    struct list link; /* its slot's, or the worker's */
    struct list by_id;
    struct call call; /* on its way to the worker's thread */
    const struct task_kind *kind;
    struct plugin_worker *worker;
    struct smarthop_self *self;
    uint64_t id;
    uint64_t token;
    bool is_begun;
};

/* On the worker's thread. The task is the first member of what it is of. */
struct task_kind {
    bool (*begin)(struct task *task); /* false = it cannot be done */
    void (*end)(struct task *task);   /* undoes what has begun; ends with task_free */
};

/* Any thread: takes the task over. Its id; 0 = it is not done. */
uint64_t task_start(struct task *task, const struct task_kind *kind, struct smarthop_self *self,
                    uint64_t token);
/* On the worker's thread: takes it out and ends it. */
void task_end(struct task *task);
void task_free(struct task *task);
/* Any thread, by id: also those that are not there any more. */
void task_stop(struct smarthop_self *self, uint64_t id);
void tasks_drop(struct slot *slot);
/* Those that the plugin has on this worker. */
void tasks_sweep(struct plugin_worker *worker, const struct smarthop_self *self);

/* services_timer.c */
uint64_t service_timer_start(struct smarthop_self *self, uint64_t token, uint64_t delay,
                             void (*fire)(void *context), void *context);

/* services_watch.c */
uint64_t service_watch(struct smarthop_self *self, uint64_t token, int descriptor, int events,
                       void (*ready)(void *context, int events), void *context);

/* content.c */
/* From now on the content of the run's message can be had by this token; until the other. */
void content_open(struct plugin_run *run, uint64_t token);
void content_close(struct plugin_run *run);
int64_t service_body_read(struct smarthop_self *self, uint64_t token, uint64_t offset, void *bytes,
                          size_t len);
int service_body_write(struct smarthop_self *self, uint64_t token, const void *bytes, size_t len);

/* services_dns.c */
void service_dns(struct smarthop_self *self, uint64_t token, enum smarthop_record record,
                 struct smarthop_span name,
                 void (*done)(void *context, const struct smarthop_dns_answer *answer),
                 void *context);

/* services_work.c */
void service_work(struct smarthop_self *self, uint64_t token, void (*run)(void *context),
                  void (*done)(void *context), void *context);
/* Likewise. False: it is being stopped, and neither will be called. */
bool work_start(struct smarthop_self *self, uint64_t token, void (*run)(void *context),
                void (*done)(void *context), void *context);
/* After the loop has ended: completes what has run. */
void jobs_settle(struct plugin_worker *worker);

/* services_store.c */
/* Main thread, blocking. The plugin's store, shared by all plugins of that name. False: told in
 * `messages`. */
bool store_join(struct smarthop_self *self, const char *folder, uint64_t most,
                struct buf *messages);
/* What was put is durable then. */
void store_leave(struct smarthop_self *self);
int64_t service_kv_get(struct smarthop_self *self, struct smarthop_span key, void *bytes,
                       size_t len);
void service_kv_put(struct smarthop_self *self, uint64_t token, struct smarthop_span key,
                    struct smarthop_span value, void (*done)(void *context, int error),
                    void *context);
/* Likewise. False: it is being stopped, so nothing is put of which somebody is to be told. */
bool store_put(struct smarthop_self *self, uint64_t token, struct smarthop_span key,
               struct smarthop_span value, void (*done)(void *context, int error), void *context);

/* services_metric.c */
void metrics_free(struct smarthop_self *self);
uint32_t service_metric(struct smarthop_self *self, enum smarthop_metric kind, const char *name,
                        const char *help);
void service_metric_add(struct smarthop_self *self, uint32_t metric, uint64_t value);

/* services.c */
/* The asking that goes on under that token; NULL = it is over, or this is not its thread. */
const struct plugin_run *run_living(struct smarthop_self *self, uint64_t token);
void service_log(struct smarthop_self *self, uint64_t token, int level, const char *event,
                 const char *text);
extern const struct smarthop_host host_services;

#endif
