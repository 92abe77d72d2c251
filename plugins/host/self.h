/*
 * self: one loaded plugin, its options, and what it answers. The daemon's host and the test kit
 * load plugins by the same code, and judge their answers by the same rules; only what they serve
 * them with differs.
 */
#ifndef SMARTHOP_PLUGINS_HOST_SELF_H
#define SMARTHOP_PLUGINS_HOST_SELF_H

#include "plugins/host/host.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>

struct tally;
struct proxy;
struct store;
struct metric;

/* A value of an option, as the plugin's schema has it. */
struct option_value {
    char *text; /* of a flag, number, size or duration as written */
    uint64_t number;
    unsigned line; /* 0 = the default */
};

struct option {
    const struct smarthop_option *schema; /* the plugin's own */
    struct option_value *values;
    unsigned count;
};

/* One loaded plugin. */
struct smarthop_self {
    atomic_uint references; /* to this memory */
    atomic_uint chains;     /* that it is in */
    atomic_uint holds;      /* what keeps it from being stopped; once it is 0 it stays so */
    atomic_bool is_stopping;
    bool is_started;
    struct list among; /* home's plugins that are started; main thread */
    struct call finish;
    struct plugin_home *home;
    void *kit;  /* the test kit, where that is its host */
    char *name; /* of its section */
    char *file;
    char *section; /* as text: whether a new configuration has the same one */
    char *conf_file;
    struct smarthop_plugin plugin; /* a copy, zeroed where its own is shorter */
    void *library;
    int copy; /* what the library was opened from; below 0 = nothing */
    void *state;
    struct proxy *proxy; /* where it runs in a process of its own; else NULL */
    void (*free_proxy)(struct proxy *proxy);
    struct option *options;
    unsigned option_count;
    struct buf *problems; /* during `start`: where option_problem writes */

    enum smarthop_fail_mode fail_mode;
    bool is_shadow;
    uint64_t timeout_ms;
    uint64_t budget_ns;
    unsigned strikes_max;
    uint64_t rest_ms;

    pthread_mutex_t serial; /* SMARTHOP_SERIAL */
    atomic_uint strikes;
    _Atomic uint64_t bypassed_until; /* monotonic ms; 0 = it is asked */
    struct tally *tallies;           /* one a worker */
    struct store *store;             /* NULL = it keeps none */
    struct metric *metrics;
    atomic_uint metric_count;
    dev_t device; /* of the file that was loaded */
    ino_t inode;
    struct timespec changed;
};

/* self.c */
/* place.c; for the caller to free. */
/* A file beside the program, after `levels` of its path are taken off. */
char *place_beside(unsigned levels, const char *rest);
/* Where the plugin of a section is. */
char *self_file(const struct conf *conf, const struct conf_plugin *section);
struct smarthop_self *self_create(const char *name, const char *file, const char *conf_file);
/* Reads the library, its descriptor and its options. False: told in `messages`. */
bool self_open(struct smarthop_self *self, const struct conf_plugin *section, struct buf *messages);
/* What its section says of how it is asked; behind its descriptor. */
void self_configure(struct smarthop_self *self, const struct conf_plugin *section);
/* Makes its state, and has it test itself; likewise. */
bool self_start(struct smarthop_self *self, const struct smarthop_host *services,
                struct buf *messages);
/* Calls its `stop`, where it was started and has not been stopped. */
void self_stop(struct smarthop_self *self);
struct smarthop_self *self_ref(struct smarthop_self *self);
/* With the last reference it is stopped and unloaded. */
void self_unref(struct smarthop_self *self);

/* What the service `alloc` gives at most. */
enum { ALLOC_MOST = 64 << 20 };

/* A service that needs nothing of its host. */
void service_random(struct smarthop_self *self, void *bytes, size_t len);

/* Around each call of the plugin. */
static inline void self_enter(struct smarthop_self *self)
{
    if (self->plugin.flags & SMARTHOP_SERIAL)
        pthread_mutex_lock(&self->serial);
}

static inline void self_exit(struct smarthop_self *self)
{
    if (self->plugin.flags & SMARTHOP_SERIAL)
        pthread_mutex_unlock(&self->serial);
}

/* services_metric.c */
bool metric_is_name(const char *name);

/* options.c: false, and told in `messages`, where the section does not fit the plugin's schema. */
bool options_load(struct smarthop_self *self, const struct conf_plugin *section,
                  struct buf *messages);
void options_free(struct smarthop_self *self);
uint32_t service_option_count(struct smarthop_self *self, const char *name);
const char *service_option_text(struct smarthop_self *self, const char *name, uint32_t index);
uint64_t service_option_number(struct smarthop_self *self, const char *name, uint32_t index);
void service_option_problem(struct smarthop_self *self, const char *name, uint32_t index,
                            const char *text);

/* verdict.c */
/* Copies it into `arena`; fields that `in` is too short for are zeroed, but it is not shorter than
 * that of version 1.0. NULL, or what is wrong with it: then *out is empty. */
const char *verdict_copy(struct arena *arena, const struct smarthop_verdict *in,
                         struct smarthop_verdict *out);
bool verdict_suits(enum smarthop_hook hook, uint32_t action);
/* Puts what `next` says over what was said before. Both lie in `arena`. */
void verdict_merge(struct arena *arena, struct smarthop_verdict *into,
                   const struct smarthop_verdict *next);
/* Of an answer, into a blank one, what it says besides deciding: it holds for those asked next. */
void verdict_keep(struct smarthop_verdict *into, const struct smarthop_verdict *said);

#endif
