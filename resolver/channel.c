#include "channel.h"

#include "base/log.h"

#include <ares.h>
#include <stdlib.h>
#include <uv.h>

/* RFC 9715: what passes everywhere without being cut into fragments. */
enum { EDNS_SIZE = 1232 };
enum { CLASS_IN = 1 };
/* c-ares reads its own clock: where ours has run ahead, and where it has sent a question anew
 * without EDNS, a question is looked at again after this. */
enum { OVERDUE_STEP_MS = 5 };

struct channel {
    struct loop *loop;
    ares_channel ares;
    struct list sockets;
    struct list open; /* questions; all wait equally long, so the oldest is due first */
    uint64_t timeout_ms;
    struct timer timer;
    unsigned handles; /* not yet given back by the loop */
    bool is_closing;
    void (*closed)(void *owner);
    void *owner;
};

struct channel_socket {
    struct list link;
    struct channel *channel;
    ares_socket_t fd;
    uv_poll_t poll;
};

static void free_when_idle(struct channel *channel)
{
    if (!channel->is_closing || channel->handles > 0)
        return;
    channel->closed(channel->owner);
    free(channel);
}

static void on_timer(struct timer *timer);

/* ares_timeout would walk all open queries each time. */
static void arm(struct channel *channel)
{
    uint64_t now = loop_now(channel->loop);

    if (list_is_empty(&channel->open) || timer_is_active(&channel->timer))
        return;
    uint64_t due = container_of(channel->open.next, struct question, link)->due;
    timer_start(channel->loop, &channel->timer, due > now ? due - now : OVERDUE_STEP_MS, on_timer);
}

static void process(struct channel *channel, ares_socket_t readable, ares_socket_t writable)
{
    ares_process_fd(channel->ares, readable, writable);
    arm(channel);
}

static void on_timer(struct timer *timer)
{
    process(container_of(timer, struct channel, timer), ARES_SOCKET_BAD, ARES_SOCKET_BAD);
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct channel_socket *socket = poll->data;
    bool failed = status < 0; /* c-ares learns what by trying */

    /* The socket may be closing when this returns. */
    process(socket->channel, failed || (events & UV_READABLE) ? socket->fd : ARES_SOCKET_BAD,
            failed || (events & UV_WRITABLE) ? socket->fd : ARES_SOCKET_BAD);
}

static void on_socket_closed(uv_handle_t *handle)
{
    struct channel_socket *socket = handle->data;
    struct channel *channel = socket->channel;

    free(socket);
    channel->handles--;
    free_when_idle(channel);
}

static struct channel_socket *find_socket(struct channel *channel, ares_socket_t fd)
{
    for (struct list *node = channel->sockets.next; node != &channel->sockets; node = node->next) {
        struct channel_socket *socket = container_of(node, struct channel_socket, link);
        if (socket->fd == fd)
            return socket;
    }
    return NULL;
}

static struct channel_socket *add_socket(struct channel *channel, ares_socket_t fd)
{
    struct channel_socket *socket = mem_zalloc(sizeof *socket);

    int rc = uv_poll_init(loop_uv(channel->loop), &socket->poll, fd);
    if (rc != 0) {
        /* Its questions time out. */
        log_failure(LOG_ERROR, "dns-socket-failed", err_system(-rc, "uv_poll_init"), NULL, NULL);
        free(socket);
        return NULL;
    }
    socket->channel = channel;
    socket->fd = fd;
    socket->poll.data = socket;
    channel->handles++;
    list_append(&channel->sockets, &socket->link);
    return socket;
}

/* c-ares closes the descriptor as soon as this returns from 0/0: polling must have ended by then,
 * or a descriptor of the same number is watched next. uv_close stops the polling at once. */
