/* The service of timers. */
#include "plugins/host/private.h"

struct timer_task {
    struct task task;
    uint64_t delay;
    struct timer timer;
    void (*fire)(void *context);
    void *context;
};

static void on_fire(struct timer *timer)
{
    struct timer_task *t = container_of(timer, struct timer_task, timer);
    struct smarthop_self *self = self_ref(t->task.self);
    void (*fire)(void *) = t->fire;
    void *context = t->context;

    task_end(&t->task);
    self_enter(self);
    fire(context);
    self_exit(self);
    self_unref(self);
}

static bool begin(struct task *task)
{
    struct timer_task *t = container_of(task, struct timer_task, task);

    timer_start(task->worker->loop, &t->timer, t->delay, on_fire);
    return true;
}

static void end(struct task *task)
{
    struct timer_task *t = container_of(task, struct timer_task, task);

    if (task->is_begun)
        timer_stop(task->worker->loop, &t->timer);
    task_free(task);
}

static const struct task_kind kind = {begin, end};

uint64_t service_timer_start(struct smarthop_self *self, uint64_t token, uint64_t delay,
                             void (*fire)(void *context), void *context)
{
    struct timer_task *t = mem_zalloc(sizeof *t);

    t->delay = delay;
    t->fire = fire;
    t->context = context;
    return task_start(&t->task, &kind, self, token);
}
