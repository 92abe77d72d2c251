/*
 * launcher: how processes of plugins get users of their own although the daemon gives up root's
 * rights. A program that goes on as root (smarthop-plugin --launch), started before that, begins
 * them; all that it can be asked is to begin smarthop-plugin as one of the users that relay.conf
 * named when it was started. So who has taken over the daemon gets no further than to those users.
 *
 * It hears packets over one socket, and ends when that is closed; with it all that it has begun.
 * Both ends are of one build.
 */
#ifndef SMARTHOP_PLUGINS_HOST_LAUNCHER_H
#define SMARTHOP_PLUGINS_HOST_LAUNCHER_H

#include "plugins/host/host.h"

#include <spawn.h>
#include <sys/types.h>

/* ---- what they tell each other ------------------------------------------------------------ */

enum launch_kind {
    /* to it */
    LAUNCH_USER,       /* one that may be asked for; before READY only */
    LAUNCH_READY,      /* these were all: is answered by STARTED, or FAILED */
    LAUNCH_START,      /* begin one as this user, with `value` descriptors */
    LAUNCH_DESCRIPTOR, /* each of these: its output, then what it finds from 3 on */
    /* from it */
    LAUNCH_STARTED, /* `value` is its process id; with its leash */
    LAUNCH_FAILED,  /* `value` is errno */
};

enum {
    LAUNCH_CONTROL = 3, /* its end of the socket */
    LAUNCH_USERS_MOST = 64,
    LAUNCH_DESCRIPTORS_MOST = 1030,
    LAUNCH_NAME_ROOM = 72,
};

/* Alone in its packet, with at most one descriptor. */
struct launch_packet {
    uint32_t kind;
    uint32_t value;
    char user[LAUNCH_NAME_ROOM]; /* ends with NUL */
};

/* What comes over a process's leash when it has ended. Whatever is sent there, and closing it, ends
 * the process. */
struct launch_end {
    int32_t code; /* as waitid tells it */
    int32_t status;
};

/* Below 0: errno; 0 = it is closed. *fd_out below 0 = none came. */
ssize_t launch_receive(int socket, struct launch_packet *out, int *fd_out);
/* `fd` below 0 = none goes along. */
bool launch_send(int socket, const struct launch_packet *packet, int fd);

/* launch.c. Starts the program without an environment, in a session of its own, with no signal held
 * back, and with the descriptors that `actions` gives it. errno, or 0. Any thread. */
int launch_spawn(const char *program, char *const arguments[],
                 const posix_spawn_file_actions_t *actions, pid_t *pid_out);

/* ---- the daemon's side: main thread ------------------------------------------------------- */

/* A process that it has begun. The output and the sockets stay the caller's. */
struct err launcher_begin(struct plugin_launcher *launcher, const char *user, int output,
                          const int *sockets, unsigned count, pid_t *pid_out, int *leash_out);

#endif