static void on_socket_state(void *data, ares_socket_t fd, int readable, int writable)
{
    struct channel *channel = data;
    struct channel_socket *socket = find_socket(channel, fd);
    int events = (readable ? UV_READABLE : 0) | (writable ? UV_WRITABLE : 0);

    if (events == 0) {
        if (socket == NULL)
            return;
        list_remove(&socket->link);
        uv_close((uv_handle_t *)&socket->poll, on_socket_closed);
        return;
    }
    if (socket == NULL)
        socket = add_socket(channel, fd);
    if (socket != NULL)
        uv_poll_start(&socket->poll, events, on_poll);
}

static struct err open_ares(struct channel *channel, const struct ares_addr_port_node *server,
                            enum channel_transport transport)
{
    /* NOCHECKRESP: SERVFAIL and the like come to us as replies. IGNTC: so do truncated ones; the
     * look-up asks again on a TCP channel. */
    struct ares_options options = {
        .flags = ARES_FLAG_NOSEARCH | ARES_FLAG_NOALIASES | ARES_FLAG_NOCHECKRESP | ARES_FLAG_EDNS |
                 (transport == CHANNEL_TCP ? ARES_FLAG_USEVC : ARES_FLAG_IGNTC),
        .timeout = (int)channel->timeout_ms,
        .tries = 1,
        .ednspsz = EDNS_SIZE,
        .sock_state_cb = on_socket_state,
        .sock_state_cb_data = channel,
    };

    int rc = ares_init_options(&channel->ares, &options,
                               ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES |
                                   ARES_OPT_EDNSPSZ | ARES_OPT_SOCK_STATE_CB);
    if (rc != ARES_SUCCESS)
        return err_make(ERR_INVALID, "ares_init_options");
    struct ares_addr_port_node only = *server;
    only.next = NULL;
    if (ares_set_servers_ports(channel->ares, &only) != ARES_SUCCESS) {
        ares_destroy(channel->ares);
        return err_make(ERR_INVALID, "ares_set_servers_ports");
    }
    return ERR_OK;
}

struct err channel_create(struct loop *loop, const struct ares_addr_port_node *server,
                          enum channel_transport transport, uint64_t timeout_ms,
                          void (*closed)(void *owner), void *owner, struct channel **out)
{
    struct channel *channel = mem_zalloc(sizeof *channel);

    channel->loop = loop;
    channel->timeout_ms = timeout_ms < INT32_MAX ? timeout_ms : INT32_MAX;
    channel->closed = closed;
    channel->owner = owner;
    list_init(&channel->sockets);
    list_init(&channel->open);
    struct err e = open_ares(channel, server, transport);
    if (err_is(e)) {
        free(channel);
        return e;
    }
    *out = channel;
    return ERR_OK;
}

void channel_close(struct channel *channel)
{
    timer_stop(channel->loop, &channel->timer);
    ares_destroy(channel->ares);
    channel->is_closing = true;
    free_when_idle(channel);
}

static enum question_result result_of(int status)
{
    switch (status) {
    case ARES_ETIMEOUT:
        return QUESTION_TIMED_OUT;
    case ARES_ENOTFOUND: /* without a packet: c-ares itself said so */
    case ARES_EBADNAME:
        return QUESTION_NEVER_ASKED;
    case ARES_EDESTRUCTION:
        return QUESTION_ABANDONED;
    default:
        return QUESTION_UNREACHABLE;
    }
}

static void on_ares(void *arg, int status, int timeouts, unsigned char *data, int size)
{
    struct question *question = arg;

    (void)timeouts;
    list_remove(&question->link);
    if (data != NULL)
        question->replied(question, QUESTION_REPLIED, span_of((const char *)data, (size_t)size));
    else
        question->replied(question, result_of(status), SPAN_NONE);
}

void channel_ask(struct channel *channel, struct question *question, const char *name, int type)
{
    question->channel = channel;
    question->due = loop_now(channel->loop) + channel->timeout_ms;
    list_append(&channel->open, &question->link);
    ares_query(channel->ares, name, CLASS_IN, type, on_ares, question);
    arm(channel);
}
