/* A plugin for tests: its option `how` says what it does when it is asked for a route, and when a
 * message is complete. Much of it is what no plugin may do. */
#include <smarthop_plugin.h>

#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

enum { THREADS_MOST = 8 };

struct rude {
    const struct smarthop_host *host;
    struct smarthop_self *self;
    const char *how;
    uint64_t delay;
    const struct smarthop_event *kept;
    uint32_t metric;
    int ends[2];
    uint64_t watch;
    pthread_t threads[THREADS_MOST];
    unsigned thread_count;
};

/* What a pending answer needs; `is_given_up` is told by cancel. */
struct wait {
    struct rude *rude;
    uint64_t token;
};

static int start(const struct smarthop_host *host, struct smarthop_self *self, void **state_out)
{
    struct rude *rude = calloc(1, sizeof *rude);

    if (rude == NULL)
        return -1;
    rude->host = host;
    rude->self = self;
    rude->how = host->option_text(self, "how", 0);
    rude->delay = host->option_number(self, "delay", 0);
    rude->metric = host->metric(self, SMARTHOP_COUNTER, "asked", "how often it was asked");
    if (strcmp(rude->how, "metric") == 0)
        host->metric(self, SMARTHOP_COUNTER, "how often", "a name that Prometheus does not have");
    *state_out = rude;
    return 0;
}

/* Its code goes with it, so none of its threads may be left. */
static void stop(void *state)
{
    struct rude *rude = state;

    for (unsigned i = 0; i < rude->thread_count; i++)
        pthread_join(rude->threads[i], NULL);
    free(rude);
}

static bool does(const struct rude *rude, const char *how)
{
    return strcmp(rude->how, how) == 0;
}

static struct smarthop_verdict sends_to(const struct smarthop_next_hop *hop)
{
    struct smarthop_verdict verdict = {.size = sizeof verdict};

    verdict.action = SMARTHOP_SEND;
    verdict.next_hops = hop;
    verdict.next_hop_count = 1;
    return verdict;
}

static void answer(struct rude *rude, uint64_t token)
{
    static const struct smarthop_next_hop hop = {SMARTHOP_TEXT_INIT("later.test"), 25, 0, 0};
    struct smarthop_verdict verdict = sends_to(&hop);

    rude->host->complete(rude->self, token, &verdict);
}

static struct wait *wait_of(struct rude *rude, uint64_t token)
{
    struct wait *wait = rude->host->alloc(rude->self, token, sizeof *wait);

    wait->rude = rude;
    wait->token = token;
    return wait;
}

static void on_timer(void *context)
{
    struct wait *wait = context;

    answer(wait->rude, wait->token);
}

static void on_twice(void *context)
{
    struct wait wait = *(struct wait *)context;

    answer(wait.rude, wait.token);
    answer(wait.rude, wait.token);
}

static void *on_thread(void *context)
{
    struct wait wait = *(struct wait *)context;

    free(context);
    answer(wait.rude, wait.token);
    return NULL;
}

static void start_thread(struct rude *rude, uint64_t token)
{
    struct wait *wait = calloc(1, sizeof *wait);

    wait->rude = rude;
    wait->token = token;
    if (rude->thread_count == THREADS_MOST ||
        pthread_create(&rude->threads[rude->thread_count++], NULL, on_thread, wait) != 0)
        abort();
}

/* The first MX is where it goes. */
static void on_names(void *context, const struct smarthop_dns_answer *found)
{
    struct wait *wait = context;
    struct smarthop_verdict verdict = {.size = sizeof verdict};
    struct smarthop_next_hop hop = {.port = 25};

    if (found->result == SMARTHOP_DNS_OK && found->count > 0) {
        hop.host = found->records[0];
        hop.priority = found->preferences[0];
        verdict = sends_to(&hop);
    } else {
        verdict.action = found->result == SMARTHOP_DNS_NONE ? SMARTHOP_REJECT : SMARTHOP_DEFER;
    }
    wait->rude->host->complete(wait->rude->self, wait->token, &verdict);
}

