/* plugins/host: what the host does for a plugin: look-ups, descriptors, work, the log. */
#include "support/plugin_rig.h"

#include "base/log.h"
#include "support/scratch.h"

#include <pthread.h>
#include <semaphore.h>

/* ---- look-ups ----------------------------------------------------------------------------- */

/* A backend that answers when it is told to. */
struct fake_dns {
    struct plugin_lookup *lookup; /* what waits */
    struct plugin_backend backend;
    unsigned cancels;
};

static void fake_lookup(void *context, struct plugin_lookup *lookup)
{
    ((struct fake_dns *)context)->lookup = lookup;
}

static void fake_cancel(void *context, struct plugin_lookup *lookup)
{
    struct fake_dns *dns = context;

    assert_ptr_equal(dns->lookup, lookup);
    dns->cancels++;
}

static void fake_dns_init(struct fake_dns *dns)
{
    *dns = (struct fake_dns){.backend = {dns, fake_lookup, fake_cancel}};
}

static void fake_answer(struct fake_dns *dns)
{
    struct smarthop_span *record = arena_alloc(dns->lookup->arena, sizeof *record);

    *record = SMARTHOP_TEXT("192.0.2.1");
    dns->lookup->answer.result = SMARTHOP_DNS_OK;
    dns->lookup->answer.records = record;
    dns->lookup->answer.count = 1;
    dns->lookup->call.done(&dns->lookup->call);
    dns->lookup = NULL;
}

struct heard {
    unsigned times;
    enum smarthop_dns_result result;
    char first[64];
};

static void hear(void *context, const struct smarthop_dns_answer *answer)
{
    struct heard *heard = context;

    heard->times++;
    heard->result = answer->result;
    if (answer->count > 0)
        snprintf(heard->first, sizeof heard->first, "%.*s", (int)answer->records[0].len,
                 answer->records[0].ptr);
}

static void look_up(struct plugin_desk *desk, uint64_t token, struct heard *heard)
{
    char name[] = "mail.example";

    desk->host->dns(desk->self, token, SMARTHOP_DNS_ADDRESS,
                    smarthop_span_of(name, sizeof name - 1), hear, heard);
    memset(name, 'x', sizeof name); /* it has been copied */
}

static void test_a_name_is_looked_up(void **state)
{
    struct plugin_rig rig;
    struct plugin_desk desk = {0};
    struct fake_dns dns;
    struct heard heard = {0};

    (void)state;
    fake_dns_init(&dns);
    plugin_rig_start_with(&rig, &dns.backend);
    assert_true(plugin_rig_load(&rig, SECTION(&desk, "a", "")));
    look_up(&desk, 0, &heard);
    TURN_UNTIL(rig.loop, dns.lookup != NULL);
    assert_int_equal(dns.lookup->record, SMARTHOP_DNS_ADDRESS);
    assert_true(span_equal(dns.lookup->name, span_cstr("mail.example")));
    fake_answer(&dns);
    assert_int_equal(heard.times, 1);
    assert_int_equal(heard.result, SMARTHOP_DNS_OK);
    assert_string_equal(heard.first, "192.0.2.1");
    plugin_rig_stop(&rig);
}

static void test_without_dns_nothing_is_found_out(void **state)
{
    struct plugin_rig rig;
    struct plugin_desk desk = {.ask = desk_promise};
    struct heard heard = {0};
    struct asking a;

    (void)state;
    plugin_rig_start_one(&rig, &desk, "");
    asking_start(&rig, &a, SMARTHOP_ON_ROUTE);
    look_up(&desk, desk.token, &heard);
    assert_int_equal(heard.times, 0);
    TURN_UNTIL(rig.loop, heard.times == 1);
    assert_int_equal(heard.result, SMARTHOP_DNS_RETRY);
    asking_cancel(&rig, &a);
    plugin_rig_stop(&rig);
}

