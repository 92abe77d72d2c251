#include "schedule/health.h"

#include "base/memory.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum {
    BUCKETS = 1024,
    STALE_MS = 86400000, /* what nobody has asked for since is forgotten */
};

struct host {
    struct host *next;
    struct sockaddr_storage address;
    uint64_t until;
    uint32_t failures;
    bool trying;
    size_t group_len;
    char group[];
};

struct health {
    pthread_mutex_t lock;
    atomic_uint count; /* changed under the lock */
    struct host *table[BUCKETS];
};

struct health *health_create(void)
{
    struct health *health = mem_zalloc(sizeof *health);

    pthread_mutex_init(&health->lock, NULL);
    return health;
}

static struct host **bucket_of(struct health *health, const struct health_host *host)
{
    struct span address = span_of((const char *)host->address, sizeof *host->address);

    return &health->table[(span_hash(host->group) ^ span_hash(address)) % BUCKETS];
}

static bool is_it(const struct host *known, const struct health_host *host)
{
    return memcmp(&known->address, host->address, sizeof known->address) == 0 &&
           span_equal(span_of(known->group, known->group_len), host->group);
}

/* Under the lock; NULL at the place where it is not known. */
static struct host **find(struct health *health, const struct health_host *host)
{
    struct host **at = bucket_of(health, host);

    while (*at != NULL && !is_it(*at, host))
        at = &(*at)->next;
    return at;
}

static void drop(struct health *health, struct host **at)
{
    struct host *gone = *at;

    *at = gone->next;
    free(gone);
    atomic_fetch_sub(&health->count, 1);
}

void health_free(struct health *health)
{
    for (unsigned i = 0; i < BUCKETS; i++)
        while (health->table[i] != NULL)
            drop(health, &health->table[i]);
    pthread_mutex_destroy(&health->lock);
    free(health);
}

static bool all_are_good(const struct health *health)
{
    return atomic_load_explicit(&health->count, memory_order_relaxed) == 0;
}

static enum health_answer judge(const struct host *known, uint64_t now)
{
    if (known == NULL)
        return HEALTH_GOOD;
    return known->until <= now && !known->trying ? HEALTH_DUE : HEALTH_DOWN;
}

enum health_answer health_look(struct health *health, const struct health_host *host, uint64_t now)
{
    if (all_are_good(health))
        return HEALTH_GOOD;
    pthread_mutex_lock(&health->lock);
    enum health_answer answer = judge(*find(health, host), now);
    pthread_mutex_unlock(&health->lock);
    return answer;
}

bool health_try(struct health *health, const struct health_host *host, uint64_t now)
{
    if (all_are_good(health))
        return false;
    pthread_mutex_lock(&health->lock);
    struct host *known = *find(health, host);
    bool tries = judge(known, now) == HEALTH_DUE;
    if (tries)
        known->trying = true;
    pthread_mutex_unlock(&health->lock);
    return tries;
}

void health_let_go(struct health *health, const struct health_host *host)
{
    pthread_mutex_lock(&health->lock);
    struct host *known = *find(health, host);
    if (known != NULL)
        known->trying = false;
    pthread_mutex_unlock(&health->lock);
}

static void drop_stale(struct health *health, struct host **at, uint64_t now)
{
    while (*at != NULL) {
        if (!(*at)->trying && (*at)->until + STALE_MS < now)
            drop(health, at);
        else
            at = &(*at)->next;
    }
}

static struct host *add(struct health *health, const struct health_host *host, uint64_t now)
{
    struct host **bucket = bucket_of(health, host);
    struct host *known = mem_zalloc(sizeof *known + host->group.len);

    drop_stale(health, bucket, now);
    known->address = *host->address;
    known->group_len = host->group.len;
    memcpy(known->group, host->group.ptr, host->group.len);
    known->next = *bucket;
    *bucket = known;
    atomic_fetch_add(&health->count, 1);
    return known;
}

bool health_failed(struct health *health, const struct health_host *host, uint64_t now,
                   health_delay *delay, void *context)
{
    pthread_mutex_lock(&health->lock);
    struct host *known = *find(health, host);
    bool is_new = known == NULL;
    if (is_new)
        known = add(health, host, now);
    if (known->until <= now)
        known->until = now + delay(context, ++known->failures);
    pthread_mutex_unlock(&health->lock);
    return is_new;
}

void health_forgive(struct health *health, const struct health_host *host)
{
    pthread_mutex_lock(&health->lock);
    struct host *known = *find(health, host);
    if (known != NULL)
        known->until = 0;
    pthread_mutex_unlock(&health->lock);
}

bool health_answered(struct health *health, const struct health_host *host)
{
    pthread_mutex_lock(&health->lock);
    struct host **at = find(health, host);
    bool had_failed = *at != NULL;
    if (had_failed)
        drop(health, at);
    pthread_mutex_unlock(&health->lock);
    return had_failed;
}