static void on_stored(void *context, int error)
{
    struct wait *wait = context;
    char value[8] = "";
    struct smarthop_verdict verdict = {.size = sizeof verdict};

    int64_t len = wait->rude->host->kv_get(wait->rude->self, SMARTHOP_TEXT("key"), value, 8);
    verdict.why = smarthop_span_of(value, error == 0 && len > 0 ? (size_t)len : 0);
    wait->rude->host->complete(wait->rude->self, wait->token, &verdict);
}

static void on_readable(void *context, int events)
{
    struct wait *wait = context;
    struct rude *rude = wait->rude;
    char byte;

    (void)events;
    if (read(rude->ends[0], &byte, 1) != 1)
        abort();
    rude->host->unwatch(rude->self, rude->watch);
    close(rude->ends[0]);
    close(rude->ends[1]);
    answer(rude, wait->token);
}

static void watch_pipe(struct rude *rude, uint64_t token)
{
    if (pipe(rude->ends) != 0 || write(rude->ends[1], "x", 1) != 1)
        abort();
    rude->watch = rude->host->watch(rude->self, token, rude->ends[0], SMARTHOP_READABLE,
                                    on_readable, wait_of(rude, token));
}

static void begin_wait(struct rude *rude, const struct smarthop_event *event)
{
    uint64_t token = event->token;

    if (does(rude, "timer"))
        rude->host->timer_start(rude->self, token, rude->delay, on_timer, wait_of(rude, token));
    else if (does(rude, "stray-timer")) /* it goes on when its event is over */
        rude->host->timer_start(rude->self, 0, rude->delay, on_timer, wait_of(rude, token));
    else if (does(rude, "twice"))
        rude->host->timer_start(rude->self, token, rude->delay, on_twice, wait_of(rude, token));
    else if (does(rude, "thread"))
        start_thread(rude, token);
    else if (does(rude, "dns"))
        rude->host->dns(rude->self, token, SMARTHOP_DNS_MX, event->recipient->domain, on_names,
                        wait_of(rude, token));
    else if (does(rude, "kv"))
        rude->host->kv_put(rude->self, token, SMARTHOP_TEXT("key"), SMARTHOP_TEXT("value"),
                           on_stored, wait_of(rude, token));
    else if (does(rude, "watch"))
        watch_pipe(rude, token);
}

/* What ends or hangs the process. */
static void harm(const struct rude *rude, const struct smarthop_event *event)
{
    if (does(rude, "crash"))
        abort();
    if (does(rude, "exit"))
        _exit(0);
    while (does(rude, "loop"))
        pause();
    if (does(rude, "write"))
        ((struct smarthop_event *)(uintptr_t)event)->hook = 0;
}

/* What makes sense, but not to a server. */
static void route_badly(const struct rude *rude, struct smarthop_verdict *verdict)
{
    static const struct smarthop_next_hop brackets = {SMARTHOP_TEXT_INIT("[192.0.2.1]"), 25, 0, 0};
    static const struct smarthop_span nobody = SMARTHOP_TEXT_INIT("x y@example.net");

    if (does(rude, "brackets"))
        *verdict = sends_to(&brackets);
    if (does(rude, "mx")) {
        verdict->action = SMARTHOP_SEND;
        verdict->mx = SMARTHOP_TEXT("no domain");
    }
    if (does(rude, "nobody")) {
        verdict->action = SMARTHOP_REWRITE;
        verdict->recipients = &nobody;
        verdict->recipient_count = 1;
    }
    if (does(rude, "sender"))
        verdict->sender = SMARTHOP_TEXT("a@example.net> SIZE=1");
}

/* Answers at once, the most of them wrong. */
static int answer_badly(struct rude *rude, const struct smarthop_event *event,
                        struct smarthop_verdict *verdict)
{
    static const struct smarthop_span round[] = {SMARTHOP_TEXT_INIT("loop@example.net"),
                                                 SMARTHOP_TEXT_INIT("pool@example.net")};

