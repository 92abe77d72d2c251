/*
 * queue_bench [MESSAGES [FOLDER]]: what the queue costs. Inserts and settles messages of 4 KiB, so
 * many operations at a time as the row says, submitted by one thread; then scans a full queue.
 * Prints rates, CPU time, commits and bytes written (as the kernel counts them) for each message.
 */
#include "base/clock.h"
#include "support/queue_rig.h"
#include "support/scratch.h"

#include <sys/resource.h>

enum { BODY = 4096, MOST = 200, SCANNED = 100000 };

static const char destination[] = "bench.example";

struct usage {
    uint64_t ns;
    uint64_t cpu_us;
    uint64_t written;
    uint64_t commits;
};

static uint64_t written_bytes(void)
{
    FILE *file = fopen("/proc/self/io", "r");
    unsigned long long bytes = 0;
    char line[128];

    while (file != NULL && fgets(line, sizeof line, file) != NULL)
        if (sscanf(line, "write_bytes: %llu", &bytes) == 1)
            break;
    if (file != NULL)
        fclose(file);
    return bytes;
}

static uint64_t micros(struct timeval t)
{
    return (uint64_t)t.tv_sec * 1000000u + (uint64_t)t.tv_usec;
}

static struct usage usage_now(struct queue *queue)
{
    struct queue_counts counts;
    struct rusage r;

    getrusage(RUSAGE_SELF, &r);
    if (err_is(queue_count(queue, &counts)))
        abort();
    return (struct usage){.ns = clock_mono_ns(),
                          .cpu_us = micros(r.ru_utime) + micros(r.ru_stime),
                          .written = written_bytes(),
                          .commits = counts.store.commits};
}

static struct queue_insert inserts[MOST];
static struct queue_settle settles[MOST];
static atomic_uint in_flight;

/* The waiting thread is woken once a batch: its wake-ups are not what is measured. */
static void on_done(struct call *call)
{
    if (err_is(container_of(call, struct kv_op, call)->result))
        abort();
    if (atomic_fetch_sub(&in_flight, 1) == 1)
        sem_post(&loop_rig.done);
}

static void prepare_op(struct kv_op *op)
{
    op->home = loop_rig.loop;
    op->call.done = on_done;
}

static void make_batch(struct queue *queue, unsigned count)
{
    const char *const names[] = {destination};

    for (unsigned i = 0; i < count; i++)
        inserts[i] = (struct queue_insert){.message = rig_make_message(queue, 1, names, BODY)};
}

static void insert_batch(struct queue *queue, unsigned count)
{
    in_flight = count;
    for (unsigned i = 0; i < count; i++) {
        prepare_op(&inserts[i].op);
        queue_insert(queue, &inserts[i]);
    }
    rig_wait(1);
}

static void settle_batch(struct queue *queue, unsigned count)
{
    in_flight = count;
    for (unsigned i = 0; i < count; i++) {
        settles[i] = (struct queue_settle){.id = inserts[i].message->id,
                                           .old_destination = span_cstr(destination),
                                           .old_due = RIG_DUE};
        prepare_op(&settles[i].op);
        queue_settle(queue, &settles[i]);
    }
    rig_wait(1);
}

static void drop_batch(unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        queue_message_unref(inserts[i].message);
}

static void add_difference(struct usage *sum, const struct usage *start, const struct usage *end)
{
    sum->ns += end->ns - start->ns;
    sum->cpu_us += end->cpu_us - start->cpu_us;
    sum->written += end->written - start->written;
    sum->commits += end->commits - start->commits;
}

/* Making the messages is not counted. */
static void bench(struct queue *queue, unsigned batch, unsigned messages)
{
    struct usage sum = {0};
    unsigned done = 0;

    for (; done < messages; done += batch) {
        make_batch(queue, batch);
        struct usage start = usage_now(queue);
        insert_batch(queue, batch);
        settle_batch(queue, batch);
        struct usage end = usage_now(queue);
        add_difference(&sum, &start, &end);
        drop_batch(batch);
    }
    double count = done;
    printf("%5u %12.0f %10.1f %12.3f %12.0f\n", batch, count * 1e9 / (double)sum.ns,
           (double)sum.cpu_us / count, (double)sum.commits / count, (double)sum.written / count);
}

static bool count_message(void *context, struct queue_message *message)
{
    (void)message;
    ++*(unsigned *)context;
    return true;
}

static void bench_scan(struct queue *queue)
{
    unsigned count = 0;

    while (count < SCANNED) {
        make_batch(queue, MOST);
        insert_batch(queue, MOST);
        drop_batch(MOST);
        count += MOST;
    }
    count = 0;
    uint64_t start = clock_mono_ns();
    if (err_is(queue_scan(queue, 0, count_message, &count)))
        abort();
    printf("scan of %u messages: %.3f s\n", count, (double)(clock_mono_ns() - start) / 1e9);
}

static void bench_opening(struct queue **queue, const struct queue_options *options)
{
    struct queue_due due[1000];
    unsigned count;

    queue_close(*queue);
    uint64_t start = clock_mono_ns();
    if (err_is(queue_open(options, queue)) ||
        err_is(queue_due_list(*queue, span_cstr(destination), NULL, 1000, due, &count)))
        abort();
    printf("opening it, and the first %u due: %.4f s\n", count,
           (double)(clock_mono_ns() - start) / 1e9);
}

int main(int argc, char **argv)
{
    static const unsigned batches[] = {1, 4, 16, 50, 200};
    unsigned messages = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 20000;
    char folder[SCRATCH_PATH];
    struct queue *queue;

    if (argc > 2)
        setenv("TMPDIR", argv[2], 1);
    scratch_make(folder);
    rig_start();
    struct queue_options options = rig_queue_options(folder);
    options.map_size = UINT64_C(16) << 30;
    if (err_is(queue_open(&options, &queue)))
        abort();
    printf("batch   messages/s     CPU us  commits/msg  bytes written\n");
    for (size_t i = 0; i < sizeof batches / sizeof *batches; i++)
        bench(queue, batches[i], batches[i] == 1 ? messages / 4 : messages);
    bench_scan(queue);
    bench_opening(&queue, &options);
    queue_close(queue);
    rig_stop();
    scratch_remove(folder);
    return 0;
}
