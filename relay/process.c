#include "process.h"

#include <errno.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <stddef.h>
#include <sys/resource.h>
#include <unistd.h>

unsigned process_raise_descriptors(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return 0;
    rlim_t before = limit.rlim_cur;
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
        limit.rlim_cur = before;
    return limit.rlim_cur < UINT_MAX ? (unsigned)limit.rlim_cur : UINT_MAX;
}

struct err process_become(const char *user)
{
    if (user == NULL || geteuid() != 0)
        return ERR_OK;
    struct passwd *pw = getpwnam(user);
    if (pw == NULL)
        return err_make(ERR_NOT_FOUND, "this user");
    if (initgroups(user, pw->pw_gid) != 0 || setgid(pw->pw_gid) != 0 || setuid(pw->pw_uid) != 0)
        return err_system(errno, "become user");
    return ERR_OK;
}
