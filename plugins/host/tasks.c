/* What plugins asked to be done later on a loop: timers. A task belongs to an event, and goes with
 * it, or with token 0 to the first worker. */
#include "plugins/host/private.h"

#include "base/memory.h"

struct task {
    struct list link; /* its slot's, or the worker's */
    struct call call; /* on its way to the worker's thread */
    struct plugin_worker *worker;
    struct smarthop_self *self;
    uint64_t id;
    uint64_t token;
    uint64_t delay;
    struct timer timer;
    void (*fire)(void *context);
    void *context;
};

static void task_free(struct task *task)
{
    timer_stop(task->worker->loop, &task->timer);
    list_remove(&task->link);
    self_unref(task->self);
    free(task);
}

void tasks_drop(struct slot *slot)
{
    while (!list_is_empty(&slot->tasks))
        task_free(container_of(slot->tasks.next, struct task, link));
}

static void on_fire(struct timer *timer)
{
    struct task *task = container_of(timer, struct task, timer);
    void (*fire)(void *) = task->fire;
    void *context = task->context;

    task_free(task);
    fire(context);
}

/* The list that a task of this token is in; NULL = the event is over. */
static struct list *place_of(struct plugin_worker *worker, uint64_t token)
{
    if (token == 0)
        return &worker->tasks;
    struct slot *slot = token_slot(worker, token);
    bool lives = slot != NULL && !slot->is_over && slot->generation == token_generation(token);
    return lives ? &slot->tasks : NULL;
}

static void on_arrive(struct call *call)
{
    struct task *task = container_of(call, struct task, call);
    struct list *place = place_of(task->worker, task->token);

    if (place == NULL) {
        task_free(task);
        return;
    }
    list_append(place, &task->link);
    timer_start(task->worker->loop, &task->timer, task->delay, on_fire);
}

uint64_t service_timer_start(struct smarthop_self *self, uint64_t token, uint64_t delay,
                             void (*fire)(void *context), void *context)
{
    struct plugin_worker *worker =
        token != 0 ? token_worker(self->home, token) : self->home->workers[0];

    if (worker == NULL)
        return 0;
    struct task *task = mem_zalloc(sizeof *task);
    list_init(&task->link);
    list_init(&task->call.link);
    task->call.done = on_arrive;
    task->worker = worker;
    task->self = self_ref(self);
    task->token = token;
    task->delay = delay;
    task->fire = fire;
    task->context = context;
    task->id = atomic_fetch_add(&self->home->next_task, 1) << 8 | (worker->index + 1);
    loop_post(worker->loop, &task->call);
    return task->id;
}

static struct task *find(struct list *tasks, uint64_t id)
{
    for (struct list *node = tasks->next; node != tasks; node = node->next) {
        struct task *task = container_of(node, struct task, link);
        if (task->id == id)
            return task;
    }
    return NULL;
}

/* On the worker's thread. */
static void stop_on(struct plugin_worker *worker, uint64_t id)
{
    struct task *task = find(&worker->tasks, id);

    for (unsigned i = 0; task == NULL && i < worker->slot_count; i++)
        task = find(&worker->slots[i]->tasks, id);
    if (task != NULL)
        task_free(task);
}

struct stop {
    struct call call;
    struct plugin_worker *worker;
    uint64_t id;
};

static void on_stop(struct call *call)
{
    struct stop *stop = container_of(call, struct stop, call);

    stop_on(stop->worker, stop->id);
    free(stop);
}

void service_timer_stop(struct smarthop_self *self, uint64_t id)
{
    struct plugin_worker *worker = token_worker(self->home, id << 56);
    struct stop *stop = mem_zalloc(sizeof *stop);

    list_init(&stop->call.link);
    stop->call.done = on_stop;
    stop->worker = worker;
    stop->id = id;
    loop_post(worker->loop, &stop->call);
}
