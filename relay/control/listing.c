/* The lists of sessions and of destinations: a page is asked for when the one before has left, so
 * one is held at most.
 */
#include "control/private.h"

#include <stdlib.h>

struct listing {
    struct local_stream stream;
    struct control_page page;
    void (*fill)(void *context, struct control_page *page);
    json_t *(*answer)(const struct control_page *page);
    struct control *control;
    struct local_peer *peer;
    bool asking; /* for a page */
    bool gone;
};

static void ask(struct listing *listing)
{
    arena_fini(&listing->page.arena);
    listing->page.count = 0;
    listing->asking = true;
    listing->fill(listing->control->actions.context, &listing->page);
}

static void end(struct listing *listing)
{
    arena_fini(&listing->page.arena);
    free(listing);
}

static void on_page(struct call *call)
{
    struct control_page *page = container_of(call, struct control_page, call);
    struct listing *listing = container_of(page, struct listing, page);

    listing->asking = false;
    if (listing->gone) {
        local_answer(listing->peer, SPAN_NONE);
        end(listing);
    } else if (page->more) {
        control_write(listing->peer, listing->answer(page));
    } else {
        control_answer(listing->peer, listing->answer(page));
        end(listing);
    }
}

static void on_drained(struct local_stream *stream)
{
    ask(container_of(stream, struct listing, stream));
}

static void on_gone(struct local_stream *stream)
{
    struct listing *listing = container_of(stream, struct listing, stream);

    listing->gone = true;
    if (listing->asking)
        return; /* on_page ends it */
    local_answer(listing->peer, SPAN_NONE);
    end(listing);
}

static void start(struct control *control, struct local_peer *peer,
                  void (*fill)(void *context, struct control_page *page),
                  json_t *(*answer)(const struct control_page *page))
{
    struct listing *listing = mem_zalloc(sizeof *listing);

    listing->stream.drained = on_drained;
    listing->stream.gone = on_gone;
    listing->fill = fill;
    listing->answer = answer;
    listing->control = control;
    listing->peer = peer;
    listing->page.home = control->loop;
    listing->page.call.done = on_page;
    list_init(&listing->page.call.link);
    arena_init(&listing->page.arena);
    local_stream(peer, &listing->stream);
    ask(listing);
}

void control_list_sessions(struct control *control, struct local_peer *peer, const json_t *command)
{
    (void)command;
    start(control, peer, control->actions.sessions, answer_sessions);
}

void control_list_destinations(struct control *control, struct local_peer *peer,
                               const json_t *command)
{
    (void)command;
    start(control, peer, control->actions.destinations, answer_destinations);
}
