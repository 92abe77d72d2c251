/* A table as an LMDB file. */
#include "store.h"

#include <errno.h>
#include <fcntl.h>
#include <lmdb.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    KEY_STAMP,
    KEY_FILTER,
    KEYS_RESERVED = 16,
    BATCH = 50000, /* entries of a transaction: about 4 MiB of pages */
};

static const size_t map_spare = 64 << 20;

struct store_writer {
    MDB_env *env;
    MDB_txn *txn;
    MDB_dbi dbi;
    unsigned in_batch;
    uint64_t last; /* number */
    char *filter;
    uint64_t words;
};

struct store {
    MDB_env *env;
    MDB_txn *pin; /* the filter and the stamp are read through it */
    MDB_dbi dbi;
    struct stamp stamp;
    struct store_hint hint;
};

const char *store_error(int error)
{
    return mdb_strerror(error);
}

static uint64_t number_of(uint64_t hash)
{
    return hash < KEYS_RESERVED ? hash + KEYS_RESERVED : hash;
}

void store_value_head(char *bytes, uint32_t line, size_t key_len)
{
    uint16_t len = (uint16_t)key_len;

    memcpy(bytes, &line, sizeof line);
    memcpy(bytes + sizeof line, &len, sizeof len);
}

bool store_value_split(struct smarthop_span value, uint32_t *line, struct smarthop_span *key,
                       struct smarthop_span *record)
{
    uint16_t len;

    if (value.len < STORE_VALUE_HEAD)
        return false;
    memcpy(line, value.ptr, sizeof *line);
    memcpy(&len, value.ptr + sizeof *line, sizeof len);
    value = text_from(value, STORE_VALUE_HEAD);
    if (value.len < len)
        return false;
    *key = smarthop_span_of(value.ptr, len);
    *record = text_from(value, len);
    return true;
}

/* ---- writing ------------------------------------------------------------------------------ */

static int put(struct store_writer *w, uint64_t number, const void *bytes, size_t len,
               unsigned flags)
{
    MDB_val key = {sizeof number, &number};
    MDB_val value = {len, (void *)bytes};

    return mdb_put(w->txn, w->dbi, &key, &value, flags);
}

static int begin(struct store_writer *w)
{
    w->in_batch = 0;
    return mdb_txn_begin(w->env, NULL, 0, &w->txn);
}

static int commit(struct store_writer *w)
{
    MDB_txn *txn = w->txn;

    w->txn = NULL;
    return mdb_txn_commit(txn);
}

/* A line of 16 bytes takes 60 here; a large value up to a page more. */
static int open_env(struct store_writer *w, const char *path, uint64_t bytes, uint64_t entries)
{
    int error = mdb_env_create(&w->env);

    if (error == 0)
        error = mdb_env_set_mapsize(w->env, map_spare + 3 * bytes + 64 * entries);
    if (error == 0)
        error = mdb_env_open(w->env, path, MDB_NOSUBDIR | MDB_NOLOCK | MDB_NOSYNC, 0600);
    if (error == 0)
        error = begin(w);
    return error != 0 ? error : mdb_dbi_open(w->txn, NULL, MDB_INTEGERKEY, &w->dbi);
}

/* By opening it: a process that is kept to a folder may not do so by its name. */
static bool empty(const char *path)
{
    int file = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);

    if (file >= 0)
        close(file);
    return file >= 0;
}

struct store_writer *store_writer_open(const char *path, uint64_t bytes, uint64_t entries,
                                       int *error)
{
    struct store_writer *w = calloc(1, sizeof *w);

    *error = ENOMEM;
    if (w == NULL)
        return NULL;
    w->words = filter_words(entries);
    w->last = KEYS_RESERVED - 1;
    w->filter = calloc(w->words, sizeof(uint64_t));
    if (w->filter != NULL)
        *error = empty(path) ? open_env(w, path, bytes, entries) : errno;
    if (*error == 0)
        return w;
    store_writer_close(w, NULL);
    return NULL;
}

int store_writer_add(struct store_writer *w, uint64_t hash, struct smarthop_span value)
{
    uint64_t number = number_of(hash);
    int error;

    if (number <= w->last)
        number = w->last + 1;
    w->last = number;
    filter_add(w->filter, w->words, hash);
    if (++w->in_batch > BATCH) {
        if ((error = commit(w)) != 0 || (error = begin(w)) != 0)
            return error;
    }
    return put(w, number, value.ptr, value.len, MDB_APPEND);
}

void store_writer_hint(struct store_writer *w, uint64_t hash)
{
    filter_add(w->filter, w->words, hash);
}

static int put_filter(struct store_writer *w)
{
    uint64_t number = KEY_FILTER;
    size_t len = w->words * sizeof(uint64_t);
    MDB_val key = {sizeof number, &number};
    MDB_val value = {len, NULL};
    int error = mdb_put(w->txn, w->dbi, &key, &value, MDB_RESERVE);

    if (error == 0) {
        memcpy(value.mv_data, w->filter, len);
    }
    return error;
}

static int finish(struct store_writer *w, const struct stamp *stamp)
{
    int error = put_filter(w);

    if (error == 0)
        error = put(w, KEY_STAMP, stamp, sizeof *stamp, 0);
    if (error == 0)
        error = commit(w);
    return error != 0 ? error : mdb_env_sync(w->env, 1);
}

