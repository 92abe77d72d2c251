/* The table of services that a plugin is given. */
#include "plugins/host/private.h"

#include "base/clock.h"
#include "base/log.h"

const struct plugin_run *run_living(struct smarthop_self *self, uint64_t token)
{
    struct plugin_worker *worker = token_worker(self->home, token);
    struct slot *slot = token != 0 && worker != NULL ? token_living(worker, token) : NULL;

    return slot != NULL ? slot->run : NULL;
}

/* On the event's own thread only, as the header asks: nobody else knows whether it is over. */
static void *service_alloc(struct smarthop_self *self, uint64_t token, size_t size)
{
    const struct plugin_run *run = run_living(self, token);

    return run != NULL && size <= ALLOC_MOST ? arena_alloc(run->arena, size) : NULL;
}

static void log_about(struct log_line *line, const struct plugin_run *run, uint64_t token)
{
    if (run == NULL) {
        log_u64(line, "token", token);
        return;
    }
    log_text(line, "hook", plugin_hook_name(run->hook));
    event_log(line, &run->event);
}

static bool is_on_loop(struct plugin_home *home)
{
    for (unsigned i = 0; i < home->worker_count; i++)
        if (worker_is_here(&home->workers[i]))
            return true;
    return false;
}

void service_log(struct smarthop_self *self, uint64_t token, int level, const char *event,
                 const char *text)
{
    static const enum log_level levels[] = {
        [SMARTHOP_DEBUG] = LOG_DEBUG,
        [SMARTHOP_INFO] = LOG_INFO,
        [SMARTHOP_WARN] = LOG_WARN,
        [SMARTHOP_ERROR] = LOG_ERROR,
    };
    struct log_line line;

    if (level < SMARTHOP_DEBUG || level > SMARTHOP_ERROR ||
        !log_begin(&line, levels[level], "plugin"))
        return;
    log_text(&line, "plugin", self->name);
    log_text(&line, "what", event);
    if (token != 0)
        log_about(&line, run_living(self, token), token);
    log_text(&line, "text", text);
    log_end(&line);
    if (!is_on_loop(self->home))
        log_flush(); /* nobody else does on this thread, maybe for long */
}

static uint64_t service_now(struct smarthop_self *self)
{
    (void)self;
    return clock_mono_ms();
}

static uint64_t service_wall_time(struct smarthop_self *self)
{
    (void)self;
    return clock_wall_ms();
}

const struct smarthop_host host_services = {
    .size = sizeof host_services,
    .abi_major = SMARTHOP_ABI_MAJOR,
    .abi_minor = SMARTHOP_ABI_MINOR,
    .version = SMARTHOP_VERSION,
    .complete = service_complete,
    .alloc = service_alloc,
    .log = service_log,
    .now = service_now,
    .wall_time = service_wall_time,
    .random = service_random,
    .option_count = service_option_count,
    .option_text = service_option_text,
    .option_number = service_option_number,
    .option_problem = service_option_problem,
    .timer_start = service_timer_start,
    .timer_stop = task_stop,
    .dns = service_dns,
    .watch = service_watch,
    .unwatch = task_stop,
    .work = service_work,
    .body_read = service_body_read,
    .body_write = service_body_write,
    .metric = service_metric,
    .metric_add = service_metric_add,
    .kv_get = service_kv_get,
    .kv_put = service_kv_put,
};
