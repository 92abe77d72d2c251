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
    const char *problem;
};

static void tell(const struct completion *c, const char *text)
{
    struct log_line line;

    if (!log_begin(&line, LOG_WARN, "plugin-completion"))
        return;
    log_text(&line, "plugin", c->self->name);
    log_u64(&line, "token", c->token);
    log_text(&line, "text", text);
    log_end(&line);
}

/* Nobody waits for it. */
static void count_stray(const struct completion *c, const struct slot *slot)
{
    struct tally *counts = &c->self->tallies[c->worker->index];
    bool is_known = slot != NULL && slot->is_over && slot->generation == token_generation(c->token);

    if (is_known && slot->end == SLOT_CANCELLED)
        return; /* it cannot have known */
    if (is_known && slot->end == SLOT_ANSWERED) {
        tally(&counts->twice);
        tell(c, "it has been answered already");
    } else {
        tally(&counts->late);
        tell(c, slot == NULL ? "there was never such a token" : "nobody waits for it");
    }
}

static void hand_over(struct completion *c)
{
    struct slot *slot = token_living(c->worker, c->token);

    if (slot != NULL && run_awaits(slot->run, c->self))
        run_answer(slot->run, &c->verdict, c->problem);
    else
        count_stray(c, token_slot(c->worker, c->token));
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
    struct log_line line;

    if (worker == NULL) {
        if (log_begin(&line, LOG_WARN, "plugin-completion")) {
            log_text(&line, "plugin", self->name);
            log_text(&line, "text", "there is no such token");
            log_end(&line);
        }
        return;
    }
    struct completion *c = mem_zalloc(sizeof *c);
    c->worker = worker;
    c->self = self_ref(self);
    c->token = token;
    arena_init(&c->arena);
    c->problem = verdict_copy(&c->arena, verdict, &c->verdict);
    list_init(&c->call.link);
    c->call.done = on_completion;
    inbox_post(&worker->inbox, &c->call);
}
