/*
 * host: the plugins of a configuration, and how they are asked. Loads them, gives them their
 * options and services, asks them one after the other, waits for what they promised, and goes on
 * without those that break.
 *
 * A chain is an immutable, counted snapshot, as the configuration is; a plugin that both an old and
 * a new chain have is shared by them. An asking keeps the chain that it began with. Each worker has
 * a plugin_worker on its loop: what is pending, and what plugins asked to be done there.
 */
#ifndef SMARTHOP_PLUGINS_HOST_H
#define SMARTHOP_PLUGINS_HOST_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/call.h"
#include "base/loop.h"
#include "conf/conf.h"
#include "plugins/smarthop_plugin.h"

/* The two kinds of spans, ours and the plugins', hold the same. */
static inline struct span plugin_span(struct smarthop_span text)
{
    return span_of(text.ptr, text.len);
}

static inline struct smarthop_span plugin_text(struct span text)
{
    return smarthop_span_of(text.ptr, text.len);
}

struct plugin_home;   /* of the process: the workers, and what the plugins share */
struct plugin_chain;  /* the plugins of one configuration, in order */
struct plugin_worker; /* of one loop */
struct plugin_launcher;

/* ---- the process -------------------------------------------------------------------------- */

/* Main thread, before the workers. Plugins that are not used any more are stopped on `main`. */
struct plugin_home *plugin_home_create(struct loop *main, unsigned workers);
/* The program that runs plugins in processes of their own, where it is not smarthop-plugin beside
 * this one. Before anything is loaded. */
void plugin_home_use(struct plugin_home *home, const char *helper);
/* As root, before its rights are given up: starts what begins processes of plugins as the users
 * that `conf` names, where it names any and goes on without root (launcher.h). Else *out is NULL.
 * `helper` NULL = as above. */
struct err plugin_launcher_create(const struct conf *conf, const char *helper,
                                  struct plugin_launcher **out);
/* After the home; NULL is let be. */
void plugin_launcher_free(struct plugin_launcher *launcher);
/* Before anything is loaded. It stays the caller's; NULL = there is none. */
void plugin_home_lend(struct plugin_home *home, struct plugin_launcher *launcher);
/* Main thread, after all loops have ended, while they are still there: stops all plugins, and waits
 * for what they do elsewhere. Nothing is asked any more. NULL is let be. */
void plugin_home_stop(struct plugin_home *home);
/* After the workers' loops are freed. What chains are left go with it. */
void plugin_home_free(struct plugin_home *home);

/*
 * Main thread; blocks. The chain that `conf` asks for. A plugin whose file and section are as they
 * were in `old` (NULL = none) goes on as it is, and is told to look at its files again; others are
 * loaded, started and tested beside it. On failure *out is NULL, nothing has changed, and
 * `messages` has a line for each problem.
 */
struct err plugin_chain_load(struct plugin_home *home, const struct conf *conf,
                             struct plugin_chain *old, struct buf *messages,
                             struct plugin_chain **out);
/* Blocks. Whether the plugins can be loaded and take their options; none is started, so what they
 * themselves make of these is not known. `messages` as above. */
bool plugin_chain_check(const struct conf *conf, struct buf *messages);
/* Any thread; NULL is let be. With the last reference its plugins are stopped and unloaded, soon:
 * the workers let go of them first. */
struct plugin_chain *plugin_chain_ref(struct plugin_chain *chain);
void plugin_chain_unref(struct plugin_chain *chain);

/* ---- a worker ----------------------------------------------------------------------------- */

/* A name that a plugin looks up. */
struct plugin_lookup {
    struct call call; /* `done` is the host's */
    enum smarthop_record record;
    struct span name;                  /* until then, as all of this */
    struct arena *arena;               /* for what the answer points to */
    struct smarthop_dns_answer answer; /* set before done; blank means that nothing was found out */
    void *own;                         /* the backend's, which it keeps in the arena */
};

/* What the wiring lends of the rest of the server. On the worker's loop; what was begun completes
 * at the latest when that is freed. */
struct plugin_backend {
    void *context;
    void (*lookup)(void *context, struct plugin_lookup *lookup);
    /* Nobody wants the answer any more. The completion still comes. */
    void (*cancel)(void *context, struct plugin_lookup *lookup);
};

/* Before its loop runs. It belongs to the home. `backend` stays as long as the loop runs; NULL =
 * there is no DNS: nothing is found out. */
struct plugin_worker *plugin_worker_create(struct plugin_home *home, unsigned index,
                                           struct loop *loop, const struct plugin_backend *backend);
/* On the loop, or before it runs. */
void plugin_worker_configure(struct plugin_worker *worker, struct plugin_chain *chain);
/* After plugin_home_stop: lets go of its chain. */
void plugin_worker_free(struct plugin_worker *worker);

/* ---- asking ------------------------------------------------------------------------------- */

/* Whether any plugin is to be asked; costs nothing where none is. NULL = no plugins. */
bool plugin_worker_wants(const struct plugin_worker *worker, enum smarthop_hook hook);

/* Whether any plugin looks at headers or whole messages. */
bool plugin_worker_reads(const struct plugin_worker *worker);

/*
 * The content of a message that plugins are asked about: what the owner of an asking lends, and
 * what stands behind body_read and body_write. It stays until all who entered have left. Shadows
 * have none.
 */
struct plugin_content {
    /* Any thread, in pairs. Does not block. */
    void (*enter)(struct plugin_content *content);
    void (*leave)(struct plugin_content *content);
    /* Between them, on a thread that may wait; as body_read and body_write. */
    int64_t (*read)(struct plugin_content *content, uint64_t offset, void *bytes, size_t len);
    int (*write)(struct plugin_content *content, struct span bytes);
    /* On the loop, behind each plugin: its edits are made, and what it has written is taken for the
     * message, or dropped. NULL, or, with nothing changed, why its answer cannot be used. */
    const char *(*settle)(struct plugin_content *content, const struct smarthop_verdict *verdict);
};

