/*
 * A message that comes in. What fits is held in memory; what is beyond goes to the store in whole
 * chunks, one operation at a time, under the number that the message will have. A row of the table
 * staged tells how many of them are there: as long as it stands they are no message's, and whoever
 * finds it after a crash may remove them.
 */
#include "plugins/drop/mailstore/mailstore_private.h"

#include "plugins/drop/mime/digest.h"

#include <stdlib.h>

struct mailstore_draft {
    struct mailstore *store;
    struct loop *loop; /* NULL = a tool's, that waits */
    struct mailstore_draft_handler handler;
    uint64_t id;
    uint64_t size;
    uint32_t staged; /* chunks that were handed to the store */
    struct buf held;
    struct arena arena; /* what the scanner finds */
    struct mime_scanner *scanner;
    struct buf digest;
    struct err failed; /* to stage */
    bool is_sealed;
    bool is_stored;
    bool is_freed;

    bool is_staging;
    struct kv_op op; /* of the stage */
    struct buf staging;
    uint32_t staging_first;
};

struct mailstore_draft *mailstore_draft_create(struct mailstore *store, struct loop *loop,
                                               const struct mailstore_draft_handler *handler)
{
    struct mailstore_draft *draft = mem_zalloc(sizeof *draft);

    draft->store = store;
    draft->loop = loop;
    if (handler != NULL)
        draft->handler = *handler;
    draft->id = atomic_fetch_add(&store->last_id, 1) + 1;
    buf_init(&draft->held, 0);
    buf_init(&draft->digest, 0);
    buf_init(&draft->staging, 0);
    arena_init(&draft->arena);
    draft->scanner = mime_scanner_create(&draft->arena);
    return draft;
}

/* ---- staging ------------------------------------------------------------------------------ */

static struct err count_staged(struct kv_txn *txn, uint64_t id, uint32_t *count_out)
{
    struct key key = key_of(id);
    struct span value;
    struct err e = kv_get(txn, TABLE_STAGED, key_span(&key), &value);

    *count_out = !err_is(e) && value.len == sizeof *count_out ? wire_get32(value.ptr) : 0;
    return e.kind == ERR_NOT_FOUND ? ERR_OK : e;
}

/* What one has failed to put, no later one goes on behind. */
struct err draft_check_staged(struct kv_txn *txn, const struct draft_parts *parts)
{
    uint32_t count;
    struct err e = count_staged(txn, parts->id, &count);

    if (!err_is(e) && count != parts->staged)
        e = err_make(ERR_NO_SPACE, "staged chunks");
    return e;
}

static struct err apply_stage(struct kv_op *op, struct kv_txn *txn)
{
    struct mailstore_draft *draft = container_of(op, struct mailstore_draft, op);
    struct draft_parts parts = {.id = draft->id, .staged = draft->staging_first};
    struct key key = key_of(draft->id);
    size_t chunks = buf_len(&draft->staging) / CHUNK_BYTES;
    char value[sizeof(uint32_t)];
    struct err e = draft_check_staged(txn, &parts);

    if (!err_is(e))
        e = store_use_id(draft->store, txn, draft->id);
    if (!err_is(e))
        e = chunk_put_all(txn, TABLE_BODY, draft->id, draft->staging_first,
                          buf_span(&draft->staging));
    wire_put32(value, draft->staging_first + (uint32_t)chunks);
    return err_is(e) ? e : kv_put(txn, TABLE_STAGED, key_span(&key), span_of(value, sizeof value));
}

static void free_draft(struct mailstore_draft *draft);
static void stage(struct mailstore_draft *draft);

static void finish_stage(struct mailstore_draft *draft)
{
    draft->is_staging = false;
    buf_fini(&draft->staging);
    if (err_is(draft->op.result) && !err_is(draft->failed))
        draft->failed = draft->op.result;
}

static void on_staged(struct call *call)
{
    struct mailstore_draft *draft = container_of(call, struct mailstore_draft, op.call);

    finish_stage(draft);
    if (draft->is_freed) {
        free_draft(draft);
        return;
    }
    if (draft->is_sealed)
        return;
    bool was_full = buf_len(&draft->held) > draft->store->draft_memory;
    if (err_is(draft->failed))
        buf_clear(&draft->held);
    stage(draft);
    if (was_full && draft->handler.drained != NULL)
        draft->handler.drained(draft, draft->handler.owner);
}

