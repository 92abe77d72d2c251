/*
 * Sessions of the whole process and of each client network, and the TLS handshakes that each begins
 * in a minute, counted under one lock. A client without sessions is kept only as long as its
 * handshakes are to be remembered.
 */
#include "receive/session.h"

#include <pthread.h>
#include <stdlib.h>

struct client_key { /* of limits_client_network */
    uint8_t bytes[9];
};

struct client {
    struct client *next;
    struct client_key key;
    unsigned sessions;
    unsigned handshakes;    /* in the minute that began at `minute` */
    uint64_t minute;        /* clock_mono_ms */
    struct list remembered; /* while it has handshakes, but no session */
};

enum {
    BUCKETS = 4096,
    MINUTE = 60000,
    REMEMBERED_MAX = 65536, /* clients without a session; beyond it the oldest is forgotten */
    FORGET_MOST = 2,        /* at a time: more than come in */
};

struct receive_limits {
    pthread_mutex_t lock;
    unsigned sessions;
    unsigned remembered_count;
    struct list remembered; /* the oldest first */
    struct client *buckets[BUCKETS];
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
static struct client **find(struct receive_limits *limits, const struct client_key *key)
{
    uint32_t h = 0x811c9dc5u;

    for (size_t i = 0; i < sizeof key->bytes; i++)
        h = (h ^ key->bytes[i]) * 0x01000193u;
    struct client **at = &limits->buckets[h % BUCKETS];
    while (*at != NULL && memcmp(&(*at)->key, key, sizeof *key) != 0)
        at = &(*at)->next;
    return at;
}

/* A client without sessions has one again. */
static void recall(struct receive_limits *limits, struct client *client)
{
    if (!list_is_linked(&client->remembered))
        return;
    list_remove(&client->remembered);
    limits->remembered_count--;
}

static void forget(struct receive_limits *limits, struct client *client)
{
    struct client **at = find(limits, &client->key);

    recall(limits, client);
    *at = client->next;
    free(client);
}

static struct client *oldest(const struct receive_limits *limits)
{
    return container_of(limits->remembered.next, struct client, remembered);
}

/* Its last session has ended. */
static void remember(struct receive_limits *limits, struct client *client)
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
static bool is_over(const struct client *client, uint64_t now)
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

enum limit_result receive_limits_enter(struct receive_limits *limits, const struct conf *conf,
                                       const struct sockaddr *address)
{
    bool exempt = is_exempt(conf, address);
    struct client_key key = key_of(address);
    enum limit_result result = LIMIT_OK;

    pthread_mutex_lock(&limits->lock);
    struct client **at = find(limits, &key);
    if (limits->sessions >= conf->sessions_max) {
        result = LIMIT_SESSIONS;
    } else if (!exempt && *at != NULL && (*at)->sessions >= conf->sessions_per_client) {
        result = LIMIT_CLIENT;
    } else {
        if (*at == NULL) {
            *at = mem_zalloc(sizeof **at);
            (*at)->key = key;
            list_init(&(*at)->remembered);
        }
        recall(limits, *at);
        (*at)->sessions++;
        limits->sessions++;
    }
    pthread_mutex_unlock(&limits->lock);
    return result;
}

void receive_limits_leave(struct receive_limits *limits, const struct sockaddr *address)
{
    struct client_key key = key_of(address);

    pthread_mutex_lock(&limits->lock);
    struct client **at = find(limits, &key);
    limits->sessions--;
    if (*at != NULL && --(*at)->sessions == 0)
        remember(limits, *at);
    pthread_mutex_unlock(&limits->lock);
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
    struct client *client = *find(limits, &key);
    if (client != NULL && is_over(client, now)) {
        client->minute = now;
        client->handshakes = 0;
    }
    if (client != NULL)
        good = client->handshakes++ < conf->client_handshakes_per_minute;
    pthread_mutex_unlock(&limits->lock);
    return good;
}
