/* Asking the plugins of a chain, one after the other. */
#include "plugins/host/private.h"

#include "base/clock.h"
#include "base/log.h"

static const struct smarthop_verdict blank = {.size = sizeof blank};

bool plugin_worker_wants(const struct plugin_worker *worker, enum smarthop_hook hook)
{
    return worker != NULL && worker->chain != NULL &&
           worker->chain->link_count[hook] + worker->chain->shadow_count[hook] > 0;
}

static const struct link *link_of(const struct plugin_run *run)
{
    return &run->chain->links[run->hook][run->at];
}

static struct tally *tally_of(const struct plugin_run *run, struct smarthop_self *self)
{
    return &self->tallies[run->worker->index];
}

static void finish(struct plugin_run *run)
{
    slot_release(run);
    plugin_chain_unref(run->chain);
    run->chain = NULL;
    loop_defer(run->worker->loop, &run->call);
}

/* What it could not say its fail mode says. */
static void fall_back(struct plugin_run *run, struct smarthop_self *self)
{
    struct smarthop_verdict verdict = blank;

    breaker_note(self, false, loop_now(run->worker->loop));
    if (self->fail_mode == SMARTHOP_FAIL_OPEN)
        return;
    verdict.action = SMARTHOP_DEFER;
    verdict.code = 451;
    memcpy(verdict.enhanced, (uint8_t[]){4, 3, 0}, sizeof verdict.enhanced);
    verdict.text = SMARTHOP_TEXT("Temporary failure of a local filter, try again later");
    verdict.why = SMARTHOP_TEXT("it could not answer");
    verdict_merge(run->arena, &run->verdict, &verdict);
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
    if (run->event.message != NULL && run->event.message->id != 0)
        log_u64(&line, "message", run->event.message->id);
    if (run->event.session != NULL)
        log_u64(&line, "sid", run->event.session->id);
    log_end(&line);
}

static void note_latency(struct tally *to, uint64_t ns)
{
    unsigned step = 0;

    for (uint64_t us = ns / 1000; us > 0 && step < PLUGIN_LATENCIES - 1; us /= 2)
        step++;
    tally(&to->latencies[step]);
}

/* A sound answer of the plugin that is being asked. */
static void take(struct plugin_run *run, struct smarthop_self *self,
                 const struct smarthop_verdict *verdict)
{
    tally(&tally_of(run, self)->actions[verdict->action]);
    verdict_merge(run->arena, &run->verdict, verdict);
    if (verdict->action != SMARTHOP_PASS)
        run->by = arena_dup(run->arena, span_cstr(self->name)).ptr;
}

/* The answer as the plugin gave it. */
static void judge(struct plugin_run *run, struct smarthop_self *self, int answer,
                  const struct smarthop_verdict *given)
{
    struct smarthop_verdict verdict;
    const char *problem = NULL;

    if (answer == SMARTHOP_DONE && memcmp(given, &blank, sizeof blank) == 0) {
        tally(&tally_of(run, self)->actions[SMARTHOP_PASS]);
        breaker_note(self, true, loop_now(run->worker->loop));
        return;
    }
    if (answer != SMARTHOP_DONE) {
        tally(&tally_of(run, self)->broken);
        fall_back(run, self);
        return;
    }
    problem = verdict_copy(run->arena, given, &verdict);
    if (problem == NULL && !verdict_suits(run->hook, verdict.action))
        problem = "an action that this hook does not have";
    if (problem != NULL) {
        tally(&tally_of(run, self)->invalid);
        tell(run, self, "plugin-invalid", problem);
        fall_back(run, self);
        return;
    }
    breaker_note(self, true, loop_now(run->worker->loop));
    take(run, self, &verdict);
}

static int call(struct smarthop_self *self, smarthop_hook_function ask,
                const struct smarthop_event *event, struct smarthop_verdict *verdict)
{
    bool serial = (self->plugin.flags & SMARTHOP_SERIAL) != 0;

    if (serial)
        pthread_mutex_lock(&self->serial);
    int answer = ask(self->state, event, verdict);
    if (serial)
        pthread_mutex_unlock(&self->serial);
    return answer;
}

