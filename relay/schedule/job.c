/* An attempt: which recipients it has, and what its outcome means for each. */
#include "schedule/private.h"

#include <stdlib.h>

static bool is_expired(const struct job *job)
{
    uint64_t now = clock_steady_ms(), start = queue_message_start(job->message);
    uint64_t most =
        route_expire_after(job->owner->conf, job->message->reverse_path, job->group->next_hop);

    return now > start && now - start > most;
}

bool job_is_late(const struct job *job)
{
    return job->message->by == ESMTP_BY_RETURN && job->message->deliver_by <= clock_steady_ms();
}

/* What becomes of a recipient that is not delivered now. */
static enum settle_fate patience(const struct job *job)
{
    if (job_is_late(job))
        return SETTLE_LATE;
    return is_expired(job) ? SETTLE_FAILED : SETTLE_KEEP;
}

void job_put_back(struct job *job)
{
    struct destination *d = job->destination;

    if (!actions_claim(job)) {
        job->state = JOB_READY;
        line_prepend(&d->ready, job);
        if (heap_is_linked(&d->turn))
            d->site->ready_count++;
    }
    site_job_over(job);
    destination_run(d);
}

void job_requeue(struct job *job)
{
    budget_refund(job->site->budget);
    job_put_back(job);
}

static bool has_untried(const struct queue_group *group)
{
    for (uint32_t i = 0; i < group->recipient_count; i++)
        if (group->recipients[i].last.code == 0)
            return true;
    return false;
}

static struct span domain_of(const struct queue_recipient *recipient)
{
    return span_from(recipient->address, span_rindex(recipient->address, '@'));
}

static bool has_domain(const struct queue_group *group, const uint32_t *chosen, unsigned count,
                       struct span domain)
{
    for (unsigned i = 0; i < count; i++)
        if (span_equal_nocase(domain_of(&group->recipients[chosen[i]]), domain))
            return true;
    return false;
}

/* Where one transaction cannot name all: first those that were never tried, alone, so that a few
 * that are deferred do not keep the others from their turn; then all by turns. */
static unsigned choose_recipients(const struct job *job, uint32_t *chosen,
                                  const struct deliver_limits *most)
{
    const struct queue_group *group = job->group;
    bool untried = has_untried(group);
    uint64_t turn = untried ? 0 : (uint64_t)group->tries * most->recipients;
    uint64_t domains = 0;
    unsigned count = 0;

    for (uint32_t i = 0; i < group->recipient_count && count < most->recipients; i++) {
        uint32_t at = (uint32_t)((turn + i) % group->recipient_count);
        if (untried && group->recipients[at].last.code != 0)
            continue;
        if (most->domains < group->recipient_count &&
            !has_domain(group, chosen, count, domain_of(&group->recipients[at]))) {
            if (domains == most->domains)
                continue;
            domains++;
        }
        chosen[count++] = at;
    }
    return count;
}

void job_start(struct job *job, struct connection *c)
{
    struct deliver_limits most = deliver_session_limits(c->session);
    unsigned shaped = job->site->shape.recipients_per_transaction;

    if (most.recipients > shaped)
        most.recipients = shaped;
    if (job->sent == NULL) {
        job->sent = mem_alloc(job->group->recipient_count * sizeof *job->sent);
        job->statuses = mem_zalloc(job->group->recipient_count * sizeof *job->statuses);
    }
    job->state = JOB_ATTEMPT;
    job->attempt = (struct deliver_attempt){
        .message = job->message,
        .group = job->group,
        .recipients = job->sent,
        .recipient_count = choose_recipients(job, job->sent, &most),
        .statuses = job->statuses,
        .arena = &job->arena,
    };
    deliver_send(c->session, &job->attempt);
}

