/* Asking the plugins of a chain, one after the other. */
#include "plugins/host/private.h"

#include "base/clock.h"
#include "proto/base32.h"

static const struct smarthop_verdict blank = {.size = sizeof blank};

static void note_step(struct plugin_run *run, const struct smarthop_self *self, const char *said,
                      struct smarthop_span why)
{
    struct plugin_step **end = &run->steps;

    if (!run->is_traced)
        return;
    while (*end != NULL)
        end = &(*end)->next;
    *end = arena_alloc(run->arena, sizeof **end);
    **end = (struct plugin_step){
        .plugin = arena_dup(run->arena, span_cstr(self->name)).ptr,
        .said = said,
        .why = plugin_span(why),
        .ns = clock_mono_ns() - run->began,
    };
}

bool plugin_worker_wants(const struct plugin_worker *worker, enum smarthop_hook hook)
{
    return worker != NULL && worker->chain != NULL &&
           worker->chain->link_count[hook] + worker->chain->shadow_count[hook] > 0;
}

bool plugin_worker_reads(const struct plugin_worker *worker)
{
    return worker != NULL && worker->chain != NULL && worker->chain->reads;
}

static const struct plugin_link *link_of(const struct plugin_run *run)
{
    return &run->links[run->at];
}

static struct tally *tally_of(const struct plugin_run *run, struct smarthop_self *self)
{
    return &self->tallies[run->worker->index];
}

static void finish(struct plugin_run *run)
{
    slot_release(run);
    loop_defer(run->worker->loop, &run->call);
    if (!run->is_shadow && !run->is_cancelled && !run->is_postponed)
        shadows_ask(run);
    if (run->has_chain)
        plugin_chain_unref(run->chain);
    run->chain = NULL;
}

static void name_decider(struct plugin_run *run, const struct smarthop_self *self)
{
    run->by = arena_dup(run->arena, span_cstr(self->name)).ptr;
}

/* What it could not say its fail mode says. */
static void do_without(struct plugin_run *run, const struct smarthop_self *self)
{
    struct smarthop_verdict verdict = blank;

    run->is_broken = true;
    note_step(run, self, "no answer", smarthop_span_of(NULL, 0));
    if (run->is_shadow || self->fail_mode == SMARTHOP_FAIL_OPEN ||
        !verdict_suits(run->hook, SMARTHOP_DEFER))
        return;
    verdict.action = SMARTHOP_DEFER;
    verdict.code = 451;
    memcpy(verdict.enhanced, (uint8_t[]){4, 3, 0}, sizeof verdict.enhanced);
    verdict.text = SMARTHOP_TEXT("Temporary failure of a local filter, try again later");
    verdict.why = SMARTHOP_TEXT("it could not answer");
    verdict_merge(run->arena, &run->verdict, &verdict);
    name_decider(run, self);
}

/* What is wrong with what it has written, or NULL. */
static const char *settle_content(struct plugin_run *run, const struct smarthop_verdict *verdict)
{
    return run->content != NULL ? run->content->settle(run->content, verdict) : NULL;
}

static void fall_back(struct plugin_run *run, struct smarthop_self *self)
{
    settle_content(run, &blank);
    breaker_note(self, false, loop_now(run->worker->loop));
    do_without(run, self);
}

void event_log(struct log_line *line, const struct smarthop_event *event)
{
    char id[ID_TEXT_SIZE];

    if (event->message != NULL && event->message->id != 0)
        log_text(line, "id", id_format(event->message->id, id));
    if (event->session != NULL)
        log_u64(line, "sid", event->session->id);
    if (event->recipient != NULL)
        log_span(line, "to", span_of(event->recipient->address.ptr, event->recipient->address.len));
}

static void tell(const struct plugin_run *run, const struct smarthop_self *self, const char *event,
                 const char *text)
{
    struct log_line line;

    if (!log_begin(&line, LOG_WARN, event))
        return;
    log_text(&line, "plugin", self->name);
    log_text(&line, "hook", plugin_hook_name(run->hook));
    log_text(&line, "text", text);
    event_log(&line, &run->event);
    log_end(&line);
}

