/*
 * Which system calls the process may make once its plugin is loaded. A list of what may be, so that
 * what is not known is not allowed; what is forbidden ends the process, and its last words name the
 * call.
 *
 * Files: it may open what its user may read. For writing it may open them only in its folder, which
 * writes.c sees to, or as a user of its own, whose permissions were given for that; as the server's
 * user it would have the server's files.
 */
#include "plugins/process/process.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__x86_64__)
#define ARCHITECTURE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCHITECTURE AUDIT_ARCH_AARCH64
#elif defined(__riscv) && __riscv_xlen == 64
#define ARCHITECTURE AUDIT_ARCH_RISCV64
#else
#error "the list of system calls is not known for this processor"
#endif

/* Leak detectors trace the process by a clone of it; so with sanitizers all is allowed but what is
 * named as forbidden. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { ALLOW_UNKNOWN = true };
#else
enum { ALLOW_UNKNOWN = false };
#endif

/* Reading and writing what is open, memory, threads, waiting, time, and asking about oneself. */
static const int allowed[] = {
    SYS_read,
    SYS_write,
    SYS_readv,
    SYS_writev,
    SYS_pread64,
    SYS_pwrite64,
    SYS_preadv,
    SYS_pwritev,
    SYS_preadv2,
    SYS_pwritev2,
    SYS_close,
    SYS_close_range,
    SYS_fstat,
    SYS_newfstatat,
    SYS_statx,
    SYS_statfs,
    SYS_fstatfs,
    SYS_lseek,
    SYS_fsync,
    SYS_fdatasync,
    SYS_ftruncate,
    SYS_fallocate,
    SYS_flock,
    SYS_fcntl,
    SYS_ioctl,
    SYS_dup,
    SYS_dup3,
    SYS_pipe2,
    SYS_getdents64,
    SYS_getcwd,
    SYS_readlinkat,
    SYS_faccessat,
    SYS_faccessat2,
    SYS_fadvise64,
    SYS_readahead,
    SYS_sendfile,
    SYS_copy_file_range,
    SYS_splice,
    SYS_mmap,
    SYS_munmap,
    SYS_mremap,
    SYS_mprotect,
    SYS_madvise,
    SYS_msync,
    SYS_mincore,
    SYS_mlock,
    SYS_munlock,
    SYS_brk,
    SYS_memfd_create,
    SYS_membarrier,
    SYS_futex,
    SYS_set_robust_list,
    SYS_get_robust_list,
    SYS_rseq,
    SYS_set_tid_address,
    SYS_rt_sigaction,
    SYS_rt_sigprocmask,
    SYS_rt_sigreturn,
    SYS_rt_sigtimedwait,
    SYS_rt_sigpending,
    SYS_sigaltstack,
    SYS_restart_syscall,
    SYS_exit,
    SYS_exit_group,
    SYS_sched_yield,
    SYS_sched_getaffinity,
    SYS_sched_getparam,
    SYS_sched_getscheduler,
    SYS_getcpu,
    SYS_nanosleep,
    SYS_clock_nanosleep,
    SYS_clock_gettime,
    SYS_clock_getres,
    SYS_gettimeofday,
    SYS_getitimer,
    SYS_setitimer,
    SYS_timerfd_create,
    SYS_timerfd_settime,
    SYS_timerfd_gettime,
    SYS_eventfd2,
    SYS_epoll_create1,
    SYS_epoll_ctl,
    SYS_epoll_pwait,
    SYS_epoll_pwait2,
    SYS_ppoll,
    SYS_pselect6,
    SYS_inotify_init1,
    SYS_inotify_add_watch,
    SYS_inotify_rm_watch,
    SYS_signalfd4,
    SYS_recvfrom,
    SYS_recvmsg,
    SYS_sendto,
    SYS_sendmsg,
    SYS_shutdown,
    SYS_getsockopt,
    SYS_setsockopt,
    SYS_getsockname,
    SYS_getpeername,
    SYS_getpid,
    SYS_gettid,
    SYS_getppid,
    SYS_getuid,
    SYS_geteuid,
    SYS_getgid,
    SYS_getegid,
    SYS_getgroups,
    SYS_getresuid,
    SYS_getresgid,
    SYS_getrusage,
    SYS_times,
    SYS_uname,
    SYS_sysinfo,
    SYS_getrandom,
    SYS_getrlimit,
    SYS_prlimit64,
    SYS_capget,
    SYS_umask,
#ifdef __x86_64__
    SYS_stat,
    SYS_lstat,
    SYS_access,
    SYS_readlink,
    SYS_pipe,
    SYS_dup2,
    SYS_poll,
    SYS_select,
    SYS_epoll_create,
    SYS_epoll_wait,
    SYS_eventfd,
    SYS_inotify_init,
    SYS_time,
    SYS_getdents,
    SYS_alarm,
    SYS_pause,
    SYS_arch_prctl,
#endif
};

