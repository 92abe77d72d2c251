/* The process of a plugin: started with the plugin, watched, started again when it has ended. All
 * on the main thread but proxy_complain and proxy_take_service. */
#include "plugins/host/proxy.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    SOON_MS = 1000, /* a rest for which what is asked can wait */
    READ_PIECE = 4096,
    LINE_MOST = 1024, /* of output */
    LINES_MOST = 100, /* of one reading; more are let go of */
};

/* ---- the log ------------------------------------------------------------------------------ */

void proxy_tell(const struct proxy *proxy, enum log_level level, const char *event,
                const char *text)
{
    struct log_line line;

    if (!log_begin(&line, level, event))
        return;
    log_text(&line, "plugin", proxy->self->name);
    log_u64(&line, "pid", (uint64_t)proxy->process.pid);
    if (text != NULL)
        log_text(&line, "text", text);
    log_end(&line);
}

static void tell_output(const struct proxy *proxy, struct span text)
{
    struct log_line line;

    if (text.len == 0 || !log_begin(&line, LOG_WARN, "plugin-output"))
        return;
    log_text(&line, "plugin", proxy->self->name);
    log_u64(&line, "pid", (uint64_t)proxy->process.pid);
    log_span(&line, "text", text);
    log_end(&line);
}

/* Whole lines; without `all`, what is behind the last one waits. */
static void tell_lines(struct proxy *proxy, bool all)
{
    unsigned lines = 0;

    while (buf_len(&proxy->text) > 0) {
        struct span text = buf_span(&proxy->text);
        size_t end = span_index(text, '\n');
        if (end == text.len && text.len < LINE_MOST && !all)
            return;
        if (lines++ < LINES_MOST)
            tell_output(proxy, span_head(text, end < LINE_MOST ? end : LINE_MOST));
        buf_consume(&proxy->text, end < LINE_MOST ? end + (end < text.len) : LINE_MOST);
    }
}

/* 0 = it is closed; below, there is no more for now. */
ssize_t proxy_hear_output(struct proxy *proxy)
{
    char *room = buf_reserve(&proxy->text, READ_PIECE);
    ssize_t len = read(proxy->process.output, room, READ_PIECE);

    if (len > 0)
        buf_commit(&proxy->text, (size_t)len);
    tell_lines(proxy, len == 0);
    return len;
}

/* ---- what it says ------------------------------------------------------------------------- */

static void count_metric(struct proxy *proxy, const struct wire_count *count)
{
    if (count->metric > 0 && count->metric <= proxy->metric_count)
        service_metric_add(proxy->self, proxy->metrics[count->metric - 1], count->value);
}

static void write_log(struct proxy *proxy, uint64_t token, const struct wire_log *log)
{
    char *event = span_to_text(span_of(log->event.ptr, log->event.len));
    char *text = span_to_text(span_of(log->text.ptr, log->text.len));

    service_log(proxy->self, token, (int)log->level, event, text);
    free(event);
    free(text);
}

bool proxy_take_service(struct proxy *proxy, const struct wire_frame *frame)
{
    struct wire_count count;
    struct wire_log log;

    if (frame->kind == WIRE_COUNT && wire_read_count(frame->body, &count)) {
        count_metric(proxy, &count);
        return true;
    }
    if (frame->kind == WIRE_LOG && wire_read_log(frame->body, &log) &&
        log.level <= SMARTHOP_ERROR &&
        (frame->token == 0 || token_worker(proxy->self->home, frame->token) != NULL)) {
        write_log(proxy, frame->token, &log);
        return true;
    }
    return false;
}

