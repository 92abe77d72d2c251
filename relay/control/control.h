/*
 * control: the socket that smarthopctl speaks to. One JSON object a line in each direction:
 * {"command":"status"} -> {"ok":true,...}. Mode 0600: whoever may open it may command.
 *
 * An operation has an "id", or "groups": ["ID/NUMBER", ...], which is how many messages are changed
 * in steps. Its answer tells how many groups were "affected", how many are still being delivered
 * ("busy"), and for how many there was nothing to do ("moot"): they have gone, or are so already.
 *
 * "reroute" may have "dry_run": true, a "next_hop" for all, and "recipients": true; its answer has
 * "routes", what became of how many recipients, or of each.
 *
 * "edit" of an "id" has a "recipient" and the address that comes "to" its place, or "add", "drop"
 * or "sender" with an address; its answer has "routes" likewise.
 *
 * "import" has a piece of an exported message as base64 in "data"; its answer has the number
 * "import", which the next piece names. The last has "last": true, and is answered once the message
 * is on disk.
 *
 * "sessions" and "destinations" are answered by as many lines as are needed, of which all but the
 * last have "more": true. "trace" is answered by {"ok":true}, once every worker looks, and then by
 * lines of "lines" and "lost" for as long as the peer stays.
 *
 * It runs on the main thread's loop and knows the rest of the daemon only through the actions that
 * main.c gives it.
 */
#ifndef SMARTHOP_CONTROL_CONTROL_H
#define SMARTHOP_CONTROL_CONTROL_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/call.h"
#include "base/loop.h"
#include "queue/queue.h"
#include "route/route.h"

struct control;

enum control_verb {
    CONTROL_RETRY,  /* due now, whatever its time was; the destination's back-off is lifted */
    CONTROL_REMOVE, /* dropped without a notification */
    CONTROL_HOLD,
    CONTROL_RELEASE,
    CONTROL_BOUNCE,  /* returned to its sender now */
    CONTROL_REROUTE, /* routed again, by the configuration as it is now */
};

enum { CONTROL_GROUPS_MAX = 1000 };

/* Recipients that were routed again with the same result. */
struct control_rerouted {
    struct span from, to;  /* next hops; `to` may tell why it goes nowhere */
    struct span route;     /* that decided; empty = there was none */
    const char *fate;      /* "moved"; static */
    struct span recipient; /* where recipients are named */
    uint64_t recipients;
};

enum control_edit { CONTROL_EDIT_NONE, CONTROL_CHANGE, CONTROL_ADD, CONTROL_DROP, CONTROL_SENDER };

/* How groups are routed again. */
struct control_reroute {
    bool dry_run;
    bool names_recipients;
    struct span next_hop;          /* for all; empty = by the routes */
    enum control_edit edit;        /* instead: a change of one message's envelope */
    struct span recipient, to;     /* of the edit */
    struct arena arena;            /* emptied by who asks */
    struct control_rerouted *rows; /* out; in arena */
    unsigned row_count;
};

/* One operation on the groups that are named, or without any on one message. Completed by main's
 * action on `home`. */
struct control_operation {
    struct call call;
    struct loop *home;
    enum control_verb verb;
    uint64_t id;
    const struct queue_group_name *groups; /* until the completion; NULL = by `id` */
    unsigned group_count;
    struct control_reroute *reroute; /* of CONTROL_REROUTE */
    uint64_t affected;               /* out: groups changed */
    uint64_t busy;     /* out: still being delivered, or changed since they were read */
    uint64_t moot;     /* out: have gone, or are so already */
    struct err result; /* ERR_NOT_FOUND, ERR_CONFLICT: being delivered at this moment */
};

/* What `status` shows; filled by main's action on `home`. */
struct control_status {
    struct call call;
    struct loop *home;
    uint64_t started_wall_ms;
    uint64_t messages, groups;                                /* in the store */
    uint64_t sessions;                                        /* now open */
    uint64_t gave_way;                                        /* of them ended to make room */
    uint64_t accepted, delivered, deferred, failed, rejected; /* since the start */
    uint64_t commits, store_operations, map_used, map_size, disk_free;
    uint64_t destinations, connections; /* in memory, outgoing now open */
    uint64_t oldest;  /* wall clock ms from which the age of the oldest message counts; 0 = none */
    uint64_t overdue; /* messages that the last sweep found behind their end */
    uint64_t swept;   /* wall clock ms of the last full sweep; 0 = none yet */
    uint64_t suspensions; /* that hold now */
    bool store_low, store_broken;
    bool stress; /* sessions are scarce: they wait shorter */
    unsigned workers;
    char configuration[256]; /* file */
};

/* A piece of an exported message that comes back; completed by main's action on `home`. */
struct control_import {
    struct call call;
    struct loop *home;
    uint64_t import; /* out: its number, for the next piece; 0 = this is the first */
    bool is_last;
    struct span data; /* in place until the completion */
    bool is_stored;   /* out: it is on disk, with this id */
    uint64_t id;
    uint64_t recipients;
    char why[512]; /* out: why it is refused, where `import` is 0 then; for people */
    uint64_t line; /* of the envelope, where that is wrong */
};