static void tell_outcome(const struct job *job, const struct connection *c,
                         const struct queue_recipient *recipient, const struct status *status,
                         const char *klass, const char *event)
{
    struct log_line line;
    char id[ID_TEXT_SIZE], esc[ENHANCED_CODE_TEXT_MAX];

    event_outcome(job, c, recipient, status, klass, event);
    hook_after(job, c, recipient, status, event);
    if (!log_begin(&line, LOG_INFO, event))
        return;
    enhanced_code_format(status->enhanced, esc);
    log_text(&line, "id", id_format(job->message->id, id));
    log_span(&line, "from", job->message->reverse_path);
    log_span(&line, "to", recipient->address);
    log_u64(&line, "code", status->code);
    log_text(&line, "dsn", esc);
    log_span(&line, "by", status->by);
    if (klass[0] != '\0')
        log_text(&line, "class", klass);
    if (c != NULL) {
        log_text(&line, "tls", deliver_session_tls(c->session));
        log_u64(&line, "attempt_ms", job->attempt.finished_ms - job->attempt.started_ms);
    }
    log_u64(&line, "age_ms", clock_steady_ms() - job->message->arrival);
    log_span(&line, "text", status->text);
    log_end(&line);
}

enum { LOST_MOST = 2 };

/* A 421 to a command of the message: the host may mean everybody, or this message alone. Where no
 * other host or connection can tell, the message waits for a time of its own as well, or it would
 * be the first again and again, and end what the others wait for. */
static bool is_turned_away(const struct job *job, const struct connection *c)
{
    const struct deliver_attempt *attempt = &job->attempt;
    unsigned last = attempt->recipient_count - 1;

    return attempt->scope == STATUS_SCOPE_HOST && attempt->statuses[last].said &&
           (job->requeues >= LOST_MOST || !balance_has_others(job->site, c));
}

/* The connection, not the message, was at fault: nothing of it has been judged. */
static bool is_unharmed(const struct job *job, const struct connection *c)
{
    const struct deliver_attempt *attempt = &job->attempt;

    if (attempt->untouched)
        return true;
    if (attempt->sent || attempt->damaged)
        return false;
    if (job->owner->is_stopping || (attempt->scope == STATUS_SCOPE_HOST && !is_turned_away(job, c)))
        return true;
    /* A connection that had been used before may just have been too old. */
    return attempt->scope == STATUS_SCOPE_SESSION && job->requeues < LOST_MOST &&
           deliver_session_messages(c->session) > 0;
}

/* Judges one recipient; the status is kept with it for listings and reports. */
static enum settle_fate judge(struct job *job, const struct connection *c, uint32_t index,
                              const struct status *status, const struct response *response,
                              enum settle_fate deferred)
{
    struct scheduler *s = job->owner;
    struct queue_recipient *recipient = &job->group->recipients[index];

    recipient->last = *status;
    if (status_is_success(status)) {
        bump(&s->counters.delivered, 1);
        tell_outcome(job, c, recipient, status, response->klass, "delivered");
        if (job->attempt.dsn_passed)
            return SETTLE_PASSED_ON;
        return c->site->next_hop.lmtp ? SETTLE_DELIVERED : SETTLE_RELAYED;
    }
    if (response_is_final(response, status)) {
        bump(&s->counters.failed, 1);
        tell_outcome(job, c, recipient, status, response->klass, "failed");
        return SETTLE_FAILED;
    }
    if (deferred != SETTLE_KEEP) {
        bump(&s->counters.failed, 1);
        tell_outcome(job, c, recipient, status, response->klass, "expired");
        return deferred;
    }
    bump(&s->counters.deferred, 1);
    tell_outcome(job, c, recipient, status, response->klass, "deferred");
    return SETTLE_KEEP;
}

/* Before MAIL was granted nothing has been said of the message: that is no try. */
static bool is_of_the_host(const struct deliver_attempt *attempt)
{
    return attempt->scope == STATUS_SCOPE_HOST && !attempt->granted;
}

