/* Watches the process that the plugin is tried in. */
#include "plugins/kit/kit.h"

#include "base/clock.h"
#include "plugins/kit/private.h"

#include <errno.h>
#include <jansson.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PIECE = 4096 };

static bool read_names(const struct kit_order *order, struct names *names, struct buf *messages)
{
    struct buf why;
    bool good = true;

    buf_init(&why, 0);
    for (unsigned i = 0; good && i < order->dns.count; i++) {
        good = names_add(names, order->dns.items[i], &why);
        if (!good)
            buf_addf(messages, "--dns \"%s\": %.*s\n", order->dns.items[i],
                     SPAN_ARG(buf_span(&why)));
    }
    buf_fini(&why);
    return good;
}

static bool check_options(const struct kit_order *order, struct buf *messages)
{
    for (unsigned i = 0; i < order->options.count; i++) {
        if (strchr(order->options.items[i], '=') != NULL)
            continue;
        buf_addf(messages, "--option \"%s\": it is NAME=VALUE\n", order->options.items[i]);
        return false;
    }
    return true;
}

/* What a plugin prints does not mix with what is told of it. */
_Noreturn static void be_child(const struct kit_order *order, struct names *names,
                               struct shared *shared, int fd)
{
    FILE *out = fdopen(fd, "w");

    if (out == NULL || dup2(STDERR_FILENO, STDOUT_FILENO) < 0)
        abort();
    int result = trial_run(order, names, shared, out);
    fclose(out);
    shared->is_complete = true;
    _exit(result);
}

static void tell_lines(struct buf *text, kit_tell tell, void *context)
{
    for (;;) {
        struct span all = buf_span(text);
        size_t len = span_index(all, '\n');
        if (len == all.len)
            return;
        tell(context, span_head(all, len));
        buf_consume(text, len + 1);
    }
}

/* Until the child has ended its records; false: it took too long. */
static bool follow(int fd, uint64_t deadline, kit_tell tell, void *context)
{
    struct pollfd ready = {.fd = fd, .events = POLLIN};
    struct buf text;
    bool goes_on = true, in_time = true;

    buf_init(&text, 0);
    while (goes_on) {
        uint64_t now = clock_mono_ms();
        in_time = now < deadline && poll(&ready, 1, (int)(deadline - now)) > 0;
        ssize_t len = in_time ? read(fd, buf_reserve(&text, PIECE), PIECE) : 0;
        goes_on = len > 0;
        if (goes_on)
            buf_commit(&text, (size_t)len);
        tell_lines(&text, tell, context);
    }
    buf_fini(&text);
    return in_time;
}

static void tell_problem(const struct shared *shared, kit_tell tell, void *context,
                         const char *text)
{
    json_t *record = json_pack("{s:s,s:s#,s:s}", "record", "problem", "during", shared->phase,
                               strnlen(shared->phase, PHASE_MAX), "text", text);
    char *line = record != NULL ? json_dumps(record, JSON_COMPACT | JSON_PRESERVE_ORDER) : NULL;

    tell(context, line != NULL ? span_cstr(line) : SPAN("{\"record\":\"problem\"}"));
    free(line);
    json_decref(record);
}

static enum kit_result judge(int status, bool in_time, const struct kit_order *order,
                             const struct shared *shared, kit_tell tell, void *context)
{
    char text[128];

    if (shared->is_complete && WIFEXITED(status))
        return (enum kit_result)WEXITSTATUS(status);
    if (!in_time)
        snprintf(text, sizeof text, "it has not returned within %llu ms",
                 (unsigned long long)order->timeout);
    else if (WIFSIGNALED(status))
        snprintf(text, sizeof text, "it has crashed: %s", strsignal(WTERMSIG(status)));
    else
        snprintf(text, sizeof text, "it has ended the process, with %d", WEXITSTATUS(status));
    tell_problem(shared, tell, context, text);
    return KIT_MISBEHAVED;
}

static enum kit_result try(const struct kit_order *order, struct names *names,
                           struct shared *shared, kit_tell tell, void *context)
{
    int ends[2], status = 0;

    if (pipe(ends) != 0)
        abort();
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        close(ends[0]);
        be_child(order, names, shared, ends[1]);
    }
    close(ends[1]);
    if (child < 0)
        abort();
    bool in_time = follow(ends[0], clock_mono_ms() + order->timeout, tell, context);
    close(ends[0]);
    if (!in_time)
        kill(child, SIGKILL);
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    return judge(status, in_time, order, shared, tell, context);
}

enum kit_result kit_run(const struct kit_order *order, struct buf *messages, kit_tell tell,
                        void *context)
{
    struct names names = {0};
    enum kit_result result = KIT_USAGE;
    struct shared *shared =
        mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    if (shared == MAP_FAILED)
        abort();
    if (read_names(order, &names, messages) && check_options(order, messages))
        result = try(order, &names, shared, tell, context);
    names_fini(&names);
    munmap(shared, sizeof *shared);
    return result;
}