/* Whole chunks of what is held, where that is too much. */
static void stage(struct mailstore_draft *draft)
{
    size_t len = buf_len(&draft->held) / CHUNK_BYTES * CHUNK_BYTES;
    struct span rest = span_from(buf_span(&draft->held), len);
    struct buf held;

    if (draft->is_staging || len == 0 || buf_len(&draft->held) <= draft->store->draft_memory)
        return;
    buf_init(&held, 0);
    buf_add(&held, rest);
    buf_truncate(&draft->held, len);
    draft->staging = draft->held;
    draft->held = held;
    draft->staging_first = draft->staged;
    draft->staged += (uint32_t)(len / CHUNK_BYTES);
    draft->is_staging = true;
    draft->op = (struct kv_op){.home = draft->loop, .kind = KV_GROW, .apply = apply_stage};
    draft->op.call.done = on_staged;
    if (draft->loop != NULL) {
        kv_submit(draft->store->kv, &draft->op);
        return;
    }
    kv_run(draft->store->kv, &draft->op);
    finish_stage(draft);
}

/* ---- adding ------------------------------------------------------------------------------- */

void mailstore_draft_add(struct mailstore_draft *draft, struct span bytes)
{
    draft->size += bytes.len;
    if (err_is(draft->failed))
        return;
    mime_scanner_feed(draft->scanner, bytes);
    buf_add(&draft->held, bytes);
    stage(draft);
}

bool mailstore_draft_is_full(const struct mailstore_draft *draft)
{
    return draft->is_staging && buf_len(&draft->held) > draft->store->draft_memory;
}

uint64_t mailstore_draft_size(const struct mailstore_draft *draft)
{
    return draft->size;
}

static void free_scanner(struct mailstore_draft *draft)
{
    mime_scanner_free(draft->scanner);
    draft->scanner = NULL;
    arena_fini(&draft->arena);
}

void draft_seal(struct mailstore_draft *draft)
{
    if (draft->is_stored)
        abort(); /* its number would be another message's, too */
    if (draft->is_sealed)
        return;
    draft->is_sealed = true;
    digest_write(mime_scanner_end(draft->scanner), &draft->digest);
    free_scanner(draft);
}

void draft_parts(const struct mailstore_draft *draft, struct draft_parts *out)
{
    *out = (struct draft_parts){
        .id = draft->id,
        .size = draft->size,
        .staged = draft->staged,
        .rest = buf_span(&draft->held),
        .digest = buf_span(&draft->digest),
    };
}

void draft_is_stored(struct mailstore_draft *draft)
{
    draft->is_stored = true;
}

/* ---- giving up ---------------------------------------------------------------------------- */

struct discard {
    struct kv_op op;
    struct mailstore *store;
    uint64_t id;
};

static struct err apply_discard(struct kv_op *op, struct kv_txn *txn)
{
    const struct discard *discard = container_of(op, struct discard, op);
    struct key key = key_of(discard->id);
    struct err e = kv_delete(txn, TABLE_STAGED, key_span(&key));

    if (e.kind == ERR_NOT_FOUND)
        return ERR_OK;
    return err_is(e) ? e : store_put_garbage(discard->store, txn, KEY_GARBAGE_MESSAGE, discard->id);
}

/* On the writer thread. One that has failed leaves its row to the next start. */
static void on_discarded(struct call *call)
{
    struct discard *discard = container_of(call, struct discard, op.call);

    store_sweep_go_on(discard->store);
    free(discard);
}

static void discard_staged(struct mailstore_draft *draft)
{
    struct discard *discard = mem_zalloc(sizeof *discard);

    discard->store = draft->store;
    discard->id = draft->id;
    discard->op.kind = KV_SHRINK;
    discard->op.apply = apply_discard;
    discard->op.call.done = on_discarded;
    kv_submit(draft->store->kv, &discard->op);
}

static void free_draft(struct mailstore_draft *draft)
{
    if (draft->staged > 0 && !draft->is_stored)
        discard_staged(draft);
    free_scanner(draft);
    buf_fini(&draft->held);
    buf_fini(&draft->digest);
    buf_fini(&draft->staging);
    free(draft);
}

void mailstore_draft_free(struct mailstore_draft *draft)
{
    if (draft == NULL)
        return;
    draft->is_freed = true;
    if (!draft->is_staging)
        free_draft(draft);
}
