/*
 * control: the socket that smarthopctl speaks to. One JSON object a line in each direction:
 * {"command":"status"} -> {"ok":true,...}. Mode 0600: whoever may open it may command.
 *
 * It runs on the main thread's loop and knows the rest of the daemon only through the actions that
 * main.c gives it.
 */
#ifndef SMARTHOP_CONTROL_CONTROL_H
#define SMARTHOP_CONTROL_CONTROL_H

#include "base/buf.h"
#include "base/call.h"
#include "base/loop.h"

struct control;

enum control_verb {
    CONTROL_RETRY,  /* due now, whatever its time was; the destination's back-off is lifted */
    CONTROL_REMOVE, /* dropped without a notification */
    CONTROL_HOLD,
    CONTROL_RELEASE,
    CONTROL_BOUNCE, /* returned to its sender now */
};

/* One operation on one message, or (id 0) on all. Completed by main's action on `home`. */
struct control_operation {
    struct call call;
    struct loop *home;
    enum control_verb verb;
    uint64_t id;
    uint64_t affected; /* out: groups changed */
    struct err result; /* ERR_NOT_FOUND, ERR_CONFLICT: being delivered at this moment */
};

/* What `status` shows; filled by main's action on `home`. */
struct control_status {
    struct call call;
    struct loop *home;
    uint64_t started_wall_ms;
    uint64_t messages, groups;                                /* in the store */
    uint64_t sessions;                                        /* now open */
    uint64_t accepted, delivered, deferred, failed, rejected; /* since the start */
    uint64_t commits, store_operations, map_used, map_size, disk_free;
    uint64_t destinations, connections; /* in memory, outgoing now open */
    bool store_low, store_broken;
    unsigned workers;
    char configuration[256]; /* file */
};

struct control_actions {
    void *context;
    void (*operate)(void *context, struct control_operation *operation);
    void (*status)(void *context, struct control_status *status);
    /* At once: forgets what is remembered of clients and users under this key, of one kind or (it
     * is empty) of all; *count_out is how much that was. False where there is no such kind. */
    bool (*forget)(void *context, struct span kind, struct span key, uint64_t *count_out);
    /* At once: reads the configuration anew; false with lines in `messages` where it is refused,
     * true with notes (what needs a restart). */
    bool (*reload)(void *context, struct buf *messages);
    /* Opens the log file anew. */
    void (*reopen_log)(void *context);
    /* Stops the daemon in an orderly way. */
    void (*stop)(void *context);
};

/* Binds `path` (a stale socket nobody answers on is replaced; a live one is ERR_CONFLICT) and
 * serves on the loop. The actions are copied. */
struct err control_create(struct loop *loop, const char *path,
                          const struct control_actions *actions, struct control **out);
/* Ends its connections, removes the socket; frees itself when the loop has let go of it. */
void control_close(struct control *control);

#endif
