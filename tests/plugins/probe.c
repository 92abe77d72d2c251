/* A plugin for tests: all that it does it gets from the desk. PROBE_* make it other than it should
 * be. */
#include "support/plugin_desk.h"

#include <stdlib.h>

#ifndef PROBE_FLAGS
#define PROBE_FLAGS 0
#endif
#ifndef PROBE_MAGIC
#define PROBE_MAGIC SMARTHOP_MAGIC
#endif
#ifndef PROBE_MAJOR
#define PROBE_MAJOR SMARTHOP_ABI_MAJOR
#endif
#ifndef PROBE_MINOR
#define PROBE_MINOR SMARTHOP_ABI_MINOR
#endif
#ifndef PROBE_SIZE
#define PROBE_SIZE sizeof(struct smarthop_plugin)
#endif
#ifndef PROBE_NAME
#define PROBE_NAME "probe"
#endif
#ifndef PROBE_VERSION
#define PROBE_VERSION "1.0"
#endif

static void note_inside(struct plugin_desk *desk)
{
    unsigned inside = atomic_fetch_add(&desk->inside, 1) + 1;
    unsigned most = atomic_load(&desk->inside_most);

    while (inside > most && !atomic_compare_exchange_weak(&desk->inside_most, &most, inside))
        ;
}

static int start(const struct smarthop_host *host, struct smarthop_self *self, void **state_out)
{
    struct plugin_desk *desk = NULL;

    if (host->option_count(self, "desk") == 0) {
        host->option_problem(self, NULL, 0, "it needs a desk");
        return -1;
    }
    desk = (struct plugin_desk *)(uintptr_t)strtoull(host->option_text(self, "desk", 0), NULL, 16);
    desk->host = host;
    desk->self = self;
    *state_out = desk;
    atomic_fetch_add(&desk->starts, 1);
    return desk->start != NULL ? desk->start(desk) : 0;
}

static void stop(void *state)
{
    struct plugin_desk *desk = state;

    if (desk->stop != NULL)
        desk->stop(desk);
    atomic_fetch_add(&desk->stops, 1);
}

static int self_test(void *state)
{
    return ((struct plugin_desk *)state)->self_test;
}

static void cancel(void *state, uint64_t token)
{
    struct plugin_desk *desk = state;

    atomic_store(&desk->cancelled, token);
    atomic_fetch_add(&desk->cancels, 1);
}

static int reload(void *state)
{
    struct plugin_desk *desk = state;

    atomic_fetch_add(&desk->reloads, 1);
    return desk->reload;
}

static void metrics(void *state)
{
    struct plugin_desk *desk = state;

    if (desk->metrics != NULL)
        desk->metrics(desk);
}

static int ask(void *state, const struct smarthop_event *event, struct smarthop_verdict *verdict)
{
    struct plugin_desk *desk = state;

    note_inside(desk);
    atomic_store(&desk->token, event->token);
    int answer = desk->ask != NULL ? desk->ask(desk, event, verdict) : SMARTHOP_DONE;
    atomic_fetch_sub(&desk->inside, 1);
    atomic_fetch_add(&desk->asked, 1);
    return answer;
}

#ifndef PROBE_STARTS
#define PROBE_STARTS true
#endif
#ifndef PROBE_SYMBOL
#define PROBE_SYMBOL smarthop_plugin
#endif

static const struct smarthop_option options[] = {
    {"desk", SMARTHOP_OPTION_TEXT, 0, NULL, 0, 0, "address of the desk"},
    {"text", SMARTHOP_OPTION_TEXT, 0, "some", 0, 8, "a text"},
    {"words", SMARTHOP_OPTION_TEXT, 1, NULL, 0, 0, "texts"},
    {"path", SMARTHOP_OPTION_PATH, 0, NULL, 0, 0, "a file"},
    {"number", SMARTHOP_OPTION_NUMBER, 0, "7", 1, 100, "a number"},
    {"bytes", SMARTHOP_OPTION_SIZE, 0, "4KiB", 0, 0, "a size"},
    {"time", SMARTHOP_OPTION_DURATION, 0, "2s", 0, 0, "a duration"},
    {"flag", SMARTHOP_OPTION_FLAG, 0, "yes", 0, 0, "a flag"},
#ifdef PROBE_OPTION
    {PROBE_OPTION, SMARTHOP_OPTION_TEXT, 0, NULL, 0, 0, "one that cannot be"},
#endif
};

SMARTHOP_EXPORT const struct smarthop_plugin PROBE_SYMBOL = {
    .magic = PROBE_MAGIC,
    .abi_major = PROBE_MAJOR,
    .abi_minor = PROBE_MINOR,
    .size = PROBE_SIZE,
    .flags = PROBE_FLAGS,
    .name = PROBE_NAME,
    .version = PROBE_VERSION,
    .summary = "does what a test wants",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .option_size = sizeof *options,
    .start = PROBE_STARTS ? start : NULL,
    .stop = stop,
    .self_test = self_test,
    .cancel = cancel,
    .reload = reload,
    .metrics = metrics,
    .hooks = {[SMARTHOP_ON_CONNECT] = ask,
              [SMARTHOP_ON_RCPT] = ask,
              [SMARTHOP_ON_MESSAGE] = ask,
              [SMARTHOP_ON_ROUTE] = ask,
              [SMARTHOP_ON_AFTER_ATTEMPT] = ask},
};
