/*
 * wire: what the daemon and the process of a plugin tell each other, as bytes. A frame is its
 * length, a kind, a token, and a body of that kind: numbers big-endian, texts behind their length,
 * no pointers. Both ends are of one build.
 *
 * Pure. A reader trusts no byte: what does not fit is refused as a whole. What a plugin's answer
 * means, and whether it makes sense, is judged as any plugin's answer is.
 */
#ifndef SMARTHOP_PLUGINS_HOST_WIRE_H
#define SMARTHOP_PLUGINS_HOST_WIRE_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/record.h"
#include "conf/conf.h"
#include "plugins/smarthop_plugin.h"

enum wire_kind {
    /* to the process */
    WIRE_SETUP,  /* struct wire_setup: the first */
    WIRE_ASK,    /* an event; the token is the daemon's */
    WIRE_CANCEL, /* its answer is not wanted any more: number 1 where it took too long */
    WIRE_RELOAD, /* look at your files again */
    WIRE_FOUND,  /* struct smarthop_dns_answer to the look-up that the token names */
    WIRE_PIECE,  /* to READ or WRITE of this id: number as body_read or body_write returns, bytes */
    WIRE_VALUE,  /* to GET: number as kv_get returns, bytes */
    WIRE_STORED, /* to PUT of this id: number is its error */
    WIRE_ORDER,  /* struct wire_order: a command of this token */
    WIRE_STOP,   /* end by yourself */
    /* to the daemon */
    WIRE_READY,     /* struct wire_ready: it serves */
    WIRE_REFUSED,   /* text: why it does not, and ends */
    WIRE_ANSWER,    /* struct wire_answer */
    WIRE_CANCELLED, /* the acknowledgement */
    WIRE_RELOADED,  /* token 0 = it has, 1 = it goes on with what it had */
    WIRE_LOG,       /* struct wire_log */
    WIRE_COUNT,     /* struct wire_count */
    WIRE_LOOKUP,    /* struct wire_lookup; the token names it */
    WIRE_READ,      /* of the asking's message: id, from number on, at most len bytes */
    WIRE_WRITE,     /* to the asking's message: id, bytes */
    WIRE_GET,       /* of its store: the value of key, at most len bytes */
    WIRE_PUT,       /* to its store: id, key, bytes; id 0 = need not be told */
    WIRE_OUTPUT,    /* bytes of the command of this token */
    WIRE_EXIT,      /* the exit code of that, as number */
    WIRE_STRAY,     /* an answer that nobody waits for: number is an enum stray */
    WIRE_KINDS
};

enum {
    WIRE_HEAD = 13,
    WIRE_MOST = 8 << 20, /* of a body */
    WIRE_METRICS_MOST = 64,
    WIRE_PIECE_MOST = 128 << 10,        /* of READ, WRITE and OUTPUT */
    WIRE_VALUE_MOST = WIRE_MOST - 4096, /* of a store */
    WIRE_WORDS_MOST = 1000,             /* of a command */
};

struct wire_frame {
    enum wire_kind kind;
    uint64_t token;
    struct span body; /* into what was read */
};

enum wire_result { WIRE_DONE, WIRE_MORE, WIRE_BAD };

/* The first frame of `bytes`, and how many bytes it has. */
enum wire_result wire_next(struct span bytes, struct wire_frame *frame_out, size_t *used_out);

/* Is run twice, first without room. */
typedef void wire_writer(struct record_writer *w, const void *object);
/* Appends a frame; `write` NULL = it has no body. False: `out` has no room for it, or it would be
 * too long; nothing is appended then. */
__attribute__((warn_unused_result)) bool wire_add(struct buf *out, enum wire_kind kind,
                                                  uint64_t token, wire_writer *write,
                                                  const void *object);

/* A text of any length. */
void wire_put_span(struct record_writer *w, struct smarthop_span text);
struct smarthop_span wire_get_span(struct record_reader *r);
void wire_put_target(struct record_writer *w, const struct smarthop_target *target);
const struct smarthop_target *wire_get_targets(struct arena *arena, struct record_reader *r,
                                               uint32_t *count_out);
