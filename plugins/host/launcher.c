#include "plugins/host/launcher.h"

#include "base/memory.h"
#include "plugins/host/self.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ANSWER_MOST_S = 10 /* it only forks */ };

struct plugin_launcher {
    int socket;
    pid_t pid;
};

/* ---- packets ------------------------------------------------------------------------------ */

ssize_t launch_receive(int socket, struct launch_packet *out, int *fd_out)
{
    union {
        struct cmsghdr head;
        char room[CMSG_SPACE(sizeof(int))];
    } control;
    struct iovec bytes = {out, sizeof *out};
    struct msghdr message = {.msg_iov = &bytes,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = sizeof control};
    ssize_t len;

    *fd_out = -1;
    do {
        len = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
    } while (len < 0 && errno == EINTR);
    const struct cmsghdr *with = len >= 0 ? CMSG_FIRSTHDR(&message) : NULL;
    if (with != NULL && with->cmsg_level == SOL_SOCKET && with->cmsg_type == SCM_RIGHTS &&
        with->cmsg_len == CMSG_LEN(sizeof(int)))
        memcpy(fd_out, CMSG_DATA(with), sizeof *fd_out);
    if (len < 0)
        return -errno;
    bool is_sound = (size_t)len == sizeof *out && out->user[LAUNCH_NAME_ROOM - 1] == '\0' &&
                    (message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) == 0;
    return len == 0 || is_sound ? len : -EBADMSG;
}

bool launch_send(int socket, const struct launch_packet *packet, int fd)
{
    union {
        struct cmsghdr head;
        char room[CMSG_SPACE(sizeof(int))];
    } control = {.room = {0}};
    struct iovec bytes = {(void *)(uintptr_t)packet, sizeof *packet};
    struct msghdr message = {.msg_iov = &bytes, .msg_iovlen = 1};
    ssize_t len;

    if (fd >= 0) {
        message.msg_control = &control;
        message.msg_controllen = sizeof control;
        struct cmsghdr *with = CMSG_FIRSTHDR(&message);
        *with = (struct cmsghdr){
            .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof fd)};
        memcpy(CMSG_DATA(with), &fd, sizeof fd);
    }
    do {
        len = sendmsg(socket, &message, MSG_NOSIGNAL);
    } while (len < 0 && errno == EINTR);
    return len == (ssize_t)sizeof *packet;
}

/* ---- its start ---------------------------------------------------------------------------- */

static bool wants_user(const struct conf_plugin *section)
{
    return section->process && section->user != NULL && section->user[0] != '\0';
}

static bool is_needed(const struct conf *conf)
{
    bool is = false;

    for (unsigned i = 0; i < conf->plugin_count; i++)
        is = is || wants_user(&conf->plugins[i]);
    return is && geteuid() == 0 && conf->user != NULL;
}

static struct launch_packet packet_of(enum launch_kind kind, const char *user)
{
    struct launch_packet packet = {.kind = kind};

    snprintf(packet.user, sizeof packet.user, "%s", user);
    return packet;
}

/* 0, or errno of what it has been asked for. */
static int hear(const struct plugin_launcher *launcher, struct launch_packet *answer, int *fd_out)
{
    ssize_t len = launch_receive(launcher->socket, answer, fd_out);

    if (len <= 0)
        return len == 0 ? EPIPE : (int)-len;
    return answer->kind == LAUNCH_STARTED ? 0 : (int)answer->value;
}

static struct err name_users(const struct plugin_launcher *launcher, const struct conf *conf)
{
    struct launch_packet packet = packet_of(LAUNCH_READY, ""), answer;
    int none;

    for (unsigned i = 0; i < conf->plugin_count; i++) {
        struct launch_packet user = packet_of(LAUNCH_USER, conf->plugins[i].user);
        if (wants_user(&conf->plugins[i]) && !launch_send(launcher->socket, &user, -1))
            return err_system(errno, "launcher");
    }
    if (!launch_send(launcher->socket, &packet, -1))
        return err_system(errno, "launcher");
    int error = hear(launcher, &answer, &none);
    if (none >= 0)
        close(none);
    return error == 0 ? ERR_OK : err_system(error, "the users of plugins' processes");
}

