#include "sendmail/dialogue.h"

#include "sendmail/client.h"
#include "sendmail/say.h"
#include "sendmail/turns.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BLOCK = 64 * 1024, CLIENT = 0, SERVER = 1 };

/* The server is always listened to, also while it does not take what the client has for it:
 * otherwise each of us could wait for the other to read. */
struct relay {
    struct pollfd ends[2];
    struct turns turns;
    struct buf waiting; /* of the client: not its turn yet */
    struct buf pending; /* for the server */
    bool client_ended;
};

static bool write_all(int fd, struct span bytes)
{
    while (bytes.len > 0) {
        ssize_t written = write(fd, bytes.ptr, bytes.len);
        if (written < 0 && errno != EINTR)
            return false;
        if (written > 0)
            bytes = span_from(bytes, (size_t)written);
    }
    return true;
}

static bool passes(ssize_t len)
{
    return len < 0 && (errno == EINTR || errno == EAGAIN);
}

/* What is behind a DATA waits for the server. */
static void take_turns(struct relay *r)
{
    struct span rest = buf_span(&r->waiting);
    size_t before = rest.len;

    turns_client(&r->turns, &rest, &r->pending);
    buf_consume(&r->waiting, before - rest.len);
}

/* The server may still have replies to give when the client has said all that it has to say. */
static void end_client(struct relay *r)
{
    r->client_ended = true;
    shutdown(r->ends[SERVER].fd, SHUT_WR);
}

static void read_client(struct relay *r)
{
    ssize_t len = read(STDIN_FILENO, buf_reserve(&r->waiting, BLOCK), BLOCK);

    if (len > 0)
        buf_commit(&r->waiting, (size_t)len);
    else if (!passes(len))
        end_client(r);
    take_turns(r);
}

static void write_server(struct relay *r)
{
    struct span bytes = buf_span(&r->pending);
    ssize_t len = send(r->ends[SERVER].fd, bytes.ptr, bytes.len, MSG_DONTWAIT | MSG_NOSIGNAL);

    if (len >= 0)
        buf_consume(&r->pending, (size_t)len);
    else if (!passes(len))
        buf_clear(&r->pending); /* it has gone: reading will tell */
}

/* False where the server is at its end, or nobody reads what it says. */
static bool read_server(struct relay *r)
{
    char block[BLOCK];
    ssize_t len = recv(r->ends[SERVER].fd, block, sizeof block, MSG_DONTWAIT);

    if (len <= 0)
        return passes(len);
    turns_server(&r->turns, span_of(block, (size_t)len));
    take_turns(r);
    return write_all(STDOUT_FILENO, span_of(block, (size_t)len));
}

static void run(struct relay *r)
{
    bool open = true;

    while (open) {
        bool writes = buf_len(&r->pending) > 0, reads = !writes && buf_len(&r->waiting) == 0;
        r->ends[CLIENT].fd = reads && !r->client_ended ? STDIN_FILENO : -1;
        r->ends[SERVER].events = writes ? POLLIN | POLLOUT : POLLIN;
        if (poll(r->ends, 2, -1) < 0) {
            open = errno == EINTR;
            continue;
        }
        if (r->ends[CLIENT].revents != 0)
            read_client(r);
        if (writes && (r->ends[SERVER].revents & POLLOUT) != 0)
            write_server(r);
        if ((r->ends[SERVER].revents & (POLLIN | POLLHUP | POLLERR)) != 0)
            open = read_server(r);
    }
}

int dialogue_run(const char *socket_path)
{
    int result = EX_OK;
    int server = client_connect(socket_path, &result);

    if (server < 0) {
        write_all(STDOUT_FILENO, SPAN("421 4.3.2 the mail server cannot be reached\r\n"));
        return result;
    }
    struct relay relay = {.ends = {[CLIENT] = {.events = POLLIN}, [SERVER] = {.fd = server}}};
    turns_init(&relay.turns);
    buf_init(&relay.waiting, BLOCK);
    buf_init(&relay.pending, 0);
    run(&relay);
    buf_fini(&relay.waiting);
    buf_fini(&relay.pending);
    close(server);
    return EX_OK;
}
