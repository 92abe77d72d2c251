/*
 * What it costs to ask a chain of plugins, from plugin_ask to its completion: nanoseconds a
 * recipient. So many plugins that have no opinion, or those whose sections are in FILE.
 *
 *   plugin_bench [PLUGINS|FILE [RECIPIENTS]]
 */
#include "plugins/host/host.h"
#include "support/conf_text.h"
#include "support/rig.h"

enum { PLUGINS = 10, RECIPIENTS = 1000000, PLUGINS_MOST = 100, FILE_MOST = 1 << 20 };

struct bench {
    struct loop *loop;
    struct plugin_worker *worker;
    struct plugin_run run;
    struct arena arena;
    uint64_t left;
    size_t allocated; /* of the last recipient */
};

/* What the plugins are asked about. */
static const char header[] =
    "Received: from client.test (client.test [192.0.2.1])\r\n"
    "\tby mx.test with ESMTP id 0123456789; Sat, 1 Jan 2000 00:00:00 +0000\r\n"
    "From: Ann <ann@client.test>\r\nTo: Ben <ben@example.net>\r\nSubject: a message\r\n"
    "Message-ID: <1@client.test>\r\nDate: Sat, 1 Jan 2000 00:00:00 +0000\r\n"
    "MIME-Version: 1.0\r\nContent-Type: text/plain\r\n";
static const struct smarthop_session session = {
    .size = sizeof session, .id = 1, .address = SMARTHOP_TEXT_INIT("192.0.2.1")};
static const struct smarthop_message message = {.size = sizeof message,
                                                .id = 1,
                                                .sender = SMARTHOP_TEXT_INIT("ann@client.test"),
                                                .header = SMARTHOP_TEXT_INIT(header),
                                                .bytes = 4096,
                                                .recipients = 1};
static const struct smarthop_recipient recipient = {.size = sizeof recipient,
                                                    .address =
                                                        SMARTHOP_TEXT_INIT("ben@example.net"),
                                                    .local = SMARTHOP_TEXT_INIT("ben"),
                                                    .domain = SMARTHOP_TEXT_INIT("example.net")};

static void on_done(struct call *call)
{
    struct bench *b = container_of(call, struct bench, run.call);

    b->allocated = b->arena.allocated;
    arena_fini(&b->arena);
    arena_init(&b->arena);
    if (--b->left > 0)
        plugin_ask(b->worker, &b->run);
    else
        loop_stop(b->loop);
}

static void add_file(struct buf *text, const char *path)
{
    FILE *file = fopen(path, "r");

    if (file == NULL)
        rig_die("%s cannot be read", path);
    size_t len = fread(buf_reserve(text, FILE_MOST), 1, FILE_MOST, file);
    buf_commit(text, len);
    fclose(file);
}

/* With `path` NULL so many that pass. */
static struct conf *make_conf(const char *path, unsigned plugins)
{
    struct buf text;

    buf_init(&text, 0);
    if (path != NULL)
        add_file(&text, path);
    for (unsigned i = 0; path == NULL && i < plugins; i++)
        buf_addf(&text, "plugin \"p%u\" { file = \"%s\" }\n", i, PLUGIN_FILE);
    buf_add(&text, span_of("", 1));
    struct conf *conf = conf_from_text(buf_span(&text).ptr);
    buf_fini(&text);
    return conf;
}

static struct plugin_chain *load(struct plugin_home *home, const char *path, unsigned plugins)
{
    struct conf *conf = make_conf(path, plugins);
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
    const char *path = argc > 1 && strspn(argv[1], "0123456789") < strlen(argv[1]) ? argv[1] : NULL;
    unsigned plugins =
        argc > 1 && path == NULL ? (unsigned)rig_number("plugins", argv[1], PLUGINS_MOST) : PLUGINS;
    uint64_t recipients = argc > 2 ? rig_number("recipients", argv[2], UINT64_MAX) : RECIPIENTS;
    struct bench b = {.run = {.call.done = on_done, .hook = SMARTHOP_ON_ROUTE}};

    if (err_is(loop_create(&b.loop)))
        rig_die("no loop");
    struct plugin_home *home = plugin_home_create(b.loop, 1);
    struct plugin_chain *chain = load(home, path, plugins);
    b.worker = plugin_worker_create(home, 0, b.loop, NULL);
    plugin_worker_configure(b.worker, chain);
    list_init(&b.run.call.link);
    arena_init(&b.arena);
    b.run.arena = &b.arena;
    b.run.event.session = &session;
    b.run.event.message = &message;
    b.run.event.recipient = &recipient;
    uint64_t began = rig_now_ns();
    measure(&b, recipients);
    double ns = (double)(rig_now_ns() - began) / (double)recipients;
    if (path != NULL)
        printf("%s: ", path);
    else
        printf("%u plugins, %.1f ns each: ", plugins, plugins > 0 ? ns / plugins : 0.0);
    printf("%.1f ns and %zu bytes a recipient\n", ns, b.allocated);
    plugin_home_stop(home);
    plugin_chain_unref(chain);
    plugin_worker_free(b.worker);
    loop_free(b.loop);
    plugin_home_free(home);
    return 0;
}