static void note_latency(struct tally *to, uint64_t ns)
{
    unsigned step = 0;

    for (uint64_t us = ns / 1000; us > 0 && step < PLUGIN_LATENCIES - 1; us /= 2)
        step++;
    tally(&to->latencies[step]);
}

static bool is_blank(const struct smarthop_verdict *verdict)
{
    return verdict->action == SMARTHOP_PASS && memcmp(verdict, &blank, sizeof blank) == 0;
}

static void refuse(struct plugin_run *run, struct smarthop_self *self, const char *problem)
{
    tally(&tally_of(run, self)->invalid);
    run->problem = arena_dup(run->arena, span_cstr(problem)).ptr;
    tell(run, self, "plugin-invalid", problem);
    fall_back(run, self);
}

/* A sound answer of the plugin that is being asked. */
static void take(struct plugin_run *run, struct smarthop_self *self,
                 const struct smarthop_verdict *verdict)
{
    tally(&tally_of(run, self)->actions[verdict->action]);
    breaker_note(self, !run->is_slow, loop_now(run->worker->loop));
    note_step(run, self, plugin_action_name(verdict->action), verdict->why);
    if (is_blank(verdict))
        return;
    verdict_merge(run->arena, &run->verdict, verdict);
    run->spoke = arena_dup(run->arena, span_cstr(self->name)).ptr;
    if (verdict->action != SMARTHOP_PASS)
        name_decider(run, self);
}

/* The answer as the plugin gave it. True: it says nothing. */
static bool judge(struct plugin_run *run, struct smarthop_self *self, int answer,
                  const struct smarthop_verdict *given)
{
    struct smarthop_verdict verdict;

    if (answer == SMARTHOP_DONE && is_blank(given)) {
        settle_content(run, given);
        take(run, self, given);
        return true;
    }
    if (answer != SMARTHOP_DONE) {
        tally(&tally_of(run, self)->broken);
        fall_back(run, self);
        return false;
    }
    const char *problem = verdict_copy(run->arena, given, &verdict);
    if (problem == NULL && !verdict_suits(run->hook, verdict.action))
        problem = "an action that this hook does not have";
    if (problem == NULL)
        problem = settle_content(run, &verdict);
    if (problem != NULL)
        refuse(run, self, problem);
    else
        take(run, self, &verdict);
    return false;
}

static void go_on(struct plugin_run *run);

static void tell_cancelled(struct plugin_run *run, struct smarthop_self *self)
{
    if (self->plugin.cancel == NULL)
        return;
    self_enter(self);
    self->plugin.cancel(self->state, run->event.token);
    self_exit(self);
}

static void on_deadline(struct timer *timer)
{
    struct plugin_run *run = container_of(timer, struct plugin_run, deadline);
    struct smarthop_self *self = link_of(run)->self;

    run->is_pending = false;
    token_end(run, SLOT_TIMED_OUT);
    tally(&tally_of(run, self)->timed_out);
    tell(run, self, "plugin-timeout", "it has promised an answer that did not come");
    tell_cancelled(run, self);
    fall_back(run, self);
    run->at++;
    go_on(run);
}

/* The answer will come. Until then the chain has to stay. */
static void await(struct plugin_run *run, const struct smarthop_self *self)
{
    tally(&tally_of(run, link_of(run)->self)->pending);
    run->is_pending = true;
    if (!run->has_chain)
        plugin_chain_ref(run->chain);
    run->has_chain = true;
    timer_start(run->worker->loop, &run->deadline, self->timeout_ms, on_deadline);
}

/* `verdict` is blank, also afterwards. The time now is where the asking before this one ended;
 * then, where this one did. False: its answer is pending. */
static bool ask_one(struct plugin_run *run, const struct plugin_link *link,
                    struct smarthop_verdict *verdict, uint64_t *now)
{
    struct smarthop_self *self = link->self;
    struct tally *counts = tally_of(run, self);

