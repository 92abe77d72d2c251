/*
 * failover: groups of next hops that stand for each other. Each message goes to one of those of its
 * group that serve, by priorities and weights, the others behind it; which of them serve is learnt
 * from what comes of attempts. The state is in memory alone.
 */
#include "groups.h"

#include <ctype.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

enum sticky { STICKY_NONE, STICKY_SENDER, STICKY_TENANT, STICKY_DOMAIN, STICKY_USER };

struct failover {
    const struct smarthop_host *host;
    struct smarthop_self *self;
    struct health *health;
    struct group *groups;
    uint32_t group_count;
    struct group_route *routes;
    const struct group **targets; /* of each route */
    uint32_t route_count;
    enum sticky sticky;
    atomic_uint_fast64_t turn;
    uint32_t downs;
};

static struct smarthop_span option(const struct failover *f, const char *name, uint32_t index)
{
    const char *text = f->host->option_text(f->self, name, index);

    return smarthop_span_of(text, strlen(text));
}

/* ---- routes --------------------------------------------------------------------------------- */

/* Without stickiness the recipients of one message stay together, so that it is sent once. */
static uint64_t key_of(struct failover *f, const struct smarthop_event *event)
{
    const struct smarthop_message *message = event->message;

    switch (f->sticky) {
    case STICKY_SENDER:
        return group_hash(0, message->sender);
    case STICKY_TENANT:
        return group_hash(0, message->tenant);
    case STICKY_DOMAIN:
        return group_hash(0, event->recipient->domain);
    case STICKY_USER:
        if (event->session != NULL && event->session->user.len > 0)
            return group_hash(0, event->session->user);
        return group_hash(0, message->sender);
    default:
        if (event->session == NULL || message->arrival == 0)
            return atomic_fetch_add(&f->turn, 1);
        return group_hash(event->session->id ^ message->arrival << 20, message->sender);
    }
}

static int route(void *state, const struct smarthop_event *event, struct smarthop_verdict *verdict)
{
    struct failover *f = state;
    uint32_t i = 0;

    while (i < f->route_count && !group_route_suits(&f->routes[i], event->recipient->domain))
        i++;
    if (i == f->route_count)
        return SMARTHOP_DONE;
    const struct group *group = f->targets[i];
    struct smarthop_next_hop *next_hops =
        f->host->alloc(f->self, event->token, group->count * sizeof *next_hops);
    if (next_hops == NULL)
        return SMARTHOP_BROKEN;
    group_order(group, f->health, key_of(f, event), f->host->now(f->self), next_hops);
    verdict->action = SMARTHOP_SEND;
    verdict->next_hops = next_hops;
    verdict->next_hop_count = group->count;
    verdict->why = group->name;
    return SMARTHOP_DONE;
}

/* ---- outcomes ------------------------------------------------------------------------------- */

static bool is_of_a_name(char c)
{
    return isalnum((unsigned char)c) || c == '.' || c == '-' || c == '_';
}

/* Whether the `len` bytes at `at` are a host of the text, and not a part of one. */
static bool stands_alone(struct smarthop_span text, const char *at, size_t len)
{
    const char *end = text.ptr + text.len;
    bool is_bracketed = at > text.ptr && at[-1] == '[' && at + len < end && at[len] == ']';

    if (memchr(at, ':', len) != NULL)
        return is_bracketed;
    return (at == text.ptr || !is_of_a_name(at[-1])) && (at + len == end || !is_of_a_name(at[len]));
}

/* Where a host stands in the text of a next hop, "hosts:[192.0.2.1]:25,mail.test:25;...". */
static const char *place_of(struct smarthop_span text, struct smarthop_span name)
{
    size_t from = 0;

    while (from < text.len) {
        const char *at = memmem(text.ptr + from, text.len - from, name.ptr, name.len);
        if (at == NULL || stands_alone(text, at, name.len))
            return at;
        from = (size_t)(at - text.ptr) + 1;
    }
    return NULL;
}

static bool is_named(struct smarthop_span text, struct smarthop_span name)
{
    if (text.len > 2 && text.ptr[0] == '[')
        text = smarthop_span_of(text.ptr + 1, text.len - 2);
    return smarthop_equal(text, name);
}

static void tell(struct failover *f, uint32_t number, const char *event)
{
    struct smarthop_span name = health_name(f->health, number);
    char text[300];

    snprintf(text, sizeof text, "%.*s", (int)name.len, name.ptr);
    f->host->log(f->self, 0, SMARTHOP_WARN, event, text);
}

