#include "auth/backoff.h"

#include "auth/prepare.h"
#include "base/memory.h"
#include "proto/ip.h"

#include <pthread.h>
#include <stdlib.h>

enum {
    SETS = 4096,
    WAYS = 8, /* neighbours among which the least is replaced */
    KEY_MAX = 1 + 16 + AUTH_NAME_MAX,
    SCORE_ONE = 16, /* a failure, so that halves of it are kept for a while */
    SCORE_MAX = 64 * SCORE_ONE,
};

enum kind { KIND_ADDRESS, KIND_USER, KIND_FRIEND /* this user has logged in from here */ };

struct slot {
    uint64_t key;   /* 0 = empty */
    uint64_t since; /* when the score was as it is */
    uint64_t until; /* no try before */
    unsigned score;
};

struct auth_backoff {
    const struct crypto_secret *secret;
    pthread_mutex_t lock;
    struct slot sets[SETS][WAYS];
};

struct auth_backoff *auth_backoff_create(const struct crypto_secret *secret)
{
    struct auth_backoff *backoff = mem_zalloc(sizeof *backoff);

    backoff->secret = secret;
    pthread_mutex_init(&backoff->lock, NULL);
    return backoff;
}

void auth_backoff_free(struct auth_backoff *backoff)
{
    if (backoff == NULL)
        return;
    pthread_mutex_destroy(&backoff->lock);
    free(backoff);
}

/* An IPv4 address, or the network of an IPv6 one that a customer usually has; `out` holds it. */
static struct span network_bytes(const struct sockaddr *client, struct ip_network *out)
{
    enum { IPV4 = 32, IPV6 = 64 };
    struct ip_address ip;

    if (client == NULL || !ip_from_sockaddr(client, &ip))
        return SPAN_NONE;
    ip_network_of(&ip, ip.family == AF_INET ? IPV4 : IPV6, out);
    return span_of((const char *)out->bytes, out->prefix / 8);
}

/* Never 0. Secret, so that nobody can choose what shares a set with what. */
static uint64_t key_of(const struct auth_backoff *backoff, enum kind kind, struct span address,
                       struct span user)
{
    char text[KEY_MAX];
    size_t len = 0;
    struct crypto_digest digest;
    uint64_t key;

    text[len++] = (char)kind;
    if (address.len > 0)
        memcpy(text + len, address.ptr, address.len);
    len += address.len;
    user = span_head(user, AUTH_NAME_MAX);
    if (user.len > 0)
        memcpy(text + len, user.ptr, user.len);
    len += user.len;
    crypto_hmac(span_of((const char *)backoff->secret->bytes, sizeof backoff->secret->bytes),
                span_of(text, len), &digest);
    memcpy(&key, digest.bytes, sizeof key);
    return key != 0 ? key : 1;
}

static void decay(struct slot *slot, uint64_t now)
{
    uint64_t halves = now > slot->since ? (now - slot->since) / AUTH_BACKOFF_HALF_MS : 0;

    slot->score = halves < 32 ? slot->score >> halves : 0;
    slot->since += halves * AUTH_BACKOFF_HALF_MS;
}

/* NULL where it is not there. Under the lock. */
static struct slot *find(struct auth_backoff *backoff, uint64_t key, uint64_t now)
{
    struct slot *set = backoff->sets[key % SETS];

    for (unsigned i = 0; i < WAYS; i++) {
        if (set[i].key == key) {
            decay(&set[i], now);
            return &set[i];
        }
    }
    return NULL;
}

/* In place of the neighbour with the lowest score. Under the lock. */
static struct slot *find_or_make(struct auth_backoff *backoff, uint64_t key, uint64_t now)
{
    struct slot *set = backoff->sets[key % SETS];
    struct slot *slot = find(backoff, key, now);

    if (slot != NULL)
        return slot;
    slot = &set[0];
    for (unsigned i = 0; i < WAYS; i++) {
        decay(&set[i], now);
        if (set[i].score < slot->score)
            slot = &set[i];
    }
    *slot = (struct slot){.key = key, .since = now};
    return slot;
}

static uint64_t wait_for(unsigned score, unsigned free_failures)
{
    unsigned failures = score / SCORE_ONE;
    uint64_t wait = AUTH_BACKOFF_FIRST_MS;

    if (failures <= free_failures)
        return 0;
    for (unsigned i = failures - free_failures; i > 1 && wait < AUTH_BACKOFF_MAX_MS; i--)
        wait *= 2;
    return wait < AUTH_BACKOFF_MAX_MS ? wait : AUTH_BACKOFF_MAX_MS;
}

static uint64_t delay_of(struct auth_backoff *backoff, uint64_t key, uint64_t now)
{
    const struct slot *slot = find(backoff, key, now);

    return slot != NULL && slot->until > now ? slot->until - now : 0;
}

static void note_failure(struct auth_backoff *backoff, uint64_t key, unsigned free_failures,
                         uint64_t now)
{
    struct slot *slot = find_or_make(backoff, key, now);

    slot->score = slot->score < SCORE_MAX ? slot->score + SCORE_ONE : SCORE_MAX;
    slot->until = now + wait_for(slot->score, free_failures);
}

/* A user's three keys; 0 where there is none. */
struct keys {
    uint64_t address;
    uint64_t user;
    uint64_t friend;
};

static struct keys keys_of(const struct auth_backoff *backoff, const struct sockaddr *client,
                           struct span user)
{
    struct ip_network network;
    struct span address = network_bytes(client, &network);
    bool known = address.len > 0;

    return (struct keys){
        .address = known ? key_of(backoff, KIND_ADDRESS, address, SPAN_NONE) : 0,
        .user = user.len > 0 ? key_of(backoff, KIND_USER, SPAN_NONE, user) : 0,
        .friend = known && user.len > 0 ? key_of(backoff, KIND_FRIEND, address, user) : 0,
    };
}

static bool is_friend(struct auth_backoff *backoff, const struct keys *keys, uint64_t now)
{
    const struct slot *slot = keys->friend != 0 ? find(backoff, keys->friend, now) : NULL;

    return slot != NULL && slot->score > 0;
}

uint64_t auth_backoff_delay(struct auth_backoff *backoff, const struct sockaddr *client,
                            struct span user, uint64_t now)
{
    struct keys keys = keys_of(backoff, client, user);
    uint64_t by_address = 0, by_user = 0;

    pthread_mutex_lock(&backoff->lock);
    if (keys.address != 0)
        by_address = delay_of(backoff, keys.address, now);
    if (keys.user != 0 && !is_friend(backoff, &keys, now))
        by_user = delay_of(backoff, keys.user, now);
    pthread_mutex_unlock(&backoff->lock);
    return by_address > by_user ? by_address : by_user;
}

void auth_backoff_note(struct auth_backoff *backoff, const struct sockaddr *client,
                       struct span user, bool succeeded, uint64_t now)
{
    struct keys keys = keys_of(backoff, client, user);

    pthread_mutex_lock(&backoff->lock);
    if (succeeded && keys.friend != 0) {
        struct slot *slot = find_or_make(backoff, keys.friend, now);
        slot->score = SCORE_MAX;
        slot->since = now;
    } else if (!succeeded) {
        if (keys.address != 0)
            note_failure(backoff, keys.address, AUTH_BACKOFF_FREE_ADDRESS, now);
        if (keys.user != 0 && !is_friend(backoff, &keys, now))
            note_failure(backoff, keys.user, AUTH_BACKOFF_FREE_USER, now);
    }
    pthread_mutex_unlock(&backoff->lock);
}
