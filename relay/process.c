#include "process.h"

#include "base/log.h"

#include <errno.h>
#include <grp.h>
#include <limits.h>
#include <linux/capability.h>
#include <pwd.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
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

/* Of all that root may do. */
static int keep_low_ports(void)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct kept[_LINUX_CAPABILITY_U32S_3] = {0};

    kept[0].permitted = kept[0].effective = 1u << CAP_NET_BIND_SERVICE;
    return (int)syscall(SYS_capset, &head, kept);
}

bool process_knows(const char *user)
{
    return getpwnam(user) != NULL;
}

struct err process_become(const char *user)
{
    if (user == NULL || geteuid() != 0)
        return ERR_OK;
    struct passwd *pw = getpwnam(user);
    if (pw == NULL)
        return err_make(ERR_NOT_FOUND, "look up");
    log_give(pw->pw_uid, pw->pw_gid);
    if (initgroups(user, pw->pw_gid) != 0 || setgid(pw->pw_gid) != 0 ||
        prctl(PR_SET_KEEPCAPS, 1) != 0 || setuid(pw->pw_uid) != 0 || keep_low_ports() != 0)
        return err_system(errno, "become user");
    return ERR_OK;
}
