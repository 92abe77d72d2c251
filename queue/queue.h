/*
 * queue: the durable store of accepted mail. Batches of operations in, completions out.
 *
 * A message is an envelope, a body, and one or more groups. A **group** is those recipients of one
 * message that go to the same destination: what the scheduler handles, an attempt sends, and one
 * record of the store holds. All changes to a group are made by the worker that owns its
 * destination, one at a time; a message's envelope and body never change once it is inserted.
 *
 * Durability: an operation's completion with no error means that its transaction is on disk. Only
 * the completion of queue_insert may cause a 250.
 *
 * Two implementations stand behind this header: the store over base/kv (library smarthop_queue)
 * and a twin in memory for tests (smarthop_queue_memory).
 *
 * Changes are submitted by any loop and complete on op.home. Reads block; loops leave them to
 * loop_work. docs/QUEUE-STATES.md lists every state on disk and what a crash leaves.
 */
#ifndef SMARTHOP_QUEUE_QUEUE_H
#define SMARTHOP_QUEUE_QUEUE_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/chunk.h"
#include "base/kv.h"
#include "proto/esmtp.h"
#include "proto/status.h"

#include <stdatomic.h>

struct queue;

enum {
    QUEUE_CHUNK = CHUNK_BYTES, /* body bytes in one stored chunk */
    QUEUE_GROUP_MAX = 100,     /* recipients in one group; more of them make further groups */
};

/* ---- messages in memory -------------------------------------------------------------------- */

struct queue_recipient {
    struct span address; /* as it is sent in RCPT TO, without the angle brackets */
    uint32_t index;      /* place in the transaction that brought it; names it within the message */
    unsigned notify;     /* bits of enum esmtp_notify; 0 = not said: failure and delay */
    struct span original; /* ORCPT as it was written; empty where there was none */
    struct status last;   /* of the last attempt; code 0 where there was none */
};

enum queue_group_state {
    QUEUE_GROUP_WAITING = 1, /* will be tried when it is due */
    QUEUE_GROUP_HELD = 2,    /* until an operator releases it */
    QUEUE_GROUP_FUTURE = 3,  /* never tried yet, and not before its message's release (RFC 4865) */
};

struct queue_group {
    uint32_t number; /* within the message */
    enum queue_group_state state;
    bool delay_warned;
    bool has_sender;          /* reverse_path is its sender, who is told of it, by an operator */
    bool late_told;           /* the sender knows that deliver_by has passed (RFC 2852) */
    uint32_t tries;           /* attempts that reached the point of failing */
    uint64_t due;             /* wall clock ms: the earliest next try */
    struct span destination;  /* its key: the same text, the same destination; at most 255 bytes */
    struct span next_hop;     /* what route/ stored to find the way again; opaque here, <= 1 KiB */
    struct span reverse_path; /* for these recipients alone; empty = the message's */
    struct span routed_by;    /* who chose the next hop, and why; empty = relay.conf */
    struct span wishes;       /* what holds wherever route/ sends them; opaque here, <= 1 KiB */
    unsigned recipient_count;
    struct queue_recipient *recipients;
};

/* Names a group in the store. */
struct queue_group_name {
    uint64_t id; /* of its message */
    uint32_t group;
};

enum queue_message_flag {
    QUEUE_BODY_8BIT = 1 << 0,   /* BODY=8BITMIME was declared */
    QUEUE_SMTPUTF8 = 1 << 1,    /* SMTPUTF8 was asked for */
    QUEUE_DSN = 1 << 2,         /* we made it: a notification */
    QUEUE_DAMAGED = 1 << 3,     /* only from queue_scan, never stored: a record could not be read */
    QUEUE_BODY_BINARY = 1 << 4, /* BODY=BINARYMIME was declared: it leaves by BDAT or not at all */
    QUEUE_REQUIRE_TLS = 1 << 5, /* REQUIRETLS (RFC 8689) */
    QUEUE_BY_TRACE = 1 << 6,    /* BY=...T (RFC 2852): each relaying is reported */
    QUEUE_HAS_AUTH = 1 << 7,    /* AUTH= was given by one that may (RFC 4954 5) */
    QUEUE_VERP = 1 << 8,        /* each recipient has a reverse-path, and a group, of its own */
};

