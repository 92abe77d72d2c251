/*
 * Recording what became of a group: first, where somebody is to be told, the notification is
 * written (on the pool) and routed; then one store operation does it all. Until that has
 * succeeded the job stays in memory, so that what was delivered is never sent again.
 */
#include "schedule/private.h"

#include "proto/verp.h"

#include <stdlib.h>

enum { RETRY_MS = 1000 }; /* after the store has refused */

/* A notification, on its way into the store. */
struct notice {
    struct span to;
    struct queue_message *message; /* NULL = there is none */
};

enum { NOTICE, NOTICE_COPY, NOTICES }; /* the sender's, the postmaster's */

struct settling {
    struct job *job;
    struct queue_settle op;
    struct queue_group remaining;
    bool delivered; /* some of it: must not be forgotten before it is recorded */
    struct schedule_batch *batch;
    struct reroute *reroute;
    struct timer retry;

    /* The notification. */
    struct hook_bounce bounce;
    struct work work;
    struct report_recipient *reported; /* room for all of the group; NULL = none yet */
    unsigned reported_count;
    bool untold; /* what failed was a notification itself */
    struct conf *conf;
    struct notice notices[NOTICES];
    unsigned routing; /* the one whose route is looked for */
    struct route_query route;

    struct queue_recipient recipients[]; /* of `remaining` */
};

static void on_settled(struct call *call);

static void submit(struct settling *st)
{
    struct job *job = st->job;

    st->op.op = (struct kv_op){.home = job->owner->loop, .call.done = on_settled};
    list_init(&st->op.op.call.link);
    st->op.id = job->message->id;
    st->op.group = job->group->number;
    st->op.old_destination = job->group->destination;
    st->op.old_due = job->group->due;
    st->op.deliver_by = job->message->deliver_by;
    st->op.remaining = st->remaining.recipient_count > 0 ? &st->remaining : NULL;
    st->op.dsn = st->notices[NOTICE].message;
    st->op.dsn_copy = st->notices[NOTICE_COPY].message;
    st->op.delivered = st->delivered;
    queue_settle(job->owner->queue, &st->op);
}

static void on_retry(struct timer *timer)
{
    submit(container_of(timer, struct settling, retry));
}

/* The job's group becomes what has been recorded of it. */
static void keep_remaining(struct settling *st)
{
    struct queue_group *group = st->job->group;
    struct queue_recipient *recipients = group->recipients;

    memcpy(recipients, st->recipients, st->remaining.recipient_count * sizeof *recipients);
    *group = st->remaining;
    group->recipients = recipients;
}

static void leave(struct settling *st, bool recorded)
{
    struct job *job = st->job;
    bool is_left = recorded && st->remaining.recipient_count > 0;
    bool is_tried = is_left && st->remaining.state != QUEUE_GROUP_HELD;

    if (is_left && !list_is_empty(&job->waiting)) {
        keep_remaining(st);
        actions_claim(job);
        site_job_over(job);
        return;
    }
    actions_give_up(job, recorded);
    job_leave(job, is_tried ? st->remaining.due : UINT64_MAX);
}

static void finish(struct settling *st, bool recorded)
{
    struct scheduler *s = st->job->owner;

    if (st->batch != NULL)
        batch_told(st->batch, recorded);
    if (st->reroute != NULL)
        reroute_recorded(st->reroute, recorded);
    for (unsigned i = 0; i < NOTICES; i++) {
        struct queue_message *notice = st->notices[i].message;
        if (recorded && notice != NULL) {
            event_notified(st->job, notice);
            schedule_submit(s->set, notice);
        }
        queue_message_unref(notice);
    }
    conf_unref(st->conf);
    leave(st, recorded);
    free(st->reported);
    free(st);
    s->settling--;
    scheduler_check_stopped(s);
}

