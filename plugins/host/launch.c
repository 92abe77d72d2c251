/* Starting the process of a plugin. */
#include "plugins/host/proxy.h"

#include "base/memory.h"
#include "plugins/host/launcher.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { FIRST = 3 }; /* what it finds its sockets from */

static void close_all(int *fds, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        if (fds[i] >= 0)
            close(fds[i]);
}

/* To where no number that it is to have is. */
static int lift(int fd, unsigned count)
{
    int least = FIRST + (int)count;

    if (fd < 0 || fd >= least)
        return fd;
    int high = fcntl(fd, F_DUPFD_CLOEXEC, least);
    close(fd);
    return high;
}

static bool make_sockets(unsigned count, int *ours, int *theirs)
{
    int ends[2];

    for (unsigned i = 0; i < count; i++)
        ours[i] = theirs[i] = -1;
    for (unsigned i = 0; i < count; i++) {
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
            return false;
        ours[i] = ends[0];
        theirs[i] = lift(ends[1], count);
        if (theirs[i] < 0)
            return false;
    }
    return true;
}

int launch_spawn(const char *program, char *const arguments[],
                 const posix_spawn_file_actions_t *actions, pid_t *pid_out)
{
    posix_spawnattr_t attributes;
    char *const environment[] = {NULL};
    sigset_t none;

    sigemptyset(&none);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSID);
    int error = posix_spawn(pid_out, program, actions, &attributes, arguments, environment);
    posix_spawnattr_destroy(&attributes);
    return error;
}

static int spawn(const char *program, const int *theirs, unsigned count, int output, pid_t *pid_out)
{
    posix_spawn_file_actions_t actions;
    char *const arguments[] = {"smarthop-plugin", NULL};

    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions, output, STDERR_FILENO);
    for (unsigned i = 0; i < count; i++)
        posix_spawn_file_actions_adddup2(&actions, theirs[i], FIRST + (int)i);
    posix_spawn_file_actions_addclosefrom_np(&actions, FIRST + (int)count);
    int error = launch_spawn(program, arguments, &actions, pid_out);
    posix_spawn_file_actions_destroy(&actions);
    return error;
}

/* ends[0]: what it writes. Ours must not block, and its end must lie high, as the sockets' do. */
static bool make_output(unsigned count, int ends[2])
{
    if (pipe2(ends, O_CLOEXEC) != 0)
        return false;
    ends[1] = lift(ends[1], count);
    return ends[1] >= 0 && fcntl(ends[0], F_SETFL, O_NONBLOCK) == 0;
}

/* Its output, its sockets: as the launcher's child, or as ours. */
static struct err begin(const struct launch *launch, const int *theirs, unsigned count, int output,
                        struct process *out)
{
    if (launch->launcher != NULL) {
        out->is_launched = true;
        return launcher_begin(launch->launcher, launch->user, output, theirs, count, &out->pid,
                              &out->death);
    }
    int error = spawn(launch->program, theirs, count, output, &out->pid);
    if (error != 0)
        return err_system(error, launch->program);
    out->death = (int)syscall(SYS_pidfd_open, out->pid, 0);
    return out->death >= 0 ? ERR_OK : err_system(errno, "pidfd_open");
}

struct err process_launch(const struct launch *launch, struct process *out)
{
    unsigned count = launch->channels + 1;
    int *ours = mem_alloc(2 * count * sizeof *ours);
    int *theirs = ours + count;
    int output[2] = {-1, -1};

    *out = (struct process){.pid = -1, .death = -1, .control = -1, .output = -1};
    struct err e = make_sockets(count, ours, theirs) && make_output(count, output)
                       ? begin(launch, theirs, count, output[1], out)
                       : err_system(errno, "sockets");
    close_all(theirs, count);
    close_all(&output[1], 1);
    out->control = ours[0];
    out->output = output[0];
    out->sockets = mem_alloc(count * sizeof *ours);
    out->socket_count = launch->channels;
    memcpy(out->sockets, ours + 1, launch->channels * sizeof *ours);
    free(ours);
    if (!err_is(e))
        return e;
    if (out->pid > 0 && !out->is_launched) {
        kill(out->pid, SIGKILL);
        waitpid(out->pid, NULL, 0);
    }
    process_forget(out);
    return e;
}

void process_kill(const struct process *process)
{
    if (process->is_launched)
        send(process->death, "", 1, MSG_NOSIGNAL);
    else
        kill(process->pid, SIGKILL);
}

/* Where nothing is told the launcher has ended, and its processes with it. */
static void hear_end(int leash, siginfo_t *out)
{
    struct launch_end end;
    struct pollfd news = {.fd = leash, .events = POLLIN};
    ssize_t len;

    do {
        poll(&news, 1, -1);
        len = recv(leash, &end, sizeof end, 0);
    } while (len < 0 && (errno == EINTR || errno == EAGAIN));
    bool is_told = len == (ssize_t)sizeof end;
    out->si_code = is_told ? end.code : CLD_KILLED;
    out->si_status = is_told ? end.status : SIGKILL;
}

void process_wait(const struct process *process, siginfo_t *out)
{
    *out = (siginfo_t){.si_code = 0};
    if (process->is_launched)
        hear_end(process->death, out);
    else
        while (waitid(P_PID, (id_t)process->pid, out, WEXITED) != 0 && errno == EINTR)
            continue;
}

void process_forget(struct process *process)
{
    close_all((int[]){process->death, process->control, process->output}, 3);
    close_all(process->sockets, process->socket_count);
    free(process->sockets);
    *process = (struct process){.pid = -1, .death = -1, .control = -1, .output = -1};
}
