/*
 * mailstore: the mailboxes of all users, in one LMDB environment through base/kv.
 *
 * The bytes of a message are stored once, in chunks, however many mailboxes it is in. A mailbox has
 * a row a message, its entry: UID, flags, keywords, internal date, modification sequence, size, and
 * the few lines that are this recipient's alone (Return-Path, Delivered-To), which stand before the
 * shared bytes wherever the message is read. What IMAP asks for again and again is kept beside the
 * bytes as a digest (mime/digest.h), made as they come in.
 *
 * UIDVALIDITY, UIDNEXT and HIGHESTMODSEQ only ever grow, over renaming, restarts and crashes. All
 * that one operation changes in a mailbox gets one new modification sequence. Expunged UIDs are
 * kept as ranges under theirs (RFC 7162), so that what has changed since a state can be told at a
 * cost of what has changed.
 *
 * Changes are operations on the writer thread, many to a commit; each completes once it is durable.
 * Reading is by read transactions that do not outlive a round of the loop; what is not in memory
 * can be brought there by a work first (mailstore_content_is_resident).
 */
#ifndef SMARTHOP_DROP_MAILSTORE_H
#define SMARTHOP_DROP_MAILSTORE_H

#include "base/buf.h"
#include "base/kv.h"
#include "base/list.h"
#include "base/loop.h"

enum {
    MAILSTORE_USER_MAX = 200,     /* bytes of a user's name */
    MAILSTORE_NAME_MAX = 255,     /* bytes of a mailbox's name, in UTF-8, levels apart by '/' */
    MAILSTORE_DEPTH_MAX = 20,     /* levels */
    MAILSTORE_KEYWORDS_MAX = 64,  /* of one mailbox */
    MAILSTORE_KEYWORD_MAX = 64,   /* bytes of one */
    MAILSTORE_PREFIX_MAX = 1024,  /* bytes of a recipient's own lines */
    MAILSTORE_TARGETS_MAX = 1000, /* mailboxes that one message is put in at once */
};

enum mailstore_flag {
    MAILSTORE_SEEN = 1 << 0,
    MAILSTORE_ANSWERED = 1 << 1,
    MAILSTORE_FLAGGED = 1 << 2,
    MAILSTORE_DELETED = 1 << 3,
    MAILSTORE_DRAFT = 1 << 4,
};

/* RFC 6154. */
enum mailstore_use {
    MAILSTORE_USE_NONE,
    MAILSTORE_USE_ARCHIVE,
    MAILSTORE_USE_DRAFTS,
    MAILSTORE_USE_FLAGGED,
    MAILSTORE_USE_JUNK,
    MAILSTORE_USE_SENT,
    MAILSTORE_USE_TRASH,
};

struct mailstore;

struct mailstore_options {
    const char *path;   /* a folder, made where it is missing */
    uint64_t map_size;  /* bytes of address space */
    uint64_t low_water; /* as kv_options has them */
    uint64_t reserve;
    uint64_t gather_ms;
    uint64_t quota_bytes; /* of a user who has none of his own; 0 = no bound */
    uint64_t quota_messages;
    uint64_t box_max;    /* mailboxes of a user */
    size_t draft_memory; /* bytes of a message that is coming in that are held in memory; what
                            is beyond goes to the store as it comes */
    bool read_only;      /* beside a process that has it open for writing */
};

/* Blocks. Removes what a crash has left of messages that were still coming in. */
struct err mailstore_open(const struct mailstore_options *options, struct mailstore **out);
/* After the last submission; what was submitted is done first. Blocks. */
void mailstore_close(struct mailstore *store);
/* Any thread; what later operations go by. */
void mailstore_set_quota(struct mailstore *store, uint64_t bytes, uint64_t messages);
void mailstore_stats(struct mailstore *store, struct kv_stats *out);

/* ---- reading ------------------------------------------------------------------------------ */

/* Any thread; ended before the loop goes on. Spans that are handed out live until then. */
struct err mailstore_read_begin(struct mailstore *store, struct kv_txn **out);
void mailstore_read_end(struct kv_txn *txn);

struct mailstore_user {
    uint64_t bytes;
    uint64_t messages;
    uint64_t boxes;
    uint64_t bytes_max; /* that hold for him; 0 = no bound */
    uint64_t messages_max;
};

