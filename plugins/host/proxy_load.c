/* A plugin in a process of its own, as the host loads, reloads and stops it. Main thread. */
#include "plugins/host/proxy.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"

#include <poll.h>
#include <signal.h>
#include <sys/socket.h>

enum { CONTROL_MOST = 2 * WIRE_MOST };

/* ---- as a plugin -------------------------------------------------------------------------- */

static int proxy_begin(const struct smarthop_host *host, struct smarthop_self *self,
                       void **state_out)
{
    (void)host;
    self->proxy->messages = NULL;
    proxy_watch(self->proxy);
    proxy_hand_out(self->proxy);
    *state_out = self->proxy;
    return 0;
}

/* What comes of it is told later. */
static int proxy_reload(void *state)
{
    struct proxy *proxy = state;

    if (proxy->state == PROXY_SERVING)
        proxy_send(proxy, WIRE_RELOAD, 0, NULL, NULL);
    return 0; /* one that is started later reads them then */
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
    if (buf_len(&proxy->out) > 0)
        fds[1].events |= POLLOUT;
    int count = poll(fds, 3, (int)(until - now));
    if (count > 0 && fds[2].revents != 0)
        proxy_hear_output(proxy);
    if (count > 0 && (fds[1].revents & POLLOUT) != 0)
        proxy_flush(proxy);
    if (count > 0 && (fds[1].revents & ~POLLOUT) != 0)
        proxy_hear(proxy);
    *ended_out = count > 0 && fds[0].revents != 0;
    if (count > 0 && !*ended_out && ((fds[1].revents | fds[2].revents) & POLLHUP) != 0)
        poll(fds, 1, 1); /* nothing more comes but its end */
    return true;
}

