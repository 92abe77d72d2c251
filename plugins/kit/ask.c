/* Asking one hook, and what may go wrong with it. */
#include "plugins/kit/private.h"

#include "base/clock.h"
#include "base/memory.h"

enum { DRAIN_MOST_MS = 500 };

static const struct smarthop_verdict blank = {.size = sizeof blank};

struct asking *asking_find(struct kit *kit, uint64_t token)
{
    for (struct list *node = kit->askings.prev; node != &kit->askings; node = node->prev) {
        struct asking *asking = container_of(node, struct asking, link);
        if (asking->token == token)
            return asking;
    }
    return NULL;
}

/* Tokens look like the daemon's: large, and not one behind the other. */
static struct asking *begin(struct kit *kit, enum smarthop_hook hook)
{
    struct asking *asking = mem_zalloc(sizeof *asking);

    list_init(&asking->link);
    arena_init(&asking->arena);
    buf_init(&asking->body, 0);
    asking->hook = hook;
    asking->verdict = blank;
    pthread_mutex_lock(&kit->lock);
    kit->last_token += (UINT64_C(1) << 32) + 7;
    asking->token = UINT64_C(1) << 56 | kit->last_token;
    list_append(&kit->askings, &asking->link);
    pthread_mutex_unlock(&kit->lock);
    return asking;
}

/* Its name stays, for answers that come too late. */
static void end(struct asking *asking)
{
    arena_fini(&asking->arena);
    buf_fini(&asking->body);
}

static void be_over(struct kit *kit, struct asking *asking, bool is_given_up)
{
    pthread_mutex_lock(&kit->lock);
    asking->is_over = true;
    asking->is_given_up = is_given_up;
    tasks_drop(kit, asking->token);
    pthread_mutex_unlock(&kit->lock);
}

void askings_free(struct kit *kit)
{
    for (struct list *node; (node = list_pop(&kit->askings)) != NULL;)
        free(container_of(node, struct asking, link));
}

static void phase_of(struct kit *kit, const char *what, enum smarthop_hook hook)
{
    char text[PHASE_MAX];

    snprintf(text, sizeof text, "%s %s", what, plugin_hook_name(hook));
    kit_phase(kit, text);
}

static void give_up(struct kit *kit, struct asking *asking)
{
    be_over(kit, asking, true);
    phase_of(kit, "cancelling", asking->hook);
    if (kit->self->plugin.cancel != NULL)
        kit->self->plugin.cancel(kit->self->state, asking->token);
}

/* One call of the hook, whose event is on `stage`. */
static int call(struct kit *kit, struct asking *asking, const struct stage *stage,
                struct smarthop_verdict *given)
{
    *given = blank;
    phase_of(kit, "hook", asking->hook);
    return kit->self->plugin.hooks[asking->hook](kit->self->state, stage->event, given);
}

static bool has_answer(struct kit *kit, const struct asking *asking)
{
    pthread_mutex_lock(&kit->lock);
    bool has = asking->completions > 0;
    pthread_mutex_unlock(&kit->lock);
    return has;
}

/* NULL: the promised answer is there. */
static const char *wait_for(struct kit *kit, const struct asking *asking)
{
    uint64_t until = bounded_sum(kit->now, kit->self->timeout_ms);
    bool goes_on = true;

    while (goes_on && !has_answer(kit, asking) && kit_has_more(kit))
        goes_on = kit_step(kit, until);
    if (has_answer(kit, asking))
        return NULL;
    return kit_has_more(kit) ? "it has promised an answer that did not come within its timeout"
                             : "it has promised an answer, and nothing is left that could bring it";
}

/* What still comes behind the end of an asking; threads of the plugin's may run for ever. */
static void drain(struct kit *kit)
{
    uint64_t until = bounded_sum(kit->now, kit->self->timeout_ms);
    uint64_t patience = clock_mono_ms() + DRAIN_MOST_MS;

    while (kit_has_more(kit) && kit_step(kit, until) && clock_mono_ms() < patience) {
    }
}

/* ---- races --------------------------------------------------------------------------------- */

static void race_given_up(struct kit *kit, enum smarthop_hook hook, const struct scene *scene)
{
    struct asking *asking = begin(kit, hook);
    struct smarthop_verdict given;
    struct stage stage;

    stage_set(&stage, hook, asking->token, scene);
    bool is_pending = call(kit, asking, &stage, &given) == SMARTHOP_PENDING;
    if (is_pending && kit->order->race == KIT_RACE_LATE)
        wait_for(kit, asking);
    if (is_pending) {
        give_up(kit, asking);
        stage_clear(&stage);
        drain(kit);
        record_race(kit, hook,
                    kit->order->race == KIT_RACE_LATE ? "given up as the answer came"
                                                      : "given up before the answer");
    } else {
        be_over(kit, asking, false);
        stage_clear(&stage);
    }
    end(asking);
}