static void settle(struct job *job, const enum settle_fate *fates, bool any_deferred, bool is_try)
{
    struct settle_plan plan = {
        .fates = fates,
        .state = QUEUE_GROUP_WAITING,
        .due = clock_steady_ms(),
        .tries = job->group->tries,
    };
    struct shape shape;
    char id[ID_TEXT_SIZE];

    if (any_deferred && !has_untried(job->group)) {
        shape_of(&shape, job->destination);
        plan.due += job->put_off != 0 ? job->put_off
                                      : scheduler_retry_delay(job->owner, &shape, plan.tries + 1);
        plan.tries += is_try;
    }
    if (job->attempt.damaged) {
        plan.state = QUEUE_GROUP_HELD; /* it can never be sent; an operator must look */
        plan.due = job->group->due;
        log_failure(LOG_ERROR, "message-damaged", err_make(ERR_CORRUPT, "body"), "id",
                    id_format(job->message->id, id));
    }
    settle_start(job, &plan);
}

void job_finished(struct job *job, struct connection *c)
{
    const struct deliver_attempt *attempt = &job->attempt;
    enum settle_fate fates[QUEUE_GROUP_MAX];
    enum settle_fate deferred = attempt->damaged ? SETTLE_KEEP : patience(job);
    struct response responses[QUEUE_GROUP_MAX];
    bool any_deferred = false;

    if (is_unharmed(job, c) && !responses_bounce(job)) {
        job->requeues += !attempt->untouched;
        job_requeue(job);
        return;
    }
    if (attempt->declined && detour_begin(job, c))
        return;
    if (attempt->scope != STATUS_SCOPE_HOST) {
        budget_succeeded(job->site->budget, loop_now(job->owner->loop));
        destination_succeeded(job->destination);
    }
    responses_heed(job, c, responses);
    for (uint32_t i = 0; i < job->group->recipient_count; i++)
        fates[i] = SETTLE_KEEP;
    for (unsigned i = 0; i < attempt->recipient_count; i++) {
        uint32_t index = attempt->recipients[i];
        fates[index] = judge(job, c, index, &attempt->statuses[i], &responses[i], deferred);
        any_deferred =
            any_deferred || (fates[index] == SETTLE_KEEP && responses[i].action != RULE_NEXT_HOST);
    }
    settle(job, fates, any_deferred, !is_of_the_host(attempt));
}

void job_conclude(struct job *job, const struct status *status)
{
    enum settle_fate fates[QUEUE_GROUP_MAX];
    struct status copy = status_dup(&job->arena, status);
    enum settle_fate deferred = patience(job);
    struct response response;

    response_read(job->owner, job->destination->next_hop.hosts[0].name, &copy, &response);

    if (list_is_linked(&job->line))
        job_unline(job);
    for (uint32_t i = 0; i < job->group->recipient_count; i++)
        fates[i] = judge(job, NULL, i, &copy, &response, deferred);
    settle(job, fates, fates[0] == SETTLE_KEEP, true);
}

void job_refuse(struct job *job, uint32_t index, const struct status *status)
{
    struct queue_recipient *recipient = &job->group->recipients[index];

    recipient->last = status_dup(&job->arena, status);
    bump(&job->owner->counters.failed, 1);
    tell_outcome(job, NULL, recipient, &recipient->last, "", "failed");
}

void job_give_up(struct job *job, struct schedule_batch *batch)
{
    static const struct status late = {
        .code = 554, .enhanced = {5, 4, 7}, .text = {"Delivery time expired", 21}};
    enum settle_fate fates[QUEUE_GROUP_MAX];
    struct settle_plan plan = {.fates = fates, .batch = batch};

    for (uint32_t i = 0; i < job->group->recipient_count; i++) {
        fates[i] = SETTLE_LATE;
        bump(&job->owner->counters.failed, 1);
        tell_outcome(job, NULL, &job->group->recipients[i], &late, "", "expired");
    }
    settle_start(job, &plan);
}
