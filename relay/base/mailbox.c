/*
 * Not uv_async: who is woken by that spins until who woke it has returned from doing so, which on
 * two processors took a loop longer than what it was woken for.
 */
#include "base/mailbox.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <uv.h>

struct mailbox {
    uv_poll_t poll;
    int wake; /* an eventfd */
    pthread_mutex_t lock;
    struct list posted; /* under lock */
    atomic_uint waking; /* threads that have posted, and still touch this */
};

/* Detaches the list under the lock and runs it outside, so that a call may post again. */
static void on_wake(uv_poll_t *poll, int status, int events)
{
    struct mailbox *m = poll->data;
    struct list taken;
    uint64_t count;

    (void)status, (void)events;
    (void)!read(m->wake, &count, sizeof count);
    list_init(&taken);
    pthread_mutex_lock(&m->lock);
    list_splice(&taken, &m->posted);
    pthread_mutex_unlock(&m->lock);
    for (struct list *node; (node = list_pop(&taken)) != NULL;) {
        struct call *call = container_of(node, struct call, link);
        call->done(call);
    }
}

static struct err watch(struct mailbox *m, struct uv_loop_s *uv)
{
    m->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (m->wake < 0)
        return err_system(errno, "eventfd");
    int rc = uv_poll_init(uv, &m->poll, m->wake);
    if (rc != 0)
        return err_system(-rc, "watch eventfd");
    uv_poll_start(&m->poll, UV_READABLE, on_wake);
    return ERR_OK;
}

struct err mailbox_create(struct uv_loop_s *uv, struct mailbox **out)
{
    struct mailbox *m = mem_zalloc(sizeof *m);

    pthread_mutex_init(&m->lock, NULL);
    list_init(&m->posted);
    m->poll.data = m;
    struct err e = watch(m, uv);
    if (err_is(e)) {
        mailbox_free(m);
        return e;
    }
    *out = m;
    return ERR_OK;
}

void mailbox_post(struct mailbox *m, struct call *call)
{
    uint64_t one = 1;

    pthread_mutex_lock(&m->lock);
    bool first = list_is_empty(&m->posted);
    list_append(&m->posted, &call->link);
    if (first)
        atomic_fetch_add(&m->waking, 1);
    pthread_mutex_unlock(&m->lock);
    if (!first)
        return;
    /* The call may have been what ends the loop; mailbox_free waits for us. */
    (void)!write(m->wake, &one, sizeof one);
    atomic_fetch_sub(&m->waking, 1);
}

void mailbox_take_back(struct mailbox *m, struct call *call)
{
    pthread_mutex_lock(&m->lock);
    list_remove(&call->link);
    pthread_mutex_unlock(&m->lock);
}

void mailbox_close(struct mailbox *m)
{
    uv_close((uv_handle_t *)&m->poll, NULL);
}

void mailbox_free(struct mailbox *m)
{
    if (m == NULL)
        return;
    while (atomic_load(&m->waking) > 0)
        sched_yield();
    if (m->wake >= 0)
        close(m->wake);
    pthread_mutex_destroy(&m->lock);
    free(m);
}
