/*
 * Sessions of the whole process and of each client network, and the TLS handshakes that each begins
 * in a minute, counted under one lock. A client without sessions is kept only as long as its
 * handshakes are to be remembered. Whether the sessions are so many that the process is under
 * stress is decided here, too, once for all workers.
 */
#include "receive/session.h"

#include "base/clock.h"
#include "base/log.h"

#include <pthread.h>
#include <stdlib.h>

struct client_key { /* of limits_client_network */
    uint8_t bytes[9];
};

struct receive_client {
    struct receive_client *next;
    struct client_key key;
    unsigned sessions;
    unsigned handshakes;    /* in the minute that began at `minute` */
    uint64_t minute;        /* clock_mono_ms */
    struct list remembered; /* while it has handshakes, but no session */
    _Atomic uint64_t arriving;
};

enum {
    BUCKETS = 4096,
    MINUTE = 60000,
    REMEMBERED_MAX = 65536,   /* clients without a session; beyond it the oldest is forgotten */
    FORGET_MOST = 2,          /* at a time: more than come in */
    STRESS_LEAST_MS = 5000,   /* it does not come and go, nor does the log, faster than that */
    STRESS_OVER_PERCENT = 85, /* of where it began */
};

struct receive_limits {
    pthread_mutex_t lock;
    unsigned sessions;
    atomic_bool stressed;
    uint64_t stressed_since; /* monotonic ms; the last time it began */
    unsigned remembered_count;
    struct list remembered; /* the oldest first */
    struct receive_client *buckets[BUCKETS];
};

bool limits_client_network(const struct sockaddr *address, struct ip_network *out)
{
    struct ip_address ip;

    if (!ip_from_sockaddr(address, &ip))
        return false;
    ip_network_of(&ip, ip.family == AF_INET ? 32 : 64, out);
    return true;
}

static struct client_key key_of(const struct sockaddr *address)
{
    struct client_key key = {{0}};
    struct ip_network network;

    if (limits_client_network(address, &network)) {
        key.bytes[0] = network.family == AF_INET ? 4 : 6;
        memcpy(key.bytes + 1, network.bytes, sizeof key.bytes - 1);
    }
    return key;
}

static bool is_exempt(const struct conf *conf, const struct sockaddr *address)
{
    return address->sa_family == AF_UNIX ||
           conf_networks_contain(&conf->limit_exempt_networks, address);
}

/* FNV-1a is enough: the counts bound how many entries one network can make. */
static struct receive_client **find(struct receive_limits *limits, const struct client_key *key)
{
    uint32_t h = 0x811c9dc5u;

    for (size_t i = 0; i < sizeof key->bytes; i++)
        h = (h ^ key->bytes[i]) * 0x01000193u;
    struct receive_client **at = &limits->buckets[h % BUCKETS];
    while (*at != NULL && memcmp(&(*at)->key, key, sizeof *key) != 0)
        at = &(*at)->next;
    return at;
}

/* A client without sessions has one again. */
static void recall(struct receive_limits *limits, struct receive_client *client)
{
    if (!list_is_linked(&client->remembered))
        return;
    list_remove(&client->remembered);
    limits->remembered_count--;
}

static void forget(struct receive_limits *limits, struct receive_client *client)
{
    struct receive_client **at = find(limits, &client->key);

    recall(limits, client);
    *at = client->next;
    free(client);
}

static struct receive_client *oldest(const struct receive_limits *limits)
{
    return container_of(limits->remembered.next, struct receive_client, remembered);
}

/* Its last session has ended. */
static void remember(struct receive_limits *limits, struct receive_client *client)
{
    if (client->handshakes == 0) {
        forget(limits, client);
        return;
    }
    if (limits->remembered_count == REMEMBERED_MAX)
        forget(limits, oldest(limits));
    list_append(&limits->remembered, &client->remembered);
    limits->remembered_count++;
}

/* Threads read the clock one before the other: `now` may be a little before the minute. */
static bool is_over(const struct receive_client *client, uint64_t now)
{
    return now >= client->minute + MINUTE;
}

/* Those whose minute is over. */
static void forget_some(struct receive_limits *limits, uint64_t now)
{
    for (int i = 0; i < FORGET_MOST && !list_is_empty(&limits->remembered); i++) {
        if (!is_over(oldest(limits), now))
            return;
        forget(limits, oldest(limits));
    }
}

struct receive_limits *receive_limits_create(void)
{
    struct receive_limits *limits = mem_zalloc(sizeof *limits);

    pthread_mutex_init(&limits->lock, NULL);
    list_init(&limits->remembered);
    return limits;
}

void receive_limits_free(struct receive_limits *limits)
{
    if (limits == NULL)
        return;
    while (!list_is_empty(&limits->remembered))
        forget(limits, oldest(limits));
    pthread_mutex_destroy(&limits->lock);
    free(limits);
}

unsigned receive_limits_sessions(struct receive_limits *limits)
{
    pthread_mutex_lock(&limits->lock);
    unsigned sessions = limits->sessions;
    pthread_mutex_unlock(&limits->lock);
    return sessions;
}

/* ---- stress ------------------------------------------------------------------------------- */

