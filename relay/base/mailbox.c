#include "base/mailbox.h"

#include <pthread.h>
#include <stdlib.h>
#include <uv.h>

struct mailbox {
    uv_async_t wake;
    pthread_mutex_t lock;
    struct list posted; /* under lock */
};

/* Detaches the list under the lock and runs it outside, so that a call may post again. */
static void on_wake(uv_async_t *wake)
{
    struct mailbox *m = wake->data;
    struct list taken;

    list_init(&taken);
    pthread_mutex_lock(&m->lock);
    list_splice(&taken, &m->posted);
    pthread_mutex_unlock(&m->lock);
    for (struct list *node; (node = list_pop(&taken)) != NULL;) {
        struct call *call = container_of(node, struct call, link);
        call->done(call);
    }
}

struct err mailbox_create(struct uv_loop_s *uv, struct mailbox **out)
{
    struct mailbox *m = mem_zalloc(sizeof *m);

    pthread_mutex_init(&m->lock, NULL);
    list_init(&m->posted);
    int rc = uv_async_init(uv, &m->wake, on_wake);
    if (rc != 0) {
        free(m);
        return err_system(-rc, "uv_async_init");
    }
    m->wake.data = m;
    *out = m;
    return ERR_OK;
}

void mailbox_post(struct mailbox *m, struct call *call)
{
    pthread_mutex_lock(&m->lock);
    bool first = list_is_empty(&m->posted);
    list_append(&m->posted, &call->link);
    /* Under the lock: the call may be what ends the loop, and the mailbox with it. */
    if (first)
        uv_async_send(&m->wake);
    pthread_mutex_unlock(&m->lock);
}

void mailbox_take_back(struct mailbox *m, struct call *call)
{
    pthread_mutex_lock(&m->lock);
    list_remove(&call->link);
    pthread_mutex_unlock(&m->lock);
}

void mailbox_close(struct mailbox *m)
{
    uv_close((uv_handle_t *)&m->wake, NULL);
}

void mailbox_free(struct mailbox *m)
{
    if (m == NULL)
        return;
    pthread_mutex_destroy(&m->lock);
    free(m);
}
