/*
 * session: one IMAP client's dialogue, and the command that is being executed in it. Shared by the
 * files of imap/ only.
 *
 * A session lives on one loop. It executes one command at a time; the next one is read when that
 * has been answered, and waits in the conn until then. A command that cannot be answered at once
 * waits in a state of its own, and what it needs lies in the session's arena until it is answered.
 *
 * A long answer is written by a step: a function that writes a bounded piece each time it is called
 * and enters another state behind the last one. Steps are called as long as the client reads what
 * is written, for a few milliseconds in a row. No read transaction outlives a step.
 */
#ifndef SMARTHOP_DROP_IMAP_SESSION_H
#define SMARTHOP_DROP_IMAP_SESSION_H

#include "plugins/drop/imap/command.h"
#include "plugins/drop/imap/search.h"
#include "plugins/drop/imap/view.h"
#include "plugins/drop/server/login.h"
#include "plugins/drop/server/server.h"

enum imap_session_state {
    IMAP_SESSION_COMMAND,   /* a command is awaited, or comes in */
    IMAP_SESSION_AUTH,      /* AUTHENTICATE: the client's next response is awaited */
    IMAP_SESSION_LOGIN,     /* a log-in is being checked */
    IMAP_SESSION_HANDSHAKE, /* TLS is being negotiated */
    IMAP_SESSION_APPEND,    /* a message comes in */
    IMAP_SESSION_ROOM,      /* it comes faster than the store takes it: input waits */
    IMAP_SESSION_STORE,     /* the store is changing something */
    IMAP_SESSION_DISK,      /* bytes are being brought to memory */
    IMAP_SESSION_SEARCH,    /* a search is under way */
    IMAP_SESSION_OUTPUT,    /* an answer is written, step by step */
    IMAP_SESSION_IDLE,      /* IDLE: the client waits, for DONE to come from it */
    IMAP_SESSION_CLOSED,    /* said goodbye or cut; what is pending is waited for */
};

struct imap_session;
typedef void imap_step(struct imap_session *s);

/* How a command ends. */
enum imap_outcome { IMAP_OK, IMAP_NO, IMAP_BAD };

/* What is still to be told when a command has been executed, or while its client idles: sync.c. */
struct imap_sync {
    bool has_expunges; /* EXPUNGE may be told */
    uint64_t modseq;   /* of the mailbox, as it is told */
    uint32_t uid_next;
    struct mailstore_range *vanished; /* descending */
    unsigned vanished_count;
    unsigned vanished_cap;
    uint32_t at; /* sequence number of the next candidate, within vanished[vanished_at] */
    unsigned vanished_at;
    uint32_t *changed; /* UIDs */
    unsigned changed_count;
    unsigned changed_cap;
    unsigned changed_at;
    bool is_growing; /* messages have come in, which are still to be told */
};

/* An operation of the store that a command waits for. In the session's arena. */
struct imap_operation {
    struct imap_session *session;
    imap_step *then;
    union {
        struct mailstore_op op;
        struct mailstore_append append;
        struct mailstore_copy copy;
        struct mailstore_store store;
        struct mailstore_expunge expunge;
        struct mailstore_create create;
        struct mailstore_delete delete;
        struct mailstore_rename rename;
        struct mailstore_subscribe subscribe;
    };
};

struct imap_watch;  /* idle.c */
struct imap_append; /* append.c */
struct commit;      /* pipeline.c */
struct imap_login;  /* log_in.c */

struct imap_session {
    struct drop_session drop;
    enum imap_session_state state;
    struct imap_reader *reader;
    struct imap_command *command; /* that is being executed; the reader's */
    struct arena arena;           /* of the command */
    imap_step *step;              /* in IMAP_SESSION_OUTPUT */
    void *job;                    /* the command's own, in the arena */
    struct imap_sync *sync;       /* in the arena */
    struct imap_operation *operation;
    struct imap_login *login;                  /* log_in.c; while the client logs in */
    struct imap_append *append;                /* messages that come in; in the arena */
    const struct imap_append_literal *literal; /* the next of them; the reader's */
    struct list commits;                       /* APPENDs on their way: pipeline.c */
    unsigned commit_count;
    uint64_t commit_bytes;
    imap_step *held;          /* what goes on behind them */
    struct commit *synced;    /* the last of them, before whose answer what is new is told */
    struct imap_watch *watch; /* of the selected mailbox, once the client has idled in it */
    struct call again;        /* the next slice */
    bool is_again;
    bool is_conn_gone;
    bool is_eof;
    bool is_idling;
    bool is_searching;
    bool is_news; /* while it idles: the mailbox has changed */
    bool is_stopping;
    unsigned pending; /* completions that are still to come */
    bool is_compressed;
    unsigned enabled; /* bits of enum imap_enable */
    unsigned errors;

