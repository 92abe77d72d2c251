/*
 * smarthop_plugin.h: all that a Smarthop plugin needs. A plugin includes this one header, exports
 * the one symbol `smarthop_plugin`, and links against nothing of the server: what it asks of the
 * server it calls through the table that `start` is given.
 *
 *     static int route(void *state, const struct smarthop_event *event,
 *                      struct smarthop_verdict *verdict)
 *     {
 *         if (!smarthop_equal(event->recipient->domain, SMARTHOP_TEXT("example.org")))
 *             return SMARTHOP_DONE;
 *         static const struct smarthop_next_hop hop = {SMARTHOP_TEXT_INIT("mail.example.net"), 25};
 *         verdict->action = SMARTHOP_SEND;
 *         verdict->next_hops = &hop;
 *         verdict->next_hop_count = 1;
 *         return SMARTHOP_DONE;
 *     }
 *
 *     SMARTHOP_EXPORT const struct smarthop_plugin smarthop_plugin = {
 *         SMARTHOP_PLUGIN_HEAD, "mine", "1.0", "sends example.org to its own server", ...
 *     };
 *
 * Works in C99 and C++11. Texts are spans: a pointer and a length, not ended by NUL, and where they
 * come from a peer they may hold any byte. Times are milliseconds unless they say otherwise.
 *
 * Threads. Hooks run on the threads that serve mail, several at a time, and must not block there:
 * no files, no sockets, no locks held for long. A plugin either keeps its state unchanged after
 * `start`, or protects it, or sets SMARTHOP_SERIAL: then the host calls it one thread at a time.
 * What takes long answers SMARTHOP_PENDING and calls `complete` later, from any thread.
 *
 * Versions. Structures only ever grow at their end. The host gives each of its own its size, and a
 * plugin tells the host the size of what it passes; SMARTHOP_HAS asks whether a field is there. A
 * plugin of another major version, or of a newer minor version than the host's, is refused.
 */
#ifndef SMARTHOP_PLUGIN_H
#define SMARTHOP_PLUGIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SMARTHOP_MAGIC     0x504f4853u /* "SHOP" */
#define SMARTHOP_ABI_MAJOR 1
#define SMARTHOP_ABI_MINOR 1

/* ---- texts -------------------------------------------------------------------------------- */

struct smarthop_span {
    const char *ptr; /* not NULL where len > 0 */
    size_t len;
};

#define SMARTHOP_TEXT_INIT(literal)                                                                \
    {                                                                                              \
        (literal), sizeof(literal) - 1                                                             \
    }

static inline struct smarthop_span smarthop_span_of(const char *ptr, size_t len)
{
    struct smarthop_span span = {ptr, len};
    return span;
}

#define SMARTHOP_TEXT(literal) smarthop_span_of((literal), sizeof(literal) - 1)

