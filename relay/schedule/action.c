/* What is done to groups from outside their destination's course: by an operator, or the sweep. */
#include "schedule/private.h"

#include <stdlib.h>

/* One operator's word. */
struct operation_run {
    struct schedule_batch batch;
    struct schedule_operation *operation;
    const struct schedule_set *set;
    struct queue *queue;
    struct work work; /* the reading, on the pool */
};

struct action {
    struct call call;
    struct schedule_batch *batch;
    enum schedule_verb verb;
    struct scheduler *owner;
    struct queue_message *message;
    uint32_t group;
};

void batch_begin(struct schedule_batch *batch, struct loop *home, void (*ended)(struct call *call))
{
    batch->home = home;
    list_init(&batch->end.link);
    batch->end.done = ended;
    atomic_init(&batch->untold, 1);
    atomic_init(&batch->affected, 0);
    atomic_init(&batch->busy, 0);
}

void batch_release(struct schedule_batch *batch)
{
    if (atomic_fetch_sub(&batch->untold, 1) == 1)
        loop_post(batch->home, &batch->end);
}

void batch_told(struct schedule_batch *batch, bool done)
{
    atomic_fetch_add(done ? &batch->affected : &batch->busy, 1);
    batch_release(batch);
}

/* ---- on the owner's loop ------------------------------------------------------------------ */

/* Every recipient of the group alike. */
static void settle_all(struct job *job, struct settle_plan *plan, enum settle_fate fate)
{
    enum settle_fate fates[QUEUE_GROUP_MAX];

    for (uint32_t i = 0; i < job->group->recipient_count; i++)
        fates[i] = fate;
    plan->fates = fates;
    settle_start(job, plan);
}

/* Recipients that were never tried have only their destination's trouble to tell of. */
static void explain(struct job *job)
{
    const struct status *why = &job->destination->failure;

    for (uint32_t i = 0; why->code != 0 && i < job->group->recipient_count; i++)
        if (job->group->recipients[i].last.code == 0)
            job->group->recipients[i].last = status_dup(&job->arena, why);
}

static void tell_action(const struct job *job, const char *event)
{
    struct log_line line;
    char id[ID_TEXT_SIZE];

    event_action(job, event);
    if (!log_begin(&line, LOG_INFO, event))
        return;
    log_text(&line, "id", id_format(job->message->id, id));
    log_span(&line, "from", job->message->reverse_path);
    log_span(&line, "to", job->group->recipients[0].address);
    log_u64(&line, "recipients", job->group->recipient_count);
    log_span(&line, "destination", job->group->destination);
    log_end(&line);
}

/* RFC 2852 4.2: by-mode R, or N. */
static void act_late(struct job *job, struct settle_plan *plan)
{
    explain(job);
    if (job_is_late(job)) {
        job_give_up(job, plan->batch);
        return;
    }
    tell_action(job, "delayed");
    plan->tell_late = true;
    settle_all(job, plan, SETTLE_KEEP);
}

static void act(struct job *job, enum schedule_verb verb, struct schedule_batch *batch)
{
    bool held = job->group->state == QUEUE_GROUP_HELD;
    struct settle_plan plan = {
        .state = held ? QUEUE_GROUP_HELD : QUEUE_GROUP_WAITING,
        .due = job->group->due,
        .tries = job->group->tries,
        .batch = batch,
    };

    switch (verb) {
    case SCHEDULE_RETRY:
    case SCHEDULE_RELEASE:
        tell_action(job, verb == SCHEDULE_RETRY ? "retry" : "released");
        plan.state = QUEUE_GROUP_WAITING;
        plan.due = clock_steady_ms();
        settle_all(job, &plan, SETTLE_KEEP);
        break;
    case SCHEDULE_HOLD:
        tell_action(job, "held");
        plan.state = QUEUE_GROUP_HELD;
        settle_all(job, &plan, SETTLE_KEEP);
        break;
    case SCHEDULE_REMOVE:
        tell_action(job, "removed");
        settle_all(job, &plan, SETTLE_REMOVED);
        break;
    case SCHEDULE_BOUNCE:
    case SCHEDULE_EXPIRE:
        tell_action(job, verb == SCHEDULE_EXPIRE ? "expired" : "bounced");
        explain(job);
        bump(&job->owner->counters.failed, job->group->recipient_count);
        plan.final_text = verb == SCHEDULE_EXPIRE
                              ? SPAN("It could not be delivered for too long and was given up")
                              : SPAN("The relay's operator returned it");
        settle_all(job, &plan, SETTLE_FAILED);
        break;
    case SCHEDULE_WARN:
        tell_action(job, "delayed");
        explain(job);
        plan.warn = true;
        settle_all(job, &plan, SETTLE_KEEP);
        break;
    case SCHEDULE_LATE:
        act_late(job, &plan);
        break;
    }
}

