/* smarthop-plugin: runs one plugin for smarthopd, which starts it. */
#include "plugins/process/process.h"

#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CONTROL = 3, READ_PIECE = 65536, LANES_MOST = 1024, FOREVER_MS = 86400000 };

static bool is_of_this_build(const struct wire_setup *setup)
{
    return smarthop_equal(setup->version, SMARTHOP_TEXT(SMARTHOP_VERSION)) && setup->channels > 1 &&
           setup->channels < LANES_MOST;
}

/* Before anything else, and so in peace. */
static bool read_setup(struct child *child, struct wire_setup *setup)
{
    struct wire_frame frame;
    struct buf in;
    size_t used;
    bool good = false;

    buf_init(&in, 0);
    for (enum wire_result result = WIRE_MORE; result == WIRE_MORE;) {
        ssize_t len = recv(CONTROL, buf_reserve(&in, READ_PIECE), READ_PIECE, 0);
        if (len < 0 && errno == EINTR)
            continue;
        if (len <= 0)
            break;
        buf_commit(&in, (size_t)len);
        result = wire_next(buf_span(&in), &frame, &used);
        good = result == WIRE_DONE && frame.kind == WIRE_SETUP &&
               wire_read_setup(&child->arena, arena_dup(&child->arena, frame.body), setup) &&
               is_of_this_build(setup);
    }
    buf_fini(&in);
    return good;
}

/* How long an answer may take, and what becomes of one that does not come, is the server's to say.
 */
static void leave_to_server(struct conf_plugin *section)
{
    section->process = section->shadow = false;
    section->fail = CONF_PLUGIN_FAIL_OPEN;
    section->timeout = section->budget = FOREVER_MS;
    section->strikes = UINT32_MAX;
    section->rest = 1;
}

static struct smarthop_span text_of(const char *text)
{
    return smarthop_span_of(text, strlen(text));
}

static void write_text(struct record_writer *w, const void *object)
{
    struct span text = buf_span(object);

    record_put_bytes(w, text.ptr, text.len);
}

static void refuse(struct child *child, const struct buf *messages)
{
    lane_send(child->lanes, WIRE_REFUSED, 0, write_text, messages);
}

static void tell_ready(struct child *child)
{
    const struct smarthop_plugin *plugin = &child->chain->plugins[0]->plugin;
    struct wire_ready *ready = &child->ready;

    ready->flags = plugin->flags;
    ready->fail_mode = plugin->fail_mode;
    ready->has_reload = plugin->reload != NULL;
    ready->has_command = plugin->command != NULL;
    ready->name = text_of(plugin->name);
    ready->version = text_of(plugin->version);
    ready->summary = text_of(plugin->summary);
    for (unsigned hook = 0; hook < SMARTHOP_HOOKS; hook++)
        ready->hooks |= plugin->hooks[hook] != NULL ? 1u << hook : 0;
    lane_send(child->lanes, WIRE_READY, 0, wire_write_ready, ready);
}

static struct err open_plugin(struct child *child, const struct conf *conf, bool is_check,
                              struct buf *messages)
{
    if (!is_check)
        return plugin_chain_load(child->home, conf, NULL, messages, &child->chain);
    return plugin_chain_check(conf, messages) ? ERR_OK : err_make(ERR_INVALID, "plugin");
}

static bool load(struct child *child, const struct wire_setup *setup)
{
    struct conf_plugin *section =
        memcpy(arena_alloc(&child->arena, sizeof *section), setup->section, sizeof *section);
    struct conf conf = {
        .file =
            (char *)arena_dup(&child->arena, span_of(setup->conf_file.ptr, setup->conf_file.len))
                .ptr,
        .plugins = section,
        .plugin_count = 1,
    };
    struct buf messages;

    buf_init(&messages, 0);
    leave_to_server(section);
    if (setup->is_check && geteuid() != 0)
        section->user = ""; /* who checks need not be able to become another */
    section->file = (char *)arena_dup(&child->arena, span_of(setup->file.ptr, setup->file.len)).ptr;
    struct err e = confine_before(section);
    if (!err_is(e))
        e = open_plugin(child, &conf, setup->is_check, &messages);
    if (!err_is(e))
        e = confine_after(section);
    char text[ERR_TEXT_MAX];
    if (err_is(e) && buf_len(&messages) == 0)
        buf_addf(&messages, "%s: plugin \"%s\" cannot run in its process: %s\n", conf.file,
                 section->name, err_text(e, text));
    if (err_is(e))
        refuse(child, &messages);
    buf_fini(&messages);
    return !err_is(e);
}

static void serve(struct child *child)
{
    plugin_worker_configure(child->worker, child->chain);
    plugin_chain_unref(child->chain);
    tell_ready(child);
    for (unsigned i = 0; i < child->lane_count - 1; i++)
        if (err_is(lane_open(&child->lanes[i])))
            return;
    child->thread = pthread_self();
    child->is_running = true;
    services_begin(child);
    loop_run(child->loop);
    child->is_running = false;
    for (unsigned i = 0; i < child->lane_count; i++)
        content_close_lane(&child->lanes[i]);
}

static bool make_host(struct child *child, unsigned channels)
{
    if (err_is(loop_create(&child->loop)))
        return false;
    for (unsigned i = 0; i < ASKING_LISTS; i++)
        list_init(&child->askings[i]);
    list_init(&child->puts);
    pthread_mutex_init(&child->lock, NULL);
    pthread_cond_init(&child->news, NULL);
    pthread_mutex_init(&child->desk_turn, NULL);
    child->lane_count = channels + 1;
    child->lanes = mem_zalloc(child->lane_count * sizeof *child->lanes);
    for (unsigned i = 0; i < child->lane_count; i++)
        lane_init(&child->lanes[i], child, CONTROL + (int)i);
    services_init(child);
    child->home = plugin_home_create(child->loop, 1);
    child->home->services = &child->services;
    child->home->process = child;
    child->home->on_stray = services_note_stray;
    child->worker = plugin_worker_create(child->home, 0, child->loop, &child->backend);
    return true;
}

int main(int argc, char **argv)
{
    struct child child = {.loop = NULL};
    struct wire_setup setup;

    if (argc == 2 && strcmp(argv[1], "--launch") == 0)
        return launcher_run();
    log_set_level(LOG_ERROR); /* what else there is to tell the server tells */
    arena_init(&child.arena);
    if (!read_setup(&child, &setup) || !make_host(&child, setup.channels)) {
        fprintf(stderr, "smarthop-plugin: smarthopd of the same build starts this program\n");
        return 2;
    }
    bool good = load(&child, &setup);
    if (good && setup.is_check)
        lane_send(child.lanes, WIRE_READY, 0, wire_write_ready, &child.ready);
    else if (good)
        serve(&child);
    serve_drop(&child);
    keep_drop(&child);
    plugin_home_stop(child.home);
    plugin_worker_free(child.worker);
    for (unsigned i = 0; i < child.lane_count; i++)
        lane_fini(&child.lanes[i]);
    loop_free(child.loop);
    plugin_home_free(child.home);
    log_flush();
    free(child.lanes);
    pthread_mutex_destroy(&child.desk_turn);
    pthread_cond_destroy(&child.news);
    pthread_mutex_destroy(&child.lock);
    arena_fini(&child.arena);
    return good ? 0 : 1;
}
