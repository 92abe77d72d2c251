/*
 * IDLE (RFC 2177, RFC 9051 6.3.13): what happens in the selected mailbox is told as it happens.
 */
#include "plugins/drop/imap/session.h"

#include <stdlib.h>

/* It outlives its session's interest by a moment, and its session waits for that. */
struct imap_watch {
    struct mailstore_watch watch;
    struct imap_session *session;
};

static bool may_tell(const struct imap_session *s)
{
    return s->state == IMAP_SESSION_IDLE && s->is_news && !conn_is_congested(s->drop.conn);
}

static void tell_news(struct imap_session *s)
{
    s->is_news = false;
    arena_fini(&s->arena);
    arena_init(&s->arena);
    imap_sync_start(s, true);
}

static void on_changed(struct mailstore_watch *watch)
{
    struct imap_session *s = container_of(watch, struct imap_watch, watch)->session;

    s->is_news = true;
    imap_run(s);
}

static void on_ended(struct mailstore_watch *watch)
{
    struct imap_watch *ended = container_of(watch, struct imap_watch, watch);
    struct imap_session *s = ended->session;

    free(ended);
    s->pending--;
    imap_release(s);
}

void imap_watch_end(struct imap_session *s)
{
    if (s->watch == NULL)
        return;
    s->pending++;
    mailstore_watch_stop(&s->watch->watch, on_ended);
    s->watch = NULL;
}

void imap_do_idle(struct imap_session *s)
{
    if (imap_is_selected(s) && s->watch == NULL) {
        s->watch = mem_zalloc(sizeof *s->watch);
        s->watch->session = s;
        s->watch->watch.changed = on_changed;
        mailstore_watch_start(s->drop.worker->store, &s->watch->watch, s->drop.worker->loop,
                              s->view.box);
    }
    buf_add(imap_out(s), SPAN("+ idling\r\n"));
    imap_written(s);
    s->is_idling = true;
    s->is_news = true; /* of before */
    imap_enter(s, IMAP_SESSION_IDLE);
}

bool imap_idle_take(struct imap_session *s)
{
    enum { LINE_MAX = 100 };
    struct span input = conn_input(s->drop.conn);
    size_t len = span_index(input, '\n');

    if (may_tell(s)) {
        tell_news(s);
        return true;
    }
    if (len == input.len && len < LINE_MAX)
        return false;
    struct span line = span_head(input, len);
    if (line.len > 0 && line.ptr[line.len - 1] == '\r')
        line.len--;
    s->is_idling = false;
    bool is_done = span_equal_nocase(line, SPAN("DONE"));
    conn_consume(s->drop.conn, len < input.len ? len + 1 : len);
    if (is_done)
        imap_say_ok(s, "Idled");
    else
        imap_say_bad(s, "DONE was expected");
    return true;
}
