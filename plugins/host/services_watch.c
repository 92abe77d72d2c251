/* The service of watching descriptors. */
#include "plugins/host/private.h"

struct watch_task {
    struct task task;
    struct loop_watch watch;
    int descriptor;
    int events;
    void (*ready)(void *context, int events);
    void *context;
};

/* It may end itself meanwhile. */
static void on_ready(struct loop_watch *watch, int events)
{
    struct watch_task *w = container_of(watch, struct watch_task, watch);
    struct smarthop_self *self = self_ref(w->task.self);

    self_enter(self);
    w->ready(w->context, events);
    self_exit(self);
    self_unref(self);
}

static bool begin(struct task *task)
{
    struct watch_task *w = container_of(task, struct watch_task, task);

    w->watch.ready = on_ready;
    return !err_is(loop_watch_start(task->worker->loop, &w->watch, w->descriptor, w->events));
}

static void end(struct task *task)
{
    loop_watch_stop(&container_of(task, struct watch_task, task)->watch);
    task_free(task);
}

static const struct task_kind kind = {begin, end};

uint64_t service_watch(struct smarthop_self *self, uint64_t token, int descriptor, int events,
                       void (*ready)(void *context, int events), void *context)
{
    struct watch_task *w = mem_zalloc(sizeof *w);

    w->descriptor = descriptor;
    w->events = events;
    w->ready = ready;
    w->context = context;
    return task_start(&w->task, &kind, self, token);
}
