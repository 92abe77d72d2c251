#include "process.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stddef.h>
#include <sys/resource.h>
#include <unistd.h>

void process_raise_descriptors(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
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
