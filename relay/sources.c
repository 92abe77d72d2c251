#include "sources.h"

#include "auth/users.h"
#include "auth/verify.h"
#include "base/memory.h"
#include "recipients/recipients.h"
#include "rules/rules.h"

#include <stdio.h>
#include <string.h>

enum { POLL_MS = 1000 };

static void tell(const struct buf *messages)
{
    if (buf_len(messages) > 0)
        fwrite(buf_span(messages).ptr, 1, buf_len(messages), stderr);
}

/* NULL: the table is none of a file. */
static const char *rules_file(const struct conf *conf)
{
    bool is_word =
        strcmp(conf->response_rules, "builtin") == 0 || strcmp(conf->response_rules, "none") == 0;

    return is_word ? NULL : conf->response_rules;
}

static struct err check_recipients(const char *file, struct buf *messages)
{
    struct recipients *recipients;
    struct err e = recipients_load(file, messages, &recipients);

    recipients_unref(recipients);
    return e;
}

static struct err check_rules(const char *file, struct buf *messages)
{
    struct stat st;
    void *rules = NULL;
    struct err e = ERR_OK;

    if (file != NULL)
        e = rules_follow.load(file, NULL, &st, messages, &rules);
    rules_unref(rules);
    return e;
}

static struct err check_users(const char *file, struct buf *messages)
{
    struct users *users;
    struct err e = users_load(file, messages, &users);

    users_unref(users);
    return e;
}

bool sources_check(const struct conf *conf)
{
    struct buf messages;
    bool usable = true;

    buf_init(&messages, 0);
    if (conf->users_file != NULL)
        usable = !err_is(check_users(conf->users_file, &messages));
    if (conf->recipients_file != NULL)
        usable = !err_is(check_recipients(conf->recipients_file, &messages)) && usable;
    usable = !err_is(check_rules(rules_file(conf), &messages)) && usable;
    tell(&messages);
    buf_fini(&messages);
    return usable;
}

/* ---- looking ------------------------------------------------------------------------------ */

/* On a pool thread. */
static void poll_all(struct work *work)
{
    struct sources *sources = container_of(work, struct sources, work);

    if (sources->auth != NULL)
        auth_poll(sources->auth);
    follow_poll(sources->recipients);
    follow_poll(sources->rules);
}

static void on_timer(struct timer *timer)
{
    struct sources *sources = container_of(timer, struct sources, timer);

    sources->is_polling = true;
    loop_work(sources->loop, &sources->work);
}

static void on_polled(struct call *call)
{
    struct sources *sources = container_of(call, struct sources, work.call);

    sources->is_polling = false;
    if (!sources->is_stopped)
        timer_start(sources->loop, &sources->timer, POLL_MS, on_timer);
}

/* The first look comes after `delay`; where there is no file there is none. */
static void watch(struct sources *sources, const struct conf *conf, uint64_t delay)
{
    bool any = sources->auth != NULL || conf->recipients_file != NULL || rules_file(conf) != NULL;

    if (any && !sources->is_polling)
        timer_start(sources->loop, &sources->timer, delay, on_timer);
}

/* ---- life --------------------------------------------------------------------------------- */

/* The rules are looked at beforehand, so that the recipients stay as they are where they fail. */
static struct err follow_files(struct sources *sources, const struct conf *conf,
                               struct buf *messages)
{
    struct err e = check_rules(rules_file(conf), messages);

    if (!err_is(e))
        e = follow_set(sources->recipients, conf->recipients_file, messages);
    if (!err_is(e))
        e = follow_set(sources->rules, rules_file(conf), messages);
    return e;
}

static void set_recall(struct sources *sources, const struct conf *conf)
{
    if (sources->auth != NULL)
        auth_set_recall(sources->auth, conf->auth_recall);
}

static struct err load(struct sources *sources, const struct conf *conf, struct buf *messages)
{
    struct auth_options options = {.users_file = conf->users_file};
    struct err e = ERR_OK;

    if (conf->users_file != NULL)
        e = auth_create(&options, messages, &sources->auth);
    if (!err_is(e))
        e = follow_files(sources, conf, messages);
    if (!err_is(e))
        set_recall(sources, conf);
    return e;
}

bool sources_open(struct sources *sources, struct loop *loop, const struct conf *conf)
{
    struct buf messages;

    sources->loop = loop;
    sources->recipients = recipients_follow();
    sources->rules = follow_create(&rules_follow, NULL);
    list_init(&sources->work.call.link);
    sources->work.run = poll_all;
    sources->work.call.done = on_polled;
    buf_init(&messages, 0);
    struct err e = load(sources, conf, &messages);
    tell(&messages);
    buf_fini(&messages);
    if (!err_is(e))
        watch(sources, conf, POLL_MS);
    return !err_is(e);
}

struct err sources_reload(struct sources *sources, const struct conf *conf, struct buf *messages)
{
    struct err e = follow_files(sources, conf, messages);

    if (!err_is(e)) {
        set_recall(sources, conf);
        watch(sources, conf, 0);
    }
    return e;
}

void sources_stop(struct sources *sources)
{
    sources->is_stopped = true;
    timer_stop(sources->loop, &sources->timer);
}

void sources_close(struct sources *sources)
{
    auth_free(sources->auth);
    follow_free(sources->recipients);
    follow_free(sources->rules);
}
