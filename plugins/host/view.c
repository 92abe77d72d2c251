/* What operators see of plugins. */
#include "plugins/host/private.h"

#include "base/clock.h"

const char *plugin_action_name(enum smarthop_action action)
{
    static const char *const names[SMARTHOP_ACTIONS] = {
        [SMARTHOP_PASS] = "pass",       [SMARTHOP_SEND] = "send",
        [SMARTHOP_REWRITE] = "rewrite", [SMARTHOP_DEFER] = "defer",
        [SMARTHOP_REJECT] = "reject",   [SMARTHOP_HOLD] = "hold",
        [SMARTHOP_DISCARD] = "discard", [SMARTHOP_ACCEPT] = "accept",
    };

    return names[action];
}

const char *plugin_hook_name(enum smarthop_hook hook)
{
    static const char *const names[SMARTHOP_HOOKS] = {
        [SMARTHOP_ON_CONNECT] = "connect",
        [SMARTHOP_ON_HELO] = "helo",
        [SMARTHOP_ON_AUTH] = "auth",
        [SMARTHOP_ON_MAIL] = "mail",
        [SMARTHOP_ON_RCPT] = "rcpt",
        [SMARTHOP_ON_HEADERS] = "headers",
        [SMARTHOP_ON_MESSAGE] = "message",
        [SMARTHOP_ON_ROUTE] = "route",
        [SMARTHOP_ON_TARGETS] = "targets",
        [SMARTHOP_ON_BEFORE_ATTEMPT] = "before-attempt",
        [SMARTHOP_ON_AFTER_ATTEMPT] = "after-attempt",
        [SMARTHOP_ON_BOUNCE] = "bounce",
    };

    return names[hook];
}

unsigned plugin_chain_count(const struct plugin_chain *chain)
{
    return chain != NULL ? chain->count : 0;
}

static uint64_t read_count(const _Atomic uint64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

static void add(struct plugin_view *out, const struct tally *from)
{
    out->asked += read_count(&from->asked);
    out->pending += read_count(&from->pending);
    out->timed_out += read_count(&from->timed_out);
    out->late += read_count(&from->late);
    out->twice += read_count(&from->twice);
    out->broken += read_count(&from->broken);
    out->invalid += read_count(&from->invalid);
    out->slow += read_count(&from->slow);
    out->bypassed += read_count(&from->bypassed);
    out->differs += read_count(&from->differs);
    for (unsigned i = 0; i < SMARTHOP_ACTIONS; i++)
        out->actions[i] += read_count(&from->actions[i]);
    for (unsigned i = 0; i < PLUGIN_LATENCIES; i++)
        out->latencies[i] += read_count(&from->latencies[i]);
}

void plugin_chain_view(const struct plugin_chain *chain, unsigned index, struct plugin_view *out)
{
    const struct smarthop_self *self = chain->plugins[index];

    *out = (struct plugin_view){
        .name = self->name,
        .version = self->plugin.version,
        .summary = self->plugin.summary,
        .file = self->file,
        .is_shadow = self->is_shadow,
        .is_process = self->proxy != NULL,
        .is_bypassed =
            atomic_load_explicit(&self->bypassed_until, memory_order_relaxed) > clock_mono_ms(),
        .fail_mode = self->fail_mode,
    };
    for (unsigned hook = 0; hook < SMARTHOP_HOOKS; hook++)
        out->hooks |= self->plugin.hooks[hook] != NULL ? 1u << hook : 0;
    for (unsigned i = 0; i < self->home->worker_count; i++)
        add(out, &self->tallies[i]);
}
