#include "plugins/host/private.h"

void inbox_init(struct inbox *inbox, struct plugin_home *home)
{
    inbox->home = home;
    pthread_mutex_init(&inbox->lock, NULL);
    list_init(&inbox->posted);
    list_init(&inbox->wake.link);
}

void inbox_fini(struct inbox *inbox)
{
    pthread_mutex_destroy(&inbox->lock);
}

/* Under the lock. */
static void wake_up(struct inbox *inbox)
{
    if (inbox->loop == NULL || inbox->is_waking)
        return;
    inbox->is_waking = true;
    loop_post(inbox->loop, &inbox->wake);
}

static void on_wake(struct call *call)
{
    inbox_run(container_of(call, struct inbox, wake));
}

void inbox_open(struct inbox *inbox, struct loop *loop)
{
    pthread_mutex_lock(&inbox->lock);
    inbox->loop = loop;
    inbox->wake.done = on_wake;
    if (!list_is_empty(&inbox->posted))
        wake_up(inbox);
    pthread_mutex_unlock(&inbox->lock);
}

void inbox_close(struct inbox *inbox)
{
    pthread_mutex_lock(&inbox->lock);
    if (inbox->loop != NULL)
        loop_take_back(inbox->loop, &inbox->wake);
    inbox->loop = NULL;
    pthread_mutex_unlock(&inbox->lock);
}

void inbox_post(struct inbox *inbox, struct call *call)
{
    pthread_mutex_lock(&inbox->lock);
    list_append(&inbox->posted, &call->link);
    wake_up(inbox);
    bool is_news = inbox->loop == NULL;
    pthread_mutex_unlock(&inbox->lock);
    if (is_news)
        home_tell_news(inbox->home);
}

void inbox_run(struct inbox *inbox)
{
    struct list taken;

    list_init(&taken);
    pthread_mutex_lock(&inbox->lock);
    inbox->is_waking = false;
    list_splice(&taken, &inbox->posted);
    pthread_mutex_unlock(&inbox->lock);
    for (struct list *node; (node = list_pop(&taken)) != NULL;) {
        struct call *call = container_of(node, struct call, link);
        call->done(call);
    }
}
