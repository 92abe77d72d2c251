/*
 * What plugins are asked about deliveries. Each asking has copies of what it tells, so that it
 * outlives the connection or the job that it is about; those that something waits for are cancelled
 * when the scheduler stops.
 */
#include "schedule/private.h"

#include "proto/ip.h"

#include <stdlib.h>

struct hook {
    struct list link; /* in scheduler->hooks */
    struct scheduler *owner;
    struct plugin_run run;
    struct arena arena;
    struct smarthop_recipient recipient;
    struct smarthop_attempt attempt;
    void (*answered)(struct hook *hook);
    struct destination *destination; /* TARGETS */
    struct job *job;                 /* BEFORE_ATTEMPT */
    struct hook_bounce *bounce;
};

static struct smarthop_span copy_of(struct hook *hook, struct span text)
{
    return plugin_text(arena_dup(&hook->arena, text));
}

static struct hook *hook_create(struct scheduler *s, enum smarthop_hook which,
                                void (*answered)(struct hook *hook))
{
    struct hook *hook = mem_zalloc(sizeof *hook);

    hook->owner = s;
    hook->answered = answered;
    hook->run.hook = which;
    hook->run.arena = &hook->arena;
    arena_init(&hook->arena);
    list_append(&s->hooks, &hook->link);
    s->working++;
    return hook;
}

static void on_answered(struct call *call)
{
    struct hook *hook = container_of(call, struct hook, run.call);
    struct scheduler *s = hook->owner;

    list_remove(&hook->link);
    s->working--;
    if (hook->answered != NULL)
        hook->answered(hook);
    arena_fini(&hook->arena);
    free(hook);
    scheduler_check_stopped(s);
}

static void ask(struct hook *hook)
{
    list_init(&hook->run.call.link);
    hook->run.call.done = on_answered;
    plugin_ask(hook->owner->plugins, &hook->run);
    if (hook->owner->is_stopping)
        plugin_cancel(&hook->run);
}

void hooks_cancel(struct scheduler *s)
{
    for (struct list *node = s->hooks.next; node != &s->hooks; node = node->next)
        plugin_cancel(&container_of(node, struct hook, link)->run);
}

static struct status deferral_of(const struct smarthop_verdict *v)
{
    return route_verdict_status(v, STATUS(451, 4, 7, 1, "Deferred by local policy"));
}

static void add_message(struct hook *hook, const struct job *job)
{
    struct smarthop_message *facts = route_message_facts(job->message, &hook->arena);

    facts->sender = copy_of(hook, job->message->reverse_path);
    facts->envid = copy_of(hook, job->message->envelope_id);
    facts->tenant = copy_of(hook, job->message->tenant);
    hook->run.event.message = facts;
    hook->attempt.size = sizeof hook->attempt;
    hook->attempt.next_hop = copy_of(hook, job->group->next_hop);
    hook->run.event.attempt = &hook->attempt;
}

static void add_recipient(struct hook *hook, const struct job *job,
                          const struct queue_recipient *recipient)
{
    struct span address = arena_dup(&hook->arena, recipient->address);

    hook->recipient =
        route_recipient_facts(&hook->arena, address, route_domain(&hook->arena, address),
                              arena_dup(&hook->arena, recipient->original));
    hook->recipient.tries = job->group->tries;
    hook->run.event.recipient = &hook->recipient;
}

/* ---- the hosts of a next hop -------------------------------------------------------------- */

static const struct smarthop_target *describe_targets(struct hook *hook,
                                                      const struct destination *d)
{
    struct smarthop_target *targets = arena_alloc(&hook->arena, d->found_count * sizeof *targets);
    char text[IP_TEXT_MAX];

    for (unsigned i = 0; i < d->found_count; i++) {
        const struct sockaddr *address = (const struct sockaddr *)&d->found[i].address;
        struct ip_address ip;
        targets[i].host = copy_of(hook, span_cstr(d->found[i].host));
        targets[i].port = sockaddr_port(address);
        targets[i].preference = d->found[i].preference;
        targets[i].weight = d->found[i].weight;
        if (ip_from_sockaddr(address, &ip))
            targets[i].address = copy_of(hook, span_of(text, ip_format(&ip, text)));
    }
    return targets;
}

