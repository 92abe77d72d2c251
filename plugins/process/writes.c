/* The one folder in which the process may change files (Landlock): what no filter of system calls
 * can see, which path they are about. */
#include "plugins/process/process.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef LANDLOCK_ACCESS_FS_TRUNCATE
#define LANDLOCK_ACCESS_FS_TRUNCATE (1ULL << 14)
#endif

enum { ABI_REFER = 2, ABI_TRUNCATE = 3 };

/* All that changes files or folders, as far as the kernel knows of it. */
static uint64_t changes(long abi)
{
    uint64_t all = LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR |
                   LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_CHAR |
                   LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG |
                   LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_MAKE_FIFO |
                   LANDLOCK_ACCESS_FS_MAKE_BLOCK | LANDLOCK_ACCESS_FS_MAKE_SYM;

    if (abi >= ABI_REFER)
        all |= LANDLOCK_ACCESS_FS_REFER;
    if (abi >= ABI_TRUNCATE)
        all |= LANDLOCK_ACCESS_FS_TRUNCATE;
    return all;
}

/* But for what makes devices and sockets. */
static uint64_t allowed(uint64_t all)
{
    return all & ~(uint64_t)(LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_BLOCK |
                             LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_MAKE_SYM);
}

static bool restrict_to(int rules, int folder, uint64_t all)
{
    struct landlock_path_beneath_attr beneath = {.allowed_access = allowed(all),
                                                 .parent_fd = folder};

    return syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &beneath, 0) == 0 &&
           syscall(SYS_landlock_restrict_self, rules, 0) == 0;
}

struct err confine_writes(const char *path)
{
    long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);

    if (abi < 1)
        return err_system(errno, "process_writes needs Landlock of the kernel");
    struct landlock_ruleset_attr attr = {.handled_access_fs = changes(abi)};
    int folder = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0)
        return err_system(errno, "process_writes");
    int rules = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof attr, 0);
    bool good = rules >= 0 && restrict_to(rules, folder, attr.handled_access_fs);
    struct err e = good ? ERR_OK : err_system(errno, "process_writes");
    if (rules >= 0)
        close(rules);
    close(folder);
    return e;
}
