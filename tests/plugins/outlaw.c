/*
 * A plugin for tests that breaks the rules, or the process that it runs in, as the recipient's
 * local part says. What it does not know goes to its next hop.
 */
#include <smarthop_plugin.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef OUTLAW_FLAGS
#define OUTLAW_FLAGS 0
#endif

enum {
    SOCKETS_FROM = 3,
    SOCKETS_MOST = 64,
    LEAK_PIECE = 1 << 20,
    LEAK_MOST = 512,
    LARGE_VALUE = 1 << 20,
    SHORTLY = 20, /* ms */
    TARDY = 500,
};

#ifdef OUTLAW_IS_TRAP
/* Before anybody has looked at its descriptor. */
__attribute__((constructor)) static void spring(void)
{
    abort();
}
#endif

struct outlaw {
    const struct smarthop_host *host;
    struct smarthop_self *self;
    struct smarthop_next_hop next_hop;
    const char *file;
    uint32_t asked;
    uint32_t looked;
    char starts; /* how often it has started, 'a' = once */
};

/* A promise that is kept later. */
struct promise {
    struct outlaw *outlaw;
    uint64_t token;
    unsigned times;
};

/* Where it keeps a store: counts its starts there. */
static void count_start(struct outlaw *outlaw)
{
    const struct smarthop_host *host = outlaw->host;

    outlaw->starts = 'a' - 1;
    host->kv_get(outlaw->self, SMARTHOP_TEXT("starts"), &outlaw->starts, 1);
    outlaw->starts++;
    host->kv_put(outlaw->self, 0, SMARTHOP_TEXT("starts"), smarthop_span_of(&outlaw->starts, 1),
                 NULL, NULL);
}

static int start(const struct smarthop_host *host, struct smarthop_self *self, void **state_out)
{
    struct outlaw *outlaw = calloc(1, sizeof *outlaw);
    const char *text = host->option_text(self, "next_hop", 0);
    const char *at_start = host->option_text(self, "at_start", 0);

    if (outlaw == NULL)
        return -1;
    outlaw->host = host;
    outlaw->self = self;
    outlaw->next_hop.host = smarthop_span_of(text, strlen(text));
    outlaw->next_hop.port = (uint16_t)host->option_number(self, "port", 0);
    outlaw->file = host->option_text(self, "file_to_read", 0);
    outlaw->asked = host->metric(self, SMARTHOP_COUNTER, "asked", "how often it was asked");
    outlaw->looked = host->metric(self, SMARTHOP_COUNTER, "looked", "how often it has counted");
    count_start(outlaw);
    *state_out = outlaw;
    if (strcmp(at_start, "crash") == 0)
        abort();
    host->log(self, 0, SMARTHOP_INFO, "started", at_start);
    if (strcmp(at_start, "refuse") != 0)
        return 0;
    host->option_problem(self, "at_start", 0, "it was told not to");
    free(outlaw);
    return -1;
}

static void stop(void *state)
{
    struct outlaw *outlaw = state;

    outlaw->host->log(outlaw->self, 0, SMARTHOP_INFO, "stopped", "as it should");
    outlaw->host->kv_put(outlaw->self, 0, SMARTHOP_TEXT("stopped"), SMARTHOP_TEXT("yes"), NULL,
                         NULL);
    free(outlaw);
}

static void send_to(const struct outlaw *outlaw, struct smarthop_verdict *verdict)
{
    verdict->action = SMARTHOP_SEND;
    verdict->next_hops = &outlaw->next_hop;
    verdict->next_hop_count = 1;
}

static void keep_promise(void *context)
{
    struct promise *promise = context;
    struct outlaw *outlaw = promise->outlaw;
    struct smarthop_verdict verdict = {.size = sizeof verdict};

    send_to(outlaw, &verdict);
    for (unsigned i = 0; i < promise->times; i++)
        outlaw->host->complete(outlaw->self, promise->token, &verdict);
    free(promise);
}

static void *keep_promise_there(void *context)
{
    keep_promise(context);
    return NULL;
}

static int promise(struct outlaw *outlaw, uint64_t token, uint64_t delay, unsigned times)
{
    struct promise *promise = calloc(1, sizeof *promise);

    promise->outlaw = outlaw;
    promise->token = token;
    promise->times = times;
    outlaw->host->timer_start(outlaw->self, 0, delay, keep_promise, promise);
    return SMARTHOP_PENDING;
}

/* From a thread of its own. */
static int promise_there(struct outlaw *outlaw, uint64_t token)
{
    struct promise *promise = calloc(1, sizeof *promise);
    pthread_t thread;

    promise->outlaw = outlaw;
    promise->token = token;
    promise->times = 1;
    if (pthread_create(&thread, NULL, keep_promise_there, promise) != 0)
        abort();
    pthread_detach(thread);
    return SMARTHOP_PENDING;
}

