/* Commands of a plugin in a process of its own. Who has one carried out waits for it on a thread of
 * its own; what the process writes comes to the main thread. */
#include "plugins/host/proxy.h"

#include "base/clock.h"
#include "base/memory.h"

#include <errno.h>
#include <string.h>

/* One that is waited for; meanwhile the plugin is held. */
struct order {
    struct list among; /* proxy's; under its lock, as the rest */
    uint64_t id;
    pthread_cond_t news;
    bool is_done;
    int code;
    struct buf output;
};

/* On its way to the main thread. */
struct dispatch {
    struct call call;
    struct proxy *proxy;
    uint64_t id;
    struct arena arena;
    struct wire_order order;
};

/* Under the lock. */
static struct order *find(struct proxy *proxy, uint64_t id)
{
    for (struct list *at = proxy->orders.next; at != &proxy->orders; at = at->next) {
        struct order *order = container_of(at, struct order, among);
        if (order->id == id)
            return order;
    }
    return NULL; /* nobody waits for it any more */
}

/* Under the lock. */
static void end(struct order *order, int code)
{
    order->code = code;
    order->is_done = true;
    pthread_cond_signal(&order->news);
}

static void say(struct order *order, const struct proxy *proxy, const char *text)
{
    buf_addf(&order->output, "plugin \"%s\": %s\n", proxy->self->name, text);
}

static void fail(struct proxy *proxy, uint64_t id, const char *why)
{
    pthread_mutex_lock(&proxy->lock);
    struct order *order = find(proxy, id);
    if (order != NULL) {
        say(order, proxy, why);
        end(order, 1);
    }
    pthread_mutex_unlock(&proxy->lock);
}

void proxy_fail_orders(struct proxy *proxy, const char *why)
{
    pthread_mutex_lock(&proxy->lock);
    for (struct list *at = proxy->orders.next; at != &proxy->orders; at = at->next) {
        struct order *order = container_of(at, struct order, among);
        if (order->is_done)
            continue;
        say(order, proxy, why);
        end(order, 1);
    }
    pthread_mutex_unlock(&proxy->lock);
}

void proxy_take_output(struct proxy *proxy, uint64_t id, const struct wire_parcel *said)
{
    pthread_mutex_lock(&proxy->lock);
    struct order *order = find(proxy, id);
    if (order != NULL && !order->is_done) {
        size_t room = PLUGIN_OUTPUT_MAX - buf_len(&order->output);
        struct span bytes = plugin_span(said->bytes);
        buf_add(&order->output, span_head(bytes, bytes.len < room ? bytes.len : room));
    }
    pthread_mutex_unlock(&proxy->lock);
}

void proxy_take_exit(struct proxy *proxy, uint64_t id, const struct wire_parcel *said)
{
    pthread_mutex_lock(&proxy->lock);
    struct order *order = find(proxy, id);
    if (order != NULL && !order->is_done)
        end(order, said->number < 0 || said->number > UINT8_MAX ? 1 : (int)said->number);
    pthread_mutex_unlock(&proxy->lock);
}

static void on_dispatch(struct call *call)
{
    struct dispatch *dispatch = container_of(call, struct dispatch, call);
    struct proxy *proxy = dispatch->proxy;

    if (proxy->state != PROXY_SERVING)
        fail(proxy, dispatch->id, "its process is being started again");
    else if (!proxy_send(proxy, WIRE_ORDER, dispatch->id, wire_write_order, &dispatch->order))
        fail(proxy, dispatch->id, "the words are too long");
    self_release(proxy->self);
    arena_fini(&dispatch->arena);
    free(dispatch);
}

static void dispatch(struct proxy *proxy, uint64_t id, const struct smarthop_span *words,
                     uint32_t count)
{
    if (!self_hold(proxy->self)) {
        fail(proxy, id, "it is being stopped");
        return;
    }
    struct dispatch *dispatch = mem_zalloc(sizeof *dispatch);
    arena_init(&dispatch->arena);
    struct smarthop_span *copies = arena_alloc(&dispatch->arena, (count + 1) * sizeof *copies);
    for (uint32_t i = 0; i < count; i++)
        copies[i] = plugin_text(arena_dup(&dispatch->arena, plugin_span(words[i])));
    list_init(&dispatch->call.link);
    dispatch->call.done = on_dispatch;
    dispatch->proxy = proxy;
    dispatch->id = id;
    dispatch->order = (struct wire_order){copies, count};
    inbox_post(&proxy->self->home->inbox, &dispatch->call);
}

/* Under the lock, until it is done or has had its time. */
static void await(struct proxy *proxy, struct order *order)
{
    struct timespec until;
    int rc = 0;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += (time_t)(proxy->command_max / 1000);
    until.tv_nsec += (long)(proxy->command_max % 1000) * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    while (!order->is_done && rc == 0)
        rc = pthread_cond_clockwait(&order->news, &proxy->lock, CLOCK_MONOTONIC, &until);
    if (order->is_done)
        return;
    order->code = 1;
    say(order, proxy, "it takes too long, and goes on without being waited for");
}

int proxy_command(void *state, const struct smarthop_span *words, uint32_t count,
                  smarthop_write write, void *context)
{
    struct proxy *proxy = state;
    struct order order = {.code = 1};

    if (count > WIRE_WORDS_MOST)
        return 1;
    list_init(&order.among);
    buf_init(&order.output, 0);
    pthread_cond_init(&order.news, NULL);
    pthread_mutex_lock(&proxy->lock);
    order.id = ++proxy->next_order;
    list_append(&proxy->orders, &order.among);
    pthread_mutex_unlock(&proxy->lock);
    dispatch(proxy, order.id, words, count);
    pthread_mutex_lock(&proxy->lock);
    await(proxy, &order);
    list_remove(&order.among);
    pthread_mutex_unlock(&proxy->lock);
    write(context, buf_span(&order.output).ptr, buf_len(&order.output));
    buf_fini(&order.output);
    pthread_cond_destroy(&order.news);
    return order.code;
}
