/* The table of services that a plugin is given here. */
#include "plugins/kit/private.h"

#include <string.h>
#include <unistd.h>

/* What wall_time begins with: 2026-01-01, so that what a plugin writes is the same each time. */
enum { WALL_START_S = 1767225600 };

static void service_complete(struct smarthop_self *self, uint64_t token,
                             const struct smarthop_verdict *verdict)
{
    struct kit *kit = self->kit;
    const char *problem = NULL;
    uint64_t one = 1;

    pthread_mutex_lock(&kit->lock);
    struct asking *asking = asking_find(kit, token);
    if (asking == NULL)
        problem = "it completes a token that there never was";
    else if (asking->completions > 0)
        problem = "it completes the same token twice";
    else if (asking->is_over && !asking->is_given_up)
        problem = "it completes what it has answered at once";
    else if (!asking->is_over && verdict != NULL)
        asking->problem = verdict_copy(&asking->arena, verdict, &asking->verdict);
    else if (!asking->is_over)
        asking->is_broken = true;
    if (asking != NULL)
        asking->completions++;
    pthread_mutex_unlock(&kit->lock);
    if (problem != NULL)
        record_problem(kit, problem);
    if (write(kit->wake, &one, sizeof one) < 0)
        abort();
}

static void *service_alloc(struct smarthop_self *self, uint64_t token, size_t size)
{
    struct kit *kit = self->kit;
    void *memory = NULL;

    pthread_mutex_lock(&kit->lock);
    struct asking *asking = asking_find(kit, token);
    if (asking != NULL && !asking->is_over && size <= ALLOC_MOST)
        memory = arena_alloc(&asking->arena, size);
    pthread_mutex_unlock(&kit->lock);
    return memory;
}

static void service_log(struct smarthop_self *self, uint64_t token, int level, const char *event,
                        const char *text)
{
    (void)token;
    record_log(self->kit, level, event, text);
}

static uint64_t service_now(struct smarthop_self *self)
{
    struct kit *kit = self->kit;

    pthread_mutex_lock(&kit->lock);
    uint64_t now = kit->now;
    pthread_mutex_unlock(&kit->lock);
    return now;
}

static uint64_t service_wall_time(struct smarthop_self *self)
{
    return WALL_START_S * UINT64_C(1000) + service_now(self);
}

/* Whether the body may be read or written now; NULL = it may not. */
static struct asking *reader(struct kit *kit, uint64_t token)
{
    struct asking *asking = NULL;

    pthread_mutex_lock(&kit->lock);
    if (token != 0 && kit->working == token)
        asking = asking_find(kit, token);
    bool is_wrong = asking == NULL || asking->hook != SMARTHOP_ON_MESSAGE;
    bool is_gone = !is_wrong && asking->is_over;
    pthread_mutex_unlock(&kit->lock);
    if (is_wrong)
        record_problem(kit, "it reads or writes a body outside of the work of a message event");
    return is_wrong || is_gone ? NULL : asking;
}

static int64_t service_body_read(struct smarthop_self *self, uint64_t token, uint64_t offset,
                                 void *bytes, size_t len)
{
    struct kit *kit = self->kit;
    struct span rest = span_from(buf_span(&kit->message), offset);

    if (reader(kit, token) == NULL)
        return -1;
    rest = span_head(rest, len);
    if (rest.len > 0)
        memcpy(bytes, rest.ptr, rest.len);
    return (int64_t)rest.len;
}

static int service_body_write(struct smarthop_self *self, uint64_t token, const void *bytes,
                              size_t len)
{
    struct asking *asking = reader(self->kit, token);

    if (asking == NULL)
        return -1;
    buf_add(&asking->body, span_of(bytes, len));
    return 0;
}

const struct smarthop_host kit_services = {
    .size = sizeof kit_services,
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
    .timer_start = kit_timer_start,
    .timer_stop = kit_timer_stop,
    .dns = kit_dns,
    .watch = kit_watch,
    .unwatch = kit_unwatch,
    .work = kit_work,
    .body_read = service_body_read,
    .body_write = service_body_write,
    .metric = kit_metric,
    .metric_add = kit_metric_add,
    .kv_get = kit_kv_get,
    .kv_put = kit_kv_put,
};
