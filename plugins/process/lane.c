#include "plugins/process/process.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { READ_PIECE = 65536 };

/* ---- sending ------------------------------------------------------------------------------ */

/* Under the lock. The server always reads, sooner or later; when it has gone nothing matters. */
static void send_out(struct lane *lane)
{
    while (buf_len(&lane->out) > 0) {
        struct span out = buf_span(&lane->out);
        struct pollfd room = {.fd = lane->fd, .events = POLLOUT};
        ssize_t sent = send(lane->fd, out.ptr, out.len, MSG_NOSIGNAL);
        if (sent < 0 && errno == EAGAIN)
            poll(&room, 1, -1);
        else if (sent < 0 && errno != EINTR)
            sent = (ssize_t)out.len;
        if (sent > 0)
            buf_consume(&lane->out, (size_t)sent);
    }
}

void lane_flush(struct lane *lane)
{
    pthread_mutex_lock(&lane->lock);
    send_out(lane);
    pthread_mutex_unlock(&lane->lock);
}

static void on_flush(struct call *call)
{
    lane_flush(container_of(call, struct lane, flush));
}

bool lane_send(struct lane *lane, enum wire_kind kind, uint64_t token, wire_writer *write,
               const void *object)
{
    struct child *child = lane->child;

    pthread_mutex_lock(&lane->lock);
    bool good = wire_add(&lane->out, kind, token, write, object);
    pthread_mutex_unlock(&lane->lock);
    if (lane == &child->lanes[child->lane_count - 1] && !child->is_running && !child->is_over)
        return good; /* the server does not hear it yet; services_begin sends it */
    /* What one round has to say goes at once. */
    if (!child->is_running || !pthread_equal(child->thread, pthread_self()))
        lane_flush(lane);
    else if (!list_is_linked(&lane->flush.link))
        loop_defer(child->loop, &lane->flush);
    return good;
}

/* ---- asking ------------------------------------------------------------------------------- */

static bool hear_more(struct lane *lane)
{
    struct pollfd more = {.fd = lane->fd, .events = POLLIN};

    for (;;) {
        ssize_t len = recv(lane->fd, buf_reserve(&lane->in, READ_PIECE), READ_PIECE, 0);
        if (len > 0) {
            buf_commit(&lane->in, (size_t)len);
            return true;
        }
        if (len == 0 || (errno != EINTR && errno != EAGAIN))
            return false;
        if (errno == EAGAIN)
            poll(&more, 1, -1);
    }
}

/* The frame lies in `in` until the next time. */
bool lane_ask(struct lane *lane, enum wire_kind kind, const struct wire_parcel *asked,
              enum wire_kind other, struct wire_frame *out)
{
    enum wire_result result;

    buf_consume(&lane->in, lane->used);
    lane->used = 0;
    if (!lane_send(lane, kind, 0, wire_write_parcel, asked))
        return false;
    lane_flush(lane);
    do {
        buf_consume(&lane->in, lane->used);
        lane->used = 0;
        while ((result = wire_next(buf_span(&lane->in), out, &lane->used)) == WIRE_MORE)
            if (!hear_more(lane))
                return false;
    } while (result == WIRE_DONE && out->kind != other);
    return result == WIRE_DONE;
}

/* ---- hearing ------------------------------------------------------------------------------ */

static bool take_all(struct lane *lane)
{
    enum wire_result result;
    struct wire_frame frame;
    size_t used;

    while ((result = wire_next(buf_span(&lane->in), &frame, &used)) == WIRE_DONE) {
        if (!serve_frame(lane, &frame))
            return false;
        buf_consume(&lane->in, used);
    }
    return result == WIRE_MORE;
}

static void on_ready(struct loop_watch *watch, int events)
{
    struct lane *lane = container_of(watch, struct lane, watch);

    (void)events;
    ssize_t len = recv(lane->fd, buf_reserve(&lane->in, READ_PIECE), READ_PIECE, MSG_DONTWAIT);
    if (len < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (len > 0)
        buf_commit(&lane->in, (size_t)len);
    if (len > 0 && take_all(lane))
        return;
    loop_watch_stop(&lane->watch); /* the server has gone, or lets go of the plugin */
    content_close_lane(lane);
    if (lane == lane->child->lanes)
        loop_stop(lane->child->loop);
}

/* ---- its life ----------------------------------------------------------------------------- */

void lane_init(struct lane *lane, struct child *child, int fd)
{
    lane->child = child;
    lane->fd = fd;
    pthread_mutex_init(&lane->lock, NULL);
    buf_init(&lane->in, 0);
    buf_init(&lane->out, 0);
    list_init(&lane->flush.link);
    lane->flush.done = on_flush;
}

struct err lane_open(struct lane *lane)
{
    lane->watch.ready = on_ready;
    return loop_watch_start(lane->child->loop, &lane->watch, lane->fd, LOOP_READABLE);
}

void lane_fini(struct lane *lane)
{
    loop_watch_stop(&lane->watch);
    lane_flush(lane);
    buf_fini(&lane->in);
    buf_fini(&lane->out);
    pthread_mutex_destroy(&lane->lock);
}
