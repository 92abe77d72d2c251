/*
 * queue_kill [SEED]: a child inserts, stages and settles without pause and tells by a pipe what was
 * acknowledged; it is killed with SIGKILL at a random moment, 20 times over on the same store.
 * After each kill: nothing acknowledged is lost or altered, nothing that was settled with
 * acknowledgement is back. In the end no body is left without its message.
 */
#include "queue/queue_private.h"
#include "support/kill_rig.h"
#include "support/queue_rig.h"
#include "support/scratch.h"

#include <time.h>

enum {
    ROUNDS = 20,
    SLOTS = 16,
    ACKS_MOST = 800, /* before the kill, at most */
    LARGE = 300 * QUEUE_CHUNK,
};

static const char destination[] = "kill.example";

static void need(bool true_thing, const char *what, uint64_t id)
{
    if (!true_thing)
        die("%s: message %llx", what, (unsigned long long)id);
}

/* The size of a message is a function of its id: whoever finds it knows what it must hold. */
static bool is_large(uint64_t id)
{
    return id % 13 == 0;
}

static size_t body_len(uint64_t id)
{
    return is_large(id) ? LARGE + id % 5000 : id % 20000;
}

/* ---- the child: everything runs on the loop's thread -------------------------------------- */

enum tale { TALE_INSERTED = 1, TALE_TO_SETTLE, TALE_SETTLED };

struct line {
    uint64_t id;
    uint64_t tale;
};

struct slot {
    struct call start;
    struct queue *queue;
    struct queue_message *message;
    struct queue_insert insert;
    struct queue_settle settle;
    struct queue_stage stage;
    char *body;
    uint64_t id;
};

static int ack_fd;

static void tell(uint64_t id, enum tale tale)
{
    struct line line = {.id = id, .tale = tale};

    if (write(ack_fd, &line, sizeof line) != sizeof line)
        _exit(0);
}

static void begin(struct slot *slot);

static void on_settled(struct call *call)
{
    struct slot *slot = container_of(call, struct slot, settle.op.call);

    need(!err_is(slot->settle.op.result), "settle failed", slot->id);
    tell(slot->id, TALE_SETTLED);
    begin(slot);
}

static void on_inserted(struct call *call)
{
    struct slot *slot = container_of(call, struct slot, insert.op.call);

    need(!err_is(slot->insert.op.result), "insert failed", slot->id);
    queue_message_unref(slot->message);
    tell(slot->id, TALE_INSERTED);
    if (slot->id % 3 == 0) {
        begin(slot);
        return;
    }
    tell(slot->id, TALE_TO_SETTLE);
    slot->settle = (struct queue_settle){
        .id = slot->id,
        .old_destination = span_cstr(destination),
        .old_due = RIG_DUE,
        .delivered = true,
    };
    slot->settle.op.home = loop_rig.loop;
    slot->settle.op.call.done = on_settled;
    queue_settle(slot->queue, &slot->settle);
}

static void insert(struct slot *slot, size_t staged)
{
    buf_add(&slot->message->body, span_of(slot->body + staged, body_len(slot->id) - staged));
    slot->message->size = body_len(slot->id);
    slot->insert = (struct queue_insert){.message = slot->message,
                                         .staged_chunks = (uint32_t)(staged / QUEUE_CHUNK)};
    slot->insert.op.home = loop_rig.loop;
    slot->insert.op.call.done = on_inserted;
    queue_insert(slot->queue, &slot->insert);
}

static void on_staged(struct call *call)
{
    struct slot *slot = container_of(call, struct slot, stage.op.call);

    need(!err_is(slot->stage.op.result), "stage failed", slot->id);
    insert(slot, LARGE);
}

static void begin(struct slot *slot)
{
    const char *const names[] = {destination};

    slot->message = rig_make_message(slot->queue, 1, names, 0);
    slot->id = slot->message->id;
    rig_fill(slot->body, body_len(slot->id), slot->id);
    if (!is_large(slot->id)) {
        insert(slot, 0);
        return;
    }
    slot->stage = (struct queue_stage){.id = slot->id, .data = span_of(slot->body, LARGE)};
    slot->stage.op.home = loop_rig.loop;
    slot->stage.op.call.done = on_staged;
    queue_stage(slot->queue, &slot->stage);
}

static void on_start(struct call *call)
{
    begin(container_of(call, struct slot, start));
}

static int run_child(const char *folder)
{
    struct queue_options options = rig_queue_options(folder);
    static struct slot slots[SLOTS];
    struct queue *queue;

    ack_fd = STDOUT_FILENO;
    rig_start();
    if (err_is(queue_open(&options, &queue)))
        die("child cannot open the store");
    for (unsigned i = 0; i < SLOTS; i++) {
        slots[i] = (struct slot){.queue = queue, .body = mem_alloc(LARGE + 5000)};
        slots[i].start.done = on_start;
        loop_post(loop_rig.loop, &slots[i].start);
    }
    pthread_join(loop_rig.thread, NULL); /* until the kill */
    return 1;
}

