/* A plugin in a process of its own, as the host loads, reloads and stops it. Main thread. */
#include "plugins/host/proxy.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"

#include <poll.h>
#include <signal.h>
#include <sys/socket.h>

enum {
    STOP_MOST_MS = 5000, /* until it has ended by itself */
    CONTROL_MOST = 2 * WIRE_MOST,
};

/* ---- as a plugin -------------------------------------------------------------------------- */

static int proxy_begin(const struct smarthop_host *host, struct smarthop_self *self,
                       void **state_out)
{
    (void)host;
    self->proxy->messages = NULL;
    proxy_watch(self->proxy);
    *state_out = self->proxy;
    return 0;
}

/* What comes of it is told later. */
static int proxy_reload(void *state)
{
    struct proxy *proxy = state;
    struct buf frame;

    if (proxy->state != PROXY_SERVING)
        return 0; /* the next one reads them */
    buf_init(&frame, 0);
    bool good = wire_add(&frame, WIRE_RELOAD, 0, NULL, NULL) &&
                send(proxy->process.control, buf_span(&frame).ptr, buf_len(&frame),
                     MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)buf_len(&frame);
    buf_fini(&frame);
    return good ? 0 : -1;
}

/* Whether something came, or it has ended, before the time was over. */
static bool await(struct proxy *proxy, uint64_t until, bool *ended_out)
{
    struct pollfd fds[] = {{proxy->process.death, POLLIN, 0},
                           {proxy->process.control, POLLIN, 0},
                           {proxy->process.output, POLLIN, 0}};
    uint64_t now = clock_mono_ms();

    if (now >= until)
        return false;
    int count = poll(fds, 3, (int)(until - now));
    if (count > 0 && fds[2].revents != 0)
        proxy_hear_output(proxy);
    if (count > 0 && fds[1].revents != 0)
        proxy_hear(proxy);
    *ended_out = count > 0 && fds[0].revents != 0;
    if (count > 0 && !*ended_out && ((fds[1].revents | fds[2].revents) & POLLHUP) != 0)
        poll(fds, 1, 1); /* nothing more comes but its end */
    return true;
}

/* Its connections end; that is its sign. */
static void end_process(struct proxy *proxy)
{
    uint64_t until = clock_mono_ms() + STOP_MOST_MS;
    bool ended = false;
    char how[256];

    if (proxy->process.pid < 0)
        return;
    shutdown(proxy->process.control, SHUT_WR);
    while (!ended && await(proxy, until, &ended))
        continue;
    if (!ended) {
        proxy->why = "it did not stop in time";
        kill(proxy->process.pid, SIGKILL);
    }
    proxy_reap(proxy, how, sizeof how);
    if (!ended)
        proxy_tell(proxy, LOG_WARN, "plugin-process-ended", how);
    process_forget(&proxy->process);
}

static void proxy_stop(void *state)
{
    struct proxy *proxy = state;

    proxy_unwatch(proxy);
    end_process(proxy);
}

/* ---- loading ------------------------------------------------------------------------------ */

static struct proxy *proxy_create(struct smarthop_self *self, const struct conf_plugin *section)
{
    struct proxy *proxy = mem_zalloc(sizeof *proxy);
    struct plugin_home *home = self->home;
    struct wire_setup setup = {
        .version = SMARTHOP_TEXT(SMARTHOP_VERSION),
        .file = smarthop_span_of(self->file, strlen(self->file)),
        .conf_file = smarthop_span_of(self->conf_file, strlen(self->conf_file)),
        .section = section,
        .channels = home->worker_count,
    };

    proxy->self = self;
    proxy->loop = home->main;
    proxy->process = (struct process){.pid = -1, .death = -1, .control = -1, .output = -1};
    buf_init(&proxy->setup, 0);
    buf_init(&proxy->in, CONTROL_MOST);
    buf_init(&proxy->text, 0);
    arena_init(&proxy->arena);
    proxy->courier_count = home->worker_count;
    proxy->couriers = mem_zalloc(home->worker_count * sizeof *proxy->couriers);
    for (unsigned i = 0; i < home->worker_count; i++)
        courier_init(&proxy->couriers[i], proxy, &home->workers[i]);
    if (!wire_add(&proxy->setup, WIRE_SETUP, 0, wire_write_setup, &setup))
        abort(); /* relay.conf is smaller */
    return proxy;
}

static void proxy_free(struct proxy *proxy)
{
    end_process(proxy);
    for (unsigned i = 0; i < proxy->courier_count; i++)
        courier_fini(&proxy->couriers[i]);
    free(proxy->couriers);
    buf_fini(&proxy->setup);
    buf_fini(&proxy->in);
    buf_fini(&proxy->text);
    arena_fini(&proxy->arena);
    free(proxy);
}

void proxy_sweep(struct smarthop_self *self, const struct plugin_worker *worker)
{
    if (self->proxy != NULL)
        courier_fini(&self->proxy->couriers[worker->index]);
}

static bool wait_until_it_serves(struct proxy *proxy)
{
    uint64_t until = clock_mono_ms() + PROXY_START_MOST_MS;
    bool ended = false;
    char how[256] = "it did not start in time";

    while (proxy->state == PROXY_STARTING && !ended && await(proxy, until, &ended))
        continue;
    if (proxy->state == PROXY_SERVING)
        return true;
    kill(proxy->process.pid, SIGKILL);
    proxy_reap(proxy, how, sizeof how);
    if (!proxy->is_refused)
        buf_addf(proxy->messages, "%s: plugin \"%s\" does not start in its process: %s\n",
                 proxy->self->file, proxy->self->name, how);
    process_forget(&proxy->process);
    return false;
}

bool proxy_open(struct smarthop_self *self, const struct conf_plugin *section, struct buf *messages)
{
    struct proxy *proxy = self->proxy = proxy_create(self, section);
    char text[ERR_TEXT_MAX];

    self->free_proxy = proxy_free;
    self->plugin = (struct smarthop_plugin){
        .start = proxy_begin, .stop = proxy_stop, .cancel = courier_cancel, .reload = proxy_reload};
    proxy->messages = messages;
    struct err e = proxy_launch(proxy);
    if (err_is(e)) {
        buf_addf(messages, "%s: the process of plugin \"%s\" cannot be started: %s\n",
                 self->home->helper, self->name, err_text(e, text));
        return false;
    }
    if (!wait_until_it_serves(proxy))
        return false;
    if (self->plugin.flags & SMARTHOP_STORES) {
        buf_addf(messages, "%s: plugin \"%s\" keeps a store, so it cannot run in its own process\n",
                 self->file, self->name);
        return false;
    }
    self_configure(self, section);
    return true;
}