static void take_descriptor(struct proxy *proxy, const struct wire_ready *ready)
{
    struct smarthop_plugin *plugin = &proxy->self->plugin;

    plugin->flags = ready->flags & ~(uint32_t)SMARTHOP_SERIAL; /* the process sees to that */
    plugin->fail_mode = ready->fail_mode;
    plugin->name = arena_dup(&proxy->arena, span_of(ready->name.ptr, ready->name.len)).ptr;
    plugin->version = arena_dup(&proxy->arena, span_of(ready->version.ptr, ready->version.len)).ptr;
    plugin->summary = arena_dup(&proxy->arena, span_of(ready->summary.ptr, ready->summary.len)).ptr;
    if (!ready->has_reload)
        plugin->reload = NULL;
    if (ready->has_command)
        plugin->command = proxy_command;
    for (unsigned hook = 0; hook < SMARTHOP_HOOKS; hook++)
        if (ready->hooks & 1u << hook)
            plugin->hooks[hook] = courier_ask;
}

/* As in its own `start`. */
static void take_metrics(struct proxy *proxy, const struct wire_ready *ready)
{
    struct smarthop_self *self = proxy->self;

    for (uint32_t i = 0; i < ready->metric_count; i++) {
        const struct wire_metric *metric = &ready->metrics[i];
        char *name = span_to_text(span_of(metric->name.ptr, metric->name.len));
        char *help = span_to_text(span_of(metric->help.ptr, metric->help.len));
        self->problems = proxy->messages;
        proxy->metrics[i] = service_metric(self, (enum smarthop_metric)metric->kind, name, help);
        self->problems = NULL;
        free(name);
        free(help);
    }
    proxy->metric_count = ready->metric_count;
}

static void serve(struct proxy *proxy);

/* Whoever asks holds what the first one said; so another plugin needs a reload. */
static bool take_ready(struct proxy *proxy, struct span body)
{
    struct wire_ready ready;

    if (proxy->state != PROXY_STARTING || !wire_read_ready(&proxy->arena, body, &ready))
        return false;
    if (proxy->ready.ptr == NULL) {
        proxy->ready = arena_dup(&proxy->arena, body);
        take_descriptor(proxy, &ready);
        take_metrics(proxy, &ready);
    } else if (!span_equal(proxy->ready, body)) {
        proxy->why = "its file is another plugin now; a reload takes it";
        process_kill(&proxy->process);
        return true;
    }
    serve(proxy);
    return true;
}

static bool take_refusal(struct proxy *proxy, struct span text)
{
    if (proxy->state != PROXY_STARTING)
        return false;
    proxy->is_refused = true;
    if (proxy->messages != NULL)
        buf_add(proxy->messages, text);
    else
        tell_output(proxy, text);
    return true;
}

/* Before it serves, and behind that, it asks for its store here. */
static bool take_of_store(struct proxy *proxy, const struct wire_frame *frame)
{
    struct smarthop_self *self = proxy->self;
    struct wire_parcel asked;
    struct buf messages;

    if (!wire_read_parcel(frame->body, &asked))
        return false;
    buf_init(&messages, 0);
    proxy_open_store(proxy, &messages); /* where that cannot be, it is told when it serves */
    buf_fini(&messages);
    if (frame->kind == WIRE_PUT) {
        store_put(self, 0, asked.key, asked.bytes, NULL, NULL);
        return true;
    }
    errand_get(self, &proxy->out, &asked);
    proxy_flush(proxy);
    return true;
}

static bool take_of_order(struct proxy *proxy, const struct wire_frame *frame)
{
    struct wire_parcel said;

    if (!wire_read_parcel(frame->body, &said))
        return false;
    if (frame->kind == WIRE_OUTPUT)
        proxy_take_output(proxy, frame->token, &said);
    else
        proxy_take_exit(proxy, frame->token, &said);
    return true;
}

static bool take(struct proxy *proxy, const struct wire_frame *frame)
{
    switch (frame->kind) {
    case WIRE_GET:
    case WIRE_PUT:
        return take_of_store(proxy, frame);
    case WIRE_OUTPUT:
    case WIRE_EXIT:
        return take_of_order(proxy, frame);
    case WIRE_READY:
        return take_ready(proxy, frame->body);
    case WIRE_REFUSED:
        return take_refusal(proxy, frame->body);
    case WIRE_RELOADED:
        if (frame->token != 0)
            proxy_tell(proxy, LOG_ERROR, "plugin-reload-refused", "it goes on with what it had");
        return true;
    default:
        return frame->token == 0 && proxy_take_service(proxy, frame);
    }
}