    if (!breaker_lets_through(self, loop_now(run->worker->loop))) {
        tally(&counts->bypassed);
        do_without(run, self);
        return true;
    }
    run->event.token = token_begin(run);
    if (run->stays != NULL)
        run->event.recipient = run->at == run->from ? run->stays : run->recipient;
    run->began = *now;
    hang_may_begin(run->worker, self, run->hook, *now);
    self_enter(self);
    int answer = link->ask(self->state, &run->event, verdict);
    self_exit(self);
    hang_is_over(run->worker);
    *now = clock_mono_ns();
    tally(&counts->asked);
    run->is_slow = *now - run->began > self->budget_ns;
    if (run->is_slow)
        tally(&counts->slow);
    if (answer == SMARTHOP_PENDING) {
        await(run, self);
        return false;
    }
    token_end(run, SLOT_ANSWERED);
    note_latency(counts, *now - run->began);
    if (!judge(run, self, answer, verdict))
        *verdict = blank;
    return true;
}

static bool has_to_wait(const struct plugin_run *run, const struct smarthop_self *self)
{
    return run->is_early && (self->plugin.flags & SMARTHOP_READS_HEADER) != 0;
}

/* Asks from run->at on, until one decides or promises an answer. */
static void go_on(struct plugin_run *run)
{
    struct smarthop_verdict verdict = blank;
    uint64_t now = clock_mono_ns();

    while (run->at < run->link_count && run->verdict.action == SMARTHOP_PASS) {
        const struct plugin_link *link = link_of(run);
        run->is_postponed = has_to_wait(run, link->self);
        if (run->is_postponed)
            break;
        if (!ask_one(run, link, &verdict, &now))
            return;
        run->at++;
    }
    finish(run);
}

void run_begin(struct plugin_run *run)
{
    run->is_slow = run->is_broken = false;
    run->is_pending = run->is_postponed = run->is_cancelled = false;
    run->verdict = blank;
    if (run->said != NULL)
        verdict_keep(&run->verdict, run->said);
    run->by = run->spoke = NULL;
    run->steps = NULL;
    run->problem = NULL;
    run->event.size = sizeof run->event;
    run->event.hook = run->hook;
    run->event.target_stride = sizeof(struct smarthop_target);
    slot_take(run);
    go_on(run);
}

void plugin_ask(struct plugin_worker *worker, struct plugin_run *run)
{
    worker_note_thread(worker);
    run->worker = worker;
    run->chain = worker->chain;
    run->has_chain = run->is_shadow = false;
    run->links = run->chain->links[run->hook];
    run->link_count = run->chain->link_count[run->hook];
    run->at = run->from;
    run->recipient = run->event.recipient;
    run_begin(run);
}

bool run_awaits(const struct plugin_run *run, const struct smarthop_self *self)
{
    return run->is_pending && link_of(run)->self == self;
}

void run_answer(struct plugin_run *run, const struct smarthop_verdict *verdict, const char *problem)
{
    struct smarthop_self *self = link_of(run)->self;

    run->is_pending = false;
    timer_stop(run->worker->loop, &run->deadline);
    token_end(run, SLOT_ANSWERED);
    note_latency(tally_of(run, self), clock_mono_ns() - run->began);
    if (problem != NULL)
        refuse(run, self, problem);
    else
        judge(run, self, verdict != NULL ? SMARTHOP_DONE : SMARTHOP_BROKEN, verdict);
    run->at++;
    go_on(run);
}

void run_cancel(struct plugin_run *run, enum slot_end why)
{
    run->is_cancelled = true;
    if (!run->is_pending)
        return;
    run->is_pending = false;
    timer_stop(run->worker->loop, &run->deadline);
    token_end(run, why);
    tell_cancelled(run, link_of(run)->self);
    finish(run);
}

void plugin_cancel(struct plugin_run *run)
{
    run_cancel(run, SLOT_CANCELLED);
}