static bool applies(const struct queue_group *group, enum schedule_verb verb)
{
    bool held = group->state == QUEUE_GROUP_HELD;

    switch (verb) {
    case SCHEDULE_RETRY:
    case SCHEDULE_HOLD:
        return !held;
    case SCHEDULE_RELEASE:
        return held;
    case SCHEDULE_WARN:
        return !held && !group->delay_warned && !queue_group_is_early(group, clock_steady_ms());
    case SCHEDULE_LATE:
        return !group->late_told;
    case SCHEDULE_REMOVE:
    case SCHEDULE_BOUNCE:
    case SCHEDULE_EXPIRE:
        break;
    }
    return true;
}

/* The job that is in memory, out of its line; or one made for the purpose. NULL: it is busy. */
static struct job *take_job(struct action *action, struct queue_group *group)
{
    struct scheduler *s = action->owner;
    struct job *job = scheduler_find_job(s, action->message->id, group->number);

    if (job == NULL) {
        job = job_create(s, action->message, group);
        job_enlist(job, scheduler_destination(s, group->destination));
    }
    if (job->state != JOB_READY)
        return NULL;
    job_unline(job);
    return job;
}

static struct queue_group *find_group(struct queue_message *message, uint32_t number)
{
    for (unsigned i = 0; i < message->group_count; i++)
        if (message->groups[i].number == number)
            return &message->groups[i];
    return NULL;
}

static void on_action(struct call *call)
{
    struct action *action = container_of(call, struct action, call);
    struct queue_group *group = find_group(action->message, action->group);
    struct job *known = scheduler_find_job(action->owner, action->message->id, action->group);

    if (action->verb == SCHEDULE_RETRY && !action->owner->is_stopping)
        destination_lift_back_off(scheduler_destination(action->owner, group->destination));
    /* A scheduler that is stopping may have told so already: it begins nothing any more. */
    if (action->owner->is_stopping || (known == NULL && !applies(group, action->verb))) {
        batch_told(action->batch, false);
    } else {
        struct job *job = take_job(action, group);
        if (job == NULL)
            batch_told(action->batch, false);
        else
            act(job, action->verb, action->batch);
    }
    queue_message_unref(action->message);
    free(action);
}

void action_post(const struct schedule_set *set, struct schedule_batch *batch,
                 enum schedule_verb verb, struct queue_message *message,
                 const struct queue_group *group)
{
    struct action *action = mem_zalloc(sizeof *action);

    atomic_fetch_add(&batch->untold, 1);
    list_init(&action->call.link);
    action->call.done = on_action;
    action->batch = batch;
    action->verb = verb;
    action->owner = schedule_owner(set, group->destination);
    action->message = queue_message_ref(message);
    action->group = group->number;
    loop_post(action->owner->loop, &action->call);
}

/* ---- operations --------------------------------------------------------------------------- */

static void on_operated(struct call *call)
{
    struct schedule_batch *batch = container_of(call, struct schedule_batch, end);
    struct operation_run *run = container_of(batch, struct operation_run, batch);
    struct schedule_operation *operation = run->operation;

    operation->affected = atomic_load(&batch->affected);
    operation->busy = atomic_load(&batch->busy);
    if (!err_is(operation->result) && operation->groups == NULL && operation->id != 0 &&
        operation->affected == 0)
        operation->result = err_make(operation->busy ? ERR_CONFLICT : ERR_NOT_FOUND, "message");
    free(run);
    operation->call.done(&operation->call);
}

static bool post_groups(void *context, struct queue_message *message)
{
    struct operation_run *run = context;
    enum schedule_verb verb = run->operation->verb;
    bool retries_all =
        verb == SCHEDULE_RETRY && run->operation->id == 0 && run->operation->groups == NULL;

    for (unsigned i = 0; i < message->group_count; i++) {
        const struct queue_group *group = &message->groups[i];
        /* "All" does not mean what its sender wants to go later. */
        bool too_early = retries_all && queue_group_is_early(group, clock_steady_ms());
        if (!too_early && applies(group, verb))
            action_post(run->set, &run->batch, verb, message, group);
    }
    return true;
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
        else if (e.kind != ERR_NOT_FOUND && !err_is(first))
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
    if (operation->id == 0) {
        operation->result = queue_scan(run->queue, 0, post_groups, run);
        return;
    }
    operation->result = queue_load(run->queue, operation->id, QUEUE_ALL_GROUPS, &message);
    if (err_is(operation->result))
        return;
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
    run->operation = operation;
    run->set = set;
    run->queue = queue;
    list_init(&run->work.call.link);
    run->work.run = read_and_post;
    run->work.call.done = on_posted;
    loop_work(operation->home, &run->work);
}
