/*
 * smtp_load: offers mail to an SMTP server and measures how it is accepted.
 *
 * One thread, one epoll, one state machine a session. Nothing is retried: every message ends as
 * accepted or failed exactly once, and the deadline ends the program whatever the server does.
 * Each step of the protocol is one write.
 */
#include "load_session.h"

#include <signal.h>
#include <sys/signalfd.h>

#define EVENTS_AT_ONCE  512
#define OPENING_AT_ONCE 256 /* idle sessions being opened; stays below usual listen backlogs */

/* Starts what has fallen due on sessions that wait. */
static void dispatch(struct load *l)
{
    while (l->parked_count > 0) {
        struct session *s = &l->sessions[l->parked[l->parked_count - 1]];
        if (l->opt.idle ? l->opening >= OPENING_AT_ONCE || l->stopping
                        : l->started >= load_messages_due(l) || l->stopping)
            return;
        l->parked_count--;
        s->parked = false;
        if (s->state == STATE_FREE && l->opt.idle) {
            session_start(l, s);
            continue;
        }
        session_next(l, s);
        if (s->state != STATE_FREE && !session_flush(s))
            session_lost(l, s);
    }
}

/* Kept sessions that will get no more messages say goodbye. */
static void release_ready(struct load *l)
{
    for (unsigned i = 0; i < l->opt.sessions; i++) {
        struct session *s = &l->sessions[i];
        if (s->state == STATE_READY || s->state == STATE_HELD) {
            if (s->state == STATE_HELD)
                l->held_sessions--;
            session_quit(s);
            if (!session_flush(s))
                session_lost(l, s);
        }
    }
}

/* ---- the loop ---- */

static bool load_done(const struct load *l)
{
    if (l->opt.idle)
        return l->stopping && l->open_sessions == 0;
    return l->stats.accepted + l->stats.failed == l->opt.messages && l->open_sessions == 0;
}

static int wait_ms(const struct load *l, uint64_t deadline_ns)
{
    uint64_t now = rig_now_ns();
    uint64_t until = deadline_ns;

    if (l->opt.rate > 0 && l->parked_count > 0 && l->started < l->opt.messages) {
        double due_s = (double)l->started / l->opt.rate;
        uint64_t due = l->stats.start_ns + (uint64_t)(due_s * (double)RIG_NS_PER_SECOND);
        until = due < until ? due : until;
    }
    return until <= now ? 0 : (int)((until - now) / RIG_NS_PER_MILLISECOND + 1);
}

static int watch_signals(int epoll)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigprocmask(SIG_BLOCK, &set, NULL);
    int fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
    return fd;
}

/* Idle sessions are measured by whoever waits for this line. */
static void announce_when_idle(const struct load *l, bool *announced)
{
    if (!l->opt.idle || *announced || l->parked_count > 0 || l->opening > 0)
        return;
    *announced = true;
    printf("{\"idle\": %u, \"opened_s\": %.4f}\n", l->held_sessions,
           (double)(rig_now_ns() - l->stats.start_ns) / (double)RIG_NS_PER_SECOND);
    fflush(stdout);
}

/* Idle sessions say goodbye at the first signal; all else ends at once. False to end. */
static bool on_signal(struct load *l)
{
    struct signalfd_siginfo taken;
    ssize_t len = read(l->signals, &taken, sizeof taken);

    if (len != sizeof taken)
        return true;
    if (l->stopping || !l->opt.idle)
        return false;
    l->stopping = true;
    return true;
}

/* Returns whether everything ended before the deadline. */
static bool load_run(struct load *l)
{
    struct epoll_event events[EVENTS_AT_ONCE];
    bool announced = false;
    bool released = false;

    l->stats.start_ns = rig_now_ns();
    uint64_t deadline_ns = l->stats.start_ns + l->opt.deadline_s * RIG_NS_PER_SECOND;
    for (unsigned i = 0; i < l->opt.sessions; i++)
        load_park(l, &l->sessions[l->opt.sessions - 1 - i]);
    for (;;) {
        dispatch(l);
        if (!released && (l->stopping || (!l->opt.idle && l->started == l->opt.messages))) {
            released = true;
            release_ready(l);
        }
        if (l->acked)
            fflush(l->acked);
        announce_when_idle(l, &announced);
        if (load_done(l))
            return true;
        if (rig_now_ns() >= deadline_ns)
            return false;
        int count = epoll_wait(l->epoll, events, EVENTS_AT_ONCE, wait_ms(l, deadline_ns));
        for (int i = 0; i < count; i++) {
            if (events[i].data.ptr)
                session_event(l, events[i].data.ptr, events[i].events);
            else if (!on_signal(l))
                return false;
        }
    }
}

/* ---- the program ---- */

static struct load *the_load(SSL *ssl)
{
    return SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
}

static int keep_ticket(SSL *ssl, SSL_SESSION *ticket)
{
    struct load *l = the_load(ssl);

    SSL_SESSION_free(l->ticket);
    l->ticket = ticket;
    return 1; /* the reference is ours now */
}

static void tls_prepare(struct load *l)
{
    l->tls = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_app_data(l->tls, l);
    stream_tls_modes(l->tls);
    SSL_CTX_set_verify(l->tls, SSL_VERIFY_NONE, NULL);
    if (l->opt.resume) {
        SSL_CTX_set_session_cache_mode(l->tls,
                                       SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL_STORE);
        SSL_CTX_sess_set_new_cb(l->tls, keep_ticket);
    }
}

int main(int argc, char **argv)
{
    static struct load l;

    l.opt = load_parse_arguments(argc, argv);
    l.epoll = epoll_create1(EPOLL_CLOEXEC);
    l.sessions = calloc(l.opt.sessions, sizeof *l.sessions);
    l.parked = calloc(l.opt.sessions, sizeof *l.parked);
    if (!l.sessions || !l.parked)
        rig_die("out of memory");
    l.signals = watch_signals(l.epoll);
    /* From here on, as this file tells, a signal leads to a report. */
    if (l.opt.acked_file && !(l.acked = fopen(l.opt.acked_file, "a")))
        rig_die("%s: %s", l.opt.acked_file, strerror(errno));
    if (l.opt.tls != TLS_NONE)
        tls_prepare(&l);
    load_body_build(&l);
    signal(SIGPIPE, SIG_IGN);

    bool in_time = load_run(&l);
    if (l.opt.json)
        load_report_json(&l.stats, stdout, !in_time);
    else
        load_report_text(&l.stats, stdout, !in_time);
    return !in_time ? 2 : l.stats.failed > 0 ? 1 : 0;
}
