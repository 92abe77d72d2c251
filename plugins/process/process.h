/*
 * process: the program that runs one plugin for a server (plugins/host/proxy.h is the other side).
 * It is a host of plugins with one worker, on one loop; what it is asked comes over lanes, and what
 * plugins ask of their host that only the server has goes back over them.
 */
#ifndef SMARTHOP_PLUGINS_PROCESS_H
#define SMARTHOP_PLUGINS_PROCESS_H

#include "plugins/host/private.h"
#include "plugins/host/wire.h"

struct child;

/* A connection to the server; each of its threads has one. */
struct lane {
    struct child *child;
    int fd;
    pthread_mutex_t lock; /* of out */
    struct buf out;
    struct buf in;
    struct loop_watch watch;
    struct call flush;
};

enum { ASKING_LISTS = 256 };

struct child {
    struct loop *loop;
    pthread_t thread; /* the loop's */
    bool is_running;
    struct plugin_home *home;
    struct plugin_worker *worker;
    struct plugin_chain *chain;
    struct plugin_backend backend;
    struct smarthop_host services;
    struct lane *lanes; /* the first is the main thread's */
    unsigned lane_count;
    struct list askings[ASKING_LISTS]; /* by the server's token */
    struct list lookups;
    uint64_t next_lookup;
    struct wire_ready ready;
    struct arena arena; /* for as long as the process lives */
    struct work reload;
    bool is_reloading;
    bool reload_again;
    bool is_refused; /* the reload was */
};

/* What it has been asked, and not answered yet. */
struct asked {
    struct list among;
    struct plugin_run run;
    struct arena arena;
    struct lane *lane;
    uint64_t token; /* the server's */
};

/* lane.c */
void lane_init(struct lane *lane, struct child *child, int fd);
void lane_fini(struct lane *lane);
/* On the loop's thread. */
struct err lane_open(struct lane *lane);
/* Any thread; waits where the server does not read. False: it is too long. */
bool lane_send(struct lane *lane, enum wire_kind kind, uint64_t token, wire_writer *write,
               const void *object);

/* serve.c, on the loop's thread. False: it makes no sense. */
bool serve_frame(struct lane *lane, const struct wire_frame *frame);

/* After the loop has ended: lets go of what is not answered yet. */
void serve_drop(struct child *child);

/* services.c */
void services_init(struct child *child);
/* What the server has found. False: it is not sound. */
bool services_found(struct child *child, const struct wire_frame *frame);

/* confine.c */
/* Gives up what the process must not have while it loads a plugin. */
struct err confine_before(const struct conf_plugin *section);
/* filter.c: from now on it may do what serving needs, and nothing else. */
struct err confine_after(const struct conf_plugin *section);

#endif
