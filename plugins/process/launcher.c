/*
 * smarthop-plugin --launch: what goes on as root where smarthopd does not
 * (plugins/host/launcher.h). It trusts nobody: users are settled before the daemon gives up root's
 * rights, the program that it runs is its own file, which it holds open, and descriptors that it is
 * passed it only passes on.
 */
#include "plugins/host/launcher.h"
#include "plugins/process/process.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { GROUPS_MOST = 64, CHILDREN_MOST = 256, FIRST = 3 };

struct user {
    char name[LAUNCH_NAME_ROOM];
    uid_t uid;
    gid_t gid;
    gid_t groups[GROUPS_MOST];
    int group_count;
};

/* A process that it has begun. */
struct launched {
    pid_t pid;
    int death; /* readable once it has ended */
    int leash;
};

struct launcher {
    int program; /* its own file */
    struct user users[LAUNCH_USERS_MOST];
    unsigned user_count;
    int problem; /* errno of a user that cannot be had */
    bool is_ready;
    struct launched children[CHILDREN_MOST];
    unsigned child_count;
};

/* ---- users -------------------------------------------------------------------------------- */

static const struct user *find(const struct launcher *l, const char *name)
{
    for (unsigned i = 0; i < l->user_count; i++)
        if (strcmp(l->users[i].name, name) == 0)
            return &l->users[i];
    return NULL;
}

static int add_user(struct launcher *l, const char *name)
{
    const struct passwd *pw = getpwnam(name);
    struct user *user = &l->users[l->user_count];

    if (find(l, name) != NULL)
        return 0;
    if (pw == NULL || l->user_count == LAUNCH_USERS_MOST)
        return pw == NULL ? ENOENT : ENOSPC;
    if (pw->pw_uid == 0)
        return EPERM;
    *user = (struct user){.uid = pw->pw_uid, .gid = pw->pw_gid, .group_count = GROUPS_MOST};
    snprintf(user->name, sizeof user->name, "%s", name);
    if (getgrouplist(name, user->gid, user->groups, &user->group_count) < 0)
        return E2BIG;
    l->user_count++;
    return 0;
}

/* ---- a process ---------------------------------------------------------------------------- */

static bool become(const struct user *user)
{
    return setgroups((size_t)user->group_count, user->groups) == 0 &&
           setresgid(user->gid, user->gid, user->gid) == 0 &&
           setresuid(user->uid, user->uid, user->uid) == 0 && setuid(0) != 0 && geteuid() != 0;
}

/* To where no number that it is to have is. */
static bool lift(int *fd, int least)
{
    *fd = fcntl(*fd, F_DUPFD_CLOEXEC, least);
    return *fd >= 0;
}

/* fds: its output, then its sockets. */
static bool arrange(int *program, int *fds, unsigned count)
{
    int least = FIRST + (int)count;
    bool good = lift(program, least);

    for (unsigned i = 0; i < count && good; i++)
        good = lift(&fds[i], least);
    good = good && dup2(fds[0], STDOUT_FILENO) >= 0 && dup2(fds[0], STDERR_FILENO) >= 0;
    for (unsigned i = 1; i < count && good; i++)
        good = dup2(fds[i], FIRST + (int)i - 1) >= 0;
    return good && dup3(*program, FIRST + (int)count - 1, O_CLOEXEC) >= 0 &&
           close_range(FIRST + count, ~0u, 0) == 0;
}

/* The new process. */
static void run(const struct launcher *l, const struct user *user, int *fds, unsigned count)
{
    char *const arguments[] = {"smarthop-plugin", NULL};
    char *const environment[] = {NULL};
    int program = l->program;

    signal(SIGTERM, SIG_DFL);
    signal(SIGINT, SIG_DFL);
    signal(SIGHUP, SIG_DFL);
    setsid();
    /* As root nothing is written to descriptors that others have chosen. */
    if (!arrange(&program, fds, count) || !become(user))
        _exit(126);
    syscall(SYS_execveat, FIRST + (int)count - 1, "", arguments, environment, AT_EMPTY_PATH);
    dprintf(STDERR_FILENO, "smarthop-plugin: user %s: %s\n", user->name, strerror(errno));
    _exit(127);
}

/* ---- what it is asked --------------------------------------------------------------------- */

static bool answer(enum launch_kind kind, uint32_t value, int fd)
{
    struct launch_packet packet = {.kind = kind, .value = value};

    return launch_send(LAUNCH_CONTROL, &packet, fd);
}

/* Both ends of its leash; ours does not wait. */
static int begin(struct launcher *l, const struct user *user, int *fds, unsigned count, int *theirs)
{
    struct launched *child = &l->children[l->child_count];
    int leash[2];

    if (l->child_count == CHILDREN_MOST)
        return EAGAIN;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, leash) != 0)
        return errno;
    *child = (struct launched){.pid = fork(), .death = -1, .leash = leash[0]};
    if (child->pid == 0)
        run(l, user, fds, count);
    if (child->pid > 0)
        child->death = (int)syscall(SYS_pidfd_open, child->pid, 0);
    if (child->death >= 0) {
        *theirs = leash[1];
        l->child_count++;
        return 0;
    }
    int error = errno;
    close(leash[0]);
    close(leash[1]);
    if (child->pid > 0) {
        kill(child->pid, SIGKILL);
        waitpid(child->pid, NULL, 0);
    }
    return error;
}