/* Changes of folders. */
static const int writing[] = {
    SYS_mkdirat, SYS_unlinkat, SYS_renameat2, SYS_linkat,
#ifdef __x86_64__
    SYS_mkdir,   SYS_rmdir,    SYS_unlink,    SYS_rename, SYS_link,
#endif
};

/* Changes of files that Landlock does not see everywhere: for a user of its own, without a folder.
 */
static const int changing[] = {SYS_fchmod, SYS_utimensat, SYS_truncate};

/* Where it may write. */
enum writes { WRITES_NOWHERE, WRITES_FOLDER, WRITES_AS_USER };

static const int networking[] = {
    SYS_socket, SYS_socketpair, SYS_connect,  SYS_bind,     SYS_listen,
    SYS_accept, SYS_accept4,    SYS_sendmmsg, SYS_recvmmsg,
};

/* What is forbidden whatever else is allowed. */
static const int forbidden[] = {SYS_execve,  SYS_execveat, SYS_socket, SYS_socketpair,
                                SYS_connect, SYS_bind,     SYS_listen};

/* What the last words call by its name. */
static const struct {
    int number;
    const char *name;
} named[] = {
    {SYS_execve, "execve"},
    {SYS_execveat, "execveat"},
    {SYS_socket, "socket"},
    {SYS_socketpair, "socketpair"},
    {SYS_connect, "connect"},
    {SYS_bind, "bind"},
    {SYS_listen, "listen"},
    {SYS_clone, "clone"},
#ifdef __x86_64__
    {SYS_fork, "fork"},
    {SYS_vfork, "vfork"},
#endif
    {SYS_ptrace, "ptrace"},
    {SYS_process_vm_readv, "process_vm_readv"},
    {SYS_process_vm_writev, "process_vm_writev"},
    {SYS_bpf, "bpf"},
    {SYS_mount, "mount"},
    {SYS_unshare, "unshare"},
    {SYS_setns, "setns"},
    {SYS_keyctl, "keyctl"},
};

/* ---- the program -------------------------------------------------------------------------- */

enum { STEPS_MOST = 1024 };

struct program {
    struct sock_filter steps[STEPS_MOST];
    unsigned short count;
};

static void add(struct program *p, struct sock_filter step)
{
    if (p->count == STEPS_MOST)
        abort();
    p->steps[p->count++] = step;
}

static void load(struct program *p, size_t offset)
{
    add(p, (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)offset));
}

static void end_with(struct program *p, uint32_t verdict)
{
    add(p, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, verdict));
}

/* Goes on `skip` steps behind the next unless what is loaded is equal. */
static void unless_equal(struct program *p, uint32_t value, uint8_t skip)
{
    add(p, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, skip));
}

static void decide(struct program *p, int call, uint32_t verdict)
{
    unless_equal(p, (uint32_t)call, 1);
    end_with(p, verdict);
}

static void allow_all(struct program *p, const int *calls, size_t count)
{
    for (size_t i = 0; i < count; i++)
        decide(p, calls[i], SECCOMP_RET_ALLOW);
}

/* The lower half: no argument that is looked at here has more. */
static size_t argument(unsigned index)
{
    size_t low = __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? 0 : 4;

    return offsetof(struct seccomp_data, args) + 8 * index + low;
}

/* Where any, or all, of `bits` are set in an argument of that call. */
static void decide_by_bits(struct program *p, int call, unsigned index, uint32_t bits,
                           uint32_t if_set, uint32_t if_not)
{
    unless_equal(p, (uint32_t)call, 4);
    load(p, argument(index));
    add(p, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, bits, 0, 1));
    end_with(p, if_set);
    end_with(p, if_not);
}

/* Only about itself. */
static void decide_by_process(struct program *p, int call)
{
    unless_equal(p, (uint32_t)call, 4);
    load(p, argument(0));
    unless_equal(p, (uint32_t)getpid(), 1);
    end_with(p, SECCOMP_RET_ALLOW);
    end_with(p, ALLOW_UNKNOWN ? SECCOMP_RET_ALLOW : SECCOMP_RET_ERRNO | EPERM);
}

/* Older kernels let who opens a file for reading empty it. */
static void decide_emptying(struct program *p, int call, unsigned index)
{
    unless_equal(p, (uint32_t)call, 5);
    load(p, argument(index));
    add(p, (struct sock_filter)BPF_STMT(BPF_ALU | BPF_AND | BPF_K, O_ACCMODE | O_TRUNC));
    unless_equal(p, O_RDONLY | O_TRUNC, 1);
    end_with(p, SECCOMP_RET_ERRNO | EACCES);
    end_with(p, SECCOMP_RET_ALLOW);
}

static void decide_opening(struct program *p, int call, unsigned index, enum writes writes)
{
    const uint32_t changes = O_WRONLY | O_RDWR | O_CREAT | O_TRUNC | (O_TMPFILE & ~O_DIRECTORY);

    if (writes == WRITES_FOLDER)
        decide_emptying(p, call, index);
    else
        decide_by_bits(p, call, index, changes,
                       writes == WRITES_AS_USER ? SECCOMP_RET_ALLOW : SECCOMP_RET_ERRNO | EACCES,
                       SECCOMP_RET_ALLOW);
}

