/*
 * Why a message is still here: each of its groups is asked after on its owner's loop, where the
 * first gate is found that has to open before the group can leave.
 */
#include "schedule/private.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static const char *const gate_names[SCHEDULE_GATES] = {
    [SCHEDULE_SENDING] = "sending",
    [SCHEDULE_RECORDING] = "recording",
    [SCHEDULE_PLUGIN] = "plugin",
    [SCHEDULE_LINE] = "line",
    [SCHEDULE_CONNECTION] = "connection",
    [SCHEDULE_RATE] = "rate",
    [SCHEDULE_BACK_OFF] = "backoff",
    [SCHEDULE_LOOKUP] = "lookup",
    [SCHEDULE_DNS] = "dns",
    [SCHEDULE_RETRY_TIME] = "retry",
    [SCHEDULE_RELEASE_TIME] = "release",
    [SCHEDULE_HELD] = "held",
    [SCHEDULE_SUSPENDED] = "suspended",
    [SCHEDULE_MEMORY] = "memory",
    [SCHEDULE_DAMAGED] = "damaged",
    [SCHEDULE_STOPPED] = "stopped",
};

const char *schedule_gate_name(enum schedule_gate gate)
{
    return gate_names[gate];
}

/* One group on its way to its owner and back. */
struct question {
    struct call call;
    struct schedule_batch *batch;
    struct scheduler *owner;
    struct queue_message *message;
    const struct queue_group *group;
    struct schedule_explanation *out;
};

__attribute__((format(printf, 4, 5))) static void say(struct schedule_explanation *out,
                                                      enum schedule_gate gate, uint64_t until,
                                                      const char *format, ...)
{
    va_list args;

    va_start(args, format);
    int len = vsnprintf(out->why, sizeof out->why, format, args);
    va_end(args);
    out->gate = gate;
    out->until = until;
    out->why_len = (size_t)len < sizeof out->why ? (size_t)len : sizeof out->why - 1;
}

/* ---- those that are under way ------------------------------------------------------------- */

static const struct connection *connection_of(const struct job *job)
{
    const struct site *site = job->site;

    for (const struct list *node = site->members.next; node != &site->members; node = node->next) {
        const struct connection *c = container_of(node, struct connection, member);
        if (c->job == job || c->next == job || c->detour == job)
            return c;
    }
    return NULL;
}

static void explain_sending(const struct job *job, struct schedule_explanation *out)
{
    const struct connection *c = connection_of(job);
    const struct target *target =
        c == NULL ? NULL : targets_find(job->site->targets, job->site->target_count, &c->address);

    if (c == NULL || target == NULL)
        say(out, SCHEDULE_SENDING, 0, "it is being sent now");
    else if (c->next == job)
        say(out, SCHEDULE_SENDING, 0, "it goes to %s behind another message (%s)", target->host,
            deliver_session_state(c->session));
    else if (c->job != job)
        say(out, SCHEDULE_SENDING, 0, "another host has declined it; it goes to %s now (%s)",
            target->host, deliver_session_state(c->session));
    else
        say(out, SCHEDULE_SENDING, 0, "it is being sent to %s now; the dialogue is at: %s",
            target->host, deliver_session_state(c->session));
    out->since = scheduler_wall(job->owner, job->attempt.started_ms);
}

static unsigned place_in(const struct list *line, const struct job *job, bool *found_out)
{
    unsigned place = 0;

    for (const struct list *node = line->next; node != line && !*found_out; node = node->next) {
        place++;
        *found_out = container_of(node, struct job, line) == job;
    }
    return place;
}

static unsigned place_of(const struct job *job)
{
    const struct line *line = &job->destination->ready;
    bool is_found = false;
    unsigned place = place_in(&line->small, job, &is_found);

    return is_found ? place : place + place_in(&line->bulk, job, &is_found);
}