/* What keeps some recipients of a message in the queue. */
struct control_gate {
    const char *name; /* "retry"; static */
    uint64_t until;   /* wall clock ms; 0 = no time is known */
    uint64_t since;   /* wall clock ms from which it is being sent; 0 otherwise */
    struct span why;  /* for people */
};

/* Why a message is still here; filled by main's action on `home`. */
struct control_explanation {
    struct call call;
    struct loop *home;
    uint64_t id;
    struct err result;             /* ERR_NOT_FOUND, ERR_CORRUPT */
    struct queue_message *message; /* what the store has of it; the asker's reference */
    struct control_gate *gates;    /* one for each of its groups; in arena */
    struct arena arena;            /* emptied by who asks */
    uint64_t now;                  /* wall clock ms */
    uint64_t expires;              /* wall clock ms at which it is given up */
    bool by_deadline;              /* because its sender said so (RFC 2852) */
};

/* Mail to some next hops is suspended, or (until 0) goes on; completed by main's action on `home`.
 */
struct control_suspension {
    struct call call;
    struct loop *home;
    struct span pattern, reason; /* stay in place until the completion */
    uint64_t until;              /* wall clock ms */
    struct err result;           /* ERR_NOT_FOUND: it was not suspended */
};

/* One client's session; texts that are not known are empty. */
struct control_session {
    uint64_t id;
    struct span listener, client, hello, user, state, tls;
    uint64_t state_ms, ms, bytes, messages, recipients, errors;
};

enum { CONTROL_PAGE = 128 };

struct control_host {
    struct span name, address, health;
    unsigned connections;
};

/* A line of mail for one next hop and tenant; times are wall clock ms, 0 = none. */
struct control_destination {
    struct span key, next_hop, tenant, site, state, why;
    uint64_t ready, under_way, store_due;
    uint64_t connections, connections_allowed, connections_most, failures;
    uint64_t back_off_until, rate_until, suspended_until;
    struct control_host *hosts; /* in the page's arena */
    unsigned host_count;
};

/* Some of the sessions, or destinations, at a time, in no order; filled by main's action on `home`.
 * The next page is asked for with the same one: the action knows by it how far it has come. */
struct control_page {
    struct call call;
    struct loop *home;
    unsigned worker, place; /* the action's own; 0 for the first page */
    struct arena arena;     /* of the texts; emptied by who asks */
    union {
        struct control_session sessions[CONTROL_PAGE];
        struct control_destination destinations[CONTROL_PAGE];
    };
    unsigned count;
    bool more;
};

/* What would become of a recipient; filled by main's action on `home`. */
struct control_routing {
    struct call call;
    struct loop *home;
    struct span recipient, sender, user, client, hello, header; /* until the completion */
    struct arena arena;        /* of the answer; emptied by who asks */
    struct route_query *query; /* out: with its answers; NULL = that is no address */
    uint64_t ns;               /* out: how long it took */
};

/* Ends one session; completed by main's action on `home`. */
struct control_ending {
    struct call call;
    struct loop *home;
    uint64_t session;
    bool found; /* out */
};

/* A line of what sessions say and hear, printable ASCII. */
struct control_trace_line {
    uint64_t wall_ms;
    uint64_t session;
    struct span client;
    struct span text; /* "C: EHLO ..." */
};

/* A trace under way; both are told on the loop. */
struct control_trace {
    void (*begun)(struct control_trace *trace);
    /* There are lines, where there were none when they were taken last. */
    void (*ready)(struct control_trace *trace);
    void *action; /* the action's own */
};

typedef void control_tell_line(const struct control_trace_line *line, void *context);

struct control_actions {
    void *context;
    void (*operate)(void *context, struct control_operation *operation);
    void (*status)(void *context, struct control_status *status);
    void (*explain)(void *context, struct control_explanation *explanation);
    void (*suspend)(void *context, struct control_suspension *suspension);
    void (*import)(void *context, struct control_import *import);
    /* At once: forgets what is remembered of clients and users under this key, of one kind or (it
     * is empty) of all; *count_out is how much that was. False where there is no such kind. */
    bool (*forget)(void *context, struct span kind, struct span key, uint64_t *count_out);
    void (*sessions)(void *context, struct control_page *page);
    void (*destinations)(void *context, struct control_page *page);
    void (*end_session)(void *context, struct control_ending *ending);
    /* False, with the reason in `why`: nothing has begun. */
    bool (*trace)(void *context, struct span network, struct control_trace *trace, struct buf *why);
    /* Tells what has gathered; returns how many lines behind that were lost. */
    uint64_t (*trace_take)(void *context, struct control_trace *trace, control_tell_line *tell,
                           void *tell_context);
    /* Neither is told any more. */
    void (*trace_end)(void *context, struct control_trace *trace);
    void (*route)(void *context, struct control_routing *routing);
    /* At once: the present plugins; the asker gives the reference back. */
    struct plugin_chain *(*plugins)(void *context);
    /* At once: the plugins as they were before the latest reload; false where there are none. */
    bool (*plugins_back)(void *context);
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