static void test_a_look_up_is_cancelled_with_its_event_and_its_plugin(void **state)
{
    struct plugin_rig rig;
    struct plugin_desk desk = {.ask = desk_promise};
    struct fake_dns dns;
    struct heard heard = {0};
    struct asking a;

    (void)state;
    fake_dns_init(&dns);
    plugin_rig_start_with(&rig, &dns.backend);
    assert_true(plugin_rig_load(&rig, SECTION(&desk, "a", "")));
    asking_start(&rig, &a, SMARTHOP_ON_ROUTE);
    look_up(&desk, desk.token, &heard);
    assert_non_null(dns.lookup);
    asking_cancel(&rig, &a);
    assert_int_equal(dns.cancels, 1);
    fake_answer(&dns);
    look_up(&desk, desk.token, &heard); /* the event is over */
    assert_null(dns.lookup);
    look_up(&desk, 0, &heard);
    TURN_UNTIL(rig.loop, dns.lookup != NULL);
    assert_true(plugin_rig_load(&rig, ""));
    TURN_UNTIL(rig.loop, desk.stops == 1);
    assert_int_equal(dns.cancels, 2);
    fake_answer(&dns); /* its memory is still there */
    assert_int_equal(heard.times, 0);
    plugin_rig_stop(&rig);
}

/* ---- descriptors -------------------------------------------------------------------------- */

struct watched {
    struct plugin_desk *desk;
    uint64_t id;
    int pipe[2];
    unsigned times;
    bool is_unwatched_within;
};

static void on_ready(void *context, int events)
{
    struct watched *w = context;
    char byte;

    assert_int_equal(w->desk->stops, 0);
    assert_int_equal(events, SMARTHOP_READABLE);
    assert_int_equal(read(w->pipe[0], &byte, 1), 1);
    w->times++;
    if (!w->is_unwatched_within)
        return;
    w->desk->host->unwatch(w->desk->self, w->id);
    close(w->pipe[0]);
}

static void watch(struct watched *w, struct plugin_desk *desk, uint64_t token)
{
    *w = (struct watched){.desk = desk};
    assert_int_equal(pipe(w->pipe), 0);
    w->id = desk->host->watch(desk->self, token, w->pipe[0], SMARTHOP_READABLE, on_ready, w);
    assert_true(w->id != 0);
}

static void test_a_descriptor_is_watched_until_it_is_not(void **state)
{
    struct plugin_rig rig;
    struct plugin_desk desk = {.ask = desk_promise};
    struct watched w;
    struct asking a;

    (void)state;
    plugin_rig_start_one(&rig, &desk, "");
    asking_start(&rig, &a, SMARTHOP_ON_ROUTE);
    watch(&w, &desk, desk.token);
    for (unsigned i = 1; i < 4; i++) {
        assert_int_equal(write(w.pipe[1], "x", 1), 1);
        TURN_UNTIL(rig.loop, w.times == i);
    }
    w.is_unwatched_within = true;
    assert_int_equal(write(w.pipe[1], "x", 1), 1);
    TURN_UNTIL(rig.loop, w.times == 4);
    turn_for(rig.loop, 5);
    close(w.pipe[1]);
    asking_cancel(&rig, &a);
    plugin_rig_stop(&rig);
}

static void test_a_watch_goes_with_its_event_and_its_plugin(void **state)
{
    struct plugin_rig rig;
    struct plugin_desk desk = {.ask = desk_promise};
    struct watched of_event, of_plugin;
    struct asking a;

    (void)state;
    plugin_rig_start_one(&rig, &desk, "");
    asking_start(&rig, &a, SMARTHOP_ON_ROUTE);
    watch(&of_event, &desk, desk.token);
    watch(&of_plugin, &desk, 0);
    assert_int_equal(write(of_plugin.pipe[1], "x", 1), 1);
    TURN_UNTIL(rig.loop, of_plugin.times == 1);
    asking_cancel(&rig, &a);
    assert_int_equal(write(of_event.pipe[1], "x", 1), 1);
    assert_true(plugin_rig_load(&rig, ""));
    assert_int_equal(write(of_plugin.pipe[1], "x", 1), 1);
    TURN_UNTIL(rig.loop, desk.stops == 1);
    turn_for(rig.loop, 5);
    assert_int_equal(of_event.times, 0);
    for (unsigned i = 0; i < 2; i++) {
        close(of_event.pipe[i]);
        close(of_plugin.pipe[i]);
    }
    plugin_rig_stop(&rig);
}

static void test_what_cannot_be_watched_is_told(void **state)
{
    struct plugin_rig rig;
    struct plugin_desk desk = {0};

    (void)state;
    plugin_rig_start_one(&rig, &desk, "");
    ask_once(&rig, SMARTHOP_ON_ROUTE);
    FILE *file = tmpfile();
    assert_int_equal(
        desk.host->watch(desk.self, 0, fileno(file), SMARTHOP_READABLE, on_ready, NULL), 0);
    assert_int_equal(desk.host->watch(desk.self, 0, -1, SMARTHOP_READABLE, on_ready, NULL), 0);
    fclose(file);
    plugin_rig_stop(&rig);
}

