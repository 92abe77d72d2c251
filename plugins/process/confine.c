/* What the process gives up before it loads a plugin: its user, and what it may use up. */
#include "plugins/process/process.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

enum { DESCRIPTORS_MOST = 1024, STACK_MOST = 1 << 20 };

static bool limit(__rlimit_resource_t resource, uint64_t most)
{
    struct rlimit now;

    if (getrlimit(resource, &now) != 0)
        return false;
    if (most > now.rlim_max)
        most = now.rlim_max;
    now.rlim_cur = now.rlim_max = most;
    return setrlimit(resource, &now) == 0;
}

/* RLIMIT_DATA and not RLIMIT_AS: files that are mapped, as tables are, take no memory of their own.
 * Sanitizers map far more than they use. */
static bool limit_memory(uint64_t most)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    (void)most;
    return true;
#else
    return limit(RLIMIT_DATA, most);
#endif
}

static struct err become(const char *user)
{
    const struct passwd *pw = getpwnam(user);

    if (pw == NULL)
        return err_make(ERR_NOT_FOUND, "its user");
    if (pw->pw_uid == geteuid())
        return ERR_OK;
    if (initgroups(user, pw->pw_gid) != 0 || setgid(pw->pw_gid) != 0 || setuid(pw->pw_uid) != 0)
        return err_system(errno, "become its user");
    return ERR_OK;
}

struct err confine_before(const struct conf_plugin *section)
{
    /* Threads get no more stack than the process's own limit. */
    if (!limit(RLIMIT_STACK, STACK_MOST) || !limit(RLIMIT_CORE, 0) ||
        !limit(RLIMIT_NOFILE, DESCRIPTORS_MOST) || !limit_memory(section->memory_max))
        return err_system(errno, "setrlimit");
    struct err e = section->user[0] != '\0' ? become(section->user) : ERR_OK;
    if (err_is(e))
        return e;
    /* Behind the change of user, which would undo the first. */
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return err_system(errno, "prctl");
    return section->process_writes[0] != '\0' ? confine_writes(section->process_writes) : ERR_OK;
}