bool receive_limits_are_stressed(const struct receive_limits *limits)
{
    return atomic_load_explicit(&limits->stressed, memory_order_relaxed);
}

static void log_stress(enum log_level level, const char *event, unsigned sessions,
                       const struct conf *conf, uint64_t lasted_ms)
{
    struct log_line line;

    if (!log_begin(&line, level, event))
        return;
    log_u64(&line, "sessions", sessions);
    log_u64(&line, "sessions_max", conf->sessions_max);
    if (lasted_ms > 0)
        log_u64(&line, "seconds", lasted_ms / 1000);
    log_end(&line);
}

/* Percent of the sessions that may be. */
static bool is_above(const struct receive_limits *limits, const struct conf *conf, uint64_t percent)
{
    return (uint64_t)limits->sessions * 100 > conf->sessions_max * percent;
}

static bool begin_stress(struct receive_limits *limits, const struct conf *conf)
{
    if (receive_limits_are_stressed(limits) || !is_above(limits, conf, conf->stress_threshold))
        return false;
    limits->stressed_since = clock_mono_ms();
    atomic_store_explicit(&limits->stressed, true, memory_order_relaxed);
    return true;
}

static bool end_stress(struct receive_limits *limits, const struct conf *conf, uint64_t *lasted_out)
{
    *lasted_out = clock_mono_ms() - limits->stressed_since;
    if (!receive_limits_are_stressed(limits) || *lasted_out < STRESS_LEAST_MS ||
        is_above(limits, conf, conf->stress_threshold * STRESS_OVER_PERCENT / 100))
        return false;
    atomic_store_explicit(&limits->stressed, false, memory_order_relaxed);
    return true;
}

/* ---- entering and leaving ----------------------------------------------------------------- */

static struct receive_client *take(struct receive_limits *limits, struct receive_client **at,
                                   const struct client_key *key)
{
    if (*at == NULL) {
        *at = mem_zalloc(sizeof **at);
        (*at)->key = *key;
        list_init(&(*at)->remembered);
    }
    recall(limits, *at);
    (*at)->sessions++;
    limits->sessions++;
    return *at;
}

enum limit_result receive_limits_enter(struct receive_limits *limits, const struct conf *conf,
                                       const struct sockaddr *address, struct receive_seat *seat)
{
    bool exempt = is_exempt(conf, address);
    struct client_key key = key_of(address);
    enum limit_result result = LIMIT_OK;

    *seat = (struct receive_seat){.is_exempt = exempt};
    pthread_mutex_lock(&limits->lock);
    struct receive_client **at = find(limits, &key);
    /* First: nobody is to give way to a client that has more than its share. */
    if (!exempt && *at != NULL && (*at)->sessions >= conf->sessions_per_client)
        result = LIMIT_CLIENT;
    else if (limits->sessions >= conf->sessions_max)
        result = LIMIT_SESSIONS;
    else
        seat->client = take(limits, at, &key);
    unsigned sessions = limits->sessions;
    bool begins = begin_stress(limits, conf);
    pthread_mutex_unlock(&limits->lock);
    if (begins)
        log_stress(LOG_WARN, "stress-begin", sessions, conf, 0);
    return result;
}

void receive_limits_leave(struct receive_limits *limits, struct receive_seat *seat)
{
    if (seat->client == NULL)
        return;
    pthread_mutex_lock(&limits->lock);
    limits->sessions--;
    if (--seat->client->sessions == 0)
        remember(limits, seat->client);
    pthread_mutex_unlock(&limits->lock);
    seat->client = NULL;
}

void receive_limits_watch(struct receive_limits *limits, const struct conf *conf)
{
    uint64_t lasted;

    if (!receive_limits_are_stressed(limits))
        return;
    pthread_mutex_lock(&limits->lock);
    unsigned sessions = limits->sessions;
    bool ends = end_stress(limits, conf, &lasted);
    pthread_mutex_unlock(&limits->lock);
    if (ends)
        log_stress(LOG_INFO, "stress-end", sessions, conf, lasted);
}

bool receive_limits_handshake(struct receive_limits *limits, const struct conf *conf,
                              const struct sockaddr *address, uint64_t now)
{
    struct client_key key = key_of(address);
    bool good = true;

    if (conf->client_handshakes_per_minute == 0 || is_exempt(conf, address))
        return true;
    pthread_mutex_lock(&limits->lock);
    forget_some(limits, now);
    struct receive_client *client = *find(limits, &key);
    if (client != NULL && is_over(client, now)) {
        client->minute = now;
        client->handshakes = 0;
    }
    if (client != NULL)
        good = client->handshakes++ < conf->client_handshakes_per_minute;
    pthread_mutex_unlock(&limits->lock);
    return good;
}

/* ---- what a client's bodies take ---------------------------------------------------------- */

void receive_seat_account(const struct receive_seat *seat, int64_t change)
{
    if (seat->client != NULL)
        atomic_fetch_add_explicit(&seat->client->arriving, (uint64_t)change, memory_order_relaxed);
}

bool receive_seat_is_over(const struct receive_seat *seat, uint64_t most)
{
    return !seat->is_exempt && seat->client != NULL &&
           atomic_load_explicit(&seat->client->arriving, memory_order_relaxed) > most;
}
