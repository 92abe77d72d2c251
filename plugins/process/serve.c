/* What the server asks. */
#include "plugins/process/process.h"

static struct list *askings_of(struct child *child, uint64_t token)
{
    return &child->askings[(token ^ token >> 32) % ASKING_LISTS];
}

void asked_unref(struct asked *asked)
{
    struct child *child = asked->lane->child;

    pthread_mutex_lock(&child->lock);
    bool is_last = --asked->users == 0;
    pthread_mutex_unlock(&child->lock);
    if (!is_last)
        return;
    content_fini(asked);
    arena_fini(&asked->arena);
    free(asked);
}

static void on_answered(struct call *call)
{
    struct asked *asked = container_of(call, struct asked, run.call);
    const struct plugin_run *run = &asked->run;
    struct wire_answer answer = {.verdict = run->is_broken ? NULL : &run->verdict};

    if (run->is_broken && run->problem != NULL)
        answer.problem = smarthop_span_of(run->problem, strlen(run->problem));
    if (!run->is_cancelled &&
        !lane_send(asked->lane, WIRE_ANSWER, asked->token, wire_write_answer, &answer)) {
        answer = (struct wire_answer){.problem = SMARTHOP_TEXT("an answer that is too long")};
        lane_send(asked->lane, WIRE_ANSWER, asked->token, wire_write_answer, &answer);
    }
    list_remove(&asked->among);
    content_take_back(asked);
    asked_unref(asked);
}

static bool ask(struct lane *lane, const struct wire_frame *frame)
{
    struct child *child = lane->child;
    struct asked *asked = mem_zalloc(sizeof *asked);

    arena_init(&asked->arena);
    list_init(&asked->among);
    asked->lane = lane;
    asked->token = frame->token;
    asked->users = 1;
    if (!wire_read_event(&asked->arena, frame->body, &asked->run.event)) {
        arena_fini(&asked->arena);
        free(asked);
        return false;
    }
    asked->run.hook = (enum smarthop_hook)asked->run.event.hook;
    asked->run.arena = &asked->arena;
    if (asked->run.hook == SMARTHOP_ON_MESSAGE)
        content_lend(asked);
    list_init(&asked->run.call.link);
    asked->run.call.done = on_answered;
    list_append(askings_of(child, frame->token), &asked->among);
    plugin_ask(child->worker, &asked->run);
    return true;
}

static bool cancel(struct lane *lane, const struct wire_frame *frame)
{
    uint64_t token = frame->token;
    struct list *askings = askings_of(lane->child, token);
    struct wire_parcel told;

    if (!wire_read_parcel(frame->body, &told))
        return false;

    for (struct list *at = askings->next; at != askings; at = at->next) {
        struct asked *asked = container_of(at, struct asked, among);
        if (asked->token == token && asked->lane == lane) {
            run_cancel(&asked->run, told.number != 0 ? SLOT_TIMED_OUT : SLOT_CANCELLED);
            break;
        }
    }
    lane_send(lane, WIRE_CANCELLED, token, NULL, NULL);
    return true;
}

static void drop(struct asked *asked)
{
    plugin_cancel(&asked->run);
    list_remove(&asked->run.call.link);
    list_remove(&asked->among);
    content_take_back(asked);
    asked_unref(asked);
}

void serve_drop(struct child *child)
{
    for (unsigned i = 0; i < ASKING_LISTS; i++)
        while (!list_is_empty(&child->askings[i]))
            drop(container_of(child->askings[i].next, struct asked, among));
}

/* ---- reload ------------------------------------------------------------------------------- */

static void run_reload(void *context)
{
    struct child *child = context;
    struct smarthop_self *self = child->chain->plugins[0];

    self_enter(self);
    child->is_refused = self->plugin.reload(self->state) != 0;
    self_exit(self);
}

static void reload(struct child *child);

static void on_reloaded(void *context)
{
    struct child *child = context;

    child->is_reloading = false;
    lane_send(child->lanes, WIRE_RELOADED, child->is_refused, NULL, NULL);
    if (child->reload_again)
        reload(child);
}

/* It may block, and what is asked meanwhile is answered as before. */
static void reload(struct child *child)
{
    struct smarthop_self *self = child->chain->plugins[0];

    child->reload_again = child->is_reloading;
    if (child->is_reloading || self->plugin.reload == NULL)
        return;
    child->is_reloading = work_start(self, 0, run_reload, on_reloaded, child);
}

bool serve_frame(struct lane *lane, const struct wire_frame *frame)
{
    switch (frame->kind) {
    case WIRE_ASK:
        return ask(lane, frame);
    case WIRE_CANCEL:
        return cancel(lane, frame);
    case WIRE_RELOAD:
        reload(lane->child);
        return true;
    case WIRE_FOUND:
        return services_found(lane->child, frame);
    case WIRE_PIECE:
        return content_take(lane->child, frame);
    case WIRE_STORED:
        return keep_take(lane->child, frame);
    case WIRE_ORDER:
        return order_take(lane->child, frame);
    case WIRE_STOP:
        loop_stop(lane->child->loop);
        return true;
    default:
        return false;
    }
}
