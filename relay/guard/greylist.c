/* Greylisting: a triplet passes when it comes back, and is asked to be patient before. */
#include "guard/private.h"

static uint32_t one_more(uint32_t count)
{
    return count < UINT32_MAX ? count + 1 : count;
}

static bool is_known(struct guard_table *table, const struct guard_greylist *policy,
                     struct span network, uint64_t now)
{
    struct guard_entry *known = guard_table_find(table, GUARD_KNOWN, network, now);

    if (known == NULL || policy->known_after == 0 || known->tally.count < policy->known_after)
        return false;
    guard_table_change(table, known, now + policy->lifetime_ms, now);
    return true;
}

static void note_return(struct guard_table *table, const struct guard_greylist *policy,
                        struct span network, uint64_t now)
{
    struct guard_entry *known = guard_table_need(table, GUARD_KNOWN, network, now);

    if (known->tally.count == 0)
        known->tally.since = now;
    known->tally.count = one_more(known->tally.count);
    guard_table_change(table, known, now + policy->lifetime_ms, now);
}

static enum guard_verdict judge(struct guard_table *table, const struct guard_greylist *policy,
                                struct span network, struct span key, uint64_t now,
                                uint64_t *wait_out)
{
    if (is_known(table, policy, network, now))
        return GUARD_PASS;
    struct guard_entry *triplet = guard_table_find(table, GUARD_TRIPLET, key, now);
    if (triplet == NULL) {
        triplet = guard_table_need(table, GUARD_TRIPLET, key, now);
        triplet->tally.since = now;
        guard_table_change(table, triplet, now + policy->window_ms, now);
        *wait_out = policy->delay_ms;
        return GUARD_DEFER_FIRST;
    }
    bool first = triplet->tally.count == 0;
    if (first && now < triplet->tally.since + policy->delay_ms) {
        *wait_out = triplet->tally.since + policy->delay_ms - now;
        return GUARD_DEFER;
    }
    triplet->tally.count = one_more(triplet->tally.count);
    guard_table_change(table, triplet, now + policy->lifetime_ms, now);
    if (!first)
        return GUARD_PASS;
    note_return(table, policy, network, now);
    return GUARD_PASS_FIRST;
}

enum guard_verdict guard_greylist(struct guard *guard, const struct guard_greylist *policy,
                                  struct span network, struct span triplet, uint64_t now,
                                  uint64_t *wait_out)
{
    char network_room[GUARD_KEY_MAX], triplet_room[GUARD_KEY_MAX];

    *wait_out = 0;
    network = guard_fit_key(network, network_room);
    triplet = guard_fit_key(triplet, triplet_room);
    pthread_mutex_lock(&guard->lock);
    enum guard_verdict verdict = judge(&guard->table, policy, network, triplet, now, wait_out);
    pthread_mutex_unlock(&guard->lock);
    return verdict;
}