/* All spans live in `arena`. Shared by the groups' owners: immutable once inserted, but for each
 * group, which its owner alone changes. */
struct queue_message {
    atomic_uint references;
    struct arena arena;
    uint64_t id;
    uint64_t arrival; /* wall clock ms */
    unsigned flags;
    struct span reverse_path; /* empty = the null reverse-path */
    enum esmtp_ret ret;       /* how much of it a notification of failure returns */
    struct span envelope_id;  /* ENVID, decoded; empty where there was none */
    int priority;             /* MT-PRIORITY (RFC 6710): -9 to 9, 0 = not said */
    uint64_t release;         /* wall clock ms: not sent before (RFC 4865); 0 = at once */
    enum esmtp_by by;         /* what happens at deliver_by (RFC 2852) */
    uint64_t deliver_by;      /* wall clock ms; 0 where `by` is ESMTP_BY_NONE */
    struct span auth;         /* with QUEUE_HAS_AUTH: the mailbox, decoded; empty = AUTH=<> */
    struct span trace;        /* our Received field with its CRLF: sent before the body */
    struct span client;       /* the address literal, "[192.0.2.1]", or a word: "local" */
    struct span client_name;  /* its host name, looked up both ways; empty where there is none */
    uint16_t client_port;     /* 0 = not known */
    struct span protocol;     /* by which it came: "ESMTPSA" (RFC 3848) */
    struct span hello;
    struct span tenant;
    struct span tags;       /* of plugins: "one,two"; at most 1 KiB */
    struct span message_id; /* summary of the header, each bounded, "" where there is none */
    struct span subject;
    struct span from;
    uint64_t size;        /* bytes of the body, header included, trace not */
    uint32_t chunk_count; /* of the stored body; set by queue_insert */
    struct buf body;      /* the body, or while staging its tail; empty when only in the store */
    bool body_in_memory;  /* `body` has all of it */
    unsigned group_count; /* for a message loaded by queue_load with one group: 1 */
    struct queue_group *groups;
};

/* Wall clock ms from which its age counts. */
static inline uint64_t queue_message_start(const struct queue_message *message)
{
    return message->release > message->arrival ? message->release : message->arrival;
}

/* It waits for a time of its sender's choice, which has not come yet. */
static inline bool queue_group_is_early(const struct queue_group *group, uint64_t now)
{
    return group->state == QUEUE_GROUP_FUTURE && group->due > now;
}

/* One reference, everything empty. Any thread. */
struct queue_message *queue_message_create(void);
struct queue_message *queue_message_ref(struct queue_message *message);
void queue_message_unref(struct queue_message *message); /* NULL is allowed */

/* ---- opening ------------------------------------------------------------------------------- */

struct queue_options {
    const char *path;
    uint64_t map_size;
    uint64_t low_water;
    uint64_t low_inodes;
    uint64_t reserve;
    uint64_t gather_ms; /* how long a commit may wait for more while much comes; 0 = never */
    bool read_only;     /* for smarthopctl: reads only, also beside a running daemon */
};

/* Opens, checks the format's version and recovers: chunks of messages that never got their row
 * are removed in bounded steps in the background. ERR_CONFLICT: another process owns it.
 * ERR_CORRUPT: not ours, or a newer format. */
struct err queue_open(const struct queue_options *options, struct queue **out);
/* After the loops have ended. What was submitted is committed first. */
void queue_close(struct queue *queue);

