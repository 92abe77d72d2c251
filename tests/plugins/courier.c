/*
 * A plugin for tests that looks at deliveries: it tells each outcome in the log, and does what its
 * options say. Before an attempt it promises its answer, and gives it from a timer.
 */
#include <smarthop_plugin.h>

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

struct courier {
    const struct smarthop_host *host;
    struct smarthop_self *self;
    atomic_uint asked; /* before attempts */
};

struct promise {
    struct courier *courier;
    uint64_t token;
    bool defer;
};

static int start(const struct smarthop_host *host, struct smarthop_self *self, void **state_out)
{
    struct courier *courier = calloc(1, sizeof *courier);

    if (courier == NULL)
        return -1;
    courier->host = host;
    courier->self = self;
    *state_out = courier;
    return 0;
}

static void stop(void *state)
{
    free(state);
}

static bool is_set(struct courier *courier, const char *option)
{
    return courier->host->option_number(courier->self, option, 0) != 0;
}

static void tell_targets(struct courier *courier, const struct smarthop_event *event)
{
    char text[512];
    size_t len = 0;

    for (uint32_t i = 0; i < event->target_count && len < sizeof text; i++) {
        const struct smarthop_target *target =
            (const void *)((const char *)event->targets + i * event->target_stride);
        len += (size_t)snprintf(text + len, sizeof text - len, "%s%.*s %u", i > 0 ? ", " : "",
                                (int)target->host.len, target->host.ptr, target->preference);
    }
    courier->host->log(courier->self, event->token, SMARTHOP_INFO, "targets", text);
}

static int targets(void *state, const struct smarthop_event *event,
                   struct smarthop_verdict *verdict)
{
    struct courier *courier = state;
    struct smarthop_target *chosen;

    if (is_set(courier, "tell_targets"))
        tell_targets(courier, event);
    if (!is_set(courier, "last_target"))
        return SMARTHOP_DONE;
    chosen = courier->host->alloc(courier->self, event->token, sizeof *chosen);
    memcpy(chosen, (const char *)event->targets + (event->target_count - 1) * event->target_stride,
           sizeof *chosen);
    verdict->targets = chosen;
    verdict->target_count = 1;
    return SMARTHOP_DONE;
}

static void keep_promise(void *context)
{
    struct promise *promise = context;
    struct courier *courier = promise->courier;
    struct smarthop_verdict verdict = {.size = sizeof verdict};

    if (promise->defer) {
        verdict.action = SMARTHOP_DEFER;
        verdict.delay = courier->host->option_number(courier->self, "put_off_for", 0);
        verdict.text = SMARTHOP_TEXT("not the first time");
    }
    courier->host->complete(courier->self, promise->token, &verdict);
    free(promise);
}

static int before(void *state, const struct smarthop_event *event, struct smarthop_verdict *verdict)
{
    struct courier *courier = state;
    struct promise *promise = calloc(1, sizeof *promise);

    (void)verdict;
    if (promise == NULL)
        return SMARTHOP_BROKEN;
    promise->courier = courier;
    promise->token = event->token;
    promise->defer = atomic_fetch_add(&courier->asked, 1) <
                     courier->host->option_number(courier->self, "put_off", 0);
    courier->host->timer_start(courier->self, 0, 5, keep_promise, promise);
    return SMARTHOP_PENDING;
}

static int after(void *state, const struct smarthop_event *event, struct smarthop_verdict *verdict)
{
    static const char *const outcomes[] = {"delivered", "deferred", "failed", "expired"};
    struct courier *courier = state;
    const struct smarthop_attempt *attempt = event->attempt;
    char text[512];

    (void)verdict;
    snprintf(text, sizeof text, "%.*s %s %u %.*s %.*s", (int)event->recipient->address.len,
             event->recipient->address.ptr, outcomes[attempt->outcome], attempt->code,
             (int)attempt->address.len, attempt->address.ptr, (int)attempt->reply.len,
             attempt->reply.ptr);
    courier->host->log(courier->self, event->token, SMARTHOP_INFO, "outcome", text);
    return SMARTHOP_DONE;
}

static int bounce(void *state, const struct smarthop_event *event, struct smarthop_verdict *verdict)
{
    (void)event;
    if (is_set(state, "no_bounces"))
        verdict->action = SMARTHOP_DISCARD;
    return SMARTHOP_DONE;
}

static const struct smarthop_option options[] = {
    {"last_target", SMARTHOP_OPTION_FLAG, 0, "no", 0, 0, "Only the last host of each next hop."},
    {"tell_targets", SMARTHOP_OPTION_FLAG, 0, "no", 0, 0, "All hosts go to the log."},
    {"put_off", SMARTHOP_OPTION_NUMBER, 0, "0", 0, 1000, "How many attempts are put off."},
    {"put_off_for", SMARTHOP_OPTION_NUMBER, 0, "100", 0, 0, "For how many milliseconds."},
    {"no_bounces", SMARTHOP_OPTION_FLAG, 0, "no", 0, 0, "No sender is told of failures."},
};

SMARTHOP_EXPORT const struct smarthop_plugin smarthop_plugin = {
    .magic = SMARTHOP_MAGIC,
    .abi_major = SMARTHOP_ABI_MAJOR,
    .abi_minor = SMARTHOP_ABI_MINOR,
    .size = sizeof smarthop_plugin,
    .name = "courier",
    .version = "1",
    .summary = "looks at deliveries",
    .options = options,
    .option_count = sizeof options / sizeof options[0],
    .option_size = sizeof options[0],
    .fail_mode = SMARTHOP_FAIL_OPEN,
    .start = start,
    .stop = stop,
    .hooks = {[SMARTHOP_ON_TARGETS] = targets,
              [SMARTHOP_ON_BEFORE_ATTEMPT] = before,
              [SMARTHOP_ON_AFTER_ATTEMPT] = after,
              [SMARTHOP_ON_BOUNCE] = bounce},
};