static int spawn(const char *program, int socket, pid_t *pid_out)
{
    posix_spawn_file_actions_t actions;
    char *const arguments[] = {"smarthop-plugin", "--launch", NULL};

    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, socket, LAUNCH_CONTROL);
    posix_spawn_file_actions_addclosefrom_np(&actions, LAUNCH_CONTROL + 1);
    int error = launch_spawn(program, arguments, &actions, pid_out);
    posix_spawn_file_actions_destroy(&actions);
    return error;
}

static struct err start(struct plugin_launcher *launcher, const char *program)
{
    struct timeval most = {.tv_sec = ANSWER_MOST_S};
    int ends[2];

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
        return err_system(errno, "socketpair");
    launcher->socket = ends[0];
    int high = fcntl(ends[1], F_DUPFD_CLOEXEC, LAUNCH_CONTROL + 1);
    close(ends[1]);
    int error = high < 0 || setsockopt(ends[0], SOL_SOCKET, SO_RCVTIMEO, &most, sizeof most) != 0
                    ? errno
                    : spawn(program, high, &launcher->pid);
    if (high >= 0)
        close(high);
    return error == 0 ? ERR_OK : err_system(error, program);
}

struct err plugin_launcher_create(const struct conf *conf, const char *helper,
                                  struct plugin_launcher **out)
{
    *out = NULL;
    if (!is_needed(conf))
        return ERR_OK;
    struct plugin_launcher *launcher = mem_zalloc(sizeof *launcher);
    char *program = helper != NULL ? mem_strdup(helper) : place_beside(1, "smarthop-plugin");
    launcher->socket = launcher->pid = -1;
    struct err e = start(launcher, program);
    free(program);
    if (!err_is(e))
        e = name_users(launcher, conf);
    if (err_is(e))
        plugin_launcher_free(launcher);
    else
        *out = launcher;
    return e;
}

void plugin_launcher_free(struct plugin_launcher *launcher)
{
    if (launcher == NULL)
        return;
    if (launcher->socket >= 0)
        close(launcher->socket);
    if (launcher->pid > 0)
        while (waitpid(launcher->pid, NULL, 0) < 0 && errno == EINTR)
            continue;
    free(launcher);
}

/* ---- asking ------------------------------------------------------------------------------- */

static bool ask(const struct plugin_launcher *launcher, const char *user, int output,
                const int *sockets, unsigned count)
{
    struct launch_packet packet = packet_of(LAUNCH_START, user);
    struct launch_packet descriptor = {.kind = LAUNCH_DESCRIPTOR};

    packet.value = count + 1;
    bool good = launch_send(launcher->socket, &packet, -1) &&
                launch_send(launcher->socket, &descriptor, output);
    for (unsigned i = 0; i < count && good; i++)
        good = launch_send(launcher->socket, &descriptor, sockets[i]);
    return good;
}

struct err launcher_begin(struct plugin_launcher *launcher, const char *user, int output,
                          const int *sockets, unsigned count, pid_t *pid_out, int *leash_out)
{
    struct launch_packet answer;

    *leash_out = -1;
    if (launcher->socket < 0 || !ask(launcher, user, output, sockets, count))
        return err_make(ERR_CLOSED, "the launcher");
    int error = hear(launcher, &answer, leash_out);
    *pid_out = (pid_t)answer.value;
    if (error == 0 && *leash_out >= 0)
        return ERR_OK;
    if (error == EAGAIN) { /* what it says later would be taken for another answer */
        close(launcher->socket);
        launcher->socket = -1;
    }
    if (error == EPERM)
        return err_make(ERR_INVALID, "its user, whom relay.conf did not name at the start");
    return err_system(error != 0 ? error : EBADMSG, "the launcher");
}
