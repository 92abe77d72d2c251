#include "queue/ctl/client.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum {
    ANSWER_TIMEOUT_S = 600, /* a change of a whole queue takes its time */
    ANSWER_MAX = 1 << 20,
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
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
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

static bool send_line(int fd, const json_t *command)
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
    bool done = buf_len(&line) == 0;
    buf_fini(&line);
    return done;
}

static json_t *receive_line(int fd)
{
    struct buf line;
    json_t *answer = NULL;
    ssize_t got;

    buf_init(&line, ANSWER_MAX);
    do {
        char *room = buf_reserve(&line, 4096);
        if (room == NULL)
            break;
        got = recv(fd, room, 4096, 0);
        if (got > 0)
            buf_commit(&line, (size_t)got);
        size_t len = span_index(buf_span(&line), '\n');
        if (len < buf_len(&line)) {
            answer = json_loadb(buf_span(&line).ptr, len, 0, NULL);
            break;
        }
    } while (got > 0 || (got < 0 && errno == EINTR));
    buf_fini(&line);
    return answer;
}

enum ctl_exit client_ask(const struct ctl *ctl, json_t *command, json_t **answer_out)
{
    int fd;

    *answer_out = NULL;
    enum ctl_exit connected = connect_socket(ctl->conf->control_socket, &fd);
    if (connected == CTL_OK) {
        if (send_line(fd, command))
            *answer_out = receive_line(fd);
        close(fd);
    }
    json_decref(command);
    if (connected == CTL_OK && *answer_out == NULL) {
        ctl_complain(
            "smarthopd broke off, or gave no answer that can be read; its log may tell why");
        return CTL_FAILED;
    }
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

enum ctl_exit client_command(const struct ctl *ctl, const char *name, json_t **answer_out)
{
    enum ctl_exit asked = client_ask(ctl, json_pack("{s:s}", "command", name), answer_out);

    if (asked == CTL_NO_DAEMON)
        ctl_complain("smarthopd is not running: nobody answers on %s", ctl->conf->control_socket);
    if (asked != CTL_OK || json_is_true(json_object_get(*answer_out, "ok")))
        return asked;
    client_refused(*answer_out, NULL);
    json_decref(*answer_out);
    *answer_out = NULL;
    return CTL_FAILED;
}

void client_print(const json_t *answer)
{
    char *text = json_dumps(answer, JSON_COMPACT);

    puts(text);
    free(text);
}
