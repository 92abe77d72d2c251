/* What smarthopd -t looks at beyond the configuration itself. Nothing of it is started. */
#include "daemon.h"
#include "daemon_tls.h"
#include "plugins/host/host.h"
#include "process.h"
#include "sources.h"

#include <stdio.h>

static void tell(const char *before, struct buf *messages)
{
    struct span rest = buf_span(messages);

    while (rest.len > 0) {
        struct span line = span_split(rest, '\n', &rest);
        fprintf(stderr, "%s%.*s\n", before, SPAN_ARG(line));
    }
    buf_fini(messages);
}

static bool check_tls(const struct conf *conf)
{
    struct tls_server *tls;
    struct buf messages;

    if (!daemon_load_first_tls(conf, &tls))
        return false;
    buf_init(&messages, 0);
    daemon_tls_ended(conf, tls, &messages);
    tell("smarthopd: ", &messages);
    tls_server_unref(tls);
    return true;
}

static bool check_user(const struct conf *conf)
{
    if (conf->user == NULL || process_knows(conf->user))
        return true;
    fprintf(stderr, "smarthopd: user \"%s\": there is none of this name\n", conf->user);
    return false;
}

static bool check_plugins(const struct conf *conf)
{
    struct buf messages;

    buf_init(&messages, 0);
    bool usable = plugin_chain_check(conf, &messages);
    tell("", &messages);
    return usable;
}

bool daemon_check(const struct conf *conf)
{
    /* Each tells its own problem. */
    bool has_user = check_user(conf);
    bool has_tls = check_tls(conf);
    bool has_sources = sources_check(conf);
    bool has_plugins = check_plugins(conf);

    return has_user && has_tls && has_sources && has_plugins;
}