/* ---- work --------------------------------------------------------------------------------- */

struct task_seen {
    struct plugin_desk *desk;
    sem_t gate; /* what `run` waits for */
    pthread_t ran_on;
    atomic_uint begun;
    atomic_uint ran;
    unsigned done;
};

static void run_seen(void *context)
{
    struct task_seen *t = context;

    atomic_fetch_add(&t->begun, 1);
    while (sem_wait(&t->gate) != 0)
        ;
    t->ran_on = pthread_self();
    atomic_fetch_add(&t->ran, 1);
}

static void done_seen(void *context)
{
    struct task_seen *t = context;

    assert_int_equal(t->ran, t->done + 1);
    assert_int_equal(t->desk->stops, 0);
    t->done++;
}

static void seen_init(struct task_seen *t, struct plugin_desk *desk, unsigned is_open)
{
    *t = (struct task_seen){.desk = desk};
    sem_init(&t->gate, 0, is_open);
}

static void test_work_is_done_on_another_thread(void **state)
{
    struct plugin_rig rig;
    struct plugin_desk desk = {.ask = desk_promise};
    struct task_seen seen;
    struct asking a;

    (void)state;
    seen_init(&seen, &desk, 1);
    plugin_rig_start_one(&rig, &desk, "");
    asking_start(&rig, &a, SMARTHOP_ON_ROUTE);
    desk.host->work(desk.self, desk.token, run_seen, done_seen, &seen);
    assert_int_equal(seen.done, 0);
    TURN_UNTIL(rig.loop, seen.done == 1);
    assert_false(pthread_equal(seen.ran_on, pthread_self()));
    asking_cancel(&rig, &a);
    plugin_rig_stop(&rig);
}

static void test_work_outlives_its_event_but_not_its_plugin(void **state)
{
    struct plugin_rig rig;
    struct plugin_desk desk = {.ask = desk_promise};
    struct task_seen seen;
    struct asking a;

    (void)state;
    seen_init(&seen, &desk, 0);
    plugin_rig_start_one(&rig, &desk, "");
    asking_start(&rig, &a, SMARTHOP_ON_ROUTE);
    desk.host->work(desk.self, desk.token, run_seen, done_seen, &seen);
    TURN_UNTIL(rig.loop, seen.begun == 1);
    asking_cancel(&rig, &a);
    assert_true(plugin_rig_load(&rig, ""));
    turn_for(rig.loop, 5);
    assert_int_equal(desk.stops, 0); /* it is waited for */
    sem_post(&seen.gate);
    TURN_UNTIL(rig.loop, desk.stops == 1);
    assert_int_equal(seen.done, 1);
    desk.host = NULL;
    plugin_rig_stop(&rig);
}

static void *open_gate(void *context)
{
    struct task_seen *t = context;

    while (atomic_load(&t->begun) == 0)
        ;
    sem_post(&t->gate);
    return NULL;
}

/* One that is running when the loop has ended, and one that was never given to it. */
static void test_the_end_waits_for_work(void **state)
{
    struct plugin_rig rig;
    struct plugin_desk desk = {0};
    struct task_seen running, posted;
    pthread_t thread;

    (void)state;
    seen_init(&running, &desk, 0);
    seen_init(&posted, &desk, 1);
    plugin_rig_start_one(&rig, &desk, "");
    desk.host->work(desk.self, 0, run_seen, done_seen, &running);
    TURN_UNTIL(rig.loop, running.begun == 1);
    desk.host->work(desk.self, 0, run_seen, done_seen, &posted);
    assert_int_equal(pthread_create(&thread, NULL, open_gate, &running), 0);
    plugin_rig_stop(&rig);
    pthread_join(thread, NULL);
    assert_int_equal(running.done, 1);
    assert_int_equal(posted.done, 1);
    assert_int_equal(desk.stops, 1);
}

/* ---- the log, and the rest ---------------------------------------------------------------- */

static bool log_holds(const char *path, const char *text)
{
    char line[LOG_LINE_MAX];
    bool found = false;
    FILE *file = fopen(path, "r");

    assert_non_null(file);
    while (fgets(line, sizeof line, file) != NULL)
        found |= strstr(line, text) != NULL;
    fclose(file);
    return found;
}

