/* scratch: a folder of the test's own, gone afterwards. */
#ifndef SMARTHOP_TESTS_SCRATCH_H
#define SMARTHOP_TESTS_SCRATCH_H

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SCRATCH_PATH = 256 };

/* Under TMPDIR, or /tmp. */
static inline void scratch_make(char path[SCRATCH_PATH])
{
    const char *parent = getenv("TMPDIR");

    snprintf(path, SCRATCH_PATH, "%s/smarthop-test-XXXXXX", parent ? parent : "/tmp");
    if (mkdtemp(path) == NULL) {
        perror(path);
        abort();
    }
}

static inline int scratch_remove_one(const char *path, const struct stat *st, int kind,
                                     struct FTW *place)
{
    (void)st, (void)kind, (void)place;
    return remove(path);
}

/* With all that is in it. */
static inline void scratch_remove(const char *path)
{
    nftw(path, scratch_remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

#endif