static void on_names(void *context, const struct smarthop_dns_answer *found)
{
    struct promise *promise = context;
    struct smarthop_verdict verdict = {.size = sizeof verdict};

    send_to(promise->outlaw, &verdict);
    if (found->result != SMARTHOP_DNS_OK)
        verdict.action = found->result == SMARTHOP_DNS_NONE ? SMARTHOP_REJECT : SMARTHOP_DEFER;
    promise->outlaw->host->complete(promise->outlaw->self, promise->token, &verdict);
}

static int look_up(struct outlaw *outlaw, const struct smarthop_event *event)
{
    struct promise *promise = outlaw->host->alloc(outlaw->self, event->token, sizeof *promise);

    promise->outlaw = outlaw;
    promise->token = event->token;
    outlaw->host->dns(outlaw->self, event->token, SMARTHOP_DNS_MX, event->recipient->domain,
                      on_names, promise);
    return SMARTHOP_PENDING;
}

static void on_stored(void *context, int error)
{
    struct promise *promise = context;
    struct outlaw *outlaw = promise->outlaw;
    struct smarthop_verdict verdict = {.size = sizeof verdict};
    static char room[LARGE_VALUE];

    int64_t len = outlaw->host->kv_get(outlaw->self, SMARTHOP_TEXT("key"), room, sizeof room);
    if (error == 0 && len == LARGE_VALUE && room[0] == 'x' && room[LARGE_VALUE - 1] == 'x')
        send_to(outlaw, &verdict);
    else
        verdict.action = SMARTHOP_DEFER;
    outlaw->host->complete(outlaw->self, promise->token, &verdict);
    free(promise);
}

/* Puts a large value, and reads it when it is there. */
static int put(struct outlaw *outlaw, uint64_t token)
{
    struct promise *promise = calloc(1, sizeof *promise);
    static char value[LARGE_VALUE];

    promise->outlaw = outlaw;
    promise->token = token;
    memset(value, 'x', sizeof value);
    outlaw->host->kv_put(outlaw->self, token, SMARTHOP_TEXT("key"),
                         smarthop_span_of(value, sizeof value), on_stored, promise);
    return SMARTHOP_PENDING;
}

static bool has(struct outlaw *outlaw, const char *key)
{
    char value;

    return outlaw->host->kv_get(outlaw->self, smarthop_span_of(key, strlen(key)), &value, 1) > 0;
}

/* Never says why; the host finds out. */
static int leak(void)
{
    for (unsigned i = 0; i < LEAK_MOST; i++) {
        char *piece = malloc(LEAK_PIECE);
        if (piece == NULL)
            return SMARTHOP_BROKEN;
        memset(piece, 'x', LEAK_PIECE);
    }
    return SMARTHOP_DONE;
}

static void harm_sockets(bool is_garbage)
{
    for (int fd = SOCKETS_FROM; fd < SOCKETS_MOST; fd++) {
        int type;
        socklen_t len = sizeof type;
        if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) != 0 || type != SOCK_STREAM)
            continue;
        if (!is_garbage)
            shutdown(fd, SHUT_RDWR);
        else if (write(fd, "\377\377\377\377this is no frame", 20) < 0)
            abort();
    }
}

/* False: errno. */
static bool may_change(const char *file, const char *how)
{
    char beside[4096], other[4096];

    snprintf(beside, sizeof beside, "%s~", file);
    snprintf(other, sizeof other, "%s~~", file);
    if (strcmp(how, "write") == 0)
        return open(file, O_WRONLY | O_APPEND) >= 0;
    if (strcmp(how, "empty") == 0)
        return open(file, O_RDONLY | O_TRUNC) >= 0;
    if (strcmp(how, "truncate") == 0)
        return truncate(file, 0) == 0;
    if (strcmp(how, "make") == 0)
        return open(other, O_WRONLY | O_CREAT, 0600) >= 0;
    return strcmp(how, "move") != 0 || rename(file, beside) == 0;
}

static int answer(struct outlaw *outlaw, const struct smarthop_event *event,
                  struct smarthop_verdict *verdict, const char *how)
{
    const char *const program[] = {"/bin/true", NULL};

