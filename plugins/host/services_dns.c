/* The service of looking names up, by what the worker was lent for it. */
#include "plugins/host/private.h"

enum { NAME_MOST = 253 };

struct dns_task {
    struct task task;
    struct plugin_lookup lookup;
    struct arena arena;
    bool is_asked; /* the backend, that is */
    bool is_cancelled;
    void (*done)(void *context, const struct smarthop_dns_answer *answer);
    void *context;
};

static void dns_free(struct dns_task *d)
{
    arena_fini(&d->arena);
    task_free(&d->task);
}

static void on_looked_up(struct call *call)
{
    struct dns_task *d = container_of(call, struct dns_task, lookup.call);
    struct smarthop_self *self = d->task.self;

    if (!d->is_cancelled) {
        list_remove(&d->task.link);
        list_remove(&d->task.by_id);
        self_enter(self);
        d->done(d->context, &d->lookup.answer);
        self_exit(self);
    }
    dns_free(d);
}

static bool begin(struct task *task)
{
    struct dns_task *d = container_of(task, struct dns_task, task);
    const struct plugin_backend *backend = task->worker->backend;

    d->is_asked = backend != NULL && d->lookup.name.len <= NAME_MOST &&
                  d->lookup.record <= SMARTHOP_DNS_MX_ONLY;
    if (d->is_asked)
        backend->lookup(backend->context, &d->lookup);
    else
        loop_defer(task->worker->loop, &d->lookup.call);
    return true;
}

static void end(struct task *task)
{
    struct dns_task *d = container_of(task, struct dns_task, task);

    if (!task->is_begun) {
        dns_free(d);
        return;
    }
    d->is_cancelled = true;
    if (d->is_asked)
        task->worker->backend->cancel(task->worker->backend->context, &d->lookup);
}

static const struct task_kind kind = {begin, end};

void service_dns(struct smarthop_self *self, uint64_t token, enum smarthop_record record,
                 struct smarthop_span name,
                 void (*done)(void *context, const struct smarthop_dns_answer *answer),
                 void *context)
{
    struct dns_task *d = mem_zalloc(sizeof *d);

    arena_init(&d->arena);
    list_init(&d->lookup.call.link);
    d->lookup.call.done = on_looked_up;
    d->lookup.record = record;
    d->lookup.arena = &d->arena;
    d->lookup.name = arena_dup(&d->arena, plugin_span(name));
    d->lookup.answer.size = sizeof d->lookup.answer;
    d->lookup.answer.result = SMARTHOP_DNS_RETRY;
    d->done = done;
    d->context = context;
    task_start(&d->task, &kind, self, token);
}
