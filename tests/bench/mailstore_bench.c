/*
 * mailstore_bench [ENTRIES [FOLDER]]: what the drop's store costs. Appends messages of 2 kB to one
 * mailbox, so many at a time as the row says, by one thread; then reads the full mailbox, changes a
 * flag of all, moves all, expunges all, and waits until their bytes are gone. Prints the time and
 * the CPU time of each, all threads.
 */
#include "base/clock.h"
#include "support/loop_rig.h"
#include "support/mailstore_rig.h"

#include <sys/resource.h>

enum { BODY = 2048, MOST = 100 };

struct slot {
    struct mailstore_append append;
    struct mailstore_target target;
    struct mailstore_draft *draft;
};

static struct mailstore *store;
static struct slot slots[MOST];
static unsigned left; /* the loop's */
static unsigned in_flight;
static char body[BODY];

static uint64_t cpu_us(void)
{
    struct rusage r;

    getrusage(RUSAGE_SELF, &r);
    return (uint64_t)(r.ru_utime.tv_sec + r.ru_stime.tv_sec) * 1000000u +
           (uint64_t)(r.ru_utime.tv_usec + r.ru_stime.tv_usec);
}

static uint64_t began_ns, began_us;

static void begin(void)
{
    began_ns = clock_mono_ns();
    began_us = cpu_us();
}

static void end(const char *what, unsigned count)
{
    double ms = (double)(clock_mono_ns() - began_ns) / 1e6;
    double cpu = (double)(cpu_us() - began_us) / 1e3;

    printf("%-28s %9.2f ms %9.2f ms CPU %8.2f us CPU each\n", what, ms, cpu, cpu * 1e3 / count);
    fflush(stdout);
}

/* ---- appending, on the loop --------------------------------------------------------------- */

static void next(struct slot *slot);

static void on_appended(struct mailstore_op *op)
{
    struct slot *slot = container_of(op, struct slot, append.op);

    if (err_is(op->result) || op->refusal != MAILSTORE_FINE)
        abort();
    mailstore_draft_free(slot->draft);
    in_flight--;
    next(slot);
}

static void next(struct slot *slot)
{
    if (left == 0) {
        if (in_flight == 0)
            sem_post(&loop_rig.done);
        return;
    }
    left--;
    in_flight++;
    slot->draft = mailstore_draft_create(store, loop_rig.loop, NULL);
    mailstore_draft_add(slot->draft, span_of(body, sizeof body));
    slot->target = rig_target(RIG_USER, "INBOX");
    slot->target.prefix =
        SPAN("Return-Path: <sender@example.org>\r\nDelivered-To: " RIG_USER "\r\n");
    slot->append = (struct mailstore_append){.op = {.kind = MAILSTORE_APPEND, .done = on_appended},
                                             .drafts = &slot->draft,
                                             .draft_count = 1,
                                             .targets = &slot->target,
                                             .target_count = 1};
    mailstore_submit(store, &slot->append.op, loop_rig.loop);
}

struct start {
    struct call call;
    unsigned at_a_time;
};

static void on_start(struct call *call)
{
    const struct start *start = container_of(call, struct start, call);

    for (unsigned i = 0; i < start->at_a_time && left > 0; i++)
        next(&slots[i]);
}

static void append(unsigned count, unsigned at_a_time)
{
    struct start start = {.call.done = on_start, .at_a_time = at_a_time};
    char what[64];

    snprintf(what, sizeof what, "append %u, %u at a time", count, at_a_time);
    left = count;
    begin();
    loop_post(loop_rig.loop, &start.call);
    rig_wait(1);
    end(what, count);
}

/* ---- the full mailbox ----------------------------------------------------------------------- */

struct sum {
    struct kv_txn *txn;
    uint64_t bytes;
    unsigned count;
};

static bool visit_entry(void *context, const struct mailstore_entry *entry)
{
    struct sum *sum = context;
    struct span digest;

    if (err_is(mailstore_digest_get(sum->txn, entry->message, &digest)))
        abort();
    sum->bytes += digest.len;
    sum->count++;
    return true;
}

static bool visit_bytes(void *context, struct span bytes)
{
    ((struct sum *)context)->bytes += bytes.len;
    return true;
}

static bool visit_content(void *context, const struct mailstore_entry *entry)
{
    struct sum *sum = context;

    return !err_is(
        mailstore_content_walk(sum->txn, entry->message, 0, UINT64_MAX, visit_bytes, sum));
}

static void read_all(const char *what, uint32_t box, mailstore_visit_entry *visit, unsigned count)
{
    begin();
    RIG_READ(store, txn)
    {
        struct sum sum = {.txn = txn};
        if (err_is(mailstore_entry_walk(txn, box, 0, visit, &sum)))
            abort();
    }
    end(what, count);
}

static void wait_for_sweep(unsigned count)
{
    begin();
    if (err_is(mailstore_tidy(store, UINT64_MAX)))
        abort();
    end("bytes removed", count);
}

int main(int argc, char **argv)
{
    unsigned count = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 10000;
    const struct mailstore_range all = {0, 0};
    char folder[SCRATCH_PATH];

    if (argc > 2)
        snprintf(folder, sizeof folder, "%s", argv[2]);
    else
        scratch_make(folder);
    for (unsigned i = 0; i < BODY; i++)
        body[i] = i % 76 == 74 ? '\r' : i % 76 == 75 ? '\n' : 'x';
    memcpy(body, "From: a@example.org\r\nTo: b@example.org\r\nSubject: bench\r\n\r\n", 59);
    rig_start();
    struct mailstore_options options = rig_options(folder);
    options.map_size = 16ull << 30;
    options.draft_memory = 262144;
    store = rig_open(&options);

    append(count / 10, 1);
    append(count - count / 10, MOST);
    uint32_t box = rig_box(store, RIG_USER, "INBOX").id;
    rig_create(store, RIG_USER, "Other");
    read_all("entries with digests", box, visit_entry, count);
    read_all("bytes of all", box, visit_content, count);
    begin();
    rig_flag(store, box, all, MAILSTORE_ADD, MAILSTORE_SEEN);
    end("flag all", count);
    begin();
    rig_flag(store, box, all, MAILSTORE_ADD, MAILSTORE_DELETED);
    end("flag all again", count);
    begin();
    struct mailstore_copy copy = rig_copy(store, box, all, RIG_USER, "Other", false);
    end("copy all", count);
    free(copy.from_uids);
    free(copy.to_uids);
    begin();
    copy = rig_copy(store, box, all, RIG_USER, "Other", true);
    end("move all", count);
    free(copy.from_uids);
    free(copy.to_uids);
    begin();
    rig_expunge(store, copy.to, (struct mailstore_range){1, count}, true);
    end("expunge one half", count);
    begin();
    rig_expunge(store, copy.to, all, false);
    end("expunge the rest", count);
    wait_for_sweep(count);
    mailstore_close(store);
    rig_stop();
    if (argc <= 2)
        scratch_remove(folder);
    return 0;
}
