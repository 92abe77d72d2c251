/* Operations within a transaction of kv. */
#include "base/kv_private.h"

#include <stdlib.h>

static MDB_val to_val(struct span s)
{
    return (MDB_val){.mv_size = s.len, .mv_data = (void *)(uintptr_t)s.ptr};
}

static struct span to_span(MDB_val v)
{
    return span_of(v.mv_data, v.mv_size);
}

struct err kv_get(struct kv_txn *txn, unsigned table, struct span key, struct span *value_out)
{
    MDB_val k = to_val(key), v = {0};
    int rc = mdb_get(txn->txn, txn->kv->tables[table], &k, &v);

    *value_out = to_span(v);
    return kv_error(rc, "get");
}

static struct err put(struct kv_txn *txn, unsigned table, struct span key, MDB_val *value,
                      unsigned flags)
{
    MDB_val k = to_val(key);

    txn->touched = true;
    txn->bytes += key.len + value->mv_size;
    int rc = mdb_put(txn->txn, txn->kv->tables[table], &k, value, flags);

    if (rc == MDB_KEYEXIST)
        return err_make(ERR_INVALID, "append out of order");
    return kv_error(rc, "put");
}

struct err kv_put(struct kv_txn *txn, unsigned table, struct span key, struct span value)
{
    MDB_val v = to_val(value);

    return put(txn, table, key, &v, 0);
}

struct err kv_append(struct kv_txn *txn, unsigned table, struct span key, struct span value)
{
    MDB_val v = to_val(value);

    return put(txn, table, key, &v, MDB_APPEND);
}

struct err kv_reserve(struct kv_txn *txn, unsigned table, struct span key, size_t len,
                      char **room_out)
{
    MDB_val v = {.mv_size = len};
    struct err e = put(txn, table, key, &v, MDB_RESERVE);

    *room_out = v.mv_data;
    return e;
}

struct err kv_delete(struct kv_txn *txn, unsigned table, struct span key)
{
    MDB_val k = to_val(key);
    int rc = mdb_del(txn->txn, txn->kv->tables[table], &k, NULL);

    txn->touched = txn->touched || rc != MDB_NOTFOUND;
    return kv_error(rc, "delete");
}

static struct err open_cursor(struct kv_txn *txn, unsigned table, MDB_cursor **out)
{
    return kv_error(mdb_cursor_open(txn->txn, txn->kv->tables[table], out), "cursor");
}

/* An empty `from` means the first key. */
static int seek(MDB_cursor *cursor, struct span from, MDB_val *key, MDB_val *value)
{
    *key = to_val(from);
    return mdb_cursor_get(cursor, key, value, from.len ? MDB_SET_RANGE : MDB_FIRST);
}

struct err kv_walk(struct kv_txn *txn, unsigned table, struct span from, kv_visit *visit,
                   void *context)
{
    MDB_cursor *cursor;
    MDB_val key, value;
    struct err e = open_cursor(txn, table, &cursor);

    if (err_is(e))
        return e;
    int rc = seek(cursor, from, &key, &value);
    while (rc == 0 && visit(context, to_span(key), to_span(value)))
        rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
    mdb_cursor_close(cursor);
    return rc == MDB_NOTFOUND ? ERR_OK : kv_error(rc, "walk");
}

struct err kv_seek(struct kv_txn *txn, unsigned table, struct span from, struct span *key_out,
                   struct span *value_out)
{
    MDB_cursor *cursor;
    MDB_val key, value = {0};
    struct err e = open_cursor(txn, table, &cursor);

    if (err_is(e))
        return e;
    int rc = seek(cursor, from, &key, &value);
    mdb_cursor_close(cursor);
    *key_out = to_span(key);
    *value_out = to_span(value);
    return kv_error(rc, "seek");
}

struct err kv_last(struct kv_txn *txn, unsigned table, struct span *key_out, struct span *value_out)
{
    MDB_cursor *cursor;
    MDB_val key = {0}, value = {0};
    struct err e = open_cursor(txn, table, &cursor);

    if (err_is(e))
        return e;
    int rc = mdb_cursor_get(cursor, &key, &value, MDB_LAST);
    mdb_cursor_close(cursor);
    *key_out = to_span(key);
    *value_out = to_span(value);
    return kv_error(rc, "last");
}

static bool has_prefix(const MDB_val *key, struct span prefix)
{
    return key->mv_size >= prefix.len &&
           (prefix.len == 0 || memcmp(key->mv_data, prefix.ptr, prefix.len) == 0);
}

struct err kv_delete_range(struct kv_txn *txn, unsigned table, struct span from, struct span prefix,
                           unsigned most, bool *more_out)
{
    MDB_cursor *cursor;
    MDB_val key, value;
    struct err e = open_cursor(txn, table, &cursor);

    *more_out = false;
    if (err_is(e))
        return e;
    int rc = seek(cursor, from, &key, &value);
    /* After a deletion the cursor stands before the next row; MDB_NEXT then yields that one. */
    for (unsigned deleted = 0; rc == 0 && has_prefix(&key, prefix); deleted++) {
        if (deleted == most) {
            *more_out = true;
            break;
        }
        txn->touched = true;
        rc = mdb_cursor_del(cursor, 0);
        if (rc == 0)
            rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
    }
    mdb_cursor_close(cursor);
    return rc == MDB_NOTFOUND ? ERR_OK : kv_error(rc, "delete range");
}

uint64_t kv_abandoned(const struct kv_txn *txn)
{
    return txn->kv->abandoned;
}

struct err kv_read_begin(struct kv *kv, struct kv_txn **out)
{
    struct kv_txn *txn = mem_zalloc(sizeof *txn);
    int rc = mdb_txn_begin(kv->env, NULL, MDB_RDONLY, &txn->txn);

    *out = NULL;
    if (rc != 0) {
        free(txn);
        return kv_error(rc, "begin read");
    }
    txn->kv = kv;
    *out = txn;
    return ERR_OK;
}

void kv_read_end(struct kv_txn *txn)
{
    if (txn == NULL)
        return;
    mdb_txn_abort(txn->txn);
    free(txn);
}

uint64_t kv_count(struct kv_txn *txn, unsigned table)
{
    MDB_stat stat;

    if (mdb_stat(txn->txn, txn->kv->tables[table], &stat) != 0)
        return 0;
    return stat.ms_entries;
}
