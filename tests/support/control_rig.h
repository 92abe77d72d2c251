/*
 * control_rig: a control socket on a loop with a thread of its own, whose actions note what they
 * are asked for; the test is the client.
 */
#ifndef SMARTHOP_TESTS_CONTROL_RIG_H
#define SMARTHOP_TESTS_CONTROL_RIG_H

#include "control/control.h"
#include "net/local.h"

#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

enum { CLIENT_DEADLINE_S = 20 };

/* ---- the daemon's side ---------------------------------------------------------------------- */

static struct {
    struct loop *loop;
    pthread_t thread;
    char folder[64];
    char path[96];
    struct control *control;
    struct call close;
    bool closing;
    uint64_t moot;
    struct control_operation *held; /* an operation that the test completes */
    sem_t operation_came;
    bool hold;
    enum control_verb verb;
    uint64_t id;
    struct queue_group_name groups[2]; /* the first of those that were named */
    unsigned group_count;
    struct err result;
    char forgotten[64]; /* "kind:key" */
    bool reload_accepts;
    unsigned log_reopened;
    unsigned stopped;
    unsigned pages; /* of the list of sessions */
    struct control_page *held_page;
    uint64_t ended;
    struct control_trace *trace;
    struct buf trace_lines; /* one text a line */
    uint64_t trace_lost;
    sem_t trace_ended;
} daemon_side;

static inline void operate(void *context, struct control_operation *operation)
{
    (void)context;
    daemon_side.verb = operation->verb;
    daemon_side.id = operation->id;
    daemon_side.group_count = operation->group_count;
    for (unsigned i = 0; i < operation->group_count && i < 2; i++)
        daemon_side.groups[i] = operation->groups[i];
    operation->affected = 3;
    operation->busy = 1;
    operation->moot = daemon_side.moot;
    operation->result = daemon_side.result;
    daemon_side.held = operation;
    if (!daemon_side.hold)
        loop_defer(operation->home, &operation->call);
    sem_post(&daemon_side.operation_came);
}

static inline void give_status(void *context, struct control_status *status)
{
    (void)context;
    status->messages = 12;
    status->workers = 2;
    status->store_low = true;
    snprintf(status->configuration, sizeof status->configuration, "/etc/x\xff.conf");
    loop_defer(status->home, &status->call);
}

/* Page n has n + 1 sessions; with `hold` the test completes it. */
static inline void list_sessions(void *context, struct control_page *page)
{
    (void)context;
    page->place++;
    for (unsigned i = 0; i < page->place && i < CONTROL_PAGE; i++)
        page->sessions[page->count++] = (struct control_session){
            .id = page->place * 1000 + i,
            .client = arena_dup(&page->arena, SPAN("[192.0.2.1]")),
            .hello = arena_dup(&page->arena, SPAN("a\"\xff")),
            .bytes = 7,
        };
    page->more = page->place < daemon_side.pages;
    daemon_side.held_page = page;
    if (!daemon_side.hold)
        loop_defer(page->home, &page->call);
    sem_post(&daemon_side.operation_came);
}

/* One page with one destination. */
static inline void list_destinations(void *context, struct control_page *page)
{
    static struct control_host host = {.name = {"mx.test", 7},
                                       .address = {"192.0.2.1:25", 12},
                                       .health = {"down", 4},
                                       .connections = 2};

    (void)context;
    page->destinations[page->count++] = (struct control_destination){
        .key = SPAN("k"),
        .state = SPAN("backoff"),
        .why = SPAN("451 a\xff"),
        .ready = 3,
        .failures = 2,
        .connections_allowed = 1,
        .rate_until = 7,
        .hosts = &host,
        .host_count = 1,
    };
    loop_defer(page->home, &page->call);
}

static inline void end_session(void *context, struct control_ending *ending)
{
    (void)context;
    daemon_side.ended = ending->session;
    ending->found = ending->session == 12;
    loop_defer(ending->home, &ending->call);
}

static inline bool begin_trace(void *context, struct span network, struct control_trace *trace,
                               struct buf *why)
{
    (void)context;
    if (!span_equal(network, SPAN("192.0.2.0/24"))) {
        buf_addf(why, "not \"%.*s\"", SPAN_ARG(network));
        return false;
    }
    daemon_side.trace = trace;
    sem_post(&daemon_side.operation_came);
    return true;
}

static inline uint64_t take_lines(void *context, struct control_trace *trace,
                                  control_tell_line *tell, void *tell_context)
{
    uint64_t lost = daemon_side.trace_lost;

    (void)context;
    assert_ptr_equal(trace, daemon_side.trace);
    for (struct span rest = buf_span(&daemon_side.trace_lines); rest.len > 0;)
        tell(&(struct control_trace_line){.wall_ms = 5,
                                          .session = 6,
                                          .client = SPAN("[192.0.2.1]"),
                                          .text = span_split(rest, '\n', &rest)},
             tell_context);
    buf_fini(&daemon_side.trace_lines);
    daemon_side.trace_lost = 0;
    return lost;
}

