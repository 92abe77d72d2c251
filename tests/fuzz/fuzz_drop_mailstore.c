/*
 * The records of the drop's store. The first byte chooses the kind and whether the rest is taken as
 * it is or gets a checksum that fits, so that the search gets past it. Whatever is read is written
 * again: it must come out as the same bytes.
 */
#include "base/hash.h"
#include "base/record.h"
#include "plugins/drop/mailstore/codec.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ID = 7, UID = 3, LEN_MOST = 1 << 20, SEALED = 0x80 };

#define USER       SPAN("anna")
#define SEED(part) record_seed(ID, part)

static char written[LEN_MOST];

static void need_same(struct span record, size_t len)
{
    if (len != record.len || memcmp(written, record.ptr, len) != 0)
        abort();
}

static void try_meta(struct span record)
{
    struct store_meta meta;

    if (!err_is(store_read_meta(record, &meta)))
        need_same(record, store_write_meta(&meta, written));
}

static void try_user(struct span record)
{
    struct user_row row;

    if (!err_is(store_read_user(record, USER, &row)))
        need_same(record, store_write_user(USER, &row, written));
}

static void try_box(struct span record)
{
    struct mailstore_box box;
    uint32_t vanished;

    if (err_is(store_read_box(record, ID, &box, &vanished)))
        return;
    if (record.len > STORE_BOX_MAX)
        abort();
    need_same(record, store_write_box(&box, vanished, written));
}

static void try_entry(struct span record)
{
    struct mailstore_entry entry;

    if (!err_is(store_read_entry(record, ID, UID, &entry)))
        need_same(record, store_write_entry(ID, &entry, written));
}

static void try_message(struct span record)
{
    struct message_row row;

    if (!err_is(store_read_message(record, ID, &row)))
        need_same(record, store_write_message(ID, &row, written));
}

static void try_chunk(struct span record)
{
    struct span data;

    if (err_is(chunk_read(record, ID, UID, &data)))
        return;
    chunk_write(ID, UID, data, written);
    need_same(record, data.len + CHUNK_CHECKSUM);
}

/* Behind a copy of the record, so that the reader meets a checksum that fits. */
static void try_sealed(void (*try)(struct span record), struct span record, uint64_t seed)
{
    char *sealed = mem_alloc(record.len + CHUNK_CHECKSUM);

    memcpy(sealed, record.ptr, record.len);
    wire_put64(sealed + record.len, hash64(record, seed));
    try(span_of(sealed, record.len + CHUNK_CHECKSUM));
    free(sealed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct {
        void (*try)(struct span record);
        uint64_t seed;
    } kinds[] = {
        {try_meta, 0},          {try_user, span_hash(USER)}, {try_box, SEED(0)},
        {try_entry, SEED(UID)}, {try_message, SEED(0)},      {try_chunk, 0},
    };

    if (size < 2 || size > LEN_MOST / 2)
        return 0;
    size_t kind = data[0] % SEALED % (sizeof kinds / sizeof kinds[0]);
    struct span record = span_of((const char *)data + 1, size - 1);
    if ((data[0] & SEALED) != 0)
        try_sealed(kinds[kind].try, record, kinds[kind].seed);
    else
        kinds[kind].try(record);
    return 0;
}