/* What its site waits for. */
static void explain_line(const struct job *job, struct schedule_explanation *out)
{
    const struct destination *d = job->destination;
    const struct site *site = d->site;
    const struct scheduler *s = job->owner;
    unsigned place = place_of(job), count = d->ready.count;
    struct budget_state state;
    uint64_t until = 0;

    enum budget_answer answer = budget_look(site->budget, loop_now(s->loop), &until);
    budget_state(site->budget, &state);
    if (answer == BUDGET_RATE)
        say(out, SCHEDULE_RATE, scheduler_wall(s, until),
            "its next hop may have no more messages for now; it is number %u of %u in line", place,
            count);
    else if (answer == BUDGET_BACK_OFF)
        say(out, SCHEDULE_BACK_OFF, scheduler_wall(s, until), "its next hop is left alone for now");
    else if (!site_has_turn(site))
        say(out, SCHEDULE_LINE, 0,
            "number %u of %u in line; what has been sent before is being recorded", place, count);
    else if (list_is_empty(&site->idle) && state.connections >= state.allowed)
        say(out, SCHEDULE_CONNECTION, 0,
            "number %u of %u in line; %u of %u connections to its next hop are in use", place,
            count, state.connections, state.allowed);
    else
        say(out, SCHEDULE_LINE, 0, "number %u of %u in line", place, count);
}

/* ---- those that wait ---------------------------------------------------------------------- */

static void explain_back_off(const struct destination *d, struct schedule_explanation *out)
{
    const struct status *why = &d->failure;
    bool is_lookup = d->resolve_failure.code != 0;
    char code[ENHANCED_CODE_TEXT_MAX];
    uint32_t failures = d->failures;
    struct budget_state state;

    if (!is_lookup && d->site != NULL) {
        budget_state(d->site->budget, &state);
        failures = state.failures;
    }
    enhanced_code_format(why->enhanced, code);
    say(out, is_lookup ? SCHEDULE_DNS : SCHEDULE_BACK_OFF,
        scheduler_wall(d->owner, d->back_off_until),
        "%s (%u failure%s in a row): %u %s %.*s%s%.*s%s",
        is_lookup ? "the hosts of its next hop could not be found"
                  : "its next hop is left alone for now",
        failures, failures == 1 ? "" : "s", why->code, code, SPAN_ARG(why->text),
        why->by.len ? " (" : "", SPAN_ARG(why->by), why->by.len ? ")" : "");
}

static void explain_stored(const struct question *q, const struct destination *d)
{
    const struct queue_group *group = q->group;
    const struct scheduler *s = q->owner;
    uint64_t wall = clock_steady_ms();

    if (queue_group_is_early(group, wall))
        say(q->out, SCHEDULE_RELEASE_TIME, group->due,
            "its sender asked that it be sent at that time, not before");
    else if (group->due > wall)
        say(q->out, SCHEDULE_RETRY_TIME, group->due, "it waits for its next try");
    else if (d != NULL && list_is_linked(&d->hungry))
        say(q->out, SCHEDULE_MEMORY, 0,
            "it waits in the store for room in memory: %u messages are there (queue_jobs_max)",
            s->job_count);
    else
        say(q->out, SCHEDULE_MEMORY, 0,
            "it waits in the store behind %u messages of its destination that are in memory"
            " (window_per_destination)",
            d != NULL ? d->job_count : 0);
}

static void explain_job(const struct job *job, struct schedule_explanation *out)
{
    const struct destination *d = job->destination;

    if (job->state == JOB_ATTEMPT)
        explain_sending(job, out);
    else if (job->state == JOB_ASKED)
        say(out, SCHEDULE_PLUGIN, 0, "plugins are asked whether it may be tried now");
    else if (job->state != JOB_READY)
        say(out, SCHEDULE_RECORDING, 0, "what became of it is being recorded");
    else if (d->resolving)
        say(out, SCHEDULE_LOOKUP, 0, "the hosts of its next hop are being looked up");
    else if (d->site == NULL)
        say(out, SCHEDULE_LINE, 0, "number %u of %u in line", place_of(job), d->ready.count);
    else
        explain_line(job, out);
}

static void explain_suspension(const struct queue_suspension *suspension,
                               struct schedule_explanation *out)
{
    say(out, SCHEDULE_SUSPENDED, suspension->until, "an operator has suspended \"%.*s\": %.*s",
        SPAN_ARG(suspension->pattern), SPAN_ARG(suspension->reason));
}

