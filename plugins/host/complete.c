/* Answers that come later, from any thread. */
#include "plugins/host/private.h"

#include "base/log.h"
#include "base/memory.h"

struct completion {
    struct call call;
    struct plugin_worker *worker;
    struct smarthop_self *self;
    uint64_t token;
    struct arena arena;
    struct smarthop_verdict verdict;
    bool is_broken; /* it could not find out */
    const char *problem;
};

/* ---- answers that nobody waits for -------------------------------------------------------- */

static void tell_stray(const struct smarthop_self *self, uint64_t token, enum stray kind)
{
    static const char *const texts[STRAYS] = {
        [STRAY_LATE] = "nobody waits for it",
        [STRAY_TWICE] = "it has been answered already",
        [STRAY_NEVER] = "there was never such a token",
        [STRAY_NOWHERE] = "there is no such token",
    };
    struct log_line line;

    if (!log_begin(&line, LOG_WARN, "plugin-completion"))
        return;
    log_text(&line, "plugin", self->name);
    log_u64(&line, "token", token);
    log_text(&line, "text", texts[kind]);
    log_end(&line);
}

bool stray_is(struct plugin_worker *worker, uint64_t token, enum stray *out)
{
    const struct slot *slot = token_slot(worker, token);
    bool is_known = slot != NULL && slot->is_over && slot->generation == token_generation(token);

    if (is_known && slot->end == SLOT_ANSWERED)
        *out = STRAY_TWICE;
    else
        *out = slot == NULL ? STRAY_NEVER : STRAY_LATE;
    return !is_known || slot->end != SLOT_CANCELLED;
}

void stray_note(struct smarthop_self *self, struct plugin_worker *worker, uint64_t token,
                enum stray kind)
{
    struct plugin_home *home = self->home;

    if (home->on_stray != NULL) {
        home->on_stray(self, token, kind);
        return;
    }
    if (kind == STRAY_TWICE)
        tally(&self->tallies[worker->index].twice);
    else if (kind != STRAY_NOWHERE)
        tally(&self->tallies[worker->index].late);
    tell_stray(self, token, kind);
}

/* ---- answers ------------------------------------------------------------------------------ */

static void hand_over(struct completion *c)
{
    struct slot *slot = token_living(c->worker, c->token);
    enum stray stray;

    if (slot != NULL && run_awaits(slot->run, c->self))
        run_answer(slot->run, c->is_broken ? NULL : &c->verdict, c->problem);
    else if (stray_is(c->worker, c->token, &stray))
        stray_note(c->self, c->worker, c->token, stray);
}

static void on_completion(struct call *call)
{
    struct completion *c = container_of(call, struct completion, call);

    if (!c->self->home->is_over)
        hand_over(c);
    arena_fini(&c->arena);
    self_unref(c->self);
    free(c);
}

void service_complete(struct smarthop_self *self, uint64_t token,
                      const struct smarthop_verdict *verdict)
{
    struct plugin_worker *worker = token != 0 ? token_worker(self->home, token) : NULL;

    if (worker == NULL) {
        stray_note(self, NULL, token, STRAY_NOWHERE);
        return;
    }
    struct completion *c = mem_zalloc(sizeof *c);
    c->worker = worker;
    c->self = self_ref(self);
    c->token = token;
    arena_init(&c->arena);
    c->is_broken = verdict == NULL;
    if (!c->is_broken)
        c->problem = verdict_copy(&c->arena, verdict, &c->verdict);
    list_init(&c->call.link);
    c->call.done = on_completion;
    inbox_post(&worker->inbox, &c->call);
}
