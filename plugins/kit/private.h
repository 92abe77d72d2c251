/*
 * What the files of kit/ share. All of it lives in the process that the plugin is tried in, on one
 * thread; only services may come from threads of the plugin's own.
 */
#ifndef SMARTHOP_PLUGINS_KIT_PRIVATE_H
#define SMARTHOP_PLUGINS_KIT_PRIVATE_H

#include "base/arena.h"
#include "base/list.h"
#include "plugins/host/self.h"
#include "plugins/kit/kit.h"

#include <stdio.h>
#include <stdlib.h>

enum { PHASE_MAX = 64 };

/* Memory that the process which watches sees too. */
struct shared {
    char phase[PHASE_MAX]; /* what the plugin is called for */
    bool is_complete;
};

/* ---- the DNS script ------------------------------------------------------------------------ */

struct name_row {
    enum smarthop_record record;
    char *name;
    enum smarthop_dns_result result;
    char *value;
    uint16_t preference;
    uint64_t delay;
    bool is_secure;
};

struct names {
    struct name_row *rows;
    unsigned count;
};

/* False: `why` says what is wrong. */
bool names_add(struct names *names, const char *text, struct buf *why);
void names_fini(struct names *names);

/* ---- askings ------------------------------------------------------------------------------- */

/* What is known at a step of the dialogue; NULL where the hook does not have it. */
struct scene {
    const struct smarthop_session *session;
    const struct smarthop_message *message;
    const struct smarthop_recipient *recipient;
    const struct smarthop_attempt *attempt;
    const struct smarthop_target *targets;
    uint32_t target_count;
};

struct asking {
    struct list link;
    uint64_t token;
    enum smarthop_hook hook;
    struct arena arena; /* what the plugin allocates, and its answer */
    bool is_over;
    bool is_given_up;     /* ... without an answer */
    unsigned completions; /* that came before it was over */
    struct smarthop_verdict verdict;
    bool is_broken;      /* it could not find out */
    const char *problem; /* of the verdict; NULL = it is good */
    struct buf body;     /* what was written with body_write */
};

struct kit {
    const struct kit_order *order;
    struct smarthop_self *self;
    struct shared *shared;
    FILE *out; /* records */
    struct names names;
    struct buf message; /* header and body */
    size_t header_len;
    nlink_t own_threads; /* that there were before the plugin, as count_threads counts */
    atomic_bool is_misbehaving;

    pthread_mutex_t lock; /* of what follows */
    int wake;             /* an eventfd: another thread has done something */
    uint64_t now;         /* milliseconds of the made-up clock */
    uint64_t last_id;     /* of tasks and watches */
    struct list tasks;
    struct list watches;
    struct list askings; /* all that there were */
    uint64_t last_token;
    uint64_t working; /* token of the work that runs, where it may read the body */
    struct list values;
    struct list metrics;
    unsigned metric_count;
};

/* ask.c */
/* Asks, waits for what is promised, and tells what was decided. The answer lies in `arena`;
 * SMARTHOP_PASS where the plugin does not have the hook or could not say. */
void kit_ask(struct kit *kit, enum smarthop_hook hook, const struct scene *scene,
             struct arena *arena, struct smarthop_verdict *out);
/* With the lock held; NULL = there never was such a token. */
struct asking *asking_find(struct kit *kit, uint64_t token);
void askings_free(struct kit *kit);

/* usable.c: NULL, or what the daemon could not use of an answer to `route`. */
const char *usable_problem(const struct smarthop_verdict *v);

/* event.c: the event lies in pages that nobody may write to, and that are gone at its end. */
struct stage {
    char *pages;
    size_t size;
    size_t used;
    const struct smarthop_event *event;
};
void stage_set(struct stage *stage, enum smarthop_hook hook, uint64_t token,
               const struct scene *scene);
void stage_clear(struct stage *stage);

/* dialogue.c: all hooks in order. */
void dialogue_run(struct kit *kit);

/* tasks.c */
struct task;
/* Lets happen what is next, if that is before `until`. False: nothing more happens before then, and
 * where there is something behind it, it is `until` now. */
bool kit_step(struct kit *kit, uint64_t until);
nlink_t count_threads(void);
/* Whether anything could still happen, at any time. */
bool kit_has_more(struct kit *kit);
void tasks_drop(struct kit *kit, uint64_t token);
void tasks_free(struct kit *kit);
uint64_t kit_timer_start(struct smarthop_self *self, uint64_t token, uint64_t delay,
                         void (*fire)(void *context), void *context);
void kit_timer_stop(struct smarthop_self *self, uint64_t id);
void kit_dns(struct smarthop_self *self, uint64_t token, enum smarthop_record record,
             struct smarthop_span name,
             void (*done)(void *context, const struct smarthop_dns_answer *answer), void *context);
uint64_t kit_watch(struct smarthop_self *self, uint64_t token, int descriptor, int events,
                   void (*ready)(void *context, int events), void *context);
void kit_unwatch(struct smarthop_self *self, uint64_t id);
void kit_work(struct smarthop_self *self, uint64_t token, void (*run)(void *context),
              void (*done)(void *context), void *context);
/* Calls done(context, 0), soon. */
void kit_stored(struct kit *kit, uint64_t token, void (*done)(void *context, int error),
                void *context);

/* store.c */
int64_t kit_kv_get(struct smarthop_self *self, struct smarthop_span key, void *bytes, size_t len);
void kit_kv_put(struct smarthop_self *self, uint64_t token, struct smarthop_span key,
                struct smarthop_span value, void (*done)(void *context, int error), void *context);
uint32_t kit_metric(struct smarthop_self *self, enum smarthop_metric kind, const char *name,
                    const char *help);
void kit_metric_add(struct smarthop_self *self, uint32_t metric, uint64_t value);
void metrics_tell(struct kit *kit);
void store_free(struct kit *kit);

/* services.c */
extern const struct smarthop_host kit_services;

/* record.c; any thread. */
void record_plugin(struct kit *kit);
void record_log(struct kit *kit, int level, const char *event, const char *text);
void record_problem(struct kit *kit, const char *text); /* ... and remembers that it misbehaves */
void record_race(struct kit *kit, enum smarthop_hook hook, const char *text);
void record_metric(struct kit *kit, const char *name, uint64_t count, uint64_t sum);
void record_refusal(struct kit *kit, struct span messages);
void record_reload(struct kit *kit);
void record_command(struct kit *kit, const char *words, int code, struct span output);
/* `answer`: "at once", "later", .. */
void record_decision(struct kit *kit, const struct asking *asking, const struct scene *scene,
                     const char *answer, uint64_t after, const struct smarthop_verdict *verdict);

/* trial.c: names what the plugin is called for from now on. */
void kit_phase(struct kit *kit, const char *what);
/* The child's whole life: returns its exit code. */
int trial_run(const struct kit_order *order, struct names *names, struct shared *shared, FILE *out);

static inline uint64_t bounded_sum(uint64_t a, uint64_t b)
{
    return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

#endif
