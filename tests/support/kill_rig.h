/*
 * kill_rig: a program that starts itself as a child, is told by a pipe what the child has done, and
 * kills it. For test programs with one thread in the parent.
 */
#ifndef SMARTHOP_TESTS_KILL_RIG_H
#define SMARTHOP_TESTS_KILL_RIG_H

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

__attribute__((noreturn, format(printf, 1, 2))) static inline void die(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    exit(1);
}

/* This program with two arguments; its standard output is `out_fd` where that is none below 0. */
static inline pid_t start_self(const char *role, const char *folder, int out_fd)
{
    extern char **environ;
    char *argv[] = {program_invocation_short_name, (char *)(uintptr_t)role,
                    (char *)(uintptr_t)folder, NULL};
    posix_spawn_file_actions_t actions;
    pid_t pid;

    posix_spawn_file_actions_init(&actions);
    if (out_fd >= 0)
        posix_spawn_file_actions_adddup2(&actions, out_fd, STDOUT_FILENO);
    if (posix_spawn(&pid, "/proc/self/exe", &actions, NULL, argv, environ) != 0)
        die("cannot start the child");
    posix_spawn_file_actions_destroy(&actions);
    return pid;
}

static inline int wait_for(pid_t pid)
{
    int status;

    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            die("waitpid");
    return status;
}

/* A whole line of that many bytes; false at the pipe's end. */
static inline bool read_line(int fd, void *line, size_t len)
{
    size_t have = 0;

    while (have < len) {
        ssize_t n = read(fd, (char *)line + have, len - have);
        if (n <= 0)
            return false;
        have += (size_t)n;
    }
    return true;
}

/* It was at work until it was killed. */
static inline void await_killed(pid_t child)
{
    int status = wait_for(child);

    if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL)
        die("the child ended by itself");
}

enum { KILL_LINE_MAX = 64 };

/* Lets the child work until `acks` lines of `len` bytes (KILL_LINE_MAX at most) have come, with a
 * reader beside it in the midst, kills it, and reads what it said till then. */
static inline void run_round(const char *folder, unsigned acks, size_t len,
                             void (*learn)(const void *line))
{
    _Alignas(max_align_t) char line[KILL_LINE_MAX];
    int pipes[2];

    if (len > sizeof line || pipe2(pipes, O_CLOEXEC) != 0)
        die("pipe");
    pid_t child = start_self("work", folder, pipes[1]);
    close(pipes[1]);
    for (unsigned i = 0; i < acks; i++) {
        if (!read_line(pipes[0], line, len))
            die("the child ended by itself");
        learn(line);
        if (i == acks / 2 && wait_for(start_self("read", folder, -1)) != 0)
            die("the reader failed");
    }
    kill(child, SIGKILL);
    while (read_line(pipes[0], line, len))
        learn(line);
    close(pipes[0]);
    await_killed(child);
}

#endif
