/* What the server asks. */
#include "plugins/process/process.h"

static struct list *askings_of(struct child *child, uint64_t token)
{
    return &child->askings[(token ^ token >> 32) % ASKING_LISTS];
}

static void on_answered(struct call *call)
{
    struct asked *asked = container_of(call, struct asked, run.call);
    const struct plugin_run *run = &asked->run;

    if (!run->is_cancelled && !lane_send(asked->lane, WIRE_ANSWER, asked->token, wire_write_verdict,
                                         run->is_broken ? NULL : &run->verdict))
        lane_send(asked->lane, WIRE_ANSWER, asked->token, wire_write_verdict, NULL);
    list_remove(&asked->among);
    arena_fini(&asked->arena);
    free(asked);
}

static bool ask(struct lane *lane, const struct wire_frame *frame)
{
    struct child *child = lane->child;
    struct asked *asked = mem_zalloc(sizeof *asked);

    arena_init(&asked->arena);
    list_init(&asked->among);
    asked->lane = lane;
    asked->token = frame->token;
    if (!wire_read_event(&asked->arena, frame->body, &asked->run.event)) {
        arena_fini(&asked->arena);
        free(asked);
        return false;
    }
    asked->run.hook = (enum smarthop_hook)asked->run.event.hook;
    asked->run.arena = &asked->arena;
    list_init(&asked->run.call.link);
    asked->run.call.done = on_answered;
    list_append(askings_of(child, frame->token), &asked->among);
    plugin_ask(child->worker, &asked->run);
    return true;
}

static void cancel(struct lane *lane, uint64_t token)
{
    struct list *askings = askings_of(lane->child, token);

    for (struct list *at = askings->next; at != askings; at = at->next) {
        struct asked *asked = container_of(at, struct asked, among);
        if (asked->token == token && asked->lane == lane) {
            plugin_cancel(&asked->run);
            break;
        }
    }
    lane_send(lane, WIRE_CANCELLED, token, NULL, NULL);
}

static void drop(struct asked *asked)
{
    plugin_cancel(&asked->run);
    list_remove(&asked->run.call.link);
    list_remove(&asked->among);
    arena_fini(&asked->arena);
    free(asked);
}

void serve_drop(struct child *child)
{
    for (unsigned i = 0; i < ASKING_LISTS; i++)
        while (!list_is_empty(&child->askings[i]))
            drop(container_of(child->askings[i].next, struct asked, among));
}

/* ---- reload ------------------------------------------------------------------------------- */

static void run_reload(struct work *work)
{
    struct child *child = container_of(work, struct child, reload);
    struct smarthop_self *self = child->chain->plugins[0];

    self_enter(self);
    child->is_refused = self->plugin.reload(self->state) != 0;
    self_exit(self);
}

static void reload(struct child *child);

static void on_reloaded(struct call *call)
{
    struct child *child = container_of(call, struct child, reload.call);

    child->is_reloading = false;
    lane_send(child->lanes, WIRE_RELOADED, child->is_refused, NULL, NULL);
    if (child->reload_again)
        reload(child);
}

/* It may block, and what is asked meanwhile is answered as before. */
static void reload(struct child *child)
{
    child->reload_again = child->is_reloading;
    if (child->is_reloading || child->chain->plugins[0]->plugin.reload == NULL)
        return;
    child->is_reloading = true;
    child->reload.run = run_reload;
    child->reload.call.done = on_reloaded;
    loop_work(child->loop, &child->reload);
}

bool serve_frame(struct lane *lane, const struct wire_frame *frame)
{
    switch (frame->kind) {
    case WIRE_ASK:
        return ask(lane, frame);
    case WIRE_CANCEL:
        cancel(lane, frame->token);
        return true;
    case WIRE_RELOAD:
        reload(lane->child);
        return true;
    case WIRE_FOUND:
        return services_found(lane->child, frame);
    default:
        return false;
    }
}