static int log_and_alloc(struct plugin_desk *desk, const struct smarthop_event *event,
                         struct smarthop_verdict *verdict)
{
    char *memory = desk->host->alloc(desk->self, event->token, 3);

    assert_null(desk->host->alloc(desk->self, event->token, SIZE_MAX));
    assert_null(desk->host->alloc(desk->self, event->token, (64 << 20) + 1));
    desk->host->log(desk->self, event->token, SMARTHOP_WARN, "odd", "so\nit is");
    desk->host->log(desk->self, 0, SMARTHOP_WARN, "plain", "of no event");
    desk->host->log(desk->self, 0, 77, "never", "no such level");
    memcpy(memory, "yes", 3);
    verdict->tags = desk->user;
    verdict->why = smarthop_span_of(memory, 3);
    return SMARTHOP_DONE;
}

static void test_a_line_tells_what_the_event_is_about(void **state)
{
    struct plugin_rig rig;
    struct plugin_desk desk = {.ask = log_and_alloc};
    struct smarthop_session session = {.size = sizeof session, .id = 4711};
    struct smarthop_message message = {.size = sizeof message, .id = 1};
    struct asking a = {.run = {.call.done = asking_on_done, .hook = SMARTHOP_ON_MESSAGE}};
    char folder[SCRATCH_PATH], path[SCRATCH_PATH + 8];

    (void)state;
    scratch_make(folder);
    snprintf(path, sizeof path, "%s/log", folder);
    assert_false(err_is(log_open(path, LOG_INFO)));
    plugin_rig_start_one(&rig, &desk, "");
    list_init(&a.run.call.link);
    arena_init(&a.arena);
    a.run.arena = &a.arena;
    a.run.event.session = &session;
    a.run.event.message = &message;
    plugin_ask(rig.worker, &a.run);
    TURN_UNTIL(rig.loop, a.completions > 0);
    asking_end(&a);
    assert_null(desk.host->alloc(desk.self, desk.token, 1));
    log_flush();
    assert_true(log_holds(path, " plugin plugin=a what=odd hook=message id=0000000000001 "
                                "sid=4711 text=\"so\\"));
    assert_true(log_holds(path, " plugin plugin=a what=plain text=\"of no event\""));
    assert_false(log_holds(path, "no such level"));
    assert_false(err_is(log_open("stderr", LOG_INFO)));
    plugin_rig_stop(&rig);
    scratch_remove(folder);
}

static void test_no_service_is_missing(void **state)
{
    struct plugin_rig rig;
    struct plugin_desk desk = {0};
    char bytes[8] = {0}, zeroes[8] = {0};

    (void)state;
    plugin_rig_start_one(&rig, &desk, "");
    const struct smarthop_host *host = desk.host;
    void (*const *at)(void) = (void (*const *)(void)) & host->complete;
    size_t services =
        (sizeof *host - offsetof(struct smarthop_host, complete)) / sizeof(void (*)(void));
    for (size_t i = 0; i < services; i++)
        assert_non_null(at[i]);
    assert_int_equal(host->size, sizeof *host);
    assert_true(host->now(desk.self) > 0);
    assert_true(host->wall_time(desk.self) > UINT64_C(1600000000000));
    host->random(desk.self, bytes, sizeof bytes);
    assert_memory_not_equal(bytes, zeroes, sizeof bytes);
    assert_true(host->body_read(desk.self, 1, 0, bytes, sizeof bytes) < 0);
    assert_true(host->body_write(desk.self, 1, bytes, sizeof bytes) < 0);
    plugin_rig_stop(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_name_is_looked_up),
        cmocka_unit_test(test_without_dns_nothing_is_found_out),
        cmocka_unit_test(test_a_look_up_is_cancelled_with_its_event_and_its_plugin),
        cmocka_unit_test(test_a_descriptor_is_watched_until_it_is_not),
        cmocka_unit_test(test_a_watch_goes_with_its_event_and_its_plugin),
        cmocka_unit_test(test_what_cannot_be_watched_is_told),
        cmocka_unit_test(test_work_is_done_on_another_thread),
        cmocka_unit_test(test_work_outlives_its_event_but_not_its_plugin),
        cmocka_unit_test(test_the_end_waits_for_work),
        cmocka_unit_test(test_a_line_tells_what_the_event_is_about),
        cmocka_unit_test(test_no_service_is_missing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
