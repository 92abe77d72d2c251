/*
 * Two addresses of one host, of different families (RFC 8305 5, as far as one pair goes): the
 * second is connected to when the first has failed or has not answered for a while, and goes on
 * beside it. Whichever is connected first becomes the session's; the other one is closed without
 * a word, and nobody is told of it.
 */
#include "deliver/session.h"

static void drop(struct conn **conn)
{
    conn_set_owner(*conn, NULL, NULL);
    conn_close(*conn);
    *conn = NULL;
}

static struct conn *connect_second(struct deliver_session *s)
{
    struct conn *conn = deliver_connect(s, (const struct sockaddr *)&s->race.address);

    s->race.is_begun = true;
    conn_deadline(conn, s->options.deadlines.connect);
    return conn;
}

static void on_delay(struct timer *timer)
{
    struct deliver_session *s = container_of(timer, struct deliver_session, race.delay);

    s->race.conn = connect_second(s);
}

void deliver_race_begin(struct deliver_session *s)
{
    if (s->options.second_after == 0)
        return;
    s->race.is_open = true;
    timer_start(s->options.loop, &s->race.delay, s->options.second_after, on_delay);
}

void deliver_race_end(struct deliver_session *s)
{
    s->race.is_open = false;
    timer_stop(s->options.loop, &s->race.delay);
    if (s->race.conn != NULL)
        drop(&s->race.conn);
}

/* From now on the session's own is the second. */
static void change_over(struct deliver_session *s)
{
    struct conn *second = s->race.conn != NULL ? s->race.conn : connect_second(s);

    s->race.conn = NULL;
    drop(&s->conn);
    s->conn = second;
    deliver_set_peer(s, &s->race.address);
    deliver_race_end(s);
}

bool deliver_race_goes_on(struct deliver_session *s)
{
    if (!s->race.is_open || (s->race.is_begun && s->race.conn == NULL))
        return false;
    change_over(s);
    return true;
}

bool deliver_race_is_won(struct deliver_session *s, enum conn_event event)
{
    if (event == CONN_CONNECTED)
        change_over(s);
    else
        drop(&s->race.conn);
    return event == CONN_CONNECTED;
}
