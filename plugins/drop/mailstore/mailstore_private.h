/* What the files of the mailstore share: the handle, the tables, and the rows of one transaction.
 */
#ifndef SMARTHOP_DROP_MAILSTORE_PRIVATE_H
#define SMARTHOP_DROP_MAILSTORE_PRIVATE_H

#include "base/arena.h"
#include "plugins/drop/mailstore/codec.h"
#include "plugins/drop/mailstore/keys.h"
#include "plugins/drop/mailstore/mailstore.h"

#include <pthread.h>
#include <stdatomic.h>

enum store_table {
    TABLE_META,
    TABLE_USER,
    TABLE_BOX,
    TABLE_NAME,
    TABLE_ENTRY,
    TABLE_CHANGE,
    TABLE_VANISHED,
    TABLE_MESSAGE,
    TABLE_DIGEST,
    TABLE_BODY,
    TABLE_STAGED,
    TABLE_GARBAGE,
    TABLE_SUBSCRIPTION,
    TABLE_COUNT
};

enum {
    STORE_BATCH = 512,           /* entries that are worked on at a time */
    STORE_VANISHED_MOST = 16384, /* rows of one mailbox; beyond, the oldest are forgotten */
    STORE_VANISHED_KEPT = 12288, /* then */
    STORE_WATCH_BUCKETS = 4096,
};

/* The writer thread's memory of `meta`, which holds only while no transaction was abandoned. */
struct store_known {
    uint64_t abandoned;
    uint64_t ids_used; /* 0 = not looked up */
};

/* Removes what nothing refers to any more, in bounded steps. The writer thread's. */
struct store_sweep {
    struct kv_op op;
    struct mailstore *store;
    atomic_bool is_closing;
    bool is_submitted;
    bool is_wanted;    /* something was added to `garbage` since it was last found empty */
    bool is_through;   /* what the last step found */
    uint64_t finished; /* operations that the writer has finished */
    uint64_t seen;     /* of them, at the last step */
};

struct store_watches {
    pthread_mutex_t lock;
    atomic_uint count;
    struct list buckets[STORE_WATCH_BUCKETS]; /* under lock */
};

/* Up to which UID messages have been told as \Recent, though the row may not say so yet. */
enum { STORE_RECENT_SLOTS = 1024 };
struct store_recent_slot {
    uint32_t box;
    uint32_t end;
};
struct store_recent {
    pthread_mutex_t lock;
    struct store_recent_slot slots[STORE_RECENT_SLOTS];
};
void recent_init(struct store_recent *recent);
void recent_fini(struct store_recent *recent);

struct mailstore {
    struct kv *kv;
    uint64_t box_max;
    size_t draft_memory;
    _Atomic uint64_t last_id; /* of a message */
    _Atomic uint64_t quota_bytes;
    _Atomic uint64_t quota_messages;
    struct store_known known; /* the writer's */
    struct store_sweep sweep;
    struct store_watches watches;
    struct store_recent recent;
};

struct box_row {
    struct mailstore_box box;
    uint32_t vanished;         /* its rows in that table */
    char bytes[STORE_BOX_MAX]; /* what the spans of `box` point into */
};

/* ---- rows.c: within a transaction ---------------------------------------------------------- */

struct err store_delete_if_there(struct kv_txn *txn, enum store_table table, const struct key *key);

struct err store_get_meta(struct kv_txn *txn, struct store_meta *out);
struct err store_put_meta(struct kv_txn *txn, const struct store_meta *meta);
/* Makes sure that no later process gives this number to another message. */
struct err store_use_id(struct mailstore *store, struct kv_txn *txn, uint64_t id);

struct err store_load_user(struct kv_txn *txn, struct span user, struct user_row *out);
struct err store_save_user(struct kv_txn *txn, struct span user, const struct user_row *row);
/* What the user's row has to say of the user's mailboxes: their number, messages and bytes. */
struct err store_sum_user(struct kv_txn *txn, struct span user, struct user_row *out);
/* What holds for the user, in place of what is stored. */
void store_resolve_quota(struct mailstore *store, struct user_row *row);
bool store_is_over_quota(struct mailstore *store, const struct user_row *row, uint64_t bytes,
                         uint64_t messages);

