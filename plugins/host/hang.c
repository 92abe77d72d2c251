/* Tells of plugins that do not come back to a thread that serves mail: nobody there is served
 * meanwhile, and nothing can be done about it in this process, but an operator should know whom to
 * blame. Looked after on the main thread. */
#include "plugins/host/private.h"

#include "base/clock.h"

enum { LOOK_MS = 1000 };

static void tell(const struct smarthop_self *self, enum smarthop_hook hook, uint64_t ms)
{
    struct log_line line;

    if (!log_begin(&line, LOG_ERROR, "plugin-hangs"))
        return;
    log_text(&line, "plugin", self->name);
    log_text(&line, "hook", plugin_hook_name(hook));
    log_u64(&line, "ms", ms);
    log_text(&line, "text", "it does not return, and its thread serves nobody until it does");
    log_end(&line);
    log_flush();
}

/* The plugin stays while this looks at it: chains that ask it are let go of on this thread. */
static void look_at(struct plugin_worker *worker)
{
    const struct smarthop_self *self = atomic_load_explicit(&worker->inside, memory_order_acquire);
    uint64_t since = atomic_load_explicit(&worker->inside_since, memory_order_relaxed);
    uint64_t now = clock_mono_ns(), ms = now > since ? (now - since) / 1000000 : 0;

    if (self == NULL || ms < self->timeout_ms || since == worker->told_since)
        return;
    worker->told_since = since;
    tell(self, atomic_load_explicit(&worker->inside_hook, memory_order_relaxed), ms);
}

static void on_look(struct timer *timer)
{
    struct plugin_home *home = container_of(timer, struct plugin_home, look);

    for (unsigned i = 0; i < home->worker_count; i++)
        look_at(&home->workers[i]);
    timer_start(home->main, timer, LOOK_MS, on_look);
}

/* Processes are watched by their couriers. */
void hangs_watch(const struct plugin_chain *chain)
{
    struct plugin_home *home = chain->home;
    bool is_needed = false;

    for (unsigned i = 0; i < chain->count; i++)
        is_needed = is_needed || chain->plugins[i]->proxy == NULL;
    if (is_needed && home->process == NULL && !timer_is_active(&home->look))
        timer_start(home->main, &home->look, LOOK_MS, on_look);
}

void hangs_forget(struct plugin_home *home)
{
    if (home->main != NULL)
        timer_stop(home->main, &home->look);
}
