#include "base/loop.h"

#include "base/log.h"
#include "base/mailbox.h"

#include <stdlib.h>
#include <uv.h>

struct loop {
    uv_loop_t uv;
    struct mailbox *mailbox;
    struct list deferred;
    struct heap timers;
    uv_timer_t wake; /* fires at the earliest deadline */
    uint64_t armed;  /* for when; UINT64_MAX = not armed */
    uv_prepare_t before_poll;
    uv_check_t after_poll;
    uv_idle_t busy; /* active while deferred calls wait, so that poll does not block */
    bool is_busy;
    struct call stop;
    char *scratch;
};

/* A round of deferred calls may defer more; those are bounded before the loop
 * looks at its sockets again. */
enum { DEFER_ROUNDS = 64 };

static void run_deferred(struct loop *loop)
{
    for (int round = 0; round < DEFER_ROUNDS && !list_is_empty(&loop->deferred); round++) {
        struct list taken;
        list_init(&taken);
        list_splice(&taken, &loop->deferred);
        for (struct list *node; (node = list_pop(&taken)) != NULL;) {
            struct call *call = container_of(node, struct call, link);
            call->done(call);
        }
    }
}

static void on_busy(uv_idle_t *idle)
{
    (void)idle;
}

static void on_before_poll(uv_prepare_t *prepare)
{
    struct loop *loop = prepare->data;

    run_deferred(loop);
    log_flush();
    bool busy = !list_is_empty(&loop->deferred);
    if (busy && !loop->is_busy)
        uv_idle_start(&loop->busy, on_busy);
    else if (!busy && loop->is_busy)
        uv_idle_stop(&loop->busy);
    loop->is_busy = busy;
}

static void on_after_poll(uv_check_t *check)
{
    run_deferred(check->data);
}

static void on_stop(struct call *call)
{
    struct loop *loop = container_of(call, struct loop, stop);

    uv_stop(&loop->uv);
}

struct err loop_create(struct loop **out)
{
    struct loop *loop = mem_zalloc(sizeof *loop);

    int rc = uv_loop_init(&loop->uv);
    if (rc != 0) {
        free(loop);
        return err_system(-rc, "uv_loop_init");
    }
    struct err e = mailbox_create(&loop->uv, &loop->mailbox);
    if (err_is(e)) {
        uv_loop_close(&loop->uv);
        free(loop);
        return e;
    }
    list_init(&loop->deferred);
    heap_init(&loop->timers);
    loop->armed = UINT64_MAX;
    uv_timer_init(&loop->uv, &loop->wake);
    uv_prepare_init(&loop->uv, &loop->before_poll);
    uv_check_init(&loop->uv, &loop->after_poll);
    uv_idle_init(&loop->uv, &loop->busy);
    loop->wake.data = loop->before_poll.data = loop->after_poll.data = loop;
    uv_prepare_start(&loop->before_poll, on_before_poll);
    uv_check_start(&loop->after_poll, on_after_poll);
    loop->stop.done = on_stop;
    loop->scratch = mem_alloc(LOOP_SCRATCH);
    *out = loop;
    return ERR_OK;
}

void loop_run(struct loop *loop)
{
    uv_run(&loop->uv, UV_RUN_DEFAULT);
    log_flush();
}

void loop_stop(struct loop *loop)
{
    mailbox_post(loop->mailbox, &loop->stop);
}

static void on_signal_closed(uv_handle_t *handle)
{
    free(handle);
}

/* Signals are the only handles that the loop itself allocated. */
static void close_handle(uv_handle_t *handle, void *unused)
{
    (void)unused;
    if (!uv_is_closing(handle))
        uv_close(handle, handle->type == UV_SIGNAL ? on_signal_closed : NULL);
}

void loop_free(struct loop *loop)
{
    if (loop == NULL)
        return;
    mailbox_close(loop->mailbox);
    run_deferred(loop); /* what was closed since the loop ended may complete by a call */
    uv_walk(&loop->uv, close_handle, NULL);
    uv_run(&loop->uv, UV_RUN_DEFAULT);
    uv_loop_close(&loop->uv);
    mailbox_free(loop->mailbox);
    heap_fini(&loop->timers);
    free(loop->scratch);
    free(loop);
}

struct uv_loop_s *loop_uv(struct loop *loop)
{
    return &loop->uv;
}

uint64_t loop_now(const struct loop *loop)
{
    return uv_now(&loop->uv);
}

void loop_defer(struct loop *loop, struct call *call)
{
    list_append(&loop->deferred, &call->link);
}

void loop_post(struct loop *loop, struct call *call)
{
    mailbox_post(loop->mailbox, call);
}

void loop_take_back(struct loop *loop, struct call *call)
{
    mailbox_take_back(loop->mailbox, call);
}

