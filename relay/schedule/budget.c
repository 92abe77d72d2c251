#include "schedule/budget.h"

#include "schedule/health.h"
#include "schedule/schedule.h"

#include "base/memory.h"

#include <pthread.h>
#include <stdlib.h>

enum {
    BUCKETS = 4096,
    FULL_MS = 60000, /* how long a site is not offered more connections than it has refused */
    SAME_PART = 10,  /* back-offs that differ by less than this part are the same one */
};

/* A millisecond brings as many tokens as the rate has messages, a message costs as many as its
 * period has milliseconds: whole numbers, whatever the rate. */
static const uint64_t period_ms[BUDGET_RATES] = {1000, 60000, 3600000, 86400000};
/* This part of a rate may be spent at once: what a loop that is late by some tens of milliseconds
 * is to catch up with. */
static const unsigned burst_part[BUDGET_RATES] = {10, 60, 60, 60};

struct bucket {
    uint64_t tokens;
    uint64_t since; /* up to when it has been filled */
};

struct budget {
    struct budget *next;
    struct budgets *all;
    unsigned references; /* under the table's lock */
    pthread_mutex_t lock;
    struct budget_limits limits;
    struct bucket buckets[BUDGET_RATES];
    unsigned in_use;
    unsigned allowed; /* adapts */
    uint64_t full_until;
    uint64_t back_off_until;
    uint32_t failures;
    struct list waiters;
    size_t key_len;
    char key[];
};

struct budgets {
    pthread_mutex_t lock;
    struct budget *table[BUCKETS];
    struct health *health;
};

struct budgets *budgets_create(void)
{
    struct budgets *all = mem_zalloc(sizeof *all);

    pthread_mutex_init(&all->lock, NULL);
    all->health = health_create();
    return all;
}

void budgets_free(struct budgets *all)
{
    if (all == NULL)
        return;
    pthread_mutex_destroy(&all->lock);
    health_free(all->health);
    free(all);
}

struct health *budgets_health(struct budgets *all)
{
    return all->health;
}

static struct budget **find(struct budgets *all, struct span key)
{
    struct budget **at = &all->table[span_hash(key) % BUCKETS];

    while (*at != NULL && !span_equal(span_of((*at)->key, (*at)->key_len), key))
        at = &(*at)->next;
    return at;
}

static uint64_t capacity(const struct budget_limits *limits, unsigned i)
{
    uint64_t share = limits->rates[i] * period_ms[i] / burst_part[i];

    return share > period_ms[i] ? share : period_ms[i];
}

void budget_limit(struct budget *b, const struct budget_limits *limits)
{
    pthread_mutex_lock(&b->lock);
    b->limits = *limits;
    for (unsigned i = 0; i < BUDGET_RATES; i++)
        if (b->buckets[i].tokens > capacity(limits, i))
            b->buckets[i].tokens = capacity(limits, i);
    pthread_mutex_unlock(&b->lock);
}

static struct budget *create(struct budgets *all, struct span key)
{
    struct budget *b = mem_zalloc(sizeof *b + key.len);

    b->all = all;
    pthread_mutex_init(&b->lock, NULL);
    list_init(&b->waiters);
    b->allowed = 1;
    for (unsigned i = 0; i < BUDGET_RATES; i++)
        b->buckets[i].tokens = period_ms[i]; /* the first may go at once */
    b->key_len = key.len;
    memcpy(b->key, key.ptr, key.len);
    return b;
}

struct budget *budget_get(struct budgets *all, struct span site, const struct budget_limits *limits)
{
    pthread_mutex_lock(&all->lock);
    struct budget **at = find(all, site);
    if (*at == NULL)
        *at = create(all, site);
    struct budget *b = *at;
    b->references++;
    pthread_mutex_unlock(&all->lock);
    budget_limit(b, limits);
    return b;
}

struct budget *budget_ref(struct budget *b)
{
    pthread_mutex_lock(&b->all->lock);
    b->references++;
    pthread_mutex_unlock(&b->all->lock);
    return b;
}

void budget_unref(struct budget *b)
{
    struct budgets *all = b->all;

    pthread_mutex_lock(&all->lock);
    bool last = --b->references == 0;
    if (last)
        *find(all, span_of(b->key, b->key_len)) = b->next;
    pthread_mutex_unlock(&all->lock);
    if (!last)
        return;
    pthread_mutex_destroy(&b->lock);
    free(b);
}

/* ---- rates -------------------------------------------------------------------------------- */

static void fill(struct budget *b, unsigned i, uint64_t now)
{
    struct bucket *bucket = &b->buckets[i];
    uint64_t rate = b->limits.rates[i], most = capacity(&b->limits, i);
    uint64_t passed = bucket->since != 0 && now > bucket->since ? now - bucket->since : 0;

    bucket->since = now;
    if (bucket->tokens >= most || passed > (most - bucket->tokens) / rate)
        bucket->tokens = most;
    else
        bucket->tokens += passed * rate;
}

/* When a message may go; 0: now. */
static uint64_t wait_for(const struct budget *b, unsigned i, uint64_t now)
{
    uint64_t tokens = b->buckets[i].tokens, rate = b->limits.rates[i];

    return tokens >= period_ms[i] ? 0 : now + (period_ms[i] - tokens + rate - 1) / rate;
}

static enum budget_answer look(struct budget *b, uint64_t now, uint64_t *until_out)
{
    uint64_t until = 0;

