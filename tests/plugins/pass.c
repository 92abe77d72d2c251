/* A plugin that has no opinion, for tests/bench/plugin_bench.c: what asking costs in itself. */
#include "plugins/smarthop_plugin.h"

static int start(const struct smarthop_host *host, struct smarthop_self *self, void **state_out)
{
    (void)host, (void)self;
    *state_out = NULL;
    return 0;
}

static int route(void *state, const struct smarthop_event *event, struct smarthop_verdict *verdict)
{
    (void)state, (void)event, (void)verdict;
    return SMARTHOP_DONE;
}

SMARTHOP_EXPORT const struct smarthop_plugin smarthop_plugin = {
    .magic = SMARTHOP_MAGIC,
    .abi_major = SMARTHOP_ABI_MAJOR,
    .abi_minor = SMARTHOP_ABI_MINOR,
    .size = sizeof(struct smarthop_plugin),
    .name = "pass",
    .version = "1.0",
    .summary = "has no opinion",
    .start = start,
    .hooks = {[SMARTHOP_ON_ROUTE] = route},
};
