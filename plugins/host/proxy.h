/*
 * proxy: a plugin that runs in a process of its own, as the host sees it: its hooks send what they
 * are asked to the process, and answer later. Each worker has a courier to the process, used on its
 * thread alone; the main thread starts the process, hears of its end, and starts it again.
 */
#ifndef SMARTHOP_PLUGINS_HOST_PROXY_H
#define SMARTHOP_PLUGINS_HOST_PROXY_H

#include "plugins/host/private.h"
#include "plugins/host/wire.h"

#include <signal.h>
#include <sys/types.h>

struct proxy;

/* ---- a worker's connection: courier.c, errand.c ------------------------------------------- */

struct courier {
    struct proxy *proxy;
    struct plugin_worker *worker;
    int fd;           /* below 0 = there is no process */
    uint64_t process; /* which one it is, or was */
    bool is_soon;     /* then: there will be one in a moment, so what is asked waits for it */
    bool is_broken;   /* it is about to be closed */
    bool is_desk;     /* not a worker's own: where the process asks for what it waits for */
    bool is_full;     /* what it has put waits for the store; no more is read */
    struct loop_watch watch;
    int watched; /* enum loop_watched */
    struct buf in;
    struct buf out;
    struct call flush;
    struct call close;
    struct timer pulse; /* until the process has to show that it lives */
    struct list lookups;
    unsigned lookup_count;
    unsigned fetch_count;
    size_t put_bytes;
};

void courier_init(struct courier *courier, struct proxy *proxy, struct plugin_worker *worker);
/* Main thread; the loop has ended, or never had it. */
void courier_fini(struct courier *courier);
/* As hooks and `cancel` of the descriptor. */
int courier_ask(void *state, const struct smarthop_event *event, struct smarthop_verdict *verdict);
void courier_cancel(void *state, uint64_t token);
/* On the worker's thread: what was asked over it is answered by the fail mode. */
void courier_close(struct courier *courier, bool is_soon);
/* On the worker's thread. The descriptor is the courier's from now on. */
void courier_open(struct courier *courier, int fd, uint64_t process);
/* Before courier_fini, where it is the desk. */
void courier_drain(struct courier *courier);
/* The rest on the worker's thread. What the process has asked for: */
void courier_send(struct courier *courier, enum wire_kind kind, uint64_t token, wire_writer *write,
                  const void *object);
/* Sends what has been added to `out`. */
void courier_flush(struct courier *courier);
/* Is not full any more. */
void courier_resume(struct courier *courier);

/* errand.c. False: it makes no sense. */
bool errand_take(struct courier *courier, const struct wire_frame *frame);
void errands_drop(struct courier *courier);
/* Any thread: the answer to a WIRE_GET. `out` is not bounded. */
void errand_get(struct smarthop_self *self, struct buf *out, const struct wire_parcel *asked);

/* ---- the process: proxy.c ----------------------------------------------------------------- */

enum proxy_state {
    PROXY_DOWN,     /* there is no process; perhaps it will be started again */
    PROXY_STARTING, /* it has not said yet that it serves */
    PROXY_SERVING,
};

/* A process and what leads to it; below 0 = nothing. */
struct process {
    pid_t pid;
    int death;        /* readable once it has ended */
    bool is_launched; /* by the launcher: that is its leash */
    int control;      /* the main thread's connection */
    int output;       /* what it writes to its standard output and error */
    int *sockets;     /* the couriers', until they have them */
    unsigned socket_count;
};

struct proxy {
    struct smarthop_self *self;
    struct loop *loop; /* the main one */
    enum proxy_state state;
    struct process process;
    uint64_t count; /* of processes so far */
    char *user;     /* NULL = the daemon's own */
    struct buf setup;
    struct buf in;
    struct buf out;
    int watched;          /* of control: enum loop_watched */
    struct buf text;      /* output, up to a line end */
    struct buf *messages; /* while it is loaded: where it says why it cannot be */
    bool is_refused;
    struct span ready; /* what the first one told of itself; in arena */
    struct arena arena;
    uint32_t metrics[WIRE_METRICS_MOST]; /* by its own numbers */
    uint32_t metric_count;
    struct loop_watch death_watch;
    struct loop_watch control_watch;
    struct loop_watch output_watch;
    struct timer timer; /* until it has to serve, or is started again */
    uint64_t rest;      /* milliseconds until it is started again */
    uint64_t rest_min, rest_max, start_max, stop_max, command_max;
    uint64_t queue_max; /* bytes */
    char *store_path;   /* the folder of stores */
    uint64_t store_max;
    uint64_t served_since;  /* monotonic ms */
    const char *why;        /* it was killed; static */
    unsigned courier_count; /* of the workers; the desk is behind them */
    struct courier *couriers;
    pthread_mutex_t lock; /* of these */
    struct list orders;
    uint64_t next_order;
};

static inline struct courier *proxy_desk(struct proxy *proxy)
{
    return &proxy->couriers[proxy->courier_count];
}

/* Any thread: this process is of no use any more. */
void proxy_complain(struct proxy *proxy, uint64_t count, const char *why);
/* A frame that may come over each connection. False = it does not belong there, or is not sound. */
bool proxy_take_service(struct proxy *proxy, const struct wire_frame *frame);

/* proxy_command.c */
/* As `command` of the descriptor. */
int proxy_command(void *state, const struct smarthop_span *words, uint32_t count,
                  smarthop_write write, void *context);
/* The rest: main thread. What the process says of one. */
void proxy_take_output(struct proxy *proxy, uint64_t id, const struct wire_parcel *said);
void proxy_take_exit(struct proxy *proxy, uint64_t id, const struct wire_parcel *said);
/* Any thread: nothing more will come of those that there are. */
void proxy_fail_orders(struct proxy *proxy, const char *why);

struct err proxy_launch(struct proxy *proxy);
/* Adds a frame, and sends what can be sent. False: it is too long. */
bool proxy_send(struct proxy *proxy, enum wire_kind kind, uint64_t token, wire_writer *write,
                const void *object);
/* Sends what waits, as far as that goes without waiting. */
void proxy_flush(struct proxy *proxy);
/* The plugin's store, where it is not open yet. False: told in `messages`. */
bool proxy_open_store(struct proxy *proxy, struct buf *messages);
void proxy_watch(struct proxy *proxy);
/* The couriers get their connections. */
void proxy_hand_out(struct proxy *proxy);
void proxy_unwatch(struct proxy *proxy);
/* Reads what it says. False: there is no more for now, or at all. */
bool proxy_hear(struct proxy *proxy);
/* What it writes to its output: 0 = that is closed; below, there is no more for now. */
ssize_t proxy_hear_output(struct proxy *proxy);
/* It has ended: hears it out. `room`: how it ended. */
void proxy_reap(struct proxy *proxy, char *room, size_t size);
void proxy_tell(const struct proxy *proxy, enum log_level level, const char *event,
                const char *text);

/* launch.c: main thread. The helper program, with the ends of its sockets and nothing else of
 * ours. */
struct launch {
    const char *program;
    struct plugin_launcher *launcher; /* begins it; NULL = it is ours */
    const char *user;                 /* then */
    unsigned channels;
};
struct err process_launch(const struct launch *launch, struct process *out);
void process_kill(const struct process *process);
/* How it has ended; waits for that. */
void process_wait(const struct process *process, siginfo_t *end_out);
void process_forget(struct process *process);

#endif