static void on_settled(struct call *call)
{
    struct settling *st = container_of(call, struct settling, op.op.call);
    struct scheduler *s = st->job->owner;
    struct err e = st->op.op.result;
    char id[ID_TEXT_SIZE];

    if (!err_is(e)) {
        finish(st, true);
        return;
    }
    id_format(st->job->message->id, id);
    if (e.kind == ERR_NOT_FOUND) {
        log_failure(LOG_WARN, "settle-gone", e, "id", id);
        finish(st, false);
    } else if (e.kind == ERR_CONFLICT && !st->delivered) {
        /* What was read of it for an action was old by the time of the action. */
        log_failure(LOG_WARN, "settle-late", e, "id", id);
        destination_note_due(st->job->destination, clock_steady_ms());
        finish(st, false);
    } else if (s->is_stopping) {
        log_failure(LOG_ERROR, "settle-given-up", e, "id", id);
        finish(st, false);
    } else {
        log_failure(LOG_WARN, "settle-waits", e, "id", id);
        timer_start(s->loop, &st->retry, RETRY_MS, on_retry);
    }
}

/* ---- the notification --------------------------------------------------------------------- */

static void log_dropped(const struct settling *st, struct span to, const char *why)
{
    struct log_line line;
    char id[ID_TEXT_SIZE];

    if (log_begin(&line, LOG_WARN, "notification-dropped")) {
        log_text(&line, "id", id_format(st->job->message->id, id));
        log_span(&line, "to", to);
        log_text(&line, "text", why);
        log_end(&line);
    }
}

static void address_notice(struct settling *st)
{
    struct queue_message *dsn = st->notices[st->routing].message;
    struct queue_group *group = arena_alloc(&dsn->arena, sizeof *group);
    struct queue_recipient *recipient = arena_alloc(&dsn->arena, sizeof *recipient);

    recipient->address = arena_dup(&dsn->arena, st->route.answer.recipient);
    *group = (struct queue_group){
        .state = st->route.answer.verdict == ROUTE_SEND ? QUEUE_GROUP_WAITING : QUEUE_GROUP_HELD,
        .due = dsn->arrival,
        .destination = arena_dup(&dsn->arena, st->route.answer.destination),
        .next_hop = arena_dup(&dsn->arena, st->route.answer.next_hop),
        .recipient_count = 1,
        .recipients = recipient,
    };
    dsn->groups = group;
    dsn->group_count = 1;
}

static void route_next(struct settling *st);

static void on_routed(struct call *call)
{
    struct settling *st = container_of(call, struct settling, route.call);
    struct notice *notice = &st->notices[st->routing];

    switch (st->route.answer.verdict) {
    case ROUTE_SEND:
    case ROUTE_HOLD:
        address_notice(st);
        break;
    case ROUTE_DEFER:
    case ROUTE_REJECT:
    case ROUTE_DISCARD:
    case ROUTE_LATER:
        log_dropped(st, notice->to, "the address that it is for has no route");
        queue_message_unref(notice->message);
        notice->message = NULL;
        break;
    }
    st->routing++;
    route_next(st);
}

static void route_notice(struct settling *st)
{
    struct queue_message *dsn = st->notices[st->routing].message;
    struct span path = st->notices[st->routing].to;

    st->route = (struct route_query){
        .conf = st->conf,
        .recipient = path,
        .domain = route_domain(&dsn->arena, path),
        .tenant = dsn->tenant,
        .arena = &dsn->arena,
        .plugins = st->job->owner->plugins,
        .is_ours = true,
        .call.done = on_routed,
    };
    list_init(&st->route.call.link);
    route_recipient(st->job->owner->loop, &st->route);
}

/* One after the other; then they are stored with the outcome. */
static void route_next(struct settling *st)
{
    while (st->routing < NOTICES && st->notices[st->routing].message == NULL)
        st->routing++;
    if (st->routing < NOTICES)
        route_notice(st);
    else
        submit(st);
}

static void on_reported(struct call *call)
{
    route_next(container_of(call, struct settling, work.call));
}