char *loop_scratch(struct loop *loop)
{
    return loop->scratch;
}

static void arm(struct loop *loop);

static void on_wake(uv_timer_t *wake)
{
    struct loop *loop = wake->data;
    uint64_t now = uv_now(&loop->uv);

    loop->armed = UINT64_MAX;
    for (struct heap_node *top; (top = heap_top(&loop->timers)) != NULL && top->key <= now;) {
        struct timer *timer = container_of(top, struct timer, node);
        if (timer->due > now) {
            heap_move(&loop->timers, top, timer->due);
            continue;
        }
        heap_remove(&loop->timers, top);
        timer->fire(timer);
    }
    arm(loop);
}

static void arm(struct loop *loop)
{
    struct heap_node *top = heap_top(&loop->timers);

    if (top == NULL || top->key >= loop->armed)
        return; /* an early wake-up is harmless, a late one is not */
    uint64_t now = uv_now(&loop->uv);
    loop->armed = top->key;
    uv_timer_start(&loop->wake, on_wake, top->key > now ? top->key - now : 0, 0);
}

void timer_start(struct loop *loop, struct timer *timer, uint64_t delay,
                 void (*fire)(struct timer *timer))
{
    uint64_t now = uv_now(&loop->uv), most = UINT64_MAX - now;

    /* Never in the round that arms it, so that a timer may arm itself again. */
    timer->due = now + (delay == 0 ? 1 : delay < most ? delay : most);
    timer->fire = fire;
    if (!timer_is_active(timer))
        heap_insert(&loop->timers, &timer->node, timer->due);
    else if (timer->due < timer->node.key)
        heap_move(&loop->timers, &timer->node, timer->due);
    arm(loop);
}

void timer_stop(struct loop *loop, struct timer *timer)
{
    if (timer_is_active(timer))
        heap_remove(&loop->timers, &timer->node);
}

struct work_carrier {
    uv_work_t req;
    struct work *work;
};

static void on_work(uv_work_t *req)
{
    struct work_carrier *carrier = container_of(req, struct work_carrier, req);

    carrier->work->run(carrier->work);
    log_flush();
}

static void on_worked(uv_work_t *req, int status)
{
    struct work_carrier *carrier = container_of(req, struct work_carrier, req);
    struct work *work = carrier->work;

    (void)status; /* never cancelled */
    free(carrier);
    work->call.done(&work->call);
}

void loop_work(struct loop *loop, struct work *work)
{
    struct work_carrier *carrier = mem_zalloc(sizeof *carrier);

    carrier->work = work;
    if (uv_queue_work(&loop->uv, &carrier->req, on_work, on_worked) != 0)
        abort(); /* only for a missing callback */
}

static void on_signal(uv_signal_t *handle, int number)
{
    struct loop_signal *signal = handle->data;

    (void)number;
    signal->caught(signal);
}

struct err loop_catch(struct loop *loop, struct loop_signal *signal, int number)
{
    uv_signal_t *handle = mem_zalloc(sizeof *handle);

    uv_signal_init(&loop->uv, handle);
    handle->data = signal;
    signal->handle = handle;
    int rc = uv_signal_start(handle, on_signal, number);
    return rc == 0 ? ERR_OK : err_system(-rc, "uv_signal_start");
}

static void on_poll(uv_poll_t *handle, int status, int events)
{
    struct loop_watch *watch = handle->data;

    watch->ready(watch, status == 0 ? events & (LOOP_READABLE | LOOP_WRITABLE)
                                    : LOOP_READABLE | LOOP_WRITABLE);
}

static void on_poll_closed(uv_handle_t *handle)
{
    free(handle);
}

struct err loop_watch_start(struct loop *loop, struct loop_watch *watch, int fd, int events)
{
    uv_poll_t *handle = mem_zalloc(sizeof *handle);

    _Static_assert((int)LOOP_READABLE == (int)UV_READABLE && (int)LOOP_WRITABLE == (int)UV_WRITABLE,
                   "as libuv has them");
    int rc = uv_poll_init(&loop->uv, handle, fd);
    if (rc != 0) {
        free(handle);
        return err_system(-rc, "uv_poll_init");
    }
    handle->data = watch;
    rc = uv_poll_start(handle, events & (LOOP_READABLE | LOOP_WRITABLE), on_poll);
    if (rc != 0) {
        uv_close((uv_handle_t *)handle, on_poll_closed);
        return err_system(-rc, "uv_poll_start");
    }
    watch->handle = handle;
    return ERR_OK;
}

void loop_watch_stop(struct loop_watch *watch)
{
    if (watch->handle == NULL)
        return;
    uv_close(watch->handle, on_poll_closed);
    watch->handle = NULL;
}