    enum imap_outcome outcome;
    const char *code; /* of the tagged answer; static, or in the arena; NULL = none */
    const char *text;

    struct imap_view view;
    uint64_t own_modseq;           /* changes of this one have been told by the command itself */
    struct mailstore_range *saved; /* "$" (RFC 5182), UIDs; on the heap */
    unsigned saved_count;
};

static inline struct imap_session *imap_session_of(struct drop_session *drop)
{
    return container_of(drop, struct imap_session, drop);
}

static inline bool imap_is_logged_in(const struct imap_session *s)
{
    return s->drop.user[0] != '\0';
}

static inline bool imap_is_selected(const struct imap_session *s)
{
    return s->view.box != 0;
}

static inline struct span imap_user(const struct imap_session *s)
{
    return span_cstr(s->drop.user);
}

static inline bool imap_has(const struct imap_session *s, enum imap_enable what)
{
    return (s->enabled & (unsigned)what) != 0;
}

static inline bool imap_is_utf8(const struct imap_session *s)
{
    return imap_has(s, IMAP_ENABLE_UTF8) || imap_has(s, IMAP_ENABLE_REV2);
}

/* ---- session.c ---------------------------------------------------------------------------- */

void imap_enter(struct imap_session *s, enum imap_session_state state);
/* Goes on with what has arrived, and with what is to be written. */
void imap_run(struct imap_session *s);
/* Enters IMAP_SESSION_OUTPUT. */
void imap_write_on(struct imap_session *s, imap_step *step);
/* The answer's buffer; imap_written behind each piece. */
struct buf *imap_out(struct imap_session *s);
void imap_written(struct imap_session *s);
/* "* text" CRLF. */
void imap_untagged(struct imap_session *s, const char *text);
/* Says "* BYE text", sends what was gathered and closes. `reason` is static, for the log. */
void imap_bye(struct imap_session *s, const char *text, const char *reason);
/* Sends what was gathered and closes. */
void imap_hang_up(struct imap_session *s, const char *reason);
/* Closes at once. */
void imap_cut(struct imap_session *s, const char *reason);
/* Something of the session's own has completed: frees it where it was the last one. */
void imap_release(struct imap_session *s);

/* Starts it and waits; `then` follows. `kind` has been set, and all of its upper part. */
struct imap_operation *imap_operation_create(struct imap_session *s, enum mailstore_kind kind);
void imap_submit(struct imap_session *s, struct imap_operation *operation, imap_step *then);

/* ---- reply.c ------------------------------------------------------------------------------ */

/* The command has been executed: what is new in the mailbox is told, then "tag OK [code] text".
 * `code` may be NULL. */
void imap_finish(struct imap_session *s, enum imap_outcome outcome, const char *code,
                 const char *text);
void imap_say_ok(struct imap_session *s, const char *text);
void imap_say_no(struct imap_session *s, const char *code, const char *text);
void imap_say_bad(struct imap_session *s, const char *text);
/* The store's own trouble. */
void imap_fail(struct imap_session *s, struct err error);
/* The same of a mailbox that was looked for: NONEXISTENT where there is none. */
void imap_fail_to_find(struct imap_session *s, struct err error);
/* A read transaction, or false, and the command has failed. */
bool imap_read_begin(struct imap_session *s, struct kv_txn **out);
/* Whether the operation was done; if not the command has been refused. `missing` is the code where
 * there is no such mailbox. */
bool imap_is_done(struct imap_session *s, const struct mailstore_op *op, const char *missing);
/* What is said of an operation's outcome; of one that failed, the log is told. */
struct imap_verdict {
    enum imap_outcome outcome;
    const char *code;
    const char *text;
};
struct imap_verdict imap_verdict_of(struct imap_session *s, const struct mailstore_op *op,
                                    const char *missing);
void imap_write_answer(struct imap_session *s, struct span tag, enum imap_outcome outcome,
                       const char *code, const char *text);
/* The tagged line itself, behind all that sync.c tells. */
void imap_answer(struct imap_session *s);

/* ---- commands.c --------------------------------------------------------------------------- */

void imap_execute(struct imap_session *s);
/* "IMAP4rev1 ...", as it is now. */
void imap_write_capabilities(struct imap_session *s, struct buf *out);
bool imap_has_condstore(const struct imap_session *s);
/* CONDSTORE holds from now on; tells HIGHESTMODSEQ where a mailbox is selected (RFC 7162 3.1). */
void imap_use_condstore(struct imap_session *s);

/* ---- sync.c ------------------------------------------------------------------------------- */

