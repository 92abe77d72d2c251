/*
 * What it costs to ask a chain of plugins that have no opinion, from plugin_ask to its completion:
 * nanoseconds a recipient.
 *
 *   plugin_bench [PLUGINS [RECIPIENTS]]
 */
#include "plugins/host/host.h"
#include "support/conf_text.h"
#include "support/rig.h"

enum { PLUGINS = 10, RECIPIENTS = 1000000, PLUGINS_MOST = 100 };

struct bench {
    struct loop *loop;
    struct plugin_worker *worker;
    struct plugin_run run;
    struct arena arena;
    uint64_t left;
};

static void on_done(struct call *call)
{
    struct bench *b = container_of(call, struct bench, run.call);

    if (--b->left > 0)
        plugin_ask(b->worker, &b->run);
    else
        loop_stop(b->loop);
}

static struct conf *make_conf(unsigned plugins)
{
    struct buf text;

    buf_init(&text, 0);
    for (unsigned i = 0; i < plugins; i++)
        buf_addf(&text, "plugin \"p%u\" { file = \"%s\" }\n", i, PLUGIN_FILE);
    buf_add(&text, span_of("", 1));
    struct conf *conf = conf_from_text(buf_span(&text).ptr);
    buf_fini(&text);
    return conf;
}

static struct plugin_chain *load(struct plugin_home *home, unsigned plugins)
{
    struct conf *conf = make_conf(plugins);
    struct plugin_chain *chain;
    struct buf messages;

    buf_init(&messages, 0);
    struct err e = plugin_chain_load(home, conf, NULL, &messages, &chain);
    if (err_is(e))
        rig_die("%.*s", SPAN_ARG(buf_span(&messages)));
    buf_fini(&messages);
    conf_unref(conf);
    return chain;
}

static void measure(struct bench *b, uint64_t recipients)
{
    b->left = recipients;
    plugin_ask(b->worker, &b->run);
    loop_run(b->loop);
}

int main(int argc, char **argv)
{
    unsigned plugins = argc > 1 ? (unsigned)rig_number("plugins", argv[1], PLUGINS_MOST) : PLUGINS;
    uint64_t recipients = argc > 2 ? rig_number("recipients", argv[2], UINT64_MAX) : RECIPIENTS;
    struct bench b = {.run = {.call.done = on_done, .hook = SMARTHOP_ON_ROUTE}};

    if (err_is(loop_create(&b.loop)))
        rig_die("no loop");
    struct plugin_home *home = plugin_home_create(b.loop, 1);
    struct plugin_chain *chain = load(home, plugins);
    b.worker = plugin_worker_create(home, 0, b.loop, NULL);
    plugin_worker_configure(b.worker, chain);
    list_init(&b.run.call.link);
    arena_init(&b.arena);
    b.run.arena = &b.arena;
    uint64_t began = rig_now_ns();
    measure(&b, recipients);
    double ns = (double)(rig_now_ns() - began) / (double)recipients;
    printf("%u plugins: %.1f ns a recipient, %.1f ns a plugin; %zu bytes allocated\n", plugins, ns,
           plugins > 0 ? ns / plugins : 0.0, b.arena.allocated);
    plugin_home_stop(home);
    plugin_chain_unref(chain);
    plugin_worker_free(b.worker);
    loop_free(b.loop);
    plugin_home_free(home);
    return 0;
}
