/* An operator's word: the groups that it is about are read, and each is posted to its owner. */
#include "schedule/private.h"

#include <stdlib.h>

struct operation_run {
    struct schedule_batch batch;
    struct schedule_operation *operation;
    const struct schedule_set *set;
    struct queue *queue;
    struct work work; /* the reading, on the pool */
};

static void on_operated(struct call *call)
{
    struct schedule_batch *batch = container_of(call, struct schedule_batch, end);
    struct operation_run *run = container_of(batch, struct operation_run, batch);
    struct schedule_operation *operation = run->operation;

    operation->affected = atomic_load(&batch->affected);
    operation->busy = atomic_load(&batch->busy);
    operation->moot = atomic_load(&batch->moot);
    if (!err_is(operation->result) && operation->groups == NULL && operation->affected == 0)
        operation->result = err_make(operation->busy ? ERR_CONFLICT : ERR_NOT_FOUND, "message");
    free(run);
    operation->call.done(&operation->call);
}

static void note_moot(struct operation_run *run)
{
    atomic_fetch_add(&run->batch.moot, 1);
}

/* One that is added goes along with the first that is still there. */
static void choose_carrier(struct schedule_edit *edit, const struct queue_message *message)
{
    edit->group = message->groups[0].number;
    for (unsigned i = 0; i < message->group_count; i++)
        for (unsigned j = 0; j < message->groups[i].recipient_count; j++)
            if (message->groups[i].recipients[j].index >= edit->index)
                edit->index = message->groups[i].recipients[j].index + 1;
}

static void post_groups(struct operation_run *run, struct queue_message *message)
{
    enum schedule_verb verb = run->operation->verb;

    for (unsigned i = 0; i < message->group_count; i++) {
        if (action_applies(&message->groups[i], verb))
            action_post(run->set, &run->batch, verb, message, &message->groups[i]);
        else
            note_moot(run);
    }
}

static struct err post_named(struct operation_run *run)
{
    const struct schedule_operation *operation = run->operation;
    struct queue_message *message;
    struct err first = ERR_OK;

    for (unsigned i = 0; i < operation->group_count; i++) {
        const struct queue_group_name *name = &operation->groups[i];
        struct err e = queue_load(run->queue, name->id, name->group, &message);
        if (!err_is(e))
            post_groups(run, message);
        else if (e.kind == ERR_NOT_FOUND)
            note_moot(run);
        else if (!err_is(first))
            first = e;
        queue_message_unref(message);
    }
    return first;
}

static void read_and_post(struct work *work)
{
    struct operation_run *run = container_of(work, struct operation_run, work);
    struct schedule_operation *operation = run->operation;
    struct queue_message *message;

    if (operation->groups != NULL) {
        operation->result = post_named(run);
        return;
    }
    operation->result = queue_load(run->queue, operation->id, QUEUE_ALL_GROUPS, &message);
    if (err_is(operation->result))
        return;
    if (operation->reroute != NULL && message->group_count > 0)
        choose_carrier(&operation->reroute->edit, message);
    post_groups(run, message);
    queue_message_unref(message);
}

static void on_posted(struct call *call)
{
    batch_release(&container_of(call, struct operation_run, work.call)->batch);
}

void schedule_operate(const struct schedule_set *set, struct queue *queue,
                      struct schedule_operation *operation)
{
    struct operation_run *run = mem_zalloc(sizeof *run);

    operation->result = ERR_OK;
    batch_begin(&run->batch, operation->home, on_operated);
    run->batch.is_patient = true;
    run->batch.reroute = operation->reroute;
    run->operation = operation;
    run->set = set;
    run->queue = queue;
    list_init(&run->work.call.link);
    run->work.run = read_and_post;
    run->work.call.done = on_posted;
    loop_work(operation->home, &run->work);
}
