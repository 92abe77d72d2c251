/*
 * plugin_rig: a host of plugins on a loop that the test turns itself; it is the main loop and the
 * only worker's. Plugins are the test ones of tests/plugins, which do what their desk says.
 */
#ifndef SMARTHOP_TESTS_PLUGIN_RIG_H
#define SMARTHOP_TESTS_PLUGIN_RIG_H

#include "plugins/host/host.h"
#include "support/conf_text.h"
#include "support/loop_turn.h"
#include "support/plugin_desk.h"

#include <string.h>

struct plugin_rig {
    struct loop *loop;
    struct plugin_home *home;
    struct plugin_worker *worker;
    struct plugin_chain *chain; /* a reference; NULL = none */
    struct buf messages;        /* of the last load */
};

static inline void plugin_rig_start_with(struct plugin_rig *rig,
                                         const struct plugin_backend *backend)
{
    *rig = (struct plugin_rig){.loop = turn_loop_create()};
    rig->home = plugin_home_create(rig->loop, 1);
    rig->worker = plugin_worker_create(rig->home, 0, rig->loop, backend);
    buf_init(&rig->messages, 0);
}

static inline void plugin_rig_start(struct plugin_rig *rig)
{
    plugin_rig_start_with(rig, NULL);
}

static inline void plugin_rig_stop(struct plugin_rig *rig)
{
    plugin_home_stop(rig->home);
    plugin_chain_unref(rig->chain);
    plugin_worker_free(rig->worker);
    loop_free(rig->loop);
    plugin_home_free(rig->home);
    buf_fini(&rig->messages);
}

/* Whether it could be loaded; then it is what the worker asks. */
static inline bool plugin_rig_load(struct plugin_rig *rig, const char *text)
{
    struct conf *conf = conf_from_text(text);
    struct plugin_chain *chain;

    buf_fini(&rig->messages);
    buf_init(&rig->messages, 0);
    struct err e = plugin_chain_load(rig->home, conf, rig->chain, &rig->messages, &chain);
    conf_unref(conf);
    if (err_is(e)) {
        assert_null(chain);
        return false;
    }
    plugin_worker_configure(rig->worker, chain);
    plugin_chain_unref(rig->chain);
    rig->chain = chain;
    return true;
}

/* A section of FILE.so; the desk's, and whatever else there is to say. */
static inline const char *plugin_section(char *room, size_t size, const char *name,
                                         const char *file, const struct plugin_desk *desk,
                                         const char *rest)
{
    snprintf(room, size, "plugin \"%s\" { file = \"%s/%s.so\" desk = \"%p\" %s }\n", name,
             PLUGIN_FOLDER, file, (const void *)desk, rest);
    return room;
}

#define SECTION_ROOM              512
#define SECTION(desk, name, rest) SECTION_OF(desk, name, "probe", rest)
#define SECTION_OF(desk, name, file, rest)                                                         \
    plugin_section((char[SECTION_ROOM]){0}, SECTION_ROOM, name, file, desk, rest)

/* With one plugin "a". */
static inline void plugin_rig_start_one(struct plugin_rig *rig, const struct plugin_desk *desk,
                                        const char *rest)
{
    plugin_rig_start(rig);
    assert_true(plugin_rig_load(rig, SECTION(desk, "a", rest)));
}

static inline const struct plugin_view *plugin_rig_view(const struct plugin_rig *rig, unsigned at,
                                                        struct plugin_view *room)
{
    plugin_chain_view(rig->chain, at, room);
    return room;
}

#define VIEW(rig, at) plugin_rig_view((rig), (at), &(struct plugin_view){0})

/* ---- asking ------------------------------------------------------------------------------- */

struct asking {
    struct plugin_run run;
    struct arena arena;
    unsigned completions;
};

static inline void asking_on_done(struct call *call)
{
    container_of(call, struct asking, run.call)->completions++;
}

static inline void asking_init(struct asking *a, enum smarthop_hook hook)
{
    *a = (struct asking){.run = {.call.done = asking_on_done, .hook = hook}};
    list_init(&a->run.call.link);
    arena_init(&a->arena);
    a->run.arena = &a->arena;
}

static inline void asking_begin(struct plugin_rig *rig, struct asking *a)
{
    plugin_ask(rig->worker, &a->run);
    assert_int_equal(a->completions, 0);
}

static inline void asking_start(struct plugin_rig *rig, struct asking *a, enum smarthop_hook hook)
{
    asking_init(a, hook);
    asking_begin(rig, a);
}

static inline void asking_end(struct asking *a)
{
    assert_int_equal(a->completions, 1);
    arena_fini(&a->arena);
}

/* From begin to end: what was decided. */
static inline enum smarthop_action ask_once(struct plugin_rig *rig, enum smarthop_hook hook)
{
    struct asking a;

    asking_start(rig, &a, hook);
    TURN_UNTIL(rig->loop, a.completions > 0);
    enum smarthop_action action = a.run.verdict.action;
    asking_end(&a);
    return action;
}

/* Ends what is pending. */
static inline void asking_cancel(struct plugin_rig *rig, struct asking *a)
{
    plugin_cancel(&a->run);
    TURN_UNTIL(rig->loop, a->completions > 0);
    asking_end(a);
}

/* For a desk's `ask`. */
static inline int desk_promise(struct plugin_desk *desk, const struct smarthop_event *event,
                               struct smarthop_verdict *verdict)
{
    (void)desk, (void)event, (void)verdict;
    return SMARTHOP_PENDING;
}

static inline void assert_span(struct smarthop_span span, const char *text)
{
    assert_int_equal(span.len, strlen(text));
    assert_memory_equal(span.ptr, text, span.len);
}

#endif