/* False: it is no packet of that kind. */
static bool take_descriptors(int *fds, unsigned count)
{
    struct launch_packet packet;

    for (unsigned i = 0; i < count; i++)
        if (launch_receive(LAUNCH_CONTROL, &packet, &fds[i]) <= 0 ||
            packet.kind != LAUNCH_DESCRIPTOR || fds[i] < 0)
            return false;
    return true;
}

/* False: who asks so is not smarthopd. */
static bool start(struct launcher *l, const struct launch_packet *asked)
{
    int fds[LAUNCH_DESCRIPTORS_MOST];
    const struct user *user = find(l, asked->user);
    unsigned count = asked->value;
    int leash = -1;

    if (!l->is_ready || count < 2 || count > LAUNCH_DESCRIPTORS_MOST ||
        !take_descriptors(fds, count))
        return false;
    int error = user != NULL ? begin(l, user, fds, count, &leash) : EPERM;
    for (unsigned i = 0; i < count; i++)
        close(fds[i]);
    if (error != 0)
        return answer(LAUNCH_FAILED, (uint32_t)error, -1);
    bool good = answer(LAUNCH_STARTED, (uint32_t)l->children[l->child_count - 1].pid, leash);
    close(leash);
    return good;
}

static bool take(struct launcher *l, const struct launch_packet *asked)
{
    int error;

    switch (asked->kind) {
    case LAUNCH_USER:
        error = l->is_ready ? EPERM : add_user(l, asked->user);
        if (error != 0)
            l->problem = error;
        return !l->is_ready;
    case LAUNCH_READY:
        l->is_ready = true;
        return l->problem == 0 ? answer(LAUNCH_STARTED, 0, -1)
                               : answer(LAUNCH_FAILED, (uint32_t)l->problem, -1) && false;
    case LAUNCH_START:
        return start(l, asked);
    default:
        return false;
    }
}

/* False: smarthopd has gone, or it is not smarthopd. */
static bool hear(struct launcher *l)
{
    struct launch_packet packet;
    int fd;
    ssize_t len = launch_receive(LAUNCH_CONTROL, &packet, &fd);

    if (fd >= 0)
        close(fd);
    return len > 0 && fd < 0 && take(l, &packet);
}

/* ---- its round ---------------------------------------------------------------------------- */

static void tell_end(const struct launched *child)
{
    siginfo_t info = {0};

    while (waitid(P_PID, (id_t)child->pid, &info, WEXITED) != 0 && errno == EINTR)
        continue;
    struct launch_end end = {info.si_code, info.si_status};
    send(child->leash, &end, sizeof end, MSG_NOSIGNAL); /* nobody may want to know */
    close(child->leash);
    close(child->death);
}

/* From the last, so that those before keep their places. */
static void look_after(struct launcher *l, const struct pollfd *polled)
{
    for (unsigned i = l->child_count; i-- > 0;) {
        struct launched *child = &l->children[i];
        bool has_ended = polled[2 * i].revents != 0;
        if (polled[2 * i + 1].revents != 0 && !has_ended) {
            kill(child->pid, SIGKILL);
            tell_end(child);
            has_ended = true;
        } else if (has_ended) {
            tell_end(child);
        }
        if (has_ended)
            *child = l->children[--l->child_count];
    }
}

static bool go_round(struct launcher *l)
{
    struct pollfd polled[1 + 2 * CHILDREN_MOST] = {{LAUNCH_CONTROL, POLLIN, 0}};
    nfds_t count = 1;

    for (unsigned i = 0; i < l->child_count; i++) {
        polled[count++] = (struct pollfd){l->children[i].death, POLLIN, 0};
        polled[count++] = (struct pollfd){l->children[i].leash, POLLIN, 0};
    }
    if (poll(polled, count, -1) < 0)
        return errno == EINTR;
    look_after(l, polled + 1);
    return polled[0].revents == 0 || hear(l);
}

/* Of what root may do; and nothing that it runs may become more. */
static bool give_up_rights(void)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct kept[_LINUX_CAPABILITY_U32S_3] = {0};

    kept[0].permitted = kept[0].effective = 1u << CAP_SETUID | 1u << CAP_SETGID | 1u << CAP_KILL;
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_DUMPABLE, 0) == 0 &&
           syscall(SYS_capset, &head, kept) == 0;
}

int launcher_run(void)
{
    struct launcher launcher = {.program = open("/proc/self/exe", O_PATH | O_CLOEXEC)};

    if (launcher.program < 0 || geteuid() != 0 || !give_up_rights() ||
        fcntl(LAUNCH_CONTROL, F_SETFD, FD_CLOEXEC) != 0) {
        fprintf(stderr, "smarthop-plugin: smarthopd of the same build starts this program\n");
        return 2;
    }
    /* What stops the daemon may come to all of its processes; this one ends behind it. */
    signal(SIGTERM, SIG_IGN);
    signal(SIGINT, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    signal(SIGPIPE, SIG_IGN);
    while (go_round(&launcher))
        continue;
    for (unsigned i = 0; i < launcher.child_count; i++)
        kill(launcher.children[i].pid, SIGKILL);
    return 0;
}