/* Beside the running child: what is there can be read at any moment. */
static bool visit_any(void *context, struct queue_message *message)
{
    (void)context;
    need((message->flags & QUEUE_DAMAGED) == 0, "reader sees damage", message->id);
    return true;
}

static int run_reader(const char *folder)
{
    struct queue_options options = {.path = folder, .read_only = true};
    struct queue *queue;

    if (err_is(queue_open(&options, &queue)))
        die("reader cannot open the store");
    if (err_is(queue_scan(queue, 0, visit_any, NULL)))
        die("reader cannot scan the store");
    queue_close(queue);
    return 0;
}

/* ---- the parent -------------------------------------------------------------------------- */

struct known {
    uint64_t id;
    bool inserted;
    bool in_doubt; /* its settlement was begun */
    bool settled;
};

static struct known *known;
static size_t known_count, known_room;

/* Ids grow, but completions come in no fixed order; the newest are nearest. */
static struct known *know(uint64_t id)
{
    for (size_t i = known_count; i > 0; i--)
        if (known[i - 1].id == id)
            return &known[i - 1];
    if (known_count == known_room) {
        known_room = known_room ? known_room * 2 : 1024;
        known = mem_realloc(known, known_room * sizeof *known);
    }
    known[known_count] = (struct known){.id = id};
    return &known[known_count++];
}

static void learn(const void *said)
{
    const struct line *line = said;
    struct known *entry = know(line->id);

    entry->inserted = true;
    if (line->tale == TALE_TO_SETTLE)
        entry->in_doubt = true;
    else if (line->tale == TALE_SETTLED)
        entry->settled = true;
}

static bool visit_found(void *context, struct queue_message *message)
{
    struct queue *queue = context;
    struct known *entry = know(message->id);

    need((message->flags & QUEUE_DAMAGED) == 0, "damaged", message->id);
    need(!entry->settled, "is back though it was settled", message->id);
    need(rig_body_is(queue, message->id, body_len(message->id)), "altered", message->id);
    /* Committed, but the kill came before the acknowledgement: from now on it counts. */
    entry->inserted = true;
    entry->in_doubt = false;
    return true;
}

static void check_store(struct queue *queue)
{
    if (err_is(queue_scan(queue, 0, visit_found, queue)))
        die("cannot scan");
    for (size_t i = 0; i < known_count; i++) {
        if (known[i].settled)
            continue;
        bool there = rig_load(queue, known[i].id) == ERR_NONE;
        need(there || known[i].in_doubt, "lost", known[i].id);
        if (!there)
            known[i].settled = true;
    }
}

static bool visit_chunks(void *context, struct queue_message *message)
{
    *(uint64_t *)context += message->chunk_count;
    return true;
}

static uint64_t count_bodies(struct queue *queue)
{
    struct kv_txn *txn;

    if (err_is(kv_read_begin(queue->kv, &txn)))
        die("cannot read");
    uint64_t rows = kv_count(txn, TABLE_BODY);
    kv_read_end(txn);
    return rows;
}

/* Each operation is a turn of the writer, on which recovery takes a step. */
static void check_recovery(struct queue *queue)
{
    uint64_t wanted = 0;

    if (err_is(queue_scan(queue, 0, visit_chunks, &wanted)))
        die("cannot scan");
    for (unsigned turns = 0; turns < 10000 && count_bodies(queue) != wanted; turns++)
        rig_discard(queue, 1);
    if (count_bodies(queue) != wanted)
        die("%llu chunks, but messages have %llu", (unsigned long long)count_bodies(queue),
            (unsigned long long)wanted);
}

static void settle_all(struct queue *queue)
{
    for (size_t i = 0; i < known_count; i++) {
        if (!known[i].settled)
            need(rig_deliver(queue, known[i].id, 0, destination, NULL) == ERR_NONE,
                 "cannot be settled", known[i].id);
        known[i].settled = true;
    }
    check_store(queue);
    check_recovery(queue);
}

int main(int argc, char **argv)
{
    unsigned seed = argc == 2 ? (unsigned)strtoul(argv[1], NULL, 10) : (unsigned)time(NULL);
    char folder[SCRATCH_PATH];

    if (argc == 3)
        return strcmp(argv[1], "work") == 0 ? run_child(argv[2]) : run_reader(argv[2]);
    printf("seed %u\n", seed);
    fflush(stdout);
    srandom(seed);
    scratch_make(folder);
    rig_start();
    struct queue_options options = rig_queue_options(folder);
    for (unsigned round = 0; round < ROUNDS; round++) {
        struct queue *queue;
        run_round(folder, 1 + (unsigned)random() % ACKS_MOST, sizeof(struct line), learn);
        if (err_is(queue_open(&options, &queue)))
            die("cannot open the store after the kill");
        check_store(queue);
        if (round == ROUNDS - 1) {
            check_recovery(queue);
            settle_all(queue);
        }
        queue_close(queue);
    }
    rig_stop();
    scratch_remove(folder);
    printf("%zu messages, %d kills, none lost, none back\n", known_count, ROUNDS);
    return 0;
}
