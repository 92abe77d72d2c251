#include "plugins/drop/mailstore/mailstore_private.h"

void watches_init(struct store_watches *watches)
{
    pthread_mutex_init(&watches->lock, NULL);
    atomic_init(&watches->count, 0);
    for (unsigned i = 0; i < STORE_WATCH_BUCKETS; i++)
        list_init(&watches->buckets[i]);
}

void watches_fini(struct store_watches *watches)
{
    pthread_mutex_destroy(&watches->lock);
}

static struct list *bucket_of(struct store_watches *watches, uint32_t box)
{
    return &watches->buckets[box % STORE_WATCH_BUCKETS];
}

static void on_call(struct call *call)
{
    struct mailstore_watch *watch = container_of(call, struct mailstore_watch, call);

    pthread_mutex_lock(&watch->store->watches.lock);
    watch->is_posted = false;
    pthread_mutex_unlock(&watch->store->watches.lock);
    if (watch->is_ended)
        watch->ended(watch);
    else
        watch->changed(watch);
}

void watches_collect(struct store_watches *watches, uint32_t box, struct list *told)
{
    if (atomic_load(&watches->count) == 0)
        return;
    struct list *bucket = bucket_of(watches, box);

    pthread_mutex_lock(&watches->lock);
    for (struct list *node = bucket->next; node != bucket; node = node->next) {
        struct mailstore_watch *watch = container_of(node, struct mailstore_watch, link);
        if (watch->box != box || watch->is_posted)
            continue;
        watch->is_posted = true;
        list_append(told, &watch->call.link);
    }
    pthread_mutex_unlock(&watches->lock);
}

/* Each stays until its call has come: nobody else posts it meanwhile. */
void watches_post(struct list *told)
{
    for (struct list *node; (node = list_pop(told)) != NULL;) {
        struct mailstore_watch *watch = container_of(node, struct mailstore_watch, call.link);
        loop_post(watch->loop, &watch->call);
    }
}

void mailstore_watch_start(struct mailstore *store, struct mailstore_watch *watch,
                           struct loop *loop, uint32_t box)
{
    watch->store = store;
    watch->loop = loop;
    watch->box = box;
    watch->is_posted = watch->is_ended = false;
    watch->call.done = on_call;
    pthread_mutex_lock(&store->watches.lock);
    list_append(bucket_of(&store->watches, box), &watch->link);
    atomic_fetch_add(&store->watches.count, 1);
    pthread_mutex_unlock(&store->watches.lock);
}

void mailstore_watch_stop(struct mailstore_watch *watch,
                          void (*ended)(struct mailstore_watch *watch))
{
    struct store_watches *watches = &watch->store->watches;

    watch->ended = ended;
    watch->is_ended = true;
    pthread_mutex_lock(&watches->lock);
    list_remove(&watch->link);
    atomic_fetch_sub(&watches->count, 1);
    bool is_posted = watch->is_posted;
    watch->is_posted = true;
    pthread_mutex_unlock(&watches->lock);
    if (!is_posted)
        loop_defer(watch->loop, &watch->call);
}
