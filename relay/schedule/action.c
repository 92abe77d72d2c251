/* What is done to groups from outside their destination's course: by an operator, or the sweep. */
#include "schedule/private.h"

#include <stdlib.h>

struct action {
    struct call call;
    struct list link;      /* in job->waiting */
    struct timer deadline; /* of its wait there */
    struct schedule_batch *batch;
    enum schedule_verb verb;
    struct scheduler *owner;
    struct queue_message *message;
    uint32_t group;
};

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
    case SCHEDULE_REROUTE:
        job->state = JOB_ROUTING;
        reroute_start(batch, job->owner, job->message, job->group, job);
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

bool action_applies(const struct queue_group *group, enum schedule_verb verb)
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
    case SCHEDULE_REROUTE:
    case SCHEDULE_EXPIRE:
        break;
    }
    return true;
}

static struct queue_group *find_group(struct queue_message *message, uint32_t number)
{
    for (unsigned i = 0; i < message->group_count; i++)
        if (message->groups[i].number == number)
            return &message->groups[i];
    return NULL;
}

static void action_free(struct action *action)
{
    queue_message_unref(action->message);
    free(action);
}

static void give_up(struct action *action, bool is_moot)
{
    if (is_moot)
        batch_told_moot(action->batch);
    else
        batch_told(action->batch, false);
    action_free(action);
}

/* To a job that is in no line. */
static void perform(struct action *action, struct job *job)
{
    act(job, action->verb, action->batch);
    action_free(action);
}

/* ---- waiting for what is under way -------------------------------------------------------- */

static struct action *take_waiting(struct job *job)
{
    struct action *action = container_of(list_pop(&job->waiting), struct action, link);

    timer_stop(action->owner->loop, &action->deadline);
    return action;
}

static void on_deadline(struct timer *timer)
{
    struct action *action = container_of(timer, struct action, deadline);

    list_remove(&action->link);
    give_up(action, false);
}

static void wait_for(struct job *job, struct action *action)
{
    uint64_t most = job->owner->conf->queue_command_wait;

    if (!action->batch->is_patient || most == 0) {
        give_up(action, false);
        return;
    }
    list_append(&job->waiting, &action->link);
    timer_start(action->owner->loop, &action->deadline, most, on_deadline);
}

void actions_give_up(struct job *job, bool has_gone)
{
    while (!list_is_empty(&job->waiting))
        give_up(take_waiting(job), has_gone);
}

/* Nobody wants it any more: as if it had been settled as it is. */
static void let_go(struct job *job)
{
    bool is_held = job->group->state == QUEUE_GROUP_HELD;

    actions_give_up(job, false);
    job_leave(job, is_held ? UINT64_MAX : job->group->due);
}

/* Those that come first may have nothing left to do. */
static void on_turn(struct call *call)
{
    struct job *job = container_of(call, struct job, call);
    struct scheduler *s = job->owner;

    s->working--;
    while (!s->is_stopping && !list_is_empty(&job->waiting) && job->state == JOB_CLAIMED) {
        struct action *action = take_waiting(job);
        if (action->verb == SCHEDULE_RETRY)
            destination_lift_back_off(job->destination);
        if (action_applies(job->group, action->verb))
            perform(action, job);
        else
            give_up(action, true);
    }
    if (job->state == JOB_CLAIMED)
        let_go(job);
    scheduler_check_stopped(s);
}

/* It comes by a call of its own: what calls here has more to do. */
bool actions_claim(struct job *job)
{
    if (list_is_empty(&job->waiting))
        return false;
    job->state = JOB_CLAIMED;
    job->owner->working++;
    list_init(&job->call.link);
    job->call.done = on_turn;
    loop_post(job->owner->loop, &job->call);
    return true;
}

void action_release(struct job *job)
{
    if (job->owner->is_stopping || !actions_claim(job))
        let_go(job);
}

/* ---- coming to the owner ------------------------------------------------------------------ */

/* What is due already waits for its destination alone. */
static bool is_only_lifted(const struct action *action, const struct job *job,
                           const struct queue_group *group)
{
    return action->verb == SCHEDULE_RETRY && (job == NULL || job->state == JOB_READY) &&
           group->state == QUEUE_GROUP_WAITING && group->due <= clock_steady_ms();
}

/* The destination's back-off has been lifted, and nothing of the group is to be recorded: a queue
 * that has filled up behind a next hop that was down leaves without being written anew. */
static void tell_lifted(struct action *action, struct queue_group *group)
{
    struct destination *d = scheduler_destination(action->owner, group->destination);

    tell_action(&(struct job){.owner = action->owner, .message = action->message, .group = group},
                "retry");
    destination_note_due(d, group->due);
    batch_told(action->batch, true);
    action_free(action);
    destination_run(d);
}

static void on_action(struct call *call)
{
    struct action *action = container_of(call, struct action, call);
    struct scheduler *s = action->owner;
    struct queue_group *group = find_group(action->message, action->group);
    struct job *job = scheduler_find_job(s, action->message->id, action->group);

    if (action->verb == SCHEDULE_RETRY && !s->is_stopping)
        destination_lift_back_off(scheduler_destination(s, group->destination));
    /* A scheduler that is stopping may have told so already: it begins nothing any more. */
    if (s->is_stopping || (job == NULL && !action_applies(group, action->verb))) {
        give_up(action, false);
        return;
    }
    if (action->batch->reroute != NULL && action->batch->reroute->dry_run) {
        reroute_start(action->batch, s, action->message, group, NULL);
        action_free(action);
        return;
    }
    if (job != NULL)
        group = job->group;
    if (is_only_lifted(action, job, group)) {
        tell_lifted(action, group);
        return;
    }
    if (job == NULL) {
        job = job_create(s, action->message, group);
        job_enlist(job, scheduler_destination(s, group->destination));
    }
    if (job->state != JOB_READY) {
        wait_for(job, action);
    } else {
        job_unline(job);
        perform(action, job);
    }
}

void action_post(const struct schedule_set *set, struct schedule_batch *batch,
                 enum schedule_verb verb, struct queue_message *message,
                 const struct queue_group *group)
{
    struct action *action = mem_zalloc(sizeof *action);

    atomic_fetch_add(&batch->untold, 1);
    list_init(&action->call.link);
    list_init(&action->link);
    action->call.done = on_action;
    action->batch = batch;
    action->verb = verb;
    action->owner = schedule_owner(set, group->destination);
    action->message = queue_message_ref(message);
    action->group = group->number;
    loop_post(action->owner->loop, &action->call);
}
