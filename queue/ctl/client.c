#include "queue/ctl/client.h"

#include "base/clock.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum {
    ANSWER_TIMEOUT_S = 600, /* a change of a whole queue takes its time */
    ANSWER_MAX = 8 << 20,   /* of one line: 1 MiB that a plugin may say, as JSON */
    PIECE = 16384,
};

struct client {
    int fd;
    struct buf in;
    size_t taken; /* of it: the line that was told last */
};

static enum ctl_exit connect_socket(const char *path, int *fd_out)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct timeval timeout = {.tv_sec = ANSWER_TIMEOUT_S};

    if (strlen(path) >= sizeof address.sun_path) {
        ctl_complain("control_socket is longer than a socket's path may be: %s", path);
        return CTL_FAILED;
    }
    memcpy(address.sun_path, path, strlen(path));
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        ctl_complain("socket: %s", strerror(errno));
        return CTL_FAILED;
    }
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0) {
        *fd_out = fd;
        return CTL_OK;
    }
    int sys = errno;
    close(fd);
    if (sys == ENOENT || sys == ECONNREFUSED)
        return CTL_NO_DAEMON;
    ctl_complain("%s: %s%s", path, strerror(sys),
                 sys == EACCES ? ": run this as root or as smarthopd's user" : "");
    return CTL_FAILED;
}

static void send_line(int fd, const json_t *command)
{
    char *text = json_dumps(command, JSON_COMPACT);
    struct buf line;

    buf_init(&line, 0);
    buf_addf(&line, "%s\n", text);
    free(text);
    while (buf_len(&line) > 0) {
        ssize_t sent = send(fd, buf_span(&line).ptr, buf_len(&line), MSG_NOSIGNAL);
        if (sent < 0 && errno != EINTR)
            break;
        if (sent > 0)
            buf_consume(&line, (size_t)sent);
    }
    buf_fini(&line);
}

/* CTL_NO_DAEMON is not complained of. */
static enum ctl_exit start(const struct ctl *ctl, json_t *command, struct client **out)
{
    int fd;

    *out = NULL;
    enum ctl_exit connected = connect_socket(ctl->conf->control_socket, &fd);
    if (connected == CTL_OK) {
        *out = mem_zalloc(sizeof **out);
        (*out)->fd = fd;
        buf_init(&(*out)->in, ANSWER_MAX);
        send_line(fd, command); /* where that fails no answer comes */
    }
    json_decref(command);
    return connected;
}

static bool wait_for_input(const struct client *client, uint64_t until)
{
    struct pollfd ready = {.fd = client->fd, .events = POLLIN};

    for (;;) {
        uint64_t now = clock_mono_ms(), left = until > now ? until - now : 0;
        int count = poll(&ready, 1, left < INT_MAX ? (int)left : INT_MAX);
        if (count > 0)
            return true;
        if (count < 0 && errno != EINTR)
            return true; /* reading tells */
        if (left == 0)
            return false;
    }
}

/* False at the end. */
static bool read_piece(struct client *client)
{
    char *room = buf_reserve(&client->in, PIECE);
    ssize_t got = room ? recv(client->fd, room, PIECE, 0) : 0;

    if (got > 0)
        buf_commit(&client->in, (size_t)got);
    return got > 0 || (got < 0 && errno == EINTR);
}

enum client_result client_next(struct client *client, uint64_t until, json_t **line_out)
{
    *line_out = NULL;
    buf_consume(&client->in, client->taken);
    client->taken = 0;
    for (;;) {
        struct span in = buf_span(&client->in);
        size_t len = span_index(in, '\n');
        if (len < in.len) {
            client->taken = len + 1;
            *line_out = json_loadb(in.ptr, len, 0, NULL);
            return *line_out ? CLIENT_LINE : CLIENT_OVER;
        }
        if (!wait_for_input(client, until))
            return CLIENT_LATE;
        if (!read_piece(client))
            return CLIENT_OVER;
    }
}

void client_end(struct client *client)
{
    close(client->fd);
    buf_fini(&client->in);
    free(client);
}

enum ctl_exit client_ask(const struct ctl *ctl, json_t *command, json_t **answer_out)
{
    struct client *client;

    *answer_out = NULL;
    enum ctl_exit connected = start(ctl, command, &client);
    if (connected != CTL_OK)
        return connected;
    client_next(client, clock_mono_ms() + ANSWER_TIMEOUT_S * 1000, answer_out);
    client_end(client);
    if (*answer_out != NULL)
        return CTL_OK;
    ctl_complain("smarthopd broke off, or gave no answer that can be read; its log may tell why");
    return CTL_FAILED;
}

static void complain_of_absence(const struct ctl *ctl)
{
    ctl_complain("smarthopd is not running: nobody answers on %s", ctl->conf->control_socket);
}

enum ctl_exit client_start(const struct ctl *ctl, json_t *command, struct client **out)
{
    enum ctl_exit connected = start(ctl, command, out);

    if (connected == CTL_NO_DAEMON)
        complain_of_absence(ctl);
    return connected;
}

enum ctl_exit client_refused(const json_t *answer, const char *about)
{
    const char *error = json_string_value(json_object_get(answer, "error"));
    const json_t *line;
    size_t i;

    if (error == NULL)
        error = "smarthopd refused, without telling why";
    if (about != NULL)
        ctl_complain("%s: %s", about, error);
    else
        ctl_complain("%s", error);
    json_array_foreach(json_object_get(answer, "messages"), i, line)
        fprintf(stderr, "%s\n", json_string_value(line));
    return CTL_FAILED;
}

enum ctl_exit client_order(const struct ctl *ctl, json_t *command, json_t **answer_out)
{
    enum ctl_exit asked = client_ask(ctl, command, answer_out);

    if (asked == CTL_NO_DAEMON)
        complain_of_absence(ctl);
    if (asked != CTL_OK || json_is_true(json_object_get(*answer_out, "ok")))
        return asked;
    client_refused(*answer_out, NULL);
    json_decref(*answer_out);
    *answer_out = NULL;
    return CTL_FAILED;
}

enum ctl_exit client_command(const struct ctl *ctl, const char *name, json_t **answer_out)
{
    return client_order(ctl, json_pack("{s:s}", "command", name), answer_out);
}

void client_print(const json_t *answer)
{
    char *text = json_dumps(answer, JSON_COMPACT);

    puts(text);
    free(text);
}