    if (does(rude, "action"))
        verdict->action = 77;
    if (does(rude, "nowhere"))
        verdict->action = SMARTHOP_SEND;
    if (does(rude, "control"))
        verdict->why = SMARTHOP_TEXT("a\nb");
    if (does(rude, "both"))
        answer(rude, event->token);
    route_badly(rude, verdict);
    if (does(rude, "size"))
        verdict->size = 0;
    if (does(rude, "broken-later"))
        rude->host->complete(rude->self, event->token, NULL);
    if (does(rude, "token"))
        answer(rude, 12345);
    if (does(rude, "rewrite")) {
        verdict->action = SMARTHOP_REWRITE;
        verdict->recipients = &round[smarthop_equal(event->recipient->address, round[0])];
        verdict->recipient_count = 1;
    }
    if (does(rude, "keep") && rude->kept != NULL && rude->kept->hook == SMARTHOP_ON_ROUTE)
        verdict->action = SMARTHOP_DEFER;
    rude->kept = event;
    return does(rude, "broken") ? SMARTHOP_BROKEN : does(rude, "other") ? 42 : SMARTHOP_DONE;
}

static int route(void *state, const struct smarthop_event *event, struct smarthop_verdict *verdict)
{
    static const char *const waits[] = {"timer", "stray-timer", "twice", "thread",
                                        "dns",   "kv",          "watch", "forget"};
    struct rude *rude = state;

    rude->host->metric_add(rude->self, rude->metric, 1);
    rude->host->log(rude->self, event->token, SMARTHOP_INFO, "asked", rude->how);
    harm(rude, event);
    begin_wait(rude, event);
    for (size_t i = 0; i < sizeof waits / sizeof waits[0]; i++)
        if (does(rude, waits[i]))
            return SMARTHOP_PENDING;
    int answered = answer_badly(rude, event, verdict);
    return does(rude, "broken-later") ? SMARTHOP_PENDING : answered;
}

/* ---- bodies -------------------------------------------------------------------------------- */

/* The same in capitals. */
static void read_body(void *context)
{
    struct wait *wait = context;
    const struct smarthop_host *host = wait->rude->host;
    char piece[16];
    uint64_t offset = 0;
    int64_t len;

    while ((len = host->body_read(wait->rude->self, wait->token, offset, piece, sizeof piece)) >
           0) {
        for (int64_t i = 0; i < len; i++)
            if (piece[i] >= 'a' && piece[i] <= 'z')
                piece[i] = (char)(piece[i] - 'a' + 'A');
        host->body_write(wait->rude->self, wait->token, piece, (size_t)len);
        offset += (uint64_t)len;
    }
}

static void on_body(void *context)
{
    struct wait *wait = context;
    struct smarthop_verdict verdict = {.size = sizeof verdict, .replace_body = 1};

    wait->rude->host->complete(wait->rude->self, wait->token, &verdict);
}

static int message(void *state, const struct smarthop_event *event,
                   struct smarthop_verdict *verdict)
{
    struct rude *rude = state;
    char byte;

    (void)verdict;
    if (does(rude, "hook-body"))
        rude->host->body_read(rude->self, event->token, 0, &byte, 1);
    if (!does(rude, "body"))
        return SMARTHOP_DONE;
    rude->host->work(rude->self, event->token, read_body, on_body, wait_of(rude, event->token));
    return SMARTHOP_PENDING;
}

static int reload(void *state)
{
    return does(state, "reload") ? -1 : 0;
}

static const struct smarthop_option options[] = {
    {"how", SMARTHOP_OPTION_TEXT, 0, "pass", 1, 32, "What it does."},
    {"delay", SMARTHOP_OPTION_DURATION, 0, "500ms", 0, 0, "How long it waits."},
};

SMARTHOP_EXPORT const struct smarthop_plugin smarthop_plugin = {
    SMARTHOP_PLUGIN_HEAD,
    .name = "rude",
    .version = "1.0",
    .summary = "does what it is told",
    .options = options,
    .option_count = sizeof options / sizeof options[0],
    .option_size = sizeof options[0],
    .start = start,
    .stop = stop,
    .reload = reload,
    .hooks = {[SMARTHOP_ON_ROUTE] = route, [SMARTHOP_ON_MESSAGE] = message},
};