/* False: there is no more for now, or at all. */
bool proxy_hear(struct proxy *proxy)
{
    enum wire_result result = WIRE_DONE;
    struct wire_frame frame;
    size_t used;

    char *room = buf_reserve(&proxy->in, READ_PIECE);
    ssize_t len = room != NULL ? recv(proxy->process.control, room, READ_PIECE, MSG_DONTWAIT) : 0;
    if (len <= 0)
        return len < 0 && errno == EINTR;
    buf_commit(&proxy->in, (size_t)len);
    while ((result = wire_next(buf_span(&proxy->in), &frame, &used)) == WIRE_DONE) {
        if (!take(proxy, &frame))
            result = WIRE_BAD;
        if (result == WIRE_BAD)
            break;
        buf_consume(&proxy->in, used);
    }
    if (result == WIRE_BAD) {
        proxy->why = "it sends what makes no sense";
        process_kill(&proxy->process);
        buf_clear(&proxy->in);
    }
    return result != WIRE_BAD;
}

/* ---- to the process ----------------------------------------------------------------------- */

static struct err watch_control(struct proxy *proxy, int events);

/* Where it is not watched whoever waits for it sends the rest. */
void proxy_flush(struct proxy *proxy)
{
    while (buf_len(&proxy->out) > 0) {
        struct span out = buf_span(&proxy->out);
        ssize_t sent = send(proxy->process.control, out.ptr, out.len, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0)
            break; /* full; or broken, as reading will tell */
        buf_consume(&proxy->out, (size_t)sent);
    }
    if (proxy->watched == 0)
        return;
    struct err e =
        watch_control(proxy, LOOP_READABLE | (buf_len(&proxy->out) > 0 ? LOOP_WRITABLE : 0));
    if (err_is(e))
        log_failure(LOG_ERROR, "plugin-process", e, "plugin", proxy->self->name);
}

bool proxy_send(struct proxy *proxy, enum wire_kind kind, uint64_t token, wire_writer *write,
                const void *object)
{
    if (!wire_add(&proxy->out, kind, token, write, object))
        return false;
    proxy_flush(proxy);
    return true;
}

/* ---- to the workers ----------------------------------------------------------------------- */

/* On its way to a worker: fd below 0 = close it. */
struct turn {
    struct call call;
    struct courier *courier;
    int fd;
    uint64_t process;
    bool is_soon;
};

static void on_turn(struct call *call)
{
    struct turn *turn = container_of(call, struct turn, call);
    struct courier *courier = turn->courier;
    struct smarthop_self *self = courier->proxy->self;

    worker_note_thread(courier->worker);
    if (self->home->is_over) {
        if (turn->fd >= 0)
            close(turn->fd);
    } else if (turn->fd >= 0) {
        courier_open(courier, turn->fd, turn->process);
    } else {
        courier_close(courier, turn->is_soon);
    }
    self_release(self);
    free(turn);
}

static void post_turn(struct courier *courier, int fd, bool is_soon)
{
    struct proxy *proxy = courier->proxy;

    if (!self_hold(proxy->self)) {
        if (fd >= 0)
            close(fd);
        return;
    }
    struct turn *turn = mem_zalloc(sizeof *turn);
    list_init(&turn->call.link);
    turn->call.done = on_turn;
    turn->courier = courier;
    turn->fd = fd;
    turn->process = proxy->count;
    turn->is_soon = is_soon;
    inbox_post(&courier->worker->inbox, &turn->call);
}

/* To the workers, each its own. */
void proxy_hand_out(struct proxy *proxy)
{
    for (unsigned i = 0; i <= proxy->courier_count; i++) {
        int fd = proxy->process.sockets[i];
        proxy->process.sockets[i] = -1;
        post_turn(&proxy->couriers[i], fd, false);
    }
}

