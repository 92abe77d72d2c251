/* A worker's connection to the process of a plugin. */
#include "plugins/host/proxy.h"

#include "base/memory.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    IN_MOST = 2 * WIRE_MOST,
    READ_PIECE = 65536,
    READS_MOST = 16,         /* in a row */
    ANSWERS_MOST = 16 << 20, /* to what it asks for, beside what it is asked */
    PROBLEM_MOST = 200,
};

static struct courier *courier_of(struct proxy *proxy, uint64_t token)
{
    return &proxy->couriers[token_worker(proxy->self->home, token)->index];
}

/* It is closed in a moment: who finds out may be in the middle of asking, or of an answer. */
static void give_up(struct courier *courier, const char *why)
{
    if (courier->is_broken)
        return;
    courier->is_broken = true;
    proxy_complain(courier->proxy, courier->process, why);
    loop_defer(courier->worker->loop, &courier->close);
}

static void on_close(struct call *call)
{
    courier_close(container_of(call, struct courier, close), true);
}

/* ---- sending ------------------------------------------------------------------------------ */

static void on_ready(struct loop_watch *watch, int events);

static void watch_for(struct courier *courier, int events)
{
    if (courier->watched == events)
        return;
    if (courier->watched != 0)
        loop_watch_stop(&courier->watch);
    courier->watched = events;
    courier->watch.ready = on_ready;
    if (events != 0 &&
        err_is(loop_watch_start(courier->worker->loop, &courier->watch, courier->fd, events))) {
        courier->watched = 0;
        give_up(courier, "its connection cannot be watched");
    }
}

static void send_out(struct courier *courier)
{
    while (buf_len(&courier->out) > 0) {
        struct span out = buf_span(&courier->out);
        ssize_t sent = send(courier->fd, out.ptr, out.len, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0)
            break; /* full; or broken, as reading will tell */
        buf_consume(&courier->out, (size_t)sent);
    }
    watch_for(courier, (courier->is_full ? 0 : LOOP_READABLE) |
                           (buf_len(&courier->out) > 0 ? LOOP_WRITABLE : 0));
}

static void on_flush(struct call *call)
{
    struct courier *courier = container_of(call, struct courier, flush);

    if (courier->fd >= 0 && !courier->is_broken)
        send_out(courier);
}

/* All that is asked in this round goes at once. */
static void send_soon(struct courier *courier)
{
    if (courier->fd >= 0 && !list_is_linked(&courier->flush.link))
        loop_defer(courier->worker->loop, &courier->flush);
}

void courier_flush(struct courier *courier)
{
    if (buf_len(&courier->out) > courier->proxy->queue_max + ANSWERS_MOST)
        give_up(courier, "it does not read what it asks for");
    else
        send_soon(courier);
}

void courier_send(struct courier *courier, enum wire_kind kind, uint64_t token, wire_writer *write,
                  const void *object)
{
    if (!courier->is_broken && wire_add(&courier->out, kind, token, write, object))
        courier_flush(courier);
}

int courier_ask(void *state, const struct smarthop_event *event, struct smarthop_verdict *verdict)
{
    struct courier *courier = courier_of(state, event->token);

    (void)verdict;
    if (courier->is_broken || (courier->fd < 0 && !courier->is_soon) ||
        buf_len(&courier->out) > courier->proxy->queue_max ||
        !wire_add(&courier->out, WIRE_ASK, event->token, wire_write_event, event))
        return SMARTHOP_BROKEN;
    send_soon(courier);
    return SMARTHOP_PENDING;
}

static void on_pulse(struct timer *timer)
{
    give_up(container_of(timer, struct courier, pulse), "it does not answer");
}

/* What is cancelled is acknowledged at once by a process that is well. */
void courier_cancel(void *state, uint64_t token)
{
    struct courier *courier = courier_of(state, token);
    const struct slot *slot = token_slot(courier->worker, token);
    struct wire_parcel told = {.number = slot != NULL && slot->end == SLOT_TIMED_OUT};

    if (courier->is_broken || courier->worker->home->is_over ||
        !wire_add(&courier->out, WIRE_CANCEL, token, wire_write_parcel, &told))
        return;
    send_soon(courier);
    if (courier->fd >= 0 && !timer_is_active(&courier->pulse))
        timer_start(courier->worker->loop, &courier->pulse, courier->proxy->self->timeout_ms,
                    on_pulse);
}

/* ---- hearing ------------------------------------------------------------------------------ */

static void answer(struct arena *arena, struct plugin_run *run, const struct wire_answer *said)
{
    struct span problem = plugin_span(said->problem);
    const char *text = NULL;

    if (said->verdict == NULL && problem.len > 0)
        text = arena_dup(arena, span_head(problem,
                                          problem.len < PROBLEM_MOST ? problem.len : PROBLEM_MOST))
                   .ptr;
    run_answer(run, said->verdict, text);
}

/* What nobody waits for any more may have crossed its own end. */
static bool take_answer(struct courier *courier, const struct wire_frame *frame)
{
    struct plugin_worker *worker = courier->worker;
    struct wire_answer said;
    struct arena arena;
    enum stray stray;

    arena_init(&arena);
    bool good = wire_read_answer(&arena, frame->body, &said) &&
                token_worker(worker->home, frame->token) == worker;
    struct slot *slot = good ? token_living(worker, frame->token) : NULL;
    if (slot != NULL && run_awaits(slot->run, courier->proxy->self))
        answer(&arena, slot->run, &said);
    else if (good && slot == NULL && stray_is(worker, frame->token, &stray))
        stray_note(courier->proxy->self, worker, frame->token, stray);
    arena_fini(&arena);
    return good;
}