/* ERR_NOT_FOUND: he has no mailboxes yet. */
struct err mailstore_user_get(struct mailstore *store, struct kv_txn *txn, struct span user,
                              struct mailstore_user *out);
/* In the order of their names. */
typedef bool mailstore_visit_user(void *context, struct span user);
struct err mailstore_user_walk(struct kv_txn *txn, struct span from, mailstore_visit_user *visit,
                               void *context);

struct mailstore_box {
    uint32_t id; /* never used again */
    struct span user;
    struct span name; /* "INBOX", "Archive/2024"; UTF-8, never with a NUL or another control */
    uint32_t uid_validity;
    uint32_t uid_next;
    uint64_t highest_modseq; /* from 1 */
    uint32_t exists;
    uint32_t unseen;
    uint32_t deleted;
    uint32_t recent_from; /* the first UID that no session has been told as \Recent */
    uint64_t bytes;
    uint64_t vanished_from; /* the oldest modification sequence whose vanished UIDs are all kept */
    enum mailstore_use use;
    unsigned keyword_count;
    struct span keywords[MAILSTORE_KEYWORDS_MAX]; /* by the bit's number; none goes while the
                                                     mailbox lives */
};

/* `name` is "INBOX" in capitals, or as it was created. ERR_NOT_FOUND. */
struct err mailstore_box_find(struct kv_txn *txn, struct span user, struct span name,
                              struct mailstore_box *out);
struct err mailstore_box_get(struct kv_txn *txn, uint32_t id, struct mailstore_box *out);
/* Takes the messages that no session has been told of as \Recent for the caller: UIDs from what is
 * returned to below box->uid_next, which may be none. Nobody else gets them; that they are not told
 * again by a later process takes a MAILSTORE_CLAIM_RECENT behind it. Any thread, at once. */
uint32_t mailstore_recent_take(struct mailstore *store, const struct mailstore_box *box);
/* The same, with nothing taken: what the row's recent_from will be. */
uint32_t mailstore_recent_from(struct mailstore *store, const struct mailstore_box *box);
/* All of the user, in the order of the names' bytes. */
typedef bool mailstore_visit_box(void *context, const struct mailstore_box *box);
struct err mailstore_box_walk(struct kv_txn *txn, struct span user, mailstore_visit_box *visit,
                              void *context);
/* Names that the user has subscribed to, whether such mailboxes exist or not; in order. */
typedef bool mailstore_visit_name(void *context, struct span name);
struct err mailstore_subscription_walk(struct kv_txn *txn, struct span user,
                                       mailstore_visit_name *visit, void *context);

struct mailstore_entry {
    uint32_t uid;
    uint32_t flags;    /* bits of enum mailstore_flag */
    uint64_t keywords; /* bit n = the mailbox's keyword n */
    uint64_t modseq;
    uint64_t message;      /* id of the shared bytes */
    uint64_t size;         /* with the prefix */
    int64_t internal_date; /* seconds since 1970 */
    int64_t save_date;     /* when it was put into this mailbox (RFC 8514) */
    int16_t internal_zone; /* minutes east of UTC, as APPEND gave it */
    struct span prefix;    /* what stands before the shared bytes: whole header lines */
};

struct err mailstore_entry_get(struct kv_txn *txn, uint32_t box, uint32_t uid,
                               struct mailstore_entry *out);
/* From the first UID >= `from`, in order, until `visit` returns false. One that is damaged is left
 * out, as by the operations below, and told to the log. */
typedef bool mailstore_visit_entry(void *context, const struct mailstore_entry *entry);
struct err mailstore_entry_walk(struct kv_txn *txn, uint32_t box, uint32_t from,
                                mailstore_visit_entry *visit, void *context);

/* The UIDs of entries that were added or changed behind `modseq`, in the order of the changes; each
 * once. */
typedef bool mailstore_visit_change(void *context, uint64_t modseq, uint32_t uid);
struct err mailstore_change_walk(struct kv_txn *txn, uint32_t box, uint64_t modseq,
                                 mailstore_visit_change *visit, void *context);