static bool is_the_same(const struct smarthop_target *a, const struct smarthop_target *b)
{
    return smarthop_equal(a->host, b->host) && smarthop_equal(a->address, b->address) &&
           a->port == b->port;
}

/* Those that the answer has, in its order; what it has besides is none of ours. */
static void choose_targets(const struct hook *hook, struct destination *d)
{
    const struct smarthop_verdict *v = &hook->run.verdict;
    struct target *chosen = mem_zalloc((d->found_count + 1) * sizeof *chosen);
    unsigned count = 0;

    for (uint32_t k = 0; k < v->target_count; k++) {
        for (unsigned i = 0; i < d->found_count; i++) {
            if (d->found[i].host == NULL ||
                !is_the_same(&v->targets[k], &hook->run.event.targets[i]))
                continue;
            chosen[count] = d->found[i];
            chosen[count++].weight = v->targets[k].weight;
            d->found[i].host = NULL;
        }
    }
    for (unsigned i = 0; i < d->found_count; i++)
        free(d->found[i].host);
    free(d->found);
    d->found = chosen;
    d->found_count = count;
}

static void targets_answered(struct hook *hook)
{
    struct destination *d = hook->destination;
    const struct smarthop_verdict *v = &hook->run.verdict;
    struct status why = deferral_of(v);

    d->pending--;
    if (v->target_count > 0 && !hook->run.is_cancelled)
        choose_targets(hook, d);
    if (v->action == SMARTHOP_DEFER || hook->run.is_cancelled || d->found_count == 0)
        targets_refused(d, &why);
    else
        targets_found(d);
}

bool hook_targets(struct destination *d)
{
    struct scheduler *s = d->owner;

    if (!plugin_worker_wants(s->plugins, SMARTHOP_ON_TARGETS))
        return false;
    struct hook *hook = hook_create(s, SMARTHOP_ON_TARGETS, targets_answered);
    d->pending++;
    hook->destination = d;
    hook->attempt.size = sizeof hook->attempt;
    hook->attempt.next_hop = copy_of(hook, d->next_hop_text);
    hook->run.event.attempt = &hook->attempt;
    hook->run.event.targets = describe_targets(hook, d);
    hook->run.event.target_count = d->found_count;
    ask(hook);
    return true;
}

/* ---- before an attempt -------------------------------------------------------------------- */

static void before_answered(struct hook *hook)
{
    struct job *job = hook->job;
    const struct smarthop_verdict *v = &hook->run.verdict;

    if (v->action == SMARTHOP_DEFER && !hook->run.is_cancelled) {
        struct status why = deferral_of(v);
        /* What is due later than any retry is taken for the work of a clock that was wrong. */
        uint64_t most = job->owner->retry_longest;
        job->put_off = v->delay < most ? v->delay : most;
        job_conclude(job, &why);
        return;
    }
    job->is_cleared = true;
    job_put_back(job);
}

bool hook_before(struct job *job)
{
    struct scheduler *s = job->owner;

    if (job->is_cleared || !plugin_worker_wants(s->plugins, SMARTHOP_ON_BEFORE_ATTEMPT))
        return false;
    struct hook *hook = hook_create(s, SMARTHOP_ON_BEFORE_ATTEMPT, before_answered);
    job->state = JOB_ASKED;
    hook->job = job;
    add_message(hook, job);
    ask(hook);
    return true;
}

/* ---- after it ----------------------------------------------------------------------------- */

static enum smarthop_outcome outcome_of(const char *event)
{
    static const struct {
        const char *name;
        enum smarthop_outcome outcome;
    } names[] = {{"delivered", SMARTHOP_DELIVERED},
                 {"failed", SMARTHOP_FAILED},
                 {"expired", SMARTHOP_EXPIRED}};

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(names[i].name, event) == 0)
            return names[i].outcome;
    return SMARTHOP_DEFERRED;
}