static void end_process(struct proxy *proxy)
{
    uint64_t until = clock_mono_ms() + proxy->stop_max;
    bool ended = false;
    char how[256];

    if (proxy->process.pid < 0)
        return;
    proxy_send(proxy, WIRE_STOP, 0, NULL, NULL);
    while (!ended && await(proxy, until, &ended))
        continue;
    if (!ended) {
        proxy->why = "it did not stop in time";
        process_kill(&proxy->process);
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

static void proxy_configure(struct proxy *proxy, const struct conf *conf,
                            const struct conf_plugin *section)
{
    proxy->queue_max = section->process_queue_max;
    proxy->start_max = section->process_start_max;
    proxy->stop_max = section->process_stop_max;
    proxy->rest_min = section->process_rest_min;
    proxy->rest_max = section->process_rest_max;
    proxy->command_max = section->process_command_max;
    proxy->store_max = section->store_max;
    if (section->user != NULL && section->user[0] != '\0')
        proxy->user = mem_strdup(section->user);
    proxy->store_path = mem_strdup(conf->plugin_store_path);
}

static struct proxy *proxy_create(struct smarthop_self *self, const struct conf *conf,
                                  const struct conf_plugin *section, bool is_check)
{
    struct proxy *proxy = mem_zalloc(sizeof *proxy);
    struct plugin_home *home = self->home;
    struct wire_setup setup = {
        .version = SMARTHOP_TEXT(SMARTHOP_VERSION),
        .file = smarthop_span_of(self->file, strlen(self->file)),
        .conf_file = smarthop_span_of(self->conf_file, strlen(self->conf_file)),
        .section = section,
        .channels = home->worker_count + 1,
        .is_check = is_check,
    };

    proxy->self = self;
    proxy->loop = home->main;
    proxy->process = (struct process){.pid = -1, .death = -1, .control = -1, .output = -1};
    buf_init(&proxy->setup, 0);
    buf_init(&proxy->in, CONTROL_MOST);
    buf_init(&proxy->out, 0);
    buf_init(&proxy->text, 0);
    pthread_mutex_init(&proxy->lock, NULL);
    list_init(&proxy->orders);
    proxy_configure(proxy, conf, section);
    arena_init(&proxy->arena);
    proxy->courier_count = home->worker_count;
    proxy->couriers = mem_zalloc((home->worker_count + 1) * sizeof *proxy->couriers);
    for (unsigned i = 0; i < home->worker_count; i++)
        courier_init(&proxy->couriers[i], proxy, &home->workers[i]);
    courier_init(proxy_desk(proxy), proxy, &home->workers[0]);
    proxy_desk(proxy)->is_desk = true;
    if (!wire_add(&proxy->setup, WIRE_SETUP, 0, wire_write_setup, &setup))
        abort(); /* relay.conf is smaller */
    return proxy;
}

static void proxy_free(struct proxy *proxy)
{
    end_process(proxy);
    for (unsigned i = 0; i <= proxy->courier_count; i++)
        courier_fini(&proxy->couriers[i]);
    free(proxy->couriers);
    free(proxy->store_path);
    free(proxy->user);
    pthread_mutex_destroy(&proxy->lock);
    buf_fini(&proxy->setup);
    buf_fini(&proxy->in);
    buf_fini(&proxy->out);
    buf_fini(&proxy->text);
    arena_fini(&proxy->arena);
    free(proxy);
}

void proxy_sweep(struct smarthop_self *self, const struct plugin_worker *worker)
{
    if (self->proxy == NULL)
        return;
    courier_fini(&self->proxy->couriers[worker->index]);
    if (worker->index != 0)
        return;
    courier_drain(proxy_desk(self->proxy));
    courier_fini(proxy_desk(self->proxy));
    proxy_fail_orders(self->proxy, "it is being stopped");
}

static bool wait_until_it_serves(struct proxy *proxy)
{
    uint64_t until = clock_mono_ms() + proxy->start_max;
    bool ended = false;
    char how[256] = "it did not start in time";

    while (proxy->state == PROXY_STARTING && !ended && await(proxy, until, &ended))
        continue;
    if (proxy->state == PROXY_SERVING)
        return true;
    process_kill(&proxy->process);
    proxy_reap(proxy, how, sizeof how);
    if (!proxy->is_refused)
        buf_addf(proxy->messages, "%s: plugin \"%s\" does not start in its process: %s\n",
                 proxy->self->file, proxy->self->name, how);
    process_forget(&proxy->process);
    return false;
}

bool proxy_open_store(struct proxy *proxy, struct buf *messages)
{
    return proxy->self->store != NULL ||
           store_join(proxy->self, proxy->store_path, proxy->store_max, messages);
}

/* A reload compares them; what is replaced from now on is another one then. */
static void note_file(struct smarthop_self *self)
{
    struct stat st;

    if (stat(self->file, &st) != 0)
        return; /* its process tells */
    self->device = st.st_dev;
    self->inode = st.st_ino;
    self->changed = st.st_mtim;
}

/* Blocks until it says that it serves, or has ended. */
static bool start(struct smarthop_self *self, const struct conf *conf,
                  const struct conf_plugin *section, bool is_check, struct buf *messages)
{
    struct proxy *proxy = self->proxy = proxy_create(self, conf, section, is_check);
    char text[ERR_TEXT_MAX];

    self->free_proxy = proxy_free;
    self->plugin = (struct smarthop_plugin){
        .start = proxy_begin, .stop = proxy_stop, .cancel = courier_cancel, .reload = proxy_reload};
    proxy->messages = messages;
    struct err e = proxy_launch(proxy);
    if (!err_is(e))
        return wait_until_it_serves(proxy);
    buf_addf(messages, "%s: the process of plugin \"%s\" cannot be started: %s\n",
             self->home->helper, self->name, err_text(e, text));
    return false;
}

bool proxy_check(struct smarthop_self *self, const struct conf *conf,
                 const struct conf_plugin *section, struct buf *messages)
{
    return start(self, conf, section, true, messages);
}

bool proxy_open(struct smarthop_self *self, const struct conf *conf,
                const struct conf_plugin *section, struct buf *messages)
{
    note_file(self);
    if (!start(self, conf, section, false, messages) ||
        ((self->plugin.flags & SMARTHOP_STORES) && !proxy_open_store(self->proxy, messages)))
        return false;
    self_configure(self, section);
    return true;
}