void wire_put_spans(struct record_writer *w, const struct smarthop_span *spans, uint32_t count);
const struct smarthop_span *wire_get_spans(struct arena *arena, struct record_reader *r,
                                           uint32_t most, uint32_t *count_out);
static inline struct record_reader wire_open(struct span body)
{
    return (struct record_reader){.rest = body};
}
/* Whether all of it was read, and fitted. */
static inline bool wire_close(const struct record_reader *r)
{
    return !r->bad && r->rest.len == 0;
}

/* ---- bodies: what is read points into the body, and lies in `arena` ----------------------- */

/* Where and as what the process runs its plugin. */
struct wire_setup {
    struct smarthop_span version; /* of the server: another one is refused */
    struct smarthop_span file;    /* the library */
    struct smarthop_span conf_file;
    const struct conf_plugin *section; /* read: its texts end with NUL */
    uint32_t channels;                 /* connections beside the first */
    bool is_check;                     /* only whether it can be loaded and takes its options */
};
void wire_write_setup(struct record_writer *w, const void *setup);
bool wire_read_setup(struct arena *arena, struct span body, struct wire_setup *out);

struct wire_metric {
    uint32_t kind;
    struct smarthop_span name;
    struct smarthop_span help;
};

/* What of a descriptor the daemon needs. */
struct wire_ready {
    uint32_t flags;
    uint32_t fail_mode;
    uint32_t hooks; /* bits 1 << enum smarthop_hook */
    uint32_t has_reload;
    uint32_t has_command;
    struct smarthop_span name;
    struct smarthop_span version;
    struct smarthop_span summary;
    uint32_t metric_count;
    struct wire_metric metrics[WIRE_METRICS_MOST];
};
void wire_write_ready(struct record_writer *w, const void *ready);
bool wire_read_ready(struct arena *arena, struct span body, struct wire_ready *out);

void wire_write_event(struct record_writer *w, const void *event);
/* `size`s are set, the token is not. */
bool wire_read_event(struct arena *arena, struct span body, struct smarthop_event *out);

struct wire_answer {
    const struct smarthop_verdict *verdict; /* NULL = none that can be used */
    struct smarthop_span problem;           /* then: why not; empty = it could not find out */
};
void wire_write_answer(struct record_writer *w, const void *answer);
bool wire_read_answer(struct arena *arena, struct span body, struct wire_answer *out);

/* What is said of messages' contents, of stores and of commands; what does not belong to the kind
 * is zero. */
struct wire_parcel {
    uint64_t id;
    int64_t number;
    uint32_t len;
    struct smarthop_span key;
    struct smarthop_span bytes;
};
void wire_write_parcel(struct record_writer *w, const void *parcel);
bool wire_read_parcel(struct span body, struct wire_parcel *out);

struct wire_order {
    const struct smarthop_span *words;
    uint32_t count;
};
void wire_write_order(struct record_writer *w, const void *order);
bool wire_read_order(struct arena *arena, struct span body, struct wire_order *out);

struct wire_log {
    uint32_t level;
    struct smarthop_span event;
    struct smarthop_span text;
};
void wire_write_log(struct record_writer *w, const void *log);
bool wire_read_log(struct span body, struct wire_log *out);

struct wire_count {
    uint32_t metric;
    uint64_t value;
};
void wire_write_count(struct record_writer *w, const void *count);
bool wire_read_count(struct span body, struct wire_count *out);

struct wire_lookup {
    uint32_t record;
    struct smarthop_span name;
};
void wire_write_lookup(struct record_writer *w, const void *lookup);
bool wire_read_lookup(struct span body, struct wire_lookup *out);

void wire_write_found(struct record_writer *w, const void *answer);
bool wire_read_found(struct arena *arena, struct span body, struct smarthop_dns_answer *out);

#endif