static void explain_group(const struct question *q)
{
    const struct scheduler *s = q->owner;
    const struct queue_group *group = q->group;
    const struct job *job = scheduler_find_job(q->owner, q->message->id, group->number);
    const struct destination *d = scheduler_find_destination(s, group->destination);
    const struct queue_suspension *suspension =
        suspensions_find(s->suspensions, group->next_hop, d != NULL ? d->site : NULL);

    if (job != NULL && job->state != JOB_READY)
        explain_job(job, q->out);
    else if (group->state == QUEUE_GROUP_HELD)
        say(q->out, SCHEDULE_HELD, 0, "it is held until an operator releases it");
    else if (load_is_quarantined(s, q->message->id, group->number))
        say(q->out, SCHEDULE_DAMAGED, 0, "its record could not be read; it is not sent");
    else if (s->is_stopping || queue_is_broken(s->queue))
        say(q->out, SCHEDULE_STOPPED, 0, "smarthopd is stopping, or its store has failed");
    else if (queue_group_is_early(group, clock_steady_ms()))
        explain_stored(q, d);
    else if (suspension != NULL)
        explain_suspension(suspension, q->out);
    else if (job == NULL && group->due > clock_steady_ms())
        explain_stored(q, d);
    else if (d != NULL && d->back_off_until > loop_now(s->loop))
        explain_back_off(d, q->out);
    else if (job == NULL)
        explain_stored(q, d);
    else
        explain_job(job, q->out);
}

/* ---- the inquiry -------------------------------------------------------------------------- */

struct inquiry_run {
    struct schedule_batch batch;
    struct schedule_inquiry *inquiry;
    const struct schedule_set *set;
    struct queue *queue;
    struct work work; /* the reading, on the pool */
};

static void on_question(struct call *call)
{
    struct question *q = container_of(call, struct question, call);
    struct schedule_batch *batch = q->batch;

    explain_group(q);
    queue_message_unref(q->message);
    free(q);
    batch_told(batch, true);
}

static void ask(struct inquiry_run *run, unsigned index)
{
    struct schedule_inquiry *inquiry = run->inquiry;
    struct question *q = mem_zalloc(sizeof *q);

    atomic_fetch_add(&run->batch.untold, 1);
    list_init(&q->call.link);
    q->call.done = on_question;
    q->batch = &run->batch;
    q->message = queue_message_ref(inquiry->message);
    q->group = &q->message->groups[index];
    q->owner = schedule_owner(run->set, q->group->destination);
    q->out = &inquiry->explanations[index];
    loop_post(q->owner->loop, &q->call);
}

static void on_told(struct call *call)
{
    struct schedule_batch *batch = container_of(call, struct schedule_batch, end);
    struct inquiry_run *run = container_of(batch, struct inquiry_run, batch);
    struct schedule_inquiry *inquiry = run->inquiry;

    free(run);
    inquiry->call.done(&inquiry->call);
}

static void read_message(struct work *work)
{
    struct inquiry_run *run = container_of(work, struct inquiry_run, work);
    struct schedule_inquiry *inquiry = run->inquiry;

    inquiry->result = queue_load(run->queue, inquiry->id, QUEUE_ALL_GROUPS, &inquiry->message);
}

static void on_read(struct call *call)
{
    struct inquiry_run *run = container_of(call, struct inquiry_run, work.call);
    struct schedule_inquiry *inquiry = run->inquiry;

    if (!err_is(inquiry->result)) {
        unsigned count = inquiry->message->group_count;
        inquiry->explanations = mem_zalloc(count * sizeof *inquiry->explanations);
        for (unsigned i = 0; i < count; i++)
            ask(run, i);
    }
    batch_release(&run->batch);
}

void schedule_explain(const struct schedule_set *set, struct queue *queue,
                      struct schedule_inquiry *inquiry)
{
    struct inquiry_run *run = mem_zalloc(sizeof *run);

    inquiry->message = NULL;
    inquiry->explanations = NULL;
    batch_begin(&run->batch, inquiry->home, on_told);
    run->inquiry = inquiry;
    run->set = set;
    run->queue = queue;
    list_init(&run->work.call.link);
    run->work.run = read_message;
    run->work.call.done = on_read;
    loop_work(inquiry->home, &run->work);
}
