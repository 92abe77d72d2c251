/*
 * search_private: the parts of a search among themselves. A plan is what a program means in one
 * view; it is asked about one message after the other, on the loop or on a pool thread, never on
 * two at once.
 */
#ifndef SMARTHOP_DROP_IMAP_SEARCH_PRIVATE_H
#define SMARTHOP_DROP_IMAP_SEARCH_PRIVATE_H

#include "plugins/drop/imap/search.h"
#include "plugins/drop/imap/thread.h"
#include "plugins/drop/mime/digest.h"
#include "plugins/drop/mime/text.h"

#include <stdatomic.h>

/* ---- search_plan.c: what is asked --------------------------------------------------------- */

struct search_node {
    enum imap_key key;
    unsigned cost; /* siblings are in its order */
    struct search_node *next;
    struct search_node *child;
    struct mailstore_range *ranges; /* SEQUENCE, UID */
    unsigned range_count;
    uint32_t flag;
    struct span name;
    struct span text; /* HEADER, BODY, TEXT: in folded UTF-8; the others: as sent */
    uint64_t number;  /* KEYWORD: the bits; OLDER, YOUNGER: since when */
    bool is_address;  /* HEADER: the field holds addresses */
};

struct search_plan {
    struct search_node *root;
    struct mailstore_range *ranges; /* UIDs that can be among the found at all */
    unsigned range_count;
    uint32_t recent_from;
    uint32_t recent_end;
};

/* In the arena; the program stays in place. */
void search_plan_make(struct search_plan *plan, const struct imap_search *program,
                      const struct imap_scope *scope, struct arena *arena);
/* What the keywords are called is known once the mailbox has been read. */
void search_plan_name(struct search_plan *plan, const struct mailstore_box *box);

/* ---- search_message.c: what a message has ------------------------------------------------- */

enum search_answer {
    SEARCH_NO,
    SEARCH_YES,
    SEARCH_WAITS,  /* what is needed is not in memory, or is much: ask again off the loop */
    SEARCH_FAILED, /* message.error */
};

struct search_message {
    struct kv_txn *txn;
    const struct mailstore_entry *entry;
    bool may_block;                  /* this is no loop's thread */
    const atomic_bool *is_cancelled; /* looked at between its parts; NULL = it cannot be */
    struct err error;

    bool has_digest;
    struct digest digest;
    bool has_header;
    struct buf header; /* the prefix, and the header as it lies in the message */

    struct buf content; /* for the steps of decoding */
    struct buf utf8;
    struct buf held;   /* to be folded with what comes next */
    struct buf window; /* folded */
};

void search_message_init(struct search_message *m);
void search_message_fini(struct search_message *m);
void search_message_begin(struct search_message *m, struct kv_txn *txn,
                          const struct mailstore_entry *entry);
/* SEARCH_NO: it has none that can be read. */
enum search_answer search_message_digest(struct search_message *m);
enum search_answer search_message_header(struct search_message *m);
/* The same; where there is none it is empty. */
enum search_answer search_message_header_or_none(struct search_message *m);
/* Shows bytes of the message as `len` of them lie from `at`, without the prefix. */
enum search_answer search_message_walk(struct search_message *m, uint64_t at, uint64_t len,
                                       mailstore_visit_bytes *visit, void *context);
/* Appends them: a header, MIME_HEADER_MAX of it at most. */
enum search_answer search_message_gather(struct search_message *m, uint64_t at, uint64_t len,
                                         struct buf *out);
/* The first field of that name in the header, unfolded, until the next call; ptr NULL = none.
 * search_message_header has said yes. */
struct span search_message_field(struct search_message *m, struct span name);
/* The Date field; false where there is none that can be read. */
bool search_message_sent(struct search_message *m, int64_t *seconds_out, int *zone_out);
/* In seconds since 1970: where there is none, when it was received (RFC 5256 2.2). */
int64_t search_message_sent_or_received(struct search_message *m);

/* ---- search_text.c: texts within it ------------------------------------------------------- */

/* A field's value without its line ends and the blanks around it, appended. */
void search_unfold(struct span value, struct buf *out);
enum search_answer search_text_header(struct search_message *m, const struct search_node *node);
enum search_answer search_text_body(struct search_message *m, const struct search_node *node);
enum search_answer search_text_all(struct search_message *m, const struct search_node *node);

/* ---- search_match.c ----------------------------------------------------------------------- */

enum search_answer search_match(const struct search_plan *plan, const struct search_node *node,
                                struct search_message *m);

/* ---- sort.c ------------------------------------------------------------------------------- */

struct sort_row;

struct search_sort {
    const struct imap_search *program;
    struct arena *arena;
    struct sort_row *rows;
    uint32_t count;
    uint32_t cap;
};

/* SEARCH_YES: it is among the rows. */
enum search_answer search_sort_take(struct search_sort *sort, struct search_message *m,
                                    uint32_t index);
/* Any thread. */
void search_sort_order(struct search_sort *sort, uint32_t *indexes_out);
void search_sort_fini(struct search_sort *sort);

#endif
