/*
 * codec: the records of the store (base/record.h), to bytes and back.
 *
 * Pure. An encoder is run twice: with `room` NULL it only tells the length. A decoder trusts no
 * byte; what does not fit is ERR_CORRUPT. Bounds are checked before (message.h); only texts of a
 * status are cut here.
 */
#ifndef SMARTHOP_QUEUE_CODEC_H
#define SMARTHOP_QUEUE_CODEC_H

#include "queue/queue.h"

enum {
    CODEC_TEXT_MAX = 16384,   /* one text of an envelope */
    CODEC_ADDRESS_MAX = 1024, /* RFC 5321 has 256, RFC 6531 leaves it open */
    CODEC_DESTINATION_MAX = 255,
    CODEC_NEXT_HOP_MAX = 1024,
    CODEC_STATUS_TEXT_MAX = 512, /* a peer's reply is kept this long */
    CODEC_STATUS_BY_MAX = 255,
    CODEC_PATTERN_MAX = 255,
    CODEC_REASON_MAX = 512,
    CODEC_TAGS_MAX = 1024,
    CODEC_WISHES_MAX = 1024,
};

/* The one record of the table `meta`. */
struct codec_meta {
    uint32_t format;
    uint64_t seed;     /* of destination numbers */
    uint64_t ids_used; /* no id above this one has been given to anything that is stored */
};

size_t codec_write_meta(const struct codec_meta *meta, char *room);
struct err codec_read_meta(struct span record, struct codec_meta *out);

/* The envelope: all but the groups and the body. */
size_t codec_write_message(const struct queue_message *message, char *room);
/* Into a message fresh from queue_message_create; sets its id, too. */
struct err codec_read_message(struct span record, uint64_t id, struct queue_message *out);

size_t codec_write_group(uint64_t id, const struct queue_group *group, char *room);
struct err codec_read_group(struct span record, uint64_t id, uint32_t number, struct arena *arena,
                            struct queue_group *out);

/* Key and back-off of a destination; has_due and first_due are not stored. */
size_t codec_write_destination(uint64_t number, const struct queue_destination *destination,
                               char *room);
/* The spans point into `record`. */
struct err codec_read_destination(struct span record, uint64_t number,
                                  struct queue_destination *out);

/* All but the pattern, which is its key. */
size_t codec_write_suspension(const struct queue_suspension *suspension, char *room);
/* The spans are `pattern`, and point into `record`. */
struct err codec_read_suspension(struct span record, struct span pattern,
                                 struct queue_suspension *out);

/* As chunk_read, of a chunk that is not empty. */
struct err codec_read_chunk(struct span record, uint64_t id, uint32_t number,
                            struct span *data_out);

/* The number under which a destination's rows lie. */
uint64_t codec_destination_number(uint64_t seed, struct span key);

#endif