/* The first one is handed out once the plugin is begun. */
static void serve(struct proxy *proxy)
{
    proxy->state = PROXY_SERVING;
    proxy->served_since = clock_mono_ms();
    if (proxy->messages != NULL)
        return;
    proxy_hand_out(proxy);
    timer_stop(proxy->loop, &proxy->timer);
    breaker_note(proxy->self, true, clock_mono_ms());
    proxy_tell(proxy, LOG_INFO, "plugin-process-started", NULL);
}

/* ---- its end ------------------------------------------------------------------------------ */

static void describe_end(const struct proxy *proxy, const siginfo_t *end, char *room, size_t size)
{
    if (end->si_code == CLD_EXITED)
        snprintf(room, size, "it has ended with exit code %d", end->si_status);
    else if (end->si_status == SIGKILL && proxy->why != NULL)
        snprintf(room, size, "killed: %s", proxy->why);
    else
        snprintf(room, size, "it has ended by signal %d (%s)", end->si_status,
                 strsignal(end->si_status));
}

void proxy_unwatch(struct proxy *proxy)
{
    loop_watch_stop(&proxy->death_watch);
    loop_watch_stop(&proxy->control_watch);
    loop_watch_stop(&proxy->output_watch);
    proxy->watched = 0;
    timer_stop(proxy->loop, &proxy->timer);
}

/* Hears it out, then forgets it. `room`: how it ended. */
void proxy_reap(struct proxy *proxy, char *room, size_t size)
{
    siginfo_t end;

    process_wait(&proxy->process, &end);
    while (proxy_hear_output(proxy) > 0)
        continue;
    while (proxy_hear(proxy))
        continue;
    tell_lines(proxy, true);
    describe_end(proxy, &end, room, size);
    proxy->state = PROXY_DOWN;
    proxy->why = NULL;
    buf_clear(&proxy->in);
    buf_clear(&proxy->out);
    proxy_fail_orders(proxy, "its process has ended");
}

static void start_again(struct timer *timer);

/* The next one comes sooner the longer this one has served. */
static void rest(struct proxy *proxy)
{
    bool has_served =
        proxy->served_since != 0 && clock_mono_ms() - proxy->served_since > proxy->rest_max;

    proxy->rest = proxy->rest == 0 || has_served ? proxy->rest_min : 2 * proxy->rest;
    if (proxy->rest > proxy->rest_max)
        proxy->rest = proxy->rest_max;
    proxy->served_since = 0;
    for (unsigned i = 0; i <= proxy->courier_count; i++)
        post_turn(&proxy->couriers[i], -1, proxy->rest <= SOON_MS);
    timer_start(proxy->loop, &proxy->timer, proxy->rest, start_again);
}

static void on_death(struct loop_watch *watch, int events)
{
    struct proxy *proxy = container_of(watch, struct proxy, death_watch);
    struct log_line line;
    char how[256];

    (void)events;
    proxy_unwatch(proxy);
    proxy_reap(proxy, how, sizeof how);
    rest(proxy);
    if (log_begin(&line, LOG_ERROR, "plugin-process-ended")) {
        log_text(&line, "plugin", proxy->self->name);
        log_u64(&line, "pid", (uint64_t)proxy->process.pid);
        log_text(&line, "text", how);
        log_u64(&line, "rest_ms", proxy->rest);
        log_end(&line);
    }
    process_forget(&proxy->process);
}

/* A worker's word on its way. */
struct complaint {
    struct call call;
    struct proxy *proxy;
    uint64_t process;
    const char *why;
};

static void on_complaint(struct call *call)
{
    struct complaint *complaint = container_of(call, struct complaint, call);
    struct proxy *proxy = complaint->proxy;

    if (complaint->process == proxy->count && proxy->state != PROXY_DOWN) {
        if (proxy->why == NULL)
            proxy->why = complaint->why;
        process_kill(&proxy->process);
    }
    self_release(proxy->self);
    free(complaint);
}

