#include "plugins/drop/mailstore/mailstore_private.h"

void recent_init(struct store_recent *recent)
{
    pthread_mutex_init(&recent->lock, NULL);
}

void recent_fini(struct store_recent *recent)
{
    pthread_mutex_destroy(&recent->lock);
}

/* Mailboxes share slots: one that was driven out of its own, and whose row is not written yet, is
 * told of once more. */
static struct store_recent_slot *slot_of(struct store_recent *recent, uint32_t box)
{
    return &recent->slots[box % STORE_RECENT_SLOTS];
}

static uint32_t first_of(struct store_recent *recent, const struct mailstore_box *box)
{
    const struct store_recent_slot *slot = slot_of(recent, box->id);

    return slot->box == box->id && slot->end > box->recent_from ? slot->end : box->recent_from;
}

uint32_t mailstore_recent_from(struct mailstore *store, const struct mailstore_box *box)
{
    pthread_mutex_lock(&store->recent.lock);
    uint32_t first = first_of(&store->recent, box);
    pthread_mutex_unlock(&store->recent.lock);
    return first;
}

uint32_t mailstore_recent_take(struct mailstore *store, const struct mailstore_box *box)
{
    struct store_recent *recent = &store->recent;

    pthread_mutex_lock(&recent->lock);
    uint32_t first = first_of(recent, box);
    if (first < box->uid_next)
        *slot_of(recent, box->id) = (struct store_recent_slot){box->id, box->uid_next};
    pthread_mutex_unlock(&recent->lock);
    return first;
}
