#include "guarding.h"

#include "auth/verify.h"
#include "base/clock.h"
#include "base/log.h"

#include <stdlib.h>

enum { USERS_POLL_MS = 1000 };

static struct guard_options options_of(const struct conf *conf)
{
    return (struct guard_options){.entries_max = conf->guard_entries_max,
                                  .save_ms = conf->guard_save_interval};
}

static bool users_need_it(const struct guarding *g)
{
    if (g->auth == NULL)
        return false;
    struct users *users = auth_users(g->auth);
    bool need = users_have_rates(users);
    users_unref(users);
    return need;
}

static bool is_needed(const struct guarding *g, const struct conf *conf)
{
    return conf->greylist || conf->user_messages_per_hour > 0 ||
           conf->user_recipients_per_hour > 0 || conf->client_sessions_per_minute > 0 ||
           conf->client_messages_per_hour > 0 || conf->client_recipients_per_hour > 0 ||
           conf->client_errors_per_hour > 0 || users_need_it(g);
}

static struct err open_environment(struct guarding *g)
{
    struct err e = guard_open(g->guard, g->path, clock_steady_ms());

    if (err_is(e))
        return e;
    timer_stop(g->loop, &g->timer);
    guard_start(g->guard, g->loop);
    return ERR_OK;
}

static void on_timer(struct timer *timer)
{
    struct guarding *g = container_of(timer, struct guarding, timer);

    if (!users_need_it(g)) {
        timer_start(g->loop, &g->timer, USERS_POLL_MS, on_timer);
        return;
    }
    struct err e = open_environment(g);
    if (err_is(e))
        log_failure(LOG_ERROR, "guard-failed", e, "path", g->path);
}

struct err guarding_start(struct guarding *g, struct loop *loop, struct auth *auth,
                          const struct conf *conf)
{
    struct guard_options options = options_of(conf);

    *g = (struct guarding){.guard = guard_create(&options),
                           .auth = auth,
                           .loop = loop,
                           .path = mem_strdup(conf->guard_path)};
    if (is_needed(g, conf))
        return open_environment(g);
    if (auth != NULL)
        timer_start(loop, &g->timer, USERS_POLL_MS, on_timer);
    return ERR_OK;
}

struct err guarding_reload(struct guarding *g, const struct conf *conf, struct buf *messages)
{
    struct guard_options options = options_of(conf);
    char text[ERR_TEXT_MAX];

    if (!guard_is_open(g->guard) && is_needed(g, conf)) {
        struct err e = open_environment(g);
        if (err_is(e)) {
            buf_addf(messages, "%s: %s\n", g->path, err_text(e, text));
            return e;
        }
    }
    guard_configure(g->guard, &options);
    return ERR_OK;
}

bool guarding_forget(struct guarding *g, struct span kind, struct span key, uint64_t *count_out)
{
    enum guard_kind which = GUARD_KINDS;

    if (kind.len > 0 && !guard_kind_find(kind, &which))
        return false;
    *count_out = guard_forget(g->guard, which, key, clock_steady_ms());
    return true;
}

void guarding_close(struct guarding *g)
{
    if (g->guard == NULL)
        return;
    timer_stop(g->loop, &g->timer);
    guard_close(g->guard, clock_steady_ms());
    free(g->path);
    *g = (struct guarding){0};
}
