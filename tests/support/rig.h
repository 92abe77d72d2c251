/*
 * rig: what the load generator and the sink share: time, growing bytes, latency histograms and
 * the reading of command line values.
 *
 * Test programs only. Running out of memory or a wrong option ends the program with one line.
 */
#ifndef SMARTHOP_TESTS_RIG_H
#define SMARTHOP_TESTS_RIG_H

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#define RIG_NS_PER_SECOND      1000000000ull
#define RIG_NS_PER_MILLISECOND 1000000ull

__attribute__((noreturn, format(printf, 1, 2))) static inline void rig_die(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    fprintf(stderr, "%s: ", program_invocation_short_name);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    exit(64);
}

/* One clock for all processes of a machine, so that a sink can date a generator's stamp. */
static inline uint64_t rig_now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * RIG_NS_PER_SECOND + (uint64_t)now.tv_nsec;
}

/* User and system time of this process, all threads. */
static inline double rig_cpu_ms(void)
{
    struct rusage usage;

    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1e3 +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e3;
}

/* ---- growing bytes: the live ones are data[at, end) ---- */

struct bytes {
    char *data;
    size_t at;
    size_t end;
    size_t cap;
};

static inline size_t bytes_len(const struct bytes *b)
{
    return b->end - b->at;
}

static inline char *bytes_head(struct bytes *b)
{
    return b->data + b->at;
}

static inline void bytes_consume(struct bytes *b, size_t count)
{
    b->at += count;
    if (b->at == b->end)
        b->at = b->end = 0;
}

/* Room for `room` more bytes behind the end; moves the live bytes to the front where that is
 * enough. */
static inline void bytes_reserve(struct bytes *b, size_t room)
{
    if (b->cap - b->end >= room)
        return;
    if (b->at > 0) {
        memmove(b->data, b->data + b->at, bytes_len(b));
        b->end -= b->at;
        b->at = 0;
    }
    if (b->cap - b->end >= room)
        return;
    size_t cap = b->cap ? b->cap : 1024;
    while (cap - b->end < room)
        cap *= 2;
    b->data = realloc(b->data, cap);
    if (!b->data)
        rig_die("out of memory");
    b->cap = cap;
}

static inline void bytes_add(struct bytes *b, const char *data, size_t len)
{
    if (len == 0)
        return; /* there may be no memory yet to copy nothing to */
    bytes_reserve(b, len);
    memcpy(b->data + b->end, data, len);
    b->end += len;
}

static inline void bytes_text(struct bytes *b, const char *text)
{
    bytes_add(b, text, strlen(text));
}

__attribute__((format(printf, 2, 3))) static inline void bytes_printf(struct bytes *b,
                                                                      const char *format, ...)
{
    char line[1024];
    va_list args;

    va_start(args, format);
    int len = vsnprintf(line, sizeof line, format, args);
    va_end(args);
    if (len < 0 || (size_t)len >= sizeof line)
        rig_die("a line of %d bytes is too long", len);
    bytes_add(b, line, (size_t)len);
}

static inline void bytes_free(struct bytes *b)
{
    free(b->data);
    *b = (struct bytes){0};
}

/* ---- histogram of nanoseconds: powers of two in 64 steps, so within 1.6 percent ---- */

#define RIG_HIST_BITS  6
#define RIG_HIST_STEPS (1u << RIG_HIST_BITS)

struct histogram {
    uint64_t count;
    uint64_t max;
    uint64_t slots[(64 - RIG_HIST_BITS + 1) * RIG_HIST_STEPS];
};

static inline void histogram_add(struct histogram *h, uint64_t value)
{
    unsigned shift = 0;

    if (value >= RIG_HIST_STEPS)
        shift = 63u - (unsigned)__builtin_clzll(value) - RIG_HIST_BITS;
    size_t row = value >= RIG_HIST_STEPS ? shift + 1 : 0;
    h->slots[row * RIG_HIST_STEPS + ((value >> shift) & (RIG_HIST_STEPS - 1))]++;
    h->count++;
    if (value > h->max)
        h->max = value;
}

static inline void histogram_merge(struct histogram *into, const struct histogram *from)
{
    for (size_t i = 0; i < sizeof into->slots / sizeof into->slots[0]; i++)
        into->slots[i] += from->slots[i];
    into->count += from->count;
    if (from->max > into->max)
        into->max = from->max;
}

/* The middle of the slot that holds this share (0 to 1) of the values. */
static inline double histogram_quantile_ms(const struct histogram *h, double share)
{
    uint64_t rank = (uint64_t)(share * (double)h->count);
    uint64_t below = 0;

    for (size_t i = 0; i < sizeof h->slots / sizeof h->slots[0]; i++) {
        below += h->slots[i];
        if (below > rank) {
            size_t row = i / RIG_HIST_STEPS;
            double step = (double)(i % RIG_HIST_STEPS);
            double width = row ? (double)(1ull << (row - 1)) : 1.0;
            double low = row ? (RIG_HIST_STEPS + step) * width : step;
            double middle = low + width / 2;
            double most = (double)h->max;
            return (middle < most ? middle : most) / (double)RIG_NS_PER_MILLISECOND;
        }
    }
    return (double)h->max / (double)RIG_NS_PER_MILLISECOND;
}

static inline void rig_print_count(FILE *out, const char *before, const char *name, uint64_t count)
{
    fprintf(out, "%s\"%s\": %llu", before, name, (unsigned long long)count);
}

static inline void histogram_print_json(FILE *out, const char *name, const struct histogram *h)
{
    fprintf(out,
            "\"%s\": {\"count\": %llu, \"p50\": %.3f, \"p90\": %.3f, \"p99\": %.3f, "
            "\"max\": %.3f}",
            name, (unsigned long long)h->count, histogram_quantile_ms(h, 0.50),
            histogram_quantile_ms(h, 0.90), histogram_quantile_ms(h, 0.99),
            (double)h->max / (double)RIG_NS_PER_MILLISECOND);
}

/* ---- command line values ---- */

static inline uint64_t rig_number(const char *option, const char *text, uint64_t max)
{
    char *end = NULL;
    unsigned long long value = strtoull(text, &end, 10);

    if (end == text || *end != '\0' || *text == '-' || value > max)
        rig_die("--%s: \"%s\" is not a number from 0 to %llu", option, text,
                (unsigned long long)max);
    return value;
}

/* "ADDRESS:PORT" with a numeric IPv4 address. */
static inline struct sockaddr_in rig_endpoint(const char *option, const char *text)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    char host[INET_ADDRSTRLEN];
    const char *colon = strrchr(text, ':');
    size_t host_len = colon ? (size_t)(colon - text) : sizeof host;

    if (host_len >= sizeof host)
        rig_die("--%s: \"%s\" is not ADDRESS:PORT", option, text);
    memcpy(host, text, host_len);
    host[host_len] = '\0';
    if (inet_pton(AF_INET, host, &address.sin_addr) != 1)
        rig_die("--%s: \"%s\" is not an IPv4 address", option, host);
    address.sin_port = htons((uint16_t)rig_number(option, colon + 1, UINT16_MAX));
    return address;
}

#endif
