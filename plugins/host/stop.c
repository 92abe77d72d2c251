/*
 * Stopping a plugin. Once no chain has it nothing new is begun for it, each worker drops what it
 * was asked to do for it, and what cannot be dropped is waited for. Only when nothing holds it any
 * more its `stop` is called, on the main thread; so behind that none of its functions is.
 */
#include "plugins/host/private.h"

static void on_finish(struct call *call)
{
    struct smarthop_self *self = container_of(call, struct smarthop_self, finish);

    list_remove(&self->among);
    self_stop(self);
    store_leave(self);
    metrics_free(self);
    self_unref(self);
}

void self_begin(struct smarthop_self *self)
{
    self_ref(self);
    atomic_init(&self->holds, 1);
    list_init(&self->finish.link);
    self->finish.done = on_finish;
    list_append(&self->home->plugins, &self->among);
}

bool self_hold(struct smarthop_self *self)
{
    unsigned holds = atomic_load(&self->holds);

    do {
        if (holds == 0)
            return false;
    } while (!atomic_compare_exchange_weak(&self->holds, &holds, holds + 1));
    if (!atomic_load(&self->is_stopping))
        return true;
    self_release(self);
    return false;
}

void self_release(struct smarthop_self *self)
{
    if (atomic_fetch_sub(&self->holds, 1) == 1)
        inbox_post(&self->home->inbox, &self->finish);
}

/* On its way to a worker. */
struct sweep {
    struct call call;
    struct plugin_worker *worker;
    struct smarthop_self *self;
};

static void on_sweep(struct call *call)
{
    struct sweep *sweep = container_of(call, struct sweep, call);

    tasks_sweep(sweep->worker, sweep->self);
    proxy_sweep(sweep->self, sweep->worker);
    self_release(sweep->self);
    free(sweep);
}

void self_retire(struct smarthop_self *self)
{
    struct plugin_home *home = self->home;

    if (atomic_exchange(&self->is_stopping, true))
        return;
    atomic_fetch_add(&self->holds, home->worker_count);
    for (unsigned i = 0; i < home->worker_count; i++) {
        struct sweep *sweep = mem_zalloc(sizeof *sweep);
        list_init(&sweep->call.link);
        sweep->call.done = on_sweep;
        sweep->worker = &home->workers[i];
        sweep->self = self;
        inbox_post(&sweep->worker->inbox, &sweep->call);
    }
    self_release(self);
}

void self_join(struct smarthop_self *self)
{
    self_ref(self);
    atomic_fetch_add(&self->chains, 1);
}

void self_leave(struct smarthop_self *self)
{
    if (atomic_fetch_sub(&self->chains, 1) == 1)
        self_retire(self);
    self_unref(self);
}

/* What the loops would have done, had they gone on. */
static void run_inboxes(struct plugin_home *home)
{
    for (unsigned i = 0; i < home->worker_count; i++) {
        inbox_run(&home->workers[i].inbox);
        jobs_settle(&home->workers[i]);
    }
    inbox_run(&home->inbox);
}

void home_tell_news(struct plugin_home *home)
{
    pthread_mutex_lock(&home->lock);
    home->has_news = true;
    pthread_cond_signal(&home->news);
    pthread_mutex_unlock(&home->lock);
}

static void await_news(struct plugin_home *home)
{
    pthread_mutex_lock(&home->lock);
    while (!home->has_news)
        pthread_cond_wait(&home->news, &home->lock);
    home->has_news = false;
    pthread_mutex_unlock(&home->lock);
}

void plugin_home_stop(struct plugin_home *home)
{
    if (home == NULL)
        return;
    home->is_over = true;
    hangs_forget(home);
    inbox_close(&home->inbox);
    for (unsigned i = 0; i < home->worker_count; i++) {
        inbox_close(&home->workers[i].inbox);
        shadows_drop(&home->workers[i]);
    }
    for (struct list *at = home->plugins.next; at != &home->plugins; at = at->next)
        self_retire(container_of(at, struct smarthop_self, among));
    run_inboxes(home);
    while (!list_is_empty(&home->plugins)) {
        await_news(home);
        run_inboxes(home);
    }
    run_inboxes(home); /* what came while the last was being stopped */
    log_flush();       /* what they said */
}