static inline bool smarthop_equal(struct smarthop_span a, struct smarthop_span b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

/* Whether the field is there in what the other side has passed. */
#define SMARTHOP_HAS(object, field)                                                                \
    ((const char *)&(object)->field + sizeof((object)->field) <=                                   \
     (const char *)(object) + (object)->size)

/* ---- what is going on --------------------------------------------------------------------- */

/*
 * When a plugin is asked. In brackets what of the event is there beside the session.
 *
 * From connect to message the client waits for the answer, and is told it: DEFER and REJECT with
 * the verdict's code, enhanced code and text, but at connect always 421 or 554, and for a log-in
 * 454 or 535; behind a 421 the session ends. A refusal of the header is told when the body has
 * come. HOLD and DISCARD are for `message` alone: all its recipients are held, or dropped. A client
 * that has gone cancels what it waited for.
 */
enum smarthop_hook {
    SMARTHOP_ON_CONNECT,        /* before the greeting */
    SMARTHOP_ON_HELO,           /* EHLO, HELO or LHLO */
    SMARTHOP_ON_AUTH,           /* a user has logged in */
    SMARTHOP_ON_MAIL,           /* a reverse-path [message] */
    SMARTHOP_ON_RCPT,           /* a forward-path [message, recipient] */
    SMARTHOP_ON_HEADERS,        /* the header is complete, the body is still coming [message] */
    SMARTHOP_ON_MESSAGE,        /* the end of data, nothing is acknowledged yet [message] */
    SMARTHOP_ON_ROUTE,          /* where does this recipient go [message, recipient] */
    SMARTHOP_ON_TARGETS,        /* the hosts of a next hop are known [attempt, targets] */
    SMARTHOP_ON_BEFORE_ATTEMPT, /* a message is about to be sent [message, attempt] */
    SMARTHOP_ON_AFTER_ATTEMPT,  /* what came of a recipient [message, recipient, attempt] */
    SMARTHOP_ON_BOUNCE,         /* a notification to the sender is due [message, recipient] */
    SMARTHOP_HOOKS,
    SMARTHOP_HOOKS_ROOM = 32 /* for those to come */
};

enum smarthop_session_flags {
    SMARTHOP_SESSION_TLS = 1 << 0,
    SMARTHOP_SESSION_LOGGED_IN = 1 << 1,
    SMARTHOP_SESSION_MAY_RELAY = 1 << 2, /* to any domain */
    SMARTHOP_SESSION_LMTP = 1 << 3,
    SMARTHOP_SESSION_LOCAL = 1 << 4,   /* over a local socket */
    SMARTHOP_SESSION_PROXIED = 1 << 5, /* a trusted proxy has told who the client is */
};

/* Absent texts are empty. */
struct smarthop_session {
    uint32_t size;
    uint32_t flags;
    uint64_t id;                  /* as the log has it */
    struct smarthop_span address; /* "192.0.2.1", "2001:db8::1" */
    struct smarthop_span name;    /* looked up both ways; empty = not known */
    struct smarthop_span helo;
    struct smarthop_span user;
    struct smarthop_span mechanism; /* by which the user logged in */
    struct smarthop_span listener;
    uint16_t port; /* the client's */
};

enum smarthop_message_flags {
    SMARTHOP_MESSAGE_8BIT = 1 << 0,
    SMARTHOP_MESSAGE_SMTPUTF8 = 1 << 1,
    SMARTHOP_MESSAGE_BINARY = 1 << 2,
    SMARTHOP_MESSAGE_REQUIRETLS = 1 << 3,
};

struct smarthop_message {
    uint32_t size;
    uint32_t flags;
    uint64_t id;                 /* 0 = it has none yet */
    struct smarthop_span sender; /* reverse-path without brackets; empty = the null one */
    struct smarthop_span envid;
    struct smarthop_span tenant;
    struct smarthop_span header; /* all fields with their line ends; empty before it is complete,
                                    and where it would have to be read from the disk */
    uint64_t bytes;              /* as declared until the end of data, 0 = not told */
    uint64_t arrival;            /* milliseconds since 1970 */
    int32_t priority;            /* -9 to 9 (RFC 6710) */
    uint32_t recipients;         /* so far */
    struct smarthop_span tags;   /* of plugins: "one,two" */
};

enum smarthop_recipient_flags {
    /* The plugin has rewritten it to itself and others, and is asked again, for its own route. */
    SMARTHOP_RECIPIENT_STAYS = 1 << 0,
};

struct smarthop_recipient {
    uint32_t size;
    uint32_t tries;               /* so far */
    struct smarthop_span address; /* mailbox without brackets */
    struct smarthop_span local;   /* as written */
    struct smarthop_span domain;  /* in ASCII form and lower case, or an address literal */
    struct smarthop_span orcpt;
    uint32_t flags; /* from 1.1 */
};

enum smarthop_tls {
    SMARTHOP_TLS_UNSET,
    SMARTHOP_TLS_NONE,
    SMARTHOP_TLS_OPPORTUNISTIC,
    SMARTHOP_TLS_REQUIRED, /* and the host's certificate has to be right */
};

/* A host of a next hop, in the order in which they are tried. */
struct smarthop_target {
    struct smarthop_span host;    /* name */
    struct smarthop_span address; /* numeric; empty = not looked up yet */
    uint16_t port;
    uint16_t preference; /* as its MX has it */
    uint32_t weight;
};

enum smarthop_outcome {
    SMARTHOP_DELIVERED,
    SMARTHOP_DEFERRED,
    SMARTHOP_FAILED, /* for good */
    SMARTHOP_EXPIRED,
};

struct smarthop_attempt {
    uint32_t size;
    uint32_t outcome;              /* enum smarthop_outcome; after an attempt only */
    struct smarthop_span next_hop; /* as `smarthopctl queue list` shows it */
    struct smarthop_span host;     /* empty = it came to none: no host could be reached, or found */
    struct smarthop_span address;
    struct smarthop_span tls; /* "TLSv1.3 TLS_AES_256_GCM_SHA384"; empty = plain text */
    uint16_t code;            /* 0 = nobody replied */
    uint8_t enhanced[3];
    uint8_t tls_verified;
    struct smarthop_span reply;
    uint64_t connect_ms;
    uint64_t envelope_ms;
    uint64_t data_ms;
    uint64_t total_ms;
};

/* What a hook is asked about. Valid until the hook returns, or, where it is pending, until that has
 * been completed or cancelled. */
struct smarthop_event {
    uint32_t size;
    uint32_t hook;                          /* enum smarthop_hook */
    uint64_t token;                         /* names this asking to the host; never 0 */
    const struct smarthop_session *session; /* NULL = the session is over, or there was none */
    const struct smarthop_message *message;
    const struct smarthop_recipient *recipient;
    const struct smarthop_attempt *attempt;
    const struct smarthop_target *targets;
    uint32_t target_count;
    uint32_t target_stride; /* bytes from one target to the next */
};

/* ---- what is to be done ------------------------------------------------------------------- */

enum smarthop_action {
    SMARTHOP_PASS,    /* no opinion: the next plugin is asked, in the end relay.conf */
    SMARTHOP_SEND,    /* route: to next_hops or mx */
    SMARTHOP_REWRITE, /* route: not to this recipient, but to `recipients`, which are routed anew */
    SMARTHOP_DEFER,   /* try again later; to a client 4yz */
    SMARTHOP_REJECT,  /* to a client 5yz; to what is queued a bounce */
    SMARTHOP_HOLD,    /* keep it until an operator releases it */
    SMARTHOP_DISCARD, /* take it, and drop it without a word */
    SMARTHOP_ACCEPT,  /* connect to message: no further plugin is asked */
    SMARTHOP_ACTIONS
};

/* DROP is a plugin that delivers by itself, and is spoken to by LMTP at next_hops. */
enum smarthop_transport { SMARTHOP_SMTP, SMARTHOP_LMTP, SMARTHOP_DROP };

struct smarthop_next_hop {
    struct smarthop_span host; /* a name, an address without brackets, or "/path" of a socket;
                                  "smtps:NAME", "smtps:[ADDRESS]": TLS from the first byte */
    uint16_t port;             /* 0 = the transport's own; with smtps: 465 */
    uint16_t priority;         /* the lowest first, ... */
    uint32_t weight;           /* ... among equals by share; 0 is 1 */
};

enum smarthop_edit_kind {
    SMARTHOP_PREPEND, /* a field before all others */
    SMARTHOP_APPEND,  /* a field behind all others */
    SMARTHOP_REPLACE, /* the value of the n-th field of that name */
    SMARTHOP_REMOVE,  /* the n-th field of that name; 0 = all of them */
};

/* A change of the header. Values are unfolded or folded with CRLF and a blank; the host refuses
 * what would not be a field. */
struct smarthop_edit {
    uint32_t kind;
    uint32_t nth; /* from 1 */
    struct smarthop_span name;
    struct smarthop_span value;
};

/*
 * An answer. The host passes it zeroed but for `size`, which is SMARTHOP_PASS; one for `complete`
 * is given its size by the plugin. What it points to must stay until the host has copied it: for
 * SMARTHOP_DONE after the hook has returned, so it is static, or the plugin's own unchanging state,
 * or from `alloc`; for `complete` until that returns.
 *
 * tenant, tags, limits, source, credentials, tls, edits may come with SMARTHOP_PASS too: then
 * they hold for what comes after, unless a later plugin says otherwise; tls gets stricter only.
 * Given up to auth they hold for all messages of the session, from mail to message for that one,
 * but limits, source, credentials and tls from rcpt for that recipient alone. What route says of a
 * recipient goes before them, whenever it is asked. They are kept with the message, for when it is
 * routed again. A source or credentials that relay.conf does not have defer the client. Edits come
 * with headers and message; each plugin's are made behind those of the plugins before it, and
 * behind its own replace_body. A message that is stored anew for them has another id from then on
 * (the log tells both), and the event's `header` stays what it was when the first plugin was asked.
 */
struct smarthop_verdict {
    uint32_t size;
    uint32_t action;           /* enum smarthop_action */
    struct smarthop_span why;  /* for operators: `smarthopctl queue explain`, the log */
    struct smarthop_span text; /* DEFER, REJECT, HOLD: for the client or the sender */
    uint16_t code;             /* 0 = the usual one: 451 or 550 */
    uint8_t enhanced[3];       /* zeroes = the usual one */
    uint8_t transport;         /* SEND: enum smarthop_transport */
    uint32_t tls;              /* enum smarthop_tls: at least this */
    uint64_t delay;            /* DEFER before an attempt: for how long, at most the longest retry
                                  of relay.conf: then it is asked again; 0 = as that has it */
    struct smarthop_span mx;   /* SEND: the MX hosts of this domain, instead of next_hops */
    const struct smarthop_next_hop *next_hops;
    uint32_t next_hop_count; /* at most SMARTHOP_NEXT_HOPS_MAX */
    uint32_t recipient_count;
    const struct smarthop_span *recipients; /* REWRITE: at most SMARTHOP_REWRITES_MAX */
    struct smarthop_span sender; /* route: a reverse-path for this recipient alone; empty = keep */
    struct smarthop_span limits; /* name of the destination section whose limits hold */
    struct smarthop_span tenant;
    struct smarthop_span source;      /* name of a source section */
    struct smarthop_span credentials; /* name of a credentials section */
    const struct smarthop_span *tags; /* kept with the message, 1000 bytes of them at most */
    const struct smarthop_edit *edits;
    uint32_t tag_count;
    uint32_t edit_count;
    uint32_t replace_body; /* MESSAGE: by what was written with body_write */
    uint32_t target_count;
    const struct smarthop_target *targets; /* TARGETS: instead of those asked about */
};

enum {
    SMARTHOP_NEXT_HOPS_MAX = 16,
    SMARTHOP_REWRITES_MAX = 1000,
    SMARTHOP_TAGS_MAX = 32,
    SMARTHOP_EDITS_MAX = 256,
};

/* What a hook returns. */
enum smarthop_answer {
    SMARTHOP_DONE = 0,    /* the verdict holds */
    SMARTHOP_PENDING = 1, /* `complete` will be called once, or `cancel` comes */
    SMARTHOP_BROKEN = -1, /* it could not find out: the plugin's fail mode decides */
};

/* ---- what the host does for a plugin ------------------------------------------------------ */

/* One loaded plugin, as the host knows it. */
struct smarthop_self;

enum smarthop_level { SMARTHOP_DEBUG, SMARTHOP_INFO, SMARTHOP_WARN, SMARTHOP_ERROR };

enum smarthop_record {
    SMARTHOP_DNS_ADDRESS,
    SMARTHOP_DNS_MX,
    SMARTHOP_DNS_TXT,
    SMARTHOP_DNS_PTR,
    SMARTHOP_DNS_MX_ONLY, /* from 1.1 */
};

enum smarthop_dns_result {
    SMARTHOP_DNS_OK,
    SMARTHOP_DNS_NONE,  /* there is no such name, or nothing of that type */
    SMARTHOP_DNS_RETRY, /* not found out */
};

struct smarthop_dns_answer {
    uint32_t size;
    uint32_t result;                     /* enum smarthop_dns_result */
    const struct smarthop_span *records; /* addresses and names as texts, texts as they are */
    const uint16_t *preferences;         /* of MX, one for each record; else NULL */
    uint32_t count;
    uint32_t ttl_s;
    /* By DNSSEC. Always 0 with this server: c-ares does not ask name servers for the AD bit, and
     * one that is not asked for it does not set it (RFC 6840 5.8). */
    uint32_t authenticated;
};

enum smarthop_metric { SMARTHOP_COUNTER, SMARTHOP_HISTOGRAM };

enum smarthop_watch { SMARTHOP_READABLE = 1, SMARTHOP_WRITABLE = 2 };

/*
 * The host's services. All may be called on any thread between the begin of `start` and the end of
 * `stop`, but for those that say otherwise. Completions of timers, look-ups and watches come on the
 * thread of the event whose token they were given, or with token 0 on one thread that is always the
 * same; never from within the call that asked for them. With a token they are cancelled, and
 * their functions not called any more, when that event is over. The same holds of all once `stop`
 * is about to be called: what can be cancelled is, work and writes under way are waited for, and
 * nothing new is begun.
 */
struct smarthop_host {
    uint32_t size;
    uint16_t abi_major;
    uint16_t abi_minor;
    const char *version; /* of the server, "1.2.3" */

    /* The answer to a pending event, once; NULL = it could not find out, as SMARTHOP_BROKEN. What
     * is late, or comes twice, is counted and told in the log, and does no harm. */
    void (*complete)(struct smarthop_self *self, uint64_t token,
                     const struct smarthop_verdict *verdict);
    /* Memory that lasts as long as the event; NULL when that is over, or for more than 64 MiB.
     * During the hook, or on the event's thread while it is pending. */
    void *(*alloc)(struct smarthop_self *self, uint64_t token, size_t size);

    /* A line in the log; with a token it carries what the event is about. `event` is a word of
     * [a-z0-9-], `text` is escaped by the host. */
    void (*log)(struct smarthop_self *self, uint64_t token, int level, const char *event,
                const char *text);

    /* Milliseconds that only ever go forward, and milliseconds since 1970. */
    uint64_t (*now)(struct smarthop_self *self);
    uint64_t (*wall_time)(struct smarthop_self *self);
    /* Unpredictable bytes. */
    void (*random)(struct smarthop_self *self, void *bytes, size_t len);

    /* Options of the plugin's section in relay.conf, as its schema declares them. A value that was
     * not given is the schema's default; a list has option_count values. Texts live until `stop`.
     */
    uint32_t (*option_count)(struct smarthop_self *self, const char *name);
    const char *(*option_text)(struct smarthop_self *self, const char *name, uint32_t index);
    uint64_t (*option_number)(struct smarthop_self *self, const char *name, uint32_t index);
    /* During `start`: this option cannot be used. Told as "file:line: NAME: text"; `start` then
     * returns non-zero. name NULL = no single option. */
    void (*option_problem)(struct smarthop_self *self, const char *name, uint32_t index,
                           const char *text);

    /* Calls `fire` once after `delay`. Returns its id, for timer_stop; 0 = the event is over. */
    uint64_t (*timer_start)(struct smarthop_self *self, uint64_t token, uint64_t delay,
                            void (*fire)(void *context), void *context);
    void (*timer_stop)(struct smarthop_self *self, uint64_t id);

    /* Looks a name up. The answer lives until `done` returns. MX tells the hosts that mail for the
     * name would go to: without MX that is the name itself, and hosts without an address are left
     * out. MX_ONLY tells the MX records themselves; one of "." takes no mail (RFC 7505). TXT tells
     * all texts, each with its strings joined. PTR takes an address as text, and tells a name that
     * has the address too. */
    void (*dns)(struct smarthop_self *self, uint64_t token, enum smarthop_record record,
                struct smarthop_span name,
                void (*done)(void *context, const struct smarthop_dns_answer *answer),
                void *context);

    /* Calls `ready` whenever the descriptor is so, until unwatch. The plugin owns it, and closes
     * it behind unwatch. Returns an id; 0 = it cannot be watched. */
    uint64_t (*watch)(struct smarthop_self *self, uint64_t token, int descriptor, int events,
                      void (*ready)(void *context, int events), void *context);
    void (*unwatch)(struct smarthop_self *self, uint64_t id);

    /* Calls `run` on a thread where it may block, also where the plugin is SMARTHOP_SERIAL, then
     * `done` as above. Both are called, whatever becomes of the event. */
    void (*work)(struct smarthop_self *self, uint64_t token, void (*run)(void *context),
                 void (*done)(void *context), void *context);

    /* Only within `run` of a work whose token is of a MESSAGE event. Copies what there is of the
     * message (header and body, as it would leave: with what the plugins before have made of it)
     * from `offset`: the number of bytes, maybe fewer than are left, 0 at its end, below 0 where it
     * cannot be read or the event is over. A shadow cannot read. */
    int64_t (*body_read)(struct smarthop_self *self, uint64_t token, uint64_t offset, void *bytes,
                         size_t len);
    /* Likewise: appends to the message's new content, header and all. 0, or below it. It may wait
     * for the disk, and holds no more than a few MiB in memory. What was written counts with
     * replace_body, when no work of the event reads or writes any more; lines end with CRLF, and
     * without NUL, or the answer cannot be used. */
    int (*body_write)(struct smarthop_self *self, uint64_t token, const void *bytes, size_t len);

    /* `start` only: a metric of its own, shown as smarthop_plugin_NAME_metric. Its number from 1.
     */
    uint32_t (*metric)(struct smarthop_self *self, enum smarthop_metric kind, const char *name,
                       const char *help);
    void (*metric_add)(struct smarthop_self *self, uint32_t metric, uint64_t value);

    /* SMARTHOP_STORES only: a store of the plugin's own, kept over restarts, bounded by the
     * `store_max` of its section. Keys have 1 to 400 bytes. Reading copies at most `len` bytes, and
     * returns the length of the value, below 0 where there is none. Writing is durable once `done`
     * is called with 0; NULL = need not be told. A value of length 0 removes the key. */
    int64_t (*kv_get)(struct smarthop_self *self, struct smarthop_span key, void *bytes,
                      size_t len);
    void (*kv_put)(struct smarthop_self *self, uint64_t token, struct smarthop_span key,
                   struct smarthop_span value, void (*done)(void *context, int error),
                   void *context);
};

/* ---- the plugin --------------------------------------------------------------------------- */

enum smarthop_option_type {
    SMARTHOP_OPTION_TEXT,
    SMARTHOP_OPTION_PATH,     /* made absolute from the folder of relay.conf */
    SMARTHOP_OPTION_NUMBER,   /* minimum to maximum */
    SMARTHOP_OPTION_SIZE,     /* bytes: "4 KiB", "1MiB" */
    SMARTHOP_OPTION_DURATION, /* milliseconds: "300ms", "2h" */
    SMARTHOP_OPTION_FLAG,     /* yes or no: 1 or 0 */
};

/* A row of the plugin's options. */
struct smarthop_option {
    const char *name; /* [a-z0-9_]; none of the keys that relay.conf(5) has for each plugin */
    uint32_t type;
    uint32_t list;         /* 1 = any number of values */
    const char *otherwise; /* default as one would write it; NULL = none */
    uint64_t minimum;      /* of a value, or of a text's length */
    uint64_t maximum;      /* 0 = no bound */
    const char *help;
};

enum smarthop_fail_mode {
    SMARTHOP_FAIL_DEFER, /* what it cannot answer is deferred (451) */
    SMARTHOP_FAIL_OPEN,  /* what it cannot answer goes on as if it had passed */
};

enum smarthop_plugin_flags {
    SMARTHOP_SERIAL = 1 << 0,       /* not thread-safe: called one thread at a time */
    SMARTHOP_READS_HEADER = 1 << 1, /* its route hook is asked once the message is there */
    SMARTHOP_STORES = 1 << 2,       /* uses kv_get and kv_put */
};

typedef int (*smarthop_hook_function)(void *state, const struct smarthop_event *event,
                                      struct smarthop_verdict *verdict);

/* Writes a command's output. */
typedef void (*smarthop_write)(void *context, const char *bytes, size_t len);

struct smarthop_plugin {
    uint32_t magic; /* the first four: SMARTHOP_PLUGIN_HEAD */
    uint16_t abi_major;
    uint16_t abi_minor;
    uint32_t size;
    uint32_t flags;
    const char *name; /* [a-z0-9-]; names the section in relay.conf where that says no other */
    const char *version;
    const char *summary;
    const struct smarthop_option *options;
    uint32_t option_count;
    uint32_t option_size; /* sizeof(struct smarthop_option) */
    uint32_t fail_mode;   /* unless relay.conf says otherwise */
    uint32_t reserved;

    /* Makes the plugin's state from its options; may block. Non-zero: it cannot, and has said why
     * by option_problem or log. Several states may live at the same time: a reload starts the
     * new one before it stops the old one. `host` and `self` live until `stop` has returned. */
    int (*start)(const struct smarthop_host *host, struct smarthop_self *self, void **state_out);
    /* Nothing of it is pending any more, and no hook will be called. */
    void (*stop)(void *state);
    /* Behind `start`, before anything is asked of it: whether it works. Non-zero: it is not used.
     */
    int (*self_test)(void *state);
    /* The pending event is over: its client has gone, or it took too long. Nothing is to be
     * completed any more. On the event's thread. NULL = need not be told. */
    void (*cancel)(void *state, uint64_t token);
    /* relay.conf has been read again and this plugin's section is as it was: files that options
     * name may have changed. May block. Non-zero: the old content stays. */
    int (*reload)(void *state);
    /* `smarthopctl plugin command NAME WORDS...`: writes to the operator, returns the exit code.
     * May block. */
    int (*command)(void *state, const struct smarthop_span *words, uint32_t count,
                   smarthop_write write, void *context);
    /* Metrics are being collected: brings its own up to date. May not block. */
    void (*metrics)(void *state);

    smarthop_hook_function hooks[SMARTHOP_HOOKS_ROOM]; /* by enum smarthop_hook; NULL = not asked */
};

#define SMARTHOP_PLUGIN_HEAD                                                                       \
    SMARTHOP_MAGIC, SMARTHOP_ABI_MAJOR, SMARTHOP_ABI_MINOR, (uint32_t)sizeof(struct smarthop_plugin)

/* Before the descriptor. */
#ifdef __cplusplus
#define SMARTHOP_EXPORT extern "C" __attribute__((visibility("default")))
}
#else
#define SMARTHOP_EXPORT __attribute__((visibility("default")))
#endif

#endif
