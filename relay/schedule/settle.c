/*
 * Recording what became of a group: first, where somebody is to be told, the notification is
 * written (on the pool) and routed; then one store operation does it all. Until that has
 * succeeded the job stays in memory, so that what was delivered is never sent again.
 */
#include "schedule/private.h"

#include "proto/domain.h"

#include <stdlib.h>

enum { RETRY_MS = 1000 }; /* after the store has refused */

struct settling {
    struct job *job;
    struct queue_settle op;
    struct queue_group remaining;
    bool delivered; /* some of it: must not be forgotten before it is recorded */
    struct schedule_batch *batch;
    struct timer retry;

    /* The notification. */
    struct work work;
    enum report_action action;
    struct report_recipient reported[QUEUE_GROUP_MAX];
    unsigned reported_count;
    struct conf *conf;
    struct queue_message *dsn;
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
    st->op.remaining = st->remaining.recipient_count > 0 ? &st->remaining : NULL;
    st->op.dsn = st->dsn;
    queue_settle(job->owner->queue, &st->op);
}

static void on_retry(struct timer *timer)
{
    submit(container_of(timer, struct settling, retry));
}

static void finish(struct settling *st, bool recorded)
{
    struct job *job = st->job;
    struct scheduler *s = job->owner;
    struct destination *d = job->destination;
    bool stays =
        recorded && st->remaining.recipient_count > 0 && st->remaining.state == QUEUE_GROUP_WAITING;

    if (st->batch != NULL)
        batch_told(st->batch, recorded);
    if (stays)
        destination_note_due(d, st->remaining.due);
    if (recorded && st->dsn != NULL)
        schedule_submit(s->set, st->dsn);
    queue_message_unref(st->dsn);
    conf_unref(st->conf);
    free(st);
    job_free(job);
    s->settling--;
    destination_run(d);
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

static void drop_dsn(struct settling *st, const char *why)
{
    struct log_line line;
    char id[ID_TEXT_SIZE];

    if (log_begin(&line, LOG_WARN, "notification-dropped")) {
        log_text(&line, "id", id_format(st->job->message->id, id));
        log_span(&line, "to", st->job->message->reverse_path);
        log_text(&line, "text", why);
        log_end(&line);
    }
    queue_message_unref(st->dsn);
    st->dsn = NULL;
}

static void address_dsn(struct settling *st)
{
    struct queue_message *dsn = st->dsn;
    struct queue_group *group = arena_alloc(&dsn->arena, sizeof *group);
    struct queue_recipient *recipient = arena_alloc(&dsn->arena, sizeof *recipient);

    recipient->address = arena_dup(&dsn->arena, st->route.recipient);
    *group = (struct queue_group){
        .state = st->route.verdict == ROUTE_SEND ? QUEUE_GROUP_WAITING : QUEUE_GROUP_HELD,
        .due = dsn->arrival,
        .destination = arena_dup(&dsn->arena, st->route.destination),
        .next_hop = arena_dup(&dsn->arena, st->route.next_hop),
        .recipient_count = 1,
        .recipients = recipient,
    };
    dsn->groups = group;
    dsn->group_count = 1;
}

static void on_routed(struct call *call)
{
    struct settling *st = container_of(call, struct settling, route.call);

    switch (st->route.verdict) {
    case ROUTE_SEND:
    case ROUTE_HOLD:
        address_dsn(st);
        break;
    case ROUTE_DEFER:
    case ROUTE_REJECT:
    case ROUTE_DISCARD:
        drop_dsn(st, "its sender's address has no route");
        break;
    }
    submit(st);
}

static void on_reported(struct call *call)
{
    struct settling *st = container_of(call, struct settling, work.call);
    struct queue_message *dsn = st->dsn;
    struct span path = st->job->message->reverse_path;
    size_t at = span_rindex(path, '@');
    struct span domain = span_from(path, at + 1), ascii = domain;

    if (domain.len > 0 && domain.ptr[0] != '[')
        domain_to_ascii(domain, &dsn->arena, &ascii);
    st->route = (struct route_query){
        .conf = st->conf,
        .recipient = path,
        .domain = ascii,
        .arena = &dsn->arena,
        .call.done = on_routed,
    };
    list_init(&st->route.call.link);
    route_recipient(st->job->owner->loop, &st->route);
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
        .action = st->action,
        .message = st->job->message,
        .recipients = st->reported,
        .recipient_count = st->reported_count,
        .retry_until = st->job->message->arrival + st->conf->expire_after,
    };

    st->dsn = report_dsn(&options);
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

/* ---- the start ---------------------------------------------------------------------------- */

static void sort_recipients(struct settling *st, const struct settle_plan *plan)
{
    const struct queue_group *group = st->job->group;

    st->action = plan->warn ? REPORT_DELAYED : REPORT_FAILED;
    for (uint32_t i = 0; i < group->recipient_count; i++) {
        const struct queue_recipient *recipient = &group->recipients[i];
        if (plan->fates[i] == SETTLE_DELIVERED)
            st->delivered = true;
        if (plan->fates[i] == SETTLE_KEEP)
            st->recipients[st->remaining.recipient_count++] = *recipient;
        if (plan->fates[i] == SETTLE_FAILED || (plan->fates[i] == SETTLE_KEEP && plan->warn))
            st->reported[st->reported_count++] =
                (struct report_recipient){.recipient = recipient, .final_text = plan->final_text};
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
    st->remaining = *group;
    st->remaining.state = plan->state;
    st->remaining.due = plan->due;
    st->remaining.tries = plan->tries;
    st->remaining.delay_warned = group->delay_warned || plan->warn;
    st->remaining.recipients = st->recipients;
    st->remaining.recipient_count = 0;
    sort_recipients(st, plan);
    if (st->reported_count == 0) {
        submit(st);
    } else if (job->message->reverse_path.len > 0) {
        start_report(st);
    } else {
        /* RFC 5321 6.1: a notification about a notification is never sent. */
        if (st->action == REPORT_FAILED)
            drop_dsn(st, "what failed was a notification itself");
        submit(st);
    }
}