static uint64_t message_of(const struct smarthop_event *event)
{
    return event->message != NULL ? event->message->id : 0;
}

static void fail(struct failover *f, uint32_t number, uint64_t message)
{
    if (!health_failed(f->health, number, message, f->host->now(f->self)))
        return;
    f->host->metric_add(f->self, f->downs, 1);
    tell(f, number, "host-down");
}

static void succeed(struct failover *f, uint32_t number)
{
    if (health_succeeded(f->health, number))
        tell(f, number, "host-up");
}

/* It closes, has trouble of its own (x.3.z), or cannot be reached (x.4.z). Other deferrals tell
 * nothing. */
static bool is_trouble(const struct smarthop_attempt *attempt)
{
    return attempt->code == 0 || attempt->code == 421 || attempt->enhanced[1] == 3 ||
           attempt->enhanced[1] == 4;
}

/* A host that has said something about the message serves. */
static void judge(struct failover *f, uint32_t number, const struct smarthop_event *event)
{
    const struct smarthop_attempt *attempt = event->attempt;
    bool is_temporary =
        attempt->outcome == SMARTHOP_DEFERRED || attempt->outcome == SMARTHOP_EXPIRED;

    if (!is_temporary)
        succeed(f, number);
    else if (is_trouble(attempt))
        fail(f, number, message_of(event));
}

/* None of them was reached. All that waited for them tell so: it has happened once. */
static void judge_all(struct failover *f, const struct smarthop_attempt *attempt)
{
    static const uint64_t all_messages = UINT64_MAX;

    if (attempt->outcome != SMARTHOP_DEFERRED || !is_trouble(attempt))
        return;
    for (uint32_t i = 0; i < health_count(f->health); i++)
        if (place_of(attempt->next_hop, health_name(f->health, i)) != NULL)
            fail(f, i, all_messages);
}

/* Hosts are tried in order: those before the one that was used have been passed over. */
static void judge_those_before(struct failover *f, const char *used,
                               const struct smarthop_event *event)
{
    for (uint32_t i = 0; i < health_count(f->health); i++) {
        const char *place = place_of(event->attempt->next_hop, health_name(f->health, i));
        if (place != NULL && place < used)
            fail(f, i, message_of(event));
    }
}

static int after_attempt(void *state, const struct smarthop_event *event,
                         struct smarthop_verdict *verdict)
{
    struct failover *f = state;
    const struct smarthop_attempt *attempt = event->attempt;

    (void)verdict;
    if (attempt->host.len == 0 && attempt->address.len == 0)
        judge_all(f, attempt);
    for (uint32_t i = 0; i < health_count(f->health); i++) {
        struct smarthop_span name = health_name(f->health, i);
        if (!is_named(attempt->host, name) && !is_named(attempt->address, name))
            continue;
        const char *used = place_of(attempt->next_hop, name);
        if (used == NULL)
            continue;
        judge(f, i, event);
        judge_those_before(f, used, event);
        break;
    }
    return SMARTHOP_DONE;
}

/* ---- for operators -------------------------------------------------------------------------- */

static int command(void *state, const struct smarthop_span *words, uint32_t count,
                   smarthop_write write, void *context)
{
    static const char *const states[] = {"serves", "is down, and is tried next", "is down"};
    struct failover *f = state;
    uint64_t now = f->host->now(f->self);
    char line[400];

    (void)words;
    if (count > 0) {
        write(context, "takes no words: tells which hosts serve\n", 40);
        return 2;
    }
    for (uint32_t i = 0; i < health_count(f->health); i++) {
        struct smarthop_span name = health_name(f->health, i);
        int len = snprintf(line, sizeof line, "%.*s %s\n", (int)name.len, name.ptr,
                           states[health_look(f->health, i, now)]);
        write(context, line, (size_t)len < sizeof line ? (size_t)len : sizeof line - 1);
    }
    return 0;
}

/* ---- the plugin ----------------------------------------------------------------------------- */

static void stop(void *state)
{
    struct failover *f = state;

    health_free(f->health);
    free(f->groups);
    free(f->routes);
    free(f->targets);
    free(f);
}

static bool refuse(const struct failover *f, const char *name, uint32_t index, const char *problem)
{
    if (problem != NULL)
        f->host->option_problem(f->self, name, index, problem);
    return problem == NULL;
}