struct mailstore_range {
    uint32_t first;
    uint32_t last; /* not below first */
};

/* UIDs that were expunged behind `modseq`, each once. Where not all of those are kept any more
 * (modseq + 1 is below vanished_from), all UIDs below UIDNEXT that are not there. */
typedef bool mailstore_visit_vanished(void *context, uint64_t modseq, struct mailstore_range uids);
struct err mailstore_vanished_walk(struct kv_txn *txn, uint32_t box, uint64_t modseq,
                                   mailstore_visit_vanished *visit, void *context);

/* Shared bytes: `size` of them, without any prefix. ERR_CORRUPT where a checksum does not fit. */
struct err mailstore_message_size(struct kv_txn *txn, uint64_t message, uint64_t *size_out);
/* The digest, for digest_open. */
struct err mailstore_digest_get(struct kv_txn *txn, uint64_t message, struct span *out);
/* Shows the shared bytes from `offset`, `len` of them or as many as there are, in runs of a few KiB
 * that lie in the store; each chunk's checksum is looked at first. */
typedef bool mailstore_visit_bytes(void *context, struct span bytes);
struct err mailstore_content_walk(struct kv_txn *txn, uint64_t message, uint64_t offset,
                                  uint64_t len, mailstore_visit_bytes *visit, void *context);
/* Whether reading them would not wait for the disk. */
bool mailstore_content_is_resident(struct kv_txn *txn, uint64_t message, uint64_t offset,
                                   uint64_t len);

/* ---- a message that comes in -------------------------------------------------------------- */

/* Belongs to its loop. */
struct mailstore_draft;

struct mailstore_draft_handler {
    /* There is room again (mailstore_draft_is_full was true). From the loop. */
    void (*drained)(struct mailstore_draft *draft, void *owner);
    void *owner;
};

/* For tools that have no loop it is NULL: then adding waits for the store, and it is never full. */
struct mailstore_draft *mailstore_draft_create(struct mailstore *store, struct loop *loop,
                                               const struct mailstore_draft_handler *handler);
/* Copies. Lines are as they are to be stored: CRLF. What cannot be stored any more (no room) is
 * dropped, and told by the append. */
void mailstore_draft_add(struct mailstore_draft *draft, struct span bytes);
/* Add no more until `drained`. */
bool mailstore_draft_is_full(const struct mailstore_draft *draft);
uint64_t mailstore_draft_size(const struct mailstore_draft *draft);
/* Given up, or after its append has completed. What went to the store already is removed there.
 * `drained` is not called any more. While some of it is on its way to the store the memory stays
 * until that has come back to the loop. NULL is let be. */
void mailstore_draft_free(struct mailstore_draft *draft);

/* ---- operations --------------------------------------------------------------------------- */

/*
 * Each kind of operation begins with a struct mailstore_op. Its owner zeroes it, fills the upper
 * part, and hands it to mailstore_submit, which returns at once, or to mailstore_run. All that it
 * points to stays in place until the completion. Behind that `result` tells whether it was done
 * (ERR_NO_SPACE: the disk or the map is full; nothing has changed), and `refusal` why it was not
 * done though the store is well.
 */
enum mailstore_kind {
    MAILSTORE_APPEND, /* struct mailstore_append, and so on */
    MAILSTORE_COPY,
    MAILSTORE_STORE,
    MAILSTORE_EXPUNGE,
    MAILSTORE_CREATE,
    MAILSTORE_DELETE,
    MAILSTORE_RENAME,
    MAILSTORE_SUBSCRIBE,
    MAILSTORE_CLAIM_RECENT,
    MAILSTORE_SET_QUOTA,
    MAILSTORE_REMOVE_USER,
    MAILSTORE_KINDS
};

enum mailstore_refusal {
    MAILSTORE_FINE,
    MAILSTORE_NO_BOX,     /* there is no such mailbox (any more): TRYCREATE, NONEXISTENT */
    MAILSTORE_EXISTS,     /* ALREADYEXISTS */
    MAILSTORE_BAD_NAME,   /* CANNOT: empty levels, controls, not UTF-8, too long, too deep */
    MAILSTORE_INBOX,      /* CANNOT: INBOX is neither deleted nor created */
    MAILSTORE_OVER_QUOTA, /* OVERQUOTA */
    MAILSTORE_TOO_MANY,   /* LIMIT: mailboxes, keywords, or UIDs are at their end */
};

