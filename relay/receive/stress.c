/*
 * When sessions become scarce: shorter waits for all, and those that have done nothing make room.
 * No step of it touches more sessions than fit between two looks at the sockets.
 */
#include "receive/session.h"

enum { WATCH_MS = 1000, PATROL_PAUSE_MS = 1 };

static void on_patrol(struct timer *timer)
{
    struct receive_server *server = container_of(timer, struct receive_server, patrol);
    unsigned end = server->patrol_place + RECEIVE_STEP;

    for (struct session *s;
         (s = roster_next(&server->sessions, &server->patrol_place, end)) != NULL;) {
        session_hurry(s);
        tapped_join(s);
    }
    if (server->patrol_place < server->sessions.place_count)
        timer_start(server->loop, timer, PATROL_PAUSE_MS, on_patrol);
}

void patrol_start(struct receive_server *server)
{
    server->patrol_place = 0;
    timer_start(server->loop, &server->patrol, PATROL_PAUSE_MS, on_patrol);
}

void stress_notice(struct receive_server *server)
{
    bool is_stressed = receive_limits_are_stressed(server->limits);

    if (is_stressed == server->is_stressed)
        return;
    server->is_stressed = is_stressed;
    patrol_start(server);
}

static void on_watch(struct timer *timer)
{
    struct receive_server *server = container_of(timer, struct receive_server, watch);

    receive_limits_watch(server->limits, server->conf);
    stress_notice(server);
    stress_watch(server);
}

void stress_watch(struct receive_server *server)
{
    if (!timer_is_active(&server->watch) && (server->sessions.count > 0 || server->is_stressed))
        timer_start(server->loop, &server->watch, WATCH_MS, on_watch);
}

bool receive_server_make_room(struct receive_server *server)
{
    if (list_is_empty(&server->idle))
        return false;
    struct session *s = container_of(server->idle.next, struct session, idle);
    if (loop_now(server->loop) - s->active < server->conf->stress_idle_min)
        return false;
    count(&server->counters.gave_way);
    session_give_way(s);
    return true;
}