/* Tells what is new in the selected mailbox, as far as the command lets; imap_synced follows. */
void imap_sync_start(struct imap_session *s, bool has_expunges);
/* The session ends. */
void imap_sync_abandon(struct imap_session *s);
/* reply.c: the tagged line, or idling. */
void imap_synced(struct imap_session *s);
/* The selected mailbox's row; tells FLAGS where keywords have been added since. False: it is gone,
 * and the session ends. The spans in it live as long as the transaction. */
bool imap_view_box(struct imap_session *s, struct kv_txn *txn, struct mailstore_box *out);
void imap_tell_flags(struct imap_session *s, const struct mailstore_box *box);
/* "* 1 FETCH (UID 7 FLAGS (...) MODSEQ (5))"; `seq` from 1. */
void imap_tell_entry(struct imap_session *s, uint32_t seq, const struct mailstore_entry *entry,
                     const struct mailstore_box *box, bool has_uid, bool has_flags);
/* recent.c: messages that nobody was told of are \Recent here. */
void imap_take_recent(struct imap_session *s, const struct mailstore_box *box);
struct imap_scope imap_scope_of(const struct imap_session *s);
/* The command's set in UIDs; false, and refused, where it names what is not there. */
bool imap_resolve(struct imap_session *s, const struct imap_set *set, struct mailstore_range **out,
                  unsigned *count_out);

/* ---- the commands ------------------------------------------------------------------------- */

/* log_in.c */
void imap_do_login(struct imap_session *s);
void imap_do_authenticate(struct imap_session *s);
/* A line while in IMAP_SESSION_AUTH: false where there is none yet. */
bool imap_take_response(struct imap_session *s);
void imap_login_free(struct imap_session *s);

/* newcomer.c: a user's first mailboxes, where he has none; `then` goes on behind them. */
void imap_welcome(struct imap_session *s, imap_step *then);

void imap_do_select(struct imap_session *s); /* EXAMINE too */
void imap_do_close(struct imap_session *s);
void imap_do_unselect(struct imap_session *s);
/* No mailbox is selected any more; tells CLOSED where the client knows it. */
void imap_unselect(struct imap_session *s);

/* resync.c: what a client that was away has to be told, behind SELECT with QRESYNC. */
void imap_resync(struct imap_session *s);
/* VANISHED (EARLIER): what of the set has gone since. */
void imap_tell_vanished(struct imap_session *s, uint64_t since, const struct imap_set *set);

void imap_do_list(struct imap_session *s); /* LSUB too */
void imap_do_status(struct imap_session *s);
/* "* STATUS name (...)" */
void imap_write_status(struct imap_session *s, struct kv_txn *txn, const struct mailstore_box *box,
                       unsigned items);

void imap_do_create(struct imap_session *s);
void imap_do_delete(struct imap_session *s);
void imap_do_rename(struct imap_session *s);
void imap_do_subscribe(struct imap_session *s); /* UNSUBSCRIBE too */

/* A message's literal begins. */
void imap_append_begin(struct imap_session *s, const struct imap_append_literal *literal);
/* Input while in IMAP_SESSION_APPEND; false where it has to wait. */
bool imap_append_take(struct imap_session *s);
void imap_do_append(struct imap_session *s);
/* The session ends: what has come in is given up. */
void imap_append_abandon(struct imap_session *s);
/* Whether what has come in can be stored. */
bool imap_append_is_ready(const struct imap_session *s);

/* pipeline.c. The APPEND that is being executed is committed while the next command is read. */
void imap_pipeline_add(struct imap_session *s);
/* No further command is to be read for now. */
bool imap_pipeline_is_full(const struct imap_session *s);
/* What is new has been told. */
void imap_pipeline_synced(struct imap_session *s);
/* The session ends; none is on its way. */
void imap_pipeline_abandon(struct imap_session *s);
/* True: `then` follows once the APPENDs that are on their way have been answered. */
bool imap_pipeline_holds(struct imap_session *s, imap_step *then);

void imap_do_idle(struct imap_session *s);
bool imap_idle_take(struct imap_session *s);
/* The mailbox is not looked at any more. */
void imap_watch_end(struct imap_session *s);

void imap_do_fetch(struct imap_session *s);
void imap_do_store(struct imap_session *s);
void imap_do_copy(struct imap_session *s); /* MOVE too */
void imap_do_expunge(struct imap_session *s);
void imap_do_search(struct imap_session *s); /* SORT, THREAD too */
/* The session ends. */
void imap_search_abandon(struct imap_session *s);

void imap_do_getquota(struct imap_session *s);
void imap_do_getquotaroot(struct imap_session *s);
void imap_do_setquota(struct imap_session *s);

#endif
