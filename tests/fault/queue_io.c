/*
 * queue_io: lets the n-th write or sync of LMDB fail, for every n of a fixed run, once with EIO and
 * once with ENOSPC. What was acknowledged before is in the store when it is opened again; what was
 * settled with acknowledgement is not; an operation that failed has left nothing.
 */
#include "support/io_faults.h"
#include "support/queue_rig.h"
#include "support/scratch.h"

enum { MESSAGES = 6, BODY = 9000 };

static const char destination[] = "io.example";

struct outcome {
    uint64_t id;
    enum err_kind inserted;
    enum err_kind settled; /* only every second one is */
};

static void need(bool true_thing, const char *what, long at)
{
    if (true_thing)
        return;
    fprintf(stderr, "%s, with call %ld failing\n", what, at);
    exit(1);
}

static void run_once(struct queue *queue, struct outcome *outcomes)
{
    const char *const names[] = {destination};

    for (unsigned i = 0; i < MESSAGES; i++) {
        struct queue_message *message = rig_make_message(queue, 1, names, BODY);
        outcomes[i] = (struct outcome){.id = message->id, .settled = ERR_CANCELLED};
        outcomes[i].inserted = rig_insert(queue, message, 0);
        if (outcomes[i].inserted == ERR_NONE && i % 2 == 0)
            outcomes[i].settled = rig_deliver(queue, message->id, 0, destination, NULL);
        queue_message_unref(message);
    }
}

/* A commit whose meta page could not be written may or may not be on the disk: that is the one
 * place where a failure does not mean that nothing happened, and where the store is broken. */
static void check(struct queue *queue, const struct outcome *outcomes, bool broken, long at)
{
    for (unsigned i = 0; i < MESSAGES; i++) {
        const struct outcome *outcome = &outcomes[i];
        bool there = rig_load(queue, outcome->id) == ERR_NONE;
        bool whole = there && rig_body_is(queue, outcome->id, BODY);
        if (outcome->inserted == ERR_NONE && outcome->settled == ERR_NONE)
            need(!there, "settled but back", at);
        else if (outcome->inserted == ERR_NONE && outcome->settled == ERR_CANCELLED)
            need(whole, "lost or altered", at);
        else
            need(broken || there == (outcome->inserted == ERR_NONE), "failed but changed", at);
        need(there == whole, "only in part", at);
    }
}

/* False where the run ended before the n-th call. */
static bool run_with_fault(const char *folder, long at, int error)
{
    struct queue_options options = rig_queue_options(folder);
    struct outcome outcomes[MESSAGES];
    struct queue *queue;

    need(!err_is(queue_open(&options, &queue)), "cannot open", at);
    faults.counted_error = error;
    faults.countdown = at;
    run_once(queue, outcomes);
    bool reached = faults.countdown <= 0;
    bool broken = queue_is_broken(queue);
    need(error != EIO || !reached || broken, "EIO must break the store", at);
    queue_close(queue);
    faults_heal();
    need(!err_is(queue_open(&options, &queue)), "cannot open again", at);
    check(queue, outcomes, broken, at);
    need(rig_insert_one(queue, destination, BODY) != 0, "cannot go on", at);
    queue_close(queue);
    return reached;
}

int main(void)
{
    static const int errors[] = {EIO, ENOSPC};
    char folder[SCRATCH_PATH];
    long at;

    rig_start();
    for (unsigned i = 0; i < sizeof errors / sizeof *errors; i++) {
        at = 1;
        do {
            scratch_make(folder);
            at++;
        } while (run_with_fault(folder, at - 1, errors[i]) && (scratch_remove(folder), true));
        scratch_remove(folder);
        need(at > 10, "hardly any call was seen", at);
        printf("%s: %ld calls failed in turn\n", strerror(errors[i]), at - 2);
    }
    rig_stop();
    return 0;
}