struct err store_find_box(struct kv_txn *txn, struct span user, struct span name,
                          uint32_t *box_out);
struct err store_load_box(struct kv_txn *txn, uint32_t box, struct box_row *out);
struct err store_save_box(struct kv_txn *txn, const struct box_row *row);

/* One of many entries, which the others do not go without: false where it is damaged, of which the
 * log is told. */
bool store_take_entry(struct span record, uint32_t box, uint32_t uid, struct mailstore_entry *out);
/* The entry's row and its row of the table change. */
struct err store_put_entry(struct kv_txn *txn, uint32_t box, const struct mailstore_entry *entry);
struct err store_delete_change(struct kv_txn *txn, uint32_t box, uint64_t modseq, uint32_t uid);

struct err store_load_message(struct kv_txn *txn, uint64_t id, struct message_row *out);
struct err store_put_message(struct kv_txn *txn, uint64_t id, const struct message_row *row);
struct err store_add_reference(struct kv_txn *txn, uint64_t id);
/* With its last one the message becomes garbage, or goes at once where it has not more rows than
 * *budget, which shrinks. */
struct err store_drop_reference(struct mailstore *store, struct kv_txn *txn, uint64_t id,
                                unsigned *budget);
struct err store_put_garbage(struct mailstore *store, struct kv_txn *txn, enum key_garbage kind,
                             uint64_t id);

/* The bits of keywords by name. With `is_added` those that the mailbox does not know become its
 * own (the row is to be saved then, while `names` is there); otherwise they are left out. */
enum mailstore_refusal store_find_keywords(struct box_row *row, const struct span *names,
                                           unsigned count, bool is_added, uint64_t *bits_out);

/* An entry with these flags has come (1) or gone (-1). */
void store_count_flags(struct mailstore_box *box, uint32_t flags, int count);

/* ---- entries.c: many entries of a mailbox, bit by bit --------------------------------------- */

struct entry_cursor {
    uint32_t box;
    uint32_t below; /* UIDs from here on are left out */
    const struct mailstore_range *ranges;
    unsigned count;
    unsigned at;
    uint32_t next;
    bool is_adjacent; /* no other entry lies between the last one and `next` */
    struct mailstore_range all;
};

struct entry_batch {
    struct arena arena;
    unsigned count;
    struct mailstore_entry entries[STORE_BATCH]; /* with copies of their prefixes */
    bool adjacent[STORE_BATCH]; /* the entry before it in the mailbox is the one before it here */
};

/* `ranges` NULL: all. Stays in place while it is used. */
void entry_cursor_init(struct entry_cursor *cursor, const struct mailstore_box *box,
                       const struct mailstore_range *ranges, unsigned count);
struct entry_batch *entry_batch_create(void);
void entry_batch_free(struct entry_batch *batch);
/* The next ones; none where all are through. The entries may be changed behind it. */
struct err entry_cursor_next(struct entry_cursor *cursor, struct kv_txn *txn,
                             struct entry_batch *batch);

/* Taking entries out of a mailbox, in the order of their UIDs. */
struct removal {
    struct kv_txn *txn;
    struct box_row *row; /* its counts are kept; the caller saves it */
    uint64_t modseq;
    bool is_whole;      /* all there are: their changes go at once */
    uint32_t run_first; /* of entries that lie side by side in the table */
    unsigned run_count;
    struct mailstore_range range; /* of UIDs that follow each other; first 0 = none yet */
    unsigned removed;
};

/* `is_adjacent`: no entry that stays lies between it and the one before. */
struct err removal_take(struct removal *removal, const struct mailstore_entry *entry,
                        bool is_adjacent);
/* Behind the last one. */
struct err removal_end(struct removal *removal);
/* Forgets the oldest of what has vanished, until there are no more than `most` rows, or `step` rows
 * are gone. The row is to be saved. */
