/* The service of metrics: counters and histograms of a plugin's own. Counted by each processor for
 * itself, without locks. */
#include "plugins/host/private.h"

enum { METRICS_MOST = 64, NAME_MOST = 64 };

struct cell {
    _Alignas(64) _Atomic uint64_t value;
    _Atomic uint64_t count;
    _Atomic uint64_t steps[PLUGIN_METRIC_STEPS];
};

struct metric {
    enum smarthop_metric kind;
    char *name;
    char *help;
    struct cell *cells; /* as many as there are workers */
};

void metrics_free(struct smarthop_self *self)
{
    for (unsigned i = 0; i < self->metric_count; i++) {
        free(self->metrics[i].name);
        free(self->metrics[i].help);
        free(self->metrics[i].cells);
    }
    free(self->metrics);
    self->metrics = NULL;
    self->metric_count = 0;
}

bool metric_is_name(const char *name)
{
    size_t len = name != NULL ? strlen(name) : 0;

    return len > 0 && len <= NAME_MOST &&
           strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_") == len;
}

static uint32_t find(const struct smarthop_self *self, const char *name)
{
    for (uint32_t i = 0; i < self->metric_count; i++)
        if (strcmp(self->metrics[i].name, name) == 0)
            return i + 1;
    return 0;
}

uint32_t service_metric(struct smarthop_self *self, enum smarthop_metric kind, const char *name,
                        const char *help)
{
    if (self->problems == NULL || kind > SMARTHOP_HISTOGRAM || help == NULL ||
        !metric_is_name(name))
        return 0; /* its `start` is over, or it is none */
    uint32_t known = find(self, name);
    if (known != 0 || self->metric_count == METRICS_MOST)
        return known;
    if (self->metrics == NULL)
        self->metrics = mem_zalloc(METRICS_MOST * sizeof *self->metrics);
    size_t size = self->home->worker_count * sizeof(struct cell);
    struct cell *cells = aligned_alloc(_Alignof(struct cell), size);
    if (cells == NULL)
        abort();
    memset(cells, 0, size);
    self->metrics[self->metric_count] =
        (struct metric){kind, mem_strdup(name), mem_strdup(help), cells};
    return ++self->metric_count;
}

static unsigned step_of(uint64_t value)
{
    return value == 0 ? 0 : 64 - (unsigned)__builtin_clzll(value);
}

static void add(_Atomic uint64_t *to, uint64_t value)
{
    atomic_fetch_add_explicit(to, value, memory_order_relaxed);
}

void service_metric_add(struct smarthop_self *self, uint32_t metric, uint64_t value)
{
    if (metric == 0 || metric > self->metric_count)
        return;
    const struct metric *to = &self->metrics[metric - 1];
    struct cell *cell = &to->cells[(unsigned)sched_getcpu() % self->home->worker_count];
    add(&cell->value, value);
    if (to->kind != SMARTHOP_HISTOGRAM)
        return;
    add(&cell->count, 1);
    add(&cell->steps[step_of(value)], 1);
}

static uint64_t read_count(const _Atomic uint64_t *from)
{
    return atomic_load_explicit(from, memory_order_relaxed);
}

static void sum_up(const struct smarthop_self *self, const struct metric *metric,
                   struct plugin_metric *out)
{
    *out = (struct plugin_metric){
        .plugin = self->name, .name = metric->name, .help = metric->help, .kind = metric->kind};
    for (unsigned i = 0; i < self->home->worker_count; i++) {
        const struct cell *cell = &metric->cells[i];
        out->value += read_count(&cell->value);
        out->count += read_count(&cell->count);
        for (unsigned step = 0; step < PLUGIN_METRIC_STEPS; step++)
            out->steps[step] += read_count(&cell->steps[step]);
    }
}

void plugin_chain_metrics(const struct plugin_chain *chain, plugin_metric_visit *visit,
                          void *context)
{
    struct plugin_metric metric;

    for (unsigned i = 0; i < plugin_chain_count(chain); i++) {
        struct smarthop_self *self = chain->plugins[i];
        if (self->plugin.metrics != NULL) {
            self_enter(self);
            self->plugin.metrics(self->state);
            self_exit(self);
        }
        for (unsigned k = 0; k < self->metric_count; k++) {
            sum_up(self, &self->metrics[k], &metric);
            visit(context, &metric);
        }
    }
}