/* Until when those that stay are tried. */
static uint64_t retry_until(const struct settling *st)
{
    const struct queue_message *message = st->job->message;
    uint64_t until = queue_message_start(message) +
                     route_expire_after(st->conf, message->reverse_path, st->job->group->next_hop);

    return message->by == ESMTP_BY_RETURN && message->deliver_by < until ? message->deliver_by
                                                                         : until;
}

/* Who is told: the reverse-path that the group's mail is sent with, but not one of a plugin's. */
static struct span sender_of(struct settling *st)
{
    const struct queue_message *message = st->job->message;

    if (st->job->group->has_sender)
        return st->job->group->reverse_path;
    if ((message->flags & QUEUE_VERP) == 0)
        return message->reverse_path;
    return verp_reverse_path(message->reverse_path, st->job->group->recipients[0].address,
                             &st->job->arena);
}

/* Failures alone are copied, and not to somebody who is told of them anyway. */
static bool is_copied(struct settling *st)
{
    const char *to = st->conf->dsn_postmaster_copy;

    if (to == NULL || span_equal_nocase(span_cstr(to), sender_of(st)))
        return false;
    for (unsigned i = 0; i < st->reported_count; i++)
        if (st->reported[i].action == REPORT_FAILED)
            return true;
    return false;
}

/* On a pool thread; the job and its message stay as they are meanwhile. */
static void report(struct work *work)
{
    struct settling *st = container_of(work, struct settling, work);
    struct report_options options = {
        .conf = st->conf,
        .queue = st->job->owner->queue,
        .id = queue_new_id(st->job->owner->queue),
        .now = clock_steady_ms(),
        .message = st->job->message,
        .recipients = st->reported,
        .recipient_count = st->reported_count,
        .retry_until = retry_until(st),
    };

    options.to = sender_of(st);
    st->notices[NOTICE] = (struct notice){.to = options.to, .message = report_dsn(&options)};
    if (!is_copied(st))
        return;
    options.id = queue_new_id(options.queue);
    options.to = span_cstr(st->conf->dsn_postmaster_copy);
    options.is_copy = true;
    st->notices[NOTICE_COPY] = (struct notice){.to = options.to, .message = report_dsn(&options)};
}

static void start_report(struct settling *st)
{
    struct scheduler *s = st->job->owner;

    st->conf = conf_ref(s->conf);
    st->work.run = report;
    st->work.call.done = on_reported;
    list_init(&st->work.call.link);
    loop_work(s->loop, &st->work);
}

static void on_bounce_answered(struct hook_bounce *bounce, bool is_wanted)
{
    struct settling *st = container_of(bounce, struct settling, bounce);

    if (is_wanted) {
        start_report(st);
        return;
    }
    log_dropped(st, sender_of(st), "a plugin does not want it");
    submit(st);
}

/* ---- the start ---------------------------------------------------------------------------- */

/* RFC 3461 4.1, 5.2.2. By-trace (RFC 2852) asks to be told of each relaying. */
static bool is_wanted(const struct queue_message *message, const struct queue_recipient *recipient,
                      enum report_action action)
{
    static const unsigned asked_by[REPORT_ACTION_COUNT] = {
        [REPORT_FAILED] = ESMTP_NOTIFY_FAILURE,
        [REPORT_DELAYED] = ESMTP_NOTIFY_DELAY,
        [REPORT_RELAYED] = ESMTP_NOTIFY_SUCCESS,
        [REPORT_DELIVERED] = ESMTP_NOTIFY_SUCCESS,
    };
    unsigned notify =
        recipient->notify ? recipient->notify : ESMTP_NOTIFY_FAILURE | ESMTP_NOTIFY_DELAY;

    if (action == REPORT_RELAYED && (message->flags & QUEUE_BY_TRACE) != 0)
        return (notify & ESMTP_NOTIFY_NEVER) == 0;
    return (notify & asked_by[action]) != 0;
}

/* Most settlings tell nobody, and need no room for it. */
static void add_reported(struct settling *st, const struct report_recipient *told)
{
    if (st->reported == NULL)
        st->reported = mem_alloc(st->job->group->recipient_count * sizeof *st->reported);
    st->reported[st->reported_count++] = *told;
}