/* A new message id: time-ordered, unique over restarts. Any thread. */
uint64_t queue_new_id(struct queue *queue);
/* Wall clock ms at which an id was made. */
uint64_t queue_id_time(uint64_t id);
/* The smallest id that could have been made at or after this time. */
uint64_t queue_id_at(uint64_t wall_ms);

/* ---- changes ------------------------------------------------------------------------------- */
/* Each op belongs to the queue until its completion; the caller sets op.home and op.call.done
 * before (op.kind and op.apply are the queue's), and reads op.result then. */

/* The queue's own part of an operation. */
struct queue_own {
    struct queue *queue;
    void (*done)(struct call *call); /* the caller's op.call.done, where the queue goes between */
};

/* Stores a piece of a body that is still arriving. Every piece but the last is a multiple of
 * QUEUE_CHUNK bytes. The data stays the caller's and in place until the completion. */
struct queue_stage {
    struct kv_op op;
    struct queue_own own;
    uint64_t id;
    uint32_t first_chunk; /* number of the piece's first chunk */
    struct span data;
};
void queue_stage(struct queue *queue, struct queue_stage *stage);

/* Removes what was staged for a message that will not be inserted. */
struct queue_discard {
    struct kv_op op;
    struct queue_own own;
    uint64_t id;
};
void queue_discard(struct queue *queue, struct queue_discard *discard);

/* Makes the message real: its row, its groups and their due rows, and what of the body is in
 * `message->body` behind the `staged_chunks` that are in the store already. Holds a reference to
 * the message until the completion. ERR_NO_SPACE: nothing has been stored. ERR_INVALID: no groups,
 * or a text beyond its bound. ERR_CONFLICT: two destination keys have the same number (their
 * hashes collide): that group needs another key.
 *
 * One that `is_back` has an id of old, of a message that has left the queue: ERR_CONFLICT where it
 * has not. Nothing of its body is staged. */
struct queue_insert {
    struct kv_op op;
    struct queue_own own;
    struct queue_message *message;
    uint32_t staged_chunks;
    bool is_back;
};
void queue_insert(struct queue *queue, struct queue_insert *insert);

/*
 * Records what became of one group, all in one transaction: the old record and due row go; if
 * `remaining` is not NULL it is stored in its place (fewer recipients, new state, due time, tries,
 * statuses, maybe another destination); the `splits` are stored as further groups; `dsn` and
 * `dsn_copy`, if not NULL, are inserted. When the message has no group left its row and body go
 * too. ERR_NOT_FOUND: the group's record is not there any more. ERR_CONFLICT: it is there, but not
 * with that destination and due time.
 *
 * Splits get their numbers from the queue: none that the message has, but maybe one that it had. So
 * a split is due later than anything that has been delivered: not yet, or not before now.
 *
 * One that only removes a group, because it was `delivered`, is noted at once where a kill of the
 * process does not reach: the next opening settles it, should the commit not have been reached.
 */
struct queue_settle {
    struct kv_op op;
    struct queue_own own;
    uint64_t id;
    uint32_t group;
    struct span old_destination;
    uint64_t old_due;
    uint64_t deliver_by; /* the message's */
    const struct queue_group *remaining;
    struct queue_group *splits;
    unsigned split_count;
    struct queue_message *dsn;      /* referenced until the completion; its body is in memory */
    struct queue_message *dsn_copy; /* likewise */
    bool delivered;                 /* the group was, and so goes: see above */
    bool message_gone;              /* out: that was the last group */
};
void queue_settle(struct queue *queue, struct queue_settle *settle);

/* Records a destination's back-off, so that listings can tell why its mail waits and a restart
 * goes on where it was. `until` 0 deletes the record. */
struct queue_destination_update {
    struct kv_op op;
    struct queue_own own;
    struct span destination;
    uint64_t until; /* wall clock ms */
    uint32_t failures;
    struct status status;
};
void queue_destination_update(struct queue *queue, struct queue_destination_update *update);