struct mailstore_op {
    enum mailstore_kind kind;
    void (*done)(struct mailstore_op *op); /* on `home`'s thread, from its loop */
    struct err result;
    enum mailstore_refusal refusal;

    /* The store's own. */
    struct kv_op kv;
    struct mailstore *store;
    struct loop *home;
    void *waiter;
};

void mailstore_submit(struct mailstore *store, struct mailstore_op *op, struct loop *home);
/* Waits for it; not on a loop that serves. */
void mailstore_run(struct mailstore *store, struct mailstore_op *op);

/* One mailbox that a message is put in. */
struct mailstore_target {
    struct span user; /* who gets his INBOX with the first message, where he has none yet */
    struct span name; /* of the mailbox */
    bool is_created;  /* where it is missing it is made; otherwise NO_BOX */
    bool is_unbound;  /* no quota holds */
    uint32_t flags;
    const struct span *keywords; /* by name; new ones are added to the mailbox */
    unsigned keyword_count;
    int64_t internal_date; /* 0 = now */
    int16_t internal_zone;
    struct span prefix; /* at most MAILSTORE_PREFIX_MAX */

    /* What became of it. */
    enum mailstore_refusal refusal;
    uint32_t box;
    uint32_t uid_validity;
    uint32_t uid;
};

/* Puts the draft's message into mailboxes; those that refuse it do not keep it from the others,
 * unless `is_whole`: then it is put into all or none. op.refusal is the first one. With `drafts`
 * of several messages (MULTIAPPEND, RFC 3502) there is one target for each. A draft that was
 * refused everywhere may be appended again, one that was stored may not. */
struct mailstore_append {
    struct mailstore_op op;
    struct mailstore_draft **drafts;
    unsigned draft_count;
    struct mailstore_target *targets;
    unsigned target_count;
    bool is_whole;
};

/* Copies, or moves, entries with their flags, keywords and dates. UIDs that are not there (any
 * more) are left out. All of them or none. */
struct mailstore_copy {
    struct mailstore_op op;
    uint32_t box;
    const struct mailstore_range *uids;
    unsigned uid_count; /* ranges, in order, apart from each other */
    struct span user;
    struct span name; /* of the mailbox that they go to */
    bool is_move;

    uint32_t to;
    uint32_t uid_validity;
    uint32_t *from_uids; /* on the heap or NULL, the caller's to free: `copied` of each, in order */
    uint32_t *to_uids;
    unsigned copied;
    uint64_t modseq; /* of `box`, of a move */
};

enum mailstore_change { MAILSTORE_SET, MAILSTORE_ADD, MAILSTORE_REMOVE };

/* Changes flags (RFC 9051 6.4.6, RFC 7162 3.1.3). An entry that is as it should be already is not
 * touched. */
struct mailstore_store {
    struct mailstore_op op;
    uint32_t box;
    const struct mailstore_range *uids;
    unsigned uid_count;
    enum mailstore_change change;
    uint32_t flags;
    const struct span *keywords;
    unsigned keyword_count;
    uint64_t unchanged_since; /* UINT64_MAX = whatever happened since */

    uint64_t modseq;    /* of what was changed; 0 = nothing was */
    unsigned changed;   /* entries */
    uint32_t *modified; /* UIDs that had changed since; on the heap or NULL, the caller's to free */
    unsigned modified_count;
};

/* Removes entries for good. */
struct mailstore_expunge {
    struct mailstore_op op;
    uint32_t box;
    const struct mailstore_range *uids; /* NULL = all */
    unsigned uid_count;
    bool is_any; /* also those without \Deleted */

    uint64_t modseq; /* 0 = there was none to remove */
    unsigned expunged;
};

/* Makes a mailbox and those above it that are missing. A name that once was gets another
 * UIDVALIDITY. A user who is not known gets his INBOX, too; asking for just that is fine then, and
 * otherwise MAILSTORE_INBOX. */
struct mailstore_create {
    struct mailstore_op op;
    struct span user;
    struct span name;
    enum mailstore_use use;

