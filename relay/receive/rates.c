/*
 * Rates: a user who has logged in is counted as such, everybody else by the client network. What
 * is not bounded is not counted and costs nothing.
 */
#include "receive/session.h"

#include "auth/verify.h"
#include "base/clock.h"
#include "base/log.h"
#include "guard/guard.h"

#include <stdio.h>

enum { TEXT_MAX = 128 };

/* What a session is held to. */
struct rate {
    enum guard_kind kind;
    uint64_t limit;   /* 0 = nothing */
    const char *what; /* for people */
    struct span key;
    char room[IP_NETWORK_TEXT_MAX];
};

/* A client of which nothing is known (a proxy's word) counts as one with all such. */
static void set_client_key(const struct session *s, struct rate *rate)
{
    struct ip_network network;

    rate->key = SPAN("unknown");
    if (limits_client_network(session_peer(s), &network))
        rate->key = span_of(rate->room, ip_network_format(&network, rate->room));
}

static void bind_client(const struct session *s, struct rate *rate, enum guard_kind kind,
                        uint64_t limit, const char *what)
{
    bool exempt = limit == 0 || s->server->guard == NULL || s->user != NULL ||
                  session_peer(s)->sa_family == AF_UNIX ||
                  conf_networks_contain(&s->conf->limit_exempt_networks, session_peer(s));

    rate->kind = kind;
    rate->limit = exempt ? 0 : limit;
    rate->what = what;
    if (!exempt)
        set_client_key(s, rate);
}

static void bind_user(const struct session *s, struct rate *rate, enum guard_kind kind,
                      uint64_t limit, const char *what)
{
    rate->kind = kind;
    rate->limit = s->server->guard != NULL ? limit : 0;
    rate->what = what;
    rate->key = span_cstr(s->user);
}

static void bind_messages(const struct session *s, struct rate *rate)
{
    static const char what[] = "messages per hour";

    if (s->user != NULL)
        bind_user(s, rate, GUARD_USER_MESSAGES, s->user_messages, what);
    else
        bind_client(s, rate, GUARD_CLIENT_MESSAGES, s->conf->client_messages_per_hour, what);
}

static void bind_recipients(const struct session *s, struct rate *rate)
{
    static const char what[] = "recipients per hour";

    if (s->user != NULL)
        bind_user(s, rate, GUARD_USER_RECIPIENTS, s->user_recipients, what);
    else
        bind_client(s, rate, GUARD_CLIENT_RECIPIENTS, s->conf->client_recipients_per_hour, what);
}

/* Once of each kind in a session: a client that does not listen would fill the log. */
static void log_limited(struct session *s, const struct rate *rate, uint64_t wait_s)
{
    struct log_line line;
    unsigned bit = 1u << rate->kind;

    if ((s->rates_told & bit) != 0 || !log_begin(&line, LOG_INFO, "rate-limited"))
        return;
    s->rates_told |= bit;
    log_u64(&line, "sid", s->id);
    log_text(&line, "client", s->client);
    log_text(&line, "rate", guard_kind_name(rate->kind));
    log_span(&line, "key", rate->key);
    log_u64(&line, "limit", rate->limit);
    log_u64(&line, "wait_s", wait_s);
    log_end(&line);
}

static void tell(struct session *s, const struct rate *rate, uint64_t wait_ms, char text[TEXT_MAX])
{
    uint64_t wait_s = (wait_ms + 999) / 1000;

    log_limited(s, rate, wait_s);
    snprintf(text, TEXT_MAX, "No more than %llu %s; try again in %llu second%s",
             (unsigned long long)rate->limit, rate->what, (unsigned long long)wait_s,
             wait_s == 1 ? "" : "s");
}

/* 452 tells a user's program to send the rest later (RFC 5321 4.5.3.1.10). */
static uint16_t code_for(const struct session *s)
{
    return s->user != NULL ? 452 : 450;
}

static bool refuse(struct session *s, const struct rate *rate, uint64_t wait_ms)
{
    char text[TEXT_MAX];

    tell(s, rate, wait_ms, text);
    session_reply(s, code_for(s), ESC(4, 7, 1), text);
    return false;
}

static bool has_room(const struct session *s, const struct rate *rate, uint64_t *wait_out)
{
    return rate->limit == 0 || guard_has_room(s->server->guard, rate->kind, rate->key, rate->limit,
                                              clock_steady_ms(), wait_out);
}

static bool take(const struct session *s, const struct rate *rate, uint64_t *wait_out)
{
    return rate->limit == 0 || guard_take(s->server->guard, rate->kind, rate->key, rate->limit,
                                          clock_steady_ms(), wait_out);
}

bool rates_allow_message(struct session *s)
{
    struct rate rate;
    uint64_t wait;

    bind_messages(s, &rate);
    return has_room(s, &rate, &wait) || refuse(s, &rate, wait);
}

bool rates_take_message(struct session *s, struct status *why)
{
    struct rate rate;
    char text[TEXT_MAX];
    uint64_t wait;

    bind_messages(s, &rate);
    if (take(s, &rate, &wait))
        return true;
    tell(s, &rate, wait, text);
    *why = STATUS(code_for(s), 4, 7, 1, "");
    why->text = arena_dup(&s->tx->message->arena, span_cstr(text));
    return false;
}

void rates_give_back_message(struct session *s)
{
    struct rate rate;

    bind_messages(s, &rate);
    if (rate.limit > 0)
        guard_give_back(s->server->guard, rate.kind, rate.key, clock_steady_ms());
}

bool rates_take_recipient(struct session *s)
{
    struct rate rate;
    uint64_t wait;

    bind_recipients(s, &rate);
    return take(s, &rate, &wait) || refuse(s, &rate, wait);
}

static void bind_errors(const struct session *s, struct rate *rate)
{
    bind_client(s, rate, GUARD_CLIENT_ERRORS, s->conf->client_errors_per_hour, "errors per hour");
}

void rates_note_error(struct session *s)
{
    struct rate rate;

    bind_errors(s, &rate);
    if (rate.limit > 0)
        guard_note(s->server->guard, rate.kind, rate.key, clock_steady_ms());
}

static bool send_away(struct session *s, const struct rate *rate, uint64_t wait_ms, const char *why)
{
    char text[TEXT_MAX];

    tell(s, rate, wait_ms, text);
    session_reply(s, 421, ESC(4, 7, 0), text);
    session_end(s, why);
    return false;
}

bool rates_admit(struct session *s)
{
    struct rate rate;
    uint64_t wait;

    bind_errors(s, &rate);
    if (!has_room(s, &rate, &wait))
        return send_away(s, &rate, wait, "too many errors lately");
    bind_client(s, &rate, GUARD_CLIENT_SESSIONS, s->conf->client_sessions_per_minute,
                "sessions per minute");
    return take(s, &rate, &wait) || send_away(s, &rate, wait, "too many sessions lately");
}

void rates_log_in(struct session *s)
{
    s->user_messages = s->conf->user_messages_per_hour;
    s->user_recipients = s->conf->user_recipients_per_hour;
    if (s->server->auth == NULL)
        return; /* XCLIENT has told of the log-in */
    struct users *users = auth_users(s->server->auth);
    const struct users_entry *entry = users_find(users, span_cstr(s->user));
    if (entry != NULL && entry->messages_per_hour != USERS_NO_RATE)
        s->user_messages = entry->messages_per_hour;
    if (entry != NULL && entry->recipients_per_hour != USERS_NO_RATE)
        s->user_recipients = entry->recipients_per_hour;
    users_unref(users);
}