/*
 * Shadows are asked behind an asking's end, about copies of what it was about, and their answers
 * are only compared: where one differs the log tells so (event "shadow-differs").
 *
 * One asking: embedded in its owner, which fills the upper part and sets call.done. All that
 * `event` points to stays in place until the completion.
 */
struct plugin_step;
struct plugin_run {
    struct call call;
    enum smarthop_hook hook;
    struct smarthop_event event;            /* session, message, recipient, attempt, targets */
    struct arena *arena;                    /* where the answer lies */
    bool is_early;                          /* ROUTE: the message is not there yet */
    unsigned from;                          /* the first plugin of the hook to ask */
    const struct smarthop_verdict *said;    /* what those before it said besides; NULL = nothing */
    const struct smarthop_recipient *stays; /* for the first plugin alone; NULL = as in event */
    bool is_traced;                         /* tell each plugin's answer in `steps` */
    struct plugin_content *content; /* MESSAGE: what can be read and written; NULL = nothing */

    /* The answer. */
    struct plugin_step *steps; /* in arena, in order */
    struct smarthop_verdict
        verdict;       /* SMARTHOP_PASS = relay.conf decides; its spans lie in arena */
    const char *by;    /* the plugin that decided; NULL = none. Lies in arena. */
    const char *spoke; /* the last that said something, if only besides; likewise */
    bool is_postponed; /* is_early: a plugin has to see the message first */
    bool is_cancelled;

    /* The host's own. */
    struct plugin_worker *worker;
    struct plugin_chain *chain;
    unsigned at;                                /* the plugin that is being asked */
    const struct smarthop_recipient *recipient; /* for all others than the first */
    unsigned slot;
    const struct plugin_link *links; /* whom to ask */
    unsigned link_count;
    bool is_shadow;      /* nobody acts on the answer */
    bool is_broken;      /* a shadow that could not answer */
    const char *problem; /* what was wrong with the last answer; NULL = nothing. In arena. */
    bool is_pending;
    bool is_slow;   /* the hook was over its budget */
    bool has_chain; /* a reference to it */
    uint64_t began; /* ns */
    struct timer deadline;
    struct list content_link;
    uint64_t content_token;
};

/* What one plugin said. */
struct plugin_step {
    struct plugin_step *next;
    const char *plugin; /* these in the run's arena, or static */
    const char *said;   /* an action's name, or why there was no answer */
    struct span why;
    uint64_t ns;
};

/* On the worker's loop; completes there. */
void plugin_ask(struct plugin_worker *worker, struct plugin_run *run);
/* Nobody wants the answer any more. The completion still comes, soon, with is_cancelled. */
void plugin_cancel(struct plugin_run *run);

/* Whether an answer is waited for that a plugin has promised. */
static inline bool plugin_is_awaited(const struct plugin_run *run)
{
    return run->is_pending;
}

/* ---- looking at them ---------------------------------------------------------------------- */

enum { PLUGIN_LATENCIES = 24 }; /* answers in less than 1, 2, 4, .. microseconds; the last: more */

/* What a plugin has done since it was loaded. */
struct plugin_view {
    const char *name; /* these as long as the chain */
    const char *version;
    const char *summary;
    const char *file;
    bool is_shadow;
    bool is_process;
    bool is_bypassed;
    enum smarthop_fail_mode fail_mode;
    uint32_t hooks; /* bits 1 << enum smarthop_hook */
    uint64_t asked;
    uint64_t actions[SMARTHOP_ACTIONS];
    uint64_t pending; /* promised; of them timed_out were not kept */
    uint64_t timed_out;
    uint64_t late;    /* completed when nobody waited any more */
    uint64_t twice;   /* completed again */
    uint64_t broken;  /* could not find out */
    uint64_t invalid; /* answered what makes no sense */
    uint64_t slow;    /* over its budget */
    uint64_t bypassed;
    uint64_t differs; /* of a shadow: would have decided otherwise */
    uint64_t latencies[PLUGIN_LATENCIES];
};

/* Blocks; any thread. Has the plugin of this name carry out a command of its own; what it writes is
 * added to `out`, up to PLUGIN_OUTPUT_MAX. Its exit code; below 0: there is no such plugin, or it
 * has no commands. */
enum { PLUGIN_OUTPUT_MAX = 1 << 20 };
int plugin_chain_command(struct plugin_chain *chain, const char *name,
                         const struct smarthop_span *words, unsigned count, struct buf *out);

/* Any thread. */
unsigned plugin_chain_count(const struct plugin_chain *chain);
void plugin_chain_view(const struct plugin_chain *chain, unsigned index, struct plugin_view *out);
enum { PLUGIN_METRIC_STEPS = 65 }; /* values of 0, of less than 2, 4, 8, .. */

/* A metric of a plugin's own. */
struct plugin_metric {
    const char *plugin; /* these as long as the chain */
    const char *name;
    const char *help;
    enum smarthop_metric kind;
    uint64_t value; /* of a counter; of a histogram the sum of all values */
    uint64_t count; /* of a histogram: of values */
    uint64_t steps[PLUGIN_METRIC_STEPS];
};
/* Has the plugins bring theirs up to date, then shows each. Any thread. */
typedef void plugin_metric_visit(void *context, const struct plugin_metric *metric);
void plugin_chain_metrics(const struct plugin_chain *chain, plugin_metric_visit *visit,
                          void *context);
const char *plugin_action_name(enum smarthop_action action);
const char *plugin_hook_name(enum smarthop_hook hook);

#endif