    uint32_t box;
    uint32_t uid_validity;
};

/* Removes a mailbox with its messages. Those below it stay; the name is then told as \NonExistent
 * and \NoSelect as long as there are any. */
struct mailstore_delete {
    struct mailstore_op op;
    struct span user;
    struct span name;

    uint32_t box; /* that it was; 0 = none */
};

/* Renames a mailbox and all below it (also where only those are there), and makes those above the
 * new name that are missing. Not to below itself. INBOX: its messages move to the new one, INBOX
 * stays, and what is below it stays (RFC 9051 6.3.6). */
struct mailstore_rename {
    struct mailstore_op op;
    struct span user;
    struct span from;
    struct span to;

    uint32_t inbox; /* of a renamed INBOX: itself; otherwise 0 */
};

struct mailstore_subscribe {
    struct mailstore_op op;
    struct span user;
    struct span name;
    bool is_off; /* to be told no more of it */
};

/* The messages that no session was told of as \Recent are told to this one. */
struct mailstore_claim_recent {
    struct mailstore_op op;
    uint32_t box;

    uint32_t first; /* UIDs from here to below `end` */
    uint32_t end;
};

struct mailstore_set_quota {
    struct mailstore_op op;
    struct span user; /* becomes known where he is not */
    uint64_t bytes;   /* UINT64_MAX = as options have it, 0 = no bound */
    uint64_t messages;
};

/* All that the user has. */
struct mailstore_remove_user {
    struct mailstore_op op;
    struct span user;

    uint32_t *boxes; /* that he had; on the heap, the caller's to free */
    unsigned box_count;
};

/* ---- being told --------------------------------------------------------------------------- */

/*
 * Told of a mailbox's changes, soon after each is durable; several at once where they come thick.
 * What has changed is read from the store. A mailbox that was deleted is told, too. Embedded in its
 * owner.
 */
struct mailstore_watch {
    void (*changed)(struct mailstore_watch *watch); /* on the loop, never from within a call */

    /* The store's own. */
    struct mailstore *store;
    struct loop *loop;
    struct list link;
    struct call call;
    uint32_t box;
    bool is_posted;
    bool is_ended;
    void (*ended)(struct mailstore_watch *watch);
};

/* On `loop`. Comes before the first look at the mailbox, so that nothing is missed between. */
void mailstore_watch_start(struct mailstore *store, struct mailstore_watch *watch,
                           struct loop *loop, uint32_t box);
/* On the loop. `changed` is not called any more; `ended` comes later, once, and then the memory is
 * the owner's again. */
void mailstore_watch_stop(struct mailstore_watch *watch,
                          void (*ended)(struct mailstore_watch *watch));

/* ---- looking after it --------------------------------------------------------------------- */

/* Names: whether one may be created; INBOX in any case becomes "INBOX". */
bool mailstore_name_is_valid(struct span name);

struct mailstore_check {
    uint64_t users;
    uint64_t boxes;
    uint64_t entries;
    uint64_t messages;
    uint64_t bytes;
    uint64_t problems;
};
/* Reads everything and compares: counts, checksums, references both ways. Each problem is a line
 * for `tell`; `progress` (may be NULL) is told now and then. Blocks; any thread. */
struct err mailstore_check(struct mailstore *store, void (*tell)(void *context, const char *line),
                           void (*progress)(void *context, uint64_t done, uint64_t all),
                           void *context, struct mailstore_check *out);
/* Where rows are damaged, makes the others fit each other again: entries that cannot be read are
 * expunged, and what is counted is counted anew. Each repair is a line for `tell`. Blocks; nobody
 * else has the store open. */
struct err mailstore_repair(struct mailstore *store, void (*tell)(void *context, const char *line),
                            void *context, uint64_t *repaired_out);
/* Removes what nothing refers to any more, and vanished UIDs beyond `keep` ranges a mailbox, in
 * bounded steps, as the writer does by itself when there is little to do. Blocks. */
struct err mailstore_tidy(struct mailstore *store, uint64_t keep);
/* Makes the file as small as its content; blocks. Behind a success the store is only to be closed.
 * ERR_CONFLICT: another process is reading. */
struct err mailstore_compact(struct mailstore *store);

#endif
