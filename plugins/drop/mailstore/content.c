/* The shared bytes of messages, and what is kept beside them. */
#include "plugins/drop/mailstore/mailstore_private.h"

#include <sys/mman.h>
#include <unistd.h>

struct err mailstore_message_size(struct kv_txn *txn, uint64_t message, uint64_t *size_out)
{
    struct message_row row = {.size = 0};
    struct err e = store_load_message(txn, message, &row);

    *size_out = row.size;
    return e;
}

struct err mailstore_digest_get(struct kv_txn *txn, uint64_t message, struct span *out)
{
    struct key key = key_of(message);
    struct span record;
    struct err e = kv_get(txn, TABLE_DIGEST, key_span(&key), &record);

    *out = SPAN_NONE;
    return err_is(e) ? e : chunk_read(record, message, STORE_DIGEST, out);
}

/* ---- walking ------------------------------------------------------------------------------ */

struct stretch {
    uint64_t message;
    uint64_t at; /* of the chunks that are visited */
    uint64_t end;
    uint32_t number;
    mailstore_visit_bytes *visit; /* NULL = only whether it is resident */
    void *context;
    bool is_stopped;
    struct err error;
    struct {
        uintptr_t first, end; /* pages */
    } run;
};

/* Cuts to what the message has; false where nothing is left. */
static bool stretch_init(struct stretch *stretch, uint64_t size, uint64_t offset, uint64_t len)
{
    if (offset >= size || len == 0)
        return false;
    stretch->at = offset;
    stretch->end = len < size - offset ? offset + len : size;
    stretch->number = (uint32_t)(offset / CHUNK_BYTES);
    return true;
}

static bool is_next(const struct stretch *stretch, struct span key)
{
    uint64_t message;
    uint32_t number;

    return key_read_part(key, &message, &number) && message == stretch->message &&
           number == stretch->number;
}

static bool visit_chunk(void *context, struct span key, struct span record)
{
    struct stretch *stretch = context;
    uint64_t begin = (uint64_t)stretch->number * CHUNK_BYTES;
    struct span data;

    if (!is_next(stretch, key)) {
        stretch->error = err_make(ERR_CORRUPT, "body chunk is missing");
        return false;
    }
    stretch->error = chunk_read(record, stretch->message, stretch->number, &data);
    if (err_is(stretch->error))
        return false;
    data = span_from(data, (size_t)(stretch->at - begin));
    data = span_head(data, (size_t)(stretch->end - stretch->at));
    if (data.len == 0) {
        stretch->error = err_make(ERR_CORRUPT, "body chunk's length");
        return false;
    }
    stretch->number++;
    stretch->at += data.len;
    if (stretch->at < stretch->end && stretch->at % CHUNK_BYTES != 0) {
        stretch->error = err_make(ERR_CORRUPT, "body chunk's length");
        return false;
    }
    stretch->is_stopped = !stretch->visit(stretch->context, data);
    return !stretch->is_stopped && stretch->at < stretch->end;
}

static struct err walk_chunks(struct kv_txn *txn, struct stretch *stretch, kv_visit *visit)
{
    struct key from = key_of_part(stretch->message, stretch->number);
    struct err e = kv_walk(txn, TABLE_BODY, key_span(&from), visit, stretch);

    return err_is(e) ? e : stretch->error;
}

struct err mailstore_content_walk(struct kv_txn *txn, uint64_t message, uint64_t offset,
                                  uint64_t len, mailstore_visit_bytes *visit, void *context)
{
    struct stretch stretch = {.message = message, .visit = visit, .context = context};
    uint64_t size;
    struct err e = mailstore_message_size(txn, message, &size);

    if (err_is(e) || !stretch_init(&stretch, size, offset, len))
        return e;
    e = walk_chunks(txn, &stretch, visit_chunk);
    if (!err_is(e) && !stretch.is_stopped && stretch.at < stretch.end)
        e = err_make(ERR_CORRUPT, "body chunk is missing");
    return e;
}

/* ---- in memory or not --------------------------------------------------------------------- */

enum { PAGES_A_LOOK = 64 };

static bool run_is_resident(struct stretch *stretch)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    unsigned char resident[PAGES_A_LOOK];

    for (uintptr_t at = stretch->run.first; at < stretch->run.end;) {
        size_t pages = (stretch->run.end - at) / page;
        if (pages > PAGES_A_LOOK)
            pages = PAGES_A_LOOK;
        if (mincore((void *)at, pages * page, resident) != 0)
            return false;
        for (size_t i = 0; i < pages; i++)
            if ((resident[i] & 1) == 0)
                return false;
        at += pages * page;
    }
    return true;
}

/* Pages that lie behind each other are asked for at once. */
static bool visit_pages(void *context, struct span key, struct span record)
{
    struct stretch *stretch = context;
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    uintptr_t first = (uintptr_t)record.ptr / page * page;
    uintptr_t end = ((uintptr_t)record.ptr + record.len + page - 1) / page * page;

    if (!is_next(stretch, key))
        return false;
    stretch->number++;
    if (first <= stretch->run.end && end >= stretch->run.first && stretch->run.end != 0) {
        stretch->run.first = first < stretch->run.first ? first : stretch->run.first;
        stretch->run.end = end > stretch->run.end ? end : stretch->run.end;
    } else {
        stretch->is_stopped = !run_is_resident(stretch);
        stretch->run.first = first;
        stretch->run.end = end;
    }
    return !stretch->is_stopped && (uint64_t)stretch->number * CHUNK_BYTES < stretch->end;
}

bool mailstore_content_is_resident(struct kv_txn *txn, uint64_t message, uint64_t offset,
                                   uint64_t len)
{
    struct stretch stretch = {.message = message};
    uint64_t size;

    if (err_is(mailstore_message_size(txn, message, &size)) ||
        !stretch_init(&stretch, size, offset, len))
        return true;
    return !err_is(walk_chunks(txn, &stretch, visit_pages)) && !stretch.is_stopped &&
           run_is_resident(&stretch);
}
