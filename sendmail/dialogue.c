#include "sendmail/dialogue.h"

#include "sendmail/client.h"
#include "sendmail/say.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BLOCK = 64 * 1024, CLIENT = 0, SERVER = 1 };

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

/* Moves what is there from one to the other; false where either is at its end. */
static bool move(int from, int to)
{
    char block[BLOCK];
    ssize_t len = read(from, block, sizeof block);

    if (len < 0)
        return errno == EINTR;
    return len > 0 && write_all(to, span_of(block, (size_t)len));
}

int dialogue_run(const char *socket_path)
{
    int result = EX_OK;
    int server = client_connect(socket_path, &result);

    if (server < 0) {
        write_all(STDOUT_FILENO, SPAN("421 4.3.2 the mail server cannot be reached\r\n"));
        return result;
    }
    struct pollfd ends[] = {[CLIENT] = {.fd = STDIN_FILENO, .events = POLLIN},
                            [SERVER] = {.fd = server, .events = POLLIN}};
    bool open = true;
    while (open) {
        if (poll(ends, 2, -1) < 0)
            continue;
        if (ends[CLIENT].revents != 0 && !move(STDIN_FILENO, server)) {
            /* The server may still have replies to give to what it has been told. */
            shutdown(server, SHUT_WR);
            ends[CLIENT].fd = -1;
        }
        if (ends[SERVER].revents != 0)
            open = move(server, STDOUT_FILENO);
    }
    close(server);
    return EX_OK;
}
