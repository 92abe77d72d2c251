/* The service of stores: an environment for each name of a plugin, which an old and a new plugin of
 * that name share while both are there. */
#include "plugins/host/private.h"

#include "base/file.h"
#include "base/kv.h"

#include <errno.h>
#include <stdio.h>

enum { KEY_MOST = 400, LOW_WATER_SHARE = 8 };

struct store {
    struct list among;
    unsigned references; /* main thread */
    char *name;
    struct kv *kv;
    uint64_t most;
};

static struct store *find(struct plugin_home *home, const char *name)
{
    for (struct list *at = home->stores.next; at != &home->stores; at = at->next) {
        struct store *store = container_of(at, struct store, among);
        if (strcmp(store->name, name) == 0)
            return store;
    }
    return NULL;
}

static struct err open_kv(const char *folder, const char *name, uint64_t most, struct kv **out)
{
    static const char *const tables[] = {"values"};
    struct kv_options options = {
        .map_size = most,
        .low_water = most / LOW_WATER_SHARE,
        .tables = tables,
        .table_count = 1,
    };
    char *path;

    struct err e = file_make_folder(folder);
    if (err_is(e))
        return e;
    if (asprintf(&path, "%s/%s", folder, name) < 0)
        abort();
    options.path = path;
    e = kv_open(&options, out);
    free(path);
    return e;
}

bool store_join(struct smarthop_self *self, const char *folder, uint64_t most, struct buf *messages)
{
    struct store *store = find(self->home, self->name);
    char text[ERR_TEXT_MAX];
    struct kv *kv;

    if (store == NULL) {
        struct err e = open_kv(folder, self->name, most, &kv);
        if (err_is(e)) {
            buf_addf(messages, "%s/%s: the store of plugin \"%s\" cannot be opened: %s\n", folder,
                     self->name, self->name, err_text(e, text));
            return false;
        }
        store = mem_zalloc(sizeof *store);
        store->name = mem_strdup(self->name);
        store->kv = kv;
        store->most = most;
        list_append(&self->home->stores, &store->among);
    }
    store->references++;
    self->store = store;
    return true;
}

void store_leave(struct smarthop_self *self)
{
    struct store *store = self->store;

    self->store = NULL;
    if (store == NULL || --store->references > 0)
        return;
    list_remove(&store->among);
    kv_close(store->kv);
    free(store->name);
    free(store);
}

int64_t service_kv_get(struct smarthop_self *self, struct smarthop_span key, void *bytes,
                       size_t len)
{
    struct kv_txn *txn;
    struct span value;

    if (self->store == NULL || key.len == 0 || key.len > KEY_MOST ||
        err_is(kv_read_begin(self->store->kv, &txn)))
        return -1;
    bool found = !err_is(kv_get(txn, 0, plugin_span(key), &value));
    if (found && len > 0 && value.len > 0)
        memcpy(bytes, value.ptr, value.len < len ? value.len : len);
    kv_read_end(txn);
    return found ? (int64_t)value.len : -1;
}

/* ---- writing ------------------------------------------------------------------------------ */

struct put {
    struct kv_op op;
    struct call call; /* on its way to the worker's thread */
    struct smarthop_self *self;
    struct plugin_worker *worker;
    void (*done)(void *context, int error);
    void *context;
    int error;
    size_t key_len;
    size_t value_len;
    char bytes[];
};

static struct err apply(struct kv_op *op, struct kv_txn *txn)
{
    const struct put *put = container_of(op, struct put, op);
    struct span key = span_of(put->bytes, put->key_len);

    if (put->value_len > 0)
        return kv_put(txn, 0, key, span_of(put->bytes + put->key_len, put->value_len));
    struct err e = kv_delete(txn, 0, key);
    return e.kind == ERR_NOT_FOUND ? ERR_OK : e;
}

static void on_told(struct call *call)
{
    struct put *put = container_of(call, struct put, call);

    self_enter(put->self);
    put->done(put->context, put->error);
    self_exit(put->self);
    self_release(put->self);
    free(put);
}

/* Any thread. */
static void tell(struct put *put, int error)
{
    if (put->done == NULL) {
        free(put);
        return;
    }
    put->error = error;
    list_init(&put->call.link);
    put->call.done = on_told;
    inbox_post(&put->worker->inbox, &put->call);
}

static int error_of(struct err e)
{
    if (!err_is(e))
        return 0;
    if (e.kind == ERR_NO_SPACE)
        return ENOSPC;
    return e.kind == ERR_SYSTEM ? e.sys : EIO;
}

/* On the writer's thread. */
static void on_written(struct call *call)
{
    struct put *put = container_of(call, struct put, op.call);

    tell(put, error_of(put->op.result));
}

static int problem_of(const struct smarthop_self *self, struct smarthop_span key,
                      struct smarthop_span value)
{
    if (self->store == NULL || key.len == 0 || key.len > KEY_MOST)
        return EINVAL;
    return value.len > self->store->most ? ENOSPC : 0;
}

/* One of which nobody is told needs nothing of the plugin; so `stop` itself may still write. */
bool store_put(struct smarthop_self *self, uint64_t token, struct smarthop_span key,
               struct smarthop_span value, void (*done)(void *context, int error), void *context)
{
    struct plugin_worker *worker = token_worker(self->home, token);
    int problem = problem_of(self, key, value);

    if (worker == NULL || (done != NULL && !self_hold(self)))
        return false;
    size_t room = problem == 0 ? key.len + value.len : 0;
    struct put *put = mem_zalloc(sizeof *put + room);
    put->self = self;
    put->worker = worker;
    put->done = done;
    put->context = context;
    if (problem != 0) {
        tell(put, problem);
        return true;
    }
    put->key_len = key.len;
    put->value_len = value.len;
    memcpy(put->bytes, key.ptr, key.len);
    if (value.len > 0)
        memcpy(put->bytes + key.len, value.ptr, value.len);
    list_init(&put->op.call.link);
    put->op.call.done = on_written;
    put->op.kind = value.len > 0 ? KV_GROW : KV_SHRINK;
    put->op.apply = apply;
    kv_submit(self->store->kv, &put->op);
    return true;
}

void service_kv_put(struct smarthop_self *self, uint64_t token, struct smarthop_span key,
                    struct smarthop_span value, void (*done)(void *context, int error),
                    void *context)
{
    store_put(self, token, key, value, done, context);
}