/* Two at the same time, the second of them answered first where it can be. */
static void race_double(struct kit *kit, enum smarthop_hook hook, const struct scene *scene)
{
    struct asking *askings[2];
    struct stage stages[2];
    bool is_pending[2];
    struct smarthop_verdict given;

    for (int i = 0; i < 2; i++) {
        askings[i] = begin(kit, hook);
        stage_set(&stages[i], hook, askings[i]->token, scene);
        is_pending[i] = call(kit, askings[i], &stages[i], &given) == SMARTHOP_PENDING;
        if (!is_pending[i])
            be_over(kit, askings[i], false);
    }
    for (int i = 0; i < 2; i++) {
        const char *problem = is_pending[i] ? wait_for(kit, askings[i]) : NULL;
        if (problem != NULL)
            record_problem(kit, problem);
        if (is_pending[i])
            be_over(kit, askings[i], false);
        stage_clear(&stages[i]);
    }
    drain(kit);
    if (is_pending[0])
        record_race(kit, hook, "asked twice at the same time");
    end(askings[0]);
    end(askings[1]);
}

static void race(struct kit *kit, enum smarthop_hook hook, const struct scene *scene)
{
    if (kit->order->race == KIT_RACE_DOUBLE)
        race_double(kit, hook, scene);
    else if (kit->order->race != KIT_NO_RACE)
        race_given_up(kit, hook, scene);
}

/* ---- the answer ---------------------------------------------------------------------------- */

/* What it could not say its fail mode says. */
static void fall_back(const struct kit *kit, struct smarthop_verdict *out)
{
    *out = blank;
    if (kit->self->fail_mode == SMARTHOP_FAIL_DEFER)
        out->action = SMARTHOP_DEFER;
}

/* A verdict that has come, copied; false where it cannot be used. */
static bool judge(struct kit *kit, const struct asking *asking, const char *problem,
                  struct smarthop_verdict *out)
{
    if (problem == NULL && !verdict_suits(asking->hook, out->action))
        problem = "an action that this hook does not have";
    if (problem == NULL && out->replace_body != 0 && buf_len(&asking->body) == 0)
        problem = "a body is to be replaced by nothing";
    if (problem != NULL) {
        record_problem(kit, problem);
        fall_back(kit, out);
        return false;
    }
    problem = asking->hook == SMARTHOP_ON_ROUTE ? usable_problem(out) : NULL;
    if (problem != NULL) {
        record_problem(kit, problem);
        *out = blank;
        out->action = SMARTHOP_DEFER;
    }
    return problem == NULL;
}

static const char *take_promised(struct kit *kit, struct asking *asking,
                                 struct smarthop_verdict *out)
{
    const char *problem = wait_for(kit, asking);

    if (problem != NULL) {
        phase_of(kit, "waiting for", asking->hook);
        record_problem(kit, problem);
        give_up(kit, asking);
        fall_back(kit, out);
        return "not in time";
    }
    be_over(kit, asking, false);
    if (asking->is_broken) {
        fall_back(kit, out);
        return "not found out";
    }
    *out = asking->verdict;
    return judge(kit, asking, asking->problem, out) ? "later" : "unusable";
}

static const char *take_answer(struct kit *kit, struct asking *asking, int answer,
                               const struct smarthop_verdict *given, struct smarthop_verdict *out)
{
    const char *how = "at once";

    if (answer == SMARTHOP_PENDING)
        return take_promised(kit, asking, out);
    if (answer == SMARTHOP_DONE) {
        const char *problem = verdict_copy(&asking->arena, given, out);
        how = judge(kit, asking, problem, out) ? how : "unusable";
        if (has_answer(kit, asking))
            record_problem(kit, "it completes what it has answered at once");
    } else {
        if (answer != SMARTHOP_BROKEN)
            record_problem(kit, "it returns what is neither done, pending nor broken");
        fall_back(kit, out);
        how = "not found out";
    }
    be_over(kit, asking, false);
    return how;
}

void kit_ask(struct kit *kit, enum smarthop_hook hook, const struct scene *scene,
             struct arena *arena, struct smarthop_verdict *out)
{
    struct smarthop_verdict given, verdict = blank;
    struct stage stage;

    *out = blank;
    if (kit->self->plugin.hooks[hook] == NULL)
        return;
    race(kit, hook, scene);
    struct asking *asking = begin(kit, hook);
    uint64_t began = kit->now;
    stage_set(&stage, hook, asking->token, scene);
    int answer = call(kit, asking, &stage, &given);
    const char *how = take_answer(kit, asking, answer, &given, &verdict);
    stage_clear(&stage);
    record_decision(kit, asking, scene, how, kit->now - began, &verdict);
    verdict_copy(arena, &verdict, out);
    end(asking);
}