    if (b->back_off_until > now) {
        *until_out = b->back_off_until;
        return BUDGET_BACK_OFF;
    }
    for (unsigned i = 0; i < BUDGET_RATES; i++) {
        if (b->limits.rates[i] == 0)
            continue;
        fill(b, i, now);
        uint64_t at = wait_for(b, i, now);
        until = at > until ? at : until;
    }
    *until_out = until;
    return until ? BUDGET_RATE : BUDGET_YES;
}

enum budget_answer budget_look(struct budget *b, uint64_t now, uint64_t *until_out)
{
    pthread_mutex_lock(&b->lock);
    enum budget_answer answer = look(b, now, until_out);
    pthread_mutex_unlock(&b->lock);
    return answer;
}

enum budget_answer budget_spend(struct budget *b, uint64_t now, uint64_t *until_out)
{
    pthread_mutex_lock(&b->lock);
    enum budget_answer answer = look(b, now, until_out);
    for (unsigned i = 0; answer == BUDGET_YES && i < BUDGET_RATES; i++)
        if (b->limits.rates[i] != 0)
            b->buckets[i].tokens -= period_ms[i];
    pthread_mutex_unlock(&b->lock);
    return answer;
}

void budget_refund(struct budget *b)
{
    pthread_mutex_lock(&b->lock);
    for (unsigned i = 0; i < BUDGET_RATES; i++)
        if (b->limits.rates[i] != 0)
            b->buckets[i].tokens += period_ms[i];
    pthread_mutex_unlock(&b->lock);
}

/* ---- connections -------------------------------------------------------------------------- */

static unsigned most(const struct budget *b)
{
    return b->allowed < b->limits.connections ? b->allowed : b->limits.connections;
}

enum budget_answer budget_connect(struct budget *b, uint64_t now, uint64_t *until_out)
{
    enum budget_answer answer = BUDGET_YES;

    pthread_mutex_lock(&b->lock);
    if (b->back_off_until > now) {
        *until_out = b->back_off_until;
        answer = BUDGET_BACK_OFF;
    } else if (b->in_use >= most(b)) {
        answer = BUDGET_FULL;
    } else {
        b->in_use++;
    }
    pthread_mutex_unlock(&b->lock);
    return answer;
}

/* Under the lock: as many as there is room for. */
static void tell_waiters(struct budget *b)
{
    for (unsigned room = most(b); room > b->in_use && !list_is_empty(&b->waiters); room--) {
        struct budget_waiter *waiter =
            container_of(list_pop(&b->waiters), struct budget_waiter, link);
        loop_post(waiter->loop, &waiter->call);
    }
}

void budget_release(struct budget *b)
{
    pthread_mutex_lock(&b->lock);
    b->in_use--;
    tell_waiters(b);
    pthread_mutex_unlock(&b->lock);
}

void budget_wait(struct budget *b, struct budget_waiter *waiter)
{
    pthread_mutex_lock(&b->lock);
    list_append(&b->waiters, &waiter->link);
    tell_waiters(b); /* one may have become free since */
    pthread_mutex_unlock(&b->lock);
}

bool budget_wait_cancel(struct budget *b, struct budget_waiter *waiter)
{
    pthread_mutex_lock(&b->lock);
    bool waited = list_is_linked(&waiter->link);
    list_remove(&waiter->link);
    pthread_mutex_unlock(&b->lock);
    return waited;
}

/* ---- how it does -------------------------------------------------------------------------- */

bool budget_succeeded(struct budget *b, uint64_t now)
{
    pthread_mutex_lock(&b->lock);
    bool had_failed = b->failures > 0;
    b->failures = 0;
    if (b->allowed < b->limits.connections && b->full_until <= now) {
        b->allowed++;
        tell_waiters(b);
    }
    pthread_mutex_unlock(&b->lock);
    return had_failed;
}

void budget_narrow(struct budget *b, uint64_t now, unsigned served)
{
    pthread_mutex_lock(&b->lock);
    b->allowed = served > 0 ? served : 1;
    b->full_until = now + FULL_MS;
    pthread_mutex_unlock(&b->lock);
}

uint32_t budget_back_off(struct budget *b, uint64_t now, budget_delay *delay, void *context,
                         uint64_t *until_out)
{
    pthread_mutex_lock(&b->lock);
    if (b->back_off_until <= now) {
        b->failures++;
        b->allowed = 1;
        b->back_off_until = now + delay(context, b->failures);
    }
    uint32_t failures = b->failures;
    *until_out = b->back_off_until;
    pthread_mutex_unlock(&b->lock);
    return failures;
}

bool budget_leave(struct budget *b, uint64_t now, uint64_t ms, uint64_t *until_out)
{
    pthread_mutex_lock(&b->lock);
    bool is_new = b->back_off_until < now + ms - ms / SAME_PART;
    if (is_new) {
        b->allowed = 1;
        b->back_off_until = now + ms;
    }
    *until_out = b->back_off_until;
    pthread_mutex_unlock(&b->lock);
    return is_new;
}

void budget_restore(struct budget *b, uint32_t failures)
{
    pthread_mutex_lock(&b->lock);
    if (failures > b->failures)
        b->failures = failures;
    pthread_mutex_unlock(&b->lock);
}

void budget_lift(struct budget *b)
{
    pthread_mutex_lock(&b->lock);
    b->back_off_until = 0;
    b->failures = 0;
    tell_waiters(b);
    pthread_mutex_unlock(&b->lock);
}

void budget_state(struct budget *b, struct budget_state *out)
{
    pthread_mutex_lock(&b->lock);
    *out = (struct budget_state){
        .connections = b->in_use, .allowed = most(b), .failures = b->failures};
    pthread_mutex_unlock(&b->lock);
}
