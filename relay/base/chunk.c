#include "base/chunk.h"

#include "base/hash.h"
#include "base/key.h"
#include "base/record.h"

void chunk_write(uint64_t id, uint32_t number, struct span data, char *room)
{
    wire_put64(room, hash64(data, record_seed(id, number)));
    if (data.len > 0)
        memcpy(room + CHUNK_CHECKSUM, data.ptr, data.len);
}

struct err chunk_read(struct span record, uint64_t id, uint32_t number, struct span *data_out)
{
    struct span data = span_from(record, CHUNK_CHECKSUM);

    *data_out = SPAN_NONE;
    if (record.len < CHUNK_CHECKSUM)
        return err_make(ERR_CORRUPT, "body chunk's length");
    if (wire_get64(record.ptr) != hash64(data, record_seed(id, number)))
        return err_make(ERR_CORRUPT, "body chunk's checksum");
    *data_out = data;
    return ERR_OK;
}

struct err chunk_put_all(struct kv_txn *txn, unsigned table, uint64_t id, uint32_t first,
                         struct span data)
{
    for (uint32_t number = first; data.len > 0; number++) {
        struct span piece = span_head(data, CHUNK_BYTES);
        struct key key = key_of_part(id, number);
        char *room;
        struct err e = kv_reserve(txn, table, key_span(&key), piece.len + CHUNK_CHECKSUM, &room);
        if (err_is(e))
            return e;
        chunk_write(id, number, piece, room);
        data = span_from(data, piece.len);
    }
    return ERR_OK;
}
