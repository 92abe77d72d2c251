#include "base/clock.h"

#include <pthread.h>
#include <time.h>

static uint64_t read_ns(clockid_t which)
{
    struct timespec now;

    clock_gettime(which, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

uint64_t clock_mono_ms(void)
{
    return read_ns(CLOCK_MONOTONIC) / 1000000u;
}

uint64_t clock_mono_ns(void)
{
    return read_ns(CLOCK_MONOTONIC);
}

uint64_t clock_wall_ms(void)
{
    return read_ns(CLOCK_REALTIME) / 1000000u;
}

static uint64_t steady_base; /* wall clock minus monotonic clock, at the first call */

static void set_steady_base(void)
{
    steady_base = clock_wall_ms() - clock_mono_ms();
}

uint64_t clock_steady_ms(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, set_steady_base);
    return steady_base + clock_mono_ms();
}