void proxy_complain(struct proxy *proxy, uint64_t count, const char *why)
{
    if (!self_hold(proxy->self))
        return;
    struct complaint *complaint = mem_zalloc(sizeof *complaint);
    list_init(&complaint->call.link);
    complaint->call.done = on_complaint;
    complaint->proxy = proxy;
    complaint->process = count;
    complaint->why = why;
    inbox_post(&proxy->self->home->inbox, &complaint->call);
}

/* ---- its start ---------------------------------------------------------------------------- */

/* It reads this before it loads the plugin, so it is waited for. */
static bool send_setup(struct proxy *proxy)
{
    struct span setup = buf_span(&proxy->setup);

    while (setup.len > 0) {
        ssize_t sent = send(proxy->process.control, setup.ptr, setup.len, MSG_NOSIGNAL);
        if (sent <= 0 && errno != EINTR)
            return false;
        setup = span_from(setup, sent > 0 ? (size_t)sent : 0);
    }
    return true;
}

struct err proxy_launch(struct proxy *proxy)
{
    struct plugin_home *home = proxy->self->home;
    struct launch launch = {
        .program = home->helper,
        .launcher = proxy->user != NULL ? home->launcher : NULL,
        .user = proxy->user,
        .channels = proxy->courier_count + 1,
    };
    struct err e = process_launch(&launch, &proxy->process);

    if (err_is(e))
        return e;
    proxy->count++;
    proxy->state = PROXY_STARTING;
    if (!send_setup(proxy))
        process_kill(&proxy->process);
    return ERR_OK;
}

static void on_control(struct loop_watch *watch, int events)
{
    struct proxy *proxy = container_of(watch, struct proxy, control_watch);
    char byte;

    if ((events & LOOP_WRITABLE) != 0)
        proxy_flush(proxy);
    while (proxy_hear(proxy))
        continue;
    if (recv(proxy->process.control, &byte, 1, MSG_PEEK | MSG_DONTWAIT) != 0)
        return;
    loop_watch_stop(watch);
    proxy->watched = 0;
    if (proxy->why == NULL)
        proxy->why = "it has closed its connection";
    process_kill(&proxy->process);
}

static void on_output(struct loop_watch *watch, int events)
{
    (void)events;
    if (proxy_hear_output(container_of(watch, struct proxy, output_watch)) == 0)
        loop_watch_stop(watch);
}

static struct err watch_control(struct proxy *proxy, int events)
{
    if (proxy->watched == events)
        return ERR_OK;
    if (proxy->watched != 0)
        loop_watch_stop(&proxy->control_watch);
    proxy->watched = events;
    proxy->control_watch.ready = on_control;
    return loop_watch_start(proxy->loop, &proxy->control_watch, proxy->process.control, events);
}

void proxy_watch(struct proxy *proxy)
{
    const struct process *process = &proxy->process;

    proxy->death_watch.ready = on_death;
    proxy->output_watch.ready = on_output;
    struct err e =
        loop_watch_start(proxy->loop, &proxy->death_watch, process->death, LOOP_READABLE);
    if (!err_is(e))
        e = watch_control(proxy, LOOP_READABLE);
    if (!err_is(e))
        e = loop_watch_start(proxy->loop, &proxy->output_watch, process->output, LOOP_READABLE);
    if (err_is(e))
        log_failure(LOG_ERROR, "plugin-process", e, "plugin", proxy->self->name);
}

static void on_slow_start(struct timer *timer)
{
    struct proxy *proxy = container_of(timer, struct proxy, timer);

    proxy->why = "it did not start in time";
    process_kill(&proxy->process);
}

static void start_again(struct timer *timer)
{
    struct proxy *proxy = container_of(timer, struct proxy, timer);

    struct err e = proxy_launch(proxy);
    if (err_is(e)) {
        log_failure(LOG_ERROR, "plugin-process", e, "plugin", proxy->self->name);
        rest(proxy);
        return;
    }
    proxy_watch(proxy);
    timer_start(proxy->loop, &proxy->timer, proxy->start_max, on_slow_start);
}