int store_writer_close(struct store_writer *w, const struct stamp *stamp)
{
    int error = stamp != NULL ? finish(w, stamp) : 0;

    if (w->txn != NULL)
        mdb_txn_abort(w->txn);
    if (w->env != NULL)
        mdb_env_close(w->env);
    free(w->filter);
    free(w);
    return error;
}

/* ---- reading ------------------------------------------------------------------------------ */

static int get(MDB_txn *txn, MDB_dbi dbi, uint64_t number, struct smarthop_span *out)
{
    MDB_val key = {sizeof number, &number};
    MDB_val value;
    int error = mdb_get(txn, dbi, &key, &value);

    if (error == 0)
        *out = smarthop_span_of(value.mv_data, value.mv_size);
    return error;
}

static int read_heads(struct store *store)
{
    struct smarthop_span value;
    int error = get(store->pin, store->dbi, KEY_STAMP, &value);

    if (error != 0)
        return error;
    if (value.len != sizeof store->stamp)
        return MDB_VERSION_MISMATCH;
    memcpy(&store->stamp, value.ptr, sizeof store->stamp);
    error = store->stamp.format == STORE_FORMAT ? get(store->pin, store->dbi, KEY_FILTER, &value)
                                                : MDB_VERSION_MISMATCH;
    if (error != 0)
        return error;
    store->hint = (struct store_hint){store->stamp.kinds, value.ptr, value.len / sizeof(uint64_t)};
    return store->hint.words > 0 ? 0 : MDB_CORRUPTED;
}

/* What would be read behind its end would end the process. */
static bool is_whole(const struct store *store, const struct stat *st)
{
    MDB_envinfo info;
    MDB_stat pages;

    return mdb_env_info(store->env, &info) == 0 && mdb_env_stat(store->env, &pages) == 0 &&
           (info.me_last_pgno + 1) * pages.ms_psize <= (uint64_t)st->st_size;
}

/* Mapped as far as it goes, and no further. */
static int open_file(struct store *store, const char *path)
{
    unsigned flags = MDB_RDONLY | MDB_NOSUBDIR | MDB_NOLOCK | MDB_NOTLS | MDB_NORDAHEAD;
    struct stat st;
    int error = stat(path, &st) == 0 ? mdb_env_create(&store->env) : errno;

    if (error == 0)
        error = mdb_env_set_mapsize(store->env, (size_t)st.st_size);
    if (error == 0)
        error = mdb_env_open(store->env, path, flags, 0);
    if (error == 0 && !is_whole(store, &st))
        error = MDB_CORRUPTED;
    if (error == 0)
        error = mdb_txn_begin(store->env, NULL, MDB_RDONLY, &store->pin);
    if (error == 0)
        error = mdb_dbi_open(store->pin, NULL, MDB_INTEGERKEY, &store->dbi);
    return error != 0 ? error : read_heads(store);
}

struct store *store_open(const char *path, int *error)
{
    struct store *store = calloc(1, sizeof *store);

    *error = store != NULL ? open_file(store, path) : ENOMEM;
    if (*error == 0)
        return store;
    store_close(store);
    return NULL;
}

void store_close(struct store *store)
{
    if (store == NULL)
        return;
    if (store->pin != NULL)
        mdb_txn_abort(store->pin);
    if (store->env != NULL)
        mdb_env_close(store->env);
    free(store);
}

const struct stamp *store_stamp(const struct store *store)
{
    return &store->stamp;
}

const struct store_hint *store_hint(const struct store *store)
{
    return &store->hint;
}

static bool activate(struct store_reader *reader, const struct store *store)
{
    MDB_txn *txn = reader->transaction;

    if (reader->is_active && reader->store == store)
        return true;
    if (reader->store != store)
        store_reader_close(reader);
    if (reader->store == store)
        reader->is_active = mdb_txn_renew(txn) == 0;
    else if (mdb_txn_begin(store->env, NULL, MDB_RDONLY, &txn) == 0)
        *reader = (struct store_reader){store, txn, true};
    return reader->is_active;
}

enum store_found store_find(struct store_reader *reader, const struct store *store,
                            struct smarthop_span key, uint64_t hash, uint32_t *line,
                            struct smarthop_span *record)
{
    struct smarthop_span value;
    struct smarthop_span found;

    if (!activate(reader, store))
        return STORE_DAMAGED;
    for (uint64_t number = number_of(hash);; number++) {
        int error = get(reader->transaction, store->dbi, number, &value);
        if (error == MDB_NOTFOUND)
            return STORE_NONE;
        if (error != 0 || !store_value_split(value, line, &found, record))
            return STORE_DAMAGED;
        if (smarthop_equal(found, key))
            return STORE_FOUND;
    }
}

void store_reader_rest(struct store_reader *reader)
{
    if (reader->is_active)
        mdb_txn_reset(reader->transaction);
    reader->is_active = false;
}

void store_reader_close(struct store_reader *reader)
{
    if (reader->transaction != NULL)
        mdb_txn_abort(reader->transaction);
    *reader = (struct store_reader){0};
}