static void add_connection(struct hook *hook, const struct job *job, const struct connection *c)
{
    const uint64_t *phases = deliver_session_phases(c->session);
    const struct target *target =
        targets_find(c->site->targets, c->site->target_count, &c->address);
    struct smarthop_attempt *attempt = &hook->attempt;
    struct ip_address ip;
    char text[IP_TEXT_MAX];

    if (target != NULL)
        attempt->host = copy_of(hook, span_cstr(target->host));
    if (ip_from_sockaddr((const struct sockaddr *)&c->address, &ip))
        attempt->address = copy_of(hook, span_of(text, ip_format(&ip, text)));
    attempt->tls = copy_of(hook, span_cstr(deliver_session_tls(c->session)));
    attempt->connect_ms = phases[DELIVER_PHASE_CONNECT];
    attempt->envelope_ms = phases[DELIVER_PHASE_ENVELOPE];
    attempt->data_ms = phases[DELIVER_PHASE_DATA] + phases[DELIVER_PHASE_FINAL];
    attempt->total_ms = job->attempt.finished_ms - job->attempt.started_ms;
}

/* RFC 3463 3.5: it is the way that failed, and no host has said a word. */
static bool nobody_replied(const struct status *status)
{
    return !status->said && status->enhanced.klass == 4 && status->enhanced.subject == 4;
}

void hook_after(const struct job *job, const struct connection *c,
                const struct queue_recipient *recipient, const struct status *status,
                const char *event)
{
    struct scheduler *s = job->owner;

    if (!plugin_worker_wants(s->plugins, SMARTHOP_ON_AFTER_ATTEMPT))
        return;
    struct hook *hook = hook_create(s, SMARTHOP_ON_AFTER_ATTEMPT, NULL);
    add_message(hook, job);
    add_recipient(hook, job, recipient);
    hook->attempt.outcome = outcome_of(event);
    hook->attempt.code = nobody_replied(status) ? 0 : status->code;
    hook->attempt.enhanced[0] = status->enhanced.klass;
    hook->attempt.enhanced[1] = (uint8_t)status->enhanced.subject;
    hook->attempt.enhanced[2] = (uint8_t)status->enhanced.detail;
    hook->attempt.reply = copy_of(hook, status->text);
    if (c != NULL)
        add_connection(hook, job, c);
    ask(hook);
}

static void all_unreached(const struct list *line, const struct status *why)
{
    for (const struct list *node = line->next; node != line; node = node->next) {
        const struct job *job = container_of(node, struct job, line);
        for (uint32_t i = 0; i < job->group->recipient_count; i++)
            hook_after(job, NULL, &job->group->recipients[i], why, "deferred");
    }
}

void hook_unreached(const struct destination *d, const struct status *why)
{
    if (!plugin_worker_wants(d->owner->plugins, SMARTHOP_ON_AFTER_ATTEMPT))
        return;
    all_unreached(&d->ready.small, why);
    all_unreached(&d->ready.bulk, why);
}

/* ---- notifications ------------------------------------------------------------------------ */

static void bounce_answered(struct hook *hook)
{
    bool is_wanted = hook->run.verdict.action != SMARTHOP_DISCARD || hook->run.is_cancelled;

    hook->bounce->answered(hook->bounce, is_wanted);
}

bool hook_bounce(const struct job *job, const struct queue_recipient *recipient,
                 struct hook_bounce *bounce)
{
    struct scheduler *s = job->owner;

    if (!plugin_worker_wants(s->plugins, SMARTHOP_ON_BOUNCE))
        return false;
    struct hook *hook = hook_create(s, SMARTHOP_ON_BOUNCE, bounce_answered);
    hook->bounce = bounce;
    add_message(hook, job);
    add_recipient(hook, job, recipient);
    ask(hook);
    return true;
}
