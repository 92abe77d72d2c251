#include "auth/recall.h"

#include "base/memory.h"

#include <pthread.h>
#include <stdlib.h>

enum {
    SETS = 4096,
    WAYS = 4, /* of a set the oldest goes */
};

struct entry {
    struct crypto_digest digest;
    uint64_t noted; /* 0 = free */
};

struct auth_recall {
    struct crypto_secret secret;
    pthread_mutex_t lock; /* of all below */
    uint64_t ms;
    struct entry entries[SETS][WAYS];
};

struct auth_recall *auth_recall_create(void)
{
    struct auth_recall *recall = mem_zalloc(sizeof *recall);

    crypto_random(recall->secret.bytes, sizeof recall->secret.bytes);
    pthread_mutex_init(&recall->lock, NULL);
    return recall;
}

void auth_recall_free(struct auth_recall *recall)
{
    if (recall == NULL)
        return;
    pthread_mutex_destroy(&recall->lock);
    crypto_cleanse(recall, sizeof *recall);
    free(recall);
}

void auth_recall_set(struct auth_recall *recall, uint64_t ms)
{
    pthread_mutex_lock(&recall->lock);
    recall->ms = ms;
    if (ms == 0)
        crypto_cleanse(recall->entries, sizeof recall->entries);
    pthread_mutex_unlock(&recall->lock);
}

/* The user's own key over his hash, and that over the password: no two of them run together. */
static void digest_of(const struct auth_recall *recall, struct span user, struct span hash,
                      struct span password, struct crypto_digest *out)
{
    struct crypto_digest key, inner;

    crypto_secret_derive(&recall->secret, "recall", user, &key);
    crypto_hmac(crypto_span(&key), hash, &inner);
    crypto_hmac(crypto_span(&inner), password, out);
}

static struct entry *set_of(struct auth_recall *recall, const struct crypto_digest *digest)
{
    uint32_t number;

    memcpy(&number, digest->bytes, sizeof number);
    return recall->entries[number % SETS];
}

/* NULL = it is not there. */
static struct entry *find(struct entry *set, const struct crypto_digest *digest)
{
    for (unsigned i = 0; i < WAYS; i++)
        if (set[i].noted != 0 && crypto_equal(crypto_span(&set[i].digest), crypto_span(digest)))
            return &set[i];
    return NULL;
}

static struct entry *oldest(struct entry *set)
{
    struct entry *entry = set;

    for (unsigned i = 1; i < WAYS; i++)
        if (set[i].noted < entry->noted)
            entry = &set[i];
    return entry;
}

void auth_recall_note(struct auth_recall *recall, struct span user, struct span hash,
                      struct span password, uint64_t now)
{
    struct crypto_digest digest;

    digest_of(recall, user, hash, password, &digest);
    pthread_mutex_lock(&recall->lock);
    if (recall->ms > 0) {
        struct entry *set = set_of(recall, &digest);
        struct entry *entry = find(set, &digest);
        if (entry == NULL)
            entry = oldest(set);
        *entry = (struct entry){.digest = digest, .noted = now};
    }
    pthread_mutex_unlock(&recall->lock);
}

bool auth_recall_knows(struct auth_recall *recall, struct span user, struct span hash,
                       struct span password, uint64_t now)
{
    struct crypto_digest digest;

    digest_of(recall, user, hash, password, &digest);
    pthread_mutex_lock(&recall->lock);
    const struct entry *entry = find(set_of(recall, &digest), &digest);
    bool known = entry != NULL && now - entry->noted < recall->ms;
    pthread_mutex_unlock(&recall->lock);
    return known;
}