static void decide_all(struct program *p, const int *calls, size_t count, bool may)
{
    for (size_t i = 0; i < count; i++)
        decide(p, calls[i], may ? SECCOMP_RET_ALLOW : SECCOMP_RET_ERRNO | EACCES);
}

static void decide_files(struct program *p, enum writes writes)
{
    decide_opening(p, SYS_openat, 2, writes);
#ifdef SYS_open
    decide_opening(p, SYS_open, 1, writes);
#endif
    decide(p, SYS_openat2, SECCOMP_RET_ERRNO | ENOSYS); /* its flags cannot be seen */
    decide_all(p, writing, sizeof writing / sizeof writing[0], writes != WRITES_NOWHERE);
    decide_all(p, changing, sizeof changing / sizeof changing[0], writes == WRITES_AS_USER);
}

/* Threads, but no processes. */
static void decide_threads(struct program *p)
{
    const uint32_t otherwise = ALLOW_UNKNOWN ? SECCOMP_RET_ALLOW : SECCOMP_RET_TRAP;

    enum { CLONE_THREAD_BIT = 0x10000 };
    decide_by_bits(p, SYS_clone, 0, CLONE_THREAD_BIT, SECCOMP_RET_ALLOW, otherwise);
    decide(p, SYS_clone3, SECCOMP_RET_ERRNO | ENOSYS); /* likewise; then clone is used */
    unless_equal(p, SYS_prctl, 4);
    load(p, argument(0));
    unless_equal(p, PR_SET_NAME, 1);
    end_with(p, SECCOMP_RET_ALLOW);
    end_with(p, ALLOW_UNKNOWN ? SECCOMP_RET_ALLOW : SECCOMP_RET_ERRNO | EPERM);
}

static void decide_processor(struct program *p)
{
    load(p, offsetof(struct seccomp_data, arch));
    add(p, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARCHITECTURE, 1, 0));
    end_with(p, SECCOMP_RET_KILL_PROCESS);
    load(p, offsetof(struct seccomp_data, nr));
}

static enum writes writes_of(const struct conf_plugin *section)
{
    if (section->process_writes[0] != '\0')
        return WRITES_FOLDER;
    return section->user[0] != '\0' ? WRITES_AS_USER : WRITES_NOWHERE;
}

static void write_program(struct program *p, const struct conf_plugin *section)
{
    decide_processor(p);
    allow_all(p, allowed, sizeof allowed / sizeof allowed[0]);
    if (section->network)
        allow_all(p, networking, sizeof networking / sizeof networking[0]);
    decide_files(p, writes_of(section));
    decide_threads(p);
    decide_by_process(p, SYS_kill);
    decide_by_process(p, SYS_tgkill);
    for (size_t i = 0; ALLOW_UNKNOWN && i < sizeof forbidden / sizeof forbidden[0]; i++)
        decide(p, forbidden[i], SECCOMP_RET_TRAP);
    end_with(p, ALLOW_UNKNOWN ? SECCOMP_RET_ALLOW : SECCOMP_RET_TRAP);
}

/* ---- the last words ----------------------------------------------------------------------- */

/* Nothing but what a signal may interrupt. */
static void on_forbidden(int number, siginfo_t *what, void *context)
{
    static const char begin[] = "a plugin may not make this system call: ";
    const struct sigaction otherwise = {.sa_handler = SIG_DFL};
    char words[128];
    size_t len = sizeof begin - 1;

    (void)number, (void)context;
    memcpy(words, begin, len);
    for (size_t i = 0; i < sizeof named / sizeof named[0]; i++)
        if (named[i].number == what->si_syscall)
            for (const char *at = named[i].name; *at != '\0';)
                words[len++] = *at++;
    if (len == sizeof begin - 1) {
        char digits[SPAN_U64_MAX];
        struct span text = span_format_u64((uint64_t)what->si_syscall, digits);
        memcpy(words + len, text.ptr, text.len);
        len += text.len;
    }
    words[len++] = '\n';
    ssize_t written = write(STDERR_FILENO, words, len);
    (void)written;
    sigaction(SIGSYS, &otherwise, NULL);
    kill(getpid(), SIGSYS); /* comes once this has returned */
}

struct err confine_after(const struct conf_plugin *section)
{
    struct sigaction action = {.sa_sigaction = on_forbidden, .sa_flags = SA_SIGINFO};
    struct program program = {.count = 0};
    struct sock_fprog filter = {.filter = program.steps};

    sigaction(SIGSYS, &action, NULL);
    write_program(&program, section);
    filter.len = program.count;
    /* For the threads that the plugin has begun, too. */
    if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &filter) != 0)
        return err_system(errno, "seccomp");
    return ERR_OK;
}