static inline void end_trace(void *context, struct control_trace *trace)
{
    (void)context;
    assert_ptr_equal(trace, daemon_side.trace);
    sem_post(&daemon_side.trace_ended);
}

static inline bool reload(void *context, struct buf *messages)
{
    (void)context;
    buf_add(messages, SPAN("a.conf:1: \"q\"\na.conf:2: \xff\n"));
    return daemon_side.reload_accepts;
}

static inline bool forget(void *context, struct span kind, struct span key, uint64_t *count_out)
{
    (void)context;
    snprintf(daemon_side.forgotten, sizeof daemon_side.forgotten, "%.*s:%.*s", SPAN_ARG(kind),
             SPAN_ARG(key));
    *count_out = 2;
    return !span_equal(kind, SPAN("strange"));
}

static inline void reopen_log(void *context)
{
    (void)context;
    daemon_side.log_reopened++;
}

static inline void stop(void *context)
{
    (void)context;
    daemon_side.stopped++;
}

static const struct control_actions control_rig_actions = {
    .operate = operate,
    .status = give_status,
    .sessions = list_sessions,
    .destinations = list_destinations,
    .end_session = end_session,
    .trace = begin_trace,
    .trace_take = take_lines,
    .trace_end = end_trace,
    .forget = forget,
    .reload = reload,
    .reopen_log = reopen_log,
    .stop = stop,
};

static inline void *run_loop(void *unused)
{
    loop_run(daemon_side.loop);
    return unused;
}

static inline void on_close(struct call *call)
{
    (void)call;
    control_close(daemon_side.control);
    daemon_side.control = NULL;
}

static inline void close_control(void)
{
    if (daemon_side.closing)
        return;
    daemon_side.closing = true;
    list_init(&daemon_side.close.link);
    daemon_side.close.done = on_close;
    loop_post(daemon_side.loop, &daemon_side.close);
}

static inline int control_rig_setup(void **state)
{
    (void)state;
    memset(&daemon_side, 0, sizeof daemon_side);
    sem_init(&daemon_side.operation_came, 0, 0);
    sem_init(&daemon_side.trace_ended, 0, 0);
    buf_init(&daemon_side.trace_lines, 0);
    snprintf(daemon_side.folder, sizeof daemon_side.folder, "/tmp/smarthop-control-XXXXXX");
    assert_non_null(mkdtemp(daemon_side.folder));
    snprintf(daemon_side.path, sizeof daemon_side.path, "%s/control", daemon_side.folder);
    assert_false(err_is(loop_create(&daemon_side.loop)));
    assert_false(err_is(control_create(daemon_side.loop, daemon_side.path, &control_rig_actions,
                                       &daemon_side.control)));
    assert_int_equal(pthread_create(&daemon_side.thread, NULL, run_loop, NULL), 0);
    return 0;
}

static inline int control_rig_teardown(void **state)
{
    (void)state;
    close_control();
    loop_stop(daemon_side.loop);
    pthread_join(daemon_side.thread, NULL);
    loop_free(daemon_side.loop);
    assert_int_equal(access(daemon_side.path, F_OK), -1);
    rmdir(daemon_side.folder);
    sem_destroy(&daemon_side.operation_came);
    sem_destroy(&daemon_side.trace_ended);
    buf_fini(&daemon_side.trace_lines);
    return 0;
}

/* ---- the client ------------------------------------------------------------------------------ */

static inline int client_connect(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct timeval deadline = {.tv_sec = CLIENT_DEADLINE_S};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    snprintf(address.sun_path, sizeof address.sun_path, "%s", daemon_side.path);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &deadline, sizeof deadline);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

static inline void client_send(int fd, struct span bytes)
{
    assert_int_equal(send(fd, bytes.ptr, bytes.len, MSG_NOSIGNAL), bytes.len);
}

static inline void expect_line(int fd, const char *expected)
{
    char line[4096];
    size_t len = 0;

    do
        assert_int_equal(recv(fd, line + len, 1, 0), 1);
    while (line[len++] != '\n' && len < sizeof line);
    line[len - 1] = '\0';
    assert_string_equal(line, expected);
}

static inline void expect_end(int fd)
{
    char byte;

    assert_int_equal(recv(fd, &byte, 1, 0), 0);
    close(fd);
}

static inline void exchange(const char *command, const char *expected)
{
    int fd = client_connect();

    client_send(fd, span_cstr(command));
    expect_line(fd, expected);
    close(fd);
}

#endif