static bool read_groups(struct failover *f)
{
    for (uint32_t i = 0; i < f->group_count; i++) {
        const char *problem = group_parse(option(f, "groups", i), f->health, &f->groups[i]);
        for (uint32_t k = 0; problem == NULL && k < i; k++)
            if (smarthop_equal(f->groups[k].name, f->groups[i].name))
                problem = "there is a group of this name already";
        if (!refuse(f, "groups", i, problem))
            return false;
    }
    return true;
}

static bool read_routes(struct failover *f)
{
    for (uint32_t i = 0; i < f->route_count; i++) {
        const char *problem = group_route_parse(option(f, "routes", i), &f->routes[i]);
        for (uint32_t k = 0; problem == NULL && k < f->group_count; k++)
            if (smarthop_equal(f->groups[k].name, f->routes[i].group))
                f->targets[i] = &f->groups[k];
        if (problem == NULL && f->targets[i] == NULL)
            problem = "there is no group of this name";
        if (!refuse(f, "routes", i, problem))
            return false;
    }
    return true;
}

static bool read_sticky(struct failover *f)
{
    static const char *const names[] = {"none", "sender", "tenant", "recipient_domain", "user"};
    struct smarthop_span text = option(f, "sticky", 0);

    for (unsigned i = 0; i < sizeof names / sizeof names[0]; i++)
        if (smarthop_equal(text, smarthop_span_of(names[i], strlen(names[i])))) {
            f->sticky = (enum sticky)i;
            return true;
        }
    return refuse(f, "sticky", 0, "is one of none, sender, tenant, recipient_domain, user");
}

static int start(const struct smarthop_host *host, struct smarthop_self *self, void **state_out)
{
    struct failover *f = calloc(1, sizeof *f);
    struct health_limits limits = {.failures = (uint32_t)host->option_number(self, "failures", 0),
                                   .rest = host->option_number(self, "rest_first", 0),
                                   .rest_max = host->option_number(self, "rest_most", 0)};

    if (f == NULL)
        return -1;
    f->host = host;
    f->self = self;
    f->group_count = host->option_count(self, "groups");
    f->route_count = host->option_count(self, "routes");
    f->health = health_create(limits);
    f->groups = calloc(f->group_count + 1, sizeof *f->groups);
    f->routes = calloc(f->route_count + 1, sizeof *f->routes);
    f->targets = calloc(f->route_count + 1, sizeof *f->targets);
    if (f->groups == NULL || f->routes == NULL || f->targets == NULL || !read_groups(f) ||
        !read_routes(f) || !read_sticky(f)) {
        stop(f);
        return -1;
    }
    f->downs = host->metric(self, SMARTHOP_COUNTER, "hosts_down", "Times that a host went down.");
    *state_out = f;
    return 0;
}

static const struct smarthop_option options[] = {
    {"groups", SMARTHOP_OPTION_TEXT, 1, NULL, 1, 4095,
     "Hosts for each other: NAME: HOST[:PORT][*WEIGHT][@PRIORITY], ..."},
    {"routes", SMARTHOP_OPTION_TEXT, 1, NULL, 1, 511,
     "DOMAIN: NAME of a group; .DOMAIN with those below it, * for all. The first counts."},
    {"sticky", SMARTHOP_OPTION_TEXT, 0, "none", 1, 20,
     "What keeps its host: none, sender, tenant, recipient_domain, user."},
    {"failures", SMARTHOP_OPTION_NUMBER, 0, "3", 1, 1000, "In a row, until a host is down."},
    {"rest_first", SMARTHOP_OPTION_DURATION, 0, "30s", 1, 86400000,
     "How long a host that is down is left alone; twice as long each time it still is."},
    {"rest_most", SMARTHOP_OPTION_DURATION, 0, "10m", 1, 86400000, "The longest of these times."},
};

SMARTHOP_EXPORT const struct smarthop_plugin smarthop_plugin = {
    SMARTHOP_PLUGIN_HEAD,
    .name = "failover",
    .version = "1.0",
    .summary = "weighted and ordered groups of next hops, by what comes of attempts",
    .options = options,
    .option_count = sizeof options / sizeof options[0],
    .option_size = sizeof options[0],
    .start = start,
    .stop = stop,
    .command = command,
    .hooks = {[SMARTHOP_ON_ROUTE] = route, [SMARTHOP_ON_AFTER_ATTEMPT] = after_attempt},
};
