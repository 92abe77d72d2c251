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

/* A connection to the server; each of its threads has one, and the last is the desk's. */
struct lane {
    struct child *child;
    int fd;
    bool is_closed;       /* under the child's lock: nothing comes over it any more */
    pthread_mutex_t lock; /* of out */
    struct buf out;
    struct buf in;
    size_t used; /* of it, by the last lane_ask */
    struct loop_watch watch;
    struct call flush;
};

enum { ASKING_LISTS = 256 };

struct child {
    struct loop *loop;
    pthread_t thread; /* the loop's */
    atomic_bool is_running;
    atomic_bool is_over; /* it has, and does not any more */
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
    pthread_mutex_t lock; /* of these, and of askings' users */
    pthread_cond_t news;
    struct list lent;    /* askings with content */
    struct list fetches; /* of contents, that are waited for */
    struct list puts;    /* to the store, of which somebody is to be told */
    uint64_t next_id;
    pthread_mutex_t desk_turn; /* one asks there at a time */
    struct timer metrics;
    struct wire_ready ready;
    struct arena arena; /* for as long as the process lives */
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
    unsigned users; /* of the content, and one for the asking; under the child's lock */
    struct plugin_content content;
    struct list lent;     /* where it has content: child's; under its lock */
    pthread_mutex_t turn; /* of these: one reads or writes at a time */
    struct buf written;   /* not sent yet */
    struct buf ahead;     /* of what was read, more than was asked for */
    uint64_t ahead_at;
};

/* lane.c */
void lane_init(struct lane *lane, struct child *child, int fd);
void lane_fini(struct lane *lane);
/* On the loop's thread. */
struct err lane_open(struct lane *lane);
/* Any thread; waits where the server does not read. False: it is too long. */
bool lane_send(struct lane *lane, enum wire_kind kind, uint64_t token, wire_writer *write,
               const void *object);
/* Any thread: sends what waits. */
void lane_flush(struct lane *lane);
/* Sends it at once, and waits for a frame of the other kind: on lanes that no loop hears. False:
 * there is no server any more. The frame is good until the next time. */
bool lane_ask(struct lane *lane, enum wire_kind kind, const struct wire_parcel *asked,
              enum wire_kind other, struct wire_frame *out);

/* serve.c, on the loop's thread. False: it makes no sense. */
bool serve_frame(struct lane *lane, const struct wire_frame *frame);

/* After the loop has ended: lets go of what is not answered yet. */
void serve_drop(struct child *child);
void asked_unref(struct asked *asked);

/* services.c */
void services_init(struct child *child);
void services_begin(struct child *child);
void services_note_stray(struct smarthop_self *self, uint64_t token, enum stray kind);
/* What the server has found. False: it is not sound. */
bool services_found(struct child *child, const struct wire_frame *frame);

/* content.c: the message of an asking. */
void content_init(struct child *child);
void content_lend(struct asked *asked);
/* The asking is over; who is in it already may stay. */
void content_take_back(struct asked *asked);
/* Nobody is in it any more. */
void content_fini(struct asked *asked);
/* A piece of it has come. False: it is not sound. */
bool content_take(struct child *child, const struct wire_frame *frame);
/* A lane has closed: who waits for something over it need not. */
void content_close_lane(struct lane *lane);

/* keep.c: the plugin's store, which the server has. */
void keep_init(struct child *child);
bool keep_take(struct child *child, const struct wire_frame *frame);
/* After the loop has ended: what becomes of what is under way nobody will know. */
void keep_drop(struct child *child);

/* order.c: commands of operators. False: it makes no sense. */
bool order_take(struct child *child, const struct wire_frame *frame);

/* confine.c */
/* Gives up what the process must not have while it loads a plugin. */
struct err confine_before(const struct conf_plugin *section);
/* launcher.c: the program's other life. Its exit code. */
int launcher_run(void);

/* writes.c: from now on it, and all threads that it begins, may change files in this folder alone.
 */
struct err confine_writes(const char *path);
/* filter.c: from now on it may do what serving needs, and nothing else. */
struct err confine_after(const struct conf_plugin *section);

#endif
