/*
 * chunk: the bytes of a message in a store's table, in pieces each of which fills one of LMDB's
 * overflow pages exactly, so that the store never looks for pages that lie together. Each has a
 * checksum in front, seeded with its key, so that one under a wrong key is noticed, too.
 *
 * Keys are key_of_part: the message, and the chunk's number.
 */
#ifndef SMARTHOP_BASE_CHUNK_H
#define SMARTHOP_BASE_CHUNK_H

#include "base/kv.h"

enum {
    CHUNK_CHECKSUM = 8,
    CHUNK_SIZE = 4080, /* with the checksum: LMDB's page without its header */
    CHUNK_BYTES = CHUNK_SIZE - CHUNK_CHECKSUM,
};

/* `room` holds data.len + CHUNK_CHECKSUM bytes. */
void chunk_write(uint64_t id, uint32_t number, struct span data, char *room);
/* The data points into `record`. ERR_CORRUPT where the checksum does not fit; how much data there
 * may be is for the caller. */
struct err chunk_read(struct span record, uint64_t id, uint32_t number, struct span *data_out);
/* In a transaction: puts all of `data` as chunks from number `first` on. */
struct err chunk_put_all(struct kv_txn *txn, unsigned table, uint64_t id, uint32_t first,
                         struct span data);

#endif