static bool take(struct courier *courier, const struct wire_frame *frame)
{
    switch (frame->kind) {
    case WIRE_ANSWER:
        return take_answer(courier, frame);
    case WIRE_CANCELLED:
        return true;
    default:
        return errand_take(courier, frame);
    }
}

static void take_all(struct courier *courier)
{
    enum wire_result result = WIRE_DONE;
    struct wire_frame frame;
    size_t used;

    while (!courier->is_broken && !courier->is_full &&
           (result = wire_next(buf_span(&courier->in), &frame, &used)) == WIRE_DONE) {
        timer_stop(courier->worker->loop, &courier->pulse);
        if (!take(courier, &frame))
            result = WIRE_BAD;
        if (result == WIRE_BAD)
            break;
        buf_consume(&courier->in, used);
    }
    if (result == WIRE_BAD)
        give_up(courier, "it sends what makes no sense");
}

static void hear(struct courier *courier)
{
    for (unsigned i = 0; i < READS_MOST && !courier->is_broken && !courier->is_full; i++) {
        char *room = buf_reserve(&courier->in, READ_PIECE);
        ssize_t len = room != NULL ? recv(courier->fd, room, READ_PIECE, MSG_DONTWAIT) : -1;
        if (len < 0 && (errno == EAGAIN || errno == EINTR))
            break;
        if (len <= 0) {
            give_up(courier, "it has closed its connection");
            return;
        }
        buf_commit(&courier->in, (size_t)len);
        take_all(courier);
        if (len < READ_PIECE)
            break;
    }
    if (courier->is_full)
        send_out(courier); /* and watches no more for what comes */
}

void courier_resume(struct courier *courier)
{
    courier->is_full = false;
    take_all(courier);
    if (!courier->is_broken)
        send_out(courier);
}

static void on_ready(struct loop_watch *watch, int events)
{
    struct courier *courier = container_of(watch, struct courier, watch);

    if ((events & LOOP_WRITABLE) != 0 && !courier->is_broken)
        send_out(courier);
    if ((events & LOOP_READABLE) != 0 && !courier->is_broken)
        hear(courier);
}

/* ---- its life ----------------------------------------------------------------------------- */

void courier_init(struct courier *courier, struct proxy *proxy, struct plugin_worker *worker)
{
    *courier = (struct courier){.proxy = proxy, .worker = worker, .fd = -1, .is_soon = true};
    buf_init(&courier->in, IN_MOST);
    buf_init(&courier->out, 0);
    list_init(&courier->flush.link);
    courier->flush.done = on_flush;
    list_init(&courier->close.link);
    courier->close.done = on_close;
    list_init(&courier->lookups);
}

void courier_open(struct courier *courier, int fd, uint64_t process)
{
    courier->fd = fd;
    courier->process = process;
    courier->is_soon = courier->is_broken = courier->is_full = false;
    send_out(courier);
}

static void tell_lost(const struct courier *courier, const struct plugin_run *run)
{
    struct log_line line;

    if (!log_begin(&line, LOG_WARN, "plugin-lost"))
        return;
    log_text(&line, "plugin", courier->proxy->self->name);
    log_text(&line, "hook", plugin_hook_name(run->hook));
    event_log(&line, &run->event);
    log_end(&line);
}

/* New slots may be made meanwhile: who is answered asks the next plugin. */
static void break_runs(struct courier *courier)
{
    struct plugin_worker *worker = courier->worker;

    for (unsigned i = 0; i < worker->slot_count; i++) {
        struct plugin_run *run = worker->slots[i]->run;
        if (run == NULL || !run_awaits(run, courier->proxy->self))
            continue;
        tell_lost(courier, run);
        run_answer(run, NULL, NULL);
    }
}

static void let_go(struct courier *courier)
{
    if (courier->watched != 0)
        loop_watch_stop(&courier->watch);
    courier->watched = 0;
    timer_stop(courier->worker->loop, &courier->pulse);
    list_remove(&courier->flush.link);
    list_remove(&courier->close.link);
    if (courier->fd >= 0)
        close(courier->fd);
    courier->fd = -1;
    buf_fini(&courier->in);
}

/* What was asked since it was closed waits on, where that is not for long. */
void courier_close(struct courier *courier, bool is_soon)
{
    bool is_lost = courier->fd >= 0 || !is_soon;

    courier->is_broken = true; /* until all are told nothing is asked */
    let_go(courier);
    if (is_lost) {
        buf_clear(&courier->out);
        if (!courier->is_desk)
            break_runs(courier);
    }
    courier->is_broken = false;
    courier->is_soon = is_soon;
}

void courier_fini(struct courier *courier)
{
    let_go(courier);
    buf_fini(&courier->out);
    errands_drop(courier);
}

/* What it has put before it gave its last answer is there; nothing else counts any more. */
void courier_drain(struct courier *courier)
{
    enum wire_result result;
    struct wire_frame frame;
    size_t used;
    ssize_t len;

    while (courier->fd >= 0) {
        while ((result = wire_next(buf_span(&courier->in), &frame, &used)) == WIRE_DONE) {
            if (frame.kind == WIRE_PUT)
                errand_take(courier, &frame);
            buf_consume(&courier->in, used);
        }
        char *room = result == WIRE_MORE ? buf_reserve(&courier->in, READ_PIECE) : NULL;
        len = room != NULL ? recv(courier->fd, room, READ_PIECE, MSG_DONTWAIT) : 0;
        if (len <= 0)
            return;
        buf_commit(&courier->in, (size_t)len);
    }
}
