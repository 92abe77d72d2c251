/*
 * codec: the records of the mailstore (base/record.h), to bytes and back.
 *
 * Pure. An encoder is run twice: with `room` NULL it only tells the length. A decoder trusts no
 * byte; what does not fit is ERR_CORRUPT.
 */
#ifndef SMARTHOP_DROP_MAILSTORE_CODEC_H
#define SMARTHOP_DROP_MAILSTORE_CODEC_H

#include "base/chunk.h"
#include "plugins/drop/mailstore/mailstore.h"

enum {
    STORE_BOX_MAX = 1024 + MAILSTORE_KEYWORDS_MAX * (MAILSTORE_KEYWORD_MAX + 2),
};

/* The one record of the table `meta`. */
struct store_meta {
    uint32_t format;
    uint64_t ids_used;     /* no message has a number above this one */
    uint32_t boxes_used;   /* nor a mailbox */
    uint32_t uid_validity; /* the last one that was given */
};

struct user_row {
    uint64_t bytes;
    uint64_t messages;
    uint64_t boxes;
    uint64_t bytes_max; /* UINT64_MAX = as the options have it, 0 = no bound */
    uint64_t messages_max;
};

struct message_row {
    uint32_t references;
    uint32_t chunks;
    uint64_t size;
};

size_t store_write_meta(const struct store_meta *meta, char *room);
struct err store_read_meta(struct span record, struct store_meta *out);

size_t store_write_user(struct span user, const struct user_row *row, char *room);
struct err store_read_user(struct span record, struct span user, struct user_row *out);

/* `vanished`: rows that the mailbox has in that table. */
size_t store_write_box(const struct mailstore_box *box, uint32_t vanished, char *room);
/* The spans point into `record`. */
struct err store_read_box(struct span record, uint32_t id, struct mailstore_box *out,
                          uint32_t *vanished_out);

size_t store_write_entry(uint32_t box, const struct mailstore_entry *entry, char *room);
/* The prefix points into `record`. */
struct err store_read_entry(struct span record, uint32_t box, uint32_t uid,
                            struct mailstore_entry *out);

size_t store_write_message(uint64_t id, const struct message_row *row, char *room);
struct err store_read_message(struct span record, uint64_t id, struct message_row *out);

/* The number of the chunk that is a digest: in a table of its own, and as long as it is. */
#define STORE_DIGEST UINT32_MAX

#endif
