/* A file that finds no more room, as on a full disk: the process may write none beyond a size. */
#ifndef SMARTHOP_TESTS_FULL_FILE_H
#define SMARTHOP_TESTS_FULL_FILE_H

#include <signal.h>
#include <stdbool.h>
#include <sys/resource.h>
#include <sys/types.h>

/* RLIM_INFINITY: as much as before. */
static inline bool full_file_limit(rlim_t size)
{
    struct rlimit limit;

    if (signal(SIGXFSZ, SIG_IGN) == SIG_ERR || getrlimit(RLIMIT_FSIZE, &limit) != 0)
        return false;
    limit.rlim_cur = size < limit.rlim_max ? size : limit.rlim_max;
    return setrlimit(RLIMIT_FSIZE, &limit) == 0;
}

#endif