    outlaw->host->log(outlaw->self, event->token, SMARTHOP_INFO, "asked", how);
    outlaw->host->metric_add(outlaw->self, outlaw->asked, 1);
    if (strcmp(how, "crash") == 0)
        abort();
    if (strcmp(how, "exit") == 0)
        _exit(7);
    while (strcmp(how, "loop") == 0)
        continue;
    if (strcmp(how, "sleep") == 0)
        sleep(600);
    if (strcmp(how, "exec") == 0)
        execv(program[0], (char *const *)(uintptr_t)program);
    if (strcmp(how, "socket") == 0 && socket(AF_INET, SOCK_STREAM, 0) < 0)
        return SMARTHOP_BROKEN;
    if (strcmp(how, "fork") == 0 && fork() == 0)
        _exit(0);
    if (!may_change(outlaw->file, how))
        return errno == EACCES ? SMARTHOP_BROKEN : SMARTHOP_DONE;
    if (strcmp(how, "read") == 0 && open(outlaw->file, O_RDONLY) < 0)
        return SMARTHOP_BROKEN;
    if (strcmp(how, "say") == 0)
        fprintf(stderr, "one line\nand another one\n");
    if (strcmp(how, "garbage") == 0 || strcmp(how, "close") == 0)
        harm_sockets(strcmp(how, "garbage") == 0);
    if (strcmp(how, "leak") == 0)
        return leak();
    if (strcmp(how, "never") == 0)
        return SMARTHOP_PENDING;
    if (strcmp(how, "broken") == 0)
        return SMARTHOP_BROKEN;
    if (strcmp(how, "broken-later") == 0) {
        outlaw->host->complete(outlaw->self, event->token, NULL);
        return SMARTHOP_PENDING;
    }
    if (strcmp(how, "late") == 0 || strcmp(how, "twice") == 0)
        return promise(outlaw, event->token, SHORTLY, strcmp(how, "late") == 0 ? 1 : 2);
    if (strcmp(how, "tardy") == 0)
        return promise(outlaw, event->token, TARDY, 1);
    if (strcmp(how, "thread") == 0)
        return promise_there(outlaw, event->token);
    if (strcmp(how, "dns") == 0)
        return look_up(outlaw, event);
    if (strcmp(how, "put") == 0)
        return put(outlaw, event->token);
    if (strcmp(how, "restarted") == 0 && outlaw->starts < 'b')
        return SMARTHOP_BROKEN;
    if (strncmp(how, "has-", 4) == 0 && !has(outlaw, how + 4))
        return SMARTHOP_BROKEN;
    if (strcmp(how, "both") == 0)
        outlaw->host->complete(outlaw->self, event->token, verdict);
    send_to(outlaw, verdict);
    verdict->action = strcmp(how, "action") == 0 ? 77 : SMARTHOP_SEND;
    return SMARTHOP_DONE;
}

static int route(void *state, const struct smarthop_event *event, struct smarthop_verdict *verdict)
{
    struct smarthop_span local = event->recipient->local;
    char how[64];

    snprintf(how, sizeof how, "%.*s", (int)local.len, local.ptr);
    return answer(state, event, verdict, how);
}

/* Whose process it is, and whether that could become root again. */
static void tell_id(smarthop_write write, void *context)
{
    char text[128];
    int len = snprintf(text, sizeof text, "uid %u %u gid %u groups %d", getuid(), geteuid(),
                       getegid(), getgroups(0, NULL));

    write(context, text, (size_t)len);
}

/* Says its words again, so often as the first one says. */
static int command(void *state, const struct smarthop_span *words, uint32_t count,
                   smarthop_write write, void *context)
{
    struct outlaw *outlaw = state;

    if (count == 0)
        return 3;
    outlaw->host->log(outlaw->self, 0, SMARTHOP_INFO, "command", "asked");
    if (smarthop_equal(words[0], SMARTHOP_TEXT("crash")))
        abort();
    if (smarthop_equal(words[0], SMARTHOP_TEXT("id")))
        tell_id(write, context);
    if (smarthop_equal(words[0], SMARTHOP_TEXT("sleep")))
        sleep(600);
    for (long times = strtol(words[0].ptr, NULL, 10); times > 0; times--)
        for (uint32_t i = 1; i < count; i++)
            write(context, words[i].ptr, words[i].len);
    return 0;
}

static void metrics(void *state)
{
    struct outlaw *outlaw = state;

    outlaw->host->metric_add(outlaw->self, outlaw->looked, 1);
}

static const struct smarthop_option options[] = {
    {"next_hop", SMARTHOP_OPTION_TEXT, 0, "127.0.0.1", 0, 0, "Where mail goes."},
    {"port", SMARTHOP_OPTION_NUMBER, 0, "25", 1, 65535, "Its port."},
    {"at_start", SMARTHOP_OPTION_TEXT, 0, "nothing", 0, 0, "What it does there."},
    {"file_to_read", SMARTHOP_OPTION_PATH, 0, "/dev/null", 0, 0, "What it opens."},
};

SMARTHOP_EXPORT const struct smarthop_plugin smarthop_plugin = {
    SMARTHOP_PLUGIN_HEAD,
    .flags = OUTLAW_FLAGS,
    .name = "outlaw",
    .version = "1",
    .summary = "breaks the rules",
    .options = options,
    .option_count = sizeof options / sizeof options[0],
    .option_size = sizeof options[0],
    .start = start,
    .stop = stop,
    .command = command,
    .metrics = metrics,
    .hooks = {[SMARTHOP_ON_ROUTE] = route},
};