static void go_on(struct plugin_run *run);

static void on_deadline(struct timer *timer)
{
    struct plugin_run *run = container_of(timer, struct plugin_run, deadline);
    struct smarthop_self *self = link_of(run)->self;

    run->is_pending = false;
    token_end(run, SLOT_TIMED_OUT);
    tally(&tally_of(run, self)->timed_out);
    tell(run, self, "plugin-timeout", "it has promised an answer that did not come");
    if (self->plugin.cancel != NULL)
        self->plugin.cancel(self->state, run->event.token);
    fall_back(run, self);
    run->at++;
    go_on(run);
}

/* False: its answer is pending. */
static bool ask_one(struct plugin_run *run, const struct link *link)
{
    struct smarthop_self *self = link->self;
    struct tally *counts = tally_of(run, self);
    struct smarthop_verdict verdict = blank;

    if (!breaker_lets_through(self, loop_now(run->worker->loop))) {
        tally(&counts->bypassed);
        if (self->fail_mode != SMARTHOP_FAIL_OPEN)
            judge(run, self, SMARTHOP_BROKEN, NULL);
        return true;
    }
    run->event.token = token_begin(run);
    run->began = clock_mono_ns();
    int answer = call(self, link->ask, &run->event, &verdict);
    uint64_t spent = clock_mono_ns() - run->began;
    tally(&counts->asked);
    if (spent > self->budget_ns) {
        tally(&counts->slow);
        breaker_note(self, false, loop_now(run->worker->loop));
    }
    if (answer == SMARTHOP_PENDING) {
        tally(&counts->pending);
        run->is_pending = true;
        timer_start(run->worker->loop, &run->deadline, self->timeout_ms, on_deadline);
        return false;
    }
    token_end(run, SLOT_ANSWERED);
    note_latency(counts, spent);
    judge(run, self, answer, &verdict);
    return true;
}

static bool has_to_wait(const struct plugin_run *run, const struct smarthop_self *self)
{
    return run->is_early && (self->plugin.flags & SMARTHOP_READS_HEADER) != 0;
}

/* Asks from run->at on, until one decides or promises an answer. */
static void go_on(struct plugin_run *run)
{
    while (run->at < run->chain->link_count[run->hook] && run->verdict.action == SMARTHOP_PASS) {
        const struct link *link = link_of(run);
        run->is_postponed = has_to_wait(run, link->self);
        if (run->is_postponed)
            break;
        if (!ask_one(run, link))
            return;
        run->at++;
    }
    finish(run);
}

void plugin_ask(struct plugin_worker *worker, struct plugin_run *run)
{
    run->worker = worker;
    run->chain = plugin_chain_ref(worker->chain);
    run->at = 0;
    run->is_pending = run->is_postponed = run->is_cancelled = false;
    run->verdict = blank;
    run->by = NULL;
    run->event.size = sizeof run->event;
    run->event.hook = run->hook;
    run->event.target_stride = sizeof(struct smarthop_target);
    slot_take(run);
    go_on(run);
}

void run_answer(struct plugin_run *run, const struct smarthop_verdict *verdict, const char *problem)
{
    struct smarthop_self *self = link_of(run)->self;

    run->is_pending = false;
    timer_stop(run->worker->loop, &run->deadline);
    token_end(run, SLOT_ANSWERED);
    note_latency(tally_of(run, self), clock_mono_ns() - run->began);
    if (problem != NULL)
        tell(run, self, "plugin-invalid", problem);
    judge(run, self, problem != NULL ? SMARTHOP_BROKEN : SMARTHOP_DONE, verdict);
    run->at++;
    go_on(run);
}

void plugin_cancel(struct plugin_run *run)
{
    run->is_cancelled = true;
    if (!run->is_pending)
        return;
    struct smarthop_self *self = link_of(run)->self;
    run->is_pending = false;
    timer_stop(run->worker->loop, &run->deadline);
    token_end(run, SLOT_CANCELLED);
    if (self->plugin.cancel != NULL)
        self->plugin.cancel(self->state, run->event.token);
    finish(run);
}
