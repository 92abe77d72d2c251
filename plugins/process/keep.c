/* The plugin's store, which the server has. Reading asks the server and waits; it does so over a
 * connection of its own, the desk's, because also the loop's thread may read. */
#include "plugins/process/process.h"

#include "base/memory.h"

#include <errno.h>

enum { KEY_MOST = 400 };

/* Of which somebody is to be told. */
struct put {
    struct list among; /* child's; under its lock */
    struct call call;
    int error;
    uint64_t id;
    struct smarthop_self *self;
    void (*done)(void *context, int error);
    void *context;
};

static struct lane *desk_of(struct child *child)
{
    return &child->lanes[child->lane_count - 1];
}

/* Before it serves the desk is not open yet, and behind that it is closed; but then the first lane
 * is free. */
static struct lane *get_lane(struct child *child)
{
    return child->is_running ? desk_of(child) : child->lanes;
}

/* What is put before it serves waits until the desk opens. */
static struct lane *put_lane(struct child *child)
{
    return child->is_over ? child->lanes : desk_of(child);
}

static bool keeps(const struct smarthop_self *self, struct smarthop_span key)
{
    return (self->plugin.flags & SMARTHOP_STORES) != 0 && key.len > 0 && key.len <= KEY_MOST;
}

static int64_t kv_get_there(struct smarthop_self *self, struct smarthop_span key, void *bytes,
                            size_t len)
{
    struct child *child = self->home->process;
    struct wire_parcel asked = {.key = key, .len = len < UINT32_MAX ? (uint32_t)len : UINT32_MAX};
    struct wire_parcel told = {.number = -1};
    struct wire_frame frame;

    if (!keeps(self, key))
        return -1;
    pthread_mutex_lock(&child->desk_turn);
    if (!lane_ask(get_lane(child), WIRE_GET, &asked, WIRE_VALUE, &frame) ||
        !wire_read_parcel(frame.body, &told))
        told = (struct wire_parcel){.number = -1};
    if (told.bytes.len > 0)
        memcpy(bytes, told.bytes.ptr, told.bytes.len < len ? told.bytes.len : len);
    pthread_mutex_unlock(&child->desk_turn);
    return told.number;
}

/* ---- writing ------------------------------------------------------------------------------ */

static void tell(struct put *put, int error)
{
    self_enter(put->self);
    put->done(put->context, error);
    self_exit(put->self);
    self_release(put->self);
    free(put);
}

/* NULL = there is none any more. */
static struct put *take_out(struct child *child, uint64_t id)
{
    struct put *found = NULL;

    pthread_mutex_lock(&child->lock);
    for (struct list *at = child->puts.next; at != &child->puts && found == NULL; at = at->next) {
        struct put *put = container_of(at, struct put, among);
        if (id == 0 || put->id == id)
            found = put;
    }
    if (found != NULL)
        list_remove(&found->among);
    pthread_mutex_unlock(&child->lock);
    return found;
}

bool keep_take(struct child *child, const struct wire_frame *frame)
{
    struct wire_parcel told;

    if (!wire_read_parcel(frame->body, &told) || told.id == 0)
        return false;
    struct put *put = take_out(child, told.id);
    if (put != NULL)
        tell(put, (int)told.number);
    return true;
}

void keep_drop(struct child *child)
{
    pthread_mutex_lock(&child->lock);
    child->is_over = true;
    pthread_mutex_unlock(&child->lock);
    for (struct put *put; (put = take_out(child, 0)) != NULL;)
        tell(put, ECANCELED);
}

static void on_refused(struct call *call)
{
    struct put *put = container_of(call, struct put, call);

    tell(put, put->error);
}

/* In a moment: nothing is told from within. */
static void refuse(struct child *child, struct put *put, int error)
{
    put->error = error;
    put->call.done = on_refused;
    inbox_post(&child->worker->inbox, &put->call);
}

/* Its id; 0 = the loop has ended, and nobody would hear what becomes of it. */
static uint64_t keep(struct child *child, struct put *put)
{
    pthread_mutex_lock(&child->lock);
    if (!child->is_over) {
        put->id = ++child->next_id;
        list_append(&child->puts, &put->among);
    }
    pthread_mutex_unlock(&child->lock);
    return put->id;
}

static struct put *put_create(struct smarthop_self *self, void (*done)(void *context, int error),
                              void *context)
{
    struct put *put = mem_zalloc(sizeof *put);

    list_init(&put->among);
    list_init(&put->call.link);
    put->self = self;
    put->done = done;
    put->context = context;
    return put;
}

static void kv_put_there(struct smarthop_self *self, uint64_t token, struct smarthop_span key,
                         struct smarthop_span value, void (*done)(void *context, int error),
                         void *context)
{
    struct child *child = self->home->process;
    struct wire_parcel asked = {.key = key, .bytes = value};
    int problem = keeps(self, key) ? 0 : EINVAL;

    (void)token; /* one loop serves all */
    if (done != NULL && !self_hold(self))
        return;
    struct put *put = done != NULL ? put_create(self, done, context) : NULL;
    if (problem == 0 && value.len > WIRE_VALUE_MOST)
        problem = ENOSPC;
    if (problem == 0 && put != NULL) {
        asked.id = keep(child, put);
        problem = asked.id == 0 ? ECANCELED : 0;
    }
    if (problem == 0 || problem == ECANCELED)
        lane_send(put_lane(child), WIRE_PUT, 0, wire_write_parcel, &asked);
    if (problem != 0 && put != NULL)
        refuse(child, put, problem);
}

void keep_init(struct child *child)
{
    child->services.kv_get = kv_get_there;
    child->services.kv_put = kv_put_there;
}