/* Mail to some next hops that an operator wants left alone for a time. */
struct queue_suspension {
    struct span pattern; /* a host or domain, ".domain" or "*", in lower case: 1 to 255 bytes */
    uint64_t since;      /* wall clock ms */
    uint64_t until;
    struct span reason; /* at most 512 bytes; longer ones are cut */
};

/* Puts it in the place of the one with that pattern, and removes those that had ended by `since`;
 * with `until` 0 the one with that pattern is removed: ERR_NOT_FOUND where there is none. */
struct queue_suspend {
    struct kv_op op;
    struct queue_own own;
    struct queue_suspension suspension;
};
void queue_suspend(struct queue *queue, struct queue_suspend *suspend);

/* ---- reads: blocking, any thread but a loop's ---------------------------------------------- */

/* The message with only that group, or (group = QUEUE_ALL_GROUPS) with all; without the body. */
#define QUEUE_ALL_GROUPS UINT32_MAX
struct err queue_load(struct queue *queue, uint64_t id, uint32_t group, struct queue_message **out);

/* Appends chunks [first, first + count) of the body; fewer where the body ends. Each chunk's
 * checksum is verified: ERR_CORRUPT and nothing appended beyond the good chunks. */
struct err queue_read_body(struct queue *queue, uint64_t id, uint32_t first, uint32_t count,
                           struct buf *out);

/* A group's place in its destination's order. */
struct queue_due {
    uint64_t due;
    uint64_t id;
    uint32_t group;
    bool is_future; /* QUEUE_GROUP_FUTURE: `due` may lie days ahead */
};
/* The groups of a destination in due order, behind *after (NULL = from the start). */
struct err queue_due_list(struct queue *queue, struct span destination,
                          const struct queue_due *after, unsigned most, struct queue_due *items_out,
                          unsigned *count_out);

/* A message that asks to be delivered by a time (RFC 2852). */
struct queue_deadline {
    uint64_t at; /* wall clock ms */
    uint64_t id;
};
/* All such messages in the order of their times, behind *after (NULL = from the start). */
struct err queue_deadline_list(struct queue *queue, const struct queue_deadline *after,
                               unsigned most, struct queue_deadline *items_out,
                               unsigned *count_out);

struct queue_destination {
    struct span key;
    bool has_due;
    uint64_t first_due;   /* wall clock ms, where has_due */
    bool first_is_future; /* as in struct queue_due */
    uint64_t until;       /* back-off, 0 = none */
    uint32_t failures;
    struct status status;
};
/* Every destination that has groups or a back-off record; its cost is their number. Stops when
 * `visit` returns false. The spans live during the visit. */
typedef bool queue_visit_destination(void *context, const struct queue_destination *destination);
struct err queue_destinations(struct queue *queue, queue_visit_destination *visit, void *context);

/* Messages in the order of their ids, with all their groups (body not loaded), from `from` on.
 * Renews its view every few hundred messages and holds none during a visit, which may take its
 * time. Stops when `visit` returns false; the message lives during the visit (take a reference to
 * keep it). One with QUEUE_DAMAGED has its id and whatever else could be read. */
typedef bool queue_visit_message(void *context, struct queue_message *message);
struct err queue_scan(struct queue *queue, uint64_t from, queue_visit_message *visit,
                      void *context);

/* All suspensions, also those that have ended, in the order of their patterns. Stops when `visit`
 * returns false. The spans live during the visit. */
typedef bool queue_visit_suspension(void *context, const struct queue_suspension *suspension);
struct err queue_suspensions(struct queue *queue, queue_visit_suspension *visit, void *context);

struct queue_counts {
    uint64_t messages;
    uint64_t groups;
    struct kv_stats store;
};
struct err queue_count(struct queue *queue, struct queue_counts *out);
/* True while the store refuses to grow or is broken: cheap, any thread, no blocking. */
bool queue_refuses(struct queue *queue);
bool queue_is_broken(struct queue *queue);

#endif
