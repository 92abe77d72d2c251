#include "plugins/host/private.h"

static struct list *by_id(struct plugin_worker *worker, uint64_t id)
{
    return &worker->tasks_by_id[(id >> 8) % TASK_LISTS];
}

void task_free(struct task *task)
{
    self_unref(task->self);
    free(task);
}

void task_end(struct task *task)
{
    list_remove(&task->link);
    list_remove(&task->by_id);
    task->kind->end(task);
}

void tasks_drop(struct slot *slot)
{
    while (!list_is_empty(&slot->tasks))
        task_end(container_of(slot->tasks.next, struct task, link));
}

void tasks_sweep(struct plugin_worker *worker, const struct smarthop_self *self)
{
    for (struct list *at = worker->tasks.next, *next; at != &worker->tasks; at = next) {
        struct task *task = container_of(at, struct task, link);
        next = at->next;
        if (task->self == self)
            task_end(task);
    }
}

/* The list that the task belongs in; NULL = its event, or its plugin's time, is over. */
static struct list *place_of(const struct task *task)
{
    if (atomic_load(&task->self->is_stopping))
        return NULL;
    if (task->token == 0)
        return &task->worker->tasks;
    struct slot *slot = token_living(task->worker, task->token);
    return slot != NULL ? &slot->tasks : NULL;
}

static bool settle(struct task *task)
{
    struct list *place = place_of(task);

    if (place != NULL) {
        list_append(place, &task->link);
        list_append(by_id(task->worker, task->id), &task->by_id);
        task->is_begun = task->kind->begin(task);
    }
    if (task->is_begun)
        return true;
    task_end(task);
    return false;
}

static void on_arrive(struct call *call)
{
    struct task *task = container_of(call, struct task, call);

    worker_note_thread(task->worker);
    settle(task);
}

uint64_t task_start(struct task *task, const struct task_kind *kind, struct smarthop_self *self,
                    uint64_t token)
{
    struct plugin_worker *worker = token_worker(self->home, token);

    list_init(&task->link);
    list_init(&task->by_id);
    list_init(&task->call.link);
    task->call.done = on_arrive;
    task->kind = kind;
    task->worker = worker;
    task->self = self_ref(self);
    task->token = token;
    if (worker == NULL || atomic_load(&self->is_stopping)) {
        task_end(task);
        return 0;
    }
    uint64_t id = atomic_fetch_add(&self->home->next_task, 1) << 8 | (worker->index + 1);
    task->id = id;
    if (worker_is_here(worker))
        return settle(task) ? id : 0;
    inbox_post(&worker->inbox, &task->call);
    return id;
}

/* On the worker's thread. */
static void stop_here(struct plugin_worker *worker, const struct smarthop_self *self, uint64_t id)
{
    struct list *tasks = by_id(worker, id);

    for (struct list *at = tasks->next; at != tasks; at = at->next) {
        struct task *task = container_of(at, struct task, by_id);
        if (task->id == id && task->self == self) {
            task_end(task);
            return;
        }
    }
}

struct stop {
    struct call call;
    struct plugin_worker *worker;
    struct smarthop_self *self;
    uint64_t id;
};

static void on_stop(struct call *call)
{
    struct stop *stop = container_of(call, struct stop, call);

    stop_here(stop->worker, stop->self, stop->id);
    self_unref(stop->self);
    free(stop);
}

void task_stop(struct smarthop_self *self, uint64_t id)
{
    struct plugin_worker *worker = id != 0 ? token_worker(self->home, id << 56) : NULL;

    if (worker == NULL)
        return;
    if (worker_is_here(worker)) {
        stop_here(worker, self, id);
        return;
    }
    struct stop *stop = mem_zalloc(sizeof *stop);
    list_init(&stop->call.link);
    stop->call.done = on_stop;
    stop->worker = worker;
    stop->self = self_ref(self);
    stop->id = id;
    inbox_post(&worker->inbox, &stop->call);
}
