/* Plugins that are asked without effect: behind each asking's end, about copies of what it was
 * about, one by one. Where the answer differs from what was decided the log says so. */
#include "plugins/host/private.h"

/* What copies may take where shadows are slow; beyond it they are not asked. */
enum { SHADOWS_MOST = 1000 };

struct shadow {
    struct list among; /* worker's */
    struct call begin;
    struct plugin_run run;
    struct smarthop_self *self;
    struct arena arena;
    struct smarthop_verdict did; /* in the arena */
    bool was_alone;              /* one plugin has said all of it */
};

/* ---- copies ------------------------------------------------------------------------------- */

static void own(struct arena *arena, struct smarthop_span *span)
{
    *span = plugin_text(arena_dup(arena, plugin_span(*span)));
}

static void *copy_of(struct arena *arena, const void *from, size_t size)
{
    return memcpy(arena_alloc(arena, size), from, size);
}

static void copy_session(struct arena *arena, struct smarthop_event *event)
{
    if (event->session == NULL)
        return;
    struct smarthop_session *s = copy_of(arena, event->session, sizeof *s);
    own(arena, &s->address);
    own(arena, &s->name);
    own(arena, &s->helo);
    own(arena, &s->user);
    own(arena, &s->mechanism);
    own(arena, &s->listener);
    event->session = s;
}

static void copy_message(struct arena *arena, struct smarthop_event *event)
{
    if (event->message == NULL)
        return;
    struct smarthop_message *m = copy_of(arena, event->message, sizeof *m);
    own(arena, &m->sender);
    own(arena, &m->envid);
    own(arena, &m->tenant);
    own(arena, &m->header);
    own(arena, &m->tags);
    event->message = m;
}

static void copy_recipient(struct arena *arena, struct smarthop_event *event)
{
    if (event->recipient == NULL)
        return;
    struct smarthop_recipient *r = copy_of(arena, event->recipient, sizeof *r);
    own(arena, &r->address);
    own(arena, &r->local);
    own(arena, &r->domain);
    own(arena, &r->orcpt);
    event->recipient = r;
}

static void copy_attempt(struct arena *arena, struct smarthop_event *event)
{
    if (event->attempt == NULL)
        return;
    struct smarthop_attempt *a = copy_of(arena, event->attempt, sizeof *a);
    own(arena, &a->next_hop);
    own(arena, &a->host);
    own(arena, &a->address);
    own(arena, &a->tls);
    own(arena, &a->reply);
    event->attempt = a;
}

static void copy_targets(struct arena *arena, struct smarthop_event *event)
{
    if (event->target_count == 0)
        return;
    struct smarthop_target *targets =
        copy_of(arena, event->targets, event->target_count * sizeof *targets);
    for (uint32_t i = 0; i < event->target_count; i++) {
        own(arena, &targets[i].host);
        own(arena, &targets[i].address);
    }
    event->targets = targets;
}

static void copy_event(struct arena *arena, struct smarthop_event *event)
{
    copy_session(arena, event);
    copy_message(arena, event);
    copy_recipient(arena, event);
    copy_attempt(arena, event);
    copy_targets(arena, event);
}

/* ---- comparing ---------------------------------------------------------------------------- */

static void tell(const struct shadow *s, struct span would, struct span did)
{
    struct log_line line;

    if (!log_begin(&line, LOG_INFO, "shadow-differs"))
        return;
    log_text(&line, "plugin", s->self->name);
    log_text(&line, "hook", plugin_hook_name(s->run.hook));
    log_span(&line, "would", would);
    log_span(&line, "did", did);
    event_log(&line, &s->run.event);
    log_end(&line);
}

/* ---- asking ------------------------------------------------------------------------------- */

static void shadow_free(struct shadow *s)
{
    list_remove(&s->among);
    s->run.worker->shadow_count--;
    arena_fini(&s->arena);
    self_unref(s->self);
    free(s);
}

static void on_answered(struct call *call)
{
    struct shadow *s = container_of(call, struct shadow, run.call);

    if (!s->run.is_broken && !s->run.is_postponed) {
        struct span would, did;
        if (verdict_differs(&s->arena, &s->run.verdict, &s->did, s->was_alone, &would, &did)) {
            tally(&s->self->tallies[s->run.worker->index].differs);
            tell(s, would, did);
        }
    }
    shadow_free(s);
}

static void on_begin(struct call *call)
{
    run_begin(&container_of(call, struct shadow, begin)->run);
}

static void ask(const struct plugin_run *run, const struct plugin_link *link)
{
    struct plugin_worker *worker = run->worker;
    struct shadow *s = mem_zalloc(sizeof *s);

    arena_init(&s->arena);
    s->self = self_ref(link->self);
    verdict_dup(&s->arena, &run->verdict, &s->did);
    s->was_alone = run->chain->link_count[run->hook] <= 1 && run->said == NULL;
    s->run.hook = run->hook;
    s->run.event = run->event;
    copy_event(&s->arena, &s->run.event);
    s->run.arena = &s->arena;
    s->run.is_early = run->is_early;
    s->run.worker = worker;
    s->run.chain = plugin_chain_ref(run->chain);
    s->run.has_chain = s->run.is_shadow = true;
    s->run.links = link;
    s->run.link_count = 1;
    list_init(&s->run.call.link);
    s->run.call.done = on_answered;
    list_append(&worker->shadows, &s->among);
    worker->shadow_count++;
    list_init(&s->begin.link);
    s->begin.done = on_begin;
    loop_defer(worker->loop, &s->begin);
}

void shadows_ask(const struct plugin_run *run)
{
    const struct plugin_chain *chain = run->chain;

    for (unsigned i = 0; i < chain->shadow_count[run->hook]; i++) {
        const struct plugin_link *link = &chain->shadows[run->hook][i];
        if (run->worker->shadow_count < SHADOWS_MOST)
            ask(run, link);
        else
            tally(&link->self->tallies[run->worker->index].bypassed);
    }
}

void shadows_drop(struct plugin_worker *worker)
{
    while (!list_is_empty(&worker->shadows)) {
        struct shadow *s = container_of(worker->shadows.next, struct shadow, among);
        plugin_cancel(&s->run);
        if (list_is_linked(&s->begin.link))
            plugin_chain_unref(s->run.chain);
        list_remove(&s->begin.link);
        list_remove(&s->run.call.link);
        shadow_free(s);
    }
}