/* RFC 5321 6.1: the null reverse-path is told nothing. */
static void tell(struct settling *st, const struct report_recipient *told)
{
    const struct queue_message *message = st->job->message;

    if (message->reverse_path.len == 0)
        st->untold = st->untold || told->action == REPORT_FAILED;
    else if (is_wanted(message, told->recipient, told->action))
        add_reported(st, told);
}

/* RFC 3461 5.2.3, 5.2.4: a next hop that knows DSN goes on telling, but not of the relaying. */
static void tell_of_success(struct settling *st, const struct queue_recipient *recipient,
                            enum settle_fate fate)
{
    bool traced = (st->job->message->flags & QUEUE_BY_TRACE) != 0;

    st->delivered = true;
    if (fate != SETTLE_PASSED_ON || traced)
        tell(st, &(struct report_recipient){.recipient = recipient,
                                            .action = fate == SETTLE_DELIVERED ? REPORT_DELIVERED
                                                                               : REPORT_RELAYED});
}

static void tell_of_failure(struct settling *st, const struct queue_recipient *recipient,
                            bool is_late, struct span final_text)
{
    if (is_late)
        final_text = SPAN("The time by which it was to be delivered has passed");
    tell(st, &(struct report_recipient){.recipient = recipient,
                                        .action = REPORT_FAILED,
                                        .is_late = is_late,
                                        .final_text = final_text});
}

static void keep(struct settling *st, const struct queue_recipient *recipient,
                 const struct settle_plan *plan)
{
    st->recipients[st->remaining.recipient_count++] = *recipient;
    if (plan->warn || plan->tell_late)
        tell(st, &(struct report_recipient){
                     .recipient = recipient, .action = REPORT_DELAYED, .is_late = plan->tell_late});
}

static void sort_recipients(struct settling *st, const struct settle_plan *plan)
{
    const struct queue_group *group = st->job->group;

    for (uint32_t i = 0; i < group->recipient_count; i++) {
        const struct queue_recipient *recipient = &group->recipients[i];
        switch (plan->fates[i]) {
        case SETTLE_KEEP:
            keep(st, recipient, plan);
            break;
        case SETTLE_PASSED_ON:
        case SETTLE_RELAYED:
        case SETTLE_DELIVERED:
            tell_of_success(st, recipient, plan->fates[i]);
            break;
        case SETTLE_FAILED:
        case SETTLE_LATE:
            tell_of_failure(st, recipient, plan->fates[i] == SETTLE_LATE, plan->final_text);
            break;
        case SETTLE_MOVED:
        case SETTLE_REMOVED:
            break;
        }
    }
}

void settle_start(struct job *job, const struct settle_plan *plan)
{
    const struct queue_group *group = job->group;
    struct settling *st =
        mem_zalloc(sizeof *st + group->recipient_count * sizeof(struct queue_recipient));

    job->state = JOB_SETTLING;
    job->owner->settling++;
    st->job = job;
    st->batch = plan->batch;
    st->reroute = plan->reroute;
    st->op.splits = plan->splits;
    st->op.split_count = plan->split_count;
    st->remaining = *group;
    st->remaining.state = plan->state;
    st->remaining.due = plan->due;
    st->remaining.tries = plan->tries;
    st->remaining.delay_warned = group->delay_warned || plan->warn || plan->tell_late;
    st->remaining.late_told = group->late_told || plan->tell_late;
    st->remaining.recipients = st->recipients;
    st->remaining.recipient_count = 0;
    if (plan->sender.len > 0) {
        st->remaining.reverse_path = arena_dup(&job->arena, plan->sender);
        st->remaining.has_sender = true;
    }
    sort_recipients(st, plan);
    if (st->untold)
        log_dropped(st, SPAN_NONE, "what failed was a notification itself");
    st->bounce.answered = on_bounce_answered;
    if (st->reported_count == 0)
        submit(st);
    else if (!hook_bounce(job, st->reported[0].recipient, &st->bounce))
        start_report(st);
}
