/* What is told of destinations to operators: a few at a time, on their owner's loop. */
#include "schedule/private.h"

#include "proto/ip.h"

#include <stdio.h>

/* A place in the table: its bucket, and how many of that have been told. */
enum { PLACE_BITS = 16, PLACE_MASK = (1 << PLACE_BITS) - 1 };

static const char *health_of(const struct site *site, const struct target *target)
{
    struct health_host host = {.group = site->group, .address = &target->address};

    if (!origins_serve(site, target))
        return "unusable";
    if (site->target_count == 1)
        return "good"; /* the site backs off as a whole */
    switch (health_look(budgets_health(site->owner->set->budgets), &host,
                        loop_now(site->owner->loop))) {
    case HEALTH_GOOD:
        break;
    case HEALTH_DUE:
        return "due";
    case HEALTH_DOWN:
        return "down";
    }
    return "good";
}

static void describe_hosts(const struct site *site, struct schedule_destination *out)
{
    for (unsigned i = 0; i < site->target_count; i++) {
        const struct target *target = &site->targets[i];
        struct schedule_host *host = &out->hosts[out->host_count++];
        host->name = target->host;
        host->address[0] = '\0';
        if (target->address.ss_family != AF_UNIX)
            sockaddr_format((const struct sockaddr *)&target->address, host->address);
        host->health = health_of(site, target);
        host->connections = target->connections;
    }
}

static void describe_site(const struct site *site, struct schedule_destination *out)
{
    const struct scheduler *s = site->owner;
    struct budget_state state;
    uint64_t until = 0;

    budget_state(site->budget, &state);
    out->site = site->key;
    out->connections = state.connections;
    out->connections_allowed = state.allowed;
    out->connections_most = site->shape.limits.connections;
    out->failures = state.failures;
    enum budget_answer answer = budget_look(site->budget, loop_now(s->loop), &until);
    if (answer == BUDGET_RATE)
        out->rate_until = scheduler_wall(s, until);
    else if (answer == BUDGET_BACK_OFF)
        out->back_off_until = scheduler_wall(s, until);
    describe_hosts(site, out);
}

static void explain_status(const struct status *why, struct schedule_destination *out)
{
    char code[ENHANCED_CODE_TEXT_MAX];

    enhanced_code_format(why->enhanced, code);
    if (why->code != 0)
        snprintf(out->why, sizeof out->why, "%u %s%s%.*s%s%.*s%s", why->code, code,
                 code[0] ? " " : "", SPAN_ARG(why->text), why->by.len ? " (" : "",
                 SPAN_ARG(why->by), why->by.len ? ")" : "");
}

/* The first thing that keeps it from sending, or what it does. */
static const char *state_of(const struct destination *d, const struct schedule_destination *seen)
{
    bool is_closed = seen->back_off_until != 0;

    if (seen->suspended_until != 0)
        return "suspended";
    if (is_closed)
        return d->resolve_failure.code != 0 ? "dns" : "backoff";
    if (d->resolving)
        return "lookup";
    if (seen->ready > 0 && seen->rate_until != 0)
        return "rate";
    if (seen->under_way > 0)
        return "sending";
    if (seen->ready > 0)
        return seen->connections >= seen->connections_allowed ? "connection" : "ready";
    return d->store_due != UINT64_MAX ? "waiting" : "idle";
}

static void describe(const struct destination *d, struct schedule_destination *out)
{
    const struct scheduler *s = d->owner;
    const struct queue_suspension *suspension =
        suspensions_find(s->suspensions, d->next_hop_text, d->site);

    *out = (struct schedule_destination){
        .key = d->key,
        .next_hop = d->next_hop_text.len > 0 ? d->next_hop_text : route_destination_place(d->key),
        .tenant = d->tenant.len > 0 ? d->tenant : route_destination_tenant(d->key),
        .ready = d->ready.count,
        .under_way = d->job_count - d->ready.count,
        .store_due = d->store_due != UINT64_MAX ? d->store_due : 0,
        .failures = d->failures,
    };
    if (d->site != NULL)
        describe_site(d->site, out);
    if (d->back_off_until > loop_now(s->loop))
        out->back_off_until = scheduler_wall(s, d->back_off_until);
    if (suspension != NULL) {
        out->suspended_until = suspension->until;
        snprintf(out->why, sizeof out->why, "%.*s", SPAN_ARG(suspension->reason));
    } else if (out->back_off_until != 0 || out->failures > 0) {
        explain_status(&d->failure, out);
    }
    out->state = state_of(d, out);
}

bool schedule_describe(const struct scheduler *s, unsigned *place, schedule_tell_destination *tell,
                       void *context)
{
    unsigned bucket = *place >> PLACE_BITS, passed = *place & PLACE_MASK, told = 0;
    struct schedule_destination seen;

    for (; bucket < TABLE_BUCKETS; bucket++, passed = 0) {
        unsigned at = 0;
        for (const struct destination *d = s->destinations[bucket]; d != NULL; d = d->next) {
            if (at++ < passed)
                continue;
            if (told == SCHEDULE_STEP) {
                *place = bucket << PLACE_BITS | passed;
                return true;
            }
            describe(d, &seen);
            tell(&seen, context);
            passed++;
            told++;
        }
    }
    return false;
}