struct err removal_forget(struct kv_txn *txn, struct box_row *row, uint64_t most, unsigned step);

/* ---- references.c --------------------------------------------------------------------------- */

struct references {     /* zeroed before the first */
    uint64_t *messages; /* once for each entry */
    size_t count;
    size_t room;
    size_t at;
};
void references_add(struct references *references, uint64_t message);
/* Behind the last one. */
void references_sort(struct references *references);
/* How many there are of this message, which is above the one of the call before. Those between that
 * are told to `missing`, which may be NULL. */
uint32_t references_take(struct references *references, uint64_t message,
                         void (*missing)(void *context, uint64_t message), void *context);
void references_fini(struct references *references);

/* ---- boxes.c -------------------------------------------------------------------------------- */

bool store_user_is_valid(struct span user);
/* The name as it is stored: INBOX in capitals. `room` has MAILSTORE_NAME_MAX bytes. */
struct span store_name(struct span name, char *room);
bool store_is_inbox(struct span name);
/* Loads the user; one who is not known gets his row and INBOX. */
struct err store_need_user(struct kv_txn *txn, struct span user, struct user_row *out);
/* Makes the mailbox, which is not there, and those above it; the user's row is to be saved. */
struct err store_make_box(struct mailstore *store, struct kv_txn *txn, struct user_row *user_row,
                          struct span user, struct span name, enum mailstore_use use,
                          uint32_t *box_out, enum mailstore_refusal *refusal_out);

/* ---- the operations: on the writer thread --------------------------------------------------- */

struct err append_apply(struct kv_op *op, struct kv_txn *txn);
struct err copy_apply(struct kv_op *op, struct kv_txn *txn);
struct err flags_apply(struct kv_op *op, struct kv_txn *txn);
struct err expunge_apply(struct kv_op *op, struct kv_txn *txn);
struct err create_apply(struct kv_op *op, struct kv_txn *txn);
struct err delete_apply(struct kv_op *op, struct kv_txn *txn);
struct err rename_apply(struct kv_op *op, struct kv_txn *txn);
struct err subscribe_apply(struct kv_op *op, struct kv_txn *txn);
struct err claim_recent_apply(struct kv_op *op, struct kv_txn *txn);
struct err set_quota_apply(struct kv_op *op, struct kv_txn *txn);
struct err remove_user_apply(struct kv_op *op, struct kv_txn *txn);

/* Within another operation: all entries of a mailbox into another, which is empty. */
struct err copy_move_all(struct kv_txn *txn, struct box_row *from, struct box_row *to);

/* ---- draft.c ----------------------------------------------------------------------------------
 */

/* What an append takes of it; nothing changes from its submission to its completion. */
struct draft_parts {
    uint64_t id;
    uint64_t size;
    uint32_t staged;  /* chunks that are in the store */
    struct span rest; /* the bytes behind them */
    struct span digest;
};

/* Within the append: whether all that was handed to the store is there; ERR_NO_SPACE. */
struct err draft_check_staged(struct kv_txn *txn, const struct draft_parts *parts);
/* On its loop: no more is added; makes the digest. */
void draft_seal(struct mailstore_draft *draft);
void draft_parts(const struct mailstore_draft *draft, struct draft_parts *out);
/* The store has it now. */
void draft_is_stored(struct mailstore_draft *draft);

/* ---- sweep.c: on the writer thread ------------------------------------------------------------
 */

/* At open: what was still coming in becomes garbage. Blocks. */
struct err store_sweep_recover(struct mailstore *store);
void store_sweep_start(struct mailstore *store);
/* Behind each operation: goes on where there is something to do. */
void store_sweep_go_on(struct mailstore *store);
void store_sweep_stop(struct mailstore *store);

/* ---- watch.c ----------------------------------------------------------------------------------
 */

void watches_init(struct store_watches *watches);
void watches_fini(struct store_watches *watches);
/* Any thread: takes the box's watches that are not told already into `told`, to be posted. */
void watches_collect(struct store_watches *watches, uint32_t box, struct list *told);
void watches_post(struct list *told);

#endif
