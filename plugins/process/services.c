/* What plugins ask of their host that only the server has. The rest the host in this process does
 * itself. */
#include "plugins/process/process.h"

enum { METRICS_MS = 1000 }; /* between looks at what a plugin counts by itself */

static struct child *child_of(struct smarthop_self *self)
{
    return self->home->process;
}

/* The lane of what is going on under that token, and the server's name for it. */
static struct lane *lane_of(struct smarthop_self *self, uint64_t token, uint64_t *token_out)
{
    const struct plugin_run *run = token != 0 ? run_living(self, token) : NULL;

    *token_out = 0;
    if (run == NULL)
        return child_of(self)->lanes;
    const struct asked *asked = container_of(run, const struct asked, run);
    *token_out = asked->token;
    return asked->lane;
}

static void log_there(struct smarthop_self *self, uint64_t token, int level, const char *event,
                      const char *text)
{
    struct wire_log log = {
        .level = (uint32_t)level,
        .event = plugin_text(span_cstr(event)),
        .text = plugin_text(span_cstr(text)),
    };
    uint64_t theirs;
    struct lane *lane = lane_of(self, token, &theirs);

    if (level >= SMARTHOP_DEBUG && level <= SMARTHOP_ERROR)
        lane_send(lane, WIRE_LOG, theirs, wire_write_log, &log);
}

/* ---- metrics ------------------------------------------------------------------------------ */

/* The server makes them when it hears of them: with what `start` has said. */
static uint32_t metric_there(struct smarthop_self *self, enum smarthop_metric kind,
                             const char *name, const char *help)
{
    struct wire_ready *ready = &child_of(self)->ready;
    struct arena *arena = &child_of(self)->arena;

    if (child_of(self)->is_running || ready->metric_count == WIRE_METRICS_MOST || name == NULL ||
        help == NULL)
        return 0;
    struct span name_copy = arena_dup(arena, span_cstr(name));
    struct span help_copy = arena_dup(arena, span_cstr(help));
    ready->metrics[ready->metric_count++] =
        (struct wire_metric){kind, plugin_text(name_copy), plugin_text(help_copy)};
    return ready->metric_count;
}

static void metric_add_there(struct smarthop_self *self, uint32_t metric, uint64_t value)
{
    struct wire_count count = {metric, value};

    lane_send(child_of(self)->lanes, WIRE_COUNT, 0, wire_write_count, &count);
}

static void on_metrics(struct timer *timer)
{
    struct child *child = container_of(timer, struct child, metrics);
    struct smarthop_self *self = child->chain->plugins[0];

    self_enter(self);
    self->plugin.metrics(self->state);
    self_exit(self);
    timer_start(child->loop, timer, METRICS_MS, on_metrics);
}

/* The server shows what it has last heard. */
void services_begin(struct child *child)
{
    lane_flush(&child->lanes[child->lane_count - 1]);
    if (child->chain->plugins[0]->plugin.metrics != NULL)
        timer_start(child->loop, &child->metrics, METRICS_MS, on_metrics);
}

/* ---- answers that nobody waits for -------------------------------------------------------- */

/* The server counts them; the token is this process's own. */
void services_note_stray(struct smarthop_self *self, uint64_t token, enum stray kind)
{
    struct wire_parcel told = {.number = kind};

    lane_send(&child_of(self)->lanes[1], WIRE_STRAY, token, wire_write_parcel, &told);
}

/* ---- look-ups ----------------------------------------------------------------------------- */

/* In the look-up's arena. */
struct remote {
    struct list among;
    struct call call;
    struct plugin_lookup *lookup;
    uint64_t id;
};

static void on_done(struct call *call)
{
    struct plugin_lookup *lookup = container_of(call, struct remote, call)->lookup;

    lookup->call.done(&lookup->call);
}

/* In a moment: nothing is told from within. */
static void finish(struct child *child, struct remote *remote)
{
    list_remove(&remote->among);
    loop_defer(child->loop, &remote->call);
}

static void look_up_there(void *context, struct plugin_lookup *lookup)
{
    struct child *child = context;
    struct remote *remote = arena_alloc(lookup->arena, sizeof *remote);
    struct wire_lookup asked = {lookup->record,
                                smarthop_span_of(lookup->name.ptr, lookup->name.len)};

    list_init(&remote->call.link);
    list_init(&remote->among);
    list_append(&child->lookups, &remote->among);
    remote->call.done = on_done;
    remote->lookup = lookup;
    remote->id = ++child->next_lookup;
    lookup->own = remote;
    if (!lane_send(&child->lanes[1], WIRE_LOOKUP, remote->id, wire_write_lookup, &asked))
        finish(child, remote);
}

static void cancel_there(void *context, struct plugin_lookup *lookup)
{
    struct remote *remote = lookup->own;

    if (list_is_linked(&remote->among))
        finish(context, remote);
}

bool services_found(struct child *child, const struct wire_frame *frame)
{
    for (struct list *at = child->lookups.next; at != &child->lookups; at = at->next) {
        struct remote *remote = container_of(at, struct remote, among);
        if (remote->id != frame->token)
            continue;
        finish(child, remote);
        return wire_read_found(remote->lookup->arena, frame->body, &remote->lookup->answer);
    }
    return true; /* it has been cancelled */
}

void services_init(struct child *child)
{
    list_init(&child->lookups);
    child->backend = (struct plugin_backend){child, look_up_there, cancel_there};
    child->services = host_services;
    child->services.log = log_there;
    child->services.metric = metric_there;
    child->services.metric_add = metric_add_there;
    keep_init(child);
    content_init(child);
}
