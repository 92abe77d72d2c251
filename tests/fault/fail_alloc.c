/*
 * fail_alloc: a library to be preloaded into the daemon, which makes one allocation fail. The file
 * that FAIL_ALLOC names holds two numbers that are shared with the test: after how many more
 * allocations one fails (0 = none does), and how many there have been.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

struct control {
    _Atomic int64_t countdown;
    _Atomic int64_t seen;
};

static struct control *control;

/* glibc's own, under the names that it keeps for such as us. */
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *old, size_t size);

__attribute__((constructor)) static void begin(void)
{
    const char *path = getenv("FAIL_ALLOC");
    int fd = path != NULL ? open(path, O_RDWR | O_CLOEXEC) : -1;

    if (fd < 0)
        return;
    void *map = mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (map != MAP_FAILED)
        control = map;
}

static int fails(void)
{
    if (control == NULL)
        return 0;
    atomic_fetch_add(&control->seen, 1);
    if (atomic_load(&control->countdown) <= 0 || atomic_fetch_sub(&control->countdown, 1) != 1)
        return 0;
    errno = ENOMEM;
    return 1;
}

void *malloc(size_t size)
{
    return fails() ? NULL : __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
    return fails() ? NULL : __libc_calloc(count, size);
}

void *realloc(void *old, size_t size)
{
    return fails() ? NULL : __libc_realloc(old, size);
}
