/* Sessions of the whole process and of each client network, counted under one lock. */
#include "receive/session.h"

#include <pthread.h>
#include <stdlib.h>

/* A client is an IPv4 address or an IPv6 /64, which one customer usually has. */
struct client_key {
    uint8_t bytes[9];
};

struct client {
    struct client *next;
    struct client_key key;
    unsigned sessions;
};

enum { BUCKETS = 4096 };

struct receive_limits {
    pthread_mutex_t lock;
    unsigned sessions;
    struct client *buckets[BUCKETS];
};

struct receive_limits *receive_limits_create(void)
{
    struct receive_limits *limits = mem_zalloc(sizeof *limits);

    pthread_mutex_init(&limits->lock, NULL);
    return limits;
}

void receive_limits_free(struct receive_limits *limits)
{
    if (limits == NULL)
        return;
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

static struct client_key key_of(const struct sockaddr *address)
{
    struct client_key key = {{0}};
    struct ip_address ip;

    if (ip_from_sockaddr(address, &ip)) {
        key.bytes[0] = ip.family == AF_INET ? 4 : 6;
        memcpy(key.bytes + 1, ip.bytes, ip.family == AF_INET ? 4 : 8);
    }
    return key;
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

enum limit_result receive_limits_enter(struct receive_limits *limits, const struct conf *conf,
                                       const struct sockaddr *address)
{
    bool exempt = address->sa_family == AF_UNIX ||
                  conf_networks_contain(&conf->limit_exempt_networks, address);
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
        }
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
    if (*at != NULL && --(*at)->sessions == 0) {
        struct client *gone = *at;
        *at = gone->next;
        free(gone);
    }
    pthread_mutex_unlock(&limits->lock);
}
