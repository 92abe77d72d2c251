/* Health of hosts. */
#include "health.h"

#include <pthread.h>
#include <stdlib.h>
#include <strings.h>

enum { SAME_ATTEMPT_MS = 1000 };

struct host {
    struct smarthop_span name;
    pthread_mutex_t lock; /* of what follows */
    uint32_t failures;
    bool is_tried; /* a message has been let through to see */
    uint64_t rest;
    uint64_t until;
    uint64_t failed_message; /* the last one that failed, and when */
    uint64_t failed_at;
};

struct health {
    struct health_limits limits;
    struct host *hosts;
    uint32_t count;
};

struct health *health_create(struct health_limits limits)
{
    struct health *health = calloc(1, sizeof *health);

    if (health == NULL)
        abort();
    health->limits = limits;
    return health;
}

void health_free(struct health *health)
{
    for (uint32_t i = 0; i < health->count; i++)
        pthread_mutex_destroy(&health->hosts[i].lock);
    free(health->hosts);
    free(health);
}

uint32_t health_add(struct health *health, struct smarthop_span name)
{
    for (uint32_t i = 0; i < health->count; i++)
        if (health->hosts[i].name.len == name.len &&
            strncasecmp(health->hosts[i].name.ptr, name.ptr, name.len) == 0)
            return i;
    health->hosts = realloc(health->hosts, (health->count + 1) * sizeof *health->hosts);
    if (health->hosts == NULL)
        abort();
    health->hosts[health->count] = (struct host){.name = name};
    pthread_mutex_init(&health->hosts[health->count].lock, NULL);
    return health->count++;
}

uint32_t health_count(const struct health *health)
{
    return health->count;
}

struct smarthop_span health_name(const struct health *health, uint32_t host)
{
    return health->hosts[host].name;
}

static enum health_state state_of(const struct health *health, const struct host *host,
                                  uint64_t now)
{
    if (host->failures < health->limits.failures)
        return HEALTH_GOOD;
    return now >= host->until ? HEALTH_DUE : HEALTH_DOWN;
}

enum health_state health_look(struct health *health, uint32_t number, uint64_t now)
{
    struct host *host = &health->hosts[number];

    pthread_mutex_lock(&host->lock);
    enum health_state state = state_of(health, host, now);
    pthread_mutex_unlock(&host->lock);
    return state;
}

/* If its message comes to nothing, another one tries behind another rest. */
bool health_claim(struct health *health, uint32_t number, uint64_t now)
{
    struct host *host = &health->hosts[number];

    pthread_mutex_lock(&host->lock);
    bool is_ours = state_of(health, host, now) == HEALTH_DUE;
    if (is_ours) {
        host->is_tried = true;
        host->until = now + host->rest;
    }
    pthread_mutex_unlock(&host->lock);
    return is_ours;
}

bool health_succeeded(struct health *health, uint32_t number)
{
    struct host *host = &health->hosts[number];

    pthread_mutex_lock(&host->lock);
    bool was_down = host->failures >= health->limits.failures;
    host->failures = 0;
    host->is_tried = false;
    host->failed_message = 0;
    pthread_mutex_unlock(&host->lock);
    return was_down;
}

static bool is_same_attempt(const struct host *host, uint64_t message, uint64_t now)
{
    return message != 0 && message == host->failed_message &&
           now - host->failed_at < SAME_ATTEMPT_MS;
}

/* What fails while the host is down anyway was on its way before; it changes nothing. */
static bool note_failure(const struct health *health, struct host *host, uint64_t now)
{
    if (host->failures >= health->limits.failures) {
        if (!host->is_tried)
            return false;
        host->is_tried = false;
        host->rest =
            host->rest < health->limits.rest_max / 2 ? host->rest * 2 : health->limits.rest_max;
        host->until = now + host->rest;
        return false;
    }
    if (++host->failures < health->limits.failures)
        return false;
    host->rest = health->limits.rest;
    host->until = now + host->rest;
    return true;
}

bool health_failed(struct health *health, uint32_t number, uint64_t message, uint64_t now)
{
    struct host *host = &health->hosts[number];
    bool is_news = false;

    pthread_mutex_lock(&host->lock);
    if (!is_same_attempt(host, message, now))
        is_news = note_failure(health, host, now);
    host->failed_message = message;
    host->failed_at = now;
    pthread_mutex_unlock(&host->lock);
    return is_news;
}
