/* The service of blocking work. Unlike a task it cannot be dropped: its plugin is not stopped
 * before it is done. */
#include "plugins/host/private.h"

struct job {
    struct list link; /* worker's jobs */
    struct call call; /* on its way to the worker's thread */
    struct work work;
    struct smarthop_self *self;
    struct plugin_worker *worker;
    bool has_run; /* under home's lock */
    bool is_done; /* the loop ended before it could tell */
    void (*run)(void *context);
    void (*done)(void *context);
    void *context;
};

static void finish(struct job *job)
{
    list_remove(&job->link);
    self_enter(job->self);
    job->done(job->context);
    self_exit(job->self);
    self_release(job->self);
}

static void run(struct work *work)
{
    struct job *job = container_of(work, struct job, work);
    struct plugin_home *home = job->worker->home;

    job->run(job->context);
    pthread_mutex_lock(&home->lock);
    job->has_run = true;
    home->has_news = true;
    pthread_cond_signal(&home->news);
    pthread_mutex_unlock(&home->lock);
}

static void on_worked(struct call *call)
{
    struct job *job = container_of(call, struct job, work.call);

    if (!job->is_done)
        finish(job);
    free(job);
}

static bool has_run(struct job *job)
{
    struct plugin_home *home = job->worker->home;

    pthread_mutex_lock(&home->lock);
    bool it_has = job->has_run;
    pthread_mutex_unlock(&home->lock);
    return it_has;
}

/* The loop will let go of them when it is freed. */
void jobs_settle(struct plugin_worker *worker)
{
    for (struct list *at = worker->jobs.next, *next; at != &worker->jobs; at = next) {
        struct job *job = container_of(at, struct job, link);
        next = at->next;
        if (!has_run(job))
            continue;
        job->is_done = true;
        finish(job);
    }
}

static void on_arrive(struct call *call)
{
    struct job *job = container_of(call, struct job, call);

    list_append(&job->worker->jobs, &job->link);
    if (!job->worker->home->is_over) {
        loop_work(job->worker->loop, &job->work);
        return;
    }
    job->run(job->context);
    finish(job);
    free(job);
}

bool work_start(struct smarthop_self *self, uint64_t token, void (*run_it)(void *context),
                void (*done)(void *context), void *context)
{
    struct plugin_worker *worker = token_worker(self->home, token);

    if (worker == NULL || !self_hold(self))
        return false;
    struct job *job = mem_zalloc(sizeof *job);
    list_init(&job->link);
    list_init(&job->call.link);
    job->call.done = on_arrive;
    job->work.run = run;
    job->work.call.done = on_worked;
    job->self = self;
    job->worker = worker;
    job->run = run_it;
    job->done = done;
    job->context = context;
    inbox_post(&worker->inbox, &job->call);
    return true;
}

void service_work(struct smarthop_self *self, uint64_t token, void (*run_it)(void *context),
                  void (*done)(void *context), void *context)
{
    work_start(self, token, run_it, done, context);
}
