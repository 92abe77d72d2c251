/* The environment: what makes it a guard's, its rows, and how they are walked. */
#include "base/hash.h"
#include "base/record.h"
#include "guard/private.h"

#include <stdlib.h>

enum { FORMAT = 1, RECORD_VERSION = 1, WALK_STEP = 1000 };

/* Address space for more than the most entries there may be, with the longest keys. */
static const uint64_t map_size = 4ull << 30;

static const char *const table_names[GUARD_STORE_COUNT] = {
    [GUARD_STORE_META] = "meta",
    [GUARD_STORE_ENTRY] = "entry",
};

/* ---- format ------------------------------------------------------------------------------- */

static const struct span meta_key = {"guard", 5};

static struct err check_meta(struct kv_txn *txn)
{
    struct span record;
    struct err e = kv_get(txn, GUARD_STORE_META, meta_key, &record);

    if (e.kind == ERR_NOT_FOUND && kv_count(txn, GUARD_STORE_META) > 0)
        return err_make(ERR_CORRUPT, "this is another store, not a guard's");
    if (err_is(e))
        return e;
    struct record_reader r = record_open(record, RECORD_VERSION, 0);
    uint32_t format = record_get32(&r);
    e = record_close(&r, "meta record");
    if (!err_is(e) && format != FORMAT)
        e = err_make(ERR_CORRUPT, "store is of another format");
    return e;
}

static struct err apply_first(struct kv_op *op, struct kv_txn *txn)
{
    char room[1 + 4 + RECORD_CHECKSUM];
    struct err e = check_meta(txn);

    (void)op;
    if (e.kind != ERR_NOT_FOUND)
        return e;
    if (kv_count(txn, GUARD_STORE_ENTRY) > 0)
        return err_make(ERR_CORRUPT, "store has entries but no format");
    struct record_writer w = record_begin(room, RECORD_VERSION);
    record_put32(&w, FORMAT);
    return kv_put(txn, GUARD_STORE_META, meta_key, span_of(room, record_seal(&w, 0)));
}

static struct err check_format(struct kv *kv, bool read_only)
{
    struct kv_op first = {.kind = KV_SHRINK, .apply = apply_first};
    struct kv_txn *txn;

    if (!read_only)
        return kv_run(kv, &first);
    struct err e = kv_read_begin(kv, &txn);
    if (err_is(e))
        return e;
    e = check_meta(txn);
    kv_read_end(txn);
    return e;
}

struct err guard_store_open(const char *path, bool read_only, struct kv **out)
{
    struct kv_options options = {
        .path = path,
        .map_size = map_size,
        .tables = table_names,
        .table_count = GUARD_STORE_COUNT,
        .read_only = read_only,
    };
    struct err e = kv_open(&options, out);

    if (err_is(e))
        return e;
    e = check_format(*out, read_only);
    if (err_is(e)) {
        kv_close(*out);
        *out = NULL;
    }
    return e;
}

/* ---- rows --------------------------------------------------------------------------------- */

struct span guard_store_key(enum guard_kind kind, struct span key, char room[GUARD_STORE_KEY_MAX])
{
    room[0] = (char)kind;
    if (key.len > 0)
        memcpy(room + 1, key.ptr, key.len);
    return span_of(room, 1 + key.len);
}

static uint64_t seed_of(struct span row)
{
    return hash64(row, 0);
}

void guard_store_write(const struct guard_entry *entry, struct span row,
                       char record[GUARD_STORE_RECORD])
{
    struct record_writer w = record_begin(record, RECORD_VERSION);

    record_put64(&w, entry->tally.since);
    record_put32(&w, entry->tally.count);
    record_put32(&w, entry->tally.before);
    record_put64(&w, entry->last);
    record_put64(&w, entry->expires);
    record_seal(&w, seed_of(row));
}

struct err guard_store_read(struct span row, struct span record, struct guard_entry *out)
{
    struct record_reader r = record_open(record, RECORD_VERSION, seed_of(row));

    *out = (struct guard_entry){.kind = (unsigned char)row.ptr[0]};
    out->tally.since = record_get64(&r);
    out->tally.count = record_get32(&r);
    out->tally.before = record_get32(&r);
    out->last = record_get64(&r);
    out->expires = record_get64(&r);
    if (out->kind >= GUARD_KINDS || row.len > 1 + GUARD_KEY_MAX)
        r.bad = true;
    return record_close(&r, "guard record");
}

/* ---- walking ------------------------------------------------------------------------------ */

struct row {
    struct span key, record;
};

struct step {
    struct span prefix;
    struct span after; /* the last row of the step before */
    struct arena arena;
    struct row rows[WALK_STEP];
    unsigned count;
    bool full;
};

static bool take_row(void *context, struct span key, struct span record)
{
    struct step *step = context;

    if (!span_equal(span_head(key, step->prefix.len), step->prefix))
        return false;
    if (span_equal(key, step->after))
        return true;
    step->full = step->count == WALK_STEP;
    if (step->full)
        return false;
    step->rows[step->count++] =
        (struct row){arena_dup(&step->arena, key), arena_dup(&step->arena, record)};
    return true;
}

static struct err take_step(struct kv *kv, struct step *step)
{
    struct kv_txn *txn;
    struct err e = kv_read_begin(kv, &txn);

    step->count = 0;
    step->full = false;
    if (err_is(e))
        return e;
    struct span from = step->after.len > 0 ? step->after : step->prefix;
    e = kv_walk(txn, GUARD_STORE_ENTRY, from, take_row, step);
    kv_read_end(txn);
    return e;
}

/* False where the walk is to end. */
static bool visit_step(const struct step *step, guard_store_visit *visit, void *context)
{
    for (unsigned i = 0; i < step->count; i++)
        if (!visit(context, step->rows[i].key, step->rows[i].record))
            return false;
    return step->full;
}

struct err guard_store_walk(struct kv *kv, struct span prefix, guard_store_visit *visit,
                            void *context)
{
    struct step *step = mem_zalloc(sizeof *step);
    char last[GUARD_STORE_KEY_MAX];
    struct err e;
    bool more;

    step->prefix = prefix;
    do {
        arena_init(&step->arena);
        e = take_step(kv, step);
        more = !err_is(e) && visit_step(step, visit, context);
        if (more) {
            struct span key = step->rows[step->count - 1].key;
            memcpy(last, key.ptr, key.len);
            step->after = span_of(last, key.len);
        }
        arena_fini(&step->arena);
    } while (more);
    free(step);
    return e;
}
