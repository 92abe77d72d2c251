/*
 * fetch: a FETCH under way. Shared by fetch.c (which messages, and the command's course), item.c
 * (what is told of one) and section.c (the bytes of its parts).
 */
#ifndef SMARTHOP_DROP_IMAP_FETCH_H
#define SMARTHOP_DROP_IMAP_FETCH_H

#include "plugins/drop/imap/session.h"
#include "plugins/drop/mime/digest.h"

/* Bytes of a message as its recipient sees it, with his own lines in front. */
struct fetch_range {
    uint64_t at;
    uint64_t end;
};

struct fetch {
    struct imap_session *session;
    struct mailstore_range *uids;
    unsigned uid_count;
    unsigned range;    /* of the next message */
    uint32_t next;     /* UID, within the range */
    bool needs_uid;    /* though it is not among the items */
    bool needs_modseq; /* likewise */
    bool is_missing;   /* a message was expunged by somebody else */
    bool is_broken;    /* a message could not be read */
    bool is_opaque;    /* a part's transfer encoding is not known, or broken */
    bool is_over;

    struct mailstore_range *unseen; /* to become \Seen; on the heap */
    unsigned unseen_count;
    unsigned unseen_cap;

    /* The message that is told. */
    bool is_within;
    uint32_t uid;
    uint32_t seq;
    unsigned item;
    struct mailstore_entry held; /* while it is not told at once */
    char prefix[MAILSTORE_PREFIX_MAX];
    bool is_streaming;
    struct fetch_range stream;   /* what is left of a literal */
    struct fetch_binary *binary; /* in the arena; of one that is decoded */
    bool is_decoding;

    /* Bytes that are brought to memory. */
    struct work work;
    uint64_t message;
    struct fetch_range wanted; /* of the shared bytes */
    bool is_brought;           /* they were, just now */
};

/* One message within one read transaction. */
struct fetch_message {
    struct kv_txn *txn;
    const struct mailstore_box *box;
    struct mailstore_entry entry;
    struct digest digest;
    bool has_digest;
};

enum fetch_result {
    FETCH_DONE,   /* the item has been written */
    FETCH_ROOM,   /* it goes on when the client has read some */
    FETCH_DISK,   /* it goes on when bytes have come to memory: fetch_bring has been called */
    FETCH_BROKEN, /* it has been written as if it were empty: it cannot be read */
    FETCH_CUT,    /* the client has been told of bytes that cannot be read: the end */
};

/* fetch.c. Starts bringing `wanted` to memory; FETCH_DISK is to be returned. */
void fetch_bring(struct imap_session *s, uint64_t message, struct fetch_range wanted);

/* item.c. The item's name has not been written yet, unless it is a stream that goes on. */
enum fetch_result fetch_item(struct imap_session *s, struct fetch_message *m,
                             const struct imap_fetch_item *item);
bool fetch_digest(struct fetch_message *m);
/* "BODY[1.HEADER.FIELDS (A B)]<0>" */
void fetch_write_name(struct buf *out, const struct imap_fetch_item *item);

/* section.c. A range of the shared bytes in terms of the whole message. */
struct fetch_range fetch_range_of(const struct fetch_message *m, uint64_t at, uint64_t len);
void fetch_cut_partial(const struct imap_fetch_item *item, struct fetch_range *range);
/* Whether its bytes can be read without waiting; where not they are being brought, up to `ahead`,
 * and FETCH_DISK is to be returned. */
bool fetch_is_at_hand(struct imap_session *s, const struct fetch_message *m,
                      struct fetch_range range, uint64_t ahead);
/* Appends; false where they cannot be read, with nothing appended. */
bool fetch_read_range(struct fetch_message *m, struct fetch_range range, struct buf *out);
enum fetch_result fetch_section(struct imap_session *s, struct fetch_message *m,
                                const struct imap_fetch_item *item);

/* binary.c: a part's content, or its size. */
enum fetch_result fetch_binary(struct imap_session *s, struct fetch_message *m,
                               const struct imap_fetch_item *item, struct fetch_range range,
                               enum mime_encoding encoding);

/* preview.c */
enum fetch_result fetch_preview(struct imap_session *s, struct fetch_message *m);

/* thread_id.c */
enum fetch_result fetch_thread_id(struct imap_session *s, struct fetch_message *m);

#endif
