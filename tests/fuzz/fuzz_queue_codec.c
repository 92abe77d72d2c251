/*
 * The records of the store. The first byte chooses the kind and whether the rest is taken as it is
 * or gets a checksum that fits, so that the search gets past it. Whatever is read is written again:
 * it must come out as the same bytes.
 */
#include "base/hash.h"
#include "base/record.h"
#include "queue/codec.h"
#include "queue/keys.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ID = 7, NUMBER = 3, LEN_MOST = 1 << 20 };

static char written[LEN_MOST];

static void need_same(struct span record, size_t len)
{
    if (len != record.len || memcmp(written, record.ptr, len) != 0)
        abort();
}

static void try_meta(struct span record)
{
    struct codec_meta meta;

    if (!err_is(codec_read_meta(record, &meta)))
        need_same(record, codec_write_meta(&meta, written));
}

static void try_message(struct span record)
{
    struct queue_message *message = queue_message_create();

    if (!err_is(codec_read_message(record, ID, message)))
        need_same(record, codec_write_message(message, written));
    queue_message_unref(message);
}

static void try_group(struct span record)
{
    struct queue_group group;
    struct arena arena;

    arena_init(&arena);
    if (!err_is(codec_read_group(record, ID, NUMBER, &arena, &group)))
        need_same(record, codec_write_group(ID, &group, written));
    arena_fini(&arena);
}

static void try_destination(struct span record)
{
    struct queue_destination destination;

    if (!err_is(codec_read_destination(record, ID, &destination)))
        need_same(record, codec_write_destination(ID, &destination, written));
}

static void try_chunk(struct span record)
{
    struct span body;

    if (err_is(codec_read_chunk(record, ID, NUMBER, &body)))
        return;
    chunk_write(ID, NUMBER, body, written);
    need_same(record, body.len + CHUNK_CHECKSUM);
}

static const struct kind {
    void (*try)(struct span record);
    uint32_t part; /* of the key, which seeds the checksum */
    uint64_t id;
} kinds[] = {
    {try_meta, 0, 0},         {try_message, 0, ID}, {try_group, NUMBER, ID},
    {try_destination, 0, ID}, {try_chunk, 0, 0},
};

/* Behind a copy of the record, so that the reader meets a checksum that fits. */
static void try_sealed(const struct kind *kind, struct span record)
{
    uint64_t seed = record_seed(kind->id, kind->part);
    char *copy = mem_alloc(record.len + CHUNK_CHECKSUM);

    if (record.len > 0)
        memcpy(copy, record.ptr, record.len);
    wire_put64(copy + record.len, hash64(span_of(copy, record.len), seed));
    kind->try(span_of(copy, record.len + CHUNK_CHECKSUM));
    free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0 || size > LEN_MOST / 2)
        return 0;
    const struct kind *kind = &kinds[data[0] % (sizeof kinds / sizeof *kinds)];
    struct span record = span_of((const char *)data + 1, size - 1);

    kind->try(record);
    try_sealed(kind, record);
    return 0;
}
